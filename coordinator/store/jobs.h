/*
 * jobs - what the API shows and does of a job as a whole.
 *
 * Everything is looked up by tenant and public id (and by the key's client, where it is bound to
 * one), so that another's id is not found. Plain structs out; strings are cut to their field.
 */
#ifndef ROLLCALL_COORDINATOR_STORE_JOBS_H
#define ROLLCALL_COORDINATOR_STORE_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/reply/reason.h"
#include "coordinator/store/upload.h"

struct db;

enum job_state {
	JOB_UNSET = 0,
	JOB_PLANNING,
	JOB_WAITING_START,
	JOB_RUNNING,
	JOB_PAUSED,
	JOB_HELD,
	JOB_DONE,
	JOB_CANCELLED,
	JOB_FAILED
};

const char *job_state_name(enum job_state state);
enum job_state job_state_find(const char *name);

/* Who asks. */
struct job_scope {
	int tenant;
	const char *client; /* NULL or "": the whole tenant */
};

struct job_view {
	int64_t id;
	char public_id[JOB_ID_MAX];
	char name[256];
	char client[128];
	char error[512];
	enum job_state state;
	bool interactive;
	bool planned; /* the counts below mean something */
	int64_t rows, blank, items;
	int64_t final;		  /* items that have their result */
	int64_t waiting;	  /* items between two attempts */
	int64_t waiting_until_ms; /* the first of them is due; 0: none */
	int64_t created_ms, started_ms, finished_ms, deadline_ms; /* 0: not yet */
	int64_t reason[RC_REASON_COUNT]; /* items by reason, blank rows added */
};

enum rc_status jobs_get(struct db *db, const struct job_scope *scope, const char *public_id,
			struct job_view *ret_job, struct rc_error *err) RC_MUST_CHECK;
/* Newest first, those of POST /v1/verify left out. `before` 0: from the newest. *ret_more: there
 * are older ones. */
enum rc_status jobs_list(struct db *db, const struct job_scope *scope, int64_t before, int limit,
			 struct job_view *ret_jobs, int *ret_count, bool *ret_more,
			 struct rc_error *err) RC_MUST_CHECK;

enum job_action { JOB_START = 1, JOB_PAUSE, JOB_RESUME, JOB_CANCEL };

/* RC_CONFLICT: it cannot be done in the job's state, which the sentence names. Done already is
 * RC_OK. */
enum rc_status jobs_act(struct db *db, const struct job_scope *scope, const char *public_id,
			enum job_action action, struct rc_error *err) RC_MUST_CHECK;
/* All of its data, in one transaction. */
enum rc_status jobs_delete(struct db *db, const struct job_scope *scope, const char *public_id,
			   struct rc_error *err) RC_MUST_CHECK;
/* The job that this idempotency key made. RC_NOT_FOUND: none. */
enum rc_status jobs_find_idempotent(struct db *db, int tenant, const char *key,
				    char ret_public_id[JOB_ID_MAX], unsigned char ret_sha256[32],
				    struct rc_error *err) RC_MUST_CHECK;

#endif
