/*
 * See pacer.h. A group's limits are counted over a sliding minute, so that no minute ever holds
 * more than the budget says. Groups with somebody in line stand in a heap by the time at which the
 * next may go; those that only a release can free do not.
 */
#include "worker/core/pacer.h"

#include <stdlib.h>
#include <string.h>

enum {
	CONNECTIONS_DEFAULT = 2,
	RECIPIENTS_DEFAULT = 30,
	SLOT_MS = 5000,
	SLOTS = 13,  /* a minute, and the slot that is under way */
	FULL = 1000, /* the rate, in thousandths of the limits */
	LEAST = 20,
	STEP = 50,		  /* up, for each session that went well */
	UNPACED_CONNECTIONS = 64, /* where a throttled rate begins without standing limits */
	UNPACED_RECIPIENTS = 6000,
	CIRCUIT_AFTER = 3,  /* throttled sessions in a row */
	CIRCUIT_MS = 60000, /* the first time; each further time twice as long */
	CIRCUIT_DOUBLINGS = 4,
	FORGET_MS = 600000,
	BUCKETS_FIRST = 64
};

struct window {
	uint64_t slot_at;      /* number of the newest slot */
	uint32_t slots[SLOTS]; /* ring: slot n stands at n % SLOTS */
	uint32_t sum;
};

struct waiter {
	struct waiter *next;
	void *who;
	uint32_t recipients;
};

struct group {
	struct group *chain;	     /* in its bucket */
	struct group *newer, *older; /* among the unused ones */
	struct waiter *head, *tail;
	struct pacer_limits limits;
	struct window recipients;
	struct window connections;
	uint64_t ready_ms; /* in the heap: when the next may go */
	uint64_t used_ms;
	uint64_t even_ms;	/* when the next one would come if all came evenly */
	uint64_t open_until_ms; /* 0: the circuit is closed */
	size_t place;		/* in the heap, from 1; 0: not there */
	uint32_t active;
	uint32_t promised; /* RCPTs that the active ones may send */
	uint32_t rate;
	uint32_t hash;
	uint32_t lane;
	uint8_t bad;
	uint8_t doublings;
	bool idle; /* in the list of unused ones */
	char name[];
};

struct pacer {
	struct group **buckets;
	size_t bucket_n; /* a power of two */
	size_t group_n;
	struct group **heap; /* from 1 */
	size_t heap_n, heap_room;
	struct group *oldest, *newest;
	struct waiter *spare;
	uint64_t time_scale;
	bool pace;
};

/* ---------------------------------------------------------------- a minute */

static void window_to(struct window *w, uint64_t now_ms)
{
	uint64_t slot = now_ms / SLOT_MS;

	if (slot >= w->slot_at + SLOTS) {
		memset(w, 0, sizeof(*w));
		w->slot_at = slot;
	}
	while (w->slot_at < slot) {
		w->slot_at++;
		w->sum -= w->slots[w->slot_at % SLOTS];
		w->slots[w->slot_at % SLOTS] = 0;
	}
}

static void window_add(struct window *w, uint32_t n, uint64_t now_ms)
{
	window_to(w, now_ms);
	w->slots[w->slot_at % SLOTS] += n;
	w->sum += n;
}

/* Gives back what was promised and not used, the newest first. */
static void window_return(struct window *w, uint32_t n, uint64_t now_ms)
{
	window_to(w, now_ms);
	for (uint64_t i = 0; i < SLOTS && n; i++) {
		uint32_t *slot = &w->slots[(w->slot_at + SLOTS - i) % SLOTS];
		uint32_t take = *slot < n ? *slot : n;

		*slot -= take;
		w->sum -= take;
		n -= take;
	}
}

/* When `n` more fit under `limit`. */
static uint64_t window_when(struct window *w, uint32_t limit, uint32_t n, uint64_t now_ms)
{
	uint32_t sum;

	window_to(w, now_ms);
	sum = w->sum;
	if (n > limit)
		n = limit;
	for (uint64_t i = SLOTS - 1; sum + n > limit; i--) {
		/* This slot is out of the window when a new one takes its place. */
		sum -= w->slots[(w->slot_at + SLOTS - i) % SLOTS];
		if (sum + n <= limit || i == 0)
			return (w->slot_at + SLOTS - i) * SLOT_MS;
	}
	return now_ms;
}

/* ---------------------------------------------------------------- the heap */

static void heap_put(struct pacer *p, struct group *g, size_t at)
{
	p->heap[at] = g;
	g->place = at;
}

static void heap_fix(struct pacer *p, struct group *g)
{
	size_t at = g->place;

	while (at > 1 && p->heap[at / 2]->ready_ms > g->ready_ms) {
		heap_put(p, p->heap[at / 2], at);
		at /= 2;
	}
	for (;;) {
		size_t child = at * 2;

		if (child > p->heap_n)
			break;
		if (child < p->heap_n && p->heap[child + 1]->ready_ms < p->heap[child]->ready_ms)
			child++;
		if (p->heap[child]->ready_ms >= g->ready_ms)
			break;
		heap_put(p, p->heap[child], at);
		at = child;
	}
	heap_put(p, g, at);
}

static void heap_remove(struct pacer *p, struct group *g)
{
	struct group *last;
	size_t at = g->place;

	if (at == 0)
		return;
	g->place = 0;
	last = p->heap[p->heap_n--];
	if (last == g)
		return;
	heap_put(p, last, at);
	heap_fix(p, last);
}

/* Room for one more group than there are: then nothing can fail later. */
static bool heap_grow(struct pacer *p)
{
	size_t room = p->heap_room ? p->heap_room * 2 : BUCKETS_FIRST;
	struct group **grown;

	if (p->group_n + 2 < p->heap_room)
		return true;
	grown = realloc(p->heap, room * sizeof(struct group *));
	if (!grown)
		return false;
	p->heap = grown;
	p->heap_room = room;
	return true;
}

/* ---------------------------------------------------------------- groups */

static uint32_t hash_name(uint32_t lane, const char *name)
{
	uint32_t hash = 2166136261u ^ lane;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash ^ (hash >> 15);
}

static struct group *find(const struct pacer *p, uint32_t lane, const char *name)
{
	uint32_t hash = hash_name(lane, name);

	if (!p->bucket_n)
		return NULL;
	for (struct group *g = p->buckets[hash & (p->bucket_n - 1)]; g; g = g->chain)
		if (g->hash == hash && g->lane == lane && strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

static bool buckets_grow(struct pacer *p)
{
	size_t n = p->bucket_n ? p->bucket_n * 2 : BUCKETS_FIRST;
	struct group **grown;

	if (p->group_n < p->bucket_n)
		return true;
	grown = calloc(n, sizeof(struct group *));
	if (!grown)
		return false;
	for (size_t i = 0; i < p->bucket_n; i++) {
		for (struct group *g = p->buckets[i], *next; g; g = next) {
			next = g->chain;
			g->chain = grown[g->hash & (n - 1)];
			grown[g->hash & (n - 1)] = g;
		}
	}
	free(p->buckets);
	p->buckets = grown;
	p->bucket_n = n;
	return true;
}

static void idle_remove(struct pacer *p, struct group *g)
{
	if (!g->idle)
		return;
	if (g->newer)
		g->newer->older = g->older;
	else
		p->newest = g->older;
	if (g->older)
		g->older->newer = g->newer;
	else
		p->oldest = g->newer;
	g->newer = g->older = NULL;
	g->idle = false;
}

static void idle_add(struct pacer *p, struct group *g, uint64_t now_ms)
{
	if (g->active || g->head || g->idle)
		return;
	g->used_ms = now_ms;
	g->idle = true;
	g->older = p->newest;
	if (p->newest)
		p->newest->newer = g;
	else
		p->oldest = g;
	p->newest = g;
}

static void forget_old(struct pacer *p, uint64_t now_ms)
{
	while (p->oldest && now_ms >= p->oldest->used_ms + FORGET_MS &&
	       now_ms >= p->oldest->open_until_ms + FORGET_MS) {
		struct group *g = p->oldest, **at = &p->buckets[g->hash & (p->bucket_n - 1)];

		while (*at != g)
			at = &(*at)->chain;
		*at = g->chain;
		idle_remove(p, g);
		p->group_n--;
		free(g);
	}
}

static struct group *add(struct pacer *p, uint32_t lane, const char *name)
{
	size_t len = strlen(name);
	struct group *g;

	if (!heap_grow(p) || !buckets_grow(p))
		return NULL;
	g = calloc(1, sizeof(*g) + len + 1);
	if (!g)
		return NULL;
	memcpy(g->name, name, len + 1);
	g->lane = lane;
	g->hash = hash_name(lane, name);
	g->rate = FULL;
	g->chain = p->buckets[g->hash & (p->bucket_n - 1)];
	p->buckets[g->hash & (p->bucket_n - 1)] = g;
	p->group_n++;
	return g;
}

/* ---------------------------------------------------------------- leave */

static uint32_t scaled(uint32_t limit, uint32_t rate)
{
	uint64_t n = (uint64_t)limit * rate / FULL;

	return n ? (uint32_t)n : 1;
}

/* New connections a second: evenly, or as many at once as a second may have. */
static uint64_t interval_ms(const struct group *g, uint32_t connections)
{
	uint32_t a_second =
	    g->limits.connections_per_second ? g->limits.connections_per_second : connections;

	return 1000u * FULL / ((uint64_t)a_second * g->rate);
}

static uint64_t even_when(const struct group *g, uint32_t connections)
{
	uint64_t interval = interval_ms(g, connections),
		 ahead = 1000 > interval ? 1000 - interval : 0;

	return g->even_ms > ahead ? g->even_ms - ahead : 0;
}

/* When a session of `recipients` may begin; UINT64_MAX: not before one ends. */
static uint64_t when(const struct pacer *p, struct group *g, uint32_t recipients, uint64_t now_ms)
{
	uint32_t connections = g->limits.connections ? g->limits.connections : CONNECTIONS_DEFAULT;
	uint32_t per_minute =
	    g->limits.recipients_per_minute ? g->limits.recipients_per_minute : RECIPIENTS_DEFAULT;
	uint64_t at = now_ms, then;

	if (g->open_until_ms) {
		/* Half-open: one goes ahead and tries. */
		if (g->active)
			return UINT64_MAX;
		return now_ms < g->open_until_ms ? g->open_until_ms : now_ms;
	}
	if (!p->pace) {
		if (g->rate == FULL)
			return now_ms;
		connections = UNPACED_CONNECTIONS;
		per_minute = UNPACED_RECIPIENTS;
	}
	if (g->active >= scaled(connections, g->rate))
		return UINT64_MAX;
	at = window_when(&g->recipients, scaled(per_minute, g->rate), recipients, now_ms);
	if (!p->pace)
		return at;
	if (g->limits.connections_per_minute) {
		then = window_when(&g->connections,
				   scaled(g->limits.connections_per_minute, g->rate), 1, now_ms);
		if (then > at)
			at = then;
	}
	then = even_when(g, connections);
	return then > at ? then : at;
}

static void grant(struct group *g, uint32_t recipients, uint64_t now_ms)
{
	g->even_ms =
	    (g->even_ms > now_ms ? g->even_ms : now_ms) +
	    interval_ms(g, g->limits.connections ? g->limits.connections : CONNECTIONS_DEFAULT);
	g->active++;
	g->promised += recipients;
	window_add(&g->recipients, recipients, now_ms);
	window_add(&g->connections, 1, now_ms);
}

/* The group's place in the heap, after anything about it has changed. */
static void settle(struct pacer *p, struct group *g, uint64_t now_ms)
{
	uint64_t at = g->head ? when(p, g, g->head->recipients, now_ms) : UINT64_MAX;

	if (at == UINT64_MAX) {
		heap_remove(p, g);
		return;
	}
	g->ready_ms = at;
	if (!g->place) {
		p->heap_n++;
		heap_put(p, g, p->heap_n);
	}
	heap_fix(p, g);
}

struct pacer *pacer_new(bool pace, uint32_t time_scale)
{
	struct pacer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->pace = pace;
	p->time_scale = time_scale ? time_scale : 1;
	return p;
}

static void free_waiters(struct waiter *w)
{
	while (w) {
		struct waiter *next = w->next;

		free(w);
		w = next;
	}
}

void pacer_free(struct pacer *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->bucket_n; i++) {
		for (struct group *g = p->buckets[i], *next; g; g = next) {
			next = g->chain;
			free_waiters(g->head);
			free(g);
		}
	}
	free_waiters(p->spare);
	free(p->buckets);
	free(p->heap);
	free(p);
}

bool pacer_ask(struct pacer *p, uint32_t lane, const char *mx_group,
	       const struct pacer_limits *limits, uint32_t recipients, void *who, uint64_t now_ms,
	       bool *ret_memory_ok)
{
	struct group *g;
	struct waiter *w;

	forget_old(p, now_ms);
	*ret_memory_ok = true;
	if (recipients == 0)
		recipients = 1;
	g = find(p, lane, mx_group);
	if (!g)
		g = add(p, lane, mx_group);
	if (!g)
		goto no_memory;
	idle_remove(p, g);
	if (limits)
		g->limits = *limits;
	if (!g->head && when(p, g, recipients, now_ms) <= now_ms) {
		grant(g, recipients, now_ms);
		return true;
	}
	w = p->spare;
	if (w)
		p->spare = w->next;
	else
		w = malloc(sizeof(*w));
	if (!w) {
		idle_add(p, g, now_ms);
		goto no_memory;
	}
	*w = (struct waiter){ .who = who, .recipients = recipients };
	if (g->tail)
		g->tail->next = w;
	else
		g->head = w;
	g->tail = w;
	settle(p, g, now_ms);
	return false;

no_memory:
	*ret_memory_ok = false;
	return false;
}

/* Takes the waiter behind `before` (NULL: the first) out of line. */
static void unlink_waiter(struct pacer *p, struct group *g, struct waiter *before)
{
	struct waiter *w = before ? before->next : g->head;

	if (before)
		before->next = w->next;
	else
		g->head = w->next;
	if (g->tail == w)
		g->tail = before;
	w->next = p->spare;
	p->spare = w;
}

void pacer_forget(struct pacer *p, uint32_t lane, const char *mx_group, void *who)
{
	struct group *g = find(p, lane, mx_group);
	struct waiter *before = NULL;

	if (!g)
		return;
	for (struct waiter *w = g->head; w; before = w, w = w->next) {
		if (w->who != who)
			continue;
		unlink_waiter(p, g, before);
		/* Whoever is first now may have been ready all along: at once, and the pop looks
		 * again. */
		if (g->place) {
			g->ready_ms = 0;
			if (g->head)
				heap_fix(p, g);
			else
				heap_remove(p, g);
		}
		if (!g->head)
			idle_add(p, g, g->used_ms);
		return;
	}
}

static void react(struct pacer *p, struct group *g, enum pacer_outcome outcome, uint64_t now_ms)
{
	switch (outcome) {
	case PACER_CLEAR:
		g->rate = g->rate + STEP < FULL ? g->rate + STEP : FULL;
		g->bad = 0;
		g->doublings = 0;
		g->open_until_ms = 0;
		return;
	case PACER_THROTTLED:
		g->rate = g->rate / 2 > LEAST ? g->rate / 2 : LEAST;
		g->bad = g->bad < CIRCUIT_AFTER ? (uint8_t)(g->bad + 1) : CIRCUIT_AFTER;
		break;
	case PACER_FAILED:
		/* Says nothing of our rate, unless it was the test of an open circuit. */
		if (!g->open_until_ms)
			return;
		break;
	}
	if (g->bad < CIRCUIT_AFTER || now_ms < g->open_until_ms)
		return;
	g->open_until_ms = now_ms + ((uint64_t)CIRCUIT_MS << g->doublings) / p->time_scale;
	if (g->doublings < CIRCUIT_DOUBLINGS)
		g->doublings++;
}

void pacer_release(struct pacer *p, uint32_t lane, const char *mx_group, uint32_t used,
		   enum pacer_outcome outcome, uint64_t now_ms)
{
	struct group *g = find(p, lane, mx_group);
	uint32_t share;

	if (!g || g->active == 0)
		return;
	share = g->active == 1 ? g->promised : g->promised / g->active;
	g->promised -= share;
	g->active--;
	if (used < share)
		window_return(&g->recipients, share - used, now_ms);
	else if (used > share)
		window_add(&g->recipients, used - share, now_ms);
	react(p, g, outcome, now_ms);
	settle(p, g, now_ms);
	idle_add(p, g, now_ms);
}

void *pacer_pop(struct pacer *p, uint64_t now_ms)
{
	while (p->heap_n && p->heap[1]->ready_ms <= now_ms) {
		struct group *g = p->heap[1];
		void *who;

		/* What held at the last look need not hold now. */
		settle(p, g, now_ms);
		if (!g->place || g->ready_ms > now_ms)
			continue;
		who = g->head->who;
		grant(g, g->head->recipients, now_ms);
		unlink_waiter(p, g, NULL);
		settle(p, g, now_ms);
		return who;
	}
	return NULL;
}

uint64_t pacer_deadline(const struct pacer *p)
{
	return p->heap_n ? p->heap[1]->ready_ms : UINT64_MAX;
}

uint64_t pacer_open_ms(const struct pacer *p, uint32_t lane, const char *mx_group, uint64_t now_ms)
{
	const struct group *g = find(p, lane, mx_group);

	if (!g || g->open_until_ms <= now_ms)
		return 0;
	return (g->open_until_ms - now_ms) * p->time_scale;
}
