/*
 * bench-due - how long the coordinator's look for what is due takes, in a database that is there.
 *
 *     bench-due read DATABASE NOW_MS RUNS     due_read() again and again, as if it were NOW_MS
 *     bench-due take DATABASE NOW_MS ROWS     due_take() in batches, each committed, until nothing
 * is due or ROWS were taken
 *
 * Times are by the wall clock, from BEGIN to the last row and, where taken, to the end of COMMIT;
 * "cpu_ms" is the CPU time that this program and its PostgreSQL process, which must run on the same
 * machine, used for each. Prints one JSON object.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/store/db.h"
#include "coordinator/store/due.h"

enum { RUNS_MAX = 100000 };

static double took_ms[RUNS_MAX];
static struct due_mark mark;

static double clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* CPU time of a process, in milliseconds; 0 where the kernel does not tell. */
static double cpu_ms(int64_t pid)
{
	char path[64], line[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRId64 "/schedstat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return strtod(line, NULL) / 1e6;
}

static enum rc_status server_pid(struct db *db, int64_t *ret_pid, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query(db, "SELECT pg_backend_pid()", DB_NONE, &r, err);

	if (status != RC_OK)
		return status;
	*ret_pid = db_get_int(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}

static enum rc_status read_once(struct db *db, int64_t now_ms, int64_t *rows, struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status = db_begin(db, err);
	int each;

	if (status == RC_OK)
		status = due_read(db, &mark, now_ms, &r, &each, err);
	if (status == RC_OK && r)
		*rows += db_rows(r);
	db_result_free(r);
	return status;
}

static enum rc_status take_once(struct db *db, int64_t now_ms, int64_t *rows, bool *ret_more,
				struct rc_error *err)
{
	int64_t taken = 0;
	enum rc_status status = db_begin(db, err);

	*ret_more = false;
	if (status == RC_OK)
		status = due_take(db, &mark, now_ms, 1, &taken, ret_more, err);
	if (status == RC_OK)
		status = db_commit(db, err);
	*rows += taken;
	return status;
}

int main(int argc, char **argv)
{
	struct db *db;
	struct rc_error err;
	enum rc_status status;
	int64_t now_ms, most, rows = 0, server;
	size_t runs = 0;
	double first_ms, cpu;
	bool take, more = true;

	if (argc != 5 || (strcmp(argv[1], "read") != 0 && strcmp(argv[1], "take") != 0)) {
		fprintf(stderr, "usage: bench-due read|take DATABASE NOW_MS RUNS|ROWS\n");
		return 2;
	}
	take = strcmp(argv[1], "take") == 0;
	now_ms = strtoll(argv[3], NULL, 10);
	most = strtoll(argv[4], NULL, 10);
	status = db_open(argv[2], "bench-due", 10000, &db, &err);
	if (status == RC_OK)
		status = server_pid(db, &server, &err);
	if (status != RC_OK)
		goto failed;
	cpu = cpu_ms(getpid()) + cpu_ms(server);
	while (more && runs < RUNS_MAX && (take ? rows : (int64_t)runs) < most) {
		double start = clock_ms();

		status = take ? take_once(db, now_ms, &rows, &more, &err)
			      : read_once(db, now_ms, &rows, &err);
		if (status != RC_OK)
			goto failed;
		took_ms[runs++] = clock_ms() - start;
		if (!take)
			db_rollback(db);
	}
	cpu = cpu_ms(getpid()) + cpu_ms(server) - cpu;
	db_close(db);
	first_ms = runs > 0 ? took_ms[0] : 0;
	qsort(took_ms, runs, sizeof(*took_ms), ascending);
	printf("{\"runs\": %zu, \"rows\": %" PRId64
	       ", \"first_ms\": %.3f, \"median_ms\": %.3f, \"worst_ms\": %.3f, \"cpu_ms\": %.3f}\n",
	       runs, rows, first_ms, took_ms[runs / 2], runs > 0 ? took_ms[runs - 1] : 0,
	       runs > 0 ? cpu / (double)runs : 0);
	return 0;
failed:
	fprintf(stderr, "bench-due: %s\n", err.text);
	return 1;
}
