/*
 * doctor - is this machine fit to probe: what `rollcall-worker doctor` finds of the lanes and
 * `rollcall-coordinator doctor` of database and broker, told to a person.
 *
 * The services check; this only reads their lines (lane, check, result, sentence, parted by tabs)
 * and sorts them.
 */
#include "cli/services.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/cluster.h"

enum { FINDINGS_MAX = 8192 };

struct finding {
	char *line; /* owns what the others point into */
	const char *lane, *check, *result, *text;
};

struct findings {
	struct finding *list;
	size_t count;
};

static void findings_free(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		free(findings->list[i].line);
	free(findings->list);
}

/* Takes a copy of `line`. What is no finding is passed over. */
static void findings_add(struct findings *findings, const char *line)
{
	struct finding finding = { .line = strdup(line) };
	const char **fields[] = { &finding.lane, &finding.check, &finding.result, &finding.text };
	char *at = finding.line;
	for (size_t i = 0; at && i < 4; i++) {
		*fields[i] = at;
		at = i < 3 ? strchr(at, '\t') : NULL;
		if (at)
			*at++ = '\0';
	}
	struct finding *list = finding.text && findings->count < FINDINGS_MAX
				   ? realloc(findings->list, (findings->count + 1) * sizeof *list)
				   : NULL;
	if (!list) {
		free(finding.line);
		return;
	}
	findings->list = list;
	list[findings->count++] = finding;
}

static void findings_say(struct findings *findings, const char *check, const char *result,
			 const char *text)
{
	char line[1024];
	snprintf(line, sizeof line, "\t%s\t%s\t%s", check, result, text);
	findings_add(findings, line);
}

/* `program doctor`; its sentences on standard error stay ours. *ret_status: what it ended with. */
static enum rc_status ask_service(struct findings *findings, const char *name, int *ret_status,
				  struct rc_error *err)
{
	char *path = services_program(name), line[2048];
	int fds[2], wait_status = 0;
	if (!path)
		return rc_error_set(err, RC_UNAVAILABLE,
				    "%s is not here: it belongs beside rollcall, or into PATH",
				    name);
	if (pipe(fds) != 0) {
		free(path);
		return rc_error_set(err, RC_UNAVAILABLE, "cannot make a pipe: %s", strerror(errno));
	}
	pid_t pid = fork();
	if (pid == 0) {
		char *argv[] = { path, "--log-level", "error", "doctor", NULL };
		if (dup2(fds[1], STDOUT_FILENO) >= 0) {
			close(fds[0]);
			close(fds[1]);
			execv(path, argv);
		}
		_exit(127);
	}
	close(fds[1]);
	free(path);
	FILE *file = fdopen(fds[0], "r");
	while (file && fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		findings_add(findings, line);
	}
	if (file)
		fclose(file);
	if (pid < 0 || waitpid(pid, &wait_status, 0) < 0 || !WIFEXITED(wait_status) ||
	    WEXITSTATUS(wait_status) == 127)
		return rc_error_set(err, RC_UNAVAILABLE, "%s could not be run", name);
	*ret_status = WEXITSTATUS(wait_status);
	return RC_OK;
}

/* Of a server that runs; false: none does. */
static bool ask_server(struct findings *findings, const char *data)
{
	struct client client;
	struct rc_error err;
	json_t *health = NULL;
	char text[512], url[300];
	static const char *const pieces[] = { "database", "broker" };
	if (client_init(&client, NULL, data, &err) != RC_OK)
		return false;
	bool runs = client_call(&client, "GET", "/healthz", NULL, NULL, &health, &err) == RC_OK;
	json_decref(health);
	snprintf(url, sizeof url, "the server at %.200s has it", client.url);
	for (size_t i = 0; runs && i < sizeof pieces / sizeof *pieces; i++) {
		bool lacks = client_lacks(&client, pieces[i], text, sizeof text);
		findings_say(findings, pieces[i], lacks ? "fail" : "ok", lacks ? text : url);
	}
	client_done(&client);
	return runs;
}

static void ask_backends(struct findings *findings, const char *data, struct rc_error *err,
			 enum rc_status *status)
{
	int ended;
	if (ask_server(findings, data))
		return;
	if (getenv("ROLLCALL_DATABASE") || getenv("ROLLCALL_BROKERS")) {
		*status = ask_service(findings, "rollcall-coordinator", &ended, err);
		return;
	}
	findings_say(findings, "database", "ok",
		     "`rollcall up` starts its own (no ROLLCALL_DATABASE is set)");
	char *broker = services_program("rollcall-broker");
	findings_say(findings, "broker", broker ? "ok" : "fail",
		     broker
			 ? "`rollcall up` starts its own (no ROLLCALL_BROKERS is set)"
			 : "rollcall-broker is not here: it belongs beside rollcall, or into PATH");
	free(broker);
}

static void print(const struct findings *findings)
{
	const char *lane = NULL;
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *f = &findings->list[i];
		if (!lane || strcmp(lane, f->lane) != 0)
			printf(*f->lane ? "lane %s\n" : "machine%s\n", f->lane);
		lane = f->lane;
		printf("  %-6s %-10s %s\n", strcmp(f->result, "fail") == 0 ? "FAIL" : f->result,
		       f->check, f->text);
	}
}

int cli_doctor(const struct cli_command *command, int argc, char **argv)
{
	struct findings findings = { NULL, 0 };
	const char *data = NULL, *pg_bin = NULL;
	struct rc_error err;
	bool failed;
	int worker = 0;

	int exit_status = services_options(command, argc, argv, &data, &pg_bin, &failed);
	if (failed)
		return exit_status;
	services_default_lane();
	enum rc_status status = ask_service(&findings, "rollcall-worker", &worker, &err);
	if (status == RC_OK && worker == 2) {
		findings_free(&findings);
		return CLI_USAGE; /* it has said why */
	}
	if (status == RC_OK)
		ask_backends(&findings, data, &err, &status);
	if (status != RC_OK) {
		findings_free(&findings);
		return cli_fail(&err);
	}
	print(&findings);
	size_t warnings = 0, faults = 0;
	for (size_t i = 0; i < findings.count; i++) {
		warnings += strcmp(findings.list[i].result, "warn") == 0;
		faults += strcmp(findings.list[i].result, "fail") == 0 ||
			  strcmp(findings.list[i].result, "unsure") == 0;
	}
	if (faults > 0)
		printf("not fit to probe: %zu to mend, %zu warning%s\n", faults, warnings,
		       warnings == 1 ? "" : "s");
	else
		printf("fit to probe%s\n", warnings ? ", with warnings" : "");
	findings_free(&findings);
	return faults > 0 ? CLI_FAILED : CLI_OK;
}
