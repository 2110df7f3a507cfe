/* Leave to connect under a clock of the test's own. */
#include "worker/core/pacer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

enum { START = 1000000 };

static int waiters[10000];

static bool ask(struct pacer *p, const char *group, const struct pacer_limits *limits,
		uint32_t recipients, int who, uint64_t now)
{
	/* How many a second is a test of its own. */
	struct pacer_limits l = limits ? *limits : (struct pacer_limits){ 0 };
	bool memory_ok, leave;

	l.connections_per_second = l.connections_per_second ? l.connections_per_second : 1000000;
	leave = pacer_ask(p, 1, group, &l, recipients, &waiters[who], now, &memory_ok);

	assert_true(memory_ok);
	return leave;
}

static void two_connections_by_default(void **state)
{
	struct pacer *p = pacer_new(true, 1);

	(void)state;
	assert_true(ask(p, "g", NULL, 1, 0, START));
	assert_true(ask(p, "g", NULL, 1, 1, START));
	assert_false(ask(p, "g", NULL, 1, 2, START));
	assert_false(ask(p, "g", NULL, 1, 3, START));
	assert_true(ask(p, "another", NULL, 1, 4, START));
	assert_null(pacer_pop(p, START));
	assert_int_equal(pacer_deadline(p), UINT64_MAX);
	pacer_release(p, 1, "g", 1, PACER_CLEAR, START + 10);
	assert_ptr_equal(pacer_pop(p, START + 10), &waiters[2]);
	assert_null(pacer_pop(p, START + 10));
	pacer_release(p, 1, "g", 1, PACER_CLEAR, START + 20);
	assert_ptr_equal(pacer_pop(p, START + 20), &waiters[3]);
	pacer_free(p);
}

/* In any minute, whatever comes: no more recipients than the budget says. */
static void no_minute_holds_more_than_thirty(void **state)
{
	struct pacer *p = pacer_new(true, 1);
	uint64_t now = START, given_at[1000];
	int n = 0, in_line = 0;

	(void)state;
	while (n < 300) {
		uint64_t at;

		if (!in_line) {
			if (ask(p, "g", NULL, 1, n, now)) {
				given_at[n++] = now;
				pacer_release(p, 1, "g", 1, PACER_CLEAR, now);
				continue;
			}
			in_line = 1;
		}
		at = pacer_deadline(p);
		assert_true(at != UINT64_MAX && at > now);
		now = at;
		if (pacer_pop(p, now)) {
			in_line = 0;
			given_at[n++] = now;
			pacer_release(p, 1, "g", 1, PACER_CLEAR, now);
		}
	}
	for (int i = 30; i < n; i++)
		assert_true(given_at[i] - given_at[i - 30] >= 60000);
	/* And it is not much slower than that either. */
	assert_true(given_at[n - 1] - given_at[0] <= 300 / 30 * 66000);
	pacer_free(p);
}

static void what_was_not_used_is_given_back(void **state)
{
	struct pacer *p = pacer_new(true, 1);

	(void)state;
	assert_true(ask(p, "g", NULL, 30, 0, START));
	assert_false(ask(p, "g", NULL, 30, 1, START));
	pacer_release(p, 1, "g", 0, PACER_FAILED, START + 5);
	assert_ptr_equal(pacer_pop(p, START + 5), &waiters[1]);
	pacer_free(p);
}

static void a_budget_of_its_own(void **state)
{
	static const struct pacer_limits limits = { .connections = 5,
						    .recipients_per_minute = 1000,
						    .connections_per_minute = 7 };
	struct pacer *p = pacer_new(true, 1);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(ask(p, "g", &limits, 10, i, START));
	assert_false(ask(p, "g", &limits, 10, 5, START));
	for (int i = 0; i < 5; i++)
		pacer_release(p, 1, "g", 10, PACER_CLEAR, START + 1);
	assert_ptr_equal(pacer_pop(p, START + 1), &waiters[5]);
	assert_true(ask(p, "g", &limits, 10, 6, START + 1));
	assert_false(ask(p, "g", &limits, 10, 7, START + 1));
	assert_in_range(pacer_deadline(p), START + 55000, START + 66000);
	assert_null(pacer_pop(p, START + 50000));
	assert_ptr_equal(pacer_pop(p, START + 66000), &waiters[7]);
	pacer_free(p);
}

static void throttling_halves_the_rate_and_clear_sessions_raise_it(void **state)
{
	static const struct pacer_limits limits = { .connections = 8,
						    .recipients_per_minute = 100000 };
	struct pacer *p = pacer_new(true, 1);
	int given = 0;

	(void)state;
	assert_true(ask(p, "g", &limits, 1, 0, START));
	pacer_release(p, 1, "g", 1, PACER_THROTTLED, START);
	while (ask(p, "g", &limits, 1, given, START))
		given++;
	assert_int_equal(given, 4);
	pacer_forget(p, 1, "g", &waiters[4]);
	for (int i = 0; i < 4; i++)
		pacer_release(p, 1, "g", 1, PACER_CLEAR, START);
	for (int i = 0; i < 20; i++) {
		assert_true(ask(p, "g", &limits, 1, 0, START));
		pacer_release(p, 1, "g", 1, PACER_CLEAR, START);
	}
	for (given = 0; ask(p, "g", &limits, 1, given, START);)
		given++;
	assert_int_equal(given, 8);
	pacer_free(p);
}

static void nothing_but_throttling_opens_the_circuit(void **state)
{
	struct pacer *p = pacer_new(true, 1);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pacer_open_ms(p, 1, "g", START), 0);
		assert_true(ask(p, "g", NULL, 1, i, START));
		pacer_release(p, 1, "g", 1, PACER_THROTTLED, START);
	}
	assert_int_equal(pacer_open_ms(p, 1, "g", START), 60000);
	assert_false(ask(p, "g", NULL, 1, 4, START + 1));
	assert_false(ask(p, "g", NULL, 1, 5, START + 1));
	assert_null(pacer_pop(p, START + 59999));
	/* One goes ahead; the other waits for how it ends. */
	assert_ptr_equal(pacer_pop(p, START + 60000), &waiters[4]);
	assert_null(pacer_pop(p, START + 60000));
	pacer_release(p, 1, "g", 1, PACER_THROTTLED, START + 61000);
	assert_int_equal(pacer_open_ms(p, 1, "g", START + 61000), 120000);
	assert_null(pacer_pop(p, START + 180999));
	assert_ptr_equal(pacer_pop(p, START + 181000), &waiters[5]);
	pacer_release(p, 1, "g", 1, PACER_CLEAR, START + 182000);
	assert_int_equal(pacer_open_ms(p, 1, "g", START + 182000), 0);
	assert_true(ask(p, "g", NULL, 1, 6, START + 300000));
	pacer_free(p);
}

static void the_time_scale_shortens_the_circuit_and_no_limit(void **state)
{
	struct pacer *p = pacer_new(true, 60);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(ask(p, "g", NULL, 1, i, START));
		pacer_release(p, 1, "g", 1, PACER_THROTTLED, START);
	}
	assert_int_equal(pacer_open_ms(p, 1, "g", START), 60000);
	assert_int_equal(pacer_open_ms(p, 1, "g", START + 1000), 0);
	pacer_free(p);
}

static void without_pace_there_are_reactions_only(void **state)
{
	struct pacer *p = pacer_new(false, 1);
	int given = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(ask(p, "g", NULL, 100, i, START));
	pacer_release(p, 1, "g", 100, PACER_THROTTLED, START);
	assert_false(ask(p, "g", NULL, 1, 0, START));
	for (int i = 0; i < 999; i++)
		pacer_release(p, 1, "g", 100, PACER_FAILED, START);
	while (pacer_pop(p, START + 120000))
		given++;
	while (ask(p, "g", NULL, 1, given, START + 120000))
		given++;
	assert_in_range(given, 8, 64);
	pacer_free(p);
}

static void who_gives_up_is_not_called(void **state)
{
	struct pacer *p = pacer_new(true, 1);

	(void)state;
	assert_true(ask(p, "g", NULL, 1, 0, START));
	assert_true(ask(p, "g", NULL, 1, 1, START));
	for (int i = 2; i < 6; i++)
		assert_false(ask(p, "g", NULL, 1, i, START));
	pacer_forget(p, 1, "g", &waiters[2]);
	pacer_forget(p, 1, "g", &waiters[4]);
	pacer_forget(p, 1, "g", &waiters[4]);
	pacer_forget(p, 1, "nobody", &waiters[4]);
	pacer_release(p, 1, "g", 1, PACER_CLEAR, START);
	pacer_release(p, 1, "g", 1, PACER_CLEAR, START);
	assert_ptr_equal(pacer_pop(p, START), &waiters[3]);
	assert_ptr_equal(pacer_pop(p, START), &waiters[5]);
	assert_null(pacer_pop(p, START));
	pacer_free(p);
}

/* Many groups, many askers, every one served once and in order within its group. */
static void ten_thousand_groups(void **state)
{
	struct pacer *p = pacer_new(true, 1);
	uint64_t now = START;
	int served = 0;
	char group[32];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		snprintf(group, sizeof(group), "g%d", i % 2500);
		if (ask(p, group, NULL, 20, i, now)) {
			served++;
			waiters[i] = 1;
		} else {
			waiters[i] = 0;
		}
	}
	assert_int_equal(served, 2500);
	for (int i = 0; i < 2500; i++) {
		snprintf(group, sizeof(group), "g%d", i);
		pacer_release(p, 1, group, 20, PACER_CLEAR, now);
	}
	while (served < 10000) {
		int *who;

		assert_true(pacer_deadline(p) != UINT64_MAX);
		now = pacer_deadline(p);
		while ((who = pacer_pop(p, now)) != NULL) {
			assert_int_equal(*who, 0);
			*who = 1;
			served++;
			snprintf(group, sizeof(group), "g%d", (int)(who - waiters) % 2500);
			pacer_release(p, 1, group, 20, PACER_CLEAR, now);
		}
	}
	/* After 10 minutes all of them are forgotten; a sanitizer sees to it that nothing is lost.
	 */
	assert_true(ask(p, "late", NULL, 1, 0, now + 700000));
	pacer_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_connections_by_default),
		cmocka_unit_test(no_minute_holds_more_than_thirty),
		cmocka_unit_test(what_was_not_used_is_given_back),
		cmocka_unit_test(a_budget_of_its_own),
		cmocka_unit_test(throttling_halves_the_rate_and_clear_sessions_raise_it),
		cmocka_unit_test(nothing_but_throttling_opens_the_circuit),
		cmocka_unit_test(the_time_scale_shortens_the_circuit_and_no_limit),
		cmocka_unit_test(without_pace_there_are_reactions_only),
		cmocka_unit_test(who_gives_up_is_not_called),
		cmocka_unit_test(ten_thousand_groups),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
