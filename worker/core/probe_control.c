/* See probe_state.h. The two questions that decide what an answer is worth: a local part that
 * nobody has, and postmaster. */
#include <string.h>

#include "worker/core/probe_state.h"

bool probe_control_open(const struct probe_control *c)
{
	return c->state == CONTROL_WANTED || c->state == CONTROL_OFFERED ||
	       c->state == CONTROL_WAITING;
}

/* The control's word is spoken: those who waited for it may go. */
void probe_control_settle(struct probe *p, struct probe_control *c, uint64_t now_ms)
{
	uint8_t which = (uint8_t)(c - p->controls);

	/* What is asked at a session's end may be needed again. */
	c->state = which >= CONTROL_CLOSING ? CONTROL_UNASKED : CONTROL_SETTLED;
	c->lost = c->smaller = 0;
	for (uint16_t i = 0; i < p->rcpt_n && p->counts[RCPT_HELD]; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		if (r->state != RCPT_HELD || r->held_for != which)
			continue;
		if (which == CONTROL_POSTMASTER && r->to_prove && !p->stopping)
			r->held_for = CONTROL_REPEAT;
		else
			rcpt_set_state(p, r, RCPT_READY, now_ms);
	}
}

/* It got no answer, and will not. */
void probe_control_fail(struct probe *p, struct probe_control *c, Rollcall__Stage stage,
			Rollcall__Failure failure, uint64_t now_ms)
{
	/* An earlier answer, before a short retry, says more. */
	if (c->message.stage == ROLLCALL__STAGE__STAGE_UNSET) {
		c->message.stage = stage;
		c->message.failure = failure;
		c->message.at_ms = probe_wall(p, now_ms);
	}
	probe_control_settle(p, c, now_ms);
}

void probe_control_lost(struct probe *p, struct probe_control *c, Rollcall__Stage stage,
			Rollcall__Failure failure, uint64_t now_ms)
{
	if (c->state != CONTROL_OFFERED && c->state != CONTROL_WANTED)
		return;
	c->state = CONTROL_WANTED;
	if (++c->lost > 2)
		probe_control_fail(p, c, stage, failure, now_ms);
}

void probe_control_recall(struct probe *p, const struct probe_talk *talk, uint64_t now_ms)
{
	for (int i = 0; i < CONTROL_CLOSING; i++) {
		struct probe_control *c = &p->controls[i];

		if (c->talk != talk)
			continue;
		c->message.stage = ROLLCALL__STAGE__STAGE_UNSET;
		c->message.failure = ROLLCALL__FAILURE__FAILURE_NONE;
		c->message.reply = NULL;
		c->talk = NULL;
		c->state = CONTROL_WANTED;
	}
	probe_control_settle(p, &p->controls[CONTROL_CLOSING], now_ms);
	probe_control_settle(p, &p->controls[CONTROL_REPEAT], now_ms);
}

bool probe_control_elsewhere(const struct probe *p)
{
	const struct probe_talk *talk = p->controls[CONTROL_RANDOM].talk;
	const char *known = talk ? talk->message.mx_host : p->shard->control_host;

	return mx_plan_is_fallback(&p->plan) ||
	       (known[0] && p->talk && strcmp(known, p->talk->message.mx_host) != 0);
}

bool probe_control_due(const struct probe *p)
{
	/* One of days ago is not trusted with a whole list that is accepted. */
	return p->shard->control == ROLLCALL__CONTROL_NEED__CONTROL_NEED_IF_ACCEPTED ||
	       probe_control_elsewhere(p) || p->accept_run >= PROBE_CLOSING_RUN;
}

/* Another host, another answer: it is asked there as if never before, in a new name. */
static void ask_anew(struct probe *p, struct probe_control *c)
{
	if (c->state != CONTROL_SETTLED || !c->talk || !p->talk ||
	    strcmp(c->talk->message.mx_host, p->talk->message.mx_host) == 0)
		return;
	rollcall__control__init(&c->message);
	c->talk = NULL;
	c->local_tries = 0;
	c->state = CONTROL_UNASKED;
}

void probe_control_want(struct probe *p, int which)
{
	struct probe_control *c = &p->controls[which];

	if (which == CONTROL_RANDOM)
		ask_anew(p, c);

	if (c->state != CONTROL_UNASKED)
		return;
	if (which == CONTROL_REPEAT) {
		const ProtobufCBinaryData *again = probe_control_witness(p);

		if (!again)
			return;
		memcpy(c->local, again->data, again->len);
		c->local_len = (uint8_t)again->len;
	} else if (which == CONTROL_CLOSING) {
		c->local_len = (uint8_t)control_local(p->seed ^ p->order, p->shard->recipients,
						      p->shard->n_recipients, c->local);
	} else if (which == CONTROL_POSTMASTER) {
		c->local_len = (uint8_t)strlen(strcpy(c->local, "postmaster"));
		c->message.kind = ROLLCALL__CONTROL_KIND__CONTROL_KIND_POSTMASTER;
	} else {
		if (p->shard->control_local[0] && !c->local_len)
			c->local_len = (uint8_t)strlen(strcpy(c->local, p->shard->control_local));
		else
			c->local_len =
			    (uint8_t)control_local(p->seed + c->local_len, p->shard->recipients,
						   p->shard->n_recipients, c->local);
		c->message.kind = ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM;
	}
	c->message.local.data = (uint8_t *)c->local;
	c->message.local.len = c->local_len;
	c->state = CONTROL_WANTED;
}

const ProtobufCBinaryData *probe_control_witness(const struct probe *p)
{
	const struct probe_rcpt *r = p->accepted == PROBE_NOBODY ? NULL : &p->rcpts[p->accepted];

	/* One that only stands in for another may not know him. */
	if (r && r->talk && p->talk &&
	    strcmp(r->talk->message.mx_host, p->talk->message.mx_host) == 0)
		return &r->from->local;
	return p->shard->witness.len && !mx_plan_is_fallback(&p->plan) ? &p->shard->witness : NULL;
}

bool probe_control_run(const struct probe *p)
{
	return p->refuse_run >= (p->repeat_most || p->shard->doubted ? 1 : PROBE_REPEAT_RUN);
}

static bool somebody_held(const struct probe *p, uint8_t which)
{
	for (uint16_t i = 0; i < p->rcpt_n && p->counts[RCPT_HELD]; i++)
		if (p->rcpts[i].state == RCPT_HELD && p->rcpts[i].held_for == which)
			return true;
	return false;
}

bool probe_control_repeat_due(const struct probe *p)
{
	const struct probe_control *c = &p->controls[CONTROL_REPEAT];

	return c->state == CONTROL_WANTED && !p->stopping && !p->enough &&
	       smtp_session_mailed(&p->session) && !p->reset &&
	       (p->mail_most == 0 || p->mail_offered < p->mail_most);
}

void probe_control_close(struct probe *p)
{
	if (p->stopping)
		return;
	if (somebody_held(p, CONTROL_CLOSING))
		probe_control_want(p, CONTROL_CLOSING);
	/* Only the session that refused them can tell, and only while it goes on; but where it
	 * takes one recipient, the next one must do. */
	if ((p->talk || probe_round_single(p)) && probe_control_run(p) &&
	    somebody_held(p, CONTROL_REPEAT))
		probe_control_want(p, CONTROL_REPEAT);
}
