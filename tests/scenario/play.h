/*
 * play - one scenario under its fake clock: what the files of this program share.
 *
 * Owner: run.c, which plays one scenario at a time. The first thing that is not as the file says
 * ends the program by play_fail() with FILE:LINE and what happened instead; under a failing
 * allocation (alloc.h) it ends only the script, and run.c plays on without it.
 */
#ifndef TESTS_SCENARIO_PLAY_H
#define TESTS_SCENARIO_PLAY_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/scenario/alloc.h"
#include "worker/core/probe.h"
#include "worker/core/resolution.h"

enum {
	LINE_MAX_OCTETS = 8192,
	WORDS_MAX = 160,
	ACTIONS_MAX = 4096,
	RCPTS_MAX = 100,
	WAITERS_MAX = 256
};

/* What the probe wanted done. */
struct act {
	enum probe_action action;
	char *text; /* RESOLVE, TLS: host. CONNECT: address. SEND: one line */
	bool first; /* SEND: the first line of its write */
	uint32_t number;
	bool final;
};

/* An answer or a control, as reported last. */
struct seen {
	int times;
	unsigned stage, code, failure, tries, retry_after_ms;
	char enhanced[16];
	char text[4200];
	bool suspect, connected, cut, shared, proved;
	uint32_t part;
};

/* A session, as reported last. */
struct seen_session {
	char host[256], address[64], unverified[64], starving[128];
	uint32_t thrown_away, extensions;
	bool tls, pipelined, helo, anew;
};

struct play {
	const char *file;
	unsigned line;
	char name[256];
	bool bytewise;
	bool open;    /* a scenario is under way */
	bool sourced; /* it has named its source */
	jmp_buf derailed;

	/* a probe */
	struct probe_config config;
	struct probe_identity identity;
	Rollcall__Shard *shard;
	struct probe *probe;
	uint64_t seed;
	uint64_t now_ms;
	bool manual_slot;
	bool whole;	 /* lines come in one piece both times */
	bool connecting; /* the connection is not open yet */
	bool connected;
	bool done;
	bool cut;
	char *control;
	struct act acts[ACTIONS_MAX];
	size_t act_at, act_n;
	struct seen answers[RCPTS_MAX + 1];
	struct seen controls[3];
	struct seen_session session;
	uint32_t parts;
	uint32_t answers_in_part;
	uint32_t sessions_in_part;
	bool throttled;
	uint32_t retry_in_ms;
	unsigned outcome; /* of the last session that ended */
	uint32_t outcome_rcpts;
	char *transcript;
	size_t transcript_len;

	/* the pacer, where the scenario has one */
	struct pacer *pacer;
	struct pacer_limits limits;
	char waiters[WAITERS_MAX][32];
	size_t waiter_n;

	/* a look-up */
	struct resolution *resolution;
	struct {
		const char *name;
		enum dns_type type;
		unsigned ticket;
	} asked[2 * RESOLUTION_HOSTS_MAX + 1];
	size_t asked_at, asked_n;
	Rollcall__Resolution *resolved;
	struct rc_arena *arena;
};

/* play.c */
_Noreturn void play_fail(struct play *y, const char *what, const char *more);
/* The same for what must hold whatever happens, a failed allocation or not. */
_Noreturn void play_broken(struct play *y, const char *what, const char *more);
char *play_copy(const char *text, size_t len);
/* `*` stands for any run of octets. */
bool play_matches(const char *pattern, const char *text);
/* In place: \r \n \t \0 \\ \xHH. Returns the length. */
size_t play_unescape(char *text);
/* "20ms", "5s", "2min", in ms. */
uint64_t play_span(struct play *y, const char *text);
/* The index of `word`; fails where there is none. */
unsigned play_find(struct play *y, const char *const *names, size_t n, const char *word);
#define FIND(y, names, word) play_find(y, names, sizeof(names) / sizeof(*names), word)

/* world.c: what happens to the probe, and what it does */
void play_start(struct play *y);
/* Carries out all that the probe wants, into the list. */
void play_pump(struct play *y);
/* The next thing done, which must be `action`; leave to connect is passed over unless asked for. */
struct act *play_expect(struct play *y, enum probe_action action, const char *what);
void play_expect_line(struct play *y, const char *want);
void play_feed(struct play *y, const char *data, size_t len);
void play_ensure_open(struct play *y);
void play_advance(struct play *y, uint64_t span_ms);
void play_closed(struct play *y, Rollcall__Failure failure);

/* see.c: what was reported */
void play_see_report(struct play *y, const Rollcall__Report *report);
/* "rcpt 550 5.1.1 suspect tries=1 ..." against what was reported. */
void play_expect_seen(struct play *y, const struct seen *s, char **words, size_t n);
void play_expect_session(struct play *y, char **words, size_t n);

/* The words of each language: false where `word` is none of theirs. words.c, setup.c, pace.c,
 * lookup.c */
bool play_probe_word(struct play *y, const char *word, char *raw, char **words, size_t n);
bool play_setup_word(struct play *y, const char *word, char *raw, char **words, size_t n);
bool play_pace_word(struct play *y, const char *word, char **words, size_t n);
bool play_lookup_word(struct play *y, const char *word, char *raw, char **words, size_t n);
void play_begin(struct play *y, const char *name);
Rollcall__MxHost *play_make_host(char **words, size_t n);
void play_pace_done(struct play *y);
void play_lookup_done(struct play *y);

/* run.c: the rules, providers and allowed targets of every scenario. */
extern struct probe_config play_config;

#endif
