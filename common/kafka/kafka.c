/* See kafka.h. Producers, consumers and positions; topics.c has what administrates. */
#include "common/kafka/kafka.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/kafka/conf.h"

enum { ASK_AGAIN_MS = 50 };

enum rc_status rc_kafka_producer_new(const struct rc_kafka_settings *settings,
				     const char *client_id, rc_kafka_delivery_fn *delivered,
				     void *opaque, rd_kafka_t **ret_client, struct rc_error *err)
{
	bool sealed = settings->message_key && *settings->message_key;
	char linger_ms[16];
	const struct rc_kafka_pair pairs[] = {
		{ "acks", "all" },
		{ "enable.idempotence", "true" },
		{ "linger.ms", linger_ms },
		{ "message.max.bytes", "1000000" },
		/* Cipher text does not compress. */
		{ "compression.codec", sealed ? "none" : "lz4" },
		{ "queue.buffering.max.kbytes", "32768" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf;
	enum rc_status status;

	snprintf(linger_ms, sizeof(linger_ms), "%d", settings->linger_ms > 0 ? settings->linger_ms : 3);
	status = rc_kafka_conf_new(settings, client_id, pairs, &conf, err);
	if (status != RC_OK)
		return status;
	if (delivered)
		rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rd_kafka_conf_set_opaque(conf, opaque);
	return rc_kafka_client_new(RD_KAFKA_PRODUCER, conf, ret_client, err);
}

enum rc_status rc_kafka_consumer_new(const struct rc_kafka_settings *settings,
				     const char *client_id, const char *group,
				     enum rc_kafka_reset reset, void *opaque,
				     rd_kafka_t **ret_client, struct rc_error *err)
{
	const struct rc_kafka_pair pairs[] = {
		/* Without a group commits are refused; nobody subscribes with it. */
		{ "group.id", group },
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "enable.partition.eof", "false" },
		{ "auto.offset.reset", reset == RC_KAFKA_RESET_EARLIEST ? "earliest" : "error" },
		{ "allow.auto.create.topics", "false" },
		/* What is new is answered with at once; only a partition that is assigned during a
		 * fetch waits for its end. Each costs us and the broker some 100 us. */
		{ "fetch.wait.max.ms", "100" },
		{ "fetch.error.backoff.ms", "100" },
		/*
		 * The octets are the bound. librdkafka 2.0.2 looks only once a second whether a
		 * queue that was full has room: at 200 messages a backlog came in at 10,000 a
		 * second, at 100,000 ten times as fast.
		 */
		{ "queued.min.messages", "100000" },
		{ "queued.max.messages.kbytes", "16384" },
		{ "fetch.message.max.bytes", "1048576" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf;
	enum rc_status status = rc_kafka_conf_new(settings, client_id, pairs, &conf, err);

	if (status != RC_OK)
		return status;
	rd_kafka_conf_set_opaque(conf, opaque);
	status = rc_kafka_client_new(RD_KAFKA_CONSUMER, conf, ret_client, err);
	if (status == RC_OK)
		rd_kafka_poll_set_consumer(*ret_client);
	return status;
}

enum rc_status rc_kafka_produce(rd_kafka_t *producer, const char *topic, int32_t partition,
				const void *key, size_t key_len, const void *payload, size_t len,
				void *message_opaque, struct rc_error *err)
{
	rd_kafka_resp_err_t code =
	    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
			      RD_KAFKA_V_KEY((void *)(uintptr_t)key, key_len),
			      RD_KAFKA_V_VALUE((void *)(uintptr_t)payload, len),
			      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			      RD_KAFKA_V_OPAQUE(message_opaque), RD_KAFKA_V_END);

	switch (code) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return RC_OK;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
		return rc_error_set(err, RC_LIMIT, "Kafka's send queue is full");
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		return rc_error_set(err, RC_INVALID,
				    "a message of %zu octets is too large for Kafka", len);
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		return rc_error_set(err, RC_NOT_FOUND, "%s has no partition %d", topic,
				    (int)partition);
	default:
		return rc_error_set(err, RC_BROKEN, "the Kafka producer takes no messages: %s",
				    rd_kafka_err2str(code));
	}
}

static enum rc_status error_take(rd_kafka_error_t *error, const char *doing, const char *topic,
				 int32_t partition, struct rc_error *err)
{
	enum rc_status status;

	if (!error)
		return RC_OK;
	status =
	    rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__CONFLICT ? RC_CONFLICT : RC_BROKEN;
	rc_error_set(err, status, "%s %s, partition %d: %s", doing, topic, (int)partition,
		     rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return status;
}

enum rc_status rc_kafka_assign_add(rd_kafka_t *consumer, const char *topic, int32_t partition,
				   int64_t offset, struct rc_error *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_error_t *error;

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	error = rd_kafka_incremental_assign(consumer, list);
	rd_kafka_topic_partition_list_destroy(list);
	return error_take(error, "cannot be assigned", topic, partition, err);
}

enum rc_status rc_kafka_assign_drop(rd_kafka_t *consumer, const char *topic, int32_t partition,
				    struct rc_error *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_error_t *error;

	rd_kafka_topic_partition_list_add(list, topic, partition);
	error = rd_kafka_incremental_unassign(consumer, list);
	rd_kafka_topic_partition_list_destroy(list);
	return error_take(error, "cannot be dropped", topic, partition, err);
}

void rc_kafka_commit(rd_kafka_t *consumer, const char *topic, int32_t partition,
		     int64_t next_offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = next_offset;
	(void)rd_kafka_commit(consumer, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
}

/* A partition that has just been made, or whose leader is changing. */
static bool in_motion(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
	       code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
	       code == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE ||
	       code == RD_KAFKA_RESP_ERR__TRANSPORT;
}

enum rc_status rc_kafka_watermarks(rd_kafka_t *client, const char *topic, int32_t partition,
				   int timeout_ms, int64_t *ret_low, int64_t *ret_high,
				   struct rc_error *err)
{
	uint64_t now_ms = rc_clock_mono_ms(), end_ms = now_ms + (uint64_t)timeout_ms;
	int64_t low, high;
	rd_kafka_resp_err_t code;

	for (;; now_ms = rc_clock_mono_ms()) {
		code =
		    rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high,
						     now_ms < end_ms ? (int)(end_ms - now_ms) : 1);
		if (!in_motion(code) || now_ms >= end_ms)
			break;
		/* Not rd_kafka_poll: the client may be a consumer, whose messages it would take. */
		(void)poll(NULL, 0, ASK_AGAIN_MS);
	}
	if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
	    code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	    code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		return rc_error_set(err, RC_NOT_FOUND, "%s has no partition %d", topic,
				    (int)partition);
	if (code)
		return rc_error_set(err, RC_UNAVAILABLE,
				    "the offsets of %s, partition %d, cannot be read: %s", topic,
				    (int)partition, rd_kafka_err2str(code));
	*ret_low = low;
	*ret_high = high;
	return RC_OK;
}

enum rc_status rc_kafka_cluster_id(rd_kafka_t *client, int timeout_ms,
				   char ret_id[RC_CLUSTER_ID_MAX], struct rc_error *err)
{
	char *id = rd_kafka_clusterid(client, timeout_ms);

	if (!id)
		return rc_error_set(err, RC_UNAVAILABLE,
				    "no Kafka broker has told its cluster's id within %d ms",
				    timeout_ms);
	snprintf(ret_id, RC_CLUSTER_ID_MAX, "%s", id);
	rd_kafka_mem_free(client, id);
	return RC_OK;
}
