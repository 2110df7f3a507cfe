/*
 * dns - MX, A and AAAA questions by c-ares in the loop, with a cache.
 *
 * What is asked by many at once is asked of the resolver once. Answers are kept by (name, type) for
 * their TTL, clamped to 60 s
 * .. 1 day; negative ones and failures for at most 30 s. At most 5,000 questions are under way, the
 * rest stand in line; three tries within 7 s each. NXDOMAIN, no data, SERVFAIL, REFUSED and
 * time-out stay apart. A resolver that dies costs time-outs and is used again when it is back.
 *
 * Owner: the loop's thread. An ask is embedded in its asker, and answered once from the loop, never
 * from inside dns_ask(), unless it was cancelled.
 */
#ifndef WORKER_IO_DNS_H
#define WORKER_IO_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/base/status.h"
#include "worker/core/dns_answer.h"

struct dns;
struct dns_entry;

struct dns_ask {
	void (*answered)(struct dns_ask *ask, const struct dns_answer *answer);
	struct dns_entry *entry; /* private, as what follows; NULL: nothing is under way */
	struct dns_ask *next;
	struct dns_ask *previous;
};

enum dns_said {
	DNS_NOW = 1, /* *ret_now holds the answer until the next dns_ask() */
	DNS_LATER,   /* ask->answered() will be called */
	DNS_NEVER    /* out of memory; nothing follows */
};

/* `servers`: "127.0.0.1:5353,[::1]:53", NULL: what the system's resolv.conf says. Makes no
 * connection. */
enum rc_status dns_new(uv_loop_t *loop, const char *servers, struct dns **ret_dns,
		       struct rc_error *err) RC_MUST_CHECK;
/* Asks under way are dropped without an answer. Takes NULL. */
void dns_free(struct dns *dns);

/* `name`: as dns_name_valid() wants it. `bypass_cache`: never from the cache, though an identical
 * question under way is shared if it too was asked past the cache. `ask->answered` must be set. */
enum dns_said dns_ask(struct dns *dns, struct dns_ask *ask, const char *name, enum dns_type type,
		      bool bypass_cache, const struct dns_answer **ret_now);
void dns_cancel(struct dns_ask *ask);
/* Asks what stands in line and tells what was answered meanwhile; the loop does it by itself before
 * it sleeps. True: somebody was told something. */
bool dns_turn(struct dns *dns);

#endif
