#include "worker/core/resolution.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/base/arena.h"
#include "worker/core/ip.h"

/* State and detail; from here on it is done. Ticket 0 is the MX question; host i has tickets 1 + 2i for A and 2 + 2i for AAAA. */
static void finish(struct resolution *resolution, Rollcall__ResolutionState state, const char *detail)
{
	resolution->state = state;
	resolution->detail = detail;
}

static void add_host(struct resolution *resolution, uint16_t preference, const char *name)
{
	struct resolution_host *host = &resolution->host[resolution->host_n++];

	memset(host, 0, offsetof(struct resolution_host, ip));
	host->preference = preference;
	host->askable = dns_name_valid(name) && !dns_name_is_address(name);
	memcpy(host->name, name, strlen(name) + 1);
}

void resolution_start(struct resolution *resolution, const char *domain, resolution_allows *allows,
		      const void *context)
{
	memset(resolution, 0, offsetof(struct resolution, host));
	resolution->allows = allows;
	resolution->context = context;
	resolution->ttl_s = RESOLUTION_TTL_MAX_S;
	if (!dns_name_valid(domain)) {
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_DOMAIN,
		       "not a domain name");
		resolution->ttl_s = RESOLUTION_TTL_MIN_S;
	} else {
		memcpy(resolution->domain, domain, strlen(domain) + 1);
	}
}

bool resolution_ask(struct resolution *resolution, const char **ret_name, enum dns_type *ret_type,
		    unsigned *ret_ticket)
{
	if (resolution->state != ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNSET)
		return false;
	if (resolution->asked == 0) {
		*ret_name = resolution->domain;
		*ret_type = DNS_MX;
		*ret_ticket = resolution->asked++;
		return true;
	}
	if (!resolution->mx_answered)
		return false;
	while (resolution->asked < 1 + 2 * resolution->host_n) {
		const unsigned ticket = resolution->asked++;
		const struct resolution_host *host = &resolution->host[(ticket - 1) / 2];

		if (!host->askable) {
			resolution->answered++;
			continue;
		}
		*ret_name = host->name;
		*ret_type = (ticket - 1) % 2 == 0 ? DNS_A : DNS_AAAA;
		*ret_ticket = ticket;
		return true;
	}
	return false;
}

static void lessen_ttl(struct resolution *resolution, uint32_t ttl_s)
{
	if (ttl_s < resolution->ttl_s)
		resolution->ttl_s = ttl_s;
}

static int compare_mx(const void *left, const void *right)
{
	const struct dns_mx *a = left;
	const struct dns_mx *b = right;

	if (a->preference != b->preference)
		return a->preference < b->preference ? -1 : 1;
	return strcmp(a->host, b->host);
}

static void take_mx(struct resolution *resolution, const struct dns_answer *answer)
{
	struct dns_mx mx[DNS_MX_MAX];

	resolution->mx_answered = true;
	switch (answer->state) {
	case DNS_FOUND:
		break;
	case DNS_NO_NAME:
		lessen_ttl(resolution, answer->ttl_s);
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_DOMAIN, "NXDOMAIN");
		return;
	case DNS_NO_DATA:
		lessen_ttl(resolution, answer->ttl_s);
		resolution->implicit = true;
		add_host(resolution, 0, resolution->domain);
		return;
	case DNS_SERVFAIL:
	case DNS_REFUSED:
	case DNS_TIMEOUT:
	case DNS_BROKEN:
		resolution->ttl_s = 0;
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED,
		       dns_state_text(answer->state));
		return;
	}
	lessen_ttl(resolution, answer->ttl_s);
	/* RFC 7505, 3: a null MX stands alone. */
	if (answer->mx_n == 1 && answer->mx[0].host[0] == '\0') {
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_NULL_MX, "");
		return;
	}
	memcpy(mx, answer->mx, answer->mx_n * sizeof(mx[0]));
	qsort(mx, answer->mx_n, sizeof(mx[0]), compare_mx);
	for (size_t i = 0; i < answer->mx_n && resolution->host_n < RESOLUTION_HOSTS_MAX; i++) {
		const struct resolution_host *last =
			resolution->host_n > 0 ? &resolution->host[resolution->host_n - 1] : NULL;

		if (mx[i].host[0] == '\0')
			continue;
		if (last != NULL && strcmp(last->name, mx[i].host) == 0)
			continue;
		add_host(resolution, mx[i].preference, mx[i].host);
	}
	if (resolution->host_n == 0)
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_NULL_MX, "");
}

static void take_addresses(struct resolution *resolution, struct resolution_host *host,
			   const struct dns_answer *answer)
{
	if (answer->state == DNS_FOUND)
		lessen_ttl(resolution, answer->ttl_s);
	else if (answer->state != DNS_NO_DATA && answer->state != DNS_NO_NAME)
		host->failed = answer->state;
	/* Every host gets its share of the cap, so that one with many addresses leaves room. */
	const size_t share = RESOLUTION_ADDRESSES_MAX / resolution->host_n;

	for (size_t i = 0; i < answer->ip_n; i++) {
		const struct probe_ip *ip = &answer->ip[i];

		/* A public one that a setting keeps from us is an address of theirs all the same. */
		if (resolution->allows != NULL && !resolution->allows(resolution->context, ip) &&
		    !rc_target_public(ip->family, ip->octets, NULL)) {
			host->forbidden_n++;
			continue;
		}
		if (host->ip_n < share)
			host->ip[host->ip_n++] = *ip;
	}
}

static void conclude(struct resolution *resolution)
{
	size_t routable = 0;
	size_t forbidden = 0;
	enum dns_state failed = 0;

	for (size_t i = 0; i < resolution->host_n; i++) {
		const struct resolution_host *host = &resolution->host[i];

		routable += host->ip_n;
		forbidden += host->forbidden_n;
		if (host->failed != 0)
			failed = host->failed;
	}
	if (routable > 0) {
		finish(resolution,
		       resolution->implicit ? ROLLCALL__RESOLUTION_STATE__RESOLUTION_IMPLICIT :
						    ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX,
		       "");
	} else if (failed != 0) {
		resolution->ttl_s = 0;
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED,
		       dns_state_text(failed));
	} else if (resolution->implicit && forbidden == 0) {
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_SERVER,
		       "no MX and no address");
	} else {
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNROUTABLE,
		       forbidden > 0 ? "only addresses that are not to be connected to" :
					     "no MX host has an address");
	}
}

void resolution_answer(struct resolution *resolution, unsigned ticket, const struct dns_answer *answer)
{
	if (resolution->state != ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNSET)
		return;
	resolution->answered++;
	if (ticket == 0)
		take_mx(resolution, answer);
	else if (ticket <= 2 * resolution->host_n)
		take_addresses(resolution, &resolution->host[(ticket - 1) / 2], answer);
	if (resolution->state != ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNSET)
		return;

	/* Hosts at the end that cannot be asked for count as answered without anybody asking. */
	while (resolution->asked < 1 + 2 * resolution->host_n &&
	       !resolution->host[(resolution->asked - 1) / 2].askable) {
		resolution->asked++;
		resolution->answered++;
	}
	if (resolution->answered == 1 + 2 * resolution->host_n)
		conclude(resolution);
}

void resolution_give_up(struct resolution *resolution)
{
	if (resolution->state != ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNSET)
		return;
	for (size_t i = 0; i < resolution->host_n; i++)
		resolution->host[i].failed = DNS_TIMEOUT;
	if (resolution->host_n > 0) {
		conclude(resolution);
	} else {
		resolution->ttl_s = 0;
		finish(resolution, ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED, "timeout");
	}
}

bool resolution_done(const struct resolution *resolution)
{
	return resolution->state != ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNSET;
}

static Rollcall__MxHost *make_host(const struct resolution_host *host, struct rc_arena *arena)
{
	Rollcall__MxHost *mx = rc_arena_alloc(arena, sizeof(*mx));

	if (mx == NULL)
		return NULL;
	rollcall__mx_host__init(mx);
	mx->preference = host->preference;
	mx->host = rc_arena_strdup(arena, host->name);
	if (mx->host == NULL)
		return NULL;
	if (host->ip_n == 0)
		return mx;
	mx->addresses = rc_arena_alloc(arena, host->ip_n * sizeof(mx->addresses[0]));
	if (mx->addresses == NULL)
		return NULL;
	for (size_t i = 0; i < host->ip_n; i++) {
		char text[IP_TEXT_MAX];

		mx->addresses[i] = rc_arena_strdup(arena, ip_format(&host->ip[i], text));
		if (mx->addresses[i] == NULL)
			return NULL;
		mx->n_addresses++;
	}
	return mx;
}

Rollcall__Resolution *resolution_result(const struct resolution *resolution, struct rc_arena *arena,
					int64_t wall_ms)
{
	Rollcall__Resolution *result = rc_arena_alloc(arena, sizeof(*result));

	if (result == NULL)
		return NULL;
	rollcall__resolution__init(result);
	result->state = resolution->state;
	result->at_ms = wall_ms;
	result->ttl_s = resolution->ttl_s < RESOLUTION_TTL_MIN_S ? RESOLUTION_TTL_MIN_S :
								   resolution->ttl_s;
	result->domain = rc_arena_strdup(arena, resolution->domain);
	result->detail = rc_arena_strdup(arena, resolution->detail);
	if (result->domain == NULL || result->detail == NULL)
		return NULL;
	if (resolution->host_n == 0 ||
	    resolution->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_SERVER)
		return result;
	result->mx = rc_arena_alloc(arena, resolution->host_n * sizeof(result->mx[0]));
	if (result->mx == NULL)
		return NULL;
	for (size_t i = 0; i < resolution->host_n; i++) {
		result->mx[i] = make_host(&resolution->host[i], arena);
		if (result->mx[i] == NULL)
			return NULL;
		result->n_mx++;
	}
	return result;
}
