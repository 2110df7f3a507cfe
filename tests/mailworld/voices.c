/* The words of the real programs: see smtp_parts.h. */
#include "tests/mailworld/smtp_parts.h"

#define EXTENSIONS(first)                                                                          \
	"250-" first "\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"

const struct mw_voice_words mw_voices[MW_VOICES] = {
	[MW_POSTFIX] = {
		.greeting = "220 $h ESMTP Postfix\r\n",
		.hello = EXTENSIONS("$h") "250-PIPELINING\r\n",
		.plain = EXTENSIONS("$h"),
		.last = "250 DSN\r\n",
		.helo = "250 $h\r\n",
		.mail = "250 2.1.0 Ok\r\n",
		.bye = "221 2.0.0 Bye\r\n",
		.unknown = "502 5.5.2 Error: command not recognized\r\n",
		.ok = "250 2.0.0 Ok\r\n",
		.too_many = "452 4.5.3 Error: too many recipients\r\n",
		.recipients_max = 1000, /* smtpd_recipient_limit */
		.answers = {
			[MW_ABSENT] = "550 5.1.1 <$a>: Recipient address rejected: User unknown in virtual mailbox table\r\n",
			[MW_ACCEPT] = "250 2.1.5 Ok\r\n",
			[MW_FORWARD] = "251 2.1.5 User not local; will forward to <$a>\r\n",
			[MW_FULL_TEMPORARY] = "452 4.2.2 <$a>: Recipient address rejected: Mailbox is full (over quota)\r\n",
			[MW_FULL] = "552 5.2.2 <$a>: Recipient address rejected: Mailbox is full (over quota)\r\n",
			[MW_DISABLED] = "550 5.2.1 <$a>: Recipient address rejected: This mailbox is disabled\r\n",
			[MW_NOT_LOCAL] = "551 5.1.6 <$a>: User not local; please try another address\r\n",
			[MW_NAME_NOT_ALLOWED] = "553 5.1.3 <$a>: mailbox name not allowed\r\n",
			[MW_POLICY] = "554 5.7.1 <$a>: Recipient address rejected: Message refused by local policy\r\n",
			[MW_CANNOT_VERIFY] = "252 2.0.0 Cannot VRFY user, but will accept message and attempt delivery\r\n",
			[MW_IP_BLOCKED] = "550 5.7.1 Service unavailable; Client host [$i] blocked using zen.spamhaus.org; "
					  "https://www.spamhaus.org/query/ip/$i\r\n",
			[MW_AUTH_REQUIRED] = "530 5.7.0 Authentication required\r\n",
			[MW_REFUSE_ALL] = "550 Requested action not taken\r\n",
			[MW_UNVERIFIED] = "450 4.1.1 <$a>: Recipient address rejected: unverified address: "
					  "Address verification in progress\r\n",
		},
	},
	[MW_EXIM] = {
		.greeting = "220-$h ESMTP Exim 4.96\r\n220-We do not authorize the use of this system to transport unsolicited,\r\n"
			    "220 and/or bulk e-mail.\r\n",
		.hello = "250-$h Hello [$i]\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-PIPELINING\r\n",
		.plain = "250-$h Hello [$i]\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n",
		.last = "250 HELP\r\n",
		.helo = "250 $h Hello [$i]\r\n",
		.mail = "250 OK\r\n",
		.bye = "221 $h closing connection\r\n",
		.unknown = "500 unrecognized command\r\n",
		.too_many = "452 too many recipients\r\n",
		.recipients_max = 50000, /* recipients_max */
		.answers = {
			[MW_ABSENT] = "550 No Such User Here\r\n",
			[MW_ACCEPT] = "250 Accepted\r\n",
			[MW_AUTH_REQUIRED] = "530 SMTP authentication is required\r\n",
		},
	},
	[MW_SENDMAIL] = {
		.greeting = "220 $h ESMTP Sendmail 8.17.1/8.17.1; ready\r\n",
		.hello = EXTENSIONS("$h Hello [$i], pleased to meet you") "250-PIPELINING\r\n",
		.plain = EXTENSIONS("$h Hello [$i], pleased to meet you"),
		.last = "250 HELP\r\n",
		.helo = "250 $h Hello [$i], pleased to meet you\r\n",
		.mail = "250 2.1.0 <$s>... Sender ok\r\n",
		.bye = "221 2.0.0 $h closing connection\r\n",
		.unknown = "500 5.5.1 Command unrecognized\r\n",
		.answers = {
			[MW_ABSENT] = "550 5.1.1 <$a>... User unknown\r\n",
			[MW_ACCEPT] = "250 2.1.5 <$a>... Recipient ok\r\n",
		},
	},
	[MW_EXCHANGE] = {
		.greeting = "220 $h Microsoft ESMTP MAIL Service ready\r\n",
		.hello = EXTENSIONS("$h Hello [$i]") "250-PIPELINING\r\n250-CHUNKING\r\n",
		.plain = EXTENSIONS("$h Hello [$i]"),
		.last = "250 BINARYMIME\r\n",
		.helo = "250 $h Hello [$i]\r\n",
		.mail = "250 2.1.0 Sender OK\r\n",
		.bye = "221 2.0.0 Service closing transmission channel\r\n",
		.unknown = "500 5.3.3 Unrecognized command\r\n",
		.too_many = "452 4.5.3 Too many recipients\r\n",
		.recipients_max = 200, /* MaxRecipientsPerMessage of a receive connector */
		.answers = {
			[MW_ABSENT] = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup\r\n",
			[MW_ACCEPT] = "250 2.1.5 Recipient OK\r\n",
			[MW_AUTH_REQUIRED] = "530 5.7.1 Client was not authenticated\r\n",
		},
	},
	[MW_OPENSMTPD] = {
		.greeting = "220 $h ESMTP OpenSMTPD\r\n",
		.hello = "250-$h Hello [$i], pleased to meet you\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
			 "250-PIPELINING\r\n250-SIZE 36700160\r\n",
		.plain = "250-$h Hello [$i], pleased to meet you\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n",
		.last = "250 HELP\r\n",
		.helo = "250 $h Hello [$i], pleased to meet you\r\n",
		.mail = "250 2.0.0 Ok\r\n",
		.bye = "221 2.0.0 Bye\r\n",
		.unknown = "500 5.5.1 Invalid command: Command unrecognized\r\n",
		.too_many = "451 4.5.3 Too many recipients: Too many recipients\r\n",
		.recipients_max = 1000, /* smtp max-rcpt */
		.answers = {
			[MW_ABSENT] = "550 Invalid recipient: <$a>\r\n",
			[MW_ACCEPT] = "250 2.1.5 Destination address valid: Recipient ok\r\n",
		},
	},
	[MW_GMAIL] = {
		.greeting = "220 mx.google.com ESMTP $n - gsmtp\r\n",
		.hello = "250-mx.google.com at your service, [$i]\r\n250-SIZE 157286400\r\n250-8BITMIME\r\n"
			 "250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n",
		.last = "250 SMTPUTF8\r\n",
		.helo = "250 mx.google.com at your service\r\n",
		.mail = "250 2.1.0 OK $n - gsmtp\r\n",
		.bye = "221 2.0.0 closing connection $n - gsmtp\r\n",
		.unknown = "502-5.5.1 Unrecognized command. For more information, go to\r\n"
			   "502 5.5.1  https://support.google.com/a/answer/3221692 $n - gsmtp\r\n",
		.answers = {
			[MW_ABSENT] = "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
				      "550-5.1.1 double-checking the recipient's email address for typos or\r\n"
				      "550-5.1.1 unnecessary spaces. For more information, go to\r\n"
				      "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser $n - gsmtp\r\n",
			[MW_ACCEPT] = "250 2.1.5 OK $n - gsmtp\r\n",
			[MW_FULL_TEMPORARY] = "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\r\n"
					      "452-4.2.2 recipient to\r\n"
					      "452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp $n - gsmtp\r\n",
			[MW_FULL] = "552-5.2.2 The recipient's inbox is out of storage space and inactive. Please\r\n"
				    "552-5.2.2 direct the recipient to\r\n"
				    "552 5.2.2  https://support.google.com/mail/?p=OverQuotaPerm $n - gsmtp\r\n",
			[MW_DISABLED] = "550-5.2.1 The email account that you tried to reach is inactive. For more\r\n"
					"550-5.2.1 information, go to\r\n"
					"550 5.2.1  https://support.google.com/mail/?p=DisabledUser $n - gsmtp\r\n",
		},
	},
	[MW_YAHOO] = {
		.greeting = "220 mtaproxy501.free.mail.bf1.yahoo.com ESMTP ready\r\n",
		.hello = "250-mtaproxy501.free.mail.bf1.yahoo.com\r\n250-PIPELINING\r\n250-SIZE 41943040\r\n",
		.last = "250 8BITMIME\r\n",
		.helo = "250 mtaproxy501.free.mail.bf1.yahoo.com\r\n",
		.mail = "250 sender <$s> ok\r\n",
		.bye = "221 mtaproxy501.free.mail.bf1.yahoo.com\r\n",
		.unknown = "500 command not recognized\r\n",
		.answers = {
			[MW_ACCEPT] = "250 recipient <$a> ok\r\n",
			[MW_ABSENT] = "552 1 Requested mail action aborted, mailbox not found\r\n",
		},
	},
	[MW_MICROSOFT] = {
		.greeting = "220 DB8EUR05FT041.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready\r\n",
		.hello = EXTENSIONS("DB8EUR05FT041.mail.protection.outlook.com Hello [$i]") "250-PIPELINING\r\n250-CHUNKING\r\n",
		.last = "250 SMTPUTF8\r\n",
		.helo = "250 DB8EUR05FT041.mail.protection.outlook.com Hello [$i]\r\n",
		.mail = "250 2.1.0 Sender OK\r\n",
		.bye = "221 2.0.0 Service closing transmission channel\r\n",
		.unknown = "500 5.3.3 Unrecognized command 'unknown'\r\n",
		.throttled = "451 4.7.500 Server busy. Please try again later from [$i]. (S77719) [$n]\r\n",
		.answers = {
			[MW_ABSENT] = "550 5.4.1 Recipient address rejected: Access denied. [$n]\r\n",
			[MW_ACCEPT] = "250 2.1.5 Recipient OK\r\n",
		},
	},
	[MW_OUTLOOK] = {
		.greeting = "220 AMS0EPF000001B0.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready\r\n",
		.hello = EXTENSIONS("AMS0EPF000001B0.mail.protection.outlook.com Hello [$i]") "250-PIPELINING\r\n250-CHUNKING\r\n",
		.last = "250 SMTPUTF8\r\n",
		.helo = "250 AMS0EPF000001B0.mail.protection.outlook.com Hello [$i]\r\n",
		.mail = "250 2.1.0 Sender OK\r\n",
		.bye = "221 2.0.0 Service closing transmission channel\r\n",
		.unknown = "500 5.3.3 Unrecognized command 'unknown'\r\n",
		.throttled = "451 4.7.650 The mail server [$i] has been temporarily rate limited due to IP reputation. (S775) [$n]\r\n",
		.answers = {
			[MW_ABSENT] = "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [$n]\r\n",
			[MW_ACCEPT] = "250 2.1.5 Recipient OK\r\n",
		},
	},
	[MW_APPLE] = {
		.greeting = "220 p00-icloudmta-asmtp-us-central-1k-100-percent-10 ESMTP\r\n",
		.hello = EXTENSIONS("p00-icloudmta-asmtp-us-central-1k-100-percent-10") "250-PIPELINING\r\n",
		.last = "250 SMTPUTF8\r\n",
		.helo = "250 p00-icloudmta-asmtp-us-central-1k-100-percent-10\r\n",
		.throttled = "421 4.7.1 Messages to <$a> deferred due to excessive volume. Try again later.\r\n",
		.answers = {
			[MW_ABSENT] = "550 5.1.1 <$a>: user does not exist\r\n",
			[MW_ACCEPT] = "250 2.1.5 Ok\r\n",
		},
	},
	[MW_BARRACUDA] = {
		.greeting = "220 $h (b1d2) ESMTP Service Ready\r\n",
		.answers = {
			[MW_ABSENT] = "550 permanent failure for one or more recipients ($a:550 5.1.1 User unknown)\r\n",
			[MW_ACCEPT] = "250 Recipient OK\r\n",
		},
	},
	[MW_JUNK] = {
		.greeting = "220 $h \xc3\x28\xff ESMTP $0$0 \x1b[31m\x80\r\n",
		.hello = "250-$h \xfe$0\r\n250-PIPELINING\r\n250-\xff\xff$0$0\r\n",
		.plain = "250-$h \xfe$0\r\n",
		.last = "250 8BITMIME\r\n",
		.helo = "250 $h \xfe$0\r\n",
		.mail = "250 2.1.0 \xe2\x28\xa1 $0 ok\r\n",
		.bye = "221 2.0.0 \x80$0\r\n",
		.ok = "250 2.0.0 \xff$0\r\n",
		.answers = {
			[MW_ABSENT] = "550 5.1.1 <$a>: User unknown $0\xf0\x28\x8c\r\n",
			[MW_ACCEPT] = "250 2.1.5 \xc0\xaf$0 Ok\r\n",
		},
	},
	[MW_BARE_LF] = {
		.greeting = "220-$h ESMTP\n220 lines end as they like\n",
		.hello = "250-$h\n250-PIPELINING\n250-SIZE 10485760\n",
		.plain = "250-$h\n250-SIZE 10485760\n",
		.last = "250 8BITMIME\n",
		.helo = "250 $h\n",
		.mail = "250 2.1.0 Ok\n",
		.bye = "221 2.0.0 Bye\n",
		.ok = "250 2.0.0 Ok\n",
		.answers = {
			[MW_ABSENT] = "550-5.1.1 <$a>: Recipient address rejected:\n550 5.1.1 User unknown\n",
			[MW_ACCEPT] = "250 2.1.5 Ok\n",
		},
	},
};
