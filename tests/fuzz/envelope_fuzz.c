/* What stands in a Kafka message: plain or sealed, a shard, a report, or rubbish. */
#include <stdlib.h>

#include "common/kafka/envelope.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rc_seal *plain, *sealed;
	struct rc_error err;

	if (!plain && (rc_seal_new(NULL, &plain, &err) != RC_OK || rc_seal_new("0123456789abcdef", &sealed, &err) != RC_OK))
		abort();
	for (int i = 0; i < 2; i++) {
		Rollcall__Envelope *envelope = NULL;
		struct rc_seal *seal = i ? sealed : plain;

		if (rc_envelope_unpack(seal, "rollcall.shards", data, size, &envelope, &err) == RC_OK) {
			struct rc_buf again;

			rc_buf_init(&again, 0);
			if (rc_envelope_pack(seal, "rollcall.shards", envelope, &again, &err) != RC_OK && err.status != RC_LIMIT)
				abort();
			rc_buf_done(&again);
			rc_envelope_free(envelope);
		}
	}
	return 0;
}
