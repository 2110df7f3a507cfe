/* See broker.h. */
#include "coordinator/broker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void broker_init(struct broker *broker, const struct rc_kafka_settings *configured)
{
	memset(broker, 0, sizeof(*broker));
	broker->configured = configured;
	broker->settings = *configured;
	broker->embedded = configured->brokers[0] == '@';
}

static enum rc_status read_file(const char *path, char out[BROKER_ADDRESS_MAX],
				struct rc_error *err)
{
	FILE *file = fopen(path, "re");
	size_t n;

	if (!file)
		return rc_error_set(
		    err, RC_UNAVAILABLE,
		    "the broker's address file %s cannot be read: %s; check ROLLCALL_BROKERS", path,
		    strerror(errno));
	n = fread(out, 1, BROKER_ADDRESS_MAX - 1, file);
	fclose(file);
	out[n] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	if (!*out)
		return rc_error_set(err, RC_UNAVAILABLE, "the broker's address file %s is empty",
				    path);
	return RC_OK;
}

enum rc_status broker_look(struct broker *broker, uint64_t mono_ms, bool *ret_changed,
			   struct rc_error *err)
{
	char now[BROKER_ADDRESS_MAX];

	*ret_changed = false;
	if (broker->looked_at_ms && mono_ms - broker->looked_at_ms < BROKER_LOOK_MS &&
	    broker->address[0])
		return RC_OK;
	broker->looked_at_ms = mono_ms ? mono_ms : 1;
	if (broker->embedded) {
		enum rc_status status = read_file(broker->configured->brokers + 1, now, err);

		if (status != RC_OK)
			return status;
	} else {
		snprintf(now, sizeof(now), "%s", broker->configured->brokers);
	}
	if (strcmp(now, broker->address) != 0) {
		memcpy(broker->address, now, sizeof(now));
		broker->settings.brokers = broker->address;
		*ret_changed = true;
	}
	return RC_OK;
}

enum rc_status broker_identity(const struct broker *broker, rd_kafka_t *client, int timeout_ms,
			       char ret_identity[BROKER_IDENTITY_MAX], struct rc_error *err)
{
	char id[RC_CLUSTER_ID_MAX];
	enum rc_status status = rc_kafka_cluster_id(client, timeout_ms, id, err);

	if (status != RC_OK)
		return status;
	/* The mock's cluster id may come again; its port hardly with it. */
	snprintf(ret_identity, BROKER_IDENTITY_MAX, "%s%s%.100s", id, broker->embedded ? "@" : "",
		 broker->embedded ? broker->address : "");
	return RC_OK;
}
