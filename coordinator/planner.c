/* See planner.h. */
#include "coordinator/planner.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/decide.h"
#include "coordinator/store/db.h"
#include "coordinator/store/listed.h"
#include "coordinator/store/measured.h"
#include "coordinator/store/plan.h"
#include "coordinator/store/reuse.h"
#include "coordinator/store/suppress.h"
#include "coordinator/store/writes.h"

enum { POLL_MS = 250, DOMAIN_PAGE = 2000, ROW_PAGE = 5000 };

struct planner {
	struct context own;
	const struct context *context; /* own */
	struct db *db;
	struct writes *writes;
	struct measured *measured;
	struct listed_traps traps; /* that the connection has */
	pthread_t thread;
};

/* Domains that need no look-up: disposable, or nobody's to probe. */
struct chosen {
	const struct context *context;
	size_t count;
	int32_t last;
	struct {
		int32_t no;
		int64_t first_uid;
		uint32_t n;
		char domain[256];
	} of[DOMAIN_PAGE];
};

static void choose(void *arg, int32_t domain_no, const char *domain, int64_t first_uid, uint32_t n)
{
	struct chosen *chosen = arg;

	chosen->last = domain_no;
	if (!lists_is_disposable(chosen->context->lists, domain) &&
	    !lists_do_not_probe(chosen->context->lists, domain, NULL, NULL))
		return;
	chosen->of[chosen->count].no = domain_no;
	chosen->of[chosen->count].first_uid = first_uid;
	chosen->of[chosen->count].n = n;
	strncpy(chosen->of[chosen->count].domain, domain, sizeof(chosen->of[0].domain) - 1);
	chosen->count++;
}

static enum rc_status decide_listed_domains(struct planner *planner, const struct plan_job *job,
					    struct rc_error *err)
{
	const struct decide d = { .context = planner->context,
				  .db = planner->db,
				  .writes = planner->writes,
				  .measured = planner->measured,
				  .counter = PLAN_COUNTER,
				  .now_ms = rc_clock_wall_ms() };
	struct chosen *chosen = calloc(1, sizeof(*chosen));
	enum rc_status status = RC_OK;
	int seen = DOMAIN_PAGE;

	if (!chosen)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for a plan");
	chosen->context = planner->context;
	for (; status == RC_OK && seen == DOMAIN_PAGE;) {
		chosen->count = 0;
		status = plan_domains(planner->db, job->id, chosen->last, DOMAIN_PAGE, choose,
				      chosen, &seen, err);
		for (size_t i = 0; i < chosen->count && status == RC_OK; i++) {
			const struct verdict_input in = {
				.disposable = lists_is_disposable(planner->context->lists,
								  chosen->of[i].domain),
				.do_not_probe = lists_do_not_probe(
				    planner->context->lists, chosen->of[i].domain, NULL, NULL),
			};
			const struct write_domain write = { .job = job->id,
							    .domain_no = chosen->of[i].no,
							    .state = DOMAIN_DECIDED,
							    .lane = -1 };

			writes_domain(planner->writes, &write);
			status = decide_rows(&d, job->table_set, job->id, chosen->of[i].domain,
					     chosen->of[i].first_uid,
					     chosen->of[i].first_uid + chosen->of[i].n - 1, false,
					     &in, RC_REASON_DO_NOT_PROBE, NULL, err);
		}
	}
	if (status == RC_OK)
		status = writes_flush(planner->writes, planner->db, PLAN_COUNTER, err);
	free(chosen);
	return status;
}

struct listing {
	struct planner *planner;
	const struct plan_job *job;
	int64_t now_ms;
};

static void call_listed(void *arg, const struct listed_row *row)
{
	const struct listing *l = arg;
	struct verdict_input in = { .suppressed = row->suppressed, .spam_trap = row->trap };
	const struct context *context = l->planner->context;
	char meant[DECIDE_MEANT_MAX];
	struct verdict v;

	decide_lists(context, row->domain, row->local, row->local_len, &in);
	verdict_row(&in, context->scores, &v);
	const struct write_result result = { .job = l->job->id,
					     .uid = row->uid,
					     .reason = (int)v.reason,
					     .flags = v.flags,
					     .score = v.score,
					     .did_you_mean = decide_meant(
						 lists_did_you_mean(context->lists, row->domain),
						 row->local, row->local_len, meant),
					     .lane = -1,
					     .checked_at_ms = l->now_ms };

	writes_result(l->planner->writes, l->job->table_set, &result);
}

/* Who is suppressed, or a trap: nobody is asked. Comes before the domains, whose rows are then
 * called only where they have no result. */
static enum rc_status decide_listed_rows(struct planner *planner, const struct plan_job *job,
					 struct rc_error *err)
{
	struct listing listing = { planner, job, rc_clock_wall_ms() };
	int64_t count = 0, last = 0;
	int seen = ROW_PAGE;
	enum rc_status status = listed_find(planner->db, job, planner->context->traps, &count, err);

	if (status != RC_OK || count == 0)
		return status;
	while (status == RC_OK && seen == ROW_PAGE) {
		status = listed_page(planner->db, job, last, ROW_PAGE, call_listed, &listing, &seen,
				     &last, err);
		if (status == RC_OK)
			status = writes_flush(planner->writes, planner->db, PLAN_COUNTER, err);
	}
	if (status == RC_OK)
		status = listed_close_domains(planner->db, job, err);
	return status;
}

/* One job, if there is one: *ret_job is 0 where there was none. */
static enum rc_status plan_one(struct planner *planner, int64_t *ret_job, struct rc_error *err)
{
	uint64_t start_ms = rc_clock_mono_ms();
	struct verdict bad;
	struct plan_job job;
	int64_t reused = 0;
	enum rc_status status;

	*ret_job = 0;
	status = listed_traps_bring(planner->db, planner->context->traps,
				    planner->context->data->serial, &planner->traps, err);
	if (status == RC_OK)
		status = db_begin(planner->db, err);
	if (status == RC_OK)
		status = plan_take(planner->db, &job, err);
	if (status != RC_OK || job.id == 0) {
		db_rollback(planner->db);
		return status;
	}
	*ret_job = job.id;
	verdict_of_reason(RC_REASON_BAD_SYNTAX, NULL, planner->context->scores, &bad);
	status = plan_make(planner->db, &job, bad.score, decide_rules(planner->context), err);
	if (status == RC_OK)
		status = decide_listed_rows(planner, &job, err);
	if (status == RC_OK)
		status = decide_listed_domains(planner, &job, err);
	if (status == RC_OK && job.max_age_ms > 0)
		status = reuse_earlier(planner->db,
				       &(struct reuse_job){ .id = job.id,
							    .tenant = job.tenant,
							    .table_set = job.table_set,
							    .max_age_ms = job.max_age_ms },
				       &reused, err);
	if (status == RC_OK)
		status = plan_finish(planner->db, &job, err);
	if (status == RC_OK)
		status = db_commit(planner->db, err);
	if (status != RC_OK) {
		writes_clear(planner->writes);
		db_rollback(planner->db);
		return status;
	}
	rc_log(RC_LOG_INFO, "job_planned",
	       "job=%" PRId64 " rows=%" PRId64 " items=%" PRId64 " domains=%" PRId64
	       " reused=%" PRId64 " took_ms=%" PRIu64,
	       job.id, job.rows, job.items, job.domains, reused, rc_clock_mono_ms() - start_ms);
	return RC_OK;
}

static void plan_all(struct planner *planner)
{
	int64_t job = 1;

	while (job != 0 && !bell_stopped(planner->context->planner_bell)) {
		struct rc_error err, ignored;
		enum rc_status status = plan_one(planner, &job, &err);

		if (status == RC_OK) {
			if (job != 0)
				bell_ring(planner->context->leader_bell);
			continue;
		}
		rc_log(RC_LOG_WARN, "plan_failed", "job=%" PRId64 " error=\"%s\"", job, err.text);
		/* What is refused once is refused again; what is unavailable comes back. */
		if (job != 0 && status != RC_UNAVAILABLE && status != RC_NO_MEMORY &&
		    plan_fail(planner->db, job, err.text, &ignored) == RC_OK)
			continue;
		return;
	}
}

/* Explicit refusals of jobs that have ended become suppressions, where that was asked for. */
static void suppress_all(struct planner *planner)
{
	int64_t job = 1, added;

	while (job != 0 && !bell_stopped(planner->context->planner_bell)) {
		struct rc_error err;

		if (suppress_refused(planner->db, &job, &added, &err) != RC_OK) {
			rc_log(RC_LOG_WARN, "suppress_failed", "job=%" PRId64 " error=\"%s\"", job,
			       err.text);
			return;
		}
		if (job != 0)
			rc_log(RC_LOG_INFO, "job_suppressed", "job=%" PRId64 " added=%" PRId64, job,
			       added);
	}
}

static void *run(void *arg)
{
	struct planner *planner = arg;
	uint64_t seen = 0;
	bool lost = false;

	do {
		struct rc_error err;

		if (db_revive(planner->db, &err) != RC_OK) {
			if (!lost)
				rc_log(RC_LOG_WARN, "database_lost", "thread=planner error=\"%s\"",
				       err.text);
			lost = true;
			readiness_set(planner->context->readiness, READINESS_DATABASE,
				      READINESS_PLANNER, err.text);
			continue;
		}
		if (lost)
			rc_log(RC_LOG_INFO, "database_back", "thread=planner");
		lost = false;
		readiness_set(planner->context->readiness, READINESS_DATABASE, READINESS_PLANNER,
			      NULL);
		context_renew(&planner->own);
		plan_all(planner);
		suppress_all(planner);
		/* An idle connection learns of its loss only by asking. */
		if (db_exec(planner->db, "SELECT 1", &err) != RC_OK)
			readiness_set(planner->context->readiness, READINESS_DATABASE,
				      READINESS_PLANNER, err.text);
	} while (bell_wait(planner->context->planner_bell, &seen, POLL_MS));
	return NULL;
}

enum rc_status planner_start(const struct context *context, struct planner **ret_planner,
			     struct rc_error *err)
{
	struct planner *planner = calloc(1, sizeof(*planner));
	enum rc_status status;

	if (!planner)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for the planner");
	context_copy(&planner->own, context);
	planner->context = &planner->own;
	planner->writes = writes_new();
	planner->measured = measured_new();
	status = planner->writes && planner->measured
		     ? db_open(context->config->database, "rollcall-planner", 0, &planner->db, err)
		     : rc_error_set(err, RC_NO_MEMORY, "no memory for the planner");
	if (status == RC_OK && pthread_create(&planner->thread, NULL, run, planner) != 0)
		status = rc_error_set(
		    err, RC_UNAVAILABLE,
		    "no thread for the planner can be started: raise the limit of processes");
	if (status != RC_OK) {
		db_close(planner->db);
		writes_free(planner->writes);
		measured_free(planner->measured);
		context_done(&planner->own);
		free(planner);
		return status;
	}
	*ret_planner = planner;
	return RC_OK;
}

void planner_stop(struct planner *planner)
{
	if (!planner)
		return;
	db_cancel(planner->db);
	pthread_join(planner->thread, NULL);
	db_close(planner->db);
	writes_free(planner->writes);
	measured_free(planner->measured);
	context_done(&planner->own);
	free(planner);
}
