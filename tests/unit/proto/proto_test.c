/* What a newer program wrote survives an older one: fields it does not know are kept and written
 * again. */
#include "rollcall.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Field 2000, a text; field 2001, a number: nobody's today. */
static const uint8_t unknown[] = { 0x82, 0x7d, 0x05, 'f', 'i', 'r', 's', 't', 0x88, 0x7d, 0x2a };

static size_t packed_shard(uint8_t *out, size_t room)
{
	Rollcall__Shard shard = ROLLCALL__SHARD__INIT;
	Rollcall__Recipient recipient = ROLLCALL__RECIPIENT__INIT;
	Rollcall__Recipient *recipients[] = { &recipient };
	uint8_t local[] = "ann";
	size_t len;

	recipient.uid = 9;
	recipient.local = (ProtobufCBinaryData){ 3, local };
	shard.id = 7;
	shard.epoch = 3;
	shard.domain = (char *)(uintptr_t) "example.test";
	shard.n_recipients = 1;
	shard.recipients = recipients;
	len = rollcall__shard__get_packed_size(&shard);
	assert_true(len <= room);
	return rollcall__shard__pack(&shard, out);
}

static void unknown_fields_survive_reading_and_writing(void **state)
{
	uint8_t octets[512], again[512];
	size_t len = packed_shard(octets, sizeof(octets) - sizeof(unknown));
	Rollcall__Shard *shard;

	(void)state;
	memcpy(octets + len, unknown, sizeof(unknown));
	len += sizeof(unknown);
	shard = rollcall__shard__unpack(NULL, len, octets);
	assert_non_null(shard);
	assert_int_equal(shard->id, 7);
	assert_int_equal(shard->base.n_unknown_fields, 2);
	assert_int_equal(rollcall__shard__get_packed_size(shard), len);
	assert_int_equal(rollcall__shard__pack(shard, again), len);
	assert_memory_equal(again, octets, len);
	rollcall__shard__free_unpacked(shard, NULL);
}

/* The envelope around it is older too: what is unknown deep within is not lost. */
static void unknown_fields_survive_within_an_envelope(void **state)
{
	uint8_t octets[512] = { 0x08, 0x01, 0x12 }, again[512];
	size_t len = packed_shard(octets + 4, 100), total;
	Rollcall__Envelope *envelope;

	(void)state;
	memcpy(octets + 4 + len, unknown, sizeof(unknown));
	len += sizeof(unknown);
	assert_true(len < 128);
	octets[3] = (uint8_t)len;
	total = 4 + len;
	envelope = rollcall__envelope__unpack(NULL, total, octets);
	assert_non_null(envelope);
	assert_int_equal(envelope->body_case, ROLLCALL__ENVELOPE__BODY_SHARD);
	assert_int_equal(rollcall__envelope__pack(envelope, again), total);
	assert_memory_equal(again, octets, total);
	rollcall__envelope__free_unpacked(envelope, NULL);
}

static void values_of_enums_that_come_later_are_kept_as_numbers(void **state)
{
	const uint8_t octets[] = { 0x08, 0x07, 0x28, 0x63 }; /* id 7, kind 99 */
	uint8_t again[8];
	Rollcall__Shard *shard = rollcall__shard__unpack(NULL, sizeof(octets), octets);

	(void)state;
	assert_non_null(shard);
	assert_int_equal((int)shard->kind, 99);
	assert_int_equal(rollcall__shard__pack(shard, again), sizeof(octets));
	assert_memory_equal(again, octets, sizeof(octets));
	rollcall__shard__free_unpacked(shard, NULL);
}

static void what_is_absent_reads_as_nothing(void **state)
{
	const uint8_t none = 0;
	Rollcall__Shard *shard = rollcall__shard__unpack(NULL, 0, &none);
	Rollcall__Answer *answer = rollcall__answer__unpack(NULL, 0, &none);

	(void)state;
	assert_non_null(shard);
	assert_int_equal(shard->life_ms, 0);
	assert_int_equal(shard->kind, ROLLCALL__SHARD_KIND__SHARD_KIND_UNSET);
	assert_string_equal(shard->mx_address, "");
	assert_null(shard->budget);
	assert_int_equal(shard->n_recipients, 0);
	assert_non_null(answer);
	assert_null(answer->reply);
	assert_int_equal(answer->failure, ROLLCALL__FAILURE__FAILURE_NONE);
	rollcall__answer__free_unpacked(answer, NULL);
	rollcall__shard__free_unpacked(shard, NULL);
}

/* The numbers are the contract: messages and reports of last year are read by them. */
static void field_numbers_do_not_move(void **state)
{
	static const struct {
		const ProtobufCMessageDescriptor *message;
		const char *name;
		unsigned number;
	} fields[] = {
		{ &rollcall__envelope__descriptor, "version", 1 },
		{ &rollcall__envelope__descriptor, "shard", 2 },
		{ &rollcall__envelope__descriptor, "report", 3 },
		{ &rollcall__envelope__descriptor, "hello", 4 },
		{ &rollcall__envelope__descriptor, "grant", 5 },
		{ &rollcall__shard__descriptor, "id", 1 },
		{ &rollcall__shard__descriptor, "attempt", 2 },
		{ &rollcall__shard__descriptor, "epoch", 3 },
		{ &rollcall__shard__descriptor, "kind", 5 },
		{ &rollcall__shard__descriptor, "domains", 10 },
		{ &rollcall__shard__descriptor, "recipients", 21 },
		{ &rollcall__shard__descriptor, "mx_address", 25 },
		{ &rollcall__recipient__descriptor, "uid", 1 },
		{ &rollcall__recipient__descriptor, "local", 2 },
		{ &rollcall__report__descriptor, "shard", 1 },
		{ &rollcall__report__descriptor, "part", 5 },
		{ &rollcall__report__descriptor, "final", 6 },
		{ &rollcall__report__descriptor, "answers", 21 },
		{ &rollcall__report__descriptor, "controls", 22 },
		{ &rollcall__report__descriptor, "resolutions", 23 },
		{ &rollcall__answer__descriptor, "uid", 1 },
		{ &rollcall__answer__descriptor, "reply", 4 },
		{ &rollcall__answer__descriptor, "failure", 5 },
		{ &rollcall__reply__descriptor, "code", 1 },
		{ &rollcall__reply__descriptor, "text", 3 },
		{ &rollcall__hello__descriptor, "worker", 1 },
		{ &rollcall__hello__descriptor, "lanes", 5 },
		{ &rollcall__lane_offer__descriptor, "epoch", 8 },
		{ &rollcall__lane_grant__descriptor, "epoch", 3 },
		{ &rollcall__lane_grant__descriptor, "from_offset", 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		const ProtobufCFieldDescriptor *field =
		    protobuf_c_message_descriptor_get_field_by_name(fields[i].message,
								    fields[i].name);

		if (!field || field->id != fields[i].number)
			fail_msg("%s.%s is no longer number %u", fields[i].message->short_name,
				 fields[i].name, fields[i].number);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_fields_survive_reading_and_writing),
		cmocka_unit_test(unknown_fields_survive_within_an_envelope),
		cmocka_unit_test(values_of_enums_that_come_later_are_kept_as_numbers),
		cmocka_unit_test(what_is_absent_reads_as_nothing),
		cmocka_unit_test(field_numbers_do_not_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
