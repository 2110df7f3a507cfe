/* Clients and their timers: see serve_parts.h. */
#include "tests/mailworld/serve_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- timers ---- */

static void timer_place(struct server *server, struct peer *peer, size_t i)
{
	server->timers[i] = peer;
	peer->timer = i;
}

static void timer_sift(struct server *server, struct peer *peer, size_t i)
{
	while (i > 1 && server->timers[i / 2]->due_ms > peer->due_ms) {
		timer_place(server, server->timers[i / 2], i);
		i /= 2;
	}
	for (size_t child; (child = i * 2) <= server->timer_count; i = child) {
		if (child < server->timer_count &&
		    server->timers[child + 1]->due_ms < server->timers[child]->due_ms)
			child++;
		if (server->timers[child]->due_ms >= peer->due_ms)
			break;
		timer_place(server, server->timers[child], i);
	}
	timer_place(server, peer, i);
}

void timer_start(struct server *server, struct peer *peer, uint64_t due_ms)
{
	if (server->timer_count + 1 >= server->timer_room) {
		server->timer_room = server->timer_room ? server->timer_room * 2 : 64;
		server->timers =
		    mw_realloc(server->timers, server->timer_room, sizeof(struct peer *));
	}
	peer->due_ms = due_ms;
	timer_sift(server, peer, ++server->timer_count);
}

void timer_stop(struct server *server, struct peer *peer)
{
	size_t i = peer->timer;
	struct peer *last;

	if (!i)
		return;
	peer->timer = 0;
	last = server->timers[server->timer_count--];
	if (last != peer)
		timer_sift(server, last, i);
}

/* ---- clients ---- */

int accept_one(struct server *server, int listener, struct sockaddr_in *ret_address)
{
	socklen_t len = sizeof(*ret_address);
	int fd =
	    accept4(listener, (struct sockaddr *)ret_address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
		return fd;
	/* Out of descriptors: a level-triggered listener would call for ever, so this one is turned
	 * away. */
	close(server->spare);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return -1;
}

struct peer *peer_open(struct server *server, enum kind kind, int fd)
{
	struct peer *peer = server->unused;

	if (peer)
		server->unused = peer->next;
	else
		peer = mw_alloc(1, sizeof(*peer));
	*peer = (struct peer){ .watched = { kind, fd }, .active_ms = server->now_ms };
	peer->next = server->peers.next;
	peer->previous = &server->peers;
	peer->next->previous = peer;
	server->peers.next = peer;
	return peer;
}

void peer_close(struct server *server, struct peer *peer)
{
	if (peer->watched.kind == SESSION)
		mw_smtp_end(&server->smtp, &peer->session, server->now_ms);
	timer_stop(server, peer);
	close(peer->watched.fd);
	free(peer->stash);
	free(peer->held);
	mw_tls_free(peer->tls);
	peer->previous->next = peer->next;
	peer->next->previous = peer->previous;
	peer->next = server->unused;
	server->unused = peer;
}

void watch(struct server *server, struct watched *watched, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watched };

	if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, watched->fd, &event) < 0) {
		perror("mailworld: epoll_ctl");
		abort();
	}
}

void peer_stash(struct peer *peer, const char *data, size_t len)
{
	char *copy = len ? mw_alloc(len, 1) : NULL;

	if (len)
		memcpy(copy, data, len);
	free(peer->stash);
	peer->stash = copy;
	peer->stash_len = (uint32_t)len;
}

void peer_hold(struct peer *peer, const char *data, size_t len)
{
	char *copy = mw_alloc(len, 1);

	memcpy(copy, data, len);
	free(peer->held);
	peer->held = copy;
	peer->held_len = (uint32_t)len;
	peer->held_at = 0;
	peer->held_raw = false;
}

/* Returns how much was sent, or -1 when the client is gone. */
ssize_t peer_send_some(struct peer *peer, const char *data, size_t len)
{
	ssize_t sent = len ? send(peer->watched.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

void peer_want_writable(struct server *server, struct peer *peer)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
				     .data.ptr = &peer->watched };

	if (!peer->waits_writable)
		epoll_ctl(server->epoll, EPOLL_CTL_MOD, peer->watched.fd, &event);
	peer->waits_writable = true;
}

static bool send_raw(struct server *server, struct peer *peer, const char *data, size_t len,
		     bool encrypted)
{
	ssize_t sent = peer_send_some(peer, data, len);

	if (sent < 0) {
		peer_close(server, peer);
		return false;
	}
	if ((size_t)sent == len)
		return true;
	peer_hold(peer, data + sent, len - (size_t)sent);
	peer->held_raw = encrypted;
	peer->due_ms = 0;
	peer_want_writable(server, peer);
	return true;
}

bool peer_send_tls(struct server *server, struct peer *peer)
{
	const char *data;
	size_t len = mw_tls_take(peer->tls, &data);

	if (!send_raw(server, peer, data, len, true))
		return false;
	mw_tls_taken(peer->tls);
	return true;
}

bool peer_send(struct server *server, struct peer *peer, const char *data, size_t len)
{
	if (!peer->tls || peer->held_raw) {
		peer->held_raw = false;
		return send_raw(server, peer, data, len, peer->tls != NULL);
	}
	mw_tls_write(peer->tls, data, len);
	return peer_send_tls(server, peer);
}

void peer_reset(struct server *server, struct peer *peer)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(peer->watched.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	peer_close(server, peer);
}
