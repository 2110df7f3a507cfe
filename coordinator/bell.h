/*
 * bell - how one thread of the coordinator wakes another: a counter with a condition variable.
 *
 * Any number of threads ring, any number wait. It only wakes: whoever waits looks at PostgreSQL,
 * and polls it now and then whether the bell rang or not.
 */
#ifndef COORDINATOR_BELL_H
#define COORDINATOR_BELL_H

#include <stdbool.h>
#include <stdint.h>

struct bell;

struct bell *bell_new(void);
/* Takes NULL. Nobody may be waiting. */
void bell_free(struct bell *bell);
void bell_ring(struct bell *bell);
/* Rings for good: every wait, now and later, returns at once with false. */
void bell_stop(struct bell *bell);
bool bell_stopped(struct bell *bell);
/* Waits until it has rung since *seen (0 at first; updated) or for `timeout_ms`. False: stopped. */
bool bell_wait(struct bell *bell, uint64_t *seen, uint32_t timeout_ms);

#endif
