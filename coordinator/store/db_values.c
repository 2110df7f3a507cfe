/* See db.h: what goes into a statement and what comes out of a result, as text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinator/store/db_parts.h"

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
 * rows of COPY, and arrays */

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
