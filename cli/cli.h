/*
 * cli - what the commands of `rollcall` share: exit statuses, the options every client command takes, and the commands.
 *
 * One thread. Failures end as one sentence on standard error, prefixed with "rollcall: ", and one of the statuses below.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "common/base/status.h"

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,       /* the job failed or was cancelled; anything without a number of its own */
	CLI_USAGE = 2,        /* wrong usage, or input that was refused */
	CLI_NO_SERVER = 3,    /* no server, or no key that it takes */
	CLI_NO_LANE = 4,      /* no lane is fit to probe */
	CLI_INTERIM = 5,      /* check --wait: the verdict is not final */
	CLI_INTERRUPTED = 130 /* Ctrl-C; the job goes on */
};

struct cli_command {
	const char *name;
	const char *usage;   /* what follows "rollcall NAME" */
	const char *summary; /* one line, for `rollcall --help` */
	const char *help;    /* the options and what they do */
	int (*run)(const struct cli_command *command, int argc, char **argv);
};

/* argv[0] is the command's name. They return an enum cli_exit. */
int cli_up(const struct cli_command *command, int argc, char **argv);
int cli_verify(const struct cli_command *command, int argc, char **argv);
int cli_check(const struct cli_command *command, int argc, char **argv);
int cli_explain(const struct cli_command *command, int argc, char **argv);
int cli_jobs(const struct cli_command *command, int argc, char **argv);
int cli_suppress(const struct cli_command *command, int argc, char **argv);
int cli_lanes(const struct cli_command *command, int argc, char **argv);
int cli_doctor(const struct cli_command *command, int argc, char **argv);
int cli_outcomes(const struct cli_command *command, int argc, char **argv);
int cli_regrade(const struct cli_command *command, int argc, char **argv);
int cli_domains(const struct cli_command *command, int argc, char **argv);

/* Whether `list` is names of result statuses with commas between; else says which is none and which there are. */
bool cli_statuses(const struct cli_command *command, const char *list);
void cli_usage(const struct cli_command *command);
/* Prints "rollcall: ..." and the way to --help; returns CLI_USAGE. */
int cli_misuse(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What getopt_long(":...") does not like: `letter` is what it returned, `arg` the last argument it took. Returns CLI_USAGE. */
int cli_bad_option(const struct cli_command *command, int letter, const char *arg);
/* Prints err's sentence; returns the exit status that fits it. */
int cli_fail(const struct rc_error *err);
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From here on Ctrl-C only sets what cli_interrupted() says; system calls return with EINTR. A second one kills. */
void cli_catch_interrupt(void);
bool cli_interrupted(void);
/* Less when interrupted. */
void cli_sleep_ms(int ms);

#endif
