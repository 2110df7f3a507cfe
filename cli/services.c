/* See services.h. */
#include "cli/services.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KNOWN_MAX = 256 };

/* The option names of the services, from their own --print-config. */
struct known {
	char *names[KNOWN_MAX];
	size_t count;
};

static bool known_has(const struct known *known, const char *name, size_t len)
{
	for (size_t i = 0; i < known->count; i++)
		if (strlen(known->names[i]) == len && memcmp(known->names[i], name, len) == 0)
			return true;
	return false;
}

static void known_free(struct known *known)
{
	for (size_t i = 0; i < known->count; i++)
		free(known->names[i]);
	known->count = 0;
}

char *services_program(const char *name)
{
	char self[PATH_MAX], *path = NULL;
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	if (len > 0) {
		self[len] = '\0';
		char *slash = strrchr(self, '/');
		if (slash) {
			*slash = '\0';
			if (asprintf(&path, "%s/%s", self, name) < 0)
				return NULL;
			if (access(path, X_OK) == 0)
				return path;
			free(path);
			path = NULL;
		}
	}
	const char *list = getenv("PATH");
	char *copy = strdup(list ? list : ""), *save = NULL;
	for (char *part = copy ? strtok_r(copy, ":", &save) : NULL; part;
	     part = strtok_r(NULL, ":", &save)) {
		if (asprintf(&path, "%s/%s", part, name) < 0)
			break;
		if (access(path, X_OK) == 0) {
			free(copy);
			return path;
		}
		free(path);
	}
	free(copy);
	return NULL;
}

static enum rc_status known_learn(struct known *known, const char *program, struct rc_error *err)
{
	char *path = services_program(program), line[1024];
	int fds[2];
	if (!path)
		return rc_error_set(err, RC_UNAVAILABLE,
				    "%s is not here: it belongs beside rollcall, or into PATH",
				    program);
	if (pipe2(fds, O_CLOEXEC) != 0) {
		free(path);
		return rc_error_set(err, RC_UNAVAILABLE, "cannot make a pipe: %s", strerror(errno));
	}
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		char *argv[] = { path, "--print-config", NULL };
		char *none[] = { NULL };
		if (dup2(fds[1], STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0)
			execve(path, argv, none);
		_exit(127);
	}
	close(fds[1]);
	FILE *file = fdopen(fds[0], "r");
	while (file && fgets(line, sizeof line, file)) {
		const char *start = line + strspn(line, "# \t");
		size_t len = strspn(start, "abcdefghijklmnopqrstuvwxyz0123456789-");
		if (len == 0 || start[len + strspn(start + len, " \t")] != '=' ||
		    known->count == KNOWN_MAX)
			continue;
		if (!known_has(known, start, len) &&
		    (known->names[known->count] = strndup(start, len)))
			known->count++;
	}
	if (file)
		fclose(file);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	free(path);
	return RC_OK;
}

/* "mail-from" -> ROLLCALL_MAIL_FROM in our environment, which the services inherit. */
static void variable_set(const char *name, size_t len, const char *value, bool replace)
{
	char variable[128] = "ROLLCALL_";
	size_t at = strlen(variable);
	for (size_t i = 0; i < len && at < sizeof variable - 1; i++)
		variable[at++] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
	variable[at] = '\0';
	setenv(variable, value, replace);
}

/* `name = value` lines; what a flag or a variable has said stays. */
static enum rc_status config_read(const char *path, const struct known *known, struct rc_error *err)
{
	char line[8192];
	FILE *file = fopen(path, "re");
	if (!file)
		return rc_error_set(err, RC_INVALID, "cannot read %s: %s", path, strerror(errno));
	enum rc_status status = RC_OK;
	for (int number = 1; status == RC_OK && fgets(line, sizeof line, file); number++) {
		char *name = line + strspn(line, " \t");
		size_t len = strcspn(name, " \t=\r\n");
		if (*name == '#' || *name == '[' || len == 0)
			continue;
		char *value = name + len;
		value += strspn(value, " \t");
		bool equals = *value == '=';
		value += equals ? 1 + strspn(value + 1, " \t") : 0;
		for (size_t end = strlen(value); end > 0 && isspace((unsigned char)value[end - 1]);
		     end--)
			value[end - 1] = '\0';
		if (!equals)
			status = rc_error_set(err, RC_INVALID, "%s:%d: write `name = value`", path,
					      number);
		else if (!known_has(known, name, len))
			status = rc_error_set(err, RC_INVALID,
					      "%s:%d: no service has an option \"%.*s\"", path,
					      number, (int)len, name);
		else
			variable_set(name, len, value, false);
	}
	fclose(file);
	return status;
}

int services_options(const struct cli_command *command, int argc, char **argv,
		     const char **ret_data, const char **ret_pg_bin, bool *ret_failed)
{
	struct known known = { .count = 0 };
	struct rc_error err;
	const char *config = getenv("ROLLCALL_CONFIG");
	int exit_status = CLI_OK;
	*ret_failed = true;
	if (known_learn(&known, "rollcall-coordinator", &err) != RC_OK ||
	    known_learn(&known, "rollcall-worker", &err) != RC_OK) {
		cli_warn("%s", err.text);
		known_free(&known);
		return CLI_FAILED;
	}
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		if (strncmp(arg, "--", 2) != 0 || !arg[2]) {
			exit_status =
			    cli_misuse(command, "%s takes options only, not \"%s\".", command->name, arg);
			goto out;
		}
		const char *name = arg + 2, *equals = strchr(name, '='), *value;
		size_t len = equals ? (size_t)(equals - name) : strlen(name);
		bool own = (len == 4 && strncmp(name, "data", 4) == 0) ||
			   (len == 6 && strncmp(name, "pg-bin", 6) == 0) ||
			   (len == 6 && strncmp(name, "config", 6) == 0);
		if (!own && !known_has(&known, name, len)) {
			if (!equals && strncmp(name, "no-", 3) == 0 &&
			    known_has(&known, name + 3, len - 3)) {
				variable_set(name + 3, len - 3, "off", true);
				continue;
			}
			exit_status =
			    cli_misuse(command, "neither %s nor a service has an option \"%.*s\".",
				       command->name, (int)len + 2, arg);
			goto out;
		}
		if (equals) {
			value = equals + 1;
		} else if (i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0) {
			value = argv[++i];
		} else if (own) {
			exit_status = cli_misuse(command, "%s takes a value.", arg);
			goto out;
		} else {
			value = "on";
		}
		if (!own)
			variable_set(name, len, value, true);
		else if (*name == 'd')
			*ret_data = value;
		else if (*name == 'p')
			*ret_pg_bin = value;
		else
			config = value;
	}
	if (config && *config && config_read(config, &known, &err) != RC_OK) {
		cli_warn("%s", err.text);
		exit_status = CLI_USAGE;
		goto out;
	}
	/* The services have it from their variables; they shall not read a file of options that are
	 * not theirs. */
	unsetenv("ROLLCALL_CONFIG");
	*ret_failed = false;
out:
	known_free(&known);
	return exit_status;
}

/* ---- the default lane
 * --------------------------------------------------------------------------------------------- */

/* The address that the default route would use: connect() of a UDP socket asks the routing table
 * and sends nothing. */
static bool route_address(int family, char *ret_text, size_t size)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(25) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(25) };
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	/* Any address out there will do; these are the documentation's. */
	inet_pton(AF_INET, "198.51.100.1", &to4.sin_addr);
	inet_pton(AF_INET6, "2001:db8::1", &to6.sin6_addr);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool found = connect(fd,
			     family == AF_INET ? (const struct sockaddr *)&to4
					       : (const struct sockaddr *)&to6,
			     family == AF_INET ? sizeof to4 : sizeof to6) == 0 &&
		     getsockname(fd, (struct sockaddr *)&from, &len) == 0 &&
		     getnameinfo((const struct sockaddr *)&from, len, ret_text, (socklen_t)size,
				 NULL, 0, NI_NUMERICHOST) == 0;
	close(fd);
	return found;
}

/* A machine without a default route has perhaps an address all the same. */
static bool interface_address(char *ret_text, size_t size)
{
	struct ifaddrs *list, *at;
	bool found = false;
	if (getifaddrs(&list) != 0)
		return false;
	for (at = list; at && !found; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET)
			continue;
		const struct sockaddr_in *address =
		    (const struct sockaddr_in *)(const void *)at->ifa_addr;
		found = (ntohl(address->sin_addr.s_addr) >> 24) != 127 &&
			inet_ntop(AF_INET, &address->sin_addr, ret_text, (socklen_t)size);
	}
	freeifaddrs(list);
	return found;
}

void services_default_lane(void)
{
	char address[64], host[256] = "localhost", lane[512];
	const char *given = getenv("ROLLCALL_LANES");
	if (given && *given)
		return;
	if (!route_address(AF_INET, address, sizeof address) &&
	    !route_address(AF_INET6, address, sizeof address) &&
	    !interface_address(address, sizeof address)) {
		snprintf(address, sizeof address, "127.0.0.1");
		cli_warn("this machine has no address but loopback, so no mail server can be "
			 "asked; name one with --lanes NAME=ADDRESS/HELO");
	}
	gethostname(host, sizeof host - 1);
	if (!strchr(host, '.')) {
		struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM },
				*found = NULL;
		if (getaddrinfo(host, NULL, &hints, &found) == 0) {
			if (found->ai_canonname && strchr(found->ai_canonname, '.'))
				snprintf(host, sizeof host, "%s", found->ai_canonname);
			freeaddrinfo(found);
		}
	}
	if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") !=
	    strlen(host))
		snprintf(host, sizeof host, "localhost");
	bool six = strchr(address, ':') != NULL;
	snprintf(lane, sizeof lane, "main=%s%s%s/%s", six ? "[" : "", address, six ? "]" : "",
		 host);
	setenv("ROLLCALL_LANES", lane, 1);
}
