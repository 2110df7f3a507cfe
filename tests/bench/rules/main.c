/*
 * bench-rules - how many replies a second the rules classify, and how many rows a second get their
 * verdict, on one core.
 *
 *     bench-rules DATA REPLIES SECONDS
 *
 * REPLIES holds one reply a line, as for `rollcall explain`. Each is taken apart first; what is
 * timed is rc_rules_classify() over all of them again and again, then verdict_row() over rows that
 * got them under each control and attempt. Rates are by CPU time of the one thread, so that
 * neighbours on the machine do not count. Prints one JSON object.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "coordinator/core/scores.h"
#include "coordinator/core/verdict.h"

enum { REPLIES_MAX = 4096, LINE_MAX_OCTETS = 8192, CHECK_EVERY = 1024 };

struct reply {
	char text[2048], enhanced[16];
	struct rc_reply_view view;
};

static struct reply replies[REPLIES_MAX];
static struct verdict_input rows[REPLIES_MAX];
static size_t count;

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool read_replies(const char *path)
{
	static char line[LINE_MAX_OCTETS], copy[LINE_MAX_OCTETS];
	FILE *file = fopen(path, "re");

	while (file && count < REPLIES_MAX && fgets(line, sizeof(line), file)) {
		struct reply *r = &replies[count];
		size_t len = 0;

		for (const char *p = line; *p && *p != '\n'; p++) {
			bool line_end = p[0] == '\\' && p[1] == 'n';

			copy[len++] = line_end ? '\n' : *p;
			p += line_end;
		}
		if (!rc_reply_split(copy, len, &r->view.code, r->enhanced, r->text, sizeof(r->text),
				    &r->view.len))
			continue;
		r->view.text = r->text;
		r->view.enhanced = r->enhanced;
		count++;
	}
	if (file)
		fclose(file);
	return count > 0;
}

static double classify(const struct rc_rules *rules, double seconds, uint64_t *ret_sum)
{
	double start = cpu_seconds(), took;
	uint64_t done = 0;

	do {
		for (int i = 0; i < CHECK_EVERY; i++) {
			struct rc_classification c;

			rc_rules_classify(rules, &replies[done++ % count].view, &c);
			*ret_sum += (uint64_t)c.category;
		}
		took = cpu_seconds() - start;
	} while (took < seconds);
	return (double)done / took;
}

/* Every reply as the answer of a row, under each control, at each attempt. */
static void make_rows(const struct rc_rules *rules, const struct rc_providers *providers)
{
	static const char *const names[] = { NULL, "gmail", "outlook", "yahoo", "microsoft365" };

	for (size_t i = 0; i < count; i++) {
		const struct reply *r = &replies[i];
		const char *name = names[i % (sizeof(names) / sizeof(*names))];
		struct verdict_input *in = &rows[i];

		*in = (struct verdict_input){ .domain = VERDICT_DOMAIN_MX,
					      .attempt = (unsigned)(1 + i % 4),
					      .attempts_max = 4,
					      .provider =
						  name ? rc_providers_find(providers, name) : NULL,
					      .role = i % 7 == 0 };
		in->control = i % 3 == 0   ? VERDICT_CONTROL_REFUSED
			      : i % 3 == 1 ? VERDICT_CONTROL_ACCEPTED
					   : VERDICT_CONTROL_UNKNOWN;
		in->answer = (struct verdict_answer){ .present = true,
						      .stage = RC_STAGE_RCPT,
						      .code = r->view.code,
						      .enhanced = r->enhanced };
		rc_rules_classify(rules, &r->view, &in->answer.class);
	}
}

static double judge(const struct scores *scores, double seconds, uint64_t *ret_sum)
{
	double start = cpu_seconds(), took;
	uint64_t done = 0;

	do {
		for (int i = 0; i < CHECK_EVERY; i++) {
			struct verdict v;

			verdict_row(&rows[done++ % count], scores, &v);
			*ret_sum += (uint64_t)v.reason;
		}
		took = cpu_seconds() - start;
	} while (took < seconds);
	return (double)done / took;
}

int main(int argc, char **argv)
{
	double seconds = argc == 4 ? atof(argv[3]) : 0, classified, judged;
	struct rc_rules *rules = NULL;
	struct rc_providers *providers = NULL;
	struct scores *scores = NULL;
	struct rc_error err;
	uint64_t sum = 0;

	if (seconds <= 0) {
		fputs("usage: bench-rules DATA REPLIES SECONDS\n", stderr);
		return 2;
	}
	if (rc_rules_load(argv[1], &rules, &err) || rc_providers_load(argv[1], &providers, &err) ||
	    scores_load(argv[1], providers, &scores, &err)) {
		fprintf(stderr, "bench-rules: %s\n", err.text);
		return 1;
	}
	if (!read_replies(argv[2])) {
		fprintf(stderr, "bench-rules: no replies in %s\n", argv[2]);
		return 1;
	}
	make_rows(rules, providers);
	classified = classify(rules, seconds, &sum);
	judged = judge(scores, seconds, &sum);
	printf("{\"rules\": %zu, \"replies\": %zu, \"classified_per_s\": %.0f, "
	       "\"verdicts_per_s\": %.0f, \"sum\": %llu}\n",
	       rc_rules_count(rules), count, classified, judged, (unsigned long long)sum);
	scores_free(scores);
	rc_providers_free(providers);
	rc_rules_free(rules);
	return 0;
}
