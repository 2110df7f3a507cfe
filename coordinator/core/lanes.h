/*
 * lanes - who may send from which lane, and under which epoch: ARCHITECTURE.md, "Leases", as a
 * table of decisions.
 *
 * Pure: times come in as ms since 1970. The leader asks lanes_decide() for each lane of a hello,
 * writes what came out to PostgreSQL, and only then answers. Never grants a lane to two workers: a
 * holder stops 30 s after its last answered hello, and another gets it no sooner than 45 s after
 * the last grant, unless it was handed back or the kernel has freed its socket.
 */
#ifndef COORDINATOR_CORE_LANES_H
#define COORDINATOR_CORE_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LANES_LEASE_MS = 30000,	  /* what a worker may count on, from the hello answered */
	LANES_REGRANT_MS = 45000, /* after the last grant another worker may have it */
	LANES_WORKER_MAX = 256,
	LANES_NAME_MAX = 64,
	LANES_TEXT_MAX = 320,
	LANES_WHY_MAX = 1024
};

/* What stands in tables lane and lane_lease. */
struct lane_identity {
	char name[LANES_NAME_MAX];
	char public_address[64];
	char bind_address[64];
	char helo[LANES_TEXT_MAX];
	char mail_from[LANES_TEXT_MAX];
};

struct lane_lease {
	bool exists;
	char worker[LANES_WORKER_MAX];
	char machine[LANES_WORKER_MAX];
	uint64_t epoch;
	int64_t granted_at_ms; /* the last grant or renewal */
	bool returned;
	bool confirmed; /* the holder has worked under this epoch */
};

/* One lane of a hello. */
struct lane_offer {
	const char *worker;
	const char *machine;
	struct lane_identity identity;
	bool proved;
	bool socket_held;
	bool returned;
	uint64_t epoch;
	const char *problem;
	const char *unfit; /* why it may not probe, as its worker's doctor sees it; NULL: it may */
};

enum lane_decision {
	LANE_REFUSE = 1, /* `why` says it; the lease stays as it is */
	LANE_HAND_BACK,	 /* the holder gives it up: mark it returned */
	LANE_RENEW,	 /* same epoch, same offset */
	LANE_GRANT	 /* a new epoch: lease->epoch + 1 */
};

/* `registered`: the identity of its first hello, NULL where this is the first. */
enum lane_decision lanes_decide(const struct lane_identity *registered,
				const struct lane_lease *lease, const struct lane_offer *offer,
				int64_t now_ms, char ret_why[LANES_WHY_MAX]);

/* Whether its worker is still to be counted on: granted, not handed back, heard of within the
 * lease. */
bool lanes_held(const struct lane_lease *lease, int64_t now_ms);

#endif
