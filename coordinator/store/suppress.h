/*
 * suppress - whom a tenant never mails: addresses and whole domains, of the tenant or of one of his
 * clients.
 *
 * An upload is one transaction: nothing of it is seen before suppress_commit(); suppress_abort(),
 * or a crash, leaves nothing. Its connection is its own meanwhile. Who is bound to a client sees
 * and changes only that client's entries.
 */
#ifndef ROLLCALL_COORDINATOR_STORE_SUPPRESS_H
#define ROLLCALL_COORDINATOR_STORE_SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/reply/reason.h"
#include "coordinator/store/jobs.h"

struct db;
struct suppress;

enum { SUPPRESS_ENTRY_MAX = 384, SUPPRESS_ROWS_MAX = 20000000 };

/* `scope->client` "" or NULL: for all of the tenant. */
enum rc_status suppress_begin(struct db *db, const struct job_scope *scope,
			      struct suppress **ret_suppress, struct rc_error *err) RC_MUST_CHECK;
/* `local` in lower case, "" for every mailbox of the domain. RC_LIMIT beyond SUPPRESS_ROWS_MAX. */
enum rc_status suppress_row(struct suppress *suppress, const char *local, size_t local_len,
			    const char *domain, size_t domain_len,
			    struct rc_error *err) RC_MUST_CHECK;
/* Ends `suppress` in any case. *ret_known: entries that stood there already. */
enum rc_status suppress_commit(struct suppress *suppress, int64_t *ret_added, int64_t *ret_known,
			       struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void suppress_abort(struct suppress *suppress);

struct suppress_view {
	int64_t id;
	char entry[SUPPRESS_ENTRY_MAX]; /* "ann@example.org", "@example.org" */
	char client[128];		/* "": all of the tenant */
	enum rc_reason reason;		/* UNSET: uploaded */
	char job[JOB_ID_MAX];		/* "": uploaded */
	int64_t added_ms;
};

/* Newest first; `before`: only ids below it, 0: all. `domain` NULL: any. *ret_total counts what
 * there is, whatever `before` says. */
enum rc_status suppress_list(struct db *db, const struct job_scope *scope, const char *domain,
			     int64_t before, int limit, struct suppress_view *ret_views,
			     int *ret_count, bool *ret_more, int64_t *ret_total,
			     struct rc_error *err) RC_MUST_CHECK;
/* RC_NOT_FOUND: there is none such. */
enum rc_status suppress_remove(struct db *db, const struct job_scope *scope, const char *local,
			       const char *domain, struct rc_error *err) RC_MUST_CHECK;

/* The explicit refusals of the next job that has ended and asked for it (suppress_invalid), in a
 * transaction of its own. *ret_job is 0 where there is none. */
enum rc_status suppress_refused(struct db *db, int64_t *ret_job, int64_t *ret_added,
				struct rc_error *err) RC_MUST_CHECK;

#endif
