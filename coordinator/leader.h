/*
 * leader - the thread that grants lanes and sends shards; of several coordinators one, by an
 * advisory lock on the connection that also does its writes, so that whoever loses the one can do
 * no more of the other. What is published was committed.
 *
 * Holds nothing that PostgreSQL does not: after any loss (database, broker, process) it starts over
 * from the record, and what was out and has no final report goes out again.
 */
#ifndef COORDINATOR_LEADER_H
#define COORDINATOR_LEADER_H

#include "common/base/status.h"
#include "coordinator/context.h"

struct leader;

enum rc_status leader_start(const struct context *context, struct leader **ret_leader,
			    struct rc_error *err) RC_MUST_CHECK;
/* The bell is stopped already. Cancels what runs and waits for the thread. Takes NULL. */
void leader_stop(struct leader *leader);

#endif
