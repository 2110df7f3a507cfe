#include "coordinator/http/json_text.h"

#include <stdlib.h>

#include "common/base/clock.h"

json_t *json_time(int64_t wall_ms)
{
	char text[RC_TIME_TEXT_MAX];

	return wall_ms ? json_string(rc_clock_format(wall_ms, text)) : json_null();
}

json_t *json_safe(const char *text, size_t len)
{
	json_t *value = json_stringn(text, len);
	char *copy;

	if (value)
		return value;
	copy = malloc(len + 1);
	if (!copy)
		return json_null();
	for (size_t i = 0; i < len; i++)
		copy[i] = (unsigned char)text[i] < 0x80 && text[i] ? text[i] : '?';
	value = json_stringn(copy, len);
	free(copy);
	return value ? value : json_null();
}

json_t *json_stored(const char *text, size_t len)
{
	json_t *list = text ? json_loadb(text, len, 0, NULL) : NULL;

	return list ? list : json_array();
}
