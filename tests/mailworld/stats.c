/* See stats.h. */
#include "tests/mailworld/stats.h"

#include "common/base/clock.h"
#include "tests/mailworld/world.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define COUNTER(name)                                                                              \
	{                                                                                          \
#name, offsetof(struct mw_stats, name)                                             \
	}

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
	COUNTER(data),
	COUNTER(bdat),
	COUNTER(vrfy),
	COUNTER(foreign_retries),
	COUNTER(other_mx_retries),
	COUNTER(sessions),
	COUNTER(sessions_open),
	COUNTER(sessions_open_most),
	COUNTER(sessions_quit),
	COUNTER(mail),
	COUNTER(rcpt),
	COUNTER(accepted),
	COUNTER(refused),
	COUNTER(temporary),
	COUNTER(greylisted),
	COUNTER(greylist_passed),
	COUNTER(retries),
	COUNTER(greylist_early),
	COUNTER(greylist_restarts),
	COUNTER(throttled),
	COUNTER(too_early),
	COUNTER(cut_by_421),
	COUNTER(slowed_replies),
	COUNTER(relay_denied),
	COUNTER(trapped),
	COUNTER(hostile),
	COUNTER(starved),
	COUNTER(too_many),
	COUNTER(pipelining_lies),
	COUNTER(starttls),
	COUNTER(tls_sessions),
	COUNTER(plain_after_starttls),
	COUNTER(unknown_commands),
	COUNTER(dns_udp),
	COUNTER(dns_tcp),
	COUNTER(dns_malformed),
	COUNTER(dns_servfail),
	COUNTER(dns_nxdomain),
	COUNTER(dns_refused),
};

void mw_stats_init(struct mw_stats *stats, const struct mw_world *world)
{
	*stats = (struct mw_stats){ .started_us = rc_clock_mono_us() };
	stats->by_host = mw_alloc(world->host_count, sizeof(*stats->by_host));
	stats->open_by_host = mw_alloc(world->host_count, sizeof(*stats->open_by_host));
}

void mw_stats_done(struct mw_stats *stats)
{
	free(stats->by_host);
	free(stats->open_by_host);
	mw_table_done(&stats->by_source);
	mw_table_done(&stats->asked_dns);
}

static const char *ip_text(uint32_t ip, char ret_text[16])
{
	snprintf(ret_text, 16, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
	return ret_text;
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

char *mw_stats_json(const struct mw_stats *stats, const struct mw_world *world)
{
	json_t *root = json_object(), *histogram = json_object(), *hosts = json_object(),
	       *sources = json_object();
	struct rusage usage = { 0 };
	char text[32], *out;

	getrusage(RUSAGE_SELF, &usage);
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++) {
		const uint64_t *value = (const void *)((const char *)stats + counters[i].offset);

		json_object_set_new(root, counters[i].name, json_integer((json_int_t)*value));
	}
	json_object_set_new(root, "cpu_user_s", json_real(seconds(usage.ru_utime)));
	json_object_set_new(root, "cpu_system_s", json_real(seconds(usage.ru_stime)));
	json_object_set_new(root, "wall_s",
			    json_real((double)(rc_clock_mono_us() - stats->started_us) / 1e6));
	json_object_set_new(root, "max_rss_kb", json_integer(usage.ru_maxrss));
	for (int i = 0; i < MW_HISTOGRAM; i++) {
		if (!stats->by_recipients[i])
			continue;
		snprintf(text, sizeof(text), i == MW_HISTOGRAM - 1 ? "more" : "%d", i);
		json_object_set_new(histogram, text,
				    json_integer((json_int_t)stats->by_recipients[i]));
	}
	json_object_set_new(root, "sessions_by_recipients", histogram);
	for (size_t i = 0; i < stats->by_source.room; i++) {
		const struct mw_entry *entry = &stats->by_source.entries[i];

		if (entry->key)
			json_object_set_new(sources, ip_text((uint32_t)(entry->key - 1), text),
					    json_pack("{s:I,s:I}", "sessions", (json_int_t)entry->a,
						      "recipients", (json_int_t)entry->b));
	}
	json_object_set_new(root, "by_source", sources);
	for (size_t i = 0; i < world->host_count; i++)
		if (stats->by_host[i])
			json_object_set_new(hosts, ip_text(world->hosts[i].ip, text),
					    json_integer((json_int_t)stats->by_host[i]));
	json_object_set_new(root, "sessions_by_mx", hosts);
	out = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!out)
		abort();
	return out;
}
