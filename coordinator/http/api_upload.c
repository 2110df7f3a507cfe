/*
 * POST /v1/jobs: octets -> decode -> list -> addresses -> the store, all within one transaction, as
 * they arrive. Whatever is wrong, the transaction is rolled back and nothing is left of the upload.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address/address.h"
#include "common/base/options.h"
#include "coordinator/http/api.h"
#include "coordinator/http/decode.h"
#include "coordinator/http/list.h"
#include "coordinator/store/upload.h"

enum { BAD_CELL_MAX = 320, NAME_MAX_OCTETS = 200, KEY_MAX = 255 };

struct list_upload {
	struct request *r;
	struct decode *decode;
	struct list *list;
	struct upload *upload;
	EVP_MD_CTX *sha;
	bool hash_decoded; /* Content-Encoding is a matter of transport: the file is what it unpacks
			      to */
	bool repeated;	   /* the idempotency key is known: only its hash is of interest */
	char first_id[JOB_ID_MAX];
	unsigned char first_sha256[32];
	struct list_fault fault;
};

void list_upload_free(struct list_upload *u)
{
	if (!u)
		return;
	upload_abort(u->upload);
	list_free(u->list);
	decode_free(u->decode);
	EVP_MD_CTX_free(u->sha);
	free(u);
}

/* At most `max` octets, not in the middle of a character. */
static size_t cut(const char *text, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static enum rc_status on_row(void *ctx, const struct list_row *row, struct list_fault *fault)
{
	struct list_upload *u = ctx;
	struct upload_row up = {
		.raw = row->raw, .raw_len = row->raw_len, .kind = STAGE_BLANK, .domain = ""
	};
	struct rc_address address;

	switch (rc_address_parse(row->address, row->address_len, &address)) {
	case RC_ADDRESS_OK:
		up.kind = STAGE_ADDRESS;
		up.local = address.local;
		up.local_len = address.local_len;
		up.domain = address.domain;
		up.domain_len = address.domain_len;
		break;
	case RC_ADDRESS_BAD:
		up.kind = STAGE_BAD_SYNTAX;
		up.local = row->address;
		up.local_len = cut(row->address, row->address_len, BAD_CELL_MAX);
		up.did_you_mean = *address.did_you_mean ? address.did_you_mean : NULL;
		break;
	case RC_ADDRESS_BLANK:
		break;
	}
	return upload_row(u->upload, &up, &fault->error);
}

static enum rc_status on_data(void *ctx, const char *data, size_t len)
{
	struct list_upload *u = ctx;

	if (u->hash_decoded && !EVP_DigestUpdate(u->sha, data, len))
		return list_fault_set(&u->fault, RC_BROKEN, 0, 0, "OpenSSL refuses SHA-256");
	return u->repeated ? RC_OK : list_feed(u->list, data, len, &u->fault);
}

/* ---- what the request says */

bool request_coding(struct request *r, enum decode_coding *ret_coding, bool *ret_transport)
{
	const char *text = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_CONTENT_ENCODING);

	*ret_coding = DECODE_LOOK;
	*ret_transport = false;
	if (!text || !*text || !strcasecmp(text, "identity"))
		return true;
	*ret_transport = true;
	if (!strcasecmp(text, "gzip") || !strcasecmp(text, "x-gzip")) {
		*ret_coding = DECODE_GZIP;
	} else if (!strcasecmp(text, "zstd")) {
		*ret_coding = DECODE_ZSTD;
	} else {
		reply_problem(
		    r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "bad-encoding",
		    "Content-Encoding \"%.64s\" is not known: send gzip, zstd, or the plain file",
		    text);
		return false;
	}
	return true;
}

static bool type_is(const char *text, const char *type)
{
	size_t len = strlen(type);

	return strncasecmp(text, type, len) == 0 &&
	       (!text[len] || text[len] == ';' || text[len] == ' ');
}

/* Types that say nothing (octet-stream, curl's form default) leave it to the first octets. */
bool request_format(struct request *r, struct records_params *ret)
{
	static const char *const json[] = { "application/x-ndjson", "application/ndjson",
					    "application/jsonl",    "application/x-jsonlines",
					    "application/json",	    "application/json-lines" };
	const char *text = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_CONTENT_TYPE);

	if (!text)
		return true;
	if (type_is(text, "multipart/form-data")) {
		reply_problem(
		    r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "bad-type",
		    "send the list itself as the body (curl --data-binary @list.csv), not a form");
		return false;
	}
	if (type_is(text, "text/csv") || type_is(text, "application/csv"))
		ret->format = RECORDS_CSV;
	if (type_is(text, "text/tab-separated-values")) {
		ret->format = RECORDS_CSV;
		ret->delimiter = '\t';
	}
	for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++)
		if (type_is(text, json[i]))
			ret->format = RECORDS_NDJSON;
	return true;
}

static bool header_of(struct request *r, enum list_header *ret_header)
{
	bool yes = false;

	*ret_header = LIST_HEADER_LOOK;
	if (!request_param(r, "header") || !strcasecmp(request_param(r, "header"), "auto"))
		return true;
	if (!request_flag(r, "header", &yes))
		return false;
	*ret_header = yes ? LIST_HEADER_YES : LIST_HEADER_NO;
	return true;
}

/* "72h"; left alone where the parameter is absent. */
static bool span_of(struct request *r, const char *name, int64_t *ret_ms)
{
	const char *text = request_param(r, name);

	if (!text)
		return true;
	if (rc_duration_parse(text, strlen(text), ret_ms) != RC_OK || *ret_ms < 1000 ||
	    *ret_ms > 30LL * 86400 * 1000) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "%s is a time span from 1s to 30d, such as 72h, not \"%.64s\"", name,
			      text);
		return false;
	}
	return true;
}

static bool job_params(struct request *r, struct upload_params *ret)
{
	const char *client = request_param(r, "client");

	ret->tenant = r->key.tenant;
	ret->name = request_param(r, "name");
	ret->client = client && *client ? client : NULL;
	ret->idempotency_key =
	    MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Idempotency-Key");
	if (*r->key.client) {
		if (ret->client && strcmp(ret->client, r->key.client) != 0) {
			reply_problem(r, MHD_HTTP_FORBIDDEN, "denied",
				      "this key belongs to the client \"%.100s\"", r->key.client);
			return false;
		}
		ret->client = r->key.client;
	}
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
	return request_flag(r, "suppress_invalid", &ret->suppress_invalid) &&
	       span_of(r, "deadline", &ret->deadline_ms) && span_of(r, "max_age", &ret->max_age_ms);
}

/* ---- the call */

static enum rc_status begin_upload(struct list_upload *u, const struct upload_params *params)
{
	struct request *r = u->r;
	enum rc_status status = RC_NOT_FOUND;
	struct rc_error err;

	if (params->idempotency_key)
		status = jobs_find_idempotent(r->db, r->key.tenant, params->idempotency_key,
					      u->first_id, u->first_sha256, &err);
	u->repeated = status == RC_OK;
	if (status == RC_NOT_FOUND)
		status = upload_begin(r->db, params, &u->upload, &err);
	if (status == RC_CONFLICT)
		reply_problem(
		    r, MHD_HTTP_CONFLICT, "conflict",
		    "another request with this Idempotency-Key is at work: try again in a moment");
	else if (status != RC_OK)
		reply_error(r, &err);
	return status;
}

void call_upload_begin(struct request *r)
{
	struct list_upload *u = calloc(1, sizeof(*u));
	struct list_params lp = { .column = request_param(r, "column") };
	struct upload_params up = { .deadline_ms = r->api->params.deadline_ms };
	enum decode_coding coding;
	uint64_t max =
	    r->api->params.max_upload > 0 ? (uint64_t)r->api->params.max_upload : 10ULL << 30;

	r->upload = u;
	if (!u || !request_coding(r, &coding, &u->hash_decoded) ||
	    !request_format(r, &lp.records) || !header_of(r, &lp.header) || !job_params(r, &up)) {
		if (!u)
			reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no-memory",
				      "the server is out of memory");
		return;
	}
	u->r = r;
	if (lp.column && !*lp.column)
		lp.column = NULL;
	u->decode = decode_new(coding, max, on_data, u);
	u->list = list_new(&lp, on_row, u);
	u->sha = EVP_MD_CTX_new();
	if (!u->decode || !u->list || !u->sha || !EVP_DigestInit_ex(u->sha, EVP_sha256(), NULL)) {
		reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no-memory",
			      "the server is out of memory");
		return;
	}
	(void)begin_upload(u, &up);
}

/* The answer stands; what was done is undone at once, not only when the client has said its last
 * word. */
static void refuse(struct list_upload *u)
{
	u->r->upload = NULL;
	reply_fault(u->r, &u->fault);
	list_upload_free(u);
}

void call_upload_data(struct request *r, const char *data, size_t len)
{
	struct list_upload *u = r->upload;

	if (!u->hash_decoded && !EVP_DigestUpdate(u->sha, data, len)) {
		list_fault_set(&u->fault, RC_BROKEN, 0, 0, "OpenSSL refuses SHA-256");
		refuse(u);
	} else if (decode_feed(u->decode, data, len, &u->fault.error) != RC_OK) {
		refuse(u);
	}
}

static const char *format_name(const struct list *list)
{
	switch (list_format(list)) {
	case RECORDS_NDJSON:
		return "ndjson";
	case RECORDS_TXT:
		return "txt";
	case RECORDS_LOOK:
	case RECORDS_CSV:
		break;
	}
	if (list_delimiter(list) == ';')
		return "csv-semicolon";
	return list_delimiter(list) == '\t' ? "csv-tab" : "csv";
}

static void reply_made(struct request *r, unsigned status, const char *public_id)
{
	struct job_scope scope = request_scope(r);
	struct job_view job;
	struct rc_error err;
	char location[80];

	if (jobs_get(r->db, &scope, public_id, &job, &err) != RC_OK) {
		reply_error(r, &err);
		return;
	}
	reply_json(r, status, job_json(r, &job));
	snprintf(location, sizeof(location), "/v1/jobs/%s", public_id);
	reply_header(r, MHD_HTTP_HEADER_LOCATION, location);
}

void call_upload(struct request *r)
{
	struct list_upload *u = r->upload;
	struct upload_end end = { .format = "" };
	char public_id[JOB_ID_MAX];
	enum rc_status status = decode_finish(u->decode, &u->fault.error);

	if (status == RC_OK && !u->repeated)
		status = list_finish(u->list, &u->fault);
	if (status == RC_OK && !EVP_DigestFinal_ex(u->sha, end.sha256, NULL))
		status = list_fault_set(&u->fault, RC_BROKEN, 0, 0, "OpenSSL refuses SHA-256");
	if (status == RC_OK && u->repeated) {
		if (memcmp(end.sha256, u->first_sha256, sizeof(end.sha256)) == 0)
			reply_made(r, MHD_HTTP_OK, u->first_id);
		else
			reply_problem(r, 422, "idempotency-key",
				      "this Idempotency-Key was used for another list (job %s)",
				      u->first_id);
		return;
	}
	if (status == RC_OK) {
		struct upload *upload = u->upload;

		u->upload = NULL;
		end.format = format_name(u->list);
		end.columns = list_columns(u->list, &end.column_count);
		end.address_column = list_address_column(u->list);
		status = upload_commit(upload, &end, public_id, &u->fault.error);
	}
	if (status != RC_OK) {
		refuse(u);
		return;
	}
	tell_uploaded(r);
	reply_made(r, MHD_HTTP_CREATED, public_id);
}
