/*
 * name_set - a set of names: local parts, domains, hosts.
 *
 * Embedded; all zero is an empty one, name_set_done() gives it back. Filled once by its owner, read
 * only afterwards, from any number of threads. Names are compared octet by octet.
 */
#ifndef COORDINATOR_CORE_NAME_SET_H
#define COORDINATOR_CORE_NAME_SET_H

#include <stdbool.h>
#include <stddef.h>

struct name_set {
	char **slots; /* a power of two of them; NULL: free */
	size_t room, n;
};

/* 1: new; 0: was there; -1: no memory. */
int name_set_add(struct name_set *set, const char *s);
/* `s` need not end in NUL. */
bool name_set_has(const struct name_set *set, const char *s, size_t len);
/* The set's own copy of a name that ends in NUL; NULL: it has none. */
const char *name_set_get(const struct name_set *set, const char *s);
/* The domain or one above it, a final dot aside. */
bool name_set_has_domain(const struct name_set *set, const char *domain);
void name_set_done(struct name_set *set);

#endif
