/* See leader.h. */
#include "coordinator/leader.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/leader_parts.h"
#include "coordinator/store/shards.h"

enum {
	TICK_MS = 50,
	IDLE_TICK_MS = 100,
	FOLLOW_MS = 1000, /* how often a follower tries to lead */
	BROKER_ASK_MS =
	    700, /* how long the broker may take to answer when asked whether it is there */
	BROKER_DOWN_ASK_MS = 2000,
	TAKEOVER_MAX_MS = 10000,
	LANE_OCTETS =
	    3 * 1024 * 1024, /* of what the embedded broker keeps at most: ARCHITECTURE.md */
	REPORT_OCTETS = 3 * 1024 * 1024, /* a partition */
	HELLOS_BACK = 100
};

/* Chores and how often they are due at least, whether the bell rang or not. */
enum chore {
	CHORE_LANDED,
	CHORE_LOOKUPS,
	CHORE_DUE,
	CHORE_REFILL,
	CHORE_FINISH,
	CHORE_HOLDS,
	CHORE_SECOND,
	CHORE_SWEEP,
	CHORE_MOVE,
	CHORE_FORGET,
	CHORES
};
static const uint32_t every_ms[CHORES] = {
	[CHORE_LANDED] = 500, [CHORE_LOOKUPS] = 250,  [CHORE_DUE] = 200,     [CHORE_REFILL] = 250,
	[CHORE_FINISH] = 500, [CHORE_HOLDS] = 250,    [CHORE_SECOND] = 1000, [CHORE_SWEEP] = 3000,
	[CHORE_MOVE] = 10000, [CHORE_FORGET] = 60000,
};

static bool due(struct leader *leader, enum chore chore, bool rung)
{
	uint64_t now_ms = rc_clock_mono_ms();

	if (!rung && now_ms - leader->at_ms[chore] < every_ms[chore])
		return false;
	leader->at_ms[chore] = now_ms;
	return true;
}

/* ------------------------------------------------------------------------------------------------
 * Kafka */

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
	struct leader *leader = opaque;
	uint64_t id = (uint64_t)(uintptr_t)message->_private;

	(void)client;
	if (!message->err || id == 0)
		return;
	rc_log(RC_LOG_WARN, "shard_not_delivered", "shard=%" PRIu64 " why=\"%s\"", id,
	       rd_kafka_err2str(message->err));
	db_array_int(&leader->unsent, (int64_t)id);
	dispatch_forget(leader->dispatch, id);
}

static void kafka_close(struct leader *leader)
{
	/* Closing first would wait for the coordinator of a group that has nobody in it, for as
	 * long as the broker is gone. */
	if (leader->control)
		rd_kafka_destroy_flags(leader->control, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	if (leader->producer) {
		rd_kafka_purge(leader->producer, RD_KAFKA_PURGE_F_QUEUE |
						     RD_KAFKA_PURGE_F_INFLIGHT |
						     RD_KAFKA_PURGE_F_NON_BLOCKING);
		rd_kafka_destroy(leader->producer);
	}
	leader->control = leader->producer = NULL;
	leader->broker_well = false;
}

static void broker_says(struct leader *leader, const char *lacks)
{
	if (lacks && leader->broker_well)
		rc_log(RC_LOG_WARN, "broker_lost", "address=%s why=\"%s\"", leader->broker.address,
		       lacks);
	if (!lacks && !leader->broker_well)
		rc_log(RC_LOG_INFO, "broker_well", "address=%s", leader->broker.address);
	leader->broker_well = lacks == NULL;
	readiness_set(leader->context->readiness, READINESS_BROKER, READINESS_LEADER_THREAD, lacks);
}

static enum rc_status kafka_open(struct leader *leader, struct rc_error *err)
{
	const struct config *config = leader->context->config;
	enum rc_status status =
	    rc_kafka_topics_ensure(&leader->broker.settings, (int)config->lane_partitions,
				   (int)config->report_partitions, BROKER_DOWN_ASK_MS, err);

	if (status == RC_OK)
		status = rc_kafka_producer_new(&leader->broker.settings, "rollcall-leader",
					       delivered, leader, &leader->producer, err);
	if (status == RC_OK)
		status = rc_kafka_consumer_new(&leader->broker.settings, "rollcall-leader",
					       "rollcall.leader", RC_KAFKA_RESET_EARLIEST, leader,
					       &leader->control, err);
	if (status == RC_OK)
		status = rc_kafka_partitions(leader->producer, RC_TOPIC_SHARDS, BROKER_DOWN_ASK_MS,
					     &leader->shard_partitions, err);
	if (status == RC_OK)
		status = rc_kafka_partitions(leader->producer, RC_TOPIC_REPORTS, BROKER_DOWN_ASK_MS,
					     &leader->report_partitions, err);
	if (status == RC_OK)
		status = broker_identity(&leader->broker, leader->producer, BROKER_DOWN_ASK_MS,
					 leader->identity, err);
	/* Hellos of the last seconds need not be said again; older ones are passed over. */
	if (status == RC_OK)
		status = rc_kafka_assign_add(leader->control, RC_TOPIC_CONTROL, 0,
					     RD_KAFKA_OFFSET_TAIL(HELLOS_BACK), err);
	if (status != RC_OK)
		kafka_close(leader);
	if (leader->report_partitions > LEADER_PARTITIONS_MAX)
		leader->report_partitions = LEADER_PARTITIONS_MAX;
	return status;
}

/* The ends of the reports' partitions as they are now. *ret_behind: one of them is below where our
 * sink stands. */
static enum rc_status read_ends(struct leader *leader, int generation, bool *ret_behind,
				struct rc_error *err)
{
	enum rc_status status = RC_OK;

	*ret_behind = false;
	for (int32_t i = 0; i < leader->report_partitions && status == RC_OK; i++) {
		int64_t low, next = 0;

		/* In this order: the sink goes on meanwhile. */
		if (generation != 0)
			status = lease_sink_next(leader->db, generation, i, &next, err);
		if (status == RC_OK)
			status =
			    rc_kafka_watermarks(leader->producer, RC_TOPIC_REPORTS, i,
						BROKER_DOWN_ASK_MS, &low, &leader->ends[i], err);
		if (status == RC_OK && next > leader->ends[i])
			*ret_behind = true;
	}
	return status;
}

/* Which generation of the broker this is; a new one takes effect here. */
static enum rc_status settle_generation(struct leader *leader, struct rc_error *err)
{
	char known[BROKER_IDENTITY_MAX];
	enum rc_status status;
	bool behind = false;
	int id;

	status = lease_generation(leader->db, &id, known, sizeof(known), err);
	if (status == RC_OK)
		status = read_ends(leader, id, &behind, err);
	if (status != RC_OK)
		return status;
	leader->taking_over = true;
	leader->takeover_until_ms = rc_clock_mono_ms() + TAKEOVER_MAX_MS;
	if (id != 0 && !behind && strcmp(known, leader->identity) == 0) {
		leader->generation = id;
		return RC_OK;
	}
	status = db_begin(leader->db, err);
	if (status == RC_OK)
		status = lease_new_generation(leader->db, leader->identity, &id, err);
	if (status == RC_OK)
		status = db_commit(leader->db, err);
	if (status != RC_OK) {
		db_rollback(leader->db);
		return status;
	}
	leader->generation = id;
	/* What was sent through the other one is gone: nothing to wait for. */
	leader->takeover_until_ms = 0;
	rc_log(RC_LOG_INFO, "broker_generation", "id=%d cluster=%s%s", id, leader->identity,
	       behind ? " behind=yes" : "");
	return RC_OK;
}

/* True: there is a broker, and everything about it is known. */
static enum rc_status kafka_ready(struct leader *leader, bool *ret_ready, struct rc_error *err)
{
	enum rc_status status;
	struct rc_error why;
	bool changed;

	*ret_ready = false;
	status = broker_look(&leader->broker, rc_clock_mono_ms(), &changed, &why);
	if (status == RC_OK &&
	    (changed || (leader->producer && rd_kafka_fatal_error(leader->producer, NULL, 0)))) {
		kafka_close(leader);
		leader->generation = 0;
		leader_lanes_refresh(leader);
	}
	if (status == RC_OK && !leader->producer)
		status = kafka_open(leader, &why);
	if (status != RC_OK) {
		broker_says(leader, why.text);
		return RC_OK;
	}
	if (leader->generation == 0) {
		status = settle_generation(leader, err);
		if (status == RC_UNAVAILABLE && db_alive(leader->db)) {
			broker_says(leader, err->text);
			return RC_OK;
		}
		if (status != RC_OK)
			return status;
		broker_says(leader, NULL);
		leader_lanes_refresh(leader);
	}
	*ret_ready = true;
	return RC_OK;
}

/* Once a second: is it there, and is it still the same? */
static void kafka_check(struct leader *leader)
{
	char identity[BROKER_IDENTITY_MAX];
	struct rc_error err;
	int32_t partitions;

	if (rc_kafka_partitions(leader->producer, RC_TOPIC_SHARDS, BROKER_ASK_MS, &partitions,
				&err) != RC_OK) {
		broker_says(leader, err.text);
		return;
	}
	broker_says(leader, NULL);
	if (broker_identity(&leader->broker, leader->producer, BROKER_ASK_MS, identity, &err) ==
		RC_OK &&
	    strcmp(identity, leader->identity) != 0) {
		rc_log(RC_LOG_WARN, "broker_changed", "was=%s is=%s", leader->identity, identity);
		kafka_close(leader);
		leader->generation = 0;
	}
}

/* ------------------------------------------------------------------------------------------------
 * leadership */

static void forget_everything(struct leader *leader)
{
	const struct dispatch_limits limits = {
		.lane_octets = leader->broker.embedded ? LANE_OCTETS : 0,
		.report_octets = leader->broker.embedded
				     ? (uint64_t)REPORT_OCTETS *
					   (uint64_t)leader->context->config->report_partitions / 2
				     : 0,
		.no_group_caps = !leader->context->config->pace,
	};

	dispatch_free(leader->dispatch);
	leader->dispatch = dispatch_new(&limits);
	leader->cursor_count = 0;
	free(leader->lanes);
	free(leader->offers);
	leader->lanes = NULL;
	leader->lane_count = 0;
	leader->offers = NULL;
	leader->offer_count = 0;
	leader->generation = 0;
	writes_clear(leader->writes);
	groups_forget(leader->groups);
	rc_buf_clear(&leader->unsent);
	memset(leader->at_ms, 0, sizeof(leader->at_ms));
	memset(&leader->due_mark, 0, sizeof(leader->due_mark));
	leader->due_more = false;
}

/* Tries to lead; on success everything is read anew. */
static enum rc_status lead(struct leader *leader, struct rc_error *err)
{
	bool mine = false;
	enum rc_status status;

	leader->db_generation = 0;
	status = lease_lead(leader->db, &mine, err);
	if (status != RC_OK)
		return status;
	readiness_set(leader->context->readiness, READINESS_LEADER, READINESS_LEADER_THREAD, NULL);
	if (!mine) {
		/* The other one speaks for lanes and broker. */
		readiness_set(leader->context->readiness, READINESS_LANES, READINESS_LEADER_THREAD,
			      NULL);
		return RC_OK;
	}
	forget_everything(leader);
	if (!leader->dispatch)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for the queues");
	status = lease_load(leader->db, &leader->lanes, &leader->lane_count, err);
	if (status != RC_OK)
		return status;
	leader->db_generation = db_generation(leader->db);
	rc_log(RC_LOG_INFO, "leading", "lanes=%zu", leader->lane_count);
	leader_lanes_refresh(leader);
	return RC_OK;
}

/* What was out when we came: once the sink has read what had been reported by then, it goes out
 * again. */
static enum rc_status take_over(struct leader *leader, struct rc_error *err)
{
	enum rc_status status;
	bool reached = false;
	int64_t again = 0;

	if (rc_clock_mono_ms() < leader->takeover_until_ms) {
		status = lease_sink_reached(leader->db, leader->generation, leader->ends,
					    (size_t)leader->report_partitions, &reached, err);
		if (status != RC_OK || !reached)
			return status;
	}
	status = shards_requeue_all(leader->db, &again, err);
	if (status != RC_OK)
		return status;
	leader->taking_over = false;
	rc_log(RC_LOG_INFO, "taken_over", "again=%" PRId64, again);
	return RC_OK;
}

/* The topic may have been made anew behind our back, under the same cluster id. */
static void check_ends(struct leader *leader)
{
	struct rc_error why;
	bool behind = false;

	if (leader->producer && leader->broker_well && leader->generation != 0 &&
	    !leader->taking_over && read_ends(leader, leader->generation, &behind, &why) == RC_OK &&
	    behind) {
		rc_log(RC_LOG_WARN, "broker_forgot", "generation=%d", leader->generation);
		leader->generation = 0;
	}
}

static enum rc_status work(struct leader *leader, bool rung, bool *ret_busy, struct rc_error *err)
{
	enum rc_status status;
	size_t lookups = 0, sent = 0;
	int64_t rows = 0;
	bool ready;

	status = leader_clock(leader, err);
	if (status != RC_OK)
		return status;
	status = kafka_ready(leader, &ready, err);
	if (status != RC_OK)
		return status;
	if (ready) {
		rd_kafka_poll(leader->producer, 0);
		status = leader_hellos(leader, err);
	}
	if (status == RC_OK && ready && leader->taking_over)
		status = take_over(leader, err);
	if (status == RC_OK)
		status = leader_unsend(leader, err);
	if (status == RC_OK && due(leader, CHORE_LANDED, rung))
		status = leader_landed(leader, err);
	if (status == RC_OK && due(leader, CHORE_LOOKUPS, rung))
		status = leader_lookups(leader, &lookups, err);
	if (status == RC_OK && due(leader, CHORE_DUE, leader->due_more))
		status = leader_due(leader, &rows, err);
	if (status == RC_OK && due(leader, CHORE_HOLDS, rung))
		status = leader_holds(leader, err);
	if (status == RC_OK && ready && leader->broker_well && !leader->taking_over) {
		if (due(leader, CHORE_REFILL, rung || lookups > 0 || rows > 0))
			status = leader_refill(leader, err);
		if (status == RC_OK)
			status = leader_dispatch(leader, &sent, err);
	}
	if (status == RC_OK && due(leader, CHORE_FINISH, rung))
		status = leader_finish_jobs(leader, err);
	if (status == RC_OK && due(leader, CHORE_SECOND, false)) {
		if (ready)
			kafka_check(leader);
		status = leader_flags(leader, err);
		leader_lanes_refresh(leader);
		if (status == RC_OK)
			status = leader_pauses(leader, err);
		if (status == RC_OK)
			status = leader_heal(leader, err);
	}
	if (status == RC_OK && due(leader, CHORE_SWEEP, false))
		status = leader_sweep(leader, err);
	if (status == RC_OK && due(leader, CHORE_FORGET, false))
		status = leader_forget(leader, err);
	if (status == RC_OK && ready && due(leader, CHORE_MOVE, false)) {
		status = leader_lanes_move(leader, err);
		check_ends(leader);
	}
	*ret_busy = sent > 0 || lookups > 0 || leader->due_more;
	return status;
}

static void *run(void *arg)
{
	struct leader *leader = arg;
	const struct context *context = leader->context;
	bool rung = true, lost = false;
	uint32_t wait_ms = 0;
	char said[RC_ERROR_MAX] = "";

	do {
		uint64_t before = leader->bell_seen;
		struct rc_error err;
		enum rc_status status = RC_OK;
		bool busy = false;

		if (!bell_wait(context->leader_bell, &leader->bell_seen, wait_ms))
			break;
		rung = rung || leader->bell_seen != before;
		context_renew(&leader->own);
		status = db_revive(leader->db, &err);
		if (status == RC_OK && !leader_leads(leader))
			status = lead(leader, &err);
		wait_ms = FOLLOW_MS;
		if (status == RC_OK && leader_leads(leader)) {
			status = work(leader, rung, &busy, &err);
			wait_ms = busy					 ? 1
				  : dispatch_in_flight(leader->dispatch) ? TICK_MS
									 : IDLE_TICK_MS;
			rung = false;
		}
		if (status != RC_OK) {
			db_rollback(leader->db);
			if (!lost || strcmp(said, err.text) != 0)
				rc_log(RC_LOG_WARN, "leader_interrupted", "why=\"%s\"", err.text);
			snprintf(said, sizeof(said), "%s", err.text);
			readiness_set(context->readiness, READINESS_LEADER, READINESS_LEADER_THREAD,
				      err.text);
			if (!db_alive(leader->db))
				readiness_set(context->readiness, READINESS_DATABASE,
					      READINESS_LEADER_THREAD, err.text);
			wait_ms = IDLE_TICK_MS;
			lost = true;
		} else if (lost) {
			rc_log(RC_LOG_INFO, "leader_resumed", "leads=%d", leader_leads(leader));
			readiness_set(context->readiness, READINESS_LEADER, READINESS_LEADER_THREAD,
				      NULL);
			readiness_set(context->readiness, READINESS_DATABASE,
				      READINESS_LEADER_THREAD, NULL);
			lost = false;
		}
	} while (true);
	return NULL;
}

static void leader_free(struct leader *leader)
{
	if (!leader)
		return;
	kafka_close(leader);
	db_close(leader->db);
	writes_free(leader->writes);
	groups_free(leader->groups);
	measured_free(leader->measured);
	context_done(&leader->own);
	rc_arena_free(leader->arena);
	rc_seal_free(leader->seal);
	dispatch_free(leader->dispatch);
	rc_buf_done(&leader->unsent);
	free(leader->lanes);
	free(leader->offers);
	free(leader->cursors);
	free(leader);
}

enum rc_status leader_start(const struct context *context, struct leader **ret_leader,
			    struct rc_error *err)
{
	struct leader *leader = calloc(1, sizeof(*leader));
	enum rc_status status;

	if (!leader)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for the leader");
	context_copy(&leader->own, context);
	leader->context = &leader->own;
	rc_buf_init(&leader->unsent, 0);
	broker_init(&leader->broker, &context->config->kafka);
	leader->writes = writes_new();
	leader->groups = groups_new();
	leader->measured = measured_new();
	leader->arena = rc_arena_new(0);
	leader->cursors = calloc(LEADER_CURSORS_MAX, sizeof(*leader->cursors));
	status = rc_seal_new(context->config->kafka.message_key, &leader->seal, err);
	if (status == RC_OK && (!leader->writes || !leader->groups || !leader->measured ||
				!leader->arena || !leader->cursors))
		status = rc_error_set(err, RC_NO_MEMORY, "no memory for the leader");
	if (status == RC_OK) {
		forget_everything(leader);
		status = db_open(context->config->database, "rollcall-leader", 0, &leader->db, err);
	}
	if (status == RC_OK && pthread_create(&leader->thread, NULL, run, leader) != 0)
		status = rc_error_set(
		    err, RC_UNAVAILABLE,
		    "no thread for the leader can be started: raise the limit of processes");
	if (status != RC_OK) {
		leader_free(leader);
		return status;
	}
	*ret_leader = leader;
	return RC_OK;
}

void leader_stop(struct leader *leader)
{
	if (!leader)
		return;
	db_cancel(leader->db);
	pthread_join(leader->thread, NULL);
	leader_free(leader);
}
