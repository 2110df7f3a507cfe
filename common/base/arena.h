/*
 * arena - memory that is freed all at once: one for each shard, upload record or request.
 *
 * Owner: whoever made it. Not thread-safe. Allocation fails with NULL once `cap` octets are in use
 * or malloc says no; the arena stays usable. Nothing taken from it is freed alone.
 */
#ifndef RC_BASE_ARENA_H
#define RC_BASE_ARENA_H

#include <stddef.h>

struct rc_arena;

/* `cap`: most octets it may ever hold, 0 for no cap. NULL when out of memory. */
struct rc_arena *rc_arena_new(size_t cap);
/* Takes NULL. */
void rc_arena_free(struct rc_arena *arena);
/* Zeroed, aligned for any type. NULL on failure. */
void *rc_arena_alloc(struct rc_arena *arena, size_t size) __attribute__((malloc));
/* Copies; the copy of rc_arena_strndup ends in NUL. NULL on failure. */
char *rc_arena_strdup(struct rc_arena *arena, const char *text);
char *rc_arena_strndup(struct rc_arena *arena, const char *text, size_t len);
char *rc_arena_printf(struct rc_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Empties it and keeps one block for what comes next. */
void rc_arena_reset(struct rc_arena *arena);
/* Octets in use. */
size_t rc_arena_used(const struct rc_arena *arena);

#endif
