/*
 * context - what every thread of the coordinator is given: options, rules and lists (read only),
 * bells and readiness (thread-safe). Owner: main, which outlives the threads.
 */
#ifndef COORDINATOR_CONTEXT_H
#define COORDINATOR_CONTEXT_H

#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "coordinator/bell.h"
#include "coordinator/config.h"
#include "coordinator/core/lists.h"
#include "coordinator/core/schedule.h"
#include "coordinator/core/scores.h"
#include "coordinator/readiness.h"

struct context {
	const struct config *config;
	struct rc_rules *rules;
	struct rc_providers *providers;
	struct scores *scores;
	struct lists *lists;
	struct schedule schedule;
	struct bell *planner_bell; /* a list was uploaded */
	struct bell *leader_bell;  /* there is something to send, or a job changed */
	struct bell *sink_bell;	   /* only to stop it */
	struct readiness *readiness;
};

#endif
