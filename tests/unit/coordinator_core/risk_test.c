/* coordinator/core/risk.h, with the shipped lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/core/risk.h"

#define DAYS(n) ((int64_t)(n)*86400000)

static struct lists *lists;

static int load(void **state)
{
	struct rc_error err;

	(void)state;
	if (lists_load(SOURCE_DIR "/data", &lists, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int unload(void **state)
{
	(void)state;
	lists_free(lists);
	return 0;
}

static unsigned risk_of(const char *first, const char *second)
{
	Rollcall__MxHost hosts[2], *list[2] = { &hosts[0], &hosts[1] };
	Rollcall__Resolution resolution = ROLLCALL__RESOLUTION__INIT;

	rollcall__mx_host__init(&hosts[0]);
	rollcall__mx_host__init(&hosts[1]);
	hosts[0].host = (char *)(uintptr_t)first;
	hosts[1].host = (char *)(uintptr_t)second;
	resolution.mx = list;
	resolution.n_mx = 2;
	return risk_of_servers(lists, &resolution);
}

static void test_servers(void **state)
{
	(void)state;
	assert_int_equal(risk_of("mx1.example.org", "mx2.example.org"), 0);
	assert_int_equal(risk_of("aspmx.l.google.com", ""), 0);
	assert_int_equal(risk_of("mx1.example.org", "park-mx.above.com"), RISK_PARKED);
	assert_int_equal(risk_of("mx.temp-mail.io", "mx1.example.org"), RISK_DISPOSABLE_MX);
	/* a host below a domain of data/disposable */
	assert_int_equal(risk_of("mail.mailinator.com", "mx1.parklogic.com"),
			 RISK_DISPOSABLE_MX | RISK_PARKED);
}

static void test_age(void **state)
{
	const int64_t now = DAYS(20000), old = now - DAYS(RISK_MATURE_DAYS);

	(void)state;
	assert_true(risk_is_young(lists, "new.example", now, old, now));
	assert_true(risk_is_young(lists, "new.example", 0, old, now));
	assert_true(risk_is_young(lists, "new.example", now - DAYS(RISK_YOUNG_DAYS) + 1, old, now));
	assert_false(risk_is_young(lists, "new.example", now - DAYS(RISK_YOUNG_DAYS), old, now));
	/* an installation that is young itself cannot tell */
	assert_false(risk_is_young(lists, "new.example", now, old + 1, now));
	assert_false(risk_is_young(lists, "new.example", 0, 0, now));
	/* nor is what everybody knows */
	assert_false(risk_is_young(lists, "gmail.com", now, old, now));
	assert_false(risk_is_young(lists, "hotmail.gr", now, old, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_age),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
