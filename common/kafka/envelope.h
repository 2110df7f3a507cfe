/*
 * envelope - protobuf Envelope to framed octets and back: what goes into Kafka and what comes out.
 *
 * Everything that comes out is capped: the message's octets, and the memory that decoding may take
 * (a stranger with write access could say "a hundred thousand empty answers" in little room).
 * Fields this program does not know are kept.
 */
#ifndef RC_KAFKA_ENVELOPE_H
#define RC_KAFKA_ENVELOPE_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/status.h"
#include "common/kafka/seal.h"
#include "rollcall.pb-c.h"

enum {
	RC_ENVELOPE_VERSION = 1,
	RC_ENVELOPE_MEMORY_MAX = 16 * 1024 * 1024 /* octets that one decoded envelope may take */
};

/* Appends to `out`; the version is filled in. RC_LIMIT: over RC_SEAL_MAX: split it. */
enum rc_status rc_envelope_pack(struct rc_seal *seal, const char *topic,
				const Rollcall__Envelope *envelope, struct rc_buf *out,
				struct rc_error *err) RC_MUST_CHECK;

/*
 * RC_INVALID: not ours, damaged, or of a version above RC_ENVELOPE_VERSION; the error is for the
 * log. A body that this version does not know comes as ROLLCALL__ENVELOPE__BODY__NOT_SET: skip it.
 * Free with rc_envelope_free.
 */
enum rc_status rc_envelope_unpack(struct rc_seal *seal, const char *topic, const void *data,
				  size_t len, Rollcall__Envelope **ret_envelope,
				  struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void rc_envelope_free(Rollcall__Envelope *envelope);

#endif
