/* See config.h. */
#include "coordinator/config.h"

#include <stddef.h>

#define AT(member) .offset = offsetof(struct config, member)

const struct rc_option config_table[] = {
	{ .name = "#Database" },
	{ .name = "database", .type = RC_OPTION_STRING, AT(database), .value = "dbname=rollcall", .unit = "conninfo", .secret = true,
	  .help = "Where PostgreSQL is: a libpq connection string or postgresql:// URI." },
	{ .name = "database-wait", .type = RC_OPTION_DURATION, AT(database_wait_ms), .min = 0, .max = 3600000, .value = "30s", .unit = "time",
	  .help = "How long to wait at start for a database that does not answer yet." },
	{ .name = "#Kafka" },
	RC_KAFKA_OPTION_ROWS(struct config, kafka),
	{ .name = "broker-wait", .type = RC_OPTION_DURATION, AT(broker_wait_ms), .min = 0, .max = 3600000, .value = "30s", .unit = "time",
	  .help = "How long to wait at start for a broker that does not answer yet." },
	{ .name = "lane-partitions", .type = RC_OPTION_INT, AT(lane_partitions), .min = 1, .max = 1024, .value = "64",
	  .help = "Partitions of rollcall.shards where the topic is made: as many lanes can exist." },
	{ .name = "report-partitions", .type = RC_OPTION_INT, AT(report_partitions), .min = 1, .max = 256, .value = "4",
	  .help = "Partitions of rollcall.reports where the topic is made." },
	{ .name = "#API" },
	{ .name = "listen", .type = RC_OPTION_STRING, AT(listen), .value = "127.0.0.1:8025", .unit = "address:port",
	  .help = "Where the HTTP API listens; port 0 takes any free one." },
	{ .name = "key-file", .type = RC_OPTION_STRING, AT(key_file), .unit = "file",
	  .help = "Keep a valid admin key in this file (0600): made where it is missing or not valid here." },
	{ .name = "url-file", .type = RC_OPTION_STRING, AT(url_file), .unit = "file",
	  .help = "Write the API's URL into this file once it listens." },
	{ .name = "#Verification" },
	{ .name = "retry-schedule", .type = RC_OPTION_STRING, AT(retry_schedule), .value = "330s,2100s,12600s", .unit = "time,...",
	  .help = "When to try again, counted from the first attempt." },
	{ .name = "harvest-guard", .type = RC_OPTION_BOOL, AT(harvest_guard), .value = "on",
	  .help = "Stop asking a domain that refuses nearly everybody, until an admin releases it." },
	{ .name = "pace", .type = RC_OPTION_BOOL, AT(pace), .value = "on",
	  .help = "Keep to each provider's limits; off only towards ALLOW_TARGETS, as in tests." },
	{ .name = "time-scale", .type = RC_OPTION_INT, AT(time_scale), .min = 1, .max = 100000, .value = "1",
	  .help = "Divide every wait before another attempt, as its timer is armed; for tests." },
	{ .name = "rules-dir", .type = RC_OPTION_STRING, AT(rules_dir), .unit = "folder",
	  .help = "Where replies, providers, scores and the lists are; default: data/ as installed." },
	{ .name = "#Log" },
	{ .name = "log-level", .type = RC_OPTION_STRING, AT(log_level), .value = "info", .unit = "debug|info|warn|error",
	  .help = "What is worth a line on standard error." },
	{ .name = "log-addresses", .type = RC_OPTION_BOOL, AT(log_addresses), .value = "off",
	  .help = "Write e-mail addresses into the log as they are, not hashed." },
	{ .name = NULL },
};
