/* See control.h. */
#include "worker/core/control.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "worker/core/seed.h"

enum { RUNS_MAX = 8, SEPARATORS_MAX = 3 };

/* A run of letters, or of digits, or one separator. */
struct run {
	char kind; /* 'a', '0', or the separator itself */
	bool capital;
	uint8_t len;
};

struct shape {
	struct run runs[RUNS_MAX];
	size_t n;
	size_t len; /* of all runs */
};

static bool is_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

enum control_class control_class_of(size_t len)
{
	return len <= 11 ? CONTROL_SHORT : len <= 17 ? CONTROL_MEDIUM : CONTROL_LONG;
}

/* False where the name is none that a person would have: quoted, tagged, of digits only, not ASCII.
 */
static bool read_shape(struct shape *s, const Rollcall__Recipient *r)
{
	unsigned separators = 0;

	*s = (struct shape){ 0 };
	if (r->local.len >= CONTROL_LOCAL_MAX || !is_letter(r->local.data[0]))
		return false;
	for (size_t i = 0; i < r->local.len; i++) {
		unsigned char c = r->local.data[i];
		char kind = (char)(is_letter(c) ? 'a' : is_digit(c) ? '0' : c);
		struct run *last = s->n ? &s->runs[s->n - 1] : NULL;

		if (last && last->kind == kind && (kind == 'a' || kind == '0')) {
			last->len++;
			continue;
		}
		if (kind != 'a' && kind != '0' &&
		    (!strchr("._-", kind) || ++separators > SEPARATORS_MAX ||
		     i + 1 == r->local.len || strchr("._-", r->local.data[i + 1])))
			return false;
		if (s->n == RUNS_MAX)
			return false;
		s->runs[s->n++] =
		    (struct run){ .kind = kind, .len = 1, .capital = c >= 'A' && c <= 'Z' };
	}
	s->len = r->local.len;
	return true;
}

/* The longest run of letters: what it takes to reach a length is taken or added there. */
static struct run *longest(struct shape *s)
{
	struct run *best = &s->runs[0];

	for (size_t i = 1; i < s->n; i++)
		if (s->runs[i].kind == 'a' && s->runs[i].len > best->len)
			best = &s->runs[i];
	return best;
}

/* Other lengths, in the same class. Initials stay initials. */
static void vary(struct shape *s, uint64_t *seed)
{
	enum control_class class = control_class_of(s->len);
	size_t least = class == CONTROL_SHORT	 ? CONTROL_LOCAL_LEAST
		       : class == CONTROL_MEDIUM ? 12
						 : 18;
	size_t most = class == CONTROL_SHORT	? 11
		      : class == CONTROL_MEDIUM ? 17
						: CONTROL_LOCAL_MAX - 1;

	for (size_t i = 0; i < s->n; i++) {
		struct run *r = &s->runs[i];
		uint32_t by = seed_below(seed, 3);

		if (r->kind != 'a' || r->len < 3)
			continue;
		r->len = (uint8_t)(r->len + by - 1);
		s->len = s->len + by - 1;
	}
	/* Not always to the edge of the class. */
	if (s->len < least)
		least += seed_below(seed, (uint32_t)(most - least + 1 < 3 ? most - least + 1 : 3));
	for (; s->len < least; s->len++)
		longest(s)->len++;
	for (; s->len > most; s->len--)
		longest(s)->len--;
}

static char consonant(uint64_t *seed)
{
	/* As often as names have them, roughly. */
	static const char letters[] = "bbccddffgghhjkkllllmmmnnnnnpprrrrrsssssttttvvwxz";

	return letters[seed_below(seed, sizeof(letters) - 1)];
}

static char vowel(uint64_t *seed)
{
	static const char letters[] = "aaaaaeeeeeiiiioooouuy";

	return letters[seed_below(seed, sizeof(letters) - 1)];
}

/* By turns, with a double sound now and then: what comes out can be spoken. */
static void write_letters(char *out, size_t len, bool capital, uint64_t *seed)
{
	bool open = seed_below(seed, 5) == 0; /* begins with a vowel */
	bool twice = false;

	for (size_t i = 0; i < len; i++) {
		out[i] = open ? vowel(seed) : consonant(seed);
		if (!twice && i > 0 && seed_below(seed, 6) == 0) {
			twice = true;
			continue;
		}
		twice = false;
		open = !open;
	}
	if (capital)
		out[0] = (char)(out[0] - 'a' + 'A');
}

static void write_shape(const struct shape *s, char *out, uint64_t *seed)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct run *r = &s->runs[i];

		if (r->kind == 'a')
			write_letters(out, r->len, r->capital, seed);
		for (size_t j = 0; r->kind == '0' && j < r->len; j++)
			out[j] = (char)('0' + (j ? seed_below(seed, 10) : 1 + seed_below(seed, 9)));
		if (r->kind != 'a' && r->kind != '0')
			out[0] = r->kind;
		out += r->len;
	}
	*out = '\0';
}

/* Words that would say what it is for, or that servers treat apart. */
static bool tells(const char *name)
{
	static const char *const words[] = { "test", "prob", "verif", "check", "fake", "spam",
					     "trap", "null", "admin", "abuse", "root", "mail",
					     "info", "user", "rand",  "rolc" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

static bool taken(const char *name, size_t len, Rollcall__Recipient *const *sample, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (sample[i]->local.len == len &&
		    strncasecmp((const char *)sample[i]->local.data, name, len) == 0)
			return true;
	return false;
}

size_t control_local(uint64_t seed, Rollcall__Recipient *const *sample, size_t n,
		     char ret_local[CONTROL_LOCAL_MAX])
{
	static const struct shape plain = {
		.runs = { { 'a', false, 6 }, { '.', false, 1 }, { 'a', false, 7 } },
		.n = 3,
		.len = 14
	};
	uint32_t first = n ? seed_below(&seed, (uint32_t)n) : 0;
	struct shape shape = plain;

	for (size_t i = 0; i < n; i++) {
		if (read_shape(&shape, sample[(first + i) % n]))
			break;
		shape = plain;
	}
	vary(&shape, &seed);
	do
		write_shape(&shape, ret_local, &seed);
	while (tells(ret_local) || taken(ret_local, shape.len, sample, n));
	return shape.len;
}
