/*
 * A rule file of somebody's own, up to a NUL; behind it a reply that it is asked about. It is
 * refused with its line, or classifies.
 */
#include <stdlib.h>
#include <string.h>

#include "common/reply/reply_rules.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = memchr(text, '\0', size);
	size_t len = end ? (size_t)(end - text) : size;
	struct rc_reply_view view = { .stage = RC_STAGE_RCPT, .code = 550, .enhanced = "" };
	struct rc_classification class;
	struct rc_rules *rules = NULL;
	struct rc_error err = { 0 };
	const char *names[8];

	if (rc_rules_parse("replies", text, len, &rules, &err) != RC_OK) {
		if (!err.text[0] || rules)
			abort();
		return 0;
	}
	if (end) {
		view.text = end + 1;
		view.len = size - len - 1;
	}
	for (view.code = 250; view.code <= 550; view.code += 100) {
		rc_rules_classify(rules, &view, &class);
		if (!class.rule || class.category <= 0 || class.category >= RC_CATEGORY_COUNT ||
		    class.fault <= 0 || class.fault >= RC_FAULT_COUNT)
			abort();
		(void)rc_rules_matching(rules, &view, names, 8);
		(void)rc_reply_reason(&class, view.code);
	}
	rc_rules_free(rules);
	return 0;
}
