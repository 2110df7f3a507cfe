/* See reply_rules.h: the names of faults, categories and stages, and a reply taken apart. */
#include "common/reply/reply_rules.h"

#include <string.h>

static const char *const faults[RC_FAULT_COUNT] = {
	[RC_FAULT_NONE] = "none",	    [RC_FAULT_RECIPIENT] = "recipient",
	[RC_FAULT_DOMAIN] = "domain",	    [RC_FAULT_SENDER] = "sender",
	[RC_FAULT_TEMPORARY] = "temporary", [RC_FAULT_UNCLEAR] = "unclear",
};

static const char *const categories[RC_CATEGORY_COUNT] = {
	[RC_CATEGORY_ACCEPTED] = "accepted",
	[RC_CATEGORY_FORWARDED] = "forwarded",
	[RC_CATEGORY_MAILBOX_NOT_FOUND] = "mailbox_not_found",
	[RC_CATEGORY_MAILBOX_DISABLED] = "mailbox_disabled",
	[RC_CATEGORY_MAILBOX_FULL] = "mailbox_full",
	[RC_CATEGORY_NAME_NOT_ALLOWED] = "name_not_allowed",
	[RC_CATEGORY_NOT_LOCAL] = "not_local",
	[RC_CATEGORY_GREYLISTED] = "greylisted",
	[RC_CATEGORY_RATE_LIMITED] = "rate_limited",
	[RC_CATEGORY_IP_BLOCKED] = "ip_blocked",
	[RC_CATEGORY_POLICY] = "policy",
	[RC_CATEGORY_AUTH_REQUIRED] = "auth_required",
	[RC_CATEGORY_CANNOT_VERIFY] = "cannot_verify",
	[RC_CATEGORY_TOO_MANY_RECIPIENTS] = "too_many_recipients",
	[RC_CATEGORY_SERVICE_UNAVAILABLE] = "service_unavailable",
	[RC_CATEGORY_TEMPORARY] = "temporary",
	[RC_CATEGORY_ROUTING] = "routing",
	[RC_CATEGORY_PROTOCOL] = "protocol",
	[RC_CATEGORY_UNCLEAR] = "unclear",
};

enum { STAGES = RC_STAGE_QUIT + 1 };
static const char *const stages[STAGES] = {
	[RC_STAGE_DNS] = "dns",		  [RC_STAGE_CONNECT] = "connect",
	[RC_STAGE_GREETING] = "greeting", [RC_STAGE_EHLO] = "ehlo",
	[RC_STAGE_STARTTLS] = "starttls", [RC_STAGE_MAIL] = "mail",
	[RC_STAGE_RCPT] = "rcpt",	  [RC_STAGE_QUIT] = "quit",
};

static const char *name_of(const char *const *names, int n, int i)
{
	return i > 0 && i < n ? names[i] : "";
}

static int find(const char *const *names, int n, const char *name)
{
	for (int i = 1; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return 0;
}

const char *rc_fault_name(enum rc_fault fault)
{
	return name_of(faults, RC_FAULT_COUNT, (int)fault);
}

const char *rc_category_name(enum rc_category category)
{
	return name_of(categories, RC_CATEGORY_COUNT, (int)category);
}

const char *rc_stage_name(enum rc_stage stage)
{
	return name_of(stages, STAGES, (int)stage);
}

enum rc_fault rc_fault_find(const char *name)
{
	return (enum rc_fault)find(faults, RC_FAULT_COUNT, name);
}

enum rc_category rc_category_find(const char *name)
{
	return (enum rc_category)find(categories, RC_CATEGORY_COUNT, name);
}

enum rc_stage rc_stage_find(const char *name)
{
	return (enum rc_stage)find(stages, STAGES, name);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Octets of a three-digit code and the one separator behind it; 0: the line does not begin with
 * one. */
static size_t code_len(const char *s, const char *end, unsigned *ret_code)
{
	if (end - s < 3 || s[0] < '2' || s[0] > '5' || !is_digit(s[1]) || !is_digit(s[2]))
		return 0;
	if (end - s > 3 && s[3] != ' ' && s[3] != '-' && s[3] != '\t')
		return 0;
	*ret_code = (unsigned)(100 * (s[0] - '0') + 10 * (s[1] - '0') + (s[2] - '0'));
	return end - s > 3 ? 4 : 3;
}

/* RFC 3463: status-code = class "." subject "." detail, class 2, 4 or 5, the others at most three
 * digits. */
static size_t enhanced_len(const char *s, const char *end)
{
	const char *p = s;

	if (p >= end || (*p != '2' && *p != '4' && *p != '5'))
		return 0;
	p++;
	for (int part = 0; part < 2; part++) {
		const char *digits;

		if (p >= end || *p != '.')
			return 0;
		digits = ++p;
		while (p < end && is_digit(*p))
			p++;
		if (p == digits || p - digits > 3)
			return 0;
	}
	if (p < end && (is_digit(*p) || *p == '.'))
		return 0;
	return (size_t)(p - s);
}

bool rc_reply_split(const char *line, size_t len, unsigned *ret_code, char ret_enhanced[16],
		    char *ret_text, size_t max, size_t *ret_len)
{
	const char *p = line, *end = line + len;
	size_t used = 0;
	bool first = true, found = false;

	*ret_code = 0;
	ret_enhanced[0] = '\0';
	while (p < end || first) {
		const char *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
		const char *next = stop ? stop + 1 : end;
		unsigned code = 0;
		size_t n;

		if (!stop)
			stop = end;
		if (stop > p && stop[-1] == '\r')
			stop--;
		while (first && p < stop && (*p == ' ' || *p == '\t'))
			p++;
		n = code_len(p, stop, &code);
		if (first && n) {
			*ret_code = code;
			found = true;
		}
		if (n && code == *ret_code) {
			p += n;
			n = enhanced_len(p, stop);
			if (n && n < 16 && !ret_enhanced[0]) {
				memcpy(ret_enhanced, p, n);
				ret_enhanced[n] = '\0';
			}
			if (n && strlen(ret_enhanced) == n && memcmp(ret_enhanced, p, n) == 0) {
				p += n;
				if (p < stop && (*p == ' ' || *p == '\t'))
					p++;
			}
		}
		if (!first && used < max)
			ret_text[used++] = '\n';
		n = (size_t)(stop - p);
		if (n > max - used)
			n = max - used;
		if (n)
			memcpy(ret_text + used, p, n);
		used += n;
		p = next;
		first = false;
	}
	*ret_len = used;
	return found;
}
