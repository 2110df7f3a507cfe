/*
 * judge_parts - the judge's inside, shared by its four files only: judge.c (reports and batches),
 * judge_read.c (what is known of what a batch speaks of), judge_answer.c (an answer as a verdict),
 * judge_close.c (what the end of a batch leaves to do). One thread; everything lives in the batch's
 * arena.
 */
#ifndef COORDINATOR_JUDGE_PARTS_H
#define COORDINATOR_JUDGE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/harvest.h"
#include "coordinator/core/window.h"
#include "coordinator/decide.h"
#include "coordinator/judge.h"
#include "coordinator/store/db.h"

enum { JUDGE_BUCKETS = 4096 };

/* What is known of a domain name, for all jobs. */
struct known {
	struct known *next;
	const char *domain;
	int control;
	int64_t control_at_ms, control_lane, accepted_at_ms;
	const char *control_host; /* of a new one; NULL: not known */
	bool control_new, accepted_new;
};

/* A lane at the servers of an MX group. */
struct health {
	struct health *next;
	int64_t lane;
	const char *group;
	int64_t ok_at_ms, blocked_since_ms; /* as stored; 0: never, not */
	int64_t ok_new_ms, blocked_new_ms;  /* of this batch, the later of the two; 0: neither */
};

/* The servers of an MX group, as greylisters. */
struct group {
	struct group *next;
	const char *name;
	struct window window;
	const char *passed; /* the domain whose rows were let through last; "" none */
	bool changed;
};

/* A domain of a job. */
struct domain {
	struct domain *next;
	int64_t job;
	int32_t no;
	const char *name, *provider_name, *group, *table_set;
	const char *meant; /* the popular domain that it is a slip of, or NULL */
	const struct rc_provider *provider;
	int state, class;
	unsigned lookups;
	int64_t first_uid;
	uint32_t n;
	struct harvest harvest;
	bool held, rejects_all, changed, risk;
	bool doubted;	 /* its servers have refused whomever we asked for */
	int64_t witness; /* uid of the last one that was accepted; 0: none */
	struct known *known;
	struct group *greylist;
};

struct row {
	struct row *next;
	int64_t job, uid;
	const char *local;
	size_t local_len;
	bool has_result, deferred, settled;
	unsigned attempt, tries, idle;
	int reason;
	enum rc_reason earlier; /* see history.h */
	int64_t first_at_ms;
	uint64_t shard;
	const struct shard *counted; /* by whom as answered */
};

struct shard {
	struct shard *next;
	uint64_t id;
	int64_t job, lane;
	uint32_t next_lane; /* where what this one cannot reach goes */
	int kind, state;
	uint32_t n, attempt, answered;
	const char *table_set;
	bool job_open;
	int class;
	struct domain *domain; /* NULL: a resolve shard */
	struct health *health; /* with `domain` */
	int32_t tenant;
	const struct posteriors *measured; /* of its tenant */
	bool final, final_current;	   /* its last part came; of its latest attempt */
};

struct lookup {
	struct lookup *next;
	uint64_t shard;
	struct decide_domain domain;
	bool answered;
};

struct judge {
	const struct context *context;
	struct rc_arena *arena;
	struct shard *shards[JUDGE_BUCKETS];
	struct row *rows[JUDGE_BUCKETS];
	struct domain *domains[JUDGE_BUCKETS];
	struct known *known[JUDGE_BUCKETS];
	struct lookup *lookups[JUDGE_BUCKETS];
	struct health *health[JUDGE_BUCKETS];
	struct group *groups[JUDGE_BUCKETS];
	const struct decide *d;	     /* of this batch */
	struct db_result *probation; /* lease_probation(), as of this batch */
};

/* judge_read.c: by the ids that messages carry; NULL: not of this batch. */
struct shard *judge_shard(const struct judge *j, uint64_t id);
struct row *judge_row(const struct judge *j, int64_t job, int64_t uid);
struct lookup *judge_lookup(const struct judge *j, uint64_t shard, const char *domain);
/* Everything that the batch's reports speak of. */
enum rc_status judge_read(struct judge *j, Rollcall__Report *const *reports, size_t n,
			  struct rc_error *err) RC_MUST_CHECK;

/* judge_answer.c */
/* Gives the answer's row its result, or its next attempt; answers that came twice do nothing. */
void judge_answer(struct judge *j, struct shard *s, const Rollcall__Report *report,
		  const struct evidence_domain *evidence, const Rollcall__Answer *answer);
/* What the domain has shown of itself in this part, for later batches. */
void judge_learn(struct judge *j, const struct shard *s, const struct evidence_domain *evidence);
/* When a row is due that waits as `v` says after `attempt`, but for greylisted ones; `idle`: times
 * in a row that it came back unasked. */
int64_t judge_due_ms(const struct judge *j, const struct verdict *v, unsigned attempt,
		     int64_t first_at_ms, unsigned idle);

/* judge_lane.c: how the lane was received, from one part of a report. */
void judge_lane(struct judge *j, const struct shard *s, const Rollcall__Report *report);

/* judge_close.c: each writes, the caller flushes. */
void judge_close_memories(struct judge *j);
/* What the greylisters have shown of themselves. */
void judge_close_groups(struct judge *j);
/* How the lanes stand, where that has changed. */
void judge_close_health(struct judge *j);
/* Shards whose last part came, and the rows that it left without a word. */
enum rc_status judge_close_shards(struct judge *j, struct rc_error *err) RC_MUST_CHECK;
/* Samples of misleading providers that have said what they can. */
enum rc_status judge_close_samples(struct judge *j, struct rc_error *err) RC_MUST_CHECK;

#endif
