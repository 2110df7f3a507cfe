/* See judge_parts.h: finding and reading. */
#include <string.h>

#include "coordinator/core/history.h"
#include "coordinator/core/risk.h"
#include "coordinator/judge_parts.h"
#include "coordinator/store/db.h"
#include "coordinator/store/inbox.h"
#include "coordinator/store/measured.h"

/* ------------------------------------------------------------------------------------------------
 * finding */

static size_t number_bucket(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u + b;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	return (size_t)(x >> 40) % JUDGE_BUCKETS;
}

static size_t name_bucket(const char *name)
{
	uint64_t hash = 14695981039346656037u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return (size_t)(hash >> 40) % JUDGE_BUCKETS;
}

struct shard *judge_shard(const struct judge *j, uint64_t id)
{
	struct shard *s = j->shards[number_bucket(id, 0)];

	while (s && s->id != id)
		s = s->next;
	return s;
}

struct row *judge_row(const struct judge *j, int64_t job, int64_t uid)
{
	struct row *r = j->rows[number_bucket((uint64_t)job, (uint64_t)uid)];

	while (r && (r->job != job || r->uid != uid))
		r = r->next;
	return r;
}

static struct domain *domain_find(const struct judge *j, int64_t job, int32_t no)
{
	struct domain *d = j->domains[number_bucket((uint64_t)job, (uint64_t)no)];

	while (d && (d->job != job || d->no != no))
		d = d->next;
	return d;
}

static struct known *known_find(const struct judge *j, const char *domain)
{
	struct known *k = j->known[name_bucket(domain)];

	while (k && strcmp(k->domain, domain) != 0)
		k = k->next;
	return k;
}

struct lookup *judge_lookup(const struct judge *j, uint64_t shard, const char *domain)
{
	struct lookup *l = j->lookups[name_bucket(domain)];

	while (l && (l->shard != shard || strcmp(l->domain.domain, domain) != 0))
		l = l->next;
	return l;
}

/* ------------------------------------------------------------------------------------------------
 * reading */

static const char *keep(struct judge *j, const struct db_result *r, int row, int column)
{
	const char *copy =
	    rc_arena_strndup(j->arena, db_get_text(r, row, column), db_get_len(r, row, column));

	return copy ? copy : "";
}

static struct group *group_read(struct judge *j, const struct db_result *r, int i, const char *name)
{
	size_t bucket = name_bucket(name);
	struct group *g = j->groups[bucket];

	while (g && strcmp(g->name, name) != 0)
		g = g->next;
	if (g)
		return g;
	g = rc_arena_alloc(j->arena, sizeof(*g));
	if (!g)
		return NULL;
	g->name = name;
	g->passed = keep(j, r, i, INBOX_WINDOW_PASSED);
	g->window = (struct window){
		.too_early_s = (uint32_t)db_get_int(r, i, INBOX_WINDOW_TOO_EARLY),
		.enough_s = (uint32_t)db_get_int(r, i, INBOX_WINDOW_ENOUGH),
		.passes = (uint32_t)db_get_int(r, i, INBOX_WINDOW_PASSES),
		.refusals = (uint32_t)db_get_int(r, i, INBOX_WINDOW_REFUSALS),
		.late = (uint32_t)db_get_int(r, i, INBOX_WINDOW_LATE),
		.key = (enum window_key)db_get_int(r, i, INBOX_WINDOW_KEY),
		.seen_at_ms = db_get_int(r, i, INBOX_WINDOW_SEEN_AT),
	};
	g->next = j->groups[bucket];
	j->groups[bucket] = g;
	return g;
}

static struct domain *domain_read(struct judge *j, const struct db_result *r, int i,
				  const char *table_set, int class)
{
	int64_t job = db_get_int(r, i, INBOX_JOB);
	int32_t no = (int32_t)db_get_int(r, i, INBOX_DOMAIN_NO);
	struct domain *d = domain_find(j, job, no);
	size_t len, bucket = number_bucket((uint64_t)job, (uint64_t)no);
	struct known *k;

	if (d)
		return d;
	d = rc_arena_alloc(j->arena, sizeof(*d));
	if (!d)
		return NULL;
	d->job = job;
	d->no = no;
	d->name = keep(j, r, i, INBOX_DOMAIN);
	d->meant = lists_did_you_mean(j->context->lists, d->name);
	d->provider_name = keep(j, r, i, INBOX_PROVIDER);
	d->provider =
	    *d->provider_name ? rc_providers_find(j->context->providers, d->provider_name) : NULL;
	d->group = keep(j, r, i, INBOX_GROUP);
	d->table_set = table_set;
	d->state = (int)db_get_int(r, i, INBOX_DOMAIN_STATE);
	d->class = class;
	d->lookups = (unsigned)db_get_int(r, i, INBOX_LOOKUPS);
	d->first_uid = db_get_int(r, i, INBOX_DOMAIN_FIRST_UID);
	d->n = (uint32_t)db_get_int(r, i, INBOX_DOMAIN_N);
	d->held = db_get_bool(r, i, INBOX_HELD);
	d->rejects_all = db_get_bool(r, i, INBOX_REJECTS_ALL);
	d->doubted = db_get_bool(r, i, INBOX_DOUBTED);
	d->witness = db_get_int(r, i, INBOX_WITNESS);
	d->risk = db_get_int(r, i, INBOX_RISK) != 0 ||
		  risk_is_young(j->context->lists, d->name, db_get_int(r, i, INBOX_FIRST_SEEN),
				db_get_int(r, i, INBOX_OLDEST_SEEN), j->d->now_ms);
	const uint8_t *memory = db_get_bytes(r, i, INBOX_HARVEST, &len);

	if (!harvest_load(&d->harvest, memory, len))
		memset(&d->harvest, 0, sizeof(d->harvest));
	k = known_find(j, d->name);
	if (!k) {
		size_t at = name_bucket(d->name);

		k = rc_arena_alloc(j->arena, sizeof(*k));
		if (!k)
			return NULL;
		k->domain = d->name;
		k->control = (int)db_get_int(r, i, INBOX_CONTROL);
		k->control_at_ms = db_get_int(r, i, INBOX_CONTROL_AT);
		k->control_lane = db_get_int(r, i, INBOX_CONTROL_LANE);
		k->accepted_at_ms = db_get_int(r, i, INBOX_ACCEPTED_AT);
		k->next = j->known[at];
		j->known[at] = k;
	}
	d->known = k;
	d->greylist = group_read(j, r, i, d->group);
	if (!d->greylist)
		return NULL;
	d->next = j->domains[bucket];
	j->domains[bucket] = d;
	return d;
}

static struct health *health_read(struct judge *j, const struct db_result *r, int i,
				  const struct domain *domain)
{
	int64_t lane = db_get_int(r, i, INBOX_LANE);
	size_t bucket = (name_bucket(domain->group) + (size_t)lane) % JUDGE_BUCKETS;
	struct health *h = j->health[bucket];

	while (h && (h->lane != lane || strcmp(h->group, domain->group) != 0))
		h = h->next;
	if (h)
		return h;
	h = rc_arena_alloc(j->arena, sizeof(*h));
	if (!h)
		return NULL;
	h->lane = lane;
	h->group = domain->group;
	h->ok_at_ms = db_get_int(r, i, INBOX_OK_AT);
	h->blocked_since_ms = db_get_int(r, i, INBOX_BLOCKED_SINCE);
	h->next = j->health[bucket];
	j->health[bucket] = h;
	return h;
}

static enum rc_status no_memory(struct rc_error *err)
{
	return rc_error_set(err, RC_NO_MEMORY, "no memory for a batch of reports");
}

static enum rc_status read_shards(struct judge *j, Rollcall__Report *const *reports, size_t n,
				  struct rc_error *err)
{
	enum rc_status status;
	struct db_result *r;
	struct rc_buf ids;

	rc_buf_init(&ids, 0);
	for (size_t i = 0; i < n; i++)
		db_array_int(&ids, (int64_t)reports[i]->shard);
	db_array_end(&ids);
	status = inbox_shards(j->d->db, &ids, &r, err);
	rc_buf_done(&ids);
	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r) && status == RC_OK; i++) {
		struct shard *s = rc_arena_alloc(j->arena, sizeof(*s));
		const char *job_state = db_get_text(r, i, INBOX_JOB_STATE);
		size_t bucket;

		if (!s) {
			status = no_memory(err);
			break;
		}
		s->id = (uint64_t)db_get_int(r, i, INBOX_SHARD);
		s->job = db_get_int(r, i, INBOX_JOB);
		s->kind = (int)db_get_int(r, i, INBOX_KIND);
		s->lane = db_get_int(r, i, INBOX_LANE);
		s->next_lane = (uint32_t)s->lane;
		s->n = (uint32_t)db_get_int(r, i, INBOX_N);
		s->attempt = (uint32_t)db_get_int(r, i, INBOX_ATTEMPT);
		s->state = (int)db_get_int(r, i, INBOX_STATE);
		s->table_set = keep(j, r, i, INBOX_TABLE_SET);
		s->tenant = (int32_t)db_get_int(r, i, INBOX_TENANT);
		s->class = db_get_bool(r, i, INBOX_INTERACTIVE) ? 0 : 2;
		s->job_open = strcmp(job_state, "running") == 0 ||
			      strcmp(job_state, "paused") == 0 || strcmp(job_state, "held") == 0;
		if (s->kind == ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE) {
			s->domain = domain_read(j, r, i, s->table_set, s->class);
			s->health = s->domain ? health_read(j, r, i, s->domain) : NULL;
			if (!s->health)
				status = no_memory(err);
		}
		if (status == RC_OK)
			status = measured_of_job(j->d->measured, j->d->db, s->job, j->d->now_ms,
						 &s->measured, err);
		bucket = number_bucket(s->id, 0);
		s->next = j->shards[bucket];
		j->shards[bucket] = s;
	}
	db_result_free(r);
	return status;
}

static enum rc_status read_rows_of(struct judge *j, const char *table_set,
				   const struct rc_buf *jobs, const struct rc_buf *uids,
				   struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = inbox_rows(j->d->db, table_set, jobs, uids, &r, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++) {
		int64_t job = db_get_int(r, i, INBOX_ROW_JOB),
			uid = db_get_int(r, i, INBOX_ROW_UID);
		size_t bucket = number_bucket((uint64_t)job, (uint64_t)uid);
		struct row *row;

		if (judge_row(j, job, uid))
			continue;
		row = rc_arena_alloc(j->arena, sizeof(*row));
		if (!row) {
			status = no_memory(err);
			break;
		}
		row->job = job;
		row->uid = uid;
		row->local = keep(j, r, i, INBOX_ROW_LOCAL);
		row->local_len = db_get_len(r, i, INBOX_ROW_LOCAL);
		row->has_result = db_get_bool(r, i, INBOX_ROW_HAS_RESULT);
		row->deferred = !db_is_null(r, i, INBOX_ROW_ATTEMPT);
		row->attempt = (unsigned)db_get_int(r, i, INBOX_ROW_ATTEMPT);
		row->tries = (unsigned)db_get_int(r, i, INBOX_ROW_TRIES);
		row->reason = (int)db_get_int(r, i, INBOX_ROW_REASON);
		row->first_at_ms = db_get_int(r, i, INBOX_ROW_FIRST_AT);
		row->shard = (uint64_t)db_get_int(r, i, INBOX_ROW_SHARD);
		row->idle = (unsigned)db_get_int(r, i, INBOX_ROW_IDLE);
		row->next = j->rows[bucket];
		j->rows[bucket] = row;
	}
	db_result_free(r);
	return status;
}

/* The rows that the batch's answers speak of, a query for each set of tables. */
static enum rc_status read_rows(struct judge *j, Rollcall__Report *const *reports, size_t n,
				struct rc_error *err)
{
	enum rc_status status = RC_OK;
	struct rc_buf jobs, uids;

	rc_buf_init(&jobs, 0);
	rc_buf_init(&uids, 0);
	for (size_t first = 0; first < n && status == RC_OK; first++) {
		const struct shard *lead = judge_shard(j, reports[first]->shard);
		bool done = false;

		if (!lead || !lead->domain)
			continue;
		for (size_t i = 0; i < first && !done; i++) {
			const struct shard *s = judge_shard(j, reports[i]->shard);

			done = s && s->domain && strcmp(s->table_set, lead->table_set) == 0;
		}
		if (done)
			continue;
		rc_buf_clear(&jobs);
		rc_buf_clear(&uids);
		for (size_t i = first; i < n; i++) {
			const struct shard *s = judge_shard(j, reports[i]->shard);

			if (!s || !s->domain || strcmp(s->table_set, lead->table_set) != 0)
				continue;
			for (size_t k = 0; k < reports[i]->n_answers; k++) {
				db_array_int(&jobs, s->job);
				db_array_int(&uids, (int64_t)reports[i]->answers[k]->uid);
			}
		}
		db_array_end(&jobs);
		db_array_end(&uids);
		status = read_rows_of(j, lead->table_set, &jobs, &uids, err);
	}
	rc_buf_done(&jobs);
	rc_buf_done(&uids);
	return status;
}

/* Whose earlier verdict may matter: a yes where a yes is not to be trusted, and what may end
 * without a verdict. */
static bool wants_earlier(const struct shard *s, const struct row *row)
{
	const struct rc_provider *provider = s->domain->provider;

	return row->deferred || (provider && provider->honesty == RC_INCONSISTENT);
}

static enum rc_status read_earlier(struct judge *j, Rollcall__Report *const *reports, size_t n,
				   struct rc_error *err)
{
	enum rc_status status = RC_OK;
	struct rc_buf tenants, domains, locals, jobs, rows;
	struct db_result *r = NULL;
	struct row *row;

	rc_buf_init(&tenants, 0);
	rc_buf_init(&domains, 0);
	rc_buf_init(&locals, 0);
	rc_buf_init(&jobs, 0);
	rc_buf_init(&rows, 0);
	for (size_t i = 0; i < n; i++) {
		const struct shard *s = judge_shard(j, reports[i]->shard);

		for (size_t k = 0; s && s->domain && k < reports[i]->n_answers; k++) {
			row = judge_row(j, s->job, (int64_t)reports[i]->answers[k]->uid);
			if (!row || row->has_result || !wants_earlier(s, row))
				continue;
			db_array_int(&tenants, s->tenant);
			db_array_text(&domains, s->domain->name, strlen(s->domain->name));
			db_array_text(&locals, row->local, row->local_len);
			db_array_int(&jobs, s->job);
			rc_buf_add(&rows, &row, sizeof(row));
		}
	}
	if (rows.failed)
		status = no_memory(err);
	if (status != RC_OK || rows.len == 0)
		goto out;
	db_array_end(&tenants);
	db_array_end(&domains);
	db_array_end(&locals);
	db_array_end(&jobs);
	status = inbox_earlier(j->d->db, &tenants, &domains, &locals, &jobs, &r, err);
	for (int i = 0; status == RC_OK && i < db_rows(r); i++) {
		size_t at = (size_t)db_get_int(r, i, INBOX_EARLIER_AT) - 1;
		int64_t reason = db_get_int(r, i, INBOX_EARLIER_REASON);

		if (reason <= 0 || reason >= RC_REASON_COUNT ||
		    !history_fresh((enum rc_reason)reason,
				   j->d->now_ms - db_get_int(r, i, INBOX_EARLIER_CHECKED_AT),
				   INT64_MAX))
			continue;
		memcpy(&row, rows.data + at * sizeof(row), sizeof(row));
		row->earlier = (enum rc_reason)reason;
	}
	db_result_free(r);
out:
	rc_buf_done(&tenants);
	rc_buf_done(&domains);
	rc_buf_done(&locals);
	rc_buf_done(&jobs);
	rc_buf_done(&rows);
	return status;
}

static enum verdict_domain said_before(const uint8_t *body, size_t len)
{
	Rollcall__Resolution *resolution =
	    body ? rollcall__resolution__unpack(NULL, len, body) : NULL;
	enum verdict_domain before;

	if (!resolution)
		return VERDICT_DOMAIN_UNKNOWN;
	before = (enum verdict_domain)resolution->state;
	rollcall__resolution__free_unpacked(resolution, NULL);
	return before;
}

static enum rc_status read_lookups(struct judge *j, Rollcall__Report *const *reports, size_t n,
				   struct rc_error *err)
{
	enum rc_status status;
	struct db_result *r;
	struct rc_buf ids;
	bool any = false;

	rc_buf_init(&ids, 0);
	for (size_t i = 0; i < n; i++)
		if (reports[i]->n_resolutions > 0) {
			db_array_int(&ids, (int64_t)reports[i]->shard);
			any = true;
		}
	if (!any)
		return RC_OK;
	db_array_end(&ids);
	status = inbox_lookups(j->d->db, &ids, &r, err);
	rc_buf_done(&ids);
	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++) {
		struct lookup *l = rc_arena_alloc(j->arena, sizeof(*l));
		const struct shard *s;
		const uint8_t *body;
		size_t len, bucket;

		if (!l) {
			status = no_memory(err);
			break;
		}
		l->shard = (uint64_t)db_get_int(r, i, INBOX_LOOKUP_SHARD);
		s = judge_shard(j, l->shard);
		if (!s)
			continue;
		l->domain.job = s->job;
		l->domain.class = s->class;
		l->domain.table_set = s->table_set;
		l->domain.domain_no = (int32_t)db_get_int(r, i, INBOX_LOOKUP_NO);
		l->domain.domain = keep(j, r, i, INBOX_LOOKUP_DOMAIN);
		l->domain.first_uid = db_get_int(r, i, INBOX_LOOKUP_FIRST_UID);
		l->domain.n = (uint32_t)db_get_int(r, i, INBOX_LOOKUP_N);
		l->domain.attempts = (unsigned)db_get_int(r, i, INBOX_LOOKUP_ATTEMPTS);
		l->domain.first_at_ms = db_get_int(r, i, INBOX_LOOKUP_FIRST_AT);
		body = db_get_bytes(r, i, INBOX_LOOKUP_BEFORE, &len);
		l->domain.before = said_before(body, len);
		bucket = name_bucket(l->domain.domain);
		l->next = j->lookups[bucket];
		j->lookups[bucket] = l;
	}
	db_result_free(r);
	return status;
}

enum rc_status judge_read(struct judge *j, Rollcall__Report *const *reports, size_t n,
			  struct rc_error *err)
{
	enum rc_status status = read_shards(j, reports, n, err);

	if (status == RC_OK)
		status = read_rows(j, reports, n, err);
	if (status == RC_OK)
		status = read_earlier(j, reports, n, err);
	if (status == RC_OK)
		status = read_lookups(j, reports, n, err);
	return status;
}
