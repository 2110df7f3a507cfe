/*
 * matcher - finds all of many words in one pass over a folded text, by one automaton.
 *
 * Words are added, then compiled once; scanning afterwards changes nothing and may run on any
 * number of threads. A word is found where it begins a word of the text: behind no letter and no
 * digit, except in scripts that put no blanks between words (Chinese, Japanese); it may go on, so
 * that "reject" finds "rejected". Private to this room. At most RC_MATCHER_WORDS words.
 */
#ifndef RC_REPLY_MATCHER_H
#define RC_REPLY_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RC_MATCHER_WORDS = 16384,
	RC_MATCHES_MAX = 2048,	   /* occurrences that are kept of a text */
	RC_MATCHES_REPEATED = 1024 /* behind so many, only a word's first one */
};

struct rc_matcher;

/* Occurrences in the order of their beginnings, then of their ends; `seen` has a bit for each word that occurs. */
struct rc_matches {
	uint64_t seen[RC_MATCHER_WORDS / 64];
	uint32_t n;
	struct rc_match {
		uint32_t start, end;
		uint16_t word;
		bool first; /* of this word */
	} match[RC_MATCHES_MAX];
};

struct rc_matcher *rc_matcher_new(void);
/* Takes NULL. */
void rc_matcher_free(struct rc_matcher *m);
/* The word's number, from 0; the same word has the same one. -1: no memory, empty, or one too many.
 * Copies. */
int rc_matcher_add(struct rc_matcher *m, const char *word, size_t len);
const char *rc_matcher_word(const struct rc_matcher *m, int word, size_t *ret_len);
size_t rc_matcher_words(const struct rc_matcher *m);
/* False: no memory. */
bool rc_matcher_compile(struct rc_matcher *m);
void rc_matcher_scan(const struct rc_matcher *m, const char *text, size_t len,
		     struct rc_matches *ret);

/* Whether a word of the text may begin at `at`, where `word` stands. */
bool rc_matcher_begins(const char *text, size_t at);

#endif
