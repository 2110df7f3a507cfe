/* See verdict.h. The order of the decisions in verdict_row() is that of docs/verdicts.md; each step
 * is one function. */
#include "coordinator/core/verdict.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/core/history.h"
#include "coordinator/core/posteriors.h"
#include "coordinator/core/scores.h"

enum {
	FRESH_CONTROL_S = 600,	 /* how old a control may be at an inconsistent provider */
	CONTROL_S = 7 * 24 * 3600 /* and elsewhere */
};
enum { ALIKE_MIN = 3 };		/* addresses refused alike before everybody counts as refused */

static unsigned flags_of(const struct verdict_input *in)
{
	unsigned flags = 0;

	if (in->role)
		flags |= VERDICT_ROLE;
	if (in->disposable)
		flags |= VERDICT_DISPOSABLE;
	if (in->free)
		flags |= VERDICT_FREE;
	if (in->domain_risk)
		flags |= VERDICT_DOMAIN_RISK;
	return flags;
}

/* What the reason rests on, as far as the score cares. */
static enum score_evidence evidence_of(const struct verdict_input *in, enum rc_reason reason)
{
	/* No verdict now, but one not long ago: the address is not a stranger. */
	if (rc_reason_grade(reason) == RC_GRADE_UNKNOWN && history_good(in->earlier))
		return SCORE_EVIDENCE_KNOWN_GOOD;
	if (rc_reason_grade(reason) == RC_GRADE_UNKNOWN && history_bad(in->earlier))
		return SCORE_EVIDENCE_KNOWN_BAD;
	switch (reason) {
	case RC_REASON_MAILBOX_ACCEPTED:
	case RC_REASON_MAILBOX_FORWARDED:
	case RC_REASON_ROLE_ACCOUNT:
		if (in->deferred_for == RC_REASON_GREYLISTED)
			return SCORE_EVIDENCE_GREYLISTED;
		return in->control_same_lane && in->control_age_s <= FRESH_CONTROL_S
			   ? SCORE_EVIDENCE_FRESH
			   : SCORE_EVIDENCE_REMEMBERED;
	case RC_REASON_MAILBOX_NOT_FOUND:
		return in->answer.class.names_mailbox ? SCORE_EVIDENCE_NAMED
						      : SCORE_EVIDENCE_NAMELESS;
	case RC_REASON_MAILBOX_FULL:
		return in->answer.code >= 500 ? SCORE_EVIDENCE_LASTING : SCORE_EVIDENCE_PASSING;
	case RC_REASON_DOMAIN_ACCEPTS_ALL:
		return in->role ? SCORE_EVIDENCE_ROLE : SCORE_EVIDENCE_PLAIN;
	case RC_REASON_PROVIDER_ACCEPTS_ALL:
		return in->answer.present ? SCORE_EVIDENCE_PLAIN : SCORE_EVIDENCE_UNASKED;
	default:
		return SCORE_EVIDENCE_PLAIN;
	}
}

static bool is_inconsistent(const struct verdict_input *in)
{
	return in->provider && in->provider->honesty == RC_INCONSISTENT;
}

static void give_score(const struct verdict_input *in, const struct scores *scores,
		       enum rc_reason reason, struct verdict *v)
{
	const struct score_key key = {
		.reason = reason,
		.provider = in->provider ? in->provider->name : NULL,
		.evidence = evidence_of(in, reason),
		.inconsistent = is_inconsistent(in),
	};
	struct score score = posteriors_score(in->measured, scores, &key);

	v->score = score.percent;
	v->flags |= (unsigned)key.evidence << VERDICT_EVIDENCE_SHIFT;
	if (score.measured)
		v->flags |= VERDICT_SCORE_MEASURED;
}

static void finish(const struct verdict_input *in, const struct scores *scores,
		   enum rc_reason reason, struct verdict *v)
{
	v->final = true;
	v->reason = reason;
	v->wait = VERDICT_WAIT_NONE;
	give_score(in, scores, reason, v);
	if (reason == RC_REASON_DOMAIN_ACCEPTS_ALL || reason == RC_REASON_PROVIDER_ACCEPTS_ALL)
		v->flags |= VERDICT_CATCH_ALL;
}

static void defer(enum rc_reason reason, enum verdict_wait wait, struct verdict *v)
{
	v->final = false;
	v->reason = reason;
	v->wait = wait;
	v->score = -1;
	v->attempt_spent = wait != VERDICT_WAIT_AT_ONCE && wait != VERDICT_WAIT_SOON;
}

/* Held up by how they see our address or our rate, not by anything of the row's. */
static bool is_ours(enum rc_reason reason)
{
	return reason == RC_REASON_IP_BLOCKED || reason == RC_REASON_THROTTLED;
}

/* What passes with time: again on the schedule, or after the last attempt the cause. */
static void retry(const struct verdict_input *in, const struct scores *scores,
		  enum rc_reason reason, struct verdict *v)
{
	if (in->attempts_max && in->attempt < in->attempts_max)
		defer(reason, VERDICT_WAIT_SCHEDULE, v);
	else if (in->attempts_max && in->may_heal && is_ours(reason))
		defer(reason, VERDICT_WAIT_HEAL, v);
	else
		finish(in, scores, reason, v);
}

/* ---------------------------------------------------------------- before any mailbox is asked */

/* Dead domains. True: decided. */
static bool by_domain(const struct verdict_input *in, const struct scores *scores,
		      struct verdict *v)
{
	switch (in->domain) {
	case VERDICT_DOMAIN_NULL_MX:
		finish(in, scores, RC_REASON_NULL_MX, v);
		return true;
	case VERDICT_DOMAIN_NOT_FOUND:
		if (in->domain_confirmed)
			finish(in, scores, RC_REASON_DOMAIN_NOT_FOUND, v);
		else
			defer(RC_REASON_DOMAIN_NOT_FOUND, VERDICT_WAIT_CONFIRM_DOMAIN, v);
		return true;
	case VERDICT_DOMAIN_NO_SERVER:
		finish(in, scores, RC_REASON_NO_MAIL_SERVER, v);
		return true;
	case VERDICT_DOMAIN_UNROUTABLE:
		finish(in, scores, RC_REASON_MX_UNROUTABLE, v);
		return true;
	case VERDICT_DOMAIN_FAILED:
	case VERDICT_DOMAIN_UNKNOWN:
	case VERDICT_DOMAIN_MX:
	case VERDICT_DOMAIN_IMPLICIT:
		break;
	}
	return false;
}

static bool by_lists(const struct verdict_input *in, const struct scores *scores, struct verdict *v)
{
	static const struct {
		size_t offset;
		enum rc_reason reason;
	} lists[] = {
		{ offsetof(struct verdict_input, suppressed), RC_REASON_SUPPRESSED },
		{ offsetof(struct verdict_input, spam_trap), RC_REASON_SPAM_TRAP },
		{ offsetof(struct verdict_input, disposable), RC_REASON_DISPOSABLE_DOMAIN },
		{ offsetof(struct verdict_input, do_not_probe), RC_REASON_DO_NOT_PROBE },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		bool listed;

		memcpy(&listed, (const char *)in + lists[i].offset, sizeof(listed));
		if (listed) {
			finish(in, scores, lists[i].reason, v);
			return true;
		}
	}
	return false;
}

/* ---------------------------------------------------------------- the mailbox's own answer */

static void by_failure(const struct verdict_input *in, const struct scores *scores,
		       struct verdict *v)
{
	struct verdict_input again = *in;

	switch (in->answer.failure) {
	case VERDICT_FAILURE_NO_DOMAIN:
	case VERDICT_FAILURE_NO_MAIL_SERVER:
	case VERDICT_FAILURE_NULL_MX:
	case VERDICT_FAILURE_UNROUTABLE:
		/* the worker looked the domain up itself: the same as a resolve shard's answer */
		again.domain =
		    in->answer.failure == VERDICT_FAILURE_NO_DOMAIN ? VERDICT_DOMAIN_NOT_FOUND
		    : in->answer.failure == VERDICT_FAILURE_NO_MAIL_SERVER
			? VERDICT_DOMAIN_NO_SERVER
		    : in->answer.failure == VERDICT_FAILURE_NULL_MX ? VERDICT_DOMAIN_NULL_MX
								    : VERDICT_DOMAIN_UNROUTABLE;
		by_domain(&again, scores, v);
		return;
	case VERDICT_FAILURE_DNS:
		retry(in, scores, RC_REASON_DNS_FAILURE, v);
		return;
	case VERDICT_FAILURE_REFUSED:
	case VERDICT_FAILURE_CLOSED:
	case VERDICT_FAILURE_UNREACHABLE:
		retry(in, scores, RC_REASON_CONNECTION_FAILED, v);
		return;
	case VERDICT_FAILURE_TIMEOUT:
		retry(in, scores, RC_REASON_TIMEOUT, v);
		return;
	case VERDICT_FAILURE_PROTOCOL:
		retry(in, scores, RC_REASON_PROTOCOL_ERROR, v);
		return;
	case VERDICT_FAILURE_TLS:
		retry(in, scores, RC_REASON_TLS_FAILED, v);
		return;
	case VERDICT_FAILURE_SMTPUTF8:
		finish(in, scores, RC_REASON_SMTPUTF8_UNSUPPORTED, v);
		return;
	case VERDICT_FAILURE_LOCAL:
		defer(RC_REASON_NOT_PROBED, VERDICT_WAIT_SOON, v);
		return;
	case VERDICT_FAILURE_NOT_PROBED:
	case VERDICT_FAILURE_NONE:
		break;
	}
	defer(RC_REASON_NOT_PROBED, VERDICT_WAIT_AT_ONCE, v);
}

/*
 * Whether a refusal without a name may be a server's way to be rid of us: it has named others in
 * the same conversation, or this row waited because we were turned away, and no rule knows the
 * words. Postmaster, asked a while later, proves nothing of that moment.
 */
static bool doubtful(const struct verdict_input *in)
{
	return in->refuses_by_name ||
	       (in->deferred_for == RC_REASON_THROTTLED && in->answer.class.line == 0);
}

/* A refusal that names no mailbox: does this server refuse everybody? */
static void by_nameless_refusal(const struct verdict_input *in, const struct scores *scores,
				enum rc_reason reason, struct verdict *v)
{
	bool everybody = in->postmaster == VERDICT_POSTMASTER_REFUSED && in->postmaster_alike;

	if (doubtful(in) && (everybody || in->attempt < in->attempts_max)) {
		retry(in, scores, RC_REASON_THROTTLED, v);
	} else if (in->domain_accepted || in->control == VERDICT_CONTROL_ACCEPTED) {
		finish(in, scores, reason, v); /* it tells one from the other */
	} else if (in->postmaster == VERDICT_POSTMASTER_UNDECIDED) {
		retry(in, scores, RC_REASON_CONTROL_INCONCLUSIVE, v);
	} else if (everybody && (in->refused_alike >= ALIKE_MIN || in->domain_rejects_all)) {
		finish(in, scores, RC_REASON_REJECTS_ALL, v);
	} else if (everybody) {
		/* Too few to say that it refuses all, and too like a wall to say that the mailbox
		 * is none: perhaps others of the domain come to be known meanwhile. */
		v->flags |= VERDICT_REVIEW;
		retry(in, scores, RC_REASON_POLICY_REJECTED, v);
	} else {
		finish(in, scores, reason, v);
	}
}

/* 521 in the greeting (RFC 7504): the worker reports it where every host of the domain says so. */
static bool hosts_take_none(const struct verdict_answer *a)
{
	return a->code == 521 && (a->stage == RC_STAGE_GREETING || a->stage == RC_STAGE_EHLO);
}

/* Relay denied and kin: invalid only when postmaster is turned away too, twice, 3 hours apart. */
static void by_routing_refusal(const struct verdict_input *in, const struct scores *scores,
			       enum rc_reason reason, struct verdict *v)
{
	bool domain_refused = in->postmaster == VERDICT_POSTMASTER_REFUSED &&
			      in->postmaster_alike && !in->domain_accepted;

	if (in->answer.code == 530)
		/* whatever else it may mean: who logs in may get another answer (RFC 4954, 6) */
		retry(in, scores, RC_REASON_AUTH_REQUIRED, v);
	else if (in->stand_in && in->answer.code != 556 && !hosts_take_none(&in->answer))
		/* a backup that is not set up for the domain, or not at all: the better host, which
		 * takes the mail, was not heard */
		retry(in, scores,
		      rc_reason_status(reason) == RC_RESULT_INVALID ? RC_REASON_SERVER_UNAVAILABLE
								    : reason,
		      v);
	else if (rc_reason_status(reason) == RC_RESULT_INVALID)
		finish(in, scores, reason,
		       v); /* 521, 556: the server speaks for itself (RFC 7504) */
	else if (!domain_refused && in->postmaster == VERDICT_POSTMASTER_UNDECIDED)
		retry(in, scores, reason, v);
	else if (!domain_refused)
		finish(in, scores, reason, v);
	else if (in->refusal_confirmed)
		finish(in, scores, RC_REASON_MX_REFUSES_DOMAIN, v);
	else
		defer(RC_REASON_MX_REFUSES_DOMAIN, VERDICT_WAIT_CONFIRM_REFUSAL, v);
}

static bool misleads(const struct verdict_input *in)
{
	return in->provider && in->provider->honesty == RC_MISLEADING;
}

static bool hardly_accepts_all(const struct verdict_input *in)
{
	return in->provider && (in->provider->honesty == RC_INCONSISTENT ||
				in->provider->catch_all == RC_CATCH_ALL_NEVER);
}

/* Accepted: what the control says decides. */
static void by_acceptance(const struct verdict_input *in, const struct scores *scores,
			  enum rc_reason reason, struct verdict *v)
{
	if (misleads(in)) {
		finish(in, scores, RC_REASON_PROVIDER_ACCEPTS_ALL, v);
		return;
	}
	switch (in->control) {
	case VERDICT_CONTROL_ACCEPTED:
		/* Some say yes to anything, but only for a while; others never do. So it is to be
		 * seen twice. */
		if (hardly_accepts_all(in) && in->deferred_for != RC_REASON_CONTROL_INCONCLUSIVE &&
		    in->attempts_max && in->attempt < in->attempts_max)
			break;
		finish(in, scores, RC_REASON_DOMAIN_ACCEPTS_ALL, v);
		return;
	case VERDICT_CONTROL_REFUSED:
		if (is_inconsistent(in) &&
		    (!in->control_same_lane || in->control_age_s > FRESH_CONTROL_S))
			break;
		/* Against what it said of this mailbox before, such a yes is to be heard twice. */
		if (is_inconsistent(in) && history_bad(in->earlier) &&
		    in->deferred_for != RC_REASON_CONTROL_INCONCLUSIVE)
			break;
		finish(in, scores, in->role ? RC_REASON_ROLE_ACCOUNT : reason, v);
		return;
	case VERDICT_CONTROL_UNKNOWN:
	case VERDICT_CONTROL_UNDECIDED:
		break;
	}
	retry(in, scores, RC_REASON_CONTROL_INCONCLUSIVE, v);
	v->need_control = !v->final;
}

static void by_reply(const struct verdict_input *in, const struct scores *scores, struct verdict *v)
{
	const struct rc_classification *c = &in->answer.class;
	unsigned code = in->answer.code;
	enum rc_reason reason = rc_reply_reason(c, code);

	if (in->answer.suspect) {
		/* it had begun to starve us: neither its yes nor its no counts */
		retry(in, scores,
		      rc_reason_status(reason) == RC_RESULT_UNKNOWN &&
			      rc_reason_grade(reason) == RC_GRADE_UNKNOWN
			  ? reason
			  : RC_REASON_THROTTLED,
		      v);
		return;
	}
	if (rc_reply_review(c, code))
		v->flags |= VERDICT_REVIEW;
	/* A backup that was never told who is there refuses them all, by name: the better host is
	 * tried first, as long as there are attempts. */
	if (in->knows_nobody && in->attempt < in->attempts_max && rc_reason_status(reason) == RC_RESULT_INVALID &&
	    c->fault == RC_FAULT_RECIPIENT) {
		retry(in, scores, RC_REASON_SERVER_UNAVAILABLE, v);
		return;
	}
	switch (reason) {
	case RC_REASON_MAILBOX_ACCEPTED:
	case RC_REASON_MAILBOX_FORWARDED:
		by_acceptance(in, scores, reason, v);
		return;
	case RC_REASON_CANNOT_VERIFY:
		finish(in, scores, misleads(in) ? RC_REASON_PROVIDER_ACCEPTS_ALL : reason, v);
		return;
	case RC_REASON_MAILBOX_NOT_FOUND:
		if (!c->names_mailbox) {
			by_nameless_refusal(in, scores, reason, v);
			return;
		}
		finish(in, scores, reason, v);
		return;
	case RC_REASON_MAILBOX_DISABLED:
	case RC_REASON_MAILBOX_NOT_LOCAL:
	case RC_REASON_MAILBOX_NAME_NOT_ALLOWED:
		finish(in, scores, reason, v);
		return;
	case RC_REASON_MAILBOX_FULL:
		if (code >= 500)
			finish(in, scores, reason, v);
		else
			retry(in, scores, reason, v);
		return;
	default:
		break;
	}
	if (c->category == RC_CATEGORY_ROUTING && code >= 500) {
		by_routing_refusal(in, scores, reason, v);
		return;
	}
	/* A policy of theirs that is nobody's fault stays; what is ours, or passes, is tried again.
	 */
	if (c->category == RC_CATEGORY_POLICY && code >= 500 && c->fault == RC_FAULT_UNCLEAR &&
	    in->answer.stage == RC_STAGE_RCPT) {
		by_nameless_refusal(in, scores, reason, v);
		return;
	}
	retry(in, scores, reason, v);
}

bool verdict_control_serves(enum verdict_control control, int64_t age_s, bool same_lane,
			    bool inconsistent)
{
	if (control != VERDICT_CONTROL_REFUSED && control != VERDICT_CONTROL_ACCEPTED)
		return false;
	return inconsistent ? same_lane && age_s < FRESH_CONTROL_S : age_s < CONTROL_S;
}

/* ---------------------------------------------------------------- the whole */

void verdict_row(const struct verdict_input *in, const struct scores *scores, struct verdict *ret)
{
	const struct verdict_answer *a = &in->answer;

	*ret = (struct verdict){ .score = -1, .flags = flags_of(in), .attempt_spent = true };
	if (a->present && a->failure == VERDICT_FAILURE_NONE) {
		int32_t wait = rc_reply_not_before_s(&a->class, in->provider);

		ret->code = a->code;
		if (a->enhanced)
			snprintf(ret->enhanced, sizeof(ret->enhanced), "%s", a->enhanced);
		ret->rule = a->class.rule;
		ret->not_before_s = wait > 0 ? (uint32_t)wait : 0;
		if (a->retry_after_s > ret->not_before_s)
			ret->not_before_s = a->retry_after_s;
	}
	if (in->bad_syntax) {
		finish(in, scores, RC_REASON_BAD_SYNTAX, ret);
		return;
	}
	if (by_domain(in, scores, ret) || by_lists(in, scores, ret))
		return;
	if (in->domain == VERDICT_DOMAIN_FAILED && !a->present) {
		retry(in, scores, RC_REASON_DNS_FAILURE, ret);
		return;
	}
	if (!a->present) {
		defer(RC_REASON_NOT_PROBED, VERDICT_WAIT_AT_ONCE, ret);
		return;
	}
	if (a->failure != VERDICT_FAILURE_NONE)
		by_failure(in, scores, ret);
	else
		by_reply(in, scores, ret);
}

void verdict_of_reason(enum rc_reason reason, const struct verdict_input *in,
		       const struct scores *scores, struct verdict *ret)
{
	static const struct verdict_input nothing;

	if (!in)
		in = &nothing;
	*ret = (struct verdict){ .score = -1, .flags = flags_of(in), .attempt_spent = true };
	finish(in, scores, reason, ret);
}

bool verdict_is_refusal(const struct verdict *v)
{
	return v->final && (v->reason == RC_REASON_MAILBOX_NOT_FOUND ||
			    v->reason == RC_REASON_MAILBOX_DISABLED ||
			    v->reason == RC_REASON_MAILBOX_NOT_LOCAL ||
			    v->reason == RC_REASON_MAILBOX_NAME_NOT_ALLOWED);
}

bool verdict_is_acceptance(const struct verdict_input *in)
{
	const struct verdict_answer *a = &in->answer;

	return a->present && a->failure == VERDICT_FAILURE_NONE && !a->suspect &&
	       (a->class.category == RC_CATEGORY_ACCEPTED ||
		a->class.category == RC_CATEGORY_FORWARDED ||
		a->class.category == RC_CATEGORY_MAILBOX_FULL);
}
