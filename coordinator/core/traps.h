/*
 * traps - the operator's own list of spam traps: addresses, whole domains, or their SHA-256.
 *
 * Loaded once, read only afterwards, from any number of threads. Loading fails with file, line and
 * reason. Who keeps his traps hashed (sha256:HEX of the address in lower case) tells nobody who
 * reads the file what they are.
 */
#ifndef COORDINATOR_CORE_TRAPS_H
#define COORDINATOR_CORE_TRAPS_H

#include <stddef.h>

#include "common/base/status.h"

struct traps;

enum trap_kind {
	TRAP_ADDRESS = 1, /* "ann@example.org" */
	TRAP_DOMAIN,	  /* "example.org" */
	TRAP_SHA256	  /* 64 hexadecimal digits, small */
};

/* `path`: the file, or a directory that holds `spam-traps`. */
enum rc_status traps_load(const char *path, struct traps **ret_traps,
			  struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void traps_free(struct traps *traps);

size_t traps_count(const struct traps *traps);
/* i < count. Lives as long as the list. */
const char *traps_at(const struct traps *traps, size_t i, enum trap_kind *ret_kind);

#endif
