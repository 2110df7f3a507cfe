/*
 * harvest - the guard against being used to guess addresses: one small memory for each domain of a
 * job.
 *
 * Pure and embedded; all zero is a new one. 25 refusals in a row with nothing ever accepted there,
 * or 70 refusals among the last 100 clear answers, trip it; tripped it stays so until
 * harvest_release(). Answers that are neither refused nor accepted do not count, but for a
 * greylisted one: many servers refuse whom they do not know at once and greylist the rest, and
 * there it is a sign of a living mailbox. Stored as HARVEST_STORED octets.
 */
#ifndef COORDINATOR_CORE_HARVEST_H
#define COORDINATOR_CORE_HARVEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HARVEST_RUN = 25, HARVEST_WINDOW = 100, HARVEST_REFUSED = 70, HARVEST_STORED = 18 };

struct harvest {
	uint8_t window[(HARVEST_WINDOW + 7) / 8]; /* 1: refused; a ring of 100 bits */
	uint8_t next;				  /* where the next answer goes, 0 to 99 */
	uint8_t filled;				  /* answers in the window, 0 to 100 */
	uint8_t refused;			  /* ones in it */
	uint8_t run;   /* refusals since the last other answer, at most 255 */
	bool accepted; /* anything was accepted there in this job */
	bool tripped;
};

/* One clear answer. Returns true when this one tripped it. */
bool harvest_answer(struct harvest *h, bool refused);
/* The recipient was greylisted: no refusal, and ends a run of them; no acceptance either. */
void harvest_greylisted(struct harvest *h);
/* An admin lets it go on: counting starts anew. */
void harvest_release(struct harvest *h);
/* `out` holds HARVEST_STORED octets. */
void harvest_store(const struct harvest *h, uint8_t *out);
/* False: not what harvest_store() wrote (len 0 is a new one, and true). */
bool harvest_load(struct harvest *h, const uint8_t *data, size_t len);

#endif
