/*
 * dns_answer - reads one DNS reply (RFC 1035) into the MX hosts, addresses or texts that we asked
 * for.
 *
 * Pure and stateless; the octets are a stranger's. A cursor with bounds reads them, compression
 * pointers must point backwards, and what is malformed makes the whole reply malformed. So does
 * what denies nothing though it has no answer: a truncated reply, a referral, a loop of CNAMEs.
 * CNAME chains inside the answer section are followed for 8 steps. Names of PTR records come as MX
 * hosts of preference 0. Texts beyond DNS_TXT_MAX make the reply broken. Of more than DNS_MX_MAX
 * hosts those of lowest preference are kept; of more than DNS_IP_MAX addresses, the first.
 */
#ifndef WORKER_CORE_DNS_ANSWER_H
#define WORKER_CORE_DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/core/probe.h"

enum { DNS_NAME_MAX = 256, DNS_MX_MAX = 16, DNS_IP_MAX = 20, DNS_TXT_MAX = 4096 };

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };

/* What became of a question. State 0 is invalid. */
enum dns_state {
	DNS_FOUND = 1, /* records of the type asked for */
	DNS_NO_DATA,   /* the name exists, without such records */
	DNS_NO_NAME,   /* NXDOMAIN */
	DNS_SERVFAIL,
	DNS_REFUSED,
	DNS_TIMEOUT,
	DNS_BROKEN /* a reply that cannot be read, or the resolver cannot be reached */
};

struct dns_mx {
	uint16_t preference;
	char host[DNS_NAME_MAX]; /* lower case, without final dot; empty: the root, RFC 7505 */
};

struct dns_answer {
	enum dns_state state;
	uint32_t
	    ttl_s; /* the least of the records used; of a negative answer: RFC 2308; 0: none said */
	size_t mx_n;
	size_t ip_n;
	struct dns_mx mx[DNS_MX_MAX];
	struct probe_ip ip[DNS_IP_MAX];
	/* TXT: each record's strings put together and ended by a NUL, one record behind the other.
	 * What is not printable ASCII is '?'. */
	size_t txt_n;
	size_t txt_len; /* octets of all, NULs counted */
	char txt[DNS_TXT_MAX];
};

/*
 * Reads `reply` to the question (name, type). The state is FOUND, NO_DATA, NO_NAME or BROKEN, or
 * SERVFAIL / REFUSED by the reply's RCODE. Never fails otherwise.
 */
void dns_answer_parse(const uint8_t *reply, size_t len, const char *name, enum dns_type type,
		      struct dns_answer *ret);

/*
 * How long an answer may serve others: its TTL within 60 s .. 1 day; a denial for what its SOA says
 * (RFC 2308, 5) within 5 .. 30 s; a failure for 5 s (RFC 2308, 7), so that a resolver in trouble is
 * not asked for the same name by everybody.
 */
uint64_t dns_answer_keep_ms(const struct dns_answer *answer);

/* "NXDOMAIN", "timeout": static text for the evidence. */
const char *dns_state_text(enum dns_state state);

/* Whether `name` may be asked for at all: 1 to 253 octets of letters, digits, hyphen, underscore in
 * labels of 1 to 63. */
bool dns_name_valid(const char *name);
/* Whether `name` reads as an IPv4 address, which is no host name in an MX record (RFC 5321, 5.1).
 */
bool dns_name_is_address(const char *name);

#endif
