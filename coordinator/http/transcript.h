/*
 * transcript - the stored reports that speak of one row, as the conversations that a person reads.
 *
 * Pure: no I/O. A report that cannot be read (a newer version's) is passed over. What servers said
 * is given word for word where it is UTF-8, with '?' for each octet where it is not.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_TRANSCRIPT_H
#define ROLLCALL_COORDINATOR_HTTP_TRANSCRIPT_H

#include <jansson.h>

#include "common/reply/reply_rules.h"
#include "coordinator/store/results.h"

/*
 * [{"attempt":1,"at":...,"lane":...,"conversation":[{"who":"S","text":"220 ..."}],
 * "outcome":"..."}], oldest first; from the second on with "waited_ms". With `rules` (may be NULL),
 * each answer that counts has "rule", "category", "fault" and, where it asks for a wait,
 * "retry_after_s", as today's rules have it. NULL when out of memory.
 */
json_t *transcript_attempts(const struct results_detail *detail, const struct rc_rules *rules);
/* {"state":"mx","mx":[{"preference":10,"host":...,"addresses":[...]}],"detail":...,"at":...}; null
 * where nothing was looked up. */
json_t *transcript_resolution(const struct results_detail *detail);

#endif
