/*
 * domain - mail domains: one spelling for each, whom they belong to, what lies below what.
 *
 * Stateless and thread-safe. ASCII names are handled without an allocation; others go through
 * libidn2 (IDNA2008, non-transitional UTS #46). No function here looks anything up.
 */
#ifndef RC_ADDRESS_DOMAIN_H
#define RC_ADDRESS_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/status.h"

enum {
	RC_DOMAIN_MAX = 253,		    /* octets of a domain, RFC 1035 without the final dot */
	RC_DOMAIN_SIZE = RC_DOMAIN_MAX + 1, /* with NUL */
	RC_LABEL_MAX = 63
};

/*
 * Writes the lower-case A-label form of a mail domain and returns RC_OK. RC_INVALID for what no
 * mail can be sent to on the public net: a single label, an address literal, a final dot, an
 * all-numeric top-level domain, anything but letters, digits and inner hyphens in a label;
 * *ret_reason is then a static sentence. `ret_len` may be NULL.
 */
enum rc_status rc_domain_normalize(const char *text, size_t len, char ret_domain[RC_DOMAIN_SIZE],
				   size_t *ret_len, const char **ret_reason) RC_MUST_CHECK;

/*
 * The registrable domain ("example.co.uk" for "mx1.mail.example.co.uk") by the public suffix list
 * that libpsl carries: a pointer into `domain`, which must be normalised. Where the list knows
 * none, as for a public suffix itself, the last two labels.
 */
const char *rc_domain_registrable(const char *domain);

/* Whether normalised `domain` is `parent` or lies below it. */
bool rc_domain_within(const char *domain, const char *parent);

#endif
