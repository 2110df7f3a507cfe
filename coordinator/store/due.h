/*
 * due - which of the rows that wait have waited long enough, and the shards that carry them.
 *
 * Millions wait and none of them costs anything: an index holds what waits, job by job in order of
 * time, and only its beginning is read. What is due leaves in small batches, so that the statement
 * stays short however much falls due in one second; a domain's rows leave together. Jobs take turns
 * within a batch. Only the leader calls this, on the connection that holds its lock.
 */
#ifndef COORDINATOR_STORE_DUE_H
#define COORDINATOR_STORE_DUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"

struct db;
struct db_result;

/* Rows of a batch; a domain that has more is begun with these. */
enum { DUE_AT_ONCE = 100 };

/* Where the look begins. What has left stays in the index until a vacuum may remove it, which a
 * long download or a backup holds up: from here on it is not walked over again. What was made due
 * for the past (a job that is resumed, a hold that ends) is found by a look from the beginning,
 * every few seconds, less often where that takes long. All zero: from the beginning; set it so when
 * the clock was set. */
struct due_mark {
	int64_t from_ms; /* nothing that waited was due before */
	int64_t full_at_ms, full_took_ms;
};

/* Rows that are due at `now_ms`, by their jobs' turns, at most DUE_AT_ONCE; *ret_each of a job name
 * the domains. Locks the jobs until the transaction ends. *ret_result NULL: none. Those of a domain
 * that the harvest guard holds are among them, with the end of the hold in DUE_HELD_UNTIL. */
enum {
	DUE_JOB,
	DUE_UID,
	DUE_DOMAIN_NO,
	DUE_LANE,
	DUE_MX_HOST,
	DUE_MX_ADDRESS,
	DUE_CONTROL,
	DUE_ATTEMPT,
	DUE_NEED,
	DUE_GROUP,
	DUE_FIRST_AT,
	DUE_INTERACTIVE,
	DUE_REASON,
	DUE_HELD_UNTIL /* 0: it is not */
};
enum rc_status due_read(struct db *db, struct due_mark *mark, int64_t now_ms,
			struct db_result **ret_result, int *ret_each,
			struct rc_error *err) RC_MUST_CHECK;

/*
 * One batch becomes shards on the lane and to the MX address of the attempt before. `time_scale`
 * divides the greylisters' memory. *ret_rows 0: nothing was due; *ret_more: there may be others.
 * What is due in a held domain is put off until the hold ends: whoever releases it sooner makes its
 * rows due again.
 */
enum rc_status due_take(struct db *db, struct due_mark *mark, int64_t now_ms, int64_t time_scale,
			int64_t *ret_rows, bool *ret_more, struct rc_error *err) RC_MUST_CHECK;

#endif
