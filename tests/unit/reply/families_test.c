/* families.txt: what replies of many families come to under the shipped rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/reply_rules.h"

/* The reply is `line` from its third octet on, \n in it two characters. */
static void classify(const struct rc_rules *rules, const char *line, struct rc_classification *ret,
		     unsigned *ret_code)
{
	struct rc_reply_view view = { .stage = RC_STAGE_RCPT };
	char reply[1024], text[1024], enhanced[16];
	size_t len = 0;

	for (const char *p = line + 2; *p; p++) {
		bool line_end = p[0] == '\\' && p[1] == 'n';

		reply[len++] = line_end ? '\n' : *p;
		p += line_end;
	}
	assert_true(rc_reply_split(reply, len, ret_code, enhanced, text, sizeof(text), &view.len));
	view.code = *ret_code;
	view.enhanced = enhanced;
	view.text = text;
	rc_rules_classify(rules, &view, ret);
}

static void test_families(void **state)
{
	FILE *file = fopen(SOURCE_DIR "/tests/unit/reply/families.txt", "re");
	struct rc_rules *rules;
	struct rc_error err;
	char line[1024];
	unsigned wrong = 0, seen[3] = { 0 };

	(void)state;
	assert_non_null(file);
	if (rc_rules_load(SOURCE_DIR "/data", &rules, &err))
		fail_msg("%s", err.text);
	while (fgets(line, sizeof(line), file)) {
		struct rc_classification c;
		unsigned code;
		bool invalid, full;

		line[strcspn(line, "\n")] = '\0';
		if (*line == '#')
			continue;
		classify(rules, line, &c, &code);
		invalid = rc_reason_status(rc_reply_reason(&c, code)) == RC_RESULT_INVALID;
		full = c.category == RC_CATEGORY_MAILBOX_FULL;
		seen[*line == 'R' ? 0 : *line == 'F' ? 1 : 2]++;
		if (invalid == (*line == 'R') && full == (*line == 'F'))
			continue;
		wrong++;
		print_error("%s\n    is %s %s by %s\n", line, rc_fault_name(c.fault),
			    rc_category_name(c.category), c.rule);
	}
	fclose(file);
	rc_rules_free(rules);
	assert_true(seen[0] > 300 && seen[1] > 30 && seen[2] > 300);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_families) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
