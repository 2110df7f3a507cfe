/*
 * /v1/suppressions: whom never to mail. A list of addresses and domains -> decode -> list -> the
 * store, in one transaction, as it arrives. Cells that are neither are told of; the rest counts.
 */
#include <stdlib.h>
#include <string.h>

#include "common/address/address.h"
#include "coordinator/http/api.h"
#include "coordinator/http/decode.h"
#include "coordinator/http/list.h"
#include "coordinator/store/suppress.h"

enum { FAULTS_SHOWN = 200, LIST_LIMIT_DEFAULT = 100, LIST_LIMIT_MAX = 1000 };

struct suppress_upload {
	struct request *r;
	struct decode *decode;
	struct list *list;
	struct suppress *suppress;
	json_t *faults;
	int64_t rows, bad;
	bool header; /* the first row is neither address nor domain */
	struct list_fault fault;
};

void suppress_upload_free(struct suppress_upload *u)
{
	if (!u)
		return;
	suppress_abort(u->suppress);
	list_free(u->list);
	decode_free(u->decode);
	json_decref(u->faults);
	free(u);
}

/* ---- what arrives */

struct entry {
	char local[RC_LOCAL_MAX + 1]; /* "": the whole domain */
	char domain[RC_DOMAIN_SIZE];
};

/* "ann@example.org", "example.org" and "@example.org"; NULL, or why it is none of them. */
static const char *read_entry(const char *text, size_t len, struct entry *ret)
{
	const char *at = memrchr(text, '@', len), *reason = "";
	struct rc_address address;

	ret->local[0] = '\0';
	if (!at || at == text) {
		size_t skip = at ? 1 : 0;

		return rc_domain_normalize(text + skip, len - skip, ret->domain, NULL, &reason) ==
			       RC_OK
			   ? NULL
			   : reason;
	}
	if (rc_address_parse(text, len, &address) != RC_ADDRESS_OK)
		return address.reason ? address.reason : "there is nothing";
	for (size_t i = 0; i <= address.local_len; i++)
		ret->local[i] = (char)(address.local[i] >= 'A' && address.local[i] <= 'Z'
					   ? address.local[i] + 32
					   : address.local[i]);
	memcpy(ret->domain, address.domain, (size_t)address.domain_len + 1);
	return NULL;
}

static void note_bad(struct suppress_upload *u, uint64_t row, const char *why)
{
	u->bad++;
	if (json_array_size(u->faults) < FAULTS_SHOWN)
		json_array_append_new(
		    u->faults, json_pack("{s:I, s:s}", "row", (json_int_t)row, "detail", why));
}

static enum rc_status on_row(void *ctx, const struct list_row *row, struct list_fault *fault)
{
	struct suppress_upload *u = ctx;
	struct entry entry;
	const char *why;

	u->rows++;
	if (!row->address_len)
		return RC_OK;
	why = read_entry(row->address, row->address_len, &entry);
	if (!why)
		return suppress_row(u->suppress, entry.local, strlen(entry.local), entry.domain,
				    strlen(entry.domain), &fault->error);
	if (row->n == 1)
		u->header = true;
	else
		note_bad(u, row->n, why);
	return RC_OK;
}

static enum rc_status on_data(void *ctx, const char *data, size_t len)
{
	struct suppress_upload *u = ctx;

	return list_feed(u->list, data, len, &u->fault);
}

/* ---- what the request says */

/* Whose entries: those of the key's client, or of the one that is named. */
static bool scope_of(struct request *r, struct job_scope *ret)
{
	const char *client = request_param(r, "client");

	*ret = request_scope(r);
	if (!client || !*client)
		return true;
	if (*r->key.client && strcmp(client, r->key.client) != 0) {
		reply_problem(r, MHD_HTTP_FORBIDDEN, "denied",
			      "this key belongs to the client \"%.100s\"", r->key.client);
		return false;
	}
	if (strlen(client) >= KEY_CLIENT_MAX) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "client has at most %d octets", KEY_CLIENT_MAX - 1);
		return false;
	}
	ret->client = client;
	return true;
}

void call_suppress_begin(struct request *r)
{
	const struct http_server_params *p = &r->api->params;
	struct suppress_upload *u = calloc(1, sizeof(*u));
	/* A domain has no @: the first row is no header until it has been looked at. */
	struct list_params lp = { .header = LIST_HEADER_NO, .column = request_param(r, "column") };
	uint64_t max = p->max_upload > 0 ? (uint64_t)p->max_upload : 10ULL << 30;
	enum decode_coding coding;
	struct job_scope scope;
	struct rc_error err;
	bool transport;

	r->suppress = u;
	if (u && (!request_coding(r, &coding, &transport) || !request_format(r, &lp.records) ||
		  !scope_of(r, &scope)))
		return;
	if (lp.column && !strchr("0123456789", *lp.column))
		lp.header = LIST_HEADER_YES;
	if (u) {
		u->r = r;
		u->decode = decode_new(coding, max, on_data, u);
		u->list = list_new(&lp, on_row, u);
		u->faults = json_array();
	}
	if (!u || !u->decode || !u->list || !u->faults) {
		reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no-memory",
			      "the server is out of memory");
		return;
	}
	if (suppress_begin(r->db, &scope, &u->suppress, &err) != RC_OK)
		reply_error(r, &err);
}

/* The answer stands; what was done is undone at once. */
static void refuse(struct suppress_upload *u)
{
	u->r->suppress = NULL;
	reply_fault(u->r, &u->fault);
	suppress_upload_free(u);
}

void call_suppress_data(struct request *r, const char *data, size_t len)
{
	struct suppress_upload *u = r->suppress;

	if (decode_feed(u->decode, data, len, &u->fault.error) != RC_OK)
		refuse(u);
}

void call_suppress(struct request *r)
{
	struct suppress_upload *u = r->suppress;
	struct suppress *suppress = u->suppress;
	int64_t added = 0, known = 0;
	enum rc_status status = decode_finish(u->decode, &u->fault.error);

	if (status == RC_OK)
		status = list_finish(u->list, &u->fault);
	if (status == RC_OK && u->header && u->rows == 1)
		note_bad(u, 1, "this is no address and no domain");
	if (status == RC_OK) {
		u->suppress = NULL;
		status = suppress_commit(suppress, &added, &known, &u->fault.error);
	}
	if (status != RC_OK) {
		refuse(u);
		return;
	}
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:I, s:I, s:I, s:O}", "added", (json_int_t)added, "known",
			     (json_int_t)known, "bad", (json_int_t)u->bad, "faults", u->faults));
}

/* ---- what is there */

static json_t *view_json(const struct suppress_view *v)
{
	return json_pack("{s:o, s:o, s:s?, s:s?, s:o}", "entry",
			 json_safe(v->entry, strlen(v->entry)), "client",
			 *v->client ? json_safe(v->client, strlen(v->client)) : json_null(),
			 "reason", v->reason ? rc_reason_name(v->reason) : NULL, "job",
			 *v->job ? v->job : NULL, "added_at", json_time(v->added_ms));
}

void call_suppress_list(struct request *r)
{
	const char *domain = request_param(r, "domain");
	int64_t before = 0, limit = LIST_LIMIT_DEFAULT, total = 0;
	struct suppress_view *views;
	json_t *list, *next = json_null();
	struct job_scope scope;
	struct rc_error err;
	bool more = false;
	int count = 0;

	if (!scope_of(r, &scope) || !request_number(r, "cursor", 1, INT64_MAX - 1, &before) ||
	    !request_number(r, "limit", 1, LIST_LIMIT_MAX, &limit)) {
		json_decref(next);
		return;
	}
	views = calloc((size_t)limit, sizeof(*views));
	list = json_array();
	if (!views) {
		rc_error_set(&err, RC_NO_MEMORY, "the server is out of memory");
		reply_error(r, &err);
	} else if (suppress_list(r->db, &scope, domain, before, (int)limit, views, &count, &more,
				 &total, &err) != RC_OK) {
		reply_error(r, &err);
	}
	for (int i = 0; i < count; i++)
		json_array_append_new(list, view_json(&views[i]));
	if (more && count) {
		json_decref(next);
		next = json_sprintf("%lld", (long long)views[count - 1].id);
	}
	free(views);
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:o, s:I, s:o}", "suppressions", list, "total", (json_int_t)total,
			     "next", next));
}

void call_suppress_remove(struct request *r)
{
	const char *text = request_param(r, "entry"), *why;
	struct job_scope scope;
	struct entry entry;
	struct rc_error err;

	if (!scope_of(r, &scope))
		return;
	why = text ? read_entry(text, strlen(text), &entry) : "name it with entry=";
	if (why)
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "entry is an address or a domain: %s", why);
	else if (suppress_remove(r->db, &scope, entry.local, entry.domain, &err) != RC_OK)
		reply_error(r, &err);
	else
		reply_text(r, MHD_HTTP_NO_CONTENT, "application/json", "", 0);
}
