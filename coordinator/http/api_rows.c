/* One row with its evidence, and one address asked for at once. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/address/address.h"
#include "common/base/clock.h"
#include "coordinator/http/api.h"
#include "coordinator/http/pool.h"
#include "coordinator/http/render.h"
#include "coordinator/http/transcript.h"
#include "coordinator/store/upload.h"

enum { VERIFY_WAIT_DEFAULT_S = 5, VERIFY_WAIT_MAX_S = 300, LOOK_FIRST_MS = 10, LOOK_LAST_MS = 250 };

static json_t *row_json(const struct results_job *job, int64_t n, const struct results_detail *d,
			const struct rc_rules *rules)
{
	struct rc_buf email;
	json_t *o;

	rc_buf_init(&email, 0);
	rc_buf_addstr(&email, d->local);
	if (*d->domain)
		rc_buf_printf(&email, "@%s", d->domain);
	o = json_pack(
	    "{s:s, s:I, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o}", "job", job->public_id, "row",
	    (json_int_t)n, "email", json_safe(email.data ? email.data : "", email.len), "rollcall",
	    render_json(&d->row), "final", (int)d->row.final, "reused", (int)d->reused,
	    "resolution", transcript_resolution(d), "attempts", transcript_attempts(d, rules),
	    "moves", json_stored(d->moves, d->moves_len), "next_attempt_at", json_time(d->next_attempt_ms));
	rc_buf_done(&email);
	return o;
}

static json_t *explained_row(const struct request *r, const struct results_job *job, int64_t n,
			     const struct results_detail *detail)
{
	const struct http_server_params *params = &r->api->params;
	const void *held = NULL;
	const struct rc_rules *rules =
	    params->rules_take ? params->rules_take(params->ctx, &held) : NULL;
	json_t *row = row_json(job, n, detail, rules);

	if (rules)
		params->rules_give_back(params->ctx, held);
	return row;
}

/* *ret_row is NULL where `only_final` and the row is not. */
static enum rc_status load_row(struct request *r, const char *public_id, int64_t n, bool only_final,
			       json_t **ret_row, struct rc_error *err)
{
	struct job_scope scope = request_scope(r);
	struct results_job *job = NULL;
	struct results_detail detail = { .uid = 0 };
	enum rc_status status = results_open(r->db, &scope, public_id, &job, err);

	if (status == RC_OK)
		status = results_detail_load(r->db, job, n, &detail, err);
	if (status == RC_OK) {
		*ret_row =
		    only_final && !detail.row.final ? NULL : explained_row(r, job, n, &detail);
		results_detail_done(&detail);
	}
	results_close(job);
	return status;
}

void call_row(struct request *r)
{
	struct rc_error err;
	json_t *row = NULL;

	if (load_row(r, r->id, r->n, false, &row, &err) != RC_OK)
		reply_error(r, &err);
	else
		reply_json(r, MHD_HTTP_OK, row);
}

/* ---- POST /v1/verify */

static bool read_email(struct request *r, json_t **ret_body, const char **ret_email)
{
	json_error_t error;
	json_t *body = json_loadb(r->body.data ? r->body.data : "", r->body.len,
				  JSON_REJECT_DUPLICATES, &error);
	const json_t *email = json_object_get(body, "email");
	const char *key;
	json_t *value;

	if (!body) {
		reply_problem(
		    r, MHD_HTTP_BAD_REQUEST, "bad-body",
		    "the body is not JSON (line %d, column %d: %s): send {\"email\":\"...\"}",
		    error.line, error.column, error.text);
		return false;
	}
	json_object_foreach(body, key, value)
	{
		if (strcmp(key, "email") != 0) {
			reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-body",
				      "the member \"%.64s\" is not known", key);
			json_decref(body);
			return false;
		}
	}
	if (!json_is_string(email)) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-body", "send {\"email\":\"...\"}");
		json_decref(body);
		return false;
	}
	*ret_body = body;
	*ret_email = json_string_value(email);
	return true;
}

static bool wait_of(struct request *r, int64_t *ret_ms)
{
	const char *text = request_param(r, "wait");
	char *end;
	double seconds;

	*ret_ms = VERIFY_WAIT_DEFAULT_S * 1000;
	if (!text)
		return true;
	seconds = strtod(text, &end);
	if (!*text || *end || !(seconds >= 0 && seconds <= VERIFY_WAIT_MAX_S)) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "wait is 0 to %d seconds, not \"%.64s\"", VERIFY_WAIT_MAX_S, text);
		return false;
	}
	*ret_ms = (int64_t)(seconds * 1000);
	return true;
}

static enum rc_status submit(struct request *r, const char *email, const char *idempotency_key,
			     const unsigned char sha256[32], char ret_public_id[JOB_ID_MAX],
			     struct rc_error *err)
{
	static const char *const columns[] = { "email" };
	struct upload_params params = { .tenant = r->key.tenant,
					.client = *r->key.client ? r->key.client : NULL,
					.name = "",
					.idempotency_key = idempotency_key,
					.interactive = true,
					.deadline_ms = r->api->params.deadline_ms };
	struct upload_end end = {
		.format = "txt", .columns = columns, .column_count = 1, .address_column = 1
	};
	struct upload_row row = { .raw = email, .raw_len = strlen(email), .domain = "" };
	struct rc_address address;
	struct upload *upload;
	enum rc_status status = upload_begin(r->db, &params, &upload, err);

	if (status != RC_OK)
		return status;
	memcpy(end.sha256, sha256, sizeof(end.sha256));
	switch (rc_address_parse(email, strlen(email), &address)) {
	case RC_ADDRESS_OK:
		row.kind = STAGE_ADDRESS;
		row.local = address.local;
		row.local_len = address.local_len;
		row.domain = address.domain;
		row.domain_len = address.domain_len;
		break;
	case RC_ADDRESS_BAD:
		row.kind = STAGE_BAD_SYNTAX;
		row.local = email;
		row.local_len = strnlen(email, 320);
		while (row.local_len == 320 && row.local_len &&
		       ((unsigned char)email[row.local_len] & 0xc0) == 0x80)
			row.local_len--;
		row.did_you_mean = *address.did_you_mean ? address.did_you_mean : NULL;
		break;
	case RC_ADDRESS_BLANK:
		row.kind = STAGE_BLANK;
		break;
	}
	status = upload_row(upload, &row, err);
	if (status != RC_OK) {
		upload_abort(upload);
		return status;
	}
	return upload_commit(upload, &end, ret_public_id, err);
}

/* Looks again and again, ever more seldom, without keeping a connection meanwhile. */
static enum rc_status wait_row(struct request *r, const char *public_id, int64_t wait_ms,
			       json_t **ret_row, struct rc_error *err)
{
	uint64_t until = rc_clock_mono_ms() + (uint64_t)wait_ms;
	int64_t step = LOOK_FIRST_MS;

	for (;;) {
		enum rc_status status = load_row(r, public_id, 1, true, ret_row, err);
		uint64_t now = rc_clock_mono_ms();
		struct timespec pause;

		if (status != RC_OK || *ret_row || now >= until || atomic_load(&r->api->stopping))
			return status;
		if (step > (int64_t)(until - now))
			step = (int64_t)(until - now);
		pause = (struct timespec){ step / 1000, (step % 1000) * 1000000L };
		pool_give(r->api->pool, r->db);
		r->db = NULL;
		nanosleep(&pause, NULL);
		status = pool_take(r->api->pool, API_POOL_WAIT_MS, &r->db, err);
		if (status != RC_OK)
			return status;
		if (step < LOOK_LAST_MS)
			step += step / 2;
	}
}

static enum rc_status find_or_submit(struct request *r, const char *email,
				     char ret_public_id[JOB_ID_MAX], struct rc_error *err)
{
	const char *key =
	    MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Idempotency-Key");
	unsigned char sha256[EVP_MAX_MD_SIZE], first[32];
	enum rc_status status;

	if (!EVP_Digest(email, strlen(email), sha256, NULL, EVP_sha256(), NULL))
		return rc_error_set(err, RC_BROKEN, "OpenSSL refuses SHA-256");
	if (!key)
		return submit(r, email, NULL, sha256, ret_public_id, err);
	if (!*key || strlen(key) > 255)
		return rc_error_set(err, RC_INVALID, "an Idempotency-Key has 1 to 255 octets");
	status = jobs_find_idempotent(r->db, r->key.tenant, key, ret_public_id, first, err);
	if (status == RC_NOT_FOUND)
		return submit(r, email, key, sha256, ret_public_id, err);
	if (status == RC_OK && memcmp(first, sha256, sizeof(first)) != 0) {
		reply_problem(r, 422, "idempotency-key",
			      "this Idempotency-Key was used for something else (job %s)",
			      ret_public_id);
		return rc_error_set(err, RC_CONFLICT, "used");
	}
	return status;
}

void call_verify(struct request *r)
{
	char public_id[JOB_ID_MAX], location[80];
	const char *email = NULL;
	json_t *body = NULL, *row = NULL;
	int64_t wait_ms;
	struct rc_error err;
	enum rc_status status;

	if (!wait_of(r, &wait_ms) || !read_email(r, &body, &email))
		return;
	status = find_or_submit(r, email, public_id, &err);
	json_decref(body);
	if (status == RC_OK) {
		tell_uploaded(r);
		status = wait_row(r, public_id, wait_ms, &row, &err);
	}
	if (status != RC_OK) {
		reply_error(r, &err);
		return;
	}
	snprintf(location, sizeof(location), "/v1/jobs/%s/rows/1", public_id);
	if (row)
		reply_json(r, MHD_HTTP_OK, row);
	else
		reply_json(
		    r, MHD_HTTP_ACCEPTED,
		    json_pack("{s:s, s:i, s:s}", "job", public_id, "row", 1, "location", location));
	reply_header(r, MHD_HTTP_HEADER_LOCATION, location);
}
