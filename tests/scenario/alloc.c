/* See alloc.h. */
#include "tests/scenario/alloc.h"

#include <stddef.h>

#include "common/base/arena.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_rc_arena_alloc(struct rc_arena *arena, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_rc_arena_alloc(struct rc_arena *arena, size_t size);

static unsigned left;
static bool always, armed, failed;

void alloc_fail(unsigned nth, bool for_good)
{
	left = nth;
	always = for_good;
	failed = false;
}

void alloc_arm(void)
{
	armed = true;
}

void alloc_disarm(void)
{
	armed = false;
}

bool alloc_failed(void)
{
	return failed;
}

static bool fails(void)
{
	if (!armed || (left == 0 && !(failed && always)))
		return false;
	if (left && --left)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_rc_arena_alloc(struct rc_arena *arena, size_t size)
{
	return fails() ? NULL : __real_rc_arena_alloc(arena, size);
}
