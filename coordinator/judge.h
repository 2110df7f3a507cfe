/*
 * judge - a batch of reports as verdicts, deferrals and knowledge: everything between a Report and
 * `writes`.
 *
 * Works within the sink's transaction on the sink's connection. On any
 * failure the caller rolls back, and the same batch may come again.
 */
#ifndef COORDINATOR_JUDGE_H
#define COORDINATOR_JUDGE_H

#include <stddef.h>

#include "common/base/status.h"
#include "coordinator/decide.h"
#include "rollcall.pb-c.h"

struct judge;

struct judge *judge_new(const struct context *context);
/* Takes NULL. */
void judge_free(struct judge *judge);

/* All of the batch, in the order of their offsets within a partition. Writes and flushes; the
 * caller commits. */
enum rc_status judge_batch(struct judge *judge, const struct decide *decide,
			   Rollcall__Report *const *reports, size_t n,
			   struct rc_error *err) RC_MUST_CHECK;

#endif
