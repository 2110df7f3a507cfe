/* See judge_parts.h: the end of a batch. */
#include <inttypes.h>

#include "common/base/log.h"
#include "coordinator/judge_parts.h"
#include "coordinator/store/db.h"
#include "coordinator/store/inbox.h"
#include "coordinator/store/writes.h"

void judge_close_memories(struct judge *j)
{
	bool guard = j->context->config->harvest_guard;
	uint8_t memory[HARVEST_STORED];

	for (size_t b = 0; b < JUDGE_BUCKETS; b++) {
		for (struct domain *d = j->domains[b]; d; d = d->next) {
			bool trips =
			    guard && d->harvest.tripped && !d->held && d->state == DOMAIN_PROBING;

			if (!d->changed)
				continue;
			harvest_store(&d->harvest, memory);
			writes_harvest(j->d->writes, d->job, d->no, memory, sizeof(memory), trips,
				       d->rejects_all, d->doubted, d->witness);
			if (trips)
				rc_log(RC_LOG_WARN, "harvest_guard", "job=%" PRId64 " domain=%s",
				       d->job, d->name);
		}
		for (const struct known *k = j->known[b]; k; k = k->next)
			if (k->control_new || k->accepted_new)
				writes_known_control(j->d->writes, k->domain,
						     k->control_new ? k->control : 0,
						     k->control_at_ms, k->control_lane,
						     k->control_new ? k->control_host : NULL,
						     k->accepted_new ? k->accepted_at_ms : 0);
	}
}

enum { OK_STALE_MS = 3600 * 1000, HEALED_AFTER_MS = 600 * 1000 };

void judge_close_health(struct judge *j)
{
	int64_t scale = j->context->schedule.time_scale;

	for (size_t b = 0; b < JUDGE_BUCKETS; b++)
		for (const struct health *h = j->health[b]; h; h = h->next) {
			bool blocked = h->blocked_since_ms > 0;

			if (!*h->group)
				continue;
			if (h->ok_new_ms > 0 &&
			    (blocked || h->ok_new_ms - h->ok_at_ms > OK_STALE_MS))
				writes_health(j->d->writes, h->lane, h->group, h->ok_new_ms, 0);
			else if (h->blocked_new_ms > 0 && !blocked)
				writes_health(j->d->writes, h->lane, h->group, 0,
					      h->blocked_new_ms);
			/* Who throttles answers now and then: that is no recovery. */
			if (h->ok_new_ms > 0 && blocked &&
			    h->ok_new_ms - h->blocked_since_ms > HEALED_AFTER_MS / scale)
				writes_healed(j->d->writes, h->lane, h->group);
		}
}

void judge_close_groups(struct judge *j)
{
	for (size_t b = 0; b < JUDGE_BUCKETS; b++)
		for (const struct group *g = j->groups[b]; g; g = g->next)
			if (g->changed && *g->name)
				writes_window(j->d->writes, g->name, &g->window,
					      *g->passed ? g->passed : NULL);
}

/* Rows that the last part of a shard left without a word go out again, as not probed. */
static enum rc_status write_left(struct judge *j, const char *table_set, const struct rc_buf *ids,
				 struct rc_error *err)
{
	static const struct verdict again = { .wait = VERDICT_WAIT_AT_ONCE,
					      .reason = RC_REASON_NOT_PROBED };
	struct db_result *r;
	enum rc_status status = inbox_left(j->d->db, table_set, ids, &r, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++) {
		struct shard *s = judge_shard(j, (uint64_t)db_get_int(r, i, INBOX_LEFT_SHARD));
		unsigned idle = (unsigned)db_get_int(r, i, INBOX_LEFT_IDLE) + 1,
			 attempt = (unsigned)db_get_int(r, i, INBOX_LEFT_ATTEMPT);
		int64_t first_at_ms = db_get_int(r, i, INBOX_LEFT_FIRST_AT);
		struct write_deferred d = { .job = db_get_int(r, i, INBOX_LEFT_JOB),
					    .uid = db_get_int(r, i, INBOX_LEFT_UID),
					    .domain_no =
						(int32_t)db_get_int(r, i, INBOX_LEFT_DOMAIN_NO),
					    .attempt = attempt,
					    .tries = (unsigned)db_get_int(r, i, INBOX_LEFT_TRIES),
					    .reason =
						db_is_null(r, i, INBOX_LEFT_REASON)
						    ? RC_REASON_NOT_PROBED
						    : (int)db_get_int(r, i, INBOX_LEFT_REASON),
					    .lane = db_get_int(r, i, INBOX_LEFT_LANE),
					    .idle = idle > 1000 ? 1000 : idle,
					    .basis = -1 };

		if (!s)
			continue;
		if (!s->final_current) {
			/* A later sending of it is out: that one has them. */
			s->final = false;
			continue;
		}
		d.first_at_ms = first_at_ms ? first_at_ms : j->d->now_ms;
		d.due_at_ms = judge_due_ms(j, &again, attempt + 1, d.first_at_ms, d.idle);
		writes_deferred(j->d->writes, &d);
	}
	db_result_free(r);
	return status;
}

enum rc_status judge_close_shards(struct judge *j, struct rc_error *err)
{
	struct rc_buf ids, lookups;
	enum rc_status status = RC_OK;
	bool any_lookup = false;

	rc_buf_init(&ids, 0);
	rc_buf_init(&lookups, 0);
	for (size_t b = 0; b < JUDGE_BUCKETS && status == RC_OK; b++)
		for (struct shard *s = j->shards[b]; s && status == RC_OK; s = s->next) {
			if (!s->final)
				continue;
			if (!s->domain) {
				db_array_int(&lookups, (int64_t)s->id);
				any_lookup = true;
				continue;
			}
			/* What came in one piece needs no second look. */
			if (s->answered >= s->n)
				continue;
			rc_buf_clear(&ids);
			db_array_int(&ids, (int64_t)s->id);
			db_array_end(&ids);
			status = write_left(j, s->table_set, &ids, err);
		}
	if (any_lookup && status == RC_OK) {
		db_array_end(&lookups);
		status =
		    inbox_lookups_left(j->d->db, &lookups,
				       j->d->now_ms + (int64_t)SCHEDULE_SOON_S * 1000 /
							  (int64_t)j->context->schedule.time_scale,
				       err);
	}
	for (size_t b = 0; b < JUDGE_BUCKETS && status == RC_OK; b++)
		for (const struct shard *s = j->shards[b]; s; s = s->next)
			if (s->final)
				writes_shard_done(j->d->writes, s->id);
	rc_buf_done(&ids);
	rc_buf_done(&lookups);
	return status;
}

/* Samples of misleading providers that have said what they can. */
enum rc_status judge_close_samples(struct judge *j, struct rc_error *err)
{
	enum rc_status status = RC_OK;

	for (size_t b = 0; b < JUDGE_BUCKETS && status == RC_OK; b++)
		for (struct domain *d = j->domains[b]; d && status == RC_OK; d = d->next) {
			const struct decide_domain domain = { .job = d->job,
							      .class = d->class,
							      .table_set = d->table_set,
							      .domain_no = d->no,
							      .domain = d->name,
							      .first_uid = d->first_uid,
							      .n = d->n,
							      .attempts = d->lookups };
			bool out, waiting, clear = d->harvest.filled > 0;

			if (d->state != DOMAIN_SAMPLING)
				continue;
			status = inbox_sample(j->d->db, d->job, d->no, d->first_uid,
					      d->first_uid + d->n - 1, &out, &waiting, err);
			if (status != RC_OK || out || (waiting && !clear))
				continue;
			status = decide_sample(j->d, &domain, d->provider_name, d->group,
					       d->harvest.refused > 0, err);
		}
	return status;
}
