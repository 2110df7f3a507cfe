/*
 * posteriors - scores that were measured: the outcomes of a tenant's campaigns by reason, provider
 * and evidence, and how often random controls were accepted.
 *
 * A bucket of reason x provider x evidence with POSTERIOR_MIN outcomes has the mean of its
 * beta-binomial posterior for a score; else all evidence of reason x provider together, where that
 * is as many; else the prior stands. The prior enters as scores_prior_strength() outcomes.
 *
 * At an inconsistent provider POSTERIOR_MIN decided controls lower the prior of an accepted
 * mailbox: of 100 addresses asked for, E exist (scores_listed_share()) and are accepted, and of the
 * rest the share f of accepted controls is accepted as well; E / (E + (1 - E) f) of a yes is true.
 * That is on the careful side: a yes counts only where its own control was refused.
 *
 * Owner: one thread. Memory grows with the buckets (reasons x providers x evidence). No I/O; fails
 * only by lack of memory, as false.
 */
#ifndef COORDINATOR_CORE_POSTERIORS_H
#define COORDINATOR_CORE_POSTERIORS_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/core/scores.h"

enum { POSTERIOR_MIN = 300 };

struct posteriors;

struct score {
	int percent;   /* 0 to 100; -1: none */
	bool measured; /* else the prior */
};

/* Empty. NULL when out of memory. */
struct posteriors *posteriors_new(void);
/* Takes NULL. */
void posteriors_free(struct posteriors *posteriors);
void posteriors_clear(struct posteriors *posteriors);
/* Adds to what is there. `provider` NULL or "": no profile. */
bool posteriors_add(struct posteriors *posteriors, enum rc_reason reason, const char *provider,
		    enum score_evidence evidence, int64_t delivered, int64_t bounced);
bool posteriors_add_controls(struct posteriors *posteriors, const char *provider, int64_t accepted,
			     int64_t refused);

/* `posteriors` may be NULL: nothing measured. */
struct score posteriors_score(const struct posteriors *posteriors, const struct scores *scores,
			      const struct score_key *key);

/* The mean of Beta(strength * prior + delivered, strength * (1 - prior) + bounced), 0 to 1; `prior`
 * is 0 to 1. */
double posterior_mean(double prior, double strength, int64_t delivered, int64_t bounced);
/* The share of true ones among what a provider accepts. All 0 to 1. */
double posterior_true_accepts(double listed_share, double false_accepts);
/* Wilson's interval of `hits` in `n`, with z standard errors (1.96: 95%). n 0: 0 to 1. */
void posterior_interval(int64_t hits, int64_t n, double z, double *ret_low, double *ret_high);

#endif
