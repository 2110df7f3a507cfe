/* See matcher.h. The alphabet is folded to the octets that occur in words, so that the table of
 * transitions stays small. */
#include "common/reply/matcher.h"

#include <stdlib.h>
#include <string.h>

struct rc_matcher {
	char **words;
	size_t *lens;
	size_t n, room;
	/* compiled */
	uint8_t fold[256]; /* octet -> column; 0: occurs in no word */
	unsigned columns;
	uint16_t *next;	  /* [state * columns + column] */
	int32_t *word_at; /* [state]: the word that ends here, or -1 */
	uint16_t
	    *report; /* [state]: the nearest state at or behind it where a word ends; 0: none */
	uint16_t *behind; /* [state]: the same, itself left out */
};

struct rc_matcher *rc_matcher_new(void)
{
	return calloc(1, sizeof(struct rc_matcher));
}

void rc_matcher_free(struct rc_matcher *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->words[i]);
	free(m->words);
	free(m->lens);
	free(m->next);
	free(m->word_at);
	free(m->report);
	free(m->behind);
	free(m);
}

int rc_matcher_add(struct rc_matcher *m, const char *word, size_t len)
{
	if (len == 0)
		return -1;
	for (size_t i = 0; i < m->n; i++)
		if (m->lens[i] == len && memcmp(m->words[i], word, len) == 0)
			return (int)i;
	if (m->n == RC_MATCHER_WORDS)
		return -1;
	if (m->n == m->room) {
		size_t room = m->room ? 2 * m->room : 256;
		char **words = realloc(m->words, room * sizeof(*words));
		size_t *lens;

		if (!words)
			return -1;
		m->words = words;
		lens = realloc(m->lens, room * sizeof(*lens));
		if (!lens)
			return -1;
		m->lens = lens;
		m->room = room;
	}
	m->words[m->n] = malloc(len + 1);
	if (!m->words[m->n])
		return -1;
	memcpy(m->words[m->n], word, len);
	m->words[m->n][len] = '\0';
	m->lens[m->n] = len;
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

bool rc_matcher_compile(struct rc_matcher *m)
{
	size_t states = 1, used = 1, head = 0, tail = 0;
	uint16_t *fail = NULL, *queue = NULL;
	bool ok = false;

	for (size_t i = 0; i < m->n; i++) {
		states += m->lens[i];
		for (size_t k = 0; k < m->lens[i]; k++)
			m->fold[(uint8_t)m->words[i][k]] = 1;
	}
	m->columns = 1;
	for (int c = 0; c < 256; c++)
		if (m->fold[c])
			m->fold[c] = (uint8_t)m->columns++;
	if (m->columns > 255)
		return false;
	m->next = calloc(states * m->columns, sizeof(*m->next));
	m->word_at = malloc(states * sizeof(*m->word_at));
	m->report = calloc(states, sizeof(*m->report));
	m->behind = calloc(states, sizeof(*m->behind));
	fail = calloc(states, sizeof(*fail));
	queue = calloc(states, sizeof(*queue));
	if (!m->next || !m->word_at || !m->report || !m->behind || !fail || !queue)
		goto out;
	for (size_t i = 0; i < states; i++)
		m->word_at[i] = -1;
	for (size_t i = 0; i < m->n; i++) {
		size_t s = 0;

		for (size_t k = 0; k < m->lens[i]; k++) {
			uint16_t *to = &m->next[s * m->columns + m->fold[(uint8_t)m->words[i][k]]];

			if (!*to) {
				if (used > UINT16_MAX)
					goto out;
				*to = (uint16_t)used++;
			}
			s = *to;
		}
		m->word_at[s] = (int32_t)i;
	}
	/* Breadth first: a state's failure state is nearer to the root and complete when its turn
	 * comes. */
	for (unsigned c = 1; c < m->columns; c++)
		if (m->next[c])
			queue[tail++] = m->next[c];
	while (head < tail) {
		size_t s = queue[head++];

		m->behind[s] = m->report[fail[s]];
		m->report[s] = m->word_at[s] >= 0 ? (uint16_t)s : m->behind[s];
		for (unsigned c = 1; c < m->columns; c++) {
			uint16_t *to = &m->next[s * m->columns + c];
			uint16_t other = m->next[(size_t)fail[s] * m->columns + c];

			if (*to) {
				fail[*to] = other;
				queue[tail++] = *to;
			} else {
				*to = other;
			}
		}
	}
	ok = true;
out:
	free(fail);
	free(queue);
	return ok;
}

void rc_matcher_scan(const struct rc_matcher *m, const char *text, size_t len, uint64_t *seen,
		     void (*found)(void *ctx, int word), void *ctx)
{
	size_t s = 0;

	for (size_t i = 0; i < len; i++) {
		s = m->next[s * m->columns + m->fold[(uint8_t)text[i]]];
		for (uint16_t at = m->report[s]; at; at = m->behind[at]) {
			unsigned word = (unsigned)m->word_at[at];

			if (seen[word / 64] >> (word % 64) & 1)
				continue;
			seen[word / 64] |= (uint64_t)1 << (word % 64);
			found(ctx, (int)word);
		}
	}
}
