/* See dns.h. */
#include "tests/mailworld/dns.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	TYPE_A = 1,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_MX = 15,
	TYPE_AAAA = 28,
	TYPE_OPT = 41,
	CLASS_IN = 1,
	RCODE_OK = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_NOTIMP = 4,
	RCODE_REFUSED = 5,
	HEADER = 12,
	TTL_S = 300,
	NEGATIVE_TTL_S = 30
};

struct question {
	char name[MW_NAME_MAX + 2]; /* dotted, without the last dot */
	size_t name_len, end;	    /* `end`: where the question ends in the query */
	uint16_t type, class_;
};

/* What an answer is made from. */
struct asked {
	const struct mw_world *world;
	struct mw_stats *stats;
	struct question question;
	bool udp, silent, truncated, late;
};

/* The answer being written. Past `room` nothing is written and `full` is set. */
struct packet {
	uint8_t *data;
	size_t len, room;
	bool full;
	uint16_t answers, authorities, additionals;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put(struct packet *packet, const void *data, size_t len)
{
	if (packet->full || packet->len + len > packet->room) {
		packet->full = true;
		return;
	}
	memcpy(packet->data + packet->len, data, len);
	packet->len += len;
}

static void put16(struct packet *packet, unsigned value)
{
	uint8_t octets[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	put(packet, octets, 2);
}

static void put32(struct packet *packet, uint32_t value)
{
	put16(packet, value >> 16);
	put16(packet, value & 0xffff);
}

static size_t name_octets(const char *name, size_t len)
{
	(void)name;
	return len ? len + 2 : 1;
}

static void put_name(struct packet *packet, const char *name, size_t len)
{
	const char *end = name + len;

	while (name < end) {
		const char *dot = memchr(name, '.', (size_t)(end - name));
		uint8_t label = (uint8_t)((dot ? dot : end) - name);

		put(packet, &label, 1);
		put(packet, name, label);
		name += label + (dot ? 1 : 0);
	}
	put(packet, "", 1);
}

static void put_rest(struct packet *packet, unsigned type, uint32_t ttl_s, size_t data_len)
{
	put16(packet, type);
	put16(packet, CLASS_IN);
	put32(packet, ttl_s);
	put16(packet, (unsigned)data_len);
	packet->answers++;
}

/* An owner name, the question's where it is NULL, then type, class, TTL and the length of what
 * follows. */
static void put_record(struct packet *packet, const char *owner, unsigned type, uint32_t ttl_s,
		       size_t data_len)
{
	if (owner)
		put_name(packet, owner, strlen(owner));
	else
		put16(packet, 0xc000 | HEADER);
	put_rest(packet, type, ttl_s, data_len);
}

static bool read_question(const uint8_t *query, size_t len, struct question *ret)
{
	size_t at = HEADER, n = 0;

	while (at < len && query[at]) {
		uint8_t label = query[at++];

		if (label > 63 || at + label > len || n + label + 1 > MW_NAME_MAX)
			return false;
		if (n)
			ret->name[n++] = '.';
		memcpy(ret->name + n, query + at, label);
		n += label;
		at += label;
	}
	if (at + 5 > len)
		return false;
	ret->name[n] = '\0';
	ret->name_len = n;
	ret->type = get16(query + at + 1);
	ret->class_ = get16(query + at + 3);
	ret->end = at + 5;
	return true;
}

static void put_soa(struct packet *packet)
{
	static const char primary[] = "ns1.mailworld.test", person[] = "hostmaster.mailworld.test";

	put_name(packet, "test", 4);
	put16(packet, TYPE_SOA);
	put16(packet, CLASS_IN);
	put32(packet, NEGATIVE_TTL_S);
	put16(packet, (unsigned)(name_octets(primary, sizeof(primary) - 1) +
				 name_octets(person, sizeof(person) - 1) + 20));
	put_name(packet, primary, sizeof(primary) - 1);
	put_name(packet, person, sizeof(person) - 1);
	put32(packet, 1);
	put32(packet, 3600);
	put32(packet, 600);
	put32(packet, 86400);
	put32(packet, NEGATIVE_TTL_S);
	packet->authorities++;
}

static void put_address(struct packet *packet, const char *owner, uint32_t ip)
{
	put_record(packet, owner, TYPE_A, TTL_S, 4);
	put32(packet, ip);
}

static void put_address6(struct packet *packet, const uint8_t *ip)
{
	put_record(packet, NULL, TYPE_AAAA, TTL_S, 16);
	put(packet, ip, 16);
}

static void put_mx(struct packet *packet, const char *owner, unsigned preference, const char *name,
		   size_t len)
{
	put_record(packet, owner, TYPE_MX, TTL_S, 2 + name_octets(name, len));
	put16(packet, preference);
	put_name(packet, name, len);
}

static void put_alias(struct packet *packet, const char *owner, const char *target)
{
	put_record(packet, owner, TYPE_CNAME, TTL_S, name_octets(target, strlen(target)));
	put_name(packet, target, strlen(target));
}

static void put_all_mx(const struct mw_world *world, const struct mw_operator *operator_,
		       const char *owner, struct packet *packet)
{
	for (uint32_t i = 0; operator_ && i < operator_->hosts; i++) {
		const struct mw_host *host = &world->hosts[operator_->first_host + i];

		put_mx(packet, owner, host->preference, host->name, host->name_len);
	}
}

/* An MX record whose host name is a pointer at itself (RFC 1035, 4.1.4 allows a prior one only). */
static void put_pointer_loop(struct packet *packet)
{
	put_record(packet, NULL, TYPE_MX, TTL_S, 4);
	put16(packet, 10);
	put16(packet, 0xc000u | (unsigned)packet->len);
}

/* "one.NAME" */
static const char *below_name(const char *label, const char *name, char ret_name[MW_NAME_MAX + 16])
{
	snprintf(ret_name, MW_NAME_MAX + 16, "%s.%s", label, name);
	return ret_name;
}

/* Whether this is the first question of its kind. */
static bool first_time(struct asked *asked)
{
	uint64_t key =
	    mw_hash_fold(asked->question.name, asked->question.name_len, asked->question.type);

	return ++mw_table_put(&asked->stats->asked_dns, key)->a == 1;
}

/* What the manner of the zone does to each of its answers. */
static unsigned by_manner(struct asked *asked, enum mw_dns manner)
{
	switch (manner) {
	case MW_DNS_SERVFAIL:
		return RCODE_SERVFAIL;
	case MW_DNS_REFUSED:
		return RCODE_REFUSED;
	case MW_DNS_NXDOMAIN:
		return RCODE_NXDOMAIN;
	case MW_DNS_SILENT:
		asked->silent = true;
		return RCODE_OK;
	case MW_DNS_SLOW:
		asked->late = asked->udp;
		return RCODE_OK;
	case MW_DNS_TRUNCATED:
		asked->truncated = asked->udp;
		return RCODE_OK;
	case MW_DNS_FLAKY:
		return first_time(asked) ? RCODE_SERVFAIL : RCODE_OK;
	default:
		return RCODE_OK;
	}
}

static unsigned answer_domain(struct asked *asked, const struct mw_domain *domain,
			      struct packet *packet)
{
	const struct mw_world *world = asked->world;
	const struct mw_operator *operator_ =
	    domain->operator_ == MW_NONE ? NULL : &world->operators[domain->operator_];
	enum mw_dns manner = mw_behaviours[domain->behaviour].dns;
	bool mx = asked->question.type == TYPE_MX;
	char one[MW_NAME_MAX + 16], two[MW_NAME_MAX + 16];
	unsigned rcode = by_manner(asked, manner);

	if (rcode != RCODE_OK)
		return rcode;
	switch (manner) {
	case MW_DNS_NOTHING:
		break;
	case MW_DNS_NULL_MX:
		if (mx)
			put_mx(packet, NULL, 0, "", 0);
		break;
	case MW_DNS_A_ONLY:
		if (asked->question.type == TYPE_A && operator_)
			put_address(packet, NULL, world->hosts[operator_->first_host].ip);
		break;
	case MW_DNS_POINTER_LOOP:
		if (mx)
			put_pointer_loop(packet);
		break;
	case MW_DNS_ALIAS_LOOP:
		below_name("loop", domain->name, one);
		put_alias(packet, NULL, one);
		put_alias(packet, one, domain->name);
		break;
	case MW_DNS_ALIAS:
		below_name("one", domain->name, one);
		below_name("two", domain->name, two);
		put_alias(packet, NULL, one);
		put_alias(packet, one, two);
		if (mx)
			put_all_mx(world, operator_, two, packet);
		break;
	default:
		if (mx)
			put_all_mx(world, operator_, NULL, packet);
		break;
	}
	return RCODE_OK;
}

static unsigned answer_host(struct asked *asked, const struct mw_host *host, struct packet *packet)
{
	enum mw_dns manner = mw_behaviours[asked->world->operators[host->operator_].behaviour].dns;
	char alias[MW_NAME_MAX + 16];
	unsigned rcode = by_manner(asked, manner);

	if (rcode != RCODE_OK)
		return rcode;
	if (manner == MW_DNS_HOST_ALIAS) {
		below_name("host", host->name, alias);
		put_alias(packet, NULL, alias);
		if (asked->question.type == TYPE_A)
			put_address(packet, alias, host->ip);
	} else if (host->ip6) {
		if (asked->question.type == TYPE_AAAA)
			put_address6(packet, host->ip6);
	} else if (asked->question.type == TYPE_A) {
		put_address(packet, NULL, host->ip);
	}
	return RCODE_OK;
}

static bool ends_in(const char *name, size_t len, const char *tail, size_t tail_len)
{
	return len >= tail_len && !strncasecmp(name + len - tail_len, tail, tail_len) &&
	       (len == tail_len || name[len - tail_len - 1] == '.');
}

static unsigned answer_question(struct asked *asked, struct packet *packet)
{
	const struct mw_world *world = asked->world;
	const struct question *question = &asked->question;
	uint32_t domain = mw_world_find_domain(world, question->name, question->name_len), host;

	if (domain != MW_NONE)
		return answer_domain(asked, &world->domains[domain], packet);
	host = mw_world_find_host(world, question->name, question->name_len);
	if (host != MW_NONE)
		return answer_host(asked, &world->hosts[host], packet);
	return ends_in(question->name, question->name_len, "test", 4) ? RCODE_NXDOMAIN
								      : RCODE_REFUSED;
}

/* The UDP size that the query's OPT record allows, or 0 without one. The OPT of a query is its only
 * additional record. */
static size_t edns_size(const uint8_t *query, size_t len, size_t at)
{
	if (get16(query + 10) != 1 || get16(query + 6) || get16(query + 8) || at + 11 > len ||
	    query[at] || get16(query + at + 1) != TYPE_OPT)
		return 0;
	return get16(query + at + 3) < 512 ? 512 : get16(query + at + 3);
}

static void put_opt(struct packet *packet)
{
	put(packet, "", 1);
	put16(packet, TYPE_OPT);
	put16(packet, MW_DNS_UDP_MAX);
	put32(packet, 0);
	put16(packet, 0);
	packet->additionals++;
}

static void count(struct mw_stats *stats, unsigned rcode, bool udp)
{
	if (udp)
		stats->dns_udp++;
	else
		stats->dns_tcp++;
	stats->dns_servfail += rcode == RCODE_SERVFAIL;
	stats->dns_nxdomain += rcode == RCODE_NXDOMAIN;
	stats->dns_refused += rcode == RCODE_REFUSED;
}

size_t mw_dns_answer(const struct mw_world *world, struct mw_stats *stats, const uint8_t *query,
		     size_t len, bool udp, uint8_t *answer, size_t room, bool *ret_late)
{
	struct packet packet = { .data = answer, .room = room };
	struct asked asked = { .world = world, .stats = stats, .udp = udp, .question.end = HEADER };
	struct question *question = &asked.question;
	unsigned rcode, flags;
	size_t edns = 0, limit;

	*ret_late = false;
	if (len < HEADER || (query[2] & 0x80)) {
		stats->dns_malformed++;
		return 0;
	}
	if (get16(query + 4) != 1 || !read_question(query, len, question)) {
		stats->dns_malformed++;
		rcode = RCODE_FORMERR;
		question->end = HEADER;
	} else {
		edns = edns_size(query, len, question->end);
		rcode = query[2] & 0x78		       ? RCODE_NOTIMP
			: question->class_ != CLASS_IN ? RCODE_REFUSED
						       : RCODE_OK;
	}
	limit = !udp ? room : edns ? edns : 512;
	packet.room = (limit < room ? limit : room) - (edns ? 11 : 0);
	put(&packet, query, question->end);
	if (rcode == RCODE_OK) {
		rcode = answer_question(&asked, &packet);
		if (!packet.answers && (rcode == RCODE_OK || rcode == RCODE_NXDOMAIN))
			put_soa(&packet);
	}
	/* QR, opcode and RD as asked, AA, RA: whoever asks stands as a resolver's client before us.
	 */
	if (asked.silent)
		return 0;
	*ret_late = asked.late;
	packet.full |= asked.truncated;
	flags = 0x8480u | (unsigned)(query[2] & 0x79) << 8;
	if (packet.full) {
		flags |= 0x0200;
		packet = (struct packet){ .data = answer, .room = room, .len = question->end };
	}
	packet.room = room;
	if (edns)
		put_opt(&packet);
	count(stats, rcode, udp);
	limit = packet.len;
	packet.len = 2;
	put16(&packet, flags | rcode);
	put16(&packet, question->end > HEADER);
	put16(&packet, packet.answers);
	put16(&packet, packet.authorities);
	put16(&packet, packet.additionals);
	return limit;
}
