/* What may be sent, and what never. */
#include "worker/core/smtp_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/base/arena.h"

static const struct {
	const char *local;
	size_t len;
	bool ascii, utf8;
} locals[] = {
	{ "ann", 3, true, true },
	{ "first.last", 10, true, true },
	{ "a+b=c/d?e'f`g{h|i}j~k^l_m", 25, true, true },
	{ "a..b", 4, true, true }, /* docomo has them */
	{ ".a.", 3, true, true },
	{ "=cmd", 4, true, true },
	{ "\"a b\"", 5, true, true },
	{ "\"a\\\"b\"", 6, true, true },
	{ "\"\"", 2, true, true },
	{ "m\xc3\xbcller", 7, false, true },
	{ "\"m\xc3\xbc r\"", 7, false, true },
	{ "\xe7\x8e\x8b", 3, false, true },
	{ "\xf0\x9f\x98\x80", 4, false, true },
	{ "", 0, false, false },
	{ "a b", 3, false, false },
	{ "a>b", 3, false, false },
	{ "a@b", 3, false, false },
	{ "a\rb", 3, false, false },
	{ "a\nb", 3, false, false },
	{ "a\0b", 3, false, false },
	{ "\"a\r\n\"", 5, false, false },
	{ "\"a\0\"", 4, false, false },
	{ "\"a\x7f\"", 4, false, false },
	{ "\"", 1, false, false },
	{ "\"a", 2, false, false },
	{ "\"a\"b\"", 5, false, false },
	{ "\"a\\\"", 4, false, false },
	{ "\"a\\\r\"", 5, false, false },
	{ "a\x7f", 2, false, false },
	{ "a\x80", 2, false, false },
	{ "\xc0\xaf", 2, false, false },
	{ "\xe0\x80\xaf", 3, false, false },
	{ "\xed\xa0\x80", 3, false, false },
	{ "\xf4\x90\x80\x80", 4, false, false },
	{ "\xc3", 1, false, false },
	{ "\xff", 1, false, false },
};

static void local_parts_are_legal_or_refused(void **state)
{
	char longest[SMTP_LOCAL_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(locals) / sizeof(*locals); i++) {
		assert_int_equal(smtp_command_local_ok(locals[i].local, locals[i].len, false),
				 locals[i].ascii);
		assert_int_equal(smtp_command_local_ok(locals[i].local, locals[i].len, true),
				 locals[i].utf8);
	}
	memset(longest, 'a', sizeof(longest));
	assert_true(smtp_command_local_ok(longest, SMTP_LOCAL_MAX, false));
	assert_false(smtp_command_local_ok(longest, SMTP_LOCAL_MAX + 1, false));
}

static void no_single_octet_breaks_a_line(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		struct rc_arena *arena = rc_arena_new(0);
		char plain[3] = { 'a', (char)c, 'b' }, quoted[3] = { '"', (char)c, '"' };
		struct smtp_command command;

		smtp_command_init(&command, arena);
		for (int utf8 = 0; utf8 < 2; utf8++) {
			smtp_command_rcpt(&command, plain, sizeof(plain), "d.test", utf8);
			smtp_command_clear(&command);
			smtp_command_rcpt(&command, quoted, sizeof(quoted), "d.test", utf8);
			for (uint32_t i = 0; i + 2 < command.len; i++) {
				assert_int_not_equal(command.data[i], '\r');
				assert_int_not_equal(command.data[i], '\n');
				assert_int_not_equal(command.data[i], '\0');
			}
			smtp_command_clear(&command);
		}
		rc_arena_free(arena);
	}
}

static void a_group_reads_as_the_rfc_has_it(void **state)
{
	static const char want[] = "EHLO probe.example.net\r\nHELO [192.0.2.1]\r\nSTARTTLS\r\n"
				   "MAIL FROM:<verify@probe.example.net>\r\nRCPT "
				   "TO:<ann@d.test>\r\nRCPT TO:<\"a b\"@d.test>\r\n"
				   "RSET\r\nMAIL FROM:<>\r\nMAIL FROM:<v@p.test> SMTPUTF8\r\nRCPT "
				   "TO:<m\xc3\xbc@d.test>\r\nQUIT\r\n";
	struct rc_arena *arena = rc_arena_new(0);
	struct smtp_command c;

	(void)state;
	smtp_command_init(&c, arena);
	smtp_command_ehlo(&c, "probe.example.net");
	smtp_command_helo(&c, "[192.0.2.1]");
	smtp_command_starttls(&c);
	smtp_command_mail(&c, "verify@probe.example.net", false, false);
	smtp_command_rcpt(&c, "ann", 3, "d.test", false);
	smtp_command_rcpt(&c, "\"a b\"", 5, "d.test", false);
	smtp_command_rset(&c);
	smtp_command_mail(&c, "", false, false);
	smtp_command_mail(&c, "v@p.test", true, false);
	smtp_command_rcpt(&c, "m\xc3\xbc", 3, "d.test", true);
	smtp_command_quit(&c);
	assert_false(c.failed);
	assert_int_equal(c.len, sizeof(want) - 1);
	assert_memory_equal(c.data, want, c.len);
	rc_arena_free(arena);
}

static void one_bad_argument_spoils_its_group(void **state)
{
	static const char *const bad[] = { "a b", "a\r\nQUIT", "", "a>b", "a@b" };
	struct rc_arena *arena = rc_arena_new(0);
	struct smtp_command c;

	(void)state;
	smtp_command_init(&c, arena);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		smtp_command_clear(&c);
		smtp_command_ehlo(&c, bad[i]);
		assert_true(c.failed);
		smtp_command_clear(&c);
		smtp_command_rcpt(&c, "ann", 3, bad[i], false);
		assert_true(c.failed);
		smtp_command_quit(&c);
		assert_int_equal(c.len, 0);
	}
	smtp_command_clear(&c);
	smtp_command_mail(&c, "no-at", false, false);
	assert_true(c.failed);
	smtp_command_clear(&c);
	smtp_command_mail(&c, "a@b\r\nc", false, false);
	assert_true(c.failed);
	smtp_command_clear(&c);
	smtp_command_quit(&c);
	assert_false(c.failed);
	rc_arena_free(arena);
}

static void without_memory_nothing_is_half_written(void **state)
{
	struct rc_arena *arena = rc_arena_new(64);
	struct smtp_command c;

	(void)state;
	smtp_command_init(&c, arena);
	smtp_command_ehlo(&c, "probe.example.net");
	assert_true(c.failed);
	assert_int_equal(c.len, 0);
	rc_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_parts_are_legal_or_refused),
		cmocka_unit_test(no_single_octet_breaks_a_line),
		cmocka_unit_test(a_group_reads_as_the_rfc_has_it),
		cmocka_unit_test(one_bad_argument_spoils_its_group),
		cmocka_unit_test(without_memory_nothing_is_half_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
