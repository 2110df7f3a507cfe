/*
 * regrade - results with what they rest on, a page at a time, and their new verdicts.
 *
 * `set` is the job's set of tables ("" or "_17").
 */
#ifndef COORDINATOR_STORE_REGRADE_H
#define COORDINATOR_STORE_REGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/status.h"

struct db;
struct db_result;

enum { REGRADE_PAGE = 2000, REGRADE_COUNTER = -3 };

/* Locks the job against another regrade and against its deletion, until the transaction ends.
 * RC_NOT_FOUND: it is gone. */
enum rc_status regrade_lock(struct db *db, int64_t job, struct rc_error *err) RC_MUST_CHECK;

/* Results by uid behind `after`, REGRADE_PAGE of them. */
enum {
	REGRADE_UID,
	REGRADE_REASON,
	REGRADE_FLAG_BITS,
	REGRADE_SCORE_NOW,
	REGRADE_PROVIDER,
	REGRADE_SHARD,
	REGRADE_SENDING,
	REGRADE_PART,
	REGRADE_EVIDENCE_UID,
	REGRADE_BASIS,
	REGRADE_RULES,
	REGRADE_LOCAL,
	REGRADE_DOMAIN,
	REGRADE_DOMAIN_PROVIDER,
	REGRADE_RESOLUTION
};
enum rc_status regrade_page(struct db *db, const char *set, int64_t job, int64_t after,
			    struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;

/* Reports by (shard, sending, part): those, and the body; in that order. */
enum rc_status regrade_reports(struct db *db, const struct rc_buf *shards,
			       const struct rc_buf *sendings, const struct rc_buf *parts,
			       struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;

struct regrade_write {
	int64_t uid;
	int old_reason, reason;
	unsigned flags;
	int score; /* -1: none */
	const char *rule, *provider;
	bool changed; /* reason, flags or score */
};

/* Within the caller's transaction: results, counts, and the history of addresses. */
enum rc_status regrade_write(struct db *db, const char *set, int64_t job, uint64_t rules,
			     const struct regrade_write *rows, size_t n,
			     struct rc_error *err) RC_MUST_CHECK;

/* The first input row of a uid; 0: none. */
enum rc_status regrade_row_of(struct db *db, const char *set, int64_t job, int64_t uid,
			      int64_t *ret_row, struct rc_error *err) RC_MUST_CHECK;

#endif
