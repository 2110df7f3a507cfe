/* See judge_parts.h: an answer as a result, or as the next attempt. */
#include <string.h>

#include "coordinator/core/history.h"
#include "coordinator/core/schedule.h"
#include "coordinator/core/standing.h"
#include "coordinator/judge_parts.h"
#include "coordinator/store/measured.h"
#include "coordinator/store/writes.h"
#include "coordinator/weigh.h"

enum {
	DAY_MS = 86400000,
	IDLE_FREE = 3, /* times in a row that a row may come back unasked before it waits */
	IDLE_WAIT_MAX_S = 60
};

/* A stranger's name for PostgreSQL: printable ASCII or nothing. */
static const char *clean(const char *text)
{
	for (const char *p = text; p && *p; p++)
		if (*p < 0x20 || *p > 0x7e || p - text > 300)
			return NULL;
	return text;
}

/* A worker's clock is believed within a day. */
static int64_t believable(int64_t at_ms, int64_t now_ms)
{
	return at_ms > now_ms - DAY_MS && at_ms <= now_ms ? at_ms : now_ms;
}

static void settle_final(struct judge *j, const struct shard *s, struct row *row,
			 const Rollcall__Report *report, const Rollcall__Answer *answer,
			 const Rollcall__Session *session, const struct evidence_domain *evidence,
			 const struct verdict *v, int64_t basis)
{
	char meant[DECIDE_MEANT_MAX];
	const struct write_result result = {
		.job = row->job,
		.uid = row->uid,
		.reason = (int)v->reason,
		.flags = v->flags,
		.score = v->score,
		.smtp_code = v->code,
		.enhanced = v->enhanced,
		.provider = s->domain->provider ? s->domain->provider->name : NULL,
		.mx = clean(session ? session->mx_host : evidence->mx_host),
		.did_you_mean = decide_meant(s->domain->meant, row->local, row->local_len, meant),
		.rule = v->rule,
		.attempts = row->tries + (answer->connected ? 1 : 0),
		.lane = s->lane,
		.checked_at_ms = believable(answer->at_ms, j->d->now_ms),
		.shard = report->shard,
		.sending = report->attempt,
		.part = report->part,
		.basis = basis,
		.rules = decide_rules(j->context),
		.was_deferred = row->deferred,
	};

	writes_result(j->d->writes, s->table_set, &result);
}

/* Rows of a domain fall due together; domains of one list need not. */
static uint64_t jitter_seed(const struct shard *s, unsigned attempt)
{
	return (uint64_t)s->job * 1000003u + (uint64_t)s->domain->no * 31u + attempt;
}

/* What the answer shows of these servers' greylisting, if anything. */
static void note_greylisting(struct judge *j, const struct shard *s, const struct row *row,
			     const Rollcall__Answer *answer, const struct verdict_input *in)
{
	const struct verdict_answer *a = &in->answer;
	struct group *g = s->domain->greylist;
	int64_t now_ms = j->d->now_ms, waited_ms = now_ms - row->first_at_ms;
	bool greylisted = a->class.category == RC_CATEGORY_GREYLISTED,
	     taken = a->class.fault == RC_FAULT_NONE || a->class.fault == RC_FAULT_RECIPIENT;
	uint32_t wait_s = (uint32_t)(waited_ms * (int64_t)j->context->schedule.time_scale / 1000);

	if (!a->present || a->failure != VERDICT_FAILURE_NONE || a->suspect || answer->shared ||
	    a->stage != RC_STAGE_RCPT || (!greylisted && !taken))
		return;
	if (row->deferred && row->attempt > 0 && row->reason == RC_REASON_GREYLISTED) {
		if (waited_ms <= 0 || waited_ms > DAY_MS)
			return;
		if (greylisted) {
			if (answer->attempt > j->context->schedule.n)
				return; /* who never passes says nothing of when others do */
			window_refused(&g->window, wait_s, now_ms);
		} else {
			window_passed(&g->window, wait_s, now_ms);
			g->passed = s->domain->name;
		}
		g->changed = true;
	} else if (!row->deferred && strcmp(g->passed, s->domain->name) == 0 &&
		   (greylisted || a->class.fault == RC_FAULT_NONE)) {
		enum window_key key = greylisted ? WINDOW_KEY_RECIPIENT : WINDOW_KEY_CLIENT;

		g->changed = g->changed || g->window.key != key;
		window_newcomer(&g->window, greylisted, now_ms);
	}
}

int64_t judge_due_ms(const struct judge *j, const struct verdict *v, unsigned attempt,
		     int64_t first_at_ms, unsigned idle)
{
	const struct schedule *schedule = &j->context->schedule;
	int64_t due_ms =
	    schedule_due_ms(schedule, v->wait, attempt, v->not_before_s, first_at_ms, j->d->now_ms);

	if (idle > IDLE_FREE) {
		unsigned shift = idle - IDLE_FREE < 6 ? idle - IDLE_FREE : 6;
		int64_t wait_s = 1 << shift < IDLE_WAIT_MAX_S ? 1 << shift : IDLE_WAIT_MAX_S;

		due_ms += wait_s * 1000 / (int64_t)schedule->time_scale;
	}
	return due_ms;
}

static void settle_deferred(struct judge *j, const struct shard *s, struct row *row,
			    const Rollcall__Report *report, const Rollcall__Answer *answer,
			    const Rollcall__Session *session,
			    const struct evidence_domain *evidence, const struct verdict *v,
			    int64_t basis)
{
	bool unasked = v->wait == VERDICT_WAIT_AT_ONCE || v->wait == VERDICT_WAIT_SOON;
	int64_t at_ms = believable(answer->at_ms, j->d->now_ms);
	struct write_deferred d = {
		.job = row->job,
		.uid = row->uid,
		.domain_no = s->domain->no,
		.attempt = v->attempt_spent ? answer->attempt : answer->attempt - 1,
		/* What was not asked will be, in the same attempt: it counts then. */
		.tries = row->tries + (answer->connected && v->attempt_spent ? 1 : 0),
		.reason = (int)v->reason,
		/* The schedule counts from the first attempt that was one. */
		.first_at_ms = row->deferred && row->attempt > 0 ? row->first_at_ms : at_ms,
		.lane = answer->failure == ROLLCALL__FAILURE__FAILURE_UNREACHABLE ? s->next_lane
										  : s->lane,
		.mx_host = clean(session ? session->mx_host : evidence->mx_host),
		.mx_address = clean(session ? session->mx_address : evidence->mx_address),
		.need_control = v->need_control,
		.idle = unasked ? row->idle + 1 : 0,
		.smtp_code = v->code,
		.enhanced = v->enhanced,
		.evidence_shard = report->shard,
		.evidence_sending = report->attempt,
		.evidence_part = report->part,
		.basis = basis,
		.healing = v->wait == VERDICT_WAIT_HEAL,
	};

	if (d.idle > 1000)
		d.idle = 1000;
	/* One that only stands in for a better host, and could not help: the better one first. */
	if (v->reason == RC_REASON_SERVER_UNAVAILABLE && session && session->control_anew)
		d.mx_host = d.mx_address = NULL;
	/* It has said nothing new: what was said last stands. */
	if (unasked && row->deferred && row->attempt > 0) {
		d.reason = row->reason;
		d.evidence_shard = 0;
		d.basis = -1;
	}
	if (v->wait == VERDICT_WAIT_SCHEDULE && v->reason == RC_REASON_GREYLISTED)
		d.due_at_ms = schedule_greylisted_ms(
		    &j->context->schedule, &s->domain->greylist->window, answer->attempt,
		    v->not_before_s, d.first_at_ms, j->d->now_ms, &d.attempt);
	else
		d.due_at_ms = judge_due_ms(j, v, answer->attempt, d.first_at_ms, d.idle);
	if (v->attempt_spent)
		d.due_at_ms =
		    schedule_jittered_ms(d.due_at_ms, jitter_seed(s, d.attempt), j->d->now_ms);
	/* Every other recipient would be told the same until then. One that is still turned away
	 * after that stands for itself. */
	if (v->reason == RC_REASON_GREYLISTED && answer->attempt == 1 && *s->domain->group &&
	    window_by_client(&s->domain->greylist->window, j->d->now_ms))
		writes_hold(j->d->writes, s->lane, s->domain->group, d.due_at_ms, LANE_GREYLISTED,
			    false,
			    "it greylists by our address alone: what else there is for it waits "
			    "along");
	if (evidence->control == VERDICT_CONTROL_UNDECIDED && evidence->control_local) {
		bool plain = true;

		for (size_t i = 0; i < evidence->control_local_len; i++)
			plain = plain && evidence->control_local[i] > 0x20 &&
				evidence->control_local[i] < 0x7f;
		if (plain) {
			d.control_local = (const char *)evidence->control_local;
			d.control_local_len = evidence->control_local_len;
		}
	}
	writes_deferred(j->d->writes, &d);
}

/* Whether a worker can ask for it in any session. */
static bool is_plain(const struct row *row)
{
	for (size_t i = 0; i < row->local_len; i++)
		if ((unsigned char)row->local[i] >= 0x80)
			return false;
	return true;
}

static void remember(struct domain *domain, const struct row *row, const struct verdict_input *in,
		     const struct verdict *v)
{
	bool refusal = v->final && verdict_is_refusal(v), acceptance = verdict_is_acceptance(in);

	if (v->final && history_good(v->reason) && is_plain(row)) {
		domain->witness = row->uid;
		domain->changed = true;
	}
	if (in->answer.suspect && in->answer.code >= 500 && !domain->doubted &&
	    in->answer.class.category == RC_CATEGORY_MAILBOX_NOT_FOUND)
		domain->doubted = domain->changed = true;

	if (v->final && v->reason == RC_REASON_REJECTS_ALL && !domain->rejects_all)
		domain->rejects_all = domain->changed = true;
	if (refusal || acceptance)
		harvest_answer(&domain->harvest, refusal);
	else if (in->answer.failure == VERDICT_FAILURE_NONE && in->attempt == 1 &&
		 in->answer.class.category == RC_CATEGORY_GREYLISTED)
		harvest_greylisted(&domain->harvest);
	else
		return;
	domain->changed = true;
}

/* For the tenant's next list. */
static void record(struct judge *j, const struct shard *s, const struct row *row,
		   const Rollcall__Answer *answer, const struct verdict_input *in,
		   enum rc_reason reason)
{
	const struct write_history h = {
		.tenant = s->tenant,
		.domain = s->domain->name,
		.local = row->local,
		.local_len = row->local_len,
		.job = row->job,
		.uid = row->uid,
		.reason = (int)reason,
		.control = (int)in->control,
		.lane = s->lane,
		.checked_at_ms = believable(answer->at_ms, j->d->now_ms),
	};

	writes_history(j->d->writes, &h);
}

/* As it will be read again, so that the same verdict follows then. */
static void what_was_known(const struct judge *j, const struct shard *s, const struct row *row,
			   struct history *ret)
{
	const struct known *known = s->domain->known;
	struct history now = {
		.domain_rejects_all = s->domain->rejects_all,
		.domain_doubted = s->domain->doubted,
		.domain_witnessed = s->domain->witness != 0,
		.domain_accepted =
		    known->accepted_at_ms > 0 &&
		    (j->d->now_ms - known->accepted_at_ms) / 1000 < HISTORY_ACCEPTED_S,
		.deferred_for = row->deferred ? (enum rc_reason)row->reason : RC_REASON_UNSET,
		.earlier = row->earlier,
	};

	history_control(&now, known->control, j->d->now_ms - known->control_at_ms,
			known->control_lane == s->lane);
	history_unpack(history_pack(&now), ret);
}

static int64_t ok_at_ms(const struct health *h)
{
	return h->ok_new_ms > 0 ? h->ok_new_ms : h->ok_at_ms;
}

/* Whether they speak with us at all: what an answer says of the lane. */
static void note_health(struct health *h, const struct verdict_answer *a,
			const Rollcall__Answer *answer, int64_t now_ms)
{
	if (!a->present || a->failure != VERDICT_FAILURE_NONE || a->suspect || answer->shared)
		return;
	if (a->class.category == RC_CATEGORY_IP_BLOCKED ||
	    a->class.category == RC_CATEGORY_RATE_LIMITED) {
		h->blocked_new_ms = now_ms;
		h->ok_new_ms = 0;
	} else if (a->stage == RC_STAGE_RCPT &&
		   (a->class.fault == RC_FAULT_NONE || a->class.fault == RC_FAULT_RECIPIENT)) {
		h->ok_new_ms = now_ms;
		h->blocked_new_ms = 0;
	}
}

static void settle(struct judge *j, struct shard *s, const Rollcall__Report *report,
		   const struct evidence_domain *evidence, const Rollcall__Answer *answer,
		   struct row *row)
{
	const Rollcall__Session *session;
	struct domain *domain = s->domain;
	struct history history;
	struct verdict_input in = { 0 };
	struct verdict v;

	/* An answer that came by two ways, or of an attempt that another has overtaken. */
	if (row->has_result || row->settled || answer->attempt == 0 || answer->attempt > 1000)
		return;
	if (row->deferred ? row->shard != s->id || answer->attempt != row->attempt + 1
			  : answer->attempt != 1)
		return;
	what_was_known(j, s, row, &history);
	weigh(j->context,
	      &(struct weigh_row){ .domain = domain->name,
				   .local = row->local,
				   .local_len = row->local_len,
				   .provider = domain->provider,
				   .measured = s->measured,
				   .history = &history },
	      report, evidence, answer, &in);
	in.attempts_max = schedule_attempts(&j->context->schedule);
	in.domain_risk = domain->risk;
	in.may_heal =
	    schedule_may_heal(&j->context->schedule, answer->attempt,
			      row->deferred && row->attempt > 0 ? row->first_at_ms : j->d->now_ms,
			      ok_at_ms(s->health), j->d->now_ms);
	verdict_row(&in, j->context->scores, &v);
	session = answer->session > 0 && answer->session <= report->n_sessions
		      ? report->sessions[answer->session - 1]
		      : NULL;
	row->settled = true;
	note_health(s->health, &in.answer, answer, j->d->now_ms);
	note_greylisting(j, s, row, answer, &in);
	if (v.final)
		settle_final(j, s, row, report, answer, session, evidence, &v,
			     history_pack(&history));
	else
		settle_deferred(j, s, row, report, answer, session, evidence, &v,
				history_pack(&history));
	if (v.final && rc_reason_grade(v.reason) != RC_GRADE_UNKNOWN)
		record(j, s, row, answer, &in, v.reason);
	remember(domain, row, &in, &v);
}

void judge_answer(struct judge *j, struct shard *s, const Rollcall__Report *report,
		  const struct evidence_domain *evidence, const Rollcall__Answer *answer)
{
	struct row *row = judge_row(j, s->job, (int64_t)answer->uid);

	if (!row || row->uid < s->domain->first_uid ||
	    row->uid >= s->domain->first_uid + s->domain->n)
		return;
	settle(j, s, report, evidence, answer, row);
	if (row->counted == s ||
	    (!row->has_result && !row->settled && !(row->deferred && row->shard != s->id)))
		return;
	row->counted = s;
	s->answered++;
}

void judge_learn(struct judge *j, const struct shard *s, const struct evidence_domain *evidence)
{
	int64_t now_ms = j->d->now_ms;
	struct known *k = s->domain->known;

	if (!evidence->control_apart && (evidence->control == VERDICT_CONTROL_REFUSED ||
					 evidence->control == VERDICT_CONTROL_ACCEPTED)) {
		int64_t at_ms = believable(evidence->control_at_ms, now_ms);

		/* Each part of a report says again what it has said of the control. */
		if (at_ms > k->control_at_ms)
			measured_control(j->d->measured, s->domain->provider,
					 evidence->control == VERDICT_CONTROL_ACCEPTED);
		if (at_ms >= k->control_at_ms) {
			k->control = (int)evidence->control;
			k->control_at_ms = at_ms;
			k->control_lane = s->lane;
			k->control_host = clean(evidence->control_host);
			k->control_new = true;
		}
	}
	if (evidence->accepted) {
		k->accepted_at_ms = now_ms;
		k->accepted_new = true;
	}
}
