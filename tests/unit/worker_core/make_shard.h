/*
 * make_shard - a probe shard of so many recipients (user0, user1, ...) and hosts (mx0.d.test at
 * 192.0.2.1, ...), as unpacked from the wire: probe_new() takes it. Fails the test where memory
 * runs out. Include cmocka.h first.
 */
#ifndef TESTS_UNIT_WORKER_CORE_MAKE_SHARD_H
#define TESTS_UNIT_WORKER_CORE_MAKE_SHARD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rollcall.pb-c.h"

static inline char *dup_text(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	return copy;
}

static inline Rollcall__Shard *make_shard(size_t recipients, size_t hosts)
{
	Rollcall__Shard *s = malloc(sizeof(*s));

	assert_non_null(s);
	rollcall__shard__init(s);
	s->id = 1;
	s->kind = ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE;
	s->domain = dup_text("d.test");
	s->mx_group = dup_text("group");
	s->recipients = calloc(recipients, sizeof(Rollcall__Recipient *));
	s->mx = calloc(hosts, sizeof(Rollcall__MxHost *));
	assert_non_null(s->recipients);
	assert_non_null(s->mx);
	for (size_t i = 0; i < recipients; i++) {
		Rollcall__Recipient *r = malloc(sizeof(*r));
		char local[32];

		assert_non_null(r);
		rollcall__recipient__init(r);
		r->uid = i + 1;
		r->attempt = 1;
		snprintf(local, sizeof(local), "user%zu", i);
		r->local.data = (uint8_t *)dup_text(local);
		r->local.len = strlen(local);
		s->recipients[s->n_recipients++] = r;
	}
	for (size_t i = 0; i < hosts; i++) {
		Rollcall__MxHost *h = malloc(sizeof(*h));
		char text[32];

		assert_non_null(h);
		rollcall__mx_host__init(h);
		h->preference = (uint32_t)i;
		snprintf(text, sizeof(text), "mx%zu.d.test", i);
		h->host = dup_text(text);
		h->addresses = calloc(1, sizeof(char *));
		assert_non_null(h->addresses);
		snprintf(text, sizeof(text), "192.0.2.%u", (unsigned)(i + 1) & 255u);
		h->addresses[h->n_addresses++] = dup_text(text);
		s->mx[s->n_mx++] = h;
	}
	return s;
}

#endif
