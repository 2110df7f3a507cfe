/*
 * outcomes - what becomes of a message to each row of the list: not all that is accepted at RCPT is
 * delivered, and not all that is refused there would bounce from another sender.
 *
 * A function of the seed and the mailbox alone. RC_UNAVAILABLE names the file that could not be
 * written.
 */
#ifndef MAILWORLD_OUTCOMES_H
#define MAILWORLD_OUTCOMES_H

#include "common/base/status.h"
#include "tests/mailworld/world.h"

/*
 * row,address,outcome,diagnostic,deliverable: a record for each row of the list that has an
 * address. Some of the messages are blocked for what they say, which tells nothing of the mailbox;
 * `deliverable` is the truth for them too.
 */
enum rc_status mw_outcomes_write(const struct mw_world *world, const char *path,
				 struct rc_error *err) RC_MUST_CHECK;

#endif
