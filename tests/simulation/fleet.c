/* See fleet.h. */
#include "tests/simulation/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/plan.h"
#include "coordinator/core/schedule.h"
#include "coordinator/core/verdict.h"
#include "worker/core/probe.h"

enum {
	LANES_MAX = 64,
	KINDS_MAX = 32,
	SIBLINGS_MS = 1000, /* a due row waits so long for others of its domain */
	ROUND_TRIP_MS = 40,
	DAY_MS = 86400000,
	CONTROL_LOCAL_ROOM = 64,
	CONTROL_FRESH_MS = 7 * DAY_MS
};
/* Where virtual time begins, as the wall clock has it. */
#define EPOCH_MS INT64_C(1767225600000)

struct row {
	int64_t first_ms, due_ms; /* due: INT64_MAX when settled or not begun */
	uint8_t attempt;	  /* scheduled ones made */
	uint8_t tries;		  /* of them, those that opened a connection */
	uint8_t reason;
	bool settled;
};

/* What the coordinator remembers of a domain. */
struct domain {
	uint32_t first_row, n;
	uint32_t begun; /* rows sent at least once */
	uint32_t home;	/* the lane of its first shard */
	int control;	/* enum verdict_control, decided ones only */
	int64_t control_at_ms, accepted_at_ms;
	char waiting_control[CONTROL_LOCAL_ROOM]; /* one that waits for its retry; "" none */
	bool need_control;
};

struct event {
	int64_t at_ms;
	uint32_t domain;
};

struct lane {
	char name[16], helo[32], mail_from[48], address[16];
	uint32_t ip;
	struct probe_identity identity;
};

struct fleet {
	struct fleet_options options;
	struct servers *servers;
	struct rc_rules *rules;
	struct rc_providers *providers;
	struct rc_target_list allow;
	struct probe_config config;
	struct schedule schedule;
	struct lane lanes[LANES_MAX];
	uint32_t lane_numbers[LANES_MAX];
	struct row *rows;
	struct domain *domains;
	uint32_t domain_n;
	struct window *windows; /* by operator */
	struct event *heap;
	uint32_t heap_n;
	uint64_t shard_id, random;
	struct conversation *talk;
	struct fleet_tally tallies[KINDS_MAX];
	int64_t last_ms;
};

static void *checked(void *memory)
{
	if (!memory) {
		fputs("simulation: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

static uint64_t next_random(struct fleet *f)
{
	uint64_t z = f->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* ------------------------------------------------------------------------------------------------
 * what is due next: a binary heap */

static void heap_push(struct fleet *f, int64_t at_ms, uint32_t domain)
{
	uint32_t i = f->heap_n++;

	while (i > 0 && f->heap[(i - 1) / 2].at_ms > at_ms) {
		f->heap[i] = f->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	f->heap[i] = (struct event){ .at_ms = at_ms, .domain = domain };
}

static struct event heap_pop(struct fleet *f)
{
	struct event top = f->heap[0], last = f->heap[--f->heap_n];
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < f->heap_n) {
		if (child + 1 < f->heap_n && f->heap[child + 1].at_ms < f->heap[child].at_ms)
			child++;
		if (f->heap[child].at_ms >= last.at_ms)
			break;
		f->heap[i] = f->heap[child];
		i = child;
	}
	f->heap[i] = last;
	return top;
}

/* ------------------------------------------------------------------------------------------------
 * the coordinator's side: a shard goes out */

static char *copy(const char *text)
{
	return checked(strdup(text));
}

/* The domain's one mail server, as a look-up would have found it. */
static Rollcall__MxHost *mx_of(const struct fleet *f, uint32_t domain)
{
	const struct server_kind *kind = servers_kind(f->servers, domain);
	Rollcall__MxHost *host = checked(malloc(sizeof(*host)));
	char text[80];

	rollcall__mx_host__init(host);
	host->preference = 10;
	if (kind->mx)
		snprintf(text, sizeof(text), "mx%u.%s", servers_operator(domain), kind->mx);
	else
		snprintf(text, sizeof(text), "mx.operator%u.test", servers_operator(domain));
	host->host = copy(text);
	host->addresses = checked(malloc(sizeof(*host->addresses)));
	snprintf(text, sizeof(text), "10.%u.%u.%u", servers_operator(domain) >> 16 & 255,
		 servers_operator(domain) >> 8 & 255, servers_operator(domain) & 255);
	host->addresses[0] = copy(text);
	host->n_addresses = 1;
	return host;
}

static const struct rc_provider *provider_of(const struct fleet *f, uint32_t domain,
					     const char *name, char ret_group[PLAN_GROUP_MAX])
{
	Rollcall__MxHost *host = mx_of(f, domain), *hosts[1] = { host };
	Rollcall__Resolution resolution = ROLLCALL__RESOLUTION__INIT;
	const struct rc_provider *provider;

	resolution.domain = (char *)(uintptr_t)name;
	resolution.state = ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX;
	resolution.mx = hosts;
	resolution.n_mx = 1;
	provider = plan_provider(f->providers, name, &resolution);
	plan_mx_group(provider, &resolution, ret_group);
	rollcall__mx_host__free_unpacked(host, NULL);
	return provider;
}

static Rollcall__Budget *budget_of(const struct rc_provider *p)
{
	Rollcall__Budget *budget = checked(malloc(sizeof(*budget)));

	rollcall__budget__init(budget);
	budget->connections = p->connections;
	budget->recipients_per_minute = p->recipients_per_minute;
	budget->connections_per_minute = p->connections_per_minute;
	budget->connections_per_second = p->connections_per_second;
	budget->recipients_per_session = p->recipients_per_session;
	budget->rejections_per_session = p->rejections_per_session;
	return budget;
}

/* A shard of the rows listed, `n` of them: numbers within the domain. */
static Rollcall__Shard *shard_of(struct fleet *f, uint32_t d, uint32_t lane, const uint32_t *rows,
				 uint32_t n, int64_t now_ms)
{
	struct domain *domain = &f->domains[d];
	Rollcall__Shard *s = checked(malloc(sizeof(*s)));
	const struct rc_provider *provider;
	char name[64], group[PLAN_GROUP_MAX];

	rollcall__shard__init(s);
	snprintf(name, sizeof(name), "d%u.test", d);
	provider = provider_of(f, d, name, group);
	s->id = ++f->shard_id;
	s->attempt = 1;
	s->epoch = 1;
	s->lane = lane;
	s->kind = ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE;
	s->domain = copy(name);
	s->mx_group = copy(group);
	s->mx = checked(malloc(sizeof(*s->mx)));
	s->mx[0] = mx_of(f, d);
	s->n_mx = 1;
	s->budget = budget_of(provider ? provider : rc_providers_default(f->providers));
	s->ask_postmaster = true;
	if (domain->waiting_control[0])
		s->control_local = copy(domain->waiting_control);
	else if (!domain->need_control && domain->control != VERDICT_CONTROL_UNKNOWN &&
		 now_ms - domain->control_at_ms < CONTROL_FRESH_MS)
		s->control = ROLLCALL__CONTROL_NEED__CONTROL_NEED_NONE;
	s->recipients = checked(calloc(n, sizeof(*s->recipients)));
	for (uint32_t i = 0; i < n; i++) {
		Rollcall__Recipient *r = checked(malloc(sizeof(*r)));
		const struct row *row = &f->rows[domain->first_row + rows[i]];

		rollcall__recipient__init(r);
		r->uid = rows[i] + 1;
		r->attempt = row->attempt + 1u;
		r->local.data = checked(malloc(64));
		r->local.len = servers_mailbox(f->servers, d, rows[i], (char *)r->local.data, 64);
		s->recipients[s->n_recipients++] = r;
	}
	return s;
}

static uint32_t lane_of(struct fleet *f, uint32_t d)
{
	char name[64], group[PLAN_GROUP_MAX];
	const struct rc_provider *provider;

	snprintf(name, sizeof(name), "d%u.test", d);
	provider = provider_of(f, d, name, group);
	return plan_lane(group, plan_slot(name, 1, provider ? provider->lanes : 1), f->lane_numbers,
			 f->options.lanes);
}

/* ------------------------------------------------------------------------------------------------
 * the sink's side: a report comes in */

static void settle(struct fleet *f, uint32_t d, uint32_t n, struct row *row,
		   const struct verdict *v, int64_t now_ms)
{
	struct fleet_tally *t = &f->tallies[servers_kind(f->servers, d) - server_kinds];
	enum rc_result_status status = verdict_status(v);
	bool exists = servers_mailbox_exists(f->servers, d, n);

	row->settled = true;
	row->due_ms = INT64_MAX;
	row->reason = (uint8_t)v->reason;
	t->attempts += row->tries;
	if (status == RC_RESULT_VALID || status == RC_RESULT_INVALID) {
		t->resolved++;
		t->at_first_attempt += row->attempt == 1;
		t->at_first_retry += row->attempt == 2;
		t->wrong += (status == RC_RESULT_VALID) != exists;
	} else if (v->reason == RC_REASON_DOMAIN_ACCEPTS_ALL) {
		t->wrong++;
	}
	if (now_ms - row->first_ms > t->longest_ms)
		t->longest_ms = now_ms - row->first_ms;
	if (now_ms > f->last_ms)
		f->last_ms = now_ms;
}

static void note_greylisting(struct window *window, const struct verdict_answer *a,
			     int64_t waited_ms, int64_t now_ms)
{
	uint32_t wait_s = (uint32_t)(waited_ms / 1000);

	if (a->failure != VERDICT_FAILURE_NONE)
		return;
	if (a->class.category == RC_CATEGORY_GREYLISTED)
		window_refused(window, wait_s, now_ms + 1);
	else if (a->class.fault == RC_FAULT_NONE || a->class.fault == RC_FAULT_RECIPIENT)
		window_passed(window, wait_s, now_ms + 1);
}

static void judge_answer(struct fleet *f, uint32_t d, const struct rc_provider *provider,
			 const Rollcall__Report *report, const struct evidence_domain *evidence,
			 const Rollcall__Answer *answer, int64_t now_ms)
{
	struct domain *domain = &f->domains[d];
	struct row *row;
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .provider = provider };
	struct window *window = &f->windows[servers_operator(d)];
	struct verdict v;

	if (answer->uid < 1 || answer->uid > domain->n)
		return;
	row = &f->rows[domain->first_row + answer->uid - 1];
	if (row->settled || answer->attempt != row->attempt + 1u)
		return;
	in.attempt = answer->attempt;
	in.attempts_max = schedule_attempts(&f->schedule);
	if (domain->control != VERDICT_CONTROL_UNKNOWN) {
		in.control = (enum verdict_control)domain->control;
		in.control_age_s = (uint32_t)((now_ms - domain->control_at_ms) / 1000);
		in.control_same_lane = true;
	}
	in.domain_accepted = domain->accepted_at_ms > 0;
	evidence_fill(f->rules, report, evidence, answer, &in);
	verdict_row(&in, NULL, &v);
	if (row->attempt == 0 && row->tries == 0)
		row->first_ms = now_ms;
	else if (row->reason == RC_REASON_GREYLISTED && in.answer.stage == RC_STAGE_RCPT)
		note_greylisting(window, &in.answer, now_ms - row->first_ms, now_ms);
	if (v.final || v.attempt_spent) {
		row->attempt++;
		row->tries = (uint8_t)(row->tries + answer->connected);
	}
	if (v.final) {
		settle(f, d, (uint32_t)answer->uid - 1, row, &v, now_ms);
		return;
	}
	domain->need_control = domain->need_control || v.need_control;
	row->reason = (uint8_t)v.reason;
	if (v.wait == VERDICT_WAIT_SCHEDULE && v.reason == RC_REASON_GREYLISTED) {
		unsigned attempt;

		row->due_ms =
		    schedule_greylisted_ms(&f->schedule, window, answer->attempt, v.not_before_s,
					   row->first_ms, now_ms, &attempt);
		row->attempt = (uint8_t)attempt;
	} else {
		row->due_ms = schedule_due_ms(&f->schedule, v.wait, answer->attempt, v.not_before_s,
					      row->first_ms, now_ms);
	}
	row->due_ms = schedule_jittered_ms(row->due_ms, d, now_ms);
}

static void learn(struct domain *domain, const struct evidence_domain *evidence, int64_t now_ms)
{
	domain->waiting_control[0] = '\0';
	if (evidence->control == VERDICT_CONTROL_REFUSED ||
	    evidence->control == VERDICT_CONTROL_ACCEPTED) {
		domain->control = (int)evidence->control;
		domain->control_at_ms = now_ms;
		domain->need_control = false;
	} else if (evidence->control == VERDICT_CONTROL_UNDECIDED && evidence->control_local &&
		   evidence->control_local_len < CONTROL_LOCAL_ROOM) {
		memcpy(domain->waiting_control, evidence->control_local,
		       evidence->control_local_len);
		domain->waiting_control[evidence->control_local_len] = '\0';
	}
	if (evidence->accepted)
		domain->accepted_at_ms = now_ms;
}

static void judge(struct fleet *f, uint32_t d, const struct rc_provider *provider,
		  const Rollcall__Report *report, int64_t now_ms)
{
	struct evidence_domain evidence;

	evidence_domain(f->rules, provider ? provider->name : NULL, report, &evidence);
	for (size_t i = 0; i < report->n_answers; i++)
		judge_answer(f, d, provider, report, &evidence, report->answers[i], now_ms);
	learn(&f->domains[d], &evidence, now_ms);
}

/* ------------------------------------------------------------------------------------------------
 * the worker's side */

static uint32_t client_of(const struct fleet *f, uint32_t lane)
{
	return f->lanes[lane].ip;
}

/* One shard from its first step to its last. Returns the virtual time when it is done. */
static int64_t probe_shard(struct fleet *f, uint32_t d, uint32_t lane, Rollcall__Shard *shard,
			   int64_t now_ms)
{
	char name[64], group[PLAN_GROUP_MAX];
	const struct rc_provider *provider;
	struct probe *probe;
	struct probe_todo todo;
	struct pacer *pacer = checked(pacer_new(true, 1));
	struct pacer_limits limits = { .connections = shard->budget->connections,
				       .recipients_per_minute =
					   shard->budget->recipients_per_minute,
				       .connections_per_second =
					   shard->budget->connections_per_second,
				       .connections_per_minute =
					   shard->budget->connections_per_minute };
	bool open = false, heard = false, waits = false, memory_ok = true;

	snprintf(name, sizeof(name), "d%u.test", d);
	provider = provider_of(f, d, name, group);
	probe = checked(probe_new(&f->config, &f->lanes[lane].identity, shard, next_random(f),
				  (uint64_t)now_ms, EPOCH_MS + now_ms));
	for (;;) {
		uint64_t now = (uint64_t)now_ms, next;
		uint32_t used;
		enum pacer_outcome outcome;

		switch (probe_next(probe, now, &todo)) {
		case PROBE_SLOT:
			waits = !pacer_ask(pacer, lane, group, &limits, todo.recipients, probe, now,
					   &memory_ok);
			if (!waits)
				probe_on_slot(probe, now);
			break;
		case PROBE_CONNECT:
			now_ms += ROUND_TRIP_MS;
			open = conversation_open(f->talk, f->servers, d, f->domains[d].n,
						 client_of(f, lane), (uint64_t)now_ms);
			heard = !open;
			if (open)
				probe_on_connected(probe, (uint64_t)now_ms);
			else
				probe_on_closed(probe, ROLLCALL__FAILURE__FAILURE_REFUSED,
						(uint64_t)now_ms);
			break;
		case PROBE_SEND:
			now_ms += ROUND_TRIP_MS;
			conversation_hear(f->talk, todo.data, todo.len, (uint64_t)now_ms);
			heard = false;
			break;
		case PROBE_CLOSE:
			open = false;
			outcome = probe_session_outcome(probe, &used);
			pacer_release(pacer, lane, group, used, outcome, now);
			break;
		case PROBE_REPORT:
			judge(f, d, provider, todo.report, now_ms);
			break;
		case PROBE_DONE:
			probe_free(probe);
			pacer_free(pacer);
			return now_ms;
		case PROBE_WAIT:
			if (open && !heard) {
				heard = true;
				probe_on_data(probe, f->talk->out, f->talk->out_len, now);
				break;
			}
			if (open && f->talk->over) {
				probe_on_closed(probe, ROLLCALL__FAILURE__FAILURE_CLOSED, now);
				break;
			}
			if (waits && pacer_pop(pacer, now)) {
				waits = false;
				probe_on_slot(probe, now);
				break;
			}
			next = probe_deadline(probe);
			if (waits && pacer_deadline(pacer) < next)
				next = pacer_deadline(pacer);
			now_ms = next > now ? (int64_t)next : now_ms + 1;
			probe_on_time(probe, (uint64_t)now_ms);
			break;
		case PROBE_RESOLVE:
		case PROBE_TLS:
			fputs("simulation: a shard asks for what no server here calls for\n",
			      stderr);
			exit(1);
		}
	}
}

/* ------------------------------------------------------------------------------------------------
 * time */

/* Sends what is due of a domain, and says when there is more; INT64_MAX: never. */
static int64_t domain_turn(struct fleet *f, uint32_t d, int64_t now_ms)
{
	struct domain *domain = &f->domains[d];
	uint32_t rows[PLAN_SHARD_MAX], n = 0, lane = domain->home;
	int64_t next_ms = INT64_MAX, done_ms;
	bool retry = false;

	for (uint32_t i = 0; i < domain->begun && n < PLAN_SHARD_MAX; i++)
		if (f->rows[domain->first_row + i].due_ms <= now_ms)
			rows[n++] = i;
	retry = n > 0;
	for (; domain->begun < domain->n && n < PLAN_SHARD_MAX; domain->begun++)
		rows[n++] = domain->begun;
	if (retry && next_random(f) % 1000 < f->options.foreign_per_mille)
		lane = (lane + 1) % f->options.lanes;
	for (uint32_t i = 0; i < n; i++)
		f->rows[domain->first_row + rows[i]].due_ms = INT64_MAX;
	if (n > 0) {
		f->tallies[servers_kind(f->servers, d) - server_kinds].shards++;
		done_ms = probe_shard(f, d, lane, shard_of(f, d, lane, rows, n, now_ms), now_ms);
		for (uint32_t i = 0; i < n; i++) {
			struct row *row = &f->rows[domain->first_row + rows[i]];

			/* A row without an answer was not probed, and goes out again. */
			if (!row->settled && row->due_ms == INT64_MAX)
				row->due_ms = done_ms + 1;
		}
		now_ms = done_ms;
	}
	if (domain->begun < domain->n)
		return now_ms + 1;
	for (uint32_t i = 0; i < domain->n; i++)
		if (f->rows[domain->first_row + i].due_ms < next_ms)
			next_ms = f->rows[domain->first_row + i].due_ms;
	return next_ms == INT64_MAX ? next_ms : (next_ms > now_ms ? next_ms : now_ms) + SIBLINGS_MS;
}

uint64_t fleet_run(struct fleet *f)
{
	while (f->heap_n > 0) {
		struct event event = heap_pop(f);
		int64_t next_ms = domain_turn(f, event.domain, event.at_ms);

		if (next_ms != INT64_MAX)
			heap_push(f, next_ms, event.domain);
	}
	return (uint64_t)f->last_ms;
}

const struct fleet_tally *fleet_tally(const struct fleet *f, size_t kind)
{
	return &f->tallies[kind];
}

/* ------------------------------------------------------------------------------------------------
 * the making of it */

static void make_lanes(struct fleet *f)
{
	for (uint32_t i = 0; i < f->options.lanes; i++) {
		struct lane *lane = &f->lanes[i];

		/* Networks of their own, so that a neighbour's pass helps nobody. */
		lane->ip = 0x0b000001u + (i << 16);
		snprintf(lane->name, sizeof(lane->name), "lane-%u", i);
		snprintf(lane->helo, sizeof(lane->helo), "probe%u.sender.test", i);
		snprintf(lane->mail_from, sizeof(lane->mail_from), "verify@probe%u.sender.test", i);
		snprintf(lane->address, sizeof(lane->address), "11.%u.0.1", i);
		lane->identity = (struct probe_identity){ .lane_name = lane->name,
							  .worker = "simulation",
							  .source_ip = lane->address,
							  .family = 4,
							  .helo = lane->helo,
							  .mail_from = lane->mail_from };
		f->lane_numbers[i] = i;
	}
}

/* Domains of 1 to 40 addresses, most of them small. */
static void make_domains(struct fleet *f)
{
	uint32_t rows = 0;

	f->rows = checked(calloc(f->options.addresses, sizeof(*f->rows)));
	f->domains = checked(calloc(f->options.addresses, sizeof(*f->domains)));
	f->windows = checked(calloc(f->options.addresses, sizeof(*f->windows)));
	while (rows < f->options.addresses) {
		struct domain *domain = &f->domains[f->domain_n];
		uint32_t n = 1 + (uint32_t)(next_random(f) % 40 * (next_random(f) % 40) / 40);

		if (n > f->options.addresses - rows)
			n = f->options.addresses - rows;
		domain->first_row = rows;
		domain->n = n;
		domain->home = lane_of(f, f->domain_n);
		for (uint32_t i = 0; i < n; i++)
			f->rows[rows + i].due_ms = INT64_MAX;
		f->tallies[servers_kind(f->servers, f->domain_n) - server_kinds].rows += n;
		rows += n;
		f->domain_n++;
	}
	f->heap = checked(calloc(f->domain_n + 1, sizeof(*f->heap)));
	for (uint32_t d = 0; d < f->domain_n; d++)
		heap_push(f, (int64_t)(next_random(f) % (f->options.span_ms + 1)), d);
}

enum rc_status fleet_new(const struct fleet_options *options, struct servers *servers,
			 struct fleet **ret_fleet, struct rc_error *err)
{
	struct fleet *f;
	enum rc_status status;

	if (options->lanes < 1 || options->lanes > LANES_MAX)
		return rc_error_set(err, RC_INVALID, "from 1 to %d lanes", LANES_MAX);
	f = checked(calloc(1, sizeof(*f)));
	f->options = *options;
	f->servers = servers;
	f->random = options->seed;
	f->talk = checked(calloc(1, sizeof(*f->talk)));
	schedule_default(&f->schedule);
	status = rc_rules_load(options->data, &f->rules, err);
	if (status == RC_OK)
		status = rc_providers_load(options->data, &f->providers, err);
	if (status == RC_OK)
		status = rc_target_list_parse("10.0.0.0/8", &f->allow, err);
	if (status != RC_OK) {
		fleet_free(f);
		return status;
	}
	f->config = (struct probe_config){ .rules = f->rules,
					   .providers = f->providers,
					   .allow = &f->allow,
					   .pace = true,
					   .time_scale = 1,
					   .port = 25 };
	make_lanes(f);
	make_domains(f);
	*ret_fleet = f;
	return RC_OK;
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	rc_rules_free(f->rules);
	rc_providers_free(f->providers);
	free(f->talk);
	free(f->rows);
	free(f->domains);
	free(f->windows);
	free(f->heap);
	free(f);
}
