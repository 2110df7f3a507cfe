/*
 * checkup - looks at every lane of this worker at start and every hour, and keeps in lane->fitness
 * what was found.
 *
 * A look that could not be decided (a resolver that does not answer) is made again within a minute,
 * and changes nothing until then. Owner: the loop's thread.
 */
#ifndef WORKER_IO_CHECKUP_H
#define WORKER_IO_CHECKUP_H

#include "worker/io/doctor.h"

struct checkup;

/* `unsafe`: ROLLCALL_UNSAFE_LANES. `changed` is called when a look has ended that changed the
 * verdict or what is not well. All arguments outlive it. */
enum rc_status checkup_new(uv_loop_t *loop, struct network *network, struct dns *dns,
			   const struct doctor_settings *settings, struct lanes *lanes, bool unsafe,
			   void (*changed)(struct lane *lane, void *owner), void *owner,
			   struct checkup **ret_checkup, struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void checkup_free(struct checkup *checkup);

#endif
