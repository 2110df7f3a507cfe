/*
 * serve_parts - what the files of the server share: its clients, their timers, and who does what.
 *
 * serve.c runs the loop, listen.c opens the sockets, peers.c keeps clients and their timers,
 * serve_smtp.c and serve_dns.c translate between octets and the cores smtp.c and dns.c. One
 * thread. A client belongs to the server and is gone after peer_close(); who may have closed it
 * says so by returning false.
 */
#ifndef MAILWORLD_SERVE_PARTS_H
#define MAILWORLD_SERVE_PARTS_H

#include "tests/mailworld/serve.h"
#include "tests/mailworld/smtp.h"
#include "tests/mailworld/tls.h"

#include <netinet/in.h>
#include <sys/types.h>

enum { MW_IN_MAX = 65536, MW_OUT_MAX = 1 << 20, MW_SWEEP_MS = 1000 };

enum kind { LISTENER = 1, TRAP, SESSION, DNS_UDP, DNS_TCP, DNS_TCP_CLIENT, SIGNALS, CONTROL };

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
	uint32_t stash_len, held_len, held_at;
	char *stash;	 /* octets read and not used yet */
	char *held;	 /* octets that are to be sent before anything else is read */
	uint64_t due_ms; /* when `held` may go out; 0: as soon as the socket takes it */
	uint64_t active_ms;
	size_t timer;	     /* its place in the heap, from 1; 0: none */
	bool held_raw;	     /* `held` is encrypted already */
	enum mw_next after;  /* what follows once `held` is out */
	bool drains;	     /* said all, waits for the client to close */
	bool mute;	     /* will never say another word, but stays */
	bool trickles;	     /* `held` goes out an octet a second, its last one for ever */
	const char *flood;   /* octets without end */
	bool waits_writable; /* EPOLLOUT is asked for */
	struct peer *previous, *next;
	struct mw_tls *tls;
	struct mw_session session;
};

/* A DNS answer that leaves late. */
struct late_answer {
	struct late_answer *next;
	uint64_t due_ms;
	struct sockaddr_in address;
	size_t len;
	uint8_t data[];
};

struct server {
	const struct mw_world *world;
	const struct mw_serve_options *options;
	struct mw_stats stats;
	struct mw_memory memory;
	struct mw_smtp smtp;
	struct mw_out out;
	struct mw_tls_contexts *tls;
	int epoll, spare; /* `spare`: a descriptor to give up when there are no more */
	struct listener *listeners;
	size_t listener_count;
	struct watched dns_udp, dns_tcp, signals, control, traps[2];
	struct peer peers;    /* head of the ring of all clients */
	struct peer *unused;  /* closed ones, by next */
	struct peer **timers; /* heap by due_ms, from 1 */
	size_t timer_count, timer_room;
	struct late_answer *late, **late_end;
	uint64_t now_ms, swept_ms, round;
	uint16_t dns_port, smtp_port;
	bool stops;
	char in[MW_IN_MAX];
};

/* ---- peers.c ---- */

void watch(struct server *server, struct watched *watched, uint32_t events);
/* Accepts without blocking, or turns one away when there are no descriptors left; -1: nobody. */
int accept_one(struct server *server, int listener, struct sockaddr_in *ret_address);
struct peer *peer_open(struct server *server, enum kind kind, int fd);
void peer_close(struct server *server, struct peer *peer);
/* Closes with a reset. */
void peer_reset(struct server *server, struct peer *peer);
/* Keeps a copy of what was read and is not used yet. */
void peer_stash(struct peer *peer, const char *data, size_t len);
/* Keeps a copy of what is to be sent later. */
void peer_hold(struct peer *peer, const char *data, size_t len);
void peer_want_writable(struct server *server, struct peer *peer);
/* Returns how much was sent, or -1 when the client is gone. */
ssize_t peer_send_some(struct peer *peer, const char *data, size_t len);
/* Sends, through TLS where it is on, or holds what the socket does not take. False: the peer is
 * closed. */
bool peer_send(struct server *server, struct peer *peer, const char *data, size_t len);
/* What TLS itself has to say. False: the peer is closed. */
bool peer_send_tls(struct server *server, struct peer *peer);
/* `timer_due` calls back for a peer whose time has come. */
void timer_start(struct server *server, struct peer *peer, uint64_t due_ms);
void timer_stop(struct server *server, struct peer *peer);

/* ---- serve_smtp.c ---- */

void on_listener(struct server *server, struct listener *listener);
void on_session(struct server *server, struct peer *peer, uint32_t events);
void session_due(struct server *server, struct peer *peer);

/* ---- serve_dns.c ---- */

void on_dns_udp(struct server *server);
void on_dns_tcp(struct server *server);
void read_dns(struct server *server, struct peer *peer);
/* Sends the late answers that are due; returns when the next one is, or UINT64_MAX. */
uint64_t send_late(struct server *server);

/* ---- listen.c ---- */

enum rc_status open_all(struct server *server, struct rc_error *err) RC_MUST_CHECK;
void close_all(struct server *server);

#endif
