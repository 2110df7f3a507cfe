/* See play.h. The probe's surroundings: it asks, this carries out into the list; things happen to
 * it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/scenario/play.h"
#include "worker/core/ip.h"

static struct act *push(struct play *y, enum probe_action action, const char *text, size_t len)
{
	struct act *a;

	if (y->act_n == ACTIONS_MAX)
		play_broken(y, "the probe does not come to rest", NULL);
	a = &y->acts[y->act_n++];
	*a = (struct act){ .action = action, .text = text ? play_copy(text, len) : NULL };
	return a;
}

static void push_write(struct play *y, const char *data, size_t len)
{
	bool first = true;

	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t line = end ? (size_t)(end - data) : 0;

		if (!end || line < 1 || data[line - 1] != '\r')
			play_broken(y, "a command that does not end in CR LF", NULL);
		if (strncasecmp(data, "DATA", 4) == 0 || strncasecmp(data, "BDAT", 4) == 0)
			play_broken(y, "the probe wanted to send a message", NULL);
		push(y, PROBE_SEND, data, line - 1)->first = first;
		first = false;
		data += line + 1;
		len -= line + 1;
	}
}

/* The connection is over: what the pacer makes of it. */
static void released(struct play *y)
{
	y->outcome = probe_session_outcome(y->probe, &y->outcome_rcpts);
	y->connecting = y->connected = false;
	if (!y->pacer)
		return;
	CORE(pacer_release(y->pacer, 1, probe_mx_group(y->probe), y->outcome_rcpts,
			   (enum pacer_outcome)y->outcome, y->now_ms));
	probe_set_throttled(y->probe,
			    pacer_open_ms(y->pacer, 1, probe_mx_group(y->probe), y->now_ms));
}

static void ask_leave(struct play *y, uint32_t recipients)
{
	bool leave = !y->manual_slot, memory_ok = true;

	if (y->pacer) {
		alloc_arm();
		leave = pacer_ask(y->pacer, 1, probe_mx_group(y->probe), &y->limits, recipients,
				  y->probe, y->now_ms, &memory_ok);
		alloc_disarm();
	}
	if (leave)
		CORE(probe_on_slot(y->probe, y->now_ms));
	else if (!memory_ok)
		CORE(probe_stop(y->probe, y->now_ms));
}

void play_pump(struct play *y)
{
	char text[IP_TEXT_MAX];

	for (;;) {
		struct probe_todo todo;
		enum probe_action action;

		alloc_arm();
		action = probe_next(y->probe, y->now_ms, &todo);
		alloc_disarm();
		switch (action) {
		case PROBE_WAIT:
			return;
		case PROBE_DONE:
			if (!y->done)
				push(y, action, NULL, 0);
			y->done = true;
			return;
		case PROBE_RESOLVE:
			push(y, action, todo.host, strlen(todo.host));
			break;
		case PROBE_SLOT:
			push(y, action, NULL, 0)->number = todo.recipients;
			ask_leave(y, todo.recipients);
			break;
		case PROBE_CONNECT:
			ip_format(&todo.ip, text);
			push(y, action, text, strlen(text));
			y->connecting = true;
			break;
		case PROBE_SEND:
			push_write(y, todo.data, todo.len);
			break;
		case PROBE_TLS:
			push(y, action, todo.host, strlen(todo.host));
			break;
		case PROBE_CLOSE:
			push(y, action, NULL, 0);
			released(y);
			break;
		case PROBE_REPORT:
			push(y, action, NULL, 0);
			y->acts[y->act_n - 1].number = todo.report->part;
			y->acts[y->act_n - 1].final = todo.report->final;
			play_see_report(y, todo.report);
			break;
		}
	}
}

void play_start(struct play *y)
{
	if (y->probe)
		return;
	for (size_t i = 0; i < y->shard->n_recipients; i++)
		y->shard->recipients[i]->uid = i + 1;
	alloc_arm();
	y->probe = probe_new(&y->config, &y->identity, y->shard, y->seed, y->now_ms, 1700000000000);
	alloc_disarm();
	if (!y->probe)
		play_fail(y, "the shard was refused", NULL);
	if (probe_shard_id(y->probe) != y->shard->id ||
	    strcmp(probe_domain(y->probe), y->shard->domain) != 0 ||
	    probe_budget(y->probe) != y->shard->budget || probe_memory(y->probe) == 0)
		play_broken(y, "the probe does not know its shard", NULL);
	play_pump(y);
}

struct act *play_expect(struct play *y, enum probe_action action, const char *what)
{
	play_start(y);
	while (y->act_at < y->act_n && y->acts[y->act_at].action == PROBE_SLOT &&
	       action != PROBE_SLOT)
		y->act_at++;
	if (y->act_at == y->act_n || y->acts[y->act_at].action != action)
		play_fail(y, "expected:", what);
	return &y->acts[y->act_at++];
}

/* "RCPT TO:<$control@d>": the first time it says what the control is, later it must be the same. */
void play_expect_line(struct play *y, const char *want)
{
	struct act *a = play_expect(y, PROBE_SEND, want);
	const char *mark = strstr(want, "$control");
	char whole[LINE_MAX_OCTETS];

	if (mark) {
		size_t head = (size_t)(mark - want);
		const char *end = strrchr(a->text, '@');

		if (!y->control && end && strlen(a->text) > head)
			y->control = play_copy(a->text + head, (size_t)(end - a->text) - head);
		snprintf(whole, sizeof(whole), "%.*s%s%s", (int)head, want,
			 y->control ? y->control : "", mark + 8);
		want = whole;
	}
	if (!play_matches(want, a->text))
		play_fail(y, "said instead:", a->text);
}

void play_ensure_open(struct play *y)
{
	play_start(y);
	if (!y->connecting)
		return;
	y->connecting = false;
	y->connected = true;
	CORE(probe_on_connected(y->probe, y->now_ms));
	play_pump(y);
}

void play_feed(struct play *y, const char *data, size_t len)
{
	play_ensure_open(y);
	for (size_t i = 0; y->bytewise && !y->whole && i < len; i++) {
		CORE(probe_on_data(y->probe, data + i, 1, y->now_ms));
		play_pump(y);
	}
	if (!y->bytewise || y->whole) {
		CORE(probe_on_data(y->probe, data, len, y->now_ms));
		play_pump(y);
	}
}

static uint64_t next_event(const struct play *y)
{
	uint64_t at = probe_deadline(y->probe);

	if (y->pacer && pacer_deadline(y->pacer) < at)
		at = pacer_deadline(y->pacer);
	return at;
}

void play_advance(struct play *y, uint64_t span_ms)
{
	uint64_t until = y->now_ms + span_ms;
	unsigned steps = 0;

	play_start(y);
	for (;;) {
		uint64_t at = next_event(y);

		if (at > until)
			break;
		if (++steps > 100000)
			play_broken(y, "a deadline that does not move", NULL);
		if (at > y->now_ms)
			y->now_ms = at;
		while (y->pacer && pacer_pop(y->pacer, y->now_ms))
			CORE(probe_on_slot(y->probe, y->now_ms));
		CORE(probe_on_time(y->probe, y->now_ms));
		play_pump(y);
	}
	y->now_ms = until;
}

void play_closed(struct play *y, Rollcall__Failure failure)
{
	play_start(y);
	CORE(probe_on_closed(y->probe, failure, y->now_ms));
	released(y);
	play_pump(y);
}
