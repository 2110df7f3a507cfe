/* See batch.h. */
#include "coordinator/store/batch.h"

#include <assert.h>
#include <string.h>

void batch_init(struct batch *batch, int columns)
{
	assert(columns <= BATCH_COLUMNS_MAX);
	memset(batch, 0, sizeof(*batch));
	batch->columns = columns;
	for (int i = 0; i < columns; i++)
		rc_buf_init(&batch->column[i], 0);
}

void batch_done(struct batch *batch)
{
	for (int i = 0; i < batch->columns; i++)
		rc_buf_done(&batch->column[i]);
	batch->columns = 0;
}

void batch_clear(struct batch *batch)
{
	for (int i = 0; i < batch->columns; i++)
		rc_buf_clear(&batch->column[i]);
	batch->at = 0;
	batch->rows = 0;
}

static struct rc_buf *next(struct batch *batch)
{
	struct rc_buf *column = &batch->column[batch->at++];

	if (batch->at == batch->columns) {
		batch->at = 0;
		batch->rows++;
	}
	return column;
}

void batch_int(struct batch *batch, int64_t value)
{
	db_array_int(next(batch), value);
}

void batch_bool(struct batch *batch, bool value)
{
	db_array_text(next(batch), value ? "t" : "f", 1);
}

void batch_null(struct batch *batch)
{
	db_array_null(next(batch));
}

void batch_text(struct batch *batch, const char *text)
{
	batch_octets(batch, text, text ? strlen(text) : 0);
}

void batch_octets(struct batch *batch, const char *text, size_t len)
{
	db_array_text(next(batch), text, len);
}

void batch_bytes(struct batch *batch, const void *data, size_t len)
{
	if (data)
		db_array_bytes(next(batch), data, len);
	else
		db_array_null(next(batch));
}

void batch_when(struct batch *batch, int64_t wall_ms)
{
	struct db_param when = db_when(wall_ms);

	if (when.own)
		db_array_text(next(batch), when.text, (size_t)when.len);
	else
		db_array_null(next(batch));
}

enum rc_status batch_flush(struct batch *batch, struct db *db, const char *sql,
			   const struct db_param *more, int more_count,
			   struct db_result **ret_result, struct rc_error *err)
{
	struct db_param params[BATCH_COLUMNS_MAX + BATCH_MORE_MAX];
	enum rc_status status;
	bool whole = true;

	assert(more_count <= BATCH_MORE_MAX && batch->at == 0);
	if (ret_result)
		*ret_result = NULL;
	if (batch->rows == 0)
		return RC_OK;
	for (int i = 0; i < batch->columns; i++) {
		db_array_end(&batch->column[i]);
		whole = whole && !batch->column[i].failed;
		params[i] = db_buf(&batch->column[i]);
	}
	for (int i = 0; i < more_count; i++)
		params[batch->columns + i] = more[i];
	if (whole)
		status =
		    db_query_kept(db, sql, params, batch->columns + more_count, ret_result, err);
	else
		status = rc_error_set(err, RC_NO_MEMORY,
				      "no memory for %zu rows on their way to the database",
				      batch->rows);
	batch_clear(batch);
	return status;
}
