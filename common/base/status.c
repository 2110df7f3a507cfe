/* See status.h. */
#include "common/base/status.h"

#include <stdio.h>

static const char *const texts[] = {
	[RC_OK] = "fine",
	[RC_NO_MEMORY] = "out of memory",
	[RC_INVALID] = "invalid input",
	[RC_NOT_FOUND] = "not found",
	[RC_CONFLICT] = "in conflict with somebody else",
	[RC_LIMIT] = "over a limit",
	[RC_UNAVAILABLE] = "not available now",
	[RC_DENIED] = "not allowed",
	[RC_BROKEN] = "does not behave as documented",
};

enum rc_status rc_error_set(struct rc_error *err, enum rc_status status, const char *format, ...)
{
	if (err) {
		va_list args;
		/* An argument may be err->text itself, where a caller adds its place to a sentence
		 * from below. */
		char text[RC_ERROR_MAX];
		size_t i = 0;

		va_start(args, format);
		if (vsnprintf(text, sizeof(text), format, args) < 0)
			text[0] = '\0';
		va_end(args);
		do
			err->text[i] = text[i];
		while (text[i++]);
		err->status = status;
	}
	return status;
}

const char *rc_status_text(enum rc_status status)
{
	unsigned i = (unsigned)status;

	return i < sizeof(texts) / sizeof(*texts) ? texts[i] : "unknown status";
}
