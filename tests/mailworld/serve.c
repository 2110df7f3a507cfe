/*
 * See serve.h. A session costs accept4, send, epoll_ctl, three times recv and send, and close;
 * waiting is shared. Listeners are level-triggered (one accept an event, unless the host is busy),
 * sessions edge-triggered, so that one that is held back does not wake us.
 */
#include "tests/mailworld/serve_parts.h"

#include "common/base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, IDLE_MS = 300 * 1000, DRAIN_MS = 5 * 1000 };

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

/* ---- the loop ---- */

static void on_trap(struct server *server, struct watched *trap)
{
	int fd = accept_one(server, trap->fd, NULL);

	if (fd < 0)
		return;
	server->stats.trapped++;
	close(fd);
}

static void on_event(struct server *server, struct watched *watched, uint32_t events)
{
	switch (watched->kind) {
	case LISTENER:
		on_listener(server, (struct listener *)watched);
		break;
	case TRAP:
		on_trap(server, watched);
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
		session_due(server, peer);
	}
	if (server->now_ms - server->swept_ms < MW_SWEEP_MS)
		return;
	server->swept_ms = server->now_ms;
	for (struct peer *peer = server->peers.next, *next; peer != &server->peers; peer = next) {
		next = peer->next;
		if (server->now_ms - peer->active_ms >
		    (peer->drains && !peer->mute ? DRAIN_MS : IDLE_MS))
			peer_close(server, peer);
	}
}

static int wait_ms(const struct server *server, uint64_t late_ms)
{
	uint64_t due = server->timer_count ? server->timers[1]->due_ms : UINT64_MAX;

	if (late_ms < due)
		due = late_ms;
	if (due <= server->now_ms)
		return 0;
	return due - server->now_ms < MW_SWEEP_MS ? (int)(due - server->now_ms) : MW_SWEEP_MS;
}

enum rc_status mw_serve(const struct mw_world *world, const struct mw_serve_options *options,
			struct rc_error *err)
{
	static struct epoll_event events[EVENTS];
	struct server *server = mw_alloc(1, sizeof(*server));
	uint64_t late_ms = UINT64_MAX;
	enum rc_status status;

	server->world = world;
	server->options = options;
	server->peers.next = server->peers.previous = &server->peers;
	server->out = (struct mw_out){ .data = mw_alloc(MW_OUT_MAX, 1), .room = MW_OUT_MAX };
	server->late_end = &server->late;
	server->traps[0].fd = server->traps[1].fd = -1;
	server->tls = mw_tls_contexts_new();
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
		int n = epoll_wait(server->epoll, events, EVENTS, wait_ms(server, late_ms));

		server->now_ms = rc_clock_mono_ms();
		server->round++;
		for (int i = 0; i < n; i++)
			on_event(server, events[i].data.ptr, events[i].events);
		run_timers(server);
		late_ms = send_late(server);
	}
	write_stats(server);
out:
	close_all(server);
	return status;
}
