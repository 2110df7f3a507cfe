#include "coordinator/http/decode.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { OUT_SIZE = 64 * 1024, MAGIC_SIZE = 4, ZSTD_WINDOW_LOG_MAX = 25 };

struct decode {
	enum decode_coding coding;
	uint64_t max_octets, in, out;
	decode_on_data on_data;
	void *ctx;
	char magic[MAGIC_SIZE];
	size_t magic_len;
	z_stream zlib;
	bool zlib_ready;
	ZSTD_DStream *zstd;
	bool whole; /* a member or frame has just ended */
	char *buffer;
};

struct decode *decode_new(enum decode_coding coding, uint64_t max_octets, decode_on_data on_data,
			  void *ctx)
{
	struct decode *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->coding = coding;
	d->max_octets = max_octets;
	d->on_data = on_data;
	d->ctx = ctx;
	return d;
}

void decode_free(struct decode *d)
{
	if (!d)
		return;
	if (d->zlib_ready)
		inflateEnd(&d->zlib);
	ZSTD_freeDStream(d->zstd);
	free(d->buffer);
	free(d);
}

static enum rc_status pass(struct decode *d, const char *data, size_t len, struct rc_error *err)
{
	d->out += len;
	if (d->max_octets && d->out > d->max_octets)
		return rc_error_set(err, RC_LIMIT,
				    "the list is larger than %llu MiB unpacked: split it",
				    (unsigned long long)(d->max_octets >> 20));
	if (d->coding != DECODE_NONE && d->out > DECODE_RATIO_FREE &&
	    d->out / DECODE_RATIO_MAX > d->in)
		return rc_error_set(err, RC_LIMIT,
				    "the file unpacks to more than %d times its size: send it "
				    "unpacked if it really is a list",
				    DECODE_RATIO_MAX);
	return len ? d->on_data(d->ctx, data, len) : RC_OK;
}

static enum rc_status gunzip(struct decode *d, const char *data, size_t len, struct rc_error *err)
{
	d->zlib.next_in = (unsigned char *)(uintptr_t)data;
	d->zlib.avail_in = (unsigned int)len;
	do {
		enum rc_status status;
		int result;

		if (d->whole) {
			if (!d->zlib.avail_in)
				break;
			inflateReset(&d->zlib);
		}
		d->zlib.next_out = (unsigned char *)d->buffer;
		d->zlib.avail_out = OUT_SIZE;
		result = inflate(&d->zlib, Z_NO_FLUSH);
		if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
			return rc_error_set(err, RC_INVALID, "the gzip data is broken (%s)",
					    d->zlib.msg ? d->zlib.msg : "inflate");
		d->whole = result == Z_STREAM_END;
		status = pass(d, d->buffer, OUT_SIZE - d->zlib.avail_out, err);
		if (status != RC_OK)
			return status;
		if (result == Z_BUF_ERROR)
			break;
	} while (d->zlib.avail_in || !d->zlib.avail_out);
	return RC_OK;
}

static enum rc_status unzstd(struct decode *d, const char *data, size_t len, struct rc_error *err)
{
	ZSTD_inBuffer in = { data, len, 0 };

	for (;;) {
		ZSTD_outBuffer out = { d->buffer, OUT_SIZE, 0 };
		size_t result = ZSTD_decompressStream(d->zstd, &out, &in);
		enum rc_status status;

		if (ZSTD_isError(result))
			return rc_error_set(err, RC_INVALID, "the zstd data is broken (%s)",
					    ZSTD_getErrorName(result));
		d->whole = result == 0;
		status = pass(d, d->buffer, out.pos, err);
		if (status != RC_OK)
			return status;
		if (in.pos == in.size && (out.pos < out.size || d->whole))
			return RC_OK;
	}
}

static enum rc_status begin(struct decode *d, struct rc_error *err)
{
	if (d->coding == DECODE_LOOK) {
		d->coding = DECODE_NONE;
		if (d->magic_len >= 2 && memcmp(d->magic, "\x1f\x8b", 2) == 0)
			d->coding = DECODE_GZIP;
		else if (d->magic_len >= 4 && memcmp(d->magic, "\x28\xb5\x2f\xfd", 4) == 0)
			d->coding = DECODE_ZSTD;
	}
	if (d->coding == DECODE_NONE)
		return RC_OK;
	d->buffer = malloc(OUT_SIZE);
	if (d->coding == DECODE_GZIP) {
		d->zlib_ready = inflateInit2(&d->zlib, 15 + 16) == Z_OK;
	} else {
		d->zstd = ZSTD_createDStream();
		if (d->zstd)
			ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	}
	if (!d->buffer || (!d->zlib_ready && !d->zstd))
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	return RC_OK;
}

static enum rc_status step(struct decode *d, const char *data, size_t len, struct rc_error *err)
{
	if (!len)
		return RC_OK;
	d->in += len;
	switch (d->coding) {
	case DECODE_GZIP:
		return gunzip(d, data, len, err);
	case DECODE_ZSTD:
		return unzstd(d, data, len, err);
	case DECODE_LOOK:
	case DECODE_NONE:
		break;
	}
	return pass(d, data, len, err);
}

static bool begun(const struct decode *d)
{
	return d->coding == DECODE_NONE || d->buffer;
}

enum rc_status decode_feed(struct decode *d, const char *data, size_t len, struct rc_error *err)
{
	enum rc_status status;

	if (!begun(d)) {
		size_t n = MAGIC_SIZE - d->magic_len;

		if (n > len)
			n = len;
		memcpy(d->magic + d->magic_len, data, n);
		d->magic_len += n;
		data += n;
		len -= n;
		if (d->magic_len < MAGIC_SIZE)
			return RC_OK;
		status = begin(d, err);
		if (status == RC_OK)
			status = step(d, d->magic, d->magic_len, err);
		if (status != RC_OK)
			return status;
	}
	return step(d, data, len, err);
}

enum rc_status decode_finish(struct decode *d, struct rc_error *err)
{
	if (!begun(d)) {
		enum rc_status status = begin(d, err);

		if (status == RC_OK)
			status = step(d, d->magic, d->magic_len, err);
		if (status != RC_OK)
			return status;
	}
	if (d->coding != DECODE_NONE && d->in && !d->whole)
		return rc_error_set(err, RC_INVALID,
				    "the packed file ends in its middle: send it again");
	return RC_OK;
}
