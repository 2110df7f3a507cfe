/*
 * target - which addresses a worker may connect to: the public net, and what the operator named
 * besides.
 *
 * An MX record is a stranger's word: it may point at our own network. Every address is checked here
 * right before each connection to it. Addresses are octets in network order, 4 for `family` 4 and
 * 16 for `family` 6; another family is never allowed. Pure, thread-safe, no sockets.
 */
#ifndef RC_ADDRESS_TARGET_H
#define RC_ADDRESS_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

enum { RC_TARGETS_MAX = 128 }; /* ranges in a list */

struct rc_target_range {
	uint8_t family;
	uint8_t bits;
	uint8_t octets[16];
};

/* Plain; all zeros is the empty list. */
struct rc_target_list {
	size_t count;
	struct rc_target_range ranges[RC_TARGETS_MAX];
};

/*
 * Whether the address is global unicast outside every range of the IANA special-purpose registries.
 * If not, *ret_range (may be NULL) is the static name of the range: "loopback 127.0.0.0/8".
 */
bool rc_target_public(int family, const uint8_t *octets, const char **ret_range);

/*
 * Reads "10.0.0.0/8, 127.0.0.1 fd00::/8": commas and blanks part, an address alone stands for
 * itself. NULL and "" make the empty list. RC_INVALID: the error names the bad piece; RC_LIMIT:
 * more than RC_TARGETS_MAX.
 */
enum rc_status rc_target_list_parse(const char *text, struct rc_target_list *ret_list,
				    struct rc_error *err) RC_MUST_CHECK;

/* Whether the list names the address. */
bool rc_target_listed(const struct rc_target_list *list, int family, const uint8_t *octets);

/* Public or listed. If not, *ret_why (may be NULL) is the range as above. `list` may be NULL. */
bool rc_target_allowed(const struct rc_target_list *list, int family, const uint8_t *octets,
		       const char **ret_why);

#endif
