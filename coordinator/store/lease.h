/*
 * lease - tables lane, lane_lease and broker_generation: who sends from where, and which broker our
 * offsets belong to.
 *
 * Only the leader writes them.
 */
#ifndef COORDINATOR_STORE_LEASE_H
#define COORDINATOR_STORE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/core/lanes.h"

struct db;

struct lease_lane {
	uint32_t number;
	struct lane_identity identity;
	struct lane_lease lease;
	int generation; /* of the broker that from_offset belongs to */
	int64_t from_offset;
	int64_t last_seen_ms, first_seen_ms;
	bool draining;
	int day;	    /* of its warming up, that `sent` belongs to; -1: not read yet */
	int64_t sent;	    /* recipients, on that day */
	int64_t emptied_ms; /* when all that waited for it was moved last; 0: not by us */
};

/* Takes the session's lock: *ret_leader false: somebody else leads. */
enum rc_status lease_lead(struct db *db, bool *ret_leader, struct rc_error *err) RC_MUST_CHECK;

/* All lanes with their leases; free() the array. */
enum rc_status lease_load(struct db *db, struct lease_lane **ret_lanes, size_t *ret_count,
			  struct rc_error *err) RC_MUST_CHECK;
/* The lowest number below `partitions` that is free. RC_LIMIT: none is. */
enum rc_status lease_register(struct db *db, const struct lane_identity *identity,
			      uint32_t partitions, uint32_t *ret_number,
			      struct rc_error *err) RC_MUST_CHECK;
/* Writes lease, generation, offset and last_seen of a lane. */
enum rc_status lease_store(struct db *db, const struct lease_lane *lane,
			   struct rc_error *err) RC_MUST_CHECK;

/* MX groups that receive a lane badly: lane, group, until (ms), health, whether its block has ended
 * just now. Forgets those that are over. */
struct db_result;
enum rc_status lease_holds(struct db *db, struct db_result **ret_result,
			   struct rc_error *err) RC_MUST_CHECK;

/* lane, group, blocks in a row of those on probation. */
enum rc_status lease_probation(struct db *db, struct db_result **ret_result,
			       struct rc_error *err) RC_MUST_CHECK;
/* MX groups that have blocked more than one lane of late and are not paused: group, lanes, lanes of
 * the fleet, what was said. */
enum rc_status lease_pause(struct db *db, int64_t time_scale, struct db_result **ret_result,
			   struct rc_error *err) RC_MUST_CHECK;
enum rc_status lease_pause_store(struct db *db, const char *mx_group, int lanes, const char *why,
				 int64_t time_scale, struct rc_error *err) RC_MUST_CHECK;
/* group, until (ms). */
enum rc_status lease_pauses(struct db *db, struct db_result **ret_result,
			    struct rc_error *err) RC_MUST_CHECK;
/* lane, draining. */
enum rc_status lease_flags(struct db *db, struct db_result **ret_result,
			   struct rc_error *err) RC_MUST_CHECK;
/* Recipients sent from a lane that warms up, on the day-th day. */
enum rc_status lease_day(struct db *db, uint32_t lane, int day, int64_t *ret_sent,
			 struct rc_error *err) RC_MUST_CHECK;
enum rc_status lease_day_add(struct db *db, uint32_t lane, int day, int64_t sent,
			     struct rc_error *err) RC_MUST_CHECK;

/* The newest generation; *ret_id 0: there has been none. ret_cluster has room for `size`. */
enum rc_status lease_generation(struct db *db, int *ret_id, char *ret_cluster, size_t size,
				struct rc_error *err) RC_MUST_CHECK;
/* A new one, from here on: what was sent is queued again. In the caller's transaction. A lease of
 * another generation is to get a new epoch before anything is sent under it: its offset is that of
 * a broker that is gone. */
enum rc_status lease_new_generation(struct db *db, const char *cluster, int *ret_id,
				    struct rc_error *err) RC_MUST_CHECK;
/* Whether every partition's sink has come at least to `ends` (n offsets, from partition 0). */
enum rc_status lease_sink_reached(struct db *db, int generation, const int64_t *ends, size_t n,
				  bool *ret_reached, struct rc_error *err) RC_MUST_CHECK;
/* Where the sink stands in a partition; 0: at the beginning. */
enum rc_status lease_sink_next(struct db *db, int generation, int32_t partition, int64_t *ret_next,
			       struct rc_error *err) RC_MUST_CHECK;

#endif
