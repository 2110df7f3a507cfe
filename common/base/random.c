/* See random.h. */
#include "common/base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void rc_random_bytes(void *out, size_t len)
{
	unsigned char *to = out;

	while (len) {
		ssize_t got = getrandom(to, len, 0);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			abort();
		}
		to += got;
		len -= (size_t)got;
	}
}

uint32_t rc_random_below(uint32_t bound)
{
	uint32_t value, floor;

	assert(bound > 0);
	/* 2^32 mod bound: the lowest values would come once too often. */
	floor = (uint32_t)(-bound) % bound;
	do
		rc_random_bytes(&value, sizeof(value));
	while (value < floor);
	return value % bound;
}
