/*
 * seed - numbers that look random and follow from a seed (splitmix64): what core uses where a test
 * must be able to repeat it. Not for secrets.
 */
#ifndef WORKER_CORE_SEED_H
#define WORKER_CORE_SEED_H

#include <stdint.h>

static inline uint64_t seed_next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* In [0, bound); bound > 0. The bias is below 2^-32. */
static inline uint32_t seed_below(uint64_t *seed, uint32_t bound)
{
	return (uint32_t)(((seed_next(seed) >> 32) * bound) >> 32);
}

#endif
