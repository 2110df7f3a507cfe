/*
 * cells - one CSV record at a time, split into its cells by libcsv.
 *
 * The caller feeds whole lines with their line end (LF, CR, or the LF that follows a CR inside
 * quotes), because libcsv alone swallows blank lines and runs an unclosed quote to the end of the
 * file without an error. Strict: a quote in the middle of a cell is an error. Unquoted cells are
 * trimmed. Owner: whoever made it; one thread. No I/O.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_CELLS_H
#define ROLLCALL_COORDINATOR_HTTP_CELLS_H

#include <stdbool.h>
#include <stddef.h>

struct cell {
	const char *text; /* no NUL at its end; valid until the next cells_feed or cells_clear */
	size_t len;
};

enum cells_state {
	CELLS_MORE = 1, /* a quote is open: the record goes on in the next line */
	CELLS_ROW,	/* the record is complete */
	CELLS_BAD	/* a quote where none may stand; the cell after the last one is at fault */
};

enum { CELLS_MAX = 4096 }; /* cells of a record; more is CELLS_BAD */

struct cells;

/* NULL when out of memory. */
struct cells *cells_new(char delimiter);
/* Takes NULL. */
void cells_free(struct cells *cells);
/* Forgets the record, also a half-fed one; the next line begins a new one. */
void cells_clear(struct cells *cells);
enum cells_state cells_feed(struct cells *cells, const char *line, size_t len);
/* After CELLS_ROW all cells, else those that are complete. */
const struct cell *cells_get(struct cells *cells, size_t *ret_count);
/* Whether the line holds nothing but blanks that libcsv would swallow. */
bool cells_blank(const struct cells *cells, const char *line, size_t len);

#endif
