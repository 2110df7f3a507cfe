/* ares_query() and its kin are deprecated in 1.34 and all that 1.18 has. */
#define CARES_NO_DEPRECATED 1
#include "worker/io/dns.h"

#include <ares.h>
#include <stdlib.h>
#include <string.h>

enum {
	TIMEOUT_MS = 1000, /* of the first try; c-ares doubles it: 1 + 2 + 4 s */
	TRIES = 3,
	BURST = 100, /* questions a millisecond: a resolver's socket buffer holds some 250 */
	EDNS_OCTETS = 1232,
	IN_FLIGHT_MAX = 5000,
	ENTRIES_MAX = 200000,
	TICK_MS = 100,
	CLASS_IN = 1
};

enum entry_state {
	ENTRY_IN_LINE = 1, /* wants to be asked */
	ENTRY_ASKED,	   /* c-ares has it */
	ENTRY_ANSWERED,	   /* its askers have not been told yet */
	ENTRY_KEPT	   /* cache */
};

/* One (name, type), and whether it was asked past the cache: those are kept apart only while they
 * are under way. */
struct dns_entry {
	struct dns *dns;
	struct dns_entry *next_in_bucket;
	struct dns_entry *next_in_line; /* of `line` or `told` */
	struct dns_ask *asks;
	enum entry_state state;
	bool fresh;
	uint32_t hash;
	enum dns_type type;
	uint64_t expires_ms;
	struct packed *answer;
	char name[];
};

/* An answer in as little memory as it takes: `ip_n` addresses, then `mx_n` times preference, length
 * and name, then the texts. */
struct packed {
	enum dns_state state;
	uint32_t ttl_s;
	uint16_t mx_n;
	uint16_t ip_n;
	uint16_t txt_n;
	uint16_t txt_len;
	size_t names_at;
	char data[];
};

struct socket_watch {
	uv_poll_t poll;
	struct dns *dns;
	ares_socket_t fd;
	struct socket_watch *next;
};

struct line {
	struct dns_entry *first;
	struct dns_entry **end;
};

struct dns {
	uv_loop_t *loop;
	ares_channel channel;
	uv_timer_t tick;  /* c-ares' time-outs: ares_timeout() walks all questions, so we look every
			     100 ms */
	uv_timer_t burst; /* when the next ones may be asked */
	uint64_t burst_ms;
	unsigned burst_n;
	uv_prepare_t prepare; /* tells askers and asks on, outside of any c-ares call */
	unsigned handles_open;
	bool closing;
	size_t in_flight;
	struct socket_watch *watches;
	struct line waiting;
	struct line told;
	struct dns_entry **buckets;
	size_t bucket_n; /* a power of two */
	size_t entry_n;
	size_t sweep_at;
	struct dns_answer scratch;
};

static void line_init(struct line *line)
{
	line->first = NULL;
	line->end = &line->first;
}

static void line_push(struct line *line, struct dns_entry *entry)
{
	entry->next_in_line = NULL;
	*line->end = entry;
	line->end = &entry->next_in_line;
}

static struct dns_entry *line_pop(struct line *line)
{
	struct dns_entry *entry = line->first;

	if (entry == NULL)
		return NULL;
	line->first = entry->next_in_line;
	if (line->first == NULL)
		line->end = &line->first;
	return entry;
}

static struct packed *answer_pack(const struct dns_answer *answer)
{
	size_t size = answer->ip_n * sizeof(answer->ip[0]);
	const size_t names_at = size;

	for (size_t i = 0; i < answer->mx_n; i++)
		size += 2 + strlen(answer->mx[i].host) + 1;
	size += answer->txt_len;
	struct packed *packed = malloc(sizeof(*packed) + size);

	if (packed == NULL)
		return NULL;
	packed->state = answer->state;
	packed->ttl_s = answer->ttl_s;
	packed->mx_n = (uint16_t)answer->mx_n;
	packed->ip_n = (uint16_t)answer->ip_n;
	packed->txt_n = (uint16_t)answer->txt_n;
	packed->txt_len = (uint16_t)answer->txt_len;
	packed->names_at = names_at;
	memcpy(packed->data, answer->ip, names_at);
	char *at = packed->data + names_at;

	for (size_t i = 0; i < answer->mx_n; i++) {
		const size_t len = strlen(answer->mx[i].host) + 1;

		memcpy(at, &answer->mx[i].preference, 2);
		memcpy(at + 2, answer->mx[i].host, len);
		at += 2 + len;
	}
	memcpy(at, answer->txt, answer->txt_len);
	return packed;
}

static const struct dns_answer *answer_unpack(struct dns *dns, const struct packed *packed)
{
	struct dns_answer *answer = &dns->scratch;

	if (packed == NULL) {
		answer->state = DNS_BROKEN;
		answer->ttl_s = 0;
		answer->mx_n = answer->ip_n = answer->txt_n = answer->txt_len = 0;
		return answer;
	}
	answer->state = packed->state;
	answer->ttl_s = packed->ttl_s;
	answer->mx_n = packed->mx_n;
	answer->ip_n = packed->ip_n;
	memcpy(answer->ip, packed->data, packed->names_at);
	const char *at = packed->data + packed->names_at;

	for (size_t i = 0; i < answer->mx_n; i++) {
		const size_t len = strlen(at + 2) + 1;

		memcpy(&answer->mx[i].preference, at, 2);
		memcpy(answer->mx[i].host, at + 2, len);
		at += 2 + len;
	}
	answer->txt_n = packed->txt_n;
	answer->txt_len = packed->txt_len;
	memcpy(answer->txt, at, packed->txt_len);
	return answer;
}

/* FNV-1a. Strangers choose the names, but a resolver's answer is needed for each before it stays.
 */
static uint32_t hash_of(const char *name, enum dns_type type)
{
	uint32_t hash = 2166136261u ^ (uint32_t)type;

	for (const char *p = name; *p != '\0'; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619u;
	return hash;
}

static struct dns_entry **bucket_of(struct dns *dns, uint32_t hash)
{
	return &dns->buckets[hash & (dns->bucket_n - 1)];
}

static void entry_unlink(struct dns *dns, struct dns_entry *entry)
{
	struct dns_entry **at = bucket_of(dns, entry->hash);

	while (*at != entry)
		at = &(*at)->next_in_bucket;
	*at = entry->next_in_bucket;
	dns->entry_n--;
}

static void entry_free(struct dns_entry *entry)
{
	free(entry->answer);
	free(entry);
}

/* One that may serve: kept and not expired, or under way. What was kept and may not serve is
 * dropped. */
static struct dns_entry *entry_find(struct dns *dns, const char *name, enum dns_type type,
				    uint32_t hash, bool fresh)
{
	struct dns_entry **at = bucket_of(dns, hash);

	while (*at != NULL) {
		struct dns_entry *entry = *at;

		if (entry->hash != hash || entry->type != type || strcmp(entry->name, name) != 0) {
			at = &entry->next_in_bucket;
		} else if (entry->state == ENTRY_KEPT) {
			if (!fresh && entry->expires_ms > uv_now(dns->loop))
				return entry;
			*at = entry->next_in_bucket;
			dns->entry_n--;
			entry_free(entry);
		} else if (entry->fresh || !fresh) {
			return entry;
		} else {
			at = &entry->next_in_bucket;
		}
	}
	return NULL;
}

static void grow(struct dns *dns)
{
	const size_t bucket_n = 4 * dns->bucket_n;
	struct dns_entry **buckets = calloc(bucket_n, sizeof(buckets[0]));

	if (buckets == NULL)
		return;
	for (size_t i = 0; i < dns->bucket_n; i++) {
		struct dns_entry *entry = dns->buckets[i];

		while (entry != NULL) {
			struct dns_entry *next = entry->next_in_bucket;
			struct dns_entry **bucket = &buckets[entry->hash & (bucket_n - 1)];

			entry->next_in_bucket = *bucket;
			*bucket = entry;
			entry = next;
		}
	}
	free(dns->buckets);
	dns->buckets = buckets;
	dns->bucket_n = bucket_n;
	dns->sweep_at = 0;
}

/* Looks at a few buckets at each new entry: what has expired goes, and over the cap whatever is
 * only kept. */
static void sweep(struct dns *dns)
{
	const uint64_t now_ms = uv_now(dns->loop);
	const bool full = dns->entry_n >= ENTRIES_MAX;

	for (unsigned i = 0; i < 4; i++) {
		struct dns_entry **at = &dns->buckets[dns->sweep_at++ & (dns->bucket_n - 1)];

		while (*at != NULL) {
			struct dns_entry *entry = *at;

			if (entry->state == ENTRY_KEPT && (full || entry->expires_ms <= now_ms)) {
				*at = entry->next_in_bucket;
				dns->entry_n--;
				entry_free(entry);
			} else {
				at = &entry->next_in_bucket;
			}
		}
	}
}

static struct dns_entry *entry_new(struct dns *dns, const char *name, enum dns_type type,
				   uint32_t hash, bool fresh)
{
	const size_t len = strlen(name) + 1;
	struct dns_entry *entry;

	if (dns->entry_n >= dns->bucket_n)
		grow(dns);
	sweep(dns);
	entry = calloc(1, sizeof(*entry) + len);
	if (entry == NULL)
		return NULL;
	entry->dns = dns;
	entry->hash = hash;
	entry->type = type;
	entry->fresh = fresh;
	entry->state = ENTRY_IN_LINE;
	memcpy(entry->name, name, len);
	struct dns_entry **bucket = bucket_of(dns, hash);

	entry->next_in_bucket = *bucket;
	*bucket = entry;
	dns->entry_n++;
	line_push(&dns->waiting, entry);
	return entry;
}

static enum dns_state state_of(int status)
{
	switch (status) {
	case ARES_ETIMEOUT:
		return DNS_TIMEOUT;
	case ARES_ESERVFAIL:
		return DNS_SERVFAIL;
	case ARES_EREFUSED:
		return DNS_REFUSED;
	case ARES_ENOTFOUND:
		return DNS_NO_NAME;
	case ARES_ENODATA:
		return DNS_NO_DATA;
	default:
		return DNS_BROKEN;
	}
}

/* May run inside ares_query(); so it only writes the answer down. */
static void on_answer(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
	struct dns_entry *entry = arg;
	struct dns *dns = entry->dns;
	struct dns_answer *answer = &dns->scratch;

	(void)timeouts;
	dns->in_flight--;
	if (reply != NULL && len > 0) {
		dns_answer_parse(reply, (size_t)len, entry->name, entry->type, answer);
	} else {
		answer->state = state_of(status);
		answer->ttl_s = 0;
		answer->mx_n = answer->ip_n = answer->txt_n = answer->txt_len = 0;
	}
	entry->answer = answer_pack(answer);
	entry->expires_ms = uv_now(dns->loop) + dns_answer_keep_ms(answer);
	entry->state = ENTRY_ANSWERED;
	line_push(&dns->told, entry);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct socket_watch *watch = poll->data;
	struct dns *dns = watch->dns;
	const ares_socket_t fd = watch->fd;

	if (status < 0)
		events = UV_READABLE | UV_WRITABLE;
	ares_process_fd(dns->channel, events & UV_READABLE ? fd : ARES_SOCKET_BAD,
			events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
}

static void finish_close(struct dns *dns)
{
	if (--dns->handles_open > 0)
		return;
	for (size_t i = 0; i < dns->bucket_n; i++) {
		while (dns->buckets[i] != NULL) {
			struct dns_entry *entry = dns->buckets[i];

			dns->buckets[i] = entry->next_in_bucket;
			entry_free(entry);
		}
	}
	free(dns->buckets);
	free(dns);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct socket_watch *watch = handle->data;
	struct dns *dns = watch->dns;

	free(watch);
	finish_close(dns);
}

static void on_handle_closed(uv_handle_t *handle)
{
	finish_close(handle->data);
}

/* c-ares opens, changes and is about to close a socket. The number may be used again at once, so
 * its old handle goes now. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *dns = arg;
	struct socket_watch **at = &dns->watches;

	while (*at != NULL && (*at)->fd != fd)
		at = &(*at)->next;
	struct socket_watch *watch = *at;

	if (!readable && !writable) {
		if (watch == NULL)
			return;
		*at = watch->next;
		uv_poll_stop(&watch->poll);
		uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
		return;
	}
	if (watch == NULL) {
		watch = calloc(1, sizeof(*watch));
		if (watch == NULL)
			return; /* c-ares then times out */
		if (uv_poll_init(dns->loop, &watch->poll, fd) < 0) {
			free(watch);
			return;
		}
		watch->poll.data = watch;
		watch->dns = dns;
		watch->fd = fd;
		watch->next = dns->watches;
		dns->watches = watch;
		dns->handles_open++;
	}
	uv_poll_start(&watch->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
		      on_socket);
}

static void on_tick(uv_timer_t *tick)
{
	struct dns *dns = tick->data;

	ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (dns->in_flight == 0)
		uv_timer_stop(&dns->tick);
}

/* That it wakes the loop is all: the questions go out before the loop sleeps again. */
static void on_burst(uv_timer_t *burst)
{
	(void)burst;
}

static bool may_ask(struct dns *dns)
{
	const uint64_t now_ms = uv_now(dns->loop);

	if (dns->waiting.first == NULL || dns->in_flight >= IN_FLIGHT_MAX)
		return false;
	if (now_ms != dns->burst_ms) {
		dns->burst_ms = now_ms;
		dns->burst_n = 0;
	}
	if (dns->burst_n < BURST)
		return true;
	if (!uv_is_active((uv_handle_t *)&dns->burst))
		uv_timer_start(&dns->burst, on_burst, 1, 0);
	return false;
}

static void ask_on(struct dns *dns)
{
	while (may_ask(dns)) {
		struct dns_entry *entry = line_pop(&dns->waiting);

		dns->burst_n++;
		entry->state = ENTRY_ASKED;
		if (dns->in_flight++ == 0)
			uv_timer_start(&dns->tick, on_tick, TICK_MS, TICK_MS);
		ares_query(dns->channel, entry->name, CLASS_IN, (int)entry->type, on_answer, entry);
	}
}

static void tell(struct dns *dns)
{
	struct dns_entry *entry;

	while ((entry = line_pop(&dns->told)) != NULL) {
		/* Told one by one: an asker's callback may cancel another's ask. */
		while (entry->asks != NULL) {
			struct dns_ask *ask = entry->asks;

			dns_cancel(ask);
			ask->answered(ask, answer_unpack(dns, entry->answer));
		}
		entry_unlink(dns, entry);
		if (entry->answer == NULL) {
			entry_free(entry);
			continue;
		}
		/* The newest answer is the one that is kept: looking past the cache drops what it
		 * had. */
		(void)entry_find(dns, entry->name, entry->type, entry->hash, true);
		entry->state = ENTRY_KEPT;
		entry->fresh = false;
		struct dns_entry **bucket = bucket_of(dns, entry->hash);

		entry->next_in_bucket = *bucket;
		*bucket = entry;
		dns->entry_n++;
	}
}

bool dns_turn(struct dns *dns)
{
	bool told = false;

	/* A question that fails inside ares_query() is answered in the same turn; the loop is to
	 * sleep only when all is said. */
	do {
		ask_on(dns);
		told = told || dns->told.first != NULL;
		tell(dns);
	} while (dns->told.first != NULL || may_ask(dns));
	return told;
}

static void on_prepare(uv_prepare_t *prepare)
{
	(void)dns_turn(prepare->data);
}

enum rc_status dns_new(uv_loop_t *loop, const char *servers, struct dns **ret_dns,
		       struct rc_error *err)
{
	struct ares_options options = { 0 };
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
		   ARES_OPT_EDNSPSZ;
	struct dns *dns = calloc(1, sizeof(*dns));
	int status;

	if (dns == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for the resolver");
	dns->loop = loop;
	dns->bucket_n = 1024;
	dns->buckets = calloc(dns->bucket_n, sizeof(dns->buckets[0]));
	line_init(&dns->waiting);
	line_init(&dns->told);

	/* Without NOCHECKRESP, SERVFAIL and REFUSED are swallowed into retries. */
	options.flags =
	    ARES_FLAG_EDNS | ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH | ARES_FLAG_STAYOPEN;
	options.timeout = TIMEOUT_MS;
	options.tries = TRIES;
	options.ednspsz = EDNS_OCTETS;
	options.sock_state_cb = on_socket_state;
	options.sock_state_cb_data = dns;
#ifdef ARES_OPT_QUERY_CACHE
	options.qcache_max_ttl = 0; /* the cache is ours: a confirmation must get past it */
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	status =
	    dns->buckets != NULL ? ares_init_options(&dns->channel, &options, mask) : ARES_ENOMEM;
	if (status != ARES_SUCCESS) {
		free(dns->buckets);
		free(dns);
		return rc_error_set(err, RC_UNAVAILABLE, "the resolver cannot be set up: %s",
				    ares_strerror(status));
	}
	if (servers != NULL) {
		status = ares_set_servers_ports_csv(dns->channel, servers);
		if (status != ARES_SUCCESS) {
			ares_destroy(dns->channel);
			free(dns->buckets);
			free(dns);
			return rc_error_set(
			    err, RC_INVALID,
			    "dns: `%s` is no list of resolvers; write 192.0.2.53 or "
			    "127.0.0.1:5353, several with commas",
			    servers);
		}
	}
	uv_timer_init(loop, &dns->tick);
	uv_timer_init(loop, &dns->burst);
	uv_prepare_init(loop, &dns->prepare);
	dns->burst.data = dns;
	dns->tick.data = dns;
	dns->prepare.data = dns;
	dns->handles_open = 3;
	uv_prepare_start(&dns->prepare, on_prepare);
	uv_unref((uv_handle_t *)&dns->prepare);
	*ret_dns = dns;
	return RC_OK;
}

void dns_free(struct dns *dns)
{
	if (dns == NULL)
		return;
	dns->closing = true;
	ares_destroy(
	    dns->channel); /* calls on_answer() for each under way, and closes the watches */
	for (size_t i = 0; i < dns->bucket_n; i++) {
		for (struct dns_entry *entry = dns->buckets[i]; entry != NULL;
		     entry = entry->next_in_bucket) {
			while (entry->asks != NULL)
				dns_cancel(entry->asks);
		}
	}
	uv_close((uv_handle_t *)&dns->tick, on_handle_closed);
	uv_close((uv_handle_t *)&dns->burst, on_handle_closed);
	uv_close((uv_handle_t *)&dns->prepare, on_handle_closed);
}

enum dns_said dns_ask(struct dns *dns, struct dns_ask *ask, const char *name, enum dns_type type,
		      bool bypass_cache, const struct dns_answer **ret_now)
{
	const uint32_t hash = hash_of(name, type);
	struct dns_entry *entry = entry_find(dns, name, type, hash, bypass_cache);

	if (entry != NULL && entry->state == ENTRY_KEPT) {
		*ret_now = answer_unpack(dns, entry->answer);
		return DNS_NOW;
	}
	if (entry == NULL) {
		entry = entry_new(dns, name, type, hash, bypass_cache);
		if (entry == NULL)
			return DNS_NEVER;
	}
	ask->entry = entry;
	ask->previous = NULL;
	ask->next = entry->asks;
	if (entry->asks != NULL)
		entry->asks->previous = ask;
	entry->asks = ask;
	return DNS_LATER;
}

void dns_cancel(struct dns_ask *ask)
{
	if (ask->entry == NULL)
		return;
	if (ask->previous != NULL)
		ask->previous->next = ask->next;
	else
		ask->entry->asks = ask->next;
	if (ask->next != NULL)
		ask->next->previous = ask->previous;
	ask->entry = NULL;
}
