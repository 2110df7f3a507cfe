/*
 * broker - where Kafka is, for one thread: the configured address, or the content of the file that
 * `@FILE` names.
 *
 * The embedded broker of `rollcall up` gets another port, and forgets everything, whenever it
 * starts: its address file is read again and again, and another content means that the clients are
 * to be made anew.
 */
#ifndef COORDINATOR_BROKER_H
#define COORDINATOR_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/kafka/kafka.h"

enum {
	BROKER_ADDRESS_MAX = 4096,
	BROKER_LOOK_MS = 200,
	BROKER_IDENTITY_MAX = RC_CLUSTER_ID_MAX + 128
};

struct broker {
	const struct rc_kafka_settings *configured;
	struct rc_kafka_settings
	    settings; /* with the address as it is now; valid once broker_look() has succeeded */
	char address[BROKER_ADDRESS_MAX];
	uint64_t looked_at_ms;
	bool embedded; /* by @FILE: keeps little and forgets everything */
};

void broker_init(struct broker *broker, const struct rc_kafka_settings *configured);
/* Reads the address where it is time to. *ret_changed: it is another one than before (the first
 * counts). RC_UNAVAILABLE: the file is not there (yet). */
enum rc_status broker_look(struct broker *broker, uint64_t mono_ms, bool *ret_changed,
			   struct rc_error *err) RC_MUST_CHECK;
/* What tells one life of a broker from another. */
enum rc_status broker_identity(const struct broker *broker, rd_kafka_t *client, int timeout_ms,
			       char ret_identity[BROKER_IDENTITY_MAX],
			       struct rc_error *err) RC_MUST_CHECK;

#endif
