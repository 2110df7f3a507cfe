#include "coordinator/http/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/log.h"

struct job_scope request_scope(const struct request *r)
{
	return (struct job_scope){ .tenant = r->key.tenant, .client = r->key.client };
}

const char *request_param(const struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool request_flag(struct request *r, const char *name, bool *ret_value)
{
	const char *text = request_param(r, name);

	if (!text)
		return true;
	if (!*text || !strcasecmp(text, "true") || !strcasecmp(text, "yes") || !strcmp(text, "1")) {
		*ret_value = true;
	} else if (!strcasecmp(text, "false") || !strcasecmp(text, "no") || !strcmp(text, "0")) {
		*ret_value = false;
	} else {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "%s is true or false, not \"%.64s\"", name, text);
		return false;
	}
	return true;
}

bool request_number(struct request *r, const char *name, int64_t min, int64_t max,
		    int64_t *ret_value)
{
	const char *text = request_param(r, name);
	char *end;
	long long value;

	if (!text)
		return true;
	value = strtoll(text, &end, 10);
	if (!*text || *end || value < min || value > max) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "%s is a number from %lld to %lld, not \"%.64s\"", name,
			      (long long)min, (long long)max, text);
		return false;
	}
	*ret_value = value;
	return true;
}

bool request_answered(const struct request *r)
{
	return r->response != NULL;
}

void reply_response(struct request *r, unsigned status, struct MHD_Response *response)
{
	if (!response)
		return;
	if (r->response) {
		MHD_destroy_response(response);
		return;
	}
	r->response = response;
	r->status = status;
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}

void reply_header(struct request *r, const char *name, const char *value)
{
	if (r->response)
		MHD_add_response_header(r->response, name, value);
}

void reply_text(struct request *r, unsigned status, const char *type, const char *text, size_t len)
{
	struct MHD_Response *response;

	if (r->response)
		return;
	response =
	    MHD_create_response_from_buffer(len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	reply_response(r, status, response);
	reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
}

void reply_json(struct request *r, unsigned status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	if (text)
		reply_text(r, status, "application/json", text, strlen(text));
	else
		reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no-memory",
			      "the server is out of memory");
	free(text);
}

static const char *status_title(unsigned status)
{
	switch (status) {
	case MHD_HTTP_BAD_REQUEST:
		return "Bad request";
	case MHD_HTTP_UNAUTHORIZED:
		return "No valid key";
	case MHD_HTTP_FORBIDDEN:
		return "The key may not do that";
	case MHD_HTTP_NOT_FOUND:
		return "Not found";
	case MHD_HTTP_METHOD_NOT_ALLOWED:
		return "Wrong method";
	case MHD_HTTP_CONFLICT:
		return "Not possible now";
	case 413:
		return "Too large";
	case MHD_HTTP_UNSUPPORTED_MEDIA_TYPE:
		return "Not a list";
	case 422:
		return "Does not fit";
	case MHD_HTTP_SERVICE_UNAVAILABLE:
		return "Not available now";
	default:
		return "Server error";
	}
}

static void problem(struct request *r, unsigned status, const char *kind,
		    const struct list_fault *fault, const char *detail)
{
	char type[80];
	json_t *o;
	char *text;

	if (r->response)
		return;
	snprintf(type, sizeof(type), "urn:rollcall:problem:%s", kind);
	o = json_pack("{s:s, s:s, s:i, s:o}", "type", type, "title", status_title(status), "status",
		      (int)status, "detail", json_safe(detail, strlen(detail)));
	if (o && fault && fault->record) {
		json_object_set_new(o, "record", json_integer((json_int_t)fault->record));
		if (fault->row)
			json_object_set_new(o, "row", json_integer((json_int_t)fault->row));
		if (fault->column)
			json_object_set_new(o, "column", json_integer((json_int_t)fault->column));
	}
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	rc_buf_clear(&r->problem);
	rc_buf_addstr(&r->problem, text ? text : "{}");
	free(text);
	reply_text(r, status, "application/problem+json", r->problem.data, r->problem.len);
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		reply_header(r, "Retry-After", "2");
	if (status == MHD_HTTP_UNAUTHORIZED)
		reply_header(r, "WWW-Authenticate", "Bearer");
}

void reply_problem(struct request *r, unsigned status, const char *kind, const char *format, ...)
{
	char detail[RC_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	problem(r, status, kind, NULL, detail);
}

static unsigned error_status(enum rc_status status, const char **ret_kind)
{
	switch (status) {
	case RC_INVALID:
		*ret_kind = "bad-request";
		return MHD_HTTP_BAD_REQUEST;
	case RC_NOT_FOUND:
		*ret_kind = "not-found";
		return MHD_HTTP_NOT_FOUND;
	case RC_CONFLICT:
		*ret_kind = "conflict";
		return MHD_HTTP_CONFLICT;
	case RC_DENIED:
		*ret_kind = "denied";
		return MHD_HTTP_FORBIDDEN;
	case RC_LIMIT:
		*ret_kind = "too-large";
		return 413;
	case RC_NO_MEMORY:
	case RC_UNAVAILABLE:
		*ret_kind = "unavailable";
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	case RC_OK:
	case RC_BROKEN:
		break;
	}
	*ret_kind = "server-error";
	return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

void reply_error(struct request *r, const struct rc_error *err)
{
	const char *kind;
	unsigned status = error_status(err->status, &kind);

	if (status >= 500 && !r->response)
		rc_log(RC_LOG_WARN, "request_failed", "path=%s status=%u error=%s",
		       r->route ? r->route->path : "-", status, err->text);
	problem(r, status, kind, NULL, err->text);
}

void reply_fault(struct request *r, const struct list_fault *fault)
{
	const char *kind;
	unsigned status = error_status(fault->error.status, &kind);

	if (status >= 500) {
		reply_error(r, &fault->error);
		return;
	}
	problem(r, status, status == MHD_HTTP_BAD_REQUEST ? "bad-list" : kind, fault,
		fault->error.text);
}

void tell_uploaded(const struct request *r)
{
	const struct http_server_params *p = &r->api->params;

	if (p->uploaded)
		p->uploaded(p->ctx);
}

void tell_changed(const struct request *r)
{
	const struct http_server_params *p = &r->api->params;

	if (p->changed)
		p->changed(p->ctx);
}
