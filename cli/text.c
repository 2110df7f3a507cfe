#include "cli/text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

const char *text_count(int64_t n, char ret_text[TEXT_MAX])
{
	char digits[TEXT_MAX];
	int len = snprintf(digits, sizeof digits, "%" PRId64, n);
	char *out = ret_text;
	for (int i = 0; i < len; i++) {
		*out++ = digits[i];
		int left = len - 1 - i;
		if (left > 0 && left % 3 == 0 && digits[i] != '-')
			*out++ = ',';
	}
	*out = '\0';
	return ret_text;
}

const char *text_span(int64_t seconds, char ret_text[TEXT_MAX])
{
	if (seconds < 0)
		seconds = 0;
	if (seconds < 3600)
		snprintf(ret_text, TEXT_MAX, "%" PRId64 ":%02" PRId64, seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(ret_text, TEXT_MAX, "%" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600, seconds / 60 % 60,
			 seconds % 60);
	else
		snprintf(ret_text, TEXT_MAX, "%" PRId64 "d %" PRId64 "h", seconds / 86400, seconds / 3600 % 24);
	return ret_text;
}

void text_put(FILE *out, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		/* C1 controls as UTF-8 too: 0xC2 0x80 to 0xC2 0x9F. */
		if (*c < 0x20 || *c == 0x7f) {
			fprintf(out, "\\x%02x", *c);
		} else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) {
			fprintf(out, "\\x%02x\\x%02x", *c, c[1]);
			c++;
		} else {
			putc(*c, out);
		}
	}
}

size_t text_columns(int fd)
{
	struct winsize size;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}
