/*
 * bench-feeder - a leader that does nothing but feed one worker: answers its hellos with a grant of lane 0, keeps a window of probe
 * shards out, counts what comes back, and prints a line of JSON at the end.
 *
 * The MX sets stand in the shards, so nothing is looked up. Every recipient is user<n>@d<n>.bench.test at one of --mx-count MX
 * addresses from --mx-first upwards. With --hold it only sends, and waits for SIGTERM: for looking at open sessions.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/options.h"
#include "common/kafka/envelope.h"
#include "common/kafka/kafka.h"

struct config {
	struct rc_kafka_settings kafka;
	int64_t shards, recipients, per_session, window, mx_count, first;
	const char *mx_first, *domain;
	bool hold, announce;
};

static const struct rc_option option_table[] = {
	RC_KAFKA_OPTION_ROWS(struct config, kafka),
	{ "shards", RC_OPTION_INT, offsetof(struct config, shards), 1, 1e9, "1000", NULL, false, false, "Shards to send." },
	{ "recipients", RC_OPTION_INT, offsetof(struct config, recipients), 1, 100, "100", NULL, false, false, "Recipients a shard." },
	{ "per-session", RC_OPTION_INT, offsetof(struct config, per_session), 1, 100, "1", NULL, false, false,
	  "Recipients offered in one session." },
	{ "window", RC_OPTION_INT, offsetof(struct config, window), 1, 1e6, "256", NULL, false, false, "Shards out at once." },
	{ "mx-first", RC_OPTION_STRING, offsetof(struct config, mx_first), 0, 0, "127.50.0.1", "IPv4", false, false,
	  "The first MX address." },
	{ "mx-count", RC_OPTION_INT, offsetof(struct config, mx_count), 1, 65536, "100", NULL, false, false,
	  "Addresses from there upwards, used in turn." },
	{ "domain", RC_OPTION_STRING, offsetof(struct config, domain), 0, 0, "bench.test", NULL, false, false,
	  "Recipients are at d<n>. of it." },
	{ "first", RC_OPTION_INT, offsetof(struct config, first), 0, 1e12, "0", NULL, false, false,
	  "The number of the first shard; those of an earlier run are done already." },
	{ "hold", RC_OPTION_BOOL, offsetof(struct config, hold), 0, 0, "off", NULL, false, false,
	  "Send, and wait for SIGTERM instead of for reports." },
	{ "announce", RC_OPTION_BOOL, offsetof(struct config, announce), 0, 0, "off", NULL, false, false,
	  "Print a line when the first shard has been sent." },
	{ .name = NULL },
};

struct feeder {
	struct config config;
	struct rc_seal *seal;
	rd_kafka_t *producer, *consumer;
	struct rc_buf out;
	int64_t first_offset;   /* of the grant; -1: no hello yet */
	int64_t sent, final;
	uint64_t first_ms, last_ms;
	int64_t answers, accepted, refused, other, sessions, controls;
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

static void die(const char *doing, const struct rc_error *err)
{
	fprintf(stderr, "bench-feeder: %s: %s\n", doing, err->text);
	exit(1);
}

static void produce(struct feeder *f, const char *topic, int32_t partition, const Rollcall__Envelope *envelope)
{
	struct rc_error err;

	rc_buf_clear(&f->out);
	if (rc_envelope_pack(f->seal, topic, envelope, &f->out, &err) != RC_OK)
		die("packing", &err);
	while (rc_kafka_produce(f->producer, topic, partition, NULL, 0, f->out.data, f->out.len, NULL, &err) != RC_OK) {
		if (err.status != RC_LIMIT)
			die("producing", &err);
		rd_kafka_poll(f->producer, 100);
	}
	rd_kafka_poll(f->producer, 0);
}

static void send_shard(struct feeder *f, int64_t number)
{
	struct config *c = &f->config;
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	Rollcall__Shard shard = ROLLCALL__SHARD__INIT;
	Rollcall__MxHost mx = ROLLCALL__MX_HOST__INIT;
	Rollcall__Budget budget = ROLLCALL__BUDGET__INIT;
	Rollcall__Recipient recipients[100], *recipient_list[100];
	Rollcall__MxHost *mx_list[1] = { &mx };
	char locals[100][24], domain[128], host[128], group[64], address[32];
	char *addresses[1] = { address };
	unsigned a, b, d, e;

	if (sscanf(c->mx_first, "%u.%u.%u.%u", &a, &b, &d, &e) != 4) {
		fprintf(stderr, "bench-feeder: --mx-first %s is no IPv4 address\n", c->mx_first);
		exit(2);
	}
	uint32_t ip = (a << 24 | b << 16 | d << 8 | e) + (uint32_t)(number % c->mx_count);
	snprintf(address, sizeof(address), "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
	snprintf(domain, sizeof(domain), "d%" PRId64 ".%s", number, c->domain);
	snprintf(host, sizeof(host), "mx%" PRId64 ".%s", number % c->mx_count, c->domain);
	snprintf(group, sizeof(group), "g%" PRId64, number % c->mx_count);
	mx.preference = 10;
	mx.host = host;
	mx.n_addresses = 1;
	mx.addresses = addresses;
	budget.recipients_per_session = (uint32_t)c->per_session;
	budget.connections = 1000;
	for (int64_t i = 0; i < c->recipients; i++) {
		rollcall__recipient__init(&recipients[i]);
		recipients[i].uid = (uint64_t)(number * c->recipients + i + 1);
		recipients[i].attempt = 1;
		recipients[i].local.len = (size_t)snprintf(locals[i], sizeof(locals[i]), "user%" PRIu64, recipients[i].uid);
		recipients[i].local.data = (uint8_t *)locals[i];
		recipient_list[i] = &recipients[i];
	}
	shard.id = (uint64_t)number + 1;
	shard.attempt = 1;
	shard.epoch = 1;
	shard.lane = 0;
	shard.kind = ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE;
	shard.job = 1;
	shard.domain = domain;
	shard.n_recipients = (size_t)c->recipients;
	shard.recipients = recipient_list;
	shard.n_mx = 1;
	shard.mx = mx_list;
	shard.mx_group = group;
	shard.control = ROLLCALL__CONTROL_NEED__CONTROL_NEED_NONE;  /* one recipient a session means one RCPT a session */
	shard.budget = &budget;
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_SHARD;
	envelope.shard = &shard;
	produce(f, RC_TOPIC_SHARDS, 0, &envelope);
}

static void answer_hello(struct feeder *f, const Rollcall__Hello *hello)
{
	struct rc_error err;
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	Rollcall__Grant grant = ROLLCALL__GRANT__INIT;
	Rollcall__LaneGrant lane = ROLLCALL__LANE_GRANT__INIT;
	Rollcall__LaneGrant *lanes[1] = { &lane };
	int64_t low;

	if (!hello->n_lanes || !hello->lanes[0]->proved)
		return;
	if (f->first_offset < 0 &&
	    rc_kafka_watermarks(f->consumer, RC_TOPIC_SHARDS, 0, 5000, &low, &f->first_offset, &err) != RC_OK)
		die("asking for the end of rollcall.shards", &err);
	grant.worker = hello->worker;
	grant.hello_sequence = hello->sequence;
	lane.name = hello->lanes[0]->name;
	lane.epoch = 1;
	lane.from_offset = f->first_offset;
	lane.lease_ms = 30000;
	grant.n_lanes = 1;
	grant.lanes = lanes;
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_GRANT;
	envelope.grant = &grant;
	produce(f, RC_TOPIC_CONTROL, 0, &envelope);
}

static void count_report(struct feeder *f, const Rollcall__Report *report)
{
	/* Of another run, or of another feeder beside us. */
	if (report->shard <= (uint64_t)f->config.first || report->shard > (uint64_t)(f->config.first + f->config.shards))
		return;
	for (size_t i = 0; i < report->n_answers; i++) {
		const Rollcall__Reply *reply = report->answers[i]->reply;

		f->answers++;
		if (reply && reply->code / 100 == 2)
			f->accepted++;
		else if (reply && reply->code / 100 == 5)
			f->refused++;
		else
			f->other++;
	}
	f->sessions += (int64_t)report->n_sessions;
	f->controls += (int64_t)report->n_controls;
	if (report->final)
		f->final++;
	f->last_ms = rc_clock_mono_ms();
}

static void on_message(struct feeder *f, const rd_kafka_message_t *message)
{
	struct rc_error err;
	Rollcall__Envelope *envelope;
	const char *topic;

	if (message->err)
		return;
	topic = rd_kafka_topic_name(message->rkt);
	if (rc_envelope_unpack(f->seal, topic, message->payload, message->len, &envelope, &err) != RC_OK)
		die("reading", &err);
	if (envelope->body_case == ROLLCALL__ENVELOPE__BODY_HELLO)
		answer_hello(f, envelope->hello);
	else if (envelope->body_case == ROLLCALL__ENVELOPE__BODY_REPORT)
		count_report(f, envelope->report);
	rc_envelope_free(envelope);
}

int main(int argc, char **argv)
{
	struct feeder f = { .first_offset = -1 };
	struct rc_options *options;
	struct rc_error err;
	int rest;
	int32_t reports = 0;

	enum rc_status st = rc_options_parse(option_table, "bench-feeder", "[OPTION]...", argc, argv, &f.config, &options, &rest, &err);
	if (st == RC_CONFLICT)
		return 0;
	if (st != RC_OK)
		die("options", &err);
	signal(SIGTERM, on_signal);
	rc_buf_init(&f.out, 0);
	if (rc_seal_new(f.config.kafka.message_key, &f.seal, &err) != RC_OK ||
	    rc_kafka_producer_new(&f.config.kafka, "bench-feeder", NULL, NULL, &f.producer, &err) != RC_OK ||
	    rc_kafka_consumer_new(&f.config.kafka, "bench-feeder", "bench", RC_KAFKA_RESET_EARLIEST, NULL, &f.consumer, &err) != RC_OK ||
	    rc_kafka_partitions(f.consumer, RC_TOPIC_REPORTS, 10000, &reports, &err) != RC_OK ||
	    rc_kafka_assign_add(f.consumer, RC_TOPIC_CONTROL, 0, RD_KAFKA_OFFSET_BEGINNING, &err) != RC_OK)
		die("starting", &err);
	for (int32_t p = 0; p < reports; p++)
		if (rc_kafka_assign_add(f.consumer, RC_TOPIC_REPORTS, p, RD_KAFKA_OFFSET_BEGINNING, &err) != RC_OK)
			die("starting", &err);

	while (!stopped && (f.config.hold || f.final < f.config.shards)) {
		while (f.first_offset >= 0 && f.sent < f.config.shards && f.sent - f.final < f.config.window) {
			if (!f.sent)
				f.first_ms = rc_clock_mono_ms();
			send_shard(&f, f.config.first + f.sent++);
			if (f.sent == 1 && f.config.announce) {
				puts("sending");
				fflush(stdout);
			}
		}
		rd_kafka_message_t *message = rd_kafka_consumer_poll(f.consumer, 20);
		while (message) {
			on_message(&f, message);
			rd_kafka_message_destroy(message);
			message = rd_kafka_consumer_poll(f.consumer, 0);
		}
		rd_kafka_poll(f.producer, 0);
	}
	double seconds = (double)(f.last_ms - f.first_ms) / 1000.0;

	printf("{\"shards\": %" PRId64 ", \"answers\": %" PRId64 ", \"accepted\": %" PRId64 ", \"refused\": %" PRId64 ", \"other\": %" PRId64
	       ", \"sessions\": %" PRId64 ", \"controls\": %" PRId64 ", \"seconds\": %.3f, \"sessions_per_s\": %.0f, \"recipients_per_s\": %.0f}\n",
	       f.final, f.answers, f.accepted, f.refused, f.other, f.sessions, f.controls, seconds,
	       seconds > 0 ? (double)f.sessions / seconds : 0.0, seconds > 0 ? (double)f.answers / seconds : 0.0);
	rd_kafka_flush(f.producer, 2000);
	rd_kafka_consumer_close(f.consumer);
	rd_kafka_destroy(f.consumer);
	rd_kafka_destroy(f.producer);
	rc_seal_free(f.seal);
	rc_buf_done(&f.out);
	rc_options_free(options);
	return 0;
}
