/* DNS on sockets: see serve_parts.h. */
#include "tests/mailworld/serve_parts.h"

#include "tests/mailworld/dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { DATAGRAMS = 64, DATAGRAM_MAX = 2048 };

/* Every late answer is late by the same time, so that they leave in order. */
static void keep_late(struct server *server, const struct sockaddr_in *address, const uint8_t *data,
		      size_t len)
{
	struct late_answer *late = mw_alloc(1, sizeof(*late) + len);

	late->due_ms = server->now_ms + MW_DNS_LATE_MS;
	late->address = *address;
	late->len = len;
	memcpy(late->data, data, len);
	*server->late_end = late;
	server->late_end = &late->next;
}

uint64_t send_late(struct server *server)
{
	while (server->late && server->late->due_ms <= server->now_ms) {
		struct late_answer *late = server->late;

		(void)!sendto(server->dns_udp.fd, late->data, late->len, MSG_DONTWAIT,
			      (struct sockaddr *)&late->address, sizeof(late->address));
		server->late = late->next;
		if (!server->late)
			server->late_end = &server->late;
		free(late);
	}
	return server->late ? server->late->due_ms : UINT64_MAX;
}

void on_dns_udp(struct server *server)
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
		bool late = false;
		size_t len =
		    mw_dns_answer(server->world, &server->stats, queries[i], asked[i].msg_len, true,
				  answers[n], sizeof(answers[n]), &late);

		if (late)
			keep_late(server, &addresses[i], answers[n], len);
		if (!len || late)
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

void on_dns_tcp(struct server *server)
{
	struct sockaddr_in address;
	int fd = accept_one(server, server->dns_tcp.fd, &address);

	if (fd >= 0)
		watch(server, &peer_open(server, DNS_TCP_CLIENT, fd)->watched, EPOLLIN | EPOLLET);
}

void read_dns(struct server *server, struct peer *peer)
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
		bool late;

		if (len - at < 2 + frame_len)
			break;
		n = mw_dns_answer(server->world, &server->stats, frame + 2, frame_len, false,
				  answer + 2, MW_DNS_TCP_MAX, &late);
		answer[0] = (uint8_t)(n >> 8);
		answer[1] = (uint8_t)n;
		/* A client that asks and does not read gets no second chance. */
		if (n && peer_send_some(peer, (const char *)answer, n + 2) != (ssize_t)(n + 2)) {
			peer_close(server, peer);
			return;
		}
		at += 2 + frame_len;
	}
	peer_stash(peer, server->in + at, len - at);
}
