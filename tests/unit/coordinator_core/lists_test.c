/* coordinator/core/lists.h, with the shipped data and with files of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/core/lists.h"

static void test_shipped(void **state)
{
	struct lists *lists;
	struct rc_error err;

	(void)state;
	if (lists_load(SOURCE_DIR "/data", &lists, &err))
		fail_msg("%s", err.text);
	assert_true(lists_is_role(lists, "Postmaster", 10));
	assert_true(lists_is_role(lists, "sales+de", 8));
	assert_false(lists_is_role(lists, "salesman", 8));
	assert_false(lists_is_role(lists, "sale", 4));
	assert_false(lists_is_role(lists, "", 0));
	assert_false(lists_is_role(lists, "+x", 2));
	assert_true(lists_is_disposable(lists, "mailinator.com"));
	assert_true(lists_is_disposable(lists, "deep.below.mailinator.com"));
	assert_false(lists_is_disposable(lists, "mymailinator.test"));
	assert_false(lists_is_disposable(lists, "com"));
	assert_false(lists_is_disposable(lists, ""));
	assert_true(lists_is_free(lists, "gmail.com"));
	assert_true(lists_is_free(lists, "yahoo.com"));
	assert_false(lists_is_free(lists, "mail.gmail.com"));
	assert_false(lists_is_disposable(lists, "gmail.com"));
	assert_false(lists_do_not_probe(lists, "example.org", "mx.example.org", "192.0.2.1"));
	assert_true(lists_is_role(lists, "kundenservice", 13));
	assert_true(lists_is_parked(lists, "park-mx.above.com"));
	assert_true(lists_is_parked(lists, "mx1.parklogic.com"));
	assert_false(lists_is_parked(lists, "mx.above.com"));
	assert_false(lists_is_parked(lists, "aspmx.l.google.com"));
	/* by its own list, and as a host below a disposable domain */
	assert_true(lists_is_disposable_mx(lists, "mx.temp-mail.io"));
	assert_true(lists_is_disposable_mx(lists, "mail.mailinator.com"));
	assert_false(lists_is_disposable_mx(lists, "mx.example.org"));
	lists_free(lists);
}

static const char *const leaves[] = { "role",	   "disposable",   "disposable-mx", "free",
				      "parked-mx", "do-not-probe", "popular" };
enum { LEAVES = sizeof(leaves) / sizeof(*leaves) };
static char dir[64];

static void put(const char *leaf, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, leaf);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/lists_test.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int unmake(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = 0; i < LEAVES; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, leaves[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static void test_do_not_probe(void **state)
{
	struct lists *lists;
	struct rc_error err;

	(void)state;
	for (size_t i = 0; i < LEAVES; i++)
		put(leaves[i], "# none\n");
	put("role", "info\n");
	put("do-not-probe",
	    "example.org\n192.0.2.0/25\n198.51.100.7\n2001:db8:1::/48\n::ffff:203.0.113.9\n");
	if (lists_load(dir, &lists, &err))
		fail_msg("%s", err.text);
	assert_true(lists_do_not_probe(lists, "example.org", NULL, NULL));
	assert_true(lists_do_not_probe(lists, "a.example.org", NULL, NULL));
	assert_true(lists_do_not_probe(lists, "other.test", "mx.example.org.", NULL));
	assert_false(lists_do_not_probe(lists, "myexample.org", "mx.test", "192.0.2.128"));
	assert_true(lists_do_not_probe(lists, NULL, NULL, "192.0.2.127"));
	assert_true(lists_do_not_probe(lists, NULL, NULL, "198.51.100.7"));
	assert_false(lists_do_not_probe(lists, NULL, NULL, "198.51.100.8"));
	assert_true(lists_do_not_probe(lists, NULL, NULL, "2001:db8:1:ffff::1"));
	assert_false(lists_do_not_probe(lists, NULL, NULL, "2001:db8:2::1"));
	assert_true(lists_do_not_probe(lists, NULL, NULL, "203.0.113.9"));
	assert_true(lists_do_not_probe(lists, NULL, NULL, "::ffff:192.0.2.1"));
	assert_false(lists_do_not_probe(lists, NULL, NULL, "nonsense"));
	lists_free(lists);
}

static void test_bad_lists(void **state)
{
	static const struct {
		const char *leaf, *text, *error;
	} bad[] = {
		{ "do-not-probe", "ok.test\n300.1.1.1/8\n",
		  "do-not-probe:2: \"300.1.1.1/8\" is no domain" },
		{ "do-not-probe", "192.0.2.0/33\n", "do-not-probe:1:" },
		{ "do-not-probe", "1::2::3\n", "do-not-probe:1:" },
		{ "do-not-probe", "1:2:3:4:5:6:7\n", "do-not-probe:1:" },
		{ "do-not-probe", "1:2:3:4:5:6:7:8:9\n", "do-not-probe:1:" },
		{ "do-not-probe", "Example.org\n", "do-not-probe:1:" },
		{ "disposable", "# c\na.test\na.test\n",
		  "disposable:3: \"a.test\" stands there twice" },
		{ "free", "nodot\n", "free:1: \"nodot\" is no domain" },
		{ "parked-mx", "Park.example\n", "parked-mx:1: \"Park.example\" is no domain" },
		{ "disposable-mx", "mx\n", "disposable-mx:1: \"mx\" is no domain" },
		{ "popular", "a.test\na.test\n", "popular:2: \"a.test\" stands there twice" },
		{ "role", "in fo\n", "role:1: \"in fo\" is no local part" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct lists *lists = NULL;
		struct rc_error err = { 0 };

		for (size_t k = 0; k < LEAVES; k++)
			put(leaves[k], "");
		put(bad[i].leaf, bad[i].text);
		assert_int_equal(lists_load(dir, &lists, &err), RC_INVALID);
		assert_null(lists);
		if (!strstr(err.text, bad[i].error))
			fail_msg("says %s, not %s", err.text, bad[i].error);
	}
	{
		struct lists *lists = NULL;
		struct rc_error err = { 0 };

		assert_int_equal(lists_load("/nonexistent", &lists, &err), RC_NOT_FOUND);
		assert_non_null(strstr(err.text, "/nonexistent"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped),
		cmocka_unit_test_setup_teardown(test_do_not_probe, make, unmake),
		cmocka_unit_test_setup_teardown(test_bad_lists, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
