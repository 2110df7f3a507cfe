/* See judge.h. */
#include "coordinator/judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "coordinator/judge_parts.h"
#include "coordinator/store/db.h"
#include "coordinator/store/groups.h"
#include "coordinator/store/lease.h"
#include "coordinator/store/measured.h"
#include "coordinator/store/writes.h"

struct judge *judge_new(const struct context *context)
{
	struct judge *judge = calloc(1, sizeof(*judge));

	if (!judge)
		return NULL;
	judge->context = context;
	judge->arena = rc_arena_new(0);
	if (!judge->arena) {
		free(judge);
		return NULL;
	}
	return judge;
}

void judge_free(struct judge *judge)
{
	if (!judge)
		return;
	rc_arena_free(judge->arena);
	free(judge);
}

static enum rc_status judge_resolutions(struct judge *j, const struct shard *s,
					const Rollcall__Report *report, struct rc_error *err)
{
	enum rc_status status = RC_OK;

	for (size_t i = 0; i < report->n_resolutions && status == RC_OK; i++) {
		struct lookup *l = judge_lookup(j, s->id, report->resolutions[i]->domain);

		if (!l || l->answered ||
		    report->resolutions[i]->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNSET)
			continue;
		l->answered = true;
		status = decide_resolution(j->d, &l->domain, report->resolutions[i], false, err);
	}
	return status;
}

/* The servers have addresses, and none that the lane could use. */
static bool unreachable(const Rollcall__Report *report)
{
	for (size_t i = 0; i < report->n_answers; i++)
		if (report->answers[i]->failure == ROLLCALL__FAILURE__FAILURE_UNREACHABLE)
			return true;
	return false;
}

static enum rc_status judge_report(struct judge *j, const Rollcall__Report *report,
				   struct rc_error *err)
{
	struct shard *s = judge_shard(j, report->shard);
	struct evidence_domain evidence;
	enum rc_status status = RC_OK;
	uint8_t *body;
	size_t len;

	if (!s || !s->job_open || report->attempt == 0 || report->attempt > s->attempt ||
	    report->part == 0) {
		rc_log(RC_LOG_DEBUG, "report_passed_over", "shard=%" PRIu64 " attempt=%u part=%u",
		       report->shard, report->attempt, report->part);
		return RC_OK;
	}
	len = rollcall__report__get_packed_size(report);
	body = rc_arena_alloc(j->arena, len + 1);
	if (!body)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for a batch of reports");
	writes_report(j->d->writes, report->shard, report->attempt, report->part, body,
		      rollcall__report__pack(report, body));
	if (s->domain) {
		evidence_domain(j->context->rules, s->domain->provider_name, report, &evidence);
		if (unreachable(report) && *s->domain->group)
			status = groups_other_family(j->d->groups, j->d->db, s->domain->group,
						     (uint32_t)s->lane, j->d->now_ms, &s->next_lane,
						     err);
		if (status != RC_OK)
			return status;
		for (size_t i = 0; i < report->n_answers; i++)
			judge_answer(j, s, report, &evidence, report->answers[i]);
		judge_learn(j, s, &evidence);
		judge_lane(j, s, report);
	} else {
		status = judge_resolutions(j, s, report, err);
	}
	if (report->final) {
		s->final = true;
		s->final_current = s->final_current || report->attempt == s->attempt;
	}
	return status;
}

static enum rc_status batch(struct judge *j, const struct decide *decide,
			    Rollcall__Report *const *reports, size_t n, struct rc_error *err)
{
	enum rc_status status;

	rc_arena_reset(j->arena);
	memset(j->shards, 0, sizeof(j->shards));
	memset(j->rows, 0, sizeof(j->rows));
	memset(j->domains, 0, sizeof(j->domains));
	memset(j->known, 0, sizeof(j->known));
	memset(j->lookups, 0, sizeof(j->lookups));
	memset(j->groups, 0, sizeof(j->groups));
	memset(j->health, 0, sizeof(j->health));
	j->d = decide;
	measured_clear(decide->measured);
	status = judge_read(j, reports, n, err);
	if (status == RC_OK)
		status = lease_probation(decide->db, &j->probation, err);
	for (size_t i = 0; i < n && status == RC_OK; i++)
		status = judge_report(j, reports[i], err);
	if (status != RC_OK)
		return status;
	judge_close_memories(j);
	judge_close_health(j);
	judge_close_groups(j);
	status = writes_flush(decide->writes, decide->db, decide->counter, err);
	if (status == RC_OK)
		status = judge_close_shards(j, err);
	if (status == RC_OK)
		status = writes_flush(decide->writes, decide->db, decide->counter, err);
	if (status == RC_OK)
		status = judge_close_samples(j, err);
	if (status == RC_OK)
		status = writes_flush(decide->writes, decide->db, decide->counter, err);
	if (status == RC_OK)
		status = measured_flush(decide->measured, decide->db, decide->counter, err);
	return status;
}

enum rc_status judge_batch(struct judge *j, const struct decide *decide,
			   Rollcall__Report *const *reports, size_t n, struct rc_error *err)
{
	enum rc_status status = batch(j, decide, reports, n, err);

	db_result_free(j->probation);
	j->probation = NULL;
	return status;
}
