/* See regrade.h. */
#include "coordinator/regrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "coordinator/core/plan.h"
#include "coordinator/decide.h"
#include "coordinator/store/db.h"
#include "coordinator/store/measured.h"
#include "coordinator/store/regrade.h"
#include "coordinator/weigh.h"

/* One part of a report, unpacked once for all rows of a page that it speaks of. */
struct part {
	int64_t shard, sending, part;
	Rollcall__Report *report;
	bool weighed;
	struct evidence_domain evidence; /* as of `provider` */
	const struct rc_provider *provider;
};

struct regrade {
	const struct context *context;
	struct db *db;
	int64_t job;
	const char *set;
	const struct posteriors *measured;
	struct regrade_summary *summary;

	struct part *parts; /* of the page, in order */
	size_t part_count;
	struct regrade_write *writes; /* REGRADE_PAGE */
	size_t write_count;
	struct verdict *verdicts; /* REGRADE_PAGE: their texts outlive the page */
};

/* A row and its domain, as read. */
struct row {
	int64_t uid;
	enum rc_reason reason;
	unsigned flags;
	int score;
	const char *local, *domain;
	size_t local_len;
	const struct rc_provider *provider;
	Rollcall__Resolution *resolution; /* NULL: none was kept */
};

/* ------------------------------------------------------------------------------------------------
 * evidence */

static void parts_free(struct regrade *g)
{
	for (size_t i = 0; i < g->part_count; i++)
		if (g->parts[i].report)
			rollcall__report__free_unpacked(g->parts[i].report, NULL);
	free(g->parts);
	g->parts = NULL;
	g->part_count = 0;
}

static enum rc_status parts_load(struct regrade *g, const struct db_result *page,
				 struct rc_error *err)
{
	struct rc_buf shards, sendings, parts;
	struct db_result *r = NULL;
	enum rc_status status = RC_OK;
	bool any = false;

	rc_buf_init(&shards, 0);
	rc_buf_init(&sendings, 0);
	rc_buf_init(&parts, 0);
	for (int i = 0; i < db_rows(page); i++)
		if (!db_is_null(page, i, REGRADE_SHARD) && !db_is_null(page, i, REGRADE_SENDING)) {
			db_array_int(&shards, db_get_int(page, i, REGRADE_SHARD));
			db_array_int(&sendings, db_get_int(page, i, REGRADE_SENDING));
			db_array_int(&parts, db_get_int(page, i, REGRADE_PART));
			any = true;
		}
	if (!any)
		goto out;
	db_array_end(&shards);
	db_array_end(&sendings);
	db_array_end(&parts);
	status = regrade_reports(g->db, &shards, &sendings, &parts, &r, err);
	if (status != RC_OK)
		goto out;
	g->parts = calloc((size_t)db_rows(r) + 1, sizeof(*g->parts));
	if (!g->parts) {
		status = rc_error_set(err, RC_NO_MEMORY, "no memory for %d reports", db_rows(r));
		goto out;
	}
	for (int i = 0; i < db_rows(r); i++) {
		struct part *p = &g->parts[g->part_count++];
		const uint8_t *body;
		size_t len;

		p->shard = db_get_int(r, i, 0);
		p->sending = db_get_int(r, i, 1);
		p->part = db_get_int(r, i, 2);
		body = db_get_bytes(r, i, 3, &len);
		p->report = body ? rollcall__report__unpack(NULL, len, body) : NULL;
	}
out:
	db_result_free(r);
	rc_buf_done(&shards);
	rc_buf_done(&sendings);
	rc_buf_done(&parts);
	return status;
}

static int by_key(const void *key, const void *element)
{
	const struct part *a = key, *b = element;

	if (a->shard != b->shard)
		return a->shard < b->shard ? -1 : 1;
	if (a->sending != b->sending)
		return a->sending < b->sending ? -1 : 1;
	return a->part < b->part ? -1 : a->part > b->part;
}

static const struct part *part_of(const struct regrade *g, const struct db_result *page, int i,
				  const struct rc_provider *provider)
{
	const struct part key = { .shard = db_get_int(page, i, REGRADE_SHARD),
				  .sending = db_get_int(page, i, REGRADE_SENDING),
				  .part = db_get_int(page, i, REGRADE_PART) };
	struct part *p = g->part_count
			     ? bsearch(&key, g->parts, g->part_count, sizeof(*g->parts), by_key)
			     : NULL;

	if (!p || !p->report)
		return NULL;
	if (!p->weighed || p->provider != provider) {
		evidence_domain(g->context->rules, provider ? provider->name : "", p->report,
				&p->evidence);
		p->weighed = true;
		p->provider = provider;
	}
	return p;
}

static const Rollcall__Answer *answer_of(const Rollcall__Report *report, int64_t uid)
{
	for (size_t i = 0; i < report->n_answers; i++)
		if ((int64_t)report->answers[i]->uid == uid)
			return report->answers[i];
	return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * verdicts */

/* What needs no answer: the address and its domain under the lists of now. */
static void look_at_lists(const struct regrade *g, const struct row *row,
			  enum verdict_domain domain, struct verdict_input *ret)
{
	bool servers = domain == VERDICT_DOMAIN_MX || domain == VERDICT_DOMAIN_IMPLICIT;

	*ret =
	    (struct verdict_input){ .domain = domain,
				    .domain_confirmed = row->reason == RC_REASON_DOMAIN_NOT_FOUND,
				    .provider = row->provider,
				    .measured = g->measured };
	decide_lists(g->context, row->domain, row->local, row->local_len, ret);
	if (servers && row->resolution &&
	    decide_forbidden(g->context, row->domain, row->resolution))
		ret->do_not_probe = true;
}

/* A reason that was given without looking at an answer stays, unless a list or the domain decides
 * now. */
static void keep(const struct regrade *g, const struct row *row, enum rc_reason reason,
		 struct verdict *ret)
{
	struct verdict_input in;

	look_at_lists(g, row, VERDICT_DOMAIN_UNKNOWN, &in);
	verdict_row(&in, g->context->scores, ret);
	if (!ret->final || reason == RC_REASON_SUPPRESSED || reason == RC_REASON_SPAM_TRAP)
		verdict_of_reason(reason, &in, g->context->scores, ret);
}

static bool is_kept(enum rc_reason reason)
{
	switch (reason) {
	case RC_REASON_SUPPRESSED: /* the tenant's own lists */
	case RC_REASON_SPAM_TRAP:
	case RC_REASON_HARVEST_GUARD:
	case RC_REASON_DEADLINE:
	case RC_REASON_NOT_PROBED:
	case RC_REASON_CANCELLED:
	case RC_REASON_BLANK:
		return true;
	default:
		return false;
	}
}

/* Of rows that were called without a probe. False: the rules of now would probe. */
static bool without_probe(const struct regrade *g, const struct row *row, struct verdict *ret)
{
	struct verdict_input in;

	look_at_lists(g, row,
		      row->resolution ? (enum verdict_domain)row->resolution->state
				      : VERDICT_DOMAIN_UNKNOWN,
		      &in);
	verdict_row(&in, g->context->scores, ret);
	if (ret->final)
		return true;
	if (row->reason != RC_REASON_PROVIDER_ACCEPTS_ALL || !row->provider ||
	    row->provider->honesty != RC_MISLEADING)
		return false;
	verdict_of_reason(row->reason, &in, g->context->scores, ret);
	return true;
}

/* Of rows with an answer. False: the rules of now would ask again. */
static bool from_answer(const struct regrade *g, const struct row *row, const struct part *part,
			const Rollcall__Answer *answer, const struct history *history,
			struct verdict *ret)
{
	const struct weigh_row weighed = { .domain = row->domain,
					   .local = row->local,
					   .local_len = row->local_len,
					   .provider = row->provider,
					   .measured = g->measured,
					   .history = history };
	struct verdict_input in;

	weigh(g->context, &weighed, part->report, &part->evidence, answer, &in);
	verdict_row(&in, g->context->scores, ret);
	if (history->closed) {
		struct verdict cause = *ret;

		keep(g, row, decide_cause(cause.reason), ret);
		ret->rule = cause.rule;
		return true;
	}
	return ret->final;
}

static enum regrade_outcome give_anew(const struct regrade *g, const struct row *row,
				      const struct db_result *page, int i, struct verdict *ret)
{
	const Rollcall__Answer *answer;
	const struct part *part;
	struct history history;

	if (row->reason == RC_REASON_BAD_SYNTAX) {
		verdict_of_reason(row->reason, NULL, g->context->scores, ret);
	} else if (is_kept(row->reason)) {
		keep(g, row, row->reason, ret);
	} else if (db_is_null(page, i, REGRADE_SHARD)) {
		if (!without_probe(g, row, ret))
			return REGRADE_NEEDS_PROBE;
	} else {
		part = part_of(g, page, i, row->provider);
		answer =
		    part ? answer_of(part->report, db_is_null(page, i, REGRADE_EVIDENCE_UID)
						       ? row->uid
						       : db_get_int(page, i, REGRADE_EVIDENCE_UID))
			 : NULL;
		if (!answer || db_is_null(page, i, REGRADE_BASIS))
			return REGRADE_NO_EVIDENCE;
		history_unpack(db_get_int(page, i, REGRADE_BASIS), &history);
		if (!from_answer(g, row, part, answer, &history, ret))
			return REGRADE_NEEDS_PROBE;
	}
	/* The age of a domain is a matter of the day it was asked. */
	ret->flags |= row->flags & VERDICT_DOMAIN_RISK;
	if (ret->reason != row->reason)
		return REGRADE_CHANGED;
	if ((ret->flags ^ row->flags) & (0xffff & ~(unsigned)VERDICT_SCORE_MEASURED))
		return REGRADE_FLAGS;
	return ret->score != row->score || ret->flags != row->flags ? REGRADE_SCORE : REGRADE_SAME;
}

/* ------------------------------------------------------------------------------------------------
 * pages */

static void note_sample(struct regrade_summary *s, const struct row *row, const struct verdict *v)
{
	struct regrade_sample *sample = &s->samples[s->sample_count];

	if (s->sample_count == REGRADE_SAMPLES)
		return;
	s->sample_count++;
	sample->uid = row->uid;
	sample->from = row->reason;
	sample->to = v->reason;
	sample->score_from = row->score;
	sample->score_to = v->score;
	snprintf(sample->email, sizeof(sample->email), "%s%s%s", row->local,
		 *row->domain ? "@" : "", row->domain);
	snprintf(sample->rule, sizeof(sample->rule), "%s", v->rule ? v->rule : "");
}

static void one_row(struct regrade *g, const struct db_result *page, int i)
{
	struct verdict *v = &g->verdicts[g->write_count];
	struct row row = {
		.uid = db_get_int(page, i, REGRADE_UID),
		.reason = (enum rc_reason)db_get_int(page, i, REGRADE_REASON),
		.flags = (unsigned)db_get_int(page, i, REGRADE_FLAG_BITS),
		.score = db_is_null(page, i, REGRADE_SCORE_NOW)
			     ? -1
			     : (int)db_get_int(page, i, REGRADE_SCORE_NOW),
		.local = db_get_text(page, i, REGRADE_LOCAL),
		.local_len = db_get_len(page, i, REGRADE_LOCAL),
		.domain = db_get_text(page, i, REGRADE_DOMAIN),
	};
	enum regrade_outcome outcome;
	const uint8_t *body;
	size_t len;

	if (row.reason <= RC_REASON_UNSET || row.reason >= RC_REASON_COUNT)
		return;
	body = db_get_bytes(page, i, REGRADE_RESOLUTION, &len);
	row.resolution = body ? rollcall__resolution__unpack(NULL, len, body) : NULL;
	row.provider = row.resolution
			   ? plan_provider(g->context->providers, row.domain, row.resolution)
			   : rc_providers_find(g->context->providers,
					       *db_get_text(page, i, REGRADE_DOMAIN_PROVIDER)
						   ? db_get_text(page, i, REGRADE_DOMAIN_PROVIDER)
						   : db_get_text(page, i, REGRADE_PROVIDER));
	outcome = give_anew(g, &row, page, i, v);
	g->summary->rows++;
	g->summary->outcomes[outcome]++;
	if (outcome == REGRADE_CHANGED) {
		g->summary->moves[row.reason][v->reason]++;
		note_sample(g->summary, &row, v);
	}
	if (outcome < REGRADE_NEEDS_PROBE &&
	    (outcome != REGRADE_SAME ||
	     (uint64_t)db_get_int(page, i, REGRADE_RULES) != g->summary->rules))
		g->writes[g->write_count++] =
		    (struct regrade_write){ .uid = row.uid,
					    .old_reason = (int)row.reason,
					    .reason = (int)v->reason,
					    .flags = v->flags,
					    .score = v->score,
					    .rule = v->rule,
					    .provider = row.provider ? row.provider->name : NULL,
					    .changed = outcome != REGRADE_SAME };
	if (row.resolution)
		rollcall__resolution__free_unpacked(row.resolution, NULL);
}

/* *ret_after: the last uid of the page; unchanged: there was none. */
static enum rc_status one_page(struct regrade *g, bool apply, int64_t *ret_after,
			       struct rc_error *err)
{
	struct db_result *page = NULL;
	enum rc_status status = RC_OK;
	int rows;

	if (apply)
		status = db_begin(g->db, err);
	if (status == RC_OK && apply)
		status = regrade_lock(g->db, g->job, err);
	if (status == RC_OK)
		status = regrade_page(g->db, g->set, g->job, *ret_after, &page, err);
	if (status == RC_OK)
		status = parts_load(g, page, err);
	rows = status == RC_OK ? db_rows(page) : 0;
	g->write_count = 0;
	for (int i = 0; i < rows; i++)
		one_row(g, page, i);
	if (status == RC_OK && apply)
		status = regrade_write(g->db, g->set, g->job, g->summary->rules, g->writes,
				       g->write_count, err);
	if (status == RC_OK && apply)
		status = db_commit(g->db, err);
	if (status != RC_OK && apply)
		db_rollback(g->db);
	if (status == RC_OK && rows > 0)
		*ret_after = db_get_int(page, rows - 1, REGRADE_UID);
	parts_free(g);
	db_result_free(page);
	return status;
}

enum rc_status regrade_job(const struct context *context, struct db *db, int64_t job,
			   const char *table_set, bool apply, struct regrade_summary *ret,
			   struct rc_error *err)
{
	struct regrade g = {
		.context = context, .db = db, .job = job, .set = table_set, .summary = ret
	};
	struct measured *measured = measured_new();
	int64_t after = 0, before = -1;
	enum rc_status status = RC_OK;

	memset(ret, 0, sizeof(*ret));
	ret->rules = decide_rules(context);
	g.writes = calloc(REGRADE_PAGE, sizeof(*g.writes));
	g.verdicts = calloc(REGRADE_PAGE + 1, sizeof(*g.verdicts));
	if (!measured || !g.writes || !g.verdicts)
		status = rc_error_set(err, RC_NO_MEMORY, "no memory for a regrade");
	if (status == RC_OK)
		status = measured_of_job(measured, db, job, rc_clock_wall_ms(), &g.measured, err);
	while (status == RC_OK && after != before) {
		before = after;
		status = one_page(&g, apply, &after, err);
	}
	for (size_t i = 0; i < ret->sample_count && status == RC_OK; i++)
		status = regrade_row_of(db, table_set, job, ret->samples[i].uid,
					&ret->samples[i].row, err);
	free(g.writes);
	free(g.verdicts);
	measured_free(measured);
	return status;
}
