/*
 * risk - what makes a domain a risk besides what its servers say: flag `domain_risk`.
 *
 * Pure: no I/O, no clock, nothing allocated, never fails.
 */
#ifndef COORDINATOR_CORE_RISK_H
#define COORDINATOR_CORE_RISK_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/core/lists.h"
#include "rollcall.pb-c.h"

/* Stored in job_domain.risk; never renumbered. */
enum {
	RISK_PARKED = 1,	/* its mail goes to servers that stand for parked domains */
	RISK_DISPOSABLE_MX = 2, /* or to those of somebody who runs disposable domains */
	RISK_YOUNG = 4		/* first seen not long ago, by an installation that knows many */
};

enum {
	RISK_YOUNG_DAYS = 30,
	RISK_MATURE_DAYS = 90 /* how long an installation must have known domains to say so */
};

/* By the mail servers alone: RISK_PARKED, RISK_DISPOSABLE_MX. */
unsigned risk_of_servers(const struct lists *lists, const Rollcall__Resolution *resolution);

/* `first_seen_ms`: of the domain, 0: never before; `oldest_ms`: of the domain that was seen first
 * of all, 0: none. A domain that many people have is never young. */
bool risk_is_young(const struct lists *lists, const char *domain, int64_t first_seen_ms,
		   int64_t oldest_ms, int64_t now_ms);

#endif
