/*
 * See serve.h. A session costs accept4, send, epoll_ctl, three times recv and send, and close;
 * waiting is shared. Listeners are level-triggered (one accept an event, unless the host is busy),
 * sessions edge-triggered, so that one that is held back does not wake us.
 */
#include "tests/mailworld/serve.h"

#include "common/base/clock.h"
#include "tests/mailworld/dns.h"
#include "tests/mailworld/smtp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	EVENTS = 512,
	ACCEPTS = 32,
	DATAGRAMS = 64,
	DATAGRAM_MAX = 2048,
	IN_MAX = 65536,
	OUT_MAX = 1 << 20,
	BACKLOG = 4096,
	PORT_TRIES = 20,
	SWEEP_MS = 1000,
	IDLE_MS = 300 * 1000,
	DRAIN_MS = 5 * 1000
};

enum kind { LISTENER = 1, SESSION, DNS_UDP, DNS_TCP, DNS_TCP_CLIENT, SIGNALS, CONTROL };

/* Whatever epoll watches begins like this. */
struct watched {
	enum kind kind;
	int fd;
};

struct listener {
	struct watched watched;
	uint32_t host;
	uint64_t round; /* the last one that brought it a connection */
};

/* A TCP client: of SMTP or of DNS. */
struct peer {
	struct watched watched;
	uint32_t stash_len, held_len;
	char *stash;	 /* octets read and not used yet */
	char *held;	 /* octets that are to be sent before anything else is read */
	uint64_t due_ms; /* when `held` may go out; 0: as soon as the socket takes it */
	uint64_t active_ms;
	size_t timer;	     /* its place in the heap, from 1; 0: none */
	bool closing;	     /* after `held`, no more commands */
	bool drains;	     /* said all, waits for the client to close */
	bool waits_writable; /* EPOLLOUT is asked for */
	struct peer *previous, *next;
	struct mw_session session;
};

struct server {
	const struct mw_world *world;
	const struct mw_serve_options *options;
	struct mw_stats stats;
	struct mw_memory memory;
	struct mw_smtp smtp;
	struct mw_out out;
	int epoll, spare; /* `spare`: a descriptor to give up when there are no more */
	struct listener *listeners;
	size_t listener_count;
	struct watched dns_udp, dns_tcp, signals, control;
	struct peer peers;    /* head of the ring of all clients */
	struct peer *unused;  /* closed ones, by next */
	struct peer **timers; /* heap by due_ms, from 1 */
	size_t timer_count, timer_room;
	uint64_t now_ms, swept_ms, round;
	uint16_t dns_port, smtp_port;
	bool stops;
	char in[IN_MAX];
};

static enum rc_status os_error(struct rc_error *err, const char *what, const char *which)
{
	return rc_error_set(err, RC_UNAVAILABLE, "%s %s: %s", what, which, strerror(errno));
}

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

static void timer_start(struct server *server, struct peer *peer, uint64_t due_ms)
{
	if (server->timer_count + 1 >= server->timer_room) {
		server->timer_room = server->timer_room ? server->timer_room * 2 : 64;
		server->timers =
		    mw_realloc(server->timers, server->timer_room, sizeof(struct peer *));
	}
	peer->due_ms = due_ms;
	timer_sift(server, peer, ++server->timer_count);
}

static void timer_stop(struct server *server, struct peer *peer)
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

static struct peer *peer_open(struct server *server, enum kind kind, int fd)
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

static void peer_close(struct server *server, struct peer *peer)
{
	if (peer->watched.kind == SESSION)
		mw_smtp_end(&server->smtp, &peer->session, server->now_ms);
	timer_stop(server, peer);
	close(peer->watched.fd);
	free(peer->stash);
	free(peer->held);
	peer->previous->next = peer->next;
	peer->next->previous = peer->previous;
	peer->next = server->unused;
	server->unused = peer;
}

static void watch(struct server *server, struct watched *watched, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watched };

	if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, watched->fd, &event) < 0) {
		perror("mailworld: epoll_ctl");
		abort();
	}
}

static void stash(struct peer *peer, const char *data, size_t len)
{
	char *copy = len ? mw_alloc(len, 1) : NULL;

	if (len)
		memcpy(copy, data, len);
	free(peer->stash);
	peer->stash = copy;
	peer->stash_len = (uint32_t)len;
}

static void hold(struct peer *peer, const char *data, size_t len)
{
	char *copy = mw_alloc(len, 1);

	memcpy(copy, data, len);
	free(peer->held);
	peer->held = copy;
	peer->held_len = (uint32_t)len;
}

/* Returns how much was sent, or -1 when the client is gone. */
static ssize_t send_some(struct peer *peer, const char *data, size_t len)
{
	ssize_t sent = len ? send(peer->watched.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static void want_writable(struct server *server, struct peer *peer)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
				     .data.ptr = &peer->watched };

	if (!peer->waits_writable)
		epoll_ctl(server->epoll, EPOLL_CTL_MOD, peer->watched.fd, &event);
	peer->waits_writable = true;
}

/* Sends, or holds what the socket does not take. False: the peer is closed. */
static bool send_or_hold(struct server *server, struct peer *peer, const char *data, size_t len)
{
	ssize_t sent = send_some(peer, data, len);

	if (sent < 0) {
		peer_close(server, peer);
		return false;
	}
	if ((size_t)sent == len)
		return true;
	hold(peer, data + sent, len - (size_t)sent);
	peer->due_ms = 0;
	want_writable(server, peer);
	return true;
}

/* All was said. After QUIT the client reads and closes; otherwise it may be writing still, and a
 * reset would eat our reply. */
static void finish(struct server *server, struct peer *peer, bool quit)
{
	if (quit) {
		peer_close(server, peer);
		return;
	}
	peer->drains = true;
	peer->active_ms = server->now_ms;
	shutdown(peer->watched.fd, SHUT_WR);
}

/* ---- SMTP ---- */

/* What a slowed reply leaves behind: what came before it goes out, it waits, and so does the input.
 */
static void slow_down(struct server *server, struct peer *peer, size_t before, uint32_t delay_ms)
{
	const struct mw_out *out = &server->out;

	if (send_some(peer, out->data, before) != (ssize_t)before) {
		peer_close(server, peer);
		return;
	}
	hold(peer, out->data + before, out->len - before);
	timer_start(server, peer, server->now_ms + delay_ms);
}

/* Returns false when nothing more is to be read for now: the peer is closed, or held back. */
static bool take_lines(struct server *server, struct peer *peer, const char *data, size_t len)
{
	struct mw_out *out = &server->out;
	size_t at = 0;
	uint64_t quits = server->stats.sessions_quit;
	bool closing = false;

	out->len = 0;
	out->full = false;
	while (!closing) {
		const char *end = memchr(data + at, '\n', len - at);
		size_t line_len, before = out->len;
		uint32_t delay_ms;

		if (!end)
			break;
		line_len = (size_t)(end - data) - at;
		if (line_len >= MW_LINE_MAX)
			break;
		if (line_len && end[-1] == '\r')
			line_len--;
		closing = mw_smtp_line(&server->smtp, &peer->session, data + at, line_len,
				       (size_t)(end + 1 - data) < len, server->now_ms, out,
				       &delay_ms) == MW_CLOSE;
		at = (size_t)(end + 1 - data);
		if (delay_ms) {
			stash(peer, data + at, len - at);
			peer->closing = closing;
			slow_down(server, peer, before, delay_ms);
			return false;
		}
	}
	closing |= out->full || len - at >= MW_LINE_MAX;
	if (len - at || peer->stash)
		stash(peer, data + at, len - at);
	peer->closing = closing;
	if (!send_or_hold(server, peer, out->data, out->len) || peer->held)
		return false;
	if (closing)
		finish(server, peer, server->stats.sessions_quit != quits);
	return !closing;
}

static void read_session(struct server *server, struct peer *peer)
{
	for (;;) {
		size_t kept = peer->stash_len, room = sizeof(server->in) - kept;
		ssize_t got;

		if (kept)
			memcpy(server->in, peer->stash, kept);
		got = recv(peer->watched.fd, server->in + kept, room, MSG_DONTWAIT);
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
		if (!take_lines(server, peer, server->in, kept + (size_t)got) || (size_t)got < room)
			return;
	}
}

/* What was held may go now; then the commands that waited behind it. */
static void resume_session(struct server *server, struct peer *peer)
{
	char *held = peer->held, *stashed = peer->stash;
	size_t held_len = peer->held_len, stashed_len = peer->stash_len;
	bool go_on;

	peer->held = peer->stash = NULL;
	peer->held_len = peer->stash_len = 0;
	go_on = send_or_hold(server, peer, held, held_len);
	free(held);
	if (!go_on) {
		free(stashed);
		return;
	}
	if (peer->held || peer->closing) {
		peer->stash = stashed;
		peer->stash_len = (uint32_t)stashed_len;
		if (!peer->held)
			finish(server, peer, false);
		return;
	}
	go_on = !stashed || take_lines(server, peer, stashed, stashed_len);
	free(stashed);
	if (go_on)
		read_session(server, peer);
}

static void on_session(struct server *server, struct peer *peer, uint32_t events)
{
	if (!peer->held) {
		read_session(server, peer);
		return;
	}
	if (events & (EPOLLERR | EPOLLHUP))
		peer_close(server, peer);
	else if (!peer->due_ms && (events & EPOLLOUT))
		resume_session(server, peer);
}

static int accept_one(struct server *server, int listener, struct sockaddr_in *ret_address)
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

static void on_listener(struct server *server, struct listener *listener)
{
	int tries = listener->round + 1 == server->round ? ACCEPTS : 1;
	struct sockaddr_in address;

	listener->round = server->round;
	while (tries--) {
		int fd = accept_one(server, listener->watched.fd, &address);
		struct peer *peer;
		enum mw_next next;

		if (fd < 0)
			return;
		peer = peer_open(server, SESSION, fd);
		server->out.len = 0;
		next = mw_smtp_start(&server->smtp, &peer->session, listener->host,
				     ntohl(address.sin_addr.s_addr), &server->out);
		watch(server, &peer->watched, EPOLLIN | EPOLLET);
		if (!send_or_hold(server, peer, server->out.data, server->out.len))
			continue;
		if (next == MW_CLOSE)
			finish(server, peer, false);
	}
}

/* ---- DNS ---- */

static void on_dns_udp(struct server *server)
{
	static uint8_t queries[DATAGRAMS][DATAGRAM_MAX], answers[DATAGRAMS][MW_DNS_UDP_MAX];
	static struct sockaddr_in addresses[DATAGRAMS];
	static struct iovec in[DATAGRAMS], out[DATAGRAMS];
	static struct mmsghdr asked[DATAGRAMS], said[DATAGRAMS];
	unsigned n = 0;
	int got;

	for (size_t i = 0; i < DATAGRAMS; i++) {
		in[i] = (struct iovec){ queries[i], DATAGRAM_MAX };
		asked[i].msg_hdr = (struct msghdr){ .msg_name = &addresses[i],
						    .msg_namelen = sizeof(addresses[i]),
						    .msg_iov = &in[i],
						    .msg_iovlen = 1 };
	}
	got = recvmmsg(server->dns_udp.fd, asked, DATAGRAMS, MSG_DONTWAIT, NULL);
	for (int i = 0; i < got; i++) {
		size_t len = mw_dns_answer(server->world, &server->stats, queries[i],
					   asked[i].msg_len, true, answers[n], sizeof(answers[n]));

		if (!len)
			continue;
		out[n] = (struct iovec){ answers[n], len };
		said[n].msg_hdr = (struct msghdr){ .msg_name = &addresses[i],
						   .msg_namelen = asked[i].msg_hdr.msg_namelen,
						   .msg_iov = &out[n],
						   .msg_iovlen = 1 };
		n++;
	}
	/* What does not go out is a lost datagram, as in life. */
	if (n)
		(void)!sendmmsg(server->dns_udp.fd, said, n, MSG_DONTWAIT);
}

static void on_dns_tcp(struct server *server)
{
	struct sockaddr_in address;
	int fd = accept_one(server, server->dns_tcp.fd, &address);

	if (fd >= 0)
		watch(server, &peer_open(server, DNS_TCP_CLIENT, fd)->watched, EPOLLIN | EPOLLET);
}

static void read_dns(struct server *server, struct peer *peer)
{
	static uint8_t answer[2 + MW_DNS_TCP_MAX];
	size_t len, at = 0;

	if (peer->stash_len)
		memcpy(server->in, peer->stash, peer->stash_len);
	len = peer->stash_len;
	for (;;) {
		ssize_t got = recv(peer->watched.fd, server->in + len, sizeof(server->in) - len,
				   MSG_DONTWAIT);

		if (got < 0 && errno == EAGAIN)
			break;
		if (got <= 0 || len + (size_t)got == sizeof(server->in)) {
			peer_close(server, peer);
			return;
		}
		len += (size_t)got;
	}
	peer->active_ms = server->now_ms;
	while (len - at >= 2) {
		const uint8_t *frame = (const uint8_t *)server->in + at;
		size_t frame_len = (size_t)(frame[0] << 8 | frame[1]), n;

		if (len - at < 2 + frame_len)
			break;
		n = mw_dns_answer(server->world, &server->stats, frame + 2, frame_len, false,
				  answer + 2, MW_DNS_TCP_MAX);
		answer[0] = (uint8_t)(n >> 8);
		answer[1] = (uint8_t)n;
		/* A client that asks and does not read gets no second chance. */
		if (n && send_some(peer, (const char *)answer, n + 2) != (ssize_t)(n + 2)) {
			peer_close(server, peer);
			return;
		}
		at += 2 + frame_len;
	}
	stash(peer, server->in + at, len - at);
}

/* ---- counters ---- */

static void write_stats(struct server *server)
{
	char *json = mw_stats_json(&server->stats, server->world), temporary[4096];
	FILE *file;

	printf("%s\n", json);
	fflush(stdout);
	if (server->options->stats_path) {
		snprintf(temporary, sizeof(temporary), "%s.new", server->options->stats_path);
		file = fopen(temporary, "w");
		if (!file || fprintf(file, "%s\n", json) < 0 || fclose(file) != 0 ||
		    rename(temporary, server->options->stats_path) != 0)
			perror("mailworld: cannot write the counters");
	}
	free(json);
}

static void on_control(struct server *server)
{
	int fd = accept4(server->control.fd, NULL, NULL, SOCK_CLOEXEC);
	char *json;

	if (fd < 0)
		return;
	json = mw_stats_json(&server->stats, server->world);
	(void)!send(fd, json, strlen(json), MSG_NOSIGNAL | MSG_DONTWAIT);
	free(json);
	close(fd);
}

static void on_signal(struct server *server)
{
	struct signalfd_siginfo info;

	while (read(server->signals.fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1)
			write_stats(server);
		else
			server->stops = true;
	}
}

/* ---- set-up ---- */

static int bound_socket(int type, uint32_t ip, uint16_t *port, struct rc_error *err)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(*port),
				       .sin_addr.s_addr = htonl(ip) };
	socklen_t len = sizeof(address);
	int on = 1, off = 0, fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[32];

	snprintf(text, sizeof(text), "%u.%u.%u.%u:%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
		 ip & 255, *port);
	if (ip >> 24 != 127) {
		rc_error_set(err, RC_DENIED,
			     "mailworld listens on loopback addresses only, not on %s", text);
		goto failed;
	}
	/* Not for UDP, where it would let two of us share one port. */
	if (fd < 0 ||
	    (type == SOCK_STREAM &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
		os_error(err, "cannot listen on", text);
		goto failed;
	}
	if (type == SOCK_STREAM) {
		/* Accepted sockets inherit both: replies leave at once, and carry the
		 * acknowledgement of what they answer. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
		if (listen(fd, BACKLOG) < 0) {
			os_error(err, "cannot listen on", text);
			goto failed;
		}
	}
	*port = ntohs(address.sin_port);
	return fd;
failed:
	if (fd >= 0)
		close(fd);
	return -1;
}

static enum rc_status open_dns(struct server *server, struct rc_error *err)
{
	const char *colon = strrchr(server->options->dns, ':');
	struct in_addr address;
	char host[64], *end;
	unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
	int size = 1 << 22;

	snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - server->options->dns) : 0,
		 server->options->dns);
	if (!colon || !colon[1] || *end || port > 65535 || inet_pton(AF_INET, host, &address) != 1)
		return rc_error_set(err, RC_INVALID,
				    "--dns takes ADDRESS:PORT, such as 127.0.0.1:5353, not %s",
				    server->options->dns);
	/* A port that is free for UDP may be taken for TCP: with port 0, another one is as good. */
	for (int tries = port ? 1 : PORT_TRIES; tries && server->dns_tcp.fd <= 0; tries--) {
		server->dns_port = (uint16_t)port;
		server->dns_udp =
		    (struct watched){ DNS_UDP, bound_socket(SOCK_DGRAM, ntohl(address.s_addr),
							    &server->dns_port, err) };
		if (server->dns_udp.fd < 0)
			return err->status;
		server->dns_tcp =
		    (struct watched){ DNS_TCP, bound_socket(SOCK_STREAM, ntohl(address.s_addr),
							    &server->dns_port, err) };
		if (server->dns_tcp.fd < 0)
			close(server->dns_udp.fd);
	}
	if (server->dns_tcp.fd < 0) {
		server->dns_udp.fd = -1;
		return err->status;
	}
	setsockopt(server->dns_udp.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(server->dns_udp.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	watch(server, &server->dns_udp, EPOLLIN);
	watch(server, &server->dns_tcp, EPOLLIN);
	return RC_OK;
}

static enum rc_status open_smtp(struct server *server, struct rc_error *err)
{
	const struct mw_world *world = server->world;

	server->smtp_port = server->options->smtp_port;
	server->listeners = mw_alloc(world->host_count, sizeof(*server->listeners));
	for (size_t i = 0; i < world->host_count; i++) {
		struct listener *listener = &server->listeners[server->listener_count];

		if (!world->hosts[i].listens)
			continue;
		*listener = (struct listener){ .host = (uint32_t)i, .watched = { LISTENER, -1 } };
		listener->watched.fd =
		    bound_socket(SOCK_STREAM, world->hosts[i].ip, &server->smtp_port, err);
		if (listener->watched.fd < 0)
			return err->status;
		server->listener_count++;
		watch(server, &listener->watched, EPOLLIN);
	}
	return RC_OK;
}

static enum rc_status open_control(struct server *server, struct rc_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = server->options->control;

	if (!path)
		return RC_OK;
	if (strlen(path) >= sizeof(address.sun_path))
		return rc_error_set(err, RC_INVALID,
				    "--control: a socket's path has at most 107 octets");
	strcpy(address.sun_path, path);
	unlink(path);
	server->control =
	    (struct watched){ CONTROL,
			      socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
	if (server->control.fd < 0 ||
	    bind(server->control.fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(server->control.fd, 16) < 0)
		return os_error(err, "cannot listen on", path);
	watch(server, &server->control, EPOLLIN);
	return RC_OK;
}

static enum rc_status open_all(struct server *server, struct rc_error *err)
{
	struct rlimit files;
	sigset_t signals;
	enum rc_status status;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	server->signals =
	    (struct watched){ SIGNALS, signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC) };
	if (server->epoll < 0 || server->signals.fd < 0)
		return os_error(err, "cannot make", "an epoll or signal descriptor");
	watch(server, &server->signals, EPOLLIN);
	status = open_dns(server, err);
	if (status == RC_OK)
		status = open_smtp(server, err);
	return status == RC_OK ? open_control(server, err) : status;
}

static void close_all(struct server *server)
{
	int fds[] = { server->epoll,	  server->spare,      server->dns_udp.fd,
		      server->dns_tcp.fd, server->signals.fd, server->control.fd };

	while (server->peers.next != &server->peers)
		peer_close(server, server->peers.next);
	while (server->unused) {
		struct peer *peer = server->unused;

		server->unused = peer->next;
		free(peer);
	}
	for (size_t i = 0; i < server->listener_count; i++)
		close(server->listeners[i].watched.fd);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] > 0)
			close(fds[i]);
	if (server->control.fd > 0)
		unlink(server->options->control);
	free(server->listeners);
	free(server->timers);
	free(server->out.data);
	mw_memory_done(&server->memory);
	mw_stats_done(&server->stats);
	free(server);
}

/* ---- the loop ---- */

static void on_event(struct server *server, struct watched *watched, uint32_t events)
{
	switch (watched->kind) {
	case LISTENER:
		on_listener(server, (struct listener *)watched);
		break;
	case SESSION:
		on_session(server, (struct peer *)watched, events);
		break;
	case DNS_UDP:
		on_dns_udp(server);
		break;
	case DNS_TCP:
		on_dns_tcp(server);
		break;
	case DNS_TCP_CLIENT:
		read_dns(server, (struct peer *)watched);
		break;
	case SIGNALS:
		on_signal(server);
		break;
	case CONTROL:
		on_control(server);
		break;
	}
}

static void run_timers(struct server *server)
{
	while (server->timer_count && server->timers[1]->due_ms <= server->now_ms) {
		struct peer *peer = server->timers[1];

		timer_stop(server, peer);
		resume_session(server, peer);
	}
	if (server->now_ms - server->swept_ms < SWEEP_MS)
		return;
	server->swept_ms = server->now_ms;
	for (struct peer *peer = server->peers.next, *next; peer != &server->peers; peer = next) {
		next = peer->next;
		if (server->now_ms - peer->active_ms > (peer->drains ? DRAIN_MS : IDLE_MS))
			peer_close(server, peer);
	}
}

static int wait_ms(const struct server *server)
{
	uint64_t due = server->timer_count ? server->timers[1]->due_ms : UINT64_MAX;

	if (due <= server->now_ms)
		return 0;
	return due - server->now_ms < SWEEP_MS ? (int)(due - server->now_ms) : SWEEP_MS;
}

enum rc_status mw_serve(const struct mw_world *world, const struct mw_serve_options *options,
			struct rc_error *err)
{
	static struct epoll_event events[EVENTS];
	struct server *server = mw_alloc(1, sizeof(*server));
	enum rc_status status;

	server->world = world;
	server->options = options;
	server->peers.next = server->peers.previous = &server->peers;
	server->out = (struct mw_out){ .data = mw_alloc(OUT_MAX, 1), .room = OUT_MAX };
	mw_stats_init(&server->stats, world);
	mw_memory_init(&server->memory, world, &server->stats);
	server->smtp = (struct mw_smtp){ &server->memory, &server->stats, world };
	server->now_ms = server->swept_ms = rc_clock_mono_ms();
	status = open_all(server, err);
	if (status != RC_OK)
		goto out;
	printf("mailworld ready dns=%.*s:%u smtp=%u mx=%zu\n",
	       (int)(strrchr(options->dns, ':') - options->dns), options->dns, server->dns_port,
	       server->smtp_port, server->listener_count);
	fflush(stdout);
	while (!server->stops) {
		int n = epoll_wait(server->epoll, events, EVENTS, wait_ms(server));

		server->now_ms = rc_clock_mono_ms();
		server->round++;
		for (int i = 0; i < n; i++)
			on_event(server, events[i].data.ptr, events[i].events);
		run_timers(server);
	}
	write_stats(server);
out:
	close_all(server);
	return status;
}
