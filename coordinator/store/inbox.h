/*
 * inbox - what the sink reads and keeps besides its writes: offsets, and all that is known of what
 * a batch of reports speaks of.
 *
 * Results are read by column number. Within the sink's transaction but for inbox_own() and
 * inbox_next().
 */
#ifndef COORDINATOR_STORE_INBOX_H
#define COORDINATOR_STORE_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/status.h"

struct db;
struct db_result;

/* The session's lock on a partition: whoever holds it is the only one to write for it. */
enum rc_status inbox_own(struct db *db, int32_t partition, bool *ret_mine,
			 struct rc_error *err) RC_MUST_CHECK;
/* Where to go on; makes the line where there is none. */
enum rc_status inbox_next(struct db *db, int generation, int32_t partition, int64_t *ret_next,
			  struct rc_error *err) RC_MUST_CHECK;
/* RC_CONFLICT: it does not stand at `old`: somebody else has been here. */
enum rc_status inbox_advance(struct db *db, int generation, int32_t partition, int64_t old,
			     int64_t next, struct rc_error *err) RC_MUST_CHECK;

/* The shards of `ids` (array literal) with job, domain and what is known of the domain. The
 * domain's line is locked. */
enum {
	INBOX_SHARD,
	INBOX_JOB,
	INBOX_KIND,
	INBOX_LANE,
	INBOX_DOMAIN_NO,
	INBOX_N,
	INBOX_ATTEMPT,
	INBOX_STATE,
	INBOX_JOB_STATE,
	INBOX_TABLE_SET,
	INBOX_INTERACTIVE,
	INBOX_DOMAIN,
	INBOX_PROVIDER,
	INBOX_GROUP,
	INBOX_DOMAIN_STATE,
	INBOX_LOOKUPS,
	INBOX_DOMAIN_FIRST_UID,
	INBOX_DOMAIN_N,
	INBOX_HARVEST,
	INBOX_HELD,
	INBOX_REJECTS_ALL,
	INBOX_CONTROL,
	INBOX_CONTROL_AT,
	INBOX_CONTROL_LANE,
	INBOX_ACCEPTED_AT,
	INBOX_TENANT,
	INBOX_OK_AT, /* of the lane at the MX group */
	INBOX_BLOCKED_SINCE,
	INBOX_WINDOW_TOO_EARLY, /* of the MX group, as a greylister */
	INBOX_WINDOW_ENOUGH,
	INBOX_WINDOW_PASSES,
	INBOX_WINDOW_REFUSALS,
	INBOX_WINDOW_LATE,
	INBOX_WINDOW_KEY,
	INBOX_WINDOW_SEEN_AT,
	INBOX_WINDOW_PASSED,
	INBOX_RISK,
	INBOX_FIRST_SEEN,
	INBOX_OLDEST_SEEN, /* of all domains */
	INBOX_DOUBTED,
	INBOX_WITNESS
};
enum rc_status inbox_shards(struct db *db, const struct rc_buf *ids, struct db_result **ret_result,
			    struct rc_error *err) RC_MUST_CHECK;

/* Rows by (job, uid) arrays: where they stand. A row that does not exist does not come back. */
enum {
	INBOX_ROW_JOB,
	INBOX_ROW_UID,
	INBOX_ROW_LOCAL,
	INBOX_ROW_HAS_RESULT,
	INBOX_ROW_ATTEMPT,
	INBOX_ROW_TRIES,
	INBOX_ROW_REASON,
	INBOX_ROW_FIRST_AT,
	INBOX_ROW_SHARD,
	INBOX_ROW_IDLE
};
enum rc_status inbox_rows(struct db *db, const char *table_set, const struct rc_buf *jobs,
			  const struct rc_buf *uids, struct db_result **ret_result,
			  struct rc_error *err) RC_MUST_CHECK;

/* Of addresses (arrays of equal length: tenants, domains, local parts, the jobs that ask) the last
 * verdict of the tenant's other jobs; those without one do not come back. */
enum { INBOX_EARLIER_AT, INBOX_EARLIER_REASON, INBOX_EARLIER_CHECKED_AT };
enum rc_status inbox_earlier(struct db *db, const struct rc_buf *tenants,
			     const struct rc_buf *domains, const struct rc_buf *locals,
			     const struct rc_buf *jobs, struct db_result **ret_result,
			     struct rc_error *err) RC_MUST_CHECK;

/* Of resolve shards the domains that wait for them. */
enum {
	INBOX_LOOKUP_SHARD,
	INBOX_LOOKUP_NO,
	INBOX_LOOKUP_DOMAIN,
	INBOX_LOOKUP_FIRST_UID,
	INBOX_LOOKUP_N,
	INBOX_LOOKUP_ATTEMPTS,
	INBOX_LOOKUP_FIRST_AT,
	INBOX_LOOKUP_BEFORE
};
enum rc_status inbox_lookups(struct db *db, const struct rc_buf *shards,
			     struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;

/* Of shards whose last part came: rows without any answer. */
enum {
	INBOX_LEFT_SHARD,
	INBOX_LEFT_JOB,
	INBOX_LEFT_UID,
	INBOX_LEFT_DOMAIN_NO,
	INBOX_LEFT_LANE,
	INBOX_LEFT_ATTEMPT,
	INBOX_LEFT_TRIES,
	INBOX_LEFT_REASON,
	INBOX_LEFT_FIRST_AT,
	INBOX_LEFT_IDLE
};
enum rc_status inbox_left(struct db *db, const char *table_set, const struct rc_buf *shards,
			  struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;
/* Domains that a resolve shard brought no answer for are looked up again at `due_at_ms`. */
enum rc_status inbox_lookups_left(struct db *db, const struct rc_buf *shards, int64_t due_at_ms,
				  struct rc_error *err) RC_MUST_CHECK;
/* Whether a domain's sample is still out, and whether rows of it wait for another try. */
enum rc_status inbox_sample(struct db *db, int64_t job, int32_t domain_no, int64_t first_uid,
			    int64_t last_uid, bool *ret_out, bool *ret_waiting,
			    struct rc_error *err) RC_MUST_CHECK;

#endif
