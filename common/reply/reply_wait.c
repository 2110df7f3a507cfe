/* See reply_text.h: how long a reply asks us to wait, in its own words. */
#include <stdbool.h>
#include <string.h>

#include "common/reply/reply_text.h"

enum {
	WAIT_MAX_S = 172800,
	CUE_WITHIN = 40, /* octets behind the time in which a word may say that it is one to wait */
	FILLERS_MAX = 4
};

struct unit {
	const char *word; /* as folded; goes on unless it ends in a blank */
	int32_t seconds;
};

/* Of two that begin alike the longer one comes first. */
static const struct unit units[] = {
	/* English, German, French, Spanish, Portuguese, Italian, Dutch, Polish, Turkish, Nordic */
	{ "second", 1 },
	{ "secs ", 1 },
	{ "sec ", 1 },
	{ "secondi", 1 },
	{ "segund", 1 },
	{ "segs ", 1 },
	{ "seg ", 1 },
	{ "sekund", 1 },
	{ "sek ", 1 },
	{ "saniye", 1 },
	{ "s ", 1 },
	{ "minut", 60 },
	{ "minuut", 60 },
	{ "minuten", 60 },
	{ "mins ", 60 },
	{ "min ", 60 },
	{ "mn ", 60 },
	{ "dakika", 60 },
	{ "m ", 60 },
	{ "hour", 3600 },
	{ "hrs ", 3600 },
	{ "hr ", 3600 },
	{ "heure", 3600 },
	{ "hora", 3600 },
	{ "ore ", 3600 },
	{ "ora ", 3600 },
	{ "stunde", 3600 },
	{ "std ", 3600 },
	{ "uur ", 3600 },
	{ "uren ", 3600 },
	{ "godzin", 3600 },
	{ "saat", 3600 },
	{ "timmar", 3600 },
	{ "h ", 3600 },
	{ "day", 86400 },
	{ "tage", 86400 },
	{ "tag ", 86400 },
	{ "jour", 86400 },
	{ "dias ", 86400 },
	{ "dia ", 86400 },
	{ "giorn", 86400 },
	{ "dagen", 86400 },
	{ "dag ", 86400 },
	{ "dni ", 86400 },
	/* Russian */
	{ "секунд", 1 },
	{ "сек", 1 },
	{ "минут", 60 },
	{ "мин", 60 },
	{ "час", 3600 },
	{ "дня", 86400 },
	{ "дней", 86400 },
	{ "день", 86400 },
	{ "сутки", 86400 },
	{ "sekundy", 1 },
	{ "chas", 3600 },
	/* Chinese, Japanese (romanised too), Korean */
	{ "秒", 1 },
	{ "byou", 1 },
	{ "byo ", 1 },
	{ "초", 1 },
	{ "分", 60 },
	{ "fun ", 60 },
	{ "pun ", 60 },
	{ "분", 60 },
	{ "小时", 3600 },
	{ "小時", 3600 },
	{ "時間", 3600 },
	{ "jikan", 3600 },
	{ "시간", 3600 },
	{ "天", 86400 },
	{ "日", 86400 },
};

/* Numbers in words that stand before a unit. */
#define N(word, value)                                                                             \
	{                                                                                          \
		word, sizeof(word) - 1, value                                                      \
	}
static const struct {
	const char *word;
	uint8_t len, value;
} numbers[] = {
	N("a", 1),	 N("an", 1),	  N("one", 1),	   N("two", 2),	     N("three", 3),
	N("four", 4),	 N("five", 5),	  N("ten", 10),	   N("fifteen", 15), N("twenty", 20),
	N("thirty", 30), N("sixty", 60),  N("einer", 1),   N("einem", 1),    N("eine", 1),
	N("funf", 5),	 N("fuenf", 5),	  N("zehn", 10),   N("une", 1),	     N("cinq", 5),
	N("dix", 10),	 N("quinze", 15), N("una", 1),	   N("unora", 1),    N("cinco", 5),
	N("diez", 10),	 N("dez", 10),	  N("quince", 15), N("uma", 1),	     N("cinque", 5),
	N("dieci", 10),	 N("een", 1),	  N("vijf", 5),	   N("tien", 10),    N("пять", 5),
	N("десять", 10), N("один", 1),	  N("одну", 1),
};

/* Words before a number that make it a time to wait. */
static const char *const before[] = {
	"in",	     "after",	  "wait",	"waiting",    "for",	  "another",	"delay",
	"delayed",   "retry",	  "again",	"back",	      "later",	  "seconds",	"minutes",
	"interval",  "remaining", "nach",	"warten",     "noch",	  "fruhestens", "dans",
	"apres",     "attendre",  "pendant",	"dici",	      "en",	  "dentro",	"despues",
	"espere",    "tras",	  "em",		"apos",	      "aguarde",  "daqui",	"tra",
	"fra",	     "dopo",	  "attendere",	"over",	      "na",	  "wacht",	"za",
	"po",	     "om",	  "efter",	"через",      "после",	  "спустя",	"подождите",
	"подождать", "cherez",	  "greylisted", "graylisted", "greylist", "deferred",	"time",
	"until",     "left",	  "период",
};

/* Words that may stand between those and the number. */
static const char *const fillers[] = {
	"about",    "approximately",
	"approx",   "roughly",
	"around",   "at",
	"least",    "the",
	"next",	    "minimum",
	"min",	    "some",
	"a",	    "to",
	"of",	    "and",
	"or",	    "etwa",
	"ca",	    "circa",
	"rund",	    "mindestens",
	"den",	    "environ",
	"au",	    "moins",
	"les",	    "de",
	"unos",	    "al",
	"menos",    "aproximadamente",
	"cerca",    "pelo",
	"almeno",   "ongeveer",
	"minimaal", "примерно",
	"около",    "more",
	"is",	    "period",
	"another",  "further",
	"di",	    "da",
};

/* Words behind a time that make it one to wait. */
static const char *const behind[] = {
	"later",       "before re",	"before try", "before send",
	"before next", "to wait",	"then",	      "and try",
	"and then",    "from now",	"delay",      "remaining",
	"left",	       "warten",	"spater",     "spaeter",
	"erneut",      "plus tard",	"avant de",   "mas tarde",
	"antes de",    "depois",	"mais tarde", "piu tardi",
	"prima di",    "later opnieuw", "wachten",    "позже",
	"спустя",      "sonra",		"后",	      "後",
	"以后",	       "以後",		"再",	      "待",
	"ほど",	       "go ni",		"ato",	      "후",
};

/* Things that a limit counts: "30 messages in 60 seconds" is none of our waiting. */
static const char *const counted[] = {
	"message",    "mail",	 "email",    "recipient", "rcpt",    "connection",
	"session",    "request", "attempt",  "error",	  "command", "nachricht",
	"verbindung", "сообщен", "соединен", "письм",
};

static bool starts(const char *p, const char *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - p) >= len && memcmp(p, word, len) == 0;
}

static bool one_of(const char *const *words, size_t n, const char *p, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(words[i]) == len && memcmp(words[i], p, len) == 0)
			return true;
	return false;
}

#define ONE_OF(words, p, len) one_of(words, sizeof(words) / sizeof(*(words)), p, len)

/* The word that ends before `at` (behind which a blank may stand); its beginning. */
static const char *word_before(const char *text, const char *at, size_t *ret_len)
{
	const char *stop = at, *start;

	while (stop > text && stop[-1] == ' ')
		stop--;
	start = stop;
	while (start > text && start[-1] != ' ')
		start--;
	*ret_len = (size_t)(stop - start);
	return start;
}

/* "more than 30 messages in": a number and what it counts, shortly before. */
static bool counts_something(const char *text, const char *at)
{
	bool thing = false;

	for (int back = 0; back < 5; back++) {
		size_t len;

		at = word_before(text, at, &len);
		if (!len)
			return false;
		if (thing && at[0] >= '0' && at[0] <= '9')
			return true;
		for (size_t i = 0; i < sizeof(counted) / sizeof(*counted); i++)
			thing = thing || starts(at, at + len, counted[i]);
	}
	return false;
}

static bool told_to_wait(const char *text, const char *number, const char *unit_end,
			 const char *end)
{
	const char *at = number;
	size_t len;

	for (int back = 0; back <= FILLERS_MAX; back++) {
		at = word_before(text, at, &len);
		if (!len)
			break;
		if (ONE_OF(before, at, len)) {
			if (!counts_something(text, at))
				return true;
			break;
		}
		if (!ONE_OF(fillers, at, len) && !(at[0] >= '0' && at[0] <= '9'))
			break;
	}
	for (const char *p = unit_end; p < end && p < unit_end + CUE_WITHIN; p++) {
		if (p > text && p[-1] != ' ' && (unsigned char)*p < 0xe0)
			continue;
		for (size_t i = 0; i < sizeof(behind) / sizeof(*behind); i++)
			if (starts(p, end, behind[i]))
				return !counts_something(text, number);
	}
	return false;
}

static const struct unit *unit_at(const char **at, const char *end)
{
	const char *p = *at;

	while (p < end && *p == ' ')
		p++;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (starts(p, end, units[i].word)) {
			p += strlen(units[i].word);
			while (p[-1] != ' ' && p < end && *p != ' ' && (unsigned char)*p < 0xe0)
				p++;
			*at = p;
			return &units[i];
		}
	return NULL;
}

static int64_t digits_at(const char **at, const char *end)
{
	int64_t value = 0;

	for (; *at < end && **at >= '0' && **at <= '9'; ++*at)
		if (value < 10000000)
			value = 10 * value + (**at - '0');
	return value;
}

/* A number in digits or words at the beginning of a word; false: none. */
static bool number_at(const char **at, const char *end, int64_t *ret)
{
	const char *stop = *at;

	if (stop < end && *stop >= '0' && *stop <= '9') {
		*ret = digits_at(at, end);
		return true;
	}
	/* most words begin like none of them */
	if ((unsigned char)*stop < 0x80 && !strchr("acdefoqstuvz", *stop))
		return false;
	while (stop < end && *stop != ' ')
		stop++;
	/* nor is it one without a unit behind it, or within it ("unora") */
	if (stop + 1 < end && (unsigned char)stop[1] < 0x80 && **at != 'u' &&
	    !strchr("bdfghjmopstu", stop[1]))
		return false;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (numbers[i].len == stop - *at && numbers[i].word[0] == **at &&
		    memcmp(numbers[i].word, *at, (size_t)(stop - *at)) == 0) {
			*ret = numbers[i].value;
			*at = strcmp(numbers[i].word, "unora") == 0 ? stop - 3 : stop;
			return true;
		}
	return false;
}

static int32_t capped(int64_t seconds)
{
	return seconds > WAIT_MAX_S ? WAIT_MAX_S : (int32_t)seconds;
}

/* "00:04:58", "04:58": hours, minutes, seconds. Two parts behind "after" are a time of day. */
static int32_t clock_wait(const char *text, const char *number, const char *end)
{
	const char *p = number;
	int64_t parts[3] = { 0 };
	int n = 0;
	size_t len;
	const char *word = word_before(text, number, &len);

	do {
		parts[n++] = digits_at(&p, end);
	} while (n < 3 && p < end && *p == ':' && p++);
	if (!told_to_wait(text, number, p, end) ||
	    (len == 5 && memcmp(word, "until", 5) == 0) || /* a time of day */
	    (n == 2 && len == 5 && memcmp(word, "after", 5) == 0))
		return -1;
	return capped(n == 3 ? 3600 * parts[0] + 60 * parts[1] + parts[2]
			     : 60 * parts[0] + parts[1]);
}

/* "1 hour and 30 minutes", from its first number on. */
static int32_t words_wait(const char *text, const char *number, const char *end)
{
	const char *p = number;
	int64_t value, sum = 0;
	const struct unit *unit;

	if (!number_at(&p, end, &value))
		return -1;
	unit = unit_at(&p, end);
	if (!unit) {
		/* "retry after 300": the header field of HTTP, in seconds */
		size_t len;
		const char *word = word_before(text, number, &len);
		const char *second = word_before(text, word, &len);

		if (value >= 10 && *number <= '9' && (p >= end || *p == ' ') &&
		    starts(second, end, "retry ") &&
		    (starts(word, end, "after ") || starts(word, end, "in ")))
			return capped(value);
		return -1;
	}
	if (!told_to_wait(text, number, p, end))
		return -1;
	for (;;) {
		const char *next = p;

		sum += value * unit->seconds;
		while (next < end && *next == ' ')
			next++;
		if (starts(next, end, "and "))
			next += 4;
		if (next >= end || *next < '0' || *next > '9' || !number_at(&next, end, &value))
			break;
		unit = unit_at(&next, end);
		if (!unit)
			break;
		p = next;
	}
	return capped(sum);
}

int32_t rc_reply_wait_s(const char *folded, size_t len)
{
	const char *end = folded + len;

	for (const char *p = folded; p < end; p++) {
		const char *q = p;
		int32_t wait;
		bool digit = *p >= '0' && *p <= '9';

		if (p > folded && (unsigned char)p[-1] < 0x80 && p[-1] != ' ')
			continue;
		if (*p == ' ')
			continue;
		while (digit && q < end && *q >= '0' && *q <= '9')
			q++;
		wait = digit && q + 1 < end && *q == ':' ? clock_wait(folded, p, end)
							 : words_wait(folded, p, end);
		if (wait > 0)
			return wait;
		if (digit)
			p = q - 1;
	}
	return -1;
}
