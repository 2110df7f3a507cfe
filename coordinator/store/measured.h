/*
 * measured - what imported outcomes and random controls say of scores, for the threads that judge.
 *
 * Owner: planner, leader or sink, one each; one thread. A tenant's counts are read when first asked
 * for, again after each import (looked for once a batch), and when they are older than
 * MEASURED_KEEP_MS, for the controls. Controls are collected in memory and written with the sink's
 * transaction.
 */
#ifndef COORDINATOR_STORE_MEASURED_H
#define COORDINATOR_STORE_MEASURED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/reply/providers.h"
#include "coordinator/core/posteriors.h"

struct db;
struct measured;

enum { MEASURED_KEEP_MS = 10000 };

/* NULL when out of memory. */
struct measured *measured_new(void);
/* Takes NULL. */
void measured_free(struct measured *measured);

/* What is known to the tenant of `job`; NULL: no such job. Lives as long as `measured`, but may
 * change with the next call. `measured` NULL gives NULL. */
enum rc_status measured_of_job(struct measured *measured, struct db *db, int64_t job,
			       int64_t now_ms, const struct posteriors **ret_posteriors,
			       struct rc_error *err) RC_MUST_CHECK;
/* Adds a tenant's outcomes and everybody's controls to `posteriors`. */
enum rc_status measured_load(struct db *db, int tenant, struct posteriors *posteriors,
			     struct rc_error *err) RC_MUST_CHECK;

/* A random control was decided. `provider` NULL: no profile. */
void measured_control(struct measured *measured, const struct rc_provider *provider, bool accepted);
/* Forgets what a transaction that failed had collected. */
void measured_clear(struct measured *measured);
/* Within the caller's transaction. `counter`: the line, as of job_count. */
enum rc_status measured_flush(struct measured *measured, struct db *db, int counter,
			      struct rc_error *err) RC_MUST_CHECK;

#endif
