/* coordinator/core/traps.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/core/traps.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static enum rc_status load(const char *text, struct traps **ret_traps, struct rc_error *err)
{
	char path[] = "/tmp/traps_test.XXXXXX";
	int fd = mkstemp(path);
	enum rc_status status;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	status = traps_load(path, ret_traps, err);
	unlink(path);
	return status;
}

static void test_entries(void **state)
{
	static const struct {
		enum trap_kind kind;
		const char *text;
	} expected[] = { { TRAP_ADDRESS, "ann@example.org" },
			 { TRAP_DOMAIN, "example.net" },
			 { TRAP_DOMAIN, "xn--bcher-kva.example" },
			 { TRAP_SHA256, HASH } };
	struct traps *traps;
	struct rc_error err;
	enum trap_kind kind;

	(void)state;
	if (load("# own\nAnn@Example.ORG\n\n@example.net\nb\xc3\xbc"
		 "cher.example\nsha256:" HASH "\n",
		 &traps, &err))
		fail_msg("%s", err.text);
	assert_int_equal(traps_count(traps), 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(traps_at(traps, i, &kind), expected[i].text);
		assert_int_equal(kind, expected[i].kind);
	}
	traps_free(traps);
	/* as it is shipped: none */
	if (traps_load(SOURCE_DIR "/data", &traps, &err))
		fail_msg("%s", err.text);
	assert_int_equal(traps_count(traps), 0);
	traps_free(traps);
	traps_free(NULL);
}

static void test_bad_entries(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "ok.example\nann@@example.org\n", ":2: \"ann@@example.org\" is no address" },
		{ "nodot\n", ":1: \"nodot\" is no address, domain or sha256" },
		{ "sha256:0123\n", ":1: sha256: is followed by 64" },
		{ "sha256:ABCDEF6789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
		  ":1: sha256:" },
		{ "@\n", ":1: \"\" is no address" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct traps *traps = NULL;
		struct rc_error err = { 0 };

		assert_int_equal(load(bad[i].text, &traps, &err), RC_INVALID);
		assert_null(traps);
		if (!strstr(err.text, bad[i].error))
			fail_msg("says %s, not %s", err.text, bad[i].error);
	}
	{
		struct traps *traps = NULL;
		struct rc_error err = { 0 };

		assert_int_equal(traps_load("/nonexistent/traps", &traps, &err), RC_NOT_FOUND);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_bad_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
