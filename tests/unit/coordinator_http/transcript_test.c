/* A stored report becomes the conversation that a person reads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/http/transcript.h"
#include "rollcall.pb-c.h"

static Rollcall__Reply *reply(Rollcall__Reply *r, unsigned code, const char *enhanced,
			      const char *text)
{
	rollcall__reply__init(r);
	r->code = code;
	r->enhanced = (char *)(uintptr_t)enhanced;
	r->text.data = (uint8_t *)(uintptr_t)text;
	r->text.len = strlen(text);
	return r;
}

static void pack(Rollcall__Report *report, struct results_part *part)
{
	uint8_t *body = malloc(rollcall__report__get_packed_size(report));

	part->len = rollcall__report__pack(report, body);
	part->body = body;
	part->shard = 7;
	part->shard_attempt = 1;
	part->part = 1;
}

static const char *const expected[] = {
	"note connected to mx1.x.test (127.9.0.1) port 25 from 127.10.1.1",
	"S 220-mx1.x.test",
	"S 220 ready",
	"C EHLO probe1.sender.test",
	"S 250 mx1.x.test",
	"C MAIL FROM:<verify@probe1.sender.test>",
	"S 250 2.1.0 Ok",
	"C RCPT TO:<anna@x.test>",
	"S 250 2.1.5 Ok",
	"note would it take a random address, that is, anybody?",
	"C RCPT TO:<zz9@x.test>",
	"S 550 5.1.1 <zz9@x.test>: unknown \xe2\x80\xa6",
	"C QUIT",
	"S 221 2.0.0 Bye",
};

static void test_conversation(void **state)
{
	Rollcall__Report report = ROLLCALL__REPORT__INIT;
	Rollcall__Session session = ROLLCALL__SESSION__INIT, *sessions[] = { &session };
	Rollcall__Answer mine = ROLLCALL__ANSWER__INIT, other = ROLLCALL__ANSWER__INIT,
			 *answers[] = { &other, &mine };
	Rollcall__Control control = ROLLCALL__CONTROL__INIT, *controls[] = { &control };
	Rollcall__Reply greeting, ehlo, mail, quit, rcpt, refused;
	struct results_part part;
	struct results_detail d = {
		.uid = 42, .local = "anna", .domain = "x.test", .part = &part, .parts = 1
	};
	json_t *attempts, *attempt, *lines;

	(void)state;
	report.lane_name = (char *)(uintptr_t) "lane-1";
	report.source_ip = (char *)(uintptr_t) "127.10.1.1";
	report.helo = (char *)(uintptr_t) "probe1.sender.test";
	report.mail_from = (char *)(uintptr_t) "verify@probe1.sender.test";
	session.mx_host = (char *)(uintptr_t) "mx1.x.test";
	session.mx_address = (char *)(uintptr_t) "127.9.0.1";
	session.mx_port = 25;
	session.greeting = reply(&greeting, 220, "", "mx1.x.test\nready");
	session.ehlo = reply(&ehlo, 250, "", "mx1.x.test");
	session.mail = reply(&mail, 250, "2.1.0", "Ok");
	session.quit = reply(&quit, 221, "2.0.0", "2.0.0 Bye");
	other.uid = 41;
	other.session = 1;
	mine.uid = 42;
	mine.attempt = 2;
	mine.session = 1;
	mine.stage = ROLLCALL__STAGE__STAGE_RCPT;
	mine.at_ms = 1795484617123;
	mine.reply = reply(&rcpt, 250, "2.1.5", "Ok");
	control.kind = ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM;
	control.local.data = (uint8_t *)(uintptr_t) "zz9";
	control.local.len = 3;
	control.session = 1;
	control.at_ms = 1795484617200;
	control.reply = reply(&refused, 550, "5.1.1", "<zz9@x.test>: unknown \xe2\x80\xa6");
	report.sessions = sessions;
	report.n_sessions = 1;
	report.answers = answers;
	report.n_answers = 2;
	report.controls = controls;
	report.n_controls = 1;
	pack(&report, &part);

	attempts = transcript_attempts(&d, NULL);
	assert_int_equal(json_array_size(attempts), 1);
	attempt = json_array_get(attempts, 0);
	assert_int_equal(json_integer_value(json_object_get(attempt, "attempt")), 2);
	assert_string_equal(json_string_value(json_object_get(attempt, "at")),
			    "2026-11-24T01:43:37.123Z");
	assert_string_equal(json_string_value(json_object_get(attempt, "outcome")), "250 2.1.5 Ok");
	lines = json_object_get(attempt, "conversation");
	assert_int_equal(json_array_size(lines), sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const json_t *line = json_array_get(lines, i);
		char text[300];

		snprintf(text, sizeof(text), "%s %s",
			 json_string_value(json_object_get(line, "who")),
			 json_string_value(json_object_get(line, "text")));
		assert_string_equal(text, expected[i]);
	}
	json_decref(attempts);
	free((void *)(uintptr_t)part.body);
}

/* Which rule spoke of an answer, whose fault it says it is, and how long we waited. */
static void test_annotations(void **state)
{
	static const struct {
		const char *member, *value;
	} first[] = { { "category", "greylisted" }, { "fault", "temporary" } };
	Rollcall__Report report = ROLLCALL__REPORT__INIT;
	Rollcall__Session session = ROLLCALL__SESSION__INIT, *sessions[] = { &session };
	Rollcall__Answer mine = ROLLCALL__ANSWER__INIT, again = ROLLCALL__ANSWER__INIT,
			 *answers[] = { &mine, &again };
	Rollcall__Reply greeting, grey, gone, tls;
	struct results_part part;
	struct results_detail d = {
		.uid = 42, .local = "anna", .domain = "x.test", .part = &part, .parts = 1
	};
	struct rc_rules *rules;
	struct rc_error err;
	json_t *attempts, *lines, *line;
	bool starttls = false;

	(void)state;
	assert_int_equal(rc_rules_load(SOURCE_DIR "/data", &rules, &err), RC_OK);
	session.greeting = reply(&greeting, 220, "", "ready");
	session.starttls = reply(&tls, 220, "2.0.0", "go ahead");
	session.tls = true;
	session.tls_version = (char *)(uintptr_t) "TLSv1.3";
	session.tls_thrown_away = 9;
	mine.uid = again.uid = 42;
	mine.session = again.session = 1;
	mine.stage = again.stage = ROLLCALL__STAGE__STAGE_RCPT;
	mine.attempt = 1;
	again.attempt = 2;
	mine.at_ms = 1000000;
	again.at_ms = 1330500;
	again.local_tries = 1;
	mine.reply = reply(&grey, 450, "4.2.0", "<anna@x.test>: Greylisted, see http://postgrey");
	again.reply = reply(&gone, 550, "5.1.1", "<anna@x.test>: User unknown");
	report.sessions = sessions;
	report.n_sessions = 1;
	report.answers = answers;
	report.n_answers = 2;
	pack(&report, &part);
	attempts = transcript_attempts(&d, rules);
	assert_int_equal(json_array_size(attempts), 2);
	assert_null(json_object_get(json_array_get(attempts, 0), "waited_ms"));
	assert_int_equal(
	    json_integer_value(json_object_get(json_array_get(attempts, 1), "waited_ms")), 330500);
	lines = json_object_get(json_array_get(attempts, 0), "conversation");
	line = json_array_get(lines, json_array_size(lines) - 1);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(json_string_value(json_object_get(line, first[i].member)),
				    first[i].value);
	assert_true(json_integer_value(json_object_get(line, "retry_after_s")) >= 300);
	for (size_t i = 0; i < json_array_size(lines); i++)
		starttls |=
		    !strcmp(json_string_value(json_object_get(json_array_get(lines, i), "text")),
			    "STARTTLS");
	assert_true(starttls);
	/* a yes before RCPT is no more than that */
	assert_null(json_object_get(json_array_get(lines, 1), "rule"));
	lines = json_object_get(json_array_get(attempts, 1), "conversation");
	line = json_array_get(lines, json_array_size(lines) - 1);
	assert_string_equal(json_string_value(json_object_get(line, "fault")), "recipient");
	json_decref(attempts);
	rc_rules_free(rules);
	free((void *)(uintptr_t)part.body);
}

/* No session, octets that are no text, a report cut in half: evidence as far as it goes. */
static void test_odd_reports(void **state)
{
	Rollcall__Report report = ROLLCALL__REPORT__INIT;
	Rollcall__Answer mine = ROLLCALL__ANSWER__INIT, binary = ROLLCALL__ANSWER__INIT,
			 *answers[] = { &mine, &binary };
	Rollcall__Reply rubbish;
	struct results_part part;
	struct results_detail d = {
		.uid = 42, .local = "anna", .domain = "x.test", .part = &part, .parts = 1
	};
	json_t *attempts;

	(void)state;
	mine.uid = binary.uid = 42;
	mine.stage = ROLLCALL__STAGE__STAGE_CONNECT;
	mine.failure = ROLLCALL__FAILURE__FAILURE_REFUSED;
	binary.stage = ROLLCALL__STAGE__STAGE_GREETING;
	binary.session = 9;
	binary.reply = reply(&rubbish, 554, "", "\xff\xfe x");
	report.answers = answers;
	report.n_answers = 2;
	pack(&report, &part);
	attempts = transcript_attempts(&d, NULL);
	assert_int_equal(json_array_size(attempts), 2);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(attempts, 0), "outcome")),
	    "connecting: the connection was refused");
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(attempts, 1), "outcome")),
	    "the greeting: 554 ?? x");
	json_decref(attempts);
	for (size_t len = 0; len < part.len; len++) {
		size_t whole = part.len;

		part.len = len;
		attempts = transcript_attempts(&d, NULL);
		assert_non_null(attempts);
		json_decref(attempts);
		part.len = whole;
	}
	free((void *)(uintptr_t)part.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_conversation),
					    cmocka_unit_test(test_annotations),
					    cmocka_unit_test(test_odd_reports) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
