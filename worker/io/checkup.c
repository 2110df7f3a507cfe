/* See checkup.h. */
#include "worker/io/checkup.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum {
	EVERY_MS = 3600 * 1000,
	AGAIN_MS = 60 * 1000, /* after a look that could not be decided */
	TICK_MS = 1000,
	AT_ONCE = 16
};

struct checkup {
	uv_timer_t timer;
	struct lanes *lanes;
	struct doctor *doctor;
	void (*changed)(struct lane *lane, void *owner);
	void *owner;
};

static enum rc_log_level level_of(enum fitness_result result)
{
	return result == FITNESS_OK ? RC_LOG_INFO : RC_LOG_WARN;
}

/* Keeps what was found; true: it differs from what was known. */
static bool keep(struct lane *lane, const struct fitness *fitness)
{
	bool differs = false;

	for (int i = 0; i < FITNESS_CHECKS; i++) {
		const struct fitness_finding *found =
		    fitness_finding(fitness, (enum fitness_check)(i + 1));
		struct fitness_finding *known = &lane->fitness.findings[i];
		const bool news =
		    found->result != known->result || strcmp(found->text, known->text) != 0;

		if (news && (found->result > FITNESS_OK || known->result > FITNESS_OK)) {
			differs = true;
			rc_log(level_of(found->result), "lane_finding",
			       "lane=%s check=%s result=%s text=\"%s\"", lane->name,
			       fitness_check_name(found->check), fitness_result_name(found->result),
			       found->text);
		}
		*known = *found;
	}
	return differs;
}

static void on_looked(struct lane *lane, const struct fitness *fitness, void *owner)
{
	struct checkup *checkup = owner;
	struct lane_fitness *known = &lane->fitness;
	const enum fitness_result verdict = fitness_verdict(fitness);
	const enum fitness_result before = known->verdict;
	const bool first = known->checked_at_ms == 0;
	const bool differs = keep(lane, fitness);

	known->look_at_ms =
	    rc_clock_boot_ms() + (uint64_t)(verdict == FITNESS_UNSURE ? AGAIN_MS : EVERY_MS);
	known->checked_at_ms = rc_clock_wall_ms();
	if (verdict != FITNESS_UNSURE)
		known->verdict = verdict;
	if (known->verdict != before)
		rc_log(known->verdict == FITNESS_OK ? RC_LOG_INFO : RC_LOG_WARN,
		       known->verdict == FITNESS_OK ? "lane_fit" : "lane_unfit", "lane=%s%s",
		       lane->name,
		       known->verdict != FITNESS_OK && known->overridden
			   ? " overridden=ROLLCALL_UNSAFE_LANES"
			   : "");
	if (!differs && !first && known->verdict == before)
		return;
	known->said = 0;
	checkup->changed(lane, checkup->owner);
}

static void on_tick(uv_timer_t *timer)
{
	struct checkup *checkup = timer->data;
	const uint64_t now_ms = rc_clock_boot_ms();

	for (size_t i = 0; i < checkup->lanes->n; i++) {
		struct lane *lane = &checkup->lanes->lane[i];

		if (lane->set_aside || now_ms < lane->fitness.look_at_ms)
			continue;
		if (doctor_looking(checkup->doctor) == AT_ONCE)
			return;
		lane->fitness.look_at_ms = UINT64_MAX; /* until it has ended */
		if (!doctor_look(checkup->doctor, lane))
			lane->fitness.look_at_ms = now_ms + AGAIN_MS;
	}
}

enum rc_status checkup_new(uv_loop_t *loop, struct network *network, struct dns *dns,
			   const struct doctor_settings *settings, struct lanes *lanes, bool unsafe,
			   void (*changed)(struct lane *lane, void *owner), void *owner,
			   struct checkup **ret_checkup, struct rc_error *err)
{
	struct checkup *checkup = calloc(1, sizeof(*checkup));
	enum rc_status status;

	if (checkup == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for the doctor");
	checkup->lanes = lanes;
	checkup->changed = changed;
	checkup->owner = owner;
	status =
	    doctor_new(loop, network, dns, settings, on_looked, checkup, &checkup->doctor, err);
	if (status != RC_OK) {
		free(checkup);
		return status;
	}
	for (size_t i = 0; i < lanes->n; i++)
		lanes->lane[i].fitness.overridden = unsafe;
	uv_timer_init(loop, &checkup->timer);
	checkup->timer.data = checkup;
	uv_timer_start(&checkup->timer, on_tick, 0, TICK_MS);
	*ret_checkup = checkup;
	return RC_OK;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void checkup_free(struct checkup *checkup)
{
	if (checkup == NULL)
		return;
	doctor_free(checkup->doctor);
	uv_close((uv_handle_t *)&checkup->timer, on_closed);
}
