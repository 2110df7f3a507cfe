/* See lanes.h. */
#include "coordinator/core/lanes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool differs(const char *what, const char *was, const char *is, char why[LANES_WHY_MAX])
{
	if (strcmp(was, is) == 0)
		return false;
	snprintf(why, LANES_WHY_MAX,
		 "its %s was \"%.200s\" at its first hello and is \"%.200s\" now: a sending "
		 "identity never changes; give the lane another "
		 "name in ROLLCALL_LANES, or the old %s back",
		 what, was, is, what);
	return true;
}

static bool identity_differs(const struct lane_identity *was, const struct lane_identity *is,
			     char why[LANES_WHY_MAX])
{
	return differs("public address", was->public_address, is->public_address, why) ||
	       differs("HELO name", was->helo, is->helo, why) ||
	       differs("MAIL FROM", was->mail_from, is->mail_from, why);
}

enum lane_decision lanes_decide(const struct lane_identity *registered,
				const struct lane_lease *lease, const struct lane_offer *offer,
				int64_t now_ms, char ret_why[LANES_WHY_MAX])
{
	bool holder =
	    lease->exists && !lease->returned && strcmp(lease->worker, offer->worker) == 0;
	int64_t since_ms = now_ms - lease->granted_at_ms;

	ret_why[0] = '\0';
	if (registered && identity_differs(registered, &offer->identity, ret_why))
		return LANE_REFUSE;
	if (offer->returned) {
		snprintf(ret_why, LANES_WHY_MAX, "it was handed back");
		return holder ? LANE_HAND_BACK : LANE_REFUSE;
	}
	if (!offer->proved) {
		snprintf(ret_why, LANES_WHY_MAX, "it is not proved: %.600s",
			 offer->problem && *offer->problem ? offer->problem
							   : "its address could not be bound");
		return LANE_REFUSE;
	}
	if (offer->unfit) {
		snprintf(ret_why, LANES_WHY_MAX, "%.700s", offer->unfit);
		return holder ? LANE_HAND_BACK : LANE_REFUSE;
	}
	if (!lease->exists || lease->returned)
		return LANE_GRANT;
	if (holder) {
		/* A worker that has lost an epoch it once had has dropped what it carried: only a
		 * new one brings it back. */
		if (offer->epoch == lease->epoch || (offer->epoch == 0 && !lease->confirmed))
			return LANE_RENEW;
		return LANE_GRANT;
	}
	if (offer->socket_held && *offer->machine && strcmp(offer->machine, lease->machine) == 0)
		return LANE_GRANT;
	if (since_ms < 0)
		since_ms = 0;
	if (since_ms >= LANES_REGRANT_MS)
		return LANE_GRANT;
	snprintf(ret_why, LANES_WHY_MAX, "worker %.200s holds it for another %" PRId64 " s at most",
		 lease->worker, (LANES_REGRANT_MS - since_ms + 999) / 1000);
	return LANE_REFUSE;
}

bool lanes_held(const struct lane_lease *lease, int64_t now_ms)
{
	return lease->exists && !lease->returned && now_ms - lease->granted_at_ms < LANES_LEASE_MS;
}
