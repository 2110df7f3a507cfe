/*
 * spf - whether a domain's policy lets an address send for it (RFC 7208), within bounds.
 *
 * Pure: what has to be looked up is asked through a callback that may not know yet; the caller
 * looks it up and calls again from the beginning. Ten terms that cost a look-up, ten levels, ten MX
 * hosts. Macros, `ptr` and malformed records are not guessed at: SPF_UNSURE says why. Allocates
 * nothing, never fails otherwise.
 */
#ifndef WORKER_FITNESS_SPF_H
#define WORKER_FITNESS_SPF_H

#include "worker/core/dns_answer.h"

enum { SPF_WHY_MAX = 200 };

enum spf_result {
	SPF_WAITS = 1, /* for an answer that was asked for */
	SPF_PASS,
	SPF_NOT_ALLOWED, /* fail, softfail or neutral: `why` says by which term */
	SPF_NONE,	 /* no record */
	SPF_UNSURE
};

/* NULL: not known yet. What it returns holds until spf_check() returns. */
typedef const struct dns_answer *spf_ask(void *context, const char *name, enum dns_type type);

enum spf_result spf_check(const char *domain, const struct probe_ip *ip, spf_ask *ask,
			  void *context, char ret_why[SPF_WHY_MAX]);

#endif
