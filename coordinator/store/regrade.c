/* See regrade.h. */
#include "coordinator/store/regrade.h"

#include <stdio.h>

#include "common/reply/reason.h"
#include "coordinator/store/batch.h"
#include "coordinator/store/db.h"

enum rc_status regrade_lock(struct db *db, int64_t job, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(db, "SELECT FROM job WHERE id = $1 FOR NO KEY UPDATE",
					      DB_PARAMS(db_int(job)), &r, err);

	if (status != RC_OK)
		return status;
	if (db_rows(r) == 0)
		status = rc_error_set(err, RC_NOT_FOUND, "the job was deleted meanwhile");
	db_result_free(r);
	return status;
}

enum rc_status regrade_page(struct db *db, const char *set, int64_t job, int64_t after,
			    struct db_result **ret_result, struct rc_error *err)
{
	char sql[900];

	snprintf(
	    sql, sizeof(sql),
	    "SELECT x.uid, x.reason, x.flags, x.score, x.provider, x.shard, x.sending, "
	    "x.part, x.evidence_uid, x.basis, x.rules, i.local, coalesce(d.domain, ''), "
	    "coalesce(d.provider, ''), d.resolution"
	    " FROM (SELECT * FROM result%s WHERE job = $1 AND uid > $2 ORDER BY uid LIMIT %d) x"
	    " JOIN item%s i ON i.job = x.job AND i.uid = x.uid"
	    " LEFT JOIN job_domain d ON d.job = x.job AND d.domain_no = i.domain_no"
	    " ORDER BY x.uid",
	    set, REGRADE_PAGE, set);
	return db_query_kept(db, sql, DB_PARAMS(db_int(job), db_int(after)), ret_result, err);
}

enum rc_status regrade_reports(struct db *db, const struct rc_buf *shards,
			       const struct rc_buf *sendings, const struct rc_buf *parts,
			       struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT p.shard, p.attempt, p.part, p.body FROM (SELECT DISTINCT * FROM "
	    "unnest($1::bigint[], $2::int[], $3::int[])) AS u(shard, attempt, part)"
	    " CROSS JOIN LATERAL (SELECT * FROM report r WHERE r.shard = u.shard AND r.attempt = "
	    "u.attempt AND r.part = u.part LIMIT 1) p ORDER BY 1, 2, 3",
	    DB_PARAMS(db_buf(shards), db_buf(sendings), db_buf(parts)), ret_result, err);
}

static enum rc_status write_counts(struct db *db, int64_t job, const struct regrade_write *rows,
				   size_t n, struct rc_error *err)
{
	int64_t more[RC_REASON_COUNT] = { 0 };
	struct batch counts;
	enum rc_status status;

	for (size_t i = 0; i < n; i++) {
		more[rows[i].old_reason]--;
		more[rows[i].reason]++;
	}
	batch_init(&counts, 2);
	for (int i = 0; i < RC_REASON_COUNT; i++)
		if (more[i] != 0) {
			batch_int(&counts, i);
			batch_int(&counts, more[i]);
		}
	/* A line of its own: those of the sinks are theirs. It may be below 0, the sum is not. */
	status = batch_flush(&counts, db,
			     "INSERT INTO job_count AS c (job, sink, reason, n) SELECT $3, $4, "
			     "reason, n FROM unnest($1::smallint[], $2::bigint[]) AS u(reason, n)"
			     " ON CONFLICT (job, sink, reason) DO UPDATE SET n = c.n + excluded.n",
			     DB_PARAMS(db_int(job), db_int(REGRADE_COUNTER)), NULL, err);
	batch_done(&counts);
	return status;
}

static enum rc_status write_history(struct db *db, const char *set, int64_t job,
				    const struct regrade_write *rows, size_t n,
				    struct rc_error *err)
{
	struct batch changed;
	enum rc_status status;
	char sql[700];

	batch_init(&changed, 2);
	for (size_t i = 0; i < n; i++)
		if (rows[i].reason != rows[i].old_reason) {
			batch_int(&changed, rows[i].uid);
			batch_int(&changed, rows[i].reason);
		}
	snprintf(sql, sizeof(sql),
		 "UPDATE address_history h SET reason = u.reason"
		 " FROM unnest($1::bigint[], $2::smallint[]) AS u(uid, reason)"
		 " JOIN item%s i ON i.job = $3 AND i.uid = u.uid"
		 " JOIN job_domain d ON d.job = $3 AND d.domain_no = i.domain_no"
		 " JOIN job j ON j.id = $3"
		 " WHERE h.tenant = j.tenant AND h.domain_key = domain_key(d.domain)"
		 " AND h.address_key = address_key(i.local, d.domain) AND h.job = $3",
		 set);
	status = batch_flush(&changed, db, sql, DB_PARAMS(db_int(job)), NULL, err);
	batch_done(&changed);
	return status;
}

enum rc_status regrade_write(struct db *db, const char *set, int64_t job, uint64_t rules,
			     const struct regrade_write *rows, size_t n, struct rc_error *err)
{
	struct batch results;
	enum rc_status status;
	char sql[900];

	if (n == 0)
		return RC_OK;
	batch_init(&results, 7);
	for (size_t i = 0; i < n; i++) {
		batch_int(&results, rows[i].uid);
		batch_int(&results, rows[i].reason);
		batch_int(&results, rows[i].flags);
		if (rows[i].score < 0)
			batch_null(&results);
		else
			batch_int(&results, rows[i].score);
		batch_text(&results, rows[i].rule);
		batch_text(&results, rows[i].provider);
		batch_bool(&results, rows[i].changed);
	}
	/* Whoever asks for what changed since (xid) is told of what did. */
	snprintf(sql, sizeof(sql),
		 "UPDATE result%s r SET reason = u.reason, flags = u.flags, score = u.score, "
		 "rule = coalesce(u.rule, r.rule), provider = u.provider, rules = $9,"
		 " xid = CASE WHEN u.changed THEN pg_current_xact_id() ELSE r.xid END"
		 " FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::smallint[], "
		 "$5::text[], $6::text[], $7::boolean[])"
		 " AS u(uid, reason, flags, score, rule, provider, changed)"
		 " WHERE r.job = $8 AND r.uid = u.uid",
		 set);
	status = batch_flush(&results, db, sql, DB_PARAMS(db_int(job), db_int((int64_t)rules)),
			     NULL, err);
	batch_done(&results);
	if (status == RC_OK)
		status = write_counts(db, job, rows, n, err);
	if (status == RC_OK)
		status = write_history(db, set, job, rows, n, err);
	return status;
}

enum rc_status regrade_row_of(struct db *db, const char *set, int64_t job, int64_t uid,
			      int64_t *ret_row, struct rc_error *err)
{
	char sql[120];
	struct db_result *r;
	enum rc_status status;

	snprintf(sql, sizeof(sql), "SELECT min(n) FROM row_uid%s WHERE job = $1 AND uid = $2", set);
	status = db_query_kept(db, sql, DB_PARAMS(db_int(job), db_int(uid)), &r, err);
	if (status != RC_OK)
		return status;
	*ret_row = db_get_int(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}
