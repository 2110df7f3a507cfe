/*
 * progress - the ends of jobs and of what held them up, as the leader looks for them now and then.
 */
#ifndef COORDINATOR_STORE_PROGRESS_H
#define COORDINATOR_STORE_PROGRESS_H

#include <stdint.h>

#include "common/base/status.h"

struct db;
struct db_result;

enum { PROGRESS_HOLD_S = 24 * 3600, LEADER_COUNTER = -2 };

/* Running jobs with a result for each item become `done`. One column: ids. */
enum rc_status progress_finish(struct db *db, struct db_result **ret_result,
			       struct rc_error *err) RC_MUST_CHECK;
/* What jobs that ended left in the queue is dropped, and forgotten in `deferred`. */
enum rc_status progress_drop_ended(struct db *db, int64_t *ret_count,
				   struct rc_error *err) RC_MUST_CHECK;
/* Jobs past their deadline: id, table_set, item_count. */
enum rc_status progress_overdue(struct db *db, struct db_result **ret_result,
				struct rc_error *err) RC_MUST_CHECK;
/* Domains of running jobs that the harvest guard has held for a day: job, table_set, domain_no,
 * domain, first_uid, n, provider. */
enum rc_status progress_held_too_long(struct db *db, struct db_result **ret_result,
				      struct rc_error *err) RC_MUST_CHECK;
/* Its queued, held and outstanding shards are dropped. */
enum rc_status progress_drop_domain(struct db *db, int64_t job, int32_t domain_no,
				    struct rc_error *err) RC_MUST_CHECK;
enum rc_status progress_drop_job(struct db *db, int64_t job, struct rc_error *err) RC_MUST_CHECK;
/* Domains (number, domain, first_uid, n, provider) of a job behind `after` in order, at most 500.
 */
enum rc_status progress_domains(struct db *db, int64_t job, int32_t after,
				struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;
/* Jobs that are not running: what waits of them in memory is to be forgotten. One column, only
 * those with shards queued. */
enum rc_status progress_stopped(struct db *db, struct db_result **ret_result,
				struct rc_error *err) RC_MUST_CHECK;

/*
 * The net below everything else: a running job of which nothing is queued, out or held, but rows
 * are missing that wait for nothing. That is a bug of ours or damage from outside; its domains are
 * looked up again. *ret_count: lines put back.
 */
enum rc_status progress_repair(struct db *db, int64_t *ret_count,
			       struct rc_error *err) RC_MUST_CHECK;

/* Verdicts in the history of addresses that are older than `keep_s`, at most 50,000 at once. */
enum rc_status progress_forget(struct db *db, int64_t keep_s, int64_t *ret_count,
			       struct rc_error *err) RC_MUST_CHECK;

#endif
