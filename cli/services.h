/*
 * services - what `up` and `doctor` do for rollcall-coordinator and rollcall-worker: where they
 * are, which options they take, and the lane that there is without ROLLCALL_LANES.
 *
 * Options become ROLLCALL_* variables of this process, which its children inherit. One thread.
 */
#ifndef CLI_SERVICES_H
#define CLI_SERVICES_H

#include <stdbool.h>

#include "cli/cli.h"

/* Beside our own program, else by PATH; NULL: nowhere. free() it. */
char *services_program(const char *name);
/* Reads argv: --data, --pg-bin and --config are the command's own, the rest goes to the services.
 * The exit status where *ret_failed. */
int services_options(const struct cli_command *command, int argc, char **argv,
		     const char **ret_data, const char **ret_pg_bin, bool *ret_failed);
/* Sets ROLLCALL_LANES where it is not set: one lane on the default route's address with the host's
 * name. */
void services_default_lane(void);

#endif
