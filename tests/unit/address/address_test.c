/* Rows of lists: which are addresses, how they are spelt for the wire, what is said of the rest. */
#include "common/address/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define L63 A60 "aaa"
#define ROW(text)                                                                                  \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	} /* with its NULs */
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *text, *local, *domain;
	bool smtputf8, quoted;
} good[] = {
	{ "ann@example.com", "ann", "example.com", false, false },
	{ "a@b.co", "a", "b.co", false, false },
	{ "Ann.Lee@Example.COM", "Ann.Lee", "example.com", false, false },
	{ "  ann@example.com\t", "ann", "example.com", false, false },
	{ "ann@example.com\r\n", "ann", "example.com", false, false },
	{ "\xc2\xa0"
	  "ann@example.com\xe2\x80\x8b",
	  "ann", "example.com", false, false },
	{ "\xef\xbb\xbf"
	  "ann@example.com",
	  "ann", "example.com", false, false },
	{ "ann+tag@example.com", "ann+tag", "example.com", false, false },
	{ "=cmd@example.com", "=cmd", "example.com", false, false },
	{ "-ann@example.com", "-ann", "example.com", false, false },
	{ "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~", "example.com", false, false },
	{ "o'brien@example.ie", "o'brien", "example.ie", false, false },
	{ "a%b@example.com", "a%b", "example.com", false, false },
	{ "a!b@example.com", "a!b", "example.com", false, false },
	{ "0@example.com", "0", "example.com", false, false },
	{ "user@mail.sub.example.co.uk", "user", "mail.sub.example.co.uk", false, false },
	{ "user@1st.example", "user", "1st.example", false, false },
	{ "user@123.com", "user", "123.com", false, false },
	{ "user@1.2.3.x4", "user", "1.2.3.x4", false, false },
	{ "user@a-b.example", "user", "a-b.example", false, false },
	{ "user@a--b.example", "user", "a--b.example", false, false },
	{ "user@r3--sn.example", "user", "r3--sn.example", false, false },
	{ "user@example.test", "user", "example.test", false, false },
	{ "user@host.localhost", "user", "host.localhost", false, false },
	{ A60 "aaaa@example.com", A60 "aaaa", "example.com", false, false },
	{ "u@" L63 ".example", "u", L63 ".example", false, false },
	{ "\"ann\"@example.com", "\"ann\"", "example.com", false, true },
	{ "\"ann lee\"@example.com", "\"ann lee\"", "example.com", false, true },
	{ "\"a@b\"@example.com", "\"a@b\"", "example.com", false, true },
	{ "\"a\\\"b\"@example.com", "\"a\\\"b\"", "example.com", false, true },
	{ "\"a\\\\\"@example.com", "\"a\\\\\"", "example.com", false, true },
	{ "\"..\"@example.com", "\"..\"", "example.com", false, true },
	{ "\"\"@example.com", "\"\"", "example.com", false, true },
	{ "\"a<b>,;:()\"@example.com", "\"a<b>,;:()\"", "example.com", false, true },
	{ "j\xc3\xb6rg@example.com", "j\xc3\xb6rg", "example.com", true, false },
	{ "\xe7\x94\xa8\xe6\x88\xb7@example.com", "\xe7\x94\xa8\xe6\x88\xb7", "example.com", true,
	  false },
	{ "\xf0\x9f\x98\x80@example.com", "\xf0\x9f\x98\x80", "example.com", true, false },
	{ "\"j\xc3\xb6 g\"@example.com", "\"j\xc3\xb6 g\"", "example.com", true, true },
	{ "info@m\xc3\xbcnchen.de", "info", "xn--mnchen-3ya.de", false, false },
	{ "info@M\xc3\x9cNCHEN.DE", "info", "xn--mnchen-3ya.de", false, false },
	{ "info@mu\xcc\x88nchen.de", "info", "xn--mnchen-3ya.de", false, false },
	{ "info@stra\xc3\x9f"
	  "e.de",
	  "info", "xn--strae-oqa.de", false, false },
	{ "info@XN--MNCHEN-3YA.de", "info", "xn--mnchen-3ya.de", false, false },
	{ "info@xn--ls8h.la", "info", "xn--ls8h.la", false, false },
	{ "info@\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95", "info",
	  "xn--fsqu00a.xn--0zwm56d", false, false },
	{ "info@\xe4\xbe\x8b\xe5\xad\x90\xe3\x80\x82\xe6\xb5\x8b\xe8\xaf\x95", "info",
	  "xn--fsqu00a.xn--0zwm56d", false, false },
	{ "info@\xef\xbd\x87mail.com", "info", "gmail.com", false, false },
};

static const struct {
	const char *text, *says, *did_you_mean;
} bad[] = {
	{ "ann", "There is no @", "" },
	{ "example.com", "There is no @", "" },
	{ "@", "Nothing stands before the @", "" },
	{ "@example.com", "Nothing stands before the @", "" },
	{ "ann@", "Nothing stands after the @", "" },
	{ "ann@@example.com", "more than one @", "" },
	{ "ann@b@example.com", "more than one @", "" },
	{ ".ann@example.com", "begins with a dot", "ann@example.com" },
	{ "ann.@example.com", "ends with a dot", "" },
	{ "ann..lee@example.com", "Two dots in a row", "" },
	{ "ann lee@example.com", "A blank stands before the @", "annlee@example.com" },
	{ "ann @example.com", "A blank stands before the @", "ann@example.com" },
	{ "ann@ example.com", "A blank stands in the domain", "ann@example.com" },
	{ "ann@exam ple.com", "A blank stands in the domain", "ann@example.com" },
	{ "ann,lee@example.com", "comma", "" },
	{ "ann;@example.com", "comma", "" },
	{ "ann(x)@example.com", "not allowed there", "" },
	{ "ann:lee@example.com", "not allowed there", "" },
	{ "ann[1]@example.com", "not allowed there", "" },
	{ "ann\\lee@example.com", "backslash", "" },
	{ "an\"n@example.com", "quote", "" },
	{ "\"ann@example.com", "not closed", "ann@example.com" },
	{ "\"ann\\\"@example.com", "not closed", "" },
	{ "\"ann", "not closed", "" },
	{ "\"ann\"", "There is no @", "" },
	{ "\"ann\"lee@example.com", "between the quoted part and the @", "" },
	{ "\"ann@example.com\"", "There is no @", "ann@example.com" },
	{ "\"ann\\\xc3\xb6\"@example.com", "backslash", "" },
	{ A60 "aaaaa@example.com", "longer than 64", "" },
	{ "\"" A60 "aaa\"@example.com", "longer than 64", "" },
	{ "ann@localhost", "only one label", "" },
	{ "ann@com", "only one label", "" },
	{ "ann@example.com.", "ends with a dot", "ann@example.com" },
	{ "ann@.example.com", "empty label", "" },
	{ "ann@example..com", "empty label", "" },
	{ "ann@.", "ends with a dot", "" },
	{ "ann@[192.0.2.1]", "literal", "" },
	{ "ann@[IPv6:2001:db8::1]", "literal", "" },
	{ "ann@192.0.2.1", "IP address", "" },
	{ "ann@example.123", "top-level domain is a number", "" },
	{ "ann@1", "top-level domain is a number", "" },
	{ "ann@-example.com", "hyphen", "" },
	{ "ann@example-.com", "hyphen", "" },
	{ "ann@example.com-", "hyphen", "" },
	{ "ann@ex_ample.com", "underscore", "" },
	{ "ann@exa!mple.com", "not allowed there", "" },
	{ "ann@example,com", "comma", "" },
	{ "ann@example.com/path", "not allowed there", "" },
	{ "ann@" L63 "a.com", "longer than 63", "" },
	{ "ann@" L63 "." L63 "." L63 "." L63, "longer than 253", "" },
	{ A60 "@" L63 "." L63 "." L63 ".com", "longer than 254", "" },
	{ "ann@xn--a-\xc3\xb6.com", "IDNA2008", "" },
	{ "ann@xn--99999999999.com", "not Punycode", "" },
	{ "ann@\xf0\x9f\x92\xa9.la", "IDNA2008", "" },
	{ "ann@\xe2\x80\xae"
	  "example.com",
	  "IDNA2008", "ann@example.com" },
	{ "ann@ex\xff"
	  "ample.com",
	  "not UTF-8", "" },
	{ "an\xffn@example.com", "not UTF-8", "" },
	{ "an\xc0\xafn@example.com", "not UTF-8", "" },
	{ "an\xed\xa0\x80n@example.com", "not UTF-8", "" },
	{ "an\xe2\x80\x8bn@example.com", "invisible", "ann@example.com" },
	{ "an\xc2\xa0n@example.com", "invisible", "ann@example.com" },
	{ "an\xc2\x85n@example.com", "invisible", "" },
	{ "Ann Lee <ann@example.com>", "name or angle brackets", "ann@example.com" },
	{ "\"Lee, Ann\" <ann@Example.com>", "name or angle brackets", "ann@example.com" },
	{ "<ann@example.com>", "name or angle brackets", "ann@example.com" },
	{ "Ann < ann@example.com >", "name or angle brackets", "ann@example.com" },
	{ "Ann <ann@localhost>", "name or angle brackets", "" },
	{ "Ann <>", "name or angle brackets", "" },
	{ "J\xc3\xb6rg <j@m\xc3\xbcnchen.de>", "name or angle brackets", "j@xn--mnchen-3ya.de" },
	{ "mailto:ann@example.com", "mailto:", "ann@example.com" },
	{ "MailTo:ann@example.com?subject=hello", "mailto:", "ann@example.com" },
	{ "<mailto:ann@example.com>", "name or angle brackets", "ann@example.com" },
	{ "mailto:", "mailto:", "" },
	{ "ann@example.com,", "comma", "ann@example.com" },
	{ "ann@example.com;", "comma", "ann@example.com" },
	{ "'ann@example.com'", "not allowed there", "ann@example.com" },
	{ "(ann@example.com)", "not allowed there", "ann@example.com" },
	{ "ann@example.com, bob@example.com", "comma", "" },
	{ "ann@example.com bob@example.com", "blank", "" },
	{ "http://example.com", "not allowed there", "" },
	{ "n/a", "There is no @", "" },
	{ "NULL", "There is no @", "" },
};

/* A row that could become a second SMTP command or log line, wherever the octet stands. */
static const struct {
	const char *text;
	size_t len;
} hostile[] = {
	ROW("ann\r\nRCPT TO:<bob@example.com>"),
	ROW("ann\n@example.com"),
	ROW("ann\r@example.com"),
	ROW("ann\0@example.com"),
	ROW("ann@exa\0mple.com"),
	ROW("ann@example.com\0"),
	ROW("ann@exa\r\nmple.com"),
	ROW("\"ann\r\n\"@example.com"),
	ROW("\"ann\\\n\"@example.com"),
	ROW("\"\0\"@example.com"),
	ROW("\0"),
	ROW("ann\x7f@example.com"),
	ROW("ann\t@example.com"),
	ROW("\x1b[2Jann@example.com"),
	ROW("Ann\n<bob@example.com>"),
	ROW("a@m\xc3\xbc\n.de"),
};

static void good_ones_are_spelt_for_the_wire(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct rc_address a;

		memset(&a, 0xa5, sizeof(a));
		if (rc_address_parse(good[i].text, strlen(good[i].text), &a) != RC_ADDRESS_OK)
			fail_msg("%s: %s", good[i].text, a.reason);
		assert_string_equal(a.local, good[i].local);
		assert_string_equal(a.domain, good[i].domain);
		assert_int_equal(a.local_len, strlen(a.local));
		assert_int_equal(a.domain_len, strlen(a.domain));
		assert_int_equal(a.smtputf8, good[i].smtputf8);
		assert_int_equal(a.quoted, good[i].quoted);
		assert_null(a.reason);
		assert_string_equal(a.did_you_mean, "");
	}
}

static void bad_ones_get_a_reason_and_perhaps_a_hint(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct rc_address a;

		memset(&a, 0xa5, sizeof(a));
		if (rc_address_parse(bad[i].text, strlen(bad[i].text), &a) != RC_ADDRESS_BAD)
			fail_msg("%s was taken", bad[i].text);
		if (!strstr(a.reason, bad[i].says) ||
		    strcmp(a.did_you_mean, bad[i].did_you_mean) != 0)
			fail_msg("%s: \"%s\", did you mean \"%s\"", bad[i].text, a.reason,
				 a.did_you_mean);
		assert_int_equal(a.local_len, 0);
		assert_string_equal(a.local, "");
		assert_string_equal(a.domain, "");
	}
}

static void no_control_octet_ever_passes(void **state)
{
	struct rc_address a;

	(void)state;
	for (size_t i = 0; i < COUNT(hostile); i++) {
		if (rc_address_parse(hostile[i].text, hostile[i].len, &a) != RC_ADDRESS_BAD)
			fail_msg("hostile row %zu was taken", i);
		assert_string_equal(a.reason, "A control character stands in the address.");
		assert_string_equal(a.did_you_mean, "");
	}
	for (int octet = 0; octet < 256; octet++)
		for (size_t at = 1; at < 14; at++) {
			char text[] = "ann@example.com";

			if (octet >= 0x20 && octet != 0x7f)
				continue;
			text[at] = (char)octet;
			assert_int_equal(rc_address_parse(text, 15, &a), RC_ADDRESS_BAD);
		}
}

static void blank_rows_are_no_addresses_and_no_errors(void **state)
{
	static const char *const blank[] = {
		"", " ", "\t \r\n", "\xc2\xa0", "\xef\xbb\xbf", "\xe3\x80\x80 \xe2\x80\x8b"
	};
	struct rc_address a;

	(void)state;
	for (size_t i = 0; i < COUNT(blank); i++) {
		assert_int_equal(rc_address_parse(blank[i], strlen(blank[i]), &a),
				 RC_ADDRESS_BLANK);
		assert_null(a.reason);
	}
}

static void duplicates_ignore_ascii_case_only(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "Ann@example.com", "aNN@EXAMPLE.com", true },
		{ "ann@m\xc3\xbcnchen.de", "ANN@xn--mnchen-3ya.de", true },
		{ "ann@example.com", "anne@example.com", false },
		{ "ann@example.com", "ann@example.org", false },
		{ "a.nn@example.com", "ann@example.com", false },
		{ "\"ann\"@example.com", "ann@example.com", false },
		{ "j\xc3\xb6rg@example.com", "j\xc3\x96rg@example.com", false },
		{ "J\xc3\xb6RG@example.com", "j\xc3\xb6rg@example.com", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char key_a[RC_ADDRESS_SIZE], key_b[RC_ADDRESS_SIZE], text[RC_ADDRESS_SIZE];
		struct rc_address a, b;
		size_t len;

		assert_int_equal(rc_address_parse(cases[i].a, strlen(cases[i].a), &a),
				 RC_ADDRESS_OK);
		assert_int_equal(rc_address_parse(cases[i].b, strlen(cases[i].b), &b),
				 RC_ADDRESS_OK);
		len = rc_address_key(&a, key_a);
		assert_int_equal(len, strlen(key_a));
		rc_address_key(&b, key_b);
		assert_int_equal(strcmp(key_a, key_b) == 0, cases[i].same);
		len = rc_address_format(&a, text);
		assert_int_equal(len, strlen(text));
		assert_memory_equal(text, a.local, a.local_len);
	}
}

static void a_line_of_a_megabyte_is_refused_at_once(void **state)
{
	enum { SIZE = 1 << 20 };
	char *text = malloc(SIZE);
	struct rc_address a;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', SIZE);
	assert_int_equal(rc_address_parse(text, SIZE, &a), RC_ADDRESS_BAD);
	assert_string_equal(a.reason, "The address is longer than 254 octets.");
	memset(text, ' ', SIZE);
	assert_int_equal(rc_address_parse(text, SIZE, &a), RC_ADDRESS_BLANK);
	memcpy(text + SIZE / 2, "ann@example.com", 15);
	assert_int_equal(rc_address_parse(text, SIZE, &a), RC_ADDRESS_OK);
	free(text);
}

/* Under a sanitizer this proves that no octet beyond `len` is read. */
static void every_prefix_is_judged_without_its_rest(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
		const char *text = i < COUNT(good) ? good[i].text : bad[i - COUNT(good)].text;

		for (size_t len = 0; len <= strlen(text); len++) {
			char *copy = malloc(len ? len : 1);
			struct rc_address a;

			assert_non_null(copy);
			memcpy(copy, text, len);
			rc_address_parse(copy, len, &a);
			assert_true(a.status == RC_ADDRESS_BAD ? a.reason != NULL
							       : a.reason == NULL);
			free(copy);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_are_spelt_for_the_wire),
		cmocka_unit_test(bad_ones_get_a_reason_and_perhaps_a_hint),
		cmocka_unit_test(no_control_octet_ever_passes),
		cmocka_unit_test(blank_rows_are_no_addresses_and_no_errors),
		cmocka_unit_test(duplicates_ignore_ascii_case_only),
		cmocka_unit_test(a_line_of_a_megabyte_is_refused_at_once),
		cmocka_unit_test(every_prefix_is_judged_without_its_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
