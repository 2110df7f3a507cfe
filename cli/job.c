#include "cli/job.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "common/base/buf.h"
#include "common/base/clock.h"

enum {
	POLL_MS = 500,
	POLL_MAX_MS = 10 * 1000,
	POLL_SHARE = 10,                /* of the server's time at most one part in so many is ours */
	LINE_EVERY_MS = 2000,           /* off a terminal */
	PATIENCE_MS = 10 * 60 * 1000,   /* how long a server may stay away */
	STILL_MS = 5000,                /* without progress for so long: is there a lane at all? */
	LANE_PATIENCE_MS = 60 * 1000,   /* without one for so long: say so and leave */
	BAR_COLUMNS = 24,
	DOWNLOAD_TRIES = 4
};

struct progress {
	bool terminal;
	bool drawn;             /* the cursor stands behind a bar */
	uint64_t last_line_ms;
	struct rc_buf last;     /* the last line printed */
};

char *job_path(struct client *client, const char *id, const char *rest)
{
	char *path = NULL;
	char *escaped = curl_easy_escape(client->curl, id, 0);
	if (!escaped || asprintf(&path, "/v1/jobs/%s%s", escaped, rest) < 0)
		path = NULL;
	curl_free(escaped);
	return path;
}

static bool state_is(const json_t *job, const char *state)
{
	return strcmp(answer_text(job, "state"), state) == 0;
}

/* ---- progress ----------------------------------------------------------------------------------------------------- */

static void progress_init(struct progress *progress)
{
	memset(progress, 0, sizeof *progress);
	const char *term = getenv("TERM");
	progress->terminal = isatty(STDERR_FILENO) && (!term || strcmp(term, "dumb") != 0);
	rc_buf_init(&progress->last, 4096);
}

/* Leaves the bar on its line, so that a sentence can follow. */
static void progress_break(struct progress *progress)
{
	if (progress->drawn)
		fputc('\n', stderr);
	progress->drawn = false;
}

static void progress_done(struct progress *progress)
{
	progress_break(progress);
	rc_buf_done(&progress->last);
}

static void add_counts(struct rc_buf *line, const json_t *job)
{
	static const char *const order[] = { "valid", "invalid", "catch_all", "role_based", "do_not_mail", "unknown", "skipped" };
	const json_t *counts = json_object_get(json_object_get(job, "counts"), "status");
	char text[TEXT_MAX];
	bool any = false;
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		int64_t n = answer_count(counts, order[i]);
		if (n > 0) {
			rc_buf_printf(line, "%s%s %s", any ? ", " : "", order[i], text_count(n, text));
			any = true;
		}
	}
}

/* "14:03:22" of "2026-11-24T14:03:22.123Z", in local time. */
static void add_clock(struct rc_buf *line, const char *rfc3339)
{
	struct tm tm = { 0 };
	char text[16];
	if (!strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm)) {
		rc_buf_addstr(line, rfc3339);
		return;
	}
	time_t at = timegm(&tm);
	struct tm local;
	localtime_r(&at, &local);
	strftime(text, sizeof text, "%H:%M:%S", &local);
	rc_buf_addstr(line, text);
}

/* What follows the bar, or makes a line of its own. */
static void add_details(struct rc_buf *line, const json_t *job, bool lines)
{
	char text[TEXT_MAX], total[TEXT_MAX];
	int64_t rows = answer_count(job, "rows"), done = answer_count(job, "done"), rate = answer_count(job, "rate");
	const json_t *eta = json_object_get(job, "eta_s"), *waiting = json_object_get(job, "waiting");
	const char *state = answer_text(job, "state");

	rc_buf_printf(line, "%s%s%s", text_count(done, text), lines ? " of " : "/", text_count(rows, total));
	if (lines)
		rc_buf_addstr(line, " rows");
	if (rate > 0)
		rc_buf_printf(line, "  %s/s", text_count(rate, text));
	if (json_is_number(eta))
		rc_buf_printf(line, "  %s left", text_span((int64_t)ceil(json_number_value(eta)), text));
	if (strcmp(state, "running") != 0 && strcmp(state, "done") != 0 && strcmp(state, "waiting_retry") != 0)
		rc_buf_printf(line, "  %s", strcmp(state, "waiting_start") == 0 ? "waits to be started" : state);
	size_t before = line->len;
	rc_buf_addstr(line, lines ? ": " : "  ");
	size_t empty = line->len;
	add_counts(line, job);
	if (line->len == empty && !line->failed) {
		line->len = before;
		line->data[before] = '\0';
	}
	int64_t waiting_rows = answer_count(waiting, "rows");
	if (waiting_rows > 0) {
		rc_buf_printf(line, "; %s wait for a retry", text_count(waiting_rows, text));
		const char *until = answer_text(waiting, "until");
		if (*until) {
			rc_buf_addstr(line, " until ");
			add_clock(line, until);
		}
	}
}

static void progress_show(struct progress *progress, const json_t *job, bool last)
{
	struct rc_buf line;
	rc_buf_init(&line, 4096);
	if (progress->terminal) {
		int64_t rows = answer_count(job, "rows"), done = answer_count(job, "done");
		double share = rows > 0 ? (double)done / (double)rows : state_is(job, "done") ? 1 : 0;
		int full = (int)(share * BAR_COLUMNS);
		rc_buf_printf(&line, "%3d%% [", (int)(share * 100));
		for (int i = 0; i < BAR_COLUMNS; i++)
			rc_buf_addstr(&line, i < full ? "#" : "-");
		rc_buf_addstr(&line, "] ");
		add_details(&line, job, false);
		/* All of it is ASCII: octets are columns. */
		size_t columns = text_columns(STDERR_FILENO);
		int len = (int)(line.len < columns ? line.len : columns - 1);
		fprintf(stderr, "\r%.*s\033[K", len, line.data ? line.data : "");
		fflush(stderr);
		progress->drawn = true;
	} else {
		uint64_t now_ms = rc_clock_mono_ms();
		add_details(&line, job, true);
		bool changed = line.len != progress->last.len || (line.len && memcmp(line.data, progress->last.data, line.len) != 0);
		bool due = progress->last_line_ms == 0 || now_ms - progress->last_line_ms >= LINE_EVERY_MS;
		if (changed && (due || last)) {
			fprintf(stderr, "%s\n", line.data);
			progress->last_line_ms = now_ms;
			rc_buf_clear(&progress->last);
			rc_buf_add(&progress->last, line.data, line.len);
		}
	}
	rc_buf_done(&line);
}

/* ---- watching ----------------------------------------------------------------------------------------------------- */

static int watch_interrupted(const char *id)
{
	cli_warn("stopped watching; job %s goes on. Come back to it with: rollcall jobs resume %s", id, id);
	return CLI_INTERRUPTED;
}

/* Notices a job that stands still because no lane can probe. */
struct stillness {
	int64_t done;
	uint64_t since_ms, asked_ms, lane_lacks_since_ms;
	char lacks[400];
};

/* True when there has been no lane for LANE_PATIENCE_MS. */
static bool lane_lacks(struct stillness *still, struct client *client, const json_t *job)
{
	uint64_t now_ms = rc_clock_mono_ms();
	int64_t done = answer_count(job, "done");
	if (done != still->done || still->since_ms == 0 || !state_is(job, "running")) {
		*still = (struct stillness){ .done = done, .since_ms = now_ms };
		return false;
	}
	if (now_ms - still->since_ms < STILL_MS || now_ms - still->asked_ms < STILL_MS)
		return false;
	still->asked_ms = now_ms;
	if (!client_lacks(client, "lanes", still->lacks, sizeof still->lacks))
		still->lane_lacks_since_ms = 0;
	else if (still->lane_lacks_since_ms == 0)
		still->lane_lacks_since_ms = now_ms;
	return still->lane_lacks_since_ms > 0 && now_ms - still->lane_lacks_since_ms >= LANE_PATIENCE_MS;
}

/* Until the next look: of a list of millions the server counts for a while. */
static int poll_ms(uint64_t took_ms)
{
	uint64_t ms = took_ms * POLL_SHARE;
	return ms < POLL_MS ? POLL_MS : ms > POLL_MAX_MS ? POLL_MAX_MS : (int)ms;
}

int job_watch(struct client *client, const char *id)
{
	struct progress progress;
	struct stillness still = { .done = -1 };
	struct rc_error err;
	uint64_t away_since_ms = 0;
	char told[32] = "";
	int exit_status = -1;
	char *path = job_path(client, id, "");
	if (!path) {
		cli_warn("out of memory");
		return CLI_FAILED;
	}
	progress_init(&progress);
	while (exit_status < 0) {
		json_t *job = NULL;
		uint64_t asked_ms = rc_clock_mono_ms();
		enum rc_status status = client_call(client, "GET", path, NULL, NULL, &job, &err);
		uint64_t took_ms = rc_clock_mono_ms() - asked_ms;
		if (cli_interrupted()) {
			json_decref(job);
			progress_break(&progress);
			exit_status = watch_interrupted(id);
			break;
		}
		/* A server that starts anew is away for a moment, or not ready; the job is safe in the database. */
		if (status == RC_UNAVAILABLE || status == RC_BROKEN || status == RC_LIMIT) {
			uint64_t now_ms = rc_clock_mono_ms();
			if (away_since_ms == 0) {
				away_since_ms = now_ms;
				progress_break(&progress);
				cli_warn("%s; trying again", err.text);
			}
			if (now_ms - away_since_ms > PATIENCE_MS) {
				cli_warn("giving up on the server; when it is back: rollcall jobs resume %s", id);
				exit_status = CLI_NO_SERVER;
			} else {
				client_look_again(client);
				cli_sleep_ms(POLL_MS);
			}
			continue;
		}
		if (status != RC_OK) {
			progress_break(&progress);
			exit_status = cli_fail(&err);
			break;
		}
		away_since_ms = 0;
		const char *state = answer_text(job, "state");
		const char *why = answer_text(job, "error");
		bool ended = strcmp(state, "done") == 0 || strcmp(state, "cancelled") == 0 || strcmp(state, "failed") == 0;
		progress_show(&progress, job, ended);
		if (ended) {
			progress_break(&progress);
			exit_status = strcmp(state, "done") == 0 ? CLI_OK : CLI_FAILED;
			if (exit_status != CLI_OK)
				cli_warn("job %s %s%s%s", id, strcmp(state, "failed") == 0 ? "failed" : "was cancelled", *why ? ": " : "",
					 why);
		} else if ((strcmp(state, "paused") == 0 || strcmp(state, "held") == 0) && strcmp(told, state) != 0) {
			progress_break(&progress);
			cli_warn("job %s is %s%s%s; waiting for it to go on", id, state, *why ? ": " : "", why);
		} else if (lane_lacks(&still, client, job)) {
			progress_break(&progress);
			cli_warn("no lane can probe (%s); the job goes on when one can: rollcall jobs resume %s", still.lacks, id);
			exit_status = CLI_NO_LANE;
		}
		snprintf(told, sizeof told, "%s", state);
		json_decref(job);
		if (exit_status < 0)
			cli_sleep_ms(poll_ms(took_ms));
	}
	progress_done(&progress);
	free(path);
	return exit_status;
}

/* ---- results ------------------------------------------------------------------------------------------------------ */

int job_download(struct client *client, const char *id, const struct job_output *output)
{
	struct rc_error err = { RC_OK, "" };
	char *query = NULL, *path = NULL, *temporary = NULL, *status = NULL;
	FILE *out = stdout;
	int exit_status = CLI_FAILED, fd = -1;

	if (output->status)
		status = curl_easy_escape(client->curl, output->status, 0);
	if (asprintf(&query, "/results?format=%s%s%s", output->ndjson ? "ndjson" : "csv", status ? "&status=" : "", status ? status : "") <
	    0)
		query = NULL;
	path = query ? job_path(client, id, query) : NULL;
	/* What is no file of its own (/dev/null, a pipe) is written to, not replaced. */
	struct stat stat_of;
	bool replace = output->path && (stat(output->path, &stat_of) != 0 || S_ISREG(stat_of.st_mode));
	if (output->path && asprintf(&temporary, replace ? "%s.part-XXXXXX" : "%s", output->path) < 0)
		temporary = NULL;
	if (!path || (output->path && !temporary)) {
		cli_warn("out of memory");
		goto out;
	}
	if (output->path) {
		fd = replace ? mkostemp(temporary, O_CLOEXEC) : open(temporary, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || !(out = fdopen(fd, "w"))) {
			cli_warn("cannot write %s: %s; the results wait: rollcall jobs results %s -o OUT", output->path, strerror(errno),
				 id);
			if (fd >= 0)
				close(fd);
			out = NULL;
			goto out;
		}
	}
	enum rc_status done = RC_UNAVAILABLE;
	for (int tries = 0; tries < DOWNLOAD_TRIES; tries++) {
		int64_t written = 0;
		done = client_download(client, path, out, &written, &err);
		/* Only what can be begun anew is tried again. */
		if ((done != RC_UNAVAILABLE && done != RC_BROKEN) || cli_interrupted())
			break;
		if (written > 0 && (!replace || fflush(out) != 0 || ftruncate(fileno(out), 0) != 0 || fseek(out, 0, SEEK_SET) != 0))
			break;
		client_look_again(client);
		cli_sleep_ms(POLL_MS << tries);
	}
	if (done != RC_OK) {
		exit_status = cli_interrupted() ? watch_interrupted(id) : cli_fail(&err);
		goto out;
	}
	if (fflush(out) != 0 || (replace && fsync(fileno(out)) != 0)) {
		cli_warn("cannot write %s: %s", output->path ? output->path : "standard output", strerror(errno));
		goto out;
	}
	if (replace) {
		mode_t mask = umask(0);
		umask(mask);
		/* mkostemp's 0600 is too narrow for a result that a colleague may read. */
		if (fchmod(fileno(out), 0666 & ~mask) != 0 || rename(temporary, output->path) != 0) {
			cli_warn("cannot write %s: %s", output->path, strerror(errno));
			goto out;
		}
		free(temporary);
		temporary = NULL;
	}
	exit_status = CLI_OK;
out:
	if (output->path && out)
		fclose(out);
	if (temporary && replace)
		unlink(temporary);
	free(temporary);
	curl_free(status);
	free(path);
	free(query);
	return exit_status;
}
