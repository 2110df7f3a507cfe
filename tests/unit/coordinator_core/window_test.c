/* coordinator/core/window.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/core/window.h"

#define DAY_MS INT64_C(86400000)
static const int64_t now_ms = INT64_C(1800000000000);

static void test_nothing_is_known_at_first(void **state)
{
	struct window w = { 0 };

	(void)state;
	assert_false(window_too_early(&w, 1, now_ms));
	assert_int_equal(window_enough_s(&w, now_ms), 0);
	assert_false(window_by_client(&w, now_ms));
	assert_false(window_too_early(NULL, 1, now_ms));
}

static void test_the_spread_narrows(void **state)
{
	struct window w = { 0 };

	(void)state;
	window_refused(&w, 330, now_ms);
	window_passed(&w, 2100, now_ms);
	assert_true(window_too_early(&w, 330, now_ms));
	assert_false(window_too_early(&w, 331, now_ms));
	assert_int_equal(window_enough_s(&w, now_ms), 2100);
	window_passed(&w, 1600, now_ms);
	window_passed(&w, 3000, now_ms);
	window_refused(&w, 200, now_ms);
	assert_int_equal(window_enough_s(&w, now_ms), 1600);
	assert_int_equal(w.too_early_s, 330);
	assert_int_equal(w.passes, 3);
	assert_int_equal(w.refusals, 2);
}

static void test_a_server_that_changes_is_believed(void **state)
{
	struct window w = { 0 };

	(void)state;
	window_refused(&w, 330, now_ms);
	window_passed(&w, 300, now_ms + 1);
	assert_false(window_too_early(&w, 330, now_ms + 1));
	assert_int_equal(window_enough_s(&w, now_ms + 1), 300);
	/* once or twice it may have been something else, such as a window that had ended */
	window_refused(&w, 330, now_ms + 2);
	window_refused(&w, 12600, now_ms + 2);
	assert_int_equal(window_enough_s(&w, now_ms + 2), 300);
	window_passed(&w, 330, now_ms + 2);
	window_refused(&w, 330, now_ms + 2);
	window_refused(&w, 330, now_ms + 2);
	assert_false(window_too_early(&w, 330, now_ms + 2));
	window_refused(&w, 330, now_ms + 2);
	assert_true(window_too_early(&w, 330, now_ms + 2));
	assert_int_equal(window_enough_s(&w, now_ms + 2), 0);
}

static void test_by_whom_it_knows_us(void **state)
{
	struct window w = { 0 };

	(void)state;
	window_newcomer(&w, false, now_ms);
	assert_true(window_by_client(&w, now_ms));
	window_newcomer(&w, true, now_ms);
	assert_false(window_by_client(&w, now_ms));
}

static void test_old_knowledge_is_forgotten(void **state)
{
	struct window w = { 0 };

	(void)state;
	window_refused(&w, 330, now_ms);
	window_passed(&w, 2100, now_ms);
	window_newcomer(&w, false, now_ms);
	assert_false(window_too_early(&w, 330, now_ms + 60 * DAY_MS));
	assert_int_equal(window_enough_s(&w, now_ms + 60 * DAY_MS), 0);
	assert_false(window_by_client(&w, now_ms + 60 * DAY_MS));
	window_passed(&w, 700, now_ms + 61 * DAY_MS);
	assert_int_equal(window_enough_s(&w, now_ms + 61 * DAY_MS), 700);
	assert_int_equal(w.too_early_s, 0);
	assert_int_equal(w.passes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_known_at_first),
		cmocka_unit_test(test_the_spread_narrows),
		cmocka_unit_test(test_a_server_that_changes_is_believed),
		cmocka_unit_test(test_by_whom_it_knows_us),
		cmocka_unit_test(test_old_knowledge_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
