/*
 * regrade - a job's verdicts given anew under the current rules, from the stored evidence, without
 * a probe.
 *
 * Works on the caller's connection, a page of rows at a time; with `apply` each page is a
 * transaction of its own, so that a regrade that breaks off is finished by the next. Nothing is
 * written without. Rows that have no result yet are not looked at: they get theirs under the
 * current rules anyway.
 *
 * Under the rules that gave a verdict it comes out the same: its evidence is read with what was
 * known at that time (coordinator/core/history.h). Lists and scores are the current ones. A row
 * whose new rules would ask again keeps its verdict and its version, and so does one whose evidence
 * is gone.
 */
#ifndef COORDINATOR_REGRADE_H
#define COORDINATOR_REGRADE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/context.h"
#include "coordinator/core/regrade.h"

struct db;

/* `context`: a copy of the caller's thread. On failure *ret tells of what was looked at (and
 * written) so far. */
enum rc_status regrade_job(const struct context *context, struct db *db, int64_t job,
			   const char *table_set, bool apply, struct regrade_summary *ret,
			   struct rc_error *err) RC_MUST_CHECK;

#endif
