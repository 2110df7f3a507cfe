/* lanes: the parser's table, and proving by bind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/io/lanes.h"

static void takes_every_form(void **state)
{
	struct lanes lanes;
	struct rc_error err;

	(void)state;
	assert_int_equal(
	    lanes_parse(" fra-1=203.0.113.7@127.0.0.2/probe1.example.net\t"
			"six=[2001:DB8:0::7]/probe6.example.net \n v=127.0.0.3/p.example.net",
			NULL, &lanes, &err),
	    RC_OK);
	assert_int_equal(lanes.n, 3);
	assert_string_equal(lanes.lane[0].name, "fra-1");
	assert_string_equal(lanes.lane[0].public_address, "203.0.113.7");
	assert_string_equal(lanes.lane[0].bind_address, "127.0.0.2");
	assert_string_equal(lanes.lane[0].helo, "probe1.example.net");
	assert_string_equal(lanes.lane[0].mail_from, "verify@probe1.example.net");
	assert_int_equal(lanes.lane[0].family, 4);
	assert_string_equal(lanes.lane[1].bind_address, "2001:db8::7");
	assert_int_equal(lanes.lane[1].family, 6);
	assert_string_equal(lanes.lane[2].public_address, "127.0.0.3");
	assert_ptr_equal(lanes_find(&lanes, "six"), &lanes.lane[1]);
	assert_null(lanes_find(&lanes, "seven"));
	lanes_done(&lanes);

	assert_int_equal(lanes_parse("a=127.0.0.2/h.test", "probe@sender.test", &lanes, &err),
			 RC_OK);
	assert_string_equal(lanes.lane[0].mail_from, "probe@sender.test");
	lanes_done(&lanes);
}

static void refuses_and_names_the_piece(void **state)
{
	static const struct {
		const char *text, *mail_from, *named;
	} cases[] = {
		{ "127.0.0.2/h.test", NULL, "127.0.0.2/h.test" },
		{ "=127.0.0.2/h.test", NULL, "=127.0.0.2" },
		{ "a", NULL, "`a`" },
		{ "a=127.0.0.256/h.test", NULL, "127.0.0.256" },
		{ "a=host.test/h.test", NULL, "host.test" },
		{ "a=127.0.0.2@/h.test", NULL, "is no IP" },
		{ "a=2001:db8::1/h.test", NULL, "2001:db8::1" },
		{ "a=[127.0.0.1]/h.test", NULL, "[127.0.0.1]" },
		{ "a=127.0.0.2/", NULL, "HELO" },
		{ "a=127.0.0.2/-bad.test", NULL, "-bad.test" },
		{ "a=127.0.0.2/bad_name.test", NULL, "bad_name.test" },
		{ "a=127.0.0.2/127.0.0.2", NULL, "HELO" },
		{ "a=127.0.0.2/h..test", NULL, "h..test" },
		{ "a=[2001:db8::1]@127.0.0.2/h.test", NULL, "one family" },
		{ "a=192.0.2.1@[::1]/h.test", NULL, "one family" },
		{ "a=127.0.0.2/h.test", "no-at-sign", "ROLLCALL_MAIL_FROM" },
		{ "a=127.0.0.2/h.test", "a@b>c", "ROLLCALL_MAIL_FROM" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lanes lanes;
		struct rc_error err = { 0 };

		if (lanes_parse(cases[i].text, cases[i].mail_from, &lanes, &err) != RC_INVALID)
			fail_msg("taken: %s", cases[i].text);
		if (strstr(err.text, cases[i].named) == NULL ||
		    strstr(err.text, "ROLLCALL_") == NULL)
			fail_msg("%s: `%s` does not name %s", cases[i].text, err.text,
				 cases[i].named);
	}
}

/* One that cannot be is set aside and says why; the others go on. */
static void sets_aside_what_cannot_be(void **state)
{
	static const struct {
		const char *bad, *name, *named;
	} cases[] = {
		{ "a=127.0.0.3/i.test", "", "two lanes are called `a`" },
		{ "b=127.0.0.2/i.test", "b", "lanes `a` and `b` both bind 127.0.0.2" },
		{ "b=192.0.2.1@127.0.0.3/i.test", "b", "both have the public address 192.0.2.1" },
		{ "b=127.0.0.3/no_host", "b", "`no_host` is no host name for HELO" },
		{ "b=[2001:db8::9]@127.0.0.3/i.test", "b", "one family" },
		{ "b=127.0.0.999/i.test", "b", "`127.0.0.999` is no IP address" },
		{ "b!=127.0.0.3/i.test", "", "letters, digits" },
		{ "nonsense", "", "no name before an =" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lanes lanes;
		struct rc_error err;
		char text[300];

		snprintf(text, sizeof(text), "a=192.0.2.1@127.0.0.2/h.test %s c=127.0.0.4/j.test",
			 cases[i].bad);
		assert_int_equal(lanes_parse(text, NULL, &lanes, &err), RC_OK);
		assert_int_equal(lanes.n, 3);
		assert_false(lanes.lane[0].set_aside);
		assert_false(lanes.lane[2].set_aside);
		assert_string_equal(lanes.lane[2].name, "c");
		assert_true(lanes.lane[1].set_aside);
		assert_string_equal(lanes.lane[1].name, cases[i].name);
		if (strstr(lanes.lane[1].problem, cases[i].named) == NULL ||
		    strncmp(lanes.lane[1].problem, "ROLLCALL_LANES: ", 16) != 0)
			fail_msg("%s: `%s`", cases[i].bad, lanes.lane[1].problem);
		assert_false(lane_prove(&lanes.lane[1]));
		assert_false(lanes.lane[1].proved);
		assert_null(lanes_find(&lanes, "b"));
		lanes_done(&lanes);
	}
}

static void proves_by_binding(void **state)
{
	struct lanes lanes, others;
	struct rc_error err;

	(void)state;
	assert_int_equal(
	    lanes_parse("here=127.0.0.77/h.test away=192.0.2.77/h.test", NULL, &lanes, &err),
	    RC_OK);
	assert_int_equal(lanes_parse("here=127.0.0.77/h.test", NULL, &others, &err), RC_OK);
	assert_true(lane_prove(&lanes.lane[0]));
	assert_true(lanes.lane[0].proved);
	assert_true(lanes.lane[0].held >= 0);
	assert_false(lane_prove(&lanes.lane[1]));
	assert_false(lanes.lane[1].proved);
	assert_non_null(strstr(lanes.lane[1].problem, "192.0.2.77"));

	/* The same lane of another process: proved, but the socket is the first one's until that
	 * lets go. */
	lane_prove(&others.lane[0]);
	assert_true(others.lane[0].proved);
	assert_true(others.lane[0].held < 0);
	lane_release(&lanes.lane[0]);
	assert_true(lane_prove(&others.lane[0]));
	assert_true(others.lane[0].held >= 0);
	lanes_done(&others);
	lanes_done(&lanes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_form),
		cmocka_unit_test(refuses_and_names_the_piece),
		cmocka_unit_test(sets_aside_what_cannot_be),
		cmocka_unit_test(proves_by_binding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
