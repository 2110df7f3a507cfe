/* STARTTLS on a connection: OpenSSL's own server on loopback, in the same loop, with every phase of
 * it going wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/socket.h>
#include <uv.h>

#include "tests/unit/worker_io/tls_server.h"
#include "worker/io/connection.h"
#include "worker/io/tls.h"

struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct network *network;
	struct tls_context *tls;
	int listener;
	uint16_t port;
};

struct client {
	struct connection connection;
	bool connected, secured, closed;
	Rollcall__Failure failure;
	char version[32];
	bool unverified;
	char got[4096];
	size_t got_len;
};

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing happened within the time");
}

static void on_connected(struct connection *connection)
{
	((struct client *)connection)->connected = true;
}

static void on_secured(struct connection *connection, const struct probe_tls *info)
{
	struct client *client = (struct client *)connection;

	assert_false(client->secured);
	client->secured = true;
	client->unverified = info->unverified != NULL;
	snprintf(client->version, sizeof(client->version), "%s", info->version);
	assert_true(info->cipher[0] != '\0');
}

static void on_data(struct connection *connection, const char *data, size_t len)
{
	struct client *client = (struct client *)connection;

	assert_true(client->got_len + len < sizeof(client->got));
	memcpy(client->got + client->got_len, data, len);
	client->got_len += len;
}

static void on_closed(struct connection *connection, Rollcall__Failure failure)
{
	struct client *client = (struct client *)connection;

	assert_false(client->closed);
	client->closed = true;
	client->failure = failure;
}

static const struct connection_events events = { on_connected, on_secured, on_data, on_closed };

static int world_start(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	struct rc_error err;

	uv_loop_init(&world->loop);
	uv_timer_init(&world->loop, &world->deadline);
	uv_timer_start(&world->deadline, on_deadline, 20000, 0);
	world->network = network_new(&world->loop, 100);
	assert_int_equal(tls_context_new(&world->tls, &err), RC_OK);
	world->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(world->listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(world->listener, 16), 0);
	getsockname(world->listener, (struct sockaddr *)&address, &len);
	world->port = ntohs(address.sin_port);
	*state = world;
	return 0;
}

static int world_stop(void **state)
{
	struct world *world = *state;

	assert_int_equal(network_open(world->network), 0);
	close(world->listener);
	network_free(world->network);
	tls_context_free(world->tls);
	uv_close((uv_handle_t *)&world->deadline, NULL);
	while (uv_run(&world->loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&world->loop), 0);
	free(world);
	return 0;
}

/* A connection in plain text; the server's end. */
static int dial(struct world *world, struct client *client)
{
	const struct probe_ip ip = { .family = 4, .octets = { 127, 0, 0, 1 } };
	const struct sockaddr_in source = { .sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	memset(client, 0, sizeof(*client));
	connection_init(&client->connection, &events);
	assert_int_equal(connection_open(world->network, &client->connection,
					 (const struct sockaddr *)&source, sizeof(source), &ip,
					 world->port),
			 ROLLCALL__FAILURE__FAILURE_NONE);
	while (!client->connected)
		uv_run(&world->loop, UV_RUN_ONCE);
	const int fd = accept(world->listener, NULL, NULL);

	assert_true(fd >= 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void secure(struct world *world, struct client *client)
{
	assert_true(
	    connection_secure(world->network, &client->connection, world->tls, "mx.example.test"));
	assert_false(client->secured);
}

/* Both ends, until the client is under TLS or its connection is gone. */
static SSL *shake(struct world *world, struct client *client, SSL_CTX *server, int fd)
{
	SSL *ssl = SSL_new(server);

	SSL_set_fd(ssl, fd);
	for (int done = 0; !client->closed && !(done == 1 && client->secured);) {
		uv_run(&world->loop, UV_RUN_NOWAIT);
		if (done != 1)
			done = SSL_accept(ssl);
	}
	return ssl;
}

static void wait_closed(struct world *world, struct client *client)
{
	while (!client->closed)
		uv_run(&world->loop, UV_RUN_ONCE);
}

static void wait_octet(int fd)
{
	char octet;

	while (recv(fd, &octet, 1, MSG_PEEK) != 1)
		;
}

static void reset(int fd)
{
	const struct linger linger = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

static void talks_under_tls(void **state)
{
	static const struct {
		int version;
		const char *name;
	} cases[] = { { TLS1_3_VERSION, "TLSv1.3" },
		      { TLS1_2_VERSION, "TLSv1.2" },
		      { TLS1_1_VERSION, "TLSv1.1" },
		      { TLS1_VERSION, "TLSv1" } };
	struct world *world = *state;
	struct client client;
	char buffer[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SSL_CTX *server = tls_server_new(0);
		const int fd = dial(world, &client);

		SSL_CTX_set_security_level(server, 0);
		SSL_CTX_set_min_proto_version(server, cases[i].version);
		SSL_CTX_set_max_proto_version(server, cases[i].version);
		secure(world, &client);
		SSL *ssl = shake(world, &client, server, fd);

		assert_true(client.secured);
		assert_string_equal(client.version, cases[i].name);
		assert_true(client.unverified); /* nobody has signed for it */
		assert_string_equal(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
				    "mx.example.test");
		assert_true(connection_send(world->network, &client.connection, "EHLO us\r\n", 9));
		while (SSL_read(ssl, buffer, sizeof(buffer)) != 9)
			uv_run(&world->loop, UV_RUN_NOWAIT);
		assert_memory_equal(buffer, "EHLO us\r\n", 9);
		assert_int_equal(SSL_write(ssl, "250 ok\r\n", 8), 8);
		while (client.got_len < 8)
			uv_run(&world->loop, UV_RUN_ONCE);
		assert_memory_equal(client.got, "250 ok\r\n", 8);
		if (i % 2 == 0) {
			/* Ours is the last word, and it is said. */
			connection_close(world->network, &client.connection);
			int n;

			while ((n = SSL_read(ssl, buffer, sizeof(buffer))) < 0 &&
			       SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ)
				;
			assert_int_equal(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN);
		} else {
			SSL_shutdown(ssl);
			wait_closed(world, &client);
			assert_int_equal(client.failure, ROLLCALL__FAILURE__FAILURE_CLOSED);
		}
		SSL_free(ssl);
		SSL_CTX_free(server);
		close(fd);
	}
}

/* CVE-2011-0411: replies that a stranger put behind the 220, hoping that they count as said under
 * TLS. */
static void plain_text_is_thrown_away(void **state)
{
	static const char injected[] = "250 injected\r\n250 2.1.5 injected\r\n";
	struct world *world = *state;
	SSL_CTX *server = tls_server_new(0);
	struct client client;
	const int fd = dial(world, &client);
	const char *early;

	assert_int_equal(write(fd, "220 go\r\n", 8), 8);
	while (client.got_len < 8)
		uv_run(&world->loop, UV_RUN_ONCE);
	assert_true(write(fd, injected, sizeof(injected) - 1) > 0);
	/* What is counted is gone, and what is not is gone too. */
	assert_int_equal(connection_drain(world->network, &client.connection, &early),
			 sizeof(injected) - 1);
	assert_memory_equal(early, injected, sizeof(injected) - 1);
	assert_true(write(fd, injected, sizeof(injected) - 1) > 0);
	secure(world, &client);
	SSL *ssl = shake(world, &client, server, fd);

	assert_true(client.secured);
	assert_int_equal(SSL_write(ssl, "250 real\r\n", 10), 10);
	while (client.got_len < 18)
		uv_run(&world->loop, UV_RUN_ONCE);
	assert_int_equal(client.got_len, 18);
	assert_memory_equal(client.got, "220 go\r\n250 real\r\n", 18);
	connection_close(world->network, &client.connection);
	SSL_free(ssl);
	SSL_CTX_free(server);
	close(fd);
}

enum phase {
	PLAIN_ANSWER = 1, /* "454 TLS not available" instead of a ServerHello */
	PLAIN_LATE,	  /* text that came behind our ClientHello, then the handshake */
	CLOSED_AT_HELLO,
	RESET_AT_HELLO,
	HALF_A_HELLO,
	NO_COMMON_CIPHER,
	CERTIFICATE_TOO_LARGE,
	SILENT_THEN_CLOSED,
	PHASES
};

static void handshake_fails(void **state)
{
	struct world *world = *state;

	for (enum phase phase = PLAIN_ANSWER; phase < PHASES; phase++) {
		SSL_CTX *server = tls_server_new(phase == CERTIFICATE_TOO_LARGE ? 40000 : 0);
		struct client client;
		SSL *ssl = NULL;
		int fd = dial(world, &client);

		secure(world, &client);
		wait_octet(fd);
		switch (phase) {
		case PLAIN_ANSWER:
			assert_true(write(fd, "454 4.7.0 TLS not available\r\n", 29) > 0);
			break;
		case PLAIN_LATE:
			assert_true(write(fd, "250 injected\r\n", 14) > 0);
			ssl = shake(world, &client, server, fd);
			break;
		case CLOSED_AT_HELLO:
			shutdown(fd, SHUT_WR);
			break;
		case RESET_AT_HELLO:
			reset(fd);
			fd = -1;
			break;
		case HALF_A_HELLO:
			assert_true(write(fd, "\x16\x03\x03\x00\x7a\x02\x00", 7) > 0);
			shutdown(fd, SHUT_WR);
			break;
		case NO_COMMON_CIPHER:
			SSL_CTX_set_max_proto_version(server, TLS1_2_VERSION);
			assert_int_equal(SSL_CTX_set_cipher_list(server, "NULL:@SECLEVEL=0"), 1);
			ssl = shake(world, &client, server, fd);
			break;
		case CERTIFICATE_TOO_LARGE:
			ssl = shake(world, &client, server, fd);
			break;
		default:
			uv_run(&world->loop, UV_RUN_NOWAIT);
			close(fd);
			fd = -1;
			break;
		}
		wait_closed(world, &client);
		if (client.failure != ROLLCALL__FAILURE__FAILURE_TLS || client.secured ||
		    client.got_len > 0)
			fail_msg("phase %d: failure %d, secured %d, %zu octets", (int)phase,
				 (int)client.failure, client.secured, client.got_len);
		SSL_free(ssl);
		SSL_CTX_free(server);
		if (fd >= 0)
			close(fd);
	}
}

static void breaks_after_the_handshake(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 3; i++) {
		SSL_CTX *server = tls_server_new(0);
		struct client client;
		const int fd = dial(world, &client);

		secure(world, &client);
		SSL *ssl = shake(world, &client, server, fd);

		assert_true(client.secured);
		if (i == 0)
			assert_true(write(fd, "250 plain text on a sealed line\r\n", 33) > 0);
		else if (i == 1)
			reset(fd);
		else
			shutdown(fd, SHUT_WR);
		wait_closed(world, &client);
		assert_int_equal(client.failure, i == 0 ? ROLLCALL__FAILURE__FAILURE_TLS
							: ROLLCALL__FAILURE__FAILURE_CLOSED);
		assert_int_equal(client.got_len, 0);
		SSL_free(ssl);
		SSL_CTX_free(server);
		if (i != 1)
			close(fd);
	}
}

/* One octet at a time, all of the handshake. */
static void trickles_through(void **state)
{
	struct world *world = *state;
	SSL_CTX *server = tls_server_new(0);
	SSL *ssl = SSL_new(server);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	struct client client;
	const int fd = dial(world, &client);
	char buffer[8192], octet;

	SSL_set_bio(ssl, in, out);
	SSL_set_accept_state(ssl);
	secure(world, &client);
	while (!client.secured) {
		const ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (n > 0) {
			BIO_write(in, buffer, (int)n);
			SSL_do_handshake(ssl);
		}
		if (BIO_read(out, &octet, 1) == 1)
			assert_int_equal(write(fd, &octet, 1), 1);
		uv_run(&world->loop, UV_RUN_NOWAIT);
		assert_false(client.closed);
	}
	connection_close(world->network, &client.connection);
	SSL_free(ssl);
	SSL_CTX_free(server);
	close(fd);
}

/* What the client's side alone takes from the heap, with the largest certificate that it takes. */
static void memory_is_bounded(void **state)
{
	enum { SESSIONS = 50, BOUND = 56 * 1024 }; /* the rest of 64 KB is the session's own */
	struct world *world = *state;
	SSL_CTX *server = tls_server_new(19000);
	struct tls *sessions[SESSIONS];
	SSL *peers[SESSIONS];
	size_t taken = 0;

	for (int i = 0; i < SESSIONS; i++) {
		struct tls *tls;
		size_t len, before = mallinfo2().uordblks;
		enum tls_said said;
		char buffer[16384];

		sessions[i] = tls = tls_new(world->tls, "mx.example.test");
		assert_non_null(tls);
		said = tls_shake(tls);
		size_t held = mallinfo2().uordblks - before;

		peers[i] = SSL_new(server);
		SSL_set_bio(peers[i], BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
		SSL_set_accept_state(peers[i]);
		while (said == TLS_MORE) {
			const char *wire = tls_wire(tls, &len);

			BIO_write(SSL_get_rbio(peers[i]), wire, (int)len);
			SSL_do_handshake(peers[i]);
			const int n = BIO_read(SSL_get_wbio(peers[i]), buffer, sizeof(buffer));

			before = mallinfo2().uordblks;
			tls_sent(tls);
			if (n > 0)
				assert_true(tls_feed(tls, buffer, (size_t)n));
			said = tls_shake(tls);
			held += mallinfo2().uordblks - before;
		}
		assert_int_equal(said, TLS_DONE);
		if (i > 0) /* the first one loads what all share */
			taken += held;
		if (i > 0 && held > BOUND)
			fail_msg("%zu octets of heap", held);
	}
	print_message("a session under TLS holds %zu octets after its handshake, its certificate "
		      "of 19 KB included\n",
		      taken / (SESSIONS - 1));
	for (int i = 0; i < SESSIONS; i++) {
		tls_free(sessions[i]);
		SSL_free(peers[i]);
	}
	SSL_CTX_free(server);
}

int main(void)
{
	/* The servers here write to connections that are gone. */
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(talks_under_tls, world_start, world_stop),
		cmocka_unit_test_setup_teardown(plain_text_is_thrown_away, world_start, world_stop),
		cmocka_unit_test_setup_teardown(handshake_fails, world_start, world_stop),
		cmocka_unit_test_setup_teardown(breaks_after_the_handshake, world_start,
						world_stop),
		cmocka_unit_test_setup_teardown(trickles_through, world_start, world_stop),
		cmocka_unit_test_setup_teardown(memory_is_bounded, world_start, world_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
