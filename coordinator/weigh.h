/*
 * weigh - one answer of a report, with what was known before it, as the input of its verdict.
 *
 * In one place because two ask: the sink when the answer comes, and regrade later. Pure but for the
 * rules and lists of the context, which are the current ones.
 */
#ifndef COORDINATOR_WEIGH_H
#define COORDINATOR_WEIGH_H

#include <stddef.h>

#include "coordinator/context.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/history.h"

struct weigh_row {
	const char *domain, *local;
	size_t local_len;
	const struct rc_provider *provider; /* NULL: no profile */
	const struct posteriors *measured;  /* NULL: priors alone */
	const struct history *history;	    /* as it came out of history_unpack() */
};

/* Fills all of *ret but attempts_max (0: it was the last attempt) and may_heal. */
void weigh(const struct context *context, const struct weigh_row *row,
	   const Rollcall__Report *report, const struct evidence_domain *evidence,
	   const Rollcall__Answer *answer, struct verdict_input *ret);

#endif
