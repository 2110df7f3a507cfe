/*
 * records - the octets of an uploaded list, cut into records as they arrive: CSV, one address a
 * line, or NDJSON.
 *
 * Line ends are LF, CRLF or CR, also mixed. An empty line is a record. A BOM is dropped. Where the
 * format or the delimiter is not given, the first octets (`window`) decide. Refused, with record
 * and column: what is not UTF-8, a NUL, a record over RECORD_MAX, a quote that is never closed (at
 * the record where it opened), a quote inside a cell, and files that are no text
 * (.xlsx, .ods, .zip, .pdf, UTF-16). However the octets are split over calls, the outcome is the
 * same.
 *
 * Owner: whoever made it; one thread. No I/O. Memory: the window and one record. After an error it
 * takes no more.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_RECORDS_H
#define ROLLCALL_COORDINATOR_HTTP_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/http/cells.h"

enum { RECORD_MAX = 1024 * 1024, RECORDS_WINDOW = 64 * 1024 };

enum records_format { RECORDS_LOOK = 0, RECORDS_CSV, RECORDS_TXT, RECORDS_NDJSON };

/* Where a list is wrong. The sentence in `error` names the place too. */
struct list_fault {
	struct rc_error error;
	uint64_t record; /* from 1, a header included; 0: the file as a whole */
	uint64_t row;	 /* from 1, a header excluded; 0: not a row. Filled by list.c */
	size_t column;	 /* from 1; 0: no one column */
};

struct record {
	uint64_t number; /* from 1 */
	const char *raw; /* as it came, without its line end */
	size_t raw_len;
	const struct cell *cell; /* CSV; else none */
	size_t cells;		 /* 0: a blank line */
};

typedef enum rc_status (*records_on_record)(void *ctx, const struct record *record,
					    struct list_fault *fault);

struct records_params {
	enum records_format format;
	char delimiter; /* of CSV; 0: look */
	size_t window;	/* octets to look at first; 0: RECORDS_WINDOW */
};

struct records;

/* NULL when out of memory. */
struct records *records_new(const struct records_params *params, records_on_record on_record,
			    void *ctx);
/* Takes NULL. */
void records_free(struct records *records);
/* Calls on_record for each record that is complete; what it returns other than RC_OK ends the call.
 */
enum rc_status records_feed(struct records *records, const char *data, size_t len,
			    struct list_fault *fault) RC_MUST_CHECK;
/* The end of the file: the last record may lack its line end. */
enum rc_status records_finish(struct records *records, struct list_fault *fault) RC_MUST_CHECK;
/* Known from the first record on: RECORDS_LOOK before. */
enum records_format records_get_format(const struct records *records);
char records_get_delimiter(const struct records *records);

/* Fills the fault's sentence: "record 3, column 2: ..." Returns `status`. */
enum rc_status list_fault_set(struct list_fault *fault, enum rc_status status, uint64_t record,
			      size_t column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
