/* See plan.h. */
#include "coordinator/core/plan.h"

#include <stdio.h>
#include <string.h>

#include "common/address/domain.h"

/* FNV-1a with a finaliser: lanes must only differ well, nobody gains by a collision but a queue. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
	uint64_t hash = 14695981039346656037u ^ seed;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 1099511628211u;
	return mix(hash);
}

/* The n-th most preferred host; equal preferences by name, so that the order of a DNS answer does
 * not matter. */
static const Rollcall__MxHost *best_host(const Rollcall__Resolution *r,
					 const Rollcall__MxHost *after)
{
	const Rollcall__MxHost *best = NULL;

	for (size_t i = 0; i < r->n_mx; i++) {
		const Rollcall__MxHost *host = r->mx[i];

		if (after && (host->preference < after->preference ||
			      (host->preference == after->preference &&
			       strcmp(host->host, after->host) <= 0)))
			continue;
		if (!best || host->preference < best->preference ||
		    (host->preference == best->preference && strcmp(host->host, best->host) < 0))
			best = host;
	}
	return best;
}

const struct rc_provider *plan_provider(const struct rc_providers *providers, const char *domain,
					const Rollcall__Resolution *resolution)
{
	for (const Rollcall__MxHost *host = best_host(resolution, NULL); host;
	     host = best_host(resolution, host)) {
		const struct rc_provider *provider =
		    rc_providers_match(providers, host->host, domain);

		if (provider)
			return provider;
	}
	return NULL;
}

void plan_mx_group(const struct rc_provider *provider, const Rollcall__Resolution *resolution,
		   char ret_group[PLAN_GROUP_MAX])
{
	const Rollcall__MxHost *host = best_host(resolution, NULL);
	const char *lowest = NULL;

	if (provider) {
		snprintf(ret_group, PLAN_GROUP_MAX, "%s", provider->name);
		return;
	}
	if (resolution->state == ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX && host && *host->host) {
		snprintf(ret_group, PLAN_GROUP_MAX, "%s", rc_domain_registrable(host->host));
		return;
	}
	for (size_t i = 0; i < resolution->n_mx; i++)
		for (size_t j = 0; j < resolution->mx[i]->n_addresses; j++)
			if (!lowest || strcmp(resolution->mx[i]->addresses[j], lowest) < 0)
				lowest = resolution->mx[i]->addresses[j];
	if (lowest)
		snprintf(ret_group, PLAN_GROUP_MAX, "ip:%s", lowest);
	else
		snprintf(ret_group, PLAN_GROUP_MAX, "%s",
			 resolution->domain && *resolution->domain ? resolution->domain : "-");
}

unsigned plan_family(const char *address)
{
	return strchr(address, ':') ? PLAN_V6 : PLAN_V4;
}

unsigned plan_families(const Rollcall__Resolution *resolution)
{
	unsigned families = 0;

	for (const Rollcall__MxHost *host = best_host(resolution, NULL); host && !families;
	     host = best_host(resolution, host))
		for (size_t i = 0; i < host->n_addresses; i++)
			families |= plan_family(host->addresses[i]);
	return families;
}

uint32_t plan_lane(const char *group, uint32_t slot, const uint32_t *lanes, size_t n)
{
	uint64_t group_hash = hash_text(group, 0), bound = UINT64_MAX;
	uint32_t best = lanes[0];

	/* The slot-th best weight: lanes in falling order of weight are the group's slots. */
	for (uint32_t round = 0; round <= slot % (uint32_t)n; round++) {
		uint64_t best_weight = 0;

		for (size_t i = 0; i < n; i++) {
			uint64_t weight = mix(group_hash ^ mix((uint64_t)lanes[i] + 1)) | 1;

			if (weight < bound && weight > best_weight) {
				best_weight = weight;
				best = lanes[i];
			}
		}
		bound = best_weight;
	}
	return best;
}

uint32_t plan_slot(const char *domain, uint64_t first_uid, uint32_t slots)
{
	return slots <= 1 ? 0
			  : (uint32_t)((hash_text(domain, 1) + first_uid / PLAN_SHARD_MAX) % slots);
}

uint32_t plan_sample_count(uint32_t n, uint32_t per_mille)
{
	uint64_t count = ((uint64_t)n * per_mille + 999) / 1000;

	return count < 1 ? 1 : count > n ? n : (uint32_t)count;
}

uint64_t plan_sample_uid(uint64_t first_uid, uint32_t n, uint32_t count, uint32_t i)
{
	return first_uid + (uint64_t)i * n / count;
}
