/* POST /v1/jobs/{id}/regrade: a job's verdicts under the rules of now, from its evidence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core/regrade.h"
#include "coordinator/http/api.h"

static json_t *verdict_json(enum rc_reason reason)
{
	return json_pack("{s:s, s:s, s:s}", "status",
			 rc_result_status_name(rc_reason_status(reason)), "grade",
			 rc_grade_name(rc_reason_grade(reason)), "reason", rc_reason_name(reason));
}

static json_t *moves_json(const struct regrade_summary *s)
{
	json_t *list = json_array();

	for (int from = 1; list && from < RC_REASON_COUNT; from++)
		for (int to = 1; to < RC_REASON_COUNT; to++)
			if (s->moves[from][to])
				json_array_append_new(
				    list, json_pack("{s:o, s:o, s:I}", "from",
						    verdict_json((enum rc_reason)from), "to",
						    verdict_json((enum rc_reason)to), "rows",
						    (json_int_t)s->moves[from][to]));
	return list;
}

static json_t *score_json(int score)
{
	return score < 0 ? json_null() : json_integer(score);
}

static json_t *samples_json(const struct regrade_summary *s)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < s->sample_count; i++) {
		const struct regrade_sample *sample = &s->samples[i];

		json_array_append_new(
		    list,
		    json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "row", (json_int_t)sample->row,
			      "email", json_safe(sample->email, strlen(sample->email)), "from",
			      verdict_json(sample->from), "to", verdict_json(sample->to),
			      "score_from", score_json(sample->score_from), "score_to",
			      score_json(sample->score_to), "rule",
			      *sample->rule ? json_safe(sample->rule, strlen(sample->rule))
					    : json_null()));
	}
	return list;
}

static json_t *summary_json(const struct results_job *job, const struct regrade_summary *s,
			    bool applied)
{
	static const char *const names[REGRADE_OUTCOMES] = {
		[REGRADE_SAME] = "same",
		[REGRADE_SCORE] = "score_only",
		[REGRADE_FLAGS] = "flags_only",
		[REGRADE_CHANGED] = "changed",
		[REGRADE_NEEDS_PROBE] = "needs_probe",
		[REGRADE_NO_EVIDENCE] = "no_evidence",
	};
	char rules[17];
	json_t *o;

	snprintf(rules, sizeof(rules), "%016llx", (unsigned long long)s->rules);
	o = json_pack("{s:s, s:s, s:b, s:I}", "job", job->public_id, "rules", rules, "applied",
		      (int)applied, "rows", (json_int_t)s->rows);
	for (int i = 1; o && i < REGRADE_OUTCOMES; i++)
		json_object_set_new(o, names[i], json_integer((json_int_t)s->outcomes[i]));
	if (o) {
		json_object_set_new(o, "changes", moves_json(s));
		json_object_set_new(o, "samples", samples_json(s));
	}
	return o;
}

void call_regrade(struct request *r)
{
	const struct http_server_params *p = &r->api->params;
	struct job_scope scope = request_scope(r);
	struct regrade_summary *s = NULL;
	struct results_job *job = NULL;
	struct rc_error err;
	enum rc_status status;
	bool apply = false;

	if (!request_flag(r, "apply", &apply))
		return;
	s = calloc(1, sizeof(*s));
	status = s && p->regrade ? results_open(r->db, &scope, r->id, &job, &err)
				 : rc_error_set(&err, RC_NO_MEMORY, "the server is out of memory");
	if (status == RC_OK && !job->planned)
		status = rc_error_set(&err, RC_CONFLICT, "the job has no verdicts yet: it is %s",
				      job_state_name(job->state));
	if (status == RC_OK)
		status = p->regrade(p->ctx, r->db, job->id, job->table_set, apply, s, &err);
	if (status != RC_OK)
		reply_error(r, &err);
	else
		reply_json(r, MHD_HTTP_OK, summary_json(job, s, apply));
	results_close(job);
	free(s);
}
