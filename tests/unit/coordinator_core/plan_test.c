/* coordinator/core/plan.h: groups, lanes and samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/plan.h"

struct mx {
	uint32_t preference;
	const char *host, *address;
};

/* Static storage: one resolution at a time. */
static const Rollcall__Resolution *resolution(Rollcall__ResolutionState state, const struct mx *mx,
					      size_t n)
{
	static Rollcall__Resolution r;
	static Rollcall__MxHost hosts[8];
	static Rollcall__MxHost *list[8];
	static char *addresses[8];

	rollcall__resolution__init(&r);
	r.state = state;
	r.domain = (char *)(uintptr_t) "example.test";
	for (size_t i = 0; i < n; i++) {
		rollcall__mx_host__init(&hosts[i]);
		hosts[i].preference = mx[i].preference;
		hosts[i].host = (char *)(uintptr_t)mx[i].host;
		addresses[i] = (char *)(uintptr_t)mx[i].address;
		hosts[i].n_addresses = mx[i].address ? 1 : 0;
		hosts[i].addresses = &addresses[i];
		list[i] = &hosts[i];
	}
	r.n_mx = n;
	r.mx = list;
	return &r;
}

static void a_group_is_whose_hosts_they_are(void **state)
{
	const struct mx two[] = { { 20, "backup.elsewhere.test", "192.0.2.9" },
				  { 10, "mx1.mail.hoster.test", "192.0.2.1" } };
	const struct mx equal[] = { { 10, "b.second.test", NULL }, { 10, "a.first.test", NULL } };
	const struct mx implicit[] = { { 0, "example.test", "192.0.2.7" } };
	const struct rc_provider provider = { .name = "gmail" };
	char group[PLAN_GROUP_MAX];

	(void)state;
	plan_mx_group(NULL, resolution(ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX, two, 2), group);
	assert_string_equal(group, "hoster.test");
	/* The order of a DNS answer does not matter. */
	plan_mx_group(NULL, resolution(ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX, equal, 2), group);
	assert_string_equal(group, "first.test");
	plan_mx_group(
	    NULL, resolution(ROLLCALL__RESOLUTION_STATE__RESOLUTION_IMPLICIT, implicit, 1), group);
	assert_string_equal(group, "ip:192.0.2.7");
	plan_mx_group(NULL, resolution(ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX, NULL, 0), group);
	assert_string_equal(group, "example.test");
	plan_mx_group(&provider, resolution(ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX, two, 2),
		      group);
	assert_string_equal(group, "gmail");
}

static void the_most_preferred_host_decides_on_the_family(void **state)
{
	static const struct {
		struct mx mx[2];
		unsigned families;
	} cases[] = {
		{ { { 10, "a.test", "192.0.2.1" }, { 20, "b.test", "2001:db8::1" } }, PLAN_V4 },
		{ { { 20, "a.test", "192.0.2.1" }, { 10, "b.test", "2001:db8::1" } }, PLAN_V6 },
		/* not known of the best: the next */
		{ { { 10, "a.test", NULL }, { 20, "b.test", "2001:db8::1" } }, PLAN_V6 },
		{ { { 10, "a.test", NULL }, { 20, "b.test", NULL } }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(plan_families(resolution(ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX,
							  cases[i].mx, 2)),
				 cases[i].families);
}

static void of_a_lane_that_leaves_only_its_groups_move(void **state)
{
	static const uint32_t five[] = { 0, 3, 4, 8, 15 }, four[] = { 0, 3, 8, 15 },
			      turned[] = { 15, 8, 4, 3, 0 };
	unsigned share[16] = { 0 };

	(void)state;
	for (int i = 0; i < 5000; i++) {
		char group[32];
		uint32_t before, after;

		snprintf(group, sizeof(group), "group%d.test", i);
		before = plan_lane(group, 0, five, 5);
		after = plan_lane(group, 0, four, 4);
		assert_int_equal(before, plan_lane(group, 0, turned, 5));
		share[before]++;
		if (before != 4)
			assert_int_equal(before, after);
	}
	for (size_t i = 0; i < 5; i++)
		assert_in_range(share[five[i]], 850, 1150);
}

static void slots_have_lanes_of_their_own(void **state)
{
	static const uint32_t lanes[] = { 1, 2, 3, 4 };
	bool seen[5] = { false };

	(void)state;
	for (uint32_t slot = 0; slot < 4; slot++) {
		uint32_t lane = plan_lane("gmail", slot, lanes, 4);

		assert_false(seen[lane]);
		seen[lane] = true;
	}
	assert_int_equal(plan_lane("gmail", 4, lanes, 4), plan_lane("gmail", 0, lanes, 4));
	assert_int_equal(plan_slot("gmail.com", 77, 1), 0);
	assert_int_not_equal(plan_slot("gmail.com", 1, 2), plan_slot("gmail.com", 101, 2));
}

static void a_sample_is_spread_evenly_and_never_empty(void **state)
{
	static const struct {
		uint32_t n, per_mille, count;
	} cases[] = {
		{ 1, 10, 1 },	  { 99, 10, 1 }, { 100, 10, 1 }, { 101, 10, 2 },
		{ 1000, 10, 10 }, { 50, 0, 1 },	 { 5, 1000, 5 }, { 1000000000, 10, 10000000 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint32_t count = plan_sample_count(cases[i].n, cases[i].per_mille);
		uint64_t last = 0;

		assert_int_equal(count, cases[i].count);
		for (uint32_t k = 0; k < count && k < 100; k++) {
			uint64_t uid = plan_sample_uid(500, cases[i].n, count, k);

			assert_in_range(uid, 500, 500 + (uint64_t)cases[i].n - 1);
			assert_true(uid > last);
			last = uid;
		}
		assert_true(plan_sample_uid(500, cases[i].n, count, count - 1) <
			    500 + (uint64_t)cases[i].n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_is_whose_hosts_they_are),
		cmocka_unit_test(the_most_preferred_host_decides_on_the_family),
		cmocka_unit_test(of_a_lane_that_leaves_only_its_groups_move),
		cmocka_unit_test(slots_have_lanes_of_their_own),
		cmocka_unit_test(a_sample_is_spread_evenly_and_never_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
