/* See probe_state.h. What is asked in one conversation, and what the answers mean for the next
 * question. */
#include <string.h>

#include "common/base/arena.h"
#include "worker/core/probe_state.h"

static bool is_throttling(const struct rc_classification *c)
{
	return c->category == RC_CATEGORY_RATE_LIMITED || c->category == RC_CATEGORY_IP_BLOCKED ||
	       c->category == RC_CATEGORY_SERVICE_UNAVAILABLE;
}

static void classify(const struct probe *p, Rollcall__Stage stage, const Rollcall__Reply *reply,
		     struct rc_classification *ret)
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

/* ---------------------------------------------------------------- controls */

static bool control_open(const struct probe_control *c)
{
	return c->state == CONTROL_WANTED || c->state == CONTROL_OFFERED ||
	       c->state == CONTROL_WAITING;
}

/* The control's word is spoken: those who waited for it may go. */
static void control_settle(struct probe *p, struct probe_control *c, uint64_t now_ms)
{
	uint8_t which = (uint8_t)(c - p->controls);

	c->state = CONTROL_SETTLED;
	for (uint16_t i = 0; i < p->rcpt_n && p->counts[RCPT_HELD]; i++)
		if (p->rcpts[i].state == RCPT_HELD && p->rcpts[i].held_for == which)
			rcpt_set_state(p, &p->rcpts[i], RCPT_READY, now_ms);
}

/* It got no answer, and will not. */
static void control_fail(struct probe *p, struct probe_control *c, Rollcall__Stage stage,
			 Rollcall__Failure failure, uint64_t now_ms)
{
	/* An earlier answer, before a short retry, says more. */
	if (c->message.stage == ROLLCALL__STAGE__STAGE_UNSET) {
		c->message.stage = stage;
		c->message.failure = failure;
		c->message.at_ms = probe_wall(p, now_ms);
	}
	control_settle(p, c, now_ms);
}

static void control_lost(struct probe *p, struct probe_control *c, Rollcall__Stage stage,
			 Rollcall__Failure failure, uint64_t now_ms)
{
	if (c->state != CONTROL_OFFERED && c->state != CONTROL_WANTED)
		return;
	c->state = CONTROL_WANTED;
	if (++c->lost > 2)
		control_fail(p, c, stage, failure, now_ms);
}

static void control_want(struct probe *p, int which)
{
	struct probe_control *c = &p->controls[which];

	if (c->state != CONTROL_UNASKED)
		return;
	if (which == CONTROL_POSTMASTER) {
		c->local_len = (uint8_t)strlen(strcpy(c->local, "postmaster"));
		c->message.kind = ROLLCALL__CONTROL_KIND__CONTROL_KIND_POSTMASTER;
	} else {
		if (p->shard->control_local[0])
			c->local_len = (uint8_t)strlen(strcpy(c->local, p->shard->control_local));
		else
			c->local_len = (uint8_t)control_local(p->seed, p->shard->recipients,
							      p->shard->n_recipients, c->local);
		c->message.kind = ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM;
	}
	c->message.local.data = (uint8_t *)c->local;
	c->message.local.len = c->local_len;
	c->state = CONTROL_WANTED;
}

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

void probe_round_plan(struct probe *p, uint64_t now_ms)
{
	bool pipelining = p->session.pipelining && !p->one_by_one;
	uint32_t most = session_most(p), refusals = rejections_most(p);
	uint32_t room, asked = 0, kept = 0;

	if (p->talk) {
		p->talk->message.used_helo = p->session.used_helo;
		p->talk->message.pipelined = pipelining;
	}
	room = most > p->offered ? most - p->offered : 0;
	if (refusals <= p->rejected)
		room = 0;
	else if (room > refusals - p->rejected)
		room = refusals - p->rejected;
	if (!probe_round_wanted(p) || p->enough || room == 0) {
		smtp_session_quit(&p->session, now_ms);
		return;
	}
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

		if (c->state != CONTROL_WANTED)
			continue;
		if (offer(p, (uint16_t)(p->rcpt_n + i), c->local, c->local_len, false, asked)) {
			c->state = CONTROL_OFFERED;
			asked++;
		} else {
			control_fail(p, c, ROLLCALL__STAGE__STAGE_RCPT,
				     ROLLCALL__FAILURE__FAILURE_LOCAL, now_ms);
		}
	}
	/* One place is kept for the control that an acceptance will call for. */
	if (room > 1 && p->shard->control == ROLLCALL__CONTROL_NEED__CONTROL_NEED_IF_ACCEPTED &&
	    p->controls[CONTROL_RANDOM].state == CONTROL_UNASKED)
		kept = 1;
	while (asked + kept < room && p->counts[RCPT_PENDING])
		asked += offer_next(p, asked, now_ms);

	if (asked)
		smtp_session_flush(&p->session, now_ms);
	else
		smtp_session_quit(&p->session, now_ms);
}

/* ---------------------------------------------------------------- answers */

static void fill_answer(struct probe *p, struct probe_rcpt *r, Rollcall__Stage stage,
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

/* It asks us to slow down, whoever we ask for: the others are better asked later. */
static void back_off(struct probe *p, uint64_t now_ms)
{
	p->enough = true;
	p->throttled = true;
	p->backed_off = true;
	p->health_known = true;
	p->health.throttled = true;
	p->health.retry_in_ms = PROBE_BACK_OFF_MS;
	probe_round_end(p, now_ms);
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
		fill_answer(p, r, ROLLCALL__STAGE__STAGE_RCPT, reply,
			    ROLLCALL__FAILURE__FAILURE_NONE, p->talk, now_ms);
		r->answer.shared = true;
	}
}

/* The server answers to get rid of us: what it said since then counts for nothing, and we go. */
static void starve(struct probe *p, uint32_t since, uint64_t now_ms)
{
	p->starved = true;
	for (uint16_t i = 0; i < p->rcpt_n; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		if (r->state == RCPT_HELD || r->state == RCPT_READY || r->state == RCPT_WAITING)
			r->answer.suspect = r->answer.suspect || r->order >= since;
	}
	back_off(p, now_ms);
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

/* 452 4.5.3 and kin: true where the same question is put again in a smaller batch. */
static bool make_smaller(struct probe *p, const struct rc_classification *c, uint8_t *tries)
{
	uint32_t had = p->answered;

	if (c->category != RC_CATEGORY_TOO_MANY_RECIPIENTS)
		return false;
	p->enough = true;
	/* Even one was too many: then this is its answer. */
	if ((had == 0 && p->offered == 1) || *tries >= PROBE_SMALLER_TRIES)
		return false;
	++*tries;
	p->session_most = had ? had : 1;
	return true;
}

/* RFC 3207, 4: 530, or words of TLS, to a command that may be given again once TLS is there. */
static bool note_demand(struct probe *p, Rollcall__Stage stage, const Rollcall__Reply *reply)
{
	struct rc_classification class;

	if (p->session.tls || p->session.tls_must || p->clear_run >= PROBE_STARVE_RUN ||
	    stage < ROLLCALL__STAGE__STAGE_EHLO ||
	    (stage > ROLLCALL__STAGE__STAGE_EHLO && !p->session.starttls) ||
	    (p->config->starttls != PROBE_STARTTLS_REQUIRED &&
	     p->config->starttls != PROBE_STARTTLS_OFFERED))
		return false;
	classify(p, stage, reply, &class);
	if (reply->code != 530 && !class.names_tls)
		return false;
	p->tls_asked = true;
	mx_plan_at(&p->plan)->tls_demanded = true;
	return true;
}

static void take_control(struct probe *p, struct probe_control *c, Rollcall__Reply *reply,
			 uint64_t now_ms)
{
	struct rc_classification class;

	if (reply->code >= 400 && note_demand(p, ROLLCALL__STAGE__STAGE_RCPT, reply)) {
		c->state = CONTROL_WANTED;
		p->enough = true;
		return;
	}
	classify(p, ROLLCALL__STAGE__STAGE_RCPT, reply, &class);
	if (make_smaller(p, &class, &c->smaller)) {
		c->state = CONTROL_WANTED;
		return;
	}
	p->answered++;
	p->rejected += reply->code >= 400;
	p->throttled = p->throttled || is_throttling(&class);
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
	control_settle(p, c, now_ms);
}

static void take_answer(struct probe *p, struct probe_rcpt *r, Rollcall__Reply *reply,
			uint64_t now_ms)
{
	struct rc_classification class;
	bool accepted, suspect;
	uint32_t since = 0;
	int hold = -1;

	if (r->state != RCPT_OFFERED)
		return;
	if (reply->code >= 400 && note_demand(p, ROLLCALL__STAGE__STAGE_RCPT, reply)) {
		/* It will be asked again, sealed. */
		p->enough = true;
		return;
	}
	classify(p, ROLLCALL__STAGE__STAGE_RCPT, reply, &class);
	if (make_smaller(p, &class, &r->smaller)) {
		rcpt_set_state(p, r, RCPT_PENDING, now_ms);
		return;
	}
	p->answered++;
	p->rejected += reply->code >= 400;
	p->throttled = p->throttled || is_throttling(&class);
	fill_answer(p, r, ROLLCALL__STAGE__STAGE_RCPT, reply, ROLLCALL__FAILURE__FAILURE_NONE,
		    p->talk, now_ms);
	r->answer.took_ms = (uint32_t)(now_ms - p->sent_ms);
	if (class.retry_after_s > 0)
		r->answer.retry_after_ms = (uint32_t) class.retry_after_s * 1000;
	r->order = ++p->order;
	suspect = watch(p, &class, reply, &since);

	accepted =
	    class.category == RC_CATEGORY_ACCEPTED || class.category == RC_CATEGORY_FORWARDED;
	if (!suspect && p->shard->control == ROLLCALL__CONTROL_NEED__CONTROL_NEED_IF_ACCEPTED &&
	    (accepted || class.category == RC_CATEGORY_GREYLISTED)) {
		control_want(p, CONTROL_RANDOM);
		hold = CONTROL_RANDOM;
	} else if (!suspect && p->shard->ask_postmaster && reply->code / 100 == 5 &&
		   !class.names_mailbox && class.fault != RC_FAULT_SENDER) {
		control_want(p, CONTROL_POSTMASTER);
		hold = CONTROL_POSTMASTER;
	}
	if (!suspect && short_retry(p, &class, reply, r->local_tries, now_ms, &r->due_ms)) {
		r->local_tries++;
		r->answer.local_tries = r->local_tries;
		rcpt_set_state(p, r, RCPT_WAITING, now_ms);
	} else if (hold >= 0 && control_open(&p->controls[hold])) {
		r->held_for = (uint8_t)hold;
		rcpt_set_state(p, r, RCPT_HELD, now_ms);
	} else {
		rcpt_set_state(p, r, RCPT_READY, now_ms);
	}
	p->throttle_run = is_throttling(&class) && !class.names_mailbox ? p->throttle_run + 1 : 0;
	if (suspect) {
		starve(p, since, now_ms);
	} else if (p->throttle_run >= PROBE_STARVE_UNIFORM) {
		if (class.category == RC_CATEGORY_IP_BLOCKED)
			refuse_rest(p, reply, now_ms);
		back_off(p, now_ms);
	}
}

void probe_round_refused(struct probe *p, Rollcall__Stage stage, Rollcall__Reply *reply,
			 Rollcall__Failure failure, struct probe_talk *talk, uint64_t now_ms)
{
	struct rc_classification class = { 0 };
	uint64_t due_ms = 0;
	/* Turned away after it had spoken clearly: it has had enough of us, and this is no answer
	 * about anybody. */
	bool suspect = reply && reply->code == 421 && p->clear_run >= PROBE_STARVE_RUN;
	bool again = false;

	if (reply)
		classify(p, stage, reply, &class);
	for (struct probe_rcpt *r; (r = rcpt_first(p)) != NULL;) {
		fill_answer(p, r, stage, reply, failure, talk, now_ms);
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
		control_fail(p, c, stage, failure, now_ms);
	}
}

void probe_round_end(struct probe *p, uint64_t now_ms)
{
	p->stopping = true;
	for (uint16_t i = 0; i < p->rcpt_n; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		if (r->state == RCPT_WAITING ||
		    (r->answer.reply && (r->state == RCPT_PENDING || r->state == RCPT_OFFERED))) {
			/* A short retry that will not be: what was said before it stands. */
			rcpt_set_state(p, r, RCPT_READY, now_ms);
		} else if (r->state == RCPT_PENDING || r->state == RCPT_OFFERED) {
			fill_answer(p, r, ROLLCALL__STAGE__STAGE_UNSET, NULL,
				    ROLLCALL__FAILURE__FAILURE_NOT_PROBED,
				    r->offered ? p->talks_last : NULL, now_ms);
			r->answer.connected = r->offered;
			r->answer.suspect = p->starved;
			rcpt_set_state(p, r, RCPT_READY, now_ms);
		}
	}
	p->first = p->last = PROBE_NOBODY;
	for (int i = 0; i < CONTROLS; i++)
		if (control_open(&p->controls[i]))
			control_fail(p, &p->controls[i], ROLLCALL__STAGE__STAGE_RCPT,
				     ROLLCALL__FAILURE__FAILURE_NOT_PROBED, now_ms);
}

void probe_round_reply(struct probe *p, uint64_t now_ms)
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
		p->why_stage = s->replied;
		p->why_reply = reply;
		p->why_failure = ROLLCALL__FAILURE__FAILURE_NONE;
		p->why_talk = p->talk;
		if (reply->code != 421)
			note_demand(p, s->replied, reply);
		return;
	}
	if (s->replied == ROLLCALL__STAGE__STAGE_EHLO && reply->code / 100 == 5)
		note_demand(p, s->replied, reply);
	if (s->replied != ROLLCALL__STAGE__STAGE_RCPT || s->said_421) {
		if (s->said_421) {
			p->why_stage = s->replied;
			p->why_reply = reply;
			p->why_failure = ROLLCALL__FAILURE__FAILURE_NONE;
			p->why_talk = p->talk;
		}
		return;
	}
	whom = p->group[s->rcpt];
	if (whom < p->rcpt_n)
		take_answer(p, &p->rcpts[whom], reply, now_ms);
	else
		take_control(p, &p->controls[whom - p->rcpt_n], reply, now_ms);
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
			control_lost(p, &p->controls[i], stage, failure, now_ms);
	return head;
}

/* Out of line, wherever it stands: only the first one does in practice. */
static void fail_head(struct probe *p, struct probe_rcpt *head, Rollcall__Stage stage,
		      Rollcall__Reply *reply, Rollcall__Failure failure, uint64_t now_ms)
{
	if (!head || rcpt_first(p) != head)
		return;
	fill_answer(p, head, stage, reply, failure, p->talk, now_ms);
	head->answer.suspect = reply && p->clear_run >= PROBE_STARVE_RUN;
	rcpt_set_state(p, head, RCPT_READY, now_ms);
}

bool probe_round_upgrade(struct probe *p, uint64_t now_ms)
{
	if (!smtp_session_upgrade(&p->session, now_ms))
		return false;
	p->tls_asked = false;
	take_back(p, ROLLCALL__STAGE__STAGE_STARTTLS, ROLLCALL__FAILURE__FAILURE_TLS, now_ms);
	/* None of them was heard. */
	p->offered = 0;
	return true;
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
	p->why_stage = ROLLCALL__STAGE__STAGE_STARTTLS;
	p->why_failure = ROLLCALL__FAILURE__FAILURE_TLS;
	p->why_reply = NULL;
	p->why_talk = p->talk;
	mx_plan_failed(&p->plan);
	return true;
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
	if (p->answered)
		p->idle = 0;
	else if ((failure && stage >= ROLLCALL__STAGE__STAGE_MAIL) || (s->said_421 && !s->refused))
		p->idle++;
	if (failure == ROLLCALL__FAILURE__FAILURE_LOCAL || p->no_memory) {
		probe_round_refused(p, stage, NULL, ROLLCALL__FAILURE__FAILURE_LOCAL, p->talk,
				    now_ms);
	} else if (broke_tls(p, stage, failure)) {
		return;
	} else if (p->tls_asked && !s->said_421) {
		/* Once more, and sealed from the start. */
		return;
	} else if (s->refused && p->why_talk == p->talk && p->why_reply) {
		/* The greeting may be better elsewhere, and so may any server after a 421; all else
		 * is their answer. */
		if (s->said_421 || (p->why_stage == ROLLCALL__STAGE__STAGE_GREETING &&
				    p->why_reply->code / 100 == 4)) {
			p->throttled = true;
			mx_plan_failed(&p->plan);
		} else {
			struct rc_classification class;

			classify(p, p->why_stage, p->why_reply, &class);
			p->throttled = p->throttled || is_throttling(&class);
			probe_round_refused(p, p->why_stage, p->why_reply, failure, p->talk,
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
			mx_plan_failed(&p->plan);
			return;
		}
		fail_head(p, head, ROLLCALL__STAGE__STAGE_RCPT,
			  p->why_talk == p->talk ? p->why_reply : NULL,
			  ROLLCALL__FAILURE__FAILURE_CLOSED, now_ms);
		back_off(p, now_ms);
	} else if (failure) {
		if (stage <= ROLLCALL__STAGE__STAGE_EHLO) {
			p->why_stage = stage;
			p->why_failure = failure;
			p->why_reply = NULL;
			p->why_talk = p->talk;
			mx_plan_failed(&p->plan);
		} else if (p->answered) {
			/* It may have been the batch: the rest one at a time. */
			p->one_by_one = true;
		} else if (p->idle >= 3 || (p->idle >= 2 && stage == ROLLCALL__STAGE__STAGE_MAIL)) {
			probe_round_refused(p, stage, NULL, failure, p->talk, now_ms);
		} else {
			p->one_by_one = true;
			if (p->idle >= 2)
				fail_head(p, head, stage, NULL, failure, now_ms);
		}
	}
}
