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

static void test_healing(void **state)
{
	static const int64_t hours[] = { 8, 16, 28, 48, 70 };
	const int64_t hour_ms = 3600 * 1000, month_ms = 30 * 24 * hour_ms;
	struct schedule s;

	(void)state;
	schedule_default(&s);
	for (unsigned i = 0; i < sizeof(hours) / sizeof(*hours); i++)
		assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_HEAL, 4 + i, 0, T0, T0 + 1),
				 T0 + hours[i] * hour_ms);
	/* late, or asked to wait: never sooner than in an hour, never sooner than asked */
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_HEAL, 4, 0, T0, T0 + 9 * hour_ms),
			 T0 + 10 * hour_ms);
	assert_int_equal(schedule_due_ms(&s, VERDICT_WAIT_HEAL, 4, 7200, T0, T0 + 9 * hour_ms),
			 T0 + 11 * hour_ms);

	/* a lane that these servers have never answered, or not for a month, is not waited for */
	assert_false(schedule_may_heal(&s, 4, T0, 0, T0 + 1));
	assert_false(schedule_may_heal(&s, 4, T0, T0 - month_ms, T0 + 1000));
	/* one that was well before the row's first attempt, for a day */
	for (unsigned attempt = 4; attempt < 7; attempt++)
		assert_true(schedule_may_heal(&s, attempt, T0, T0 - hour_ms, T0 + 1));
	assert_false(schedule_may_heal(&s, 7, T0, T0 - hour_ms, T0 + 1));
	/* one that was well since, to the end */
	assert_true(schedule_may_heal(&s, 7, T0, T0 + 1, T0 + hour_ms));
	assert_true(schedule_may_heal(&s, 8, T0, T0 + 1, T0 + hour_ms));
	assert_false(schedule_may_heal(&s, 9, T0, T0 + 1, T0 + hour_ms));
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

static void test_greylisters_that_are_known(void **state)
{
	const int64_t first = INT64_C(1800000000000), now = first + 1000;
	struct schedule s;
	struct window w = { 0 };
	unsigned attempt;

	(void)state;
	schedule_default(&s);
	/* nothing known: as the schedule has it */
	assert_int_equal(schedule_greylisted_ms(&s, NULL, 1, 0, first, now, &attempt),
			 first + 330000);
	assert_int_equal(attempt, 1);
	assert_int_equal(schedule_greylisted_ms(&s, &w, 1, 0, first, now, &attempt),
			 first + 330000);
	/* 330 s were in vain: that try is left out, and counted */
	window_refused(&w, 330, now);
	assert_int_equal(schedule_greylisted_ms(&s, &w, 1, 0, first, now, &attempt),
			 first + 2100000);
	assert_int_equal(attempt, 2);
	/* 1,600 s are enough: no need for 2,100, but the server's own word counts */
	window_passed(&w, 1600, now);
	assert_int_equal(schedule_greylisted_ms(&s, &w, 1, 0, first, now, &attempt),
			 first + 1680000);
	assert_int_equal(schedule_greylisted_ms(&s, &w, 1, 1800, first, now, &attempt),
			 now + 1800000);
	/* what was enough for others was in vain: the schedule goes on, whatever the server says */
	assert_int_equal(schedule_greylisted_ms(&s, &w, 2, 300, first, first + 1700000, &attempt),
			 first + 2100000);
	/* never the last one */
	w = (struct window){ 0 };
	window_refused(&w, 80000, now);
	assert_int_equal(schedule_greylisted_ms(&s, &w, 1, 0, first, now, &attempt),
			 first + 12600000);
	assert_int_equal(attempt, 3);
	/* with compressed time, waits are compressed and knowledge is not */
	s.time_scale = 100;
	window_passed(&w, 1600, now);
	assert_int_equal(schedule_greylisted_ms(&s, &w, 1, 0, first, first + 10, &attempt),
			 first + 3300);
}

static void test_jitter_is_later_and_the_same_for_siblings(void **state)
{
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		int64_t due = schedule_jittered_ms(330000, seed, 0);

		assert_int_equal(due, schedule_jittered_ms(330000, seed, 0));
		least = due < least ? due : least;
		most = due > most ? due : most;
	}
	assert_in_range(least, 330000, 331000);
	assert_in_range(most, 345000, 346500);
	assert_int_equal(schedule_jittered_ms(5, 7, 9), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_default),
					    cmocka_unit_test(test_scale),
					    cmocka_unit_test(test_healing),
					    cmocka_unit_test(test_greylisters_that_are_known),
					    cmocka_unit_test(
						test_jitter_is_later_and_the_same_for_siblings),
					    cmocka_unit_test(test_parse) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
