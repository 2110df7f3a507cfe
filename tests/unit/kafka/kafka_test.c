/* Clients, topics and positions against librdkafka's own mock cluster, in this process and on
 * loopback. */
#include "common/kafka/kafka.h"

#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/kafka/envelope.h"

enum { WAIT_MS = 10000 };

struct world {
	rd_kafka_t *host;
	rd_kafka_mock_cluster_t *cluster;
	struct rc_kafka_settings settings;
};

static int world_make(void **state)
{
	static struct world world;
	char text[512];

	world.host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
	if (!world.host)
		return -1;
	world.cluster = rd_kafka_mock_cluster_new(world.host, 1);
	if (!world.cluster)
		return -1;
	world.settings = (struct rc_kafka_settings){
		.brokers = rd_kafka_mock_cluster_bootstraps(world.cluster),
		.message_key = "a key that is long enough",
	};
	rd_kafka_mock_topic_create(world.cluster, RC_TOPIC_SHARDS, 8, 1);
	rd_kafka_mock_topic_create(world.cluster, RC_TOPIC_REPORTS, 4, 1);
	rd_kafka_mock_topic_create(world.cluster, RC_TOPIC_CONTROL, 1, 1);
	*state = &world;
	return 0;
}

static int world_end(void **state)
{
	struct world *world = *state;

	rd_kafka_mock_cluster_destroy(world->cluster);
	rd_kafka_destroy(world->host);
	return 0;
}

static void count_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
	int *delivered = opaque;

	(void)client;
	assert_int_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_ptr_equal(message->_private, &count_delivery);
	(*delivered)++;
}

static rd_kafka_t *producer_of(struct world *world, int *delivered)
{
	rd_kafka_t *producer = NULL;
	struct rc_error err = { 0 };

	if (rc_kafka_producer_new(&world->settings, "test", count_delivery, delivered, &producer,
				  &err) != RC_OK)
		fail_msg("%s", err.text);
	return producer;
}

static rd_kafka_t *consumer_of(struct world *world, enum rc_kafka_reset reset)
{
	rd_kafka_t *consumer = NULL;
	struct rc_error err = { 0 };

	if (rc_kafka_consumer_new(&world->settings, "test", RC_GROUP_SINK, reset, NULL, &consumer,
				  &err) != RC_OK)
		fail_msg("%s", err.text);
	return consumer;
}

static void send_text(rd_kafka_t *producer, const char *topic, int32_t partition, const char *text)
{
	assert_int_equal(rc_kafka_produce(producer, topic, partition, NULL, 0, text, strlen(text),
					  (void *)(uintptr_t)&count_delivery, NULL),
			 RC_OK);
}

static void flush(rd_kafka_t *producer)
{
	assert_int_equal(rd_kafka_flush(producer, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static rd_kafka_message_t *next_message(rd_kafka_t *consumer)
{
	rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, WAIT_MS);

	assert_non_null(message);
	return message;
}

static void consumer_end(rd_kafka_t *consumer)
{
	rd_kafka_consumer_close(consumer);
	rd_kafka_destroy(consumer);
}

static void an_envelope_goes_through_sealed(void **state)
{
	struct world *world = *state;
	int delivered = 0;
	rd_kafka_t *producer = producer_of(world, &delivered),
		   *consumer = consumer_of(world, RC_KAFKA_RESET_ERROR);
	Rollcall__Report report = ROLLCALL__REPORT__INIT;
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT, *back = NULL;
	struct rc_seal *seal = NULL;
	rd_kafka_message_t *message;
	struct rc_buf octets;

	report.shard = 42;
	report.final = true;
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_REPORT;
	envelope.report = &report;
	assert_int_equal(rc_seal_new(world->settings.message_key, &seal, NULL), RC_OK);
	rc_buf_init(&octets, 0);
	assert_int_equal(rc_envelope_pack(seal, RC_TOPIC_REPORTS, &envelope, &octets, NULL), RC_OK);
	assert_int_equal(rc_kafka_produce(producer, RC_TOPIC_REPORTS, 2, "42", 2, octets.data,
					  octets.len, (void *)(uintptr_t)&count_delivery, NULL),
			 RC_OK);
	rc_buf_done(&octets);
	flush(producer);
	assert_int_equal(delivered, 1);

	assert_int_equal(rc_kafka_assign_add(consumer, RC_TOPIC_REPORTS, 2, 0, NULL), RC_OK);
	message = next_message(consumer);
	assert_int_equal(message->err, 0);
	assert_int_equal(message->partition, 2);
	assert_int_equal(message->offset, 0);
	assert_int_equal(
	    rc_envelope_unpack(seal, RC_TOPIC_REPORTS, message->payload, message->len, &back, NULL),
	    RC_OK);
	assert_int_equal(back->report->shard, 42);
	assert_true(back->report->final);
	rc_kafka_commit(consumer, RC_TOPIC_REPORTS, 2, 1);
	rc_envelope_free(back);
	rd_kafka_message_destroy(message);
	rc_seal_free(seal);
	consumer_end(consumer);
	rd_kafka_destroy(producer);
}

static void partitions_are_added_and_dropped_one_by_one(void **state)
{
	struct world *world = *state;
	int delivered = 0;
	rd_kafka_t *producer = producer_of(world, &delivered),
		   *consumer = consumer_of(world, RC_KAFKA_RESET_ERROR);
	rd_kafka_message_t *message;
	bool seen[2] = { false };

	send_text(producer, RC_TOPIC_SHARDS, 0, "zero");
	send_text(producer, RC_TOPIC_SHARDS, 1, "one a");
	send_text(producer, RC_TOPIC_SHARDS, 1, "one b");
	flush(producer);
	assert_int_equal(rc_kafka_assign_add(consumer, RC_TOPIC_SHARDS, 0, 0, NULL), RC_OK);
	assert_int_equal(rc_kafka_assign_add(consumer, RC_TOPIC_SHARDS, 0, 0, NULL), RC_CONFLICT);
	assert_int_equal(rc_kafka_assign_add(consumer, RC_TOPIC_SHARDS, 1, 1, NULL), RC_OK);
	for (int i = 0; i < 2; i++) {
		message = next_message(consumer);
		assert_int_equal(message->err, 0);
		assert_int_equal(message->offset, message->partition == 1 ? 1 : 0);
		seen[message->partition] = true;
		rd_kafka_message_destroy(message);
	}
	assert_true(seen[0] && seen[1]);

	/* The other partition goes on where it was; the dropped one stays silent. */
	assert_int_equal(rc_kafka_assign_drop(consumer, RC_TOPIC_SHARDS, 0, NULL), RC_OK);
	send_text(producer, RC_TOPIC_SHARDS, 0, "zero again");
	flush(producer);
	send_text(producer, RC_TOPIC_SHARDS, 1, "one c");
	flush(producer);
	message = next_message(consumer);
	assert_int_equal(message->partition, 1);
	assert_int_equal(message->offset, 2);
	rd_kafka_message_destroy(message);
	consumer_end(consumer);
	rd_kafka_destroy(producer);
}

static void an_event_loop_is_woken_by_a_pipe(void **state)
{
	struct world *world = *state;
	int delivered = 0, ends[2];
	rd_kafka_t *producer = producer_of(world, &delivered),
		   *consumer = consumer_of(world, RC_KAFKA_RESET_ERROR);
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
	rd_kafka_message_t *message = NULL;
	uint64_t end_ms = rc_clock_mono_ms() + WAIT_MS;

	assert_int_equal(pipe(ends), 0);
	rd_kafka_queue_io_event_enable(queue, ends[1], "k", 1);
	assert_int_equal(rc_kafka_assign_add(consumer, RC_TOPIC_CONTROL, 0, 0, NULL), RC_OK);
	send_text(producer, RC_TOPIC_CONTROL, 0, "hello");
	flush(producer);
	while (!message && rc_clock_mono_ms() < end_ms) {
		struct pollfd fd = { .fd = ends[0], .events = POLLIN };
		char octet;

		assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
		assert_int_equal(read(ends[0], &octet, 1), 1);
		message = rd_kafka_consumer_poll(consumer, 0);
	}
	assert_non_null(message);
	assert_int_equal(message->err, 0);
	assert_int_equal(message->len, 5);
	rd_kafka_message_destroy(message);
	rd_kafka_queue_destroy(queue);
	consumer_end(consumer);
	rd_kafka_destroy(producer);
	close(ends[0]);
	close(ends[1]);
}

static void an_offset_that_is_gone_is_said_or_skipped_as_asked(void **state)
{
	struct world *world = *state;
	int delivered = 0;
	rd_kafka_t *producer = producer_of(world, &delivered);
	rd_kafka_t *strict = consumer_of(world, RC_KAFKA_RESET_ERROR),
		   *lax = consumer_of(world, RC_KAFKA_RESET_EARLIEST);
	rd_kafka_message_t *message;

	send_text(producer, RC_TOPIC_SHARDS, 5, "only");
	flush(producer);
	assert_int_equal(rc_kafka_assign_add(strict, RC_TOPIC_SHARDS, 5, 1000, NULL), RC_OK);
	message = next_message(strict);
	assert_int_equal(message->err, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET);
	rd_kafka_message_destroy(message);
	assert_int_equal(rc_kafka_assign_add(lax, RC_TOPIC_SHARDS, 5, 1000, NULL), RC_OK);
	message = next_message(lax);
	assert_int_equal(message->err, 0);
	assert_int_equal(message->offset, 0);
	rd_kafka_message_destroy(message);
	consumer_end(strict);
	consumer_end(lax);
	rd_kafka_destroy(producer);
}

static void a_message_beyond_the_last_partition_is_refused(void **state)
{
	struct world *world = *state;
	int delivered = 0;
	rd_kafka_t *producer = producer_of(world, &delivered);
	static char large[1000001];
	struct rc_error err;
	int32_t count = 0;

	assert_int_equal(rc_kafka_partitions(producer, RC_TOPIC_SHARDS, WAIT_MS, &count, NULL),
			 RC_OK);
	assert_int_equal(count, 8);
	send_text(producer, RC_TOPIC_SHARDS, 7, "the last");
	flush(producer);
	assert_int_equal(
	    rc_kafka_produce(producer, RC_TOPIC_SHARDS, 8, NULL, 0, "x", 1, NULL, &err),
	    RC_NOT_FOUND);
	assert_string_equal(err.text, "rollcall.shards has no partition 8");
	assert_int_equal(rc_kafka_produce(producer, RC_TOPIC_SHARDS, 0, NULL, 0, large,
					  sizeof(large), NULL, &err),
			 RC_INVALID);
	rd_kafka_destroy(producer);
}

static void watermarks_and_cluster_id_are_told(void **state)
{
	struct world *world = *state;
	int delivered = 0;
	rd_kafka_t *producer = producer_of(world, &delivered);
	char id[RC_CLUSTER_ID_MAX];
	int64_t low = -1, high = -1;
	int32_t count = 0;

	assert_int_equal(
	    rc_kafka_watermarks(producer, RC_TOPIC_SHARDS, 6, WAIT_MS, &low, &high, NULL), RC_OK);
	assert_int_equal(low, 0);
	assert_int_equal(high, 0);
	send_text(producer, RC_TOPIC_SHARDS, 6, "a");
	send_text(producer, RC_TOPIC_SHARDS, 6, "b");
	flush(producer);
	assert_int_equal(
	    rc_kafka_watermarks(producer, RC_TOPIC_SHARDS, 6, WAIT_MS, &low, &high, NULL), RC_OK);
	assert_int_equal(high, 2);
	assert_int_equal(rc_kafka_cluster_id(producer, WAIT_MS, id, NULL), RC_OK);
	assert_true(id[0] != '\0');
	assert_int_equal(rc_kafka_partitions(producer, "no.such.topic", WAIT_MS, &count, NULL),
			 RC_NOT_FOUND);
	rd_kafka_destroy(producer);
}

static void topics_are_checked_by_their_partitions(void **state)
{
	struct world *world = *state;
	struct rc_error err = { 0 };

	assert_int_equal(rc_kafka_topics_ensure(&world->settings, 8, 4, WAIT_MS, &err), RC_OK);
	assert_int_equal(rc_kafka_topics_ensure(&world->settings, 1, 1, WAIT_MS, &err), RC_OK);
	assert_int_equal(rc_kafka_topics_ensure(&world->settings, 9, 4, WAIT_MS, &err),
			 RC_CONFLICT);
	assert_non_null(strstr(err.text, "rollcall.shards has 8 partitions and 9 are needed"));
	assert_non_null(strstr(err.text, "--alter --topic rollcall.shards --partitions 9"));
}

static void a_cluster_that_cannot_make_topics_is_said(void **state)
{
	rd_kafka_mock_cluster_t *bare;
	struct world *world = *state;
	struct rc_kafka_settings settings = world->settings;
	struct rc_error err = { 0 };
	char text[512];
	rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));

	assert_non_null(host);
	bare = rd_kafka_mock_cluster_new(host, 1);
	settings.brokers = rd_kafka_mock_cluster_bootstraps(bare);
	assert_int_equal(rc_kafka_topics_ensure(&settings, 8, 4, 2000, &err), RC_UNAVAILABLE);
	assert_non_null(
	    strstr(err.text, "the topic rollcall.shards does not exist and cannot be made: "));
	assert_non_null(strstr(err.text, "--create --topic rollcall.shards --partitions 8"));
	print_message("%s\n", err.text);
	rd_kafka_mock_cluster_destroy(bare);
	rd_kafka_destroy(host);
}

static void nobody_at_the_address_is_one_sentence(void **state)
{
	struct world *world = *state;
	struct rc_kafka_settings settings = world->settings;
	struct rc_error err = { 0 };

	assert_int_equal(rc_kafka_reachable(&settings, WAIT_MS, &err), RC_OK);
	settings.brokers = "127.0.0.1:9";
	assert_int_equal(rc_kafka_reachable(&settings, 500, &err), RC_UNAVAILABLE);
	assert_non_null(strstr(err.text, "no broker answers at 127.0.0.1:9: "));
	assert_non_null(strstr(err.text, "refused"));
	print_message("%s\n", err.text);
	settings.brokers = NULL;
	assert_int_equal(rc_kafka_reachable(&settings, 500, &err), RC_INVALID);
	assert_non_null(strstr(err.text, "ROLLCALL_BROKERS"));
}

static void options_for_librdkafka_are_named_when_bad(void **state)
{
	static const struct {
		const char *options;
		const char *says[3]; /* none: taken */
	} cases[] = {
		{ "", { NULL } },
		{ "socket.keepalive.enable=false, linger.ms=1", { NULL } },
		{ "sasl.password=a\\,b,linger.ms=2", { NULL } },
		{ "nonsense=1", { "\"nonsense\" (unknown to librdkafka)" } },
		{ "security.protocol=tin-can,linger.ms=2,colour=red",
		  { "\"security.protocol\" (the value is not valid)", "\"colour\" (unknown" } },
		{ "linger.ms", { "\"linger.ms\" (not name=value)" } },
		{ "=x", { "not name=value" } },
		{ "enable.auto.commit=true,group.id=mine",
		  { "\"enable.auto.commit\" (Rollcall sets it itself)", "\"group.id\"" } },
		{ "security.protocol=hunter2", { "\"security.protocol\"" } },
	};

	struct world *world = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rc_kafka_settings settings = world->settings;
		struct rc_error err = { 0 };
		rd_kafka_t *producer = NULL;
		enum rc_status status;

		settings.kafka_options = cases[i].options;
		status = rc_kafka_producer_new(&settings, "test", NULL, NULL, &producer, &err);
		if (!cases[i].says[0]) {
			assert_int_equal(status, RC_OK);
			rd_kafka_destroy(producer);
			continue;
		}
		print_message("%s\n", err.text);
		assert_int_equal(status, RC_INVALID);
		assert_null(producer);
		assert_null(strstr(err.text, "hunter2"));
		for (size_t j = 0; j < 3 && cases[i].says[j]; j++)
			assert_non_null(strstr(err.text, cases[i].says[j]));
	}
}

static void the_option_rows_fill_the_settings(void **state)
{
	struct config {
		int other;
		struct rc_kafka_settings kafka;
	} config = { 0 };
	const struct rc_option table[] = { RC_KAFKA_OPTION_ROWS(struct config, kafka),
					   { .name = NULL } };
	char *argv[] = { (char *)(uintptr_t) "x", (char *)(uintptr_t) "--brokers=k1:9092,k2:9092",
			 (char *)(uintptr_t) "--kafka-options=linger.ms=1", NULL };
	struct rc_options *options = NULL;
	int rest;

	(void)state;
	assert_int_equal(
	    rc_options_parse(table, "x", NULL, 3, argv, &config, &options, &rest, NULL), RC_OK);
	assert_string_equal(config.kafka.brokers, "k1:9092,k2:9092");
	assert_string_equal(config.kafka.kafka_options, "linger.ms=1");
	assert_null(config.kafka.message_key);
	rc_options_free(options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_envelope_goes_through_sealed),
		cmocka_unit_test(partitions_are_added_and_dropped_one_by_one),
		cmocka_unit_test(an_event_loop_is_woken_by_a_pipe),
		cmocka_unit_test(an_offset_that_is_gone_is_said_or_skipped_as_asked),
		cmocka_unit_test(a_message_beyond_the_last_partition_is_refused),
		cmocka_unit_test(watermarks_and_cluster_id_are_told),
		cmocka_unit_test(topics_are_checked_by_their_partitions),
		cmocka_unit_test(a_cluster_that_cannot_make_topics_is_said),
		cmocka_unit_test(nobody_at_the_address_is_one_sentence),
		cmocka_unit_test(options_for_librdkafka_are_named_when_bad),
		cmocka_unit_test(the_option_rows_fill_the_settings),
	};

	return cmocka_run_group_tests(tests, world_make, world_end);
}
