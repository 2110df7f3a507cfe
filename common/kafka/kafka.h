/*
 * kafka - connections, topics and positions on librdkafka, the same for coordinator and worker.
 *
 * Delivery is at least once and offsets are the caller's own: consumers are assigned by hand, never
 * subscribed. librdkafka's threads only log through here; delivery reports and messages arrive on
 * the thread that polls. Functions that wait say so, and are not for an event loop. Clients are
 * freed with rd_kafka_destroy (a consumer after rd_kafka_consumer_close).
 */
#ifndef RC_KAFKA_KAFKA_H
#define RC_KAFKA_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/options.h"
#include "common/base/status.h"

#define RC_TOPIC_SHARDS "rollcall.shards"   /* partition = lane number */
#define RC_TOPIC_REPORTS "rollcall.reports" /* key = shard id */
#define RC_TOPIC_CONTROL "rollcall.control" /* one partition */

/* Groups are names for commits, which lag tools read: nobody joins them. */
#define RC_GROUP_WORKERS "rollcall.workers"
#define RC_GROUP_SINK "rollcall.sink"

enum { RC_CLUSTER_ID_MAX = 64 };

struct rc_kafka_settings {
	const char *brokers;	   /* "host:port,host:port" */
	const char *message_key;   /* NULL: payloads are plain */
	const char *kafka_options; /* "security.protocol=ssl,..." for librdkafka; "\," is a comma;
				      NULL: none */
	int linger_ms; /* a producer's messages wait so long for others to go with; 0: 3 ms */
};

/*
 * The rows of both services' option tables. `member` is the struct rc_kafka_settings within
 * `config`, a struct type.
 */
/* clang-format off */
#define RC_KAFKA_OPTION_ROWS(config, member)                                                       \
	{ .name = "brokers", .type = RC_OPTION_STRING,                                             \
	  .offset = offsetof(config, member.brokers), .value = "127.0.0.1:9092",                   \
	  .unit = "host:port,...", .help = "Kafka's bootstrap addresses, or @FILE to read them from a file." },                       \
	{ .name = "message-key", .type = RC_OPTION_STRING,                                         \
	  .offset = offsetof(config, member.message_key), .secret = true,                          \
	  .unit = "16 characters or more",                                                          \
	  .help = "Seals what passes through the broker; the same for coordinator and workers." },    \
	{ .name = "kafka-options", .type = RC_OPTION_STRING,                                       \
	  .offset = offsetof(config, member.kafka_options), .secret = true,                        \
	  .unit = "name=value,...",                                                                \
	  .help = "More for librdkafka: security.protocol=ssl,ssl.ca.location=... and so on." }
/* clang-format on */

/* Served by rd_kafka_poll on the polling thread; `opaque` is rd_kafka_opaque of the client. */
typedef void rc_kafka_delivery_fn(rd_kafka_t *client, const rd_kafka_message_t *message,
				  void *opaque);

/*
 * An idempotent producer with acks=all. RC_INVALID: an option is not valid, each one named. Makes
 * no connection by itself that it waits for. On RD_KAFKA_RESP_ERR__FATAL (rd_kafka_fatal_error)
 * make a new one.
 */
enum rc_status rc_kafka_producer_new(const struct rc_kafka_settings *settings,
				     const char *client_id, rc_kafka_delivery_fn *delivered,
				     void *opaque, rd_kafka_t **ret_client,
				     struct rc_error *err) RC_MUST_CHECK;

/* What a consumer does at an offset that the broker no longer has. */
enum rc_kafka_reset {
	/* goes on with the oldest message that is left: the offsets jump */
	RC_KAFKA_RESET_EARLIEST = 1,
	/* RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET arrives, the partition rests until assigned anew */
	RC_KAFKA_RESET_ERROR
};

/*
 * A consumer without an assignment; its queue carries everything (rd_kafka_poll_set_consumer is
 * done). Take messages with rd_kafka_consumer_poll, or from rd_kafka_queue_get_consumer under
 * rd_kafka_queue_io_event_enable: then until it is empty.
 */
enum rc_status rc_kafka_consumer_new(const struct rc_kafka_settings *settings,
				     const char *client_id, const char *group,
				     enum rc_kafka_reset reset, void *opaque,
				     rd_kafka_t **ret_client, struct rc_error *err) RC_MUST_CHECK;

/*
 * Queues a message; the payload and key are copied. `partition` RD_KAFKA_PARTITION_UA: by the key.
 * `message_opaque` comes back as message->_private. RC_LIMIT: the queue is full: stop reading
 * upstream, poll, try again. RC_BROKEN: the producer is done for.
 */
enum rc_status rc_kafka_produce(rd_kafka_t *producer, const char *topic, int32_t partition,
				const void *key, size_t key_len, const void *payload, size_t len,
				void *message_opaque, struct rc_error *err) RC_MUST_CHECK;

/*
 * Adds or drops one partition and leaves the others alone. `offset` may be
 * RD_KAFKA_OFFSET_BEGINNING or _END. A partition that is already assigned is RC_CONFLICT: drop it
 * first. Messages fetched before a drop may still arrive once.
 */
enum rc_status rc_kafka_assign_add(rd_kafka_t *consumer, const char *topic, int32_t partition,
				   int64_t offset, struct rc_error *err) RC_MUST_CHECK;
enum rc_status rc_kafka_assign_drop(rd_kafka_t *consumer, const char *topic, int32_t partition,
				    struct rc_error *err) RC_MUST_CHECK;
/* Commits `next_offset` without waiting: for lag tools; nothing here reads it. */
void rc_kafka_commit(rd_kafka_t *consumer, const char *topic, int32_t partition,
		     int64_t next_offset);

/* ---- These wait for a broker, up to timeout_ms. */

/* RC_UNAVAILABLE: "no broker answers at ..." and why. */
enum rc_status rc_kafka_reachable(const struct rc_kafka_settings *settings, int timeout_ms,
				  struct rc_error *err) RC_MUST_CHECK;

/*
 * Makes the three topics where they are missing and checks that there are partitions enough (more
 * is fine). RC_UNAVAILABLE, RC_DENIED, or RC_CONFLICT where a topic is too small; the error says
 * what to do.
 */
enum rc_status rc_kafka_topics_ensure(const struct rc_kafka_settings *settings,
				      int shard_partitions, int report_partitions, int timeout_ms,
				      struct rc_error *err) RC_MUST_CHECK;

/* The offset of the oldest message and the one that the next will get. */
enum rc_status rc_kafka_watermarks(rd_kafka_t *client, const char *topic, int32_t partition,
				   int timeout_ms, int64_t *ret_low, int64_t *ret_high,
				   struct rc_error *err) RC_MUST_CHECK;
/* RC_NOT_FOUND: there is no such topic. */
enum rc_status rc_kafka_partitions(rd_kafka_t *client, const char *topic, int timeout_ms,
				   int32_t *ret_count, struct rc_error *err) RC_MUST_CHECK;
/* The id of the cluster that the client is connected to: another one is another generation. Cached
 * by the client. */
enum rc_status rc_kafka_cluster_id(rd_kafka_t *client, int timeout_ms,
				   char ret_id[RC_CLUSTER_ID_MAX],
				   struct rc_error *err) RC_MUST_CHECK;

#endif
