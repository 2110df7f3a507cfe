"""A wall clock that a test may set, for every program of a fleet: a few lines of C that are loaded before libc."""
import os
import subprocess

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void)
{
	const char *path = getenv("TEST_CLOCK");
	char text[32] = "";
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real(clock, now);
	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += offset();
	return r;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	now->tv_sec = t.tv_sec;
	now->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}
"""


class Clock:
    def __init__(self, directory):
        self.path = os.path.join(directory, "clock")
        library = os.path.join(directory, "clock.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, "-x", "c", "-", "-ldl"], input=SOURCE, text=True, check=True)
        os.chmod(library, 0o755)
        self.set(0)
        self.env = {"LD_PRELOAD": library, "TEST_CLOCK": self.path}

    def set(self, seconds):
        """The wall clock is so many seconds ahead of the true one from now on."""
        with open(self.path + ".new", "w") as f:
            f.write(str(seconds))
        os.chmod(self.path + ".new", 0o644)
        os.replace(self.path + ".new", self.path)
