/* See data_dir.h. */
#include "common/reply/data_dir.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void rc_data_dir_find(const char *configured, char ret_dir[PATH_MAX])
{
	static const char *const beside[] = { "../share/rollcall/data", "../../../data" };
	char program[PATH_MAX], file[PATH_MAX + 16];
	ssize_t len;
	char *slash;

	if (configured && *configured) {
		snprintf(ret_dir, PATH_MAX, "%s", configured);
		return;
	}
	len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	program[len > 0 ? len : 0] = '\0';
	slash = strrchr(program, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++) {
		snprintf(ret_dir, PATH_MAX, "%.3900s/%s", program, beside[i]);
		snprintf(file, sizeof(file), "%s/replies", ret_dir);
		if (access(file, R_OK) == 0)
			return;
	}
}
