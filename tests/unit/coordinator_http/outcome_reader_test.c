/* coordinator/http/outcome_reader.h: each provider's export, however it is cut; what is wrong, with
 * its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "coordinator/http/outcome_reader.h"

enum { NOW_S = 1800000000 };

static enum rc_status on_row(void *ctx, const struct outcome_row *row, struct rc_error *err)
{
	static const char *const kinds[] = {
		"?", "delivered", "bounced", "hard", "soft", "ignored"
	};

	(void)err;
	rc_buf_printf(ctx, "%llu %.*s@%.*s %s %lld|%.*s\n", (unsigned long long)row->record,
		      (int)row->local_len, row->address, (int)row->domain_len,
		      row->address + row->local_len, kinds[row->kind],
		      (long long)(row->at_ms / 1000), (int)row->diagnostic_len, row->diagnostic);
	return RC_OK;
}

static enum rc_status on_bad(void *ctx, const struct outcome_bad *bad, struct rc_error *err)
{
	(void)err;
	rc_buf_printf(ctx, "bad record %llu row %llu column %zu: %s\n",
		      (unsigned long long)bad->record, (unsigned long long)bad->row, bad->column,
		      bad->why);
	return RC_OK;
}

static enum rc_status read_in(const char *text, size_t step, const char *wanted, struct rc_buf *out,
			      struct list_fault *fault, char ret_format[32])
{
	const struct outcome_calls calls = { .ctx = out, .row = on_row, .bad = on_bad };
	struct outcome_reader *r = outcome_reader_new(wanted, (int64_t)NOW_S * 1000, &calls);
	enum rc_status status = RC_OK;
	size_t len = strlen(text);

	*fault = (struct list_fault){ .record = 0 };
	for (size_t at = 0; at < len && status == RC_OK; at += step)
		status =
		    outcome_reader_feed(r, text + at, len - at < step ? len - at : step, fault);
	if (status == RC_OK)
		status = outcome_reader_finish(r, fault);
	snprintf(ret_format, 32, "%s", outcome_reader_format(r));
	outcome_reader_free(r);
	return status;
}

static void is_read(const char *text, const char *format, const char *wanted)
{
	static const size_t steps[] = { 1, 7, 100000 };

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		struct list_fault fault;
		struct rc_buf out;
		char seen[32];

		rc_buf_init(&out, 0);
		if (read_in(text, steps[i], NULL, &out, &fault, seen) != RC_OK)
			fail_msg("%s: refused: %s", format, fault.error.text);
		assert_string_equal(seen, format);
		rc_buf_add(&out, "", 1);
		assert_string_equal(out.data, wanted);
		rc_buf_done(&out);
	}
}

static void test_generic(void **state)
{
	(void)state;
	is_read("address,outcome,time,diagnostic\n"
		"Ann@Example.test,delivered,2026-11-24T10:00:00Z,\n"
		"bob@example.test,hard_bounce,1700000000,550 5.1.1 no such user\n"
		"\n"
		"\"cy@example.test\",Soft bounce,,\"452 4.2.2 full, try later\"\n"
		"dan@example.test,deferred,,\n",
		"generic",
		"2 ann@example.test delivered 1795514400|\n"
		"3 bob@example.test hard 1700000000|550 5.1.1 no such user\n"
		"5 cy@example.test soft 0|452 4.2.2 full, try later\n"
		"6 dan@example.test ignored 0|\n");
	is_read("Outcome;E-Mail\nbounced;ann@b\xc3\xbc"
		"cher.test\n",
		"generic", "2 ann@xn--bcher-kva.test hard 0|\n");
	is_read("{\"email\":\"a@b.test\",\"outcome\":\"delivered\",\"time\":1700000000.5}\n"
		"\n{\"Email\":\"c@d.test\",\"outcome\":\"bounce\",\"reply\":\"550 gone\"}\n",
		"generic", "1 a@b.test delivered 1700000000|\n3 c@d.test hard 0|550 gone\n");
}

static void test_sendgrid(void **state)
{
	(void)state;
	is_read("created,email,reason,status\n"
		"1700000000,a@b.test,550 5.1.1 no such user,5.1.1\n"
		"1700000000,c@b.test,Unable to resolve MX,4.0.0\n",
		"sendgrid",
		"2 a@b.test hard 1700000000|550 5.1.1 no such user\n"
		"3 c@b.test hard 1700000000|Unable to resolve MX\n");
	is_read("{\"email\":\"a@b.test\",\"event\":\"bounce\",\"type\":\"bounce\",\"timestamp\":"
		"1700000000,"
		"\"status\":\"5.1.1\",\"reason\":\"550 5.1.1 unknown\",\"sg_event_id\":\"x\"}\n"
		"{\"email\":\"a@b.test\",\"event\":\"bounce\",\"type\":\"blocked\",\"timestamp\":"
		"1700000000,"
		"\"reason\":\"550 5.7.1 listed\",\"sg_event_id\":\"y\"}\n"
		"{\"email\":\"a@b.test\",\"event\":\"delivered\",\"timestamp\":1700000000,\"sg_"
		"event_id\":\"z\"}\n"
		"{\"email\":\"a@b.test\",\"event\":\"dropped\",\"timestamp\":1700000000,\"sg_event_"
		"id\":\"z\"}\n",
		"sendgrid",
		"1 a@b.test hard 1700000000|550 5.1.1 unknown\n"
		"2 a@b.test soft 1700000000|550 5.7.1 listed\n"
		"3 a@b.test delivered 1700000000|\n"
		"4 a@b.test ignored 1700000000|\n");
}

static void test_mailgun(void **state)
{
	(void)state;
	is_read("address,code,error,created_at\n"
		"a@b.test,550,No such mailbox,\"Fri, 21 Oct 2011 11:02:55 UTC\"\n",
		"mailgun", "2 a@b.test hard 1319194975|550 No such mailbox\n");
	is_read("{\"event\":\"failed\",\"severity\":\"permanent\",\"recipient\":\"a@b.test\","
		"\"timestamp\":1521233195.375624,\"delivery-status\":{\"code\":550,\"message\":\"5."
		"1.1 The "
		"account does not exist\"}}\n"
		"{\"event\":\"failed\",\"severity\":\"temporary\",\"recipient\":\"a@b.test\","
		"\"timestamp\":"
		"1521233195}\n"
		"{\"event\":\"delivered\",\"recipient\":\"a@b.test\",\"timestamp\":1521233195}\n",
		"mailgun",
		"1 a@b.test hard 1521233195|550 5.1.1 The account does not exist\n"
		"2 a@b.test ignored 1521233195|\n"
		"3 a@b.test delivered 1521233195|\n");
	is_read("{\"event-data\":{\"event\":\"delivered\",\"recipient\":\"a@b.test\",\"timestamp\":"
		"1521233195}}",
		"mailgun", "1 a@b.test delivered 1521233195|\n");
}

static void test_postmark(void **state)
{
	(void)state;
	is_read("{\"RecordType\":\"Bounce\",\"Type\":\"HardBounce\",\"Email\":\"a@b.test\","
		"\"BouncedAt\":"
		"\"2014-01-15T16:09:19.6421112-05:00\",\"Details\":\"smtp;550 5.1.1 unknown\"}\n"
		"{\"RecordType\":\"Delivery\",\"Recipient\":\"c@b.test\",\"DeliveredAt\":\"2014-01-"
		"15T16:09:19Z\"}\n"
		"{\"RecordType\":\"Bounce\",\"Type\":\"SpamNotification\",\"Email\":\"a@b.test\","
		"\"BouncedAt\":"
		"\"2014-01-15T16:09:19Z\"}\n",
		"postmark",
		"1 a@b.test hard 1389820159|smtp;550 5.1.1 unknown\n"
		"2 c@b.test delivered 1389802159|\n"
		"3 a@b.test soft 1389802159|\n");
	is_read("Email,Type,BouncedAt,Details\na@b.test,Transient,2014-01-15,\n", "postmark",
		"2 a@b.test soft 1389830399|\n");
}

static void test_ses(void **state)
{
	(void)state;
	is_read(
	    "{\"notificationType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\","
	    "\"bounceSubType\":"
	    "\"General\",\"bouncedRecipients\":[{\"emailAddress\":\"a@b.test\",\"status\":\"5.1."
	    "1\","
	    "\"diagnosticCode\":\"smtp; 550 5.1.1 user "
	    "unknown\"},{\"emailAddress\":\"c@b.test\",\"status\":"
	    "\"5.1.1\"}],\"timestamp\":\"2017-11-20T11:05:06.477Z\"},\"mail\":{\"messageId\":\"m\"}"
	    "}\n"
	    "{\"eventType\":\"Delivery\",\"delivery\":{\"timestamp\":\"2017-11-20T11:05:06Z\","
	    "\"recipients\":"
	    "[\"d@b.test\"],\"smtpResponse\":\"250 ok\"},\"mail\":{\"messageId\":\"m\"}}\n"
	    "{\"eventType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Transient\",\"bounceSubType\":"
	    "\"MailboxFull\",\"bouncedRecipients\":[{\"emailAddress\":\"e@b.test\"}],\"timestamp\":"
	    "\"2017-11-20T11:05:06Z\"},\"mail\":{\"messageId\":\"m\"}}\n"
	    "{\"eventType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\",\"bounceSubType\":"
	    "\"OnAccountSuppressionList\",\"bouncedRecipients\":[{\"emailAddress\":\"f@b.test\"}],"
	    "\"timestamp\":\"2017-11-20T11:05:06Z\"},\"mail\":{\"messageId\":\"m\"}}\n"
	    "{\"Type\":\"Notification\",\"TopicArn\":\"t\",\"Message\":\"{\\\"notificationType\\\":"
	    "\\\"Complaint\\\",\\\"complaint\\\":{\\\"complainedRecipients\\\":[{"
	    "\\\"emailAddress\\\":"
	    "\\\"g@b.test\\\"}],\\\"timestamp\\\":\\\"2017-11-20T11:05:06Z\\\"},\\\"mail\\\":"
	    "{\\\"messageId\\\":\\\"m\\\"}}\"}\n",
	    "ses",
	    "1 a@b.test hard 1511175906|smtp; 550 5.1.1 user unknown\n"
	    "1 c@b.test hard 1511175906|550 5.1.1 \n"
	    "2 d@b.test delivered 1511175906|\n"
	    "3 e@b.test soft 1511175906|\n"
	    "4 f@b.test ignored 1511175906|\n"
	    "5 g@b.test delivered 1511175906|\n");
}

static void test_others(void **state)
{
	(void)state;
	is_read("Email Address,First Name,CLEAN_TIME,LEID\na@b.test,Ann,2024-03-01 10:22:31,7\n",
		"mailchimp", "2 a@b.test hard 1709288551|\n");
	is_read("Date,Email Address,Sender,Subject,Status,Tags,Opens,Clicks,Bounce Detail\n"
		"2024-03-01 10:22:31,a@b.test,s@x.test,Hi,Sent,,0,0,\n"
		"2024-03-01 10:22:31,c@b.test,s@x.test,Hi,Bounced,,0,0,bad_mailbox\n",
		"mailchimp",
		"2 a@b.test delivered 1709288551|\n3 c@b.test hard 1709288551|bad_mailbox\n");
	is_read("email,reason,detail,created_at,expires_at,last_event_at,expires_at\n"
		"a@b.test,hard-bounce,550 5.1.1 unknown,2024-03-01 10:22:31,,2024-03-01 10:22:31,\n"
		"c@b.test,custom,,2024-03-01 10:22:31,,2024-03-01 10:22:31,\n",
		"mailchimp",
		"2 a@b.test hard 1709288551|550 5.1.1 unknown\n3 c@b.test ignored 1709288551|\n");
	is_read("timestamp,type,rcpt_to,bounce_class,raw_reason\n"
		"2024-03-01T10:22:31.000Z,bounce,a@b.test,10,550 5.1.1 unknown\n"
		"2024-03-01T10:22:31.000Z,bounce,a@b.test,51,550 5.7.1 spam\n"
		"2024-03-01T10:22:31.000Z,delivery,a@b.test,,\n",
		"sparkpost",
		"2 a@b.test hard 1709288551|550 5.1.1 unknown\n"
		"3 a@b.test soft 1709288551|550 5.7.1 spam\n"
		"4 a@b.test delivered 1709288551|\n");
	is_read(
	    "{\"msys\":{\"message_event\":{\"type\":\"bounce\",\"bounce_class\":\"10\",\"rcpt_to\":"
	    "\"a@b.test\",\"timestamp\":\"1709288551\"}}}\n",
	    "sparkpost", "1 a@b.test hard 1709288551|\n");
	is_read("st_text,ts,sub,frm,email,tag,mid,link\n"
		"Hard bounce,01-03-2024 10:22:31,Hi,s@x.test,a@b.test,,m,\n"
		"Delivered,01-03-2024 10:22:31,Hi,s@x.test,c@b.test,,m,\n",
		"brevo", "2 a@b.test hard 1709288551|\n3 c@b.test delivered 1709288551|\n");
	is_read("{\"event\":\"hard_bounce\",\"email\":\"a@b.test\",\"message-id\":\"m\",\"ts_"
		"event\":1709288551,"
		"\"reason\":\"550 unknown\"}\n",
		"brevo", "1 a@b.test hard 1709288551|550 unknown\n");
}

static void test_bad_rows_leave_the_rest(void **state)
{
	(void)state;
	is_read(
	    "address,outcome,time\n"
	    "nobody,delivered,\n"
	    ",delivered,\n"
	    "a@b.test,wonderful,\n"
	    "a@b.test,,\n"
	    "a@b.test,delivered,yesterday\n"
	    "a@b.test,delivered,2126-01-01\n"
	    "a@b.test\n"
	    "a@b.test,delivered,\n",
	    "generic",
	    "bad record 2 row 1 column 1: this is no address\n"
	    "bad record 3 row 2 column 1: there is no address\n"
	    "bad record 4 row 3 column 2: \"wonderful\" is no outcome that is known: delivered, "
	    "hard_bounce, soft_bounce, blocked, deferred ... are\n"
	    "bad record 5 row 4 column 2: there is no outcome\n"
	    "bad record 6 row 5 column 3: this is no time that is understood: write "
	    "2026-11-24T10:00:00Z, or seconds since 1970\n"
	    "bad record 7 row 6 column 3: this time lies in the future\n"
	    "bad record 8 row 7 column 2: there is no outcome\n"
	    "9 a@b.test delivered 0|\n");
	is_read(
	    "{\"email\":\"a@b.test\",\"outcome\":\"delivered\"}\n{\"email\":\n[1]\n{\"x\":1}\n"
	    "{\"email\":[\"a@b.test\"],\"outcome\":\"delivered\"}\n",
	    "generic",
	    "1 a@b.test delivered 0|\n"
	    "bad record 2 row 2 column 9: this line is no JSON: unexpected token near end of file\n"
	    "bad record 3 row 3 column 1: this line is no JSON object\n"
	    "bad record 4 row 4 column 0: nothing here says which address and what became of it\n"
	    "bad record 5 row 5 column 0: there is no address\n");
}

static void test_refused_files(void **state)
{
	static const struct {
		const char *text, *wanted, *error;
	} rows[] = {
		{ "", NULL, "the file is empty" },
		{ "a@b.test,delivered\n", NULL,
		  "record 1, column 1: the first record holds an address" },
		{ "name,colour\nx,y\n", NULL, "record 1, column 1: nothing says which address" },
		{ "a@b.test\nc@d.test\n", NULL, "record 1, column 1: nothing says which address" },
		{ "address,outcome\na@b.test,delivered\n", "sendgrid",
		  "this is no export of sendgrid" },
		{ "{\"a\":1}\n", NULL, "record 1, column 1: nothing says which address" },
		{ "address,outcome\n\"a@b.test,delivered\n", NULL, "record 2" },
		{ "address,outcome\na@b.test,deli\xff\n", NULL, "record 2" },
		{ "[{\"email\":\"a@b.test\"}]", NULL, "JSON array" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct list_fault fault;
		struct rc_buf out;
		char seen[32];

		rc_buf_init(&out, 0);
		assert_int_not_equal(
		    read_in(rows[i].text, 1000, rows[i].wanted, &out, &fault, seen), RC_OK);
		if (!strstr(fault.error.text, rows[i].error))
			fail_msg("says %s, not %s", fault.error.text, rows[i].error);
		rc_buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generic),
		cmocka_unit_test(test_sendgrid),
		cmocka_unit_test(test_mailgun),
		cmocka_unit_test(test_postmark),
		cmocka_unit_test(test_ses),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_bad_rows_leave_the_rest),
		cmocka_unit_test(test_refused_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
