/*
 * alloc - makes an allocation inside of worker/core fail, by count.
 *
 * This program is linked with malloc, calloc, realloc and rc_arena_alloc wrapped. They count only
 * between alloc_arm() and alloc_disarm(), which stand around each call into the core, so the
 * program's own memory never fails.
 */
#ifndef TESTS_SCENARIO_ALLOC_H
#define TESTS_SCENARIO_ALLOC_H

#include <stdbool.h>

/* The `nth` counted allocation from now on fails, from 1; `for_good`: and all that follow. 0: none.
 */
void alloc_fail(unsigned nth, bool for_good);
void alloc_arm(void);
void alloc_disarm(void);
/* Whether one has failed since alloc_fail(). */
bool alloc_failed(void);

/* A call into the core. */
#define CORE(call) (alloc_arm(), call, alloc_disarm())

#endif
