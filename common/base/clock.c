/* See clock.h. */
#include "common/base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t rc_clock_mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t rc_clock_mono_ms(void)
{
	return rc_clock_mono_us() / 1000;
}

uint64_t rc_clock_boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t rc_clock_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *rc_clock_format(int64_t wall_ms, char ret_text[RC_TIME_TEXT_MAX])
{
	int64_t ms = wall_ms % 1000, s = wall_ms / 1000;
	time_t seconds;
	struct tm tm;
	size_t len;

	if (ms < 0) {
		ms += 1000;
		s--;
	}
	seconds = (time_t)s;
	/* Beyond year 9999 there is no RFC 3339. */
	if (s < -62167219200 || s > 253402300799 || !gmtime_r(&seconds, &tm))
		len = (size_t)snprintf(ret_text, RC_TIME_TEXT_MAX, "0000-01-01T00:00:00.000Z");
	else if ((len = strftime(ret_text, RC_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm)) > 0)
		snprintf(ret_text + len, RC_TIME_TEXT_MAX - len, ".%03dZ", (int)ms);
	return ret_text;
}
