/* See db.h. */
#include "coordinator/store/db.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/base/clock.h"

enum {
	PARAMS_MAX = 64,
	KEPT_MAX = 512,
	SQL_MAX = 16384,
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 3000,
	MESSAGE_MAX = 600 /* octets of the server's words in ours */
};

/* A statement that the server has prepared on this connection, found by its text. */
struct kept {
	uint64_t hash;
	char *sql;
	char name[16];
};

struct db {
	PGconn *conn;
	char *conninfo;
	char *application;
	bool lost;
	uint64_t generation;
	uint64_t retry_at_ms; /* monotonic */
	uint32_t backoff_ms;
	struct kept kept[KEPT_MAX];
	unsigned kept_count;
	char *copy_row;
	pthread_mutex_t cancel_lock;
	PGcancel *cancel;
};

struct db_result {
	PGresult *res;
	struct rc_arena *arena; /* decoded bytea; made when first needed */
};

static void sleep_ms(uint32_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* The server's message as part of a sentence: one line, without a full stop at its end. */
static void one_line(const char *message, char out[MESSAGE_MAX])
{
	size_t n = 0;

	if (!message || !*message)
		message = "no reason given";
	for (; *message && n < MESSAGE_MAX - 1; message++) {
		unsigned char c = (unsigned char)*message;

		if (c == '\n' || c == '\t' || c == '\r')
			c = ' ';
		if (c == ' ' && (n == 0 || out[n - 1] == ' '))
			continue;
		out[n++] = (char)c;
	}
	while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '.'))
		n--;
	out[n] = '\0';
}

/* ------------------------------------------------------------------------------------------------
 * connecting */

static void forget_kept(struct db *db)
{
	for (unsigned i = 0; i < db->kept_count; i++)
		free(db->kept[i].sql);
	db->kept_count = 0;
}

static void set_cancel(struct db *db, PGcancel *cancel)
{
	pthread_mutex_lock(&db->cancel_lock);
	if (db->cancel)
		PQfreeCancel(db->cancel);
	db->cancel = cancel;
	pthread_mutex_unlock(&db->cancel_lock);
}

static void drop(struct db *db)
{
	set_cancel(db, NULL);
	forget_kept(db);
	if (db->copy_row)
		PQfreemem(db->copy_row);
	db->copy_row = NULL;
	if (db->conn)
		PQfinish(db->conn);
	db->conn = NULL;
	db->lost = true;
}

static void ignore_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

/* The later keyword wins: what stands before dbname is a default for what ROLLCALL_DATABASE leaves
 * open. */
static const char *const keywords[] = { "connect_timeout",
					"tcp_user_timeout",
					"keepalives_idle",
					"fallback_application_name",
					"dbname",
					"client_encoding",
					NULL };

static enum rc_status connect_once(struct db *db, bool *ret_refused, struct rc_error *err)
{
	const char *values[] = { "5", "20000", "10", db->application, db->conninfo, "UTF8", NULL };
	char why[MESSAGE_MAX];
	PGresult *res;

	drop(db);
	*ret_refused = false;
	db->conn = PQconnectdbParams(keywords, values, 1);
	if (!db->conn)
		return rc_error_set(err, RC_NO_MEMORY,
				    "no memory for a connection to the database");
	if (PQstatus(db->conn) != CONNECTION_OK) {
		PGPing ping = PQpingParams(keywords, values, 1);

		*ret_refused = ping == PQPING_OK || ping == PQPING_NO_ATTEMPT;
		one_line(PQerrorMessage(db->conn), why);
		drop(db);
		return rc_error_set(err, RC_UNAVAILABLE,
				    "cannot connect to the database: %s; check ROLLCALL_DATABASE "
				    "(--database) and that "
				    "PostgreSQL runs there",
				    why);
	}
	PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
	res = PQexec(db->conn, "SET search_path = rollcall; SET timezone = 'UTC'; SET jit = off; "
			       "SET default_transaction_isolation = 'read committed'");
	if (PQresultStatus(res) != PGRES_COMMAND_OK) {
		one_line(PQerrorMessage(db->conn), why);
		PQclear(res);
		drop(db);
		return rc_error_set(
		    err, RC_UNAVAILABLE,
		    "the database does not answer as it should: %s; check ROLLCALL_DATABASE", why);
	}
	PQclear(res);
	set_cancel(db, PQgetCancel(db->conn));
	db->lost = false;
	db->generation++;
	db->backoff_ms = 0;
	return RC_OK;
}

enum rc_status db_open(const char *conninfo, const char *application, int64_t wait_ms,
		       struct db **ret_db, struct rc_error *err)
{
	uint64_t end_ms = rc_clock_mono_ms() + (uint64_t)(wait_ms > 0 ? wait_ms : 0);
	struct db *db = calloc(1, sizeof(*db));
	enum rc_status status = RC_NO_MEMORY;
	bool refused;

	if (!db)
		return rc_error_set(err, RC_NO_MEMORY,
				    "no memory for a connection to the database");
	pthread_mutex_init(&db->cancel_lock, NULL);
	db->conninfo = strdup(conninfo);
	db->application = strdup(application);
	if (!db->conninfo || !db->application) {
		rc_error_set(err, RC_NO_MEMORY, "no memory for a connection to the database");
		goto failed;
	}
	for (uint32_t pause_ms = BACKOFF_FIRST_MS;;
	     pause_ms = pause_ms < 1000 ? pause_ms * 2 : 1000) {
		status = connect_once(db, &refused, err);
		if (status == RC_OK)
			break;
		if (refused || status == RC_NO_MEMORY || rc_clock_mono_ms() + pause_ms > end_ms)
			goto failed;
		sleep_ms(pause_ms);
	}
	*ret_db = db;
	return RC_OK;
failed:
	db_close(db);
	return status;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	drop(db);
	pthread_mutex_destroy(&db->cancel_lock);
	free(db->conninfo);
	free(db->application);
	free(db);
}

bool db_alive(const struct db *db)
{
	return !db->lost;
}

uint64_t db_generation(const struct db *db)
{
	return db->generation;
}

enum rc_status db_revive(struct db *db, struct rc_error *err)
{
	uint64_t now = rc_clock_mono_ms();
	enum rc_status status;
	bool refused;

	if (!db->lost)
		return RC_OK;
	if (now < db->retry_at_ms)
		return rc_error_set(
		    err, RC_UNAVAILABLE,
		    "the database does not answer; it is tried again every few seconds");
	status = connect_once(db, &refused, err);
	if (status != RC_OK) {
		db->backoff_ms = db->backoff_ms ? db->backoff_ms * 2 : BACKOFF_FIRST_MS;
		if (db->backoff_ms > BACKOFF_MAX_MS)
			db->backoff_ms = BACKOFF_MAX_MS;
		db->retry_at_ms = rc_clock_mono_ms() + db->backoff_ms;
	}
	return status;
}

void db_cancel(struct db *db)
{
	char why[256];

	pthread_mutex_lock(&db->cancel_lock);
	if (db->cancel)
		PQcancel(db->cancel, why, sizeof(why));
	pthread_mutex_unlock(&db->cancel_lock);
}

/* ------------------------------------------------------------------------------------------------
 * failures */

static enum rc_status status_of(const char *sqlstate)
{
	static const struct {
		const char *prefix;
		enum rc_status status;
	} table[] = {
		{ "23505", RC_CONFLICT },    { "22", RC_INVALID },
		{ "23", RC_INVALID },	     { "08", RC_UNAVAILABLE },
		{ "40", RC_UNAVAILABLE },    { "53", RC_UNAVAILABLE },
		{ "57", RC_UNAVAILABLE },    { "55P03", RC_UNAVAILABLE },
		{ "25P03", RC_UNAVAILABLE }, { "25006", RC_UNAVAILABLE },
	};

	if (!sqlstate)
		return RC_UNAVAILABLE;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strncmp(sqlstate, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].status;
	return RC_BROKEN;
}

/* Says what went wrong and clears `res` (may be NULL). */
static enum rc_status failed(struct db *db, PGresult *res, const char *doing, struct rc_error *err)
{
	const char *sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	enum rc_status status = status_of(sqlstate);
	char why[MESSAGE_MAX], head[64];

	one_line(res && *PQresultErrorMessage(res) ? PQresultErrorMessage(res)
						   : PQerrorMessage(db->conn),
		 why);
	if (PQstatus(db->conn) != CONNECTION_OK) {
		db->lost = true;
		status = RC_UNAVAILABLE;
	}
	snprintf(head, sizeof(head), "%.60s", doing);
	for (char *p = head; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	PQclear(res);
	if (db->lost)
		return rc_error_set(err, status, "the connection to the database is lost: %s", why);
	return rc_error_set(err, status, "the database refused \"%s...\": %s", head, why);
}

static enum rc_status gone(struct rc_error *err)
{
	return rc_error_set(err, RC_UNAVAILABLE, "there is no connection to the database just now");
}

/* ------------------------------------------------------------------------------------------------
 * parameters */

struct db_param db_int(int64_t value)
{
	struct db_param p = { .own = true };

	p.len = snprintf(p.text, sizeof(p.text), "%" PRId64, value);
	return p;
}

struct db_param db_bool(bool value)
{
	struct db_param p = { .own = true, .len = 1 };

	p.text[0] = value ? 't' : 'f';
	return p;
}

struct db_param db_null(void)
{
	return (struct db_param){ .data = NULL };
}

struct db_param db_text(const char *text)
{
	return (struct db_param){ .data = text, .len = text ? (int)strlen(text) : 0 };
}

struct db_param db_buf(const struct rc_buf *buf)
{
	return (struct db_param){ .data = buf->data ? buf->data : "", .len = (int)buf->len };
}

struct db_param db_bytes(const void *data, size_t len)
{
	return (struct db_param){ .data = data ? data : "", .len = (int)len, .binary = true };
}

struct db_param db_when(int64_t wall_ms)
{
	struct db_param p = { .own = true };
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (wall_ms <= 0 || !gmtime_r(&s, &tm) || tm.tm_year > 8000)
		return db_null();
	/* ISO 8601 basic, UTC: 20261124T014337.123Z */
	p.len = snprintf(p.text, sizeof(p.text), "%04d%02d%02dT%02d%02d%02d.%03dZ",
			 (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
			 tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100, (int)(wall_ms % 1000));
	return p;
}

struct flat {
	const char *values[PARAMS_MAX];
	int lens[PARAMS_MAX];
	int formats[PARAMS_MAX];
};

static enum rc_status flatten(const struct db_param *params, int count, struct flat *flat,
			      struct rc_error *err)
{
	if (count > PARAMS_MAX)
		return rc_error_set(err, RC_LIMIT, "a statement with %d parameters", count);
	for (int i = 0; i < count; i++) {
		flat->values[i] = params[i].own ? params[i].text : params[i].data;
		flat->lens[i] = params[i].len;
		flat->formats[i] = params[i].binary;
	}
	return RC_OK;
}

/* ------------------------------------------------------------------------------------------------
 * statements */

static enum rc_status take(struct db *db, PGresult *res, const char *sql,
			   struct db_result **ret_result, struct rc_error *err)
{
	ExecStatusType status = PQresultStatus(res);
	struct db_result *result;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_SINGLE_TUPLE)
		return failed(db, res, sql, err);
	if (!ret_result) {
		PQclear(res);
		return RC_OK;
	}
	result = calloc(1, sizeof(*result));
	if (!result) {
		PQclear(res);
		return rc_error_set(err, RC_NO_MEMORY, "no memory for a result of the database");
	}
	result->res = res;
	*ret_result = result;
	return RC_OK;
}

enum rc_status db_query(struct db *db, const char *sql, const struct db_param *params, int count,
			struct db_result **ret_result, struct rc_error *err)
{
	struct flat flat;
	enum rc_status status = flatten(params, count, &flat, err);

	if (status != RC_OK)
		return status;
	if (db->lost)
		return gone(err);
	return take(
	    db, PQexecParams(db->conn, sql, count, NULL, flat.values, flat.lens, flat.formats, 0),
	    sql, ret_result, err);
}

static uint64_t hash_text(const char *text)
{
	uint64_t hash = 14695981039346656037u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 1099511628211u;
	return hash;
}

/* NULL: not there, and no room or no memory to keep it. */
static const char *kept_name(struct db *db, const char *sql, bool *ret_new)
{
	uint64_t hash = hash_text(sql);
	struct kept *kept;

	*ret_new = false;
	for (unsigned i = 0; i < db->kept_count; i++)
		if (db->kept[i].hash == hash && strcmp(db->kept[i].sql, sql) == 0)
			return db->kept[i].name;
	if (db->kept_count == KEPT_MAX)
		return NULL;
	kept = &db->kept[db->kept_count];
	kept->sql = strdup(sql);
	if (!kept->sql)
		return NULL;
	kept->hash = hash;
	snprintf(kept->name, sizeof(kept->name), "k%u", db->kept_count);
	*ret_new = true;
	return kept->name;
}

enum rc_status db_query_kept(struct db *db, const char *sql, const struct db_param *params,
			     int count, struct db_result **ret_result, struct rc_error *err)
{
	struct flat flat;
	enum rc_status status = flatten(params, count, &flat, err);
	const char *name;
	bool is_new;
	PGresult *res;

	if (status != RC_OK)
		return status;
	if (db->lost)
		return gone(err);
	name = kept_name(db, sql, &is_new);
	if (!name)
		return db_query(db, sql, params, count, ret_result, err);
	if (is_new) {
		res = PQprepare(db->conn, name, sql, 0, NULL);
		if (PQresultStatus(res) != PGRES_COMMAND_OK) {
			free(db->kept[db->kept_count].sql);
			return failed(db, res, sql, err);
		}
		PQclear(res);
		db->kept_count++;
	}
	return take(db,
		    PQexecPrepared(db->conn, name, count, flat.values, flat.lens, flat.formats, 0),
		    sql, ret_result, err);
}

enum rc_status db_exec(struct db *db, const char *sql, struct rc_error *err)
{
	if (db->lost)
		return gone(err);
	return take(db, PQexec(db->conn, sql), sql, NULL, err);
}

enum rc_status db_execf(struct db *db, struct rc_error *err, const char *format, ...)
{
	char sql[SQL_MAX];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	if (n < 0 || n >= SQL_MAX)
		return rc_error_set(err, RC_LIMIT, "a statement of %d octets", n);
	return db_exec(db, sql, err);
}

enum rc_status db_begin(struct db *db, struct rc_error *err)
{
	return db_exec(db, "BEGIN", err);
}

enum rc_status db_commit(struct db *db, struct rc_error *err)
{
	PGresult *res;

	if (db->lost)
		return gone(err);
	res = PQexec(db->conn, "COMMIT");
	/* A COMMIT of a failed transaction is answered with ROLLBACK, and no error. */
	if (PQresultStatus(res) == PGRES_COMMAND_OK && strcmp(PQcmdStatus(res), "COMMIT") != 0) {
		PQclear(res);
		return rc_error_set(err, RC_BROKEN,
				    "the transaction had failed and was rolled back");
	}
	return take(db, res, "COMMIT", NULL, err);
}

void db_rollback(struct db *db)
{
	PGresult *res;

	if (db->lost || PQtransactionStatus(db->conn) == PQTRANS_IDLE)
		return;
	res = PQexec(db->conn, "ROLLBACK");
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		db->lost = true;
	PQclear(res);
}

/* ------------------------------------------------------------------------------------------------
 * results */

void db_result_free(struct db_result *result)
{
	if (!result)
		return;
	PQclear(result->res);
	rc_arena_free(result->arena);
	free(result);
}

int db_rows(const struct db_result *result)
{
	return PQntuples(result->res);
}

int64_t db_affected(const struct db_result *result)
{
	return strtoll(PQcmdTuples(result->res), NULL, 10);
}

bool db_is_null(const struct db_result *result, int row, int column)
{
	return PQgetisnull(result->res, row, column);
}

const char *db_get_text(const struct db_result *result, int row, int column)
{
	return PQgetvalue(result->res, row, column);
}

size_t db_get_len(const struct db_result *result, int row, int column)
{
	return (size_t)PQgetlength(result->res, row, column);
}

int64_t db_get_int(const struct db_result *result, int row, int column)
{
	return strtoll(PQgetvalue(result->res, row, column), NULL, 10);
}

bool db_get_bool(const struct db_result *result, int row, int column)
{
	return PQgetvalue(result->res, row, column)[0] == 't';
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const uint8_t *db_get_bytes(const struct db_result *result, int row, int column, size_t *ret_len)
{
	struct db_result *mine = (struct db_result *)result;
	const char *text = PQgetvalue(result->res, row, column);
	size_t len = (size_t)PQgetlength(result->res, row, column);
	uint8_t *out;

	*ret_len = 0;
	if (PQgetisnull(result->res, row, column) || len < 2 || text[0] != '\\' || text[1] != 'x')
		return NULL;
	if (!mine->arena)
		mine->arena = rc_arena_new(0);
	if (!mine->arena)
		return NULL;
	text += 2;
	len = (len - 2) / 2;
	out = rc_arena_alloc(mine->arena, len + 1);
	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	*ret_len = len;
	return out;
}

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
		return gone(err);
	res = PQexec(db->conn, sql);
	if (PQresultStatus(res) != wanted)
		return failed(db, res, sql, err);
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
		return gone(err);
	while (len > 0) {
		int n = len > 65536 ? 65536 : (int)len;

		if (PQputCopyData(db->conn, p, n) != 1) {
			enum rc_status status = failed(db, PQgetResult(db->conn), "COPY", err);

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
		return gone(err);
	if (PQputCopyEnd(db->conn, NULL) != 1)
		return failed(db, NULL, "COPY", err);
	res = PQgetResult(db->conn);
	if (PQresultStatus(res) != PGRES_COMMAND_OK) {
		status = failed(db, res, "COPY", err);
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
		return gone(err);
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
	status = failed(db, res, "COPY", err);
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

void db_copy_text(struct rc_buf *line, const char *data, size_t len, bool last)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		char c = data[i];
		const char *as = c == '\\'   ? "\\\\"
				 : c == '\n' ? "\\n"
				 : c == '\r' ? "\\r"
				 : c == '\t' ? "\\t"
					     : NULL;

		if (!as)
			continue;
		rc_buf_add(line, data + from, i - from);
		rc_buf_add(line, as, 2);
		from = i + 1;
	}
	rc_buf_add(line, data + from, len - from);
	rc_buf_add(line, last ? "\n" : "\t", 1);
}

void db_copy_int(struct rc_buf *line, int64_t value, bool last)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRId64 "%c", value, last ? '\n' : '\t');

	rc_buf_add(line, text, (size_t)n);
}

void db_copy_null(struct rc_buf *line, bool last)
{
	rc_buf_add(line, last ? "\\N\n" : "\\N\t", 3);
}

static void add_hex(struct rc_buf *buf, const uint8_t *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char pair[512];
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		pair[n++] = digits[p[i] >> 4];
		pair[n++] = digits[p[i] & 15];
		if (n == sizeof(pair) || i + 1 == len) {
			rc_buf_add(buf, pair, n);
			n = 0;
		}
	}
}

void db_copy_bytes(struct rc_buf *line, const void *data, size_t len, bool last)
{
	rc_buf_addstr(line, "\\\\x");
	add_hex(line, data, len);
	rc_buf_add(line, last ? "\n" : "\t", 1);
}

/* ------------------------------------------------------------------------------------------------
 * arrays */

static void array_next(struct rc_buf *array)
{
	rc_buf_add(array, array->len == 0 ? "{" : ",", 1);
}

void db_array_int(struct rc_buf *array, int64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRId64, value);

	array_next(array);
	rc_buf_add(array, text, (size_t)n);
}

void db_array_text(struct rc_buf *array, const char *data, size_t len)
{
	size_t from = 0;

	if (!data) {
		db_array_null(array);
		return;
	}
	array_next(array);
	rc_buf_add(array, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		if (data[i] != '"' && data[i] != '\\')
			continue;
		rc_buf_add(array, data + from, i - from);
		rc_buf_add(array, "\\", 1);
		from = i;
	}
	rc_buf_add(array, data + from, len - from);
	rc_buf_add(array, "\"", 1);
}

void db_array_bytes(struct rc_buf *array, const void *data, size_t len)
{
	array_next(array);
	rc_buf_addstr(array, "\"\\\\x");
	add_hex(array, data, len);
	rc_buf_add(array, "\"", 1);
}

void db_array_null(struct rc_buf *array)
{
	array_next(array);
	rc_buf_addstr(array, "NULL");
}

void db_array_end(struct rc_buf *array)
{
	rc_buf_addstr(array, array->len == 0 ? "{}" : "}");
}

/* ------------------------------------------------------------------------------------------------
 * streams */

enum rc_status db_stream_start(struct db *db, const char *sql, const struct db_param *params,
			       int count, struct rc_error *err)
{
	struct flat flat;
	enum rc_status status = flatten(params, count, &flat, err);

	if (status != RC_OK)
		return status;
	if (db->lost)
		return gone(err);
	if (!PQsendQueryParams(db->conn, sql, count, NULL, flat.values, flat.lens, flat.formats, 0))
		return failed(db, NULL, sql, err);
	PQsetSingleRowMode(db->conn);
	return RC_OK;
}

enum rc_status db_stream_next(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	enum rc_status status;
	PGresult *res;

	if (db->lost)
		return gone(err);
	res = PQgetResult(db->conn);
	if (!res && PQstatus(db->conn) != CONNECTION_OK)
		return failed(db, NULL, "stream", err);
	if (!res || PQresultStatus(res) == PGRES_TUPLES_OK ||
	    PQresultStatus(res) == PGRES_COMMAND_OK) {
		PQclear(res);
		drain(db);
		*ret_result = NULL;
		return RC_OK;
	}
	status = take(db, res, "stream", ret_result, err);
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

char *db_quote_name(struct db *db, const char *name)
{
	char *quoted, *copy;

	if (db->lost)
		return NULL;
	quoted = PQescapeIdentifier(db->conn, name, strlen(name));
	if (!quoted)
		return NULL;
	copy = strdup(quoted);
	PQfreemem(quoted);
	return copy;
}

struct pg_conn *db_conn(struct db *db)
{
	return db->lost ? NULL : db->conn;
}
