/*
 * job - what `verify` and `jobs` do with a job of the server: watch it until it ends, fetch its results.
 *
 * Progress goes to standard error: a bar on a terminal; lines, at most one in 2 s and only on a change, elsewhere.
 */
#ifndef CLI_JOB_H
#define CLI_JOB_H

#include <stdbool.h>

#include "cli/client.h"

struct job_output {
	const char *path;   /* NULL: standard output */
	const char *status; /* "valid,catch_all", or NULL for all rows */
	bool ndjson;
};

/* "/v1/jobs/ID" + `rest`, escaped; free() it. NULL when out of memory. */
char *job_path(struct client *client, const char *id, const char *rest);

/*
 * Shows the progress until the job has ended; rides out restarts of the server. Returns CLI_OK when every row has its
 * result, CLI_FAILED, CLI_NO_SERVER, or CLI_INTERRUPTED after having told how to come back.
 */
int job_watch(struct client *client, const char *id);

/* Into output->path by way of a temporary file beside it and a rename, so that it is never half there. */
int job_download(struct client *client, const char *id, const struct job_output *output);

#endif
