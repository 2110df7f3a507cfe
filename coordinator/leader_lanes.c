/* See leader_parts.h: hellos in, leases written, grants out. ARCHITECTURE.md, "Leases". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/core/plan.h"
#include "coordinator/leader_parts.h"
#include "coordinator/store/lanes.h"
#include "coordinator/store/shards.h"

enum {
	HELLOS_AT_ONCE = 200,
	HELLO_LANES_MAX = 256,
	HELLO_AGE_MAX_MS = 10000, /* an older one says nothing of who is alive now */
	OFFERS_MAX = 4096,
	OFFER_AGAIN_MS = 60000, /* an offer that says nothing new is written again after that */
	LACKS_FRESH_MS = 30000,
	OFFSET_WAIT_MS = 2000
};

/* An offer as it was written last. */
struct offer_known {
	char name[LANES_NAME_MAX];
	char worker[LANES_WORKER_MAX];
	uint64_t hash;
	int64_t written_at_ms;
};

static struct lease_lane *lane_named(struct leader *leader, const char *name)
{
	for (size_t i = 0; i < leader->lane_count; i++)
		if (strcmp(leader->lanes[i].identity.name, name) == 0)
			return &leader->lanes[i];
	return NULL;
}

static bool fits(const char *text, size_t size)
{
	return text && strlen(text) < size;
}

static bool identity_of(const Rollcall__LaneOffer *offer, struct lane_identity *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!fits(offer->name, sizeof(ret->name)) || !*offer->name ||
	    !fits(offer->public_address, sizeof(ret->public_address)) ||
	    !fits(offer->bind_address, sizeof(ret->bind_address)) ||
	    !fits(offer->helo, sizeof(ret->helo)) ||
	    !fits(offer->mail_from, sizeof(ret->mail_from)))
		return false;
	strcpy(ret->name, offer->name);
	strcpy(ret->public_address, offer->public_address);
	strcpy(ret->bind_address, offer->bind_address);
	strcpy(ret->helo, offer->helo);
	strcpy(ret->mail_from, offer->mail_from);
	return true;
}

static enum rc_status lane_add(struct leader *leader, const struct lane_identity *identity,
			       struct lease_lane **ret_lane, struct rc_error *err)
{
	struct lease_lane *lanes =
	    realloc(leader->lanes, (leader->lane_count + 1) * sizeof(*lanes));
	enum rc_status status;
	uint32_t number = 0;

	if (!lanes)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for another lane");
	leader->lanes = lanes;
	status =
	    lease_register(leader->db, identity, (uint32_t)leader->shard_partitions, &number, err);
	if (status != RC_OK)
		return status;
	memset(&lanes[leader->lane_count], 0, sizeof(*lanes));
	lanes[leader->lane_count].number = number;
	lanes[leader->lane_count].identity = *identity;
	lanes[leader->lane_count].first_seen_ms = rc_clock_wall_ms();
	lanes[leader->lane_count].day = -1;
	*ret_lane = &lanes[leader->lane_count++];
	rc_log(RC_LOG_INFO, "lane_registered", "lane=%s number=%u address=%s helo=%s mail_from=%s",
	       identity->name, number, identity->public_address, identity->helo,
	       identity->mail_from);
	return RC_OK;
}

/* A new epoch: from the partition's end on, and what was out under the old one goes out again. */
static enum rc_status grant_anew(struct leader *leader, struct lease_lane *lane,
				 const struct lane_offer *offer, int64_t now_ms,
				 struct rc_error *err)
{
	int64_t low, high, again = 0;
	int32_t partitions;
	enum rc_status status;

	/* First a question that is given up in time: librdkafka asks for offsets as long as its
	 * socket time-out lets it. */
	status = rc_kafka_partitions(leader->producer, RC_TOPIC_SHARDS, OFFSET_WAIT_MS, &partitions,
				     err);
	if (status != RC_OK)
		return status;
	status = rc_kafka_watermarks(leader->producer, RC_TOPIC_SHARDS, (int32_t)lane->number,
				     OFFSET_WAIT_MS, &low, &high, err);

	if (status != RC_OK)
		return status;
	lane->lease.exists = true;
	snprintf(lane->lease.worker, sizeof(lane->lease.worker), "%s", offer->worker);
	snprintf(lane->lease.machine, sizeof(lane->lease.machine), "%s", offer->machine);
	lane->lease.epoch++;
	lane->lease.granted_at_ms = now_ms;
	lane->lease.returned = false;
	lane->lease.confirmed = false;
	lane->generation = leader->generation;
	lane->from_offset = high;
	/* While a new leader still listens for what the old one sent, nothing goes out; then
	 * everything does. */
	status = shards_requeue_lane(leader->db, lane->number, &again, err);
	if (status != RC_OK)
		return status;
	dispatch_forget_lane(leader->dispatch, lane->number);
	rc_log(RC_LOG_INFO, "lane_granted",
	       "lane=%s number=%u epoch=%" PRIu64 " worker=%s from_offset=%" PRId64
	       " again=%" PRId64,
	       lane->identity.name, lane->number, lane->lease.epoch, offer->worker, high, again);
	return RC_OK;
}

/* ------------------------------------------------------------------------------------------------
 * what is said of lanes */

/* Why its worker's doctor would not have it probe; NULL: it may. In the arena. */
static const char *unfit(struct leader *leader, const Rollcall__LaneOffer *offer)
{
	if (offer->fitness == ROLLCALL__LANE_FITNESS__LANE_FITNESS_UNFIT)
		return rc_arena_printf(leader->arena, "doctor: %.600s", offer->problem);
	if (offer->fitness != ROLLCALL__LANE_FITNESS__LANE_FITNESS_CHECKING)
		return NULL;
	return *offer->problem
		   ? rc_arena_printf(leader->arena, "doctor cannot tell: %.600s", offer->problem)
		   : "doctor is still looking at it";
}

static uint64_t hash_on(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * 1099511628211u;
	while (*text++);
	return hash;
}

static struct offer_known *offer_known(struct leader *leader, const char *name, const char *worker)
{
	struct offer_known *offers;

	for (size_t i = 0; i < leader->offer_count; i++)
		if (strcmp(leader->offers[i].name, name) == 0 &&
		    strcmp(leader->offers[i].worker, worker) == 0)
			return &leader->offers[i];
	/* Workers come and go under new names. */
	if (leader->offer_count == OFFERS_MAX)
		leader->offer_count = 0;
	offers = realloc(leader->offers, (leader->offer_count + 1) * sizeof(*offers));
	if (!offers)
		return NULL;
	leader->offers = offers;
	memset(&offers[leader->offer_count], 0, sizeof(*offers));
	snprintf(offers[leader->offer_count].name, LANES_NAME_MAX, "%s", name);
	snprintf(offers[leader->offer_count].worker, LANES_WORKER_MAX, "%s", worker);
	return &offers[leader->offer_count++];
}

/* Into lane_offer, when it says something new. */
static enum rc_status note_offer(struct leader *leader, const Rollcall__Hello *hello,
				 const Rollcall__LaneOffer *proto, const char *refused,
				 struct rc_error *err)
{
	int64_t now_ms = rc_clock_wall_ms();
	struct offer_known *known;
	struct lanes_offer offer = { .name = proto->name,
				     .worker = hello->worker,
				     .refused = refused,
				     .fitness = (int)proto->fitness,
				     .checked_at_ms = proto->checked_at_ms,
				     .findings_told = proto->findings_told };
	char held[LANES_NAME_MAX] = "";
	uint64_t hash;
	enum rc_status status;

	if (!fits(proto->name, LANES_NAME_MAX) || !*proto->name || proto->returned)
		return RC_OK;
	for (size_t i = 0; i < proto->n_findings && offer.n < LANES_FINDINGS_MAX; i++) {
		offer.check[offer.n] = proto->findings[i]->check;
		offer.result[offer.n] = proto->findings[i]->result;
		offer.text[offer.n++] = proto->findings[i]->text;
	}
	/* "... for another 12 s" is no news. */
	snprintf(held, sizeof(held), "%.20s", refused);
	hash = hash_on(hash_on(14695981039346656037u + (uint64_t)proto->fitness, held),
		       *refused ? "refused" : "");
	hash ^= (uint64_t)proto->checked_at_ms;
	known = offer_known(leader, proto->name, hello->worker);
	if (known && known->hash == hash && now_ms - known->written_at_ms < OFFER_AGAIN_MS)
		return RC_OK;
	status = lanes_offered(leader->db, &offer, err);
	if (known && status == RC_OK) {
		known->hash = hash;
		known->written_at_ms = now_ms;
	}
	return status;
}

/* For /readyz, where no lane is granted. */
static void lacks(struct leader *leader, const char *name, const char *why)
{
	snprintf(leader->lane_lacks, sizeof(leader->lane_lacks), "lane %s: %.300s", name, why);
	leader->lane_lacks_at_ms = rc_clock_wall_ms();
}

static enum rc_status decide_offer(struct leader *leader, const Rollcall__Hello *hello,
				   const Rollcall__LaneOffer *proto, Rollcall__LaneGrant *grant,
				   struct rc_error *err)
{
	int64_t now_ms = rc_clock_wall_ms();
	struct lane_offer offer = { .worker = hello->worker,
				    .machine = hello->machine,
				    .proved = proto->proved,
				    .socket_held = proto->socket_held,
				    .returned = proto->returned,
				    .epoch = proto->epoch,
				    .problem = proto->problem,
				    .unfit = unfit(leader, proto) };
	char why[LANES_WHY_MAX] = "";
	struct lease_lane *lane;
	enum rc_status status = RC_OK;
	enum lane_decision decision;

	if (!identity_of(proto, &offer.identity)) {
		grant->refused = rc_arena_strdup(
		    leader->arena, "its name, address, HELO or MAIL FROM is too long");
		return RC_OK;
	}
	lane = lane_named(leader, offer.identity.name);
	if (!lane && proto->proved && !proto->returned && !offer.unfit) {
		status = lane_add(leader, &offer.identity, &lane, err);
		if (status == RC_LIMIT) {
			grant->refused = rc_arena_strdup(leader->arena, err->text);
			return RC_OK;
		}
		if (status != RC_OK)
			return status;
	}
	if (!lane) {
		grant->refused = proto->proved && offer.unfit
				     ? rc_arena_strdup(leader->arena, offer.unfit)
				     : rc_arena_printf(leader->arena, "it is not proved: %.600s",
						       proto->problem);
		lacks(leader, offer.identity.name, grant->refused);
		return RC_OK;
	}
	decision = lanes_decide(&lane->identity, &lane->lease, &offer, now_ms, why);
	if (decision == LANE_RENEW && lane->generation != leader->generation)
		decision = LANE_GRANT;
	switch (decision) {
	case LANE_REFUSE:
		grant->refused = rc_arena_strdup(leader->arena, why);
		lacks(leader, offer.identity.name, why);
		rc_log(RC_LOG_DEBUG, "lane_refused", "lane=%s worker=%s why=\"%s\"",
		       offer.identity.name, offer.worker, why);
		/* It has worked under this epoch, though it cannot go on: when it can, it gets a
		 * new one, and does not read again what it has done. */
		if (lane->lease.exists && !lane->lease.confirmed &&
		    offer.epoch == lane->lease.epoch &&
		    strcmp(lane->lease.worker, offer.worker) == 0) {
			lane->lease.confirmed = true;
			return lease_store(leader->db, lane, err);
		}
		return RC_OK;
	case LANE_HAND_BACK:
		lane->lease.returned = true;
		grant->refused = rc_arena_strdup(leader->arena, why);
		if (offer.unfit)
			lacks(leader, offer.identity.name, why);
		rc_log(RC_LOG_INFO, "lane_handed_back", "lane=%s worker=%s epoch=%" PRIu64,
		       offer.identity.name, offer.worker, lane->lease.epoch);
		return lease_store(leader->db, lane, err);
	case LANE_RENEW:
		lane->lease.granted_at_ms = now_ms;
		lane->lease.confirmed = lane->lease.confirmed || offer.epoch == lane->lease.epoch;
		break;
	case LANE_GRANT:
		status = grant_anew(leader, lane, &offer, now_ms, err);
		if (status != RC_OK)
			return status;
		break;
	}
	snprintf(lane->identity.bind_address, sizeof(lane->identity.bind_address), "%s",
		 offer.identity.bind_address);
	lane->last_seen_ms = now_ms;
	status = lease_store(leader->db, lane, err);
	grant->lane = lane->number;
	grant->epoch = lane->lease.epoch;
	grant->from_offset = lane->from_offset;
	grant->lease_ms = LANES_LEASE_MS;
	return status;
}

static enum rc_status answer(struct leader *leader, const Rollcall__Hello *hello,
			     struct rc_error *err)
{
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	Rollcall__Grant grant = ROLLCALL__GRANT__INIT;
	enum rc_status status = db_begin(leader->db, err);
	struct rc_buf message;

	if (status != RC_OK)
		return status;
	rc_buf_init(&message, 0);
	grant.worker = hello->worker;
	grant.hello_sequence = hello->sequence;
	grant.lanes = rc_arena_alloc(leader->arena, (hello->n_lanes + 1) * sizeof(*grant.lanes));
	for (size_t i = 0; i < hello->n_lanes && grant.lanes && status == RC_OK; i++) {
		Rollcall__LaneGrant *lane = rc_arena_alloc(leader->arena, sizeof(*lane));

		if (!lane)
			break;
		rollcall__lane_grant__init(lane);
		lane->name = hello->lanes[i]->name;
		grant.lanes[grant.n_lanes++] = lane;
		status = decide_offer(leader, hello, hello->lanes[i], lane, err);
		if (status == RC_OK)
			status = note_offer(leader, hello, hello->lanes[i], lane->refused, err);
	}
	if (status == RC_OK)
		status = db_commit(leader->db, err);
	if (status != RC_OK) {
		db_rollback(leader->db);
		goto out;
	}
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_GRANT;
	envelope.grant = &grant;
	status = rc_envelope_pack(leader->seal, RC_TOPIC_CONTROL, &envelope, &message, err);
	if (status == RC_OK)
		status = rc_kafka_produce(leader->producer, RC_TOPIC_CONTROL, 0, NULL, 0,
					  message.data, message.len, NULL, err);
	leader_lanes_refresh(leader);
out:
	rc_buf_done(&message);
	return status;
}

static bool worth_an_answer(const Rollcall__Hello *hello)
{
	int64_t age_ms = rc_clock_wall_ms() - hello->sent_at_ms;

	return hello->worker && *hello->worker && strlen(hello->worker) < LANES_WORKER_MAX &&
	       hello->machine && strlen(hello->machine) < LANES_WORKER_MAX &&
	       hello->n_lanes <= HELLO_LANES_MAX && age_ms < HELLO_AGE_MAX_MS;
}

/* After a rollback the lanes in memory are those of PostgreSQL again. */
static enum rc_status reload(struct leader *leader, struct rc_error *err)
{
	struct lease_lane *lanes;
	size_t count;
	enum rc_status status = lease_load(leader->db, &lanes, &count, err);

	if (status != RC_OK)
		return status;
	free(leader->lanes);
	leader->lanes = lanes;
	leader->lane_count = count;
	leader_lanes_refresh(leader);
	return RC_OK;
}

enum rc_status leader_hellos(struct leader *leader, struct rc_error *err)
{
	enum rc_status status = RC_OK;

	for (int i = 0; i < HELLOS_AT_ONCE && leader->control && status == RC_OK; i++) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(leader->control, 0);
		Rollcall__Envelope *envelope = NULL;
		struct rc_error why;

		if (!message)
			break;
		rc_arena_reset(leader->arena);
		if (!message->err &&
		    rc_envelope_unpack(leader->seal, RC_TOPIC_CONTROL, message->payload,
				       message->len, &envelope, &why) != RC_OK)
			rc_log(RC_LOG_WARN, "control_message_skipped",
			       "offset=%" PRId64 " why=\"%s\"", message->offset, why.text);
		if (envelope && envelope->body_case == ROLLCALL__ENVELOPE__BODY_HELLO &&
		    worth_an_answer(envelope->hello))
			status = answer(leader, envelope->hello, err);
		if (status != RC_OK && db_alive(leader->db)) {
			/* The broker, or a lane: its worker says hello again soon. */
			rc_log(RC_LOG_WARN, "hello_not_answered", "worker=%s why=\"%s\"",
			       envelope->hello->worker, err->text);
			status = reload(leader, err);
		}
		rc_envelope_free(envelope);
		rd_kafka_message_destroy(message);
	}
	return status;
}

void leader_lanes_refresh(struct leader *leader)
{
	int64_t now_ms = rc_clock_wall_ms();
	char lack[READINESS_TEXT_MAX];
	size_t held = 0;

	for (size_t i = 0; i < leader->lane_count; i++) {
		const struct lease_lane *lane = &leader->lanes[i];
		bool open =
		    lanes_held(&lane->lease, now_ms) && lane->generation == leader->generation;

		dispatch_lane_open(leader->dispatch, lane->number, open);
		leader_lane_open(leader, lane);
		held += open;
	}
	if (now_ms - leader->lane_lacks_at_ms < LACKS_FRESH_MS)
		snprintf(lack, sizeof(lack), "no lane is granted: %s", leader->lane_lacks);
	else
		snprintf(lack, sizeof(lack),
			 "no lane is granted: start a rollcall-worker whose ROLLCALL_LANES name "
			 "addresses of its machine");
	readiness_set(leader->context->readiness, READINESS_LANES, READINESS_LEADER_THREAD,
		      held ? NULL : lack);
}

/* Whether there is a lane for new work; a draining one only where there is no other. */
bool leader_any_lane(struct leader *leader, uint32_t *ret_lane)
{
	int64_t now_ms = rc_clock_wall_ms();

	for (int draining = 0; draining < 2; draining++)
		for (size_t i = 0; i < leader->lane_count; i++) {
			const struct lease_lane *lane =
			    &leader->lanes[leader->next_lane++ % leader->lane_count];

			if (lane->draining != draining || !lanes_held(&lane->lease, now_ms) ||
			    lane->generation != leader->generation)
				continue;
			*ret_lane = lane->number;
			return true;
		}
	return false;
}
