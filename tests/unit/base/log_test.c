/* A log line is one line, whatever a peer wrote; and an address is not in it. */
#include "common/base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"

enum { CAUGHT_MAX = 65536 };

static char caught[CAUGHT_MAX];
static int real_stderr, ends[2];

static void catch_begin(void)
{
	assert_int_equal(pipe(ends), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, CAUGHT_MAX) > 0);
	real_stderr = dup(STDERR_FILENO);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
}

/* Everything that was logged since, without its head of time and level. */
static const char *catch_end(void)
{
	ssize_t n;

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(ends[1]);
	n = read(ends[0], caught, sizeof(caught) - 1);
	close(ends[0]);
	caught[n > 0 ? n : 0] = '\0';
	return caught;
}

static void peers_cannot_forge_a_line(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "a\nb", "a\\x0ab" },
		{ "a\r\n2026-01-01T00:00:00.000Z info forged",
		  "a\\x0d\\x0a2026-01-01T00:00:00.000Z info forged" },
		{ "tab\there", "tab\\x09here" },
		{ "\x1b[31mred", "\\x1b[31mred" },
		{ "del\x7f", "del\\x7f" },
		{ "back\\x0a", "back\\x5cx0a" },
		{ "j\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x98\x80",
		  "j\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xff\xfe", "\\xff\\xfe" },
		{ "cut \xc3", "cut \\xc3" },
		{ "cut \xe2\x82", "cut \\xe2\\x82" },
		{ "overlong \xc0\x8a", "overlong \\xc0\\x8a" },
		{ "overlong \xe0\x80\x8a", "overlong \\xe0\\x80\\x8a" },
		{ "surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80" },
		{ "too high \xf4\x90\x80\x80", "too high \\xf4\\x90\\x80\\x80" },
		{ "c1 \xc2\x85", "c1 \\xc2\\x85" },
		{ "separator \xe2\x80\xa8", "separator \\xe2\\x80\\xa8" },
		{ "bidi \xe2\x80\xae", "bidi \\xe2\\x80\\xae" },
	};

	(void)state;
	rc_log_init("prog", RC_LOG_INFO, false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char expected[256];
		const char *line, *tail;

		catch_begin();
		rc_log(RC_LOG_WARN, "reply", "text=%s", cases[i].text);
		line = catch_end();
		snprintf(expected, sizeof(expected), "Z warn prog reply text=%s\n", cases[i].shown);
		tail = line + 23;
		assert_string_equal(tail, expected);
	}
}

static void a_flood_becomes_one_cut_line(void **state)
{
	size_t size = 100000;
	char *text = malloc(size);
	const char *line;

	(void)state;
	assert_non_null(text);
	memset(text, '\n', size - 1);
	text[size - 1] = '\0';
	rc_log_init("prog", RC_LOG_INFO, false);
	catch_begin();
	rc_log(RC_LOG_ERROR, "flood", "text=%s", text);
	line = catch_end();
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_non_null(strstr(line, "\\x0a...\n"));
	assert_true(strlen(line) < 20000);
	free(text);
}

static void levels_are_kept(void **state)
{
	enum rc_log_level level = RC_LOG_INFO;

	(void)state;
	assert_int_equal(rc_log_level_parse("debug", &level), 0);
	assert_int_equal(level, RC_LOG_DEBUG);
	assert_int_equal(rc_log_level_parse("loud", &level), -1);
	assert_int_equal(level, RC_LOG_DEBUG);
	rc_log_init("prog", RC_LOG_WARN, false);
	catch_begin();
	rc_log(RC_LOG_INFO, "quiet", "x=%d", 1);
	rc_log(RC_LOG_WARN, "spoken", "x=%d", 2);
	rc_log_level_set(RC_LOG_INFO);
	rc_log(RC_LOG_INFO, "bare", "%s", "");
	assert_non_null(strstr(catch_end(), "Z warn prog spoken x=2\n"));
	assert_null(strstr(caught, "quiet"));
	assert_non_null(strstr(caught, "Z info prog bare\n"));
}

static void addresses_are_hashed_unless_asked_for(void **state)
{
	char a[RC_LOG_ADDRESS_MAX], b[RC_LOG_ADDRESS_MAX], c[RC_LOG_ADDRESS_MAX];

	(void)state;
	rc_log_init("prog", RC_LOG_INFO, false);
	assert_int_equal(strlen(rc_log_address("ann@example.com", a)), 11);
	assert_int_equal(a[0], '#');
	assert_string_equal(rc_log_address("ann@example.com", b), a);
	assert_string_not_equal(rc_log_address("bob@example.com", c), a);
	rc_log_init("prog", RC_LOG_INFO, true);
	assert_string_equal(rc_log_address("ann@example.com", a), "ann@example.com");
	rc_log_init("prog", RC_LOG_INFO, false);
}

static void times_are_rfc_3339(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1795484617123, "2026-11-24T01:43:37.123Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
		{ INT64_MAX, "0000-01-01T00:00:00.000Z" },
		{ INT64_MIN, "0000-01-01T00:00:00.000Z" },
	};
	char text[RC_TIME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(rc_clock_format(cases[i].ms, text), cases[i].text);
	assert_true(rc_clock_mono_us() / 1000 <= rc_clock_mono_ms());
	assert_true(rc_clock_wall_ms() > 1577836800000);
}

static void random_numbers_stay_below_their_bound(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint32_t n = rc_random_below(7);

		assert_true(n < 7);
		seen |= 1u << n;
		assert_int_equal(rc_random_below(1), 0);
	}
	assert_int_equal(seen, 0x7f);
}

static void an_error_may_quote_itself(void **state)
{
	char large[RC_ERROR_MAX * 2];
	struct rc_error err;

	(void)state;
	assert_int_equal(rc_error_set(&err, RC_INVALID, "line %d", 3), RC_INVALID);
	assert_int_equal(rc_error_set(&err, RC_LIMIT, "file: %s", err.text), RC_LIMIT);
	assert_string_equal(err.text, "file: line 3");
	assert_int_equal(err.status, RC_LIMIT);
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	rc_error_set(&err, RC_INVALID, "%s", large);
	assert_int_equal(strlen(err.text), RC_ERROR_MAX - 1);
	assert_int_equal(rc_error_set(NULL, RC_DENIED, "nobody reads"), RC_DENIED);
	for (int i = RC_OK; i <= RC_BROKEN; i++)
		assert_string_not_equal(rc_status_text((enum rc_status)i), "unknown status");
	assert_string_equal(rc_status_text((enum rc_status)99), "unknown status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_cannot_forge_a_line),
		cmocka_unit_test(a_flood_becomes_one_cut_line),
		cmocka_unit_test(levels_are_kept),
		cmocka_unit_test(addresses_are_hashed_unless_asked_for),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(random_numbers_stay_below_their_bound),
		cmocka_unit_test(an_error_may_quote_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
