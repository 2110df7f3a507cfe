/* See reply_text.h. */
#include "common/reply/reply_text.h"

#include <stdbool.h>
#include <string.h>

enum { WAIT_MAX_S = 172800 };

static bool is_space(uint8_t c)
{
	return c <= ' ' || c == 0x7f;
}

static bool is_edge(uint8_t c)
{
	return is_space(c) || strchr("<>()[]{}\"',;:|", c) != NULL;
}

/* Upper to lower case in two-octet UTF-8: U+00C0-U+00DE and U+0400-U+042F. */
static void lower_two(uint8_t *a, uint8_t *b)
{
	if (*a == 0xc3 && *b >= 0x80 && *b <= 0x9e && *b != 0x97) {
		*b = (uint8_t)(*b + 0x20);
	} else if (*a == 0xd0 && *b >= 0x90 && *b <= 0x9f) {
		*b = (uint8_t)(*b + 0x20);
	} else if (*a == 0xd0 && *b >= 0xa0 && *b <= 0xaf) {
		*a = 0xd1;
		*b = (uint8_t)(*b - 0x20);
	} else if (*a == 0xd0 && *b >= 0x80 && *b <= 0x8f) {
		*a = 0xd1;
		*b = (uint8_t)(*b + 0x10);
	}
}

size_t rc_reply_fold(const char *text, size_t len, const char *enhanced, char *out, size_t max)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + len;
	size_t used = 0, token = 0, enhanced_len = enhanced ? strlen(enhanced) : 0;
	bool line_start = true, address = false;

	out[used++] = ' ';
	token = used;
	while (p < end && used + 3 < max) {
		uint8_t c = *p;

		if (line_start && enhanced_len && (size_t)(end - p) > enhanced_len &&
		    memcmp(p, enhanced, enhanced_len) == 0 && is_space(p[enhanced_len])) {
			p += enhanced_len;
			line_start = false;
			continue;
		}
		line_start = c == '\n';
		if (is_edge(c)) {
			if (address) {
				used = token;
				out[used++] = '@';
				address = false;
			}
			if (!is_space(c))
				out[used++] = (char)c;
			else if (out[used - 1] != ' ')
				out[used++] = ' ';
			token = used;
			p++;
			continue;
		}
		if (c == '@')
			address = true;
		if ((c & 0xe0) == 0xc0 && p + 1 < end) {
			uint8_t a = c, b = p[1];

			lower_two(&a, &b);
			out[used++] = (char)a;
			out[used++] = (char)b;
			p += 2;
			continue;
		}
		out[used++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
		p++;
	}
	if (address) {
		used = token;
		out[used++] = '@';
	}
	if (out[used - 1] != ' ')
		out[used++] = ' ';
	return used;
}

static const struct unit {
	const char *word;
	int32_t seconds;
} units[] = {
	/* the longer of two that begin alike comes first */
	{ "second", 1 },
	{ "sec", 1 },
	{ "segundo", 1 },
	{ "secondi", 1 },
	{ "secondo", 1 },
	{ "sekunde", 1 },
	{ "sek", 1 },
	{ "seg", 1 },
	{ "\xd1\x81\xd0\xb5\xd0\xba", 1 },
	{ "\xe7\xa7\x92", 1 },
	{ "minut", 60 },
	{ "min", 60 },
	{ "\xd0\xbc\xd0\xb8\xd0\xbd", 60 },
	{ "\xe5\x88\x86", 60 },
	{ "hour", 3600 },
	{ "hr", 3600 },
	{ "heure", 3600 },
	{ "hora", 3600 },
	{ "ore ", 3600 },
	{ "ora ", 3600 },
	{ "stunde", 3600 },
	{ "uur", 3600 },
	{ "\xd1\x87\xd0\xb0\xd1\x81", 3600 },
	{ "\xe5\xb0\x8f\xe6\x97\xb6", 3600 },
	{ "\xe6\x99\x82\xe9\x96\x93", 3600 },
	{ "s ", 1 },
	{ "s.", 1 },
	{ "s)", 1 },
	{ "m ", 60 },
	{ "h ", 3600 },
};

/* Words that may stand before a number which is a waiting time; "30 per 60 seconds" is none. */
static const char *const before[] = { "in",
				      "after",
				      "wait",
				      "for",
				      "least",
				      "about",
				      "another",
				      "approximately",
				      "delay",
				      "retry",
				      "dans",
				      "apr\xc3\xa8s",
				      "environ",
				      "nach",
				      "fr\xc3\xbchestens",
				      "etwa",
				      "en",
				      "dentro",
				      "despu\xc3\xa9s",
				      "de",
				      "em",
				      "ap\xc3\xb3s",
				      "fra",
				      "tra",
				      "dopo",
				      "over",
				      "na",
				      "\xd1\x87\xd0\xb5\xd1\x80\xd0\xb5\xd0\xb7",
				      "cherez",
				      "retry-after",
				      "reintente",
				      "warten",
				      "seconds" };

static bool starts(const char *p, const char *end, const char *word, size_t *ret_len)
{
	*ret_len = strlen(word);
	return (size_t)(end - p) >= *ret_len && memcmp(p, word, *ret_len) == 0;
}

static bool told_to_wait(const char *text, const char *number, const char *unit_end,
			 const char *end)
{
	const char *stop = number, *start;

	while (stop > text &&
	       (stop[-1] == ' ' || stop[-1] == '(' || stop[-1] == ':' || stop[-1] == '='))
		stop--;
	start = stop;
	while (start > text && start[-1] != ' ' && start[-1] != '(' && start[-1] != ',')
		start--;
	for (size_t i = 0; i < sizeof(before) / sizeof(*before); i++)
		if (strlen(before[i]) == (size_t)(stop - start) &&
		    memcmp(start, before[i], (size_t)(stop - start)) == 0)
			return true;
	/* Chinese and Japanese put "after" behind: U+540E, U+5F8C, within a few octets of the unit.
	 */
	for (const char *p = unit_end; p + 3 <= end && p < unit_end + 12; p++)
		if (memcmp(p, "\xe5\x90\x8e", 3) == 0 || memcmp(p, "\xe5\xbe\x8c", 3) == 0)
			return true;
	return false;
}

static int32_t capped(int64_t seconds)
{
	return seconds > WAIT_MAX_S ? WAIT_MAX_S : (int32_t)seconds;
}

int32_t rc_reply_wait_s(const char *folded, size_t len)
{
	const char *end = folded + len;

	for (const char *p = folded; p < end; p++) {
		const char *number = p;
		int64_t parts[3] = { 0, 0, 0 };
		int n = 0;
		size_t unit_len;

		if (*p < '0' || *p > '9')
			continue;
		for (;;) {
			int digits = 0;

			for (; p < end && *p >= '0' && *p <= '9'; p++, digits++)
				if (digits < 7)
					parts[n] = 10 * parts[n] + (*p - '0');
			n++;
			if (n < 3 && p + 1 < end && *p == ':' && p[1] >= '0' && p[1] <= '9')
				p++;
			else
				break;
		}
		if (number > folded && (number[-1] == '.' || number[-1] == '-' ||
					number[-1] == '/' || number[-1] == '#'))
			goto next;
		if (n > 1) {
			/* hours:minutes:seconds, or minutes:seconds */
			if (told_to_wait(folded, number, p, end))
				return capped(n == 3 ? 3600 * parts[0] + 60 * parts[1] + parts[2]
						     : 60 * parts[0] + parts[1]);
			goto next;
		}
		while (p < end && (*p == ' ' || *p == '-'))
			p++;
		for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
			if (starts(p, end, units[i].word, &unit_len) &&
			    told_to_wait(folded, number, p + unit_len, end))
				return capped(parts[0] * units[i].seconds);
	next:
		p--;
	}
	return -1;
}
