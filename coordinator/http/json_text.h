/* json_text - values that jansson would refuse or that JSON has no word for. Pure; never NULL. */
#ifndef ROLLCALL_COORDINATOR_HTTP_JSON_TEXT_H
#define ROLLCALL_COORDINATOR_HTTP_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 3339, or null for 0. */
json_t *json_time(int64_t wall_ms);
/* What may not be UTF-8 as text: then '?' for each octet that is not ASCII. */
json_t *json_safe(const char *text, size_t len);
/* A list that PostgreSQL put together; empty for NULL. */
json_t *json_stored(const char *text, size_t len);

#endif
