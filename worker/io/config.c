#include "worker/io/config.h"

#include <stddef.h>

#define AT(member) offsetof(struct worker_config, member)
/* A time limit of the protocol; no longer than a shard lives. */
#define TIMEOUT(step, limit, what)                                                                 \
	{                                                                                          \
		.name = "timeout-" #step, .type = RC_OPTION_DURATION,                              \
		.offset = AT(timeout_##step##_ms), .value = limit, .min = 1, .max = 300 * 1000,    \
		.help = what                                                                       \
	}

static const struct rc_option table[] = {
	{ .name = "lanes",
	  .type = RC_OPTION_STRING,
	  .offset = AT(lanes),
	  .unit = "name=PUBLIC@BIND/HELO ...",
	  .help =
	      "The sending identities, separated by blanks: public address, the address to bind "
	      "where it differs, "
	      "HELO name; v6 in brackets. Without it: one lane on the default route's address." },
	{ .name = "mail-from",
	  .type = RC_OPTION_STRING,
	  .offset = AT(mail_from),
	  .unit = "address",
	  .help = "The sender of every probe; without it verify@ the lane's HELO name." },
	{ .name = "brokers",
	  .type = RC_OPTION_STRING,
	  .offset = AT(brokers),
	  .value = "127.0.0.1:9092",
	  .unit = "host:port,...",
	  .help = "Kafka's bootstrap addresses, or @FILE to read them from a file that is looked "
		  "at again when it "
		  "changes." },
	{ .name = "broker-wait",
	  .type = RC_OPTION_DURATION,
	  .offset = AT(broker_wait_ms),
	  .value = "30s",
	  .min = 0,
	  .max = 3600 * 1000,
	  .help = "How long to wait for a broker at start before giving up; later it is waited for "
		  "without end." },
	{ .name = "message-key",
	  .type = RC_OPTION_STRING,
	  .offset = AT(message_key),
	  .secret = true,
	  .unit = "16 characters or more",
	  .help = "Seals what passes through the broker; the same for coordinator and workers." },
	{ .name = "kafka-options",
	  .type = RC_OPTION_STRING,
	  .offset = AT(kafka_options),
	  .secret = true,
	  .unit = "name=value,...",
	  .help = "librdkafka properties such as security.protocol=SASL_SSL." },
	{ .name = "dns",
	  .type = RC_OPTION_STRING,
	  .offset = AT(dns),
	  .unit = "ip:port,...",
	  .help = "The resolvers to ask; without it those of /etc/resolv.conf." },
	{ .name = "smtp-port",
	  .type = RC_OPTION_INT,
	  .offset = AT(smtp_port),
	  .value = "25",
	  .min = 1,
	  .max = 65535,
	  .help = "The port of every mail server." },
	{ .name = "allow-targets",
	  .type = RC_OPTION_STRING,
	  .offset = AT(allow_targets),
	  .unit = "CIDR,...",
	  .help = "Networks outside of public address space that may be connected to; none unless "
		  "named." },
	{ .name = "pace",
	  .type = RC_OPTION_BOOL,
	  .offset = AT(pace),
	  .value = "on",
	  .help = "Keep to standing limits by mail server; off: react to replies only, and connect "
		  "only to "
		  "allow-targets." },
	{ .name = "unsafe-lanes",
	  .type = RC_OPTION_BOOL,
	  .offset = AT(unsafe_lanes),
	  .value = "off",
	  .help = "Probe with a lane that doctor found unfit: reverse DNS, HELO, MX or port 25." },
	{ .name = "doctor-target",
	  .type = RC_OPTION_STRING,
	  .offset = AT(doctor_target),
	  .unit = "host[:port]",
	  .help =
	      "The mail server that doctor tries port 25 with; without it the MX of MAIL FROM's "
	      "domain." },
	{ .name = "dnsbls",
	  .type = RC_OPTION_STRING,
	  .offset = AT(dnsbls),
	  .unit = "zone,...",
	  .help = "Block lists that doctor looks the lanes' addresses up in, such as "
		  "zen.spamhaus.org; without it none." },
	{ .name = "time-scale",
	  .type = RC_OPTION_INT,
	  .offset = AT(time_scale),
	  .value = "1",
	  .min = 1,
	  .max = 100000,
	  .help =
	      "Divides every wait before another attempt, for tests; other than 1: connect only to "
	      "allow-targets." },
	{ .name = "rules-dir",
	  .type = RC_OPTION_STRING,
	  .offset = AT(rules_dir),
	  .unit = "directory",
	  .reloadable = true,
	  .help =
	      "Where `replies` and `providers` stand; without it the installed data directory." },
	{ .name = "sessions",
	  .type = RC_OPTION_INT,
	  .offset = AT(sessions),
	  .value = "20000",
	  .min = 1,
	  .max = 1000000,
	  .help = "Most shards in work at once, and with them connections." },
	{ .name = "transcript",
	  .type = RC_OPTION_BOOL,
	  .offset = AT(transcript),
	  .value = "off",
	  .help = "Report every line of every conversation." },
	{ .name = "starttls",
	  .type = RC_OPTION_STRING,
	  .offset = AT(starttls),
	  .value = "required",
	  .unit = "required|offered|always|never",
	  .help = "When to seal a conversation: where the server demands it; wherever it is "
		  "offered, in plain text where that "
		  "fails; always, and ask nobody without it; never." },
	TIMEOUT(resolve, "30s", "The longest wait for a look-up of mail servers or addresses."),
	TIMEOUT(connect, "30s", "The longest wait for a connection."),
	TIMEOUT(greeting, "75s",
		"The longest wait for the greeting; some servers let strangers wait a minute."),
	TIMEOUT(ehlo, "30s", "The longest wait for the reply to EHLO and HELO."),
	TIMEOUT(starttls, "30s", "The longest wait for the reply to STARTTLS."),
	TIMEOUT(handshake, "30s", "The longest a TLS handshake may take in all."),
	TIMEOUT(mail, "30s", "The longest wait for the reply to MAIL FROM."),
	TIMEOUT(rcpt, "60s", "The longest wait for each reply to RCPT TO."),
	TIMEOUT(quit, "2s", "The longest wait for the reply to QUIT."),
	{ .name = "log-level",
	  .type = RC_OPTION_STRING,
	  .offset = AT(log_level),
	  .value = "info",
	  .unit = "debug|info|warn|error",
	  .help = "The least that is logged." },
	{ .name = "log-addresses",
	  .type = RC_OPTION_BOOL,
	  .offset = AT(log_addresses),
	  .value = "off",
	  .help = "Log mail addresses as they are instead of hashed." },
	{ .name = NULL }
};

const struct rc_option *worker_config_table(void)
{
	return table;
}
