/*
 * decode - takes gzip or zstd off an upload, as it arrives.
 *
 * By Content-Encoding, or by the first octets. Caps: `max_octets` of output, and a ratio of
 * DECODE_RATIO_MAX once DECODE_RATIO_FREE octets are out (a bomb is refused, not unpacked). Several
 * gzip members or zstd frames one after the other are one file. Owner: whoever made it; one thread.
 * No I/O. Memory: 64 KiB and the window of the format (zstd: up to 32 MiB).
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_DECODE_H
#define ROLLCALL_COORDINATOR_HTTP_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

enum { DECODE_RATIO_MAX = 100, DECODE_RATIO_FREE = 32 * 1024 * 1024 };

enum decode_coding { DECODE_LOOK = 0, DECODE_NONE, DECODE_GZIP, DECODE_ZSTD };

typedef enum rc_status (*decode_on_data)(void *ctx, const char *data, size_t len);

struct decode;

/* NULL when out of memory. */
struct decode *decode_new(enum decode_coding coding, uint64_t max_octets, decode_on_data on_data,
			  void *ctx);
/* Takes NULL. */
void decode_free(struct decode *decode);
/* What on_data returns other than RC_OK is returned as it is, `err` untouched. */
enum rc_status decode_feed(struct decode *decode, const char *data, size_t len,
			   struct rc_error *err) RC_MUST_CHECK;
enum rc_status decode_finish(struct decode *decode, struct rc_error *err) RC_MUST_CHECK;

#endif
