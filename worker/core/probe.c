/* See probe.h and probe_state.h. From connection to connection. */
#include "worker/core/probe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/base/arena.h"
#include "worker/core/ip.h"
#include "worker/core/probe_state.h"
#include "worker/core/seed.h"

/*
 *  PLANNING -> RESOLVING -> PLANNING -> QUEUED -> CONNECTING -> TALKING -> CLOSING -> PLANNING ...
 * -> RESTING -> PLANNING
 *                                                                                              ...
 * -> ENDING -> ENDED
 */
enum {
	PLANNING = 1, /* who is to be asked, and where */
	RESOLVING,    /* a look-up is under way */
	QUEUED,	      /* waits for leave to connect */
	CONNECTING,   /* the leave came; the connection is to be opened */
	TALKING,      /* the session has it, from its first packet on */
	CLOSING,      /* the connection is to be closed, the leave given back */
	RESTING,      /* everybody left waits for a short retry */
	ENDING,	      /* the final part is due */
	ENDED,
	STATES
};

enum { ARENA_PLAIN = 1 << 20, ARENA_TRANSCRIPT = 8 << 20 };

/* What we are doing. Only RESOLVING has a time limit here; the session has those of TALKING. */
static const char *const doing[STATES] = {
	[PLANNING] = "planning",
	[RESOLVING] = "looking up mail servers",
	[QUEUED] = "waiting for leave to connect",
	[CONNECTING] = "about to connect",
	[TALKING] = "talking",
	[CLOSING] = "closing",
	[RESTING] = "waiting to ask again",
	[ENDING] = "reporting",
	[ENDED] = "done",
};

static struct probe_limits limits_of(const struct probe_config *config)
{
	struct probe_limits l = config->limits;

	l.resolve_ms = l.resolve_ms ? l.resolve_ms : 30000;
	l.connect_ms = l.connect_ms ? l.connect_ms : 30000;
	l.greeting_ms = l.greeting_ms ? l.greeting_ms : 75000;
	l.ehlo_ms = l.ehlo_ms ? l.ehlo_ms : 30000;
	l.starttls_ms = l.starttls_ms ? l.starttls_ms : 30000;
	l.handshake_ms = l.handshake_ms ? l.handshake_ms : 30000;
	l.mail_ms = l.mail_ms ? l.mail_ms : 30000;
	l.rcpt_ms = l.rcpt_ms ? l.rcpt_ms : 60000;
	l.quit_ms = l.quit_ms ? l.quit_ms : 2000;
	return l;
}

static void set_state(struct probe *p, int state, uint64_t now_ms)
{
	assert(state > 0 && state < STATES);
	p->state = (uint8_t)state;
	p->entered_ms = now_ms;
}

/* ---------------------------------------------------------------- time */

/* The short retry that is due first; UINT64_MAX: none. What follows within a second waits for its
 * company, and is asked with it. */
static uint64_t rest_end(const struct probe *p)
{
	uint64_t first = UINT64_MAX, end;

	for (uint16_t i = 0; i < p->rcpt_n; i++)
		if (p->rcpts[i].state == RCPT_WAITING && p->rcpts[i].due_ms < first)
			first = p->rcpts[i].due_ms;
	for (int i = 0; i < CONTROLS; i++)
		if (p->controls[i].state == CONTROL_WAITING && p->controls[i].due_ms < first)
			first = p->controls[i].due_ms;
	end = first;
	if (first == UINT64_MAX)
		return first;
	for (uint16_t i = 0; i < p->rcpt_n; i++)
		if (p->rcpts[i].state == RCPT_WAITING && p->rcpts[i].due_ms > end &&
		    p->rcpts[i].due_ms <= first + 1000)
			end = p->rcpts[i].due_ms;
	for (int i = 0; i < CONTROLS; i++)
		if (p->controls[i].state == CONTROL_WAITING && p->controls[i].due_ms > end &&
		    p->controls[i].due_ms <= first + 1000)
			end = p->controls[i].due_ms;
	return end;
}

/* Those whose time has come stand in line again. */
static void wake(struct probe *p, uint64_t now_ms)
{
	for (uint16_t i = 0; i < p->rcpt_n && p->counts[RCPT_WAITING]; i++)
		if (p->rcpts[i].state == RCPT_WAITING && p->rcpts[i].due_ms <= now_ms)
			rcpt_set_state(p, &p->rcpts[i], RCPT_PENDING, now_ms);
	for (int i = 0; i < CONTROLS; i++)
		if (p->controls[i].state == CONTROL_WAITING && p->controls[i].due_ms <= now_ms)
			p->controls[i].state = CONTROL_WANTED;
}

/* ---------------------------------------------------------------- life */

static bool allows(const void *context, const struct probe_ip *ip)
{
	const struct probe_config *config = context;

	if (config->only_allowed)
		return config->allow && rc_target_listed(config->allow, ip->family, ip->octets);
	return rc_target_allowed(config->allow, ip->family, ip->octets, NULL);
}

static bool shard_ok(const Rollcall__Shard *shard)
{
	if (shard->kind != ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE || shard->id == 0)
		return false;
	if (shard->n_recipients < 1 || shard->n_recipients > PROBE_RECIPIENTS_MAX)
		return false;
	if (!smtp_command_domain_ok(shard->domain, strlen(shard->domain)))
		return false;
	if (shard->control_local[0] &&
	    !smtp_command_local_ok(shard->control_local, strlen(shard->control_local), false))
		return false;
	if (shard->witness.len &&
	    !smtp_command_local_ok(shard->witness.data, shard->witness.len, false))
		return false;
	for (size_t i = 0; i < shard->n_recipients; i++) {
		const Rollcall__Recipient *r = shard->recipients[i];

		if (r->local.len < 1 || r->local.len > SMTP_LOCAL_MAX)
			return false;
		for (size_t j = 0; j < r->local.len; j++)
			if (r->local.data[j] == '\0' || r->local.data[j] == '\r' ||
			    r->local.data[j] == '\n')
				return false;
	}
	return true;
}

static bool take_memory(struct probe *p)
{
	size_t n = p->shard->n_recipients;

	p->arena = rc_arena_new(p->config->transcript ? ARENA_TRANSCRIPT : ARENA_PLAIN);
	if (!p->arena)
		return false;
	/* All that the last part needs is taken now, so that it can always be made. */
	p->rcpts = rc_arena_alloc(p->arena, n * sizeof(*p->rcpts));
	p->part_answers = rc_arena_alloc(p->arena, n * sizeof(*p->part_answers));
	p->group = rc_arena_alloc(p->arena, (n + CONTROLS) * sizeof(*p->group));
	if (!p->rcpts || !p->part_answers || !p->group)
		return false;
	mx_plan_init(&p->plan, p->arena, p->identity->family, seed_next(&p->seed), allows,
		     p->config);
	p->plan.favoured = p->shard->control_host;
	return mx_plan_fill(&p->plan, p->shard->mx, p->shard->n_mx, p->shard->mx_host,
			    p->shard->mx_address, false);
}

struct probe *probe_new(const struct probe_config *config, const struct probe_identity *identity,
			Rollcall__Shard *shard, uint64_t seed, uint64_t now_ms, int64_t wall_ms)
{
	uint64_t life_ms, leave_ms = PROBE_LEAVE_MS;
	struct probe *p;

	if (!shard_ok(shard))
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->config = config;
	p->limits = limits_of(config);
	p->identity = identity;
	p->shard = shard;
	p->seed = seed;
	p->started_ms = now_ms;
	p->wall_ms = wall_ms;
	p->rcpt_n = (uint16_t)shard->n_recipients;
	p->accepted = PROBE_NOBODY;
	p->first = p->last = p->ready_first = p->ready_last = PROBE_NOBODY;
	if (!take_memory(p)) {
		rc_arena_free(p->arena);
		free(p);
		return NULL;
	}
	life_ms = shard->life_ms ? shard->life_ms : PROBE_LIFE_MS;
	if (leave_ms > life_ms / 10)
		leave_ms = life_ms / 10;
	p->end_ms = now_ms + life_ms;
	p->leave_ms = p->end_ms - leave_ms;
	smtp_session_init(&p->session, p->arena, identity->helo, &p->limits);
	rollcall__lane_health__init(&p->health);
	for (int i = 0; i < CONTROLS; i++) {
		rollcall__control__init(&p->controls[i].message);
		p->controls[i].state = CONTROL_UNASKED;
	}
	for (uint16_t i = 0; i < p->rcpt_n; i++) {
		struct probe_rcpt *r = &p->rcpts[i];

		rollcall__answer__init(&r->answer);
		r->from = shard->recipients[i];
		r->answer.uid = r->from->uid;
		r->answer.attempt = r->from->attempt;
		p->some_utf8 = p->some_utf8 || r->from->smtputf8;
		rcpt_set_state(p, r, RCPT_PENDING, now_ms);
	}
	p->resolve_mx = shard->n_mx == 0;
	set_state(p, PLANNING, now_ms);
	return p;
}

void probe_free(struct probe *p)
{
	if (!p)
		return;
	rollcall__shard__free_unpacked(p->shard, NULL);
	rc_arena_free(p->arena);
	free(p);
}

/* ---------------------------------------------------------------- planning */

static bool somebody_waits(const struct probe *p)
{
	return p->counts[RCPT_WAITING] || p->controls[CONTROL_RANDOM].state == CONTROL_WAITING ||
	       p->controls[CONTROL_POSTMASTER].state == CONTROL_WAITING;
}

/* No address is left: everybody gets what the last ones said, or why there was none. */
static void exhausted(struct probe *p, uint64_t now_ms)
{
	Rollcall__Failure cause;

	cause = mx_plan_cause(&p->plan);
	/* That one host takes no mail is no word about those that were not found. */
	if (p->why.stage && (!p->why.reply || p->why.reply->code != 521 ||
			     cause == ROLLCALL__FAILURE__FAILURE_UNROUTABLE)) {
		probe_answer_refused(p, p->why.stage, p->why.reply, p->why.failure, p->why.talk,
				     now_ms);
		return;
	}
	probe_answer_refused(p,
			     cause == ROLLCALL__FAILURE__FAILURE_UNREACHABLE
				 ? ROLLCALL__STAGE__STAGE_CONNECT
				 : ROLLCALL__STAGE__STAGE_DNS,
			     NULL, cause, NULL, now_ms);
}

/* Decides what comes next. Returns an action, or 0: the state has changed, look again. */
static int plan(struct probe *p, uint64_t now_ms, struct probe_todo *todo)
{
	struct probe_ip ip;
	const char *host;

	wake(p, now_ms);
	if (p->no_memory && !p->stopping)
		probe_answer_end(p, now_ms);
	if (!p->counts[RCPT_PENDING])
		probe_control_close(p);
	if (!probe_round_wanted(p)) {
		probe_control_settle(p, &p->controls[CONTROL_REPEAT], now_ms);
		set_state(p, !p->stopping && somebody_waits(p) ? RESTING : ENDING, now_ms);
		return 0;
	}
	if (p->resolve_mx) {
		set_state(p, RESOLVING, now_ms);
		todo->host = "";
		return PROBE_RESOLVE;
	}
	if (p->connections >= p->rcpt_n + PROBE_CONNECTIONS_SPARE) {
		probe_answer_end(p, now_ms);
		return 0;
	}
	switch (mx_plan_next(&p->plan, &host, &ip)) {
	case MX_RESOLVE:
		set_state(p, RESOLVING, now_ms);
		todo->host = host;
		return PROBE_RESOLVE;
	case MX_CONNECT:
		set_state(p, QUEUED, now_ms);
		p->slot = true;
		todo->recipients = probe_round_most(p);
		return PROBE_SLOT;
	case MX_EXHAUSTED:
		exhausted(p, now_ms);
		break;
	}
	return 0;
}

static void close_and(struct probe *p, int next, uint64_t now_ms)
{
	p->next_state = (uint8_t)next;
	set_state(p, CLOSING, now_ms);
}

/* How much TLS the next session shall have at the address given last. */
static void start_session(struct probe *p, uint64_t now_ms)
{
	const struct mx_plan_address *at = mx_plan_at(&p->plan);
	bool want = at->tls_demanded, must = at->tls_demanded;

	if (p->config->starttls == PROBE_STARTTLS_OFFERED)
		want = want || !at->tls_broken;
	else if (p->config->starttls == PROBE_STARTTLS_ALWAYS)
		want = must = true;
	smtp_session_start(&p->session, want, must, now_ms);
}

static int start_talking(struct probe *p, uint64_t now_ms, struct probe_todo *todo)
{
	const char *host;

	/* Checked here once more: this address, and no other, is the one connected to. */
	if (p->stopping || mx_plan_next(&p->plan, &host, &todo->ip) != MX_CONNECT) {
		close_and(p, PLANNING, now_ms);
		return 0;
	}
	/* A part is about one server: a control vouches for its host only, and retries go back to
	 * the address. */
	if (p->host && (host != p->host || !ip_same(&todo->ip, &p->ip)) &&
	    probe_part_due(p, true, now_ms)) {
		todo->report = probe_part(p, false, now_ms);
		return PROBE_REPORT;
	}
	todo->host = host;
	p->connections++;
	p->offered = p->answered = p->rejected = p->mail_offered = p->mail_answered = 0;
	p->resets = 0;
	p->heard_yes = 0;
	p->reset = false;
	p->connected = p->throttled = p->failed = p->enough = p->utf8 = p->tls_asked = false;
	p->talk = probe_talk_new(p, host, &todo->ip, now_ms);
	if (!p->talk) {
		close_and(p, PLANNING, now_ms);
		return 0;
	}
	if (p->config->providers && host != p->host)
		p->provider = rc_providers_match(p->config->providers, host, p->shard->domain);
	p->host = host;
	p->ip = todo->ip;
	p->talk->message.control_anew = probe_control_elsewhere(p);
	p->probing = true;
	start_session(p, now_ms);
	set_state(p, TALKING, now_ms);
	return PROBE_CONNECT;
}

/* The conversation is over, whoever ended it: reads it out once. */
static void finish_talk(struct probe *p, uint64_t now_ms)
{
	if (!p->probing)
		return;
	probe_round_over(p, now_ms);
	p->probing = false;
	p->talk = NULL;
}

static int talk(struct probe *p, uint64_t now_ms, struct probe_todo *todo)
{
	const char *data;
	size_t len;

	if (p->no_memory && !p->stopping) {
		probe_answer_end(p, now_ms);
		smtp_session_quit(&p->session, now_ms);
	}
	if (p->tls_asked && !p->stopping)
		probe_round_upgrade(p, now_ms);
	if (smtp_session_ready(&p->session))
		probe_round_plan(p, now_ms);
	if (smtp_session_take_tls(&p->session)) {
		todo->host = p->talk->message.mx_host;
		return PROBE_TLS;
	}
	data = smtp_session_take(&p->session, &len);
	if (data) {
		probe_talk_said(p, data, len);
		p->sent_ms = now_ms;
		todo->data = data;
		todo->len = len;
		return PROBE_SEND;
	}
	if (smtp_session_over(&p->session)) {
		finish_talk(p, now_ms);
		close_and(p, PLANNING, now_ms);
		return 0;
	}
	return PROBE_WAIT;
}

enum probe_action probe_next(struct probe *p, uint64_t now_ms, struct probe_todo *todo)
{
	*todo = (struct probe_todo){ 0 };
	for (;;) {
		int action = 0;

		if (p->cut && p->state != CLOSING && p->state != ENDED) {
			p->final_sent = true;
			close_and(p, ENDED, now_ms);
		}
		/* Before a rest nobody follows soon. */
		if (p->state != ENDING && p->state != CLOSING &&
		    probe_part_due(p, p->state == RESTING, now_ms) &&
		    (p->state != PLANNING || probe_round_wanted(p) || somebody_waits(p))) {
			todo->report = probe_part(p, false, now_ms);
			return PROBE_REPORT;
		}
		switch (p->state) {
		case PLANNING:
			action = plan(p, now_ms, todo);
			break;
		case CONNECTING:
			action = start_talking(p, now_ms, todo);
			break;
		case TALKING:
			action = talk(p, now_ms, todo);
			break;
		case CLOSING:
			set_state(p, p->next_state, now_ms);
			if (p->slot) {
				p->slot = false;
				return PROBE_CLOSE;
			}
			break;
		case RESTING:
			action = p->stopping || now_ms >= p->rest_ms ? 0 : PROBE_WAIT;
			if (action == 0)
				set_state(p, PLANNING, now_ms);
			break;
		case ENDING:
			set_state(p, ENDED, now_ms);
			todo->report = probe_part(p, true, now_ms);
			return PROBE_REPORT;
		case ENDED:
			return PROBE_DONE;
		default:
			action = PROBE_WAIT;
			break;
		}
		if (p->state == RESTING && action == 0)
			p->rest_ms = rest_end(p);
		if (action)
			return (enum probe_action)action;
	}
}

uint64_t probe_deadline(const struct probe *p)
{
	uint64_t at = p->stopping ? p->end_ms : p->leave_ms;

	if (p->state == ENDED)
		return UINT64_MAX;
	if (p->state == TALKING && smtp_session_deadline(&p->session) < at)
		at = smtp_session_deadline(&p->session);
	if (p->state == RESTING && p->rest_ms < at)
		at = p->rest_ms;
	if (p->state == RESOLVING && p->entered_ms + p->limits.resolve_ms < at)
		at = p->entered_ms + p->limits.resolve_ms;
	if (p->counts[RCPT_READY] && p->ready_ms + PROBE_PART_MS < at)
		at = p->ready_ms + PROBE_PART_MS;
	return at;
}

/* ---------------------------------------------------------------- events */

/* Nobody is asked any more. Whoever talks takes his leave; whoever waits goes. */
static void wind_up(struct probe *p, uint64_t now_ms)
{
	if (!p->stopping)
		probe_answer_end(p, now_ms);
	switch (p->state) {
	case TALKING:
		smtp_session_quit(&p->session, now_ms);
		break;
	case QUEUED:
	case CONNECTING:
		close_and(p, PLANNING, now_ms);
		break;
	case RESOLVING:
	case RESTING:
		set_state(p, PLANNING, now_ms);
		break;
	default:
		break;
	}
}

void probe_on_time(struct probe *p, uint64_t now_ms)
{
	if (p->state == ENDED)
		return;
	if (now_ms >= p->leave_ms) {
		/* Servers that keep us waiting, one after the other, have had the shard's whole
		 * life: that was an attempt, and what they did is its outcome. */
		if (!p->stopping && p->why.stage && p->order == 0)
			exhausted(p, now_ms);
		wind_up(p, now_ms);
	}
	if (now_ms >= p->end_ms && p->state == TALKING)
		smtp_session_cut(&p->session, now_ms);
	if (p->state == TALKING)
		smtp_session_time(&p->session, now_ms);
	if (p->state == RESOLVING && now_ms >= p->entered_ms + p->limits.resolve_ms) {
		if (p->resolve_mx)
			probe_on_mx(p, NULL, now_ms);
		else
			probe_on_addresses(p, NULL, 0, true, now_ms);
	}
}

static Rollcall__Failure resolution_failure(const Rollcall__Resolution *resolution)
{
	if (!resolution)
		return ROLLCALL__FAILURE__FAILURE_DNS;
	switch (resolution->state) {
	case ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX:
	case ROLLCALL__RESOLUTION_STATE__RESOLUTION_IMPLICIT:
		return ROLLCALL__FAILURE__FAILURE_NONE;
	case ROLLCALL__RESOLUTION_STATE__RESOLUTION_NULL_MX:
		return ROLLCALL__FAILURE__FAILURE_NULL_MX;
	case ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_DOMAIN:
		return ROLLCALL__FAILURE__FAILURE_NO_DOMAIN;
	case ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_SERVER:
		return ROLLCALL__FAILURE__FAILURE_NO_MAIL_SERVER;
	case ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNROUTABLE:
		return ROLLCALL__FAILURE__FAILURE_UNROUTABLE;
	default:
		return ROLLCALL__FAILURE__FAILURE_DNS;
	}
}

void probe_on_mx(struct probe *p, const Rollcall__Resolution *resolution, uint64_t now_ms)
{
	Rollcall__Failure failure = resolution_failure(resolution);

	if (p->state != RESOLVING || !p->resolve_mx)
		return;
	p->resolve_mx = false;
	set_state(p, PLANNING, now_ms);
	if (failure)
		probe_answer_refused(p, ROLLCALL__STAGE__STAGE_DNS, NULL, failure, NULL, now_ms);
	else if (!mx_plan_fill(&p->plan, resolution->mx, resolution->n_mx, p->shard->mx_host,
			       p->shard->mx_address, true))
		p->no_memory = true;
}

void probe_on_addresses(struct probe *p, const struct probe_ip *ips, size_t n, bool failed,
			uint64_t now_ms)
{
	if (p->state != RESOLVING || p->resolve_mx)
		return;
	if (!mx_plan_addresses(&p->plan, ips, n, failed))
		p->no_memory = true;
	set_state(p, PLANNING, now_ms);
}

void probe_on_slot(struct probe *p, uint64_t now_ms)
{
	if (p->state == QUEUED)
		set_state(p, CONNECTING, now_ms);
}

void probe_on_connected(struct probe *p, uint64_t now_ms)
{
	if (p->state != TALKING)
		return;
	p->connected = p->opened = true;
	smtp_session_connected(&p->session, now_ms);
}

void probe_on_tls(struct probe *p, const struct probe_tls *info, uint64_t now_ms)
{
	if (p->state == TALKING && smtp_session_sealed(&p->session, now_ms))
		probe_talk_sealed(p, info);
}

void probe_on_closed(struct probe *p, Rollcall__Failure failure, uint64_t now_ms)
{
	if (p->state != TALKING)
		return;
	smtp_session_closed(&p->session, failure, now_ms);
	finish_talk(p, now_ms);
	/* There is nothing left to close, and the owner has taken the leave back. */
	p->slot = false;
	set_state(p, PLANNING, now_ms);
}

void probe_on_data(struct probe *p, const char *data, size_t len, uint64_t now_ms)
{
	if (p->state != TALKING)
		return;
	while (len) {
		size_t used;
		enum smtp_news news = smtp_session_data(&p->session, data, len, &used, now_ms);

		if (news == SMTP_REPLIED)
			probe_answer_reply(p, now_ms);
		else
			break;
		data += used;
		len -= used;
	}
}

void probe_stop(struct probe *p, uint64_t now_ms)
{
	if (p->state != ENDED)
		wind_up(p, now_ms);
}

void probe_cut(struct probe *p, uint64_t now_ms)
{
	p->cut = true;
	p->stopping = true;
	smtp_session_cut(&p->session, now_ms);
}

/* ---------------------------------------------------------------- for logs and pacing */

uint64_t probe_shard_id(const struct probe *p)
{
	return p->shard->id;
}

const char *probe_domain(const struct probe *p)
{
	return p->shard->domain;
}

const char *probe_mx_group(const struct probe *p)
{
	return p->shard->mx_group;
}

const Rollcall__Budget *probe_budget(const struct probe *p)
{
	return p->shard->budget;
}

const char *probe_doing(const struct probe *p)
{
	return p->state == TALKING ? smtp_session_doing(&p->session) : doing[p->state];
}

enum pacer_outcome probe_session_outcome(const struct probe *p, uint32_t *ret_rcpts)
{
	*ret_rcpts = p->offered;
	if (p->throttled)
		return PACER_THROTTLED;
	return p->failed || !p->connected ? PACER_FAILED : PACER_CLEAR;
}

void probe_set_throttled(struct probe *p, uint64_t retry_in_ms)
{
	p->health.throttled = p->backed_off || retry_in_ms > 0;
	p->health_known = p->health_known || p->health.throttled;
	if (p->backed_off && retry_in_ms < PROBE_BACK_OFF_MS)
		retry_in_ms = PROBE_BACK_OFF_MS;
	p->health.retry_in_ms = retry_in_ms < UINT32_MAX ? (uint32_t)retry_in_ms : UINT32_MAX;
}

size_t probe_memory(const struct probe *p)
{
	return sizeof(*p) + rc_arena_used(p->arena);
}
