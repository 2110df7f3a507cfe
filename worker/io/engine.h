/*
 * engine - the shards in work: feeds each probe with what its sockets, questions and timers bring,
 * and carries out what it wants.
 *
 * Owner: the loop's thread. A shard that is already in work under the same epoch is not begun
 * twice. Shards are taken while there is room; above that the rest stay with the broker. What comes
 * out are reports.
 */
#ifndef WORKER_IO_ENGINE_H
#define WORKER_IO_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/base/status.h"
#include "rollcall.pb-c.h"
#include "worker/core/probe.h"
#include "worker/io/lanes.h"

struct dns;
struct engine;
struct network;
struct tls_context;

struct engine_settings {
	struct probe_config
	    probe; /* its rules and providers are the first ones, see engine_set_rules() */
	const char *worker;
	uint32_t sessions_max;
};

struct engine_events {
	/* False: lost. */
	bool (*report)(void *context, const Rollcall__Report *report);
	/* Whether shards may come: false when full, true when there is room again. */
	void (*room)(void *context, bool room);
	/* After engine_stop(): the last shard has ended. */
	void (*stopped)(void *context);
};

enum rc_status engine_new(uv_loop_t *loop, const struct engine_settings *settings,
			  struct network *network, struct tls_context *tls, struct dns *dns,
			  const struct engine_events *events, void *context,
			  struct engine **ret_engine, struct rc_error *err) RC_MUST_CHECK;
/* Cuts what is left. Takes NULL. */
void engine_free(struct engine *engine);

/* Takes `shard` over. `lane` holds the epoch under which it came. */
void engine_take(struct engine *engine, const struct lane *lane, Rollcall__Shard *shard);
/* The lane's lease is over: its connections close without a word, nothing is reported. */
void engine_cut(struct engine *engine, const struct lane *lane);
/* Every shard ends in order, with what it has. */
void engine_stop(struct engine *engine);
/* New rules for the shards that begin from now on. The old ones must stay until engine_uses() says
 * that nobody has them. */
void engine_set_rules(struct engine *engine, const struct rc_rules *rules,
		      const struct rc_providers *providers);
bool engine_uses(const struct engine *engine, const struct rc_rules *rules);

size_t engine_running(const struct engine *engine);

#endif
