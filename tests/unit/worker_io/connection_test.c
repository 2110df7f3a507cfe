/* connection and timers, against listeners on loopback in the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <uv.h>

#include "common/base/clock.h"
#include "worker/io/connection.h"
#include "worker/io/timers.h"

struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct network *network;
	int listener;
	uint16_t port;
	struct sockaddr_in source;
};

struct client {
	struct connection connection;
	struct world *world;
	bool connected, closed, close_on_data, close_on_connect;
	Rollcall__Failure failure;
	char got[256];
	size_t got_len;
	size_t total;
};

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing happened within the time");
}

static void world_start(struct world *world)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);

	memset(world, 0, sizeof(*world));
	uv_loop_init(&world->loop);
	uv_timer_init(&world->loop, &world->deadline);
	uv_timer_start(&world->deadline, on_deadline, 20000, 0);
	world->network = network_new(&world->loop, 100);
	world->listener = socket(AF_INET, SOCK_STREAM, 0);
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	assert_int_equal(bind(world->listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(world->listener, 16), 0);
	getsockname(world->listener, (struct sockaddr *)&address, &len);
	world->port = ntohs(address.sin_port);
	world->source.sin_family = AF_INET;
	inet_pton(AF_INET, "127.0.0.42", &world->source.sin_addr);
}

static void world_stop(struct world *world)
{
	assert_int_equal(network_open(world->network), 0);
	close(world->listener);
	network_free(world->network);
	uv_close((uv_handle_t *)&world->deadline, NULL);
	while (uv_run(&world->loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&world->loop), 0);
}

static void on_connected(struct connection *connection)
{
	struct client *client = (struct client *)connection;

	client->connected = true;
	if (client->close_on_connect)
		connection_close(client->world->network, connection);
}

static void on_secured(struct connection *connection, const struct probe_tls *info)
{
	(void)connection;
	(void)info;
	fail_msg("nobody asked for TLS");
}

static void on_data(struct connection *connection, const char *data, size_t len)
{
	struct client *client = (struct client *)connection;
	const size_t room = sizeof(client->got) - client->got_len;

	memcpy(client->got + client->got_len, data, len < room ? len : room);
	client->got_len += len < room ? len : room;
	client->total += len;
	if (client->close_on_data)
		connection_close(client->world->network, connection);
}

static void on_closed(struct connection *connection, Rollcall__Failure failure)
{
	struct client *client = (struct client *)connection;

	assert_false(client->closed);
	client->closed = true;
	client->failure = failure;
}

static const struct connection_events events = { on_connected, on_secured, on_data, on_closed };

static Rollcall__Failure dial(struct world *world, struct client *client, uint8_t last,
			      uint16_t port)
{
	const struct probe_ip ip = { .family = 4, .octets = { 127, 0, 0, last } };

	memset(client, 0, sizeof(*client));
	client->world = world;
	connection_init(&client->connection, &events);
	return connection_open(world->network, &client->connection,
			       (struct sockaddr *)&world->source, sizeof(world->source), &ip, port);
}

static void comes_from_the_lane(void **state)
{
	struct world world;
	struct client client;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char buffer[16];

	(void)state;
	world_start(&world);
	assert_int_equal(dial(&world, &client, 1, world.port), ROLLCALL__FAILURE__FAILURE_NONE);
	while (!client.connected)
		uv_run(&world.loop, UV_RUN_ONCE);
	const int fd = accept(world.listener, (struct sockaddr *)&peer, &len);

	assert_int_equal(peer.sin_addr.s_addr, world.source.sin_addr.s_addr);
	assert_true(connection_send(world.network, &client.connection, "EHLO\r\n", 6));
	assert_int_equal(read(fd, buffer, sizeof(buffer)), 6);
	assert_int_equal(write(fd, "250 ok\r\n", 8), 8);
	while (client.got_len < 8)
		uv_run(&world.loop, UV_RUN_ONCE);
	/* Data and end in one: both are told, in this order. */
	assert_int_equal(write(fd, "421 bye\r\n", 9), 9);
	close(fd);
	while (!client.closed)
		uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(client.got_len, 17);
	assert_int_equal(client.failure, ROLLCALL__FAILURE__FAILURE_CLOSED);
	assert_false(connection_is_open(&client.connection));
	world_stop(&world);
}

static void tells_failures_apart(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	world_start(&world);
	assert_int_equal(dial(&world, &client, 99, 1), ROLLCALL__FAILURE__FAILURE_NONE);
	while (!client.closed)
		uv_run(&world.loop, UV_RUN_ONCE);
	assert_false(client.connected);
	assert_int_equal(client.failure, ROLLCALL__FAILURE__FAILURE_REFUSED);

	inet_pton(AF_INET, "192.0.2.77", &world.source.sin_addr);
	assert_int_equal(dial(&world, &client, 1, world.port), ROLLCALL__FAILURE__FAILURE_LOCAL);
	inet_pton(AF_INET, "127.0.0.42", &world.source.sin_addr);

	/* A reset in mid-session. */
	const struct linger linger = { 1, 0 };

	assert_int_equal(dial(&world, &client, 1, world.port), ROLLCALL__FAILURE__FAILURE_NONE);
	const int fd = accept(world.listener, NULL, NULL);

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
	while (!client.closed)
		uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(client.failure, ROLLCALL__FAILURE__FAILURE_CLOSED);
	world_stop(&world);
}

/* As a worker finds it that was stopped past its lease: the octets stay here. */
static void sends_nothing_once_its_time_is_over(void **state)
{
	struct world world;
	struct client client;
	uint64_t until_ms = UINT64_MAX;
	char buffer[16];

	(void)state;
	world_start(&world);
	assert_int_equal(dial(&world, &client, 1, world.port), ROLLCALL__FAILURE__FAILURE_NONE);
	client.connection.until_ms = &until_ms;
	while (!client.connected)
		uv_run(&world.loop, UV_RUN_ONCE);
	const int fd = accept(world.listener, NULL, NULL);

	assert_true(connection_send(world.network, &client.connection, "EHLO\r\n", 6));
	until_ms = rc_clock_boot_ms();
	assert_true(connection_send(world.network, &client.connection, "QUIT\r\n", 6));
	connection_close(world.network, &client.connection);
	assert_int_equal(read(fd, buffer, sizeof(buffer)), 6);
	assert_int_equal(read(fd, buffer, sizeof(buffer)), 0);
	close(fd);
	world_stop(&world);
}

static void may_close_inside_callbacks(void **state)
{
	struct world world;
	struct client a, b;

	(void)state;
	world_start(&world);
	assert_int_equal(dial(&world, &a, 1, world.port), ROLLCALL__FAILURE__FAILURE_NONE);
	a.close_on_connect = true;
	while (!a.connected)
		uv_run(&world.loop, UV_RUN_ONCE);
	close(accept(world.listener, NULL, NULL));
	assert_int_equal(dial(&world, &b, 1, world.port), ROLLCALL__FAILURE__FAILURE_NONE);
	b.close_on_data = true;
	const int fd = accept(world.listener, NULL, NULL);

	assert_int_equal(write(fd, "220 hello\r\n", 11), 11);
	while (b.total == 0)
		uv_run(&world.loop, UV_RUN_ONCE);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_false(a.closed);
	assert_false(b.closed);
	assert_int_equal(b.total, 11);
	close(fd);
	world_stop(&world);
}

static void reads_more_than_a_buffer(void **state)
{
	enum { MUCH = 300000 };
	struct world world;
	struct client client;
	char *much = calloc(1, MUCH);
	size_t sent = 0;

	(void)state;
	world_start(&world);
	assert_int_equal(dial(&world, &client, 1, world.port), ROLLCALL__FAILURE__FAILURE_NONE);
	const int fd = accept(world.listener, NULL, NULL);

	while (sent < MUCH) {
		const ssize_t n = send(fd, much + sent, MUCH - sent, MSG_DONTWAIT);

		sent += n > 0 ? (size_t)n : 0;
		uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	close(fd);
	while (!client.closed)
		uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(client.total, MUCH);
	free(much);
	world_stop(&world);
}

static void sends_more_than_the_kernel_takes(void **state)
{
	enum { PIECE = 60000 };
	struct world world;
	struct client client;
	char *piece = calloc(1, PIECE);
	size_t queued = 0, got = 0;

	(void)state;
	world_start(&world);
	assert_int_equal(dial(&world, &client, 1, world.port), ROLLCALL__FAILURE__FAILURE_NONE);
	while (!client.connected)
		uv_run(&world.loop, UV_RUN_ONCE);
	const int fd = accept(world.listener, NULL, NULL);

	/* Until it says no: nobody reads. */
	while (connection_send(world.network, &client.connection, piece, PIECE))
		queued += PIECE;
	assert_true(queued > PIECE);
	while (got < queued) {
		const ssize_t n = recv(fd, piece, PIECE, MSG_DONTWAIT);

		got += n > 0 ? (size_t)n : 0;
		uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(got, queued);
	connection_close(world.network, &client.connection);
	close(fd);
	free(piece);
	world_stop(&world);
}

/* ---- timers */

static struct timer marks[100];
static unsigned fired_n;
static int fired[200];

static void on_fired(struct timer *timer)
{
	fired[fired_n++] = (int)(timer - marks);
}

static void timers_fire_in_order(void **state)
{
	uv_loop_t loop;
	struct timers *timers;

	(void)state;
	uv_loop_init(&loop);
	timers = timers_new(&loop);
	const uint64_t now_ms = uv_now(&loop);

	for (unsigned i = 0; i < 100; i++) {
		marks[i].fired = on_fired;
		assert_true(timer_set(timers, &marks[i], now_ms + 1 + (i * 37) % 100));
	}
	/* Later, sooner, never. */
	timer_set(timers, &marks[0], now_ms + 150);
	timer_set(timers, &marks[1], now_ms);
	timer_set(timers, &marks[2], UINT64_MAX);
	timer_clear(timers, &marks[2]);
	while (fired_n < 99)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[98], 0);
	for (unsigned i = 2; i < 98; i++)
		assert_true((fired[i - 1] * 37) % 100 < (fired[i] * 37) % 100);
	timers_free(timers);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_from_the_lane),
		cmocka_unit_test(tells_failures_apart),
		cmocka_unit_test(sends_nothing_once_its_time_is_over),
		cmocka_unit_test(may_close_inside_callbacks),
		cmocka_unit_test(reads_more_than_a_buffer),
		cmocka_unit_test(sends_more_than_the_kernel_takes),
		cmocka_unit_test(timers_fire_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
