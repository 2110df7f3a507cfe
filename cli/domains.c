/*
 * domains - what the server knows of a mail domain.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"

static void print_text(const json_t *o, const char *name, const char *words)
{
	const char *text = json_string_value(json_object_get(o, name));

	if (!text)
		return;
	printf("%-16s ", words);
	text_put(stdout, text);
	putchar('\n');
}

static void print_domain(const json_t *domain)
{
	const json_t *resolution = json_object_get(domain, "resolution"), *control = json_object_get(domain, "control");
	json_t *mx;
	size_t i;

	print_text(domain, "domain", "domain");
	print_text(domain, "first_seen", "first seen");
	print_text(domain, "provider", "provider");
	print_text(domain, "mx_group", "MX group");
	print_text(domain, "resolved_at", "looked up");
	json_array_foreach(json_object_get(resolution, "mx"), i, mx) {
		const char *host = json_string_value(json_object_get(mx, "host"));

		printf("%-16s %3lld ", i ? "" : "mail servers", (long long)json_integer_value(json_object_get(mx, "preference")));
		text_put(stdout, host ? host : "");
		putchar('\n');
	}
	if (json_is_object(control)) {
		print_text(control, "state", "random control");
		print_text(control, "at", "  asked");
		print_text(control, "lane", "  from lane");
	}
	print_text(domain, "accepted_at", "last accepted");
}

int cli_domains(const struct cli_command *command, int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "url", required_argument, NULL, 'u' },
						 { "data", required_argument, NULL, 'd' },
						 { NULL, 0, NULL, 0 } };
	const char *url = NULL, *data = NULL;
	bool json = false;
	struct client client;
	struct rc_error err;
	json_t *answer = NULL;
	char *path = NULL, *escaped;
	int letter, exit_status = CLI_OK;

	while ((letter = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (letter) {
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
	if (argc - optind != 2 || strcmp(argv[optind], "show") != 0)
		return cli_misuse(command, "domains show takes one domain.");
	if (client_init(&client, url, data, &err) != RC_OK)
		return cli_fail(&err);
	cli_catch_interrupt();
	escaped = curl_easy_escape(client.curl, argv[optind + 1], 0);
	if (!escaped || asprintf(&path, "/v1/domains/%s", escaped) < 0)
		path = NULL;
	curl_free(escaped);
	enum rc_status status = path ? client_call(&client, "GET", path, NULL, NULL, &answer, &err) :
				       rc_error_set(&err, RC_NO_MEMORY, "out of memory");
	free(path);
	if (status != RC_OK) {
		exit_status = cli_fail(&err);
	} else if (json) {
		answer_print(answer);
	} else {
		print_domain(answer);
	}
	json_decref(answer);
	client_done(&client);
	return exit_status;
}
