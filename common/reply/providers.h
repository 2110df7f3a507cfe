/*
 * providers - who runs a domain's mail servers and how he treats strangers: the profiles of
 * data/providers.
 *
 * Made once by rc_providers_load(), read only afterwards, from any number of threads. Loading fails
 * with a sentence that names file, line and reason; looking up cannot fail. A profile's pointers
 * live as long as the set.
 */
#ifndef RC_REPLY_PROVIDERS_H
#define RC_REPLY_PROVIDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

enum rc_honesty {
	RC_HONEST = 1,	 /* a 250 means what it says, where the control was refused */
	RC_INCONSISTENT, /* a 250 counts only with a control refused on the same lane within 10
			    minutes */
	RC_MISLEADING	 /* a 250 means nothing: a sample is probed, the rest are called without a
			    connection */
};

enum rc_catch_all {
	RC_CATCH_ALL_BY_DOMAIN =
	    1,		       /* some domains take every name: each has a control of its own */
	RC_CATCH_ALL_NEVER,    /* none does: a control that is accepted is to be seen twice */
	RC_CATCH_ALL_EVERYBODY /* all do, at RCPT */
};

struct rc_provider {
	const char *name;  /* "gmail": in results and as provider= in data/replies */
	const char *label; /* "Gmail", for people */
	enum rc_honesty honesty;
	enum rc_catch_all catch_all;
	uint32_t connections;		 /* at once, of the whole fleet */
	uint32_t connections_per_second; /* new ones; 0: as many as may be open at once */
	uint32_t connections_per_minute; /* 0: no such cap */
	uint32_t recipients_per_session; /* RCPTs offered in one session, the control counted */
	uint32_t rejections_per_session; /* stop and reconnect after as many refused ones */
	uint32_t recipients_per_minute;	 /* per lane */
	uint32_t lanes;			 /* k: how many lanes it may be spread over */
	int32_t greylist_retry_s;	 /* no retry of its 4xx before that; -1: nothing known */
	uint32_t sample_per_mille; /* of a misleading provider's rows, how many are probed all the
				      same */
};

struct rc_providers;

/* Reads `path`: the file, or a directory that holds `providers`. Fails like rc_rules_load(). */
enum rc_status rc_providers_load(const char *path, struct rc_providers **ret_providers,
				 struct rc_error *err) RC_MUST_CHECK;
enum rc_status rc_providers_parse(const char *name, const char *data, size_t len,
				  struct rc_providers **ret_providers,
				  struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void rc_providers_free(struct rc_providers *providers);

/*
 * The profile behind an MX host (lower-case A-labels, a final dot is ignored), or NULL: nobody
 * known. `domain`: of the addresses, may be NULL; profiles that list domains (gmail.com) match only
 * these, and go before the ones that do not (Google Workspace).
 */
const struct rc_provider *rc_providers_match(const struct rc_providers *providers,
					     const char *mx_host, const char *domain);
/* By name; NULL: none such. "default" finds the profile below. */
const struct rc_provider *rc_providers_find(const struct rc_providers *providers, const char *name);
/* What holds for everybody else: the block [default]. Never NULL. */
const struct rc_provider *rc_providers_default(const struct rc_providers *providers);
size_t rc_providers_count(const struct rc_providers *providers);
/* i < count, in the file's order. */
const struct rc_provider *rc_providers_at(const struct rc_providers *providers, size_t i);

#endif
