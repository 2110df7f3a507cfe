/*
 * reply_rules - whose fault an SMTP reply names, and of what kind: the rules of data/replies,
 * compiled.
 *
 * First the fault (ours, the recipient's, the domain's, nobody's yet), then the category: only a
 * recipient's fault can ever make an address invalid. Rules are data: conditions on stage, code,
 * enhanced status (RFC 3463), words of the text and provider. The most specific matching rule
 * speaks: provider before text before enhanced status before code; what no rule knows falls back on
 * the enhanced status, then the code, and what stays unclear stays so.
 *
 * A rule set is made once by rc_rules_load() and read only afterwards, from any number of threads.
 * Loading fails with a sentence that names file, line and reason; classifying cannot fail and does
 * not allocate.
 */
#ifndef RC_REPLY_REPLY_RULES_H
#define RC_REPLY_REPLY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/reply/reason.h"

enum { RC_REPLY_TEXT_MAX = 65536 }; /* octets of a reply's text that are looked at */

/* Where a reply came: the numbers are those of the protocol's Stage (proto/rollcall.proto). */
enum rc_stage {
	RC_STAGE_UNSET = 0,
	RC_STAGE_DNS = 1,
	RC_STAGE_CONNECT = 2,
	RC_STAGE_GREETING = 3,
	RC_STAGE_EHLO = 4,
	RC_STAGE_STARTTLS = 5,
	RC_STAGE_MAIL = 6,
	RC_STAGE_RCPT = 7,
	RC_STAGE_QUIT = 8
};

enum rc_fault {
	RC_FAULT_UNSET = 0,
	RC_FAULT_NONE, /* nobody's: a yes */
	RC_FAULT_RECIPIENT,
	RC_FAULT_DOMAIN,    /* routing: these servers do not take mail for that domain */
	RC_FAULT_SENDER,    /* us: address, HELO, MAIL FROM, rate, what we want to do */
	RC_FAULT_TEMPORARY, /* nobody's yet */
	RC_FAULT_UNCLEAR,
	RC_FAULT_COUNT
};

enum rc_category {
	RC_CATEGORY_UNSET = 0,
	RC_CATEGORY_ACCEPTED,
	RC_CATEGORY_FORWARDED,
	RC_CATEGORY_MAILBOX_NOT_FOUND,
	RC_CATEGORY_MAILBOX_DISABLED,
	RC_CATEGORY_MAILBOX_FULL,
	RC_CATEGORY_NAME_NOT_ALLOWED,
	RC_CATEGORY_NOT_LOCAL,
	RC_CATEGORY_GREYLISTED,
	RC_CATEGORY_RATE_LIMITED,
	RC_CATEGORY_IP_BLOCKED,
	RC_CATEGORY_POLICY,
	RC_CATEGORY_AUTH_REQUIRED,
	RC_CATEGORY_CANNOT_VERIFY,
	RC_CATEGORY_TOO_MANY_RECIPIENTS,
	RC_CATEGORY_SERVICE_UNAVAILABLE,
	RC_CATEGORY_TEMPORARY,
	RC_CATEGORY_ROUTING,
	RC_CATEGORY_PROTOCOL,
	RC_CATEGORY_UNCLEAR,
	RC_CATEGORY_COUNT
};

/* By what a greylister keeps its record, narrowest first. Our identity stays the same in any case.
 */
enum rc_greylist_key {
	RC_GREYLIST_KEY_UNKNOWN = 0,
	RC_GREYLIST_KEY_IP,  /* the exact address */
	RC_GREYLIST_KEY_NET, /* the /24 or /64 */
	RC_GREYLIST_KEY_WIDE /* /19, or the name behind the address */
};

struct rc_rules;

/* One reply as it came. `text` is without code and enhanced status, lines joined by \n; need not
 * end in NUL. */
struct rc_reply_view {
	enum rc_stage stage;  /* UNSET counts as RCPT */
	unsigned code;	      /* 200 to 599 */
	const char *enhanced; /* "5.1.1"; NULL or "": none */
	const char *text;     /* may be NULL when len is 0 */
	size_t len;
	const char *provider; /* rc_provider.name; NULL or "": none known */
};

struct rc_classification {
	enum rc_fault fault;
	enum rc_category category;
	const char *rule;   /* name; lives as long as the rules. "fallback-..." where no rule of the
			       file spoke */
	unsigned line;	    /* of data/replies; 0: a fallback */
	bool names_mailbox; /* the refusal names the mailbox: it stands whatever the server says of
			       others */
	bool names_sender;  /* HELO or MAIL FROM is what displeased */
	bool names_tls;	    /* STARTTLS is what it wants */
	int32_t retry_after_s; /* by the reply's own words; -1: says nothing. At most 172,800 */
	int32_t
	    greylist_min_s; /* this server lets us through no sooner, by the rule; -1: not known */
	enum rc_greylist_key greylist_key;
};

/*
 * Reads `path`: the file, or a directory that holds `replies`. On failure *ret_rules is untouched
 * and `err` names file, line and reason: RC_INVALID for the content, RC_NOT_FOUND, RC_UNAVAILABLE
 * (cannot be read), RC_NO_MEMORY, RC_LIMIT.
 */
enum rc_status rc_rules_load(const char *path, struct rc_rules **ret_rules,
			     struct rc_error *err) RC_MUST_CHECK;
/* The same from memory; `name` stands for the file in errors. */
enum rc_status rc_rules_parse(const char *name, const char *data, size_t len,
			      struct rc_rules **ret_rules, struct rc_error *err) RC_MUST_CHECK;
struct rc_providers;
/* RC_INVALID with file and line where a rule names a provider that is not among them. */
enum rc_status rc_rules_check_providers(const struct rc_rules *rules,
					const struct rc_providers *providers,
					struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void rc_rules_free(struct rc_rules *rules);
/* Rules of the file. */
size_t rc_rules_count(const struct rc_rules *rules);
/* 16 hexadecimal digits that change with the rules: the version recorded with a verdict. */
const char *rc_rules_version(const struct rc_rules *rules);

/* Always gives a fault and a category. */
void rc_rules_classify(const struct rc_rules *rules, const struct rc_reply_view *reply,
		       struct rc_classification *ret);
/* Rules that matched, the one that spoke first; at most `max` names into `ret_names`. Returns how
 * many matched. */
size_t rc_rules_matching(const struct rc_rules *rules, const struct rc_reply_view *reply,
			 const char **ret_names, size_t max);

/* The reason of a row whose last word this reply is: as if no attempt were left and the random
 * control had been refused. */
enum rc_reason rc_reply_reason(const struct rc_classification *c, unsigned code);
/* Whether a person should look at it (554, 5.7.x and kin). */
bool rc_reply_review(const struct rc_classification *c, unsigned code);

struct rc_provider;
enum { RC_SHORT_RETRY_MAX_S = 120 };
/*
 * Whether the next try belongs to the worker's own timers: seconds to wait from now, at most
 * RC_SHORT_RETRY_MAX_S; 0: at once, with a smaller batch (too_many_recipients); -1: it does not,
 * the schedule has it. `provider` may be NULL. Unscaled.
 */
int32_t rc_reply_short_retry_s(const struct rc_classification *c,
			       const struct rc_provider *provider);
/* The least wait before any retry of this reply: what the server asked for or its greylister is
 * known to want; 0: nothing. */
int32_t rc_reply_not_before_s(const struct rc_classification *c,
			      const struct rc_provider *provider);

/* "recipient", "mailbox_not_found", "rcpt": static; "" for a number out of range. find: UNSET where
 * there is none. */
const char *rc_fault_name(enum rc_fault fault);
const char *rc_category_name(enum rc_category category);
const char *rc_stage_name(enum rc_stage stage);
enum rc_fault rc_fault_find(const char *name);
enum rc_category rc_category_find(const char *name);
enum rc_stage rc_stage_find(const char *name);

/*
 * Takes one reply as a server wrote it ("550-5.1.1 No such\n550 5.1.1 user", code on each line or
 * on the first only) apart into code, enhanced status (with NUL, at most 15 octets) and text (at
 * most `max`, joined by \n, not NUL-terminated; for each line without its codes). Returns false
 * where it starts with no code from 200 to 599; the text is then all of it.
 */
bool rc_reply_split(const char *line, size_t len, unsigned *ret_code, char ret_enhanced[16],
		    char *ret_text, size_t max, size_t *ret_len);

#endif
