/*
 * buf - a growing run of octets with a cap.
 *
 * Embedded: rc_buf_init, rc_buf_done. Appending past `cap`, or without memory, sets `failed`, which
 * sticks: a writer appends freely and looks once at the end. `data` is always followed by a NUL
 * that `len` does not count (NULL while empty and new).
 */
#ifndef RC_BASE_BUF_H
#define RC_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct rc_buf {
	char *data;
	size_t len;
	size_t room; /* private: octets allocated */
	size_t cap;  /* most octets, 0 for no cap */
	bool failed;
};

void rc_buf_init(struct rc_buf *buf, size_t cap);
void rc_buf_done(struct rc_buf *buf);
void rc_buf_clear(struct rc_buf *buf); /* len = 0, failed = false; memory is kept */
void rc_buf_add(struct rc_buf *buf, const void *data, size_t len);
void rc_buf_addstr(struct rc_buf *buf, const char *text);
void rc_buf_printf(struct rc_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the first `len` octets. */
void rc_buf_consume(struct rc_buf *buf, size_t len);

#endif
