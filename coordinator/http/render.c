#include "coordinator/http/render.h"

#include <csv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "coordinator/core/verdict.h"
#include "coordinator/http/cells.h"

struct render {
	struct render_params params;
	char delimiter; /* of the output */
	char **name;	/* of the input's columns; of NDJSON made unique */
	bool *dropped;
	size_t names;
	bool any_dropped;
	struct cells *cells;
	struct rc_buf scratch;
};

static const char *const our_names[] = {
	"status",	 "grade",	 "score",	"reason",      "smtp_code",
	"enhanced_code", "provider",	 "mx",		"role",	       "disposable",
	"free",		 "did_you_mean", "attempts",	"lane",	       "checked_at",
	"catch_all",	 "review",	 "domain_risk", "score_basis", "rules",
};

static bool name_taken(const struct render *r, const char *name)
{
	for (size_t i = 0; i < r->names; i++)
		if (strcmp(r->name[i], name) == 0)
			return true;
	return false;
}

/* A JSON object has each name once. */
static char *unique_name(const struct render *r, const char *name)
{
	char *copy = NULL;

	if (!name_taken(r, name))
		return strdup(name);
	for (unsigned i = 2; i <= CELLS_MAX; i++) {
		if (asprintf(&copy, "%s_%u", name, i) < 0)
			return NULL;
		if (!name_taken(r, copy))
			return copy;
		free(copy);
	}
	return NULL;
}

struct render *render_new(const struct render_params *params)
{
	struct render *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->params = *params;
	r->params.columns = NULL;
	rc_buf_init(&r->scratch, 0);
	r->delimiter = params->input == RECORDS_CSV && params->delimiter ? params->delimiter : ',';
	r->cells = cells_new(r->delimiter);
	r->name = calloc(params->column_count + 1, sizeof(*r->name));
	r->dropped = calloc(params->column_count + 1, sizeof(*r->dropped));
	if (!r->cells || !r->name || !r->dropped)
		goto fail;
	for (size_t i = 0; i < params->column_count; i++) {
		const char *name = params->columns[i];

		r->name[i] = params->format == RENDER_NDJSON && params->input != RECORDS_NDJSON
				 ? unique_name(r, name)
				 : strdup(name);
		if (!r->name[i])
			goto fail;
		r->names++;
		r->dropped[i] = strncasecmp(name, "rollcall_", 9) == 0 ||
				(params->input == RECORDS_NDJSON && strcmp(name, "rollcall") == 0);
		r->any_dropped |= r->dropped[i];
	}
	return r;
fail:
	render_free(r);
	return NULL;
}

void render_free(struct render *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->names; i++)
		free(r->name[i]);
	free(r->name);
	free(r->dropped);
	cells_free(r->cells);
	rc_buf_done(&r->scratch);
	free(r);
}

/* ---- CSV */

/* What a spreadsheet would run: = + - @ at the start, or TAB and CR before it. Numbers and
 * telephone numbers are harmless. */
static bool is_formula(const char *text, size_t len)
{
	if (!len || !memchr("=+-@\t\r", text[0], 6))
		return false;
	if (text[0] != '+' && text[0] != '-')
		return true;
	for (size_t i = 1; i < len; i++)
		if (!memchr("0123456789., ()/-", text[i], 17))
			return true;
	return false;
}

static bool needs_quotes(const char *text, size_t len, char delimiter)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == delimiter || text[i] == '"' || text[i] == '\n' || text[i] == '\r')
			return true;
	return len &&
	       (text[0] == ' ' || text[len - 1] == ' ' || text[0] == '\t' || text[len - 1] == '\t');
}

/* Appends `size` octets to be written over. NULL when out of memory. */
static char *reserve(struct rc_buf *out, size_t size)
{
	static const char blank[256];
	size_t at = out->len;

	for (size_t left = size; left;) {
		size_t n = left < sizeof(blank) ? left : sizeof(blank);

		rc_buf_add(out, blank, n);
		left -= n;
	}
	return out->failed ? NULL : out->data + at;
}

/* One cell, without the delimiter. */
static void put_cell(struct render *r, const char *text, size_t len, struct rc_buf *out)
{
	size_t size;
	char *room;

	if (!r->params.raw && is_formula(text, len)) {
		rc_buf_clear(&r->scratch);
		rc_buf_add(&r->scratch, "'", 1);
		rc_buf_add(&r->scratch, text, len);
		if (r->scratch.failed) {
			out->failed = true;
			return;
		}
		text = r->scratch.data;
		len = r->scratch.len;
	}
	if (!needs_quotes(text, len, r->delimiter)) {
		rc_buf_add(out, text, len);
		return;
	}
	size = csv_write2(NULL, 0, text, len, '"');
	room = reserve(out, size);
	if (room)
		csv_write2(room, size, text, len, '"');
}

/*
 * The record as it stands, where that is right: no quote, no column to drop, no formula, not more
 * cells than columns. Nine rows of ten go this way.
 */
static bool put_as_is(const struct render *r, const char *record, size_t len, struct rc_buf *out)
{
	const char *at = record, *end = record + len;
	size_t cells = 0;

	if (r->any_dropped || memchr(record, '"', len))
		return false;
	for (;;) {
		const char *stop = memchr(at, r->delimiter, (size_t)(end - at));
		const char *text = at;

		if (!stop)
			stop = end;
		while (text < stop && *text == ' ')
			text++;
		cells++;
		if (!r->params.raw && is_formula(text, (size_t)(stop - text)))
			return false;
		if (stop == end)
			break;
		at = stop + 1;
	}
	if (cells > r->names)
		return false;
	rc_buf_add(out, record, len);
	for (; cells < r->names; cells++)
		rc_buf_add(out, &r->delimiter, 1);
	return true;
}

/* Splits a stored record; none for a blank line. */
static const struct cell *split(struct render *r, const char *record, size_t len, size_t *ret_count)
{
	cells_clear(r->cells);
	*ret_count = 0;
	if (cells_blank(r->cells, record, len))
		return NULL;
	if (cells_feed(r->cells, record, len) != CELLS_BAD)
		(void)cells_feed(r->cells, "\n", 1);
	return cells_get(r->cells, ret_count);
}

static json_t *load(const char *record, size_t len)
{
	json_error_t error;
	json_t *value = json_loadb(record, len, 0, &error);

	if (!value && json_error_code(&error) == json_error_numeric_overflow)
		value = json_loadb(record, len, JSON_DECODE_INT_AS_REAL, &error);
	return value;
}

static void put_json_cell(struct render *r, const json_t *value, struct rc_buf *out)
{
	char *text;

	if (!value || json_is_null(value))
		return;
	if (json_is_string(value)) {
		put_cell(r, json_string_value(value), json_string_length(value), out);
		return;
	}
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text)
		put_cell(r, text, strlen(text), out);
	else
		out->failed = true;
	free(text);
}

static void put_input(struct render *r, const char *record, size_t len, struct rc_buf *out)
{
	json_t *object = NULL;
	const struct cell *cell = NULL;
	size_t cells = 0;

	if (r->params.input == RECORDS_CSV && put_as_is(r, record, len, out)) {
		rc_buf_add(out, &r->delimiter, 1);
		return;
	}
	if (r->params.input == RECORDS_NDJSON)
		object = load(record, len);
	else if (r->params.input == RECORDS_CSV)
		cell = split(r, record, len, &cells);
	for (size_t i = 0; i < r->names; i++) {
		if (r->dropped[i])
			continue;
		if (object)
			put_json_cell(r, json_object_get(object, r->name[i]), out);
		else if (r->params.input == RECORDS_TXT && i == 0)
			put_cell(r, record, len, out);
		else if (i < cells)
			put_cell(r, cell[i].text, cell[i].len, out);
		rc_buf_add(out, &r->delimiter, 1);
	}
	json_decref(object);
}

static void put_text(struct render *r, const char *text, struct rc_buf *out)
{
	rc_buf_add(out, &r->delimiter, 1);
	if (text && *text)
		put_cell(r, text, strlen(text), out);
}

static void put_number(struct render *r, bool present, int number, struct rc_buf *out)
{
	char text[16];

	rc_buf_add(out, &r->delimiter, 1);
	if (present)
		rc_buf_add(out, text, (size_t)snprintf(text, sizeof(text), "%d", number));
}

static void put_flag(struct render *r, bool on, struct rc_buf *out)
{
	rc_buf_add(out, &r->delimiter, 1);
	rc_buf_addstr(out, on ? "true" : "false");
}

static const char *basis(const struct result_row *row)
{
	if (row->score < 0)
		return NULL;
	return row->flags & VERDICT_SCORE_MEASURED ? "measured" : "prior";
}

enum { RULES_TEXT_MAX = 17 };

/* The version of the rules that gave the verdict. */
static const char *rules_text(const struct result_row *row, char text[RULES_TEXT_MAX])
{
	snprintf(text, RULES_TEXT_MAX, "%016llx", (unsigned long long)row->rules);
	return row->rules ? text : NULL;
}

static void put_ours(struct render *r, const struct result_row *row, struct rc_buf *out)
{
	char when[RC_TIME_TEXT_MAX], rules[RULES_TEXT_MAX];

	rc_buf_addstr(out, rc_result_status_name(rc_reason_status(row->reason)));
	put_text(r, rc_grade_name(rc_reason_grade(row->reason)), out);
	put_number(r, row->score >= 0, row->score, out);
	put_text(r, rc_reason_name(row->reason), out);
	put_number(r, row->smtp_code > 0, row->smtp_code, out);
	put_text(r, row->enhanced, out);
	put_text(r, row->provider, out);
	put_text(r, row->mx, out);
	put_flag(r, row->flags & VERDICT_ROLE, out);
	put_flag(r, row->flags & VERDICT_DISPOSABLE, out);
	put_flag(r, row->flags & VERDICT_FREE, out);
	put_text(r, row->did_you_mean, out);
	put_number(r, true, row->attempts, out);
	put_text(r, row->lane, out);
	put_text(r, row->checked_at_ms ? rc_clock_format(row->checked_at_ms, when) : NULL, out);
	put_flag(r, row->flags & VERDICT_CATCH_ALL, out);
	put_flag(r, row->flags & VERDICT_REVIEW, out);
	put_flag(r, row->flags & VERDICT_DOMAIN_RISK, out);
	put_text(r, basis(row), out);
	put_text(r, rules_text(row, rules), out);
	rc_buf_add(out, "\n", 1);
}

void render_header(const struct render *render, struct rc_buf *out)
{
	/* The header is the user's own too: written with the same care. */
	struct render *r = (struct render *)(uintptr_t)render;

	if (r->params.format != RENDER_CSV)
		return;
	for (size_t i = 0; i < r->names; i++) {
		if (r->dropped[i])
			continue;
		put_cell(r, r->name[i], strlen(r->name[i]), out);
		rc_buf_add(out, &r->delimiter, 1);
	}
	for (size_t i = 0; i < sizeof(our_names) / sizeof(our_names[0]); i++) {
		if (i)
			rc_buf_add(out, &r->delimiter, 1);
		rc_buf_printf(out, "rollcall_%s", our_names[i]);
	}
	rc_buf_add(out, "\n", 1);
}

/* ---- JSON */

static json_t *text_or_null(const char *text)
{
	/* json_string() checks the UTF-8 of what peers wrote; where it is none, nothing is said. */
	json_t *value = text && *text ? json_string(text) : NULL;

	return value ? value : json_null();
}

json_t *render_json(const struct result_row *row)
{
	char when[RC_TIME_TEXT_MAX], rules[RULES_TEXT_MAX], docs[80];
	json_t *o = json_object();

	if (!o)
		return NULL;
	json_object_set_new_nocheck(
	    o, "status", json_string_nocheck(rc_result_status_name(rc_reason_status(row->reason))));
	json_object_set_new_nocheck(
	    o, "grade", json_string_nocheck(rc_grade_name(rc_reason_grade(row->reason))));
	json_object_set_new_nocheck(o, "score",
				    row->score >= 0 ? json_integer(row->score) : json_null());
	json_object_set_new_nocheck(o, "reason", json_string_nocheck(rc_reason_name(row->reason)));
	json_object_set_new_nocheck(
	    o, "smtp_code", row->smtp_code > 0 ? json_integer(row->smtp_code) : json_null());
	json_object_set_new_nocheck(o, "enhanced_code", text_or_null(row->enhanced));
	json_object_set_new_nocheck(o, "provider", text_or_null(row->provider));
	json_object_set_new_nocheck(o, "mx", text_or_null(row->mx));
	json_object_set_new_nocheck(o, "role", json_boolean(row->flags & VERDICT_ROLE));
	json_object_set_new_nocheck(o, "disposable", json_boolean(row->flags & VERDICT_DISPOSABLE));
	json_object_set_new_nocheck(o, "free", json_boolean(row->flags & VERDICT_FREE));
	json_object_set_new_nocheck(o, "did_you_mean", text_or_null(row->did_you_mean));
	json_object_set_new_nocheck(o, "attempts", json_integer(row->attempts));
	json_object_set_new_nocheck(o, "lane", text_or_null(row->lane));
	json_object_set_new_nocheck(
	    o, "checked_at",
	    row->checked_at_ms ? json_string_nocheck(rc_clock_format(row->checked_at_ms, when))
			       : json_null());
	json_object_set_new_nocheck(o, "catch_all", json_boolean(row->flags & VERDICT_CATCH_ALL));
	json_object_set_new_nocheck(o, "review", json_boolean(row->flags & VERDICT_REVIEW));
	json_object_set_new_nocheck(o, "domain_risk",
				    json_boolean(row->flags & VERDICT_DOMAIN_RISK));
	json_object_set_new_nocheck(o, "score_basis", text_or_null(basis(row)));
	json_object_set_new_nocheck(o, "rules", text_or_null(rules_text(row, rules)));
	snprintf(docs, sizeof(docs), "/docs/reasons/%s", rc_reason_name(row->reason));
	json_object_set_new_nocheck(o, "docs", json_string_nocheck(docs));
	return o;
}

json_t *render_input_json(struct render *r, const char *record, size_t len)
{
	const struct cell *cell = NULL;
	size_t cells = 0;
	json_t *o;

	if (r->params.input == RECORDS_NDJSON) {
		o = load(record, len);
		if (!json_is_object(o)) {
			json_decref(o);
			o = json_object();
		}
		if (o)
			json_object_del(o, "rollcall");
		return o;
	}
	o = json_object();
	if (!o)
		return NULL;
	if (r->params.input == RECORDS_CSV)
		cell = split(r, record, len, &cells);
	for (size_t i = 0; i < r->names; i++) {
		if (r->dropped[i])
			continue;
		if (r->params.input == RECORDS_TXT && i == 0)
			json_object_set_new_nocheck(o, r->name[i],
						    json_stringn_nocheck(record, len));
		else if (i < cells)
			json_object_set_new_nocheck(
			    o, r->name[i], json_stringn_nocheck(cell[i].text, cell[i].len));
		else
			json_object_set_new_nocheck(o, r->name[i], json_string_nocheck(""));
	}
	return o;
}

static int dump_to(const char *text, size_t len, void *ctx)
{
	rc_buf_add(ctx, text, len);
	return 0;
}

static bool find(const char *text, size_t len, const char *word)
{
	return memmem(text, len, word, strlen(word)) != NULL;
}

/* A line of NDJSON input goes on as it came, ours put in before its last brace: numbers keep the
 * form that they had. */
static bool put_spliced(const char *record, size_t len, const struct result_row *row,
			struct rc_buf *out)
{
	const char *inner;
	json_t *ours;

	while (len && (record[len - 1] == ' ' || record[len - 1] == '\t'))
		len--;
	if (!len || record[len - 1] != '}' || find(record, len, "rollcall") ||
	    find(record, len, "\\u"))
		return false;
	inner = memchr(record, '{', len);
	if (!inner)
		return false;
	for (inner++; *inner == ' ' || *inner == '\t'; inner++)
		;
	ours = render_json(row);
	if (!ours) {
		out->failed = true;
		return true;
	}
	rc_buf_add(out, record, len - 1);
	rc_buf_addstr(out, inner == record + len - 1 ? "\"rollcall\":" : ",\"rollcall\":");
	json_dump_callback(ours, dump_to, out, JSON_COMPACT);
	rc_buf_add(out, "}\n", 2);
	json_decref(ours);
	return true;
}

static void put_ndjson(struct render *r, const char *record, size_t len,
		       const struct result_row *row, struct rc_buf *out)
{
	json_t *o;

	if (r->params.input == RECORDS_NDJSON && put_spliced(record, len, row, out))
		return;
	o = render_input_json(r, record, len);
	if (!o || json_object_set_new(o, "rollcall", render_json(row)) != 0)
		out->failed = true;
	else
		json_dump_callback(o, dump_to, out, JSON_COMPACT);
	rc_buf_add(out, "\n", 1);
	json_decref(o);
}

void render_row(struct render *r, const char *record, size_t len, const struct result_row *row,
		struct rc_buf *out)
{
	if (r->params.format == RENDER_NDJSON) {
		put_ndjson(r, record, len, row, out);
		return;
	}
	put_input(r, record, len, out);
	put_ours(r, row, out);
}
