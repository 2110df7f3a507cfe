/*
 * lookup - the resolution of one domain, carried out: asks dns what resolution wants to know.
 *
 * Owner: the loop's thread. On the heap; the owner frees it, at any time, from inside its own
 * callback too.
 */
#ifndef WORKER_IO_LOOKUP_H
#define WORKER_IO_LOOKUP_H

#include <stdbool.h>

#include "worker/core/resolution.h"
#include "worker/io/dns.h"

struct lookup;

/* NULL: out of memory. `bypass_cache`: a confirmation. */
struct lookup *lookup_new(struct dns *dns, const char *domain, bool bypass_cache,
			  resolution_allows *allows, const void *context);
/* Takes NULL. What is under way is dropped. */
void lookup_free(struct lookup *lookup);
/* True: done already. False: `done` will be called from the loop, once. */
bool lookup_start(struct lookup *lookup, void (*done)(struct lookup *lookup, void *owner),
		  void *owner);
/* The time is over: afterwards it is done, and `done` is not called. */
void lookup_give_up(struct lookup *lookup);
const struct resolution *lookup_resolution(const struct lookup *lookup);

#endif
