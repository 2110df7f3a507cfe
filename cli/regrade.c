/*
 * regrade - a job's verdicts under the server's current rules, from the stored evidence: what would change, or the change.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/job.h"
#include "cli/text.h"

static void print_move(const json_t *of)
{
	const json_t *from = json_object_get(of, "from"), *to = json_object_get(of, "to");

	printf("%s/%s -> %s/%s", answer_text(from, "status"), answer_text(from, "reason"), answer_text(to, "status"), answer_text(to, "reason"));
}

static void print_count(const json_t *answer, const char *name, const char *words)
{
	char text[TEXT_MAX];

	if (answer_count(answer, name))
		printf("%13s  %s\n", text_count(answer_count(answer, name), text), words);
}

static void print_answer(const json_t *answer)
{
	bool applied = json_is_true(json_object_get(answer, "applied"));
	char text[TEXT_MAX];
	json_t *item;
	size_t i;

	printf("%13s  rows looked at under the rules %s\n", text_count(answer_count(answer, "rows"), text), answer_text(answer, "rules"));
	print_count(answer, "same", "stay as they are");
	print_count(answer, "changed", applied ? "have another verdict now" : "would have another verdict");
	print_count(answer, "flags_only", "the same verdict with other flags");
	print_count(answer, "score_only", "the same verdict with another score");
	print_count(answer, "needs_probe", "keep theirs: these rules would ask the server again");
	print_count(answer, "no_evidence", "keep theirs: their evidence is gone");
	json_array_foreach(json_object_get(answer, "changes"), i, item) {
		printf("%s%13s  ", i ? "" : "\n", text_count(answer_count(item, "rows"), text));
		print_move(item);
		putchar('\n');
	}
	json_array_foreach(json_object_get(answer, "samples"), i, item) {
		printf("%srow %lld ", i ? "" : "\n", (long long)answer_count(item, "row"));
		text_put(stdout, answer_text(item, "email"));
		fputs(": ", stdout);
		print_move(item);
		if (*answer_text(item, "rule"))
			printf(" (rule %s)", answer_text(item, "rule"));
		putchar('\n');
	}
	if (!applied)
		puts("\nNothing was written: --apply does it.");
}

int cli_regrade(const struct cli_command *command, int argc, char **argv)
{
	static const struct option options[] = { { "apply", no_argument, NULL, 'a' },
						 { "json", no_argument, NULL, 'j' },
						 { "url", required_argument, NULL, 'u' },
						 { "data", required_argument, NULL, 'd' },
						 { NULL, 0, NULL, 0 } };
	const char *url = NULL, *data = NULL;
	bool apply = false, json = false;
	struct client client;
	struct rc_error err;
	json_t *answer = NULL;
	int letter, exit_status = CLI_OK;

	while ((letter = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (letter) {
		case 'a':
			apply = true;
			break;
		case 'j':
			json = true;
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
		return cli_misuse(command, "regrade takes one job's ID.");
	if (client_init(&client, url, data, &err) != RC_OK)
		return cli_fail(&err);
	cli_catch_interrupt();
	char *path = job_path(&client, argv[optind], apply ? "/regrade?apply=true" : "/regrade");
	enum rc_status status = path ? client_call(&client, "POST", path, NULL, NULL, &answer, &err) :
				       rc_error_set(&err, RC_NO_MEMORY, "out of memory");
	free(path);
	if (status != RC_OK) {
		exit_status = cli_fail(&err);
	} else if (json) {
		answer_print(answer);
	} else {
		print_answer(answer);
	}
	json_decref(answer);
	client_done(&client);
	return exit_status;
}
