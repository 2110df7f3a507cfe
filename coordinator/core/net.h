/*
 * net - an address or a network of addresses, v4 or v6, from its text.
 *
 * Pure: no sockets. v4 is kept as v4-mapped v6, so that one comparison serves both.
 */
#ifndef COORDINATOR_CORE_NET_H
#define COORDINATOR_CORE_NET_H

#include <stdbool.h>
#include <stdint.h>

struct net {
	uint8_t octets[16];
	unsigned bits;
};

/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/32" (RFC 4291, 2.2). False: it is none. */
bool net_parse(const char *s, struct net *ret);
/* `address`: a single one. */
bool net_holds(const struct net *net, const struct net *address);

#endif
