/*
 * mx_plan - which address of which mail server comes next (RFC 5321, 5.1).
 *
 * By preference, at random among equals, one address after another; a retry begins where the
 * attempt before it ended. The owner asks mx_plan_next() before each connection, and every address
 * passes the target check each time it is given out. An address is left with mx_plan_failed() only.
 * Embedded; arrays and copies stand in the shard's arena. At most 10 hosts and 20 addresses; more
 * are ignored, the least preferred hosts first. Pure but for the seed.
 */
#ifndef WORKER_CORE_MX_PLAN_H
#define WORKER_CORE_MX_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rollcall.pb-c.h"
#include "worker/core/probe.h"

struct rc_arena;

enum { MX_PLAN_HOSTS_MAX = 10, MX_PLAN_ADDRESSES_MAX = 20 };

enum mx_step {
	MX_CONNECT = 1, /* to *ret_ip, which belongs to *ret_host */
	MX_RESOLVE,	/* look up *ret_host, then mx_plan_addresses() */
	MX_EXHAUSTED	/* mx_plan_cause() says why, where nothing was tried */
};

typedef bool mx_plan_allows(const void *context, const struct probe_ip *ip);

struct mx_plan_address {
	struct probe_ip ip;
	bool failed;
	bool tls_demanded; /* the server there wants STARTTLS first */
	bool tls_broken;   /* and it did not work when we tried */
};

struct mx_plan_host {
	const char *name;
	uint32_t preference;
	bool known; /* its addresses are as they will be */
	uint8_t address_n;
	struct mx_plan_address *addresses;
};

/* Private, but for the caller's memory. */
struct mx_plan {
	struct rc_arena *arena;
	mx_plan_allows *allows;
	const void *context;
	struct mx_plan_host *hosts;
	uint64_t seed;
	uint8_t family;
	uint8_t host_n;
	uint8_t address_n;
	uint8_t at_host; /* the address given last */
	uint8_t at_address;
	const char *favoured; /* of hosts of one preference this one first; NULL: none. The caller's */
	bool chosen;	/* at_* mean something */
	bool resolving; /* the host at_host is being looked up */
	bool null_mx;
	bool dns_failed;
	bool other_family; /* there are addresses that this lane cannot reach */
	bool withheld;	   /* there are public ones that a setting of ours keeps from us */
	bool first_sought; /* the address to return to has not been found yet */
	struct probe_ip first;
};

void mx_plan_init(struct mx_plan *plan, struct rc_arena *arena, int family, uint64_t seed,
		  mx_plan_allows *allows, const void *context);
/*
 * The hosts, in no order; strings outlive the plan or are copied with `copy`. `first_host`,
 * `first_address`: where to begin, as long as it is among them; NULL or empty: nowhere. False: out
 * of memory.
 */
bool mx_plan_fill(struct mx_plan *plan, Rollcall__MxHost *const *hosts, size_t n,
		  const char *first_host, const char *first_address, bool copy);
enum mx_step mx_plan_next(struct mx_plan *plan, const char **ret_host, struct probe_ip *ret_ip);
/* The answer to MX_RESOLVE. `failed`: the resolver did not answer. False: out of memory. */
bool mx_plan_addresses(struct mx_plan *plan, const struct probe_ip *ips, size_t n, bool failed);
/* The address given last, by MX_CONNECT. */
struct mx_plan_address *mx_plan_at(struct mx_plan *plan);
/* Whether the host given last is one that is meant for when better ones are down. */
bool mx_plan_is_fallback(const struct mx_plan *plan);
/* The address given last is left. */
void mx_plan_failed(struct mx_plan *plan);
/* Time has passed: every address may be tried again, the one given last first. */
void mx_plan_revive(struct mx_plan *plan);
/* Why nothing could be connected to: NULL_MX, DNS, UNROUTABLE, or UNREACHABLE where it is our family
 * of addresses, or our setting, that has no way there. */
Rollcall__Failure mx_plan_cause(const struct mx_plan *plan);

#endif
