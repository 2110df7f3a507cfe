/* See evidence.h. */
#include "coordinator/core/evidence.h"

#include <string.h>

/* refusals of one part, where somebody was accepted before, until they want a proof: the worker's
 * PROBE_REPEAT_RUN */
enum { UNPROVED_RUN = 3 };

static enum rc_stage stage_of(Rollcall__Stage stage)
{
	return (int)stage > 0 && (int)stage <= RC_STAGE_QUIT ? (enum rc_stage)(int)stage
							     : RC_STAGE_UNSET;
}

static void read_reply(const struct rc_rules *rules, const char *provider, Rollcall__Stage stage,
		       const Rollcall__Reply *reply, Rollcall__Failure failure,
		       struct verdict_answer *ret)
{
	struct rc_reply_view view;

	*ret = (struct verdict_answer){ .present = true, .stage = stage_of(stage), .enhanced = "" };
	if ((int)failure > 0 && (int)failure <= VERDICT_FAILURE_UNREACHABLE) {
		ret->failure = (enum verdict_failure)(int)failure;
		return;
	}
	if (!reply || reply->code < 200 || reply->code > 599) {
		ret->failure = VERDICT_FAILURE_NOT_PROBED;
		return;
	}
	view = (struct rc_reply_view){ .stage = ret->stage,
				       .code = reply->code,
				       .enhanced = reply->enhanced,
				       .text = (const char *)reply->text.data,
				       .len = reply->text.len,
				       .provider = provider };
	ret->code = reply->code;
	ret->enhanced = reply->enhanced;
	rc_rules_classify(rules, &view, &ret->class);
}

void evidence_answer(const struct rc_rules *rules, const char *provider,
		     const Rollcall__Answer *answer, struct verdict_answer *ret)
{
	read_reply(rules, provider, answer->stage, answer->reply, answer->failure, ret);
	ret->suspect = answer->suspect;
	ret->retry_after_s = answer->retry_after_ms / 1000;
}

static bool accepted(const struct verdict_answer *a)
{
	return a->present && a->failure == VERDICT_FAILURE_NONE && !a->suspect &&
	       (a->class.category == RC_CATEGORY_ACCEPTED ||
		a->class.category == RC_CATEGORY_FORWARDED);
}

/* Refused for itself: the recipient's fault, for good. */
static bool refused(const struct verdict_answer *a)
{
	return a->present && a->failure == VERDICT_FAILURE_NONE && a->code >= 500 &&
	       a->class.fault == RC_FAULT_RECIPIENT &&
	       a->class.category != RC_CATEGORY_MAILBOX_FULL;
}

/* Told that there is no such mailbox, and nobody who is there was accepted behind it. */
static bool unproved(const Rollcall__Answer *answer, const struct verdict_answer *a)
{
	return refused(a) && a->class.category == RC_CATEGORY_MAILBOX_NOT_FOUND && !answer->proved;
}

/* Told that there is no such mailbox, in words that can mean nobody else. */
static bool by_name(const struct verdict_answer *a)
{
	return refused(a) && a->class.names_mailbox &&
	       a->class.category == RC_CATEGORY_MAILBOX_NOT_FOUND;
}

/* Refused for good, whatever for. */
static bool turned_away(const struct verdict_answer *a)
{
	return a->present && a->failure == VERDICT_FAILURE_NONE && a->code >= 500;
}

/* How much a state of the control says: a yes outweighs a no, as a catch-all may refuse by mistake
 * and not accept by one. */
static int weight(enum verdict_control control)
{
	static const int weights[] = { [VERDICT_CONTROL_UNKNOWN] = 0,
				       [VERDICT_CONTROL_UNDECIDED] = 1,
				       [VERDICT_CONTROL_REFUSED] = 2,
				       [VERDICT_CONTROL_ACCEPTED] = 3 };

	return weights[control];
}

static const Rollcall__Session *session_at(const Rollcall__Report *report, uint32_t place)
{
	return place > 0 && place <= report->n_sessions ? report->sessions[place - 1] : NULL;
}

/* A server that is asked for one recipient at a time has its run over several sessions. */
static size_t talk_of(const struct evidence_domain *domain, const Rollcall__Answer *answer)
{
	return answer->session < EVIDENCE_TALKS && domain->talks[answer->session].answers > 1
		   ? answer->session
		   : 0;
}

void evidence_domain(const struct rc_rules *rules, const char *provider,
		     const Rollcall__Report *report, struct evidence_domain *ret)
{
	*ret = (struct evidence_domain){ .control_host = "", .mx_host = "", .mx_address = "" };
	for (size_t i = 0; i < report->n_controls; i++) {
		const Rollcall__Control *control = report->controls[i];
		struct verdict_answer a;

		read_reply(rules, provider, control->stage, control->reply, control->failure, &a);
		if (a.failure == VERDICT_FAILURE_NOT_PROBED &&
		    control->kind != ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM)
			continue;
		if (accepted(&a))
			ret->accepted =
			    ret->accepted ||
			    control->kind == ROLLCALL__CONTROL_KIND__CONTROL_KIND_POSTMASTER;
		if (control->kind == ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM) {
			enum verdict_control state = accepted(&a)  ? VERDICT_CONTROL_ACCEPTED
						     : refused(&a) ? VERDICT_CONTROL_REFUSED
								   : VERDICT_CONTROL_UNDECIDED;

			const Rollcall__Session *where = session_at(report, control->session);

			if (weight(state) < weight(ret->control))
				continue;
			ret->control = state;
			ret->control_host = where ? where->mx_host : "";
			ret->control_apart = where && where->control_anew;
			ret->refuses_by_name = ret->refuses_by_name || by_name(&a);
			ret->control_at_ms = control->at_ms;
			ret->control_local =
			    state == VERDICT_CONTROL_UNDECIDED ? control->local.data : NULL;
			ret->control_local_len =
			    state == VERDICT_CONTROL_UNDECIDED ? control->local.len : 0;
		} else if (control->kind == ROLLCALL__CONTROL_KIND__CONTROL_KIND_POSTMASTER) {
			ret->postmaster_answer = a;
			ret->postmaster = accepted(&a)	    ? VERDICT_POSTMASTER_ACCEPTED
					  : turned_away(&a) ? VERDICT_POSTMASTER_REFUSED
							    : VERDICT_POSTMASTER_UNDECIDED;
		}
	}
	for (size_t i = 0; i < report->n_answers; i++)
		if (report->answers[i]->session < EVIDENCE_TALKS)
			ret->talks[report->answers[i]->session].answers++;
	for (size_t i = 0; i < report->n_answers; i++) {
		const Rollcall__Answer *answer = report->answers[i];
		struct evidence_talk *talk = &ret->talks[talk_of(ret, answer)];
		struct verdict_answer a;

		evidence_answer(rules, provider, answer, &a);
		ret->accepted = ret->accepted || accepted(&a);
		talk->accepted = talk->accepted || accepted(&a);
		talk->refuses_by_name = talk->refuses_by_name || by_name(&a);
		talk->unproved += unproved(answer, &a);
	}
	for (size_t i = report->n_sessions; i > 0; i--) {
		const Rollcall__Session *session = report->sessions[i - 1];

		if (session->mx_address[0]) {
			ret->mx_host = session->mx_host;
			ret->mx_address = session->mx_address;
			break;
		}
	}
}

bool evidence_alike(const struct verdict_answer *a, const struct verdict_answer *b)
{
	/* rule names live as long as the rules: the same rule is the same pointer */
	return turned_away(a) && turned_away(b) && a->code == b->code &&
	       a->class.rule == b->class.rule &&
	       strcmp(a->enhanced ? a->enhanced : "", b->enhanced ? b->enhanced : "") == 0;
}

uint32_t evidence_refused_alike(const struct rc_rules *rules, const char *provider,
				const Rollcall__Report *report, const struct verdict_answer *answer)
{
	uint32_t n = 0;
	struct verdict_answer a;

	for (size_t i = 0; i < report->n_answers; i++) {
		evidence_answer(rules, provider, report->answers[i], &a);
		n += !report->answers[i]->shared && evidence_alike(answer, &a);
	}
	for (size_t i = 0; i < report->n_controls; i++) {
		const Rollcall__Control *control = report->controls[i];

		if (control->kind != ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM)
			continue;
		read_reply(rules, provider, control->stage, control->reply, control->failure, &a);
		n += evidence_alike(answer, &a);
	}
	return n;
}

void evidence_fill(const struct rc_rules *rules, const Rollcall__Report *report,
		   const struct evidence_domain *domain, const Rollcall__Answer *answer,
		   struct verdict_input *in)
{
	const char *provider = in->provider ? in->provider->name : NULL;
	const Rollcall__Session *where = session_at(report, answer->session);
	const struct evidence_talk *talk = &domain->talks[talk_of(domain, answer)];
	/* Each host may take mail by rules of its own. */
	bool elsewhere =
	    where && domain->control_host[0] && strcmp(where->mx_host, domain->control_host) != 0;
	uint32_t alike;

	evidence_answer(rules, provider, answer, &in->answer);
	in->attempt = answer->attempt;
	in->stand_in = where && where->control_anew;
	in->knows_nobody = in->stand_in && !domain->accepted && !answer->proved;
	if (in->stand_in) {
		in->control = VERDICT_CONTROL_UNKNOWN;
		in->control_age_s = 0;
		in->control_same_lane = false;
	}
	if (elsewhere) {
		/* it says nothing of this answer */
	} else if (domain->control == VERDICT_CONTROL_REFUSED ||
		   domain->control == VERDICT_CONTROL_ACCEPTED ||
		   (domain->control == VERDICT_CONTROL_UNDECIDED &&
		    in->control == VERDICT_CONTROL_UNKNOWN)) {
		int64_t age_ms = report->reported_at_ms - domain->control_at_ms;

		in->control = domain->control;
		in->control_age_s = age_ms > 0 ? (uint32_t)(age_ms / 1000) : 0;
		in->control_same_lane = true;
	}
	if (unproved(answer, &in->answer) &&
	    (in->domain_doubted ||
	     (in->domain_witnessed && !talk->accepted &&
	      domain->postmaster != VERDICT_POSTMASTER_ACCEPTED && talk->unproved >= UNPROVED_RUN)))
		in->answer.suspect = true;
	in->refuses_by_name =
	    in->refuses_by_name || domain->refuses_by_name || talk->refuses_by_name;
	if (domain->postmaster != VERDICT_POSTMASTER_UNASKED) {
		in->postmaster = domain->postmaster;
		in->postmaster_alike = evidence_alike(&in->answer, &domain->postmaster_answer);
	}
	if (domain->accepted)
		in->domain_accepted = true;
	/* Only a refusal that names nobody is compared with the others. */
	if (turned_away(&in->answer) && !in->answer.class.names_mailbox) {
		alike = evidence_refused_alike(rules, provider, report, &in->answer);
		if (alike > in->refused_alike)
			in->refused_alike = alike;
	}
}
