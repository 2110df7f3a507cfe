/*
 * outcomes - what became of the messages that were sent: import an export of bounces and deliveries, see the imports, and how
 * the scores hold against them.
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

struct outcomes_options {
	const char *format, *name, *status, *provider;
	bool json;
};

static double number_of(const json_t *json, const char *name)
{
	return json_number_value(json_object_get(json, name));
}

static enum rc_status get(struct client *client, char *path, json_t **ret_json, struct rc_error *err)
{
	enum rc_status status = path ? client_call(client, "GET", path, NULL, NULL, ret_json, err) :
				       rc_error_set(err, RC_NO_MEMORY, "out of memory");
	free(path);
	return status;
}

static void print_faults(FILE *out, const json_t *import)
{
	const json_t *faults = json_object_get(import, "faults"), *fault;
	size_t i;
	json_array_foreach((json_t *)faults, i, fault) {
		if (i == FAULTS_PRINTED)
			break;
		fprintf(out, "record %lld", (long long)answer_count(fault, "record"));
		if (json_is_integer(json_object_get(fault, "column")))
			fprintf(out, ", column %lld", (long long)answer_count(fault, "column"));
		fputs(": ", out);
		text_put(out, answer_text(fault, "detail"));
		putc('\n', out);
	}
	int64_t more = answer_count(import, "bad") - (int64_t)(json_array_size(faults) < FAULTS_PRINTED ? json_array_size(faults) : FAULTS_PRINTED);
	if (more > 0 && json_array_size(faults) > 0)
		fprintf(out, "and %lld more\n", (long long)more);
}

static void print_import(const json_t *import)
{
	static const struct {
		const char *name, *means;
	} counts[] = { { "delivered", "taken by the mailbox's server" },
		       { "bounced", "for a fault of the recipient or the domain" },
		       { "repeated", "of a message that was counted already" },
		       { "ignored", "say nothing of the recipient: rate, content, not yet an end" },
		       { "unmatched", "no result of that address at that time" },
		       { "bad", "could not be read" } };
	char text[TEXT_MAX];
	printf("%-10s %s\n%-10s %s\n", "import", answer_text(import, "id"), "format", answer_text(import, "format"));
	printf("%-10s %13s\n", "rows", text_count(answer_count(import, "rows"), text));
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		printf("%-10s %13s  %s\n", counts[i].name, text_count(answer_count(import, counts[i].name), text), counts[i].means);
}

static int import(struct client *client, const char *path, const struct outcomes_options *options)
{
	bool standard_input = strcmp(path, "-") == 0;
	FILE *file = standard_input ? stdin : fopen(path, "re");
	const char *slash = strrchr(path, '/');
	const char *const params[][2] = { { "name", options->name ? options->name : standard_input ? "stdin" : slash ? slash + 1 : path },
					  { "format", options->format } };
	struct rc_error err;
	struct stat stat_of;
	json_t *answer = NULL;
	if (!file || (fstat(fileno(file), &stat_of) == 0 && S_ISDIR(stat_of.st_mode) && (errno = EISDIR))) {
		cli_warn("cannot read %s: %s", path, strerror(errno));
		if (file)
			fclose(file);
		return CLI_USAGE;
	}
	int64_t size = fstat(fileno(file), &stat_of) == 0 && S_ISREG(stat_of.st_mode) && !standard_input ? (int64_t)stat_of.st_size : -1;
	char *to = client_query(client, "/v1/outcomes", params, 2);
	enum rc_status status = to ? client_upload(client, to, "application/octet-stream", file, size, NULL, NULL, &answer, &err) :
				     rc_error_set(&err, RC_NO_MEMORY, "out of memory");
	free(to);
	if (!standard_input)
		fclose(file);
	if (status != RC_OK)
		return cli_fail(&err);
	if (options->json) {
		answer_print(answer);
	} else {
		if (json_is_true(json_object_get(answer, "known")))
			fputs("rollcall: this file was imported before; nothing changes\n", stderr);
		print_faults(stderr, answer);
		print_import(answer);
	}
	json_decref(answer);
	return CLI_OK;
}

static int list(struct client *client, const char *operand, const struct outcomes_options *options)
{
	char *next = NULL;
	bool headed = false;
	(void)operand;
	do {
		const char *const params[][2] = { { "cursor", next } };
		struct rc_error err;
		json_t *page = NULL, *one;
		char text[3][TEXT_MAX];
		size_t i;
		enum rc_status status = get(client, client_query(client, "/v1/outcomes", params, 1), &page, &err);
		free(next);
		next = NULL;
		if (status != RC_OK)
			return cli_fail(&err);
		json_array_foreach(json_object_get(page, "outcomes"), i, one) {
			if (options->json) {
				answer_print(one);
				continue;
			}
			if (!headed)
				printf("%-21s %-10s %13s %13s %13s  %-20.20s  %s\n", "ID", "FORMAT", "ROWS", "DELIVERED", "BOUNCED", "CREATED", "NAME");
			headed = true;
			printf("%-21s %-10s %13s %13s %13s  %-20.20s  ", answer_text(one, "id"), answer_text(one, "format"),
			       text_count(answer_count(one, "rows"), text[0]), text_count(answer_count(one, "delivered"), text[1]),
			       text_count(answer_count(one, "bounced"), text[2]), answer_text(one, "created_at"));
			text_put(stdout, answer_text(one, "name"));
			putchar('\n');
		}
		const char *more = json_string_value(json_object_get(page, "next"));
		next = more ? strdup(more) : NULL;
		json_decref(page);
	} while (next && !cli_interrupted());
	free(next);
	if (!headed && !options->json)
		puts("no outcomes were imported");
	return CLI_OK;
}

static int show(struct client *client, const char *id, const struct outcomes_options *options)
{
	struct rc_error err;
	json_t *answer = NULL;
	char *path = NULL, *escaped = curl_easy_escape(client->curl, id, 0);
	if (!escaped || asprintf(&path, "/v1/outcomes/%s", escaped) < 0)
		path = NULL;
	curl_free(escaped);
	if (get(client, path, &answer, &err) != RC_OK)
		return cli_fail(&err);
	if (options->json) {
		answer_print(answer);
	} else {
		print_import(answer);
		print_faults(stdout, answer);
	}
	json_decref(answer);
	return CLI_OK;
}

static void print_cells(const json_t *cells, const char *title, const char *name)
{
	const json_t *cell;
	char text[TEXT_MAX], label[64];
	size_t i;
	printf("\n%-40s %12s %10s %10s   %s\n", title, "ROWS", "PREDICTED", "OBSERVED", "95%");
	json_array_foreach((json_t *)cells, i, cell) {
		if (answer_count(cell, "rows") == 0)
			continue;
		if (name)
			snprintf(label, sizeof label, "%s", answer_text(cell, name));
		else
			snprintf(label, sizeof label, "score %lld to %lld", (long long)answer_count(cell, "from"), (long long)answer_count(cell, "to"));
		printf("%-40s %12s %9.1f%% %9.1f%%   %.1f to %.1f%s\n", label, text_count(answer_count(cell, "rows"), text),
		       number_of(cell, "predicted"), number_of(cell, "observed"), number_of(cell, "low"), number_of(cell, "high"),
		       number_of(cell, "predicted") < number_of(cell, "low") || number_of(cell, "predicted") > number_of(cell, "high") ? "  off" : "");
	}
}

static int accuracy(struct client *client, const char *operand, const struct outcomes_options *options)
{
	const char *const params[][2] = { { "status", options->status }, { "provider", options->provider } };
	struct rc_error err;
	json_t *answer = NULL, *one;
	char text[TEXT_MAX], label[160];
	size_t i;
	(void)operand;
	if (get(client, client_query(client, "/v1/accuracy", params, 2), &answer, &err) != RC_OK)
		return cli_fail(&err);
	if (options->json) {
		answer_print(answer);
		json_decref(answer);
		return CLI_OK;
	}
	printf("%s outcomes\n%s\n", text_count(answer_count(answer, "outcomes"), text), answer_text(answer, "warning"));
	print_cells(json_object_get(answer, "bins"), "SCORE GIVEN", NULL);
	print_cells(json_object_get(answer, "by_status"), "STATUS", "status");
	print_cells(json_object_get(answer, "by_provider"), "PROVIDER (-: none)", "provider");
	printf("\n%-40s %12s %10s %10s   %s\n", "BUCKET", "ROWS", "PRIOR", "OBSERVED", "SCORE NOW");
	json_array_foreach(json_object_get(answer, "buckets"), i, one) {
		snprintf(label, sizeof label, "%s %s%s%s", answer_text(one, "reason"), answer_text(one, "provider"),
			 *answer_text(one, "evidence") ? " +" : "", answer_text(one, "evidence"));
		printf("%-40s %12s %10lld %9.1f%%   %lld %s\n", label, text_count(answer_count(one, "rows"), text), (long long)answer_count(one, "prior"),
		       number_of(one, "observed"), (long long)answer_count(one, "score"), answer_text(one, "basis"));
	}
	printf("\n%-40s %12s %10s %10s   %s\n", "RANDOM CONTROLS", "DECIDED", "ACCEPTED", "RATE", "95%");
	json_array_foreach(json_object_get(answer, "false_accepts"), i, one) {
		snprintf(label, sizeof label, "%s (%s)", answer_text(one, "provider"), answer_text(one, "honesty"));
		printf("%-40s %12s %10lld %9.1f%%   %.1f to %.1f\n", label, text_count(answer_count(one, "accepted") + answer_count(one, "refused"), text),
		       (long long)answer_count(one, "accepted"), number_of(one, "rate"), number_of(one, "low"), number_of(one, "high"));
	}
	json_decref(answer);
	return CLI_OK;
}

static const struct {
	const char *name, *operand;
	int (*run)(struct client *client, const char *operand, const struct outcomes_options *options);
} verbs[] = { { "import", "a file", import }, { "list", NULL, list }, { "show", "an import's ID", show }, { "accuracy", NULL, accuracy } };

int cli_outcomes(const struct cli_command *command, int argc, char **argv)
{
	static const struct option options[] = { { "format", required_argument, NULL, 'f' }, { "name", required_argument, NULL, 'n' },
						 { "status", required_argument, NULL, 's' }, { "provider", required_argument, NULL, 'p' },
						 { "json", no_argument, NULL, 'j' },	     { "url", required_argument, NULL, 'u' },
						 { "data", required_argument, NULL, 'd' },   { NULL, 0, NULL, 0 } };
	struct outcomes_options chosen = { NULL, NULL, NULL, NULL, false };
	const char *url = NULL, *data = NULL;
	struct client client;
	struct rc_error err;
	int letter;

	while ((letter = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (letter) {
		case 'f':
			chosen.format = optarg;
			break;
		case 'n':
			chosen.name = optarg;
			break;
		case 's':
			chosen.status = optarg;
			break;
		case 'p':
			chosen.provider = optarg;
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
		if (argc - optind != (verbs[i].operand ? 1 : 0))
			return verbs[i].operand ? cli_misuse(command, "outcomes %s takes %s.", verb, verbs[i].operand) :
						  cli_misuse(command, "outcomes %s takes nothing more.", verb);
		if (client_init(&client, url, data, &err) != RC_OK)
			return cli_fail(&err);
		cli_catch_interrupt();
		int exit_status = verbs[i].run(&client, argv[optind], &chosen);
		client_done(&client);
		return exit_status;
	}
	return cli_misuse(command, "outcomes has no \"%s\".", verb);
}
