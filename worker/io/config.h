/*
 * config - what an operator may set of a worker: one table, made into flags, ROLLCALL_* variables,
 * --help and the docs.
 *
 * Filled once at start; passed as const afterwards. Strings belong to the option set.
 */
#ifndef WORKER_IO_CONFIG_H
#define WORKER_IO_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/options.h"

struct worker_config {
	const char *lanes;
	const char *mail_from;
	const char *brokers;
	int64_t broker_wait_ms;
	const char *message_key;
	const char *kafka_options;
	const char *dns;
	int64_t smtp_port;
	const char *allow_targets;
	bool pace;
	bool unsafe_lanes;
	const char *doctor_target;
	const char *dnsbls;
	int64_t time_scale;
	const char *rules_dir;
	int64_t sessions;
	bool transcript;
	const char *starttls;
	/* Of struct probe_limits, in ms. */
	int64_t timeout_resolve_ms;
	int64_t timeout_connect_ms;
	int64_t timeout_greeting_ms;
	int64_t timeout_ehlo_ms;
	int64_t timeout_starttls_ms;
	int64_t timeout_handshake_ms;
	int64_t timeout_mail_ms;
	int64_t timeout_rcpt_ms;
	int64_t timeout_quit_ms;
	const char *log_level;
	bool log_addresses;
};

/* The table of rc_options_parse(). */
const struct rc_option *worker_config_table(void);

#endif
