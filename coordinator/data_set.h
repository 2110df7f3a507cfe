/*
 * data_set - rules, providers, scores and lists of data/, read together and used together, and the
 * shelf from which every thread takes the newest.
 *
 * A set is read only. Whoever takes one keeps it until he gives it back: SIGHUP puts a new set on
 * the shelf, and the old one goes when its last user has given it back. The shelf is thread-safe;
 * its owner is main, which outlives the threads.
 */
#ifndef COORDINATOR_DATA_SET_H
#define COORDINATOR_DATA_SET_H

#include <stdbool.h>

#include "common/base/status.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "coordinator/core/lists.h"
#include "coordinator/core/scores.h"
#include "coordinator/core/traps.h"

struct data_set {
	struct rc_rules *rules;
	struct rc_providers *providers;
	struct scores *scores;
	struct lists *lists;
	struct traps *traps;
	unsigned long serial; /* another set, another number; the shelf gives it */
	unsigned users;	      /* private: the shelf's lock guards it */
};

/* Reads the folder; `traps`: the file of spam traps, NULL where it is in there too. On failure
 * *ret_set is untouched and `err` names file, line and reason. */
enum rc_status data_set_load(const char *dir, const char *traps, struct data_set **ret_set,
			     struct rc_error *err) RC_MUST_CHECK;

struct shelf;

/* Takes the set over. NULL when out of memory (the set stays the caller's). */
struct shelf *shelf_new(struct data_set *set);
/* Nobody uses it any more. Takes NULL. */
void shelf_free(struct shelf *shelf);
/* Takes the set over: it is what shelf_take() gives from now on. */
void shelf_put(struct shelf *shelf, struct data_set *set);
const struct data_set *shelf_take(struct shelf *shelf);
/* Takes NULL. */
void shelf_give_back(struct shelf *shelf, const struct data_set *set);
/* Whether `set` is what shelf_take() would give. */
bool shelf_is_newest(struct shelf *shelf, const struct data_set *set);

#endif
