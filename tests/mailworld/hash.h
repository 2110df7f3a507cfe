/*
 * hash - 64-bit keys for mailworld's tables, the same on every machine and run, and an open table
 * of them.
 *
 * FNV-1a with a final mix: good enough among names that we made up ourselves, no defence against
 * chosen keys. A table is owned by its embedder, grows without bound and aborts when memory runs
 * out: a test program has nothing better to do.
 */
#ifndef MAILWORLD_HASH_H
#define MAILWORLD_HASH_H

#include <stddef.h>
#include <stdint.h>

/* ASCII letters count as lower case. */
uint64_t mw_hash_fold(const char *data, size_t len, uint64_t seed);
uint64_t mw_hash_mix(uint64_t a, uint64_t b);

/* A stream of numbers that a seed makes. */
struct mw_random {
	uint64_t state;
};
uint64_t mw_random_next(struct mw_random *random);
/* Uniform enough in [0, bound); bound > 0. */
uint32_t mw_random_below(struct mw_random *random, uint32_t bound);

struct mw_entry {
	uint64_t key;  /* 0: empty */
	uint64_t a, b; /* the user's */
};

struct mw_table {
	struct mw_entry *entries;
	size_t room, used;
};

/* The entry of `key` (not 0), or NULL. Valid until the next mw_table_put(). */
struct mw_entry *mw_table_get(const struct mw_table *table, uint64_t key);
/* The entry of `key`, made zeroed when there was none. */
struct mw_entry *mw_table_put(struct mw_table *table, uint64_t key);
void mw_table_done(struct mw_table *table);

/* malloc and realloc that abort with a sentence instead of failing. */
void *mw_alloc(size_t count, size_t size);
void *mw_realloc(void *old, size_t count, size_t size);
/* Doubles `*data` of `count` elements where `count` has reached a power of two (or is 0): the
 * cheapest growing array. */
void *mw_grow(void *data, size_t count, size_t size);

#endif
