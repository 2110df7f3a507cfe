/*
 * cluster - the private PostgreSQL cluster of `rollcall up`, in DIR/pg, reached by a Unix socket only.
 *
 * As root it belongs to and runs as the user postgres, which PostgreSQL insists on; otherwise as whoever runs `up`. The socket
 * stands in a short directory of its own with mode 0700 (a socket's path may have 107 octets, DIR more), which is also what
 * keeps others out: inside it, everybody is trusted. The caller holds the lock of DIR.
 */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include <stdbool.h>

#include "cli/child.h"

struct cluster {
	char *bin;      /* the folder of initdb and postgres */
	char *folder;   /* DIR/pg */
	char *log;      /* DIR/log/postgresql.log */
	char *socket;   /* the socket's directory, made by cluster_init */
	char *note;     /* DIR/pg-socket, which names it for the `up` after a kill -9 */
	const struct passwd *user; /* postgres, or NULL when not root */
	struct child child;
	char *argv[64];
};

/* Finds the programs and the user, makes the cluster once (a few seconds), prepares `cluster->child`. */
enum rc_status cluster_init(struct cluster *cluster, const char *data, const char *pg_bin, struct rc_error *err) RC_MUST_CHECK;
/* Before each start: an orphaned postmaster of this folder is asked to end (then false: try again soon), stale files go. */
bool cluster_may_start(struct cluster *cluster);
/* Whether the running postmaster accepts connections. */
bool cluster_ready(const struct cluster *cluster);
/* "host=... dbname=rollcall user=rollcall"; free() it. */
char *cluster_conninfo(const struct cluster *cluster);
/* The last line of the log that says FATAL, PANIC or ERROR; `ret_text` holds `size` octets. */
void cluster_last_words(const struct cluster *cluster, char *ret_text, size_t size);
/* After the stop: takes the socket's directory away. */
void cluster_done(struct cluster *cluster);

#endif
