/* See progress.h. */
#include "coordinator/store/progress.h"

#include "coordinator/store/db.h"

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
	    db_query_kept(db,
			  "WITH ended AS MATERIALIZED (SELECT id FROM job WHERE state IN ('done', "
			  "'cancelled', 'failed')"
			  " AND finished_at > now() - interval '1 hour'),"
			  " d AS (DELETE FROM deferred WHERE job IN (SELECT id FROM ended))"
			  " UPDATE shard s SET state = 4 FROM ended WHERE s.job = ended.id AND "
			  "s.state IN (0, 1, 3)",
			  DB_NONE, &r, err);

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
	    " AND deadline_at <= now() AND item_count IS NOT NULL LIMIT 10",
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
	return db_query_kept(db, "UPDATE shard SET state = 4 WHERE job = $1 AND state IN (0, 1, 3)",
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
