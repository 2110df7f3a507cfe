/* See db.h. */
#include "coordinator/store/db_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"

enum {
	PARAMS_MAX = 64,
	SQL_MAX = 16384,
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 3000,
	MESSAGE_MAX = 600 /* octets of the server's words in ours */
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
enum rc_status db_failed(struct db *db, PGresult *res, const char *doing, struct rc_error *err)
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

enum rc_status db_gone(struct rc_error *err)
{
	return rc_error_set(err, RC_UNAVAILABLE, "there is no connection to the database just now");
}

/* ------------------------------------------------------------------------------------------------
 * statements */

/* Parameters as libpq takes them; it points into the ones it was made of. */
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

static enum rc_status take(struct db *db, PGresult *res, const char *sql,
			   struct db_result **ret_result, struct rc_error *err)
{
	ExecStatusType status = PQresultStatus(res);
	struct db_result *result;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		return db_failed(db, res, sql, err);
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
		return db_gone(err);
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
		return db_gone(err);
	name = kept_name(db, sql, &is_new);
	if (!name)
		return db_query(db, sql, params, count, ret_result, err);
	if (is_new) {
		res = PQprepare(db->conn, name, sql, 0, NULL);
		if (PQresultStatus(res) != PGRES_COMMAND_OK) {
			free(db->kept[db->kept_count].sql);
			return db_failed(db, res, sql, err);
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
		return db_gone(err);
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
		return db_gone(err);
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
