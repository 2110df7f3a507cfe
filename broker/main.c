/*
 * rollcall-broker - the embedded broker of `rollcall up`: librdkafka's mock cluster, in a process of its own.
 *
 * It keeps nothing on disk and listens on 127.0.0.1, on a port that the kernel picks; every start is a new generation. The
 * address goes to standard output and, by rename, into --address-file, which clients read (ROLLCALL_BROKERS=@FILE).
 * The mock is an experimental part of librdkafka whose limits the coordinator's dispatch credit relies on, so a self-test at
 * every start refuses a library that behaves otherwise: exit status 1 and a sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/options.h"
#include "common/base/status.h"

struct config {
	const char *address_file;
	int64_t shard_partitions;
	int64_t report_partitions;
	int64_t control_partitions;
	bool until_eof;
	bool self_test;
};

static const struct rc_option option_table[] = {
	{ "address-file", RC_OPTION_STRING, offsetof(struct config, address_file), 0, 0, NULL, "file", false, false,
	  "Where to write the bootstrap address, replaced atomically." },
	{ "shard-partitions", RC_OPTION_INT, offsetof(struct config, shard_partitions), 1, 10000, "64", NULL, false, false,
	  "Partitions of rollcall.shards: one for each lane number." },
	{ "report-partitions", RC_OPTION_INT, offsetof(struct config, report_partitions), 1, 10000, "4", NULL, false, false,
	  "Partitions of rollcall.reports." },
	{ "control-partitions", RC_OPTION_INT, offsetof(struct config, control_partitions), 1, 10000, "1", NULL, false, false,
	  "Partitions of rollcall.control." },
	{ "until-eof", RC_OPTION_BOOL, offsetof(struct config, until_eof), 0, 0, "off", NULL, false, false,
	  "Exit when standard input ends, so that no parent's death leaves a broker behind." },
	{ "self-test", RC_OPTION_BOOL, offsetof(struct config, self_test), 0, 0, "on", NULL, false, false,
	  "Prove at start that the mock cluster behaves as documented." },
	{ .name = NULL },
};

enum {
	PARTITION_KEEPS_OCTETS = 5 * 1024 * 1024, /* what the mock keeps of a partition before it drops the oldest */
	TEST_MESSAGE_OCTETS = 64 * 1024,
	TEST_MESSAGES = 96, /* 6 MiB */
	TEST_BATCH_OCTETS = 128 * 1024,
	TEST_TIMEOUT_MS = 15000
};

static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk, (void)level, (void)facility, (void)text;
}

/* A client; `conf_pairs` are name, value, ..., NULL. */
static enum rc_status client_new(rd_kafka_type_t type, const char *const *conf_pairs, rd_kafka_t **ret_rk, struct rc_error *err)
{
	char text[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, no_log);
	for (; *conf_pairs; conf_pairs += 2) {
		if (rd_kafka_conf_set(conf, conf_pairs[0], conf_pairs[1], text, sizeof text) != RD_KAFKA_CONF_OK) {
			rd_kafka_conf_destroy(conf);
			return rc_error_set(err, RC_BROKEN, "librdkafka %s refuses %s=%s: %s", rd_kafka_version_str(),
					    conf_pairs[0], conf_pairs[1], text);
		}
	}
	rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		return rc_error_set(err, RC_BROKEN, "librdkafka %s makes no client: %s", rd_kafka_version_str(), text);
	}
	*ret_rk = rk;
	return RC_OK;
}

/* ---- the self-test ------------------------------------------------------------------------------------------------ */

struct delivery {
	int delivered, failed;
	rd_kafka_resp_err_t why;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void)rk;
	struct delivery *delivery = opaque;
	if (message->err) {
		delivery->failed++;
		delivery->why = message->err;
	} else {
		delivery->delivered++;
	}
}

static enum rc_status test_produce(const char *bootstrap, const char *topic, struct rc_error *err)
{
	char text[512];
	struct delivery delivery = { 0, 0, RD_KAFKA_RESP_ERR_NO_ERROR };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	static const char *const pairs[] = { "linger.ms", "0", "batch.size", "131072", "message.timeout.ms", "10000", NULL };
	rd_kafka_conf_set_log_cb(conf, no_log);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, &delivery);
	rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof text);
	for (const char *const *pair = pairs; *pair; pair += 2)
		rd_kafka_conf_set(conf, pair[0], pair[1], text, sizeof text);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		return rc_error_set(err, RC_BROKEN, "librdkafka %s makes no producer: %s", rd_kafka_version_str(), text);
	}
	enum rc_status status = RC_OK;
	char *payload = calloc(1, TEST_MESSAGE_OCTETS);
	if (!payload)
		status = rc_error_set(err, RC_NO_MEMORY, "out of memory in the broker's self-test");
	for (int i = 0; payload && i < TEST_MESSAGES && status == RC_OK; i++) {
		memset(payload, i, TEST_MESSAGE_OCTETS);
		rd_kafka_resp_err_t e =
			rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
					  RD_KAFKA_V_VALUE(payload, (size_t)TEST_MESSAGE_OCTETS),
					  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
		if (e)
			status = rc_error_set(err, RC_BROKEN, "the mock cluster of librdkafka %s takes no message: %s",
					      rd_kafka_version_str(), rd_kafka_err2str(e));
	}
	if (status == RC_OK)
		rd_kafka_flush(rk, TEST_TIMEOUT_MS);
	if (status == RC_OK && delivery.delivered != TEST_MESSAGES)
		status = rc_error_set(err, RC_BROKEN, "the mock cluster of librdkafka %s took %d of %d messages (%s)",
				      rd_kafka_version_str(), delivery.delivered, TEST_MESSAGES,
				      delivery.why ? rd_kafka_err2str(delivery.why) : "no answer");
	free(payload);
	rd_kafka_destroy(rk);
	return status;
}

static enum rc_status test_consume(const char *bootstrap, const char *topic, struct rc_error *err)
{
	const char *const pairs[] = { "bootstrap.servers", bootstrap, "group.id", "rollcall-broker-self-test",
				      "fetch.wait.max.ms", "10", "fetch.error.backoff.ms", "10", "enable.auto.commit", "false", NULL };
	rd_kafka_t *rk = NULL;
	enum rc_status status = client_new(RD_KAFKA_CONSUMER, pairs, &rk, err);
	if (status != RC_OK)
		return status;
	rd_kafka_poll_set_consumer(rk);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	const char *library = rd_kafka_version_str();
	int64_t low = -1, high = -1, next;
	rd_kafka_resp_err_t e = rd_kafka_query_watermark_offsets(rk, topic, 0, &low, &high, TEST_TIMEOUT_MS);
	if (e) {
		status = rc_error_set(err, RC_BROKEN, "the mock cluster of librdkafka %s tells no offsets: %s", library,
				      rd_kafka_err2str(e));
		goto out;
	}
	/* All that came in is counted, and of 6 MiB no more than 5 MiB and no less than what dispatch credit relies on is left. */
	int64_t kept = (high - low) * TEST_MESSAGE_OCTETS;
	if (high != TEST_MESSAGES || kept > PARTITION_KEEPS_OCTETS + TEST_BATCH_OCTETS || kept < PARTITION_KEEPS_OCTETS * 3 / 4) {
		status = rc_error_set(err, RC_BROKEN,
				      "librdkafka %s keeps messages %lld to %lld of %d x %d octets in a mock partition, not the newest 5 MiB: "
				      "use another version, or a real Kafka by ROLLCALL_BROKERS",
				      library, (long long)low, (long long)high, TEST_MESSAGES, TEST_MESSAGE_OCTETS);
		goto out;
	}
	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = low;
	e = rd_kafka_assign(rk, list);
	if (e) {
		status = rc_error_set(err, RC_BROKEN, "librdkafka %s assigns no partition: %s", library, rd_kafka_err2str(e));
		goto out;
	}
	uint64_t until_ms = rc_clock_mono_ms() + TEST_TIMEOUT_MS;
	/* The first and a few after it are proof enough of a round trip. */
	for (next = low; next < low + 4 && status == RC_OK;) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
		if (!message) {
			if (rc_clock_mono_ms() > until_ms)
				status = rc_error_set(err, RC_BROKEN, "the mock cluster of librdkafka %s gives no message back",
						      library);
			continue;
		}
		if (message->err) {
			status = rc_error_set(err, RC_BROKEN, "the mock cluster of librdkafka %s: %s", library,
					      rd_kafka_message_errstr(message));
		} else if (message->offset != next || message->len != TEST_MESSAGE_OCTETS ||
			   ((const unsigned char *)message->payload)[0] != (unsigned char)next) {
			status = rc_error_set(err, RC_BROKEN,
					      "the mock cluster of librdkafka %s gives back something else than it got at offset %lld",
					      library, (long long)next);
		}
		next++;
		rd_kafka_message_destroy(message);
	}
out:
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	return status;
}

static enum rc_status self_test(rd_kafka_t *host, struct rc_error *err)
{
	static const char topic[] = "self-test";
	rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 1);
	if (!cluster)
		return rc_error_set(err, RC_BROKEN, "librdkafka %s makes no mock cluster", rd_kafka_version_str());
	enum rc_status status = RC_OK;
	rd_kafka_resp_err_t e = rd_kafka_mock_topic_create(cluster, topic, 1, 1);
	if (e)
		status = rc_error_set(err, RC_BROKEN, "the mock cluster makes no topic: %s", rd_kafka_err2str(e));
	const char *bootstrap = rd_kafka_mock_cluster_bootstraps(cluster);
	if (status == RC_OK)
		status = test_produce(bootstrap, topic, err);
	if (status == RC_OK)
		status = test_consume(bootstrap, topic, err);
	rd_kafka_mock_cluster_destroy(cluster);
	return status;
}

/* ---- the broker --------------------------------------------------------------------------------------------------- */

static enum rc_status address_write(const char *path, const char *address, struct rc_error *err)
{
	char temporary[4096];
	if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
		return rc_error_set(err, RC_INVALID, "--address-file is longer than %zu octets", sizeof temporary - 5);
	FILE *file = fopen(temporary, "we");
	if (!file || fprintf(file, "%s\n", address) < 0 || fflush(file) || fsync(fileno(file))) {
		int why = errno;
		if (file)
			fclose(file);
		return rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", temporary, strerror(why));
	}
	if (fclose(file) || rename(temporary, path))
		return rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", path, strerror(errno));
	return RC_OK;
}

/* Until a signal, or the end of standard input where that was asked for. */
static void wait_for_the_end(int signals, bool until_eof)
{
	struct pollfd fds[2] = { { .fd = signals, .events = POLLIN }, { .fd = until_eof ? STDIN_FILENO : -1, .events = POLLIN } };
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents)
			return;
		if (fds[1].revents) {
			char rest[256];
			ssize_t got = read(STDIN_FILENO, rest, sizeof rest);
			if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
				return;
		}
	}
}

int main(int argc, char **argv)
{
	static const char program[] = "rollcall-broker";
	struct config config = { 0 };
	struct rc_options *options = NULL;
	struct rc_error err;
	rd_kafka_t *host = NULL;
	rd_kafka_mock_cluster_t *cluster = NULL;
	int rest, exit_status = 1;

	enum rc_status status = rc_options_parse(option_table, program,
						 "[--address-file FILE]\n\nThe embedded broker of `rollcall up`: in memory, on loopback, "
						 "empty at every start.",
						 argc, argv, &config, &options, &rest, &err);
	if (status == RC_CONFLICT)
		return 0;
	if (status == RC_OK && rest < argc)
		status = rc_error_set(&err, RC_INVALID, "takes no operand, but there is \"%s\"", argv[rest]);
	if (status != RC_OK) {
		fprintf(stderr, "%s: %s\n", program, err.text);
		rc_options_free(options);
		return 2;
	}

	/* Before librdkafka starts its threads, which inherit the mask. */
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (config.until_eof)
		prctl(PR_SET_PDEATHSIG, SIGKILL);

	static const char *const host_conf[] = { "client.id", "rollcall-broker", NULL };
	status = client_new(RD_KAFKA_PRODUCER, host_conf, &host, &err);
	if (status == RC_OK && config.self_test)
		status = self_test(host, &err);
	if (status == RC_OK && !(cluster = rd_kafka_mock_cluster_new(host, 1)))
		status = rc_error_set(&err, RC_BROKEN, "librdkafka %s makes no mock cluster", rd_kafka_version_str());
	const struct {
		const char *name;
		int64_t partitions;
	} topics[] = { { "rollcall.shards", config.shard_partitions },
		       { "rollcall.reports", config.report_partitions },
		       { "rollcall.control", config.control_partitions } };
	for (size_t i = 0; i < sizeof topics / sizeof *topics && status == RC_OK; i++) {
		rd_kafka_resp_err_t e = rd_kafka_mock_topic_create(cluster, topics[i].name, (int)topics[i].partitions, 1);
		if (e)
			status = rc_error_set(&err, RC_BROKEN, "the mock cluster makes no topic %s: %s", topics[i].name,
					      rd_kafka_err2str(e));
	}
	if (status == RC_OK && config.address_file)
		status = address_write(config.address_file, rd_kafka_mock_cluster_bootstraps(cluster), &err);
	if (status == RC_OK) {
		printf("%s ready %s\n", program, rd_kafka_mock_cluster_bootstraps(cluster));
		fflush(stdout);
		wait_for_the_end(signals, config.until_eof);
		exit_status = 0;
	} else {
		fprintf(stderr, "%s: %s\n", program, err.text);
	}

	if (cluster)
		rd_kafka_mock_cluster_destroy(cluster);
	if (host)
		rd_kafka_destroy(host);
	rc_options_free(options);
	return exit_status;
}
