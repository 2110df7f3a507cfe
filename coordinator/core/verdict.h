/*
 * verdict - what one row is called, from all that is known of it: the rules of docs/verdicts.md in
 * one place.
 *
 * Pure: no I/O, no clock, no allocation, no logging, never fails. The sink calls verdict_row() for
 * each answer, the planner for what needs no network. The answer is either final, or says for what
 * and how long to wait (then coordinator/core/ schedule.h gives the time).
 *
 * In this order: bad syntax, dead domain; suppressed, trap, disposable, do-not-probe; what the
 * mailbox's own reply says; accept-all; role (at an accept-all domain a flag only); valid. And
 * never bent: a 4xx alone never makes an address invalid; only a recipient's fault does; a 250
 * counts only where the random control was refused; a suspect answer does not count.
 */
#ifndef COORDINATOR_CORE_VERDICT_H
#define COORDINATOR_CORE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/reply/providers.h"
#include "common/reply/reason.h"
#include "common/reply/reply_rules.h"

struct posteriors;
struct scores;

/* Stored in result.flags; never renumbered. Bits 16 to 19 are the score's evidence. */
enum {
	VERDICT_ROLE = 1,
	VERDICT_DISPOSABLE = 2,
	VERDICT_FREE = 4,
	VERDICT_CATCH_ALL = 8,
	VERDICT_REVIEW = 16,
	VERDICT_SCORE_MEASURED = 32, /* score_basis: measured; else prior */
	VERDICT_DOMAIN_RISK = 64,
	VERDICT_EVIDENCE_SHIFT = 16, /* enum score_evidence */
	VERDICT_EVIDENCE_MASK = 15
};

/* What the domain's look-up has said; the numbers are those of the protocol's ResolutionState. */
enum verdict_domain {
	VERDICT_DOMAIN_UNKNOWN = 0, /* not looked up (yet) */
	VERDICT_DOMAIN_MX = 1,
	VERDICT_DOMAIN_IMPLICIT = 2,
	VERDICT_DOMAIN_NULL_MX = 3,
	VERDICT_DOMAIN_NOT_FOUND = 4,
	VERDICT_DOMAIN_NO_SERVER = 5,
	VERDICT_DOMAIN_FAILED = 6,
	VERDICT_DOMAIN_UNROUTABLE = 7
};

/* The random control of the domain. 1 and 2 are also domain_knowledge.control. */
enum verdict_control {
	VERDICT_CONTROL_UNKNOWN = 0, /* not asked */
	VERDICT_CONTROL_REFUSED = 1,
	VERDICT_CONTROL_ACCEPTED = 2,
	VERDICT_CONTROL_UNDECIDED =
	    3 /* asked: greylisted, 4xx, refused for something else, no answer */
};

enum verdict_postmaster {
	VERDICT_POSTMASTER_UNASKED = 0,
	VERDICT_POSTMASTER_ACCEPTED,
	VERDICT_POSTMASTER_REFUSED, /* see postmaster_alike */
	VERDICT_POSTMASTER_UNDECIDED
};

/* Why there is no reply; the numbers are those of the protocol's Failure. */
enum verdict_failure {
	VERDICT_FAILURE_NONE = 0,
	VERDICT_FAILURE_DNS = 1,
	VERDICT_FAILURE_NO_MAIL_SERVER = 2,
	VERDICT_FAILURE_NULL_MX = 3,
	VERDICT_FAILURE_NO_DOMAIN = 4,
	VERDICT_FAILURE_UNROUTABLE = 5,
	VERDICT_FAILURE_REFUSED = 6,
	VERDICT_FAILURE_TIMEOUT = 7,
	VERDICT_FAILURE_CLOSED = 8,
	VERDICT_FAILURE_PROTOCOL = 9,
	VERDICT_FAILURE_TLS = 10,
	VERDICT_FAILURE_NOT_PROBED = 11,
	VERDICT_FAILURE_SMTPUTF8 = 12,
	VERDICT_FAILURE_LOCAL = 13,
	VERDICT_FAILURE_UNREACHABLE = 14
};

/* The recipient's own answer of this attempt. coordinator/core/evidence.h makes it from the report.
 */
struct verdict_answer {
	bool present; /* false: nothing was asked yet (planner) */
	enum rc_stage stage;
	enum verdict_failure failure; /* not NONE: no reply, the next three mean nothing */
	unsigned code;
	const char *enhanced; /* "" or NULL: none */
	struct rc_classification class;
	bool suspect;		/* the server had begun to starve us */
	uint32_t retry_after_s; /* what the reply asked for, as the worker read it; 0: nothing */
};

/* All zero is a good start: nothing known. */
struct verdict_input {
	/* the address and the lists */
	bool bad_syntax;
	bool suppressed;
	bool spam_trap;
	bool disposable;
	bool role;
	bool free;
	bool domain_risk;
	bool do_not_probe;

	/* the domain */
	enum verdict_domain domain;
	bool domain_confirmed; /* NOT_FOUND: seen by an earlier look-up too, at least 10 minutes ago
				  (unscaled) */
	bool
	    refusal_confirmed; /* mx_refuses_domain: this row was deferred for that reason before */
	const struct rc_provider *provider; /* NULL: no profile */

	/* the answer */
	struct verdict_answer answer;
	enum rc_reason
	    deferred_for;      /* what the row waited for until this attempt; UNSET: nothing */
	unsigned attempt;      /* of the retry schedule, from 1; 0: no attempt was made */
	unsigned attempts_max; /* of the schedule: 4 with three retries. attempt >= attempts_max, or
				  0: it was the last */

	/* what the servers said to others of that domain */
	enum verdict_control control;
	uint32_t control_age_s; /* of a decided control, unscaled */
	bool control_same_lane;
	bool stand_in; /* the host that answered stands in for a better one that did not: it may not
			  know the domain's mailboxes, nor the domain */
	bool knows_nobody; /* and it has accepted nobody in that conversation */
	enum verdict_postmaster postmaster;
	bool refuses_by_name; /* others were, in the same conversation, in words that name a mailbox
			       */
	bool postmaster_alike;	/* refused by the same rule, code and enhanced status as this row */
	uint32_t refused_alike; /* addresses of the domain refused in just that way, this one and
				   controls counted */
	bool domain_rejects_all; /* another row of this domain was called rejects_all in this job */
	bool domain_doubted;	 /* its servers have refused whomever we asked for, in this job */
	bool domain_witnessed;	 /* somebody was accepted there in this job */
	bool domain_accepted;	 /* anything was accepted there within 30 days */

	enum rc_reason earlier; /* the tenant's last verdict on this address that still counts
				   (history.h); UNSET: none */
	bool may_heal; /* our lane has stood well with these servers: if the fault is ours after
			  the last attempt, it is waited for (schedule.h) */

	const struct posteriors *measured; /* of the tenant; NULL: priors alone */
};

enum verdict_wait {
	VERDICT_WAIT_NONE = 0,
	VERDICT_WAIT_SCHEDULE, /* the next time of the retry schedule, never before not_before_s
				  from now */
	VERDICT_WAIT_AT_ONCE,  /* send again now: no attempt was spent (not probed) */
	VERDICT_WAIT_SOON,     /* 30 s: a fault of this machine; no attempt was spent */
	VERDICT_WAIT_CONFIRM_DOMAIN,  /* 10 minutes, resolve with bypass_cache */
	VERDICT_WAIT_CONFIRM_REFUSAL, /* 3 hours: mx_refuses_domain is to be seen twice */
	VERDICT_WAIT_HEAL /* the schedule is through, and the fault is ours: at growing intervals,
			     or as soon as the servers answer our lane again */
};

struct verdict {
	bool final;
	enum rc_reason reason; /* final: the reason. Else what it would be called if this had been
				  the last attempt */
	unsigned flags;	       /* VERDICT_ROLE ... */
	int score;	       /* 0 to 100; -1: none (skipped) */
	unsigned code;	       /* of the recipient's reply; 0: none */
	char enhanced[16];     /* "" none */
	const char *rule;      /* NULL: no reply; else lives as long as the rules */

	/* not final */
	enum verdict_wait wait;
	uint32_t not_before_s; /* the server asked for as long; 0: nothing */
	bool attempt_spent;    /* false: the same attempt number goes out again */
	bool need_control;     /* a fresh control is needed with the next try, whatever is known */
};

/* Whether what a domain's random control said so long ago spares asking again: for 7 days; at an
 * inconsistent provider for 10 minutes, and only on the same lane. */
bool verdict_control_serves(enum verdict_control control, int64_t age_s, bool same_lane,
			    bool inconsistent);
/* `scores` may be NULL: then no row has a score. */
void verdict_row(const struct verdict_input *in, const struct scores *scores, struct verdict *ret);

/* A final row for a reason that no answer gives: blank, cancelled, not_probed, deadline,
 * harvest_guard ... `in` (may be NULL) gives the flags and the provider. */
void verdict_of_reason(enum rc_reason reason, const struct verdict_input *in,
		       const struct scores *scores, struct verdict *ret);

static inline enum rc_result_status verdict_status(const struct verdict *v)
{
	return rc_reason_status(v->reason);
}
static inline enum rc_grade verdict_grade(const struct verdict *v)
{
	return rc_reason_grade(v->reason);
}
/* A refusal in the harvest guard's sense: the recipient's own fault, final. Nothing else counts
 * there. */
bool verdict_is_refusal(const struct verdict *v);
/* An acceptance in its sense: the server said yes to the recipient, whatever we make of it. */
bool verdict_is_acceptance(const struct verdict_input *in);

#endif
