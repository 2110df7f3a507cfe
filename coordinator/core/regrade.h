/*
 * regrade - what giving a job's verdicts anew from their evidence came to: plain data, between who
 * does it and who shows it.
 */
#ifndef COORDINATOR_CORE_REGRADE_H
#define COORDINATOR_CORE_REGRADE_H

#include <stddef.h>
#include <stdint.h>

#include "common/reply/reason.h"

enum { REGRADE_SAMPLES = 20, REGRADE_EMAIL_MAX = 400, REGRADE_RULE_MAX = 80 };

enum regrade_outcome {
	REGRADE_SAME = 1,
	REGRADE_SCORE,	     /* only the score is another */
	REGRADE_FLAGS,	     /* the reason is the same, a flag is not */
	REGRADE_CHANGED,     /* another reason */
	REGRADE_NEEDS_PROBE, /* the rules would ask again: the row keeps what it has */
	REGRADE_NO_EVIDENCE, /* it is gone, or older than this: the row keeps what it has */
	REGRADE_OUTCOMES
};

struct regrade_sample {
	int64_t uid, row; /* `row` from 1 */
	char email[REGRADE_EMAIL_MAX];
	enum rc_reason from, to;
	int score_from, score_to;    /* -1: none */
	char rule[REGRADE_RULE_MAX]; /* "": none */
};

struct regrade_summary {
	uint64_t rules; /* their version */
	int64_t rows;	/* looked at: those that have a result */
	int64_t outcomes[REGRADE_OUTCOMES];
	int64_t moves[RC_REASON_COUNT][RC_REASON_COUNT]; /* of CHANGED, from and to */
	struct regrade_sample samples[REGRADE_SAMPLES];	 /* the first CHANGED ones */
	size_t sample_count;
};

#endif
