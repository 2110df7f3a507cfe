/*
 * domains - what is known of a mail domain, for every tenant: nothing of it names a person.
 */
#ifndef COORDINATOR_STORE_DOMAINS_H
#define COORDINATOR_STORE_DOMAINS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct db;
struct db_result;

/* Strings live as long as `memory`; NULL where nothing is known. Times in ms, 0: never. */
struct domain_view {
	int64_t first_seen_ms;
	const uint8_t *resolution; /* the Resolution message */
	size_t resolution_len;
	int64_t resolved_at_ms;
	const char *provider, *mx_group;
	int control; /* enum verdict_control; 0: not decided */
	int64_t control_at_ms;
	const char *control_lane;
	int64_t accepted_at_ms;
	struct db_result *memory;
};

/* `domain`: normalised. RC_NOT_FOUND: it was never looked up with success, nor probed. Free with
 * domains_done(). */
enum rc_status domains_get(struct db *db, const char *domain, struct domain_view *ret,
			   struct rc_error *err) RC_MUST_CHECK;
void domains_done(struct domain_view *view);

#endif
