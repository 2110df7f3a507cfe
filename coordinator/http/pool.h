/*
 * pool - the API's database connections: at most POOL_MAX, one for each request that is at work.
 *
 * Thread-safe. A connection that was lost is made anew when it is next taken.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_POOL_H
#define ROLLCALL_COORDINATOR_HTTP_POOL_H

#include <stdint.h>

#include "common/base/status.h"

struct db;
struct pool;

enum { POOL_MAX = 32 };

/* Opens nothing yet. NULL when out of memory. */
struct pool *pool_new(const char *conninfo);
/* Takes NULL. Every connection must be back. */
void pool_free(struct pool *pool);
/* Waits up to `wait_ms` for one to come back. RC_LIMIT: all are busy; RC_UNAVAILABLE: the database
 * does not answer. */
enum rc_status pool_take(struct pool *pool, int64_t wait_ms, struct db **ret_db,
			 struct rc_error *err) RC_MUST_CHECK;
/* An open transaction is rolled back. Takes NULL. */
void pool_give(struct pool *pool, struct db *db);

#endif
