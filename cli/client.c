#include "cli/client.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/base/buf.h"
#include "common/base/random.h"

enum {
	ANSWER_MAX = 64 * 1024 * 1024, /* octets of a JSON answer */
	PROBLEM_MAX = 64 * 1024,       /* octets of an error's text that are looked at */
	LINE_MAX_OCTETS = 4096,        /* of the files url and key */
	CONNECT_TIMEOUT_S = 10,
	STALL_TIMEOUT_S = 120          /* a transfer in which nothing moves for so long has failed */
};

/* One transfer. */
struct transfer {
	struct client *client;
	struct rc_buf answer;  /* JSON, or the text of a problem */
	FILE *out;             /* where a successful answer goes, or NULL */
	int64_t written;
	bool write_failed;
	FILE *in;
	bool read_failed;
	client_sent_fn on_sent;
	void *arg;
};

char *client_data_directory(const char *given)
{
	char *path = NULL;
	if (!given)
		given = getenv("ROLLCALL_DATA");
	if (given && *given)
		return strdup(given);
	if (geteuid() == 0)
		return strdup("/var/lib/rollcall");
	const char *home = getenv("HOME");
	if (!home || !*home) {
		const struct passwd *user = getpwuid(geteuid());
		home = user ? user->pw_dir : "/";
	}
	return asprintf(&path, "%s/.local/share/rollcall", home) < 0 ? NULL : path;
}

/* The first line of data/name, to be free()d; NULL with errno. */
static char *line_read(const char *data, const char *name)
{
	char *path, line[LINE_MAX_OCTETS];
	if (asprintf(&path, "%s/%s", data, name) < 0)
		return NULL;
	FILE *file = fopen(path, "re");
	free(path);
	if (!file)
		return NULL;
	bool got = fgets(line, sizeof line, file) != NULL;
	int why = ferror(file) ? errno : ENODATA;
	fclose(file);
	if (got)
		line[strcspn(line, " \t\r\n")] = '\0';
	if (!got || !*line) {
		errno = why;
		return NULL;
	}
	return strdup(line);
}

static enum rc_status url_set(struct client *client, const char *url, struct rc_error *err)
{
	char *copy = NULL, *socket = NULL;
	if (strncmp(url, "unix:", 5) == 0) {
		const char *path = url + 5;
		while (path[0] == '/' && path[1] == '/')
			path++;
		socket = strdup(path);
		copy = strdup("http://localhost");
	} else if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) {
		copy = strdup(url);
	} else {
		return rc_error_set(err, RC_INVALID, "\"%s\" is no server address; write http://host:port or unix:/path", url);
	}
	if (!copy || (strncmp(url, "unix:", 5) == 0 && !socket)) {
		free(copy);
		free(socket);
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	for (size_t len = strlen(copy); len > 0 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	free(client->url);
	free(client->socket);
	client->url = copy;
	client->socket = socket;
	return RC_OK;
}

enum rc_status client_init(struct client *client, const char *url, const char *data, struct rc_error *err)
{
	memset(client, 0, sizeof *client);
	enum rc_status status;
	char *line = NULL;
	client->data = client_data_directory(data);
	client->curl = curl_easy_init();
	if (!client->data || !client->curl) {
		status = rc_error_set(err, RC_NO_MEMORY, "out of memory");
		goto fail;
	}
	if (!url)
		url = getenv("ROLLCALL_URL");
	client->url_given = url && *url;
	if (!client->url_given) {
		line = line_read(client->data, "url");
		if (!line) {
			int why = errno;
			status = why == ENOENT ?
					 rc_error_set(err, RC_UNAVAILABLE,
						      "no server runs on %s: start one with `rollcall up`, or name one with --url",
						      client->data) :
					 rc_error_set(err, RC_UNAVAILABLE,
						      "cannot read %s/url (%s): run this as the user of `rollcall up`, or name the "
						      "server with --url and its key with ROLLCALL_KEY",
						      client->data, strerror(why));
			goto fail;
		}
		url = line;
	}
	status = url_set(client, url, err);
	if (status != RC_OK)
		goto fail;
	free(line);
	line = NULL;

	const char *key = getenv("ROLLCALL_KEY");
	if (!key || !*key) {
		key = line = line_read(client->data, "key");
		if (!line) {
			status = rc_error_set(err, RC_DENIED,
					      "no key: cannot read %s/key (%s); run this as the user of `rollcall up`, or set ROLLCALL_KEY",
					      client->data, strerror(errno));
			goto fail;
		}
	}
	if (strpbrk(key, "\r\n")) {
		status = rc_error_set(err, RC_DENIED, "ROLLCALL_KEY has a line break in it; a key is one line");
		goto fail;
	}
	if (asprintf(&client->key_header, "Authorization: Bearer %s", key) < 0) {
		client->key_header = NULL;
		status = rc_error_set(err, RC_NO_MEMORY, "out of memory");
		goto fail;
	}
	free(line);
	return RC_OK;
fail:
	free(line);
	client_done(client);
	return status;
}

void client_done(struct client *client)
{
	if (client->curl)
		curl_easy_cleanup(client->curl);
	free(client->url);
	free(client->socket);
	free(client->key_header);
	free(client->data);
	memset(client, 0, sizeof *client);
}

void client_look_again(struct client *client)
{
	if (client->url_given)
		return;
	char *line = line_read(client->data, "url");
	if (line && url_set(client, line, NULL) != RC_OK)
		cli_warn("%s/url holds no address", client->data);
	free(line);
}

/* ---- callbacks of libcurl ----------------------------------------------------------------------------------------- */

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t len = size * count;
	long http = 0;
	curl_easy_getinfo(transfer->client->curl, CURLINFO_RESPONSE_CODE, &http);
	if (transfer->out && http >= 200 && http < 300) {
		if (fwrite(data, 1, len, transfer->out) != len) {
			transfer->write_failed = true;
			return 0;
		}
		transfer->written += (int64_t)len;
		return len;
	}
	rc_buf_add(&transfer->answer, data, len);
	return transfer->answer.failed ? 0 : len;
}

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t got = fread(out, 1, size * count, transfer->in);
	if (got == 0 && ferror(transfer->in)) {
		transfer->read_failed = true;
		return CURL_READFUNC_ABORT;
	}
	return got;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct transfer *transfer = arg;
	(void)down_total, (void)down, (void)up_total;
	if (transfer->on_sent)
		transfer->on_sent(transfer->arg, (int64_t)up);
	return cli_interrupted() ? 1 : 0;
}

/* ---- transfers ---------------------------------------------------------------------------------------------------- */

static enum rc_status status_of(long http)
{
	switch (http) {
	case 401:
	case 403:
		return RC_DENIED;
	case 404:
	case 410:
		return RC_NOT_FOUND;
	case 409:
		return RC_CONFLICT;
	case 413:
	case 429:
		return RC_LIMIT;
	case 502:
	case 503:
	case 504:
		return RC_UNAVAILABLE;
	default:
		return http >= 400 && http < 500 ? RC_INVALID : RC_BROKEN;
	}
}

/* RFC 9457 as one sentence. */
static enum rc_status problem_tell(const struct transfer *transfer, long http, struct rc_error *err)
{
	enum rc_status status = status_of(http);
	json_t *problem = transfer->answer.len > 0 && transfer->answer.len <= PROBLEM_MAX ?
				  json_loadb(transfer->answer.data, transfer->answer.len, 0, NULL) :
				  NULL;
	const char *title = json_string_value(json_object_get(problem, "title"));
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	/* With a member `record` the detail says itself where; `row` then counts without the header. */
	const json_t *row = json_object_get(problem, "record") ? NULL : json_object_get(problem, "row");
	const json_t *column = json_object_get(problem, "record") ? NULL : json_object_get(problem, "column");
	char where[256] = "", place[200] = "";
	if (json_is_integer(column))
		snprintf(place, sizeof place, "column %lld", (long long)json_integer_value(column));
	else if (json_is_string(column))
		snprintf(place, sizeof place, "column \"%s\"", json_string_value(column));
	if (json_is_integer(row))
		snprintf(where, sizeof where, " (record %lld%s%s)", (long long)json_integer_value(row), *place ? ", " : "", place);
	else if (*place)
		snprintf(where, sizeof where, " (%s)", place);
	if ((detail || title) && status == RC_DENIED && http == 401)
		rc_error_set(err, status, "%s: check ROLLCALL_KEY or %s/key", detail ? detail : title, transfer->client->data);
	else if (detail || title)
		rc_error_set(err, status, "%s%s", detail ? detail : title, where);
	else if (status == RC_DENIED)
		rc_error_set(err, status, "the server takes no such key (HTTP %ld): check ROLLCALL_KEY or %s/key", http,
			     transfer->client->data);
	else
		rc_error_set(err, status, "the server at %s answered HTTP %ld without a reason", transfer->client->url, http);
	if (err)
		for (char *c = err->text; *c; c++)
			*c = (unsigned char)*c < 0x20 ? ' ' : *c;
	json_decref(problem);
	return status;
}

static enum rc_status transfer_fail(const struct transfer *transfer, CURLcode code, const char *why, struct rc_error *err)
{
	const struct client *client = transfer->client;
	const char *where = client->socket ? client->socket : client->url;
	if (cli_interrupted())
		return rc_error_set(err, RC_CONFLICT, "interrupted");
	if (transfer->write_failed)
		return rc_error_set(err, RC_BROKEN, "cannot write the results: %s", strerror(errno));
	if (transfer->read_failed)
		return rc_error_set(err, RC_INVALID, "cannot read the list to its end: %s", strerror(errno));
	if (transfer->answer.failed)
		return rc_error_set(err, RC_BROKEN, "the answer of %s is longer than %d octets, or memory is out", where, ANSWER_MAX);
	const char *text = why && *why ? why : curl_easy_strerror(code);
	if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		return rc_error_set(err, RC_UNAVAILABLE, "no server answers at %s (%s): start one with `rollcall up`, or name one with --url",
				    where, text);
	return rc_error_set(err, RC_UNAVAILABLE, "the connection to %s broke: %s", where, text);
}

/* Runs one request; on RC_OK *ret_http is 2xx. */
static enum rc_status transfer_run(struct transfer *transfer, const char *method, const char *path, const char *content_type,
				   const char *body, int64_t upload_size, long *ret_http, struct rc_error *err)
{
	struct client *client = transfer->client;
	CURL *curl = client->curl;
	char why[CURL_ERROR_SIZE] = "", *url = NULL, header[256];
	struct curl_slist *headers = NULL;
	bool post = strcmp(method, "POST") == 0;

	if (asprintf(&url, "%s%s", client->url, path) < 0)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	headers = curl_slist_append(headers, client->key_header);
	headers = curl_slist_append(headers, "Accept: application/json, */*");
	headers = curl_slist_append(headers, "Expect:");
	if (post) {
		unsigned char random[16];
		rc_random_bytes(random, sizeof random);
		int at = snprintf(header, sizeof header, "Idempotency-Key: ");
		for (size_t i = 0; i < sizeof random; i++)
			at += snprintf(header + at, sizeof header - (size_t)at, "%02x", random[i]);
		headers = curl_slist_append(headers, header);
	}
	if (content_type) {
		snprintf(header, sizeof header, "Content-Type: %s", content_type);
		headers = curl_slist_append(headers, header);
	}

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "rollcall/" ROLLCALL_VERSION);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	if (client->socket)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	if (transfer->in) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
		curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
		/* A pipe may well be quiet for longer than any limit. */
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 0L);
		if (upload_size >= 0)
			curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)upload_size);
		else
			headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
	} else if (post) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, body ? (long)strlen(body) : 0L);
	} else if (strcmp(method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);

	CURLcode code = curl_easy_perform(curl);
	long http = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	enum rc_status status = RC_OK;
	/* A server that refuses an upload may answer before it has read everything, and close: its answer counts. */
	if (http >= 400 && !cli_interrupted())
		status = problem_tell(transfer, http, err);
	else if (code != CURLE_OK)
		status = transfer_fail(transfer, code, why, err);
	else if (http < 200 || http >= 300)
		status = rc_error_set(err, RC_BROKEN, "%s answered HTTP %ld; is that a Rollcall server?", client->url, http);
	if (ret_http)
		*ret_http = http;
	curl_slist_free_all(headers);
	free(url);
	return status;
}

static enum rc_status answer_parse(const struct transfer *transfer, json_t **ret_json, struct rc_error *err)
{
	json_error_t where;
	json_t *json = json_loadb(transfer->answer.data ? transfer->answer.data : "", transfer->answer.len, JSON_DECODE_ANY, &where);
	if (!json)
		return rc_error_set(err, RC_BROKEN, "%s sent what is no JSON (%s); is that a Rollcall server?",
				    transfer->client->url, where.text);
	*ret_json = json;
	return RC_OK;
}

char *client_query(struct client *client, const char *base, const char *const (*params)[2], size_t count)
{
	char *path = strdup(base);
	for (size_t i = 0; i < count && path; i++) {
		if (!params[i][1])
			continue;
		char *more = NULL, *escaped = curl_easy_escape(client->curl, params[i][1], 0);
		if (!escaped || asprintf(&more, "%s%c%s=%s", path, strchr(path, '?') ? '&' : '?', params[i][0], escaped) < 0)
			more = NULL;
		curl_free(escaped);
		free(path);
		path = more;
	}
	return path;
}

enum rc_status client_call(struct client *client, const char *method, const char *path, const json_t *body, long *ret_http,
			   json_t **ret_json, struct rc_error *err)
{
	struct transfer transfer = { .client = client };
	char *text = NULL;
	long http = 0;
	rc_buf_init(&transfer.answer, ANSWER_MAX);
	if (body && !(text = json_dumps(body, JSON_COMPACT)))
		return rc_error_set(err, RC_INVALID, "what was typed is not UTF-8");
	enum rc_status status = transfer_run(&transfer, method, path, text ? "application/json" : NULL, text, -1, &http, err);
	if (ret_http)
		*ret_http = http;
	if (status == RC_OK && http == 204)
		*ret_json = json_null(); /* it is done, and there is nothing to say */
	else if (status == RC_OK)
		status = answer_parse(&transfer, ret_json, err);
	free(text);
	rc_buf_done(&transfer.answer);
	return status;
}

bool client_lacks(struct client *client, const char *piece, char *ret_text, size_t size)
{
	struct transfer transfer = { .client = client };
	struct rc_error err;
	json_t *json = NULL;
	long http = 0;
	rc_buf_init(&transfer.answer, ANSWER_MAX);
	/* 503 is an answer here. */
	if (transfer_run(&transfer, "GET", "/readyz", NULL, NULL, -1, &http, &err) != RC_OK && http == 503 &&
	    answer_parse(&transfer, &json, &err) != RC_OK)
		json = NULL;
	const char *text = json_string_value(json_object_get(json_object_get(json, "pieces"), piece));
	bool lacks = text && strcmp(text, "ok") != 0;
	if (lacks)
		snprintf(ret_text, size, "%s", text);
	json_decref(json);
	rc_buf_done(&transfer.answer);
	return lacks;
}

enum rc_status client_upload(struct client *client, const char *path, const char *content_type, FILE *file, int64_t size,
			     client_sent_fn on_sent, void *arg, json_t **ret_json, struct rc_error *err)
{
	struct transfer transfer = { .client = client, .in = file, .on_sent = on_sent, .arg = arg };
	rc_buf_init(&transfer.answer, ANSWER_MAX);
	enum rc_status status = transfer_run(&transfer, "POST", path, content_type, NULL, size, NULL, err);
	if (status == RC_OK)
		status = answer_parse(&transfer, ret_json, err);
	rc_buf_done(&transfer.answer);
	return status;
}

enum rc_status client_download(struct client *client, const char *path, FILE *out, int64_t *ret_written, struct rc_error *err)
{
	struct transfer transfer = { .client = client, .out = out };
	rc_buf_init(&transfer.answer, ANSWER_MAX);
	enum rc_status status = transfer_run(&transfer, "GET", path, NULL, NULL, -1, NULL, err);
	*ret_written = transfer.written;
	rc_buf_done(&transfer.answer);
	return status;
}
