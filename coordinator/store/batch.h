/*
 * batch - rows on their way into one statement: each column an array parameter,
 * `unnest($1::bigint[], $2::text[] ...)`.
 *
 * Embedded: batch_init, batch_done. Values are added column by column, left to right; the row is
 * complete with its last one. Without memory the batch fails when it is flushed.
 */
#ifndef COORDINATOR_STORE_BATCH_H
#define COORDINATOR_STORE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/status.h"
#include "coordinator/store/db.h"

enum { BATCH_COLUMNS_MAX = 24, BATCH_MORE_MAX = 4 };

struct batch {
	int columns;
	int at;	     /* column of the next value */
	size_t rows; /* complete ones */
	struct rc_buf column[BATCH_COLUMNS_MAX];
};

void batch_init(struct batch *batch, int columns);
void batch_done(struct batch *batch);
void batch_clear(struct batch *batch);

void batch_int(struct batch *batch, int64_t value);
void batch_bool(struct batch *batch, bool value);
void batch_null(struct batch *batch);
void batch_text(struct batch *batch, const char *text);		      /* NULL: null; ends in NUL */
void batch_octets(struct batch *batch, const char *text, size_t len); /* text without a final NUL */
void batch_bytes(struct batch *batch, const void *data, size_t len);  /* bytea; data NULL: null */
void batch_when(struct batch *batch, int64_t wall_ms);		      /* timestamptz; 0: null */

/* Runs `sql` with the columns as $1 ... and `more` parameters behind them, and clears the batch.
 * Without rows it does nothing and *ret_result (may be NULL) is NULL. The text is kept
 * (db_query_kept). */
enum rc_status batch_flush(struct batch *batch, struct db *db, const char *sql,
			   const struct db_param *more, int more_count,
			   struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;

#endif
