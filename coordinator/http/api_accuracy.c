/*
 * /v1/accuracy: how the scores that rows were given hold against what became of the messages: by
 * score, status, provider and bucket, with 95% intervals; and how often random controls were
 * accepted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/reply/providers.h"
#include "coordinator/http/api.h"
#include "coordinator/store/accuracy.h"
#include "coordinator/store/db.h"
#include "coordinator/store/measured.h"

enum { BINS = 10, STATUSES = RC_RESULT_SKIPPED + 1 };

static const char warning[] =
    "Outcomes come from addresses that somebody chose to mail: rows called invalid are seldom "
    "among them, and doubtful ones less often than good ones. This table says how scores hold for "
    "mailed addresses, not for all that were verified. Controls are made-up names and free of that "
    "choice.";

/* Rows that were given about the same. */
struct tally {
	int64_t delivered, bounced;
	double promised; /* sum of the scores, 0 to 1 a row */
};

static void tally_add(struct tally *c, const struct db_result *r, int i)
{
	int64_t delivered = db_get_int(r, i, ACCURACY_DELIVERED),
		bounced = db_get_int(r, i, ACCURACY_BOUNCED);

	c->delivered += delivered;
	c->bounced += bounced;
	c->promised +=
	    (double)(delivered + bounced) * (double)db_get_int(r, i, ACCURACY_SCORE) / 100;
}

/* Percent with one decimal. */
static json_t *percent(double share)
{
	char text[16];

	snprintf(text, sizeof(text), "%.1f", 100 * share);
	return json_real(strtod(text, NULL));
}

static void put_share(json_t *o, const char *name, int64_t hits, int64_t n)
{
	double low, high;

	posterior_interval(hits, n, 1.96, &low, &high);
	json_object_set_new(o, name, n ? percent((double)hits / (double)n) : json_null());
	json_object_set_new(o, "low", percent(low));
	json_object_set_new(o, "high", percent(high));
}

static void put_tally(json_t *o, const struct tally *c)
{
	int64_t n = c->delivered + c->bounced;

	json_object_set_new(o, "rows", json_integer((json_int_t)n));
	json_object_set_new(o, "delivered", json_integer((json_int_t)c->delivered));
	json_object_set_new(o, "bounced", json_integer((json_int_t)c->bounced));
	json_object_set_new(o, "predicted", n ? percent(c->promised / (double)n) : json_null());
	put_share(o, "observed", c->delivered, n);
}

static int bin_of(int64_t score)
{
	return score >= 100 ? BINS - 1 : score < 0 ? 0 : (int)score * BINS / 100;
}

static enum rc_result_status status_of(const struct db_result *r, int i)
{
	return rc_reason_status((enum rc_reason)db_get_int(r, i, ACCURACY_REASON));
}

/* "" in the database is a server without a profile; so it is called in the query. */
static const char *provider_of(const struct db_result *r, int i)
{
	const char *name = db_get_text(r, i, ACCURACY_PROVIDER);

	return *name ? name : "-";
}

static bool wanted(const struct db_result *r, int i, enum rc_result_status status,
		   const char *provider)
{
	return (status == RC_RESULT_UNSET || status == status_of(r, i)) &&
	       (!provider || strcmp(provider, provider_of(r, i)) == 0);
}

static json_t *bins_json(const struct db_result *r, enum rc_result_status status,
			 const char *provider)
{
	struct tally bins[BINS] = { 0 };
	json_t *list = json_array();

	for (int i = 0; i < db_rows(r); i++)
		if (wanted(r, i, status, provider))
			tally_add(&bins[bin_of(db_get_int(r, i, ACCURACY_SCORE))], r, i);
	for (int b = 0; b < BINS; b++) {
		json_t *o = json_pack("{s:i, s:i}", "from", b * 100 / BINS, "to",
				      b == BINS - 1 ? 100 : (b + 1) * 100 / BINS - 1);

		put_tally(o, &bins[b]);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *statuses_json(const struct db_result *r, const char *provider)
{
	struct tally cells[STATUSES] = { 0 };
	json_t *list = json_array();

	for (int i = 0; i < db_rows(r); i++)
		if (wanted(r, i, RC_RESULT_UNSET, provider))
			tally_add(&cells[status_of(r, i)], r, i);
	for (int s = 0; s < STATUSES; s++) {
		json_t *o;

		if (cells[s].delivered + cells[s].bounced == 0)
			continue;
		o = json_pack("{s:s}", "status", rc_result_status_name((enum rc_result_status)s));
		put_tally(o, &cells[s]);
		json_array_append_new(list, o);
	}
	return list;
}

/* Cells of one name each, as they come; the lists are short. */
static json_t *providers_json(const struct db_result *r, enum rc_result_status status)
{
	struct tally *cells = calloc((size_t)db_rows(r) + 1, sizeof(*cells));
	int *first = calloc((size_t)db_rows(r) + 1, sizeof(*first)), count = 0;
	json_t *list = json_array();

	for (int i = 0; cells && first && i < db_rows(r); i++) {
		int k = 0;

		if (!wanted(r, i, status, NULL))
			continue;
		while (k < count && strcmp(provider_of(r, first[k]), provider_of(r, i)) != 0)
			k++;
		if (k == count)
			first[count++] = i;
		tally_add(&cells[k], r, i);
	}
	for (int k = 0; k < count; k++) {
		json_t *o = json_pack("{s:s}", "provider", provider_of(r, first[k]));

		put_tally(o, &cells[k]);
		json_array_append_new(list, o);
	}
	free(cells);
	free(first);
	return list;
}

static bool same_bucket(const struct db_result *r, int a, int b)
{
	return db_get_int(r, a, ACCURACY_REASON) == db_get_int(r, b, ACCURACY_REASON) &&
	       db_get_int(r, a, ACCURACY_EVIDENCE) == db_get_int(r, b, ACCURACY_EVIDENCE) &&
	       strcmp(provider_of(r, a), provider_of(r, b)) == 0;
}

/* What the next row of each bucket will be given, and why. */
static json_t *buckets_json(const struct request *r, const struct db_result *rows,
			    const struct posteriors *measured, enum rc_result_status status,
			    const char *provider)
{
	const struct http_server_params *p = &r->api->params;
	json_t *list = json_array();

	for (int i = 0, end; i < db_rows(rows); i = end) {
		enum rc_reason reason = (enum rc_reason)db_get_int(rows, i, ACCURACY_REASON);
		enum score_evidence evidence =
		    (enum score_evidence)db_get_int(rows, i, ACCURACY_EVIDENCE);
		const char *name = db_get_text(rows, i, ACCURACY_PROVIDER);
		struct tally c = { 0 };
		struct score now, prior;
		json_t *o;

		for (end = i; end < db_rows(rows) && same_bucket(rows, i, end); end++)
			tally_add(&c, rows, end);
		if (!wanted(rows, i, status, provider) || !p->score)
			continue;
		now = p->score(p->ctx, measured, reason, name, evidence);
		prior = p->score(p->ctx, NULL, reason, name, evidence);
		o = json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "reason", rc_reason_name(reason),
			      "provider", provider_of(rows, i), "evidence",
			      score_evidence_name(evidence), "prior", prior.percent, "score",
			      now.percent, "basis", now.measured ? "measured" : "prior");
		put_tally(o, &c);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *controls_json(const struct db_result *r, const char *provider)
{
	static const char *const honesty[] = { "", "honest", "inconsistent", "misleading" };
	json_t *list = json_array();

	for (int i = 0; i < db_rows(r); i++) {
		const char *name = db_get_text(r, i, ACCURACY_WHO);
		int64_t how = db_get_int(r, i, ACCURACY_HONESTY),
			accepted = db_get_int(r, i, ACCURACY_ACCEPTED),
			refused = db_get_int(r, i, ACCURACY_REFUSED);
		json_t *o;

		if (provider && strcmp(provider, *name ? name : "-") != 0)
			continue;
		o = json_pack("{s:s, s:s, s:I, s:I}", "provider", *name ? name : "-", "honesty",
			      how >= 0 && how <= RC_MISLEADING ? honesty[how] : "", "accepted",
			      (json_int_t)accepted, "refused", (json_int_t)refused);
		put_share(o, "rate", accepted, accepted + refused);
		json_array_append_new(list, o);
	}
	return list;
}

static bool status_param(struct request *r, enum rc_result_status *ret_status)
{
	const char *text = request_param(r, "status");

	*ret_status = text ? rc_result_status_find(text) : RC_RESULT_UNSET;
	if (!text || *ret_status != RC_RESULT_UNSET)
		return true;
	reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
		      "there is no status \"%.64s\": valid, invalid, catch_all, do_not_mail, "
		      "role_based, unknown",
		      text);
	return false;
}

void call_accuracy(struct request *r)
{
	const char *provider = request_param(r, "provider");
	struct posteriors *measured = posteriors_new();
	struct db_result *rows = NULL, *controls = NULL;
	enum rc_result_status wanted_status;
	enum rc_status status = RC_OK;
	struct rc_error err;
	int64_t total = 0;

	if (!status_param(r, &wanted_status))
		goto out;
	if (!measured)
		status = rc_error_set(&err, RC_NO_MEMORY, "the server is out of memory");
	if (status == RC_OK)
		status = accuracy_outcomes(r->db, r->key.tenant, &rows, &err);
	if (status == RC_OK)
		status = accuracy_controls(r->db, &controls, &err);
	if (status == RC_OK)
		status = measured_load(r->db, r->key.tenant, measured, &err);
	if (status != RC_OK) {
		reply_error(r, &err);
		goto out;
	}
	for (int i = 0; i < db_rows(rows); i++)
		if (wanted(rows, i, wanted_status, provider))
			total += db_get_int(rows, i, ACCURACY_DELIVERED) +
				 db_get_int(rows, i, ACCURACY_BOUNCED);
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:I, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "outcomes",
			     (json_int_t)total, "warning", warning, "bucket_minimum",
			     (int)POSTERIOR_MIN, "bins", bins_json(rows, wanted_status, provider),
			     "by_status", statuses_json(rows, provider), "by_provider",
			     providers_json(rows, wanted_status), "buckets",
			     buckets_json(r, rows, measured, wanted_status, provider),
			     "false_accepts", controls_json(controls, provider)));
out:
	db_result_free(rows);
	db_result_free(controls);
	posteriors_free(measured);
}
