/* See utf8.h. */
#include "common/address/utf8.h"

size_t rc_utf8_next(const unsigned char *text, size_t len, uint32_t *ret_code)
{
	uint32_t code, least;
	size_t need;

	if (!len)
		return 0;
	if (text[0] < 0x80) {
		*ret_code = text[0];
		return 1;
	}
	if ((text[0] & 0xe0) == 0xc0) {
		need = 2;
		least = 0x80;
		code = text[0] & 0x1fu;
	} else if ((text[0] & 0xf0) == 0xe0) {
		need = 3;
		least = 0x800;
		code = text[0] & 0x0fu;
	} else if ((text[0] & 0xf8) == 0xf0) {
		need = 4;
		least = 0x10000;
		code = text[0] & 0x07u;
	} else {
		return 0;
	}
	if (len < need)
		return 0;
	for (size_t i = 1; i < need; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3fu);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return need;
}
