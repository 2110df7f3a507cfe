/* Rows per second are those of the last half minute, for each job its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/http/rate.h"

static void test_rate(void **state)
{
	struct rate *rate = rate_new();
	uint64_t now = 1000000;

	(void)state;
	assert_non_null(rate);
	assert_true(rate_note(rate, 7, 0, now) < 0); /* one look says nothing */
	assert_true(rate_note(rate, 7, 10, now + 100) < 0);
	assert_int_equal((int)rate_note(rate, 7, 1000, now + 1000), 1000);
	assert_true(rate_note(rate, 8, 5, now + 1000) < 0); /* another job */
	/* A minute at 100 a second, then one at 10: the fast one is forgotten. */
	for (int i = 0; i < 60; i++)
		(void)rate_note(rate, 7, 1000 + i * 100, now += 1000);
	assert_int_equal((int)rate_note(rate, 7, 7000, now += 1000), 100);
	for (int i = 0; i < 60; i++)
		(void)rate_note(rate, 7, 7000 + i * 10, now += 1000);
	assert_int_equal((int)rate_note(rate, 7, 7600, now + 1000), 10);
	/* More jobs than it remembers. */
	for (int64_t job = 100; job < 1000; job++)
		(void)rate_note(rate, job, 1, now += 10);
	assert_true(rate_note(rate, 7, 8000, now) < 0);
	rate_free(rate);
	rate_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rate) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
