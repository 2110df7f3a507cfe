/*
 * outcomes - what became of sent messages, on its way into the counts that scores are measured by.
 *
 * An import is one transaction: rows go to a temporary table, are joined to the tenant's newest
 * result of the address at that time, and change outcome, outcome_bucket and outcome_import at
 * once. One import of a tenant at a time. Nothing of it is seen before outcomes_commit(), and no
 * address stays behind.
 *
 * A result has one outcome at most: the first delivery, or a bounce that came after it. So the same
 * rows again change nothing.
 */
#ifndef ROLLCALL_COORDINATOR_STORE_OUTCOMES_H
#define ROLLCALL_COORDINATOR_STORE_OUTCOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/core/outcome.h"
#include "coordinator/store/jobs.h"

struct db;
struct outcomes;

enum {
	OUTCOMES_ID_MAX = 32,
	OUTCOMES_ROWS_MAX = 5000000,
	OUTCOMES_AGE_MAX_DAYS = 90 /* a result speaks of what is sent within that time */
};

struct outcomes_counts {
	int64_t rows, delivered, bounced, repeated, ignored, unmatched, bad;
};

struct outcomes_view {
	int64_t id;
	char public_id[OUTCOMES_ID_MAX], name[256], format[32];
	struct outcomes_counts counts;
	int64_t created_ms;
};

/* DELIVERED, BOUNCED or IGNORED for a row that an exporter calls a bounce. */
typedef enum outcome_kind (*outcomes_decide)(void *ctx, const char *provider,
					     enum outcome_kind kind, const char *diagnostic,
					     size_t len);

struct outcomes_params {
	struct job_scope scope;
	const char *name;
	const char *idempotency_key; /* NULL: none */
	outcomes_decide decide;
	void *ctx;
};

/* `address`: local part in lower case and domain, one behind the other. */
struct outcomes_row {
	const char *address;
	size_t local_len, domain_len;
	enum outcome_kind kind;
	int64_t at_ms; /* 0: the moment of the import */
	const char *diagnostic;
	size_t diagnostic_len;
};

struct outcomes_end {
	const char *format;
	unsigned char sha256[32];
	int64_t bad;
	const char *faults; /* JSON array of the first bad rows */
};

enum rc_status outcomes_begin(struct db *db, const struct outcomes_params *params,
			      struct outcomes **ret_outcomes, struct rc_error *err) RC_MUST_CHECK;
/* RC_LIMIT beyond OUTCOMES_ROWS_MAX. */
enum rc_status outcomes_row(struct outcomes *outcomes, const struct outcomes_row *row,
			    struct rc_error *err) RC_MUST_CHECK;
/*
 * Ends `outcomes` in any case. *ret_known: the same file was imported before, and nothing of it was
 * new: *ret_view is that import. RC_CONFLICT: the idempotency key was used for another file.
 */
enum rc_status outcomes_commit(struct outcomes *outcomes, const struct outcomes_end *end,
			       struct outcomes_view *ret_view, bool *ret_known,
			       struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void outcomes_abort(struct outcomes *outcomes);

/* Newest first; `before`: only ids below it, 0: all. */
enum rc_status outcomes_list(struct db *db, const struct job_scope *scope, int64_t before,
			     int limit, struct outcomes_view *ret_views, int *ret_count,
			     bool *ret_more, struct rc_error *err) RC_MUST_CHECK;
/* *ret_faults: JSON, to be free()d. */
enum rc_status outcomes_get(struct db *db, const struct job_scope *scope, const char *public_id,
			    struct outcomes_view *ret_view, char **ret_faults,
			    struct rc_error *err) RC_MUST_CHECK;

#endif
