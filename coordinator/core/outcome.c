/* See outcome.h. */
#include "coordinator/core/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { WORD_MAX = 64, TIME_MAX = 64 };

/* Folded. Whoever opens, clicks, complains or unsubscribes has got the message. */
static const struct {
	const char *word;
	enum outcome_kind kind;
} words[] = {
	{ "delivered", OUTCOME_DELIVERED },
	{ "delivery", OUTCOME_DELIVERED },
	{ "delivers", OUTCOME_DELIVERED },
	{ "ok", OUTCOME_DELIVERED },
	{ "open", OUTCOME_DELIVERED },
	{ "opened", OUTCOME_DELIVERED },
	{ "opens", OUTCOME_DELIVERED },
	{ "firstopening", OUTCOME_DELIVERED },
	{ "uniqueopened", OUTCOME_DELIVERED },
	{ "initialopen", OUTCOME_DELIVERED },
	{ "proxyopen", OUTCOME_DELIVERED },
	{ "loadedbyproxy", OUTCOME_DELIVERED },
	{ "click", OUTCOME_DELIVERED },
	{ "clicks", OUTCOME_DELIVERED },
	{ "clicked", OUTCOME_DELIVERED },
	{ "complaint", OUTCOME_DELIVERED },
	{ "complained", OUTCOME_DELIVERED },
	{ "spam", OUTCOME_DELIVERED },
	{ "spamreport", OUTCOME_DELIVERED },
	{ "spamcomplaint", OUTCOME_DELIVERED },
	{ "unsubscribe", OUTCOME_DELIVERED },
	{ "unsubscribed", OUTCOME_DELIVERED },
	{ "listunsubscribe", OUTCOME_DELIVERED },
	{ "linkunsubscribe", OUTCOME_DELIVERED },
	{ "groupunsubscribe", OUTCOME_DELIVERED },
	{ "hard", OUTCOME_HARD },
	{ "hardbounce", OUTCOME_HARD },
	{ "hardbounced", OUTCOME_HARD },
	{ "hardbounces", OUTCOME_HARD },
	{ "bounce", OUTCOME_HARD },
	{ "bounced", OUTCOME_HARD },
	{ "bounces", OUTCOME_HARD },
	{ "permanent", OUTCOME_HARD },
	{ "outofband", OUTCOME_HARD },
	{ "invalid", OUTCOME_HARD },
	{ "invalidemail", OUTCOME_HARD },
	{ "bademailaddress", OUTCOME_HARD },
	{ "syntax", OUTCOME_HARD },
	{ "cleaned", OUTCOME_HARD },
	{ "soft", OUTCOME_SOFT },
	{ "softbounce", OUTCOME_SOFT },
	{ "softbounced", OUTCOME_SOFT },
	{ "softbounces", OUTCOME_SOFT },
	{ "transient", OUTCOME_SOFT },
	{ "undetermined", OUTCOME_SOFT },
	{ "block", OUTCOME_SOFT },
	{ "blocked", OUTCOME_SOFT },
	{ "failed", OUTCOME_SOFT },
	{ "failure", OUTCOME_SOFT },
	{ "error", OUTCOME_SOFT },
	{ "expired", OUTCOME_SOFT },
	{ "rejected", OUTCOME_SOFT },
	{ "undelivered", OUTCOME_SOFT },
	{ "dnserror", OUTCOME_SOFT },
	{ "unknown", OUTCOME_SOFT },
	{ "spamnotification", OUTCOME_SOFT },
	{ "virusnotification", OUTCOME_SOFT },
	{ "dmarcpolicy", OUTCOME_SOFT },
	{ "policyrejection", OUTCOME_SOFT },
	/* accepted by the exporter, not by the receiver; or not yet an end */
	{ "sent", OUTCOME_IGNORED },
	{ "send", OUTCOME_IGNORED },
	{ "processed", OUTCOME_IGNORED },
	{ "accepted", OUTCOME_IGNORED },
	{ "request", OUTCOME_IGNORED },
	{ "requests", OUTCOME_IGNORED },
	{ "queued", OUTCOME_IGNORED },
	{ "injection", OUTCOME_IGNORED },
	{ "deferred", OUTCOME_IGNORED },
	{ "deferral", OUTCOME_IGNORED },
	{ "delay", OUTCOME_IGNORED },
	{ "delayed", OUTCOME_IGNORED },
	{ "deliverydelay", OUTCOME_IGNORED },
	/* not sent at all */
	{ "dropped", OUTCOME_IGNORED },
	{ "drop", OUTCOME_IGNORED },
	{ "reject", OUTCOME_IGNORED },
	{ "suppressed", OUTCOME_IGNORED },
	{ "manuallydeactivated", OUTCOME_IGNORED },
	{ "renderingfailure", OUTCOME_IGNORED },
	{ "generationfailure", OUTCOME_IGNORED },
	{ "generationrejection", OUTCOME_IGNORED },
	{ "smtpapierror", OUTCOME_IGNORED },
	{ "templaterenderingfailed", OUTCOME_IGNORED },
	/* about something else */
	{ "autoresponder", OUTCOME_IGNORED },
	{ "addresschange", OUTCOME_IGNORED },
	{ "subscribe", OUTCOME_IGNORED },
	{ "subscription", OUTCOME_IGNORED },
	{ "subscriptionchange", OUTCOME_IGNORED },
	{ "groupresubscribe", OUTCOME_IGNORED },
	{ "openrelaytest", OUTCOME_IGNORED },
	{ "challengeverification", OUTCOME_IGNORED },
	{ "unconfirmed", OUTCOME_IGNORED },
	{ "inbounderror", OUTCOME_IGNORED },
	{ "stored", OUTCOME_IGNORED },
	{ "listaddition", OUTCOME_IGNORED },
	{ "contactdeleted", OUTCOME_IGNORED },
	{ "contactupdated", OUTCOME_IGNORED },
};

size_t outcome_name_fold(const char *name, size_t len, char *ret_name, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c | 0x20);
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			ret_name[n++] = (char)c;
	}
	ret_name[n] = '\0';
	return n;
}

enum outcome_kind outcome_kind_find(const char *word, size_t len)
{
	char folded[WORD_MAX];

	outcome_name_fold(word, len, folded, sizeof(folded));
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i].word, folded) == 0)
			return words[i].kind;
	return OUTCOME_UNSET;
}

/* ------------------------------------------------------------------------------------------------
 * the server's words */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "550 " or "550-" or "550:" at `at`, at the beginning of a word. */
static bool is_code(const char *text, size_t len, size_t at)
{
	if (len - at < 3 || text[at] < '2' || text[at] > '5' || !is_digit(text[at + 1]) ||
	    !is_digit(text[at + 2]))
		return false;
	if (at > 0 && !strchr(" \t\n:;(<'\"", text[at - 1]))
		return false;
	return len - at == 3 || strchr(" -:,\t\n", text[at + 3]) != NULL;
}

static size_t enhanced_length(const char *text, size_t len)
{
	size_t n = 0;

	if (len < 5 || !strchr("245", text[0]) || text[1] != '.')
		return 0;
	for (n = 2; n < len && is_digit(text[n]); n++)
		;
	if (n == 2 || n > 5 || n + 1 >= len || text[n] != '.' || !is_digit(text[n + 1]))
		return 0;
	for (n++; n < len && is_digit(text[n]); n++)
		;
	return n < 12 ? n : 0;
}

bool outcome_reply_find(const char *diagnostic, size_t len, unsigned *ret_code,
			char ret_enhanced[16], const char **ret_text, size_t *ret_len)
{
	size_t at = 0, enhanced;

	while (at < len && !is_code(diagnostic, len, at))
		at++;
	if (at == len)
		return false;
	*ret_code = (unsigned)(100 * (diagnostic[at] - '0') + 10 * (diagnostic[at + 1] - '0') +
			       (diagnostic[at + 2] - '0'));
	at += 3;
	while (at < len && strchr(" -:,\t", diagnostic[at]))
		at++;
	enhanced = enhanced_length(diagnostic + at, len - at);
	memcpy(ret_enhanced, diagnostic + at, enhanced);
	ret_enhanced[enhanced] = '\0';
	at += enhanced;
	while (at < len && strchr(" \t", diagnostic[at]))
		at++;
	*ret_text = diagnostic + at;
	*ret_len = len - at;
	return true;
}

/* Whether the words speak of the recipient or its domain: 1 yes, 0 of something else, -1 they do
 * not say. */
static int blames_recipient(const struct rc_rules *rules, const char *provider,
			    const char *diagnostic, size_t len)
{
	struct rc_reply_view view = { .stage = RC_STAGE_RCPT, .provider = provider };
	struct rc_classification class;
	char enhanced[16];

	if (!outcome_reply_find(diagnostic, len, &view.code, enhanced, &view.text, &view.len) ||
	    view.code < 400)
		return -1;
	view.enhanced = enhanced;
	rc_rules_classify(rules, &view, &class);
	if (class.category == RC_CATEGORY_MAILBOX_FULL)
		return 1;
	switch (class.fault) {
	case RC_FAULT_RECIPIENT:
	case RC_FAULT_DOMAIN:
		return 1;
	case RC_FAULT_SENDER:
	case RC_FAULT_TEMPORARY:
		return 0;
	default:
		return -1;
	}
}

enum outcome_kind outcome_decide(const struct rc_rules *rules, const char *provider,
				 enum outcome_kind kind, const char *diagnostic, size_t len)
{
	int blames = -1;

	if (kind != OUTCOME_HARD && kind != OUTCOME_SOFT)
		return kind;
	if (len > 0)
		blames = blames_recipient(rules, provider, diagnostic, len);
	if (kind == OUTCOME_HARD)
		return blames == 0 ? OUTCOME_IGNORED : OUTCOME_BOUNCED;
	return blames == 1 ? OUTCOME_BOUNCED : OUTCOME_IGNORED;
}

/* ------------------------------------------------------------------------------------------------
 * times */

static bool number(const char **p, int digits, int *ret)
{
	*ret = 0;
	for (int i = 0; i < digits; i++, (*p)++) {
		if (!is_digit(**p))
			return false;
		*ret = *ret * 10 + (**p - '0');
	}
	return true;
}

/* "12:34[:56[.789]]", then a zone or nothing, then the end. */
static bool clock_and_zone(const char *p, struct tm *tm, int64_t *ret_ms)
{
	int fraction = 0, scale = 100, sign = 0, hours = 0, minutes = 0;
	time_t seconds;

	if (!*p) {
		/* a day without an hour: its end, or what was found on the same day would be later
		 */
		tm->tm_hour = 23;
		tm->tm_min = tm->tm_sec = 59;
	} else {
		if (!number(&p, 2, &tm->tm_hour) || *p++ != ':' || !number(&p, 2, &tm->tm_min))
			return false;
		if (*p == ':') {
			p++;
			if (!number(&p, 2, &tm->tm_sec))
				return false;
		}
		if (*p == '.' || *p == ',')
			for (p++; is_digit(*p); p++, scale /= 10)
				fraction += scale * (*p - '0');
	}
	while (*p == ' ')
		p++;
	if (*p == '+' || *p == '-') {
		sign = *p++ == '-' ? -1 : 1;
		if (!number(&p, 2, &hours))
			return false;
		p += *p == ':';
		if (*p && !number(&p, 2, &minutes))
			return false;
	} else if (!strncasecmp(p, "utc", 3) || !strncasecmp(p, "gmt", 3)) {
		p += 3;
	} else if (*p == 'Z' || *p == 'z') {
		p++;
	}
	if (*p || tm->tm_hour > 24 || tm->tm_min > 59 || tm->tm_sec > 60 || hours > 14 ||
	    minutes > 59)
		return false;
	seconds = timegm(tm);
	*ret_ms = ((int64_t)seconds - sign * (hours * 3600 + minutes * 60)) * 1000 + fraction;
	return true;
}

static bool date(int year, int month, int day, struct tm *ret)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 ||
	    day > days[month - 1])
		return false;
	*ret = (struct tm){ .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
	return true;
}

/* Seconds with a fraction, milliseconds or microseconds, by the number of digits. */
static bool since_1970(const char *text, int64_t *ret_ms)
{
	size_t digits = strspn(text, "0123456789");
	const char *rest = text + digits;
	long long value;

	if (digits < 9 || digits > 16 || (*rest && *rest != '.') ||
	    (*rest == '.' && strspn(rest + 1, "0123456789") != strlen(rest + 1)))
		return false;
	if (*rest == '.' && digits > 11)
		return false;
	value = strtoll(text, NULL, 10);
	if (digits <= 11)
		*ret_ms = *rest ? (int64_t)(strtod(text, NULL) * 1000 + 0.5) : value * 1000;
	else
		*ret_ms = digits <= 14 ? value : value / 1000;
	return true;
}

/* "[Fri, ]21 Oct 2011 11:02:55 GMT" */
static bool rfc5322(const char *p, int64_t *ret_ms)
{
	static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
	const char *comma = strchr(p, ',');
	int day = 0, year = 0, month = 0;
	struct tm tm;

	if (comma)
		p = comma + 1;
	while (*p == ' ')
		p++;
	while (is_digit(*p) && day < 100)
		day = day * 10 + (*p++ - '0');
	if (*p++ != ' ')
		return false;
	for (int i = 0; i < 12; i++)
		if (strncasecmp(p, months + 3 * i, 3) == 0)
			month = i + 1;
	if (!month)
		return false;
	p += 3;
	if (*p++ != ' ' || !number(&p, 4, &year) || !date(year, month, day, &tm) || *p++ != ' ')
		return false;
	return clock_and_zone(p, &tm, ret_ms);
}

static bool iso8601(const char *p, int64_t *ret_ms)
{
	int year, month, day;
	struct tm tm;
	char between;

	if (!number(&p, 4, &year) || (*p != '-' && *p != '/'))
		return false;
	between = *p++;
	if (!number(&p, 2, &month) || *p++ != between || !number(&p, 2, &day) ||
	    !date(year, month, day, &tm))
		return false;
	if (*p && *p != 'T' && *p != 't' && *p != ' ')
		return false;
	return clock_and_zone(p + (*p != '\0'), &tm, ret_ms);
}

static bool day_first(const char *p, int64_t *ret_ms)
{
	int year, month, day;
	struct tm tm;

	if (!number(&p, 2, &day) || *p++ != '-' || !number(&p, 2, &month) || *p++ != '-' ||
	    !number(&p, 4, &year) || !date(year, month, day, &tm))
		return false;
	if (*p && *p != ' ')
		return false;
	return clock_and_zone(p + (*p != '\0'), &tm, ret_ms);
}

bool outcome_time_parse(const char *text, size_t len, int64_t *ret_ms)
{
	char copy[TIME_MAX];
	int64_t ms;

	while (len && *text == ' ') {
		text++;
		len--;
	}
	while (len && text[len - 1] == ' ')
		len--;
	if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!since_1970(copy, &ms) && !iso8601(copy, &ms) && !day_first(copy, &ms) &&
	    !rfc5322(copy, &ms))
		return false;
	*ret_ms = ms;
	return true;
}
