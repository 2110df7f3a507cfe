#include "worker/io/leases.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"

enum {
	HELLO_EVERY_MS = 5000,
	HELLO_GATHER_MS = 100,
	HELLO_SOON_MS = 1000, /* while a lane waits for its grant */
	LEASE_MAX_MS = 30 * 1000,
	HELLOS_KEPT = 64, /* an answer to an older one renews nothing */
	MACHINE_MAX = 128,
	FINDINGS_TOLD = 3,
	FINDINGS_AGAIN = 12
};

struct leases {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct lanes *lanes;
	struct kafka_loop *kafka;
	struct engine *engine;
	struct rc_arena *arena; /* of one hello */
	const char *worker;
	const char *version;
	char machine[MACHINE_MAX];
	uint64_t sequence;
	uint64_t sent_at_ms[HELLOS_KEPT];
	uint64_t next_hello_ms;
	bool returned;
};

static void read_line(const char *path, char *ret_line, size_t size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd >= 0 ? read(fd, ret_line, size - 1) : -1;

	ret_line[n > 0 ? n : 0] = '\0';
	ret_line[strcspn(ret_line, "\r\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

/* Two processes with the same text see the same abstract sockets: the boot of the kernel, and the
 * network namespace. */
static void machine_name(char ret_name[MACHINE_MAX])
{
	char boot[64];
	char net[48];
	const ssize_t n = readlink("/proc/self/ns/net", net, sizeof(net) - 1);

	net[n > 0 ? n : 0] = '\0';
	read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	snprintf(ret_name, MACHINE_MAX, "%s/%s", boot, net);
}

static void drop_lane(struct leases *leases, struct lane *lane)
{
	if (lane->epoch == 0)
		return;
	lane->lease_ends_ms = 0; /* without a word */
	engine_cut(leases->engine, lane);
	kafka_loop_unassign(leases->kafka, lane->number);
	lane->epoch = 0;
}

static void on_timer(uv_timer_t *timer);

/* Wakes at the next hello or at the end of the first lease, to the millisecond. */
static void arm(struct leases *leases)
{
	const uint64_t now_ms = rc_clock_boot_ms();
	uint64_t next_ms = leases->next_hello_ms;

	for (size_t i = 0; i < leases->lanes->n; i++) {
		const struct lane *lane = &leases->lanes->lane[i];

		if (lane->epoch != 0 && lane->lease_ends_ms < next_ms)
			next_ms = lane->lease_ends_ms;
	}
	uv_timer_start(&leases->timer, on_timer, next_ms > now_ms ? next_ms - now_ms : 0, 0);
}

static bool waits_for_grant(const struct leases *leases)
{
	for (size_t i = 0; i < leases->lanes->n; i++) {
		const struct lane *lane = &leases->lanes->lane[i];

		if (lane_fit(lane) && lane->epoch == 0 && lane->refused[0] == '\0')
			return true;
	}
	return false;
}

static Rollcall__LaneFitness fitness_of(const struct lane *lane)
{
	if (lane->fitness.verdict == FITNESS_OK)
		return ROLLCALL__LANE_FITNESS__LANE_FITNESS_FIT;
	if (lane->fitness.overridden)
		return ROLLCALL__LANE_FITNESS__LANE_FITNESS_OVERRIDDEN;
	return lane->fitness.verdict == FITNESS_FAIL
		   ? ROLLCALL__LANE_FITNESS__LANE_FITNESS_UNFIT
		   : ROLLCALL__LANE_FITNESS__LANE_FITNESS_CHECKING;
}

/* Why it cannot be granted; "": nothing stands against it. */
static const char *problem_of(const struct lane *lane)
{
	const char *unsure = "";

	if (!lane->proved || lane_fit(lane))
		return lane->problem;
	for (int i = 0; i < FITNESS_CHECKS; i++) {
		const struct fitness_finding *found = &lane->fitness.findings[i];

		if (found->result == FITNESS_FAIL)
			return found->text;
		if (found->result == FITNESS_UNSURE && *unsure == '\0')
			unsure = found->text;
	}
	return unsure;
}

/* What is not well goes with the hellos that follow a look, and again every minute: it is long, and
 * a leader may be new. Memory that is not there is left out. */
static void say_findings(const struct leases *leases, struct lane *lane, Rollcall__LaneOffer *offer)
{
	struct lane_fitness *fitness = &lane->fitness;

	if (fitness->checked_at_ms == 0 ||
	    (fitness->said >= FINDINGS_TOLD && leases->sequence % FINDINGS_AGAIN != 0))
		return;
	offer->findings = rc_arena_alloc(leases->arena, FITNESS_CHECKS * sizeof(*offer->findings));
	for (int i = 0; i < FITNESS_CHECKS && offer->findings != NULL; i++) {
		const struct fitness_finding *found = &fitness->findings[i];
		Rollcall__Finding *finding;

		if (found->result <= FITNESS_OK)
			continue;
		finding = rc_arena_alloc(leases->arena, sizeof(*finding));
		if (finding == NULL)
			return;
		rollcall__finding__init(finding);
		finding->check = (char *)(uintptr_t)fitness_check_name(found->check);
		finding->result = (char *)(uintptr_t)fitness_result_name(found->result);
		finding->text = (char *)(uintptr_t)found->text;
		offer->findings[offer->n_findings++] = finding;
	}
	offer->findings_told = true;
	fitness->said++;
}

static void say(struct leases *leases)
{
	Rollcall__Hello hello = ROLLCALL__HELLO__INIT;
	Rollcall__LaneOffer offers[LANES_MAX];
	Rollcall__LaneOffer *offer_at[LANES_MAX];

	rc_arena_reset(leases->arena);
	for (size_t i = 0; i < leases->lanes->n; i++) {
		struct lane *lane = &leases->lanes->lane[i];
		Rollcall__LaneOffer *offer = &offers[i];

		if (lane->name[0] == '\0')
			continue;
		offer_at[hello.n_lanes++] = offer;
		rollcall__lane_offer__init(offer);
		offer->name = lane->name;
		offer->public_address = lane->public_address;
		offer->bind_address = lane->bind_address;
		offer->helo = lane->helo;
		offer->mail_from = lane->mail_from;
		offer->proved = lane->proved;
		offer->socket_held = lane->held >= 0;
		offer->epoch = lane->epoch;
		offer->returned = lane->returned;
		offer->problem = (char *)(uintptr_t)problem_of(lane);
		offer->fitness = fitness_of(lane);
		offer->checked_at_ms = lane->fitness.checked_at_ms;
		say_findings(leases, lane, offer);
	}
	leases->sequence++;
	leases->sent_at_ms[leases->sequence % HELLOS_KEPT] = rc_clock_boot_ms();
	hello.worker = (char *)leases->worker;
	hello.machine = leases->machine;
	hello.sent_at_ms = rc_clock_wall_ms();
	hello.sequence = leases->sequence;
	hello.lanes = offer_at;
	hello.version = (char *)leases->version;
	(void)kafka_loop_hello(leases->kafka, &hello); /* the next one comes in seconds */
}

void leases_hello(struct leases *leases)
{
	for (size_t i = 0; i < leases->lanes->n; i++) {
		struct lane *lane = &leases->lanes->lane[i];
		const bool was_proved = lane->proved;

		lane_prove(lane);
		if (was_proved && !lane->proved)
			rc_log(RC_LOG_WARN, "lane_lost", "lane=%s problem=\"%s\"", lane->name,
			       lane->problem);
		else if (!was_proved && lane->proved)
			rc_log(RC_LOG_INFO, "lane_proved", "lane=%s address=%s", lane->name,
			       lane->bind_address);
	}
	say(leases);
	leases->next_hello_ms =
	    rc_clock_boot_ms() +
	    (uint64_t)(waits_for_grant(leases) ? HELLO_SOON_MS : HELLO_EVERY_MS);
	arm(leases);
}

static void on_timer(uv_timer_t *timer)
{
	struct leases *leases = timer->data;
	const uint64_t now_ms = rc_clock_boot_ms();

	if (leases->returned)
		return;
	for (size_t i = 0; i < leases->lanes->n; i++) {
		struct lane *lane = &leases->lanes->lane[i];

		if (lane->epoch == 0 || lane->lease_ends_ms > now_ms)
			continue;
		rc_log(RC_LOG_WARN, "lane_lease_ended", "lane=%s epoch=%" PRIu64, lane->name,
		       lane->epoch);
		drop_lane(leases, lane);
	}
	if (now_ms >= leases->next_hello_ms)
		leases_hello(leases);
	else
		arm(leases);
}

static void take_grant(struct leases *leases, const Rollcall__LaneGrant *grant, uint64_t sent_at_ms)
{
	struct lane *lane = lanes_find(leases->lanes, grant->name);

	if (lane == NULL || lane->returned)
		return;
	if (grant->refused[0] != '\0') {
		if (strncmp(lane->refused, grant->refused, sizeof(lane->refused) - 1) != 0)
			rc_log(RC_LOG_WARN, "lane_refused", "lane=%s reason=\"%s\"", lane->name,
			       grant->refused);
		snprintf(lane->refused, sizeof(lane->refused), "%s", grant->refused);
		return;
	}
	lane->refused[0] = '\0';
	if (grant->epoch == 0 || grant->epoch < lane->epoch)
		return;
	const uint64_t lease_ms = grant->lease_ms == 0 || grant->lease_ms > LEASE_MAX_MS
				      ? (uint64_t)LEASE_MAX_MS
				      : grant->lease_ms;
	const uint64_t ends_ms = sent_at_ms + lease_ms;

	if (ends_ms <= rc_clock_boot_ms())
		return;
	if (grant->epoch != lane->epoch || grant->lane != lane->number) {
		drop_lane(leases, lane);
		lane->epoch = grant->epoch;
		lane->number = grant->lane;
		lane->numbered = true;
		lane->lease_ends_ms = ends_ms;
		kafka_loop_assign(leases->kafka, lane->number, grant->from_offset);
		rc_log(RC_LOG_INFO, "lane_granted",
		       "lane=%s number=%u epoch=%" PRIu64 " from=%" PRId64, lane->name,
		       lane->number, lane->epoch, grant->from_offset);
	} else if (ends_ms > lane->lease_ends_ms) {
		lane->lease_ends_ms = ends_ms;
	}
}

void leases_grant(struct leases *leases, const Rollcall__Grant *grant)
{
	if (leases->returned || strcmp(grant->worker, leases->worker) != 0)
		return;
	if (grant->hello_sequence == 0 || grant->hello_sequence > leases->sequence ||
	    leases->sequence - grant->hello_sequence >= HELLOS_KEPT)
		return;
	for (size_t i = 0; i < grant->n_lanes; i++)
		take_grant(leases, grant->lanes[i],
			   leases->sent_at_ms[grant->hello_sequence % HELLOS_KEPT]);
	if (!waits_for_grant(leases) && leases->next_hello_ms < rc_clock_boot_ms() + HELLO_SOON_MS)
		leases->next_hello_ms = rc_clock_boot_ms() + HELLO_EVERY_MS;
	arm(leases);
}

void leases_fitness(struct leases *leases, struct lane *lane)
{
	if (leases->returned)
		return;
	if (!lane_fit(lane))
		drop_lane(leases, lane);
	lane->refused[0] = '\0';
	/* One hello for the lanes whose looks end together. */
	leases->next_hello_ms = rc_clock_boot_ms() + HELLO_GATHER_MS;
	arm(leases);
}

void leases_void(struct leases *leases)
{
	for (size_t i = 0; i < leases->lanes->n; i++)
		drop_lane(leases, &leases->lanes->lane[i]);
	if (!leases->returned)
		leases_hello(leases);
}

void leases_return(struct leases *leases)
{
	if (leases->returned)
		return;
	leases->returned = true;
	uv_timer_stop(&leases->timer);
	for (size_t i = 0; i < leases->lanes->n; i++) {
		struct lane *lane = &leases->lanes->lane[i];

		lane->returned = true;
		kafka_loop_unassign(leases->kafka, lane->number);
	}
	say(leases);
}

const struct lane *leases_lane(const struct leases *leases, const Rollcall__Shard *shard,
			       bool *ret_known)
{
	*ret_known = false;
	for (size_t i = 0; i < leases->lanes->n; i++) {
		const struct lane *lane = &leases->lanes->lane[i];

		if (!lane->numbered || lane->number != shard->lane)
			continue;
		*ret_known = true;
		if (lane->epoch != 0 && lane->epoch == shard->epoch && !lane->returned)
			return lane;
	}
	return NULL;
}

struct leases *leases_new(uv_loop_t *loop, struct lanes *lanes, struct kafka_loop *kafka,
			  struct engine *engine, const char *worker, const char *version)
{
	struct leases *leases = calloc(1, sizeof(*leases));

	if (leases == NULL)
		return NULL;
	leases->arena = rc_arena_new(0);
	if (leases->arena == NULL) {
		free(leases);
		return NULL;
	}
	leases->loop = loop;
	leases->lanes = lanes;
	leases->kafka = kafka;
	leases->engine = engine;
	leases->worker = worker;
	leases->version = version;
	machine_name(leases->machine);
	uv_timer_init(loop, &leases->timer);
	leases->timer.data = leases;
	return leases;
}

static void on_closed(uv_handle_t *handle)
{
	struct leases *leases = handle->data;

	rc_arena_free(leases->arena);
	free(leases);
}

void leases_free(struct leases *leases)
{
	if (leases == NULL)
		return;
	uv_close((uv_handle_t *)&leases->timer, on_closed);
}
