/* See shards.h. */
#include "coordinator/store/shards.h"

#include <stdio.h>
#include <string.h>

#include "coordinator/store/db.h"

enum { LOOKUPS_PER_JOB = 500 }; /* of one kind, in one turn of the leader */

/* A server was asked for some of a shard, from its lane. */
#define BEGUN "(attempt > 0 OR coalesce(1 < ANY(attempts), false))"

enum rc_status shards_queues(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db,
			     "WITH RECURSIVE q AS ((SELECT lane, job, class FROM shard WHERE state "
			     "= 0 ORDER BY lane, job, class LIMIT 1)"
			     " UNION ALL SELECT n.lane, n.job, n.class FROM q, LATERAL (SELECT "
			     "lane, job, class FROM shard WHERE state = 0"
			     " AND (lane, job, class) > (q.lane, q.job, q.class) ORDER BY lane, "
			     "job, class LIMIT 1) n)"
			     " SELECT q.lane, q.job, q.class, j.tenant FROM q JOIN job j ON j.id = "
			     "q.job WHERE j.state = 'running'",
			     DB_NONE, ret_result, err);
}

enum rc_status shards_page(struct db *db, uint32_t lane, int64_t job, int class, const char *group,
			   uint64_t id, int limit, struct db_result **ret_result,
			   struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT s.id, s.n, s.mx_group, coalesce(" DB_MS(
		"s.urgent_at") ", 0), d.provider, s.begun FROM (SELECT id, n, mx_group,"
			       " urgent_at, job, domain_no, " BEGUN
			       " AS begun FROM shard WHERE state = 0 AND lane = "
			       "$1 AND job = $2 AND class = $3"
			       " AND (mx_group, id) > ($4, $5) ORDER BY mx_group, id LIMIT $6) s"
			       " LEFT JOIN job_domain d ON d.job = s.job AND d.domain_no = "
			       "s.domain_no",
	    DB_PARAMS(db_int(lane), db_int(job), db_int(class), db_text(group), db_int((int64_t)id),
		      db_int(limit)),
	    ret_result, err);
}

enum rc_status shards_send(struct db *db, const struct rc_buf *ids, const struct rc_buf *epochs,
			   struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    /* Jobs first, as everywhere: one that is being deleted is passed by. */
	    "WITH j AS MATERIALIZED (SELECT id, table_set FROM job WHERE state = 'running' AND id "
	    "IN"
	    " (SELECT job FROM shard WHERE id = ANY($1::bigint[])) FOR KEY SHARE SKIP LOCKED),"
	    " sent AS (UPDATE shard s SET state = 1, attempt = s.attempt + 1, epoch = u.epoch, "
	    "sent_at = now()"
	    " FROM unnest($1::bigint[], $2::bigint[]) AS u(id, epoch), j"
	    " WHERE s.id = u.id AND s.state = 0 AND j.id = s.job"
	    " RETURNING s.id, s.job, s.kind, s.lane, s.attempt, s.epoch, s.mx_group, "
	    "s.bypass_cache, s.mx_host, s.mx_address,"
	    " s.control_local, s.need_control, j.table_set, s.domain_no)"
	    " SELECT s.id, s.job, s.kind, s.lane, s.attempt, s.epoch, s.mx_group, s.bypass_cache, "
	    "s.mx_host, s.mx_address,"
	    " s.control_local, s.need_control, s.table_set, d.domain, d.provider, d.resolution, "
	    "k.control,"
	    " extract(epoch FROM now() - k.control_at)::bigint, k.control_lane, "
	    "k.accepted_at IS NULL OR w.passes > 0, "
	    "d.doubted, d.witness IS NOT NULL, coalesce(k.control_host, '')"
	    " FROM sent s LEFT JOIN job_domain d ON d.job = s.job AND d.domain_no = s.domain_no"
	    " LEFT JOIN domain_knowledge k ON k.domain = d.domain LEFT JOIN greylist_window w ON"
	    " w.mx_group = s.mx_group ORDER BY s.table_set, s.id",
	    DB_PARAMS(db_buf(ids), db_buf(epochs)), ret_result, err);
}

enum rc_status shards_recipients(struct db *db, const char *table_set, const struct rc_buf *ids,
				 struct db_result **ret_result, struct rc_error *err)
{
	char sql[1400];

	/* LIMIT 1 keeps the planner at one look into each index a row, whatever it believes of the
	 * tables' sizes: they grow by the million between two ANALYZE. */
	snprintf(
	    sql, sizeof(sql),
	    "SELECT s.id, i.uid, i.local, coalesce(d.attempt, 0) + 1 FROM shard s"
	    " CROSS JOIN LATERAL (SELECT generate_series(s.first_uid, s.first_uid + s.n - 1) AS "
	    "uid WHERE s.uids IS NULL UNION ALL SELECT unnest(s.uids)) u"
	    " CROSS JOIN LATERAL (SELECT uid, local FROM item%s WHERE job = s.job AND uid = u.uid "
	    "LIMIT 1) i"
	    " LEFT JOIN LATERAL (SELECT uid, attempt, shard FROM deferred WHERE job = s.job AND "
	    "uid = u.uid LIMIT 1) d ON true"
	    " LEFT JOIN LATERAL (SELECT uid FROM result%s WHERE job = s.job AND uid = u.uid LIMIT "
	    "1) r ON true"
	    " WHERE s.id = ANY($1::bigint[]) AND s.kind = 1 AND (d.uid IS NULL OR d.shard = s.id)"
	    " AND r.uid IS NULL ORDER BY s.id, i.uid",
	    table_set, table_set);
	return db_query_kept(db, sql, DB_PARAMS(db_buf(ids)), ret_result, err);
}

enum rc_status shards_witnesses(struct db *db, const char *table_set, const struct rc_buf *ids,
				struct db_result **ret_result, struct rc_error *err)
{
	char sql[500];

	snprintf(sql, sizeof(sql),
		 "SELECT s.id, i.local FROM shard s JOIN job_domain d ON d.job = s.job AND "
		 "d.domain_no = s.domain_no"
		 " CROSS JOIN LATERAL (SELECT local FROM item%s WHERE job = s.job AND uid = "
		 "d.witness LIMIT 1) i WHERE s.id = ANY($1::bigint[]) AND s.kind = 1",
		 table_set);
	return db_query_kept(db, sql, DB_PARAMS(db_buf(ids)), ret_result, err);
}

enum rc_status shards_domains(struct db *db, const struct rc_buf *ids,
			      struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db,
			     "SELECT s.id, d.domain FROM shard s JOIN job_domain d ON d.job = "
			     "s.job AND d.domain_no = ANY(s.domain_nos)"
			     " WHERE s.id = ANY($1::bigint[]) AND s.kind = 2 AND d.state = 1 ORDER "
			     "BY s.id, d.domain_no",
			     DB_PARAMS(db_buf(ids)), ret_result, err);
}

enum rc_status shards_done(struct db *db, const struct rc_buf *ids, struct rc_error *err)
{
	return db_query_kept(db, "UPDATE shard SET state = 2 WHERE id = ANY($1::bigint[])",
			     DB_PARAMS(db_buf(ids)), NULL, err);
}

enum rc_status shards_landed(struct db *db, const struct rc_buf *ids, struct db_result **ret_result,
			     struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT u.id FROM unnest($1::bigint[]) AS u(id) LEFT JOIN shard s ON s.id = u.id"
	    " WHERE s.state IS DISTINCT FROM 1",
	    DB_PARAMS(db_buf(ids)), ret_result, err);
}

enum rc_status shards_heal(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db,
			     "UPDATE shard SET state = 0 WHERE state = 1 AND sent_at < now() - $1 "
			     "* interval '1 second' RETURNING id",
			     DB_PARAMS(db_int(SHARDS_HEAL_S)), ret_result, err);
}

static enum rc_status counted(struct db *db, const char *sql, const struct db_param *params,
			      int count, int64_t *ret_count, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(db, sql, params, count, &r, err);

	if (status != RC_OK)
		return status;
	*ret_count = db_affected(r);
	db_result_free(r);
	return RC_OK;
}

enum rc_status shards_requeue_lane(struct db *db, uint32_t lane, int64_t *ret_count,
				   struct rc_error *err)
{
	return counted(db, "UPDATE shard SET state = 0 WHERE state = 1 AND lane = $1",
		       DB_PARAMS(db_int(lane)), ret_count, err);
}

enum rc_status shards_requeue_all(struct db *db, int64_t *ret_count, struct rc_error *err)
{
	return counted(db, "UPDATE shard SET state = 0 WHERE state = 1", DB_NONE, ret_count, err);
}

enum rc_status shards_unsend(struct db *db, const struct rc_buf *ids, struct rc_error *err)
{
	return db_query_kept(
	    db, "UPDATE shard SET state = 0 WHERE state = 1 AND id = ANY($1::bigint[])",
	    DB_PARAMS(db_buf(ids)), NULL, err);
}

/* A lane that the MX group has already, else one that its name falls to: the same for its shards
 * and its rows. $1: from, $2: the lanes to choose from. */
#define MOVED_TO(group)                                                                            \
	"coalesce((SELECT m.lane FROM mx_group_lane m WHERE m.mx_group = " group                   \
	" AND m.lane = ANY($2::int[]) ORDER BY m.slot LIMIT 1),"                                   \
	" ($2::int[])[1 + abs(hashtext(" group ")::bigint) % cardinality($2::int[])])"
#define NOTE_MOVES(restarted)                                                                      \
	" noted AS (INSERT INTO lane_move (job, domain_no, mx_group, from_lane, to_lane, n, "      \
	"restarted, why, uids)"                                                                    \
	" SELECT job, domain_no, coalesce(mx_group, ''), $1, lane, sum(n), " restarted             \
	", $3, range_agg(who) FROM moved GROUP BY job, domain_no, mx_group, lane)"                 \
	" SELECT count(*) FROM moved"
/* Which rows a shard has. */
#define ROWS                                                                                       \
	"CASE WHEN uids IS NOT NULL"                                                               \
	" THEN (SELECT range_agg(int8range(x, x, '[]')) FROM unnest(uids) x)"                      \
	" ELSE int8multirange(int8range(first_uid, first_uid + n, '[)')) END"

static enum rc_status moved(struct db *db, const char *sql, uint32_t from, const struct rc_buf *to,
			    const char *why, int64_t *count, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query_kept(db, sql, DB_PARAMS(db_int(from), db_buf(to), db_text(why)), &r, err);

	if (status != RC_OK)
		return status;
	*count += db_get_int(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}

enum rc_status shards_move_lookups(struct db *db, uint32_t from, const struct rc_buf *to,
				   int64_t *ret_count, struct rc_error *err)
{
	return counted(db,
		       "UPDATE shard SET lane = ($2::int[])[1 + id % cardinality($2::int[])] WHERE "
		       "lane = $1 AND state = 0 AND kind = 2",
		       DB_PARAMS(db_int(from), db_buf(to)), ret_count, err);
}

enum rc_status shards_move(struct db *db, uint32_t from, const struct rc_buf *to, bool all,
			   const char *why, int64_t *ret_moved, int64_t *ret_restarted,
			   struct rc_error *err)
{
	enum rc_status status;

	*ret_moved = *ret_restarted = 0;
	/* What no server has seen from there; look-ups are nobody's. */
	status =
	    moved(db,
		  "WITH moved AS (UPDATE shard s SET lane = " MOVED_TO(
		      "s.mx_group") " WHERE lane = $1 AND state = 0 AND (kind = 2 OR NOT " BEGUN ")"
				    " RETURNING job, domain_no, mx_group, lane, n, " ROWS
				    " AS who)," NOTE_MOVES("false"),
		  from, to, why, ret_moved, err);
	if (status != RC_OK || !all)
		return status;
	/* Another identity: to a greylister it is a stranger, so the schedule begins again. What
	 * waits in a shard is told of with it. */
	status = moved(
	    db,
	    "WITH moved AS (UPDATE shard s SET lane = " MOVED_TO(
		"s.mx_group") ", mx_host = NULL, mx_address = NULL, attempts = CASE WHEN attempts "
			      "IS NOT NULL THEN array_fill(1::smallint, ARRAY[n]) END"
			      " WHERE lane = $1 AND state IN (0, 1)"
			      " RETURNING id, job, domain_no, mx_group, lane, n, " ROWS
			      " AS who), again AS (UPDATE deferred d SET lane = m.lane, mx_host = "
			      "NULL, mx_address = NULL, attempt = 0, first_at = now()"
			      " FROM moved m WHERE d.job = m.job AND d.domain_no = m.domain_no AND "
			      "d.shard = m.id)," NOTE_MOVES("true"),
	    from, to, why, ret_restarted, err);
	if (status == RC_OK)
		status = moved(
		    db,
		    "WITH moved AS (UPDATE deferred d SET lane = " MOVED_TO(
			"j.mx_group") ", mx_host = NULL, mx_address = NULL, attempt = 0, first_at "
				      "= now()"
				      " FROM job_domain j WHERE d.lane = $1 AND d.shard IS NULL "
				      "AND j.job = d.job AND j.domain_no = d.domain_no"
				      " RETURNING d.job, d.domain_no, j.mx_group, d.lane, 1 AS n, "
				      "int8multirange(int8range(d.uid, d.uid, '[]')) AS "
				      "who)," NOTE_MOVES("true"),
		    from, to, why, ret_restarted, err);
	return status;
}

enum rc_status shards_clock_moved(struct db *db, int64_t jump_ms, int64_t before_ms,
				  struct rc_error *err)
{
	static const char *const statements[] = {
		"UPDATE deferred SET due_at = due_at + $1::bigint * interval '1 ms', first_at = "
		"first_at + $1::bigint * interval '1 ms' WHERE first_at <= $2::timestamptz + "
		"interval '1 second'",
		"UPDATE job_domain SET due_at = due_at + $1::bigint * interval '1 ms', first_at = "
		"first_at + $1::bigint * interval '1 ms' WHERE state = 4 AND first_at <= "
		"$2::timestamptz + interval '1 second'",
		"UPDATE lane_hold SET until = until + $1::bigint * interval '1 ms', since = since "
		"+ "
		"$1::bigint * interval '1 ms' WHERE since <= $2::timestamptz + interval '1 second'",
		"UPDATE mx_group_pause SET until = until + $1::bigint * interval '1 ms', since = "
		"since + $1::bigint * interval '1 ms' WHERE since <= $2::timestamptz + interval '1 "
		"second'",
		"UPDATE shard SET sent_at = sent_at + $1::bigint * interval '1 ms' WHERE state = 1 "
		"AND sent_at <= $2::timestamptz + interval '1 second'",
	};
	enum rc_status status = db_begin(db, err);

	for (size_t i = 0; i < sizeof(statements) / sizeof(*statements) && status == RC_OK; i++)
		status = db_query_kept(db, statements[i],
				       DB_PARAMS(db_int(jump_ms), db_when(before_ms)), NULL, err);
	if (status == RC_OK)
		status = db_commit(db, err);
	if (status != RC_OK)
		db_rollback(db);
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * look-ups */

enum rc_status shards_domains_todo(struct db *db, struct db_result **ret_result,
				   struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT j.id, d.domain_no, d.domain, d.first_uid, d.n, d.state, d.attempts, "
	    "coalesce(" DB_MS(
		"d.first_at") ", 0),"
			      " j.interactive, j.table_set,"
			      " CASE WHEN d.state = 0 AND k.resolved_at + k.ttl_s * interval '1 "
			      "second' > now() THEN k.resolution END"
			      " FROM job j CROSS JOIN LATERAL ("
			      "(SELECT * FROM job_domain WHERE job = j.id AND state = 0 LIMIT $1) "
			      "UNION ALL"
			      " (SELECT * FROM job_domain WHERE job = j.id AND state = 4 AND "
			      "due_at <= now() LIMIT $1)) d"
			      " LEFT JOIN domain_knowledge k ON k.domain = d.domain WHERE j.state "
			      "= 'running' ORDER BY j.interactive DESC, j.id, d.state,"
			      " d.domain_no LIMIT 5000 FOR KEY SHARE OF j SKIP LOCKED",
	    DB_PARAMS(db_int(LOOKUPS_PER_JOB)), ret_result, err);
}

enum rc_status shards_add_resolve(struct db *db, int64_t job, int class, uint32_t lane,
				  const struct rc_buf *domain_nos, uint32_t n, bool bypass_cache,
				  struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "WITH s AS (INSERT INTO shard (job, kind, class, lane, n, domain_nos, bypass_cache)"
	    " VALUES ($1, 2, $2, $3, $4, $5::int[], $6))"
	    " UPDATE job_domain SET state = 1 WHERE job = $1 AND domain_no = ANY($5::int[])",
	    DB_PARAMS(db_int(job), db_int(class), db_int(lane), db_int(n), db_buf(domain_nos),
		      db_bool(bypass_cache)),
	    NULL, err);
}
