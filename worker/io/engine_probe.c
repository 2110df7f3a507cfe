/* See engine_parts.h: shards of recipients. The probe (worker/core) says what to do; this does it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "worker/io/connection.h"
#include "worker/io/engine_parts.h"

struct probe_run {
	struct run run;
	struct probe *probe;
	struct probe_identity identity; /* the probe refers to it */
	struct connection connection;
	struct dns_ask ask;
	struct lookup *lookup;
	bool stepping;
	bool in_line; /* of the pacer */
	bool slot;    /* given by it */
};

static void probe_step(struct probe_run *run);

static void slot_release(struct probe_run *run)
{
	struct engine *engine = run->run.engine;
	const uint32_t lane = run->run.lane->number;
	const char *group = probe_mx_group(run->probe);
	uint32_t used = 0;

	if (run->in_line) {
		pacer_forget(engine->pacer, lane, group, run);
		run->in_line = false;
		engine->pacer_moved = true;
	}
	if (!run->slot)
		return;
	run->slot = false;
	const enum pacer_outcome outcome = probe_session_outcome(run->probe, &used);

	pacer_release(engine->pacer, lane, group, used, outcome, now_ms(engine));
	probe_set_throttled(run->probe, pacer_open_ms(engine->pacer, lane, group, now_ms(engine)));
	engine->pacer_moved = true;
}

static void probe_end(struct probe_run *run)
{
	struct engine *engine = run->run.engine;

	connection_close(engine->network, &run->connection);
	slot_release(run);
	dns_cancel(&run->ask);
	lookup_free(run->lookup);
	run->lookup = NULL;
	rc_log(RC_LOG_DEBUG, "shard_done", "shard=%" PRIu64 " lane=%s", run->run.id,
	       run->run.lane->name);
	run_end(&run->run);
}

static void give_mx(struct probe_run *run)
{
	struct rc_arena *arena = rc_arena_new(64 * 1024);
	Rollcall__Resolution *result =
	    arena != NULL
		? resolution_result(lookup_resolution(run->lookup), arena, rc_clock_wall_ms())
		: NULL;
	Rollcall__Resolution none = ROLLCALL__RESOLUTION__INIT;

	if (result == NULL) {
		none.state = ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED;
		none.detail = "out of memory";
		result = &none;
	}
	probe_on_mx(run->probe, result, now_ms(run->run.engine));
	rc_arena_free(arena);
	lookup_free(run->lookup);
	run->lookup = NULL;
}

static void on_mx_known(struct lookup *lookup, void *owner)
{
	struct probe_run *run = owner;

	(void)lookup;
	give_mx(run);
	probe_step(run);
}

static void give_addresses(struct probe_run *run, const struct dns_answer *answer)
{
	const bool failed = answer->state != DNS_FOUND && answer->state != DNS_NO_DATA &&
			    answer->state != DNS_NO_NAME;

	probe_on_addresses(run->probe, answer->ip, answer->ip_n, failed, now_ms(run->run.engine));
}

static void on_addresses_known(struct dns_ask *ask, const struct dns_answer *answer)
{
	struct probe_run *run = (struct probe_run *)((char *)ask - offsetof(struct probe_run, ask));

	give_addresses(run, answer);
	probe_step(run);
}

static void do_resolve(struct probe_run *run, const char *host)
{
	static const struct dns_answer broken = { .state = DNS_BROKEN };
	static const struct dns_answer no_name = { .state = DNS_NO_NAME };
	struct engine *engine = run->run.engine;
	const struct dns_answer *now = &broken;

	if (host != NULL && host[0] != '\0') {
		const enum dns_type type = run->run.lane->family == 6 ? DNS_AAAA : DNS_A;

		if (!dns_name_valid(host)) {
			give_addresses(run, &no_name);
			return;
		}
		run->ask.answered = on_addresses_known;
		if (dns_ask(engine->dns, &run->ask, host, type, false, &now) != DNS_LATER)
			give_addresses(run, now);
		return;
	}
	Rollcall__Resolution none = ROLLCALL__RESOLUTION__INIT;

	lookup_free(run->lookup);
	run->lookup = lookup_new(engine->dns, probe_domain(run->probe), false, target_allowed,
				 &run->run.rules->config);
	if (run->lookup == NULL) {
		none.state = ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED;
		none.detail = "out of memory";
		probe_on_mx(run->probe, &none, now_ms(engine));
	} else if (lookup_start(run->lookup, on_mx_known, run)) {
		give_mx(run);
	}
}

static void do_slot(struct probe_run *run, uint32_t recipients)
{
	struct engine *engine = run->run.engine;
	const Rollcall__Budget *budget = probe_budget(run->probe);
	struct pacer_limits limits = { 0 };
	bool memory_ok = true;

	if (budget != NULL) {
		limits.connections = budget->connections;
		limits.recipients_per_minute = budget->recipients_per_minute;
		limits.connections_per_minute = budget->connections_per_minute;
		limits.connections_per_second = budget->connections_per_second;
	}
	run->in_line = true;
	if (pacer_ask(engine->pacer, run->run.lane->number, probe_mx_group(run->probe), &limits,
		      recipients, run, now_ms(engine), &memory_ok)) {
		run->in_line = false;
		run->slot = true;
		probe_on_slot(run->probe, now_ms(engine));
	} else if (!memory_ok) {
		run->in_line = false;
		probe_stop(run->probe, now_ms(engine));
	} else {
		engine->pacer_moved = true;
	}
}

static void do_connect(struct probe_run *run, const struct probe_ip *ip)
{
	struct engine *engine = run->run.engine;
	const struct lane *lane = run->run.lane;

	if (rc_clock_boot_ms() >= lane->lease_ends_ms) {
		probe_cut(run->probe, now_ms(engine));
		return;
	}
	const Rollcall__Failure failure = connection_open(
	    engine->network, &run->connection, (const struct sockaddr *)&lane->source,
	    lane->source_len, ip, (uint16_t)run->run.rules->config.port);

	if (failure != ROLLCALL__FAILURE__FAILURE_NONE) {
		probe_on_closed(run->probe, failure, now_ms(engine));
		slot_release(run);
	}
}

static void break_off(struct probe_run *run, Rollcall__Failure failure)
{
	struct engine *engine = run->run.engine;

	connection_close(engine->network, &run->connection);
	probe_on_closed(run->probe, failure, now_ms(engine));
	slot_release(run);
}

static void do_send(struct probe_run *run, const char *data, size_t len)
{
	if (!connection_send(run->run.engine->network, &run->connection, data, len))
		break_off(run, ROLLCALL__FAILURE__FAILURE_CLOSED);
}

static void do_secure(struct probe_run *run, const char *host)
{
	struct engine *engine = run->run.engine;
	const char *early;
	const size_t len = connection_drain(engine->network, &run->connection, &early);

	/* It counts them, and throws them away. */
	if (len > 0)
		probe_on_data(run->probe, early, len, now_ms(engine));
	if (!connection_secure(engine->network, &run->connection, engine->tls, host))
		break_off(run, ROLLCALL__FAILURE__FAILURE_TLS);
}

/* Carries out what the probe wants until it waits. Events that come while it does are fed by
 * whoever is on the stack. */
static void probe_step(struct probe_run *run)
{
	struct engine *engine = run->run.engine;
	struct probe_todo todo;

	if (run->stepping || run->run.dead)
		return;
	run->stepping = true;
	for (;;) {
		memset(&todo, 0, sizeof(todo));
		switch (probe_next(run->probe, now_ms(engine), &todo)) {
		case PROBE_RESOLVE:
			do_resolve(run, todo.host);
			continue;
		case PROBE_SLOT:
			do_slot(run, todo.recipients);
			continue;
		case PROBE_CONNECT:
			do_connect(run, &todo.ip);
			continue;
		case PROBE_SEND:
			do_send(run, todo.data, todo.len);
			continue;
		case PROBE_TLS:
			do_secure(run, todo.host);
			continue;
		case PROBE_CLOSE:
			connection_close(engine->network, &run->connection);
			slot_release(run);
			continue;
		case PROBE_REPORT:
			if (!engine->events->report(engine->context, todo.report))
				rc_log(RC_LOG_WARN, "report_lost", "shard=%" PRIu64, run->run.id);
			continue;
		case PROBE_DONE:
			probe_end(run);
			break;
		case PROBE_WAIT:
			if (!timer_set(engine->timers, &run->run.timer,
				       probe_deadline(run->probe))) {
				probe_cut(run->probe, now_ms(engine));
				continue;
			}
			break;
		}
		break;
	}
	run->stepping = false;
}

static struct probe_run *of_connection(struct connection *connection)
{
	return (struct probe_run *)((char *)connection - offsetof(struct probe_run, connection));
}

static void on_connected(struct connection *connection)
{
	struct probe_run *run = of_connection(connection);

	probe_on_connected(run->probe, now_ms(run->run.engine));
	probe_step(run);
}

static void on_secured(struct connection *connection, const struct probe_tls *info)
{
	struct probe_run *run = of_connection(connection);

	probe_on_tls(run->probe, info, now_ms(run->run.engine));
	probe_step(run);
}

static void on_data(struct connection *connection, const char *data, size_t len)
{
	struct probe_run *run = of_connection(connection);

	probe_on_data(run->probe, data, len, now_ms(run->run.engine));
	probe_step(run);
}

static void on_closed(struct connection *connection, Rollcall__Failure failure)
{
	struct probe_run *run = of_connection(connection);

	probe_on_closed(run->probe, failure, now_ms(run->run.engine));
	slot_release(run);
	probe_step(run);
}

static const struct connection_events connection_events = { on_connected, on_secured, on_data,
							    on_closed };

static void on_probe_timer(struct timer *timer)
{
	struct probe_run *run =
	    (struct probe_run *)((char *)timer - offsetof(struct probe_run, run.timer));

	probe_on_time(run->probe, now_ms(run->run.engine));
	probe_step(run);
}

void probe_take(struct engine *engine, const struct lane *lane, Rollcall__Shard *shard)
{
	struct probe_run *run = calloc(1, sizeof(*run));
	uint64_t seed;

	if (run == NULL) {
		rc_log(RC_LOG_WARN, "shard_dropped", "shard=%" PRIu64 " reason=memory", shard->id);
		rollcall__shard__free_unpacked(shard, NULL);
		return;
	}
	run->identity = (struct probe_identity){
		.lane_name = lane->name,
		.worker = engine->worker,
		.source_ip = lane->bind_address,
		.family = lane->family,
		.helo = lane->helo,
		.mail_from = lane->mail_from,
	};
	rc_random_bytes(&seed, sizeof(seed));
	run_add(engine, &run->run, RUN_PROBE, lane, shard);
	run->run.timer.fired = on_probe_timer;
	connection_init(&run->connection, &connection_events);
	run->connection.until_ms = &lane->lease_ends_ms;
	run->probe = probe_new(&run->run.rules->config, &run->identity, shard, seed, now_ms(engine),
			       rc_clock_wall_ms());
	if (run->probe == NULL) {
		rc_log(RC_LOG_WARN, "shard_refused", "shard=%" PRIu64 " job=%" PRIu64 " lane=%s",
		       shard->id, shard->job, lane->name);
		run_end(&run->run);
		rollcall__shard__free_unpacked(shard, NULL);
		return;
	}
	probe_step(run);
}

void probe_granted(void *waiting)
{
	struct probe_run *run = waiting;

	run->in_line = false;
	run->slot = true;
	probe_on_slot(run->probe, now_ms(run->run.engine));
	probe_step(run);
}

void probe_run_cut(struct run *run)
{
	struct probe_run *probe_run = (struct probe_run *)run;

	probe_cut(probe_run->probe, now_ms(run->engine));
	probe_step(probe_run);
	if (!run->dead)
		probe_end(probe_run);
}

void probe_run_stop(struct run *run)
{
	struct probe_run *probe_run = (struct probe_run *)run;

	probe_stop(probe_run->probe, now_ms(run->engine));
	probe_step(probe_run);
}

void probe_run_free(struct run *run)
{
	probe_free(((struct probe_run *)run)->probe);
	free(run);
}
