/* Envelopes survive the way there and back; what is no envelope of ours is refused and costs
 * little. */
#include "common/kafka/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct rc_seal *plain_seal(void)
{
	struct rc_seal *seal = NULL;

	assert_int_equal(rc_seal_new(NULL, &seal, NULL), RC_OK);
	return seal;
}

/* Plain framing around octets of the test's choice. */
static enum rc_status unpack_octets(const void *octets, size_t len, Rollcall__Envelope **ret,
				    struct rc_error *err)
{
	struct rc_seal *seal = plain_seal();
	struct rc_buf message;
	enum rc_status status;

	rc_buf_init(&message, 0);
	assert_int_equal(rc_seal_wrap(seal, "test", octets, len, &message, NULL), RC_OK);
	status = rc_envelope_unpack(seal, "test", message.data, message.len, ret, err);
	rc_buf_done(&message);
	rc_seal_free(seal);
	return status;
}

static void a_shard_comes_back_as_it_was(void **state)
{
	static uint8_t local[] = "j\xc3\xb6rg";
	Rollcall__Recipient recipient = ROLLCALL__RECIPIENT__INIT;
	Rollcall__Recipient *recipients[] = { &recipient };
	Rollcall__Shard shard = ROLLCALL__SHARD__INIT;
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT, *back = NULL;
	struct rc_seal *seal = NULL;
	struct rc_buf message;

	(void)state;
	recipient.uid = 1ULL << 60;
	recipient.local = (ProtobufCBinaryData){ sizeof(local) - 1, local };
	recipient.smtputf8 = true;
	shard.id = 7;
	shard.kind = ROLLCALL__SHARD_KIND__SHARD_KIND_PROBE;
	shard.domain = (char *)(uintptr_t) "example.test";
	shard.n_recipients = 1;
	shard.recipients = recipients;
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_SHARD;
	envelope.shard = &shard;

	assert_int_equal(rc_seal_new("0123456789abcdef", &seal, NULL), RC_OK);
	rc_buf_init(&message, 0);
	assert_int_equal(rc_envelope_pack(seal, "t", &envelope, &message, NULL), RC_OK);
	assert_int_equal(rc_envelope_unpack(seal, "t", message.data, message.len, &back, NULL),
			 RC_OK);
	assert_int_equal(back->version, 1);
	assert_int_equal(back->body_case, ROLLCALL__ENVELOPE__BODY_SHARD);
	assert_int_equal(back->shard->id, 7);
	assert_string_equal(back->shard->domain, "example.test");
	assert_int_equal(back->shard->n_recipients, 1);
	assert_true(back->shard->recipients[0]->uid == 1ULL << 60);
	assert_true(back->shard->recipients[0]->smtputf8);
	assert_memory_equal(back->shard->recipients[0]->local.data, local, sizeof(local) - 1);
	rc_envelope_free(back);
	rc_buf_done(&message);
	rc_seal_free(seal);
	rc_envelope_free(NULL);
}

static void versions_are_checked(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
		const char *says; /* NULL: taken */
	} cases[] = {
		{ "", 0, "names no version" },
		{ "\x08\x00", 2, "names no version" },
		{ "\x08\x01", 2, NULL },
		{ "\x08\x02", 2, "of version 2 and this program knows up to 1" },
		{ "\x08\xff\xff\xff\xff\x0f", 6, "of version 4294967295" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		Rollcall__Envelope *back = NULL;
		struct rc_error err = { 0 };
		enum rc_status status = unpack_octets(cases[i].octets, cases[i].len, &back, &err);

		assert_int_equal(status, cases[i].says ? RC_INVALID : RC_OK);
		if (cases[i].says)
			assert_non_null(strstr(err.text, cases[i].says));
		else
			assert_int_equal(back->body_case, ROLLCALL__ENVELOPE__BODY__NOT_SET);
		rc_envelope_free(back);
	}
}

static void rubbish_is_refused(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
	} cases[] = {
		{ "\xff\xff\xff\xff", 4 }, /* a tag without end */
		{ "\x08\x01\x12\x7f", 4 }, /* a shard of 127 octets that are not there */
		{ "\x08\x01\x12\xff\xff\xff\xff\x0f", 8 },
		{ "\x08\x01\x12\x02\x08\x80", 6 }, /* a varint cut off within the shard */
		{ "not protobuf at all", 19 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		Rollcall__Envelope *back = NULL;

		assert_int_equal(unpack_octets(cases[i].octets, cases[i].len, &back, NULL),
				 RC_INVALID);
		assert_null(back);
	}
}

/* 450,000 empty answers in 900 kB: two octets each on the wire, a hundred in memory. */
static void a_bomb_costs_no_more_than_its_cap(void **state)
{
	enum { ANSWERS = 450000 };
	unsigned char *octets = malloc(ANSWERS * 3 + 16);
	size_t len = 0, body = 0;
	Rollcall__Envelope *back = NULL;

	(void)state;
	assert_non_null(octets);
	octets[len++] = 0x08;
	octets[len++] = 0x01;
	octets[len++] = 0x1a; /* report */
	body = (size_t)(RC_SEAL_MAX - 64) / 3 * 3;
	octets[len++] = (unsigned char)(0x80 | (body & 0x7f));
	octets[len++] = (unsigned char)(0x80 | (body >> 7 & 0x7f));
	octets[len++] = (unsigned char)(body >> 14);
	for (size_t i = 0; i < body / 3; i++) {
		octets[len++] = 0xaa; /* answers = 21 */
		octets[len++] = 0x01;
		octets[len++] = 0x00;
	}
	assert_int_equal(unpack_octets(octets, len, &back, NULL), RC_INVALID);
	assert_null(back);
	free(octets);
}

static void a_large_report_is_told_to_be_split(void **state)
{
	Rollcall__Report report = ROLLCALL__REPORT__INIT;
	Rollcall__Envelope envelope = ROLLCALL__ENVELOPE__INIT;
	char *name = malloc(RC_SEAL_MAX + 1);
	struct rc_seal *seal = plain_seal();
	struct rc_buf message;

	(void)state;
	assert_non_null(name);
	memset(name, 'w', RC_SEAL_MAX);
	name[RC_SEAL_MAX] = '\0';
	report.worker = name;
	envelope.body_case = ROLLCALL__ENVELOPE__BODY_REPORT;
	envelope.report = &report;
	rc_buf_init(&message, 0);
	assert_int_equal(rc_envelope_pack(seal, "t", &envelope, &message, NULL), RC_LIMIT);
	assert_int_equal(message.len, 0);
	rc_buf_done(&message);
	rc_seal_free(seal);
	free(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shard_comes_back_as_it_was),
		cmocka_unit_test(versions_are_checked),
		cmocka_unit_test(rubbish_is_refused),
		cmocka_unit_test(a_bomb_costs_no_more_than_its_cap),
		cmocka_unit_test(a_large_report_is_told_to_be_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
