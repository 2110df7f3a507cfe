/*
 * db - one connection to PostgreSQL: the only thing of libpq that the rest of store/ sees.
 *
 * One connection belongs to one thread; db_cancel() alone may be called from another. Calls block.
 * Every failure comes back as a status and one sentence: RC_UNAVAILABLE  the connection is lost or
 * the server gave up on the transaction (deadlock, shutdown): roll back, then db_revive(), then do
 * the whole transaction again RC_CONFLICT     a unique key is taken RC_INVALID      the server
 * refused a value (data exception, check, foreign key) RC_BROKEN       anything else: a bug of ours
 * or a schema that is not ours After a failure within a transaction only db_rollback() helps; it is
 * always safe.
 *
 * Every connection speaks UTF-8, in schema `rollcall`, and UTC.
 */
#ifndef COORDINATOR_STORE_DB_H
#define COORDINATOR_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/status.h"

struct db;
struct db_result;

/*
 * Connects; `conninfo` is libpq's (ROLLCALL_DATABASE). While the server is starting up or does not
 * answer it is tried again for `wait_ms`; a server that answers and refuses us (password, no such
 * database) fails at once.
 */
enum rc_status db_open(const char *conninfo, const char *application, int64_t wait_ms,
		       struct db **ret_db, struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. An open transaction is rolled back by the server. */
void db_close(struct db *db);

/* False once a call has found the connection broken. */
bool db_alive(const struct db *db);
/* Connects anew where the connection is lost: one try, and none sooner than the back-off (0.1 s to
 * 3 s) allows; RC_UNAVAILABLE then. RC_OK at once where it is alive. Rises db_generation(). */
enum rc_status db_revive(struct db *db, struct rc_error *err) RC_MUST_CHECK;
/* Counts connections made, from 1: what was set on a session (locks, listens) is gone when it
 * changes. */
uint64_t db_generation(const struct db *db);
/* From any thread, until db_close(): asks the server to give up the statement that runs now. */
void db_cancel(struct db *db);

/* One parameter of a statement. The constructors below keep the caller's pointers until the call
 * returns. */
struct db_param {
	const char *data; /* NULL: SQL's null, unless `own` */
	int len;
	bool binary;
	bool own; /* the text is in `text` */
	char text[26];
};

struct db_param db_int(int64_t value);
struct db_param db_bool(bool value);
struct db_param db_null(void);
struct db_param db_text(const char *text);	  /* NULL: null. Ends in NUL, no NUL within */
struct db_param db_buf(const struct rc_buf *buf); /* text in a buffer; an empty one is '' */
struct db_param db_bytes(const void *data,
			 size_t len); /* bytea; data NULL and len 0: an empty one */
struct db_param
db_when(int64_t wall_ms); /* timestamptz; the statement's type must be that. 0: null */

/* DB_PARAMS(db_int(1), db_text("x")) or DB_NONE. */
#define DB_PARAMS(...)                                                                             \
	(const struct db_param[]){ __VA_ARGS__ },                                                  \
	    (int)(sizeof((const struct db_param[]){ __VA_ARGS__ }) / sizeof(struct db_param))
#define DB_NONE ((const struct db_param *)NULL), 0

/* One statement with parameters $1, $2 ... `ret_result` may be NULL. */
enum rc_status db_query(struct db *db, const char *sql, const struct db_param *params, int count,
			struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;
/* The same, whose plan the server keeps for this connection: for a text that is run often and does
 * not vary (at most 512 texts). */
enum rc_status db_query_kept(struct db *db, const char *sql, const struct db_param *params,
			     int count, struct db_result **ret_result,
			     struct rc_error *err) RC_MUST_CHECK;
/* Any number of statements without parameters, in one implicit transaction where none is open. */
enum rc_status db_exec(struct db *db, const char *sql, struct rc_error *err) RC_MUST_CHECK;
/* db_exec() with printf; for names of tables and numbers only, never for what a stranger wrote. At
 * most 16,383 octets. */
enum rc_status db_execf(struct db *db, struct rc_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4))) RC_MUST_CHECK;

enum rc_status db_begin(struct db *db, struct rc_error *err) RC_MUST_CHECK;
/* RC_UNAVAILABLE: it is not known whether it was committed. */
enum rc_status db_commit(struct db *db, struct rc_error *err) RC_MUST_CHECK;
/* Always safe: outside a transaction, on a lost connection. */
void db_rollback(struct db *db);

/* What a statement gave. Rows and columns from 0; values live until db_result_free(), which takes
 * NULL. */
void db_result_free(struct db_result *result);
int db_rows(const struct db_result *result);
/* Rows that INSERT, UPDATE, DELETE, MOVE or COPY touched. */
int64_t db_affected(const struct db_result *result);
bool db_is_null(const struct db_result *result, int row, int column);
const char *db_get_text(const struct db_result *result, int row, int column); /* "" for null */
size_t db_get_len(const struct db_result *result, int row, int column);	 /* octets of db_get_text */
int64_t db_get_int(const struct db_result *result, int row, int column); /* 0 for null */
bool db_get_bool(const struct db_result *result, int row, int column);
/* bytea, decoded. NULL and 0 for null or without memory; never NULL for an empty one. */
const uint8_t *db_get_bytes(const struct db_result *result, int row, int column, size_t *ret_len);
/* Milliseconds since 1970 from a column selected as (extract(epoch FROM x) * 1000)::bigint; use
 * DB_MS("x") in the SQL. */
#define DB_MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"
/* The same moment as text, as the API gives times: for JSON that PostgreSQL puts together. */
#define DB_RFC3339(column)                                                                         \
	"to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

/*
 * COPY. `sql` is the whole statement, "COPY t (a, b) FROM STDIN". Between start and end no other
 * call may be made on `db`. Put any octets, in any portions (text format:
 * db_copy_text/int/null/... write a line), end. On failure the COPY is over.
 */
enum rc_status db_copy_in_start(struct db *db, const char *sql, struct rc_error *err) RC_MUST_CHECK;
enum rc_status db_copy_in_put(struct db *db, const void *data, size_t len,
			      struct rc_error *err) RC_MUST_CHECK;
enum rc_status db_copy_in_end(struct db *db, int64_t *ret_rows, struct rc_error *err) RC_MUST_CHECK;

/* One field of COPY's text format, escaped; `last` ends the line, else a tab follows. */
void db_copy_text(struct rc_buf *line, const char *data, size_t len, bool last);
void db_copy_int(struct rc_buf *line, int64_t value, bool last);
void db_copy_null(struct rc_buf *line, bool last);

/* An array literal "{...}" for a parameter such as $1::bigint[], text[], bytea[]: begin with an
 * empty buffer, close, db_buf(). */
void db_array_int(struct rc_buf *array, int64_t value);
void db_array_text(struct rc_buf *array, const char *data, size_t len); /* data NULL: null */
void db_array_bytes(struct rc_buf *array, const void *data, size_t len);
void db_array_null(struct rc_buf *array);
void db_array_end(struct rc_buf *array);

#endif
