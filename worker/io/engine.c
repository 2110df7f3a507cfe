#include "worker/io/engine.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/address/target.h"
#include "common/base/log.h"
#include "worker/io/engine_parts.h"

enum { RESOLVES_MAX = 400 }; /* resolve shards at once: each has up to 100 domains */

bool target_allowed(const void *context, const struct probe_ip *ip)
{
	const struct probe_config *config = context;

	if (config->only_allowed)
		return rc_target_listed(config->allow, ip->family, ip->octets);
	return rc_target_allowed(config->allow, ip->family, ip->octets, NULL);
}

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

void run_add(struct engine *engine, struct run *run, enum run_kind kind, const struct lane *lane,
	     const Rollcall__Shard *shard)
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
void run_end(struct run *run)
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

static void cut_run(struct run *run)
{
	if (run->kind == RUN_PROBE)
		probe_run_cut(run);
	else
		resolve_run_cut(run);
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
		probe_take(engine, lane, shard);
		break;
	case ROLLCALL__SHARD_KIND__SHARD_KIND_RESOLVE:
		resolve_take(engine, lane, shard);
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

		if (run->kind == RUN_PROBE)
			probe_run_stop(run);
		else
			resolve_run_stop(run);
		run = next;
	}
}

static void serve_pacer(struct engine *engine)
{
	void *waiting;

	if (!engine->pacer_moved)
		return;
	/* Those who get leave may fail at once and give it back, which moves the line again. */
	for (unsigned round = 0; engine->pacer_moved && round < 8; round++) {
		engine->pacer_moved = false;
		while ((waiting = pacer_pop(engine->pacer, now_ms(engine))) != NULL)
			probe_granted(waiting);
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
			resolve_run_free(run);
		else
			probe_run_free(run);
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
