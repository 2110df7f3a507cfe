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
/* Offers that nobody has made for an hour. */
enum rc_status lanes_forget_offers(struct db *db, struct rc_error *err) RC_MUST_CHECK;

#endif
