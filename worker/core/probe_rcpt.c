/* See probe_state.h. Where each recipient stands, and the two lines that they stand in. */
#include <assert.h>

#include "worker/core/probe_state.h"

struct probe_rcpt *rcpt_first(struct probe *p)
{
	return p->first == PROBE_NOBODY ? NULL : &p->rcpts[p->first];
}

void rcpt_set_state(struct probe *p, struct probe_rcpt *r, enum rcpt_state state, uint64_t now_ms)
{
	uint16_t at = (uint16_t)(r - p->rcpts);

	assert(state > 0 && state < RCPT_STATES);
	if (r->state) {
		p->counts[r->state]--;
		if (r->state == RCPT_PENDING && p->first == at) {
			p->first = r->next;
			if (p->first == PROBE_NOBODY)
				p->last = PROBE_NOBODY;
		}
	}
	if (state == RCPT_PENDING) {
		r->next = PROBE_NOBODY;
		if (p->last == PROBE_NOBODY)
			p->first = at;
		else
			p->rcpts[p->last].next = at;
		p->last = at;
	}
	if (state == RCPT_READY) {
		r->next = PROBE_NOBODY;
		if (p->ready_last == PROBE_NOBODY) {
			p->ready_first = at;
			p->ready_ms = now_ms;
		} else {
			p->rcpts[p->ready_last].next = at;
		}
		p->ready_last = at;
	}
	p->counts[state]++;
	r->state = (uint8_t)state;
}

void rcpt_put_back(struct probe *p, struct probe_rcpt *r, uint64_t now_ms)
{
	r->answer.reply = NULL;
	r->answer.suspect = false;
	rcpt_set_state(p, r, RCPT_PENDING, now_ms);
}

void rcpt_recall(struct probe *p, const struct probe_talk *talk, uint64_t now_ms)
{
	uint16_t at = p->ready_first, next;

	/* Those that stay line up anew, behind the control that they came with. */
	p->ready_first = p->ready_last = PROBE_NOBODY;
	for (; at != PROBE_NOBODY; at = next) {
		struct probe_rcpt *r = &p->rcpts[at];
		bool no = r->answer.reply && r->answer.reply->code >= 500;
		uint8_t control = no ? CONTROL_POSTMASTER : CONTROL_RANDOM;

		next = r->next;
		if (r->talk == talk) {
			rcpt_put_back(p, r, now_ms);
		} else if (r->answer.reply && probe_control_open(&p->controls[control])) {
			r->held_for = control;
			rcpt_set_state(p, r, RCPT_HELD, now_ms);
		} else {
			rcpt_set_state(p, r, RCPT_READY, now_ms);
		}
	}
	for (uint16_t i = 0; i < p->rcpt_n; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		if (r->talk == talk && (r->state == RCPT_HELD || r->state == RCPT_WAITING))
			rcpt_put_back(p, r, now_ms);
	}
}

void rcpt_fail(struct probe *p, struct probe_rcpt *r, Rollcall__Stage stage,
	       Rollcall__Failure failure, uint64_t now_ms)
{
	r->answer.stage = stage;
	r->answer.failure = failure;
	r->answer.reply = NULL;
	r->answer.at_ms = probe_wall(p, now_ms);
	r->answer.connected = p->opened;
	r->talk = p->talk;
	rcpt_set_state(p, r, RCPT_READY, now_ms);
}

int64_t probe_wall(const struct probe *p, uint64_t now_ms)
{
	return p->wall_ms + (int64_t)(now_ms - p->started_ms);
}

uint64_t probe_after(const struct probe *p, uint32_t wait_s, uint64_t now_ms)
{
	uint64_t scale = p->config->time_scale ? p->config->time_scale : 1;

	return now_ms + ((uint64_t)wait_s * 1000 + scale - 1) / scale;
}
