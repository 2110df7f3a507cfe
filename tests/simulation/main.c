/*
 * simulation - 30 days of retries in virtual time: the cores of coordinator and worker against
 * servers that greylist, by the million addresses and without a socket.
 *
 *     simulation DATA-DIRECTORY [--addresses N] [--days N] [--lanes N] [--seed N] [--foreign N]
 * [--check]
 *
 * Prints a table, in Markdown. --foreign N: of 1,000 retries so many leave from another lane, to
 * see what the sticky one is good for. --check: fails where a row is wrong, a retry foreign, or
 * a greylisted row unresolved.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/simulation/fleet.h"

enum { DAY_MS = 86400000 };

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void add(struct fleet_tally *sum, const struct fleet_tally *t)
{
	sum->rows += t->rows;
	sum->resolved += t->resolved;
	sum->wrong += t->wrong;
	sum->at_first_attempt += t->at_first_attempt;
	sum->at_first_retry += t->at_first_retry;
	sum->attempts += t->attempts;
	sum->shards += t->shards;
	if (t->longest_ms > sum->longest_ms)
		sum->longest_ms = t->longest_ms;
}

static void line(const char *name, const struct fleet_tally *t, const struct server_counts *c)
{
	uint64_t retried = t->rows - t->at_first_attempt;

	printf("| %s | %llu | %.2f%% | %.2f%% | %llu | %.2f | %.1f h | %llu | %llu |\n", name,
	       (unsigned long long)t->rows, percent(t->resolved, t->rows),
	       percent(t->at_first_retry, retried), (unsigned long long)t->wrong,
	       (double)t->attempts / (double)t->rows, (double)t->longest_ms / 3600000,
	       (unsigned long long)c->early, (unsigned long long)c->foreign);
}

static int report(const struct fleet *fleet, const struct servers *servers, uint64_t end_ms,
		  bool check)
{
	struct fleet_tally all = { 0 };
	struct server_counts seen = { 0 };
	int faults = 0;

	puts("| server | rows | resolved | of the deferred, at the first retry | wrong | attempts "
	     "a row | longest | asked too early | foreign retries |");
	puts("|---|---|---|---|---|---|---|---|---|");
	for (size_t i = 0; i < server_kind_count; i++) {
		const struct fleet_tally *t = fleet_tally(fleet, i);
		const struct server_counts *c = servers_counts(servers, i);

		if (t->rows == 0)
			continue;
		line(server_kinds[i].name, t, c);
		add(&all, t);
		seen.sessions += c->sessions;
		seen.asked += c->asked;
		seen.early += c->early;
		seen.foreign += c->foreign;
		seen.data += c->data;
		if (check && server_kinds[i].way != UNVERIFIED && t->resolved != t->rows) {
			printf("FAILED: %s: %llu rows are not resolved\n", server_kinds[i].name,
			       (unsigned long long)(t->rows - t->resolved));
			faults++;
		}
	}
	line("all", &all, &seen);
	printf("\n%.1f days, %llu shards, %llu sessions, %llu recipients, DATA %llu\n",
	       (double)end_ms / DAY_MS, (unsigned long long)all.shards,
	       (unsigned long long)seen.sessions, (unsigned long long)seen.asked,
	       (unsigned long long)seen.data);
	if (check && (all.wrong || seen.foreign || seen.data)) {
		puts("FAILED: wrong rows, foreign retries and DATA must be 0");
		faults++;
	}
	return faults ? 1 : 0;
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (!*text || *end) {
		fprintf(stderr, "simulation: --%s takes a number, not \"%s\"\n", option, text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "addresses", required_argument, NULL, 'a' },
		{ "days", required_argument, NULL, 'd' },
		{ "lanes", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 's' },
		{ "foreign", required_argument, NULL, 'f' },
		{ "check", no_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	struct fleet_options chosen = {
		.seed = 1, .addresses = 1000000, .lanes = 8, .span_ms = (uint64_t)30 * DAY_MS
	};
	struct servers *servers;
	struct fleet *fleet;
	struct rc_error err;
	struct rusage used;
	bool check = false;
	uint64_t end_ms;
	int status;

	for (int c, at; (c = getopt_long(argc, argv, "", options, &at)) != -1;) {
		if (c == '?')
			return 2;
		if (c == 'c')
			check = true;
		else if (c == 'a')
			chosen.addresses = (uint32_t)number("addresses", optarg);
		else if (c == 'd')
			chosen.span_ms = number("days", optarg) * DAY_MS;
		else if (c == 'l')
			chosen.lanes = (uint32_t)number("lanes", optarg);
		else if (c == 's')
			chosen.seed = number("seed", optarg);
		else if (c == 'f')
			chosen.foreign_per_mille = (unsigned)number("foreign", optarg);
	}
	if (optind + 1 != argc) {
		fputs("usage: simulation DATA-DIRECTORY [--addresses N] [--days N] [--lanes N] "
		      "[--seed N] [--foreign N] [--check]\n",
		      stderr);
		return 2;
	}
	chosen.data = argv[optind];
	servers = servers_new(chosen.seed);
	if (fleet_new(&chosen, servers, &fleet, &err) != RC_OK) {
		fprintf(stderr, "simulation: %s\n", err.text);
		servers_free(servers);
		return 1;
	}
	end_ms = fleet_run(fleet);
	status = report(fleet, servers, end_ms, check);
	getrusage(RUSAGE_SELF, &used);
	printf("%u addresses in %.1f s of CPU, %ld MiB\n", chosen.addresses,
	       (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 +
		   (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6,
	       used.ru_maxrss / 1024);
	fleet_free(fleet);
	servers_free(servers);
	return status;
}
