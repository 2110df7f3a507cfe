/* See options.h. */
#include "common/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/arena.h"

enum {
	NAME_MAX_LEN = 48,
	VARIABLE_MAX = NAME_MAX_LEN + 16,
	LINE_MAX_LEN = 65536, /* octets of a line of the file */
	FILE_LINES_MAX = 10000,
	HEADING = '#'
};

enum source { FROM_NOWHERE = 0, FROM_DEFAULT, FROM_FILE, FROM_VARIABLE, FROM_FLAG };

/* What is known of one row of the table while it is read and afterwards. */
struct value {
	char name[NAME_MAX_LEN]; /* without the letter */
	char letter;		 /* 0: none */
	enum source source;
	const char *text;
	unsigned line; /* of the file */
};

struct rc_options {
	struct rc_arena *arena;
	const struct rc_option *table;
	size_t count;
	struct value *values;
	const char *program;
	const char *usage;
	const char *file;
	bool print_config;
};

/* What every program has. The rows are for --help and the nearest name only. */
static const struct {
	const char *name, *value, *help;
} common_flags[] = {
	{ "config", "FILE",
	  "Read options from FILE: `name = value` lines, # begins a comment line "
	  "(ROLLCALL_CONFIG)." },
	{ "print-config", NULL, "Print what the options come to, as such a file, and exit." },
	{ "print-docs", NULL, "Print the options as a Markdown table and exit." },
	{ "version", NULL, "Print the version and exit." },
	{ "help", NULL, "Print this and exit." },
};
enum { COMMON_FLAGS = sizeof(common_flags) / sizeof(*common_flags) };

static const char *const type_words[] = {
	[RC_OPTION_STRING] = "TEXT",   [RC_OPTION_INT] = "N",	  [RC_OPTION_BOOL] = "",
	[RC_OPTION_DURATION] = "TIME", [RC_OPTION_SIZE] = "SIZE", [RC_OPTION_DOUBLE] = "X",
};

static bool is_heading(const struct rc_option *option)
{
	return option->name[0] == HEADING;
}

static void variable_name(const char *name, char ret_variable[VARIABLE_MAX])
{
	size_t len = (size_t)snprintf(ret_variable, VARIABLE_MAX, "ROLLCALL_");

	for (; *name && len < VARIABLE_MAX - 1; name++)
		ret_variable[len++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
	ret_variable[len] = '\0';
}

/* ---- values */

/* Digits only: strtoll would take blanks, a plus and hexadecimal. */
static bool digits_parse(const char **p, const char *end, int64_t *ret)
{
	int64_t n = 0;
	const char *start = *p;

	for (; *p < end && isdigit((unsigned char)**p); (*p)++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, **p - '0', &n))
			return false;
	*ret = n;
	return *p > start;
}

enum rc_status rc_duration_parse(const char *text, size_t len, int64_t *ret_ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = { { "", 1000 },   { "ms", 1 },	{ "s", 1000 },
		      { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
	const char *p = text, *end = text + len;
	int64_t n, ms;

	if (!digits_parse(&p, end, &n))
		return RC_INVALID;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		size_t unit_len = strlen(units[i].unit);

		if ((size_t)(end - p) != unit_len || memcmp(p, units[i].unit, unit_len) != 0)
			continue;
		if (__builtin_mul_overflow(n, units[i].ms, &ms))
			return RC_INVALID;
		*ret_ms = ms;
		return RC_OK;
	}
	return RC_INVALID;
}

static bool size_parse(const char *text, int64_t *ret)
{
	const char *p = text, *end = text + strlen(text);
	int64_t n, unit = 1;

	if (!digits_parse(&p, end, &n))
		return false;
	switch (*p) {
	case 'k':
	case 'K':
		unit = 1024;
		break;
	case 'm':
	case 'M':
		unit = 1024 * 1024;
		break;
	case 'g':
	case 'G':
		unit = 1024 * 1024 * 1024;
		break;
	default:
		break;
	}
	if (unit > 1)
		p++;
	return p == end && !__builtin_mul_overflow(n, unit, ret);
}

static bool int_parse(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	const char *p = text + negative, *end = text + strlen(text);
	int64_t n;

	if (!digits_parse(&p, end, &n) || p != end)
		return false;
	*ret = negative ? -n : n;
	return true;
}

static bool double_parse(const char *text, double *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '-' && *text != '.')
		return false;
	*ret = strtod(text, &end);
	return end != text && !*end && isfinite(*ret);
}

static bool bool_parse(const char *text, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "on", true },	  { "true", true },   { "yes", true }, { "1", true },
		{ "off", false }, { "false", false }, { "no", false }, { "0", false },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasecmp(text, words[i].word) == 0) {
			*ret = words[i].value;
			return true;
		}
	return false;
}

/* The largest unit that says it exactly. */
static void number_format(const struct rc_option *option, double value, char *ret_text, size_t size)
{
	static const struct {
		double ms;
		const char *unit;
	} times[] = {
		{ 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" }
	};
	static const struct {
		double octets;
		const char *unit;
	} sizes[] = { { 1073741824, "G" }, { 1048576, "M" }, { 1024, "k" } };

	if (option->type == RC_OPTION_DURATION && value > 0) {
		for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
			if (fmod(value, times[i].ms) < 0.5) {
				snprintf(ret_text, size, "%.0f%s", value / times[i].ms,
					 times[i].unit);
				return;
			}
	}
	if (option->type == RC_OPTION_SIZE && value > 0) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			if (fmod(value, sizes[i].octets) < 0.5) {
				snprintf(ret_text, size, "%.0f%s", value / sizes[i].octets,
					 sizes[i].unit);
				return;
			}
	}
	snprintf(ret_text, size, option->type == RC_OPTION_DOUBLE ? "%g" : "%.0f", value);
}

static bool has_range(const struct rc_option *option)
{
	return option->min != option->max;
}

static void range_format(const struct rc_option *option, char *ret_text, size_t size)
{
	char low[32], high[32];

	number_format(option, option->min, low, sizeof(low));
	number_format(option, option->max, high, sizeof(high));
	snprintf(ret_text, size, "%s to %s", low, high);
}

/* Where a value came from, for a sentence: "--brokers", "ROLLCALL_BROKERS", "/etc/rollcall.ini:12:
 * brokers". */
static void place_format(const struct rc_options *o, const struct value *value, char *ret_text,
			 size_t size)
{
	char variable[VARIABLE_MAX];

	switch (value->source) {
	case FROM_FLAG:
		snprintf(ret_text, size, "--%s", value->name);
		break;
	case FROM_VARIABLE:
		variable_name(value->name, variable);
		snprintf(ret_text, size, "%s", variable);
		break;
	case FROM_FILE:
		snprintf(ret_text, size, "%s:%u: %s", o->file, value->line, value->name);
		break;
	default:
		snprintf(ret_text, size, "the default of --%s", value->name);
		break;
	}
}

static enum rc_status value_refused(const struct rc_options *o, const struct rc_option *option,
				    const struct value *value, const char *want,
				    struct rc_error *err)
{
	char place[512];

	place_format(o, value, place, sizeof(place));
	if (option->secret)
		return rc_error_set(err, RC_INVALID, "%s: the value is not valid; it must be %s",
				    place, want);
	return rc_error_set(err, RC_INVALID, "%s: \"%.80s\" is not valid; it must be %s", place,
			    value->text, want);
}

static enum rc_status value_store(const struct rc_options *o, const struct rc_option *option,
				  const struct value *value, void *config, struct rc_error *err)
{
	static const char *const wants[] = {
		[RC_OPTION_STRING] = "text",
		[RC_OPTION_INT] = "a whole number",
		[RC_OPTION_BOOL] = "on or off",
		[RC_OPTION_DURATION] = "a time such as 250ms, 330s, 35m, 12h or 3d",
		[RC_OPTION_SIZE] = "a size such as 512, 64k, 16M or 1G",
		[RC_OPTION_DOUBLE] = "a number",
	};
	char *at = (char *)config + option->offset;
	char want[128], range[80];
	int64_t whole = 0;
	double number = 0;
	bool flag = false, good = true;

	switch (option->type) {
	case RC_OPTION_STRING:
		memcpy(at, &value->text, sizeof(value->text));
		return RC_OK;
	case RC_OPTION_BOOL:
		if (!bool_parse(value->text, &flag))
			return value_refused(o, option, value, wants[option->type], err);
		memcpy(at, &flag, sizeof(flag));
		return RC_OK;
	case RC_OPTION_INT:
		good = int_parse(value->text, &whole);
		break;
	case RC_OPTION_DURATION:
		good = rc_duration_parse(value->text, strlen(value->text), &whole) == RC_OK;
		break;
	case RC_OPTION_SIZE:
		good = size_parse(value->text, &whole);
		break;
	case RC_OPTION_DOUBLE:
		good = double_parse(value->text, &number);
		break;
	}
	if (option->type != RC_OPTION_DOUBLE)
		number = (double)whole;
	if (!good || (has_range(option) && (number < option->min || number > option->max))) {
		if (has_range(option)) {
			range_format(option, range, sizeof(range));
			snprintf(want, sizeof(want), "%s from %s", wants[option->type], range);
		} else {
			snprintf(want, sizeof(want), "%s", wants[option->type]);
		}
		return value_refused(o, option, value, want, err);
	}
	if (option->type == RC_OPTION_DOUBLE)
		memcpy(at, &number, sizeof(number));
	else
		memcpy(at, &whole, sizeof(whole));
	return RC_OK;
}

/* ---- names */

/* Levenshtein's distance, with an end: names are short. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1], a_len = strlen(a), b_len = strlen(b);

	if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_len];
}

/* The known name nearest to `name`, NULL where none is near. */
static const char *nearest(const struct rc_options *o, const char *name)
{
	size_t best = strlen(name) / 2 < 3 ? strlen(name) / 2 : 3;
	const char *found = NULL;

	for (size_t i = 0; i < o->count + COMMON_FLAGS; i++) {
		const char *known =
		    i < o->count ? o->values[i].name : common_flags[i - o->count].name;
		size_t d = known[0] ? distance(name, known) : SIZE_MAX;

		if (d < best || (d == best && !found)) {
			best = d;
			found = known;
		}
	}
	/* "--broker" for "--brokers-of-the-cluster" */
	for (size_t i = 0; !found && i < o->count; i++)
		if (strlen(name) >= 3 && strncmp(o->values[i].name, name, strlen(name)) == 0)
			found = o->values[i].name;
	return found;
}

static enum rc_status unknown_flag(const struct rc_options *o, const char *name, size_t len,
				   struct rc_error *err)
{
	char copy[NAME_MAX_LEN];
	const char *near;

	snprintf(copy, sizeof(copy), "%.*s", (int)(len < sizeof(copy) ? len : sizeof(copy) - 1),
		 name);
	near = nearest(o, copy);
	if (near)
		return rc_error_set(err, RC_INVALID, "--%s is not an option; did you mean --%s?",
				    copy, near);
	return rc_error_set(err, RC_INVALID, "--%s is not an option; --help lists them", copy);
}

static struct value *value_find(const struct rc_options *o, const char *name, size_t len,
				size_t *ret_row)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->values[i].name[0] && strlen(o->values[i].name) == len &&
		    memcmp(o->values[i].name, name, len) == 0) {
			*ret_row = i;
			return &o->values[i];
		}
	return NULL;
}

/* ---- printing */

static bool default_shown(const struct rc_option *option)
{
	return option->value && option->value[0];
}

static void help_line(const char *left, size_t width, const char *text)
{
	if (strlen(left) > width)
		printf("  %s\n  %*s  %s\n", left, (int)width, "", text);
	else
		printf("  %-*s  %s\n", (int)width, left, text);
}

static void flag_format(const struct rc_option *option, const struct value *value, char *ret_text,
			size_t size)
{
	char letter[8] = "";
	const char *word = type_words[option->type];

	if (value->letter)
		snprintf(letter, sizeof(letter), "-%c, ", value->letter);
	if (option->unit && option->type != RC_OPTION_BOOL && strcmp(option->unit, "ms") != 0 &&
	    strcmp(option->unit, "octets") != 0)
		word = option->unit;
	snprintf(ret_text, size, "%s--%s%s%s", letter, value->name, *word ? " " : "", word);
}

static void help_print(const struct rc_options *o)
{
	enum { WIDTH = 30 };
	char left[128], text[RC_ERROR_MAX], range[80], variable[VARIABLE_MAX];
	bool heading = false;

	printf("Usage: %s %s\n", o->program, o->usage ? o->usage : "[options]");
	for (size_t i = 0; i < o->count; i++) {
		const struct rc_option *option = &o->table[i];
		size_t len;

		if (is_heading(option)) {
			printf("\n%s:\n", option->name + 1);
			heading = true;
			continue;
		}
		if (!heading)
			printf("\nOptions:\n");
		heading = true;
		flag_format(option, &o->values[i], left, sizeof(left));
		variable_name(o->values[i].name, variable);
		len = (size_t)snprintf(text, sizeof(text), "%s (%s", option->help, variable);
		if (len < sizeof(text) && default_shown(option))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "; default %s",
						option->secret ? "set" : option->value);
		if (len < sizeof(text) && has_range(option)) {
			range_format(option, range, sizeof(range));
			len += (size_t)snprintf(text + len, sizeof(text) - len, "; %s", range);
		}
		if (len < sizeof(text))
			snprintf(text + len, sizeof(text) - len, ")");
		help_line(left, WIDTH, text);
	}
	printf("\nEvery program:\n");
	for (size_t i = 0; i < COMMON_FLAGS; i++) {
		snprintf(left, sizeof(left), "--%s%s%s", common_flags[i].name,
			 common_flags[i].value ? " " : "",
			 common_flags[i].value ? common_flags[i].value : "");
		help_line(left, WIDTH, common_flags[i].help);
	}
	printf("\nA flag goes before its variable, the variable before the file, the file before "
	       "the default.\n");
}

static void config_print(const struct rc_options *o)
{
	char place[512];

	for (size_t i = 0; i < o->count; i++) {
		const struct rc_option *option = &o->table[i];
		const struct value *value = &o->values[i];

		if (is_heading(option)) {
			printf("\n# ---- %s\n", option->name + 1);
			continue;
		}
		if (value->source > FROM_DEFAULT) {
			place_format(o, value, place, sizeof(place));
			printf("# from %s\n", place);
		}
		if (!value->text)
			printf("# %s =\n", value->name);
		else if (option->secret && value->text[0])
			printf("%s = ******\n", value->name);
		else
			printf("%s = %s\n", value->name, value->text);
	}
}

/* A cell of a Markdown table: a bar would end it. */
static void cell_print(const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			putchar('\\');
		putchar(*text);
	}
}

static void docs_print(const struct rc_options *o)
{
	char variable[VARIABLE_MAX], range[80];
	bool open = false;

	for (size_t i = 0; i < o->count; i++) {
		const struct rc_option *option = &o->table[i];

		if (is_heading(option)) {
			printf("%s### %s\n\n", open ? "\n" : "", option->name + 1);
			open = false;
			continue;
		}
		if (!open)
			printf("| flag, file | variable | default | value | what it does "
			       "|\n|---|---|---|---|---|\n");
		open = true;
		variable_name(o->values[i].name, variable);
		printf("| `--%s` | `%s` | ", o->values[i].name, variable);
		if (default_shown(option)) {
			putchar('`');
			cell_print(option->value);
			putchar('`');
		}
		printf(" | ");
		cell_print(option->type == RC_OPTION_BOOL ? "on, off"
			   : option->unit		  ? option->unit
							  : type_words[option->type]);
		if (has_range(option)) {
			range_format(option, range, sizeof(range));
			printf(", %s", range);
		}
		printf(" | ");
		cell_print(option->help);
		printf("%s%s |\n", option->secret ? " Secret." : "",
		       option->reloadable ? " SIGHUP reads it again." : "");
	}
}

/* ---- sources */

/* One `name = value` line. */
static enum rc_status line_read(struct rc_options *o, char *text, unsigned line,
				struct rc_error *err)
{
	char *name, *end, *equals;
	const char *near;
	struct value *value;
	size_t row;

	for (name = text; isspace((unsigned char)*name); name++)
		;
	if (!*name || *name == '#')
		return RC_OK;
	for (end = name + strlen(name); end > name && isspace((unsigned char)end[-1]); end--)
		;
	*end = '\0';
	equals = strchr(name, '=');
	if (!equals)
		return rc_error_set(err, RC_INVALID,
				    "%s:%u: \"%.60s\" is not a `name = value` line", o->file, line,
				    name);
	for (end = equals; end > name && isspace((unsigned char)end[-1]); end--)
		;
	*end = '\0';
	value = value_find(o, name, strlen(name), &row);
	if (!value) {
		near = nearest(o, name);
		return rc_error_set(err, RC_INVALID, "%s:%u: \"%.60s\" is not an option%s%s%s",
				    o->file, line, name, near ? "; did you mean \"" : "",
				    near ? near : "", near ? "\"?" : "; --help lists them");
	}
	if (value->line)
		return rc_error_set(err, RC_INVALID, "%s:%u: %s stands in line %u already", o->file,
				    line, name, value->line);
	value->line = line;
	if (value->source > FROM_FILE)
		return RC_OK;
	for (text = equals + 1; isspace((unsigned char)*text); text++)
		;
	value->text = rc_arena_strdup(o->arena, text);
	if (!value->text)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory while reading %s", o->file);
	value->source = FROM_FILE;
	return RC_OK;
}

static enum rc_status file_read(struct rc_options *o, struct rc_error *err)
{
	enum rc_status status = RC_OK;
	char *text = NULL;
	size_t room = 0;
	ssize_t len;
	FILE *file = fopen(o->file, "re");

	if (!file)
		return rc_error_set(err, RC_INVALID, "--config %s: %s", o->file, strerror(errno));
	errno = 0;
	for (unsigned line = 1; status == RC_OK && (len = getline(&text, &room, file)) >= 0;
	     line++) {
		if (len > LINE_MAX_LEN || line > FILE_LINES_MAX)
			status = rc_error_set(err, RC_LIMIT,
					      "%s:%u: more than %d octets in a line or %d lines",
					      o->file, line, LINE_MAX_LEN, FILE_LINES_MAX);
		else if (strlen(text) != (size_t)len)
			status = rc_error_set(err, RC_INVALID, "%s:%u: a NUL stands in the line",
					      o->file, line);
		else
			status = line_read(o, text, line, err);
	}
	if (status == RC_OK && ferror(file))
		status = rc_error_set(err, RC_INVALID, "--config %s: %s", o->file, strerror(errno));
	free(text);
	fclose(file);
	return status;
}

static enum rc_status variables_read(struct rc_options *o, struct rc_error *err)
{
	char variable[VARIABLE_MAX];

	for (size_t i = 0; i < o->count; i++) {
		struct value *value = &o->values[i];
		const char *text;

		if (!value->name[0] || value->source == FROM_FLAG)
			continue;
		variable_name(value->name, variable);
		text = getenv(variable);
		/* An empty one is how compose files and units say "not set". */
		if (!text || !*text)
			continue;
		value->text = rc_arena_strdup(o->arena, text);
		if (!value->text)
			return rc_error_set(err, RC_NO_MEMORY, "out of memory");
		value->source = FROM_VARIABLE;
	}
	return RC_OK;
}

/* What a flag is called and what follows its '='. */
struct flag {
	const char *name;
	size_t len;
	const char *value; /* NULL: none */
	bool letter;
};

static bool flag_is(const struct flag *flag, const char *name)
{
	return !flag->letter && flag->len == strlen(name) &&
	       memcmp(flag->name, name, flag->len) == 0;
}

/* RC_CONFLICT: printed. RC_NOT_FOUND: not one of these. */
static enum rc_status common_flag(struct rc_options *o, const struct flag *flag, const char *next,
				  int *ret_took, struct rc_error *err)
{
	*ret_took = 1;
	if (flag_is(flag, "help") || (flag->letter && *flag->name == 'h')) {
		help_print(o);
		return RC_CONFLICT;
	}
	if (flag_is(flag, "version")) {
		printf("%s %s\n", o->program, ROLLCALL_VERSION);
		return RC_CONFLICT;
	}
	if (flag_is(flag, "print-config")) {
		o->print_config = true;
		return RC_OK;
	}
	if (flag_is(flag, "print-docs")) {
		docs_print(o);
		return RC_CONFLICT;
	}
	if (flag_is(flag, "config")) {
		const char *file = flag->value ? flag->value : next;

		if (!file || !*file)
			return rc_error_set(err, RC_INVALID, "--config needs the name of a file");
		*ret_took = flag->value ? 1 : 2;
		o->file = rc_arena_strdup(o->arena, file);
		return o->file ? RC_OK : rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	return RC_NOT_FOUND;
}

static enum rc_status flag_read(struct rc_options *o, const char *arg, const char *next,
				int *ret_took, struct rc_error *err)
{
	struct flag flag = { .letter = arg[1] != '-', .name = arg + (arg[1] == '-' ? 2 : 1) };
	const char *equals = strchr(flag.name, '=');
	struct value *value = NULL;
	size_t row = 0;
	enum rc_status status;
	bool negated = false;

	flag.len = equals ? (size_t)(equals - flag.name) : strlen(flag.name);
	flag.value = equals ? equals + 1 : NULL;
	if (flag.letter) {
		for (size_t i = 0; i < o->count && !value; i++)
			if (flag.len == 1 && o->values[i].letter &&
			    o->values[i].letter == *flag.name) {
				value = &o->values[i];
				row = i;
			}
	} else {
		value = value_find(o, flag.name, flag.len, &row);
		if (!value && flag.len > 3 && strncmp(flag.name, "no-", 3) == 0) {
			value = value_find(o, flag.name + 3, flag.len - 3, &row);
			negated = value && o->table[row].type == RC_OPTION_BOOL;
			if (!negated)
				value = NULL;
		}
	}
	if (!value) {
		status = common_flag(o, &flag, next, ret_took, err);
		if (status != RC_NOT_FOUND)
			return status;
		if (flag.letter)
			return rc_error_set(err, RC_INVALID,
					    "-%.40s is not an option; --help lists them",
					    flag.name);
		return unknown_flag(o, flag.name, flag.len, err);
	}
	*ret_took = 1;
	value->source = FROM_FLAG;
	if (negated) {
		if (flag.value)
			return rc_error_set(err, RC_INVALID, "--no-%s takes no value", value->name);
		value->text = "off";
		return RC_OK;
	}
	if (o->table[row].type == RC_OPTION_BOOL && !flag.value) {
		value->text = "on";
		return RC_OK;
	}
	if (!flag.value) {
		if (!next)
			return rc_error_set(err, RC_INVALID, "--%s needs a value", value->name);
		flag.value = next;
		*ret_took = 2;
	}
	value->text = rc_arena_strdup(o->arena, flag.value);
	return value->text ? RC_OK : rc_error_set(err, RC_NO_MEMORY, "out of memory");
}

/* Flags may stand behind operands: `verify list.csv --json`. Moves the operands to the end of argv,
 * in their order. */
static enum rc_status flags_read(struct rc_options *o, int argc, char **argv, int *ret_rest,
				 struct rc_error *err)
{
	char **operands = rc_arena_alloc(o->arena, sizeof(*operands) * ((size_t)argc + 1));
	int kept = argc > 0 ? 1 : 0, held = 0, i = kept, rest;

	if (!operands)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	while (i < argc) {
		enum rc_status status;
		int took = 1;

		if (strcmp(argv[i], "--") == 0) {
			argv[kept++] = argv[i++];
			while (i < argc)
				operands[held++] = argv[i++];
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			operands[held++] = argv[i++];
			continue;
		}
		status = flag_read(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &took, err);
		if (status != RC_OK)
			return status;
		while (took--)
			argv[kept++] = argv[i++];
	}
	rest = kept;
	for (int j = 0; j < held; j++)
		argv[kept++] = operands[j];
	*ret_rest = rest;
	return RC_OK;
}

/* ---- the set */

static enum rc_status table_read(struct rc_options *o, struct rc_error *err)
{
	while (o->table[o->count].name)
		o->count++;
	o->values = rc_arena_alloc(o->arena, sizeof(*o->values) * (o->count + 1));
	if (!o->values)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < o->count; i++) {
		const struct rc_option *option = &o->table[i];
		struct value *value = &o->values[i];
		const char *comma = strchr(option->name, ',');
		size_t len = comma ? (size_t)(comma - option->name) : strlen(option->name);

		if (is_heading(option))
			continue;
		if (len >= sizeof(value->name))
			return rc_error_set(err, RC_INVALID, "the option %s has too long a name",
					    option->name);
		memcpy(value->name, option->name, len);
		value->letter = comma ? comma[1] : '\0';
		value->text = option->value;
		value->source = option->value ? FROM_DEFAULT : FROM_NOWHERE;
	}
	return RC_OK;
}

static enum rc_status options_fill(struct rc_options *o, int argc, char **argv, void *config,
				   int *ret_rest, struct rc_error *err)
{
	enum rc_status status = table_read(o, err);
	const char *file;

	if (status != RC_OK)
		return status;
	status = flags_read(o, argc, argv, ret_rest, err);
	if (status != RC_OK)
		return status;
	status = variables_read(o, err);
	if (status != RC_OK)
		return status;
	file = getenv("ROLLCALL_CONFIG");
	if (!o->file && file && *file) {
		o->file = rc_arena_strdup(o->arena, file);
		if (!o->file)
			return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	if (o->file)
		status = file_read(o, err);
	for (size_t i = 0; status == RC_OK && i < o->count; i++)
		if (o->values[i].text)
			status = value_store(o, &o->table[i], &o->values[i], config, err);
	return status;
}

enum rc_status rc_options_parse(const struct rc_option *table, const char *program,
				const char *usage, int argc, char **argv, void *config,
				struct rc_options **ret_options, int *ret_rest,
				struct rc_error *err)
{
	struct rc_arena *arena = rc_arena_new(0);
	struct rc_options *o = arena ? rc_arena_alloc(arena, sizeof(*o)) : NULL;
	enum rc_status status;
	int rest = argc;

	if (!o) {
		rc_arena_free(arena);
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	*o = (struct rc_options){
		.arena = arena, .table = table, .program = program, .usage = usage
	};
	status = options_fill(o, argc, argv, config, &rest, err);
	if (status == RC_OK && o->print_config) {
		config_print(o);
		status = RC_CONFLICT;
	}
	if (status != RC_OK) {
		rc_options_free(o);
		return status;
	}
	*ret_options = o;
	*ret_rest = rest;
	return RC_OK;
}

void rc_options_free(struct rc_options *options)
{
	if (options)
		rc_arena_free(options->arena);
}

bool rc_options_given(const struct rc_options *options, const char *name)
{
	size_t row;
	const struct value *value = value_find(options, name, strlen(name), &row);

	return value && value->source > FROM_DEFAULT;
}
