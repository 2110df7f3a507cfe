/* coordinator/core/schedule.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/schedule.h"

enum { T0 = 1000000000 };

static void test_default(void **state)
{
	struct schedule s;

	(void)state;
	schedule_default(&s);
	assert_int_equal(schedule_attempts(&s), 4);
	/* from the first attempt, however long an answer took */
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SCHEDULE, 1, 0, T0, T0 + 5000),
			 T0 + 330000);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SCHEDULE, 2, 0, T0, T0 + 400000),
			 T0 + 2100000);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SCHEDULE, 3, 0, T0, T0 + 2200000),
			 T0 + 12600000);
	/* never before the server asked, counted from its answer */
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SCHEDULE, 1, 600, T0, T0 + 5000),
			 T0 + 605000);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SCHEDULE, 1, 60, T0, T0 + 5000),
			 T0 + 330000);
	/* late already: now, not in the past */
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SCHEDULE, 1, 0, T0, T0 + 999000),
			 T0 + 999001);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_AT_ONCE, 1, 600, T0, T0 + 7), T0 + 7);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SOON, 1, 0, T0, T0), T0 + 30000);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_CONFIRM_DOMAIN, 1, 0, T0, T0 + 10),
			 T0 + 600010);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_CONFIRM_REFUSAL, 1, 0, T0, T0 + 10),
			 T0 + 10800010);
}

static void test_scale(void **state)
{
	struct schedule s;
	struct rc_error err;

	(void)state;
	assert_int_equal(schedule_parse("330s,2100s,12600s", 1000, &s, &err), RC_OK);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SCHEDULE, 1, 0, T0, T0 + 5), T0 + 330);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_SCHEDULE, 3, 0, T0, T0 + 5), T0 + 12600);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_CONFIRM_DOMAIN, 1, 0, T0, T0), T0 + 600);
	s.time_scale = 4000000000u;
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_CONFIRM_DOMAIN, 1, 0, T0, T0), T0 + 1);
}

static void test_parse(void **state)
{
	static const char *const bad[] = { "",
					   ",",
					   "5x",
					   "330s,",
					   "330s 2100s",
					   "100s,100s",
					   "200s,100s",
					   "0s",
					   "8d",
					   "-5s",
					   "99999999999s",
					   "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17" };
	struct schedule s = { 0 };
	struct rc_error err;

	(void)state;
	assert_int_equal(schedule_parse("30, 5m,1h , 2d", 1, &s, &err), RC_OK);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.after_s[0], 30);
	assert_int_equal(s.after_s[1], 300);
	assert_int_equal(s.after_s[2], 3600);
	assert_int_equal(s.after_s[3], 172800);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		err.text[0] = '\0';
		if (schedule_parse(bad[i], 1, &s, &err) != RC_INVALID ||
		    !strstr(err.text, "retry schedule"))
			fail_msg("\"%s\" was taken", bad[i]);
	}
	assert_int_equal(s.n, 4);
	assert_int_equal(schedule_parse("30s", 0, &s, &err), RC_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_default),
					    cmocka_unit_test(test_scale),
					    cmocka_unit_test(test_parse) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
