/* coordinator/core/evidence.h: a report's answers and controls, as the verdict sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/evidence.h"

static struct rc_rules *rules;

static int load(void **state)
{
	struct rc_error err;

	(void)state;
	return rc_rules_load(SOURCE_DIR "/data", &rules, &err) ? -1 : 0;
}

static int unload(void **state)
{
	(void)state;
	rc_rules_free(rules);
	return 0;
}

static void set_reply(Rollcall__Reply *reply, uint32_t code, const char *enhanced, const char *text)
{
	rollcall__reply__init(reply);
	reply->code = code;
	reply->enhanced = (char *)enhanced;
	reply->text.data = (uint8_t *)text;
	reply->text.len = strlen(text);
}

struct world {
	Rollcall__Report report;
	Rollcall__Answer answers[4], *answer_list[4];
	Rollcall__Control controls[4], *control_list[4];
	Rollcall__Reply replies[8];
	Rollcall__Session session, backup, *session_list[2];
	size_t n;
};

static void start(struct world *w)
{
	memset(w, 0, sizeof(*w));
	rollcall__report__init(&w->report);
	rollcall__session__init(&w->session);
	w->session.mx_host = (char *)"mx.test";
	w->session.mx_address = (char *)"192.0.2.1";
	w->session_list[0] = &w->session;
	w->report.sessions = w->session_list;
	w->report.n_sessions = 1;
	w->report.answers = w->answer_list;
	w->report.controls = w->control_list;
	w->report.reported_at_ms = 100000;
}

static Rollcall__Answer *add_answer(struct world *w, uint32_t code, const char *enhanced,
				    const char *text)
{
	Rollcall__Answer *a = &w->answers[w->report.n_answers];

	rollcall__answer__init(a);
	a->attempt = 2;
	a->stage = ROLLCALL__STAGE__STAGE_RCPT;
	a->reply = &w->replies[w->n++];
	set_reply(a->reply, code, enhanced, text);
	w->answer_list[w->report.n_answers++] = a;
	return a;
}

static Rollcall__Control *add_control(struct world *w, Rollcall__ControlKind kind, uint32_t code,
				      const char *enhanced, const char *text)
{
	Rollcall__Control *c = &w->controls[w->report.n_controls];

	rollcall__control__init(c);
	c->kind = kind;
	c->stage = ROLLCALL__STAGE__STAGE_RCPT;
	c->local.data = (uint8_t *)"zq7";
	c->local.len = 3;
	c->at_ms = 40000;
	c->reply = &w->replies[w->n++];
	set_reply(c->reply, code, enhanced, text);
	w->control_list[w->report.n_controls++] = c;
	return c;
}

#define RANDOM ROLLCALL__CONTROL_KIND__CONTROL_KIND_RANDOM
#define POSTMASTER ROLLCALL__CONTROL_KIND__CONTROL_KIND_POSTMASTER

/* The verdict on the part's answer `i`, under our own rules and nobody's profile. */
static struct verdict judged(struct world *w, const struct evidence_domain *d, size_t i,
			     struct verdict_input *in)
{
	struct verdict v;

	evidence_fill(rules, &w->report, d, w->answer_list[i], in);
	verdict_row(in, NULL, &v);
	return v;
}

static void test_control_refused(void **state)
{
	struct world w;
	struct evidence_domain d;
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .attempts_max = 4 };
	struct verdict v;

	(void)state;
	start(&w);
	add_answer(&w, 250, "2.1.5", "Ok");
	add_control(&w, RANDOM, 550, "5.1.1", "User unknown");
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(d.control, VERDICT_CONTROL_REFUSED);
	assert_true(d.accepted);
	assert_string_equal(d.mx_address, "192.0.2.1");
	evidence_fill(rules, &w.report, &d, w.answer_list[0], &in);
	assert_int_equal(in.attempt, 2);
	assert_int_equal(in.control_age_s, 60);
	assert_true(in.control_same_lane);
	verdict_row(&in, NULL, &v);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_ACCEPTED);
	assert_true(v.final);
}

static void test_control_greylisted(void **state)
{
	struct world w;
	struct evidence_domain d;
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .attempts_max = 4 };

	(void)state;
	start(&w);
	add_answer(&w, 250, "", "Ok");
	add_control(&w, RANDOM, 450, "4.2.0", "Greylisted");
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(d.control, VERDICT_CONTROL_UNDECIDED);
	assert_int_equal(d.control_local_len, 3);
	evidence_fill(rules, &w.report, &d, w.answer_list[0], &in);
	assert_int_equal(in.control, VERDICT_CONTROL_UNDECIDED);
	/* what was known of the domain before outweighs an undecided control */
	in.control = VERDICT_CONTROL_REFUSED;
	evidence_fill(rules, &w.report, &d, w.answer_list[0], &in);
	assert_int_equal(in.control, VERDICT_CONTROL_REFUSED);
	/* a refusal for our address, or without a reply, decides nothing */
	set_reply(w.controls[0].reply, 554, "5.7.1", "blocked using zen.spamhaus.org");
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(d.control, VERDICT_CONTROL_UNDECIDED);
	w.controls[0].failure = ROLLCALL__FAILURE__FAILURE_TIMEOUT;
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(d.control, VERDICT_CONTROL_UNDECIDED);
	/* an accepted one outweighs a refused one */
	w.controls[0].failure = ROLLCALL__FAILURE__FAILURE_NONE;
	set_reply(w.controls[0].reply, 250, "", "Ok");
	add_control(&w, RANDOM, 550, "5.1.1", "User unknown");
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(d.control, VERDICT_CONTROL_ACCEPTED);
	assert_null(d.control_local);
}

static void test_refused_alike(void **state)
{
	struct world w;
	struct evidence_domain d;
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .attempts_max = 4 };
	struct verdict v;

	(void)state;
	start(&w);
	for (int i = 0; i < 3; i++)
		add_answer(&w, 550, "5.4.1", "Recipient address rejected: Access denied");
	add_control(&w, POSTMASTER, 550, "5.4.1", "Recipient address rejected: Access denied");
	evidence_domain(rules, "microsoft365", &w.report, &d);
	assert_int_equal(d.postmaster, VERDICT_POSTMASTER_REFUSED);
	assert_int_equal(d.control, VERDICT_CONTROL_UNKNOWN);
	evidence_fill(rules, &w.report, &d, w.answer_list[0], &in);
	assert_true(in.postmaster_alike);
	assert_int_equal(in.refused_alike, 3);
	verdict_row(&in, NULL, &v);
	assert_int_equal(v.reason, RC_REASON_REJECTS_ALL);
	set_reply(w.controls[0].reply, 250, "", "ok");
	evidence_domain(rules, NULL, &w.report, &d);
	assert_true(d.accepted);
	memset(&in, 0, sizeof(in));
	in.domain = VERDICT_DOMAIN_MX;
	in.attempts_max = 4;
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_NOT_FOUND);
}

/* The first host refuses the random name, the one that stands in for it takes all: neither's word
 * holds for the other. */
static void test_control_of_another_host(void **state)
{
	struct world w;
	struct evidence_domain d;
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .attempts_max = 4 };
	struct verdict v;

	(void)state;
	start(&w);
	rollcall__session__init(&w.backup);
	w.backup.mx_host = (char *)"backup.test";
	w.backup.mx_address = (char *)"192.0.2.2";
	w.backup.control_anew = true;
	w.session_list[1] = &w.backup;
	w.report.n_sessions = 2;
	add_answer(&w, 250, "2.1.5", "Ok")->session = 1;
	add_answer(&w, 250, "2.1.5", "Ok")->session = 2;
	add_control(&w, RANDOM, 550, "5.1.1", "User unknown")->session = 1;
	evidence_domain(rules, NULL, &w.report, &d);
	assert_false(d.control_apart);
	in.control = VERDICT_CONTROL_REFUSED; /* and so it was known from before */
	evidence_fill(rules, &w.report, &d, w.answer_list[1], &in);
	assert_int_equal(in.control, VERDICT_CONTROL_UNKNOWN);
	verdict_row(&in, NULL, &v);
	assert_int_equal(v.reason, RC_REASON_CONTROL_INCONCLUSIVE);
	assert_false(v.final);
	assert_true(v.need_control);
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_ACCEPTED);

	w.controls[0].session = 2;
	set_reply(w.controls[0].reply, 250, "", "Ok");
	evidence_domain(rules, NULL, &w.report, &d);
	assert_true(d.control_apart);
	in.control = VERDICT_CONTROL_REFUSED;
	v = judged(&w, &d, 1, &in);
	assert_int_equal(v.reason, RC_REASON_DOMAIN_ACCEPTS_ALL);
	in.control = VERDICT_CONTROL_REFUSED;
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_ACCEPTED);
}

/* Clear refusals, then one answer for all: the latter is how it gets rid of us. */
static void test_turned_away_after_clear_refusals(void **state)
{
	struct world w;
	struct evidence_domain d;
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX,
				    .attempts_max = 4,
				    .attempt = 1,
				    .domain_accepted = true };
	struct verdict v;

	(void)state;
	start(&w);
	add_answer(&w, 550, "", "Requested action not taken");
	add_control(&w, POSTMASTER, 550, "", "Requested action not taken");
	add_answer(&w, 550, "5.1.1", "<zq7@a.test>: User unknown");
	evidence_domain(rules, NULL, &w.report, &d);
	assert_true(d.talks[0].refuses_by_name);
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_THROTTLED);
	assert_false(v.final);
	/* the one that was named stays refused */
	in.refuses_by_name = false;
	v = judged(&w, &d, 1, &in);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_NOT_FOUND);
	assert_true(v.final);
	/* and where nobody is named, those words mean a missing mailbox */
	w.report.n_answers = 1;
	in.refuses_by_name = false;
	evidence_domain(rules, NULL, &w.report, &d);
	assert_false(d.talks[0].refuses_by_name);
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_NOT_FOUND);
}

/* Somebody was accepted in this job, and now all are refused, in whatever words: who is there is
 * to be heard of first. */
static void test_refusals_to_be_proved(void **state)
{
	struct world w;
	struct evidence_domain d;
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX, .attempts_max = 4 };
	struct verdict v;

	(void)state;
	start(&w);
	for (int i = 0; i < 3; i++)
		add_answer(&w, 550, "5.1.1", "<zq7@a.test>: User unknown");
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(d.talks[0].unproved, 3);
	/* nobody is known there */
	v = judged(&w, &d, 0, &in);
	assert_true(v.final);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_NOT_FOUND);

	in.domain_witnessed = true;
	v = judged(&w, &d, 0, &in);
	assert_false(v.final);
	assert_int_equal(v.reason, RC_REASON_THROTTLED);
	/* to the end */
	w.answers[0].attempt = 4;
	v = judged(&w, &d, 0, &in);
	assert_true(v.final);
	assert_int_equal(v.reason, RC_REASON_THROTTLED);
	/* proved, it stands */
	w.answers[0].proved = true;
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_NOT_FOUND);

	/* two are no run, unless the domain has lied before */
	w.answers[0].proved = false;
	w.answers[0].attempt = 1;
	w.report.n_answers = 2;
	evidence_domain(rules, NULL, &w.report, &d);
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_NOT_FOUND);
	in.domain_doubted = true;
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_THROTTLED);
	/* what says nothing of a missing mailbox needs no proof */
	w.replies[0].text.data = (uint8_t *)"mailbox is full";
	w.replies[0].text.len = 15;
	w.replies[0].enhanced = (char *)"5.2.2";
	v = judged(&w, &d, 0, &in);
	assert_int_equal(v.reason, RC_REASON_MAILBOX_FULL);
}

/* A run is one of a conversation, however many of them a part tells of. */
static void test_each_conversation_for_itself(void **state)
{
	struct world w;
	struct evidence_domain d;
	struct verdict_input in = { .domain = VERDICT_DOMAIN_MX,
				    .attempts_max = 4,
				    .attempt = 1,
				    .domain_witnessed = true };

	(void)state;
	start(&w);
	/* where a session takes one recipient, the run goes over several of them */
	for (uint32_t i = 0; i < 3; i++) {
		add_answer(&w, 550, "5.1.1", "<zq7@a.test>: User unknown");
		w.answers[i].session = i + 1;
	}
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(judged(&w, &d, 0, &in).reason, RC_REASON_THROTTLED);
	/* else two of one and one of the other are none */
	w.answers[1].session = 1;
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(judged(&w, &d, 0, &in).reason, RC_REASON_MAILBOX_NOT_FOUND);
	assert_int_equal(judged(&w, &d, 2, &in).reason, RC_REASON_MAILBOX_NOT_FOUND);
	/* an acceptance in another one proves nothing of this */
	for (uint32_t i = 0; i < 3; i++)
		w.answers[i].session = 2;
	add_answer(&w, 250, "2.1.5", "ok");
	w.answers[3].session = 1;
	evidence_domain(rules, NULL, &w.report, &d);
	assert_true(d.accepted);
	assert_int_equal(judged(&w, &d, 0, &in).reason, RC_REASON_THROTTLED);
	w.answers[3].session = 2;
	evidence_domain(rules, NULL, &w.report, &d);
	assert_int_equal(judged(&w, &d, 0, &in).reason, RC_REASON_MAILBOX_NOT_FOUND);
	/* who is named in one session says nothing of words without a name in another */
	start(&w);
	for (uint32_t i = 0; i < 4; i++) {
		add_answer(&w, 550, i < 2 ? "" : "5.1.1",
			   i < 2 ? "Requested action not taken" : "<zq7@a.test>: User unknown");
		w.answers[i].session = 1 + i / 2;
	}
	evidence_domain(rules, NULL, &w.report, &d);
	assert_false(d.talks[1].refuses_by_name);
	assert_true(d.talks[2].refuses_by_name);
	/* out of range: with those of none */
	w.answers[3].session = EVIDENCE_TALKS;
	evidence_domain(rules, NULL, &w.report, &d);
	assert_true(d.talks[0].refuses_by_name);
}

/* What a broken or hostile worker may send. */
static void test_out_of_range(void **state)
{
	struct world w;
	struct verdict_answer a;

	(void)state;
	start(&w);
	add_answer(&w, 9999, "", "x")->stage = (Rollcall__Stage)77;
	evidence_answer(rules, NULL, w.answer_list[0], &a);
	assert_int_equal(a.failure, VERDICT_FAILURE_NOT_PROBED);
	assert_int_equal(a.stage, RC_STAGE_UNSET);
	w.answers[0].reply = NULL;
	evidence_answer(rules, NULL, w.answer_list[0], &a);
	assert_int_equal(a.failure, VERDICT_FAILURE_NOT_PROBED);
	w.answers[0].failure = (Rollcall__Failure)99;
	evidence_answer(rules, NULL, w.answer_list[0], &a);
	assert_int_equal(a.failure, VERDICT_FAILURE_NOT_PROBED);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_control_refused),
					    cmocka_unit_test(test_control_greylisted),
					    cmocka_unit_test(test_control_of_another_host),
					    cmocka_unit_test(test_refused_alike),
					    cmocka_unit_test(test_turned_away_after_clear_refusals),
					    cmocka_unit_test(test_refusals_to_be_proved),
					    cmocka_unit_test(test_each_conversation_for_itself),
					    cmocka_unit_test(test_out_of_range) };

	return cmocka_run_group_tests(tests, load, unload);
}
