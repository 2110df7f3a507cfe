/* See judge.h. */
#include "coordinator/judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/log.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/harvest.h"
#include "coordinator/core/plan.h"
#include "coordinator/core/schedule.h"
#include "coordinator/store/db.h"
#include "coordinator/store/inbox.h"
#include "coordinator/store/measured.h"
#include "coordinator/store/writes.h"

enum {
	BUCKETS = 4096,
	DAY_MS = 86400000,
	ACCEPTED_COUNTS_S = 30 * 86400,
	IDLE_FREE = 3, /* times in a row that a row may come back unasked before it waits */
	IDLE_WAIT_MAX_S = 60,
	HOLD_MAX_MS = 12 * 3600 * 1000
};

/* What is known of a domain name, for all jobs. */
struct known {
	struct known *next;
	const char *domain;
	int control;
	int64_t control_at_ms, control_lane, accepted_at_ms;
	bool control_new, accepted_new;
};

/* A domain of a job. */
struct domain {
	struct domain *next;
	int64_t job;
	int32_t no;
	const char *name, *provider_name, *group, *table_set;
	const struct rc_provider *provider;
	int state, class;
	unsigned lookups;
	int64_t first_uid;
	uint32_t n;
	struct harvest harvest;
	bool held, rejects_all, changed;
	struct known *known;
};

struct row {
	struct row *next;
	int64_t job, uid;
	const char *local;
	size_t local_len;
	bool has_result, deferred, settled;
	unsigned attempt, tries, idle;
	int reason;
	int64_t first_at_ms;
	uint64_t shard;
	const struct shard *counted; /* by whom as answered */
};

struct shard {
	struct shard *next;
	uint64_t id;
	int64_t job, lane;
	int kind, state;
	uint32_t n, attempt, answered;
	const char *table_set;
	bool job_open;
	int class;
	struct domain *domain;		   /* NULL: a resolve shard */
	const struct posteriors *measured; /* of its tenant */
	bool final, final_current;	   /* its last part came; of its latest attempt */
};

struct lookup {
	struct lookup *next;
	uint64_t shard;
	struct decide_domain domain;
	bool answered;
};

struct judge {
	const struct context *context;
	struct rc_arena *arena;
	struct shard *shards[BUCKETS];
	struct row *rows[BUCKETS];
	struct domain *domains[BUCKETS];
	struct known *known[BUCKETS];
	struct lookup *lookups[BUCKETS];
	const struct decide *d; /* of this batch */
};

struct judge *judge_new(const struct context *context)
{
	struct judge *judge = calloc(1, sizeof(*judge));

	if (!judge)
		return NULL;
	judge->context = context;
	judge->arena = rc_arena_new(0);
	if (!judge->arena) {
		free(judge);
		return NULL;
	}
	return judge;
}

void judge_free(struct judge *judge)
{
	if (!judge)
		return;
	rc_arena_free(judge->arena);
	free(judge);
}

/* ------------------------------------------------------------------------------------------------
 * finding */

static size_t number_bucket(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u + b;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	return (size_t)(x >> 40) % BUCKETS;
}

static size_t name_bucket(const char *name)
{
	uint64_t hash = 14695981039346656037u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return (size_t)(hash >> 40) % BUCKETS;
}

static struct shard *shard_find(const struct judge *j, uint64_t id)
{
	struct shard *s = j->shards[number_bucket(id, 0)];

	while (s && s->id != id)
		s = s->next;
	return s;
}

static struct row *row_find(const struct judge *j, int64_t job, int64_t uid)
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

static struct lookup *lookup_find(const struct judge *j, uint64_t shard, const char *domain)
{
	struct lookup *l = j->lookups[name_bucket(domain)];

	while (l && (l->shard != shard || strcmp(l->domain.domain, domain) != 0))
		l = l->next;
	return l;
}

/* A stranger's name for PostgreSQL: printable ASCII or nothing. */
static const char *clean(const char *text)
{
	for (const char *p = text; p && *p; p++)
		if (*p < 0x20 || *p > 0x7e || p - text > 300)
			return NULL;
	return text;
}

/* ------------------------------------------------------------------------------------------------
 * reading */

static const char *keep(struct judge *j, const struct db_result *r, int row, int column)
{
	const char *copy =
	    rc_arena_strndup(j->arena, db_get_text(r, row, column), db_get_len(r, row, column));

	return copy ? copy : "";
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
	d->next = j->domains[bucket];
	j->domains[bucket] = d;
	return d;
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
		s->n = (uint32_t)db_get_int(r, i, INBOX_N);
		s->attempt = (uint32_t)db_get_int(r, i, INBOX_ATTEMPT);
		s->state = (int)db_get_int(r, i, INBOX_STATE);
		s->table_set = keep(j, r, i, INBOX_TABLE_SET);
		s->class = db_get_bool(r, i, INBOX_INTERACTIVE) ? 0 : 2;
		s->job_open = strcmp(job_state, "running") == 0 ||
			      strcmp(job_state, "paused") == 0 || strcmp(job_state, "held") == 0;
		if (s->kind == ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE) {
			s->domain = domain_read(j, r, i, s->table_set, s->class);
			if (!s->domain)
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

		if (row_find(j, job, uid))
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
		const struct shard *lead = shard_find(j, reports[first]->shard);
		bool done = false;

		if (!lead || !lead->domain)
			continue;
		for (size_t i = 0; i < first && !done; i++) {
			const struct shard *s = shard_find(j, reports[i]->shard);

			done = s && s->domain && strcmp(s->table_set, lead->table_set) == 0;
		}
		if (done)
			continue;
		rc_buf_clear(&jobs);
		rc_buf_clear(&uids);
		for (size_t i = first; i < n; i++) {
			const struct shard *s = shard_find(j, reports[i]->shard);

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
		s = shard_find(j, l->shard);
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

/* ------------------------------------------------------------------------------------------------
 * answers */

/* A worker's clock is believed within a day. */
static int64_t believable(int64_t at_ms, int64_t now_ms)
{
	return at_ms > now_ms - DAY_MS && at_ms <= now_ms ? at_ms : now_ms;
}

static void settle_final(struct judge *j, const struct shard *s, struct row *row,
			 const Rollcall__Report *report, const Rollcall__Answer *answer,
			 const Rollcall__Session *session, const struct evidence_domain *evidence,
			 const struct verdict *v)
{
	const struct write_result result = {
		.job = row->job,
		.uid = row->uid,
		.reason = (int)v->reason,
		.flags = v->flags,
		.score = v->score,
		.smtp_code = v->code,
		.enhanced = v->enhanced,
		.provider = s->domain->provider ? s->domain->provider->name : NULL,
		.mx = clean(session ? session->mx_host : evidence->mx_host),
		.rule = v->rule,
		.attempts = row->tries + (answer->connected ? 1 : 0),
		.lane = s->lane,
		.checked_at_ms = believable(answer->at_ms, j->d->now_ms),
		.shard = report->shard,
		.part = report->part,
		.was_deferred = row->deferred,
	};

	writes_result(j->d->writes, s->table_set, &result);
}

static int64_t due_of(const struct judge *j, const struct verdict *v, unsigned attempt,
		      int64_t first_at_ms, unsigned idle)
{
	const struct schedule *schedule = &j->context->schedule;
	int64_t due_ms =
	    schedule_due_ms(schedule, v->wait, attempt, v->not_before_s, first_at_ms, j->d->now_ms);

	if (idle > IDLE_FREE) {
		unsigned shift = idle - IDLE_FREE < 6 ? idle - IDLE_FREE : 6;
		int64_t wait_s = 1 << shift < IDLE_WAIT_MAX_S ? 1 << shift : IDLE_WAIT_MAX_S;

		due_ms += wait_s * 1000 / (int64_t)schedule->time_scale;
	}
	return due_ms;
}

static void settle_deferred(struct judge *j, const struct shard *s, struct row *row,
			    const Rollcall__Report *report, const Rollcall__Answer *answer,
			    const Rollcall__Session *session,
			    const struct evidence_domain *evidence, const struct verdict *v)
{
	bool unasked = v->wait == VERDICT_WAIT_AT_ONCE || v->wait == VERDICT_WAIT_SOON;
	int64_t at_ms = believable(answer->at_ms, j->d->now_ms);
	struct write_deferred d = {
		.job = row->job,
		.uid = row->uid,
		.domain_no = s->domain->no,
		.attempt = v->attempt_spent ? answer->attempt : answer->attempt - 1,
		/* What was not asked will be, in the same attempt: it counts then. */
		.tries = row->tries + (answer->connected && v->attempt_spent ? 1 : 0),
		.reason = (int)v->reason,
		/* The schedule counts from the first attempt that was one. */
		.first_at_ms = row->deferred && row->attempt > 0 ? row->first_at_ms : at_ms,
		.lane = s->lane,
		.mx_host = clean(session ? session->mx_host : evidence->mx_host),
		.mx_address = clean(session ? session->mx_address : evidence->mx_address),
		.need_control = v->need_control,
		.idle = unasked ? row->idle + 1 : 0,
		.smtp_code = v->code,
		.enhanced = v->enhanced,
		.evidence_shard = report->shard,
		.evidence_part = report->part,
	};

	if (d.idle > 1000)
		d.idle = 1000;
	d.due_at_ms = due_of(j, v, answer->attempt, d.first_at_ms, d.idle);
	if (evidence->control == VERDICT_CONTROL_UNDECIDED && evidence->control_local) {
		bool plain = true;

		for (size_t i = 0; i < evidence->control_local_len; i++)
			plain = plain && evidence->control_local[i] > 0x20 &&
				evidence->control_local[i] < 0x7f;
		if (plain) {
			d.control_local = (const char *)evidence->control_local;
			d.control_local_len = evidence->control_local_len;
		}
	}
	writes_deferred(j->d->writes, &d);
}

static void remember(struct domain *domain, const struct verdict_input *in, const struct verdict *v)
{
	bool refusal = v->final && verdict_is_refusal(v), acceptance = verdict_is_acceptance(in);

	if (v->final && v->reason == RC_REASON_REJECTS_ALL && !domain->rejects_all)
		domain->rejects_all = domain->changed = true;
	if (refusal || acceptance)
		harvest_answer(&domain->harvest, refusal);
	else if (in->answer.failure == VERDICT_FAILURE_NONE && in->attempt == 1 &&
		 in->answer.class.category == RC_CATEGORY_GREYLISTED)
		harvest_greylisted(&domain->harvest);
	else
		return;
	domain->changed = true;
}

static void judge_answer_of(struct judge *j, struct shard *s, const Rollcall__Report *report,
			    const struct evidence_domain *evidence, const Rollcall__Answer *answer,
			    struct row *row)
{
	const Rollcall__Session *session;
	struct domain *domain = s->domain;
	const struct known *known = domain->known;
	struct verdict_input in = { 0 };
	struct verdict v;

	/* An answer that came by two ways, or of an attempt that another has overtaken. */
	if (row->has_result || row->settled || answer->attempt == 0 || answer->attempt > 1000)
		return;
	if (row->deferred ? row->shard != s->id || answer->attempt != row->attempt + 1
			  : answer->attempt != 1)
		return;
	decide_lists(j->context, domain->name, row->local, row->local_len, &in);
	in.domain = VERDICT_DOMAIN_MX;
	in.provider = domain->provider;
	in.measured = s->measured;
	in.refusal_confirmed = row->deferred && row->reason == RC_REASON_MX_REFUSES_DOMAIN;
	in.deferred_for = row->deferred ? (enum rc_reason)row->reason : RC_REASON_UNSET;
	in.attempt = answer->attempt;
	in.attempts_max = schedule_attempts(&j->context->schedule);
	in.domain_rejects_all = domain->rejects_all;
	if (known->control == VERDICT_CONTROL_REFUSED ||
	    known->control == VERDICT_CONTROL_ACCEPTED) {
		int64_t age_ms = j->d->now_ms - known->control_at_ms;

		in.control = (enum verdict_control)known->control;
		in.control_age_s = age_ms > 0 ? (uint32_t)(age_ms / 1000) : 0;
		in.control_same_lane = known->control_lane == s->lane;
	}
	in.domain_accepted = known->accepted_at_ms > 0 &&
			     (j->d->now_ms - known->accepted_at_ms) / 1000 < ACCEPTED_COUNTS_S;
	evidence_fill(j->context->rules, report, evidence, answer, &in);
	verdict_row(&in, j->context->scores, &v);
	session = answer->session > 0 && answer->session <= report->n_sessions
		      ? report->sessions[answer->session - 1]
		      : NULL;
	row->settled = true;
	if (v.final)
		settle_final(j, s, row, report, answer, session, evidence, &v);
	else
		settle_deferred(j, s, row, report, answer, session, evidence, &v);
	remember(domain, &in, &v);
}

static void judge_answer(struct judge *j, struct shard *s, const Rollcall__Report *report,
			 const struct evidence_domain *evidence, const Rollcall__Answer *answer)
{
	struct row *row = row_find(j, s->job, (int64_t)answer->uid);

	if (!row || row->uid < s->domain->first_uid ||
	    row->uid >= s->domain->first_uid + s->domain->n)
		return;
	judge_answer_of(j, s, report, evidence, answer, row);
	if (row->counted == s ||
	    (!row->has_result && !row->settled && !(row->deferred && row->shard != s->id)))
		return;
	row->counted = s;
	s->answered++;
}

static void learn(struct judge *j, struct domain *domain, const struct shard *s,
		  const struct evidence_domain *evidence)
{
	int64_t now_ms = j->d->now_ms;
	struct known *k = domain->known;

	if (evidence->control == VERDICT_CONTROL_REFUSED ||
	    evidence->control == VERDICT_CONTROL_ACCEPTED) {
		int64_t at_ms = believable(evidence->control_at_ms, now_ms);

		/* Each part of a report says again what it has said of the control. */
		if (at_ms > k->control_at_ms)
			measured_control(j->d->measured, domain->provider,
					 evidence->control == VERDICT_CONTROL_ACCEPTED);
		if (at_ms >= k->control_at_ms) {
			k->control = (int)evidence->control;
			k->control_at_ms = at_ms;
			k->control_lane = s->lane;
			k->control_new = true;
		}
	}
	if (evidence->accepted) {
		k->accepted_at_ms = now_ms;
		k->accepted_new = true;
	}
}

static enum rc_status judge_resolutions(struct judge *j, const struct shard *s,
					const Rollcall__Report *report, struct rc_error *err)
{
	enum rc_status status = RC_OK;

	for (size_t i = 0; i < report->n_resolutions && status == RC_OK; i++) {
		struct lookup *l = lookup_find(j, s->id, report->resolutions[i]->domain);

		if (!l || l->answered ||
		    report->resolutions[i]->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNSET)
			continue;
		l->answered = true;
		status = decide_resolution(j->d, &l->domain, report->resolutions[i], false, err);
	}
	return status;
}

/* The worker has met a server that wants less of us. */
static void hold(struct judge *j, const struct shard *s, const Rollcall__LaneHealth *health)
{
	int64_t wait_ms = health->retry_in_ms < HOLD_MAX_MS ? health->retry_in_ms : HOLD_MAX_MS;

	if (health->throttled && *s->domain->group)
		writes_hold(j->d->writes, s->lane, s->domain->group,
			    j->d->now_ms + wait_ms / (int64_t)j->context->schedule.time_scale + 1);
}

static enum rc_status judge_report(struct judge *j, const Rollcall__Report *report,
				   struct rc_error *err)
{
	struct shard *s = shard_find(j, report->shard);
	struct evidence_domain evidence;
	enum rc_status status = RC_OK;
	uint8_t *body;
	size_t len;

	if (!s || !s->job_open || report->attempt == 0 || report->attempt > s->attempt ||
	    report->part == 0) {
		rc_log(RC_LOG_DEBUG, "report_passed_over", "shard=%" PRIu64 " attempt=%u part=%u",
		       report->shard, report->attempt, report->part);
		return RC_OK;
	}
	len = rollcall__report__get_packed_size(report);
	body = rc_arena_alloc(j->arena, len + 1);
	if (!body)
		return no_memory(err);
	writes_report(j->d->writes, report->shard, report->attempt, report->part, body,
		      rollcall__report__pack(report, body));
	if (s->domain) {
		evidence_domain(j->context->rules, s->domain->provider_name, report, &evidence);
		for (size_t i = 0; i < report->n_answers; i++)
			judge_answer(j, s, report, &evidence, report->answers[i]);
		learn(j, s->domain, s, &evidence);
		if (report->health)
			hold(j, s, report->health);
	} else {
		status = judge_resolutions(j, s, report, err);
	}
	if (report->final) {
		s->final = true;
		s->final_current = s->final_current || report->attempt == s->attempt;
	}
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * the end of a batch */

static void write_memories(struct judge *j)
{
	bool guard = j->context->config->harvest_guard;
	uint8_t memory[HARVEST_STORED];

	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct domain *d = j->domains[b]; d; d = d->next) {
			bool trips =
			    guard && d->harvest.tripped && !d->held && d->state == DOMAIN_PROBING;

			if (!d->changed)
				continue;
			harvest_store(&d->harvest, memory);
			writes_harvest(j->d->writes, d->job, d->no, memory, sizeof(memory), trips,
				       d->rejects_all);
			if (trips)
				rc_log(RC_LOG_WARN, "harvest_guard", "job=%" PRId64 " domain=%s",
				       d->job, d->name);
		}
		for (const struct known *k = j->known[b]; k; k = k->next)
			if (k->control_new || k->accepted_new)
				writes_known_control(j->d->writes, k->domain,
						     k->control_new ? k->control : 0,
						     k->control_at_ms, k->control_lane,
						     k->accepted_new ? k->accepted_at_ms : 0);
	}
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
		struct shard *s = shard_find(j, (uint64_t)db_get_int(r, i, INBOX_LEFT_SHARD));
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
					    .idle = idle > 1000 ? 1000 : idle };

		if (!s)
			continue;
		if (!s->final_current) {
			/* A later sending of it is out: that one has them. */
			s->final = false;
			continue;
		}
		d.first_at_ms = first_at_ms ? first_at_ms : j->d->now_ms;
		d.due_at_ms = due_of(j, &again, attempt + 1, d.first_at_ms, d.idle);
		writes_deferred(j->d->writes, &d);
	}
	db_result_free(r);
	return status;
}

static enum rc_status close_shards(struct judge *j, struct rc_error *err)
{
	struct rc_buf ids, lookups;
	enum rc_status status = RC_OK;
	bool any_lookup = false;

	rc_buf_init(&ids, 0);
	rc_buf_init(&lookups, 0);
	for (size_t b = 0; b < BUCKETS && status == RC_OK; b++)
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
	for (size_t b = 0; b < BUCKETS && status == RC_OK; b++)
		for (const struct shard *s = j->shards[b]; s; s = s->next)
			if (s->final)
				writes_shard_done(j->d->writes, s->id);
	rc_buf_done(&ids);
	rc_buf_done(&lookups);
	return status;
}

/* Samples of misleading providers that have said what they can. */
static enum rc_status close_samples(struct judge *j, struct rc_error *err)
{
	enum rc_status status = RC_OK;

	for (size_t b = 0; b < BUCKETS && status == RC_OK; b++)
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

enum rc_status judge_batch(struct judge *j, const struct decide *decide,
			   Rollcall__Report *const *reports, size_t n, struct rc_error *err)
{
	enum rc_status status;

	rc_arena_reset(j->arena);
	memset(j->shards, 0, sizeof(j->shards));
	memset(j->rows, 0, sizeof(j->rows));
	memset(j->domains, 0, sizeof(j->domains));
	memset(j->known, 0, sizeof(j->known));
	memset(j->lookups, 0, sizeof(j->lookups));
	j->d = decide;
	measured_clear(decide->measured);
	status = read_shards(j, reports, n, err);
	if (status == RC_OK)
		status = read_rows(j, reports, n, err);
	if (status == RC_OK)
		status = read_lookups(j, reports, n, err);
	for (size_t i = 0; i < n && status == RC_OK; i++)
		status = judge_report(j, reports[i], err);
	if (status != RC_OK)
		return status;
	write_memories(j);
	status = writes_flush(decide->writes, decide->db, decide->counter, err);
	if (status == RC_OK)
		status = close_shards(j, err);
	if (status == RC_OK)
		status = writes_flush(decide->writes, decide->db, decide->counter, err);
	if (status == RC_OK)
		status = close_samples(j, err);
	if (status == RC_OK)
		status = writes_flush(decide->writes, decide->db, decide->counter, err);
	if (status == RC_OK)
		status = measured_flush(decide->measured, decide->db, decide->counter, err);
	return status;
}
