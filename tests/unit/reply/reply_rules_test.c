/* common/reply/reply_rules.h and the shipped data/replies: whose fault each reply names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"

static struct rc_rules *rules;

static int load(void **state)
{
	struct rc_error err;

	(void)state;
	if (rc_rules_load(SOURCE_DIR "/data", &rules, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int unload(void **state)
{
	(void)state;
	rc_rules_free(rules);
	return 0;
}

static struct rc_classification classify(const char *line, enum rc_stage stage,
					 const char *provider, unsigned *ret_code)
{
	struct rc_reply_view view = { .stage = stage, .provider = provider };
	struct rc_classification c;
	char enhanced[16], text[RC_REPLY_TEXT_MAX];

	assert_true(rc_reply_split(line, strlen(line), &view.code, enhanced, text, sizeof(text),
				   &view.len));
	view.enhanced = enhanced;
	view.text = text;
	rc_rules_classify(rules, &view, &c);
	*ret_code = view.code;
	return c;
}

struct row {
	const char *reply;
	const char *fault;
	const char *category;
	const char *reason;
	enum rc_stage stage; /* UNSET: RCPT */
	const char *provider;
};

/* With .stage and .provider: RX. */
#define R(reply_, fault_, category_, reason_)                                                      \
	RX(reply_, fault_, category_, reason_, .provider = NULL)
#define RX(reply_, fault_, category_, reason_, ...)                                                \
	{                                                                                          \
		.reply = reply_, .fault = fault_, .category = category_, .reason = reason_,        \
		__VA_ARGS__                                                                        \
	}

static const struct row table[] = {
	/* words for an unknown mailbox, said of us */
	R("550 Sender mailbox does not exist", "sender", "policy", "sender_rejected"),
	R("550 5.7.1 Unable to verify user: sender mailbox not found", "sender", "policy",
	  "sender_rejected"),
	R("550 sender unknown user", "sender", "policy", "sender_rejected"),
	R("550 Unknown user verify@probe.test (sender)", "sender", "policy", "sender_rejected"),
	R("550-Verification failed for <v@probe.test>\\n550-Called:   192.0.2.1\\n550-Sent:     "
	  "RCPT TO:<v@probe.test>\\n550-Response: 550 5.1.1 User unknown\\n550 Sender verify "
	  "failed",
	  "sender", "policy", "sender_rejected"),
	R("550 HELO host not found", "sender", "policy", "sender_rejected"),
	/* permanent by its code only */
	R("550 5.2.1 Mailbox temporarily unavailable, try later", "temporary", "temporary",
	  "temporary_failure"),
	R("550 5.1.1 user lookup failed, try again", "temporary", "temporary", "temporary_failure"),
	R("550 5.1.1 unable to verify recipient at this time", "temporary", "temporary",
	  "temporary_failure"),
#include "replies.inc"
#include "unheard.inc"
};

static void test_each_reply(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const struct row *t = &table[i];
		unsigned code;
		struct rc_classification c = classify(t->reply, t->stage, t->provider, &code);
		const char *reason = rc_reason_name(rc_reply_reason(&c, code));

		if (strcmp(rc_fault_name(c.fault), t->fault) != 0 ||
		    strcmp(rc_category_name(c.category), t->category) != 0 ||
		    strcmp(reason, t->reason) != 0) {
			wrong++;
			print_error("%s\n    is %s %s %s by %s, should be %s %s %s\n", t->reply,
				    rc_fault_name(c.fault), rc_category_name(c.category), reason,
				    c.rule, t->fault, t->category, t->reason);
		}
	}
	assert_int_equal(wrong, 0);
}

/* What no stage but RCPT can say, and no 4xx: whatever the words, never invalid. */
static void test_never_invalid(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char copy[2048];
		unsigned code;
		struct rc_classification c;

		for (int stage = RC_STAGE_CONNECT; stage < RC_STAGE_RCPT; stage++) {
			c = classify(table[i].reply, (enum rc_stage)stage, table[i].provider,
				     &code);
			assert_int_not_equal(c.fault, RC_FAULT_RECIPIENT);
		}
		if (table[i].reply[0] != '5')
			continue;
		snprintf(copy, sizeof(copy), "%s", table[i].reply);
		for (char *p = copy; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
			if (*p == '5')
				*p = '4';
			if (p[3] && p[4] == '5')
				p[4] = '4';
		}
		c = classify(copy, RC_STAGE_RCPT, table[i].provider, &code);
		if (rc_reason_status(rc_reply_reason(&c, code)) == RC_RESULT_INVALID)
			fail_msg("%s is %s by %s", copy, rc_reason_name(rc_reply_reason(&c, code)),
				 c.rule);
	}
}

static void test_waits(void **state)
{
	static const struct {
		const char *reply;
		int32_t wait_s, short_s;
	} waits[] = {
		{ "450 4.2.0 <a@b.test>: Recipient address rejected: Greylisted, see "
		  "http://postgrey.schweikert.ch/help/b.test.html",
		  -1, -1 },
		{ "450 4.7.1 Greylisted, please try again in 300 seconds", 300, -1 },
		{ "451 4.7.1 Greylisting in action, please come back in 00:04:58", 298, -1 },
		{ "451 4.7.1 Greylisting in action, please come back in 1:00:00", 3600, -1 },
		{ "450 Greylisted for 5 minutes", 300, -1 },
		{ "451 Please try again in 60 seconds", 60, 60 },
		{ "451 Bitte in 5 Minuten erneut versuchen", 300, -1 },
		{ "450 Veuillez r\303\251essayer dans 2 minutes", 120, 120 },
		{ "451 \350\257\267\345\234\25060\347\247\222\345\220\216\351\207\215\350\257\225",
		  60, 60 },
		{ "450 4.3.2 Service currently unavailable", -1, 5 },
		{ "451 Internal resource temporarily unavailable - "
		  "https://community.mimecast.com/docs/DOC-1369#451",
		  -1, 90 },
		{ "452 4.5.3 Too many recipients", -1, 0 },
		{ "451 Too many recipients", -1, 0 },
		{ "450 limit is 20 messages per 60 seconds", -1, -1 },
		{ "550 5.1.1 user unknown in 300 seconds", -1, -1 },
		{ "421 4.7.0 try again in 99999999999 hours", 172800, -1 },
		{ "451 version 1.2.3 try later", -1, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		unsigned code;
		struct rc_classification c = classify(waits[i].reply, RC_STAGE_RCPT, NULL, &code);

		if (c.retry_after_s != waits[i].wait_s ||
		    rc_reply_short_retry_s(&c, NULL) != waits[i].short_s)
			fail_msg("%s: asks for %d s, short retry %d s, rule %s", waits[i].reply,
				 c.retry_after_s, rc_reply_short_retry_s(&c, NULL), c.rule);
	}
}

static void test_split(void **state)
{
	char enhanced[16], text[256];
	unsigned code;
	size_t len;
	const char *multi = "550-5.1.1 The email account that you tried to reach\r\n550-5.1.1 does "
			    "not exist.\n550 5.1.1 bye";

	(void)state;
	assert_true(
	    rc_reply_split(multi, strlen(multi), &code, enhanced, text, sizeof(text), &len));
	assert_int_equal(code, 550);
	assert_string_equal(enhanced, "5.1.1");
	assert_int_equal(len,
			 strlen("The email account that you tried to reach\ndoes not exist.\nbye"));
	assert_memory_equal(text, "The email account that you tried to reach\ndoes not exist.\nbye",
			    len);
	assert_true(rc_reply_split("250", 3, &code, enhanced, text, sizeof(text), &len));
	assert_int_equal(len, 0);
	assert_true(rc_reply_split("550 5.1.1.2 x", 13, &code, enhanced, text, sizeof(text), &len));
	assert_string_equal(enhanced, "");
	assert_false(rc_reply_split("hello", 5, &code, enhanced, text, sizeof(text), &len));
	assert_false(rc_reply_split("", 0, &code, enhanced, text, sizeof(text), &len));
	assert_false(rc_reply_split("650 x", 5, &code, enhanced, text, sizeof(text), &len));
	assert_true(rc_reply_split("550 1234567890", 14, &code, enhanced, text, 4, &len));
	assert_int_equal(len, 4);
}

/* Binary rubbish and the longest text: classified, never a fault of ours. */
static void test_rubbish(void **state)
{
	struct rc_classification c;
	char text[3 * RC_REPLY_TEXT_MAX];
	struct rc_reply_view view = { .stage = RC_STAGE_RCPT,
				      .code = 550,
				      .enhanced = "5.1.1",
				      .text = text,
				      .len = sizeof(text) };
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		x = x * 1664525u + 1013904223u;
		text[i] = (char)(x >> 24);
	}
	rc_rules_classify(rules, &view, &c);
	assert_int_equal(c.category, RC_CATEGORY_MAILBOX_NOT_FOUND);
	view.len = 0;
	view.text = NULL;
	view.code = 0;
	view.enhanced = "nonsense";
	rc_rules_classify(rules, &view, &c);
	assert_int_equal(c.fault, RC_FAULT_UNCLEAR);
	view.code = 100000;
	rc_rules_classify(rules, &view, &c);
	assert_int_equal(c.fault, RC_FAULT_UNCLEAR);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *file, *error;
	} bad[] = {
		{ "Name: code=550 -> sender policy", "f:1: a rule begins with a name" },
		{ "a: code=550 sender policy", "f:1: the arrow -> is missing" },
		{ "a: code=650 -> sender policy", "f:1: \"650\" is no reply code" },
		{ "# c\n\na: code=550 -> us policy", "f:3: there is no fault \"us\"" },
		{ "a: code=550 -> sender polite", "f:1: there is no category \"polite\"" },
		{ "a: code=550 -> sender", "f:1: a fault and a category" },
		{ "a: enhanced=5.1 -> sender policy", "f:1: \"5.1\" is no enhanced status" },
		{ "a: stage=data -> sender policy", "f:1: there is no stage \"data\"" },
		{ "a: text=\"abc -> sender policy", "f:1: the quotation mark after text=" },
		{ "a: text=\"ab\" -> sender policy", "f:1: the phrase \"ab\" is too short" },
		{ "a: text=\"abc||d\" -> sender policy", "f:1: a phrase without a word" },
		{ "a: color=red -> sender policy", "f:1: there is no condition \"color\"" },
		{ "a: code=550 -> sender policy loud", "f:1: nothing is called \"loud\"" },
		{ "a: code=450 -> recipient mailbox_not_found", "f:1: a 4xx alone never" },
		{ "a: stage=mail code=550 -> recipient mailbox_not_found",
		  "f:1: a recipient is at fault at RCPT only" },
		{ "a: code=550 -> recipient policy", "f:1: policy is not a recipient fault" },
		{ "a: code=550 -> sender policy\na: code=551 -> sender policy",
		  "f:2: the rule a stands in line 1" },
		{ "a: code=550 -> sender policy\nb: code=550 -> sender policy",
		  "f:2: the same conditions stand in line 1" },
		{ "a: code=550 -> sender policy over=b\nb: code=551 -> sender policy over=a",
		  "stands over itself" },
		{ "a: code=550 -> sender policy over=c", "f:1: over=c: there is no such rule" },
		{ " code=550 -> sender policy", "f:1: the line is indented" },
		{ "a: -> sender policy", "f:1:" },
		{ "fallback-x: code=550 -> sender policy", "f:1: names that begin with fallback-" },
		/* what cannot be meant */
		{ "a: code=550 -> none accepted", "f:1: nobody's fault is a yes" },
		{ "a: code=250 -> sender policy", "f:1: a yes (2xx) is nobody's fault" },
		{ "a: code=550 enhanced=2.1.5 -> sender policy", "f:1: no reply has such a code" },
		{ "a: code=250 enhanced=5.1.1 -> none accepted", "f:1: no reply has such a code" },
		{ "a: stage=dns -> sender policy", "f:1: there are no replies at stage=dns" },
		{ "a: code=450 -> temporary policy", "f:1: policy is not a temporary fault" },
		{ "a: code=550 -> sender policy mailbox", "f:1: mailbox is for faults of the" },
		{ "a: code=550 -> domain routing sender", "f:1: sender is for faults of the" },
		{ "a: code=450 -> temporary temporary retry=60", "f:1: retry= is for greylisted" },
		{ "a: code=550 -> sender policy over=a", "f:1: the rule a stands over itself" },
		{ "a: words=0 -> sender policy", "f:1: words=0 is no number of words" },
		{ "a: code=550 -> sender policy weak", "f:1: weak is for rules with text" },
		/* sets */
		{ "set a: b|c\n", "f:1: no rule uses the set a" },
		{ "set a: one|two|one\n", "f:1: \"one\" stands twice in the set a" },
		{ "set a: b\nset a: c\n", "f:2: the set a stands in line 1" },
		{ "set a: b|\n", "f:1: an empty word in the set a" },
		{ "set a: b * c\n", "f:1: a set holds plain words only" },
		{ "set A: b\n", "f:1: a set has a name of small letters" },
		{ "a: text=\"{who} unknown\" -> sender policy", "f:1: there is no set \"who\"" },
		{ "a: text=\"{who unknown\" -> sender policy", "f:1: the { is not closed" },
		/* what can never speak */
		{ "a: text=\"user unknown|unknown|gone\" -> sender policy",
		  "f:1: in a, phrase 1 (user unknown..) decides nothing" },
		{ "a: text=\"gone|gone\" -> sender policy", "f:1: in a, phrase 2 (gone..)" },
		{ "a: text=\"user * gone\" -> sender policy\n\n"
		  "b: text=\"user * gone\" code=550 -> recipient mailbox_not_found weak",
		  "f:3: the rule b can never speak: wherever it holds, a of line 1 holds too" },
		{ "set who: user|mailbox\n"
		  "a: text=\"{who} gone\" -> sender policy strong\n"
		  "b: text=\"{who} gone\" code=550 -> sender policy",
		  "f:3: the rule b can never speak" },
		{ "a: code=5xx enhanced=5.7.x -> sender policy over=b\n"
		  "b: code=550 enhanced=5.7.1 -> sender policy",
		  "f:2: the rule b can never speak" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct rc_error err = { 0 };
		struct rc_rules *none = NULL;

		assert_int_equal(rc_rules_parse("f", bad[i].file, strlen(bad[i].file), &none, &err),
				 RC_INVALID);
		assert_null(none);
		if (!strstr(err.text, bad[i].error))
			fail_msg("%s\n    says %s\n    not  %s", bad[i].file, err.text,
				 bad[i].error);
	}
	{
		struct rc_error err = { 0 };
		struct rc_rules *none = NULL;

		assert_int_equal(rc_rules_load("/nonexistent/replies", &none, &err), RC_NOT_FOUND);
		assert_non_null(strstr(err.text, "/nonexistent/replies"));
	}
}

static void test_providers(void **state)
{
	static const char file[] = "a: code=550 provider=gmail -> sender policy\n"
				   "b: code=550 provider=gmial -> sender policy\n";
	struct rc_providers *providers;
	struct rc_rules *own;
	struct rc_error err;

	(void)state;
	if (rc_providers_load(SOURCE_DIR "/data", &providers, &err) ||
	    rc_rules_parse("f", file, sizeof(file) - 1, &own, &err))
		fail_msg("%s", err.text);
	assert_int_equal(rc_rules_check_providers(own, providers, &err), RC_INVALID);
	assert_non_null(strstr(err.text, "f:2: there is no provider \"gmial\""));
	assert_int_equal(rc_rules_check_providers(rules, providers, &err), RC_OK);
	rc_rules_free(own);
	rc_providers_free(providers);
}

static const char *speaks(const char *file, const char *reply, const char *provider)
{
	static char name[64];
	struct rc_rules *own;
	struct rc_error err;
	struct rc_reply_view view = { .provider = provider };
	struct rc_classification c;
	char enhanced[16], text[512];

	if (rc_rules_parse("f", file, strlen(file), &own, &err))
		fail_msg("%s", err.text);
	assert_true(rc_reply_split(reply, strlen(reply), &view.code, enhanced, text, sizeof(text),
				   &view.len));
	view.enhanced = enhanced;
	view.text = text;
	rc_rules_classify(own, &view, &c);
	snprintf(name, sizeof(name), "%s", c.rule);
	rc_rules_free(own);
	return name;
}

/* Provider before text before enhanced status before code; a longer text before a shorter; over=
 * before all. */
static void test_order(void **state)
{
	static const char file[] = "code: code=550 -> sender policy\n"
				   "enhanced: enhanced=5.1.1 code=5xx -> sender policy\n"
				   "short: text=\"unknown\" -> sender policy\n"
				   "long: text=\"user * unknown\" -> sender policy\n"
				   "weak: text=\"user quite\" -> sender policy weak\n"
				   "provider: provider=x,y code=5xx -> sender policy\n"
				   "both: text=\"unknown\" text=\"stranger\" -> sender policy\n"
				   "first: code=553 -> sender policy\n"
				   "last: code=553 text=\"boss\" -> sender policy over=first\n"
				   "lift: code=554 enhanced=none -> sender policy over=lifted\n"
				   "lifted: code=554 text=\"boss\" -> sender policy\n";

	(void)state;
	assert_string_equal(speaks(file, "550 nothing", NULL), "code");
	assert_string_equal(speaks(file, "550 5.1.1 nothing", NULL), "enhanced");
	assert_string_equal(speaks(file, "550 5.1.1 Unknown", NULL), "short");
	assert_string_equal(speaks(file, "550 5.1.1 User  quite\n550 5.1.1 UNKNOWN", NULL), "long");
	assert_string_equal(speaks(file, "550 5.1.1 user unknown", "z"), "long");
	assert_string_equal(speaks(file, "550 5.1.1 user unknown", "y"), "provider");
	assert_string_equal(speaks(file, "550 unknown stranger", NULL), "both");
	assert_string_equal(speaks(file, "550 the user@unknown.test it is", NULL), "code");
	assert_string_equal(speaks(file, "553 boss", NULL), "last");
	assert_string_equal(speaks(file, "554 boss", NULL), "lift");
	assert_string_equal(speaks(file, "550 x (#5.1.1)", NULL), "enhanced");
}

/* {sets}, `~`, not= and words=, and that words begin where words begin. */
static void test_phrases(void **state)
{
	static const char file[] =
	    "set who: user|mail box|@|ящик\n"
	    "near: text=\"{who} ~ gone\" -> sender policy\n"
	    "far: text=\"{who} * gone\" -> sender policy weak\n"
	    "beside: text=\"no {who}\" not=\"sorry|no user here\" -> sender policy\n"
	    "end: text=\"full \" -> sender policy\n"
	    "many: words=9 -> sender policy\n";

	(void)state;
	assert_string_equal(speaks(file, "550 user gone", NULL), "near");
	assert_string_equal(speaks(file, "550 The Mail-Box <x> is gone", NULL), "near");
	assert_string_equal(speaks(file, "550 bob@b.test: gone", NULL), "near");
	assert_string_equal(speaks(file, "550 Ящик gone", NULL), "near");
	assert_string_equal(speaks(file, "550 superuser gone", NULL), "fallback-550");
	assert_string_equal(speaks(file, "550 user, as far as anybody can tell, has gone", NULL),
			    "far");
	assert_string_equal(speaks(file, "550 gone user", NULL), "fallback-550");
	assert_string_equal(speaks(file, "550 no such user", NULL), "fallback-550");
	assert_string_equal(speaks(file, "550 no user", NULL), "beside");
	assert_string_equal(speaks(file, "550 there's no a user", NULL), "beside");
	assert_string_equal(speaks(file, "550 sorry: no user", NULL), "fallback-550");
	assert_string_equal(speaks(file, "550 fully", NULL), "fallback-550");
	assert_string_equal(speaks(file, "550 full", NULL), "end");
	assert_string_equal(speaks(file, "550 a b c d e f g h i", NULL), "many");
	assert_string_equal(speaks(file, "550 a b c d e f g h", NULL), "fallback-550");
}

static void test_file(void **state)
{
	struct rc_reply_view view = {
		.code = 550, .enhanced = "5.1.1", .text = "User unknown", .len = 12
	};
	const char *names[32];
	size_t n;

	(void)state;
	assert_true(rc_rules_count(rules) >= 600);
	assert_int_equal(strlen(rc_rules_version(rules)), 16);
	n = rc_rules_matching(rules, &view, names, 32);
	assert_true(n >= 3);
	assert_string_equal(names[n - 1], "fallback-any");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_reply), cmocka_unit_test(test_never_invalid),
		cmocka_unit_test(test_waits),	   cmocka_unit_test(test_split),
		cmocka_unit_test(test_rubbish),	   cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_order),	   cmocka_unit_test(test_providers),
		cmocka_unit_test(test_phrases),	   cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
