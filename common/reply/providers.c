/* See providers.h. */
#include "common/reply/providers.h"

#include <stdlib.h>
#include <string.h>

#include "common/reply/data_file.h"

enum { PROVIDERS_MAX = 512, PATTERNS_MAX = 64, NAME_LEN = 63 };

struct pattern {
	char *text;
	size_t len, tail; /* octets, and those of them behind the last star */
};

struct block {
	struct rc_provider p;
	unsigned line;
	struct pattern mx[PATTERNS_MAX];
	size_t n_mx;
	struct pattern domains[PATTERNS_MAX];
	size_t n_domains;
	unsigned given; /* which numbers and choices it names */
};

struct rc_providers {
	struct block **blocks;
	size_t n;
	struct block *fallback; /* [default]; one of blocks, or own_default */
	struct block own_default;
};

static const struct rc_provider standard = {
	.name = "default",
	.label = "other servers",
	.honesty = RC_HONEST,
	.catch_all = RC_CATCH_ALL_BY_DOMAIN,
	.connections = 2,
	.recipients_per_session = 10,
	.rejections_per_session = 9,
	.recipients_per_minute = 30,
	.lanes = 1,
	.greylist_retry_s = -1,
	.sample_per_mille = 1000,
};

/* One row a number of the file. */
static const struct number {
	const char *key;
	size_t offset;
	long low, high;
} numbers[] = {
	{ "connections", offsetof(struct rc_provider, connections), 1, 1000 },
	{ "connections_per_second", offsetof(struct rc_provider, connections_per_second), 0, 1000 },
	{ "connections_per_minute", offsetof(struct rc_provider, connections_per_minute), 0,
	  100000 },
	{ "recipients_per_session", offsetof(struct rc_provider, recipients_per_session), 1, 100 },
	{ "rejections_per_session", offsetof(struct rc_provider, rejections_per_session), 1, 100 },
	{ "recipients_per_minute", offsetof(struct rc_provider, recipients_per_minute), 1,
	  1000000 },
	{ "lanes", offsetof(struct rc_provider, lanes), 1, 1000 },
	{ "greylist_retry", offsetof(struct rc_provider, greylist_retry_s), -1, 172800 },
	{ "sample_per_mille", offsetof(struct rc_provider, sample_per_mille), 0, 1000 },
};

enum { WORDS = 3 };

/* One row a setting that is a word; the words' values count from 1. */
static const struct choice {
	const char *key;
	size_t offset;
	const char *words[WORDS], *all;
} choices[] = {
	{ "honesty",
	  offsetof(struct rc_provider, honesty),
	  { [RC_HONEST - 1] = "honest",
	    [RC_INCONSISTENT - 1] = "inconsistent",
	    [RC_MISLEADING - 1] = "misleading" },
	  "honest, inconsistent or misleading" },
	{ "catch_all",
	  offsetof(struct rc_provider, catch_all),
	  { [RC_CATCH_ALL_BY_DOMAIN - 1] = "by_domain",
	    [RC_CATCH_ALL_NEVER - 1] = "never",
	    [RC_CATCH_ALL_EVERYBODY - 1] = "everybody" },
	  "by_domain, never or everybody" },
};

enum { CHOICES = sizeof(choices) / sizeof(*choices), NUMBERS = sizeof(numbers) / sizeof(*numbers) };

static enum rc_status set_choice(const struct rc_data_file *f, struct block *b,
				 const struct choice *choice, const char *value,
				 struct rc_error *err)
{
	for (int i = 0; i < WORDS; i++) {
		int number = i + 1; /* an enum is as wide */

		if (strcmp(value, choice->words[i]) != 0)
			continue;
		memcpy((char *)&b->p + choice->offset, &number, sizeof(number));
		return RC_OK;
	}
	return rc_data_file_wrong(f, err, "%s is %s, not \"%s\"", choice->key, choice->all, value);
}

/* A setting that stands twice in a block is a slip: which of the two was meant? */
static enum rc_status once(const struct rc_data_file *f, struct block *b, size_t setting,
			   const char *key, struct rc_error *err)
{
	if (b->given & 1u << setting)
		return rc_data_file_wrong(f, err, "[%s] has %s twice", b->p.name, key);
	b->given |= 1u << setting;
	return RC_OK;
}

static bool is_pattern(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
		      strchr("-._*", s[i])))
			return false;
	return len > 0;
}

/* Blank-separated patterns. */
static enum rc_status add_patterns(const struct rc_data_file *f, const char *what,
				   struct pattern *list, size_t *n, const char *value, bool stars,
				   struct rc_error *err)
{
	while (*value) {
		size_t len = strcspn(value, " \t");

		if (!is_pattern(value, len) || (!stars && memchr(value, '*', len)))
			return rc_data_file_wrong(f, err,
						  "%s: \"%.*s\" is no host name in lower case",
						  what, (int)len, value);
		if (*n == PATTERNS_MAX)
			return rc_data_file_wrong(f, err, "%s: more than %d names", what,
						  PATTERNS_MAX);
		const char *star = memrchr(value, '*', len);

		list[*n] = (struct pattern){
			.text = strndup(value, len),
			.len = len,
			.tail = star ? (size_t)(value + len - star - 1) : len,
		};
		if (!list[*n].text)
			return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
		++*n;
		value += len;
		value += strspn(value, " \t");
	}
	return RC_OK;
}

static enum rc_status set(const struct rc_data_file *f, struct block *b, const char *key,
			  const char *value, struct rc_error *err)
{
	if (!*value)
		return rc_data_file_wrong(f, err, "%s has no value", key);
	if (strcmp(key, "label") == 0) {
		char *copy = strdup(value);

		if (!copy)
			return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
		free((char *)b->p.label);
		b->p.label = copy;
		return RC_OK;
	}
	for (size_t i = 0; i < CHOICES; i++)
		if (strcmp(key, choices[i].key) == 0)
			return once(f, b, NUMBERS + i, key, err)
				   ? RC_INVALID
				   : set_choice(f, b, &choices[i], value, err);
	if (strcmp(key, "mx") == 0)
		return add_patterns(f, key, b->mx, &b->n_mx, value, true, err);
	if (strcmp(key, "domains") == 0)
		return add_patterns(f, key, b->domains, &b->n_domains, value, false, err);
	for (size_t i = 0; i < NUMBERS; i++) {
		char *end;
		long number;
		int32_t small;

		if (strcmp(key, numbers[i].key) != 0)
			continue;
		number = strtol(value, &end, 10);
		if (*end || number < numbers[i].low || number > numbers[i].high)
			return rc_data_file_wrong(f, err,
						  "%s is a number from %ld to %ld, not \"%s\"", key,
						  numbers[i].low, numbers[i].high, value);
		if (once(f, b, i, key, err))
			return RC_INVALID;
		small = (int32_t)number;
		memcpy((char *)&b->p + numbers[i].offset, &small, sizeof(small));
		return RC_OK;
	}
	return rc_data_file_wrong(f, err, "there is no setting \"%s\"", key);
}

/* Two blocks that claim the same servers, for the same domains. */
static enum rc_status check_claims(const struct rc_providers *all, const struct rc_data_file *f,
				   const struct block *b, struct rc_error *err)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct block *other = all->blocks[i];

		if (other == b || !other->n_domains != !b->n_domains)
			continue;
		for (size_t k = 0; k < other->n_mx && !b->n_domains; k++)
			for (size_t m = 0; m < b->n_mx; m++)
				if (strcmp(other->mx[k].text, b->mx[m].text) == 0)
					return rc_data_file_wrong(
					    f, err,
					    "[%s]: the mx \"%s\" is claimed by [%s] already",
					    b->p.name, b->mx[m].text, other->p.name);
	}
	return RC_OK;
}

static void block_free(struct block *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_mx; i++)
		free(b->mx[i].text);
	for (size_t i = 0; i < b->n_domains; i++)
		free(b->domains[i].text);
	free((char *)b->p.name);
	free((char *)b->p.label);
	free(b);
}

/* What a block does not say stands in [default], if that came before, else in `standard`. */
static enum rc_status open_block(struct rc_providers *all, const struct rc_data_file *f, char *text,
				 struct rc_error *err)
{
	size_t len = strlen(text);
	struct block *b;
	struct block **more;

	if (len < 3 || text[len - 1] != ']' || len - 2 > NAME_LEN ||
	    strspn(text + 1, "abcdefghijklmnopqrstuvwxyz0123456789-_") != len - 2)
		return rc_data_file_wrong(
		    f, err,
		    "a block begins with [name]: small letters, digits, - and _ (at most %d)",
		    NAME_LEN);
	text[len - 1] = '\0';
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->blocks[i]->p.name, text + 1) == 0)
			return rc_data_file_wrong(f, err, "[%s] stands in line %u already",
						  text + 1, all->blocks[i]->line);
	if (all->n == PROVIDERS_MAX)
		return rc_data_file_wrong(f, err, "more than %d providers", PROVIDERS_MAX);
	more = realloc(all->blocks, (all->n + 1) * sizeof(*more));
	if (!more)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	all->blocks = more;
	b = calloc(1, sizeof(*b));
	if (!b)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	b->p = all->fallback->p;
	b->line = f->line;
	b->p.name = strdup(text + 1);
	b->p.label = strdup(text + 1);
	if (!b->p.name || !b->p.label) {
		block_free(b);
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	}
	all->blocks[all->n++] = b;
	if (strcmp(b->p.name, "default") == 0)
		all->fallback = b;
	return RC_OK;
}

static enum rc_status read_all(struct rc_data_file *f, struct rc_providers **ret,
			       struct rc_error *err)
{
	struct rc_providers *all = calloc(1, sizeof(*all));
	struct block *b = NULL;
	enum rc_status status = RC_OK;
	int more;

	if (!all)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	all->own_default.p = standard;
	all->fallback = &all->own_default;
	while (!status && (more = rc_data_file_next(f, err)) != 0) {
		char *equals;

		if (more < 0) {
			status = RC_INVALID;
			break;
		}
		if (f->text[0] == '[') {
			if (b && b != all->fallback && !b->n_mx)
				status = rc_data_file_wrong(
				    f, err, "[%s] before this line names no mx", b->p.name);
			else if (b)
				status = check_claims(all, f, b, err);
			if (!status)
				status = open_block(all, f, f->text, err);
			if (!status)
				b = all->blocks[all->n - 1];
			continue;
		}
		equals = strchr(f->text, '=');
		if (!b || !equals) {
			status = rc_data_file_wrong(
			    f, err, b ? "key = value is expected" : "a [name] is expected first");
			break;
		}
		for (char *p = equals; p > f->text && (p[-1] == ' ' || p[-1] == '\t'); p--)
			p[-1] = '\0';
		*equals++ = '\0';
		equals += strspn(equals, " \t");
		status = set(f, b, f->text, equals, err);
	}
	if (!status && b && b != all->fallback && !b->n_mx)
		status = rc_data_file_wrong(f, err, "[%s] names no mx", b->p.name);
	if (!status && b)
		status = check_claims(all, f, b, err);
	if (status) {
		rc_providers_free(all);
		return status;
	}
	*ret = all;
	return RC_OK;
}

enum rc_status rc_providers_load(const char *path, struct rc_providers **ret_providers,
				 struct rc_error *err)
{
	struct rc_data_file f;
	enum rc_status status = rc_data_file_open(&f, path, "providers", err);

	if (status)
		return status;
	status = read_all(&f, ret_providers, err);
	rc_data_file_done(&f);
	return status;
}

enum rc_status rc_providers_parse(const char *name, const char *data, size_t len,
				  struct rc_providers **ret_providers, struct rc_error *err)
{
	struct rc_data_file f;

	rc_data_file_init(&f, name, data, len);
	return read_all(&f, ret_providers, err);
}

void rc_providers_free(struct rc_providers *providers)
{
	if (!providers)
		return;
	for (size_t i = 0; i < providers->n; i++)
		block_free(providers->blocks[i]);
	free(providers->blocks);
	free(providers);
}

/* `*` stands for any run of octets, dots included. */
static bool glob(const char *pattern, const char *s, size_t len)
{
	const char *end = s + len, *star = NULL, *retry = NULL;

	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = s;
		} else if (s < end && *pattern == *s) {
			pattern++;
			s++;
		} else if (s == end && !*pattern) {
			return true;
		} else if (star && retry < end) {
			pattern = star;
			s = ++retry;
		} else {
			return false;
		}
	}
}

/* Most differ in their last octets already. */
static bool fits(const struct pattern *pattern, const char *s, size_t len)
{
	return pattern->tail <= len &&
	       memcmp(pattern->text + pattern->len - pattern->tail, s + len - pattern->tail,
		      pattern->tail) == 0 &&
	       glob(pattern->text, s, len);
}

static bool lists_domain(const struct block *b, const char *domain)
{
	for (size_t i = 0; domain && i < b->n_domains; i++)
		if (strcmp(b->domains[i].text, domain) == 0)
			return true;
	return false;
}

/* The longest pattern that fits decides; a block that names the domain goes before all that do not.
 */
const struct rc_provider *rc_providers_match(const struct rc_providers *providers,
					     const char *mx_host, const char *domain)
{
	size_t len = mx_host ? strlen(mx_host) : 0, best_weight = 0;
	const struct block *best = NULL;

	while (len && mx_host[len - 1] == '.')
		len--;
	for (size_t i = 0; i < providers->n && len; i++) {
		const struct block *b = providers->blocks[i];
		size_t named = b->n_domains ? 1000 : 0;

		if (named && !lists_domain(b, domain))
			continue;
		for (size_t k = 0; k < b->n_mx; k++) {
			size_t weight = named + b->mx[k].len;

			if (weight > best_weight && fits(&b->mx[k], mx_host, len)) {
				best = b;
				best_weight = weight;
			}
		}
	}
	return best ? &best->p : NULL;
}

const struct rc_provider *rc_providers_find(const struct rc_providers *providers, const char *name)
{
	for (size_t i = 0; i < providers->n; i++)
		if (strcmp(providers->blocks[i]->p.name, name) == 0)
			return &providers->blocks[i]->p;
	return strcmp(name, "default") == 0 ? &providers->fallback->p : NULL;
}

const struct rc_provider *rc_providers_default(const struct rc_providers *providers)
{
	return &providers->fallback->p;
}

size_t rc_providers_count(const struct rc_providers *providers)
{
	return providers->n;
}

const struct rc_provider *rc_providers_at(const struct rc_providers *providers, size_t i)
{
	return &providers->blocks[i]->p;
}
