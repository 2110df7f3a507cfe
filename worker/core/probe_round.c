/* See probe_state.h. What is asked in one conversation, and what becomes of those that it did not
 * answer. */
#include "worker/core/probe_state.h"

/* ---------------------------------------------------------------- one group */

static uint32_t session_most(const struct probe *p)
{
	const Rollcall__Budget *b = p->shard->budget;
	uint32_t most = PROBE_RECIPIENTS_MAX;

	if (b && b->recipients_per_session)
		most = b->recipients_per_session;
	else if (p->provider && p->provider->recipients_per_session)
		most = p->provider->recipients_per_session;
	if (p->session_most && p->session_most < most)
		most = p->session_most;
	if (p->config->pace) {
		/* What a minute allows, so that one session does not take more than it. */
		uint32_t minute =
		    b && b->recipients_per_minute ? b->recipients_per_minute : PROBE_MINUTE;

		if (minute < most)
			most = minute;
	}
	return most;
}

bool probe_round_single(const struct probe *p)
{
	return session_most(p) == 1;
}

static uint32_t rejections_most(const struct probe *p)
{
	const Rollcall__Budget *b = p->shard->budget;

	if (b && b->rejections_per_session)
		return b->rejections_per_session;
	if (p->provider && p->provider->rejections_per_session)
		return p->provider->rejections_per_session;
	return PROBE_REJECTIONS;
}

static uint32_t controls_wanted(const struct probe *p)
{
	uint32_t n = 0;

	for (int i = 0; i < CONTROLS; i++)
		n += p->controls[i].state == CONTROL_WANTED;
	return n;
}

bool probe_round_wanted(const struct probe *p)
{
	return !p->stopping && (p->counts[RCPT_PENDING] || controls_wanted(p));
}

uint32_t probe_round_most(const struct probe *p)
{
	uint32_t most = session_most(p), wanted = p->counts[RCPT_PENDING] + controls_wanted(p);

	return wanted < most ? wanted : most;
}

static bool offer(struct probe *p, uint16_t whom, const void *local, size_t len, bool smtputf8,
		  uint32_t at)
{
	if (!smtp_session_rcpt(&p->session, local, len, p->shard->domain, smtputf8))
		return false;
	p->group[at] = whom;
	p->offered++;
	p->mail_offered++;
	return true;
}

/* Takes the next recipient out of line. True: asked. False: answered without asking. */
static bool offer_next(struct probe *p, uint32_t at, uint64_t now_ms)
{
	struct probe_rcpt *r = rcpt_first(p);

	if (r->from->smtputf8 && !p->utf8) {
		rcpt_fail(p, r, ROLLCALL__STAGE__STAGE_EHLO, ROLLCALL__FAILURE__FAILURE_SMTPUTF8,
			  now_ms);
		return false;
	}
	if (!offer(p, (uint16_t)(r - p->rcpts), r->from->local.data, r->from->local.len,
		   r->from->smtputf8, at)) {
		rcpt_fail(p, r, ROLLCALL__STAGE__STAGE_RCPT, ROLLCALL__FAILURE__FAILURE_LOCAL,
			  now_ms);
		return false;
	}
	r->offered = true;
	rcpt_set_state(p, r, RCPT_OFFERED, now_ms);
	return true;
}

static bool needs_utf8(const struct probe *p)
{
	for (uint16_t i = p->first; i != PROBE_NOBODY; i = p->rcpts[i].next)
		if (p->rcpts[i].from->smtputf8)
			return true;
	return false;
}

/*
 * How many may be asked at once. A domain that has accepted n in a row is trusted with n more than
 * the refusals that a session may still see: so the clean ones grow, up to all that a session
 * takes.
 */
static uint32_t group_room(const struct probe *p)
{
	uint32_t most = session_most(p), refusals = rejections_most(p);
	uint32_t room = most > p->offered ? most - p->offered : 0;

	/* The last place is for whom it accepted, once more. */
	if (p->repeat_most && room)
		room--;
	if (refusals <= p->rejected)
		return 0;
	refusals -= p->rejected;
	if (refusals > 1)
		refusals += p->clean;
	return room < refusals ? room : refusals;
}

/* What one MAIL may carry is used up, as far as we know it: another one may begin. */
static bool begin_anew(struct probe *p)
{
	if (!smtp_session_mailed(&p->session))
		return false;
	if (!p->reset && (p->mail_most == 0 || p->mail_offered < p->mail_most))
		return false;
	p->reset = false;
	if (p->no_reset || p->resets >= PROBE_RESETS) {
		p->enough = true;
		return false;
	}
	p->resets++;
	p->mail_offered = p->mail_answered = 0;
	return smtp_session_reset(&p->session);
}

void probe_round_plan(struct probe *p, uint64_t now_ms)
{
	bool pipelining = p->session.pipelining && !p->one_by_one;
	uint32_t room = group_room(p), asked = 0, kept = 0;
	bool anew, repeat;

	if (!p->counts[RCPT_PENDING] || p->enough || room == 0)
		probe_control_close(p);
	p->talk->message.used_helo = p->session.used_helo;
	p->talk->message.pipelined = pipelining;
	p->talk->message.extensions = smtp_session_extensions(&p->session);
	/* A refusal more than it may see: but it has accepted this one. */
	repeat = room == 0 && session_most(p) > p->offered && probe_control_repeat_due(p);
	if (repeat)
		room = 1;
	else if (room == 0 && !probe_round_single(p))
		probe_control_settle(p, &p->controls[CONTROL_REPEAT], now_ms);
	anew = room && !repeat && !p->enough && probe_round_wanted(p) && begin_anew(p);
	if (!probe_round_wanted(p) || p->enough || room == 0) {
		smtp_session_quit(&p->session, now_ms);
		return;
	}
	if (anew && !pipelining) {
		smtp_session_flush(&p->session, now_ms);
		return;
	}
	if (p->mail_most && room > p->mail_most - p->mail_offered)
		room = p->mail_most - p->mail_offered;
	if (!smtp_session_mailed(&p->session)) {
		p->utf8 = p->session.smtputf8 && p->some_utf8 && needs_utf8(p);
		smtp_session_mail(&p->session, p->identity->mail_from, p->utf8);
		if (!pipelining) {
			smtp_session_flush(&p->session, now_ms);
			return;
		}
	}
	if (!pipelining)
		room = 1;

	for (uint16_t i = 0; i < CONTROLS && asked < room; i++) {
		struct probe_control *c = &p->controls[i];

		if (c->state != CONTROL_WANTED || (repeat && i != CONTROL_REPEAT))
			continue;
		if (offer(p, (uint16_t)(p->rcpt_n + i), c->local, c->local_len, false, asked)) {
			c->state = CONTROL_OFFERED;
			asked++;
		} else {
			probe_control_fail(p, c, ROLLCALL__STAGE__STAGE_RCPT,
					   ROLLCALL__FAILURE__FAILURE_LOCAL, now_ms);
		}
	}
	/* One place is kept for the control that an acceptance will call for. */
	if (room > 1 && probe_control_due(p) &&
	    p->controls[CONTROL_RANDOM].state == CONTROL_UNASKED)
		kept = 1;
	while (!repeat && asked + kept < room && p->counts[RCPT_PENDING])
		asked += offer_next(p, asked, now_ms);

	if (asked)
		smtp_session_flush(&p->session, now_ms);
	else
		smtp_session_quit(&p->session, now_ms);
}

/* ---------------------------------------------------------------- the end of a conversation */

/* Those who were asked and not answered go back in line, in front, in their order. Returns the
 * first of them. */
static struct probe_rcpt *take_back(struct probe *p, Rollcall__Stage stage,
				    Rollcall__Failure failure, uint64_t now_ms)
{
	struct probe_rcpt *head = NULL;
	uint16_t first = p->first, last = p->last;

	p->first = p->last = PROBE_NOBODY;
	for (uint16_t i = 0; i < p->rcpt_n && p->counts[RCPT_OFFERED]; i++) {
		if (p->rcpts[i].state != RCPT_OFFERED)
			continue;
		if (!head)
			head = &p->rcpts[i];
		rcpt_set_state(p, &p->rcpts[i], RCPT_PENDING, now_ms);
	}
	if (p->last == PROBE_NOBODY) {
		p->first = first;
		p->last = last;
	} else if (first != PROBE_NOBODY) {
		p->rcpts[p->last].next = first;
		p->last = last;
	}
	for (int i = 0; i < CONTROLS; i++)
		if (p->controls[i].state == CONTROL_OFFERED)
			probe_control_lost(p, &p->controls[i], stage, failure, now_ms);
	return head;
}

/* Out of line, wherever it stands: only the first one does in practice. */
static void fail_head(struct probe *p, struct probe_rcpt *head, Rollcall__Stage stage,
		      Rollcall__Reply *reply, Rollcall__Failure failure, uint64_t now_ms)
{
	if (!head || rcpt_first(p) != head)
		return;
	probe_answer_fill(p, head, stage, reply, failure, p->talk, now_ms);
	head->answer.suspect = reply && p->clear_run >= PROBE_STARVE_RUN;
	if (head->answer.suspect)
		probe_answer_suspect(p, p->talk, reply->code);
	rcpt_set_state(p, head, RCPT_READY, now_ms);
}

bool probe_round_upgrade(struct probe *p, uint64_t now_ms)
{
	if (!smtp_session_upgrade(&p->session, now_ms))
		return false;
	p->tls_asked = false;
	take_back(p, ROLLCALL__STAGE__STAGE_STARTTLS, ROLLCALL__FAILURE__FAILURE_TLS, now_ms);
	/* None of them was heard. */
	p->offered = p->mail_offered = 0;
	return true;
}

/*
 * This host takes no mail (RFC 7504); it says nothing of the others. Where one of them was left for
 * another reason, that is what is known of the domain.
 */
static void leave_host(struct probe *p)
{
	if (p->left.stage)
		p->why = p->left;
	mx_plan_failed(&p->plan);
}

/* Another may do better. */
static void leave(struct probe *p)
{
	p->left = p->why;
	mx_plan_failed(&p->plan);
}

/*
 * TLS did not work, in whatever phase. A server that insists is left for the next one; from one
 * that only offered, or was only said to, we take what it says in plain text.
 */
static bool broke_tls(struct probe *p, Rollcall__Stage stage, Rollcall__Failure failure)
{
	const struct smtp_session *s = &p->session;

	if (!failure || p->answered || failure == ROLLCALL__FAILURE__FAILURE_LOCAL)
		return false;
	if (stage != ROLLCALL__STAGE__STAGE_STARTTLS && failure != ROLLCALL__FAILURE__FAILURE_TLS &&
	    (!s->tls || stage > ROLLCALL__STAGE__STAGE_EHLO))
		return false;
	mx_plan_at(&p->plan)->tls_broken = true;
	if (!s->tls_must)
		return true;
	p->why = (struct probe_why){ .stage = ROLLCALL__STAGE__STAGE_STARTTLS,
				     .failure = ROLLCALL__FAILURE__FAILURE_TLS,
				     .talk = p->talk };
	leave(p);
	return true;
}

/* Whether the server, which offers PIPELINING, has refused MAIL because there was more behind it:
 * "554 5.5.0 protocol synchronization". */
static bool cries_haste(const struct probe *p)
{
	struct rc_classification class;

	if (!p->session.refused || p->one_by_one || !p->talk || !p->talk->message.pipelined ||
	    p->why.talk != p->talk || !p->why.reply || p->why.stage != ROLLCALL__STAGE__STAGE_MAIL)
		return false;
	probe_answer_classify(p, p->why.stage, p->why.reply, &class);
	return class.category == RC_CATEGORY_PROTOCOL;
}

/*
 * It said more than it was asked for, so that nobody knows which reply was whose. What it said is
 * forgotten, and asked again one at a time; where that was tried, it is no server to be asked.
 */
static void forget(struct probe *p, Rollcall__Stage stage, uint64_t now_ms)
{
	bool again = !p->unasked && !p->stopping && p->talk->message.pipelined;

	probe_control_recall(p, p->talk, now_ms);
	rcpt_recall(p, p->talk, now_ms);
	p->unasked = p->one_by_one = true;
	p->clean = p->accept_run = p->refuse_run = p->clear_run = 0;
	p->throttle_run = p->odd_run = 0;
	p->accepted = PROBE_NOBODY;
	if (!again)
		probe_answer_refused(p,
				     stage ? stage : (Rollcall__Stage)ROLLCALL__STAGE__STAGE_QUIT,
				     NULL, ROLLCALL__FAILURE__FAILURE_PROTOCOL, p->talk, now_ms);
}

void probe_round_over(struct probe *p, uint64_t now_ms)
{
	struct smtp_session *s = &p->session;
	Rollcall__Stage stage = s->stage;
	Rollcall__Failure failure = s->failure;
	struct probe_rcpt *head;

	p->failed = failure != ROLLCALL__FAILURE__FAILURE_NONE;
	/* One that comes after answers is the session's own limit, not the rate's. */
	p->throttled = p->throttled || (s->said_421 && !p->answered);
	if (p->talk) {
		p->talk->message.took_ms = (uint32_t)(now_ms - p->talk->started_ms);
		p->talk->message.used_helo = s->used_helo;
		p->talk->message.ended_stage = stage;
		p->talk->message.ended_failure = failure;
		p->talk->message.tls_thrown_away = s->tls_thrown_away;
	}
	head = take_back(p, stage, failure, now_ms);
	if (s->unasked && p->talk && p->answered) {
		forget(p, stage, now_ms);
		return;
	}
	if (!probe_round_single(p))
		probe_control_settle(p, &p->controls[CONTROL_REPEAT], now_ms);
	else if (p->refuse_run >= PROBE_REJECTIONS)
		probe_control_want(p, CONTROL_REPEAT);
	if (p->answered)
		p->idle = 0;
	else if ((failure && stage >= ROLLCALL__STAGE__STAGE_MAIL) || (s->said_421 && !s->refused))
		p->idle++;
	if (failure == ROLLCALL__FAILURE__FAILURE_LOCAL || p->no_memory) {
		probe_answer_refused(p, stage, NULL, ROLLCALL__FAILURE__FAILURE_LOCAL, p->talk,
				     now_ms);
	} else if (broke_tls(p, stage, failure)) {
		return;
	} else if (p->tls_asked && !s->said_421) {
		/* Once more, and sealed from the start. */
		return;
	} else if (s->refused && p->resets && p->answered) {
		/* A second MAIL in one session is what it does not like. */
		p->no_reset = true;
		return;
	} else if (cries_haste(p)) {
		p->one_by_one = true;
		return;
	} else if (s->refused && p->why.talk == p->talk && p->why.reply) {
		/* After a 421 another server may have room; all else is their answer, and asking
		 * the next one would start another greylister's clock. */
		if (s->said_421) {
			p->throttled = true;
			leave(p);
		} else if (p->why.reply->code == 521 &&
			   p->why.stage <= ROLLCALL__STAGE__STAGE_EHLO) {
			leave_host(p);
		} else {
			struct rc_classification class;

			probe_answer_classify(p, p->why.stage, p->why.reply, &class);
			p->throttled = p->throttled || probe_answer_throttles(&class);
			probe_answer_refused(p, p->why.stage, p->why.reply, failure, p->talk,
					     now_ms);
		}
	} else if (s->said_421) {
		/* In the middle: the others were not asked. They come again, and here; but not for
		 * ever without an answer. */
		if (p->answered) {
			if (++p->cut_short > 1)
				p->session_most = p->answered;
			return;
		}
		if (p->idle < 2 && p->clear_run == 0) {
			leave(p);
			return;
		}
		fail_head(p, head, ROLLCALL__STAGE__STAGE_RCPT,
			  p->why.talk == p->talk ? p->why.reply : NULL,
			  ROLLCALL__FAILURE__FAILURE_CLOSED, now_ms);
		probe_answer_back_off(p, now_ms);
	} else if (failure) {
		if (stage <= ROLLCALL__STAGE__STAGE_EHLO) {
			p->why = (struct probe_why){ .stage = stage,
						     .failure = failure,
						     .talk = p->talk };
			leave(p);
		} else if (p->answered) {
			/* It may have been the batch: the rest one at a time. */
			p->one_by_one = true;
		} else if (p->idle >= 3 || (p->idle >= 2 && stage == ROLLCALL__STAGE__STAGE_MAIL)) {
			probe_answer_refused(p, stage, NULL, failure, p->talk, now_ms);
		} else {
			p->one_by_one = true;
			if (p->idle >= 2)
				fail_head(p, head, stage, NULL, failure, now_ms);
		}
	}
}
