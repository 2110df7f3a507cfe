/*
 * warmup - how many recipients a new lane may be asked for each day until its servers know it.
 *
 * Pure. Days are spans of 24 h from when the lane was first seen.
 */
#ifndef COORDINATOR_CORE_WARMUP_H
#define COORDINATOR_CORE_WARMUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

enum { WARMUP_DAYS_MAX = 90 };

/* All zeros: there is none. */
struct warmup {
	size_t days;
	uint32_t most[WARMUP_DAYS_MAX]; /* recipients, from the first day on */
};

/* "50,100,200": days after the last have no limit; NULL or "": none. RC_INVALID: a piece that is no
 * number from 1 to 10,000,000, or less than the day before. */
enum rc_status warmup_parse(const char *text, struct warmup *ret,
			    struct rc_error *err) RC_MUST_CHECK;
/* Which day of the lane's this is, from 0; a clock before its first day counts as day 0. */
int warmup_day(int64_t first_seen_ms, int64_t now_ms);
/* False: no limit on that day. */
bool warmup_limit(const struct warmup *warmup, int day, uint32_t *ret_most);

#endif
