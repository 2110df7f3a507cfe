/*
 * connection - outgoing TCP connections, each bound to its lane's address.
 *
 * libuv's stream costs four system calls a session more than are needed (non-blocking ioctl,
 * SO_ERROR, a change of interest, its removal), so the sockets stand edge-triggered in an epoll set
 * of their own, registered once, and the loop watches that set with one uv_poll: 13 calls for a
 * pipelined session, besides the wait that all share. One read buffer for all.
 *
 * Owner: the loop's thread; a connection is embedded in its session and holds no memory but what a
 * full socket left unsent. Callbacks come from the loop only, never from inside connection_open(),
 * connection_secure() or connection_send(). After connection_close() none comes, and the memory may
 * go at once, from inside a callback too. Failures are those of the report: REFUSED, TIMEOUT,
 * CLOSED, LOCAL, and TLS for whatever ends a handshake or breaks what follows it.
 */
#ifndef WORKER_IO_CONNECTION_H
#define WORKER_IO_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "rollcall.pb-c.h"
#include "worker/core/probe.h"

struct connection;
struct network;
struct tls;
struct tls_context;

struct connection_events {
	void (*connected)(struct connection *connection);
	/* After connection_secure(): what follows is under TLS. */
	void (*secured)(struct connection *connection, const struct probe_tls *info);
	/* `data` holds until the callback returns; plain text, under TLS too. */
	void (*data)(struct connection *connection, const char *data, size_t len);
	/* The socket is gone; no callback follows. */
	void (*closed)(struct connection *connection, Rollcall__Failure failure);
};

struct connection {
	const struct connection_events *events;
	/* Of rc_clock_boot_ms(): from then on not one octet leaves, whatever is called. NULL: no
	 * end. The owner sets it after connection_init(), and it outlives the connection. */
	const uint64_t *until_ms;
	int fd; /* -1: none; private, as what follows */
	uint32_t slot;
	bool connecting;
	struct tls *tls; /* NULL: plain */
	char *unsent;
	size_t unsent_at;
	size_t unsent_len;
};

/* `sessions_max`: most connections at once. NULL: out of memory or descriptors. */
struct network *network_new(uv_loop_t *loop, uint32_t sessions_max);
/* Every connection must be closed. Takes NULL. */
void network_free(struct network *network);
size_t network_open(const struct network *network);

void connection_init(struct connection *connection, const struct connection_events *events);
/* FAILURE_NONE: `connected` or `closed` follows. Otherwise nothing was opened. `source`: the lane's
 * address, port 0. */
Rollcall__Failure connection_open(struct network *network, struct connection *connection,
				  const struct sockaddr *source, socklen_t source_len,
				  const struct probe_ip *ip, uint16_t port);
/* Reads what has come, without a callback. 0: nothing, or it is closed. `*ret_data` holds until the
 * next event. */
size_t connection_drain(struct network *network, struct connection *connection,
			const char **ret_data);
/*
 * Begins TLS on an open connection, as its client; `host` is for the server to choose its
 * certificate by. What came in plain text and was not read yet is thrown away: nobody may slip in
 * replies that would seem to come from under TLS (CVE-2011-0411). True: `secured` or `closed`
 * follows. False: out of memory; close it.
 */
bool connection_secure(struct network *network, struct connection *connection,
		       struct tls_context *context, const char *host);
/* What the kernel does not take at once is copied. False: out of memory, or over 64 KiB unsent;
 * close it. */
bool connection_send(struct network *network, struct connection *connection, const char *data,
		     size_t len);
/* Closes it if it is open. */
void connection_close(struct network *network, struct connection *connection);
bool connection_is_open(const struct connection *connection);

#endif
