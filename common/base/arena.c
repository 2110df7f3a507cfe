/* See arena.h. Blocks in a list, the newest first; what is larger than a block gets one of its own.
 */
#include "common/base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK_FIRST =
	    2048, /* a shard of one recipient should not cost a page for each of its layers */
	BLOCK_MOST = 65536,
	ALIGNMENT = _Alignof(max_align_t),
};

struct block {
	struct block *next;
	size_t size; /* of data */
	size_t used;
	_Alignas(max_align_t) unsigned char data[];
};

struct rc_arena {
	struct block *blocks;
	size_t cap;
	size_t used;
	size_t next_size;
};

struct rc_arena *rc_arena_new(size_t cap)
{
	struct rc_arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		return NULL;
	arena->cap = cap;
	arena->next_size = BLOCK_FIRST;
	return arena;
}

static void free_blocks(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
}

void rc_arena_free(struct rc_arena *arena)
{
	if (!arena)
		return;
	free_blocks(arena->blocks);
	free(arena);
}

static struct block *block_add(struct rc_arena *arena, size_t size)
{
	size_t room = arena->next_size - sizeof(struct block);
	struct block *block;

	if (size > SIZE_MAX - sizeof(*block))
		return NULL;
	if (room < size)
		room = size;
	block = malloc(sizeof(*block) + room);
	if (!block)
		return NULL;
	block->size = room;
	block->used = 0;
	if (arena->next_size < BLOCK_MOST)
		arena->next_size *= 2;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

void *rc_arena_alloc(struct rc_arena *arena, size_t size)
{
	struct block *block = arena->blocks;
	void *memory;

	if (size == 0)
		size = 1;
	if (size > SIZE_MAX - ALIGNMENT)
		return NULL;
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (arena->cap && (size > arena->cap || arena->used > arena->cap - size))
		return NULL;
	if (!block || block->size - block->used < size) {
		block = block_add(arena, size);
		if (!block)
			return NULL;
	}
	memory = block->data + block->used;
	block->used += size;
	arena->used += size;
	return memset(memory, 0, size);
}

char *rc_arena_strndup(struct rc_arena *arena, const char *text, size_t len)
{
	char *copy;

	if (len == SIZE_MAX)
		return NULL;
	copy = rc_arena_alloc(arena, len + 1);
	if (copy && len)
		memcpy(copy, text, len);
	return copy;
}

char *rc_arena_strdup(struct rc_arena *arena, const char *text)
{
	return rc_arena_strndup(arena, text, strlen(text));
}

char *rc_arena_printf(struct rc_arena *arena, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		return NULL;
	text = rc_arena_alloc(arena, (size_t)len + 1);
	if (!text)
		return NULL;
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}

void rc_arena_reset(struct rc_arena *arena)
{
	struct block *kept = arena->blocks;

	if (kept) {
		free_blocks(kept->next);
		kept->next = NULL;
		kept->used = 0;
		/* One huge upload line must not stay for as long as the arena lives. */
		if (kept->size > BLOCK_MOST) {
			free(kept);
			arena->blocks = NULL;
		}
	}
	arena->used = 0;
}

size_t rc_arena_used(const struct rc_arena *arena)
{
	return arena->used;
}
