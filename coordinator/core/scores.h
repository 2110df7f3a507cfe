/*
 * scores - the prior chance that a message sent now does not bounce for a fault of the recipient or
 * the domain, by reason, provider and evidence: data/scores.
 *
 * Made once, read only afterwards. Loading fails with file, line and reason; a line without a
 * source is refused, and so is a table that leaves a reason out. Nothing is built in. What was
 * measured instead of estimated is coordinator/core/posteriors.h.
 */
#ifndef COORDINATOR_CORE_SCORES_H
#define COORDINATOR_CORE_SCORES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/status.h"
#include "common/reply/reason.h"

struct rc_providers;
struct scores;

/* What a reason rests on, where one reason may rest on things of different worth. Stored in
 * result.flags and in outcome_bucket: never renumbered. */
enum score_evidence {
	SCORE_EVIDENCE_PLAIN = 0,
	SCORE_EVIDENCE_FRESH = 1, /* accepted; the control refused on this lane within 10
				     minutes, as a rule in the same session */
	SCORE_EVIDENCE_REMEMBERED =
	    2, /* accepted; the refused control is older, or another lane's */
	SCORE_EVIDENCE_GREYLISTED = 3,	/* accepted after it had been greylisted before */
	SCORE_EVIDENCE_ROLE = 4,	/* a role name, at a domain that accepts every name */
	SCORE_EVIDENCE_NAMED = 5,	/* refused in words that name the mailbox */
	SCORE_EVIDENCE_NAMELESS = 6,	/* refused in words that name nobody */
	SCORE_EVIDENCE_LASTING = 7,	/* a full mailbox: 5xx */
	SCORE_EVIDENCE_PASSING = 8,	/* a full mailbox: 4xx to the last attempt */
	SCORE_EVIDENCE_UNASKED = 9,	/* called without a connection */
	SCORE_EVIDENCE_KNOWN_GOOD = 10, /* no verdict now; the tenant's last one was good */
	SCORE_EVIDENCE_KNOWN_BAD = 11,	/* no verdict now; the last one was a refusal */
	SCORE_EVIDENCE_COUNT
};

/* A bucket: what one score holds for. */
struct score_key {
	enum rc_reason reason;
	const char *provider; /* of data/providers; NULL or "": servers without a profile */
	enum score_evidence evidence;
	bool inconsistent; /* the provider says yes to some that do not exist */
};

/* `path`: the file, or a directory that holds `scores`. `providers`: who may be named; NULL:
 * anybody. */
enum rc_status scores_load(const char *path, const struct rc_providers *providers,
			   struct scores **ret_scores, struct rc_error *err) RC_MUST_CHECK;
enum rc_status scores_parse(const char *name, const char *data, size_t len,
			    const struct rc_providers *providers, struct scores **ret_scores,
			    struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void scores_free(struct scores *scores);

/*
 * 0 to 100; -1: skipped reasons have none. With `scores` NULL -1. The most specific line decides:
 * provider and evidence, provider, group and evidence, group, evidence, the reason alone.
 */
int scores_prior(const struct scores *scores, const struct score_key *key);
/* As how many outcomes a prior counts beside imported ones. */
int scores_prior_strength(const struct scores *scores);
/* The share of the addresses asked for that exist, in percent: what a false accept is weighed
 * against. */
int scores_listed_share(const struct scores *scores);

/* "fresh" ...; "" for PLAIN and for what is none. find: -1 where there is no such name. */
const char *score_evidence_name(enum score_evidence evidence);
int score_evidence_find(const char *name);

#endif
