/* See buf.h. */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rc_buf_init(struct rc_buf *buf, size_t cap)
{
	*buf = (struct rc_buf){ .cap = cap };
}

void rc_buf_done(struct rc_buf *buf)
{
	free(buf->data);
	*buf = (struct rc_buf){ .cap = buf->cap };
}

void rc_buf_clear(struct rc_buf *buf)
{
	buf->len = 0;
	buf->failed = false;
	if (buf->data)
		buf->data[0] = '\0';
}

/* Makes room for `more` octets and the NUL. */
static bool reserve(struct rc_buf *buf, size_t more)
{
	size_t need, room;
	char *data;

	if (buf->failed)
		return false;
	if (more >= SIZE_MAX / 2 - buf->len ||
	    (buf->cap && (more > buf->cap || buf->len > buf->cap - more))) {
		buf->failed = true;
		return false;
	}
	need = buf->len + more + 1;
	if (need <= buf->room)
		return true;
	room = buf->room ? buf->room * 2 : 256;
	if (room < need)
		room = need;
	if (buf->cap && room > buf->cap + 1)
		room = buf->cap + 1;
	data = realloc(buf->data, room);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->room = room;
	return true;
}

void rc_buf_add(struct rc_buf *buf, const void *data, size_t len)
{
	if (!reserve(buf, len))
		return;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void rc_buf_addstr(struct rc_buf *buf, const char *text)
{
	rc_buf_add(buf, text, strlen(text));
}

void rc_buf_printf(struct rc_buf *buf, const char *format, ...)
{
	size_t left = buf->room - buf->len; /* both 0 while new */
	va_list args;
	int len;

	if (buf->failed)
		return;
	va_start(args, format);
	len = vsnprintf(buf->data ? buf->data + buf->len : NULL, left, format, args);
	va_end(args);
	if (len < 0 || !reserve(buf, (size_t)len)) {
		buf->failed = true;
		if (buf->data)
			buf->data[buf->len] = '\0';
		return;
	}
	if ((size_t)len >= left) {
		va_start(args, format);
		vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
		va_end(args);
	}
	buf->len += (size_t)len;
}

void rc_buf_consume(struct rc_buf *buf, size_t len)
{
	if (len > buf->len)
		len = buf->len;
	if (len == 0)
		return;
	buf->len -= len;
	memmove(buf->data, buf->data + len, buf->len + 1);
}
