#include "worker/io/worker.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "common/address/target.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/reply/data_dir.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "worker/io/connection.h"
#include "worker/io/checkup.h"
#include "worker/io/dns.h"
#include "worker/io/engine.h"
#include "worker/io/kafka_loop.h"
#include "worker/io/lanes.h"
#include "worker/io/leases.h"
#include "worker/io/tls.h"

enum {
	STOP_WITHIN_MS =
	    3000, /* sessions get so long to say QUIT; systemd and people wait about 5 s */
	FLUSH_WITHIN_MS = 1500,
	DESCRIPTORS_BESIDES = 200, /* of Kafka, the resolver and the rest */
	RULES_KEPT = 8
};

/* Rules that were loaded and may still be used by shards in work. */
struct rules {
	struct rc_rules *rules;
	struct rc_providers *providers;
};

struct worker {
	const struct worker_config *config;
	uv_loop_t loop;
	uv_signal_t term, interrupt, hangup;
	uv_timer_t broker_wait;
	uv_timer_t stop_within;
	char id[HOST_NAME_MAX + 40];
	char rules_dir[PATH_MAX];
	struct rules rules[RULES_KEPT];
	struct rc_target_list allow;
	enum probe_starttls starttls;
	struct lanes lanes;
	struct network *network;
	struct tls_context *tls;
	struct dns *dns;
	struct engine *engine;
	struct kafka_loop *kafka;
	struct leases *leases;
	struct checkup *checkup;
	bool ever_connected;
	bool stopping;
	bool stopped;
	enum rc_status result;
	struct rc_error *err;
};

/* ---- setting up */

static uint32_t raise_descriptors(int64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 500;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur > (rlim_t)(wanted + DESCRIPTORS_BESIDES))
		return (uint32_t)wanted;
	if (limit.rlim_cur <= 2 * DESCRIPTORS_BESIDES)
		return DESCRIPTORS_BESIDES;
	return (uint32_t)(limit.rlim_cur - DESCRIPTORS_BESIDES);
}

static enum rc_status load_rules(const struct worker *worker, struct rules *ret_rules,
				 struct rc_error *err)
{
	struct rules rules = { 0 };
	enum rc_status status = rc_rules_load(worker->rules_dir, &rules.rules, err);

	if (status != RC_OK)
		return status;
	status = rc_providers_load(worker->rules_dir, &rules.providers, err);
	if (status == RC_OK)
		status = rc_rules_check_providers(rules.rules, rules.providers, err);
	if (status != RC_OK) {
		rc_rules_free(rules.rules);
		rc_providers_free(rules.providers);
		return status;
	}
	*ret_rules = rules;
	return RC_OK;
}

static void say_rules(const struct worker *worker, const struct rules *rules)
{
	rc_log(RC_LOG_INFO, "rules_loaded", "from=%s rules=%zu version=%s", worker->rules_dir,
	       rc_rules_count(rules->rules), rc_rules_version(rules->rules));
}

static void rules_free(struct rules *rules)
{
	rc_rules_free(rules->rules);
	rc_providers_free(rules->providers);
	memset(rules, 0, sizeof(*rules));
}

static enum rc_status prove_lanes(struct worker *worker, struct rc_error *err)
{
	size_t proved = 0;

	size_t shown = 0;

	for (size_t i = worker->lanes.n; i-- > 0;) {
		struct lane *lane = &worker->lanes.lane[i];

		if (!lane->set_aside)
			shown = i;
		lane_prove(lane);
		if (lane->proved)
			proved++;
		else if (lane->set_aside)
			rc_log(RC_LOG_ERROR, "lane_set_aside", "lane=%s problem=\"%s\"", lane->name,
			       lane->problem);
		else
			rc_log(RC_LOG_WARN, "lane_not_proved", "lane=%s problem=\"%s\"", lane->name,
			       lane->problem);
	}
	if (proved > 0)
		return RC_OK;
	return rc_error_set(
	    err, RC_UNAVAILABLE,
	    "no lane can be used: %s (lane %s); name addresses that this machine has",
	    worker->lanes.lane[shown].problem, worker->lanes.lane[shown].name);
}

static void name_worker(struct worker *worker)
{
	char host[HOST_NAME_MAX + 1];
	uint8_t random[6];

	if (gethostname(host, sizeof(host)) < 0)
		snprintf(host, sizeof(host), "worker");
	host[sizeof(host) - 1] = '\0';
	rc_random_bytes(random, sizeof(random));
	snprintf(worker->id, sizeof(worker->id), "%s-%ld-%02x%02x%02x%02x%02x%02x", host,
		 (long)getpid(), random[0], random[1], random[2], random[3], random[4], random[5]);
}

/* ---- what happens */

static void end_loop(struct worker *worker)
{
	uv_stop(&worker->loop);
}

static bool on_engine_report(void *context, const Rollcall__Report *report)
{
	struct worker *worker = context;

	return kafka_loop_report(worker->kafka, report);
}

static void on_engine_room(void *context, bool room)
{
	struct worker *worker = context;

	if (worker->kafka != NULL)
		kafka_loop_hold(worker->kafka, !room || worker->stopping);
}

static void on_engine_stopped(void *context)
{
	struct worker *worker = context;

	if (worker->stopped)
		return;
	worker->stopped = true;
	end_loop(worker);
}

static const struct engine_events engine_events = { on_engine_report, on_engine_room,
						    on_engine_stopped };

static void on_kafka_shard(void *context, Rollcall__Shard *shard)
{
	struct worker *worker = context;
	bool known;
	const struct lane *lane = leases_lane(worker->leases, shard, &known);

	if (lane == NULL) {
		if (!known)
			rc_log(RC_LOG_ERROR, "shard_of_unknown_lane",
			       "shard=%llu lane=%u problem=\"no lane of ROLLCALL_LANES was granted "
			       "this number; it is left to its own worker\"",
			       (unsigned long long)shard->id, shard->lane);
		else
			rc_log(RC_LOG_DEBUG, "shard_of_another_epoch",
			       "shard=%llu lane=%u epoch=%llu", (unsigned long long)shard->id,
			       shard->lane, (unsigned long long)shard->epoch);
		rollcall__shard__free_unpacked(shard, NULL);
		return;
	}
	engine_take(worker->engine, lane, shard);
}

static void on_kafka_grant(void *context, const Rollcall__Grant *grant)
{
	struct worker *worker = context;

	leases_grant(worker->leases, grant);
}

static void on_kafka_generation(void *context)
{
	struct worker *worker = context;

	leases_void(worker->leases);
}

static void on_kafka_connected(void *context)
{
	struct worker *worker = context;

	worker->ever_connected = true;
	uv_timer_stop(&worker->broker_wait);
	if (!worker->stopping)
		leases_hello(worker->leases);
}

static const struct kafka_loop_events kafka_events = { on_kafka_shard, on_kafka_grant,
						       on_kafka_generation, on_kafka_connected };

static void on_fitness(struct lane *lane, void *owner)
{
	struct worker *worker = owner;

	if (!worker->stopping)
		leases_fitness(worker->leases, lane);
}

static void on_broker_wait(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	if (worker->ever_connected)
		return;
	worker->result = rc_error_set(
	    worker->err, RC_UNAVAILABLE,
	    "no Kafka broker answers at %s within %lld s; start it or set ROLLCALL_BROKERS",
	    worker->config->brokers, (long long)worker->config->broker_wait_ms / 1000);
	end_loop(worker);
}

static void on_stop_within(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	rc_log(RC_LOG_WARN, "stop_cut", "shards=%zu", engine_running(worker->engine));
	end_loop(worker);
}

static void on_stop_signal(uv_signal_t *signal, int number)
{
	struct worker *worker = signal->data;

	if (worker->stopping)
		return;
	worker->stopping = true;
	rc_log(RC_LOG_INFO, "stopping", "signal=%d shards=%zu", number,
	       engine_running(worker->engine));
	kafka_loop_hold(worker->kafka, true);
	uv_timer_start(&worker->stop_within, on_stop_within, STOP_WITHIN_MS, 0);
	engine_stop(worker->engine);
}

static void on_reload_signal(uv_signal_t *signal, int number)
{
	struct worker *worker = signal->data;
	struct rules *free_place = NULL;
	struct rc_error err;

	(void)number;
	for (size_t i = 0; i < RULES_KEPT; i++) {
		struct rules *rules = &worker->rules[i];

		if (rules->rules != NULL && !engine_uses(worker->engine, rules->rules))
			rules_free(rules);
		if (rules->rules == NULL && free_place == NULL)
			free_place = rules;
	}
	if (free_place == NULL) {
		rc_log(RC_LOG_WARN, "rules_kept",
		       "reason=\"older ones are still in use; try again later\"");
		return;
	}
	if (load_rules(worker, free_place, &err) != RC_OK) {
		rc_log(RC_LOG_ERROR, "rules_kept", "reason=\"%s\"", err.text);
		return;
	}
	engine_set_rules(worker->engine, free_place->rules, free_place->providers);
	say_rules(worker, free_place);
}

/* ---- start and end */

static bool starttls_parse(const char *text, enum probe_starttls *ret_starttls)
{
	static const struct {
		const char *name;
		enum probe_starttls starttls;
	} names[] = { { "required", PROBE_STARTTLS_REQUIRED },
		      { "offered", PROBE_STARTTLS_OFFERED },
		      { "always", PROBE_STARTTLS_ALWAYS },
		      { "never", PROBE_STARTTLS_NEVER } };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*ret_starttls = names[i].starttls;
			return true;
		}
	}
	return false;
}

static enum rc_status read_settings(struct worker *worker, struct rc_error *err)
{
	const struct worker_config *config = worker->config;
	enum rc_status status = rc_target_list_parse(config->allow_targets, &worker->allow, err);

	if (status != RC_OK) {
		struct rc_error why = *err;

		return rc_error_set(err, status, "ROLLCALL_ALLOW_TARGETS: %.900s", why.text);
	}
	if (!starttls_parse(config->starttls, &worker->starttls))
		return rc_error_set(
		    err, RC_INVALID,
		    "ROLLCALL_STARTTLS: `%.100s` is none of required, offered, always, never",
		    config->starttls);
	status = lanes_parse(config->lanes, config->mail_from, &worker->lanes, err);
	if (status != RC_OK)
		return status;
	status = prove_lanes(worker, err);
	if (status != RC_OK)
		return status;
	rc_data_dir_find(config->rules_dir, worker->rules_dir);
	status = load_rules(worker, &worker->rules[0], err);
	if (status == RC_OK)
		say_rules(worker, &worker->rules[0]);
	return status;
}

static struct probe_limits limits_of(const struct worker_config *config)
{
	return (struct probe_limits){
		.resolve_ms = (uint32_t)config->timeout_resolve_ms,
		.connect_ms = (uint32_t)config->timeout_connect_ms,
		.greeting_ms = (uint32_t)config->timeout_greeting_ms,
		.ehlo_ms = (uint32_t)config->timeout_ehlo_ms,
		.starttls_ms = (uint32_t)config->timeout_starttls_ms,
		.handshake_ms = (uint32_t)config->timeout_handshake_ms,
		.mail_ms = (uint32_t)config->timeout_mail_ms,
		.rcpt_ms = (uint32_t)config->timeout_rcpt_ms,
		.quit_ms = (uint32_t)config->timeout_quit_ms,
	};
}

static enum rc_status start(struct worker *worker, struct rc_error *err)
{
	const struct worker_config *config = worker->config;
	const uint32_t sessions = raise_descriptors(config->sessions);
	const struct engine_settings engine_settings = {
		.probe = {
			.rules = worker->rules[0].rules,
			.providers = worker->rules[0].providers,
			.allow = &worker->allow,
			.only_allowed = config->time_scale != 1 || !config->pace,
			.pace = config->pace,
			.time_scale = (uint32_t)config->time_scale,
			.port = (uint32_t)config->smtp_port,
			.transcript = config->transcript,
			.starttls = worker->starttls,
			.limits = limits_of(config),
		},
		.worker = worker->id,
		.sessions_max = sessions,
	};
	const struct doctor_settings doctor_settings = doctor_settings_of(config, &worker->allow);
	const struct kafka_loop_settings kafka_settings = {
		.brokers = config->brokers,
		.message_key = config->message_key,
		.kafka_options = config->kafka_options,
		.client_id = worker->id,
	};
	enum rc_status status;

	status = dns_new(&worker->loop, config->dns, &worker->dns, err);
	if (status != RC_OK)
		return status;
	status = tls_context_new(&worker->tls, err);
	if (status != RC_OK)
		return status;
	worker->network = network_new(&worker->loop, sessions);
	if (worker->network == NULL)
		return rc_error_set(err, RC_NO_MEMORY,
				    "out of memory or descriptors for %u sessions", sessions);
	status = engine_new(&worker->loop, &engine_settings, worker->network, worker->tls,
			    worker->dns, &engine_events, worker, &worker->engine, err);
	if (status != RC_OK)
		return status;
	status = kafka_loop_new(&worker->loop, &kafka_settings, &kafka_events, worker,
				&worker->kafka, err);
	if (status != RC_OK)
		return status;
	worker->leases = leases_new(&worker->loop, &worker->lanes, worker->kafka, worker->engine,
				    worker->id, ROLLCALL_VERSION);
	if (worker->leases == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for the leases");
	status = checkup_new(&worker->loop, worker->network, worker->dns, &doctor_settings,
			     &worker->lanes, config->unsafe_lanes, on_fitness, worker,
			     &worker->checkup, err);
	if (status != RC_OK)
		return status;
	uv_timer_start(&worker->broker_wait, on_broker_wait, (uint64_t)config->broker_wait_ms, 0);
	rc_log(RC_LOG_INFO, "started", "worker=%s lanes=%zu sessions=%u rules=%s", worker->id,
	       worker->lanes.n, sessions, worker->rules_dir);
	return RC_OK;
}

static void stop(struct worker *worker)
{
	uv_close((uv_handle_t *)&worker->term, NULL);
	uv_close((uv_handle_t *)&worker->interrupt, NULL);
	uv_close((uv_handle_t *)&worker->hangup, NULL);
	uv_close((uv_handle_t *)&worker->broker_wait, NULL);
	uv_close((uv_handle_t *)&worker->stop_within, NULL);
	checkup_free(worker->checkup);
	/* Sessions first: once a lane is handed back another may have it at once. */
	engine_free(worker->engine);
	if (worker->leases != NULL && worker->ever_connected) {
		leases_return(worker->leases);
		kafka_loop_flush(worker->kafka, FLUSH_WITHIN_MS);
	}
	leases_free(worker->leases);
	kafka_loop_free(worker->kafka);
	dns_free(worker->dns);
	network_free(worker->network);
	while (uv_run(&worker->loop, UV_RUN_DEFAULT) != 0)
		;
	uv_loop_close(&worker->loop);
	tls_context_free(worker->tls);
	if (worker->lanes.lane != NULL)
		lanes_done(&worker->lanes);
	for (size_t i = 0; i < RULES_KEPT; i++)
		rules_free(&worker->rules[i]);
}

static void watch_signals(struct worker *worker)
{
	uv_signal_init(&worker->loop, &worker->term);
	uv_signal_init(&worker->loop, &worker->interrupt);
	uv_signal_init(&worker->loop, &worker->hangup);
	worker->term.data = worker->interrupt.data = worker->hangup.data = worker;
	uv_timer_init(&worker->loop, &worker->broker_wait);
	uv_timer_init(&worker->loop, &worker->stop_within);
	worker->broker_wait.data = worker->stop_within.data = worker;
	signal(SIGPIPE, SIG_IGN);
}

enum rc_status worker_run(const struct worker_config *config, struct rc_error *err)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	enum rc_status status;

	if (worker == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	if (uv_loop_init(&worker->loop) < 0) {
		free(worker);
		return rc_error_set(err, RC_UNAVAILABLE,
				    "no event loop: out of memory or descriptors");
	}
	worker->config = config;
	worker->err = err;
	watch_signals(worker);
	name_worker(worker);
	status = read_settings(worker, err);
	if (status == RC_OK)
		status = start(worker, err);
	if (status == RC_OK) {
		uv_signal_start(&worker->term, on_stop_signal, SIGTERM);
		uv_signal_start(&worker->interrupt, on_stop_signal, SIGINT);
		uv_signal_start(&worker->hangup, on_reload_signal, SIGHUP);
		leases_hello(worker->leases);
		uv_run(&worker->loop, UV_RUN_DEFAULT);
		status = worker->result;
	}
	stop(worker);
	free(worker);
	return status;
}
