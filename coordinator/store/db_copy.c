/* See db.h: COPY, many rows in. */
#include <stdlib.h>

#include "coordinator/store/db_parts.h"

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

enum rc_status db_copy_in_start(struct db *db, const char *sql, struct rc_error *err)
{
	PGresult *res;

	if (db->lost)
		return db_gone(err);
	res = PQexec(db->conn, sql);
	if (PQresultStatus(res) != PGRES_COPY_IN)
		return db_failed(db, res, sql, err);
	PQclear(res);
	return RC_OK;
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
