/* See risk.h. */
#include "coordinator/core/risk.h"

enum { DAY_MS = 86400000 };

unsigned risk_of_servers(const struct lists *lists, const Rollcall__Resolution *resolution)
{
	unsigned risk = 0;

	for (size_t i = 0; i < resolution->n_mx; i++) {
		const char *host = resolution->mx[i]->host;

		if (!host || !*host)
			continue;
		if (lists_is_parked(lists, host))
			risk |= RISK_PARKED;
		if (lists_is_disposable_mx(lists, host))
			risk |= RISK_DISPOSABLE_MX;
	}
	return risk;
}

bool risk_is_young(const struct lists *lists, const char *domain, int64_t first_seen_ms,
		   int64_t oldest_ms, int64_t now_ms)
{
	if (oldest_ms == 0 || now_ms - oldest_ms < (int64_t)RISK_MATURE_DAYS * DAY_MS)
		return false;
	if (first_seen_ms != 0 && now_ms - first_seen_ms >= (int64_t)RISK_YOUNG_DAYS * DAY_MS)
		return false;
	return !lists_is_popular(lists, domain) && !lists_is_free(lists, domain);
}
