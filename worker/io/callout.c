/* See callout.h. */
#include "worker/io/callout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "worker/core/smtp_session.h"

enum { ALL_MS = 60 * 1000 };

static const struct probe_limits limits = {
	.connect_ms = 10 * 1000,
	.greeting_ms = 30 * 1000,
	.ehlo_ms = 15 * 1000,
	.starttls_ms = 1,
	.handshake_ms = 1,
	.mail_ms = 15 * 1000,
	.rcpt_ms = 15 * 1000,
	.quit_ms = 2 * 1000,
};

struct callout {
	struct connection connection;
	uv_timer_t timer;
	struct network *network;
	const struct lane *lane;
	const struct fitness_question *question;
	callout_done *done;
	void *owner;
	struct rc_arena *arena;
	struct smtp_session session;
	struct fitness_call call;
	size_t ip_at;
	unsigned asked; /* recipients */
	uint64_t ends_ms;
	bool greeted;
	bool told;
	bool freed;
};

static uint64_t now_ms(const struct callout *callout)
{
	return uv_now(callout->timer.loop);
}

static struct fitness_reply *reply_due(struct callout *c)
{
	return c->asked <= 1 ? &c->call.abuse : &c->call.postmaster;
}

static void keep(struct fitness_reply *to, unsigned code, const char *text, size_t len)
{
	size_t n = 0;

	to->code = code;
	for (size_t i = 0; i < len && n < sizeof(to->text) - 1; i++)
		to->text[n++] = text[i] >= ' ' && text[i] < 127 ? text[i] : ' ';
	to->text[n] = '\0';
}

static void keep_text(struct fitness_reply *to, const char *text)
{
	keep(to, 0, text, strlen(text));
}

static void finish(struct callout *c)
{
	if (c->told)
		return;
	c->told = true;
	uv_timer_stop(&c->timer);
	connection_close(c->network, &c->connection);
	c->done(c, &c->call, c->owner);
}

static const char *failure_text(Rollcall__Failure failure)
{
	switch (failure) {
	case ROLLCALL__FAILURE__FAILURE_REFUSED:
		return "connection refused, or no route";
	case ROLLCALL__FAILURE__FAILURE_TIMEOUT:
		return "no answer within the time";
	case ROLLCALL__FAILURE__FAILURE_CLOSED:
		return "it closed the connection";
	case ROLLCALL__FAILURE__FAILURE_LOCAL:
		return "this machine cannot open a connection from there";
	default:
		return "it does not speak SMTP";
	}
}

static void step(struct callout *c);

static void on_timer(uv_timer_t *timer)
{
	step(timer->data);
}

static void ended(struct callout *c, Rollcall__Failure failure);

static void open_next(struct callout *c)
{
	Rollcall__Failure failure;

	smtp_session_start(&c->session, false, false, now_ms(c));
	c->call.ip = c->question->ip[c->ip_at];
	failure =
	    connection_open(c->network, &c->connection, (const struct sockaddr *)&c->lane->source,
			    c->lane->source_len, &c->call.ip, c->question->port);
	if (failure != ROLLCALL__FAILURE__FAILURE_NONE)
		smtp_session_closed(&c->session, failure, now_ms(c));
}

/* The conversation is over; `failure` NONE: the server ended it. */
static void ended(struct callout *c, Rollcall__Failure failure)
{
	const char *why = failure_text(failure == ROLLCALL__FAILURE__FAILURE_NONE
					   ? ROLLCALL__FAILURE__FAILURE_CLOSED
					   : failure);

	connection_close(c->network, &c->connection);
	if (c->call.greeting.code == 0)
		keep_text(&c->call.greeting, why);
	if (c->call.abuse.code == 0 && c->call.abuse.text[0] == '\0')
		keep_text(&c->call.abuse, why);
	if (c->call.postmaster.code == 0 && c->call.postmaster.text[0] == '\0')
		keep_text(&c->call.postmaster, why);
	if (c->call.greeting.code != 0 || c->ip_at + 1 == c->question->ip_n ||
	    now_ms(c) >= c->ends_ms) {
		finish(c);
		return;
	}
	/* The next address of the same server, afresh. */
	c->ip_at++;
	memset(&c->call, 0, sizeof(c->call));
	open_next(c);
	step(c);
}

/* What there is to say now. */
static void converse(struct callout *c)
{
	struct smtp_session *s = &c->session;
	static const char *const roles[] = { "abuse", "postmaster" };

	if (!smtp_session_ready(s))
		return;
	if (c->question->kind == FITNESS_GREETING || c->asked == 2) {
		smtp_session_quit(s, now_ms(c));
		return;
	}
	if (!smtp_session_mailed(s)) {
		smtp_session_mail(s, c->lane->mail_from, false);
	} else {
		smtp_session_rcpt(s, roles[c->asked], strlen(roles[c->asked]), c->question->name,
				  false);
		c->asked++;
	}
	smtp_session_flush(s, now_ms(c));
}

static void step(struct callout *c)
{
	const uint64_t now = now_ms(c);
	uint64_t deadline;
	const char *data;
	size_t len;

	if (c->told)
		return;
	if (now >= c->ends_ms)
		smtp_session_cut(&c->session, now);
	smtp_session_time(&c->session, now);
	converse(c);
	data = smtp_session_take(&c->session, &len);
	if (data != NULL && !connection_send(c->network, &c->connection, data, len))
		smtp_session_cut(&c->session, now);
	if (smtp_session_over(&c->session)) {
		ended(c,
		      now >= c->ends_ms ? ROLLCALL__FAILURE__FAILURE_TIMEOUT : c->session.failure);
		return;
	}
	deadline = smtp_session_deadline(&c->session);
	if (deadline > c->ends_ms)
		deadline = c->ends_ms;
	uv_timer_start(&c->timer, on_timer, deadline > now ? deadline - now : 0, 0);
}

static void replied(struct callout *c)
{
	const struct smtp_reply *reply = &c->session.reply;

	switch (c->session.replied) {
	case ROLLCALL__STAGE__STAGE_GREETING:
		keep(&c->call.greeting, reply->code, reply->text, reply->text_len);
		if (c->question->kind == FITNESS_GREETING)
			smtp_session_quit(&c->session, now_ms(c));
		break;
	case ROLLCALL__STAGE__STAGE_EHLO:
		break;
	case ROLLCALL__STAGE__STAGE_MAIL:
		if (reply->code / 100 != 2) {
			keep(&c->call.abuse, reply->code, reply->text, reply->text_len);
			c->call.postmaster = c->call.abuse;
		}
		break;
	case ROLLCALL__STAGE__STAGE_RCPT:
		keep(reply_due(c), reply->code, reply->text, reply->text_len);
		break;
	default:
		break;
	}
}

static struct callout *of_connection(struct connection *connection)
{
	return (struct callout *)connection;
}

static void on_connected(struct connection *connection)
{
	struct callout *c = of_connection(connection);

	smtp_session_connected(&c->session, now_ms(c));
	step(c);
}

static void on_secured(struct connection *connection, const struct probe_tls *info)
{
	(void)connection;
	(void)info;
}

static void on_data(struct connection *connection, const char *data, size_t len)
{
	struct callout *c = of_connection(connection);
	size_t used;

	while (len > 0 && !smtp_session_over(&c->session)) {
		const enum smtp_news news =
		    smtp_session_data(&c->session, data, len, &used, now_ms(c));

		data += used;
		len -= used;
		if (news == SMTP_REPLIED)
			replied(c);
		if (news == SMTP_MORE)
			break;
	}
	step(c);
}

static void on_closed(struct connection *connection, Rollcall__Failure failure)
{
	struct callout *c = of_connection(connection);

	smtp_session_closed(&c->session, failure, now_ms(c));
	step(c);
}

static const struct connection_events events = { on_connected, on_secured, on_data, on_closed };

struct callout *callout_new(uv_loop_t *loop, struct network *network, const struct lane *lane,
			    const struct fitness_question *question, callout_done *done,
			    void *owner)
{
	struct callout *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->arena = rc_arena_new(0);
	if (c->arena == NULL) {
		free(c);
		return NULL;
	}
	c->network = network;
	c->lane = lane;
	c->question = question;
	c->done = done;
	c->owner = owner;
	uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	c->ends_ms = uv_now(loop) + ALL_MS;
	connection_init(&c->connection, &events);
	smtp_session_init(&c->session, c->arena, lane->helo, &limits);
	open_next(c);
	/* Never from inside callout_new(). */
	uv_timer_start(&c->timer, on_timer, 0, 0);
	return c;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct callout *c = handle->data;

	rc_arena_free(c->arena);
	free(c);
}

void callout_free(struct callout *c)
{
	if (c == NULL || c->freed)
		return;
	c->freed = true;
	c->told = true;
	connection_close(c->network, &c->connection);
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}
