/*
 * reason - the codes that a row's result can carry, and what follows from each.
 *
 * One table, used by the verdict, the API, the CLI and the docs. The numbers are stored in
 * PostgreSQL and never change; new codes go to the end. All text is static. Nothing here allocates
 * or fails.
 */
#ifndef RC_REPLY_REASON_H
#define RC_REPLY_REASON_H

#include <stddef.h>

enum rc_result_status {
	RC_RESULT_UNSET = 0,
	RC_RESULT_VALID = 1,
	RC_RESULT_INVALID = 2,
	RC_RESULT_CATCH_ALL = 3,
	RC_RESULT_DO_NOT_MAIL = 4,
	RC_RESULT_ROLE_BASED = 5,
	RC_RESULT_UNKNOWN = 6,
	RC_RESULT_SKIPPED = 7
};

enum rc_grade {
	RC_GRADE_UNSET = 0,
	RC_GRADE_VALID = 1,
	RC_GRADE_RISKY = 2,
	RC_GRADE_UNKNOWN = 3,
	RC_GRADE_INVALID = 4
};

enum rc_reason {
	RC_REASON_UNSET = 0,
	RC_REASON_MAILBOX_ACCEPTED = 1,
	RC_REASON_MAILBOX_FORWARDED = 2,
	RC_REASON_BAD_SYNTAX = 3,
	RC_REASON_DOMAIN_NOT_FOUND = 4,
	RC_REASON_NO_MAIL_SERVER = 5,
	RC_REASON_NULL_MX = 6,
	RC_REASON_MX_UNROUTABLE = 7,
	RC_REASON_MX_REFUSES_DOMAIN = 8,
	RC_REASON_MAILBOX_NOT_FOUND = 9,
	RC_REASON_MAILBOX_DISABLED = 10,
	RC_REASON_MAILBOX_NOT_LOCAL = 11,
	RC_REASON_MAILBOX_NAME_NOT_ALLOWED = 12,
	RC_REASON_DOMAIN_ACCEPTS_ALL = 13,
	RC_REASON_DISPOSABLE_DOMAIN = 14,
	RC_REASON_SUPPRESSED = 15,
	RC_REASON_SPAM_TRAP = 16,
	RC_REASON_ROLE_ACCOUNT = 17,
	RC_REASON_PROVIDER_ACCEPTS_ALL = 18,
	RC_REASON_CANNOT_VERIFY = 19,
	RC_REASON_MAILBOX_FULL = 20,
	RC_REASON_MAILBOX_UNVERIFIED = 21,
	RC_REASON_GREYLISTED = 22,
	RC_REASON_THROTTLED = 23,
	RC_REASON_IP_BLOCKED = 24,
	RC_REASON_AUTH_REQUIRED = 25,
	RC_REASON_POLICY_REJECTED = 26,
	RC_REASON_SENDER_REJECTED = 27,
	RC_REASON_REJECTS_ALL = 28,
	RC_REASON_SERVER_UNAVAILABLE = 29,
	RC_REASON_TEMPORARY_FAILURE = 30,
	RC_REASON_CONNECTION_FAILED = 31,
	RC_REASON_TIMEOUT = 32,
	RC_REASON_TLS_FAILED = 33,
	RC_REASON_SMTPUTF8_UNSUPPORTED = 34,
	RC_REASON_PROTOCOL_ERROR = 35,
	RC_REASON_DNS_FAILURE = 36,
	RC_REASON_CONTROL_INCONCLUSIVE = 37,
	RC_REASON_HARVEST_GUARD = 38,
	RC_REASON_DO_NOT_PROBE = 39,
	RC_REASON_DEADLINE = 40,
	RC_REASON_BLANK = 41,
	RC_REASON_CANCELLED = 42,
	RC_REASON_NOT_PROBED = 43,
	RC_REASON_COUNT /* one more than the last */
};

/* "mailbox_accepted"; "" for a number that is no reason. */
const char *rc_reason_name(enum rc_reason reason);
/* RC_REASON_UNSET where there is no such code. */
enum rc_reason rc_reason_find(const char *name);
enum rc_result_status rc_reason_status(enum rc_reason reason);
enum rc_grade rc_reason_grade(enum rc_reason reason);
/* One English sentence for a person. */
const char *rc_reason_text(enum rc_reason reason);

/* "valid", "do_not_mail" ...; "" for UNSET. */
const char *rc_result_status_name(enum rc_result_status status);
enum rc_result_status rc_result_status_find(const char *name);
const char *rc_grade_name(enum rc_grade grade);
enum rc_grade rc_grade_find(const char *name);

#endif
