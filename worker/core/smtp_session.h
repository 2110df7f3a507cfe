/*
 * smtp_session - one SMTP conversation up to RCPT TO, as a state machine (RFC 5321, 3 and 4).
 *
 * Performs no I/O and keeps no clock. The owner feeds events with the time in; after each it sends
 * session->command where smtp_session_take() gives one, starts TLS where smtp_session_take_tls()
 * says so, offers recipients when smtp_session_ready(), and closes when smtp_session_over(). It
 * does not know recipients: it counts the RCPT commands it was given and says which one a reply
 * belongs to. Embedded in the probe; its only memory are the reply's and the command's buffers in
 * the shard's arena. A server's refusal is an answer; `failure` is set where the conversation
 * itself broke.
 */
#ifndef WORKER_CORE_SMTP_SESSION_H
#define WORKER_CORE_SMTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rollcall.pb-c.h"
#include "worker/core/probe.h"
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
	const struct probe_limits *limits;
	Rollcall__Stage replied;   /* of the reply just taken */
	uint32_t rcpt;		   /* with replied = RCPT: which one of the group, from 0 */
	Rollcall__Stage stage;	   /* once over: where it ended; UNSET: in order, after QUIT */
	Rollcall__Failure failure; /* once over: NONE where it ended in order or by a 421 */
	bool refused;		   /* greeting, EHLO or MAIL was refused: nobody can be asked */
	bool said_421;
	bool unasked; /* it said more than it was asked for: which reply is whose is not known */
	bool used_helo;
	bool pipelining;
	bool smtputf8;
	bool starttls;
	bool enhanced;		  /* ENHANCEDSTATUSCODES */
	bool size;		  /* SIZE */
	uint32_t size_most;	  /* that it says; 0: no limit */
	bool tls;		  /* from here on what is said is sealed */
	bool tls_want;		  /* STARTTLS where it is offered */
	bool tls_must;		  /* and nothing is asked without it */
	uint32_t tls_thrown_away; /* octets that came in plain text behind the reply to STARTTLS */

	/* private */
	uint8_t state;
	bool unsent;  /* a command stands written and was not taken yet */
	bool tls_due; /* the handshake is to be started */
	bool quit_early; /* QUIT went out before all was answered */
	bool quit_odd;	 /* a reply to it that may be another's */
	bool rset_due;
	bool mail_due; /* MAIL's reply is still to come */
	bool mail_done;
	uint32_t rcpt_due;  /* RCPTs of this group without a reply */
	uint32_t rcpt_sent; /* RCPTs of this group */
	uint64_t entered_ms;
};

/* For the first connection of a shard; `helo` and `limits` outlive it. */
void smtp_session_init(struct smtp_session *session, struct rc_arena *arena, const char *helo,
		       const struct probe_limits *limits);
/* A connection is being opened. `tls_want`, `tls_must`: as in the struct. */
void smtp_session_start(struct smtp_session *session, bool tls_want, bool tls_must,
			uint64_t now_ms);

void smtp_session_connected(struct smtp_session *session, uint64_t now_ms);
/* Takes octets up to the end of one reply; call again with the rest while it says SMTP_REPLIED. */
enum smtp_news smtp_session_data(struct smtp_session *session, const char *data, size_t len,
				 size_t *ret_used, uint64_t now_ms);
/* The connection failed, or the server closed it. */
void smtp_session_closed(struct smtp_session *session, Rollcall__Failure failure, uint64_t now_ms);
/* True where the time limit of its state has passed: it is over now. */
bool smtp_session_time(struct smtp_session *session, uint64_t now_ms);

/* The handshake has succeeded; false: there was none. All that was learned before it is forgotten
 * (RFC 3207, 4.2). */
bool smtp_session_sealed(struct smtp_session *session, uint64_t now_ms);
/*
 * The server has just refused EHLO or MAIL because it wants TLS first. True: STARTTLS goes out
 * instead of what was to follow, and the session begins anew behind it. False: it cannot, now.
 */
bool smtp_session_upgrade(struct smtp_session *session, uint64_t now_ms);

/* Whether MAIL or RCPT may be given now. */
bool smtp_session_ready(const struct smtp_session *session);
/* As Session.extensions in proto/rollcall.proto has them. */
uint32_t smtp_session_extensions(const struct smtp_session *session);
/* Whether MAIL has been accepted in this session. */
bool smtp_session_mailed(const struct smtp_session *session);
/*
 * One group: RSET where there was a MAIL before, MAIL, then RCPTs; then smtp_session_flush(). With
 * more than one command the server must have said PIPELINING. False: the argument cannot be sent,
 * and is not in the group.
 */
bool smtp_session_reset(struct smtp_session *session);
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
/* Whether TLS is to be started now; once. */
bool smtp_session_take_tls(struct smtp_session *session);
bool smtp_session_over(const struct smtp_session *session);
uint64_t smtp_session_deadline(const struct smtp_session *session);
/* "waiting for the greeting": static text. */
const char *smtp_session_doing(const struct smtp_session *session);

#endif
