/* See history.h. */
#include "coordinator/core/history.h"

enum { CONTROL_BITS = 2, AGE_BITS = 22, REASON_BITS = 7 };

/* Bits from the lowest up; a reader and a writer walk over the same fields. */
struct bits {
	uint64_t word;
	unsigned at;
};

static void put(struct bits *b, unsigned width, uint64_t value)
{
	uint64_t most = (UINT64_C(1) << width) - 1;

	b->word |= (value < most ? value : most) << b->at;
	b->at += width;
}

static unsigned get(struct bits *b, unsigned width)
{
	uint64_t value = b->word >> b->at & ((UINT64_C(1) << width) - 1);

	b->at += width;
	return (unsigned)value;
}

static enum rc_reason reason_of(unsigned number)
{
	return number < RC_REASON_COUNT ? (enum rc_reason)number : RC_REASON_UNSET;
}

_Static_assert(RC_REASON_COUNT < 1 << REASON_BITS, "a reason fits into its bits");

int64_t history_pack(const struct history *h)
{
	struct bits b = { 0, 0 };

	put(&b, CONTROL_BITS, (uint64_t)h->control);
	put(&b, AGE_BITS, h->control_age_s);
	put(&b, 1, h->control_same_lane);
	put(&b, 1, h->domain_accepted);
	put(&b, 1, h->domain_rejects_all);
	put(&b, REASON_BITS, (uint64_t)h->deferred_for);
	put(&b, REASON_BITS, (uint64_t)h->earlier);
	put(&b, 1, h->closed);
	put(&b, 1, h->domain_doubted);
	put(&b, 1, h->domain_witnessed);
	return (int64_t)b.word;
}

void history_unpack(int64_t packed, struct history *ret)
{
	struct bits b = { (uint64_t)packed, 0 };
	unsigned control = get(&b, CONTROL_BITS);

	ret->control = control == VERDICT_CONTROL_REFUSED || control == VERDICT_CONTROL_ACCEPTED
			   ? (enum verdict_control)control
			   : VERDICT_CONTROL_UNKNOWN;
	ret->control_age_s = get(&b, AGE_BITS);
	ret->control_same_lane = get(&b, 1) != 0;
	ret->domain_accepted = get(&b, 1) != 0;
	ret->domain_rejects_all = get(&b, 1) != 0;
	ret->deferred_for = reason_of(get(&b, REASON_BITS));
	ret->earlier = reason_of(get(&b, REASON_BITS));
	ret->closed = get(&b, 1) != 0;
	ret->domain_doubted = get(&b, 1) != 0;
	ret->domain_witnessed = get(&b, 1) != 0;
}

void history_fill(const struct history *h, struct verdict_input *in)
{
	in->control = h->control;
	in->control_age_s = h->control_age_s;
	in->control_same_lane = h->control_same_lane;
	in->domain_accepted = h->domain_accepted;
	in->domain_rejects_all = h->domain_rejects_all;
	in->deferred_for = h->deferred_for;
	in->refusal_confirmed = h->deferred_for == RC_REASON_MX_REFUSES_DOMAIN;
	in->earlier = h->earlier;
	in->domain_doubted = h->domain_doubted;
	in->domain_witnessed = h->domain_witnessed;
}

void history_control(struct history *h, int control, int64_t age_ms, bool same_lane)
{
	int64_t age_s = age_ms > 0 ? age_ms / 1000 : 0;

	h->control = VERDICT_CONTROL_UNKNOWN;
	h->control_age_s = 0;
	h->control_same_lane = false;
	if ((control != VERDICT_CONTROL_REFUSED && control != VERDICT_CONTROL_ACCEPTED) ||
	    age_s > HISTORY_CONTROL_S)
		return;
	h->control = (enum verdict_control)control;
	h->control_age_s = (uint32_t)age_s;
	h->control_same_lane = same_lane;
}

bool history_good(enum rc_reason reason)
{
	return reason == RC_REASON_MAILBOX_ACCEPTED || reason == RC_REASON_MAILBOX_FORWARDED ||
	       reason == RC_REASON_ROLE_ACCOUNT;
}

bool history_bad(enum rc_reason reason)
{
	return reason == RC_REASON_MAILBOX_NOT_FOUND || reason == RC_REASON_MAILBOX_DISABLED ||
	       reason == RC_REASON_MAILBOX_NOT_LOCAL ||
	       reason == RC_REASON_MAILBOX_NAME_NOT_ALLOWED;
}

uint32_t history_lifetime_s(enum rc_reason reason)
{
	if (history_good(reason))
		return HISTORY_GOOD_S;
	if (history_bad(reason))
		return HISTORY_BAD_S;
	/* Full today, emptied tomorrow. */
	if (reason == RC_REASON_MAILBOX_FULL || reason == RC_REASON_MAILBOX_UNVERIFIED)
		return HISTORY_BAD_S;
	if (rc_reason_grade(reason) == RC_GRADE_RISKY)
		return HISTORY_RISKY_S;
	return 0;
}

bool history_fresh(enum rc_reason reason, int64_t age_ms, int64_t max_age_ms)
{
	int64_t most_ms = (int64_t)history_lifetime_s(reason) * 1000;

	return most_ms > 0 && age_ms <= most_ms && age_ms <= max_age_ms;
}
