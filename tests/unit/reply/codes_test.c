/*
 * Every code of the field at every stage where it can come: whose fault, of what kind, which reason
 * and whether a person should look. Bare codes first (what the code says by itself), then the words
 * that change it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/reply_rules.h"

static struct rc_rules *rules;

static int load(void **state)
{
	struct rc_error err;

	(void)state;
	if (rc_rules_load(SOURCE_DIR "/data", &rules, &err) == RC_OK)
		return 0;
	print_error("%s\n", err.text);
	return -1;
}

static int unload(void **state)
{
	(void)state;
	rc_rules_free(rules);
	return 0;
}

#define GREETING RC_STAGE_GREETING
#define EHLO RC_STAGE_EHLO
#define MAIL RC_STAGE_MAIL
#define RCPT RC_STAGE_RCPT

static const struct row {
	enum rc_stage stage;
	const char *reply, *fault, *category, *reason;
	bool review;
} rows[] = {
	/* 250, 251, 252: a yes counts at RCPT only */
	{ RCPT, "250 2.1.5 Ok", "none", "accepted", "mailbox_accepted", false },
	{ RCPT, "250", "none", "accepted", "mailbox_accepted", false },
	{ RCPT, "251 2.1.5 User not local; will forward to <x@y.test>", "none", "forwarded",
	  "mailbox_forwarded", false },
	{ RCPT, "252 2.5.2 Cannot VRFY user, but will accept message", "none", "cannot_verify",
	  "cannot_verify", false },
	{ MAIL, "250 2.1.0 Ok", "none", "accepted", "mailbox_accepted", false },
	{ EHLO, "250-mx.example.test\n250 PIPELINING", "none", "accepted", "mailbox_accepted",
	  false },
	{ GREETING, "220 mx.example.test ESMTP", "none", "accepted", "mailbox_accepted", false },
	{ RCPT, "220 mx.example.test ESMTP", "unclear", "protocol", "protocol_error", false },
	{ RCPT, "354 go ahead", "unclear", "protocol", "protocol_error", false },
	/* 421: the server goes; it says nothing of anybody */
	{ GREETING, "421", "temporary", "service_unavailable", "server_unavailable", false },
	{ GREETING, "421 4.7.0 Too many connections from 192.0.2.1", "sender", "rate_limited",
	  "throttled", false },
	{ GREETING, "421 4.7.1 Client host 192.0.2.1 blocked using zen.spamhaus.org", "sender",
	  "ip_blocked", "ip_blocked", false },
	{ EHLO, "421 4.3.2 Service not available, closing transmission channel", "temporary",
	  "service_unavailable", "server_unavailable", false },
	{ MAIL, "421 4.3.0 shutting down", "temporary", "service_unavailable", "server_unavailable",
	  false },
	{ RCPT, "421", "temporary", "service_unavailable", "server_unavailable", false },
	{ RCPT, "421 4.7.0 Error: too many errors", "sender", "rate_limited", "throttled", false },
	/* 450 */
	{ GREETING, "450 4.3.2 try later", "temporary", "temporary", "temporary_failure", false },
	{ MAIL, "450 4.1.8 <v@probe.test>: Sender address rejected: Domain not found", "sender",
	  "policy", "sender_rejected", false },
	{ RCPT, "450", "temporary", "temporary", "temporary_failure", false },
	{ RCPT, "450 4.2.0 <a@b.test>: Recipient address rejected: Greylisted", "temporary",
	  "greylisted", "greylisted", false },
	{ RCPT,
	  "450 4.1.1 <a@b.test>: Recipient address rejected: unverified address: Address lookup "
	  "failed",
	  "temporary", "cannot_verify", "mailbox_unverified", false },
	{ RCPT,
	  "450 4.1.1 <a@b.test>: Recipient address rejected: User unknown in virtual mailbox table",
	  "temporary", "temporary", "temporary_failure", false },
	{ RCPT, "450 4.2.2 Mailbox full", "recipient", "mailbox_full", "mailbox_full", false },
	{ RCPT, "450 4.2.1 Mailbox temporarily disabled", "temporary", "temporary",
	  "temporary_failure", false },
	/* 451 */
	{ GREETING, "451 4.7.1 Greylisting in action, please come back in 00:05:00", "temporary",
	  "greylisted", "greylisted", false },
	{ EHLO, "451 4.3.0 Temporary lookup failure", "temporary", "temporary", "temporary_failure",
	  false },
	{ MAIL, "451 4.7.1 Sender verification in progress", "sender", "policy", "sender_rejected",
	  false },
	{ RCPT, "451", "temporary", "temporary", "temporary_failure", false },
	{ RCPT, "451 4.3.0 Temporary lookup failure", "temporary", "temporary", "temporary_failure",
	  false },
	{ RCPT, "451 Too many recipients", "sender", "too_many_recipients", "temporary_failure",
	  false },
	{ RCPT, "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited (S775)",
	  "sender", "rate_limited", "throttled", false },
	{ RCPT, "451 4.7.5 TLS required", "sender", "auth_required", "tls_failed", false },
	/* 452: the system's space, a batch, or a box */
	{ MAIL, "452 4.3.1 Insufficient system storage", "temporary", "temporary",
	  "temporary_failure", false },
	{ RCPT, "452", "temporary", "temporary", "temporary_failure", false },
	{ RCPT, "452 4.5.3 Too many recipients", "sender", "too_many_recipients",
	  "temporary_failure", false },
	{ RCPT, "452 4.2.2 The email account that you tried to reach is over quota", "recipient",
	  "mailbox_full", "mailbox_full", false },
	/* 500 to 504, 555: out of step */
	{ EHLO, "500 5.5.1 command unrecognized", "sender", "protocol", "protocol_error", false },
	{ EHLO, "502 5.5.1 not implemented", "sender", "protocol", "protocol_error", false },
	{ MAIL, "501 5.1.7 Bad sender address syntax", "sender", "policy", "sender_rejected",
	  false },
	{ RCPT, "501 5.1.3 Bad recipient address syntax", "recipient", "name_not_allowed",
	  "mailbox_name_not_allowed", false },
	{ MAIL, "503", "sender", "protocol", "protocol_error", false },
	{ MAIL, "503 5.5.1 polite people say HELO first", "sender", "protocol", "protocol_error",
	  false },
	{ RCPT, "503", "sender", "protocol", "protocol_error", false },
	{ RCPT, "503 5.5.1 Error: need MAIL command", "sender", "protocol", "protocol_error",
	  false },
	{ RCPT, "503 5.5.1 User unknown", "sender", "protocol", "protocol_error", false },
	{ RCPT, "504 5.5.4 parameter not implemented", "sender", "protocol", "protocol_error",
	  false },
	{ RCPT, "555 5.5.4 Unsupported option", "sender", "protocol", "protocol_error", false },
	/* 521: a host that takes no mail */
	{ GREETING, "521", "domain", "routing", "no_mail_server", false },
	{ GREETING, "521 mx.example.test does not accept mail", "domain", "routing",
	  "no_mail_server", false },
	{ EHLO, "521 5.3.2 host does not accept mail", "domain", "routing", "no_mail_server",
	  false },
	{ MAIL, "521", "domain", "routing", "no_mail_server", false },
	{ RCPT, "521", "domain", "routing", "no_mail_server", false },
	{ GREETING,
	  "521 5.7.1 Service unavailable; client [192.0.2.1] blocked using dnsbl.sorbs.net",
	  "sender", "ip_blocked", "ip_blocked", false },
	/* 530: first something else */
	{ GREETING, "530 5.7.0 Authentication required", "sender", "auth_required", "auth_required",
	  false },
	{ EHLO, "530", "sender", "auth_required", "auth_required", false },
	{ MAIL, "530 5.7.0 Must issue a STARTTLS command first", "sender", "auth_required",
	  "tls_failed", false },
	{ MAIL, "530 5.7.57 Client was not authenticated to send anonymous mail during MAIL FROM",
	  "sender", "auth_required", "auth_required", false },
	{ RCPT, "530", "sender", "auth_required", "auth_required", false },
	{ RCPT, "530 5.7.1 Authentication required", "sender", "auth_required", "auth_required",
	  false },
	/* 550 */
	{ GREETING, "550", "sender", "policy", "policy_rejected", true },
	{ GREETING, "550 5.1.1 User unknown", "sender", "policy", "policy_rejected", true },
	{ GREETING, "550 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", "sender",
	  "ip_blocked", "ip_blocked", false },
	{ EHLO, "550 5.7.1 Access denied, bad HELO", "sender", "policy", "sender_rejected", false },
	{ MAIL, "550", "sender", "policy", "sender_rejected", false },
	{ MAIL, "550 5.7.1 Your IP 192.0.2.1 is blocked", "sender", "ip_blocked", "ip_blocked",
	  false },
	{ RCPT, "550", "recipient", "mailbox_not_found", "mailbox_not_found", false },
	{ RCPT, "550 5.1.1 <a@b.test>: Recipient address rejected: User unknown", "recipient",
	  "mailbox_not_found", "mailbox_not_found", false },
	{ RCPT, "550 5.2.1 Mailbox disabled, not accepting messages", "recipient",
	  "mailbox_disabled", "mailbox_disabled", false },
	{ RCPT, "550 5.2.2 Mailbox full", "recipient", "mailbox_full", "mailbox_full", false },
	{ RCPT, "550 5.7.1 no", "unclear", "policy", "policy_rejected", true },
	{ RCPT, "550 5.4.1 Recipient address rejected: Access denied", "recipient",
	  "mailbox_not_found", "mailbox_not_found", false },
	{ RCPT, "550 5.4.1 Relay access denied", "domain", "routing", "policy_rejected", true },
	{ RCPT, "550 Mailbox temporarily unavailable, try later", "temporary", "temporary",
	  "temporary_failure", true },
	/* 551 names the user, or is routing */
	{ RCPT, "551", "unclear", "not_local", "policy_rejected", true },
	{ RCPT, "551 User not local; please try <x@y.test>", "recipient", "not_local",
	  "mailbox_not_local", false },
	{ RCPT, "551 5.7.1 Relaying denied", "domain", "routing", "policy_rejected", true },
	{ MAIL, "551 5.7.1 Relaying denied", "domain", "routing", "policy_rejected", true },
	/* 552: a full box on 5.2.2 or quota words; 5.3.4 is the message */
	{ RCPT, "552", "unclear", "unclear", "policy_rejected", true },
	{ RCPT, "552 5.2.2 over", "recipient", "mailbox_full", "mailbox_full", false },
	{ RCPT, "552 Requested mail action aborted: exceeded storage allocation", "recipient",
	  "mailbox_full", "mailbox_full", false },
	{ RCPT, "552 1 Requested mail action aborted, mailbox not found", "recipient",
	  "mailbox_not_found", "mailbox_not_found", false },
	{ MAIL, "552 5.3.4 Message size exceeds fixed limit", "sender", "protocol",
	  "protocol_error", false },
	{ RCPT, "552 5.3.4 Message too big for system", "sender", "protocol", "protocol_error",
	  false },
	/* 553 names the user, or us */
	{ GREETING, "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", "sender",
	  "ip_blocked", "ip_blocked", false },
	{ MAIL, "553 5.1.8 Domain of sender address v@probe.test does not exist", "sender",
	  "policy", "sender_rejected", false },
	{ RCPT, "553", "unclear", "policy", "policy_rejected", true },
	{ RCPT, "553 5.1.3 mailbox name not allowed", "recipient", "name_not_allowed",
	  "mailbox_name_not_allowed", false },
	{ RCPT, "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred",
	  "sender", "policy", "sender_rejected", false },
	{ RCPT, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "domain",
	  "routing", "policy_rejected", true },
	/* 554: in the greeting it never says anything of a mailbox */
	{ GREETING, "554", "sender", "policy", "policy_rejected", true },
	{ GREETING, "554 5.1.1 User unknown", "sender", "policy", "policy_rejected", true },
	{ GREETING, "554 No SMTP service here", "unclear", "policy", "policy_rejected", true },
	{ EHLO, "554", "sender", "policy", "sender_rejected", true },
	{ MAIL, "554 5.7.1 no", "sender", "policy", "sender_rejected", true },
	{ RCPT, "554", "unclear", "policy", "policy_rejected", true },
	{ RCPT, "554 5.1.1 no", "recipient", "mailbox_not_found", "mailbox_not_found", false },
	{ RCPT, "554 5.7.1 <a@b.test>: Relay access denied", "domain", "routing", "policy_rejected",
	  true },
	{ RCPT,
	  "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
	  "sender", "ip_blocked", "ip_blocked", true },
	{ RCPT, "554 Transaction failed", "unclear", "policy", "policy_rejected", true },
	/* 556: a domain that takes no mail */
	{ RCPT, "556", "domain", "routing", "null_mx", false },
	{ RCPT, "556 5.1.10 Recipient address has null MX", "domain", "routing", "null_mx", false },
};

static struct rc_classification classify(const char *reply, enum rc_stage stage, unsigned *ret_code)
{
	struct rc_reply_view view = { .stage = stage };
	struct rc_classification c;
	char enhanced[16], text[1024];

	assert_true(rc_reply_split(reply, strlen(reply), &view.code, enhanced, text, sizeof(text),
				   &view.len));
	view.enhanced = enhanced;
	view.text = text;
	rc_rules_classify(rules, &view, &c);
	*ret_code = view.code;
	return c;
}

static void test_codes(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		unsigned code;
		struct rc_classification c = classify(r->reply, r->stage, &code);
		const char *reason = rc_reason_name(rc_reply_reason(&c, code));
		bool review = rc_reply_review(&c, code);

		if (strcmp(rc_fault_name(c.fault), r->fault) == 0 &&
		    strcmp(rc_category_name(c.category), r->category) == 0 &&
		    strcmp(reason, r->reason) == 0 && review == r->review)
			continue;
		wrong++;
		print_error("%s: %s\n    is %s %s %s review=%d by %s\n    not %s %s %s review=%d\n",
			    rc_stage_name(r->stage), r->reply, rc_fault_name(c.fault),
			    rc_category_name(c.category), reason, review, c.rule, r->fault,
			    r->category, r->reason, r->review);
	}
	assert_int_equal(wrong, 0);
}

/* No code before RCPT, and no code below 500, says a mailbox is not there: by itself or with any
 * enhanced status. */
static void test_never_invalid(void **state)
{
	(void)state;
	for (unsigned code = 200; code <= 599; code++)
		for (int stage = RC_STAGE_CONNECT; stage <= RC_STAGE_RCPT; stage++)
			for (int subject = 0; subject <= 7; subject++)
				for (int detail = 0; detail <= 30; detail++) {
					struct rc_reply_view view = { .stage = (enum rc_stage)stage,
								      .code = code };
					struct rc_classification c;
					char enhanced[16];
					enum rc_reason reason;

					snprintf(enhanced, sizeof(enhanced), "%u.%d.%d", code / 100,
						 subject, detail);
					view.enhanced = enhanced;
					rc_rules_classify(rules, &view, &c);
					reason = rc_reply_reason(&c, code);
					if (stage == RC_STAGE_RCPT && code >= 500)
						continue;
					assert_true(c.fault != RC_FAULT_RECIPIENT ||
						    c.category == RC_CATEGORY_MAILBOX_FULL);
					if (code != 521 && code != 556)
						assert_int_not_equal(rc_reason_status(reason),
								     RC_RESULT_INVALID);
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_codes),
					    cmocka_unit_test(test_never_invalid) };

	return cmocka_run_group_tests(tests, load, unload);
}
