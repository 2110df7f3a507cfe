/*
 * results - the rows of a job with what is known of each, in input order, a chunk of the input at a
 * time.
 *
 * Every chunk is one statement (two while rows are between attempts): nothing is held open between
 * two chunks, so a slow reader keeps neither a transaction nor, if it likes, a connection. A row
 * without a final result is rendered from the job's state: cancelled, waiting for its retry, or not
 * probed.
 */
#ifndef ROLLCALL_COORDINATOR_STORE_RESULTS_H
#define ROLLCALL_COORDINATOR_STORE_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/store/jobs.h"
#include "coordinator/store/result_row.h"

struct db;

struct results_job {
	int64_t id;
	char public_id[JOB_ID_MAX];
	char name[256];
	char format[32];
	char table_set[32];
	enum job_state state;
	bool planned;
	int64_t rows;
	char **columns;
	size_t column_count;
	char **lane; /* names by number; NULL where there is none */
	size_t lane_count;
};

/* Owned by the caller: results_close(). */
enum rc_status results_open(struct db *db, const struct job_scope *scope, const char *public_id,
			    struct results_job **ret_job, struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void results_close(struct results_job *job);

struct results_record {
	const char *raw;
	size_t len;
	struct result_row row;
};

struct results_chunk {
	int64_t first_row; /* from 1 */
	size_t count;
	struct results_record *record;
	void *memory[3]; /* private: what the strings stand in */
};

/* RC_NOT_FOUND: there is no such chunk, the last one was before it. */
enum rc_status results_chunk_load(struct db *db, const struct results_job *job, int chunk_no,
				  struct results_chunk *ret_chunk,
				  struct rc_error *err) RC_MUST_CHECK;
/* Takes one that was never loaded, if zeroed. */
void results_chunk_done(struct results_chunk *chunk);

/* One row with its evidence: GET /v1/jobs/{id}/rows/{n}. */
struct results_part {
	int64_t shard;
	int shard_attempt, part;
	const uint8_t *body; /* the Report message */
	size_t len;
};

struct results_detail {
	int64_t uid; /* 0: a blank row, or not planned yet */
	int64_t domain_no;
	const char *local;	   /* of a bad row the whole cell; "" for a blank one */
	const char *domain;	   /* "" of a bad row */
	const uint8_t *resolution; /* the Resolution message, or NULL */
	size_t resolution_len;
	struct result_row row;
	bool reused; /* its verdict is an earlier job's, and so is its evidence */
	int64_t evidence_job, evidence_uid; /* whose reports speak of it */
	int64_t next_attempt_ms;	    /* 0: none */
	const char *moves; /* JSON, oldest first: at, from, to, reason, greylist_clock_restarted;
			      NULL: not looked for */
	size_t moves_len;
	struct results_part *part; /* by shard, attempt, part */
	size_t parts;
	void *memory[4]; /* private */
};

enum { RESULTS_PARTS_MAX = 200 };

/* RC_NOT_FOUND: the job has no such row. Free with results_detail_done(). */
enum rc_status results_detail_load(struct db *db, const struct results_job *job, int64_t n,
				   struct results_detail *ret_detail,
				   struct rc_error *err) RC_MUST_CHECK;
void results_detail_done(struct results_detail *detail);

#endif
