/* See play.h. The words of the pacer: who may connect when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario/play.h"

/* So many a second that it does not matter where it is not said. */
enum { ANY = 1000000 };

void play_pace_done(struct play *y)
{
	pacer_free(y->pacer);
	y->pacer = NULL;
}

/* A name stands for a pointer of its own. */
static void *waiter(struct play *y, const char *name)
{
	for (size_t i = 0; i < y->waiter_n; i++)
		if (strcmp(y->waiters[i], name) == 0)
			return y->waiters[i];
	if (y->waiter_n == WAITERS_MAX)
		play_fail(y, "too many names", NULL);
	snprintf(y->waiters[y->waiter_n], sizeof(y->waiters[0]), "%s", name);
	return y->waiters[y->waiter_n++];
}

static void set_limits(struct play *y, char **words, size_t n)
{
	y->limits = (struct pacer_limits){ .connections_per_second = ANY };
	for (size_t i = 0; i < n; i++) {
		if (strncmp(words[i], "connections=", 12) == 0)
			y->limits.connections = (uint32_t)atoi(words[i] + 12);
		else if (strncmp(words[i], "minute=", 7) == 0)
			y->limits.recipients_per_minute = (uint32_t)atoi(words[i] + 7);
		else if (strncmp(words[i], "connections-a-second=", 21) == 0)
			y->limits.connections_per_second = (uint32_t)atoi(words[i] + 21);
		else if (strncmp(words[i], "connections-a-minute=", 21) == 0)
			y->limits.connections_per_minute = (uint32_t)atoi(words[i] + 21);
		else
			play_fail(y, "LIMITS what?", words[i]);
	}
}

/* name group recipients LEAVE|LINE|NO-MEMORY */
static void ask(struct play *y, char **words, size_t n)
{
	static const char *const names[] = { "LINE", "LEAVE", "NO-MEMORY" };
	bool memory_ok = true, leave;
	unsigned got;

	if (n < 4)
		play_fail(y, "ASK name group recipients LEAVE|LINE|NO-MEMORY", NULL);
	alloc_arm();
	leave = pacer_ask(y->pacer, 1, words[1], &y->limits, (uint32_t)atoi(words[2]),
			  waiter(y, words[0]), y->now_ms, &memory_ok);
	alloc_disarm();
	got = leave ? 1 : memory_ok ? 0 : 2;
	if (got != FIND(y, names, words[3]))
		play_fail(y, "got instead:", names[got]);
}

static void give_back(struct play *y, char **words, size_t n)
{
	static const char *const names[] = { "-", "clear", "throttled", "failed" };

	if (n < 3)
		play_fail(y, "RELEASE group used clear|throttled|failed", NULL);
	CORE(pacer_release(y->pacer, 1, words[0], (uint32_t)atoi(words[1]),
			   (enum pacer_outcome)FIND(y, names, words[2]), y->now_ms));
}

static void expect_turn(struct play *y, const char *name)
{
	char *got = pacer_pop(y->pacer, y->now_ms);

	if (strcmp(name, "nobody") == 0 ? got != NULL : got != waiter(y, name))
		play_fail(y, "it is the turn of", got ? got : "nobody");
}

static void expect_next(struct play *y, const char *word)
{
	uint64_t at = pacer_deadline(y->pacer);
	char got[32];

	snprintf(got, sizeof(got), "%lld ms", (long long)(at - y->now_ms));
	if (strcmp(word, "never") == 0 ? at != UINT64_MAX : at != y->now_ms + play_span(y, word))
		play_fail(y, "the next turn is in", got);
}

bool play_pace_word(struct play *y, const char *word, char **words, size_t n)
{
#define IS(name) (strcmp(word, name) == 0)
	if (IS("PACER")) {
		bool off = n && strcmp(words[0], "off") == 0;
		uint32_t scale = n > 1 ? (uint32_t)atoi(words[1]) : 1;

		alloc_arm();
		y->pacer = pacer_new(!off, scale);
		alloc_disarm();
		if (!y->pacer)
			play_fail(y, "no pacer", NULL);
		y->limits.connections_per_second = ANY;
		return true;
	}
	/* Inside of a conversation the pacer belongs to the probe. */
	if (!y->pacer || y->probe || y->shard->n_recipients)
		return false;
	if (IS("LIMITS"))
		set_limits(y, words, n);
	else if (IS("ASK"))
		ask(y, words, n);
	else if (IS("RELEASE"))
		give_back(y, words, n);
	else if (IS("FORGET") && n > 1)
		CORE(pacer_forget(y->pacer, 1, words[1], waiter(y, words[0])));
	else if (IS("AFTER") && n)
		y->now_ms += play_span(y, words[0]);
	else if (IS("TURN") && n)
		expect_turn(y, words[0]);
	else if (IS("NEXT") && n)
		expect_next(y, words[0]);
	else if (IS("CIRCUIT") && n > 1) {
		if (pacer_open_ms(y->pacer, 1, words[0], y->now_ms) !=
		    (strcmp(words[1], "closed") == 0 ? 0 : play_span(y, words[1])))
			play_fail(y, "the circuit is not", words[1]);
	} else
		return false;
	return true;
#undef IS
}
