/* See rule.h: what a rule leaves unsaid is filled in, and what cannot be meant is refused. */
#include "common/reply/rule.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- one rule */

#define BIT(category) (1u << RC_CATEGORY_##category)

/* The categories that go with a fault. */
static const uint32_t kinds[RC_FAULT_COUNT] = {
	[RC_FAULT_NONE] = BIT(ACCEPTED) | BIT(FORWARDED) | BIT(CANNOT_VERIFY),
	[RC_FAULT_RECIPIENT] = BIT(MAILBOX_NOT_FOUND) | BIT(MAILBOX_DISABLED) | BIT(MAILBOX_FULL) |
			       BIT(NAME_NOT_ALLOWED) | BIT(NOT_LOCAL),
	[RC_FAULT_DOMAIN] = BIT(ROUTING),
	[RC_FAULT_SENDER] = BIT(RATE_LIMITED) | BIT(IP_BLOCKED) | BIT(POLICY) | BIT(AUTH_REQUIRED) |
			    BIT(TOO_MANY_RECIPIENTS) | BIT(PROTOCOL),
	[RC_FAULT_TEMPORARY] = BIT(GREYLISTED) | BIT(RATE_LIMITED) | BIT(CANNOT_VERIFY) |
			       BIT(SERVICE_UNAVAILABLE) | BIT(TEMPORARY),
	[RC_FAULT_UNCLEAR] = BIT(POLICY) | BIT(UNCLEAR) | BIT(NOT_LOCAL) | BIT(PROTOCOL) |
			     BIT(CANNOT_VERIFY) | BIT(SERVICE_UNAVAILABLE),
};

/* Where no code= was written: what the fault says by itself. */
static struct code_pattern default_codes(const struct rule *r)
{
	switch (r->fault) {
	case RC_FAULT_NONE:
		return (struct code_pattern){ 200, 299 };
	case RC_FAULT_TEMPORARY:
		return (struct code_pattern){ 400, 499 };
	case RC_FAULT_RECIPIENT:
		if (r->category != RC_CATEGORY_MAILBOX_FULL)
			return (struct code_pattern){ 500, 599 };
		break;
	default:
		break;
	}
	return (struct code_pattern){ 400, 599 };
}

static enum rc_status check_codes(struct reading *in, const struct rule *r)
{
	for (size_t i = 0; i < r->n_codes; i++) {
		const struct code_pattern *c = &r->codes[i];

		if (r->fault == RC_FAULT_RECIPIENT && r->category != RC_CATEGORY_MAILBOX_FULL &&
		    c->low < 500)
			return rule_wrong(
			    in, "a 4xx alone never makes an address invalid: code= must be 5xx");
		if (r->fault == RC_FAULT_NONE && c->high > 299)
			return rule_wrong(in, "nobody's fault is a yes: code= must be 2xx");
		if (r->fault != RC_FAULT_NONE && r->fault != RC_FAULT_UNCLEAR && c->low < 400)
			return rule_wrong(in, "a yes (2xx) is nobody's fault: code= names one");
	}
	return RC_OK;
}

/* RFC 3463: the class goes with the first digit of the code; servers do mix 4 and 5. */
static enum rc_status check_enhanced(struct reading *in, struct rule *r)
{
	bool yes = false, no = false;

	for (size_t i = 0; i < r->n_codes; i++) {
		yes = yes || r->codes[i].low < 300;
		no = no || r->codes[i].high >= 400;
	}
	for (size_t i = 0; i < r->n_enhanced; i++) {
		const struct enhanced_pattern *e = &r->enhanced[i];
		unsigned weight = e->none ? 1
					  : (unsigned)((e->class >= 0) + (e->subject >= 0) +
						       2 * (e->detail_low >= 0));

		if ((e->class == 2 && !yes) || (e->class > 2 && !no))
			return rule_wrong(in,
					  "no reply has such a code and an enhanced status of "
					  "class %d: the rule can never speak",
					  e->class);
		if (i == 0 || weight < r->enhanced_weight)
			r->enhanced_weight = weight;
	}
	return RC_OK;
}

static enum rc_status check_attributes(struct reading *in, const struct rule *r)
{
	if (!(kinds[r->fault] >> r->category & 1))
		return rule_wrong(in, "%s is not a %s fault%s", rc_category_name(r->category),
				  rc_fault_name(r->fault),
				  r->fault == RC_FAULT_RECIPIENT ? " (whoever sends)" : "");
	if (r->mailbox && r->fault != RC_FAULT_RECIPIENT)
		return rule_wrong(in, "mailbox is for faults of the recipient");
	if ((r->sender || r->tls) && r->fault != RC_FAULT_SENDER)
		return rule_wrong(in, "%s is for faults of the sender", r->tls ? "tls" : "sender");
	if ((r->retry_s >= 0 || r->key) && r->category != RC_CATEGORY_GREYLISTED)
		return rule_wrong(in, "%s is for greylisted", r->key ? "key=" : "retry=");
	for (size_t i = 0; i < r->n_over; i++)
		if (strcmp(r->over[i], r->name) == 0)
			return rule_wrong(in, "the rule %s stands over itself", r->name);
	return RC_OK;
}

/* A rule that says the recipient is at fault is about RCPT and a permanent refusal, a yes is 2xx:
 * so it need not be written. */
enum rc_status rule_complete(struct reading *in, struct rule *r)
{
	bool recipient = r->fault == RC_FAULT_RECIPIENT || r->category == RC_CATEGORY_NOT_LOCAL;
	enum rc_status status;

	if (!r->stages && !r->n_codes && !r->n_enhanced && !r->n_providers && !r->groups &&
	    !r->min_words)
		return rule_wrong(in, "a rule needs a condition");
	if (r->stages >> RC_STAGE_DNS & 1)
		return rule_wrong(in, "there are no replies at stage=dns");
	if (recipient && !r->stages)
		r->stages = 1u << RC_STAGE_RCPT;
	if (recipient && r->stages != 1u << RC_STAGE_RCPT)
		return rule_wrong(in, "a recipient is at fault at RCPT only: stage= names another");
	if (!r->n_codes) {
		if (!rule_grow(&r->codes, 0, sizeof(*r->codes)))
			return rule_no_memory(in);
		r->codes[r->n_codes++] = default_codes(r);
	} else {
		r->code_weight = 2;
		for (size_t i = 0; i < r->n_codes; i++)
			if (r->codes[i].high - r->codes[i].low >= 99)
				r->code_weight = 1;
	}
	r->stage_weight = r->stages ? 1 : 0;
	status = check_attributes(in, r);
	if (!status)
		status = check_codes(in, r);
	return status ? status : check_enhanced(in, r);
}

/* ---------------------------------------------------------------- one rule behind another */

static bool word_covers(const struct rc_rules *rules, uint16_t wide, uint16_t narrow)
{
	size_t wide_len, narrow_len;
	const char *w = rc_matcher_word(rules->matcher, wide, &wide_len);
	const char *n = rc_matcher_word(rules->matcher, narrow, &narrow_len);

	if (wide == narrow)
		return true;
	if (wide_len >= narrow_len)
		return false;
	for (const char *p = n; (p = memmem(p, narrow_len - (size_t)(p - n), w, wide_len)); p++)
		if (rc_matcher_begins(n, (size_t)(p - n)))
			return true;
	return false;
}

/* Whether the piece's words are all found by the one word or set of the other. */
static bool piece_covers(const struct rc_rules *rules, const struct piece *wide,
			 const struct piece *narrow)
{
	const struct word_set *w = &rules->sets[wide->set], *n = &rules->sets[narrow->set];
	size_t found = 0, narrow_n = narrow->set ? n->n : 1;

	if (wide->set && wide->set == narrow->set)
		return true;
	for (size_t i = 0; i < narrow_n; i++) {
		uint16_t word = narrow->set ? n->words[i] : narrow->word;
		bool one = false;

		if (!wide->set)
			one = word_covers(rules, wide->word, word);
		for (size_t k = 0; wide->set && k < w->n && !one; k++)
			one = word_covers(rules, w->words[k], word);
		found += one;
		if (!one)
			break;
	}
	return found == narrow_n;
}

/* Whether wherever `narrow` stands, `wide` stands too. Says no where that is hard to tell. */
static bool phrase_covers(const struct rc_rules *rules, const struct phrase *wide,
			  const struct phrase *narrow)
{
	if (wide->n == 1) {
		for (unsigned i = 0; i < narrow->n; i++)
			if (piece_covers(rules, &wide->piece[0], &narrow->piece[i]))
				return true;
		return false;
	}
	if (wide->n != narrow->n)
		return false;
	for (unsigned i = 0; i < wide->n; i++)
		if (wide->piece[i].gap < narrow->piece[i].gap ||
		    wide->piece[i].word != narrow->piece[i].word ||
		    wide->piece[i].set != narrow->piece[i].set)
			return false;
	return true;
}

static bool group_covers(const struct rc_rules *rules, const struct rule *wide, unsigned wide_group,
			 const struct rule *narrow, unsigned narrow_group)
{
	for (size_t i = 0; i < narrow->n_phrases; i++) {
		bool one = false;

		if (narrow->phrases[i].group != narrow_group)
			continue;
		for (size_t k = 0; k < wide->n_phrases && !one; k++)
			one = wide->phrases[k].group == wide_group &&
			      phrase_covers(rules, &wide->phrases[k], &narrow->phrases[i]);
		if (!one)
			return false;
	}
	return true;
}

static bool text_covers(const struct rc_rules *rules, const struct rule *wide,
			const struct rule *narrow)
{
	if (wide->denied_groups)
		return false;
	for (unsigned w = 0; w < wide->groups; w++) {
		bool one = false;

		for (unsigned n = 0; n < narrow->groups && !one; n++)
			one = !(narrow->denied_groups >> n & 1) &&
			      group_covers(rules, wide, w, narrow, n);
		if (!one)
			return false;
	}
	return true;
}

static bool codes_cover(const struct rule *wide, const struct rule *narrow)
{
	for (size_t i = 0; i < narrow->n_codes; i++) {
		bool one = false;

		for (size_t k = 0; k < wide->n_codes && !one; k++)
			one = wide->codes[k].low <= narrow->codes[i].low &&
			      wide->codes[k].high >= narrow->codes[i].high;
		if (!one)
			return false;
	}
	return true;
}

static bool enhanced_covers(const struct enhanced_pattern *w, const struct enhanced_pattern *n)
{
	if (w->none || n->none)
		return w->none == n->none;
	return (w->class < 0 || w->class == n->class) &&
	       (w->subject < 0 || w->subject == n->subject) &&
	       (w->detail_low < 0 || (n->detail_low >= 0 && w->detail_low <= n->detail_low &&
				      w->detail_high >= n->detail_high));
}

static bool enhanced_cover(const struct rule *wide, const struct rule *narrow)
{
	if (!wide->n_enhanced)
		return true;
	for (size_t i = 0; i < narrow->n_enhanced; i++) {
		bool one = false;

		for (size_t k = 0; k < wide->n_enhanced && !one; k++)
			one = enhanced_covers(&wide->enhanced[k], &narrow->enhanced[i]);
		if (!one)
			return false;
	}
	return narrow->n_enhanced > 0;
}

static bool providers_cover(const struct rule *wide, const struct rule *narrow)
{
	if (!wide->n_providers)
		return true;
	for (size_t i = 0; i < narrow->n_providers; i++) {
		bool one = false;

		for (size_t k = 0; k < wide->n_providers && !one; k++)
			one = strcmp(wide->providers[k], narrow->providers[i]) == 0;
		if (!one)
			return false;
	}
	return narrow->n_providers > 0;
}

static bool rule_covers(const struct rc_rules *rules, const struct rule *wide,
			const struct rule *narrow)
{
	if (wide->stages && (!narrow->stages || narrow->stages & ~wide->stages))
		return false;
	if (wide->min_words > narrow->min_words)
		return false;
	return providers_cover(wide, narrow) && codes_cover(wide, narrow) &&
	       enhanced_cover(wide, narrow) && text_covers(rules, wide, narrow);
}

static const char *phrase_name(const struct rc_rules *rules, const struct phrase *phrase)
{
	const struct piece *first = &phrase->piece[0];
	size_t len;

	return first->set ? rules->sets[first->set].name
			  : rc_matcher_word(rules->matcher, first->word, &len);
}

/* A phrase that stands only where another of the same condition does. */
static enum rc_status check_phrases(const struct rc_rules *rules, const struct rule *r,
				    struct rc_error *err)
{
	for (size_t i = 0; i < r->n_phrases; i++)
		for (size_t k = 0; k < r->n_phrases; k++) {
			const struct phrase *idle = &r->phrases[i], *wide = &r->phrases[k];

			if (i == k || idle->group != wide->group ||
			    !phrase_covers(rules, wide, idle))
				continue;
			if (i < k && phrase_covers(rules, idle, wide))
				continue; /* alike: said of the second one */
			return rc_error_set(err, RC_INVALID,
					    "%s:%u: in %s, phrase %zu (%s..) decides nothing: "
					    "phrase %zu (%s..) stands wherever it does",
					    rules->name, r->line, r->name, i + 1,
					    phrase_name(rules, idle), k + 1,
					    phrase_name(rules, wide));
		}
	return RC_OK;
}

/* The rules that the text calls for wherever `r` holds: no other can cover it. A phrase is covered
 * by one whose words are all found in its own, so the first phrase of each condition tells. */
static void mark_called(const struct rc_rules *rules, const struct rule *r,
			struct rc_matches *found, uint64_t *marked)
{
	uint32_t looked = r->denied_groups; /* a bit for each text condition */

	memcpy(marked, rules->base, rules->bit_words * sizeof(*marked));
	for (size_t i = 0; i < r->n_phrases; i++) {
		const struct phrase *phrase = &r->phrases[i];

		if (looked >> phrase->group & 1)
			continue;
		looked |= 1u << phrase->group;
		for (unsigned k = 0; k < phrase->n; k++) {
			const struct piece *piece = &phrase->piece[k];
			size_t len;
			const char *word = rc_matcher_word(
			    rules->matcher,
			    piece->set ? rules->sets[piece->set].words[0] : piece->word, &len);

			rc_matcher_scan(rules->matcher, word, len, found);
			for (uint32_t m = 0; m < found->n; m++)
				rules_mark_called(rules, found->match[m].word, marked);
		}
	}
}

static enum rc_status check_order(const struct rc_rules *rules, size_t i, const uint64_t *marked,
				  struct rc_error *err)
{
	const struct rule *r = rules->rules[i];

	for (size_t k = 0; k < i; k++)
		if (marked[k / 64] >> (k % 64) & 1 && rule_covers(rules, rules->rules[k], r))
			return rc_error_set(err, RC_INVALID,
					    "%s:%u: the rule %s can never speak: wherever it "
					    "holds, %s of line %u holds too and comes first",
					    rules->name, r->line, r->name, rules->rules[k]->name,
					    rules->rules[k]->line);
	return RC_OK;
}

enum rc_status rule_check_all(const struct rc_rules *rules, struct rc_error *err)
{
	struct rc_matches *found = malloc(sizeof(*found));
	uint64_t marked[RULES_MAX / 64 + 1];
	enum rc_status status = RC_OK;

	if (!found)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to check it", rules->name);
	for (size_t i = 1; i < rules->n_sets && !status; i++)
		if (!rules->sets[i].used)
			status =
			    rc_error_set(err, RC_INVALID, "%s:%u: no rule uses the set %s",
					 rules->name, rules->sets[i].line, rules->sets[i].name);
	for (size_t i = 0; i < rules->n && rules->rules[i]->line && !status; i++) {
		status = check_phrases(rules, rules->rules[i], err);
		if (!status) {
			mark_called(rules, rules->rules[i], found, marked);
			status = check_order(rules, i, marked, err);
		}
	}
	free(found);
	return status;
}
