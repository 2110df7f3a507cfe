/* coordinator/core/history.h: what a verdict rests on survives its packing; how long an earlier one
 * counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/history.h"

enum { DAY = 86400 };

static void test_packing(void **state)
{
	static const struct history all[] = {
		{ 0 },
		{ .control = VERDICT_CONTROL_REFUSED,
		  .control_age_s = 7 * DAY,
		  .control_same_lane = true },
		{ .control = VERDICT_CONTROL_ACCEPTED,
		  .control_age_s = 1,
		  .domain_accepted = true },
		{ .domain_rejects_all = true, .deferred_for = RC_REASON_NOT_PROBED },
		{ .earlier = RC_REASON_MAILBOX_ACCEPTED, .closed = true },
		{ .domain_doubted = true },
		{ .domain_witnessed = true },
		{ .control = VERDICT_CONTROL_REFUSED,
		  .control_age_s = 4194303,
		  .control_same_lane = true,
		  .domain_accepted = true,
		  .domain_rejects_all = true,
		  .deferred_for = (enum rc_reason)(RC_REASON_COUNT - 1),
		  .earlier = (enum rc_reason)(RC_REASON_COUNT - 1),
		  .closed = true,
		  .domain_doubted = true,
		  .domain_witnessed = true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		int64_t packed = history_pack(&all[i]);
		struct history h;

		assert_true(packed >= 0);
		history_unpack(packed, &h);
		assert_int_equal(h.control, all[i].control);
		assert_int_equal(h.control_age_s, all[i].control_age_s);
		assert_int_equal(h.control_same_lane, all[i].control_same_lane);
		assert_int_equal(h.domain_accepted, all[i].domain_accepted);
		assert_int_equal(h.domain_rejects_all, all[i].domain_rejects_all);
		assert_int_equal(h.deferred_for, all[i].deferred_for);
		assert_int_equal(h.earlier, all[i].earlier);
		assert_int_equal(h.closed, all[i].closed);
		assert_int_equal(h.domain_doubted, all[i].domain_doubted);
		assert_int_equal(h.domain_witnessed, all[i].domain_witnessed);
		assert_int_equal(history_pack(&h), packed);
	}
}

/* Whatever stands in the database, nothing but reasons and states comes out. */
static void test_rubbish(void **state)
{
	struct history h;

	(void)state;
	for (int bit = 0; bit < 63; bit++) {
		history_unpack(INT64_MAX ^ (INT64_C(1) << bit), &h);
		assert_true(h.deferred_for < RC_REASON_COUNT && h.earlier < RC_REASON_COUNT);
		assert_true(h.control != VERDICT_CONTROL_UNDECIDED);
	}
	h = (struct history){ .control = VERDICT_CONTROL_REFUSED, .control_age_s = UINT32_MAX };
	history_unpack(history_pack(&h), &h);
	assert_int_equal(h.control_age_s, 4194303); /* older than any that counts */
	assert_false(h.control_same_lane);
}

static void test_controls(void **state)
{
	struct history h = { 0 };

	(void)state;
	history_control(&h, VERDICT_CONTROL_REFUSED, 7 * DAY * INT64_C(1000), true);
	assert_int_equal(h.control, VERDICT_CONTROL_REFUSED);
	assert_int_equal(h.control_age_s, 7 * DAY);
	assert_true(h.control_same_lane);
	history_control(&h, VERDICT_CONTROL_REFUSED, 8 * DAY * INT64_C(1000), true);
	assert_int_equal(h.control, VERDICT_CONTROL_UNKNOWN);
	assert_false(h.control_same_lane);
	history_control(&h, VERDICT_CONTROL_ACCEPTED, -5, false);
	assert_int_equal(h.control_age_s, 0);
	history_control(&h, VERDICT_CONTROL_UNDECIDED, 0, true);
	assert_int_equal(h.control, VERDICT_CONTROL_UNKNOWN);
}

static void test_lifetimes(void **state)
{
	(void)state;
	for (int i = 1; i < RC_REASON_COUNT; i++) {
		enum rc_reason reason = (enum rc_reason)i;
		uint32_t life = history_lifetime_s(reason);

		/* What is no verdict never stands for one. */
		if (rc_reason_grade(reason) == RC_GRADE_UNKNOWN)
			assert_int_equal(life, 0);
		if (history_bad(reason))
			assert_true(life > 0 &&
				    life < history_lifetime_s(RC_REASON_MAILBOX_ACCEPTED));
		assert_false(history_good(reason) && history_bad(reason));
	}
	/* Lists and look-ups are asked anew: they are no history of an address. */
	assert_int_equal(history_lifetime_s(RC_REASON_DISPOSABLE_DOMAIN), 0);
	assert_int_equal(history_lifetime_s(RC_REASON_DOMAIN_NOT_FOUND), 0);
	assert_true(history_fresh(RC_REASON_MAILBOX_ACCEPTED, 29 * DAY * INT64_C(1000), INT64_MAX));
	assert_false(
	    history_fresh(RC_REASON_MAILBOX_ACCEPTED, 31 * DAY * INT64_C(1000), INT64_MAX));
	assert_false(history_fresh(RC_REASON_MAILBOX_ACCEPTED, 2 * DAY * INT64_C(1000),
				   DAY * INT64_C(1000)));
	assert_true(history_fresh(RC_REASON_MAILBOX_NOT_FOUND, 2 * DAY * INT64_C(1000), INT64_MAX));
	assert_false(
	    history_fresh(RC_REASON_MAILBOX_NOT_FOUND, 4 * DAY * INT64_C(1000), INT64_MAX));
	assert_false(history_fresh(RC_REASON_GREYLISTED, 0, INT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_packing),
					    cmocka_unit_test(test_rubbish),
					    cmocka_unit_test(test_controls),
					    cmocka_unit_test(test_lifetimes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
