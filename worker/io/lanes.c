#include "worker/io/lanes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SETTING "ROLLCALL_LANES"
#define SHAPE                                                                                      \
	"write name=PUBLIC@BIND/HELO, for example fra-1=203.0.113.7@10.0.0.12/probe1.example.net"

static bool is_host_name(const char *name)
{
	const size_t len = strlen(name);
	size_t label = 0;
	bool letter = false;

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		const char c = name[i];
		const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (c == '.') {
			if (label == 0 || name[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!alpha && !(c >= '0' && c <= '9') && !(c == '-' && label > 0))
			return false;
		letter = letter || alpha;
		if (++label > 63)
			return false;
	}
	return label > 0 && name[len - 1] != '-' && letter;
}

static bool is_lane_name(const char *name)
{
	if (*name == '\0')
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' || *p == '.'))
			return false;
	}
	return true;
}

/* Normalises, so that two spellings of one address are seen to be one. Returns 4, 6, or 0: no
 * address. */
static int address_parse(const char *text, size_t len, char ret_text[LANE_ADDRESS_MAX],
			 struct sockaddr_storage *ret, socklen_t *ret_len)
{
	char bare[LANE_ADDRESS_MAX];
	bool bracket = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	struct sockaddr_storage address;

	if (bracket) {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(bare))
		return 0;
	memcpy(bare, text, len);
	bare[len] = '\0';
	memset(&address, 0, sizeof(address));
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;

	if (!bracket && inet_pton(AF_INET, bare, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		inet_ntop(AF_INET, &in->sin_addr, ret_text, LANE_ADDRESS_MAX);
		*ret = address;
		*ret_len = sizeof(*in);
		return 4;
	}
	if (bracket && inet_pton(AF_INET6, bare, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		inet_ntop(AF_INET6, &in6->sin6_addr, ret_text, LANE_ADDRESS_MAX);
		*ret = address;
		*ret_len = sizeof(*in6);
		return 6;
	}
	return 0;
}

static const char *own_host_name(char ret_name[LANE_HELO_MAX])
{
	if (gethostname(ret_name, LANE_HELO_MAX - 1) < 0)
		ret_name[0] = '\0';
	ret_name[LANE_HELO_MAX - 1] = '\0';
	return ret_name;
}

static enum rc_status lane_finish(struct lane *lane, const char *mail_from, struct rc_error *err)
{
	if (lane->helo[0] == '\0') {
		own_host_name(lane->helo);
		if (!is_host_name(lane->helo))
			return rc_error_set(
			    err, RC_INVALID,
			    SETTING ": lane `%s` has no HELO name and this machine's name `%s` is "
				    "no host name; " SHAPE,
			    lane->name, lane->helo);
	}
	if (mail_from != NULL)
		snprintf(lane->mail_from, sizeof(lane->mail_from), "%s", mail_from);
	else
		snprintf(lane->mail_from, sizeof(lane->mail_from), "verify@%s", lane->helo);
	return RC_OK;
}

static enum rc_status check_mail_from(const char *mail_from, struct rc_error *err)
{
	const char *at = mail_from != NULL ? strrchr(mail_from, '@') : NULL;

	if (mail_from == NULL ||
	    (strlen(mail_from) < LANE_MAIL_FROM_MAX && at != NULL && at != mail_from &&
	     strpbrk(mail_from, "<> \t\r\n") == NULL && is_host_name(at + 1)))
		return RC_OK;
	return rc_error_set(err, RC_INVALID,
			    "ROLLCALL_MAIL_FROM: `%.300s` is no mail address; write one such as "
			    "verify@probe1.example.net",
			    mail_from);
}

static enum rc_status lane_parse(const char *piece, size_t len, const char *mail_from,
				 struct lane *lane, struct rc_error *err)
{
	const int shown = (int)(len < 200 ? len : 200);
	const char *end = piece + len;
	const char *equals = memchr(piece, '=', len);
	struct sockaddr_storage ignored;
	socklen_t ignored_len;

	if (equals == NULL)
		return rc_error_set(err, RC_INVALID,
				    SETTING ": `%.*s` has no name before an =; " SHAPE, shown,
				    piece);
	if ((size_t)(equals - piece) >= sizeof(lane->name))
		return rc_error_set(err, RC_INVALID,
				    SETTING ": the name in `%.*s` is longer than %d octets", shown,
				    piece, LANE_NAME_MAX - 1);
	memcpy(lane->name, piece, (size_t)(equals - piece));
	if (!is_lane_name(lane->name))
		return rc_error_set(err, RC_INVALID,
				    SETTING
				    ": the name in `%.*s` may have letters, digits, - _ and . only",
				    shown, piece);

	const char *start = equals + 1;
	const char *slash = memchr(start, '/', (size_t)(end - start));
	const char *addresses_end = slash != NULL ? slash : end;
	const char *at = memchr(start, '@', (size_t)(addresses_end - start));
	const char *public_end = at != NULL ? at : addresses_end;
	const char *bind = at != NULL ? at + 1 : start;

	const int public_family = address_parse(start, (size_t)(public_end - start),
						lane->public_address, &ignored, &ignored_len);

	if (public_family == 0)
		return rc_error_set(
		    err, RC_INVALID,
		    SETTING ": in `%.*s`, `%.*s` is no IP address (v6 stands in brackets)", shown,
		    piece, (int)(public_end - start < 100 ? public_end - start : 100), start);
	lane->family = address_parse(bind, (size_t)(addresses_end - bind), lane->bind_address,
				     &lane->source, &lane->source_len);
	if (lane->family == 0)
		return rc_error_set(
		    err, RC_INVALID,
		    SETTING ": in `%.*s`, `%.*s` is no IP address (v6 stands in brackets)", shown,
		    piece, (int)(addresses_end - bind < 100 ? addresses_end - bind : 100), bind);
	if (public_family != lane->family)
		return rc_error_set(
		    err, RC_INVALID,
		    SETTING ": in `%.*s`, %s is an IPv%d address and %s an IPv%d one; a lane is of "
			    "one family: name the address of that family which the world sees",
		    shown, piece, lane->public_address, public_family, lane->bind_address,
		    lane->family);
	if (slash != NULL) {
		const size_t helo_len = (size_t)(end - slash - 1);

		if (helo_len >= sizeof(lane->helo))
			return rc_error_set(err, RC_INVALID,
					    SETTING ": the HELO name in `%.*s` is too long", shown,
					    piece);
		memcpy(lane->helo, slash + 1, helo_len);
		if (!is_host_name(lane->helo))
			return rc_error_set(
			    err, RC_INVALID, SETTING ": in `%.*s`, `%.*s` is no host name for HELO",
			    shown, piece, (int)(helo_len < 100 ? helo_len : 100), slash + 1);
	}
	return lane_finish(lane, mail_from, err);
}

static enum rc_status check_unique(const struct lanes *lanes, const struct lane *lane,
				   struct rc_error *err)
{
	for (size_t i = 0; i < lanes->n; i++) {
		const struct lane *other = &lanes->lane[i];

		if (other->set_aside)
			continue;
		if (strcmp(other->name, lane->name) == 0)
			return rc_error_set(err, RC_INVALID, SETTING ": two lanes are called `%s`",
					    lane->name);
		if (strcmp(other->bind_address, lane->bind_address) == 0)
			return rc_error_set(
			    err, RC_INVALID,
			    SETTING ": lanes `%s` and `%s` both bind %s; a lane is exactly one "
				    "address",
			    other->name, lane->name, lane->bind_address);
		if (strcmp(other->public_address, lane->public_address) == 0)
			return rc_error_set(
			    err, RC_INVALID,
			    SETTING ": lanes `%s` and `%s` both have the public address %s; a "
				    "lane is exactly one address",
			    other->name, lane->name, lane->public_address);
	}
	return RC_OK;
}

static bool is_taken(const struct lanes *lanes, const char *name)
{
	for (size_t i = 0; i < lanes->n; i++) {
		if (strcmp(lanes->lane[i].name, name) == 0)
			return true;
	}
	return false;
}

static void set_aside(const struct lanes *lanes, struct lane *lane, const struct rc_error *why)
{
	lane->set_aside = true;
	snprintf(lane->problem, sizeof(lane->problem), "%.399s", why->text);
	if (!is_lane_name(lane->name) || is_taken(lanes, lane->name))
		lane->name[0] = '\0';
}

/* What the kernel would send from towards the world. Connecting a datagram socket sends nothing. */
static enum rc_status default_lane(const char *mail_from, struct lane *lane, struct rc_error *err)
{
	struct sockaddr_in anywhere = { .sin_family = AF_INET, .sin_port = htons(25) };
	struct sockaddr_in *source = (struct sockaddr_in *)&lane->source;
	socklen_t len = sizeof(*source);
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "192.0.2.1", &anywhere.sin_addr);
	const bool known = fd >= 0 &&
			   connect(fd, (struct sockaddr *)&anywhere, sizeof(anywhere)) == 0 &&
			   getsockname(fd, (struct sockaddr *)source, &len) == 0;

	if (fd >= 0)
		close(fd);
	if (!known)
		return rc_error_set(err, RC_INVALID,
				    SETTING
				    " is not set and this machine has no default route to take an "
				    "address from; " SHAPE);
	source->sin_port = 0;
	lane->source_len = sizeof(*source);
	lane->family = 4;
	memcpy(lane->name, "local", sizeof("local"));
	inet_ntop(AF_INET, &source->sin_addr, lane->bind_address, LANE_ADDRESS_MAX);
	memcpy(lane->public_address, lane->bind_address, LANE_ADDRESS_MAX);
	return lane_finish(lane, mail_from, err);
}

enum rc_status lanes_parse(const char *text, const char *mail_from, struct lanes *ret_lanes,
			   struct rc_error *err)
{
	struct lanes lanes = { 0 };
	enum rc_status status = RC_OK;
	size_t fit = 0;
	static const char blanks[] = " \t\r\n";
	const char *at = text;

	lanes.lane = calloc(LANES_MAX, sizeof(lanes.lane[0]));
	if (lanes.lane == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for the lanes");
	for (size_t i = 0; i < LANES_MAX; i++)
		lanes.lane[i].held = -1;
	status = check_mail_from(mail_from, err);
	if (status != RC_OK)
		goto out;
	if (text == NULL || text[strspn(text, blanks)] == '\0') {
		status = default_lane(mail_from, &lanes.lane[0], err);
		lanes.n = 1;
		goto out;
	}
	for (;;) {
		at += strspn(at, blanks);
		const size_t len = strcspn(at, blanks);

		if (len == 0)
			break;
		if (lanes.n == LANES_MAX) {
			status = rc_error_set(
			    err, RC_LIMIT, SETTING ": more than %d lanes on one worker", LANES_MAX);
			goto out;
		}
		struct lane *lane = &lanes.lane[lanes.n];
		struct rc_error why;

		lane->held = -1;
		status = lane_parse(at, len, mail_from, lane, &why);
		if (status == RC_OK)
			status = check_unique(&lanes, lane, &why);
		if (status != RC_OK)
			set_aside(&lanes, lane, &why);
		fit += status == RC_OK;
		lanes.n++;
		at += len;
	}
	status = RC_OK;
	if (fit == 0)
		status = rc_error_set(err, RC_INVALID, "%s", lanes.lane[0].problem);
out:
	if (status != RC_OK) {
		free(lanes.lane);
		return status;
	}
	*ret_lanes = lanes;
	return RC_OK;
}

void lanes_done(struct lanes *lanes)
{
	for (size_t i = 0; i < lanes->n; i++)
		lane_release(&lanes->lane[i]);
	free(lanes->lane);
	lanes->lane = NULL;
	lanes->n = 0;
}

static int bind_error(const struct lane *lane)
{
	const int fd = socket(lane->source.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return errno;
	if (bind(fd, (const struct sockaddr *)&lane->source, lane->source_len) < 0)
		error = errno;
	close(fd);
	return error;
}

static void hold(struct lane *lane)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	/* sun_path[0] stays NUL: the abstract name space. 14 + 46 + 1 + 64 octets are more than it
	 * has, so a long name is cut. */
	const int len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1,
				 "rollcall-lane-%s-%s", lane->bind_address, lane->name);
	const size_t used =
	    len < (int)sizeof(name.sun_path) - 1 ? (size_t)len : sizeof(name.sun_path) - 2;
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (bind(fd, (struct sockaddr *)&name,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + used)) < 0) {
		close(fd);
		return;
	}
	lane->held = fd;
}

bool lane_prove(struct lane *lane)
{
	if (lane->set_aside)
		return false;
	const bool was_proved = lane->proved;
	const bool was_held = lane->held >= 0;
	const int error = bind_error(lane);

	lane->proved = error == 0;
	lane->problem[0] = '\0';
	if (error == EADDRNOTAVAIL)
		snprintf(lane->problem, sizeof(lane->problem),
			 "ROLLCALL_LANES: this machine does not have the address %s",
			 lane->bind_address);
	else if (error != 0)
		snprintf(lane->problem, sizeof(lane->problem),
			 "ROLLCALL_LANES: %s cannot be bound: %s", lane->bind_address,
			 strerror(error));
	if (lane->proved && lane->held < 0)
		hold(lane);
	else if (!lane->proved)
		lane_release(lane);
	return was_proved != lane->proved || was_held != (lane->held >= 0);
}

bool lane_fit(const struct lane *lane)
{
	return lane->proved && (lane->fitness.overridden || lane->fitness.verdict == FITNESS_OK);
}

void lane_release(struct lane *lane)
{
	if (lane->held >= 0)
		close(lane->held);
	lane->held = -1;
}

struct lane *lanes_find(struct lanes *lanes, const char *name)
{
	for (size_t i = 0; i < lanes->n; i++) {
		if (!lanes->lane[i].set_aside && strcmp(lanes->lane[i].name, name) == 0)
			return &lanes->lane[i];
	}
	return NULL;
}
