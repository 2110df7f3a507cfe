/*
 * resolution - which hosts take mail for one domain (RFC 5321, 5.1; RFC 7505), as a walk of questions and answers.
 *
 * Pure: says what to ask, takes what was answered, and makes the Resolution of the report. The owner asks every question that
 * resolution_ask() gives, in any order and at once, and brings each answer back under its ticket; when resolution_done() is
 * true the result stands. Embedded; holds no memory of its own. At most 10 hosts and 20 addresses are kept. An MX whose name is
 * an IP address or no host name is kept with no address; addresses that fail the target check are left out. A public
 * address fails it by a setting of ours only (a time scale, pacing switched off): a domain that has no other has not been looked
 * up, rather than being unroutable. A CNAME behind an MX
 * name is followed, though RFC 2181 forbids it, because mail servers follow it.
 */
#ifndef WORKER_CORE_RESOLUTION_H
#define WORKER_CORE_RESOLUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rollcall.pb-c.h"
#include "worker/core/dns_answer.h"

struct rc_arena;

enum { RESOLUTION_HOSTS_MAX = 10, RESOLUTION_ADDRESSES_MAX = 20 };
enum { RESOLUTION_TTL_MIN_S = 60, RESOLUTION_TTL_MAX_S = 86400 };

/* Whether an address may be connected to. */
typedef bool resolution_allows(const void *context, const struct probe_ip *ip);

struct resolution_host {
	uint16_t preference;
	bool askable;
	char name[DNS_NAME_MAX];
	size_t ip_n;
	size_t forbidden_n;       /* addresses where no mail server may be: private ones and kin */
	enum dns_state failed;    /* what kept us from knowing; 0: nothing */
	struct probe_ip ip[RESOLUTION_ADDRESSES_MAX];
};

struct resolution {
	char domain[DNS_NAME_MAX];
	resolution_allows *allows;
	const void *context;
	Rollcall__ResolutionState state;  /* UNSET until done */
	bool implicit;
	bool mx_answered;
	unsigned asked;     /* questions given out so far */
	unsigned answered;  /* of them, brought back */
	uint32_t ttl_s;
	const char *detail;
	size_t host_n;
	struct resolution_host host[RESOLUTION_HOSTS_MAX];
};

/* `domain`: lower-case A-labels. One that is no name at all is NO_DOMAIN at once. `allows` NULL: every address may be used. */
void resolution_start(struct resolution *resolution, const char *domain, resolution_allows *allows,
		      const void *context);
/* The next question, or false: none now. `*ret_name` lives as long as the resolution. */
bool resolution_ask(struct resolution *resolution, const char **ret_name, enum dns_type *ret_type,
		    unsigned *ret_ticket);
void resolution_answer(struct resolution *resolution, unsigned ticket, const struct dns_answer *answer);
/* The time is over: what has no answer has failed. Answers that still come are ignored by the owner. */
void resolution_give_up(struct resolution *resolution);
bool resolution_done(const struct resolution *resolution);
/* Made in `arena`. NULL: out of memory. Only when done. */
Rollcall__Resolution *resolution_result(const struct resolution *resolution, struct rc_arena *arena,
					int64_t wall_ms);

#endif
