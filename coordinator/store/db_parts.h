/*
 * db_parts - what the files of db share: the connection as it is inside, and how a failure of libpq
 * becomes one of ours.
 */
#ifndef COORDINATOR_STORE_DB_PARTS_H
#define COORDINATOR_STORE_DB_PARTS_H

#include <libpq-fe.h>
#include <pthread.h>

#include "common/base/arena.h"
#include "coordinator/store/db.h"

enum { KEPT_MAX = 512 };

/* A statement that the server has prepared on this connection, found by its text. */
struct kept {
	uint64_t hash;
	char *sql;
	char name[16];
};

struct db {
	PGconn *conn;
	char *conninfo;
	char *application;
	bool lost;
	uint64_t generation;
	uint64_t retry_at_ms; /* monotonic */
	uint32_t backoff_ms;
	struct kept kept[KEPT_MAX];
	unsigned kept_count;
	pthread_mutex_t cancel_lock;
	PGcancel *cancel;
};

struct db_result {
	PGresult *res;
	struct rc_arena *arena; /* decoded bytea; made when first needed */
};

/* Takes `res`, which may be NULL; notes a lost connection. `doing`: the statement. Never RC_OK. */
enum rc_status db_failed(struct db *db, PGresult *res, const char *doing, struct rc_error *err);
/* There is no connection just now. Never RC_OK. */
enum rc_status db_gone(struct rc_error *err);

#endif
