/*
 * clock - the only place that asks the kernel for the time. core/ never includes it: there the time
 * is an argument.
 */
#ifndef RC_BASE_CLOCK_H
#define RC_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t rc_clock_mono_ms(void); /* CLOCK_MONOTONIC, ms */
uint64_t rc_clock_mono_us(void); /* CLOCK_MONOTONIC, us */
uint64_t rc_clock_boot_ms(void); /* CLOCK_BOOTTIME, ms: goes on while the machine sleeps */
int64_t rc_clock_wall_ms(void);	 /* ms since 1970-01-01T00:00:00Z */

enum { RC_TIME_TEXT_MAX = 32 };
/* RFC 3339, UTC, ms: 2026-11-24T01:43:37.123Z. Returns `ret_text`. */
const char *rc_clock_format(int64_t wall_ms, char ret_text[RC_TIME_TEXT_MAX]);

#endif
