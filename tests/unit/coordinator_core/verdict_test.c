/* coordinator/core/verdict.h: a row for each reason, and the rules that never bend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/scores.h"
#include "coordinator/core/verdict.h"

static struct rc_rules *rules;
static struct rc_providers *providers;
static struct scores *scores;

static int load(void **state)
{
	struct rc_error err;

	(void)state;
	if (rc_rules_load(SOURCE_DIR "/data", &rules, &err) ||
	    rc_providers_load(SOURCE_DIR "/data", &providers, &err) ||
	    scores_load(SOURCE_DIR "/data", providers, &scores, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int unload(void **state)
{
	(void)state;
	rc_rules_free(rules);
	rc_providers_free(providers);
	scores_free(scores);
	return 0;
}

static char enhanced_of[16];

/* A row of a living domain at its first of four attempts, with this reply at RCPT; NULL: none. */
static struct verdict_input row(const char *reply)
{
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .attempt = 1, .attempts_max = 4 };
	char text[1024];
	struct rc_reply_view view = { .stage = RC_STAGE_RCPT,
				      .enhanced = enhanced_of,
				      .text = text };

	if (!reply)
		return in;
	assert_true(rc_reply_split(reply, strlen(reply), &view.code, enhanced_of, text,
				   sizeof(text), &view.len));
	in.answer = (struct verdict_answer){
		.present = true, .stage = RC_STAGE_RCPT, .code = view.code, .enhanced = enhanced_of
	};
	rc_rules_classify(rules, &view, &in.answer.class);
	return in;
}

static struct verdict_input failure(enum verdict_failure f)
{
	struct verdict_input in = row(NULL);

	in.answer =
	    (struct verdict_answer){ .present = true, .stage = RC_STAGE_CONNECT, .failure = f };
	return in;
}

static void is_final(struct verdict_input in, enum rc_reason reason)
{
	struct verdict v;

	verdict_row(&in, scores, &v);
	if (!v.final || v.reason != reason)
		fail_msg("is %s%s, should be %s", v.final ? "" : "deferred as ",
			 rc_reason_name(v.reason), rc_reason_name(reason));
	assert_in_range(v.score, 0, 100);
	assert_int_equal(v.wait, VERDICT_WAIT_NONE);
}

static void is_deferred(struct verdict_input in, enum rc_reason reason, enum verdict_wait wait)
{
	struct verdict v;

	verdict_row(&in, scores, &v);
	if (v.final || v.reason != reason || v.wait != wait)
		fail_msg("is %s%s, wait %d, should be deferred as %s, wait %d",
			 v.final ? "" : "deferred as ", rc_reason_name(v.reason), (int)v.wait,
			 rc_reason_name(reason), (int)wait);
}

/* Deferred on the schedule at the first attempt, final with that reason at the last. */
static void is_retried(struct verdict_input in, enum rc_reason reason)
{
	is_deferred(in, reason, VERDICT_WAIT_SCHEDULE);
	in.attempt = 4;
	is_final(in, reason);
}

/* Without the score's evidence. */
static unsigned flags(struct verdict_input in)
{
	struct verdict v;

	verdict_row(&in, scores, &v);
	return v.flags & 0xffff;
}

#define WITH(in_, ...)                                                                             \
	({                                                                                         \
		struct verdict_input copy_ = (in_);                                                \
		struct verdict_input *r = &copy_;                                                  \
		__VA_ARGS__;                                                                       \
		copy_;                                                                             \
	})

/* The codes of the field at RCPT, bare, with a control that was refused. */
static void test_codes(void **state)
{
	static const struct {
		const char *reply;
		enum rc_reason reason;
		bool retried;
	} codes[] = {
		{ "250 ok", RC_REASON_MAILBOX_ACCEPTED, false },
		{ "251 forwarded", RC_REASON_MAILBOX_FORWARDED, false },
		{ "252 cannot", RC_REASON_CANNOT_VERIFY, false },
		{ "421 no", RC_REASON_SERVER_UNAVAILABLE, true },
		{ "450 no", RC_REASON_TEMPORARY_FAILURE, true },
		{ "451 no", RC_REASON_TEMPORARY_FAILURE, true },
		{ "452 no", RC_REASON_TEMPORARY_FAILURE, true },
		{ "503 no", RC_REASON_PROTOCOL_ERROR, true },
		{ "521 no", RC_REASON_NO_MAIL_SERVER, false },
		{ "530 no", RC_REASON_AUTH_REQUIRED, true },
		{ "550 no", RC_REASON_MAILBOX_NOT_FOUND, false },
		{ "551 user not local", RC_REASON_MAILBOX_NOT_LOCAL, false },
		{ "552 no", RC_REASON_POLICY_REJECTED, true },
		{ "553 mailbox name not allowed", RC_REASON_MAILBOX_NAME_NOT_ALLOWED, false },
		{ "554 no", RC_REASON_POLICY_REJECTED, false },
		{ "556 no", RC_REASON_NULL_MX, false },
		{ "550 5.1.1 user unknown", RC_REASON_MAILBOX_NOT_FOUND, false },
		{ "554 5.1.1 x", RC_REASON_MAILBOX_NOT_FOUND, false },
		{ "550 5.2.1 disabled", RC_REASON_MAILBOX_DISABLED, false },
		{ "552 5.2.2 x", RC_REASON_MAILBOX_FULL, false },
		{ "452 4.2.2 x", RC_REASON_MAILBOX_FULL, true },
		{ "450 4.2.0 greylisted", RC_REASON_GREYLISTED, true },
		{ "450 4.1.1 unverified address: in progress", RC_REASON_MAILBOX_UNVERIFIED, true },
		{ "451 4.7.500 Server busy", RC_REASON_THROTTLED, true },
		{ "554 5.7.1 blocked using zen.spamhaus.org", RC_REASON_IP_BLOCKED, true },
		{ "553 5.1.8 Domain of sender address x does not exist", RC_REASON_SENDER_REJECTED,
		  true },
		{ "550 5.7.1 x", RC_REASON_POLICY_REJECTED, false },
		{ "530 5.7.0 Must issue a STARTTLS command first", RC_REASON_TLS_FAILED, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		struct verdict_input in =
		    WITH(row(codes[i].reply), r->control = VERDICT_CONTROL_REFUSED);

		if (codes[i].retried)
			is_retried(in, codes[i].reason);
		else
			is_final(in, codes[i].reason);
	}
}

static void test_how_long_a_control_serves(void **state)
{
	static const struct {
		enum verdict_control control;
		int64_t age_s;
		bool same_lane, inconsistent, serves;
	} cases[] = {
		{ VERDICT_CONTROL_REFUSED, 7 * 86400 - 1, false, false, true },
		{ VERDICT_CONTROL_ACCEPTED, 7 * 86400 - 1, false, false, true },
		{ VERDICT_CONTROL_REFUSED, 7 * 86400, true, false, false },
		{ VERDICT_CONTROL_REFUSED, 599, true, true, true },
		{ VERDICT_CONTROL_REFUSED, 600, true, true, false },
		{ VERDICT_CONTROL_REFUSED, 0, false, true, false },
		{ VERDICT_CONTROL_UNDECIDED, 0, true, false, false },
		{ 0, 0, true, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (verdict_control_serves(cases[i].control, cases[i].age_s, cases[i].same_lane,
					   cases[i].inconsistent) != cases[i].serves)
			fail_msg("case %zu", i);
}

static void test_failures(void **state)
{
	(void)state;
	is_retried(failure(VERDICT_FAILURE_REFUSED), RC_REASON_CONNECTION_FAILED);
	is_retried(failure(VERDICT_FAILURE_CLOSED), RC_REASON_CONNECTION_FAILED);
	is_retried(failure(VERDICT_FAILURE_UNREACHABLE), RC_REASON_CONNECTION_FAILED);
	is_retried(failure(VERDICT_FAILURE_TIMEOUT), RC_REASON_TIMEOUT);
	is_retried(failure(VERDICT_FAILURE_PROTOCOL), RC_REASON_PROTOCOL_ERROR);
	is_retried(failure(VERDICT_FAILURE_TLS), RC_REASON_TLS_FAILED);
	is_retried(failure(VERDICT_FAILURE_DNS), RC_REASON_DNS_FAILURE);
	is_final(failure(VERDICT_FAILURE_SMTPUTF8), RC_REASON_SMTPUTF8_UNSUPPORTED);
	is_final(failure(VERDICT_FAILURE_NULL_MX), RC_REASON_NULL_MX);
	is_final(failure(VERDICT_FAILURE_NO_MAIL_SERVER), RC_REASON_NO_MAIL_SERVER);
	is_final(failure(VERDICT_FAILURE_UNROUTABLE), RC_REASON_MX_UNROUTABLE);
	is_deferred(failure(VERDICT_FAILURE_NO_DOMAIN), RC_REASON_DOMAIN_NOT_FOUND,
		    VERDICT_WAIT_CONFIRM_DOMAIN);
	/* nobody was asked: even after the last attempt it goes out again, and no attempt is spent
	 */
	for (unsigned attempt = 1; attempt <= 5; attempt++) {
		struct verdict v;
		struct verdict_input in =
		    WITH(failure(VERDICT_FAILURE_NOT_PROBED), r->attempt = attempt);

		is_deferred(in, RC_REASON_NOT_PROBED, VERDICT_WAIT_AT_ONCE);
		verdict_row(&in, scores, &v);
		assert_false(v.attempt_spent);
		is_deferred(WITH(failure(VERDICT_FAILURE_LOCAL), r->attempt = attempt),
			    RC_REASON_NOT_PROBED, VERDICT_WAIT_SOON);
	}
}

static void test_domain_and_lists(void **state)
{
	struct verdict_input in = row(NULL);

	(void)state;
	is_deferred(in, RC_REASON_NOT_PROBED, VERDICT_WAIT_AT_ONCE);
	is_final(WITH(in, r->bad_syntax = true), RC_REASON_BAD_SYNTAX);
	is_final(WITH(in, r->suppressed = true), RC_REASON_SUPPRESSED);
	is_final(WITH(in, r->spam_trap = true), RC_REASON_SPAM_TRAP);
	is_final(WITH(in, r->disposable = true), RC_REASON_DISPOSABLE_DOMAIN);
	is_final(WITH(in, r->do_not_probe = true), RC_REASON_DO_NOT_PROBE);
	is_final(WITH(in, r->domain = VERDICT_DOMAIN_NULL_MX), RC_REASON_NULL_MX);
	is_final(WITH(in, r->domain = VERDICT_DOMAIN_NO_SERVER), RC_REASON_NO_MAIL_SERVER);
	is_final(WITH(in, r->domain = VERDICT_DOMAIN_UNROUTABLE), RC_REASON_MX_UNROUTABLE);
	is_deferred(WITH(in, r->domain = VERDICT_DOMAIN_NOT_FOUND), RC_REASON_DOMAIN_NOT_FOUND,
		    VERDICT_WAIT_CONFIRM_DOMAIN);
	is_final(WITH(in, r->domain = VERDICT_DOMAIN_NOT_FOUND; r->domain_confirmed = true),
		 RC_REASON_DOMAIN_NOT_FOUND);
	is_retried(WITH(in, r->domain = VERDICT_DOMAIN_FAILED), RC_REASON_DNS_FAILURE);

	/* the order: syntax, dead domain, suppressed, trap, disposable, do-not-probe, the reply */
	in = WITH(row("550 5.1.1 user unknown"), r->do_not_probe = r->disposable = r->spam_trap =
						     r->suppressed = r->bad_syntax = true;
		  r->domain = VERDICT_DOMAIN_NULL_MX);
	is_final(in, RC_REASON_BAD_SYNTAX);
	in.bad_syntax = false;
	is_final(in, RC_REASON_NULL_MX);
	in.domain = VERDICT_DOMAIN_MX;
	is_final(in, RC_REASON_SUPPRESSED);
	in.suppressed = false;
	is_final(in, RC_REASON_SPAM_TRAP);
	in.spam_trap = false;
	is_final(in, RC_REASON_DISPOSABLE_DOMAIN);
	in.disposable = false;
	is_final(in, RC_REASON_DO_NOT_PROBE);
	in.do_not_probe = false;
	is_final(in, RC_REASON_MAILBOX_NOT_FOUND);
}

static void test_control(void **state)
{
	struct verdict_input in = row("250 ok");
	struct verdict v;

	(void)state;
	is_retried(in, RC_REASON_CONTROL_INCONCLUSIVE);
	is_retried(WITH(in, r->control = VERDICT_CONTROL_UNDECIDED),
		   RC_REASON_CONTROL_INCONCLUSIVE);
	verdict_row(&in, scores, &v);
	assert_true(v.need_control);
	is_final(WITH(in, r->control = VERDICT_CONTROL_REFUSED), RC_REASON_MAILBOX_ACCEPTED);
	is_final(WITH(in, r->control = VERDICT_CONTROL_ACCEPTED), RC_REASON_DOMAIN_ACCEPTS_ALL);
	is_final(WITH(in, r->control = VERDICT_CONTROL_REFUSED; r->role = true),
		 RC_REASON_ROLE_ACCOUNT);
	/* at an accept-all domain role is a flag only */
	in = WITH(in, r->control = VERDICT_CONTROL_ACCEPTED; r->role = true; r->free = true);
	is_final(in, RC_REASON_DOMAIN_ACCEPTS_ALL);
	assert_int_equal(flags(in), VERDICT_ROLE | VERDICT_FREE | VERDICT_CATCH_ALL);
	/* what the mailbox's own reply says comes before accept-all, and a role that is refused is
	 * not there */
	is_final(WITH(row("550 5.1.1 user unknown"), r->control = VERDICT_CONTROL_ACCEPTED;
		      r->role = true),
		 RC_REASON_MAILBOX_NOT_FOUND);
	is_final(WITH(row("552 5.2.2 full"), r->control = VERDICT_CONTROL_ACCEPTED),
		 RC_REASON_MAILBOX_FULL);
}

static void test_providers(void **state)
{
	static const char *const accepts_all[] = { "yahoo", "aol" };
	struct verdict_input in = WITH(row("250 ok"), r->control = VERDICT_CONTROL_REFUSED);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		in.provider = rc_providers_find(providers, accepts_all[i]);
		assert_non_null(in.provider);
		is_final(in, RC_REASON_PROVIDER_ACCEPTS_ALL);
		is_final(WITH(row("252 ok"), r->provider = in.provider),
			 RC_REASON_PROVIDER_ACCEPTS_ALL);
		assert_int_equal(flags(in) & VERDICT_CATCH_ALL, VERDICT_CATCH_ALL);
		is_final(WITH(row("552 1 Requested mail action aborted, mailbox not found"),
			      r->provider = in.provider),
			 RC_REASON_MAILBOX_NOT_FOUND);
	}
	/* inconsistent: only a control of this lane, within 10 minutes */
	in.provider = rc_providers_find(providers, "outlook");
	is_retried(in, RC_REASON_CONTROL_INCONCLUSIVE);
	is_retried(WITH(in, r->control_same_lane = true; r->control_age_s = 601),
		   RC_REASON_CONTROL_INCONCLUSIVE);
	is_final(WITH(in, r->control_same_lane = true; r->control_age_s = 600),
		 RC_REASON_MAILBOX_ACCEPTED);
	/* nor is an accepted one believed before it was seen at two attempts */
	in.control = VERDICT_CONTROL_ACCEPTED;
	is_deferred(in, RC_REASON_CONTROL_INCONCLUSIVE, VERDICT_WAIT_SCHEDULE);
	is_deferred(WITH(in, r->attempt = 2; r->deferred_for = RC_REASON_THROTTLED),
		    RC_REASON_CONTROL_INCONCLUSIVE, VERDICT_WAIT_SCHEDULE);
	is_final(WITH(in, r->attempt = 2; r->deferred_for = RC_REASON_CONTROL_INCONCLUSIVE),
		 RC_REASON_DOMAIN_ACCEPTS_ALL);
	is_final(WITH(in, r->attempt = r->attempts_max), RC_REASON_DOMAIN_ACCEPTS_ALL);
	in.control = VERDICT_CONTROL_REFUSED;
	/* honest: an old control does; but that it accepts everybody, which it never does, is to be
	 * seen twice */
	in.provider = rc_providers_find(providers, "gmail");
	is_deferred(WITH(in, r->control = VERDICT_CONTROL_ACCEPTED), RC_REASON_CONTROL_INCONCLUSIVE,
		    VERDICT_WAIT_SCHEDULE);
	is_final(WITH(in, r->control = VERDICT_CONTROL_ACCEPTED; r->attempt = 2;
		      r->deferred_for = RC_REASON_CONTROL_INCONCLUSIVE),
		 RC_REASON_DOMAIN_ACCEPTS_ALL);
	/* by tenant: its own control decides, at once */
	is_final(WITH(in, r->control = VERDICT_CONTROL_ACCEPTED;
		      r->provider = rc_providers_find(providers, "workspace")),
		 RC_REASON_DOMAIN_ACCEPTS_ALL);
	is_final(WITH(in, r->control = VERDICT_CONTROL_ACCEPTED;
		      r->provider = rc_providers_find(providers, "microsoft365")),
		 RC_REASON_DOMAIN_ACCEPTS_ALL);
	is_final(WITH(in, r->control_age_s = 6 * 86400), RC_REASON_MAILBOX_ACCEPTED);
}

/* A refusal that names nobody stands unless everybody is refused alike. */
static void test_rejects_all(void **state)
{
	struct verdict_input in = row("550 5.4.1 Recipient address rejected: Access denied");

	(void)state;
	is_final(in, RC_REASON_MAILBOX_NOT_FOUND);
	is_final(WITH(in, r->postmaster = VERDICT_POSTMASTER_ACCEPTED; r->refused_alike = 9),
		 RC_REASON_MAILBOX_NOT_FOUND);
	is_retried(WITH(in, r->postmaster = VERDICT_POSTMASTER_UNDECIDED),
		   RC_REASON_CONTROL_INCONCLUSIVE);
	in = WITH(in, r->postmaster = VERDICT_POSTMASTER_REFUSED; r->postmaster_alike = true;
		  r->refused_alike = 3);
	is_final(in, RC_REASON_REJECTS_ALL);
	is_retried(WITH(in, r->refused_alike = 2), RC_REASON_POLICY_REJECTED);
	is_final(WITH(in, r->refused_alike = 1; r->domain_rejects_all = true),
		 RC_REASON_REJECTS_ALL);
	is_final(WITH(in, r->postmaster_alike = false), RC_REASON_MAILBOX_NOT_FOUND);
	is_final(WITH(in, r->domain_accepted = true), RC_REASON_MAILBOX_NOT_FOUND);
	/* one that has other words for a missing mailbox may be turning us away with these */
	in = WITH(in, r->domain_accepted = true; r->refuses_by_name = true);
	is_retried(in, RC_REASON_THROTTLED);
	is_deferred(WITH(in, r->postmaster = VERDICT_POSTMASTER_ACCEPTED), RC_REASON_THROTTLED,
		    VERDICT_WAIT_SCHEDULE);
	/* but not at every attempt, and this mailbox alone */
	is_final(WITH(in, r->postmaster = VERDICT_POSTMASTER_ACCEPTED; r->attempt = 4),
		 RC_REASON_MAILBOX_NOT_FOUND);
	/* and what began so goes on so, where no rule knows the words */
	in = WITH(row("550 Requested action not taken"), r->deferred_for = RC_REASON_THROTTLED;
		  r->domain_accepted = true; r->attempt = 2);
	is_deferred(in, RC_REASON_THROTTLED, VERDICT_WAIT_SCHEDULE);
	is_final(WITH(in, r->deferred_for = RC_REASON_UNSET), RC_REASON_MAILBOX_NOT_FOUND);
	is_final(WITH(row("550 5.4.1 Recipient address rejected: Access denied"),
		      r->deferred_for = RC_REASON_THROTTLED;
		      r->domain_accepted = true),
		 RC_REASON_MAILBOX_NOT_FOUND);
	/* "mailbox unavailable" is what RFC 5321 has for every 550: a server may say it to all */
	is_final(WITH(row("550 Requested action not taken: mailbox unavailable"),
		      r->postmaster = VERDICT_POSTMASTER_REFUSED;
		      r->postmaster_alike = true; r->refused_alike = 3),
		 RC_REASON_REJECTS_ALL);
	is_final(WITH(row("550 Mailbox unavailable"), r->postmaster = VERDICT_POSTMASTER_REFUSED;
		      r->postmaster_alike = true; r->refused_alike = 3),
		 RC_REASON_REJECTS_ALL);
	/* a backup that accepts nobody may never have been told who is there */
	is_deferred(WITH(row("550 5.1.1 user unknown"), r->stand_in = r->knows_nobody = true),
		    RC_REASON_SERVER_UNAVAILABLE, VERDICT_WAIT_SCHEDULE);
	is_final(WITH(row("550 5.1.1 user unknown"), r->stand_in = r->knows_nobody = true;
		      r->attempt = 4),
		 RC_REASON_MAILBOX_NOT_FOUND);
	is_final(WITH(row("550 5.1.1 user unknown"), r->stand_in = true),
		 RC_REASON_MAILBOX_NOT_FOUND);
	/* one that names the mailbox stands whatever the rest */
	is_final(WITH(row("550 5.1.1 user unknown"), r->postmaster = VERDICT_POSTMASTER_REFUSED;
		      r->postmaster_alike = true; r->refused_alike = 50),
		 RC_REASON_MAILBOX_NOT_FOUND);
}

static void test_routing(void **state)
{
	struct verdict_input in = row("554 5.7.1 <a@b.test>: Relay access denied");

	(void)state;
	is_final(in, RC_REASON_POLICY_REJECTED);
	is_final(WITH(in, r->postmaster = VERDICT_POSTMASTER_ACCEPTED), RC_REASON_POLICY_REJECTED);
	in = WITH(in, r->postmaster = VERDICT_POSTMASTER_REFUSED; r->postmaster_alike = true);
	is_deferred(in, RC_REASON_MX_REFUSES_DOMAIN, VERDICT_WAIT_CONFIRM_REFUSAL);
	is_deferred(WITH(in, r->attempt = 4), RC_REASON_MX_REFUSES_DOMAIN,
		    VERDICT_WAIT_CONFIRM_REFUSAL);
	is_final(WITH(in, r->refusal_confirmed = true), RC_REASON_MX_REFUSES_DOMAIN);
	is_final(WITH(in, r->refusal_confirmed = true; r->domain_accepted = true),
		 RC_REASON_POLICY_REJECTED);
	/* from a host that stands in for another it says nothing of the domain */
	is_retried(WITH(in, r->refusal_confirmed = true; r->stand_in = true),
		   RC_REASON_POLICY_REJECTED);
	is_retried(WITH(row("521 5.3.2 this host takes no mail"), r->stand_in = true),
		   RC_REASON_SERVER_UNAVAILABLE);
	is_final(WITH(row("521 5.3.2 this host takes no mail"), r->stand_in = true;
		      r->answer.stage = RC_STAGE_GREETING),
		 RC_REASON_NO_MAIL_SERVER);
	is_final(WITH(row("556 5.1.10 this domain takes no mail"), r->stand_in = true),
		 RC_REASON_NULL_MX);
	/* 530 asks for a log-in, even where it is said of other domains: never the domain's end */
	in = WITH(row("530 SMTP authentication is required"),
		  r->postmaster = VERDICT_POSTMASTER_REFUSED;
		  r->postmaster_alike = true; r->refusal_confirmed = true);
	is_retried(in, RC_REASON_AUTH_REQUIRED);
}

static void test_suspect(void **state)
{
	(void)state;
	is_retried(
	    WITH(row("250 ok"), r->control = VERDICT_CONTROL_REFUSED; r->answer.suspect = true),
	    RC_REASON_THROTTLED);
	is_retried(WITH(row("550 5.1.1 user unknown"), r->answer.suspect = true),
		   RC_REASON_THROTTLED);
	is_retried(WITH(row("252 x"), r->answer.suspect = true), RC_REASON_THROTTLED);
	is_retried(WITH(row("421 x"), r->answer.suspect = true), RC_REASON_SERVER_UNAVAILABLE);
}

/* Whatever 4xx, whatever words, at whatever attempt: never invalid. */
static void test_4xx_is_never_invalid(void **state)
{
	static const char *const texts[] = {
		"user unknown", "5.1.1 no such user",  "4.1.1 unknown user",	 "mailbox disabled",
		"quota",	"relay access denied", "account does not exist", ""
	};

	(void)state;
	for (unsigned code = 400; code < 500; code++)
		for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
			for (unsigned attempt = 1; attempt <= 4; attempt += 3) {
				char reply[64];
				struct verdict v;
				struct verdict_input in;

				snprintf(reply, sizeof(reply), "%u %s", code, texts[i]);
				in = WITH(row(reply), r->attempt = attempt; r->refused_alike = 9;
					  r->postmaster_alike = true;
					  r->postmaster = VERDICT_POSTMASTER_REFUSED;
					  r->refusal_confirmed = true);
				verdict_row(&in, scores, &v);
				assert_int_not_equal(rc_reason_status(v.reason), RC_RESULT_INVALID);
				assert_int_equal(v.final, attempt == 4);
			}
}

static void test_waits_and_evidence(void **state)
{
	struct verdict_input in = row("450 4.7.1 greylisted, try again in 600 seconds");
	struct verdict v;

	(void)state;
	verdict_row(&in, scores, &v);
	assert_int_equal(v.not_before_s, 600);
	assert_int_equal(v.code, 450);
	assert_string_equal(v.enhanced, "4.7.1");
	assert_non_null(v.rule);
	in.answer.retry_after_s = 900;
	verdict_row(&in, scores, &v);
	assert_int_equal(v.not_before_s, 900);
	assert_true(v.attempt_spent);
	in = row("450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/");
	verdict_row(&in, scores, &v);
	assert_int_equal(v.not_before_s, 300);
}

static void test_review(void **state)
{
	(void)state;
	assert_int_equal(flags(row("554 no")) & VERDICT_REVIEW, VERDICT_REVIEW);
	assert_int_equal(flags(row("550 5.7.1 x")) & VERDICT_REVIEW, VERDICT_REVIEW);
	assert_int_equal(flags(row("550 5.1.1 user unknown")) & VERDICT_REVIEW, 0);
	assert_int_equal(flags(row("451 x")) & VERDICT_REVIEW, 0);
}

static void test_of_reason(void **state)
{
	static const enum rc_reason given[] = { RC_REASON_BLANK,	 RC_REASON_CANCELLED,
						RC_REASON_NOT_PROBED,	 RC_REASON_DEADLINE,
						RC_REASON_HARVEST_GUARD, RC_REASON_DO_NOT_PROBE };
	struct verdict_input in = { .role = true };
	struct verdict v;

	(void)state;
	for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++) {
		verdict_of_reason(given[i], i % 2 ? &in : NULL, scores, &v);
		assert_true(v.final);
		assert_int_equal(v.reason, given[i]);
		assert_int_equal(v.flags & 0xffff, i % 2 ? VERDICT_ROLE : 0);
		assert_int_equal(v.score >= 0, verdict_status(&v) != RC_RESULT_SKIPPED);
	}
}

static void test_harvest_terms(void **state)
{
	struct verdict v;
	struct verdict_input in = row("550 5.1.1 user unknown");

	(void)state;
	verdict_row(&in, scores, &v);
	assert_true(verdict_is_refusal(&v));
	assert_false(verdict_is_acceptance(&in));
	in = row("554 5.7.1 spam");
	verdict_row(&in, scores, &v);
	assert_false(verdict_is_refusal(&v));
	in = row("250 ok");
	assert_true(verdict_is_acceptance(&in));
	in.answer.suspect = true;
	assert_false(verdict_is_acceptance(&in));
}

/* The table of docs/verdicts.md, word for word. */
static void test_reason_table(void **state)
{
	static const struct {
		const char *status, *grade, *reasons;
	} design[] = {
		{ "valid", "valid", "mailbox_accepted mailbox_forwarded" },
		{ "invalid", "invalid",
		  "bad_syntax domain_not_found no_mail_server null_mx mx_unroutable "
		  "mx_refuses_domain mailbox_not_found "
		  "mailbox_disabled mailbox_not_local mailbox_name_not_allowed" },
		{ "catch_all", "risky", "domain_accepts_all" },
		{ "do_not_mail", "invalid", "disposable_domain suppressed spam_trap" },
		{ "role_based", "risky", "role_account" },
		{ "unknown", "risky",
		  "provider_accepts_all cannot_verify mailbox_full mailbox_unverified" },
		{ "unknown", "unknown",
		  "greylisted throttled ip_blocked auth_required policy_rejected sender_rejected "
		  "rejects_all "
		  "server_unavailable temporary_failure connection_failed timeout tls_failed "
		  "smtputf8_unsupported protocol_error dns_failure control_inconclusive "
		  "harvest_guard "
		  "do_not_probe deadline" },
		{ "skipped", "unknown", "blank cancelled not_probed" },
	};
	int seen = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(design) / sizeof(*design); i++) {
		char copy[512], *save = NULL;

		snprintf(copy, sizeof(copy), "%s", design[i].reasons);
		for (char *w = strtok_r(copy, " ", &save); w;
		     w = strtok_r(NULL, " ", &save), seen++) {
			enum rc_reason reason = rc_reason_find(w);

			assert_string_equal(rc_reason_name(reason), w);
			assert_string_equal(rc_result_status_name(rc_reason_status(reason)),
					    design[i].status);
			assert_string_equal(rc_grade_name(rc_reason_grade(reason)),
					    design[i].grade);
			assert_true(strlen(rc_reason_text(reason)) > 10);
		}
	}
	assert_int_equal(seen, RC_REASON_COUNT);
	assert_int_equal(rc_reason_find("nonsense"), RC_REASON_UNSET);
	assert_string_equal(rc_reason_name((enum rc_reason)999), "");
}

/* At an inconsistent provider a yes against an earlier no is to be heard twice; a no stands against
 * an earlier yes. */
static void test_earlier(void **state)
{
	struct verdict_input in = row("250 ok");
	struct verdict v, plain;

	(void)state;
	in.provider = rc_providers_find(providers, "outlook");
	in.control = VERDICT_CONTROL_REFUSED;
	in.control_same_lane = true;
	is_final(in, RC_REASON_MAILBOX_ACCEPTED);
	in.earlier = RC_REASON_MAILBOX_ACCEPTED;
	is_final(in, RC_REASON_MAILBOX_ACCEPTED);
	in.earlier = RC_REASON_MAILBOX_NOT_FOUND;
	is_deferred(in, RC_REASON_CONTROL_INCONCLUSIVE, VERDICT_WAIT_SCHEDULE);
	verdict_row(&in, scores, &v);
	assert_true(v.need_control);
	is_final(WITH(in, r->attempt = 2, r->deferred_for = RC_REASON_CONTROL_INCONCLUSIVE),
		 RC_REASON_MAILBOX_ACCEPTED);
	is_final(WITH(in, r->attempt = 4), RC_REASON_CONTROL_INCONCLUSIVE);
	in.provider = NULL; /* an honest server is believed at once */
	is_final(in, RC_REASON_MAILBOX_ACCEPTED);

	in = row("550 5.1.1 user unknown");
	in.earlier = RC_REASON_MAILBOX_ACCEPTED;
	is_final(in, RC_REASON_MAILBOX_NOT_FOUND);

	/* what ends without a verdict is still called so, but the score knows more */
	in = row("450 4.7.1 greylisted, try again later");
	in.attempt = 4;
	verdict_row(&in, scores, &plain);
	in.earlier = RC_REASON_MAILBOX_ACCEPTED;
	verdict_row(&in, scores, &v);
	assert_int_equal(v.reason, RC_REASON_GREYLISTED);
	assert_int_equal(verdict_status(&v), RC_RESULT_UNKNOWN);
	assert_true(v.score > plain.score);
	in.earlier = RC_REASON_MAILBOX_NOT_FOUND;
	verdict_row(&in, scores, &v);
	assert_int_equal(v.reason, RC_REASON_GREYLISTED);
	assert_true(v.score < plain.score);
}

/* After the schedule only what is our fault waits on, and only where the lane can heal. */
static void test_healing(void **state)
{
	static const char *const ours[] = {
		"550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using "
		"zen.spamhaus.org",
		"421 4.7.0 too many connections from your host",
	};
	static const char *const theirs[] = { "450 4.2.0 greylisted", "451 4.3.0 try later",
					      "550 5.1.1 user unknown", "452 4.2.2 mailbox full" };

	(void)state;
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		struct verdict_input in = row(ours[i]);
		struct verdict v;

		in.attempt = 4;
		verdict_row(&in, scores, &v);
		assert_true(v.final);
		in.may_heal = true;
		is_deferred(in, v.reason, VERDICT_WAIT_HEAL);
		is_deferred(WITH(in, r->attempt = 3), v.reason, VERDICT_WAIT_SCHEDULE);
		is_final(WITH(in, r->attempts_max = 0), v.reason); /* from its evidence alone */
	}
	for (size_t i = 0; i < sizeof(theirs) / sizeof(*theirs); i++) {
		struct verdict_input in = row(theirs[i]);
		struct verdict v;

		in.attempt = 4;
		in.may_heal = true;
		verdict_row(&in, scores, &v);
		assert_true(v.final);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_how_long_a_control_serves),
		cmocka_unit_test(test_domain_and_lists),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_providers),
		cmocka_unit_test(test_rejects_all),
		cmocka_unit_test(test_routing),
		cmocka_unit_test(test_suspect),
		cmocka_unit_test(test_4xx_is_never_invalid),
		cmocka_unit_test(test_waits_and_evidence),
		cmocka_unit_test(test_review),
		cmocka_unit_test(test_of_reason),
		cmocka_unit_test(test_harvest_terms),
		cmocka_unit_test(test_reason_table),
		cmocka_unit_test(test_earlier),
		cmocka_unit_test(test_healing),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
