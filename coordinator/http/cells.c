#include "coordinator/http/cells.h"

#include <csv.h>
#include <stdlib.h>

#include "common/base/buf.h"

struct cells {
	struct csv_parser parser;
	struct rc_buf text; /* the cells' octets, one after the other */
	struct cell *cell;  /* .text is set by cells_get: `text` may move until then */
	size_t count, room;
	char delimiter;
	bool row, too_many;
};

static int space_or_tab(unsigned char c)
{
	return c == ' ' || c == '\t';
}

static int space_only(unsigned char c)
{
	return c == ' ';
}

static bool parser_start(struct cells *c)
{
	if (csv_init(&c->parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
		return false;
	csv_set_delim(&c->parser, (unsigned char)c->delimiter);
	csv_set_space_func(&c->parser, c->delimiter == '\t' ? space_only : space_or_tab);
	return true;
}

struct cells *cells_new(char delimiter)
{
	struct cells *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->delimiter = delimiter;
	rc_buf_init(&c->text, 0);
	if (!parser_start(c)) {
		free(c);
		return NULL;
	}
	return c;
}

void cells_free(struct cells *c)
{
	if (!c)
		return;
	csv_free(&c->parser);
	rc_buf_done(&c->text);
	free(c->cell);
	free(c);
}

void cells_clear(struct cells *c)
{
	if (!c->row && (c->count || c->text.len || c->too_many || c->parser.pstate)) {
		/* Half a record is in the parser: there is no call that forgets it, so it starts
		 * anew. */
		csv_free(&c->parser);
		(void)parser_start(c);
	}
	rc_buf_clear(&c->text);
	c->count = 0;
	c->row = c->too_many = false;
}

static void on_cell(void *text, size_t len, void *ctx)
{
	struct cells *c = ctx;

	if (c->count == CELLS_MAX) {
		c->too_many = true;
		return;
	}
	if (c->count == c->room) {
		size_t room = c->room ? 2 * c->room : 32;
		struct cell *cell = realloc(c->cell, room * sizeof(*cell));

		if (!cell) {
			c->text.failed = true;
			return;
		}
		c->cell = cell;
		c->room = room;
	}
	c->cell[c->count++].len = len;
	rc_buf_add(&c->text, text, len);
}

static void on_row(int end, void *ctx)
{
	struct cells *c = ctx;

	(void)end;
	c->row = true;
}

enum cells_state cells_feed(struct cells *c, const char *line, size_t len)
{
	if (csv_parse(&c->parser, line, len, on_cell, on_row, c) != len || c->too_many ||
	    c->text.failed)
		return CELLS_BAD;
	return c->row ? CELLS_ROW : CELLS_MORE;
}

const struct cell *cells_get(struct cells *c, size_t *ret_count)
{
	const char *at = c->text.data ? c->text.data : "";

	for (size_t i = 0; i < c->count; i++) {
		c->cell[i].text = at;
		at += c->cell[i].len;
	}
	*ret_count = c->count;
	return c->cell;
}

bool cells_blank(const struct cells *c, const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != ' ' && line[i] != '\r' && line[i] != '\n' &&
		    (line[i] != '\t' || c->delimiter == '\t'))
			return false;
	return true;
}
