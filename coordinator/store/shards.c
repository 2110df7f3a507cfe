/* See shards.h. */
#include "coordinator/store/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/reply/reason.h"
#include "coordinator/core/plan.h"
#include "coordinator/store/batch.h"
#include "coordinator/store/db.h"

enum {
	TODO_PER_JOB = 500,
	DUE_OF_A_JOB = 2000,
	GREYLIST_MEMORY_S = 4 * 3600,
	URGENT_BEFORE_S = 1200
};

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
		"s.urgent_at") ", 0), d.provider FROM (SELECT id, n, mx_group,"
			       " urgent_at, job, domain_no FROM shard WHERE state = 0 AND lane = "
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
	    " extract(epoch FROM now() - k.control_at)::bigint, k.control_lane, w.passes > 0, "
	    "d.doubted, d.witness IS NOT NULL"
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
	"restarted, why)"                                                                          \
	" SELECT job, domain_no, coalesce(mx_group, ''), $1, lane, sum(n), " restarted             \
	", $3 FROM moved GROUP BY job, domain_no, mx_group, lane) SELECT count(*) FROM moved"

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

enum rc_status shards_move(struct db *db, uint32_t from, const struct rc_buf *to, bool all,
			   const char *why, int64_t *ret_moved, int64_t *ret_restarted,
			   struct rc_error *err)
{
	enum rc_status status;

	*ret_moved = *ret_restarted = 0;
	/* What no server has seen from there. */
	status = moved(
	    db,
	    "WITH moved AS (UPDATE shard s SET lane = " MOVED_TO(
		"s.mx_group") " WHERE lane = $1 AND state = 0 AND attempt = 0 AND (kind = 2 OR "
			      "uids IS NULL OR "
			      "class = 2)"
			      " RETURNING job, domain_no, mx_group, lane, n)," NOTE_MOVES("false"),
	    from, to, why, ret_moved, err);
	if (status != RC_OK || !all)
		return status;
	/* Another identity: to a greylister it is a stranger, so the schedule begins again. */
	status = moved(
	    db,
	    "WITH moved AS (UPDATE shard s SET lane = " MOVED_TO(
		"s.mx_group") ", mx_host = NULL, mx_address = NULL WHERE lane = $1 AND state IN "
			      "(0, 1)"
			      " RETURNING job, domain_no, mx_group, lane, n)," NOTE_MOVES("true"),
	    from, to, why, ret_restarted, err);
	if (status == RC_OK)
		status = moved(db,
			       "WITH moved AS (UPDATE deferred d SET lane = " MOVED_TO(
				   "j.mx_group") ", mx_host = NULL, mx_address = NULL, attempt = "
						 "CASE WHEN d.shard IS NULL THEN 0 "
						 "ELSE d.attempt END, first_at = now()"
						 " FROM job_domain j WHERE d.lane = $1 AND j.job = "
						 "d.job AND j.domain_no = "
						 "d.domain_no"
						 " RETURNING d.job, d.domain_no, j.mx_group, "
						 "d.lane, 1 AS n)," NOTE_MOVES("true"),
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
 * what is due */

enum {
	DUE_JOB,
	DUE_UID,
	DUE_DOMAIN_NO,
	DUE_LANE,
	DUE_MX_HOST,
	DUE_MX_ADDRESS,
	DUE_CONTROL,
	DUE_ATTEMPT,
	DUE_NEED,
	DUE_GROUP,
	DUE_FIRST_AT,
	DUE_INTERACTIVE,
	DUE_REASON
};

/* Job by job, by an index that has only what waits: rows that are not due yet, and those of jobs
 * that are paused, cost nothing, however many they are. */
static const char due_sql[] =
    "SELECT d.job, d.uid, d.domain_no, d.lane, coalesce(d.mx_host, ''), coalesce(d.mx_address, "
    "''), coalesce(d.control_local, ''),"
    " d.attempt, d.need_control, d.mx_group, " DB_MS(
	"d.first_at") ", j.interactive, d.reason"
		      " FROM job j"
		      " CROSS JOIN LATERAL (SELECT w.*, coalesce(jd.mx_group, '') AS mx_group FROM "
		      "deferred w JOIN job_domain jd ON jd.job = w.job AND jd.domain_no = "
		      "w.domain_no"
		      " WHERE w.job = j.id AND w.shard IS NULL AND w.due_at <= $2::timestamptz AND "
		      "jd.held_at IS NULL"
		      /* Answers of one conversation fall due moments apart: the earlier wait for
			 the later, and one shard carries them. */
		      " AND NOT EXISTS (SELECT 1 FROM deferred e WHERE e.job = w.job AND "
		      "e.domain_no = w.domain_no AND e.shard IS NULL"
		      " AND e.due_at > $2::timestamptz AND e.due_at <= w.due_at + interval '1 "
		      "second')"
		      " ORDER BY w.due_at LIMIT $3) d WHERE j.state = 'running' ORDER BY d.due_at "
		      "LIMIT $1 FOR KEY SHARE OF j SKIP LOCKED";

/* Which rows may leave together: the same domain, lane, server and waiting control. */
static int same_shard(const struct db_result *r, int a, int b)
{
	static const int numbers[] = { DUE_JOB, DUE_DOMAIN_NO, DUE_LANE };
	static const int texts[] = { DUE_MX_ADDRESS, DUE_CONTROL, DUE_NEED };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		int64_t x = db_get_int(r, a, numbers[i]), y = db_get_int(r, b, numbers[i]);

		if (x != y)
			return x < y ? -1 : 1;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		int order = strcmp(db_get_text(r, a, texts[i]), db_get_text(r, b, texts[i]));

		if (order != 0)
			return order;
	}
	return 0;
}

static int by_shard(const void *a, const void *b, void *result)
{
	int x = *(const int *)a, y = *(const int *)b, order = same_shard(result, x, y);
	int64_t u, v;

	if (order != 0)
		return order;
	u = db_get_int(result, x, DUE_UID);
	v = db_get_int(result, y, DUE_UID);
	return u < v ? -1 : u > v;
}

static enum rc_status new_ids(struct db *db, size_t n, struct db_result **ret_result,
			      struct rc_error *err)
{
	return db_query_kept(db,
			     "SELECT nextval(pg_get_serial_sequence('rollcall.shard', 'id')) FROM "
			     "generate_series(1, $1::int)",
			     DB_PARAMS(db_int((int64_t)n)), ret_result, err);
}

static const char due_shards_sql[] =
    "INSERT INTO shard (id, job, kind, class, lane, domain_no, mx_group, n, uids, attempts, "
    "mx_host, mx_address, control_local,"
    " need_control, urgent_at) OVERRIDING SYSTEM VALUE"
    " SELECT id, job, 1, class, lane, domain_no, mx_group, n, uids::bigint[], "
    "attempts::smallint[], nullif(mx_host, ''),"
    " nullif(mx_address, ''), nullif(control_local, ''), need_control, urgent_at"
    " FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::int[], $5::int[], $6::text[], "
    "$7::int[], $8::text[], $9::text[],"
    " $10::text[], $11::text[], $12::text[], $13::boolean[], $14::timestamptz[])"
    " AS u(id, job, class, lane, domain_no, mx_group, n, uids, attempts, mx_host, mx_address, "
    "control_local, need_control, urgent_at)";

static void due_shard(struct batch *shards, struct batch *rows, const struct db_result *r,
		      const int *order, int n, int64_t id, int64_t time_scale)
{
	struct rc_buf uids, attempts;
	int64_t urgent_at_ms = 0;
	int first = order[0];

	rc_buf_init(&uids, 0);
	rc_buf_init(&attempts, 0);
	for (int i = 0; i < n; i++) {
		int64_t forgotten_ms =
		    db_get_int(r, order[i], DUE_FIRST_AT) +
		    (int64_t)(GREYLIST_MEMORY_S - URGENT_BEFORE_S) * 1000 / time_scale;

		db_array_int(&uids, db_get_int(r, order[i], DUE_UID));
		db_array_int(&attempts, db_get_int(r, order[i], DUE_ATTEMPT) + 1);
		if (db_get_int(r, order[i], DUE_REASON) == RC_REASON_GREYLISTED &&
		    (urgent_at_ms == 0 || forgotten_ms < urgent_at_ms))
			urgent_at_ms = forgotten_ms;
		batch_int(rows, db_get_int(r, order[i], DUE_JOB));
		batch_int(rows, db_get_int(r, order[i], DUE_UID));
		batch_int(rows, id);
	}
	db_array_end(&uids);
	db_array_end(&attempts);
	batch_int(shards, id);
	batch_int(shards, db_get_int(r, first, DUE_JOB));
	batch_int(shards, db_get_bool(r, first, DUE_INTERACTIVE) ? 0 : 1);
	batch_int(shards, db_get_int(r, first, DUE_LANE));
	batch_int(shards, db_get_int(r, first, DUE_DOMAIN_NO));
	batch_text(shards, db_get_text(r, first, DUE_GROUP));
	batch_int(shards, n);
	batch_octets(shards, uids.data, uids.len);
	batch_octets(shards, attempts.data, attempts.len);
	batch_text(shards, db_get_text(r, first, DUE_MX_HOST));
	batch_text(shards, db_get_text(r, first, DUE_MX_ADDRESS));
	batch_text(shards, db_get_text(r, first, DUE_CONTROL));
	batch_bool(shards, db_get_bool(r, first, DUE_NEED));
	batch_when(shards, urgent_at_ms);
	rc_buf_done(&uids);
	rc_buf_done(&attempts);
}

/* Ends of the runs of rows that leave together; returns how many. */
static size_t cut(const struct db_result *r, const int *order, int rows, int *ends)
{
	size_t n = 0;
	int from = 0;

	for (int i = 1; i <= rows; i++)
		if (i == rows || i - from == PLAN_SHARD_MAX ||
		    same_shard(r, order[from], order[i]) != 0) {
			ends[n++] = i;
			from = i;
		}
	return n;
}

enum rc_status shards_make_due(struct db *db, int limit, int64_t now_ms, int64_t time_scale,
			       int64_t *ret_rows, struct rc_error *err)
{
	struct db_result *r = NULL, *ids = NULL;
	int *order = NULL, *ends = NULL, rows, from = 0;
	struct batch shards, deferred;
	enum rc_status status;
	size_t n;

	batch_init(&shards, 14);
	batch_init(&deferred, 3);
	*ret_rows = 0;
	status = db_query_kept(
	    db, due_sql, DB_PARAMS(db_int(limit), db_when(now_ms), db_int(DUE_OF_A_JOB)), &r, err);
	if (status != RC_OK || db_rows(r) == 0)
		goto out;
	rows = db_rows(r);
	order = calloc((size_t)rows, sizeof(*order));
	ends = calloc((size_t)rows, sizeof(*ends));
	if (!order || !ends) {
		status =
		    rc_error_set(err, RC_NO_MEMORY, "no memory for %d rows that are due", rows);
		goto out;
	}
	for (int i = 0; i < rows; i++)
		order[i] = i;
	qsort_r(order, (size_t)rows, sizeof(*order), by_shard, r);
	n = cut(r, order, rows, ends);
	status = new_ids(db, n, &ids, err);
	for (size_t i = 0; i < n && status == RC_OK; i++) {
		due_shard(&shards, &deferred, r, order + from, ends[i] - from,
			  db_get_int(ids, (int)i, 0), time_scale);
		from = ends[i];
	}
	if (status == RC_OK)
		status = batch_flush(&shards, db, due_shards_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&deferred, db,
				     "UPDATE deferred d SET shard = u.shard FROM "
				     "unnest($1::bigint[], $2::bigint[], $3::bigint[])"
				     " AS u(job, uid, shard) WHERE d.job = u.job AND d.uid = u.uid",
				     DB_NONE, NULL, err);
	if (status == RC_OK)
		*ret_rows = rows;
out:
	free(order);
	free(ends);
	db_result_free(r);
	db_result_free(ids);
	batch_done(&shards);
	batch_done(&deferred);
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
	    DB_PARAMS(db_int(TODO_PER_JOB)), ret_result, err);
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
