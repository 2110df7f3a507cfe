/* See rule.h: a line of data/replies becomes a rule or a set of words. */
#include "common/reply/rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/reply/reply_text.h"

enum {
	ALTERNATIVES_MAX = 64, /* of one list */
	PHRASES_MAX = 256,     /* of one rule */
	PHRASE_MAX = 400,      /* octets */
	SET_WORDS_MAX = 1024,
	BESIDE_SET = 3 /* octets between a word of a set and its neighbour: "user(s) unknown" */
};

void rule_free(struct rule *r)
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

enum rc_status rule_wrong(const struct reading *in, const char *format, ...)
{
	char text[RC_ERROR_MAX / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return rc_error_set(in->err, RC_INVALID, "%s:%u: %s", in->file->name, in->line, text);
}

enum rc_status rule_no_memory(const struct reading *in)
{
	return rc_error_set(in->err, RC_NO_MEMORY, "%s:%u: no memory for the rule", in->file->name,
			    in->line);
}

bool rule_grow(void *array, size_t n, size_t size)
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

/* ---------------------------------------------------------------- numbers */

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
bool rule_parse_enhanced(const char *s, struct enhanced_pattern *ret)
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

/* ---------------------------------------------------------------- words */

/* Adds `s` to the matcher as replies are read: folded, without the blank before it, and without
 * the one behind it unless that was written. *ret_word: -1 for a text without a word. */
static enum rc_status add_word(struct reading *in, const char *s, size_t len, bool keep_end,
			       int *ret_word, unsigned *ret_len)
{
	char folded[PHRASE_MAX + 8];
	char *p = folded;
	size_t n;

	*ret_word = -1;
	*ret_len = 0;
	if (len > PHRASE_MAX)
		return rule_wrong(in, "a phrase of more than %d octets", PHRASE_MAX);
	n = rc_reply_fold(s, len, NULL, folded, sizeof(folded));
	while (n && *p == ' ') {
		p++;
		n--;
	}
	if (n && p[n - 1] == ' ' && !(keep_end && len && s[len - 1] == ' '))
		n--;
	if (n == 0)
		return RC_OK;
	*ret_word = rc_matcher_add(in->rules->matcher, p, n);
	if (*ret_word < 0)
		return rule_wrong(in, "more than %d words in all, or no memory", RC_MATCHER_WORDS);
	*ret_len = (unsigned)n;
	return RC_OK;
}

static enum rc_status add_piece(struct reading *in, struct phrase *phrase, struct piece piece,
				const char *s, size_t len)
{
	if (phrase->n == RULE_PIECES_MAX)
		return rule_wrong(in, "more than %d pieces in \"%.*s\"", RULE_PIECES_MAX, (int)len,
				  s);
	phrase->piece[phrase->n++] = piece;
	return RC_OK;
}

static size_t find_set(const struct rc_rules *rules, const char *name, size_t len)
{
	for (size_t i = 1; i < rules->n_sets; i++)
		if (strlen(rules->sets[i].name) == len &&
		    memcmp(rules->sets[i].name, name, len) == 0)
			return i;
	return 0;
}

/* "{name}" at `*at`, which moves behind it. */
static enum rc_status parse_set_piece(struct reading *in, const char *s, size_t len, size_t *at,
				      struct piece *ret, unsigned *ret_len)
{
	const char *name = s + *at + 1;
	const char *end = memchr(name, '}', len - *at - 1);
	size_t set;

	if (!end)
		return rule_wrong(in, "the { is not closed in \"%.*s\"", (int)len, s);
	set = find_set(in->rules, name, (size_t)(end - name));
	if (!set)
		return rule_wrong(in, "there is no set \"%.*s\" above this line", (int)(end - name),
				  name);
	in->rules->sets[set].used = true;
	ret->set = (uint16_t)set;
	*ret_len = in->rules->sets[set].shortest;
	*at = (size_t)(end - s) + 1;
	return RC_OK;
}

/* One alternative of a text condition: words and {sets}, with `*` or `~` between them where others
 * may stand. */
static enum rc_status parse_phrase(struct reading *in, struct rule *r, const char *s, size_t len)
{
	struct phrase phrase = { .group = (uint8_t)r->groups };
	unsigned words_len = 0;
	uint8_t gap = 0;

	if (r->n_phrases == PHRASES_MAX)
		return rule_wrong(in, "more than %d phrases", PHRASES_MAX);
	for (size_t i = 0; i < len;) {
		struct piece piece = { .gap = gap };
		enum rc_status status;
		unsigned n = 0;

		if (s[i] == '*' || s[i] == '~') {
			gap = s[i] == '*' ? RULE_GAP_MAX : RULE_NEAR_MAX;
			i++;
			continue;
		}
		if (s[i] == '{') {
			status = parse_set_piece(in, s, len, &i, &piece, &n);
			gap = BESIDE_SET;
		} else {
			size_t stop = i;
			int word;

			while (stop < len && s[stop] != '*' && s[stop] != '~' && s[stop] != '{')
				stop++;
			status = add_word(in, s + i, stop - i, stop == len, &word, &n);
			i = stop;
			if (status == RC_OK && word < 0)
				continue; /* blanks beside a gap or a set */
			piece.word = (uint16_t)word;
			gap = BESIDE_SET;
		}
		if (status == RC_OK)
			status = add_piece(in, &phrase, piece, s, len);
		if (status)
			return status;
		words_len += n;
	}
	if (phrase.n == 0)
		return rule_wrong(in, "a phrase without a word");
	if (words_len < 3)
		return rule_wrong(in, "the phrase \"%.*s\" is too short to mean anything", (int)len,
				  s);
	if (!rule_grow(&r->phrases, r->n_phrases, sizeof(*r->phrases)))
		return rule_no_memory(in);
	phrase.piece[0].gap = 0;
	r->phrases[r->n_phrases++] = phrase;
	if (r->words_len == 0 || words_len < r->words_len)
		r->words_len = words_len;
	return RC_OK;
}

/* text="a|b * c", not="d" */
static enum rc_status parse_text(struct reading *in, struct rule *r, const char *value, bool denied)
{
	enum rc_status status;
	unsigned before = r->words_len;

	if (r->groups == RULE_GROUPS_MAX)
		return rule_wrong(in, "more than %d text conditions", RULE_GROUPS_MAX);
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
	if (denied) {
		r->denied_groups |= 1u << r->groups;
		r->words_len = before;
	} else {
		r->words_len += before;
		if (!r->strength)
			r->strength = 2;
	}
	r->groups++;
	return RC_OK;
}

/* set NAME: a|b|c */
static enum rc_status parse_set(struct reading *in, char *text)
{
	struct rc_rules *rules = in->rules;
	struct word_set *set = &rules->sets[rules->n_sets];
	char *colon = strchr(text, ':');
	size_t name_len = colon ? (size_t)(colon - text) : 0;

	if (rules->n_sets == RULE_SETS_MAX)
		return rule_wrong(in, "more than %d sets", RULE_SETS_MAX - 1);
	if (!name_len || name_len > RULE_NAME_MAX ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != name_len)
		return rule_wrong(in,
				  "a set has a name of small letters, digits and -, and a colon");
	if (find_set(rules, text, name_len))
		return rule_wrong(in, "the set %.*s stands in line %u already", (int)name_len, text,
				  rules->sets[find_set(rules, text, name_len)].line);
	memcpy(set->name, text, name_len);
	set->line = in->line;
	rules->n_sets++;
	for (char *p = colon + 1 + strspn(colon + 1, " ");;) {
		size_t len = strcspn(p, "|");
		enum rc_status status;
		unsigned n;
		int word;

		if (memchr(p, '*', len) || memchr(p, '~', len) || memchr(p, '{', len))
			return rule_wrong(in, "a set holds plain words only: \"%.*s\"", (int)len,
					  p);
		status = add_word(in, p, len, true, &word, &n);
		if (status)
			return status;
		if (word < 0)
			return rule_wrong(in, "an empty word in the set %s", set->name);
		for (size_t i = 0; i < set->n; i++)
			if (set->words[i] == (uint16_t)word)
				return rule_wrong(in, "\"%.*s\" stands twice in the set %s",
						  (int)len, p, set->name);
		if (set->n == SET_WORDS_MAX)
			return rule_wrong(in, "more than %d words in a set", SET_WORDS_MAX);
		if (!rule_grow(&set->words, set->n, sizeof(*set->words)))
			return rule_no_memory(in);
		set->words[set->n++] = (uint16_t)word;
		if (set->n == 1 || n < set->shortest)
			set->shortest = n;
		if (p[len] == '\0')
			return RC_OK;
		p += len + 1;
	}
}

/* ---------------------------------------------------------------- conditions */

/* One of a comma-separated list. `what` is the condition's name. */
static enum rc_status parse_item(struct reading *in, struct rule *r, const char *what,
				 const char *item)
{
	if (strcmp(what, "stage") == 0) {
		enum rc_stage stage = rc_stage_find(item);

		if (!stage)
			return rule_wrong(in, "there is no stage \"%s\"", item);
		r->stages |= 1u << stage;
	} else if (strcmp(what, "code") == 0) {
		if (!rule_grow(&r->codes, r->n_codes, sizeof(*r->codes)))
			return rule_no_memory(in);
		if (!parse_code(item, &r->codes[r->n_codes]))
			return rule_wrong(in, "\"%s\" is no reply code (550, 5xx, 500-504)", item);
		r->n_codes++;
	} else if (strcmp(what, "enhanced") == 0) {
		if (!rule_grow(&r->enhanced, r->n_enhanced, sizeof(*r->enhanced)))
			return rule_no_memory(in);
		if (!rule_parse_enhanced(item, &r->enhanced[r->n_enhanced]))
			return rule_wrong(
			    in, "\"%s\" is no enhanced status (5.1.1, 5.7.x, 4.7.500-699, none)",
			    item);
		r->n_enhanced++;
	} else if (strcmp(what, "provider") == 0 || strcmp(what, "over") == 0) {
		bool over = *what == 'o';
		char ***list = over ? &r->over : &r->providers;
		size_t *n = over ? &r->n_over : &r->n_providers;

		if (!rule_grow(list, *n, sizeof(**list)))
			return rule_no_memory(in);
		(*list)[*n] = strdup(item);
		if (!(*list)[*n])
			return rule_no_memory(in);
		++*n;
	} else {
		return rule_wrong(in, "there is no condition \"%s\"", what);
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
			return rule_wrong(in, "more than %d alternatives for %s", ALTERNATIVES_MAX,
					  what);
		if (!*item)
			return rule_wrong(in, "an empty alternative for %s", what);
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

/* words=4: at least so many in the text */
static enum rc_status parse_words(struct reading *in, struct rule *r, const char *value)
{
	const char *p = value;
	long number;

	if (!parse_number(&p, 1000, &number) || *p || number < 1)
		return rule_wrong(in, "words=%s is no number of words from 1 to 1000", value);
	r->min_words = (unsigned)number;
	return RC_OK;
}

static enum rc_status parse_conditions(struct reading *in, struct rule *r, char *text)
{
	char *word, *value;
	bool bad;

	while ((word = next_token(&text, &value, &bad))) {
		enum rc_status status;

		if (bad)
			return rule_wrong(in, "the quotation mark after %s= is not closed", word);
		if (!value || !*value)
			return rule_wrong(in, "\"%s\" is no condition: name=value is expected",
					  word);
		if (strcmp(word, "text") == 0 || strcmp(word, "not") == 0)
			status = parse_text(in, r, value, *word == 'n');
		else if (strcmp(word, "words") == 0)
			status = parse_words(in, r, value);
		else if (strcmp(word, "over") == 0)
			status = rule_wrong(in, "over= belongs behind the arrow");
		else
			status = parse_list(in, r, word, value);
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
			return rule_wrong(in, "the quotation mark after %s= is not closed", word);
		if (!r->fault) {
			r->fault = rc_fault_find(word);
			if (!r->fault || value)
				return rule_wrong(in, "there is no fault \"%s\"", word);
		} else if (!r->category) {
			r->category = rc_category_find(word);
			if (!r->category || value)
				return rule_wrong(in, "there is no category \"%s\"", word);
		} else if (!value && strcmp(word, "mailbox") == 0) {
			r->mailbox = true;
		} else if (!value && strcmp(word, "sender") == 0) {
			r->sender = true;
		} else if (!value && strcmp(word, "tls") == 0) {
			r->tls = true;
		} else if (!value && (strcmp(word, "weak") == 0 || strcmp(word, "strong") == 0)) {
			if (!r->groups)
				return rule_wrong(in, "%s is for rules with text", word);
			r->strength = *word == 'w' ? 1 : 3;
		} else if (value && strcmp(word, "retry") == 0) {
			if (!parse_number(&p, 172800, &number) || *p)
				return rule_wrong(
				    in, "retry=%s is no number of seconds from 0 to 172800", value);
			r->retry_s = (int32_t)number;
		} else if (value && strcmp(word, "key") == 0) {
			r->key = strcmp(value, "ip") == 0     ? RC_GREYLIST_KEY_IP
				 : strcmp(value, "net") == 0  ? RC_GREYLIST_KEY_NET
				 : strcmp(value, "wide") == 0 ? RC_GREYLIST_KEY_WIDE
							      : RC_GREYLIST_KEY_UNKNOWN;
			if (!r->key)
				return rule_wrong(
				    in, "there is no greylist key \"%s\" (ip, net, wide)", value);
		} else if (value && strcmp(word, "over") == 0) {
			status = parse_list(in, r, word, value);
			if (status)
				return status;
		} else {
			return rule_wrong(in, "nothing is called \"%s\" here", word);
		}
	}
	if (!r->category)
		return rule_wrong(in, "a fault and a category must stand behind the arrow");
	return RC_OK;
}

static enum rc_status parse_name(struct reading *in, struct rule *r, const char *text, size_t len)
{
	const struct rc_rules *rules = in->rules;

	if (len == 0 || len > RULE_NAME_MAX ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") != len)
		return rule_wrong(in,
				  "a rule begins with a name of small letters, digits, - and . (at "
				  "most %d) and a colon",
				  RULE_NAME_MAX);
	if (!in->fallback && strncmp(text, "fallback-", 9) == 0)
		return rule_wrong(in, "names that begin with fallback- are the program's own");
	memcpy(r->name, text, len);
	for (size_t i = 0; i < rules->n; i++)
		if (strcmp(rules->rules[i]->name, r->name) == 0)
			return rule_wrong(in, "the rule %s stands in line %u already", r->name,
					  rules->rules[i]->line);
	return RC_OK;
}

/* The last arrow: a text may hold one. */
static char *find_arrow(char *text)
{
	char *arrow = NULL;

	for (char *p = text; (p = strstr(p, " -> ")); p += 4)
		arrow = p;
	return arrow;
}

enum rc_status rule_parse(struct reading *in, char *text)
{
	struct rc_rules *rules = in->rules;
	struct rule *r;
	char *colon, *arrow;
	enum rc_status status;

	if (strncmp(text, "set ", 4) == 0)
		return parse_set(in, text + 4);
	r = calloc(1, sizeof(*r));
	if (!r)
		return rule_no_memory(in);
	colon = strchr(text, ':');
	r->line = in->fallback ? 0 : in->line;
	r->retry_s = -1;
	status = parse_name(in, r, text, colon ? (size_t)(colon - text) : 0);
	if (status)
		goto out;
	arrow = find_arrow(colon);
	if (!arrow) {
		status = rule_wrong(in, "the arrow -> is missing");
		goto out;
	}
	*arrow = '\0';
	r->conditions = strdup(colon + 1);
	if (!r->conditions) {
		status = rule_no_memory(in);
		goto out;
	}
	for (size_t i = 0; i < rules->n; i++)
		if (!in->fallback && strcmp(rules->rules[i]->conditions, r->conditions) == 0) {
			status = rule_wrong(in, "the same conditions stand in line %u already (%s)",
					    rules->rules[i]->line, rules->rules[i]->name);
			goto out;
		}
	status = parse_conditions(in, r, colon + 1);
	if (!status)
		status = parse_outcome(in, r, arrow + 4);
	if (!status)
		status = rule_complete(in, r);
	if (status)
		goto out;
	if (rules->n == RULES_MAX) {
		status = rule_wrong(in, "more than %d rules", RULES_MAX);
		goto out;
	}
	if (!rule_grow(&rules->rules, rules->n, sizeof(*rules->rules))) {
		status = rule_no_memory(in);
		goto out;
	}
	rules->rules[rules->n++] = r;
	r = NULL;
out:
	rule_free(r);
	return status;
}
