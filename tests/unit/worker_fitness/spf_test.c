/* spf: a zone as a table, and what its records amount to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/core/ip.h"
#include "worker/fitness/spf.h"

/* "name TYPE value"; value "!" is SERVFAIL. What is not there is NXDOMAIN. */
struct zone {
	const char *const *records;
	unsigned asked;
	const char *withheld; /* a name that is not known yet */
};

static const struct dns_answer *ask(void *context, const char *name, enum dns_type type)
{
	static struct dns_answer answer;
	struct zone *zone = context;
	const char *word = type == DNS_TXT    ? "TXT"
			   : type == DNS_MX   ? "MX"
			   : type == DNS_AAAA ? "AAAA"
					      : "A";
	char start[300];

	zone->asked++;
	if (zone->withheld != NULL && strcmp(zone->withheld, name) == 0)
		return NULL;
	memset(&answer, 0, sizeof(answer));
	answer.state = DNS_NO_NAME;
	snprintf(start, sizeof(start), "%s %s ", name, word);
	for (const char *const *at = zone->records; *at != NULL; at++) {
		const char *value = *at + strlen(start);

		if (strncmp(*at, start, strlen(start)) != 0)
			continue;
		answer.state = strcmp(value, "!") == 0 ? DNS_SERVFAIL : DNS_FOUND;
		if (type == DNS_TXT) {
			memcpy(answer.txt + answer.txt_len, value, strlen(value) + 1);
			answer.txt_len += strlen(value) + 1;
			answer.txt_n++;
		} else if (type == DNS_MX) {
			snprintf(answer.mx[answer.mx_n++].host, DNS_NAME_MAX, "%s", value);
		} else if (answer.state == DNS_FOUND) {
			assert_true(ip_parse(value, &answer.ip[answer.ip_n++]));
		}
	}
	return &answer;
}

static void reads_records(void **state)
{
	static const struct {
		const char *ip;
		enum spf_result result;
		const char *why; /* part of it */
		const char *records[14];
	} cases[] = {
		{ "192.0.2.7", SPF_NONE, "", { NULL } },
		{ "192.0.2.7", SPF_NONE, "", { "d.test TXT something else", NULL } },
		{ "192.0.2.7", SPF_NONE, "", { "d.test TXT v=spf10 +all", NULL } },
		{ "192.0.2.7",
		  SPF_PASS,
		  "",
		  { "d.test TXT x", "d.test TXT V=SPF1 ip4:192.0.2.7 -all", NULL } },
		{ "192.0.2.7", SPF_PASS, "", { "d.test TXT v=spf1 ip4:192.0.0.0/16", NULL } },
		{ "192.0.2.7", SPF_PASS, "", { "d.test TXT v=spf1 ip4:0.0.0.0/0", NULL } },
		{ "192.1.2.7",
		  SPF_NOT_ALLOWED,
		  "nothing in the record",
		  { "d.test TXT v=spf1 ip4:192.0.0.0/16", NULL } },
		{ "192.1.2.7",
		  SPF_NOT_ALLOWED,
		  "~all",
		  { "d.test TXT v=spf1 ip4:192.0.0.0/16 ~all", NULL } },
		{ "192.1.2.7",
		  SPF_NOT_ALLOWED,
		  "-ip4:",
		  { "d.test TXT v=spf1 -ip4:192.1.0.0/16 +all", NULL } },
		{ "192.0.2.7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1  a  -all", "d.test A 192.0.2.7", NULL } },
		{ "192.0.2.7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1 a:e.test/24 -all", "e.test A 192.0.2.200", NULL } },
		{ "192.0.3.7",
		  SPF_NOT_ALLOWED,
		  "-all",
		  { "d.test TXT v=spf1 a:e.test/24 -all", "e.test A 192.0.2.200", NULL } },
		{ "2001:db8::7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1 a//64 -all", "d.test AAAA 2001:db8::1", NULL } },
		{ "2001:db8::7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1 ip4:192.0.2.7 ip6:2001:db8::/32 -all", NULL } },
		{ "192.0.2.7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1 mx -all", "d.test MX m1.test", "d.test MX m2.test",
		    "m2.test A 192.0.2.7", NULL } },
		{ "192.0.2.7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1 include:e.test -all", "e.test TXT v=spf1 ip4:192.0.2.7 -all",
		    NULL } },
		{ "192.0.2.8",
		  SPF_NOT_ALLOWED,
		  "-all in the record of d.test",
		  { "d.test TXT v=spf1 include:e.test -all", "e.test TXT v=spf1 ip4:192.0.2.7 -all",
		    NULL } },
		{ "192.0.2.7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1 redirect=e.test", "e.test TXT v=spf1 ip4:192.0.2.7 -all",
		    NULL } },
		{ "192.0.2.7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1 exists:e.test -all", "e.test A 127.0.0.2", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "includes a domain that has no SPF",
		  { "d.test TXT v=spf1 include:e.test -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "more than once",
		  { "d.test TXT v=spf1 +all", "d.test TXT v=spf1 -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "macros",
		  { "d.test TXT v=spf1 exists:%{i}.e.test -all", NULL } },
		{ "192.0.2.7",
		  SPF_PASS,
		  "",
		  { "d.test TXT v=spf1 ip4:192.0.2.7 exists:%{i}.e.test exp=%{d} -all", NULL } },
		{ "192.0.2.7", SPF_UNSURE, "ptr", { "d.test TXT v=spf1 ptr -all", NULL } },
		{ "192.0.2.7", SPF_UNSURE, "no address", { "d.test TXT v=spf1 ip4 -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "that is none",
		  { "d.test TXT v=spf1 ip4:192.0.2 -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "that is none",
		  { "d.test TXT v=spf1 ip4:192.0.2.0/33 -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "that is none",
		  { "d.test TXT v=spf1 wrong:term -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "malformed",
		  { "d.test TXT v=spf1 a:e.test/x -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "10",
		  { "d.test TXT v=spf1 include:d.test -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "more than 10 look-ups",
		  { "d.test TXT v=spf1 a a a a a a a a a a a -all", NULL } },
		{ "192.0.2.7",
		  SPF_UNSURE,
		  "SERVFAIL",
		  { "d.test TXT v=spf1 a -all", "d.test A !", NULL } },
		{ "192.0.2.7", SPF_UNSURE, "SERVFAIL", { "d.test TXT !", NULL } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zone zone = { .records = cases[i].records };
		struct probe_ip ip;
		char why[SPF_WHY_MAX];

		assert_true(ip_parse(cases[i].ip, &ip));
		const enum spf_result result = spf_check("d.test", &ip, ask, &zone, why);

		if (result != cases[i].result || strstr(why, cases[i].why) == NULL)
			fail_msg("%s: %d (%s)",
				 cases[i].records[0] != NULL ? cases[i].records[0] : "nothing",
				 (int)result, why);
		assert_true(zone.asked < 40);
	}
}

static void waits_for_what_it_does_not_know(void **state)
{
	static const char *const records[] = { "d.test TXT v=spf1 include:e.test -all",
					       "e.test TXT v=spf1 a:f.test -all",
					       "f.test A 192.0.2.7", NULL };
	static const char *const names[] = { "d.test", "e.test", "f.test" };
	struct zone zone = { .records = records };
	struct probe_ip ip;
	char why[SPF_WHY_MAX];

	(void)state;
	assert_true(ip_parse("192.0.2.7", &ip));
	for (size_t i = 0; i < 3; i++) {
		zone.withheld = names[i];
		assert_int_equal(spf_check("d.test", &ip, ask, &zone, why), SPF_WAITS);
	}
	zone.withheld = NULL;
	assert_int_equal(spf_check("d.test", &ip, ask, &zone, why), SPF_PASS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_records),
		cmocka_unit_test(waits_for_what_it_does_not_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
