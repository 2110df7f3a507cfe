/* See domain.h. */
#include "common/address/domain.h"

#include <idn2.h>
#include <libpsl.h>
#include <string.h>

#include "common/address/utf8.h"

enum { DOMAIN_INPUT_MAX = 1024 }; /* octets of UTF-8 given to libidn2 */

/* Letters and digits map to their lower case, the hyphen and the dot to themselves, the rest to 0.
 */
static const unsigned char ldh[256] = {
	['-'] = '-', ['.'] = '.', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4',
	['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b',
	['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i',
	['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
	['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w',
	['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd',
	['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k',
	['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',
	['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y',
	['Z'] = 'z',
};

static const char *bad_octet(unsigned char octet)
{
	if (octet < 0x20 || octet == 0x7f)
		return "A control character stands in the domain.";
	switch (octet) {
	case '@':
		return "There is more than one @.";
	case ' ':
		return "A blank stands in the domain.";
	case '_':
		return "An underscore is not allowed in a mail domain.";
	case ',':
	case ';':
		return "The domain holds a comma or semicolon.";
	default:
		return "The domain holds a character that is not allowed there.";
	}
}

static const char *bad_label(const char *label, size_t len)
{
	if (len == 0)
		return "The domain has an empty label: two dots in a row, or one in front.";
	if (len > RC_LABEL_MAX)
		return "A label of the domain is longer than 63 octets.";
	if (label[0] == '-' || label[len - 1] == '-')
		return "A label of the domain begins or ends with a hyphen.";
	return NULL;
}

/*
 * Somebody else's A-label must at least decode. Whether its characters are allowed today is left to
 * who registered it: emoji domains are forbidden by IDNA2008, and take mail.
 */
static const char *bad_alabels(const char *domain)
{
	char *unicode = NULL;
	int rc = idn2_to_unicode_8z8z(domain, &unicode, IDN2_NONTRANSITIONAL);

	idn2_free(unicode);
	switch (rc) {
	case IDN2_PUNYCODE_BAD_INPUT:
	case IDN2_PUNYCODE_OVERFLOW:
	case IDN2_PUNYCODE_BIG_OUTPUT:
	case IDN2_ENCODING_ERROR:
	case IDN2_INVALID_ALABEL:
		return "A label beginning with xn-- is not Punycode.";
	default:
		return NULL;
	}
}

/* ASCII in, the A-label form out; NULL when good, else the reason. */
static const char *normalize_ascii(const char *text, size_t len, char out[RC_DOMAIN_SIZE],
				   size_t *ret_len)
{
	size_t start = 0, labels = 0;
	bool numeric = true, alabel = false;
	const char *reason;

	if (len == 0)
		return "Nothing stands after the @.";
	if (text[0] == '[')
		return "An address literal in brackets is not a domain.";
	if (len > RC_DOMAIN_MAX + 1)
		return "The domain is longer than 253 octets.";
	if (text[len - 1] == '.')
		return "The domain ends with a dot.";
	if (len > RC_DOMAIN_MAX)
		return "The domain is longer than 253 octets.";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = ldh[(unsigned char)text[i]];

		if (!c)
			return bad_octet((unsigned char)text[i]);
		out[i] = (char)c;
		if (c == '.') {
			reason = bad_label(out + start, i - start);
			if (reason)
				return reason;
			alabel |= i - start > 4 && memcmp(out + start, "xn--", 4) == 0;
			start = i + 1;
			labels++;
			numeric = true;
		} else if (c > '9' || c < '0') {
			numeric = false;
		}
	}
	out[len] = '\0';
	reason = bad_label(out + start, len - start);
	if (reason)
		return reason;
	if (numeric)
		return labels == 3 ? "The domain is an IP address."
				   : "The top-level domain is a number.";
	if (labels == 0)
		return "The domain has only one label.";
	alabel |= len - start > 4 && memcmp(out + start, "xn--", 4) == 0;
	if (alabel) {
		reason = bad_alabels(out);
		if (reason)
			return reason;
	}
	*ret_len = len;
	return NULL;
}

/* What libidn2 would take or map away without a word, and what must be named before it. */
static const char *bad_unicode(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t code;
		size_t n = rc_utf8_next((const unsigned char *)text + i, len - i, &code);

		if (!n)
			return "The address is not UTF-8.";
		if (code < 0x80 && !ldh[code])
			return bad_octet((unsigned char)code);
		if (code >= 0x80 && code < 0xa0)
			return "A control character stands in the domain.";
		i += n;
	}
	return NULL;
}

static const char *normalize_unicode(const char *text, size_t len, char out[RC_DOMAIN_SIZE],
				     size_t *ret_len)
{
	char copy[DOMAIN_INPUT_MAX + 1];
	uint8_t *ascii = NULL;
	const char *reason;
	int rc;

	if (text[0] == '[')
		return "An address literal in brackets is not a domain.";
	if (len > DOMAIN_INPUT_MAX)
		return "The domain is longer than 253 octets.";
	reason = bad_unicode(text, len);
	if (reason)
		return reason;
	memcpy(copy, text, len);
	copy[len] = '\0';
	rc = idn2_lookup_u8((const uint8_t *)copy, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	switch (rc) {
	case IDN2_OK:
		reason =
		    normalize_ascii((const char *)ascii, strlen((const char *)ascii), out, ret_len);
		break;
	case IDN2_TOO_BIG_DOMAIN:
		reason = "The domain is longer than 253 octets.";
		break;
	case IDN2_TOO_BIG_LABEL:
		reason = "A label of the domain is longer than 63 octets.";
		break;
	default:
		reason = "The domain is not an internationalised name that IDNA2008 allows.";
		break;
	}
	idn2_free(ascii);
	return reason;
}

static bool is_ascii(const char *text, size_t len)
{
	unsigned char seen = 0;

	for (size_t i = 0; i < len; i++)
		seen |= (unsigned char)text[i];
	return seen < 0x80;
}

enum rc_status rc_domain_normalize(const char *text, size_t len, char ret_domain[RC_DOMAIN_SIZE],
				   size_t *ret_len, const char **ret_reason)
{
	size_t out_len = 0;
	const char *reason = is_ascii(text, len)
				 ? normalize_ascii(text, len, ret_domain, &out_len)
				 : normalize_unicode(text, len, ret_domain, &out_len);

	if (reason) {
		ret_domain[0] = '\0';
		if (ret_reason)
			*ret_reason = reason;
		return RC_INVALID;
	}
	if (ret_len)
		*ret_len = out_len;
	return RC_OK;
}

const char *rc_domain_registrable(const char *domain)
{
	const psl_ctx_t *psl = psl_builtin();
	const char *found = psl ? psl_registrable_domain(psl, domain) : NULL;
	const char *last, *p;

	if (found)
		return found;
	last = strrchr(domain, '.');
	for (p = last; p && p > domain; p--)
		if (p[-1] == '.')
			return p;
	return domain;
}

bool rc_domain_within(const char *domain, const char *parent)
{
	size_t len = strlen(domain), parent_len = strlen(parent);

	if (parent_len == 0 || len < parent_len ||
	    memcmp(domain + len - parent_len, parent, parent_len) != 0)
		return false;
	return len == parent_len || domain[len - parent_len - 1] == '.';
}
