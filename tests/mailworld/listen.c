/* Opens and closes the world's sockets: see serve_parts.h. */
#include "tests/mailworld/serve_parts.h"

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

enum { BACKLOG = 4096, PORT_TRIES = 20 };

static enum rc_status os_error(struct rc_error *err, const char *what, const char *which)
{
	return rc_error_set(err, RC_UNAVAILABLE, "%s %s: %s", what, which, strerror(errno));
}

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

/*
 * Where a domain's MX may point and nobody may ever connect to: they count, and hang up. Without
 * IPv6 on the machine there is no trap for it.
 */
static void open_traps(struct server *server)
{
	struct sockaddr_in6 loopback6 = { .sin6_family = AF_INET6,
					  .sin6_port = htons(server->smtp_port),
					  .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct rc_error err;
	uint16_t port = server->smtp_port;
	int on = 1, fd = bound_socket(SOCK_STREAM, INADDR_LOOPBACK, &port, &err);

	server->traps[0] = (struct watched){ TRAP, fd };
	if (fd < 0)
		fprintf(stderr, "mailworld: no trap: %s\n", err.text);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0 ||
			bind(fd, (struct sockaddr *)&loopback6, sizeof(loopback6)) < 0 ||
			listen(fd, BACKLOG) < 0)) {
		close(fd);
		fd = -1;
	}
	server->traps[1] = (struct watched){ TRAP, fd };
	if (fd < 0)
		fprintf(stderr, "mailworld: no trap at [::1]:%u: %s\n", server->smtp_port,
			strerror(errno));
	for (int i = 0; i < 2; i++)
		if (server->traps[i].fd >= 0)
			watch(server, &server->traps[i], EPOLLIN);
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

static bool world_points_home(const struct mw_world *world)
{
	for (size_t i = 0; i < world->host_count; i++)
		if (mw_behaviours[world->operators[world->hosts[i].operator_].behaviour].trap)
			return true;
	return false;
}

enum rc_status open_all(struct server *server, struct rc_error *err)
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
	if (status == RC_OK && world_points_home(server->world))
		open_traps(server);
	return status == RC_OK ? open_control(server, err) : status;
}

void close_all(struct server *server)
{
	int fds[] = { server->epoll,	   server->spare,      server->dns_udp.fd,
		      server->dns_tcp.fd,  server->signals.fd, server->control.fd,
		      server->traps[0].fd, server->traps[1].fd };

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
	while (server->late) {
		struct late_answer *late = server->late;

		server->late = late->next;
		free(late);
	}
	mw_tls_contexts_free(server->tls);
	free(server->listeners);
	free(server->timers);
	free(server->out.data);
	mw_memory_done(&server->memory);
	mw_stats_done(&server->stats);
	free(server);
}
