/*
 * items - the rows of a job as decisions need them: their local parts, and what is known of them so
 * far.
 */
#ifndef COORDINATOR_STORE_ITEMS_H
#define COORDINATOR_STORE_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct db;
struct db_result;

enum { ITEMS_PAGE = 5000 };

/*
 * Rows of a job from `first_uid` to `last_uid` that have no result, in order of uid, at most
 * ITEMS_PAGE; with `undeferred` only those between no two attempts either. Columns of the result:
 * uid, local, domain_no, deferred reason (null: not deferred), attempts that opened a connection,
 * code, enhanced, mx host, lane, evidence shard, part and sending, what it rests on.
 */
enum rc_status items_open(struct db *db, const char *table_set, int64_t job, int64_t first_uid,
			  int64_t last_uid, bool undeferred, struct db_result **ret_result,
			  struct rc_error *err) RC_MUST_CHECK;
/*
 * The first row without a result of each range from lo[i] up to before hi[i]; ranges in which every
 * row has one are left out. *ret_count of them, at most `n`.
 */
enum rc_status items_sample(struct db *db, const char *table_set, int64_t job, const int64_t *lo,
			    const int64_t *hi, size_t n, int64_t *ret_uids, size_t *ret_count,
			    struct rc_error *err) RC_MUST_CHECK;
enum {
	ITEM_UID,
	ITEM_LOCAL,
	ITEM_DOMAIN_NO,
	ITEM_REASON,
	ITEM_TRIES,
	ITEM_CODE,
	ITEM_ENHANCED,
	ITEM_MX,
	ITEM_LANE,
	ITEM_SHARD,
	ITEM_PART,
	ITEM_SENDING,
	ITEM_BASIS
};

#endif
