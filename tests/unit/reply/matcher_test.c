/* common/reply/matcher.h against a search octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/matcher.h"

static struct rc_matches found;

static bool was_seen(int word)
{
	return found.seen[word / 64] >> (word % 64) & 1;
}

/* Where the word begins a word of the text, found the slow way. */
static unsigned occurrences(const char *text, size_t len, const char *word, size_t word_len)
{
	unsigned n = 0;

	for (size_t i = 0; i + word_len <= len; i++)
		n += memcmp(text + i, word, word_len) == 0 && (i == 0 || text[i - 1] == ' ');
	return n;
}

/* Short words over two letters overlap and contain each other in every way. */
static void test_against_memcmp(void **state)
{
	uint32_t x = 7;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct rc_matcher *m = rc_matcher_new();
		char text[64];
		unsigned expected = 0;

		assert_non_null(m);
		for (int i = 0; i < 20; i++) {
			char word[6];
			size_t len;

			x = x * 1664525u + 1013904223u;
			len = 1 + (x >> 16) % 5;
			for (size_t k = 0; k < len; k++)
				word[k] = k && k + 1 < len && (x >> (20 + k)) % 5 == 0 ? ' '
					  : (x >> (8 + k)) & 1			       ? 'a'
										       : 'b';
			assert_true(rc_matcher_add(m, word, len) >= 0);
		}
		assert_true(rc_matcher_compile(m));
		for (size_t k = 0; k < sizeof(text); k++) {
			x = x * 1664525u + 1013904223u;
			text[k] = (x >> 24) % 4 == 0 ? ' ' : (x >> 20) & 1 ? 'a' : 'b';
		}
		rc_matcher_scan(m, text, sizeof(text), &found);
		for (size_t i = 0; i < rc_matcher_words(m); i++) {
			size_t len;
			const char *word = rc_matcher_word(m, (int)i, &len);
			unsigned n = occurrences(text, sizeof(text), word, len);

			assert_int_equal(was_seen((int)i), n > 0);
			expected += n;
		}
		assert_int_equal(found.n, expected);
		for (uint32_t i = 0; i < found.n; i++) {
			size_t len;
			const char *word = rc_matcher_word(m, found.match[i].word, &len);

			assert_int_equal(found.match[i].end - found.match[i].start, len);
			assert_memory_equal(text + found.match[i].start, word, len);
			assert_true(i == 0 || found.match[i].start >= found.match[i - 1].start);
		}
		rc_matcher_free(m);
	}
}

static void test_edges(void **state)
{
	struct rc_matcher *m = rc_matcher_new();

	(void)state;
	assert_int_equal(rc_matcher_add(m, "", 0), -1);
	assert_int_equal(rc_matcher_add(m, "abc", 3), 0);
	assert_int_equal(rc_matcher_add(m, "abc", 3), 0);
	assert_int_equal(rc_matcher_add(m, "\xff\x01", 2), 1);
	assert_int_equal(rc_matcher_add(m, "ящик", 8), 2);
	assert_int_equal(rc_matcher_add(m, "不存在", 9), 3);
	assert_true(rc_matcher_compile(m));
	rc_matcher_scan(m, "", 0, &found);
	assert_int_equal(found.n, 0);
	rc_matcher_scan(m, "xx\xff\x01", 4, &found);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.match[0].word, 1);
	/* a word begins behind no letter; Chinese and Japanese have no blanks */
	rc_matcher_scan(m, "xabc 1abc мящик", strlen("xabc 1abc мящик"), &found);
	assert_int_equal(found.n, 0);
	rc_matcher_scan(m, "abcx /abc не ящик用户不存在abc",
			strlen("abcx /abc не ящик用户不存在abc"), &found);
	assert_int_equal(found.n, 5);
	assert_true(found.match[0].first && !found.match[1].first);
	rc_matcher_free(m);
	m = rc_matcher_new();
	assert_true(rc_matcher_compile(m)); /* no words at all */
	rc_matcher_scan(m, "abc", 3, &found);
	assert_int_equal(found.n, 0);
	rc_matcher_free(m);
	rc_matcher_free(NULL);
}

/* A text of nothing but words: repetitions have an end, first occurrences are kept longer. */
static void test_many(void **state)
{
	struct rc_matcher *m = rc_matcher_new();
	static char text[12 * RC_MATCHES_MAX];
	size_t len = 0;

	(void)state;
	assert_true(rc_matcher_add(m, "ab", 2) == 0 && rc_matcher_add(m, "cd", 2) == 1);
	assert_true(rc_matcher_compile(m));
	while (len + 6 < sizeof(text)) {
		memcpy(text + len, "ab ", 3);
		len += 3;
	}
	memcpy(text + len, "cd", 2);
	rc_matcher_scan(m, text, len + 2, &found);
	assert_int_equal(found.n, RC_MATCHES_REPEATED + 1);
	assert_true(was_seen(1));
	rc_matcher_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_memcmp),
					    cmocka_unit_test(test_edges),
					    cmocka_unit_test(test_many) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
