/* coordinator/core/typo.h, and did_you_mean over the shipped lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/lists.h"
#include "coordinator/core/typo.h"

static void test_distances(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned cost;
	} pairs[] = {
		{ "gmail", "gmail", 0 },
		{ "gmial", "gmail", 50 },   /* letters that change places */
		{ "gnail", "gmail", 50 },   /* n lies beside m */
		{ "gmai1", "gmail", 50 },   /* looks alike */
		{ "gmaill", "gmail", 50 },  /* doubled */
		{ "yaho", "yahoo", 50 },    /* lacks its double */
		{ "gmal", "gmail", 100 },   /* a letter lacks */
		{ "gmarl", "gmail", 100 },  /* r is nowhere near i */
		{ "ghmail", "gmail", 100 }, /* one too many */
		{ "mgial", "gmail", 100 },  /* twice */
		{ "abc", "", 300 },
		{ "", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		unsigned cost = typo_distance(pairs[i].a, pairs[i].b, 300);

		if (cost != pairs[i].cost)
			fail_msg("%s to %s costs %u, not %u", pairs[i].a, pairs[i].b, cost,
				 pairs[i].cost);
		assert_int_equal(typo_distance(pairs[i].b, pairs[i].a, 300), pairs[i].cost);
		/* a limit below it says no more than that it is above */
		if (pairs[i].cost > 50)
			assert_true(typo_distance(pairs[i].a, pairs[i].b, 49) > 49);
	}
	assert_true(typo_distance(
			"a", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnop",
			150) > 150);
}

/* What people type, and what they had in mind; NULL: nothing is suggested. */
static void test_did_you_mean(void **state)
{
	static const struct {
		const char *typed, *meant;
	} rows[] = {
		{ "gmial.com", "gmail.com" },
		{ "gamil.com", "gmail.com" },
		{ "gmal.com", "gmail.com" },
		{ "gnail.com", "gmail.com" },
		{ "gmaill.com", "gmail.com" },
		{ "gmail.con", "gmail.com" },
		{ "gmail.co", "gmail.com" },
		{ "gmail.cm", "gmail.com" },
		{ "gmail.om", "gmail.com" },
		{ "gmail.comm", "gmail.com" },
		{ "gmailc.om", "gmail.com" },
		{ "yaho.com", "yahoo.com" },
		{ "yahooo.com", "yahoo.com" },
		{ "yhaoo.com", "yahoo.com" },
		{ "hotmial.com", "hotmail.com" },
		{ "hotmal.com", "hotmail.com" },
		{ "hotnail.con", "hotmail.com" },
		{ "outlok.com", "outlook.com" },
		{ "outloook.com", "outlook.com" },
		{ "iclould.com", "icloud.com" },
		{ "alo.com", "aol.com" },
		{ "aol.con", "aol.com" },
		{ "wbe.de", "web.de" },
		{ "t-onlin.de", "t-online.de" },
		{ "t-onlnie.de", "t-online.de" },
		{ "gmx.ed", "gmx.de" },
		{ "orange.rf", "orange.fr" },
		{ "comcast.ner", "comcast.net" },
		{ "comcast.ne", "comcast.net" },
		{ "btintenet.com", "btinternet.com" },
		/* also where somebody makes money of the slip: it is on the list of disposable ones
		 */
		{ "btinternte.cmo", "btinternet.com" },
		/* popular or free itself, or nothing like it */
		{ "gmail.com", NULL },
		{ "ymail.com", NULL },
		{ "mail.com", NULL },
		{ "gmx.ch", NULL },
		{ "gmx.at", NULL },
		{ "126.com", NULL },
		{ "yahoo.co.uk", NULL },
		{ "mailinator.com", NULL },
		{ "bk.ru", NULL },
		/* somebody's own name: near, but no slip */
		{ "aon.com", NULL },
		{ "ski.com", NULL },
		{ "love.com", NULL },
		{ "wed.de", NULL },
		{ "ne.com", NULL },
		{ "orange.de", NULL },
		{ "orange.es", NULL },
		{ "gmail.example", NULL },
		{ "telekom.de", NULL },
		{ "example.org", NULL },
		{ "mail.gmail.com", NULL },
		{ "comcast.com", NULL },
		{ "onlime.com", NULL },
		{ "bootmail.com", NULL },
		{ "tamil.com", NULL },
		{ "xmail.com", NULL },
		{ "com", NULL },
		{ "", NULL },
	};
	struct lists *lists;
	struct rc_error err;

	(void)state;
	if (lists_load(SOURCE_DIR "/data", &lists, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *meant = lists_did_you_mean(lists, rows[i].typed);

		if (!meant != !rows[i].meant || (meant && strcmp(meant, rows[i].meant) != 0))
			fail_msg("%s: did you mean %s, should be %s", rows[i].typed,
				 meant ? meant : "nothing",
				 rows[i].meant ? rows[i].meant : "nothing");
	}
	lists_free(lists);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distances),
		cmocka_unit_test(test_did_you_mean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
