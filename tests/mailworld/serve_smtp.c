/* SMTP sessions on sockets: see serve_parts.h. */
#include "tests/mailworld/serve_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ACCEPTS = 32, TRICKLE_MS = 1000, FLOOD_CHUNK = 16384 };

static void read_session(struct server *server, struct peer *peer);

/* All was said. After QUIT the client reads and closes; otherwise it may be writing still, and a
 * reset would eat our reply. */
static void finish(struct server *server, struct peer *peer)
{
	if (peer->session.quit) {
		peer_close(server, peer);
		return;
	}
	peer->drains = true;
	peer->active_ms = server->now_ms;
	shutdown(peer->watched.fd, SHUT_WR);
}

/* ---- what hostile servers do ---- */

static const char *flood_of(bool lines)
{
	static char line[FLOOD_CHUNK + 1], many[FLOOD_CHUNK + 1];

	if (!line[0]) {
		static const char one[] = "250-and another line of it\r\n";

		memset(line, 'x', FLOOD_CHUNK);
		for (size_t i = 0; i < FLOOD_CHUNK; i++)
			many[i] = one[i % (sizeof(one) - 1)];
	}
	return lines ? many : line;
}

/* As long as the client takes it. The chunk of lines does not end with a line's end: the seam is
 * one long line, which is legal. */
static void flood(struct server *server, struct peer *peer)
{
	ssize_t sent;

	do {
		sent = peer_send_some(peer, peer->flood, FLOOD_CHUNK);
	} while (sent == FLOOD_CHUNK);
	if (sent < 0)
		peer_close(server, peer);
	else
		peer_want_writable(server, peer);
}

static void trickle(struct server *server, struct peer *peer)
{
	ssize_t sent = peer_send_some(peer, peer->held + peer->held_at, 1);

	if (sent < 0) {
		peer_close(server, peer);
		return;
	}
	if (sent && peer->held_at + 1 < peer->held_len)
		peer->held_at++;
	timer_start(server, peer, server->now_ms + TRICKLE_MS);
}

/* ---- replies ---- */

/* What comes after the reply that has just gone out. True: the next command may be read. */
static bool carry_out(struct server *server, struct peer *peer, enum mw_next next)
{
	switch (next) {
	case MW_GO_ON:
		return true;
	case MW_START_TLS:
		/* What came in plain text behind STARTTLS is not a command (RFC 3207, 4.2). */
		server->stats.plain_after_starttls += peer->stash_len > 0;
		peer_stash(peer, NULL, 0);
		peer->tls = mw_tls_new(server->tls, peer->session.tls_fault == MW_TLS_ALERT);
		return true;
	case MW_CLOSE:
		finish(server, peer);
		return false;
	case MW_RESET:
		peer_reset(server, peer);
		return false;
	case MW_HALF_CLOSE:
		shutdown(peer->watched.fd, SHUT_WR);
		/* fall through */
	case MW_MUTE:
		peer->drains = peer->mute = true;
		return true;
	case MW_TRICKLE:
		return false; /* peer_reply() has begun it */
	case MW_FLOOD_LINE:
	case MW_FLOOD_LINES:
		peer->flood = flood_of(next == MW_FLOOD_LINES);
		flood(server, peer);
		return false;
	}
	return false;
}

/* Sends the octets of `out`, those from `before` on later or slowly; then what `next` says. False:
 * the peer is closed or held back. */
static bool reply(struct server *server, struct peer *peer, size_t before, uint32_t delay_ms,
		  enum mw_next next)
{
	const struct mw_out *out = &server->out;
	bool later = delay_ms || next == MW_TRICKLE;

	peer->after = next;
	if (!peer_send(server, peer, out->data, later ? before : out->len))
		return false;
	if (later) {
		if (peer->held) { /* a client that does not read is not worth waiting for */
			peer_close(server, peer);
			return false;
		}
		peer_hold(peer, out->data + before, out->len - before);
		peer->trickles = next == MW_TRICKLE;
		timer_start(server, peer, server->now_ms + (delay_ms ? delay_ms : TRICKLE_MS));
		return false;
	}
	return !peer->held && carry_out(server, peer, next);
}

/* Returns false when nothing more is to be read for now: the peer is closed, or held back. */
static bool take_lines(struct server *server, struct peer *peer, const char *data, size_t len)
{
	struct mw_out *out = &server->out;
	size_t at = 0, before = 0;
	enum mw_next next = MW_GO_ON;
	uint32_t delay_ms = 0;

	out->len = 0;
	out->full = false;
	while (next == MW_GO_ON && !delay_ms) {
		const char *end = memchr(data + at, '\n', len - at);
		size_t line_len;

		if (!end)
			break;
		before = out->len;
		line_len = (size_t)(end - data) - at;
		if (line_len >= MW_LINE_MAX)
			break;
		if (line_len && end[-1] == '\r')
			line_len--;
		next = mw_smtp_line(&server->smtp, &peer->session, data + at, line_len,
				    (size_t)(end + 1 - data) < len, server->now_ms, out, &delay_ms);
		at = (size_t)(end + 1 - data);
	}
	if (next == MW_GO_ON && !delay_ms && (out->full || len - at >= MW_LINE_MAX))
		next = MW_CLOSE;
	if (len - at || peer->stash)
		peer_stash(peer, data + at, len - at);
	return reply(server, peer, before, delay_ms, next);
}

/* ---- reading ---- */

/* The first octets of a handshake, where the server is broken. False: it ends here. */
static bool handshake_goes_on(struct server *server, struct peer *peer)
{
	static const char rubbish[] = "this is no handshake, it is a sentence\r\n";

	switch (peer->session.tls_fault) {
	case MW_TLS_RUBBISH:
		if (peer_send_some(peer, rubbish, sizeof(rubbish) - 1) > 0)
			peer->drains = peer->mute = true;
		else
			peer_close(server, peer);
		return false;
	case MW_TLS_RESET:
		peer_reset(server, peer);
		return false;
	case MW_TLS_SILENT:
		peer->drains = peer->mute = true;
		return false;
	default:
		return true;
	}
}

/* What TLS has let through so far. False: nothing more is to be read for now. */
static bool take_plain(struct server *server, struct peer *peer)
{
	for (;;) {
		size_t kept = peer->stash_len, got;

		if (kept)
			memcpy(server->in, peer->stash, kept);
		got = mw_tls_read(peer->tls, server->in + kept, sizeof(server->in) - kept);
		if (!got)
			return true;
		if (!take_lines(server, peer, server->in, kept + got) || peer->drains)
			return false;
	}
}

static bool take_encrypted(struct server *server, struct peer *peer, const char *data, size_t len)
{
	bool was_ready = mw_tls_ready(peer->tls), sound;

	if (!was_ready && !handshake_goes_on(server, peer))
		return false;
	sound = mw_tls_feed(peer->tls, data, len);
	if (!peer_send_tls(server, peer))
		return false;
	if (!sound) {
		finish(server, peer);
		return false;
	}
	if (!was_ready && mw_tls_ready(peer->tls)) {
		server->stats.tls_sessions++;
		if (peer->session.tls_fault == MW_TLS_CUT_AFTER) {
			peer_reset(server, peer);
			return false;
		}
	}
	return !peer->held && take_plain(server, peer);
}

static void read_session(struct server *server, struct peer *peer)
{
	static char encrypted[16384];

	if (peer->tls && !peer->drains && mw_tls_ready(peer->tls) && !take_plain(server, peer))
		return;
	for (;;) {
		size_t kept = peer->tls ? 0 : peer->stash_len;
		char *to = peer->tls ? encrypted : server->in + kept;
		size_t room = peer->tls ? sizeof(encrypted) : sizeof(server->in) - kept;
		ssize_t got;

		if (kept)
			memcpy(server->in, peer->stash, kept);
		got = recv(peer->watched.fd, to, room, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			peer_close(server, peer);
			return;
		}
		if (peer->drains) {
			peer->stash_len = 0;
			continue;
		}
		peer->active_ms = server->now_ms;
		if (peer->tls ? !take_encrypted(server, peer, to, (size_t)got)
			      : !take_lines(server, peer, server->in, kept + (size_t)got))
			return;
		if ((size_t)got < room)
			return;
	}
}

/* What was held may go now; then what follows it, and the commands that waited behind it. */
static void resume(struct server *server, struct peer *peer)
{
	char *held = peer->held, *stashed;
	size_t stashed_len;
	bool go_on;

	peer->held = NULL;
	go_on = peer_send(server, peer, held, peer->held_len);
	free(held);
	if (!go_on || peer->held || !carry_out(server, peer, peer->after))
		return;
	stashed = peer->stash;
	stashed_len = peer->stash_len;
	peer->stash = NULL;
	peer->stash_len = 0;
	go_on = !stashed || peer->drains || take_lines(server, peer, stashed, stashed_len);
	free(stashed);
	if (go_on)
		read_session(server, peer);
}

void session_due(struct server *server, struct peer *peer)
{
	if (peer->trickles)
		trickle(server, peer);
	else
		resume(server, peer);
}

void on_session(struct server *server, struct peer *peer, uint32_t events)
{
	if (peer->flood)
		flood(server, peer);
	else if (!peer->held)
		read_session(server, peer);
	else if (events & (EPOLLERR | EPOLLHUP))
		peer_close(server, peer);
	else if (!peer->due_ms && (events & EPOLLOUT))
		resume(server, peer);
}

void on_listener(struct server *server, struct listener *listener)
{
	int tries = listener->round + 1 == server->round ? ACCEPTS : 1;
	struct sockaddr_in address;

	listener->round = server->round;
	while (tries--) {
		int fd = accept_one(server, listener->watched.fd, &address);
		struct peer *peer;
		enum mw_next next;
		uint32_t delay_ms = 0;

		if (fd < 0)
			return;
		peer = peer_open(server, SESSION, fd);
		server->out.len = 0;
		next = mw_smtp_start(&server->smtp, &peer->session, listener->host,
				     ntohl(address.sin_addr.s_addr), &server->out, &delay_ms);
		watch(server, &peer->watched, EPOLLIN | EPOLLET);
		reply(server, peer, 0, delay_ms, next);
	}
}
