/* See name_set.h. Open addressing over strings. */
#include "coordinator/core/name_set.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a: where a string lies in the table, nothing more. */
static size_t place(const char *s, size_t len)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static char **slot_of(const struct name_set *set, const char *s, size_t len)
{
	size_t i = place(s, len) & (set->room - 1);

	while (set->slots[i] && (strncmp(set->slots[i], s, len) != 0 || set->slots[i][len] != '\0'))
		i = (i + 1) & (set->room - 1);
	return &set->slots[i];
}

bool name_set_has(const struct name_set *set, const char *s, size_t len)
{
	return set->n && len && *slot_of(set, s, len) != NULL;
}

const char *name_set_get(const struct name_set *set, const char *s)
{
	return set->n ? *slot_of(set, s, strlen(s)) : NULL;
}

static bool set_grow(struct name_set *set)
{
	struct name_set more = { .room = set->room ? 2 * set->room : 256 };

	more.slots = calloc(more.room, sizeof(*more.slots));
	if (!more.slots)
		return false;
	for (size_t i = 0; i < set->room; i++)
		if (set->slots[i])
			*slot_of(&more, set->slots[i], strlen(set->slots[i])) = set->slots[i];
	free(set->slots);
	set->slots = more.slots;
	set->room = more.room;
	return true;
}

int name_set_add(struct name_set *set, const char *s)
{
	char **slot;

	if (2 * (set->n + 1) > set->room && !set_grow(set))
		return -1;
	slot = slot_of(set, s, strlen(s));
	if (*slot)
		return 0;
	*slot = strdup(s);
	if (!*slot)
		return -1;
	set->n++;
	return 1;
}

void name_set_done(struct name_set *set)
{
	for (size_t i = 0; i < set->room; i++)
		free(set->slots[i]);
	free(set->slots);
}

/* The domain, then the ones above it; a bare top-level name is never listed. */
bool name_set_has_domain(const struct name_set *set, const char *domain)
{
	size_t len = strlen(domain);

	while (len && domain[len - 1] == '.')
		len--;
	for (;;) {
		const char *dot = memchr(domain, '.', len);

		if (!dot)
			return false;
		if (name_set_has(set, domain, len))
			return true;
		len -= (size_t)(dot + 1 - domain);
		domain = dot + 1;
	}
}
