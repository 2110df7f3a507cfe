/*
 * stats - what mailworld counted.
 *
 * One for the process, written by the one thread. mw_stats_json() makes the whole of it as text.
 */
#ifndef MAILWORLD_STATS_H
#define MAILWORLD_STATS_H

#include "tests/mailworld/hash.h"

#include <stdint.h>

struct mw_world;

enum { MW_HISTOGRAM = 102 }; /* sessions with 0 to 100 recipients, and with more */

struct mw_stats {
	uint64_t sessions, sessions_open, sessions_open_most, sessions_quit;
	uint64_t mail, rcpt, data, bdat, vrfy, unknown_commands;
	uint64_t accepted, refused, temporary;
	uint64_t greylisted, greylist_passed, retries, foreign_retries, other_mx_retries;
	uint64_t greylist_early, greylist_restarts;
	uint64_t throttled, too_early, cut_by_421, slowed_replies, relay_denied;
	uint64_t hostile, starved, too_many, pipelining_lies, trapped;
	uint64_t starttls, tls_sessions, plain_after_starttls;
	uint64_t dns_udp, dns_tcp, dns_malformed, dns_servfail, dns_nxdomain, dns_refused;
	uint64_t by_recipients[MW_HISTOGRAM];
	uint32_t *by_host, *open_by_host; /* sessions, by host index */
	struct mw_table asked_dns;	  /* of zones that fail at first; a: how often */
	struct mw_table by_source;	  /* key: address + 1; a: sessions, b: recipients */
	uint64_t started_us;
};

void mw_stats_init(struct mw_stats *stats, const struct mw_world *world);
void mw_stats_done(struct mw_stats *stats);
/* One line of JSON, to be freed by the caller. Aborts when memory runs out. */
char *mw_stats_json(const struct mw_stats *stats, const struct mw_world *world);

#endif
