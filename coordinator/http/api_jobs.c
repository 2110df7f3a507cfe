/* Jobs as a whole, lanes, and the probes of whoever runs us. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "coordinator/http/api.h"
#include "coordinator/http/rate.h"

enum { LIST_LIMIT_DEFAULT = 50, LIST_LIMIT_MAX = 200 };

/* Rows of the input that have their answer. Duplicates follow their first: they are counted in
 * proportion until all have. */
static int64_t done_rows(const struct job_view *job)
{
	int64_t duplicates = job->rows - job->blank - job->items;

	if (job->state == JOB_DONE)
		return job->rows;
	if (!job->planned)
		return 0;
	if (duplicates > 0 && job->items > 0)
		duplicates =
		    (int64_t)((double)duplicates * (double)job->final / (double)job->items);
	return job->blank + job->final + (duplicates > 0 ? duplicates : 0);
}

static json_t *counts_json(const struct job_view *job)
{
	json_t *by_status = json_object(), *by_reason = json_object();
	int64_t status[RC_RESULT_SKIPPED + 1] = { 0 };
	int64_t reason[RC_REASON_COUNT];

	memcpy(reason, job->reason, sizeof(reason));
	if (job->state == JOB_CANCELLED)
		reason[RC_REASON_CANCELLED] += job->planned ? job->items - job->final : job->rows;
	for (int i = 1; i < RC_REASON_COUNT; i++) {
		if (reason[i] <= 0)
			continue;
		status[rc_reason_status((enum rc_reason)i)] += reason[i];
		json_object_set_new(by_reason, rc_reason_name((enum rc_reason)i),
				    json_integer(reason[i]));
	}
	for (int i = 1; i <= RC_RESULT_SKIPPED; i++)
		if (status[i])
			json_object_set_new(by_status,
					    rc_result_status_name((enum rc_result_status)i),
					    json_integer(status[i]));
	return json_pack("{s:o, s:o}", "status", by_status, "reason", by_reason);
}

/* Rows between two attempts come when they are due, however fast the others go; what follows then
 * nobody knows. */
static json_t *eta_json(const struct job_view *job, int64_t open, double speed)
{
	int64_t wait_s = (job->waiting_until_ms - rc_clock_wall_ms()) / 1000;
	int64_t eta_s;

	if (open <= 0 || speed <= 0)
		return json_null();
	eta_s = (int64_t)((double)open / speed) + 1;
	return json_integer((json_int_t)(job->waiting && wait_s > eta_s ? wait_s : eta_s));
}

json_t *job_json(struct request *r, const struct job_view *job)
{
	int64_t done = done_rows(job), open = job->items - job->final;
	bool all_wait =
	    job->state == JOB_RUNNING && job->planned && job->waiting > 0 && job->waiting >= open;
	bool moving = job->state == JOB_RUNNING && !all_wait;
	double speed = moving ? rate_note(r->api->rate, job->id, done, rc_clock_mono_ms()) : -1;
	int64_t duplicates = job->planned ? job->rows - job->blank - job->items : 0;
	json_t *o;

	if (job->state == JOB_DONE && job->finished_ms > job->created_ms)
		speed = (double)job->rows * 1000.0 / (double)(job->finished_ms - job->created_ms);
	else if (moving && speed < 0 && job->started_ms && rc_clock_wall_ms() > job->started_ms)
		speed = (double)done * 1000.0 / (double)(rc_clock_wall_ms() - job->started_ms);
	o = json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "id",
		      job->public_id, "name", json_safe(job->name, strlen(job->name)), "state",
		      all_wait ? "waiting_retry" : job_state_name(job->state), "rows",
		      (json_int_t)job->rows, "done", (json_int_t)done, "blank",
		      (json_int_t)job->blank, "duplicates", (json_int_t)duplicates, "created_at",
		      json_time(job->created_ms), "started_at", json_time(job->started_ms),
		      "finished_at", json_time(job->finished_ms), "deadline_at",
		      json_time(job->deadline_ms), "counts", counts_json(job));
	if (!o)
		return NULL;
	json_object_set_new(
	    o, "client", *job->client ? json_safe(job->client, strlen(job->client)) : json_null());
	json_object_set_new(o, "rate", json_real(speed > 0 ? speed : 0));
	json_object_set_new(o, "eta_s",
			    moving ? eta_json(job, job->rows - done - job->waiting, speed)
				   : json_null());
	json_object_set_new(o, "waiting",
			    json_pack("{s:I, s:o}", "rows", (json_int_t)job->waiting, "until",
				      json_time(job->waiting_until_ms)));
	json_object_set_new(o, "docs", json_string("/docs/reasons"));
	json_object_set_new(o, "error",
			    *job->error ? json_safe(job->error, strlen(job->error)) : json_null());
	return o;
}

static void reply_job(struct request *r, unsigned status)
{
	struct job_scope scope = request_scope(r);
	struct job_view job;
	struct rc_error err;

	if (jobs_get(r->db, &scope, r->id, &job, &err) != RC_OK)
		reply_error(r, &err);
	else
		reply_json(r, status, job_json(r, &job));
}

void call_jobs_list(struct request *r)
{
	struct job_scope scope = request_scope(r);
	int64_t before = 0, limit = LIST_LIMIT_DEFAULT;
	struct job_view *jobs;
	struct rc_error err;
	bool more = false;
	int count = 0;

	if (!request_number(r, "cursor", 1, INT64_MAX - 1, &before) ||
	    !request_number(r, "limit", 1, LIST_LIMIT_MAX, &limit))
		return;
	jobs = calloc((size_t)limit, sizeof(*jobs));
	if (!jobs) {
		rc_error_set(&err, RC_NO_MEMORY, "the server is out of memory");
		reply_error(r, &err);
		return;
	}
	if (jobs_list(r->db, &scope, before, (int)limit, jobs, &count, &more, &err) != RC_OK) {
		reply_error(r, &err);
	} else {
		json_t *list = json_array(), *next = json_null();

		for (int i = 0; i < count; i++)
			json_array_append_new(list, job_json(r, &jobs[i]));
		if (more && count)
			next = json_sprintf("%lld", (long long)jobs[count - 1].id);
		reply_json(r, MHD_HTTP_OK, json_pack("{s:o, s:o}", "jobs", list, "next", next));
	}
	free(jobs);
}

void call_job_get(struct request *r)
{
	reply_job(r, MHD_HTTP_OK);
}

static void act(struct request *r, enum job_action action)
{
	struct job_scope scope = request_scope(r);
	struct rc_error err;

	if (jobs_act(r->db, &scope, r->id, action, &err) != RC_OK) {
		reply_error(r, &err);
		return;
	}
	tell_changed(r);
	reply_job(r, MHD_HTTP_OK);
}

void call_job_start(struct request *r)
{
	act(r, JOB_START);
}

void call_job_pause(struct request *r)
{
	act(r, JOB_PAUSE);
}

void call_job_resume(struct request *r)
{
	act(r, JOB_RESUME);
}

void call_job_cancel(struct request *r)
{
	act(r, JOB_CANCEL);
}

void call_job_delete(struct request *r)
{
	struct job_scope scope = request_scope(r);
	struct rc_error err;
	enum rc_status status = RC_UNAVAILABLE;

	/* The sink may hold rows of it in another order: one of the two then gives way, and tries
	 * again. */
	for (int i = 0; i < 5 && status == RC_UNAVAILABLE; i++)
		status = jobs_delete(r->db, &scope, r->id, &err);
	if (status != RC_OK) {
		reply_error(r, &err);
		return;
	}
	tell_changed(r);
	reply_text(r, MHD_HTTP_NO_CONTENT, "application/json", "", 0);
}

void call_healthz(struct request *r)
{
	reply_text(r, MHD_HTTP_OK, "application/json", "{\"status\":\"ok\"}",
		   strlen("{\"status\":\"ok\"}"));
}

void call_readyz(struct request *r)
{
	const struct http_server_params *p = &r->api->params;
	json_t *pieces = json_object(), *lacks = json_array();
	char text[HTTP_LACKS_MAX];
	const char *name;
	bool all = p->piece != NULL;

	for (int i = 0; p->piece && p->piece(p->ctx, i, &name, text); i++) {
		json_object_set_new(pieces, name,
				    *text ? json_safe(text, strlen(text)) : json_string("ok"));
		if (!*text)
			continue;
		all = false;
		json_array_append_new(lacks, json_string(name));
	}
	reply_json(
	    r, all ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
	    json_pack("{s:b, s:o, s:o}", "ready", (int)all, "lacks", lacks, "pieces", pieces));
	if (!all)
		reply_header(r, "Retry-After", "1");
}
