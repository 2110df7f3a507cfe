/* Whom a domain belongs to, and what lies below what. Spelling is tested with whole addresses. */
#include "common/address/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void the_registrable_domain_follows_the_public_suffix_list(void **state)
{
	static const struct {
		const char *domain, *registrable;
	} cases[] = {
		{ "example.com", "example.com" },
		{ "mx1.mail.example.com", "example.com" },
		{ "mx.example.co.uk", "example.co.uk" },
		{ "a.b.example.com.au", "example.com.au" },
		{ "gmail-smtp-in.l.google.com", "google.com" },
		{ "mta5.am0.yahoodns.net", "yahoodns.net" },
		{ "example-com.mail.protection.outlook.com", "outlook.com" },
		{ "mx1.example.test", "example.test" },
		{ "mx.xn--fsqu00a.xn--55qx5d.cn", "xn--fsqu00a.xn--55qx5d.cn" },
		{ "mx.example.xn--p1ai", "example.xn--p1ai" },
		{ "co.uk", "co.uk" },
		{ "com", "com" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *found = rc_domain_registrable(cases[i].domain);

		assert_string_equal(found, cases[i].registrable);
		assert_ptr_equal(found, cases[i].domain + strlen(cases[i].domain) - strlen(found));
	}
}

static void below_means_whole_labels(void **state)
{
	static const struct {
		const char *domain, *parent;
		bool within;
	} cases[] = {
		{ "example.com", "example.com", true },
		{ "mx.example.com", "example.com", true },
		{ "a.b.example.com", "example.com", true },
		{ "notexample.com", "example.com", false },
		{ "example.com", "mx.example.com", false },
		{ "example.com", "com", true },
		{ "example.com", "", false },
		{ "", "com", false },
		{ "example.community", "com", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(rc_domain_within(cases[i].domain, cases[i].parent),
				 cases[i].within);
}

static void a_refused_domain_is_empty_and_has_a_reason(void **state)
{
	char domain[RC_DOMAIN_SIZE] = "before";
	const char *reason = NULL;
	size_t len = 77;

	(void)state;
	assert_int_equal(rc_domain_normalize("nolabel", 7, domain, &len, &reason), RC_INVALID);
	assert_string_equal(domain, "");
	assert_string_equal(reason, "The domain has only one label.");
	assert_int_equal(len, 77);
	assert_int_equal(rc_domain_normalize("x", 1, domain, NULL, NULL), RC_INVALID);
	assert_int_equal(rc_domain_normalize("A.Example", 9, domain, NULL, NULL), RC_OK);
	assert_string_equal(domain, "a.example");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_registrable_domain_follows_the_public_suffix_list),
		cmocka_unit_test(below_means_whole_labels),
		cmocka_unit_test(a_refused_domain_is_empty_and_has_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
