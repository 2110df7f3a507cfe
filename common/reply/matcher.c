/*
 * See matcher.h. As words are found only where words begin, the automaton needs no way back: it is
 * a trie that starts anew at each beginning, its chains drawn together into labels, so that some
 * thousand words stay in the cache.
 */
#include "common/reply/matcher.h"

#include <stdlib.h>
#include <string.h>

enum { HASH_ROOM = 4 * RC_MATCHER_WORDS, FEW = 3 };

/* Children stand side by side, in the order of their first octets. */
struct node {
	uint32_t label; /* where its octets stand, those of its parent left out */
	uint32_t child; /* the first */
	uint16_t label_len;
	uint16_t children; /* at most 256 */
	int32_t word;	   /* that ends with it, or -1 */
	uint32_t row;	   /* which of rows tells its children apart; 0: they are few */
};

struct rc_matcher {
	char **words;
	uint32_t *lens;
	size_t n, room;
	uint16_t *hash; /* word + 1, by its octets */
	/* compiled */
	struct node *nodes;
	uint8_t *first;	      /* [node]: the first octet of its label */
	char *labels;	      /* all of them */
	uint8_t (*rows)[256]; /* octet -> which child, from 1; 0: none */
	uint32_t root[256];   /* the node that begins with the octet; 0: none */
};

struct rc_matcher *rc_matcher_new(void)
{
	struct rc_matcher *m = calloc(1, sizeof(*m));

	if (m && !(m->hash = calloc(HASH_ROOM, sizeof(*m->hash)))) {
		free(m);
		return NULL;
	}
	return m;
}

void rc_matcher_free(struct rc_matcher *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->words[i]);
	free(m->words);
	free(m->lens);
	free(m->hash);
	free(m->nodes);
	free(m->first);
	free(m->labels);
	free(m->rows);
	free(m);
}

static bool make_room(struct rc_matcher *m)
{
	size_t room = m->room ? 2 * m->room : 256;
	char **words;
	uint32_t *lens;

	if (m->n < m->room)
		return true;
	words = realloc(m->words, room * sizeof(*words));
	if (!words)
		return false;
	m->words = words;
	lens = realloc(m->lens, room * sizeof(*lens));
	if (!lens)
		return false;
	m->lens = lens;
	m->room = room;
	return true;
}

int rc_matcher_add(struct rc_matcher *m, const char *word, size_t len)
{
	uint32_t at = 2166136261u; /* FNV-1a; the words are the operator's own */

	if (len == 0)
		return -1;
	for (size_t i = 0; i < len; i++)
		at = (at ^ (uint8_t)word[i]) * 16777619u;
	for (at %= HASH_ROOM; m->hash[at]; at = (at + 1) % HASH_ROOM) {
		int other = m->hash[at] - 1;

		if (m->lens[other] == len && memcmp(m->words[other], word, len) == 0)
			return other;
	}
	if (m->n == RC_MATCHER_WORDS || !make_room(m))
		return -1;
	m->words[m->n] = malloc(len + 1);
	if (!m->words[m->n])
		return -1;
	memcpy(m->words[m->n], word, len);
	m->words[m->n][len] = '\0';
	m->lens[m->n] = (uint32_t)len;
	m->hash[at] = (uint16_t)(m->n + 1);
	return (int)m->n++;
}

const char *rc_matcher_word(const struct rc_matcher *m, int word, size_t *ret_len)
{
	*ret_len = m->lens[word];
	return m->words[word];
}

size_t rc_matcher_words(const struct rc_matcher *m)
{
	return m->n;
}

/* ---------------------------------------------------------------- compiling */

struct entry {
	const char *word;
	uint32_t len, number;
};

static int by_octets(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int order = memcmp(x->word, y->word, len);

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* What is still to become nodes: the sorted words from `low` to before `high`, alike in their first
 * `depth` octets. */
struct range {
	uint32_t low, high, depth;
};

struct building {
	struct rc_matcher *m;
	const struct entry *sorted;
	struct range *ranges; /* [node] */
	uint32_t nodes, labels;
};

static void add_node(struct building *b, uint32_t low, uint32_t high, uint32_t depth)
{
	const struct entry *one = &b->sorted[low], *other = &b->sorted[high - 1];
	struct node *node = &b->m->nodes[b->nodes];
	uint32_t end = depth;

	while (end < one->len && end < other->len && one->word[end] == other->word[end])
		end++;
	node->label = b->labels;
	node->label_len = (uint16_t)(end - depth);
	node->word = one->len == end ? (int32_t)one->number : -1;
	memcpy(b->m->labels + b->labels, one->word + depth, end - depth);
	b->labels += end - depth;
	b->m->first[b->nodes] = (uint8_t)one->word[depth];
	b->ranges[b->nodes++] =
	    (struct range){ .low = low + (node->word >= 0), .high = high, .depth = end };
}

/* A node for each octet with which the words of the range go on. */
static void add_children(struct building *b, struct range r)
{
	while (r.low < r.high) {
		uint32_t stop = r.low;

		while (stop < r.high &&
		       b->sorted[stop].word[r.depth] == b->sorted[r.low].word[r.depth])
			stop++;
		add_node(b, r.low, stop, r.depth);
		r.low = stop;
	}
}

static void build(struct building *b)
{
	struct rc_matcher *m = b->m;

	b->nodes = 1; /* 0 is none */
	add_children(b, (struct range){ .low = 0, .high = (uint32_t)m->n, .depth = 0 });
	for (uint32_t i = 1; i < b->nodes; i++)
		m->root[m->first[i]] = i;
	for (uint32_t i = 1; i < b->nodes; i++) {
		m->nodes[i].child = b->nodes;
		add_children(b, b->ranges[i]);
		m->nodes[i].children = (uint16_t)(b->nodes - m->nodes[i].child);
	}
}

static bool make_rows(struct rc_matcher *m, uint32_t nodes)
{
	uint32_t rows = 1;

	for (uint32_t i = 1; i < nodes; i++)
		rows += m->nodes[i].children > FEW;
	m->rows = calloc(rows, sizeof(*m->rows));
	if (!m->rows)
		return false;
	rows = 1;
	for (uint32_t i = 1; i < nodes; i++) {
		struct node *node = &m->nodes[i];

		/* with all 256 octets they are looked through */
		if (node->children <= FEW || node->children > 255)
			continue;
		node->row = rows++;
		for (uint32_t c = 0; c < node->children; c++)
			m->rows[node->row][m->first[node->child + c]] = (uint8_t)(c + 1);
	}
	return true;
}

bool rc_matcher_compile(struct rc_matcher *m)
{
	size_t octets = 1, room = 2 * m->n + 1; /* a node ends a word, or parts two */
	struct entry *sorted = calloc(m->n + 1, sizeof(*sorted));
	struct building b = { .m = m, .sorted = sorted };
	bool ok = false;

	for (size_t i = 0; i < m->n; i++)
		octets += m->lens[i];
	b.ranges = calloc(room, sizeof(*b.ranges));
	m->nodes = calloc(room, sizeof(*m->nodes));
	m->first = calloc(room, sizeof(*m->first));
	m->labels = calloc(octets, 1);
	if (!sorted || !b.ranges || !m->nodes || !m->first || !m->labels)
		goto out;
	for (size_t i = 0; i < m->n; i++)
		sorted[i] = (struct entry){ m->words[i], m->lens[i], (uint32_t)i };
	qsort(sorted, m->n, sizeof(*sorted), by_octets);
	build(&b);
	ok = make_rows(m, b.nodes);
out:
	free(sorted);
	free(b.ranges);
	return ok;
}

/* ---------------------------------------------------------------- scanning */

static bool is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Whether the character that ends before `at` makes words: a letter or digit of ASCII, or one of
 * two octets (Latin, Greek, Cyrillic); those of three octets stand without blanks. */
static bool word_before(const char *text, size_t at)
{
	uint8_t c = (uint8_t)text[at - 1];

	if (c < 0x80)
		return is_alnum(c);
	if (c < 0xc0 && at >= 2)
		c = (uint8_t)text[at - 2];
	return c >= 0xc0 && c < 0xe0;
}

bool rc_matcher_begins(const char *text, size_t at)
{
	uint8_t c = (uint8_t)text[at];

	if (at == 0 || c >= 0xe0 || (c < 0x80 && !is_alnum(c)))
		return true;
	return !word_before(text, at);
}

static void report(unsigned word, size_t start, size_t end, struct rc_matches *ret)
{
	bool first = !(ret->seen[word / 64] >> (word % 64) & 1);

	if (ret->n >= (first ? RC_MATCHES_MAX : RC_MATCHES_REPEATED))
		return;
	ret->seen[word / 64] |= (uint64_t)1 << (word % 64);
	ret->match[ret->n++] = (struct rc_match){ .start = (uint32_t)start,
						  .end = (uint32_t)end,
						  .word = (uint16_t)word,
						  .first = first };
}

/* The child whose label begins with the octet; 0: none. */
static uint32_t child_of(const struct rc_matcher *m, const struct node *node, uint8_t octet)
{
	const uint8_t *first = m->first + node->child;

	if (node->row) {
		uint8_t which = m->rows[node->row][octet];

		return which ? node->child + which - 1 : 0;
	}
	for (uint32_t i = 0; i < node->children; i++)
		if (first[i] == octet)
			return node->child + i;
	return 0;
}

/* All words that begin at `start`. */
static void walk(const struct rc_matcher *m, const char *text, size_t start, size_t len,
		 struct rc_matches *ret)
{
	uint32_t at = m->root[(uint8_t)text[start]];
	size_t i = start;

	while (at) {
		const struct node *node = &m->nodes[at];
		const char *label = m->labels + node->label;

		if (len - i < node->label_len)
			return;
		for (unsigned k = 1; k < node->label_len; k++)
			if (text[i + k] != label[k])
				return;
		i += node->label_len;
		if (node->word >= 0)
			report((unsigned)node->word, start, i, ret);
		if (!node->children || i == len)
			return;
		at = child_of(m, node, (uint8_t)text[i]);
	}
}

void rc_matcher_scan(const struct rc_matcher *m, const char *text, size_t len,
		     struct rc_matches *ret)
{
	size_t i = 0;

	memset(ret->seen, 0, (m->n + 63) / 64 * sizeof(*ret->seen));
	ret->n = 0;
	while (i < len) {
		uint8_t c = (uint8_t)text[i];

		if (m->root[c] && rc_matcher_begins(text, i))
			walk(m, text, i, len, ret);
		/* nothing begins within a word */
		if (is_alnum(c))
			while (i + 1 < len && is_alnum((uint8_t)text[i + 1]))
				i++;
		i++;
	}
}
