/*
 * The engine over real sockets, while everything around it fails: the server at every step, the
 * machine's descriptors, ports and addresses, memory. What is asserted is what the product exists
 * for: each recipient is answered at most once and with what the server really said, and the shard
 * ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <uv.h>

#include "common/address/target.h"
#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "worker/io/connection.h"
#include "worker/io/dns.h"
#include "worker/io/engine.h"
#include "worker/io/tls.h"

/* ---- what the linker hands over: allocations and system calls of the code under test */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_rc_arena_alloc(struct rc_arena *arena, size_t size);
int __real_socket(int domain, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __real_connect(int fd, const struct sockaddr *address, socklen_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_rc_arena_alloc(struct rc_arena *arena, size_t size);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);

static long allocations_left = -1; /* the one after so many fails; -1: none does */
static bool allocation_failed;

static bool fails_now(void)
{
	if (allocations_left < 0 || allocations_left-- > 0)
		return false;
	allocation_failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

void *__wrap_rc_arena_alloc(struct rc_arena *arena, size_t size)
{
	return fails_now() ? NULL : __real_rc_arena_alloc(arena, size);
}

static int socket_errno, bind_errno, connect_errno; /* 0: it works */

int __wrap_socket(int domain, int type, int protocol)
{
	errno = socket_errno;
	return socket_errno != 0 ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	errno = bind_errno;
	return bind_errno != 0 ? -1 : __real_bind(fd, address, len);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	errno = connect_errno;
	return connect_errno != 0 ? -1 : __real_connect(fd, address, len);
}

/* ---- a server: "known" exists, nobody else does */

enum fault {
	WELL = 1,
	RESETS,	      /* instead of the reply of the step */
	SHUTS,	      /* its own half, and goes on reading */
	HALF_A_REPLY, /* and then hangs up */
	TRICKLES,     /* an octet of the reply at each tick, without end */
	FAULTS
};

/* The steps of a conversation at which a server can fail. */
enum step { GREETING = 1, EHLO, MAIL, RCPT, QUIT, STEPS };

enum { RECIPIENTS = 4, PEERS_MAX = 600, SHARDS_MAX = 600, TICK_MS = 5, LIMIT_MS = 1500 };

struct peer {
	uv_poll_t poll;
	struct world *world;
	int fd; /* -1: none */
	enum fault fault;
	char line[1024];
	size_t len;
	bool trickling;
	size_t trickled;
};

struct shard_seen {
	bool ended;
	unsigned answers[RECIPIENTS];
	unsigned said[RECIPIENTS]; /* codes; 0: no reply */
	Rollcall__Failure failure[RECIPIENTS];
};

struct world {
	uv_loop_t loop;
	uv_timer_t deadline, tick;
	uv_poll_t accepting;
	int listener;
	int resolver; /* never answers */
	struct network *network;
	struct tls_context *tls;
	struct dns *dns;
	struct engine *engine;
	struct lane lane;
	struct rc_target_list allow;
	struct rc_rules *rules;
	struct rc_providers *providers;
	enum fault fault; /* of those who connect now */
	enum step at;
	size_t peer_n, ended;
	struct peer peers[PEERS_MAX];
	struct shard_seen seen[SHARDS_MAX];
};

static void hang_up(struct peer *peer, bool reset)
{
	const struct linger linger = { 1, 0 };

	uv_poll_stop(&peer->poll);
	uv_close((uv_handle_t *)&peer->poll, NULL);
	if (reset)
		setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(peer->fd);
	peer->fd = -1;
}

/* False: the peer is gone, or has nothing more to say. */
static bool say(struct peer *peer, enum step step, const char *reply)
{
	if (peer->trickling)
		return false;
	if (peer->fault != WELL && peer->world->at == step) {
		switch (peer->fault) {
		case RESETS:
			hang_up(peer, true);
			return false;
		case SHUTS:
			shutdown(peer->fd, SHUT_WR);
			peer->trickling = true; /* says no more */
			return false;
		case HALF_A_REPLY:
			send(peer->fd, reply, strlen(reply) / 2, MSG_NOSIGNAL);
			hang_up(peer, false);
			return false;
		default:
			peer->trickling = true;
			return false;
		}
	}
	send(peer->fd, reply, strlen(reply), MSG_NOSIGNAL);
	return true;
}

static bool obey(struct peer *peer, const char *line)
{
	if (strncmp(line, "EHLO", 4) == 0)
		return say(peer, EHLO, "250-mx.test\r\n250 PIPELINING\r\n");
	if (strncmp(line, "MAIL", 4) == 0)
		return say(peer, MAIL, "250 2.1.0 ok\r\n");
	if (strncmp(line, "RCPT", 4) == 0)
		return say(peer, RCPT,
			   strstr(line, "<known") != NULL ? "250 2.1.5 ok\r\n"
							  : "550 5.1.1 user unknown\r\n");
	if (strncmp(line, "RSET", 4) == 0)
		return say(peer, MAIL, "250 ok\r\n");
	if (strncmp(line, "QUIT", 4) == 0) {
		if (say(peer, QUIT, "221 bye\r\n"))
			hang_up(peer, false);
		return false;
	}
	fail_msg("a server was told: %s", line);
	return false;
}

static void on_peer(uv_poll_t *poll, int status, int events)
{
	struct peer *peer = poll->data;
	char *end;

	(void)status;
	(void)events;
	const ssize_t n = recv(peer->fd, peer->line + peer->len, sizeof(peer->line) - peer->len - 1,
			       MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		hang_up(peer, false);
		return;
	}
	peer->len += (size_t)n;
	peer->line[peer->len] = '\0';
	while ((end = strstr(peer->line, "\r\n")) != NULL) {
		*end = '\0';
		if (!obey(peer, peer->line))
			return;
		peer->len -= (size_t)(end + 2 - peer->line);
		memmove(peer->line, end + 2, peer->len + 1);
	}
}

static void on_accept(uv_poll_t *poll, int status, int events)
{
	struct world *world = poll->data;
	int fd;

	(void)status;
	(void)events;
	while ((fd = accept(world->listener, NULL, NULL)) >= 0) {
		struct peer *peer = &world->peers[world->peer_n++];

		assert_true(world->peer_n < PEERS_MAX);
		*peer = (struct peer){ .world = world, .fd = fd, .fault = world->fault };
		uv_poll_init(&world->loop, &peer->poll, fd);
		peer->poll.data = peer;
		uv_poll_start(&peer->poll, UV_READABLE, on_peer);
		say(peer, GREETING, "220 mx.test ESMTP\r\n");
	}
}

static void on_tick(uv_timer_t *tick)
{
	struct world *world = tick->data;

	for (size_t i = 0; i < world->peer_n; i++) {
		struct peer *peer = &world->peers[i];

		if (peer->fd >= 0 && peer->fault == TRICKLES && peer->trickling)
			send(peer->fd, peer->trickled < 4 ? &"250-"[peer->trickled] : "x", 1,
			     MSG_NOSIGNAL);
		if (peer->fd >= 0 && peer->trickling)
			peer->trickled++;
	}
}

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("a shard did not end within the time: %zu have",
		 ((struct world *)timer->data)->ended);
}

/* ---- the engine's owner */

static bool on_report(void *context, const Rollcall__Report *report)
{
	struct world *world = context;
	struct shard_seen *seen = &world->seen[report->shard];

	assert_true(report->shard < SHARDS_MAX);
	for (size_t i = 0; i < report->n_answers; i++) {
		const Rollcall__Answer *answer = report->answers[i];

		assert_true(answer->uid < RECIPIENTS);
		seen->answers[answer->uid]++;
		seen->said[answer->uid] = answer->reply != NULL ? answer->reply->code : 0;
		seen->failure[answer->uid] = answer->failure;
	}
	if (report->final) {
		assert_false(seen->ended);
		seen->ended = true;
		world->ended++;
	}
	return true;
}

static void on_room(void *context, bool room)
{
	(void)context;
	(void)room;
}

static void on_stopped(void *context)
{
	(void)context;
}

static const struct engine_events engine_events = { on_report, on_room, on_stopped };

static int world_start(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in *source = (struct sockaddr_in *)&world->lane.source;
	socklen_t len = sizeof(address);
	struct rc_error err;
	char resolver[32];

	/* What fails here is what is to fail. */
	rc_log_init("fault_test", RC_LOG_ERROR, false);
	allocations_left = -1;
	socket_errno = bind_errno = connect_errno = 0;
	uv_loop_init(&world->loop);
	uv_timer_init(&world->loop, &world->deadline);
	uv_timer_init(&world->loop, &world->tick);
	world->tick.data = world->deadline.data = world;
	uv_timer_start(&world->deadline, on_deadline, 50000, 0);
	uv_timer_start(&world->tick, on_tick, TICK_MS, TICK_MS);
	world->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(world->listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(world->listener, PEERS_MAX), 0);
	getsockname(world->listener, (struct sockaddr *)&address, &len);
	uv_poll_init(&world->loop, &world->accepting, world->listener);
	world->accepting.data = world;
	uv_poll_start(&world->accepting, UV_READABLE, on_accept);
	world->fault = WELL;

	assert_int_equal(rc_target_list_parse("127.0.0.0/8", &world->allow, &err), RC_OK);
	assert_int_equal(rc_rules_load(SOURCE_DIR "/data", &world->rules, &err), RC_OK);
	assert_int_equal(rc_providers_load(SOURCE_DIR "/data", &world->providers, &err), RC_OK);
	snprintf(world->lane.name, sizeof(world->lane.name), "lane");
	snprintf(world->lane.bind_address, sizeof(world->lane.bind_address), "127.0.0.42");
	snprintf(world->lane.helo, sizeof(world->lane.helo), "probe.test");
	snprintf(world->lane.mail_from, sizeof(world->lane.mail_from), "verify@probe.test");
	world->lane.family = 4;
	world->lane.epoch = 1;
	world->lane.lease_ends_ms = UINT64_MAX;
	source->sin_family = AF_INET;
	inet_pton(AF_INET, "127.0.0.42", &source->sin_addr);
	world->lane.source_len = sizeof(*source);

	const struct engine_settings settings = {
		.probe = { .rules = world->rules,
			   .providers = world->providers,
			   .allow = &world->allow,
			   .time_scale = 1000,
			   .port = ntohs(address.sin_port),
			   .limits = { .connect_ms = 5000,
				       .greeting_ms = LIMIT_MS,
				       .ehlo_ms = LIMIT_MS,
				       .mail_ms = LIMIT_MS,
				       .rcpt_ms = LIMIT_MS,
				       .quit_ms = 100 } },
		.worker = "test",
		.sessions_max = 1000,
	};

	world->network = network_new(&world->loop, 1000);
	assert_int_equal(tls_context_new(&world->tls, &err), RC_OK);
	world->resolver = socket(AF_INET, SOCK_DGRAM, 0);
	address.sin_port = 0;
	assert_int_equal(bind(world->resolver, (struct sockaddr *)&address, len), 0);
	getsockname(world->resolver, (struct sockaddr *)&address, &len);
	snprintf(resolver, sizeof(resolver), "127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(dns_new(&world->loop, resolver, &world->dns, &err), RC_OK);
	assert_int_equal(engine_new(&world->loop, &settings, world->network, world->tls, world->dns,
				    &engine_events, world, &world->engine, &err),
			 RC_OK);
	*state = world;
	return 0;
}

static int world_stop(void **state)
{
	struct world *world = *state;

	engine_free(world->engine);
	assert_int_equal(network_open(world->network), 0);
	dns_free(world->dns);
	network_free(world->network);
	for (size_t i = 0; i < world->peer_n; i++) {
		if (world->peers[i].fd >= 0)
			hang_up(&world->peers[i], false);
	}
	uv_close((uv_handle_t *)&world->accepting, NULL);
	uv_close((uv_handle_t *)&world->deadline, NULL);
	uv_close((uv_handle_t *)&world->tick, NULL);
	while (uv_run(&world->loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&world->loop), 0);
	close(world->listener);
	close(world->resolver);
	tls_context_free(world->tls);
	rc_rules_free(world->rules);
	rc_providers_free(world->providers);
	free(world);
	return 0;
}

/* Every other recipient exists. */
static unsigned truth_of(unsigned uid)
{
	return uid % 2 == 0 ? 250 : 550;
}

static Rollcall__Shard *shard_new(uint64_t id)
{
	Rollcall__Shard shard = ROLLCALL__SHARD__INIT;
	Rollcall__MxHost mx = ROLLCALL__MX_HOST__INIT;
	Rollcall__MxHost *mx_list[] = { &mx };
	Rollcall__Recipient recipients[RECIPIENTS], *recipient_list[RECIPIENTS];
	char locals[RECIPIENTS][16], domain[32], *addresses[] = { (char[]){ "127.0.0.1" } };
	uint8_t packed[2048];

	for (unsigned i = 0; i < RECIPIENTS; i++) {
		rollcall__recipient__init(&recipients[i]);
		snprintf(locals[i], sizeof(locals[i]), "%s%u",
			 truth_of(i) == 250 ? "known" : "none", i);
		recipients[i].uid = i;
		recipients[i].attempt = 1;
		recipients[i].local.data = (uint8_t *)locals[i];
		recipients[i].local.len = strlen(locals[i]);
		recipient_list[i] = &recipients[i];
	}
	snprintf(domain, sizeof(domain), "d%u.test", (unsigned)id);
	mx.preference = 10;
	mx.host = (char[]){ "mx.test" };
	mx.addresses = addresses;
	mx.n_addresses = 1;
	shard.id = id;
	shard.attempt = 1;
	shard.epoch = 1;
	shard.kind = ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE;
	shard.job = 1;
	shard.domain = domain;
	shard.recipients = recipient_list;
	shard.n_recipients = RECIPIENTS;
	shard.mx = mx_list;
	shard.n_mx = 1;
	shard.mx_group = domain;
	shard.control = ROLLCALL__CONTROL_NEED__CONTROL_NEED_NONE;
	assert_true(rollcall__shard__get_packed_size(&shard) <= sizeof(packed));
	return rollcall__shard__unpack(NULL, rollcall__shard__pack(&shard, packed), packed);
}

static void give(struct world *world, uint64_t id)
{
	engine_take(world->engine, &world->lane, shard_new(id));
}

static void wait_ended(struct world *world, size_t n)
{
	while (world->ended < n)
		uv_run(&world->loop, UV_RUN_ONCE);
}

/* Each answered once, and nobody with a word that was not said of him. */
static void check_true(const struct shard_seen *seen, const char *what)
{
	for (unsigned i = 0; i < RECIPIENTS; i++) {
		if (seen->answers[i] != 1 || (seen->said[i] != 0 && seen->said[i] != truth_of(i)))
			fail_msg("%s: recipient %u has %u answers, the last %u", what, i,
				 seen->answers[i], seen->said[i]);
	}
}

static bool all_known(const struct shard_seen *seen)
{
	for (unsigned i = 0; i < RECIPIENTS; i++)
		if (seen->said[i] != truth_of(i))
			return false;
	return true;
}

static void check_all_known(const struct shard_seen *seen, const char *what)
{
	check_true(seen, what);
	if (!all_known(seen))
		fail_msg("%s: not every recipient was told apart", what);
}

/* ---- the server fails */

static void every_fault_at_every_step(void **state)
{
	struct world *world = *state;
	uint64_t id = 0;

	for (enum fault fault = WELL; fault < FAULTS; fault++) {
		for (enum step step = GREETING; step < STEPS; step++) {
			char what[64];
			const struct shard_seen *seen = &world->seen[++id];

			snprintf(what, sizeof(what), "fault %d at step %d", (int)fault, (int)step);
			world->fault = fault;
			world->at = step;
			give(world, id);
			wait_ended(world, id);
			/* Whoever fails after the last answer has given all of them. */
			if (fault == WELL || step == QUIT) {
				check_all_known(seen, what);
				continue;
			}
			check_true(seen, what);
			for (unsigned i = 0; i < RECIPIENTS; i++) {
				if (seen->said[i] == 0 &&
				    seen->failure[i] != ROLLCALL__FAILURE__FAILURE_CLOSED &&
				    seen->failure[i] != ROLLCALL__FAILURE__FAILURE_TIMEOUT)
					fail_msg("%s: recipient %u failed by %d", what, i,
						 (int)seen->failure[i]);
			}
		}
	}
}

/* A greeting that is late, within the limit and beyond it, is every_fault_at_every_step()'s
 * TRICKLES and WELL; here many are slow. */
static void slow_servers_hold_nobody_up(void **state)
{
	enum { SLOW = 300, QUICK = 200 };
	struct world *world = *state;

	world->fault = TRICKLES;
	world->at = GREETING;
	for (uint64_t id = 1; id <= SLOW; id++)
		give(world, id);
	while (world->peer_n < SLOW)
		uv_run(&world->loop, UV_RUN_ONCE);
	world->fault = WELL;
	for (uint64_t id = SLOW + 1; id <= SLOW + QUICK; id++)
		give(world, id);
	for (uint64_t id = SLOW + 1; id <= SLOW + QUICK; id++) {
		while (!world->seen[id].ended)
			uv_run(&world->loop, UV_RUN_ONCE);
		check_all_known(&world->seen[id], "beside slow servers");
	}
	wait_ended(world, SLOW + QUICK);
	for (uint64_t id = 1; id <= SLOW; id++) {
		check_true(&world->seen[id], "a slow server");
		assert_int_equal(world->seen[id].failure[0], ROLLCALL__FAILURE__FAILURE_TIMEOUT);
	}
}

/* ---- the machine fails */

static void no_descriptor_port_or_address(void **state)
{
	static const struct {
		int *call;
		int error;
		const char *what;
	} cases[] = { { &socket_errno, EMFILE, "out of descriptors" },
		      { &socket_errno, ENFILE, "the machine is out of descriptors" },
		      { &socket_errno, ENOBUFS, "out of buffers" },
		      { &connect_errno, EADDRNOTAVAIL, "out of ephemeral ports" },
		      { &connect_errno, ENETUNREACH, "no route" },
		      { &bind_errno, EADDRNOTAVAIL, "the lane's address has gone" },
		      { &bind_errno, EADDRINUSE, "the lane's ports are in use" } };
	struct world *world = *state;
	uint64_t id = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct shard_seen *seen = &world->seen[++id];

		*cases[i].call = cases[i].error;
		give(world, id);
		wait_ended(world, id);
		*cases[i].call = 0;
		check_true(seen, cases[i].what);
		for (unsigned j = 0; j < RECIPIENTS; j++)
			assert_int_equal(seen->said[j], 0);
		if (cases[i].error != ENETUNREACH &&
		    seen->failure[0] != ROLLCALL__FAILURE__FAILURE_LOCAL)
			fail_msg("%s: told as failure %d, not as ours", cases[i].what,
				 (int)seen->failure[0]);
		assert_int_equal(world->peer_n, i);
		/* And when it has passed, all is well. */
		give(world, ++id);
		wait_ended(world, id);
		check_all_known(&world->seen[id], cases[i].what);
	}
}

/* The same by the kernel's own hand. */
static void the_kernel_has_no_descriptor(void **state)
{
	struct world *world = *state;
	struct rlimit limit, none;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	const int next = dup(0);

	close(next);
	none.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &none);
	give(world, 1);
	wait_ended(world, 1);
	setrlimit(RLIMIT_NOFILE, &limit);
	check_true(&world->seen[1], "out of descriptors");
	assert_int_equal(world->seen[1].failure[0], ROLLCALL__FAILURE__FAILURE_LOCAL);
	/* The server has been without as well, and may need a moment longer. */
	for (uint64_t id = 2; id < 12; id++) {
		give(world, id);
		wait_ended(world, id);
		check_true(&world->seen[id], "descriptors again");
		if (all_known(&world->seen[id]))
			return;
	}
	fail_msg("descriptors again: nobody was told apart");
}

/* ---- memory fails, once, at every point of a session there is */

static void memory_fails_at_every_point(void **state)
{
	struct world *world = *state;
	uint64_t id = 0;
	unsigned ended = 0, dropped = 0;

	for (long point = 0;; point++) {
		Rollcall__Shard *shard = shard_new(++id);
		char what[48];

		assert_true(id < SHARDS_MAX);
		snprintf(what, sizeof(what), "allocation %ld failed", point);
		allocation_failed = false;
		allocations_left = point;
		engine_take(world->engine, &world->lane, shard);
		while (engine_running(world->engine) > 0)
			uv_run(&world->loop, UV_RUN_ONCE);
		allocations_left = -1;
		if (!world->seen[id].ended) {
			dropped++;
			for (unsigned i = 0; i < RECIPIENTS; i++)
				assert_true(world->seen[id].answers[i] <= 1);
		} else {
			ended++;
			check_true(&world->seen[id], what);
		}
		if (!allocation_failed) {
			check_all_known(&world->seen[id], "nothing failed");
			break;
		}
	}
	print_message(
	    "%u points: %u shards ended with what they had, %u were dropped and would come again\n",
	    (unsigned)id - 1, ended - 1, dropped);
	assert_true(ended > 1);
}

/* Whoever reads the rules anew asks engine_uses() before he frees the old ones. */
static void new_rules_wait_for_old_work(void **state)
{
	struct world *world = *state;
	Rollcall__Shard shard = ROLLCALL__SHARD__INIT;
	char *domains[] = { (char[]){ "one.test" }, (char[]){ "two.test" } };
	struct rc_rules *rules;
	uint8_t packed[512];
	struct rc_error err;

	shard.id = 1;
	shard.attempt = 1;
	shard.epoch = 1;
	shard.kind = ROLLCALL__SHARD_KIND__SHARD_KIND_RESOLVE;
	shard.domains = domains;
	shard.n_domains = 2;
	assert_true(rollcall__shard__get_packed_size(&shard) <= sizeof(packed));
	engine_take(
	    world->engine, &world->lane,
	    rollcall__shard__unpack(NULL, rollcall__shard__pack(&shard, packed), packed));
	assert_int_equal(rc_rules_load(SOURCE_DIR "/data", &rules, &err), RC_OK);
	engine_set_rules(world->engine, rules, world->providers);
	/* the tick: the loop has slept, and has freed what nobody uses */
	uv_run(&world->loop, UV_RUN_ONCE);
	uv_run(&world->loop, UV_RUN_ONCE);
	assert_int_equal(engine_running(world->engine), 1);
	assert_true(engine_uses(world->engine, world->rules));
	engine_cut(world->engine, &world->lane);
	while (engine_uses(world->engine, world->rules))
		uv_run(&world->loop, UV_RUN_ONCE);
	rc_rules_free(world->rules);
	world->rules = rules;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_fault_at_every_step, world_start, world_stop),
		cmocka_unit_test_setup_teardown(slow_servers_hold_nobody_up, world_start,
						world_stop),
		cmocka_unit_test_setup_teardown(no_descriptor_port_or_address, world_start,
						world_stop),
		cmocka_unit_test_setup_teardown(the_kernel_has_no_descriptor, world_start,
						world_stop),
		cmocka_unit_test_setup_teardown(new_rules_wait_for_old_work, world_start,
						world_stop),
		cmocka_unit_test_setup_teardown(memory_fails_at_every_point, world_start,
						world_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
