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

/* The test's own clock: the loop's, put forward. The linker hands over every uv_now() of the code
 * under test. */
uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);

static uint64_t forward_ms;

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return __real_uv_now(loop) + forward_ms;
}

enum { MANY = 6000, IN_FLIGHT_MAX = 5000, PACKET_MAX = 1500, LATER_MAX = IN_FLIGHT_MAX + 100 };

/* A question that is answered later. */
struct later {
	struct sockaddr_in from;
	uint8_t query[96];
	size_t len;
};

struct resolver {
	uv_loop_t loop;
	uv_poll_t poll;
	uv_poll_t tcp_poll;
	int fd;
	int tcp; /* -1: does not listen */
	uv_poll_t talk;
	uint8_t heard[PACKET_MAX];
	size_t heard_n;
	struct sockaddr_in address;
	uv_timer_t deadline;
	struct dns *dns;
	unsigned asked;
	unsigned asked_by_tcp;
	unsigned distinct; /* of the names d0.test, d1.test ... */
	bool seen[MANY];
	bool silent;
	struct later *later; /* where answers are to wait */
	size_t later_n;
};

static void put16(uint8_t **at, unsigned value)
{
	*(*at)++ = (uint8_t)(value >> 8);
	*(*at)++ = (uint8_t)value;
}

static void put_record(uint8_t **at, unsigned type, unsigned ttl_s, const void *data, size_t len)
{
	put16(at, 0xC00C);
	put16(at, type);
	put16(at, 1);
	put16(at, ttl_s >> 16);
	put16(at, ttl_s & 0xFFFF);
	put16(at, (unsigned)len);
	memcpy(*at, data, len);
	*at += len;
}

/*
 * By the first label: nx, fail, refuse, formerr, garbage, lame (a referral), mx (an MX and its
 * host's A), soaN (NXDOMAIN for N seconds), large and deaf (truncated, the rest by TCP), anything
 * else: no data.
 */
static size_t reply_make(const uint8_t *query, size_t len, bool tcp, uint8_t *reply)
{
	const uint8_t *end = query + 12;
	char label[64] = "";
	unsigned answers = 0, authorities = 0, rcode = 0, flags = 0x81;

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
	else if (strcmp(label, "formerr") == 0)
		rcode = 1;
	else if (strcmp(label, "garbage") == 0)
		answers = 3;
	else if (strcmp(label, "lame") == 0) {
		authorities = 1;
		put_record(&at, 2, 300, "\2ns\300\014", 5);
	} else if (strncmp(label, "soa", 3) == 0) {
		uint8_t soa[22] = { 0 };

		rcode = 3;
		authorities = 1;
		soa[21] = (uint8_t)atoi(label + 3);
		put_record(&at, 6, 3600, soa, sizeof(soa));
	} else if ((strcmp(label, "large") == 0 || strcmp(label, "deaf") == 0) && !tcp) {
		flags |= 0x02;
	} else if ((strcmp(label, "mx") == 0 || strcmp(label, "large") == 0) && type == DNS_MX) {
		answers = 1;
		put_record(&at, type, 300, "\0\12\4host\300\014", 9);
	} else if (strcmp(label, "host") == 0 && type == DNS_A) {
		answers = 1;
		put_record(&at, type, 300, "\177\0\0\11", 4);
	}
	reply[2] = (uint8_t)flags;
	reply[3] = (uint8_t)(0x80 | rcode);
	memset(reply + 4, 0, 8);
	reply[5] = 1;
	reply[7] = (uint8_t)answers;
	reply[9] = (uint8_t)authorities;
	return (size_t)(at - reply);
}

static void note(struct resolver *resolver, const uint8_t *query)
{
	resolver->asked++;
	if (query[13] == 'd' && query[14] >= '0' && query[14] <= '9') {
		const unsigned i = (unsigned)atoi((const char *)query + 14);

		assert_true(i < MANY);
		resolver->distinct += !resolver->seen[i];
		resolver->seen[i] = true;
	}
}

static void answer(struct resolver *resolver, const uint8_t *query, size_t len,
		   const struct sockaddr_in *to)
{
	uint8_t reply[PACKET_MAX];

	sendto(resolver->fd, reply, reply_make(query, len, false, reply), 0,
	       (const struct sockaddr *)to, sizeof(*to));
}

/* Until it is empty: a resolver is faster than libuv's 32 datagrams a turn. */
static void on_query(uv_poll_t *poll, int status, int events)
{
	struct resolver *resolver = poll->data;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t query[PACKET_MAX];
	ssize_t n;

	(void)status;
	(void)events;
	while ((n = recvfrom(resolver->fd, query, sizeof(query), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &from_len)) > 0) {
		note(resolver, query);
		if (resolver->later != NULL) {
			struct later *later = &resolver->later[resolver->later_n];

			if (resolver->later_n == LATER_MAX || (size_t)n > sizeof(later->query))
				continue;
			later->from = from;
			later->len = (size_t)n;
			memcpy(later->query, query, (size_t)n);
			resolver->later_n++;
		} else if (!resolver->silent) {
			answer(resolver, query, (size_t)n, &from);
		}
	}
}

/* From here on it answers at once, too. */
static void answer_what_waits(struct resolver *resolver)
{
	struct later *later = resolver->later;

	resolver->later = NULL;
	for (size_t i = 0; i < resolver->later_n; i++) {
		answer(resolver, later[i].query, later[i].len, &later[i].from);
		/* No more than a socket's buffer holds. */
		if (i % 50 == 0)
			uv_run(&resolver->loop, UV_RUN_NOWAIT);
	}
	free(later);
}

/* RFC 1035, 4.2.2: two octets of length first; the answer comes in two pieces. */
static void on_talk(uv_poll_t *poll, int status, int events)
{
	struct resolver *resolver = poll->data;
	uint8_t reply[PACKET_MAX + 2];
	int fd;

	(void)status;
	(void)events;
	uv_fileno((uv_handle_t *)poll, &fd);
	const ssize_t got = recv(fd, resolver->heard + resolver->heard_n,
				 sizeof(resolver->heard) - resolver->heard_n, MSG_DONTWAIT);

	assert_true(got > 0);
	resolver->heard_n += (size_t)got;
	if (resolver->heard_n < 2 ||
	    resolver->heard_n < 2 + ((size_t)resolver->heard[0] << 8 | resolver->heard[1]))
		return;
	resolver->asked_by_tcp++;
	const size_t n = reply_make(resolver->heard + 2, resolver->heard_n - 2, true, reply + 2);

	reply[0] = (uint8_t)(n >> 8);
	reply[1] = (uint8_t)n;
	assert_int_equal(write(fd, reply, 1), 1);
	assert_int_equal(write(fd, reply + 1, n + 1), n + 1);
	uv_poll_stop(poll);
	uv_close((uv_handle_t *)poll, NULL);
	close(fd);
}

/* One connection at a time, and one question in it. */
static void on_tcp(uv_poll_t *poll, int status, int events)
{
	struct resolver *resolver = poll->data;
	const int fd = accept(resolver->tcp, NULL, NULL);

	(void)status;
	(void)events;
	assert_true(fd >= 0);
	resolver->heard_n = 0;
	uv_poll_init(&resolver->loop, &resolver->talk, fd);
	resolver->talk.data = resolver;
	uv_poll_start(&resolver->talk, UV_READABLE, on_talk);
}

static void close_tcp(struct resolver *resolver)
{
	if (resolver->tcp < 0)
		return;
	uv_close((uv_handle_t *)&resolver->tcp_poll, NULL);
	uv_run(&resolver->loop, UV_RUN_NOWAIT);
	close(resolver->tcp);
	resolver->tcp = -1;
}

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("no answer within the time");
}

static void open_udp(struct resolver *resolver)
{
	const struct sockaddr *address = (struct sockaddr *)&resolver->address;

	if (resolver->fd < 0) {
		resolver->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		assert_int_equal(bind(resolver->fd, address, sizeof(resolver->address)), 0);
	}
	uv_poll_init(&resolver->loop, &resolver->poll, resolver->fd);
	resolver->poll.data = resolver;
	uv_poll_start(&resolver->poll, UV_READABLE, on_query);
}

/* It is gone: what is sent to it comes back as refused. */
static void close_udp(struct resolver *resolver)
{
	uv_close((uv_handle_t *)&resolver->poll, NULL);
	uv_run(&resolver->loop, UV_RUN_NOWAIT);
	close(resolver->fd);
	resolver->fd = -1;
}

/* One port for both, which others of this machine take from too. */
static void open_both(struct resolver *resolver)
{
	for (int i = 0; i < 100; i++) {
		socklen_t len = sizeof(resolver->address);

		resolver->address.sin_port = 0;
		resolver->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		resolver->tcp = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(bind(resolver->tcp, (struct sockaddr *)&resolver->address, len), 0);
		getsockname(resolver->tcp, (struct sockaddr *)&resolver->address, &len);
		if (bind(resolver->fd, (struct sockaddr *)&resolver->address, len) == 0) {
			assert_int_equal(listen(resolver->tcp, 8), 0);
			open_udp(resolver);
			return;
		}
		close(resolver->fd);
		close(resolver->tcp);
	}
	fail_msg("no port that is free for both UDP and TCP");
}

static void resolver_start(struct resolver *resolver)
{
	char servers[64];
	struct rc_error err;

	memset(resolver, 0, sizeof(*resolver));
	forward_ms = 0;
	resolver->address.sin_family = AF_INET;
	resolver->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	uv_loop_init(&resolver->loop);
	open_both(resolver);
	uv_poll_init(&resolver->loop, &resolver->tcp_poll, resolver->tcp);
	resolver->tcp_poll.data = resolver;
	uv_poll_start(&resolver->tcp_poll, UV_READABLE, on_tcp);
	uv_timer_init(&resolver->loop, &resolver->deadline);
	uv_timer_start(&resolver->deadline, on_deadline, 20000, 0);
	snprintf(servers, sizeof(servers), "127.0.0.1:%d", ntohs(resolver->address.sin_port));
	assert_int_equal(dns_new(&resolver->loop, servers, &resolver->dns, &err), RC_OK);
}

static void resolver_stop(struct resolver *resolver)
{
	dns_free(resolver->dns);
	close_tcp(resolver);
	if (resolver->fd >= 0)
		uv_close((uv_handle_t *)&resolver->poll, NULL);
	uv_close((uv_handle_t *)&resolver->deadline, NULL);
	while (uv_run(&resolver->loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&resolver->loop), 0);
	if (resolver->fd >= 0)
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

static void keeps_answers_apart(void **state)
{
	static const struct {
		const char *name;
		enum dns_state state;
	} cases[] = { { "mx.test", DNS_FOUND },	      { "nx.test", DNS_NO_NAME },
		      { "plain.test", DNS_NO_DATA },  { "fail.test", DNS_SERVFAIL },
		      { "refuse.test", DNS_REFUSED }, { "formerr.test", DNS_BROKEN },
		      { "garbage.test", DNS_BROKEN }, { "lame.test", DNS_BROKEN } };
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

/* Nothing said of such a domain is a reason to call its addresses invalid. */
static void a_bad_resolver_decides_nothing(void **state)
{
	static const char *const names[] = { "fail.test",    "refuse.test", "formerr.test",
					     "garbage.test", "lame.test",   "deaf.test" };
	struct resolver resolver;

	(void)state;
	resolver_start(&resolver);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct waiter waiter = { &resolver.loop, false };
		struct lookup *lookup = lookup_new(resolver.dns, names[i], false, NULL, NULL);

		/* Who truncates and cannot be reached by TCP. */
		if (i == 5)
			close_tcp(&resolver);
		assert_false(lookup_start(lookup, on_lookup, &waiter));
		while (!waiter.done)
			uv_run(&resolver.loop, UV_RUN_ONCE);
		if (lookup_resolution(lookup)->state !=
		    ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED)
			fail_msg("%s: state %d", names[i], (int)lookup_resolution(lookup)->state);
		lookup_free(lookup);
	}
	resolver_stop(&resolver);
}

static void truncated_is_asked_by_tcp(void **state)
{
	struct resolver resolver;
	struct question question;

	(void)state;
	resolver_start(&resolver);
	ask(&resolver, &question, "large.test", DNS_MX, false);
	wait_for(&resolver, &question);
	assert_int_equal(question.state, DNS_FOUND);
	assert_int_equal(question.mx_n, 1);
	assert_int_equal(resolver.asked_by_tcp, 1);
	resolver_stop(&resolver);
}

/* RFC 8020 is not assumed: below a name that does not exist there may be others. */
static void a_missing_name_says_nothing_of_those_below(void **state)
{
	struct resolver resolver;
	struct question question;

	(void)state;
	resolver_start(&resolver);
	ask(&resolver, &question, "nx.test", DNS_MX, false);
	wait_for(&resolver, &question);
	assert_int_equal(question.state, DNS_NO_NAME);
	ask(&resolver, &question, "mx.nx.test", DNS_MX, false);
	wait_for(&resolver, &question);
	assert_int_equal(question.state, DNS_FOUND);
	resolver_stop(&resolver);
}

/* Asks, and says whether the resolver was asked for it. */
static bool asks_anew(struct resolver *resolver, const char *name, uint64_t at_ms)
{
	const unsigned before = resolver->asked;
	struct question question;

	forward_ms = at_ms;
	ask(resolver, &question, name, DNS_MX, false);
	wait_for(resolver, &question);
	return resolver->asked != before;
}

static void answers_expire(void **state)
{
	static const struct {
		const char *name;
		uint64_t kept_ms;
	} cases[] = {
		{ "mx.test", 300000 },	 /* the record's TTL */
		{ "soa20.test", 20000 }, /* the SOA's MINIMUM */
		{ "soa90.test", 30000 }, /* at most */
		{ "soa1.test", 5000 },	 /* at least */
		{ "plain.test", 5000 },	 /* no SOA */
		{ "fail.test", 5000 },	 { "refuse.test", 5000 },
	};
	struct resolver resolver;
	/* The loop's own time goes on meanwhile. */
	const uint64_t slack_ms = 2000;

	(void)state;
	resolver_start(&resolver);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bool first = asks_anew(&resolver, cases[i].name, 0);
		const bool within =
		    asks_anew(&resolver, cases[i].name, cases[i].kept_ms - slack_ms);
		const bool after = asks_anew(&resolver, cases[i].name, cases[i].kept_ms + slack_ms);

		if (!first || within || !after)
			fail_msg("%s: %d %d %d", cases[i].name, first, within, after);
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

static void asks_many(struct resolver *resolver, struct question *questions)
{
	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d%d.test", i);
		ask(resolver, &questions[i], name, DNS_MX, false);
	}
}

static void wait_for_many(struct resolver *resolver, struct question *questions)
{
	for (int i = 0; i < MANY; i++) {
		wait_for(resolver, &questions[i]);
		if (questions[i].state != DNS_NO_DATA)
			fail_msg("%d: %s", i, dns_state_text(questions[i].state));
	}
}

static void many_at_once(void **state)
{
	static struct resolver resolver;
	struct question *questions = calloc(MANY, sizeof(*questions));

	(void)state;
	resolver_start(&resolver);
	asks_many(&resolver, questions);
	wait_for_many(&resolver, questions);
	resolver_stop(&resolver);
	free(questions);
}

/* The cap is reached, and what is above it comes only as answers make room. */
static void at_most_so_many_under_way(void **state)
{
	static struct resolver resolver;
	struct question *questions = calloc(MANY, sizeof(*questions));

	(void)state;
	resolver_start(&resolver);
	resolver.later = calloc(LATER_MAX, sizeof(*resolver.later));
	asks_many(&resolver, questions);
	while (resolver.distinct < IN_FLIGHT_MAX)
		uv_run(&resolver.loop, UV_RUN_ONCE);
	for (int i = 0; i < 20; i++)
		uv_run(&resolver.loop, UV_RUN_NOWAIT);
	assert_int_equal(resolver.distinct, IN_FLIGHT_MAX);
	answer_what_waits(&resolver);
	wait_for_many(&resolver, questions);
	assert_int_equal(resolver.distinct, MANY);
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

static void dies_and_comes_back(void **state)
{
	struct resolver resolver;
	struct question question;

	(void)state;
	resolver_start(&resolver);
	ask(&resolver, &question, "mx.test", DNS_MX, false);
	wait_for(&resolver, &question);
	assert_int_equal(question.state, DNS_FOUND);
	for (int i = 0; i < 3; i++) {
		char name[32];

		close_udp(&resolver);
		snprintf(name, sizeof(name), "mx.gone%d.test", i);
		ask(&resolver, &question, name, DNS_MX, false);
		wait_for(&resolver, &question);
		if (question.state != DNS_TIMEOUT && question.state != DNS_BROKEN)
			fail_msg("without a resolver: %s", dns_state_text(question.state));
		/* What is known stays known. */
		ask(&resolver, &question, "mx.test", DNS_MX, false);
		assert_true(question.told);
		assert_int_equal(question.state, DNS_FOUND);
		open_udp(&resolver);
		ask(&resolver, &question, name, DNS_MX, true);
		wait_for(&resolver, &question);
		assert_int_equal(question.state, DNS_FOUND);
	}
	resolver_stop(&resolver);
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
		cmocka_unit_test(keeps_answers_apart),
		cmocka_unit_test(a_bad_resolver_decides_nothing),
		cmocka_unit_test(truncated_is_asked_by_tcp),
		cmocka_unit_test(a_missing_name_says_nothing_of_those_below),
		cmocka_unit_test(asks_once_and_keeps),
		cmocka_unit_test(answers_expire),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(at_most_so_many_under_way),
		cmocka_unit_test(times_out_and_recovers),
		cmocka_unit_test(dies_and_comes_back),
		cmocka_unit_test(looks_up_a_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
