/*
 * lanes - the sending identities: how each stands and why, and what an admin wants of it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"

/* `before` and a text that may be a mail server's. */
static void put(const char *before, const char *text)
{
	fputs(before, stdout);
	text_put(stdout, text);
}

/* What there is to say of a lane in one line. */
static void print_line(const json_t *lane)
{
	const char *state = answer_text(lane, "state"), *health = answer_text(lane, "health");
	const char *reason = answer_text(lane, "reason"),
		   *health_reason = answer_text(lane, "health_reason");
	printf("%-16s %-11s %-10s %-39s %s", answer_text(lane, "name"), state, health,
	       answer_text(lane, "public_address"), answer_text(lane, "helo"));
	if (*reason)
		put("  ", reason);
	if (*health_reason)
		put("  ", health_reason);
	putchar('\n');
}

static void print_list(const json_t *answer)
{
	size_t i;
	json_t *lane, *pause;
	printf("%-16s %-11s %-10s %-39s %s\n", "LANE", "STATE", "HEALTH", "ADDRESS", "HELO");
	json_array_foreach(json_object_get(answer, "lanes"), i, lane) print_line(lane);
	json_array_foreach(json_object_get(answer, "pauses"), i, pause)
	{
		put("the fleet leaves ", answer_text(pause, "mx_group"));
		printf(" alone until %s: %lld lanes were blocked there",
		       answer_text(pause, "until"), (long long)answer_count(pause, "lanes"));
		put(" (", answer_text(pause, "reason"));
		puts(")");
	}
}

static void print_lane(const json_t *lane)
{
	size_t i;
	json_t *p, *warming = json_object_get(lane, "warming_up");
	const char *since = answer_text(lane, "draining_since");
	printf("%s: %s", answer_text(lane, "name"), answer_text(lane, "state"));
	put(*answer_text(lane, "reason") ? ", " : "", answer_text(lane, "reason"));
	putchar('\n');
	printf("  identity   %s%s%s, HELO %s, MAIL FROM %s\n", answer_text(lane, "public_address"),
	       strcmp(answer_text(lane, "public_address"), answer_text(lane, "bind_address"))
		   ? " @ "
		   : "",
	       strcmp(answer_text(lane, "public_address"), answer_text(lane, "bind_address"))
		   ? answer_text(lane, "bind_address")
		   : "",
	       answer_text(lane, "helo"), answer_text(lane, "mail_from"));
	printf("  held by    %s\n",
	       *answer_text(lane, "worker") ? answer_text(lane, "worker") : "nobody");
	printf("  seen       first %s, last %s\n", answer_text(lane, "first_seen_at"),
	       answer_text(lane, "last_seen_at"));
	if (*since)
		printf("  draining   since %s\n", since);
	if (json_is_object(warming))
		printf("  warming up day %lld: %lld of %lld recipients\n",
		       (long long)answer_count(warming, "day"),
		       (long long)answer_count(warming, "sent"),
		       (long long)answer_count(warming, "recipients_a_day"));
	printf("  health     %s\n", answer_text(lane, "health"));
	json_array_foreach(json_object_get(lane, "providers"), i, p)
	{
		printf("    %-9s", answer_text(p, "health"));
		put(" at ", answer_text(p, "mx_group"));
		printf(" since %s%s%s", answer_text(p, "since"),
		       *answer_text(p, "until") ? ", until " : "", answer_text(p, "until"));
		put(": ", answer_text(p, "reason"));
		putchar('\n');
	}
	printf("  doctor     %s%s%s\n", answer_text(lane, "fitness"),
	       *answer_text(lane, "checked_at") ? ", looked at " : "",
	       answer_text(lane, "checked_at"));
	json_array_foreach(json_object_get(lane, "findings"), i, p)
	{
		printf("    %-6s %-10s", answer_text(p, "result"), answer_text(p, "check"));
		put(" ", answer_text(p, "text"));
		putchar('\n');
	}
	json_array_foreach(json_object_get(lane, "moves"), i, p)
	{
		printf("  moved      %s %s -> %s, %lld of %s", answer_text(p, "at"),
		       answer_text(p, "from"), answer_text(p, "to"),
		       (long long)answer_count(p, "count"), answer_text(p, "job"));
		put(*answer_text(p, "domain") ? " at " : "", answer_text(p, "domain"));
		printf(", %s%s\n", answer_text(p, "reason"),
		       json_is_true(json_object_get(p, "greylist_clock_restarted"))
			   ? "; its greylist clock began anew"
			   : "");
	}
}

int cli_lanes(const struct cli_command *command, int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "url", required_argument, NULL, 'u' },
						 { "data", required_argument, NULL, 'd' },
						 { NULL, 0, NULL, 0 } };
	const char *url = NULL, *data = NULL;
	bool as_json = false;
	int letter;
	while ((letter = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (letter == 'j')
			as_json = true;
		else if (letter == 'u')
			url = optarg;
		else if (letter == 'd')
			data = optarg;
		else
			return cli_bad_option(command, letter, argv[optind - 1]);
	}
	const char *verb = optind < argc ? argv[optind++] : "list";
	const char *name = optind < argc ? argv[optind++] : NULL;
	bool list = strcmp(verb, "list") == 0,
	     change = strcmp(verb, "drain") == 0 || strcmp(verb, "activate") == 0;
	if (optind < argc)
		return cli_misuse(command, "one lane at a time, please.");
	if (!list && !change && strcmp(verb, "show") != 0)
		return cli_misuse(command, "lanes has no verb \"%s\".", verb);
	if (list ? name != NULL : name == NULL)
		return cli_misuse(command, list ? "list takes no name." : "name the lane.");

	struct client client;
	struct rc_error err;
	json_t *answer = NULL;
	char path[512] = "/v1/lanes";
	if (client_init(&client, url, data, &err) != RC_OK)
		return cli_fail(&err);
	if (name) {
		char *escaped = curl_easy_escape(client.curl, name, 0);
		snprintf(path, sizeof path, "/v1/lanes/%.300s%s%s", escaped ? escaped : "",
			 change ? "/" : "", change ? verb : "");
		curl_free(escaped);
	}
	enum rc_status status =
	    client_call(&client, change ? "POST" : "GET", path, NULL, NULL, &answer, &err);
	int exit_status = status == RC_OK ? CLI_OK : cli_fail(&err);
	if (status == RC_OK && as_json)
		answer_print(answer);
	else if (status == RC_OK && list)
		print_list(answer);
	else if (status == RC_OK)
		print_lane(answer);
	json_decref(answer);
	client_done(&client);
	return exit_status;
}
