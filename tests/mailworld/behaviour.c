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

static const struct mw_fixed_host mimecast_hosts[] = {
	{ "eu-smtp-inbound-1.mimecast.com", 10 },
	{ "eu-smtp-inbound-2.mimecast.com", 10 },
	{ NULL, 0 },
};

static const struct mw_fixed_host workspace_hosts[] = {
	{ "aspmx.l.google.com", 1 },	   { "alt1.aspmx.l.google.com", 5 },
	{ "alt2.aspmx.l.google.com", 5 },  { "alt3.aspmx.l.google.com", 10 },
	{ "alt4.aspmx.l.google.com", 10 }, { NULL, 0 },
};
static const struct mw_fixed_host outlook_hosts[] = {
	{ "outlook-com.olc.protection.outlook.com", 5 },
	{ NULL, 0 },
};
static const struct mw_fixed_host hotmail_hosts[] = {
	{ "hotmail-com.olc.protection.outlook.com", 2 },
	{ NULL, 0 },
};
static const struct mw_fixed_host live_hosts[] = {
	{ "live-com.olc.protection.outlook.com", 2 },
	{ NULL, 0 },
};
static const struct mw_fixed_host icloud_hosts[] = {
	{ "mx01.mail.icloud.com", 10 },
	{ "mx02.mail.icloud.com", 10 },
	{ NULL, 0 },
};

static const char *const gmail_domains[] = { "gmail.com", NULL };
static const char *const yahoo_domains[] = { "yahoo.com", NULL };
static const char *const aol_domains[] = { "aol.com", NULL };
static const char *const ymail_domains[] = { "ymail.com", NULL };
static const char *const rocketmail_domains[] = { "rocketmail.com", NULL };
static const char *const outlook_domains[] = { "outlook.com", NULL };
static const char *const hotmail_domains[] = { "hotmail.com", NULL };
static const char *const live_domains[] = { "live.com", NULL };
static const char *const icloud_domains[] = { "icloud.com", NULL };
static const char *const me_domains[] = { "me.com", NULL };

enum { SMALL = 1 }; /* permille of the demo for what is odd or hostile */

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
	[MW_WORKSPACE] = { "workspace", "Google Workspace: an honest tenant", NULL, NULL, AT_SMTP,
			   .voice = MW_GMAIL, .most_rows = 24, .hosts = workspace_hosts },
	[MW_WORKSPACE_CATCH_ALL] = { "workspace_catch_all",
				     "Google Workspace: a tenant that accepts everybody",
				     "catch_all", "domain_accepts_all", AT_SMTP, .voice = MW_GMAIL,
				     .everybody = true, .answer = MW_ACCEPT, .most_rows = 60,
				     .guest_of = MW_WORKSPACE, .hosts = workspace_hosts },
	[MW_OUTLOOK_MAIL] = { "outlook",
			      "Outlook.com: one recipient a session, 451 4.7.650 after 20", NULL,
			      NULL, AT_SMTP, .server = MW_ONE_RECIPIENT | MW_THROTTLE,
			      .voice = MW_OUTLOOK, .variants = 1, .exists = 80,
			      .most_rows = UINT16_MAX, .hosts = outlook_hosts,
			      .domains = outlook_domains },
	[MW_HOTMAIL] = { "hotmail",
			 "Hotmail: 250 for anything until it has been let alone for 200 s", NULL,
			 NULL, AT_SMTP, .server = MW_ONE_RECIPIENT | MW_FICKLE, .voice = MW_OUTLOOK,
			 .exists = 80, .most_rows = UINT16_MAX, .hosts = hotmail_hosts,
			 .domains = hotmail_domains },
	[MW_LIVE] = { "live", "Live: 250 for anything, always", "catch_all", "domain_accepts_all",
		      AT_SMTP, .server = MW_ONE_RECIPIENT, .voice = MW_OUTLOOK, .everybody = true,
		      .answer = MW_ACCEPT, .most_rows = UINT16_MAX, .hosts = live_hosts,
		      .domains = live_domains },
	[MW_M365] = { "microsoft365",
		      "Microsoft 365: a tenant that refuses whom it has not, in words that name "
		      "nobody; "
		      "451 4.7.500 after 15",
		      NULL, NULL, AT_SMTP, .server = MW_THROTTLE, .voice = MW_MICROSOFT,
		      .variants = 1, .throttle_after = 15, .most_rows = 24, .own_servers = true,
		      .zone = ".mail.protection.outlook.com" },
	[MW_M365_CATCH_ALL] = { "microsoft365_catch_all",
				"Microsoft 365: a tenant that accepts everybody", "catch_all",
				"domain_accepts_all", AT_SMTP, .voice = MW_MICROSOFT,
				.everybody = true, .answer = MW_ACCEPT, .most_rows = 60,
				.own_servers = true, .zone = ".mail.protection.outlook.com" },
	[MW_YAHOO_252] = { "yahoo_252", "Yahoo, when it says 252 to everybody", "unknown",
			   "provider_accepts_all", AT_SMTP, .voice = MW_YAHOO, .everybody = true,
			   .answer = MW_CANNOT_VERIFY, .most_rows = UINT16_MAX,
			   .guest_of = MW_YAHOO_MAIL, .hosts = yahoo_hosts,
			   .domains = ymail_domains },
	[MW_YAHOO_REFUSING] = { "yahoo_refusing",
				"Yahoo, when it refuses: nobody of the list is there", "invalid",
				"mailbox_not_found", AT_SMTP, .voice = MW_YAHOO, .everybody = true,
				.answer = MW_ABSENT, .most_rows = 20, .guest_of = MW_YAHOO_MAIL,
				.hosts = yahoo_hosts, .domains = rocketmail_domains },
	[MW_ICLOUD] = { "icloud", "iCloud: 421 4.7.1 for its volume after 100 recipients", NULL,
			NULL, AT_SMTP, .server = MW_THROTTLE, .voice = MW_APPLE, .variants = 1,
			.throttle_after = 100, .exists = 80, .most_rows = UINT16_MAX,
			.hosts = icloud_hosts, .domains = icloud_domains },
	[MW_ICLOUD_CATCH_ALL] = { "icloud_catch_all", "iCloud, where it accepts everybody",
				  "catch_all", "domain_accepts_all", AT_SMTP, .voice = MW_APPLE,
				  .everybody = true, .answer = MW_ACCEPT, .most_rows = UINT16_MAX,
				  .guest_of = MW_ICLOUD, .hosts = icloud_hosts,
				  .domains = me_domains },
	[MW_PROOFPOINT] = { "proofpoint", "Proofpoint: 4xx to a stranger, clear on a proper retry",
			    NULL, NULL, AT_SMTP, .greylist = MW_GREY_GATEWAY, .voice = MW_SENDMAIL,
			    .most_rows = 24, .own_servers = true, .zone = ".gslb.pphosted.com" },
	[MW_BARRACUDA_MAIL] = { "barracuda",
				"Barracuda: 4xx to a stranger, clear on a proper retry, in its own "
				"words",
				NULL, NULL, AT_SMTP, .greylist = MW_GREY_GATEWAY,
				.voice = MW_BARRACUDA, .most_rows = 24, .own_servers = true,
				.zone = ".ess.barracudanetworks.com" },
	[MW_POSTGREY] = { "greylist_postgrey",
			  "postgrey: 450 for 300 s by /24 + sender + recipient, before the mailbox "
			  "check",
			  NULL, NULL, AT_SMTP, .server = MW_SPARE_MX, .greylist = MW_GREY_POSTGREY,
			  .voice = MW_POSTFIX, .most_rows = 24, .demo_permille = 97 },
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
			   NULL, NULL, AT_SMTP, .server = MW_FIRST_421, .most_rows = 24,
			   .demo_permille = SMALL },
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
	[MW_SQLGREY] = { "greylist_sqlgrey",
			 "SQLgrey: 450 for 5 min (24 h at most) by /24 + sender + recipient", NULL,
			 NULL, AT_SMTP, .greylist = MW_GREY_SQLGREY, .voice = MW_POSTFIX,
			 .most_rows = 24, .demo_permille = SMALL },
	[MW_RSPAMD] = { "greylist_rspamd",
			"rspamd: 451 for 5 min (1 d at most) by /19 + sender + recipient", NULL,
			NULL, AT_SMTP, .greylist = MW_GREY_RSPAMD, .voice = MW_POSTFIX,
			.most_rows = 24, .demo_permille = SMALL },
	[MW_SPAMD] = { "greylist_spamd",
		       "OpenBSD spamd, answering at RCPT: 451 for 25 min (4 h at most) by exact IP "
		       "+ HELO + sender + recipient",
		       NULL, NULL, AT_SMTP, .greylist = MW_GREY_SPAMD, .voice = MW_OPENSMTPD,
		       .most_rows = 24, .demo_permille = SMALL },
	[MW_CPANEL] = { "greylist_cpanel",
			"cPanel: 450 for 10 min (4 h at most) by IP + sender + recipient", NULL,
			NULL, AT_SMTP, .greylist = MW_GREY_CPANEL, .voice = MW_EXIM,
			.most_rows = 24, .demo_permille = SMALL },
	[MW_PLESK] = { "greylist_plesk",
		       "Plesk: 450 for 5 min by IP + sender only; 2 min more for each early retry",
		       NULL, NULL, AT_SMTP, .greylist = MW_GREY_PLESK, .voice = MW_POSTFIX,
		       .most_rows = 24, .demo_permille = SMALL },
	[MW_MIMECAST_MAIL] = { "greylist_mimecast",
			       "Mimecast: 451 for 60 s (12 h at most) by IP + sender + recipient",
			       NULL, NULL, AT_SMTP, .greylist = MW_GREY_MIMECAST,
			       .voice = MW_POSTFIX, .most_rows = 24, .demo_permille = SMALL,
			       .hosts = mimecast_hosts },
	[MW_HARAKA] = { "greylist_haraka",
			"Haraka's plugin: 451 for 10 min (12 h at most) by IP + sender + recipient",
			NULL, NULL, AT_SMTP, .greylist = MW_GREY_HARAKA, .most_rows = 24,
			.demo_permille = SMALL },
	[MW_GREYLIST_SAYS_WHEN] = { "greylist_says_when",
				    "451 that says in how many seconds: 120, by IP + recipient",
				    NULL, NULL, AT_SMTP, .greylist = MW_GREY_SAYS_WHEN,
				    .voice = MW_EXIM, .most_rows = 24, .demo_permille = SMALL },
	[MW_STARVING] = { "starving",
			  "after 12 clear answers to a source 252, 421, 503, 530 or one 550 to "
			  "everybody, for 200 s",
			  NULL, NULL, AT_SMTP, .server = MW_STARVES, .variants = 5, .most_rows = 24,
			  .own_servers = true, .dense = true, .demo_permille = SMALL },
	[MW_LOOPBACK_MX] = { "loopback_mx", "the MX points at 127.0.0.1 or 0.0.0.0", "invalid",
			     "mx_unroutable", .dns = MW_DNS_PRIVATE, .inside = MW_INSIDE_MACHINE,
			     .trap = true, .most_rows = 15, .demo_permille = SMALL },
	[MW_PRIVATE_MX_6] = { "private_mx_6",
			      "the MX points at ::1, ::, a v4-mapped, link-local, unique local, "
			      "NAT64 or 6to4 address of inside",
			      "invalid", "mx_unroutable", .dns = MW_DNS_PRIVATE,
			      .inside = MW_INSIDE_6, .trap = true, .variants = 8, .most_rows = 15,
			      .demo_permille = SMALL },
	[MW_PRIVATE_FIRST_MX] = { "private_first_mx",
				  "the preferred MX points at 127.0.0.1, the second is honest",
				  NULL, NULL, .dns = MW_DNS_PRIVATE_FIRST,
				  .inside = MW_INSIDE_MACHINE, .trap = true, .most_rows = 24,
				  .demo_permille = SMALL },
	[MW_LAME] = { "lame_dns", "nobody answers for the domain (REFUSED)", "unknown",
		      "dns_failure", .dns = MW_DNS_REFUSED, .most_rows = 15 },
	[MW_DNS_SILENCE] = { "silent_dns", "no answer to any question", "unknown", "dns_failure",
			     .dns = MW_DNS_SILENT, .most_rows = 15 },
	[MW_DNS_SLOWNESS] = { "slow_dns", "every answer 0.7 s late: honest", NULL, NULL,
			      .dns = MW_DNS_SLOW, .most_rows = 24, .demo_permille = SMALL },
	[MW_DNS_TRUNCATION] = { "truncated_dns", "over UDP nothing but TC: honest over TCP", NULL,
				NULL, .dns = MW_DNS_TRUNCATED, .most_rows = 24,
				.demo_permille = SMALL },
	[MW_DNS_FLAKINESS] = { "flaky_dns", "the first question fails: honest", NULL, NULL,
			       .dns = MW_DNS_FLAKY, .most_rows = 24, .demo_permille = SMALL },
	[MW_DNS_POINTERS] = { "dns_pointer_loop", "a name in the answer points at itself",
			      "unknown", "dns_failure", .dns = MW_DNS_POINTER_LOOP,
			      .most_rows = 15 },
	[MW_ALIAS] = { "alias", "the domain is an alias of an alias of an honest one", NULL, NULL,
		       .dns = MW_DNS_ALIAS, .most_rows = 24, .demo_permille = SMALL },
	[MW_HOST_ALIAS] = { "mx_alias", "the MX name is an alias: honest", NULL, NULL,
			    .dns = MW_DNS_HOST_ALIAS, .most_rows = 24, .demo_permille = SMALL },
	[MW_ALIAS_LOOP] = { "alias_loop", "an alias of itself, by way of another", "unknown",
			    "dns_failure", .dns = MW_DNS_ALIAS_LOOP, .most_rows = 15 },
	[MW_AAAA_ONLY] = { "aaaa_only",
			   "the MX has a public IPv6 address only, which a fenced verifier may not "
			   "connect to",
			   "unknown", "connection_failed", .dns = MW_DNS_AAAA_ONLY, .most_rows = 15 },
	[MW_MANY_MX] = { "eight_mx", "eight MX hosts: honest", NULL, NULL, AT_SMTP,
			 .server = MW_EIGHT_MX, .most_rows = 24, .demo_permille = SMALL },
	[MW_IDN] = { "idn", "the list spells the domain in its own script: honest", NULL, NULL,
		     AT_SMTP, .idn = true, .most_rows = 24, .demo_permille = SMALL },
	[MW_UTF8_MAILBOX] = { "utf8_mailbox", "local parts beyond ASCII; SMTPUTF8 is offered", NULL,
			      NULL, AT_SMTP, .server = MW_SMTPUTF8, .utf8 = true, .most_rows = 24,
			      .demo_permille = SMALL },
	[MW_UTF8_UNSUPPORTED] = { "utf8_unsupported",
				  "local parts beyond ASCII; SMTPUTF8 is not offered", "unknown",
				  "smtputf8_unsupported", AT_SMTP, .utf8 = true, .most_rows = 15,
				  .demo_permille = SMALL },
	[MW_POSTFIX_STRESS] = { "postfix_stress", "Postfix under stress: the first error ends it",
				NULL, NULL, AT_SMTP, .voice = MW_POSTFIX, .errors_max = 1,
				.most_rows = 8, .demo_permille = SMALL },
	[MW_EXIM_LIMITS] = { "exim_limits", "20 connections in all, 10 non-mail commands", NULL,
			     NULL, AT_SMTP, .server = MW_EXIM_SLOTS, .voice = MW_EXIM,
			     .most_rows = 24, .demo_permille = SMALL },
	[MW_EXCHANGE_LIMITS] = { "exchange_limits",
				 "5 s tarpit on each error, 5 protocol errors, 200 recipients",
				 NULL, NULL, AT_SMTP, .server = MW_EXCHANGE_TARPIT,
				 .voice = MW_EXCHANGE, .most_rows = 3, .demo_permille = SMALL },
	[MW_FEW_RECIPIENTS] = { "few_recipients",
				"452 4.5.3 from the sixth recipient of a transaction", NULL, NULL,
				AT_SMTP, .voice = MW_POSTFIX, .recipients_max = 5, .most_rows = 24,
				.demo_permille = SMALL },
	[MW_OPENSMTPD_FEW] = { "opensmtpd_few",
			       "OpenSMTPD set to 5 recipients: 451 Too many recipients", NULL, NULL,
			       AT_SMTP, .voice = MW_OPENSMTPD, .recipients_max = 5, .most_rows = 24,
			       .demo_permille = SMALL },
	[MW_PIPELINING_LIE] = { "pipelining_lie",
				"offers PIPELINING; who uses it gets 554 5.5.0 and the door", NULL,
				NULL, AT_SMTP, .server = MW_LIES_PIPELINING, .voice = MW_POSTFIX,
				.most_rows = 24, .demo_permille = SMALL },
	[MW_LATE_GREETING] = { "late_greeting", "greets after 1.5 s: honest", NULL, NULL, AT_SMTP,
			       .greeting_delay_ms = 1500, .most_rows = 24, .demo_permille = SMALL },
	[MW_TARPIT] = { "tarpit", "0.5 s for each recipient: honest", NULL, NULL, AT_SMTP,
			.rcpt_delay_ms = 500, .most_rows = 8, .demo_permille = SMALL },
	[MW_SILENCE] = { "silence", "never a word more, at one of the stages", "unknown", "timeout",
			 AT_SMTP, .hostile = MW_KEEPS_SILENT, .variants = MW_STAGES,
			 .most_rows = 4 },
	[MW_SLOW_TRICKLE] = { "trickle", "an octet a second, at one of the stages", "unknown",
			      "timeout", AT_SMTP, .hostile = MW_TRICKLES, .variants = MW_STAGES,
			      .most_rows = 4 },
	[MW_RESETTING] = { "reset", "a reset, at one of the stages", "unknown", "connection_failed",
			   AT_SMTP, .hostile = MW_RESETS, .variants = MW_STAGES, .most_rows = 4,
			   .demo_permille = SMALL },
	[MW_RESET_ONCE] = { "reset_once",
			    "a reset in the first session of a client; honest afterwards", NULL,
			    NULL, AT_SMTP, .server = MW_ONCE, .hostile = MW_RESETS,
			    .variants = MW_STAGES, .most_rows = 24, .demo_permille = SMALL },
	[MW_HANG_UP] = { "hang_up", "closes, at one of the stages", "unknown", "connection_failed",
			 AT_SMTP, .hostile = MW_HANGS_UP, .variants = MW_STAGES, .most_rows = 4,
			 .demo_permille = SMALL },
	[MW_HALF_CLOSING] = { "half_close", "closes its half only, and reads on", "unknown",
			      "connection_failed", AT_SMTP, .hostile = MW_HALF_CLOSES,
			      .variants = MW_STAGES, .most_rows = 4, .demo_permille = SMALL },
	[MW_CUT_421] = { "cut_421", "421, at one of the stages", "unknown", "server_unavailable",
			 AT_SMTP, .hostile = MW_SAYS_421, .variants = MW_STAGES, .most_rows = 4,
			 .demo_permille = SMALL },
	[MW_ENDLESS_REPLY] = { "endless_reply", "a reply whose lines never end", "unknown",
			       "protocol_error", AT_SMTP, .hostile = MW_NEVER_ENDS,
			       .variants = MW_STAGES, .most_rows = 4, .demo_permille = SMALL },
	[MW_HUGE_LINE_REPLY] = { "huge_line", "a line that never ends", "unknown", "protocol_error",
				 AT_SMTP, .hostile = MW_HUGE_LINE, .variants = MW_STAGES,
				 .most_rows = 4, .demo_permille = SMALL },
	[MW_CHANGING_CODES] = { "changing_codes", "250-, then 550 in the same reply", "unknown",
				"protocol_error", AT_SMTP, .hostile = MW_CHANGES_CODE,
				.variants = MW_STAGES, .most_rows = 4, .demo_permille = SMALL },
	[MW_CODE_ZERO] = { "code_000", "000 for an answer", "unknown", "protocol_error", AT_SMTP,
			   .hostile = MW_CODE_000, .variants = MW_STAGES, .most_rows = 4,
			   .demo_permille = SMALL },
	[MW_CODE_TOO_LARGE] = { "code_999", "999 for an answer", "unknown", "protocol_error",
				AT_SMTP, .hostile = MW_CODE_999, .variants = MW_STAGES,
				.most_rows = 4, .demo_permille = SMALL },
	[MW_UNENDED_LINE] = { "no_line_end", "a reply without CRLF, and silence", "unknown",
			      "timeout", AT_SMTP, .hostile = MW_NO_LINE_END, .variants = MW_STAGES,
			      .most_rows = 4 },
	[MW_JUNK_TEXT] = { "junk_text", "NULs and octets that are no UTF-8 in every text: honest",
			   NULL, NULL, AT_SMTP, .voice = MW_JUNK, .most_rows = 24,
			   .demo_permille = SMALL },
	[MW_BARE_LF_LINES] = { "bare_lf", "lines that end in LF alone: honest", NULL, NULL, AT_SMTP,
			       .voice = MW_BARE_LF, .most_rows = 24, .demo_permille = SMALL },
	[MW_GREETING_554] = { "greets_554", "554 for a greeting: no SMTP service for us", "unknown",
			      "policy_rejected", AT_SMTP, .server = MW_GREETS_554, .most_rows = 4 },
	[MW_GREETING_521] = { "greets_521", "521 for a greeting: takes no mail (RFC 7504)",
			      "invalid", "no_mail_server", AT_SMTP, .server = MW_GREETS_521,
			      .most_rows = 4, .demo_permille = SMALL },
	[MW_RELAY_DENIED] = { "relay_denied",
			      "every MX refuses to relay for the domain, for postmaster too",
			      "invalid", "mx_refuses_domain", AT_SMTP, .server = MW_NO_RELAY,
			      .most_rows = 15, .dense = true, .demo_permille = SMALL },
	[MW_STARTTLS_OFFERED] = { "starttls_offered", "offers STARTTLS, wants it not: honest", NULL,
				  NULL, AT_SMTP, .tls = MW_TLS_OFFERED, .most_rows = 24,
				  .demo_permille = SMALL },
	[MW_STARTTLS_REQUIRED] = { "starttls_required",
				   "530 5.7.0 until STARTTLS: honest behind it", NULL, NULL,
				   AT_SMTP, .tls = MW_TLS_REQUIRED, .most_rows = 24,
				   .demo_permille = SMALL },
	[MW_STARTTLS_INJECTED] = { "starttls_injected",
				   "wants STARTTLS; plain replies stand behind the 220", NULL, NULL,
				   AT_SMTP, .tls = MW_TLS_REQUIRED, .tls_fault = MW_TLS_INJECTED,
				   .most_rows = 24, .demo_permille = SMALL },
	[MW_STARTTLS_BROKEN] = { "starttls_broken",
				 "wants STARTTLS, and breaks it in one of six phases", "unknown",
				 "tls_failed", AT_SMTP, .tls = MW_TLS_REQUIRED,
				 .tls_fault = MW_TLS_UNAVAILABLE, .tls_faults = 6, .variants = 6,
				 .most_rows = 4, .demo_permille = SMALL },
	[MW_STARTTLS_SILENT] = { "starttls_silent", "wants STARTTLS; after 220 not an octet",
				 "unknown", "tls_failed", AT_SMTP, .tls = MW_TLS_REQUIRED,
				 .tls_fault = MW_TLS_SILENT, .most_rows = 4 },
	[MW_STARTTLS_BROKEN_OFFER] = { "starttls_broken_offer",
				       "offers STARTTLS that is broken, wants it not: honest", NULL,
				       NULL, AT_SMTP, .tls = MW_TLS_OFFERED,
				       .tls_fault = MW_TLS_UNAVAILABLE, .tls_faults = 6,
				       .variants = 6, .most_rows = 24, .demo_permille = SMALL },
	[MW_UNVERIFIED_ALL] = { "unverified_all",
				"Postfix reject_unverified_recipient: 450 to everybody, for good",
				"unknown", "mailbox_unverified", AT_SMTP, .voice = MW_POSTFIX,
				.everybody = true, .answer = MW_UNVERIFIED, .most_rows = 15 },
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
		behaviour->dns == MW_DNS_PRIVATE || behaviour->dns >= MW_DNS_SERVED);
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
