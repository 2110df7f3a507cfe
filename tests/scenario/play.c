/* See play.h. */
#include "tests/scenario/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void play_broken(struct play *y, const char *what, const char *more)
{
	alloc_disarm();
	fprintf(stderr, "%s:%u: %s%s: %s%s%s\n", y->file, y->line, y->name,
		y->bytewise ? " (octet by octet)" : "", what, more ? " " : "", more ? more : "");
	if (y->probe)
		fprintf(stderr, "  at %llu ms, %s\n", (unsigned long long)y->now_ms,
			probe_doing(y->probe));
	for (size_t i = y->act_at; i < y->act_n && i < y->act_at + 5; i++)
		fprintf(stderr, "  did: action %d %s\n", (int)y->acts[i].action,
			y->acts[i].text ? y->acts[i].text : "");
	exit(1);
}

_Noreturn void play_fail(struct play *y, const char *what, const char *more)
{
	alloc_disarm();
	if (alloc_failed())
		longjmp(y->derailed, 1);
	play_broken(y, what, more);
}

char *play_copy(const char *text, size_t len)
{
	char *to = malloc(len + 1);

	if (!to)
		abort();
	memcpy(to, text, len);
	to[len] = '\0';
	return to;
}

bool play_matches(const char *pattern, const char *text)
{
	if (*pattern == '*') {
		for (;; text++) {
			if (play_matches(pattern + 1, text))
				return true;
			if (!*text)
				return false;
		}
	}
	if (!*pattern || !*text)
		return *pattern == *text;
	return *pattern == *text && play_matches(pattern + 1, text + 1);
}

size_t play_unescape(char *text)
{
	size_t out = 0;

	for (size_t i = 0; text[i]; i++) {
		unsigned octet;

		if (text[i] != '\\') {
			text[out++] = text[i];
			continue;
		}
		switch (text[++i]) {
		case 'r':
			text[out++] = '\r';
			break;
		case 'n':
			text[out++] = '\n';
			break;
		case 't':
			text[out++] = '\t';
			break;
		case '0':
			text[out++] = '\0';
			break;
		case 'x':
			if (sscanf(text + i + 1, "%2x", &octet) != 1)
				octet = '?';
			text[out++] = (char)octet;
			i += 2;
			break;
		default:
			text[out++] = text[i];
		}
	}
	return out;
}

uint64_t play_span(struct play *y, const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (strcmp(end, "ms") == 0)
		return n;
	if (strcmp(end, "s") == 0)
		return n * 1000;
	if (strcmp(end, "min") == 0)
		return n * 60000;
	play_fail(y, "a span of time is written 5s, 20ms or 2min:", text);
}

unsigned play_find(struct play *y, const char *const *names, size_t n, const char *word)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i], word) == 0)
			return i;
	play_fail(y, "no such word:", word);
}
