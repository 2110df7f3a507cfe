/* See warmup.h. */
#include "coordinator/core/warmup.h"

enum { MOST = 10000000, DAY_MS = 86400000 };

enum rc_status warmup_parse(const char *text, struct warmup *ret, struct rc_error *err)
{
	struct warmup warmup = { 0 };
	const char *at = text ? text : "";

	while (*at == ' ')
		at++;
	while (*at) {
		uint64_t value = 0;
		const char *start = at;

		for (; *at >= '0' && *at <= '9' && at - start < 9; at++)
			value = 10 * value + (uint64_t)(*at - '0');
		while (*at == ' ')
			at++;
		if (at == start || value < 1 || value > MOST || (*at && *at != ','))
			return rc_error_set(err, RC_INVALID,
					    "`%.40s`: write recipients a day, such as "
					    "50,100,200,500",
					    start);
		if (warmup.days == WARMUP_DAYS_MAX)
			return rc_error_set(err, RC_INVALID, "more than %d days", WARMUP_DAYS_MAX);
		if (warmup.days && value < warmup.most[warmup.days - 1])
			return rc_error_set(err, RC_INVALID,
					    "`%.40s` is less than the day before: it is to grow",
					    start);
		warmup.most[warmup.days++] = (uint32_t)value;
		if (*at != ',')
			break;
		at++;
		while (*at == ' ')
			at++;
		if (!*at)
			return rc_error_set(err, RC_INVALID, "it ends with a comma");
	}
	*ret = warmup;
	return RC_OK;
}

int warmup_day(int64_t first_seen_ms, int64_t now_ms)
{
	int64_t days = (now_ms - first_seen_ms) / DAY_MS;

	return days < 0 ? 0 : days > 100000 ? 100000 : (int)days;
}

bool warmup_limit(const struct warmup *warmup, int day, uint32_t *ret_most)
{
	if (day < 0 || (size_t)day >= warmup->days)
		return false;
	*ret_most = warmup->most[day];
	return true;
}
