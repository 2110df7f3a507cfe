/*
 * config - the coordinator's options: one table for flags, ROLLCALL_* variables, the file, --help
 * and the docs.
 *
 * Filled once by main, read only afterwards, from any thread.
 */
#ifndef COORDINATOR_CONFIG_H
#define COORDINATOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/options.h"
#include "common/kafka/kafka.h"

struct config {
	const char *database;
	int64_t database_wait_ms;
	struct rc_kafka_settings kafka; /* brokers may be @FILE: coordinator/broker.h reads it */
	int64_t broker_wait_ms;
	const char *listen;
	const char *retry_schedule;
	const char *warmup;
	int64_t time_scale;
	bool pace;
	bool harvest_guard;
	int64_t history_keep_ms;
	const char *rules_dir;	/* NULL: beside the program */
	const char *spam_traps; /* NULL: spam-traps in there */
	const char *key_file;
	const char *url_file;
	int64_t lane_partitions;
	int64_t report_partitions;
	const char *log_level;
	bool log_addresses;
};

extern const struct rc_option config_table[];

#endif
