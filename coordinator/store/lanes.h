/*
 * lanes - tables lane_offer, lane_move, lane_day and mx_group_pause, and what of lanes an operator
 * may change: store/lease.h keeps who holds them.
 */
#ifndef COORDINATOR_STORE_LANES_H
#define COORDINATOR_STORE_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct db;
struct db_result;

enum { LANES_FINDINGS_MAX = 16 };

/* What a hello says of a lane, and what it was answered. */
struct lanes_offer {
	const char *name, *worker;
	const char *refused; /* "": it was granted */
	int fitness;	     /* proto's LaneFitness */
	int64_t checked_at_ms;
	bool findings_told; /* else those of before stay */
	size_t n;
	const char *check[LANES_FINDINGS_MAX];
	const char *result[LANES_FINDINGS_MAX];
	const char *text[LANES_FINDINGS_MAX];
};

enum rc_status lanes_offered(struct db *db, const struct lanes_offer *offer,
			     struct rc_error *err) RC_MUST_CHECK;
/* Columns of lanes_read(). */
enum {
	LANES_NAME,
	LANES_NUMBER, /* null: never registered */
	LANES_PUBLIC,
	LANES_BIND,
	LANES_HELO,
	LANES_MAIL_FROM,
	LANES_GRANTED,
	LANES_WORKER,
	LANES_EPOCH,
	LANES_LAST_SEEN,
	LANES_FIRST_SEEN,
	LANES_DRAINING, /* since; null: not */
	LANES_DAY,	/* from 0, since it was first seen */
	LANES_SENT,	/* recipients on that day, where it warms up */
	LANES_OFFERS,	/* JSON: worker, refused, since, fresh, fitness, checked_at, findings */
	LANES_HOLDS	/* JSON: mx_group, health, since, until, reason, strikes */
};

/* All lanes, those that were only offered too, by name; `name` NULL: all. */
enum rc_status lanes_read(struct db *db, const char *name, struct db_result **ret_result,
			  struct rc_error *err) RC_MUST_CHECK;
/* One row of JSON: mx_group, since, until, lanes, reason. */
enum rc_status lanes_pauses(struct db *db, struct db_result **ret_result,
			    struct rc_error *err) RC_MUST_CHECK;
/* One row of JSON: the last moves to and from a lane. Of jobs that are not the tenant's (or not of
 * its `client`, unless NULL or "") job, domain and MX group are null. */
enum rc_status lanes_moves(struct db *db, const char *name, int tenant, const char *client,
			   struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;
enum rc_status lanes_drain(struct db *db, const char *name, bool draining, bool *ret_found,
			   struct rc_error *err) RC_MUST_CHECK;
/* Offers that nobody has made for an hour. */
enum rc_status lanes_forget_offers(struct db *db, struct rc_error *err) RC_MUST_CHECK;

#endif
