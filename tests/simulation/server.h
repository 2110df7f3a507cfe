/*
 * server - the mail servers of the simulation: one for every few domains, each with a way to make
 * strangers wait.
 *
 * No sockets and no clock: the fleet hands over what it sends, with the time, and gets what the
 * server says. What a server remembers of its clients (network, HELO, sender, recipient, as the
 * programs do: docs/mail-servers.md) lives as long as the simulation. One owner, one thread; ends
 * the program where memory runs out.
 */
#ifndef SIMULATION_SERVER_H
#define SIMULATION_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct servers;

/* One kind of server. Times in seconds; 0: no such limit. */
struct server_kind {
	const char *name;
	unsigned share;	      /* of 100 domains */
	uint32_t min_s;	      /* nobody passes sooner after the first attempt */
	uint32_t max_s;	      /* later than that it is a first attempt again */
	uint32_t keep_s;      /* who passed is known for so long */
	unsigned prefix;      /* of the IPv4 address in the key, in bits */
	bool helo, recipient; /* stand in the key; the sender always does */
	bool knows_first;     /* unknown users are refused before the greylist speaks */
	const char *says;     /* to who must wait; %u: the seconds left */
	const char *mx; /* suffix of the host name, for the provider's profile; NULL: its own */
	enum { KEEPS_BOOKS, WANTS_RECONNECT, IS_DOWN, UNVERIFIED, IS_BUSY } way;
};

extern const struct server_kind server_kinds[];
extern const size_t server_kind_count;

struct servers *servers_new(uint64_t seed);
void servers_free(struct servers *servers);
/* Some domains share one mail server, its kind and its books: the number of the operator. */
enum { SERVERS_DOMAINS = 8 };
static inline uint32_t servers_operator(uint32_t domain)
{
	return domain / SERVERS_DOMAINS;
}
/* Which kind stands behind domain number `domain`. */
const struct server_kind *servers_kind(const struct servers *servers, uint32_t domain);
/* Writes the name of the `n`-th mailbox of a domain; returns its length. */
size_t servers_mailbox(const struct servers *servers, uint32_t domain, uint32_t n, char *ret,
		       size_t size);
bool servers_mailbox_exists(const struct servers *servers, uint32_t domain, uint32_t n);

/* One conversation. All zero is a closed one. */
struct conversation {
	struct servers *servers;
	const struct server_kind *kind;
	uint32_t domain, mailboxes;
	uint32_t client; /* IPv4 address, host order */
	uint64_t opened_ms, now_ms;
	uint64_t sender, helo; /* hashes */
	bool let_in;	       /* postscreen has seen this client before */
	char out[65536];
	size_t out_len;
	bool over;
};

/* A client connects. False: the connection is refused. The greeting stands in `out`. */
bool conversation_open(struct conversation *c, struct servers *servers, uint32_t domain,
		       uint32_t mailboxes, uint32_t client, uint64_t now_ms);
/* Complete lines from the client; the replies replace what stands in `out`. */
void conversation_hear(struct conversation *c, const char *data, size_t len, uint64_t now_ms);

/* What the servers have counted, for each kind. */
struct server_counts {
	uint64_t sessions, asked, deferred, early, foreign, data;
};
const struct server_counts *servers_counts(const struct servers *servers, size_t kind);

#endif
