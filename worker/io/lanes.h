/*
 * lanes - the sending identities of this worker: one outbound address, its HELO name and its MAIL
 * FROM each.
 *
 * Parsed once from ROLLCALL_LANES, proved by binding a socket to the address at start and before
 * each hello. While a lane is offered its abstract Unix socket is held, which the kernel frees at
 * our death: a successor on the same machine that gets it knows that we are gone. Owner: the loop's
 * thread. Errors name the setting and the piece that is wrong.
 */
#ifndef WORKER_IO_LANES_H
#define WORKER_IO_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/status.h"
#include "worker/fitness/fitness.h"

enum {
	LANES_MAX = 256,
	LANE_NAME_MAX = 64,
	LANE_ADDRESS_MAX = 46,
	LANE_HELO_MAX = 256,
	LANE_MAIL_FROM_MAX = 320,
	LANE_PROBLEM_MAX = 400
};

struct lane_fitness {
	enum fitness_result verdict; /* FITNESS_WAITS: no look has decided yet */
	bool overridden;	     /* ROLLCALL_UNSAFE_LANES */
	int64_t checked_at_ms;	     /* wall clock; 0: never */
	uint64_t look_at_ms;	     /* of rc_clock_boot_ms(): the next look */
	unsigned said;		     /* hellos that have carried what was found last */
	struct fitness_finding findings[FITNESS_CHECKS];
};

struct lane {
	char name[LANE_NAME_MAX];
	char public_address[LANE_ADDRESS_MAX];
	char bind_address[LANE_ADDRESS_MAX];
	char helo[LANE_HELO_MAX];
	char mail_from[LANE_MAIL_FROM_MAX];
	int family; /* 4 or 6 */
	struct sockaddr_storage source;
	socklen_t source_len;

	bool set_aside; /* ROLLCALL_LANES says of it what cannot be; `problem` says why */
	bool proved;
	char problem[LANE_PROBLEM_MAX]; /* why it is not; empty: nothing */
	int held;			/* the abstract socket; -1: not ours */

	/* What the doctor found, kept by whoever looks after the lanes. */
	struct lane_fitness fitness;

	/* The grant, kept by whoever keeps the leases. */
	uint64_t epoch;		/* 0: none */
	bool numbered;		/* it was granted before: `number` is its */
	uint32_t number;	/* partition of rollcall.shards */
	uint64_t lease_ends_ms; /* of rc_clock_boot_ms() */
	bool returned;
	char refused[160]; /* what the leader said; empty: nothing */
};

struct lanes {
	size_t n;
	struct lane *lane;
};

/*
 * `text`: "name=PUBLIC@BIND/HELO ...", or NULL: one lane called `local` on the default route's
 * address. `@BIND` where it differs from the public one, v6 in brackets, `/HELO` else the host
 * name. `mail_from` NULL: verify@HELO. Done by lanes_done().
 *
 * A lane that cannot be as it is written is set aside with its problem, and the others go on;
 * RC_INVALID with the first problem where none is left. Without a usable name of its own it is
 * called "".
 */
enum rc_status lanes_parse(const char *text, const char *mail_from, struct lanes *ret_lanes,
			   struct rc_error *err) RC_MUST_CHECK;
void lanes_done(struct lanes *lanes);

/* Binds once more and takes the abstract socket where it is free. True: something changed. */
bool lane_prove(struct lane *lane);
/* Whether it may probe, as far as this worker knows. */
bool lane_fit(const struct lane *lane);
/* Lets go of the abstract socket. */
void lane_release(struct lane *lane);
/* NULL: none; a lane that was set aside is not found. */
struct lane *lanes_find(struct lanes *lanes, const char *name);

#endif
