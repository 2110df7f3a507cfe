/*
 * scores - the prior chance that a message sent now does not bounce, by reason and provider:
 * data/scores.
 *
 * Made once, read only afterwards. Loading fails with file, line and reason. Nothing is built in:
 * a table that leaves a reason out is refused.
 */
#ifndef COORDINATOR_CORE_SCORES_H
#define COORDINATOR_CORE_SCORES_H

#include <stddef.h>

#include "common/base/status.h"
#include "common/reply/reason.h"

struct scores;

/* `path`: the file, or a directory that holds `scores`. */
enum rc_status scores_load(const char *path, struct scores **ret_scores,
			   struct rc_error *err) RC_MUST_CHECK;
enum rc_status scores_parse(const char *name, const char *data, size_t len,
			    struct scores **ret_scores, struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void scores_free(struct scores *scores);
/* 0 to 100; -1: skipped reasons have none. `provider` may be NULL. With `scores` NULL -1. */
int scores_prior(const struct scores *scores, enum rc_reason reason, const char *provider);

#endif
