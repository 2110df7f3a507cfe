#include "coordinator/store/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "coordinator/store/db.h"

enum { LANES_MAX = 65536, CHUNK_TEXT_MAX = 64 * 1024 * 1024 };

/* ---- the job */

static char **load_texts(struct db_result *result, int column, size_t *ret_count)
{
	size_t count = (size_t)db_rows(result);
	char **text = calloc(count + 1, sizeof(*text));

	for (size_t i = 0; text && i < count; i++)
		text[i] = strdup(db_get_text(result, (int)i, column));
	*ret_count = count;
	return text;
}

static enum rc_status load_columns(struct db *db, struct results_job *job, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status =
	    db_query_kept(db,
			  "SELECT c.name FROM job, unnest(columns) WITH ORDINALITY AS c(name, i) "
			  "WHERE id = $1::bigint ORDER BY c.i",
			  DB_PARAMS(db_int(job->id)), &result, err);

	if (status == RC_OK) {
		job->columns = load_texts(result, 0, &job->column_count);
		if (!job->columns)
			status = rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	db_result_free(result);
	return status;
}

static enum rc_status load_lanes(struct db *db, struct results_job *job, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status = db_query_kept(db, "SELECT number, name FROM lane ORDER BY number",
					      DB_NONE, &result, err);

	if (status == RC_OK && db_rows(result)) {
		int64_t last = db_get_int(result, db_rows(result) - 1, 0);

		if (last < 0 || last > LANES_MAX)
			last = LANES_MAX;
		job->lane_count = (size_t)last + 1;
		job->lane = calloc(job->lane_count, sizeof(*job->lane));
		if (!job->lane)
			status = rc_error_set(err, RC_NO_MEMORY, "out of memory");
		for (int i = 0; status == RC_OK && i < db_rows(result); i++) {
			int64_t number = db_get_int(result, i, 0);

			if (number >= 0 && number <= last)
				job->lane[number] = strdup(db_get_text(result, i, 1));
		}
	}
	db_result_free(result);
	return status;
}

enum rc_status results_open(struct db *db, const struct job_scope *scope, const char *public_id,
			    struct results_job **ret_job, struct rc_error *err)
{
	struct results_job *job = calloc(1, sizeof(*job));
	struct db_result *result = NULL;
	enum rc_status status;

	if (!job)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	status = db_query_kept(
	    db,
	    "SELECT id, public_id, name, format, table_set, state, item_count IS NOT NULL, "
	    "row_count FROM job "
	    "WHERE tenant = $1::int AND ($2::text IS NULL OR client = $2) AND public_id = $3",
	    DB_PARAMS(db_int(scope->tenant),
		      db_text(scope->client && *scope->client ? scope->client : NULL),
		      db_text(public_id)),
	    &result, err);
	if (status == RC_OK && db_rows(result) == 0)
		status = rc_error_set(err, RC_NOT_FOUND, "there is no job \"%.64s\"", public_id);
	if (status == RC_OK) {
		job->id = db_get_int(result, 0, 0);
		snprintf(job->public_id, sizeof(job->public_id), "%s", db_get_text(result, 0, 1));
		snprintf(job->name, sizeof(job->name), "%s", db_get_text(result, 0, 2));
		snprintf(job->format, sizeof(job->format), "%s", db_get_text(result, 0, 3));
		snprintf(job->table_set, sizeof(job->table_set), "%s", db_get_text(result, 0, 4));
		job->state = job_state_find(db_get_text(result, 0, 5));
		job->planned = db_get_bool(result, 0, 6);
		job->rows = db_get_int(result, 0, 7);
	}
	db_result_free(result);
	if (status == RC_OK)
		status = load_columns(db, job, err);
	if (status == RC_OK)
		status = load_lanes(db, job, err);
	if (status != RC_OK) {
		results_close(job);
		return status;
	}
	*ret_job = job;
	return RC_OK;
}

void results_close(struct results_job *job)
{
	if (!job)
		return;
	for (size_t i = 0; i < job->column_count && job->columns; i++)
		free(job->columns[i]);
	for (size_t i = 0; i < job->lane_count && job->lane; i++)
		free(job->lane[i]);
	free(job->columns);
	free(job->lane);
	free(job);
}

/* ---- rows */

static const char *lane_name(const struct results_job *job, const struct db_result *result, int row,
			     int column)
{
	int64_t number = db_get_int(result, row, column);

	if (db_is_null(result, row, column) || number < 0 || (uint64_t)number >= job->lane_count)
		return NULL;
	return job->lane[number];
}

static const char *text_of(const struct db_result *result, int row, int column)
{
	return db_is_null(result, row, column) ? NULL : db_get_text(result, row, column);
}

static enum rc_reason reason_of(const struct db_result *result, int row, int column)
{
	int64_t reason = db_get_int(result, row, column);

	return reason > RC_REASON_UNSET && reason < RC_REASON_COUNT ? (enum rc_reason)reason
								    : RC_REASON_NOT_PROBED;
}

/* What a row is called before it has anything of its own. */
static enum rc_reason open_reason(const struct results_job *job)
{
	return job->state == JOB_CANCELLED ? RC_REASON_CANCELLED : RC_REASON_NOT_PROBED;
}

#define RESULT_COLUMNS                                                                             \
	"x.reason, x.flags, x.score, x.smtp_code, x.enhanced, x.provider, x.mx, x.did_you_mean, "  \
	"x.attempts, x.lane, x.rule, " DB_MS("x.checked_at") " AS checked, x.rules"
enum { RESULT_COLUMN_COUNT = 13 };

static void read_result(const struct results_job *job, const struct db_result *r, int row, int at,
			struct result_row *ret)
{
	ret->final = true;
	ret->reason = reason_of(r, row, at);
	ret->flags = (unsigned)db_get_int(r, row, at + 1);
	ret->score = db_is_null(r, row, at + 2) ? -1 : (int)db_get_int(r, row, at + 2);
	ret->smtp_code = (int)db_get_int(r, row, at + 3);
	ret->enhanced = text_of(r, row, at + 4);
	ret->provider = text_of(r, row, at + 5);
	ret->mx = text_of(r, row, at + 6);
	ret->did_you_mean = text_of(r, row, at + 7);
	ret->attempts = (int)db_get_int(r, row, at + 8);
	ret->lane = lane_name(job, r, row, at + 9);
	ret->rule = text_of(r, row, at + 10);
	ret->checked_at_ms = db_get_int(r, row, at + 11);
	ret->rules = (uint64_t)db_get_int(r, row, at + 12);
}

#define DEFERRED_COLUMNS                                                                           \
	"d.reason, d.smtp_code, d.enhanced, d.mx_host, d.tries, d.lane, " DB_MS("d.due_at")
enum { DEFERRED_COLUMN_COUNT = 7 };

static void read_deferred(const struct results_job *job, const struct db_result *r, int row, int at,
			  struct result_row *ret)
{
	ret->reason = reason_of(r, row, at);
	ret->smtp_code = (int)db_get_int(r, row, at + 1);
	ret->enhanced = text_of(r, row, at + 2);
	ret->mx = text_of(r, row, at + 3);
	ret->attempts = (int)db_get_int(r, row, at + 4);
	ret->lane = lane_name(job, r, row, at + 5);
}

/* ---- chunks */

static enum rc_status unpack(const uint8_t *body, size_t len, size_t count,
			     struct results_chunk *chunk, struct rc_error *err)
{
	unsigned long long size = ZSTD_getFrameContentSize(body, len);
	size_t at = 0;
	char *text;

	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ||
	    size > CHUNK_TEXT_MAX)
		return rc_error_set(err, RC_BROKEN, "a chunk of the stored input is damaged");
	text = malloc(size ? size : 1);
	chunk->record = calloc(count ? count : 1, sizeof(*chunk->record));
	chunk->memory[0] = text;
	if (!text || !chunk->record)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	if (ZSTD_decompress(text, size, body, len) != size)
		return rc_error_set(err, RC_BROKEN, "a chunk of the stored input is damaged");
	for (; chunk->count < count; chunk->count++) {
		struct results_record *r = &chunk->record[chunk->count];

		if (size - at < 4)
			return rc_error_set(err, RC_BROKEN, "a chunk of the stored input is short");
		for (int i = 0; i < 4; i++)
			r->len |= (size_t)(unsigned char)text[at + (size_t)i] << (8 * i);
		at += 4;
		if (size - at < r->len)
			return rc_error_set(err, RC_BROKEN, "a chunk of the stored input is short");
		r->raw = text + at;
		at += r->len;
	}
	return RC_OK;
}

/* A table's name with the job's suffix goes into the text; the shared set's text is the same for
 * all jobs. */
static enum rc_status query_set(struct db *db, const struct results_job *job, const char *format,
				const struct db_param *params, int count,
				struct db_result **ret_result, struct rc_error *err)
{
	const char *set = job->table_set;
	char sql[2048];
	size_t used = 0;

	for (; *format && used < sizeof(sql) - 40; format++) {
		if (*format == '#')
			used += (size_t)snprintf(sql + used, sizeof(sql) - used, "%s", set);
		else
			sql[used++] = *format;
	}
	sql[used] = '\0';
	if (*set)
		return db_query(db, sql, params, count, ret_result, err);
	return db_query_kept(db, sql, params, count, ret_result, err);
}

static enum rc_status load_results(struct db *db, const struct results_job *job,
				   struct results_chunk *chunk, size_t *ret_open,
				   struct rc_error *err)
{
	struct db_result *result = NULL;
	/* LIMIT 1 keeps the planner at one look into the index a row: a job's rows of `result` may
	 * be millions, this chunk's are not. */
	enum rc_status status = query_set(
	    db, job,
	    "SELECT r.n, x.* FROM row_uid# r LEFT JOIN LATERAL (SELECT " RESULT_COLUMNS
	    " FROM result# x WHERE x.job = $1::bigint AND x.uid = r.uid LIMIT 1) x ON true "
	    "WHERE r.job = $1::bigint AND r.n >= $2::bigint AND r.n < $3::bigint",
	    DB_PARAMS(db_int(job->id), db_int(chunk->first_row),
		      db_int(chunk->first_row + (int64_t)chunk->count)),
	    &result, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(result); i++) {
		int64_t at = db_get_int(result, i, 0) - chunk->first_row;
		struct result_row *row;

		if (at < 0 || (uint64_t)at >= chunk->count)
			continue;
		row = &chunk->record[at].row;
		if (db_is_null(result, i, 1)) {
			row->reason = open_reason(job);
			row->final = job->state == JOB_CANCELLED;
			(*ret_open)++;
		} else {
			read_result(job, result, i, 1, row);
		}
	}
	chunk->memory[1] = result;
	return RC_OK;
}

static enum rc_status load_deferred(struct db *db, const struct results_job *job,
				    struct results_chunk *chunk, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status =
	    query_set(db, job,
		      "SELECT r.n, d.* FROM row_uid# r CROSS JOIN LATERAL (SELECT " DEFERRED_COLUMNS
		      " FROM deferred d WHERE d.job = $1::bigint AND d.uid = r.uid LIMIT 1) d "
		      "WHERE r.job = $1::bigint AND r.n >= $2::bigint AND r.n < $3::bigint",
		      DB_PARAMS(db_int(job->id), db_int(chunk->first_row),
				db_int(chunk->first_row + (int64_t)chunk->count)),
		      &result, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(result); i++) {
		int64_t at = db_get_int(result, i, 0) - chunk->first_row;

		/* A result that came between the two statements stands. */
		if (at >= 0 && (uint64_t)at < chunk->count && !chunk->record[at].row.final)
			read_deferred(job, result, i, 1, &chunk->record[at].row);
	}
	chunk->memory[2] = result;
	return RC_OK;
}

enum rc_status results_chunk_load(struct db *db, const struct results_job *job, int chunk_no,
				  struct results_chunk *ret_chunk, struct rc_error *err)
{
	struct results_chunk chunk = { .first_row = 0 };
	struct db_result *result = NULL;
	const uint8_t *body;
	size_t len = 0, open = 0;
	enum rc_status status =
	    db_query_kept(db,
			  "SELECT first_row, row_count, body FROM input_chunk WHERE job = "
			  "$1::bigint AND chunk = $2::int",
			  DB_PARAMS(db_int(job->id), db_int(chunk_no)), &result, err);

	if (status != RC_OK)
		return status;
	if (db_rows(result) == 0) {
		db_result_free(result);
		return rc_error_set(err, RC_NOT_FOUND, "there is no chunk %d", chunk_no);
	}
	chunk.first_row = db_get_int(result, 0, 0);
	body = db_get_bytes(result, 0, 2, &len);
	if (body)
		status = unpack(body, len, (size_t)db_get_int(result, 0, 1), &chunk, err);
	else
		status = rc_error_set(err, RC_NO_MEMORY, "out of memory");
	db_result_free(result);
	for (size_t i = 0; i < chunk.count; i++) {
		chunk.record[i].row.score = -1;
		/* Of a planned job whoever has no uid is blank. */
		chunk.record[i].row.reason = job->planned ? RC_REASON_BLANK : open_reason(job);
		chunk.record[i].row.final = job->planned || job->state == JOB_CANCELLED;
	}
	if (status == RC_OK && job->planned)
		status = load_results(db, job, &chunk, &open, err);
	if (status == RC_OK && open && job->state != JOB_CANCELLED)
		status = load_deferred(db, job, &chunk, err);
	if (status != RC_OK) {
		results_chunk_done(&chunk);
		return status;
	}
	*ret_chunk = chunk;
	return RC_OK;
}

void results_chunk_done(struct results_chunk *chunk)
{
	free(chunk->record);
	free(chunk->memory[0]);
	db_result_free(chunk->memory[1]);
	db_result_free(chunk->memory[2]);
	memset(chunk, 0, sizeof(*chunk));
}

/* ---- one row */

static enum rc_status load_row(struct db *db, const struct results_job *job, int64_t n,
			       struct results_detail *d, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status = query_set(
	    db, job,
	    "SELECT r.uid, i.local, coalesce(m.domain, ''), m.resolution, x.uid, " RESULT_COLUMNS
	    ", f.uid, " DEFERRED_COLUMNS ", x.evidence_uid, s.job, i.domain_no"
	    " FROM row_uid# r JOIN item# i ON i.job = r.job AND i.uid = r.uid "
	    "LEFT JOIN job_domain m ON m.job = i.job AND m.domain_no = i.domain_no "
	    "LEFT JOIN result# x ON x.job = r.job AND x.uid = r.uid "
	    "LEFT JOIN shard s ON s.id = x.shard "
	    "LEFT JOIN deferred d ON d.job = r.job AND d.uid = r.uid "
	    "LEFT JOIN deferred f ON f.job = r.job AND f.uid = r.uid AND f.shard IS NULL "
	    "WHERE r.job = $1::bigint AND r.n = $2::bigint",
	    DB_PARAMS(db_int(job->id), db_int(n)), &result, err);
	enum {
		AT_RESULT = 5,
		AT_WAITING = AT_RESULT + RESULT_COLUMN_COUNT,
		AT_DEFERRED = AT_WAITING + 1,
		AT_EVIDENCE = AT_DEFERRED + DEFERRED_COLUMN_COUNT,
		AT_DOMAIN = AT_EVIDENCE + 2
	};

	if (status != RC_OK)
		return status;
	d->memory[0] = result;
	if (db_rows(result) == 0)
		return RC_OK;
	d->uid = db_get_int(result, 0, 0);
	d->reused = !db_is_null(result, 0, AT_EVIDENCE);
	d->evidence_uid = d->reused ? db_get_int(result, 0, AT_EVIDENCE) : d->uid;
	d->evidence_job = d->reused ? db_get_int(result, 0, AT_EVIDENCE + 1) : job->id;
	d->local = db_get_text(result, 0, 1);
	d->domain = db_get_text(result, 0, 2);
	d->resolution = db_get_bytes(result, 0, 3, &d->resolution_len);
	d->domain_no = db_get_int(result, 0, AT_DOMAIN);
	d->row.final = job->state == JOB_CANCELLED;
	d->row.reason = open_reason(job);
	if (!db_is_null(result, 0, 4)) {
		read_result(job, result, 0, AT_RESULT, &d->row);
	} else if (!d->row.final && !db_is_null(result, 0, AT_DEFERRED)) {
		read_deferred(job, result, 0, AT_DEFERRED, &d->row);
		if (!db_is_null(result, 0, AT_WAITING))
			d->next_attempt_ms =
			    db_get_int(result, 0, AT_DEFERRED + DEFERRED_COLUMN_COUNT - 1);
	}
	return RC_OK;
}

/* To other lanes, while it waited. */
static enum rc_status load_moves(struct db *db, const struct results_job *job,
				 struct results_detail *d, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT coalesce(jsonb_agg(jsonb_build_object('at', " DB_RFC3339(
		"v.at") ", 'from', a.name, 'to', b.name, 'reason', v.why, "
			"'greylist_clock_restarted', v.restarted) ORDER BY v.id), '[]')"
			" FROM (SELECT * FROM lane_move WHERE job = $1 AND domain_no = $2 AND uids "
			"@> $3::bigint ORDER BY id DESC LIMIT 50) v"
			" JOIN lane a ON a.number = v.from_lane JOIN lane b ON b.number = "
			"v.to_lane",
	    DB_PARAMS(db_int(job->id), db_int(d->domain_no), db_int(d->uid)), &result, err);

	if (status != RC_OK)
		return status;
	d->memory[2] = result;
	d->moves = db_get_text(result, 0, 0);
	d->moves_len = db_get_len(result, 0, 0);
	return RC_OK;
}

static enum rc_status load_parts(struct db *db, struct results_detail *d, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT p.shard, p.attempt, p.part, p.body FROM shard s JOIN report p ON p.shard = "
	    "s.id "
	    "WHERE s.job = $1::bigint AND s.kind = 1 AND (s.uids @> ARRAY[$2::bigint] OR (s.uids "
	    "IS NULL "
	    "AND s.first_uid <= $2::bigint AND s.first_uid + s.n > $2::bigint)) "
	    "ORDER BY p.shard, p.attempt, p.part LIMIT $3::int",
	    DB_PARAMS(db_int(d->evidence_job), db_int(d->evidence_uid), db_int(RESULTS_PARTS_MAX)),
	    &result, err);

	if (status != RC_OK)
		return status;
	d->memory[1] = result;
	d->part = calloc((size_t)db_rows(result) + 1, sizeof(*d->part));
	if (!d->part)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	for (int i = 0; i < db_rows(result); i++) {
		struct results_part *p = &d->part[d->parts++];

		p->shard = db_get_int(result, i, 0);
		p->shard_attempt = (int)db_get_int(result, i, 1);
		p->part = (int)db_get_int(result, i, 2);
		p->body = db_get_bytes(result, i, 3, &p->len);
	}
	return RC_OK;
}

enum rc_status results_detail_load(struct db *db, const struct results_job *job, int64_t n,
				   struct results_detail *ret_detail, struct rc_error *err)
{
	struct results_detail d = { .local = "", .domain = "", .row = { .score = -1 } };
	enum rc_status status = RC_OK;

	if (n < 1 || n > job->rows)
		return rc_error_set(err, RC_NOT_FOUND,
				    "the job has %lld rows: there is no row %lld",
				    (long long)job->rows, (long long)n);
	d.row.reason = job->planned ? RC_REASON_BLANK : open_reason(job);
	d.row.final = job->planned || job->state == JOB_CANCELLED;
	if (job->planned)
		status = load_row(db, job, n, &d, err);
	if (status == RC_OK && d.uid)
		status = load_parts(db, &d, err);
	if (status == RC_OK && d.uid)
		status = load_moves(db, job, &d, err);
	if (status != RC_OK) {
		results_detail_done(&d);
		return status;
	}
	*ret_detail = d;
	return RC_OK;
}

void results_detail_done(struct results_detail *d)
{
	db_result_free(d->memory[0]);
	db_result_free(d->memory[1]);
	db_result_free(d->memory[2]);
	free(d->part);
	memset(d, 0, sizeof(*d));
}
