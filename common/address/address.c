/* See address.h. */
#include "common/address/address.h"

#include <string.h>
#include <strings.h>

#include "common/address/utf8.h"

/* RFC 5321, 4.1.2: Local-part = Dot-string / Quoted-string; RFC 6531, 3.3: atext =/ UTF8-non-ascii,
 * qtextSMTP likewise. */
enum { OTHER = 0, ATEXT, DOT, AT, HIGH };

static const unsigned char classes[256] = {
	['0' ... '9'] = ATEXT,	['A' ... 'Z'] = ATEXT, ['a' ... 'z'] = ATEXT, ['!'] = ATEXT,
	['#'] = ATEXT,		['$'] = ATEXT,	       ['%'] = ATEXT,	      ['&'] = ATEXT,
	['\''] = ATEXT,		['*'] = ATEXT,	       ['+'] = ATEXT,	      ['-'] = ATEXT,
	['/'] = ATEXT,		['='] = ATEXT,	       ['?'] = ATEXT,	      ['^'] = ATEXT,
	['_'] = ATEXT,		['`'] = ATEXT,	       ['{'] = ATEXT,	      ['|'] = ATEXT,
	['}'] = ATEXT,		['~'] = ATEXT,	       ['.'] = DOT,	      ['@'] = AT,
	[0x80 ... 0xff] = HIGH,
};

static bool ascii_blank(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What nobody sees: allowed around an address, where spreadsheets leave it, never within. */
static bool invisible(uint32_t code)
{
	return (code >= 0x80 && code <= 0xa0) || code == 0xad || code == 0x1680 ||
	       (code >= 0x2000 && code <= 0x200b) || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202f) || code == 0x205f || code == 0x2060 ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0x3000 || code == 0xfeff;
}

static void trim(const char **text, size_t *len)
{
	const unsigned char *p = (const unsigned char *)*text, *end = p + *len;
	uint32_t code;
	size_t n;

	while (p < end) {
		if (ascii_blank(*p))
			p++;
		else if (*p >= 0x80 && (n = rc_utf8_next(p, (size_t)(end - p), &code)) &&
			 invisible(code) && code >= 0xa0)
			p += n;
		else
			break;
	}
	while (p < end) {
		const unsigned char *start = end - 1;

		if (ascii_blank(*start)) {
			end = start;
			continue;
		}
		while (start > p && end - start < 4 && (*start & 0xc0) == 0x80)
			start--;
		n = *start >= 0x80 ? rc_utf8_next(start, (size_t)(end - start), &code) : 0;
		if (!n || start + n != end || !invisible(code) || code < 0xa0)
			break;
		end = start;
	}
	*text = (const char *)p;
	*len = (size_t)(end - p);
}

static const char *bad_local_octet(unsigned char c)
{
	if (c < 0x20 || c == 0x7f)
		return "A control character stands in the address.";
	switch (c) {
	case ' ':
		return "A blank stands before the @.";
	case ',':
	case ';':
		return "A comma or semicolon stands before the @.";
	case '<':
	case '>':
		return "Angle brackets are not part of an address.";
	case '"':
	case '\\':
		return "A quote or backslash stands outside of a quoted local part.";
	default:
		return "A character before the @ is not allowed there.";
	}
}

/* A character beyond ASCII. Its length, or 0 with the reason. */
static size_t high_step(const char *text, size_t len, const char **ret_reason)
{
	uint32_t code;
	size_t n = rc_utf8_next((const unsigned char *)text, len, &code);

	if (!n)
		*ret_reason = "The address is not UTF-8.";
	else if (invisible(code)) {
		*ret_reason = "An invisible character stands in the address.";
		n = 0;
	}
	return n;
}

/* Dot-string = Atom *("." Atom). Stops at the @. NULL when good, *ret_len its length. */
static const char *dot_string(const char *text, size_t len, size_t *ret_len, bool *ret_smtputf8)
{
	const char *reason = NULL;
	size_t i = 0, n, atom = 0;

	for (;;) {
		if (i == len)
			return "There is no @.";
		switch (classes[(unsigned char)text[i]]) {
		case ATEXT:
			i++;
			break;
		case DOT:
			if (i == 0)
				return "The part before the @ begins with a dot.";
			if (i == atom)
				return "Two dots in a row stand before the @.";
			atom = ++i;
			break;
		case AT:
			if (i == 0)
				return "Nothing stands before the @.";
			if (i == atom)
				return "The part before the @ ends with a dot.";
			*ret_len = i;
			return NULL;
		case HIGH:
			n = high_step(text + i, len - i, &reason);
			if (!n)
				return reason;
			*ret_smtputf8 = true;
			i += n;
			break;
		default:
			return bad_local_octet((unsigned char)text[i]);
		}
	}
}

/* Quoted-string = DQUOTE *(qtextSMTP / quoted-pairSMTP) DQUOTE. */
static const char *quoted_string(const char *text, size_t len, size_t *ret_len, bool *ret_smtputf8)
{
	const char *reason = NULL;
	size_t i = 1, n;

	for (; i < len && text[i] != '"'; i += n) {
		unsigned char c = (unsigned char)text[i];

		n = 1;
		if (c == '\\') {
			if (i + 1 == len)
				return "The quoted part before the @ is not closed.";
			c = (unsigned char)text[i + 1];
			if (c >= 0x80)
				return "A backslash stands before a character beyond ASCII.";
			n = 2;
		}
		if (c < 0x20 || c == 0x7f)
			return "A control character stands in the address.";
		if (c >= 0x80) {
			n = high_step(text + i, len - i, &reason);
			if (!n)
				return reason;
			*ret_smtputf8 = true;
		}
	}
	if (i == len)
		return "The quoted part before the @ is not closed.";
	i++;
	if (i == len)
		return "There is no @.";
	if (text[i] != '@')
		return "Something stands between the quoted part and the @.";
	*ret_len = i;
	return NULL;
}

/* The whole grammar on trimmed text. NULL when good. */
static const char *parse(const char *text, size_t len, struct rc_address *ret)
{
	const char *reason;
	size_t local_len = 0, domain_len = 0;

	if (len > RC_ADDRESS_INPUT_MAX)
		return "The address is longer than 254 octets.";
	ret->quoted = text[0] == '"';
	reason = ret->quoted ? quoted_string(text, len, &local_len, &ret->smtputf8)
			     : dot_string(text, len, &local_len, &ret->smtputf8);
	if (reason)
		return reason;
	if (local_len > RC_LOCAL_MAX)
		return "The part before the @ is longer than 64 octets.";
	if (rc_domain_normalize(text + local_len + 1, len - local_len - 1, ret->domain, &domain_len,
				&reason) != RC_OK)
		return reason;
	if (local_len + 1 + domain_len > RC_ADDRESS_MAX)
		return "The address is longer than 254 octets.";
	memcpy(ret->local, text, local_len);
	ret->local[local_len] = '\0';
	ret->local_len = (uint8_t)local_len;
	ret->domain_len = (uint8_t)domain_len;
	return NULL;
}

/* ---- what was meant */

/* Keeps `text` as the suggestion if it is a good address. */
static bool suggest(const char *text, size_t len, struct rc_address *ret)
{
	struct rc_address other = { 0 };

	trim(&text, &len);
	if (len == 0 || parse(text, len, &other))
		return false;
	rc_address_format(&other, ret->did_you_mean);
	return true;
}

static bool has_prefix(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* A row that smuggles line ends gets no help. */
static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return true;
	return false;
}

/* "a @b.example", "a@b.example" with a blank or something unseen within. */
static bool suggest_without_blanks(const char *text, size_t len, struct rc_address *ret)
{
	char copy[RC_ADDRESS_INPUT_MAX];
	size_t kept = 0, n;

	if (memchr(text, '"', len))
		return false;
	for (size_t i = 0; i < len; i += n) {
		uint32_t code = 0;

		n = rc_utf8_next((const unsigned char *)text + i, len - i, &code);
		if (!n)
			return false;
		if (code == ' ' || (code >= 0xa0 && invisible(code)))
			continue;
		memcpy(copy + kept, text + i, n);
		kept += n;
	}
	return kept < len && suggest(copy, kept, ret);
}

/* Sets reason and did_you_mean of a bad one where a known habit explains it. */
static void explain(const char *text, size_t len, struct rc_address *ret)
{
	static const char around[] = "<>()[]{}\"',;:.";
	const char *open, *close;

	if (len > RC_ADDRESS_INPUT_MAX)
		return;
	if (has_control(text, len)) {
		ret->reason = "A control character stands in the address.";
		return;
	}
	if (has_prefix(text, len, "mailto:")) {
		const char *start = text + 7, *query = memchr(start, '?', len - 7);

		ret->reason = "mailto: is a link, not part of the address.";
		suggest(start, query ? (size_t)(query - start) : len - 7, ret);
		return;
	}
	open = memrchr(text, '<', len);
	close = open ? memchr(open, '>', len - (size_t)(open - text)) : NULL;
	if (close) {
		ret->reason = "A name or angle brackets stand around the address.";
		if (has_prefix(open + 1, (size_t)(close - open - 1), "mailto:"))
			open += 7;
		suggest(open + 1, (size_t)(close - open - 1), ret);
		return;
	}
	if (suggest_without_blanks(text, len, ret))
		return;
	while (len && memchr(around, text[0], sizeof(around) - 1)) {
		text++;
		len--;
	}
	while (len && memchr(around, text[len - 1], sizeof(around) - 1))
		len--;
	suggest(text, len, ret);
}

enum rc_address_status rc_address_parse(const char *text, size_t len, struct rc_address *ret)
{
	/* The texts are not cleared as a whole: half a kilobyte a row would cost more than the
	 * parsing. */
	ret->status = RC_ADDRESS_OK;
	ret->reason = NULL;
	ret->smtputf8 = ret->quoted = false;
	ret->local_len = ret->domain_len = 0;
	ret->local[0] = ret->domain[0] = ret->did_you_mean[0] = '\0';

	trim(&text, &len);
	if (len == 0)
		return ret->status = RC_ADDRESS_BLANK;
	ret->reason = parse(text, len, ret);
	if (!ret->reason)
		return RC_ADDRESS_OK;
	ret->status = RC_ADDRESS_BAD;
	ret->smtputf8 = ret->quoted = false;
	ret->domain[0] = '\0';
	explain(text, len, ret);
	return RC_ADDRESS_BAD;
}

size_t rc_address_format(const struct rc_address *address, char ret_text[RC_ADDRESS_SIZE])
{
	size_t len = address->local_len;

	memcpy(ret_text, address->local, len);
	ret_text[len++] = '@';
	memcpy(ret_text + len, address->domain, (size_t)address->domain_len + 1);
	return len + address->domain_len;
}

size_t rc_address_key(const struct rc_address *address, char ret_key[RC_ADDRESS_SIZE])
{
	size_t len = rc_address_format(address, ret_key);

	for (size_t i = 0; i < address->local_len; i++)
		if (ret_key[i] >= 'A' && ret_key[i] <= 'Z')
			ret_key[i] = (char)(ret_key[i] + ('a' - 'A'));
	return len;
}
