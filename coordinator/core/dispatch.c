/* See dispatch.h. */
#include "coordinator/core/dispatch.h"

#include <stdlib.h>
#include <string.h>

enum {
	ID_BUCKETS = 8192,
	GROUP_BUCKETS = 4096,
	GROUP_SHARDS_DEFAULT = 2,
	GROUP_RECIPIENTS_DEFAULT = 200,
	SHARD_OCTETS = 700, /* of a message, besides its recipients */
	RECIPIENT_OCTETS = 40,
	REPORT_OCTETS = 900,
	REPORT_RECIPIENT_OCTETS = 220,
	RATE_STEP_MS = 2000 /* how often a lane's rate is taken */
};

struct hold {
	struct hold *next;
	uint32_t lane;
	bool held; /* at the last look */
	int64_t until_ms;
	int64_t test_until_ms; /* until then one shard at a time */
	uint32_t test_most;    /* recipients of it */
	uint32_t flying;       /* of the group on the lane */
};

struct group {
	struct group *next;
	struct hold *holds;	     /* counts as one of `refs` while there are any */
	uint32_t shards, recipients; /* in flight */
	uint32_t cap_shards, cap_recipients;
	uint32_t refs; /* entries that name it */
	char name[];
};

struct queue;

struct entry {
	struct entry *next_id;	   /* bucket */
	struct entry *prev, *next; /* its queue, or the list of what is in flight */
	struct queue *queue;	   /* NULL: in flight */
	struct group *group;	   /* NULL: none */
	uint64_t id;
	int64_t job;
	int64_t urgent_at_ms;
	int32_t tenant;
	uint32_t lane;
	uint32_t cost;
	enum dispatch_class class;
	bool begun;
};

/* What waits of one job in one class of one lane. */
struct queue {
	struct queue *next;
	int64_t job;
	struct tenant *tenant;
	struct entry *first, *last;
	uint32_t count;
	uint64_t served; /* virtual time: recipients */
};

struct tenant {
	struct tenant *next;
	struct queue *queues;
	int32_t id;
	uint64_t served;
};

struct lane {
	bool open;
	int64_t budget; /* recipients, may be less than none; INT64_MAX: no limit */
	struct tenant *tenants[DISPATCH_CLASSES];
	uint64_t class_served[DISPATCH_CLASSES];
	uint64_t cost, octets; /* in flight */
	uint32_t shards;
	/* rate */
	int64_t step_at_ms;
	uint64_t step_cost;
	double rate;
};

struct dispatch {
	struct dispatch_limits limits;
	struct entry *ids[ID_BUCKETS];
	struct group *groups[GROUP_BUCKETS];
	struct entry *flying, *flying_last;
	uint32_t flying_count;
	uint64_t report_octets;
	struct lane lanes[DISPATCH_LANES_MAX];
};

/* ------------------------------------------------------------------------------------------------
 * finding */

static size_t group_bucket(const char *name)
{
	uint64_t hash = 14695981039346656037u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return (size_t)((hash ^ hash >> 29) % GROUP_BUCKETS);
}

static struct group *group_find(const struct dispatch *d, const char *name)
{
	for (struct group *g = d->groups[group_bucket(name)]; g; g = g->next)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

static struct group *group_get(struct dispatch *d, const char *name)
{
	struct group *g = group_find(d, name);
	size_t bucket = group_bucket(name), len = strlen(name);

	if (g)
		return g;
	g = calloc(1, sizeof(*g) + len + 1);
	if (!g)
		return NULL;
	memcpy(g->name, name, len);
	g->cap_shards = GROUP_SHARDS_DEFAULT;
	g->cap_recipients = GROUP_RECIPIENTS_DEFAULT;
	g->next = d->groups[bucket];
	d->groups[bucket] = g;
	return g;
}

static void group_put(struct dispatch *d, struct group *g)
{
	struct group **p;

	if (!g || --g->refs > 0)
		return;
	for (p = &d->groups[group_bucket(g->name)]; *p != g; p = &(*p)->next)
		;
	*p = g->next;
	free(g);
}

static struct entry *entry_find(const struct dispatch *d, uint64_t id)
{
	for (struct entry *e = d->ids[id % ID_BUCKETS]; e; e = e->next_id)
		if (e->id == id)
			return e;
	return NULL;
}

static struct tenant *tenant_find(const struct lane *lane, enum dispatch_class class, int32_t id)
{
	for (struct tenant *t = lane->tenants[class]; t; t = t->next)
		if (t->id == id)
			return t;
	return NULL;
}

static struct queue *queue_find(const struct lane *lane, enum dispatch_class class, int64_t job)
{
	for (struct tenant *t = lane->tenants[class]; t; t = t->next)
		for (struct queue *q = t->queues; q; q = q->next)
			if (q->job == job)
				return q;
	return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * queues */

/* Who comes anew begins where the one served least stands: it neither waits for what the others
 * had, nor makes up for it. */
static struct queue *queue_get(struct lane *lane, enum dispatch_class class, int32_t tenant_id,
			       int64_t job)
{
	struct tenant *t = tenant_find(lane, class, tenant_id);
	struct queue *q;
	uint64_t least;

	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			return NULL;
		least = UINT64_MAX;
		for (struct tenant *o = lane->tenants[class]; o; o = o->next)
			least = o->served < least ? o->served : least;
		t->served = least == UINT64_MAX ? 0 : least;
		t->id = tenant_id;
		t->next = lane->tenants[class];
		lane->tenants[class] = t;
	}
	for (q = t->queues; q; q = q->next)
		if (q->job == job)
			return q;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	least = UINT64_MAX;
	for (struct queue *o = t->queues; o; o = o->next)
		least = o->served < least ? o->served : least;
	q->served = least == UINT64_MAX ? 0 : least;
	q->job = job;
	q->tenant = t;
	q->next = t->queues;
	t->queues = q;
	return q;
}

static void queue_drop_empty(struct lane *lane, enum dispatch_class class, struct queue *queue)
{
	struct tenant *t = queue->tenant, **tp;
	struct queue **qp;

	if (queue->count > 0)
		return;
	for (qp = &t->queues; *qp != queue; qp = &(*qp)->next)
		;
	*qp = queue->next;
	free(queue);
	if (t->queues)
		return;
	for (tp = &lane->tenants[class]; *tp != t; tp = &(*tp)->next)
		;
	*tp = t->next;
	free(t);
}

static void queue_remove(struct dispatch *d, struct entry *e, bool drop_empty)
{
	struct queue *q = e->queue;

	*(e->prev ? &e->prev->next : &q->first) = e->next;
	*(e->next ? &e->next->prev : &q->last) = e->prev;
	e->prev = e->next = NULL;
	e->queue = NULL;
	q->count--;
	if (drop_empty)
		queue_drop_empty(&d->lanes[e->lane], e->class, q);
}

/* ------------------------------------------------------------------------------------------------
 * in flight */

static uint64_t octets_of(const struct entry *e)
{
	return SHARD_OCTETS + (uint64_t)e->cost * RECIPIENT_OCTETS;
}

static uint64_t report_of(const struct entry *e)
{
	return REPORT_OCTETS + (uint64_t)e->cost * REPORT_RECIPIENT_OCTETS;
}

static struct hold *hold_find(const struct group *g, uint32_t lane)
{
	struct hold *hold = g ? g->holds : NULL;

	while (hold && hold->lane != lane)
		hold = hold->next;
	return hold;
}

static void fly(struct dispatch *d, struct entry *e)
{
	struct lane *lane = &d->lanes[e->lane];
	struct hold *hold = hold_find(e->group, e->lane);

	if (hold)
		hold->flying++;

	e->prev = d->flying_last;
	e->next = NULL;
	*(d->flying_last ? &d->flying_last->next : &d->flying) = e;
	d->flying_last = e;
	d->flying_count++;
	d->report_octets += report_of(e);
	lane->cost += e->cost;
	lane->octets += octets_of(e);
	lane->shards++;
	if (e->group) {
		e->group->shards++;
		e->group->recipients += e->cost;
	}
}

static void land(struct dispatch *d, struct entry *e)
{
	struct lane *lane = &d->lanes[e->lane];
	struct hold *hold = hold_find(e->group, e->lane);

	if (hold && hold->flying)
		hold->flying--;

	*(e->prev ? &e->prev->next : &d->flying) = e->next;
	*(e->next ? &e->next->prev : &d->flying_last) = e->prev;
	d->flying_count--;
	d->report_octets -= report_of(e);
	lane->cost -= e->cost;
	lane->octets -= octets_of(e);
	lane->shards--;
	if (e->group) {
		e->group->shards--;
		e->group->recipients -= e->cost;
	}
}

static void entry_free(struct dispatch *d, struct entry *e)
{
	struct entry **p;

	for (p = &d->ids[e->id % ID_BUCKETS]; *p != e; p = &(*p)->next_id)
		;
	*p = e->next_id;
	if (e->queue)
		queue_remove(d, e, true);
	else
		land(d, e);
	group_put(d, e->group);
	free(e);
}

/* ------------------------------------------------------------------------------------------------
 * public */

struct dispatch *dispatch_new(const struct dispatch_limits *limits)
{
	struct dispatch *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->limits = *limits;
	for (size_t i = 0; i < DISPATCH_LANES_MAX; i++)
		d->lanes[i].budget = INT64_MAX;
	return d;
}

void dispatch_free(struct dispatch *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < ID_BUCKETS; i++)
		while (d->ids[i])
			entry_free(d, d->ids[i]);
	for (size_t i = 0; i < GROUP_BUCKETS; i++)
		while (d->groups[i]) {
			struct group *g = d->groups[i];

			d->groups[i] = g->next;
			while (g->holds) {
				struct hold *hold = g->holds;

				g->holds = hold->next;
				free(hold);
			}
			free(g);
		}
	free(d);
}

void dispatch_lane_open(struct dispatch *d, uint32_t lane, bool open)
{
	if (lane < DISPATCH_LANES_MAX)
		d->lanes[lane].open = open;
}

void dispatch_group_cap(struct dispatch *d, const char *group, uint32_t shards, uint32_t recipients)
{
	struct group *g = group_find(d, group);

	/* Only of groups that something in memory belongs to: the others take theirs when they
	 * come. */
	if (!g)
		return;
	g->cap_shards = shards ? shards : 1;
	g->cap_recipients = recipients ? recipients : 1;
}

uint32_t dispatch_queued(const struct dispatch *d, uint32_t lane, int64_t job,
			 enum dispatch_class class)
{
	const struct queue *q =
	    lane < DISPATCH_LANES_MAX ? queue_find(&d->lanes[lane], class, job) : NULL;

	return q ? q->count : 0;
}

bool dispatch_crowded(const struct dispatch *d, uint32_t lane, int64_t job,
		      enum dispatch_class class, const char *group)
{
	const struct queue *q =
	    lane < DISPATCH_LANES_MAX ? queue_find(&d->lanes[lane], class, job) : NULL;
	const struct group *g = *group ? group_find(d, group) : NULL;
	uint32_t waiting = 0;

	if (!q || !g || d->limits.no_group_caps)
		return false;
	for (const struct entry *e = q->first; e; e = e->next)
		waiting += e->group == g;
	return waiting >= g->cap_shards + DISPATCH_GROUP_CROWD;
}

static struct hold *hold_get(struct dispatch *d, uint32_t lane, const char *name)
{
	struct group *g = *name ? group_get(d, name) : NULL;
	struct hold *hold = hold_find(g, lane);

	if (!g || hold)
		return hold;
	hold = calloc(1, sizeof(*hold));
	if (!hold)
		return NULL;
	for (const struct entry *e = d->flying; e; e = e->next)
		hold->flying += e->group == g && e->lane == lane;
	if (!g->holds)
		g->refs++;
	hold->lane = lane;
	hold->next = g->holds;
	g->holds = hold;
	return hold;
}

void dispatch_hold(struct dispatch *d, uint32_t lane, const char *name, int64_t until_ms)
{
	struct hold *hold = hold_get(d, lane, name);

	if (hold)
		hold->until_ms = until_ms;
}

void dispatch_hold_more(struct dispatch *d, uint32_t lane, const char *name, int64_t until_ms)
{
	struct hold *hold = hold_get(d, lane, name);

	if (hold && hold->until_ms < until_ms)
		hold->until_ms = until_ms;
}

void dispatch_test(struct dispatch *d, uint32_t lane, const char *name, int64_t until_ms,
		   uint32_t most)
{
	struct hold *hold = hold_get(d, lane, name);

	if (!hold)
		return;
	hold->test_until_ms = until_ms;
	hold->test_most = most;
}

void dispatch_lane_budget(struct dispatch *d, uint32_t lane, int64_t recipients)
{
	if (lane < DISPATCH_LANES_MAX)
		d->lanes[lane].budget = recipients;
}

void dispatch_hold_lift(struct dispatch *d)
{
	for (size_t i = 0; i < GROUP_BUCKETS; i++)
		for (struct group *g = d->groups[i]; g; g = g->next)
			for (struct hold *hold = g->holds; hold; hold = hold->next)
				hold->until_ms = hold->test_until_ms = 0;
}

void dispatch_hold_expire(struct dispatch *d, int64_t now_ms, dispatch_hold_ended *ended,
			  void *context)
{
	for (size_t i = 0; i < GROUP_BUCKETS; i++)
		for (struct group *g = d->groups[i], *next; g; g = next) {
			struct hold **p = &g->holds;

			next = g->next;
			if (!g->holds)
				continue;
			while (*p) {
				struct hold *hold = *p;
				bool held = hold->until_ms > now_ms;

				if (hold->held && !held && ended)
					ended(context, hold->lane, g->name);
				hold->held = held;
				if (held || hold->test_until_ms > now_ms) {
					p = &hold->next;
					continue;
				}
				*p = hold->next;
				free(hold);
			}
			if (!g->holds)
				group_put(d, g);
		}
}

static bool is_held(const struct group *g, uint32_t lane, int64_t now_ms)
{
	const struct hold *hold = hold_find(g, lane);

	return hold && hold->until_ms > now_ms;
}

bool dispatch_held(const struct dispatch *d, uint32_t lane, const char *group, int64_t now_ms)
{
	return *group && is_held(group_find(d, group), lane, now_ms);
}

void dispatch_forget_held(struct dispatch *d, int64_t now_ms)
{
	for (size_t i = 0; i < ID_BUCKETS; i++)
		for (struct entry *e = d->ids[i], *next; e; e = next) {
			next = e->next_id;
			if (e->queue && is_held(e->group, e->lane, now_ms))
				entry_free(d, e);
		}
}

bool dispatch_add(struct dispatch *d, const struct dispatch_shard *shard, bool *ret_taken)
{
	struct queue *q;
	struct entry *e;

	if (ret_taken)
		*ret_taken = false;
	if (shard->lane >= DISPATCH_LANES_MAX || entry_find(d, shard->id) ||
	    dispatch_queued(d, shard->lane, shard->job, shard->class) >= DISPATCH_QUEUE_MAX ||
	    dispatch_crowded(d, shard->lane, shard->job, shard->class, shard->group))
		return true;
	e = calloc(1, sizeof(*e));
	if (!e)
		return false;
	q = queue_get(&d->lanes[shard->lane], shard->class, shard->tenant, shard->job);
	if (!q) {
		free(e);
		return false;
	}
	if (*shard->group) {
		e->group = group_get(d, shard->group);
		if (!e->group) {
			queue_drop_empty(&d->lanes[shard->lane], shard->class, q);
			free(e);
			return false;
		}
		e->group->refs++;
	}
	e->id = shard->id;
	e->job = shard->job;
	e->tenant = shard->tenant;
	e->lane = shard->lane;
	e->class = shard->class;
	e->cost = shard->cost ? shard->cost : 1;
	e->urgent_at_ms = shard->urgent_at_ms;
	e->begun = shard->begun;
	e->next_id = d->ids[e->id % ID_BUCKETS];
	d->ids[e->id % ID_BUCKETS] = e;
	e->queue = q;
	e->prev = q->last;
	*(q->last ? &q->last->next : &q->first) = e;
	q->last = e;
	q->count++;
	if (ret_taken)
		*ret_taken = true;
	return true;
}

static uint64_t window_of(const struct lane *lane)
{
	double window = lane->rate * DISPATCH_WINDOW_S;

	if (window < DISPATCH_WINDOW_MIN)
		return DISPATCH_WINDOW_MIN;
	return window > DISPATCH_WINDOW_MAX ? DISPATCH_WINDOW_MAX : (uint64_t)window;
}

bool dispatch_lane_room(const struct dispatch *d, uint32_t lane)
{
	const struct lane *l = lane < DISPATCH_LANES_MAX ? &d->lanes[lane] : NULL;

	return l && l->open && l->cost < window_of(l) && l->shards < DISPATCH_SHARDS_MAX &&
	       (!d->limits.lane_octets || l->octets < d->limits.lane_octets) &&
	       (!d->limits.report_octets || d->report_octets < d->limits.report_octets);
}

static bool may_leave(const struct dispatch *d, const struct entry *e, int64_t now_ms)
{
	const struct group *g = e->group;
	const struct hold *hold = hold_find(g, e->lane);

	if (hold && (hold->until_ms > now_ms || (hold->test_until_ms > now_ms && hold->flying)))
		return false;
	if (g && !e->begun && d->lanes[e->lane].budget <= 0)
		return false;
	if (!g || d->limits.no_group_caps || g->shards == 0)
		return true;
	return g->shards < g->cap_shards && g->recipients + e->cost <= g->cap_recipients;
}

static struct entry *queue_head(const struct dispatch *d, const struct queue *q, bool urgent,
				int64_t now_ms)
{
	for (struct entry *e = q->first; e; e = e->next)
		if ((!urgent || (e->urgent_at_ms > 0 && e->urgent_at_ms <= now_ms)) &&
		    may_leave(d, e, now_ms))
			return e;
	return NULL;
}

/* The head of the job served least, of the tenant served least that has any that may leave. */
static struct entry *class_head(const struct dispatch *d, const struct lane *lane,
				enum dispatch_class class, bool urgent, int64_t now_ms)
{
	const struct tenant *best_tenant = NULL;
	struct entry *best = NULL;

	for (const struct tenant *t = lane->tenants[class]; t; t = t->next) {
		const struct queue *best_queue = NULL;
		struct entry *head = NULL;

		if (best_tenant && t->served >= best_tenant->served)
			continue;
		for (const struct queue *q = t->queues; q; q = q->next) {
			struct entry *e;

			if (best_queue && q->served >= best_queue->served)
				continue;
			e = queue_head(d, q, urgent, now_ms);
			if (!e)
				continue;
			best_queue = q;
			head = e;
		}
		if (!head)
			continue;
		best_tenant = t;
		best = head;
	}
	return best;
}

static struct entry *choose(const struct dispatch *d, const struct lane *lane, int64_t now_ms)
{
	struct entry *retry, *bulk, *e;

	e = class_head(d, lane, DISPATCH_INTERACTIVE, false, now_ms);
	if (!e)
		e = class_head(d, lane, DISPATCH_RETRY, true, now_ms);
	if (e)
		return e;
	retry = class_head(d, lane, DISPATCH_RETRY, false, now_ms);
	bulk = class_head(d, lane, DISPATCH_BULK, false, now_ms);
	if (!retry || !bulk)
		return retry ? retry : bulk;
	return lane->class_served[DISPATCH_RETRY] <= lane->class_served[DISPATCH_BULK] ? retry
										       : bulk;
}

/* How many of it may leave now. */
static uint32_t may_carry(const struct dispatch *d, const struct entry *e, int64_t now_ms)
{
	const struct hold *hold = hold_find(e->group, e->lane);
	int64_t budget = e->group && !e->begun ? d->lanes[e->lane].budget : INT64_MAX;
	uint32_t cost = e->cost;

	if (hold && hold->test_until_ms > now_ms && cost > hold->test_most)
		cost = hold->test_most;
	return cost > budget ? (uint32_t)budget : cost;
}

bool dispatch_pick(struct dispatch *d, uint32_t lane_number, int64_t now_ms,
		   struct dispatch_shard *ret)
{
	struct lane *lane;
	struct entry *e;
	struct queue *q;

	if (!dispatch_lane_room(d, lane_number))
		return false;
	lane = &d->lanes[lane_number];
	e = choose(d, lane, now_ms);
	if (!e)
		return false;
	q = e->queue;
	e->cost = may_carry(d, e, now_ms);
	if (e->group && lane->budget != INT64_MAX)
		lane->budget -= e->cost;
	q->served += e->cost;
	q->tenant->served += e->cost;
	if (e->class != DISPATCH_INTERACTIVE) {
		enum dispatch_class other =
		    e->class == DISPATCH_RETRY ? DISPATCH_BULK : DISPATCH_RETRY;

		lane->class_served[e->class] += e->cost;
		/* A class that had nothing to send saves up no claim. */
		if (!lane->tenants[other])
			lane->class_served[other] = lane->class_served[e->class];
	}
	queue_remove(d, e, true);
	fly(d, e);
	*ret = (struct dispatch_shard){ .id = e->id,
					.job = e->job,
					.tenant = e->tenant,
					.lane = e->lane,
					.class = e->class,
					.cost = e->cost,
					.group = e->group ? e->group->name : "",
					.urgent_at_ms = e->urgent_at_ms,
					.begun = e->begun };
	return true;
}

void dispatch_done(struct dispatch *d, uint64_t id, int64_t now_ms)
{
	struct entry *e = entry_find(d, id);
	struct lane *lane;

	if (!e || e->queue)
		return;
	lane = &d->lanes[e->lane];
	lane->step_cost += e->cost;
	if (lane->step_at_ms == 0)
		lane->step_at_ms = now_ms;
	if (now_ms - lane->step_at_ms >= RATE_STEP_MS) {
		double now = (double)lane->step_cost * 1000.0 / (double)(now_ms - lane->step_at_ms);

		lane->rate = lane->rate > 0 ? lane->rate * 0.7 + now * 0.3 : now;
		lane->step_at_ms = now_ms;
		lane->step_cost = 0;
	}
	entry_free(d, e);
}

void dispatch_forget(struct dispatch *d, uint64_t id)
{
	struct entry *e = entry_find(d, id);

	if (e)
		entry_free(d, e);
}

void dispatch_forget_job(struct dispatch *d, int64_t job)
{
	for (size_t i = 0; i < DISPATCH_LANES_MAX; i++)
		for (int class = 0; class < DISPATCH_CLASSES; class ++) {
			struct queue *q;

			while ((q = queue_find(&d->lanes[i], (enum dispatch_class) class, job)) !=
			       NULL)
				entry_free(d, q->first);
		}
}

void dispatch_forget_lane(struct dispatch *d, uint32_t lane)
{
	for (size_t i = 0; i < ID_BUCKETS; i++)
		for (struct entry *e = d->ids[i], *next; e; e = next) {
			next = e->next_id;
			if (e->lane == lane)
				entry_free(d, e);
		}
}

uint32_t dispatch_flying_cost(const struct dispatch *d, uint64_t id)
{
	const struct entry *e = entry_find(d, id);

	return e && !e->queue ? e->cost : 0;
}

uint32_t dispatch_in_flight(const struct dispatch *d)
{
	return d->flying_count;
}

size_t dispatch_in_flight_ids(const struct dispatch *d, uint64_t *ret_ids, size_t max)
{
	size_t n = 0;

	for (const struct entry *e = d->flying; e && n < max; e = e->next)
		ret_ids[n++] = e->id;
	return n;
}

uint32_t dispatch_lane_in_flight(const struct dispatch *d, uint32_t lane)
{
	return lane < DISPATCH_LANES_MAX ? d->lanes[lane].shards : 0;
}

double dispatch_lane_rate(const struct dispatch *d, uint32_t lane)
{
	return lane < DISPATCH_LANES_MAX ? d->lanes[lane].rate : 0;
}
