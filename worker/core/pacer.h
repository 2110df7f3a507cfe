/*
 * pacer - who may connect when, by lane and MX group.
 *
 * Pure: time comes in, leave comes out. Limits are those of the shard's budget (docs/operating.md: a small MX
 * group gets 2 connections and 30 recipients a minute); the rate within them follows the server's answers (additive increase, multiplicative
 * decrease), and a circuit opens when a group answers with throttling only. With pace off the standing limits are not kept,
 * the reactions are. One pacer a worker; not thread-safe. Groups unused for 10 minutes are forgotten.
 */
#ifndef WORKER_CORE_PACER_H
#define WORKER_CORE_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pacer;

struct pacer_limits {
	uint32_t connections;            /* at once; 0: the default of 2 */
	uint32_t recipients_per_minute;  /* 0: the default of 30 */
	uint32_t connections_per_minute; /* 0: none */
	uint32_t connections_per_second; /* new ones, after as many at once; 0: as many as `connections` */
};

enum pacer_outcome {
	PACER_CLEAR = 1,  /* the session ended in order with definite answers */
	PACER_THROTTLED,  /* 421, rate words, 4xx at greeting */
	PACER_FAILED      /* no connection, time-out */
};

struct pacer *pacer_new(bool pace, uint32_t time_scale);
void pacer_free(struct pacer *pacer);

/*
 * Asks for one connection that may carry up to `recipients`. `waiter` is the asker's own pointer, returned by pacer_pop().
 * Returns true: leave is given now. False: it waits in line (first come, first served in its group).
 * `*ret_memory_ok` false and false returned: no memory, not in line.
 */
bool pacer_ask(struct pacer *pacer, uint32_t lane, const char *mx_group, const struct pacer_limits *limits, uint32_t recipients,
	       void *waiter, uint64_t now_ms, bool *ret_memory_ok);
/* Takes `waiter` out of line (it gave up). */
void pacer_forget(struct pacer *pacer, uint32_t lane, const char *mx_group, void *waiter);
/* The connection is over; `used`: RCPTs sent. */
void pacer_release(struct pacer *pacer, uint32_t lane, const char *mx_group, uint32_t used, enum pacer_outcome outcome,
		   uint64_t now_ms);
/* The next waiter whose turn has come, or NULL. Call until NULL after pacer_release() and at pacer_deadline(). */
void *pacer_pop(struct pacer *pacer, uint64_t now_ms);
uint64_t pacer_deadline(const struct pacer *pacer);
/* Whether the circuit is open there, and for how long (ms, unscaled; 0: not). */
uint64_t pacer_open_ms(const struct pacer *pacer, uint32_t lane, const char *mx_group, uint64_t now_ms);

#endif
