#include <math.h>
#include <stdio.h>

#include "cli/answer.h"

const char *answer_text(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text ? text : "";
}

int64_t answer_count(const json_t *json, const char *name)
{
	const json_t *value = json_object_get(json, name);

	return json_is_real(value) ? (int64_t)llround(json_real_value(value)) : (int64_t)json_integer_value(value);
}

void answer_print(const json_t *json)
{
	json_dumpf(json, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
	putchar('\n');
}
