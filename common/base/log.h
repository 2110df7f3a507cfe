/*
 * log - events with fields on standard error, one line each:
 *   2026-11-24T01:43:37.123Z info rollcall-worker lane_granted lane=fra-1 epoch=3
 *
 * For io, store, http and main; never for core. Thread-safe; a line is one write(2). What peers
 * wrote is made harmless: every control octet, backslash and invalid UTF-8 octet of the formatted
 * fields is written as \xNN, so no reply can forge a line. E-mail addresses go through
 * rc_log_address(), which hashes them unless `--log-addresses` asked for them.
 */
#ifndef RC_BASE_LOG_H
#define RC_BASE_LOG_H

#include <stdbool.h>

enum rc_log_level { RC_LOG_DEBUG = 1, RC_LOG_INFO, RC_LOG_WARN, RC_LOG_ERROR };

void rc_log_init(const char *program, enum rc_log_level level, bool addresses);
void rc_log_level_set(enum rc_log_level level);
/* RC_OK-like: 0, or -1 for an unknown name ("debug" "info" "warn" "error"). */
int rc_log_level_parse(const char *name, enum rc_log_level *ret_level);

/* `event`: snake_case, no blanks. `format`: "key=%s key2=%d". */
void rc_log(enum rc_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum { RC_LOG_ADDRESS_MAX = 400 };
/* "#3f2a9c1be0" (a keyed hash, the key is random per process), or the address itself when asked
 * for. Returns `ret_text`. */
const char *rc_log_address(const char *address, char ret_text[RC_LOG_ADDRESS_MAX]);

#endif
