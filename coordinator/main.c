/*
 * rollcall-coordinator - serves the API, plans lists, sends shards, keeps results.
 *
 * `rollcall-coordinator` serves until SIGTERM or SIGINT; `migrate` brings the schema up and ends;
 * `doctor` says whether database and broker answer;
 * `key` makes an API key, prints it once and ends. What is wrong at start is one sentence and exit
 * status 1; a wrong option is 2.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/reply/data_dir.h"
#include "coordinator/broker.h"
#include "coordinator/context.h"
#include "coordinator/http/http_server.h"
#include "coordinator/leader.h"
#include "coordinator/planner.h"
#include "coordinator/regrade.h"
#include "coordinator/sink.h"
#include "coordinator/store/db.h"
#include "coordinator/store/keys.h"
#include "coordinator/store/migrate.h"

enum { EXIT_WRONG = 1, EXIT_USAGE = 2, STOP_MAX_MS = 2500 };

static const char usage[] =
    "[OPTIONS] [migrate | doctor | key --role read|submit|admin [--name NAME]]";

/* What `key` takes besides the options of the service. */
struct key_request {
	const char *role, *name, *tenant, *client;
};

static int say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int say(const char *format, ...)
{
	va_list args;

	fputs("rollcall-coordinator: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_WRONG;
}

/* ------------------------------------------------------------------------------------------------
 * rules */

static void say_rules(const struct data_set *set, const char *from)
{
	rc_log(RC_LOG_INFO, "rules_loaded", "from=%s rules=%zu version=%s", from,
	       rc_rules_count(set->rules), rc_rules_version(set->rules));
}

static enum rc_status context_load(struct context *context, const struct config *config,
				   struct rc_error *err)
{
	char rules[PATH_MAX];
	struct data_set *set;
	struct rc_error why;
	enum rc_status status;

	rc_data_dir_find(config->rules_dir, rules);
	context->config = config;
	status = data_set_load(rules, config->spam_traps, &set, err);
	if (status != RC_OK)
		return status;
	context->shelf = shelf_new(set);
	if (!context->shelf)
		return rc_error_set(err, RC_NO_MEMORY, "no memory to start with");
	say_rules(set, rules);
	if (status == RC_OK) {
		status = schedule_parse(config->retry_schedule, (uint32_t)config->time_scale,
					&context->schedule, &why);
		if (status != RC_OK)
			rc_error_set(err, status, "ROLLCALL_RETRY_SCHEDULE: %.900s", why.text);
	}
	if (status == RC_OK) {
		status = warmup_parse(config->warmup, &context->warmup, &why);
		if (status != RC_OK)
			rc_error_set(err, status, "ROLLCALL_WARMUP: %.900s", why.text);
	}
	if (status != RC_OK)
		return status;
	context->planner_bell = bell_new();
	context->leader_bell = bell_new();
	context->sink_bell = bell_new();
	context->readiness = readiness_new();
	if (!context->planner_bell || !context->leader_bell || !context->sink_bell ||
	    !context->readiness)
		return rc_error_set(err, RC_NO_MEMORY, "no memory to start with");
	return RC_OK;
}

static void context_free(struct context *context)
{
	bell_free(context->planner_bell);
	bell_free(context->leader_bell);
	bell_free(context->sink_bell);
	readiness_free(context->readiness);
	shelf_free(context->shelf);
}

/* What is wrong stays off the shelf: the running rules stay. */
static void reload(struct context *context)
{
	char dir[PATH_MAX];
	struct data_set *set;
	struct rc_error err;

	rc_data_dir_find(context->config->rules_dir, dir);
	if (data_set_load(dir, context->config->spam_traps, &set, &err) != RC_OK) {
		rc_log(RC_LOG_ERROR, "rules_kept", "reason=\"%s\"", err.text);
		return;
	}
	say_rules(set, dir);
	shelf_put(context->shelf, set);
	bell_ring(context->leader_bell);
}

/* ------------------------------------------------------------------------------------------------
 * start */

/* By rename, so that nobody reads half of it. */
static enum rc_status write_file(const char *path, const char *line, struct rc_error *err)
{
	char next[PATH_MAX];
	FILE *file;

	snprintf(next, sizeof(next), "%s.new", path);
	file = fopen(next, "we");
	if (!file || fprintf(file, "%s\n", line) < 0 || fclose(file) != 0 ||
	    rename(next, path) != 0)
		return rc_error_set(err, RC_DENIED,
				    "%s cannot be written: %s; check ROLLCALL_URL_FILE", path,
				    strerror(errno));
	return RC_OK;
}

static enum rc_status wait_for_broker(const struct config *config, struct rc_error *err)
{
	uint64_t end_ms = rc_clock_mono_ms() + (uint64_t)config->broker_wait_ms;
	struct broker broker;
	enum rc_status status;
	bool changed;

	broker_init(&broker, &config->kafka);
	for (;;) {
		uint64_t now_ms = rc_clock_mono_ms();
		int left_ms = now_ms < end_ms ? (int)(end_ms - now_ms) : 0;

		status = broker_look(&broker, now_ms, &changed, err);
		if (status == RC_OK)
			status = rc_kafka_reachable(&broker.settings,
						    left_ms < 100    ? 100
						    : left_ms > 2000 ? 2000
								     : left_ms,
						    err);
		if (status != RC_UNAVAILABLE || rc_clock_mono_ms() >= end_ms)
			break;
		usleep(100000);
	}
	if (status == RC_OK)
		return RC_OK;
	return rc_error_set(
	    err, status,
	    "%.600s; check ROLLCALL_BROKERS (--brokers, now %.200s) and that a broker runs there",
	    err->text, config->kafka.brokers);
}

static enum rc_status prepare_database(const struct context *context, struct rc_error *err)
{
	const struct config *config = context->config;
	enum rc_status status;
	struct db *db;
	int applied = 0;

	status =
	    db_open(config->database, "rollcall-coordinator", config->database_wait_ms, &db, err);
	if (status != RC_OK)
		return status;
	status = migrate_up(db, &applied, err);
	if (status == RC_OK && config->key_file)
		status = keys_first(db, config->key_file, err);
	db_close(db);
	if (status == RC_OK && applied > 0)
		rc_log(RC_LOG_INFO, "schema_migrated", "steps=%d version=%d", applied,
		       migrate_known());
	if (status == RC_OK)
		readiness_set(context->readiness, READINESS_SCHEMA, READINESS_MAIN, NULL);
	return status;
}

static void wait_for_signal(struct context *context, const sigset_t *signals)
{
	int number = 0;

	while (sigwait(signals, &number) != 0 || number == SIGHUP)
		if (number == SIGHUP)
			reload(context);
	rc_log(RC_LOG_INFO, "stopping", "signal=%s", strsignal(number));
}

/* What the API tells the threads, and asks for /readyz. */
static void on_uploaded(void *ctx)
{
	bell_ring(((struct context *)ctx)->planner_bell);
}

static void on_changed(void *ctx)
{
	bell_ring(((struct context *)ctx)->leader_bell);
}

static bool on_piece(void *ctx, int piece, const char **ret_name, char ret_lacks[HTTP_LACKS_MAX])
{
	const struct context *context = ctx;

	if (piece < 0 || piece >= READINESS_PIECES)
		return false;
	*ret_name = readiness_piece_name((enum readiness_piece)piece);
	if (readiness_piece_ok(context->readiness, (enum readiness_piece)piece, ret_lacks))
		ret_lacks[0] = '\0';
	return true;
}

static enum outcome_kind on_outcome(void *ctx, const char *provider, enum outcome_kind kind,
				    const char *diagnostic, size_t len)
{
	struct shelf *shelf = ((struct context *)ctx)->shelf;
	const struct data_set *set = shelf_take(shelf);

	kind = outcome_decide(set->rules, provider, kind, diagnostic, len);
	shelf_give_back(shelf, set);
	return kind;
}

static struct score on_score(void *ctx, const struct posteriors *measured, enum rc_reason reason,
			     const char *provider, enum score_evidence evidence)
{
	struct shelf *shelf = ((struct context *)ctx)->shelf;
	const struct data_set *set = shelf_take(shelf);
	const struct rc_provider *profile =
	    provider && *provider ? rc_providers_find(set->providers, provider) : NULL;
	const struct score_key key = { .reason = reason,
				       .provider = provider,
				       .evidence = evidence,
				       .inconsistent =
					   profile && profile->honesty == RC_INCONSISTENT };

	const struct score score = posteriors_score(measured, set->scores, &key);

	shelf_give_back(shelf, set);
	return score;
}

static const struct rc_rules *on_rules_take(void *ctx, const void **ret_held)
{
	const struct data_set *set = shelf_take(((struct context *)ctx)->shelf);

	*ret_held = set;
	return set->rules;
}

static void on_rules_give_back(void *ctx, const void *held)
{
	shelf_give_back(((struct context *)ctx)->shelf, held);
}

static enum rc_status on_regrade(void *ctx, struct db *db, int64_t job, const char *table_set,
				 bool apply, struct regrade_summary *ret, struct rc_error *err)
{
	struct context own;
	enum rc_status status;

	context_copy(&own, ctx);
	status = regrade_job(&own, db, job, table_set, apply, ret, err);
	context_done(&own);
	return status;
}

/* PostgreSQL has everything that counts: what hangs on a broker that is gone need not end in order.
 */
static void *give_up(void *exit_status)
{
	usleep(STOP_MAX_MS * 1000);
	_exit((int)(intptr_t)exit_status);
}

static void stop_within_limits(int exit_status)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, give_up, (void *)(intptr_t)exit_status) == 0)
		pthread_detach(thread);
}

static int serve(const struct config *config)
{
	struct context context = { 0 };
	struct http_server *http = NULL;
	struct planner *planner = NULL;
	struct leader *leader = NULL;
	struct sink *sink = NULL;
	struct rc_error err;
	enum rc_status status;
	sigset_t signals;

	/* Threads inherit this: signals are main's alone. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	status = context_load(&context, config, &err);
	if (status == RC_OK) {
		/* The port first: it costs nothing to ask for, and /readyz can say what the rest
		 * waits for. */
		const struct http_server_params params = { .listen = config->listen,
							   .database = config->database,
							   .rules_take = on_rules_take,
							   .rules_give_back = on_rules_give_back,
							   .ctx = &context,
							   .warmup = &context.warmup,
							   .uploaded = on_uploaded,
							   .changed = on_changed,
							   .piece = on_piece,
							   .outcome = on_outcome,
							   .score = on_score,
							   .regrade = on_regrade };

		status = prepare_database(&context, &err);
		if (status == RC_OK)
			status = http_server_start(&params, &http, &err);
	}
	if (status == RC_OK)
		status = wait_for_broker(config, &err);
	if (status == RC_OK)
		status = planner_start(&context, &planner, &err);
	if (status == RC_OK)
		status = leader_start(&context, &leader, &err);
	if (status == RC_OK)
		status = sink_start(&context, &sink, &err);
	if (status == RC_OK) {
		char url[HTTP_ADDRESS_MAX + 8];

		snprintf(url, sizeof(url), "http://%s", http_server_address(http));
		rc_log(RC_LOG_INFO, "listening", "url=%s version=" ROLLCALL_VERSION, url);
		if (config->url_file)
			status = write_file(config->url_file, url, &err);
	}
	if (status == RC_OK)
		wait_for_signal(&context, &signals);
	else
		say("%s", err.text);
	stop_within_limits(status == RC_OK ? 0 : EXIT_WRONG);
	if (context.readiness) {
		bell_stop(context.planner_bell);
		bell_stop(context.leader_bell);
		bell_stop(context.sink_bell);
	}
	http_server_stop(http);
	planner_stop(planner);
	leader_stop(leader);
	sink_stop(sink);
	context_free(&context);
	return status == RC_OK ? 0 : EXIT_WRONG;
}

/* ------------------------------------------------------------------------------------------------
 * commands */

static int migrate(const struct config *config)
{
	struct rc_error err;
	struct db *db;
	int applied = 0;

	if (db_open(config->database, "rollcall-migrate", config->database_wait_ms, &db, &err) !=
	    RC_OK)
		return say("%s", err.text);
	if (migrate_up(db, &applied, &err) != RC_OK) {
		db_close(db);
		return say("%s", err.text);
	}
	db_close(db);
	printf("schema version %d, %d step%s made now\n", migrate_known(), applied,
	       applied == 1 ? "" : "s");
	return 0;
}

/* For `rollcall doctor`: lines whose fields are parted by tabs, as `rollcall-worker doctor` has
 * them. */
static int doctor(const struct config *config)
{
	enum { ASK_MS = 5000 };
	rd_kafka_t *client = NULL;
	struct broker broker;
	struct rc_error err;
	enum rc_status database, kafka;
	struct db *db;
	int32_t partitions;
	bool changed;

	database = db_open(config->database, "rollcall-doctor", 0, &db, &err);
	if (database == RC_OK)
		db_close(db);
	printf("\tdatabase\t%s\t%s\n", database == RC_OK ? "ok" : "fail",
	       database == RC_OK ? "PostgreSQL answers" : err.text);
	broker_init(&broker, &config->kafka);
	kafka = broker_look(&broker, rc_clock_mono_ms(), &changed, &err);
	if (kafka == RC_OK)
		kafka = rc_kafka_producer_new(&broker.settings, "rollcall-doctor", NULL, NULL,
					      &client, &err);
	if (kafka == RC_OK)
		kafka = rc_kafka_partitions(client, RC_TOPIC_CONTROL, ASK_MS, &partitions, &err);
	if (client)
		rd_kafka_destroy(client);
	/* A broker that knows no topic of ours yet answers all the same. */
	if (kafka == RC_NOT_FOUND)
		kafka = RC_OK;
	printf("\tbroker\t%s\t%s\n", kafka == RC_OK ? "ok" : "fail",
	       kafka == RC_OK ? "Kafka answers" : err.text);
	return database == RC_OK && kafka == RC_OK ? 0 : EXIT_WRONG;
}

static int make_key(const struct config *config, const struct key_request *request)
{
	char key[KEY_TEXT_MAX];
	struct rc_error err;
	enum rc_status status;
	struct db *db;

	if (!request->role || key_role_find(request->role) == 0) {
		say("key needs --role read, --role submit or --role admin");
		return EXIT_USAGE;
	}
	if (db_open(config->database, "rollcall-key", config->database_wait_ms, &db, &err) != RC_OK)
		return say("%s", err.text);
	status = migrate_up(db, NULL, &err);
	if (status == RC_OK)
		status = keys_create(db, request->tenant ? request->tenant : "default",
				     request->client, key_role_find(request->role),
				     request->name ? request->name : "", 0, key, &err);
	db_close(db);
	if (status != RC_OK)
		return say("%s", err.text);
	puts(key);
	return 0;
}

/* Takes --role, --name, --tenant and --client out of argv: they are the command's, not the
 * service's. */
static int take_key_flags(int argc, char **argv, struct key_request *request)
{
	const struct {
		const char *flag;
		const char **value;
	} flags[] = { { "--role", &request->role },
		      { "--name", &request->name },
		      { "--tenant", &request->tenant },
		      { "--client", &request->client } };
	int kept = 1;
	bool is_key = false;

	for (int i = 1; i < argc; i++)
		is_key = is_key || strcmp(argv[i], "key") == 0;
	if (!is_key)
		return argc;
	for (int i = 1; i < argc; i++) {
		bool taken = false;

		for (size_t k = 0; k < sizeof(flags) / sizeof(*flags) && !taken; k++) {
			size_t len = strlen(flags[k].flag);

			if (strncmp(argv[i], flags[k].flag, len) != 0 ||
			    (argv[i][len] != '\0' && argv[i][len] != '='))
				continue;
			*flags[k].value = argv[i][len] == '=' ? argv[i] + len + 1
					  : i + 1 < argc      ? argv[++i]
							      : "";
			taken = true;
		}
		if (!taken)
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	return kept;
}

int main(int argc, char **argv)
{
	struct config config = { 0 };
	struct key_request key = { 0 };
	struct rc_options *options = NULL;
	struct rc_error err;
	enum rc_log_level level;
	enum rc_status status;
	int rest, exit_status;

	argc = take_key_flags(argc, argv, &key);
	status = rc_options_parse(config_table, "rollcall-coordinator", usage, argc, argv, &config,
				  &options, &rest, &err);
	if (status == RC_CONFLICT) {
		rc_options_free(options);
		return 0;
	}
	if (status != RC_OK) {
		say("%s", err.text);
		return EXIT_USAGE;
	}
	if (rc_log_level_parse(config.log_level, &level) != 0) {
		say("--log-level is %s: it takes debug, info, warn or error (ROLLCALL_LOG_LEVEL)",
		    config.log_level);
		rc_options_free(options);
		return EXIT_USAGE;
	}
	rc_log_init("rollcall-coordinator", level, config.log_addresses);
	if (rest == argc) {
		exit_status = serve(&config);
	} else if (rest + 1 == argc && strcmp(argv[rest], "migrate") == 0) {
		exit_status = migrate(&config);
	} else if (rest + 1 == argc && strcmp(argv[rest], "doctor") == 0) {
		exit_status = doctor(&config);
	} else if (rest + 1 == argc && strcmp(argv[rest], "key") == 0) {
		exit_status = make_key(&config, &key);
	} else {
		say("there is no command %s; usage: %s", argv[rest], usage);
		exit_status = EXIT_USAGE;
	}
	rc_options_free(options);
	return exit_status;
}
