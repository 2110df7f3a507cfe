/* See envelope.h. */
#include "common/kafka/envelope.h"

#include <stdlib.h>

static void *budget_alloc(void *data, size_t size)
{
	size_t *left = data;

	if (size > *left)
		return NULL;
	*left -= size;
	return malloc(size);
}

/* What is freed does not come back into the budget: decoding frees only when it gives up. */
static void budget_free(void *data, void *memory)
{
	(void)data;
	free(memory);
}

enum rc_status rc_envelope_pack(struct rc_seal *seal, const char *topic,
				const Rollcall__Envelope *envelope, struct rc_buf *out,
				struct rc_error *err)
{
	Rollcall__Envelope versioned = *envelope;
	enum rc_status status;
	unsigned char *plain;
	size_t len;

	versioned.version = RC_ENVELOPE_VERSION;
	len = rollcall__envelope__get_packed_size(&versioned);
	if (len > RC_SEAL_MAX - RC_SEAL_OVERHEAD)
		return rc_error_set(err, RC_LIMIT,
				    "an envelope of %zu octets is over the limit of %d", len,
				    RC_SEAL_MAX - RC_SEAL_OVERHEAD);
	plain = malloc(len ? len : 1);
	if (!plain)
		return rc_error_set(err, RC_NO_MEMORY, "no room for an envelope of %zu octets",
				    len);
	rollcall__envelope__pack(&versioned, plain);
	status = rc_seal_wrap(seal, topic, plain, len, out, err);
	free(plain);
	return status;
}

enum rc_status rc_envelope_unpack(struct rc_seal *seal, const char *topic, const void *data,
				  size_t len, Rollcall__Envelope **ret_envelope,
				  struct rc_error *err)
{
	size_t left = RC_ENVELOPE_MEMORY_MAX;
	ProtobufCAllocator allocator = { .alloc = budget_alloc,
					 .free = budget_free,
					 .allocator_data = &left };
	Rollcall__Envelope *envelope;
	enum rc_status status;
	struct rc_buf plain;

	rc_buf_init(&plain, RC_SEAL_MAX);
	status = rc_seal_open(seal, topic, data, len, &plain, err);
	if (status != RC_OK) {
		rc_buf_done(&plain);
		return status;
	}
	envelope = rollcall__envelope__unpack(&allocator, plain.len, (const uint8_t *)plain.data);
	rc_buf_done(&plain);
	if (!envelope)
		return rc_error_set(err, RC_INVALID,
				    "the message is no envelope that can be decoded");
	if (envelope->version == 0 || envelope->version > RC_ENVELOPE_VERSION) {
		unsigned version = envelope->version;

		rc_envelope_free(envelope);
		if (version == 0)
			return rc_error_set(err, RC_INVALID, "the envelope names no version");
		return rc_error_set(err, RC_INVALID,
				    "the envelope is of version %u and this program knows up to "
				    "%d; update this program first",
				    version, RC_ENVELOPE_VERSION);
	}
	*ret_envelope = envelope;
	return RC_OK;
}

void rc_envelope_free(Rollcall__Envelope *envelope)
{
	/* budget_alloc is malloc, so the default allocator may free it. */
	if (envelope)
		rollcall__envelope__free_unpacked(envelope, NULL);
}
