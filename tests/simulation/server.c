/* See server.h. */
#include "tests/simulation/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, KINDS_MAX = 32, REAL_PERCENT = 80 };

/* The windows and keys of docs/mail-servers.md; the words are those of the programs. How long
 * Mimecast keeps a pass is not documented. */
const struct server_kind server_kinds[] = {
	{ "postgrey", 22, 5 * MINUTE, 2 * DAY, 35 * DAY, 24, false, true, true,
	  "450 4.2.0 Recipient address rejected: Greylisted, see "
	  "http://postgrey.schweikert.ch/help/%u",
	  NULL, KEEPS_BOOKS },
	{ "SQLgrey", 10, 5 * MINUTE, DAY, 60 * DAY, 24, false, true, true,
	  "450 4.7.1 Recipient address rejected: Greylisted for 5 minutes", NULL, KEEPS_BOOKS },
	{ "milter-greylist", 8, 30 * MINUTE, 5 * DAY, DAY, 32, false, true, false,
	  "451 4.7.1 Greylisting in action, please come back later", NULL, KEEPS_BOOKS },
	{ "rspamd", 8, 5 * MINUTE, DAY, DAY, 19, false, true, false,
	  "451 4.7.1 Try again later, greylisted", NULL, KEEPS_BOOKS },
	{ "OpenBSD spamd", 8, 25 * MINUTE, 4 * HOUR, 36 * DAY, 32, true, true, false,
	  "451 Temporary failure, please try again later.", NULL, KEEPS_BOOKS },
	{ "cPanel", 8, 10 * MINUTE, 4 * HOUR, 3 * DAY, 32, false, true, false,
	  "451 Temporarily unable to process your email. Please try again later.", NULL,
	  KEEPS_BOOKS },
	{ "Plesk", 6, 5 * MINUTE, 0, 36 * DAY, 32, false, false, false,
	  "451 4.7.1 Greylisted, please try again later", NULL, KEEPS_BOOKS },
	{ "Mimecast", 4, MINUTE, 12 * HOUR, 12 * HOUR, 32, false, true, false,
	  "451 Internal resources are temporarily unavailable - "
	  "https://community.mimecast.com/docs/DOC-1369",
	  "mimecast.com", KEEPS_BOOKS },
	{ "Exim, names its window", 8, 15 * MINUTE, 6 * HOUR, 7 * DAY, 24, false, true, false,
	  "451 Greylisted, please try again in %u seconds", NULL, KEEPS_BOOKS },
	{ "postscreen", 6, 0, 0, 7 * DAY, 32, false, false, false,
	  "450 4.3.2 Service currently unavailable", NULL, WANTS_RECONNECT },
	{ "down for hours", 4, 3 * HOUR, 0, 0, 32, false, false, false, NULL, NULL, IS_DOWN },
	{ "busy for an hour", 4, HOUR, 0, 0, 32, false, false, false,
	  "451 4.3.0 Temporary lookup failure", NULL, IS_BUSY },
	{ "cannot verify, ever", 4, 0, 0, 0, 32, false, false, false,
	  "450 4.1.1 Recipient address rejected: unverified address: Address verification in "
	  "progress",
	  NULL, UNVERIFIED },
};
const size_t server_kind_count = sizeof(server_kinds) / sizeof(*server_kinds);

/* What a server knows under one key. */
struct entry {
	uint64_t key; /* 0: free */
	union {
		struct {
			uint64_t first_ms; /* of the window that runs */
			uint64_t pass_ms;  /* when it was last let through; 0: not yet */
		};
		uint64_t identity; /* who asked for this recipient first */
	};
};

struct servers {
	uint64_t seed;
	struct entry *entries;
	size_t entry_n, entry_room; /* room: a power of two */
	struct server_counts counts[KINDS_MAX];
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t z = a * 0x9e3779b97f4a7c15u + b + 0x632be59bd9b4e019u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t hash(const char *data, size_t len)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)data[i]) * 1099511628211u;
	return mix(h, len);
}

static void *checked(void *memory)
{
	if (!memory) {
		fputs("simulation: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

struct servers *servers_new(uint64_t seed)
{
	struct servers *s = checked(calloc(1, sizeof(*s)));

	s->seed = seed;
	s->entry_room = 1024;
	s->entries = checked(calloc(s->entry_room, sizeof(*s->entries)));
	return s;
}

void servers_free(struct servers *s)
{
	if (!s)
		return;
	free(s->entries);
	free(s);
}

const struct server_kind *servers_kind(const struct servers *s, uint32_t domain)
{
	unsigned at = (unsigned)(mix(s->seed, servers_operator(domain)) % 100);

	for (size_t i = 0; i < server_kind_count; i++) {
		if (at < server_kinds[i].share)
			return &server_kinds[i];
		at -= server_kinds[i].share;
	}
	return &server_kinds[0];
}

const struct server_counts *servers_counts(const struct servers *s, size_t kind)
{
	return &s->counts[kind];
}

static struct server_counts *counts_of(const struct conversation *c)
{
	return &c->servers->counts[c->kind - server_kinds];
}

size_t servers_mailbox(const struct servers *s, uint32_t domain, uint32_t n, char *ret, size_t size)
{
	static const char *const given[] = { "anna",  "bruno", "carla", "david",
					     "elena", "felix", "greta", "henry" };
	static const char *const family[] = { "abel",  "brandt",  "conti",  "duval",
					      "ekman", "ferrari", "garcia", "hansen" };
	uint64_t h = mix(s->seed ^ domain, n);
	int len = snprintf(ret, size, "%s.%s%u", given[h % 8], family[h / 8 % 8], n);

	return (size_t)len;
}

bool servers_mailbox_exists(const struct servers *s, uint32_t domain, uint32_t n)
{
	return mix(s->seed + 1, mix(domain, n)) % 100 < REAL_PERCENT;
}

static bool exists(const struct conversation *c, const char *local, size_t len)
{
	char name[64];
	size_t digits = len;
	uint32_t n = 0;

	while (digits > 0 && local[digits - 1] >= '0' && local[digits - 1] <= '9')
		digits--;
	if (digits == len || len - digits > 6)
		return false;
	for (size_t i = digits; i < len; i++)
		n = 10 * n + (uint32_t)(local[i] - '0');
	return n < c->mailboxes &&
	       servers_mailbox(c->servers, c->domain, n, name, sizeof(name)) == len &&
	       memcmp(name, local, len) == 0 && servers_mailbox_exists(c->servers, c->domain, n);
}

static struct entry *entry_of(struct servers *s, uint64_t key)
{
	size_t at;

	if (2 * s->entry_n >= s->entry_room) {
		struct entry *old = s->entries;
		size_t n = s->entry_room;

		s->entry_room *= 2;
		s->entries = checked(calloc(s->entry_room, sizeof(*s->entries)));
		for (size_t i = 0; i < n; i++) {
			if (!old[i].key)
				continue;
			for (at = old[i].key & (s->entry_room - 1); s->entries[at].key;)
				at = (at + 1) & (s->entry_room - 1);
			s->entries[at] = old[i];
		}
		free(old);
	}
	key = key ? key : 1;
	for (at = key & (s->entry_room - 1); s->entries[at].key != key;
	     at = (at + 1) & (s->entry_room - 1))
		if (!s->entries[at].key) {
			s->entries[at].key = key;
			s->entry_n++;
			break;
		}
	return &s->entries[at];
}

__attribute__((format(printf, 2, 3))) static void say(struct conversation *c, const char *format,
						      ...)
{
	size_t room = sizeof(c->out) - c->out_len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(c->out + c->out_len, room, format, args);
	va_end(args);
	if (len > 0 && (size_t)len + 2 < room) {
		c->out_len += (size_t)len;
		memcpy(c->out + c->out_len, "\r\n", 2);
		c->out_len += 2;
	}
}

/* `says` holds at most one %u, and comes from the table above. */
static void say_wait(struct conversation *c, uint32_t seconds)
{
	const char *says = c->kind->says, *at = strstr(says, "%u");

	counts_of(c)->deferred++;
	if (at)
		say(c, "%.*s%u%s", (int)(at - says), says, seconds, at + 2);
	else
		say(c, "%s", says);
}

static uint64_t network(const struct conversation *c)
{
	return c->kind->prefix >= 32 ? c->client : c->client >> (32 - c->kind->prefix);
}

bool conversation_open(struct conversation *c, struct servers *servers, uint32_t domain,
		       uint32_t mailboxes, uint32_t client, uint64_t now_ms)
{
	c->servers = servers;
	c->kind = servers_kind(servers, domain);
	c->domain = domain;
	c->mailboxes = mailboxes;
	c->client = client;
	c->now_ms = c->opened_ms = now_ms;
	c->let_in = c->over = false;
	c->out_len = 0;
	if (c->kind->way == IS_DOWN || c->kind->way == WANTS_RECONNECT) {
		struct entry *e =
		    entry_of(servers, mix(mix(servers->seed, servers_operator(domain)),
					  c->kind->way == IS_DOWN ? 0 : network(c)));

		if (!e->first_ms)
			e->first_ms = now_ms;
		else
			c->let_in = true;
		if (c->kind->way == IS_DOWN &&
		    now_ms < e->first_ms + (uint64_t)c->kind->min_s * 1000)
			return false;
	}
	counts_of(c)->sessions++;
	say(c, "220 mx%u.test ESMTP", domain);
	return true;
}

/* By its books: has this client, sender, recipient waited long enough? */
static bool must_wait(struct conversation *c, uint64_t recipient, uint32_t *ret_left_s)
{
	const struct server_kind *k = c->kind;
	uint64_t key = mix(mix(servers_operator(c->domain), network(c)), c->sender);
	struct entry *e;

	if (k->helo)
		key = mix(key, c->helo);
	if (k->recipient)
		key = mix(key, recipient);
	e = entry_of(c->servers, key);
	*ret_left_s = k->min_s;
	if (e->pass_ms) {
		if (c->now_ms <= e->pass_ms + (uint64_t)k->keep_s * 1000) {
			e->pass_ms = c->now_ms;
			return false;
		}
		e->pass_ms = e->first_ms = 0;
	}
	if (!e->first_ms || (k->max_s && c->now_ms > e->first_ms + (uint64_t)k->max_s * 1000)) {
		e->first_ms = c->now_ms;
		return true;
	}
	if (c->now_ms < e->first_ms + (uint64_t)k->min_s * 1000) {
		*ret_left_s =
		    (uint32_t)((e->first_ms + (uint64_t)k->min_s * 1000 - c->now_ms) / 1000);
		/* the others of one conversation ask at the same time */
		counts_of(c)->early += e->first_ms < c->opened_ms;
		return true;
	}
	e->pass_ms = c->now_ms;
	return false;
}

static void hear_rcpt(struct conversation *c, const char *local, size_t len)
{
	uint64_t recipient = mix(c->domain, hash(local, len)),
		 identity = mix(mix(c->client, c->helo), c->sender);
	struct entry *a = entry_of(c->servers, mix(recipient, 1));
	bool known = exists(c, local, len), wait = false;
	uint32_t left_s = 0;

	counts_of(c)->asked++;
	if (!a->identity)
		a->identity = identity;
	else if (a->identity != identity)
		counts_of(c)->foreign++;
	if (!known && c->kind->knows_first) {
		say(c, "550 5.1.1 User unknown");
		return;
	}
	switch (c->kind->way) {
	case KEEPS_BOOKS:
		wait = must_wait(c, recipient, &left_s);
		break;
	case WANTS_RECONNECT:
		wait = !c->let_in;
		break;
	case IS_BUSY: {
		struct entry *e =
		    entry_of(c->servers, mix(c->servers->seed, servers_operator(c->domain)));

		if (!e->first_ms)
			e->first_ms = c->now_ms;
		wait = c->now_ms < e->first_ms + (uint64_t)c->kind->min_s * 1000;
		break;
	}
	case UNVERIFIED:
		wait = true;
		break;
	case IS_DOWN:
		break;
	}
	if (wait)
		say_wait(c, left_s);
	else if (known)
		say(c, "250 2.1.5 Ok");
	else
		say(c, "550 5.1.1 User unknown");
}

static bool starts(const char *line, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && memcmp(line, word, n) == 0;
}

static void hear_line(struct conversation *c, const char *line, size_t len)
{
	if (starts(line, len, "EHLO ") || starts(line, len, "HELO ")) {
		c->helo = hash(line + 5, len - 5);
		say(c, "250-mx%u.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES", c->domain);
	} else if (starts(line, len, "MAIL FROM:")) {
		c->sender = hash(line + 10, len - 10);
		say(c, "250 2.1.0 Ok");
	} else if (starts(line, len, "RCPT TO:<")) {
		const char *at = memchr(line, '@', len);

		if (at)
			hear_rcpt(c, line + 9, (size_t)(at - line) - 9);
		else
			say(c, "501 5.1.3 Bad address");
	} else if (starts(line, len, "RSET")) {
		say(c, "250 2.0.0 Ok");
	} else if (starts(line, len, "QUIT")) {
		say(c, "221 2.0.0 Bye");
		c->over = true;
	} else {
		counts_of(c)->data += starts(line, len, "DATA") || starts(line, len, "BDAT");
		say(c, "502 5.5.2 Command not recognized");
	}
}

void conversation_hear(struct conversation *c, const char *data, size_t len, uint64_t now_ms)
{
	const char *end;

	c->now_ms = now_ms;
	c->out_len = 0;
	while (!c->over && len > 0 && (end = memchr(data, '\n', len)) != NULL) {
		size_t line = (size_t)(end - data);

		hear_line(c, data, line > 0 && data[line - 1] == '\r' ? line - 1 : line);
		data += line + 1;
		len -= line + 1;
	}
}
