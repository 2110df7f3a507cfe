/*
 * callout - one short conversation for doctor: the greeting, or as far as two RCPT TO, and QUIT.
 *
 * Owner: the loop's thread. On the heap, freed by its owner at any time, from inside its own
 * callback too. Answers once, from the loop. The addresses of the question are tried one after the
 * other until one greets. Bounded by the time limits of a session, 60 s in all.
 */
#ifndef WORKER_IO_CALLOUT_H
#define WORKER_IO_CALLOUT_H

#include <sys/socket.h>
#include <uv.h>

#include "worker/fitness/fitness.h"
#include "worker/io/connection.h"
#include "worker/io/lanes.h"

struct callout;

typedef void callout_done(struct callout *callout, const struct fitness_call *call, void *owner);

/* NULL: out of memory. `question` and `lane` outlive it. */
struct callout *callout_new(uv_loop_t *loop, struct network *network, const struct lane *lane,
			    const struct fitness_question *question, callout_done *done,
			    void *owner);
/* Takes NULL. */
void callout_free(struct callout *callout);

#endif
