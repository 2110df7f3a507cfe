/*
 * child - a program that `rollcall up` keeps running: start, notice its end, start anew after a back-off, stop.
 *
 * Embedded in the supervisor, one thread. A child leads a session of its own, so that Ctrl-C in a terminal reaches only `up`,
 * which then stops its children in order; the kernel signals it when `up` dies in whatever way (PR_SET_PDEATHSIG).
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/status.h"

struct passwd;

struct child {
	const char *name;         /* "worker", for messages */
	char **argv;              /* argv[0] is a path */
	const struct passwd *user; /* whom to run as, NULL: unchanged */
	const char *output;       /* file for stdout and stderr, appended to; NULL: our stderr, and stdout goes nowhere */
	int stop_signal;          /* asks it to end */
	int orphan_signal;        /* what the kernel sends it when `up` dies */
	int stop_timeout_ms;      /* then SIGKILL */

	pid_t pid;                /* 0: not running */
	uint64_t started_ms;
	uint64_t start_at_ms;     /* not before */
	int backoff_ms;           /* what the next end costs */
	int starts;
	int wait_status;          /* of its last end, as waitpid() gave it */
};

enum { CHILD_BACKOFF_MIN_MS = 200, CHILD_BACKOFF_MAX_MS = 5000, CHILD_STABLE_MS = 10000 };

/* Forks and executes. RC_UNAVAILABLE: the program is not there or cannot be run. */
enum rc_status child_start(struct child *child, uint64_t now_ms, struct rc_error *err) RC_MUST_CHECK;
/* It was reaped: notes its end and when it may start again. A run of CHILD_STABLE_MS resets the back-off. */
void child_ended(struct child *child, int wait_status, uint64_t now_ms);
/* "was killed by signal 9 (Killed)", "ended with status 1". `ret_text` holds 96 octets. */
const char *child_end_text(int wait_status, char *ret_text);
/* Sends the stop signal, reaps, kills after the time limit. Takes one that does not run. `hurry`: polled; true kills now. */
void child_stop(struct child *child, bool (*hurry)(void *arg), void *arg);

/* Runs a program to its end with `input` on its standard input; output to the file `output`. *ret_wait as of waitpid(). */
enum rc_status child_run(char **argv, const struct passwd *user, const char *output, const char *input, int *ret_wait,
			 struct rc_error *err) RC_MUST_CHECK;

#endif
