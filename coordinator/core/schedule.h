/*
 * schedule - when a deferred row or domain is due again.
 *
 * Pure: the times come in as ms since 1970, and nothing allocates but parsing's error text. Times
 * are unscaled until the very end: the time scale divides the wait as its timer is armed (at least
 * 1 ms), decisions compare unscaled spans.
 */
#ifndef COORDINATOR_CORE_SCHEDULE_H
#define COORDINATOR_CORE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/core/verdict.h"
#include "coordinator/core/window.h"

enum { SCHEDULE_RETRIES_MAX = 16 };
enum { SCHEDULE_CONFIRM_DOMAIN_S = 600, SCHEDULE_CONFIRM_REFUSAL_S = 10800, SCHEDULE_SOON_S = 30 };

struct schedule {
	unsigned n;				/* retries; attempts are n + 1 */
	uint32_t after_s[SCHEDULE_RETRIES_MAX]; /* from the first attempt, rising */
	uint32_t time_scale;			/* >= 1 */
};

/* 330 s, 2100 s, 12600 s; scale 1. */
void schedule_default(struct schedule *ret);
/* "330s,2100s,12600s" (s, m, h, d; a bare number is seconds); `err` says what is wrong: empty, not
 * rising, over 7 d, too many. */
enum rc_status schedule_parse(const char *text, uint32_t time_scale, struct schedule *ret,
			      struct rc_error *err) RC_MUST_CHECK;
/* Attempts in all, for verdict_input.attempts_max. */
unsigned schedule_attempts(const struct schedule *s);

/*
 * When the row is due. `attempt` is the one just made, from 1 (for AT_ONCE and SOON it does not
 * matter); `first_at_ms` when the first attempt was made, `now_ms` when its answer came. Counted
 * from the first attempt but never earlier than the server asked, counted from now. With scale s, a
 * wait of w becomes max(1, w / s) ms from where it is counted.
 */
int64_t schedule_due_ms(const struct schedule *s, enum verdict_wait wait, unsigned attempt,
			uint32_t not_before_s, int64_t first_at_ms, int64_t now_ms);

/* Whether servers that last answered at `ok_at_ms` (0: never) count as ones that answer us. */
bool schedule_answered(int64_t ok_at_ms, int64_t now_ms);

/*
 * The same for a greylisted row where these servers' habits are known: tries that would come too
 * early are left out, but never the last, and where a wait is known to do the next try need not be
 * later. `window` may be NULL. `*ret_attempt`: the attempt that counts as made, with those left
 * out.
 */
int64_t schedule_greylisted_ms(const struct schedule *s, const struct window *window,
			       unsigned attempt, uint32_t not_before_s, int64_t first_at_ms,
			       int64_t now_ms, unsigned *ret_attempt);

/* Later by up to a twentieth of the wait, by `seed`: what falls due together need not leave
 * together. The same seed keeps what belongs together so. */
int64_t schedule_jittered_ms(int64_t due_ms, uint64_t seed, int64_t now_ms);

/*
 * Rows whose schedule is through and whose cause is ours are tried again 8, 16, 28, 48 and 70 hours
 * after their first attempt (the deadline is 72), and at once when the servers answer the lane
 * again. Whether one is worth another wait after its `attempt`: not where the lane has had no
 * answer from these servers within 30 days (`ok_at_ms` 0 or older): then nothing says that it could
 * heal; not after 28 hours where they have not answered it once since the row's first attempt.
 */
bool schedule_may_heal(const struct schedule *s, unsigned attempt, int64_t first_at_ms,
		       int64_t ok_at_ms, int64_t now_ms);

#endif
