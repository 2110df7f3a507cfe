/*
 * engine_parts - what the files of the engine share: one shard in work is a run, of one of two
 * kinds.
 *
 * engine.c keeps the runs and gives them their turns; engine_probe.c and engine_resolve.c do the
 * work of one kind each. A run is freed at the loop's next turn after run_end(), because its own
 * callbacks may still stand on the stack.
 */
#ifndef WORKER_IO_ENGINE_PARTS_H
#define WORKER_IO_ENGINE_PARTS_H

#include "worker/core/pacer.h"
#include "worker/io/engine.h"
#include "worker/io/lookup.h"
#include "worker/io/timers.h"

enum {
	RUN_BUCKETS = 16384, /* a power of two */
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

/* One shard of recipients. */
struct probe_run;
/* One shard of domains to look up. */
struct resolve_run;

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

static inline uint64_t now_ms(const struct engine *engine)
{
	return uv_now(engine->loop);
}

/* Links a new run into everything; it works by the newest rules, to its end. */
void run_add(struct engine *engine, struct run *run, enum run_kind kind, const struct lane *lane,
	     const Rollcall__Shard *shard);
void run_end(struct run *run);
/* The targets that the rules' configuration (`context`) lets us connect to. */
bool target_allowed(const void *context, const struct probe_ip *ip);

/* They take the shard, and make a run of it or say in the log why not. */
void probe_take(struct engine *engine, const struct lane *lane, Rollcall__Shard *shard);
void resolve_take(struct engine *engine, const struct lane *lane, Rollcall__Shard *shard);
/* The pacer's leave for one session; `waiting` is what was put into its line. */
void probe_granted(void *waiting);
/* Now, reporting what is known; no command is sent any more. */
void probe_run_cut(struct run *run);
/* The probe takes leave of its server; the lane goes back, and the rest is asked for under its next
 * epoch. */
void probe_run_stop(struct run *run);
void resolve_run_cut(struct run *run);
void resolve_run_stop(struct run *run);
void probe_run_free(struct run *run);
void resolve_run_free(struct run *run);

#endif
