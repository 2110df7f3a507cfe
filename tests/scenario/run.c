/*
 * run - plays scenario files against worker/core under a fake clock. The language is in README.md.
 *
 * Every scenario is played with each line of the server in one piece, then octet by octet, then
 * again and again with one allocation more failing: the script then ends where it no longer fits,
 * and what must hold whatever happens is looked at instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "tests/scenario/play.h"

enum { LINES_MAX = 2000, ALLOCATIONS_MAX = 2000 };

struct line {
	unsigned number;
	char *text;
};

/* One scenario's lines; lines[0] is SCENARIO. */
struct script {
	const char *file;
	struct line lines[LINES_MAX];
	size_t n;
};

struct probe_config play_config;

static struct play y;
static unsigned failures_injected;

/* One line of the file: `word` and what follows it. */
static void play_line(struct play *p, char *text)
{
	char *words[WORDS_MAX], raw[LINE_MAX_OCTETS], *rest = strchr(text, ' ');
	size_t n = 0;

	if (rest)
		*rest++ = '\0';
	else
		rest = text + strlen(text);
	snprintf(raw, sizeof(raw) - 4, "%s", rest);
	for (char *save = NULL, *w = strtok_r(rest, " \t", &save); w && n < WORDS_MAX - 1;
	     w = strtok_r(NULL, " \t", &save))
		words[n++] = w;
	words[n] = NULL;
	if (strcmp(text, "SCENARIO") == 0)
		play_begin(p, raw);
	else if (!p->open)
		play_fail(p, "SCENARIO comes first", NULL);
	else if (!play_setup_word(p, text, raw, words, n) && !play_pace_word(p, text, words, n) &&
		 !play_lookup_word(p, text, raw, words, n) &&
		 !play_probe_word(p, text, raw, words, n))
		play_fail(p, "no such word:", text);
}

/* Whatever has happened: everybody has exactly one answer, or the lease had ended. */
static void check_told(struct play *p)
{
	for (size_t i = 1; p->probe && i <= p->shard->n_recipients && !p->cut; i++)
		if (p->answers[i].times != 1)
			play_fail(p, "a recipient was not reported once", NULL);
}

static void free_all(struct play *p)
{
	if (p->probe)
		probe_free(p->probe);
	else if (p->shard)
		rollcall__shard__free_unpacked(p->shard, NULL);
	play_pace_done(p);
	play_lookup_done(p);
	free(p->control);
	free(p->transcript);
	for (size_t i = 0; i < p->act_n; i++)
		free(p->acts[i].text);
}

static void check_end(struct play *p)
{
	if (!p->sourced)
		play_fail(p, "a scenario names its source", NULL);
	while (p->act_at < p->act_n && p->acts[p->act_at].action == PROBE_SLOT)
		p->act_at++;
	if (p->act_at < p->act_n)
		play_fail(p, "it did more than the scenario says", NULL);
	if (p->open && !p->probe && !p->resolution && !p->pacer)
		play_fail(p, "nothing was played", NULL);
	if (p->probe && !p->done)
		play_fail(p, "it is not done", NULL);
	check_told(p);
}

/* The script has lost its way after a failed allocation. The server hangs up, time passes, and the
 * probe comes to its end by itself. */
static void play_out(struct play *p)
{
	alloc_fail(0, false);
	for (unsigned i = 0; p->probe && !p->done; i++) {
		if (i > 1000)
			play_fail(p, "it does not end after a failed allocation", NULL);
		play_pump(p);
		if (p->done)
			break;
		if (p->connecting || p->connected)
			play_closed(p, ROLLCALL__FAILURE__FAILURE_CLOSED);
		else if (probe_deadline(p->probe) > p->now_ms)
			play_advance(p, probe_deadline(p->probe) - p->now_ms);
		else
			play_advance(p, 1);
		p->act_at = p->act_n;
	}
	check_told(p);
}

/* `fail`: which allocation. Returns whether it came to that. */
static bool play_script(const struct script *s, bool bytewise, unsigned fail, bool for_good)
{
	bool failed;

	memset(&y, 0, sizeof(y));
	y.file = s->file;
	y.bytewise = bytewise;
	alloc_fail(fail, for_good);
	if (setjmp(y.derailed) == 0) {
		for (size_t i = 0; i < s->n; i++) {
			char line[LINE_MAX_OCTETS];

			y.line = s->lines[i].number;
			snprintf(line, sizeof(line), "%s", s->lines[i].text);
			play_line(&y, line);
			if (fail && alloc_failed())
				longjmp(y.derailed, 1);
		}
		failed = fail && alloc_failed();
		check_end(&y);
	} else {
		failed = true;
		snprintf(y.name + strlen(y.name), sizeof(y.name) - strlen(y.name),
			 " (without its %u. allocation%s)", fail, for_good ? " and all after" : "");
		play_out(&y);
	}
	free_all(&y);
	return failed;
}

static void play_all_ways(const struct script *s)
{
	play_script(s, false, 0, false);
	play_script(s, true, 0, false);
	/* It says itself which one is to fail. */
	for (size_t i = 0; i < s->n; i++)
		if (strncmp(s->lines[i].text, "FAIL-ALLOC", 10) == 0)
			return;
	for (unsigned n = 1; n < ALLOCATIONS_MAX && play_script(s, false, n, false); n++) {
		play_script(s, false, n, true);
		failures_injected += 2;
	}
}

static unsigned play_file(const char *path)
{
	static struct script s;
	char line[LINE_MAX_OCTETS];
	unsigned scenarios = 0, number = 0;
	FILE *f = fopen(path, "r");

	if (!f) {
		perror(path);
		exit(1);
	}
	s.file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	for (;;) {
		bool more = fgets(line, sizeof(line) - 16, f) != NULL;

		number++;
		line[strcspn(line, "\n")] = '\0';
		if (more && (line[0] == '#' || line[0] == '\0'))
			continue;
		if (s.n && (!more || strncmp(line, "SCENARIO ", 9) == 0)) {
			play_all_ways(&s);
			scenarios++;
			while (s.n)
				free(s.lines[--s.n].text);
		}
		if (!more)
			break;
		if (s.n == LINES_MAX) {
			fprintf(stderr, "%s:%u: a scenario of more than %d lines\n", path, number,
				LINES_MAX);
			exit(1);
		}
		s.lines[s.n].number = number;
		s.lines[s.n++].text = play_copy(line, strlen(line));
	}
	fclose(f);
	return scenarios;
}

int main(int argc, char **argv)
{
	static struct rc_target_list allow;
	struct rc_rules *rules;
	struct rc_providers *providers;
	struct rc_error err = { 0 };

	if (argc < 3) {
		fprintf(stderr, "usage: %s DATA-DIRECTORY FILE.scn...\n", argv[0]);
		return 2;
	}
	if (rc_rules_load(argv[1], &rules, &err) || rc_providers_load(argv[1], &providers, &err) ||
	    rc_target_list_parse("192.0.2.0/24, 198.51.100.0/24, 2001:db8::/32", &allow, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	play_config = (struct probe_config){
		.rules = rules,
		.providers = providers,
		.allow = &allow,
		.time_scale = 1,
		.port = 25,
		.starttls = PROBE_STARTTLS_REQUIRED,
	};
	for (int i = 2; i < argc; i++) {
		unsigned n;

		failures_injected = 0;
		n = play_file(argv[i]);
		printf("%s: %u scenarios, also with each of %u allocations failing\n", argv[i], n,
		       failures_injected);
	}
	rc_rules_free(rules);
	rc_providers_free(providers);
	return 0;
}
