/*
 * typo - how far a mistyped domain lies from one that many people have.
 *
 * Pure. The distance is Damerau's and Levenshtein's with weights: letters that change places, keys
 * that lie beside each other, letters that look alike and letters that are doubled or lack their
 * double cost half of what any other edit costs.
 */
#ifndef COORDINATOR_CORE_TYPO_H
#define COORDINATOR_CORE_TYPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TYPO_EDIT = 100 }; /* what an ordinary edit costs */

/* What it takes to make `b` of `a`, in hundredths of an edit; more than `most`: any number above
 * it. */
unsigned typo_distance(const char *a, const char *b, unsigned most);

/* A domain (lower-case A-labels, kept by the caller) and what can be said of it at a glance. */
struct typo_name {
	const char *name;
	uint32_t letters;
	unsigned len, most; /* how far a slip of it may lie away */
};

void typo_name_init(struct typo_name *ret, const char *domain);

/* Whether `typed` is likely to be a mistyped `popular`; *ret_cost is then how far it is. Short
 * names must be nearer than long ones, and a top-level domain that exists is no slip: gmx.ch is not
 * gmx.de. */
bool typo_of_domain(const struct typo_name *typed, const struct typo_name *popular,
		    unsigned *ret_cost);

#endif
