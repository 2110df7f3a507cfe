/* See play.h. The words that set a scenario up: whom to ask, where, and under which settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario/play.h"

static char *dup_string(const char *text)
{
	return play_copy(text, strlen(text));
}

static void *checked(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void add_rcpt(struct play *y, char *local, bool smtputf8)
{
	Rollcall__Recipient *r = checked(malloc(sizeof(*r)));
	Rollcall__Shard *s = y->shard;

	rollcall__recipient__init(r);
	r->local.len = play_unescape(local);
	r->local.data = (uint8_t *)play_copy(local, r->local.len);
	r->attempt = 1;
	r->smtputf8 = smtputf8;
	s->recipients =
	    checked(realloc(s->recipients, (s->n_recipients + 1) * sizeof(Rollcall__Recipient *)));
	s->recipients[s->n_recipients++] = r;
}

/* words: preference host address... */
Rollcall__MxHost *play_make_host(char **words, size_t n)
{
	Rollcall__MxHost *h = checked(malloc(sizeof(*h)));

	rollcall__mx_host__init(h);
	h->preference = (uint32_t)atoi(words[0]);
	h->host = dup_string(n < 2 || strcmp(words[1], ".") == 0 ? "" : words[1]);
	if (n > 2)
		h->addresses = checked(malloc((n - 2) * sizeof(char *)));
	for (size_t i = 2; i < n; i++)
		h->addresses[h->n_addresses++] = dup_string(words[i]);
	return h;
}

static void add_host(struct play *y, char **words, size_t n)
{
	Rollcall__Shard *s = y->shard;

	s->mx = checked(realloc(s->mx, (s->n_mx + 1) * sizeof(Rollcall__MxHost *)));
	s->mx[s->n_mx++] = play_make_host(words, n);
}

static Rollcall__Budget *budget(struct play *y)
{
	if (!y->shard->budget) {
		y->shard->budget = checked(malloc(sizeof(*y->shard->budget)));
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

static void set_octets(ProtobufCBinaryData *at, const char *value)
{
	free(at->data);
	at->len = strlen(value);
	at->data = (uint8_t *)dup_string(value);
}

/* limit.greeting=10s */
static bool set_limit(struct play *y, const char *word, const char *value)
{
	static const struct {
		const char *name;
		size_t offset;
	} limits[] = {
		{ "resolve", offsetof(struct probe_limits, resolve_ms) },
		{ "connect", offsetof(struct probe_limits, connect_ms) },
		{ "greeting", offsetof(struct probe_limits, greeting_ms) },
		{ "ehlo", offsetof(struct probe_limits, ehlo_ms) },
		{ "starttls", offsetof(struct probe_limits, starttls_ms) },
		{ "handshake", offsetof(struct probe_limits, handshake_ms) },
		{ "mail", offsetof(struct probe_limits, mail_ms) },
		{ "rcpt", offsetof(struct probe_limits, rcpt_ms) },
		{ "quit", offsetof(struct probe_limits, quit_ms) },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		size_t len = strlen(limits[i].name);

		if (strncmp(word, limits[i].name, len) == 0 && word[len] == '=') {
			*(uint32_t *)(void *)((char *)&y->config.limits + limits[i].offset) =
			    (uint32_t)play_span(y, value);
			return true;
		}
	}
	return false;
}

static void set(struct play *y, const char *word)
{
	static const char *const starttls[] = { "-", "never", "required", "offered", "always" };
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : strlen(word);

	value = value ? value + 1 : "";
#define IS(name) (len == strlen(name) && strncmp(word, name, len) == 0)
	if (strncmp(word, "limit.", 6) == 0 && set_limit(y, word + 6, value))
		return;
	if (IS("control") && strcmp(value, "none") == 0)
		y->shard->control = ROLLCALL__CONTROL_NEED__CONTROL_NEED_NONE;
	else if (IS("witness"))
		set_octets(&y->shard->witness, value);
	else if (IS("doubted"))
		y->shard->doubted = true;
	else if (IS("control_host"))
		set_text(&y->shard->control_host, value);
	else if (IS("control_local"))
		set_text(&y->shard->control_local, value);
	else if (IS("domain"))
		set_text(&y->shard->domain, value);
	else if (IS("kind") && strcmp(value, "resolve") == 0)
		y->shard->kind = ROLLCALL__SHARD_KIND__SHARD_KIND_RESOLVE;
	else if (IS("mx_address"))
		set_text(&y->shard->mx_address, value);
	else if (IS("mx_host"))
		set_text(&y->shard->mx_host, value);
	else if (IS("helo"))
		y->identity.helo = strcmp(value, "bad") == 0 ? "bad helo" : "[198.51.100.7]";
	else if (IS("from"))
		y->identity.mail_from = strcmp(value, "null") == 0 ? "" : "bad sender";
	else if (IS("postmaster"))
		y->shard->ask_postmaster = true;
	else if (IS("life"))
		y->shard->life_ms = (uint32_t)play_span(y, value);
	else if (IS("recipients"))
		budget(y)->recipients_per_session = (uint32_t)atoi(value);
	else if (IS("rejections"))
		budget(y)->rejections_per_session = (uint32_t)atoi(value);
	else if (IS("minute"))
		budget(y)->recipients_per_minute = (uint32_t)atoi(value);
	else if (IS("pace"))
		y->config.pace = true;
	else if (IS("pacer"))
		y->pacer = pacer_new(true, 1);
	else if (IS("scale"))
		y->config.time_scale = (uint32_t)atoi(value);
	else if (IS("family"))
		y->identity.family = atoi(value);
	else if (IS("only_allowed"))
		y->config.only_allowed = true;
	else if (IS("no_providers"))
		y->config.providers = NULL;
	else if (IS("starttls"))
		y->config.starttls = (enum probe_starttls)FIND(y, starttls, value);
	else if (IS("transcript"))
		y->config.transcript = true;
	else if (IS("whole"))
		y->whole = true;
	else if (IS("slot") && strcmp(value, "manual") == 0)
		y->manual_slot = true;
	else if (IS("seed"))
		y->seed = strtoull(value, NULL, 10);
	else
		play_fail(y, "SET what?", word);
#undef IS
}

void play_begin(struct play *y, const char *name)
{
	y->open = true;
	snprintf(y->name, sizeof(y->name), "%s", name);
	y->config = play_config;
	y->identity = (struct probe_identity){ .lane_name = "lane-1",
					       .worker = "w",
					       .source_ip = "198.51.100.7",
					       .family = 4,
					       .helo = "probe.example.net",
					       .mail_from = "verify@probe.example.net" };
	y->now_ms = 1000000;
	y->seed = 7;
	y->shard = checked(malloc(sizeof(*y->shard)));
	rollcall__shard__init(y->shard);
	y->shard->id = 42;
	y->shard->attempt = 1;
	y->shard->epoch = 3;
	y->shard->kind = ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE;
	set_text(&y->shard->domain, "d.test");
	set_text(&y->shard->mx_group, "group");
}

bool play_setup_word(struct play *y, const char *word, char *raw, char **words, size_t n)
{
	(void)raw;
	if (strcmp(word, "SOURCE") == 0) {
		y->sourced = n > 0;
	} else if (strcmp(word, "RCPT") == 0 || strcmp(word, "RCPT8") == 0) {
		for (size_t i = 0; i < n; i++)
			add_rcpt(y, words[i], word[4] == '8');
	} else if (strcmp(word, "RCPTS") == 0 && n) {
		for (int i = 1; i <= atoi(words[0]); i++) {
			char local[32];

			snprintf(local, sizeof(local), "user%d", i);
			add_rcpt(y, local, false);
		}
	} else if (strcmp(word, "MX") == 0 && n >= 2) {
		add_host(y, words, n);
	} else if (strcmp(word, "SET") == 0) {
		for (size_t i = 0; i < n; i++)
			set(y, words[i]);
	} else if (strcmp(word, "FAIL-ALLOC") == 0 && n) {
		alloc_fail((unsigned)atoi(words[0]), n > 1);
	} else {
		return false;
	}
	return true;
}
