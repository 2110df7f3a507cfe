/* coordinator/core/standing.h: what a lane's health is called, and how long the fleet stays away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/core/standing.h"

static void names_are_those_of_the_api(void **state)
{
	(void)state;
	assert_string_equal(lane_health_name(LANE_OK), "ok");
	assert_string_equal(lane_health_name(LANE_SLOW), "slow");
	assert_string_equal(lane_health_name(LANE_BLOCKED), "blocked");
	assert_string_equal(lane_health_name(LANE_PROBATION), "probation");
	assert_string_equal(lane_health_name(LANE_GREYLISTED), "greylisted");
	assert_string_equal(lane_health_name((enum lane_health)77), "ok");
	assert_string_equal(lane_state_name(LANE_ACTIVE), "active");
	assert_string_equal(lane_state_name(LANE_WARMING_UP), "warming_up");
	assert_string_equal(lane_state_name(LANE_DRAINING), "draining");
	assert_string_equal(lane_state_name(LANE_UNFIT), "unfit");
	assert_string_equal(lane_state_name(LANE_DEAD), "dead");
}

static void a_block_is_worst_and_greylisting_hardly_counts(void **state)
{
	static const enum lane_health order[] = { LANE_OK, LANE_GREYLISTED, LANE_SLOW,
						  LANE_PROBATION, LANE_BLOCKED };

	(void)state;
	for (size_t a = 0; a < LANE_HEALTHS; a++)
		for (size_t b = 0; b < LANE_HEALTHS; b++)
			assert_int_equal(lane_health_worse(order[a], order[b]), a > b);
}

static void each_block_holds_twice_as_long(void **state)
{
	static const int64_t hours[] = { 1, 2, 4, 8, 12, 12 };

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(standing_block_s(i + 1), hours[i] * 3600);
	assert_int_equal(standing_block_s(UINT32_MAX), 12 * 3600);
	assert_int_equal(standing_block_s(0), 3600);
}

static void three_lanes_or_a_tenth_but_never_one(void **state)
{
	static const struct {
		unsigned blocked, lanes;
		bool pause;
	} cases[] = {
		{ 0, 0, false },  { 0, 10, false }, { 1, 1, false },   { 1, 5, false },
		{ 1, 10, false }, { 2, 2, true },   { 2, 20, true },   { 2, 21, false },
		{ 3, 3, true },	  { 3, 30, true },  { 3, 1000, true }, { 2, 1000, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (standing_pause(cases[i].blocked, cases[i].lanes) != cases[i].pause)
			fail_msg("%u of %u", cases[i].blocked, cases[i].lanes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_api),
		cmocka_unit_test(a_block_is_worst_and_greylisting_hardly_counts),
		cmocka_unit_test(each_block_holds_twice_as_long),
		cmocka_unit_test(three_lanes_or_a_tenth_but_never_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
