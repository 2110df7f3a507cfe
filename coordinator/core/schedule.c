/* See schedule.h. */
#include "coordinator/core/schedule.h"

enum { AFTER_MAX_S = 7 * 86400, OK_COUNTS_S = 30 * 86400 };

/* From the first attempt. Ever longer: what was not undone within a day is seldom undone within the
 * next hours. */
static const uint32_t heal_after_s[] = { 8 * 3600, 16 * 3600, 28 * 3600, 48 * 3600, 70 * 3600 };
enum { HEAL_MIN_S = 3600 };
enum { HEALS = sizeof(heal_after_s) / sizeof(*heal_after_s), HEALS_UNANSWERED = 3 };

void schedule_default(struct schedule *ret)
{
	*ret = (struct schedule){ .n = 3, .after_s = { 330, 2100, 12600 }, .time_scale = 1 };
}

enum rc_status schedule_parse(const char *text, uint32_t time_scale, struct schedule *ret,
			      struct rc_error *err)
{
	struct schedule s = { .time_scale = time_scale };
	const char *p = text;

	if (time_scale < 1)
		return rc_error_set(err, RC_INVALID, "the time scale must be 1 or more");
	for (;;) {
		uint64_t value = 0;
		const char *start;

		while (*p == ' ')
			p++;
		start = p;
		for (; *p >= '0' && *p <= '9' && p - start < 8; p++)
			value = 10 * value + (uint64_t)(*p - '0');
		if (p == start)
			return rc_error_set(err, RC_INVALID,
					    "retry schedule \"%s\": a time such as 330s, 35m or 3h "
					    "is expected at \"%s\"",
					    text, start);
		switch (*p) {
		case 'd':
			value *= 86400;
			p++;
			break;
		case 'h':
			value *= 3600;
			p++;
			break;
		case 'm':
			value *= 60;
			p++;
			break;
		case 's':
			p++;
			break;
		default:
			break;
		}
		if (value < 1 || value > AFTER_MAX_S)
			return rc_error_set(
			    err, RC_INVALID,
			    "retry schedule \"%s\": each time is from 1 second to 7 days", text);
		if (s.n == SCHEDULE_RETRIES_MAX)
			return rc_error_set(err, RC_INVALID,
					    "retry schedule \"%s\": at most %d times", text,
					    SCHEDULE_RETRIES_MAX);
		if (s.n && value <= s.after_s[s.n - 1])
			return rc_error_set(err, RC_INVALID,
					    "retry schedule \"%s\": the times count from the first "
					    "attempt, so each must be later than the one before",
					    text);
		s.after_s[s.n++] = (uint32_t)value;
		while (*p == ' ')
			p++;
		if (!*p)
			break;
		if (*p++ != ',')
			return rc_error_set(err, RC_INVALID,
					    "retry schedule \"%s\": times are parted by commas",
					    text);
	}
	*ret = s;
	return RC_OK;
}

unsigned schedule_attempts(const struct schedule *s)
{
	return s->n + 1;
}

static int64_t scaled_ms(const struct schedule *s, uint32_t wait_s)
{
	int64_t ms = (int64_t)wait_s * 1000 / (s->time_scale ? s->time_scale : 1);

	return ms < 1 ? 1 : ms;
}

int64_t schedule_due_ms(const struct schedule *s, enum verdict_wait wait, unsigned attempt,
			uint32_t not_before_s, int64_t first_at_ms, int64_t now_ms)
{
	int64_t due = now_ms, asked;
	unsigned heal;

	switch (wait) {
	case VERDICT_WAIT_NONE:
	case VERDICT_WAIT_AT_ONCE:
		return now_ms;
	case VERDICT_WAIT_SOON:
		return now_ms + scaled_ms(s, SCHEDULE_SOON_S);
	case VERDICT_WAIT_CONFIRM_DOMAIN:
		return now_ms + scaled_ms(s, SCHEDULE_CONFIRM_DOMAIN_S);
	case VERDICT_WAIT_CONFIRM_REFUSAL:
		return now_ms + scaled_ms(s, SCHEDULE_CONFIRM_REFUSAL_S);
	case VERDICT_WAIT_HEAL:
		heal = attempt > s->n ? attempt - s->n - 1 : 0;
		due = first_at_ms + scaled_ms(s, heal_after_s[heal < HEALS ? heal : HEALS - 1]);
		/* With a schedule of one's own the first attempt may be long ago. */
		if (due < now_ms + scaled_ms(s, HEAL_MIN_S))
			due = now_ms + scaled_ms(s, HEAL_MIN_S);
		break;
	case VERDICT_WAIT_SCHEDULE:
		if (attempt < 1)
			attempt = 1;
		if (s->n)
			due = first_at_ms +
			      scaled_ms(s, s->after_s[attempt <= s->n ? attempt - 1 : s->n - 1]);
		break;
	}
	if (not_before_s) {
		asked = now_ms + scaled_ms(s, not_before_s);
		if (asked > due)
			due = asked;
	}
	return due > now_ms ? due : now_ms + 1;
}

int64_t schedule_greylisted_ms(const struct schedule *s, const struct window *window,
			       unsigned attempt, uint32_t not_before_s, int64_t first_at_ms,
			       int64_t now_ms, unsigned *ret_attempt)
{
	uint32_t enough_s = window_enough_s(window, now_ms);
	int64_t due, enough;

	if (attempt < 1)
		attempt = 1;
	while (attempt < s->n && window_too_early(window, s->after_s[attempt - 1], now_ms))
		attempt++;
	*ret_attempt = attempt;
	due = schedule_due_ms(s, VERDICT_WAIT_SCHEDULE, attempt, not_before_s, first_at_ms, now_ms);
	if (enough_s == 0)
		return due;
	/* A little more than was ever seen to do; and no sooner than the server asked. */
	enough = first_at_ms + scaled_ms(s, enough_s + enough_s / 20);
	if (enough <= now_ms) /* it was in vain this time */
		return due;
	if (not_before_s && enough < now_ms + scaled_ms(s, not_before_s))
		enough = now_ms + scaled_ms(s, not_before_s);
	return enough > now_ms && enough < due ? enough : due;
}

int64_t schedule_jittered_ms(int64_t due_ms, uint64_t seed, int64_t now_ms)
{
	int64_t wait_ms = due_ms - now_ms;

	seed = (seed ^ seed >> 33) * 0xff51afd7ed558ccdu;
	return wait_ms <= 0 ? due_ms : due_ms + (int64_t)((seed >> 40) % 1000) * wait_ms / 20000;
}

bool schedule_answered(int64_t ok_at_ms, int64_t now_ms)
{
	return ok_at_ms > 0 && (now_ms - ok_at_ms) / 1000 <= OK_COUNTS_S;
}

bool schedule_may_heal(const struct schedule *s, unsigned attempt, int64_t first_at_ms,
		       int64_t ok_at_ms, int64_t now_ms)
{
	unsigned heal = attempt > s->n ? attempt - s->n - 1 : 0;

	if (heal >= HEALS || !schedule_answered(ok_at_ms, now_ms))
		return false;
	return heal < HEALS_UNANSWERED || ok_at_ms > first_at_ms;
}
