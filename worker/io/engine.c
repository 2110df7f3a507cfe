#include "worker/io/engine.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "worker/core/pacer.h"
#include "worker/io/connection.h"
#include "worker/io/lookup.h"
#include "worker/io/timers.h"

enum {
	RUN_BUCKETS = 16384,  /* a power of two */
	RESOLVES_MAX = 400,   /* resolve shards at once: each has up to 100 domains */
	DOMAINS_AT_ONCE = 50, /* of one resolve shard */
	DOMAINS_MAX = 100,    /* proto/rollcall.proto */
	LIFE_DEFAULT_MS = 300 * 1000,
	PART_EVERY_MS = 1000
};

enum run_kind { RUN_PROBE = 1, RUN_RESOLVE };

/* One set of rules and who still works by it. */
struct rule_set {
	struct rule_set *next;
	struct probe_config config;
	size_t users;
};

/* What every shard in work has, of either kind. */
struct run {
	enum run_kind kind;
	struct engine *engine;
	const struct lane *lane;
	uint64_t id;
	uint64_t epoch;
	struct run *next; /* of all that run, or of the dead */
	struct run *previous;
	struct run *next_in_bucket;
	struct rule_set *rules; /* those of its beginning, to its end */
	struct timer timer;
	bool dead;
};

struct probe_run {
	struct run run;
	struct probe *probe;
	struct probe_identity identity; /* the probe refers to it */
	struct connection connection;
	struct dns_ask ask;
	struct lookup *lookup;
	bool stepping;
	bool in_line; /* of the pacer */
	bool slot;    /* given by it */
};

struct domain {
	struct resolve_run *owner;
	struct lookup *lookup; /* while it is asked for */
	const char *name;
};

struct resolve_run {
	struct run run;
	struct rc_arena *arena; /* of the part under construction */
	Rollcall__Shard *shard;
	uint64_t ends_ms;
	uint64_t part_due_ms;
	uint32_t part;
	size_t started;
	size_t under_way;
	size_t reported;
	size_t result_n;
	Rollcall__Resolution *results[DOMAINS_MAX];
	struct domain domains[DOMAINS_MAX];
};

struct engine {
	uv_loop_t *loop;
	struct network *network;
	struct tls_context *tls;
	struct dns *dns;
	struct pacer *pacer;
	struct timers *timers;
	const struct engine_events *events;
	void *context;
	const char *worker;
	struct rule_set *rules; /* the newest first */
	uv_prepare_t prepare;
	struct timer pacer_timer;
	struct run *running;
	struct run *dead;
	struct run *buckets[RUN_BUCKETS];
	size_t probes;
	size_t resolves;
	size_t probes_max;
	bool has_room;
	bool stopping;
	bool freeing;
	bool pacer_moved;
};

static void probe_step(struct probe_run *run);

static uint64_t now_ms(const struct engine *engine)
{
	return uv_now(engine->loop);
}

/* ---- all runs */

static struct run **bucket_of(struct engine *engine, uint64_t id)
{
	return &engine->buckets[id & (RUN_BUCKETS - 1)];
}

static struct run *run_find(struct engine *engine, uint64_t id)
{
	struct run *run = *bucket_of(engine, id);

	while (run != NULL && run->id != id)
		run = run->next_in_bucket;
	return run;
}

static void run_add(struct engine *engine, struct run *run, enum run_kind kind,
		    const struct lane *lane, const Rollcall__Shard *shard)
{
	struct run **bucket = bucket_of(engine, shard->id);

	run->kind = kind;
	run->engine = engine;
	run->lane = lane;
	run->id = shard->id;
	run->epoch = shard->epoch;
	run->rules = engine->rules;
	run->rules->users++;
	run->next_in_bucket = *bucket;
	*bucket = run;
	run->next = engine->running;
	if (run->next != NULL)
		run->next->previous = run;
	engine->running = run;
	if (kind == RUN_PROBE)
		engine->probes++;
	else
		engine->resolves++;
}

static void tell_room(struct engine *engine)
{
	/* Full stays full until a tenth is free again, so that the broker is not held and let go at
	 * each shard. */
	const bool full = engine->probes >= engine->probes_max || engine->resolves >= RESOLVES_MAX;
	const bool ample = engine->probes <= engine->probes_max - engine->probes_max / 10 - 1 &&
			   engine->resolves <= RESOLVES_MAX - RESOLVES_MAX / 10;

	if (engine->has_room ? full : ample) {
		engine->has_room = !engine->has_room;
		engine->events->room(engine->context, engine->has_room);
	}
}

/* Takes it out of everything. Its memory goes at the next turn, because we may stand in one of its
 * callbacks. */
static void run_end(struct run *run)
{
	struct engine *engine = run->engine;
	struct run **at = bucket_of(engine, run->id);

	assert(!run->dead);
	run->dead = true;
	timer_clear(engine->timers, &run->timer);
	while (*at != run)
		at = &(*at)->next_in_bucket;
	*at = run->next_in_bucket;
	if (run->previous != NULL)
		run->previous->next = run->next;
	else
		engine->running = run->next;
	if (run->next != NULL)
		run->next->previous = run->previous;
	run->next = engine->dead;
	engine->dead = run;
	if (run->kind == RUN_PROBE)
		engine->probes--;
	else
		engine->resolves--;
}

/* ---- probe shards */

static void slot_release(struct probe_run *run)
{
	struct engine *engine = run->run.engine;
	const uint32_t lane = run->run.lane->number;
	const char *group = probe_mx_group(run->probe);
	uint32_t used = 0;

	if (run->in_line) {
		pacer_forget(engine->pacer, lane, group, run);
		run->in_line = false;
		engine->pacer_moved = true;
	}
	if (!run->slot)
		return;
	run->slot = false;
	const enum pacer_outcome outcome = probe_session_outcome(run->probe, &used);

	pacer_release(engine->pacer, lane, group, used, outcome, now_ms(engine));
	probe_set_throttled(run->probe, pacer_open_ms(engine->pacer, lane, group, now_ms(engine)));
	engine->pacer_moved = true;
}

static void probe_end(struct probe_run *run)
{
	struct engine *engine = run->run.engine;

	connection_close(engine->network, &run->connection);
	slot_release(run);
	dns_cancel(&run->ask);
	lookup_free(run->lookup);
	run->lookup = NULL;
	rc_log(RC_LOG_DEBUG, "shard_done", "shard=%" PRIu64 " lane=%s", run->run.id,
	       run->run.lane->name);
	run_end(&run->run);
}

static void probe_free_all(struct probe_run *run)
{
	probe_free(run->probe);
	free(run);
}

static void give_mx(struct probe_run *run)
{
	struct rc_arena *arena = rc_arena_new(64 * 1024);
	Rollcall__Resolution *result =
	    arena != NULL
		? resolution_result(lookup_resolution(run->lookup), arena, rc_clock_wall_ms())
		: NULL;
	Rollcall__Resolution none = ROLLCALL__RESOLUTION__INIT;

	if (result == NULL) {
		none.state = ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED;
		none.detail = "out of memory";
		result = &none;
	}
	probe_on_mx(run->probe, result, now_ms(run->run.engine));
	rc_arena_free(arena);
	lookup_free(run->lookup);
	run->lookup = NULL;
}

static void on_mx_known(struct lookup *lookup, void *owner)
{
	struct probe_run *run = owner;

	(void)lookup;
	give_mx(run);
	probe_step(run);
}

static void give_addresses(struct probe_run *run, const struct dns_answer *answer)
{
	const bool failed = answer->state != DNS_FOUND && answer->state != DNS_NO_DATA &&
			    answer->state != DNS_NO_NAME;

	probe_on_addresses(run->probe, answer->ip, answer->ip_n, failed, now_ms(run->run.engine));
}

static void on_addresses_known(struct dns_ask *ask, const struct dns_answer *answer)
{
	struct probe_run *run = (struct probe_run *)((char *)ask - offsetof(struct probe_run, ask));

	give_addresses(run, answer);
	probe_step(run);
}

static bool target_allowed(const void *context, const struct probe_ip *ip)
{
	const struct probe_config *config = context;

	if (config->only_allowed)
		return rc_target_listed(config->allow, ip->family, ip->octets);
	return rc_target_allowed(config->allow, ip->family, ip->octets, NULL);
}

static void do_resolve(struct probe_run *run, const char *host)
{
	static const struct dns_answer broken = { .state = DNS_BROKEN };
	static const struct dns_answer no_name = { .state = DNS_NO_NAME };
	struct engine *engine = run->run.engine;
	const struct dns_answer *now = &broken;

	if (host != NULL && host[0] != '\0') {
		const enum dns_type type = run->run.lane->family == 6 ? DNS_AAAA : DNS_A;

		if (!dns_name_valid(host)) {
			give_addresses(run, &no_name);
			return;
		}
		run->ask.answered = on_addresses_known;
		if (dns_ask(engine->dns, &run->ask, host, type, false, &now) != DNS_LATER)
			give_addresses(run, now);
		return;
	}
	Rollcall__Resolution none = ROLLCALL__RESOLUTION__INIT;

	lookup_free(run->lookup);
	run->lookup = lookup_new(engine->dns, probe_domain(run->probe), false, target_allowed,
				 &run->run.rules->config);
	if (run->lookup == NULL) {
		none.state = ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED;
		none.detail = "out of memory";
		probe_on_mx(run->probe, &none, now_ms(engine));
	} else if (lookup_start(run->lookup, on_mx_known, run)) {
		give_mx(run);
	}
}

static void do_slot(struct probe_run *run, uint32_t recipients)
{
	struct engine *engine = run->run.engine;
	const Rollcall__Budget *budget = probe_budget(run->probe);
	struct pacer_limits limits = { 0 };
	bool memory_ok = true;

	if (budget != NULL) {
		limits.connections = budget->connections;
		limits.recipients_per_minute = budget->recipients_per_minute;
		limits.connections_per_minute = budget->connections_per_minute;
		limits.connections_per_second = budget->connections_per_second;
	}
	run->in_line = true;
	if (pacer_ask(engine->pacer, run->run.lane->number, probe_mx_group(run->probe), &limits,
		      recipients, run, now_ms(engine), &memory_ok)) {
		run->in_line = false;
		run->slot = true;
		probe_on_slot(run->probe, now_ms(engine));
	} else if (!memory_ok) {
		run->in_line = false;
		probe_stop(run->probe, now_ms(engine));
	} else {
		engine->pacer_moved = true;
	}
}

static void do_connect(struct probe_run *run, const struct probe_ip *ip)
{
	struct engine *engine = run->run.engine;
	const struct lane *lane = run->run.lane;

	if (rc_clock_boot_ms() >= lane->lease_ends_ms) {
		probe_cut(run->probe, now_ms(engine));
		return;
	}
	const Rollcall__Failure failure = connection_open(
	    engine->network, &run->connection, (const struct sockaddr *)&lane->source,
	    lane->source_len, ip, (uint16_t)run->run.rules->config.port);

	if (failure != ROLLCALL__FAILURE__FAILURE_NONE) {
		probe_on_closed(run->probe, failure, now_ms(engine));
		slot_release(run);
	}
}

static void break_off(struct probe_run *run, Rollcall__Failure failure)
{
	struct engine *engine = run->run.engine;

	connection_close(engine->network, &run->connection);
	probe_on_closed(run->probe, failure, now_ms(engine));
	slot_release(run);
}

static void do_send(struct probe_run *run, const char *data, size_t len)
{
	if (!connection_send(run->run.engine->network, &run->connection, data, len))
		break_off(run, ROLLCALL__FAILURE__FAILURE_CLOSED);
}

static void do_secure(struct probe_run *run, const char *host)
{
	struct engine *engine = run->run.engine;
	const char *early;
	const size_t len = connection_drain(engine->network, &run->connection, &early);

	/* It counts them, and throws them away. */
	if (len > 0)
		probe_on_data(run->probe, early, len, now_ms(engine));
	if (!connection_secure(engine->network, &run->connection, engine->tls, host))
		break_off(run, ROLLCALL__FAILURE__FAILURE_TLS);
}

/* Carries out what the probe wants until it waits. Events that come while it does are fed by
 * whoever is on the stack. */
static void probe_step(struct probe_run *run)
{
	struct engine *engine = run->run.engine;
	struct probe_todo todo;

	if (run->stepping || run->run.dead)
		return;
	run->stepping = true;
	for (;;) {
		memset(&todo, 0, sizeof(todo));
		switch (probe_next(run->probe, now_ms(engine), &todo)) {
		case PROBE_RESOLVE:
			do_resolve(run, todo.host);
			continue;
		case PROBE_SLOT:
			do_slot(run, todo.recipients);
			continue;
		case PROBE_CONNECT:
			do_connect(run, &todo.ip);
			continue;
		case PROBE_SEND:
			do_send(run, todo.data, todo.len);
			continue;
		case PROBE_TLS:
			do_secure(run, todo.host);
			continue;
		case PROBE_CLOSE:
			connection_close(engine->network, &run->connection);
			slot_release(run);
			continue;
		case PROBE_REPORT:
			if (!engine->events->report(engine->context, todo.report))
				rc_log(RC_LOG_WARN, "report_lost", "shard=%" PRIu64, run->run.id);
			continue;
		case PROBE_DONE:
			probe_end(run);
			break;
		case PROBE_WAIT:
			if (!timer_set(engine->timers, &run->run.timer,
				       probe_deadline(run->probe))) {
				probe_cut(run->probe, now_ms(engine));
				continue;
			}
			break;
		}
		break;
	}
	run->stepping = false;
}

static struct probe_run *of_connection(struct connection *connection)
{
	return (struct probe_run *)((char *)connection - offsetof(struct probe_run, connection));
}

static void on_connected(struct connection *connection)
{
	struct probe_run *run = of_connection(connection);

	probe_on_connected(run->probe, now_ms(run->run.engine));
	probe_step(run);
}

static void on_secured(struct connection *connection, const struct probe_tls *info)
{
	struct probe_run *run = of_connection(connection);

	probe_on_tls(run->probe, info, now_ms(run->run.engine));
	probe_step(run);
}

static void on_data(struct connection *connection, const char *data, size_t len)
{
	struct probe_run *run = of_connection(connection);

	probe_on_data(run->probe, data, len, now_ms(run->run.engine));
	probe_step(run);
}

static void on_closed(struct connection *connection, Rollcall__Failure failure)
{
	struct probe_run *run = of_connection(connection);

	probe_on_closed(run->probe, failure, now_ms(run->run.engine));
	slot_release(run);
	probe_step(run);
}

static const struct connection_events connection_events = { on_connected, on_secured, on_data,
							    on_closed };

static void on_probe_timer(struct timer *timer)
{
	struct probe_run *run =
	    (struct probe_run *)((char *)timer - offsetof(struct probe_run, run.timer));

	probe_on_time(run->probe, now_ms(run->run.engine));
	probe_step(run);
}

static void take_probe(struct engine *engine, const struct lane *lane, Rollcall__Shard *shard)
{
	struct probe_run *run = calloc(1, sizeof(*run));
	uint64_t seed;

	if (run == NULL) {
		rc_log(RC_LOG_WARN, "shard_dropped", "shard=%" PRIu64 " reason=memory", shard->id);
		rollcall__shard__free_unpacked(shard, NULL);
		return;
	}
	run->identity = (struct probe_identity){
		.lane_name = lane->name,
		.worker = engine->worker,
		.source_ip = lane->bind_address,
		.family = lane->family,
		.helo = lane->helo,
		.mail_from = lane->mail_from,
	};
	rc_random_bytes(&seed, sizeof(seed));
	run_add(engine, &run->run, RUN_PROBE, lane, shard);
	run->run.timer.fired = on_probe_timer;
	connection_init(&run->connection, &connection_events);
	run->connection.until_ms = &lane->lease_ends_ms;
	run->probe = probe_new(&run->run.rules->config, &run->identity, shard, seed, now_ms(engine),
			       rc_clock_wall_ms());
	if (run->probe == NULL) {
		rc_log(RC_LOG_WARN, "shard_refused", "shard=%" PRIu64 " job=%" PRIu64 " lane=%s",
		       shard->id, shard->job, lane->name);
		run_end(&run->run);
		rollcall__shard__free_unpacked(shard, NULL);
		return;
	}
	probe_step(run);
}

/* ---- resolve shards */

static void resolve_part(struct resolve_run *run, bool final)
{
	struct engine *engine = run->run.engine;
	const struct lane *lane = run->run.lane;
	Rollcall__Report report = ROLLCALL__REPORT__INIT;

	report.shard = run->run.id;
	report.attempt = run->shard->attempt;
	report.epoch = run->run.epoch;
	report.lane = run->shard->lane;
	report.part = ++run->part;
	report.final = final;
	report.worker = (char *)engine->worker;
	report.lane_name = (char *)lane->name;
	report.source_ip = (char *)lane->bind_address;
	report.helo = (char *)lane->helo;
	report.mail_from = (char *)lane->mail_from;
	report.reported_at_ms = rc_clock_wall_ms();
	report.n_resolutions = run->result_n;
	report.resolutions = run->results;
	if (!engine->events->report(engine->context, &report))
		rc_log(RC_LOG_WARN, "report_lost", "shard=%" PRIu64, run->run.id);
	run->reported += run->result_n;
	run->result_n = 0;
	run->part_due_ms = UINT64_MAX;
	rc_arena_reset(run->arena);
}

static void resolve_free_all(struct resolve_run *run)
{
	rc_arena_free(run->arena);
	rollcall__shard__free_unpacked(run->shard, NULL);
	free(run);
}

static void resolve_end(struct resolve_run *run)
{
	for (size_t i = 0; i < run->started; i++) {
		lookup_free(run->domains[i].lookup);
		run->domains[i].lookup = NULL;
	}
	run_end(&run->run);
}

static void keep_result(struct domain *domain, const struct resolution *resolution)
{
	struct resolve_run *run = domain->owner;
	Rollcall__Resolution *result =
	    resolution_result(resolution, run->arena, rc_clock_wall_ms());

	if (result == NULL) {
		/* Only this one is lost to the part; it comes again with the next shard of its
		 * domain. */
		rc_log(RC_LOG_WARN, "resolution_lost", "shard=%" PRIu64, run->run.id);
		return;
	}
	/* As it was asked for, whatever its spelling: the coordinator finds it again by that. */
	result->domain = (char *)domain->name;
	run->results[run->result_n++] = result;
	if (run->part_due_ms == UINT64_MAX)
		run->part_due_ms = now_ms(run->run.engine) + PART_EVERY_MS;
}

static void on_domain_known(struct lookup *lookup, void *owner);

static void resolve_step(struct resolve_run *run)
{
	struct engine *engine = run->run.engine;
	const Rollcall__Shard *shard = run->shard;

	while (run->started < shard->n_domains && run->under_way < DOMAINS_AT_ONCE) {
		struct domain *domain = &run->domains[run->started];

		domain->owner = run;
		domain->name = shard->domains[run->started];
		domain->lookup = lookup_new(engine->dns, domain->name, shard->bypass_cache,
					    target_allowed, &run->run.rules->config);
		run->started++;
		if (domain->lookup == NULL)
			continue;
		if (lookup_start(domain->lookup, on_domain_known, domain)) {
			keep_result(domain, lookup_resolution(domain->lookup));
			lookup_free(domain->lookup);
			domain->lookup = NULL;
		} else {
			run->under_way++;
		}
	}
	if (run->under_way == 0) {
		resolve_part(run, true);
		resolve_end(run);
		return;
	}
	if (run->part_due_ms <= now_ms(engine))
		resolve_part(run, false);
	if (!timer_set(engine->timers, &run->run.timer,
		       run->part_due_ms < run->ends_ms ? run->part_due_ms : run->ends_ms))
		resolve_end(run);
}

static void on_domain_known(struct lookup *lookup, void *owner)
{
	struct domain *domain = owner;
	struct resolve_run *run = domain->owner;

	run->under_way--;
	keep_result(domain, lookup_resolution(lookup));
	domain->lookup = NULL;
	lookup_free(lookup);
	resolve_step(run);
}

static void on_resolve_timer(struct timer *timer)
{
	struct resolve_run *run =
	    (struct resolve_run *)((char *)timer - offsetof(struct resolve_run, run.timer));

	if (now_ms(run->run.engine) < run->ends_ms) {
		resolve_step(run);
		return;
	}
	for (size_t i = 0; i < run->shard->n_domains; i++) {
		struct domain *domain = &run->domains[i];
		struct resolution late;

		if (i < run->started && domain->lookup == NULL)
			continue;
		if (i >= run->started) {
			domain->owner = run;
			domain->name = run->shard->domains[i];
			resolution_start(&late, domain->name, NULL, NULL);
			resolution_give_up(&late);
			keep_result(domain, &late);
			continue;
		}
		lookup_give_up(domain->lookup);
		keep_result(domain, lookup_resolution(domain->lookup));
	}
	resolve_part(run, true);
	resolve_end(run);
}

static void take_resolve(struct engine *engine, const struct lane *lane, Rollcall__Shard *shard)
{
	struct resolve_run *run = NULL;
	const uint64_t life_ms = shard->life_ms > 0 ? shard->life_ms : LIFE_DEFAULT_MS;

	if (shard->n_domains > DOMAINS_MAX) {
		rc_log(RC_LOG_WARN, "shard_refused", "shard=%" PRIu64 " domains=%zu", shard->id,
		       shard->n_domains);
		goto refuse;
	}
	run = calloc(1, sizeof(*run));
	if (run != NULL)
		run->arena = rc_arena_new(4 * 1024 * 1024);
	if (run == NULL || run->arena == NULL) {
		rc_log(RC_LOG_WARN, "shard_dropped", "shard=%" PRIu64 " reason=memory", shard->id);
		goto refuse;
	}
	run_add(engine, &run->run, RUN_RESOLVE, lane, shard);
	run->run.timer.fired = on_resolve_timer;
	run->shard = shard;
	run->part_due_ms = UINT64_MAX;
	run->ends_ms = now_ms(engine) + life_ms;
	resolve_step(run);
	return;
refuse:
	free(run);
	rollcall__shard__free_unpacked(shard, NULL);
}

/* ---- the engine */

static void cut_run(struct run *run)
{
	if (run->kind == RUN_PROBE) {
		struct probe_run *probe_run = (struct probe_run *)run;

		probe_cut(probe_run->probe, now_ms(run->engine));
		probe_step(probe_run);
		if (!run->dead)
			probe_end(probe_run);
	} else {
		resolve_end((struct resolve_run *)run);
	}
}

void engine_take(struct engine *engine, const struct lane *lane, Rollcall__Shard *shard)
{
	struct run *running = run_find(engine, shard->id);

	if (engine->stopping)
		goto drop;
	if (running != NULL && running->epoch >= shard->epoch) {
		rc_log(RC_LOG_DEBUG, "shard_repeated", "shard=%" PRIu64 " attempt=%u", shard->id,
		       shard->attempt);
		goto drop;
	}
	if (running != NULL)
		cut_run(running);
	switch (shard->kind) {
	case ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE:
		take_probe(engine, lane, shard);
		break;
	case ROLLCALL__SHARD_KIND__SHARD_KIND_RESOLVE:
		take_resolve(engine, lane, shard);
		break;
	default:
		rc_log(RC_LOG_WARN, "shard_refused", "shard=%" PRIu64 " kind=%d", shard->id,
		       (int)shard->kind);
		goto drop;
	}
	tell_room(engine);
	return;
drop:
	rollcall__shard__free_unpacked(shard, NULL);
}

void engine_cut(struct engine *engine, const struct lane *lane)
{
	struct run *run = engine->running;

	while (run != NULL) {
		struct run *next = run->next;

		if (run->lane == lane)
			cut_run(run);
		run = next;
	}
}

void engine_stop(struct engine *engine)
{
	struct run *run = engine->running;

	engine->stopping = true;
	while (run != NULL) {
		struct run *next = run->next;

		if (run->kind == RUN_PROBE) {
			probe_stop(((struct probe_run *)run)->probe, now_ms(engine));
			probe_step((struct probe_run *)run);
		} else {
			struct resolve_run *resolve_run = (struct resolve_run *)run;

			/* Not final: the lane goes back, and the rest is asked for under its next
			 * epoch. */
			if (resolve_run->result_n > 0)
				resolve_part(resolve_run, false);
			resolve_end(resolve_run);
		}
		run = next;
	}
}

static void serve_pacer(struct engine *engine)
{
	struct probe_run *run;

	if (!engine->pacer_moved)
		return;
	/* Those who get leave may fail at once and give it back, which moves the line again. */
	for (unsigned round = 0; engine->pacer_moved && round < 8; round++) {
		engine->pacer_moved = false;
		while ((run = pacer_pop(engine->pacer, now_ms(engine))) != NULL) {
			run->in_line = false;
			run->slot = true;
			probe_on_slot(run->probe, now_ms(engine));
			probe_step(run);
		}
	}
	/* Without room in the heap the line moves with the next release. */
	(void)timer_set(engine->timers, &engine->pacer_timer, pacer_deadline(engine->pacer));
}

static void on_pacer_timer(struct timer *timer)
{
	struct engine *engine =
	    (struct engine *)((char *)timer - offsetof(struct engine, pacer_timer));

	engine->pacer_moved = true;
}

static void free_dead(struct engine *engine)
{
	while (engine->dead != NULL) {
		struct run *run = engine->dead;

		engine->dead = run->next;
		run->rules->users--;
		if (run->kind == RUN_RESOLVE)
			resolve_free_all((struct resolve_run *)run);
		else
			probe_free_all((struct probe_run *)run);
	}
	for (struct rule_set **at = &engine->rules->next; *at != NULL;) {
		struct rule_set *old = *at;

		if (old->users > 0) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		free(old);
	}
}

/* Before the loop sleeps, with no callback of ours on the stack. An answer moves the line, and the
 * line asks questions. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct engine *engine = prepare->data;

	do {
		serve_pacer(engine);
	} while (dns_turn(engine->dns));
	free_dead(engine);
	tell_room(engine);
	if (engine->stopping && engine->running == NULL && !engine->freeing)
		engine->events->stopped(engine->context);
}

enum rc_status engine_new(uv_loop_t *loop, const struct engine_settings *settings,
			  struct network *network, struct tls_context *tls, struct dns *dns,
			  const struct engine_events *events, void *context,
			  struct engine **ret_engine, struct rc_error *err)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for the engine");
	engine->loop = loop;
	engine->network = network;
	engine->tls = tls;
	engine->dns = dns;
	engine->events = events;
	engine->context = context;
	engine->worker = settings->worker;
	engine->probes_max = settings->sessions_max;
	engine->has_room = true;
	engine->rules = calloc(1, sizeof(*engine->rules));
	engine->pacer = pacer_new(settings->probe.pace, settings->probe.time_scale);
	engine->timers = engine->rules != NULL && engine->pacer != NULL ? timers_new(loop) : NULL;
	if (engine->timers == NULL) {
		pacer_free(engine->pacer);
		free(engine->rules);
		free(engine);
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for the engine");
	}
	engine->rules->config = settings->probe;
	engine->pacer_timer.fired = on_pacer_timer;
	uv_prepare_init(loop, &engine->prepare);
	engine->prepare.data = engine;
	uv_prepare_start(&engine->prepare, on_prepare);
	uv_unref((uv_handle_t *)&engine->prepare);
	*ret_engine = engine;
	return RC_OK;
}

static void on_prepare_closed(uv_handle_t *handle)
{
	struct engine *engine = handle->data;

	free_dead(engine);
	pacer_free(engine->pacer);
	free(engine->rules);
	free(engine);
}

void engine_free(struct engine *engine)
{
	if (engine == NULL)
		return;
	engine->freeing = true;
	while (engine->running != NULL)
		cut_run(engine->running);
	timer_clear(engine->timers, &engine->pacer_timer);
	timers_free(engine->timers);
	uv_close((uv_handle_t *)&engine->prepare, on_prepare_closed);
}

void engine_set_rules(struct engine *engine, const struct rc_rules *rules,
		      const struct rc_providers *providers)
{
	struct rule_set *set = calloc(1, sizeof(*set));

	if (set == NULL) {
		rc_log(RC_LOG_WARN, "rules_kept", "reason=memory");
		return;
	}
	set->config = engine->rules->config;
	set->config.rules = rules;
	set->config.providers = providers;
	set->next = engine->rules;
	engine->rules = set;
}

bool engine_uses(const struct engine *engine, const struct rc_rules *rules)
{
	for (const struct rule_set *set = engine->rules; set != NULL; set = set->next) {
		if (set->config.rules == rules)
			return true;
	}
	return false;
}

size_t engine_running(const struct engine *engine)
{
	return engine->probes + engine->resolves;
}
