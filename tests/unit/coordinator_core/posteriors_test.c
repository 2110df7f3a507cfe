/* coordinator/core/posteriors.h: the figures, and where the measured takes the place of the prior. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/providers.h"
#include "coordinator/core/posteriors.h"
#include "coordinator/core/verdict.h"

static struct rc_providers *providers;
static struct scores *scores;

static int load(void **state)
{
	struct rc_error err;

	(void)state;
	return rc_providers_load(SOURCE_DIR "/data", &providers, &err) ||
		       scores_load(SOURCE_DIR "/data", providers, &scores, &err)
		   ? -1
		   : 0;
}

static int unload(void **state)
{
	(void)state;
	scores_free(scores);
	rc_providers_free(providers);
	return 0;
}

static void is_near(double value, double wanted)
{
	if (fabs(value - wanted) > 0.0005)
		fail_msg("is %.5f, should be %.5f", value, wanted);
}

static void test_figures(void **state)
{
	double low, high;

	(void)state;
	/* nothing seen: the prior; much seen: what was seen; the prior counts as 20 outcomes */
	is_near(posterior_mean(0.65, 20, 0, 0), 0.65);
	is_near(posterior_mean(0.65, 20, 150, 150), (13.0 + 150) / 320);
	is_near(posterior_mean(0.65, 0, 3, 1), 0.75);
	is_near(posterior_mean(0.65, 0, 0, 0), 0.65);
	/* the worked example of Newcombe, Statistics in Medicine 17 (1998); edges stay inside */
	posterior_interval(81, 263, 1.96, &low, &high);
	is_near(low, 0.2553);
	is_near(high, 0.3662);
	posterior_interval(0, 10, 1.96, &low, &high);
	is_near(low, 0);
	is_near(high, 0.2775);
	posterior_interval(10, 10, 1.96, &low, &high);
	is_near(low, 0.7225);
	is_near(high, 1);
	posterior_interval(0, 0, 1.96, &low, &high);
	is_near(low, 0);
	is_near(high, 1);
	/* 80 of 100 exist and are accepted, 5 of the other 20 are as well: 80 of 85 */
	is_near(posterior_true_accepts(0.8, 0.25), 80.0 / 85);
	is_near(posterior_true_accepts(0.8, 0), 1);
	is_near(posterior_true_accepts(0.8, 1), 0.8);
	is_near(posterior_true_accepts(0, 0), 0);
}

static struct score score_of(const struct posteriors *p, enum rc_reason reason,
			     const char *provider, enum score_evidence evidence)
{
	const struct rc_provider *profile =
	    provider ? rc_providers_find(providers, provider) : NULL;
	const struct score_key key = { .reason = reason,
				       .provider = provider,
				       .evidence = evidence,
				       .inconsistent =
					   profile && profile->honesty == RC_INCONSISTENT };

	return posteriors_score(p, scores, &key);
}

static void test_a_bucket_of_300(void **state)
{
	struct posteriors *p = posteriors_new();
	struct score s, prior;
	int strength = scores_prior_strength(scores);

	(void)state;
	prior = score_of(NULL, RC_REASON_DOMAIN_ACCEPTS_ALL, "workspace", SCORE_EVIDENCE_PLAIN);
	assert_false(prior.measured);
	assert_true(posteriors_add(p, RC_REASON_DOMAIN_ACCEPTS_ALL, "workspace",
				   SCORE_EVIDENCE_PLAIN, 100, 199));
	s = score_of(p, RC_REASON_DOMAIN_ACCEPTS_ALL, "workspace", SCORE_EVIDENCE_PLAIN);
	assert_int_equal(s.percent, prior.percent);
	assert_false(s.measured);
	/* the 300th */
	assert_true(posteriors_add(p, RC_REASON_DOMAIN_ACCEPTS_ALL, "workspace",
				   SCORE_EVIDENCE_PLAIN, 0, 1));
	s = score_of(p, RC_REASON_DOMAIN_ACCEPTS_ALL, "workspace", SCORE_EVIDENCE_PLAIN);
	assert_true(s.measured);
	assert_int_equal(s.percent, lround(100 * posterior_mean(prior.percent / 100.0, strength,
								100, 200)));
	assert_in_range(s.percent, 33, 38);
	/* another provider, another reason: nothing measured */
	assert_false(
	    score_of(p, RC_REASON_DOMAIN_ACCEPTS_ALL, "gmail", SCORE_EVIDENCE_PLAIN).measured);
	assert_false(
	    score_of(p, RC_REASON_DOMAIN_ACCEPTS_ALL, NULL, SCORE_EVIDENCE_PLAIN).measured);
	assert_false(score_of(p, RC_REASON_MAILBOX_ACCEPTED, "workspace", SCORE_EVIDENCE_FRESH)
			 .measured);
	/* skipped rows have none, whatever was counted */
	assert_true(posteriors_add(p, RC_REASON_BLANK, "", SCORE_EVIDENCE_PLAIN, 400, 0));
	assert_int_equal(score_of(p, RC_REASON_BLANK, NULL, SCORE_EVIDENCE_PLAIN).percent, -1);
	posteriors_clear(p);
	assert_false(score_of(p, RC_REASON_DOMAIN_ACCEPTS_ALL, "workspace", SCORE_EVIDENCE_PLAIN)
			 .measured);
	posteriors_free(p);
}

static void test_evidence_goes_together_until_it_is_many(void **state)
{
	struct posteriors *p = posteriors_new();
	struct score fresh, remembered;

	(void)state;
	assert_true(posteriors_add(p, RC_REASON_MAILBOX_ACCEPTED, NULL, SCORE_EVIDENCE_FRESH, 299,
				   1));
	assert_true(posteriors_add(p, RC_REASON_MAILBOX_ACCEPTED, "", SCORE_EVIDENCE_REMEMBERED,
				   100, 199));
	/* 299 of its own: with the fresh ones it is 599 */
	remembered = score_of(p, RC_REASON_MAILBOX_ACCEPTED, NULL, SCORE_EVIDENCE_REMEMBERED);
	fresh = score_of(p, RC_REASON_MAILBOX_ACCEPTED, NULL, SCORE_EVIDENCE_FRESH);
	assert_true(remembered.measured && fresh.measured);
	assert_in_range(remembered.percent, 65, 69);
	assert_in_range(fresh.percent, 98, 100);
	assert_true(posteriors_add(p, RC_REASON_MAILBOX_ACCEPTED, NULL, SCORE_EVIDENCE_REMEMBERED,
				   0, 1));
	remembered = score_of(p, RC_REASON_MAILBOX_ACCEPTED, NULL, SCORE_EVIDENCE_REMEMBERED);
	assert_in_range(remembered.percent, 33, 38);
	posteriors_free(p);
}

static void test_accepted_controls_lower_inconsistent_providers(void **state)
{
	struct posteriors *p = posteriors_new();
	struct score before =
	    score_of(NULL, RC_REASON_MAILBOX_ACCEPTED, "outlook", SCORE_EVIDENCE_FRESH);
	struct score s;

	(void)state;
	assert_true(posteriors_add_controls(p, "outlook", 75, 224));
	assert_true(posteriors_add_controls(p, "workspace", 300, 0));
	s = score_of(p, RC_REASON_MAILBOX_ACCEPTED, "outlook", SCORE_EVIDENCE_FRESH);
	assert_int_equal(s.percent, before.percent);
	assert_false(s.measured);
	assert_true(posteriors_add_controls(p, "outlook", 0, 1));
	s = score_of(p, RC_REASON_MAILBOX_ACCEPTED, "outlook", SCORE_EVIDENCE_FRESH);
	assert_true(s.measured);
	assert_int_equal(s.percent,
			 lround(before.percent * posterior_true_accepts(
						     scores_listed_share(scores) / 100.0, 0.25)));
	assert_true(s.percent < before.percent);
	/* a refusal is no yes; an honest provider's accepted controls are its catch-all domains */
	assert_false(
	    score_of(p, RC_REASON_MAILBOX_NOT_FOUND, "outlook", SCORE_EVIDENCE_NAMED).measured);
	assert_false(score_of(p, RC_REASON_MAILBOX_ACCEPTED, "workspace", SCORE_EVIDENCE_FRESH)
			 .measured);
	/* outcomes know more than controls */
	assert_true(posteriors_add(p, RC_REASON_MAILBOX_ACCEPTED, "outlook", SCORE_EVIDENCE_FRESH,
				   0, 3000));
	s = score_of(p, RC_REASON_MAILBOX_ACCEPTED, "outlook", SCORE_EVIDENCE_FRESH);
	assert_in_range(s.percent, 0, 2);
	posteriors_free(p);
}

static void test_a_verdict_carries_it(void **state)
{
	struct posteriors *p = posteriors_new();
	struct verdict_input in = {
		.domain = VERDICT_DOMAIN_MX,
		.provider = rc_providers_find(providers, "gmail"),
		.answer = { .present = true,
			    .stage = RC_STAGE_RCPT,
			    .code = 250,
			    .class = { .fault = RC_FAULT_NONE, .category = RC_CATEGORY_ACCEPTED } },
		.control = VERDICT_CONTROL_REFUSED,
		.control_same_lane = true,
	};
	struct verdict v;

	(void)state;
	assert_true(posteriors_add(p, RC_REASON_MAILBOX_ACCEPTED, "gmail",
				   SCORE_EVIDENCE_GREYLISTED, 150, 150));
	verdict_row(&in, scores, &v);
	assert_int_equal(v.flags, SCORE_EVIDENCE_FRESH << VERDICT_EVIDENCE_SHIFT);
	in.control_age_s = 601;
	verdict_row(&in, scores, &v);
	assert_int_equal(v.flags, SCORE_EVIDENCE_REMEMBERED << VERDICT_EVIDENCE_SHIFT);
	in.deferred_for = RC_REASON_GREYLISTED;
	verdict_row(&in, scores, &v);
	assert_int_equal(v.flags, SCORE_EVIDENCE_GREYLISTED << VERDICT_EVIDENCE_SHIFT);
	in.measured = p;
	verdict_row(&in, scores, &v);
	assert_int_equal(v.flags, (unsigned)SCORE_EVIDENCE_GREYLISTED << VERDICT_EVIDENCE_SHIFT |
				      VERDICT_SCORE_MEASURED);
	assert_in_range(v.score, 50, 54);
	posteriors_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_a_bucket_of_300),
		cmocka_unit_test(test_evidence_goes_together_until_it_is_many),
		cmocka_unit_test(test_accepted_controls_lower_inconsistent_providers),
		cmocka_unit_test(test_a_verdict_carries_it),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
