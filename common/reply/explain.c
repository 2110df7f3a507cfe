/* See explain.h. */
#include "common/reply/explain.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { NAMES_MAX = 64 };

/* The two characters \n become one line end, \r before them goes; others stay. Returns the new
 * length. */
static size_t unescape(char *s, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 1 < len && s[i + 1] == 'n') {
			s[used++] = '\n';
			i++;
		} else if (s[i] == '\\' && len - i > 3 && memcmp(s + i, "\\r\\n", 4) == 0) {
			i++;
		} else {
			s[used++] = s[i];
		}
	}
	return used;
}

/* Octets of the UTF-8 character at `s` (RFC 3629); 0: there is none. */
static size_t character_len(const uint8_t *s, size_t len)
{
	size_t n = s[0] < 0x80	 ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* A JSON string of octets that may be no UTF-8: jansson refuses those, so each that does not fit
 * becomes U+FFFD. */
static json_t *legible(const char *s, size_t len)
{
	json_t *value = json_stringn(s, len);
	char *out;
	size_t used = 0;

	if (value)
		return value;
	out = malloc(3 * len + 1);
	if (!out)
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t n = character_len((const uint8_t *)s + i, len - i);

		memcpy(out + used, n ? s + i : "\xef\xbf\xbd", n ? n : 3);
		used += n ? n : 3;
		i += n ? n : 1;
	}
	value = json_stringn(out, used);
	free(out);
	return value;
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

bool rc_explain_line(const struct rc_rules *rules, enum rc_stage stage, const char *provider,
		     const char *line, size_t len, bool why, struct rc_buf *out, bool *ret_cut)
{
	struct rc_classification c;
	struct rc_reply_view view = { .stage = stage, .provider = provider };
	char enhanced[16];
	char *copy = malloc(2 * len + 2), *text;
	size_t n, before = out->len;
	json_t *object = json_object();
	enum rc_reason reason = RC_REASON_UNSET;
	char *dump = NULL;
	bool ok = false;

	*ret_cut = false;
	if (!copy || !object)
		goto out;
	memcpy(copy, line, len);
	n = unescape(copy, len);
	text = copy + len + 1;
	if (rc_reply_split(copy, n, &view.code, enhanced, text, len, &view.len)) {
		view.enhanced = enhanced;
		view.text = text;
		*ret_cut = view.len > RC_REPLY_TEXT_MAX;
		rc_rules_classify(rules, &view, &c);
		if (stage == RC_STAGE_RCPT || view.code >= 300)
			reason = rc_reply_reason(&c, view.code);
	} else {
		/* no reply at all: what a server says outside the protocol */
		c = (struct rc_classification){ .fault = RC_FAULT_UNCLEAR,
						.category = RC_CATEGORY_UNCLEAR,
						.retry_after_s = -1 };
		reason = RC_REASON_PROTOCOL_ERROR;
	}
	if (json_object_set_new(object, "reply", legible(line, len)) ||
	    json_object_set_new(object, "code",
				view.code ? json_integer((json_int_t)view.code) : json_null()) ||
	    json_object_set_new(object, "enhanced", text_or_null(enhanced)) ||
	    json_object_set_new(object, "fault", text_or_null(rc_fault_name(c.fault))) ||
	    json_object_set_new(object, "category", text_or_null(rc_category_name(c.category))) ||
	    json_object_set_new(object, "rule", text_or_null(c.rule)) ||
	    json_object_set_new(object, "status",
				text_or_null(rc_result_status_name(rc_reason_status(reason)))) ||
	    json_object_set_new(object, "reason", text_or_null(rc_reason_name(reason))) ||
	    json_object_set_new(object, "retry_after_s",
				c.retry_after_s >= 0 ? json_integer(c.retry_after_s) : json_null()))
		goto out;
	if (why) {
		const char *names[NAMES_MAX];
		json_t *beat = json_array();
		size_t matched = view.code ? rc_rules_matching(rules, &view, names, NAMES_MAX) : 0;

		for (size_t i = 1; beat && i < matched && i < NAMES_MAX; i++)
			if (json_array_append_new(beat, json_string(names[i])))
				break;
		if (json_object_set_new(object, "beat", beat))
			goto out;
	}
	dump = json_dumps(object, JSON_COMPACT);
	if (!dump)
		goto out;
	rc_buf_addstr(out, dump);
	rc_buf_addstr(out, "\n");
	ok = !out->failed;
	if (!ok)
		out->len = before;
out:
	free(dump);
	json_decref(object);
	free(copy);
	return ok;
}
