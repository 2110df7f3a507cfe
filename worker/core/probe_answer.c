/* See probe_state.h. What a reply says of the one it was for, of the others, and of us. */
#include <string.h>

#include "common/base/arena.h"
#include "worker/core/probe_state.h"

bool probe_answer_throttles(const struct rc_classification *c)
{
	return c->category == RC_CATEGORY_RATE_LIMITED || c->category == RC_CATEGORY_IP_BLOCKED ||
	       c->category == RC_CATEGORY_SERVICE_UNAVAILABLE;
}

void probe_answer_classify(const struct probe *p, Rollcall__Stage stage,
			   const Rollcall__Reply *reply, struct rc_classification *ret)
{
	struct rc_reply_view view = {
		.stage = (enum rc_stage)stage,
		.code = reply->code,
		.enhanced = reply->enhanced,
		.text = (const char *)reply->text.data,
		.len = reply->text.len,
		.provider = p->provider ? p->provider->name : NULL,
	};

	rc_rules_classify(p->config->rules, &view, ret);
}

void probe_answer_fill(struct probe *p, struct probe_rcpt *r, Rollcall__Stage stage,
		       Rollcall__Reply *reply, Rollcall__Failure failure, struct probe_talk *talk,
		       uint64_t now_ms)
{
	r->answer.stage = stage;
	r->answer.reply = reply;
	r->answer.failure = reply ? ROLLCALL__FAILURE__FAILURE_NONE : failure;
	r->answer.at_ms = probe_wall(p, now_ms);
	r->answer.took_ms = 0;
	r->answer.connected = p->opened;
	r->answer.retry_after_ms = 0;
	r->answer.shared = false;
	r->talk = talk;
}

/* Whether the next try of this reply is for our own timers, and when. */
static bool short_retry(const struct probe *p, const struct rc_classification *c,
			const Rollcall__Reply *reply, unsigned tries, uint64_t now_ms,
			uint64_t *ret_due_ms)
{
	int32_t wait_s = rc_reply_short_retry_s(c, p->provider);

	if (p->stopping || p->starved || reply->code / 100 != 4 || wait_s <= 0 ||
	    tries >= PROBE_LOCAL_TRIES)
		return false;
	*ret_due_ms = probe_after(p, (uint32_t)wait_s, now_ms);
	return *ret_due_ms + PROBE_LEAVE_MS < p->leave_ms;
}

static uint32_t hash_reply(const Rollcall__Reply *reply)
{
	uint32_t hash = 2166136261u ^ reply->code;
	size_t len = reply->text.len < 32 ? reply->text.len : 32;

	/* The beginning only: addresses and ticket numbers stand behind it. */
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ reply->text.data[i]) * 16777619u;
	return hash;
}

void probe_answer_back_off(struct probe *p, uint64_t now_ms)
{
	p->enough = true;
	p->throttled = true;
	p->backed_off = true;
	p->health_known = true;
	p->health.throttled = true;
	p->health.retry_in_ms = PROBE_BACK_OFF_MS;
	probe_answer_end(p, now_ms);
}

/*
 * It refuses us as a client, in the same words whoever we ask for: asking on would be rude, and
 * would say no more. The others of this attempt share its reply, and are marked so.
 */
static void refuse_rest(struct probe *p, Rollcall__Reply *reply, uint64_t now_ms)
{
	for (uint16_t i = 0; i < p->rcpt_n; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		if (r->answer.reply || (r->state != RCPT_PENDING && r->state != RCPT_OFFERED))
			continue;
		probe_answer_fill(p, r, ROLLCALL__STAGE__STAGE_RCPT, reply,
				  ROLLCALL__FAILURE__FAILURE_NONE, p->talk, now_ms);
		r->answer.shared = true;
	}
}

void probe_answer_suspect(struct probe *p, struct probe_talk *talk, unsigned code)
{
	char *text = talk ? rc_arena_printf(p->arena, "%u after %u clear answers", code,
					    (unsigned)p->clear_run)
			  : NULL;

	/* Without memory the answers are suspect all the same. */
	if (text)
		talk->message.starving = text;
}

/* The server answers to get rid of us: what it said since then counts for nothing, and we go. */
static void starve(struct probe *p, uint32_t since, unsigned code, uint64_t now_ms)
{
	p->starved = true;
	probe_answer_suspect(p, p->talk, code);
	for (uint16_t i = 0; i < p->rcpt_n; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		if (r->state == RCPT_HELD || r->state == RCPT_READY || r->state == RCPT_WAITING)
			r->answer.suspect = r->answer.suspect || r->order >= since;
	}
	probe_answer_back_off(p, now_ms);
}

/*
 * Watches for the pattern of docs/verdicts.md: odd answers after a run of clear ones. A 421 ends
 * its session and is not seen here. Returns true where this answer is the one that shows it;
 * `*ret_since`: the first odd one.
 */
static bool watch(struct probe *p, const struct rc_classification *c, const Rollcall__Reply *reply,
		  uint32_t *ret_since)
{
	bool yes = reply->code / 100 == 2 && reply->code != 252;
	uint32_t hash;

	if (yes || (reply->code / 100 == 5 && c->fault == RC_FAULT_RECIPIENT)) {
		p->clear_run++;
		p->odd_run = 0;
		return false;
	}
	/* What concerns one mailbox, or all of them for a while by rule, is no trick. */
	if (p->clear_run < PROBE_STARVE_RUN || c->names_mailbox ||
	    c->category == RC_CATEGORY_GREYLISTED || c->category == RC_CATEGORY_MAILBOX_FULL)
		return false;
	*ret_since = p->order;
	if (reply->code == 252 || reply->code == 503 || reply->code == 530)
		return true;
	hash = hash_reply(reply);
	if (p->odd_run == 0 || hash != p->odd_hash) {
		p->odd_run = 0;
		p->odd_hash = hash;
		p->odd_since = p->order;
	}
	*ret_since = p->odd_since;
	return ++p->odd_run >= PROBE_STARVE_UNIFORM;
}

/*
 * 452 4.5.3 and kin: true where the same question is put again in a smaller batch. Postfix,
 * Exchange and OpenSMTPD count after each MAIL, so RSET helps; where it does not, the session is
 * what is counted, and another one follows.
 */
static bool make_smaller(struct probe *p, const struct rc_classification *c, uint8_t *tries)
{
	uint32_t had = p->mail_answered;

	if (c->category != RC_CATEGORY_TOO_MANY_RECIPIENTS)
		return false;
	/* Even one was too many: then this is its answer. */
	if ((p->answered == 0 && p->offered == 1) || *tries >= PROBE_SMALLER_TRIES) {
		p->enough = true;
		return false;
	}
	++*tries;
	if (had && !p->no_reset && p->resets < PROBE_RESETS) {
		p->mail_most = had;
		p->reset = true;
		return true;
	}
	p->no_reset = p->no_reset || (p->resets && !had);
	p->session_most = p->answered ? p->answered : 1;
	p->enough = true;
	return true;
}

/* An answer that says something, to whomever. */
static void count(struct probe *p, const struct rc_classification *c, const Rollcall__Reply *reply)
{
	p->answered++;
	p->mail_answered++;
	p->rejected += reply->code >= 400;
	p->throttled = p->throttled || probe_answer_throttles(c);
}

/* RFC 3207, 4: 530, or words of TLS, to a command that may be given again once TLS is there. */
static bool note_demand(struct probe *p, Rollcall__Stage stage, const Rollcall__Reply *reply,
			const struct rc_classification *c)
{
	if (reply->code < 400 || (reply->code != 530 && !c->names_tls))
		return false;
	if (p->session.tls || p->session.tls_must || p->clear_run >= PROBE_STARVE_RUN ||
	    stage < ROLLCALL__STAGE__STAGE_EHLO ||
	    (stage > ROLLCALL__STAGE__STAGE_EHLO && !p->session.starttls) ||
	    (p->config->starttls != PROBE_STARTTLS_REQUIRED &&
	     p->config->starttls != PROBE_STARTTLS_OFFERED))
		return false;
	p->tls_asked = true;
	mx_plan_at(&p->plan)->tls_demanded = true;
	return true;
}

static bool is_yes(const struct rc_classification *c)
{
	return c->category == RC_CATEGORY_ACCEPTED || c->category == RC_CATEGORY_FORWARDED;
}

/* Of EHLO or MAIL. After a 421 there is nothing to be had in this session. */
static void hear_refusal(struct probe *p, Rollcall__Stage stage, const Rollcall__Reply *reply)
{
	struct rc_classification class;

	if (reply->code < 400 || reply->code == 421)
		return;
	probe_answer_classify(p, stage, reply, &class);
	note_demand(p, stage, reply, &class);
}

/* The closing control's word: it renews the trust, or takes it from all that was accepted since. */
static void close_run(struct probe *p, const struct rc_classification *c,
		      const Rollcall__Reply *reply, uint64_t now_ms)
{
	if (is_yes(c)) {
		starve(p, p->accept_since, reply->code, now_ms);
		return;
	}
	p->accept_run = 0;
	probe_control_settle(p, &p->controls[CONTROL_CLOSING], now_ms);
}

/* It tells one from the other: what it refused in this conversation is proved. */
static void prove(struct probe *p, uint64_t now_ms)
{
	for (uint16_t i = 0; i < p->rcpt_n; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		if (r->to_prove && (r->state == RCPT_HELD || r->state == RCPT_READY) &&
		    (r->talk == p->talk || probe_round_single(p)))
			r->answer.proved = true;
		r->to_prove = false;
	}
	p->refuse_run = 0;
	p->heard_yes = p->answered;
	probe_control_settle(p, &p->controls[CONTROL_REPEAT], now_ms);
}

/*
 * Whom it had accepted, once more. Accepted again: the refusals meant what they said. Refused: they
 * did not, and whoever was refused since is asked again, in sessions as small as it answered
 * soundly; where that was tried or nothing was sound, it has had enough of us.
 */
static void close_refusals(struct probe *p, const struct rc_classification *c,
			   const Rollcall__Reply *reply, uint64_t now_ms)
{
	struct probe_control *repeat = &p->controls[CONTROL_REPEAT];

	/* In words of its own it may be about the repetition. */
	if (reply->code / 100 != 5 || c->rule != p->refuse_rule) {
		if (is_yes(c) || c->category == RC_CATEGORY_MAILBOX_FULL)
			prove(p, now_ms);
		else
			probe_control_settle(p, repeat, now_ms);
		return;
	}
	if (p->repeat_most || p->heard_yes < 2) {
		starve(p, p->refuse_since, reply->code, now_ms);
		return;
	}
	p->repeat_most = true;
	p->session_most = p->heard_yes;
	p->enough = true;
	p->refuse_run = 0;
	for (uint16_t i = 0; i < p->rcpt_n; i++)
		if (p->rcpts[i].state == RCPT_HELD && p->rcpts[i].held_for == CONTROL_REPEAT)
			rcpt_put_back(p, &p->rcpts[i], now_ms);
	probe_control_settle(p, repeat, now_ms);
}

/* A refusal is held until it is seen whether the server still tells one from the other. */
static bool hold_refusal(struct probe *p, struct probe_rcpt *r, const struct rc_classification *c,
			 const Rollcall__Reply *reply, uint64_t now_ms)
{
	r->to_prove = false;
	r->answer.proved = false;
	if (is_yes(c)) {
		if (!r->from->smtputf8)
			p->accepted = (uint16_t)(r - p->rcpts);
		prove(p, now_ms);
		return false;
	}
	if (reply->code / 100 != 5 || c->category != RC_CATEGORY_MAILBOX_NOT_FOUND ||
	    !probe_control_witness(p))
		return false;
	if (p->refuse_run++ == 0)
		p->refuse_since = r->order;
	p->refuse_rule = c->rule;
	r->to_prove = !p->stopping;
	return r->to_prove;
}

/* Whether so many were accepted, after a random name was refused, that it is time to ask again. */
static bool doubtful(const struct probe *p)
{
	const Rollcall__Control *random = &p->controls[CONTROL_RANDOM].message;

	return p->accept_run >= PROBE_CLOSING_RUN && random->reply &&
	       random->reply->code / 100 == 5;
}

static void take_control(struct probe *p, struct probe_control *c, Rollcall__Reply *reply,
			 uint64_t now_ms)
{
	struct rc_classification class;

	probe_answer_classify(p, ROLLCALL__STAGE__STAGE_RCPT, reply, &class);
	if (note_demand(p, ROLLCALL__STAGE__STAGE_RCPT, reply, &class)) {
		c->state = CONTROL_WANTED;
		p->enough = true;
		return;
	}
	if (make_smaller(p, &class, &c->smaller)) {
		c->state = CONTROL_WANTED;
		return;
	}
	count(p, &class, reply);
	if (c == &p->controls[CONTROL_CLOSING]) {
		close_run(p, &class, reply, now_ms);
		return;
	}
	if (c == &p->controls[CONTROL_REPEAT]) {
		close_refusals(p, &class, reply, now_ms);
		return;
	}
	if (reply->code / 100 == 5)
		p->accept_run = 0;
	c->message.stage = ROLLCALL__STAGE__STAGE_RCPT;
	c->message.reply = reply;
	c->message.failure = ROLLCALL__FAILURE__FAILURE_NONE;
	c->message.at_ms = probe_wall(p, now_ms);
	c->message.took_ms = (uint32_t)(now_ms - p->sent_ms);
	c->talk = p->talk;
	if (short_retry(p, &class, reply, c->local_tries, now_ms, &c->due_ms)) {
		c->local_tries++;
		c->state = CONTROL_WAITING;
		return;
	}
	probe_control_settle(p, c, now_ms);
}

/* Some greylisters do not say what they are (OpenBSD's spamd: "Temporary failure, please try again
 * later."). Where it is one, the control's clock must not start later than the recipients'. */
static bool may_be_greylisted(const struct rc_classification *c)
{
	return c->category == RC_CATEGORY_GREYLISTED ||
	       (c->category == RC_CATEGORY_TEMPORARY && !c->names_mailbox);
}

static void take_answer(struct probe *p, struct probe_rcpt *r, Rollcall__Reply *reply,
			uint64_t now_ms)
{
	struct rc_classification class;
	bool suspect, held;
	uint32_t since = 0;
	int hold = -1;

	if (r->state != RCPT_OFFERED)
		return;
	probe_answer_classify(p, ROLLCALL__STAGE__STAGE_RCPT, reply, &class);
	if (note_demand(p, ROLLCALL__STAGE__STAGE_RCPT, reply, &class)) {
		/* It will be asked again, sealed. */
		p->enough = true;
		return;
	}
	if (make_smaller(p, &class, &r->smaller)) {
		rcpt_set_state(p, r, RCPT_PENDING, now_ms);
		return;
	}
	count(p, &class, reply);
	p->clean = reply->code < 400 ? p->clean + 1 : 0;
	probe_answer_fill(p, r, ROLLCALL__STAGE__STAGE_RCPT, reply, ROLLCALL__FAILURE__FAILURE_NONE,
			  p->talk, now_ms);
	r->answer.took_ms = (uint32_t)(now_ms - p->sent_ms);
	if (class.retry_after_s > 0)
		r->answer.retry_after_ms = (uint32_t) class.retry_after_s * 1000;
	r->order = ++p->order;
	suspect = watch(p, &class, reply, &since);
	held = hold_refusal(p, r, &class, reply, now_ms);

	if (is_yes(&class) && p->accept_run++ == 0)
		p->accept_since = r->order;
	else if (reply->code / 100 == 5)
		p->accept_run = 0;
	if (!suspect && (is_yes(&class) || may_be_greylisted(&class)) && probe_control_due(p)) {
		probe_control_want(p, CONTROL_RANDOM);
		hold = CONTROL_RANDOM;
	} else if (!suspect && p->shard->ask_postmaster && reply->code / 100 == 5 &&
		   !class.names_mailbox && class.fault != RC_FAULT_SENDER) {
		probe_control_want(p, CONTROL_POSTMASTER);
		hold = CONTROL_POSTMASTER;
	}
	if (!suspect && short_retry(p, &class, reply, r->local_tries, now_ms, &r->due_ms)) {
		r->local_tries++;
		r->answer.local_tries = r->local_tries;
		rcpt_set_state(p, r, RCPT_WAITING, now_ms);
	} else if (hold >= 0 && probe_control_open(&p->controls[hold])) {
		r->held_for = (uint8_t)hold;
		rcpt_set_state(p, r, RCPT_HELD, now_ms);
	} else if (held) {
		r->held_for = CONTROL_REPEAT;
		rcpt_set_state(p, r, RCPT_HELD, now_ms);
	} else if (is_yes(&class) && doubtful(p) && !p->stopping) {
		r->held_for = CONTROL_CLOSING;
		rcpt_set_state(p, r, RCPT_HELD, now_ms);
	} else {
		rcpt_set_state(p, r, RCPT_READY, now_ms);
	}
	p->throttle_run =
	    probe_answer_throttles(&class) && !class.names_mailbox ? p->throttle_run + 1 : 0;
	if (suspect) {
		starve(p, since, reply->code, now_ms);
	} else if (p->throttle_run >= PROBE_STARVE_UNIFORM) {
		if (class.category == RC_CATEGORY_IP_BLOCKED)
			refuse_rest(p, reply, now_ms);
		probe_answer_back_off(p, now_ms);
	}
}

void probe_answer_refused(struct probe *p, Rollcall__Stage stage, Rollcall__Reply *reply,
			  Rollcall__Failure failure, struct probe_talk *talk, uint64_t now_ms)
{
	struct rc_classification class = { 0 };
	uint64_t due_ms = 0;
	/* Turned away after it had spoken clearly: it has had enough of us, and this is no answer
	 * about anybody. */
	bool suspect = reply && reply->code == 421 && p->clear_run >= PROBE_STARVE_RUN;
	bool again = false;

	if (reply)
		probe_answer_classify(p, stage, reply, &class);
	if (suspect)
		probe_answer_suspect(p, talk, reply->code);
	for (struct probe_rcpt *r; (r = rcpt_first(p)) != NULL;) {
		probe_answer_fill(p, r, stage, reply, failure, talk, now_ms);
		r->answer.suspect = suspect;
		if (reply && class.retry_after_s > 0)
			r->answer.retry_after_ms = (uint32_t) class.retry_after_s * 1000;
		if (reply && short_retry(p, &class, reply, r->local_tries, now_ms, &due_ms)) {
			r->local_tries++;
			r->answer.local_tries = r->local_tries;
			r->due_ms = due_ms;
			rcpt_set_state(p, r, RCPT_WAITING, now_ms);
			again = true;
		} else {
			rcpt_set_state(p, r, RCPT_READY, now_ms);
		}
	}
	if (again)
		mx_plan_revive(&p->plan);
	for (int i = 0; i < CONTROLS; i++) {
		struct probe_control *c = &p->controls[i];

		if (c->state != CONTROL_WANTED)
			continue;
		if (reply && c->message.stage == ROLLCALL__STAGE__STAGE_UNSET) {
			c->message.stage = stage;
			c->message.reply = reply;
			c->message.at_ms = probe_wall(p, now_ms);
			c->talk = talk;
		}
		probe_control_fail(p, c, stage, failure, now_ms);
	}
}

void probe_answer_end(struct probe *p, uint64_t now_ms)
{
	p->stopping = true;
	for (uint16_t i = 0; i < p->rcpt_n; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		if (r->state == RCPT_WAITING ||
		    (r->answer.reply && (r->state == RCPT_PENDING || r->state == RCPT_OFFERED))) {
			/* A short retry that will not be: what was said before it stands. */
			rcpt_set_state(p, r, RCPT_READY, now_ms);
		} else if (r->state == RCPT_PENDING || r->state == RCPT_OFFERED) {
			probe_answer_fill(p, r, ROLLCALL__STAGE__STAGE_UNSET, NULL,
					  ROLLCALL__FAILURE__FAILURE_NOT_PROBED,
					  r->offered ? p->talks_last : NULL, now_ms);
			r->answer.connected = r->offered;
			r->answer.suspect = p->starved;
			rcpt_set_state(p, r, RCPT_READY, now_ms);
		}
	}
	p->first = p->last = PROBE_NOBODY;
	for (int i = 0; i < CONTROLS; i++)
		if (probe_control_open(&p->controls[i]))
			probe_control_fail(p, &p->controls[i], ROLLCALL__STAGE__STAGE_RCPT,
					   ROLLCALL__FAILURE__FAILURE_NOT_PROBED, now_ms);
	/* Who waits for one that was not asked yet need not. */
	probe_control_settle(p, &p->controls[CONTROL_CLOSING], now_ms);
	probe_control_settle(p, &p->controls[CONTROL_REPEAT], now_ms);
}

void probe_answer_reply(struct probe *p, uint64_t now_ms)
{
	struct smtp_session *s = &p->session;
	Rollcall__Reply *reply;
	uint16_t whom;

	probe_talk_heard(p);
	if (s->replied == ROLLCALL__STAGE__STAGE_RCPT && (s->refused || p->stopping))
		return;
	reply = probe_keep_reply(p);
	if (!reply || !p->talk)
		return;
	switch (s->replied) {
	case ROLLCALL__STAGE__STAGE_GREETING:
		p->talk->message.greeting = reply;
		break;
	case ROLLCALL__STAGE__STAGE_EHLO:
		p->talk->message.ehlo = reply;
		break;
	case ROLLCALL__STAGE__STAGE_STARTTLS:
		p->talk->message.starttls = reply;
		break;
	case ROLLCALL__STAGE__STAGE_MAIL:
		p->talk->message.mail = reply;
		break;
	case ROLLCALL__STAGE__STAGE_QUIT:
		p->talk->message.quit = reply;
		break;
	default:
		break;
	}
	if (s->refused && (s->replied < ROLLCALL__STAGE__STAGE_RCPT)) {
		p->why = (struct probe_why){ .stage = s->replied, .reply = reply, .talk = p->talk };
		hear_refusal(p, s->replied, reply);
		return;
	}
	if (s->replied == ROLLCALL__STAGE__STAGE_EHLO)
		hear_refusal(p, s->replied, reply);
	if (s->replied != ROLLCALL__STAGE__STAGE_RCPT || s->said_421) {
		if (s->said_421) {
			p->why = (struct probe_why){ .stage = s->replied,
						     .reply = reply,
						     .talk = p->talk };
		}
		return;
	}
	whom = p->group[s->rcpt];
	if (whom < p->rcpt_n)
		take_answer(p, &p->rcpts[whom], reply, now_ms);
	else
		take_control(p, &p->controls[whom - p->rcpt_n], reply, now_ms);
}
