/*
 * upload - a list on its way into the database: one transaction from the first row to the commit.
 *
 * The input goes to input_chunk, the addresses to stage_<job> for the planner. Until
 * upload_commit() nobody sees anything of it; upload_abort(), or a crash, leaves nothing. Uses its
 * connection alone from begin to commit or abort. Memory: a chunk (4,096 records or 4 MiB) and its
 * stage rows. After an error only upload_abort() may follow.
 */
#ifndef ROLLCALL_COORDINATOR_STORE_UPLOAD_H
#define ROLLCALL_COORDINATOR_STORE_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct db;
struct upload;

enum { JOB_ID_MAX = 32, UPLOAD_CHUNK_ROWS = 4096, UPLOAD_CHUNK_OCTETS = 4 * 1024 * 1024 };

enum stage_kind { STAGE_BLANK = 0, STAGE_ADDRESS = 1, STAGE_BAD_SYNTAX = 2 };

struct upload_params {
	int tenant;
	const char *client; /* NULL: none */
	const char *name;
	const char *idempotency_key; /* NULL: none */
	bool interactive;
	bool suppress_invalid;
	int64_t deadline_ms; /* from now; 0: the default */
	int64_t max_age_ms;  /* verdicts of earlier jobs that may stand for new ones; 0: none */
};

struct upload_row {
	const char *raw;
	size_t raw_len;
	enum stage_kind kind;
	const char *local; /* of a bad row the cell */
	size_t local_len;
	const char *domain;
	size_t domain_len;
	const char *did_you_mean; /* NULL: none */
};

struct upload_end {
	const char *format; /* csv, csv-semicolon, csv-tab, txt, ndjson */
	const char *const *columns;
	size_t column_count;
	size_t address_column;	  /* from 1 */
	unsigned char sha256[32]; /* of the input */
};

/* RC_CONFLICT: a job has this idempotency key. */
enum rc_status upload_begin(struct db *db, const struct upload_params *params,
			    struct upload **ret_upload, struct rc_error *err) RC_MUST_CHECK;
/* The next row, in order. */
enum rc_status upload_row(struct upload *upload, const struct upload_row *row,
			  struct rc_error *err) RC_MUST_CHECK;
/* Ends `upload` in any case. *ret_public_id names the job. */
enum rc_status upload_commit(struct upload *upload, const struct upload_end *end,
			     char ret_public_id[JOB_ID_MAX], struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void upload_abort(struct upload *upload);

#endif
