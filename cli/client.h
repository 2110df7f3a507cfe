/*
 * client - the coordinator's HTTP API as the commands use it: one server, one key, one kept connection.
 *
 * Owner: the command; client_done() closes it. One thread. Failures are sentences:
 *   RC_UNAVAILABLE no server, or it cannot work now; RC_DENIED no key or a wrong one; RC_INVALID what was sent is refused;
 *   RC_NOT_FOUND, RC_CONFLICT, RC_LIMIT as the server says; RC_BROKEN a fault of the server, or an answer that is none.
 * An interrupted transfer (cli_interrupted()) fails with RC_CONFLICT.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/status.h"

struct client {
	CURL *curl;
	char *url;       /* without a slash at its end */
	char *socket;    /* path of a Unix socket, or NULL */
	char *key_header;
	char *data;      /* the data directory */
	bool url_given;  /* else from data/url, which may change when the server starts anew */
};

/* `url` and `data` from the command line, or NULL. */
enum rc_status client_init(struct client *client, const char *url, const char *data, struct rc_error *err) RC_MUST_CHECK;
void client_done(struct client *client);
/* After RC_UNAVAILABLE: reads data/url anew. */
void client_look_again(struct client *client);

/* The data directory that `given`, ROLLCALL_DATA or the user's default names; free() it. NULL when out of memory. */
char *client_data_directory(const char *given);

/* `base` and those parameters (name, value) that have a value, escaped: a path for the calls below. free() it; NULL when out of memory. */
char *client_query(struct client *client, const char *base, const char *const (*params)[2], size_t count);

/* `method` GET, POST or DELETE; `path` from /v1 on; `body` may be NULL. *ret_json is the answer (JSON's null where there is
 * none: 204), to be decref'd. */
enum rc_status client_call(struct client *client, const char *method, const char *path, const json_t *body, long *ret_http,
			   json_t **ret_json, struct rc_error *err) RC_MUST_CHECK;

/* Whether the server answers /readyz and says there that `piece` ("lanes") lacks; `ret_text` (`size` octets) is its sentence. */
bool client_lacks(struct client *client, const char *piece, char *ret_text, size_t size);

/* Called now and then with the octets sent so far. */
typedef void (*client_sent_fn)(void *arg, int64_t sent);

/* POSTs all of `file` (`size` octets, -1 when not known beforehand), streamed. */
enum rc_status client_upload(struct client *client, const char *path, const char *content_type, FILE *file, int64_t size,
			     client_sent_fn on_sent, void *arg, json_t **ret_json, struct rc_error *err) RC_MUST_CHECK;

/* GETs `path` into `out`, streamed; *ret_written counts the octets, on failure too. */
enum rc_status client_download(struct client *client, const char *path, FILE *out, int64_t *ret_written,
			       struct rc_error *err) RC_MUST_CHECK;

#endif
