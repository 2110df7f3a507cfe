/*
 * smtp_parts - what the files of the server's side of a session share.
 *
 * smtp.c takes commands, voices.c knows the words, hostile.c what replaces an answer. Pure.
 */
#ifndef MAILWORLD_SMTP_PARTS_H
#define MAILWORLD_SMTP_PARTS_H

#include "tests/mailworld/smtp.h"

/*
 * How each kind of server talks. In a text, $h is the host, $a the recipient, $s the sender, $i
 * the client's address, $n a queue-like number, $0 a NUL. `hello` comes with PIPELINING, `plain`
 * without; both are an EHLO's lines but the last, which smtp.c writes after those of STARTTLS and
 * SMTPUTF8.
 */
struct mw_voice_words {
	const char *greeting, *hello, *plain, *last, *helo, *mail, *bye, *unknown, *ok;
	const char *answers[MW_ANSWERS];
	const char *too_many;	 /* recipients of a transaction */
	const char *throttled;	 /* NULL: as the operator's variant does */
	uint16_t recipients_max; /* by default */
};

/* NULL fields: as Postfix does. */
extern const struct mw_voice_words mw_voices[MW_VOICES];

#define MW_WORDS(voice, field)                                                                     \
	(mw_voices[voice].field ? mw_voices[voice].field : mw_voices[MW_POSTFIX].field)

/* What one line is about. */
struct mw_turn {
	const struct mw_smtp *smtp;
	struct mw_session *session;
	struct mw_out *out;
	const struct mw_host *host;
	const struct mw_operator *operator_;
	const struct mw_behaviour *server;
	const char *argument; /* the address between <> */
	size_t argument_len;
	uint64_t now_ms;
	uint32_t delay_ms;
};

void mw_say(struct mw_turn *turn, const char *text);

/* At one stage of a session, before anything is said: MW_GO_ON where this server answers like
 * others there; else what it says stands in the output. */
enum mw_next mw_hostile_turn(struct mw_turn *turn, enum mw_stage stage);

#endif
