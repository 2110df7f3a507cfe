/* coordinator/core/scores.h: the shipped table, which line speaks, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/providers.h"
#include "coordinator/core/scores.h"

static struct rc_providers *providers;

static int load(void **state)
{
	struct rc_error err;

	(void)state;
	return rc_providers_load(SOURCE_DIR "/data", &providers, &err) ? -1 : 0;
}

static int unload(void **state)
{
	(void)state;
	rc_providers_free(providers);
	return 0;
}

static int prior(const struct scores *scores, enum rc_reason reason, const char *provider,
		 enum score_evidence evidence)
{
	const struct score_key key = { .reason = reason,
				       .provider = provider,
				       .evidence = evidence };

	return scores_prior(scores, &key);
}

static void test_shipped(void **state)
{
	struct scores *scores = NULL;
	struct rc_error err;

	(void)state;
	if (scores_load(SOURCE_DIR "/data", providers, &scores, &err))
		fail_msg("%s", err.text);
	assert_in_range(
	    prior(scores, RC_REASON_MAILBOX_ACCEPTED, NULL, SCORE_EVIDENCE_FRESH), 90, 100);
	assert_true(prior(scores, RC_REASON_MAILBOX_ACCEPTED, "outlook", SCORE_EVIDENCE_FRESH) <
		    prior(scores, RC_REASON_MAILBOX_ACCEPTED, "gmail", SCORE_EVIDENCE_FRESH));
	assert_true(prior(scores, RC_REASON_MAILBOX_ACCEPTED, "", SCORE_EVIDENCE_REMEMBERED) <
		    prior(scores, RC_REASON_MAILBOX_ACCEPTED, "", SCORE_EVIDENCE_FRESH));
	assert_true(prior(scores, RC_REASON_DOMAIN_ACCEPTS_ALL, NULL, SCORE_EVIDENCE_PLAIN) <
		    prior(scores, RC_REASON_DOMAIN_ACCEPTS_ALL, "mimecast", SCORE_EVIDENCE_PLAIN));
	assert_true(prior(scores, RC_REASON_DOMAIN_ACCEPTS_ALL, NULL, SCORE_EVIDENCE_PLAIN) <
		    prior(scores, RC_REASON_DOMAIN_ACCEPTS_ALL, NULL, SCORE_EVIDENCE_ROLE));
	assert_int_equal(prior(scores, RC_REASON_BLANK, NULL, SCORE_EVIDENCE_PLAIN), -1);
	assert_int_equal(prior(NULL, RC_REASON_NULL_MX, NULL, SCORE_EVIDENCE_PLAIN), -1);
	assert_in_range(scores_prior_strength(scores), 1, 100);
	assert_in_range(scores_listed_share(scores), 1, 100);
	scores_free(scores);
}

/* A whole table: these lines, and one for every reason that they leave out. */
static const char *whole(const char *lines)
{
	static char text[8192];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s", lines);

	for (int i = 1; i < RC_REASON_COUNT; i++) {
		const char *name = rc_reason_name((enum rc_reason)i);

		if (rc_reason_status((enum rc_reason)i) != RC_RESULT_SKIPPED &&
		    i != RC_REASON_MAILBOX_ACCEPTED)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s 50 # estimate\n",
					       name);
	}
	return text;
}

static void test_the_most_specific_line_speaks(void **state)
{
	static const char lines[] = "prior_strength 20 # chosen\nlisted_share 80 # chosen\n"
				    "@gateway = proofpoint mimecast\n"
				    "mailbox_accepted 10 # estimate\n"
				    "mailbox_accepted +remembered 11 # estimate\n"
				    "mailbox_accepted @gateway 12 # estimate\n"
				    "mailbox_accepted @gateway +remembered 13 # estimate\n"
				    "mailbox_accepted mimecast 14 # estimate\n"
				    "mailbox_accepted +remembered mimecast 15 # estimate\n"
				    "mailbox_accepted - 16 # estimate\n";
	static const struct {
		const char *provider;
		enum score_evidence evidence;
		int score;
	} rows[] = {
		{ "gmail", SCORE_EVIDENCE_FRESH, 10 },
		{ "gmail", SCORE_EVIDENCE_REMEMBERED, 11 },
		{ "proofpoint", SCORE_EVIDENCE_FRESH, 12 },
		{ "proofpoint", SCORE_EVIDENCE_REMEMBERED, 13 },
		{ "mimecast", SCORE_EVIDENCE_FRESH, 14 },
		{ "mimecast", SCORE_EVIDENCE_REMEMBERED, 15 },
		{ "", SCORE_EVIDENCE_FRESH, 16 },
		{ NULL, SCORE_EVIDENCE_REMEMBERED, 16 },
	};
	const char *text = whole(lines);
	struct scores *scores = NULL;
	struct rc_error err;

	(void)state;
	if (scores_parse("f", text, strlen(text), providers, &scores, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(prior(scores, RC_REASON_MAILBOX_ACCEPTED, rows[i].provider,
				       rows[i].evidence),
				 rows[i].score);
	assert_int_equal(prior(scores, RC_REASON_TIMEOUT, "mimecast", SCORE_EVIDENCE_PLAIN), 50);
	scores_free(scores);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "nonsense 5 # x\n", "f:1: there is no reason" },
		{ "blank 5 # x\n", "f:1: there is no reason" },
		{ "null_mx 101 # x\n", "f:1: a number from 0 to 100" },
		{ "null_mx -1 # x\n", "f:1: a number from 0 to 100" },
		{ "null_mx # x\n", "f:1: a reason" },
		{ "null_mx 0\n", "f:1: say after #" },
		{ "null_mx 0 #  \n", "f:1: say after #" },
		{ "\nnull_mx 0 # x\nnull_mx 1 # x\n", "f:3: null_mx has" },
		{ "null_mx nobody 0 # x\n", "f:1: there is no provider \"nobody\"" },
		{ "null_mx default 0 # x\n", "f:1: there is no provider" },
		{ "null_mx gmail outlook 0 # x\n", "f:1: one provider or group" },
		{ "null_mx @none 0 # x\n", "f:1: no line before has made a group @none" },
		{ "null_mx +strange 0 # x\n", "f:1: there is no evidence \"+strange\"" },
		{ "null_mx +fresh +named 0 # x\n", "f:1: there is no evidence" },
		{ "@g gmail\n", "f:1: a group is written" },
		{ "@g = gmail\n@g = outlook\n", "f:2: there is a group @g" },
		{ "@g = gmail\n@h = gmail\n", "f:2: gmail is in the group @g" },
		{ "@g = nobody\n", "f:1: there is no provider" },
		{ "listed_share 80 # x\nlisted_share 80 # x\n", "f:2: listed_share was said" },
		{ "prior_strength 1001 # x\n", "f:1: a number from 0 to 1000" },
		{ "null_mx 0 # x\n", "there is no line prior_strength" },
		{ "prior_strength 20 # x\nlisted_share 80 # x\nmailbox_accepted gmail 5 # x\n",
		  "the reason mailbox_accepted has no score" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct scores *scores = NULL;
		struct rc_error err = { 0 };

		assert_int_equal(
		    scores_parse("f", bad[i].text, strlen(bad[i].text), providers, &scores, &err),
		    RC_INVALID);
		assert_null(scores);
		if (!strstr(err.text, bad[i].error))
			fail_msg("says %s, not %s", err.text, bad[i].error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_the_most_specific_line_speaks),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
