/* A score file of somebody's own: refused with its line, or every score is a percentage. */
#include <stdlib.h>

#include "coordinator/core/scores.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scores *scores = NULL;
	struct rc_error err = { 0 };

	if (scores_parse("scores", (const char *)data, size, NULL, &scores, &err) != RC_OK) {
		if (!err.text[0] || scores)
			abort();
		return 0;
	}
	scores_free(scores);
	return 0;
}
