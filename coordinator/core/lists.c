/* See lists.h. Each list is one hash set: open addressing over strings kept in one block. */
#include "coordinator/core/lists.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/reply/data_file.h"

enum { NETS_MAX = 65536, LOCAL_MAX = 64 };

struct set {
	char **slots; /* a power of two of them; NULL: free */
	size_t room, n;
};

/* v4 is kept as v4-mapped v6, so that one comparison serves both. */
struct net {
	uint8_t octets[16];
	unsigned bits;
};

struct lists {
	struct set role, disposable, free, do_not_probe;
	struct net *nets;
	size_t n_nets;
};

/* ---------------------------------------------------------------- sets of strings */

/* FNV-1a: where a string lies in the table, nothing more. */
static size_t place(const char *s, size_t len)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static char **slot_of(const struct set *set, const char *s, size_t len)
{
	size_t i = place(s, len) & (set->room - 1);

	while (set->slots[i] && (strncmp(set->slots[i], s, len) != 0 || set->slots[i][len] != '\0'))
		i = (i + 1) & (set->room - 1);
	return &set->slots[i];
}

static bool set_has(const struct set *set, const char *s, size_t len)
{
	return set->n && len && *slot_of(set, s, len) != NULL;
}

static bool set_grow(struct set *set)
{
	struct set more = { .room = set->room ? 2 * set->room : 256 };

	more.slots = calloc(more.room, sizeof(*more.slots));
	if (!more.slots)
		return false;
	for (size_t i = 0; i < set->room; i++)
		if (set->slots[i])
			*slot_of(&more, set->slots[i], strlen(set->slots[i])) = set->slots[i];
	free(set->slots);
	set->slots = more.slots;
	set->room = more.room;
	return true;
}

/* 1: new; 0: was there; -1: no memory. */
static int set_add(struct set *set, const char *s)
{
	char **slot;

	if (2 * (set->n + 1) > set->room && !set_grow(set))
		return -1;
	slot = slot_of(set, s, strlen(s));
	if (*slot)
		return 0;
	*slot = strdup(s);
	if (!*slot)
		return -1;
	set->n++;
	return 1;
}

static void set_done(struct set *set)
{
	for (size_t i = 0; i < set->room; i++)
		free(set->slots[i]);
	free(set->slots);
}

/* ---------------------------------------------------------------- addresses */

static bool parse_v4(const char *s, size_t len, uint8_t out[4])
{
	size_t i = 0;

	for (int part = 0; part < 4; part++) {
		unsigned value = 0, digits = 0;

		if (part && (i >= len || s[i++] != '.'))
			return false;
		for (; i < len && s[i] >= '0' && s[i] <= '9' && digits < 4; i++, digits++)
			value = 10 * value + (unsigned)(s[i] - '0');
		if (!digits || digits > 3 || value > 255)
			return false;
		out[part] = (uint8_t)value;
	}
	return i == len;
}

static int hex_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* RFC 4291, 2.2: groups of four digits, one run of zero groups as "::", perhaps a v4 at the end. */
static bool parse_v6(const char *s, size_t len, uint8_t out[16])
{
	uint8_t head[16] = { 0 }, tail[16] = { 0 };
	size_t n_head = 0, n_tail = 0, i = 0;
	bool gap = false;

	if (len >= 2 && s[0] == ':' && s[1] == ':') {
		gap = true;
		i = 2;
	}
	while (i < len) {
		uint8_t *to = gap ? tail + n_tail : head + n_head;
		size_t start = i;
		unsigned value = 0;

		if (n_head + n_tail > 14)
			return false;
		for (; i < len && i - start < 4 && hex_of(s[i]) >= 0; i++)
			value = 16 * value + (unsigned)hex_of(s[i]);
		if (i < len && s[i] == '.' && n_head + n_tail <= 12 &&
		    parse_v4(s + start, len - start, to)) {
			*(gap ? &n_tail : &n_head) += 4;
			i = len;
			break;
		}
		if (i == start)
			return false;
		to[0] = (uint8_t)(value >> 8);
		to[1] = (uint8_t)value;
		*(gap ? &n_tail : &n_head) += 2;
		if (i == len)
			break;
		if (s[i++] != ':' || i == len)
			return false;
		if (s[i] == ':') {
			if (gap)
				return false;
			gap = true;
			i++;
		}
	}
	if (gap ? n_head + n_tail > 14 : n_head != 16)
		return false;
	memset(out, 0, 16);
	memcpy(out, head, n_head);
	memcpy(out + 16 - n_tail, tail, n_tail);
	return true;
}

/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/32" */
static bool parse_net(const char *s, struct net *ret)
{
	const char *slash = strchr(s, '/');
	size_t len = slash ? (size_t)(slash - s) : strlen(s);
	struct net net = { .bits = 128 };
	unsigned widest;

	if (parse_v4(s, len, net.octets + 12)) {
		net.octets[10] = net.octets[11] = 0xff;
		widest = 32;
	} else if (parse_v6(s, len, net.octets)) {
		widest = 128;
	} else {
		return false;
	}
	if (slash) {
		char *end;
		unsigned long bits = strtoul(slash + 1, &end, 10);

		if (end == slash + 1 || *end || slash[1] < '0' || slash[1] > '9' || bits > widest)
			return false;
		net.bits = (unsigned)bits + 128 - widest;
	}
	*ret = net;
	return true;
}

static bool within(const struct net *net, const uint8_t octets[16])
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	return memcmp(net->octets, octets, whole) == 0 &&
	       (!rest ||
		((net->octets[whole] ^ octets[whole]) & (0xffu << (8 - rest) & 0xff)) == 0);
}

/* ---------------------------------------------------------------- reading */

static bool is_domain(const char *s)
{
	size_t len = strlen(s), label = 0;
	bool dot = false;

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '.') {
			if (!label)
				return false;
			dot = true;
			label = 0;
		} else if ((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
			   s[i] == '-' || s[i] == '_') {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return dot && label;
}

static bool is_local(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
		      strchr("-._", s[i])))
			return false;
	return len > 0 && len <= LOCAL_MAX;
}

static enum rc_status add_net(struct lists *lists, const struct rc_data_file *f,
			      const struct net *net, struct rc_error *err)
{
	struct net *more;

	if (lists->n_nets == NETS_MAX)
		return rc_data_file_wrong(f, err, "more than %d networks", NETS_MAX);
	more = realloc(lists->nets, (lists->n_nets + 1) * sizeof(*more));
	if (!more)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	lists->nets = more;
	lists->nets[lists->n_nets++] = *net;
	return RC_OK;
}

static enum rc_status read_list(const char *dir, const char *leaf, struct lists *lists,
				struct set *set, struct rc_error *err)
{
	struct rc_data_file f;
	enum rc_status status = rc_data_file_open(&f, dir, leaf, err);
	int more;

	if (status)
		return status;
	while (!status && (more = rc_data_file_next(&f, err)) != 0) {
		struct net net;
		int added;

		if (more < 0) {
			status = RC_INVALID;
		} else if (set == &lists->do_not_probe && parse_net(f.text, &net)) {
			status = add_net(lists, &f, &net, err);
		} else if (set == &lists->role ? !is_local(f.text) : !is_domain(f.text)) {
			status = rc_data_file_wrong(
			    &f, err, "\"%.80s\" is no %s", f.text,
			    set == &lists->role ? "local part in small letters"
			    : set == &lists->do_not_probe
				? "domain in lower-case A-labels, address or network"
				: "domain in lower-case A-labels");
		} else {
			added = set_add(set, f.text);
			if (added < 0)
				status = rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it",
						      f.name);
			else if (!added)
				status = rc_data_file_wrong(&f, err, "\"%.80s\" stands there twice",
							    f.text);
		}
	}
	rc_data_file_done(&f);
	return status;
}

enum rc_status lists_load(const char *dir, struct lists **ret_lists, struct rc_error *err)
{
	struct lists *lists = calloc(1, sizeof(*lists));
	enum rc_status status;

	if (!lists)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory for the lists", dir);
	status = read_list(dir, "role", lists, &lists->role, err);
	if (!status)
		status = read_list(dir, "disposable", lists, &lists->disposable, err);
	if (!status)
		status = read_list(dir, "free", lists, &lists->free, err);
	if (!status)
		status = read_list(dir, "do-not-probe", lists, &lists->do_not_probe, err);
	if (status) {
		lists_free(lists);
		return status;
	}
	*ret_lists = lists;
	return RC_OK;
}

void lists_free(struct lists *lists)
{
	if (!lists)
		return;
	set_done(&lists->role);
	set_done(&lists->disposable);
	set_done(&lists->free);
	set_done(&lists->do_not_probe);
	free(lists->nets);
	free(lists);
}

/* ---------------------------------------------------------------- looking up */

bool lists_is_role(const struct lists *lists, const char *local, size_t len)
{
	char folded[LOCAL_MAX];
	size_t n = 0;

	for (; n < len && local[n] != '+'; n++) {
		if (n == sizeof(folded))
			return false;
		folded[n] = (char)(local[n] >= 'A' && local[n] <= 'Z' ? local[n] + 32 : local[n]);
	}
	return set_has(&lists->role, folded, n);
}

/* The domain, then the ones above it; a bare top-level name is never listed. */
static bool has_domain_or_above(const struct set *set, const char *domain)
{
	size_t len = strlen(domain);

	while (len && domain[len - 1] == '.')
		len--;
	for (;;) {
		const char *dot = memchr(domain, '.', len);

		if (!dot)
			return false;
		if (set_has(set, domain, len))
			return true;
		len -= (size_t)(dot + 1 - domain);
		domain = dot + 1;
	}
}

bool lists_is_disposable(const struct lists *lists, const char *domain)
{
	return has_domain_or_above(&lists->disposable, domain);
}

bool lists_is_free(const struct lists *lists, const char *domain)
{
	return set_has(&lists->free, domain, strlen(domain));
}

bool lists_do_not_probe(const struct lists *lists, const char *domain, const char *mx_host,
			const char *address)
{
	struct net ip;

	if (domain && has_domain_or_above(&lists->do_not_probe, domain))
		return true;
	if (mx_host && has_domain_or_above(&lists->do_not_probe, mx_host))
		return true;
	if (address && lists->n_nets && parse_net(address, &ip))
		for (size_t i = 0; i < lists->n_nets; i++)
			if (within(&lists->nets[i], ip.octets))
				return true;
	return false;
}
