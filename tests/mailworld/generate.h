/*
 * generate - makes a world and its list from a seed and a mix of behaviours, the same on every
 * machine.
 *
 * Nothing here fails but for a mix that cannot be had. Each row can be decided by a correct
 * verifier with its harvest guard on: domains are small, and where many rows share one, most of
 * their mailboxes exist.
 */
#ifndef MAILWORLD_GENERATE_H
#define MAILWORLD_GENERATE_H

#include "common/base/status.h"
#include "tests/mailworld/world.h"

struct mw_mix {
	uint16_t permille[MW_BEHAVIOURS]; /* of the rows; MW_HONEST takes the rest */
	uint16_t duplicates; /* permille of rows that repeat another in other capitals */
	uint16_t fixed_most; /* rows of a behaviour whose domains are given; 0: any number */
	bool exact;	     /* exactly as many domains and MX addresses as asked for */
};

/* "demo", "every", "providers", "bench", "honest". RC_NOT_FOUND names those. */
enum rc_status mw_mix_named(const char *name, struct mw_mix *ret_mix,
			    struct rc_error *err) RC_MUST_CHECK;
/* Changes shares: "ip_blocked=0,first_mx_421=3" (percent, with at most one decimal). */
enum rc_status mw_mix_share(struct mw_mix *mix, const char *shares,
			    struct rc_error *err) RC_MUST_CHECK;

/* Adds to `world`: at least (with mix->exact: exactly) `domains` domains on `mx` listening MX
 * addresses, and `rows` rows. */
enum rc_status mw_generate(struct mw_world *world, const struct mw_mix *mix, uint32_t domains,
			   uint32_t mx, uint32_t rows, struct rc_error *err) RC_MUST_CHECK;

/* Whether the world holds what the mix promises: shares, domains, MX addresses, who answers what.
 */
enum rc_status mw_check(const struct mw_world *world, const struct mw_mix *mix, uint32_t domains,
			uint32_t mx, uint32_t rows, struct rc_error *err) RC_MUST_CHECK;

#endif
