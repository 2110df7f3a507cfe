/* See rule.h: which of two rules speaks. */
#include "common/reply/rule.h"

#include <stdlib.h>
#include <string.h>

/* Of two rules with strong words, the one that would make an address invalid comes second: in doubt
 * it is not the mailbox. */
static unsigned word_strength(const struct rule *r)
{
	if (r->strength < 3)
		return (unsigned)r->strength;
	return r->fault == RC_FAULT_RECIPIENT && r->category != RC_CATEGORY_MAILBOX_FULL ? 3 : 4;
}

/* Fallbacks behind everything; provider before text before enhanced status before code; then what
 * came first in the file. */
static int by_specificity(const void *a, const void *b)
{
	const struct rule *x = *(struct rule *const *)a, *y = *(struct rule *const *)b;
	const unsigned xs[] = { x->line != 0,	x->n_providers != 0, word_strength(x),
				x->words_len,	x->enhanced_weight,  x->code_weight,
				x->stage_weight };
	const unsigned ys[] = { y->line != 0,	y->n_providers != 0, word_strength(y),
				y->words_len,	y->enhanced_weight,  y->code_weight,
				y->stage_weight };

	for (size_t i = 0; i < sizeof(xs) / sizeof(*xs); i++)
		if (xs[i] != ys[i])
			return xs[i] > ys[i] ? -1 : 1;
	return x->line != y->line ? (x->line < y->line ? -1 : 1) : strcmp(x->name, y->name);
}

struct placing {
	struct rc_rules *rules;
	uint16_t *over_first, *over; /* [rule]: those that stand over it, by their numbers */
	uint8_t *seen;		     /* 1: being placed, 2: placed */
	struct rule **sorted;
	size_t placed;
	struct rc_error *err;
};

static size_t find_rule(const struct rc_rules *rules, const char *name)
{
	size_t i = 0;

	while (i < rules->n && strcmp(rules->rules[i]->name, name) != 0)
		i++;
	return i;
}

/* Who stands over whom; a flat list with a beginning for each rule. */
static enum rc_status find_over(struct placing *p, uint16_t *at)
{
	const struct rc_rules *rules = p->rules;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < rules->n; i++) {
			const struct rule *r = rules->rules[i];

			for (size_t k = 0; k < r->n_over; k++) {
				size_t j = find_rule(rules, r->over[k]);

				if (j == rules->n)
					return rc_error_set(p->err, RC_INVALID,
							    "%s:%u: over=%s: there is no such rule",
							    rules->name, r->line, r->over[k]);
				if (pass == 0)
					p->over_first[j + 1]++;
				else
					p->over[p->over_first[j] + at[j]++] = (uint16_t)i;
			}
		}
		for (size_t i = 0; pass == 0 && i < rules->n; i++)
			p->over_first[i + 1] = (uint16_t)(p->over_first[i + 1] + p->over_first[i]);
	}
	return RC_OK;
}

/* Places the rule, and before it those that stand over it: they rise, it does not sink. */
static enum rc_status place(struct placing *p, size_t i)
{
	const struct rule *r = p->rules->rules[i];

	if (p->seen[i] == 2)
		return RC_OK;
	if (p->seen[i] == 1)
		return rc_error_set(p->err, RC_INVALID,
				    "%s:%u: the rule %s stands over itself, by way of others",
				    p->rules->name, r->line, r->name);
	p->seen[i] = 1;
	for (size_t k = p->over_first[i]; k < p->over_first[i + 1]; k++) {
		enum rc_status status = place(p, p->over[k]);

		if (status)
			return status;
	}
	p->seen[i] = 2;
	p->sorted[p->placed++] = p->rules->rules[i];
	return RC_OK;
}

enum rc_status rule_order(struct rc_rules *rules, struct rc_error *err)
{
	size_t n = rules->n, pairs = 0;
	struct placing p = { .rules = rules, .err = err };
	uint16_t *at = calloc(n + 1, sizeof(*at));
	enum rc_status status = RC_OK;

	qsort(rules->rules, n, sizeof(*rules->rules), by_specificity);
	for (size_t i = 0; i < n; i++)
		pairs += rules->rules[i]->n_over;
	p.over_first = calloc(n + 1, sizeof(*p.over_first));
	p.over = calloc(pairs + 1, sizeof(*p.over));
	p.seen = calloc(n + 1, sizeof(*p.seen));
	p.sorted = calloc(n + 1, sizeof(*p.sorted));
	if (!at || !p.over_first || !p.over || !p.seen || !p.sorted || pairs > UINT16_MAX)
		status = rc_error_set(err, RC_NO_MEMORY, "%s: no memory to order the rules",
				      rules->name);
	if (!status)
		status = find_over(&p, at);
	for (size_t i = 0; i < n && !status; i++)
		status = place(&p, i);
	if (!status)
		memcpy(rules->rules, p.sorted, n * sizeof(*p.sorted));
	free(at);
	free(p.over_first);
	free(p.over);
	free(p.seen);
	free(p.sorted);
	return status;
}
