/*
 * run - plays scenario files against worker/core under a fake clock. The language is in README.md.
 *
 * Every scenario is played twice: with each line of the server in one piece, and octet by octet.
 * The first thing that is not as the file says ends the run with FILE:LINE and what happened
 * instead.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "worker/core/ip.h"
#include "worker/core/probe.h"

enum {
	LINE_MAX_OCTETS = 8192,
	WORDS_MAX = 64,
	ACTIONS_MAX = 4096,
	RCPTS_MAX = 100,
	HOSTS_MAX = 32
};

struct act {
	enum probe_action action;
	char *text; /* RESOLVE: host. CONNECT: address. SEND: one line */
	bool first; /* SEND: the first line of its write */
	uint32_t number;
	bool final;
};

struct seen {
	int times;
	unsigned stage, code, failure, tries, retry_after_ms;
	char enhanced[16];
	char text[4200];
	bool suspect, connected, cut, shared;
	uint32_t part;
};

struct play {
	const char *file;
	unsigned line;
	char name[256];
	bool bytewise;
	bool open; /* a scenario is under way */

	struct probe_config config;
	struct probe_identity identity;
	Rollcall__Shard *shard;
	struct probe *probe;
	uint64_t seed;
	uint64_t now_ms;
	bool manual_slot;
	bool whole;	 /* lines come in one piece both times */
	bool connecting; /* the connection is not open yet */
	bool done;
	bool cut;
	char *control;

	struct act acts[ACTIONS_MAX];
	size_t act_at, act_n;
	struct seen answers[RCPTS_MAX + 1];
	struct seen controls[3];
	uint32_t parts;
	uint32_t answers_in_part;
	uint32_t sessions_in_part;
	bool throttled;
	bool tls;
	uint32_t tls_thrown_away;
	char tls_unverified[64];
	unsigned outcome; /* of the last session that ended */
	uint32_t outcome_rcpts;
	char *transcript;
	size_t transcript_len;
};

static struct rc_rules *rules;
static struct rc_providers *providers;
static struct rc_target_list allow;

static _Noreturn void fail(const struct play *y, const char *what, const char *more)
{
	fprintf(stderr, "%s:%u: %s%s: %s%s%s\n", y->file, y->line, y->name,
		y->bytewise ? " (octet by octet)" : "", what, more ? " " : "", more ? more : "");
	if (y->probe)
		fprintf(stderr, "  at %llu ms, %s\n", (unsigned long long)y->now_ms,
			probe_doing(y->probe));
	for (size_t i = y->act_at; i < y->act_n && i < y->act_at + 5; i++)
		fprintf(stderr, "  did: action %d %s\n", (int)y->acts[i].action,
			y->acts[i].text ? y->acts[i].text : "");
	exit(1);
}

static char *copy(const char *text, size_t len)
{
	char *to = malloc(len + 1);

	if (!to)
		abort();
	memcpy(to, text, len);
	to[len] = '\0';
	return to;
}

/* ---------------------------------------------------------------- what the probe does */

static struct act *push(struct play *y, enum probe_action action, const char *text, size_t len)
{
	struct act *a;

	if (y->act_n == ACTIONS_MAX)
		fail(y, "the probe does not come to rest", NULL);
	a = &y->acts[y->act_n++];
	*a = (struct act){ .action = action, .text = text ? copy(text, len) : NULL };
	return a;
}

static void push_write(struct play *y, const char *data, size_t len)
{
	bool first = true;

	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t line = end ? (size_t)(end - data) : 0;

		if (!end || line < 1 || data[line - 1] != '\r')
			fail(y, "a command that does not end in CR LF", NULL);
		if (strncasecmp(data, "DATA", 4) == 0 || strncasecmp(data, "BDAT", 4) == 0)
			fail(y, "the probe wanted to send a message", NULL);
		push(y, PROBE_SEND, data, line - 1)->first = first;
		first = false;
		data += line + 1;
		len -= line + 1;
	}
}

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

static void see_report(struct play *y, const Rollcall__Report *r)
{
	struct act *a = push(y, PROBE_REPORT, NULL, 0);
	bool random = false;

	if (r->part != ++y->parts)
		fail(y, "parts are not numbered from 1 without gaps", NULL);
	if (rollcall__report__get_packed_size(r) > (1u << 20))
		fail(y, "a part over 1 MiB", NULL);
	a->number = r->part;
	a->final = r->final;
	y->answers_in_part = (uint32_t)r->n_answers;
	y->sessions_in_part = (uint32_t)r->n_sessions;
	y->throttled = r->health && r->health->throttled;
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
			fail(y, "a control names a session that is not there", NULL);
	}
	for (size_t i = 0; i < r->n_answers; i++) {
		const Rollcall__Answer *from = r->answers[i];
		struct seen *s;

		if (from->uid < 1 || from->uid > y->shard->n_recipients)
			fail(y, "an answer for nobody", NULL);
		s = &y->answers[from->uid];
		if (s->times++)
			fail(y, "two answers for one recipient", NULL);
		if (!from->reply == !from->failure)
			fail(y, "an answer needs a reply or a failure, and not both", NULL);
		if (from->session > r->n_sessions)
			fail(y, "an answer names a session that is not there", NULL);
		s->stage = from->stage;
		s->failure = from->failure;
		s->suspect = from->suspect;
		s->shared = from->shared;
		s->connected = from->connected;
		s->tries = from->local_tries;
		s->retry_after_ms = from->retry_after_ms;
		s->part = r->part;
		if (from->reply)
			see_reply(s, from->reply);
		if (accepted(s) && !random &&
		    y->shard->control == ROLLCALL__CONTROL_NEED__CONTROL_NEED_IF_ACCEPTED)
			fail(y, "an accepted row without its control", NULL);
	}
	for (size_t i = 0; i < r->n_sessions; i++) {
		const Rollcall__Session *s = r->sessions[i];

		y->tls = s->tls;
		y->tls_thrown_away = s->tls_thrown_away;
		snprintf(y->tls_unverified, sizeof(y->tls_unverified), "%s", s->tls_unverified);
		for (size_t j = 0; j < s->n_transcript; j++) {
			char *grown =
			    realloc(y->transcript, y->transcript_len + s->transcript[j].len + 2);

			if (!grown)
				abort();
			y->transcript = grown;
			memcpy(grown + y->transcript_len, s->transcript[j].data,
			       s->transcript[j].len);
			y->transcript_len += s->transcript[j].len;
			grown[y->transcript_len++] = '\n';
			grown[y->transcript_len] = '\0';
		}
	}
}

/* Carries out all that the probe wants, into the list. */
static void pump(struct play *y)
{
	char text[IP_TEXT_MAX];

	for (;;) {
		struct probe_todo todo;
		enum probe_action action = probe_next(y->probe, y->now_ms, &todo);

		switch (action) {
		case PROBE_WAIT:
			return;
		case PROBE_DONE:
			if (!y->done)
				push(y, action, NULL, 0);
			y->done = true;
			return;
		case PROBE_RESOLVE:
			push(y, action, todo.host, strlen(todo.host));
			break;
		case PROBE_SLOT:
			push(y, action, NULL, 0)->number = todo.recipients;
			if (!y->manual_slot)
				probe_on_slot(y->probe, y->now_ms);
			break;
		case PROBE_CONNECT:
			ip_format(&todo.ip, text);
			push(y, action, text, strlen(text));
			y->connecting = true;
			break;
		case PROBE_SEND:
			push_write(y, todo.data, todo.len);
			break;
		case PROBE_TLS:
			push(y, action, todo.host, strlen(todo.host));
			break;
		case PROBE_CLOSE:
			y->outcome = probe_session_outcome(y->probe, &y->outcome_rcpts);
			push(y, action, NULL, 0);
			y->connecting = false;
			break;
		case PROBE_REPORT:
			see_report(y, todo.report);
			break;
		}
	}
}

static void start(struct play *y)
{
	if (y->probe)
		return;
	for (size_t i = 0; i < y->shard->n_recipients; i++)
		y->shard->recipients[i]->uid = i + 1;
	y->probe = probe_new(&y->config, &y->identity, y->shard, y->seed, y->now_ms, 1700000000000);
	if (!y->probe)
		fail(y, "the shard was refused", NULL);
	pump(y);
}

/* The next thing done, which must be `action`. Leave to connect is passed over unless it is asked
 * for. */
static struct act *expect(struct play *y, enum probe_action action, const char *what)
{
	start(y);
	while (y->act_at < y->act_n && y->acts[y->act_at].action == PROBE_SLOT &&
	       action != PROBE_SLOT)
		y->act_at++;
	if (y->act_at == y->act_n || y->acts[y->act_at].action != action)
		fail(y, "expected:", what);
	return &y->acts[y->act_at++];
}

static void ensure_open(struct play *y)
{
	start(y);
	if (!y->connecting)
		return;
	y->connecting = false;
	probe_on_connected(y->probe, y->now_ms);
	pump(y);
}

static void feed(struct play *y, const char *data, size_t len)
{
	ensure_open(y);
	for (size_t i = 0; y->bytewise && !y->whole && i < len; i++) {
		probe_on_data(y->probe, data + i, 1, y->now_ms);
		pump(y);
	}
	if (!y->bytewise || y->whole) {
		probe_on_data(y->probe, data, len, y->now_ms);
		pump(y);
	}
}

static void advance(struct play *y, uint64_t span_ms)
{
	uint64_t until = y->now_ms + span_ms;
	unsigned steps = 0;

	start(y);
	for (;;) {
		uint64_t at = probe_deadline(y->probe);

		if (at > until)
			break;
		if (++steps > 100000)
			fail(y, "a deadline that does not move", NULL);
		if (at > y->now_ms)
			y->now_ms = at;
		probe_on_time(y->probe, y->now_ms);
		pump(y);
	}
	y->now_ms = until;
}

/* ---------------------------------------------------------------- the language */

/* `*` stands for any run of octets. */
static bool matches(const char *pattern, const char *text)
{
	if (*pattern == '*') {
		for (;; text++) {
			if (matches(pattern + 1, text))
				return true;
			if (!*text)
				return false;
		}
	}
	if (!*pattern || !*text)
		return *pattern == *text;
	return *pattern == *text && matches(pattern + 1, text + 1);
}

/* "RCPT TO:<$control@d>": the first time it says what the control is, later it must be the same. */
static void expect_line(struct play *y, const char *want)
{
	struct act *a = expect(y, PROBE_SEND, want);
	const char *mark = strstr(want, "$control");
	char whole[LINE_MAX_OCTETS];

	if (mark) {
		size_t head = (size_t)(mark - want);
		const char *end = strrchr(a->text, '@');

		if (!y->control && end && strlen(a->text) > head)
			y->control = copy(a->text + head, (size_t)(end - a->text) - head);
		snprintf(whole, sizeof(whole), "%.*s%s%s", (int)head, want,
			 y->control ? y->control : "", mark + 8);
		want = whole;
	}
	if (!matches(want, a->text))
		fail(y, "said instead:", a->text);
}

/* \r \n \t \0 \\ \xHH */
static size_t unescape(char *text)
{
	size_t out = 0;

	for (size_t i = 0; text[i]; i++) {
		unsigned octet;

		if (text[i] != '\\') {
			text[out++] = text[i];
			continue;
		}
		switch (text[++i]) {
		case 'r':
			text[out++] = '\r';
			break;
		case 'n':
			text[out++] = '\n';
			break;
		case 't':
			text[out++] = '\t';
			break;
		case '0':
			text[out++] = '\0';
			break;
		case 'x':
			if (sscanf(text + i + 1, "%2x", &octet) != 1)
				octet = '?';
			text[out++] = (char)octet;
			i += 2;
			break;
		default:
			text[out++] = text[i];
		}
	}
	return out;
}

static uint64_t span(const struct play *y, const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (strcmp(end, "ms") == 0)
		return n;
	if (strcmp(end, "s") == 0)
		return n * 1000;
	if (strcmp(end, "min") == 0)
		return n * 60000;
	fail(y, "a span of time is written 5s, 20ms or 2min:", text);
}

static const char *const stage_names[] = { "-",	       "dns",  "connect", "greeting", "ehlo",
					   "starttls", "mail", "rcpt",	  "quit" };
static const char *const failure_names[] = {
	"NONE",	   "DNS",    "NO_MAIL_SERVER", "NULL_MX", "NO_DOMAIN",	"UNROUTABLE", "REFUSED",
	"TIMEOUT", "CLOSED", "PROTOCOL",       "TLS",	  "NOT_PROBED", "SMTPUTF8",   "LOCAL"
};

static unsigned find(const struct play *y, const char *const *names, size_t n, const char *word)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i], word) == 0)
			return i;
	fail(y, "no such word:", word);
}

#define FIND(y, names, word) find(y, names, sizeof(names) / sizeof(*names), word)

static const char *const starttls_names[] = { "-", "never", "required", "offered", "always" };

/* "rcpt 550 5.1.1 suspect tries=1 ..." against what was reported. */
static void expect_seen(struct play *y, const struct seen *s, char **words, size_t n)
{
	char got[4400];

	snprintf(got, sizeof(got), "%s %u %s %s%s%s tries=%u retry=%u \"%s\"",
		 stage_names[s->stage], s->code, s->enhanced, failure_names[s->failure],
		 s->suspect ? " suspect" : "", s->connected ? " connected" : "", s->tries,
		 s->retry_after_ms, s->text);
	if (!s->times)
		fail(y, "was not reported", NULL);
	for (size_t i = 0; i < n; i++) {
		const char *w = words[i];
		bool ok;

		if (i == 0)
			ok = s->stage == FIND(y, stage_names, w);
		else if (w[0] >= '2' && w[0] <= '5' && strlen(w) == 3)
			ok = s->code == (unsigned)atoi(w);
		else if (w[0] >= '2' && w[0] <= '5' && w[1] == '.')
			ok = strcmp(s->enhanced, w) == 0;
		else if (strcmp(w, "suspect") == 0)
			ok = s->suspect;
		else if (strcmp(w, "sound") == 0)
			ok = !s->suspect;
		else if (strcmp(w, "connected") == 0)
			ok = s->connected;
		else if (strcmp(w, "unconnected") == 0)
			ok = !s->connected;
		else if (strcmp(w, "cut") == 0)
			ok = s->cut;
		else if (strcmp(w, "shared") == 0)
			ok = s->shared;
		else if (strcmp(w, "alone") == 0)
			ok = !s->shared;
		else if (strncmp(w, "tries=", 6) == 0)
			ok = s->tries == (unsigned)atoi(w + 6);
		else if (strncmp(w, "retry=", 6) == 0)
			ok = s->retry_after_ms == span(y, w + 6);
		else if (strncmp(w, "text=", 5) == 0)
			ok = matches(w + 5, s->text);
		else
			ok = s->failure == FIND(y, failure_names, w) && s->code == 0;
		if (!ok)
			fail(y, "reported instead:", got);
	}
}

static char *dup_string(const char *text)
{
	return copy(text, strlen(text));
}

static void add_rcpt(struct play *y, char *local, bool smtputf8)
{
	Rollcall__Recipient *r = malloc(sizeof(*r));
	Rollcall__Shard *s = y->shard;

	if (!r || s->n_recipients >= RCPTS_MAX)
		abort();
	rollcall__recipient__init(r);
	r->local.len = unescape(local);
	r->local.data = (uint8_t *)copy(local, r->local.len);
	r->attempt = 1;
	r->smtputf8 = smtputf8;
	s->recipients =
	    realloc(s->recipients, (s->n_recipients + 1) * sizeof(Rollcall__Recipient *));
	if (!s->recipients)
		abort();
	s->recipients[s->n_recipients++] = r;
}

/* words: preference host address... */
static Rollcall__MxHost *make_host(char **words, size_t n)
{
	Rollcall__MxHost *h = malloc(sizeof(*h));

	if (!h)
		abort();
	rollcall__mx_host__init(h);
	h->preference = (uint32_t)atoi(words[0]);
	h->host = dup_string(n < 2 || strcmp(words[1], ".") == 0 ? "" : words[1]);
	if (n > 2) {
		h->addresses = malloc((n - 2) * sizeof(char *));
		if (!h->addresses)
			abort();
		for (size_t i = 2; i < n; i++)
			h->addresses[h->n_addresses++] = dup_string(words[i]);
	}
	return h;
}

static void add_host(struct play *y, char **words, size_t n)
{
	Rollcall__Shard *s = y->shard;

	s->mx = realloc(s->mx, (s->n_mx + 1) * sizeof(Rollcall__MxHost *));
	if (!s->mx)
		abort();
	s->mx[s->n_mx++] = make_host(words, n);
}

static Rollcall__Budget *budget(struct play *y)
{
	if (!y->shard->budget) {
		y->shard->budget = malloc(sizeof(*y->shard->budget));
		if (!y->shard->budget)
			abort();
		rollcall__budget__init(y->shard->budget);
	}
	return y->shard->budget;
}

static void set_text(char **at, const char *value)
{
	if (*at != protobuf_c_empty_string)
		free(*at);
	*at = dup_string(value);
}

static void set(struct play *y, const char *word)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : strlen(word);

	value = value ? value + 1 : "";
#define IS(name) (len == strlen(name) && strncmp(word, name, len) == 0)
	if (IS("control") && strcmp(value, "none") == 0)
		y->shard->control = ROLLCALL__CONTROL_NEED__CONTROL_NEED_NONE;
	else if (IS("control_local"))
		set_text(&y->shard->control_local, value);
	else if (IS("domain"))
		set_text(&y->shard->domain, value);
	else if (IS("mx_address"))
		set_text(&y->shard->mx_address, value);
	else if (IS("mx_host"))
		set_text(&y->shard->mx_host, value);
	else if (IS("postmaster"))
		y->shard->ask_postmaster = true;
	else if (IS("life"))
		y->shard->life_ms = (uint32_t)span(y, value);
	else if (IS("recipients"))
		budget(y)->recipients_per_session = (uint32_t)atoi(value);
	else if (IS("rejections"))
		budget(y)->rejections_per_session = (uint32_t)atoi(value);
	else if (IS("minute"))
		budget(y)->recipients_per_minute = (uint32_t)atoi(value);
	else if (IS("pace"))
		y->config.pace = true;
	else if (IS("scale"))
		y->config.time_scale = (uint32_t)atoi(value);
	else if (IS("family"))
		y->identity.family = atoi(value);
	else if (IS("only_allowed"))
		y->config.only_allowed = true;
	else if (IS("starttls"))
		y->config.starttls = (enum probe_starttls)FIND(y, starttls_names, value);
	else if (IS("transcript"))
		y->config.transcript = true;
	else if (IS("whole"))
		y->whole = true;
	else if (IS("slot") && strcmp(value, "manual") == 0)
		y->manual_slot = true;
	else if (IS("seed"))
		y->seed = strtoull(value, NULL, 10);
	else
		fail(y, "SET what?", word);
#undef IS
}

static void found(struct play *y, char **words, size_t n)
{
	static const char *const names[] = { "-",	  "MX",	       "IMPLICIT", "NULL_MX",
					     "NO_DOMAIN", "NO_SERVER", "FAILED",   "UNROUTABLE" };
	Rollcall__Resolution r = ROLLCALL__RESOLUTION__INIT;
	Rollcall__MxHost *host = NULL;

	r.state = (Rollcall__ResolutionState)FIND(y, names, words[0]);
	if (n > 1) {
		host = make_host(words + 1, n - 1);
		r.mx = &host;
		r.n_mx = 1;
	}
	probe_on_mx(y->probe, &r, y->now_ms);
	/* The probe keeps nothing of what it was shown. */
	if (host)
		rollcall__mx_host__free_unpacked(host, NULL);
	pump(y);
}

static void addresses(struct play *y, char **words, size_t n)
{
	struct probe_ip ips[32];
	size_t count = 0;
	bool failed = n == 1 && strcmp(words[0], "FAILED") == 0;

	for (size_t i = 0; i < n && i < 32 && !failed && strcmp(words[0], "NONE") != 0; i++)
		if (!ip_parse(words[i], &ips[count++]))
			fail(y, "no address:", words[i]);
	probe_on_addresses(y->probe, ips, count, failed, y->now_ms);
	pump(y);
}

static void connect_to(struct play *y, const char *ip)
{
	struct act *a = expect(y, PROBE_CONNECT, ip);

	if (!matches(ip, a->text))
		fail(y, "connected instead to", a->text);
}

static void say(struct play *y, const char *line)
{
	feed(y, line, strlen(line));
}

/* CONNECT, greeting and EHLO with the extensions named. */
static void hello(struct play *y, char **words, size_t n)
{
	char line[512];

	connect_to(y, words[0]);
	say(y, "220 mx.example.test ESMTP\r\n");
	expect_line(y, "EHLO *");
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

static void closed(struct play *y, Rollcall__Failure failure)
{
	start(y);
	y->connecting = false;
	probe_on_closed(y->probe, failure, y->now_ms);
	y->outcome = probe_session_outcome(y->probe, &y->outcome_rcpts);
	pump(y);
}

static void finish(struct play *y)
{
	if (!y->open)
		return;
	if (!y->probe)
		fail(y, "nothing was played", NULL);
	while (y->act_at < y->act_n && y->acts[y->act_at].action == PROBE_SLOT)
		y->act_at++;
	if (y->act_at < y->act_n)
		fail(y, "it did more than the scenario says", NULL);
	if (!y->done)
		fail(y, "it is not done", NULL);
	for (size_t i = 1; i <= y->shard->n_recipients && !y->cut; i++)
		if (!y->answers[i].times)
			fail(y, "a recipient was never reported", NULL);
	probe_free(y->probe);
	free(y->control);
	free(y->transcript);
	for (size_t i = 0; i < y->act_n; i++)
		free(y->acts[i].text);
	y->open = false;
}

static void begin(struct play *y, const char *name)
{
	const char *file = y->file;
	unsigned line = y->line;
	bool bytewise = y->bytewise;

	memset(y, 0, sizeof(*y));
	y->file = file;
	y->line = line;
	y->bytewise = bytewise;
	y->open = true;
	snprintf(y->name, sizeof(y->name), "%s", name);
	y->config = (struct probe_config){
		.rules = rules,
		.providers = providers,
		.allow = &allow,
		.time_scale = 1,
		.port = 25,
		.starttls = PROBE_STARTTLS_REQUIRED,
	};
	y->identity = (struct probe_identity){ .lane_name = "lane-1",
					       .worker = "w",
					       .source_ip = "198.51.100.7",
					       .family = 4,
					       .helo = "probe.example.net",
					       .mail_from = "verify@probe.example.net" };
	y->now_ms = 1000000;
	y->seed = 7;
	y->shard = malloc(sizeof(*y->shard));
	if (!y->shard)
		abort();
	rollcall__shard__init(y->shard);
	y->shard->id = 42;
	y->shard->attempt = 1;
	y->shard->epoch = 3;
	y->shard->kind = ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE;
	set_text(&y->shard->domain, "d.test");
	set_text(&y->shard->mx_group, "group");
}

static void expect_outcome(struct play *y, char **words, size_t n)
{
	static const char *const names[] = { "-", "clear", "throttled", "failed" };

	if (y->outcome != FIND(y, names, words[0]))
		fail(y, "the session ended", names[y->outcome]);
	if (n > 1 && y->outcome_rcpts != (uint32_t)atoi(words[1]))
		fail(y, "another number of recipients was sent", NULL);
}

/* One line of the file: `word` and what follows it. */
static void play_line(struct play *y, const char *word, char *rest)
{
	char *words[WORDS_MAX], raw[LINE_MAX_OCTETS];
	size_t n = 0;

	snprintf(raw, sizeof(raw), "%s", rest);
	for (char *save = NULL, *w = strtok_r(rest, " \t", &save); w && n < WORDS_MAX;
	     w = strtok_r(NULL, " \t", &save))
		words[n++] = w;
	words[n < WORDS_MAX ? n : WORDS_MAX - 1] = NULL;
#define IS(name) (strcmp(word, name) == 0)
	if (IS("SCENARIO")) {
		finish(y);
		begin(y, raw);
		return;
	}
	if (!y->open)
		fail(y, "SCENARIO comes first", NULL);
	if (IS("SOURCE")) {
		return;
	} else if (IS("RCPT") || IS("RCPT8")) {
		for (size_t i = 0; i < n; i++)
			add_rcpt(y, words[i], IS("RCPT8"));
	} else if (IS("RCPTS")) {
		for (int i = 1; i <= atoi(words[0]); i++) {
			char local[32];

			snprintf(local, sizeof(local), "user%d", i);
			add_rcpt(y, local, false);
		}
	} else if (IS("MX") && n >= 2) {
		add_host(y, words, n);
	} else if (IS("SET")) {
		for (size_t i = 0; i < n; i++)
			set(y, words[i]);
	} else if (IS("REFUSE-SHARD")) {
		if (probe_new(&y->config, &y->identity, y->shard, 1, 1, 1))
			fail(y, "the shard was taken", NULL);
		rollcall__shard__free_unpacked(y->shard, NULL);
		y->open = false;
	} else if (IS("RESOLVE")) {
		struct act *a = expect(y, PROBE_RESOLVE, raw);

		if (strcmp(a->text, n ? words[0] : "") != 0)
			fail(y, "looked up instead:", a->text);
	} else if (IS("FOUND") && n) {
		found(y, words, n);
	} else if (IS("ADDRESSES") && n) {
		addresses(y, words, n);
	} else if (IS("SLOT")) {
		struct act *a = expect(y, PROBE_SLOT, raw);

		if (n && a->number != (uint32_t)atoi(words[0]))
			fail(y, "asked leave for another number of recipients", NULL);
	} else if (IS("GRANT")) {
		probe_on_slot(y->probe, y->now_ms);
		pump(y);
	} else if (IS("CONNECT") && n) {
		connect_to(y, words[0]);
	} else if (IS("HELLO") && n) {
		hello(y, words, n);
	} else if (IS("TLS")) {
		struct act *a = expect(y, PROBE_TLS, "that it starts TLS");

		if (n && !matches(words[0], a->text))
			fail(y, "for the name", a->text);
	} else if (IS("SEALED")) {
		struct probe_tls info = { "TLSv1.3", "TLS_AES_128_GCM_SHA256", NULL };

		if (n)
			info.unverified = "self-signed certificate";
		probe_on_tls(y->probe, &info, y->now_ms);
		pump(y);
	} else if (IS("TLS-BROKEN")) {
		closed(y, ROLLCALL__FAILURE__FAILURE_TLS);
	} else if (IS("SESSION") && n) {
		if (y->tls != (strcmp(words[0], "sealed") == 0))
			fail(y, y->tls ? "was sealed" : "was not sealed", NULL);
		for (size_t i = 1; i < n; i++)
			if (strncmp(words[i], "thrown-away=", 12) == 0 &&
			    y->tls_thrown_away != (uint32_t)atoi(words[i] + 12))
				fail(y, "another number of octets was thrown away", NULL);
			else if (strcmp(words[i], "unverified") == 0 && !y->tls_unverified[0])
				fail(y, "its certificate was verified", NULL);
	} else if (IS("REFUSED")) {
		closed(y, ROLLCALL__FAILURE__FAILURE_REFUSED);
	} else if (IS("LOCAL")) {
		closed(y, ROLLCALL__FAILURE__FAILURE_LOCAL);
	} else if (IS("CLOSE") || IS("RST")) {
		ensure_open(y);
		closed(y, ROLLCALL__FAILURE__FAILURE_CLOSED);
	} else if (IS("S:")) {
		size_t len = strlen(raw);

		memcpy(raw + len, "\r\n", 3);
		feed(y, raw, len + 2);
	} else if (IS("S-RAW:")) {
		feed(y, raw, unescape(raw));
	} else if (IS("S-FLOOD:") && n == 2) {
		size_t len = unescape(words[1]);

		for (int i = 0; i < atoi(words[0]); i++)
			feed(y, words[1], len);
	} else if (IS("C:")) {
		expect_line(y, raw);
	} else if (IS("WRITE") && n) {
		size_t at = y->act_at, lines = 0;

		start(y);
		for (; at < y->act_n && y->acts[at].action == PROBE_SEND; at++) {
			if (lines && y->acts[at].first)
				break;
			lines++;
		}
		if (lines != (size_t)atoi(words[0]))
			fail(y, "another number of commands in one write", NULL);
	} else if (IS("SKIP") && n) {
		for (int i = 0; i < atoi(words[0]); i++)
			expect(y, PROBE_SEND, "a command");
	} else if (IS("REPLIES") && n > 1) {
		char *reply = strchr(raw, ' ');

		for (int i = 0; i < atoi(words[0]); i++) {
			char line[LINE_MAX_OCTETS];
			int len = snprintf(line, sizeof(line), "%s\r\n", reply + 1);

			feed(y, line, (size_t)len);
		}
	} else if (IS("AFTER") && n) {
		ensure_open(y);
		advance(y, span(y, words[0]));
	} else if (IS("STALL") && n) {
		/* Time passes before the connection is open. */
		advance(y, span(y, words[0]));
	} else if (IS("STOP")) {
		start(y);
		probe_stop(y->probe, y->now_ms);
		pump(y);
	} else if (IS("CUT")) {
		y->cut = true;
		probe_cut(y->probe, y->now_ms);
		pump(y);
	} else if (IS("HANGUP")) {
		expect(y, PROBE_CLOSE, "that it hangs up");
	} else if (IS("BYE")) {
		expect_line(y, "QUIT");
		say(y, "221 2.0.0 Bye\r\n");
		expect(y, PROBE_CLOSE, "that it hangs up");
	} else if (IS("WAITING")) {
		start(y);
		if (y->act_at < y->act_n)
			fail(y, "it should wait", NULL);
	} else if (IS("PART") && n) {
		struct act *a = expect(y, PROBE_REPORT, raw);

		if (a->number != (uint32_t)atoi(words[0]) ||
		    a->final != (n > 1 && strcmp(words[1], "final") == 0))
			fail(y,
			     a->final ? "reported the final part"
				      : "reported a part that is not the last",
			     NULL);
		for (size_t i = 1; i < n; i++)
			if (strncmp(words[i], "answers=", 8) == 0 &&
			    y->answers_in_part != (uint32_t)atoi(words[i] + 8))
				fail(y, "another number of answers in this part", NULL);
			else if (strncmp(words[i], "sessions=", 9) == 0 &&
				 y->sessions_in_part != (uint32_t)atoi(words[i] + 9))
				fail(y, "another number of sessions in this part", NULL);
			else if (strcmp(words[i], "throttled") == 0 && !y->throttled)
				fail(y, "this part does not say that we are throttled", NULL);
	} else if (IS("DONE")) {
		expect(y, PROBE_DONE, "that it is done");
	} else if (IS("ANSWER") && n > 1) {
		expect_seen(y, &y->answers[atoi(words[0]) % (RCPTS_MAX + 1)], words + 1, n - 1);
	} else if (IS("ANSWERS") && n > 1) {
		int from = 0, to = 0;

		if (sscanf(words[0], "%d-%d", &from, &to) != 2 || to > RCPTS_MAX)
			fail(y, "ANSWERS 1-9 ...", NULL);
		for (int i = from; i <= to; i++)
			expect_seen(y, &y->answers[i], words + 1, n - 1);
	} else if (IS("NO-ANSWER") && n) {
		if (y->answers[atoi(words[0]) % (RCPTS_MAX + 1)].times)
			fail(y, "was reported already:", words[0]);
	} else if (IS("CONTROL") && n > 1) {
		int kind = strcmp(words[0], "random") == 0 ? 1 : 2;

		if (strcmp(words[1], "none") == 0) {
			if (y->controls[kind].times)
				fail(y, "there is a control", NULL);
		} else {
			expect_seen(y, &y->controls[kind], words + 1, n - 1);
		}
	} else if (IS("OUTCOME") && n) {
		expect_outcome(y, words, n);
	} else if (IS("TRANSCRIPT")) {
		if (!y->transcript || !strstr(y->transcript, raw))
			fail(y, "the transcript says:", y->transcript ? y->transcript : "nothing");
	} else {
		fail(y, "no such word:", word);
	}
#undef IS
}

static unsigned play_file(const char *path, bool bytewise)
{
	static struct play y;
	char line[LINE_MAX_OCTETS];
	unsigned scenarios = 0;
	FILE *f = fopen(path, "r");

	if (!f) {
		perror(path);
		exit(1);
	}
	memset(&y, 0, sizeof(y));
	y.file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	y.bytewise = bytewise;
	while (fgets(line, sizeof(line) - 16, f)) {
		char *rest;

		y.line++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		rest = strchr(line, ' ');
		if (rest)
			*rest++ = '\0';
		scenarios += strcmp(line, "SCENARIO") == 0;
		play_line(&y, line, rest ? rest : line + strlen(line));
	}
	finish(&y);
	fclose(f);
	return scenarios;
}

int main(int argc, char **argv)
{
	struct rc_error err = { 0 };

	if (argc < 3) {
		fprintf(stderr, "usage: %s DATA-DIRECTORY FILE.scn...\n", argv[0]);
		return 2;
	}
	if (rc_rules_load(argv[1], &rules, &err) || rc_providers_load(argv[1], &providers, &err) ||
	    rc_target_list_parse("192.0.2.0/24, 198.51.100.0/24, 2001:db8::/32", &allow, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		unsigned n = play_file(argv[i], false);

		play_file(argv[i], true);
		printf("%s: %u scenarios\n", argv[i], n);
	}
	rc_rules_free(rules);
	rc_providers_free(providers);
	return 0;
}
