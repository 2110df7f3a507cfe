/*
 * dns - the simulated world's name server: a query in, an answer out (RFC 1035, 2308, 6891).
 *
 * No I/O. Authoritative for .test and for the domains and hosts of the world; other names are
 * REFUSED.
 */
#ifndef MAILWORLD_DNS_H
#define MAILWORLD_DNS_H

#include "tests/mailworld/stats.h"
#include "tests/mailworld/world.h"

enum { MW_DNS_UDP_MAX = 1232, MW_DNS_TCP_MAX = 16384 };

/*
 * Writes the answer to `query` into `answer`, which has room for `room` octets (at least 512), and
 * returns its length; 0: not worth an answer. `udp`: an answer over 512 octets, or over what the
 * query's OPT allows, is truncated. `*ret_late`: it is to leave MW_DNS_LATE_MS later.
 */
size_t mw_dns_answer(const struct mw_world *world, struct mw_stats *stats, const uint8_t *query,
		     size_t len, bool udp, uint8_t *answer, size_t room, bool *ret_late);

#endif
