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
	MW_JUNK,    /* octets beyond ASCII and NULs in every text */
	MW_BARE_LF, /* lines that end in LF alone */
	MW_MICROSOFT,
	MW_OUTLOOK,
	MW_APPLE,
	MW_BARRACUDA,
	MW_VOICES
};

enum mw_dns {
	MW_DNS_MX = 1,
	MW_DNS_A_ONLY,
	MW_DNS_NULL_MX,
	MW_DNS_NXDOMAIN,
	MW_DNS_SERVFAIL,
	MW_DNS_NOTHING,	     /* the name exists, without MX or address */
	MW_DNS_PRIVATE,	     /* MX with an address of inside */
	MW_DNS_ALIAS_LOOP,   /* an alias of itself, by way of another */
	MW_DNS_REFUSED,	     /* lame: nobody answers for it */
	MW_DNS_SILENT,	     /* no answer at all */
	MW_DNS_POINTER_LOOP, /* a name that points at itself */
	/* From here on there are servers. */
	MW_DNS_SERVED,
	MW_DNS_PRIVATE_FIRST = MW_DNS_SERVED, /* the preferred MX is inside; the second is not */
	MW_DNS_AAAA_ONLY,		      /* the MX has a public IPv6 address only */
	MW_DNS_ALIAS,	   /* the domain is an alias of an alias of one with an MX */
	MW_DNS_HOST_ALIAS, /* the MX name is an alias (which RFC 2181, 10.3 forbids) */
	MW_DNS_SLOW,	   /* every answer MW_DNS_LATE_MS late */
	MW_DNS_TRUNCATED,  /* over UDP nothing but the TC bit */
	MW_DNS_FLAKY	   /* the first question fails */
};

enum mw_inside { MW_INSIDE_NETS = 0, MW_INSIDE_MACHINE, MW_INSIDE_6 };

enum mw_greylist {
	MW_GREY_NONE = 0,
	MW_GREY_POSTGREY,   /* /24 + sender + recipient, 300 s; client known after 5 passes */
	MW_GREY_MILTER,	    /* exact IP + sender + recipient, 30 min */
	MW_GREY_POSTSCREEN, /* exact IP; every recipient of the first session */
	MW_GREY_FOREVER,    /* never lets anybody in */
	MW_GREY_SQLGREY,
	MW_GREY_RSPAMD,
	MW_GREY_SPAMD,
	MW_GREY_CPANEL,
	MW_GREY_PLESK,
	MW_GREY_MIMECAST,
	MW_GREY_HARAKA,
	MW_GREY_SAYS_WHEN, /* names the seconds in its words */
	MW_GREY_GATEWAY,   /* of a filtering service, by IP */
	MW_GREYLISTS
};

/* How far STARTTLS goes. */
enum mw_tls_offer { MW_TLS_NO = 0, MW_TLS_OFFERED, MW_TLS_REQUIRED };

/* Where it breaks. */
enum mw_tls_fault {
	MW_TLS_SOUND = 0,
	MW_TLS_UNAVAILABLE, /* 454 to STARTTLS */
	MW_TLS_HANGS_UP,    /* 220, and the connection ends */
	MW_TLS_RUBBISH,	    /* no TLS comes back to the first message */
	MW_TLS_ALERT,	    /* the handshake ends in an alert */
	MW_TLS_RESET,	    /* and in a reset */
	MW_TLS_CUT_AFTER,   /* a reset right after the handshake */
	MW_TLS_SILENT,	    /* no octet after 220 */
	MW_TLS_INJECTED	    /* plain replies behind the 220, for a client that would take them for
			       encrypted ones; otherwise sound */
};

/* What a hostile server does at one stage of a session. */
enum mw_hostile {
	MW_KIND = 0,
	MW_RESETS,
	MW_HANGS_UP,
	MW_HALF_CLOSES,
	MW_SAYS_421,
	MW_KEEPS_SILENT,
	MW_TRICKLES,	 /* an octet a second, without an end */
	MW_NEVER_ENDS,	 /* lines of one reply, without an end */
	MW_HUGE_LINE,	 /* one line without an end */
	MW_CHANGES_CODE, /* within a reply */
	MW_CODE_000,
	MW_CODE_999,
	MW_NO_LINE_END
};

/* The stages; where a behaviour has as many variants, the operator's variant says at which. */
enum mw_stage { MW_AT_GREETING = 0, MW_AT_EHLO, MW_AT_MAIL, MW_AT_RCPT, MW_STAGES };

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
	MW_SPARE_MX = 1 << 8,  /* may have a second MX */
	MW_LIES_PIPELINING = 1 << 9, /* offers it, and ends the session when it is used */
	MW_STARVES = 1 << 10, /* after MW_STARVE_AFTER clear answers to a source, for a while,
				 what the variant says */
	MW_ONCE = 1 << 11,    /* hostile to the first session of a client only */
	MW_GREETS_554 = 1 << 12,
	MW_GREETS_521 = 1 << 13,
	MW_NO_RELAY = 1 << 14, /* knows none of its domains, postmaster neither */
	MW_SMTPUTF8 = 1 << 15, /* offers it */
	MW_EIGHT_MX = 1 << 16,
	MW_EXIM_SLOTS = 1 << 17, /* MW_EXIM_CONNECTIONS at once */
	MW_EXCHANGE_TARPIT = 1 << 18,
	MW_FICKLE = 1 << 19 /* yes to everybody, until the source has let it alone for a while */
};

enum {
	MW_THROTTLE_AFTER = 20,
	MW_THROTTLE_WINDOW_MS = 200 * 1000, /* before time-scale */
	MW_FICKLE_LULL_MS = 200 * 1000,
	MW_STARVE_AFTER = 12,
	MW_MID_421_AFTER = 5,
	MW_EXIM_CONNECTIONS = 20,
	MW_DNS_LATE_MS = 700
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
	bool utf8;		/* the local parts are not ASCII */
	bool idn;		/* the list spells the domain in its own script */
	enum mw_inside inside;	/* with MW_DNS_PRIVATE: what its MX points at */
	bool trap;		/* it points at addresses where mailworld counts who comes */
	enum mw_answer answer;	/* with `everybody` or `mailbox` */
	uint8_t exists;		/* percent of mailboxes that exist, 0: 65 to 90 by domain */
	uint16_t most_rows;	/* of the list for one domain; the harvest guard wants fewer than 25
				   where all fail */
	bool dense;		/* as few domains as most_rows allows */
	bool own_servers;	/* no two domains share a server */
	uint16_t demo_permille; /* share of the demo mix */
	enum mw_hostile hostile;
	enum mw_stage stage; /* of `hostile`, with fewer variants than stages */
	enum mw_tls_offer tls;
	enum mw_tls_fault tls_fault; /* with tls_faults: the first of as many, by variant */
	uint8_t tls_faults;
	uint8_t variants;	    /* ways that an operator has; 0: two */
	uint8_t recipients_max;	    /* of a transaction; 0: as the program does by default */
	uint8_t errors_max;	    /* that end a session of Postfix; 0: 20 */
	uint16_t greeting_delay_ms; /* times within a session: never scaled */
	uint16_t rcpt_delay_ms;
	uint8_t guest_of;	 /* enum mw_behaviour_id: lives on their servers */
	uint16_t throttle_after; /* with MW_THROTTLE; 0: MW_THROTTLE_AFTER */
	const char *zone;	 /* its MX hosts are named below, one an operator */
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
	MW_WORKSPACE,
	MW_WORKSPACE_CATCH_ALL,
	MW_OUTLOOK_MAIL,
	MW_HOTMAIL,
	MW_LIVE,
	MW_M365,
	MW_M365_CATCH_ALL,
	MW_YAHOO_252,
	MW_YAHOO_REFUSING,
	MW_ICLOUD,
	MW_ICLOUD_CATCH_ALL,
	MW_PROOFPOINT,
	MW_BARRACUDA_MAIL,
	MW_POSTGREY,
	MW_POSTGREY_CATCH_ALL,
	MW_MILTER_GREYLIST,
	MW_POSTSCREEN,
	MW_GREYLIST_FOREVER,
	MW_SQLGREY,
	MW_RSPAMD,
	MW_SPAMD,
	MW_CPANEL,
	MW_PLESK,
	MW_MIMECAST_MAIL,
	MW_HARAKA,
	MW_GREYLIST_SAYS_WHEN,
	MW_THROTTLING,
	MW_STARVING,
	MW_MID_SESSION_421,
	MW_DEAD_FIRST_MX,
	MW_NOLISTING,
	MW_DEAD_MX,
	MW_NULL_MX,
	MW_PRIVATE_MX,
	MW_LOOPBACK_MX,
	MW_PRIVATE_MX_6,
	MW_PRIVATE_FIRST_MX,
	MW_NXDOMAIN,
	MW_SERVFAIL,
	MW_LAME,
	MW_DNS_SILENCE,
	MW_DNS_SLOWNESS,
	MW_DNS_TRUNCATION,
	MW_DNS_FLAKINESS,
	MW_DNS_POINTERS,
	MW_ALIAS,
	MW_HOST_ALIAS,
	MW_ALIAS_LOOP,
	MW_A_ONLY,
	MW_AAAA_ONLY,
	MW_NO_MAIL_SERVER,
	MW_MANY_MX,
	MW_IDN,
	MW_UTF8_MAILBOX,
	MW_UTF8_UNSUPPORTED,
	MW_POSTFIX_LIMITS,
	MW_POSTFIX_STRESS,
	MW_EXIM_LIMITS,
	MW_EXCHANGE_LIMITS,
	MW_FEW_RECIPIENTS,
	MW_OPENSMTPD_FEW,
	MW_ONE_RECIPIENT_ONLY,
	MW_WITHOUT_PIPELINING,
	MW_PIPELINING_LIE,
	MW_WITHOUT_EHLO,
	MW_LATE_GREETING,
	MW_TARPIT,
	MW_SILENCE,
	MW_SLOW_TRICKLE,
	MW_RESETTING,
	MW_RESET_ONCE,
	MW_HANG_UP,
	MW_HALF_CLOSING,
	MW_CUT_421,
	MW_ENDLESS_REPLY,
	MW_HUGE_LINE_REPLY,
	MW_CHANGING_CODES,
	MW_CODE_ZERO,
	MW_CODE_TOO_LARGE,
	MW_UNENDED_LINE,
	MW_JUNK_TEXT,
	MW_BARE_LF_LINES,
	MW_GREETING_554,
	MW_GREETING_521,
	MW_RELAY_DENIED,
	MW_STARTTLS_OFFERED,
	MW_STARTTLS_REQUIRED,
	MW_STARTTLS_INJECTED,
	MW_STARTTLS_BROKEN,
	MW_STARTTLS_SILENT,
	MW_STARTTLS_BROKEN_OFFER,
	MW_VERIFIES_NOTHING,
	MW_BLOCKS_OUR_IP,
	MW_WANTS_AUTH,
	MW_REJECTS_ALL,
	MW_UNVERIFIED_ALL,
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
