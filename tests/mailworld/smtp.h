/*
 * smtp - the server's side of a session: a command line in, a reply out.
 *
 * Performs no I/O and keeps no clock. The owner reads lines, hands them over with the time, and
 * sends what gathered in `out`; a slowed reply goes out `delay_ms` later. Nothing a client sends
 * can fail it: lines have a cap, answers are counted.
 */
#ifndef MAILWORLD_SMTP_H
#define MAILWORLD_SMTP_H

#include "tests/mailworld/memory.h"

enum {
	MW_LINE_MAX = 2048
}; /* octets of a command line with its CRLF; a longer one ends the session */

/* What is to be sent. One for the process. Past `room` nothing is added and `full` is set. */
struct mw_out {
	char *data;
	size_t len, room;
	bool full;
};

struct mw_smtp {
	struct mw_memory *memory;
	struct mw_stats *stats;
	const struct mw_world *world;
};

struct mw_session {
	struct mw_client client;
	uint16_t recipients;			 /* RCPT commands seen */
	uint16_t answered;			 /* of them, with an answer about the mailbox */
	uint16_t errors;			 /* as Postfix counts them */
	uint16_t transaction;			 /* recipients of it so far */
	uint8_t idle_commands, unknown_commands; /* as Exim counts them */
	uint8_t protocol_errors;		 /* as Exchange does */
	enum mw_tls_fault tls_fault;
	uint32_t ordinal; /* which session of this client it is, where that matters */
	bool hello, mail, extended, utf8, tls, quit;
	bool screened; /* postscreen turned a recipient away here */
};

/* What becomes of the connection once the output is sent. */
enum mw_next {
	MW_GO_ON = 1,
	MW_CLOSE,
	MW_RESET,
	MW_HALF_CLOSE,
	MW_MUTE,	/* nothing more is ever said, all is read */
	MW_TRICKLE,	/* the output goes out an octet a second, its last one for ever */
	MW_FLOOD_LINE,	/* octets without a line's end, for ever */
	MW_FLOOD_LINES, /* lines of one reply, for ever */
	MW_START_TLS
};

/* Writes the greeting; `*ret_delay_ms` as below. */
enum mw_next mw_smtp_start(const struct mw_smtp *smtp, struct mw_session *session, uint32_t host,
			   uint32_t source, struct mw_out *out, uint32_t *ret_delay_ms);
/*
 * One command without its line end. `more`: further octets had already arrived behind it.
 * `*ret_delay_ms` not 0: the reply that was just added to `out` may leave no sooner than that, and
 * no command is read before.
 */
enum mw_next mw_smtp_line(const struct mw_smtp *smtp, struct mw_session *session, const char *line,
			  size_t len, bool more, uint64_t now_ms, struct mw_out *out,
			  uint32_t *ret_delay_ms);
/* The connection is over, by whomever. */
void mw_smtp_end(const struct mw_smtp *smtp, struct mw_session *session, uint64_t now_ms);

#endif
