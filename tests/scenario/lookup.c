/*
 * See play.h. The words of a look-up. Answers are written as records and reach the core as the
 * octets of RFC 1035, names compressed where the owner is the question.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/base/arena.h"
#include "tests/scenario/play.h"
#include "worker/core/ip.h"

enum { WIRE_MAX = 4096, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_TXT = 16 };

struct wire {
	uint8_t data[WIRE_MAX];
	size_t len;
};

static const char *const states[] = { "-",	   "MX",	"IMPLICIT", "NULL_MX",
				      "NO_DOMAIN", "NO_SERVER", "FAILED",   "UNROUTABLE" };

static bool allows(const void *context, const struct probe_ip *ip)
{
	const struct probe_config *config = context;

	if (config->only_allowed)
		return rc_target_listed(config->allow, ip->family, ip->octets);
	return rc_target_allowed(config->allow, ip->family, ip->octets, NULL);
}

void play_lookup_done(struct play *y)
{
	free(y->resolution);
	rc_arena_free(y->arena);
	y->resolution = NULL;
	y->arena = NULL;
}

static enum dns_type type_of(struct play *y, const char *word)
{
	if (strcmp(word, "A") == 0)
		return DNS_A;
	if (strcmp(word, "AAAA") == 0)
		return DNS_AAAA;
	if (strcmp(word, "MX") == 0)
		return DNS_MX;
	play_fail(y, "no type that is asked for:", word);
}

/* Takes all the questions that may be asked now. */
static void take_questions(struct play *y)
{
	const char *name;
	enum dns_type type;
	unsigned ticket;

	while (resolution_ask(y->resolution, &name, &type, &ticket)) {
		y->asked[y->asked_n].name = name;
		y->asked[y->asked_n].type = type;
		y->asked[y->asked_n++].ticket = ticket;
	}
}

static unsigned ticket_of(struct play *y, const char *name, enum dns_type type)
{
	for (size_t i = 0; i < y->asked_n; i++)
		if (y->asked[i].type == type && strcmp(y->asked[i].name, name) == 0)
			return y->asked[i].ticket;
	play_fail(y, "was not asked for:", name);
}

static void put(struct wire *w, uint32_t number, size_t octets)
{
	while (octets--)
		w->data[w->len++] = (uint8_t)(octets < 4 ? number >> (8 * octets) : 0);
}

static void put_name(struct wire *w, const char *name)
{
	while (*name && strcmp(name, ".") != 0) {
		size_t len = strcspn(name, ".");

		put(w, (uint32_t)len, 1);
		memcpy(w->data + w->len, name, len);
		w->len += len;
		name += len + (name[len] == '.');
	}
	put(w, 0, 1);
}

/* [owner=NAME] [ttl=N] [class=N] TYPE data... */
static void put_record(struct play *y, struct wire *w, char **words, size_t n)
{
	uint32_t ttl = 300, class = 1;
	const char *owner = NULL;
	struct probe_ip ip;
	size_t at = 0, length_at;

	for (; at < n; at++) {
		if (strncmp(words[at], "owner=", 6) == 0)
			owner = words[at] + 6;
		else if (strncmp(words[at], "ttl=", 4) == 0)
			ttl = (uint32_t)strtoul(words[at] + 4, NULL, 10);
		else if (strncmp(words[at], "class=", 6) == 0)
			class = (uint32_t)atoi(words[at] + 6);
		else
			break;
	}
	if (at + 2 > n)
		play_fail(y, "a record is [owner=] [ttl=] TYPE data", NULL);
	if (owner)
		put_name(w, owner);
	else
		put(w, 0xc00c, 2); /* the question's name */
	put(w,
	    strcmp(words[at], "CNAME") == 0 ? TYPE_CNAME
	    : strcmp(words[at], "SOA") == 0 ? TYPE_SOA
	    : strcmp(words[at], "TXT") == 0 ? TYPE_TXT
					    : type_of(y, words[at]),
	    2);
	put(w, class, 2);
	put(w, ttl, 4);
	length_at = w->len;
	put(w, 0, 2);
	if (strcmp(words[at], "MX") == 0) {
		put(w, (uint32_t)atoi(words[at + 1]), 2);
		put_name(w, at + 2 < n ? words[at + 2] : ".");
	} else if (strcmp(words[at], "CNAME") == 0) {
		put_name(w, words[at + 1]);
	} else if (strcmp(words[at], "SOA") == 0) {
		put_name(w, "ns.test");
		put_name(w, "hostmaster.test");
		put(w, 1, 4);
		put(w, 2, 4);
		put(w, 3, 4);
		put(w, 4, 4);
		put(w, (uint32_t)strtoul(words[at + 1], NULL, 10), 4);
	} else if (strcmp(words[at], "TXT") == 0) {
		put(w, 1, 1);
		put(w, 'x', 1);
	} else {
		if (!ip_parse(words[at + 1], &ip))
			play_fail(y, "no address:", words[at + 1]);
		memcpy(w->data + w->len, ip.octets, ip.family == 4 ? 4 : 16);
		w->len += ip.family == 4 ? 4 : 16;
	}
	w->data[length_at] = (uint8_t)((w->len - length_at - 2) >> 8);
	w->data[length_at + 1] = (uint8_t)(w->len - length_at - 2);
}

/* NAME TYPE RCODE [| record]... [|| authority record] */
static void make_reply(struct play *y, struct wire *w, char **words, size_t n)
{
	static const char *const rcodes[] = { "NOERROR",  "FORMERR", "SERVFAIL",
					      "NXDOMAIN", "NOTIMP",  "REFUSED" };
	uint32_t answers = 0, authorities = 0;
	bool authority = false;

	w->len = 0;
	put(w, 0x1234, 2);
	put(w, 0x8180 | FIND(y, rcodes, words[2]), 2);
	put(w, 1, 2);
	put(w, 0, 6);
	put_name(w, words[0]);
	put(w, type_of(y, words[1]), 2);
	put(w, 1, 2);
	for (size_t at = 3; at < n;) {
		size_t end = ++at;

		authority = authority || strcmp(words[at - 1], "||") == 0;
		while (end < n && words[end][0] != '|')
			end++;
		put_record(y, w, words + at, end - at);
		*(authority ? &authorities : &answers) += 1;
		at = end;
	}
	w->data[7] = (uint8_t)answers;
	w->data[9] = (uint8_t)authorities;
}

static void bring(struct play *y, const char *name, const char *type, const struct dns_answer *a)
{
	resolution_answer(y->resolution, ticket_of(y, name, type_of(y, type)), a);
	take_questions(y);
}

static void answer(struct play *y, char **words, size_t n)
{
	struct dns_answer a = { 0 };
	struct wire w;

	make_reply(y, &w, words, n);
	dns_answer_parse(w.data, w.len, words[0], type_of(y, words[1]), &a);
	bring(y, words[0], words[1], &a);
}

/* The same reply, cut short at every length and with every octet changed: nothing breaks, and what
 * is cut is no answer. */
static void mangle(struct play *y, char **words, size_t n)
{
	enum dns_type type = type_of(y, words[1]);
	struct dns_answer a;
	struct wire w;

	make_reply(y, &w, words, n);
	for (size_t len = 0; len < w.len; len++) {
		uint8_t *exact = malloc(len ? len : 1);

		if (!exact)
			abort();
		memcpy(exact, w.data, len);
		dns_answer_parse(exact, len, words[0], type, &a);
		if (a.state == DNS_FOUND)
			play_fail(y, "took a reply that was cut short", NULL);
		free(exact);
	}
	for (size_t i = 0; i < w.len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			w.data[i] ^= (uint8_t)(1u << bit);
			dns_answer_parse(w.data, w.len, words[0], type, &a);
			if (a.mx_n > DNS_MX_MAX || a.ip_n > DNS_IP_MAX ||
			    !dns_state_text(a.state)[0])
				play_fail(y, "made more of a reply than there may be", NULL);
			w.data[i] ^= (uint8_t)(1u << bit);
		}
}

/* NAME TYPE octets */
static void raw_answer(struct play *y, char *raw, char **words, size_t n)
{
	struct dns_answer a = { 0 };
	char *octets = raw + strlen(words[0]) + strlen(words[1]) + 2;
	size_t len = n > 2 ? play_unescape(octets) : 0;

	dns_answer_parse(n > 2 ? (const uint8_t *)octets : NULL, len, words[0],
			 type_of(y, words[1]), &a);
	bring(y, words[0], words[1], &a);
}

static void resolved(struct play *y, char **words, size_t n)
{
	Rollcall__Resolution *r;
	char got[64];

	if (!resolution_done(y->resolution))
		play_fail(y, "it is not done", NULL);
	if (!y->arena)
		y->arena = rc_arena_new(0);
	if (!y->arena)
		abort();
	alloc_arm();
	r = y->resolved = resolution_result(y->resolution, y->arena, 1700000000000);
	alloc_disarm();
	if (!r)
		play_fail(y, "no memory for the result", NULL);
	if (strcmp(states[r->state], words[0]) != 0)
		play_fail(y, "it came to", states[r->state]);
	for (size_t i = 1; i < n; i++) {
		snprintf(got, sizeof(got), "ttl=%u hosts=%zu", r->ttl_s, r->n_mx);
		if (strncmp(words[i], "ttl=", 4) == 0 ? r->ttl_s != (uint32_t)atoi(words[i] + 4)
						      : r->n_mx != (size_t)atoi(words[i] + 6))
			play_fail(y, "it says", got);
	}
}

/* index from 1, preference, name, addresses... */
static void expect_host(struct play *y, char **words, size_t n)
{
	size_t at = (size_t)atoi(words[0]);
	const Rollcall__MxHost *h;

	if (!y->resolved || at < 1 || at > y->resolved->n_mx)
		play_fail(y, "there is no such host", NULL);
	h = y->resolved->mx[at - 1];
	if (h->preference != (uint32_t)atoi(words[1]) || !play_matches(words[2], h->host) ||
	    h->n_addresses != n - 3)
		play_fail(y, "the host is", h->host);
	for (size_t i = 3; i < n; i++)
		if (strcmp(words[i], h->addresses[i - 3]) != 0)
			play_fail(y, "the address is", h->addresses[i - 3]);
}

static void expect_questions(struct play *y, char **words, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2, y->asked_at++) {
		if (y->asked_at == y->asked_n)
			play_fail(y, "does not ask for", words[i]);
		if (strcmp(y->asked[y->asked_at].name, words[i]) != 0 ||
		    y->asked[y->asked_at].type != type_of(y, words[i + 1]))
			play_fail(y, "asks for", y->asked[y->asked_at].name);
	}
	if (y->asked_at < y->asked_n)
		play_fail(y, "asks for", y->asked[y->asked_at].name);
}

bool play_lookup_word(struct play *y, const char *word, char *raw, char **words, size_t n)
{
	static const char *const failures[] = { "-",	    "-",       "-",	  "-",
						"SERVFAIL", "REFUSED", "TIMEOUT", "BROKEN" };

#define IS(name) (strcmp(word, name) == 0)
	if (IS("LOOK-UP")) {
		y->resolution = malloc(sizeof(*y->resolution));
		if (!y->resolution)
			abort();
		resolution_start(y->resolution, n ? words[0] : "", n > 1 ? NULL : allows,
				 &y->config);
		take_questions(y);
		return true;
	}
	if (!y->resolution)
		return false;
	if (IS("ASKS"))
		expect_questions(y, words, n);
	else if (IS("REPLY") && n > 2)
		answer(y, words, n);
	else if (IS("MANGLE") && n > 2)
		mangle(y, words, n);
	else if (IS("OCTETS") && n > 1)
		raw_answer(y, raw, words, n);
	else if (IS("NO-REPLY") && n > 2) {
		struct dns_answer a = { .state = (enum dns_state)FIND(y, failures, words[2]) };

		bring(y, words[0], words[1], &a);
	} else if (IS("GIVE-UP"))
		resolution_give_up(y->resolution);
	else if (IS("RESOLVED") && n)
		resolved(y, words, n);
	else if (IS("HOST") && n > 2)
		expect_host(y, words, n);
	else if (IS("DETAIL")) {
		if (!y->resolved || strcmp(y->resolved->detail, raw) != 0)
			play_fail(y, "the detail is", y->resolved ? y->resolved->detail : "none");
	} else
		return false;
	return true;
#undef IS
}
