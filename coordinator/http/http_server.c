#include "coordinator/http/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "coordinator/http/api.h"
#include "coordinator/http/pool.h"
#include "coordinator/http/rate.h"
#include "coordinator/store/db.h"

enum {
	CONNECTIONS_MAX = 512,
	CONNECTION_MEMORY = 256 * 1024, /* large chunks of an upload */
	THREAD_STACK = 1024 * 1024,
	IDLE_TIMEOUT_S = 120,
	DROP_MAX = 64 * 1024 * 1024 /* octets of a body that are read on after it was refused */
};

struct http_server {
	struct api api;
	struct MHD_Daemon *daemon;
	char *listen, *database;
	char address[HTTP_ADDRESS_MAX];
};

static const struct route routes[] = {
	{ .method = "GET", .path = "/healthz", .no_database = true, .handle = call_healthz },
	{ .method = "GET", .path = "/readyz", .no_database = true, .handle = call_readyz },
	{ .method = "GET", .path = "/openapi.yaml", .no_database = true, .handle = call_openapi },
	{ .method = "GET", .path = "/docs/reasons", .no_database = true, .handle = call_reasons },
	{ .method = "GET",
	  .path = "/docs/reasons/{id}",
	  .no_database = true,
	  .handle = call_reason },
	{ .method = "POST",
	  .path = "/v1/jobs",
	  .role = KEY_SUBMIT,
	  .begin = call_upload_begin,
	  .data = call_upload_data,
	  .handle = call_upload,
	  .params = { "name", "column", "header", "client", "deadline", "max_age",
		      "suppress_invalid" } },
	{ .method = "GET",
	  .path = "/v1/jobs",
	  .role = KEY_READ,
	  .handle = call_jobs_list,
	  .params = { "cursor", "limit" } },
	{ .method = "GET", .path = "/v1/jobs/{id}", .role = KEY_READ, .handle = call_job_get },
	{ .method = "DELETE",
	  .path = "/v1/jobs/{id}",
	  .role = KEY_SUBMIT,
	  .handle = call_job_delete },
	{ .method = "POST",
	  .path = "/v1/jobs/{id}/start",
	  .role = KEY_SUBMIT,
	  .handle = call_job_start },
	{ .method = "POST",
	  .path = "/v1/jobs/{id}/pause",
	  .role = KEY_SUBMIT,
	  .handle = call_job_pause },
	{ .method = "POST",
	  .path = "/v1/jobs/{id}/resume",
	  .role = KEY_SUBMIT,
	  .handle = call_job_resume },
	{ .method = "POST",
	  .path = "/v1/jobs/{id}/cancel",
	  .role = KEY_SUBMIT,
	  .handle = call_job_cancel },
	{ .method = "GET", .path = "/v1/domains/{id}", .role = KEY_READ, .handle = call_domain },
	{ .method = "POST",
	  .path = "/v1/jobs/{id}/regrade",
	  .role = KEY_SUBMIT,
	  .handle = call_regrade,
	  .params = { "apply" } },
	{ .method = "GET",
	  .path = "/v1/jobs/{id}/results",
	  .role = KEY_READ,
	  .handle = call_results,
	  .params = { "format", "status", "grade", "review", "raw" } },
	{ .method = "GET", .path = "/v1/jobs/{id}/rows/{n}", .role = KEY_READ, .handle = call_row },
	{ .method = "POST",
	  .path = "/v1/verify",
	  .role = KEY_SUBMIT,
	  .json_body = true,
	  .handle = call_verify,
	  .params = { "wait" } },
	{ .method = "POST",
	  .path = "/v1/outcomes",
	  .role = KEY_SUBMIT,
	  .begin = call_outcomes_begin,
	  .data = call_outcomes_data,
	  .handle = call_outcomes,
	  .params = { "name", "format", "client" } },
	{ .method = "GET",
	  .path = "/v1/outcomes",
	  .role = KEY_READ,
	  .handle = call_outcomes_list,
	  .params = { "cursor", "limit" } },
	{ .method = "GET",
	  .path = "/v1/outcomes/{id}",
	  .role = KEY_READ,
	  .handle = call_outcomes_get },
	{ .method = "GET",
	  .path = "/v1/accuracy",
	  .role = KEY_READ,
	  .handle = call_accuracy,
	  .params = { "status", "provider" } },
	{ .method = "POST",
	  .path = "/v1/suppressions",
	  .role = KEY_SUBMIT,
	  .begin = call_suppress_begin,
	  .data = call_suppress_data,
	  .handle = call_suppress,
	  .params = { "client", "column" } },
	{ .method = "GET",
	  .path = "/v1/suppressions",
	  .role = KEY_READ,
	  .handle = call_suppress_list,
	  .params = { "client", "domain", "cursor", "limit" } },
	{ .method = "DELETE",
	  .path = "/v1/suppressions",
	  .role = KEY_SUBMIT,
	  .handle = call_suppress_remove,
	  .params = { "client", "entry" } },
	{ .method = "GET", .path = "/v1/lanes", .role = KEY_READ, .handle = call_lanes },
	{ .method = "GET", .path = "/v1/lanes/{id}", .role = KEY_READ, .handle = call_lane },
	{ .method = "POST",
	  .path = "/v1/lanes/{id}/drain",
	  .role = KEY_ADMIN,
	  .handle = call_lane_drain },
	{ .method = "POST",
	  .path = "/v1/lanes/{id}/activate",
	  .role = KEY_ADMIN,
	  .handle = call_lane_activate },
};

/* ---- which call it is */

/* Segment by segment; {id} and {n} are taken into the request. */
static bool path_fits(const char *pattern, const char *path, struct request *r)
{
	while (*pattern && *path) {
		size_t len = strcspn(path + 1, "/");

		if (*pattern != '/' || *path != '/')
			return false;
		if (strncmp(pattern, "/{id}", 5) == 0) {
			if (!len || len >= sizeof(r->id))
				return false;
			memcpy(r->id, path + 1, len);
			r->id[len] = '\0';
			pattern += 5;
		} else if (strncmp(pattern, "/{n}", 4) == 0) {
			char *end;

			if (path[1] < '1' || path[1] > '9')
				return false;
			errno = 0;
			r->n = strtoll(path + 1, &end, 10);
			if (errno || end != path + 1 + len)
				return false;
			pattern += 4;
		} else {
			size_t word = strcspn(pattern + 1, "/");

			if (word != len || memcmp(pattern + 1, path + 1, len) != 0)
				return false;
			pattern += 1 + word;
		}
		path += 1 + len;
	}
	return !*pattern && !*path;
}

static void find_route(struct request *r, const char *method, const char *path)
{
	char allow[64] = "";

	/* HEAD is GET without the body, which libmicrohttpd leaves out. */
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!path_fits(routes[i].path, path, r))
			continue;
		if (strcmp(routes[i].method, method) == 0) {
			r->route = &routes[i];
			return;
		}
		snprintf(allow + strlen(allow), sizeof(allow) - strlen(allow), "%s%s",
			 *allow ? ", " : "", routes[i].method);
	}
	if (*allow) {
		reply_problem(r, MHD_HTTP_METHOD_NOT_ALLOWED, "wrong-method",
			      "%.16s is not possible here: %s is", method, allow);
		reply_header(r, MHD_HTTP_HEADER_ALLOW, allow);
	} else {
		reply_problem(r, MHD_HTTP_NOT_FOUND, "not-found",
			      "there is no such call: %.200s (see /openapi.yaml)", path);
	}
}

static enum MHD_Result check_param(void *ctx, enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	struct request *r = ctx;

	(void)kind;
	(void)value;
	for (size_t i = 0; i < API_PARAMS_MAX && r->route->params[i]; i++)
		if (strcmp(name, r->route->params[i]) == 0)
			return MHD_YES;
	reply_problem(r, MHD_HTTP_BAD_REQUEST, "unknown-parameter",
		      "there is no parameter \"%.64s\" here", name);
	return MHD_NO;
}

/* ---- who asks */

static const char *bearer(const struct request *r)
{
	const char *text = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_AUTHORIZATION);

	if (!text || strncasecmp(text, "Bearer ", 7) != 0)
		return NULL;
	text += 7;
	return text + strspn(text, " ");
}

/* The first statement of a request finds out that an idle connection was lost: then once more on a
 * fresh one. */
static enum rc_status check_key(struct request *r, const char *key, struct rc_error *err)
{
	enum rc_status status = keys_check(r->db, key, strlen(key), &r->key, err);

	if (status == RC_UNAVAILABLE && db_revive(r->db, err) == RC_OK)
		status = keys_check(r->db, key, strlen(key), &r->key, err);
	return status;
}

static void admit(struct request *r)
{
	const char *key = bearer(r);
	struct rc_error err;
	enum rc_status status;

	if (r->route->role && !key) {
		reply_problem(r, MHD_HTTP_UNAUTHORIZED, "no-key",
			      "send a key: Authorization: Bearer rc_...");
		return;
	}
	if (r->route->no_database)
		return;
	status = pool_take(r->api->pool, API_POOL_WAIT_MS, &r->db, &err);
	if (status == RC_LIMIT) {
		reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "%s", err.text);
		return;
	}
	if (status == RC_OK)
		status = check_key(r, key, &err);
	if (status == RC_DENIED)
		reply_problem(r, MHD_HTTP_UNAUTHORIZED, "bad-key", "%s", err.text);
	else if (status != RC_OK)
		reply_error(r, &err);
	else if (r->key.role < r->route->role)
		reply_problem(r, MHD_HTTP_FORBIDDEN, "role", "the key's role is %s: this needs %s",
			      key_role_name(r->key.role), key_role_name(r->route->role));
}

/* ---- the life of a request */

static void request_free(struct request *r)
{
	if (!r)
		return;
	list_upload_free(r->upload);
	outcomes_upload_free(r->outcomes);
	suppress_upload_free(r->suppress);
	pool_give(r->api->pool, r->db);
	if (r->response)
		MHD_destroy_response(r->response);
	rc_buf_done(&r->body);
	rc_buf_done(&r->problem);
	free(r);
}

static struct request *request_new(struct api *api, struct MHD_Connection *connection)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->api = api;
	r->connection = connection;
	rc_buf_init(&r->body, API_BODY_MAX);
	rc_buf_init(&r->problem, 0);
	return r;
}

/* The connection's work for this answer is done: its database connection may serve another. */
static enum MHD_Result answer(struct request *r)
{
	list_upload_free(r->upload);
	outcomes_upload_free(r->outcomes);
	suppress_upload_free(r->suppress);
	r->upload = NULL;
	r->outcomes = NULL;
	r->suppress = NULL;
	pool_give(r->api->pool, r->db);
	r->db = NULL;
	if (!r->response)
		return MHD_NO;
	return MHD_queue_response(r->connection, r->status, r->response);
}

static uint64_t body_left(const struct request *r)
{
	const char *text = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text ? strtoull(text, NULL, 10) : 0;
}

/*
 * libmicrohttpd takes an answer before the body or after it, not within. Whoever sends gigabytes
 * after the octet that made us refuse would never read why: so the problem goes out on the socket
 * as it is, our side is closed, and the rest is dropped until the client stops or DROP_MAX is
 * reached.
 */
static void hang_up(struct request *r)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct rc_buf text;
	ssize_t sent = -1;

	r->hung_up = true;
	if (!info || !r->problem.len)
		return;
	rc_buf_init(&text, 0);
	rc_buf_printf(
	    &text,
	    "HTTP/1.1 %u Refused\r\nContent-Type: application/problem+json\r\nContent-Length: "
	    "%zu\r\nConnection: close\r\n\r\n%s",
	    r->status, r->problem.len, r->problem.data);
	if (!text.failed)
		sent = send(info->connect_fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0)
		shutdown(info->connect_fd, SHUT_WR);
	rc_buf_done(&text);
}

/* Octets of the body after the answer is known. */
static enum MHD_Result drop(struct request *r, size_t len)
{
	/* What the upload held is given back now: the client may take its time. */
	if (r->db) {
		list_upload_free(r->upload);
		outcomes_upload_free(r->outcomes);
		suppress_upload_free(r->suppress);
		r->upload = NULL;
		r->outcomes = NULL;
		r->suppress = NULL;
		pool_give(r->api->pool, r->db);
		r->db = NULL;
	}
	r->dropped += len;
	if (!r->hung_up && r->dropped > DROP_MAX / 2)
		hang_up(r);
	return r->dropped > DROP_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result take_body(struct request *r, const char *data, size_t len)
{
	if (request_answered(r))
		return drop(r, len);
	if (r->route->data) {
		r->route->data(r, data, len);
	} else if (r->route->json_body) {
		rc_buf_add(&r->body, data, len);
		if (r->body.failed)
			reply_problem(r, 413, "too-large",
				      "the body of this call has at most %d octets", API_BODY_MAX);
	} else if ((r->dropped += len) > API_BODY_MAX) {
		reply_problem(r, 413, "too-large", "this call takes no body");
	}
	return MHD_YES;
}

static enum MHD_Result begin(struct api *api, struct MHD_Connection *connection, const char *url,
			     const char *method, void **state)
{
	struct request *r = request_new(api, connection);
	const char *expect =
	    MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);

	if (!r)
		return MHD_NO;
	*state = r;
	find_route(r, method, url);
	if (!request_answered(r))
		admit(r);
	if (!request_answered(r))
		MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, check_param, r);
	if (!request_answered(r) && r->route->begin)
		r->route->begin(r);
	/* A client that asks first is told at once; and one that has more to send than is dropped
	 * anyway. */
	if (request_answered(r) &&
	    ((expect && strcasecmp(expect, "100-continue") == 0) || body_left(r) > DROP_MAX))
		return answer(r);
	return MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_data_size, void **state)
{
	struct request *r = *state;

	(void)version;
	if (!r)
		return begin(ctx, connection, url, method, state);
	if (*upload_data_size) {
		enum MHD_Result result = take_body(r, upload_data, *upload_data_size);

		*upload_data_size = 0;
		return result;
	}
	if (r->hung_up)
		return MHD_NO;
	if (!request_answered(r))
		r->route->handle(r);
	return answer(r);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	(void)ctx;
	(void)connection;
	(void)code;
	request_free(*state);
	*state = NULL;
}

static void on_log(void *ctx, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_log(void *ctx, const char *format, va_list args)
{
	char text[500];

	(void)ctx;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	rc_log(RC_LOG_DEBUG, "http", "text=%s", text);
}

/* ---- start and stop */

static enum rc_status split_listen(const char *text, char host[64], char port[8],
				   struct rc_error *err)
{
	const char *colon = strrchr(text, ':');
	const char *begin = text, *end = colon;

	if (colon && *text == '[' && colon > text + 1 && colon[-1] == ']') {
		begin++;
		end--;
	} else if (colon && memchr(text, ':', (size_t)(colon - text))) {
		colon = NULL; /* a v6 address without brackets */
	}
	if (!colon || end - begin >= 64 || strlen(colon + 1) >= 8 || !colon[1] ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strtoul(colon + 1, NULL, 10) > 65535)
		return rc_error_set(err, RC_INVALID,
				    "ROLLCALL_LISTEN is an address and a port, such as "
				    "127.0.0.1:8025 or [::1]:8025, not \"%s\"",
				    text);
	snprintf(host, 64, "%.*s", (int)(end - begin), begin);
	snprintf(port, 8, "%s", colon + 1);
	return RC_OK;
}

static enum rc_status bind_error(const char *text, int error, struct rc_error *err)
{
	if (error == EADDRINUSE)
		return rc_error_set(err, RC_CONFLICT,
				    "port %s is in use (ROLLCALL_LISTEN=%s): stop the program that "
				    "has it, or choose another in ROLLCALL_LISTEN",
				    strrchr(text, ':') + 1, text);
	if (error == EADDRNOTAVAIL)
		return rc_error_set(err, RC_INVALID,
				    "this machine does not have the address of ROLLCALL_LISTEN=%s: "
				    "choose one that it has",
				    text);
	return rc_error_set(err, RC_DENIED, "cannot listen on ROLLCALL_LISTEN=%s: %s", text,
			    strerror(error));
}

static enum rc_status open_socket(const char *text, int *ret_fd, char ret_address[HTTP_ADDRESS_MAX],
				  struct rc_error *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	char host[64], port[8], number[NI_MAXSERV];
	const int on = 1;
	int fd, error;
	enum rc_status status = split_listen(text, host, port, err);

	if (status != RC_OK)
		return status;
	error = getaddrinfo(*host ? host : NULL, port, &hints, &found);
	if (error)
		return rc_error_set(err, RC_INVALID,
				    "ROLLCALL_LISTEN=%s is no address of this machine: %s", text,
				    gai_strerror(error));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 256) != 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &len) != 0) {
		status = bind_error(text, errno, err);
		if (fd >= 0)
			close(fd);
		freeaddrinfo(found);
		return status;
	}
	freeaddrinfo(found);
	if (getnameinfo((struct sockaddr *)&bound, len, host, sizeof(host), number, sizeof(number),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(host, sizeof(host), "?");
	snprintf(ret_address, HTTP_ADDRESS_MAX, strchr(host, ':') ? "[%.60s]:%.6s" : "%.60s:%.6s",
		 host, number);
	*ret_fd = fd;
	return RC_OK;
}

static void server_free(struct http_server *s)
{
	pool_free(s->api.pool);
	rate_free(s->api.rate);
	free(s->listen);
	free(s->database);
	free(s);
}

enum rc_status http_server_start(const struct http_server_params *params,
				 struct http_server **ret_server, struct rc_error *err)
{
	struct http_server *s = calloc(1, sizeof(*s));
	enum rc_status status;
	int fd;

	if (!s)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	s->listen = strdup(params->listen ? params->listen : "127.0.0.1:8025");
	s->database = strdup(params->database ? params->database : "");
	s->api.params = *params;
	s->api.params.listen = s->listen;
	s->api.params.database = s->database;
	s->api.pool = s->database ? pool_new(s->database) : NULL;
	s->api.rate = rate_new();
	atomic_init(&s->api.stopping, false);
	if (!s->listen || !s->api.pool || !s->api.rate) {
		server_free(s);
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	status = open_socket(s->listen, &fd, s->address, err);
	if (status != RC_OK) {
		server_free(s);
		return status;
	}
	s->daemon = MHD_start_daemon(
	    MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
		MHD_USE_ITC | MHD_USE_ERROR_LOG,
	    0, NULL, NULL, on_request, &s->api, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
	    MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
	if (!s->daemon) {
		close(fd);
		server_free(s);
		return rc_error_set(err, RC_BROKEN, "the HTTP server cannot start on %s",
				    params->listen);
	}
	*ret_server = s;
	return RC_OK;
}

const char *http_server_address(const struct http_server *s)
{
	return s->address;
}

int http_server_port(const struct http_server *s)
{
	return (int)strtol(strrchr(s->address, ':') + 1, NULL, 10);
}

void http_server_stop(struct http_server *s)
{
	if (!s)
		return;
	atomic_store(&s->api.stopping, true);
	MHD_stop_daemon(s->daemon);
	server_free(s);
}
