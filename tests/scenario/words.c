/* See play.h. The words of a conversation: what happens to the probe, and what it is to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario/play.h"
#include "worker/core/ip.h"

static void found(struct play *y, char **words, size_t n)
{
	static const char *const names[] = { "-",	  "MX",	       "IMPLICIT", "NULL_MX",
					     "NO_DOMAIN", "NO_SERVER", "FAILED",   "UNROUTABLE" };
	Rollcall__Resolution r = ROLLCALL__RESOLUTION__INIT;
	Rollcall__MxHost *host = NULL;

	r.state = (Rollcall__ResolutionState)FIND(y, names, words[0]);
	if (n > 1) {
		host = play_make_host(words + 1, n - 1);
		r.mx = &host;
		r.n_mx = 1;
	}
	CORE(probe_on_mx(y->probe, &r, y->now_ms));
	/* The probe keeps nothing of what it was shown. */
	if (host)
		rollcall__mx_host__free_unpacked(host, NULL);
	play_pump(y);
}

static void addresses(struct play *y, char **words, size_t n)
{
	struct probe_ip ips[32];
	size_t count = 0;
	bool failed = n == 1 && strcmp(words[0], "FAILED") == 0;

	for (size_t i = 0; i < n && i < 32 && !failed && strcmp(words[0], "NONE") != 0; i++)
		if (!ip_parse(words[i], &ips[count++]))
			play_fail(y, "no address:", words[i]);
	CORE(probe_on_addresses(y->probe, ips, count, failed, y->now_ms));
	play_pump(y);
}

static void connect_to(struct play *y, const char *ip)
{
	struct act *a = play_expect(y, PROBE_CONNECT, ip);

	if (!play_matches(ip, a->text))
		play_fail(y, "connected instead to", a->text);
}

static void say(struct play *y, const char *line)
{
	play_feed(y, line, strlen(line));
}

/* CONNECT, greeting and EHLO with the extensions named. */
static void hello(struct play *y, char **words, size_t n)
{
	char line[512];

	connect_to(y, words[0]);
	say(y, "220 mx.example.test ESMTP\r\n");
	play_expect_line(y, "EHLO *");
	if (n == 1) {
		say(y, "250-mx.example.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
		return;
	}
	if (strcmp(words[1], "plain") == 0) {
		say(y, "250 mx.example.test\r\n");
		return;
	}
	say(y, "250-mx.example.test\r\n");
	for (size_t i = 1; i < n; i++) {
		snprintf(line, sizeof(line), "250%c%s\r\n", i + 1 < n ? '-' : ' ', words[i]);
		say(y, line);
	}
}

static void expect_outcome(struct play *y, char **words, size_t n)
{
	static const char *const names[] = { "-", "clear", "throttled", "failed" };

	if (y->outcome != FIND(y, names, words[0]))
		play_fail(y, "the session ended", names[y->outcome]);
	if (n > 1 && y->outcome_rcpts != (uint32_t)atoi(words[1]))
		play_fail(y, "another number of recipients was sent", NULL);
}

static void expect_write(struct play *y, size_t want)
{
	size_t at, lines = 0;

	play_start(y);
	for (at = y->act_at; at < y->act_n && y->acts[at].action == PROBE_SEND; at++) {
		if (lines && y->acts[at].first)
			break;
		lines++;
	}
	if (lines != want)
		play_fail(y, "another number of commands in one write", NULL);
}

static void expect_part(struct play *y, char **words, size_t n)
{
	struct act *a = play_expect(y, PROBE_REPORT, words[0]);

	if (a->number != (uint32_t)atoi(words[0]) ||
	    a->final != (n > 1 && strcmp(words[1], "final") == 0))
		play_fail(y,
			  a->final ? "reported the final part"
				   : "reported a part that is not the last",
			  NULL);
	for (size_t i = 1; i < n; i++)
		if (strncmp(words[i], "answers=", 8) == 0 &&
		    y->answers_in_part != (uint32_t)atoi(words[i] + 8))
			play_fail(y, "another number of answers in this part", NULL);
		else if (strncmp(words[i], "sessions=", 9) == 0 &&
			 y->sessions_in_part != (uint32_t)atoi(words[i] + 9))
			play_fail(y, "another number of sessions in this part", NULL);
		else if (strcmp(words[i], "throttled") == 0 && !y->throttled)
			play_fail(y, "this part does not say that we are throttled", NULL);
		else if (strncmp(words[i], "retry-in=", 9) == 0 &&
			 y->retry_in_ms != play_span(y, words[i] + 9))
			play_fail(y, "another time until it may be asked again", NULL);
}

/* What happens. */
static bool happens(struct play *y, const char *word, char *raw, char **words, size_t n)
{
#define IS(name) (strcmp(word, name) == 0)
	if (IS("FOUND") && n) {
		found(y, words, n);
	} else if (IS("ADDRESSES") && n) {
		addresses(y, words, n);
	} else if (IS("GRANT")) {
		play_start(y);
		CORE(probe_on_slot(y->probe, y->now_ms));
		play_pump(y);
	} else if (IS("SEALED")) {
		struct probe_tls info = { "TLSv1.3", "TLS_AES_128_GCM_SHA256", NULL };

		if (n)
			info.unverified = "self-signed certificate";
		CORE(probe_on_tls(y->probe, &info, y->now_ms));
		play_pump(y);
	} else if (IS("TLS-BROKEN")) {
		play_closed(y, ROLLCALL__FAILURE__FAILURE_TLS);
	} else if (IS("REFUSED")) {
		play_closed(y, ROLLCALL__FAILURE__FAILURE_REFUSED);
	} else if (IS("LOCAL")) {
		play_closed(y, ROLLCALL__FAILURE__FAILURE_LOCAL);
	} else if (IS("CLOSE") || IS("RST")) {
		play_ensure_open(y);
		play_closed(y, ROLLCALL__FAILURE__FAILURE_CLOSED);
	} else if (IS("S:")) {
		size_t len = strlen(raw);

		memcpy(raw + len, "\r\n", 3);
		play_feed(y, raw, len + 2);
	} else if (IS("S-RAW:")) {
		play_feed(y, raw, play_unescape(raw));
	} else if (IS("S-FLOOD:") && n == 2) {
		size_t len = play_unescape(words[1]);

		for (int i = 0; i < atoi(words[0]); i++)
			play_feed(y, words[1], len);
	} else if (IS("REPLIES") && n > 1) {
		char *reply = strchr(raw, ' ') + 1;
		size_t len = strlen(reply);

		memcpy(reply + len, "\r\n", 3);
		for (int i = 0; i < atoi(words[0]); i++)
			play_feed(y, reply, len + 2);
	} else if (IS("AFTER") && n) {
		play_ensure_open(y);
		play_advance(y, play_span(y, words[0]));
	} else if (IS("STALL") && n) {
		/* Time passes before the connection is open. */
		play_advance(y, play_span(y, words[0]));
	} else if (IS("STRAY")) {
		/* All that does not belong here. */
		struct probe_tls info = { "SSLv2", "none", NULL };

		CORE(probe_on_tls(y->probe, &info, y->now_ms));
		CORE(probe_on_slot(y->probe, y->now_ms));
		CORE(probe_on_mx(y->probe, NULL, y->now_ms));
		CORE(probe_on_addresses(y->probe, NULL, 0, false, y->now_ms));
		if (!y->connecting && !y->connected) {
			CORE(probe_on_connected(y->probe, y->now_ms));
			CORE(probe_on_data(y->probe, "250 what\r\n", 10, y->now_ms));
			CORE(probe_on_closed(y->probe, ROLLCALL__FAILURE__FAILURE_CLOSED,
					     y->now_ms));
		}
		play_pump(y);
	} else if (IS("STOP")) {
		play_start(y);
		CORE(probe_stop(y->probe, y->now_ms));
		play_pump(y);
	} else if (IS("CUT")) {
		y->cut = true;
		play_start(y);
		CORE(probe_cut(y->probe, y->now_ms));
		play_pump(y);
	} else {
		return false;
	}
	return true;
}

/* What was reported so far. */
static bool looks(struct play *y, const char *word, char *raw, char **words, size_t n)
{
	if (IS("ANSWER") && n > 1) {
		play_expect_seen(y, &y->answers[atoi(words[0]) % (RCPTS_MAX + 1)], words + 1,
				 n - 1);
	} else if (IS("ANSWERS") && n > 1) {
		int from = 0, to = 0;

		if (sscanf(words[0], "%d-%d", &from, &to) != 2 || to > RCPTS_MAX)
			play_fail(y, "ANSWERS 1-9 ...", NULL);
		for (int i = from; i <= to; i++)
			play_expect_seen(y, &y->answers[i], words + 1, n - 1);
	} else if (IS("NO-ANSWER") && n) {
		if (y->answers[atoi(words[0]) % (RCPTS_MAX + 1)].times)
			play_fail(y, "was reported already:", words[0]);
	} else if (IS("CONTROL") && n > 1) {
		int kind = strcmp(words[0], "random") == 0 ? 1 : 2;

		if (strcmp(words[1], "none") != 0)
			play_expect_seen(y, &y->controls[kind], words + 1, n - 1);
		else if (y->controls[kind].times)
			play_fail(y, "there is a control", NULL);
	} else if (IS("OUTCOME") && n) {
		expect_outcome(y, words, n);
	} else if (IS("SESSION") && n) {
		play_expect_session(y, words, n);
	} else if (IS("TRANSCRIPT")) {
		if (!y->transcript || !strstr(y->transcript, raw))
			play_fail(
			    y, "the transcript says:", y->transcript ? y->transcript : "nothing");
	} else {
		return false;
	}
	return true;
}

static void expect_refused_shard(struct play *y)
{
	for (size_t i = 0; i < y->shard->n_recipients; i++)
		y->shard->recipients[i]->uid = i + 1;
	if (probe_new(&y->config, &y->identity, y->shard, 1, 1, 1))
		play_fail(y, "the shard was taken", NULL);
	rollcall__shard__free_unpacked(y->shard, NULL);
	y->shard = NULL;
	y->open = false;
}

bool play_probe_word(struct play *y, const char *word, char *raw, char **words, size_t n)
{
	struct act *a;

	if (happens(y, word, raw, words, n) || looks(y, word, raw, words, n))
		return true;
	if (IS("REFUSE-SHARD")) {
		expect_refused_shard(y);
	} else if (IS("RESOLVE")) {
		a = play_expect(y, PROBE_RESOLVE, raw);
		if (strcmp(a->text, n ? words[0] : "") != 0)
			play_fail(y, "looked up instead:", a->text);
	} else if (IS("SLOT")) {
		a = play_expect(y, PROBE_SLOT, raw);
		if (n && a->number != (uint32_t)atoi(words[0]))
			play_fail(y, "asked leave for another number of recipients", NULL);
	} else if (IS("CONNECT") && n) {
		connect_to(y, words[0]);
	} else if (IS("HELLO") && n) {
		hello(y, words, n);
	} else if (IS("TLS")) {
		a = play_expect(y, PROBE_TLS, "that it starts TLS");
		if (n && !play_matches(words[0], a->text))
			play_fail(y, "for the name", a->text);
	} else if (IS("C:")) {
		play_expect_line(y, raw);
	} else if (IS("WRITE") && n) {
		expect_write(y, (size_t)atoi(words[0]));
	} else if (IS("SKIP") && n) {
		for (int i = 0; i < atoi(words[0]); i++)
			play_expect(y, PROBE_SEND, "a command");
	} else if (IS("HANGUP")) {
		play_expect(y, PROBE_CLOSE, "that it hangs up");
	} else if (IS("BYE")) {
		play_expect_line(y, "QUIT");
		say(y, "221 2.0.0 Bye\r\n");
		play_expect(y, PROBE_CLOSE, "that it hangs up");
	} else if (IS("WAITING")) {
		play_start(y);
		while (y->act_at < y->act_n && y->acts[y->act_at].action == PROBE_SLOT)
			y->act_at++;
		if (y->act_at < y->act_n)
			play_fail(y, "it should wait", NULL);
	} else if (IS("PART") && n) {
		expect_part(y, words, n);
	} else if (IS("DONE")) {
		play_expect(y, PROBE_DONE, "that it is done");
	} else {
		return false;
	}
	return true;
#undef IS
}
