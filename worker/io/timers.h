/*
 * timers - very many deadlines on one uv_timer.
 *
 * A binary heap of embedded timers. A deadline that moves later costs nothing until the old one
 * comes: sessions push theirs back at each reply. Owner: the loop's thread. A timer fires once; its
 * callback may set, clear and free any timer, its own too. Setting fails only without memory, and
 * only when more timers run than ever before.
 */
#ifndef WORKER_IO_TIMERS_H
#define WORKER_IO_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct timers;

struct timer {
	uint64_t due_ms;    /* of uv_now(); private, as what follows */
	uint64_t placed_ms; /* where the heap has it: never later than due_ms */
	size_t place;	    /* index + 1; 0: not in the heap */
	void (*fired)(struct timer *timer);
};

struct timers *timers_new(uv_loop_t *loop);
/* Closes its handle; memory goes when that has happened. Takes NULL. */
void timers_free(struct timers *timers);
/* UINT64_MAX clears. `fired` must be set before. */
bool timer_set(struct timers *timers, struct timer *timer, uint64_t due_ms);
void timer_clear(struct timers *timers, struct timer *timer);

#endif
