/* A report as it may come from the broker: read as evidence, judged, and told to a person. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/core/evidence.h"
#include "coordinator/http/transcript.h"
#include "rollcall.pb-c.h"
#include "tests/fuzz/fuzz.h"

static struct rc_rules *rules;

static void judge(const Rollcall__Report *report)
{
	struct evidence_domain domain;

	evidence_domain(rules, NULL, report, &domain);
	for (size_t i = 0; i < report->n_answers; i++) {
		struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .attempts_max = 4 };
		struct verdict verdict;
		unsigned code = report->answers[i]->reply ? report->answers[i]->reply->code : 0;

		evidence_fill(rules, report, &domain, report->answers[i], &in);
		verdict_row(&in, NULL, &verdict);
		/* a 4xx never makes an address invalid */
		if (code >= 400 && code < 500 && verdict.final &&
		    rc_reason_status(verdict.reason) == RC_RESULT_INVALID &&
		    report->answers[i]->failure == ROLLCALL__FAILURE__FAILURE_NONE)
			abort();
	}
}

static void tell(const uint8_t *data, size_t size, int64_t uid)
{
	struct results_part part = { .body = data, .len = size };
	struct results_detail detail = {
		.uid = uid, .local = "ann", .domain = "d.test", .part = &part, .parts = 1
	};
	json_t *attempts = transcript_attempts(&detail, rules);
	char *text = json_dumps(attempts, JSON_COMPACT);

	if (!attempts || !text)
		abort();
	free(text);
	json_decref(attempts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Rollcall__Report *report = rollcall__report__unpack(NULL, size, data);
	struct rc_error err;

	if (!report)
		return 0;
	if (!rules && rc_rules_load(SOURCE_DIR "/data", &rules, &err) != RC_OK)
		abort();
	judge(report);
	for (size_t i = 0; i < report->n_answers && i < 4; i++)
		tell(data, size, (int64_t)report->answers[i]->uid);
	rollcall__report__free_unpacked(report, NULL);
	return 0;
}
