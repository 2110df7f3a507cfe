/*
 * dispatch - what leaves next on each lane.
 *
 * Three classes a lane: interactive goes first; due retries take at most half of what bulk leaves
 * them no choice about, but those whose greylister would soon forget them go before all bulk; the
 * rest is bulk. Within a class tenants share evenly, and within a tenant its jobs, by recipients
 * served: fair queueing by virtual time, which is deficit round robin without rounds. An MX group
 * has a cap in flight over the whole fleet; a lane has a window of 30 s of its measured rate; and
 * the broker of single-node mode a credit in octets.
 *
 * Pure but for malloc: the time comes in, nothing is looked up, nothing logged. Holds only a window
 * of the queue: at most DISPATCH_QUEUE_MAX shards for each lane, job and class, which the caller
 * refills. Not thread-safe. Adding fails with false without memory.
 */
#ifndef COORDINATOR_CORE_DISPATCH_H
#define COORDINATOR_CORE_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DISPATCH_QUEUE_MAX = 256,
	DISPATCH_LANES_MAX = 1024,
	DISPATCH_GROUP_CROWD =
	    8, /* queued shards of one MX group, beyond its cap, that are worth holding */
	DISPATCH_WINDOW_S = 30,
	DISPATCH_WINDOW_MIN =
	    4000, /* recipients in flight on a lane that has not shown its rate yet */
	DISPATCH_WINDOW_MAX = 200000,
	DISPATCH_SHARDS_MAX = 4096 /* in flight on a lane */
};

enum dispatch_class {
	DISPATCH_INTERACTIVE = 0,
	DISPATCH_RETRY = 1,
	DISPATCH_BULK = 2,
	DISPATCH_CLASSES = 3
};

struct dispatch;

struct dispatch_shard {
	uint64_t id;
	int64_t job;
	int32_t tenant;
	uint32_t lane;
	enum dispatch_class class;
	uint32_t cost;	      /* recipients, or domains */
	const char *group;    /* MX group; "": none (resolve shards). Copied */
	int64_t urgent_at_ms; /* 0: never */
	bool begun; /* some of it was asked for from there: a lane that takes nothing new goes on
		       with it */
};

struct dispatch_limits {
	uint64_t lane_octets;	/* sent and not yet done, a lane; 0: no limit */
	uint64_t report_octets; /* reports expected, all lanes; 0: no limit */
	bool no_group_caps;	/* ROLLCALL_PACE=off */
};

struct dispatch *dispatch_new(const struct dispatch_limits *limits);
/* Takes NULL. */
void dispatch_free(struct dispatch *d);

/* Whether shards may leave on a lane. */
void dispatch_lane_open(struct dispatch *d, uint32_t lane, bool open);
/* Most shards and recipients of an MX group in flight; without a call 2 and 200. */
void dispatch_group_cap(struct dispatch *d, const char *group, uint32_t shards,
			uint32_t recipients);

/* Nothing of that group leaves on that lane before `until_ms`: its servers have asked us to slow
 * down. */
void dispatch_hold(struct dispatch *d, uint32_t lane, const char *group, int64_t until_ms);
/* The same, where it is not held for longer already. */
void dispatch_hold_more(struct dispatch *d, uint32_t lane, const char *group, int64_t until_ms);
/* On probation there until `until_ms`: one shard at a time, of at most `most` recipients. */
void dispatch_test(struct dispatch *d, uint32_t lane, const char *group, int64_t until_ms,
		   uint32_t most);
/* How many recipients may leave a lane as long as nothing else is said: what leaves is taken off,
 * and what has not begun there waits when nothing is left, or leaves in part. INT64_MAX, as at
 * first: no limit. Look-ups cost none. */
void dispatch_lane_budget(struct dispatch *d, uint32_t lane, int64_t recipients);
/* All holds and tests end, until they are given anew: before those that stand now are. */
void dispatch_hold_lift(struct dispatch *d);
typedef void dispatch_hold_ended(void *context, uint32_t lane, const char *group);
/* Forgets holds and tests that are over. `ended`, which may be NULL, hears of each hold that has
 * ended since the last call: what was forgotten of that group there may be read again. */
void dispatch_hold_expire(struct dispatch *d, int64_t now_ms, dispatch_hold_ended *ended,
			  void *context);
/* Whether all of that group is held there at `now_ms`. It is not worth a place in memory, which
 * others could leave from: it is to be read again when the hold is over. */
bool dispatch_held(const struct dispatch *d, uint32_t lane, const char *group, int64_t now_ms);
/* Forgets what waits and is held. */
void dispatch_forget_held(struct dispatch *d, int64_t now_ms);

/* False: no memory. A shard that is already known is left as it is, and so is one whose queue is
 * full or whose group is crowded there (*ret_taken false; may be NULL). */
bool dispatch_add(struct dispatch *d, const struct dispatch_shard *shard, bool *ret_taken);
/* How many of that job and class wait in memory for that lane. */
uint32_t dispatch_queued(const struct dispatch *d, uint32_t lane, int64_t job,
			 enum dispatch_class class);
/* More shards of that group would only stand in the way there. */
bool dispatch_crowded(const struct dispatch *d, uint32_t lane, int64_t job,
		      enum dispatch_class class, const char *group);

/* The next to leave on `lane`, now in flight; false: nothing may. ret->cost: how many of it may
 * leave now. ret->group lives until the group's last shard is gone. */
bool dispatch_pick(struct dispatch *d, uint32_t lane, int64_t now_ms, struct dispatch_shard *ret);
/* It is done, with everything reported. Unknown ids are ignored. */
void dispatch_done(struct dispatch *d, uint64_t id, int64_t now_ms);
/* It is to be forgotten, waiting or in flight: it goes out again from PostgreSQL, or not at all. */
void dispatch_forget(struct dispatch *d, uint64_t id);
/* All that waits of a job: paused, cancelled, held. What is in flight stays. */
void dispatch_forget_job(struct dispatch *d, int64_t job);
void dispatch_forget_lane(struct dispatch *d, uint32_t lane); /* waiting and in flight */

uint32_t dispatch_in_flight(const struct dispatch *d);
/* How many of a shard in flight could leave; 0: it is not in flight. */
uint32_t dispatch_flying_cost(const struct dispatch *d, uint64_t id);
/* Ids in flight, at most `max`. Returns how many. */
size_t dispatch_in_flight_ids(const struct dispatch *d, uint64_t *ret_ids, size_t max);
uint32_t dispatch_lane_in_flight(const struct dispatch *d, uint32_t lane);
/* Recipients a second, measured; 0: not yet. */
double dispatch_lane_rate(const struct dispatch *d, uint32_t lane);
/* Whether the lane has room for anything at all. */
bool dispatch_lane_room(const struct dispatch *d, uint32_t lane);

#endif
