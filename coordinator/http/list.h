/*
 * list - what the records of an uploaded file mean: header or not, column names, where the address
 * stands, which row is which.
 *
 * The first 1,000 records (at most 4 MiB of them) are kept until the address column is known: by
 * `column`, by its name (email, e-mail, email_address, mail), else the one with most `@`; a tie is
 * an error. A header is a first record without `@` (blank lines before it are rows). Rows count
 * from 1, the header excluded. A missing or empty address is a blank row.
 *
 * Owner: whoever made it; one thread. No I/O. After an error it takes no more.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_LIST_H
#define ROLLCALL_COORDINATOR_HTTP_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/http/records.h"

enum { LIST_SAMPLE = 1000, LIST_SAMPLE_OCTETS = 4 * 1024 * 1024, LIST_NAME_MAX = 256 };

struct list_row {
	uint64_t n;	 /* from 1 */
	const char *raw; /* the record as it came, without its line end */
	size_t raw_len;
	const char *address; /* trimmed; no NUL at its end */
	size_t address_len;  /* 0: blank */
};

typedef enum rc_status (*list_on_row)(void *ctx, const struct list_row *row,
				      struct list_fault *fault);

enum list_header { LIST_HEADER_LOOK = 0, LIST_HEADER_YES, LIST_HEADER_NO };

struct list_params {
	struct records_params records;
	enum list_header header;
	const char *column; /* name, or number from 1; NULL: look */
};

struct list;

/* NULL when out of memory. `params->column` is copied. */
struct list *list_new(const struct list_params *params, list_on_row on_row, void *ctx);
/* Takes NULL. */
void list_free(struct list *list);
enum rc_status list_feed(struct list *list, const char *data, size_t len,
			 struct list_fault *fault) RC_MUST_CHECK;
/* An empty file and a header without rows are refused here. */
enum rc_status list_finish(struct list *list, struct list_fault *fault) RC_MUST_CHECK;

/* After list_finish. */
uint64_t list_rows(const struct list *list);
enum records_format list_format(const struct list *list);
char list_delimiter(const struct list *list);
/* Names of all columns; a record with more cells than the header has makes column_N. */
const char *const *list_columns(const struct list *list, size_t *ret_count);
size_t list_address_column(const struct list *list); /* from 1 */

#endif
