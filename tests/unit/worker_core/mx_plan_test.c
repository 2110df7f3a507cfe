/* Order, fall-over, return, and the check at every attempt. */
#include "worker/core/mx_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "worker/core/ip.h"

struct set {
	Rollcall__MxHost hosts[16];
	Rollcall__MxHost *list[16];
	char names[16][32];
	char texts[16][4][32];
	char *addresses[16][4];
	size_t n;
};

static void add(struct set *s, uint32_t preference, size_t address_n)
{
	Rollcall__MxHost *h = &s->hosts[s->n];

	rollcall__mx_host__init(h);
	h->preference = preference;
	snprintf(s->names[s->n], sizeof(s->names[0]), "mx%zu.d.test", s->n);
	h->host = s->names[s->n];
	for (size_t i = 0; i < address_n; i++) {
		snprintf(s->texts[s->n][i], sizeof(s->texts[0][0]), "198.51.%u.%u",
			 (unsigned)(100 + s->n) & 255u, (unsigned)(i + 1) & 255u);
		s->addresses[s->n][i] = s->texts[s->n][i];
	}
	h->addresses = s->addresses[s->n];
	h->n_addresses = address_n;
	s->list[s->n] = h;
	s->n++;
}

static void order_is_by_preference_and_by_lot_among_equals(void **state)
{
	unsigned first[3] = { 0 };

	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct rc_arena *arena = rc_arena_new(0);
		struct set s = { .n = 0 };
		struct mx_plan plan;
		struct probe_ip ip;
		const char *host;
		unsigned seen = 0;

		add(&s, 20, 1);
		add(&s, 10, 1);
		add(&s, 10, 1);
		mx_plan_init(&plan, arena, 4, seed, NULL, NULL);
		assert_true(mx_plan_fill(&plan, s.list, s.n, NULL, NULL, false));
		for (int i = 0; i < 3; i++) {
			int which;

			assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_CONNECT);
			which = host[2] - '0';
			if (i == 0)
				first[which]++;
			if (i == 2)
				assert_int_equal(which, 0);
			seen |= 1u << which;
			/* The same one, until it is left. */
			assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_CONNECT);
			assert_int_equal(host[2] - '0', which);
			mx_plan_failed(&plan);
		}
		assert_int_equal(seen, 7);
		assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_EXHAUSTED);
		mx_plan_revive(&plan);
		assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_CONNECT);
		assert_int_equal(host[2] - '0', 0);
		rc_arena_free(arena);
	}
	assert_int_equal(first[0], 0);
	assert_in_range(first[1], 100, 200);
}

static void ten_hosts_and_twenty_addresses(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);
	struct set s = { .n = 0 };
	struct mx_plan plan;
	struct probe_ip ip;
	const char *host;
	int n = 0;

	(void)state;
	for (uint32_t i = 0; i < 16; i++)
		add(&s, 160 - i * 10, 4);
	mx_plan_init(&plan, arena, 4, 1, NULL, NULL);
	assert_true(mx_plan_fill(&plan, s.list, s.n, NULL, NULL, false));
	assert_int_equal(plan.host_n, 10);
	while (mx_plan_next(&plan, &host, &ip) == MX_CONNECT) {
		/* The best ones were added last. */
		assert_in_range(atoi(host + 2), 11, 15);
		mx_plan_failed(&plan);
		n++;
	}
	assert_int_equal(n, 20);
	rc_arena_free(arena);
}

static bool allows(const void *context, const struct probe_ip *ip)
{
	(void)ip;
	return *(const bool *)context;
}

static void the_check_is_made_at_every_attempt(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);
	struct set s = { .n = 0 };
	struct mx_plan plan;
	struct probe_ip ip;
	const char *host;
	bool allowed = true;

	(void)state;
	add(&s, 10, 2);
	mx_plan_init(&plan, arena, 4, 1, allows, &allowed);
	assert_true(mx_plan_fill(&plan, s.list, s.n, NULL, NULL, false));
	assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_CONNECT);
	allowed = false;
	assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_EXHAUSTED);
	assert_int_equal(mx_plan_cause(&plan), ROLLCALL__FAILURE__FAILURE_UNROUTABLE);
	rc_arena_free(arena);
}

static void a_public_address_that_we_withhold_is_no_fault_of_theirs(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);
	struct set s = { .n = 0 };
	struct mx_plan plan;
	struct probe_ip ip;
	const char *host;
	bool allowed = false;

	(void)state;
	add(&s, 10, 1);
	strcpy(s.texts[0][0], "8.8.8.8");
	mx_plan_init(&plan, arena, 4, 1, allows, &allowed);
	assert_true(mx_plan_fill(&plan, s.list, s.n, NULL, NULL, false));
	assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_EXHAUSTED);
	assert_int_equal(mx_plan_cause(&plan), ROLLCALL__FAILURE__FAILURE_UNREACHABLE);
	rc_arena_free(arena);
}

static void a_retry_begins_where_it_was(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct rc_arena *arena = rc_arena_new(0);
		struct set s = { .n = 0 };
		struct mx_plan plan;
		struct probe_ip ip;
		char text[IP_TEXT_MAX];
		const char *host;

		add(&s, 10, 3);
		add(&s, 20, 3);
		mx_plan_init(&plan, arena, 4, seed, NULL, NULL);
		assert_true(mx_plan_fill(&plan, s.list, s.n, "mx1.d.test", "198.51.101.2", true));
		assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_CONNECT);
		assert_string_equal(ip_format(&ip, text), "198.51.101.2");
		assert_string_equal(host, "mx1.d.test");
		mx_plan_failed(&plan);
		assert_int_equal(mx_plan_next(&plan, &host, &ip), MX_CONNECT);
		assert_string_equal(host, "mx0.d.test");
		rc_arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_by_preference_and_by_lot_among_equals),
		cmocka_unit_test(ten_hosts_and_twenty_addresses),
		cmocka_unit_test(the_check_is_made_at_every_attempt),
		cmocka_unit_test(a_public_address_that_we_withhold_is_no_fault_of_theirs),
		cmocka_unit_test(a_retry_begins_where_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
