/*
 * See reply_rules.h. Parsing, checking and ordering happen at load; what remains for a reply is
 * rule_match.c.
 */
#include "common/reply/reply_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/reply/providers.h"
#include "common/reply/rule.h"

enum { RULE_TEXT_MAX = 65536 }; /* octets of one rule or set, its continuation lines included */

static const char fallback_rules[] =
    "fallback-2.5.2: code=252 -> none cannot_verify\n"
    "fallback-251: code=251 -> none forwarded\n"
    "fallback-2xx: code=2xx -> none accepted\n"
    "fallback-3xx: code=3xx -> unclear protocol\n"
    /* nothing before RCPT says a word of a mailbox */
    "fallback-greeting-521: stage=connect,greeting,ehlo,mail code=521 -> domain routing\n"
    "fallback-greeting-5xx: stage=connect,greeting code=5xx -> sender policy\n"
    "fallback-early-4xx: stage=connect,greeting,ehlo,starttls,mail code=4xx -> temporary "
    "temporary\n"
    "fallback-early-421: stage=connect,greeting,ehlo,starttls,mail code=421 -> temporary "
    "service_unavailable\n"
    "fallback-early-530: stage=connect,greeting,ehlo,starttls,mail code=530 -> sender "
    "auth_required\n"
    "fallback-early-protocol: stage=ehlo,starttls,mail code=500-504,555 -> sender protocol\n"
    "fallback-ehlo-5xx: stage=ehlo code=5xx -> sender policy sender\n"
    "fallback-mail-5xx: stage=mail code=5xx -> sender policy sender\n"
    "fallback-starttls-5xx: stage=starttls code=5xx -> sender policy tls\n"
    "fallback-quit: stage=quit code=4xx,5xx -> unclear unclear\n"
    /* at RCPT, by enhanced status */
    "fallback-5.1.1: stage=rcpt enhanced=5.1.1 code=5xx -> recipient mailbox_not_found mailbox\n"
    "fallback-5.1.2: stage=rcpt enhanced=5.1.2 code=5xx -> domain routing\n"
    "fallback-5.1.3: stage=rcpt enhanced=5.1.3 code=5xx -> recipient name_not_allowed mailbox\n"
    "fallback-5.1.4: stage=rcpt enhanced=5.1.4,5.1.5 code=5xx -> unclear unclear\n"
    "fallback-5.1.6: stage=rcpt enhanced=5.1.6 code=5xx -> recipient mailbox_not_found mailbox\n"
    "fallback-551-5.1.x: stage=rcpt enhanced=5.1.1,5.1.6 code=551 -> recipient not_local mailbox\n"
    "fallback-553-5.1.x: stage=rcpt enhanced=5.1.1,5.1.3 code=553 -> recipient name_not_allowed "
    "mailbox\n"
    "fallback-5.1.7: stage=rcpt enhanced=5.1.7,5.1.8 code=5xx -> sender policy sender\n"
    "fallback-5.1.10: stage=rcpt enhanced=5.1.10 code=550 -> recipient mailbox_not_found mailbox\n"
    "fallback-5.1.10-null: stage=rcpt enhanced=5.1.10 code=556 -> domain routing\n"
    "fallback-5.2.1: stage=rcpt enhanced=5.2.1 code=5xx -> recipient mailbox_disabled mailbox\n"
    "fallback-5.2.2: stage=rcpt enhanced=5.2.2 code=5xx -> recipient mailbox_full mailbox\n"
    "fallback-4.2.2: stage=rcpt enhanced=4.2.2,5.2.2 code=4xx -> recipient mailbox_full mailbox\n"
    "fallback-5.2.3: stage=rcpt enhanced=5.2.3,5.3.4 code=5xx -> sender protocol\n"
    "fallback-5.2.4: stage=rcpt enhanced=5.2.4 code=5xx -> unclear unclear\n"
    "fallback-5.3: stage=rcpt enhanced=5.3.x code=5xx -> unclear service_unavailable\n"
    "fallback-5.4: stage=rcpt enhanced=5.4.x code=5xx -> domain routing\n"
    "fallback-5.5.3: stage=rcpt enhanced=5.5.3 code=5xx -> sender too_many_recipients\n"
    "fallback-5.5: stage=rcpt enhanced=5.5.1-2,5.5.4-6 code=5xx -> sender protocol\n"
    "fallback-5.6: stage=rcpt enhanced=5.6.x code=5xx -> sender protocol\n"
    "fallback-5.7: stage=rcpt enhanced=5.7.x code=5xx -> unclear policy\n"
    "fallback-5.7-sender: stage=mail,rcpt enhanced=5.7.20-29 code=5xx -> sender policy sender\n"
    "fallback-530-5.7: stage=rcpt enhanced=5.7.x,5.5.x code=530 -> sender auth_required\n"
    "fallback-4.5.3: stage=rcpt enhanced=4.5.3 code=4xx -> sender too_many_recipients\n"
    "fallback-4.3.2: stage=rcpt enhanced=4.3.2 code=4xx -> temporary service_unavailable\n"
    "fallback-4.7-rate: enhanced=4.7.28,4.7.500-699 code=4xx -> sender rate_limited\n"
    /* at RCPT, by code; what is left is unclear */
    "fallback-421: stage=rcpt code=421 -> temporary service_unavailable\n"
    "fallback-4xx: stage=rcpt code=4xx -> temporary temporary\n"
    "fallback-protocol: stage=rcpt code=500-504,555 -> sender protocol\n"
    "fallback-521: stage=rcpt code=521 -> domain routing\n"
    "fallback-530: stage=rcpt code=530 -> sender auth_required\n"
    "fallback-550: stage=rcpt code=550 -> recipient mailbox_not_found\n"
    "fallback-551: stage=rcpt code=551 -> unclear not_local\n"
    "fallback-553: stage=rcpt code=553 -> unclear policy\n"
    "fallback-554: stage=rcpt code=554 -> unclear policy\n"
    "fallback-556: stage=rcpt code=556 -> domain routing\n"
    "fallback-5xx: stage=rcpt code=5xx -> unclear unclear\n"
    "fallback-any: code=200-599 -> unclear unclear\n";

/* ---------------------------------------------------------------- reading */

static enum rc_status parse_file(struct rc_rules *rules, struct rc_data_file *f, bool fallback,
				 struct rc_error *err)
{
	struct reading in = { rules, f, 0, fallback, err };
	char *text = malloc(RULE_TEXT_MAX);
	size_t len = 0;
	enum rc_status status = RC_OK;
	int more;

	if (!text)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	do {
		more = rc_data_file_next(f, err);
		if (more < 0) {
			status = RC_INVALID;
			break;
		}
		if ((more == 0 || !f->indented) && len) {
			status = rule_parse(&in, text);
			len = 0;
			if (status)
				break;
		}
		if (more) {
			size_t n = strlen(f->text);

			if (f->indented && !len) {
				status = rc_data_file_wrong(f, err,
							    "the line is indented, but there is no "
							    "rule that it goes on with");
				break;
			}
			if (len + n + 2 > RULE_TEXT_MAX) {
				status = rc_data_file_wrong(f, err, "a rule of more than %d octets",
							    RULE_TEXT_MAX);
				break;
			}
			if (!len)
				in.line = f->line;
			else
				text[len++] = ' ';
			memcpy(text + len, f->text, n + 1);
			len += n;
		}
	} while (more);
	free(text);
	return status;
}

/* ---------------------------------------------------------------- the index */

static unsigned shortest_word(const struct rc_rules *rules, const struct piece *piece)
{
	size_t len;

	if (piece->set)
		return rules->sets[piece->set].shortest;
	rc_matcher_word(rules->matcher, piece->word, &len);
	return (unsigned)len;
}

/* The text condition that calls for the rule: the first that asks for words; groups: there is none.
 */
static unsigned calling_group(const struct rule *r)
{
	unsigned group = 0;

	while (group < r->groups && r->denied_groups >> group & 1)
		group++;
	return group;
}

/* Of each phrase that may call for rule number `i`, the piece whose words are the longest, hence
 * the rarest. Counts them into `fill`, or (list) notes the rule behind the word's others. */
static void call_by_words(struct rc_rules *rules, size_t i, uint32_t *fill, bool list)
{
	const struct rule *r = rules->rules[i];
	unsigned group = calling_group(r);

	for (size_t k = 0; k < r->n_phrases; k++) {
		const struct piece *best = &r->phrases[k].piece[0];
		const struct word_set *set;

		if (r->phrases[k].group != group)
			continue;
		for (unsigned p = 1; p < r->phrases[k].n; p++)
			if (shortest_word(rules, &r->phrases[k].piece[p]) >
			    shortest_word(rules, best))
				best = &r->phrases[k].piece[p];
		set = &rules->sets[best->set];
		for (size_t w = 0; w < (best->set ? set->n : 1); w++) {
			uint16_t word = best->set ? set->words[w] : best->word;

			if (list)
				rules->word_rules[rules->word_first[word] + fill[word]] =
				    (uint16_t)i;
			fill[word]++;
		}
	}
}

static void index_conditions(struct rc_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *r = rules->rules[i];
		uint64_t bit = (uint64_t)1 << (i % 64);

		if (calling_group(r) == r->groups)
			rules->base[i / 64] |= bit;
		for (size_t stage = 0; stage < RULE_STAGES; stage++)
			if (!r->stages || r->stages >> stage & 1)
				rules->by_stage[stage * rules->bit_words + i / 64] |= bit;
		for (size_t k = 0; k < r->n_codes; k++)
			for (size_t code = r->codes[k].low; code <= r->codes[k].high; code++)
				rules->by_code[(code - 200) * rules->bit_words + i / 64] |= bit;
	}
}

static bool index_sets(struct rc_rules *rules)
{
	rules->word_sets = calloc(rc_matcher_words(rules->matcher) + 1, sizeof(*rules->word_sets));
	if (!rules->word_sets)
		return false;
	for (size_t i = 1; i < rules->n_sets; i++)
		for (size_t w = 0; w < rules->sets[i].n; w++)
			rules->word_sets[rules->sets[i].words[w]][i / 64] |= (uint64_t)1
									     << (i % 64);
	return true;
}

static enum rc_status make_index(struct rc_rules *rules, struct rc_error *err)
{
	size_t words = rc_matcher_words(rules->matcher);
	uint32_t *fill = calloc(words + 1, sizeof(*fill));
	bool ok = false;

	rules->bit_words = (rules->n + 63) / 64;
	rules->base = calloc(rules->bit_words, sizeof(*rules->base));
	rules->by_stage = calloc(RULE_STAGES * rules->bit_words, sizeof(*rules->by_stage));
	rules->by_code = calloc(RULE_CODES * rules->bit_words, sizeof(*rules->by_code));
	rules->word_first = calloc(words + 1, sizeof(*rules->word_first));
	if (!fill || !rules->base || !rules->by_stage || !rules->by_code || !rules->word_first ||
	    !index_sets(rules) || !rc_matcher_compile(rules->matcher))
		goto out;
	for (size_t i = 0; i < rules->n; i++)
		call_by_words(rules, i, fill, false);
	for (size_t w = 0; w < words; w++) {
		rules->word_first[w + 1] = rules->word_first[w] + fill[w];
		fill[w] = 0;
	}
	rules->word_rules = calloc(rules->word_first[words] + 1, sizeof(*rules->word_rules));
	if (!rules->word_rules)
		goto out;
	for (size_t i = 0; i < rules->n; i++)
		call_by_words(rules, i, fill, true);
	index_conditions(rules);
	ok = true;
out:
	free(fill);
	return ok ? RC_OK
		  : rc_error_set(err, RC_NO_MEMORY, "%s: no memory for its words", rules->name);
}

/* ---------------------------------------------------------------- the set */

static enum rc_status compile(struct rc_data_file *f, struct rc_rules **ret_rules,
			      struct rc_error *err)
{
	struct rc_rules *rules = calloc(1, sizeof(*rules));
	struct rc_data_file fallback;
	uint8_t digest[EVP_MAX_MD_SIZE];
	enum rc_status status;

	if (!rules || !(rules->matcher = rc_matcher_new()) || !(rules->name = strdup(f->name))) {
		status = rc_error_set(err, RC_NO_MEMORY, "%s: no memory for the rules", f->name);
		goto out;
	}
	rules->n_sets = 1;
	if (!EVP_Digest(f->at, (size_t)(f->end - f->at), digest, NULL, EVP_sha256(), NULL)) {
		status = rc_error_set(err, RC_BROKEN, "%s: SHA-256 is not available", f->name);
		goto out;
	}
	for (int i = 0; i < 8; i++)
		snprintf(rules->version + 2 * i, 3, "%02x", digest[i]);
	status = parse_file(rules, f, false, err);
	if (status)
		goto out;
	rules->from_file = rules->n;
	rc_data_file_init(&fallback, "fallback rules", fallback_rules, sizeof(fallback_rules) - 1);
	status = parse_file(rules, &fallback, true, err);
	if (!status)
		status = rule_order(rules, err);
	if (!status)
		status = make_index(rules, err);
	if (!status)
		status = rule_check_all(rules, err);
	if (status)
		goto out;
	*ret_rules = rules;
	rules = NULL;
out:
	rc_rules_free(rules);
	return status;
}

enum rc_status rc_rules_load(const char *path, struct rc_rules **ret_rules, struct rc_error *err)
{
	struct rc_data_file f;
	enum rc_status status = rc_data_file_open(&f, path, "replies", err);

	if (status)
		return status;
	status = compile(&f, ret_rules, err);
	rc_data_file_done(&f);
	return status;
}

enum rc_status rc_rules_parse(const char *name, const char *data, size_t len,
			      struct rc_rules **ret_rules, struct rc_error *err)
{
	struct rc_data_file f;

	rc_data_file_init(&f, name, data, len);
	return compile(&f, ret_rules, err);
}

enum rc_status rc_rules_check_providers(const struct rc_rules *rules,
					const struct rc_providers *providers, struct rc_error *err)
{
	for (size_t i = 0; i < rules->n; i++)
		for (size_t k = 0; k < rules->rules[i]->n_providers; k++)
			if (!rc_providers_find(providers, rules->rules[i]->providers[k]))
				return rc_error_set(
				    err, RC_INVALID,
				    "%s:%u: there is no provider \"%s\" in data/providers",
				    rules->name, rules->rules[i]->line,
				    rules->rules[i]->providers[k]);
	return RC_OK;
}

void rc_rules_free(struct rc_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->n; i++)
		rule_free(rules->rules[i]);
	for (size_t i = 1; i < rules->n_sets; i++)
		free(rules->sets[i].words);
	free(rules->word_sets);
	free(rules->rules);
	rc_matcher_free(rules->matcher);
	free(rules->word_first);
	free(rules->word_rules);
	free(rules->base);
	free(rules->by_stage);
	free(rules->by_code);
	free(rules->name);
	free(rules);
}

size_t rc_rules_count(const struct rc_rules *rules)
{
	return rules->from_file;
}

const char *rc_rules_version(const struct rc_rules *rules)
{
	return rules->version;
}
