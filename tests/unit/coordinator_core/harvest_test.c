/* coordinator/core/harvest.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/harvest.h"

/* Through store and load each time, as the sink does. */
static bool answer(struct harvest *h, bool refused)
{
	uint8_t stored[HARVEST_STORED];
	struct harvest back;
	bool tripped = harvest_answer(h, refused);

	harvest_store(h, stored);
	memset(&back, 0xff, sizeof(back));
	assert_true(harvest_load(&back, stored, sizeof(stored)));
	assert_int_equal(back.refused, h->refused);
	assert_int_equal(back.filled, h->filled);
	assert_int_equal(back.tripped, h->tripped);
	*h = back;
	return tripped;
}

static void test_run(void **state)
{
	struct harvest h = { 0 };

	(void)state;
	for (int i = 1; i < 25; i++)
		assert_false(answer(&h, true));
	assert_true(answer(&h, true));
	assert_true(h.tripped);
	assert_false(answer(&h, true)); /* tripped once */
	harvest_release(&h);
	assert_false(h.tripped);
	assert_false(answer(&h, true));
}

static void test_run_with_acceptance(void **state)
{
	struct harvest h = { 0 };

	(void)state;
	assert_false(answer(&h, false));
	for (int i = 0; i < 69; i++)
		assert_false(answer(&h, true));
	assert_false(h.tripped);
}

/* Postfix with postgrey refuses whom it does not know at once, and greylists the rest. */
static void test_greylisted_with_unknown_users(void **state)
{
	struct harvest h = { 0 };

	(void)state;
	for (int i = 0; i < 300; i++) {
		if (i % 3 == 0)
			assert_false(answer(&h, true));
		else
			harvest_greylisted(&h);
	}
	assert_false(h.accepted);
	/* who guesses meets the guard all the same */
	for (int i = 1; i < 25; i++)
		assert_false(answer(&h, true));
	assert_true(answer(&h, true));
}

static void test_window(void **state)
{
	struct harvest h = { 0 };
	int n;

	(void)state;
	/* 69 of every 100 refused: never */
	for (int i = 0; i < 1000; i++)
		assert_false(answer(&h, i % 100 >= 31));
	/* the 70th comes when an accepted one leaves the window */
	for (n = 1; !answer(&h, true) && n < 100; n++)
		;
	assert_int_equal(n, 1);
	assert_int_equal(h.refused, 70);
}

static void test_load(void **state)
{
	struct harvest h = { .run = 9 };
	uint8_t bad[HARVEST_STORED] = { 2 };

	(void)state;
	assert_true(harvest_load(&h, NULL, 0));
	assert_int_equal(h.run, 0);
	assert_false(harvest_load(&h, bad, sizeof(bad)));
	bad[0] = 1;
	assert_true(harvest_load(&h, bad, sizeof(bad)));
	assert_false(harvest_load(&h, bad, sizeof(bad) - 1));
	bad[1] = 100;
	assert_false(harvest_load(&h, bad, sizeof(bad)));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_run),
					    cmocka_unit_test(test_run_with_acceptance),
					    cmocka_unit_test(test_greylisted_with_unknown_users),
					    cmocka_unit_test(test_window),
					    cmocka_unit_test(test_load) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
