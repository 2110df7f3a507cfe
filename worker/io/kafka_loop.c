#include "worker/io/kafka_loop.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/kafka/envelope.h"
#include "common/kafka/kafka.h"
#include "common/kafka/seal.h"

enum {
	BROKERS_MAX = 4096,   /* octets of the settings' text or of @FILE */
	SHARDS_A_TURN = 256,  /* then the loop sees to the sockets */
	HELLOS_IN_FLIGHT = 2, /* more would only be old ones once the broker is back */
	CONTROL_BACKLOG = 64, /* a grant may be written before our position at the end is known */
	TICK_MS = 250,
	/* A batch costs librdkafka some 100 us whatever is in it; 500 busy shards write as many
	   parts a second. */
	LINGER_MS = 40,
	COMMIT_EVERY_TICKS = 8,
	AWAY_AFTER_MS = 8000,
	REMAKE_AFTER_MS = 1000
};

/* What a delivery report is of. */
static char tag_hello, tag_report;

struct waiting_report {
	struct waiting_report *next;
	char key[24];
	size_t len;
	char payload[];
};

struct assigned {
	struct assigned *next;
	uint32_t lane;
	int64_t next_offset; /* after the last one handed over; -1: none yet */
	int64_t committed;
};

struct kafka_loop {
	uv_loop_t *loop;
	const struct kafka_loop_events *events;
	void *context;
	struct kafka_loop_settings settings;
	char brokers[BROKERS_MAX]; /* in use, or empty */
	struct timespec file_time;
	ino_t file_inode;

	rd_kafka_t *producer;
	rd_kafka_t *shards;
	rd_kafka_t *control;
	rd_kafka_queue_t *producer_queue;
	rd_kafka_queue_t *shard_queue;
	rd_kafka_queue_t *control_queue;
	struct rc_seal *seal;
	struct rc_buf packed;

	int wake_fd;
	uv_poll_t wake;
	uv_timer_t tick;
	uv_async_t again;
	unsigned handles_open;
	unsigned ticks;

	struct assigned *assigned;
	struct waiting_report *waiting;
	struct waiting_report **waiting_end;
	bool hold;
	bool connected;
	bool away_said;
	bool remake;
	bool freeing;
	bool unsealed_said;
	unsigned hellos;
	uint64_t hello_since_ms; /* when the oldest one under way was sent */
	uint64_t made_ms;
};

static enum rc_status clients_make(struct kafka_loop *kafka, struct rc_error *err);

/* ---- deliveries */

static void waiting_free(struct kafka_loop *kafka)
{
	while (kafka->waiting != NULL) {
		struct waiting_report *first = kafka->waiting;

		kafka->waiting = first->next;
		free(first);
	}
	kafka->waiting_end = &kafka->waiting;
}

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
	struct kafka_loop *kafka = opaque;
	const bool hello = message->_private == &tag_hello;

	if (client != kafka->producer)
		return;
	if (hello && kafka->hellos > 0)
		kafka->hellos--;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		kafka->hello_since_ms = uv_now(kafka->loop);
		if (kafka->connected)
			return;
		kafka->connected = true;
		kafka->away_said = false;
		rc_log(RC_LOG_INFO, "broker_connected", "brokers=%s", kafka->brokers);
		if (!kafka->freeing)
			kafka->events->connected(kafka->context);
		return;
	}
	if (message->err == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_fatal_error(client, NULL, 0) != 0)
		kafka->remake = true;
	if (!hello && !kafka->freeing)
		rc_log(RC_LOG_WARN, "report_lost", "shard=%.*s reason=\"%s\"",
		       (int)message->key_len, (const char *)message->key,
		       rd_kafka_err2str(message->err));
}

static enum rc_status produce(struct kafka_loop *kafka, const char *key, const void *payload,
			      size_t len)
{
	struct rc_error err;
	const enum rc_status status =
	    kafka->producer == NULL
		? RC_LIMIT
		: rc_kafka_produce(kafka->producer, RC_TOPIC_REPORTS, RD_KAFKA_PARTITION_UA, key,
				   strlen(key), payload, len, &tag_report, &err);

	if (status == RC_BROKEN)
		kafka->remake = true;
	if (status != RC_OK && status != RC_LIMIT)
		rc_log(RC_LOG_WARN, "report_lost", "shard=%s reason=\"%s\"", key, err.text);
	return status;
}

static void send_waiting(struct kafka_loop *kafka)
{
	while (kafka->waiting != NULL) {
		struct waiting_report *first = kafka->waiting;

		if (produce(kafka, first->key, first->payload, first->len) == RC_LIMIT)
			return;
		kafka->waiting = first->next;
		if (kafka->waiting == NULL)
			kafka->waiting_end = &kafka->waiting;
		free(first);
	}
}

bool kafka_loop_has_room(const struct kafka_loop *kafka)
{
	return kafka->waiting == NULL && kafka->producer != NULL;
}

static bool pack(struct kafka_loop *kafka, const char *topic, const Rollcall__Envelope *envelope)
{
	struct rc_error err;

	rc_buf_clear(&kafka->packed);
	if (rc_envelope_pack(kafka->seal, topic, envelope, &kafka->packed, &err) == RC_OK)
		return true;
	rc_log(RC_LOG_WARN, "message_not_packed", "topic=%s reason=\"%s\"", topic, err.text);
	return false;
}

bool kafka_loop_report(struct kafka_loop *kafka, const Rollcall__Report *report)
{
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	char key[24];

	envelope.body_case = ROLLCALL__ENVELOPE__BODY_REPORT;
	envelope.report = (Rollcall__Report *)(uintptr_t)report;
	if (!pack(kafka, RC_TOPIC_REPORTS, &envelope))
		return false;
	snprintf(key, sizeof(key), "%" PRIu64, report->shard);
	if (kafka->waiting == NULL) {
		const enum rc_status status =
		    produce(kafka, key, kafka->packed.data, kafka->packed.len);

		if (status != RC_LIMIT)
			return status == RC_OK;
	}
	struct waiting_report *waiting = malloc(sizeof(*waiting) + kafka->packed.len);

	if (waiting == NULL)
		return false;
	waiting->next = NULL;
	memcpy(waiting->key, key, sizeof(key));
	waiting->len = kafka->packed.len;
	memcpy(waiting->payload, kafka->packed.data, kafka->packed.len);
	*kafka->waiting_end = waiting;
	kafka->waiting_end = &waiting->next;
	return true;
}

bool kafka_loop_hello(struct kafka_loop *kafka, const Rollcall__Hello *hello)
{
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	struct rc_error err;

	envelope.body_case = ROLLCALL__ENVELOPE__BODY_HELLO;
	envelope.hello = (Rollcall__Hello *)(uintptr_t)hello;
	if (kafka->producer == NULL || kafka->hellos >= HELLOS_IN_FLIGHT)
		return false;
	if (!pack(kafka, RC_TOPIC_CONTROL, &envelope))
		return false;
	const enum rc_status status = rc_kafka_produce(
	    kafka->producer, RC_TOPIC_CONTROL, 0, hello->worker, strlen(hello->worker),
	    kafka->packed.data, kafka->packed.len, &tag_hello, &err);

	if (status == RC_BROKEN)
		kafka->remake = true;
	if (status != RC_OK)
		return false;
	if (kafka->hellos++ == 0)
		kafka->hello_since_ms = uv_now(kafka->loop);
	return true;
}

void kafka_loop_flush(struct kafka_loop *kafka, int timeout_ms)
{
	kafka->freeing = true;
	if (kafka->producer == NULL)
		return;
	send_waiting(kafka);
	rd_kafka_flush(kafka->producer, timeout_ms);
}

/* ---- messages */

static struct assigned *assigned_find(struct kafka_loop *kafka, uint32_t lane)
{
	struct assigned *assigned = kafka->assigned;

	while (assigned != NULL && assigned->lane != lane)
		assigned = assigned->next;
	return assigned;
}

/* NULL: not ours to read; said once, because a wrong key spoils every message. */
static Rollcall__Envelope *unpack(struct kafka_loop *kafka, const char *topic,
				  const rd_kafka_message_t *message)
{
	Rollcall__Envelope *envelope = NULL;
	struct rc_error err;

	if (rc_envelope_unpack(kafka->seal, topic, message->payload, message->len, &envelope,
			       &err) == RC_OK)
		return envelope;
	if (!kafka->unsealed_said)
		rc_log(RC_LOG_ERROR, "message_refused",
		       "topic=%s partition=%d offset=%lld reason=\"%s\"", topic, message->partition,
		       (long long)message->offset, err.text);
	kafka->unsealed_said = true;
	return NULL;
}

/* Whoever wrote it there is no leader of ours. */
static void refuse_shard(Rollcall__Shard *shard, int32_t partition)
{
	rc_log(
	    RC_LOG_ERROR, "shard_of_unknown_lane",
	    "shard=%llu lane=%u partition=%d problem=\"it lies in another lane's partition and is "
	    "left alone: has another fleet the same ROLLCALL_BROKERS and ROLLCALL_MESSAGE_KEY?\"",
	    (unsigned long long)shard->id, shard->lane, partition);
	rollcall__shard__free_unpacked(shard, NULL);
}

static void take_shard_message(struct kafka_loop *kafka, const rd_kafka_message_t *message)
{
	struct assigned *assigned = assigned_find(kafka, (uint32_t)message->partition);

	if (assigned == NULL)
		return;
	assigned->next_offset = message->offset + 1;
	Rollcall__Envelope *envelope = unpack(kafka, RC_TOPIC_SHARDS, message);

	if (envelope == NULL)
		return;
	if (envelope->body_case == ROLLCALL__ENVELOPE__BODY_SHARD && envelope->shard != NULL) {
		Rollcall__Shard *shard = envelope->shard;

		envelope->shard = NULL;
		envelope->body_case = ROLLCALL__ENVELOPE__BODY__NOT_SET;
		if (shard->lane == (uint32_t)message->partition)
			kafka->events->shard(kafka->context, shard);
		else
			refuse_shard(shard, message->partition);
	}
	rc_envelope_free(envelope);
}

static void take_control_message(struct kafka_loop *kafka, const rd_kafka_message_t *message)
{
	Rollcall__Envelope *envelope = unpack(kafka, RC_TOPIC_CONTROL, message);

	if (envelope == NULL)
		return;
	if (envelope->body_case == ROLLCALL__ENVELOPE__BODY_GRANT && envelope->grant != NULL)
		kafka->events->grant(kafka->context, envelope->grant);
	rc_envelope_free(envelope);
}

/* The byte of io_event_enable comes only when the queue was empty: read until it is. */
static void drain_control(struct kafka_loop *kafka)
{
	rd_kafka_message_t *message;

	while (!kafka->remake && (message = rd_kafka_consumer_poll(kafka->control, 0)) != NULL) {
		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			take_control_message(kafka, message);
		else
			rc_log(RC_LOG_DEBUG, "control_error", "text=\"%s\"",
			       rd_kafka_message_errstr(message));
		rd_kafka_message_destroy(message);
	}
}

static void drain_shards(struct kafka_loop *kafka)
{
	for (unsigned n = 0; n < SHARDS_A_TURN; n++) {
		if (kafka->hold || kafka->remake || !kafka_loop_has_room(kafka))
			return;
		rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka->shards, 0);

		if (message == NULL)
			return;
		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			take_shard_message(kafka, message);
		else
			rc_log(RC_LOG_DEBUG, "shards_error", "text=\"%s\"",
			       rd_kafka_message_errstr(message));
		rd_kafka_message_destroy(message);
	}
	uv_async_send(&kafka->again);
}

static void drain(struct kafka_loop *kafka)
{
	if (kafka->producer == NULL)
		return;
	rd_kafka_poll(kafka->producer, 0);
	send_waiting(kafka);
	drain_control(kafka);
	drain_shards(kafka);
}

static void on_wake(uv_poll_t *wake, int status, int events)
{
	struct kafka_loop *kafka = wake->data;
	uint64_t count;

	(void)status;
	(void)events;
	if (read(kafka->wake_fd, &count, sizeof(count)) < 0)
		return;
	drain(kafka);
}

static void on_again(uv_async_t *again)
{
	drain(again->data);
}

void kafka_loop_hold(struct kafka_loop *kafka, bool hold)
{
	if (kafka->hold == hold)
		return;
	kafka->hold = hold;
	if (!hold)
		uv_async_send(&kafka->again);
}

void kafka_loop_assign(struct kafka_loop *kafka, uint32_t lane, int64_t offset)
{
	struct rc_error err;

	kafka_loop_unassign(kafka, lane);
	if (kafka->shards == NULL)
		return;
	struct assigned *assigned = calloc(1, sizeof(*assigned));

	if (assigned == NULL || rc_kafka_assign_add(kafka->shards, RC_TOPIC_SHARDS, (int32_t)lane,
						    offset, &err) != RC_OK) {
		rc_log(RC_LOG_ERROR, "lane_not_assigned", "lane=%u reason=\"%s\"", lane,
		       assigned == NULL ? "out of memory" : err.text);
		free(assigned);
		return;
	}
	assigned->lane = lane;
	assigned->next_offset = assigned->committed = offset;
	assigned->next = kafka->assigned;
	kafka->assigned = assigned;
}

void kafka_loop_unassign(struct kafka_loop *kafka, uint32_t lane)
{
	struct rc_error err;

	for (struct assigned **at = &kafka->assigned; *at != NULL; at = &(*at)->next) {
		struct assigned *assigned = *at;

		if (assigned->lane != lane)
			continue;
		*at = assigned->next;
		free(assigned);
		if (kafka->shards != NULL && rc_kafka_assign_drop(kafka->shards, RC_TOPIC_SHARDS,
								  (int32_t)lane, &err) != RC_OK)
			rc_log(RC_LOG_WARN, "lane_not_dropped", "lane=%u reason=\"%s\"", lane,
			       err.text);
		return;
	}
}

/* At receipt, for lag tools only: nothing here reads them. */
static void commit(struct kafka_loop *kafka)
{
	if (!kafka->connected)
		return;
	for (struct assigned *assigned = kafka->assigned; assigned != NULL;
	     assigned = assigned->next) {
		if (assigned->next_offset == assigned->committed)
			continue;
		assigned->committed = assigned->next_offset;
		rc_kafka_commit(kafka->shards, RC_TOPIC_SHARDS, (int32_t)assigned->lane,
				assigned->next_offset);
	}
}

/* ---- clients */

/* Freeing may wait half a minute for a broker that is gone, so a thread of its own does it. */
struct farewell {
	rd_kafka_t *clients[3];
};

static atomic_uint farewells;

static void *farewell_run(void *context)
{
	struct farewell *farewell = context;

	for (size_t i = 0; i < 3; i++) {
		if (farewell->clients[i] != NULL)
			rd_kafka_destroy_flags(farewell->clients[i],
					       RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	}
	free(farewell);
	atomic_fetch_sub(&farewells, 1);
	return NULL;
}

bool kafka_loop_lingers(void)
{
	return atomic_load(&farewells) > 0;
}

static void farewell_start(rd_kafka_t *const clients[3], bool wait)
{
	struct farewell *farewell = calloc(1, sizeof(*farewell));
	struct timespec until;
	pthread_t thread;

	if (farewell == NULL)
		return;
	memcpy(farewell->clients, clients, sizeof(farewell->clients));
	atomic_fetch_add(&farewells, 1);
	if (pthread_create(&thread, NULL, farewell_run, farewell) != 0) {
		free(farewell); /* the clients then last as long as the process */
		return;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 1;
	if (!wait || pthread_timedjoin_np(thread, NULL, &until) != 0)
		pthread_detach(thread);
}

static void clients_drop(struct kafka_loop *kafka)
{
	rd_kafka_t *const clients[3] = { kafka->producer, kafka->shards, kafka->control };
	rd_kafka_queue_t *const queues[3] = { kafka->producer_queue, kafka->shard_queue,
					      kafka->control_queue };

	for (size_t i = 0; i < 3; i++) {
		if (queues[i] == NULL)
			continue;
		rd_kafka_queue_io_event_enable(queues[i], -1, NULL, 0);
		rd_kafka_queue_destroy(queues[i]);
	}
	if (kafka->producer != NULL)
		rd_kafka_purge(kafka->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
						    RD_KAFKA_PURGE_F_NON_BLOCKING);
	if (kafka->producer != NULL || kafka->shards != NULL)
		farewell_start(clients, kafka->freeing);
	kafka->producer = kafka->shards = kafka->control = NULL;
	kafka->producer_queue = kafka->shard_queue = kafka->control_queue = NULL;
	while (kafka->assigned != NULL) {
		struct assigned *first = kafka->assigned;

		kafka->assigned = first->next;
		free(first);
	}
	waiting_free(kafka);
	kafka->hellos = 0;
	kafka->connected = false;
}

static enum rc_status clients_make(struct kafka_loop *kafka, struct rc_error *err)
{
	const struct rc_kafka_settings settings = {
		.brokers = kafka->brokers,
		.message_key = kafka->settings.message_key,
		.kafka_options = kafka->settings.kafka_options,
		.linger_ms = LINGER_MS,
	};
	static const uint64_t one = 1;
	enum rc_status status;

	status = rc_kafka_producer_new(&settings, kafka->settings.client_id, on_delivered, kafka,
				       &kafka->producer, err);
	if (status == RC_OK)
		status =
		    rc_kafka_consumer_new(&settings, kafka->settings.client_id, RC_GROUP_WORKERS,
					  RC_KAFKA_RESET_EARLIEST, kafka, &kafka->shards, err);
	if (status == RC_OK)
		status =
		    rc_kafka_consumer_new(&settings, kafka->settings.client_id, RC_GROUP_WORKERS,
					  RC_KAFKA_RESET_EARLIEST, kafka, &kafka->control, err);
	if (status == RC_OK)
		status = rc_kafka_assign_add(kafka->control, RC_TOPIC_CONTROL, 0,
					     RD_KAFKA_OFFSET_TAIL(CONTROL_BACKLOG), err);
	if (status != RC_OK) {
		clients_drop(kafka);
		return status;
	}
	kafka->producer_queue = rd_kafka_queue_get_main(kafka->producer);
	kafka->shard_queue = rd_kafka_queue_get_consumer(kafka->shards);
	kafka->control_queue = rd_kafka_queue_get_consumer(kafka->control);
	rd_kafka_queue_io_event_enable(kafka->producer_queue, kafka->wake_fd, &one, sizeof(one));
	rd_kafka_queue_io_event_enable(kafka->shard_queue, kafka->wake_fd, &one, sizeof(one));
	rd_kafka_queue_io_event_enable(kafka->control_queue, kafka->wake_fd, &one, sizeof(one));
	kafka->made_ms = uv_now(kafka->loop);
	kafka->hello_since_ms = kafka->made_ms;
	uv_async_send(&kafka->again); /* what came before the queues could wake us */
	return RC_OK;
}

/* Reads @FILE where it has changed. True: there is another address than the one in use. */
static bool brokers_read(struct kafka_loop *kafka)
{
	const char *path = kafka->settings.brokers + 1;
	char text[BROKERS_MAX];
	struct stat stat_now;

	if (stat(path, &stat_now) < 0)
		return false;
	if (stat_now.st_ino == kafka->file_inode &&
	    stat_now.st_mtim.tv_sec == kafka->file_time.tv_sec &&
	    stat_now.st_mtim.tv_nsec == kafka->file_time.tv_nsec)
		return false;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	const ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, " \t\r\n")] = '\0';
	if (text[0] == '\0')
		return false;
	kafka->file_inode = stat_now.st_ino;
	kafka->file_time = stat_now.st_mtim;
	if (strcmp(text, kafka->brokers) == 0)
		return false;
	memcpy(kafka->brokers, text, sizeof(text));
	return true;
}

static void remake(struct kafka_loop *kafka)
{
	struct rc_error err;
	const bool first = kafka->producer == NULL && kafka->made_ms == 0;

	kafka->remake = false;
	if (!first) {
		rc_log(RC_LOG_WARN, "broker_changed", "brokers=%s", kafka->brokers);
		clients_drop(kafka);
	}
	if (clients_make(kafka, &err) != RC_OK) {
		rc_log(RC_LOG_ERROR, "broker_clients", "reason=\"%s\"", err.text);
		kafka->remake = true;
		kafka->made_ms = uv_now(kafka->loop);
	}
	kafka->events->generation(kafka->context);
}

static void on_tick(uv_timer_t *tick)
{
	struct kafka_loop *kafka = tick->data;
	const uint64_t now_ms = uv_now(kafka->loop);

	kafka->ticks++;
	if (kafka->settings.brokers[0] == '@' && brokers_read(kafka))
		remake(kafka);
	else if (kafka->remake && now_ms - kafka->made_ms >= REMAKE_AFTER_MS)
		remake(kafka);
	if (kafka->hellos > 0 && now_ms - kafka->hello_since_ms >= AWAY_AFTER_MS) {
		kafka->connected = false;
		if (!kafka->away_said)
			rc_log(RC_LOG_WARN, "broker_away", "brokers=%s", kafka->brokers);
		kafka->away_said = true;
	}
	if (kafka->ticks % COMMIT_EVERY_TICKS == 0 && kafka->shards != NULL)
		commit(kafka);
	send_waiting(kafka);
	if (kafka->waiting == NULL)
		drain_shards(kafka);
}

bool kafka_loop_is_connected(const struct kafka_loop *kafka)
{
	return kafka->connected;
}

enum rc_status kafka_loop_new(uv_loop_t *loop, const struct kafka_loop_settings *settings,
			      const struct kafka_loop_events *events, void *context,
			      struct kafka_loop **ret_kafka, struct rc_error *err)
{
	struct kafka_loop *kafka = calloc(1, sizeof(*kafka));
	enum rc_status status;

	if (kafka == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for Kafka");
	kafka->loop = loop;
	kafka->settings = *settings;
	kafka->events = events;
	kafka->context = context;
	kafka->waiting_end = &kafka->waiting;
	rc_buf_init(&kafka->packed, 0);
	status = rc_seal_new(settings->message_key, &kafka->seal, err);
	if (status != RC_OK) {
		free(kafka);
		return status;
	}
	kafka->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kafka->wake_fd < 0 || uv_poll_init(loop, &kafka->wake, kafka->wake_fd) < 0) {
		if (kafka->wake_fd >= 0)
			close(kafka->wake_fd);
		rc_seal_free(kafka->seal);
		free(kafka);
		return rc_error_set(err, RC_UNAVAILABLE, "no descriptor left for Kafka");
	}
	uv_timer_init(loop, &kafka->tick);
	uv_async_init(loop, &kafka->again, on_again);
	kafka->wake.data = kafka->tick.data = kafka->again.data = kafka;
	kafka->handles_open = 3;
	uv_poll_start(&kafka->wake, UV_READABLE, on_wake);
	uv_timer_start(&kafka->tick, on_tick, TICK_MS, TICK_MS);

	if (settings->brokers[0] != '@') {
		snprintf(kafka->brokers, sizeof(kafka->brokers), "%s", settings->brokers);
		status = clients_make(kafka, err);
	} else if (brokers_read(kafka)) {
		status = clients_make(kafka, err);
	} else {
		rc_log(RC_LOG_INFO, "broker_awaited", "file=%s", settings->brokers + 1);
	}
	if (status != RC_OK) {
		kafka_loop_free(kafka);
		return status;
	}
	*ret_kafka = kafka;
	return RC_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct kafka_loop *kafka = handle->data;

	if (--kafka->handles_open > 0)
		return;
	close(kafka->wake_fd);
	rc_buf_done(&kafka->packed);
	rc_seal_free(kafka->seal);
	free(kafka);
}

void kafka_loop_free(struct kafka_loop *kafka)
{
	if (kafka == NULL)
		return;
	kafka->freeing = true;
	clients_drop(kafka);
	uv_close((uv_handle_t *)&kafka->wake, on_handle_closed);
	uv_close((uv_handle_t *)&kafka->tick, on_handle_closed);
	uv_close((uv_handle_t *)&kafka->again, on_handle_closed);
}
