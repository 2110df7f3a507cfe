#include "cli/cluster.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

#define DEBIAN_PG "/usr/lib/postgresql"

enum { LOG_MAX_OCTETS = 16 * 1024 * 1024 };

/*
 * Durability as PostgreSQL ships it; the rest is for one machine with one user and bulk loads. Options on the command line win
 * over postgresql.conf, so a cluster made by an older version is run as this one wants it.
 */
static const char *const settings[] = {
	"listen_addresses=",
	"unix_socket_permissions=0700",
	"max_connections=100",
	"superuser_reserved_connections=3",
	"shared_buffers=128MB",
	"work_mem=16MB",
	"maintenance_work_mem=64MB",
	"wal_level=minimal",
	"max_wal_senders=0",
	"max_logical_replication_workers=0",
	"archive_mode=off",
	"max_wal_size=2GB",
	"min_wal_size=128MB",
	"wal_compression=on",
	"checkpoint_timeout=15min",
	"synchronous_commit=on",
	"max_parallel_workers_per_gather=0",
	"jit=off",
	"random_page_cost=1.1",
	"timezone=UTC",
	"log_timezone=UTC",
	"logging_collector=off",
	"log_destination=stderr",
	"log_min_messages=warning",
};

static bool runnable(const char *folder, const char *name)
{
	char *path;
	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return false;
	bool fine = access(path, X_OK) == 0;
	free(path);
	return fine;
}

/* The newest of Debian's, else the one in PATH. */
static enum rc_status bin_find(const char *given, char **ret_bin, struct rc_error *err)
{
	if (given && *given) {
		if (!runnable(given, "postgres") || !runnable(given, "initdb"))
			return rc_error_set(err, RC_INVALID, "there is no postgres and initdb in %s, which --pg-bin names", given);
		*ret_bin = strdup(given);
		return *ret_bin ? RC_OK : rc_error_set(err, RC_NO_MEMORY, "out of memory");
	}
	long newest = 0;
	DIR *folder = opendir(DEBIAN_PG);
	for (const struct dirent *entry; folder && (entry = readdir(folder));) {
		char *end, *bin;
		long version = strtol(entry->d_name, &end, 10);
		if (version <= newest || *end || asprintf(&bin, DEBIAN_PG "/%ld/bin", version) < 0)
			continue;
		if (runnable(bin, "postgres") && runnable(bin, "initdb")) {
			free(*ret_bin);
			*ret_bin = bin;
			newest = version;
		} else {
			free(bin);
		}
	}
	if (folder)
		closedir(folder);
	if (*ret_bin)
		return RC_OK;
	const char *path = getenv("PATH");
	for (char *copy = strdup(path ? path : ""), *save = NULL, *part = copy ? strtok_r(copy, ":", &save) : NULL; copy;
	     part = strtok_r(NULL, ":", &save)) {
		if (part && !(runnable(part, "postgres") && runnable(part, "initdb")))
			continue;
		if (part)
			*ret_bin = strdup(part);
		free(copy);
		break;
	}
	if (*ret_bin)
		return RC_OK;
	return rc_error_set(err, RC_UNAVAILABLE,
			    "PostgreSQL's programs are not here: install the package postgresql, name their folder with --pg-bin, or an "
			    "existing database with --database");
}

/* A cluster of another major version cannot be run. */
static enum rc_status version_check(const struct cluster *cluster, struct rc_error *err)
{
	char *path, made[16] = "";
	if (asprintf(&path, "%s/PG_VERSION", cluster->folder) < 0)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	FILE *file = fopen(path, "re");
	free(path);
	if (file) {
		if (fgets(made, sizeof made, file))
			made[strcspn(made, "\n")] = '\0';
		fclose(file);
	}
	if (!*made)
		return rc_error_set(err, RC_BROKEN, "%s is no PostgreSQL cluster (no PG_VERSION in it); move it away, or name another --data",
				    cluster->folder);
	char *wanted;
	if (asprintf(&wanted, DEBIAN_PG "/%s/bin", made) < 0)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	/* Debian keeps several versions side by side: take the one that made it. */
	if (strncmp(cluster->bin, DEBIAN_PG "/", sizeof DEBIAN_PG) != 0 || strcmp(cluster->bin, wanted) == 0) {
		free(wanted);
		return RC_OK;
	}
	if (!runnable(wanted, "postgres")) {
		free(wanted);
		return rc_error_set(err, RC_UNAVAILABLE, "%s was made by PostgreSQL %s, which is not here any more: install postgresql-%s",
				    cluster->folder, made, made);
	}
	free(cluster->bin);
	((struct cluster *)cluster)->bin = wanted;
	return RC_OK;
}

static int remove_entry(const char *path, const struct stat *stat_of, int type, struct FTW *where)
{
	(void)stat_of, (void)type, (void)where;
	return remove(path);
}

/* The last line of a short log, for a sentence. */
static void last_line(const char *path, char *ret_text, size_t size)
{
	char line[512];
	snprintf(ret_text, size, "see %s", path);
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strstr(line, "error") || strstr(line, "FATAL") || strstr(line, "could not") || strstr(line, "cannot"))
			snprintf(ret_text, size, "%s", line);
	}
	fclose(file);
}

/* Made beside its place and renamed, so that a crash never leaves half a cluster. */
static enum rc_status cluster_make(const struct cluster *cluster, const char *data, struct rc_error *err)
{
	char *new_folder = NULL, *initdb = NULL, *postgres = NULL, *log = NULL, words[512];
	int wait_status = 0;
	enum rc_status status = RC_NO_MEMORY;
	if (asprintf(&new_folder, "%s.new", cluster->folder) < 0 || asprintf(&initdb, "%s/initdb", cluster->bin) < 0 ||
	    asprintf(&postgres, "%s/postgres", cluster->bin) < 0 || asprintf(&log, "%s/log/initdb.log", data) < 0) {
		rc_error_set(err, status, "out of memory");
		goto out;
	}
	nftw(new_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	unlink(log);
	if (mkdir(new_folder, 0700) != 0 || (cluster->user && chown(new_folder, cluster->user->pw_uid, cluster->user->pw_gid) != 0)) {
		status = rc_error_set(err, RC_UNAVAILABLE, "cannot make %s: %s", new_folder, strerror(errno));
		goto out;
	}
	cli_warn("making a PostgreSQL cluster in %s", cluster->folder);
	char *make[] = { initdb, "-D", new_folder, "-U", "rollcall", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions", NULL };
	status = child_run(make, cluster->user, log, NULL, &wait_status, err);
	if (status == RC_OK && wait_status == 0) {
		char *create[] = { postgres, "--single", "-D", new_folder, "postgres", NULL };
		status = child_run(create, cluster->user, log, "CREATE DATABASE rollcall;\n", &wait_status, err);
	}
	if (status == RC_OK && wait_status != 0) {
		last_line(log, words, sizeof words);
		status = rc_error_set(err, RC_UNAVAILABLE, "cannot make a PostgreSQL cluster in %s: %s", cluster->folder, words);
	}
	if (status == RC_OK && rename(new_folder, cluster->folder) != 0)
		status = rc_error_set(err, RC_UNAVAILABLE, "cannot rename %s: %s", new_folder, strerror(errno));
out:
	free(log);
	free(postgres);
	free(initdb);
	free(new_folder);
	return status;
}

/* The socket's directory of a run that was killed: only a name that we gave, only when it is ours. */
static void socket_folder_sweep(const struct cluster *cluster)
{
	char path[256];
	struct stat stat_of;
	ssize_t len = readlink(cluster->note, path, sizeof path - 1);
	if (len <= 0)
		return;
	path[len] = '\0';
	uid_t owner = cluster->user ? cluster->user->pw_uid : geteuid();
	const char *name = strrchr(path, '/');
	if (name && strncmp(name, "/rollcall-", 10) == 0 && lstat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode) &&
	    stat_of.st_uid == owner)
		nftw(path, remove_entry, 4, FTW_DEPTH | FTW_PHYS);
	unlink(cluster->note);
}

static enum rc_status socket_folder_make(struct cluster *cluster, struct rc_error *err)
{
	const char *candidates[] = { geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp" };
	for (size_t i = 0; i < sizeof candidates / sizeof *candidates && !cluster->socket; i++) {
		if (!candidates[i] || strlen(candidates[i]) > 60)
			continue;
		if (asprintf(&cluster->socket, "%s/rollcall-XXXXXX", candidates[i]) < 0) {
			cluster->socket = NULL;
		} else if (!mkdtemp(cluster->socket)) {
			free(cluster->socket);
			cluster->socket = NULL;
		}
	}
	if (!cluster->socket)
		return rc_error_set(err, RC_UNAVAILABLE, "cannot make a directory for PostgreSQL's socket in /tmp: %s", strerror(errno));
	if ((cluster->user && chown(cluster->socket, cluster->user->pw_uid, cluster->user->pw_gid) != 0) ||
	    symlink(cluster->socket, cluster->note) != 0)
		return rc_error_set(err, RC_UNAVAILABLE, "cannot prepare %s: %s", cluster->socket, strerror(errno));
	return RC_OK;
}

/*
 * Whether the user can go down to `path`: tried in a process that is that user. 0, or the length of the first part of `path`
 * that it cannot enter.
 */
static size_t first_closed(const char *path, const struct passwd *user)
{
	int tell[2];
	size_t closed = 0;
	if (pipe2(tell, O_CLOEXEC) != 0)
		return 0;
	pid_t pid = fork();
	if (pid == 0) {
		if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
			_exit(1);
		char part[4096];
		size_t len = strlen(path);
		for (size_t i = 1; i <= len && i < sizeof part; i++) {
			if (path[i] != '/' && path[i] != '\0')
				continue;
			memcpy(part, path, i);
			part[i] = '\0';
			if (access(part, X_OK) != 0) {
				closed = i;
				break;
			}
		}
		_exit(write(tell[1], &closed, sizeof closed) == (ssize_t)sizeof closed ? 0 : 1);
	}
	close(tell[1]);
	if (pid < 0 || read(tell[0], &closed, sizeof closed) != (ssize_t)sizeof closed)
		closed = 0;
	close(tell[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return closed;
}

enum rc_status cluster_init(struct cluster *cluster, const char *data, const char *pg_bin, struct rc_error *err)
{
	memset(cluster, 0, sizeof *cluster);
	enum rc_status status = bin_find(pg_bin, &cluster->bin, err);
	if (status != RC_OK)
		return status;
	if (asprintf(&cluster->folder, "%s/pg", data) < 0 || asprintf(&cluster->log, "%s/log/postgresql.log", data) < 0 ||
	    asprintf(&cluster->note, "%s/pg-socket", data) < 0)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	if (geteuid() == 0) {
		cluster->user = getpwnam("postgres");
		if (!cluster->user)
			return rc_error_set(err, RC_UNAVAILABLE,
					    "PostgreSQL does not run as root, and there is no user postgres: install the package postgresql, "
					    "or run `rollcall up` as an ordinary user");
		size_t closed = first_closed(data, cluster->user);
		if (closed > 0)
			return rc_error_set(err, RC_DENIED,
					    "the user postgres cannot enter %.*s, so it cannot keep its cluster in %s: name a --data that it can "
					    "reach, such as /var/lib/rollcall, or run chmod o+x %.*s",
					    (int)closed, data, data, (int)closed, data);
	}
	struct stat stat_of;
	if (lstat(cluster->folder, &stat_of) != 0) {
		status = cluster_make(cluster, data, err);
		if (status != RC_OK)
			return status;
	} else {
		uid_t owner = cluster->user ? cluster->user->pw_uid : geteuid();
		if (stat_of.st_uid != owner) {
			const struct passwd *other = getpwuid(stat_of.st_uid);
			return rc_error_set(err, RC_DENIED, "%s belongs to %s: run `rollcall up` on it as that user%s, or name another --data",
					    cluster->folder, other ? other->pw_name : "somebody else",
					    other && strcmp(other->pw_name, "postgres") == 0 ? " or as root" : "");
		}
		status = version_check(cluster, err);
		if (status != RC_OK)
			return status;
	}
	socket_folder_sweep(cluster);
	status = socket_folder_make(cluster, err);
	if (status != RC_OK)
		return status;

	/* A log that grew over the years makes room. */
	char *older;
	if (stat(cluster->log, &stat_of) == 0 && stat_of.st_size > LOG_MAX_OCTETS && asprintf(&older, "%s.1", cluster->log) >= 0) {
		if (rename(cluster->log, older) != 0)
			cli_warn("cannot rename %s: %s", cluster->log, strerror(errno));
		free(older);
	}
	size_t n = 0;
	if (asprintf(&cluster->argv[n++], "%s/postgres", cluster->bin) < 0)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	cluster->argv[n++] = "-D";
	cluster->argv[n++] = cluster->folder;
	cluster->argv[n++] = "-k";
	cluster->argv[n++] = cluster->socket;
	cluster->argv[n++] = "-p";
	cluster->argv[n++] = "5432"; /* names the socket; nothing listens on it */
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		cluster->argv[n++] = "-c";
		cluster->argv[n++] = (char *)settings[i];
	}
	cluster->argv[n] = NULL;
	/* SIGINT is PostgreSQL's fast stop: clients are cut off, what was committed stays. */
	cluster->child = (struct child){ .name = "PostgreSQL",
					 .argv = cluster->argv,
					 .user = cluster->user,
					 .output = cluster->log,
					 .stop_signal = SIGINT,
					 .orphan_signal = SIGINT,
					 .stop_timeout_ms = 60000 };
	return RC_OK;
}

/* Line `number` (from 1) of postmaster.pid. */
static bool pid_file_line(const struct cluster *cluster, int number, char *ret_line, size_t size)
{
	char *path, line[1024];
	bool found = false;
	if (asprintf(&path, "%s/postmaster.pid", cluster->folder) < 0)
		return false;
	FILE *file = fopen(path, "re");
	free(path);
	for (int i = 1; file && !found && fgets(line, sizeof line, file); i++) {
		if (i != number)
			continue;
		line[strcspn(line, " \n")] = '\0';
		snprintf(ret_line, size, "%.*s", (int)size - 1, line);
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

bool cluster_may_start(struct cluster *cluster)
{
	char line[64], path[64], folder[4096], *file;
	long pid;
	for (int i = 0; i < 2; i++) {
		if (asprintf(&file, "%s/.s.PGSQL.5432%s", cluster->socket, i ? ".lock" : "") < 0)
			return false;
		unlink(file);
		free(file);
	}
	if (!pid_file_line(cluster, 1, line, sizeof line) || (pid = strtol(line, NULL, 10)) <= 1 || kill((pid_t)pid, 0) != 0)
		return true;
	/* Somebody lives under that number: the postmaster of a killed `up`, or a stranger who got the number later. */
	snprintf(path, sizeof path, "/proc/%ld/cwd", pid);
	ssize_t len = readlink(path, folder, sizeof folder - 1);
	folder[len > 0 ? len : 0] = '\0';
	char *real = realpath(cluster->folder, NULL);
	bool ours = len > 0 && real && strcmp(folder, real) == 0;
	free(real);
	if (ours) {
		kill((pid_t)pid, SIGINT);
		return false;
	}
	if (asprintf(&file, "%s/postmaster.pid", cluster->folder) >= 0) {
		unlink(file);
		free(file);
	}
	return true;
}

bool cluster_ready(const struct cluster *cluster)
{
	char line[64];
	return cluster->child.pid > 0 && pid_file_line(cluster, 1, line, sizeof line) &&
	       strtol(line, NULL, 10) == (long)cluster->child.pid && pid_file_line(cluster, 8, line, sizeof line) &&
	       strcmp(line, "ready") == 0;
}

char *cluster_conninfo(const struct cluster *cluster)
{
	char *text;
	return asprintf(&text, "host=%s port=5432 dbname=rollcall user=rollcall", cluster->socket) < 0 ? NULL : text;
}

void cluster_last_words(const struct cluster *cluster, char *ret_text, size_t size)
{
	last_line(cluster->log, ret_text, size);
}

void cluster_done(struct cluster *cluster)
{
	if (cluster->socket) {
		nftw(cluster->socket, remove_entry, 4, FTW_DEPTH | FTW_PHYS);
		unlink(cluster->note);
	}
	free(cluster->argv[0]);
	free(cluster->bin);
	free(cluster->folder);
	free(cluster->log);
	free(cluster->socket);
	free(cluster->note);
	memset(cluster, 0, sizeof *cluster);
}
