/* mailworld - a simulated mail internet on loopback. README.md says how it is used. */
#include "common/base/options.h"
#include "tests/mailworld/generate.h"
#include "tests/mailworld/outcomes.h"
#include "tests/mailworld/rows.h"
#include "tests/mailworld/serve.h"
#include "tests/mailworld/worldfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct config {
	const char *dns, *world, *mix, *share, *write_list, *truth, *outcomes, *write_targets,
	    *stats, *control;
	int64_t smtp_port, seed, domains, mx, rows, time_scale, reply_delay;
	bool check, print_world;
};

#define FIELD(name) offsetof(struct config, name)

static const struct rc_option options[] = {
	{ "dns", RC_OPTION_STRING, FIELD(dns), 0, 0, "127.0.0.1:5353", "host:port", false, false,
	  "Where the name server listens, on UDP and TCP; port 0 takes a free one." },
	{ "smtp-port", RC_OPTION_INT, FIELD(smtp_port), 0, 65535, "2525", NULL, false, false,
	  "The port of every MX address; 0 takes a free one." },
	{ "world", RC_OPTION_STRING, FIELD(world), 0, 0, NULL, "file", false, false,
	  "A world that a person wrote." },
	{ "mix", RC_OPTION_STRING, FIELD(mix), 0, 0, NULL, "name", false, false,
	  "The world to generate: demo, every, providers, bench or honest; demo when there is no "
	  "--world." },
	{ "share", RC_OPTION_STRING, FIELD(share), 0, 0, "", NULL, false, false,
	  "Changes of the mix: BEHAVIOUR=PERCENT,..." },
	{ "seed", RC_OPTION_INT, FIELD(seed), 0, 9e15, "1", NULL, false, false,
	  "What the generated world grows from." },
	{ "domains", RC_OPTION_INT, FIELD(domains), 1, 1e7, "600", NULL, false, false,
	  "How many domains to generate." },
	{ "mx", RC_OPTION_INT, FIELD(mx), 1, 1e6, "150", NULL, false, false,
	  "How many MX addresses to generate." },
	{ "rows", RC_OPTION_INT, FIELD(rows), 1, 1e9, "10000", NULL, false, false,
	  "How many rows the list has." },
	{ "time-scale", RC_OPTION_INT, FIELD(time_scale), 1, 1e6, "1", NULL, false, false,
	  "Divides the waits that greylists and throttles demand." },
	{ "reply-delay", RC_OPTION_DURATION, FIELD(reply_delay), 0, 60000, "0", NULL, false, false,
	  "How long a server thinks about each command." },
	{ "write-list", RC_OPTION_STRING, FIELD(write_list), 0, 0, NULL, "file", false, false,
	  "Write the list there, and exit." },
	{ "truth", RC_OPTION_STRING, FIELD(truth), 0, 0, NULL, "file", false, false,
	  "Write the truth there, and exit." },
	{ "outcomes", RC_OPTION_STRING, FIELD(outcomes), 0, 0, NULL, "file", false, false,
	  "Write what becomes of a message to each row there, and exit." },
	{ "write-targets", RC_OPTION_STRING, FIELD(write_targets), 0, 0, NULL, "file", false, false,
	  "Write what bench-prober asks for there, and exit." },
	{ "stats", RC_OPTION_STRING, FIELD(stats), 0, 0, NULL, "file", false, false,
	  "Where the counters go on SIGUSR1 and at the end, besides standard output." },
	{ "control", RC_OPTION_STRING, FIELD(control), 0, 0, NULL, "path", false, false,
	  "A Unix socket that answers every connection with the counters." },
	{ "check", RC_OPTION_BOOL, FIELD(check), 0, 0, "off", NULL, false, false,
	  "Check that the world holds what its mix promises, and exit." },
	{ "print-world", RC_OPTION_BOOL, FIELD(print_world), 0, 0, "off", NULL, false, false,
	  "Print the behaviours with their counts and the MX addresses, and exit." },
	{ 0 },
};

static void print_world(const struct mw_world *world)
{
	size_t rows[MW_BEHAVIOURS] = { 0 }, domains[MW_BEHAVIOURS] = { 0 }, listening = 0;

	for (size_t i = 0; i < world->row_count; i++)
		rows[world->rows[i].behaviour]++;
	for (size_t i = 0; i < world->domain_count; i++)
		domains[world->domains[i].behaviour]++;
	printf("%-20s %8s %8s  %s\n", "behaviour", "rows", "domains", "what it does");
	for (int b = 0; b < MW_BEHAVIOURS; b++)
		printf("%-20s %8zu %8zu  %s\n", mw_behaviours[b].name, rows[b], domains[b],
		       mw_behaviours[b].help);
	printf("\n%-15s %-8s %-20s %s\n", "address", "listens", "servers of", "host");
	for (size_t i = 0; i < world->host_count; i++) {
		const struct mw_host *host = &world->hosts[i];
		char ip[16];

		snprintf(ip, sizeof(ip), "%u.%u.%u.%u", host->ip >> 24, host->ip >> 16 & 255,
			 host->ip >> 8 & 255, host->ip & 255);
		printf("%-15s %-8s %-20s %s\n", ip, host->listens ? "yes" : "no",
		       mw_behaviours[world->operators[host->operator_].behaviour].name, host->name);
		listening += host->listens;
	}
	printf("\n%zu rows, %zu domains, %zu MX addresses (%zu listen)\n", world->row_count,
	       world->domain_count, world->host_count, listening);
}

static enum rc_status make_world(const struct config *config, struct mw_world *world,
				 struct rc_error *err)
{
	const char *name = config->mix ? config->mix : config->world ? NULL : "demo";
	struct mw_mix mix;
	enum rc_status status = RC_OK;

	if (config->world)
		status = mw_worldfile_read(world, config->world, err);
	if (status != RC_OK || !name)
		return status;
	status = mw_mix_named(name, &mix, err);
	if (status == RC_OK)
		status = mw_mix_share(&mix, config->share, err);
	if (status == RC_OK)
		status = mw_generate(world, &mix, (uint32_t)config->domains, (uint32_t)config->mx,
				     (uint32_t)config->rows, err);
	if (status == RC_OK && config->check && !config->world)
		status = mw_check(world, &mix, (uint32_t)config->domains, (uint32_t)config->mx,
				  (uint32_t)config->rows, err);
	return status;
}

static enum rc_status run(const struct config *config, struct mw_world *world, struct rc_error *err)
{
	struct mw_serve_options serve = { config->dns, (uint16_t)config->smtp_port, config->stats,
					  config->control };
	enum rc_status status = make_world(config, world, err);

	if (status == RC_OK && config->print_world)
		print_world(world);
	if (status == RC_OK && config->write_list)
		status = mw_rows_write_list(world, config->write_list, err);
	if (status == RC_OK && config->truth)
		status = mw_rows_write_truth(world, config->truth, err);
	if (status == RC_OK && config->outcomes)
		status = mw_outcomes_write(world, config->outcomes, err);
	if (status == RC_OK && config->write_targets)
		status = mw_rows_write_targets(world, config->write_targets, err);
	if (status != RC_OK || config->write_list || config->truth || config->outcomes ||
	    config->write_targets || config->print_world || config->check)
		return status;
	free(world->rows);
	world->rows = NULL;
	world->row_count = 0;
	return mw_serve(world, &serve, err);
}

int main(int argc, char **argv)
{
	struct config config = { 0 };
	struct rc_options *parsed = NULL;
	struct rc_error err = { 0 };
	struct mw_world *world;
	int rest = argc;
	enum rc_status status = rc_options_parse(options, "mailworld", "[OPTION...]", argc, argv,
						 &config, &parsed, &rest, &err);

	if (status == RC_CONFLICT)
		return 0;
	if (status == RC_OK && rest < argc)
		status = rc_error_set(&err, RC_INVALID, "mailworld takes no operand such as %s",
				      argv[rest]);
	if (status != RC_OK) {
		fprintf(stderr, "mailworld: %s\n", err.text);
		rc_options_free(parsed);
		return 2;
	}
	world = mw_world_new((uint64_t)config.seed, (uint32_t)config.time_scale);
	world->reply_delay_ms = (uint32_t)config.reply_delay;
	status = run(&config, world, &err);
	if (status != RC_OK)
		fprintf(stderr, "mailworld: %s\n", err.text);
	mw_world_free(world);
	rc_options_free(parsed);
	return status == RC_OK ? 0 : 1;
}
