/*
 * lanes - the sending identities: how each stands and why, and what an admin wants of it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"

static const char *str(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value ? value : "";
}

static void print_json(const json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2));
	if (text)
		puts(text);
	free(text);
}

/* What there is to say of a lane in one line. */
static void print_line(const json_t *lane)
{
	const char *state = str(lane, "state"), *health = str(lane, "health");
	const char *reason = str(lane, "reason"), *health_reason = str(lane, "health_reason");
	printf("%-16s %-11s %-10s %-39s %s", str(lane, "name"), state, health,
	       str(lane, "public_address"), str(lane, "helo"));
	if (*reason)
		printf("  %s", reason);
	if (*health_reason)
		printf("  %s", health_reason);
	putchar('\n');
}

static void print_list(const json_t *answer)
{
	size_t i;
	json_t *lane, *pause;
	printf("%-16s %-11s %-10s %-39s %s\n", "LANE", "STATE", "HEALTH", "ADDRESS", "HELO");
	json_array_foreach(json_object_get(answer, "lanes"), i, lane) print_line(lane);
	json_array_foreach(json_object_get(answer, "pauses"), i, pause) printf(
	    "the fleet leaves %s alone until %s: %lld lanes were blocked there (%s)\n",
	    str(pause, "mx_group"), str(pause, "until"),
	    (long long)json_integer_value(json_object_get(pause, "lanes")), str(pause, "reason"));
}

static void print_lane(const json_t *lane)
{
	size_t i;
	json_t *p, *warming = json_object_get(lane, "warming_up");
	const char *since = str(lane, "draining_since");
	printf("%s: %s%s%s\n", str(lane, "name"), str(lane, "state"),
	       *str(lane, "reason") ? ", " : "", str(lane, "reason"));
	printf("  identity   %s%s%s, HELO %s, MAIL FROM %s\n", str(lane, "public_address"),
	       strcmp(str(lane, "public_address"), str(lane, "bind_address")) ? " @ " : "",
	       strcmp(str(lane, "public_address"), str(lane, "bind_address"))
		   ? str(lane, "bind_address")
		   : "",
	       str(lane, "helo"), str(lane, "mail_from"));
	printf("  held by    %s\n", *str(lane, "worker") ? str(lane, "worker") : "nobody");
	printf("  seen       first %s, last %s\n", str(lane, "first_seen_at"),
	       str(lane, "last_seen_at"));
	if (*since)
		printf("  draining   since %s\n", since);
	if (json_is_object(warming))
		printf("  warming up day %lld: %lld of %lld recipients\n",
		       (long long)json_integer_value(json_object_get(warming, "day")),
		       (long long)json_integer_value(json_object_get(warming, "sent")),
		       (long long)json_integer_value(json_object_get(warming, "recipients_a_day")));
	printf("  health     %s\n", str(lane, "health"));
	json_array_foreach(json_object_get(lane, "providers"), i, p) printf(
	    "    %-9s at %s since %s%s%s: %s\n", str(p, "health"), str(p, "mx_group"),
	    str(p, "since"), *str(p, "until") ? ", until " : "", str(p, "until"), str(p, "reason"));
	printf("  doctor     %s%s%s\n", str(lane, "fitness"),
	       *str(lane, "checked_at") ? ", looked at " : "", str(lane, "checked_at"));
	json_array_foreach(json_object_get(lane, "findings"), i, p)
	    printf("    %-6s %-10s %s\n", str(p, "result"), str(p, "check"), str(p, "text"));
	json_array_foreach(json_object_get(lane, "moves"), i, p) printf(
	    "  moved      %s %s -> %s, %lld of %s%s%s, %s%s\n", str(p, "at"), str(p, "from"),
	    str(p, "to"), (long long)json_integer_value(json_object_get(p, "count")), str(p, "job"),
	    *str(p, "domain") ? " at " : "", str(p, "domain"), str(p, "reason"),
	    json_is_true(json_object_get(p, "greylist_clock_restarted"))
		? "; its greylist clock began anew"
		: "");
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
		print_json(answer);
	else if (status == RC_OK && list)
		print_list(answer);
	else if (status == RC_OK)
		print_lane(answer);
	json_decref(answer);
	client_done(&client);
	return exit_status;
}
