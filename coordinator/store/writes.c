/* See writes.h. */
#include "coordinator/store/writes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core/window.h"
#include "coordinator/store/batch.h"
#include "coordinator/store/db.h"

enum { TABLE_SET_MAX = 24, RESULT_COLUMNS = 19 };

/* The results of one set of tables. */
struct results {
	struct results *next;
	char table_set[TABLE_SET_MAX];
	struct batch rows;
};

struct writes {
	struct results *results;
	struct batch done_deferred; /* job, uid */
	struct batch deferred;
	struct batch domains;
	struct batch shards;
	struct batch reports;
	struct batch shards_done;
	struct batch harvest;
	struct batch held; /* job, domain_no */
	struct batch controls;
	struct batch resolutions;
	struct batch holds;
	struct batch lanes_well; /* lane, mx_group: on probation, and received again */
	struct batch history;
	struct batch health;
	struct batch healed; /* lane, mx_group */
	struct batch windows;
	struct rc_buf uids;
};

struct writes *writes_new(void)
{
	struct writes *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	batch_init(&w->done_deferred, 2);
	batch_init(&w->deferred, 22);
	batch_init(&w->domains, 11);
	batch_init(&w->shards, 9);
	batch_init(&w->reports, 4);
	batch_init(&w->shards_done, 1);
	batch_init(&w->harvest, 6);
	batch_init(&w->held, 2);
	batch_init(&w->controls, 6);
	batch_init(&w->resolutions, 6);
	batch_init(&w->holds, 6);
	batch_init(&w->lanes_well, 2);
	batch_init(&w->history, 9);
	batch_init(&w->health, 4);
	batch_init(&w->healed, 2);
	batch_init(&w->windows, 9);
	rc_buf_init(&w->uids, 0);
	return w;
}

static struct batch *nth(struct writes *w, int i)
{
	struct batch *all[] = { &w->done_deferred, &w->deferred,    &w->domains, &w->shards,
				&w->reports,	   &w->shards_done, &w->harvest, &w->held,
				&w->controls,	   &w->resolutions, &w->holds,	 &w->lanes_well,
				&w->history,	   &w->health,	    &w->healed,	 &w->windows };

	return i < (int)(sizeof(all) / sizeof(*all)) ? all[i] : NULL;
}

static void results_free(struct writes *w)
{
	while (w->results) {
		struct results *r = w->results;

		w->results = r->next;
		batch_done(&r->rows);
		free(r);
	}
}

void writes_free(struct writes *w)
{
	if (!w)
		return;
	for (int i = 0; nth(w, i); i++)
		batch_done(nth(w, i));
	results_free(w);
	rc_buf_done(&w->uids);
	free(w);
}

void writes_clear(struct writes *w)
{
	for (int i = 0; nth(w, i); i++)
		batch_clear(nth(w, i));
	results_free(w);
}

size_t writes_rows(const struct writes *w)
{
	size_t rows = 0;

	for (int i = 0; nth((struct writes *)w, i); i++)
		rows += nth((struct writes *)w, i)->rows;
	for (const struct results *r = w->results; r; r = r->next)
		rows += r->rows.rows;
	return rows;
}

/* ------------------------------------------------------------------------------------------------
 * collecting */

static struct batch *results_of(struct writes *w, const char *table_set)
{
	struct results *r;

	for (r = w->results; r; r = r->next)
		if (strcmp(r->table_set, table_set) == 0)
			return &r->rows;
	r = calloc(1, sizeof(*r));
	if (!r)
		abort(); /* a few hundred octets: there is no going on without */
	snprintf(r->table_set, sizeof(r->table_set), "%s", table_set);
	batch_init(&r->rows, RESULT_COLUMNS);
	r->next = w->results;
	w->results = r;
	return &r->rows;
}

static void int_or_null(struct batch *b, int64_t value, bool none)
{
	if (none)
		batch_null(b);
	else
		batch_int(b, value);
}

static const char *text_or_null(const char *text)
{
	return text && *text ? text : NULL;
}

void writes_result(struct writes *w, const char *table_set, const struct write_result *r)
{
	struct batch *b = results_of(w, table_set);

	batch_int(b, r->job);
	batch_int(b, r->uid);
	batch_int(b, r->reason);
	batch_int(b, r->flags);
	int_or_null(b, r->score, r->score < 0);
	int_or_null(b, r->smtp_code, r->smtp_code == 0);
	batch_text(b, text_or_null(r->enhanced));
	batch_text(b, text_or_null(r->provider));
	batch_text(b, text_or_null(r->mx));
	batch_text(b, text_or_null(r->did_you_mean));
	batch_int(b, r->attempts);
	int_or_null(b, r->lane, r->lane < 0);
	batch_text(b, text_or_null(r->rule));
	batch_when(b, r->checked_at_ms);
	int_or_null(b, (int64_t)r->shard, r->shard == 0);
	int_or_null(b, r->part, r->shard == 0);
	int_or_null(b, r->sending, r->shard == 0);
	int_or_null(b, r->basis, r->basis < 0);
	batch_int(b, (int64_t)r->rules);
	if (r->was_deferred) {
		batch_int(&w->done_deferred, r->job);
		batch_int(&w->done_deferred, r->uid);
	}
}

void writes_deferred(struct writes *w, const struct write_deferred *r)
{
	struct batch *b = &w->deferred;

	batch_int(b, r->job);
	batch_int(b, r->uid);
	batch_int(b, r->domain_no);
	batch_int(b, r->attempt);
	batch_int(b, r->tries);
	batch_int(b, r->reason);
	batch_when(b, r->first_at_ms);
	batch_when(b, r->due_at_ms);
	batch_int(b, r->lane);
	batch_text(b, text_or_null(r->mx_host));
	batch_text(b, text_or_null(r->mx_address));
	batch_octets(b, r->control_local_len ? r->control_local : NULL, r->control_local_len);
	batch_bool(b, r->need_control);
	batch_int(b, r->idle);
	int_or_null(b, r->smtp_code, r->smtp_code == 0);
	batch_text(b, text_or_null(r->enhanced));
	int_or_null(b, (int64_t)r->evidence_shard, r->evidence_shard == 0);
	int_or_null(b, r->evidence_part, r->evidence_shard == 0);
	batch_null(b);
	int_or_null(b, r->evidence_sending, r->evidence_shard == 0);
	int_or_null(b, r->basis, r->basis < 0);
	batch_bool(b, r->healing);
}

void writes_history(struct writes *w, const struct write_history *h)
{
	struct batch *b = &w->history;

	batch_int(b, h->tenant);
	batch_text(b, h->domain);
	batch_octets(b, h->local, h->local_len);
	batch_int(b, h->job);
	batch_int(b, h->uid);
	batch_int(b, h->reason);
	batch_int(b, h->control);
	int_or_null(b, h->lane, h->lane < 0);
	batch_when(b, h->checked_at_ms);
}

void writes_health(struct writes *w, int64_t lane, const char *mx_group, int64_t ok_at_ms,
		   int64_t blocked_since_ms)
{
	batch_int(&w->health, lane);
	batch_text(&w->health, mx_group);
	batch_when(&w->health, ok_at_ms);
	batch_when(&w->health, blocked_since_ms);
}

void writes_healed(struct writes *w, int64_t lane, const char *mx_group)
{
	batch_int(&w->healed, lane);
	batch_text(&w->healed, mx_group);
}

void writes_window(struct writes *w, const char *mx_group, const struct window *window,
		   const char *passed_domain)
{
	batch_text(&w->windows, mx_group);
	batch_int(&w->windows, window->too_early_s);
	batch_int(&w->windows, window->enough_s);
	batch_int(&w->windows, window->passes);
	batch_int(&w->windows, window->refusals);
	batch_int(&w->windows, window->late);
	batch_int(&w->windows, (int64_t)window->key);
	batch_when(&w->windows, window->seen_at_ms);
	batch_text(&w->windows, passed_domain);
}

void writes_domain(struct writes *w, const struct write_domain *d)
{
	struct batch *b = &w->domains;

	batch_int(b, d->job);
	batch_int(b, d->domain_no);
	batch_int(b, d->state);
	batch_int(b, d->attempts);
	batch_when(b, d->first_at_ms);
	batch_when(b, d->due_at_ms);
	batch_text(b, d->mx_group);
	batch_text(b, d->provider);
	int_or_null(b, d->lane, d->lane < 0);
	batch_bytes(b, d->resolution, d->resolution_len);
	batch_int(b, d->risk);
}

void writes_shard(struct writes *w, const struct write_shard *s)
{
	struct batch *b = &w->shards;

	batch_int(b, s->job);
	batch_int(b, s->class);
	batch_int(b, s->lane);
	batch_int(b, s->domain_no);
	batch_text(b, s->mx_group);
	int_or_null(b, s->first_uid, s->uids != NULL);
	batch_int(b, s->n);
	if (s->uids) {
		rc_buf_clear(&w->uids);
		for (uint32_t i = 0; i < s->n; i++)
			db_array_int(&w->uids, s->uids[i]);
		db_array_end(&w->uids);
		batch_octets(b, w->uids.data, w->uids.len);
	} else {
		batch_null(b);
	}
	batch_int(b, s->held ? SHARD_HELD : SHARD_QUEUED);
}

void writes_report(struct writes *w, uint64_t shard, uint32_t attempt, uint32_t part,
		   const void *body, size_t len)
{
	batch_int(&w->reports, (int64_t)shard);
	batch_int(&w->reports, attempt);
	batch_int(&w->reports, part);
	batch_bytes(&w->reports, body, len);
}

void writes_shard_done(struct writes *w, uint64_t shard)
{
	batch_int(&w->shards_done, (int64_t)shard);
}

void writes_harvest(struct writes *w, int64_t job, int32_t domain_no, const void *memory,
		    size_t len, bool tripped, bool rejects_all, bool doubted, int64_t witness)
{
	batch_int(&w->harvest, job);
	batch_int(&w->harvest, domain_no);
	batch_bytes(&w->harvest, memory, len);
	batch_bool(&w->harvest, rejects_all);
	batch_bool(&w->harvest, doubted);
	batch_int(&w->harvest, witness);
	if (tripped) {
		batch_int(&w->held, job);
		batch_int(&w->held, domain_no);
	}
}

void writes_known_control(struct writes *w, const char *domain, int control, int64_t control_at_ms,
			  int64_t control_lane, const char *control_host, int64_t accepted_at_ms)
{
	struct batch *b = &w->controls;

	batch_text(b, domain);
	int_or_null(b, control, control == 0);
	batch_when(b, control == 0 ? 0 : control_at_ms);
	int_or_null(b, control_lane, control == 0);
	batch_when(b, accepted_at_ms);
	batch_text(b, control_host && *control_host ? control_host : NULL);
}

void writes_known_resolution(struct writes *w, const char *domain, const void *resolution,
			     size_t len, uint32_t ttl_s, int64_t resolved_at_ms,
			     const char *provider, const char *mx_group)
{
	struct batch *b = &w->resolutions;

	batch_text(b, domain);
	batch_bytes(b, resolution, len);
	batch_int(b, ttl_s);
	batch_when(b, resolved_at_ms);
	batch_text(b, provider);
	batch_text(b, mx_group);
}

void writes_hold(struct writes *w, int64_t lane, const char *mx_group, int64_t until_ms, int health,
		 bool strike, const char *why)
{
	batch_int(&w->holds, lane);
	batch_text(&w->holds, mx_group);
	batch_when(&w->holds, until_ms);
	batch_int(&w->holds, health);
	batch_int(&w->holds, strike);
	batch_text(&w->holds, why);
}

void writes_lane_well(struct writes *w, int64_t lane, const char *mx_group)
{
	batch_int(&w->lanes_well, lane);
	batch_text(&w->lanes_well, mx_group);
}

/* ------------------------------------------------------------------------------------------------
 * writing */

static const char reports_sql[] = "INSERT INTO report (shard, attempt, part, body) SELECT * FROM "
				  "unnest($1::bigint[], $2::int[], $3::int[], $4::bytea[])"
				  " ON CONFLICT DO NOTHING";

/* A block that has ended and comes again is one more; what slows a lane down takes no block away,
 * and who waits along with a greylister slows nobody down. Only 1, 2 and 4 of enum lane_health are
 * written here. */
static const char holds_sql[] =
    "INSERT INTO lane_hold AS h (lane, mx_group, until, health, strikes, why)"
    " SELECT lane, mx_group, max(until), CASE WHEN bool_or(health = 2) THEN 2 WHEN bool_or(health "
    "= 1) THEN 1 ELSE 4 END, max(strike),"
    " (array_agg(why ORDER BY health = 2 DESC, health))[1]"
    " FROM unnest($1::int[], $2::text[], $3::timestamptz[], $4::smallint[], $5::int[], $6::text[])"
    " AS u(lane, mx_group, until, health, strike, why) GROUP BY 1, 2 ORDER BY 1, 2"
    " ON CONFLICT (lane, mx_group) DO UPDATE SET"
    " until = CASE WHEN excluded.health <> 2 OR h.health = 2 AND h.until > now()"
    " THEN greatest(h.until, excluded.until) ELSE excluded.until END,"
    " strikes = h.strikes + CASE WHEN h.health = 2 AND h.until > now() THEN 0 ELSE "
    "excluded.strikes END,"
    " since = CASE WHEN excluded.health = 2 AND NOT (h.health = 2 AND h.until > now())"
    " OR h.health IN (1, 4) AND h.until <= now() THEN now() ELSE h.since END,"
    " why = CASE WHEN excluded.health = 2 OR h.health IN (1, 4) AND (h.health = 4 OR "
    "excluded.health = 1 OR h.until <= now()) THEN excluded.why ELSE h.why END,"
    " health = CASE WHEN excluded.health = 2 THEN 2 WHEN h.health IN (2, 3) THEN h.health"
    " WHEN h.health = 4 OR h.until <= now() THEN excluded.health ELSE h.health END";

static const char domains_sql[] =
    "UPDATE job_domain d SET state = u.state, attempts = u.attempts, first_at = "
    "coalesce(d.first_at, u.first_at), due_at = u.due_at,"
    " mx_group = coalesce(u.mx_group, d.mx_group), provider = coalesce(u.provider, d.provider), "
    "lane = coalesce(u.lane, d.lane),"
    " resolution = coalesce(u.resolution, d.resolution),"
    " risk = CASE WHEN u.resolution IS NULL THEN d.risk ELSE u.risk END"
    " FROM unnest($1::bigint[], $2::int[], $3::smallint[], $4::smallint[], $5::timestamptz[], "
    "$6::timestamptz[], $7::text[],"
    " $8::text[], $9::int[], $10::bytea[], $11::smallint[])"
    " AS u(job, domain_no, state, attempts, first_at, due_at, mx_group, provider, lane, "
    "resolution, risk)"
    " WHERE d.job = u.job AND d.domain_no = u.domain_no";

static const char shards_sql[] =
    "INSERT INTO shard (job, kind, class, lane, domain_no, mx_group, first_uid, n, uids, attempts, "
    "state)"
    " SELECT u.job, 1, u.class, u.lane, u.domain_no, u.mx_group, u.first_uid, u.n, "
    "u.uids::bigint[],"
    " CASE WHEN u.uids IS NOT NULL THEN array_fill(1::smallint, ARRAY[u.n]) END, u.state"
    " FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::int[], $5::text[], $6::bigint[], "
    "$7::int[], $8::text[], $9::smallint[])"
    " AS u(job, class, lane, domain_no, mx_group, first_uid, n, uids, state)";

static const char deferred_sql[] =
    "INSERT INTO deferred AS d (job, uid, domain_no, attempt, tries, reason, first_at, due_at, "
    "lane, mx_host, mx_address,"
    " control_local, need_control, idle, smtp_code, enhanced, evidence_shard, evidence_part, "
    "shard, "
    "evidence_sending, basis, healing)"
    " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[], $5::smallint[], "
    "$6::smallint[], $7::timestamptz[],"
    " $8::timestamptz[], $9::int[], $10::text[], $11::text[], $12::text[], $13::boolean[], "
    "$14::smallint[], $15::smallint[],"
    " $16::text[], $17::bigint[], $18::int[], $19::bigint[], $20::int[], $21::bigint[], "
    "$22::boolean[])"
    " ON CONFLICT (job, uid) DO UPDATE SET attempt = excluded.attempt, tries = excluded.tries, "
    "reason = excluded.reason,"
    " first_at = excluded.first_at, due_at = excluded.due_at, lane = excluded.lane, mx_host = "
    "coalesce(excluded.mx_host, d.mx_host),"
    " mx_address = coalesce(excluded.mx_address, d.mx_address), control_local = "
    "excluded.control_local,"
    " need_control = excluded.need_control, idle = excluded.idle, smtp_code = "
    "coalesce(excluded.smtp_code, d.smtp_code),"
    " enhanced = coalesce(excluded.enhanced, d.enhanced), evidence_shard = "
    "coalesce(excluded.evidence_shard, d.evidence_shard),"
    " evidence_part = coalesce(excluded.evidence_part, d.evidence_part), evidence_sending = "
    "coalesce(excluded.evidence_sending, d.evidence_sending), basis = coalesce(excluded.basis, "
    "d.basis), healing = excluded.healing, shard = NULL";

static const char controls_sql[] =
    "INSERT INTO domain_knowledge AS k (domain, control, control_at, control_lane, accepted_at, "
    "control_host)"
    " SELECT * FROM unnest($1::text[], $2::smallint[], $3::timestamptz[], $4::int[], "
    "$5::timestamptz[], $6::text[]) u ORDER BY 1"
    " ON CONFLICT (domain) DO UPDATE SET control = coalesce(excluded.control, k.control),"
    " control_at = coalesce(excluded.control_at, k.control_at), control_lane = "
    "coalesce(excluded.control_lane, k.control_lane), control_host = CASE WHEN excluded.control "
    "IS NULL THEN k.control_host ELSE excluded.control_host END,"
    " accepted_at = greatest(excluded.accepted_at, k.accepted_at)";

static const char resolutions_sql[] =
    "INSERT INTO domain_knowledge AS k (domain, resolution, ttl_s, resolved_at, provider, mx_group)"
    " SELECT DISTINCT ON (1) * FROM unnest($1::text[], $2::bytea[], $3::int[], $4::timestamptz[], "
    "$5::text[], $6::text[]) u ORDER BY 1"
    " ON CONFLICT (domain) DO UPDATE SET resolution = excluded.resolution, resolved_at = "
    "excluded.resolved_at, ttl_s = excluded.ttl_s, provider = excluded.provider, mx_group = "
    "excluded.mx_group";

static const char history_sql[] =
    "INSERT INTO address_history (tenant, domain_key, address_key, job, uid, reason, control, "
    "lane, "
    "checked_at)"
    " SELECT tenant, domain_key(domain), address_key(local, domain), job, uid, reason, control, "
    "lane, checked_at"
    " FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::smallint[], "
    "$7::smallint[], $8::int[], $9::timestamptz[])"
    " AS u(tenant, domain, local, job, uid, reason, control, lane, checked_at)";

static const char health_sql[] =
    "INSERT INTO lane_health AS h (lane, mx_group, ok_at, blocked_since)"
    " SELECT lane, mx_group, max(ok_at), min(blocked_since) FROM unnest($1::int[], $2::text[], "
    "$3::timestamptz[], $4::timestamptz[])"
    " AS u(lane, mx_group, ok_at, blocked_since) GROUP BY 1, 2 ORDER BY 1, 2"
    " ON CONFLICT (lane, mx_group) DO UPDATE SET ok_at = greatest(h.ok_at, excluded.ok_at),"
    " blocked_since = CASE WHEN excluded.blocked_since IS NULL THEN NULL"
    " ELSE coalesce(h.blocked_since, excluded.blocked_since) END";

static const char healed_sql[] =
    "UPDATE deferred f SET due_at = least(f.due_at, now())"
    " FROM unnest($1::int[], $2::text[]) AS u(lane, mx_group), job_domain d"
    " WHERE f.lane = u.lane AND f.healing AND f.shard IS NULL AND d.job = f.job"
    " AND d.domain_no = f.domain_no AND d.mx_group = u.mx_group";

/* Two sinks may have seen the same group at the same time: the last one is believed. */
static const char windows_sql[] =
    "INSERT INTO greylist_window AS w (mx_group, too_early_s, enough_s, passes, refusals, late, "
    "key, "
    "seen_at, passed_domain)"
    " SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
    "$6::int[], $7::smallint[], $8::timestamptz[], $9::text[])"
    " AS u(mx_group, too_early_s, enough_s, passes, refusals, late, key, seen_at, passed_domain)"
    " ORDER BY mx_group"
    " ON CONFLICT (mx_group) DO UPDATE SET too_early_s = excluded.too_early_s, enough_s = "
    "excluded.enough_s, passes = excluded.passes, refusals = excluded.refusals, late = "
    "excluded.late,"
    " key = excluded.key, seen_at = excluded.seen_at, passed_domain = "
    "coalesce(excluded.passed_domain, w.passed_domain)";

static enum rc_status flush_results(struct results *r, struct db *db, int counter,
				    struct rc_error *err)
{
	char sql[1600];

	snprintf(sql, sizeof(sql),
		 "WITH added AS (INSERT INTO result%s (job, uid, reason, flags, score, smtp_code, "
		 "enhanced, provider, mx, did_you_mean,"
		 " attempts, lane, rule, checked_at, shard, part, sending, basis, rules)"
		 " SELECT job, uid, reason, flags, score, smtp_code, enhanced, provider, mx, "
		 "did_you_mean, attempts, lane, rule,"
		 " checked_at, shard, part, sending, basis, rules"
		 " FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::int[], "
		 "$5::smallint[], $6::smallint[], $7::text[],"
		 " $8::text[], $9::text[], $10::text[], $11::smallint[], $12::int[], $13::text[], "
		 "$14::timestamptz[], $15::bigint[],"
		 " $16::int[], $17::int[], $18::bigint[], $19::bigint[]) AS u(job, uid, reason, "
		 "flags, score, smtp_code, "
		 "enhanced, provider, mx, did_you_mean,"
		 " attempts, lane, rule, checked_at, shard, part, sending, basis, rules)"
		 " ON CONFLICT DO NOTHING RETURNING job, reason)"
		 " INSERT INTO job_count AS c (job, sink, reason, n) SELECT job, $20::int, reason, "
		 "count(*) FROM added GROUP BY job, reason"
		 " ORDER BY job, reason ON CONFLICT (job, sink, reason) DO UPDATE SET n = c.n + "
		 "excluded.n",
		 r->table_set);
	return batch_flush(&r->rows, db, sql, DB_PARAMS(db_int(counter)), NULL, err);
}

enum rc_status writes_flush(struct writes *w, struct db *db, int counter, struct rc_error *err)
{
	enum rc_status status = batch_flush(&w->reports, db, reports_sql, DB_NONE, NULL, err);

	for (struct results *r = w->results; r && status == RC_OK; r = r->next)
		status = flush_results(r, db, counter, err);
	if (status == RC_OK)
		status = batch_flush(
		    &w->done_deferred, db,
		    "DELETE FROM deferred d USING unnest($1::bigint[], $2::bigint[]) AS u(job, uid)"
		    " WHERE d.job = u.job AND d.uid = u.uid",
		    DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->deferred, db, deferred_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->domains, db, domains_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->shards, db, shards_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->harvest, db,
				     "UPDATE job_domain d SET harvest = u.memory, rejects_all = "
				     "d.rejects_all OR u.rejects_all, doubted = d.doubted OR "
				     "u.doubted, witness = coalesce(nullif(u.witness, 0), "
				     "d.witness)"
				     " FROM unnest($1::bigint[], $2::int[], $3::bytea[], "
				     "$4::boolean[], $5::boolean[], $6::bigint[]) AS u(job, "
				     "domain_no, memory, rejects_all, doubted, witness)"
				     " WHERE d.job = u.job AND d.domain_no = u.domain_no",
				     DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(
		    &w->held, db,
		    "WITH u AS (SELECT * FROM unnest($1::bigint[], $2::int[]) AS u(job, "
		    "domain_no)),"
		    " h AS (UPDATE job_domain d SET held_at = coalesce(held_at, now()) FROM u"
		    " WHERE d.job = u.job AND d.domain_no = u.domain_no)"
		    " UPDATE shard s SET state = 3 FROM u WHERE s.job = u.job AND s.domain_no = "
		    "u.domain_no AND s.state = 0",
		    DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->resolutions, db, resolutions_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->controls, db, controls_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->holds, db, holds_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(
		    &w->lanes_well, db,
		    "DELETE FROM lane_hold h USING unnest($1::int[], $2::text[]) AS u(lane, "
		    "mx_group)"
		    " WHERE h.lane = u.lane AND h.mx_group = u.mx_group AND h.health = 3",
		    DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->history, db, history_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->health, db, health_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->healed, db, healed_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->windows, db, windows_sql, DB_NONE, NULL, err);
	if (status == RC_OK)
		status = batch_flush(&w->shards_done, db,
				     "UPDATE shard SET state = 2 WHERE id = ANY($1::bigint[]) AND "
				     "state IN (0, 1, 3)",
				     DB_NONE, NULL, err);
	writes_clear(w);
	return status;
}
