#include "coordinator/http/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinator/store/db.h"

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t back;
	char *conninfo;
	struct db *idle[POOL_MAX];
	int idle_count;
	int made; /* idle and out */
};

struct pool *pool_new(const char *conninfo)
{
	struct pool *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	if (!p)
		return NULL;
	p->conninfo = strdup(conninfo);
	if (!p->conninfo) {
		free(p);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->back, &attr);
	pthread_condattr_destroy(&attr);
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->idle_count; i++)
		db_close(p->idle[i]);
	pthread_cond_destroy(&p->back);
	pthread_mutex_destroy(&p->lock);
	free(p->conninfo);
	free(p);
}

/* An idle one, or leave to make one (*ret_db NULL). False: none came back in time. */
static bool reserve(struct pool *p, int64_t wait_ms, struct db **ret_db)
{
	struct timespec until;
	bool got = true;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(wait_ms / 1000);
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&p->lock);
	while (!p->idle_count && p->made >= POOL_MAX && got)
		got = pthread_cond_timedwait(&p->back, &p->lock, &until) == 0;
	got = p->idle_count || p->made < POOL_MAX;
	*ret_db = NULL;
	if (got && p->idle_count)
		*ret_db = p->idle[--p->idle_count];
	else if (got)
		p->made++;
	pthread_mutex_unlock(&p->lock);
	return got;
}

static void forget(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->made--;
	pthread_cond_signal(&p->back);
	pthread_mutex_unlock(&p->lock);
}

enum rc_status pool_take(struct pool *p, int64_t wait_ms, struct db **ret_db, struct rc_error *err)
{
	struct db *db;
	enum rc_status status;

	if (!reserve(p, wait_ms, &db))
		return rc_error_set(
		    err, RC_LIMIT,
		    "all %d database connections of the API are busy: try again in a moment",
		    POOL_MAX);
	status = db ? db_revive(db, err) : db_open(p->conninfo, "rollcall-http", 0, &db, err);
	if (status != RC_OK) {
		if (db)
			pool_give(p, db);
		else
			forget(p);
		return status == RC_NO_MEMORY ? status : RC_UNAVAILABLE;
	}
	*ret_db = db;
	return RC_OK;
}

void pool_give(struct pool *p, struct db *db)
{
	if (!db)
		return;
	db_rollback(db);
	pthread_mutex_lock(&p->lock);
	p->idle[p->idle_count++] = db;
	pthread_cond_signal(&p->back);
	pthread_mutex_unlock(&p->lock);
}
