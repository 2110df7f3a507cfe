/*
 * accuracy - the counts that scores are held against: outcomes by bucket and score, and decided
 * random controls.
 *
 * Results are read by column number and freed with db_result_free().
 */
#ifndef ROLLCALL_COORDINATOR_STORE_ACCURACY_H
#define ROLLCALL_COORDINATOR_STORE_ACCURACY_H

#include "common/base/status.h"

struct db;
struct db_result;

/* A tenant's outcomes, by reason, provider, evidence and what the row had been given. */
enum {
	ACCURACY_REASON,
	ACCURACY_PROVIDER,
	ACCURACY_EVIDENCE,
	ACCURACY_MEASURED,
	ACCURACY_SCORE,
	ACCURACY_DELIVERED,
	ACCURACY_BOUNCED
};
enum rc_status accuracy_outcomes(struct db *db, int tenant, struct db_result **ret_result,
				 struct rc_error *err) RC_MUST_CHECK;

/* Controls of the whole fleet, by provider and its honesty (enum rc_honesty). */
enum { ACCURACY_WHO, ACCURACY_HONESTY, ACCURACY_ACCEPTED, ACCURACY_REFUSED };
enum rc_status accuracy_controls(struct db *db, struct db_result **ret_result,
				 struct rc_error *err) RC_MUST_CHECK;

#endif
