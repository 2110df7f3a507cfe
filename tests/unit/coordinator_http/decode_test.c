/* gzip and zstd come off an upload however it is cut, and bombs do not go off. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/buf.h"
#include "coordinator/http/decode.h"

static const char text[] = "email\na@x.test\nb@x.test\n";

static enum rc_status keep(void *ctx, const char *data, size_t len)
{
	rc_buf_add(ctx, data, len);
	return RC_OK;
}

static enum rc_status count(void *ctx, const char *data, size_t len)
{
	(void)data;
	*(size_t *)ctx += len;
	return RC_OK;
}

static size_t pack_gzip(const char *in, size_t len, unsigned char *out, size_t room)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)in,
		       .avail_in = (unsigned)len,
		       .next_out = out,
		       .avail_out = (unsigned)room };

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

static void check(const unsigned char *data, size_t len, enum decode_coding coding,
		  const char *expected)
{
	for (size_t split = 0; split <= len; split++) {
		struct rc_error err;
		struct rc_buf out;
		struct decode *d;

		rc_buf_init(&out, 0);
		d = decode_new(coding, 0, keep, &out);
		assert_int_equal(decode_feed(d, (const char *)data, split, &err), RC_OK);
		assert_int_equal(decode_feed(d, (const char *)data + split, len - split, &err),
				 RC_OK);
		assert_int_equal(decode_finish(d, &err), RC_OK);
		assert_string_equal(out.data ? out.data : "", expected);
		decode_free(d);
		rc_buf_done(&out);
	}
}

static void test_codings(void **state)
{
	unsigned char packed[1000];
	size_t len, second;

	(void)state;
	check((const unsigned char *)text, strlen(text), DECODE_LOOK, text);
	check((const unsigned char *)"", 0, DECODE_LOOK, "");
	check((const unsigned char *)"a\n", 2, DECODE_LOOK, "a\n");
	len = pack_gzip(text, strlen(text), packed, sizeof(packed));
	check(packed, len, DECODE_LOOK, text);
	check(packed, len, DECODE_GZIP, text);
	second = pack_gzip("c@x.test\n", 9, packed + len, sizeof(packed) - len);
	check(packed, len + second, DECODE_LOOK, "email\na@x.test\nb@x.test\nc@x.test\n");
	len = ZSTD_compress(packed, sizeof(packed), text, strlen(text), 3);
	check(packed, len, DECODE_LOOK, text);
	second = ZSTD_compress(packed + len, sizeof(packed) - len, "c@x.test\n", 9, 3);
	check(packed, len + second, DECODE_ZSTD, "email\na@x.test\nb@x.test\nc@x.test\n");
}

static enum rc_status run(const void *data, size_t len, uint64_t max, struct rc_error *err)
{
	size_t seen = 0;
	struct decode *d = decode_new(DECODE_LOOK, max, count, &seen);
	enum rc_status status = decode_feed(d, data, len, err);

	if (status == RC_OK)
		status = decode_finish(d, err);
	decode_free(d);
	return status;
}

static void test_refused(void **state)
{
	enum { BOMB = 64 * 1024 * 1024 };
	unsigned char packed[1000];
	size_t len = pack_gzip(text, strlen(text), packed, sizeof(packed));
	char *zeros = calloc(1, BOMB);
	unsigned char *bomb = malloc(1 << 20);
	struct rc_error err;

	(void)state;
	assert_int_equal(run(packed, len - 9, 0, &err), RC_INVALID);
	assert_non_null(strstr(err.text, "ends in its middle"));
	packed[len / 2] ^= 0x55;
	assert_int_equal(run(packed, len, 0, &err), RC_INVALID);
	assert_int_equal(run(text, strlen(text), 10, &err), RC_LIMIT);
	len = pack_gzip(zeros, BOMB, bomb, 1 << 20);
	assert_int_equal(run(bomb, len, 0, &err), RC_LIMIT);
	assert_non_null(strstr(err.text, "times its size"));
	len = ZSTD_compress(bomb, 1 << 20, zeros, BOMB, 3);
	assert_int_equal(run(bomb, len, 0, &err), RC_LIMIT);
	free(bomb);
	free(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_codings),
					    cmocka_unit_test(test_refused) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
