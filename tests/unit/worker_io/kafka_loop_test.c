/* kafka_loop and leases, on librdkafka's mock cluster: hello, grant, shard, report, and a broker
 * that is another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <uv.h>

#include "common/kafka/envelope.h"
#include "common/kafka/kafka.h"
#include "worker/io/kafka_loop.h"

enum { LANE = 3 };

/* A broker, and what a leader does with it. */
struct broker {
	rd_kafka_t *host;
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *producer;
	rd_kafka_t *consumer;
	struct rc_seal *seal;
};

struct worker {
	uv_loop_t loop;
	uv_timer_t deadline;
	uv_timer_t poll;
	struct kafka_loop *kafka;
	struct broker *broker;
	unsigned connected, generations, grants, shards;
	uint64_t last_shard;
	unsigned hellos_seen, reports_seen;
	uint64_t last_report;
};

static const char key[] = "a key of the tests, long enough";

static void broker_start(struct broker *broker)
{
	char text[512];
	struct rc_error err;

	memset(broker, 0, sizeof(*broker));
	broker->host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
	assert_non_null(broker->host);
	broker->cluster = rd_kafka_mock_cluster_new(broker->host, 1);
	rd_kafka_mock_topic_create(broker->cluster, RC_TOPIC_SHARDS, 8, 1);
	rd_kafka_mock_topic_create(broker->cluster, RC_TOPIC_REPORTS, 1, 1);
	rd_kafka_mock_topic_create(broker->cluster, RC_TOPIC_CONTROL, 1, 1);
	const struct rc_kafka_settings settings = {
		.brokers = rd_kafka_mock_cluster_bootstraps(broker->cluster), .message_key = key
	};

	assert_int_equal(rc_seal_new(key, &broker->seal, &err), RC_OK);
	assert_int_equal(
	    rc_kafka_producer_new(&settings, "leader", NULL, NULL, &broker->producer, &err), RC_OK);
	assert_int_equal(rc_kafka_consumer_new(&settings, "leader", "tests",
					       RC_KAFKA_RESET_EARLIEST, NULL, &broker->consumer,
					       &err),
			 RC_OK);
	assert_int_equal(rc_kafka_assign_add(broker->consumer, RC_TOPIC_CONTROL, 0, 0, &err),
			 RC_OK);
	assert_int_equal(rc_kafka_assign_add(broker->consumer, RC_TOPIC_REPORTS, 0, 0, &err),
			 RC_OK);
}

static void broker_stop(struct broker *broker)
{
	rd_kafka_flush(broker->producer, 1000);
	rd_kafka_destroy(broker->producer);
	rd_kafka_destroy_flags(broker->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	rd_kafka_mock_cluster_destroy(broker->cluster);
	rd_kafka_destroy(broker->host);
	rc_seal_free(broker->seal);
}

static void say(struct broker *broker, const char *topic, int32_t partition,
		const Rollcall__Envelope *envelope)
{
	struct rc_buf packed;
	struct rc_error err;

	rc_buf_init(&packed, 0);
	assert_int_equal(rc_envelope_pack(broker->seal, topic, envelope, &packed, &err), RC_OK);
	assert_int_equal(rc_kafka_produce(broker->producer, topic, partition, NULL, 0, packed.data,
					  packed.len, NULL, &err),
			 RC_OK);
	rc_buf_done(&packed);
}

static void say_grant(struct broker *broker)
{
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	Rollcall__Grant grant = ROLLCALL__GRANT__INIT;

	grant.worker = (char *)"w";
	grant.hello_sequence = 1;
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_GRANT;
	envelope.grant = &grant;
	say(broker, RC_TOPIC_CONTROL, 0, &envelope);
}

static void say_shard(struct broker *broker, uint64_t id)
{
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	Rollcall__Shard shard = ROLLCALL__SHARD__INIT;

	shard.id = id;
	shard.lane = LANE;
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_SHARD;
	envelope.shard = &shard;
	say(broker, RC_TOPIC_SHARDS, LANE, &envelope);
}

static void on_shard(void *context, Rollcall__Shard *shard)
{
	struct worker *worker = context;

	worker->shards++;
	worker->last_shard = shard->id;
	rollcall__shard__free_unpacked(shard, NULL);
}

static void on_grant(void *context, const Rollcall__Grant *grant)
{
	struct worker *worker = context;

	assert_string_equal(grant->worker, "w");
	worker->grants++;
}

static void on_generation(void *context)
{
	((struct worker *)context)->generations++;
}

static void on_connected(void *context)
{
	((struct worker *)context)->connected++;
}

static const struct kafka_loop_events events = { on_shard, on_grant, on_generation, on_connected };

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing happened within the time");
}

/* What the leader hears. */
static void on_poll(uv_timer_t *timer)
{
	struct worker *worker = timer->data;
	struct broker *broker = worker->broker;
	rd_kafka_message_t *message;

	rd_kafka_poll(broker->producer, 0);
	while ((message = rd_kafka_consumer_poll(broker->consumer, 0)) != NULL) {
		Rollcall__Envelope *envelope = NULL;
		struct rc_error err;

		if (message->err == 0 &&
		    rc_envelope_unpack(broker->seal, rd_kafka_topic_name(message->rkt),
				       message->payload, message->len, &envelope, &err) == RC_OK) {
			if (envelope->body_case == ROLLCALL__ENVELOPE__BODY_HELLO)
				worker->hellos_seen++;
			if (envelope->body_case == ROLLCALL__ENVELOPE__BODY_REPORT) {
				worker->reports_seen++;
				worker->last_report = envelope->report->shard;
			}
		}
		rc_envelope_free(envelope);
		rd_kafka_message_destroy(message);
	}
}

static void hello(struct worker *worker)
{
	Rollcall__Hello message = ROLLCALL__HELLO__INIT;

	message.worker = (char *)"w";
	message.sequence = 1;
	assert_true(kafka_loop_hello(worker->kafka, &message));
}

static void worker_start(struct worker *worker, struct broker *broker, const char *brokers)
{
	const struct kafka_loop_settings settings = { .brokers = brokers,
						      .message_key = key,
						      .client_id = "w" };
	struct rc_error err;

	memset(worker, 0, sizeof(*worker));
	worker->broker = broker;
	uv_loop_init(&worker->loop);
	uv_timer_init(&worker->loop, &worker->deadline);
	uv_timer_start(&worker->deadline, on_deadline, 40000, 0);
	uv_timer_init(&worker->loop, &worker->poll);
	worker->poll.data = worker;
	uv_timer_start(&worker->poll, on_poll, 10, 10);
	assert_int_equal(
	    kafka_loop_new(&worker->loop, &settings, &events, worker, &worker->kafka, &err), RC_OK);
}

static void worker_stop(struct worker *worker)
{
	kafka_loop_flush(worker->kafka, 1000);
	kafka_loop_free(worker->kafka);
	uv_close((uv_handle_t *)&worker->deadline, NULL);
	uv_close((uv_handle_t *)&worker->poll, NULL);
	while (uv_run(&worker->loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&worker->loop), 0);
}

#define UNTIL(worker, condition)                                                                   \
	do {                                                                                       \
		while (!(condition))                                                               \
			uv_run(&(worker)->loop, UV_RUN_ONCE);                                      \
	} while (0)

static void carries_everything(void **state)
{
	struct broker broker;
	struct worker worker;
	Rollcall__Report report = ROLLCALL__REPORT__INIT;

	(void)state;
	broker_start(&broker);
	worker_start(&worker, &broker, rd_kafka_mock_cluster_bootstraps(broker.cluster));
	hello(&worker);
	UNTIL(&worker, worker.connected == 1 && worker.hellos_seen == 1);
	assert_true(kafka_loop_is_connected(worker.kafka));
	say_grant(&broker);
	UNTIL(&worker, worker.grants == 1);

	/* From an offset on: the first two are of another epoch. */
	for (uint64_t id = 1; id <= 5; id++)
		say_shard(&broker, id);
	rd_kafka_flush(broker.producer, 5000);
	kafka_loop_assign(worker.kafka, LANE, 2);
	UNTIL(&worker, worker.last_shard == 5);
	assert_int_equal(worker.shards, 3);

	/* Held, nothing comes; let go, all of it. */
	kafka_loop_hold(worker.kafka, true);
	for (uint64_t id = 6; id <= 400; id++)
		say_shard(&broker, id);
	report.shard = 77;
	assert_true(kafka_loop_report(worker.kafka, &report));
	UNTIL(&worker, worker.reports_seen == 1);
	assert_int_equal(worker.last_report, 77);
	assert_int_equal(worker.shards, 3);
	kafka_loop_hold(worker.kafka, false);
	UNTIL(&worker, worker.last_shard == 400);
	assert_int_equal(worker.shards, 398);

	kafka_loop_unassign(worker.kafka, LANE);
	assert_int_equal(worker.generations, 0);
	worker_stop(&worker);
	broker_stop(&broker);
}

static void file_write(const char *path, const char *text)
{
	char other[64];
	FILE *file;

	snprintf(other, sizeof(other), "%s.new", path);
	file = fopen(other, "w");
	assert_non_null(file);
	fprintf(file, "%s\n", text);
	fclose(file);
	assert_int_equal(rename(other, path), 0);
}

static void follows_the_file(void **state)
{
	struct broker first, second;
	struct worker worker;
	char path[] = "/tmp/rollcall-kafka-loop-XXXXXX";
	char brokers[64];

	(void)state;
	const int fd = mkstemp(path); /* empty: no broker yet */

	close(fd);
	snprintf(brokers, sizeof(brokers), "@%s", path);
	broker_start(&first);
	worker_start(&worker, &first, brokers);
	assert_false(kafka_loop_has_room(worker.kafka));
	file_write(path, rd_kafka_mock_cluster_bootstraps(first.cluster));
	UNTIL(&worker, worker.generations == 1);
	hello(&worker);
	UNTIL(&worker, worker.connected == 1 && worker.hellos_seen == 1);
	kafka_loop_assign(worker.kafka, LANE, 0);
	say_shard(&first, 1);
	UNTIL(&worker, worker.last_shard == 1);

	/* Another broker, which knows nothing of the first one. */
	broker_start(&second);
	worker.broker = &second;
	file_write(path, rd_kafka_mock_cluster_bootstraps(second.cluster));
	UNTIL(&worker, worker.generations == 2);
	assert_false(kafka_loop_is_connected(worker.kafka));
	hello(&worker);
	UNTIL(&worker, worker.connected == 2 && worker.hellos_seen == 2);
	kafka_loop_assign(worker.kafka, LANE, 0);
	say_shard(&second, 2);
	UNTIL(&worker, worker.last_shard == 2);
	worker_stop(&worker);
	broker_stop(&second);
	broker_stop(&first);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_everything),
		cmocka_unit_test(follows_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
