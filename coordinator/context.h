/*
 * context - what every thread of the coordinator is given: options (read only), the shelf of rules
 * and lists, bells and readiness (thread-safe). Owner: main, which outlives the threads.
 *
 * A thread that decides has a copy of its own, in which rules, providers, scores and lists stand
 * still between two calls of context_renew(): where it holds nothing of them, at the top of its
 * loop or before its next batch.
 */
#ifndef COORDINATOR_CONTEXT_H
#define COORDINATOR_CONTEXT_H

#include "coordinator/bell.h"
#include "coordinator/config.h"
#include "coordinator/core/schedule.h"
#include "coordinator/core/warmup.h"
#include "coordinator/data_set.h"
#include "coordinator/readiness.h"

struct context {
	const struct config *config;
	struct shelf *shelf;
	const struct data_set *data; /* taken from the shelf; in a thread's own copy only */
	const struct rc_rules *rules;
	const struct rc_providers *providers;
	const struct scores *scores;
	const struct lists *lists;
	const struct traps *traps;
	struct schedule schedule;
	struct warmup warmup;
	struct bell *planner_bell; /* a list was uploaded */
	struct bell *leader_bell;  /* there is something to send, or a job changed */
	struct bell *sink_bell;	   /* only to stop it */
	struct readiness *readiness;
};

/* Into a thread's own copy: the newest data of the shelf. Pointers into the old ones end here. */
static inline void context_renew(struct context *own)
{
	if (own->data && shelf_is_newest(own->shelf, own->data))
		return;
	shelf_give_back(own->shelf, own->data);
	own->data = shelf_take(own->shelf);
	own->rules = own->data->rules;
	own->providers = own->data->providers;
	own->scores = own->data->scores;
	own->lists = own->data->lists;
	own->traps = own->data->traps;
}

/* A copy for a thread; context_done() when it ends. */
static inline void context_copy(struct context *own, const struct context *context)
{
	*own = *context;
	own->data = NULL;
	context_renew(own);
}

static inline void context_done(struct context *own)
{
	if (own->shelf)
		shelf_give_back(own->shelf, own->data);
	own->data = NULL;
}

#endif
