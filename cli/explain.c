/*
 * explain - what SMTP replies mean: lines in, lines of JSON out, no server.
 *
 * What has been read is answered before more is read, so that a program may talk with it over two
 * pipes. A line of any length and of any octets gets exactly one line of output; what is beyond a
 * cap is said on standard error, never left out silently.
 */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/base/buf.h"
#include "common/reply/data_dir.h"
#include "common/reply/explain.h"
#include "common/reply/providers.h"

enum { READ_AT_ONCE = 256 << 10, LINE_MAX_OCTETS = 16 << 20, WRITE_AT = 256 << 10 };

struct explaining {
	struct rc_rules *rules;
	struct rc_providers *providers;
	enum rc_stage stage;
	const char *provider;
	bool why;
	struct rc_buf in, out;
	uintmax_t line; /* the number of the one being read, from 1 */
	bool over;	/* it is longer than LINE_MAX_OCTETS: what follows of it is passed over */
	int exit_status;
};

/* The file, or the folder's files; the providers stand beside the programs where a file of replies
 * is named. */
static enum rc_status load(struct explaining *e, const char *path, struct rc_error *err)
{
	char dir[PATH_MAX], installed[PATH_MAX];
	struct stat st;
	rc_data_dir_find(path ? path : getenv("ROLLCALL_RULES_DIR"), dir);
	rc_data_dir_find(NULL, installed);
	enum rc_status status = rc_rules_load(dir, &e->rules, err);
	if (status != RC_OK)
		return status;
	status = rc_providers_load(stat(dir, &st) == 0 && S_ISDIR(st.st_mode) ? dir : installed,
				   &e->providers, err);
	return status == RC_OK ? rc_rules_check_providers(e->rules, e->providers, err) : status;
}

static bool write_out(struct explaining *e)
{
	size_t done = 0;
	while (done < e->out.len) {
		ssize_t n = write(STDOUT_FILENO, e->out.data + done, e->out.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cli_warn("cannot write to standard output: %s", strerror(errno));
			e->exit_status = CLI_FAILED;
			return false;
		}
		done += (size_t)n;
	}
	rc_buf_clear(&e->out);
	return true;
}

static bool take_line(struct explaining *e, const char *line, size_t len)
{
	bool cut = false;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (!rc_explain_line(e->rules, e->stage, e->provider, line, len, e->why, &e->out, &cut)) {
		cli_warn("line %ju: out of memory", e->line);
		e->exit_status = CLI_FAILED;
		return false;
	}
	if (e->over)
		cli_warn("line %ju is longer than %d MiB: the rest of it is not shown", e->line,
			 LINE_MAX_OCTETS >> 20);
	if (cut)
		cli_warn("line %ju: the rules looked at its first %d octets", e->line,
			 RC_REPLY_TEXT_MAX);
	e->line++;
	e->over = false;
	return e->out.len < WRITE_AT || write_out(e);
}

/* Takes what was just added to `in`, from `from` on, apart into lines; the beginning of one that is
 * not complete stays. */
static bool take_lines(struct explaining *e, size_t from)
{
	size_t start = 0;
	const char *end;
	while ((end = memchr(e->in.data + from, '\n', e->in.len - from))) {
		size_t stop = (size_t)(end - e->in.data);
		if (!take_line(e, e->in.data + start, e->over ? LINE_MAX_OCTETS : stop - start))
			return false;
		start = from = stop + 1;
	}
	if (start > 0)
		rc_buf_consume(&e->in, start);
	if (e->in.len > LINE_MAX_OCTETS) {
		e->in.len = LINE_MAX_OCTETS;
		e->over = true;
	}
	return true;
}

static int run(struct explaining *e)
{
	char *chunk = malloc(READ_AT_ONCE);
	if (!chunk) {
		cli_warn("out of memory");
		return CLI_FAILED;
	}
	for (;;) {
		ssize_t n = read(STDIN_FILENO, chunk, READ_AT_ONCE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cli_warn("cannot read standard input: %s", strerror(errno));
			e->exit_status = CLI_USAGE;
			break;
		}
		if (n == 0) {
			if (e->in.len == 0 || take_line(e, e->in.data, e->in.len))
				write_out(e);
			break;
		}
		size_t from = e->in.len;
		rc_buf_add(&e->in, chunk, (size_t)n);
		if (e->in.failed) {
			cli_warn("line %ju: out of memory", e->line);
			e->exit_status = CLI_FAILED;
			break;
		}
		if (!take_lines(e, from) || !write_out(e))
			break;
	}
	free(chunk);
	return e->exit_status;
}

/* What may stand behind --stage. A reply at connect is the greeting. */
static const struct {
	const char *name;
	enum rc_stage stage;
} stages[] = {
	{ "connect", RC_STAGE_GREETING },
	{ "ehlo", RC_STAGE_EHLO },
	{ "mail", RC_STAGE_MAIL },
	{ "rcpt", RC_STAGE_RCPT },
};

int cli_explain(const struct cli_command *command, int argc, char **argv)
{
	enum { PROVIDER = 1, STAGE, WHY, RULES };
	static const struct option options[] = { { "provider", required_argument, NULL, PROVIDER },
						 { "stage", required_argument, NULL, STAGE },
						 { "why", no_argument, NULL, WHY },
						 { "rules", required_argument, NULL, RULES },
						 { 0 } };
	struct explaining e = { .stage = RC_STAGE_RCPT, .line = 1 };
	const char *rules = NULL;
	struct rc_error err;
	int letter;
	while ((letter = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (letter) {
		case PROVIDER:
			e.provider = optarg;
			break;
		case STAGE:
			e.stage = RC_STAGE_UNSET;
			for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
				if (strcmp(optarg, stages[i].name) == 0)
					e.stage = stages[i].stage;
			if (!e.stage)
				return cli_misuse(
				    command,
				    "there is no stage \"%s\": connect, ehlo, mail or rcpt.",
				    optarg);
			break;
		case WHY:
			e.why = true;
			break;
		case RULES:
			rules = optarg;
			break;
		default:
			return cli_bad_option(command, letter, argv[optind - 1]);
		}
	}
	if (optind < argc)
		return cli_misuse(command, "replies come on standard input; what is \"%s\"?",
				  argv[optind]);
	rc_buf_init(&e.in, 0);
	rc_buf_init(&e.out, 0);
	int exit_status;
	if (load(&e, rules, &err) != RC_OK)
		exit_status = cli_fail(&err);
	else if (e.provider && !rc_providers_find(e.providers, e.provider))
		exit_status = cli_misuse(
		    command, "there is no provider \"%s\"; data/providers has their names.",
		    e.provider);
	else
		exit_status = run(&e);
	rc_buf_done(&e.in);
	rc_buf_done(&e.out);
	rc_providers_free(e.providers);
	rc_rules_free(e.rules);
	return exit_status;
}
