#include "worker/io/connection.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "worker/io/tls.h"

enum {
	EVENTS_AT_ONCE = 256,
	READ_MAX = 64 * 1024,
	RECORD_MAX = 16 * 1024, /* plain text of one TLS record */
	UNSENT_MAX = 64 * 1024,
	DRAIN_ROUNDS = 16,
	NO_SLOT = UINT32_MAX
};

/* An event names slot and generation: one that was in flight when its connection closed then meets
 * nobody. */
struct slot {
	struct connection *connection; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct network {
	uv_poll_t poll;
	int epoll_fd;
	uint32_t slot_n;
	uint32_t slot_max;
	uint32_t first_free;
	size_t open;
	struct slot *slots;
	char buffer[READ_MAX];
	char plain[RECORD_MAX];
};

static Rollcall__Failure failure_of(int error)
{
	switch (error) {
	case EADDRNOTAVAIL:
	case EADDRINUSE:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EACCES:
	case EPERM:
	case EAFNOSUPPORT:
	case EINVAL:
		return ROLLCALL__FAILURE__FAILURE_LOCAL;
	case ETIMEDOUT:
		return ROLLCALL__FAILURE__FAILURE_TIMEOUT;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EPROTO:
		return ROLLCALL__FAILURE__FAILURE_REFUSED;
	default:
		return ROLLCALL__FAILURE__FAILURE_CLOSED;
	}
}

void connection_init(struct connection *connection, const struct connection_events *events)
{
	memset(connection, 0, sizeof(*connection));
	connection->events = events;
	connection->fd = -1;
	connection->slot = NO_SLOT;
}

bool connection_is_open(const struct connection *connection)
{
	return connection->fd >= 0;
}

static uint32_t slot_take(struct network *network, struct connection *connection)
{
	uint32_t at = network->first_free;

	if (at != NO_SLOT) {
		network->first_free = network->slots[at].next_free;
	} else if (network->slot_n < network->slot_max) {
		at = network->slot_n++;
	} else {
		return NO_SLOT;
	}
	network->slots[at].connection = connection;
	return at;
}

static void slot_give(struct network *network, uint32_t at)
{
	struct slot *slot = &network->slots[at];

	slot->connection = NULL;
	slot->generation++;
	slot->next_free = network->first_free;
	network->first_free = at;
}

static socklen_t target_fill(const struct probe_ip *ip, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ip->family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, ip->octets, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, ip->octets, 16);
	return sizeof(*in6);
}

Rollcall__Failure connection_open(struct network *network, struct connection *connection,
				  const struct sockaddr *source, socklen_t source_len,
				  const struct probe_ip *ip, uint16_t port)
{
	struct sockaddr_storage target;
	const socklen_t target_len = target_fill(ip, port, &target);
	const int on = 1;
	int error = 0;
	struct epoll_event interest = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };

	assert(connection->fd < 0);
	if (target.ss_family != source->sa_family)
		return ROLLCALL__FAILURE__FAILURE_LOCAL;
	const uint32_t slot = slot_take(network, connection);

	if (slot == NO_SLOT)
		return ROLLCALL__FAILURE__FAILURE_LOCAL;
	const int fd = socket(source->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		error = errno;
		goto out;
	}
	/*
	 * Without it one source address ends near 28,000 ports however many servers there are.
	 * TCP_NODELAY is not needed: each write waits for the reply to the one before, so Nagle's
	 * rule has nothing to hold back.
	 */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, source, source_len) < 0) {
		error = errno;
		goto out;
	}
	if (connect(fd, (struct sockaddr *)&target, target_len) < 0 && errno != EINPROGRESS) {
		error = errno;
		goto out;
	}
	interest.data.u64 = (uint64_t)network->slots[slot].generation << 32 | slot;
	if (epoll_ctl(network->epoll_fd, EPOLL_CTL_ADD, fd, &interest) < 0)
		error = errno;
out:
	if (error != 0) {
		if (fd >= 0)
			close(fd);
		slot_give(network, slot);
		return failure_of(error);
	}
	connection->fd = fd;
	connection->slot = slot;
	connection->connecting = true;
	network->open++;
	return ROLLCALL__FAILURE__FAILURE_NONE;
}

/* A process that was stopped wakes to sockets full of replies before its timers tell it anything.
 */
static bool is_over(const struct connection *connection)
{
	return connection->until_ms != NULL && rc_clock_boot_ms() >= *connection->until_ms;
}

/* Whether what was not taken by the kernel could be kept. */
static bool send_octets(struct connection *connection, const char *data, size_t len)
{
	size_t sent = 0;

	if (is_over(connection))
		return true;
	if (connection->unsent_len == 0) {
		const ssize_t n = send(connection->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return true; /* the event that tells of it is on its way */
		sent = n > 0 ? (size_t)n : 0;
		if (sent == len)
			return true;
	}
	const size_t rest = len - sent;

	if (connection->unsent_len + rest > UNSENT_MAX)
		return false;
	if (connection->unsent_at > 0) {
		memmove(connection->unsent, connection->unsent + connection->unsent_at,
			connection->unsent_len);
		connection->unsent_at = 0;
	}
	char *unsent = realloc(connection->unsent, connection->unsent_len + rest);

	if (unsent == NULL)
		return false;
	memcpy(unsent + connection->unsent_len, data + sent, rest);
	connection->unsent = unsent;
	connection->unsent_len += rest;
	return true;
}

static bool send_wire(struct connection *connection)
{
	size_t len;
	const char *wire = tls_wire(connection->tls, &len);

	if (len == 0)
		return true;
	const bool kept = send_octets(connection, wire, len);

	tls_sent(connection->tls);
	return kept;
}

static void shut(struct network *network, struct connection *connection)
{
	/* The epoll set lets go of it by itself: nobody else has this descriptor. */
	close(connection->fd);
	slot_give(network, connection->slot);
	network->open--;
	tls_free(connection->tls);
	free(connection->unsent);
	connection->tls = NULL;
	connection->unsent = NULL;
	connection->unsent_at = connection->unsent_len = 0;
	connection->fd = -1;
	connection->slot = NO_SLOT;
}

void connection_close(struct network *network, struct connection *connection)
{
	if (connection->fd < 0)
		return;
	if (connection->tls != NULL && tls_shaken(connection->tls)) {
		tls_close(connection->tls);
		(void)send_wire(connection);
	}
	shut(network, connection);
}

static void fail(struct network *network, struct connection *connection, Rollcall__Failure failure)
{
	shut(network, connection);
	connection->events->closed(connection, failure);
}

bool connection_send(struct network *network, struct connection *connection, const char *data,
		     size_t len)
{
	(void)network;
	if (connection->fd < 0)
		return false;
	if (connection->tls == NULL)
		return send_octets(connection, data, len);
	return tls_shaken(connection->tls) && tls_write(connection->tls, data, len) &&
	       send_wire(connection);
}

size_t connection_drain(struct network *network, struct connection *connection,
			const char **ret_data)
{
	ssize_t n;

	if (connection->fd < 0)
		return 0;
	do {
		n = recv(connection->fd, network->plain, sizeof(network->plain), 0);
	} while (n < 0 && errno == EINTR);
	*ret_data = network->plain;
	return n > 0 ? (size_t)n : 0;
}

bool connection_secure(struct network *network, struct connection *connection,
		       struct tls_context *context, const char *host)
{
	const char *ignored;
	unsigned rounds = 0;

	if (connection->fd < 0 || connection->tls != NULL)
		return false;
	connection->tls = tls_new(context, host);
	if (connection->tls == NULL)
		return false;
	/* One that sends without end breaks its own handshake. */
	while (rounds++ < DRAIN_ROUNDS && connection_drain(network, connection, &ignored) > 0)
		;
	return tls_shake(connection->tls) == TLS_MORE && send_wire(connection);
}

static void send_rest(struct connection *connection)
{
	if (is_over(connection))
		return;
	while (connection->unsent_len > 0) {
		const ssize_t n = send(connection->fd, connection->unsent + connection->unsent_at,
				       connection->unsent_len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		connection->unsent_at += (size_t)n;
		connection->unsent_len -= (size_t)n;
	}
	free(connection->unsent);
	connection->unsent = NULL;
	connection->unsent_at = 0;
}

/* Octets of the wire. The connection may be gone afterwards. */
static void receive_tls(struct network *network, const struct slot *slot, uint32_t generation,
			size_t wire_len)
{
	struct connection *connection = slot->connection;
	struct tls *tls = connection->tls;
	size_t len = 0;

	if (!tls_feed(tls, network->buffer, wire_len)) {
		fail(network, connection, ROLLCALL__FAILURE__FAILURE_LOCAL);
		return;
	}
	if (!tls_shaken(tls)) {
		const enum tls_said said = tls_shake(tls);
		const bool sent = send_wire(connection); /* an alert too */

		if (said == TLS_MORE && sent)
			return;
		if (said != TLS_DONE || !sent) {
			fail(network, connection, ROLLCALL__FAILURE__FAILURE_TLS);
			return;
		}
		const struct probe_tls info = { tls_version(tls), tls_cipher(tls),
						tls_unverified(tls) };

		connection->events->secured(connection, &info);
		if (slot->generation != generation)
			return;
	}
	for (;;) {
		switch (tls_read(tls, network->plain, sizeof(network->plain), &len)) {
		case TLS_DONE:
			connection->events->data(connection, network->plain, len);
			if (slot->generation != generation)
				return;
			continue;
		case TLS_MORE:
			if (!send_wire(connection))
				fail(network, connection, ROLLCALL__FAILURE__FAILURE_TLS);
			return;
		case TLS_END:
			fail(network, connection, ROLLCALL__FAILURE__FAILURE_CLOSED);
			return;
		case TLS_BROKEN:
			(void)send_wire(connection);
			fail(network, connection, ROLLCALL__FAILURE__FAILURE_TLS);
			return;
		}
	}
}

/* The socket is at its end, or broken. */
static Rollcall__Failure end_failure(const struct connection *connection, int error)
{
	if (connection->tls != NULL && !tls_shaken(connection->tls))
		return ROLLCALL__FAILURE__FAILURE_TLS;
	return error == 0 ? ROLLCALL__FAILURE__FAILURE_CLOSED : failure_of(error);
}

/*
 * Edge-triggered: a read that did not fill the buffer has emptied the socket, unless the peer has
 * also shut down; then we read on until it says so.
 */
static void receive(struct network *network, const struct slot *slot, uint32_t generation,
		    bool to_end)
{
	for (;;) {
		struct connection *connection = slot->connection;
		const ssize_t n = recv(connection->fd, network->buffer, sizeof(network->buffer), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			fail(network, connection, end_failure(connection, n == 0 ? 0 : errno));
			return;
		}
		if (connection->tls != NULL)
			receive_tls(network, slot, generation, (size_t)n);
		else
			connection->events->data(connection, network->buffer, (size_t)n);
		if (slot->generation != generation)
			return;
		if ((size_t)n < sizeof(network->buffer) && !to_end)
			return;
	}
}

static void handle(struct network *network, const struct epoll_event *event)
{
	const uint32_t at = (uint32_t)event->data.u64;
	const uint32_t generation = (uint32_t)(event->data.u64 >> 32);
	const struct slot *slot = &network->slots[at];
	const uint32_t events = event->events;

	if (slot->generation != generation || slot->connection == NULL)
		return;
	struct connection *connection = slot->connection;

	if (connection->connecting) {
		if (events & EPOLLERR) {
			int error = 0;
			socklen_t len = sizeof(error);

			getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &len);
			fail(network, connection, failure_of(error));
			return;
		}
		if (!(events & (EPOLLOUT | EPOLLIN)))
			return;
		connection->connecting = false;
		connection->events->connected(connection);
		if (slot->generation != generation)
			return;
	}
	if ((events & EPOLLOUT) && connection->unsent_len > 0)
		send_rest(connection);
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		receive(network, slot, generation,
			(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct network *network = poll->data;
	struct epoll_event ready[EVENTS_AT_ONCE];

	(void)status;
	(void)events;
	const int n = epoll_wait(network->epoll_fd, ready, EVENTS_AT_ONCE, 0);

	for (int i = 0; i < n; i++)
		handle(network, &ready[i]);
}

struct network *network_new(uv_loop_t *loop, uint32_t sessions_max)
{
	struct network *network = calloc(1, sizeof(*network));

	if (network == NULL)
		return NULL;
	network->first_free = NO_SLOT;
	network->slot_max = sessions_max;
	network->slots = calloc(sessions_max, sizeof(network->slots[0]));
	network->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (network->slots == NULL || network->epoll_fd < 0 ||
	    uv_poll_init(loop, &network->poll, network->epoll_fd) < 0) {
		if (network->epoll_fd >= 0)
			close(network->epoll_fd);
		free(network->slots);
		free(network);
		return NULL;
	}
	network->poll.data = network;
	uv_poll_start(&network->poll, UV_READABLE, on_ready);
	return network;
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct network *network = handle->data;

	close(network->epoll_fd);
	free(network->slots);
	free(network);
}

void network_free(struct network *network)
{
	if (network == NULL)
		return;
	uv_close((uv_handle_t *)&network->poll, on_poll_closed);
}

size_t network_open(const struct network *network)
{
	return network->open;
}
