/*
 * See smtp.h. The replies are those of the real programs. In a text, $h is the host, $a the
 * recipient, $i the client's address, $n a queue-like number, $s the sender.
 */
#include "tests/mailworld/smtp.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	POSTFIX_SOFT_ERRORS = 10,
	POSTFIX_HARD_ERRORS = 20,
	POSTFIX_ERROR_DELAY_MS = 1000,
	ECHO_MAX = 320
};

#define EXTENSIONS(first)                                                                          \
	"250-" first "\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"

/* How each kind of server talks. `hello` comes with PIPELINING; `plain` without. NULL: as Postfix
 * does. */
static const struct voice {
	const char *greeting, *hello, *plain, *helo, *mail, *bye, *unknown;
	const char *answers[MW_ANSWERS];
} voices[MW_VOICES] = {
	[MW_POSTFIX] = {
		.greeting = "220 $h ESMTP Postfix\r\n",
		.hello = EXTENSIONS("$h") "250-PIPELINING\r\n250 DSN\r\n",
		.plain = EXTENSIONS("$h") "250 DSN\r\n",
		.helo = "250 $h\r\n",
		.mail = "250 2.1.0 Ok\r\n",
		.bye = "221 2.0.0 Bye\r\n",
		.unknown = "502 5.5.2 Error: command not recognized\r\n",
		.answers = {
			[MW_ABSENT] = "550 5.1.1 <$a>: Recipient address rejected: User unknown in virtual mailbox table\r\n",
			[MW_ACCEPT] = "250 2.1.5 Ok\r\n",
			[MW_FORWARD] = "251 2.1.5 User not local; will forward to <$a>\r\n",
			[MW_FULL_TEMPORARY] = "452 4.2.2 <$a>: Recipient address rejected: Mailbox is full (over quota)\r\n",
			[MW_FULL] = "552 5.2.2 <$a>: Recipient address rejected: Mailbox is full (over quota)\r\n",
			[MW_DISABLED] = "550 5.2.1 <$a>: Recipient address rejected: This mailbox is disabled\r\n",
			[MW_NOT_LOCAL] = "551 5.1.6 <$a>: User not local; please try another address\r\n",
			[MW_NAME_NOT_ALLOWED] = "553 5.1.3 <$a>: mailbox name not allowed\r\n",
			[MW_POLICY] = "554 5.7.1 <$a>: Recipient address rejected: Message refused by local policy\r\n",
			[MW_CANNOT_VERIFY] = "252 2.0.0 Cannot VRFY user, but will accept message and attempt delivery\r\n",
			[MW_IP_BLOCKED] = "550 5.7.1 Service unavailable; Client host [$i] blocked using zen.spamhaus.org; "
					  "https://www.spamhaus.org/query/ip/$i\r\n",
			[MW_AUTH_REQUIRED] = "530 5.7.0 Authentication required\r\n",
			[MW_REFUSE_ALL] = "550 Requested action not taken\r\n",
			[MW_UNVERIFIED] = "450 4.1.1 <$a>: Recipient address rejected: unverified address: "
					  "Address verification in progress\r\n",
		},
	},
	[MW_EXIM] = {
		.greeting = "220-$h ESMTP Exim 4.96\r\n220-We do not authorize the use of this system to transport unsolicited,\r\n"
			    "220 and/or bulk e-mail.\r\n",
		.hello = "250-$h Hello [$i]\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 HELP\r\n",
		.plain = "250-$h Hello [$i]\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 HELP\r\n",
		.helo = "250 $h Hello [$i]\r\n",
		.mail = "250 OK\r\n",
		.bye = "221 $h closing connection\r\n",
		.unknown = "500 unrecognized command\r\n",
		.answers = {
			[MW_ABSENT] = "550 No Such User Here\r\n",
			[MW_ACCEPT] = "250 Accepted\r\n",
			[MW_AUTH_REQUIRED] = "530 SMTP authentication is required\r\n",
		},
	},
	[MW_SENDMAIL] = {
		.greeting = "220 $h ESMTP Sendmail 8.17.1/8.17.1; ready\r\n",
		.hello = EXTENSIONS("$h Hello [$i], pleased to meet you") "250-PIPELINING\r\n250 HELP\r\n",
		.plain = EXTENSIONS("$h Hello [$i], pleased to meet you") "250 HELP\r\n",
		.helo = "250 $h Hello [$i], pleased to meet you\r\n",
		.mail = "250 2.1.0 <$s>... Sender ok\r\n",
		.bye = "221 2.0.0 $h closing connection\r\n",
		.unknown = "500 5.5.1 Command unrecognized\r\n",
		.answers = {
			[MW_ABSENT] = "550 5.1.1 <$a>... User unknown\r\n",
			[MW_ACCEPT] = "250 2.1.5 <$a>... Recipient ok\r\n",
		},
	},
	[MW_EXCHANGE] = {
		.greeting = "220 $h Microsoft ESMTP MAIL Service ready\r\n",
		.hello = EXTENSIONS("$h Hello [$i]") "250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME\r\n",
		.plain = EXTENSIONS("$h Hello [$i]") "250 BINARYMIME\r\n",
		.helo = "250 $h Hello [$i]\r\n",
		.mail = "250 2.1.0 Sender OK\r\n",
		.bye = "221 2.0.0 Service closing transmission channel\r\n",
		.unknown = "500 5.3.3 Unrecognized command\r\n",
		.answers = {
			[MW_ABSENT] = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup\r\n",
			[MW_ACCEPT] = "250 2.1.5 Recipient OK\r\n",
			[MW_AUTH_REQUIRED] = "530 5.7.1 Client was not authenticated\r\n",
		},
	},
	[MW_OPENSMTPD] = {
		.greeting = "220 $h ESMTP OpenSMTPD\r\n",
		.hello = "250-$h Hello [$i], pleased to meet you\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
			 "250-PIPELINING\r\n250-SIZE 36700160\r\n250 HELP\r\n",
		.plain = "250-$h Hello [$i], pleased to meet you\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n",
		.helo = "250 $h Hello [$i], pleased to meet you\r\n",
		.mail = "250 2.0.0 Ok\r\n",
		.bye = "221 2.0.0 Bye\r\n",
		.unknown = "500 5.5.1 Invalid command: Command unrecognized\r\n",
		.answers = {
			[MW_ABSENT] = "550 Invalid recipient: <$a>\r\n",
			[MW_ACCEPT] = "250 2.1.5 Destination address valid: Recipient ok\r\n",
		},
	},
	[MW_GMAIL] = {
		.greeting = "220 mx.google.com ESMTP $n - gsmtp\r\n",
		.hello = "250-mx.google.com at your service, [$i]\r\n250-SIZE 157286400\r\n250-8BITMIME\r\n"
			 "250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n",
		.helo = "250 mx.google.com at your service\r\n",
		.mail = "250 2.1.0 OK $n - gsmtp\r\n",
		.bye = "221 2.0.0 closing connection $n - gsmtp\r\n",
		.unknown = "502-5.5.1 Unrecognized command. For more information, go to\r\n"
			   "502 5.5.1  https://support.google.com/a/answer/3221692 $n - gsmtp\r\n",
		.answers = {
			[MW_ABSENT] = "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
				      "550-5.1.1 double-checking the recipient's email address for typos or\r\n"
				      "550-5.1.1 unnecessary spaces. For more information, go to\r\n"
				      "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser $n - gsmtp\r\n",
			[MW_ACCEPT] = "250 2.1.5 OK $n - gsmtp\r\n",
			[MW_FULL_TEMPORARY] = "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\r\n"
					      "452-4.2.2 recipient to\r\n"
					      "452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp $n - gsmtp\r\n",
			[MW_FULL] = "552-5.2.2 The recipient's inbox is out of storage space and inactive. Please\r\n"
				    "552-5.2.2 direct the recipient to\r\n"
				    "552 5.2.2  https://support.google.com/mail/?p=OverQuotaPerm $n - gsmtp\r\n",
			[MW_DISABLED] = "550-5.2.1 The email account that you tried to reach is inactive. For more\r\n"
					"550-5.2.1 information, go to\r\n"
					"550 5.2.1  https://support.google.com/mail/?p=DisabledUser $n - gsmtp\r\n",
		},
	},
	[MW_YAHOO] = {
		.greeting = "220 mtaproxy501.free.mail.bf1.yahoo.com ESMTP ready\r\n",
		.hello = "250-mtaproxy501.free.mail.bf1.yahoo.com\r\n250-PIPELINING\r\n250-SIZE 41943040\r\n250 8BITMIME\r\n",
		.helo = "250 mtaproxy501.free.mail.bf1.yahoo.com\r\n",
		.mail = "250 sender <$s> ok\r\n",
		.bye = "221 mtaproxy501.free.mail.bf1.yahoo.com\r\n",
		.unknown = "500 command not recognized\r\n",
		.answers = { [MW_ACCEPT] = "250 recipient <$a> ok\r\n" },
	},
};

#define PHRASE(voice, field) (voices[voice].field ? voices[voice].field : voices[MW_POSTFIX].field)

/* What one line is about. */
struct turn {
	const struct mw_smtp *smtp;
	struct mw_session *session;
	struct mw_out *out;
	const struct mw_host *host;
	const struct mw_operator *operator_;
	const struct mw_behaviour *server;
	const char *argument; /* the address between <> */
	size_t argument_len;
	uint64_t now_ms;
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

static void add_number(struct turn *turn, bool address)
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

static void say(struct turn *turn, const char *text)
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
		default:
			add_number(turn, false);
		}
		text = dollar + 2;
	}
}

static void turn_init(struct turn *turn, const struct mw_smtp *smtp, struct mw_session *session,
		      struct mw_out *out, uint64_t now_ms)
{
	*turn = (struct turn){
		.smtp = smtp, .session = session, .out = out, .argument = "", .now_ms = now_ms
	};
	turn->host = &smtp->world->hosts[session->client.host];
	turn->operator_ = &smtp->world->operators[turn->host->operator_];
	turn->server = &mw_behaviours[turn->operator_->behaviour];
}

static enum mw_next refuse(struct turn *turn, const char *text)
{
	turn->session->errors++;
	say(turn, text);
	return MW_GO_ON;
}

enum mw_next mw_smtp_start(const struct mw_smtp *smtp, struct mw_session *session, uint32_t host,
			   uint32_t source, struct mw_out *out)
{
	struct mw_stats *stats = smtp->stats;
	struct turn turn;
	struct mw_entry *entry = mw_table_put(&stats->by_source, (uint64_t)source + 1);

	*session = (struct mw_session){ .client = { .ip = source, .host = host } };
	turn_init(&turn, smtp, session, out, 0);
	entry->a++;
	stats->sessions++;
	stats->by_host[host]++;
	if (++stats->sessions_open > stats->sessions_open_most)
		stats->sessions_open_most = stats->sessions_open;
	if (turn.host->greets_421) {
		say(&turn, "421 4.3.2 $h Service not available, try the next MX\r\n");
		return MW_CLOSE;
	}
	say(&turn, PHRASE(turn.operator_->voice, greeting));
	return MW_GO_ON;
}

void mw_smtp_end(const struct mw_smtp *smtp, struct mw_session *session, uint64_t now_ms)
{
	uint32_t n =
	    session->recipients < MW_HISTOGRAM - 1 ? session->recipients : MW_HISTOGRAM - 1;

	smtp->stats->by_recipients[n]++;
	smtp->stats->sessions_open--;
	mw_table_put(&smtp->stats->by_source, (uint64_t)session->client.ip + 1)->b +=
	    session->recipients;
	if (session->screened)
		mw_memory_postscreen_over(smtp->memory, &session->client, now_ms);
}

/* The path between < and >, with its parameters left off. False: there is none. */
static bool take_path(struct turn *turn, const char *line, size_t len)
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

static enum mw_next hello(struct turn *turn, const char *line, size_t len, bool extended)
{
	const char *text;

	if (extended && (turn->server->server & MW_HELO_ONLY))
		return refuse(turn, PHRASE(turn->operator_->voice, unknown));
	if (len < 6)
		return refuse(turn, "501 5.5.4 Syntax: EHLO hostname\r\n");
	turn->session->hello = true;
	turn->session->extended = extended;
	turn->session->mail = false;
	turn->session->client.helo = mw_hash_fold(line + 5, len - 5, 0);
	text = !extended				 ? PHRASE(turn->operator_->voice, helo)
	       : turn->server->server & MW_NO_PIPELINING ? PHRASE(turn->operator_->voice, plain)
							 : PHRASE(turn->operator_->voice, hello);
	say(turn, text);
	return MW_GO_ON;
}

static enum mw_next mail(struct turn *turn, const char *line, size_t len)
{
	struct mw_session *session = turn->session;

	turn->smtp->stats->mail++;
	if (!session->hello)
		return refuse(turn, "503 5.5.1 Error: send HELO/EHLO first\r\n");
	if (session->mail)
		return refuse(turn, "503 5.5.1 Error: nested MAIL command\r\n");
	if (!take_path(turn, line, len))
		return refuse(turn, "501 5.5.4 Syntax: MAIL FROM:<address>\r\n");
	if (turn->server->everybody && turn->server->answer == MW_AUTH_REQUIRED &&
	    !turn->operator_->variant)
		return refuse(turn, PHRASE(turn->operator_->voice, answers[MW_AUTH_REQUIRED]));
	session->mail = true;
	session->client.sender = mw_hash_fold(turn->argument, turn->argument_len, 0);
	session->client.sender_key = fold_sender(turn->argument, turn->argument_len);
	say(turn, PHRASE(turn->operator_->voice, mail));
	return MW_GO_ON;
}

static enum mw_next turned_away(struct turn *turn)
{
	struct mw_session *session = turn->session;

	turn->smtp->stats->greylisted++;
	turn->smtp->stats->temporary++;
	switch (turn->server->greylist) {
	case MW_GREY_POSTSCREEN:
		session->screened = true;
		say(turn, "450 4.3.2 Service currently unavailable\r\n");
		break;
	case MW_GREY_MILTER:
		say(turn, "451 4.7.1 Greylisting in action, please come back later\r\n");
		break;
	default:
		refuse(turn, "450 4.2.0 <$a>: Recipient address rejected: Greylisted, "
			     "see http://postgrey.schweikert.ch/help/dom.html\r\n");
	}
	return MW_GO_ON;
}

static enum mw_next answer(struct turn *turn, enum mw_answer what)
{
	const char *text = PHRASE(turn->operator_->voice, answers[what]);
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
	say(turn, text);
	return MW_GO_ON;
}

static enum mw_next throttle(struct turn *turn)
{
	turn->smtp->stats->throttled++;
	turn->smtp->stats->temporary++;
	if (turn->operator_->variant) {
		say(turn, "451 4.7.1 Too many recipients from [$i], rate limit exceeded, try again "
			  "later\r\n");
		return MW_GO_ON;
	}
	say(turn, "421 4.7.0 [$i] Too many recipients from your address, rate limited, try again "
		  "later\r\n");
	return MW_CLOSE;
}

static enum mw_next rcpt(struct turn *turn, const char *line, size_t len)
{
	struct mw_session *session = turn->session;
	const struct mw_world *world = turn->smtp->world;
	struct mw_stats *stats = turn->smtp->stats;
	const struct mw_behaviour *lives;
	const char *at;
	size_t local_len;
	uint32_t domain;
	enum mw_answer what;

	stats->rcpt++;
	session->recipients++;
	if (!session->mail)
		return refuse(turn, "503 5.5.1 Error: need MAIL command\r\n");
	if (!take_path(turn, line, len) ||
	    !(at = memrchr(turn->argument, '@', turn->argument_len)) || at == turn->argument)
		return refuse(turn, "501 5.1.3 Bad recipient address syntax\r\n");
	local_len = (size_t)(at - turn->argument);
	domain = mw_world_find_domain(world, at + 1, turn->argument_len - local_len - 1);
	if (domain == MW_NONE || world->domains[domain].operator_ != turn->host->operator_) {
		stats->relay_denied++;
		return refuse(turn, "554 5.7.1 <$a>: Relay access denied\r\n");
	}
	lives = &mw_behaviours[world->domains[domain].behaviour];
	if ((turn->server->server & MW_MID_421) && session->recipients > MW_MID_421_AFTER) {
		stats->cut_by_421++;
		say(turn, "421 4.3.2 $h Service shutting down, closing transmission channel\r\n");
		return MW_CLOSE;
	}
	if ((turn->server->server & MW_ONE_RECIPIENT) && session->answered) {
		say(turn, "452 4.5.3 Too many recipients\r\n");
		return MW_GO_ON;
	}
	if ((turn->server->server & MW_THROTTLE) &&
	    !mw_memory_throttle(turn->smtp->memory, &session->client, turn->now_ms))
		return throttle(turn);
	if (turn->server->greylist &&
	    !mw_memory_greylist(turn->smtp->memory, turn->server->greylist, &session->client,
				mw_hash_fold(turn->argument, local_len, domain), turn->now_ms))
		return turned_away(turn);
	what = lives->everybody ? lives->answer
				: mw_world_mailbox(world, domain, turn->argument, local_len);
	/* RFC 5321 4.5.1: there is always a postmaster. */
	if (what == MW_ABSENT && local_len == 10 && !strncasecmp(turn->argument, "postmaster", 10))
		what = MW_ACCEPT;
	return answer(turn, what);
}

static enum mw_next no_message(struct turn *turn, uint64_t *counter)
{
	++*counter;
	return refuse(turn, "554 5.5.1 Error: no message is taken here\r\n");
}

static bool is(const char *line, size_t len, const char *verb)
{
	return len >= 4 && !strncasecmp(line, verb, 4) &&
	       (len == 4 || line[4] == ' ' || line[4] == ':');
}

static enum mw_next dispatch(struct turn *turn, const char *line, size_t len)
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
	if (is(line, len, "QUIT")) {
		stats->sessions_quit++;
		say(turn, PHRASE(turn->operator_->voice, bye));
		return MW_CLOSE;
	}
	if (is(line, len, "RSET") || is(line, len, "NOOP")) {
		if (line[0] == 'R' || line[0] == 'r')
			turn->session->mail = false;
		say(turn, "250 2.0.0 Ok\r\n");
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
	stats->unknown_commands++;
	return refuse(turn, PHRASE(turn->operator_->voice, unknown));
}

enum mw_next mw_smtp_line(const struct mw_smtp *smtp, struct mw_session *session, const char *line,
			  size_t len, bool more, uint64_t now_ms, struct mw_out *out,
			  uint32_t *ret_delay_ms)
{
	struct turn turn;
	enum mw_next next;

	*ret_delay_ms = 0;
	turn_init(&turn, smtp, session, out, now_ms);
	if (more && (turn.server->server & MW_NO_PIPELINING)) {
		smtp->stats->too_early++;
		say(&turn, "554 5.5.0 Error: SMTP protocol synchronization\r\n");
		return MW_CLOSE;
	}
	next = dispatch(&turn, line, len);
	if (next != MW_CLOSE)
		*ret_delay_ms = smtp->world->reply_delay_ms;
	if (next == MW_CLOSE || turn.operator_->voice != MW_POSTFIX)
		return next;
	/* smtpd_soft_error_limit, smtpd_error_sleep_time, smtpd_hard_error_limit */
	if (session->errors >= POSTFIX_SOFT_ERRORS) {
		smtp->stats->slowed_replies++;
		*ret_delay_ms = POSTFIX_ERROR_DELAY_MS;
	}
	if (session->errors >= POSTFIX_HARD_ERRORS) {
		say(&turn, "421 4.7.0 $h Error: too many errors\r\n");
		return MW_CLOSE;
	}
	return next;
}
