/*
 * sink - the thread that turns reports into results: offsets, evidence and verdicts in one
 * transaction a batch.
 *
 * Takes every partition of rollcall.reports whose lock it gets on its own connection, from the
 * offset that PostgreSQL holds: what Kafka brings twice counts once. A message that does not open,
 * or that the database refuses, is logged and passed over, and never stops the others. Survives
 * PostgreSQL and Kafka going and coming.
 */
#ifndef COORDINATOR_SINK_H
#define COORDINATOR_SINK_H

#include "common/base/status.h"
#include "coordinator/context.h"

struct sink;

enum rc_status sink_start(const struct context *context, struct sink **ret_sink,
			  struct rc_error *err) RC_MUST_CHECK;
/* The bell is stopped already. Cancels what runs and waits for the thread. Takes NULL. */
void sink_stop(struct sink *sink);

#endif
