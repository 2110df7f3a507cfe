/*
 * render - one input row with its result, as a line of CSV or NDJSON.
 *
 * CSV: the input's own columns, then ours, in the input's delimiter. Cells that a spreadsheet would
 * run as a formula get a leading ' unless `raw` (plain numbers, also signed ones, do not). NDJSON:
 * the input's members and `rollcall`. Input columns `rollcall_*` (of NDJSON: the member `rollcall`)
 * are left out: ours replace them.
 *
 * Owner: whoever made it; one thread. No I/O. Appends to an rc_buf, whose `failed` tells of memory.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_RENDER_H
#define ROLLCALL_COORDINATOR_HTTP_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "coordinator/http/records.h"
#include "coordinator/store/result_row.h"

enum render_format { RENDER_CSV = 1, RENDER_NDJSON };

struct render_params {
	enum render_format format;
	bool raw; /* no ' before formulas */
	enum records_format input;
	char delimiter;		    /* of the input, where that is CSV */
	const char *const *columns; /* of the input; copied */
	size_t column_count;
};

struct render;

/* NULL when out of memory. */
struct render *render_new(const struct render_params *params);
/* Takes NULL. */
void render_free(struct render *render);
/* The header line; nothing for NDJSON. */
void render_header(const struct render *render, struct rc_buf *out);
/* `record`: the input's record without its line end. */
void render_row(struct render *render, const char *record, size_t len, const struct result_row *row,
		struct rc_buf *out);

/* The object `rollcall` of a row: status, grade, score ... NULL when out of memory. */
json_t *render_json(const struct result_row *row);
/* The input's members (of CSV: by column name). NULL when out of memory. */
json_t *render_input_json(struct render *render, const char *record, size_t len);

#endif
