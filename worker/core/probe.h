/*
 * probe - one probe shard as a state machine: MX plan, sessions one after another, controls, the
 * short retries, and the numbered parts of the report.
 *
 * Performs no I/O and keeps no clock. The owner (worker/io) feeds events with the time in and then
 * calls probe_next() until it says PROBE_WAIT or PROBE_DONE, carrying out each action; it calls
 * probe_on_time() no later than probe_deadline(). One owner, one thread. At most one connection at
 * a time: a shard is one domain, and parallelism is between shards. All memory hangs on the shard's
 * arena and goes with probe_free(). A server's refusal is evidence, never an error of ours; when
 * memory runs out the shard ends early with what is unanswered reported as not probed.
 */
#ifndef WORKER_CORE_PROBE_H
#define WORKER_CORE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rollcall.pb-c.h"
#include "worker/core/pacer.h"

struct rc_rules;
struct rc_providers;
struct rc_target_list;
struct probe;

struct probe_ip {
	int family;	    /* 4 or 6 */
	uint8_t octets[16]; /* network order; the first 4 for family 4 */
};

/*
 * How long one step of a conversation may take, in ms; 0: the default, which is in brackets. RFC
 * 5321, 4.5.3.2 asks for minutes, meant for mail that waits in a queue; ours are shorter.
 */
struct probe_limits {
	uint32_t resolve_ms;   /* a look-up [30000] */
	uint32_t connect_ms;   /* [30000] */
	uint32_t greeting_ms;  /* [75000] */
	uint32_t ehlo_ms;      /* EHLO, HELO [30000] */
	uint32_t starttls_ms;  /* the reply to STARTTLS [30000] */
	uint32_t handshake_ms; /* the TLS handshake, all of it [30000] */
	uint32_t mail_ms;      /* [30000] */
	uint32_t rcpt_ms;      /* each reply [60000] */
	uint32_t quit_ms;      /* [2000] */
};

/* When a conversation is sealed by STARTTLS (RFC 3207). */
enum probe_starttls {
	PROBE_STARTTLS_NEVER = 1, /* a server that demands it is not asked; 0 is read so too */
	PROBE_STARTTLS_REQUIRED,  /* only where the server demands it */
	PROBE_STARTTLS_OFFERED,	  /* wherever it is offered; in plain text where it does not work */
	PROBE_STARTTLS_ALWAYS /* no MAIL without it: where it is not to be had, that is the answer
			       */
};

/* Of a handshake that has succeeded. Static text. */
struct probe_tls {
	const char *version;	/* "TLSv1.3" */
	const char *cipher;	/* "TLS_AES_256_GCM_SHA384" */
	const char *unverified; /* why the certificate proves nothing; NULL: it does. Noted only */
};

/* Shared by all shards of the process, read only. */
struct probe_config {
	const struct rc_rules *rules;
	const struct rc_providers *providers;
	const struct rc_target_list *allow; /* ROLLCALL_ALLOW_TARGETS */
	bool only_allowed;   /* TIME_SCALE other than 1, or PACE=off: connect only to `allow` */
	bool pace;	     /* false: PACE=off, budgets' standing limits do not count */
	uint32_t time_scale; /* divides every wait before another attempt, as its timer is armed;
				never time limits */
	uint32_t port;	     /* for the evidence */
	bool transcript;     /* keep every line of every session */
	enum probe_starttls starttls;
	struct probe_limits limits;
};

/* The lane: one sending identity. Strings outlive the probe. */
struct probe_identity {
	const char *lane_name;
	const char *worker;
	const char *source_ip; /* text, as bound */
	int family;	       /* 4 or 6: what the lane can connect to */
	const char *helo;
	const char *mail_from;
};

enum probe_action {
	PROBE_WAIT = 1, /* nothing to do before probe_deadline() or the next event */
	PROBE_RESOLVE,	/* look up addresses of todo.host (A or AAAA by the lane's family), then
			   probe_on_addresses(); or, with  todo.host empty, the MX set of the shard's
			   domain, then probe_on_mx() */
	PROBE_SLOT,	/* ask the pacer for leave to connect; when it comes, probe_on_slot() */
	PROBE_CONNECT,	/* connect to todo.ip from the lane's address; it has been checked just now
			 */
	PROBE_SEND,	/* send todo.data, todo.len octets; they stay valid until the next event */
	PROBE_TLS,   /* start TLS as the client on the open connection, for the name todo.host; then
			probe_on_tls(), or   probe_on_closed() with TLS. What is read before the
			server's first record belongs to nobody: it   may be fed to probe_on_data(),
			which counts it and throws it away (CVE-2011-0411) */
	PROBE_CLOSE, /* close the connection, give the slot back; the close itself is not reported
			to the probe */
	PROBE_REPORT, /* send todo.report; the probe owns it until the next probe_next() */
	PROBE_DONE    /* the final part has gone; free it */
};

struct probe_todo {
	const char *host;
	struct probe_ip ip;
	const char *data;
	size_t len;
	const Rollcall__Report *report;
	uint32_t recipients; /* PROBE_SLOT: how many RCPT the session may send, for the pacer */
};

/*
 * Takes `shard` (unpacked with the default allocator; the probe frees it). `seed` seeds the random
 * local part. NULL: out of memory, or a shard that breaks the message's rules; the shard is then
 * still the caller's.
 */
struct probe *probe_new(const struct probe_config *config, const struct probe_identity *identity,
			Rollcall__Shard *shard, uint64_t seed, uint64_t now_ms, int64_t wall_ms);
/* Takes NULL. */
void probe_free(struct probe *probe);

enum probe_action probe_next(struct probe *probe, uint64_t now_ms, struct probe_todo *ret_todo);
/* When probe_on_time() is due, in ms of the caller's clock; UINT64_MAX: never. */
uint64_t probe_deadline(const struct probe *probe);

void probe_on_time(struct probe *probe, uint64_t now_ms);
/* The MX set (state and hosts as in a resolve shard's report). */
void probe_on_mx(struct probe *probe, const Rollcall__Resolution *resolution, uint64_t now_ms);
/* Addresses of the host asked for; n = 0: none. `failed`: the resolver did not answer. */
void probe_on_addresses(struct probe *probe, const struct probe_ip *ips, size_t n, bool failed,
			uint64_t now_ms);
void probe_on_slot(struct probe *probe, uint64_t now_ms);
void probe_on_connected(struct probe *probe, uint64_t now_ms);
/* After PROBE_TLS: from here on probe_on_data() takes, and PROBE_SEND gives, what is inside of TLS.
 */
void probe_on_tls(struct probe *probe, const struct probe_tls *info, uint64_t now_ms);
/* After PROBE_CONNECT or while connected. `failure`: REFUSED, TIMEOUT, CLOSED, TLS, LOCAL. */
void probe_on_closed(struct probe *probe, Rollcall__Failure failure, uint64_t now_ms);
void probe_on_data(struct probe *probe, const char *data, size_t len, uint64_t now_ms);
/* SIGTERM: QUIT where connected, the rest is reported as not probed. */
void probe_stop(struct probe *probe, uint64_t now_ms);
/* The lane's lease has ended: no further command, not even QUIT; PROBE_CLOSE and PROBE_DONE follow,
 * without a report. */
void probe_cut(struct probe *probe, uint64_t now_ms);

/* For logs and pacing. */
uint64_t probe_shard_id(const struct probe *probe);
const char *probe_mx_group(const struct probe *probe);
const Rollcall__Budget *probe_budget(const struct probe *probe); /* NULL: none came */
const char *probe_domain(const struct probe *probe);
/* Of the connection that has just ended: RCPTs sent in it, and how it went. */
enum pacer_outcome probe_session_outcome(const struct probe *probe, uint32_t *ret_rcpts);
/* The pacer's circuit is open towards this group, for so long (0: it is not): goes out with the
 * next part. */
void probe_set_throttled(struct probe *probe, uint64_t retry_in_ms);
/* Octets that it holds, the unpacked shard not counted. */
size_t probe_memory(const struct probe *probe);
/* "waiting for the greeting": static text. */
const char *probe_doing(const struct probe *probe);

#endif
