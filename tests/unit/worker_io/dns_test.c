/* dns: real c-ares against a scripted resolver on loopback that lives in the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/io/dns.h"
#include "worker/io/lookup.h"

struct resolver {
	uv_loop_t loop;
	uv_poll_t poll;
	int fd;
	uv_timer_t deadline;
	struct dns *dns;
	unsigned asked;
	bool silent;
};

static void put16(uint8_t **at, unsigned value)
{
	*(*at)++ = (uint8_t)(value >> 8);
	*(*at)++ = (uint8_t)value;
}

/* By the first label: nx, fail, refuse, mx (an MX and its host's A), anything else: no data. */
static size_t reply_make(const uint8_t *query, size_t len, uint8_t *reply)
{
	const uint8_t *end = query + 12;
	char label[64] = "";
	unsigned answers = 0, rcode = 0;

	memcpy(label, query + 13, query[12] < 63 ? query[12] : 63);
	while (end < query + len && *end != 0)
		end += *end + 1;
	const unsigned type = (unsigned)end[1] << 8 | end[2];
	const size_t head = (size_t)(end + 5 - query);
	uint8_t *at = reply + head;

	memcpy(reply, query, head);
	if (strcmp(label, "nx") == 0)
		rcode = 3;
	else if (strcmp(label, "fail") == 0)
		rcode = 2;
	else if (strcmp(label, "refuse") == 0)
		rcode = 5;
	else if (strcmp(label, "mx") == 0 && type == DNS_MX) {
		answers = 1;
		put16(&at, 0xC00C);
		put16(&at, type);
		put16(&at, 1);
		put16(&at, 0);
		put16(&at, 300);
		put16(&at, 2 + 7);
		put16(&at, 10);
		memcpy(at, "\4host\300\014", 7);
		at += 7;
	} else if (strcmp(label, "host") == 0 && type == DNS_A) {
		answers = 1;
		put16(&at, 0xC00C);
		put16(&at, type);
		put16(&at, 1);
		put16(&at, 0);
		put16(&at, 300);
		put16(&at, 4);
		memcpy(at, "\177\0\0\11", 4);
		at += 4;
	}
	reply[2] = 0x81;
	reply[3] = (uint8_t)(0x80 | rcode);
	memset(reply + 4, 0, 8);
	reply[5] = 1;
	reply[7] = (uint8_t)answers;
	return (size_t)(at - reply);
}

/* Until it is empty: a resolver is faster than libuv's 32 datagrams a turn. */
static void on_query(uv_poll_t *poll, int status, int events)
{
	struct resolver *resolver = poll->data;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t query[1500], reply[1500];
	ssize_t n;

	(void)status;
	(void)events;
	while ((n = recvfrom(resolver->fd, query, sizeof(query), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &from_len)) > 0) {
		resolver->asked++;
		if (!resolver->silent)
			sendto(resolver->fd, reply, reply_make(query, (size_t)n, reply), 0,
			       (struct sockaddr *)&from, from_len);
	}
}

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("no answer within the time");
}

static void resolver_start(struct resolver *resolver)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	char servers[64];
	struct rc_error err;

	memset(resolver, 0, sizeof(*resolver));
	uv_loop_init(&resolver->loop);
	resolver->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(resolver->fd, (struct sockaddr *)&address, len), 0);
	getsockname(resolver->fd, (struct sockaddr *)&address, &len);
	uv_poll_init(&resolver->loop, &resolver->poll, resolver->fd);
	resolver->poll.data = resolver;
	uv_poll_start(&resolver->poll, UV_READABLE, on_query);
	uv_timer_init(&resolver->loop, &resolver->deadline);
	uv_timer_start(&resolver->deadline, on_deadline, 20000, 0);
	snprintf(servers, sizeof(servers), "127.0.0.1:%d", ntohs(address.sin_port));
	assert_int_equal(dns_new(&resolver->loop, servers, &resolver->dns, &err), RC_OK);
}

static void resolver_stop(struct resolver *resolver)
{
	dns_free(resolver->dns);
	uv_close((uv_handle_t *)&resolver->poll, NULL);
	uv_close((uv_handle_t *)&resolver->deadline, NULL);
	while (uv_run(&resolver->loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&resolver->loop), 0);
	close(resolver->fd);
}

struct question {
	struct dns_ask ask;
	uv_loop_t *loop;
	bool told;
	enum dns_state state;
	size_t mx_n, ip_n;
};

static void on_answered(struct dns_ask *ask, const struct dns_answer *answer)
{
	struct question *question = (struct question *)ask;

	assert_false(question->told);
	question->told = true;
	question->state = answer->state;
	question->mx_n = answer->mx_n;
	question->ip_n = answer->ip_n;
	/* Told before the loop sleeps: it is not to sleep over it. */
	uv_stop(question->loop);
}

static void ask(struct resolver *resolver, struct question *question, const char *name,
		enum dns_type type, bool fresh)
{
	const struct dns_answer *now = NULL;

	memset(question, 0, sizeof(*question));
	question->ask.answered = on_answered;
	question->loop = &resolver->loop;
	if (dns_ask(resolver->dns, &question->ask, name, type, fresh, &now) == DNS_NOW)
		on_answered(&question->ask, now);
}

static void wait_for(struct resolver *resolver, struct question *question)
{
	while (!question->told)
		uv_run(&resolver->loop, UV_RUN_ONCE);
}

static void keeps_answers_apart(void **state)
{
	static const struct {
		const char *name;
		enum dns_state state;
	} cases[] = { { "mx.test", DNS_FOUND },
		      { "nx.test", DNS_NO_NAME },
		      { "plain.test", DNS_NO_DATA },
		      { "fail.test", DNS_SERVFAIL },
		      { "refuse.test", DNS_REFUSED } };
	struct resolver resolver;
	struct question question;

	(void)state;
	resolver_start(&resolver);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(&resolver, &question, cases[i].name, DNS_MX, false);
		wait_for(&resolver, &question);
		if (question.state != cases[i].state)
			fail_msg("%s: %s", cases[i].name, dns_state_text(question.state));
	}
	resolver_stop(&resolver);
}

static void asks_once_and_keeps(void **state)
{
	struct resolver resolver;
	struct question a, b, c, fresh, cancelled;

	(void)state;
	resolver_start(&resolver);
	ask(&resolver, &a, "mx.test", DNS_MX, false);
	ask(&resolver, &b, "mx.test", DNS_MX, false);
	ask(&resolver, &cancelled, "mx.test", DNS_MX, false);
	assert_false(a.told);
	dns_cancel(&cancelled.ask);
	wait_for(&resolver, &a);
	wait_for(&resolver, &b);
	assert_int_equal(resolver.asked, 1);
	assert_int_equal(b.mx_n, 1);
	ask(&resolver, &c, "mx.test", DNS_MX, false);
	assert_true(c.told);
	assert_int_equal(c.mx_n, 1);
	ask(&resolver, &fresh, "mx.test", DNS_MX, true);
	assert_false(fresh.told);
	wait_for(&resolver, &fresh);
	assert_int_equal(resolver.asked, 2);
	assert_false(cancelled.told);
	resolver_stop(&resolver);
}

static void many_at_once(void **state)
{
	enum { MANY = 8000 };
	struct resolver resolver;
	struct question *questions = calloc(MANY, sizeof(*questions));

	(void)state;
	resolver_start(&resolver);
	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d%d.test", i);
		ask(&resolver, &questions[i], name, DNS_MX, false);
	}
	for (int i = 0; i < MANY; i++) {
		wait_for(&resolver, &questions[i]);
		if (questions[i].state != DNS_NO_DATA)
			fail_msg("%d: %s", i, dns_state_text(questions[i].state));
	}
	resolver_stop(&resolver);
	free(questions);
}

static void times_out_and_recovers(void **state)
{
	struct resolver resolver;
	struct question question;

	(void)state;
	resolver_start(&resolver);
	resolver.silent = true;
	ask(&resolver, &question, "mx.test", DNS_MX, false);
	wait_for(&resolver, &question);
	assert_int_equal(question.state, DNS_TIMEOUT);
	assert_true(resolver.asked >= 2);
	resolver.silent = false;
	ask(&resolver, &question, "mx.test", DNS_MX, true);
	wait_for(&resolver, &question);
	assert_int_equal(question.state, DNS_FOUND);
	resolver_stop(&resolver);
}

struct waiter {
	uv_loop_t *loop;
	bool done;
};

static void on_lookup(struct lookup *lookup, void *owner)
{
	struct waiter *waiter = owner;

	(void)lookup;
	waiter->done = true;
	uv_stop(waiter->loop);
}

static void looks_up_a_domain(void **state)
{
	struct resolver resolver;
	struct lookup *lookup;
	struct waiter waiter = { &resolver.loop, false };

	(void)state;
	resolver_start(&resolver);
	lookup = lookup_new(resolver.dns, "mx.test", false, NULL, NULL);
	assert_false(lookup_start(lookup, on_lookup, &waiter));
	while (!waiter.done)
		uv_run(&resolver.loop, UV_RUN_ONCE);
	assert_int_equal(lookup_resolution(lookup)->state,
			 ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX);
	assert_string_equal(lookup_resolution(lookup)->host[0].name, "host.mx.test");
	assert_int_equal(lookup_resolution(lookup)->host[0].ip_n, 1);
	lookup_free(lookup);

	/* All of it is in the cache now. */
	lookup = lookup_new(resolver.dns, "mx.test", false, NULL, NULL);
	assert_true(lookup_start(lookup, on_lookup, &waiter));
	lookup_free(lookup);

	/* Freed while under way. */
	lookup = lookup_new(resolver.dns, "mx.other.test", false, NULL, NULL);
	assert_false(lookup_start(lookup, on_lookup, &waiter));
	lookup_free(lookup);
	resolver_stop(&resolver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_answers_apart), cmocka_unit_test(asks_once_and_keeps),
		cmocka_unit_test(many_at_once),	       cmocka_unit_test(times_out_and_recovers),
		cmocka_unit_test(looks_up_a_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
