/*
 * memory - what the simulated servers remember of their clients: greylists, throttles, and who
 * asked first for what.
 *
 * One for the process. No I/O; the time comes in, in ms of any steady clock. Entries are never
 * thrown away: a run is short.
 */
#ifndef MAILWORLD_MEMORY_H
#define MAILWORLD_MEMORY_H

#include "tests/mailworld/stats.h"
#include "tests/mailworld/world.h"

struct mw_memory {
	const struct mw_world *world;
	struct mw_stats *stats;
	struct mw_table greylist;  /* a: first seen, b: last let through */
	struct mw_table clients;   /* of postgrey and postscreen. a: passes, b: the last one */
	struct mw_table fickle;	   /* a: last asked, b: honest from now on */
	struct mw_table throttles; /* a: recipients, b: until when it is closed */
	struct mw_table
	    hasty;	     /* of greylisters that punish haste. a: the session that asked last */
	struct mw_table met; /* a: sessions */
	struct mw_table
	    askers; /* of greylisted recipients. a: IP, HELO and sender, b: host + 1; 0: passed */
};

/* Who asks. */
struct mw_client {
	uint32_t ip, host;
	uint64_t session;      /* which of the world's sessions this is */
	uint64_t helo, sender; /* hashes, word for word */
	uint64_t sender_key;   /* hash as postgrey folds it */
};

void mw_memory_init(struct mw_memory *memory, const struct mw_world *world, struct mw_stats *stats);
void mw_memory_done(struct mw_memory *memory);

/* Whether the greylister lets this recipient (a hash of domain and local part) through now. */
bool mw_memory_greylist(struct mw_memory *memory, enum mw_greylist kind,
			const struct mw_client *client, uint64_t recipient, uint64_t now_ms);
/* What that greylister says to whom it turns away. */
const char *mw_memory_words(enum mw_greylist kind);
/* A session of postscreen is over. */
void mw_memory_postscreen_over(struct mw_memory *memory, const struct mw_client *client,
			       uint64_t now_ms);
/* Counts a recipient; false: this source has had its share at this host for now. */
bool mw_memory_throttle(struct mw_memory *memory, const struct mw_client *client, uint64_t now_ms);
/* Counts a recipient; true: this source has had its clear answers at this host for now. */
bool mw_memory_starves(struct mw_memory *memory, const struct mw_client *client, uint64_t now_ms);
/* Whether this host says yes to whatever this source asks. */
bool mw_memory_fickle(struct mw_memory *memory, const struct mw_client *client, uint64_t now_ms);
/* Counts a session; returns which one of this client at this host it is, from 1. */
uint32_t mw_memory_ordinal(struct mw_memory *memory, const struct mw_client *client);

#endif
