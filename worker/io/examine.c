/* See examine.h. */
#include "worker/io/examine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "worker/io/connection.h"
#include "worker/io/doctor.h"

enum { CALLS_MAX = 1024, DESCRIPTORS_LOW = 4096, PORTS_LOW = 10000 };

struct examination {
	FILE *out;
	uv_loop_t loop;
	struct lanes lanes;
	struct rc_target_list allow;
	struct dns *dns;
	struct network *network;
	struct doctor *doctor;
	bool unfit;
};

static void line(struct examination *e, const char *lane, const char *check, const char *result,
		 const char *text)
{
	fprintf(e->out, "%s\t%s\t%s\t%s\n", lane, check, result, text);
}

static void on_looked(struct lane *lane, const struct fitness *fitness, void *owner)
{
	struct examination *e = owner;

	for (int i = 1; i <= FITNESS_CHECKS; i++) {
		const struct fitness_finding *found =
		    fitness_finding(fitness, (enum fitness_check)i);

		line(e, lane->name, fitness_check_name(found->check),
		     fitness_result_name(found->result), found->text);
	}
	e->unfit = e->unfit || fitness_verdict(fitness) != FITNESS_OK;
	if (doctor_looking(e->doctor) == 0)
		uv_stop(&e->loop);
}

static void check_limits(struct examination *e, int64_t sessions)
{
	struct rlimit limit;
	char text[FITNESS_TEXT_MAX];
	unsigned low = 0, high = 0;
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		const bool few =
		    limit.rlim_max != RLIM_INFINITY && limit.rlim_max < DESCRIPTORS_LOW;

		snprintf(text, sizeof(text),
			 few ? "%lu open files are allowed, enough for %lu sessions of the %lld "
			       "wanted: raise the limit (ulimit -n, LimitNOFILE)"
			     : "%lu open files are allowed",
			 (unsigned long)limit.rlim_max,
			 (unsigned long)(limit.rlim_max > 200 ? limit.rlim_max - 200 : 0),
			 (long long)sessions);
		line(e, "", "files", few ? "warn" : "ok", text);
	}
	if (file != NULL) {
		const bool read = fscanf(file, "%u %u", &low, &high) == 2 && high >= low;
		const bool few = read && high - low + 1 < PORTS_LOW;

		fclose(file);
		snprintf(text, sizeof(text),
			 few ? "%u local ports: widen net.ipv4.ip_local_port_range"
			     : "%u local ports",
			 read ? high - low + 1 : 0);
		line(e, "", "ports", few ? "warn" : "ok", text);
	}
}

static enum rc_status start(struct examination *e, const struct worker_config *config,
			    struct rc_error *err)
{
	const struct doctor_settings settings = doctor_settings_of(config, &e->allow);
	struct rc_error why;
	enum rc_status status = rc_target_list_parse(config->allow_targets, &e->allow, &why);

	if (status != RC_OK)
		return rc_error_set(err, status, "ROLLCALL_ALLOW_TARGETS: %.900s", why.text);
	status = lanes_parse(config->lanes, config->mail_from, &e->lanes, err);
	if (status != RC_OK)
		return status;
	status = dns_new(&e->loop, config->dns, &e->dns, err);
	if (status != RC_OK)
		return status;
	e->network = network_new(&e->loop, CALLS_MAX);
	if (e->network == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory or descriptors");
	return doctor_new(&e->loop, e->network, e->dns, &settings, on_looked, e, &e->doctor, err);
}

static void look(struct examination *e)
{
	for (size_t i = 0; i < e->lanes.n; i++) {
		struct lane *lane = &e->lanes.lane[i];

		if (lane->set_aside) {
			line(e, lane->name, "setting", "fail", lane->problem);
			e->unfit = true;
			continue;
		}
		/* Whether it can be bound; the abstract socket is not for us. */
		lane_prove(lane);
		lane_release(lane);
		if (!doctor_look(e->doctor, lane)) {
			line(e, lane->name, "address", "unsure", "out of memory");
			e->unfit = true;
		}
	}
	if (doctor_looking(e->doctor) > 0)
		uv_run(&e->loop, UV_RUN_DEFAULT);
}

int examine_run(const struct worker_config *config, FILE *out, struct rc_error *err)
{
	struct examination e = { .out = out };
	enum rc_status status;

	if (uv_loop_init(&e.loop) < 0) {
		rc_error_set(err, RC_UNAVAILABLE, "no event loop: out of memory or descriptors");
		return EXAMINE_REFUSED;
	}
	status = start(&e, config, err);
	if (status == RC_OK) {
		look(&e);
		check_limits(&e, config->sessions);
	}
	doctor_free(e.doctor);
	dns_free(e.dns);
	network_free(e.network);
	while (uv_run(&e.loop, UV_RUN_DEFAULT) != 0)
		;
	uv_loop_close(&e.loop);
	if (e.lanes.lane != NULL)
		lanes_done(&e.lanes);
	if (status != RC_OK)
		return EXAMINE_REFUSED;
	return e.unfit ? EXAMINE_UNFIT : EXAMINE_FIT;
}
