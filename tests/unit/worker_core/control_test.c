/* The random local part: new for each seed, the same for the same, and cut after the real ones. */
#include "worker/core/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "worker/core/smtp_command.h"

enum { SAMPLE_MAX = 100, ROUNDS = 20000 };

struct sample {
	Rollcall__Recipient pool[SAMPLE_MAX];
	Rollcall__Recipient *at[SAMPLE_MAX];
	size_t n;
};

static void take(struct sample *s, const char *const *locals)
{
	s->n = 0;
	for (; *locals; locals++) {
		Rollcall__Recipient *r = &s->pool[s->n];

		rollcall__recipient__init(r);
		r->local.data = (uint8_t *)*locals;
		r->local.len = strlen(*locals);
		s->at[s->n++] = r;
	}
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
		assert_in_range(len, CONTROL_LOCAL_LEAST, CONTROL_LOCAL_MAX - 1);
		assert_true(smtp_command_local_ok(a, len, false));
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Of n names from a space of 2^k, n^2 / 2^(k+1) pairs agree by chance: 2 pairs would be a space of
 * 2^31. */
static void other_seeds_other_names(void **state)
{
	static const char *const shortest[] = { "bob", "ann", NULL };
	enum { N = 100000 };
	char(*names)[CONTROL_LOCAL_MAX] = calloc(N, sizeof(*names));
	struct sample s;

	(void)state;
	assert_non_null(names);
	take(&s, shortest);
	for (int shorts = 0; shorts < 2; shorts++) {
		int same = 0;

		for (uint64_t i = 0; i < N; i++)
			control_local(i * 7919, shorts ? s.at : NULL, shorts ? s.n : 0, names[i]);
		qsort(names, N, sizeof(*names), by_text);
		for (size_t i = 1; i < N; i++)
			same += strcmp(names[i], names[i - 1]) == 0;
		print_message("%d of %d names twice\n", same, N);
		assert_in_range(same, 0, shorts ? 4 : 1);
	}
	free(names);
}

static void it_is_of_the_length_class_of_the_real_ones(void **state)
{
	static const char *const samples[][4] = {
		{ "ann", "bob", "cyd", NULL },
		{ "ann.miller", "j.smith", "lee.ray", NULL },
		{ "annabel.miller", "christopher", "robert.langley", NULL },
		{ "annabella.montgomery", "christopher.robinson-lee", "maximilian.oberhauser",
		  NULL },
	};
	struct sample s;

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
		bool has[CONTROL_LONG + 1] = { false };
		unsigned lengths[CONTROL_LOCAL_MAX] = { 0 }, different = 0;

		take(&s, samples[i]);
		for (size_t j = 0; j < s.n; j++)
			has[control_class_of(s.at[j]->local.len)] = true;
		for (uint64_t seed = 0; seed < ROUNDS; seed++) {
			char name[CONTROL_LOCAL_MAX];
			size_t len = control_local(seed, s.at, s.n, name);

			assert_true(has[control_class_of(len)]);
			lengths[len]++;
		}
		/* Not all of one length. */
		for (size_t len = 0; len < CONTROL_LOCAL_MAX; len++)
			different += lengths[len] > ROUNDS / 50;
		assert_in_range(different, 2, CONTROL_LOCAL_MAX);
	}
}

/* Separators, digits and capitals come in the proportion of the sample. */
static void it_is_of_the_alphabet_of_the_real_ones(void **state)
{
	static const char *const mixed[] = { "ann.lee",	 "bob.ray",  "cyd.may", "dan.fox",
					     "eve.hall", "fay.long", "gus_orr", "hal_poe",
					     "ian1985",	 "Jo.Kent",  NULL };
	static const char *const letters[] = { "annabel", "robert", NULL };
	unsigned dots = 0, lines = 0, digits = 0, capitals = 0;
	char name[CONTROL_LOCAL_MAX];
	struct sample s;

	(void)state;
	take(&s, mixed);
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		control_local(seed, s.at, s.n, name);
		assert_null(strpbrk(name, "-+"));
		dots += strchr(name, '.') != NULL;
		lines += strchr(name, '_') != NULL;
		digits += strpbrk(name, "0123456789") != NULL;
		capitals += isupper((unsigned char)name[0]) != 0;
	}
	/* 70, 20, 10 and 10 %. */
	assert_in_range(dots, ROUNDS * 67 / 100, ROUNDS * 73 / 100);
	assert_in_range(lines, ROUNDS * 17 / 100, ROUNDS * 23 / 100);
	assert_in_range(digits, ROUNDS * 8 / 100, ROUNDS * 12 / 100);
	assert_in_range(capitals, ROUNDS * 8 / 100, ROUNDS * 12 / 100);

	take(&s, letters);
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		size_t len = control_local(seed, s.at, s.n, name);

		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz"), len);
	}
}

/* Like a language, not like a key: vowels between a third and a half, every usual letter seen, none
 * in more than a sixth of the places, and never five consonants in a row. */
static void its_letters_are_those_of_names(void **state)
{
	unsigned count[26] = { 0 }, all = 0, vowels = 0;
	char name[CONTROL_LOCAL_MAX];

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		unsigned row = 0;

		control_local(seed, NULL, 0, name);
		for (const char *c = name; *c; c++) {
			bool soft = strchr("aeiouy", *c) != NULL;

			if (*c < 'a' || *c > 'z') {
				row = 0;
				continue;
			}
			count[*c - 'a']++;
			all++;
			vowels += soft;
			row = soft ? 0 : row + 1;
			assert_in_range(row, 0, 4);
		}
	}
	assert_in_range(vowels, all / 3, all / 2 + all / 20);
	for (int i = 0; i < 26; i++) {
		assert_true(count[i] > 0 || i == 'q' - 'a');
		assert_true(count[i] < all / 6);
	}
}

static void it_never_says_what_it_is_for(void **state)
{
	static const char *const words[] = { "test", "prob", "verif", "check", "fake",
					     "spam", "trap", "null",  "admin", "abuse",
					     "root", "mail", "info",  "user",  "rollcall" };
	static const char *const samples[] = { "test.user", "probe1", "check-mail", NULL };
	char name[CONTROL_LOCAL_MAX];
	struct sample s;

	(void)state;
	take(&s, samples);
	for (uint64_t seed = 0; seed < ROUNDS * 5; seed++) {
		control_local(seed, s.at, seed % 2 ? s.n : 0, name);
		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
			assert_null(strcasestr(name, words[i]));
	}
}

/* What no person would be called is no model; where there is no other, the usual form is taken. */
static void odd_names_are_no_model(void **state)
{
	static const char *const odd[] = { "\"a b\"",	 "ann+tag",
					   "12345678",	 "m\xc3\xbcller",
					   ".ann",	 "ann.",
					   "a..b",	 "a.b.c.d.e",
					   "a1b2c3d4e5", "averyveryverylongnamewithoutanyendatall",
					   NULL };
	char name[CONTROL_LOCAL_MAX];
	struct sample s;

	(void)state;
	take(&s, odd);
	for (uint64_t seed = 0; seed < 1000; seed++) {
		size_t len = control_local(seed, s.at, s.n, name);

		assert_int_equal(control_class_of(len), CONTROL_MEDIUM);
		assert_non_null(strchr(name, '.'));
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz."), len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_the_same_name),
		cmocka_unit_test(other_seeds_other_names),
		cmocka_unit_test(it_is_of_the_length_class_of_the_real_ones),
		cmocka_unit_test(it_is_of_the_alphabet_of_the_real_ones),
		cmocka_unit_test(its_letters_are_those_of_names),
		cmocka_unit_test(it_never_says_what_it_is_for),
		cmocka_unit_test(odd_names_are_no_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
