/* See bell.h. */
#include "coordinator/bell.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct bell {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	uint64_t count;
	bool stopped;
};

struct bell *bell_new(void)
{
	struct bell *bell = calloc(1, sizeof(*bell));
	pthread_condattr_t attr;

	if (!bell)
		return NULL;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&bell->lock, NULL);
	pthread_cond_init(&bell->rung, &attr);
	pthread_condattr_destroy(&attr);
	return bell;
}

void bell_free(struct bell *bell)
{
	if (!bell)
		return;
	pthread_cond_destroy(&bell->rung);
	pthread_mutex_destroy(&bell->lock);
	free(bell);
}

void bell_ring(struct bell *bell)
{
	pthread_mutex_lock(&bell->lock);
	bell->count++;
	pthread_cond_broadcast(&bell->rung);
	pthread_mutex_unlock(&bell->lock);
}

void bell_stop(struct bell *bell)
{
	pthread_mutex_lock(&bell->lock);
	bell->stopped = true;
	pthread_cond_broadcast(&bell->rung);
	pthread_mutex_unlock(&bell->lock);
}

bool bell_stopped(struct bell *bell)
{
	bool stopped;

	pthread_mutex_lock(&bell->lock);
	stopped = bell->stopped;
	pthread_mutex_unlock(&bell->lock);
	return stopped;
}

bool bell_wait(struct bell *bell, uint64_t *seen, uint32_t timeout_ms)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&bell->lock);
	while (!bell->stopped && bell->count == *seen)
		if (pthread_cond_timedwait(&bell->rung, &bell->lock, &until) != 0)
			break;
	*seen = bell->count;
	go_on = !bell->stopped;
	pthread_mutex_unlock(&bell->lock);
	return go_on;
}
