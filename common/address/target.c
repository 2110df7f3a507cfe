/* See target.h. The ranges are those of the IANA IPv4 and IPv6 Special-Purpose Address Registries,
 * and multicast. */
#include "common/address/target.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* The first that holds the address names it. Globally reachable anycast of DNS and relays is here
 * too: no mail lives there. */
static const struct {
	struct rc_target_range range;
	const char *name;
} special[] = {
	{ { 4, 8, { 0 } }, "this network 0.0.0.0/8" },
	{ { 4, 8, { 10 } }, "private 10.0.0.0/8" },
	{ { 4, 10, { 100, 64 } }, "shared 100.64.0.0/10" },
	{ { 4, 8, { 127 } }, "loopback 127.0.0.0/8" },
	{ { 4, 16, { 169, 254 } }, "link-local 169.254.0.0/16" },
	{ { 4, 12, { 172, 16 } }, "private 172.16.0.0/12" },
	{ { 4, 24, { 192, 0, 0 } }, "IETF protocols 192.0.0.0/24" },
	{ { 4, 24, { 192, 0, 2 } }, "documentation 192.0.2.0/24" },
	{ { 4, 24, { 192, 31, 196 } }, "AS112 192.31.196.0/24" },
	{ { 4, 24, { 192, 52, 193 } }, "AMT 192.52.193.0/24" },
	{ { 4, 24, { 192, 88, 99 } }, "6to4 relays 192.88.99.0/24" },
	{ { 4, 16, { 192, 168 } }, "private 192.168.0.0/16" },
	{ { 4, 24, { 192, 175, 48 } }, "AS112 192.175.48.0/24" },
	{ { 4, 15, { 198, 18 } }, "benchmarking 198.18.0.0/15" },
	{ { 4, 24, { 198, 51, 100 } }, "documentation 198.51.100.0/24" },
	{ { 4, 24, { 203, 0, 113 } }, "documentation 203.0.113.0/24" },
	{ { 4, 4, { 224 } }, "multicast 224.0.0.0/4" },
	{ { 4, 32, { 255, 255, 255, 255 } }, "broadcast 255.255.255.255" },
	{ { 4, 4, { 240 } }, "reserved 240.0.0.0/4" },

	{ { 6, 128, { 0 } }, "unspecified ::" },
	{ { 6, 128, { [15] = 1 } }, "loopback ::1" },
	{ { 6, 96, { [10] = 0xff, [11] = 0xff } }, "IPv4-mapped ::ffff:0:0/96" },
	{ { 6, 96, { 0 } }, "IPv4-compatible ::/96" },
	{ { 6, 96, { 0x00, 0x64, 0xff, 0x9b } }, "NAT64 64:ff9b::/96" },
	{ { 6, 48, { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 } }, "NAT64 64:ff9b:1::/48" },
	{ { 6, 64, { 0x01 } }, "discard 100::/64" },
	{ { 6, 32, { 0x20, 0x01 } }, "Teredo 2001::/32" },
	{ { 6, 23, { 0x20, 0x01 } }, "IETF protocols 2001::/23" },
	{ { 6, 32, { 0x20, 0x01, 0x0d, 0xb8 } }, "documentation 2001:db8::/32" },
	{ { 6, 16, { 0x20, 0x02 } }, "6to4 2002::/16" },
	{ { 6, 48, { 0x26, 0x20, 0x00, 0x4f, 0x80, 0x00 } }, "AS112 2620:4f:8000::/48" },
	{ { 6, 20, { 0x3f, 0xff } }, "documentation 3fff::/20" },
	{ { 6, 16, { 0x5f, 0x00 } }, "segment routing 5f00::/16" },
	{ { 6, 7, { 0xfc } }, "unique local fc00::/7" },
	{ { 6, 10, { 0xfe, 0x80 } }, "link-local fe80::/10" },
	{ { 6, 10, { 0xfe, 0xc0 } }, "site-local fec0::/10" },
	{ { 6, 8, { 0xff } }, "multicast ff00::/8" },
};

static const struct rc_target_range global_v6 = { 6, 3, { 0x20 } };

static bool within(const struct rc_target_range *range, int family, const uint8_t *octets)
{
	size_t whole = range->bits / 8;
	unsigned rest = range->bits % 8;

	if (range->family != family || memcmp(range->octets, octets, whole) != 0)
		return false;
	return rest == 0 || (range->octets[whole] ^ octets[whole]) >> (8 - rest) == 0;
}

bool rc_target_public(int family, const uint8_t *octets, const char **ret_range)
{
	const char *name = NULL;

	if (family != 4 && family != 6)
		name = "neither IPv4 nor IPv6";
	for (size_t i = 0; !name && i < sizeof(special) / sizeof(*special); i++)
		if (within(&special[i].range, family, octets))
			name = special[i].name;
	if (!name && family == 6 && !within(&global_v6, family, octets))
		name = "outside of global unicast 2000::/3";
	if (name && ret_range)
		*ret_range = name;
	return !name;
}

/* One piece, NUL-terminated. */
static enum rc_status range_parse(char *piece, struct rc_target_range *ret, struct rc_error *err)
{
	struct rc_target_range range = { 0 };
	char shown[INET6_ADDRSTRLEN + 8], network[INET6_ADDRSTRLEN];
	char *slash = strchr(piece, '/');
	unsigned most, bits = 0;
	bool cut = false;

	snprintf(shown, sizeof(shown), "%s", piece);
	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, piece, range.octets) == 1)
		range.family = 4;
	else if (inet_pton(AF_INET6, piece, range.octets) == 1)
		range.family = 6;
	else
		return rc_error_set(
		    err, RC_INVALID,
		    "\"%s\" is no IP address or CIDR range such as 10.0.0.0/8 or fd00::/8", shown);
	most = range.family == 4 ? 32 : 128;
	if (slash) {
		const char *p = slash + 1;

		for (; *p >= '0' && *p <= '9' && bits <= most; p++)
			bits = bits * 10 + (unsigned)(*p - '0');
		if (p == slash + 1 || *p || bits > most)
			return rc_error_set(err, RC_INVALID,
					    "\"%s\": the prefix length must be 0 to %u", shown,
					    most);
	} else {
		bits = most;
	}
	for (unsigned i = bits; i < most; i++) {
		uint8_t mask = (uint8_t)(0x80u >> (i % 8));

		cut |= range.octets[i / 8] & mask;
		range.octets[i / 8] &= (uint8_t)~mask;
	}
	if (cut) {
		inet_ntop(range.family == 4 ? AF_INET : AF_INET6, range.octets, network,
			  sizeof(network));
		return rc_error_set(
		    err, RC_INVALID,
		    "\"%s\" has bits beyond its prefix; write %s/%u or the address alone", shown,
		    network, bits);
	}
	range.bits = (uint8_t)bits;
	*ret = range;
	return RC_OK;
}

enum rc_status rc_target_list_parse(const char *text, struct rc_target_list *ret_list,
				    struct rc_error *err)
{
	static const char between[] = ", \t\r\n";
	struct rc_target_list list = { 0 };

	for (; text; text += strcspn(text, between)) {
		char piece[INET6_ADDRSTRLEN + 8];
		enum rc_status status;
		size_t len;

		text += strspn(text, between);
		len = strcspn(text, between);
		if (len == 0)
			break;
		if (len >= sizeof(piece))
			return rc_error_set(err, RC_INVALID,
					    "\"%.60s\" is no IP address or CIDR range", text);
		if (list.count == RC_TARGETS_MAX)
			return rc_error_set(err, RC_LIMIT, "more than %d address ranges",
					    RC_TARGETS_MAX);
		memcpy(piece, text, len);
		piece[len] = '\0';
		status = range_parse(piece, &list.ranges[list.count], err);
		if (status != RC_OK)
			return status;
		list.count++;
	}
	*ret_list = list;
	return RC_OK;
}

bool rc_target_listed(const struct rc_target_list *list, int family, const uint8_t *octets)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (within(&list->ranges[i], family, octets))
			return true;
	return false;
}

bool rc_target_allowed(const struct rc_target_list *list, int family, const uint8_t *octets,
		       const char **ret_why)
{
	return rc_target_listed(list, family, octets) || rc_target_public(family, octets, ret_why);
}
