/* See posteriors.h. */
#include "coordinator/core/posteriors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 512, PROVIDER_LEN = 63, CONTROLS = -1, POOLED = -1 };

/* What was counted for reason x provider x evidence; reason CONTROLS: accepted and refused random
 * controls. */
struct bucket {
	int next; /* index; -1: the last */
	int reason, evidence;
	char provider[PROVIDER_LEN + 1];
	int64_t hits, misses;
};

struct posteriors {
	int heads[HEADS];
	struct bucket *buckets;
	int count, room;
};

struct posteriors *posteriors_new(void)
{
	struct posteriors *p = calloc(1, sizeof(*p));

	if (p)
		posteriors_clear(p);
	return p;
}

void posteriors_free(struct posteriors *p)
{
	if (!p)
		return;
	free(p->buckets);
	free(p);
}

void posteriors_clear(struct posteriors *p)
{
	for (int i = 0; i < HEADS; i++)
		p->heads[i] = -1;
	p->count = 0;
}

static unsigned head_of(int reason, const char *provider, int evidence)
{
	unsigned hash = 2166136261u;

	for (; *provider; provider++)
		hash = (hash ^ (unsigned char)*provider) * 16777619u;
	hash = (hash ^ (unsigned)reason) * 16777619u;
	hash = (hash ^ (unsigned)evidence) * 16777619u;
	return (hash >> 8) % HEADS;
}

static const struct bucket *find(const struct posteriors *p, int reason, const char *provider,
				 int evidence)
{
	if (!provider)
		provider = "";
	for (int i = p->heads[head_of(reason, provider, evidence)]; i >= 0; i = p->buckets[i].next) {
		const struct bucket *b = &p->buckets[i];

		if (b->reason == reason && b->evidence == evidence &&
		    strcmp(b->provider, provider) == 0)
			return b;
	}
	return NULL;
}

static bool add(struct posteriors *p, int reason, const char *provider, int evidence, int64_t hits,
		int64_t misses)
{
	struct bucket *b;
	unsigned head;

	if (!provider)
		provider = "";
	if (strlen(provider) > PROVIDER_LEN)
		return true; /* no profile has such a name: nobody will ask */
	b = (struct bucket *)(uintptr_t)find(p, reason, provider, evidence);
	if (!b) {
		if (p->count == p->room) {
			int room = p->room ? 2 * p->room : 64;
			struct bucket *more = realloc(p->buckets, (size_t)room * sizeof(*more));

			if (!more)
				return false;
			p->buckets = more;
			p->room = room;
		}
		head = head_of(reason, provider, evidence);
		b = &p->buckets[p->count];
		*b = (struct bucket){ .next = p->heads[head],
				      .reason = reason,
				      .evidence = evidence };
		strcpy(b->provider, provider);
		p->heads[head] = p->count++;
	}
	b->hits += hits;
	b->misses += misses;
	return true;
}

bool posteriors_add(struct posteriors *p, enum rc_reason reason, const char *provider,
		    enum score_evidence evidence, int64_t delivered, int64_t bounced)
{
	return add(p, (int)reason, provider, (int)evidence, delivered, bounced) &&
	       add(p, (int)reason, provider, POOLED, delivered, bounced);
}

bool posteriors_add_controls(struct posteriors *p, const char *provider, int64_t accepted,
			     int64_t refused)
{
	return add(p, CONTROLS, provider, 0, accepted, refused);
}

/* ------------------------------------------------------------------------------------------------
 * figures */

double posterior_mean(double prior, double strength, int64_t delivered, int64_t bounced)
{
	double n = strength + (double)delivered + (double)bounced;

	return n > 0 ? (prior * strength + (double)delivered) / n : prior;
}

double posterior_true_accepts(double listed_share, double false_accepts)
{
	double accepted = listed_share + (1 - listed_share) * false_accepts;

	return accepted > 0 ? listed_share / accepted : 0;
}

void posterior_interval(int64_t hits, int64_t n, double z, double *ret_low, double *ret_high)
{
	double count = (double)n, share, middle, half;

	if (n <= 0) {
		*ret_low = 0;
		*ret_high = 1;
		return;
	}
	share = (double)hits / count;
	middle = (share + z * z / (2 * count)) / (1 + z * z / count);
	half = z / (1 + z * z / count) *
	       sqrt(share * (1 - share) / count + z * z / (4 * count * count));
	*ret_low = middle - half > 0 ? middle - half : 0;
	*ret_high = middle + half < 1 ? middle + half : 1;
}

/* ------------------------------------------------------------------------------------------------
 * scores */

static bool enough(const struct bucket *b)
{
	return b && b->hits + b->misses >= POSTERIOR_MIN;
}

static bool is_acceptance(enum rc_reason reason)
{
	return reason == RC_REASON_MAILBOX_ACCEPTED || reason == RC_REASON_MAILBOX_FORWARDED ||
	       reason == RC_REASON_ROLE_ACCOUNT;
}

/* The prior as false accepts leave it; *ret_measured is set where they were counted. */
static double prior_of(const struct posteriors *p, const struct scores *scores,
		       const struct score_key *key, double percent, bool *ret_measured)
{
	const struct bucket *controls = key->inconsistent && is_acceptance(key->reason)
					    ? find(p, CONTROLS, key->provider, 0)
					    : NULL;
	double prior = percent / 100;

	if (!enough(controls))
		return prior;
	*ret_measured = true;
	return prior * posterior_true_accepts(scores_listed_share(scores) / 100.0,
					      (double)controls->hits /
						  (double)(controls->hits + controls->misses));
}

struct score posteriors_score(const struct posteriors *p, const struct scores *scores,
			      const struct score_key *key)
{
	struct score score = { .percent = scores_prior(scores, key) };
	const struct bucket *b;
	struct score_key whole = *key;
	double prior;

	if (!p || score.percent < 0)
		return score;
	prior = prior_of(p, scores, key, score.percent, &score.measured);
	b = find(p, (int)key->reason, key->provider, (int)key->evidence);
	if (!enough(b)) {
		b = find(p, (int)key->reason, key->provider, POOLED);
		if (enough(b)) {
			whole.evidence = SCORE_EVIDENCE_PLAIN;
			prior = prior_of(p, scores, &whole, scores_prior(scores, &whole),
					 &score.measured);
		}
	}
	if (enough(b)) {
		score.measured = true;
		prior = posterior_mean(prior, scores_prior_strength(scores), b->hits, b->misses);
	}
	score.percent = (int)lround(100 * prior);
	return score;
}
