/* See judge_parts.h: what a report says of the lane that it came from. */
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "coordinator/core/standing.h"
#include "coordinator/judge_parts.h"
#include "coordinator/store/writes.h"

enum { HOLD_MAX_MS = 12 * 3600 * 1000, WHY_MAX = 200 };

/* The last reply that speaks of anybody: the one that counts. */
static const Rollcall__Answer *last_answer(const Rollcall__Report *report)
{
	const Rollcall__Answer *last = NULL;

	for (size_t i = 0; i < report->n_answers; i++) {
		const Rollcall__Answer *answer = report->answers[i];

		if (answer->reply && answer->reply->code >= 200 &&
		    (!last || answer->at_ms >= last->at_ms))
			last = answer;
	}
	return last;
}

/* What the server said, in printable ASCII. */
static void quote(const Rollcall__Reply *reply, char ret_why[WHY_MAX])
{
	int len = snprintf(ret_why, WHY_MAX, "%u %.12s%s", reply->code,
			   reply->enhanced ? reply->enhanced : "",
			   reply->enhanced && *reply->enhanced ? " " : "");

	for (size_t i = 0; i < reply->text.len && len < WHY_MAX - 1; i++) {
		char c = (char)reply->text.data[i];

		ret_why[len++] = c >= ' ' && c < 127 ? c : ' ';
	}
	ret_why[len] = '\0';
}

/* How often in a row it was blocked there before it came on probation; 0: it is not. */
static unsigned blocks_before(const struct judge *j, int64_t lane, const char *group)
{
	for (int i = 0; j->probation && i < db_rows(j->probation); i++)
		if (db_get_int(j->probation, i, 0) == lane &&
		    strcmp(db_get_text(j->probation, i, 1), group) == 0)
			return (unsigned)db_get_int(j->probation, i, 2);
	return 0;
}

void judge_lane(struct judge *j, const struct shard *s, const Rollcall__Report *report)
{
	const Rollcall__LaneHealth *health = report->health;
	const Rollcall__Answer *last = last_answer(report);
	int64_t scale = (int64_t)j->context->schedule.time_scale;
	const char *group = s->domain->group;
	struct verdict_answer said = { 0 };
	char why[WHY_MAX] = "";
	unsigned blocks;

	if (!*group)
		return;
	blocks = blocks_before(j, s->lane, group);
	if (last && (last->reply->code >= 400 || blocks))
		evidence_answer(j->context->rules, s->domain->provider_name, last, &said);
	if (last && said.present && said.class.category == RC_CATEGORY_IP_BLOCKED) {
		quote(last->reply, why);
		writes_hold(j->d->writes, s->lane, group,
			    j->d->now_ms + standing_block_s(blocks + 1) * 1000 / scale + 1,
			    LANE_BLOCKED, schedule_answered(s->health->ok_at_ms, j->d->now_ms),
			    why);
		return;
	}
	if (health && health->throttled) {
		int64_t wait_ms =
		    health->retry_in_ms < HOLD_MAX_MS ? health->retry_in_ms : HOLD_MAX_MS;

		if (last)
			quote(last->reply, why);
		writes_hold(j->d->writes, s->lane, group, j->d->now_ms + wait_ms / scale + 1,
			    LANE_SLOW, false, why);
		return;
	}
	if (blocks && last && said.present && !last->suspect &&
	    (said.class.fault == RC_FAULT_NONE || said.class.fault == RC_FAULT_RECIPIENT ||
	     said.class.category == RC_CATEGORY_GREYLISTED)) {
		writes_lane_well(j->d->writes, s->lane, group);
		rc_log(RC_LOG_INFO, "lane_well", "lane=%lld mx_group=%s", (long long)s->lane,
		       group);
	}
}
