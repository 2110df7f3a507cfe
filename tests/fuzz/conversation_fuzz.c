/*
 * A server that may say anything, in pieces of its own: whatever it says, every recipient is
 * reported exactly once, the probe ends, and nothing is sent but the commands that it has.
 *
 * The first octet chooses how the shard and the lane are; then pieces follow, each with an octet of
 * its length before it: 255 hangs up, 254 lets the time pass, 253 completes a TLS handshake.
 */
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "tests/fuzz/fuzz.h"
#include "worker/core/probe.h"

enum { RECIPIENTS = 5, STEPS_MAX = 20000, HANG_UP = 255, TIME_PASSES = 254, SEALS = 253 };

static struct probe_config config = { .time_scale = 1, .port = 25 };

static void load(void)
{
	static struct rc_target_list allow;
	static struct rc_rules *rules;
	static struct rc_providers *providers;
	struct rc_error err;

	if (config.rules)
		return;
	if (rc_rules_load(SOURCE_DIR "/data", &rules, &err) ||
	    rc_providers_load(SOURCE_DIR "/data", &providers, &err) ||
	    rc_target_list_parse("192.0.2.0/24", &allow, &err))
		abort();
	config.rules = rules;
	config.providers = providers;
	config.allow = &allow;
}

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static Rollcall__Shard *make_shard(unsigned how)
{
	static const char *const locals[RECIPIENTS] = { "ann", "bob+x", "j\xc3\xbcrgen", "d", "e" };
	Rollcall__Shard *shard = must(malloc(sizeof(*shard)));
	Rollcall__MxHost *host = must(malloc(sizeof(*host)));

	rollcall__shard__init(shard);
	shard->id = shard->attempt = 1;
	shard->kind = ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE;
	shard->domain = must(strdup("d.test"));
	shard->mx_group = must(strdup("g"));
	shard->ask_postmaster = how & 1;
	shard->recipients = must(calloc(RECIPIENTS, sizeof(*shard->recipients)));
	for (size_t i = 0; i < RECIPIENTS; i++) {
		Rollcall__Recipient *r = must(malloc(sizeof(*r)));

		rollcall__recipient__init(r);
		r->uid = i + 1;
		r->attempt = 1;
		r->local.data = must(strdup(locals[i]));
		r->local.len = strlen(locals[i]);
		r->smtputf8 = i == 2;
		shard->recipients[shard->n_recipients++] = r;
	}
	rollcall__mx_host__init(host);
	host->host = must(strdup("mx.d.test"));
	host->addresses = must(calloc(1, sizeof(*host->addresses)));
	host->addresses[host->n_addresses++] = must(strdup("192.0.2.1"));
	shard->mx = must(calloc(1, sizeof(*shard->mx)));
	shard->mx[shard->n_mx++] = host;
	return shard;
}

/* What goes out is lines that end in CRLF, and each of them begins with a word that we have. */
static void check_sent(const char *data, size_t len)
{
	static const char *const verbs[] = { "EHLO ",	 "HELO ", "MAIL FROM:<", "RCPT TO:<",
					     "STARTTLS", "RSET",  "QUIT" };
	const char *end = data + len;

	while (data < end) {
		const char *stop = memchr(data, '\n', (size_t)(end - data));
		bool known = false;

		if (!stop || stop == data || stop[-1] != '\r' ||
		    memchr(data, '\r', (size_t)(stop - data)) != stop - 1 ||
		    memchr(data, '\0', (size_t)(stop - data)))
			abort();
		for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
			known = known || ((size_t)(stop - data) > strlen(verbs[i]) &&
					  !memcmp(data, verbs[i], strlen(verbs[i])));
		if (!known)
			abort();
		data = stop + 1;
	}
}

struct run {
	struct probe *probe;
	const uint8_t *data;
	size_t size, at;
	uint64_t now_ms;
	bool connected, sealing;
	unsigned reported[RECIPIENTS + 1];
	bool final;
};

static void see(struct run *r, const Rollcall__Report *report)
{
	uint8_t *packed = must(malloc(rollcall__report__get_packed_size(report)));

	rollcall__report__pack(report, packed);
	free(packed);
	if (r->final)
		abort();
	r->final = report->final;
	for (size_t i = 0; i < report->n_answers; i++) {
		const Rollcall__Answer *a = report->answers[i];

		if (a->uid < 1 || a->uid > RECIPIENTS || r->reported[a->uid]++ ||
		    !a->reply == !a->failure || a->session > report->n_sessions)
			abort();
	}
}

static void pass_time(struct run *r)
{
	uint64_t due = probe_deadline(r->probe);

	if (due == UINT64_MAX)
		abort();
	r->now_ms = due > r->now_ms ? due : r->now_ms + 1;
	probe_on_time(r->probe, r->now_ms);
}

static void hang_up(struct run *r, Rollcall__Failure failure)
{
	r->connected = r->sealing = false;
	probe_on_closed(r->probe, failure, r->now_ms);
}

/* The next piece of what the server does. */
static void serve(struct run *r)
{
	static const struct probe_tls info = { "TLSv1.3", "AES", NULL };
	size_t len;

	if (!r->connected) {
		pass_time(r);
		return;
	}
	if (r->at >= r->size) {
		hang_up(r, ROLLCALL__FAILURE__FAILURE_CLOSED);
		return;
	}
	len = r->data[r->at++];
	if (len == HANG_UP) {
		hang_up(r, r->sealing ? ROLLCALL__FAILURE__FAILURE_TLS
				      : ROLLCALL__FAILURE__FAILURE_CLOSED);
	} else if (len == TIME_PASSES) {
		pass_time(r);
	} else if (len == SEALS && r->sealing) {
		r->sealing = false;
		probe_on_tls(r->probe, &info, r->now_ms);
	} else {
		if (len > r->size - r->at)
			len = r->size - r->at;
		probe_on_data(r->probe, (const char *)r->data + r->at, len, r->now_ms);
		r->at += len;
	}
}

static void play(struct run *r)
{
	struct probe_ip ip = { 4, { 192, 0, 2, 1 } };
	struct probe_todo todo;

	for (int step = 0; step < STEPS_MAX; step++) {
		r->now_ms++;
		switch (probe_next(r->probe, r->now_ms, &todo)) {
		case PROBE_WAIT:
			serve(r);
			break;
		case PROBE_RESOLVE:
			probe_on_addresses(r->probe, &ip, 1, false, r->now_ms);
			break;
		case PROBE_SLOT:
			probe_on_slot(r->probe, r->now_ms);
			break;
		case PROBE_CONNECT:
			if (memcmp(todo.ip.octets, ip.octets, 3) != 0)
				abort();
			r->connected = true;
			probe_on_connected(r->probe, r->now_ms);
			break;
		case PROBE_SEND:
			check_sent(todo.data, todo.len);
			break;
		case PROBE_TLS:
			r->sealing = true;
			break;
		case PROBE_CLOSE:
			r->connected = r->sealing = false;
			break;
		case PROBE_REPORT:
			see(r, todo.report);
			break;
		case PROBE_DONE:
			return;
		}
	}
	abort(); /* it never ends */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct probe_identity identity = { .lane_name = "lane-1",
							.worker = "w",
							.source_ip = "198.51.100.7",
							.family = 4,
							.helo = "probe.example.net",
							.mail_from = "verify@probe.example.net" };
	struct run run = { .data = data, .size = size, .at = 1, .now_ms = 1000000 };
	Rollcall__Shard *shard;

	if (size == 0)
		return 0;
	load();
	config.starttls = (enum probe_starttls)(1 + (data[0] >> 1 & 3));
	config.transcript = data[0] & 8;
	shard = make_shard(data[0]);
	run.probe = must(probe_new(&config, &identity, shard, 7, run.now_ms, 1700000000000));
	play(&run);
	for (int i = 1; i <= RECIPIENTS; i++)
		if (run.reported[i] != 1)
			abort();
	if (!run.final)
		abort();
	probe_free(run.probe);
	return 0;
}
