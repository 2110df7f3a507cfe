/*
 * serve - the world on loopback sockets: DNS over UDP and TCP, SMTP on every MX address, one epoll
 * loop in one thread.
 *
 * Binds nothing outside 127/8, so the kernel itself lets nobody from outside in. Blocks in
 * mw_serve() until SIGTERM or SIGINT; SIGUSR1 writes the counters.
 */
#ifndef MAILWORLD_SERVE_H
#define MAILWORLD_SERVE_H

#include "common/base/status.h"
#include "tests/mailworld/world.h"

struct mw_serve_options {
	const char *dns;	/* ADDRESS:PORT; port 0: any, see the ready line */
	uint16_t smtp_port;	/* 0: any */
	const char *stats_path; /* rewritten on SIGUSR1 and at the end, or NULL */
	const char *control;	/* path of a Unix socket that answers every connection with the
				   counters, or NULL */
};

enum rc_status mw_serve(const struct mw_world *world, const struct mw_serve_options *options,
			struct rc_error *err) RC_MUST_CHECK;

#endif
