/* See play.h. What was reported, and whether it is what the scenario says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario/play.h"

static void see_reply(struct seen *s, const Rollcall__Reply *reply)
{
	size_t len = reply->text.len < sizeof(s->text) - 1 ? reply->text.len : sizeof(s->text) - 1;

	s->code = reply->code;
	snprintf(s->enhanced, sizeof(s->enhanced), "%s", reply->enhanced);
	if (len)
		memcpy(s->text, reply->text.data, len);
	s->text[len] = '\0';
	s->cut = reply->cut;
}

static bool accepted(const struct seen *s)
{
	return s->code / 100 == 2 && s->code != 252 && s->stage == ROLLCALL__STAGE__STAGE_RCPT;
}

static void see_answer(struct play *y, const Rollcall__Report *r, const Rollcall__Answer *from,
		       bool random)
{
	struct seen *s;

	if (from->uid < 1 || from->uid > y->shard->n_recipients)
		play_broken(y, "an answer for nobody", NULL);
	s = &y->answers[from->uid];
	if (s->times++)
		play_broken(y, "two answers for one recipient", NULL);
	if (!from->reply == !from->failure)
		play_broken(y, "an answer needs a reply or a failure, and not both", NULL);
	if (from->session > r->n_sessions)
		play_broken(y, "an answer names a session that is not there", NULL);
	s->stage = from->stage;
	s->failure = from->failure;
	s->suspect = from->suspect;
	s->proved = from->proved;
	s->shared = from->shared;
	s->connected = from->connected;
	s->tries = from->local_tries;
	s->retry_after_ms = from->retry_after_ms;
	s->part = r->part;
	if (from->reply)
		see_reply(s, from->reply);
	if (accepted(s) && !random &&
	    y->shard->control == ROLLCALL__CONTROL_NEED__CONTROL_NEED_IF_ACCEPTED)
		play_broken(y, "an accepted row without its control", NULL);
}

static void see_session(struct play *y, const Rollcall__Session *s)
{
	struct seen_session *to = &y->session;

	*to = (struct seen_session){ .tls = s->tls,
				     .thrown_away = s->tls_thrown_away,
				     .pipelined = s->pipelined,
				     .helo = s->used_helo,
				     .anew = s->control_anew };
	snprintf(to->host, sizeof(to->host), "%s", s->mx_host);
	snprintf(to->address, sizeof(to->address), "%s", s->mx_address);
	to->extensions = s->extensions;
	snprintf(to->starving, sizeof(to->starving), "%s", s->starving);
	snprintf(to->unverified, sizeof(to->unverified), "%s", s->tls_unverified);
	for (size_t j = 0; j < s->n_transcript; j++) {
		size_t len = s->transcript[j].len;
		char *grown = realloc(y->transcript, y->transcript_len + len + 2);

		if (!grown)
			abort();
		y->transcript = grown;
		memcpy(grown + y->transcript_len, s->transcript[j].data, len);
		y->transcript_len += len;
		grown[y->transcript_len++] = '\n';
		grown[y->transcript_len] = '\0';
	}
}

void play_see_report(struct play *y, const Rollcall__Report *r)
{
	bool random = false;

	if (r->part != ++y->parts)
		play_broken(y, "parts are not numbered from 1 without gaps", NULL);
	if (rollcall__report__get_packed_size(r) > (1u << 20))
		play_broken(y, "a part over 1 MiB", NULL);
	y->answers_in_part = (uint32_t)r->n_answers;
	y->sessions_in_part = (uint32_t)r->n_sessions;
	y->throttled = r->health && r->health->throttled;
	y->retry_in_ms = r->health ? r->health->retry_in_ms : 0;
	for (size_t i = 0; i < r->n_controls; i++) {
		const Rollcall__Control *c = r->controls[i];
		struct seen *s = &y->controls[c->kind];

		*s = (struct seen){
			.times = 1, .stage = c->stage, .failure = c->failure, .part = r->part
		};
		if (c->reply)
			see_reply(s, c->reply);
		random = random || c->kind == ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM;
		if (c->session > r->n_sessions)
			play_broken(y, "a control names a session that is not there", NULL);
	}
	for (size_t i = 0; i < r->n_answers; i++)
		see_answer(y, r, r->answers[i], random);
	for (size_t i = 0; i < r->n_sessions; i++)
		see_session(y, r->sessions[i]);
}

static const char *const stage_names[] = { "-",	       "dns",  "connect", "greeting", "ehlo",
					   "starttls", "mail", "rcpt",	  "quit" };
static const char *const failure_names[] = {
	"NONE",	   "DNS",    "NO_MAIL_SERVER", "NULL_MX", "NO_DOMAIN",	"UNROUTABLE", "REFUSED",
	"TIMEOUT", "CLOSED", "PROTOCOL",       "TLS",	  "NOT_PROBED", "SMTPUTF8",   "LOCAL",
	"UNREACHABLE"
};

static bool is(struct play *y, const struct seen *s, const char *w)
{
	if (w[0] >= '2' && w[0] <= '5' && strlen(w) == 3)
		return s->code == (unsigned)atoi(w);
	if (w[0] >= '2' && w[0] <= '5' && w[1] == '.')
		return strcmp(s->enhanced, w) == 0;
	if (strcmp(w, "suspect") == 0)
		return s->suspect;
	if (strcmp(w, "proved") == 0)
		return s->proved;
	if (strcmp(w, "unproved") == 0)
		return !s->proved;
	if (strcmp(w, "sound") == 0)
		return !s->suspect;
	if (strcmp(w, "connected") == 0)
		return s->connected;
	if (strcmp(w, "unconnected") == 0)
		return !s->connected;
	if (strcmp(w, "cut") == 0)
		return s->cut;
	if (strcmp(w, "shared") == 0)
		return s->shared;
	if (strcmp(w, "alone") == 0)
		return !s->shared;
	if (strncmp(w, "tries=", 6) == 0)
		return s->tries == (unsigned)atoi(w + 6);
	if (strncmp(w, "retry=", 6) == 0)
		return s->retry_after_ms == play_span(y, w + 6);
	if (strncmp(w, "text=", 5) == 0)
		return play_matches(w + 5, s->text);
	return s->failure == FIND(y, failure_names, w) && s->code == 0;
}

void play_expect_seen(struct play *y, const struct seen *s, char **words, size_t n)
{
	char got[4400];

	snprintf(got, sizeof(got), "%s %u %s %s%s%s%s tries=%u retry=%u \"%s\"",
		 stage_names[s->stage], s->code, s->enhanced, failure_names[s->failure],
		 s->suspect ? " suspect" : "", s->connected ? " connected" : "",
		 s->shared ? " shared" : "", s->tries, s->retry_after_ms, s->text);
	if (!s->times)
		play_fail(y, "was not reported", NULL);
	for (size_t i = 0; i < n; i++)
		if (i ? !is(y, s, words[i]) : s->stage != FIND(y, stage_names, words[i]))
			play_fail(y, "reported instead:", got);
}

void play_expect_session(struct play *y, char **words, size_t n)
{
	const struct seen_session *s = &y->session;

	for (size_t i = 0; i < n; i++) {
		const char *w = words[i];
		bool ok;

		if (strcmp(w, "sealed") == 0)
			ok = s->tls;
		else if (strcmp(w, "plain") == 0)
			ok = !s->tls;
		else if (strcmp(w, "unverified") == 0)
			ok = s->unverified[0] != '\0';
		else if (strcmp(w, "pipelined") == 0)
			ok = s->pipelined;
		else if (strcmp(w, "helo") == 0)
			ok = s->helo;
		else if (strcmp(w, "anew") == 0)
			ok = s->anew;
		else if (strcmp(w, "remembered") == 0)
			ok = !s->anew;
		else if (strncmp(w, "thrown-away=", 12) == 0)
			ok = s->thrown_away == (uint32_t)atoi(w + 12);
		else if (strncmp(w, "extensions=", 11) == 0)
			ok = s->extensions == (uint32_t)atoi(w + 11);
		else if (strncmp(w, "starving=", 9) == 0)
			ok = play_matches(w + 9, s->starving);
		else if (strncmp(w, "host=", 5) == 0)
			ok = play_matches(w + 5, s->host);
		else if (strncmp(w, "address=", 8) == 0)
			ok = strcmp(w + 8, s->address) == 0;
		else
			ok = false;
		if (!ok)
			play_fail(y, "the session was not", w);
	}
}
