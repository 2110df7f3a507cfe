/*
 * migrate - brings the database's schema to what this program knows: the numbered files of
 * migrations/, compiled in.
 *
 * Under an advisory lock, so that several coordinators may start at once; each step in a
 * transaction of its own. A database that is already newer is refused: RC_CONFLICT, with both
 * versions named.
 */
#ifndef COORDINATOR_STORE_MIGRATE_H
#define COORDINATOR_STORE_MIGRATE_H

#include "common/base/status.h"

struct db;

struct migration {
	int version; /* rising; 0 ends the list */
	const char *name;
	const char *sql;
};

/* Made of migrations/ at build time. */
extern const struct migration migrations[];

/* *ret_applied (may be NULL): steps that were made now. */
enum rc_status migrate_up(struct db *db, int *ret_applied, struct rc_error *err) RC_MUST_CHECK;
/* The newest version that this program knows. */
int migrate_known(void);
/* RC_OK where the schema is just what this program knows; else one sentence. */
enum rc_status migrate_check(struct db *db, struct rc_error *err) RC_MUST_CHECK;

#endif
