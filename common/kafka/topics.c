/* See kafka.h: what is asked once, at start: is there a broker, are there topics. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/kafka/conf.h"
#include "common/kafka/kafka.h"

enum { TOPICS = 3, LOOK_AGAIN_MS = 100 };

struct topic {
	const char *name;
	int want; /* partitions */
	int have; /* 0: it does not exist */
	bool led; /* every partition has a leader, so that it can be used right now */
};

/* A client for one question. It keeps the last thing that went wrong, which says more than "timed
 * out". */
struct asker {
	rd_kafka_t *client;
	char wrong[512];
};

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
	struct asker *asker = opaque;

	(void)client;
	/* "2/2 brokers are down" follows the cause and would hide it. */
	if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || !asker->wrong[0])
		snprintf(asker->wrong, sizeof(asker->wrong), "%s", reason);
}

/* The asker tells the caller; the log need not say it too. */
static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
	(void)client;
	(void)level;
	(void)facility;
	(void)text;
}

static enum rc_status asker_init(struct asker *asker, const struct rc_kafka_settings *settings,
				 struct rc_error *err)
{
	rd_kafka_conf_t *conf;
	enum rc_status status = rc_kafka_conf_new(settings, "rollcall-setup", NULL, &conf, err);

	*asker = (struct asker){ 0 };
	if (status != RC_OK)
		return status;
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_opaque(conf, asker);
	return rc_kafka_client_new(RD_KAFKA_PRODUCER, conf, &asker->client, err);
}

static void asker_done(struct asker *asker)
{
	rd_kafka_destroy(asker->client);
}

static enum rc_status nobody(struct asker *asker, const struct rc_kafka_settings *settings,
			     rd_kafka_resp_err_t code, struct rc_error *err)
{
	rd_kafka_poll(asker->client, 0);
	return rc_error_set(
	    err, RC_UNAVAILABLE,
	    "no broker answers at %s: %s. Is Kafka running there, and are ROLLCALL_BROKERS and "
	    "ROLLCALL_KAFKA_OPTIONS right?",
	    settings->brokers, asker->wrong[0] ? asker->wrong : rd_kafka_err2str(code));
}

static void take(struct topic *topic, const struct rd_kafka_metadata_topic *found)
{
	topic->have = found->partition_cnt;
	topic->led = true;
	for (int i = 0; i < found->partition_cnt; i++)
		topic->led &= found->partitions[i].leader >= 0;
}

/* All topics, never ours by name: asking for a name makes it, with any number of partitions, where
 * auto-creation is on. */
static rd_kafka_resp_err_t look(rd_kafka_t *client, struct topic *topics, size_t count,
				int timeout_ms)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t code = rd_kafka_metadata(client, 1, NULL, &metadata, timeout_ms);

	if (code)
		return code;
	for (size_t i = 0; i < count; i++) {
		topics[i].have = 0;
		topics[i].led = false;
		for (int j = 0; j < metadata->topic_cnt; j++)
			if (strcmp(metadata->topics[j].topic, topics[i].name) == 0 &&
			    !metadata->topics[j].err)
				take(&topics[i], &metadata->topics[j]);
	}
	rd_kafka_metadata_destroy(metadata);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

enum rc_status rc_kafka_reachable(const struct rc_kafka_settings *settings, int timeout_ms,
				  struct rc_error *err)
{
	const struct rd_kafka_metadata *metadata;
	struct asker asker;
	rd_kafka_resp_err_t code;
	enum rc_status status = asker_init(&asker, settings, err);

	if (status != RC_OK)
		return status;
	code = rd_kafka_metadata(asker.client, 0, NULL, &metadata, timeout_ms);
	if (code)
		status = nobody(&asker, settings, code, err);
	else
		rd_kafka_metadata_destroy(metadata);
	asker_done(&asker);
	return status;
}

enum rc_status rc_kafka_partitions(rd_kafka_t *client, const char *topic, int timeout_ms,
				   int32_t *ret_count, struct rc_error *err)
{
	struct topic one = { .name = topic };
	rd_kafka_resp_err_t code = look(client, &one, 1, timeout_ms);

	if (code)
		return rc_error_set(err, RC_UNAVAILABLE, "Kafka does not list its topics: %s",
				    rd_kafka_err2str(code));
	if (!one.have)
		return rc_error_set(err, RC_NOT_FOUND, "there is no topic %s", topic);
	*ret_count = one.have;
	return RC_OK;
}

/* A topic's own refusal, the first that is not "it exists". */
static void refusal_keep(rd_kafka_event_t *event, char *ret_why, size_t size,
			 rd_kafka_resp_err_t *ret_code)
{
	const rd_kafka_topic_result_t **results;
	size_t count = 0;

	if (rd_kafka_event_error(event)) {
		*ret_code = rd_kafka_event_error(event);
		snprintf(ret_why, size, "%s", rd_kafka_event_error_string(event));
		return;
	}
	results =
	    rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
	for (size_t i = 0; i < count; i++) {
		rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
		const char *text = rd_kafka_topic_result_error_string(results[i]);

		if (!code || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS || *ret_code)
			continue;
		*ret_code = code;
		snprintf(ret_why, size, "%s", text ? text : rd_kafka_err2str(code));
	}
}

/* Asks for the missing ones. What was refused is in `ret_why`; "" when nothing was. */
static void create(rd_kafka_t *client, const struct topic *topics, int timeout_ms, char *ret_why,
		   size_t size, rd_kafka_resp_err_t *ret_code)
{
	rd_kafka_NewTopic_t *wanted[TOPICS];
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_AdminOptions_t *options =
	    rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_event_t *event;
	size_t count = 0;
	char text[512];

	ret_why[0] = '\0';
	*ret_code = RD_KAFKA_RESP_ERR_NO_ERROR;
	for (size_t i = 0; i < TOPICS; i++) {
		if (topics[i].have)
			continue;
		/* -1: as many replicas as the broker makes by default. */
		wanted[count] =
		    rd_kafka_NewTopic_new(topics[i].name, topics[i].want, -1, text, sizeof(text));
		if (!wanted[count]) {
			snprintf(ret_why, size, "%s", text);
			*ret_code = RD_KAFKA_RESP_ERR__INVALID_ARG;
			goto out;
		}
		/* Kafka is transport: a day is for whoever wants to look. */
		(void)rd_kafka_NewTopic_set_config(wanted[count], "retention.ms", "86400000");
		count++;
	}
	(void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof(text));
	rd_kafka_CreateTopics(client, wanted, count, options, queue);
	event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
	if (event) {
		refusal_keep(event, ret_why, size, ret_code);
		rd_kafka_event_destroy(event);
	} else {
		*ret_code = RD_KAFKA_RESP_ERR__TIMED_OUT;
		snprintf(ret_why, size, "the broker did not answer");
	}
out:
	rd_kafka_NewTopic_destroy_array(wanted, count);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
}

static bool any_missing(const struct topic *topics)
{
	for (size_t i = 0; i < TOPICS; i++)
		if (!topics[i].have)
			return true;
	return false;
}

static bool all_there(const struct topic *topics)
{
	for (size_t i = 0; i < TOPICS; i++)
		if (!topics[i].have || !topics[i].led)
			return false;
	return true;
}

static bool denied(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
	       code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

static enum rc_status verdict(const struct topic *topics, const char *brokers, const char *why,
			      rd_kafka_resp_err_t code, struct rc_error *err)
{
	for (size_t i = 0; i < TOPICS; i++) {
		if (!topics[i].have)
			return rc_error_set(
			    err, denied(code) ? RC_DENIED : RC_UNAVAILABLE,
			    "the topic %s does not exist and cannot be made: %s. Make it with "
			    "`kafka-topics.sh "
			    "--bootstrap-server %s --create --topic %s --partitions %d`",
			    topics[i].name, *why ? why : "it did not appear", brokers,
			    topics[i].name, topics[i].want);
		if (topics[i].have < topics[i].want)
			return rc_error_set(
			    err, RC_CONFLICT,
			    "the topic %s has %d partitions and %d are needed. Add them with "
			    "`kafka-topics.sh "
			    "--bootstrap-server %s --alter --topic %s --partitions %d`",
			    topics[i].name, topics[i].have, topics[i].want, brokers, topics[i].name,
			    topics[i].want);
		if (!topics[i].led)
			return rc_error_set(err, RC_UNAVAILABLE,
					    "the topic %s has partitions without a leader: a Kafka "
					    "broker is down at %s",
					    topics[i].name, brokers);
	}
	return RC_OK;
}

enum rc_status rc_kafka_topics_ensure(const struct rc_kafka_settings *settings,
				      int shard_partitions, int report_partitions, int timeout_ms,
				      struct rc_error *err)
{
	struct topic topics[TOPICS] = {
		{ .name = RC_TOPIC_SHARDS, .want = shard_partitions },
		{ .name = RC_TOPIC_REPORTS, .want = report_partitions },
		{ .name = RC_TOPIC_CONTROL, .want = 1 },
	};
	uint64_t end_ms = rc_clock_mono_ms() + (uint64_t)timeout_ms;
	rd_kafka_resp_err_t code, refused = RD_KAFKA_RESP_ERR_NO_ERROR;
	struct asker asker;
	char why[512] = "";
	enum rc_status status = asker_init(&asker, settings, err);

	if (status != RC_OK)
		return status;
	code = look(asker.client, topics, TOPICS, timeout_ms);
	if (code) {
		status = nobody(&asker, settings, code, err);
		asker_done(&asker);
		return status;
	}
	if (any_missing(topics))
		create(asker.client, topics, timeout_ms, why, sizeof(why), &refused);
	/* A topic just made takes a moment to be known to every broker; another service may be
	 * making them right now. */
	while (!all_there(topics)) {
		(void)look(asker.client, topics, TOPICS, timeout_ms);
		if (all_there(topics) || refused || rc_clock_mono_ms() >= end_ms)
			break;
		rd_kafka_poll(asker.client, LOOK_AGAIN_MS);
	}
	status = verdict(topics, settings->brokers, why, refused, err);
	asker_done(&asker);
	return status;
}
