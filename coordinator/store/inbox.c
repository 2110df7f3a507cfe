/* See inbox.h. */
#include "coordinator/store/inbox.h"

#include <stdio.h>

#include "coordinator/store/db.h"

/* "rcsk": the class of the partitions' locks. */
#define SINK_LOCK "1919120235"

enum rc_status inbox_own(struct db *db, int32_t partition, bool *ret_mine, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(db, "SELECT pg_try_advisory_lock(" SINK_LOCK ", $1)",
					      DB_PARAMS(db_int(partition)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_mine = db_get_bool(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}

enum rc_status inbox_next(struct db *db, int generation, int32_t partition, int64_t *ret_next,
			  struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db,
	    "INSERT INTO sink_offset AS s (generation, partition, next) VALUES ($1, $2, 0)"
	    " ON CONFLICT (generation, partition) DO UPDATE SET next = s.next RETURNING next",
	    DB_PARAMS(db_int(generation), db_int(partition)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_next = db_get_int(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}

enum rc_status inbox_advance(struct db *db, int generation, int32_t partition, int64_t old,
			     int64_t next, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db,
	    "UPDATE sink_offset SET next = $4 WHERE generation = $1 AND partition = $2 AND next = "
	    "$3",
	    DB_PARAMS(db_int(generation), db_int(partition), db_int(old), db_int(next)), &r, err);

	if (status != RC_OK)
		return status;
	if (db_affected(r) != 1)
		status = rc_error_set(
		    err, RC_CONFLICT,
		    "partition %d of the reports does not stand where this sink left it",
		    (int)partition);
	db_result_free(r);
	return status;
}

enum rc_status inbox_shards(struct db *db, const struct rc_buf *ids, struct db_result **ret_result,
			    struct rc_error *err)
{
	enum rc_status status;

	/* Jobs first, as everywhere: one that is being deleted is waited for, and then gone. */
	status = db_query_kept(db,
			       "SELECT FROM job WHERE id IN (SELECT job FROM shard WHERE id ="
			       " ANY($1::bigint[])) ORDER BY id FOR KEY SHARE",
			       DB_PARAMS(db_buf(ids)), NULL, err);
	if (status != RC_OK)
		return status;
	/* Two sinks may speak of the same domain: one after the other, in one order. */
	status = db_query_kept(db,
			       "SELECT FROM job_domain d WHERE (d.job, d.domain_no) IN (SELECT "
			       "job, domain_no FROM shard"
			       " WHERE id = ANY($1::bigint[]) AND domain_no IS NOT NULL) ORDER BY "
			       "d.job, d.domain_no FOR NO KEY UPDATE",
			       DB_PARAMS(db_buf(ids)), NULL, err);
	if (status != RC_OK)
		return status;
	/* Columns as INBOX_* has them; times in ms. */
	return db_query_kept(
	    db,
	    "SELECT s.id, s.job, s.kind, s.lane, coalesce(s.domain_no, 0), s.n, s.attempt, "
	    "s.state, j.state, j.table_set, j.interactive, d.domain, d.provider, "
	    "d.mx_group, d.state, d.attempts, d.first_uid, d.n, d.harvest, d.held_at IS NOT"
	    " NULL, d.rejects_all, k.control, coalesce((extract(epoch FROM k.control_at) * "
	    "1000)::bigint, 0), k.control_lane, coalesce((extract(epoch FROM k.accepted_at)"
	    " * 1000)::bigint, 0), j.tenant, coalesce((extract(epoch FROM h.ok_at) * "
	    "1000)::bigint, 0), coalesce((extract(epoch FROM h.blocked_since) * "
	    "1000)::bigint, 0), w.too_early_s, w.enough_s, w.passes, w.refusals, w.late, w.key, "
	    "coalesce((extract(epoch FROM w.seen_at) * 1000)::bigint, 0), "
	    "coalesce(w.passed_domain, ''), d.risk, coalesce((extract(epoch FROM k.first_seen) * "
	    "1000)::bigint, 0), (SELECT coalesce((extract(epoch FROM min(first_seen)) * "
	    "1000)::bigint, 0) FROM domain_knowledge), d.doubted, coalesce(d.witness, 0)"
	    " FROM shard s JOIN job j ON j.id = s.job LEFT JOIN job_domain"
	    " d ON d.job = s.job AND d.domain_no = s.domain_no LEFT JOIN domain_knowledge k"
	    " ON k.domain = d.domain LEFT JOIN lane_health h ON h.lane = s.lane AND "
	    "h.mx_group = d.mx_group LEFT JOIN greylist_window w ON w.mx_group = d.mx_group WHERE "
	    "s.id = ANY($1::bigint[])",
	    DB_PARAMS(db_buf(ids)), ret_result, err);
}

enum rc_status inbox_rows(struct db *db, const char *table_set, const struct rc_buf *jobs,
			  const struct rc_buf *uids, struct db_result **ret_result,
			  struct rc_error *err)
{
	char sql[1200];

	/* LIMIT 1: one look into each index a row, as in shards_recipients(). */
	snprintf(sql, sizeof(sql),
		 "SELECT u.job, u.uid, i.local, r.uid IS NOT NULL, d.attempt, d.tries, d.reason, "
		 "coalesce((extract(epoch FROM d.first_at) * 1000)::bigint, 0), "
		 "coalesce(d.shard, 0), d.idle"
		 " FROM unnest($1::bigint[], $2::bigint[]) AS u(job, uid)"
		 " CROSS JOIN LATERAL (SELECT local FROM item%s WHERE job = u.job AND uid = u.uid "
		 "LIMIT 1) i"
		 " LEFT JOIN LATERAL (SELECT uid FROM result%s WHERE job = u.job AND uid = u.uid "
		 "LIMIT 1) r ON true"
		 " LEFT JOIN LATERAL (SELECT attempt, tries, reason, first_at, shard, idle FROM "
		 "deferred WHERE job = u.job AND uid = u.uid LIMIT 1) d ON true",
		 table_set, table_set);
	return db_query_kept(db, sql, DB_PARAMS(db_buf(jobs), db_buf(uids)), ret_result, err);
}

enum rc_status inbox_earlier(struct db *db, const struct rc_buf *tenants,
			     const struct rc_buf *domains, const struct rc_buf *locals,
			     const struct rc_buf *jobs, struct db_result **ret_result,
			     struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT u.i, h.reason, " DB_MS(
		"h.checked_at") " FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[]) "
				"WITH ORDINALITY"
				" AS u(tenant, domain, local, job, i) CROSS JOIN LATERAL (SELECT "
				"reason, checked_at"
				" FROM address_history a WHERE a.tenant = u.tenant AND "
				"a.domain_key ="
				" domain_key(u.domain) AND a.address_key = address_key(u.local, "
				"u.domain)"
				" AND a.job <> u.job ORDER BY checked_at DESC LIMIT 1) h",
	    DB_PARAMS(db_buf(tenants), db_buf(domains), db_buf(locals), db_buf(jobs)), ret_result,
	    err);
}

enum rc_status inbox_lookups(struct db *db, const struct rc_buf *shards,
			     struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT s.id, d.domain_no, d.domain, d.first_uid, d.n, d.attempts, coalesce(" DB_MS(
		"d.first_at") ", 0),"
			      " d.resolution FROM shard s JOIN job_domain d ON d.job = s.job AND "
			      "d.domain_no = ANY(s.domain_nos)"
			      " WHERE s.id = ANY($1::bigint[]) AND s.kind = 2 AND d.state = 1 "
			      "ORDER BY d.job, d.domain_no"
			      " FOR NO KEY UPDATE OF d",
	    DB_PARAMS(db_buf(shards)), ret_result, err);
}

enum rc_status inbox_left(struct db *db, const char *table_set, const struct rc_buf *shards,
			  struct db_result **ret_result, struct rc_error *err)
{
	char sql[1100];

	snprintf(sql, sizeof(sql),
		 "SELECT s.id, s.job, u.uid, s.domain_no, s.lane, coalesce(d.attempt, 0), "
		 "coalesce(d.tries, 0), d.reason,"
		 " coalesce(" DB_MS(
		     "d.first_at") ", 0), coalesce(d.idle, 0) FROM shard s"
				   " CROSS JOIN LATERAL (SELECT generate_series(s.first_uid, "
				   "s.first_uid + s.n - 1) AS uid WHERE s.uids IS NULL"
				   " UNION ALL SELECT unnest(s.uids)) u LEFT JOIN deferred d ON "
				   "d.job = s.job AND d.uid = u.uid"
				   " WHERE s.id = ANY($1::bigint[]) AND s.kind = 1 AND (d.uid IS "
				   "NULL OR d.shard = s.id)"
				   " AND NOT EXISTS (SELECT FROM result%s r WHERE r.job = s.job "
				   "AND r.uid = u.uid)",
		 table_set);
	return db_query_kept(db, sql, DB_PARAMS(db_buf(shards)), ret_result, err);
}

enum rc_status inbox_lookups_left(struct db *db, const struct rc_buf *shards, int64_t due_at_ms,
				  struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "UPDATE job_domain d SET state = 4, due_at = $2::timestamptz FROM shard s WHERE s.id = "
	    "ANY($1::bigint[])"
	    " AND s.kind = 2 AND d.job = s.job AND d.domain_no = ANY(s.domain_nos) AND d.state = 1",
	    DB_PARAMS(db_buf(shards), db_when(due_at_ms)), NULL, err);
}

enum rc_status inbox_sample(struct db *db, int64_t job, int32_t domain_no, int64_t first_uid,
			    int64_t last_uid, bool *ret_out, bool *ret_waiting,
			    struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT EXISTS (SELECT FROM shard WHERE job = $1 AND domain_no = $2 AND state IN (0, "
	    "1, 3)),"
	    " EXISTS (SELECT FROM deferred WHERE job = $1 AND uid BETWEEN $3 AND $4)",
	    DB_PARAMS(db_int(job), db_int(domain_no), db_int(first_uid), db_int(last_uid)), &r,
	    err);

	if (status != RC_OK)
		return status;
	*ret_out = db_get_bool(r, 0, 0);
	*ret_waiting = db_get_bool(r, 0, 1);
	db_result_free(r);
	return RC_OK;
}
