/*
 * suppress - whom never to mail: add a list or single entries, list them, remove one.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"

enum { FAULTS_PRINTED = 20 };

struct suppress_options {
	const char *client, *column, *domain;
	bool json;
};

/* What the server made of a list. Rows that it could not read are told of, and make the status 2. */
static int told(const json_t *answer, const struct suppress_options *options)
{
	char added[TEXT_MAX], known[TEXT_MAX];
	json_t *fault;
	size_t i;
	if (options->json)
		answer_print(answer);
	else
		printf("%s added, %s there already\n", text_count(answer_count(answer, "added"), added),
		       text_count(answer_count(answer, "known"), known));
	if (answer_count(answer, "bad") == 0)
		return CLI_OK;
	cli_warn("%lld rows are no address and no domain:", (long long)answer_count(answer, "bad"));
	json_array_foreach(json_object_get(answer, "faults"), i, fault) {
		if (i == FAULTS_PRINTED)
			break;
		fprintf(stderr, "row %lld: ", (long long)answer_count(fault, "row"));
		text_put(stderr, answer_text(fault, "detail"));
		fputc('\n', stderr);
	}
	return CLI_USAGE;
}

static bool named_as_a_file(const char *name)
{
	static const char *const ends[] = { ".csv", ".txt", ".ndjson", ".jsonl", ".gz", ".zst", ".tsv" };
	size_t len = strlen(name);
	if (strchr(name, '@'))
		return false;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (len > strlen(ends[i]) && strcmp(name + len - strlen(ends[i]), ends[i]) == 0)
			return true;
	return strchr(name, '/') || !strchr(name, '.');
}

/* A file, standard input (-), or entries as they stand: whatever is no file and looks like an entry. */
static FILE *open_list(char **names, int count, int64_t *ret_size)
{
	struct stat st;
	*ret_size = -1;
	if (count == 1 && strcmp(names[0], "-") == 0)
		return stdin;
	for (int i = 0; count > 1 && i < count; i++)
		if (named_as_a_file(names[i]) || stat(names[i], &st) == 0) {
			cli_warn("%s: one file at a time, or entries", names[i]);
			return NULL;
		}
	if (count == 1 && (named_as_a_file(names[0]) || stat(names[0], &st) == 0)) {
		FILE *file = fopen(names[0], "re");
		if (!file)
			cli_warn("cannot read %s: %s", names[0], strerror(errno));
		else if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode))
			*ret_size = st.st_size;
		return file;
	}
	FILE *file = tmpfile();
	if (!file) {
		cli_warn("cannot make a temporary file: %s", strerror(errno));
		return NULL;
	}
	for (int i = 0; i < count; i++)
		fprintf(file, "%s\n", names[i]);
	rewind(file);
	return file;
}

static int add(struct client *client, char **names, int count, const struct suppress_options *options)
{
	const char *const params[][2] = { { "client", options->client }, { "column", options->column } };
	struct rc_error err;
	json_t *answer = NULL;
	int64_t size;
	FILE *file = open_list(names, count, &size);
	if (!file)
		return CLI_USAGE;
	const char *dot = count == 1 ? strrchr(names[0], '.') : NULL;
	const char *type = dot && strcmp(dot, ".csv") == 0    ? "text/csv" :
			   dot && strcmp(dot, ".ndjson") == 0 ? "application/x-ndjson" :
								"application/octet-stream";
	char *path = client_query(client, "/v1/suppressions", params, 2);
	enum rc_status status = path ? client_upload(client, path, type, file, size, NULL, NULL, &answer, &err) :
				       rc_error_set(&err, RC_NO_MEMORY, "out of memory");
	free(path);
	if (file != stdin)
		fclose(file);
	if (status != RC_OK)
		return cli_interrupted() ? CLI_INTERRUPTED : cli_fail(&err);
	int exit_status = told(answer, options);
	json_decref(answer);
	return exit_status;
}

static void print_entry(const json_t *entry)
{
	const char *reason = answer_text(entry, "reason"), *job = answer_text(entry, "job");
	text_put(stdout, answer_text(entry, "entry"));
	printf("\t%s\t", answer_text(entry, "added_at"));
	if (*job)
		printf("%s in job %s", reason, job);
	else
		printf("uploaded");
	if (*answer_text(entry, "client")) {
		printf("\tclient ");
		text_put(stdout, answer_text(entry, "client"));
	}
	putchar('\n');
}

static int list(struct client *client, char **names, int count, const struct suppress_options *options)
{
	char *next = NULL;
	int exit_status = CLI_OK;
	(void)names;
	(void)count;
	do {
		const char *const params[][2] = {
			{ "client", options->client }, { "domain", options->domain }, { "cursor", next }, { "limit", "1000" }
		};
		struct rc_error err;
		json_t *page = NULL, *entry;
		size_t i;
		char *path = client_query(client, "/v1/suppressions", params, 4);
		enum rc_status status = path ? client_call(client, "GET", path, NULL, NULL, &page, &err) :
					       rc_error_set(&err, RC_NO_MEMORY, "out of memory");
		free(path);
		free(next);
		next = NULL;
		if (status != RC_OK)
			return cli_fail(&err);
		json_array_foreach(json_object_get(page, "suppressions"), i, entry) {
			if (options->json)
				answer_print(entry);
			else
				print_entry(entry);
		}
		const char *more = json_string_value(json_object_get(page, "next"));
		if (more && !(next = strdup(more)))
			exit_status = CLI_FAILED;
		json_decref(page);
	} while (next && !cli_interrupted());
	free(next);
	return exit_status;
}

static int remove_all(struct client *client, char **names, int count, const struct suppress_options *options)
{
	int exit_status = CLI_OK;
	for (int i = 0; i < count; i++) {
		const char *const params[][2] = { { "entry", names[i] }, { "client", options->client } };
		struct rc_error err;
		json_t *answer = NULL;
		char *path = client_query(client, "/v1/suppressions", params, 2);
		enum rc_status status = path ? client_call(client, "DELETE", path, NULL, NULL, &answer, &err) :
					       rc_error_set(&err, RC_NO_MEMORY, "out of memory");
		free(path);
		json_decref(answer);
		int one = status == RC_OK ? CLI_OK : cli_fail(&err);
		exit_status = one > exit_status ? one : exit_status;
	}
	return exit_status;
}

static const struct {
	const char *name;
	int least;
	int (*run)(struct client *client, char **names, int count, const struct suppress_options *options);
} verbs[] = { { "add", 1, add }, { "list", 0, list }, { "remove", 1, remove_all } };

int cli_suppress(const struct cli_command *command, int argc, char **argv)
{
	static const struct option options[] = { { "client", required_argument, NULL, 'c' }, { "column", required_argument, NULL, 'k' },
						 { "domain", required_argument, NULL, 'o' }, { "json", no_argument, NULL, 'j' },
						 { "url", required_argument, NULL, 'u' },    { "data", required_argument, NULL, 'd' },
						 { NULL, 0, NULL, 0 } };
	struct suppress_options chosen = { NULL, NULL, NULL, false };
	const char *url = NULL, *data = NULL;
	struct client client;
	struct rc_error err;
	int letter;

	while ((letter = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (letter) {
		case 'c':
			chosen.client = optarg;
			break;
		case 'k':
			chosen.column = optarg;
			break;
		case 'o':
			chosen.domain = optarg;
			break;
		case 'j':
			chosen.json = true;
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
		if (argc - optind < verbs[i].least || (verbs[i].least == 0 && argc > optind))
			return cli_misuse(command, verbs[i].least ? "suppress %s takes at least one entry." : "suppress %s takes nothing more.",
					  verb);
		if (client_init(&client, url, data, &err) != RC_OK)
			return cli_fail(&err);
		cli_catch_interrupt();
		int exit_status = verbs[i].run(&client, argv + optind, argc - optind, &chosen);
		client_done(&client);
		return exit_status;
	}
	return cli_misuse(command, "suppress has no \"%s\".", verb);
}
