/*
 * status - what our own functions say of themselves.
 *
 * A remote server's 550 is data, never one of these. Functions that can fail return enum rc_status,
 * which must be looked at; the ones whose failure a person will read also take a struct rc_error,
 * which holds one sentence that names the place and the way out. No allocation, no logging here.
 */
#ifndef RC_BASE_STATUS_H
#define RC_BASE_STATUS_H

#include <stdarg.h>

enum rc_status {
	RC_OK = 0,
	RC_NO_MEMORY,	/* the allocator, or a cap that stands for it, said no */
	RC_INVALID,	/* the input is wrong; the error says where */
	RC_NOT_FOUND,	/* no such thing */
	RC_CONFLICT,	/* somebody else has it, or it changed meanwhile */
	RC_LIMIT,	/* over a documented cap */
	RC_UNAVAILABLE, /* a service we need does not answer now; trying again may help */
	RC_DENIED,	/* not allowed */
	RC_BROKEN	/* what we stand on does not behave as documented */
};

enum { RC_ERROR_MAX = 1024 }; /* octets of a sentence, NUL included; longer ones are cut */

struct rc_error {
	enum rc_status status;
	char text[RC_ERROR_MAX];
};

/* Fills `err` (may be NULL) and returns `status`, so that `return rc_error_set(...)` reads well. */
enum rc_status rc_error_set(struct rc_error *err, enum rc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Static text: "invalid input" and so on. */
const char *rc_status_text(enum rc_status status);

#define RC_MUST_CHECK __attribute__((warn_unused_result))

#endif
