/* fitness: bounds and what no real server shows. What each fault says stands in
 * tests/e2e/test_doctor.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/fitness/fitness.h"
#include "worker/core/ip.h"

static const struct fitness_lane lane = { .public_address = "192.0.2.7",
					  .bind_address = "10.0.0.7",
					  .helo = "probe.example.net",
					  .mail_from = "verify@sender.example.net" };

static bool allow(const void *context, const struct probe_ip *ip, const char **ret_why)
{
	(void)context;
	(void)ip;
	*ret_why = "";
	return true;
}

static void all_that_is_asked_is_bounded(void **state)
{
	struct fitness_settings settings = { .port = 25, .allowed = allow };
	struct fitness *fitness;
	const struct fitness_question *question;
	size_t asked = 0;

	(void)state;
	settings.dnsbl_n = FITNESS_DNSBLS_MAX;
	for (size_t i = 0; i < settings.dnsbl_n; i++) {
		static char zones[FITNESS_DNSBLS_MAX][16];

		snprintf(zones[i], sizeof(zones[i]), "bl%zu.test", i);
		settings.dnsbls[i] = zones[i];
	}
	fitness = fitness_new(&lane, &settings);
	/* Whoever is asked leads on to sixteen others. */
	while ((question = fitness_ask(fitness)) != NULL) {
		struct dns_answer answer = { .state = DNS_FOUND };

		asked++;
		assert_true(asked <= FITNESS_QUESTIONS_MAX);
		assert_int_equal(question->kind, FITNESS_LOOK_UP);
		answer.txt_n = 1;
		answer.txt_len =
		    (size_t)snprintf(answer.txt, sizeof(answer.txt),
				     "v=spf1 mx:a%zu.test mx:b%zu.test -all", asked, asked) +
		    1;
		for (size_t i = 0; i < 10; i++)
			snprintf(answer.mx[answer.mx_n++].host, DNS_NAME_MAX, "h%zu-%zu.test", i,
				 asked);
		if (question->type == DNS_A)
			answer.state = DNS_NO_NAME;
		fitness_looked_up(fitness, question, &answer);
	}
	assert_true(fitness_done(fitness));
	assert_int_equal(fitness_verdict(fitness), FITNESS_FAIL);
	fitness_free(fitness);
}

/* A v6 lane is looked up as RFC 3596 has it, and asks for AAAA. */
static void names_of_both_families(void **state)
{
	struct fitness_lane six = lane;
	struct fitness_settings settings = { .port = 25, .target = "[2001:db8::25]:2525" };
	const struct fitness_question *question;
	struct fitness *fitness;
	bool reverse = false, greeting = false;

	(void)state;
	six.public_address = "2001:db8::7";
	fitness = fitness_new(&six, &settings);
	while ((question = fitness_ask(fitness)) != NULL) {
		char text[IP_TEXT_MAX];

		reverse = reverse ||
			  strcmp(question->name,
				 "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
				 ".ip6.arpa") == 0;
		if (question->kind != FITNESS_GREETING)
			continue;
		greeting = true;
		assert_string_equal(question->name, "2001:db8::25");
		assert_int_equal(question->port, 2525);
		assert_int_equal(question->ip_n, 1);
		assert_string_equal(ip_format(&question->ip[0], text), "2001:db8::25");
	}
	assert_true(reverse && greeting);
	assert_false(fitness_done(fitness));
	fitness_free(fitness);
}

/* A resolver that fails makes nobody unfit: it is unsure, which is not fit either. */
static void a_silent_resolver_leaves_it_unsure(void **state)
{
	struct fitness_settings settings = { .port = 25, .allowed = allow };
	struct fitness *fitness = fitness_new(&lane, &settings);
	const struct fitness_question *question;

	(void)state;
	while ((question = fitness_ask(fitness)) != NULL) {
		struct dns_answer answer = { .state = DNS_TIMEOUT };

		fitness_looked_up(fitness, question, &answer);
	}
	assert_true(fitness_done(fitness));
	assert_int_equal(fitness_verdict(fitness), FITNESS_UNSURE);
	assert_non_null(strstr(fitness_finding(fitness, FITNESS_REVERSE)->text, "ROLLCALL_DNS"));
	fitness_free(fitness);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_is_asked_is_bounded),
		cmocka_unit_test(names_of_both_families),
		cmocka_unit_test(a_silent_resolver_leaves_it_unsure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
