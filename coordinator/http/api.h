/*
 * api - what the calls of the HTTP API share: the request, its answer, its errors as RFC 9457
 * problems.
 *
 * For coordinator/http only. A request belongs to its connection's thread. The first reply_*()
 * counts; what comes after it is ignored, so that a call may give up anywhere.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_API_H
#define ROLLCALL_COORDINATOR_HTTP_API_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/status.h"
#include "coordinator/http/decode.h"
#include "coordinator/http/http_server.h"
#include "coordinator/http/json_text.h"
#include "coordinator/http/records.h"
#include "coordinator/store/jobs.h"
#include "coordinator/store/keys.h"
#include "coordinator/store/results.h"

struct db;
struct pool;
struct rate;
struct list_upload;
struct outcomes_upload;
struct suppress_upload;
struct request;

enum { API_BODY_MAX = 64 * 1024, API_POOL_WAIT_MS = 1000, API_PARAMS_MAX = 12 };

/* What all requests share. */
struct api {
	struct http_server_params params;
	struct pool *pool;
	struct rate *rate;
	atomic_bool stopping;
};

struct route {
	const char *method;
	const char *path;   /* "/v1/jobs/{id}/rows/{n}" */
	enum key_role role; /* 0: no key needed */
	bool json_body;	    /* the body is collected in `body`, at most API_BODY_MAX octets */
	bool no_database;   /* answers without one */
	void (*begin)(struct request *r); /* before the body; NULL: nothing */
	void (*data)(struct request *r, const char *data,
		     size_t len);	    /* NULL: the body is dropped */
	void (*handle)(struct request *r);  /* after the body */
	const char *params[API_PARAMS_MAX]; /* of the query; any other is refused */
};

struct request {
	struct api *api;
	struct MHD_Connection *connection;
	const struct route *route;
	char id[256]; /* {id} */
	int64_t n;    /* {n} */
	struct key key;
	struct db *db; /* while the request is at work; NULL where the route needs none */
	struct rc_buf body;
	struct list_upload *upload;
	struct outcomes_upload *outcomes;
	struct suppress_upload *suppress;
	struct MHD_Response *response; /* the answer, once there is one */
	unsigned status;
	struct rc_buf
	    problem;	  /* its body, where it is a problem: for a client that goes on sending */
	uint64_t dropped; /* octets of the body after the answer was decided */
	bool hung_up;	  /* the answer went out in the middle of the body */
};

struct job_scope request_scope(const struct request *r);
/* A parameter of the query, NULL where it is absent. */
const char *request_param(const struct request *r, const char *name);
/* "true", "1", "yes" or "" is true, "false", "0", "no" false. False and a problem for anything
 * else. */
bool request_flag(struct request *r, const char *name, bool *ret_value);
/* A number of the query; absent: *ret_value stays. False and a problem where it is none, or out of
 * range. */
bool request_number(struct request *r, const char *name, int64_t min, int64_t max,
		    int64_t *ret_value);
/* What Content-Encoding says; *ret_transport: it says something. False and a problem where it is
 * unknown. */
bool request_coding(struct request *r, enum decode_coding *ret_coding, bool *ret_transport);
/* What Content-Type says of a list; types that say nothing leave it to the first octets. False and
 * a problem for a form. */
bool request_format(struct request *r, struct records_params *ret);
bool request_answered(const struct request *r);

/* Takes over `body`. */
void reply_json(struct request *r, unsigned status, json_t *body);
void reply_text(struct request *r, unsigned status, const char *type, const char *text, size_t len);
/* Takes over `response`. */
void reply_response(struct request *r, unsigned status, struct MHD_Response *response);
/* A header of the answer that was given. */
void reply_header(struct request *r, const char *name, const char *value);
/* `kind`: "bad-list", becomes urn:rollcall:problem:bad-list. */
void reply_problem(struct request *r, unsigned status, const char *kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* By the error's status. */
void reply_error(struct request *r, const struct rc_error *err);
/* A list that was refused, with its row and column. */
void reply_fault(struct request *r, const struct list_fault *fault);

void tell_uploaded(const struct request *r);
void tell_changed(const struct request *r);

/* The calls, by file. */
json_t *job_json(struct request *r, const struct job_view *job); /* api_jobs.c */
void call_jobs_list(struct request *r);
void call_job_get(struct request *r);
void call_job_start(struct request *r);
void call_job_pause(struct request *r);
void call_job_resume(struct request *r);
void call_job_cancel(struct request *r);
void call_job_delete(struct request *r);
void call_lanes(struct request *r); /* api_lanes.c */
void call_lane(struct request *r);
void call_lane_drain(struct request *r);
void call_lane_activate(struct request *r);
void call_healthz(struct request *r);
void call_readyz(struct request *r);
void call_openapi(struct request *r); /* api_docs.c */
void call_reasons(struct request *r);
void call_reason(struct request *r);
void call_upload_begin(struct request *r); /* api_upload.c */
void call_upload_data(struct request *r, const char *data, size_t len);
void call_upload(struct request *r);
void list_upload_free(struct list_upload *upload); /* takes NULL */
void call_verify(struct request *r);		   /* api_rows.c */
void call_row(struct request *r);
void call_results(struct request *r);	     /* api_results.c */
void call_regrade(struct request *r);	     /* api_regrade.c */
void call_domain(struct request *r);	     /* api_domains.c */
void call_outcomes_begin(struct request *r); /* api_outcomes.c */
void call_outcomes_data(struct request *r, const char *data, size_t len);
void call_outcomes(struct request *r);
void outcomes_upload_free(struct outcomes_upload *upload); /* takes NULL */
void call_outcomes_list(struct request *r);
void call_outcomes_get(struct request *r);
void call_accuracy(struct request *r);	     /* api_accuracy.c */
void call_suppress_begin(struct request *r); /* api_suppress.c */
void call_suppress_data(struct request *r, const char *data, size_t len);
void call_suppress(struct request *r);
void suppress_upload_free(struct suppress_upload *upload); /* takes NULL */
void call_suppress_list(struct request *r);
void call_suppress_remove(struct request *r);

#endif
