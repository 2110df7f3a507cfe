/*
 * reuse - rows whose verdict of an earlier job of the same tenant is fresh enough: taken over at
 * the plan, without a probe.
 *
 * The last verdict on an address decides: a refusal of yesterday is not passed over for an
 * acceptance of last week. It comes with all that the earlier row had, when it was checked and
 * under which rules included, and points to that row's evidence.
 */
#ifndef COORDINATOR_STORE_REUSE_H
#define COORDINATOR_STORE_REUSE_H

#include <stdint.h>

#include "common/base/status.h"

struct db;

struct reuse_job {
	int64_t id;
	int32_t tenant;
	const char *table_set;
	int64_t max_age_ms;
};

/* Within the plan's transaction, after the lists have decided. Domains of which no row is open any
 * more are done with. *ret_rows: how many rows were decided. */
enum rc_status reuse_earlier(struct db *db, const struct reuse_job *job, int64_t *ret_rows,
			     struct rc_error *err) RC_MUST_CHECK;

#endif
