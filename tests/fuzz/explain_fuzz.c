/* A line for `rollcall explain` under the shipped rules: one line of JSON, whatever stands in it.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/reply/explain.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rc_rules *rules;
	static const enum rc_stage stages[] = { RC_STAGE_RCPT, RC_STAGE_GREETING, RC_STAGE_MAIL };
	struct rc_error err;

	if (!rules && rc_rules_load(SOURCE_DIR "/data", &rules, &err) != RC_OK)
		abort();
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
		struct rc_buf out;
		json_t *object;
		bool cut;

		rc_buf_init(&out, 0);
		if (!rc_explain_line(rules, stages[i], NULL, (const char *)data, size, i == 0, &out,
				     &cut))
			abort();
		object = json_loadb(out.data, out.len - 1, JSON_ALLOW_NUL, NULL);
		if (out.data[out.len - 1] != '\n' || memchr(out.data, '\n', out.len - 1) || !object)
			abort();
		json_decref(object);
		rc_buf_done(&out);
	}
	return 0;
}
