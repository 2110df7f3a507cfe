/* See groups.h. */
#include "coordinator/store/groups.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/core/plan.h"
#include "coordinator/store/db.h"

enum { BUCKETS = 4096, CACHE_MAX = 100000, LANES_MAX = 1024, REFRESH_MS = 2000 };

struct group {
	struct group *next;
	uint32_t n, range;
	uint32_t lanes[GROUPS_SLOTS_MAX];
	char name[];
};

struct lanes {
	size_t n;
	uint32_t number[LANES_MAX];
	uint8_t family[LANES_MAX];
};

/*
 * In a fleet of both families a group whose domains have one only keeps its lanes apart from what
 * it has for the others, in slots of a range of its own: the lanes must not change with whichever
 * domain was asked about last.
 */
enum { RANGE_ANY, RANGE_V4, RANGE_V6 };

struct groups {
	struct group *buckets[BUCKETS];
	size_t cached;
	int64_t read_at_ms;
	struct lanes known, held; /* heard of within a day; within two minutes */
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

	for (size_t i = 0; i < g->known.n; i++)
		hash = (hash ^ g->known.number[i]) * 1099511628211u;
	return hash;
}

static void add(struct lanes *lanes, uint32_t number, unsigned family)
{
	lanes->number[lanes->n] = number;
	lanes->family[lanes->n++] = (uint8_t)family;
}

/* Those of `families`. */
static void fit(const struct lanes *lanes, unsigned families, struct lanes *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < lanes->n; i++)
		if (lanes->family[i] & families)
			add(ret, lanes->number[i], lanes->family[i]);
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
	    /* Those that drain where there is no other: what is new waits there, and nobody else does
	     * for it. */
	    "WITH seen AS (SELECT * FROM lane WHERE last_seen > now() - interval '1 day')"
	    " SELECT number, g.granted_at > now() - interval '2 minutes' AND NOT "
	    "g.returned, bind_address FROM seen l"
	    " LEFT JOIN lane_lease g ON g.lane = l.number WHERE l.draining_at IS NULL"
	    " OR NOT EXISTS (SELECT FROM seen WHERE draining_at IS NULL) ORDER BY number LIMIT "
	    "1024",
	    DB_NONE, &r, err);
	if (status != RC_OK)
		return status;
	uint64_t before = known_hash(g);

	g->known.n = g->held.n = 0;
	for (int i = 0; i < db_rows(r); i++) {
		uint32_t number = (uint32_t)db_get_int(r, i, 0);
		unsigned family = plan_family(db_get_text(r, i, 2));

		add(&g->known, number, family);
		if (db_get_bool(r, i, 1))
			add(&g->held, number, family);
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

static bool among(uint32_t lane, const struct lanes *lanes)
{
	for (size_t i = 0; i < lanes->n; i++)
		if (lanes->number[i] == lane)
			return true;
	return false;
}

/* `known`, `held`: those to choose from. */
static enum rc_status load(struct db *db, const struct lanes *known, const struct lanes *held,
			   struct group *into, struct rc_error *err)
{
	const uint32_t slots = into->n, from = into->range * GROUPS_SLOTS_MAX;
	bool have[GROUPS_SLOTS_MAX] = { false };
	struct db_result *r;
	/* What others of the group have comes second: where it will do, one client is seen. */
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT slot % 64, lane FROM mx_group_lane WHERE mx_group = $1 AND (slot BETWEEN $2 "
	    "AND $2 + $3 - 1 OR slot < $3) ORDER BY slot DESC",
	    DB_PARAMS(db_text(into->name), db_int(from), db_int(slots)), &r, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r); i++) {
		uint32_t slot = (uint32_t)db_get_int(r, i, 0), lane = (uint32_t)db_get_int(r, i, 1);

		if (slot < slots && !have[slot] && among(lane, known)) {
			into->lanes[slot] = lane;
			have[slot] = true;
		}
	}
	db_result_free(r);
	for (uint32_t slot = 0; slot < slots && status == RC_OK; slot++) {
		const struct lanes *lanes = held->n ? held : known;

		if (have[slot])
			continue;
		into->lanes[slot] = plan_lane(into->name, slot, lanes->number, lanes->n);
		/* Another may have chosen meanwhile: his choice holds, unless its lane is gone. */
		status = db_query_kept(
		    db,
		    "INSERT INTO mx_group_lane AS m (mx_group, slot, lane) VALUES ($1, $2, $3) ON "
		    "CONFLICT (mx_group, slot)"
		    " DO UPDATE SET lane = CASE WHEN EXISTS (SELECT FROM lane WHERE number = "
		    "m.lane AND draining_at IS NULL AND last_seen > now() -"
		    " interval '1 day') THEN m.lane ELSE excluded.lane END, chosen_at = now() "
		    "RETURNING lane",
		    DB_PARAMS(db_text(into->name), db_int(from + slot), db_int(into->lanes[slot])),
		    &r, err);
		if (status == RC_OK) {
			into->lanes[slot] = (uint32_t)db_get_int(r, 0, 0);
			db_result_free(r);
		}
	}
	return status;
}

enum rc_status groups_lanes(struct groups *g, struct db *db, const char *name, uint32_t slots,
			    unsigned families, int64_t now_ms, uint32_t ret_lanes[GROUPS_SLOTS_MAX],
			    size_t *ret_count, struct rc_error *err)
{
	enum rc_status status = read_lanes(g, db, now_ms, err);
	size_t bucket = bucket_of(name);
	uint32_t range = RANGE_ANY;
	struct lanes known, held;
	struct group *group;

	if (status != RC_OK)
		return status;
	if (g->known.n == 0)
		return rc_error_set(err, RC_UNAVAILABLE, "there is no lane yet");
	if (!families)
		families = PLAN_V4;
	fit(&g->known, families, &known);
	/* Whoever has no way there says so. */
	if (known.n == 0) {
		families = PLAN_V4 | PLAN_V6;
		fit(&g->known, families, &known);
	}
	fit(&g->held, families, &held);
	if (known.n < g->known.n)
		range = families == PLAN_V4 ? RANGE_V4 : RANGE_V6;
	if (slots < 1)
		slots = 1;
	if (slots > known.n)
		slots = (uint32_t)known.n;
	if (slots > GROUPS_SLOTS_MAX)
		slots = GROUPS_SLOTS_MAX;
	for (group = g->buckets[bucket]; group; group = group->next)
		if (group->n == slots && group->range == range && strcmp(group->name, name) == 0)
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
		group->n = slots;
		group->range = range;
		status = load(db, &known, &held, group, err);
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
		if (held.n && !among(ret_lanes[i], &held))
			ret_lanes[i] = plan_lane(name, i, held.number, held.n);
	}
	*ret_count = slots;
	return RC_OK;
}

enum rc_status groups_other_family(struct groups *g, struct db *db, const char *name, uint32_t lane,
				   int64_t now_ms, uint32_t *ret_lane, struct rc_error *err)
{
	enum rc_status status = read_lanes(g, db, now_ms, err);
	uint32_t lanes[GROUPS_SLOTS_MAX];
	unsigned family = 0, known = 0;
	size_t n;

	*ret_lane = lane;
	for (size_t i = 0; i < g->known.n; i++) {
		known |= g->known.family[i];
		if (g->known.number[i] == lane)
			family = g->known.family[i];
	}
	if (status != RC_OK || !(known & ~family))
		return status;
	status = groups_lanes(g, db, name, 1, known & ~family, now_ms, lanes, &n, err);
	if (status == RC_OK)
		*ret_lane = lanes[0];
	return status;
}
