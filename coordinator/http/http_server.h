/*
 * http_server - the HTTP API of docs/openapi.yaml, on libmicrohttpd: one thread for each
 * connection, blocking calls to the database.
 *
 * Owner: main. http_server_start() binds the port and serves until http_server_stop(), which ends
 * what runs. What the params point to must outlive it. A database that does not answer makes 503,
 * never an end.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_HTTP_SERVER_H
#define ROLLCALL_COORDINATOR_HTTP_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/core/outcome.h"
#include "coordinator/core/posteriors.h"

struct http_server;

enum { HTTP_ADDRESS_MAX = 80, HTTP_LACKS_MAX = 512 };

struct db;
struct rc_rules;
struct regrade_summary;
struct warmup;

struct http_server_params {
	const char *
	    listen; /* "127.0.0.1:8025", "[::1]:0", ":8025" (all addresses); port 0: any free one */
	const char *database;	     /* libpq's conninfo */
	int64_t max_upload;	     /* octets of an unpacked list; 0: 10 GiB */
	int64_t deadline_ms;	     /* of a job that names none; 0: 72 h */
	const struct warmup *warmup; /* of new lanes; NULL: none */
	/* What the rest of the coordinator is told and asked, from any thread; each may be NULL. */
	void *ctx;
	void (*uploaded)(void *ctx); /* a list is in the database: there is something to plan */
	void (*changed)(void *ctx);  /* a job was started, paused, resumed, cancelled or deleted */
	/* The rules to annotate a conversation with, until they are given back. */
	const struct rc_rules *(*rules_take)(void *ctx, const void **ret_held);
	void (*rules_give_back)(void *ctx, const void *held);
	/* For /readyz: piece 0, 1, 2 ...; false after the last one. *ret_name is static;
	 * `ret_lacks` is "" where it is well, else one sentence. */
	bool (*piece)(void *ctx, int piece, const char **ret_name, char ret_lacks[HTTP_LACKS_MAX]);
	/* What the rules make of an imported outcome (coordinator/core/outcome.h), and the score of
	 * a bucket; `measured` NULL: its prior. */
	enum outcome_kind (*outcome)(void *ctx, const char *provider, enum outcome_kind kind,
				     const char *diagnostic, size_t len);
	struct score (*score)(void *ctx, const struct posteriors *measured, enum rc_reason reason,
			      const char *provider, enum score_evidence evidence);
	/* Gives a job's verdicts anew under the current rules (coordinator/regrade.h). */
	enum rc_status (*regrade)(void *ctx, struct db *db, int64_t job, const char *table_set,
				  bool apply, struct regrade_summary *ret, struct rc_error *err);
};

/* RC_INVALID: `listen` is no address; RC_CONFLICT: the port is taken; the sentence names it and
 * what to do. */
enum rc_status http_server_start(const struct http_server_params *params,
				 struct http_server **ret_server,
				 struct rc_error *err) RC_MUST_CHECK;
/* "127.0.0.1:8025", with the port that was bound; "[::1]:8025". */
const char *http_server_address(const struct http_server *server);
/* The port that was bound. */
int http_server_port(const struct http_server *server);
/* Takes NULL. */
void http_server_stop(struct http_server *server);

#endif
