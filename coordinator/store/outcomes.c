#include "coordinator/store/outcomes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/random.h"
#include "coordinator/store/batch.h"
#include "coordinator/store/db.h"

/* "rcou": the class of the tenants' import locks. */
#define IMPORT_LOCK "1919119221"

enum { COPY_OCTETS = 1024 * 1024, DECIDE_PAGE = 5000 };

struct outcomes {
	struct db *db;
	struct outcomes_params params;
	char *name, *key, *client; /* own copies */
	int64_t rows;
	struct rc_buf stage;
};

static void outcomes_free(struct outcomes *o)
{
	rc_buf_done(&o->stage);
	free(o->name);
	free(o->key);
	free(o->client);
	free(o);
}

void outcomes_abort(struct outcomes *o)
{
	if (!o)
		return;
	db_rollback(o->db);
	outcomes_free(o);
}

static char *copy_of(const char *text)
{
	return text && *text ? strdup(text) : NULL;
}

enum rc_status outcomes_begin(struct db *db, const struct outcomes_params *params,
			      struct outcomes **ret_outcomes, struct rc_error *err)
{
	struct outcomes *o = calloc(1, sizeof(*o));
	enum rc_status status;

	if (!o)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	o->db = db;
	o->params = *params;
	o->name = copy_of(params->name);
	o->key = copy_of(params->idempotency_key);
	o->client = copy_of(params->scope.client);
	rc_buf_init(&o->stage, 0);
	status = db_begin(db, err);
	if (status == RC_OK)
		status = db_exec(
		    db,
		    "CREATE TEMP TABLE outcome_stage (n bigint, local text, domain text, kind "
		    "smallint, at timestamptz, diagnostic text) ON COMMIT DROP;"
		    "CREATE TEMP TABLE outcome_match (n bigint, job bigint, uid bigint, reason "
		    "smallint, provider text, flags int, score smallint, checked_at timestamptz, "
		    "kind smallint, diagnostic text) ON COMMIT DROP",
		    err);
	if (status != RC_OK) {
		outcomes_abort(o);
		return status;
	}
	*ret_outcomes = o;
	return RC_OK;
}

static enum rc_status copy_stage(struct outcomes *o, struct rc_error *err)
{
	enum rc_status status;

	if (o->stage.failed)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	if (!o->stage.len)
		return RC_OK;
	status = db_copy_in_start(
	    o->db, "COPY outcome_stage (n, local, domain, kind, at, diagnostic) FROM STDIN", err);
	if (status == RC_OK)
		status = db_copy_in_put(o->db, o->stage.data, o->stage.len, err);
	if (status == RC_OK)
		status = db_copy_in_end(o->db, NULL, err);
	rc_buf_clear(&o->stage);
	return status;
}

enum rc_status outcomes_row(struct outcomes *o, const struct outcomes_row *row,
			    struct rc_error *err)
{
	struct db_param at = db_when(row->at_ms);

	if (++o->rows > OUTCOMES_ROWS_MAX)
		return rc_error_set(err, RC_LIMIT,
				    "an import has at most %d outcomes: send the file in parts",
				    OUTCOMES_ROWS_MAX);
	db_copy_int(&o->stage, o->rows, false);
	db_copy_text(&o->stage, row->address, row->local_len, false);
	db_copy_text(&o->stage, row->address + row->local_len, row->domain_len, false);
	db_copy_int(&o->stage, row->kind, false);
	if (at.own)
		db_copy_text(&o->stage, at.text, (size_t)at.len, false);
	else
		db_copy_null(&o->stage, false);
	if (row->diagnostic_len)
		db_copy_text(&o->stage, row->diagnostic, row->diagnostic_len, true);
	else
		db_copy_null(&o->stage, true);
	return o->stage.len < COPY_OCTETS ? RC_OK : copy_stage(o, err);
}

/* ------------------------------------------------------------------------------------------------
 * joining */

/* An import of the same file before: its id, and its time for rows that have none of their own. */
struct earlier {
	int64_t id; /* 0: none */
	int64_t at_ms;
};

static enum rc_status find_earlier(struct outcomes *o, const struct outcomes_end *end,
				   struct earlier *ret, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status;

	*ret = (struct earlier){ .id = 0 };
	if (o->key) {
		status =
		    db_query_kept(o->db,
				  "SELECT public_id FROM outcome_import WHERE tenant = $1::int "
				  "AND idempotency_key = $2 AND sha256 <> $3",
				  DB_PARAMS(db_int(o->params.scope.tenant), db_text(o->key),
					    db_bytes(end->sha256, sizeof(end->sha256))),
				  &r, err);
		if (status != RC_OK)
			return status;
		if (db_rows(r))
			status = rc_error_set(err, RC_CONFLICT,
					      "this Idempotency-Key was used for another file "
					      "(import %s)",
					      db_get_text(r, 0, 0));
		db_result_free(r);
		if (status != RC_OK)
			return status;
	}
	status = db_query_kept(
	    o->db,
	    "SELECT id, " DB_MS("created_at") " FROM outcome_import WHERE tenant = $1::int AND "
					      "coalesce(client, '') = coalesce($2, '') AND sha256 "
					      "= $3",
	    DB_PARAMS(db_int(o->params.scope.tenant), db_text(o->client),
		      db_bytes(end->sha256, sizeof(end->sha256))),
	    &r, err);
	if (status != RC_OK)
		return status;
	if (db_rows(r)) {
		ret->id = db_get_int(r, 0, 0);
		ret->at_ms = db_get_int(r, 0, 1);
	}
	db_result_free(r);
	return RC_OK;
}

/* Which of the tenant's jobs hold which of the domains; the jobs stay until we are done. */
static enum rc_status find_domains(struct outcomes *o, struct rc_error *err)
{
	enum rc_status status = db_query(
	    o->db,
	    "CREATE TEMP TABLE outcome_domain ON COMMIT DROP AS SELECT d.job, j.table_set, "
	    "d.domain, d.first_uid, d.n FROM job j JOIN job_domain d ON d.job = j.id "
	    "WHERE false",
	    DB_NONE, NULL, err);

	if (status == RC_OK)
		status = db_query(
		    o->db,
		    "INSERT INTO outcome_domain SELECT d.job, j.table_set, d.domain, d.first_uid, "
		    "d.n FROM job j JOIN job_domain d ON d.job = j.id WHERE j.tenant = $1::int AND "
		    "($2::text IS NULL OR j.client = $2) AND j.created_at <= (SELECT max(at) FROM "
		    "outcome_stage) AND coalesce(j.finished_at, 'infinity') > (SELECT min(at) FROM "
		    "outcome_stage) - make_interval(days => $3::int) AND d.domain IN (SELECT "
		    "domain FROM outcome_stage)",
		    DB_PARAMS(db_int(o->params.scope.tenant), db_text(o->client),
			      db_int(OUTCOMES_AGE_MAX_DAYS)),
		    NULL, err);
	if (status == RC_OK)
		status = db_exec(o->db, "ANALYZE outcome_stage; ANALYZE outcome_domain", err);
	if (status == RC_OK)
		status = db_query(o->db,
				  "SELECT FROM job WHERE id IN (SELECT job FROM outcome_domain) "
				  "ORDER BY id FOR KEY SHARE",
				  DB_NONE, NULL, err);
	return status;
}

/* The results of one set of tables, for each row the newest of them. */
static enum rc_status match_set(struct outcomes *o, const char *set, struct rc_error *err)
{
	char sql[1500];

	snprintf(
	    sql, sizeof(sql),
	    "WITH i AS MATERIALIZED (SELECT d.job, i.uid, d.domain, lower(i.local COLLATE \"C\") "
	    "AS local, r.reason, coalesce(r.provider, '') AS provider, r.flags, r.score, "
	    "r.checked_at FROM outcome_domain d JOIN item%s i ON i.job = d.job AND i.uid >= "
	    "d.first_uid AND i.uid < d.first_uid + d.n JOIN result%s r ON r.job = i.job AND r.uid "
	    "= i.uid WHERE d.table_set = $1 AND r.score IS NOT NULL)"
	    " INSERT INTO outcome_match SELECT DISTINCT ON (s.n) s.n, i.job, i.uid, i.reason, "
	    "i.provider, i.flags, i.score, i.checked_at, s.kind, s.diagnostic FROM i JOIN "
	    "outcome_stage s ON s.domain = i.domain AND s.local = i.local WHERE i.checked_at <= "
	    "s.at AND i.checked_at > s.at - make_interval(days => $2::int) ORDER BY s.n, "
	    "i.checked_at DESC, i.job DESC",
	    set, set);
	return db_query(o->db, sql, DB_PARAMS(db_text(set), db_int(OUTCOMES_AGE_MAX_DAYS)), NULL,
			err);
}

static enum rc_status match(struct outcomes *o, int64_t earlier_ms, struct rc_error *err)
{
	struct db_result *sets = NULL;
	enum rc_status status = db_query(
	    o->db,
	    "UPDATE outcome_stage SET at = coalesce($1::timestamptz, now()) WHERE at IS NULL",
	    DB_PARAMS(db_when(earlier_ms)), NULL, err);

	if (status == RC_OK)
		status = find_domains(o, err);
	if (status == RC_OK)
		status = db_query(o->db, "SELECT DISTINCT table_set FROM outcome_domain", DB_NONE,
				  &sets, err);
	for (int i = 0; status == RC_OK && i < db_rows(sets); i++)
		status = match_set(o, db_get_text(sets, i, 0), err);
	if (status == RC_OK)
		status =
		    db_exec(o->db, "CREATE INDEX ON outcome_match (n); ANALYZE outcome_match", err);
	if (status == RC_OK && db_rows(sets) > 1)
		status = db_exec(o->db,
				 "DELETE FROM outcome_match a USING outcome_match b WHERE a.n = "
				 "b.n AND (a.checked_at, a.job) < (b.checked_at, b.job)",
				 err);
	db_result_free(sets);
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * whose fault */

static enum rc_status decide_page(struct outcomes *o, const struct db_result *r,
				  struct rc_error *err)
{
	struct batch batch;
	enum rc_status status;

	batch_init(&batch, 2);
	for (int i = 0; i < db_rows(r); i++) {
		const char *provider = db_get_text(r, i, 1);

		batch_int(&batch, db_get_int(r, i, 0));
		batch_int(&batch, o->params.decide(o->params.ctx, *provider ? provider : NULL,
						   (enum outcome_kind)db_get_int(r, i, 2),
						   db_get_text(r, i, 3), db_get_len(r, i, 3)));
	}
	status = batch_flush(&batch, o->db,
			     "UPDATE outcome_match m SET kind = u.kind FROM unnest($1::bigint[], "
			     "$2::smallint[]) AS u(n, kind) WHERE m.n = u.n",
			     DB_NONE, NULL, err);
	batch_done(&batch);
	return status;
}

static enum rc_status decide(struct outcomes *o, struct rc_error *err)
{
	enum rc_status status = RC_OK;
	int64_t after = 0;

	for (int rows = DECIDE_PAGE; rows == DECIDE_PAGE && status == RC_OK;) {
		struct db_result *r;

		status = db_query(o->db,
				  "SELECT n, provider, kind, coalesce(diagnostic, '') FROM "
				  "outcome_match WHERE n > "
				  "$1::bigint AND kind IN (3, 4) ORDER BY n LIMIT $2::int",
				  DB_PARAMS(db_int(after), db_int(DECIDE_PAGE)), &r, err);
		if (status != RC_OK)
			break;
		rows = db_rows(r);
		if (rows) {
			after = db_get_int(r, rows - 1, 0);
			status = decide_page(o, r, err);
		}
		db_result_free(r);
	}
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * counting */

static enum rc_status count(struct outcomes *o, struct outcomes_counts *counts,
			    struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query(
	    o->db,
	    "WITH u AS (SELECT job, uid, bool_or(kind = 2) AS bounced, reason, provider, (flags >> "
	    "16) & 15 AS evidence, flags & 32 <> 0 AS measured, score FROM outcome_match WHERE "
	    "kind IN (1, 2) GROUP BY job, uid, reason, provider, flags, score),"
	    " old AS (SELECT o.* FROM outcome o JOIN u USING (job, uid) WHERE u.bounced AND NOT "
	    "o.bounced),"
	    " fresh AS (SELECT u.* FROM u LEFT JOIN outcome o USING (job, uid) WHERE o.job IS "
	    "NULL),"
	    " put AS (INSERT INTO outcome AS o (job, uid, bounced, reason, provider, evidence, "
	    "measured, score) SELECT * FROM u ON CONFLICT (job, uid) DO UPDATE SET bounced = true "
	    "WHERE excluded.bounced AND NOT o.bounced),"
	    " change AS (SELECT reason, provider, evidence, measured, score, CASE WHEN bounced "
	    "THEN 0 ELSE 1 END AS delivered, CASE WHEN bounced THEN 1 ELSE 0 END AS bounced FROM "
	    "fresh UNION ALL SELECT reason, provider, evidence, measured, score, -1, 1 FROM old),"
	    " bucket AS (INSERT INTO outcome_bucket AS b (tenant, reason, provider, evidence, "
	    "measured, score, delivered, bounced) SELECT $1::int, reason, provider, evidence, "
	    "measured, score, sum(delivered), sum(bounced) FROM change GROUP BY 2, 3, 4, 5, 6 ON "
	    "CONFLICT (tenant, reason, provider, evidence, measured, score) DO UPDATE SET "
	    "delivered = b.delivered + excluded.delivered, bounced = b.bounced + "
	    "excluded.bounced)"
	    " SELECT count(*) FILTER (WHERE bounced = 0), count(*) FILTER (WHERE bounced = 1), "
	    "(SELECT count(*) FROM outcome_match), (SELECT count(*) FROM outcome_match WHERE kind "
	    "IN (1, 2)) FROM change",
	    DB_PARAMS(db_int(o->params.scope.tenant)), &r, err);

	if (status != RC_OK)
		return status;
	counts->delivered = db_get_int(r, 0, 0);
	counts->bounced = db_get_int(r, 0, 1);
	counts->unmatched = o->rows - db_get_int(r, 0, 2);
	counts->ignored = db_get_int(r, 0, 2) - db_get_int(r, 0, 3);
	counts->repeated = db_get_int(r, 0, 3) - counts->delivered - counts->bounced;
	counts->rows = o->rows + counts->bad;
	db_result_free(r);
	return RC_OK;
}

static void make_public_id(char ret_id[OUTCOMES_ID_MAX])
{
	static const char alphabet[] = "0123456789abcdefghijkmnpqrstuvwxyz";

	memcpy(ret_id, "out_", 4);
	for (size_t i = 4; i < 20; i++)
		ret_id[i] = alphabet[rc_random_below(sizeof(alphabet) - 1)];
	ret_id[20] = '\0';
}

#define VIEW_COLUMNS                                                                               \
	"id, public_id, name, format, row_count, delivered, bounced, repeated, ignored, "          \
	"unmatched, bad, " DB_MS("created_at")

static void read_view(const struct db_result *r, int i, struct outcomes_view *v)
{
	v->id = db_get_int(r, i, 0);
	snprintf(v->public_id, sizeof(v->public_id), "%s", db_get_text(r, i, 1));
	snprintf(v->name, sizeof(v->name), "%s", db_get_text(r, i, 2));
	snprintf(v->format, sizeof(v->format), "%s", db_get_text(r, i, 3));
	v->counts = (struct outcomes_counts){ .rows = db_get_int(r, i, 4),
					      .delivered = db_get_int(r, i, 5),
					      .bounced = db_get_int(r, i, 6),
					      .repeated = db_get_int(r, i, 7),
					      .ignored = db_get_int(r, i, 8),
					      .unmatched = db_get_int(r, i, 9),
					      .bad = db_get_int(r, i, 10) };
	v->created_ms = db_get_int(r, i, 11);
}

static enum rc_status record(struct outcomes *o, const struct outcomes_end *end,
			     const struct earlier *earlier, const struct outcomes_counts *c,
			     struct outcomes_view *ret_view, struct rc_error *err)
{
	char public_id[OUTCOMES_ID_MAX];
	struct db_result *r;
	enum rc_status status;

	make_public_id(public_id);
	/* The same file again, of which more fits by now: one line for both times. */
	if (earlier->id)
		status = db_query(
		    o->db,
		    "UPDATE outcome_import SET delivered = delivered + $2::bigint, bounced = "
		    "bounced + $3::bigint, ignored = $4::bigint, unmatched = $5::bigint, repeated "
		    "= row_count - delivered - $2::bigint - bounced - $3::bigint - $4::bigint - "
		    "$5::bigint - bad WHERE id = $1::bigint RETURNING " VIEW_COLUMNS,
		    DB_PARAMS(db_int(earlier->id), db_int(c->delivered), db_int(c->bounced),
			      db_int(c->ignored), db_int(c->unmatched)),
		    &r, err);
	else
		status = db_query(
		    o->db,
		    "INSERT INTO outcome_import (public_id, tenant, client, name, format, sha256, "
		    "row_count, delivered, bounced, repeated, ignored, unmatched, bad, faults, "
		    "idempotency_key) VALUES ($1, $2::int, $3, coalesce($4, ''), $5, $6, "
		    "$7::bigint, $8::bigint, $9::bigint, $10::bigint, $11::bigint, $12::bigint, "
		    "$13::bigint, $14::jsonb, $15) RETURNING " VIEW_COLUMNS,
		    DB_PARAMS(db_text(public_id), db_int(o->params.scope.tenant),
			      db_text(o->client), db_text(o->name), db_text(end->format),
			      db_bytes(end->sha256, sizeof(end->sha256)), db_int(c->rows),
			      db_int(c->delivered), db_int(c->bounced), db_int(c->repeated),
			      db_int(c->ignored), db_int(c->unmatched), db_int(c->bad),
			      db_text(end->faults), db_text(o->key)),
		    &r, err);
	if (status != RC_OK)
		return status;
	read_view(r, 0, ret_view);
	db_result_free(r);
	return RC_OK;
}

static enum rc_status view_of(struct db *db, int64_t id, struct outcomes_view *ret_view,
			      struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query_kept(db, "SELECT " VIEW_COLUMNS " FROM outcome_import WHERE id = $1::bigint",
			  DB_PARAMS(db_int(id)), &r, err);

	if (status != RC_OK)
		return status;
	if (db_rows(r))
		read_view(r, 0, ret_view);
	db_result_free(r);
	return RC_OK;
}

enum rc_status outcomes_commit(struct outcomes *o, const struct outcomes_end *end,
			       struct outcomes_view *ret_view, bool *ret_known,
			       struct rc_error *err)
{
	struct outcomes_counts counts = { .bad = end->bad };
	struct earlier earlier = { .id = 0 };
	struct db *db = o->db;
	enum rc_status status = copy_stage(o, err);

	*ret_known = false;
	if (status == RC_OK)
		status = db_query_kept(db, "SELECT pg_advisory_xact_lock(" IMPORT_LOCK ", $1)",
				       DB_PARAMS(db_int(o->params.scope.tenant)), NULL, err);
	if (status == RC_OK)
		status = find_earlier(o, end, &earlier, err);
	if (status == RC_OK)
		status = match(o, earlier.at_ms, err);
	if (status == RC_OK)
		status = decide(o, err);
	if (status == RC_OK)
		status = count(o, &counts, err);
	if (status == RC_OK && earlier.id && counts.delivered + counts.bounced == 0) {
		outcomes_abort(o);
		*ret_known = true;
		return view_of(db, earlier.id, ret_view, err);
	}
	if (status == RC_OK)
		status = record(o, end, &earlier, &counts, ret_view, err);
	if (status == RC_OK)
		status = db_commit(db, err);
	if (status != RC_OK) {
		outcomes_abort(o);
		return status;
	}
	outcomes_free(o);
	return RC_OK;
}

/* ------------------------------------------------------------------------------------------------
 * imports */

static struct db_param client_of(const struct job_scope *scope)
{
	return db_text(scope->client && *scope->client ? scope->client : NULL);
}

enum rc_status outcomes_list(struct db *db, const struct job_scope *scope, int64_t before,
			     int limit, struct outcomes_view *ret_views, int *ret_count,
			     bool *ret_more, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT " VIEW_COLUMNS " FROM outcome_import WHERE tenant = $1::int AND ($2::text IS "
	    "NULL OR client = $2) AND ($3::bigint = 0 OR id < $3::bigint) ORDER BY id DESC LIMIT "
	    "$4::int",
	    DB_PARAMS(db_int(scope->tenant), client_of(scope), db_int(before), db_int(limit + 1)),
	    &r, err);

	if (status != RC_OK)
		return status;
	*ret_more = db_rows(r) > limit;
	*ret_count = *ret_more ? limit : db_rows(r);
	for (int i = 0; i < *ret_count; i++)
		read_view(r, i, &ret_views[i]);
	db_result_free(r);
	return RC_OK;
}

enum rc_status outcomes_get(struct db *db, const struct job_scope *scope, const char *public_id,
			    struct outcomes_view *ret_view, char **ret_faults, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT " VIEW_COLUMNS ", faults::text FROM outcome_import WHERE tenant = $1::int AND "
	    "($2::text IS NULL OR client = $2) AND public_id = $3",
	    DB_PARAMS(db_int(scope->tenant), client_of(scope), db_text(public_id)), &r, err);

	if (status != RC_OK)
		return status;
	if (db_rows(r) == 0) {
		status = rc_error_set(err, RC_NOT_FOUND, "there is no import \"%.64s\"", public_id);
	} else {
		read_view(r, 0, ret_view);
		*ret_faults = strdup(db_get_text(r, 0, 12));
		if (!*ret_faults)
			status = rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	db_result_free(r);
	return status;
}
