/* See sink.h. */
#include "coordinator/sink.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/kafka/envelope.h"
#include "coordinator/broker.h"
#include "coordinator/judge.h"
#include "coordinator/store/db.h"
#include "coordinator/store/groups.h"
#include "coordinator/store/inbox.h"
#include "coordinator/store/lease.h"
#include "coordinator/store/measured.h"
#include "coordinator/store/writes.h"

enum {
	BATCH_MAX = 500, /* messages of one transaction */
	BATCH_OCTETS = 4 * 1024 * 1024,
	BATCH_MS = 25, /* how long a batch waits for more */
	POLL_MS = 100,
	OWN_MS = 5000, /* how often partitions that others hold are asked for */
	GENERATION_MS = 250,
	ASK_MS = 2000,
	PARTITIONS_MAX = 256
};

struct partition {
	bool own; /* its lock is ours */
	bool assigned;
	int64_t next; /* offset to be written next, as PostgreSQL has it */
};

struct message {
	rd_kafka_message_t *kafka;
	Rollcall__Envelope *envelope; /* NULL: passed over */
};

struct sink {
	struct context own;
	const struct context *context; /* own */
	pthread_t thread;
	struct db *db;
	uint64_t db_generation; /* of the connection that holds the locks */
	struct writes *writes;
	struct groups *groups;
	struct measured *measured;
	struct judge *judge;
	struct broker broker;
	struct rc_seal *seal;
	rd_kafka_t *consumer;
	char identity[BROKER_IDENTITY_MAX];
	int generation; /* 0: the leader has not seen this broker yet */
	uint64_t generation_at_ms, own_at_ms;
	struct partition partitions[PARTITIONS_MAX];
	int32_t partition_count;
	struct message batch[BATCH_MAX];
	size_t batch_count;
};

/* ------------------------------------------------------------------------------------------------
 * Kafka */

static void drop_assignments(struct sink *sink)
{
	if (sink->consumer)
		(void)rd_kafka_assign(sink->consumer, NULL);
	for (int32_t i = 0; i < PARTITIONS_MAX; i++)
		sink->partitions[i].assigned = false;
}

static void batch_drop(struct sink *sink)
{
	for (size_t i = 0; i < sink->batch_count; i++) {
		rc_envelope_free(sink->batch[i].envelope);
		rd_kafka_message_destroy(sink->batch[i].kafka);
	}
	sink->batch_count = 0;
}

static void consumer_close(struct sink *sink)
{
	batch_drop(sink);
	drop_assignments(sink);
	/* Closing first would wait for commits that only lag tools look at, for as long as the
	 * broker is gone. */
	if (sink->consumer)
		rd_kafka_destroy_flags(sink->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	sink->consumer = NULL;
	sink->generation = 0;
}

static enum rc_status consumer_open(struct sink *sink, struct rc_error *err)
{
	enum rc_status status =
	    rc_kafka_consumer_new(&sink->broker.settings, "rollcall-sink", RC_GROUP_SINK,
				  RC_KAFKA_RESET_EARLIEST, sink, &sink->consumer, err);

	if (status == RC_OK)
		status = rc_kafka_partitions(sink->consumer, RC_TOPIC_REPORTS, ASK_MS,
					     &sink->partition_count, err);
	if (status == RC_OK)
		status =
		    broker_identity(&sink->broker, sink->consumer, ASK_MS, sink->identity, err);
	if (sink->partition_count > PARTITIONS_MAX)
		sink->partition_count = PARTITIONS_MAX;
	if (status != RC_OK)
		consumer_close(sink);
	return status;
}

/* True: there is a consumer, and it belongs to the generation that the leader has written down. */
static enum rc_status kafka_ready(struct sink *sink, bool *ret_ready, struct rc_error *err)
{
	char cluster[BROKER_IDENTITY_MAX];
	uint64_t now_ms = rc_clock_mono_ms();
	enum rc_status status;
	struct rc_error why;
	bool changed;
	int id;

	*ret_ready = false;
	status = broker_look(&sink->broker, now_ms, &changed, &why);
	if (status == RC_OK && changed)
		consumer_close(sink);
	if (status == RC_OK && !sink->consumer)
		status = consumer_open(sink, &why);
	if (status != RC_OK) {
		readiness_set(sink->context->readiness, READINESS_BROKER, READINESS_SINK, why.text);
		return RC_OK;
	}
	readiness_set(sink->context->readiness, READINESS_BROKER, READINESS_SINK, NULL);
	if (sink->generation == 0 || now_ms - sink->generation_at_ms >= GENERATION_MS) {
		sink->generation_at_ms = now_ms;
		status = lease_generation(sink->db, &id, cluster, sizeof(cluster), err);
		if (status != RC_OK)
			return status;
		if (strcmp(cluster, sink->identity) != 0) {
			/* Either the leader has still to see this broker, or this consumer speaks
			 * to another than it did at first. */
			id = 0;
			if (sink->generation != 0)
				consumer_close(sink);
		}
		if (id != sink->generation)
			drop_assignments(sink);
		sink->generation = id;
	}
	*ret_ready = sink->generation != 0;
	return RC_OK;
}

static enum rc_status assign(struct sink *sink, struct rc_error *err)
{
	uint64_t now_ms = rc_clock_mono_ms();
	bool ask = sink->own_at_ms == 0 || now_ms - sink->own_at_ms >= OWN_MS;
	enum rc_status status = RC_OK;

	if (ask)
		sink->own_at_ms = now_ms;
	for (int32_t i = 0; i < sink->partition_count && status == RC_OK; i++) {
		struct partition *p = &sink->partitions[i];

		if (!p->own && ask)
			status = inbox_own(sink->db, i, &p->own, err);
		if (status != RC_OK || !p->own || p->assigned)
			continue;
		status = inbox_next(sink->db, sink->generation, i, &p->next, err);
		if (status == RC_OK)
			status =
			    rc_kafka_assign_add(sink->consumer, RC_TOPIC_REPORTS, i, p->next, err);
		p->assigned = status == RC_OK;
	}
	return status;
}

/* ------------------------------------------------------------------------------------------------
 * a batch */

static void take(struct sink *sink, rd_kafka_message_t *kafka)
{
	struct message *m = &sink->batch[sink->batch_count];
	struct rc_error why;

	m->kafka = kafka;
	m->envelope = NULL;
	sink->batch_count++;
	if (rc_envelope_unpack(sink->seal, RC_TOPIC_REPORTS, kafka->payload, kafka->len,
			       &m->envelope, &why) != RC_OK) {
		rc_log(RC_LOG_WARN, "report_skipped", "partition=%d offset=%" PRId64 " why=\"%s\"",
		       (int)kafka->partition, kafka->offset, why.text);
		return;
	}
	if (m->envelope->body_case == ROLLCALL__ENVELOPE__BODY_REPORT)
		return;
	rc_log(RC_LOG_WARN, "report_skipped",
	       "partition=%d offset=%" PRId64 " why=\"no report in it\"", (int)kafka->partition,
	       kafka->offset);
	rc_envelope_free(m->envelope);
	m->envelope = NULL;
}

static void collect(struct sink *sink)
{
	uint64_t until_ms = 0;
	size_t octets = 0;

	while (sink->batch_count < BATCH_MAX && octets < BATCH_OCTETS) {
		uint64_t now_ms = rc_clock_mono_ms();
		int wait_ms = until_ms == 0	  ? POLL_MS
			      : now_ms < until_ms ? (int)(until_ms - now_ms)
						  : 0;
		rd_kafka_message_t *kafka = rd_kafka_consumer_poll(sink->consumer, wait_ms);
		struct partition *p;

		if (!kafka)
			return;
		p = kafka->err || kafka->partition >= PARTITIONS_MAX
			? NULL
			: &sink->partitions[kafka->partition];
		/* Events, and what was fetched before a partition was given up or set back. */
		if (!p || !p->assigned || kafka->offset < p->next) {
			rd_kafka_message_destroy(kafka);
			if (until_ms == 0)
				return;
			continue;
		}
		octets += kafka->len;
		take(sink, kafka);
		if (until_ms == 0)
			until_ms = now_ms + BATCH_MS;
	}
}

/* The offsets of messages [from, to), each partition from where it stands to behind its last one.
 */
static enum rc_status advance(struct sink *sink, size_t from, size_t to, int64_t *next,
			      int32_t *ret_first, struct rc_error *err)
{
	enum rc_status status = RC_OK;

	for (int32_t i = 0; i < sink->partition_count; i++)
		next[i] = -1;
	for (size_t i = from; i < to; i++)
		next[sink->batch[i].kafka->partition] = sink->batch[i].kafka->offset + 1;
	*ret_first = -1;
	for (int32_t i = 0; i < sink->partition_count && status == RC_OK; i++) {
		if (next[i] < 0)
			continue;
		if (*ret_first < 0)
			*ret_first = i;
		status = inbox_advance(sink->db, sink->generation, i, sink->partitions[i].next,
				       next[i], err);
	}
	return status;
}

/* One transaction. `judge`: false: only the offsets, so that what was refused is passed over. */
static enum rc_status store(struct sink *sink, size_t from, size_t to, bool judge,
			    struct rc_error *err)
{
	struct decide decide = { .context = sink->context,
				 .db = sink->db,
				 .writes = sink->writes,
				 .groups = sink->groups,
				 .measured = sink->measured,
				 .now_ms = rc_clock_wall_ms() };
	Rollcall__Report *reports[BATCH_MAX];
	int64_t next[PARTITIONS_MAX];
	enum rc_status status;
	int32_t first = -1;
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		if (sink->batch[i].envelope)
			reports[n++] = sink->batch[i].envelope->report;
	status = db_begin(sink->db, err);
	if (status == RC_OK)
		status = advance(sink, from, to, next, &first, err);
	/* A line of job_count for each partition: this sink alone writes those that it holds. */
	decide.counter = first;
	if (status == RC_OK && judge && n > 0)
		status = judge_batch(sink->judge, &decide, reports, n, err);
	if (status == RC_OK)
		status = db_commit(sink->db, err);
	if (status != RC_OK) {
		db_rollback(sink->db);
		writes_clear(sink->writes);
		groups_forget(sink->groups);
		return status;
	}
	for (int32_t i = 0; i < sink->partition_count; i++)
		if (next[i] >= 0) {
			sink->partitions[i].next = next[i];
			/* For lag tools; and a commit that is under way holds up the end of a
			 * client whose broker is gone. */
			if (!sink->broker.embedded)
				rc_kafka_commit(sink->consumer, RC_TOPIC_REPORTS, i, next[i]);
		}
	return RC_OK;
}

static enum rc_status store_one_by_one(struct sink *sink, struct rc_error *err)
{
	enum rc_status status = RC_OK;

	for (size_t i = 0; i < sink->batch_count && status == RC_OK; i++) {
		status = store(sink, i, i + 1, true, err);
		if (status == RC_OK || status == RC_UNAVAILABLE || status == RC_NO_MEMORY ||
		    status == RC_CONFLICT)
			continue;
		rc_log(RC_LOG_ERROR, "report_refused", "partition=%d offset=%" PRId64 " why=\"%s\"",
		       (int)sink->batch[i].kafka->partition, sink->batch[i].kafka->offset,
		       err->text);
		status = store(sink, i, i + 1, false, err);
	}
	return status;
}

static enum rc_status work(struct sink *sink, struct rc_error *err)
{
	enum rc_status status;
	uint64_t start_us;
	bool ready;

	status = kafka_ready(sink, &ready, err);
	if (status != RC_OK)
		return status;
	if (!ready) {
		uint64_t seen = 0;

		(void)bell_wait(sink->context->sink_bell, &seen, POLL_MS);
		return RC_OK;
	}
	status = assign(sink, err);
	if (status != RC_OK)
		return status;
	collect(sink);
	if (sink->batch_count == 0)
		return RC_OK;
	/* After the wait for messages: what came behind a reload is judged by the new rules. */
	context_renew(&sink->own);
	start_us = rc_clock_mono_us();
	status = store(sink, 0, sink->batch_count, true, err);
	if (status != RC_OK && status != RC_UNAVAILABLE && status != RC_NO_MEMORY &&
	    status != RC_CONFLICT) {
		rc_log(RC_LOG_WARN, "batch_refused", "messages=%zu why=\"%s\"", sink->batch_count,
		       err->text);
		status = store_one_by_one(sink, err);
	}
	rc_log(RC_LOG_DEBUG, "batch", "messages=%zu took_us=%" PRIu64 " status=%d",
	       sink->batch_count, rc_clock_mono_us() - start_us, (int)status);
	batch_drop(sink);
	if (status == RC_OK)
		bell_ring(sink->context->leader_bell);
	return status;
}

static void *run(void *arg)
{
	struct sink *sink = arg;
	const struct context *context = sink->context;
	uint64_t seen = 0;
	char said[RC_ERROR_MAX] = "";
	bool lost = false;

	while (!bell_stopped(context->sink_bell)) {
		struct rc_error err;
		enum rc_status status = db_revive(sink->db, &err);

		if (status == RC_OK && sink->db_generation != db_generation(sink->db)) {
			/* The locks went with the connection. */
			for (int32_t i = 0; i < PARTITIONS_MAX; i++)
				sink->partitions[i].own = false;
			drop_assignments(sink);
			sink->own_at_ms = 0;
			sink->db_generation = db_generation(sink->db);
		}
		if (status == RC_OK)
			status = work(sink, &err);
		if (status == RC_OK) {
			if (lost)
				rc_log(RC_LOG_INFO, "sink_resumed", "generation=%d",
				       sink->generation);
			lost = false;
			readiness_set(context->readiness, READINESS_DATABASE, READINESS_SINK, NULL);
			continue;
		}
		if (!lost || strcmp(said, err.text) != 0)
			rc_log(RC_LOG_WARN, "sink_interrupted", "why=\"%s\"", err.text);
		snprintf(said, sizeof(said), "%s", err.text);
		lost = true;
		if (!db_alive(sink->db))
			readiness_set(context->readiness, READINESS_DATABASE, READINESS_SINK,
				      err.text);
		/* Whether the commit came through is for PostgreSQL to say: everything from the
		 * offsets that it holds. */
		batch_drop(sink);
		drop_assignments(sink);
		if (!bell_wait(context->sink_bell, &seen, POLL_MS))
			break;
	}
	return NULL;
}

static void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	consumer_close(sink);
	db_close(sink->db);
	judge_free(sink->judge);
	writes_free(sink->writes);
	groups_free(sink->groups);
	measured_free(sink->measured);
	context_done(&sink->own);
	rc_seal_free(sink->seal);
	free(sink);
}

enum rc_status sink_start(const struct context *context, struct sink **ret_sink,
			  struct rc_error *err)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	enum rc_status status;

	if (!sink)
		return rc_error_set(err, RC_NO_MEMORY, "no memory for the sink");
	context_copy(&sink->own, context);
	sink->context = &sink->own;
	broker_init(&sink->broker, &context->config->kafka);
	sink->writes = writes_new();
	sink->groups = groups_new();
	sink->measured = measured_new();
	sink->judge = judge_new(sink->context);
	status = rc_seal_new(context->config->kafka.message_key, &sink->seal, err);
	if (status == RC_OK && (!sink->writes || !sink->groups || !sink->measured || !sink->judge))
		status = rc_error_set(err, RC_NO_MEMORY, "no memory for the sink");
	if (status == RC_OK)
		status = db_open(context->config->database, "rollcall-sink", 0, &sink->db, err);
	if (status == RC_OK && pthread_create(&sink->thread, NULL, run, sink) != 0)
		status = rc_error_set(
		    err, RC_UNAVAILABLE,
		    "no thread for the sink can be started: raise the limit of processes");
	if (status != RC_OK) {
		sink_free(sink);
		return status;
	}
	*ret_sink = sink;
	return RC_OK;
}

void sink_stop(struct sink *sink)
{
	if (!sink)
		return;
	db_cancel(sink->db);
	pthread_join(sink->thread, NULL);
	sink_free(sink);
}
