/*
 * examine - `rollcall-worker doctor`: one look at every lane and at this machine's limits, written
 * out.
 *
 * A line for each finding, its fields parted by tabs: lane (empty: the machine), check, result (ok,
 * warn, unsure, fail), sentence. Connects to no broker and takes no lane.
 */
#ifndef WORKER_IO_EXAMINE_H
#define WORKER_IO_EXAMINE_H

#include <stdio.h>

#include "common/base/status.h"
#include "worker/io/config.h"

enum examine_code {
	EXAMINE_FIT = 0,
	EXAMINE_UNFIT = 1,  /* a check that decides has failed or could not be made */
	EXAMINE_REFUSED = 2 /* the settings are wrong; `err` says it */
};

int examine_run(const struct worker_config *config, FILE *out, struct rc_error *err);

#endif
