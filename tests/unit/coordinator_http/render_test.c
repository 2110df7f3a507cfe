/* What the download looks like: the input's own cells, ours behind them, formulas made harmless. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/verdict.h"
#include "coordinator/http/render.h"

#define OURS                                                                                       \
	"valid,valid,97,mailbox_accepted,250,2.1.5,google,mx.test,true,false,true,,2,fra-1,2026-"  \
	"11-24T01:43:37.123Z,false,true,false,prior,00000000000000ab\n"

static const struct result_row valid_row = {
	.reason = RC_REASON_MAILBOX_ACCEPTED,
	.final = true,
	.flags = VERDICT_ROLE | VERDICT_FREE | VERDICT_REVIEW,
	.score = 97,
	.smtp_code = 250,
	.enhanced = "2.1.5",
	.provider = "google",
	.mx = "mx.test",
	.attempts = 2,
	.lane = "fra-1",
	.rule = "r1",
	.rules = 0xab,
	.checked_at_ms = 1795484617123,
};
static const struct result_row blank_row = { .reason = RC_REASON_BLANK,
					     .final = true,
					     .score = -1 };

static void expect(const struct render_params *params, const char *record,
		   const struct result_row *row, const char *expected)
{
	struct render *r = render_new(params);
	struct rc_buf out;

	rc_buf_init(&out, 0);
	render_row(r, record, strlen(record), row, &out);
	assert_false(out.failed);
	assert_string_equal(out.data, expected);
	rc_buf_done(&out);
	render_free(r);
}

static void test_csv(void **state)
{
	const char *const columns[] = { "name", "email" };
	struct render_params p = { .format = RENDER_CSV,
				   .input = RECORDS_CSV,
				   .delimiter = ',',
				   .columns = columns,
				   .column_count = 2 };

	(void)state;
	expect(&p, "A,a@x.test", &valid_row, "A,a@x.test," OURS);
	expect(&p, "A", &valid_row, "A,," OURS);
	expect(&p, "A,a@x.test,,", &valid_row, "A,a@x.test," OURS);
	expect(&p, "\"A, \"\"B\"\"\",a@x.test", &valid_row, "\"A, \"\"B\"\"\",a@x.test," OURS);
	expect(&p, "\"two\nlines\",a@x.test", &valid_row, "\"two\nlines\",a@x.test," OURS);
	expect(&p, "=cmd|'/c calc'!A0,+a@x.test", &valid_row,
	       "'=cmd|'/c calc'!A0,'+a@x.test," OURS);
	expect(&p, "\"=A1,B1\",-1.5", &valid_row, "\"'=A1,B1\",-1.5," OURS);
	expect(&p, "+49 (40) 123-4,@x", &valid_row, "+49 (40) 123-4,'@x," OURS);
	p.raw = true;
	expect(&p, "=1,+a@x.test", &valid_row, "=1,+a@x.test," OURS);
	p.raw = false;
	expect(&p, "", &blank_row,
	       ",,skipped,unknown,,blank,,,,,false,false,false,,0,,,false,false,false,,\n");
}

static void test_csv_kinds(void **state)
{
	const char *const columns[] = { "name", "Rollcall_Status", "email" };
	const char *const members[] = { "email", "n", "rollcall" };
	const char *const one[] = { "email" };
	struct render_params p = { .format = RENDER_CSV,
				   .input = RECORDS_CSV,
				   .delimiter = ';',
				   .columns = columns,
				   .column_count = 3 };
	struct rc_buf out;
	struct render *r;

	(void)state;
	expect(
	    &p, "A, B;old;a@x.test", &blank_row,
	    "A, "
	    "B;a@x.test;skipped;unknown;;blank;;;;;false;false;false;;0;;;false;false;false;;\n");
	r = render_new(&p);
	rc_buf_init(&out, 0);
	render_header(r, &out);
	assert_int_equal(
	    strncmp(out.data,
		    "name;email;rollcall_status;rollcall_grade;rollcall_score;rollcall_reason;",
		    72),
	    0);
	assert_non_null(strstr(out.data, ";rollcall_checked_at;rollcall_catch_all;rollcall_review;"
					 "rollcall_domain_risk;rollcall_score_basis;"
					 "rollcall_rules\n"));
	rc_buf_done(&out);
	render_free(r);
	p = (struct render_params){
		.format = RENDER_CSV, .input = RECORDS_TXT, .columns = one, .column_count = 1
	};
	expect(&p, "\"a,b\"@x.test", &valid_row, "\"\"\"a,b\"\"@x.test\"," OURS);
	p = (struct render_params){
		.format = RENDER_CSV, .input = RECORDS_NDJSON, .columns = members, .column_count = 3
	};
	expect(&p, "{\"n\":[1, 2],\"email\":\"a@x.test\",\"rollcall\":{}}", &valid_row,
	       "a@x.test,\"[1,2]\"," OURS);
}

#define OURS_JSON                                                                                  \
	"\"rollcall\":{\"status\":\"skipped\",\"grade\":\"unknown\",\"score\":null,\"reason\":"    \
	"\"blank\",\"smtp_code\":null,"                                                            \
	"\"enhanced_code\":null,\"provider\":null,\"mx\":null,\"role\":false,\"disposable\":"      \
	"false,\"free\":false,\"did_you_mean\":null,"                                              \
	"\"attempts\":0,\"lane\":null,\"checked_at\":null,\"catch_all\":false,\"review\":false,"   \
	"\"domain_risk\":false,\"score_basis\":null,"                                              \
	"\"rules\":null,\"docs\":\"/docs/reasons/blank\"}}\n"

static void test_ndjson(void **state)
{
	const char *const columns[] = { "a", "a", "rollcall_score" };
	struct render_params p = { .format = RENDER_NDJSON, .input = RECORDS_NDJSON };

	(void)state;
	expect(&p, "{\"n\": 1.50, \"email\":\"a@x.test\"} ", &blank_row,
	       "{\"n\": 1.50, \"email\":\"a@x.test\"," OURS_JSON);
	expect(&p, "{ }", &blank_row, "{ " OURS_JSON);
	expect(&p, "{\"rollcall\":7,\"n\":1}", &blank_row, "{\"n\":1," OURS_JSON);
	expect(&p, "{\"r\\u006fllcall\":7,\"n\":1}", &blank_row, "{\"n\":1," OURS_JSON);
	expect(&p, "", &blank_row, "{" OURS_JSON);
	p = (struct render_params){ .format = RENDER_NDJSON,
				    .input = RECORDS_CSV,
				    .delimiter = ',',
				    .columns = columns,
				    .column_count = 3 };
	expect(&p, "\"x \"\"y\"\"\",z,1", &blank_row,
	       "{\"a\":\"x \\\"y\\\"\",\"a_2\":\"z\"," OURS_JSON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_csv_kinds),
		cmocka_unit_test(test_ndjson),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
