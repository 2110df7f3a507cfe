/*
 * standing - how a lane stands: its state, and how well the servers receive it, each with a reason.
 *
 * Pure.
 */
#ifndef COORDINATOR_CORE_STANDING_H
#define COORDINATOR_CORE_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How an MX group receives a lane; lane_hold.health, so never renumbered. */
enum lane_health {
	LANE_OK = 0,
	LANE_SLOW = 1,	    /* throttled: nothing leaves until then, on the same lane */
	LANE_BLOCKED = 2,   /* they refuse our address: nothing leaves until then */
	LANE_PROBATION = 3, /* after a block: a few recipients first */
	LANE_GREYLISTED =
	    4, /* it knows us by the address alone: all wait along until then. No fault */
	LANE_HEALTHS
};

enum lane_state {
	LANE_ACTIVE = 1,
	LANE_WARMING_UP, /* new, with a budget for the day */
	LANE_DRAINING,	 /* takes nothing new */
	LANE_UNFIT,	 /* offered, and not granted */
	LANE_DEAD	 /* nobody holds it */
};

enum {
	STANDING_TEST_RECIPIENTS = 5, /* on probation, in one shard at a time */
	STANDING_BLOCK_S = 3600, /* the first hold of a block; each further one twice as long */
	STANDING_BLOCK_MAX_S = 12 * 3600,
	STANDING_PAUSE_S = 12 * 3600, /* the fleet leaves an MX group alone */
	STANDING_PAUSE_WITHIN_S = 3600
};

const char *lane_health_name(enum lane_health health); /* "ok", "slow", "blocked" ... */
/* Whether `a` says worse of a lane than `b`. */
bool lane_health_worse(enum lane_health a, enum lane_health b);
const char *lane_state_name(enum lane_state state); /* "active", "warming_up" ... */

/* How long the strike-th block in a row holds, from 1. */
int64_t standing_block_s(unsigned strike);

/*
 * Whether the fleet leaves an MX group alone that has blocked `blocked` of its `lanes` within the
 * hour: three of them, or a tenth. One lane's block is that lane's affair in a fleet of any size.
 */
bool standing_pause(unsigned blocked, unsigned lanes);

#endif
