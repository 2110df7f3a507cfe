/*
 * See reply_rules.h: what the rules say of one reply. One pass of the matcher over its folded text
 * marks the rules that might speak; stage and code cross most of them out; then the conditions of
 * the rest, in order, until one holds.
 */
#include <string.h>

#include "common/reply/reply_text.h"
#include "common/reply/rule.h"

enum { STEPS_MAX = 20000 }; /* of search for phrases: only a reply made for it needs more */

struct looking {
	const struct rc_rules *rules;
	unsigned stage, code;
	int enhanced[3]; /* -1: none */
	const char *provider;
	size_t len;
	unsigned steps;
	uint64_t sets[RULE_SETS_MAX / 64]; /* of which a word stands in the text */
	uint64_t marked[RULES_MAX / 64 + 2];
	struct rc_matches found;
	char text[RC_REPLY_TEXT_MAX + 8];
};

static bool piece_seen(const struct looking *l, const struct piece *piece)
{
	if (!piece->set)
		return l->found.seen[piece->word / 64] >> (piece->word % 64) & 1;
	return l->sets[piece->set / 64] >> (piece->set % 64) & 1;
}

static bool piece_is(const struct looking *l, const struct piece *piece, uint16_t word)
{
	if (!piece->set)
		return piece->word == word;
	return l->rules->word_sets[word][piece->set / 64] >> (piece->set % 64) & 1;
}

/* Whether the phrase goes on from piece `i`, which begins at octet `from` or so much later as its
 * gap allows. */
static bool goes_on(struct looking *l, const struct phrase *phrase, unsigned i, uint32_t from)
{
	const struct piece *piece = &phrase->piece[i];

	for (uint32_t m = 0; m < l->found.n; m++) {
		const struct rc_match *match = &l->found.match[m];

		if (i > 0 && (match->start < from || match->start > from + piece->gap))
			continue;
		if (!piece_is(l, piece, match->word))
			continue;
		if (i + 1u == phrase->n)
			return true;
		if (++l->steps > STEPS_MAX)
			return false;
		if (goes_on(l, phrase, i + 1, match->end))
			return true;
	}
	return false;
}

static bool phrase_holds(struct looking *l, const struct phrase *phrase)
{
	for (unsigned i = 0; i < phrase->n; i++)
		if (!piece_seen(l, &phrase->piece[i]))
			return false;
	return phrase->n == 1 || goes_on(l, phrase, 0, 0);
}

static bool text_holds(struct looking *l, const struct rule *r)
{
	uint32_t open = (1u << r->groups) - 1;

	open &= ~r->denied_groups;
	for (size_t i = 0; i < r->n_phrases; i++) {
		unsigned group = r->phrases[i].group;
		bool denied = r->denied_groups >> group & 1;

		if ((denied || open >> group & 1) && phrase_holds(l, &r->phrases[i])) {
			if (denied)
				return false;
			open &= ~(1u << group);
		}
	}
	return open == 0;
}

static bool enhanced_holds(const struct looking *l, const struct rule *r)
{
	if (!r->n_enhanced)
		return true;
	for (size_t i = 0; i < r->n_enhanced; i++) {
		const struct enhanced_pattern *e = &r->enhanced[i];

		if (e->none != (l->enhanced[0] < 0))
			continue;
		if (e->none || ((e->class < 0 || e->class == l->enhanced[0]) &&
				(e->subject < 0 || e->subject == l->enhanced[1]) &&
				(e->detail_low < 0 || (l->enhanced[2] >= e->detail_low &&
						       l->enhanced[2] <= e->detail_high))))
			return true;
	}
	return false;
}

/* A blank stands before and behind each word. */
static unsigned words_of(const struct looking *l)
{
	unsigned words = 0;

	for (size_t i = 1; i < l->len; i++)
		words += l->text[i] == ' ';
	return words;
}

/* Stage and code hold already. */
static bool rule_holds(struct looking *l, const struct rule *r)
{
	if (!enhanced_holds(l, r) || (r->min_words && words_of(l) < r->min_words))
		return false;
	if (r->n_providers) {
		bool ok = false;

		for (size_t i = 0; i < r->n_providers && !ok; i++)
			ok = strcmp(r->providers[i], l->provider) == 0;
		if (!ok)
			return false;
	}
	return !r->groups || text_holds(l, r);
}

/* ---------------------------------------------------------------- the reply */

static bool read_enhanced(const char *s, int out[3])
{
	struct enhanced_pattern e;

	if (!s || !*s || !rule_parse_enhanced(s, &e) || e.none || e.class < 0 || e.subject < 0 ||
	    e.detail_low < 0)
		return false;
	out[0] = e.class;
	out[1] = e.subject;
	out[2] = e.detail_low;
	return true;
}

/* Where the server did not put the enhanced status first: "(#5.1.1)" of qmail and its kin,
 * "[5.1.1]", "smtp; 5.1.1", as a word by itself and of the code's class. */
static void find_enhanced(struct looking *l)
{
	const char *end = l->text + l->len;

	for (const char *p = l->text; p + 6 < end; p++) {
		char status[12];
		size_t n = 0;

		if (*p != ' ')
			continue;
		p += p[1] == '#';
		while (p + 1 + n < end && n < sizeof(status) - 1 &&
		       (p[1 + n] == '.' || (p[1 + n] >= '0' && p[1 + n] <= '9'))) {
			status[n] = p[1 + n];
			n++;
		}
		status[n] = '\0';
		if (p + 1 + n < end && p[1 + n] == ' ' && n >= 5 &&
		    (unsigned)(status[0] - '0') == l->code / 100 &&
		    read_enhanced(status, l->enhanced))
			return;
	}
}

static void mark(struct looking *l)
{
	const struct rc_rules *rules = l->rules;
	const uint64_t *stage = rules->by_stage + l->stage * rules->bit_words;
	const uint64_t *code = rules->by_code + (l->code - 200) * rules->bit_words;

	memset(l->sets, 0, sizeof(l->sets));
	memcpy(l->marked, rules->base, rules->bit_words * sizeof(*l->marked));
	for (uint32_t m = 0; m < l->found.n; m++) {
		const uint16_t word = l->found.match[m].word;

		if (!l->found.match[m].first)
			continue;
		for (size_t i = 0; i < RULE_SETS_MAX / 64; i++)
			l->sets[i] |= rules->word_sets[word][i];
		rules_mark_called(rules, word, l->marked);
	}
	for (size_t w = 0; w < rules->bit_words; w++)
		l->marked[w] &= stage[w] & code[w];
}

static void look(struct looking *l, const struct rc_rules *rules, const struct rc_reply_view *reply)
{
	size_t len = reply->text ? reply->len : 0;

	l->rules = rules;
	l->stage = reply->stage > RC_STAGE_UNSET && reply->stage <= RC_STAGE_QUIT
		       ? (unsigned)reply->stage
		       : RC_STAGE_RCPT;
	l->code = reply->code;
	l->provider = reply->provider ? reply->provider : "";
	l->steps = 0;
	if (len > RC_REPLY_TEXT_MAX)
		len = RC_REPLY_TEXT_MAX;
	l->len =
	    rc_reply_fold(len ? reply->text : "", len, reply->enhanced, l->text, sizeof(l->text));
	l->enhanced[0] = l->enhanced[1] = l->enhanced[2] = -1;
	if (!read_enhanced(reply->enhanced, l->enhanced))
		find_enhanced(l);
	rc_matcher_scan(rules->matcher, l->text, l->len, &l->found);
	if (l->code >= 200 && l->code <= 599)
		mark(l);
	else
		memset(l->marked, 0, rules->bit_words * sizeof(*l->marked));
}

/* The first rule that holds at or behind number `from`; rules->n: none. */
static size_t next_holding(struct looking *l, size_t from)
{
	for (size_t w = from / 64; w < l->rules->bit_words; w++) {
		uint64_t bits = l->marked[w];

		if (w == from / 64)
			bits &= ~(uint64_t)0 << (from % 64);
		for (; bits; bits &= bits - 1) {
			size_t i = 64 * w + (size_t)__builtin_ctzll(bits);

			if (rule_holds(l, l->rules->rules[i]))
				return i;
		}
	}
	return l->rules->n;
}

void rc_rules_classify(const struct rc_rules *rules, const struct rc_reply_view *reply,
		       struct rc_classification *ret)
{
	struct looking l;
	size_t i;

	look(&l, rules, reply);
	i = next_holding(&l, 0);
	*ret = (struct rc_classification){ .fault = RC_FAULT_UNCLEAR,
					   .category = RC_CATEGORY_UNCLEAR,
					   .rule = "fallback-no-reply",
					   .retry_after_s = -1,
					   .greylist_min_s = -1 };
	if (i < rules->n) {
		const struct rule *r = rules->rules[i];

		ret->fault = r->fault;
		ret->category = r->category;
		ret->rule = r->name;
		ret->line = r->line;
		ret->names_mailbox = r->mailbox;
		ret->names_sender = r->sender;
		ret->names_tls = r->tls;
		ret->greylist_min_s = r->retry_s;
		ret->greylist_key = r->key;
	}
	if ((l.code >= 400 && l.code < 500) ||
	    (l.code >= 500 &&
	     (ret->fault == RC_FAULT_TEMPORARY || ret->category == RC_CATEGORY_RATE_LIMITED)))
		ret->retry_after_s = rc_reply_wait_s(l.text, l.len);
}

size_t rc_rules_matching(const struct rc_rules *rules, const struct rc_reply_view *reply,
			 const char **ret_names, size_t max)
{
	struct looking l;
	size_t n = 0;

	look(&l, rules, reply);
	for (size_t i = next_holding(&l, 0); i < rules->n; i = next_holding(&l, i + 1)) {
		if (n < max)
			ret_names[n] = rules->rules[i]->name;
		n++;
	}
	return n;
}
