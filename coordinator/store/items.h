/*
 * items - the rows of a job as decisions need them: their local parts, and what is known of them so
 * far.
 */
#ifndef COORDINATOR_STORE_ITEMS_H
#define COORDINATOR_STORE_ITEMS_H

#include <stdbool.h>
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
