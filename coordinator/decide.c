/* See decide.h. */
#include "coordinator/decide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core/history.h"
#include "coordinator/core/plan.h"
#include "coordinator/core/risk.h"
#include "coordinator/store/db.h"
#include "coordinator/store/groups.h"
#include "coordinator/store/items.h"
#include "coordinator/store/measured.h"
#include "coordinator/store/writes.h"

enum {
	WRITES_AT_ONCE = 10000,
	PACED_SHARD_MINUTES =
	    3 /* of a paced group's rate: what a shard may hold so that it ends within its life */
};

uint64_t decide_rules(const struct context *context)
{
	return strtoull(rc_rules_version(context->rules), NULL, 16);
}

enum rc_reason decide_cause(enum rc_reason deferred_for)
{
	return deferred_for == RC_REASON_NOT_PROBED ||
		       rc_reason_status(deferred_for) == RC_RESULT_INVALID
		   ? RC_REASON_DEADLINE
		   : deferred_for;
}

void decide_lists(const struct context *context, const char *domain, const char *local, size_t len,
		  struct verdict_input *in)
{
	in->role = lists_is_role(context->lists, local, len);
	in->disposable = lists_is_disposable(context->lists, domain);
	in->free = lists_is_free(context->lists, domain);
	if (lists_do_not_probe(context->lists, domain, NULL, NULL))
		in->do_not_probe = true;
}

const char *decide_meant(const char *meant, const char *local, size_t len,
			 char room[DECIDE_MEANT_MAX])
{
	if (!meant || len + strlen(meant) + 2 > DECIDE_MEANT_MAX)
		return NULL;
	snprintf(room, DECIDE_MEANT_MAX, "%.*s@%s", (int)len, local, meant);
	return room;
}

static enum rc_status relieve(const struct decide *d, struct rc_error *err)
{
	if (writes_rows(d->writes) < WRITES_AT_ONCE)
		return RC_OK;
	return writes_flush(d->writes, d->db, d->counter, err);
}

/* What the row's last attempt rested on; but the reason was given without its answer. */
static int64_t closed(int64_t basis)
{
	struct history history;

	history_unpack(basis, &history);
	history.closed = true;
	return history_pack(&history);
}

static void one_row(const struct decide *d, const char *table_set, int64_t job, const char *domain,
		    const char *meant, const struct db_result *r, int i,
		    const struct verdict_input *template, enum rc_reason reason, const char *mx)
{
	struct verdict_input in = *template;
	bool deferred = !db_is_null(r, i, ITEM_REASON);
	enum rc_reason its = reason;
	char meant_room[DECIDE_MEANT_MAX];
	struct verdict v;

	decide_lists(d->context, domain, db_get_text(r, i, ITEM_LOCAL),
		     db_get_len(r, i, ITEM_LOCAL), &in);
	verdict_row(&in, d->context->scores, &v);
	if (reason == RC_REASON_DEADLINE && deferred)
		its = decide_cause((enum rc_reason)db_get_int(r, i, ITEM_REASON));
	if (!v.final || reason == RC_REASON_DEADLINE)
		verdict_of_reason(its, &in, d->context->scores, &v);
	const struct write_result row = {
		.job = job,
		.uid = db_get_int(r, i, ITEM_UID),
		.reason = (int)v.reason,
		.flags = v.flags,
		.score = v.score,
		.smtp_code = deferred ? (unsigned)db_get_int(r, i, ITEM_CODE) : 0,
		.enhanced = deferred ? db_get_text(r, i, ITEM_ENHANCED) : NULL,
		.provider = in.provider ? in.provider->name : NULL,
		.mx = deferred ? db_get_text(r, i, ITEM_MX) : mx,
		.attempts = deferred ? (unsigned)db_get_int(r, i, ITEM_TRIES) : 0,
		.lane = deferred ? db_get_int(r, i, ITEM_LANE) : -1,
		.did_you_mean = decide_meant(meant, db_get_text(r, i, ITEM_LOCAL),
					     db_get_len(r, i, ITEM_LOCAL), meant_room),
		.rule = v.rule,
		.checked_at_ms = d->now_ms,
		.shard = deferred ? (uint64_t)db_get_int(r, i, ITEM_SHARD) : 0,
		.sending = deferred ? (uint32_t)db_get_int(r, i, ITEM_SENDING) : 0,
		.part = deferred ? (uint32_t)db_get_int(r, i, ITEM_PART) : 0,
		.basis = deferred && !db_is_null(r, i, ITEM_BASIS)
			     ? closed(db_get_int(r, i, ITEM_BASIS))
			     : -1,
		.rules = decide_rules(d->context),
		.was_deferred = deferred,
	};

	writes_result(d->writes, table_set, &row);
}

enum rc_status decide_rows(const struct decide *d, const char *table_set, int64_t job,
			   const char *domain, int64_t first_uid, int64_t last_uid, bool undeferred,
			   const struct verdict_input *in, enum rc_reason reason, const char *mx,
			   struct rc_error *err)
{
	const char *meant = lists_did_you_mean(d->context->lists, domain);
	struct verdict_input known = *in;
	enum rc_status status =
	    measured_of_job(d->measured, d->db, job, d->now_ms, &known.measured, err);

	while (first_uid <= last_uid && status == RC_OK) {
		struct db_result *r;
		int rows;

		status =
		    items_open(d->db, table_set, job, first_uid, last_uid, undeferred, &r, err);
		if (status != RC_OK)
			return status;
		rows = db_rows(r);
		for (int i = 0; i < rows; i++)
			one_row(d, table_set, job, domain, meant, r, i, &known, reason, mx);
		if (rows > 0)
			first_uid = db_get_int(r, rows - 1, ITEM_UID) + 1;
		db_result_free(r);
		status = relieve(d, err);
		if (rows < ITEMS_PAGE)
			break;
	}
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * look-ups */

/* The Resolution as a message of its own; NULL without memory. free() it. */
static uint8_t *packed(const Rollcall__Resolution *resolution, size_t *ret_len)
{
	size_t len = rollcall__resolution__get_packed_size(resolution);
	uint8_t *out = malloc(len + 1);

	if (out)
		*ret_len = rollcall__resolution__pack(resolution, out);
	return out;
}

bool decide_forbidden(const struct context *context, const char *domain,
		      const Rollcall__Resolution *r)
{
	if (lists_do_not_probe(context->lists, domain, NULL, NULL))
		return true;
	for (size_t i = 0; i < r->n_mx; i++) {
		if (lists_do_not_probe(context->lists, NULL, r->mx[i]->host, NULL))
			return true;
		for (size_t j = 0; j < r->mx[i]->n_addresses; j++)
			if (lists_do_not_probe(context->lists, NULL, NULL, r->mx[i]->addresses[j]))
				return true;
	}
	return false;
}

static const char *first_host(const Rollcall__Resolution *r)
{
	const Rollcall__MxHost *best = NULL;

	for (size_t i = 0; i < r->n_mx; i++)
		if (!best || r->mx[i]->preference < best->preference)
			best = r->mx[i];
	return best ? best->host : NULL;
}

static uint32_t shard_size(const struct context *context, const struct rc_provider *provider)
{
	const struct rc_provider *p =
	    provider ? provider : rc_providers_default(context->providers);
	uint32_t size = PLAN_SHARD_MAX;

	if (context->config->pace && p->recipients_per_minute > 0 &&
	    p->recipients_per_minute * PACED_SHARD_MINUTES < size)
		size = p->recipients_per_minute * PACED_SHARD_MINUTES;
	return size < 1 ? 1 : size;
}

/* First attempts for all rows of the domain, in shards of contiguous uids. */
static enum rc_status shards_for_all(const struct decide *d, const struct decide_domain *domain,
				     const struct rc_provider *provider, const char *group,
				     unsigned families, int64_t *ret_lane, struct rc_error *err)
{
	uint32_t size = shard_size(d->context, provider), lanes[GROUPS_SLOTS_MAX];
	enum rc_status status;
	size_t lane_count;

	status = groups_lanes(d->groups, d->db, group, provider ? provider->lanes : 1, families,
			      d->now_ms, lanes, &lane_count, err);
	for (uint32_t at = 0; at < domain->n && status == RC_OK; at += size) {
		uint32_t slot = plan_slot(domain->domain, (uint64_t)(domain->first_uid + at),
					  (uint32_t)lane_count);
		const struct write_shard shard = {
			.job = domain->job,
			.class = domain->class,
			.lane = lanes[slot],
			.domain_no = domain->domain_no,
			.mx_group = group,
			.first_uid = domain->first_uid + at,
			.n = domain->n - at < size ? domain->n - at : size,
		};

		if (at == 0)
			*ret_lane = lanes[slot];
		writes_shard(d->writes, &shard);
		status = relieve(d, err);
	}
	return status;
}

static enum rc_status shards_for_sample(const struct decide *d, const struct decide_domain *domain,
					const struct rc_provider *provider, const char *group,
					unsigned families, int64_t *ret_lane, bool *ret_any,
					struct rc_error *err)
{
	uint32_t count = plan_sample_count(domain->n, provider->sample_per_mille);
	uint32_t size = shard_size(d->context, provider), lanes[GROUPS_SLOTS_MAX];
	int64_t uids[PLAN_SHARD_MAX], from[PLAN_SHARD_MAX], to[PLAN_SHARD_MAX];
	enum rc_status status;
	size_t lane_count;

	status = groups_lanes(d->groups, d->db, group, provider->lanes, families, d->now_ms, lanes,
			      &lane_count, err);
	for (uint32_t at = 0; at < count && status == RC_OK; at += size) {
		uint32_t n = count - at < size ? count - at : size;
		struct write_shard shard = {
			.job = domain->job,
			.class = domain->class,
			.lane =
			    lanes[plan_slot(domain->domain, (uint64_t)at, (uint32_t)lane_count)],
			.domain_no = domain->domain_no,
			.mx_group = group,
			.uids = uids,
		};
		size_t open;

		/* Evenly spread; of each stretch the first that is not decided already. */
		for (uint32_t i = 0; i < n; i++) {
			from[i] = (int64_t)plan_sample_uid((uint64_t)domain->first_uid, domain->n,
							   count, at + i);
			to[i] = (int64_t)plan_sample_uid((uint64_t)domain->first_uid, domain->n,
							 count, at + i + 1);
		}
		status = items_sample(d->db, domain->table_set, domain->job, from, to, n, uids,
				      &open, err);
		if (at == 0)
			*ret_lane = shard.lane;
		if (status != RC_OK || open == 0)
			continue;
		*ret_any = true;
		shard.n = (uint32_t)open;
		writes_shard(d->writes, &shard);
		status = relieve(d, err);
	}
	return status;
}

static enum rc_status probe(const struct decide *d, const struct decide_domain *domain,
			    const Rollcall__Resolution *resolution, struct write_domain *write,
			    struct rc_error *err)
{
	const struct rc_provider *provider =
	    plan_provider(d->context->providers, domain->domain, resolution);
	const unsigned families = plan_families(resolution);
	char group[PLAN_GROUP_MAX];
	enum rc_status status;

	plan_mx_group(provider, resolution, group);
	write->mx_group = group;
	write->provider = provider ? provider->name : NULL;
	if (provider && provider->honesty == RC_MISLEADING) {
		bool any = false;

		status = shards_for_sample(d, domain, provider, group, families, &write->lane, &any,
					   err);
		write->state = any ? DOMAIN_SAMPLING : DOMAIN_DECIDED; /* by lists alone */
	} else {
		write->state = DOMAIN_PROBING;
		status = shards_for_all(d, domain, provider, group, families, &write->lane, err);
	}
	if (status == RC_OK)
		writes_domain(d->writes, write);
	return status;
}

static bool worth_knowing(const Rollcall__Resolution *r)
{
	return r->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX ||
	       r->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_IMPLICIT ||
	       r->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_NULL_MX;
}

enum rc_status decide_resolution(const struct decide *d, const struct decide_domain *domain,
				 const Rollcall__Resolution *resolution, bool cached,
				 struct rc_error *err)
{
	bool servers = resolution->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX ||
		       resolution->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_IMPLICIT;
	struct write_domain write = {
		.job = domain->job,
		.domain_no = domain->domain_no,
		.state = DOMAIN_DECIDED,
		.attempts = domain->attempts + 1,
		.first_at_ms = domain->first_at_ms ? domain->first_at_ms : d->now_ms,
		.lane = -1,
	};
	struct verdict_input in = { 0 };
	enum rc_status status = RC_OK;
	struct verdict v;
	uint8_t *body;

	body = packed(resolution, &write.resolution_len);
	if (!body)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for a domain's mail servers");
	write.resolution = body;
	write.risk = risk_of_servers(d->context->lists, resolution);
	in.domain_risk = write.risk != 0;
	in.provider = plan_provider(d->context->providers, domain->domain, resolution);
	if (!cached && worth_knowing(resolution)) {
		char group[PLAN_GROUP_MAX];

		plan_mx_group(in.provider, resolution, group);
		writes_known_resolution(
		    d->writes, domain->domain, body, write.resolution_len, resolution->ttl_s,
		    d->now_ms, in.provider ? in.provider->name : NULL, servers ? group : NULL);
	}
	in.domain = (enum verdict_domain)resolution->state;
	in.domain_confirmed = domain->before == VERDICT_DOMAIN_NOT_FOUND;
	in.attempt = write.attempts;
	in.attempts_max = schedule_attempts(&d->context->schedule);
	in.disposable = lists_is_disposable(d->context->lists, domain->domain);
	in.do_not_probe = servers && decide_forbidden(d->context, domain->domain, resolution);
	if (servers && !in.do_not_probe && !in.disposable) {
		status = probe(d, domain, resolution, &write, err);
		goto out;
	}
	verdict_row(&in, d->context->scores, &v);
	if (!v.final && !servers) {
		write.state = DOMAIN_TO_RESOLVE_AGAIN;
		write.due_at_ms = schedule_due_ms(&d->context->schedule, v.wait, write.attempts,
						  v.not_before_s, write.first_at_ms, d->now_ms);
		writes_domain(d->writes, &write);
		goto out;
	}
	writes_domain(d->writes, &write);
	status = decide_rows(d, domain->table_set, domain->job, domain->domain, domain->first_uid,
			     domain->first_uid + domain->n - 1, false, &in, v.reason,
			     first_host(resolution), err);
out:
	free(body);
	return status;
}

enum rc_status decide_sample(const struct decide *d, const struct decide_domain *domain,
			     const char *provider_name, const char *group, bool refusals,
			     struct rc_error *err)
{
	const struct rc_provider *provider =
	    rc_providers_find(d->context->providers, provider_name);
	struct write_domain write = { .job = domain->job,
				      .domain_no = domain->domain_no,
				      .state = DOMAIN_DECIDED,
				      .attempts = domain->attempts,
				      .lane = -1 };
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .provider = provider };
	enum rc_status status;

	if (refusals) {
		/* The sample's own rows stand in these shards too: what has a result or waits is
		 * left out when they leave. */
		write.state = DOMAIN_PROBING;
		status = shards_for_all(d, domain, provider, group, 0, &write.lane, err);
	} else {
		status = decide_rows(d, domain->table_set, domain->job, domain->domain,
				     domain->first_uid, domain->first_uid + domain->n - 1, true,
				     &in, RC_REASON_PROVIDER_ACCEPTS_ALL, NULL, err);
	}
	if (status == RC_OK)
		writes_domain(d->writes, &write);
	return status;
}
