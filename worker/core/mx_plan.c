/* See mx_plan.h. */
#include "worker/core/mx_plan.h"

#include <string.h>

#include "common/address/target.h"
#include "common/base/arena.h"
#include "worker/core/ip.h"
#include "worker/core/seed.h"

void mx_plan_init(struct mx_plan *plan, struct rc_arena *arena, int family, uint64_t seed,
		  mx_plan_allows *allows, const void *context)
{
	*plan = (struct mx_plan){ .arena = arena,
				  .family = (uint8_t)family,
				  .seed = seed,
				  .allows = allows,
				  .context = context };
}

static void shuffle(struct mx_plan *plan, struct mx_plan_address *addresses, uint8_t n)
{
	for (uint8_t i = n; i > 1; i--) {
		uint32_t j = seed_below(&plan->seed, i);
		struct mx_plan_address swap = addresses[j];

		addresses[j] = addresses[i - 1];
		addresses[i - 1] = swap;
	}
}

/* Notes where to begin when that address is among the host's. */
static void seek_first(struct mx_plan *plan, uint8_t host)
{
	if (!plan->first_sought)
		return;
	for (uint8_t i = 0; i < plan->hosts[host].address_n; i++) {
		if (ip_same(&plan->hosts[host].addresses[i].ip, &plan->first)) {
			plan->at_host = host;
			plan->at_address = i;
			plan->chosen = true;
			plan->first_sought = false;
			return;
		}
	}
}

/* Gives a host its addresses, as far as this lane's family and the cap go. */
static bool set_addresses(struct mx_plan *plan, uint8_t host, const struct probe_ip *ips, size_t n)
{
	struct mx_plan_host *h = &plan->hosts[host];
	size_t room = (size_t)MX_PLAN_ADDRESSES_MAX - plan->address_n;

	h->known = true;
	/* The better ones that are still to be looked up shall find room. */
	for (uint8_t i = 0; i < host && room > 1; i++)
		room -= !plan->hosts[i].known;
	if (n > room)
		n = room;
	if (n == 0)
		return true;
	h->addresses = rc_arena_alloc(plan->arena, n * sizeof(*h->addresses));
	if (!h->addresses)
		return false;
	for (size_t i = 0; i < n; i++)
		if (ips[i].family == plan->family)
			h->addresses[h->address_n++].ip = ips[i];
	plan->address_n = (uint8_t)(plan->address_n + h->address_n);
	shuffle(plan, h->addresses, h->address_n);
	seek_first(plan, host);
	return true;
}

static bool add_host(struct mx_plan *plan, const Rollcall__MxHost *from, bool copy)
{
	struct mx_plan_host *h = &plan->hosts[plan->host_n];
	struct probe_ip ips[MX_PLAN_ADDRESSES_MAX];
	size_t n = 0;

	h->preference = from->preference;
	h->name = copy ? rc_arena_strdup(plan->arena, from->host) : from->host;
	if (!h->name)
		return false;
	/* Where none is of our family the host is looked up: the one who asked for both may have had
	 * no answer to this question, or no room. */
	for (size_t i = 0; i < from->n_addresses && n < MX_PLAN_ADDRESSES_MAX; i++) {
		if (!ip_parse(from->addresses[i], &ips[n]))
			continue;
		if (ips[n].family == plan->family)
			n++;
		else
			plan->other_family = true;
	}
	plan->host_n++;
	return n == 0 || set_addresses(plan, (uint8_t)(plan->host_n - 1), ips, n);
}

bool mx_plan_fill(struct mx_plan *plan, Rollcall__MxHost *const *hosts, size_t n,
		  const char *first_host, const char *first_address, bool copy)
{
	struct {
		uint64_t rank;
		size_t at;
	} order[MX_PLAN_HOSTS_MAX];
	size_t kept = 0;

	if (n == 1 && hosts[0]->host[0] == '\0') {
		plan->null_mx = true;
		return true;
	}
	/* By preference, then by lot; the worst of too many falls off the end. */
	for (size_t i = 0; i < n; i++) {
		uint32_t lot = (uint32_t)seed_next(&plan->seed) | 1;
		bool first = plan->favoured && strcmp(hosts[i]->host, plan->favoured) == 0;
		uint64_t rank = (uint64_t)hosts[i]->preference << 32 | (first ? 0 : lot);
		struct probe_ip literal;
		size_t j;

		if (hosts[i]->host[0] == '\0' || ip_parse(hosts[i]->host, &literal))
			continue;
		for (j = kept; j > 0 && order[j - 1].rank > rank; j--)
			if (j < MX_PLAN_HOSTS_MAX)
				order[j] = order[j - 1];
		if (j >= MX_PLAN_HOSTS_MAX)
			continue;
		order[j].rank = rank;
		order[j].at = i;
		if (kept < MX_PLAN_HOSTS_MAX)
			kept++;
	}
	if (kept == 0)
		return true;
	plan->first_sought = first_address && ip_parse(first_address, &plan->first);
	plan->hosts = rc_arena_alloc(plan->arena, kept * sizeof(*plan->hosts));
	if (!plan->hosts)
		return false;
	for (size_t i = 0; i < kept; i++)
		if (!add_host(plan, hosts[order[i].at], copy))
			return false;
	/* The address to return to may be one that the host has only in the DNS: that host is
	 * looked up before the others. */
	for (uint8_t i = 0; plan->first_sought && first_host && i < plan->host_n; i++) {
		struct mx_plan_host h = plan->hosts[i];

		if (h.known || strcmp(h.name, first_host) != 0)
			continue;
		memmove(plan->hosts + 1, plan->hosts, i * sizeof(h));
		plan->hosts[0] = h;
		break;
	}
	return true;
}

static bool usable(struct mx_plan *plan, struct mx_plan_address *address)
{
	if (address->failed)
		return false;
	if (!plan->allows || plan->allows(plan->context, &address->ip))
		return true;
	plan->withheld |= rc_target_public(address->ip.family, address->ip.octets, NULL);
	address->failed = true;
	return false;
}

enum mx_step mx_plan_next(struct mx_plan *plan, const char **ret_host, struct probe_ip *ret_ip)
{
	struct mx_plan_host *h;

	if (plan->chosen) {
		h = &plan->hosts[plan->at_host];
		if (usable(plan, &h->addresses[plan->at_address])) {
			*ret_host = h->name;
			*ret_ip = h->addresses[plan->at_address].ip;
			return MX_CONNECT;
		}
	}
	for (uint8_t i = 0; i < plan->host_n; i++) {
		h = &plan->hosts[i];
		if (!h->known) {
			plan->at_host = i;
			plan->chosen = false;
			plan->resolving = true;
			*ret_host = h->name;
			return MX_RESOLVE;
		}
		for (uint8_t j = 0; j < h->address_n; j++) {
			if (!usable(plan, &h->addresses[j]))
				continue;
			plan->at_host = i;
			plan->at_address = j;
			plan->chosen = true;
			*ret_host = h->name;
			*ret_ip = h->addresses[j].ip;
			return MX_CONNECT;
		}
	}
	return MX_EXHAUSTED;
}

bool mx_plan_addresses(struct mx_plan *plan, const struct probe_ip *ips, size_t n, bool failed)
{
	if (!plan->resolving)
		return true;
	plan->resolving = false;
	plan->dns_failed = plan->dns_failed || failed;
	return set_addresses(plan, plan->at_host, ips, failed ? 0 : n);
}

struct mx_plan_address *mx_plan_at(struct mx_plan *plan)
{
	return &plan->hosts[plan->at_host].addresses[plan->at_address];
}

bool mx_plan_is_fallback(const struct mx_plan *plan)
{
	uint32_t best = UINT32_MAX;

	for (uint8_t i = 0; i < plan->host_n; i++)
		if (plan->hosts[i].preference < best)
			best = plan->hosts[i].preference;
	return plan->chosen && plan->hosts[plan->at_host].preference > best;
}

void mx_plan_failed(struct mx_plan *plan)
{
	if (plan->chosen)
		plan->hosts[plan->at_host].addresses[plan->at_address].failed = true;
}

void mx_plan_revive(struct mx_plan *plan)
{
	for (uint8_t i = 0; i < plan->host_n; i++)
		for (uint8_t j = 0; j < plan->hosts[i].address_n; j++)
			plan->hosts[i].addresses[j].failed = false;
}

Rollcall__Failure mx_plan_cause(const struct mx_plan *plan)
{
	if (plan->null_mx)
		return ROLLCALL__FAILURE__FAILURE_NULL_MX;
	if (plan->dns_failed)
		return ROLLCALL__FAILURE__FAILURE_DNS;
	/* Their mail servers may be sound: it is our lane, or our setting, that has no way there.
	 */
	if (plan->other_family || plan->withheld)
		return ROLLCALL__FAILURE__FAILURE_UNREACHABLE;
	return ROLLCALL__FAILURE__FAILURE_UNROUTABLE;
}
