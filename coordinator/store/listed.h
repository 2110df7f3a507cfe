/*
 * listed - which addresses of a job that is being planned stand on a list: the tenant's
 * suppressions, the operator's spam traps.
 *
 * Works within PostgreSQL and the caller's transaction (after plan_make()), so that memory here
 * stays flat; scratch tables are the connection's own.
 */
#ifndef COORDINATOR_STORE_LISTED_H
#define COORDINATOR_STORE_LISTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/core/traps.h"
#include "coordinator/store/plan.h"

struct db;

/* Which traps a connection has. */
struct listed_traps {
	uint64_t generation; /* db_generation(); 0: none yet */
	uint64_t serial;     /* of the traps */
};

/* Brings the traps to the connection, once for each of its lives and each set of them, which
 * `serial` tells apart. Outside a transaction. */
enum rc_status listed_traps_bring(struct db *db, const struct traps *traps, uint64_t serial,
				  struct listed_traps *has, struct rc_error *err) RC_MUST_CHECK;

/* Looks for all of them; *ret_count are those that listed_page() gives. */
enum rc_status listed_find(struct db *db, const struct plan_job *job, const struct traps *traps,
			   int64_t *ret_count, struct rc_error *err) RC_MUST_CHECK;

struct listed_row {
	int64_t uid;
	const char *local, *domain;
	size_t local_len;
	bool suppressed, trap;
};

typedef void listed_row_fn(void *arg, const struct listed_row *row);

/* The next ones behind uid `after`, at most `limit`, in order. *ret_last is the last one's uid. */
enum rc_status listed_page(struct db *db, const struct plan_job *job, int64_t after, int limit,
			   listed_row_fn *each, void *arg, int *ret_count, int64_t *ret_last,
			   struct rc_error *err) RC_MUST_CHECK;

/* Domains of which every address is listed need no look-up. */
enum rc_status listed_close_domains(struct db *db, const struct plan_job *job,
				    struct rc_error *err) RC_MUST_CHECK;

#endif
