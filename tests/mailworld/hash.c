/* See hash.h. */
#include "tests/mailworld/hash.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t mw_hash_mix(uint64_t a, uint64_t b)
{
	uint64_t x = a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2));

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	return x ? x : 1;
}

uint64_t mw_hash_fold(const char *data, size_t len, uint64_t seed)
{
	uint64_t x = 0xcbf29ce484222325u ^ seed;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c | 0x20);
		x = (x ^ c) * 0x100000001b3u;
	}
	return mw_hash_mix(x, len);
}

uint64_t mw_random_next(struct mw_random *random)
{
	uint64_t x = random->state += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint32_t mw_random_below(struct mw_random *random, uint32_t bound)
{
	return (uint32_t)(((mw_random_next(random) >> 32) * bound) >> 32);
}

void *mw_realloc(void *old, size_t count, size_t size)
{
	void *memory = reallocarray(old, count ? count : 1, size);

	if (!memory) {
		fprintf(stderr, "mailworld: out of memory\n");
		abort();
	}
	return memory;
}

void *mw_alloc(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);

	if (!memory) {
		fprintf(stderr, "mailworld: out of memory\n");
		abort();
	}
	return memory;
}

void *mw_grow(void *data, size_t count, size_t size)
{
	if (count & (count - 1))
		return data;
	return mw_realloc(data, count ? count * 2 : 1, size);
}

struct mw_entry *mw_table_get(const struct mw_table *table, uint64_t key)
{
	if (!table->room)
		return NULL;
	for (size_t i = key & (table->room - 1);; i = (i + 1) & (table->room - 1)) {
		if (table->entries[i].key == key)
			return &table->entries[i];
		if (!table->entries[i].key)
			return NULL;
	}
}

static struct mw_entry *free_place(const struct mw_table *table, uint64_t key)
{
	size_t i = key & (table->room - 1);

	while (table->entries[i].key)
		i = (i + 1) & (table->room - 1);
	return &table->entries[i];
}

struct mw_entry *mw_table_put(struct mw_table *table, uint64_t key)
{
	struct mw_entry *entry = mw_table_get(table, key);

	if (entry)
		return entry;
	if (table->used * 2 >= table->room) {
		struct mw_table larger = { .room = table->room ? table->room * 2 : 64,
					   .used = table->used };

		larger.entries = mw_alloc(larger.room, sizeof(*larger.entries));
		for (size_t i = 0; i < table->room; i++)
			if (table->entries[i].key)
				*free_place(&larger, table->entries[i].key) = table->entries[i];
		free(table->entries);
		*table = larger;
	}
	entry = free_place(table, key);
	entry->key = key;
	table->used++;
	return entry;
}

void mw_table_done(struct mw_table *table)
{
	free(table->entries);
	*table = (struct mw_table){ 0 };
}
