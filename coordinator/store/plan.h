/*
 * plan - an uploaded list becomes domains, items and rows: all of it within PostgreSQL, so that
 * memory here stays flat.
 *
 * Distinct addresses (ASCII case aside; the first spelling counts) get uids that are dense by
 * domain, domains in the order of their first appearance; bad rows get uids behind them, and their
 * result at once. Jobs of PLAN_OWN_TABLES rows have tables of their own. Within the caller's
 * transaction, in which plan_take() has locked the job.
 */
#ifndef COORDINATOR_STORE_PLAN_H
#define COORDINATOR_STORE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"

struct db;

enum { PLAN_OWN_TABLES = 1000000, PLAN_COUNTER = -1, PLAN_TABLE_SET_MAX = 24 };

struct plan_job {
	int64_t id;
	bool interactive;
	int64_t rows;
	int32_t tenant;
	int64_t max_age_ms;		    /* 0: no earlier verdict stands for a new one */
	char table_set[PLAN_TABLE_SET_MAX]; /* set by plan_make() */
	int64_t items, domains;		    /* set by plan_make() */
};

/* Locks the next job that waits for its plan and that nobody else is planning; ret_job->id 0: none.
 */
enum rc_status plan_take(struct db *db, struct plan_job *ret_job,
			 struct rc_error *err) RC_MUST_CHECK;
/* Everything up to job_domain, item, row_uid and the results of bad rows; `bad_score` is their
 * score, `rules` the version that they carry. */
enum rc_status plan_make(struct db *db, struct plan_job *job, int bad_score, uint64_t rules,
			 struct rc_error *err) RC_MUST_CHECK;
/* Drops the stage and lets the job run. */
enum rc_status plan_finish(struct db *db, const struct plan_job *job,
			   struct rc_error *err) RC_MUST_CHECK;
/* In a transaction of its own: the job cannot be planned, and says why. */
enum rc_status plan_fail(struct db *db, int64_t job, const char *why,
			 struct rc_error *err) RC_MUST_CHECK;

/* The next domains of a job behind `after`, at most `limit`: calls back for each. */
typedef void plan_domain_fn(void *arg, int32_t domain_no, const char *domain, int64_t first_uid,
			    uint32_t n);
enum rc_status plan_domains(struct db *db, int64_t job, int32_t after, int limit,
			    plan_domain_fn *each, void *arg, int *ret_count,
			    struct rc_error *err) RC_MUST_CHECK;

#endif
