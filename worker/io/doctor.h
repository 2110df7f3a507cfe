/*
 * doctor - looks at lanes, whether they are fit to probe: carries out what worker/fitness/fitness
 * asks, from the lane's own address.
 *
 * One look at a time for each lane. Never more than a greeting or two RCPT TO, and no target that
 * may not be connected to. Owner: the loop's thread.
 */
#ifndef WORKER_IO_DOCTOR_H
#define WORKER_IO_DOCTOR_H

#include <uv.h>

#include "common/address/target.h"
#include "worker/fitness/fitness.h"
#include "worker/io/config.h"
#include "worker/io/dns.h"
#include "worker/io/lanes.h"

struct doctor;
struct network;

struct doctor_settings {
	const char *target; /* ROLLCALL_DOCTOR_TARGET; NULL: the MX of MAIL FROM's domain */
	const char *dnsbls; /* ROLLCALL_DNSBLS; NULL: none */
	uint16_t port;
	const struct rc_target_list *allow; /* ROLLCALL_ALLOW_TARGETS */
	bool only_allowed;
};

struct doctor_settings doctor_settings_of(const struct worker_config *config,
					  const struct rc_target_list *allow);

/* `fitness` holds until the callback returns. */
typedef void doctor_done(struct lane *lane, const struct fitness *fitness, void *owner);

/* Strings of `settings` outlive it. RC_INVALID: a DNSBL that is no name. */
enum rc_status doctor_new(uv_loop_t *loop, struct network *network, struct dns *dns,
			  const struct doctor_settings *settings, doctor_done *done, void *owner,
			  struct doctor **ret_doctor, struct rc_error *err) RC_MUST_CHECK;
/* Looks under way end without a word. Takes NULL. */
void doctor_free(struct doctor *doctor);

/* Begins a look at `lane`, which outlives it, unless one is under way. False: out of memory. */
bool doctor_look(struct doctor *doctor, struct lane *lane);
size_t doctor_looking(const struct doctor *doctor);

#endif
