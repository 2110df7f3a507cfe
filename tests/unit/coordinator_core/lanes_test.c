/* coordinator/core/lanes.h: who gets a lane, table by table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/lanes.h"

enum { NOW = 1000000000 };

static const struct lane_identity us = { .name = "a",
					 .public_address = "192.0.2.1",
					 .bind_address = "10.0.0.1",
					 .helo = "h.test",
					 .mail_from = "verify@h.test" };

static struct lane_lease lease_of(const char *worker, int64_t age_ms)
{
	struct lane_lease lease = { .exists = true,
				    .machine = "m1",
				    .epoch = 7,
				    .granted_at_ms = NOW - age_ms,
				    .confirmed = true };

	snprintf(lease.worker, sizeof(lease.worker), "%s", worker);
	return lease;
}

static struct lane_offer offer_of(const char *worker, uint64_t epoch)
{
	return (struct lane_offer){
		.worker = worker, .machine = "m1", .identity = us, .proved = true, .epoch = epoch
	};
}

static enum lane_decision decide(const struct lane_lease *lease, const struct lane_offer *offer)
{
	char why[LANES_WHY_MAX];
	enum lane_decision decision = lanes_decide(&us, lease, offer, NOW, why);

	/* A refusal always says why. */
	assert_true(decision != LANE_REFUSE || why[0] != '\0');
	return decision;
}

static void a_lane_that_nobody_had_is_granted(void **state)
{
	const struct lane_lease none = { .exists = false };
	struct lane_offer offer = offer_of("w1", 0);
	char why[LANES_WHY_MAX];

	(void)state;
	assert_int_equal(lanes_decide(NULL, &none, &offer, NOW, why), LANE_GRANT);
	offer.proved = false;
	offer.problem = "EADDRNOTAVAIL";
	assert_int_equal(lanes_decide(NULL, &none, &offer, NOW, why), LANE_REFUSE);
	assert_non_null(strstr(why, "EADDRNOTAVAIL"));
}

static void the_holder_renews_and_gets_a_new_epoch_only_after_losing_one(void **state)
{
	struct lane_lease lease = lease_of("w1", 5000);
	struct lane_offer offer = offer_of("w1", 7);

	(void)state;
	assert_int_equal(decide(&lease, &offer), LANE_RENEW);
	/* Its first hellos may have left before the grant came. */
	lease.confirmed = false;
	offer.epoch = 0;
	assert_int_equal(decide(&lease, &offer), LANE_RENEW);
	/* It has worked under 7 and now does not: it dropped what it had. */
	lease.confirmed = true;
	assert_int_equal(decide(&lease, &offer), LANE_GRANT);
	offer.epoch = 6;
	assert_int_equal(decide(&lease, &offer), LANE_GRANT);
}

static void another_worker_waits_45_seconds(void **state)
{
	const struct lane_offer offer = offer_of("w2", 0);
	struct lane_lease lease = lease_of("w1", LANES_REGRANT_MS - 1);

	(void)state;
	assert_int_equal(decide(&lease, &offer), LANE_REFUSE);
	lease = lease_of("w1", LANES_REGRANT_MS);
	assert_int_equal(decide(&lease, &offer), LANE_GRANT);
}

static void the_socket_counts_on_the_same_machine_only(void **state)
{
	struct lane_offer offer = offer_of("w2", 0);
	struct lane_lease lease = lease_of("w1", 100);

	(void)state;
	offer.socket_held = true;
	assert_int_equal(decide(&lease, &offer), LANE_GRANT);
	offer.machine = "m2";
	assert_int_equal(decide(&lease, &offer), LANE_REFUSE);
	/* Machines that say nothing of themselves are not the same one. */
	offer.machine = "";
	lease.machine[0] = '\0';
	assert_int_equal(decide(&lease, &offer), LANE_REFUSE);
}

static void what_the_doctor_finds_unfit_is_not_granted(void **state)
{
	const struct lane_lease none = { .exists = false };
	struct lane_lease lease = lease_of("w1", 100);
	struct lane_offer offer = offer_of("w1", 7);
	char why[LANES_WHY_MAX];

	(void)state;
	offer.unfit = "doctor: no reverse DNS";
	assert_int_equal(lanes_decide(&us, &none, &offer, NOW, why), LANE_REFUSE);
	assert_string_equal(why, "doctor: no reverse DNS");
	/* Who holds it has stopped by itself: another may have it at once. */
	assert_int_equal(decide(&lease, &offer), LANE_HAND_BACK);
	offer.worker = "w2";
	assert_int_equal(decide(&lease, &offer), LANE_REFUSE);
}

/* The leader's clock was set back: that says nothing of how long ago it was. */
static void a_grant_in_the_future_is_a_fresh_one(void **state)
{
	const struct lane_offer offer = offer_of("w2", 0);
	struct lane_lease lease = lease_of("w1", -3600 * 1000);

	(void)state;
	assert_int_equal(decide(&lease, &offer), LANE_REFUSE);
}

static void what_was_handed_back_is_free_at_once(void **state)
{
	struct lane_lease lease = lease_of("w1", 100);
	struct lane_offer offer = offer_of("w1", 7);

	(void)state;
	offer.returned = true;
	assert_int_equal(decide(&lease, &offer), LANE_HAND_BACK);
	/* Nobody hands back what another holds. */
	offer = offer_of("w2", 0);
	offer.returned = true;
	assert_int_equal(decide(&lease, &offer), LANE_REFUSE);
	lease.returned = true;
	offer = offer_of("w2", 0);
	assert_int_equal(decide(&lease, &offer), LANE_GRANT);
	assert_false(lanes_held(&lease, NOW));
}

static void an_identity_never_changes(void **state)
{
	const struct lane_lease none = { .exists = false };
	struct lane_offer offer = offer_of("w1", 0);
	char why[LANES_WHY_MAX];

	(void)state;
	snprintf(offer.identity.helo, sizeof(offer.identity.helo), "other.test");
	assert_int_equal(lanes_decide(&us, &none, &offer, NOW, why), LANE_REFUSE);
	assert_non_null(strstr(why, "other.test"));
	assert_non_null(strstr(why, "h.test"));
	offer.identity = us;
	snprintf(offer.identity.public_address, sizeof(offer.identity.public_address), "192.0.2.9");
	assert_int_equal(decide(&none, &offer), LANE_REFUSE);
	offer.identity = us;
	snprintf(offer.identity.mail_from, sizeof(offer.identity.mail_from), "x@h.test");
	assert_int_equal(decide(&none, &offer), LANE_REFUSE);
	/* The address behind a NAT may. */
	offer.identity = us;
	snprintf(offer.identity.bind_address, sizeof(offer.identity.bind_address), "10.0.0.2");
	assert_int_equal(decide(&none, &offer), LANE_GRANT);
}

static void a_silent_holder_is_not_counted_on(void **state)
{
	struct lane_lease lease = lease_of("w1", LANES_LEASE_MS - 1);

	(void)state;
	assert_true(lanes_held(&lease, NOW));
	lease = lease_of("w1", LANES_LEASE_MS);
	assert_false(lanes_held(&lease, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lane_that_nobody_had_is_granted),
		cmocka_unit_test(the_holder_renews_and_gets_a_new_epoch_only_after_losing_one),
		cmocka_unit_test(another_worker_waits_45_seconds),
		cmocka_unit_test(the_socket_counts_on_the_same_machine_only),
		cmocka_unit_test(what_the_doctor_finds_unfit_is_not_granted),
		cmocka_unit_test(a_grant_in_the_future_is_a_fresh_one),
		cmocka_unit_test(what_was_handed_back_is_free_at_once),
		cmocka_unit_test(an_identity_never_changes),
		cmocka_unit_test(a_silent_holder_is_not_counted_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
