/*
 * bench-prober - the bare epoll prober: SMTP sessions as cheap as the kernel allows, for the worker
 * to be compared with.
 *
 * It decides nothing and keeps nothing: greeting, EHLO, MAIL and RCPTs in one write, QUIT, close. A
 * session is 13 system calls of its own (socket, setsockopt, bind, connect, epoll_ctl, four recv,
 * three send, close) and a share of epoll_wait; each is counted here, so that the figure can be
 * printed, and held against strace -c. One thread; out of memory aborts.
 */
#include "common/base/clock.h"
#include "common/base/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, LINE_ROOM = 65536, IN_MAX = 65536, TIMEOUT_MS = 10000 };

enum call { SOCKET, SETSOCKOPT, BIND, CONNECT, EPOLL_CTL, EPOLL_WAIT, RECV, SEND, CLOSE, CALLS };

static const char *const call_names[CALLS] = { "socket",  "setsockopt", "bind",
					       "connect", "epoll_ctl",	"epoll_wait",
					       "recv",	  "send",	"close" };

struct config {
	const char *targets, *source;
	int64_t port, sessions, concurrency, recipients;
	bool json;
};

#define FIELD(name) offsetof(struct config, name)

static const struct rc_option options[] = {
	{ "targets", RC_OPTION_STRING, FIELD(targets), 0, 0, NULL, "file", false, false,
	  "Lines of: ADDRESS HELO MAIL-FROM RECIPIENT..." },
	{ "source", RC_OPTION_STRING, FIELD(source), 0, 0, "127.0.0.1", "address", false, false,
	  "The address to bind." },
	{ "port", RC_OPTION_INT, FIELD(port), 1, 65535, "2525", NULL, false, false,
	  "The port of every target." },
	{ "sessions", RC_OPTION_INT, FIELD(sessions), 1, 1e12, "100000", NULL, false, false,
	  "How many sessions to make." },
	{ "concurrency", RC_OPTION_INT, FIELD(concurrency), 1, 1e6, "500", NULL, false, false,
	  "How many are open at once." },
	{ "recipients", RC_OPTION_INT, FIELD(recipients), 1, 1000, "1", NULL, false, false,
	  "RCPTs of a session; a target's list starts over when it is shorter." },
	{ "json", RC_OPTION_BOOL, FIELD(json), 0, 0, "off", NULL, false, false,
	  "Print the figures as one line of JSON." },
	{ 0 },
};

/* Both writes of a session, made beforehand. */
struct target {
	struct sockaddr_in address;
	char *hello, *batch;
	size_t hello_len, batch_len;
};

enum state { GREETING = 1, HELLO, BATCH, QUIT };

struct session {
	int fd;
	enum state state;
	unsigned awaited;   /* replies before the next step */
	unsigned column;    /* of the reply line being read */
	char first, fourth; /* its first and fourth octet */
	const struct target *target;
	uint64_t started_ms;
};

struct prober {
	const struct config *config;
	struct sockaddr_in source;
	struct target *targets;
	size_t target_count, next_target;
	struct session *sessions;
	size_t open;
	uint64_t started, done, failed, recipients, accepted, now_ms;
	uint64_t calls[CALLS];
	int epoll;
	char in[IN_MAX];
};

static void *checked(void *memory)
{
	if (!memory) {
		fprintf(stderr, "bench-prober: out of memory\n");
		abort();
	}
	return memory;
}

/* "ADDRESS HELO FROM RCPT..." into what will be sent. False: not such a line. */
static bool read_target(const struct config *config, char *line, struct target *ret)
{
	char *rest = NULL, *recipients[1000], *word;
	const char *ip = strtok_r(line, " \t\r\n", &rest), *helo = strtok_r(NULL, " \t\r\n", &rest);
	const char *from = strtok_r(NULL, " \t\r\n", &rest);
	size_t count = 0, room = 64;

	ret->address = (struct sockaddr_in){ .sin_family = AF_INET,
					     .sin_port = htons((uint16_t)config->port) };
	while (count < 1000 && (word = strtok_r(NULL, " \t\r\n", &rest)))
		recipients[count++] = word;
	if (!ip || !helo || !from || !count || inet_pton(AF_INET, ip, &ret->address.sin_addr) != 1)
		return false;
	ret->hello = checked(malloc(strlen(helo) + 16));
	ret->hello_len = (size_t)sprintf(ret->hello, "EHLO %s\r\n", helo);
	for (int64_t i = 0; i < config->recipients; i++)
		room += strlen(recipients[(size_t)i % count]) + 16;
	ret->batch = checked(malloc(room + strlen(from)));
	ret->batch_len = (size_t)sprintf(ret->batch, "MAIL FROM:<%s>\r\n", from);
	for (int64_t i = 0; i < config->recipients; i++)
		ret->batch_len += (size_t)sprintf(ret->batch + ret->batch_len, "RCPT TO:<%s>\r\n",
						  recipients[(size_t)i % count]);
	return true;
}

static enum rc_status read_targets(struct prober *prober, struct rc_error *err)
{
	static char line[LINE_ROOM];
	FILE *file = prober->config->targets ? fopen(prober->config->targets, "r") : NULL;
	unsigned n = 0;

	if (!file)
		return rc_error_set(
		    err, RC_NOT_FOUND,
		    "--targets needs a file that can be read (mailworld --write-targets)");
	while (fgets(line, sizeof(line), file)) {
		if ((prober->target_count & (prober->target_count - 1)) == 0)
			prober->targets = checked(
			    realloc(prober->targets,
				    sizeof(struct target) *
					(prober->target_count ? prober->target_count * 2 : 1)));
		n++;
		if (!read_target(prober->config, line, &prober->targets[prober->target_count])) {
			fclose(file);
			return rc_error_set(err, RC_INVALID,
					    "%s line %u is not ADDRESS HELO MAIL-FROM RECIPIENT...",
					    prober->config->targets, n);
		}
		prober->target_count++;
	}
	fclose(file);
	if (!prober->target_count)
		return rc_error_set(err, RC_INVALID, "%s holds no target", prober->config->targets);
	return RC_OK;
}

static void await(struct session *session, enum state state, unsigned replies)
{
	session->state = state;
	session->awaited = replies;
}

static void session_end(struct prober *prober, struct session *session, bool failed)
{
	close(session->fd);
	prober->calls[CLOSE]++;
	session->fd = -1;
	prober->open--;
	prober->done++;
	prober->failed += failed;
}

static void session_start(struct prober *prober, struct session *session)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = session };
	const struct target *target = &prober->targets[prober->next_target];
	int on = 1;

	prober->next_target =
	    prober->next_target + 1 == prober->target_count ? 0 : prober->next_target + 1;
	*session = (struct session){ .target = target, .started_ms = prober->now_ms };
	session->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	prober->calls[SOCKET]++;
	if (session->fd < 0) {
		perror("bench-prober: socket");
		exit(1);
	}
	prober->started++;
	prober->open++;
	await(session, GREETING, 1);
	setsockopt(session->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	prober->calls[SETSOCKOPT]++;
	prober->calls[BIND]++;
	if (bind(session->fd, (const struct sockaddr *)&prober->source, sizeof(prober->source)) <
	    0) {
		perror("bench-prober: bind");
		exit(1);
	}
	prober->calls[CONNECT]++;
	if (connect(session->fd, (const struct sockaddr *)&target->address,
		    sizeof(target->address)) < 0 &&
	    errno != EINPROGRESS) {
		session_end(prober, session, true);
		return;
	}
	epoll_ctl(prober->epoll, EPOLL_CTL_ADD, session->fd, &event);
	prober->calls[EPOLL_CTL]++;
}

/* How many replies end in these octets. A reply's last line has a blank, or nothing, after its
 * code. */
static unsigned take_replies(struct prober *prober, struct session *session, const char *data,
			     size_t len)
{
	unsigned replies = 0;

	for (size_t i = 0; i < len;) {
		const char *end = memchr(data + i, '\n', len - i);
		size_t run = (end ? (size_t)(end + 1 - data) : len) - i;

		if (session->column == 0)
			session->first = data[i];
		if (session->column <= 3 && session->column + run > 3)
			session->fourth = data[i + 3 - session->column];
		session->column += (unsigned)run;
		i += run;
		if (!end)
			break;
		if (session->fourth != '-') {
			replies++;
			prober->accepted += session->state == BATCH && session->first == '2';
		}
		session->column = 0;
	}
	return replies;
}

static void session_send(struct prober *prober, struct session *session, const char *data,
			 size_t len)
{
	prober->calls[SEND]++;
	/* A fresh socket takes the 100 KB that a batch may have; if not, the session is lost and is
	 * counted so. */
	if (send(session->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
		session_end(prober, session, true);
}

static void session_step(struct prober *prober, struct session *session)
{
	switch (session->state) {
	case GREETING:
		await(session, HELLO, 1);
		session_send(prober, session, session->target->hello, session->target->hello_len);
		break;
	case HELLO:
		await(session, BATCH, 1 + (unsigned)prober->config->recipients);
		session_send(prober, session, session->target->batch, session->target->batch_len);
		break;
	case BATCH:
		prober->recipients += (uint64_t)prober->config->recipients;
		prober->accepted--; /* the reply to MAIL */
		await(session, QUIT, 1);
		session_send(prober, session, "QUIT\r\n", 6);
		break;
	case QUIT:
		session_end(prober, session, false);
		break;
	}
}

static void on_session(struct prober *prober, struct session *session)
{
	ssize_t got;

	do {
		unsigned replies;

		got = recv(session->fd, prober->in, sizeof(prober->in), 0);
		prober->calls[RECV]++;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			session_end(prober, session, true);
			return;
		}
		replies = take_replies(prober, session, prober->in, (size_t)got);
		session->awaited -= replies < session->awaited ? replies : session->awaited;
	} while (got == sizeof(prober->in));
	if (!session->awaited)
		session_step(prober, session);
}

static void run(struct prober *prober)
{
	static struct epoll_event events[EVENTS];
	uint64_t wanted = (uint64_t)prober->config->sessions;
	size_t count = (size_t)prober->config->concurrency;

	prober->now_ms = rc_clock_mono_ms();
	for (size_t i = 0; i < count; i++)
		prober->sessions[i].fd = -1;
	for (size_t i = 0; i < count && prober->started < wanted; i++)
		session_start(prober, &prober->sessions[i]);
	while (prober->open) {
		int n = epoll_wait(prober->epoll, events, EVENTS, TIMEOUT_MS);

		prober->calls[EPOLL_WAIT]++;
		prober->now_ms = rc_clock_mono_ms();
		if (n < 0 && errno == EINTR) /* stopped, and continued */
			continue;
		for (int i = 0; i < n; i++) {
			struct session *session = events[i].data.ptr;

			on_session(prober, session);
			while (session->fd < 0 && prober->started < wanted)
				session_start(prober, session);
		}
		/* Nothing for so long: whoever is open hangs. */
		for (size_t i = 0; n <= 0 && i < count; i++)
			if (prober->sessions[i].fd >= 0)
				session_end(prober, &prober->sessions[i], true);
	}
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void report(const struct prober *prober, double wall_s)
{
	struct rusage usage = { 0 };
	uint64_t calls = 0;
	double user_s, system_s, sessions = (double)prober->done;
	json_t *root;
	char *text;

	getrusage(RUSAGE_SELF, &usage);
	user_s = seconds(usage.ru_utime);
	system_s = seconds(usage.ru_stime);
	for (int i = 0; i < CALLS; i++)
		calls += prober->calls[i];
	if (prober->config->json) {
		root = json_pack(
		    "{s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:I}", "sessions",
		    (json_int_t)prober->done, "failed", (json_int_t)prober->failed, "recipients",
		    (json_int_t)prober->recipients, "accepted", (json_int_t)prober->accepted,
		    "wall_s", wall_s, "sessions_per_s", sessions / wall_s, "recipients_per_s",
		    (double)prober->recipients / wall_s, "cpu_user_s", user_s, "cpu_system_s",
		    system_s, "cpu_share", (user_s + system_s) / wall_s, "calls_per_session",
		    (double)calls / sessions, "max_rss_kb", (json_int_t)usage.ru_maxrss);
		for (int i = 0; i < CALLS; i++)
			json_object_set_new(root, call_names[i],
					    json_integer((json_int_t)prober->calls[i]));
		text = checked(json_dumps(root, JSON_COMPACT));
		puts(text);
		free(text);
		json_decref(root);
		return;
	}
	printf("sessions        %10llu   (%llu failed)   %12.0f /s\n",
	       (unsigned long long)prober->done, (unsigned long long)prober->failed,
	       sessions / wall_s);
	printf("recipients      %10llu   (%llu accepted) %12.0f /s\n",
	       (unsigned long long)prober->recipients, (unsigned long long)prober->accepted,
	       (double)prober->recipients / wall_s);
	printf("time            %10.3f s wall, %.3f s user, %.3f s system: %.0f%% of a core\n",
	       wall_s, user_s, system_s, 100 * (user_s + system_s) / wall_s);
	printf("system calls    %10.2f a session:", (double)calls / sessions);
	for (int i = 0; i < CALLS; i++)
		printf(" %s %.2f", call_names[i], (double)prober->calls[i] / sessions);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct config config = { 0 };
	struct rc_options *parsed = NULL;
	struct rc_error err = { 0 };
	struct prober *prober = checked(calloc(1, sizeof(*prober)));
	struct rlimit files;
	uint64_t started_us;
	int rest = argc;
	enum rc_status status =
	    rc_options_parse(options, "bench-prober", "--targets FILE [OPTION...]", argc, argv,
			     &config, &parsed, &rest, &err);

	if (status == RC_CONFLICT)
		return 0;
	prober->config = &config;
	prober->source.sin_family = AF_INET;
	if (status == RC_OK && inet_pton(AF_INET, config.source, &prober->source.sin_addr) != 1)
		status = rc_error_set(&err, RC_INVALID, "--source: %s is no IPv4 address",
				      config.source);
	if (status == RC_OK)
		status = read_targets(prober, &err);
	if (status != RC_OK) {
		fprintf(stderr, "bench-prober: %s\n", err.text);
		return 2;
	}
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prober->sessions = checked(calloc((size_t)config.concurrency, sizeof(*prober->sessions)));
	prober->epoll = epoll_create1(EPOLL_CLOEXEC);
	started_us = rc_clock_mono_us();
	run(prober);
	report(prober, (double)(rc_clock_mono_us() - started_us) / 1e6);
	status = prober->failed ? RC_BROKEN : RC_OK;
	for (size_t i = 0; i < prober->target_count; i++) {
		free(prober->targets[i].hello);
		free(prober->targets[i].batch);
	}
	free(prober->targets);
	free(prober->sessions);
	free(prober);
	rc_options_free(parsed);
	return status == RC_OK ? 0 : 1;
}
