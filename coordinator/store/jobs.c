#include "coordinator/store/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/store/db.h"

static const char *const state_names[] = { "",	   "planning", "waiting_start", "running", "paused",
					   "held", "done",     "cancelled",	"failed" };

const char *job_state_name(enum job_state state)
{
	return state_names[state];
}

enum job_state job_state_find(const char *name)
{
	for (int i = JOB_PLANNING; i <= JOB_FAILED; i++)
		if (strcmp(name, state_names[i]) == 0)
			return (enum job_state)i;
	return JOB_UNSET;
}

#define JOB_COLUMNS                                                                                \
	"j.id, j.public_id, j.name, coalesce(j.client, ''), coalesce(j.error, ''), j.state, "      \
	"j.interactive, j.item_count IS NOT NULL, "                                                \
	"j.row_count, j.blank_count, coalesce(j.item_count, 0), " DB_MS(                           \
	    "j.created_at") ", " DB_MS("j.started_at") ", " DB_MS("j.finished_at") ", " DB_MS("j." \
											      "de" \
											      "ad" \
											      "li" \
											      "ne" \
											      "_a" \
											      "t")
/* $1 tenant, $2 client or null */
#define JOB_SCOPE "j.tenant = $1::int AND ($2::text IS NULL OR j.client = $2)"

static struct db_param client_param(const struct job_scope *scope)
{
	return db_text(scope->client && *scope->client ? scope->client : NULL);
}

static void copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
	/* Not in the middle of a character. */
	for (size_t n = strlen(out); n + 1 == size && n && ((unsigned char)out[n - 1] & 0x80); n--)
		out[n - 1] = '\0';
}

static void read_job(const struct db_result *result, int row, struct job_view *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->id = db_get_int(result, row, 0);
	copy(ret->public_id, sizeof(ret->public_id), db_get_text(result, row, 1));
	copy(ret->name, sizeof(ret->name), db_get_text(result, row, 2));
	copy(ret->client, sizeof(ret->client), db_get_text(result, row, 3));
	copy(ret->error, sizeof(ret->error), db_get_text(result, row, 4));
	ret->state = job_state_find(db_get_text(result, row, 5));
	ret->interactive = db_get_bool(result, row, 6);
	ret->planned = db_get_bool(result, row, 7);
	ret->rows = db_get_int(result, row, 8);
	ret->blank = db_get_int(result, row, 9);
	ret->items = db_get_int(result, row, 10);
	ret->created_ms = db_get_int(result, row, 11);
	ret->started_ms = db_get_int(result, row, 12);
	ret->finished_ms = db_get_int(result, row, 13);
	ret->deadline_ms = db_get_int(result, row, 14);
}

static enum rc_status count_results(struct db *db, struct job_view *job, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT reason, sum(n)::bigint FROM job_count WHERE job = $1::bigint GROUP BY reason",
	    DB_PARAMS(db_int(job->id)), &result, err);

	for (int i = 0; status == RC_OK && i < db_rows(result); i++) {
		int64_t reason = db_get_int(result, i, 0);

		if (reason > RC_REASON_UNSET && reason < RC_REASON_COUNT)
			job->reason[reason] = db_get_int(result, i, 1);
	}
	db_result_free(result);
	/* Blank rows are no items: whoever counts them, they count once. */
	for (int i = 1; i < RC_REASON_COUNT; i++)
		if (i != RC_REASON_BLANK)
			job->final += job->reason[i];
	if (job->planned)
		job->reason[RC_REASON_BLANK] = job->blank;
	return status;
}

static enum rc_status count_waiting(struct db *db, struct job_view *job, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status;

	if (job->state != JOB_RUNNING && job->state != JOB_PAUSED && job->state != JOB_HELD)
		return RC_OK;
	status = db_query_kept(
	    db,
	    "SELECT sum(n)::bigint, min(due) FROM ("
	    "SELECT count(*) AS n, " DB_MS(
		"min(due_at)") " AS due FROM deferred WHERE job = $1::bigint AND shard IS NULL "
			       "UNION ALL "
			       "SELECT coalesce(sum(n), 0), " DB_MS(
				   "min(due_at)") " FROM job_domain WHERE job = $1::bigint AND "
						  "state = 4) w",
	    DB_PARAMS(db_int(job->id)), &result, err);
	if (status == RC_OK) {
		job->waiting = db_get_int(result, 0, 0);
		job->waiting_until_ms = db_get_int(result, 0, 1);
	}
	db_result_free(result);
	return status;
}

static enum rc_status not_found(const char *public_id, struct rc_error *err)
{
	return rc_error_set(err, RC_NOT_FOUND, "there is no job \"%.64s\"", public_id);
}

enum rc_status jobs_get(struct db *db, const struct job_scope *scope, const char *public_id,
			struct job_view *ret_job, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status = db_query_kept(
	    db, "SELECT " JOB_COLUMNS " FROM job j WHERE " JOB_SCOPE " AND j.public_id = $3",
	    DB_PARAMS(db_int(scope->tenant), client_param(scope), db_text(public_id)), &result,
	    err);

	if (status == RC_OK && db_rows(result) == 0)
		status = not_found(public_id, err);
	if (status == RC_OK)
		read_job(result, 0, ret_job);
	db_result_free(result);
	if (status == RC_OK)
		status = count_results(db, ret_job, err);
	if (status == RC_OK)
		status = count_waiting(db, ret_job, err);
	return status;
}

enum rc_status jobs_list(struct db *db, const struct job_scope *scope, int64_t before, int limit,
			 struct job_view *ret_jobs, int *ret_count, bool *ret_more,
			 struct rc_error *err)
{
	struct db_result *result = NULL;
	int count = 0;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT " JOB_COLUMNS " FROM job j WHERE " JOB_SCOPE " AND NOT j.interactive "
	    "AND ($3::bigint = 0 OR j.id < $3::bigint) ORDER BY j.id DESC LIMIT $4::int",
	    DB_PARAMS(db_int(scope->tenant), client_param(scope), db_int(before),
		      db_int(limit + 1)),
	    &result, err);

	if (status != RC_OK)
		return status;
	*ret_more = db_rows(result) > limit;
	for (int i = 0; i < db_rows(result) && i < limit; i++)
		read_job(result, i, &ret_jobs[count++]);
	db_result_free(result);
	for (int i = 0; status == RC_OK && i < count; i++) {
		status = count_results(db, &ret_jobs[i], err);
		if (status == RC_OK)
			status = count_waiting(db, &ret_jobs[i], err);
	}
	*ret_count = count;
	return status;
}

/* From which states an action leads where. */
static bool next_state(enum job_action action, enum job_state state, enum job_state *ret_next)
{
	*ret_next = state;
	switch (action) {
	case JOB_START:
		if (state == JOB_WAITING_START)
			*ret_next = JOB_RUNNING;
		return state == JOB_WAITING_START || state == JOB_RUNNING || state == JOB_PLANNING;
	case JOB_PAUSE:
		if (state == JOB_RUNNING)
			*ret_next = JOB_PAUSED;
		return state == JOB_RUNNING || state == JOB_PAUSED;
	case JOB_RESUME:
		if (state == JOB_PAUSED || state == JOB_HELD)
			*ret_next = JOB_RUNNING;
		return state == JOB_PAUSED || state == JOB_HELD || state == JOB_RUNNING;
	case JOB_CANCEL:
		if (state < JOB_DONE)
			*ret_next = JOB_CANCELLED;
		return state < JOB_DONE || state == JOB_CANCELLED;
	}
	return false;
}

static const char *const action_names[] = { "", "started", "paused", "resumed", "cancelled" };

static enum rc_status lock_job(struct db *db, const struct job_scope *scope, const char *public_id,
			       int64_t *ret_id, enum job_state *ret_state, struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status = db_query(
	    db,
	    "SELECT j.id, j.state FROM job j WHERE " JOB_SCOPE " AND j.public_id = $3 FOR UPDATE",
	    DB_PARAMS(db_int(scope->tenant), client_param(scope), db_text(public_id)), &result,
	    err);

	if (status == RC_OK && db_rows(result) == 0)
		status = not_found(public_id, err);
	if (status == RC_OK) {
		*ret_id = db_get_int(result, 0, 0);
		*ret_state = job_state_find(db_get_text(result, 0, 1));
	}
	db_result_free(result);
	return status;
}

static enum rc_status act(struct db *db, const struct job_scope *scope, const char *public_id,
			  enum job_action action, struct rc_error *err)
{
	enum job_state state, next;
	int64_t id;
	enum rc_status status = lock_job(db, scope, public_id, &id, &state, err);

	if (status != RC_OK)
		return status;
	if (!next_state(action, state, &next))
		return rc_error_set(err, RC_CONFLICT, "the job cannot be %s: it is %s",
				    action_names[action], job_state_name(state));
	if (next == state)
		return RC_OK;
	return db_query(db,
			"UPDATE job SET state = $2, started_at = CASE WHEN $2 = 'running' THEN "
			"coalesce(started_at, now()) ELSE started_at END, "
			"finished_at = CASE WHEN $2 = 'cancelled' THEN now() ELSE finished_at END "
			"WHERE id = $1::bigint",
			DB_PARAMS(db_int(id), db_text(job_state_name(next))), NULL, err);
}

enum rc_status jobs_act(struct db *db, const struct job_scope *scope, const char *public_id,
			enum job_action action, struct rc_error *err)
{
	enum rc_status status = db_begin(db, err);

	if (status == RC_OK)
		status = act(db, scope, public_id, action, err);
	if (status == RC_OK)
		return db_commit(db, err);
	db_rollback(db);
	return status;
}

static enum rc_status delete_all(struct db *db, int64_t id, struct rc_error *err)
{
	static const char *const shared[] = { "item", "row_uid", "result" };
	enum rc_status status = RC_OK;

	for (size_t i = 0; status == RC_OK && i < sizeof(shared) / sizeof(shared[0]); i++) {
		status = db_execf(db, err, "DROP TABLE IF EXISTS %s_%" PRId64, shared[i], id);
		if (status == RC_OK)
			status =
			    db_execf(db, err, "DELETE FROM %s WHERE job = %" PRId64, shared[i], id);
	}
	if (status == RC_OK)
		status = db_execf(db, err, "DROP TABLE IF EXISTS stage_%" PRId64, id);
	if (status == RC_OK)
		status = db_execf(db, err, "DELETE FROM address_history WHERE job = %" PRId64, id);
	/* The rest goes with it: ON DELETE CASCADE. */
	if (status == RC_OK)
		status = db_execf(db, err, "DELETE FROM job WHERE id = %" PRId64, id);
	return status;
}

enum rc_status jobs_delete(struct db *db, const struct job_scope *scope, const char *public_id,
			   struct rc_error *err)
{
	enum job_state state;
	int64_t id;
	enum rc_status status = db_begin(db, err);

	if (status == RC_OK)
		status = lock_job(db, scope, public_id, &id, &state, err);
	if (status == RC_OK)
		status = delete_all(db, id, err);
	if (status == RC_OK)
		return db_commit(db, err);
	db_rollback(db);
	return status;
}

enum rc_status jobs_find_idempotent(struct db *db, int tenant, const char *key,
				    char ret_public_id[JOB_ID_MAX], unsigned char ret_sha256[32],
				    struct rc_error *err)
{
	struct db_result *result = NULL;
	const uint8_t *sha;
	size_t len = 0;
	enum rc_status status =
	    db_query_kept(db,
			  "SELECT public_id, input_sha256 FROM job WHERE tenant = $1::int AND "
			  "idempotency_key = $2",
			  DB_PARAMS(db_int(tenant), db_text(key)), &result, err);

	if (status != RC_OK)
		return status;
	if (db_rows(result) == 0) {
		status = rc_error_set(err, RC_NOT_FOUND, "no job has this key");
	} else {
		copy(ret_public_id, JOB_ID_MAX, db_get_text(result, 0, 0));
		sha = db_get_bytes(result, 0, 1, &len);
		memset(ret_sha256, 0, 32);
		if (sha && len == 32)
			memcpy(ret_sha256, sha, 32);
	}
	db_result_free(result);
	return status;
}
