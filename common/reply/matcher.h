/*
 * matcher - finds all of many words in one pass over a text (Aho and Corasick, 1975).
 *
 * Words are added, then compiled once; scanning afterwards changes nothing and may run on any
 * number of threads. Private to this room. At most RC_MATCHER_WORDS words and 65,535 states.
 */
#ifndef RC_REPLY_MATCHER_H
#define RC_REPLY_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RC_MATCHER_WORDS = 16384 };

struct rc_matcher;

struct rc_matcher *rc_matcher_new(void);
/* Takes NULL. */
void rc_matcher_free(struct rc_matcher *m);
/* The word's number, from 0; the same word has the same one. -1: no memory, empty, or one too many.
 * Copies. */
int rc_matcher_add(struct rc_matcher *m, const char *word, size_t len);
const char *rc_matcher_word(const struct rc_matcher *m, int word, size_t *ret_len);
size_t rc_matcher_words(const struct rc_matcher *m);
/* False: no memory, or too many states. */
bool rc_matcher_compile(struct rc_matcher *m);
/* Calls `found(ctx, word)` for each occurrence of a word that is not in `seen` yet (a bit for each
 * word; the caller zeroes it) and sets its bit. */
void rc_matcher_scan(const struct rc_matcher *m, const char *text, size_t len, uint64_t *seen,
		     void (*found)(void *ctx, int word), void *ctx);

#endif
