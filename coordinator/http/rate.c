#include "coordinator/http/rate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RATE_JOBS = 256, LOOKS = 16, LOOK_GAP_MS = 2000, MEASURE_MIN_MS = 500 };

struct look {
	uint64_t at_ms;
	int64_t done;
};

struct entry {
	int64_t job; /* 0: free */
	uint64_t used_ms;
	struct look look[LOOKS]; /* a ring, LOOK_GAP_MS apart */
	unsigned first, count;
};

struct rate {
	pthread_mutex_t lock;
	struct entry entry[RATE_JOBS];
};

struct rate *rate_new(void)
{
	struct rate *r = calloc(1, sizeof(*r));

	if (r)
		pthread_mutex_init(&r->lock, NULL);
	return r;
}

void rate_free(struct rate *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* The job's entry, or the one that nobody has looked at for longest. */
static struct entry *find(struct rate *r, int64_t job)
{
	struct entry *oldest = &r->entry[0];

	for (int i = 0; i < RATE_JOBS; i++) {
		if (r->entry[i].job == job)
			return &r->entry[i];
		if (r->entry[i].used_ms < oldest->used_ms)
			oldest = &r->entry[i];
	}
	memset(oldest, 0, sizeof(*oldest));
	oldest->job = job;
	return oldest;
}

double rate_note(struct rate *r, int64_t job, int64_t done, uint64_t now_ms)
{
	const struct look *last, *first;
	struct entry *e;
	double speed = -1;

	pthread_mutex_lock(&r->lock);
	e = find(r, job);
	e->used_ms = now_ms;
	last = e->count ? &e->look[(e->first + e->count - 1) % LOOKS] : NULL;
	if (!last || now_ms - last->at_ms >= LOOK_GAP_MS) {
		if (e->count == LOOKS) {
			e->first = (e->first + 1) % LOOKS;
			e->count--;
		}
		e->look[(e->first + e->count++) % LOOKS] = (struct look){ now_ms, done };
	}
	first = &e->look[e->first];
	if (now_ms - first->at_ms >= MEASURE_MIN_MS && done >= first->done)
		speed = (double)(done - first->done) * 1000.0 / (double)(now_ms - first->at_ms);
	pthread_mutex_unlock(&r->lock);
	return speed;
}
