/* common/reply/matcher.h against a search word by word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/matcher.h"

static unsigned found_n;

static void found(void *ctx, int word)
{
	(void)ctx;
	(void)word;
	found_n++;
}

/* Short words over two letters overlap and contain each other in every way. */
static void test_against_memmem(void **state)
{
	uint32_t x = 7;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct rc_matcher *m = rc_matcher_new();
		char text[64];
		uint64_t seen[1] = { 0 };
		unsigned expected = 0;

		assert_non_null(m);
		for (int i = 0; i < 20; i++) {
			char word[6];
			size_t len;

			x = x * 1664525u + 1013904223u;
			len = 1 + (x >> 16) % 5;
			for (size_t k = 0; k < len; k++)
				word[k] = (x >> (8 + k)) & 1 ? 'a' : 'b';
			assert_true(rc_matcher_add(m, word, len) >= 0);
		}
		assert_true(rc_matcher_compile(m));
		for (size_t k = 0; k < sizeof(text); k++) {
			x = x * 1664525u + 1013904223u;
			text[k] = (x >> 24) % 9 == 0 ? 'c' : (x >> 20) & 1 ? 'a' : 'b';
		}
		found_n = 0;
		rc_matcher_scan(m, text, sizeof(text), seen, found, NULL);
		for (size_t i = 0; i < rc_matcher_words(m); i++) {
			size_t len;
			const char *word = rc_matcher_word(m, (int)i, &len);
			bool there = memmem(text, sizeof(text), word, len) != NULL;

			assert_int_equal(seen[0] >> i & 1, there);
			expected += there;
		}
		assert_int_equal(found_n, expected);
		rc_matcher_free(m);
	}
}

static void test_edges(void **state)
{
	struct rc_matcher *m = rc_matcher_new();
	uint64_t seen[1] = { 0 };

	(void)state;
	assert_int_equal(rc_matcher_add(m, "", 0), -1);
	assert_int_equal(rc_matcher_add(m, "abc", 3), 0);
	assert_int_equal(rc_matcher_add(m, "abc", 3), 0);
	assert_int_equal(rc_matcher_add(m, "\xff\x01", 2), 1);
	assert_true(rc_matcher_compile(m));
	rc_matcher_scan(m, "", 0, seen, found, NULL);
	assert_int_equal(seen[0], 0);
	rc_matcher_scan(m, "xx\xff\x01", 4, seen, found, NULL);
	assert_int_equal(seen[0], 2);
	rc_matcher_free(m);
	m = rc_matcher_new();
	assert_true(rc_matcher_compile(m)); /* no words at all */
	rc_matcher_scan(m, "abc", 3, seen, found, NULL);
	rc_matcher_free(m);
	rc_matcher_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_memmem),
					    cmocka_unit_test(test_edges) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
