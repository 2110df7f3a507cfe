/* See conf.h. */
#include "common/kafka/conf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"

enum {
	KINDS = 16,	/* of librdkafka's log lines, by a hash of their facility */
	QUIET_MS = 5000 /* at most one line of a kind in as long: a dead broker is said several
			   times a second */
};

/* Ours to decide: overriding them would lose or repeat messages. */
static const char *const reserved[] = {
	"bootstrap.servers",
	"metadata.broker.list",
	"client.id",
	"group.id",
	"group.instance.id",
	"enable.auto.commit",
	"enable.auto.offset.store",
	"enable.partition.eof",
	"auto.offset.reset",
	"acks",
	"request.required.acks",
	"transactional.id",
};

static bool may_speak(const char *facility)
{
	static _Atomic uint64_t last_ms[KINDS];
	uint64_t now_ms = rc_clock_mono_ms(), last;
	unsigned hash = 0;

	for (const char *p = facility; *p; p++)
		hash = hash * 31 + (unsigned char)*p;
	last = atomic_load(&last_ms[hash % KINDS]);
	return (last == 0 || now_ms - last >= QUIET_MS) &&
	       atomic_compare_exchange_strong(&last_ms[hash % KINDS], &last, now_ms);
}

/* Called by librdkafka's threads. Its levels are syslog's. */
static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
	/* The embedded broker is too old for the question; nothing here asks for a topic that was
	 * not made. */
	if (strcmp(facility, "AUTOCREATE") == 0)
		return;
	if (level <= 4 && !may_speak(facility))
		return;
	rc_log(level <= 3   ? RC_LOG_ERROR
	       : level == 4 ? RC_LOG_WARN
	       : level <= 6 ? RC_LOG_INFO
			    : RC_LOG_DEBUG,
	       "kafka", "client=%s facility=%s text=\"%s\"", client ? rd_kafka_name(client) : "-",
	       facility, text);
}

/* Called on the polling thread. Most of these mend themselves, and librdkafka has logged the cause.
 */
static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
	(void)opaque;
	if (code == RD_KAFKA_RESP_ERR__FATAL)
		rc_log(RC_LOG_ERROR, "kafka_fatal", "client=%s text=\"%s\"", rd_kafka_name(client),
		       reason);
	else if (may_speak(rd_kafka_err2name((rd_kafka_resp_err_t)code)))
		rc_log(RC_LOG_WARN, "kafka_error", "client=%s error=%s text=\"%s\"",
		       rd_kafka_name(client), rd_kafka_err2name((rd_kafka_resp_err_t)code), reason);
}

static bool is_reserved(const char *name)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

static void complain(struct rc_buf *bad, const char *name, const char *why)
{
	rc_buf_printf(bad, "%s\"%.80s\" (%s)", bad->len ? ", " : "", name, why);
}

/* One "name=value", its comma gone. The value is never shown: it may be a password. */
static void option_set(rd_kafka_conf_t *conf, char *piece, struct rc_buf *bad)
{
	char text[512], *value;

	piece += strspn(piece, " ");
	if (!*piece)
		return;
	value = strchr(piece, '=');
	if (!value || value == piece) {
		complain(bad, value ? "" : piece, "not name=value");
		return;
	}
	*value++ = '\0';
	if (is_reserved(piece))
		complain(bad, piece, "Rollcall sets it itself");
	else
		switch (rd_kafka_conf_set(conf, piece, value, text, sizeof(text))) {
		case RD_KAFKA_CONF_OK:
			break;
		case RD_KAFKA_CONF_UNKNOWN:
			complain(bad, piece, "unknown to librdkafka");
			break;
		default:
			complain(bad, piece, "the value is not valid");
			break;
		}
}

static enum rc_status options_set(rd_kafka_conf_t *conf, const char *options, struct rc_error *err)
{
	enum rc_status status = RC_OK;
	struct rc_buf piece, bad;

	if (!options)
		return RC_OK;
	rc_buf_init(&piece, 65536);
	rc_buf_init(&bad, RC_ERROR_MAX);
	for (const char *p = options;; p++) {
		if (*p == '\\' && p[1] == ',') {
			rc_buf_add(&piece, ++p, 1);
			continue;
		}
		if (*p && *p != ',') {
			rc_buf_add(&piece, p, 1);
			continue;
		}
		if (piece.len && !piece.failed)
			option_set(conf, piece.data, &bad);
		if (piece.failed)
			complain(&bad, "a piece", "too long");
		rc_buf_clear(&piece);
		if (!*p)
			break;
	}
	if (bad.len)
		status = rc_error_set(err, RC_INVALID, "kafka-options: %s", bad.data);
	rc_buf_done(&piece);
	rc_buf_done(&bad);
	return status;
}

static enum rc_status pairs_set(rd_kafka_conf_t *conf, const struct rc_kafka_pair *pairs,
				struct rc_error *err)
{
	char text[512];

	for (; pairs->name; pairs++)
		if (rd_kafka_conf_set(conf, pairs->name, pairs->value, text, sizeof(text)) !=
		    RD_KAFKA_CONF_OK)
			return rc_error_set(err, RC_BROKEN, "librdkafka %s refuses %s: %s",
					    rd_kafka_version_str(), pairs->name, text);
	return RC_OK;
}

enum rc_status rc_kafka_conf_new(const struct rc_kafka_settings *settings, const char *client_id,
				 const struct rc_kafka_pair *pairs, rd_kafka_conf_t **ret_conf,
				 struct rc_error *err)
{
	const struct rc_kafka_pair common[] = {
		{ "client.id", client_id },
		{ "reconnect.backoff.ms", "100" },
		{ "reconnect.backoff.max.ms", "2000" },
		{ "socket.keepalive.enable", "true" },
		{ "socket.nagle.disable", "true" },
		{ "socket.timeout.ms", "30000" },
		{ "socket.connection.setup.timeout.ms", "5000" },
		{ "log.connection.close", "false" },
		{ "topic.metadata.refresh.interval.ms", "60000" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf;
	enum rc_status status;
	char text[512];

	if (!settings->brokers || !*settings->brokers)
		return rc_error_set(
		    err, RC_INVALID,
		    "no Kafka broker is named; set --brokers or ROLLCALL_BROKERS to host:port");
	conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_error_cb(conf, on_error);
	status = pairs_set(conf, common, err);
	if (status == RC_OK && pairs)
		status = pairs_set(conf, pairs, err);
	if (status == RC_OK && rd_kafka_conf_set(conf, "bootstrap.servers", settings->brokers, text,
						 sizeof(text)) != RD_KAFKA_CONF_OK)
		status = rc_error_set(err, RC_INVALID, "brokers: %s", text);
	if (status == RC_OK)
		status = options_set(conf, settings->kafka_options, err);
	if (status != RC_OK) {
		rd_kafka_conf_destroy(conf);
		return status;
	}
	*ret_conf = conf;
	return RC_OK;
}

enum rc_status rc_kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf,
				   rd_kafka_t **ret_client, struct rc_error *err)
{
	char text[512];
	rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof(text));

	if (!client) {
		rd_kafka_conf_destroy(conf);
		return rc_error_set(err, RC_INVALID, "the Kafka client cannot start: %s", text);
	}
	*ret_client = client;
	return RC_OK;
}
