/*
 * kafka_loop - the worker's side of Kafka inside the loop: shards and grants in, reports and hellos
 * out.
 *
 * librdkafka's threads only wake the loop through a pipe; every callback of this header runs in the
 * loop's thread. Shards come from partitions assigned by hand, reports leave keyed by shard. When
 * brokers is @FILE and its content changes, or the idempotent producer has died, all clients are
 * made anew: `generation` says that every grant is void. A broker that is away is waited for
 * without end and logged once per change of state.
 */
#ifndef WORKER_IO_KAFKA_LOOP_H
#define WORKER_IO_KAFKA_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/status.h"
#include "rollcall.pb-c.h"

struct kafka_loop;

struct kafka_loop_settings {
	const char *brokers;	   /* or @FILE */
	const char *message_key;   /* NULL: not sealed */
	const char *kafka_options; /* NULL: none */
	const char *client_id;
};

struct kafka_loop_events {
	/* The callee owns `shard`, unpacked with the default allocator. */
	void (*shard)(void *context, Rollcall__Shard *shard);
	void (*grant)(void *context, const Rollcall__Grant *grant);
	/* The clients were made anew: nothing is assigned, every grant is void. */
	void (*generation)(void *context);
	/* The broker answers, for the first time or again: it has taken a hello or a report. */
	void (*connected)(void *context);
};

enum rc_status kafka_loop_new(uv_loop_t *loop, const struct kafka_loop_settings *settings,
			      const struct kafka_loop_events *events, void *context,
			      struct kafka_loop **ret_kafka, struct rc_error *err) RC_MUST_CHECK;
/* What has not been delivered is dropped. Waits a second at most for librdkafka's threads. Takes
 * NULL. */
void kafka_loop_free(struct kafka_loop *kafka);
/* Whether such threads are still there: then the process should end by _exit(), which no destructor
 * races. */
bool kafka_loop_lingers(void);

bool kafka_loop_is_connected(const struct kafka_loop *kafka);
/* Whether a report can be sent now; while not, no new shard should be begun, and none is handed
 * over. */
bool kafka_loop_has_room(const struct kafka_loop *kafka);
/* Shards of `lane` from `offset` on, instead of what was assigned before. */
void kafka_loop_assign(struct kafka_loop *kafka, uint32_t lane, int64_t offset);
void kafka_loop_unassign(struct kafka_loop *kafka, uint32_t lane);
/* While held, no shard is handed over; they stay with the broker. */
void kafka_loop_hold(struct kafka_loop *kafka, bool hold);

/* Packed at once; neither takes the message over. False: out of memory, it is lost (the coordinator
 * heals that). */
bool kafka_loop_report(struct kafka_loop *kafka, const Rollcall__Report *report);
bool kafka_loop_hello(struct kafka_loop *kafka, const Rollcall__Hello *hello);
/* Blocks until all is delivered, at most so long. Only at the end. */
void kafka_loop_flush(struct kafka_loop *kafka, int timeout_ms);

#endif
