/*
 * behaviour - everything that a mail server of the simulated world can do to us, one table row
 * each, with the truth that a correct and honest verifier arrives at in the end (statuses and
 * reasons of the verdict).
 *
 * Static data. To add a behaviour: add its name to the enum and its row to behaviour.c; what no row
 * can say with the existing columns is a new flag that smtp.c (or dns.c) looks at.
 */
#ifndef MAILWORLD_BEHAVIOUR_H
#define MAILWORLD_BEHAVIOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a server says of one recipient. Kept in 5 bits of a mailbox's key. */
enum mw_answer {
	MW_ABSENT = 0,
	MW_ACCEPT,
	MW_FORWARD,	   /* 251 */
	MW_FULL_TEMPORARY, /* 452 4.2.2 */
	MW_FULL,	   /* 552 5.2.2 */
	MW_DISABLED,
	MW_NOT_LOCAL,	     /* 551 */
	MW_NAME_NOT_ALLOWED, /* 553 */
	MW_POLICY,
	MW_CANNOT_VERIFY,
	MW_IP_BLOCKED,
	MW_AUTH_REQUIRED,
	MW_REFUSE_ALL, /* a refusal that names nobody */
	MW_UNVERIFIED, /* 450, for good: Postfix reject_unverified_recipient */
	MW_ANSWERS
};

/* Whose words a server speaks. */
enum mw_voice {
	MW_VOICE_ANY = 0, /* one of those of small domains */
	MW_POSTFIX,
	MW_EXIM,
	MW_SENDMAIL,
	MW_EXCHANGE,
	MW_OPENSMTPD,
	MW_GMAIL,
	MW_YAHOO,
	MW_VOICES
};

enum mw_dns {
	MW_DNS_MX = 1,
	MW_DNS_A_ONLY,
	MW_DNS_NULL_MX,
	MW_DNS_NXDOMAIN,
	MW_DNS_SERVFAIL,
	MW_DNS_NOTHING, /* the name exists, without MX or address */
	MW_DNS_PRIVATE	/* MX with an address in private space */
};

enum mw_greylist {
	MW_GREY_NONE = 0,
	MW_GREY_POSTGREY,   /* /24 + sender + recipient, 300 s; client known after 5 passes */
	MW_GREY_MILTER,	    /* exact IP + sender + recipient, 30 min */
	MW_GREY_POSTSCREEN, /* exact IP; every recipient of the first session */
	MW_GREY_FOREVER	    /* never lets anybody in */
};

enum mw_server_flag {
	MW_DEAD_FIRST = 1 << 0, /* the preferred MX refuses connections */
	MW_DEAD = 1 << 1,	/* they all do */
	MW_THROTTLE =
	    1 << 2, /* MW_THROTTLE_AFTER recipients of one source, then 421 or 451 for a while */
	MW_MID_421 = 1 << 3,	   /* 421 after MW_MID_421_AFTER recipients of a session */
	MW_ONE_RECIPIENT = 1 << 4, /* 452 4.5.3 from the second recipient of a session */
	MW_NO_PIPELINING = 1 << 5, /* not offered; commands that come early end the session */
	MW_HELO_ONLY = 1 << 6,	   /* EHLO is an unknown command */
	MW_FIRST_421 = 1 << 7, /* the preferred MX greets with 421: nolisting by a living host */
	MW_SPARE_MX = 1 << 8   /* may have a second MX */
};

enum {
	MW_THROTTLE_AFTER = 20,
	MW_THROTTLE_WINDOW_MS = 200 * 1000, /* before time-scale */
	MW_MID_421_AFTER = 5,
	MW_POSTGREY_MS = 300 * 1000,
	MW_MILTER_MS = 1800 * 1000
};

struct mw_fixed_host {
	const char *name;
	uint16_t preference;
};

struct mw_behaviour {
	const char *name;
	const char *help;
	const char *status,
	    *reason; /* truth for every row, or NULL: what the mailbox's answer makes it */
	enum mw_dns dns;
	unsigned server; /* enum mw_server_flag */
	enum mw_greylist greylist;
	enum mw_voice voice;
	bool everybody;		/* `answer` goes to every recipient */
	bool mailbox;		/* a property of single mailboxes, among those of honest domains */
	bool role;		/* the local part is a role name */
	enum mw_answer answer;	/* with `everybody` or `mailbox` */
	uint8_t exists;		/* percent of mailboxes that exist, 0: 65 to 90 by domain */
	uint16_t most_rows;	/* of the list for one domain; the harvest guard wants fewer than 25
				   where all fail */
	bool dense;		/* as few domains as most_rows allows */
	bool own_servers;	/* no two domains share a server */
	uint16_t demo_permille; /* share of the demo mix */
	const struct mw_fixed_host
	    *hosts;		    /* real MX names, up to one without name; NULL: made up */
	const char *const *domains; /* real domains, up to NULL; NULL: made up under .test */
};

enum mw_behaviour_id {
	MW_HONEST = 0,
	MW_CATCH_ALL,
	MW_YAHOO_MAIL,
	MW_AOL,
	MW_GMAIL_MAIL,
	MW_POSTGREY,
	MW_POSTGREY_CATCH_ALL,
	MW_MILTER_GREYLIST,
	MW_POSTSCREEN,
	MW_GREYLIST_FOREVER,
	MW_THROTTLING,
	MW_MID_SESSION_421,
	MW_DEAD_FIRST_MX,
	MW_NOLISTING,
	MW_DEAD_MX,
	MW_NULL_MX,
	MW_PRIVATE_MX,
	MW_NXDOMAIN,
	MW_SERVFAIL,
	MW_A_ONLY,
	MW_NO_MAIL_SERVER,
	MW_POSTFIX_LIMITS,
	MW_ONE_RECIPIENT_ONLY,
	MW_WITHOUT_PIPELINING,
	MW_WITHOUT_EHLO,
	MW_VERIFIES_NOTHING,
	MW_BLOCKS_OUR_IP,
	MW_WANTS_AUTH,
	MW_REJECTS_ALL,
	MW_MAILBOX_FULL,
	MW_MAILBOX_DISABLED,
	MW_MAILBOX_POLICY,
	MW_MAILBOX_FORWARDED,
	MW_MAILBOX_NOT_LOCAL,
	MW_MAILBOX_NAME,
	MW_MAILBOX_UNVERIFIED,
	MW_ROLE,
	MW_BAD_SYNTAX, /* rows of the list that reach no server */
	MW_BLANK,
	MW_BEHAVIOURS
};

extern const struct mw_behaviour mw_behaviours[MW_BEHAVIOURS];

/* -1: no such name. */
int mw_behaviour_find(const char *name, size_t len);
/* Whether it is about a domain that has servers of its own kind. */
bool mw_behaviour_has_servers(const struct mw_behaviour *behaviour);

/* "mailbox_full" and so on, for world files; NULL-terminated names by enum mw_answer. */
extern const char *const mw_answer_names[MW_ANSWERS];
int mw_answer_find(const char *name, size_t len);
/* The truth of one recipient's answer at an honest domain. */
const char *mw_answer_status(enum mw_answer answer, bool role);
const char *mw_answer_reason(enum mw_answer answer, bool role);

/* Role names of RFC 2142 that the generator uses. NULL at the end. */
extern const char *const mw_roles[];
bool mw_is_role(const char *local, size_t len);

#endif
