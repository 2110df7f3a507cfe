/* What is sealed opens, and nothing else does. */
#include "common/kafka/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const char key[] = "a key that is long enough";
static const char topic[] = "rollcall.shards";
static const char plain[] = "twelve\0octets and more";

static struct rc_seal *seal_of(const char *message_key)
{
	struct rc_seal *seal = NULL;

	assert_int_equal(rc_seal_new(message_key, &seal, NULL), RC_OK);
	return seal;
}

static void wrap(struct rc_seal *seal, struct rc_buf *out)
{
	rc_buf_init(out, 0);
	assert_int_equal(rc_seal_wrap(seal, topic, plain, sizeof(plain), out, NULL), RC_OK);
}

static void assert_opens(struct rc_seal *seal, const struct rc_buf *message)
{
	struct rc_buf out;

	rc_buf_init(&out, 0);
	assert_int_equal(rc_seal_open(seal, topic, message->data, message->len, &out, NULL), RC_OK);
	assert_int_equal(out.len, sizeof(plain));
	assert_memory_equal(out.data, plain, sizeof(plain));
	rc_buf_done(&out);
}

static void assert_refused(struct rc_seal *seal, const char *in_topic, const void *data, size_t len,
			   const char *says)
{
	struct rc_error err = { 0 };
	struct rc_buf out;

	rc_buf_init(&out, 0);
	rc_buf_addstr(&out, "before");
	assert_int_equal(rc_seal_open(seal, in_topic, data, len, &out, &err), RC_INVALID);
	assert_non_null(strstr(err.text, says));
	assert_string_equal(out.data, "before");
	assert_int_equal(out.len, 6);
	rc_buf_done(&out);
}

static void both_framings_come_back_as_they_were(void **state)
{
	const char *keys[] = { NULL, "", key };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct rc_seal *seal = seal_of(keys[i]);
		struct rc_buf message;

		wrap(seal, &message);
		assert_int_equal(rc_seal_has_key(seal), i == 2);
		assert_int_equal(message.data[0], i == 2 ? 2 : 1);
		assert_int_equal(message.len, sizeof(plain) + (i == 2 ? RC_SEAL_OVERHEAD : 1));
		assert_opens(seal, &message);
		assert_opens(seal, &message);
		rc_buf_done(&message);
		rc_seal_free(seal);
	}
}

static void nothing_of_the_text_shows_and_no_two_are_alike(void **state)
{
	struct rc_seal *seal = seal_of(key);
	struct rc_buf a, b;

	(void)state;
	wrap(seal, &a);
	wrap(seal, &b);
	assert_null(memmem(a.data, a.len, "octets", 6));
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(a.data + 1, b.data + 1, a.len - 1);
	rc_buf_done(&a);
	rc_buf_done(&b);
	rc_seal_free(seal);
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct rc_seal *seal = seal_of(key);
	struct rc_buf message, out;

	(void)state;
	wrap(seal, &message);
	rc_buf_init(&out, 0);
	for (size_t i = 0; i < message.len * 8; i++) {
		message.data[i / 8] = (char)(message.data[i / 8] ^ (1 << (i % 8)));
		assert_int_equal(rc_seal_open(seal, topic, message.data, message.len, &out, NULL),
				 RC_INVALID);
		assert_int_equal(out.len, 0);
		message.data[i / 8] = (char)(message.data[i / 8] ^ (1 << (i % 8)));
	}
	assert_opens(seal, &message);
	rc_buf_done(&out);
	rc_buf_done(&message);
	rc_seal_free(seal);
}

static void every_cut_and_every_addition_is_noticed(void **state)
{
	struct rc_seal *seal = seal_of(key);
	struct rc_buf message;

	(void)state;
	wrap(seal, &message);
	assert_refused(seal, topic, message.data, 0, "empty");
	for (size_t len = 1; len < message.len; len++)
		assert_refused(seal, topic, message.data, len, "");
	rc_buf_add(&message, "", 1);
	assert_refused(seal, topic, message.data, message.len, "does not hold");
	rc_buf_done(&message);
	rc_seal_free(seal);
}

static void another_key_or_topic_does_not_open_it(void **state)
{
	struct rc_seal *seal = seal_of(key), *other = seal_of("another key, also long"),
		       *none = seal_of(NULL);
	struct rc_buf message, open;

	(void)state;
	wrap(seal, &message);
	assert_refused(other, topic, message.data, message.len, "does not hold");
	assert_refused(seal, "rollcall.reports", message.data, message.len, "does not hold");
	assert_refused(none, topic, message.data, message.len, "no message key is set here");
	wrap(none, &open);
	assert_refused(seal, topic, open.data, open.len, "not sealed");
	open.data[0] = 3;
	assert_refused(none, topic, open.data, open.len, "framing 0x03");
	rc_buf_done(&open);
	rc_buf_done(&message);
	rc_seal_free(seal);
	rc_seal_free(other);
	rc_seal_free(none);
}

static void the_same_key_in_another_process_opens_it(void **state)
{
	struct rc_seal *seal = seal_of(key), *again = seal_of(key);
	struct rc_buf message;

	(void)state;
	wrap(seal, &message);
	assert_opens(again, &message);
	rc_buf_done(&message);
	rc_seal_free(seal);
	rc_seal_free(again);
}

static void caps_hold_both_ways(void **state)
{
	static char large[RC_SEAL_MAX + 1];
	struct rc_seal *seal = seal_of(key);
	struct rc_buf message, small;

	(void)state;
	rc_buf_init(&message, 0);
	assert_int_equal(
	    rc_seal_wrap(seal, topic, large, RC_SEAL_MAX - RC_SEAL_OVERHEAD, &message, NULL),
	    RC_OK);
	assert_int_equal(message.len, RC_SEAL_MAX);
	assert_int_equal(
	    rc_seal_wrap(seal, topic, large, RC_SEAL_MAX - RC_SEAL_OVERHEAD + 1, &message, NULL),
	    RC_LIMIT);
	assert_int_equal(message.len, RC_SEAL_MAX);
	assert_refused(seal, topic, large, sizeof(large), "over the limit");
	rc_buf_init(&small, 30);
	assert_int_equal(rc_seal_wrap(seal, topic, plain, sizeof(plain), &small, NULL),
			 RC_NO_MEMORY);
	assert_int_equal(small.len, 0);
	rc_buf_done(&small);
	rc_buf_done(&message);
	rc_seal_free(seal);
}

static void a_short_key_is_refused_with_a_better_one(void **state)
{
	struct rc_seal *seal = NULL;
	struct rc_error err;

	(void)state;
	assert_int_equal(rc_seal_new("fifteen letters", &seal, &err), RC_INVALID);
	assert_non_null(strstr(err.text, "openssl rand"));
	assert_null(seal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_framings_come_back_as_they_were),
		cmocka_unit_test(nothing_of_the_text_shows_and_no_two_are_alike),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(every_cut_and_every_addition_is_noticed),
		cmocka_unit_test(another_key_or_topic_does_not_open_it),
		cmocka_unit_test(the_same_key_in_another_process_opens_it),
		cmocka_unit_test(caps_hold_both_ways),
		cmocka_unit_test(a_short_key_is_refused_with_a_better_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
