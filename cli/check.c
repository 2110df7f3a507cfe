/*
 * check - single addresses: the verdict, and the conversation that it rests on.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/reply/reason.h"

enum { POLL_MS = 250, PATIENCE_MS = 10 * 60 * 1000, SERVER_WAITS_MS = 5000 };

/* " NAME value" when there is one. */
static void print_field(const char *name, const char *value)
{
	if (!*value)
		return;
	printf("%s", name);
	text_put(stdout, value);
}

/* What the code of a server's line says, for those who do not read SMTP every day. */
static const char *code_means(const char *text)
{
	static const struct {
		const char *code, *means;
	} codes[] = {
		{ "220", "ready" },
		{ "221", "goodbye" },
		{ "250", "yes" },
		{ "251", "yes, it will be passed on" },
		{ "252", "cannot tell, would try" },
		{ "354", "go ahead" },
		{ "421", "not now, closing" },
		{ "450", "not now: mailbox unavailable" },
		{ "451", "not now: a fault, or greylisting" },
		{ "452", "not now: full, or too many recipients" },
		{ "454", "not now" },
		{ "500", "not understood" },
		{ "501", "not understood" },
		{ "502", "not offered" },
		{ "503", "out of order" },
		{ "521", "takes no mail" },
		{ "530", "log in, or encrypt, first" },
		{ "550", "no" },
		{ "551", "not here" },
		{ "552", "no: over quota" },
		{ "553", "no: name not allowed" },
		{ "554", "no" },
		{ "556", "the domain takes no mail" },
	};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strncmp(text, codes[i].code, 3) == 0 && (text[3] == ' ' || text[3] == '\0'))
			return codes[i].means;
	return "";
}

/* What a command of ours asks. */
static const char *command_asks(const char *text)
{
	static const struct {
		const char *verb, *asks;
	} verbs[] = {
		{ "EHLO", "this is who we are; what can you do?" },
		{ "HELO", "this is who we are" },
		{ "STARTTLS", "let us encrypt" },
		{ "MAIL FROM", "a message would come from here" },
		{ "RCPT TO", "would you take it for this one?" },
		{ "RSET", "forget that" },
		{ "QUIT", "that was all: no message follows" },
	};
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strncmp(text, verbs[i].verb, strlen(verbs[i].verb)) == 0)
			return verbs[i].asks;
	return "";
}

/* Whose fault it is, as people say it. */
static const char *fault_means(const char *fault)
{
	static const struct {
		const char *fault, *means;
	} faults[] = {
		{ "recipient", "that is about the mailbox" },
		{ "domain", "that is about the domain" },
		{ "sender", "that is about us, and says nothing of the mailbox" },
		{ "temporary", "that may pass, and says nothing of the mailbox yet" },
		{ "unclear", "whose fault it is remains open" },
	};
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (strcmp(fault, faults[i].fault) == 0)
			return faults[i].means;
	return "";
}

/* Which rule spoke, and what it makes of the answer. */
static void print_rule(const json_t *line)
{
	const char *fault = answer_text(line, "fault");
	const json_t *wait = json_object_get(line, "retry_after_s");

	if (!*answer_text(line, "rule"))
		return;
	print_field("        ^ rule ", answer_text(line, "rule"));
	print_field(": ", answer_text(line, "category"));
	if (*fault_means(fault))
		printf("; %s", fault_means(fault));
	if (json_is_integer(wait))
		printf("; not again before %lld s", (long long)json_integer_value(wait));
	putchar('\n');
}

static void print_line(const json_t *line)
{
	const char *who = answer_text(line, "who"), *text = answer_text(line, "text");
	bool note = strcmp(who, "note") == 0, server = strcmp(who, "S") == 0;
	/* A multi-line reply is one entry: each of its lines gets its own. */
	while (*text) {
		size_t len = strcspn(text, "\n");
		char *part = strndup(text, len);
		if (!part)
			return;
		if (len > 0 && part[len - 1] == '\r')
			part[len - 1] = '\0';
		printf("    %s ", note ? "  --" : server ? "  S:" : "  C:");
		text_put(stdout, part);
		const char *means = server ? code_means(part) : note ? "" : command_asks(part);
		if (*means)
			printf("   [%s]", means);
		putchar('\n');
		free(part);
		text += len + (text[len] == '\n');
	}
	print_rule(line);
}

/* "10 mx.b.test [192.0.2.1 192.0.2.2]" of each mail server, or why there is none. */
static void print_resolution(const json_t *resolution)
{
	static const struct {
		const char *state, *means;
	} states[] = {
		{ "mx", "its mail servers" },
		{ "implicit", "no MX record: the domain's own address takes its mail (RFC 5321, 5.1)" },
		{ "null_mx", "a null MX: it takes no mail (RFC 7505)" },
		{ "no_domain", "no such domain" },
		{ "no_server", "neither an MX record nor an address" },
		{ "failed", "no usable answer; that says nothing of the domain" },
		{ "unroutable", "no mail server of it may be connected to" },
	};
	size_t i, k;
	json_t *host, *address;

	if (!json_is_object(resolution))
		return;
	printf("\n  asked the DNS");
	print_field(", ", answer_text(resolution, "at"));
	for (i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(states[i].state, answer_text(resolution, "state")) == 0)
			printf(": %s", states[i].means);
	print_field(" (", answer_text(resolution, "detail"));
	puts(*answer_text(resolution, "detail") ? ")" : "");
	json_array_foreach(json_object_get(resolution, "mx"), i, host) {
		printf("    %5lld ", (long long)json_integer_value(json_object_get(host, "preference")));
		text_put(stdout, answer_text(host, "host"));
		json_array_foreach(json_object_get(host, "addresses"), k, address) {
			fputs(k ? " " : " [", stdout);
			text_put(stdout, json_string_value(address) ? json_string_value(address) : "");
		}
		puts(k ? "]" : " has no address that may be connected to");
	}
}

static void print_attempt(const json_t *attempt, size_t nth)
{
	const json_t *number = json_object_get(attempt, "attempt"), *waited = json_object_get(attempt, "waited_ms");
	size_t k;
	json_t *line;

	if (json_is_integer(waited))
		printf("\n  waited %.1f s\n", (double)json_integer_value(waited) / 1000);
	printf("\n  attempt %lld", json_is_integer(number) ? (long long)json_integer_value(number) : (long long)nth);
	print_field(", ", answer_text(attempt, "at"));
	print_field(", lane ", answer_text(attempt, "lane"));
	print_field(" from ", answer_text(attempt, "source_ip"));
	print_field(" as ", answer_text(attempt, "helo"));
	print_field(" for ", answer_text(attempt, "mail_from"));
	print_field(", to ", answer_text(attempt, "mx"));
	if (*answer_text(attempt, "mx_address")) {
		print_field(" [", answer_text(attempt, "mx_address"));
		putchar(']');
	}
	putchar('\n');
	json_array_foreach(json_object_get(attempt, "conversation"), k, line)
		print_line(line);
	if (*answer_text(attempt, "outcome")) {
		print_field("    => ", answer_text(attempt, "outcome"));
		putchar('\n');
	}
}

/* From the nth on, up to a time (NULL: all); returns the first that is later. */
static size_t print_moves(const json_t *moves, size_t nth, const char *until)
{
	const json_t *move;
	for (; (move = json_array_get(moves, nth)) != NULL; nth++) {
		const char *at = answer_text(move, "at");
		if (until && strcmp(at, until) > 0)
			break;
		print_field("\n  moved at ", at);
		print_field(" from lane ", answer_text(move, "from"));
		print_field(" to ", answer_text(move, "to"));
		print_field(": ", answer_text(move, "reason"));
		puts(json_is_true(json_object_get(move, "greylist_clock_restarted")) ? "; a greylister's clock begins anew there" : "");
	}
	return nth;
}

/* Where the page of the reason can be read: by URL, or on this server's socket. */
static void print_docs(const struct client *client, const char *path)
{
	if (*path != '/')
		return;
	printf("  more: %s", client->socket ? "GET " : client->url);
	text_put(stdout, path);
	putchar('\n');
}

static void print_row(const struct client *client, const char *address, const json_t *row)
{
	const json_t *verdict = json_object_get(row, "rollcall");
	const char *reason = answer_text(verdict, "reason"), *status = answer_text(verdict, "status");
	const json_t *score = json_object_get(verdict, "score");
	bool final = json_is_true(json_object_get(row, "final"));

	if (!final && strcmp(reason, rc_reason_name(RC_REASON_NOT_PROBED)) == 0)
		status = reason = ""; /* it waits for its turn */
	text_put(stdout, *answer_text(row, "email") ? answer_text(row, "email") : address);
	printf(": ");
	text_put(stdout, *status ? status : "not known yet");
	print_field(", grade ", answer_text(verdict, "grade"));
	if (json_is_number(score))
		printf(", score %.0f", json_number_value(score));
	puts(final ? "" : "  (not final)");
	if (*reason) {
		printf("  ");
		text_put(stdout, reason);
		const char *meaning = rc_reason_text(rc_reason_find(reason));
		printf("%s%s\n", *meaning ? ": " : "", meaning);
		print_docs(client, answer_text(verdict, "docs"));
	}
	bool flags = false;
	static const char *const flag_names[] = { "role", "disposable", "free", "catch_all", "review" };
	for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++) {
		if (json_is_true(json_object_get(verdict, flag_names[i]))) {
			printf("%s%s", flags ? ", " : "  flags: ", flag_names[i]);
			flags = true;
		}
	}
	if (flags)
		putchar('\n');
	if (*answer_text(verdict, "did_you_mean")) {
		print_field("  did you mean ", answer_text(verdict, "did_you_mean"));
		puts("?");
	}
	if (*answer_text(verdict, "provider")) {
		print_field("  provider: ", answer_text(verdict, "provider"));
		putchar('\n');
	}

	print_resolution(json_object_get(row, "resolution"));
	size_t i;
	json_t *attempt;
	const json_t *moves = json_object_get(row, "moves");
	size_t moved = 0;
	json_array_foreach(json_object_get(row, "attempts"), i, attempt) {
		moved = print_moves(moves, moved, answer_text(attempt, "at"));
		print_attempt(attempt, i + 1);
	}
	print_moves(moves, moved, NULL);
	if (!final && *answer_text(row, "next_attempt_at")) {
		print_field("\n  waits; next attempt: ", answer_text(row, "next_attempt_at"));
		puts(", from the same lane");
	}
	print_field("\n  verdict: ", *status ? status : "not known yet");
	print_field(", ", reason);
	print_field(", under the rules ", answer_text(verdict, "rules"));
	puts(final ? "" : " (not final)");
}

static int check_one(struct client *client, const char *address, int64_t wait_ms, bool json)
{
	struct rc_error err;
	json_t *body = json_pack("{s:s}", "email", address), *row = NULL;
	char *location = NULL;
	uint64_t started_ms = rc_clock_mono_ms(), away_since_ms = 0;
	bool told = false;
	int exit_status;
	long http = 0;

	if (!body) {
		cli_warn("the address is not UTF-8");
		return CLI_USAGE;
	}
	/* The server itself waits a moment for the answer, but no longer than we are to. */
	char path[64] = "/v1/verify";
	if (wait_ms >= 0 && wait_ms < SERVER_WAITS_MS)
		snprintf(path, sizeof path, "/v1/verify?wait=%d", (int)(wait_ms / 1000));
	enum rc_status status = client_call(client, "POST", path, body, &http, &row, &err);
	json_decref(body);
	if (status != RC_OK)
		return cli_interrupted() ? CLI_INTERRUPTED : cli_fail(&err);
	if (http == 202 || !json_object_get(row, "rollcall")) {
		const char *place = answer_text(row, "location");
		location = *place == '/' ? strdup(place) : NULL;
		if (!location) {
			cli_warn("the server takes the address but names no place to look for the verdict");
			json_decref(row);
			return CLI_FAILED;
		}
	}
	for (;;) {
		if (location) {
			json_decref(row);
			row = NULL;
			status = client_call(client, "GET", location, NULL, NULL, &row, &err);
		}
		uint64_t now_ms = rc_clock_mono_ms();
		if (cli_interrupted()) {
			cli_warn("stopped waiting; the verdict will be at %s", location ? location : "/v1/verify");
			exit_status = CLI_INTERRUPTED;
			break;
		}
		if (status == RC_UNAVAILABLE) {
			away_since_ms = away_since_ms ? away_since_ms : now_ms;
			client_look_again(client);
		} else if (status != RC_OK) {
			exit_status = cli_fail(&err);
			break;
		} else {
			away_since_ms = 0;
		}
		bool final = status == RC_OK && (!location || json_is_true(json_object_get(row, "final")));
		if (final || (wait_ms >= 0 && now_ms - started_ms >= (uint64_t)wait_ms)) {
			exit_status = final ? CLI_OK : CLI_INTERIM;
			break;
		}
		if (away_since_ms && now_ms - away_since_ms > PATIENCE_MS) {
			exit_status = cli_fail(&err);
			break;
		}
		const char *next = answer_text(row, "next_attempt_at");
		if (*next && !told) {
			cli_warn("%s: no final answer yet (%s); next attempt at %s (Ctrl-C stops waiting, --wait S waits S seconds)",
				 address, answer_text(json_object_get(row, "rollcall"), "reason"), next);
			told = true;
		}
		int64_t left_ms = wait_ms >= 0 ? wait_ms - (int64_t)(now_ms - started_ms) : POLL_MS;
		cli_sleep_ms((int)(left_ms < POLL_MS ? left_ms : POLL_MS));
	}
	if ((exit_status == CLI_OK || exit_status == CLI_INTERIM) && row) {
		if (json) {
			answer_print(row);
		} else {
			print_row(client, address, row);
		}
	}
	json_decref(row);
	free(location);
	return exit_status;
}

int cli_check(const struct cli_command *command, int argc, char **argv)
{
	static const struct option options[] = { { "wait", required_argument, NULL, 'w' },
						 { "json", no_argument, NULL, 'j' },
						 { "url", required_argument, NULL, 'u' },
						 { "data", required_argument, NULL, 'd' },
						 { NULL, 0, NULL, 0 } };
	const char *url = NULL, *data = NULL;
	int64_t wait_ms = -1;
	bool json = false;
	struct client client;
	struct rc_error err;
	char *end;
	int letter;

	while ((letter = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (letter) {
		case 'w': {
			double seconds = strtod(optarg, &end);
			if (end == optarg || *end || !(seconds >= 0 && seconds <= 1e6))
				return cli_misuse(command, "--wait takes seconds, from 0 to 1000000, not \"%s\".", optarg);
			wait_ms = (int64_t)(seconds * 1000);
			break;
		}
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
	if (optind == argc)
		return cli_misuse(command, "name an address to check.");
	if (client_init(&client, url, data, &err) != RC_OK)
		return cli_fail(&err);
	cli_catch_interrupt();
	int exit_status = CLI_OK;
	for (int i = optind; i < argc && exit_status != CLI_INTERRUPTED && exit_status != CLI_NO_SERVER; i++) {
		if (i > optind && !json)
			putchar('\n');
		int one = check_one(&client, argv[i], wait_ms, json);
		exit_status = one > exit_status ? one : exit_status;
	}
	client_done(&client);
	return exit_status;
}
