/* However a server's octets are cut, the parser says the same of them, and stays within its caps. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "tests/fuzz/fuzz.h"
#include "worker/core/smtp_reply.h"

struct outcome {
	int replies, error;
	unsigned codes, octets;
};

static struct outcome parse(const char *data, size_t size, size_t piece)
{
	struct outcome o = { 0, 0, 0, 0 };
	struct smtp_reply reply;
	struct rc_arena *arena = rc_arena_new(0);

	if (!arena)
		abort();
	smtp_reply_init(&reply, arena);
	for (size_t at = 0; at < size && !o.error;) {
		size_t n = size - at < piece ? size - at : piece, used = 0;
		int got = smtp_reply_parse(&reply, data + at, n, &used);

		if (used > n || reply.text_len > SMTP_REPLY_TEXT_MAX)
			abort();
		at += used;
		if (got < 0)
			o.error = 1;
		if (got == 1) {
			if (reply.code < 200 || reply.code > 599)
				abort();
			o.replies++;
			o.codes = o.codes * 31 + reply.code;
			o.octets += reply.text_len + (unsigned)strlen(reply.enhanced);
		} else if (got == 0 && used != n) {
			abort();
		}
	}
	rc_arena_free(arena);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole = parse((const char *)data, size, size ? size : 1);
	struct outcome octets = parse((const char *)data, size, 1);

	if (whole.replies != octets.replies || whole.codes != octets.codes || whole.octets != octets.octets ||
	    whole.error != octets.error)
		abort();
	return 0;
}
