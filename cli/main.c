/*
 * rollcall - the command. Finds the subcommand in one table, which also makes the help.
 */
#include "cli/cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/reply/reason.h"

#define CLIENT_HELP                                                                                                              \
	"  --url URL         the server: http://host:port, or unix:/path/of/its/socket (ROLLCALL_URL; else the file DIR/url)\n"   \
	"  --data DIR        where `rollcall up` keeps its data; its key is DIR/key (ROLLCALL_DATA; else /var/lib/rollcall for\n" \
	"                    root, ~/.local/share/rollcall for others). ROLLCALL_KEY: a key instead of that file\n"

static const struct cli_command commands[] = {
	{ "up", "[--data DIR] [--OPTION VALUE ...]", "run the whole system on this machine, until Ctrl-C",
	  "  --data DIR        where everything is kept (ROLLCALL_DATA; else /var/lib/rollcall for root, ~/.local/share/rollcall)\n"
	  "  --pg-bin DIR      PostgreSQL's programs (ROLLCALL_PG_BIN; else the newest of /usr/lib/postgresql/*/bin)\n"
	  "  --config FILE     options as `name = value` lines\n"
	  "  --OPTION VALUE    any option of rollcall-coordinator and rollcall-worker (see their --help), such as --lanes,\n"
	  "                    --listen, --dns; ROLLCALL_* variables do the same. With --database or --brokers the embedded\n"
	  "                    PostgreSQL or broker is not started and that one is used.\n"
	  "Ctrl-C stops everything; the next `rollcall up` on the same DIR goes on with unfinished jobs.\n",
	  cli_up },
	{ "verify", "FILE [-o OUT] [--column C] [--status S] [--max-age SPAN] [--json]", "verify a list: upload, progress, download",
	  "  FILE              CSV, text or NDJSON, plain or gzip or zstd; - is standard input\n"
	  "  -o, --output OUT  write the results there when all are in (else to standard output)\n"
	  "  --column C        the column of the addresses, by name\n"
	  "  --status S        only rows of this status, or several: valid,catch_all\n"
	  "  --max-age SPAN    addresses that an earlier list of yours has a verdict for, no older than this (12h, 30d), are not asked again;\n"
	  "                    a refusal counts for 3 days at most, what is risky for 7, what is accepted for 30\n"
	  "  --json            results as NDJSON instead of CSV\n"
	  "  --suppress-invalid   add the mailboxes that are refused to the list of `rollcall suppress`\n" CLIENT_HELP
	  "Exit status: 0 every row has its result, 1 failed or cancelled, 2 usage or refused input, 3 no server or key,\n"
	  "4 no lane fit to probe, 130 Ctrl-C (the job goes on; how to come back to it is printed).\n",
	  cli_verify },
	{ "check", "ADDRESS... [--wait S] [--json]", "verify single addresses and show the conversation",
	  "  --wait S          wait so many seconds, then print what is known so far; exit status 5 if that is not final\n"
	  "  --json            the row with its evidence as JSON, one a line\n"
	  "The line `more:` names the page that tells what the reason means and what to do with it (GET /docs/reasons: all).\n" CLIENT_HELP,
	  cli_check },
	{ "explain", "[--provider P] [--stage S] [--why] [--rules PATH]", "say what SMTP replies mean, without a server",
	  "Reads replies from standard input, one a line, the two characters \\n between the lines of a multi-line one. Prints one line\n"
	  "of JSON for each: reply, code, enhanced, fault, category, rule, status, reason, retry_after_s; null where there is none.\n"
	  "Status and reason are as if the reply were the last word and a random address had been refused.\n"
	  "  --provider P      who answered: a name of data/providers (gmail, microsoft365 ...)\n"
	  "  --stage S         where in the conversation: connect, ehlo, mail or rcpt (default)\n"
	  "  --why             with beat: the rules that matched too, and were beaten\n"
	  "  --rules PATH      a folder with replies and providers, or a file of replies (ROLLCALL_RULES_DIR; else data/ as\n"
	  "                    installed). Without input (</dev/null) this checks the rules: exit 2 and the line of what is wrong\n"
	  "What a reason means and what to do with it: docs/reasons/REASON.md, or GET /docs/reasons/REASON of a server.\n",
	  cli_explain },
	{ "jobs", "list | show ID | results ID [-o OUT] | wait ID | resume ID [-o OUT] | cancel ID", "the server's jobs",
	  "  list              all jobs, newest first\n"
	  "  show ID           state and counts\n"
	  "  results ID        download what there is now\n"
	  "  wait ID           show the progress until the job has ended\n"
	  "  resume ID         let a paused job go on, wait for it, download\n"
	  "  cancel ID         probe no more; rows without a verdict become skipped\n"
	  "  -o, --output OUT  write results there (else to standard output)\n"
	  "  --status S        only rows of this status, or several: valid,catch_all\n"
	  "  --format F        csv (default) or ndjson;  --json: ndjson, and list and show as JSON\n" CLIENT_HELP,
	  cli_jobs },
	{ "suppress", "add FILE|ENTRY... | list | remove ENTRY...", "whom never to mail",
	  "  add FILE          addresses and domains, one a line, or CSV or NDJSON, plain or gzip or zstd; - is standard input\n"
	  "  add ENTRY...      addresses (ann@example.org) and whole domains (example.org)\n"
	  "  list              what is there, newest first, and where it comes from\n"
	  "  remove ENTRY...   takes them off; without --client for every customer\n"
	  "  --client C        of one of your customers only (else: for all)\n"
	  "  --column C        the column of the addresses, by name or number\n"
	  "  --domain D        list only what belongs to this domain\n"
	  "  --json            as JSON\n" CLIENT_HELP
	  "Rows of later lists that stand here are `suppressed`, and nobody is asked. Exit status 2: some rows were no address and no\n"
	  "domain; the rest was added.\n",
	  cli_suppress },
	{ "lanes", "[list | show NAME | drain NAME | activate NAME]", "the sending identities: how they stand, and why",
	  "  list              all lanes: state (active, warming_up, draining, unfit, dead) and health (ok, slow, blocked, probation)\n"
	  "  show NAME         one with its reasons: who holds it, how each MX group receives it, what doctor found, what has moved\n"
	  "  drain NAME        nothing new from it: what has begun there ends there. Needs an admin's key\n"
	  "  activate NAME     new work again\n"
	  "  --json            as JSON\n" CLIENT_HELP,
	  cli_lanes },
	{ "doctor", "[--OPTION VALUE ...]", "is this machine fit to probe",
	  "Looks at each lane: does this machine have its address, is port 25 open from it, is its reverse DNS its HELO name and does that\n"
	  "lead back, can its MAIL FROM be answered; are database and broker there (these decide); SPF, abuse@ and postmaster@, block\n"
	  "lists and limits (these warn). Every worker does the same at start and every hour.\n"
	  "  --OPTION VALUE    any option of rollcall-worker and rollcall-coordinator, such as --lanes, --mail-from, --dns,\n"
	  "                    --doctor-target, --dnsbls; ROLLCALL_* variables do the same\n"
	  "  --config FILE     options as `name = value` lines\n"
	  "Exit status: 0 fit, 1 not fit (what FAIL and unsure say is to be mended), 2 wrong settings.\n",
	  cli_doctor },
	{ "outcomes", "import FILE [--format F] | list | show ID | accuracy", "what became of your mailings, and how the scores hold",
	  "  import FILE       bounces and deliveries of a campaign, plain or gzip or zstd; - is standard input. A CSV with the columns\n"
	  "                    address and outcome, perhaps time and diagnostic; or the export of a mail provider, known by its columns\n"
	  "  list              all imports, newest first\n"
	  "  show ID           one import: counts, and the rows that could not be read\n"
	  "  accuracy          scores given against what was delivered, and made-up addresses that were accepted\n"
	  "  --format F        generic, sendgrid, mailgun, postmark, ses, mailchimp, sparkpost or brevo (else: looked at)\n"
	  "  --name N          the import's name (else the file's)\n"
	  "  --status S, --provider P   accuracy of these rows only; -: servers without a profile\n"
	  "  --json            as JSON\n" CLIENT_HELP
	  "Exit status 2 where the file was refused; rows that could not be read are told of, and the rest counts (exit status 0).\n"
	  "What the figures mean: docs/scores.md.\n",
	  cli_outcomes },
	{ "regrade", "JOB [--apply]", "a job's verdicts under the current rules, from its evidence",
	  "Shows what would change: counts and the first rows. Nothing is probed, and nothing written without --apply. The rules are the\n"
	  "server's (--rules-dir, read anew at SIGHUP). What a row's evidence no longer decides stays as it is.\n"
	  "  --apply           write it; each row then carries the version of the rules that gave its verdict (rollcall_rules)\n"
	  "  --json            the server's answer\n" CLIENT_HELP,
	  cli_regrade },
	{ "domains", "show DOMAIN", "what is known of a mail domain",
	  "Since when, its mail servers and provider, what the random control answered, when it last accepted anybody.\n"
	  "  --json            as JSON\n" CLIENT_HELP,
	  cli_domains },
};

void cli_usage(const struct cli_command *command)
{
	printf("usage: rollcall %s %s\n%s\n%s", command->name, command->usage, command->summary, command->help);
}

int cli_misuse(const struct cli_command *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("rollcall: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	if (command)
		fprintf(stderr, "\nusage: rollcall %s %s\n", command->name, command->usage);
	else
		fputs("\nSee rollcall --help.\n", stderr);
	return CLI_USAGE;
}

bool cli_statuses(const struct cli_command *command, const char *list)
{
	char known[256] = "";

	for (unsigned i = 1; *rc_result_status_name((enum rc_result_status)i); i++)
		snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i == 1 ? "" : ", ",
			 rc_result_status_name((enum rc_result_status)i));
	for (const char *p = list;;) {
		size_t len = strcspn(p, ",");
		char word[32] = "";

		if (len < sizeof word)
			memcpy(word, p, len);
		if (rc_result_status_find(word) == RC_RESULT_UNSET) {
			cli_misuse(command, "there is no status \"%.*s\"; there are %s.", (int)(len < 64 ? len : 64), p, known);
			return false;
		}
		if (!p[len])
			return true;
		p += len + 1;
	}
}

int cli_bad_option(const struct cli_command *command, int letter, const char *arg)
{
	if (letter == ':')
		return cli_misuse(command, "%s takes a value.", arg);
	return cli_misuse(command, "%s has no option %s.", command->name, arg);
}

void cli_warn(const char *format, ...)
{
	char text[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	fprintf(stderr, "rollcall: %s\n", text);
}

int cli_fail(const struct rc_error *err)
{
	cli_warn("%s", err->text);
	switch (err->status) {
	case RC_OK:
		return CLI_OK;
	case RC_INVALID:
	case RC_LIMIT:
	case RC_NOT_FOUND:
		return CLI_USAGE;
	case RC_UNAVAILABLE:
	case RC_DENIED:
		return CLI_NO_SERVER;
	case RC_NO_MEMORY:
	case RC_CONFLICT:
	case RC_BROKEN:
		break;
	}
	return CLI_FAILED;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	interrupted = 1;
	signal(number, SIG_DFL);
}

void cli_catch_interrupt(void)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupted(void)
{
	return interrupted != 0;
}

void cli_sleep_ms(int ms)
{
	uint64_t until_ms = rc_clock_mono_ms() + (uint64_t)ms;
	while (!interrupted) {
		uint64_t now_ms = rc_clock_mono_ms();
		if (now_ms >= until_ms)
			return;
		poll(NULL, 0, (int)(until_ms - now_ms));
	}
}

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	if (argc < 2)
		return cli_misuse(NULL, "name a command.");
	const char *name = argv[1];
	if (strcmp(name, "--version") == 0) {
		puts("rollcall " ROLLCALL_VERSION);
		return CLI_OK;
	}
	bool help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
	if (help && argc == 2) {
		puts("usage: rollcall COMMAND ...\nVerifies bulk e-mail lists by asking the receiving servers.\n");
		for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
			printf("  %-8s %s\n", commands[i].name, commands[i].summary);
		puts("\nrollcall COMMAND --help tells more; rollcall --version the version.");
		return CLI_OK;
	}
	if (help)
		name = argv[2];
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		for (int k = 2; k < argc && !help && strcmp(argv[k], "--") != 0; k++)
			help = strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0;
		if (help) {
			cli_usage(&commands[i]);
			return CLI_OK;
		}
		curl_global_init(CURL_GLOBAL_DEFAULT);
		int status = commands[i].run(&commands[i], argc - 1, argv + 1);
		if (fflush(stdout) != 0 || ferror(stdout)) {
			cli_warn("cannot write to standard output: %s", strerror(errno));
			status = status ? status : CLI_FAILED;
		}
		return status;
	}
	return cli_misuse(NULL, "there is no command \"%s\".", name);
}
