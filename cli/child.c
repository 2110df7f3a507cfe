#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { STOP_POLL_MS = 10 };

/* In the new process, from fork to exec. Never returns; writes errno to `tell` when it cannot. */
static void become(char **argv, const struct passwd *user, int input, int output, int error, int orphan_signal, pid_t parent, int tell)
{
	setsid();
	if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(error, STDERR_FILENO) < 0)
		goto fail;
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	if (user) {
		if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
			goto fail;
		setenv("HOME", user->pw_dir, 1);
		setenv("USER", user->pw_name, 1);
		/* Nobody else's business. */
		unsetenv("ROLLCALL_MESSAGE_KEY");
		/* Wherever `up` was started, perhaps where this user may not be. */
		if (chdir("/") != 0)
			goto fail;
	}
	/* After setuid(), which clears it; then a look whether the parent died before. */
	prctl(PR_SET_PDEATHSIG, orphan_signal);
	if (getppid() != parent)
		_exit(127);
	execv(argv[0], argv);
fail:;
	int why = errno;
	ssize_t told = write(tell, &why, sizeof why);
	_exit(told < 0 ? 126 : 127);
}

static enum rc_status spawn(char **argv, const struct passwd *user, const char *output, int input, int orphan_signal, pid_t *ret_pid,
			    struct rc_error *err)
{
	int tell[2] = { -1, -1 }, out = -1, error = -1, in = -1, why = 0;
	enum rc_status status = RC_OK;
	pid_t parent = getpid(), pid = -1;

	out = open(output ? output : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	error = output ? fcntl(out, F_DUPFD_CLOEXEC, 3) : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	in = input >= 0 ? fcntl(input, F_DUPFD_CLOEXEC, 3) : open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (out < 0 || error < 0 || in < 0) {
		status = rc_error_set(err, RC_UNAVAILABLE, "cannot open %s: %s", output ? output : "standard error", strerror(errno));
		goto out;
	}
	if (pipe2(tell, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		status = rc_error_set(err, RC_UNAVAILABLE, "cannot start %s: %s", argv[0], strerror(errno));
		goto out;
	}
	if (pid == 0)
		become(argv, user, in, out, error, orphan_signal, parent, tell[1]);
	close(tell[1]);
	tell[1] = -1;
	/* Ends at exec, which closes the other end, or with the reason why there was none. */
	ssize_t got;
	do
		got = read(tell[0], &why, sizeof why);
	while (got < 0 && errno == EINTR);
	if (got == (ssize_t)sizeof why) {
		waitpid(pid, NULL, 0);
		status = rc_error_set(err, RC_UNAVAILABLE, "cannot start %s: %s", argv[0], strerror(why));
		goto out;
	}
	*ret_pid = pid;
out:
	for (int i = 0; i < 2; i++)
		if (tell[i] >= 0)
			close(tell[i]);
	if (out >= 0)
		close(out);
	if (error >= 0)
		close(error);
	if (in >= 0)
		close(in);
	return status;
}

enum rc_status child_start(struct child *child, uint64_t now_ms, struct rc_error *err)
{
	pid_t pid = 0;
	enum rc_status status = spawn(child->argv, child->user, child->output, -1, child->orphan_signal, &pid, err);
	if (status != RC_OK)
		return status;
	child->pid = pid;
	child->started_ms = now_ms;
	child->starts++;
	return RC_OK;
}

void child_ended(struct child *child, int wait_status, uint64_t now_ms)
{
	child->pid = 0;
	child->wait_status = wait_status;
	if (child->backoff_ms == 0 || now_ms - child->started_ms >= CHILD_STABLE_MS)
		child->backoff_ms = CHILD_BACKOFF_MIN_MS;
	child->start_at_ms = now_ms + (uint64_t)child->backoff_ms;
	child->backoff_ms *= 2;
	if (child->backoff_ms > CHILD_BACKOFF_MAX_MS)
		child->backoff_ms = CHILD_BACKOFF_MAX_MS;
}

const char *child_end_text(int wait_status, char *ret_text)
{
	if (WIFSIGNALED(wait_status))
		snprintf(ret_text, 96, "was killed by signal %d (%s)", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
	else
		snprintf(ret_text, 96, "ended with status %d", WEXITSTATUS(wait_status));
	return ret_text;
}

void child_stop(struct child *child, bool (*hurry)(void *arg), void *arg)
{
	if (child->pid == 0)
		return;
	uint64_t until_ms = rc_clock_mono_ms() + (uint64_t)child->stop_timeout_ms;
	kill(child->pid, child->stop_signal);
	for (bool killed = false;;) {
		pid_t got = waitpid(child->pid, &child->wait_status, WNOHANG);
		if (got == child->pid || (got < 0 && errno == ECHILD))
			break;
		if (!killed && (rc_clock_mono_ms() > until_ms || (hurry && hurry(arg)))) {
			kill(child->pid, SIGKILL);
			killed = true;
		}
		poll(NULL, 0, STOP_POLL_MS);
	}
	child->pid = 0;
}

enum rc_status child_run(char **argv, const struct passwd *user, const char *output, const char *input, int *ret_wait,
			 struct rc_error *err)
{
	int in[2] = { -1, -1 };
	pid_t pid = 0;
	/* What is written fits into the pipe, so nobody waits for anybody. */
	if (input && (pipe2(in, O_CLOEXEC) != 0 || write(in[1], input, strlen(input)) != (ssize_t)strlen(input)))
		return rc_error_set(err, RC_UNAVAILABLE, "cannot make a pipe: %s", strerror(errno));
	if (input)
		close(in[1]);
	enum rc_status status = spawn(argv, user, output, in[0], SIGTERM, &pid, err);
	if (input)
		close(in[0]);
	if (status != RC_OK)
		return status;
	while (waitpid(pid, ret_wait, 0) < 0)
		if (errno != EINTR)
			return rc_error_set(err, RC_UNAVAILABLE, "cannot wait for %s: %s", argv[0], strerror(errno));
	return RC_OK;
}
