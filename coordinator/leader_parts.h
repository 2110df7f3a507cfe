/*
 * leader_parts - the leader's inside, shared by its files only: leader.c (leadership, broker,
 * timing), leader_lanes.c (hellos and grants), leader_standing.c (how lanes stand), leader_send.c
 * (queues, dispatch, messages), leader_jobs.c (look-ups, deadlines, ends). One thread.
 */
#ifndef COORDINATOR_LEADER_PARTS_H
#define COORDINATOR_LEADER_PARTS_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/kafka/envelope.h"
#include "coordinator/broker.h"
#include "coordinator/context.h"
#include "coordinator/core/dispatch.h"
#include "coordinator/store/db.h"
#include "coordinator/store/due.h"
#include "coordinator/store/groups.h"
#include "coordinator/store/lease.h"
#include "coordinator/store/measured.h"
#include "coordinator/store/writes.h"

enum {
	LEADER_CURSORS_MAX = 4096,
	LEADER_GROUP_MAX = 272,
	LEADER_PARTITIONS_MAX = 256,
	LEADER_ENDED_MAX = 128
};

/* Where the walk through one queue stands. */
struct cursor {
	uint32_t lane;
	int64_t job;
	int class;
	uint64_t id;
	char group[LEADER_GROUP_MAX];
	bool used;
	bool took, passed;	 /* something was taken, or held, since the queue's beginning */
	uint64_t rests_until_ms; /* monotonic: all that is there is held */
};

/* A hold that is over: what waits for it is read out of turn. */
struct ended {
	uint32_t lane;
	char group[LEADER_GROUP_MAX];
};

struct leader {
	struct context own;
	const struct context *context; /* own */
	pthread_t thread;
	struct db *db;
	uint64_t db_generation; /* of the connection that holds the lock; 0: none */
	struct writes *writes;
	struct groups *groups;
	struct measured *measured;
	struct rc_arena *arena; /* of one sending */

	/* Kafka */
	struct broker broker;
	struct rc_seal *seal;
	rd_kafka_t *producer, *control;
	int generation; /* of the broker; 0: not known yet */
	char identity[BROKER_IDENTITY_MAX];
	int32_t shard_partitions, report_partitions;
	bool broker_well;
	struct rc_buf unsent; /* array of shards whose delivery failed */

	/* What a new leader waits for before it sends again what was out: the sink at these
	 * offsets. */
	bool taking_over;
	uint64_t takeover_until_ms;
	int64_t ends[LEADER_PARTITIONS_MAX];

	struct lease_lane *lanes;
	size_t lane_count;
	uint32_t next_lane; /* for resolve shards */
	struct offer_known
	    *offers; /* what was written of each offer, so that it is not written again */
	size_t offer_count;
	char lane_lacks[384]; /* why the last lane that could have been granted was not */
	int64_t lane_lacks_at_ms;
	int64_t clock_wall_ms, clock_boot_ms; /* of the same moment; 0: not looked at yet */

	struct dispatch *dispatch;
	struct cursor *cursors;
	size_t cursor_count;
	struct ended ended[LEADER_ENDED_MAX]; /* more of them wait until the cursor comes by */
	size_t ended_count;

	struct due_mark due_mark;
	bool due_more; /* the last batch of what is due was not all */
	uint64_t bell_seen;
	uint64_t at_ms[16]; /* monotonic: when each chore was done last */
};

static inline bool leader_leads(const struct leader *leader)
{
	return leader->db_generation != 0 && db_alive(leader->db) &&
	       db_generation(leader->db) == leader->db_generation;
}

/* leader_lanes.c */
/* Reads hellos that have arrived and answers them. */
enum rc_status leader_hellos(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
/* Opens and closes lanes for dispatch by their leases, and tells readiness. */
void leader_lanes_refresh(struct leader *leader);

/* leader_standing.c */
/* What waits for lanes that nobody offers any more, or that take nothing new. */
enum rc_status leader_lanes_move(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
/* Which MX groups a lane is to leave alone for a while, or to try with a few recipients first. */
enum rc_status leader_holds(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
/* MX groups that the whole fleet leaves alone. */
enum rc_status leader_pauses(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
/* Which lanes are draining, and what those that warm up have had of their day. */
enum rc_status leader_flags(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
/* Recipients that are left of a lane's day; INT64_MAX: no limit. */
int64_t leader_lane_budget(const struct leader *leader, const struct lease_lane *lane);
/* They leave it: in the transaction that marks them as sent, and after it. */
enum rc_status leader_lane_store(struct leader *leader, uint32_t number, int64_t recipients,
				 struct rc_error *err) RC_MUST_CHECK;
void leader_lane_sent(struct leader *leader, uint32_t number, int64_t recipients);
/* What may leave it that has not begun there, for dispatch.h. */
void leader_lane_open(struct leader *leader, const struct lease_lane *lane);
/* Whether the wall clock was set: then all that waits by it moves along, so that no retry leaves
 * early and no lease is thought over. */
enum rc_status leader_clock(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;

/* leader_lanes.c again */
/* A lane under a lease of this generation, in turns; false: none. */
bool leader_any_lane(struct leader *leader, uint32_t *ret_lane);

/* leader_send.c */
enum rc_status leader_refill(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
enum rc_status leader_dispatch(struct leader *leader, size_t *ret_sent,
			       struct rc_error *err) RC_MUST_CHECK;
enum rc_status leader_landed(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
enum rc_status leader_heal(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
enum rc_status leader_unsend(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;

/* leader_jobs.c */
enum rc_status leader_lookups(struct leader *leader, size_t *ret_count,
			      struct rc_error *err) RC_MUST_CHECK;
enum rc_status leader_due(struct leader *leader, int64_t *ret_rows,
			  struct rc_error *err) RC_MUST_CHECK;
enum rc_status leader_finish_jobs(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
enum rc_status leader_sweep(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;
/* History that is older than it is kept. */
enum rc_status leader_forget(struct leader *leader, struct rc_error *err) RC_MUST_CHECK;

#endif
