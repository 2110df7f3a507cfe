/* coordinator/core/dispatch.h: who leaves when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/dispatch.h"

enum { NOW = 1000000 };

static struct dispatch *make(bool no_caps, uint64_t lane_octets)
{
	const struct dispatch_limits limits = { .no_group_caps = no_caps,
						.lane_octets = lane_octets };
	struct dispatch *d = dispatch_new(&limits);

	assert_non_null(d);
	dispatch_lane_open(d, 0, true);
	return d;
}

static bool add_full(struct dispatch *d, uint64_t id, int32_t tenant, int64_t job,
		     enum dispatch_class class, uint32_t cost, const char *group,
		     int64_t urgent_at_ms)
{
	const struct dispatch_shard shard = { .id = id,
					      .job = job,
					      .tenant = tenant,
					      .class = class,
					      .cost = cost,
					      .group = group,
					      .urgent_at_ms = urgent_at_ms };
	bool taken;

	assert_true(dispatch_add(d, &shard, &taken));
	return taken;
}

static bool add(struct dispatch *d, uint64_t id, int64_t job, enum dispatch_class class,
		const char *group)
{
	return add_full(d, id, 1, job, class, 10, group, 0);
}

/* 0: nothing may leave. */
static uint64_t pick(struct dispatch *d)
{
	struct dispatch_shard shard;

	return dispatch_pick(d, 0, NOW, &shard) ? shard.id : 0;
}

static void in_order_and_once(void **state)
{
	struct dispatch *d = make(false, 0);

	(void)state;
	assert_true(add(d, 1, 1, DISPATCH_BULK, "a"));
	assert_true(add(d, 2, 1, DISPATCH_BULK, "b"));
	assert_false(add(d, 2, 1, DISPATCH_BULK, "b"));
	assert_int_equal(dispatch_queued(d, 0, 1, DISPATCH_BULK), 2);
	assert_int_equal(pick(d), 1);
	assert_false(add(d, 1, 1, DISPATCH_BULK, "a")); /* in flight */
	assert_int_equal(pick(d), 2);
	assert_int_equal(pick(d), 0);
	assert_int_equal(dispatch_in_flight(d), 2);
	dispatch_done(d, 1, NOW);
	dispatch_done(d, 99, NOW);
	assert_int_equal(dispatch_in_flight(d), 1);
	assert_true(add(d, 1, 1, DISPATCH_BULK, "a")); /* again, after it came back to the queue */
	dispatch_free(d);
}

static void a_closed_lane_sends_nothing(void **state)
{
	struct dispatch *d = make(false, 0);

	(void)state;
	add(d, 1, 1, DISPATCH_BULK, "a");
	dispatch_lane_open(d, 0, false);
	assert_int_equal(pick(d), 0);
	dispatch_lane_open(d, 0, true);
	assert_int_equal(pick(d), 1);
	dispatch_free(d);
}

static void interactive_goes_first(void **state)
{
	struct dispatch *d = make(false, 0);

	(void)state;
	add(d, 1, 1, DISPATCH_BULK, "a");
	add(d, 2, 1, DISPATCH_RETRY, "b");
	add(d, 3, 2, DISPATCH_INTERACTIVE, "c");
	assert_int_equal(pick(d), 3);
	dispatch_free(d);
}

static void retries_take_half_at_most_while_bulk_waits(void **state)
{
	struct dispatch *d = make(true, 0);
	unsigned retries = 0;

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		add(d, 1000 + i, 1, DISPATCH_RETRY, "a");
		add(d, 2000 + i, 2, DISPATCH_BULK, "a");
	}
	for (int i = 0; i < 100; i++)
		retries += pick(d) < 2000;
	assert_int_equal(retries, 50);
	dispatch_free(d);

	/* Alone they take all. */
	d = make(true, 0);
	for (uint64_t i = 0; i < 50; i++)
		add(d, 1000 + i, 1, DISPATCH_RETRY, "a");
	for (int i = 0; i < 50; i++)
		assert_int_not_equal(pick(d), 0);
	dispatch_free(d);
}

static void a_greylister_that_forgets_soon_goes_before_bulk(void **state)
{
	struct dispatch *d = make(true, 0);

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		add(d, 100 + i, 1, DISPATCH_BULK, "a");
	add_full(d, 1, 1, 1, DISPATCH_RETRY, 10, "a", NOW + 1);
	add_full(d, 2, 1, 1, DISPATCH_RETRY, 10, "a", NOW);
	add_full(d, 3, 1, 1, DISPATCH_RETRY, 10, "a", NOW - 1);
	assert_int_equal(pick(d), 2);
	assert_int_equal(pick(d), 3);
	dispatch_free(d);
}

static void tenants_share_evenly_and_then_their_jobs(void **state)
{
	struct dispatch *d = make(true, 0);
	unsigned of_tenant[3] = { 0 }, of_job[4] = { 0 };

	(void)state;
	/* Tenant 1 has two jobs, one of them ten times as large a shard; tenant 2 has one. */
	for (uint64_t i = 0; i < 200; i++) {
		add_full(d, 1000 + i, 1, 1, DISPATCH_BULK, 10, "a", 0);
		add_full(d, 2000 + i, 1, 2, DISPATCH_BULK, 100, "a", 0);
		add_full(d, 3000 + i, 2, 3, DISPATCH_BULK, 10, "a", 0);
	}
	for (int i = 0; i < 200; i++) {
		struct dispatch_shard shard;

		if (!dispatch_pick(d, 0, NOW, &shard))
			break;
		of_tenant[shard.tenant] += shard.cost;
		of_job[shard.job] += shard.cost;
	}
	assert_in_range(of_tenant[1], of_tenant[2] * 9 / 10, of_tenant[2] * 11 / 10 + 100);
	assert_in_range(of_job[1], of_job[2] * 8 / 10 - 100, of_job[2] * 12 / 10 + 100);
	dispatch_free(d);
}

static void a_small_job_overtakes_a_large_one(void **state)
{
	struct dispatch *d = make(true, 0);
	bool seen = false;

	(void)state;
	for (uint64_t i = 0; i < 200; i++)
		add(d, 1000 + i, 1, DISPATCH_BULK, "a");
	for (int i = 0; i < 100; i++)
		pick(d);
	add(d, 1, 2, DISPATCH_BULK, "a");
	for (int i = 0; i < 2; i++)
		seen = seen || pick(d) == 1;
	assert_true(seen);
	dispatch_free(d);
}

static void an_mx_group_keeps_its_cap_and_others_pass(void **state)
{
	struct dispatch *d = make(false, 0);

	(void)state;
	for (uint64_t i = 1; i <= 5; i++)
		add(d, i, 1, DISPATCH_BULK, "slow.example");
	add(d, 10, 1, DISPATCH_BULK, "other.example");
	dispatch_group_cap(d, "slow.example", 2, 1000);
	assert_int_equal(pick(d), 1);
	assert_int_equal(pick(d), 2);
	assert_int_equal(pick(d), 10);
	assert_int_equal(pick(d), 0);
	dispatch_done(d, 1, NOW);
	assert_int_equal(pick(d), 3);
	dispatch_free(d);
}

static void one_shard_may_always_leave(void **state)
{
	struct dispatch *d = make(false, 0);

	(void)state;
	add_full(d, 1, 1, 1, DISPATCH_BULK, 100, "tiny.example", 0);
	add_full(d, 2, 1, 1, DISPATCH_BULK, 100, "tiny.example", 0);
	dispatch_group_cap(d, "tiny.example", 5, 30);
	assert_int_equal(pick(d), 1);
	assert_int_equal(pick(d), 0);
	dispatch_done(d, 1, NOW);
	assert_int_equal(pick(d), 2);
	dispatch_free(d);
}

static void a_crowded_group_is_not_held_in_memory(void **state)
{
	struct dispatch *d = make(false, 0);
	unsigned taken = 0;

	(void)state;
	for (uint64_t i = 1; i <= 100; i++)
		taken += add(d, i, 1, DISPATCH_BULK, "big.example");
	assert_int_equal(taken, 2 + DISPATCH_GROUP_CROWD);
	assert_true(dispatch_crowded(d, 0, 1, DISPATCH_BULK, "big.example"));
	assert_false(dispatch_crowded(d, 0, 1, DISPATCH_BULK, "small.example"));
	dispatch_free(d);
}

static void a_group_that_asked_for_quiet_gets_it(void **state)
{
	struct dispatch *d = make(true, 0);
	struct dispatch_shard shard;

	(void)state;
	add(d, 1, 1, DISPATCH_BULK, "busy.example");
	add(d, 2, 1, DISPATCH_BULK, "other.example");
	dispatch_hold(d, 0, "busy.example", NOW + 1000);
	assert_int_equal(pick(d), 2);
	assert_int_equal(pick(d), 0);
	assert_true(dispatch_pick(d, 0, NOW + 1000, &shard));
	assert_int_equal(shard.id, 1);
	dispatch_free(d);
}

static void count_ended(void *context, uint32_t lane, const char *group)
{
	assert_int_equal(lane, 0);
	assert_int_equal(group[0], 'g');
	++*(unsigned *)context;
}

/* However many groups are held, they take nobody's place. */
static void what_is_held_is_not_kept_in_memory(void **state)
{
	struct dispatch *d = make(true, 0);
	unsigned ended = 0;
	char group[16];

	(void)state;
	for (uint64_t id = 1; id <= DISPATCH_QUEUE_MAX; id++) {
		snprintf(group, sizeof(group), "g%u.test", (unsigned)id);
		add(d, id, 1, DISPATCH_RETRY, group);
		if (id != 7)
			dispatch_hold(d, 0, group, NOW + 1000);
	}
	assert_true(dispatch_held(d, 0, "g1.test", NOW));
	assert_false(dispatch_held(d, 0, "g7.test", NOW));
	assert_false(dispatch_held(d, 1, "g1.test", NOW));
	assert_false(dispatch_held(d, 0, "g1.test", NOW + 1000));
	assert_int_equal(dispatch_queued(d, 0, 1, DISPATCH_RETRY), DISPATCH_QUEUE_MAX);
	dispatch_forget_held(d, NOW);
	assert_int_equal(dispatch_queued(d, 0, 1, DISPATCH_RETRY), 1);
	assert_int_equal(pick(d), 7);
	/* What is out already is not forgotten. */
	dispatch_hold(d, 0, "g7.test", NOW + 1000);
	dispatch_forget_held(d, NOW);
	assert_int_equal(dispatch_in_flight(d), 1);
	/* One that is not given anew has ended, and is told of once. */
	add(d, 7000, 1, DISPATCH_RETRY, "g1.test");
	assert_int_equal(pick(d), 0);
	dispatch_hold_expire(d, NOW, count_ended, &ended);
	assert_int_equal(ended, 0);
	dispatch_hold_lift(d);
	dispatch_hold(d, 0, "g2.test", NOW + 1000);
	dispatch_hold_expire(d, NOW, count_ended, &ended);
	assert_int_equal(ended, DISPATCH_QUEUE_MAX - 1);
	assert_int_equal(pick(d), 7000);
	dispatch_test(d, 0, "g2.test", NOW + 2000, 5); /* its probation is no hold */
	dispatch_hold_expire(d, NOW + 1000, count_ended, &ended);
	dispatch_hold_expire(d, NOW + 2000, count_ended, &ended);
	assert_int_equal(ended, DISPATCH_QUEUE_MAX);
	dispatch_free(d);
}

/* 0: nothing may leave. */
static uint32_t pick_cost(struct dispatch *d, uint32_t lane, uint64_t *ret_id)
{
	struct dispatch_shard shard = { .id = 0 };

	if (!dispatch_pick(d, lane, NOW, &shard))
		return 0;
	assert_int_equal(dispatch_flying_cost(d, shard.id), shard.cost);
	*ret_id = shard.id;
	return shard.cost;
}

static void add_on(struct dispatch *d, uint32_t lane, uint64_t id, uint32_t cost, const char *group,
		   enum dispatch_class class, bool begun)
{
	const struct dispatch_shard shard = { .id = id,
					      .job = 1,
					      .tenant = 1,
					      .lane = lane,
					      .class = class,
					      .cost = cost,
					      .group = group,
					      .begun = begun };
	bool taken;

	assert_true(dispatch_add(d, &shard, &taken));
	assert_true(taken);
}

static void blocked_at_one_provider_only_and_from_that_lane(void **state)
{
	struct dispatch *d = make(true, 0);
	uint64_t id = 0;

	(void)state;
	dispatch_lane_open(d, 1, true);
	for (uint32_t lane = 0; lane < 2; lane++) {
		add_on(d, lane, 10 + lane, 10, "microsoft365", DISPATCH_BULK, false);
		add_on(d, lane, 20 + lane, 10, "microsoft365", DISPATCH_RETRY, true);
		add_on(d, lane, 30 + lane, 10, "microsoft365", DISPATCH_INTERACTIVE, false);
		add_on(d, lane, 40 + lane, 10, "other.test", DISPATCH_BULK, false);
	}
	dispatch_hold(d, 0, "microsoft365", NOW + 1);
	dispatch_hold_more(d, 0, "microsoft365", NOW - 1); /* not for less */
	assert_int_equal(pick_cost(d, 0, &id), 10);
	assert_int_equal(id, 40);
	assert_int_equal(pick_cost(d, 0, &id), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pick_cost(d, 1, &id), 10);
	/* and when the time is up */
	dispatch_hold_expire(d, NOW + 1, NULL, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pick_cost(d, 0, &id), 10);
	dispatch_free(d);
}

static void on_probation_one_shard_at_a_time_and_a_few_of_it(void **state)
{
	struct dispatch *d = make(true, 0);
	uint64_t id = 0;

	(void)state;
	add_on(d, 0, 1, 100, "once.test", DISPATCH_BULK, false);
	add_on(d, 0, 2, 3, "once.test", DISPATCH_BULK, false);
	add_on(d, 0, 3, 100, "once.test", DISPATCH_BULK, false);
	add_on(d, 0, 4, 100, "other.test", DISPATCH_BULK, false);
	dispatch_test(d, 0, "once.test", NOW + 1000, 5);
	assert_int_equal(pick_cost(d, 0, &id), 5);
	assert_int_equal(id, 1);
	assert_int_equal(pick_cost(d, 0, &id), 100);
	assert_int_equal(id, 4);
	assert_int_equal(pick_cost(d, 0, &id), 0);
	dispatch_done(d, 1, NOW);
	assert_int_equal(dispatch_flying_cost(d, 1), 0);
	assert_int_equal(pick_cost(d, 0, &id), 3);
	dispatch_done(d, 2, NOW);
	/* one that was out before counts as the one */
	dispatch_hold_expire(d, NOW + 1000, NULL, NULL);
	assert_int_equal(pick_cost(d, 0, &id), 100);
	add_on(d, 0, 5, 100, "once.test", DISPATCH_BULK, false);
	dispatch_test(d, 0, "once.test", NOW + 1000, 5);
	assert_int_equal(pick_cost(d, 0, &id), 0);
	dispatch_forget(d, 3);
	assert_int_equal(pick_cost(d, 0, &id), 5);
	dispatch_free(d);
}

static void a_draining_lane_ends_what_has_begun(void **state)
{
	struct dispatch *d = make(true, 0);
	uint64_t id = 0;

	(void)state;
	add_on(d, 0, 1, 10, "a.test", DISPATCH_INTERACTIVE, false);
	add_on(d, 0, 2, 10, "a.test", DISPATCH_BULK, false);
	add_on(d, 0, 3, 10, "a.test", DISPATCH_RETRY,
	       false); /* of rows that were never asked for */
	add_on(d, 0, 4, 10, "a.test", DISPATCH_RETRY, true);
	add_on(d, 0, 5, 10, "a.test", DISPATCH_BULK, true); /* sent, and lost */
	add_on(d, 0, 6, 10, "", DISPATCH_BULK, false);	    /* look-ups */
	dispatch_lane_budget(d, 0, 0);
	for (uint64_t seen = 0; seen != (1 << 4 | 1 << 5 | 1 << 6); seen |= UINT64_C(1) << id)
		assert_int_equal(pick_cost(d, 0, &id), 10);
	assert_int_equal(pick_cost(d, 0, &id), 0);
	dispatch_lane_budget(d, 0, INT64_MAX);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pick_cost(d, 0, &id), 10);
	dispatch_free(d);
}

static void a_warming_lane_never_overruns_its_day(void **state)
{
	struct dispatch *d = make(true, 0);
	uint64_t id = 0;

	(void)state;
	for (uint64_t i = 1; i <= 5; i++)
		add_on(d, 0, i, 40, "a.test", DISPATCH_BULK, false);
	add_on(d, 0, 6, 100, "", DISPATCH_BULK, false);
	dispatch_lane_budget(d, 0, 100);
	assert_int_equal(pick_cost(d, 0, &id), 40);
	assert_int_equal(pick_cost(d, 0, &id), 40);
	assert_int_equal(pick_cost(d, 0, &id), 20); /* the third leaves in part */
	assert_int_equal(id, 3);
	assert_int_equal(pick_cost(d, 0, &id), 100); /* look-ups cost none */
	assert_int_equal(id, 6);
	assert_int_equal(pick_cost(d, 0, &id), 0);
	/* a retry goes, and what it takes is not there for others */
	add_on(d, 0, 7, 30, "a.test", DISPATCH_RETRY, true);
	assert_int_equal(pick_cost(d, 0, &id), 30);
	assert_int_equal(pick_cost(d, 0, &id), 0);
	dispatch_lane_budget(d, 0, 50 - 30);
	assert_int_equal(pick_cost(d, 0, &id), 20);
	assert_int_equal(pick_cost(d, 0, &id), 0);
	dispatch_free(d);
}

static void the_window_and_the_credit_end(void **state)
{
	struct dispatch *d = make(true, 0);
	uint64_t cost = 0;
	uint64_t id = 0;

	(void)state;
	for (int job = 1; job <= 4; job++)
		for (uint64_t i = 0; i < 200; i++)
			add_full(d, ++id, 1, job, DISPATCH_BULK, 100, "a", 0);
	while (pick(d))
		cost += 100;
	assert_int_equal(cost, DISPATCH_WINDOW_MIN);
	dispatch_free(d);

	/* 700 octets a shard and 40 a recipient: two of a hundred fit into 9,000 before the third
	 * finds no room. */
	d = make(true, 9000);
	for (uint64_t i = 1; i <= 10; i++)
		add_full(d, i, 1, 1, DISPATCH_BULK, 100, "a", 0);
	assert_int_equal(pick(d), 1);
	assert_int_equal(pick(d), 2);
	assert_int_equal(pick(d), 0);
	dispatch_free(d);
}

static void the_window_grows_with_the_rate(void **state)
{
	struct dispatch *d = make(true, 0);
	uint64_t id = 0;
	int64_t now = NOW;

	(void)state;
	/* 1,000 recipients a second for ten seconds. */
	for (int second = 0; second < 10; second++, now += 1000)
		for (int i = 0; i < 10; i++) {
			add_full(d, ++id, 1, 1, DISPATCH_BULK, 100, "a", 0);
			assert_int_equal(pick(d), id);
			dispatch_done(d, id, now);
		}
	assert_in_range((uint64_t)dispatch_lane_rate(d, 0), 700, 1600);
	dispatch_free(d);
}

static void what_is_forgotten_is_gone(void **state)
{
	struct dispatch *d = make(true, 0);

	(void)state;
	for (uint64_t i = 1; i <= 6; i++)
		add(d, i, i % 2 ? 1 : 2, DISPATCH_BULK, "a");
	dispatch_forget(d, 1);
	dispatch_forget_job(d, 2);
	assert_int_equal(pick(d), 3);
	assert_int_equal(pick(d), 5);
	assert_int_equal(pick(d), 0);
	dispatch_forget_lane(d, 0);
	assert_int_equal(dispatch_in_flight(d), 0);
	dispatch_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_and_once),
		cmocka_unit_test(a_closed_lane_sends_nothing),
		cmocka_unit_test(interactive_goes_first),
		cmocka_unit_test(retries_take_half_at_most_while_bulk_waits),
		cmocka_unit_test(a_greylister_that_forgets_soon_goes_before_bulk),
		cmocka_unit_test(tenants_share_evenly_and_then_their_jobs),
		cmocka_unit_test(a_small_job_overtakes_a_large_one),
		cmocka_unit_test(an_mx_group_keeps_its_cap_and_others_pass),
		cmocka_unit_test(one_shard_may_always_leave),
		cmocka_unit_test(a_crowded_group_is_not_held_in_memory),
		cmocka_unit_test(a_group_that_asked_for_quiet_gets_it),
		cmocka_unit_test(what_is_held_is_not_kept_in_memory),
		cmocka_unit_test(blocked_at_one_provider_only_and_from_that_lane),
		cmocka_unit_test(on_probation_one_shard_at_a_time_and_a_few_of_it),
		cmocka_unit_test(a_draining_lane_ends_what_has_begun),
		cmocka_unit_test(a_warming_lane_never_overruns_its_day),
		cmocka_unit_test(the_window_and_the_credit_end),
		cmocka_unit_test(the_window_grows_with_the_rate),
		cmocka_unit_test(what_is_forgotten_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
