#include "worker/core/ip.h"

#include <stdio.h>
#include <string.h>

enum { GROUPS = 8 };

static char *put_octet(char *at, unsigned value)
{
	if (value >= 100)
		*at++ = (char)('0' + value / 100);
	if (value >= 10)
		*at++ = (char)('0' + value / 10 % 10);
	*at++ = (char)('0' + value % 10);
	return at;
}

/* Each connection is written down with its address: no printf for the common kind. */
static void format_v4(const uint8_t octets[4], char *at)
{
	for (int i = 0; i < 4; i++) {
		at = put_octet(at, octets[i]);
		*at++ = i < 3 ? '.' : '\0';
	}
}

const char *ip_format(const struct probe_ip *ip, char ret_text[IP_TEXT_MAX])
{
	unsigned group[GROUPS];
	int best = -1, best_n = 1;
	size_t used = 0;

	if (ip->family == 4) {
		format_v4(ip->octets, ret_text);
		return ret_text;
	}
	for (int i = 0; i < GROUPS; i++)
		group[i] = (unsigned)ip->octets[2 * i] << 8 | ip->octets[2 * i + 1];
	/* RFC 5952, 4.2: the first longest run of two or more zero groups. */
	for (int i = 0; i < GROUPS; i++) {
		int n = 0;

		while (i + n < GROUPS && group[i + n] == 0)
			n++;
		if (n > best_n) {
			best = i;
			best_n = n;
		}
	}
	ret_text[0] = '\0';
	for (int i = 0; i < GROUPS; i++) {
		if (i == best) {
			used += (size_t)snprintf(ret_text + used, IP_TEXT_MAX - used, "::");
			i += best_n - 1;
			continue;
		}
		const bool colon = i > 0 && ret_text[used - 1] != ':';

		used += (size_t)snprintf(ret_text + used, IP_TEXT_MAX - used, "%s%x",
					 colon ? ":" : "", group[i]);
	}
	return ret_text;
}

static bool parse_v4(const char *text, uint8_t octets[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned value = 0;
		int digits = 0;

		while (*text >= '0' && *text <= '9' && digits < 4) {
			value = 10 * value + (unsigned)(*text++ - '0');
			digits++;
		}
		if (digits == 0 || digits > 3 || value > 255)
			return false;
		octets[i] = (uint8_t)value;
		if (*text != (i < 3 ? '.' : '\0'))
			return false;
		text++;
	}
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool parse_v6(const char *text, uint8_t octets[16])
{
	uint8_t out[16] = { 0 };
	int n = 0, gap = -1;

	if (text[0] == ':' && text[1] != ':')
		return false;
	if (text[0] == ':')
		text++;
	while (*text != '\0') {
		if (*text == ':') {
			if (gap >= 0)
				return false;
			gap = n;
			text++;
			continue;
		}
		if (n == GROUPS)
			return false;
		if (strchr(text, ':') == NULL && strchr(text, '.') != NULL) {
			if (n > GROUPS - 2 || !parse_v4(text, out + 2 * n))
				return false;
			n += 2;
			break;
		}
		unsigned value = 0;
		int digits = 0;

		while (hex_value(*text) >= 0 && digits < 5) {
			value = value << 4 | (unsigned)hex_value(*text++);
			digits++;
		}
		if (digits == 0 || digits > 4)
			return false;
		out[2 * n] = (uint8_t)(value >> 8);
		out[2 * n + 1] = (uint8_t)value;
		n++;
		if (*text == ':') {
			text++;
			if (*text == '\0')
				return false;
		} else if (*text != '\0') {
			return false;
		}
	}
	if (gap < 0 ? n != GROUPS : n >= GROUPS)
		return false;
	memset(octets, 0, 16);
	if (gap < 0)
		gap = n;
	memcpy(octets, out, (size_t)gap * 2);
	memcpy(octets + 16 - (size_t)(n - gap) * 2, out + (size_t)gap * 2, (size_t)(n - gap) * 2);
	return true;
}

bool ip_parse(const char *text, struct probe_ip *ret_ip)
{
	struct probe_ip ip = { 0 };

	if (strchr(text, ':') != NULL) {
		ip.family = 6;
		if (!parse_v6(text, ip.octets))
			return false;
	} else {
		ip.family = 4;
		if (!parse_v4(text, ip.octets))
			return false;
	}
	*ret_ip = ip;
	return true;
}

bool ip_same(const struct probe_ip *left, const struct probe_ip *right)
{
	return left->family == right->family &&
	       memcmp(left->octets, right->octets, left->family == 4 ? 4 : 16) == 0;
}
