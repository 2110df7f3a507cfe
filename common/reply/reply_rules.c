/*
 * See reply_rules.h. Parsing and ordering happen at load; what remains for a reply is one pass of
 * the matcher over its folded text, which marks the rules that might speak, and then the conditions
 * of the marked ones in order until one holds.
 */
#include "common/reply/reply_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/reply/data_file.h"
#include "common/reply/matcher.h"
#include "common/reply/reply_text.h"

enum {
	RULES_MAX = 4096,
	RULE_TEXT_MAX = 16384, /* octets of one rule, its continuation lines included */
	NAME_MAX_LEN = 63,
	ALTERNATIVES_MAX = 64, /* of one condition */
	PHRASES_MAX = 128,     /* of one rule */
	PIECES_MAX = 6,	       /* of one phrase */
	GROUPS_MAX = 8,	       /* text conditions of one rule */
	GAP_MAX = 120	       /* octets that a `*` may stand for */
};

/* "5.1.x", "4.7.500-699"; -1: any. `none`: the reply has no enhanced status. */
struct enhanced_pattern {
	bool none;
	int16_t class, subject, detail_low, detail_high;
};

struct code_pattern {
	uint16_t low, high;
};

struct phrase {
	uint8_t group;
	uint8_t n;
	uint16_t piece[PIECES_MAX];
};

struct rule {
	char name[NAME_MAX_LEN + 1];
	unsigned line;
	uint32_t stages; /* a bit for each; 0: any */
	struct code_pattern *codes;
	size_t n_codes;
	struct enhanced_pattern *enhanced;
	size_t n_enhanced;
	char **providers;
	size_t n_providers;
	struct phrase *phrases;
	size_t n_phrases;
	unsigned groups;
	enum rc_fault fault;
	enum rc_category category;
	bool mailbox, sender, tls;
	int8_t strength; /* of its text: 0 none, 1 weak, 2, 3 strong */
	int32_t retry_s;
	enum rc_greylist_key key;
	char **over;
	size_t n_over;
	/* how specific, in the order of comparison */
	unsigned words_len;
	unsigned enhanced_weight, code_weight, stage_weight;
	char *conditions; /* as written, blanks folded: to find a second one alike */
};

struct rc_rules {
	struct rule **rules; /* most specific first */
	size_t n, from_file;
	struct rc_matcher *matcher;
	/* [word]: rules for which it is reason enough to look; a flat list with a beginning for
	 * each word */
	uint32_t *word_first;
	uint16_t *word_rules;
	uint64_t *base; /* a bit for each rule without words */
	size_t bit_words;
	char version[17];
};

/* What speaks where no rule of the file does: enhanced status (RFC 3463 and IANA's registry), then
 * code (RFC 5321). */
static const char fallback_rules[] =
    "fallback-2.5.2: code=252 -> none cannot_verify\n"
    "fallback-251: code=251 -> none forwarded\n"
    "fallback-2xx: code=2xx -> none accepted\n"
    "fallback-3xx: code=3xx -> unclear protocol\n"
    /* nothing before RCPT says a word of a mailbox */
    "fallback-greeting-521: stage=connect,greeting,ehlo,mail code=521 -> domain routing\n"
    "fallback-greeting-5xx: stage=connect,greeting code=5xx -> sender policy\n"
    "fallback-early-4xx: stage=connect,greeting,ehlo,starttls,mail code=4xx -> temporary "
    "temporary\n"
    "fallback-early-421: stage=connect,greeting,ehlo,starttls,mail code=421 -> temporary "
    "service_unavailable\n"
    "fallback-early-530: stage=connect,greeting,ehlo,starttls,mail code=530 -> sender "
    "auth_required\n"
    "fallback-early-protocol: stage=ehlo,starttls,mail code=500-504,555 -> sender protocol\n"
    "fallback-ehlo-5xx: stage=ehlo code=5xx -> sender policy sender\n"
    "fallback-mail-5xx: stage=mail code=5xx -> sender policy sender\n"
    "fallback-starttls-5xx: stage=starttls code=5xx -> sender policy tls\n"
    "fallback-quit: stage=quit code=4xx,5xx -> unclear unclear\n"
    /* at RCPT, by enhanced status */
    "fallback-5.1.1: stage=rcpt enhanced=5.1.1 code=5xx -> recipient mailbox_not_found mailbox\n"
    "fallback-5.1.2: stage=rcpt enhanced=5.1.2 code=5xx -> domain routing\n"
    "fallback-5.1.3: stage=rcpt enhanced=5.1.3 code=5xx -> recipient name_not_allowed mailbox\n"
    "fallback-5.1.4: stage=rcpt enhanced=5.1.4,5.1.5 code=5xx -> unclear unclear\n"
    "fallback-5.1.6: stage=rcpt enhanced=5.1.6 code=5xx -> recipient mailbox_not_found mailbox\n"
    "fallback-551-5.1.x: stage=rcpt enhanced=5.1.1,5.1.6 code=551 -> recipient not_local mailbox\n"
    "fallback-553-5.1.x: stage=rcpt enhanced=5.1.1,5.1.3 code=553 -> recipient name_not_allowed "
    "mailbox\n"
    "fallback-5.1.7: stage=rcpt enhanced=5.1.7,5.1.8 code=5xx -> sender policy sender\n"
    "fallback-5.1.10: stage=rcpt enhanced=5.1.10 code=550 -> recipient mailbox_not_found mailbox\n"
    "fallback-5.1.10-null: stage=rcpt enhanced=5.1.10 code=556 -> domain routing\n"
    "fallback-5.2.1: stage=rcpt enhanced=5.2.1 code=5xx -> recipient mailbox_disabled mailbox\n"
    "fallback-5.2.2: stage=rcpt enhanced=5.2.2 code=5xx -> recipient mailbox_full mailbox\n"
    "fallback-4.2.2: stage=rcpt enhanced=4.2.2,5.2.2 code=4xx -> recipient mailbox_full mailbox\n"
    "fallback-5.2.3: stage=rcpt enhanced=5.2.3,5.3.4 code=5xx -> sender protocol\n"
    "fallback-5.2.4: stage=rcpt enhanced=5.2.4 code=5xx -> unclear unclear\n"
    "fallback-5.3: stage=rcpt enhanced=5.3.x code=5xx -> unclear service_unavailable\n"
    "fallback-5.4: stage=rcpt enhanced=5.4.x code=5xx -> domain routing\n"
    "fallback-5.5.3: stage=rcpt enhanced=5.5.3 code=5xx -> sender too_many_recipients\n"
    "fallback-5.5: stage=rcpt enhanced=5.5.1-2,5.5.4-6 code=5xx -> sender protocol\n"
    "fallback-5.6: stage=rcpt enhanced=5.6.x code=5xx -> sender protocol\n"
    "fallback-5.7: stage=rcpt enhanced=5.7.x code=5xx -> unclear policy\n"
    "fallback-5.7-sender: stage=mail,rcpt enhanced=5.7.20-29 code=5xx -> sender policy sender\n"
    "fallback-530-5.7: stage=rcpt enhanced=5.7.x,5.5.x code=530 -> sender auth_required\n"
    "fallback-4.5.3: stage=rcpt enhanced=4.5.3 code=4xx -> sender too_many_recipients\n"
    "fallback-4.3.2: stage=rcpt enhanced=4.3.2 code=4xx -> temporary service_unavailable\n"
    "fallback-4.7-rate: enhanced=4.7.28,4.7.500-699 code=4xx -> sender rate_limited\n"
    /* at RCPT, by code; what is left is unclear */
    "fallback-421: stage=rcpt code=421 -> temporary service_unavailable\n"
    "fallback-4xx: stage=rcpt code=4xx -> temporary temporary\n"
    "fallback-protocol: stage=rcpt code=500-504,555 -> sender protocol\n"
    "fallback-521: stage=rcpt code=521 -> domain routing\n"
    "fallback-530: stage=rcpt code=530 -> sender auth_required\n"
    "fallback-550: stage=rcpt code=550 -> recipient mailbox_not_found\n"
    "fallback-551: stage=rcpt code=551 -> unclear not_local\n"
    "fallback-553: stage=rcpt code=553 -> unclear policy\n"
    "fallback-554: stage=rcpt code=554 -> unclear policy\n"
    "fallback-556: stage=rcpt code=556 -> domain routing\n"
    "fallback-5xx: stage=rcpt code=5xx -> unclear unclear\n"
    "fallback-any: code=200-599 -> unclear unclear\n";

/* ---------------------------------------------------------------- reading a rule */

static void rule_free(struct rule *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_providers; i++)
		free(r->providers[i]);
	for (size_t i = 0; i < r->n_over; i++)
		free(r->over[i]);
	free(r->codes);
	free(r->enhanced);
	free(r->providers);
	free(r->phrases);
	free(r->over);
	free(r->conditions);
	free(r);
}

struct reading {
	struct rc_rules *rules;
	const struct rc_data_file *file;
	unsigned line; /* where the rule began */
	struct rc_error *err;
};

static enum rc_status wrong(const struct reading *in, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum rc_status wrong(const struct reading *in, const char *format, ...)
{
	char text[RC_ERROR_MAX / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return rc_error_set(in->err, RC_INVALID, "%s:%u: %s", in->file->name, in->line, text);
}

static enum rc_status no_memory(const struct reading *in)
{
	return rc_error_set(in->err, RC_NO_MEMORY, "%s:%u: no memory for the rule", in->file->name,
			    in->line);
}

/* Adds room for one more element; false: no memory. `array` is the address of the pointer. */
static bool grow(void *array, size_t n, size_t size)
{
	void **at = array;
	void *more;

	if (n & (n - 1)) /* powers of two only */
		return true;
	more = realloc(*at, (n ? 2 * n : 1) * size);
	if (!more)
		return false;
	*at = more;
	return true;
}

static bool parse_number(const char **at, long max, long *ret)
{
	long value = 0;
	const char *p = *at;

	if (*p < '0' || *p > '9')
		return false;
	while (*p >= '0' && *p <= '9') {
		value = 10 * value + (*p++ - '0');
		if (value > max)
			return false;
	}
	*at = p;
	*ret = value;
	return true;
}

/* "550", "5xx", "500-504" */
static bool parse_code(const char *s, struct code_pattern *ret)
{
	long low, high;

	if (strlen(s) == 3 && s[0] >= '2' && s[0] <= '5' && s[1] == 'x' && s[2] == 'x') {
		ret->low = (uint16_t)(100 * (s[0] - '0'));
		ret->high = (uint16_t)(ret->low + 99);
		return true;
	}
	if (!parse_number(&s, 599, &low) || low < 200)
		return false;
	high = low;
	if (*s == '-') {
		s++;
		if (!parse_number(&s, 599, &high) || high < low)
			return false;
	}
	ret->low = (uint16_t)low;
	ret->high = (uint16_t)high;
	return *s == '\0';
}

/* "5.1.1", "x.2.2", "5.7.x", "4.7.500-699", "none" */
static bool parse_enhanced(const char *s, struct enhanced_pattern *ret)
{
	int16_t *parts[3] = { &ret->class, &ret->subject, &ret->detail_low };

	*ret = (struct enhanced_pattern){ false, -1, -1, -1, -1 };
	if (strcmp(s, "none") == 0) {
		ret->none = true;
		return true;
	}
	for (int i = 0; i < 3; i++) {
		long value;

		if (*s == 'x') {
			s++;
		} else if (parse_number(&s, 999, &value)) {
			*parts[i] = (int16_t)value;
		} else {
			return false;
		}
		if (i < 2 && *s++ != '.')
			return false;
	}
	ret->detail_high = ret->detail_low;
	if (*s == '-' && ret->detail_low >= 0) {
		long value;

		s++;
		if (!parse_number(&s, 999, &value) || value < ret->detail_low)
			return false;
		ret->detail_high = (int16_t)value;
	}
	return *s == '\0' &&
	       (ret->class < 0 || ret->class == 2 || ret->class == 4 || ret->class == 5);
}

/* One alternative of a text condition: pieces between `*`. */
static enum rc_status parse_phrase(struct reading *in, struct rule *r, const char *s, size_t len)
{
	struct phrase phrase = { 0 };
	unsigned words_len = 0;
	size_t start = 0;

	if (r->n_phrases == PHRASES_MAX)
		return wrong(in, "more than %d phrases", PHRASES_MAX);
	phrase.group = (uint8_t)r->groups;
	for (size_t i = 0; i <= len; i++) {
		char folded[512];
		size_t from = start, to = i, n;
		int word;

		if (i < len && s[i] != '*')
			continue;
		start = i + 1;
		if (to - from > 400)
			return wrong(in, "a phrase of more than 400 octets");
		/* blanks beside a gap mean nothing; at the ends of the phrase they are asked for */
		while (from > 0 && from < to && s[from] == ' ')
			from++;
		while (i < len && to > from && s[to - 1] == ' ')
			to--;
		n = rc_reply_fold(s + from, to - from, NULL, folded, sizeof(folded));
		/* folding adds a blank at either end: keep only those that were written */
		if (from < to) {
			char *p = folded;

			if (s[from] != ' ') {
				p++;
				n--;
			}
			if (s[to - 1] != ' ')
				n--;
			if (n == 0)
				return wrong(in, "an empty phrase");
			if (phrase.n == PIECES_MAX)
				return wrong(in, "more than %d pieces between * in \"%.*s\"",
					     PIECES_MAX, (int)len, s);
			word = rc_matcher_add(in->rules->matcher, p, n);
			if (word < 0)
				return wrong(in, "more than %d words in all, or no memory",
					     RC_MATCHER_WORDS);
			phrase.piece[phrase.n++] = (uint16_t)word;
			words_len += (unsigned)n;
		}
	}
	if (phrase.n == 0)
		return wrong(in, "a phrase without a word");
	if (words_len < 3)
		return wrong(in, "the phrase \"%.*s\" is too short to mean anything", (int)len, s);
	if (!grow(&r->phrases, r->n_phrases, sizeof(*r->phrases)))
		return no_memory(in);
	r->phrases[r->n_phrases++] = phrase;
	if (r->words_len == 0 || words_len < r->words_len)
		r->words_len = words_len;
	return RC_OK;
}

/* text="a|b * c" */
static enum rc_status parse_text(struct reading *in, struct rule *r, const char *value)
{
	enum rc_status status;
	unsigned before = r->words_len;

	if (r->groups == GROUPS_MAX)
		return wrong(in, "more than %d text conditions", GROUPS_MAX);
	r->words_len = 0;
	for (const char *p = value;;) {
		size_t len = strcspn(p, "|");

		status = parse_phrase(in, r, p, len);
		if (status)
			return status;
		if (p[len] == '\0')
			break;
		p += len + 1;
	}
	r->words_len += before;
	r->groups++;
	if (!r->strength)
		r->strength = 2;
	return RC_OK;
}

/* One of a comma-separated list. `what` is the condition's name. */
static enum rc_status parse_item(struct reading *in, struct rule *r, const char *what,
				 const char *item)
{
	if (strcmp(what, "stage") == 0) {
		enum rc_stage stage = rc_stage_find(item);

		if (!stage)
			return wrong(in, "there is no stage \"%s\"", item);
		r->stages |= 1u << stage;
	} else if (strcmp(what, "code") == 0) {
		if (!grow(&r->codes, r->n_codes, sizeof(*r->codes)))
			return no_memory(in);
		if (!parse_code(item, &r->codes[r->n_codes]))
			return wrong(in, "\"%s\" is no reply code (550, 5xx, 500-504)", item);
		r->n_codes++;
	} else if (strcmp(what, "enhanced") == 0) {
		if (!grow(&r->enhanced, r->n_enhanced, sizeof(*r->enhanced)))
			return no_memory(in);
		if (!parse_enhanced(item, &r->enhanced[r->n_enhanced]))
			return wrong(
			    in, "\"%s\" is no enhanced status (5.1.1, 5.7.x, 4.7.500-699, none)",
			    item);
		r->n_enhanced++;
	} else if (strcmp(what, "provider") == 0 || strcmp(what, "over") == 0) {
		bool over = *what == 'o';
		char ***list = over ? &r->over : &r->providers;
		size_t *n = over ? &r->n_over : &r->n_providers;

		if (!grow(list, *n, sizeof(**list)))
			return no_memory(in);
		(*list)[*n] = strdup(item);
		if (!(*list)[*n])
			return no_memory(in);
		++*n;
	} else {
		return wrong(in, "there is no condition \"%s\"", what);
	}
	return RC_OK;
}

static enum rc_status parse_list(struct reading *in, struct rule *r, const char *what, char *value)
{
	unsigned n = 0;

	for (char *item = value; item;) {
		char *comma = strchr(item, ',');
		enum rc_status status;

		if (comma)
			*comma++ = '\0';
		if (++n > ALTERNATIVES_MAX)
			return wrong(in, "more than %d alternatives for %s", ALTERNATIVES_MAX,
				     what);
		if (!*item)
			return wrong(in, "an empty alternative for %s", what);
		status = parse_item(in, r, what, item);
		if (status)
			return status;
		item = comma;
	}
	return RC_OK;
}

/* The next word, or name="text with blanks" as name and text. NULL at the end; *at moves on. */
static char *next_token(char **at, char **ret_value, bool *ret_bad)
{
	char *p = *at, *word;

	*ret_value = NULL;
	*ret_bad = false;
	while (*p == ' ' || *p == '\t')
		p++;
	if (!*p)
		return NULL;
	word = p;
	while (*p && *p != ' ' && *p != '\t' && *p != '=')
		p++;
	if (*p == '=') {
		*p++ = '\0';
		if (*p == '"') {
			*ret_value = ++p;
			p = strchr(p, '"');
			if (!p || (p[1] && p[1] != ' ' && p[1] != '\t')) {
				*ret_bad = true;
				return word;
			}
		} else {
			*ret_value = p;
			p += strcspn(p, " \t");
		}
	}
	if (*p)
		*p++ = '\0';
	*at = p;
	return word;
}

static enum rc_status parse_conditions(struct reading *in, struct rule *r, char *text)
{
	char *word, *value;
	bool bad;

	while ((word = next_token(&text, &value, &bad))) {
		enum rc_status status;

		if (bad)
			return wrong(in, "the quotation mark after %s= is not closed", word);
		if (!value || !*value)
			return wrong(in, "\"%s\" is no condition: name=value is expected", word);
		status = strcmp(word, "text") == 0   ? parse_text(in, r, value)
			 : strcmp(word, "over") == 0 ? wrong(in, "over= belongs behind the arrow")
						     : parse_list(in, r, word, value);
		if (status)
			return status;
	}
	return RC_OK;
}

static enum rc_status parse_outcome(struct reading *in, struct rule *r, char *text)
{
	char *word, *value;
	bool bad;
	enum rc_status status;

	while ((word = next_token(&text, &value, &bad))) {
		long number;
		const char *p = value;

		if (bad)
			return wrong(in, "the quotation mark after %s= is not closed", word);
		if (!r->fault) {
			r->fault = rc_fault_find(word);
			if (!r->fault || value)
				return wrong(in, "there is no fault \"%s\"", word);
		} else if (!r->category) {
			r->category = rc_category_find(word);
			if (!r->category || value)
				return wrong(in, "there is no category \"%s\"", word);
		} else if (!value && strcmp(word, "mailbox") == 0) {
			r->mailbox = true;
		} else if (!value && strcmp(word, "sender") == 0) {
			r->sender = true;
		} else if (!value && strcmp(word, "tls") == 0) {
			r->tls = true;
		} else if (!value && (strcmp(word, "weak") == 0 || strcmp(word, "strong") == 0)) {
			if (!r->groups)
				return wrong(in, "%s is for rules with text", word);
			r->strength = *word == 'w' ? 1 : 3;
		} else if (value && strcmp(word, "retry") == 0) {
			if (!parse_number(&p, 172800, &number) || *p)
				return wrong(
				    in, "retry=%s is no number of seconds from 0 to 172800", value);
			r->retry_s = (int32_t)number;
		} else if (value && strcmp(word, "key") == 0) {
			r->key = strcmp(value, "ip") == 0     ? RC_GREYLIST_KEY_IP
				 : strcmp(value, "net") == 0  ? RC_GREYLIST_KEY_NET
				 : strcmp(value, "wide") == 0 ? RC_GREYLIST_KEY_WIDE
							      : RC_GREYLIST_KEY_UNKNOWN;
			if (!r->key)
				return wrong(in, "there is no greylist key \"%s\" (ip, net, wide)",
					     value);
		} else if (value && strcmp(word, "over") == 0) {
			status = parse_list(in, r, word, value);
			if (status)
				return status;
		} else {
			return wrong(in, "nothing is called \"%s\" here", word);
		}
	}
	if (!r->category)
		return wrong(in, "a fault and a category must stand behind the arrow");
	return RC_OK;
}

/* A rule that says the recipient is at fault is about RCPT and a permanent refusal, a yes is 2xx:
 * so it need not be written. */
static enum rc_status complete(struct reading *in, struct rule *r)
{
	static const struct code_pattern good = { 200, 299 }, passing = { 400, 499 },
					 lasting = { 500, 599 }, no = { 400, 599 };
	bool recipient = r->fault == RC_FAULT_RECIPIENT || r->category == RC_CATEGORY_NOT_LOCAL;

	if (recipient && !r->stages)
		r->stages = 1u << RC_STAGE_RCPT;
	if (recipient && r->stages != 1u << RC_STAGE_RCPT)
		return wrong(in, "a recipient is at fault at RCPT only: stage= names another");
	if (r->fault == RC_FAULT_RECIPIENT &&
	    (r->category < RC_CATEGORY_MAILBOX_NOT_FOUND || r->category > RC_CATEGORY_NOT_LOCAL))
		return wrong(in, "%s is not a recipient's fault", rc_category_name(r->category));
	if (!r->n_codes) {
		if (!grow(&r->codes, 0, sizeof(*r->codes)))
			return no_memory(in);
		r->codes[r->n_codes++] = r->fault == RC_FAULT_NONE		   ? good
					 : r->category == RC_CATEGORY_MAILBOX_FULL ? no
					 : recipient				   ? lasting
					 : r->fault == RC_FAULT_TEMPORARY	   ? passing
										   : no;
	} else {
		r->code_weight = 1;
		for (size_t i = 0; i < r->n_codes; i++) {
			if (r->codes[i].low != r->codes[i].high &&
			    r->codes[i].high - r->codes[i].low >= 99)
				break;
			if (i + 1 == r->n_codes)
				r->code_weight = 2;
		}
	}
	for (size_t i = 0; i < r->n_codes; i++)
		if (r->fault == RC_FAULT_RECIPIENT && r->category != RC_CATEGORY_MAILBOX_FULL &&
		    r->codes[i].low < 500)
			return wrong(
			    in, "a 4xx alone never makes an address invalid: code= must be 5xx");
	for (size_t i = 0; i < r->n_enhanced; i++) {
		const struct enhanced_pattern *e = &r->enhanced[i];
		unsigned weight = e->none ? 1
					  : (unsigned)((e->class >= 0) + (e->subject >= 0) +
						       2 * (e->detail_low >= 0));

		if (i == 0 || weight < r->enhanced_weight)
			r->enhanced_weight = weight;
	}
	r->stage_weight = r->stages ? 1 : 0;
	return RC_OK;
}

static enum rc_status parse_rule(struct reading *in, char *text, bool fallback)
{
	struct rule *r = calloc(1, sizeof(*r));
	struct rc_rules *rules = in->rules;
	char *colon = strchr(text, ':'), *arrow;
	enum rc_status status;
	size_t n;

	if (!r)
		return no_memory(in);
	r->line = fallback ? 0 : in->line;
	r->retry_s = -1;
	if (!colon || (size_t)(colon - text) > NAME_MAX_LEN || colon == text ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") != (size_t)(colon - text)) {
		status = wrong(in,
			       "a rule begins with a name of small letters, digits, - and . (at "
			       "most %d) and a colon",
			       NAME_MAX_LEN);
		goto out;
	}
	if (!fallback && strncmp(text, "fallback-", 9) == 0) {
		status = wrong(in, "names that begin with fallback- are the program's own");
		goto out;
	}
	memcpy(r->name, text, (size_t)(colon - text));
	for (size_t i = 0; i < rules->n; i++)
		if (strcmp(rules->rules[i]->name, r->name) == 0) {
			status = wrong(in, "the rule %s stands in line %u already", r->name,
				       rules->rules[i]->line);
			goto out;
		}
	/* the last arrow: a text may hold one */
	arrow = NULL;
	for (char *p = colon; (p = strstr(p, " -> ")); p += 4)
		arrow = p;
	if (!arrow) {
		status = wrong(in, "the arrow -> is missing");
		goto out;
	}
	*arrow = '\0';
	r->conditions = strdup(colon + 1);
	if (!r->conditions) {
		status = no_memory(in);
		goto out;
	}
	for (size_t i = 0; i < rules->n; i++)
		if (!fallback && strcmp(rules->rules[i]->conditions, r->conditions) == 0) {
			status = wrong(in, "the same conditions stand in line %u already (%s)",
				       rules->rules[i]->line, rules->rules[i]->name);
			goto out;
		}
	status = parse_conditions(in, r, colon + 1);
	if (!status)
		status = parse_outcome(in, r, arrow + 4);
	if (!status && !r->stages && !r->n_codes && !r->n_enhanced && !r->n_providers && !r->groups)
		status = wrong(in, "a rule needs a condition");
	if (!status)
		status = complete(in, r);
	if (status)
		goto out;
	n = rules->n;
	if (n == RULES_MAX) {
		status = wrong(in, "more than %d rules", RULES_MAX);
		goto out;
	}
	if (!grow(&rules->rules, n, sizeof(*rules->rules))) {
		status = no_memory(in);
		goto out;
	}
	rules->rules[rules->n++] = r;
	r = NULL;
out:
	rule_free(r);
	return status;
}

static enum rc_status parse_file(struct rc_rules *rules, struct rc_data_file *f, bool fallback,
				 struct rc_error *err)
{
	struct reading in = { rules, f, 0, err };
	char *text = malloc(RULE_TEXT_MAX);
	size_t len = 0;
	enum rc_status status = RC_OK;
	int more;

	if (!text)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	do {
		more = rc_data_file_next(f, err);
		if (more < 0) {
			status = RC_INVALID;
			break;
		}
		if ((more == 0 || !f->indented) && len) {
			status = parse_rule(&in, text, fallback);
			len = 0;
			if (status)
				break;
		}
		if (more) {
			size_t n = strlen(f->text);

			if (f->indented && !len) {
				status = rc_data_file_wrong(f, err,
							    "the line is indented, but there is no "
							    "rule that it goes on with");
				break;
			}
			if (len + n + 2 > RULE_TEXT_MAX) {
				status = rc_data_file_wrong(f, err, "a rule of more than %d octets",
							    RULE_TEXT_MAX);
				break;
			}
			if (!len)
				in.line = f->line;
			else
				text[len++] = ' ';
			memcpy(text + len, f->text, n + 1);
			len += n;
		}
	} while (more);
	free(text);
	return status;
}

/* ---------------------------------------------------------------- order */

/* Of two rules with strong words, the one that would make an address invalid comes second: in doubt
 * it is not the mailbox. */
static unsigned word_strength(const struct rule *r)
{
	if (r->strength < 3)
		return (unsigned)r->strength;
	return r->fault == RC_FAULT_RECIPIENT && r->category != RC_CATEGORY_MAILBOX_FULL ? 3 : 4;
}

/* Fallbacks behind everything; provider before text before enhanced status before code; then what
 * came first in the file. */
static int by_specificity(const void *a, const void *b)
{
	const struct rule *x = *(struct rule *const *)a, *y = *(struct rule *const *)b;
	const unsigned xs[] = { x->line != 0,	x->n_providers != 0, word_strength(x),
				x->words_len,	x->enhanced_weight,  x->code_weight,
				x->stage_weight };
	const unsigned ys[] = { y->line != 0,	y->n_providers != 0, word_strength(y),
				y->words_len,	y->enhanced_weight,  y->code_weight,
				y->stage_weight };

	for (size_t i = 0; i < sizeof(xs) / sizeof(*xs); i++)
		if (xs[i] != ys[i])
			return xs[i] > ys[i] ? -1 : 1;
	return x->line != y->line ? (x->line < y->line ? -1 : 1) : strcmp(x->name, y->name);
}

/* Moves a rule before each that it is said to stand over; those relations must not run in a circle.
 */
static enum rc_status order(struct rc_rules *rules, const char *name, struct rc_error *err)
{
	size_t n = rules->n;
	struct rule **sorted = calloc(n ? n : 1, sizeof(*sorted));
	uint16_t *waits =
	    calloc(n ? n : 1, sizeof(*waits)); /* rules not placed yet that stand over this one */
	enum rc_status status = RC_OK;

	if (!sorted || !waits) {
		status = rc_error_set(err, RC_NO_MEMORY, "%s: no memory to order the rules", name);
		goto out;
	}
	qsort(rules->rules, n, sizeof(*rules->rules), by_specificity);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < rules->rules[i]->n_over; k++) {
			size_t j = 0;

			while (j < n &&
			       strcmp(rules->rules[j]->name, rules->rules[i]->over[k]) != 0)
				j++;
			if (j == n) {
				status = rc_error_set(
				    err, RC_INVALID, "%s:%u: over=%s: there is no such rule", name,
				    rules->rules[i]->line, rules->rules[i]->over[k]);
				goto out;
			}
			waits[j]++;
		}
	for (size_t placed = 0; placed < n; placed++) {
		size_t i = 0;

		while (i < n && (!rules->rules[i] || waits[i]))
			i++;
		if (i == n) {
			for (i = 0; !rules->rules[i]; i++)
				;
			status =
			    rc_error_set(err, RC_INVALID,
					 "%s:%u: the rule %s stands over itself, by way of others",
					 name, rules->rules[i]->line, rules->rules[i]->name);
			for (size_t k = 0, at = 0; at < placed; k++)
				if (!rules->rules[k])
					rules->rules[k] = sorted[at++];
			goto out;
		}
		for (size_t k = 0; k < rules->rules[i]->n_over; k++)
			for (size_t j = 0; j < n; j++)
				if (rules->rules[j] &&
				    strcmp(rules->rules[j]->name, rules->rules[i]->over[k]) == 0)
					waits[j]--;
		sorted[placed] = rules->rules[i];
		rules->rules[i] = NULL;
	}
	memcpy(rules->rules, sorted, n * sizeof(*sorted));
out:
	free(sorted);
	free(waits);
	return status;
}

/* For each phrase of a rule's first text condition, its longest piece calls for the rule. */
static enum rc_status index_words(struct rc_rules *rules, const char *name, struct rc_error *err)
{
	size_t words = rc_matcher_words(rules->matcher), total = 0;
	uint32_t *fill = NULL;
	enum rc_status status = RC_NO_MEMORY;

	rules->bit_words = (rules->n + 63) / 64;
	rules->base = calloc(rules->bit_words, sizeof(*rules->base));
	rules->word_first = calloc(words + 1, sizeof(*rules->word_first));
	fill = calloc(words + 1, sizeof(*fill));
	for (size_t i = 0; i < rules->n; i++)
		total += rules->rules[i]->n_phrases;
	rules->word_rules = calloc(total ? total : 1, sizeof(*rules->word_rules));
	if (!rules->base || !rules->word_first || !rules->word_rules || !fill ||
	    !rc_matcher_compile(rules->matcher))
		goto out;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < rules->n; i++) {
			const struct rule *r = rules->rules[i];

			if (!r->groups)
				rules->base[i / 64] |= (uint64_t)1 << (i % 64);
			for (size_t k = 0; k < r->n_phrases && r->phrases[k].group == 0; k++) {
				size_t best = 0, len, best_len = 0;

				for (size_t p = 0; p < r->phrases[k].n; p++) {
					rc_matcher_word(rules->matcher, r->phrases[k].piece[p],
							&len);
					if (len > best_len) {
						best = r->phrases[k].piece[p];
						best_len = len;
					}
				}
				if (pass == 0)
					rules->word_first[best + 1]++;
				else
					rules->word_rules[rules->word_first[best] + fill[best]++] =
					    (uint16_t)i;
			}
		}
		if (pass == 0)
			for (size_t w = 0; w < words; w++)
				rules->word_first[w + 1] += rules->word_first[w];
	}
	status = RC_OK;
out:
	free(fill);
	return status ? rc_error_set(err, status,
				     "%s: no memory for its words, or too many of them", name)
		      : RC_OK;
}

static enum rc_status compile(struct rc_data_file *f, struct rc_rules **ret_rules,
			      struct rc_error *err)
{
	struct rc_rules *rules = calloc(1, sizeof(*rules));
	struct rc_data_file fallback;
	uint8_t digest[EVP_MAX_MD_SIZE];
	enum rc_status status;

	if (!rules || !(rules->matcher = rc_matcher_new())) {
		status = rc_error_set(err, RC_NO_MEMORY, "%s: no memory for the rules", f->name);
		goto out;
	}
	if (!EVP_Digest(f->at, (size_t)(f->end - f->at), digest, NULL, EVP_sha256(), NULL)) {
		status = rc_error_set(err, RC_BROKEN, "%s: SHA-256 is not available", f->name);
		goto out;
	}
	for (int i = 0; i < 8; i++)
		snprintf(rules->version + 2 * i, 3, "%02x", digest[i]);
	status = parse_file(rules, f, false, err);
	if (status)
		goto out;
	rules->from_file = rules->n;
	rc_data_file_init(&fallback, "fallback rules", fallback_rules, sizeof(fallback_rules) - 1);
	status = parse_file(rules, &fallback, true, err);
	if (!status)
		status = order(rules, f->name, err);
	if (!status)
		status = index_words(rules, f->name, err);
	if (status)
		goto out;
	*ret_rules = rules;
	rules = NULL;
out:
	rc_rules_free(rules);
	return status;
}

enum rc_status rc_rules_load(const char *path, struct rc_rules **ret_rules, struct rc_error *err)
{
	struct rc_data_file f;
	enum rc_status status = rc_data_file_open(&f, path, "replies", err);

	if (status)
		return status;
	status = compile(&f, ret_rules, err);
	rc_data_file_done(&f);
	return status;
}

enum rc_status rc_rules_parse(const char *name, const char *data, size_t len,
			      struct rc_rules **ret_rules, struct rc_error *err)
{
	struct rc_data_file f;

	rc_data_file_init(&f, name, data, len);
	return compile(&f, ret_rules, err);
}

void rc_rules_free(struct rc_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->n; i++)
		rule_free(rules->rules[i]);
	free(rules->rules);
	rc_matcher_free(rules->matcher);
	free(rules->word_first);
	free(rules->word_rules);
	free(rules->base);
	free(rules);
}

size_t rc_rules_count(const struct rc_rules *rules)
{
	return rules->from_file;
}

const char *rc_rules_version(const struct rc_rules *rules)
{
	return rules->version;
}

/* ---------------------------------------------------------------- classifying */

struct looking {
	const struct rc_rules *rules;
	unsigned stage, code;
	int enhanced[3]; /* -1: none */
	const char *provider;
	char text[RC_REPLY_TEXT_MAX + 8];
	size_t len;
	uint64_t seen[RC_MATCHER_WORDS / 64];
	uint64_t marked[RULES_MAX / 64 + 2];
};

static void found_word(void *ctx, int word)
{
	struct looking *l = ctx;
	const struct rc_rules *rules = l->rules;

	for (uint32_t i = rules->word_first[word]; i < rules->word_first[word + 1]; i++)
		l->marked[rules->word_rules[i] / 64] |= (uint64_t)1 << (rules->word_rules[i] % 64);
}

static bool was_seen(const struct looking *l, unsigned word)
{
	return l->seen[word / 64] >> (word % 64) & 1;
}

static bool phrase_holds(const struct looking *l, const struct phrase *phrase)
{
	const char *end = l->text + l->len, *first = l->text;
	size_t len;

	for (unsigned i = 0; i < phrase->n; i++)
		if (!was_seen(l, phrase->piece[i]))
			return false;
	if (phrase->n == 1)
		return true;
	for (;;) {
		const char *word = rc_matcher_word(l->rules->matcher, phrase->piece[0], &len);
		const char *at;
		unsigned i;

		first = memmem(first, (size_t)(end - first), word, len);
		if (!first)
			return false;
		at = first + len;
		for (i = 1; i < phrase->n; i++) {
			size_t room = (size_t)(end - at);
			const char *next;

			word = rc_matcher_word(l->rules->matcher, phrase->piece[i], &len);
			if (room > GAP_MAX + len)
				room = GAP_MAX + len;
			next = memmem(at, room, word, len);
			if (!next)
				break;
			at = next + len;
		}
		if (i == phrase->n)
			return true;
		first++;
	}
}

static bool text_holds(const struct looking *l, const struct rule *r)
{
	uint32_t open = (1u << r->groups) - 1;

	for (size_t i = 0; i < r->n_phrases && open; i++)
		if (open >> r->phrases[i].group & 1 && phrase_holds(l, &r->phrases[i]))
			open &= ~(1u << r->phrases[i].group);
	return open == 0;
}

static bool enhanced_holds(const struct looking *l, const struct rule *r)
{
	if (!r->n_enhanced)
		return true;
	for (size_t i = 0; i < r->n_enhanced; i++) {
		const struct enhanced_pattern *e = &r->enhanced[i];

		if (e->none != (l->enhanced[0] < 0))
			continue;
		if (e->none || ((e->class < 0 || e->class == l->enhanced[0]) &&
				(e->subject < 0 || e->subject == l->enhanced[1]) &&
				(e->detail_low < 0 || (l->enhanced[2] >= e->detail_low &&
						       l->enhanced[2] <= e->detail_high))))
			return true;
	}
	return false;
}

static bool rule_holds(const struct looking *l, const struct rule *r)
{
	bool ok = false;

	if (r->stages && !(r->stages >> l->stage & 1))
		return false;
	for (size_t i = 0; i < r->n_codes && !ok; i++)
		ok = l->code >= r->codes[i].low && l->code <= r->codes[i].high;
	if (!ok || !enhanced_holds(l, r))
		return false;
	if (r->n_providers) {
		ok = false;
		for (size_t i = 0; i < r->n_providers && !ok; i++)
			ok = strcmp(r->providers[i], l->provider) == 0;
		if (!ok)
			return false;
	}
	return !r->groups || text_holds(l, r);
}

static bool read_enhanced(const char *s, int out[3])
{
	struct enhanced_pattern e;

	if (!s || !*s || !parse_enhanced(s, &e) || e.none || e.class < 0 || e.subject < 0 ||
	    e.detail_low < 0)
		return false;
	out[0] = e.class;
	out[1] = e.subject;
	out[2] = e.detail_low;
	return true;
}

/* qmail and its kin write the enhanced status as "(#5.1.1)" at the end. */
static void find_enhanced(struct looking *l)
{
	const char *end = l->text + l->len;

	for (const char *p = l->text; (p = memchr(p, '#', (size_t)(end - p))); p++) {
		char status[12];
		size_t n = 0;

		while (p + 1 + n < end && n < sizeof(status) - 1 &&
		       (p[1 + n] == '.' || (p[1 + n] >= '0' && p[1 + n] <= '9'))) {
			status[n] = p[1 + n];
			n++;
		}
		while (n && status[n - 1] == '.')
			n--;
		status[n] = '\0';
		if (read_enhanced(status, l->enhanced))
			return;
	}
}

static void look(struct looking *l, const struct rc_rules *rules, const struct rc_reply_view *reply)
{
	size_t len = reply->text ? reply->len : 0;

	l->rules = rules;
	l->stage = reply->stage > RC_STAGE_UNSET && reply->stage <= RC_STAGE_QUIT
		       ? (unsigned)reply->stage
		       : RC_STAGE_RCPT;
	l->code = reply->code;
	l->provider = reply->provider ? reply->provider : "";
	if (len > RC_REPLY_TEXT_MAX)
		len = RC_REPLY_TEXT_MAX;
	l->len =
	    rc_reply_fold(len ? reply->text : "", len, reply->enhanced, l->text, sizeof(l->text));
	l->enhanced[0] = l->enhanced[1] = l->enhanced[2] = -1;
	if (!read_enhanced(reply->enhanced, l->enhanced))
		find_enhanced(l);
	memset(l->seen, 0, (rc_matcher_words(rules->matcher) + 63) / 64 * sizeof(*l->seen));
	memcpy(l->marked, rules->base, rules->bit_words * sizeof(*l->marked));
	rc_matcher_scan(rules->matcher, l->text, l->len, l->seen, found_word, l);
}

/* The first rule that holds at or behind number `from`; rules->n: none. */
static size_t next_holding(const struct looking *l, size_t from)
{
	for (size_t w = from / 64; w < l->rules->bit_words; w++) {
		uint64_t bits = l->marked[w];

		if (w == from / 64)
			bits &= ~(uint64_t)0 << (from % 64);
		for (; bits; bits &= bits - 1) {
			size_t i = 64 * w + (size_t)__builtin_ctzll(bits);

			if (rule_holds(l, l->rules->rules[i]))
				return i;
		}
	}
	return l->rules->n;
}

void rc_rules_classify(const struct rc_rules *rules, const struct rc_reply_view *reply,
		       struct rc_classification *ret)
{
	struct looking l;
	size_t i;

	look(&l, rules, reply);
	i = next_holding(&l, 0);
	*ret = (struct rc_classification){ .fault = RC_FAULT_UNCLEAR,
					   .category = RC_CATEGORY_UNCLEAR,
					   .rule = "fallback-no-reply",
					   .retry_after_s = -1,
					   .greylist_min_s = -1 };
	if (i < rules->n) {
		const struct rule *r = rules->rules[i];

		ret->fault = r->fault;
		ret->category = r->category;
		ret->rule = r->name;
		ret->line = r->line;
		ret->names_mailbox = r->mailbox;
		ret->names_sender = r->sender;
		ret->names_tls = r->tls;
		ret->greylist_min_s = r->retry_s;
		ret->greylist_key = r->key;
	}
	if (l.code >= 400 && l.code < 500)
		ret->retry_after_s = rc_reply_wait_s(l.text, l.len);
}

size_t rc_rules_matching(const struct rc_rules *rules, const struct rc_reply_view *reply,
			 const char **ret_names, size_t max)
{
	struct looking l;
	size_t n = 0;

	look(&l, rules, reply);
	for (size_t i = next_holding(&l, 0); i < rules->n; i = next_holding(&l, i + 1)) {
		if (n < max)
			ret_names[n] = rules->rules[i]->name;
		n++;
	}
	return n;
}
