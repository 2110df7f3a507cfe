/* See db.h: many rows in or out, one at a time. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/store/db_parts.h"

/* ------------------------------------------------------------------------------------------------
 * COPY */

static void drain(struct db *db)
{
	PGresult *res;

	if (db->lost)
		return;
	while ((res = PQgetResult(db->conn)) != NULL)
		PQclear(res);
	if (PQstatus(db->conn) != CONNECTION_OK)
		db->lost = true;
}

static enum rc_status copy_start(struct db *db, const char *sql, ExecStatusType wanted,
				 struct rc_error *err)
{
	PGresult *res;

	if (db->lost)
		return db_gone(err);
	res = PQexec(db->conn, sql);
	if (PQresultStatus(res) != wanted)
		return db_failed(db, res, sql, err);
	PQclear(res);
	return RC_OK;
}

enum rc_status db_copy_in_start(struct db *db, const char *sql, struct rc_error *err)
{
	return copy_start(db, sql, PGRES_COPY_IN, err);
}

enum rc_status db_copy_in_put(struct db *db, const void *data, size_t len, struct rc_error *err)
{
	const char *p = data;

	if (db->lost)
		return db_gone(err);
	while (len > 0) {
		int n = len > 65536 ? 65536 : (int)len;

		if (PQputCopyData(db->conn, p, n) != 1) {
			enum rc_status status = db_failed(db, PQgetResult(db->conn), "COPY", err);

			drain(db);
			return status;
		}
		p += n;
		len -= (size_t)n;
	}
	return RC_OK;
}

enum rc_status db_copy_in_end(struct db *db, int64_t *ret_rows, struct rc_error *err)
{
	enum rc_status status = RC_OK;
	PGresult *res;

	if (db->lost)
		return db_gone(err);
	if (PQputCopyEnd(db->conn, NULL) != 1)
		return db_failed(db, NULL, "COPY", err);
	res = PQgetResult(db->conn);
	if (PQresultStatus(res) != PGRES_COMMAND_OK) {
		status = db_failed(db, res, "COPY", err);
	} else {
		if (ret_rows)
			*ret_rows = strtoll(PQcmdTuples(res), NULL, 10);
		PQclear(res);
	}
	drain(db);
	return status;
}

void db_copy_in_abort(struct db *db, const char *why)
{
	if (db->lost)
		return;
	PQputCopyEnd(db->conn, why ? why : "given up");
	drain(db);
}

enum rc_status db_copy_out_start(struct db *db, const char *sql, struct rc_error *err)
{
	return copy_start(db, sql, PGRES_COPY_OUT, err);
}

enum rc_status db_copy_out_next(struct db *db, const char **ret_data, size_t *ret_len,
				struct rc_error *err)
{
	enum rc_status status;
	PGresult *res;
	int n;

	if (db->lost)
		return db_gone(err);
	if (db->copy_row)
		PQfreemem(db->copy_row);
	db->copy_row = NULL;
	n = PQgetCopyData(db->conn, &db->copy_row, 0);
	if (n > 0) {
		*ret_data = db->copy_row;
		*ret_len = (size_t)n;
		return RC_OK;
	}
	res = PQgetResult(db->conn);
	if (n == -1 && PQresultStatus(res) == PGRES_COMMAND_OK) {
		PQclear(res);
		drain(db);
		*ret_data = NULL;
		*ret_len = 0;
		return RC_OK;
	}
	status = db_failed(db, res, "COPY", err);
	drain(db);
	return status;
}

void db_copy_out_abort(struct db *db)
{
	if (db->lost)
		return;
	if (PQtransactionStatus(db->conn) == PQTRANS_ACTIVE)
		db_cancel(db);
	for (char *row = NULL; PQgetCopyData(db->conn, &row, 0) > 0; row = NULL)
		PQfreemem(row);
	drain(db);
}

/* ------------------------------------------------------------------------------------------------
 * streams */

enum rc_status db_stream_start(struct db *db, const char *sql, const struct db_param *params,
			       int count, struct rc_error *err)
{
	struct db_flat flat;
	enum rc_status status = db_flatten(params, count, &flat, err);

	if (status != RC_OK)
		return status;
	if (db->lost)
		return db_gone(err);
	if (!PQsendQueryParams(db->conn, sql, count, NULL, flat.values, flat.lens, flat.formats, 0))
		return db_failed(db, NULL, sql, err);
	PQsetSingleRowMode(db->conn);
	return RC_OK;
}

enum rc_status db_stream_next(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	enum rc_status status;
	PGresult *res;

	if (db->lost)
		return db_gone(err);
	res = PQgetResult(db->conn);
	if (!res && PQstatus(db->conn) != CONNECTION_OK)
		return db_failed(db, NULL, "stream", err);
	if (!res || PQresultStatus(res) == PGRES_TUPLES_OK ||
	    PQresultStatus(res) == PGRES_COMMAND_OK) {
		PQclear(res);
		drain(db);
		*ret_result = NULL;
		return RC_OK;
	}
	status = db_take(db, res, "stream", ret_result, err);
	if (status != RC_OK)
		drain(db);
	return status;
}

void db_stream_abort(struct db *db)
{
	if (db->lost)
		return;
	if (PQtransactionStatus(db->conn) == PQTRANS_ACTIVE)
		db_cancel(db);
	drain(db);
}
