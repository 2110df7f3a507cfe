/*
 * What holds of every probe, whatever the server does: it ends within its life, each recipient is
 * reported exactly once, an accepted row comes with its control, and it is small. Servers here are
 * random; the scenarios have the ones that mean something.
 */
#include "worker/core/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/kafka/seal.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "tests/unit/worker_core/make_shard.h"
#include "worker/core/probe_state.h"
#include "worker/core/seed.h"

enum { LIFE_MS = 300000 };

static struct probe_config config = { .time_scale = 1, .port = 25 };
static struct rc_target_list allow;
static const struct probe_identity identity = { .lane_name = "lane-1",
						.worker = "w",
						.source_ip = "198.51.100.7",
						.family = 4,
						.helo = "probe.example.net",
						.mail_from = "verify@probe.example.net" };

static int load(void **state)
{
	static struct rc_rules *rules;
	static struct rc_providers *providers;
	struct rc_error err = { 0 };

	(void)state;
	if (rc_rules_load(SOURCE_DIR "/data", &rules, &err) ||
	    rc_providers_load(SOURCE_DIR "/data", &providers, &err) ||
	    rc_target_list_parse("192.0.2.0/24", &allow, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	config.rules = rules;
	config.providers = providers;
	config.allow = &allow;
	return 0;
}

static int unload(void **state)
{
	(void)state;
	rc_rules_free((struct rc_rules *)config.rules);
	rc_providers_free((struct rc_providers *)config.providers);
	return 0;
}

struct run {
	struct probe *probe;
	uint64_t now_ms, seed;
	unsigned answered[101];
	unsigned accepted, connections, sealed;
	uint32_t parts;
	bool done, connected, closing, final, tls_due;
	unsigned due; /* commands without a reply */
	size_t memory_most;
};

static void see(struct run *r, const Rollcall__Report *report)
{
	bool random = false;

	assert_false(r->final);
	assert_int_equal(report->part, ++r->parts);
	r->final = report->final;
	for (size_t i = 0; i < report->n_controls; i++)
		random = random ||
			 report->controls[i]->kind == ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM;
	for (size_t i = 0; i < report->n_answers; i++) {
		const Rollcall__Answer *a = report->answers[i];

		assert_in_range(a->uid, 1, 100);
		r->answered[a->uid]++;
		assert_true(!a->reply != !a->failure);
		assert_true(a->session <= report->n_sessions);
		if (a->reply && a->reply->code / 100 == 2 && a->reply->code != 252) {
			assert_true(random);
			r->accepted++;
		}
	}
	assert_true(rollcall__report__get_packed_size(report) > 0);
}

static void pump(struct run *r)
{
	for (int steps = 0;; steps++) {
		struct probe_todo todo;

		assert_true(steps < 1000);
		switch (probe_next(r->probe, r->now_ms, &todo)) {
		case PROBE_WAIT:
			return;
		case PROBE_DONE:
			r->done = true;
			return;
		case PROBE_SLOT:
			probe_on_slot(r->probe, r->now_ms);
			break;
		case PROBE_CONNECT:
			r->connected = false;
			r->closing = true;
			r->connections++;
			r->due = 0;
			r->tls_due = false;
			break;
		case PROBE_SEND:
			for (size_t i = 0; i < todo.len; i++)
				r->due += todo.data[i] == '\n';
			break;
		case PROBE_CLOSE:
			r->closing = false;
			break;
		case PROBE_REPORT:
			see(r, todo.report);
			break;
		case PROBE_TLS:
			r->tls_due = true;
			break;
		case PROBE_RESOLVE:
			fail();
		}
	}
}

static const char *const replies[] = {
	"250 ok\r\n",
	"250 2.1.5 ok\r\n",
	"550 5.1.1 unknown user\r\n",
	"550-5.1.1 no\r\n550 5.1.1 such user\r\n",
	"450 4.2.0 Greylisted, see postgrey\r\n",
	"451 4.7.1 try again in 20 seconds\r\n",
	"452 4.5.3 Too many recipients\r\n",
	"421 4.7.0 closing\r\n",
	"252 cannot verify\r\n",
	"503 5.5.1 sequence\r\n",
	"554 5.7.1 policy\r\n",
	"250-a\r\n250 b\r\n",
	"450 4.3.2 Service currently unavailable\r\n",
	"552 5.2.2 full\r\n",
	"530 5.7.0 Must issue STARTTLS\r\n",
	"354 what\r\n",
};
static const char *const hellos[] = {
	"250-mx\r\n250 PIPELINING\r\n",
	"250 mx\r\n",
	"250-mx\r\n250-STARTTLS\r\n250 PIPELINING\r\n",
	"250-mx\r\n250 STARTTLS\r\n",
};
static const char *const oddities[] = { "x\r\n", "250-\r\n", "550-a\r\n551 b\r\n",
					"2",	 "\r\n",     "250 ok\r\n250 ok\r\n421 bye\r\n" };

/* One thing happens. `wild`: how odd the world is, in percent. */
static void happen(struct run *r, uint32_t wild)
{
	const char *line;

	if (!r->closing) {
		/* No connection: only time. */
		uint64_t at = probe_deadline(r->probe);

		assert_true(at != UINT64_MAX);
		if (at > r->now_ms)
			r->now_ms = at;
		probe_on_time(r->probe, r->now_ms);
	} else if (seed_below(&r->seed, 100) < wild) {
		switch (seed_below(&r->seed, 4)) {
		case 0:
			r->closing = false;
			probe_on_closed(r->probe,
					seed_below(&r->seed, 2)
					    ? ROLLCALL__FAILURE__FAILURE_CLOSED
					    : ROLLCALL__FAILURE__FAILURE_REFUSED,
					r->now_ms);
			break;
		case 1:
			if (probe_deadline(r->probe) > r->now_ms)
				r->now_ms = probe_deadline(r->probe);
			probe_on_time(r->probe, r->now_ms);
			break;
		default:
			line = oddities[seed_below(&r->seed, sizeof(oddities) / sizeof(*oddities))];
			probe_on_data(r->probe, line, strlen(line), r->now_ms);
		}
	} else if (!r->connected) {
		r->connected = true;
		probe_on_connected(r->probe, r->now_ms);
		pump(r);
		probe_on_data(r->probe, "220 mx\r\n", 8, r->now_ms);
	} else if (r->tls_due) {
		static const struct probe_tls info = { "TLSv1.3", "TLS_AES_128_GCM_SHA256", NULL };

		r->tls_due = false;
		if (seed_below(&r->seed, 4)) {
			probe_on_tls(r->probe, &info, r->now_ms);
			r->sealed++;
		} else {
			r->closing = false;
			probe_on_closed(r->probe, ROLLCALL__FAILURE__FAILURE_TLS, r->now_ms);
		}
	} else if (r->due) {
		r->due--;
		r->now_ms += seed_below(&r->seed, 50);
		if (strstr(probe_doing(r->probe), "EHLO"))
			line = hellos[seed_below(&r->seed, sizeof(hellos) / sizeof(*hellos))];
		else if (strstr(probe_doing(r->probe), "STARTTLS"))
			line = seed_below(&r->seed, 4) ? "220 go\r\n" : "454 not now\r\n";
		else if (strstr(probe_doing(r->probe), "MAIL") && seed_below(&r->seed, 10))
			line = "250 ok\r\n";
		else
			line = replies[seed_below(&r->seed, sizeof(replies) / sizeof(*replies))];
		probe_on_data(r->probe, line, strlen(line), r->now_ms);
	} else {
		if (probe_deadline(r->probe) > r->now_ms)
			r->now_ms = probe_deadline(r->probe);
		probe_on_time(r->probe, r->now_ms);
	}
	pump(r);
}

static void whatever_the_server_does_it_ends_and_tells_once(void **state)
{
	unsigned accepted = 0, sealed = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 4000; seed++) {
		struct run r = { .now_ms = 5000, .seed = seed };
		size_t n = 1 + seed_below(&r.seed, seed % 10 ? 8 : 100);
		uint32_t wild = seed_below(&r.seed, 4) * 4;
		Rollcall__Shard *shard = make_shard(n, 1 + seed_below(&r.seed, 3));

		config.starttls = PROBE_STARTTLS_NEVER + (enum probe_starttls)(seed % 4);
		shard->ask_postmaster = seed_below(&r.seed, 2) == 1;
		r.probe = probe_new(&config, &identity, shard, seed, r.now_ms, 1700000000000);
		assert_non_null(r.probe);
		pump(&r);
		for (int events = 0; !r.done; events++) {
			assert_true(events < 20000);
			if (seed % 7 == 0 && events == 12)
				probe_stop(r.probe, r.now_ms);
			happen(&r, wild);
		}
		assert_true(r.final);
		assert_true(r.now_ms <= 5000 + LIFE_MS);
		assert_true(r.connections <= n + PROBE_CONNECTIONS_SPARE);
		for (size_t i = 1; i <= n; i++)
			assert_int_equal(r.answered[i], 1);
		accepted += r.accepted;
		sealed += r.sealed;
		probe_free(r.probe);
	}
	config.starttls = PROBE_STARTTLS_REQUIRED;
	assert_true(accepted > 1000);
	assert_true(sealed > 1000);
}

/* The lease ends at any moment: nothing more is sent, nothing reported. */
static void a_cut_probe_only_closes(void **state)
{
	(void)state;
	for (int when = 0; when < 12; when++) {
		struct run r = { .now_ms = 5000, .seed = 3 };
		uint32_t parts;

		r.probe = probe_new(&config, &identity, make_shard(3, 1), 1, r.now_ms, 0);
		assert_non_null(r.probe);
		pump(&r);
		for (int i = 0; i < when && !r.done; i++)
			happen(&r, 0);
		if (!r.done) {
			parts = r.parts;
			r.due = 0;
			probe_cut(r.probe, r.now_ms);
			pump(&r);
			assert_true(r.done);
			assert_false(r.closing);
			assert_int_equal(r.due, 0);
			assert_int_equal(r.parts, parts);
		}
		probe_free(r.probe);
	}
}

static void a_probe_is_small(void **state)
{
	struct run r = { .now_ms = 5000 };
	static const char *const server[] = {
		"220 mx1.d.test ESMTP Postfix (Debian/GNU)\r\n",
		"250-mx1.d.test\r\n250-PIPELINING\r\n250-SIZE "
		"10240000\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n"
		"250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 "
		"CHUNKING\r\n",
		"250 2.1.0 Ok\r\n",
		"250 2.1.5 Ok\r\n",
		"550 5.1.1 <brenatol73@d.test>: Recipient address rejected: User unknown in local "
		"recipient table\r\n",
		"221 2.0.0 Bye\r\n",
	};

	(void)state;
	r.probe = probe_new(&config, &identity, make_shard(1, 1), 1, r.now_ms, 0);
	assert_non_null(r.probe);
	pump(&r);
	print_message("at the start: %zu octets, of them the probe itself %zu\n",
		      probe_memory(r.probe), sizeof(struct probe));
	probe_on_connected(r.probe, r.now_ms);
	for (size_t i = 0; i < sizeof(server) / sizeof(*server); i++) {
		probe_on_data(r.probe, server[i], strlen(server[i]), r.now_ms);
		pump(&r);
		if (i == 4)
			print_message("before QUIT is answered: %zu octets\n",
				      probe_memory(r.probe));
	}
	print_message("at the end: %zu octets\n", probe_memory(r.probe));
	assert_true(r.done);
	assert_int_equal(r.accepted, 1);
	assert_true(sizeof(struct smtp_session) < 512);
	assert_true(probe_memory(r.probe) < 6 * 1024);
	probe_free(r.probe);
}

/* Long replies, one recipient a session, and all within the time that answers wait for a part. */
static void no_part_is_larger_than_a_message(void **state)
{
	enum { RECIPIENTS = 96, TEXT = 2000, MORE = 64 };
	char text[TEXT + 1];

	(void)state;
	memset(text, 'x', TEXT);
	text[TEXT] = '\0';
	for (int transcript = 0; transcript < 2; transcript++) {
		struct probe_config own = config;
		Rollcall__Shard *shard = make_shard(RECIPIENTS, 1);
		size_t parts = 0, answers = 0, sessions = 0;
		char out[TEXT + MORE];
		bool done = false;

		own.transcript = transcript;
		shard->control = ROLLCALL__CONTROL_NEED__CONTROL_NEED_NONE;
		shard->budget = malloc(sizeof(*shard->budget));
		assert_non_null(shard->budget);
		rollcall__budget__init(shard->budget);
		shard->budget->recipients_per_session = 1;

		struct probe *probe = probe_new(&own, &identity, shard, 1, 1000, 0);

		assert_non_null(probe);
		while (!done) {
			struct probe_todo todo;
			int code = 250;

			switch (probe_next(probe, 1000, &todo)) {
			case PROBE_SLOT:
				probe_on_slot(probe, 1000);
				continue;
			case PROBE_CONNECT:
				probe_on_connected(probe, 1000);
				code = 220;
				break;
			case PROBE_SEND:
				if (strncmp(todo.data, "RCPT", 4) == 0)
					code = 550;
				else if (strncmp(todo.data, "QUIT", 4) == 0)
					code = 221;
				break;
			case PROBE_CLOSE:
				continue;
			case PROBE_REPORT:
				assert_in_range(rollcall__report__get_packed_size(todo.report), 1,
						RC_SEAL_MAX / 2);
				for (size_t i = 0; i < todo.report->n_answers; i++)
					assert_true(todo.report->answers[i]->session > 0);
				parts++;
				answers += todo.report->n_answers;
				sessions += todo.report->n_sessions;
				continue;
			case PROBE_DONE:
				done = true;
				continue;
			default:
				fail_msg("%s", probe_doing(probe));
			}
			const int len = snprintf(out, sizeof(out), "%d %s\r\n", code, text);

			probe_on_data(probe, out, (size_t)len, 1000);
		}
		assert_in_range(parts, 2, RECIPIENTS / 2);
		assert_int_equal(answers, RECIPIENTS);
		assert_true(sessions >= RECIPIENTS);
		probe_free(probe);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_the_server_does_it_ends_and_tells_once),
		cmocka_unit_test(a_cut_probe_only_closes),
		cmocka_unit_test(a_probe_is_small),
		cmocka_unit_test(no_part_is_larger_than_a_message),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
