/* See engine_parts.h: shards of domains to look up. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/io/engine_parts.h"

enum {
	DOMAINS_AT_ONCE = 50, /* of one shard */
	DOMAINS_MAX = 100,    /* proto/rollcall.proto */
	LIFE_DEFAULT_MS = 300 * 1000,
	PART_EVERY_MS = 1000
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

void resolve_take(struct engine *engine, const struct lane *lane, Rollcall__Shard *shard)
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

void resolve_run_cut(struct run *run)
{
	resolve_end((struct resolve_run *)run);
}

void resolve_run_stop(struct run *run)
{
	struct resolve_run *resolve_run = (struct resolve_run *)run;

	/* Not final: the rest is asked for by whoever gets the lane next. */
	if (resolve_run->result_n > 0)
		resolve_part(resolve_run, false);
	resolve_end(resolve_run);
}

void resolve_run_free(struct run *run)
{
	struct resolve_run *resolve_run = (struct resolve_run *)run;

	rc_arena_free(resolve_run->arena);
	rollcall__shard__free_unpacked(resolve_run->shard, NULL);
	free(resolve_run);
}
