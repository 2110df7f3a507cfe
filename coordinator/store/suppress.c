/* See suppress.h. */
#include "coordinator/store/suppress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "coordinator/store/db.h"

enum { COPY_OCTETS = 1024 * 1024 };

struct suppress {
	struct db *db;
	int tenant;
	char *client; /* own copy; "": all */
	int64_t rows;
	struct rc_buf stage;
};

static void suppress_free(struct suppress *s)
{
	rc_buf_done(&s->stage);
	free(s->client);
	free(s);
}

void suppress_abort(struct suppress *s)
{
	if (!s)
		return;
	db_rollback(s->db);
	suppress_free(s);
}

enum rc_status suppress_begin(struct db *db, const struct job_scope *scope,
			      struct suppress **ret_suppress, struct rc_error *err)
{
	struct suppress *s = calloc(1, sizeof(*s));
	enum rc_status status;

	if (!s)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	s->db = db;
	s->tenant = scope->tenant;
	s->client = strdup(scope->client ? scope->client : "");
	rc_buf_init(&s->stage, 0);
	status = s->client ? db_begin(db, err) : rc_error_set(err, RC_NO_MEMORY, "out of memory");
	if (status == RC_OK)
		status = db_exec(
		    db, "CREATE TEMP TABLE suppress_stage (domain text, local text) ON COMMIT DROP",
		    err);
	if (status != RC_OK) {
		suppress_abort(s);
		return status;
	}
	*ret_suppress = s;
	return RC_OK;
}

static enum rc_status copy_stage(struct suppress *s, struct rc_error *err)
{
	enum rc_status status;

	if (s->stage.failed)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	if (!s->stage.len)
		return RC_OK;
	status = db_copy_in_start(s->db, "COPY suppress_stage (domain, local) FROM STDIN", err);
	if (status == RC_OK)
		status = db_copy_in_put(s->db, s->stage.data, s->stage.len, err);
	if (status == RC_OK)
		status = db_copy_in_end(s->db, NULL, err);
	rc_buf_clear(&s->stage);
	return status;
}

enum rc_status suppress_row(struct suppress *s, const char *local, size_t local_len,
			    const char *domain, size_t domain_len, struct rc_error *err)
{
	if (++s->rows > SUPPRESS_ROWS_MAX)
		return rc_error_set(err, RC_LIMIT,
				    "a list has at most %d entries: send it in parts",
				    SUPPRESS_ROWS_MAX);
	db_copy_text(&s->stage, domain, domain_len, false);
	db_copy_text(&s->stage, local, local_len, true);
	return s->stage.len < COPY_OCTETS ? RC_OK : copy_stage(s, err);
}

enum rc_status suppress_commit(struct suppress *s, int64_t *ret_added, int64_t *ret_known,
			       struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status = copy_stage(s, err);

	/* In one order, so that two uploads do not wait for each other crosswise. */
	if (status == RC_OK)
		status = db_query(
		    s->db,
		    "WITH e AS MATERIALIZED (SELECT DISTINCT domain, local FROM suppress_stage),"
		    " a AS (INSERT INTO suppression (tenant, client, domain, local)"
		    " SELECT $1::int, $2, domain, local FROM e ORDER BY domain, local"
		    " ON CONFLICT DO NOTHING RETURNING 1)"
		    " SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM e)",
		    DB_PARAMS(db_int(s->tenant), db_text(s->client)), &r, err);
	if (status == RC_OK) {
		*ret_added = db_get_int(r, 0, 0);
		*ret_known = db_get_int(r, 0, 1) - *ret_added;
	}
	db_result_free(r);
	if (status == RC_OK)
		status = db_commit(s->db, err);
	if (status != RC_OK) {
		suppress_abort(s);
		return status;
	}
	suppress_free(s);
	return RC_OK;
}

static struct db_param client_or_null(const struct job_scope *scope)
{
	return scope->client && *scope->client ? db_text(scope->client) : db_null();
}

enum rc_status suppress_list(struct db *db, const struct job_scope *scope, const char *domain,
			     int64_t before, int limit, struct suppress_view *ret_views,
			     int *ret_count, bool *ret_more, int64_t *ret_total,
			     struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT count(*) FROM suppression WHERE tenant = $1 AND ($2::text IS NULL OR client = "
	    "$2) AND ($3::text IS NULL OR domain = $3)",
	    DB_PARAMS(db_int(scope->tenant), client_or_null(scope), db_text(domain)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_total = db_get_int(r, 0, 0);
	db_result_free(r);
	status = db_query_kept(
	    db,
	    "SELECT id, local || '@' || domain, client, coalesce(reason, 0), coalesce(job, "
	    "''), " DB_MS(
		"added_at") " FROM suppression WHERE tenant = $1 AND ($2::text IS NULL OR client = "
			    "$2) AND ($3::text IS NULL OR domain = $3) AND ($4::bigint = 0 OR id < "
			    "$4) ORDER BY id DESC LIMIT $5::bigint + 1",
	    DB_PARAMS(db_int(scope->tenant), client_or_null(scope), db_text(domain), db_int(before),
		      db_int(limit)),
	    &r, err);
	if (status != RC_OK)
		return status;
	*ret_more = db_rows(r) > limit;
	*ret_count = *ret_more ? limit : db_rows(r);
	for (int i = 0; i < *ret_count; i++) {
		struct suppress_view *v = &ret_views[i];

		v->id = db_get_int(r, i, 0);
		snprintf(v->entry, sizeof(v->entry), "%s", db_get_text(r, i, 1));
		snprintf(v->client, sizeof(v->client), "%s", db_get_text(r, i, 2));
		v->reason = (enum rc_reason)db_get_int(r, i, 3);
		snprintf(v->job, sizeof(v->job), "%s", db_get_text(r, i, 4));
		v->added_ms = db_get_int(r, i, 5);
	}
	db_result_free(r);
	return RC_OK;
}

enum rc_status suppress_remove(struct db *db, const struct job_scope *scope, const char *local,
			       const char *domain, struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status = db_query(
	    db,
	    "DELETE FROM suppression WHERE tenant = $1::int AND domain = $2 AND local = $3 AND "
	    "($4::text IS NULL OR client = $4)",
	    DB_PARAMS(db_int(scope->tenant), db_text(domain), db_text(local),
		      client_or_null(scope)),
	    &r, err);

	if (status != RC_OK)
		return status;
	if (db_affected(r) == 0)
		status = rc_error_set(err, RC_NOT_FOUND, "%s@%s is not on the list", local, domain);
	db_result_free(r);
	return status;
}

static enum rc_status take_ended(struct db *db, int64_t *ret_job, char *ret_set, size_t room,
				 struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT id, table_set FROM job WHERE suppress_invalid AND suppressed_at IS NULL AND "
	    "state IN ('done', 'cancelled') ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
	    DB_NONE, &r, err);

	if (status != RC_OK)
		return status;
	*ret_job = db_rows(r) > 0 ? db_get_int(r, 0, 0) : 0;
	snprintf(ret_set, room, "%s", *ret_job ? db_get_text(r, 0, 1) : "");
	db_result_free(r);
	return RC_OK;
}

static enum rc_status add_refused(struct db *db, int64_t job, const char *set, int64_t *ret_added,
				  struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status;
	char sql[1200];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO suppression (tenant, client, domain, local, reason, job)"
		 " SELECT DISTINCT ON (d.domain, l.local) j.tenant, coalesce(j.client, ''), "
		 "d.domain, l.local, r.reason, j.public_id"
		 " FROM job j JOIN result%s r ON r.job = j.id JOIN item%s i ON i.job = j.id AND "
		 "i.uid = r.uid"
		 " JOIN job_domain d ON d.job = j.id AND d.domain_no = i.domain_no,"
		 " LATERAL (SELECT lower(i.local COLLATE \"C\") AS local) l"
		 " WHERE j.id = $1 AND r.reason IN (%d, %d, %d, %d) ORDER BY d.domain, l.local"
		 " ON CONFLICT DO NOTHING",
		 set, set, RC_REASON_MAILBOX_NOT_FOUND, RC_REASON_MAILBOX_DISABLED,
		 RC_REASON_MAILBOX_NOT_LOCAL, RC_REASON_MAILBOX_NAME_NOT_ALLOWED);
	status = db_query(db, sql, DB_PARAMS(db_int(job)), &r, err);
	if (status != RC_OK)
		return status;
	*ret_added = db_affected(r);
	db_result_free(r);
	return db_query_kept(db, "UPDATE job SET suppressed_at = now() WHERE id = $1",
			     DB_PARAMS(db_int(job)), NULL, err);
}

enum rc_status suppress_refused(struct db *db, int64_t *ret_job, int64_t *ret_added,
				struct rc_error *err)
{
	enum rc_status status = db_begin(db, err);
	char set[32];

	*ret_job = *ret_added = 0;
	if (status == RC_OK)
		status = take_ended(db, ret_job, set, sizeof(set), err);
	if (status == RC_OK && *ret_job)
		status = add_refused(db, *ret_job, set, ret_added, err);
	if (status == RC_OK)
		status = db_commit(db, err);
	if (status != RC_OK)
		db_rollback(db);
	return status;
}
