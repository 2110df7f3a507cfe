/*
 * writes - all that one transaction of the planner, the leader or the sink adds to the record:
 * collected, then written with a statement a kind. Nothing is in the database before
 * writes_flush(), and nothing holds before the caller's commit.
 *
 * Rows are idempotent where Kafka may bring a thing twice: a result that is there stays, and the
 * counts follow what was really inserted. One thread; memory grows with what is collected.
 */
#ifndef COORDINATOR_STORE_WRITES_H
#define COORDINATOR_STORE_WRITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct db;
struct writes;

/* A final row. Strings may be NULL; they are copied. */
struct write_result {
	int64_t job;
	int64_t uid;
	int reason;
	unsigned flags;
	int score;	    /* -1: none */
	unsigned smtp_code; /* 0: none */
	const char *enhanced, *provider, *mx, *did_you_mean, *rule;
	unsigned attempts;
	int64_t lane; /* -1: none */
	int64_t checked_at_ms;
	uint64_t shard; /* 0: none */
	uint32_t sending, part;
	int64_t basis;	   /* history_pack(); -1: none */
	uint64_t rules;	   /* their version */
	bool was_deferred; /* its line in `deferred` goes */
};

struct write_deferred {
	int64_t job;
	int64_t uid;
	int32_t domain_no;
	unsigned attempt, tries;
	int reason;
	int64_t first_at_ms, due_at_ms;
	int64_t lane;
	const char *mx_host, *mx_address;
	const char *control_local;
	size_t control_local_len;
	bool need_control;
	unsigned idle;
	unsigned smtp_code;
	const char *enhanced;
	uint64_t evidence_shard;
	uint32_t evidence_sending, evidence_part;
	int64_t basis; /* history_pack(); -1: as it was */
	bool healing;  /* waits for the lane */
};

/* A verdict for the address's history. */
struct write_history {
	int64_t tenant;
	const char *domain, *local;
	size_t local_len;
	int64_t job, uid;
	int reason;
	int control; /* enum verdict_control */
	int64_t lane;
	int64_t checked_at_ms;
};

/* What becomes of a domain of a job. */
enum {
	DOMAIN_TO_RESOLVE = 0,
	DOMAIN_RESOLVING = 1,
	DOMAIN_PROBING = 2,
	DOMAIN_DECIDED = 3,
	DOMAIN_TO_RESOLVE_AGAIN = 4,
	DOMAIN_SAMPLING = 5
};

struct write_domain {
	int64_t job;
	int32_t domain_no;
	int state;
	unsigned attempts;
	int64_t first_at_ms, due_at_ms;	 /* 0: null */
	const char *mx_group, *provider; /* NULL: as it was */
	int64_t lane;			 /* -1: as it was */
	const void *resolution;		 /* NULL: as it was, and so is `risk` */
	size_t resolution_len;
	unsigned risk; /* RISK_PARKED ... of coordinator/core/risk.h */
};

enum { SHARD_QUEUED = 0, SHARD_SENT = 1, SHARD_DONE = 2, SHARD_HELD = 3, SHARD_DROPPED = 4 };

/* A first attempt (uids NULL), or rows by name. */
struct write_shard {
	int64_t job;
	int class;
	int64_t lane;
	int32_t domain_no;
	const char *mx_group;
	int64_t first_uid;
	uint32_t n;
	const int64_t *uids; /* n of them, or NULL */
	bool held;
};

struct writes *writes_new(void);
/* Takes NULL. */
void writes_free(struct writes *w);
void writes_clear(struct writes *w);

/* `table_set`: the job's, "" or "_17". */
void writes_result(struct writes *w, const char *table_set, const struct write_result *result);
void writes_deferred(struct writes *w, const struct write_deferred *row);
void writes_domain(struct writes *w, const struct write_domain *domain);
void writes_shard(struct writes *w, const struct write_shard *shard);
void writes_report(struct writes *w, uint64_t shard, uint32_t attempt, uint32_t part,
		   const void *body, size_t len);
void writes_shard_done(struct writes *w, uint64_t shard);
/* What a job remembers of a domain: the guard's memory (`tripped`: held from now on, its queued
 * shards too), whether it was seen to reject everybody, or to refuse whomever we ask for, and who
 * was accepted last (0: nobody new). */
void writes_harvest(struct writes *w, int64_t job, int32_t domain_no, const void *memory,
		    size_t len, bool tripped, bool rejects_all, bool doubted, int64_t witness);
/* The tenant's own. */
void writes_history(struct writes *w, const struct write_history *history);
/* What a lane has met at an MX group: answers (`ok_at_ms`, which ends a block), or a block since
 * then; 0: neither. */
void writes_health(struct writes *w, int64_t lane, const char *mx_group, int64_t ok_at_ms,
		   int64_t blocked_since_ms);
/* The servers answer the lane again: rows that waited for that are due. */
void writes_healed(struct writes *w, int64_t lane, const char *mx_group);
/* What an MX group has shown of its greylisting; replaces what was known. `passed_domain` NULL: as
 * it was. */
struct window;
void writes_window(struct writes *w, const char *mx_group, const struct window *window,
		   const char *passed_domain);
/*
 * A lane is to leave an MX group alone for a while. `strike`: they used to answer it, so that it is
 * tried again with a few recipients, and a further block holds longer. Who has never answered it is
 * asked by the schedule, as far as the hold lets it: nothing says that this could heal.
 */
void writes_hold(struct writes *w, int64_t lane, const char *mx_group, int64_t until_ms, int health,
		 bool strike, const char *why);
/* It was on probation there, and is received again. */
void writes_lane_well(struct writes *w, int64_t lane, const char *mx_group);
/* What a probe taught of a domain: control 0: nothing new. */
void writes_known_control(struct writes *w, const char *domain, int control, int64_t control_at_ms,
			  int64_t control_lane, const char *control_host, int64_t accepted_at_ms);
/* `provider` NULL: none is known; `mx_group` NULL: no mail server. */
void writes_known_resolution(struct writes *w, const char *domain, const void *resolution,
			     size_t len, uint32_t ttl_s, int64_t resolved_at_ms,
			     const char *provider, const char *mx_group);

/* How many rows of any kind wait. */
size_t writes_rows(const struct writes *w);
/* Within the caller's transaction. `counter`: the line of job_count, see there. Empties it,
 * whatever comes. */
enum rc_status writes_flush(struct writes *w, struct db *db, int counter,
			    struct rc_error *err) RC_MUST_CHECK;

#endif
