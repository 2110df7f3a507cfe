/*
 * control - makes up a local part that nobody has, for the random control.
 *
 * It looks like one that a person would have: pronounceable, in the form that most of the sample
 * have (first.last, a word, a word with digits), and never says what it is for. Pure: the same seed
 * and sample give the same name; with the seeds new for each question, two names agree with a
 * chance below 2^-40.
 */
#ifndef WORKER_CORE_CONTROL_H
#define WORKER_CORE_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "rollcall.pb-c.h"

enum { CONTROL_LOCAL_MAX = 32 };

/* `sample`: recipients of that domain, may be none. Returns the length; ends in NUL. */
size_t control_local(uint64_t seed, Rollcall__Recipient *const *sample, size_t n,
		     char ret_local[CONTROL_LOCAL_MAX]);

#endif
