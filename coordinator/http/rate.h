/*
 * rate - rows per second of the jobs that are looked at, from how their counts moved between looks.
 *
 * Thread-safe. Remembers RATE_JOBS jobs, each with its looks of the last 30 s.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_RATE_H
#define ROLLCALL_COORDINATOR_HTTP_RATE_H

#include <stdint.h>

struct rate;

/* NULL when out of memory. */
struct rate *rate_new(void);
/* Takes NULL. */
void rate_free(struct rate *rate);
/* Notes that `job` has `done` rows at `now_ms` (any steady clock) and returns rows/s over the
 * window; -1 when it cannot be said yet. */
double rate_note(struct rate *rate, int64_t job, int64_t done, uint64_t now_ms);

#endif
