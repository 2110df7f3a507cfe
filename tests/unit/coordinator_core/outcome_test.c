/* coordinator/core/outcome.h: exporters' words, servers' words, times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/outcome.h"

static struct rc_rules *rules;

static int load(void **state)
{
	struct rc_error err;

	(void)state;
	return rc_rules_load(SOURCE_DIR "/data", &rules, &err) ? -1 : 0;
}

static int unload(void **state)
{
	(void)state;
	rc_rules_free(rules);
	return 0;
}

static void test_words(void **state)
{
	static const struct {
		const char *word;
		enum outcome_kind kind;
	} rows[] = {
		{ "delivered", OUTCOME_DELIVERED },
		{ "Delivery", OUTCOME_DELIVERED },
		{ "First Opening", OUTCOME_DELIVERED },
		{ "Hard bounce", OUTCOME_HARD },
		{ "hard_bounce", OUTCOME_HARD },
		{ "HardBounce", OUTCOME_HARD },
		{ "Soft-Bounced", OUTCOME_SOFT },
		{ "blocked", OUTCOME_SOFT },
		{ "processed", OUTCOME_IGNORED },
		{ "sent", OUTCOME_IGNORED },
		{ "", OUTCOME_UNSET },
		{ "zugestellt", OUTCOME_UNSET },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (outcome_kind_find(rows[i].word, strlen(rows[i].word)) != rows[i].kind)
			fail_msg("\"%s\" is misunderstood", rows[i].word);
}

/* Whose fault it was is the server's to say, the exporter's word stands where it says nothing. */
static void test_decisions(void **state)
{
	static const struct {
		enum outcome_kind kind;
		const char *diagnostic;
		enum outcome_kind decided;
	} rows[] = {
		{ OUTCOME_DELIVERED, "250 2.0.0 OK", OUTCOME_DELIVERED },
		{ OUTCOME_IGNORED, "550 5.1.1 user unknown", OUTCOME_IGNORED },
		{ OUTCOME_HARD, "", OUTCOME_BOUNCED },
		{ OUTCOME_HARD, "bad_mailbox", OUTCOME_BOUNCED },
		{ OUTCOME_HARD,
		  "smtp; 550 5.1.1 <a@b.test>: Recipient address rejected: User unknown",
		  OUTCOME_BOUNCED },
		{ OUTCOME_HARD,
		  "host mx.b.test[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO)",
		  OUTCOME_BOUNCED },
		{ OUTCOME_HARD,
		  "550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using Spamhaus",
		  OUTCOME_IGNORED },
		{ OUTCOME_HARD, "421 4.7.0 Too many messages from your IP, rate limited",
		  OUTCOME_IGNORED },
		{ OUTCOME_HARD, "552 5.2.2 Mailbox full", OUTCOME_BOUNCED },
		{ OUTCOME_SOFT, "", OUTCOME_IGNORED },
		{ OUTCOME_SOFT, "451 4.7.1 Greylisted, try again later", OUTCOME_IGNORED },
		{ OUTCOME_SOFT, "452 4.2.2 The email account that you tried to reach is over quota",
		  OUTCOME_BOUNCED },
		{ OUTCOME_SOFT,
		  "550-5.1.1 The email account that you tried to reach does not exist",
		  OUTCOME_BOUNCED },
		/* no reply in it: a time, a port, a size */
		{ OUTCOME_SOFT, "connection to mx.b.test:250 lost after 5502 octets",
		  OUTCOME_IGNORED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		enum outcome_kind kind = outcome_decide(
		    rules, NULL, rows[i].kind, rows[i].diagnostic, strlen(rows[i].diagnostic));

		if (kind != rows[i].decided)
			fail_msg("\"%s\" makes it %d, not %d", rows[i].diagnostic, kind,
				 rows[i].decided);
	}
}

static void test_replies(void **state)
{
	static const char text[] = "smtp; 550 5.1.10 gone";
	const char *words;
	char enhanced[16];
	unsigned code;
	size_t len;

	(void)state;
	assert_true(outcome_reply_find(text, strlen(text), &code, enhanced, &words, &len));
	assert_int_equal(code, 550);
	assert_string_equal(enhanced, "5.1.10");
	assert_int_equal(len, 4);
	assert_memory_equal(words, "gone", 4);
	assert_false(outcome_reply_find("x 1550 y", 8, &code, enhanced, &words, &len));
	assert_false(outcome_reply_find("550x", 4, &code, enhanced, &words, &len));
	assert_true(outcome_reply_find("550", 3, &code, enhanced, &words, &len));
	assert_int_equal(len, 0);
	assert_false(outcome_reply_find("", 0, &code, enhanced, &words, &len));
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "1319194975", 1319194975000 },
		{ "1319194975.25", 1319194975250 },
		{ "1319194975123", 1319194975123 },
		{ "1319194975123456", 1319194975123 },
		{ "2011-10-21T11:02:55Z", 1319194975000 },
		{ "2011-10-21T11:02:55.250Z", 1319194975250 },
		{ "2011-10-21T06:02:55.2500000-05:00", 1319194975250 },
		{ "2011-10-21 11:02:55", 1319194975000 },
		{ "2011-10-21 11:02:55 UTC", 1319194975000 },
		{ " 2011-10-21 13:02:55 +0200 ", 1319194975000 },
		{ "2011/10/21 11:02:55", 1319194975000 },
		{ "2011-10-21 11:02", 1319194920000 },
		{ "2011-10-21", 1319241599000 },
		{ "21-10-2011 11:02:55", 1319194975000 },
		{ "Fri, 21 Oct 2011 11:02:55 UTC", 1319194975000 },
		{ "21 Oct 2011 11:02:55 GMT", 1319194975000 },
		{ "Fri, 21 Oct 2011 06:02:55 -0500", 1319194975000 },
	};
	static const char *const bad[] = { "",
					   " ",
					   "soon",
					   "10/21/2011 11:02",
					   "2011-13-21",
					   "2011-10-32",
					   "2011-10-21 25:02:55",
					   "2011-10-21 11:62:55",
					   "2011-10-21T11:02:55 nonsense",
					   "2011-10",
					   "12345",
					   "13191949751234567890",
					   "1319194975x",
					   "Fri, 21 Okt 2011 11:02:55 GMT",
					   "-1319194975" };
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!outcome_time_parse(rows[i].text, strlen(rows[i].text), &ms))
			fail_msg("\"%s\" is not understood", rows[i].text);
		if (ms != rows[i].ms)
			fail_msg("\"%s\" is %lld", rows[i].text, (long long)ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (outcome_time_parse(bad[i], strlen(bad[i]), &ms))
			fail_msg("\"%s\" is no time", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
