/* See typo.h. */
#include "coordinator/core/typo.h"

#include <string.h>

enum { LONGEST = 63, HALF = TYPO_EDIT / 2, MOST = TYPO_EDIT + HALF };

/* ---------------------------------------------------------------- what a slip costs */

/* What is easily taken for what: keys that touch (a row is shifted by half a key against the one
 * above it), letters that look alike, and y and z, which change places in other countries. */
static const char easily[128][12] = {
	['a'] = "qswz",	    ['b'] = "ghnv",   ['c'] = "dfqvx",	 ['d'] = "cefrsx",
	['e'] = "34drsw",   ['f'] = "cdgrtv", ['g'] = "bfhqtvy", ['h'] = "bgjnuy",
	['i'] = "189jklou", ['j'] = "hikmnu", ['k'] = "ijlmo",	 ['l'] = ".1ikop",
	['m'] = "jkn",	    ['n'] = "bhjm",   ['o'] = "09iklp",	 ['p'] = "0lo",
	['q'] = "12acgw",   ['r'] = "45deft", ['s'] = "5adewxz", ['t'] = "56fgry",
	['u'] = "78hijvy",  ['v'] = "bcfgu",  ['w'] = "23aeqs",	 ['x'] = "cdsz",
	['y'] = "67ghtuz",  ['z'] = "asxy",   ['0'] = "9op",	 ['1'] = "2ilq",
	['2'] = "13qw",	    ['3'] = "24ew",   ['4'] = "35er",	 ['5'] = "46rst",
	['6'] = "57ty",	    ['7'] = "68uy",   ['8'] = "79iu",	 ['9'] = "08io",
	['-'] = "0p",	    ['.'] = "l"
};

static bool easily_taken(char a, char b)
{
	if ((unsigned char)a >= sizeof(easily) / sizeof(*easily))
		return false;
	for (const char *p = easily[(unsigned char)a]; *p; p++)
		if (*p == b)
			return true;
	return false;
}

static unsigned other_letter(char a, char b)
{
	if (a == b)
		return 0;
	return easily_taken(a, b) ? HALF : TYPO_EDIT;
}

/* A letter too many or one that lacks, at place i (from 1) of `s`. */
static unsigned extra_letter(const char *s, size_t i, size_t len)
{
	char c = s[i - 1];

	return (i > 1 && s[i - 2] == c) || (i < len && s[i] == c) ? HALF : TYPO_EDIT;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned typo_distance(const char *a, const char *b, unsigned most)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned rows[3][LONGEST + 1], *before = rows[0], *above = rows[1], *row = rows[2];

	if (la > LONGEST || lb > LONGEST || (la > lb ? la - lb : lb - la) * HALF > (size_t)most)
		return most + 1;
	above[0] = 0;
	for (size_t j = 1; j <= lb; j++)
		above[j] = above[j - 1] + extra_letter(b, j, lb);
	memset(before, 0, (lb + 1) * sizeof(*before));
	for (size_t i = 1; i <= la; i++) {
		unsigned best, *spare = before;

		row[0] = best = above[0] + extra_letter(a, i, la);
		for (size_t j = 1; j <= lb; j++) {
			unsigned cost = above[j - 1] + other_letter(a[i - 1], b[j - 1]);

			cost = least(cost, above[j] + extra_letter(a, i, la));
			cost = least(cost, row[j - 1] + extra_letter(b, j, lb));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    a[i - 1] != a[i - 2])
				cost = least(cost, before[j - 2] + HALF);
			row[j] = cost;
			best = least(best, cost);
		}
		if (best >
		    most + HALF) /* a change of places may still cost less than its letters */
			return most + 1;
		before = above;
		above = row;
		row = spare;
	}
	return above[lb];
}

/* ---------------------------------------------------------------- domains */

static uint32_t letters_of(const char *s)
{
	uint32_t letters = 0;

	for (; *s; s++)
		letters |= 1u << (*s >= 'a' && *s <= 'z' ? *s - 'a' : 26 + (*s & 3));
	return letters;
}

void typo_name_init(struct typo_name *ret, const char *domain)
{
	size_t name = strcspn(domain, ".");

	ret->name = domain;
	ret->letters = letters_of(domain);
	ret->len = (unsigned)strlen(domain);
	/* web, me: one letter off is another name; btinternet: two slips are still btinternet */
	ret->most = name < 5 ? HALF : name < 9 ? TYPO_EDIT : MOST;
}

/* Most names are seen to be others without a look at their order. */
static bool may_be(const struct typo_name *typed, const struct typo_name *popular)
{
	unsigned apart =
	    typed->len > popular->len ? typed->len - popular->len : popular->len - typed->len;
	unsigned most = popular->most < TYPO_EDIT ? TYPO_EDIT : popular->most;

	/* A letter that stands for another, the cheapest edit, changes at most two of them. */
	return apart * HALF <= most &&
	       (unsigned)__builtin_popcount(typed->letters ^ popular->letters) <= 2 * most / HALF;
}

/* A top-level domain of two letters is a country's: only those that are left of .com, .net and
 * .org by a slip are taken for one. */
static bool end_is_a_slip(const char *typed, const char *meant)
{
	static const struct {
		const char *typed, *meant;
	} slips[] = { { "co", "com" }, { "cm", "com" }, { "om", "com" }, { "ne", "net" },
		      { "nt", "net" }, { "et", "net" }, { "or", "org" } };

	if (strcmp(typed, meant) == 0)
		return true;
	if (strlen(typed) != 2)
		return true;
	if (strlen(meant) == 2)
		return typed[0] == meant[1] && typed[1] == meant[0];
	for (size_t i = 0; i < sizeof(slips) / sizeof(*slips); i++)
		if (strcmp(typed, slips[i].typed) == 0 && strcmp(meant, slips[i].meant) == 0)
			return true;
	return false;
}

bool typo_of_domain(const struct typo_name *typed, const struct typo_name *popular,
		    unsigned *ret_cost)
{
	const char *a = typed->name, *b = popular->name, *end_a, *end_b;
	size_t name = strcspn(b, ".");
	unsigned cost, most = popular->most;
	bool whole;

	if (!may_be(typed, popular))
		return false;
	end_a = strrchr(a, '.');
	end_b = strrchr(b, '.');
	if (!end_a || !end_b || !end_is_a_slip(end_a + 1, end_b + 1))
		return false;
	/* A short name that is whole: only its end is mistyped, and may be so by a whole letter. */
	whole = strncmp(a, b, name + 1) == 0;
	if (name < 5 && whole)
		most = TYPO_EDIT;
	cost = typo_distance(a, b, most);
	/* Nobody looks away at the first letter. */
	if (a[0] != b[0] && a[0] != b[1] && typed->len == popular->len)
		cost += HALF;
	if (cost == 0 || cost > most)
		return false;
	/* m and n, t and v lie side by side: of a short name only letters in the wrong order count
	 */
	if (name < 5 && !whole && typed->len == popular->len && strcmp(end_a, end_b) == 0) {
		size_t i = 0;

		while (a[i] == b[i])
			i++;
		if (a[i] != b[i + 1] || a[i + 1] != b[i])
			return false;
	}
	*ret_cost = cost;
	return true;
}
