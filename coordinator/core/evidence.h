/*
 * evidence - from a worker's report to what verdict.h asks for.
 *
 * Pure: reads the unpacked message and the rules, allocates nothing. Pointers in what it returns
 * point into the report and the rules. A report is a stranger's word too: numbers out of range
 * become "no reply".
 */
#ifndef COORDINATOR_CORE_EVIDENCE_H
#define COORDINATOR_CORE_EVIDENCE_H

#include "coordinator/core/verdict.h"
#include "rollcall.pb-c.h"

/* `provider`: its name, may be NULL. */
void evidence_answer(const struct rc_rules *rules, const char *provider,
		     const Rollcall__Answer *answer, struct verdict_answer *ret);

enum { EVIDENCE_TALKS = 128 }; /* a shard makes 124 connections at most */

/* What one conversation says, apart from the single rows. */
struct evidence_talk {
	bool accepted;	      /* a recipient was */
	bool refuses_by_name; /* a recipient was refused in words that name a mailbox */
	uint32_t unproved;    /* recipients refused as nobody's, and nothing behind it shows that
				 the server tells one from the other */
	uint32_t answers;     /* recipients of this session, counted first */
};

/* What one part of a report says of its domain, apart from the single rows. */
struct evidence_domain {
	enum verdict_control
	    control; /* the best known: accepted before refused before undecided before unknown */
	int64_t control_at_ms;	      /* of that answer; 0: none */
	const char *control_host;     /* where it was asked; "" not known */
	bool control_apart;	      /* that host is not the one that others are asked at first */
	const uint8_t *control_local; /* UNDECIDED: the local part to ask again; else NULL */
	size_t control_local_len;
	enum verdict_postmaster postmaster;
	struct verdict_answer postmaster_answer;
	bool refuses_by_name; /* the control was refused, in words that name a mailbox */
	bool accepted;	      /* a recipient or postmaster was accepted here */
	/* By the number of the session; [0]: of all that took one recipient only, and of none. */
	struct evidence_talk talks[EVIDENCE_TALKS];
	const char *mx_host; /* of the last session; "" none. A retry goes back there */
	const char *mx_address;
};

void evidence_domain(const struct rc_rules *rules, const char *provider,
		     const Rollcall__Report *report, struct evidence_domain *ret);

/* Whether two refusals are the same: rule, code and enhanced status. */
bool evidence_alike(const struct verdict_answer *a, const struct verdict_answer *b);
/* How many recipients and controls (not postmaster) of this part were refused just like `answer`,
 * itself counted. */
uint32_t evidence_refused_alike(const struct rc_rules *rules, const char *provider,
				const Rollcall__Report *report,
				const struct verdict_answer *answer);

/* Fills in->answer, stand_in, knows_nobody, control (of the answer's own host), control_age_s (by
 * report->reported_at_ms), control_same_lane (true), postmaster..., refuses_by_name, refused_alike
 * and domain_accepted (only ever sets it) from what was read. Controls known from before are the
 * caller's, filled in first: this part's decided control replaces them. A refusal of this part
 * that would need a proof and has none becomes suspect.
 */
void evidence_fill(const struct rc_rules *rules, const Rollcall__Report *report,
		   const struct evidence_domain *domain, const Rollcall__Answer *answer,
		   struct verdict_input *in);

#endif
