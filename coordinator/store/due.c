/* See due.h. */
#include "coordinator/store/due.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/reply/reason.h"
#include "coordinator/core/plan.h"
#include "coordinator/store/batch.h"
#include "coordinator/store/db.h"
#include "coordinator/store/progress.h"

enum {
	JOBS_AT_ONCE = DUE_AT_ONCE / 4,
	GREYLIST_MEMORY_S = 4 * 3600,
	URGENT_BEFORE_S = 1200,
	FULL_EVERY_MS = 5000,
	FULL_SHARE = 20,      /* of the time at most one part in so many */
	MARGIN_MS = 1000,     /* coordinators' clocks differ, and a transaction takes its time */
	HELD_AGAIN_MS = 60000 /* a hold that is over is closed soon */
};

/* ------------------------------------------------------------------------------------------------
 * reading
 *
 * Both statements are planned each time they run, for the tables as large as they are now: a plan
 * made while nothing waited would read all of a million rows that came since. LATERAL with LIMIT
 * keeps the planner at one look into an index, and `> '-infinity'` opens deferred_job_due to it,
 * which it shall not take for the rows of one domain. */

/* The jobs that have something due; each is one look at the first entry of its part of the index.
 */
static const char jobs_sql[] =
    "SELECT j.id, j.interactive, x.due_at, " DB_MS("x.oldest")
    " FROM (SELECT j.id, d.due_at, min(d.due_at) OVER () AS oldest FROM job j"
    " CROSS JOIN LATERAL (SELECT w.due_at FROM deferred w WHERE w.job = j.id"
    " AND w.shard IS NULL AND w.due_at > '-infinity' AND w.due_at <= $1::timestamptz"
    " AND w.due_at >= coalesce($3::timestamptz, '-infinity') ORDER BY w.due_at LIMIT 1) d"
    " WHERE j.state = 'running') x JOIN job j ON j.id = x.id WHERE j.state = 'running'"
    " ORDER BY j.interactive DESC, x.due_at LIMIT $2 FOR KEY SHARE OF j SKIP LOCKED";

/* Each job's first few rows name the domains, which take turns: the first of each job, the second
 * of each, and so on, until the batch is full. */
static const char rows_sql[] =
    "SELECT d.job, w.uid, d.domain_no, w.lane, coalesce(w.mx_host, ''),"
    " coalesce(w.mx_address, ''), coalesce(w.control_local, ''), w.attempt, w.need_control,"
    " coalesce(jd.mx_group, ''), " DB_MS("w.first_at") ","
    " d.interactive, w.reason,"
    " coalesce(" DB_MS("jd.held_at") " + $7, 0)"
    " FROM (SELECT *, row_number() OVER (PARTITION BY job ORDER BY due_at, domain_no) AS turn"
    " FROM (SELECT j.id AS job, j.interactive, h.domain_no, min(h.due_at) AS due_at"
    " FROM unnest($1::bigint[], $2::boolean[], $3::timestamptz[]) AS j(id, interactive, due_at)"
    " CROSS JOIN LATERAL (SELECT w.domain_no, w.due_at FROM deferred w WHERE w.job = j.id"
    " AND w.shard IS NULL AND w.due_at > '-infinity' AND w.due_at >= j.due_at"
    " AND w.due_at <= $4::timestamptz ORDER BY w.due_at LIMIT $5) h GROUP BY 1, 2, 3) x"
    " ORDER BY interactive DESC, turn, due_at) d"
    " CROSS JOIN LATERAL (SELECT mx_group, held_at FROM job_domain"
    " WHERE job = d.job AND domain_no = d.domain_no LIMIT 1) jd"
    " CROSS JOIN LATERAL (SELECT * FROM deferred w WHERE w.job = d.job"
    " AND w.domain_no = d.domain_no AND w.shard IS NULL AND w.due_at <= $4::timestamptz"
    " ORDER BY w.due_at LIMIT $6) w"
    /* Answers of one conversation fall due moments apart: the earlier wait for the later, and
       one shard carries them. */
    " WHERE d.due_at <= $4::timestamptz - interval '1 second' OR NOT EXISTS"
    " (SELECT FROM deferred e WHERE e.job = d.job AND e.domain_no = d.domain_no"
    " AND e.shard IS NULL AND e.due_at > $4::timestamptz"
    " AND e.due_at <= d.due_at + interval '1 second') LIMIT $6";

static bool from_the_beginning(const struct due_mark *mark, int64_t now_ms)
{
	int64_t wait_ms = mark->full_took_ms * FULL_SHARE;

	if (wait_ms < FULL_EVERY_MS)
		wait_ms = FULL_EVERY_MS;
	return now_ms - mark->full_at_ms >= wait_ms || now_ms < mark->full_at_ms;
}

enum rc_status due_read(struct db *db, struct due_mark *mark, int64_t now_ms,
			struct db_result **ret_result, int *ret_each, struct rc_error *err)
{
	bool full = from_the_beginning(mark, now_ms);
	int64_t from_ms = full ? 0 : mark->from_ms, oldest_ms = now_ms;
	struct rc_buf ids, interactive, due;
	uint64_t start_ms = rc_clock_mono_ms();
	struct db_result *jobs = NULL;
	enum rc_status status;
	int n;

	*ret_result = NULL;
	*ret_each = DUE_AT_ONCE;
	status = db_query(db, jobs_sql,
			  DB_PARAMS(db_when(now_ms), db_int(JOBS_AT_ONCE), db_when(from_ms)), &jobs,
			  err);
	if (status != RC_OK)
		return status;
	if (full) {
		mark->full_at_ms = now_ms;
		mark->full_took_ms = (int64_t)(rc_clock_mono_ms() - start_ms);
	}
	n = db_rows(jobs);
	rc_buf_init(&ids, 0);
	rc_buf_init(&interactive, 0);
	rc_buf_init(&due, 0);
	for (int i = 0; i < n; i++) {
		db_array_int(&ids, db_get_int(jobs, i, 0));
		db_array_text(&interactive, db_get_text(jobs, i, 1), db_get_len(jobs, i, 1));
		db_array_text(&due, db_get_text(jobs, i, 2), db_get_len(jobs, i, 2));
		oldest_ms = db_get_int(jobs, i, 3);
	}
	db_array_end(&ids);
	db_array_end(&interactive);
	db_array_end(&due);
	db_result_free(jobs);
	if (n > 0) {
		*ret_each = DUE_AT_ONCE / n;
		status = db_query(db, rows_sql,
				  DB_PARAMS(db_buf(&ids), db_buf(&interactive), db_buf(&due),
					    db_when(now_ms), db_int(*ret_each), db_int(DUE_AT_ONCE),
					    db_int((int64_t)PROGRESS_HOLD_S * 1000)),
				  ret_result, err);
	}
	mark->from_ms = oldest_ms - MARGIN_MS;
	rc_buf_done(&ids);
	rc_buf_done(&interactive);
	rc_buf_done(&due);
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * taking */

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

/* Of the last domain of a full batch there may be more: it waits for the next, unless it is the
 * only one. */
static int whole(const struct db_result *r, int rows)
{
	int first = rows - 1;

	if (rows < DUE_AT_ONCE)
		return rows;
	while (first > 0 && db_get_int(r, first - 1, DUE_JOB) == db_get_int(r, rows - 1, DUE_JOB) &&
	       db_get_int(r, first - 1, DUE_DOMAIN_NO) == db_get_int(r, rows - 1, DUE_DOMAIN_NO))
		first--;
	return first > 0 ? first : rows;
}

/* Whether some job has named as many as it could: there may be more. */
static bool more(const struct db_result *r, const int *order, int n, int each)
{
	int run = 0;

	for (int i = 0; i < n; i++) {
		run = i > 0 && db_get_int(r, order[i], DUE_JOB) ==
				   db_get_int(r, order[i - 1], DUE_JOB)
			  ? run + 1
			  : 1;
		if (run >= each)
			return true;
	}
	return false;
}

static enum rc_status flush(struct db *db, struct batch *shards, struct batch *rows,
			    struct batch *held, struct rc_error *err)
{
	enum rc_status status = batch_flush(shards, db, due_shards_sql, DB_NONE, NULL, err);

	if (status == RC_OK)
		status = batch_flush(rows, db,
				     "UPDATE deferred d SET shard = u.shard FROM "
				     "unnest($1::bigint[], $2::bigint[], $3::bigint[])"
				     " AS u(job, uid, shard) WHERE d.job = u.job AND d.uid = u.uid",
				     DB_NONE, NULL, err);
	if (status == RC_OK)
		status =
		    batch_flush(held, db,
				"UPDATE deferred d SET due_at = u.due_at FROM "
				"unnest($1::bigint[], $2::bigint[], $3::timestamptz[])"
				" AS u(job, uid, due_at) WHERE d.job = u.job AND d.uid = u.uid",
				DB_NONE, NULL, err);
	return status;
}

enum rc_status due_take(struct db *db, struct due_mark *mark, int64_t now_ms, int64_t time_scale,
			int64_t *ret_rows, bool *ret_more, struct rc_error *err)
{
	struct db_result *r = NULL, *ids = NULL;
	int *order = NULL, *ends = NULL, rows = 0, n = 0, from = 0, each;
	struct batch shards, deferred, held;
	enum rc_status status;
	size_t cuts;

	batch_init(&shards, 14);
	batch_init(&deferred, 3);
	batch_init(&held, 3);
	*ret_rows = 0;
	*ret_more = false;
	status = due_read(db, mark, now_ms, &r, &each, err);
	if (status != RC_OK || !r || db_rows(r) == 0)
		goto out;
	rows = whole(r, db_rows(r));
	order = calloc((size_t)rows, sizeof(*order));
	ends = calloc((size_t)rows, sizeof(*ends));
	if (!order || !ends) {
		status =
		    rc_error_set(err, RC_NO_MEMORY, "no memory for %d rows that are due", rows);
		goto out;
	}
	for (int i = 0; i < rows; i++) {
		int64_t held_until_ms = db_get_int(r, i, DUE_HELD_UNTIL);

		if (held_until_ms == 0) {
			order[n++] = i;
			continue;
		}
		batch_int(&held, db_get_int(r, i, DUE_JOB));
		batch_int(&held, db_get_int(r, i, DUE_UID));
		batch_when(&held, held_until_ms > now_ms ? held_until_ms : now_ms + HELD_AGAIN_MS);
	}
	qsort_r(order, (size_t)n, sizeof(*order), by_shard, r);
	cuts = cut(r, order, n, ends);
	if (cuts > 0)
		status = new_ids(db, cuts, &ids, err);
	for (size_t i = 0; i < cuts && status == RC_OK; i++) {
		due_shard(&shards, &deferred, r, order + from, ends[i] - from,
			  db_get_int(ids, (int)i, 0), time_scale);
		from = ends[i];
	}
	if (status == RC_OK)
		status = flush(db, &shards, &deferred, &held, err);
	if (status == RC_OK) {
		*ret_rows = rows;
		*ret_more = rows > n || db_rows(r) == DUE_AT_ONCE || more(r, order, n, each);
	}
out:
	free(order);
	free(ends);
	db_result_free(r);
	db_result_free(ids);
	batch_done(&shards);
	batch_done(&deferred);
	batch_done(&held);
	return status;
}
