#include "coordinator/http/records.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

struct records {
	struct records_params params;
	records_on_record on_record;
	void *ctx;
	struct cells *cells;
	struct rc_buf head; /* the window, until it is full */
	struct rc_buf raw;  /* the part of a record that earlier calls brought */
	size_t line_at;	    /* where its last, incomplete line begins in `raw` */
	uint64_t number;    /* of the last record begun */
	bool began;	    /* the window was looked at */
	bool open;	    /* inside a quoted cell that goes over the line end */
	bool after_cr;	    /* an LF now belongs to the CR before it */
	bool broken;
};

enum rc_status list_fault_set(struct list_fault *fault, enum rc_status status, uint64_t record,
			      size_t column, const char *format, ...)
{
	char text[RC_ERROR_MAX];
	char place[80] = "";
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (record && column)
		snprintf(place, sizeof(place),
			 "record %llu, column %zu: ", (unsigned long long)record, column);
	else if (record)
		snprintf(place, sizeof(place), "record %llu: ", (unsigned long long)record);
	fault->record = record;
	fault->column = column;
	return rc_error_set(&fault->error, status, "%s%s", place, text);
}

struct records *records_new(const struct records_params *params, records_on_record on_record,
			    void *ctx)
{
	struct records *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->params = *params;
	if (!r->params.window)
		r->params.window = RECORDS_WINDOW;
	r->on_record = on_record;
	r->ctx = ctx;
	rc_buf_init(&r->head, 0);
	rc_buf_init(&r->raw, 0);
	return r;
}

void records_free(struct records *r)
{
	if (!r)
		return;
	cells_free(r->cells);
	rc_buf_done(&r->head);
	rc_buf_done(&r->raw);
	free(r);
}

enum records_format records_get_format(const struct records *r)
{
	return r->began ? r->params.format : RECORDS_LOOK;
}

char records_get_delimiter(const struct records *r)
{
	return r->params.delimiter;
}

/* ---- looking at the first octets */

static bool starts(const struct rc_buf *b, const char *magic, size_t len)
{
	return b->len >= len && memcmp(b->data, magic, len) == 0;
}

/* "[{" with any blanks: no address and no column's name begins so. */
static bool is_json_array(const struct rc_buf *b)
{
	static const char blanks[] = " \t\r\n";
	size_t at = 0;

	while (at < b->len && memchr(blanks, b->data[at], 4))
		at++;
	if (at == b->len || b->data[at++] != '[')
		return false;
	while (at < b->len && memchr(blanks, b->data[at], 4))
		at++;
	return at < b->len && b->data[at] == '{';
}

static enum rc_status refuse_binary(const struct rc_buf *h, struct list_fault *fault)
{
	const char *what = NULL;

	if (starts(h, "PK\003\004", 4) || starts(h, "\xd0\xcf\x11\xe0", 4))
		what = "this is a spreadsheet or an archive (.xlsx, .ods, .xls, .zip): open it and "
		       "save the sheet as CSV (UTF-8)";
	else if (starts(h, "%PDF", 4))
		what = "this is a PDF: send the list as CSV, TXT or NDJSON";
	else if (starts(h, "\xff\xfe", 2) || starts(h, "\xfe\xff", 2) ||
		 (h->len >= 2 && (!h->data[0] != !h->data[1])))
		what = "record 1, column 1: the file is UTF-16: save it as UTF-8";
	else if (is_json_array(h))
		what = "this is a JSON array: send its objects one a line, without the brackets and "
		       "the commas between them (NDJSON)";
	if (!what)
		return RC_OK;
	rc_error_set(&fault->error, RC_INVALID, "%s", what);
	fault->record = 1;
	fault->column = 1;
	return RC_INVALID;
}

struct line_look {
	size_t comma, semicolon, tab;
	bool quoted_whole; /* "..." from end to end */
	bool brace;
};

/* Looks at one line; quotes count as in CSV, where they open a cell. */
static void look_line(const char *line, size_t len, struct line_look *l)
{
	bool quoted = false;

	memset(l, 0, sizeof(*l));
	while (len && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len && line[len - 1] == ' ')
		len--;
	if (!len)
		return;
	l->brace = *line == '{';
	l->quoted_whole = len >= 2 && line[0] == '"' && line[len - 1] == '"';
	for (size_t i = 0; i < len; i++) {
		if (line[i] == '"')
			quoted = !quoted;
		else if (!quoted && line[i] == ',')
			l->comma++;
		else if (!quoted && line[i] == ';')
			l->semicolon++;
		else if (!quoted && line[i] == '\t')
			l->tab++;
	}
}

static char most(const struct line_look *l)
{
	if (!l->comma && !l->semicolon && !l->tab)
		return 0;
	if (l->comma >= l->semicolon && l->comma >= l->tab)
		return ',';
	return l->semicolon >= l->tab ? ';' : '\t';
}

/* The first line that is not blank has most to say; one address a line is what is left when nothing
 * speaks for CSV. */
static void look(struct records *r, const char *text, size_t len)
{
	struct line_look sum = { 0 };
	enum records_format format = r->params.format;
	bool first = true;
	char delimiter = 0;

	for (size_t at = 0; at < len;) {
		size_t end = at;
		struct line_look l;

		while (end < len && text[end] != '\n' && text[end] != '\r')
			end++;
		if (end == len && !first && len >= r->params.window)
			break; /* cut in the middle */
		look_line(text + at, end - at, &l);
		if (first && end > at) {
			first = false;
			delimiter = most(&l);
			if (!format && l.brace)
				format = RECORDS_NDJSON;
		}
		sum.comma += l.comma;
		sum.semicolon += l.semicolon;
		sum.tab += l.tab;
		sum.quoted_whole |= l.quoted_whole;
		at = end + 1;
	}
	if (!delimiter)
		delimiter = most(&sum);
	if (!format)
		format = delimiter || sum.quoted_whole ? RECORDS_CSV : RECORDS_TXT;
	r->params.format = format;
	if (!r->params.delimiter)
		r->params.delimiter = delimiter ? delimiter : ',';
}

/* ---- octets that may stand in a list */

/* Length of the UTF-8 sequence at `s`, 0 for none (RFC 3629: no overlong forms, no surrogates). */
static size_t utf8_length(const unsigned char *s, size_t len)
{
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		return len >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if (s[0] >= 0xe0 && s[0] <= 0xef) {
		if (len < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		if (len < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 ||
		    (s[3] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

/* Where the first octet stands that is a NUL or not UTF-8; `len` where all is well. */
static size_t bad_octet(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint64_t word;
		size_t n;

		if (len - i >= sizeof(word)) {
			memcpy(&word, text + i, sizeof(word));
			/* All eight are ASCII and none is zero. */
			if (!(word & 0x8080808080808080U) &&
			    !((word - 0x0101010101010101U) & ~word & 0x8080808080808080U)) {
				i += sizeof(word);
				continue;
			}
		}
		if ((unsigned char)text[i] < 0x80) {
			if (!text[i])
				return i;
			i++;
			continue;
		}
		n = utf8_length((const unsigned char *)text + i, len - i);
		if (!n)
			return i;
		i += n;
	}
	return len;
}

/* The cell of the octet `at` of a record, from 1. */
static size_t column_of(const struct records *r, const char *raw, size_t at)
{
	size_t column = 1;
	bool quoted = false;

	if (r->params.format != RECORDS_CSV)
		return 1;
	for (size_t i = 0; i < at; i++) {
		if (raw[i] == '"')
			quoted = !quoted;
		else if (raw[i] == r->params.delimiter && !quoted)
			column++;
	}
	return column;
}

/* ---- records */

static enum rc_status too_long(struct records *r, struct list_fault *fault)
{
	if (r->open) {
		size_t count;

		cells_get(r->cells, &count);
		return list_fault_set(fault, RC_INVALID, r->number, count + 1,
				      "the quote that opens here is not closed within 1 MiB");
	}
	return list_fault_set(fault, RC_INVALID, r->number + 1, 1, "the line is longer than 1 MiB");
}

static enum rc_status emit(struct records *r, const char *raw, size_t len, bool blank,
			   struct list_fault *fault)
{
	struct record record = { .number = r->number, .raw = raw, .raw_len = len };

	while (record.raw_len &&
	       (raw[record.raw_len - 1] == '\n' || raw[record.raw_len - 1] == '\r'))
		record.raw_len--;
	if (r->cells && !blank)
		record.cell = cells_get(r->cells, &record.cells);
	return r->on_record(r->ctx, &record, fault);
}

/* One line with its end. `raw` is the whole record so far, `line` its last part. */
static enum rc_status take_line(struct records *r, const char *raw, size_t raw_len, size_t line_at,
				bool *ret_more, struct list_fault *fault)
{
	const char *line = raw + line_at;
	size_t len = raw_len - line_at;
	size_t bad = bad_octet(line, len);
	size_t count;

	*ret_more = false;
	if (!r->open)
		r->number++;
	if (bad < len) {
		unsigned char octet = (unsigned char)line[bad];
		size_t column = column_of(r, raw, line_at + bad);

		if (!octet)
			return list_fault_set(
			    fault, RC_INVALID, r->number, column,
			    "octet %zu of the line is a NUL: this is not a text file", bad + 1);
		return list_fault_set(
		    fault, RC_INVALID, r->number, column,
		    "octet %zu of the line (0x%02X) is not UTF-8: save the file as UTF-8", bad + 1,
		    octet);
	}
	if (!r->cells)
		return emit(r, raw, raw_len, false, fault);
	if (!r->open) {
		cells_clear(r->cells);
		if (cells_blank(r->cells, line, len))
			return emit(r, raw, raw_len, true, fault);
	}
	switch (cells_feed(r->cells, line, len)) {
	case CELLS_ROW:
		r->open = false;
		return emit(r, raw, raw_len, false, fault);
	case CELLS_MORE:
		r->open = true;
		*ret_more = true;
		return RC_OK;
	case CELLS_BAD:
		break;
	}
	cells_get(r->cells, &count);
	if (count >= CELLS_MAX)
		return list_fault_set(fault, RC_INVALID, r->number, count, "more than %d columns",
				      CELLS_MAX);
	return list_fault_set(fault, RC_INVALID, r->number, count + 1,
			      "a quote stands where none may: put quotes around the whole cell and "
			      "double those inside");
}

static enum rc_status keep(struct records *r, const char *data, size_t len,
			   struct list_fault *fault)
{
	if (r->raw.len + len > RECORD_MAX)
		return too_long(r, fault);
	rc_buf_add(&r->raw, data, len);
	return r->raw.failed ? list_fault_set(fault, RC_NO_MEMORY, 0, 0, "out of memory") : RC_OK;
}

/* A line end was met at data[len - 1]. */
static enum rc_status end_line(struct records *r, const char *data, size_t len,
			       struct list_fault *fault)
{
	enum rc_status status;
	bool more;

	if (r->raw.len + len > RECORD_MAX + 2)
		return too_long(r, fault);
	if (!r->raw.len) {
		status = take_line(r, data, len, 0, &more, fault);
		if (status == RC_OK && more)
			status = keep(r, data, len, fault);
	} else {
		rc_buf_add(&r->raw, data, len);
		if (r->raw.failed)
			return list_fault_set(fault, RC_NO_MEMORY, 0, 0, "out of memory");
		status = take_line(r, r->raw.data, r->raw.len, r->line_at, &more, fault);
		if (status == RC_OK && !more)
			rc_buf_clear(&r->raw);
	}
	r->line_at = r->raw.len;
	return status;
}

static enum rc_status cut(struct records *r, const char *data, size_t len, struct list_fault *fault)
{
	const char *end = data + len;
	const char *next_lf =
	    NULL; /* kept, so that a file of lone CRs is not searched anew for each of them */
	enum rc_status status;

	while (data < end) {
		const char *stop, *cr;

		if (r->after_cr) {
			r->after_cr = false;
			if (*data == '\n') {
				if (r->open) {
					status = end_line(r, data, 1, fault);
					if (status != RC_OK)
						return status;
				}
				data++;
				continue;
			}
		}
		if (!next_lf || next_lf < data) {
			next_lf = memchr(data, '\n', (size_t)(end - data));
			if (!next_lf)
				next_lf = end;
		}
		cr = memchr(data, '\r', (size_t)(next_lf - data));
		stop = cr ? cr : next_lf;
		if (stop == end)
			return keep(r, data, (size_t)(end - data), fault);
		r->after_cr = *stop == '\r';
		status = end_line(r, data, (size_t)(stop + 1 - data), fault);
		if (status != RC_OK)
			return status;
		data = stop + 1;
	}
	return RC_OK;
}

static enum rc_status begin(struct records *r, struct list_fault *fault)
{
	enum rc_status status = refuse_binary(&r->head, fault);
	size_t skip = starts(&r->head, "\xef\xbb\xbf", 3) ? 3 : 0;

	if (status != RC_OK)
		return status;
	r->began = true;
	look(r, r->head.data ? r->head.data + skip : "", r->head.len - skip);
	if (r->params.format == RECORDS_CSV) {
		r->cells = cells_new(r->params.delimiter);
		if (!r->cells)
			return list_fault_set(fault, RC_NO_MEMORY, 0, 0, "out of memory");
	}
	if (r->head.len > skip)
		status = cut(r, r->head.data + skip, r->head.len - skip, fault);
	rc_buf_done(&r->head);
	rc_buf_init(&r->head, 0);
	return status;
}

static enum rc_status feed(struct records *r, const char *data, size_t len,
			   struct list_fault *fault)
{
	if (!r->began) {
		size_t room = r->params.window - r->head.len;
		size_t n = len < room ? len : room;
		enum rc_status status;

		rc_buf_add(&r->head, data, n);
		if (r->head.failed)
			return list_fault_set(fault, RC_NO_MEMORY, 0, 0, "out of memory");
		if (r->head.len < r->params.window)
			return RC_OK;
		status = begin(r, fault);
		if (status != RC_OK)
			return status;
		data += n;
		len -= n;
	}
	return cut(r, data, len, fault);
}

enum rc_status records_feed(struct records *r, const char *data, size_t len,
			    struct list_fault *fault)
{
	enum rc_status status;

	assert(!r->broken);
	status = feed(r, data, len, fault);
	r->broken = status != RC_OK;
	return status;
}

enum rc_status records_finish(struct records *r, struct list_fault *fault)
{
	enum rc_status status = RC_OK;

	assert(!r->broken);
	if (!r->began)
		status = begin(r, fault);
	if (status == RC_OK && r->raw.len > r->line_at)
		status = end_line(r, "\n", 1, fault);
	if (status == RC_OK && r->open) {
		size_t count;

		cells_get(r->cells, &count);
		status = list_fault_set(fault, RC_INVALID, r->number, count + 1,
					"the quote that opens here is never closed");
	}
	r->broken = status != RC_OK;
	return status;
}
