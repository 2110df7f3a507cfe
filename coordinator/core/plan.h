/*
 * plan - which MX group, provider and lane a domain gets, and which of its rows stand for the
 * others.
 *
 * Pure: no I/O, no clock, nothing allocated, never fails. A Resolution is a stranger's word: names
 * and addresses are used as names only.
 */
#ifndef COORDINATOR_CORE_PLAN_H
#define COORDINATOR_CORE_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/reply/providers.h"
#include "rollcall.pb-c.h"

enum { PLAN_GROUP_MAX = 272, PLAN_SHARD_MAX = 100 };
/* Families of addresses, as bits. */
enum { PLAN_V4 = 1, PLAN_V6 = 2 };

/* Who runs the mail servers, asked from the most preferred one on; NULL: nobody we know. */
const struct rc_provider *plan_provider(const struct rc_providers *providers, const char *domain,
					const Rollcall__Resolution *resolution);

/* The provider's name; else the registrable domain of the most preferred MX host; without MX
 * records the lowest address. Never "". */
void plan_mx_group(const struct rc_provider *provider, const Rollcall__Resolution *resolution,
		   char ret_group[PLAN_GROUP_MAX]);

/* What a lane must have to reach the most preferred host that has an address; both: either will do.
 * 0: no address is known. */
unsigned plan_families(const Rollcall__Resolution *resolution);
/* Of an address. */
unsigned plan_family(const char *address);

/* Rendezvous hashing: the same lane for the same group as long as it is among `lanes` (n > 0), and
 * of a lane that leaves only its own groups move. `slot` tells the lanes of a spread provider
 * apart: slots 0..k-1 get different lanes while n >= k. */
uint32_t plan_lane(const char *group, uint32_t slot, const uint32_t *lanes, size_t n);
/* Which of `slots` (>= 1) a run of rows of a domain belongs to. */
uint32_t plan_slot(const char *domain, uint64_t first_uid, uint32_t slots);

/* Of `n` rows (first_uid ..), the i-th of those that are probed for all: evenly spread.
 * plan_sample_count() of them, at least 1. */
uint32_t plan_sample_count(uint32_t n, uint32_t per_mille);
uint64_t plan_sample_uid(uint64_t first_uid, uint32_t n, uint32_t count, uint32_t i);

#endif
