/* See behaviour.h. What real servers do is in their documentation and source; the numbers beside a
 * row are theirs. */
#include "tests/mailworld/behaviour.h"

#include <string.h>
#include <strings.h>

static const struct mw_fixed_host gmail_hosts[] = {
	{ "gmail-smtp-in.l.google.com", 5 },	   { "alt1.gmail-smtp-in.l.google.com", 10 },
	{ "alt2.gmail-smtp-in.l.google.com", 20 }, { "alt3.gmail-smtp-in.l.google.com", 30 },
	{ "alt4.gmail-smtp-in.l.google.com", 40 }, { NULL, 0 },
};
static const struct mw_fixed_host yahoo_hosts[] = {
	{ "mta5.am0.yahoodns.net", 1 },
	{ "mta6.am0.yahoodns.net", 1 },
	{ "mta7.am0.yahoodns.net", 1 },
	{ NULL, 0 },
};
static const struct mw_fixed_host aol_hosts[] = { { "mx-aol.mail.gm0.yahoodns.net", 10 },
						  { NULL, 0 } };

static const char *const gmail_domains[] = { "gmail.com", NULL };
static const char *const yahoo_domains[] = { "yahoo.com", NULL };
static const char *const aol_domains[] = { "aol.com", NULL };

#define AT_SMTP .dns = MW_DNS_MX
#define WHOLE_MAILBOX .dns = MW_DNS_MX, .mailbox = true

const struct mw_behaviour mw_behaviours[MW_BEHAVIOURS] = {
	[MW_HONEST] = { "honest", "says of each mailbox whether it exists", NULL, NULL, AT_SMTP,
			.server = MW_SPARE_MX, .most_rows = 24, .demo_permille = 0 /* the rest */ },
	[MW_CATCH_ALL] = { "catch_all", "accepts every recipient", "catch_all",
			   "domain_accepts_all", AT_SMTP, .server = MW_SPARE_MX, .everybody = true,
			   .answer = MW_ACCEPT, .most_rows = 60, .demo_permille = 30 },
	[MW_YAHOO_MAIL] = { "yahoo", "Yahoo accepts everybody at RCPT", "unknown",
			    "provider_accepts_all", AT_SMTP, .voice = MW_YAHOO, .everybody = true,
			    .answer = MW_ACCEPT, .most_rows = UINT16_MAX, .demo_permille = 30,
			    .hosts = yahoo_hosts, .domains = yahoo_domains },
	[MW_AOL] = { "aol", "AOL accepts everybody at RCPT", "unknown", "provider_accepts_all",
		     AT_SMTP, .voice = MW_YAHOO, .everybody = true, .answer = MW_ACCEPT,
		     .most_rows = UINT16_MAX, .demo_permille = 30, .hosts = aol_hosts,
		     .domains = aol_domains },
	[MW_GMAIL_MAIL] = { "gmail", "Gmail: honest, in Gmail's words", NULL, NULL, AT_SMTP,
			    .voice = MW_GMAIL, .exists = 80, .most_rows = UINT16_MAX,
			    .demo_permille = 30, .hosts = gmail_hosts, .domains = gmail_domains },
	[MW_POSTGREY] = { "greylist_postgrey",
			  "postgrey: 450 for 300 s by /24 + sender + recipient, before the mailbox "
			  "check",
			  NULL, NULL, AT_SMTP, .server = MW_SPARE_MX, .greylist = MW_GREY_POSTGREY,
			  .voice = MW_POSTFIX, .most_rows = 24, .demo_permille = 105 },
	[MW_POSTGREY_CATCH_ALL] = { "greylist_catch_all",
				    "postgrey in front of a domain that accepts every recipient",
				    "catch_all", "domain_accepts_all", AT_SMTP,
				    .greylist = MW_GREY_POSTGREY, .voice = MW_POSTFIX,
				    .everybody = true, .answer = MW_ACCEPT, .most_rows = 24,
				    .demo_permille = 15 },
	[MW_MILTER_GREYLIST] = { "greylist_milter",
				 "milter-greylist: 451 for 30 min by exact IP + sender + recipient",
				 NULL, NULL, AT_SMTP, .greylist = MW_GREY_MILTER,
				 .voice = MW_SENDMAIL, .most_rows = 24, .demo_permille = 30 },
	[MW_POSTSCREEN] = { "postscreen",
			    "450 4.3.2 to every recipient of a client's first session", NULL, NULL,
			    AT_SMTP, .greylist = MW_GREY_POSTSCREEN, .voice = MW_POSTFIX,
			    .most_rows = 24, .demo_permille = 30 },
	[MW_GREYLIST_FOREVER] = { "greylist_forever", "450 postgrey words at every attempt",
				  "unknown", "greylisted", AT_SMTP, .greylist = MW_GREY_FOREVER,
				  .voice = MW_POSTFIX, .most_rows = 15 },
	[MW_THROTTLING] = { "throttling",
			    "421 or 451 4.7.x after 20 recipients of one source, for 200 s", NULL,
			    NULL, AT_SMTP, .server = MW_THROTTLE, .most_rows = 24,
			    .own_servers = true, .dense = true, .demo_permille = 30 },
	[MW_MID_SESSION_421] = { "mid_session_421", "421 after 5 recipients of a session", NULL,
				 NULL, AT_SMTP, .server = MW_MID_421, .most_rows = 9,
				 .demo_permille = 30 },
	[MW_DEAD_FIRST_MX] = { "dead_first_mx",
			       "the preferred MX refuses connections (nolisting), the second is "
			       "honest",
			       NULL, NULL, AT_SMTP, .server = MW_DEAD_FIRST, .most_rows = 24,
			       .demo_permille = 30 },
	[MW_NOLISTING] = { "first_mx_421", "the preferred MX greets with 421, the second is honest",
			   NULL, NULL, AT_SMTP, .server = MW_FIRST_421, .most_rows = 24 },
	[MW_DEAD_MX] = { "dead_mx", "every MX refuses connections", "unknown", "connection_failed",
			 AT_SMTP, .server = MW_DEAD, .most_rows = 15, .demo_permille = 30 },
	[MW_NULL_MX] = { "null_mx", "MX 0 . (RFC 7505)", "invalid", "null_mx",
			 .dns = MW_DNS_NULL_MX, .most_rows = 15, .demo_permille = 30 },
	[MW_PRIVATE_MX] = { "private_mx", "the MX has an address in private space", "invalid",
			    "mx_unroutable", .dns = MW_DNS_PRIVATE, .most_rows = 15,
			    .demo_permille = 30 },
	[MW_NXDOMAIN] = { "nxdomain", "no such domain", "invalid", "domain_not_found",
			  .dns = MW_DNS_NXDOMAIN, .most_rows = 15, .demo_permille = 30 },
	[MW_SERVFAIL] = { "servfail", "the domain's name servers fail", "unknown", "dns_failure",
			  .dns = MW_DNS_SERVFAIL, .most_rows = 15, .demo_permille = 30 },
	[MW_A_ONLY] = { "a_only", "no MX but an address: honest", NULL, NULL, .dns = MW_DNS_A_ONLY,
			.most_rows = 24, .demo_permille = 30 },
	[MW_NO_MAIL_SERVER] = { "no_mail_server", "the name exists, without MX or address",
				"invalid", "no_mail_server", .dns = MW_DNS_NOTHING, .most_rows = 15,
				.demo_permille = 30 },
	[MW_POSTFIX_LIMITS] = { "postfix_limits",
				"half of the mailboxes missing: 10 errors slow a session, 20 end "
				"it",
				NULL, NULL, AT_SMTP, .voice = MW_POSTFIX, .exists = 50,
				.most_rows = 24, .dense = true, .demo_permille = 30 },
	[MW_ONE_RECIPIENT_ONLY] = { "one_recipient",
				    "452 4.5.3 from the second recipient of a session", NULL, NULL,
				    AT_SMTP, .server = MW_ONE_RECIPIENT, .most_rows = 8,
				    .demo_permille = 30 },
	[MW_WITHOUT_PIPELINING] = { "no_pipelining",
				    "offers no PIPELINING; early commands end the session with 554 "
				    "5.5.0",
				    NULL, NULL, AT_SMTP, .server = MW_NO_PIPELINING,
				    .voice = MW_POSTFIX, .most_rows = 24, .demo_permille = 30 },
	[MW_WITHOUT_EHLO] = { "helo_only", "knows HELO only", NULL, NULL, AT_SMTP,
			      .server = MW_HELO_ONLY | MW_NO_PIPELINING, .voice = MW_SENDMAIL,
			      .most_rows = 24, .demo_permille = 30 },
	[MW_VERIFIES_NOTHING] = { "cannot_verify", "252 to everybody", "unknown", "cannot_verify",
				  AT_SMTP, .everybody = true, .answer = MW_CANNOT_VERIFY,
				  .most_rows = 24, .demo_permille = 30 },
	[MW_BLOCKS_OUR_IP] = { "ip_blocked", "550 5.7.1 to everybody: our address is listed",
			       "unknown", "ip_blocked", AT_SMTP, .everybody = true,
			       .answer = MW_IP_BLOCKED, .most_rows = 15, .demo_permille = 30 },
	[MW_WANTS_AUTH] = { "auth_required", "530 to everybody, at MAIL or at RCPT", "unknown",
			    "auth_required", AT_SMTP, .everybody = true, .answer = MW_AUTH_REQUIRED,
			    .most_rows = 15, .demo_permille = 30 },
	[MW_REJECTS_ALL] = { "rejects_all", "the same 550 that names nobody, to everybody",
			     "unknown", "rejects_all", AT_SMTP, .everybody = true,
			     .answer = MW_REFUSE_ALL, .most_rows = 15, .dense = true },
	[MW_MAILBOX_FULL] = { "mailbox_full", "452 4.2.2 or 552 5.2.2", "unknown", "mailbox_full",
			      WHOLE_MAILBOX, .answer = MW_FULL, .demo_permille = 30 },
	[MW_MAILBOX_DISABLED] = { "mailbox_disabled", "550 5.2.1", "invalid", "mailbox_disabled",
				  WHOLE_MAILBOX, .answer = MW_DISABLED, .demo_permille = 30 },
	[MW_MAILBOX_POLICY] = { "policy", "554 5.7.1 for single mailboxes", "unknown",
				"policy_rejected", WHOLE_MAILBOX, .answer = MW_POLICY,
				.demo_permille = 30 },
	[MW_MAILBOX_FORWARDED] = { "forwarded", "251", "valid", "mailbox_forwarded", WHOLE_MAILBOX,
				   .answer = MW_FORWARD },
	[MW_MAILBOX_NOT_LOCAL] = { "not_local", "551, naming the user", "invalid",
				   "mailbox_not_local", WHOLE_MAILBOX, .answer = MW_NOT_LOCAL },
	[MW_MAILBOX_NAME] = { "name_not_allowed", "553, naming the mailbox", "invalid",
			      "mailbox_name_not_allowed", WHOLE_MAILBOX,
			      .answer = MW_NAME_NOT_ALLOWED },
	[MW_MAILBOX_UNVERIFIED] = { "unverified", "450 unverified address, for good", "unknown",
				    "mailbox_unverified", WHOLE_MAILBOX, .answer = MW_UNVERIFIED },
	[MW_ROLE] = { "role", "an accepted role account", "role_based", "role_account",
		      WHOLE_MAILBOX, .role = true, .answer = MW_ACCEPT, .demo_permille = 30 },
	[MW_BAD_SYNTAX] = { "bad_syntax", "a row that is no address", "invalid", "bad_syntax",
			    .demo_permille = 10 },
	[MW_BLANK] = { "blank", "an empty line", "skipped", "blank", .demo_permille = 5 },
};

int mw_behaviour_find(const char *name, size_t len)
{
	for (int i = 0; i < MW_BEHAVIOURS; i++)
		if (strlen(mw_behaviours[i].name) == len &&
		    !memcmp(mw_behaviours[i].name, name, len))
			return i;
	return -1;
}

bool mw_behaviour_has_servers(const struct mw_behaviour *behaviour)
{
	return !behaviour->mailbox &&
	       (behaviour->dns == MW_DNS_MX || behaviour->dns == MW_DNS_A_ONLY ||
		behaviour->dns == MW_DNS_PRIVATE);
}

const char *const mw_answer_names[MW_ANSWERS] = {
	[MW_ABSENT] = "absent",
	[MW_ACCEPT] = "accept",
	[MW_FORWARD] = "forwarded",
	[MW_FULL_TEMPORARY] = "full_temporary",
	[MW_FULL] = "full",
	[MW_DISABLED] = "disabled",
	[MW_NOT_LOCAL] = "not_local",
	[MW_NAME_NOT_ALLOWED] = "name_not_allowed",
	[MW_POLICY] = "policy",
	[MW_CANNOT_VERIFY] = "cannot_verify",
	[MW_IP_BLOCKED] = "ip_blocked",
	[MW_AUTH_REQUIRED] = "auth_required",
	[MW_REFUSE_ALL] = "refuse",
	[MW_UNVERIFIED] = "unverified",
};

static const struct {
	const char *status, *reason;
} truths[MW_ANSWERS] = {
	[MW_ABSENT] = { "invalid", "mailbox_not_found" },
	[MW_ACCEPT] = { "valid", "mailbox_accepted" },
	[MW_FORWARD] = { "valid", "mailbox_forwarded" },
	[MW_FULL_TEMPORARY] = { "unknown", "mailbox_full" },
	[MW_FULL] = { "unknown", "mailbox_full" },
	[MW_DISABLED] = { "invalid", "mailbox_disabled" },
	[MW_NOT_LOCAL] = { "invalid", "mailbox_not_local" },
	[MW_NAME_NOT_ALLOWED] = { "invalid", "mailbox_name_not_allowed" },
	[MW_POLICY] = { "unknown", "policy_rejected" },
	[MW_CANNOT_VERIFY] = { "unknown", "cannot_verify" },
	[MW_IP_BLOCKED] = { "unknown", "ip_blocked" },
	[MW_AUTH_REQUIRED] = { "unknown", "auth_required" },
	[MW_REFUSE_ALL] = { "unknown", "rejects_all" },
	[MW_UNVERIFIED] = { "unknown", "mailbox_unverified" },
};

int mw_answer_find(const char *name, size_t len)
{
	for (int i = 0; i < MW_ANSWERS; i++)
		if (strlen(mw_answer_names[i]) == len && !memcmp(mw_answer_names[i], name, len))
			return i;
	return -1;
}

const char *mw_answer_status(enum mw_answer answer, bool role)
{
	return answer == MW_ACCEPT && role ? "role_based" : truths[answer].status;
}

const char *mw_answer_reason(enum mw_answer answer, bool role)
{
	return answer == MW_ACCEPT && role ? "role_account" : truths[answer].reason;
}

const char *const mw_roles[] = { "info",     "sales",	   "support",	 "abuse",
				 "security", "webmaster",  "hostmaster", "marketing",
				 "noc",	     "postmaster", NULL };

bool mw_is_role(const char *local, size_t len)
{
	for (const char *const *role = mw_roles; *role; role++)
		if (strlen(*role) == len && !strncasecmp(*role, local, len))
			return true;
	return false;
}
