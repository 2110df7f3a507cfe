/*
 * window - what a mail operator's greylisting was seen to want: from which wait on it lets a
 * recipient through, and whether its books name the recipient at all.
 *
 * One small memory for each MX group, for all tenants; nothing in it names a person. Pure and
 * embedded; all zero knows nothing. Waits are seconds from a recipient's first attempt, unscaled.
 * The truth lies between `too_early_s` and `enough_s`: the two are its spread. A server that
 * changes its mind is believed: a pass wins over what it contradicts at once, a refusal the third
 * time in a row, as it may only have come too late (docs/mail-servers.md: windows end).
 */
#ifndef COORDINATOR_CORE_WINDOW_H
#define COORDINATOR_CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* Stored; never renumbered. */
enum window_key {
	WINDOW_KEY_UNKNOWN = 0,
	WINDOW_KEY_RECIPIENT =
	    1, /* a recipient never asked for was greylisted after others had passed */
	WINDOW_KEY_CLIENT = 2 /* one was let through at once: address and sender are all it knows */
};

enum { WINDOW_OLD_S = 60 * 86400 }; /* what was last seen longer ago is forgotten */

struct window {
	uint32_t too_early_s; /* the longest wait that was not enough; 0: none seen */
	uint32_t enough_s;    /* the shortest that was; 0: none seen */
	uint32_t passes;      /* seen */
	uint32_t refusals;
	uint32_t late; /* in a row after a wait that had been enough */
	enum window_key key;
	int64_t seen_at_ms; /* the last of them, since 1970; 0: never */
};

/* A greylisted recipient was let through (whatever the answer then was), or was not, `wait_s`
 * after its first attempt. */
void window_passed(struct window *w, uint32_t wait_s, int64_t at_ms);
void window_refused(struct window *w, uint32_t wait_s, int64_t at_ms);
/* The very first attempt for a recipient, after others of its domain had passed: greylisted, or
 * taken at once. */
void window_newcomer(struct window *w, bool greylisted, int64_t at_ms);

/* Whether a retry after `wait_s` is known to be in vain. */
bool window_too_early(const struct window *w, uint32_t wait_s, int64_t now_ms);
/* The wait that is known to do; 0: not known. */
uint32_t window_enough_s(const struct window *w, int64_t now_ms);
/* Whether one greylisted recipient means that every other one would be. */
bool window_by_client(const struct window *w, int64_t now_ms);

#endif
