/* A shard as it may come from the broker: refused, or played to its end with no server there. */
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"
#include "tests/fuzz/fuzz.h"
#include "worker/core/probe.h"

enum { STEPS_MAX = 200000 };

static struct probe_config config = { .time_scale = 1, .port = 25 };

static void load(void)
{
	static struct rc_target_list allow;
	static struct rc_rules *rules;
	static struct rc_providers *providers;
	struct rc_error err;

	if (config.rules)
		return;
	if (rc_rules_load(SOURCE_DIR "/data", &rules, &err) ||
	    rc_providers_load(SOURCE_DIR "/data", &providers, &err) ||
	    rc_target_list_parse("192.0.2.0/24", &allow, &err))
		abort();
	config.rules = rules;
	config.providers = providers;
	config.allow = &allow;
	config.only_allowed = true;
}

/* Every connection is refused, and the resolver fails. Returns the answers that were reported. */
static size_t play(struct probe *probe, uint64_t now_ms)
{
	Rollcall__Resolution failed = ROLLCALL__RESOLUTION__INIT;
	struct probe_todo todo;
	size_t answers = 0;

	failed.state = ROLLCALL__RESOLUTION_STATE__RESOLUTION_FAILED;

	for (int step = 0; step < STEPS_MAX; step++) {
		switch (probe_next(probe, now_ms, &todo)) {
		case PROBE_WAIT:
			if (probe_deadline(probe) == UINT64_MAX)
				abort();
			now_ms =
			    probe_deadline(probe) > now_ms ? probe_deadline(probe) : now_ms + 1;
			probe_on_time(probe, now_ms);
			break;
		case PROBE_RESOLVE:
			if (*todo.host)
				probe_on_addresses(probe, NULL, 0, true, now_ms);
			else
				probe_on_mx(probe, &failed, now_ms);
			break;
		case PROBE_SLOT:
			probe_on_slot(probe, now_ms);
			break;
		case PROBE_CONNECT:
			/* only what was checked, whatever the shard said */
			if (todo.ip.family != 4 || memcmp(todo.ip.octets, "\xc0\x00\x02", 3) != 0)
				abort();
			probe_on_closed(probe, ROLLCALL__FAILURE__FAILURE_REFUSED, now_ms);
			break;
		case PROBE_REPORT:
			answers += todo.report->n_answers;
			break;
		case PROBE_DONE:
			return answers;
		default:
			abort(); /* nobody is connected */
		}
	}
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct probe_identity identity = { .lane_name = "lane-1",
							.worker = "w",
							.source_ip = "198.51.100.7",
							.family = 4,
							.helo = "probe.example.net",
							.mail_from = "verify@probe.example.net" };
	Rollcall__Shard *shard = rollcall__shard__unpack(NULL, size, data);
	struct probe *probe;
	size_t recipients;

	if (!shard)
		return 0;
	load();
	recipients = shard->n_recipients;
	probe = probe_new(&config, &identity, shard, 7, 1000000, 1700000000000);
	if (!probe) {
		rollcall__shard__free_unpacked(shard, NULL);
		return 0;
	}
	if (play(probe, 1000000) != recipients)
		abort();
	probe_free(probe);
	return 0;
}
