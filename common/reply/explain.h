/*
 * explain - what the rules say of one SMTP reply, as the line of JSON that `rollcall explain`
 * prints.
 *
 * Allocates its answer; otherwise like reply_rules.h.
 */
#ifndef RC_REPLY_EXPLAIN_H
#define RC_REPLY_EXPLAIN_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/reply/reply_rules.h"

/*
 * Classifies `line` (one reply; the two characters \n stand between the lines of a multi-line one)
 * and appends one object and a newline to `out`. `why`: with "beat", the rules that matched but did
 * not speak. Octets that are not UTF-8 appear as U+FFFD. Status and reason are null where a yes
 * came before RCPT: it says nothing of a mailbox. *ret_cut: the reply is longer than what rules
 * look at. False: no memory, `out` as before.
 */
bool rc_explain_line(const struct rc_rules *rules, enum rc_stage stage, const char *provider,
		     const char *line, size_t len, bool why, struct rc_buf *out, bool *ret_cut);

#endif
