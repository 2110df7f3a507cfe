/* See leader_parts.h: domains to look up, rows that are due, jobs that end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/core/plan.h"
#include "coordinator/decide.h"
#include "coordinator/leader_parts.h"
#include "coordinator/store/due.h"
#include "coordinator/store/progress.h"
#include "coordinator/store/shards.h"

static struct decide decide_with(struct leader *leader)
{
	return (struct decide){ .context = leader->context,
				.db = leader->db,
				.writes = leader->writes,
				.groups = leader->groups,
				.measured = leader->measured,
				.counter = LEADER_COUNTER,
				.now_ms = rc_clock_wall_ms() };
}

/* Ends the transaction that `status` is the outcome of. */
static enum rc_status settle(struct leader *leader, enum rc_status status, struct rc_error *err)
{
	if (status == RC_OK)
		status = writes_flush(leader->writes, leader->db, LEADER_COUNTER, err);
	if (status == RC_OK)
		status = db_commit(leader->db, err);
	if (status != RC_OK) {
		writes_clear(leader->writes);
		groups_forget(leader->groups);
		db_rollback(leader->db);
	}
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * look-ups */

/* What others learnt lately need not be asked again. */
static enum rc_status apply_known(struct leader *leader, const struct db_result *r, int row,
				  bool *ret_applied, struct rc_error *err)
{
	const struct decide d = decide_with(leader);
	const struct decide_domain domain = {
		.job = db_get_int(r, row, TODO_JOB),
		.class =
		    db_get_bool(r, row, TODO_INTERACTIVE) ? DISPATCH_INTERACTIVE : DISPATCH_BULK,
		.table_set = db_get_text(r, row, TODO_TABLE_SET),
		.domain_no = (int32_t)db_get_int(r, row, TODO_DOMAIN_NO),
		.domain = db_get_text(r, row, TODO_DOMAIN),
		.first_uid = db_get_int(r, row, TODO_FIRST_UID),
		.n = (uint32_t)db_get_int(r, row, TODO_N),
		.attempts = (unsigned)db_get_int(r, row, TODO_ATTEMPTS),
		.first_at_ms = db_get_int(r, row, TODO_FIRST_AT),
	};
	Rollcall__Resolution *resolution;
	enum rc_status status;
	const uint8_t *body;
	size_t len;

	*ret_applied = false;
	body = db_get_bytes(r, row, TODO_KNOWN, &len);
	resolution = body ? rollcall__resolution__unpack(NULL, len, body) : NULL;
	if (!resolution)
		return RC_OK;
	status = decide_resolution(&d, &domain, resolution, true, err);
	rollcall__resolution__free_unpacked(resolution, NULL);
	*ret_applied = status == RC_OK;
	return status;
}

static bool same_lookup(const struct db_result *r, int a, int b)
{
	return db_get_int(r, a, TODO_JOB) == db_get_int(r, b, TODO_JOB) &&
	       db_get_int(r, a, TODO_STATE) == db_get_int(r, b, TODO_STATE);
}

static enum rc_status add_lookup(struct leader *leader, const struct db_result *r, int row,
				 struct rc_buf *nos, uint32_t n, struct rc_error *err)
{
	uint32_t lane;

	if (n == 0 || !leader_any_lane(leader, &lane))
		return RC_OK;
	db_array_end(nos);
	return shards_add_resolve(
	    leader->db, db_get_int(r, row, TODO_JOB),
	    db_get_bool(r, row, TODO_INTERACTIVE) ? DISPATCH_INTERACTIVE : DISPATCH_BULK, lane, nos,
	    n, db_get_int(r, row, TODO_STATE) == DOMAIN_TO_RESOLVE_AGAIN, err);
}

enum rc_status leader_lookups(struct leader *leader, size_t *ret_count, struct rc_error *err)
{
	struct db_result *r = NULL;
	struct rc_buf nos;
	enum rc_status status;
	uint32_t n = 0, lane;

	*ret_count = 0;
	if (!leader_any_lane(leader, &lane))
		return RC_OK;
	rc_buf_init(&nos, 0);
	status = db_begin(leader->db, err);
	if (status == RC_OK)
		status = shards_domains_todo(leader->db, &r, err);
	for (int i = 0; status == RC_OK && i < db_rows(r); i++) {
		bool applied = false;

		if (!db_is_null(r, i, TODO_KNOWN))
			status = apply_known(leader, r, i, &applied, err);
		if (!applied && status == RC_OK) {
			db_array_int(&nos, db_get_int(r, i, TODO_DOMAIN_NO));
			n++;
		}
		(*ret_count)++;
		if (status == RC_OK &&
		    (n == PLAN_SHARD_MAX || i + 1 == db_rows(r) || !same_lookup(r, i, i + 1))) {
			status = add_lookup(leader, r, i, &nos, n, err);
			rc_buf_clear(&nos);
			n = 0;
		}
	}
	status = settle(leader, status, err);
	db_result_free(r);
	rc_buf_done(&nos);
	return status;
}

enum rc_status leader_due(struct leader *leader, int64_t *ret_rows, struct rc_error *err)
{
	enum rc_status status = db_begin(leader->db, err);

	*ret_rows = 0;
	if (status == RC_OK)
		status =
		    due_take(leader->db, &leader->due_mark, rc_clock_wall_ms(),
			     leader->context->config->time_scale, ret_rows, &leader->due_more, err);
	return settle(leader, status, err);
}

/* ------------------------------------------------------------------------------------------------
 * ends */

enum rc_status leader_finish_jobs(struct leader *leader, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = progress_finish(leader->db, &r, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++) {
		dispatch_forget_job(leader->dispatch, db_get_int(r, i, 0));
		rc_log(RC_LOG_INFO, "job_done", "job=%" PRId64, db_get_int(r, i, 0));
	}
	db_result_free(r);
	return RC_OK;
}

/* All rows of a domain that are still open get `reason`. */
static enum rc_status close_domain(struct leader *leader, int64_t job, const char *table_set,
				   const char *domain, int64_t first_uid, int64_t n,
				   const char *provider, enum rc_reason reason,
				   struct rc_error *err)
{
	const struct decide d = decide_with(leader);
	const struct verdict_input in = { .domain = VERDICT_DOMAIN_UNKNOWN,
					  .provider = rc_providers_find(leader->context->providers,
									provider) };

	return decide_rows(&d, table_set, job, domain, first_uid, first_uid + n - 1, false, &in,
			   reason, NULL, err);
}

/* The job's time is up: what has no answer gets the cause it waited for, or `deadline`. */
static enum rc_status close_job(struct leader *leader, int64_t job, const char *table_set,
				struct rc_error *err)
{
	enum rc_status status = db_begin(leader->db, err);
	int32_t after = 0;

	if (status == RC_OK)
		status = progress_drop_job(leader->db, job, err);
	for (int rows = 1; rows > 0 && status == RC_OK;) {
		struct db_result *r;

		status = progress_domains(leader->db, job, after, &r, err);
		if (status != RC_OK)
			break;
		rows = db_rows(r);
		for (int i = 0; i < rows && status == RC_OK; i++) {
			after = (int32_t)db_get_int(r, i, 0);
			status = close_domain(leader, job, table_set, db_get_text(r, i, 1),
					      db_get_int(r, i, 2), db_get_int(r, i, 3),
					      db_get_text(r, i, 4), RC_REASON_DEADLINE, err);
		}
		db_result_free(r);
	}
	dispatch_forget_job(leader->dispatch, job);
	if (status == RC_OK)
		rc_log(RC_LOG_WARN, "job_deadline", "job=%" PRId64, job);
	return settle(leader, status, err);
}

static enum rc_status close_held(struct leader *leader, const struct db_result *r, int row,
				 struct rc_error *err)
{
	int64_t job = db_get_int(r, row, 0);
	enum rc_status status = db_begin(leader->db, err);

	if (status == RC_OK)
		status = progress_drop_domain(leader->db, job, (int32_t)db_get_int(r, row, 2), err);
	if (status == RC_OK)
		status = close_domain(leader, job, db_get_text(r, row, 1), db_get_text(r, row, 3),
				      db_get_int(r, row, 4), db_get_int(r, row, 5),
				      db_get_text(r, row, 6), RC_REASON_HARVEST_GUARD, err);
	return settle(leader, status, err);
}

enum rc_status leader_sweep(struct leader *leader, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status;
	int64_t dropped = 0, repaired = 0;

	status = progress_overdue(leader->db, &r, err);
	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r) && status == RC_OK; i++)
		status = close_job(leader, db_get_int(r, i, 0), db_get_text(r, i, 1), err);
	db_result_free(r);
	if (status == RC_OK)
		status = progress_held_too_long(leader->db, &r, err);
	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r) && status == RC_OK; i++)
		status = close_held(leader, r, i, err);
	db_result_free(r);
	if (status == RC_OK)
		status = progress_drop_ended(leader->db, &dropped, err);
	if (status == RC_OK && dropped > 0)
		rc_log(RC_LOG_INFO, "shards_dropped", "count=%" PRId64, dropped);
	if (status == RC_OK)
		status = progress_repair(leader->db, &repaired, err);
	if (status == RC_OK && repaired > 0)
		rc_log(RC_LOG_ERROR, "rows_repaired", "count=%" PRId64, repaired);
	if (status == RC_OK)
		status = progress_stopped(leader->db, &r, err);
	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++)
		dispatch_forget_job(leader->dispatch, db_get_int(r, i, 0));
	db_result_free(r);
	return RC_OK;
}

enum rc_status leader_forget(struct leader *leader, struct rc_error *err)
{
	int64_t gone = 0;
	enum rc_status status = progress_forget(
	    leader->db, leader->context->config->history_keep_ms / 1000, &gone, err);

	if (status == RC_OK && gone > 0)
		rc_log(RC_LOG_INFO, "history_forgotten", "verdicts=%" PRId64, gone);
	return status;
}
