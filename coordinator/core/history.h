/*
 * history - what was known before a row's answer came, as far as its verdict rests on it, and for
 * how long an earlier verdict of the same address counts.
 *
 * What was known is kept with the row (result.basis): the evidence of its attempt together with it
 * leads to the same verdict again, whatever has been learnt since. So that this holds by
 * construction, a verdict is computed from a history that went through history_pack() and back.
 * Pure: no I/O, no clock, nothing allocated, never fails.
 *
 * How long a verdict counts follows what mail servers do with theirs (Postfix verify(8): good 31
 * days, bad 3 days; Exim callouts: domain 7 days): a good one longest, a refusal shortest, as
 * mailboxes are made and servers make mistakes. A verdict that is none (grade unknown) never
 * counts, and so never takes the place of one that does.
 */
#ifndef COORDINATOR_CORE_HISTORY_H
#define COORDINATOR_CORE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/core/verdict.h"

enum {
	HISTORY_GOOD_S = 30 * 86400, /* as long as results are kept */
	HISTORY_RISKY_S = 7 * 86400, /* as a control holds for its domain */
	HISTORY_BAD_S = 3 * 86400,
	HISTORY_CONTROL_S = 7 * 86400 + 3600, /* an hour for a shard that left while it was fresh */
	HISTORY_ACCEPTED_S = 30 * 86400
};

struct history {
	/* the domain, known to everybody */
	enum verdict_control control; /* REFUSED or ACCEPTED, else UNKNOWN */
	uint32_t control_age_s;
	bool control_same_lane;
	bool domain_accepted;
	/* this job */
	bool domain_rejects_all;
	enum rc_reason deferred_for; /* UNSET: its first attempt */
	/* this tenant: the last verdict on the address that was one; UNSET: none that counts */
	enum rc_reason earlier;
	/* The row was closed before it had an answer that counts (deadline, harvest guard): the
	 * evidence is that of its last attempt, the reason was given without it. */
	bool closed;
	/* this job: its servers have refused whomever we asked for; somebody was accepted there */
	bool domain_doubted;
	bool domain_witnessed;
};

/* Never negative. Ages beyond what it holds (48 days) become that. */
int64_t history_pack(const struct history *history);
void history_unpack(int64_t packed, struct history *ret);
/* Everything of `in` that comes from there. evidence_fill() comes after it. */
void history_fill(const struct history *history, struct verdict_input *in);

/* A control that is `age_ms` old, as it counts for a row on `same_lane`; 0 and the like become
 * fresh. */
void history_control(struct history *history, int control, int64_t age_ms, bool same_lane);

/* For how long a verdict with this reason counts as the address's own; 0: never. */
uint32_t history_lifetime_s(enum rc_reason reason);
/* Whether one of `age_ms` may stand for a new one, where what is no older than `max_age_ms` is
 * asked for. */
bool history_fresh(enum rc_reason reason, int64_t age_ms, int64_t max_age_ms);
/* The server said that the mailbox is there, or that it is not. */
bool history_good(enum rc_reason reason);
bool history_bad(enum rc_reason reason);

#endif
