/* See net.h. */
#include "coordinator/core/net.h"

#include <stdlib.h>
#include <string.h>

static bool parse_v4(const char *s, size_t len, uint8_t out[4])
{
	size_t i = 0;

	for (int part = 0; part < 4; part++) {
		unsigned value = 0, digits = 0;

		if (part && (i >= len || s[i++] != '.'))
			return false;
		for (; i < len && s[i] >= '0' && s[i] <= '9' && digits < 4; i++, digits++)
			value = 10 * value + (unsigned)(s[i] - '0');
		if (!digits || digits > 3 || value > 255)
			return false;
		out[part] = (uint8_t)value;
	}
	return i == len;
}

static int hex_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* RFC 4291, 2.2: groups of four digits, one run of zero groups as "::", perhaps a v4 at the end. */
static bool parse_v6(const char *s, size_t len, uint8_t out[16])
{
	uint8_t head[16] = { 0 }, tail[16] = { 0 };
	size_t n_head = 0, n_tail = 0, i = 0;
	bool gap = false;

	if (len >= 2 && s[0] == ':' && s[1] == ':') {
		gap = true;
		i = 2;
	}
	while (i < len) {
		uint8_t *to = gap ? tail + n_tail : head + n_head;
		size_t start = i;
		unsigned value = 0;

		if (n_head + n_tail > 14)
			return false;
		for (; i < len && i - start < 4 && hex_of(s[i]) >= 0; i++)
			value = 16 * value + (unsigned)hex_of(s[i]);
		if (i < len && s[i] == '.' && n_head + n_tail <= 12 &&
		    parse_v4(s + start, len - start, to)) {
			*(gap ? &n_tail : &n_head) += 4;
			i = len;
			break;
		}
		if (i == start)
			return false;
		to[0] = (uint8_t)(value >> 8);
		to[1] = (uint8_t)value;
		*(gap ? &n_tail : &n_head) += 2;
		if (i == len)
			break;
		if (s[i++] != ':' || i == len)
			return false;
		if (s[i] == ':') {
			if (gap)
				return false;
			gap = true;
			i++;
		}
	}
	if (gap ? n_head + n_tail > 14 : n_head != 16)
		return false;
	memset(out, 0, 16);
	memcpy(out, head, n_head);
	memcpy(out + 16 - n_tail, tail, n_tail);
	return true;
}

bool net_parse(const char *s, struct net *ret)
{
	const char *slash = strchr(s, '/');
	size_t len = slash ? (size_t)(slash - s) : strlen(s);
	struct net net = { .bits = 128 };
	unsigned widest;

	if (parse_v4(s, len, net.octets + 12)) {
		net.octets[10] = net.octets[11] = 0xff;
		widest = 32;
	} else if (parse_v6(s, len, net.octets)) {
		widest = 128;
	} else {
		return false;
	}
	if (slash) {
		char *end;
		unsigned long bits = strtoul(slash + 1, &end, 10);

		if (end == slash + 1 || *end || slash[1] < '0' || slash[1] > '9' || bits > widest)
			return false;
		net.bits = (unsigned)bits + 128 - widest;
	}
	*ret = net;
	return true;
}

bool net_holds(const struct net *net, const struct net *address)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	return memcmp(net->octets, address->octets, whole) == 0 &&
	       (!rest || ((net->octets[whole] ^ address->octets[whole]) &
			  (0xffu << (8 - rest) & 0xff)) == 0);
}
