/*
 * probe_state - what a probe is made of; private to probe*.c.
 *
 * probe.c walks from connection to connection, probe_round.c decides what is asked in one and what
 * becomes of those without an answer, probe_answer.c reads the answers, probe_control.c keeps the
 * controls, probe_report.c the evidence and the parts. Recipients change state in rcpt_set_state()
 * only, which stands in probe_rcpt.c.
 */
#ifndef WORKER_CORE_PROBE_STATE_H
#define WORKER_CORE_PROBE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "worker/core/control.h"
#include "worker/core/mx_plan.h"
#include "worker/core/probe.h"
#include "worker/core/smtp_session.h"

enum {
	PROBE_RECIPIENTS_MAX = 100,
	PROBE_LIFE_MS = 300000,
	PROBE_LEAVE_MS = 3000, /* before the end of its life: time for QUIT and the last part */
	PROBE_PART_MS = 1000,  /* an answer waits no longer for its part */
	PROBE_PART_OCTETS = 262144, /* nor where as much evidence has come since the last one */
	PROBE_REJECTIONS = 9,	    /* Postfix makes every reply wait from the 10th on */
	PROBE_RESETS = 8,	    /* RSETs a session: Exim takes 10 commands that are no mail */
	PROBE_MINUTE = 30, /* recipients, where the budget says nothing; the pacer has the same */
	PROBE_LOCAL_TRIES = 4, /* short retries of one recipient */
	PROBE_SMALLER_TRIES =
	    8, /* times one recipient may be turned away for the size of the batch */
	PROBE_CONNECTIONS_SPARE = 24, /* connections beyond one a recipient */
	PROBE_STARVE_RUN = 5, /* clear answers before the odd ones mean that we are being starved */
	PROBE_STARVE_UNIFORM = 3, /* the same odd answer as often */
	PROBE_CLOSING_RUN = 10,	  /* acceptances in a row before they are doubted */
	PROBE_REPEAT_RUN = 3,	  /* refusals at a session's end, behind an acceptance: likewise */
	PROBE_BACK_OFF_MS =
	    60000, /* unscaled: what the coordinator is told, where the pacer says nothing longer */
	PROBE_NOBODY = 0xffff
};

/* Where a recipient stands. One count for each in the probe. */
enum rcpt_state {
	RCPT_PENDING = 1, /* to be asked, in line */
	RCPT_OFFERED,	  /* asked, no reply yet */
	RCPT_WAITING,	  /* answered; asked again at due_ms */
	RCPT_HELD,	  /* answered; goes out with the control that decides it */
	RCPT_READY,	  /* to be reported */
	RCPT_REPORTED,
	RCPT_STATES
};

/* The conversation as evidence. */
struct probe_talk {
	Rollcall__Session message;
	struct probe_talk *next;
	uint64_t started_ms;
	uint32_t part;	/* the part that holds it last; 0: none */
	uint32_t index; /* + 1, in that part */
	uint32_t transcript_room;
};

struct probe_rcpt {
	const Rollcall__Recipient *from;
	Rollcall__Answer answer;
	struct probe_talk *talk; /* where it was answered; NULL: nowhere */
	uint64_t due_ms;
	uint32_t order; /* which answer of the shard it is, from 1 */
	uint16_t next;	/* in line; PROBE_NOBODY: the last */
	uint8_t state;
	uint8_t local_tries;
	uint8_t smaller;
	uint8_t held_for; /* which control */
	bool offered;	  /* ever */
	bool to_prove;	  /* refused: whether the server tells one from the other is to be seen */
};

/* Why an address was left. */
struct probe_why {
	Rollcall__Stage stage;
	Rollcall__Failure failure; /* NONE: the reply says it */
	Rollcall__Reply *reply;
	struct probe_talk *talk;
};

enum control_state {
	CONTROL_UNASKED = 1,
	CONTROL_WANTED, /* in the next group */
	CONTROL_OFFERED,
	CONTROL_WAITING, /* a short retry, at due_ms */
	CONTROL_SETTLED	 /* answered, or given up */
};

struct probe_control {
	Rollcall__Control message;
	struct probe_talk *talk;
	uint64_t due_ms;
	uint8_t state;
	uint8_t local_tries;
	uint8_t smaller;
	uint8_t lost; /* conversations that broke before it was answered */
	uint8_t local_len;
	char local[SMTP_LOCAL_MAX + 1];
};

/* CLOSING: another random one behind a long run of acceptances, when the first was refused. A
 * server that has begun to accept whatever we ask for shows there. REPEAT: somebody whom it has
 * accepted (in this shard, or the shard's witness), once more, behind a run of refusals that ends a
 * session; one that has begun to refuse whomever we ask for, in whatever words, shows there. Both
 * are asked by the worker for itself, and are in no report. */
enum { CONTROL_RANDOM, CONTROL_POSTMASTER, CONTROL_CLOSING, CONTROL_REPEAT, CONTROLS };

struct probe {
	const struct probe_config *config;
	struct probe_limits limits; /* the config's, with the defaults filled in */
	const struct probe_identity *identity;
	Rollcall__Shard *shard;
	struct rc_arena *arena;
	size_t part_used;   /* of it, at the last part */
	const char *host;   /* spoken to last; the name lives as long as the shard */
	struct probe_ip ip; /* of it, and where */
	const struct rc_provider *provider; /* of the host spoken to; NULL: nobody known */
	struct mx_plan plan;
	struct smtp_session session;

	uint8_t state;	    /* of probe.c */
	uint8_t next_state; /* CLOSING: what follows */
	bool slot;	    /* leave to connect was asked for or given */
	bool stopping;	    /* no new connection; what is unanswered is not probed */
	bool cut;
	bool no_memory;
	bool starved;
	bool backed_off; /* it asked us to slow down */
	bool some_utf8;	 /* a recipient needs SMTPUTF8 */
	bool resolve_mx; /* the MX set came without the shard */

	uint64_t seed;
	uint64_t started_ms;
	int64_t wall_ms;     /* at started_ms */
	uint64_t entered_ms; /* its state */
	uint64_t rest_ms;    /* RESTING: until then */
	uint64_t leave_ms;
	uint64_t end_ms;

	struct probe_rcpt *rcpts;
	uint16_t counts[RCPT_STATES];
	uint16_t first, last;		  /* the line of the pending ones */
	uint16_t ready_first, ready_last; /* the ready ones: the same links, they are never both */
	struct probe_control controls[CONTROLS];
	uint16_t *group; /* whom the RCPTs of the group are for: index, or rcpt_n + control */
	uint16_t rcpt_n;

	/* this connection */
	struct probe_talk *talk;
	uint64_t sent_ms;
	uint32_t offered;  /* RCPTs sent, the controls' counted */
	uint32_t answered; /* of them, with a reply that says something */
	uint32_t rejected;
	uint32_t mail_offered; /* the same since the last MAIL */
	uint32_t mail_answered;
	uint8_t resets;
	bool reset; /* RSET and a smaller transaction come next */
	bool connected;
	bool throttled;
	bool failed;	/* the connection, or a time limit */
	bool enough;	/* QUIT when the group is answered */
	bool utf8;	/* MAIL said SMTPUTF8 */
	bool tls_asked; /* the server said that it wants TLS first */
	bool probing;	/* between PROBE_CONNECT and the reading of how it ended */

	/* from connection to connection */
	bool opened;	   /* one was opened in this shard */
	bool one_by_one;   /* no pipelining: it broke */
	bool unasked;	   /* a server answered more than it was asked */
	uint8_t idle;	   /* conversations in a row that told nothing */
	uint8_t cut_short; /* conversations that a 421 ended after some answers */
	uint16_t connections;
	uint32_t session_most;	 /* RCPTs a session, as the server would have it; 0: not said */
	uint32_t mail_most;	 /* RCPTs after one MAIL, likewise */
	bool no_reset;		 /* RSET did not help */
	uint32_t clean;		 /* accepted since the last refusal */
	uint32_t accept_run;	 /* the same, a control's refusal counted */
	uint32_t accept_since;	 /* order of the first of them */
	uint32_t refuse_run;	 /* recipients refused by name since the last acceptance */
	uint32_t refuse_since;	 /* order of the first of them */
	const char *refuse_rule; /* the rule of the last */
	uint32_t heard_yes;	 /* this session: what it had answered at its last acceptance */
	uint16_t accepted;	 /* who was accepted last; PROBE_NOBODY: none yet */
	bool repeat_most;	 /* session_most is what it answered soundly: the repeat has room */
	struct probe_why why;	 /* of the last address that was left; stage UNSET: none was */
	struct probe_why left;	 /* the same, but for hosts that take no mail */

	uint32_t clear_run;
	uint32_t throttle_run;
	uint32_t odd_run;
	uint32_t odd_hash;
	uint32_t odd_since; /* order of the first odd one */
	uint32_t order;	    /* answers so far */

	/* parts */
	struct probe_talk *talks, *talks_last;
	struct probe_talk *talks_new; /* the first that no part has had */
	uint64_t ready_ms;	      /* since when an answer waits for its part */
	Rollcall__Report report;
	Rollcall__LaneHealth health;
	bool health_known;
	Rollcall__Answer **part_answers;
	Rollcall__Control *part_controls[CONTROLS];
	bool final_sent;
};

/* probe_rcpt.c */
void rcpt_set_state(struct probe *probe, struct probe_rcpt *rcpt, enum rcpt_state state,
		    uint64_t now_ms);
struct probe_rcpt *rcpt_first(struct probe *probe);
/* Back in line, as if never answered. */
void rcpt_put_back(struct probe *probe, struct probe_rcpt *rcpt, uint64_t now_ms);
/* What was answered in `talk` and is not reported yet is as if it had not been: back in line. */
void rcpt_recall(struct probe *probe, const struct probe_talk *talk, uint64_t now_ms);
/* A recipient's answer is that there is none. */
void rcpt_fail(struct probe *probe, struct probe_rcpt *rcpt, Rollcall__Stage stage,
	       Rollcall__Failure failure, uint64_t now_ms);
int64_t probe_wall(const struct probe *probe, uint64_t now_ms);
/* `wait_s` of the unscaled kind, on our clock. */
uint64_t probe_after(const struct probe *probe, uint32_t wait_s, uint64_t now_ms);

/* probe_round.c */
/* The server wants TLS first, and can have it in this session: true, and it is on its way. */
bool probe_round_upgrade(struct probe *probe, uint64_t now_ms);
/* The session stands ready: gives it the next group, or QUIT. */
void probe_round_plan(struct probe *probe, uint64_t now_ms);
/* The conversation is over: whoever has no answer goes back in line, or gets what there is. */
void probe_round_over(struct probe *probe, uint64_t now_ms);
/* Whether somebody is to be asked now. */
bool probe_round_wanted(const struct probe *probe);
/* Whether a session takes one recipient. */
bool probe_round_single(const struct probe *probe);
/* RCPTs that the next session may send. */
uint32_t probe_round_most(const struct probe *probe);

/* probe_answer.c */
/* session.reply is the reply to session.replied. */
void probe_answer_reply(struct probe *probe, uint64_t now_ms);
/* Every pending one is answered with what the servers said to us at `stage`; `reply` NULL:
 * `failure`. */
void probe_answer_refused(struct probe *probe, Rollcall__Stage stage, Rollcall__Reply *reply,
			  Rollcall__Failure failure, struct probe_talk *talk, uint64_t now_ms);
/* What is not answered now never will be. */
void probe_answer_end(struct probe *probe, uint64_t now_ms);
/* It asks us to slow down, whoever we ask for: the others are better asked later. */
void probe_answer_back_off(struct probe *probe, uint64_t now_ms);
void probe_answer_fill(struct probe *probe, struct probe_rcpt *rcpt, Rollcall__Stage stage,
		       Rollcall__Reply *reply, Rollcall__Failure failure, struct probe_talk *talk,
		       uint64_t now_ms);
void probe_answer_classify(const struct probe *probe, Rollcall__Stage stage,
			   const Rollcall__Reply *reply, struct rc_classification *ret);
/* Notes in the conversation why its answers are suspect. */
void probe_answer_suspect(struct probe *probe, struct probe_talk *talk, unsigned code);
bool probe_answer_throttles(const struct rc_classification *class);

/* probe_control.c */
/* Whether the domain's random control, as far as it is known, says nothing of the host spoken to:
 * each host may take mail by rules of its own, and one that only stands in for another often takes
 * all. */
bool probe_control_elsewhere(const struct probe *probe);
/* Whether an acceptance of this conversation calls for the random control. */
bool probe_control_due(const struct probe *probe);
/* It is to be asked, unless it was already: the random one, at this host. */
void probe_control_want(struct probe *probe, int which);
/* Who is to be asked for once more; NULL: nobody is known here. */
const ProtobufCBinaryData *probe_control_witness(const struct probe *probe);
/* Whether so many were refused that it is time for it. */
bool probe_control_run(const struct probe *probe);
/* The session is about to end, or there is none: asks the closing one where somebody waits for it.
 */
void probe_control_close(struct probe *probe);
/* Whether this session may be asked for somebody once more, and nobody else. */
bool probe_control_repeat_due(const struct probe *probe);
/* Its answer is still to come. */
bool probe_control_open(const struct probe_control *control);
/* Its word is spoken: those who waited for it may go. */
void probe_control_settle(struct probe *probe, struct probe_control *control, uint64_t now_ms);
/* Likewise of the controls. */
void probe_control_recall(struct probe *probe, const struct probe_talk *talk, uint64_t now_ms);
/* It got no answer, and will not. */
void probe_control_fail(struct probe *probe, struct probe_control *control, Rollcall__Stage stage,
			Rollcall__Failure failure, uint64_t now_ms);
/* Its conversation broke; after the third it has failed. */
void probe_control_lost(struct probe *probe, struct probe_control *control, Rollcall__Stage stage,
			Rollcall__Failure failure, uint64_t now_ms);

/* probe_report.c */
/* The reply in session.reply, kept. NULL: no memory, and no_memory is set. */
Rollcall__Reply *probe_keep_reply(struct probe *probe);
/* A connection begins: its evidence. NULL: no memory. */
struct probe_talk *probe_talk_new(struct probe *probe, const char *host, const struct probe_ip *ip,
				  uint64_t now_ms);
void probe_talk_said(struct probe *probe, const char *data, size_t len);
void probe_talk_sealed(struct probe *probe, const struct probe_tls *info);
void probe_talk_heard(struct probe *probe);
/* Whether a part that is not the last is due: `at_once`, or as soon as an answer has waited its
 * time. Answers of sessions that follow each other within it share a part. */
bool probe_part_due(const struct probe *probe, bool at_once, uint64_t now_ms);
const Rollcall__Report *probe_part(struct probe *probe, bool final, uint64_t now_ms);

#endif
