/* See smtp_session.h. */
#include "worker/core/smtp_session.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

enum {
	CONNECTING = 1,
	GREETING,
	EHLO,
	HELO,
	STARTTLS,
	HANDSHAKE,
	READY,
	RSET,
	MAIL,
	RCPT,
	QUIT,
	OVER,
	STATES
};

#define LIMIT(member) offsetof(struct probe_limits, member)

/* One row a state: which limit one reply has, what we are doing, and where in the conversation that
 * is. READY is left in the call that entered it. */
static const struct {
	size_t limit;
	const char *doing;
	Rollcall__Stage stage;
} states[STATES] = {
	[CONNECTING] = { LIMIT(connect_ms), "connecting", ROLLCALL__STAGE__STAGE_CONNECT },
	[GREETING] = { LIMIT(greeting_ms), "waiting for the greeting",
		       ROLLCALL__STAGE__STAGE_GREETING },
	[EHLO] = { LIMIT(ehlo_ms), "waiting for the reply to EHLO", ROLLCALL__STAGE__STAGE_EHLO },
	[HELO] = { LIMIT(ehlo_ms), "waiting for the reply to HELO", ROLLCALL__STAGE__STAGE_EHLO },
	[STARTTLS] = { LIMIT(starttls_ms), "waiting for the reply to STARTTLS",
		       ROLLCALL__STAGE__STAGE_STARTTLS },
	[HANDSHAKE] = { LIMIT(handshake_ms), "in the TLS handshake",
			ROLLCALL__STAGE__STAGE_STARTTLS },
	[READY] = { LIMIT(mail_ms), "between commands", ROLLCALL__STAGE__STAGE_RCPT },
	[RSET] = { LIMIT(mail_ms), "waiting for the reply to RSET", ROLLCALL__STAGE__STAGE_MAIL },
	[MAIL] = { LIMIT(mail_ms), "waiting for the reply to MAIL", ROLLCALL__STAGE__STAGE_MAIL },
	[RCPT] = { LIMIT(rcpt_ms), "waiting for the reply to RCPT", ROLLCALL__STAGE__STAGE_RCPT },
	[QUIT] = { LIMIT(quit_ms), "waiting for the reply to QUIT", ROLLCALL__STAGE__STAGE_QUIT },
	[OVER] = { 0, "done", ROLLCALL__STAGE__STAGE_UNSET },
};

static void set_state(struct smtp_session *s, int state, uint64_t now_ms)
{
	assert(state > 0 && state < STATES);
	s->state = (uint8_t)state;
	s->entered_ms = now_ms;
}

static void over(struct smtp_session *s, Rollcall__Failure failure, uint64_t now_ms)
{
	if (s->state == OVER)
		return;
	/* A server that does not answer QUIT, or hangs up on it, has ended in order. */
	if (s->state != QUIT) {
		/* Whatever breaks a handshake has broken TLS. */
		if (s->state == HANDSHAKE && failure != ROLLCALL__FAILURE__FAILURE_LOCAL)
			failure = ROLLCALL__FAILURE__FAILURE_TLS;
		s->stage = states[s->state].stage;
		s->failure = failure;
	}
	s->unsent = false;
	s->tls_due = false;
	set_state(s, OVER, now_ms);
}

static void send_now(struct smtp_session *s, int state, uint64_t now_ms)
{
	if (s->command.failed) {
		over(s, ROLLCALL__FAILURE__FAILURE_LOCAL, now_ms);
		return;
	}
	s->unsent = true;
	set_state(s, state, now_ms);
}

static void leave(struct smtp_session *s, uint64_t now_ms)
{
	smtp_command_clear(&s->command);
	smtp_command_quit(&s->command);
	send_now(s, QUIT, now_ms);
}

/* There is no TLS to be had, and nothing is to be said without it. */
static void leave_unsealed(struct smtp_session *s, uint64_t now_ms)
{
	s->stage = ROLLCALL__STAGE__STAGE_STARTTLS;
	s->failure = ROLLCALL__FAILURE__FAILURE_TLS;
	leave(s, now_ms);
}

void smtp_session_init(struct smtp_session *s, struct rc_arena *arena, const char *helo,
		       const struct probe_limits *limits)
{
	*s = (struct smtp_session){ .helo = helo, .limits = limits };
	smtp_reply_init(&s->reply, arena);
	smtp_command_init(&s->command, arena);
	s->state = OVER;
}

void smtp_session_start(struct smtp_session *s, bool tls_want, bool tls_must, uint64_t now_ms)
{
	struct smtp_command command = s->command;
	struct smtp_reply reply = s->reply;

	*s = (struct smtp_session){ .helo = s->helo,
				    .limits = s->limits,
				    .command = command,
				    .reply = reply,
				    .tls_want = tls_want,
				    .tls_must = tls_must };
	smtp_reply_reset(&s->reply);
	smtp_command_clear(&s->command);
	set_state(s, CONNECTING, now_ms);
}

void smtp_session_connected(struct smtp_session *s, uint64_t now_ms)
{
	if (s->state == CONNECTING)
		set_state(s, GREETING, now_ms);
}

/* RFC 1870, 4: SIZE and the largest message, or 0 for any. */
static void read_size(struct smtp_session *s, const char *digits, size_t len)
{
	for (; len && *digits >= '0' && *digits <= '9' && s->size_most < UINT32_MAX / 100; len--)
		s->size_most = s->size_most * 10 + (uint32_t)(*digits++ - '0');
}

/* RFC 5321, 4.1.1.1: ehlo-line = ehlo-keyword *( SP ehlo-param ); the first line is the greeting.
 */
static void read_extensions(struct smtp_session *s)
{
	static const struct {
		const char *word;
		size_t offset;
	} known[] = {
		{ "PIPELINING", offsetof(struct smtp_session, pipelining) },
		{ "SMTPUTF8", offsetof(struct smtp_session, smtputf8) },
		{ "STARTTLS", offsetof(struct smtp_session, starttls) },
		{ "ENHANCEDSTATUSCODES", offsetof(struct smtp_session, enhanced) },
		{ "SIZE", offsetof(struct smtp_session, size) },
	};
	const char *line;
	size_t at = 0, len;

	smtp_reply_line(&s->reply, &at, &line, &len);
	while (smtp_reply_line(&s->reply, &at, &line, &len)) {
		size_t word = 0;

		while (word < len && line[word] != ' ' && line[word] != '\r')
			word++;
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (word == strlen(known[i].word) &&
			    strncasecmp(line, known[i].word, word) == 0)
				*(bool *)((char *)s + known[i].offset) = true;
		if (word == 4 && strncasecmp(line, "SIZE", 4) == 0 && len > 5)
			read_size(s, line + 5, len - 5);
	}
}

static void say_ehlo(struct smtp_session *s, uint64_t now_ms)
{
	smtp_command_clear(&s->command);
	smtp_command_ehlo(&s->command, s->helo);
	send_now(s, EHLO, now_ms);
}

static void say_starttls(struct smtp_session *s, uint64_t now_ms)
{
	smtp_command_clear(&s->command);
	smtp_command_starttls(&s->command);
	send_now(s, STARTTLS, now_ms);
}

/* EHLO or HELO was taken. */
static void introduced(struct smtp_session *s, uint64_t now_ms)
{
	if (!s->tls && s->tls_want && s->starttls)
		say_starttls(s, now_ms);
	else if (!s->tls && s->tls_must)
		leave_unsealed(s, now_ms);
	else
		set_state(s, READY, now_ms);
}

static void refuse(struct smtp_session *s, uint64_t now_ms)
{
	s->refused = true;
	leave(s, now_ms);
}

/* The reply in s->reply belongs to the state we are in: what comes next. */
static void step(struct smtp_session *s, uint64_t now_ms)
{
	unsigned code = s->reply.code;
	bool yes = code / 100 == 2;

	s->replied = states[s->state].stage;
	switch (s->state) {
	case GREETING:
		if (!yes) {
			refuse(s, now_ms);
			break;
		}
		say_ehlo(s, now_ms);
		break;
	case EHLO:
		if (yes) {
			read_extensions(s);
			introduced(s, now_ms);
		} else if (code / 100 == 5) {
			s->used_helo = true;
			smtp_command_clear(&s->command);
			smtp_command_helo(&s->command, s->helo);
			send_now(s, HELO, now_ms);
		} else {
			refuse(s, now_ms);
		}
		break;
	case HELO:
		if (yes)
			introduced(s, now_ms);
		else
			refuse(s, now_ms);
		break;
	case STARTTLS:
		/* RFC 3207, 4: 220 ready, 501 syntax, 454 not available. After a refusal the
		 * session is what it was before. */
		if (yes) {
			s->tls_due = true;
			set_state(s, HANDSHAKE, now_ms);
		} else if (s->tls_must) {
			leave_unsealed(s, now_ms);
		} else {
			set_state(s, READY, now_ms);
		}
		break;
	case RSET:
		/* It cannot be refused (RFC 5321, 4.1.1.5); whoever does shows it at MAIL. */
		s->rset_due = false;
		set_state(s, s->mail_due ? MAIL : READY, now_ms);
		break;
	case MAIL:
		s->mail_due = false;
		s->mail_done = yes;
		s->refused = !yes;
		/* RCPTs that went out with it are answered all the same, and mean nothing where
		 * MAIL was refused. */
		if (s->rcpt_due)
			set_state(s, RCPT, now_ms);
		else if (yes)
			set_state(s, READY, now_ms);
		else
			leave(s, now_ms);
		break;
	case RCPT:
		s->rcpt = s->rcpt_sent - s->rcpt_due;
		if (--s->rcpt_due)
			set_state(s, RCPT, now_ms);
		else if (s->refused)
			leave(s, now_ms);
		else
			set_state(s, READY, now_ms);
		break;
	default:
		break;
	}
}

/*
 * RFC 5321, 4.1.1.10: 221. Any other may be a late reply to what was asked before QUIT; one more
 * behind it shows that the server says more than it is asked for.
 */
static void hear_quit(struct smtp_session *s, uint64_t now_ms)
{
	bool odd = s->reply.code != 221 && s->reply.code != 421 && !s->quit_early;

	s->replied = ROLLCALL__STAGE__STAGE_QUIT;
	s->unasked = s->unasked || s->quit_odd;
	if (odd && !s->quit_odd)
		s->quit_odd = true;
	else
		set_state(s, OVER, now_ms);
}

enum smtp_news smtp_session_data(struct smtp_session *s, const char *data, size_t len,
				 size_t *ret_used, uint64_t now_ms)
{
	int complete;

	if (s->state == HANDSHAKE)
		s->tls_thrown_away += (uint32_t)len;
	if (s->state == OVER || s->state == HANDSHAKE) {
		*ret_used = len;
		return SMTP_MORE;
	}
	complete = smtp_reply_parse(&s->reply, data, len, ret_used);
	if (complete == 0)
		return SMTP_MORE;
	if (complete < 0) {
		*ret_used = len;
		over(s,
		     s->reply.no_memory ? ROLLCALL__FAILURE__FAILURE_LOCAL
					: ROLLCALL__FAILURE__FAILURE_PROTOCOL,
		     now_ms);
		return SMTP_OVER;
	}
	if (s->state == QUIT && !s->unsent) {
		hear_quit(s, now_ms);
		return SMTP_REPLIED;
	}
	/* Words that nobody asked for: a server may take its leave at any time, and nothing else.
	 */
	if (s->state == CONNECTING || s->state == READY || s->unsent) {
		s->said_421 = s->reply.code == 421;
		s->unasked = !s->said_421;
		over(s,
		     s->said_421 ? ROLLCALL__FAILURE__FAILURE_NONE
				 : ROLLCALL__FAILURE__FAILURE_PROTOCOL,
		     now_ms);
		return SMTP_OVER;
	}
	if (s->reply.code == 421) {
		s->said_421 = true;
		s->refused = s->refused || s->state < RCPT;
		s->replied = states[s->state].stage;
		s->rcpt = s->rcpt_sent - s->rcpt_due;
		over(s, ROLLCALL__FAILURE__FAILURE_NONE, now_ms);
		return SMTP_REPLIED;
	}
	step(s, now_ms);
	return SMTP_REPLIED;
}

void smtp_session_closed(struct smtp_session *s, Rollcall__Failure failure, uint64_t now_ms)
{
	over(s, failure, now_ms);
}

bool smtp_session_time(struct smtp_session *s, uint64_t now_ms)
{
	if (s->state == OVER || now_ms < smtp_session_deadline(s))
		return false;
	over(s, ROLLCALL__FAILURE__FAILURE_TIMEOUT, now_ms);
	return true;
}

bool smtp_session_sealed(struct smtp_session *s, uint64_t now_ms)
{
	if (s->state != HANDSHAKE)
		return false;
	s->tls = true;
	s->pipelining = s->smtputf8 = s->starttls = s->enhanced = s->size = s->used_helo = false;
	s->size_most = 0;
	say_ehlo(s, now_ms);
	return true;
}

bool smtp_session_upgrade(struct smtp_session *s, uint64_t now_ms)
{
	if (s->tls || !s->unsent || (s->state != HELO && (s->state != QUIT || !s->starttls)))
		return false;
	s->tls_want = s->tls_must = true;
	s->refused = s->mail_done = s->used_helo = false;
	say_starttls(s, now_ms);
	return true;
}

bool smtp_session_ready(const struct smtp_session *s)
{
	return s->state == READY;
}

uint32_t smtp_session_extensions(const struct smtp_session *s)
{
	return (s->pipelining ? 1u : 0) | (s->size ? 2u : 0) | (s->smtputf8 ? 4u : 0) |
	       (s->starttls ? 8u : 0) | (s->enhanced ? 16u : 0);
}

bool smtp_session_mailed(const struct smtp_session *s)
{
	return s->mail_done;
}

/* RFC 1870, 6.1: with a size said, a full mailbox may show at RCPT. That of a short letter; none
 * where the server takes none so large. */
static bool says_size(const struct smtp_session *s)
{
	return s->size && (s->size_most == 0 || s->size_most >= SMTP_LETTER);
}

/* Begins a group, or goes on with it. */
static bool open_group(struct smtp_session *s)
{
	if (s->state != READY)
		return false;
	if (!s->unsent) {
		smtp_command_clear(&s->command);
		s->rcpt_due = s->rcpt_sent = 0;
		s->unsent = true;
	}
	return true;
}

bool smtp_session_reset(struct smtp_session *s)
{
	if (!open_group(s))
		return false;
	smtp_command_rset(&s->command);
	s->rset_due = true;
	s->mail_done = false;
	return !s->command.failed;
}

bool smtp_session_mail(struct smtp_session *s, const char *from, bool smtputf8)
{
	if (!open_group(s))
		return false;
	smtp_command_mail(&s->command, from, smtputf8, says_size(s));
	s->mail_due = true;
	return !s->command.failed;
}

bool smtp_session_rcpt(struct smtp_session *s, const void *local, size_t len, const char *domain,
		       bool smtputf8)
{
	if (!smtp_command_local_ok(local, len, smtputf8) || !open_group(s))
		return false;
	smtp_command_rcpt(&s->command, local, len, domain, smtputf8);
	s->rcpt_due++;
	s->rcpt_sent++;
	return !s->command.failed;
}

void smtp_session_flush(struct smtp_session *s, uint64_t now_ms)
{
	if (s->state == READY && s->unsent)
		send_now(s, s->rset_due ? RSET : s->mail_due ? MAIL : RCPT, now_ms);
}

void smtp_session_quit(struct smtp_session *s, uint64_t now_ms)
{
	if (s->state == QUIT || s->state == OVER)
		return;
	/* RFC 5321, 4.1.1.10 allows it at any time; before the greeting the server is not listening
	 * yet. */
	if (s->state < EHLO || s->state == HANDSHAKE) {
		smtp_session_cut(s, now_ms);
		return;
	}
	s->quit_early = s->state != READY && !s->unsent;
	leave(s, now_ms);
}

void smtp_session_cut(struct smtp_session *s, uint64_t now_ms)
{
	s->unsent = s->tls_due = false;
	if (s->state != OVER)
		set_state(s, OVER, now_ms);
}

bool smtp_session_take_tls(struct smtp_session *s)
{
	bool due = s->tls_due;

	s->tls_due = false;
	return due;
}

const char *smtp_session_take(struct smtp_session *s, size_t *ret_len)
{
	if (!s->unsent || s->state == READY)
		return NULL;
	s->unsent = false;
	*ret_len = s->command.len;
	return s->command.data;
}

bool smtp_session_over(const struct smtp_session *s)
{
	return s->state == OVER;
}

uint64_t smtp_session_deadline(const struct smtp_session *s)
{
	const char *limits = (const char *)s->limits;

	return s->state == OVER
		   ? UINT64_MAX
		   : s->entered_ms +
			 *(const uint32_t *)(const void *)(limits + states[s->state].limit);
}

const char *smtp_session_doing(const struct smtp_session *s)
{
	return states[s->state].doing;
}
