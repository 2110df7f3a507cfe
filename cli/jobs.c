/*
 * jobs - the server's jobs: list, show, results, wait, resume, cancel.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/job.h"
#include "cli/text.h"

struct jobs_options {
	struct job_output output;
	bool json;
};

/* GET or POST of /v1/jobs/ID + rest. */
static enum rc_status job_call(struct client *client, const char *method, const char *id, const char *rest, json_t **ret_job,
			       struct rc_error *err)
{
	char *path = job_path(client, id, rest);
	if (!path)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	enum rc_status status = client_call(client, method, path, NULL, NULL, ret_job, err);
	free(path);
	return status;
}

static int list(struct client *client, const char *id, const struct jobs_options *options)
{
	struct rc_error err;
	char done[TEXT_MAX], rows[TEXT_MAX];
	char *next = NULL;
	bool headed = false;
	int exit_status = CLI_OK;
	(void)id;
	do {
		json_t *page = NULL, *job;
		size_t i;
		char *path = NULL, *cursor = next ? curl_easy_escape(client->curl, next, 0) : NULL;
		if (asprintf(&path, "/v1/jobs%s%s", cursor ? "?cursor=" : "", cursor ? cursor : "") < 0)
			path = NULL;
		curl_free(cursor);
		free(next);
		next = NULL;
		enum rc_status status = path ? client_call(client, "GET", path, NULL, NULL, &page, &err) :
					       rc_error_set(&err, RC_NO_MEMORY, "out of memory");
		free(path);
		if (status != RC_OK)
			return cli_fail(&err);
		json_array_foreach(json_object_get(page, "jobs"), i, job) {
			if (options->json) {
				answer_print(job);
				continue;
			}
			if (!headed)
				printf("%-22s %-13s %13s %13s  %-20.20s  %s\n", "ID", "STATE", "DONE", "ROWS", "CREATED", "NAME");
			headed = true;
			printf("%-22s %-13s %13s %13s  %-20.20s  ", answer_text(job, "id"), answer_text(job, "state"),
			       text_count(answer_count(job, "done"), done), text_count(answer_count(job, "rows"), rows),
			       answer_text(job, "created_at"));
			text_put(stdout, answer_text(job, "name"));
			putchar('\n');
		}
		const char *more = json_string_value(json_object_get(page, "next"));
		if (more && !(next = strdup(more)))
			exit_status = CLI_FAILED;
		json_decref(page);
	} while (next && !cli_interrupted());
	free(next);
	if (!headed && !options->json)
		puts("no jobs");
	return exit_status;
}

static void show_counts(const json_t *counts, const char *title)
{
	const char *name;
	json_t *value;
	char text[TEXT_MAX];
	bool any = false;
	json_object_foreach((json_t *)json_object_get(counts, title), name, value) {
		if (json_integer_value(value) == 0)
			continue;
		printf("%-12s %-24s %13s\n", any ? "" : title, name, text_count((int64_t)json_integer_value(value), text));
		any = true;
	}
}

static int show(struct client *client, const char *id, const struct jobs_options *options)
{
	struct rc_error err;
	json_t *job = NULL;
	char text[TEXT_MAX];
	if (job_call(client, "GET", id, "", &job, &err) != RC_OK)
		return cli_fail(&err);
	if (options->json) {
		answer_print(job);
		json_decref(job);
		return CLI_OK;
	}
	static const char *const texts[] = { "id", "name", "state", "created_at", "finished_at", "error" };
	static const char *const numbers[] = { "rows", "done", "blank", "duplicates" };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!*answer_text(job, texts[i]))
			continue;
		printf("%-12s ", texts[i]);
		text_put(stdout, answer_text(job, texts[i]));
		putchar('\n');
	}
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		printf("%-12s %s\n", numbers[i], text_count(answer_count(job, numbers[i]), text));
	const json_t *waiting = json_object_get(job, "waiting"), *eta = json_object_get(job, "eta_s");
	if (answer_count(waiting, "rows") > 0)
		printf("%-12s %s rows until %s\n", "waiting", text_count(answer_count(waiting, "rows"), text), answer_text(waiting, "until"));
	if (json_is_number(eta))
		printf("%-12s %s\n", "left", text_span((int64_t)json_number_value(eta), text));
	show_counts(json_object_get(job, "counts"), "status");
	show_counts(json_object_get(job, "counts"), "reason");
	json_decref(job);
	return CLI_OK;
}

static int results(struct client *client, const char *id, const struct jobs_options *options)
{
	return job_download(client, id, &options->output);
}

static int wait_for(struct client *client, const char *id, const struct jobs_options *options)
{
	(void)options;
	return job_watch(client, id);
}

static int resume(struct client *client, const char *id, const struct jobs_options *options)
{
	struct rc_error err;
	json_t *job = NULL;
	if (job_call(client, "GET", id, "", &job, &err) != RC_OK)
		return cli_fail(&err);
	bool paused = strcmp(answer_text(job, "state"), "paused") == 0;
	json_decref(job);
	job = NULL;
	if (paused && job_call(client, "POST", id, "/resume", &job, &err) != RC_OK)
		return cli_fail(&err);
	json_decref(job);
	int exit_status = job_watch(client, id);
	return exit_status == CLI_OK ? job_download(client, id, &options->output) : exit_status;
}

static int cancel(struct client *client, const char *id, const struct jobs_options *options)
{
	struct rc_error err;
	json_t *job = NULL;
	if (job_call(client, "POST", id, "/cancel", &job, &err) != RC_OK)
		return cli_fail(&err);
	if (options->json)
		answer_print(job);
	else
		printf("job %s is %s\n", id, answer_text(job, "state"));
	json_decref(job);
	return CLI_OK;
}

static const struct {
	const char *name;
	bool needs_id;
	int (*run)(struct client *client, const char *id, const struct jobs_options *options);
} verbs[] = {
	{ "list", false, list }, { "show", true, show },     { "results", true, results },
	{ "wait", true, wait_for }, { "resume", true, resume }, { "cancel", true, cancel },
};

int cli_jobs(const struct cli_command *command, int argc, char **argv)
{
	static const struct option options[] = { { "output", required_argument, NULL, 'o' }, { "status", required_argument, NULL, 's' },
						 { "format", required_argument, NULL, 'f' }, { "json", no_argument, NULL, 'j' },
						 { "url", required_argument, NULL, 'u' },    { "data", required_argument, NULL, 'd' },
						 { NULL, 0, NULL, 0 } };
	struct jobs_options chosen = { { NULL, NULL, false }, false };
	const char *url = NULL, *data = NULL;
	struct client client;
	struct rc_error err;
	int letter;

	while ((letter = getopt_long(argc, argv, ":o:", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			chosen.output.path = optarg;
			break;
		case 's':
			if (!cli_statuses(command, optarg))
				return CLI_USAGE;
			chosen.output.status = optarg;
			break;
		case 'f':
			if (strcmp(optarg, "csv") != 0 && strcmp(optarg, "ndjson") != 0)
				return cli_misuse(command, "--format is csv or ndjson, not \"%s\".", optarg);
			chosen.output.ndjson = strcmp(optarg, "ndjson") == 0;
			break;
		case 'j':
			chosen.json = chosen.output.ndjson = true;
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
	const char *verb = optind < argc ? argv[optind++] : "list";
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(verb, verbs[i].name) != 0)
			continue;
		if (argc - optind != (verbs[i].needs_id ? 1 : 0))
			return cli_misuse(command, verbs[i].needs_id ? "jobs %s takes one job's ID." : "jobs %s takes nothing more.", verb);
		if (client_init(&client, url, data, &err) != RC_OK)
			return cli_fail(&err);
		cli_catch_interrupt();
		int exit_status = verbs[i].run(&client, verbs[i].needs_id ? argv[optind] : NULL, &chosen);
		client_done(&client);
		return exit_status;
	}
	return cli_misuse(command, "jobs has no \"%s\".", verb);
}
