/* See standing.h. */
#include "coordinator/core/standing.h"

const char *lane_health_name(enum lane_health health)
{
	static const char *const names[] = { "ok", "slow", "blocked", "probation", "greylisted" };

	return names[health >= LANE_OK && health < LANE_HEALTHS ? health : LANE_OK];
}

bool lane_health_worse(enum lane_health a, enum lane_health b)
{
	static const int weights[LANE_HEALTHS] = { [LANE_OK] = 0,
						   [LANE_GREYLISTED] = 1,
						   [LANE_SLOW] = 2,
						   [LANE_PROBATION] = 3,
						   [LANE_BLOCKED] = 4 };

	return weights[a] > weights[b];
}

const char *lane_state_name(enum lane_state state)
{
	static const char *const names[] = {
		"", "active", "warming_up", "draining", "unfit", "dead"
	};

	return names[state];
}

int64_t standing_block_s(unsigned strike)
{
	int64_t hold_s = STANDING_BLOCK_S;

	for (unsigned i = 1; i < strike && hold_s < STANDING_BLOCK_MAX_S; i++)
		hold_s *= 2;
	return hold_s < STANDING_BLOCK_MAX_S ? hold_s : STANDING_BLOCK_MAX_S;
}

bool standing_pause(unsigned blocked, unsigned lanes)
{
	return blocked >= 3 || (blocked >= 2 && 10 * blocked >= lanes);
}
