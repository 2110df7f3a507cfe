/*
 * worker - the whole of a running worker: its lanes, Kafka, resolver and engine in one loop, until
 * a signal ends it.
 */
#ifndef WORKER_IO_WORKER_H
#define WORKER_IO_WORKER_H

#include "common/base/status.h"
#include "worker/io/config.h"

/*
 * Runs until SIGTERM or SIGINT; SIGHUP reads the rules again and keeps the old ones where they are
 * wrong. RC_OK: ended in order, every lane handed back. Otherwise one sentence says what is wrong
 * and what to do.
 */
enum rc_status worker_run(const struct worker_config *config, struct rc_error *err) RC_MUST_CHECK;

#endif
