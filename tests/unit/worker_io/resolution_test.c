/* dns_answer and resolution: replies octet by octet, and the walk of RFC 5321, 5.1 over scripted
 * answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "worker/core/dns_answer.h"
#include "worker/core/ip.h"
#include "worker/core/resolution.h"

/* ---- a reply under construction */

struct message {
	uint8_t data[1024];
	size_t len;
};

static void put(struct message *m, const void *data, size_t len)
{
	assert_true(m->len + len <= sizeof(m->data));
	memcpy(m->data + m->len, data, len);
	m->len += len;
}

static void put16(struct message *m, unsigned value)
{
	const uint8_t octets[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	put(m, octets, 2);
}

static void put_name(struct message *m, const char *name)
{
	while (*name != '\0') {
		const size_t len = strcspn(name, ".");
		const uint8_t size = (uint8_t)len;

		put(m, &size, 1);
		put(m, name, len);
		name += len;
		name += *name == '.';
	}
	put(m, "", 1);
}

static void start(struct message *m, unsigned rcode, unsigned answers, unsigned authorities,
		  const char *name, unsigned type)
{
	m->len = 0;
	put16(m, 7);
	put16(m, 0x8180 | rcode);
	put16(m, 1);
	put16(m, answers);
	put16(m, authorities);
	put16(m, 0);
	put_name(m, name);
	put16(m, type);
	put16(m, 1);
}

/* Owner by a pointer to the question, at 12. */
static void record(struct message *m, unsigned type, unsigned ttl_s, unsigned len)
{
	put16(m, 0xC00C);
	put16(m, type);
	put16(m, 1);
	put16(m, ttl_s >> 16);
	put16(m, ttl_s & 0xFFFF);
	put16(m, len);
}

static void reads_mx(void **state)
{
	struct message m;
	struct dns_answer answer;

	(void)state;
	start(&m, 0, 2, 0, "Example.test", DNS_MX);
	record(&m, DNS_MX, 300, 2 + 5);
	put16(&m, 10);
	put(&m, "\2mX\300\014", 5); /* mX.Example.test by a pointer */
	record(&m, DNS_MX, 200, 2 + 4);
	put16(&m, 5);
	put_name(&m, "b.c"); /* 5 octets, 4 announced: the next record is out of step */
	dns_answer_parse(m.data, m.len, "example.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_BROKEN);

	start(&m, 0, 2, 0, "Example.test", DNS_MX);
	record(&m, DNS_MX, 300, 2 + 5);
	put16(&m, 10);
	put(&m, "\2mX\300\014", 5);
	record(&m, DNS_MX, 200, 2 + 5);
	put16(&m, 5);
	put_name(&m, "b.c");
	dns_answer_parse(m.data, m.len, "example.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_FOUND);
	assert_int_equal(answer.mx_n, 2);
	assert_string_equal(answer.mx[0].host, "mx.example.test");
	assert_int_equal(answer.mx[0].preference, 10);
	assert_string_equal(answer.mx[1].host, "b.c");
	assert_int_equal(answer.ttl_s, 200);
	/* No octet can be missing. */
	for (size_t len = 0; len < m.len; len++) {
		dns_answer_parse(m.data, len, "example.test", DNS_MX, &answer);
		assert_int_equal(answer.state, DNS_BROKEN);
	}
}

static void follows_cname(void **state)
{
	struct message m;
	struct dns_answer answer;

	(void)state;
	start(&m, 0, 2, 0, "a.test", DNS_A);
	record(&m, 5, 60, 8);
	const size_t target = m.len;

	put_name(&m, "b.test");
	put16(&m, 0xC000 | (unsigned)target);
	put16(&m, DNS_A);
	put16(&m, 1);
	put16(&m, 0);
	put16(&m, 900);
	put16(&m, 4);
	put(&m, "\177\0\0\11", 4);
	dns_answer_parse(m.data, m.len, "a.test", DNS_A, &answer);
	assert_int_equal(answer.state, DNS_FOUND);
	assert_int_equal(answer.ip_n, 1);
	assert_int_equal(answer.ip[0].octets[3], 9);
	assert_int_equal(answer.ttl_s, 60);

	/* A CNAME to itself ends, and says nothing. */
	start(&m, 0, 1, 0, "a.test", DNS_A);
	record(&m, 5, 60, 2);
	put16(&m, 0xC00C);
	dns_answer_parse(m.data, m.len, "a.test", DNS_A, &answer);
	assert_int_equal(answer.state, DNS_BROKEN);
}

static void keeps_negatives_apart(void **state)
{
	struct message m;
	struct dns_answer answer;

	(void)state;
	start(&m, 3, 0, 1, "a.test", DNS_MX);
	record(&m, 6, 3600, 2 + 20);
	put(&m, "\0\0", 2);
	put(&m, "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\17", 20);
	dns_answer_parse(m.data, m.len, "a.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_NO_NAME);
	assert_int_equal(answer.ttl_s, 15);
	start(&m, 0, 0, 0, "a.test", DNS_MX);
	dns_answer_parse(m.data, m.len, "a.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_NO_DATA);
	start(&m, 2, 0, 0, "a.test", DNS_MX);
	dns_answer_parse(m.data, m.len, "a.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_SERVFAIL);
	start(&m, 5, 0, 0, "a.test", DNS_MX);
	dns_answer_parse(m.data, m.len, "a.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_REFUSED);

	/* A pointer to itself, and one forward. */
	start(&m, 0, 1, 0, "a.test", DNS_MX);
	put16(&m, 0xC000 | (unsigned)m.len);
	put(&m, "\0\17\0\1\0\0\0\1\0\0", 10);
	dns_answer_parse(m.data, m.len, "a.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_BROKEN);
}

/* Replies without an answer that deny nothing: whoever took them for "does not exist" would call
 * good addresses bad. */
static void denies_only_what_is_denied(void **state)
{
	static const uint8_t flags[][2] = {
		{ 0x01, 0x00 }, /* a question */
		{ 0x83, 0x80 }, /* truncated */
		{ 0x83, 0x83 }, /* NXDOMAIN, truncated */
		{ 0xA1, 0x80 }, /* another opcode */
		{ 0x81, 0x81 }, /* FORMERR */
		{ 0x81, 0x84 }, /* NOTIMP */
		{ 0x81, 0x86 }, /* YXDOMAIN */
		{ 0x81, 0x89 }, /* NOTAUTH */
	};
	struct message m;
	struct dns_answer answer;

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		start(&m, 0, 0, 0, "a.test", DNS_MX);
		memcpy(m.data + 2, flags[i], 2);
		dns_answer_parse(m.data, m.len, "a.test", DNS_MX, &answer);
		if (answer.state != DNS_BROKEN)
			fail_msg("flags %02x%02x: %s", flags[i][0], flags[i][1],
				 dns_state_text(answer.state));
	}

	/* A referral: NS and no SOA. With the SOA it is a denial, whatever else stands there. */
	start(&m, 0, 0, 1, "a.test", DNS_MX);
	record(&m, 2, 3600, 2);
	put16(&m, 0xC00C);
	dns_answer_parse(m.data, m.len, "a.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_BROKEN);
	start(&m, 0, 0, 2, "a.test", DNS_MX);
	record(&m, 2, 3600, 2);
	put16(&m, 0xC00C);
	record(&m, 6, 3600, 2 + 20);
	put(&m, "\0\0", 2);
	put(&m, "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\17", 20);
	dns_answer_parse(m.data, m.len, "a.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_NO_DATA);
	assert_int_equal(answer.ttl_s, 15);
	/* Its authority section cut short. */
	dns_answer_parse(m.data, m.len - 1, "a.test", DNS_MX, &answer);
	assert_int_equal(answer.state, DNS_BROKEN);
}

static void keeps_within_bounds(void **state)
{
	static const struct {
		enum dns_state state;
		uint32_t ttl_s;
		uint64_t keep_ms;
	} cases[] = {
		{ DNS_FOUND, 0, 60000 },       { DNS_FOUND, 59, 60000 },
		{ DNS_FOUND, 3600, 3600000 },  { DNS_FOUND, INT32_MAX, 86400000 },
		{ DNS_NO_DATA, 0, 5000 },      { DNS_NO_DATA, 10, 10000 },
		{ DNS_NO_NAME, 29, 29000 },    { DNS_NO_NAME, 86400, 30000 },
		{ DNS_SERVFAIL, 86400, 5000 }, { DNS_REFUSED, 0, 5000 },
		{ DNS_TIMEOUT, 0, 5000 },      { DNS_BROKEN, 3600, 5000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dns_answer answer = { .state = cases[i].state,
						   .ttl_s = cases[i].ttl_s };

		assert_int_equal(dns_answer_keep_ms(&answer), cases[i].keep_ms);
	}
}

/* ---- resolution */

struct scripted {
	const char *name;
	enum dns_type type;
	enum dns_state state;
	const char *records; /* "10 mx1.a.test,20 ." or "192.0.2.1,192.0.2.2" */
};

static void answer_of(const struct scripted *script, const char *name, enum dns_type type,
		      struct dns_answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->state = DNS_NO_DATA;
	ret->ttl_s = 300;
	for (; script->name != NULL; script++) {
		if (strcmp(script->name, name) != 0 || script->type != type)
			continue;
		ret->state = script->state;
		const char *at = script->records;

		while (at != NULL && *at != '\0') {
			char item[64];
			const size_t len = strcspn(at, ",");

			memcpy(item, at, len);
			item[len] = '\0';
			at += len;
			at += *at == ',';
			if (type == DNS_MX) {
				struct dns_mx *mx = &ret->mx[ret->mx_n++];
				char *blank = strchr(item, ' ');

				mx->preference = (uint16_t)strtol(item, NULL, 10);
				strcpy(mx->host, strcmp(blank + 1, ".") == 0 ? "" : blank + 1);
			} else {
				assert_true(ip_parse(item, &ret->ip[ret->ip_n++]));
			}
		}
	}
}

/* As with a time scale, where public addresses are out of bounds too. */
static bool not_private(const void *context, const struct probe_ip *ip)
{
	(void)context;
	return ip->family == 6 || (ip->octets[0] != 10 && ip->octets[0] != 8);
}

static void walk(const struct scripted *script, const char *domain, struct resolution *r)
{
	const char *name;
	enum dns_type type;
	unsigned ticket, rounds = 0;

	resolution_start(r, domain, not_private, NULL);
	/* All that may be asked at once, answered last first. */
	while (!resolution_done(r)) {
		struct {
			unsigned ticket;
			struct dns_answer answer;
		} pending[24];
		size_t n = 0;

		assert_true(++rounds < 10);
		while (resolution_ask(r, &name, &type, &ticket)) {
			pending[n].ticket = ticket;
			answer_of(script, name, type, &pending[n++].answer);
		}
		assert_true(n > 0);
		while (n > 0) {
			n--;
			resolution_answer(r, pending[n].ticket, &pending[n].answer);
		}
	}
}

static void concludes(void **state)
{
	static const struct {
		const char *about;
		struct scripted script[8];
		Rollcall__ResolutionState state;
		size_t hosts, addresses;
	} cases[] = {
		{ "two hosts",
		  { { "a.test", DNS_MX, DNS_FOUND, "20 mx2.a.test,10 mx1.a.test" },
		    { "mx1.a.test", DNS_A, DNS_FOUND, "192.0.2.1" },
		    { "mx2.a.test", DNS_AAAA, DNS_FOUND, "2001:db8::2" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX,
		  2,
		  2 },
		{ "implicit",
		  { { "a.test", DNS_A, DNS_FOUND, "192.0.2.1" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_IMPLICIT,
		  1,
		  1 },
		{ "nothing",
		  { { NULL, 0, 0, NULL } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_SERVER,
		  0,
		  0 },
		{ "no name",
		  { { "a.test", DNS_MX, DNS_NO_NAME, NULL } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_DOMAIN,
		  0,
		  0 },
		{ "null",
		  { { "a.test", DNS_MX, DNS_FOUND, "0 ." } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_NULL_MX,
		  0,
		  0 },
		{ "null among others is none",
		  { { "a.test", DNS_MX, DNS_FOUND, "0 .,10 mx.a.test" },
		    { "mx.a.test", DNS_A, DNS_FOUND, "192.0.2.1" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX,
		  1,
		  1 },
		{ "servfail",
		  { { "a.test", DNS_MX, DNS_SERVFAIL, NULL } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED,
		  0,
		  0 },
		{ "time-out",
		  { { "a.test", DNS_MX, DNS_TIMEOUT, NULL } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED,
		  0,
		  0 },
		{ "host without address",
		  { { "a.test", DNS_MX, DNS_FOUND, "10 mx.a.test" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNROUTABLE,
		  1,
		  0 },
		{ "host unknown for now",
		  { { "a.test", DNS_MX, DNS_FOUND, "10 mx.a.test" },
		    { "mx.a.test", DNS_A, DNS_SERVFAIL, NULL } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED,
		  1,
		  0 },
		{ "private only",
		  { { "a.test", DNS_MX, DNS_FOUND, "10 mx.a.test" },
		    { "mx.a.test", DNS_A, DNS_FOUND, "10.0.0.1" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNROUTABLE,
		  1,
		  0 },
		{ "private A-only",
		  { { "a.test", DNS_A, DNS_FOUND, "10.0.0.1" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNROUTABLE,
		  1,
		  0 },
		{ "public, but withheld by a setting of ours",
		  { { "a.test", DNS_MX, DNS_FOUND, "10 mx.a.test" },
		    { "mx.a.test", DNS_A, DNS_FOUND, "8.8.8.8" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX,
		  1,
		  1 },
		{ "an address for a name",
		  { { "a.test", DNS_MX, DNS_FOUND, "10 192.0.2.9" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_UNROUTABLE,
		  1,
		  0 },
		{ "an address for a name, and a name",
		  { { "a.test", DNS_MX, DNS_FOUND, "10 192.0.2.9,20 mx.a.test,30 b?d.test" },
		    { "mx.a.test", DNS_A, DNS_FOUND, "192.0.2.1" } },
		  ROLLCALL__RESOLUTION_STATE__RESOLUTION_MX,
		  3,
		  1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct resolution r;
		struct rc_arena *arena = rc_arena_new(0);
		size_t addresses = 0;

		walk(cases[i].script, "a.test", &r);
		Rollcall__Resolution *result = resolution_result(&r, arena, 1);

		assert_non_null(result);
		for (size_t k = 0; k < result->n_mx; k++)
			addresses += result->mx[k]->n_addresses;
		if (result->state != cases[i].state || result->n_mx != cases[i].hosts ||
		    addresses != cases[i].addresses)
			fail_msg("%s: state %d, %zu hosts, %zu addresses", cases[i].about,
				 (int)result->state, result->n_mx, addresses);
		assert_in_range(result->ttl_s, RESOLUTION_TTL_MIN_S, RESOLUTION_TTL_MAX_S);
		if (i == 0)
			assert_string_equal(result->mx[0]->host, "mx1.a.test");
		rc_arena_free(arena);
	}
}

static void refuses_odd_names_and_gives_up(void **state)
{
	struct resolution r;
	const char *name;
	enum dns_type type;
	unsigned ticket;

	(void)state;
	resolution_start(&r, "a..test", NULL, NULL);
	assert_true(resolution_done(&r));
	assert_int_equal(r.state, ROLLCALL__RESOLUTION_STATE__RESOLUTION_NO_DOMAIN);
	resolution_start(&r, "a.test", NULL, NULL);
	assert_true(resolution_ask(&r, &name, &type, &ticket));
	resolution_give_up(&r);
	assert_int_equal(r.state, ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED);
	assert_string_equal(r.detail, "timeout");
}

static void writes_and_reads_addresses(void **state)
{
	static const char *const same[] = { "192.0.2.1",
					    "::",
					    "::1",
					    "2001:db8::1",
					    "2001:db8:0:1:1:1:1:1",
					    "fe80::1:0:0:1",
					    "1::",
					    "255.255.255.255" };
	static const char *const wrong[] = { "",	  "1.2.3",    "1.2.3.4.5",
					     "256.1.1.1", "1:2",      ":::",
					     "1::2::3",	  "12345::",  "1:2:3:4:5:6:7:8:9",
					     "::1.2.3",	  "1.2.3.4 ", ":1::" };
	struct probe_ip ip;
	char text[IP_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_true(ip_parse(same[i], &ip));
		assert_string_equal(ip_format(&ip, text), same[i]);
	}
	assert_true(ip_parse("::ffff:192.0.2.1", &ip));
	assert_string_equal(ip_format(&ip, text), "::ffff:c000:201");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (ip_parse(wrong[i], &ip))
			fail_msg("taken: %s", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_mx),
		cmocka_unit_test(follows_cname),
		cmocka_unit_test(keeps_negatives_apart),
		cmocka_unit_test(denies_only_what_is_denied),
		cmocka_unit_test(keeps_within_bounds),
		cmocka_unit_test(concludes),
		cmocka_unit_test(refuses_odd_names_and_gives_up),
		cmocka_unit_test(writes_and_reads_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
