/* Where options come from, which source wins, and what is said of a bad one. */
#include "common/base/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { ARGS = 10, PRINTED_MAX = 16384 };

struct config {
	const char *brokers, *secret, *output;
	int64_t port, wait_ms, room;
	double scale;
	bool guard, json;
};

#define AT(member) offsetof(struct config, member)

static const struct rc_option table[] = {
	{ .name = "#Where" },
	{ .name = "brokers",
	  .type = RC_OPTION_STRING,
	  .offset = AT(brokers),
	  .value = "127.0.0.1:9092",
	  .unit = "host:port",
	  .help = "Kafka brokers." },
	{ .name = "port",
	  .type = RC_OPTION_INT,
	  .offset = AT(port),
	  .min = 1,
	  .max = 65535,
	  .value = "25",
	  .help = "The port." },
	{ .name = "#How" },
	{ .name = "start-wait",
	  .type = RC_OPTION_DURATION,
	  .offset = AT(wait_ms),
	  .min = 1000,
	  .max = 3600000,
	  .value = "30s",
	  .reloadable = true,
	  .help = "How long to wait." },
	{ .name = "room",
	  .type = RC_OPTION_SIZE,
	  .offset = AT(room),
	  .max = 1073741824,
	  .value = "64k",
	  .help = "How much." },
	{ .name = "scale",
	  .type = RC_OPTION_DOUBLE,
	  .offset = AT(scale),
	  .min = 0.5,
	  .max = 1000,
	  .value = "1",
	  .help = "Speed." },
	{ .name = "guard",
	  .type = RC_OPTION_BOOL,
	  .offset = AT(guard),
	  .value = "on",
	  .help = "This | that." },
	{ .name = "json,j",
	  .type = RC_OPTION_BOOL,
	  .offset = AT(json),
	  .help = "Machine-readable." },
	{ .name = "output,o",
	  .type = RC_OPTION_STRING,
	  .offset = AT(output),
	  .unit = "FILE",
	  .help = "Where to." },
	{ .name = "api-secret",
	  .type = RC_OPTION_STRING,
	  .offset = AT(secret),
	  .secret = true,
	  .help = "Not to be shown." },
	{ .name = NULL },
};

static char file_name[] = "/tmp/rollcall-options-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(file_name);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file_name);
}

static void file_is(const char *text, size_t len)
{
	FILE *file = fopen(file_name, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* Blanks part the arguments. */
struct run {
	char text[512];
	char *argv[ARGS + 1];
	int argc, rest;
	struct config config;
	struct rc_options *options;
	struct rc_error err;
};

static enum rc_status run(struct run *r, const char *arguments)
{
	char *p;

	memset(r, 0, sizeof(*r));
	snprintf(r->text, sizeof(r->text), "prog %s", arguments);
	for (p = strtok(r->text, " "); p && r->argc < ARGS; p = strtok(NULL, " "))
		r->argv[r->argc++] = p;
	return rc_options_parse(table, "prog", "[options] FILE", r->argc, r->argv, &r->config,
				&r->options, &r->rest, &r->err);
}

static void assert_runs(struct run *r, const char *arguments)
{
	if (run(r, arguments) != RC_OK)
		fail_msg("%s: %s", arguments, r->err.text);
}

static void defaults_fill_what_nobody_said(void **state)
{
	struct run r;

	(void)state;
	assert_runs(&r, "");
	assert_string_equal(r.config.brokers, "127.0.0.1:9092");
	assert_int_equal(r.config.port, 25);
	assert_int_equal(r.config.wait_ms, 30000);
	assert_int_equal(r.config.room, 65536);
	assert_true(r.config.scale > 0.99 && r.config.scale < 1.01);
	assert_true(r.config.guard);
	assert_false(r.config.json);
	assert_null(r.config.output);
	assert_int_equal(r.rest, 1);
	assert_false(rc_options_given(r.options, "port"));
	rc_options_free(r.options);
	rc_options_free(NULL);
}

static void a_flag_beats_a_variable_beats_the_file_beats_the_default(void **state)
{
	static const char text[] =
	    "# a comment\n\n  port = 1 \nbrokers=file:1\nguard = off\napi-secret = a # b\n";
	char arguments[128];
	struct run r;

	(void)state;
	file_is(text, sizeof(text) - 1);
	snprintf(arguments, sizeof(arguments), "--config %s", file_name);
	assert_runs(&r, arguments);
	assert_int_equal(r.config.port, 1);
	assert_string_equal(r.config.brokers, "file:1");
	assert_string_equal(r.config.secret, "a # b");
	assert_false(r.config.guard);
	assert_true(rc_options_given(r.options, "port"));
	assert_false(rc_options_given(r.options, "room"));
	assert_false(rc_options_given(r.options, "no-such"));
	rc_options_free(r.options);

	setenv("ROLLCALL_PORT", "2", 1);
	setenv("ROLLCALL_START_WAIT", "2m", 1);
	assert_runs(&r, arguments);
	assert_int_equal(r.config.port, 2);
	assert_int_equal(r.config.wait_ms, 120000);
	assert_string_equal(r.config.brokers, "file:1");
	rc_options_free(r.options);

	snprintf(arguments, sizeof(arguments), "--port 3 --config=%s", file_name);
	assert_runs(&r, arguments);
	assert_int_equal(r.config.port, 3);
	rc_options_free(r.options);

	setenv("ROLLCALL_PORT", "", 1);
	setenv("ROLLCALL_CONFIG", file_name, 1);
	assert_runs(&r, "");
	assert_int_equal(r.config.port, 1);
	rc_options_free(r.options);
	unsetenv("ROLLCALL_PORT");
	unsetenv("ROLLCALL_START_WAIT");
	unsetenv("ROLLCALL_CONFIG");
}

static void flags_are_written_as_people_write_them(void **state)
{
	static const struct {
		const char *arguments;
		int64_t port;
		bool guard, json;
		const char *output;
		const char *operands[3];
	} cases[] = {
		{ "--port=7 --json", 7, true, true, NULL, { NULL } },
		{ "--port 7 --no-guard", 7, false, false, NULL, { NULL } },
		{ "--guard=off --json=yes", 25, false, true, NULL, { NULL } },
		{ "-j -o out.csv list.csv", 25, true, true, "out.csv", { "list.csv" } },
		{ "verify list.csv -o out.csv --json",
		  25,
		  true,
		  true,
		  "out.csv",
		  { "verify", "list.csv" } },
		{ "--output - -", 25, true, false, "-", { "-" } },
		{ "--json -- --port", 25, true, true, NULL, { "--port" } },
		{ "--port 1 --port 2", 2, true, false, NULL, { NULL } },
		{ "--output=", 25, true, false, "", { NULL } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct run r;
		int n = 0;

		assert_runs(&r, cases[i].arguments);
		assert_int_equal(r.config.port, cases[i].port);
		assert_int_equal(r.config.guard, cases[i].guard);
		assert_int_equal(r.config.json, cases[i].json);
		if (cases[i].output)
			assert_string_equal(r.config.output, cases[i].output);
		for (; cases[i].operands[n]; n++)
			assert_string_equal(r.argv[r.rest + n], cases[i].operands[n]);
		assert_int_equal(r.argc - r.rest, n);
		rc_options_free(r.options);
	}
}

static void bad_flags_are_named_with_what_would_be_right(void **state)
{
	static const struct {
		const char *arguments, *says;
	} cases[] = {
		{ "--brokrs x", "--brokrs is not an option; did you mean --brokers?" },
		{ "--helo x", "--helo is not an option; did you mean --help?" },
		{ "--start x", "--start is not an option; did you mean --start-wait?" },
		{ "--entirely-different",
		  "--entirely-different is not an option; --help lists them" },
		{ "--no-port", "--no-port is not an option" },
		{ "-x", "-x is not an option" },
		{ "-jo", "-jo is not an option" },
		{ "--port", "--port needs a value" },
		{ "--no-guard=on", "--no-guard takes no value" },
		{ "--guard=maybe", "--guard: \"maybe\" is not valid; it must be on or off" },
		{ "--port 0",
		  "--port: \"0\" is not valid; it must be a whole number from 1 to 65535" },
		{ "--port 65536", "from 1 to 65535" },
		{ "--port 1e3", "\"1e3\"" },
		{ "--port 0x10", "\"0x10\"" },
		{ "--port 99999999999999999999", "from 1 to 65535" },
		{ "--port=", "a whole number" },
		{ "--start-wait 10ms", "from 1s to 1h" },
		{ "--start-wait 2h", "from 1s to 1h" },
		{ "--start-wait 5weeks", "a time such as 250ms" },
		{ "--room 2G", "from 0 to 1G" },
		{ "--room 12q", "a size such as" },
		{ "--scale 0.1", "a number from 0.5 to 1000" },
		{ "--scale nan", "a number" },
		{ "--scale 1x", "a number" },
		{ "--config", "--config needs the name of a file" },
		{ "--config /no/such/file", "--config /no/such/file: No such file" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct run r;

		assert_int_equal(run(&r, cases[i].arguments), RC_INVALID);
		assert_null(r.options);
		if (!strstr(r.err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].arguments, r.err.text);
	}
}

static void bad_lines_of_a_file_are_named_by_number(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *says;
	} cases[] = {
		{ "port = 1\nbrokrs = x\n", 20,
		  ":2: \"brokrs\" is not an option; did you mean \"brokers\"?" },
		{ "[section]\n", 10, ":1: \"[section]\" is not a `name = value` line" },
		{ "\n\nport\n", 7, ":3: \"port\" is not a `name = value` line" },
		{ "port = 1\nport = 2\n", 18, ":2: port stands in line 1 already" },
		{ "port = x\n", 9, ":1: port: \"x\" is not valid" },
		{ "po\0rt = x\n", 10, ":1: a NUL" },
		{ "config = other\n", 15, "\"config\" is not an option" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char arguments[128];
		struct run r;

		file_is(cases[i].text, cases[i].len);
		snprintf(arguments, sizeof(arguments), "--config %s", file_name);
		assert_int_equal(run(&r, arguments), RC_INVALID);
		if (!strstr(r.err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].text, r.err.text);
	}
}

static void a_bad_variable_is_named_as_one(void **state)
{
	struct run r;

	(void)state;
	setenv("ROLLCALL_START_WAIT", "soon", 1);
	assert_int_equal(run(&r, ""), RC_INVALID);
	assert_non_null(strstr(r.err.text, "ROLLCALL_START_WAIT: \"soon\" is not valid"));
	unsetenv("ROLLCALL_START_WAIT");
}

static void durations_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} cases[] = {
		{ "0", 0 },
		{ "1", 1000 },
		{ "250ms", 250 },
		{ "330s", 330000 },
		{ "35m", 2100000 },
		{ "12h", 43200000 },
		{ "3d", 259200000 },
		{ "", -1 },
		{ "s", -1 },
		{ "1.5s", -1 },
		{ "-1s", -1 },
		{ "1 s", -1 },
		{ "1S", -1 },
		{ "1sec", -1 },
		{ "9223372036854775807d", -1 },
		{ "99999999999999999999", -1 },
		{ "+1", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t ms = -1;
		enum rc_status status =
		    rc_duration_parse(cases[i].text, strlen(cases[i].text), &ms);

		assert_int_equal(status, cases[i].ms < 0 ? RC_INVALID : RC_OK);
		assert_int_equal(ms, cases[i].ms);
	}
}

/* What `arguments` make the program print on standard output. */
static char *printed(const char *arguments)
{
	static char text[PRINTED_MAX];
	FILE *file = tmpfile();
	int kept = dup(STDOUT_FILENO);
	enum rc_status status;
	struct run r;
	size_t len;

	assert_non_null(file);
	fflush(stdout);
	assert_int_equal(dup2(fileno(file), STDOUT_FILENO), STDOUT_FILENO);
	status = run(&r, arguments);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	assert_int_equal(status, RC_CONFLICT);
	rewind(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	fclose(file);
	return text;
}

static void help_and_docs_say_it_all(void **state)
{
	const char *text;

	(void)state;
	text = printed("--port nonsense --help");
	assert_non_null(strstr(text, "Usage: prog [options] FILE\n"));
	assert_non_null(strstr(text, "\nWhere:\n  --brokers host:port "));
	assert_non_null(strstr(text, "The port. (ROLLCALL_PORT; default 25; 1 to 65535)"));
	assert_non_null(strstr(text, "(ROLLCALL_START_WAIT; default 30s; 1s to 1h)"));
	assert_non_null(strstr(text, "  -o, --output FILE "));
	assert_non_null(strstr(text, "--print-docs"));
	text = printed("--print-docs");
	assert_non_null(strstr(
	    text, "### How\n\n| flag, file | variable | default | value | what it does |\n|---|"));
	assert_non_null(
	    strstr(text, "| `--port` | `ROLLCALL_PORT` | `25` | N, 1 to 65535 | The port. |\n"));
	assert_non_null(strstr(text, "| How long to wait. SIGHUP reads it again. |"));
	assert_non_null(strstr(text, "This \\| that."));
	assert_string_equal(printed("--version"), "prog " ROLLCALL_VERSION "\n");
}

static void a_printed_config_can_be_read_again_and_hides_secrets(void **state)
{
	char arguments[128];
	struct run r;
	char *text;

	(void)state;
	setenv("ROLLCALL_API_SECRET", "hunter2", 1);
	text = printed("--port 99 --start-wait=45s --print-config");
	unsetenv("ROLLCALL_API_SECRET");
	assert_null(strstr(text, "hunter2"));
	assert_non_null(strstr(text, "# from ROLLCALL_API_SECRET\napi-secret = ******\n"));
	assert_non_null(strstr(text, "# from --port\nport = 99\n"));
	assert_non_null(strstr(text, "\nroom = 64k\n"));
	assert_non_null(strstr(text, "# output =\n"));
	file_is(text, strlen(text));
	snprintf(arguments, sizeof(arguments), "--config %s", file_name);
	assert_runs(&r, arguments);
	assert_int_equal(r.config.port, 99);
	assert_int_equal(r.config.wait_ms, 45000);
	rc_options_free(r.options);
}

static void a_bad_secret_is_not_repeated(void **state)
{
	struct config config = { 0 };
	const struct rc_option secret[] = {
		{ .name = "pin",
		  .type = RC_OPTION_INT,
		  .offset = AT(port),
		  .secret = true,
		  .help = "x" },
		{ .name = NULL },
	};
	char *argv[] = { (char *)(uintptr_t) "prog", (char *)(uintptr_t) "--pin=hunter2", NULL };
	struct rc_options *options = NULL;
	struct rc_error err = { 0 };
	int rest;

	(void)state;
	assert_int_equal(
	    rc_options_parse(secret, "prog", NULL, 2, argv, &config, &options, &rest, &err),
	    RC_INVALID);
	assert_null(strstr(err.text, "hunter2"));
	assert_non_null(strstr(err.text, "--pin: the value is not valid"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_fill_what_nobody_said),
		cmocka_unit_test(a_flag_beats_a_variable_beats_the_file_beats_the_default),
		cmocka_unit_test(flags_are_written_as_people_write_them),
		cmocka_unit_test(bad_flags_are_named_with_what_would_be_right),
		cmocka_unit_test(bad_lines_of_a_file_are_named_by_number),
		cmocka_unit_test(a_bad_variable_is_named_as_one),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(help_and_docs_say_it_all),
		cmocka_unit_test(a_printed_config_can_be_read_again_and_hides_secrets),
		cmocka_unit_test(a_bad_secret_is_not_repeated),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
