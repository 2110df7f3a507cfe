/* random - octets from getrandom(2). Never fails once the kernel has booted; aborts if it does. */
#ifndef RC_BASE_RANDOM_H
#define RC_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void rc_random_bytes(void *out, size_t len);
/* Uniform in [0, bound); bound > 0. */
uint32_t rc_random_below(uint32_t bound);

#endif
