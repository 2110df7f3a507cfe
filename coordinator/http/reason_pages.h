/*
 * reason_pages - docs/reasons/, built in (see CMakeLists.txt of this room): what each reason means,
 * how sure it is, what to do with it. Static.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_REASON_PAGES_H
#define ROLLCALL_COORDINATOR_HTTP_REASON_PAGES_H

#include <stddef.h>

struct reason_page {
	const char *name; /* of the reason; "README" is the index; NULL ends the table */
	const unsigned char *text;
	size_t len;
};

extern const struct reason_page reason_pages[];

#endif
