/*
 * fleet - the cores of coordinator and worker put together without sockets, database or broker, in
 * virtual time.
 *
 * Rows leave as per-domain shards on the lane of their MX group, worker/core/probe talks to the
 * servers of server.h, and what it reports is judged by coordinator/core as the sink does it; what
 * is deferred comes back when it is due. One owner, one thread; ends the program where memory runs
 * out.
 */
#ifndef SIMULATION_FLEET_H
#define SIMULATION_FLEET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "tests/simulation/server.h"

struct fleet;

struct fleet_options {
	const char *data; /* the directory of replies and providers */
	uint64_t seed;
	uint32_t addresses, lanes;
	uint64_t span_ms;	    /* lists begin within it */
	unsigned foreign_per_mille; /* retries sent from another lane on purpose */
};

/* Of all rows whose servers are of one kind. */
struct fleet_tally {
	uint64_t rows, resolved, wrong; /* resolved: valid or invalid; wrong: against the truth */
	uint64_t at_first_attempt, at_first_retry; /* resolved rows */
	uint64_t attempts;			   /* scheduled ones that opened a connection */
	uint64_t shards;
	int64_t longest_ms; /* from a row's first attempt to its verdict */
};

enum rc_status fleet_new(const struct fleet_options *options, struct servers *servers,
			 struct fleet **ret_fleet, struct rc_error *err) RC_MUST_CHECK;
/* Until every row has its verdict. Returns the virtual time of the last one, ms from the start. */
uint64_t fleet_run(struct fleet *fleet);
const struct fleet_tally *fleet_tally(const struct fleet *fleet, size_t kind);
void fleet_free(struct fleet *fleet);

#endif
