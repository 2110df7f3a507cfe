/* common/reply/providers.h and the shipped data/providers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/providers.h"

static void test_shipped(void **state)
{
	static const struct {
		const char *mx, *domain, *name;
		enum rc_honesty honesty;
	} rows[] = {
		{ "gmail-smtp-in.l.google.com", "gmail.com", "gmail", RC_HONEST },
		{ "aspmx.l.google.com", "example.test", "workspace", RC_HONEST },
		{ "alt1.aspmx.l.google.com.", NULL, "workspace", RC_HONEST },
		{ "outlook-com.olc.protection.outlook.com", "outlook.com", "outlook",
		  RC_INCONSISTENT },
		{ "hotmail-com.olc.protection.outlook.com", "hotmail.com", "outlook",
		  RC_INCONSISTENT },
		{ "example-test.mail.protection.outlook.com", "example.test", "microsoft365",
		  RC_HONEST },
		{ "mta5.am0.yahoodns.net", "yahoo.com", "yahoo", RC_MISLEADING },
		{ "mx-aol.mail.gm0.yahoodns.net", "aol.com", "aol", RC_MISLEADING },
		{ "mx01.mail.icloud.com", "icloud.com", "icloud", RC_INCONSISTENT },
		{ "mxa-00000001.gslb.pphosted.com", "example.test", "proofpoint", RC_HONEST },
		{ "eu-smtp-inbound-1.mimecast.com", "example.test", "mimecast", RC_HONEST },
		{ "d1.a.ess.barracudanetworks.com", "example.test", "barracuda", RC_HONEST },
		{ "mx.yandex.ru", "yandex.ru", "yandex", RC_HONEST },
		{ "mxs.mail.ru", "mail.ru", "mailru", RC_HONEST },
		{ "mx00.gmx.net", "gmx.de", "gmx", RC_HONEST },
		{ "mx.zoho.com", "example.test", "zoho", RC_HONEST },
		{ "example-test.mail.protection.partner.outlook.cn", "example.test", "microsoft365",
		  RC_HONEST },
		{ "example-test.k-v1.mx.microsoft", "example.test", "microsoft365", RC_HONEST },
		{ "mx-eu.mail.am0.yahoodns.net", "yahoo.de", "yahoo", RC_MISLEADING },
		{ "mx1-us1.ppe-hosted.com", "example.test", "proofpoint", RC_HONEST },
		{ "mx-01-eu-west-1.prod.hydra.sophos.com", "example.test", "sophos", RC_HONEST },
		{ "mx01.hornetsecurity.com", "example.test", "hornetsecurity", RC_HONEST },
		{ "cust1234-1.in.mailcontrol.com", "example.test", "forcepoint", RC_HONEST },
		{ "route1.mx.cloudflare.net", "example.test", "cloudflare", RC_HONEST },
		{ "inbound-smtp.eu-west-1.amazonaws.com", "example.test", "amazonses", RC_HONEST },
		{ "smtpin.rzone.de", "example.test", "strato", RC_HONEST },
		{ "al-ip4-mx-vip1.prodigy.net", "att.net", "prodigy", RC_HONEST },
		{ "in1-smtp.messagingengine.com", "fastmail.com", "fastmail", RC_HONEST },
	};
	struct rc_providers *providers;
	struct rc_error err;
	const struct rc_provider *p;

	(void)state;
	if (rc_providers_load(SOURCE_DIR "/data", &providers, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		p = rc_providers_match(providers, rows[i].mx, rows[i].domain);
		if (!p || strcmp(p->name, rows[i].name) != 0 || p->honesty != rows[i].honesty)
			fail_msg("%s is %s, should be %s", rows[i].mx, p ? p->name : "nobody",
				 rows[i].name);
		assert_ptr_equal(rc_providers_find(providers, rows[i].name), p);
	}
	assert_null(rc_providers_match(providers, "mx.example.test", "example.test"));
	assert_null(rc_providers_match(providers, "", NULL));
	assert_null(rc_providers_match(providers, "evilgoogle.com", NULL));
	assert_null(rc_providers_match(providers, "l.google.com.example.test", "gmail.com"));
	assert_null(rc_providers_find(providers, "nobody"));
	p = rc_providers_default(providers);
	assert_int_equal(p->connections, 2);
	assert_int_equal(p->recipients_per_minute, 30);
	assert_int_equal(rc_providers_find(providers, "yahoo")->sample_per_mille, 10);
	assert_int_equal(rc_providers_find(providers, "outlook")->recipients_per_session, 1);
	assert_int_equal(rc_providers_find(providers, "mimecast")->greylist_retry_s, 90);
	assert_ptr_equal(rc_providers_find(providers, "default"), p);
	assert_int_equal(p->catch_all, RC_CATCH_ALL_BY_DOMAIN);
	/* by tenant */
	assert_int_equal(rc_providers_find(providers, "workspace")->catch_all,
			 RC_CATCH_ALL_BY_DOMAIN);
	assert_int_equal(rc_providers_find(providers, "microsoft365")->catch_all,
			 RC_CATCH_ALL_BY_DOMAIN);
	assert_int_equal(rc_providers_find(providers, "gmail")->catch_all, RC_CATCH_ALL_NEVER);
	assert_int_equal(rc_providers_find(providers, "aol")->catch_all, RC_CATCH_ALL_EVERYBODY);
	rc_providers_free(providers);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *file, *error;
	} bad[] = {
		{ "mx = x\n", "f:1: a [name] is expected" },
		{ "[A]\n", "f:1: a block begins with [name]" },
		{ "[a]\nmx = x.y\n[a]\n", "f:3: [a] stands in line 1" },
		{ "[a]\n[b]\nmx = c.d\n", "f:2: [a] before this line names no mx" },
		{ "[a]\nhonesty = honest\n", "f:2: [a] names no mx" },
		{ "[a]\nmx = X.y\n", "f:2: mx: \"X.y\" is no host name" },
		{ "[a]\ndomains = *.y\n", "f:2: domains: \"*.y\" is no host name" },
		{ "[a]\nhonesty = so-so\n", "f:2: honesty is" },
		{ "[a]\nconnections = 0\n", "f:2: connections is a number from 1" },
		{ "[a]\nconnections = 5x\n", "f:2: connections is a number from 1" },
		{ "[a]\ncolour = red\n", "f:2: there is no setting \"colour\"" },
		{ "[a]\nmx\n", "f:2: key = value" },
		{ "[a]\ncatch_all = sometimes\n",
		  "f:2: catch_all is by_domain, never or everybody" },
		{ "[a]\nmx = b.c\nlanes = 2\nlanes = 3\n", "f:4: [a] has lanes twice" },
		{ "[a]\nmx = b.c\nhonesty = honest\nhonesty = honest\n",
		  "f:4: [a] has honesty twice" },
		{ "[a]\nmx = b.c\n[d]\nmx = e.f b.c\n[g]\nmx = h.i\n",
		  "f:5: [d]: the mx \"b.c\" is claimed by [a] already" },
		{ "[a]\nmx = b.c\n[d]\nmx = b.c\n", "[d]: the mx \"b.c\" is claimed by [a]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct rc_providers *none = NULL;
		struct rc_error err = { 0 };

		assert_int_equal(
		    rc_providers_parse("f", bad[i].file, strlen(bad[i].file), &none, &err),
		    RC_INVALID);
		assert_null(none);
		if (!strstr(err.text, bad[i].error))
			fail_msg("says %s, not %s", err.text, bad[i].error);
	}
}

static void test_empty(void **state)
{
	struct rc_providers *p;
	struct rc_error err;

	(void)state;
	assert_int_equal(rc_providers_parse("f", "", 0, &p, &err), RC_OK);
	assert_string_equal(rc_providers_default(p)->name, "default");
	assert_non_null(rc_providers_find(p, "default"));
	assert_int_equal(rc_providers_count(p), 0);
	rc_providers_free(p);
}

static void test_caps(void **state)
{
	static const char file[] = "[default]\nconnections_per_second = 3\n"
				   "[a]\nmx = b.c\nconnections_per_second = 7\n"
				   "connections_per_minute = 90\n[d]\nmx = e.f\n";
	struct rc_providers *p;
	struct rc_error err;

	(void)state;
	assert_int_equal(rc_providers_parse("f", file, strlen(file), &p, &err), RC_OK);
	assert_int_equal(rc_providers_find(p, "a")->connections_per_second, 7);
	assert_int_equal(rc_providers_find(p, "a")->connections_per_minute, 90);
	assert_int_equal(rc_providers_find(p, "d")->connections_per_second, 3);
	rc_providers_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_shipped),
					    cmocka_unit_test(test_bad_files),
					    cmocka_unit_test(test_caps),
					    cmocka_unit_test(test_empty) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
