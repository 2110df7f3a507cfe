/* See control.h. */
#include "worker/core/control.h"

#include <stdbool.h>
#include <string.h>

#include "worker/core/seed.h"

enum { SAMPLE_MAX = 16 };

struct writer {
	char *out;
	size_t len;
	uint64_t seed;
};

/* Consonant and vowel sounds that make names; 5 syllables are worth more than 2^32 names. */
static void add_syllable(struct writer *w)
{
	static const char *const heads[] = { "b", "br", "c",  "ch", "d",  "dr", "f", "g", "gr",
					     "h", "j",	"k",  "kl", "l",  "m",	"n", "p", "r",
					     "s", "sh", "st", "t",  "tr", "v",	"w", "z" };
	static const char *const cores[] = { "a",  "e",	 "i", "o", "u", "ai",
					     "ea", "ie", "o", "a", "e" };
	static const char *const tails[] = { "", "", "", "n", "r", "l", "s", "m", "t", "k" };
	const char *parts[] = {
		heads[seed_below(&w->seed, sizeof(heads) / sizeof(*heads))],
		cores[seed_below(&w->seed, sizeof(cores) / sizeof(*cores))],
		tails[seed_below(&w->seed, sizeof(tails) / sizeof(*tails))],
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		size_t len = strlen(parts[i]);

		memcpy(w->out + w->len, parts[i], len);
		w->len += len;
	}
}

static void add_word(struct writer *w, unsigned syllables)
{
	while (syllables--)
		add_syllable(w);
}

static bool has(const Rollcall__Recipient *r, const char *octets)
{
	for (size_t i = 0; i < r->local.len; i++)
		if (r->local.data[i] && strchr(octets, r->local.data[i]))
			return true;
	return false;
}

/* Words that would say what it is for. */
static bool tells(const char *name)
{
	static const char *const words[] = { "test", "prob", "check", "fake",
					     "spam", "trap", "null",  "admin" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(name, words[i]))
			return true;
	return false;
}

size_t control_local(uint64_t seed, Rollcall__Recipient *const *sample, size_t n,
		     char ret_local[CONTROL_LOCAL_MAX])
{
	struct writer w = { .out = ret_local, .seed = seed };
	size_t dots = 0, digits = 0;

	if (n > SAMPLE_MAX)
		n = SAMPLE_MAX;
	for (size_t i = 0; i < n; i++) {
		dots += has(sample[i], ".");
		digits += has(sample[i], "0123456789");
	}
	/* At most 5 syllables of 5 letters, a dot and 4 digits. */
	do {
		w.len = 0;
		if (dots * 2 > n) {
			add_word(&w, 2);
			w.out[w.len++] = '.';
			add_word(&w, 3);
		} else if (digits * 2 > n) {
			add_word(&w, 3);
			for (unsigned i = 0; i < 4; i++)
				w.out[w.len++] = (char)('0' + (i ? seed_below(&w.seed, 10)
								 : 1 + seed_below(&w.seed, 9)));
		} else {
			add_word(&w, 4);
			w.out[w.len++] = (char)('1' + seed_below(&w.seed, 9));
			w.out[w.len++] = (char)('0' + seed_below(&w.seed, 10));
		}
		w.out[w.len] = '\0';
	} while (tells(ret_local));
	return w.len;
}
