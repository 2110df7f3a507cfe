/*
 * control - makes up a local part that nobody has, for the random control.
 *
 * It is cut after one of the real ones, taken by lot: the same length class, the same separators,
 * digits where that one has digits, capitals where it has them, and letters that can be spoken. A
 * server that judges names by their looks sees no difference, and a sample of many shapes gives
 * controls of these shapes in the same proportion. It never says what it is for. Pure: the same
 * seed and sample give the same name; with a seed new for each question two names agree with a
 * chance below 2^-30.
 */
#ifndef WORKER_CORE_CONTROL_H
#define WORKER_CORE_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "rollcall.pb-c.h"

enum {
	CONTROL_LOCAL_MAX = 32,	 /* with NUL */
	CONTROL_LOCAL_LEAST = 10 /* shorter ones might be somebody's */
};

/* Up to 11, 17 and 31 octets: the control stays in the class of the one that it is cut after. */
enum control_class { CONTROL_SHORT = 1, CONTROL_MEDIUM, CONTROL_LONG };
enum control_class control_class_of(size_t len);

/* `sample`: recipients of that domain, may be none. Returns the length; ends in NUL. */
size_t control_local(uint64_t seed, Rollcall__Recipient *const *sample, size_t n,
		     char ret_local[CONTROL_LOCAL_MAX]);

#endif
