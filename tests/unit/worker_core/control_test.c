/* The random local part: new for each seed, the same for the same, and like a person's. */
#include "worker/core/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "worker/core/smtp_command.h"

static Rollcall__Recipient *recipient(const char *local)
{
	static Rollcall__Recipient pool[8];
	static size_t at;
	Rollcall__Recipient *r = &pool[at++ % 8];

	rollcall__recipient__init(r);
	r->local.data = (uint8_t *)local;
	r->local.len = strlen(local);
	return r;
}

static void the_same_seed_the_same_name(void **state)
{
	char a[CONTROL_LOCAL_MAX], b[CONTROL_LOCAL_MAX];

	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		size_t len = control_local(seed, NULL, 0, a);

		control_local(seed, NULL, 0, b);
		assert_string_equal(a, b);
		assert_int_equal(len, strlen(a));
		assert_in_range(len, 8, CONTROL_LOCAL_MAX - 1);
		assert_true(smtp_command_local_ok(a, len, false));
		assert_null(strstr(a, "test"));
		assert_null(strstr(a, "probe"));
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void other_seeds_other_names(void **state)
{
	enum { N = 100000 };
	char(*names)[CONTROL_LOCAL_MAX] = calloc(N, sizeof(*names));

	(void)state;
	assert_non_null(names);
	for (uint64_t i = 0; i < N; i++)
		control_local(i, NULL, 0, names[i]);
	qsort(names, N, sizeof(*names), by_text);
	for (size_t i = 1; i < N; i++)
		assert_string_not_equal(names[i], names[i - 1]);
	free(names);
}

static void it_looks_like_the_others(void **state)
{
	Rollcall__Recipient *dotted[] = { recipient("ann.lee"), recipient("bob.ray"),
					  recipient("cyd") };
	Rollcall__Recipient *numbered[] = { recipient("ann12"), recipient("bob99") };
	char name[CONTROL_LOCAL_MAX];

	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		control_local(seed, dotted, 3, name);
		assert_non_null(strchr(name, '.'));
		assert_null(strpbrk(name, "0123456789"));
		control_local(seed, numbered, 2, name);
		assert_null(strchr(name, '.'));
		assert_non_null(strpbrk(name, "0123456789"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_the_same_name),
		cmocka_unit_test(other_seeds_other_names),
		cmocka_unit_test(it_looks_like_the_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
