/*
 * readiness - what this coordinator has and lacks, for /readyz: schema, database, broker, leader,
 * lanes granted.
 *
 * Thread-safe. Each thread says what it knows of its own piece; a piece may have several speakers
 * (the leader and the sink both use the broker), told apart by `who`: the piece is well when every
 * speaker says so.
 */
#ifndef COORDINATOR_READINESS_H
#define COORDINATOR_READINESS_H

#include <stdbool.h>
#include <stddef.h>

enum readiness_piece {
	READINESS_SCHEMA,
	READINESS_DATABASE,
	READINESS_BROKER,
	READINESS_LEADER,
	READINESS_LANES,
	READINESS_PIECES
};

enum { READINESS_SPEAKERS = 8, READINESS_TEXT_MAX = 512 };
enum readiness_speaker {
	READINESS_MAIN = 0,
	READINESS_PLANNER,
	READINESS_LEADER_THREAD,
	READINESS_SINK,
	READINESS_HTTP
};

struct readiness;

struct readiness *readiness_new(void);
/* Takes NULL. */
void readiness_free(struct readiness *r);
/* `lacks`: NULL: well; else one sentence of what is missing and what would help. */
void readiness_set(struct readiness *r, enum readiness_piece piece, enum readiness_speaker who,
		   const char *lacks);
/* A piece of which nobody has spoken yet is lacking ("starting"). */
bool readiness_piece_ok(struct readiness *r, enum readiness_piece piece,
			char ret_lacks[READINESS_TEXT_MAX]);
bool readiness_ok(struct readiness *r);
/* "schema", "database", "broker", "leader", "lanes". */
const char *readiness_piece_name(enum readiness_piece piece);

#endif
