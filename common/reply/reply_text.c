/* See reply_text.h. */
#include "common/reply/reply_text.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* What an octet of ASCII is. EDGE ends an address, GAP is a blank within one too. */
enum { WORD, UPPER, EDGE, GAP, DOT, COLON, AT, QUOTE };

static const uint8_t kinds[128] = {
	[0 ... ' '] = EDGE, [0x7f] = EDGE,  ['"'] = EDGE,	   ['<'] = EDGE, ['>'] = EDGE,
	['('] = EDGE,	    [')'] = EDGE,   ['['] = EDGE,	   [']'] = EDGE, ['{'] = EDGE,
	['}'] = EDGE,	    [','] = EDGE,   [';'] = EDGE,	   ['|'] = EDGE, ['!'] = GAP,
	['?'] = GAP,	    ['*'] = GAP,    ['`'] = GAP,	   ['~'] = GAP,	 ['^'] = GAP,
	['\\'] = EDGE,	    ['$'] = GAP,    ['%'] = GAP,	   ['&'] = GAP,	 ['+'] = GAP,
	['='] = GAP,	    ['-'] = GAP,    ['_'] = GAP,	   ['.'] = DOT,	 [':'] = COLON,
	['@'] = AT,	    ['\''] = QUOTE, ['A' ... 'Z'] = UPPER,
};

/* U+00C0 to U+017F without their accents; \1 to \3 stand for two letters. */
static const char latin[] =
    "aaaaaa\1ceeeeiiiidnooooo ouuuuyt\2aaaaaa\1ceeeeiiiidnooooo ouuuuyty"
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnn"
    "nnnnnoooooo\3\3rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
_Static_assert(sizeof(latin) == 0x180 - 0xc0 + 1, "a letter for each character");
static const char *const pairs[] = { "", "ae", "ss", "oe" };

struct folding {
	const uint8_t *at, *end;
	char *out;
	size_t used, max;
	size_t token; /* where the token began that may be an address */
};

static void put(struct folding *f, char c)
{
	if (f->used + 2 < f->max)
		f->out[f->used++] = c;
}

static void blank(struct folding *f)
{
	/* a dot at the end of a word was its full stop */
	while (f->used && f->out[f->used - 1] == '.')
		f->used--;
	if (f->used == 0 || f->out[f->used - 1] != ' ')
		put(f, ' ');
}

static void edge(struct folding *f)
{
	blank(f);
	f->token = f->used;
}

static bool is_digit(const struct folding *f, const uint8_t *p)
{
	return p < f->end && *p >= '0' && *p <= '9';
}

static bool is_letter(const struct folding *f, const uint8_t *p)
{
	return p < f->end && ((*p | 0x20) >= 'a') && (*p >= 0x80 || (*p | 0x20) <= 'z');
}

/* Behind an apostrophe: "doesn't" loses it, of "l'utilisateur" each part is a word. */
static bool contraction(const struct folding *f, const uint8_t *p)
{
	unsigned n = 0;

	while (n < 3 && is_letter(f, p + n))
		n++;
	if (f->out[f->used - 1] == ' ')
		return false;
	if (n == 1)
		return strchr("tsdmTSDM", *p) != NULL;
	return n == 2 && (strncasecmp((const char *)p, "re", 2) == 0 ||
			  strncasecmp((const char *)p, "ve", 2) == 0 ||
			  strncasecmp((const char *)p, "ll", 2) == 0);
}

/* The token is an address: nothing of it counts. */
static void address(struct folding *f)
{
	f->used = f->token;
	put(f, '@');
	while (f->at < f->end && (*f->at >= 0x80 || kinds[*f->at] != EDGE) && *f->at != '\'' &&
	       *f->at != ':')
		f->at++;
	edge(f);
}

/* Four numbers with dots between them; moves behind them. */
static bool ipv4(struct folding *f)
{
	const uint8_t *p = f->at;

	for (int part = 0; part < 4; part++) {
		const uint8_t *first = p;

		if (part > 0 && (p >= f->end || *p++ != '.'))
			return false;
		first = p;
		while (is_digit(f, p) && p - first < 4)
			p++;
		if (p == first || p - first > 3)
			return false;
	}
	if (p + 1 < f->end && *p == '.' && is_digit(f, p + 1))
		return false;
	f->at = p;
	return true;
}

static void put_latin(struct folding *f, unsigned character)
{
	char c = latin[character - 0xc0];

	if (c == ' ') {
		blank(f);
	} else if (c < ' ') {
		put(f, pairs[(int)c][0]);
		put(f, pairs[(int)c][1]);
	} else {
		put(f, c);
	}
}

/* Two octets: Latin letters lose their accents, Cyrillic ones become small. */
static void two_octets(struct folding *f)
{
	uint8_t a = f->at[0], b = f->at[1];
	unsigned character = ((unsigned)(a & 0x1f) << 6) | (b & 0x3f);

	f->at += 2;
	if (character >= 0xc0 && character <= 0x17f) {
		put_latin(f, character);
	} else if (character < 0xc0) {
		blank(f);
	} else if (character >= 0x300 && character < 0x370) {
		return; /* an accent by itself */
	} else {
		if (character >= 0x410 && character <= 0x42f)
			character += 0x20;
		else if (character >= 0x400 && character <= 0x40f)
			character += 0x50;
		if (character == 0x451)
			character = 0x435;
		put(f, (char)(0xc0 | character >> 6));
		put(f, (char)(0x80 | (character & 0x3f)));
	}
}

/* Punctuation of U+2000-206F and of Chinese and Japanese; ASCII of double width. */
static void three_octets(struct folding *f)
{
	unsigned character = ((unsigned)(f->at[0] & 0x0f) << 12) |
			     ((unsigned)(f->at[1] & 0x3f) << 6) | (f->at[2] & 0x3f);
	const uint8_t *next = f->at + 3;

	if (character == 0x2018 || character == 0x2019) {
		if (!contraction(f, next))
			edge(f);
	} else if (character == 0x200b || character == 0xfeff) {
		/* no width: nothing */
	} else if ((character >= 0x2000 && character <= 0x206f) ||
		   (character >= 0x3000 && character <= 0x303f)) {
		edge(f);
	} else if (character >= 0xff01 && character <= 0xff5e) {
		uint8_t c = (uint8_t)(character - 0xff01 + '!');

		if (kinds[c] == WORD || kinds[c] == UPPER)
			put(f, (char)(kinds[c] == UPPER ? c + 32 : c));
		else
			edge(f);
	} else {
		for (int i = 0; i < 3; i++)
			put(f, (char)f->at[i]);
	}
	f->at = next;
}

static void beyond_ascii(struct folding *f)
{
	const uint8_t *p = f->at;
	size_t left = (size_t)(f->end - p);

	if (p[0] >= 0xc2 && p[0] < 0xe0 && left > 1 && (p[1] & 0xc0) == 0x80) {
		two_octets(f);
	} else if ((p[0] & 0xf0) == 0xe0 && left > 2 && (p[1] & 0xc0) == 0x80 &&
		   (p[2] & 0xc0) == 0x80) {
		three_octets(f);
	} else {
		/* ISO 8859-1, perhaps */
		if (*p >= 0xc0)
			put_latin(f, *p);
		else
			blank(f);
		f->at++;
	}
}

static void ascii(struct folding *f)
{
	uint8_t c = *f->at;

	switch (kinds[c]) {
	case WORD:
		if (c >= '0' && c <= '9' && f->out[f->used - 1] == ' ' && ipv4(f)) {
			put(f, '#');
			put(f, 'i');
			put(f, 'p');
			edge(f);
			return;
		}
		put(f, (char)c);
		break;
	case UPPER:
		put(f, (char)(c + 32));
		break;
	case EDGE:
		edge(f);
		break;
	case GAP:
		blank(f);
		break;
	case DOT:
		if (f->out[f->used - 1] != ' ')
			put(f, '.');
		break;
	case COLON:
		if (is_digit(f, f->at + 1) && f->out[f->used - 1] >= '0' &&
		    f->out[f->used - 1] <= '9')
			put(f, ':');
		else
			edge(f);
		break;
	case AT:
		address(f);
		return;
	case QUOTE:
		if (!contraction(f, f->at + 1)) {
			/* within a token it may yet be an address */
			if (f->out[f->used - 1] != ' ' && is_letter(f, f->at + 1))
				blank(f);
			else
				edge(f);
		}
		break;
	}
	f->at++;
}

/* Letters of ASCII, most of every reply. */
static void letters(struct folding *f)
{
	const uint8_t *p = f->at;
	size_t room = f->used + 2 < f->max ? f->max - 2 - f->used : 0, n = 0;
	char *out = f->out + f->used;

	while (n < room && p + n < f->end && (uint8_t)((p[n] | 0x20) - 'a') < 26) {
		out[n] = (char)(p[n] | 0x20);
		n++;
	}
	f->used += n;
	f->at += n;
}

size_t rc_reply_fold(const char *text, size_t len, const char *enhanced, char *out, size_t max)
{
	struct folding f = { .at = (const uint8_t *)text, .out = out, .max = max };
	size_t enhanced_len = enhanced ? strlen(enhanced) : 0;
	bool line_start = true;

	f.end = f.at + len;
	edge(&f);
	while (f.at < f.end) {
		if (line_start && enhanced_len && (size_t)(f.end - f.at) > enhanced_len &&
		    memcmp(f.at, enhanced, enhanced_len) == 0 && f.at[enhanced_len] <= ' ')
			f.at += enhanced_len;
		else
			letters(&f);
		line_start = f.at < f.end && *f.at == '\n';
		if (f.at < f.end && *f.at >= 0x80)
			beyond_ascii(&f);
		else if (f.at < f.end)
			ascii(&f);
	}
	edge(&f);
	if (out[f.used - 1] != ' ')
		out[f.used++] = ' ';
	return f.used;
}
