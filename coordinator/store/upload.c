#include "coordinator/store/upload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/base/buf.h"
#include "common/base/random.h"
#include "coordinator/store/db.h"

enum { ZSTD_LEVEL = 1, PUBLIC_ID_RANDOM = 20 };

struct upload {
	struct db *db;
	int64_t job;
	char public_id[JOB_ID_MAX];
	struct rc_buf chunk; /* records, each after its length */
	struct rc_buf stage; /* lines of COPY */
	ZSTD_CCtx *zstd;
	int chunk_no, chunk_rows;
	uint64_t rows, blank;
};

static void make_public_id(char ret_id[JOB_ID_MAX])
{
	static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

	for (size_t i = 0; i < PUBLIC_ID_RANDOM; i++)
		ret_id[i] = alphabet[rc_random_below(sizeof(alphabet) - 1)];
	ret_id[PUBLIC_ID_RANDOM] = '\0';
}

static void upload_free(struct upload *u)
{
	if (!u)
		return;
	rc_buf_done(&u->chunk);
	rc_buf_done(&u->stage);
	ZSTD_freeCCtx(u->zstd);
	free(u);
}

void upload_abort(struct upload *u)
{
	if (!u)
		return;
	db_rollback(u->db);
	upload_free(u);
}

static enum rc_status insert_job(struct upload *u, const struct upload_params *p,
				 struct rc_error *err)
{
	struct db_result *result = NULL;
	enum rc_status status =
	    db_query(u->db,
		     "INSERT INTO job(public_id, tenant, client, name, state, interactive, "
		     "idempotency_key, format, deadline_at, suppress_invalid, max_age) "
		     "VALUES ($1, $2::int, $3, $4, 'planning', $5::boolean, $6, '', "
		     "now() + coalesce(make_interval(secs => $7::float8 / 1000), interval '72 "
		     "hours'), $8::boolean, make_interval(secs => $9::float8 / 1000)) RETURNING id",
		     DB_PARAMS(db_text(u->public_id), db_int(p->tenant), db_text(p->client),
			       db_text(p->name ? p->name : ""), db_bool(p->interactive),
			       db_text(p->idempotency_key),
			       p->deadline_ms > 0 ? db_int(p->deadline_ms) : db_null(),
			       db_bool(p->suppress_invalid),
			       p->max_age_ms > 0 ? db_int(p->max_age_ms) : db_null()),
		     &result, err);

	if (status == RC_OK)
		u->job = db_get_int(result, 0, 0);
	db_result_free(result);
	return status;
}

enum rc_status upload_begin(struct db *db, const struct upload_params *params,
			    struct upload **ret_upload, struct rc_error *err)
{
	struct upload *u = calloc(1, sizeof(*u));
	enum rc_status status;

	if (!u)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	u->db = db;
	rc_buf_init(&u->chunk, 0);
	rc_buf_init(&u->stage, 0);
	make_public_id(u->public_id);
	u->zstd = ZSTD_createCCtx();
	if (!u->zstd) {
		upload_free(u);
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	status = db_begin(db, err);
	if (status == RC_OK)
		status = insert_job(u, params, err);
	if (status == RC_OK)
		status = db_execf(db, err, "CREATE TABLE stage_%" PRId64 " (LIKE stage)", u->job);
	if (status != RC_OK) {
		upload_abort(u);
		return status;
	}
	*ret_upload = u;
	return RC_OK;
}

static enum rc_status copy_stage(struct upload *u, struct rc_error *err)
{
	char sql[128];
	int64_t copied;
	enum rc_status status;

	if (!u->stage.len)
		return RC_OK;
	snprintf(sql, sizeof(sql),
		 "COPY stage_%" PRId64 " (n, kind, local, domain, did_you_mean) FROM STDIN",
		 u->job);
	status = db_copy_in_start(u->db, sql, err);
	if (status == RC_OK)
		status = db_copy_in_put(u->db, u->stage.data, u->stage.len, err);
	if (status == RC_OK)
		status = db_copy_in_end(u->db, &copied, err);
	rc_buf_clear(&u->stage);
	return status;
}

static enum rc_status store_chunk(struct upload *u, struct rc_error *err)
{
	size_t bound = ZSTD_compressBound(u->chunk.len), size;
	enum rc_status status;
	char *packed;

	packed = malloc(bound);
	if (!packed)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	size = ZSTD_compressCCtx(u->zstd, packed, bound, u->chunk.data, u->chunk.len, ZSTD_LEVEL);
	if (ZSTD_isError(size)) {
		free(packed);
		return rc_error_set(err, RC_BROKEN, "zstd: %s", ZSTD_getErrorName(size));
	}
	status = db_query_kept(u->db,
			       "INSERT INTO input_chunk(job, chunk, first_row, row_count, body) "
			       "VALUES ($1::bigint, $2::int, $3::bigint, $4::int, $5)",
			       DB_PARAMS(db_int(u->job), db_int(u->chunk_no),
					 db_int((int64_t)u->rows - u->chunk_rows + 1),
					 db_int(u->chunk_rows), db_bytes(packed, size)),
			       NULL, err);
	free(packed);
	u->chunk_no++;
	u->chunk_rows = 0;
	rc_buf_clear(&u->chunk);
	return status;
}

static enum rc_status flush(struct upload *u, struct rc_error *err)
{
	enum rc_status status;

	if (u->chunk.failed || u->stage.failed)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	status = copy_stage(u, err);
	if (status == RC_OK && u->chunk_rows)
		status = store_chunk(u, err);
	return status;
}

enum rc_status upload_row(struct upload *u, const struct upload_row *row, struct rc_error *err)
{
	unsigned char length[4];

	for (int i = 0; i < 4; i++)
		length[i] = (unsigned char)(row->raw_len >> (8 * i));
	rc_buf_add(&u->chunk, length, sizeof(length));
	rc_buf_add(&u->chunk, row->raw, row->raw_len);
	u->chunk_rows++;
	u->rows++;
	if (row->kind == STAGE_BLANK) {
		u->blank++;
	} else {
		db_copy_int(&u->stage, (int64_t)u->rows, false);
		db_copy_int(&u->stage, row->kind, false);
		db_copy_text(&u->stage, row->local, row->local_len, false);
		db_copy_text(&u->stage, row->domain, row->domain_len, false);
		if (row->did_you_mean)
			db_copy_text(&u->stage, row->did_you_mean, strlen(row->did_you_mean), true);
		else
			db_copy_null(&u->stage, true);
	}
	if (u->chunk_rows < UPLOAD_CHUNK_ROWS && u->chunk.len < UPLOAD_CHUNK_OCTETS)
		return RC_OK;
	return flush(u, err);
}

static enum rc_status finish_job(struct upload *u, const struct upload_end *end,
				 struct rc_error *err)
{
	struct rc_buf names;
	enum rc_status status;

	rc_buf_init(&names, 0);
	for (size_t i = 0; i < end->column_count; i++)
		db_array_text(&names, end->columns[i], strlen(end->columns[i]));
	db_array_end(&names);
	if (names.failed)
		status = rc_error_set(err, RC_NO_MEMORY, "out of memory");
	else
		status =
		    db_query(u->db,
			     "UPDATE job SET format = $2, columns = $3::text[], address_column = "
			     "$4::int, row_count = $5::bigint, "
			     "blank_count = $6::bigint, input_sha256 = $7 WHERE id = $1::bigint",
			     DB_PARAMS(db_int(u->job), db_text(end->format), db_buf(&names),
				       db_int((int64_t)end->address_column),
				       db_int((int64_t)u->rows), db_int((int64_t)u->blank),
				       db_bytes(end->sha256, sizeof(end->sha256))),
			     NULL, err);
	rc_buf_done(&names);
	return status;
}

enum rc_status upload_commit(struct upload *u, const struct upload_end *end,
			     char ret_public_id[JOB_ID_MAX], struct rc_error *err)
{
	enum rc_status status = flush(u, err);

	if (status == RC_OK)
		status = finish_job(u, end, err);
	if (status == RC_OK)
		status = db_commit(u->db, err);
	if (status != RC_OK) {
		upload_abort(u);
		return status;
	}
	memcpy(ret_public_id, u->public_id, JOB_ID_MAX);
	upload_free(u);
	return RC_OK;
}
