/* See leader_parts.h: how the lanes stand: held, blocked, paused, draining, warming up, gone, and a
 * clock that jumps. */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/core/plan.h"
#include "coordinator/core/standing.h"
#include "coordinator/leader_parts.h"
#include "coordinator/store/lanes.h"
#include "coordinator/store/shards.h"

enum {
	FORGOTTEN_MS = 24 * 3600 * 1000, /* so long a greylist clock waits for its lane */
	EMPTY_MS = 10 * 60 * 1000,	 /* how often it is looked whether any waits again */
	TEST_MS = 2000, /* a lane is on probation in dispatch.h until that is said again */
	CLOCK_JUMP_MS = 2000
};

static const char *lane_name(const struct leader *leader, int64_t number)
{
	for (size_t i = 0; i < leader->lane_count; i++)
		if (leader->lanes[i].number == number)
			return leader->lanes[i].identity.name;
	return "?";
}

/* ------------------------------------------------------------------------------------------------
 * how the servers receive them */

static void on_hold_ended(void *context, uint32_t lane, const char *group)
{
	struct leader *leader = context;
	struct ended *ended = &leader->ended[leader->ended_count];

	if (leader->ended_count == LEADER_ENDED_MAX)
		return;
	ended->lane = lane;
	snprintf(ended->group, sizeof(ended->group), "%s", group);
	leader->ended_count++;
}

enum rc_status leader_holds(struct leader *leader, struct rc_error *err)
{
	int64_t now_ms = rc_clock_wall_ms();
	struct db_result *r, *pauses;
	enum rc_status status = lease_holds(leader->db, &r, err);

	if (status != RC_OK)
		return status;
	status = lease_pauses(leader->db, &pauses, err);
	if (status != RC_OK) {
		db_result_free(r);
		return status;
	}
	dispatch_hold_lift(leader->dispatch);
	for (int i = 0; i < db_rows(r); i++) {
		uint32_t lane = (uint32_t)db_get_int(r, i, 0);
		const char *group = db_get_text(r, i, 1);

		if (db_get_bool(r, i, 4))
			rc_log(RC_LOG_INFO, "lane_on_probation", "lane=%s mx_group=%s",
			       lane_name(leader, lane), group);
		dispatch_hold(leader->dispatch, lane, group, db_get_int(r, i, 2));
		if (db_get_int(r, i, 3) == LANE_BLOCKED || db_get_int(r, i, 3) == LANE_PROBATION)
			dispatch_test(leader->dispatch, lane, group, now_ms + TEST_MS,
				      STANDING_TEST_RECIPIENTS);
	}
	for (int i = 0; i < db_rows(pauses); i++)
		for (size_t k = 0; k < leader->lane_count; k++)
			dispatch_hold_more(leader->dispatch, leader->lanes[k].number,
					   db_get_text(pauses, i, 0), db_get_int(pauses, i, 1));
	db_result_free(r);
	db_result_free(pauses);
	dispatch_hold_expire(leader->dispatch, now_ms, on_hold_ended, leader);
	dispatch_forget_held(leader->dispatch, now_ms);
	return RC_OK;
}

enum rc_status leader_pauses(struct leader *leader, struct rc_error *err)
{
	int64_t scale = leader->context->config->time_scale;
	struct db_result *r;
	enum rc_status status = lease_pause(leader->db, scale, &r, err);

	for (int i = 0; status == RC_OK && i < db_rows(r); i++) {
		const char *group = db_get_text(r, i, 0), *why = db_get_text(r, i, 3);
		int blocked = (int)db_get_int(r, i, 1), lanes = (int)db_get_int(r, i, 2);

		if (!standing_pause((unsigned)blocked, (unsigned)lanes))
			continue;
		status = lease_pause_store(leader->db, group, blocked, why, scale, err);
		if (status == RC_OK)
			rc_log(RC_LOG_WARN, "mx_group_paused",
			       "mx_group=%s blocked=%d lanes=%d hours=%d why=\"%s\"", group,
			       blocked, lanes, STANDING_PAUSE_S / 3600, why);
	}
	if (status == RC_OK)
		db_result_free(r);
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * what an operator wants, and new lanes */

enum rc_status leader_flags(struct leader *leader, struct rc_error *err)
{
	int64_t now_ms = rc_clock_wall_ms();
	struct db_result *r;
	enum rc_status status = lease_flags(leader->db, &r, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++)
		for (size_t k = 0; k < leader->lane_count; k++) {
			struct lease_lane *lane = &leader->lanes[k];
			bool draining = db_get_bool(r, i, 1);

			if (lane->number != (uint32_t)db_get_int(r, i, 0) ||
			    lane->draining == draining)
				continue;
			lane->draining = draining;
			rc_log(RC_LOG_INFO, draining ? "lane_draining" : "lane_activated",
			       "lane=%s", lane->identity.name);
		}
	db_result_free(r);
	/* The day of a lane that warms up, and what it has had of it. */
	for (size_t k = 0; k < leader->lane_count && status == RC_OK; k++) {
		struct lease_lane *lane = &leader->lanes[k];
		int day = warmup_day(lane->first_seen_ms, now_ms);
		uint32_t most;

		if (day == lane->day)
			continue;
		lane->sent = 0;
		if (warmup_limit(&leader->context->warmup, day, &most))
			status = lease_day(leader->db, lane->number, day, &lane->sent, err);
		if (status == RC_OK)
			lane->day = day;
	}
	return status;
}

int64_t leader_lane_budget(const struct leader *leader, const struct lease_lane *lane)
{
	uint32_t most;

	if (!warmup_limit(&leader->context->warmup,
			  warmup_day(lane->first_seen_ms, rc_clock_wall_ms()), &most))
		return INT64_MAX;
	return lane->day < 0 ? 0 : (int64_t)most - lane->sent;
}

static struct lease_lane *warming(struct leader *leader, uint32_t number)
{
	for (size_t i = 0; i < leader->lane_count; i++)
		if (leader->lanes[i].number == number &&
		    leader_lane_budget(leader, &leader->lanes[i]) != INT64_MAX)
			return &leader->lanes[i];
	return NULL;
}

void leader_lane_open(struct leader *leader, const struct lease_lane *lane)
{
	dispatch_lane_budget(leader->dispatch, lane->number,
			     lane->draining ? 0 : leader_lane_budget(leader, lane));
}

void leader_lane_sent(struct leader *leader, uint32_t number, int64_t recipients)
{
	struct lease_lane *lane = recipients > 0 ? warming(leader, number) : NULL;

	if (!lane)
		return;
	lane->sent += recipients;
	leader_lane_open(leader, lane);
}

enum rc_status leader_lane_store(struct leader *leader, uint32_t number, int64_t recipients,
				 struct rc_error *err)
{
	const struct lease_lane *lane = recipients > 0 ? warming(leader, number) : NULL;

	return lane ? lease_day_add(leader->db, number, lane->day, recipients, err) : RC_OK;
}

/* ------------------------------------------------------------------------------------------------
 * moving */

static size_t open_lanes(const struct leader *leader, const struct lease_lane *left,
			 unsigned families, struct rc_buf *array)
{
	int64_t now_ms = rc_clock_wall_ms();
	size_t n = 0;

	for (size_t i = 0; i < leader->lane_count; i++) {
		const struct lease_lane *lane = &leader->lanes[i];

		if (lane == left || lane->draining || !lanes_held(&lane->lease, now_ms) ||
		    lane->generation != leader->generation ||
		    !(plan_family(lane->identity.bind_address) & families))
			continue;
		db_array_int(array, lane->number);
		n++;
	}
	db_array_end(array);
	return n;
}

static enum rc_status move(struct leader *leader, const struct lease_lane *lane,
			   const struct rc_buf *to, bool all, struct rc_error *err)
{
	int64_t silent_ms = rc_clock_wall_ms() - lane->last_seen_ms, moved = 0, restarted = 0;
	const char *why = silent_ms >= SHARDS_LANE_GONE_S * 1000 ? "gone" : "draining";
	enum rc_status status = db_begin(leader->db, err);

	if (status == RC_OK)
		status =
		    shards_move(leader->db, lane->number, to, all, why, &moved, &restarted, err);
	if (status == RC_OK)
		status = db_commit(leader->db, err);
	if (status != RC_OK) {
		db_rollback(leader->db);
		return status;
	}
	if (moved + restarted > 0) {
		dispatch_forget_lane(leader->dispatch, lane->number);
		rc_log(RC_LOG_WARN, "lane_moved",
		       "lane=%s why=%s silent_s=%" PRId64 " shards=%" PRId64
		       " greylist_clocks_begun_anew=%" PRId64,
		       lane->identity.name, why, silent_ms / 1000, moved, restarted);
	}
	return RC_OK;
}

/* What a lane could reach, those of its family can; look-ups can be made from any. */
static enum rc_status move_lookups(struct leader *leader, const struct lease_lane *lane,
				   struct rc_error *err)
{
	enum rc_status status = RC_OK;
	int64_t moved = 0;
	struct rc_buf to;

	rc_buf_init(&to, 0);
	if (open_lanes(leader, lane, PLAN_V4 | PLAN_V6, &to) > 0)
		status = shards_move_lookups(leader->db, lane->number, &to, &moved, err);
	rc_buf_done(&to);
	if (moved > 0)
		dispatch_forget_lane(leader->dispatch, lane->number);
	return status;
}

enum rc_status leader_lanes_move(struct leader *leader, struct rc_error *err)
{
	int64_t now_ms = rc_clock_wall_ms();
	enum rc_status status = lanes_forget_offers(leader->db, err);

	for (size_t i = 0; i < leader->lane_count && status == RC_OK; i++) {
		struct lease_lane *lane = &leader->lanes[i];
		int64_t silent_ms = now_ms - lane->last_seen_ms;
		bool gone = silent_ms >= SHARDS_LANE_GONE_S * 1000;
		/* It takes a look at every row that waits; what comes in later is what was out. */
		bool all = silent_ms >= FORGOTTEN_MS && now_ms - lane->emptied_ms >= EMPTY_MS;
		struct rc_buf to;

		if (!gone && !lane->draining)
			continue;
		rc_buf_init(&to, 0);
		if (open_lanes(leader, lane, plan_family(lane->identity.bind_address), &to) > 0) {
			status = move(leader, lane, &to, all, err);
		} else {
			all = false;
			status = move_lookups(leader, lane, err);
		}
		rc_buf_done(&to);
		if (all && status == RC_OK)
			lane->emptied_ms = now_ms;
	}
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * the clock */

enum rc_status leader_clock(struct leader *leader, struct rc_error *err)
{
	int64_t wall_ms = rc_clock_wall_ms(), boot_ms = (int64_t)rc_clock_boot_ms();
	int64_t jump_ms = leader->clock_boot_ms == 0 ? 0
						     : (wall_ms - leader->clock_wall_ms) -
							   (boot_ms - leader->clock_boot_ms);
	enum rc_status status;

	if (jump_ms > -CLOCK_JUMP_MS && jump_ms < CLOCK_JUMP_MS) {
		leader->clock_wall_ms = wall_ms;
		leader->clock_boot_ms = boot_ms;
		return RC_OK;
	}
	rc_log(RC_LOG_WARN, "clock_moved", "by_s=%" PRId64, jump_ms / 1000);
	status = shards_clock_moved(leader->db, jump_ms, leader->clock_wall_ms, err);
	if (status != RC_OK)
		return status;
	for (size_t i = 0; i < leader->lane_count; i++) {
		leader->lanes[i].lease.granted_at_ms += jump_ms;
		leader->lanes[i].last_seen_ms += jump_ms;
		leader->lanes[i].emptied_ms = 0;
	}
	leader->lane_lacks_at_ms += jump_ms;
	memset(&leader->due_mark, 0, sizeof(leader->due_mark));
	leader->clock_wall_ms = wall_ms;
	leader->clock_boot_ms = boot_ms;
	return RC_OK;
}
