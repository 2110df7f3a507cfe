/* Arenas and buffers: what they give, where they stop, and that they go on afterwards. */
#include "common/base/arena.h"
#include "common/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void an_arena_gives_zeroed_aligned_memory(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);

	(void)state;
	assert_non_null(arena);
	for (size_t size = 0; size < 5000; size += 7) {
		unsigned char *memory = rc_arena_alloc(arena, size);

		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(memory[i], 0);
		memset(memory, 0xff, size);
	}
	rc_arena_free(arena);
	rc_arena_free(NULL);
}

static void an_arena_keeps_texts_apart(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);
	char *a = rc_arena_strdup(arena, "one"), *b = rc_arena_strndup(arena, "two and more", 3);
	char *c = rc_arena_printf(arena, "%s-%d", "three", 3),
	     *d = rc_arena_strndup(arena, NULL, 0);

	(void)state;
	assert_string_equal(a, "one");
	assert_string_equal(b, "two");
	assert_string_equal(c, "three-3");
	assert_string_equal(d, "");
	rc_arena_free(arena);
}

static void an_arena_stops_at_its_cap_and_stays_usable(void **state)
{
	struct rc_arena *arena = rc_arena_new(256);

	(void)state;
	assert_null(rc_arena_alloc(arena, 257));
	assert_null(rc_arena_alloc(arena, SIZE_MAX));
	assert_null(rc_arena_alloc(arena, SIZE_MAX - 3));
	assert_null(rc_arena_strndup(arena, "", SIZE_MAX));
	assert_non_null(rc_arena_alloc(arena, 200));
	assert_null(rc_arena_alloc(arena, 100));
	assert_null(rc_arena_printf(arena, "%300d", 1));
	assert_non_null(rc_arena_alloc(arena, 32));
	assert_true(rc_arena_used(arena) <= 256);
	rc_arena_reset(arena);
	assert_int_equal(rc_arena_used(arena), 0);
	assert_non_null(rc_arena_alloc(arena, 256));
	rc_arena_free(arena);
}

static void an_arena_begins_anew_after_a_reset(void **state)
{
	struct rc_arena *arena = rc_arena_new(0);

	(void)state;
	rc_arena_reset(arena);
	for (int round = 0; round < 100; round++) {
		assert_non_null(rc_arena_alloc(arena, 200000));
		for (int i = 0; i < 100; i++) {
			char *memory = rc_arena_alloc(arena, 1000);

			assert_int_equal(memory[999], 0);
			memset(memory, 'x', 1000);
		}
		rc_arena_reset(arena);
	}
	rc_arena_free(arena);
}

static void a_buffer_is_a_text_at_any_time(void **state)
{
	struct rc_buf buf;

	(void)state;
	rc_buf_init(&buf, 0);
	assert_null(buf.data);
	rc_buf_addstr(&buf, "");
	assert_string_equal(buf.data, "");
	rc_buf_addstr(&buf, "ab");
	rc_buf_add(&buf, "c\0d", 3);
	rc_buf_printf(&buf, "%d", 42);
	assert_int_equal(buf.len, 7);
	assert_memory_equal(buf.data, "abc\0d42", 8);
	rc_buf_consume(&buf, 4);
	assert_string_equal(buf.data, "d42");
	rc_buf_consume(&buf, 0);
	rc_buf_consume(&buf, 99);
	assert_int_equal(buf.len, 0);
	assert_string_equal(buf.data, "");
	rc_buf_done(&buf);
	assert_null(buf.data);
}

static void a_buffer_grows_under_long_formats(void **state)
{
	struct rc_buf buf;

	(void)state;
	rc_buf_init(&buf, 0);
	for (int i = 1; i <= 600; i++) {
		size_t before = buf.len;

		rc_buf_printf(&buf, "%*d", i, 7);
		assert_int_equal(buf.len, before + (size_t)i);
		assert_int_equal(buf.data[buf.len - 1], '7');
		assert_int_equal(buf.data[buf.len], 0);
	}
	assert_false(buf.failed);
	rc_buf_done(&buf);
}

static void a_buffer_never_exceeds_its_cap_and_remembers_that_it_would(void **state)
{
	static const size_t caps[] = { 1, 2, 255, 256, 257, 1000 };

	(void)state;
	for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
		struct rc_buf buf;

		rc_buf_init(&buf, caps[i]);
		for (size_t n = 0; n < caps[i]; n++)
			rc_buf_add(&buf, "x", 1);
		assert_false(buf.failed);
		assert_int_equal(buf.len, caps[i]);
		rc_buf_add(&buf, "", 0);
		assert_false(buf.failed);
		rc_buf_add(&buf, "y", 1);
		assert_true(buf.failed);
		assert_int_equal(buf.len, caps[i]);
		rc_buf_consume(&buf, 1);
		rc_buf_addstr(&buf, "z");
		assert_true(buf.failed);
		assert_null(memchr(buf.data, 'z', buf.len));
		rc_buf_clear(&buf);
		rc_buf_addstr(&buf, "z");
		assert_false(buf.failed);
		assert_string_equal(buf.data, "z");
		rc_buf_done(&buf);
	}
}

static void a_format_that_does_not_fit_leaves_the_text_whole(void **state)
{
	struct rc_buf buf;

	(void)state;
	rc_buf_init(&buf, 10);
	rc_buf_addstr(&buf, "12345678");
	rc_buf_printf(&buf, "%s", "abc");
	assert_true(buf.failed);
	assert_string_equal(buf.data, "12345678");
	assert_int_equal(buf.len, 8);
	rc_buf_add(&buf, "x", SIZE_MAX);
	assert_true(buf.failed);
	rc_buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_arena_gives_zeroed_aligned_memory),
		cmocka_unit_test(an_arena_keeps_texts_apart),
		cmocka_unit_test(an_arena_stops_at_its_cap_and_stays_usable),
		cmocka_unit_test(an_arena_begins_anew_after_a_reset),
		cmocka_unit_test(a_buffer_is_a_text_at_any_time),
		cmocka_unit_test(a_buffer_grows_under_long_formats),
		cmocka_unit_test(a_buffer_never_exceeds_its_cap_and_remembers_that_it_would),
		cmocka_unit_test(a_format_that_does_not_fit_leaves_the_text_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
