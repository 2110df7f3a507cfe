#include "coordinator/http/list.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"

struct list {
	struct list_params params;
	char *wanted; /* params.column */
	list_on_row on_row;
	void *ctx;
	struct records *records;
	struct rc_buf sample; /* length (size_t) and octets, per record */
	size_t sampled;
	bool decided;
	bool has_header;
	uint64_t header_record; /* its number */
	char **name; /* columns; of NDJSON the members in the order in which they were met */
	size_t names, name_room;
	size_t *at_signs; /* per column, while deciding */
	size_t at_room;
	size_t address; /* column of the address, from 0 */
	uint64_t rows;
};

static const char *const known_names[] = { "email", "e-mail", "email_address", "mail" };

static enum rc_status no_memory(struct list_fault *fault)
{
	return list_fault_set(fault, RC_NO_MEMORY, 0, 0, "out of memory");
}

static enum rc_status on_record(void *ctx, const struct record *record, struct list_fault *fault);

struct list *list_new(const struct list_params *params, list_on_row on_row, void *ctx)
{
	struct list *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->params = *params;
	l->on_row = on_row;
	l->ctx = ctx;
	rc_buf_init(&l->sample, 0);
	l->records = records_new(&params->records, on_record, l);
	if (params->column)
		l->wanted = strdup(params->column);
	if (!l->records || (params->column && !l->wanted)) {
		list_free(l);
		return NULL;
	}
	return l;
}

void list_free(struct list *l)
{
	if (!l)
		return;
	records_free(l->records);
	rc_buf_done(&l->sample);
	for (size_t i = 0; i < l->names; i++)
		free(l->name[i]);
	free(l->name);
	free(l->at_signs);
	free(l->wanted);
	free(l);
}

static void trim(const char **text, size_t *len)
{
	while (*len && isspace((unsigned char)**text))
		(*text)++, (*len)--;
	while (*len && isspace((unsigned char)(*text)[*len - 1]))
		(*len)--;
}

/* ---- columns */

static bool add_name(struct list *l, const char *text, size_t len)
{
	char *copy;

	trim(&text, &len);
	if (len > LIST_NAME_MAX) {
		len = LIST_NAME_MAX;
		while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--; /* not in the middle of a character */
	}
	if (l->names == l->name_room) {
		size_t room = l->name_room ? 2 * l->name_room : 16;
		char **name = realloc(l->name, room * sizeof(*name));

		if (!name)
			return false;
		l->name = name;
		l->name_room = room;
	}
	copy = strndup(text, len);
	if (!copy)
		return false;
	l->name[l->names++] = copy;
	return true;
}

/* Names for cells beyond the known columns; the empty ones at a record's end make none. */
static bool widen(struct list *l, size_t count)
{
	char text[32];

	while (l->names < count) {
		snprintf(text, sizeof(text), "column_%zu", l->names + 1);
		if (!add_name(l, text, strlen(text)))
			return false;
	}
	return true;
}

static size_t used_cells(const struct record *record)
{
	size_t n = record->cells;

	while (n && !record->cell[n - 1].len)
		n--;
	return n;
}

static bool cell_of(const struct record *record, enum records_format format, size_t column,
		    const char **text, size_t *len)
{
	if (format == RECORDS_TXT) {
		*text = record->raw;
		*len = column == 0 ? record->raw_len : 0;
	} else if (column < record->cells) {
		*text = record->cell[column].text;
		*len = record->cell[column].len;
	} else {
		*text = "";
		*len = 0;
	}
	trim(text, len);
	return *len > 0;
}

static bool has_at(const struct record *record, enum records_format format)
{
	if (format == RECORDS_TXT)
		return memchr(record->raw, '@', record->raw_len) != NULL;
	for (size_t i = 0; i < record->cells; i++)
		if (record->cell[i].len && memchr(record->cell[i].text, '@', record->cell[i].len))
			return true;
	return false;
}

static bool blank(const struct record *record)
{
	const char *text = record->raw;
	size_t len = record->raw_len;

	trim(&text, &len);
	return !len;
}

/* ---- NDJSON */

static json_t *load(const struct record *record, struct list_fault *fault)
{
	json_error_t error;
	json_t *value = json_loadb(record->raw, record->raw_len, 0, &error);

	/* A number that no int64_t holds is not wrong: the record is kept as it came. */
	if (!value && json_error_code(&error) == json_error_numeric_overflow)
		value = json_loadb(record->raw, record->raw_len, JSON_DECODE_INT_AS_REAL, &error);
	if (!value) {
		list_fault_set(fault, RC_INVALID, record->number,
			       error.column > 0 ? (size_t)error.column : 1,
			       "not JSON: %s (each line is one object)", error.text);
		return NULL;
	}
	if (!json_is_object(value)) {
		json_decref(value);
		list_fault_set(fault, RC_INVALID, record->number, 1,
			       "not a JSON object: each line is one object");
		return NULL;
	}
	return value;
}

/* Members are looked for where they were last: objects of one file mostly have the same ones in the
 * same order. */
static bool learn_members(struct list *l, json_t *object, bool count)
{
	const char *key;
	json_t *value;
	size_t i = 0;

	json_object_foreach(object, key, value)
	{
		size_t at = i;

		if (at >= l->names || strcmp(l->name[at], key) != 0)
			for (at = 0; at < l->names && strcmp(l->name[at], key) != 0; at++)
				;
		if (at == l->names) {
			if (l->names == CELLS_MAX || strlen(key) > LIST_NAME_MAX)
				continue;
			if (!add_name(l, key, strlen(key)))
				return false;
		}
		if (count && at < l->at_room && json_is_string(value) &&
		    memchr(json_string_value(value), '@', json_string_length(value)))
			l->at_signs[at]++;
		i = at + 1;
	}
	return true;
}

/* ---- which column holds the address */

static bool grow_counts(struct list *l)
{
	size_t *grown = calloc(CELLS_MAX, sizeof(*grown));

	if (!grown)
		return false;
	l->at_signs = grown;
	l->at_room = CELLS_MAX;
	return true;
}

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 6;
}

static enum rc_status columns_fault(struct list *l, struct list_fault *fault, const char *what)
{
	char seen[400] = "";
	size_t used = 0;

	for (size_t i = 0; i < l->names && used < sizeof(seen) - 80; i++)
		used += (size_t)snprintf(seen + used, sizeof(seen) - used, "%s%.60s", i ? ", " : "",
					 l->name[i]);
	return list_fault_set(fault, RC_INVALID, l->has_header ? l->header_record : 1, 0,
			      "%s (the columns are: %s)", what, seen);
}

static enum rc_status find_wanted(struct list *l, struct list_fault *fault)
{
	char what[LIST_NAME_MAX + 80];
	size_t found = 0, at = 0;

	for (size_t i = 0; i < l->names; i++)
		if (strcmp(l->name[i], l->wanted) == 0)
			found++, at = i;
	if (!found)
		for (size_t i = 0; i < l->names; i++)
			if (strcasecmp(l->name[i], l->wanted) == 0)
				found++, at = i;
	if (found > 1) {
		snprintf(what, sizeof(what),
			 "%zu columns are named \"%.200s\": give the number of the one that holds "
			 "the addresses",
			 found, l->wanted);
		return columns_fault(l, fault, what);
	}
	if (!found && is_number(l->wanted)) {
		unsigned long number = strtoul(l->wanted, NULL, 10);

		found = number >= 1 && number <= l->names;
		at = number - 1;
	}
	if (!found) {
		snprintf(what, sizeof(what), "there is no column \"%.200s\"", l->wanted);
		return columns_fault(l, fault, what);
	}
	l->address = at;
	return RC_OK;
}

static enum rc_status find_address(struct list *l, struct list_fault *fault)
{
	size_t best = 0, best_at = 0, ties = 0;

	if (l->wanted)
		return find_wanted(l, fault);
	if (l->has_header || records_get_format(l->records) == RECORDS_NDJSON) {
		for (size_t k = 0; k < sizeof(known_names) / sizeof(known_names[0]); k++) {
			size_t found = 0;

			for (size_t i = 0; i < l->names; i++)
				if (strcasecmp(l->name[i], known_names[k]) == 0)
					found++, l->address = i;
			if (found == 1)
				return RC_OK;
			if (found > 1)
				break; /* the @ signs decide */
		}
	}
	if (l->names == 1) {
		l->address = 0;
		return RC_OK;
	}
	for (size_t i = 0; i < l->names && i < l->at_room; i++) {
		if (l->at_signs[i] > best)
			best = l->at_signs[i], best_at = i, ties = 1;
		else if (best && l->at_signs[i] == best)
			ties++;
	}
	if (!best)
		return columns_fault(l, fault, "no column holds addresses: name it with column=");
	if (ties > 1)
		return columns_fault(
		    l, fault, "more than one column may hold the addresses: name it with column=");
	l->address = best_at;
	return RC_OK;
}

/* ---- rows */

static enum rc_status give_row(struct list *l, const struct record *record,
			       struct list_fault *fault)
{
	enum records_format format = records_get_format(l->records);
	struct list_row row = {
		.n = ++l->rows, .raw = record->raw, .raw_len = record->raw_len, .address = ""
	};
	json_t *object = NULL;
	enum rc_status status;

	if (format == RECORDS_NDJSON && !blank(record)) {
		json_t *value;

		object = load(record, fault);
		if (!object)
			return fault->error.status;
		value = l->address < l->names ? json_object_get(object, l->name[l->address]) : NULL;
		if (json_is_string(value)) {
			row.address = json_string_value(value);
			row.address_len = json_string_length(value);
			trim(&row.address, &row.address_len);
		} else if (value && !json_is_null(value)) {
			row.address =
			    "?"; /* a number, a list: no address, but not nothing either */
			row.address_len = 1;
		}
		if (!learn_members(l, object, false)) {
			json_decref(object);
			return no_memory(fault);
		}
	} else if (format != RECORDS_NDJSON) {
		if (!widen(l, used_cells(record)))
			return no_memory(fault);
		cell_of(record, format, l->address, &row.address, &row.address_len);
	}
	status = l->on_row(l->ctx, &row, fault);
	json_decref(object);
	return status;
}

static enum rc_status replay(struct list *l, records_on_record each, struct list_fault *fault);

static enum rc_status count_record(void *ctx, const struct record *record, struct list_fault *fault)
{
	struct list *l = ctx;
	enum records_format format = records_get_format(l->records);

	if (blank(record))
		return RC_OK;
	if (format == RECORDS_NDJSON) {
		json_t *object = load(record, fault);
		bool learned;

		if (!object)
			return fault->error.status;
		learned = learn_members(l, object, true);
		json_decref(object);
		return learned ? RC_OK : no_memory(fault);
	}
	if (!l->header_record) {
		l->header_record = record->number;
		l->has_header = l->params.header == LIST_HEADER_YES ||
				(l->params.header == LIST_HEADER_LOOK && !has_at(record, format));
		if (l->has_header) {
			const char *text;
			size_t len, cells = format == RECORDS_TXT ? 1 : used_cells(record);

			for (size_t i = 0; i < cells; i++) {
				cell_of(record, format, i, &text, &len);
				if (!(len ? add_name(l, text, len) : widen(l, l->names + 1)))
					return no_memory(fault);
			}
			return RC_OK;
		}
	}
	if (!widen(l, format == RECORDS_TXT ? 1 : used_cells(record)))
		return no_memory(fault);
	for (size_t i = 0; i < record->cells && i < l->at_room; i++)
		if (record->cell[i].len && memchr(record->cell[i].text, '@', record->cell[i].len))
			l->at_signs[i]++;
	return RC_OK;
}

static enum rc_status give_sampled(void *ctx, const struct record *record, struct list_fault *fault)
{
	struct list *l = ctx;

	if (l->has_header && record->number == l->header_record)
		return RC_OK;
	return give_row(l, record, fault);
}

static enum rc_status decide(struct list *l, struct list_fault *fault)
{
	enum rc_status status;

	l->decided = true;
	if (!grow_counts(l))
		return no_memory(fault);
	status = replay(l, count_record, fault);
	if (status != RC_OK)
		return status;
	if (!l->names && !widen(l, 1))
		return no_memory(fault);
	status = find_address(l, fault);
	if (status != RC_OK)
		return status;
	if (!l->has_header && records_get_format(l->records) != RECORDS_NDJSON) {
		char *email = strdup("email");

		if (!email)
			return no_memory(fault);
		free(l->name[l->address]);
		l->name[l->address] = email;
	}
	status = replay(l, give_sampled, fault);
	rc_buf_done(&l->sample);
	rc_buf_init(&l->sample, 0);
	return status;
}

/* Splits the kept records once more: cheaper than to keep a thousand split ones. */
static enum rc_status replay(struct list *l, records_on_record each, struct list_fault *fault)
{
	struct cells *cells = NULL;
	enum rc_status status = RC_OK;
	size_t at = 0;

	if (records_get_format(l->records) == RECORDS_CSV) {
		cells = cells_new(records_get_delimiter(l->records));
		if (!cells)
			return no_memory(fault);
	}
	for (size_t i = 0; status == RC_OK && i < l->sampled; i++) {
		struct record record = { .number = i + 1 };

		memcpy(&record.raw_len, l->sample.data + at, sizeof(record.raw_len));
		record.raw = l->sample.data + at + sizeof(record.raw_len);
		at += sizeof(record.raw_len) + record.raw_len;
		if (cells && !blank(&record)) {
			cells_clear(cells);
			if (cells_feed(cells, record.raw, record.raw_len) != CELLS_BAD)
				(void)cells_feed(cells, "\n", 1);
			record.cell = cells_get(cells, &record.cells);
		}
		status = each(l, &record, fault);
	}
	cells_free(cells);
	return status;
}

static enum rc_status on_record(void *ctx, const struct record *record, struct list_fault *fault)
{
	struct list *l = ctx;
	enum rc_status status;

	if (l->decided)
		return give_row(l, record, fault);
	rc_buf_add(&l->sample, &record->raw_len, sizeof(record->raw_len));
	rc_buf_add(&l->sample, record->raw, record->raw_len);
	if (l->sample.failed)
		return no_memory(fault);
	l->sampled++;
	if (l->sampled < LIST_SAMPLE && l->sample.len < LIST_SAMPLE_OCTETS)
		return RC_OK;
	status = decide(l, fault);
	return status;
}

/* A fault of a record is told with the row as users count it. */
static enum rc_status place(const struct list *l, enum rc_status status, struct list_fault *fault)
{
	if (status != RC_OK && fault->record) {
		bool header = l->has_header || l->params.header == LIST_HEADER_YES;

		fault->row =
		    fault->record > (header ? 1U : 0U) ? fault->record - (header ? 1U : 0U) : 0;
	}
	return status;
}

/* The error comes before the sample is complete: whether there is a header is then seen from what
 * is there. */
static void guess_header(struct list *l)
{
	struct list_fault ignored = { .record = 0 };

	if (!l->decided && l->sampled && records_get_format(l->records) != RECORDS_LOOK &&
	    grow_counts(l))
		(void)replay(l, count_record, &ignored);
}

enum rc_status list_feed(struct list *l, const char *data, size_t len, struct list_fault *fault)
{
	enum rc_status status = records_feed(l->records, data, len, fault);

	if (status != RC_OK)
		guess_header(l);
	return place(l, status, fault);
}

enum rc_status list_finish(struct list *l, struct list_fault *fault)
{
	enum rc_status status = records_finish(l->records, fault);

	if (status != RC_OK) {
		guess_header(l);
		return place(l, status, fault);
	}
	if (!l->decided && l->sampled)
		status = decide(l, fault);
	if (status == RC_OK && !l->rows)
		status = l->has_header ? list_fault_set(fault, RC_INVALID, 0, 0,
							"the file holds a header and no rows")
				       : list_fault_set(fault, RC_INVALID, 0, 0,
							"the file is empty: it holds no rows");
	return place(l, status, fault);
}

uint64_t list_rows(const struct list *l)
{
	return l->rows;
}

enum records_format list_format(const struct list *l)
{
	return records_get_format(l->records);
}

char list_delimiter(const struct list *l)
{
	return records_get_delimiter(l->records);
}

const char *const *list_columns(const struct list *l, size_t *ret_count)
{
	*ret_count = l->names;
	return (const char *const *)l->name;
}

size_t list_address_column(const struct list *l)
{
	return l->address + 1;
}
