/* See log.h. */
#include "common/base/log.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/random.h"

enum {
	FIELDS_MAX = 4096, /* octets of formatted fields; what is longer is cut */
	LINE_SIZE = 256 + FIELDS_MAX * 4 + 8, /* head, every octet escaped, "..." and the newline */
	KEY_SIZE = 32,
	HASH_SHOWN = 5 /* octets of the hash that are printed */
};

static const char *const level_names[] = {
	[RC_LOG_DEBUG] = "debug",
	[RC_LOG_INFO] = "info",
	[RC_LOG_WARN] = "warn",
	[RC_LOG_ERROR] = "error",
};

static struct {
	char program[64];
	bool addresses;
	_Atomic int level;
	unsigned char key[KEY_SIZE];
	pthread_once_t key_once;
} logger = { .program = "rollcall", .level = RC_LOG_INFO, .key_once = PTHREAD_ONCE_INIT };

void rc_log_init(const char *program, enum rc_log_level level, bool addresses)
{
	snprintf(logger.program, sizeof(logger.program), "%s", program);
	logger.addresses = addresses;
	rc_log_level_set(level);
}

void rc_log_level_set(enum rc_log_level level)
{
	atomic_store(&logger.level, (int)level);
}

int rc_log_level_parse(const char *name, enum rc_log_level *ret_level)
{
	for (int i = RC_LOG_DEBUG; i <= RC_LOG_ERROR; i++)
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum rc_log_level)i;
			return 0;
		}
	return -1;
}

/*
 * Length of the printable UTF-8 sequence at `p`, 0 where there is none. RFC 3629 without what a
 * terminal or a reader of lines would act on: C0, DEL, C1, the line and paragraph separators and
 * the bidirectional controls.
 */
static size_t printable(const unsigned char *p, size_t left)
{
	unsigned code;
	size_t len;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f && p[0] != '\\';
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		len = 2;
		code = p[0] & 0x1fu;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		len = 3;
		code = p[0] & 0x0fu;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		len = 4;
		code = p[0] & 0x07u;
	} else {
		return 0;
	}
	if (left < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fu);
	}
	if ((len == 3 && code < 0x800) || (len == 4 && (code < 0x10000 || code > 0x10ffff)) ||
	    (code >= 0xd800 && code <= 0xdfff) || code < 0xa0 ||
	    (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
		return 0;
	return len;
}

static size_t escape(char *to, const char *from, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)from;
	char *start = to;

	while (len) {
		size_t n = printable(p, len);

		if (n) {
			memcpy(to, p, n);
			to += n;
		} else {
			n = 1;
			*to++ = '\\';
			*to++ = 'x';
			*to++ = hex[*p >> 4];
			*to++ = hex[*p & 15];
		}
		p += n;
		len -= n;
	}
	return (size_t)(to - start);
}

static void write_line(const char *line, size_t len)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, line, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return; /* nobody is left to be told */
		}
		line += n;
		len -= (size_t)n;
	}
}

void rc_log(enum rc_log_level level, const char *event, const char *format, ...)
{
	char fields[FIELDS_MAX], line[LINE_SIZE], now[RC_TIME_TEXT_MAX];
	int saved = errno;
	va_list args;
	size_t len;
	int n;

	if ((int)level < atomic_load_explicit(&logger.level, memory_order_relaxed))
		return;
	va_start(args, format);
	n = vsnprintf(fields, sizeof(fields), format, args);
	va_end(args);
	if (n < 0)
		n = 0;
	len =
	    (size_t)snprintf(line, 256, "%s %s %s %.64s", rc_clock_format(rc_clock_wall_ms(), now),
			     level_names[level], logger.program, event);
	if (n) {
		size_t kept = (size_t)n < sizeof(fields) ? (size_t)n : sizeof(fields) - 1;

		line[len++] = ' ';
		len += escape(line + len, fields, kept);
		if (kept < (size_t)n) {
			memcpy(line + len, "...", 3);
			len += 3;
		}
	}
	line[len++] = '\n';
	write_line(line, len);
	errno = saved;
}

static void make_key(void)
{
	rc_random_bytes(logger.key, sizeof(logger.key));
}

const char *rc_log_address(const char *address, char ret_text[RC_LOG_ADDRESS_MAX])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_len = 0;

	if (logger.addresses) {
		snprintf(ret_text, RC_LOG_ADDRESS_MAX, "%s", address);
		return ret_text;
	}
	pthread_once(&logger.key_once, make_key);
	if (!HMAC(EVP_sha256(), logger.key, KEY_SIZE, (const unsigned char *)address,
		  strlen(address), hash, &hash_len) ||
	    hash_len < HASH_SHOWN) {
		snprintf(ret_text, RC_LOG_ADDRESS_MAX, "#");
		return ret_text;
	}
	ret_text[0] = '#';
	for (unsigned i = 0; i < HASH_SHOWN; i++)
		snprintf(ret_text + 1 + i * 2, 3, "%02x", hash[i]);
	return ret_text;
}
