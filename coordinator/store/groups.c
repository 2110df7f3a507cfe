/* See groups.h. */
#include "coordinator/store/groups.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/core/plan.h"
#include "coordinator/store/db.h"

enum { BUCKETS = 4096, CACHE_MAX = 100000, LANES_MAX = 1024, REFRESH_MS = 2000 };

struct group {
	struct group *next;
	uint32_t n;
	uint32_t lanes[GROUPS_SLOTS_MAX];
	char name[];
};

struct groups {
	struct group *buckets[BUCKETS];
	size_t cached;
	int64_t read_at_ms;
	uint32_t known[LANES_MAX], held[LANES_MAX]; /* heard of within a day; within two minutes */
	size_t known_count, held_count;
};

struct groups *groups_new(void)
{
	return calloc(1, sizeof(struct groups));
}

void groups_forget(struct groups *g)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (g->buckets[i]) {
			struct group *group = g->buckets[i];

			g->buckets[i] = group->next;
			free(group);
		}
	g->cached = 0;
	g->read_at_ms = 0;
}

void groups_free(struct groups *g)
{
	if (!g)
		return;
	groups_forget(g);
	free(g);
}

static uint64_t known_hash(const struct groups *g)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < g->known_count; i++)
		hash = (hash ^ g->known[i]) * 1099511628211u;
	return hash;
}

static enum rc_status read_lanes(struct groups *g, struct db *db, int64_t now_ms,
				 struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status;

	if (g->read_at_ms && now_ms - g->read_at_ms < REFRESH_MS)
		return RC_OK;
	status = db_query_kept(
	    db,
	    "SELECT number, g.granted_at > now() - interval '2 minutes' AND NOT "
	    "g.returned FROM lane l"
	    " LEFT JOIN lane_lease g ON g.lane = l.number WHERE l.last_seen > "
	    "now() - interval '1 day' AND l.draining_at IS NULL ORDER BY number LIMIT 1024",
	    DB_NONE, &r, err);
	if (status != RC_OK)
		return status;
	uint64_t before = known_hash(g);

	g->known_count = g->held_count = 0;
	for (int i = 0; i < db_rows(r); i++) {
		g->known[g->known_count++] = (uint32_t)db_get_int(r, i, 0);
		if (db_get_bool(r, i, 1))
			g->held[g->held_count++] = (uint32_t)db_get_int(r, i, 0);
	}
	db_result_free(r);
	/* A lane that takes nothing new any more is to be seen at once. */
	if (known_hash(g) != before)
		groups_forget(g);
	g->read_at_ms = now_ms;
	return RC_OK;
}

static size_t bucket_of(const char *name)
{
	size_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash % BUCKETS;
}

static bool among(uint32_t lane, const uint32_t *lanes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lanes[i] == lane)
			return true;
	return false;
}

static enum rc_status load(struct groups *g, struct db *db, const char *name, uint32_t slots,
			   struct group *into, struct rc_error *err)
{
	bool have[GROUPS_SLOTS_MAX] = { false };
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db, "SELECT slot, lane FROM mx_group_lane WHERE mx_group = $1 AND slot < $2",
	    DB_PARAMS(db_text(name), db_int(slots)), &r, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++) {
		uint32_t slot = (uint32_t)db_get_int(r, i, 0), lane = (uint32_t)db_get_int(r, i, 1);

		if (slot < slots && among(lane, g->known, g->known_count)) {
			into->lanes[slot] = lane;
			have[slot] = true;
		}
	}
	db_result_free(r);
	for (uint32_t slot = 0; slot < slots && status == RC_OK; slot++) {
		const uint32_t *lanes = g->held_count ? g->held : g->known;

		if (have[slot])
			continue;
		into->lanes[slot] =
		    plan_lane(name, slot, lanes, g->held_count ? g->held_count : g->known_count);
		/* Another may have chosen meanwhile: his choice holds, unless its lane is gone. */
		status = db_query_kept(
		    db,
		    "INSERT INTO mx_group_lane AS m (mx_group, slot, lane) VALUES ($1, $2, $3) ON "
		    "CONFLICT (mx_group, slot)"
		    " DO UPDATE SET lane = CASE WHEN EXISTS (SELECT FROM lane WHERE number = "
		    "m.lane AND draining_at IS NULL AND last_seen > now() -"
		    " interval '1 day') THEN m.lane ELSE excluded.lane END, chosen_at = now() "
		    "RETURNING lane",
		    DB_PARAMS(db_text(name), db_int(slot), db_int(into->lanes[slot])), &r, err);
		if (status == RC_OK) {
			into->lanes[slot] = (uint32_t)db_get_int(r, 0, 0);
			db_result_free(r);
		}
	}
	into->n = slots;
	return status;
}

enum rc_status groups_lanes(struct groups *g, struct db *db, const char *name, uint32_t slots,
			    int64_t now_ms, uint32_t ret_lanes[GROUPS_SLOTS_MAX], size_t *ret_count,
			    struct rc_error *err)
{
	enum rc_status status = read_lanes(g, db, now_ms, err);
	size_t bucket = bucket_of(name);
	struct group *group;

	if (status != RC_OK)
		return status;
	if (g->known_count == 0)
		return rc_error_set(err, RC_UNAVAILABLE, "there is no lane yet");
	if (slots < 1)
		slots = 1;
	if (slots > g->known_count)
		slots = (uint32_t)g->known_count;
	if (slots > GROUPS_SLOTS_MAX)
		slots = GROUPS_SLOTS_MAX;
	for (group = g->buckets[bucket]; group; group = group->next)
		if (group->n == slots && strcmp(group->name, name) == 0)
			break;
	if (!group) {
		size_t len = strlen(name);

		if (g->cached >= CACHE_MAX)
			groups_forget(g);
		status = read_lanes(g, db, now_ms, err);
		if (status != RC_OK)
			return status;
		group = calloc(1, sizeof(*group) + len + 1);
		if (!group)
			return rc_error_set(err, RC_NO_MEMORY, "no memory for an MX group");
		memcpy(group->name, name, len);
		status = load(g, db, name, slots, group, err);
		if (status != RC_OK) {
			free(group);
			return status;
		}
		group->next = g->buckets[bucket];
		g->buckets[bucket] = group;
		g->cached++;
	}
	for (uint32_t i = 0; i < slots; i++) {
		ret_lanes[i] = group->lanes[i];
		/* Nobody sends from it now: its first attempts need not wait, its retries do. */
		if (g->held_count && !among(ret_lanes[i], g->held, g->held_count))
			ret_lanes[i] = plan_lane(name, i, g->held, g->held_count);
	}
	*ret_count = slots;
	return RC_OK;
}
