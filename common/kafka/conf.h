/* conf - librdkafka's configuration from our settings; private to this room. */
#ifndef RC_KAFKA_CONF_H
#define RC_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "common/kafka/kafka.h"

struct rc_kafka_pair {
	const char *name, *value;
};

/*
 * What every client has, then `pairs` (ended by a NULL name), then the operator's kafka_options.
 * The caller owns *ret_conf until rd_kafka_new takes it.
 */
enum rc_status rc_kafka_conf_new(const struct rc_kafka_settings *settings, const char *client_id,
				 const struct rc_kafka_pair *pairs, rd_kafka_conf_t **ret_conf,
				 struct rc_error *err) RC_MUST_CHECK;

/* rd_kafka_new, which frees the configuration either way. */
enum rc_status rc_kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf,
				   rd_kafka_t **ret_client, struct rc_error *err) RC_MUST_CHECK;

#endif
