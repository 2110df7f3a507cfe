/* Every special range at both of its edges: the first and last address in it, and the neighbours
 * outside. */
#include "common/address/target.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* `before` and `after` are public unless another range borders: then its name is said. NULL: there
 * is none. */
static const struct {
	const char *first, *last, *name, *before, *after;
} ranges[] = {
	{ "0.0.0.0", "0.255.255.255", "this network", NULL, "1.0.0.0" },
	{ "10.0.0.0", "10.255.255.255", "private 10", "9.255.255.255", "11.0.0.0" },
	{ "100.64.0.0", "100.127.255.255", "shared", "100.63.255.255", "100.128.0.0" },
	{ "127.0.0.0", "127.255.255.255", "loopback", "126.255.255.255", "128.0.0.0" },
	{ "169.254.0.0", "169.254.255.255", "link-local", "169.253.255.255", "169.255.0.0" },
	{ "172.16.0.0", "172.31.255.255", "private 172", "172.15.255.255", "172.32.0.0" },
	{ "192.0.0.0", "192.0.0.255", "IETF protocols", "191.255.255.255", "192.0.1.0" },
	{ "192.0.2.0", "192.0.2.255", "documentation 192", "192.0.1.255", "192.0.3.0" },
	{ "192.31.196.0", "192.31.196.255", "AS112", "192.31.195.255", "192.31.197.0" },
	{ "192.52.193.0", "192.52.193.255", "AMT", "192.52.192.255", "192.52.194.0" },
	{ "192.88.99.0", "192.88.99.255", "6to4 relays", "192.88.98.255", "192.88.100.0" },
	{ "192.168.0.0", "192.168.255.255", "private 192", "192.167.255.255", "192.169.0.0" },
	{ "192.175.48.0", "192.175.48.255", "AS112", "192.175.47.255", "192.175.49.0" },
	{ "198.18.0.0", "198.19.255.255", "benchmarking", "198.17.255.255", "198.20.0.0" },
	{ "198.51.100.0", "198.51.100.255", "documentation 198", "198.51.99.255", "198.51.101.0" },
	{ "203.0.113.0", "203.0.113.255", "documentation 203", "203.0.112.255", "203.0.114.0" },
	{ "224.0.0.0", "239.255.255.255", "multicast", "223.255.255.255", NULL },
	{ "240.0.0.0", "255.255.255.254", "reserved", NULL, NULL },
	{ "255.255.255.255", "255.255.255.255", "broadcast", NULL, NULL },

	{ "::", "::", "unspecified", NULL, NULL },
	{ "::1", "::1", "loopback", NULL, NULL },
	{ "::2", "::255.255.255.255", "IPv4-compatible", NULL, NULL },
	{ "::ffff:0.0.0.0", "::ffff:255.255.255.255", "IPv4-mapped", NULL, NULL },
	{ "::ffff:8.8.8.8", "::ffff:127.0.0.1", "IPv4-mapped", NULL, NULL },
	{ "64:ff9b::", "64:ff9b::ffff:ffff", "NAT64 64:ff9b::", NULL, NULL },
	{ "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "NAT64 64:ff9b:1", NULL, NULL },
	{ "100::", "100::ffff:ffff:ffff:ffff", "discard", NULL, NULL },
	{ "100:0:0:1::", "1fff:ffff::", "outside of global unicast", NULL, "2000::" },
	{ "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo",
	  "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL },
	{ "2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "IETF protocols", NULL,
	  "2001:200::" },
	{ "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation 2001",
	  "2001:db7:ffff::", "2001:db9::" },
	{ "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4", "2001:ffff::1", "2003::" },
	{ "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "AS112",
	  "2620:4f:7fff:ffff::", "2620:4f:8001::" },
	{ "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation 3fff",
	  "3ffe:ffff::", "3fff:1000::" },
	{ "4000::", "5eff:ffff::", "outside of global unicast", "3fff:ffff::", NULL },
	{ "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "segment routing", NULL, NULL },
	{ "5f01::", "fbff:ffff::", "outside of global unicast", NULL, NULL },
	{ "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique local", NULL, NULL },
	{ "fe00::", "fe7f:ffff::", "outside of global unicast", NULL, NULL },
	{ "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local", NULL, NULL },
	{ "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local", NULL, NULL },
	{ "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast", NULL, NULL },
};

static const char *const open_ones[] = {
	"1.1.1.1",
	"8.8.8.8",
	"192.0.1.1",
	"193.0.0.1",
	"223.255.255.254",
	"2000::1",
	"2001:4860:4860::8888",
	"2a00:1450::1b",
	"2606:4700::1111",
	"2620:4f:7000::1",
};

static int octets_of(const char *text, uint8_t ret[16])
{
	if (inet_pton(AF_INET, text, ret) == 1)
		return 4;
	assert_int_equal(inet_pton(AF_INET6, text, ret), 1);
	return 6;
}

static void assert_public(const char *text)
{
	uint8_t octets[16] = { 0 };
	const char *range = "untouched";
	int family = octets_of(text, octets);

	if (!rc_target_public(family, octets, &range))
		fail_msg("%s is said to be %s", text, range);
	assert_string_equal(range, "untouched");
	assert_true(rc_target_allowed(NULL, family, octets, NULL));
}

static void assert_special(const char *text, const char *name)
{
	uint8_t octets[16] = { 0 };
	const char *range = NULL, *why = NULL;
	int family = octets_of(text, octets);

	if (rc_target_public(family, octets, &range))
		fail_msg("%s is said to be public", text);
	if (strncmp(range, name, strlen(name)) != 0)
		fail_msg("%s is said to be %s", text, range);
	assert_false(rc_target_public(family, octets, NULL));
	assert_false(rc_target_allowed(NULL, family, octets, &why));
	assert_ptr_equal(why, range);
}

static void every_range_ends_where_its_registry_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		assert_special(ranges[i].first, ranges[i].name);
		assert_special(ranges[i].last, ranges[i].name);
		if (ranges[i].before)
			assert_public(ranges[i].before);
		if (ranges[i].after)
			assert_public(ranges[i].after);
	}
	for (size_t i = 0; i < sizeof(open_ones) / sizeof(*open_ones); i++)
		assert_public(open_ones[i]);
}

static void another_family_is_never_public(void **state)
{
	const uint8_t octets[16] = { 8, 8, 8, 8 };
	const char *range = NULL;

	(void)state;
	assert_false(rc_target_public(0, octets, &range));
	assert_string_equal(range, "neither IPv4 nor IPv6");
	assert_false(rc_target_public(10, octets, NULL));
}

static void what_the_list_names_is_allowed_and_no_more(void **state)
{
	static const struct {
		const char *list, *address;
		bool allowed, listed;
	} cases[] = {
		{ NULL, "127.0.0.1", false, false },
		{ "", "127.0.0.1", false, false },
		{ " , ", "8.8.8.8", true, false },
		{ "127.0.0.0/8", "127.255.255.255", true, true },
		{ "127.0.0.0/8", "128.0.0.0", true, false },
		{ "127.0.0.0/8", "::1", false, false },
		{ "127.0.0.0/8", "::ffff:127.0.0.1", false, false },
		{ "10.1.0.0/16,192.168.7.9", "10.1.255.1", true, true },
		{ "10.1.0.0/16,192.168.7.9", "10.2.0.0", false, false },
		{ "10.1.0.0/16 ,\t192.168.7.9\n", "192.168.7.9", true, true },
		{ "10.1.0.0/16 192.168.7.9", "192.168.7.8", false, false },
		{ "127.0.0.128/25", "127.0.0.127", false, false },
		{ "127.0.0.128/25", "127.0.0.128", true, true },
		{ "::1", "::1", true, true },
		{ "fd00::/8", "fd12::1", true, true },
		{ "fd00::/8", "fc12::1", false, false },
		{ "0.0.0.0/0", "10.0.0.1", true, true },
		{ "0.0.0.0/0", "::1", false, false },
		{ "8.8.8.8", "8.8.8.8", true, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rc_target_list list;
		uint8_t octets[16] = { 0 };
		int family = octets_of(cases[i].address, octets);

		assert_int_equal(rc_target_list_parse(cases[i].list, &list, NULL), RC_OK);
		if (rc_target_allowed(&list, family, octets, NULL) != cases[i].allowed ||
		    rc_target_listed(&list, family, octets) != cases[i].listed)
			fail_msg("\"%s\" and %s", cases[i].list, cases[i].address);
	}
}

static void a_bad_piece_is_named_and_the_list_is_left_alone(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "localhost", "\"localhost\" is no IP address" },
		{ "10.0.0.0/8,nonsense", "\"nonsense\"" },
		{ "10.0.0.0/33", "\"10.0.0.0/33\": the prefix length must be 0 to 32" },
		{ "::/129", "0 to 128" },
		{ "10.0.0.0/", "prefix length" },
		{ "10.0.0.0/-1", "prefix length" },
		{ "10.0.0.0/8x", "prefix length" },
		{ "10.0.0.0/ 8", "prefix length" },
		{ "10.0.0.0/99999999999999999999", "prefix length" },
		{ "10.0.0.1/8", "write 10.0.0.0/8" },
		{ "fd00::1/8", "write fd00::/8" },
		{ "10.0.0", "\"10.0.0\"" },
		{ "010.0.0.1", "\"010.0.0.1\"" },
		{ "10.0.0.256", "\"10.0.0.256\"" },
		{ "fe80::1%eth0", "\"fe80::1%eth0\"" },
		{ "[::1]", "\"[::1]\"" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaa",
		  "\"aaaa" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rc_target_list list = { .count = 99 };
		struct rc_error err = { 0 };

		assert_int_equal(rc_target_list_parse(cases[i].text, &list, &err), RC_INVALID);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_int_equal(list.count, 99);
	}
}

static void a_list_has_an_end(void **state)
{
	char text[RC_TARGETS_MAX * 16 + 32] = "";
	struct rc_target_list list;

	(void)state;
	for (int i = 0; i < RC_TARGETS_MAX; i++)
		snprintf(text + strlen(text), 16, "10.0.0.%d ", i);
	assert_int_equal(rc_target_list_parse(text, &list, NULL), RC_OK);
	assert_int_equal(list.count, RC_TARGETS_MAX);
	strcat(text, "10.1.1.1");
	assert_int_equal(rc_target_list_parse(text, &list, NULL), RC_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_range_ends_where_its_registry_says),
		cmocka_unit_test(another_family_is_never_public),
		cmocka_unit_test(what_the_list_names_is_allowed_and_no_more),
		cmocka_unit_test(a_bad_piece_is_named_and_the_list_is_left_alone),
		cmocka_unit_test(a_list_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
