/*
 * verify - a list from its file to its results: upload, progress, download.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/job.h"
#include "cli/text.h"
#include "common/base/clock.h"

/* What the name says the list is; the server looks at the octets for compression. */
static const char *content_type_of(const char *name)
{
	static const struct {
		const char *ending, *type;
	} types[] = { { ".csv", "text/csv" },
		      { ".txt", "text/plain" },
		      { ".ndjson", "application/x-ndjson" },
		      { ".jsonl", "application/x-ndjson" } };
	size_t len = strlen(name);
	if (len > 3 && strcasecmp(name + len - 3, ".gz") == 0)
		len -= 3;
	else if (len > 4 && strcasecmp(name + len - 4, ".zst") == 0)
		len -= 4;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		size_t ending = strlen(types[i].ending);
		if (len > ending && strncasecmp(name + len - ending, types[i].ending, ending) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

struct upload_view {
	bool terminal;
	int64_t size;
	uint64_t last_ms;
	bool drawn;
};

static void on_sent(void *arg, int64_t sent)
{
	struct upload_view *view = arg;
	uint64_t now_ms = rc_clock_mono_ms();
	char text[TEXT_MAX], total[TEXT_MAX];
	if (!view->terminal || now_ms - view->last_ms < 200)
		return;
	view->last_ms = now_ms;
	view->drawn = true;
	if (view->size > 0)
		fprintf(stderr, "\ruploading %s of %s KiB\033[K", text_count(sent / 1024, text), text_count(view->size / 1024, total));
	else
		fprintf(stderr, "\ruploading %s KiB\033[K", text_count(sent / 1024, text));
	fflush(stderr);
}

/* What the server is told of the list besides its octets. */
struct list_words {
	const char *column, *max_age; /* NULL: not given */
	bool suppress_invalid;
};

/* POST /v1/jobs; *ret_id is the new job's, to be free()d. */
static enum rc_status list_send(struct client *client, const char *path, FILE *file, const struct list_words *words, char **ret_id,
				struct rc_error *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = strcmp(path, "-") == 0 ? "stdin" : slash ? slash + 1 : path;
	struct stat stat_of;
	int64_t size = fstat(fileno(file), &stat_of) == 0 && S_ISREG(stat_of.st_mode) ? (int64_t)stat_of.st_size : -1;
	off_t at = size >= 0 ? ftello(file) : 0;
	if (at > 0)
		size -= at;
	struct upload_view view = { .terminal = isatty(STDERR_FILENO), .size = size };
	char *query = NULL;
	json_t *job = NULL;
	enum rc_status status = RC_NO_MEMORY;

	char *escaped_name = curl_easy_escape(client->curl, name, 0);
	char *escaped_column = words->column ? curl_easy_escape(client->curl, words->column, 0) : NULL;
	char *escaped_age = words->max_age ? curl_easy_escape(client->curl, words->max_age, 0) : NULL;
	if (!escaped_name || (words->column && !escaped_column) || (words->max_age && !escaped_age) ||
	    asprintf(&query, "/v1/jobs?name=%s%s%s%s%s%s", escaped_name, escaped_column ? "&column=" : "",
		     escaped_column ? escaped_column : "", escaped_age ? "&max_age=" : "", escaped_age ? escaped_age : "",
		     words->suppress_invalid ? "&suppress_invalid=true" : "") < 0) {
		query = NULL;
		rc_error_set(err, RC_NO_MEMORY, "out of memory");
		goto out;
	}
	status = client_upload(client, query, content_type_of(name), file, size, on_sent, &view, &job, err);
	if (view.drawn)
		fputs("\r\033[K", stderr);
	if (status != RC_OK)
		goto out;
	const char *id = json_string_value(json_object_get(job, "id"));
	if (!id || !(*ret_id = strdup(id)))
		status = rc_error_set(err, RC_BROKEN, "the server took the list but names no job");
out:
	json_decref(job);
	free(query);
	curl_free(escaped_name);
	curl_free(escaped_column);
	curl_free(escaped_age);
	return status;
}

static void summary(struct client *client, const char *id, const char *output, uint64_t started_ms)
{
	struct rc_error err;
	json_t *job = NULL;
	char text[TEXT_MAX], span[TEXT_MAX];
	char *path = job_path(client, id, "");
	if (path && client_call(client, "GET", path, NULL, NULL, &job, &err) == RC_OK) {
		const char *name;
		json_t *value;
		fprintf(stderr, "%s rows in %s:", text_count(json_integer_value(json_object_get(job, "rows")), text),
			text_span((int64_t)(rc_clock_mono_ms() - started_ms) / 1000, span));
		json_object_foreach(json_object_get(json_object_get(job, "counts"), "status"), name, value)
			if (json_integer_value(value) > 0)
				fprintf(stderr, "  %s %s", name, text_count(json_integer_value(value), text));
		fprintf(stderr, "%s%s\n", output ? "  -> " : "", output ? output : "");
	}
	json_decref(job);
	free(path);
}

int cli_verify(const struct cli_command *command, int argc, char **argv)
{
	static const struct option options[] = { { "output", required_argument, NULL, 'o' }, { "column", required_argument, NULL, 'c' },
						 { "status", required_argument, NULL, 's' }, { "json", no_argument, NULL, 'j' },
						 { "url", required_argument, NULL, 'u' },    { "data", required_argument, NULL, 'd' },
						 { "suppress-invalid", no_argument, NULL, 'x' }, { "max-age", required_argument, NULL, 'm' },
						 { NULL, 0, NULL, 0 } };
	struct list_words words = { NULL, NULL, false };
	struct job_output output = { NULL, NULL, false };
	const char *url = NULL, *data = NULL;
	struct client client;
	struct rc_error err;
	uint64_t started_ms = rc_clock_mono_ms();
	int letter;

	while ((letter = getopt_long(argc, argv, ":o:", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			output.path = optarg;
			break;
		case 'c':
			words.column = optarg;
			break;
		case 's':
			if (!cli_statuses(command, optarg))
				return CLI_USAGE;
			output.status = optarg;
			break;
		case 'm':
			words.max_age = optarg;
			break;
		case 'j':
			output.ndjson = true;
			break;
		case 'x':
			words.suppress_invalid = true;
			break;
		case 'u':
			url = optarg;
			break;
		case 'd':
			data = optarg;
			break;
		default:
			return cli_bad_option(command, letter, argv[optind - 1]);
		}
	}
	if (argc - optind != 1)
		return cli_misuse(command, argc == optind ? "name the list to verify (- is standard input)." :
							    "one list at a time, please.");
	const char *path = argv[optind];
	bool standard_input = strcmp(path, "-") == 0;
	FILE *file = standard_input ? stdin : fopen(path, "re");
	if (!file) {
		cli_warn("cannot read %s: %s", path, strerror(errno));
		return CLI_USAGE;
	}
	struct stat stat_of;
	if (fstat(fileno(file), &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
		cli_warn("%s is a directory; name a file", path);
		fclose(file);
		return CLI_USAGE;
	}
	/* An output that cannot be written is found now, not after hours of probing. */
	if (output.path) {
		char *slash, *folder = strdup(output.path);
		if (folder && (slash = strrchr(folder, '/')))
			slash[slash == folder] = '\0';
		const char *where = folder && strchr(output.path, '/') ? folder : ".";
		bool fine = folder && (access(output.path, F_OK) == 0 ? access(output.path, W_OK) == 0 : access(where, W_OK | X_OK) == 0);
		int why = errno;
		free(folder);
		if (fine && stat(output.path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
			fine = false;
			why = EISDIR;
		}
		if (!fine) {
			cli_warn("cannot write %s: %s", output.path, strerror(why));
			if (!standard_input)
				fclose(file);
			return CLI_USAGE;
		}
	}

	if (client_init(&client, url, data, &err) != RC_OK) {
		if (!standard_input)
			fclose(file);
		return cli_fail(&err);
	}
	cli_catch_interrupt();
	char *id = NULL;
	int exit_status;
	enum rc_status status = list_send(&client, path, file, &words, &id, &err);
	if (!standard_input)
		fclose(file);
	if (status != RC_OK && cli_interrupted()) {
		cli_warn("stopped before the list was uploaded; the server keeps nothing of it");
		exit_status = CLI_INTERRUPTED;
	} else if (status != RC_OK) {
		exit_status = cli_fail(&err);
	} else {
		fprintf(stderr, "job %s\n", id);
		exit_status = job_watch(&client, id);
		if (exit_status == CLI_OK)
			exit_status = job_download(&client, id, &output);
		if (exit_status == CLI_OK)
			summary(&client, id, output.path, started_ms);
	}
	free(id);
	client_done(&client);
	return exit_status;
}
