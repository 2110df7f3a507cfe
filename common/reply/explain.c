/* See explain.h. */
#include "common/reply/explain.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { NAMES_MAX = 4608 }; /* more than there can be rules */

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

/* The first octet that is part of no UTF-8 character; `len` where there is none. */
static size_t legible_len(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t n =
		    (uint8_t)s[i] < 0x80 ? 1 : character_len((const uint8_t *)s + i, len - i);

		if (!n)
			break;
		i += n;
	}
	return i;
}

/* A JSON string of octets that may be no UTF-8: each that does not fit becomes U+FFFD. */
static json_t *legible(const char *s, size_t len)
{
	json_t *value;
	char *out;
	size_t used = 0;

	if (legible_len(s, len) == len)
		return json_stringn_nocheck(s, len);
	out = malloc(3 * len + 1);
	if (!out)
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t n = legible_len(s + i, len - i);

		memcpy(out + used, s + i, n);
		used += n;
		i += n;
		if (i < len) {
			memcpy(out + used, "\xef\xbf\xbd", 3);
			used += 3;
			i++;
		}
	}
	value = json_stringn_nocheck(out, used);
	free(out);
	return value;
}

/* Names are ASCII. */
static bool set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new_nocheck(object, key, value) == 0;
}

static bool set_name(json_t *object, const char *key, const char *name)
{
	return set(object, key, name && *name ? json_string_nocheck(name) : json_null());
}

static bool set_number(json_t *object, const char *key, bool known, long number)
{
	return set(object, key, known ? json_integer(number) : json_null());
}

static bool set_beaten(json_t *object, const struct rc_rules *rules,
		       const struct rc_reply_view *view)
{
	const char *names[NAMES_MAX];
	json_t *beat = json_array();
	size_t matched = view->code ? rc_rules_matching(rules, view, names, NAMES_MAX) : 0;

	for (size_t i = 1; i < matched && i < NAMES_MAX; i++)
		if (json_array_append_new(beat, json_string_nocheck(names[i])))
			break;
	return set(object, "beat", beat);
}

static int append(const char *text, size_t len, void *out)
{
	rc_buf_add(out, text, len);
	return 0;
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
	if (!set(object, "reply", legible(line, len)) ||
	    !set_number(object, "code", view.code > 0, (long)view.code) ||
	    !set_name(object, "enhanced", enhanced) ||
	    !set_name(object, "fault", rc_fault_name(c.fault)) ||
	    !set_name(object, "category", rc_category_name(c.category)) ||
	    !set_name(object, "rule", c.rule) ||
	    !set_name(object, "status", rc_result_status_name(rc_reason_status(reason))) ||
	    !set_name(object, "reason", rc_reason_name(reason)) ||
	    !set_number(object, "retry_after_s", c.retry_after_s >= 0, c.retry_after_s) ||
	    (why && !set_beaten(object, rules, &view)) ||
	    json_dump_callback(object, append, out, JSON_COMPACT))
		goto out;
	rc_buf_add(out, "\n", 1);
	ok = !out->failed;
out:
	if (!ok)
		out->len = before;
	json_decref(object);
	free(copy);
	return ok;
}
