/*
 * fitness - whether a lane is fit to probe: what to ask the DNS and the mail servers, and what the
 * answers amount to.
 *
 * Pure: questions out, answers in. Each check is written from top to bottom and is simply done
 * again, from its beginning, when an answer has come that it waited for; what was answered once is
 * not asked again. A fitness is one look at one lane, on the heap, at most FITNESS_QUESTIONS_MAX
 * questions; one owner, one thread. Findings are whole sentences with the way out.
 */
#ifndef WORKER_FITNESS_FITNESS_H
#define WORKER_FITNESS_FITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/core/dns_answer.h"

enum {
	FITNESS_QUESTIONS_MAX = 64,
	FITNESS_IPS_MAX = 4,
	FITNESS_TEXT_MAX = 400,
	FITNESS_SAID_MAX = 160,
	FITNESS_DNSBLS_MAX = 16
};

enum fitness_check {
	FITNESS_ADDRESS = 1, /* this machine has the address */
	FITNESS_PORT,	     /* port 25 is open from it */
	FITNESS_REVERSE,     /* PTR = HELO = A */
	FITNESS_MX,	     /* MAIL FROM can be answered */
	FITNESS_SPF,
	FITNESS_ABUSE,
	FITNESS_POSTMASTER,
	FITNESS_DNSBL,
	FITNESS_CHECKS = FITNESS_DNSBL
};

enum fitness_result {
	FITNESS_WAITS = 0,
	FITNESS_OK,
	FITNESS_WARN,
	FITNESS_UNSURE, /* of a check that decides: nobody could be asked just now */
	FITNESS_FAIL
};

struct fitness_finding {
	enum fitness_check check;
	enum fitness_result result;
	char text[FITNESS_TEXT_MAX];
};

/* The first four checks decide whether a lane may probe; the rest warn. */
bool fitness_decides(enum fitness_check check);
/* "port25": static text, stable: it stands in the API. */
const char *fitness_check_name(enum fitness_check check);
/* "ok", "warn", "unsure", "fail". */
const char *fitness_result_name(enum fitness_result result);

/* Strings outlive the fitness. */
struct fitness_lane {
	const char *public_address;
	const char *bind_address;
	const char *helo;
	const char *mail_from;
	const char *problem; /* why the address cannot be bound; NULL or "": it can */
};

struct fitness_settings {
	const char
	    *target;   /* host, host:port or address; NULL or "": the MX of MAIL FROM's domain */
	uint16_t port; /* of mail servers */
	size_t dnsbl_n;
	const char *dnsbls[FITNESS_DNSBLS_MAX];
	/* Whether an address may be connected to; `*ret_why`: static text. */
	bool (*allowed)(const void *context, const struct probe_ip *ip, const char **ret_why);
	const void *context;
};

enum fitness_kind {
	FITNESS_LOOK_UP = 1, /* name, type */
	FITNESS_GREETING,    /* connect, read the greeting, QUIT */
	FITNESS_RECIPIENTS   /* as far as RCPT TO abuse@name and postmaster@name, QUIT */
};

struct fitness_question {
	enum fitness_kind kind;
	char name[DNS_NAME_MAX]; /* to look up; or the server's, or the recipients' domain */
	enum dns_type type;
	size_t ip_n; /* to connect to, one after the other until one answers; all are allowed */
	struct probe_ip ip[FITNESS_IPS_MAX];
	uint16_t port;
};

/* One reply; code 0: there was none, and `text` says why. */
struct fitness_reply {
	unsigned code;
	char text[FITNESS_SAID_MAX];
};

/* What came of a call. What was not reached stays at code 0 with its text. */
struct fitness_call {
	struct probe_ip ip;
	struct fitness_reply greeting;
	struct fitness_reply abuse, postmaster;
};

struct fitness;

/* NULL: out of memory. */
struct fitness *fitness_new(const struct fitness_lane *lane,
			    const struct fitness_settings *settings);
/* Takes NULL. */
void fitness_free(struct fitness *fitness);

/* The next question that was not handed out yet; NULL: none, for now. It stays where it is until
 * fitness_free(). */
const struct fitness_question *fitness_ask(struct fitness *fitness);
void fitness_looked_up(struct fitness *fitness, const struct fitness_question *question,
		       const struct dns_answer *answer);
void fitness_called(struct fitness *fitness, const struct fitness_question *question,
		    const struct fitness_call *call);
bool fitness_done(const struct fitness *fitness);

/* Of check 1 to FITNESS_CHECKS; once done none of them waits. */
const struct fitness_finding *fitness_finding(const struct fitness *fitness,
					      enum fitness_check check);
/* The worst of the checks that decide: FITNESS_OK, FITNESS_UNSURE or FITNESS_FAIL. */
enum fitness_result fitness_verdict(const struct fitness *fitness);

#endif
