/*
 * rule - one rule of data/replies in memory, and the set that they make. Private to this room.
 *
 * Made by rule_parse, judged by rule_check, put in order by rule_order, indexed by reply_rules and
 * asked by rule_match. Read only once reply_rules has handed the set out.
 */
#ifndef RC_REPLY_RULE_H
#define RC_REPLY_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/reply/data_file.h"
#include "common/reply/matcher.h"
#include "common/reply/reply_rules.h"

enum {
	RULES_MAX = 4096,
	RULE_NAME_MAX = 63,
	RULE_PIECES_MAX = 6, /* of one phrase */
	RULE_GROUPS_MAX = 8, /* text conditions of one rule */
	RULE_GAP_MAX = 120,  /* octets that a `*` may stand for */
	RULE_NEAR_MAX = 30,  /* and a `~` */
	RULE_SETS_MAX = 256,
	RULE_STAGES = RC_STAGE_QUIT + 1,
	RULE_CODES = 400 /* 200 to 599 */
};

/* "5.1.x", "4.7.500-699"; -1: any. `none`: the reply has no enhanced status. */
struct enhanced_pattern {
	bool none;
	int16_t class, subject, detail_low, detail_high;
};

struct code_pattern {
	uint16_t low, high;
};

/* A word, or (set > 0) any word of that set; `gap`: octets that may stand between it and the piece
 * before. */
struct piece {
	uint16_t word, set;
	uint8_t gap;
};

struct phrase {
	uint8_t group;
	uint8_t n;
	struct piece piece[RULE_PIECES_MAX];
};

/* set NAME: a|b|c */
struct word_set {
	char name[RULE_NAME_MAX + 1];
	unsigned line;
	bool used;
	uint16_t *words;
	size_t n;
	unsigned shortest; /* octets */
};

struct rule {
	char name[RULE_NAME_MAX + 1];
	unsigned line;	 /* 0: a fallback */
	uint32_t stages; /* a bit for each; 0: any */
	struct code_pattern *codes;
	size_t n_codes;
	struct enhanced_pattern *enhanced;
	size_t n_enhanced;
	char **providers;
	size_t n_providers;
	struct phrase *phrases;
	size_t n_phrases;
	unsigned groups;	/* text= */
	unsigned min_words;	/* of the text; 0: any */
	uint32_t denied_groups; /* those of them that were not=: none of their phrases may stand */
	enum rc_fault fault;
	enum rc_category category;
	bool mailbox, sender, tls;
	int8_t strength; /* of its text: 0 none, 1 weak, 2, 3 strong */
	int32_t retry_s;
	enum rc_greylist_key key;
	char **over;
	size_t n_over;
	/* how specific, in the order of comparison */
	unsigned words_len;
	unsigned enhanced_weight, code_weight, stage_weight;
	char *conditions; /* as written, blanks folded: to find a second one alike */
};

struct rc_rules {
	char *name; /* of the file, for errors */
	struct rule **rules;
	size_t n, from_file; /* most specific first */
	struct rc_matcher *matcher;
	struct word_set sets[RULE_SETS_MAX]; /* the first is none */
	size_t n_sets;
	uint64_t (*word_sets)[RULE_SETS_MAX / 64]; /* [word]: a bit for each set that has it */
	/* [word]: rules for which it is reason enough to look; a flat list with a beginning for
	 * each word */
	uint32_t *word_first;
	uint16_t *word_rules;
	/* bits for the rules, bit_words long: those without words; those that a stage, and a code
	 * from 200 on, admits */
	uint64_t *base, *by_stage, *by_code;
	size_t bit_words;
	char version[17];
};

/* What a rule is read into, and where it stands. */
struct reading {
	struct rc_rules *rules;
	const struct rc_data_file *file;
	unsigned line; /* where the rule began */
	bool fallback; /* the program's own rules */
	struct rc_error *err;
};

/* RC_INVALID with "FILE:LINE: " before the sentence. */
enum rc_status rule_wrong(const struct reading *in, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum rc_status rule_no_memory(const struct reading *in);
/* Room for one more element behind `n`; false: no memory. `array` is the address of the pointer. */
bool rule_grow(void *array, size_t n, size_t size);

/* rule_parse.c: one rule or set, continuation lines joined. */
enum rc_status rule_parse(struct reading *in, char *text);
bool rule_parse_enhanced(const char *s, struct enhanced_pattern *ret);
/* Takes NULL. */
void rule_free(struct rule *r);

/* rule_check.c: what cannot be meant. */
/* One rule by itself, with its defaults filled in. */
enum rc_status rule_complete(struct reading *in, struct rule *r);
/* All of them, in their order and indexed: rules that can never speak, sets that nobody uses. */
enum rc_status rule_check_all(const struct rc_rules *rules, struct rc_error *err);

/* A bit for each rule that the word, where it is found, is reason enough to look at. */
static inline void rules_mark_called(const struct rc_rules *rules, uint16_t word, uint64_t *marked)
{
	for (uint32_t i = rules->word_first[word]; i < rules->word_first[word + 1]; i++)
		marked[rules->word_rules[i] / 64] |= (uint64_t)1 << (rules->word_rules[i] % 64);
}

/* rule_order.c: most specific first, and each before those that it stands over. */
enum rc_status rule_order(struct rc_rules *rules, struct rc_error *err);

#endif
