/*
 * address - what a row of a list says: an e-mail address, nothing, or something else.
 *
 * Syntax of RFC 5321, 4.1.2 (dot-string and quoted-string local parts), RFC 6531 (UTF-8 in the
 * local part) and IDNA2008 for the domain. Addresses nobody can send mail to over the public net
 * (literals, single labels, a final dot) are bad as well. Stateless, thread-safe, no allocation for
 * ASCII. Nothing is guessed: what is bad but almost right gets `did_you_mean`, which is itself a
 * good address.
 */
#ifndef RC_ADDRESS_ADDRESS_H
#define RC_ADDRESS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address/domain.h"

enum {
	RC_LOCAL_MAX = 64,    /* octets, quotes counted: RFC 5321, 4.5.3.1.1 */
	RC_ADDRESS_MAX = 254, /* 4.5.3.1.3: a path of 256 without < and > */
	RC_ADDRESS_SIZE =
	    RC_LOCAL_MAX + 1 + RC_DOMAIN_MAX + 1, /* fits local, @, domain, NUL of any good one */
	RC_ADDRESS_INPUT_MAX = 2048		  /* octets of a trimmed input that are looked at */
};

enum rc_address_status { RC_ADDRESS_OK = 1, RC_ADDRESS_BLANK, RC_ADDRESS_BAD };

struct rc_address {
	enum rc_address_status status;
	const char *reason; /* BAD: a static English sentence; else NULL */
	bool smtputf8;	    /* the local part is not ASCII: the server must offer SMTPUTF8 */
	bool quoted;	    /* the local part is a quoted string, kept with its quotes */
	uint8_t local_len;  /* OK: octets, as are `local` and `domain`; otherwise 0 and "" */
	uint8_t domain_len;
	char local[RC_LOCAL_MAX + 1];	    /* as written */
	char domain[RC_DOMAIN_SIZE];	    /* lower-case A-label */
	char did_you_mean[RC_ADDRESS_SIZE]; /* BAD: a good address that was perhaps meant, or "" */
};

/* `text` may hold anything, NULs included; blanks around it are dropped. Returns ret->status. */
enum rc_address_status rc_address_parse(const char *text, size_t len, struct rc_address *ret);

/* "local@domain" of a good one. Returns its length. */
size_t rc_address_format(const struct rc_address *address, char ret_text[RC_ADDRESS_SIZE]);

/* What duplicates have in common: the same with ASCII case folded in the local part too. Returns
 * its length. */
size_t rc_address_key(const struct rc_address *address, char ret_key[RC_ADDRESS_SIZE]);

#endif
