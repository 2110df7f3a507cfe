/*
 * planner - the thread that turns uploaded lists into domains and rows, and decides what needs no
 * network.
 *
 * Started and joined by main. Woken by context->planner_bell, and looks by itself now and then.
 * Survives a database that goes: a plan is one transaction, and starts over. A list that cannot be
 * planned makes its job `failed`, with the reason.
 */
#ifndef COORDINATOR_PLANNER_H
#define COORDINATOR_PLANNER_H

#include "common/base/status.h"
#include "coordinator/context.h"

struct planner;

enum rc_status planner_start(const struct context *context, struct planner **ret_planner,
			     struct rc_error *err) RC_MUST_CHECK;
/* The bell is stopped already. Cancels what runs and waits for the thread. Takes NULL. */
void planner_stop(struct planner *planner);

#endif
