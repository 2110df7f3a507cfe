/*
 * seal - what stands between an envelope and the octets of a Kafka message.
 *
 * A message is one framing octet and a body. 0x01: the body is plain. 0x02: 12 octets of nonce, the
 * cipher text, 16 octets of tag: AES-256-GCM under a key that HKDF-SHA256 makes of the
 * ROLLCALL_MESSAGE_KEY text, with the topic's name as associated data, so that a message cannot be
 * moved to another topic. With a key, only sealed messages are taken; without one, only plain ones.
 * Replays within a topic are for epochs, shard ids and part numbers to see.
 *
 * Owner: whoever made it. Not thread-safe: one for each thread. No logging.
 */
#ifndef RC_KAFKA_SEAL_H
#define RC_KAFKA_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/status.h"

enum {
	RC_MESSAGE_KEY_MIN = 16, /* characters of ROLLCALL_MESSAGE_KEY */
	RC_SEAL_OVERHEAD = 1 + 12 + 16,
	RC_SEAL_MAX = 983040 /* octets of a framed message, either way: below Kafka's usual 1 MB
				with its overhead */
};

struct rc_seal;

/* `message_key`: NULL or "" for plain framing. RC_INVALID: shorter than RC_MESSAGE_KEY_MIN. */
enum rc_status rc_seal_new(const char *message_key, struct rc_seal **ret_seal,
			   struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void rc_seal_free(struct rc_seal *seal);
bool rc_seal_has_key(const struct rc_seal *seal);

/* Appends the framed message to `out`. RC_LIMIT: over RC_SEAL_MAX. On failure `out` is as it was,
 * but for `failed`. */
enum rc_status rc_seal_wrap(struct rc_seal *seal, const char *topic, const void *plain, size_t len,
			    struct rc_buf *out, struct rc_error *err) RC_MUST_CHECK;

/*
 * Appends the plain octets to `out`. RC_INVALID: forged, cut short, of another topic, under another
 * key, of an unknown framing, plain where a key is set, or sealed where none is. `out` is then as
 * it was.
 */
enum rc_status rc_seal_open(struct rc_seal *seal, const char *topic, const void *data, size_t len,
			    struct rc_buf *out, struct rc_error *err) RC_MUST_CHECK;

#endif
