/*
 * result_row - what is known of one input row, as the download shows it. Plain data; strings live
 * as long as what they came from (a chunk of coordinator/store/results.h), and are NULL where there
 * is nothing to say.
 */
#ifndef ROLLCALL_COORDINATOR_STORE_RESULT_ROW_H
#define ROLLCALL_COORDINATOR_STORE_RESULT_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/reply/reason.h"

struct result_row {
	enum rc_reason reason; /* not final: what it would be called now */
	bool final;
	unsigned flags; /* VERDICT_* */
	int score;	/* 0..100; -1 none */
	int smtp_code;	/* 0 none */
	const char *enhanced;
	const char *provider;
	const char *mx;
	const char *did_you_mean;
	int attempts;
	const char *lane;
	const char *rule;      /* which one spoke */
	uint64_t rules;	       /* their version; 0: none */
	int64_t checked_at_ms; /* 0: never */
};

#endif
