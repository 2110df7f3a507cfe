/* common/reply/explain.h: the line of JSON that users see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/reply/explain.h"

static void test_lines(void **state)
{
	static const struct {
		const char *line, *expected;
	} rows[] = {
		{ "550-5.1.1 no\\n550 5.1.1 user unknown",
		  "{\"reply\":\"550-5.1.1 no\\\\n550 5.1.1 user "
		  "unknown\",\"code\":550,\"enhanced\":\"5.1.1\",\"fault\":\"recipient\","
		  "\"category\":\"mailbox_not_found\",\"rule\":\"sendmail-unknown\",\"status\":"
		  "\"invalid\",\"reason\":\"mailbox_not_found\","
		  "\"retry_after_s\":null}\n" },
		{ "450 greylisted for 5 minutes",
		  "{\"reply\":\"450 greylisted for 5 "
		  "minutes\",\"code\":450,\"enhanced\":null,\"fault\":\"temporary\",\"category\":"
		  "\"greylisted\",\"rule\":\"sqlgrey\",\"status\":\"unknown\",\"reason\":"
		  "\"greylisted\",\"retry_after_s\":300}\n" },
		{ "hello", "{\"reply\":\"hello\",\"code\":null,\"enhanced\":null,\"fault\":"
			   "\"unclear\",\"category\":\"unclear\",\"rule\":null,"
			   "\"status\":\"unknown\",\"reason\":\"protocol_error\",\"retry_after_s\":"
			   "null}\n" },
	};
	struct rc_rules *rules;
	struct rc_error err;
	struct rc_buf out;
	json_t *object;
	bool cut;

	(void)state;
	if (rc_rules_load(SOURCE_DIR "/data", &rules, &err))
		fail_msg("%s", err.text);
	rc_buf_init(&out, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		rc_buf_clear(&out);
		assert_true(rc_explain_line(rules, RC_STAGE_RCPT, NULL, rows[i].line,
					    strlen(rows[i].line), false, &out, &cut));
		assert_string_equal(out.data, rows[i].expected);
	}
	/* octets that are no UTF-8, and NUL; with what it beat */
	rc_buf_clear(&out);
	assert_true(rc_explain_line(rules, RC_STAGE_RCPT, NULL, "550 \xff\0\xc3 user unknown", 20,
				    true, &out, &cut));
	object = json_loadb(out.data, out.len, JSON_ALLOW_NUL, NULL);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "rule")), "sendmail-unknown");
	assert_true(json_array_size(json_object_get(object, "beat")) >= 2);
	json_decref(object);
	rc_buf_clear(&out);
	assert_true(rc_explain_line(rules, RC_STAGE_RCPT, NULL, "", 0, false, &out, &cut));
	rc_buf_done(&out);
	rc_rules_free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
