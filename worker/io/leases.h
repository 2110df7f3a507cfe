/*
 * leases - hellos out, grants in: under which epoch each lane may be used, and until when.
 *
 * A lease runs from the sending of the hello that was answered, by a clock that goes on while the
 * machine sleeps, so that however late the answer comes we stop before the leader may grant the
 * lane to another. When it ends, every session of the lane is cut without a word. Owner: the loop's
 * thread.
 */
#ifndef WORKER_IO_LEASES_H
#define WORKER_IO_LEASES_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "rollcall.pb-c.h"
#include "worker/io/engine.h"
#include "worker/io/kafka_loop.h"
#include "worker/io/lanes.h"

struct leases;

/* NULL: out of memory. All arguments outlive it. */
struct leases *leases_new(uv_loop_t *loop, struct lanes *lanes, struct kafka_loop *kafka,
			  struct engine *engine, const char *worker, const char *version);
/* Takes NULL. */
void leases_free(struct leases *leases);

/* Proves every lane and says hello now. */
void leases_hello(struct leases *leases);
void leases_grant(struct leases *leases, const Rollcall__Grant *grant);
/* A look at `lane` has changed what is known of it: one that is not fit stops at once, and the
 * leader is told. */
void leases_fitness(struct leases *leases, struct lane *lane);
/* The broker is another: every grant is void; hello at once. */
void leases_void(struct leases *leases);
/* Hands every lane back. No hello follows. */
void leases_return(struct leases *leases);
/* The lane under whose present grant `shard` came, or NULL: it is not ours any more, or
 * (*ret_known false) never was. */
const struct lane *leases_lane(const struct leases *leases, const Rollcall__Shard *shard,
			       bool *ret_known);

#endif
