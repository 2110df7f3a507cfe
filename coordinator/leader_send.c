/* See leader_parts.h: from the queues of PostgreSQL over dispatch.h to Kafka. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/core/plan.h"
#include "coordinator/core/verdict.h"
#include "coordinator/leader_parts.h"
#include "coordinator/store/shards.h"

enum {
	LOW_WATER = 96, /* queued shards of one lane, job and class below which more are read */
	PAGE = 160,
	PAGES_AT_ONCE = 4,
	REST_MS = 1000,	  /* of a queue that is held altogether */
	ENDED_PAGES = 64, /* read out of turn; what is left waits for its turn */
	SEND_AT_ONCE = 256, /* shards of one transaction */
	CAP_MINUTES =
	    4 /* of a group's rate: what may be in flight so that it ends within a shard's life */
};

/* ------------------------------------------------------------------------------------------------
 * refilling */

static struct cursor *cursor_of(struct leader *leader, uint32_t lane, int64_t job, int class)
{
	struct cursor *c;

	for (size_t i = 0; i < leader->cursor_count; i++) {
		c = &leader->cursors[i];
		if (c->lane == lane && c->job == job && c->class == class) {
			c->used = true;
			return c;
		}
	}
	if (leader->cursor_count == LEADER_CURSORS_MAX) {
		/* Whoever was not asked for since the last time begins anew. */
		size_t kept = 0;

		for (size_t i = 0; i < leader->cursor_count; i++)
			if (leader->cursors[i].used) {
				leader->cursors[kept] = leader->cursors[i];
				leader->cursors[kept++].used = false;
			}
		leader->cursor_count = kept < LEADER_CURSORS_MAX ? kept : 0;
	}
	c = &leader->cursors[leader->cursor_count++];
	memset(c, 0, sizeof(*c));
	c->lane = lane;
	c->job = job;
	c->class = class;
	c->used = true;
	return c;
}

static void cap_group(struct leader *leader, const char *group, const char *provider_name)
{
	const struct rc_provider *p = rc_providers_find(leader->context->providers, provider_name);
	uint64_t recipients;

	if (!*group)
		return;
	if (!p)
		p = rc_providers_default(leader->context->providers);
	recipients = (uint64_t)p->recipients_per_minute * CAP_MINUTES * (p->lanes ? p->lanes : 1);
	dispatch_group_cap(leader->dispatch, group, p->connections,
			   recipients == 0 || recipients > 1000000 ? 1000000
								   : (uint32_t)recipients);
}

/* Behind every shard of its group. */
static const uint64_t PAST_GROUP = INT64_MAX;

/* One page behind the cursor. *ret_end: the queue's end was reached, the next page is its first. */
static enum rc_status refill_page(struct leader *leader, struct cursor *c, int32_t tenant,
				  bool *ret_end, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    shards_page(leader->db, c->lane, c->job, c->class, c->group, c->id, PAGE, &r, err);
	const int64_t now_ms = rc_clock_wall_ms();
	int rows;

	if (status != RC_OK)
		return status;
	rows = db_rows(r);
	for (int i = 0; i < rows; i++) {
		const char *group = db_get_text(r, i, QUEUED_GROUP);
		const struct dispatch_shard shard = { .id = (uint64_t)db_get_int(r, i, QUEUED_ID),
						      .job = c->job,
						      .tenant = tenant,
						      .lane = c->lane,
						      .class = (enum dispatch_class)c->class,
						      .cost = (uint32_t)db_get_int(r, i, QUEUED_N),
						      .group = group,
						      .urgent_at_ms =
							  db_get_int(r, i, QUEUED_URGENT),
						      .begun = db_get_bool(r, i, QUEUED_BEGUN) };
		bool taken = false;

		if (c->id == PAST_GROUP && strcmp(c->group, group) == 0)
			continue;
		snprintf(c->group, sizeof(c->group), "%s", group);
		c->id = shard.id;
		/* The rest of this group would only stand before the others. */
		if (dispatch_held(leader->dispatch, c->lane, group, now_ms)) {
			c->id = PAST_GROUP;
			c->passed = true;
			continue;
		}
		if (!dispatch_add(leader->dispatch, &shard, &taken)) {
			db_result_free(r);
			return rc_error_set(err, RC_NO_MEMORY, "no memory for the queues");
		}
		c->took = c->took || taken;
		if (taken)
			cap_group(leader, group, db_get_text(r, i, QUEUED_PROVIDER));
		else if (dispatch_crowded(leader->dispatch, c->lane, c->job,
					  (enum dispatch_class)c->class, group))
			c->id = PAST_GROUP;
	}
	db_result_free(r);
	*ret_end = rows < PAGE;
	if (*ret_end) {
		if (c->passed && !c->took && c->class != DISPATCH_INTERACTIVE)
			c->rests_until_ms = rc_clock_mono_ms() + REST_MS;
		c->took = c->passed = false;
		c->group[0] = '\0';
		c->id = 0;
	}
	return RC_OK;
}

/* What was held until now, wherever the cursor stands; `pages` are what is left of the turn's. */
static enum rc_status refill_ended(struct leader *leader, const struct cursor *of, int32_t tenant,
				   unsigned *pages, struct rc_error *err)
{
	enum rc_status status = RC_OK;
	bool end;

	for (size_t i = 0; i < leader->ended_count && *pages > 0 && status == RC_OK; i++) {
		struct cursor c = { .lane = of->lane, .job = of->job, .class = of->class };

		if (leader->ended[i].lane != of->lane)
			continue;
		snprintf(c.group, sizeof(c.group), "%s", leader->ended[i].group);
		--*pages;
		status = refill_page(leader, &c, tenant, &end, err);
	}
	return status;
}

static void forget_ended(struct leader *leader)
{
	size_t kept = 0;

	for (size_t i = 0; i < leader->ended_count; i++)
		if (!dispatch_lane_room(leader->dispatch, leader->ended[i].lane))
			leader->ended[kept++] = leader->ended[i];
	leader->ended_count = kept;
}

enum rc_status leader_refill(struct leader *leader, struct rc_error *err)
{
	struct db_result *queues;
	enum rc_status status = shards_queues(leader->db, &queues, err);
	unsigned pages = ENDED_PAGES;

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(queues) && status == RC_OK; i++) {
		uint32_t lane = (uint32_t)db_get_int(queues, i, QUEUE_LANE);
		int64_t job = db_get_int(queues, i, QUEUE_JOB);
		int class = (int)db_get_int(queues, i, QUEUE_CLASS);
		struct cursor *c;
		bool end = false;

		if (!dispatch_lane_room(leader->dispatch, lane) || class < 0 ||
		    class >= DISPATCH_CLASSES)
			continue;
		c = cursor_of(leader, lane, job, class);
		status = refill_ended(leader, c, (int32_t)db_get_int(queues, i, QUEUE_TENANT),
				      &pages, err);
		if (c->rests_until_ms > rc_clock_mono_ms())
			continue;
		for (int page = 0; page < PAGES_AT_ONCE && !end && status == RC_OK &&
				   dispatch_queued(leader->dispatch, lane, job,
						   (enum dispatch_class) class) < LOW_WATER;
		     page++)
			status = refill_page(
			    leader, c, (int32_t)db_get_int(queues, i, QUEUE_TENANT), &end, err);
	}
	db_result_free(queues);
	if (status == RC_OK)
		forget_ended(leader);
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * messages */

/* A shard on its way to Kafka. */
struct outgoing {
	uint64_t id;
	uint32_t lane;
	Rollcall__Shard shard;
	Rollcall__Resolution *resolution; /* whose MX list `shard` borrows; may be NULL */
	size_t most;			  /* recipients */
};

static bool ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return true;
}

static bool recipient_add(struct leader *leader, struct outgoing *out, const struct db_result *r,
			  int row)
{
	size_t len = db_get_len(r, row, RECIPIENT_LOCAL);
	Rollcall__Recipient *recipient;

	if (out->shard.n_recipients == out->most)
		return true;
	if (!out->shard.recipients)
		out->shard.recipients =
		    rc_arena_alloc(leader->arena, PLAN_SHARD_MAX * sizeof(*out->shard.recipients));
	recipient = rc_arena_alloc(leader->arena, sizeof(*recipient));
	if (!recipient || !out->shard.recipients)
		return false;
	rollcall__recipient__init(recipient);
	recipient->uid = (uint64_t)db_get_int(r, row, RECIPIENT_UID);
	recipient->local.data =
	    (uint8_t *)rc_arena_strndup(leader->arena, db_get_text(r, row, RECIPIENT_LOCAL), len);
	recipient->local.len = len;
	recipient->attempt = (uint32_t)db_get_int(r, row, RECIPIENT_ATTEMPT);
	recipient->smtputf8 = !ascii(db_get_text(r, row, RECIPIENT_LOCAL), len);
	if (!recipient->local.data)
		return false;
	out->shard.recipients[out->shard.n_recipients++] = recipient;
	return true;
}

static bool domain_add(struct leader *leader, struct outgoing *out, const struct db_result *r,
		       int row)
{
	if (out->shard.n_domains == PLAN_SHARD_MAX)
		return true;
	if (!out->shard.domains)
		out->shard.domains =
		    rc_arena_alloc(leader->arena, PLAN_SHARD_MAX * sizeof(*out->shard.domains));
	if (!out->shard.domains)
		return false;
	out->shard.domains[out->shard.n_domains] =
	    rc_arena_strdup(leader->arena, db_get_text(r, row, 1));
	return out->shard.domains[out->shard.n_domains++] != NULL;
}

static bool witness_add(struct leader *leader, struct outgoing *out, const struct db_result *r,
			int row)
{
	size_t len = db_get_len(r, row, 1);

	out->shard.witness.data =
	    (uint8_t *)rc_arena_strndup(leader->arena, db_get_text(r, row, 1), len);
	out->shard.witness.len = out->shard.witness.data ? len : 0;
	return out->shard.witness.data != NULL;
}

static uint32_t share(uint32_t value, uint32_t lanes)
{
	return value == 0 ? 0 : value / lanes ? value / lanes : 1;
}

/* `greylists`: its servers make strangers wait, or may: one session is as good as two to find out. */
static Rollcall__Budget *budget_of(struct leader *leader, const struct rc_provider *p,
				   bool greylists)
{
	Rollcall__Budget *budget = rc_arena_alloc(leader->arena, sizeof(*budget));
	uint32_t lanes = p->lanes ? p->lanes : 1;

	if (!budget)
		return NULL;
	rollcall__budget__init(budget);
	/* What a server takes in one session is its nature, not our pace. */
	budget->recipients_per_session = p->recipients_per_session;
	budget->rejections_per_session = p->rejections_per_session;
	if (leader->context->config->pace) {
		budget->connections =
		    greylists && p == rc_providers_default(leader->context->providers)
			? 1
			: share(p->connections, lanes);
		budget->recipients_per_minute = p->recipients_per_minute;
		budget->connections_per_minute = share(p->connections_per_minute, lanes);
		budget->connections_per_second = share(p->connections_per_second, lanes);
	}
	return budget;
}

static Rollcall__ControlNeed control_of(const struct db_result *r, int row,
					const struct rc_provider *p)
{
	bool same_lane = db_get_int(r, row, SENT_CONTROL_LANE) == db_get_int(r, row, SENT_LANE);

	return !db_get_bool(r, row, SENT_NEED_CONTROL) &&
		       verdict_control_serves((enum verdict_control)db_get_int(r, row, SENT_CONTROL),
					      db_get_int(r, row, SENT_CONTROL_AGE_S), same_lane,
					      p->honesty == RC_INCONSISTENT)
		   ? ROLLCALL__CONTROL_NEED__CONTROL_NEED_NONE
		   : ROLLCALL__CONTROL_NEED__CONTROL_NEED_IF_ACCEPTED;
}

/* The MX set found by the look-up. */
static void set_mx(Rollcall__Shard *shard, Rollcall__Resolution *resolution)
{
	shard->n_mx = resolution->n_mx;
	shard->mx = resolution->mx;
	shard->implicit_mx = resolution->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_IMPLICIT;
}

/* Everything of the message but its recipients or domains. Strings stay in `r`. */
static bool outgoing_init(struct leader *leader, struct outgoing *out, const struct db_result *r,
			  int row)
{
	const struct rc_provider *p =
	    rc_providers_find(leader->context->providers, db_get_text(r, row, SENT_PROVIDER));
	Rollcall__Shard *shard = &out->shard;
	Rollcall__Resolution *resolution;
	const uint8_t *body;
	size_t len;

	if (!p)
		p = rc_providers_default(leader->context->providers);
	rollcall__shard__init(shard);
	out->id = (uint64_t)db_get_int(r, row, SENT_ID);
	out->lane = (uint32_t)db_get_int(r, row, SENT_LANE);
	shard->id = out->id;
	shard->attempt = (uint32_t)db_get_int(r, row, SENT_ATTEMPT);
	shard->epoch = (uint64_t)db_get_int(r, row, SENT_EPOCH);
	shard->lane = out->lane;
	shard->kind = (Rollcall__ShardKind)db_get_int(r, row, SENT_KIND);
	shard->job = (uint64_t)db_get_int(r, row, SENT_JOB);
	if (shard->kind == ROLLCALL__SHARD_KIND__SHARD_KIND_RESOLVE) {
		shard->bypass_cache = db_get_bool(r, row, SENT_BYPASS);
		return true;
	}
	/* On probation, or at the end of a new lane's day: the rest goes again later. */
	out->most = dispatch_flying_cost(leader->dispatch, out->id);
	if (out->most > PLAN_SHARD_MAX)
		out->most = PLAN_SHARD_MAX;
	shard->domain = (char *)(uintptr_t)db_get_text(r, row, SENT_DOMAIN);
	shard->mx_group = (char *)(uintptr_t)db_get_text(r, row, SENT_GROUP);
	shard->mx_host = (char *)(uintptr_t)db_get_text(r, row, SENT_MX_HOST);
	shard->mx_address = (char *)(uintptr_t)db_get_text(r, row, SENT_MX_ADDRESS);
	shard->control_local = (char *)(uintptr_t)db_get_text(r, row, SENT_CONTROL_LOCAL);
	shard->control = *shard->control_local ? ROLLCALL__CONTROL_NEED__CONTROL_NEED_IF_ACCEPTED
					       : control_of(r, row, p);
	/* An operator's hosts are one; of others each may have rules of its own. */
	if (shard->control == ROLLCALL__CONTROL_NEED__CONTROL_NEED_NONE &&
	    p == rc_providers_default(leader->context->providers))
		shard->control_host = (char *)(uintptr_t)db_get_text(r, row, SENT_CONTROL_HOST);
	shard->budget = budget_of(leader, p, db_get_bool(r, row, SENT_GREYLISTS));
	shard->ask_postmaster = true;
	shard->doubted = db_get_bool(r, row, SENT_DOUBTED);
	body = db_get_bytes(r, row, SENT_RESOLUTION, &len);
	resolution = body ? rollcall__resolution__unpack(NULL, len, body) : NULL;
	if (resolution)
		set_mx(shard, resolution);
	out->resolution = resolution;
	return shard->budget != NULL;
}

static void outgoing_done(struct outgoing *out)
{
	if (out->resolution)
		rollcall__resolution__free_unpacked(out->resolution, NULL);
}

static struct outgoing *outgoing_find(struct outgoing *list, size_t n, uint64_t id)
{
	for (size_t low = 0, high = n; low < high;) {
		size_t mid = (low + high) / 2;

		if (list[mid].id == id)
			return &list[mid];
		if (list[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static int by_id(const void *a, const void *b)
{
	const struct outgoing *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* Lines whose first column is the shard that they belong into. Takes `r`. */
static enum rc_status load(struct leader *leader, struct db_result *r,
			   bool (*add)(struct leader *, struct outgoing *, const struct db_result *,
				       int),
			   struct outgoing *list, size_t n, struct rc_error *err)
{
	enum rc_status status = RC_OK;

	for (int i = 0; i < db_rows(r) && status == RC_OK; i++) {
		struct outgoing *out = outgoing_find(list, n, (uint64_t)db_get_int(r, i, 0));

		if (out && !add(leader, out, r, i))
			status = rc_error_set(err, RC_NO_MEMORY, "no memory for a shard");
	}
	db_result_free(r);
	return status;
}

static enum rc_status load_rows(struct leader *leader, const struct db_result *sent,
				struct outgoing *list, size_t n, struct rc_error *err)
{
	enum rc_status status = RC_OK;
	struct db_result *r;
	struct rc_buf ids;
	int from = 0;

	rc_buf_init(&ids, 0);
	/* The rows of `sent` are in order of their set of tables. */
	while (from < db_rows(sent) && status == RC_OK) {
		const char *set = db_get_text(sent, from, SENT_TABLE_SET);
		bool witnessed = false;

		rc_buf_clear(&ids);
		for (; from < db_rows(sent) &&
		       strcmp(db_get_text(sent, from, SENT_TABLE_SET), set) == 0;
		     from++) {
			db_array_int(&ids, db_get_int(sent, from, SENT_ID));
			witnessed = witnessed || db_get_bool(sent, from, SENT_WITNESSED);
		}
		db_array_end(&ids);
		status = shards_recipients(leader->db, set, &ids, &r, err);
		if (status == RC_OK)
			status = load(leader, r, recipient_add, list, n, err);
		if (status == RC_OK)
			status = shards_domains(leader->db, &ids, &r, err);
		if (status == RC_OK)
			status = load(leader, r, domain_add, list, n, err);
		if (status == RC_OK && witnessed)
			status = shards_witnesses(leader->db, set, &ids, &r, err);
		if (status == RC_OK && witnessed)
			status = load(leader, r, witness_add, list, n, err);
	}
	rc_buf_done(&ids);
	return status;
}

static enum rc_status publish(struct leader *leader, struct outgoing *out, struct rc_error *err)
{
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	struct rc_buf message;
	enum rc_status status;

	rc_buf_init(&message, 0);
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_SHARD;
	envelope.shard = &out->shard;
	status = rc_envelope_pack(leader->seal, RC_TOPIC_SHARDS, &envelope, &message, err);
	if (status == RC_OK)
		status =
		    rc_kafka_produce(leader->producer, RC_TOPIC_SHARDS, (int32_t)out->lane, NULL, 0,
				     message.data, message.len, (void *)(uintptr_t)out->id, err);
	rc_buf_done(&message);
	return status;
}

/* Marks the picked ones as sent, reads what goes into them, commits, and only then publishes. */
static enum rc_status send_picked(struct leader *leader, const struct rc_buf *ids,
				  const struct rc_buf *epochs, size_t *ret_sent,
				  struct rc_error *err)
{
	struct outgoing *list = NULL;
	struct db_result *r = NULL;
	struct rc_buf empty;
	enum rc_status status;
	size_t n = 0;
	bool any_empty = false;

	rc_buf_init(&empty, 0);
	rc_arena_reset(leader->arena);
	status = db_begin(leader->db, err);
	if (status == RC_OK)
		status = shards_send(leader->db, ids, epochs, &r, err);
	if (status == RC_OK) {
		n = (size_t)db_rows(r);
		list = calloc(n + 1, sizeof(*list));
		if (!list)
			status = rc_error_set(err, RC_NO_MEMORY, "no memory for %zu shards", n);
	}
	for (size_t i = 0; i < n && status == RC_OK; i++)
		if (!outgoing_init(leader, &list[i], r, (int)i))
			status = rc_error_set(err, RC_NO_MEMORY, "no memory for a shard");
	if (status == RC_OK) {
		qsort(list, n, sizeof(*list), by_id);
		status = load_rows(leader, r, list, n, err);
	}
	for (size_t i = 0; i < n && status == RC_OK; i++)
		if (list[i].shard.n_recipients == 0 && list[i].shard.n_domains == 0) {
			db_array_int(&empty, (int64_t)list[i].id);
			any_empty = true;
		}
	for (size_t i = 0; i < n && status == RC_OK; i++)
		status = leader_lane_store(leader, list[i].lane,
					   (int64_t)list[i].shard.n_recipients, err);
	if (status == RC_OK && any_empty) {
		db_array_end(&empty);
		status = shards_done(leader->db, &empty, err);
	}
	if (status == RC_OK)
		status = db_commit(leader->db, err);
	if (status != RC_OK)
		db_rollback(leader->db);
	for (size_t i = 0; i < n && status == RC_OK; i++) {
		struct rc_error why;

		leader_lane_sent(leader, list[i].lane, (int64_t)list[i].shard.n_recipients);
		if (list[i].shard.n_recipients == 0 && list[i].shard.n_domains == 0) {
			dispatch_forget(leader->dispatch, list[i].id);
			continue;
		}
		if (publish(leader, &list[i], &why) != RC_OK) {
			rc_log(RC_LOG_WARN, "shard_not_published", "shard=%" PRIu64 " why=\"%s\"",
			       list[i].id, why.text);
			db_array_int(&leader->unsent, (int64_t)list[i].id);
			dispatch_forget(leader->dispatch, list[i].id);
			continue;
		}
		(*ret_sent)++;
	}
	for (size_t i = 0; i < n && list; i++)
		outgoing_done(&list[i]);
	free(list);
	db_result_free(r);
	rc_buf_done(&empty);
	return status;
}

enum rc_status leader_dispatch(struct leader *leader, size_t *ret_sent, struct rc_error *err)
{
	enum rc_status status = RC_OK;
	struct rc_buf ids, epochs;
	struct dispatch_shard shard;
	size_t picked = 0;

	rc_buf_init(&ids, 0);
	rc_buf_init(&epochs, 0);
	*ret_sent = 0;
	for (bool any = true; any && picked < SEND_AT_ONCE;) {
		any = false;
		/* In turns, so that no lane waits for another's window to fill. */
		for (size_t i = 0; i < leader->lane_count && picked < SEND_AT_ONCE; i++) {
			if (!dispatch_pick(leader->dispatch, leader->lanes[i].number,
					   rc_clock_wall_ms(), &shard))
				continue;
			db_array_int(&ids, (int64_t)shard.id);
			db_array_int(&epochs, (int64_t)leader->lanes[i].lease.epoch);
			picked++;
			any = true;
		}
	}
	if (picked > 0) {
		db_array_end(&ids);
		db_array_end(&epochs);
		status = send_picked(leader, &ids, &epochs, ret_sent, err);
	}
	rc_buf_done(&ids);
	rc_buf_done(&epochs);
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * coming back */

enum rc_status leader_landed(struct leader *leader, struct rc_error *err)
{
	enum { AT_ONCE = 8192 };
	uint32_t flying = dispatch_in_flight(leader->dispatch);
	int64_t now_ms = rc_clock_wall_ms();
	struct db_result *r;
	enum rc_status status;
	uint64_t *ids;
	struct rc_buf array;
	size_t n;

	if (flying == 0)
		return RC_OK;
	ids = calloc(AT_ONCE, sizeof(*ids));
	if (!ids)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for the shards in flight");
	n = dispatch_in_flight_ids(leader->dispatch, ids, AT_ONCE);
	rc_buf_init(&array, 0);
	for (size_t i = 0; i < n; i++)
		db_array_int(&array, (int64_t)ids[i]);
	db_array_end(&array);
	status = shards_landed(leader->db, &array, &r, err);
	if (status == RC_OK) {
		for (int i = 0; i < db_rows(r); i++)
			dispatch_done(leader->dispatch, (uint64_t)db_get_int(r, i, 0), now_ms);
		db_result_free(r);
	}
	rc_buf_done(&array);
	free(ids);
	return status;
}

enum rc_status leader_heal(struct leader *leader, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = shards_heal(leader->db, &r, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++)
		dispatch_forget(leader->dispatch, (uint64_t)db_get_int(r, i, 0));
	if (db_rows(r) > 0)
		rc_log(RC_LOG_WARN, "shards_healed", "count=%d", db_rows(r));
	db_result_free(r);
	return RC_OK;
}

enum rc_status leader_unsend(struct leader *leader, struct rc_error *err)
{
	enum rc_status status;

	if (leader->unsent.len == 0)
		return RC_OK;
	db_array_end(&leader->unsent);
	status = shards_unsend(leader->db, &leader->unsent, err);
	/* Should this fail, the database is lost, and whoever leads then sends everything again. */
	rc_buf_clear(&leader->unsent);
	return status;
}
