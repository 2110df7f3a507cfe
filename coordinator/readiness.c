/* See readiness.h. */
#include "coordinator/readiness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum said { SAID_NOTHING = 0, SAID_WELL, SAID_LACKS };

struct readiness {
	pthread_mutex_t lock;
	struct {
		enum said said;
		char text[READINESS_TEXT_MAX];
	} of[READINESS_PIECES][READINESS_SPEAKERS];
};

static const char *const names[READINESS_PIECES] = { "schema", "database", "broker", "leader",
						     "lanes" };

struct readiness *readiness_new(void)
{
	struct readiness *r = calloc(1, sizeof(*r));

	if (r)
		pthread_mutex_init(&r->lock, NULL);
	return r;
}

void readiness_free(struct readiness *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void readiness_set(struct readiness *r, enum readiness_piece piece, enum readiness_speaker who,
		   const char *lacks)
{
	pthread_mutex_lock(&r->lock);
	r->of[piece][who].said = lacks ? SAID_LACKS : SAID_WELL;
	snprintf(r->of[piece][who].text, READINESS_TEXT_MAX, "%s", lacks ? lacks : "");
	pthread_mutex_unlock(&r->lock);
}

bool readiness_piece_ok(struct readiness *r, enum readiness_piece piece,
			char ret_lacks[READINESS_TEXT_MAX])
{
	bool spoken = false, ok = true;

	ret_lacks[0] = '\0';
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < READINESS_SPEAKERS && ok; i++) {
		spoken = spoken || r->of[piece][i].said != SAID_NOTHING;
		if (r->of[piece][i].said == SAID_LACKS) {
			snprintf(ret_lacks, READINESS_TEXT_MAX, "%s", r->of[piece][i].text);
			ok = false;
		}
	}
	pthread_mutex_unlock(&r->lock);
	if (ok && !spoken)
		snprintf(ret_lacks, READINESS_TEXT_MAX, "the coordinator is starting");
	return ok && spoken;
}

bool readiness_ok(struct readiness *r)
{
	char lacks[READINESS_TEXT_MAX];

	for (int i = 0; i < READINESS_PIECES; i++)
		if (!readiness_piece_ok(r, (enum readiness_piece)i, lacks))
			return false;
	return true;
}

const char *readiness_piece_name(enum readiness_piece piece)
{
	return names[piece];
}
