/* coordinator/core/warmup.h: a new lane's days. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/warmup.h"

static void days_as_written(void **state)
{
	struct warmup w;
	struct rc_error err;
	uint32_t most = 7;

	(void)state;
	assert_int_equal(warmup_parse(" 50, 100 ,100,10000000", &w, &err), RC_OK);
	assert_int_equal(w.days, 4);
	assert_true(warmup_limit(&w, 0, &most));
	assert_int_equal(most, 50);
	assert_true(warmup_limit(&w, 2, &most));
	assert_int_equal(most, 100);
	assert_true(warmup_limit(&w, 3, &most));
	assert_int_equal(most, 10000000);
	/* after the last day, and on none */
	assert_false(warmup_limit(&w, 4, &most));
	assert_false(warmup_limit(&w, -1, &most));
	assert_int_equal(most, 10000000);
}

static void none_is_no_limit(void **state)
{
	static const char *const texts[] = { NULL, "", "  " };
	struct rc_error err;
	uint32_t most;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct warmup w;

		assert_int_equal(warmup_parse(texts[i], &w, &err), RC_OK);
		assert_int_equal(w.days, 0);
		assert_false(warmup_limit(&w, 0, &most));
	}
}

static void refuses_and_says_what(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "50,x", "`x`" },
		{ "0,5", "`0,5`" },
		{ "-5", "`-5`" },
		{ "50,20", "less than the day before" },
		{ "50,", "ends with a comma" },
		{ "50,,60", "`,60`" },
		{ "50;60", "`50;60`" },
		{ "10000001", "`10000001`" },
		{ "99999999999999999999", "`9999" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct warmup w = { .days = 77 };
		struct rc_error err;

		if (warmup_parse(cases[i].text, &w, &err) != RC_INVALID)
			fail_msg("taken: %s", cases[i].text);
		if (!strstr(err.text, cases[i].said))
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_int_equal(w.days, 77);
	}
}

static void ninety_days_at_most(void **state)
{
	char text[4 * (WARMUP_DAYS_MAX + 1)] = "";
	struct warmup w;
	struct rc_error err;

	(void)state;
	for (int i = 0; i < WARMUP_DAYS_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s99", i ? "," : "");
	assert_int_equal(warmup_parse(text, &w, &err), RC_OK);
	assert_int_equal(w.days, WARMUP_DAYS_MAX);
	strcat(text, ",99");
	assert_int_equal(warmup_parse(text, &w, &err), RC_INVALID);
	assert_non_null(strstr(err.text, "90 days"));
}

static void days_are_spans_of_24_hours(void **state)
{
	const int64_t day_ms = 86400000, first_ms = 1700000000123;

	(void)state;
	assert_int_equal(warmup_day(first_ms, first_ms), 0);
	assert_int_equal(warmup_day(first_ms, first_ms + day_ms - 1), 0);
	assert_int_equal(warmup_day(first_ms, first_ms + day_ms), 1);
	assert_int_equal(warmup_day(first_ms, first_ms + 40 * day_ms), 40);
	assert_int_equal(warmup_day(first_ms, first_ms - 5 * day_ms), 0); /* the clock was set */
	assert_int_equal(warmup_day(0, INT64_MAX), 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_as_written),
		cmocka_unit_test(none_is_no_limit),
		cmocka_unit_test(refuses_and_says_what),
		cmocka_unit_test(ninety_days_at_most),
		cmocka_unit_test(days_are_spans_of_24_hours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
