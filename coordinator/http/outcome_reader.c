#include "coordinator/http/outcome_reader.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/address.h"
#include "coordinator/core/outcome_format.h"

enum {
	COLUMNS_MAX = 1024,
	NAME_SIZE = 64,
	NUMBER_SIZE = 40,
	ADDRESS_SIZE = 400,
	PATH_MAX_DEPTH = 8,
	FUTURE_MS = 86400000 /* clocks and zones */
};

/* One cell of a record or member of an object. */
struct value {
	const char *text;
	size_t len;
	size_t column; /* from 1; 0: none, or JSON */
	char number[NUMBER_SIZE];
};

struct outcome_reader {
	struct outcome_calls calls;
	const char *wanted; /* a format's name, or NULL */
	int64_t now_ms;
	struct records *records;
	const struct outcome_format *format; /* of the CSV, or of the JSON line read last */
	const char *seen;		     /* the first format's name */
	bool headed;
	uint64_t header; /* record of the header; 0: none */
	size_t columns;
	char names[COLUMNS_MAX][NAME_SIZE]; /* folded */
	size_t field[OUTCOME_FIELDS];	    /* column from 1; 0: none */
	uint64_t record;		    /* being read */
	struct list_fault *fault;
};

static enum rc_status on_record(void *ctx, const struct record *record, struct list_fault *fault);

struct outcome_reader *outcome_reader_new(const char *format, int64_t now_ms,
					  const struct outcome_calls *calls)
{
	const struct records_params params = { .format = RECORDS_LOOK };
	struct outcome_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->calls = *calls;
	r->now_ms = now_ms;
	r->seen = "";
	for (size_t i = 0; format && outcome_format_at(i); i++)
		if (strcmp(outcome_format_at(i)->name, format) == 0)
			r->wanted = outcome_format_at(i)->name;
	r->records = records_new(&params, on_record, r);
	if (!r->records) {
		free(r);
		return NULL;
	}
	return r;
}

void outcome_reader_free(struct outcome_reader *r)
{
	if (!r)
		return;
	records_free(r->records);
	free(r);
}

const char *outcome_reader_format(const struct outcome_reader *r)
{
	return r->seen;
}

/* ---- what is read */

static enum rc_status bad(struct outcome_reader *r, size_t column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum rc_status bad(struct outcome_reader *r, size_t column, const char *format, ...)
{
	char why[200];
	struct outcome_bad b = { .record = r->record,
				 .row = r->record - (r->header ? 1 : 0),
				 .column = column,
				 .why = why };
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return r->calls.bad(r->calls.ctx, &b, &r->fault->error);
}

static void lower(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] | 0x20);
}

/* A word for an error: printable ASCII, short. It comes from a column of outcomes, not of people.
 */
static const char *shown(const struct value *v, char ret_text[32])
{
	size_t n = v->len < 31 ? v->len : 31;

	for (size_t i = 0; i < n; i++)
		ret_text[i] = v->text[i] >= ' ' && v->text[i] < 0x7f ? v->text[i] : '?';
	ret_text[n] = '\0';
	return ret_text;
}

/* The reply's code goes before the words that lack it. */
static void join_diagnostic(const struct value *code, const struct value *words,
			    char ret_text[OUTCOME_DIAGNOSTIC_MAX], size_t *ret_len)
{
	size_t room = OUTCOME_DIAGNOSTIC_MAX, len = 0;
	char enhanced[16];
	const char *text;
	unsigned number;
	size_t rest;

	if (code->len >= 3 && code->len < 12 &&
	    !outcome_reply_find(words->text, words->len, &number, enhanced, &text, &rest)) {
		/* An enhanced status alone: 4.x.x of what came back for good is the exporter's own.
		 */
		if (code->text[1] != '.' || code->text[0] == '5') {
			if (code->text[1] == '.')
				len = (size_t)snprintf(ret_text, room, "550 ");
			memcpy(ret_text + len, code->text, code->len);
			len += code->len;
			ret_text[len++] = ' ';
		}
	}
	rest = words->len < room - len ? words->len : room - len;
	memcpy(ret_text + len, words->text, rest);
	*ret_len = len + rest;
}

static enum rc_status take(struct outcome_reader *r, const struct value v[OUTCOME_FIELDS])
{
	const struct value *address = &v[OUTCOME_FIELD_ADDRESS], *word = &v[OUTCOME_FIELD_WORD],
			   *time = &v[OUTCOME_FIELD_TIME];
	struct outcome_row row = { .record = r->record };
	char text[ADDRESS_SIZE], diagnostic[OUTCOME_DIAGNOSTIC_MAX], some[32];
	struct rc_address parsed;

	switch (rc_address_parse(address->text, address->len, &parsed)) {
	case RC_ADDRESS_BLANK:
		return bad(r, address->column, "there is no address");
	case RC_ADDRESS_BAD:
		return bad(r, address->column, "this is no address");
	case RC_ADDRESS_OK:
		break;
	}
	row.kind = outcome_format_kind(r->format, word->text, word->len,
				       v[OUTCOME_FIELD_DETAIL].text, v[OUTCOME_FIELD_DETAIL].len);
	if (row.kind == OUTCOME_UNSET && word->len == 0)
		return bad(r, word->column, "there is no outcome");
	if (row.kind == OUTCOME_UNSET)
		return bad(r, word->column,
			   "\"%s\" is no outcome that is known: delivered, hard_bounce, "
			   "soft_bounce, blocked, deferred ... are",
			   shown(word, some));
	if (time->len && !outcome_time_parse(time->text, time->len, &row.at_ms))
		return bad(r, time->column,
			   "this is no time that is understood: write 2026-11-24T10:00:00Z, or "
			   "seconds since 1970");
	if (row.at_ms > r->now_ms + FUTURE_MS)
		return bad(r, time->column, "this time lies in the future");
	if (parsed.local_len + parsed.domain_len > sizeof(text))
		return bad(r, address->column, "this is no address");
	memcpy(text, parsed.local, parsed.local_len);
	lower(text, parsed.local_len);
	memcpy(text + parsed.local_len, parsed.domain, parsed.domain_len);
	row.address = text;
	row.local_len = parsed.local_len;
	row.domain_len = parsed.domain_len;
	if (row.kind == OUTCOME_HARD || row.kind == OUTCOME_SOFT)
		join_diagnostic(&v[OUTCOME_FIELD_CODE], &v[OUTCOME_FIELD_DIAGNOSTIC], diagnostic,
				&row.diagnostic_len);
	row.diagnostic = diagnostic;
	return r->calls.row(r->calls.ctx, &row, &r->fault->error);
}

/* ---- CSV */

static size_t column_of(const struct outcome_reader *r, const char *name)
{
	char folded[NAME_SIZE];

	outcome_name_fold(name, strlen(name), folded, sizeof(folded));
	for (size_t i = 0; i < r->columns; i++)
		if (strcmp(r->names[i], folded) == 0)
			return i + 1;
	return 0;
}

static bool has_column(void *ctx, const char *name)
{
	return column_of(ctx, name) != 0;
}

static enum rc_status unknown_format(struct outcome_reader *r, const char *where)
{
	if (r->wanted)
		return list_fault_set(r->fault, RC_INVALID, r->record, 1,
				      "this is no export of %s: its %s are missing", r->wanted,
				      where);
	return list_fault_set(r->fault, RC_INVALID, r->record, 1,
			      "nothing says which address and what became of it: name two %s "
			      "address and outcome, or send an export that is known "
			      "(docs/scores.md)",
			      where);
}

static enum rc_status read_header(struct outcome_reader *r, const struct record *record)
{
	if (record->cells > COLUMNS_MAX)
		return list_fault_set(r->fault, RC_LIMIT, record->number, COLUMNS_MAX + 1,
				      "there are more than %d columns", COLUMNS_MAX);
	for (size_t i = 0; i < record->cells; i++)
		outcome_name_fold(record->cell[i].text, record->cell[i].len, r->names[i],
				  NAME_SIZE);
	r->columns = record->cells;
	r->headed = true;
	r->header = record->number;
	if (memchr(record->raw, '@', record->raw_len))
		return list_fault_set(
		    r->fault, RC_INVALID, record->number, 1,
		    "the first record holds an address: it must name the columns");
	r->format = outcome_format_match(r->wanted, has_column, r);
	if (!r->format || strcmp(r->format->name, "ses") == 0)
		return unknown_format(r, "columns");
	r->seen = r->format->name;
	for (int f = 0; f < OUTCOME_FIELDS; f++)
		for (size_t i = 0; i < OUTCOME_NAMES_MAX && r->format->fields[f][i] && !r->field[f];
		     i++)
			r->field[f] = column_of(r, r->format->fields[f][i]);
	return RC_OK;
}

static enum rc_status read_cells(struct outcome_reader *r, const struct record *record)
{
	struct value v[OUTCOME_FIELDS];

	for (int f = 0; f < OUTCOME_FIELDS; f++) {
		size_t column = r->field[f];
		bool there = column && column <= record->cells;

		v[f] = (struct value){ .text = there ? record->cell[column - 1].text : "",
				       .len = there ? record->cell[column - 1].len : 0,
				       .column = column };
	}
	return take(r, v);
}

/* ---- JSON */

static json_t *member(const json_t *object, const char *name, size_t len)
{
	char wanted[NAME_SIZE], folded[NAME_SIZE];
	const char *key;
	json_t *value;

	outcome_name_fold(name, len, wanted, sizeof(wanted));
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		outcome_name_fold(key, strlen(key), folded, sizeof(folded));
		if (strcmp(folded, wanted) == 0)
			return value;
	}
	return NULL;
}

/* "delivery-status.message" */
static json_t *at_path(const json_t *object, const char *path)
{
	json_t *found = NULL;

	for (int depth = 0; object && depth < PATH_MAX_DEPTH; depth++) {
		size_t len = strcspn(path, ".");

		found = member(object, path, len);
		if (!path[len])
			return found;
		path += len + 1;
		object = found;
	}
	return NULL;
}

static bool has_member(void *ctx, const char *name)
{
	const json_t *value = at_path(ctx, name);

	return value && !json_is_null(value);
}

static void set_value(struct value *v, const json_t *json)
{
	v->text = "";
	v->len = 0;
	v->column = 0;
	if (json_is_string(json)) {
		v->text = json_string_value(json);
		v->len = json_string_length(json);
	} else if (json_is_integer(json)) {
		v->len = (size_t)snprintf(v->number, NUMBER_SIZE, "%lld",
					  (long long)json_integer_value(json));
		v->text = v->number;
	} else if (json_is_real(json)) {
		int n = snprintf(v->number, NUMBER_SIZE, "%.3f", json_real_value(json));

		v->len = n > 0 && n < NUMBER_SIZE ? (size_t)n : 0;
		v->text = v->number;
	}
}

/* One notification, an outcome for each recipient. */
static enum rc_status read_ses(struct outcome_reader *r, const json_t *o)
{
	const json_t *type = at_path(o, "eventType"), *event, *recipients = NULL, *one;
	struct value v[OUTCOME_FIELDS] = { 0 };
	enum rc_status status = RC_OK;
	const char *list = NULL;
	size_t i;

	if (!type)
		type = at_path(o, "notificationType");
	for (int f = 0; f < OUTCOME_FIELDS; f++)
		set_value(&v[f], NULL);
	set_value(&v[OUTCOME_FIELD_WORD], type);
	event = type && json_is_string(type)
		    ? member(o, json_string_value(type), v[OUTCOME_FIELD_WORD].len)
		    : NULL;
	set_value(&v[OUTCOME_FIELD_TIME], at_path(event, "timestamp"));
	if (v[OUTCOME_FIELD_TIME].len == 0)
		set_value(&v[OUTCOME_FIELD_TIME], at_path(o, "mail.timestamp"));
	if (at_path(event, "bounceSubType")) {
		const char *sub = json_string_value(at_path(event, "bounceSubType"));

		list = "bouncedRecipients";
		set_value(&v[OUTCOME_FIELD_DETAIL], at_path(event, "bounceType"));
		/* Refused by SES itself, for an earlier bounce. */
		if (sub && (strcmp(sub, "Suppressed") == 0 ||
			    strcmp(sub, "OnAccountSuppressionList") == 0)) {
			v[OUTCOME_FIELD_DETAIL].text = "suppressed";
			v[OUTCOME_FIELD_DETAIL].len = strlen("suppressed");
		}
	} else if (at_path(event, "complainedRecipients")) {
		list = "complainedRecipients";
	} else if (at_path(event, "recipients")) {
		list = "recipients";
	}
	recipients = list ? at_path(event, list) : at_path(o, "mail.destination");
	if (json_array_size(recipients) == 0)
		return bad(r, 0, "the notification names no recipient");
	json_array_foreach((json_t *)(uintptr_t)recipients, i, one)
	{
		set_value(&v[OUTCOME_FIELD_ADDRESS],
			  json_is_string(one) ? one : at_path(one, "emailAddress"));
		set_value(&v[OUTCOME_FIELD_CODE], at_path(one, "status"));
		set_value(&v[OUTCOME_FIELD_DIAGNOSTIC], at_path(one, "diagnosticCode"));
		status = take(r, v);
		if (status != RC_OK)
			break;
	}
	return status;
}

static enum rc_status read_object(struct outcome_reader *r, const json_t *o)
{
	struct value v[OUTCOME_FIELDS];

	r->format = outcome_format_match(r->wanted, has_member, (void *)(uintptr_t)o);
	if (!r->format && !*r->seen)
		return unknown_format(r, "members");
	if (!r->format)
		return bad(r, 0, "nothing here says which address and what became of it");
	if (!*r->seen)
		r->seen = r->format->name;
	if (strcmp(r->format->name, "ses") == 0)
		return read_ses(r, o);
	for (int f = 0; f < OUTCOME_FIELDS; f++) {
		const json_t *found = NULL;

		for (size_t i = 0; i < OUTCOME_NAMES_MAX && r->format->fields[f][i] &&
				   (!found || json_is_null(found));
		     i++)
			found = at_path(o, r->format->fields[f][i]);
		set_value(&v[f], found);
	}
	return take(r, v);
}

static enum rc_status read_line(struct outcome_reader *r, const struct record *record)
{
	json_error_t error;
	json_t *o, *inner;
	const json_t *message;
	enum rc_status status;

	if (strspn(record->raw_len ? record->raw : "", " \t") == record->raw_len)
		return RC_OK;
	o = json_loadb(record->raw, record->raw_len, 0, &error);
	if (!json_is_object(o)) {
		json_decref(o);
		return bad(r, error.column > 0 ? (size_t)error.column : 1,
			   o ? "this line is no JSON object" : "this line is no JSON: %.100s",
			   error.text);
	}
	/* Amazon SNS wraps its message into a string. */
	message = json_object_get(o, "Message");
	if (json_is_string(message) && json_object_get(o, "TopicArn")) {
		inner =
		    json_loadb(json_string_value(message), json_string_length(message), 0, &error);
		if (json_is_object(inner)) {
			json_decref(o);
			o = inner;
		} else {
			json_decref(inner);
		}
	}
	status = read_object(r, o);
	json_decref(o);
	return status;
}

/* ---- records */

static enum rc_status on_record(void *ctx, const struct record *record, struct list_fault *fault)
{
	struct outcome_reader *r = ctx;

	r->record = record->number;
	r->fault = fault;
	if (records_get_format(r->records) == RECORDS_NDJSON)
		return read_line(r, record);
	if (records_get_format(r->records) == RECORDS_TXT) {
		if (record->raw_len == 0)
			return RC_OK;
		return unknown_format(r, "columns");
	}
	if (record->cells == 0)
		return RC_OK;
	return r->headed ? read_cells(r, record) : read_header(r, record);
}

enum rc_status outcome_reader_feed(struct outcome_reader *r, const char *data, size_t len,
				   struct list_fault *fault)
{
	return records_feed(r->records, data, len, fault);
}

enum rc_status outcome_reader_finish(struct outcome_reader *r, struct list_fault *fault)
{
	enum rc_status status = records_finish(r->records, fault);

	if (status == RC_OK && !*r->seen && r->record == 0)
		return list_fault_set(fault, RC_INVALID, 0, 0, "the file is empty");
	return status;
}
