/*
 * options - one table a program makes its flags, ROLLCALL_* variables, INI keys, --help,
 * --print-config and docs.
 *
 * Precedence: flag, variable, file (--config FILE, `name = value` lines, `#` comments), default. An
 * unknown flag or key is fatal and named, with its line for a file. A value out of its range is
 * refused with the range. Values are stored into a config struct of the program at `offset`;
 * strings are owned by the option set and live as long as it.
 *
 * Flags may stand before and behind operands; `--` ends them. A row named "output,o" is --output
 * and -o. A row whose name begins with # is a heading: { .name = "#Kafka" }. An empty variable
 * counts as not set. A value may also come from the file that ROLLCALL_CONFIG names. argv is put in
 * order: flags first, operands after.
 *
 * Every program has --help, --version, --config FILE, --print-config and --print-docs (the Markdown
 * table of docs/configuration) without naming them.
 */
#ifndef RC_BASE_OPTIONS_H
#define RC_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

enum rc_option_type {
	RC_OPTION_STRING = 1, /* const char *; NULL when absent */
	RC_OPTION_INT,	      /* int64_t, within [min, max] */
	RC_OPTION_BOOL, /* bool: on/off, true/false, yes/no, 1/0; a flag alone means on; --no-NAME
			   means off */
	RC_OPTION_DURATION, /* int64_t ms: 250ms 330s 35m 12h 3d; a bare number is seconds */
	RC_OPTION_SIZE,	    /* int64_t octets: 512 64k 16M 1G (1024-based) */
	RC_OPTION_DOUBLE    /* double, within [min, max] */
};

struct rc_option {
	const char *name; /* "mail-from": flag --mail-from, variable ROLLCALL_MAIL_FROM, INI key
			     mail-from */
	enum rc_option_type type;
	size_t offset;	   /* of the value in the config struct */
	double min, max;   /* both 0: no range */
	const char *value; /* default, in the same words a user would write; NULL: absent */
	const char *unit;  /* "ms", "octets", "host:port" for --help, or NULL */
	bool reloadable;   /* SIGHUP takes a new value from the file */
	bool secret;	   /* --print-config writes ****** */
	const char *help;  /* one sentence */
};

struct rc_options;

/*
 * Reads argv, the environment and the file. `table` ends in a row without name; `config` is the
 * program's struct, zeroed by the caller. On success *ret_options owns every string (free it last)
 * and *ret_rest is the index in argv of the first operand. RC_INVALID: `err` says which flag,
 * variable or file line, and what would be right. RC_CONFLICT: --help, --version, --print-config or
 * --print-docs was asked for and printed; exit with status 0.
 */
enum rc_status rc_options_parse(const struct rc_option *table, const char *program,
				const char *usage, int argc, char **argv, void *config,
				struct rc_options **ret_options, int *ret_rest,
				struct rc_error *err) RC_MUST_CHECK;
void rc_options_free(struct rc_options *options);
/* Whether a value was given at all (flag, variable or file), as opposed to the default. */
bool rc_options_given(const struct rc_options *options, const char *name);

/* The parser behind RC_OPTION_DURATION, for lists such as "330s,2100s,12600s". */
enum rc_status rc_duration_parse(const char *text, size_t len, int64_t *ret_ms) RC_MUST_CHECK;

#endif
