/*
 * /v1/outcomes: an export of bounces and deliveries -> decode -> outcomes -> the store, in one
 * transaction, as it arrives. Records that are not understood are told of; the rest counts.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "coordinator/core/outcome_format.h"
#include "coordinator/http/api.h"
#include "coordinator/http/outcome_reader.h"
#include "coordinator/store/outcomes.h"

enum { FAULTS_SHOWN = 200, LIST_MAX = 100, NAME_MAX_OCTETS = 200, KEY_MAX = 255 };

struct outcomes_upload {
	struct request *r;
	struct decode *decode;
	struct outcome_reader *reader;
	struct outcomes *outcomes;
	EVP_MD_CTX *sha;
	json_t *faults;
	int64_t bad;
	struct list_fault fault;
};

void outcomes_upload_free(struct outcomes_upload *u)
{
	if (!u)
		return;
	outcomes_abort(u->outcomes);
	outcome_reader_free(u->reader);
	decode_free(u->decode);
	EVP_MD_CTX_free(u->sha);
	json_decref(u->faults);
	free(u);
}

/* ---- what arrives */

static enum rc_status on_outcome(void *ctx, const struct outcome_row *row, struct rc_error *err)
{
	struct outcomes_upload *u = ctx;
	const struct outcomes_row put = { .address = row->address,
					  .local_len = row->local_len,
					  .domain_len = row->domain_len,
					  .kind = row->kind,
					  .at_ms = row->at_ms,
					  .diagnostic = row->diagnostic,
					  .diagnostic_len = row->diagnostic_len };

	return outcomes_row(u->outcomes, &put, err);
}

static enum rc_status on_bad(void *ctx, const struct outcome_bad *bad, struct rc_error *err)
{
	struct outcomes_upload *u = ctx;

	(void)err;
	u->bad++;
	if (json_array_size(u->faults) < FAULTS_SHOWN)
		json_array_append_new(
		    u->faults,
		    json_pack("{s:I, s:I, s:o, s:o}", "record", (json_int_t)bad->record, "row",
			      (json_int_t)bad->row, "column",
			      bad->column ? json_integer((json_int_t)bad->column) : json_null(),
			      "detail", json_safe(bad->why, strlen(bad->why))));
	return RC_OK;
}

static enum rc_status on_data(void *ctx, const char *data, size_t len)
{
	struct outcomes_upload *u = ctx;

	if (!EVP_DigestUpdate(u->sha, data, len))
		return list_fault_set(&u->fault, RC_BROKEN, 0, 0, "OpenSSL refuses SHA-256");
	return outcome_reader_feed(u->reader, data, len, &u->fault);
}

static enum outcome_kind decide(void *ctx, const char *provider, enum outcome_kind kind,
				const char *diagnostic, size_t len)
{
	const struct http_server_params *p = &((struct outcomes_upload *)ctx)->r->api->params;

	return p->outcome(p->ctx, provider, kind, diagnostic, len);
}

/* ---- what the request says */

static bool params_of(struct request *r, struct outcomes_params *ret, const char **ret_format)
{
	const char *client = request_param(r, "client");

	*ret_format = request_param(r, "format");
	ret->scope = request_scope(r);
	ret->name = request_param(r, "name");
	ret->idempotency_key =
	    MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Idempotency-Key");
	if (client && *client && *r->key.client && strcmp(client, r->key.client) != 0) {
		reply_problem(r, MHD_HTTP_FORBIDDEN, "denied",
			      "this key belongs to the client \"%.100s\"", r->key.client);
		return false;
	}
	if (client && *client)
		ret->scope.client = client;
	if ((ret->name && strlen(ret->name) > NAME_MAX_OCTETS) ||
	    (client && strlen(client) >= KEY_CLIENT_MAX)) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "name and client have at most %d and %d octets", NAME_MAX_OCTETS,
			      KEY_CLIENT_MAX - 1);
		return false;
	}
	if (ret->idempotency_key &&
	    (!*ret->idempotency_key || strlen(ret->idempotency_key) > KEY_MAX)) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "an Idempotency-Key has 1 to %d octets", KEY_MAX);
		return false;
	}
	if (*ret_format && !outcome_format_known(*ret_format)) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "format is generic, sendgrid, mailgun, postmark, ses, mailchimp, "
			      "sparkpost or brevo, not \"%.64s\"; left out, the columns decide",
			      *ret_format);
		return false;
	}
	return true;
}

void call_outcomes_begin(struct request *r)
{
	const struct http_server_params *p = &r->api->params;
	struct outcomes_upload *u = calloc(1, sizeof(*u));
	const struct outcome_calls calls = { .ctx = u, .row = on_outcome, .bad = on_bad };
	struct outcomes_params op = { .decide = decide, .ctx = u };
	uint64_t max = p->max_upload > 0 ? (uint64_t)p->max_upload : 10ULL << 30;
	enum decode_coding coding;
	const char *format;
	struct rc_error err;
	bool transport;

	r->outcomes = u;
	if (u && (!request_coding(r, &coding, &transport) || !params_of(r, &op, &format)))
		return;
	if (u) {
		u->r = r;
		u->decode = decode_new(coding, max, on_data, u);
		u->reader = outcome_reader_new(format, rc_clock_wall_ms(), &calls);
		u->sha = EVP_MD_CTX_new();
		u->faults = json_array();
	}
	if (!u || !u->decode || !u->reader || !u->sha || !u->faults ||
	    !EVP_DigestInit_ex(u->sha, EVP_sha256(), NULL)) {
		reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no-memory",
			      "the server is out of memory");
		return;
	}
	if (outcomes_begin(r->db, &op, &u->outcomes, &err) != RC_OK)
		reply_error(r, &err);
}

/* The answer stands; what was done is undone at once. */
static void refuse(struct outcomes_upload *u)
{
	u->r->outcomes = NULL;
	reply_fault(u->r, &u->fault);
	outcomes_upload_free(u);
}

void call_outcomes_data(struct request *r, const char *data, size_t len)
{
	struct outcomes_upload *u = r->outcomes;

	if (decode_feed(u->decode, data, len, &u->fault.error) != RC_OK)
		refuse(u);
}

/* ---- answers */

static json_t *import_json(const struct outcomes_view *v)
{
	const struct outcomes_counts *c = &v->counts;

	return json_pack("{s:s, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
			 v->public_id, "name", json_safe(v->name, strlen(v->name)), "format",
			 v->format, "created_at", json_time(v->created_ms), "rows",
			 (json_int_t)c->rows, "delivered", (json_int_t)c->delivered, "bounced",
			 (json_int_t)c->bounced, "repeated", (json_int_t)c->repeated, "ignored",
			 (json_int_t)c->ignored, "unmatched", (json_int_t)c->unmatched, "bad",
			 (json_int_t)c->bad);
}

void call_outcomes(struct request *r)
{
	struct outcomes_upload *u = r->outcomes;
	struct outcomes_end end = { .format = "" };
	struct outcomes *outcomes = u->outcomes;
	struct outcomes_view view = { .id = 0 };
	char *faults = NULL;
	bool known = false;
	enum rc_status status = decode_finish(u->decode, &u->fault.error);
	json_t *body;

	if (status == RC_OK)
		status = outcome_reader_finish(u->reader, &u->fault);
	if (status == RC_OK && !EVP_DigestFinal_ex(u->sha, end.sha256, NULL))
		status = list_fault_set(&u->fault, RC_BROKEN, 0, 0, "OpenSSL refuses SHA-256");
	faults = json_dumps(u->faults, JSON_COMPACT);
	if (status == RC_OK && !faults)
		status = rc_error_set(&u->fault.error, RC_NO_MEMORY, "out of memory");
	if (status == RC_OK) {
		end.format = outcome_reader_format(u->reader);
		end.bad = u->bad;
		end.faults = faults;
		u->outcomes = NULL;
		status = outcomes_commit(outcomes, &end, &view, &known, &u->fault.error);
	}
	free(faults);
	if (status == RC_CONFLICT) {
		reply_problem(r, 422, "idempotency-key", "%s", u->fault.error.text);
		return;
	}
	if (status != RC_OK) {
		refuse(u);
		return;
	}
	body = import_json(&view);
	json_object_set_new(body, "known", json_boolean(known));
	json_object_set(body, "faults", u->faults);
	reply_json(r, known ? MHD_HTTP_OK : MHD_HTTP_CREATED, body);
}

void call_outcomes_list(struct request *r)
{
	struct outcomes_view *views = calloc(LIST_MAX, sizeof(*views));
	struct job_scope scope = request_scope(r);
	int64_t before = 0, limit = LIST_MAX;
	json_t *list = json_array(), *next = json_null();
	struct rc_error err;
	bool more = false;
	int count = 0;

	if (!views) {
		rc_error_set(&err, RC_NO_MEMORY, "the server is out of memory");
		reply_error(r, &err);
	} else if (request_number(r, "cursor", 1, INT64_MAX - 1, &before) &&
		   request_number(r, "limit", 1, LIST_MAX, &limit) &&
		   outcomes_list(r->db, &scope, before, (int)limit, views, &count, &more, &err) !=
		       RC_OK) {
		reply_error(r, &err);
	}
	for (int i = 0; i < count; i++)
		json_array_append_new(list, import_json(&views[i]));
	if (more && count) {
		json_decref(next);
		next = json_sprintf("%lld", (long long)views[count - 1].id);
	}
	free(views);
	reply_json(r, MHD_HTTP_OK, json_pack("{s:o, s:o}", "outcomes", list, "next", next));
}

void call_outcomes_get(struct request *r)
{
	struct job_scope scope = request_scope(r);
	struct outcomes_view view;
	struct rc_error err;
	char *faults = NULL;
	json_t *body;

	if (outcomes_get(r->db, &scope, r->id, &view, &faults, &err) != RC_OK) {
		reply_error(r, &err);
		return;
	}
	body = import_json(&view);
	json_object_set_new(body, "faults", json_loads(faults, 0, NULL));
	free(faults);
	reply_json(r, MHD_HTTP_OK, body);
}
