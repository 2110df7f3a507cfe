#include "worker/io/lookup.h"

#include <stdlib.h>

enum { ASKS_MAX = 1 + 2 * RESOLUTION_HOSTS_MAX };

struct question {
	struct dns_ask ask;
	struct lookup *lookup;
	unsigned ticket;
};

struct lookup {
	struct dns *dns;
	bool bypass_cache;
	void (*done)(struct lookup *lookup, void *owner);
	void *owner;
	struct resolution resolution;
	struct question questions[ASKS_MAX];
};

struct lookup *lookup_new(struct dns *dns, const char *domain, bool bypass_cache,
			  resolution_allows *allows, const void *context)
{
	struct lookup *lookup = malloc(sizeof(*lookup));

	if (lookup == NULL)
		return NULL;
	lookup->dns = dns;
	lookup->bypass_cache = bypass_cache;
	lookup->done = NULL;
	resolution_start(&lookup->resolution, domain, allows, context);
	for (unsigned i = 0; i < ASKS_MAX; i++) {
		lookup->questions[i].ask.entry = NULL;
		lookup->questions[i].lookup = lookup;
		lookup->questions[i].ticket = i;
	}
	return lookup;
}

static void drop_questions(struct lookup *lookup)
{
	for (unsigned i = 0; i < ASKS_MAX; i++)
		dns_cancel(&lookup->questions[i].ask);
}

void lookup_free(struct lookup *lookup)
{
	if (lookup == NULL)
		return;
	drop_questions(lookup);
	free(lookup);
}

static void ask_on(struct lookup *lookup);

static void on_answered(struct dns_ask *ask, const struct dns_answer *answer)
{
	struct question *question = (struct question *)ask;
	struct lookup *lookup = question->lookup;

	resolution_answer(&lookup->resolution, question->ticket, answer);
	ask_on(lookup);
	if (resolution_done(&lookup->resolution)) {
		drop_questions(lookup);
		lookup->done(lookup, lookup->owner);
	}
}

static void ask_on(struct lookup *lookup)
{
	static const struct dns_answer no_memory = { .state = DNS_BROKEN };
	const char *name;
	enum dns_type type;
	unsigned ticket;

	while (resolution_ask(&lookup->resolution, &name, &type, &ticket)) {
		struct question *question = &lookup->questions[ticket];
		const struct dns_answer *now = &no_memory;

		question->ask.answered = on_answered;
		if (dns_ask(lookup->dns, &question->ask, name, type, lookup->bypass_cache, &now) !=
		    DNS_LATER)
			resolution_answer(&lookup->resolution, ticket, now);
	}
}

bool lookup_start(struct lookup *lookup, void (*done)(struct lookup *lookup, void *owner),
		  void *owner)
{
	lookup->done = done;
	lookup->owner = owner;
	ask_on(lookup);
	return resolution_done(&lookup->resolution);
}

void lookup_give_up(struct lookup *lookup)
{
	drop_questions(lookup);
	resolution_give_up(&lookup->resolution);
}

const struct resolution *lookup_resolution(const struct lookup *lookup)
{
	return &lookup->resolution;
}
