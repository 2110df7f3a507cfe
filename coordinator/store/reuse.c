/* See reuse.h. */
#include "coordinator/store/reuse.h"

#include <stdio.h>
#include <string.h>

#include "coordinator/core/history.h"
#include "coordinator/store/db.h"
#include "coordinator/store/plan.h"

/* For each reason from 1 how old its verdict may be, in seconds. */
static void lifetimes(struct rc_buf *ret_array, int64_t max_age_s)
{
	for (int reason = 1; reason < RC_REASON_COUNT; reason++) {
		int64_t life_s = history_lifetime_s((enum rc_reason)reason);

		db_array_int(ret_array, life_s < max_age_s ? life_s : max_age_s);
	}
	db_array_end(ret_array);
}

/* plan_reuse: which rows, and whose they were. */
static enum rc_status find(struct db *db, const struct reuse_job *job, int64_t *ret_found,
			   struct rc_error *err)
{
	struct rc_buf ages;
	struct db_result *r = NULL;
	enum rc_status status;
	char sql[1300];

	status =
	    db_exec(db,
		    "CREATE TEMP TABLE IF NOT EXISTS plan_reuse (uid bigint, job bigint, old_uid "
		    "bigint) ON COMMIT DELETE ROWS",
		    err);
	if (status != RC_OK)
		return status;
	rc_buf_init(&ages, 0);
	lifetimes(&ages, job->max_age_ms / 1000);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO plan_reuse SELECT i.uid, h.job, h.uid FROM item%s i"
		 " JOIN job_domain d ON d.job = i.job AND d.domain_no = i.domain_no"
		 " CROSS JOIN LATERAL (SELECT job, uid, reason, checked_at FROM address_history a"
		 " WHERE a.tenant = $2 AND a.domain_key = domain_key(d.domain)"
		 " AND a.address_key = address_key(i.local, d.domain) AND a.job <> $1"
		 " ORDER BY checked_at DESC LIMIT 1) h"
		 " WHERE i.job = $1"
		 " AND h.checked_at >= now() - ($3::int[])[h.reason] * interval '1 second'"
		 " AND ($3::int[])[h.reason] > 0"
		 " AND NOT EXISTS (SELECT FROM result%s r WHERE r.job = i.job AND r.uid = i.uid)",
		 job->table_set, job->table_set);
	status = db_query(db, sql, DB_PARAMS(db_int(job->id), db_int(job->tenant), db_buf(&ages)),
			  &r, err);
	if (status == RC_OK)
		*ret_found = db_affected(r);
	db_result_free(r);
	rc_buf_done(&ages);
	return status;
}

/* From the jobs of one set of tables. */
static enum rc_status copy(struct db *db, const struct reuse_job *job, const char *old_set,
			   int64_t *ret_rows, struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status;
	char sql[1600];

	snprintf(
	    sql, sizeof(sql),
	    "WITH added AS (INSERT INTO result%s (job, uid, reason, flags, score, smtp_code, "
	    "enhanced, provider, mx, did_you_mean, attempts, lane, rule, checked_at, shard, "
	    "part, sending, evidence_uid, basis, rules)"
	    " SELECT $1, p.uid, x.reason, x.flags, x.score, x.smtp_code, x.enhanced, "
	    "x.provider, x.mx, x.did_you_mean, x.attempts, x.lane, x.rule, x.checked_at, "
	    "x.shard, x.part, x.sending, coalesce(x.evidence_uid, x.uid), x.basis, x.rules"
	    " FROM plan_reuse p JOIN job o ON o.id = p.job AND o.tenant = $2 AND o.table_set = "
	    "$3 JOIN result%s x ON x.job = p.job AND x.uid = p.old_uid"
	    " ON CONFLICT DO NOTHING RETURNING reason),"
	    " counted AS (SELECT reason, count(*) AS n FROM added GROUP BY reason),"
	    " c AS (INSERT INTO job_count AS c (job, sink, reason, n) SELECT $1, $4, reason, n "
	    "FROM counted ON CONFLICT (job, sink, reason) DO UPDATE SET n = c.n + excluded.n)"
	    " SELECT coalesce(sum(n), 0) FROM counted",
	    job->table_set, old_set);
	status = db_query(
	    db, sql,
	    DB_PARAMS(db_int(job->id), db_int(job->tenant), db_text(old_set), db_int(PLAN_COUNTER)),
	    &r, err);
	if (status == RC_OK)
		*ret_rows += db_get_int(r, 0, 0);
	db_result_free(r);
	return status;
}

static enum rc_status close_domains(struct db *db, const struct reuse_job *job,
				    struct rc_error *err)
{
	char sql[600];

	snprintf(sql, sizeof(sql),
		 "UPDATE job_domain d SET state = 3 WHERE d.job = $1 AND d.state = 0 AND NOT EXISTS"
		 " (SELECT FROM item%s i WHERE i.job = d.job AND i.uid BETWEEN d.first_uid AND "
		 "d.first_uid + d.n - 1 AND NOT EXISTS (SELECT FROM result%s r WHERE r.job = i.job "
		 "AND r.uid = i.uid))",
		 job->table_set, job->table_set);
	return db_query(db, sql, DB_PARAMS(db_int(job->id)), NULL, err);
}

enum rc_status reuse_earlier(struct db *db, const struct reuse_job *job, int64_t *ret_rows,
			     struct rc_error *err)
{
	struct db_result *sets = NULL;
	int64_t found = 0;
	enum rc_status status = find(db, job, &found, err);

	*ret_rows = 0;
	if (status != RC_OK || found == 0)
		return status;
	/* Jobs first, as everywhere: one that is being deleted is waited for, and then gone. */
	status = db_query(db,
			  "SELECT DISTINCT table_set FROM (SELECT table_set FROM job WHERE id IN "
			  "(SELECT job FROM plan_reuse) ORDER BY id FOR KEY SHARE) j",
			  DB_NONE, &sets, err);
	for (int i = 0; status == RC_OK && i < db_rows(sets); i++) {
		const char *set = db_get_text(sets, i, 0);

		/* Our own suffixes, "" or "_17", and nothing else, go into a statement's text. */
		if (strspn(set, "_0123456789") == strlen(set))
			status = copy(db, job, set, ret_rows, err);
	}
	db_result_free(sets);
	if (status == RC_OK && *ret_rows > 0)
		status = close_domains(db, job, err);
	return status;
}
