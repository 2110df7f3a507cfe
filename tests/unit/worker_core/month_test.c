/*
 * A month of retries in one go, under a clock of the test's own: the greylisters of
 * docs/mail-servers.md, each with its window, its memory and its key, asked about the same
 * addresses again and again by the schedule that the coordinator ships with. Nobody may be left
 * greylisted, nobody comes back too early or from elsewhere, and who remembers us must be asked
 * less.
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
#include <time.h>

#include "common/address/target.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "tests/unit/worker_core/make_shard.h"
#include "worker/core/ip.h"

enum {
	DOMAINS = 40, /* of each kind */
	ADDRESSES = 10,
	JOB_EVERY_S = 3 * 86400,
	MONTH_S = 30 * 86400,
	KEYS = ADDRESSES + 1 /* and the control */
};

/* Seconds; first_max_s 0: no end. */
static const struct greylister {
	const char *name, *mx, *reply;
	uint32_t first_min_s, first_max_s, pass_s;
	unsigned whitelist_after; /* passes, an hour apart; 0: never */
} kinds[] = {
	{ "postgrey", "mx0.d.test",
	  "450 4.2.0 Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/",
	  300, 2 * 86400, 35 * 86400, 5 },
	{ "SQLgrey", "mx0.d.test", "450 4.7.1 Greylisted for 5 minutes", 300, 86400, 60 * 86400,
	  0 },
	{ "milter-greylist", "mx0.d.test",
	  "451 4.7.1 Greylisting in action, please come back later", 1800, 5 * 86400, 86400, 0 },
	{ "rspamd", "mx0.d.test", "451 4.7.1 Try again later", 300, 86400, 86400, 0 },
	{ "cPanel", "mx0.d.test", "451 Greylisting in effect, please try again later", 600,
	  4 * 3600, 3 * 86400, 0 },
	{ "Plesk", "mx0.d.test", "451 4.7.1 Greylisting in action, please try later", 300, 0,
	  36 * 86400, 0 },
	{ "Mimecast", "eu-smtp-inbound-1.mimecast.com",
	  "451 Internal resource temporarily unavailable - greylisting", 60, 12 * 3600, 86400, 0 },
	{ "spamd's window", "mx0.d.test", "451 Temporary failure, please try again later.", 1500,
	  4 * 3600, 36 * 86400, 0 },
};

/* What one server remembers of one recipient. */
struct record {
	char local[65];
	uint64_t first_ms, passed_ms;
};

struct server {
	const struct greylister *kind;
	struct record records[KEYS * 16];
	size_t n;
	unsigned passes;
	uint64_t counted_ms;
	char address[64]; /* where it was asked first */
};

struct tally {
	unsigned sessions, rcpts, greylisted, early, left, accepted, refused, elsewhere;
	unsigned job_sessions[MONTH_S / JOB_EVERY_S]; /* of each job in turn */
};

static struct probe_config config = { .time_scale = 1, .port = 25 };
static struct rc_target_list allow;
static const struct probe_identity identity = { .lane_name = "lane-1",
						.worker = "w",
						.source_ip = "198.51.100.7",
						.family = 4,
						.helo = "probe.example.net",
						.mail_from = "verify@probe.example.net" };
static const uint32_t schedule_s[] = { 0, 330, 2100, 12600 };

static struct record *recall(struct server *s, const char *local, uint64_t now_ms)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->records[i].local, local) == 0)
			return &s->records[i];
	assert_true(s->n < sizeof(s->records) / sizeof(*s->records));
	s->records[s->n] = (struct record){ .first_ms = now_ms };
	snprintf(s->records[s->n].local, sizeof(s->records[0].local), "%s", local);
	return &s->records[s->n++];
}

/* Whether the greylister lets it through. */
static bool passes(struct server *s, const char *local, uint64_t now_ms, struct tally *t)
{
	const struct greylister *k = s->kind;
	struct record *r = recall(s, local, now_ms);
	uint64_t age_ms = now_ms - r->first_ms;

	if (k->whitelist_after && s->passes >= k->whitelist_after)
		return true;
	if (r->passed_ms && now_ms - r->passed_ms <= k->pass_s * 1000ull) {
		r->passed_ms = now_ms;
		return true;
	}
	if (r->passed_ms || (k->first_max_s && age_ms > k->first_max_s * 1000ull)) {
		*r = (struct record){ .first_ms = now_ms };
		snprintf(r->local, sizeof(r->local), "%s", local);
		return false;
	}
	if (age_ms < k->first_min_s * 1000ull) {
		/* Whoever knocks again within a minute has not understood. */
		t->early += age_ms > 0 && age_ms < 60000;
		return false;
	}
	r->passed_ms = now_ms;
	if (now_ms - s->counted_ms >= 3600000) {
		s->passes++;
		s->counted_ms = now_ms;
	}
	return true;
}

/* One line that the probe sent: what the server says to it. */
static void reply_to(struct server *s, const char *line, size_t len, uint64_t now_ms,
		     struct tally *t, char ret_reply[256])
{
	char local[65] = "";

	if (strncmp(line, "EHLO", 4) == 0) {
		strcpy(ret_reply, "250-mx\r\n250 PIPELINING\r\n");
	} else if (strncmp(line, "RCPT TO:<", 9) == 0) {
		const char *at = memchr(line, '@', len);

		assert_non_null(at);
		snprintf(local, sizeof(local), "%.*s", (int)(at - line - 9), line + 9);
		t->rcpts++;
		if (!passes(s, local, now_ms, t)) {
			t->greylisted++;
			snprintf(ret_reply, 256, "%s\r\n", s->kind->reply);
		} else {
			strcpy(ret_reply, strncmp(local, "user", 4) == 0
					      ? "250 2.1.5 Ok\r\n"
					      : "550 5.1.1 User unknown\r\n");
		}
	} else {
		strcpy(ret_reply, strncmp(line, "QUIT", 4) == 0 ? "221 bye\r\n" : "250 ok\r\n");
	}
}

struct attempt {
	bool open[ADDRESSES]; /* still to be asked; afterwards: still 4xx */
	char control[65];     /* the one that waits; "" none */
};

static void read_report(const Rollcall__Report *r, struct attempt *a, struct tally *t)
{
	for (size_t i = 0; i < r->n_controls; i++) {
		const Rollcall__Control *c = r->controls[i];
		bool waits = c->reply && c->reply->code / 100 == 4;

		snprintf(a->control, sizeof(a->control), "%.*s", waits ? (int)c->local.len : 0,
			 (const char *)c->local.data);
	}
	for (size_t i = 0; i < r->n_answers; i++) {
		const Rollcall__Answer *answer = r->answers[i];

		assert_non_null(answer->reply);
		a->open[answer->uid - 1] = answer->reply->code / 100 == 4;
		t->accepted += answer->reply->code == 250;
		t->refused += answer->reply->code == 550;
	}
}

/* Feeds what the server says to everything that has been sent. */
static void serve(struct probe *probe, struct server *s, const char *data, size_t len,
		  uint64_t now_ms, struct tally *t, char *out, size_t *out_len)
{
	(void)probe;
	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t line = (size_t)(end - data) + 1;
		char reply[256];

		reply_to(s, data, line, now_ms, t, reply);
		memcpy(out + *out_len, reply, strlen(reply));
		*out_len += strlen(reply);
		data += line;
		len -= line;
	}
}

/* One shard to its end; returns when that is. */
static uint64_t run_shard(struct server *s, Rollcall__Shard *shard, struct attempt *a,
			  uint64_t now_ms, unsigned job, struct tally *t)
{
	struct probe *probe = probe_new(&config, &identity, shard, now_ms, now_ms, 0);
	static char out[65536];
	size_t out_len = 0;

	assert_non_null(probe);
	for (;;) {
		struct probe_todo todo;
		char text[IP_TEXT_MAX];

		switch (probe_next(probe, now_ms, &todo)) {
		case PROBE_SLOT:
			probe_on_slot(probe, now_ms);
			break;
		case PROBE_CONNECT:
			ip_format(&todo.ip, text);
			if (!s->address[0])
				snprintf(s->address, sizeof(s->address), "%s", text);
			/* Only within a job is the same one asked for. */
			t->elsewhere +=
			    shard->mx_address[0] && strcmp(text, shard->mx_address) != 0;
			t->sessions++;
			t->job_sessions[job]++;
			probe_on_connected(probe, now_ms);
			strcpy(out, "220 mx\r\n");
			out_len = strlen(out);
			break;
		case PROBE_SEND:
			serve(probe, s, todo.data, todo.len, now_ms, t, out, &out_len);
			break;
		case PROBE_REPORT:
			read_report(todo.report, a, t);
			break;
		case PROBE_CLOSE:
			out_len = 0;
			break;
		case PROBE_DONE:
			probe_free(probe);
			return now_ms;
		case PROBE_RESOLVE:
		case PROBE_TLS:
			fail();
			break;
		case PROBE_WAIT:
			if (out_len) {
				size_t len = out_len;

				out_len = 0;
				probe_on_data(probe, out, len, now_ms);
			} else {
				now_ms = probe_deadline(probe);
				probe_on_time(probe, now_ms);
			}
		}
	}
}

static Rollcall__Shard *shard_of(const struct server *s, const struct attempt *a, unsigned attempt)
{
	Rollcall__Shard *shard = make_shard(ADDRESSES, 1);
	size_t kept = 0;

	free(shard->mx[0]->host);
	shard->mx[0]->host = dup_text(s->kind->mx);
	/* A second address, so that coming back to the first is not an accident. */
	shard->mx[0]->addresses = realloc(shard->mx[0]->addresses, 2 * sizeof(char *));
	assert_non_null(shard->mx[0]->addresses);
	shard->mx[0]->addresses[shard->mx[0]->n_addresses++] = dup_text("192.0.2.2");
	for (size_t i = 0; i < ADDRESSES; i++) {
		if (a->open[i])
			shard->recipients[kept++] = shard->recipients[i];
		else
			rollcall__recipient__free_unpacked(shard->recipients[i], NULL);
	}
	shard->n_recipients = kept;
	shard->attempt = attempt;
	if (attempt > 1)
		shard->mx_address = dup_text(s->address);
	if (a->control[0])
		shard->control_local = dup_text(a->control);
	return shard;
}

/* One job: the first attempt and the retries, timed from the first. */
static void run_job(struct server *s, uint64_t start_ms, unsigned job, struct tally *t)
{
	struct attempt a = { .control = "" };
	uint64_t now_ms = start_ms;

	memset(a.open, true, sizeof(a.open));
	/* Each job may choose its address anew. */
	s->address[0] = '\0';
	for (unsigned i = 0; i < sizeof(schedule_s) / sizeof(*schedule_s); i++) {
		bool open = false;

		for (size_t j = 0; j < ADDRESSES; j++)
			open = open || a.open[j];
		if (!open)
			return;
		if (now_ms < start_ms + schedule_s[i] * 1000ull)
			now_ms = start_ms + schedule_s[i] * 1000ull;
		now_ms = run_shard(s, shard_of(s, &a, i + 1), &a, now_ms, job, t);
	}
	for (size_t j = 0; j < ADDRESSES; j++)
		t->left += a.open[j];
}

static void nobody_is_left_greylisted_in_a_month(void **state)
{
	struct timespec from, to;
	unsigned jobs = MONTH_S / JOB_EVERY_S;
	unsigned rcpts = 0;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		struct tally t = { 0 };

		for (unsigned d = 0; d < DOMAINS; d++) {
			struct server *s = calloc(1, sizeof(*s));

			assert_non_null(s);
			s->kind = &kinds[k];
			for (unsigned job = 0; job < jobs; job++)
				run_job(s, 1000 + (uint64_t)job * JOB_EVERY_S * 1000 + d, job, &t);
			free(s);
		}
		print_message("%-16s %5u sessions, %6u RCPT, %5u greylisted; first job %u "
			      "sessions, last %u\n",
			      kinds[k].name, t.sessions, t.rcpts, t.greylisted, t.job_sessions[0],
			      t.job_sessions[jobs - 1]);
		assert_int_equal(t.left, 0);
		assert_int_equal(t.early, 0);
		assert_int_equal(t.elsewhere, 0);
		assert_true(t.greylisted >= DOMAINS * ADDRESSES);
		assert_true(t.accepted >= DOMAINS * ADDRESSES * jobs);
		/* Who keeps a pass for longer than a job is away lets the next one in at once. */
		if (kinds[k].pass_s > JOB_EVERY_S)
			assert_true(t.job_sessions[jobs - 1] < t.job_sessions[0]);
		rcpts += t.rcpts;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	print_message("30 days, %u addresses a job, %u RCPT: %ld ms\n",
		      (unsigned)(sizeof(kinds) / sizeof(*kinds)) * DOMAINS * ADDRESSES, rcpts,
		      (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
}

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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(
	    nobody_is_left_greylisted_in_a_month) };

	return cmocka_run_group_tests(tests, load, unload);
}
