/* common/reply/reply_text.h: words made comparable, and how long a reply asks us to wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/reply/reply_text.h"

static void test_fold(void **state)
{
	static const struct {
		const char *text, *folded;
	} rows[] = {
		{ "", " " },
		{ "User  Unknown.\r\n", " user unknown " },
		{ "5.1.1 <Bob.O'Neil@x.test>... no_such-user!", " 5.1.1 @ no such user " },
		{ "user_unknown-x+y=z@x.test: gone", " @ gone " },
		{ "(bob@x.test:blocked)", " @ blocked " },
		{ "doesn't l'utilisateur 'quoted' n\xe2\x80\x99"
		  "existe can\xe2\x80\x99t",
		  " doesnt l utilisateur quoted n existe cant " },
		{ "Empf\xc3\xa4nger unbekannt, gro\xc3\x9f", " empfanger unbekannt gross " },
		{ "Łódź Košice Gődöllő Œuvre ľahký šťůžſ",
		  " lodz kosice godollo oeuvre lahky stuzs " },
		{ "Empf\xe4nger unbekannt", " empfanger unbekannt " }, /* ISO 8859-1 */
		{ "Buz\xc3\xb3n lleno; utilis\xc3\xa9", " buzon lleno utilise " },
		{ "\xd0\x9f\xd0\x9e\xd0\x9b \xd0\x81\xd0\xb6", " пол еж " },
		{ "[192.0.2.1]:25 and 1.2.3 and 1.2.3.4.5", " #ip 25 and 1.2.3 and 1.2.3.4.5 " },
		{ "come back in 00:04:58: now", " come back in 00:04:58 now " },
		{ "a.b.test... x", " a.b.test x " },
		{ "\xef\xbc\xa1\xef\xbc\xa2\xef\xbc\x8c\xe5\xae\x9b\xe5\x85\x88\xe3\x80\x82",
		  " ab 宛先 " },
		{ "\x01\x02x\x7f\x80y\xff", " x yy " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char out[256];
		size_t len =
		    rc_reply_fold(rows[i].text, strlen(rows[i].text), NULL, out, sizeof(out) - 1);

		out[len] = '\0';
		assert_string_equal(out, rows[i].folded);
	}
}

/* Folding what is folded changes nothing, whatever came in; and the room is never exceeded. */
static void test_fold_rubbish(void **state)
{
	uint32_t x = 3;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		char text[64], once[80], twice[96], small[16];
		size_t len = 0, n, m;

		for (size_t i = 0; i < sizeof(text); i++) {
			x = x * 1664525u + 1013904223u;
			text[len++] = (x >> 8) % 3 ? (char)(x >> 24) : " .@':-0e"[(x >> 20) % 8];
		}
		n = rc_reply_fold(text, len, NULL, once, sizeof(once));
		assert_true(n >= 1 && n <= sizeof(once) && once[0] == ' ' && once[n - 1] == ' ');
		m = rc_reply_fold(once, n, NULL, twice, sizeof(twice));
		assert_true(m <= sizeof(twice));
		n = rc_reply_fold(text, len, NULL, small, sizeof(small));
		assert_true(n <= sizeof(small));
	}
}

static void test_enhanced_goes(void **state)
{
	char out[64];
	size_t len = rc_reply_fold("5.1.1 one\n5.1.1 two 5.1.1", 25, "5.1.1", out, sizeof(out) - 1);

	(void)state;
	out[len] = '\0';
	assert_string_equal(out, " one two 5.1.1 ");
}

static void test_waits(void **state)
{
	static const struct {
		const char *text;
		int32_t wait_s;
	} rows[] = {
		/* English */
		{ "try again in 300 seconds", 300 },
		{ "Please try again in 5 minutes.", 300 },
		{ "greylisted, retry in 5m", 300 },
		{ "Greylisted for 299 seconds", 299 },
		{ "Greylisting in action, please come back in 00:04:58", 298 },
		{ "please come back in 04:58", 298 },
		{ "wait at least 10 min before retrying", 600 },
		{ "come back in 1 hour and 30 minutes", 5400 },
		{ "try again after 2 hours", 7200 },
		{ "retry after 60s", 60 },
		{ "Retry-After: 120", 120 },
		{ "deferred for 600 secs", 600 },
		{ "try again in 5-10 minutes", 600 },
		{ "try again in about five minutes", 300 },
		{ "try again in an hour", 3600 },
		{ "resend 15 minutes later", 900 },
		{ "wait=90 sec", 90 },
		{ "You must wait another 59 seconds", 59 },
		{ "try again in 5 minute(s)", 300 },
		{ "delay (180 seconds) not over", 180 },
		{ "try in 999999999 days", 172800 },
		/* German, French, Spanish, Portuguese, Italian, Dutch */
		{ "Bitte in 5 Minuten erneut versuchen", 300 },
		{ "Bitte 10 Minuten warten", 600 },
		{ "Versuchen Sie es in einer Stunde noch einmal", 3600 },
		{ "fr\xc3\xbchestens nach 300 Sekunden", 300 },
		{ "R\xc3\xa9"
		  "essayez dans 10 minutes",
		  600 },
		{ "Veuillez attendre 30 secondes", 30 },
		{ "r\xc3\xa9"
		  "essayer dans une heure",
		  3600 },
		{ "Intente de nuevo en 5 minutos", 300 },
		{ "int\xc3\xa9ntelo dentro de 2 horas", 7200 },
		{ "Espere 60 segundos", 60 },
		{ "Tente novamente em 10 minutos", 600 },
		{ "aguarde 30 segundos", 30 },
		{ "tente ap\xc3\xb3s 1 hora", 3600 },
		{ "Riprova tra 5 minuti", 300 },
		{ "riprovare fra 2 ore", 7200 },
		{ "attendere 90 secondi", 90 },
		{ "Probeer het over 5 minuten opnieuw", 300 },
		{ "wacht 30 seconden", 30 },
		{ "over 2 uur", 7200 },
		/* Russian, Polish, Chinese, Japanese, Korean */
		{ "Попробуйте через 5 минут", 300 },
		{ "повторите через 300 сек", 300 },
		{ "подождите 1 час", 3600 },
		{ "cherez 10 minut", 600 },
		{ "sprobuj za 5 minut", 300 },
		{ "请5分钟后重试", 300 },
		{ "請在300秒後再試", 300 },
		{ "请等待 2 小时后再试", 7200 },
		{ "5分後に再度お試しください", 300 },
		{ "10 pun go ni saido okuru", 600 },
		{ "60초 후 다시 시도", 60 },
		/* not a wait of ours */
		{ "try again later", -1 },
		{ "more than 30 messages in 60 seconds", -1 },
		{ "too many connections: 20 per 60 seconds", -1 },
		{ "limit of 100 recipients in 10 minutes exceeded, try later", -1 },
		{ "user 300 seconds", -1 },
		{ "a few minutes", -1 },
		{ "error 5.7.1 in 4.5.6", -1 },
		{ "see rfc 5321 section 4", -1 },
		{ "try again after 14:30", -1 },
		{ "service down until 12:00:00", -1 },
		{ "", -1 },
	};
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char out[256];
		size_t len =
		    rc_reply_fold(rows[i].text, strlen(rows[i].text), NULL, out, sizeof(out));
		int32_t wait_s = rc_reply_wait_s(out, len);

		if (wait_s == rows[i].wait_s)
			continue;
		wrong++;
		print_error("%s: %d, should be %d\n", rows[i].text, (int)wait_s,
			    (int)rows[i].wait_s);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fold),
					    cmocka_unit_test(test_fold_rubbish),
					    cmocka_unit_test(test_enhanced_goes),
					    cmocka_unit_test(test_waits) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
