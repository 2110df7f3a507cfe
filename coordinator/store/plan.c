/* See plan.h. */
#include "coordinator/store/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/reply/reason.h"
#include "coordinator/store/db.h"
#include "coordinator/store/upload.h"

enum { ANALYZE_FROM = 20000 };

enum rc_status plan_take(struct db *db, struct plan_job *ret_job, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT id, interactive, row_count, tenant, coalesce((extract(epoch FROM max_age) * "
	    "1000)::bigint, 0) FROM job WHERE state = 'planning'"
	    " ORDER BY interactive DESC, row_count >= 1000000, id LIMIT 1 FOR NO KEY "
	    "UPDATE SKIP LOCKED",
	    DB_NONE, &r, err);

	if (status != RC_OK)
		return status;
	memset(ret_job, 0, sizeof(*ret_job));
	if (db_rows(r) > 0) {
		ret_job->id = db_get_int(r, 0, 0);
		ret_job->interactive = db_get_bool(r, 0, 1);
		ret_job->rows = db_get_int(r, 0, 2);
		ret_job->tenant = (int32_t)db_get_int(r, 0, 3);
		ret_job->max_age_ms = db_get_int(r, 0, 4);
	}
	db_result_free(r);
	return RC_OK;
}

/* The session's own scratch tables: made once, empty at every commit. */
static enum rc_status scratch(struct db *db, struct rc_error *err)
{
	return db_exec(db,
		       "CREATE TEMP TABLE IF NOT EXISTS plan_row (n bigint, n0 bigint, domain "
		       "text) ON COMMIT DELETE ROWS;"
		       "CREATE TEMP TABLE IF NOT EXISTS plan_domain (domain text, no int, "
		       "first_uid bigint, count bigint)"
		       " ON COMMIT DELETE ROWS;"
		       "CREATE TEMP TABLE IF NOT EXISTS plan_item (n0 bigint, uid bigint, no int) "
		       "ON COMMIT DELETE ROWS;"
		       "SET LOCAL work_mem = '64MB'; SET LOCAL client_min_messages = error",
		       err);
}

static enum rc_status count_of(struct db *db, const char *sql, int64_t *ret_count,
			       struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query(db, sql, DB_NONE, &r, err);

	if (status != RC_OK)
		return status;
	*ret_count = db_get_int(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}

static enum rc_status own_tables(struct db *db, const char *set, struct rc_error *err)
{
	return db_execf(
	    db, err,
	    "CREATE TABLE item%s (LIKE item INCLUDING DEFAULTS);"
	    "CREATE TABLE row_uid%s (LIKE row_uid INCLUDING DEFAULTS);"
	    "CREATE TABLE result%s (LIKE result INCLUDING DEFAULTS, PRIMARY KEY (job, uid))",
	    set, set, set);
}

enum rc_status plan_make(struct db *db, struct plan_job *job, int bad_score, uint64_t rules,
			 struct rc_error *err)
{
	bool own = job->rows >= PLAN_OWN_TABLES;
	const char *set = job->table_set;
	int64_t id = job->id, distinct = 0, bad = 0;
	char score[16] = "NULL";
	enum rc_status status;

	if (bad_score >= 0)
		snprintf(score, sizeof(score), "%d", bad_score);
	if (own)
		snprintf(job->table_set, sizeof(job->table_set), "_%" PRId64, id);
	status = scratch(db, err);
	if (status == RC_OK && own)
		status = own_tables(db, set, err);
	/* Each row and the first of its kind. "C": only ASCII has case here. */
	if (status == RC_OK)
		status = db_execf(db, err,
				  "INSERT INTO plan_row SELECT n, min(n) OVER (PARTITION BY "
				  "domain, lower(local COLLATE \"C\")), domain"
				  " FROM stage_%" PRId64 " WHERE kind = %d",
				  id, STAGE_ADDRESS);
	if (status == RC_OK && job->rows >= ANALYZE_FROM)
		status = db_exec(db, "ANALYZE plan_row", err);
	if (status == RC_OK)
		status = db_exec(
		    db,
		    "INSERT INTO plan_domain SELECT domain, no, 1 + sum(count) OVER (ORDER BY no) "
		    "- count, count FROM"
		    " (SELECT domain, row_number() OVER (ORDER BY min(n)) AS no, count(*) FROM "
		    "plan_row WHERE n = n0"
		    "  GROUP BY domain) d;"
		    "INSERT INTO plan_item SELECT r.n, row_number() OVER (ORDER BY d.no, r.n), d.no"
		    " FROM plan_row r JOIN plan_domain d USING (domain) WHERE r.n = r.n0",
		    err);
	if (status == RC_OK && job->rows >= ANALYZE_FROM)
		status = db_exec(db, "ANALYZE plan_item", err);
	if (status == RC_OK)
		status = count_of(db, "SELECT count(*) FROM plan_item", &distinct, err);
	if (status == RC_OK)
		status = count_of(db, "SELECT count(*) FROM plan_domain", &job->domains, err);
	if (status == RC_OK)
		status = db_execf(
		    db, err,
		    "INSERT INTO job_domain (job, domain_no, domain, first_uid, n)"
		    " SELECT %" PRId64
		    ", no, domain, first_uid, count FROM plan_domain ORDER BY no;"
		    "INSERT INTO item%s (job, uid, domain_no, local)"
		    " SELECT %" PRId64 ", i.uid, i.no, s.local FROM plan_item i JOIN stage_%" PRId64
		    " s ON s.n = i.n0"
		    " ORDER BY i.uid;"
		    "INSERT INTO row_uid%s (job, n, uid)"
		    " SELECT %" PRId64
		    ", r.n, i.uid FROM plan_row r JOIN plan_item i ON i.n0 = r.n0 ORDER BY r.n",
		    id, set, id, id, set, id);
	/* Bad rows stand for themselves, behind the others. */
	if (status == RC_OK)
		status = db_execf(
		    db, err,
		    "WITH bad AS MATERIALIZED (SELECT n, %" PRId64
		    " + row_number() OVER (ORDER BY n) AS uid, local,"
		    " did_you_mean FROM stage_%" PRId64 " WHERE kind = %d),"
		    " i AS (INSERT INTO item%s (job, uid, domain_no, local) SELECT %" PRId64
		    ", uid, 0, local FROM bad),"
		    " u AS (INSERT INTO row_uid%s (job, n, uid) SELECT %" PRId64
		    ", n, uid FROM bad),"
		    " r AS (INSERT INTO result%s (job, uid, reason, score, did_you_mean, "
		    "checked_at, rules)"
		    " SELECT %" PRId64 ", uid, %d, %s, did_you_mean, now(), %" PRId64
		    " FROM bad RETURNING reason)"
		    " INSERT INTO job_count (job, sink, reason, n) SELECT %" PRId64
		    ", %d, reason, count(*) FROM r GROUP BY reason",
		    distinct, id, STAGE_BAD_SYNTAX, set, id, set, id, set, id, RC_REASON_BAD_SYNTAX,
		    score, (int64_t)rules, id, PLAN_COUNTER);
	if (status == RC_OK) {
		char sql[128];

		snprintf(sql, sizeof(sql), "SELECT count(*) FROM stage_%" PRId64 " WHERE kind = %d",
			 id, STAGE_BAD_SYNTAX);
		status = count_of(db, sql, &bad, err);
	}
	if (status == RC_OK && own)
		status = db_execf(db, err,
				  "ALTER TABLE item%s ADD PRIMARY KEY (job, uid); ALTER TABLE "
				  "row_uid%s ADD PRIMARY KEY (job, n);"
				  "ANALYZE item%s; ANALYZE row_uid%s",
				  set, set, set, set);
	job->items = distinct + bad;
	return status;
}

enum rc_status plan_finish(struct db *db, const struct plan_job *job, struct rc_error *err)
{
	enum rc_status status = db_query(
	    db,
	    "UPDATE job SET state = 'running', item_count = $2, domain_count = $3, table_set = $4, "
	    "planned_at = now(),"
	    " started_at = coalesce(started_at, now()) WHERE id = $1 AND state = 'planning'",
	    DB_PARAMS(db_int(job->id), db_int(job->items), db_int(job->domains),
		      db_text(job->table_set)),
	    NULL, err);

	if (status != RC_OK)
		return status;
	return db_execf(db, err, "DROP TABLE IF EXISTS stage_%" PRId64, job->id);
}

enum rc_status plan_fail(struct db *db, int64_t job, const char *why, struct rc_error *err)
{
	return db_query(db,
			"UPDATE job SET state = 'failed', error = $2, finished_at = now() WHERE id "
			"= $1 AND state = 'planning'",
			DB_PARAMS(db_int(job), db_text(why)), NULL, err);
}

enum rc_status plan_domains(struct db *db, int64_t job, int32_t after, int limit,
			    plan_domain_fn *each, void *arg, int *ret_count, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query_kept(db,
			  "SELECT domain_no, domain, first_uid, n FROM job_domain WHERE job = $1 "
			  "AND domain_no > $2"
			  " ORDER BY domain_no LIMIT $3",
			  DB_PARAMS(db_int(job), db_int(after), db_int(limit)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_count = db_rows(r);
	for (int i = 0; i < *ret_count; i++)
		each(arg, (int32_t)db_get_int(r, i, 0), db_get_text(r, i, 1), db_get_int(r, i, 2),
		     (uint32_t)db_get_int(r, i, 3));
	db_result_free(r);
	return RC_OK;
}
