/* Replies in one table, each cut at every boundary: what comes of them must not depend on how they
 * arrived. */
#include "worker/core/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"

static const struct {
	const char *name;
	const char *octets;
	int result;
	unsigned code;
	const char *enhanced, *text;
	size_t left; /* octets of what follows the reply */
} table[] = {
	{ "RFC 5321, 4.2: one line", "250 OK\r\n", 1, 250, "", "OK", 0 },
	{ "RFC 5321, 4.2.1: many lines", "250-a\r\n250-b c\r\n250 d\r\n", 1, 250, "", "a\nb c\nd",
	  0 },
	{ "RFC 5321, 4.2: the code alone", "220\r\n", 1, 220, "", "", 0 },
	{ "the code alone, bare LF", "220\n", 1, 220, "", "", 0 },
	{ "an empty text", "220 \r\n", 1, 220, "", "", 0 },
	{ "empty lines", "250-\r\n250-x\r\n250 \r\n", 1, 250, "", "\nx\n", 0 },
	{ "bare LF ends a line", "550-no\n550 one\n", 1, 550, "", "no\none", 0 },
	{ "CR alone does not", "250 a\rb\r\n", 1, 250, "", "a\rb", 0 },
	{ "two CR before LF", "250 a\r\r\n", 1, 250, "", "a\r", 0 },
	{ "RFC 3463: an enhanced status", "550 5.1.1 No such user\r\n", 1, 550, "5.1.1",
	  "No such user", 0 },
	{ "on each line", "550-5.1.1 No\r\n550 5.1.1 user\r\n", 1, 550, "5.1.1", "No\nuser", 0 },
	{ "on the second line only", "550-Sorry\r\n550 5.7.1 blocked\r\n", 1, 550, "5.7.1",
	  "Sorry\nblocked", 0 },
	{ "two of them: the first", "550-5.1.1 a\r\n550 5.7.1 b\r\n", 1, 550, "5.1.1", "a\n5.7.1 b",
	  0 },
	{ "without text", "250 2.1.5\r\n", 1, 250, "2.1.5", "", 0 },
	{ "three digits", "451 4.7.650 busy\r\n", 1, 451, "4.7.650", "busy", 0 },
	{ "of another class", "550 4.1.1 x\r\n", 1, 550, "", "4.1.1 x", 0 },
	{ "four digits are none", "550 5.1.1111 x\r\n", 1, 550, "", "5.1.1111 x", 0 },
	{ "a colon behind it is none", "550 5.1.1: x\r\n", 1, 550, "", "5.1.1: x", 0 },
	{ "two parts are none", "550 5.1 x\r\n", 1, 550, "", "5.1 x", 0 },
	{ "an IP address is none", "550 5.6.7.8 blocked\r\n", 1, 550, "", "5.6.7.8 blocked", 0 },
	{ "empty parts are none", "550 5..1 x\r\n", 1, 550, "", "5..1 x", 0 },
	{ "a long number is text", "550 5.123456789012345 x\r\n", 1, 550, "", "5.123456789012345 x",
	  0 },
	{ "two blanks", "550 5.1.1  x\r\n", 1, 550, "5.1.1", " x", 0 },
	{ "control octets are kept", "550 a\x1b\x07z\r\n", 1, 550, "", "a\x1b\x07z", 0 },
	{ "octets over 127 are kept", "550 \xe9\xff\r\n", 1, 550, "", "\xe9\xff", 0 },
	{ "what follows is left alone", "250 a\r\n550 b\r\n", 1, 250, "", "a", 7 },
	{ "599", "599 x\r\n", 1, 599, "", "x", 0 },
	{ "a code that changes", "250-a\r\n251 b\r\n", -1, 0, NULL, NULL, 0 },
	{ "below 200", "199 x\r\n", -1, 0, NULL, NULL, 0 },
	{ "above 599", "600 x\r\n", -1, 0, NULL, NULL, 0 },
	{ "two digits", "25 OK\r\n", -1, 0, NULL, NULL, 0 },
	{ "four digits", "2500 OK\r\n", -1, 0, NULL, NULL, 0 },
	{ "letters", "HTTP/1.1 400\r\n", -1, 0, NULL, NULL, 0 },
	{ "an empty line", "\r\n", -1, 0, NULL, NULL, 0 },
	{ "a CR behind the code and no LF", "250\rOK\r\n", -1, 0, NULL, NULL, 0 },
	{ "a NUL", "\0", -1, 0, NULL, NULL, 0 },
	{ "unfinished", "250-a\r\n250-b", 0, 0, NULL, NULL, 0 },
};

static void check(size_t i, struct smtp_reply *r, int result)
{
	assert_int_equal(result, table[i].result);
	if (result != 1)
		return;
	assert_int_equal(r->code, table[i].code);
	assert_string_equal(r->enhanced, table[i].enhanced);
	assert_int_equal(r->text_len, strlen(table[i].text));
	if (r->text_len)
		assert_memory_equal(r->text, table[i].text, r->text_len);
	assert_false(r->cut);
}

static void replies_do_not_depend_on_how_they_arrive(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		size_t len = table[i].octets[0] ? strlen(table[i].octets) : 1;

		for (size_t cut = 0; cut <= len; cut++) {
			struct rc_arena *arena = rc_arena_new(0);
			struct smtp_reply r;
			size_t used = 0, more = 0;
			int result;

			smtp_reply_init(&r, arena);
			result = smtp_reply_parse(&r, table[i].octets, cut, &used);
			if (result == 0) {
				assert_int_equal(used, cut);
				result =
				    smtp_reply_parse(&r, table[i].octets + used, len - used, &more);
			}
			check(i, &r, result);
			if (result == 1)
				assert_int_equal(used + more, len - table[i].left);
			rc_arena_free(arena);
		}
	}
}

static void octet_by_octet_they_are_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		size_t len = table[i].octets[0] ? strlen(table[i].octets) : 1, used;
		struct rc_arena *arena = rc_arena_new(0);
		struct smtp_reply r;
		int result = 0;

		smtp_reply_init(&r, arena);
		for (size_t j = 0; j < len && result == 0; j++)
			result = smtp_reply_parse(&r, table[i].octets + j, 1, &used);
		check(i, &r, result);
		rc_arena_free(arena);
	}
}

static void one_buffer_serves_every_reply(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);
	struct smtp_reply r;
	size_t used, before;

	(void)state;
	smtp_reply_init(&r, arena);
	assert_int_equal(smtp_reply_parse(&r, "220 hello\r\n", 11, &used), 1);
	before = rc_arena_used(arena);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(smtp_reply_parse(&r, "550 5.1.1 nobody\r\n", 18, &used), 1);
		assert_string_equal(r.enhanced, "5.1.1");
		assert_int_equal(r.text_len, 6);
	}
	assert_int_equal(rc_arena_used(arena), before);
	rc_arena_free(arena);
}

static void text_beyond_its_cap_is_cut(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);
	char line[4096];
	struct smtp_reply r;
	size_t used;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "550 ", 4);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	smtp_reply_init(&r, arena);
	assert_int_equal(smtp_reply_parse(&r, line, sizeof(line), &used), 1);
	assert_true(r.cut);
	assert_int_equal(r.text_len, SMTP_REPLY_TEXT_MAX);
	assert_int_equal(smtp_reply_parse(&r, "250 a\r\n", 7, &used), 1);
	assert_false(r.cut);
	assert_int_equal(r.text_len, 1);
	rc_arena_free(arena);
}

static void a_flood_is_an_error_and_takes_no_memory(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);
	char flood[1000];
	struct smtp_reply r;
	size_t used, fed = 0;
	int result;

	(void)state;
	memset(flood, 'x', sizeof(flood));
	smtp_reply_init(&r, arena);
	assert_int_equal(smtp_reply_parse(&r, "220 ", 4, &used), 0);
	while ((result = smtp_reply_parse(&r, flood, sizeof(flood), &used)) == 0)
		fed += used;
	assert_int_equal(result, -1);
	assert_in_range(fed, SMTP_REPLY_OCTETS_MAX - 2 * sizeof(flood), SMTP_REPLY_OCTETS_MAX);
	assert_int_equal(smtp_reply_parse(&r, "250 a\r\n", 7, &used), -1);
	assert_true(rc_arena_used(arena) < 4096);
	smtp_reply_reset(&r);
	assert_int_equal(smtp_reply_parse(&r, "250 a\r\n", 7, &used), 1);
	rc_arena_free(arena);
}

static void a_hundred_lines_and_no_more(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);
	struct smtp_reply r;
	size_t used;

	(void)state;
	smtp_reply_init(&r, arena);
	for (int i = 0; i < SMTP_REPLY_LINES_MAX - 1; i++)
		assert_int_equal(smtp_reply_parse(&r, "250-a\r\n", 7, &used), 0);
	assert_int_equal(smtp_reply_parse(&r, "250 a\r\n", 7, &used), 1);
	for (int i = 0; i < SMTP_REPLY_LINES_MAX - 1; i++)
		assert_int_equal(smtp_reply_parse(&r, "250-a\r\n", 7, &used), 0);
	assert_int_equal(smtp_reply_parse(&r, "250-a\r\n", 7, &used), -1);
	rc_arena_free(arena);
}

static void without_memory_it_says_so(void **state)
{
	struct rc_arena *arena = rc_arena_new(16);
	struct smtp_reply r;
	size_t used;

	(void)state;
	smtp_reply_init(&r, arena);
	assert_int_equal(smtp_reply_parse(&r, "250 a\r\n", 7, &used), -1);
	assert_true(r.no_memory);
	rc_arena_free(arena);
}

static void random_octets_never_do_more_than_fail(void **state)
{
	static const char alphabet[] = "2459550-- \r\n\n.1x\0\xff";
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct rc_arena *arena = rc_arena_new(0);
		struct smtp_reply r;
		char octets[64];
		size_t at = 0;

		smtp_reply_init(&r, arena);
		for (size_t i = 0; i < sizeof(octets); i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			octets[i] = alphabet[(seed >> 33) % (sizeof(alphabet) - 1)];
		}
		while (at < sizeof(octets)) {
			size_t used;
			int result = smtp_reply_parse(&r, octets + at, sizeof(octets) - at, &used);

			assert_true(used <= sizeof(octets) - at);
			if (result < 0)
				break;
			if (result == 1)
				assert_in_range(r.code, 200, 599);
			at += used;
		}
		rc_arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_do_not_depend_on_how_they_arrive),
		cmocka_unit_test(octet_by_octet_they_are_the_same),
		cmocka_unit_test(one_buffer_serves_every_reply),
		cmocka_unit_test(text_beyond_its_cap_is_cut),
		cmocka_unit_test(a_flood_is_an_error_and_takes_no_memory),
		cmocka_unit_test(a_hundred_lines_and_no_more),
		cmocka_unit_test(without_memory_it_says_so),
		cmocka_unit_test(random_octets_never_do_more_than_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
