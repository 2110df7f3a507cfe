/*
 * See smtp.h. What the real programs count and limit; whose words they say it in is in voices.c,
 * what is hostile in hostile.c.
 */
#include "tests/mailworld/smtp_parts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	POSTFIX_SOFT_ERRORS = 10,
	POSTFIX_HARD_ERRORS = 20,
	POSTFIX_ERROR_DELAY_MS = 1000,
	EXIM_NONMAIL_MAX = 10,
	EXIM_UNKNOWN_MAX = 3,
	EXCHANGE_PROTOCOL_ERRORS = 5,
	EXCHANGE_ERROR_DELAY_MS = 5000,
	ECHO_MAX = 320
};

static void add(struct mw_out *out, const char *data, size_t len)
{
	if (out->len + len > out->room) {
		out->full = true;
		return;
	}
	memcpy(out->data + out->len, data, len);
	out->len += len;
}

static void add_number(struct mw_turn *turn, bool address)
{
	uint32_t ip = turn->session->client.ip;
	char text[40];
	int len;

	if (address)
		len = snprintf(text, sizeof(text), "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255,
			       ip >> 8 & 255, ip & 255);
	else
		len = snprintf(text, sizeof(text), "%016llx.%u",
			       (unsigned long long)mw_hash_mix(turn->smtp->stats->sessions,
							       turn->smtp->world->seed),
			       turn->session->recipients);
	add(turn->out, text, (size_t)len);
}

void mw_say(struct mw_turn *turn, const char *text)
{
	for (;;) {
		const char *dollar = strchrnul(text, '$');

		add(turn->out, text, (size_t)(dollar - text));
		if (!*dollar)
			return;
		switch (dollar[1]) {
		case 'h':
			add(turn->out, turn->host->name, turn->host->name_len);
			break;
		case 'a':
		case 's':
			add(turn->out, turn->argument,
			    turn->argument_len < ECHO_MAX ? turn->argument_len : ECHO_MAX);
			break;
		case 'i':
			add_number(turn, true);
			break;
		case '0':
			add(turn->out, "", 1);
			break;
		default:
			add_number(turn, false);
		}
		text = dollar + 2;
	}
}

static void turn_init(struct mw_turn *turn, const struct mw_smtp *smtp, struct mw_session *session,
		      struct mw_out *out, uint64_t now_ms)
{
	*turn = (struct mw_turn){
		.smtp = smtp, .session = session, .out = out, .argument = "", .now_ms = now_ms
	};
	turn->host = &smtp->world->hosts[session->client.host];
	turn->operator_ = &smtp->world->operators[turn->host->operator_];
	turn->server = &mw_behaviours[turn->operator_->behaviour];
}

static enum mw_next refuse(struct mw_turn *turn, const char *text)
{
	turn->session->errors++;
	mw_say(turn, text);
	return MW_GO_ON;
}

static enum mw_next greet(struct mw_turn *turn)
{
	const struct mw_behaviour *server = turn->server;
	enum mw_next next = mw_hostile_turn(turn, MW_AT_GREETING);

	if (next != MW_GO_ON)
		return next;
	if (turn->host->greets_421) {
		mw_say(turn, "421 4.3.2 $h Service not available, try the next MX\r\n");
		return MW_CLOSE;
	}
	if (server->server & MW_GREETS_554) {
		mw_say(turn, "554 $h no SMTP service here\r\n");
		return MW_CLOSE;
	}
	if (server->server & MW_GREETS_521) {
		mw_say(turn, "521 $h does not accept mail\r\n");
		return MW_CLOSE;
	}
	if ((server->server & MW_EXIM_SLOTS) &&
	    turn->smtp->stats->open_by_host[turn->session->client.host] > MW_EXIM_CONNECTIONS) {
		mw_say(turn,
		       "421 Too many concurrent SMTP connections; please try again later.\r\n");
		return MW_CLOSE;
	}
	mw_say(turn, MW_WORDS(turn->operator_->voice, greeting));
	return MW_GO_ON;
}

enum mw_next mw_smtp_start(const struct mw_smtp *smtp, struct mw_session *session, uint32_t host,
			   uint32_t source, struct mw_out *out, uint32_t *ret_delay_ms)
{
	struct mw_stats *stats = smtp->stats;
	struct mw_turn turn;
	struct mw_entry *entry = mw_table_put(&stats->by_source, (uint64_t)source + 1);
	const struct mw_behaviour *server;

	*session = (struct mw_session){
		.client = { .ip = source, .host = host, .session = stats->sessions + 1 }
	};
	turn_init(&turn, smtp, session, out, 0);
	server = turn.server;
	entry->a++;
	stats->sessions++;
	stats->by_host[host]++;
	stats->open_by_host[host]++;
	if (++stats->sessions_open > stats->sessions_open_most)
		stats->sessions_open_most = stats->sessions_open;
	if (server->server & MW_ONCE)
		session->ordinal = mw_memory_ordinal(smtp->memory, &session->client);
	if (server->tls)
		session->tls_fault =
		    server->tls_faults
			? (enum mw_tls_fault)(server->tls_fault +
					      turn.operator_->variant % server->tls_faults)
			: server->tls_fault;
	*ret_delay_ms = server->greeting_delay_ms;
	return greet(&turn);
}

void mw_smtp_end(const struct mw_smtp *smtp, struct mw_session *session, uint64_t now_ms)
{
	uint32_t n =
	    session->recipients < MW_HISTOGRAM - 1 ? session->recipients : MW_HISTOGRAM - 1;

	smtp->stats->by_recipients[n]++;
	smtp->stats->sessions_open--;
	smtp->stats->open_by_host[session->client.host]--;
	mw_table_put(&smtp->stats->by_source, (uint64_t)session->client.ip + 1)->b +=
	    session->recipients;
	if (session->screened)
		mw_memory_postscreen_over(smtp->memory, &session->client, now_ms);
}

/* The path between < and >, with its parameters left off. False: there is none. */
static bool take_path(struct mw_turn *turn, const char *line, size_t len)
{
	const char *open = memchr(line, '<', len), *close;

	if (!open)
		return false;
	close = memchr(open, '>', len - (size_t)(open - line));
	if (!close)
		return false;
	turn->argument = open + 1;
	turn->argument_len = (size_t)(close - open - 1);
	return true;
}

/* As postgrey keys a sender: without extension, runs of digits folded to one sign. */
static uint64_t fold_sender(const char *sender, size_t len)
{
	char folded[ECHO_MAX];
	size_t n = 0;
	bool extension = false;

	for (size_t i = 0; i < len && n < sizeof(folded); i++) {
		bool digit = sender[i] >= '0' && sender[i] <= '9';

		extension = (extension || sender[i] == '+') && sender[i] != '@';
		if (extension || (digit && n && folded[n - 1] == '#'))
			continue;
		folded[n++] = digit ? '#' : sender[i];
	}
	return mw_hash_fold(folded, n, 0);
}

static enum mw_next hello(struct mw_turn *turn, const char *line, size_t len, bool extended)
{
	const struct mw_behaviour *server = turn->server;
	struct mw_session *session = turn->session;
	enum mw_voice voice = turn->operator_->voice;
	enum mw_next next;

	if (extended && (server->server & MW_HELO_ONLY))
		return refuse(turn, MW_WORDS(voice, unknown));
	if (len < 6)
		return refuse(turn, "501 5.5.4 Syntax: EHLO hostname\r\n");
	next = mw_hostile_turn(turn, MW_AT_EHLO);
	if (next != MW_GO_ON)
		return next;
	session->hello = true;
	session->extended = extended;
	session->mail = false;
	session->client.helo = mw_hash_fold(line + 5, len - 5, 0);
	if (!extended) {
		mw_say(turn, MW_WORDS(voice, helo));
		return MW_GO_ON;
	}
	mw_say(turn,
	       server->server & MW_NO_PIPELINING ? MW_WORDS(voice, plain) : MW_WORDS(voice, hello));
	if (server->tls && !session->tls)
		mw_say(turn, "250-STARTTLS\r\n");
	if (server->server & MW_SMTPUTF8)
		mw_say(turn, "250-SMTPUTF8\r\n");
	mw_say(turn, MW_WORDS(voice, last));
	return MW_GO_ON;
}

static enum mw_next starttls(struct mw_turn *turn)
{
	struct mw_session *session = turn->session;

	turn->smtp->stats->starttls++;
	if (!turn->server->tls || session->tls)
		return refuse(turn, MW_WORDS(turn->operator_->voice, unknown));
	if (!session->hello)
		return refuse(turn, "503 5.5.1 Error: send HELO/EHLO first\r\n");
	if (session->tls_fault == MW_TLS_UNAVAILABLE) {
		mw_say(turn, "454 4.7.0 TLS not available due to local problem\r\n");
		return MW_GO_ON;
	}
	mw_say(turn, "220 2.0.0 Ready to start TLS\r\n");
	if (session->tls_fault == MW_TLS_HANGS_UP)
		return MW_CLOSE;
	if (session->tls_fault == MW_TLS_INJECTED)
		mw_say(turn, "250-$h\r\n250 PIPELINING\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
	/* RFC 3207, 4.2: all begins anew. */
	session->tls = true;
	session->hello = session->mail = false;
	return MW_START_TLS;
}

static enum mw_next mail(struct mw_turn *turn, const char *line, size_t len)
{
	struct mw_session *session = turn->session;
	enum mw_next next;

	turn->smtp->stats->mail++;
	if (!session->hello)
		return refuse(turn, "503 5.5.1 Error: send HELO/EHLO first\r\n");
	if (session->mail)
		return refuse(turn, "503 5.5.1 Error: nested MAIL command\r\n");
	if (turn->server->tls == MW_TLS_REQUIRED && !session->tls)
		return refuse(turn, "530 5.7.0 Must issue a STARTTLS command first\r\n");
	if (!take_path(turn, line, len))
		return refuse(turn, "501 5.5.4 Syntax: MAIL FROM:<address>\r\n");
	next = mw_hostile_turn(turn, MW_AT_MAIL);
	if (next != MW_GO_ON)
		return next;
	if (turn->server->everybody && turn->server->answer == MW_AUTH_REQUIRED &&
	    !turn->operator_->variant)
		return refuse(turn, MW_WORDS(turn->operator_->voice, answers[MW_AUTH_REQUIRED]));
	session->mail = true;
	session->transaction = 0;
	session->utf8 = memmem(line, len, "SMTPUTF8", 8) != NULL;
	session->client.sender = mw_hash_fold(turn->argument, turn->argument_len, 0);
	session->client.sender_key = fold_sender(turn->argument, turn->argument_len);
	mw_say(turn, MW_WORDS(turn->operator_->voice, mail));
	return MW_GO_ON;
}

static enum mw_next turned_away(struct mw_turn *turn)
{
	struct mw_session *session = turn->session;
	const char *words = mw_memory_words(turn->server->greylist);

	turn->smtp->stats->greylisted++;
	turn->smtp->stats->temporary++;
	session->screened |= turn->server->greylist == MW_GREY_POSTSCREEN;
	/* A milter's and a policy server's refusal are errors to Postfix, postscreen's is not. */
	if (turn->server->greylist == MW_GREY_POSTSCREEN ||
	    turn->server->greylist == MW_GREY_MILTER)
		mw_say(turn, words);
	else
		refuse(turn, words);
	return MW_GO_ON;
}

static enum mw_next answer(struct mw_turn *turn, enum mw_answer what)
{
	const char *text = MW_WORDS(turn->operator_->voice, answers[what]);
	struct mw_stats *stats = turn->smtp->stats;

	turn->session->answered++;
	if (text[0] == '2')
		stats->accepted++;
	else if (text[0] == '4')
		stats->temporary++;
	else
		stats->refused++;
	if (text[0] != '2')
		turn->session->errors++;
	mw_say(turn, text);
	return MW_GO_ON;
}

static enum mw_next throttle(struct mw_turn *turn)
{
	turn->smtp->stats->throttled++;
	turn->smtp->stats->temporary++;
	if (mw_voices[turn->operator_->voice].throttled) {
		const char *words = mw_voices[turn->operator_->voice].throttled;

		mw_say(turn, words);
		return strncmp(words, "421", 3) == 0 ? MW_CLOSE : MW_GO_ON;
	}
	if (turn->operator_->variant) {
		mw_say(turn,
		       "451 4.7.1 Too many recipients from [$i], rate limit exceeded, try again "
		       "later\r\n");
		return MW_GO_ON;
	}
	mw_say(turn,
	       "421 4.7.0 [$i] Too many recipients from your address, rate limited, try again "
	       "later\r\n");
	return MW_CLOSE;
}

/* What a server says that has begun to starve us. */
static enum mw_next starve(struct mw_turn *turn)
{
	enum mw_voice voice = turn->operator_->voice;

	turn->smtp->stats->starved++;
	turn->session->errors++;
	switch (turn->operator_->variant) {
	case 0:
		mw_say(turn, MW_WORDS(voice, answers[MW_CANNOT_VERIFY]));
		return MW_GO_ON;
	case 1:
		mw_say(turn, "421 4.7.0 [$i] Try again later, closing connection\r\n");
		return MW_CLOSE;
	case 2:
		mw_say(turn, "503 5.5.1 Bad sequence of commands\r\n");
		return MW_GO_ON;
	case 3:
		mw_say(turn, MW_WORDS(voice, answers[MW_AUTH_REQUIRED]));
		return MW_GO_ON;
	default:
		mw_say(turn, MW_WORDS(voice, answers[MW_REFUSE_ALL]));
		return MW_GO_ON;
	}
}

static uint32_t recipients_max(const struct mw_turn *turn)
{
	return turn->server->recipients_max ? turn->server->recipients_max
					    : MW_WORDS(turn->operator_->voice, recipients_max);
}

static bool beyond_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return true;
	return false;
}

static enum mw_next rcpt(struct mw_turn *turn, const char *line, size_t len)
{
	struct mw_session *session = turn->session;
	const struct mw_world *world = turn->smtp->world;
	struct mw_stats *stats = turn->smtp->stats;
	const struct mw_behaviour *lives;
	const char *at;
	size_t local_len;
	uint32_t domain;
	enum mw_answer what;
	enum mw_next next;

	stats->rcpt++;
	session->recipients++;
	if (!session->mail)
		return refuse(turn, "503 5.5.1 Error: need MAIL command\r\n");
	if (!take_path(turn, line, len) ||
	    !(at = memrchr(turn->argument, '@', turn->argument_len)) || at == turn->argument)
		return refuse(turn, "501 5.1.3 Bad recipient address syntax\r\n");
	next = mw_hostile_turn(turn, MW_AT_RCPT);
	if (next != MW_GO_ON)
		return next;
	turn->delay_ms = turn->server->rcpt_delay_ms;
	local_len = (size_t)(at - turn->argument);
	if (beyond_ascii(turn->argument, turn->argument_len) &&
	    !(session->utf8 && (turn->server->server & MW_SMTPUTF8)))
		return refuse(turn, "553 5.6.7 Non-ASCII address needs SMTPUTF8\r\n");
	domain = mw_world_find_domain(world, at + 1, turn->argument_len - local_len - 1);
	if (domain == MW_NONE || world->domains[domain].operator_ != turn->host->operator_) {
		stats->relay_denied++;
		return refuse(turn, "554 5.7.1 <$a>: Relay access denied\r\n");
	}
	if (turn->server->server & MW_NO_RELAY)
		return refuse(turn, "554 5.7.1 <$a>: Relay access denied\r\n");
	if (session->transaction >= recipients_max(turn)) {
		stats->too_many++;
		mw_say(turn, MW_WORDS(turn->operator_->voice, too_many));
		return MW_GO_ON;
	}
	session->transaction++;
	lives = &mw_behaviours[world->domains[domain].behaviour];
	if ((turn->server->server & MW_MID_421) && session->recipients > MW_MID_421_AFTER) {
		stats->cut_by_421++;
		mw_say(turn,
		       "421 4.3.2 $h Service shutting down, closing transmission channel\r\n");
		return MW_CLOSE;
	}
	if ((turn->server->server & MW_ONE_RECIPIENT) && session->answered) {
		mw_say(turn, "452 4.5.3 Too many recipients\r\n");
		return MW_GO_ON;
	}
	if ((turn->server->server & MW_THROTTLE) &&
	    !mw_memory_throttle(turn->smtp->memory, &session->client, turn->now_ms))
		return throttle(turn);
	if ((turn->server->server & MW_STARVES) &&
	    mw_memory_starves(turn->smtp->memory, &session->client, turn->now_ms))
		return starve(turn);
	if (turn->server->greylist &&
	    !mw_memory_greylist(turn->smtp->memory, turn->server->greylist, &session->client,
				mw_hash_fold(turn->argument, local_len, domain), turn->now_ms))
		return turned_away(turn);
	if ((turn->server->server & MW_FICKLE) &&
	    mw_memory_fickle(turn->smtp->memory, &session->client, turn->now_ms))
		return answer(turn, MW_ACCEPT);
	what = lives->everybody ? lives->answer
				: mw_world_mailbox(world, domain, turn->argument, local_len);
	/* RFC 5321 4.5.1: there is always a postmaster. */
	if (what == MW_ABSENT && local_len == 10 && !strncasecmp(turn->argument, "postmaster", 10))
		what = MW_ACCEPT;
	return answer(turn, what);
}

static enum mw_next no_message(struct mw_turn *turn, uint64_t *counter)
{
	++*counter;
	return refuse(turn, "554 5.5.1 Error: no message is taken here\r\n");
}

static bool is(const char *line, size_t len, const char *verb)
{
	return len >= 4 && !strncasecmp(line, verb, 4) &&
	       (len == 4 || line[4] == ' ' || line[4] == ':');
}

/* Exim's smtp_accept_max_nonmail and smtp_max_unknown_commands. */
static enum mw_next idle_command(struct mw_turn *turn)
{
	if (turn->operator_->voice != MW_EXIM || ++turn->session->idle_commands <= EXIM_NONMAIL_MAX)
		return MW_GO_ON;
	mw_say(turn, "554 Too many nonmail commands\r\n");
	return MW_CLOSE;
}

static enum mw_next unknown_command(struct mw_turn *turn)
{
	turn->smtp->stats->unknown_commands++;
	if (turn->operator_->voice == MW_EXIM &&
	    ++turn->session->unknown_commands >= EXIM_UNKNOWN_MAX) {
		mw_say(turn, "500 Too many unrecognized commands\r\n");
		return MW_CLOSE;
	}
	return refuse(turn, MW_WORDS(turn->operator_->voice, unknown));
}

static enum mw_next dispatch(struct mw_turn *turn, const char *line, size_t len)
{
	struct mw_stats *stats = turn->smtp->stats;

	if (is(line, len, "RCPT"))
		return rcpt(turn, line, len);
	if (is(line, len, "MAIL"))
		return mail(turn, line, len);
	if (is(line, len, "EHLO"))
		return hello(turn, line, len, true);
	if (is(line, len, "HELO"))
		return hello(turn, line, len, false);
	if (len == 8 && !strncasecmp(line, "STARTTLS", 8))
		return starttls(turn);
	if (is(line, len, "QUIT")) {
		stats->sessions_quit++;
		turn->session->quit = true;
		mw_say(turn, MW_WORDS(turn->operator_->voice, bye));
		return MW_CLOSE;
	}
	if (is(line, len, "RSET") || is(line, len, "NOOP")) {
		if (idle_command(turn) == MW_CLOSE)
			return MW_CLOSE;
		if (line[0] == 'R' || line[0] == 'r')
			turn->session->mail = false;
		mw_say(turn, MW_WORDS(turn->operator_->voice, ok));
		return MW_GO_ON;
	}
	if (is(line, len, "DATA"))
		return no_message(turn, &stats->data);
	if (is(line, len, "BDAT"))
		return no_message(turn, &stats->bdat);
	if (is(line, len, "VRFY") || is(line, len, "EXPN")) {
		stats->vrfy++;
		return refuse(turn, "502 5.5.1 VRFY command is disabled\r\n");
	}
	return unknown_command(turn);
}

/* Commands before their turn. */
static enum mw_next out_of_step(struct mw_turn *turn)
{
	if (turn->server->server & MW_LIES_PIPELINING)
		turn->smtp->stats->pipelining_lies++;
	else
		turn->smtp->stats->too_early++;
	mw_say(turn, "554 5.5.0 Error: SMTP protocol synchronization\r\n");
	return MW_CLOSE;
}

/* smtpd_soft_error_limit, smtpd_error_sleep_time, smtpd_hard_error_limit */
static enum mw_next postfix_errors(struct mw_turn *turn)
{
	uint16_t most = turn->server->errors_max ? turn->server->errors_max : POSTFIX_HARD_ERRORS;

	if (turn->session->errors >= POSTFIX_SOFT_ERRORS) {
		turn->smtp->stats->slowed_replies++;
		turn->delay_ms = POSTFIX_ERROR_DELAY_MS;
	}
	if (turn->session->errors < most)
		return MW_GO_ON;
	mw_say(turn, "421 4.7.0 $h Error: too many errors\r\n");
	return MW_CLOSE;
}

/* TarpitInterval and MaxProtocolErrors of a receive connector. */
static enum mw_next exchange_errors(struct mw_turn *turn, uint16_t errors_before, bool recipient)
{
	if (turn->session->errors == errors_before)
		return MW_GO_ON;
	turn->smtp->stats->slowed_replies++;
	turn->delay_ms = EXCHANGE_ERROR_DELAY_MS;
	if (recipient || ++turn->session->protocol_errors < EXCHANGE_PROTOCOL_ERRORS)
		return MW_GO_ON;
	mw_say(turn,
	       "421 4.7.0 Too many errors on this connection, closing transmission channel\r\n");
	return MW_CLOSE;
}

enum mw_next mw_smtp_line(const struct mw_smtp *smtp, struct mw_session *session, const char *line,
			  size_t len, bool more, uint64_t now_ms, struct mw_out *out,
			  uint32_t *ret_delay_ms)
{
	uint16_t errors = session->errors;
	struct mw_turn turn;
	enum mw_next next;

	*ret_delay_ms = 0;
	turn_init(&turn, smtp, session, out, now_ms);
	if (more && (turn.server->server & (MW_NO_PIPELINING | MW_LIES_PIPELINING)))
		return out_of_step(&turn);
	turn.delay_ms = 0;
	next = dispatch(&turn, line, len);
	if (next == MW_GO_ON && turn.operator_->voice == MW_POSTFIX)
		next = postfix_errors(&turn);
	if (next == MW_GO_ON && (turn.server->server & MW_EXCHANGE_TARPIT))
		next = exchange_errors(&turn, errors, is(line, len, "RCPT"));
	if (next == MW_GO_ON || turn.delay_ms)
		*ret_delay_ms = turn.delay_ms ? turn.delay_ms : smtp->world->reply_delay_ms;
	return next;
}
