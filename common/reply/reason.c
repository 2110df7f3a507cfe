/* See reason.h. */
#include "common/reply/reason.h"

#include <string.h>

#define VALID RC_RESULT_VALID, RC_GRADE_VALID
#define INVALID RC_RESULT_INVALID, RC_GRADE_INVALID
#define RISKY RC_RESULT_UNKNOWN, RC_GRADE_RISKY
#define UNKNOWN RC_RESULT_UNKNOWN, RC_GRADE_UNKNOWN
#define DO_NOT_MAIL RC_RESULT_DO_NOT_MAIL, RC_GRADE_INVALID
#define SKIPPED RC_RESULT_SKIPPED, RC_GRADE_UNKNOWN

static const struct row {
	const char *name;
	enum rc_result_status status;
	enum rc_grade grade;
	const char *text;
} reasons[RC_REASON_COUNT] = {
	[RC_REASON_MAILBOX_ACCEPTED] = { "mailbox_accepted", VALID,
					 "The server accepts this mailbox and refuses one that "
					 "nobody has." },
	[RC_REASON_MAILBOX_FORWARDED] = { "mailbox_forwarded", VALID,
					  "The server accepts this mailbox and forwards its mail "
					  "elsewhere." },
	[RC_REASON_BAD_SYNTAX] = { "bad_syntax", INVALID, "This is not an e-mail address." },
	[RC_REASON_DOMAIN_NOT_FOUND] = { "domain_not_found", INVALID,
					 "The domain does not exist; it was looked up twice." },
	[RC_REASON_NO_MAIL_SERVER] = { "no_mail_server", INVALID,
				       "The domain has no server that takes mail." },
	[RC_REASON_NULL_MX] = { "null_mx", INVALID, "The domain says that it takes no mail." },
	[RC_REASON_MX_UNROUTABLE] = { "mx_unroutable", INVALID,
				      "The domain's mail servers have no address on the public "
				      "internet." },
	[RC_REASON_MX_REFUSES_DOMAIN] = { "mx_refuses_domain", INVALID,
					  "The domain's mail servers take no mail for it, not even "
					  "for postmaster; they were asked twice." },
	[RC_REASON_MAILBOX_NOT_FOUND] = { "mailbox_not_found", INVALID,
					  "The server says that there is no such mailbox." },
	[RC_REASON_MAILBOX_DISABLED] = { "mailbox_disabled", INVALID,
					 "The server says that the mailbox is closed." },
	[RC_REASON_MAILBOX_NOT_LOCAL] = { "mailbox_not_local", INVALID,
					  "The server says that the user is not there and does not "
					  "forward." },
	[RC_REASON_MAILBOX_NAME_NOT_ALLOWED] = { "mailbox_name_not_allowed", INVALID,
						 "The server says that no mailbox may have this "
						 "name." },
	[RC_REASON_DOMAIN_ACCEPTS_ALL] = { "domain_accepts_all", RC_RESULT_CATCH_ALL,
					   RC_GRADE_RISKY,
					   "The domain accepts every name, so that its yes says "
					   "nothing of this one." },
	[RC_REASON_DISPOSABLE_DOMAIN] = { "disposable_domain", DO_NOT_MAIL,
					  "The domain hands out throw-away mailboxes." },
	[RC_REASON_SUPPRESSED] = { "suppressed", DO_NOT_MAIL,
				   "The address is on your list of those never to be mailed." },
	[RC_REASON_SPAM_TRAP] = { "spam_trap", DO_NOT_MAIL,
				  "The address is on the operator's list of spam traps." },
	[RC_REASON_ROLE_ACCOUNT] = { "role_account", RC_RESULT_ROLE_BASED, RC_GRADE_RISKY,
				     "The mailbox exists, but belongs to a function and not to a "
				     "person." },
	[RC_REASON_PROVIDER_ACCEPTS_ALL] = { "provider_accepts_all", RISKY,
					     "This provider says yes to every name at this point "
					     "and refuses later." },
	[RC_REASON_CANNOT_VERIFY] = { "cannot_verify", RISKY,
				      "The server will take the mail but does not say whether the "
				      "user exists." },
	[RC_REASON_MAILBOX_FULL] = { "mailbox_full", RISKY, "The mailbox exists and is full." },
	[RC_REASON_MAILBOX_UNVERIFIED] = { "mailbox_unverified", RISKY,
					   "The server asks another server about the mailbox and "
					   "got no clear answer." },
	[RC_REASON_GREYLISTED] = { "greylisted", UNKNOWN,
				   "The server kept asking to come back later, to the last "
				   "attempt." },
	[RC_REASON_THROTTLED] = { "throttled", UNKNOWN, "The server limits how much we may ask." },
	[RC_REASON_IP_BLOCKED] = { "ip_blocked", UNKNOWN,
				   "The server refuses the address that we ask from." },
	[RC_REASON_AUTH_REQUIRED] = { "auth_required", UNKNOWN,
				      "The server talks only to users who log in." },
	[RC_REASON_POLICY_REJECTED] = { "policy_rejected", UNKNOWN,
					"The server refuses by a rule of its own that does not "
					"name the mailbox." },
	[RC_REASON_SENDER_REJECTED] = { "sender_rejected", UNKNOWN,
					"The server refuses the sender that we give." },
	[RC_REASON_REJECTS_ALL] = { "rejects_all", UNKNOWN,
				    "The server refuses everybody at this domain alike, so that "
				    "its no says nothing of this mailbox." },
	[RC_REASON_SERVER_UNAVAILABLE] = { "server_unavailable", UNKNOWN,
					   "The server said that it is not available." },
	[RC_REASON_TEMPORARY_FAILURE] = { "temporary_failure", UNKNOWN,
					  "The server had a passing trouble, to the last "
					  "attempt." },
	[RC_REASON_CONNECTION_FAILED] = { "connection_failed", UNKNOWN,
					  "No server of the domain could be reached, or it hung "
					  "up." },
	[RC_REASON_TIMEOUT] = { "timeout", UNKNOWN, "The server did not answer in time." },
	[RC_REASON_TLS_FAILED] = { "tls_failed", UNKNOWN,
				   "The server wants encryption, which could not be agreed on." },
	[RC_REASON_SMTPUTF8_UNSUPPORTED] = { "smtputf8_unsupported", UNKNOWN,
					     "The address is not ASCII and the server does not "
					     "take such addresses." },
	[RC_REASON_PROTOCOL_ERROR] = { "protocol_error", UNKNOWN,
				       "The server's answers do not keep to the protocol, or it "
				       "says that ours do not." },
	[RC_REASON_DNS_FAILURE] = { "dns_failure", UNKNOWN,
				    "The domain's name servers did not answer." },
	[RC_REASON_CONTROL_INCONCLUSIVE] = { "control_inconclusive", UNKNOWN,
					     "The mailbox was accepted, but whether the domain "
					     "accepts every name stayed open." },
	[RC_REASON_HARVEST_GUARD] = { "harvest_guard", UNKNOWN,
				      "Too many names of this domain were refused in this list; it "
				      "was not asked further." },
	[RC_REASON_DO_NOT_PROBE] = { "do_not_probe", UNKNOWN,
				     "The domain, or its servers, asked not to be probed." },
	[RC_REASON_DEADLINE] = { "deadline", UNKNOWN,
				 "The job's time was over before there was an answer." },
	[RC_REASON_BLANK] = { "blank", SKIPPED, "The row holds no address." },
	[RC_REASON_CANCELLED] = { "cancelled", SKIPPED,
				  "The job was cancelled before this row had its turn." },
	[RC_REASON_NOT_PROBED] = { "not_probed", SKIPPED,
				   "This row has not had its turn, or its job was closed before that." },
};

static const char *const status_names[] = {
	[RC_RESULT_UNSET] = "",
	[RC_RESULT_VALID] = "valid",
	[RC_RESULT_INVALID] = "invalid",
	[RC_RESULT_CATCH_ALL] = "catch_all",
	[RC_RESULT_DO_NOT_MAIL] = "do_not_mail",
	[RC_RESULT_ROLE_BASED] = "role_based",
	[RC_RESULT_UNKNOWN] = "unknown",
	[RC_RESULT_SKIPPED] = "skipped",
};

static const char *const grade_names[] = {
	[RC_GRADE_UNSET] = "",		[RC_GRADE_VALID] = "valid",	[RC_GRADE_RISKY] = "risky",
	[RC_GRADE_UNKNOWN] = "unknown", [RC_GRADE_INVALID] = "invalid",
};

static const struct row *row_of(enum rc_reason reason)
{
	static const struct row none = { "", RC_RESULT_UNSET, RC_GRADE_UNSET, "" };

	return (unsigned)reason < RC_REASON_COUNT && reasons[reason].name ? &reasons[reason]
									  : &none;
}

const char *rc_reason_name(enum rc_reason reason)
{
	return row_of(reason)->name;
}

enum rc_result_status rc_reason_status(enum rc_reason reason)
{
	return row_of(reason)->status;
}

enum rc_grade rc_reason_grade(enum rc_reason reason)
{
	return row_of(reason)->grade;
}

const char *rc_reason_text(enum rc_reason reason)
{
	return row_of(reason)->text;
}

enum rc_reason rc_reason_find(const char *name)
{
	for (int i = 1; i < RC_REASON_COUNT; i++)
		if (strcmp(reasons[i].name, name) == 0)
			return (enum rc_reason)i;
	return RC_REASON_UNSET;
}

const char *rc_result_status_name(enum rc_result_status status)
{
	return (size_t)status < sizeof(status_names) / sizeof(*status_names) ? status_names[status]
									     : "";
}

enum rc_result_status rc_result_status_find(const char *name)
{
	for (size_t i = 1; i < sizeof(status_names) / sizeof(*status_names); i++)
		if (strcmp(status_names[i], name) == 0)
			return (enum rc_result_status)i;
	return RC_RESULT_UNSET;
}

const char *rc_grade_name(enum rc_grade grade)
{
	return (size_t)grade < sizeof(grade_names) / sizeof(*grade_names) ? grade_names[grade] : "";
}

enum rc_grade rc_grade_find(const char *name)
{
	for (size_t i = 1; i < sizeof(grade_names) / sizeof(*grade_names); i++)
		if (strcmp(grade_names[i], name) == 0)
			return (enum rc_grade)i;
	return RC_GRADE_UNSET;
}
