/*
 * decide - what becomes of whole domains: of a look-up's answer, of a sample, of what no network is
 * needed for.
 *
 * Used by planner, leader and sink, each with its own connection, within its own transaction;
 * collects into `writes`, and flushes them on the way where a domain has many rows. Nothing here
 * commits.
 */
#ifndef COORDINATOR_DECIDE_H
#define COORDINATOR_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "coordinator/context.h"
#include "coordinator/core/verdict.h"
#include "rollcall.pb-c.h"

struct db;
struct groups;
struct measured;
struct writes;

/* What a decision writes with and to. */
struct decide {
	const struct context *context;
	struct db *db;
	struct writes *writes;
	struct groups *groups;	   /* NULL where no lane is chosen */
	struct measured *measured; /* NULL: scores are priors */
	int counter;		   /* the line of job_count */
	int64_t now_ms;
};

struct decide_domain {
	int64_t job;
	int class; /* enum dispatch_class of its first attempts */
	const char *table_set;
	int32_t domain_no;
	const char *domain;
	int64_t first_uid;
	uint32_t n;
	unsigned attempts;	    /* look-ups that came back before */
	int64_t first_at_ms;	    /* of the first; 0: none yet */
	enum verdict_domain before; /* what the look-up before this one said; UNKNOWN: none */
};

/* The version of the rules that speak now, as results carry it. */
uint64_t decide_rules(const struct context *context);
/* The reason of a row that is closed with the cause it waited for: what was not confirmed, or never
 * asked, is `deadline`. */
enum rc_reason decide_cause(enum rc_reason deferred_for);
enum { DECIDE_MEANT_MAX = 400 };

/* "ann@gmail.com" of ann@gmial.com, where `meant` is lists_did_you_mean() of its domain; NULL where
 * that is NULL. */
const char *decide_meant(const char *meant, const char *local, size_t len,
			 char room[DECIDE_MEANT_MAX]);

/* in->role, disposable, free and do_not_probe of one address. */
void decide_lists(const struct context *context, const char *domain, const char *local, size_t len,
		  struct verdict_input *in);

/* The domain, one of its mail servers or one of their addresses is not to be probed. */
bool decide_forbidden(const struct context *context, const char *domain,
		      const Rollcall__Resolution *resolution);

/* Gives every row of the range that has no result (with `undeferred`: and no line in deferred) the
 * final verdict that `in` leads to, or `reason` where that is none. With reason DEADLINE deferred
 * rows get their own cause. */
enum rc_status decide_rows(const struct decide *d, const char *table_set, int64_t job,
			   const char *domain, int64_t first_uid, int64_t last_uid, bool undeferred,
			   const struct verdict_input *in, enum rc_reason reason, const char *mx,
			   struct rc_error *err) RC_MUST_CHECK;

/* The answer of a look-up; `cached`: from domain_knowledge, which then is not written again. */
enum rc_status decide_resolution(const struct decide *d, const struct decide_domain *domain,
				 const Rollcall__Resolution *resolution, bool cached,
				 struct rc_error *err) RC_MUST_CHECK;

/* The sample of a misleading provider has answered: probe the rest, or call it without. */
enum rc_status decide_sample(const struct decide *d, const struct decide_domain *domain,
			     const char *provider, const char *group, bool refusals,
			     struct rc_error *err) RC_MUST_CHECK;

#endif
