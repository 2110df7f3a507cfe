/*
 * groups - which lane an MX group lives on: remembered in PostgreSQL, so that its servers see one
 * client across retries and jobs.
 *
 * One for each thread, with a cache. A choice made in a transaction that is rolled back must be
 * forgotten: groups_forget().
 */
#ifndef COORDINATOR_STORE_GROUPS_H
#define COORDINATOR_STORE_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct db;
struct groups;

enum { GROUPS_SLOTS_MAX = 64 };

struct groups *groups_new(void);
/* Takes NULL. */
void groups_free(struct groups *g);
void groups_forget(struct groups *g);

/*
 * The lanes of `group`, one a slot: at least 1, at most `slots` and as many as there are lanes. Of
 * lanes that have one of `families` (PLAN_V4, PLAN_V6; 0: not known, which is IPv4), as long as
 * there are any. A remembered lane that has not been heard of for two minutes is passed over for
 * now; for a day: replaced. RC_UNAVAILABLE: there is no lane at all yet.
 */
enum rc_status groups_lanes(struct groups *g, struct db *db, const char *group, uint32_t slots,
			    unsigned families, int64_t now_ms, uint32_t ret_lanes[GROUPS_SLOTS_MAX],
			    size_t *ret_count, struct rc_error *err) RC_MUST_CHECK;
/* The group's lane among those of the family that `lane` is not of; `lane`, where there is none. */
enum rc_status groups_other_family(struct groups *g, struct db *db, const char *group,
				   uint32_t lane, int64_t now_ms, uint32_t *ret_lane,
				   struct rc_error *err) RC_MUST_CHECK;

#endif
