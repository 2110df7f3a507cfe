/*
 * smtp_session - one SMTP conversation up to RCPT TO, as a state machine (RFC 5321, 3 and 4).
 *
 * Performs no I/O and keeps no clock. The owner feeds events with the time in; after each it sends
 * session->command where smtp_session_take() gives one, offers recipients when
 * smtp_session_ready(), and closes when smtp_session_over(). It does not know recipients: it counts
 * the RCPT commands it was given and says which one a reply belongs to. Embedded in the probe; its
 * only memory are the reply's and the command's buffers in the shard's arena. A server's refusal is
 * an answer; `failure` is set where the conversation itself broke.
 */
#ifndef WORKER_CORE_SMTP_SESSION_H
#define WORKER_CORE_SMTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rollcall.pb-c.h"
#include "worker/core/smtp_command.h"
#include "worker/core/smtp_reply.h"

enum smtp_news {
	SMTP_MORE = 1, /* the octets are taken; nothing to say */
	SMTP_REPLIED,  /* session->reply answers a command of session->replied; for RCPT the
			  session->rcpt-th of this group */
	SMTP_OVER /* the conversation has just ended; session->stage and session->failure say where
		     and how */
};

struct smtp_session {
	struct smtp_reply reply;
	struct smtp_command command;
	const char *helo;
	Rollcall__Stage replied;   /* of the reply just taken */
	uint32_t rcpt;		   /* with replied = RCPT: which one of the group, from 0 */
	Rollcall__Stage stage;	   /* once over: where it ended; UNSET: in order, after QUIT */
	Rollcall__Failure failure; /* once over: NONE where it ended in order or by a 421 */
	bool refused;		   /* greeting, EHLO or MAIL was refused: nobody can be asked */
	bool said_421;
	bool used_helo;
	bool pipelining;
	bool smtputf8;
	bool starttls;

	/* private */
	uint8_t state;
	bool unsent;   /* a command stands written and was not taken yet */
	bool mail_due; /* MAIL's reply is still to come */
	bool mail_done;
	uint32_t rcpt_due;  /* RCPTs of this group without a reply */
	uint32_t rcpt_sent; /* RCPTs of this group */
	uint64_t entered_ms;
};

/* For the first connection of a shard; `helo` outlives it. */
void smtp_session_init(struct smtp_session *session, struct rc_arena *arena, const char *helo);
/* A connection is being opened. */
void smtp_session_start(struct smtp_session *session, uint64_t now_ms);

void smtp_session_connected(struct smtp_session *session, uint64_t now_ms);
/* Takes octets up to the end of one reply; call again with the rest while it says SMTP_REPLIED. */
enum smtp_news smtp_session_data(struct smtp_session *session, const char *data, size_t len,
				 size_t *ret_used, uint64_t now_ms);
/* The connection failed, or the server closed it. */
void smtp_session_closed(struct smtp_session *session, Rollcall__Failure failure, uint64_t now_ms);
/* True where the time limit of its state has passed: it is over now. */
bool smtp_session_time(struct smtp_session *session, uint64_t now_ms);

/* Whether MAIL or RCPT may be given now. */
bool smtp_session_ready(const struct smtp_session *session);
/* Whether MAIL has been accepted in this session. */
bool smtp_session_mailed(const struct smtp_session *session);
/*
 * One group: MAIL (first in a session), then RCPTs; then smtp_session_flush(). With more than one
 * command the server must have said PIPELINING. False: the argument cannot be sent, and is not in
 * the group.
 */
bool smtp_session_mail(struct smtp_session *session, const char *from, bool smtputf8);
bool smtp_session_rcpt(struct smtp_session *session, const void *local, size_t len,
		       const char *domain, bool smtputf8);
void smtp_session_flush(struct smtp_session *session, uint64_t now_ms);
/* Ends it in order; before the greeting and after a break it just ends. */
void smtp_session_quit(struct smtp_session *session, uint64_t now_ms);
/* Ends it without another word. */
void smtp_session_cut(struct smtp_session *session, uint64_t now_ms);

/* What is to be sent now, once; NULL: nothing. Valid until the next call that writes. */
const char *smtp_session_take(struct smtp_session *session, size_t *ret_len);
bool smtp_session_over(const struct smtp_session *session);
/* Whether QUIT is under way: answers can no longer come. */
bool smtp_session_leaving(const struct smtp_session *session);
uint64_t smtp_session_deadline(const struct smtp_session *session);
/* The stage it is at. */
Rollcall__Stage smtp_session_stage(const struct smtp_session *session);
/* "waiting for the greeting": static text. */
const char *smtp_session_doing(const struct smtp_session *session);

#endif
