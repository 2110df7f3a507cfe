/* See progress.h. */
#include "coordinator/store/progress.h"

#include <stdio.h>

#include "coordinator/store/db.h"

/* Rows of ended jobs that are forgotten in one sweep: who cancels a million shall not stop the
 * others. */
enum { DROP_AT_ONCE = 50000 };

enum rc_status progress_finish(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "UPDATE job j SET state = 'done', finished_at = now() WHERE j.state = 'running' AND "
	    "j.item_count <="
	    " (SELECT coalesce(sum(n), 0) FROM job_count c WHERE c.job = j.id) RETURNING j.id",
	    DB_NONE, ret_result, err);
}

enum rc_status progress_drop_ended(struct db *db, int64_t *ret_count, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query(db,
		     "WITH ended AS MATERIALIZED (SELECT id FROM job WHERE state IN ('done', "
		     "'cancelled', 'failed')"
		     " AND finished_at > now() - interval '1 hour' FOR KEY SHARE SKIP LOCKED),"
		     " d AS (DELETE FROM deferred WHERE ctid = ANY(ARRAY(SELECT w.ctid FROM "
		     "ended CROSS JOIN LATERAL (SELECT ctid FROM deferred WHERE job = ended.id "
		     "LIMIT $1) w LIMIT $1)))"
		     " UPDATE shard s SET state = 4 FROM ended WHERE s.job = ended.id AND "
		     "s.state IN (0, 1, 3)",
		     DB_PARAMS(db_int(DROP_AT_ONCE)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_count = db_affected(r);
	db_result_free(r);
	return RC_OK;
}

enum rc_status progress_overdue(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT id, table_set, item_count FROM job WHERE state IN ('running', 'paused', 'held')"
	    " AND deadline_at <= now() AND item_count IS NOT NULL ORDER BY deadline_at LIMIT 10",
	    DB_NONE, ret_result, err);
}

enum rc_status progress_held_too_long(struct db *db, struct db_result **ret_result,
				      struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT d.job, j.table_set, d.domain_no, d.domain, d.first_uid, d.n, d.provider FROM "
	    "job j"
	    " JOIN job_domain d ON d.job = j.id WHERE j.state = 'running' AND d.state = 2"
	    " AND d.held_at < now() - $1 * interval '1 second' LIMIT 20",
	    DB_PARAMS(db_int(PROGRESS_HOLD_S)), ret_result, err);
}

enum rc_status progress_drop_domain(struct db *db, int64_t job, int32_t domain_no,
				    struct rc_error *err)
{
	enum rc_status status = db_query_kept(
	    db,
	    "UPDATE shard SET state = 4 WHERE job = $1 AND domain_no = $2 AND state IN (0, 1, 3)",
	    DB_PARAMS(db_int(job), db_int(domain_no)), NULL, err);

	if (status != RC_OK)
		return status;
	return db_query_kept(db,
			     "UPDATE job_domain SET state = 3 WHERE job = $1 AND domain_no = $2",
			     DB_PARAMS(db_int(job), db_int(domain_no)), NULL, err);
}

enum rc_status progress_drop_job(struct db *db, int64_t job, struct rc_error *err)
{
	/* A paused one runs to its end, too: only what runs is finished. */
	return db_query_kept(db,
			     "WITH runs AS (UPDATE job SET state = 'running' WHERE id = $1 AND state IN "
			     "('paused', 'held'))"
			     " UPDATE shard SET state = 4 WHERE job = $1 AND state IN (0, 1, 3)",
			     DB_PARAMS(db_int(job)), NULL, err);
}

enum rc_status progress_domains(struct db *db, int64_t job, int32_t after,
				struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db,
			     "SELECT domain_no, domain, first_uid, n, provider FROM job_domain "
			     "WHERE job = $1 AND domain_no > $2"
			     " ORDER BY domain_no LIMIT 500",
			     DB_PARAMS(db_int(job), db_int(after)), ret_result, err);
}

enum rc_status progress_stopped(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db, "SELECT id FROM job WHERE state IN ('paused', 'held') LIMIT 1000",
			     DB_NONE, ret_result, err);
}

#define IDLE_JOBS                                                                                  \
	"idle AS MATERIALIZED (SELECT id FROM job j WHERE state = 'running' AND NOT EXISTS "       \
	"(SELECT"                                                                                  \
	" FROM shard s WHERE s.job = j.id AND s.state IN (0, 1, 3)))"

static enum rc_status missing_of(struct db *db, int64_t job, const char *table_set,
				 int64_t *ret_count, struct rc_error *err)
{
	char sql[700];
	struct db_result *r;
	enum rc_status status;

	snprintf(
	    sql, sizeof(sql),
	    "UPDATE job_domain d SET state = 0 WHERE d.job = $1 AND EXISTS (SELECT FROM item%s i "
	    "WHERE"
	    " i.job = d.job AND i.uid BETWEEN d.first_uid AND d.first_uid + d.n - 1 AND NOT EXISTS"
	    " (SELECT FROM result%s r WHERE r.job = i.job AND r.uid = i.uid))",
	    table_set, table_set);
	status = db_query(db, sql, DB_PARAMS(db_int(job)), &r, err);
	if (status != RC_OK)
		return status;
	*ret_count += db_affected(r);
	db_result_free(r);
	return RC_OK;
}

enum rc_status progress_repair(struct db *db, int64_t *ret_count, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status;

	*ret_count = 0;
	/* Planned each time: a plan made while little waited reads all of a million rows. */
	/* One statement is one snapshot: what the others do in between is not seen by halves. */
	status = db_query(db,
			  "WITH " IDLE_JOBS ","
			  " a AS (UPDATE job_domain SET state = 0 WHERE state = 1 AND job IN "
			  "(SELECT id FROM idle)"
			  " RETURNING 1),"
			  " b AS (UPDATE deferred SET shard = NULL WHERE shard IS NOT NULL "
			  "AND job IN (SELECT id FROM"
			  " idle) RETURNING 1)"
			  " SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)",
			  DB_NONE, &r, err);
	if (status != RC_OK)
		return status;
	*ret_count = db_get_int(r, 0, 0);
	db_result_free(r);
	status = db_query(
	    db,
	    "WITH " IDLE_JOBS " SELECT j.id, j.table_set FROM job j JOIN idle USING (id)"
	    " WHERE j.item_count > (SELECT coalesce(sum(n), 0) FROM job_count c WHERE c.job = j.id)"
	    " AND NOT EXISTS (SELECT FROM deferred f WHERE f.job = j.id)"
	    " AND NOT EXISTS (SELECT FROM job_domain d WHERE d.job = j.id AND d.state IN (0, 1, "
	    "4))",
	    DB_NONE, &r, err);
	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r) && status == RC_OK; i++)
		status = missing_of(db, db_get_int(r, i, 0), db_get_text(r, i, 1), ret_count, err);
	db_result_free(r);
	return status;
}

enum rc_status progress_forget(struct db *db, int64_t keep_s, int64_t *ret_count,
			       struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query_kept(db,
			  "DELETE FROM address_history WHERE ctid = ANY(ARRAY(SELECT ctid FROM "
			  "address_history WHERE checked_at < now() - $1 * interval '1 second' "
			  "LIMIT 50000))",
			  DB_PARAMS(db_int(keep_s)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_count = db_affected(r);
	db_result_free(r);
	return RC_OK;
}
