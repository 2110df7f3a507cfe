/*
 * up - the whole system on this machine: a private PostgreSQL cluster, the embedded broker, the coordinator and one worker,
 * each started anew when it dies, all stopped in order at the end.
 *
 * One thread. Options of the services are taken as flags and handed on as ROLLCALL_* variables, which they read themselves.
 * Until everything was ready for the first time, a service that ends by itself (a port in use, an address that the machine
 * does not have) ends `up` too: it has said why. Afterwards nothing does but a signal.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cluster.h"
#include "cli/services.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/random.h"

enum {
	TICK_MS = 50,              /* while something is on its way */
	READY_ASK_MS = 150,        /* between two looks at /readyz */
	TELL_AFTER_MS = 8000,      /* then what still lacks is said, and again when it changes */
	DATABASE_PATIENCE_MS = 60000, /* for what a killed predecessor still holds */
	LINGER_MS = 5000,          /* at the end, for grandchildren */
	KNOWN_MAX = 256
};

struct up {
	char *data;
	int lock;
	int signals;
	bool data_given;
	bool stopping, hurry;
	bool has_cluster, has_broker;
	bool was_ready;          /* once */
	struct cluster cluster;
	struct child broker, coordinator, worker;
	char *broker_argv[8], *coordinator_argv[2], *worker_argv[2];
	char *broker_file, *url_file, *key_file, *database_file;
	uint64_t started_ms, asked_ms;
	char lacks[512];         /* what /readyz said last */
	char told[512];
	CURL *curl;
	int exit_status;
};

/* ---- the data directory ------------------------------------------------------------------------------------------- */

/* Parents like mkdir -p makes them, the last part with `mode`. */
static enum rc_status folder_make(const char *path, mode_t mode, struct rc_error *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	if (len >= sizeof part)
		return rc_error_set(err, RC_INVALID, "the name of the data directory is longer than %zu octets", sizeof part - 1);
	mode_t mask = umask(0);
	int failed = 0;
	for (size_t i = 1; i <= len && !failed; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		bool last = path[i + strspn(path + i, "/")] == '\0';
		if (mkdir(part, last ? mode : 0755) != 0 && errno != EEXIST)
			failed = errno;
		else if (last)
			break;
	}
	umask(mask);
	struct stat stat_of;
	if (failed)
		return rc_error_set(err, RC_DENIED, "cannot make %s: %s; name another --data", part, strerror(failed));
	if (stat(path, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode))
		return rc_error_set(err, RC_INVALID, "%s is no directory; name another --data", path);
	return RC_OK;
}

static char *in_data(const struct up *up, const char *name)
{
	char *path;
	return asprintf(&path, "%s/%s", up->data, name) < 0 ? NULL : path;
}

/* Held as long as we live; its content names us to the one who finds it taken. */
static enum rc_status data_lock(struct up *up, struct rc_error *err)
{
	char *path = in_data(up, "lock"), text[32] = "";
	enum rc_status status = RC_OK;
	up->lock = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (up->lock < 0) {
		status = rc_error_set(err, RC_DENIED, "cannot open %s/lock: %s; name another --data", up->data, strerror(errno));
	} else if (flock(up->lock, LOCK_EX | LOCK_NB) != 0) {
		ssize_t got = read(up->lock, text, sizeof text - 1);
		text[got > 0 ? got : 0] = '\0';
		text[strspn(text, "0123456789")] = '\0';
		status = rc_error_set(err, RC_CONFLICT, "another `rollcall up`%s%s%s runs on %s: use that one, stop it, or name another --data",
				      *text ? " (process " : "", text, *text ? ")" : "", up->data);
	} else {
		int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
		if (ftruncate(up->lock, 0) != 0 || pwrite(up->lock, text, (size_t)len, 0) != len)
			status = rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", path, strerror(errno));
	}
	free(path);
	return status;
}

/* 32 octets in hex, made once, kept in DIR/message-key. */
static enum rc_status message_key(const struct up *up, struct rc_error *err)
{
	char *path = in_data(up, "message-key"), *new_path = in_data(up, "message-key.new"), text[80] = "";
	enum rc_status status = RC_OK;
	FILE *file = path && new_path ? fopen(path, "re") : NULL;
	if (file) {
		bool got = fgets(text, sizeof text, file) != NULL;
		fclose(file);
		text[strcspn(text, "\n")] = '\0';
		if (!got || strspn(text, "0123456789abcdef") != 64 || strlen(text) != 64) {
			status = rc_error_set(err, RC_BROKEN, "%s is not the 64 hexadecimal digits that `rollcall up` wrote; remove it, and it is made anew",
					      path);
			goto out;
		}
	} else {
		unsigned char key[32];
		rc_random_bytes(key, sizeof key);
		for (size_t i = 0; i < sizeof key; i++)
			snprintf(text + 2 * i, 3, "%02x", key[i]);
		int fd = new_path ? open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
		if (fd < 0 || dprintf(fd, "%s\n", text) < 0 || fsync(fd) != 0 || rename(new_path, path) != 0)
			status = rc_error_set(err, RC_UNAVAILABLE, "cannot write %s/message-key: %s", up->data, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (status == RC_OK)
		setenv("ROLLCALL_MESSAGE_KEY", text, 0);
out:
	free(path);
	free(new_path);
	return status;
}

/* ---- readiness ---------------------------------------------------------------------------------------------------- */

static size_t on_answer(char *data, size_t size, size_t count, void *arg)
{
	rc_buf_add(arg, data, size * count);
	return size * count;
}

static bool url_read(const struct up *up, char *ret_url, size_t size)
{
	FILE *file = fopen(up->url_file, "re");
	bool got = file && fgets(ret_url, (int)size, file);
	if (file)
		fclose(file);
	if (got)
		ret_url[strcspn(ret_url, "\r\n")] = '\0';
	return got && *ret_url;
}

/* {"pieces":{"lanes":"no worker has said ...","broker":"ok"}} -> "lanes: no worker has said ..." */
static void lacks_read(struct up *up, const struct rc_buf *answer)
{
	json_t *json = json_loadb(answer->data ? answer->data : "", answer->len, 0, NULL), *value;
	const char *name;
	size_t at = 0;
	snprintf(up->lacks, sizeof up->lacks, "no reason given");
	json_object_foreach(json_object_get(json, "pieces"), name, value) {
		const char *text = json_string_value(value);
		if (!text || strcmp(text, "ok") == 0 || at >= sizeof up->lacks)
			continue;
		int len = snprintf(up->lacks + at, sizeof up->lacks - at, "%s%s: %s", at ? "; " : "", name, text);
		at += len > 0 ? (size_t)len : 0;
	}
	json_decref(json);
}

/* One look at /readyz; `up->lacks` is what is missing. */
static bool ready_ask(struct up *up)
{
	char url[512], full[600];
	struct rc_buf answer;
	long http = 0;
	if (!url_read(up, url, sizeof url)) {
		snprintf(up->lacks, sizeof up->lacks, "the coordinator has not opened its port yet");
		return false;
	}
	bool on_socket = strncmp(url, "unix:", 5) == 0;
	snprintf(full, sizeof full, "%s/readyz", on_socket ? "http://localhost" : url);
	rc_buf_init(&answer, 16384);
	curl_easy_reset(up->curl);
	curl_easy_setopt(up->curl, CURLOPT_URL, full);
	if (on_socket)
		curl_easy_setopt(up->curl, CURLOPT_UNIX_SOCKET_PATH, url + 5);
	curl_easy_setopt(up->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(up->curl, CURLOPT_TIMEOUT_MS, 1000L);
	curl_easy_setopt(up->curl, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(up->curl, CURLOPT_WRITEDATA, &answer);
	CURLcode code = curl_easy_perform(up->curl);
	curl_easy_getinfo(up->curl, CURLINFO_RESPONSE_CODE, &http);
	bool ready = code == CURLE_OK && http == 200;
	if (ready)
		up->lacks[0] = '\0';
	else if (code != CURLE_OK)
		snprintf(up->lacks, sizeof up->lacks, "the coordinator does not answer (%s)", curl_easy_strerror(code));
	else
		lacks_read(up, &answer);
	rc_buf_done(&answer);
	return ready;
}

static void tell_ready(const struct up *up)
{
	char url[512] = "";
	if (!url_read(up, url, sizeof url))
		snprintf(url, sizeof url, "(see %s)", up->url_file);
	printf("rollcall is ready: %s\n"
	       "  data   %s\n"
	       "  key    %s\n"
	       "  lanes  %s\n"
	       "In another terminal: rollcall verify%s%s FILE -o OUT, or rollcall check%s%s ADDRESS. Ctrl-C stops everything.\n",
	       url, up->data, up->key_file, getenv("ROLLCALL_LANES"), up->data_given ? " --data " : "", up->data_given ? up->data : "",
	       up->data_given ? " --data " : "", up->data_given ? up->data : "");
	fflush(stdout);
}

/* ---- supervision -------------------------------------------------------------------------------------------------- */

static bool take_signals(struct up *up)
{
	struct signalfd_siginfo info;
	bool any = false;
	while (read(up->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		any = true;
		if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM) {
			if (up->stopping)
				up->hurry = true;
			up->stopping = true;
		} else if (info.ssi_signo == SIGHUP) {
			if (up->coordinator.pid > 0)
				kill(up->coordinator.pid, SIGHUP);
			if (up->worker.pid > 0)
				kill(up->worker.pid, SIGHUP);
		}
	}
	return any;
}

static bool in_a_hurry(void *arg)
{
	struct up *up = arg;
	take_signals(up);
	return up->hurry;
}

static void give_up(struct up *up, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void give_up(struct up *up, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!up->stopping)
		cli_warn("%s", text);
	up->stopping = true;
	up->exit_status = CLI_FAILED;
}

static void on_end(struct up *up, struct child *child, int wait_status)
{
	char text[96], words[512];
	uint64_t now_ms = rc_clock_mono_ms();
	child_ended(child, wait_status, now_ms);
	if (up->stopping)
		return;
	child_end_text(wait_status, text);
	bool is_cluster = child == &up->cluster.child;
	if (!up->was_ready && !WIFSIGNALED(wait_status)) {
		if (!is_cluster) {
			give_up(up, "the %s %s before everything was ready; it says above why", child->name, text);
			return;
		}
		/* Backends of a killed predecessor may hold its shared memory for a moment; then it is worth another try. */
		cluster_last_words(&up->cluster, words, sizeof words);
		if (!strstr(words, "shared memory") || now_ms - up->started_ms > DATABASE_PATIENCE_MS) {
			give_up(up, "PostgreSQL %s: %s (its log: %s)", text, words, up->cluster.log);
			return;
		}
	}
	cli_warn("%s%s %s; starting it again in %.1f s", is_cluster ? "" : "the ", child->name, text,
		 (double)(child->start_at_ms - now_ms) / 1000);
}

static void reap(struct up *up)
{
	struct child *const children[] = { &up->cluster.child, &up->broker, &up->coordinator, &up->worker };
	int wait_status;
	pid_t pid;
	/* Others than ours are backends of a killed postmaster, which come to us to be buried. */
	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		for (size_t i = 0; i < sizeof children / sizeof *children; i++)
			if (children[i]->pid == pid)
				on_end(up, children[i], wait_status);
}

/* Starts `child` when it is down and its time has come. Returns false while it is down. */
static bool keep(struct up *up, struct child *child, uint64_t now_ms)
{
	struct rc_error err;
	if (child->pid > 0)
		return true;
	if (now_ms < child->start_at_ms || up->stopping)
		return false;
	if (child_start(child, now_ms, &err) == RC_OK)
		return true;
	if (!up->was_ready) {
		give_up(up, "%s", err.text);
	} else {
		cli_warn("%s", err.text);
		child_ended(child, 0, now_ms);
	}
	return false;
}

/* One round: who is down and may run is started, in the order in which they need each other. True when all is well. */
static bool tend(struct up *up)
{
	uint64_t now_ms = rc_clock_mono_ms();
	bool database = true, broker = true, well;
	if (up->has_cluster) {
		struct child *child = &up->cluster.child;
		if (child->pid == 0 && now_ms >= child->start_at_ms && !cluster_may_start(&up->cluster)) {
			child->start_at_ms = now_ms + CHILD_BACKOFF_MIN_MS;
			if (!up->was_ready && now_ms - up->started_ms > DATABASE_PATIENCE_MS)
				give_up(up, "a PostgreSQL from before still runs in %s and does not end", up->cluster.folder);
		}
		database = keep(up, child, now_ms) && cluster_ready(&up->cluster);
	}
	if (up->has_broker)
		broker = keep(up, &up->broker, now_ms) && access(up->broker_file, R_OK) == 0;
	well = database && broker;
	/* Afterwards they ride out the others' restarts by themselves. */
	if ((database && broker) || up->coordinator.starts > 0)
		well = keep(up, &up->coordinator, now_ms) && well;
	if (broker || up->worker.starts > 0)
		well = keep(up, &up->worker, now_ms) && well;
	if (!well || up->was_ready || up->stopping)
		return well;
	if (now_ms - up->asked_ms < READY_ASK_MS)
		return false;
	up->asked_ms = now_ms;
	if (ready_ask(up)) {
		up->was_ready = true;
		tell_ready(up);
		return true;
	}
	if (now_ms - up->started_ms > TELL_AFTER_MS && strcmp(up->lacks, up->told) != 0) {
		cli_warn("not ready yet: %s", up->lacks);
		snprintf(up->told, sizeof up->told, "%s", up->lacks);
	}
	return false;
}

static void supervise(struct up *up)
{
	while (!up->stopping) {
		struct pollfd fd = { .fd = up->signals, .events = POLLIN };
		bool well = tend(up);
		if (up->stopping)
			break;
		poll(&fd, 1, well && up->was_ready ? -1 : TICK_MS);
		take_signals(up);
		reap(up);
	}
}

static void stop_all(struct up *up)
{
	if (up->was_ready)
		cli_warn("stopping");
	child_stop(&up->worker, in_a_hurry, up);
	child_stop(&up->coordinator, in_a_hurry, up);
	child_stop(&up->broker, in_a_hurry, up);
	if (up->has_cluster)
		child_stop(&up->cluster.child, in_a_hurry, up);
	/* What a postmaster that had to be killed left behind notices by itself; nobody outlives us. */
	uint64_t until_ms = rc_clock_mono_ms() + LINGER_MS;
	while (waitpid(-1, NULL, WNOHANG) >= 0 && rc_clock_mono_ms() < until_ms)
		poll(NULL, 0, 10);
}

static enum rc_status services_prepare(struct up *up, struct rc_error *err)
{
	char *at_file = NULL;
	up->coordinator_argv[0] = services_program("rollcall-coordinator");
	up->worker_argv[0] = services_program("rollcall-worker");
	up->broker_file = in_data(up, "broker");
	up->url_file = in_data(up, "url");
	up->key_file = in_data(up, "key");
	if (!up->coordinator_argv[0] || !up->worker_argv[0] || !up->broker_file || !up->url_file || !up->key_file)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	unlink(up->url_file);
	setenv("ROLLCALL_KEY_FILE", up->key_file, 1);
	setenv("ROLLCALL_URL_FILE", up->url_file, 1);
	if (up->has_cluster) {
		char *conninfo = cluster_conninfo(&up->cluster);
		if (!conninfo)
			return rc_error_set(err, RC_NO_MEMORY, "out of memory");
		setenv("ROLLCALL_DATABASE", conninfo, 1);
		/* For psql and backups: the socket's place changes with every start. */
		up->database_file = in_data(up, "database");
		FILE *file = up->database_file ? fopen(up->database_file, "we") : NULL;
		bool written = file && fprintf(file, "%s\n", conninfo) > 0;
		if (file && fclose(file) != 0)
			written = false;
		free(conninfo);
		if (!written)
			return rc_error_set(err, RC_UNAVAILABLE, "cannot write %s/database: %s", up->data, strerror(errno));
	}
	if (up->has_broker) {
		unlink(up->broker_file);
		if (asprintf(&at_file, "@%s", up->broker_file) < 0)
			return rc_error_set(err, RC_NO_MEMORY, "out of memory");
		setenv("ROLLCALL_BROKERS", at_file, 1);
		free(at_file);
		if (!(up->broker_argv[0] = services_program("rollcall-broker")))
			return rc_error_set(err, RC_UNAVAILABLE, "rollcall-broker is not here: it belongs beside rollcall, or into PATH");
		up->broker_argv[1] = "--address-file";
		up->broker_argv[2] = up->broker_file;
	}
	/* Nothing of theirs but PostgreSQL's data is on disk, so SIGKILL is a fit last word when `up` dies unasked. */
	up->broker = (struct child){ .name = "broker", .argv = up->broker_argv, .stop_signal = SIGTERM, .orphan_signal = SIGKILL,
				     .stop_timeout_ms = 5000 };
	up->coordinator = (struct child){ .name = "coordinator", .argv = up->coordinator_argv, .stop_signal = SIGTERM,
					  .orphan_signal = SIGKILL, .stop_timeout_ms = 20000 };
	up->worker = (struct child){ .name = "worker", .argv = up->worker_argv, .stop_signal = SIGTERM, .orphan_signal = SIGKILL,
				     .stop_timeout_ms = 20000 };
	return RC_OK;
}

static bool given(const char *variable)
{
	const char *value = getenv(variable);
	return value && *value;
}

int cli_up(const struct cli_command *command, int argc, char **argv)
{
	struct up up = { .lock = -1, .signals = -1, .exit_status = CLI_OK };
	struct rc_error err = { RC_OK, "" };
	const char *data = NULL, *pg_bin = getenv("ROLLCALL_PG_BIN");
	enum rc_status status = RC_OK;
	char *named = NULL, *log_folder = NULL;
	bool failed;

	int exit_status = services_options(command, argc, argv, &data, &pg_bin, &failed);
	if (failed)
		return exit_status;

	umask(0077);
	up.data_given = data != NULL;
	named = client_data_directory(data);
	if (!named) {
		cli_warn("out of memory");
		return CLI_FAILED;
	}
	/* Root's must be passable for the user postgres, to whom the cluster in it belongs. */
	status = folder_make(named, geteuid() == 0 ? 0711 : 0700, &err);
	if (status == RC_OK && !(up.data = realpath(named, NULL)))
		status = rc_error_set(&err, RC_DENIED, "cannot enter %s: %s; name another --data", named, strerror(errno));
	free(named);
	if (status == RC_OK)
		status = data_lock(&up, &err);
	if (status == RC_OK && (!(log_folder = in_data(&up, "log")) || (mkdir(log_folder, 0700) != 0 && errno != EEXIST)))
		status = rc_error_set(&err, RC_DENIED, "cannot make %s/log: %s", up.data, strerror(errno));
	free(log_folder);
	if (status != RC_OK) {
		cli_warn("%s", err.text);
		exit_status = CLI_FAILED;
		goto out;
	}

	/* From here on a signal is read, not suffered: whatever has been started is also stopped. */
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	up.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setenv("ROLLCALL_DATA", up.data, 1);

	up.has_cluster = !given("ROLLCALL_DATABASE");
	up.has_broker = !given("ROLLCALL_BROKERS");
	up.curl = curl_easy_init();
	if (!up.curl || up.signals < 0)
		status = rc_error_set(&err, RC_NO_MEMORY, "out of memory");
	if (status == RC_OK)
		status = message_key(&up, &err);
	if (status == RC_OK && up.has_cluster)
		status = cluster_init(&up.cluster, up.data, pg_bin, &err);
	if (status == RC_OK)
		status = services_prepare(&up, &err);
	take_signals(&up);
	if (status == RC_OK) {
		services_default_lane();
		up.started_ms = rc_clock_mono_ms();
		supervise(&up);
		stop_all(&up);
		exit_status = up.exit_status;
	} else {
		cli_warn("%s", err.text);
		exit_status = CLI_FAILED;
	}
	if (up.url_file)
		unlink(up.url_file);
	if (up.has_broker && up.broker_file)
		unlink(up.broker_file);
	if (up.database_file)
		unlink(up.database_file);
	cluster_done(&up.cluster);
out:
	if (up.curl)
		curl_easy_cleanup(up.curl);
	if (up.signals >= 0)
		close(up.signals);
	free(up.coordinator_argv[0]);
	free(up.worker_argv[0]);
	free(up.broker_argv[0]);
	free(up.broker_file);
	free(up.url_file);
	free(up.key_file);
	free(up.database_file);
	if (up.lock >= 0)
		close(up.lock);
	free(up.data);
	return exit_status;
}
