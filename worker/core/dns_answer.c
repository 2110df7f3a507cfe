#include "worker/core/dns_answer.h"

#include <string.h>
#include <strings.h>

enum {
	HEADER_LEN = 12,
	FLAG_RESPONSE = 0x8000,
	FLAG_TRUNCATED = 0x0200,
	FLAGS_OPCODE = 0x7800,
	TYPE_NS = 2,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	CLASS_IN = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_REFUSED = 5,
	CNAME_STEPS_MAX = 8,
	RECORDS_MAX = 256, /* of one reply that we look at */
	POINTERS_MAX = 32,
	TTL_MIN_MS = 60 * 1000,
	TTL_MAX_MS = 86400 * 1000,
	TTL_NEGATIVE_MIN_MS = 5 * 1000,
	TTL_NEGATIVE_MAX_MS = 30 * 1000
};

/* Reads forward; the first read out of bounds makes `broken`, which sticks. */
struct cursor {
	const uint8_t *data;
	size_t len;
	size_t at;
	bool broken;
};

struct record {
	char owner[DNS_NAME_MAX];
	uint16_t type;
	uint16_t class;
	uint32_t ttl_s;
	size_t data_at;
	size_t data_len;
};

static uint32_t read_number(struct cursor *cursor, size_t octets)
{
	uint32_t number = 0;

	if (cursor->broken || cursor->len - cursor->at < octets) {
		cursor->broken = true;
		return 0;
	}
	for (size_t i = 0; i < octets; i++)
		number = number << 8 | cursor->data[cursor->at++];
	return number;
}

static void skip(struct cursor *cursor, size_t octets)
{
	if (cursor->broken || cursor->len - cursor->at < octets)
		cursor->broken = true;
	else
		cursor->at += octets;
}

static char lower(uint8_t octet)
{
	return (char)(octet >= 'A' && octet <= 'Z' ? octet + ('a' - 'A') : octet);
}

/*
 * RFC 1035, 4.1.4. Leaves the cursor behind the name. A label with a dot, a NUL or any octet that
 * no host name has gets '?' in its place, which dns_name_valid() refuses later: such a host is kept
 * out, the reply stays good.
 */
static void read_name(struct cursor *cursor, char ret_name[DNS_NAME_MAX])
{
	size_t at = cursor->at;
	size_t used = 0;
	unsigned pointers = 0;
	bool jumped = false;

	ret_name[0] = '\0';
	for (;;) {
		if (cursor->broken || at >= cursor->len)
			goto broken;
		const uint8_t size = cursor->data[at];

		if (size == 0) {
			if (!jumped)
				cursor->at = at + 1;
			break;
		}
		if ((size & 0xC0) == 0xC0) {
			if (cursor->len - at < 2 || ++pointers > POINTERS_MAX)
				goto broken;
			const size_t to = (size_t)(size & 0x3F) << 8 | cursor->data[at + 1];

			if (to >= at)
				goto broken;
			if (!jumped)
				cursor->at = at + 2;
			jumped = true;
			at = to;
			continue;
		}
		if ((size & 0xC0) != 0 || cursor->len - at - 1 < size)
			goto broken;
		if (used + size + 2 > DNS_NAME_MAX)
			goto broken;
		if (used > 0)
			ret_name[used++] = '.';
		for (size_t i = 0; i < size; i++) {
			const uint8_t octet = cursor->data[at + 1 + i];

			ret_name[used++] =
			    octet > ' ' && octet < 127 && octet != '.' ? lower(octet) : '?';
		}
		ret_name[used] = '\0';
		at += 1 + (size_t)size;
	}
	return;
broken:
	cursor->broken = true;
	ret_name[0] = '\0';
}

static void read_record(struct cursor *cursor, struct record *ret)
{
	read_name(cursor, ret->owner);
	ret->type = (uint16_t)read_number(cursor, 2);
	ret->class = (uint16_t)read_number(cursor, 2);
	ret->ttl_s = read_number(cursor, 4);
	/* RFC 2181, 8: the top bit set means 0. */
	if (ret->ttl_s > INT32_MAX)
		ret->ttl_s = 0;
	ret->data_len = read_number(cursor, 2);
	ret->data_at = cursor->at;
	skip(cursor, ret->data_len);
}

static void add_mx(struct dns_answer *answer, uint16_t preference, const char *host)
{
	struct dns_mx *place = NULL;

	if (answer->mx_n < DNS_MX_MAX) {
		place = &answer->mx[answer->mx_n++];
	} else {
		place = &answer->mx[0];
		for (size_t i = 1; i < answer->mx_n; i++) {
			if (answer->mx[i].preference > place->preference)
				place = &answer->mx[i];
		}
		if (place->preference <= preference)
			return;
	}
	place->preference = preference;
	memcpy(place->host, host, strlen(host) + 1);
}

/* RFC 1035, 3.3.14: character strings, each behind its length. */
static void add_txt(struct cursor *data, struct dns_answer *answer)
{
	while (data->at < data->len && !data->broken) {
		const uint32_t size = read_number(data, 1);

		if (data->len - data->at < size || answer->txt_len + size + 1 > DNS_TXT_MAX) {
			data->broken = true;
			return;
		}
		for (uint32_t i = 0; i < size; i++) {
			const uint8_t octet = data->data[data->at++];

			answer->txt[answer->txt_len++] =
			    octet >= ' ' && octet < 127 ? (char)octet : '?';
		}
	}
	if (answer->txt_len == DNS_TXT_MAX) {
		data->broken = true;
		return;
	}
	answer->txt[answer->txt_len++] = '\0';
	answer->txt_n++;
}

static void use_record(struct cursor *cursor, const struct record *record,
		       struct dns_answer *answer)
{
	struct cursor data = { cursor->data, record->data_at + record->data_len, record->data_at,
			       false };

	if (record->type == DNS_MX) {
		char host[DNS_NAME_MAX];
		const uint16_t preference = (uint16_t)read_number(&data, 2);

		read_name(&data, host);
		if (data.broken) {
			cursor->broken = true;
			return;
		}
		add_mx(answer, preference, host);
	} else if (record->type == DNS_PTR) {
		char host[DNS_NAME_MAX];

		read_name(&data, host);
		if (data.broken) {
			cursor->broken = true;
			return;
		}
		add_mx(answer, 0, host);
	} else if (record->type == DNS_TXT) {
		add_txt(&data, answer);
		cursor->broken = cursor->broken || data.broken;
	} else {
		const size_t size = record->type == DNS_A ? 4 : 16;

		if (record->data_len != size) {
			cursor->broken = true;
			return;
		}
		if (answer->ip_n == DNS_IP_MAX)
			return;
		struct probe_ip *ip = &answer->ip[answer->ip_n++];

		memset(ip, 0, sizeof(*ip));
		ip->family = record->type == DNS_A ? 4 : 6;
		memcpy(ip->octets, cursor->data + record->data_at, size);
	}
}

static void lessen(struct dns_answer *answer, bool *any, uint32_t ttl_s)
{
	if (!*any || ttl_s < answer->ttl_s)
		answer->ttl_s = ttl_s;
	*any = true;
}

/* One pass over the answer section for `owner`. Returns whether a CNAME leads on; then `owner` is
 * its target. */
static bool walk_answers(struct cursor start, size_t n, char owner[DNS_NAME_MAX],
			 enum dns_type type, struct dns_answer *answer, bool *any_ttl, bool *broken)
{
	struct cursor cursor = start;
	char next[DNS_NAME_MAX] = "";
	bool leads_on = false;

	for (size_t i = 0; i < n; i++) {
		struct record record;

		read_record(&cursor, &record);
		if (cursor.broken)
			break;
		if (record.class != CLASS_IN || strcasecmp(record.owner, owner) != 0)
			continue;
		if (record.type == (uint16_t)type) {
			use_record(&cursor, &record, answer);
			lessen(answer, any_ttl, record.ttl_s);
		} else if (record.type == TYPE_CNAME && !leads_on) {
			struct cursor data = { cursor.data, record.data_at + record.data_len,
					       record.data_at, false };

			read_name(&data, next);
			leads_on = !data.broken;
			lessen(answer, any_ttl, record.ttl_s);
		}
	}
	*broken = cursor.broken;
	if (leads_on)
		memcpy(owner, next, sizeof(next));
	return leads_on;
}

/*
 * RFC 2308, 5: the lesser of the SOA's own TTL and its MINIMUM field; 0 without one. False: it
 * denies nothing, it refers to somebody else (2.2: an NS record and no SOA), or cannot be read.
 */
static bool read_denial(struct cursor cursor, size_t answers, size_t authorities,
			uint32_t *ret_ttl_s)
{
	bool refers = false;

	for (size_t i = 0; i < answers + authorities; i++) {
		struct record record;

		read_record(&cursor, &record);
		if (cursor.broken)
			return false;
		if (i < answers)
			continue;
		refers = refers || record.type == TYPE_NS;
		if (record.type != TYPE_SOA || record.data_len < 20)
			continue;
		struct cursor minimum = { cursor.data, record.data_at + record.data_len,
					  record.data_at + record.data_len - 4, false };
		const uint32_t ttl_s = read_number(&minimum, 4);

		*ret_ttl_s = ttl_s < record.ttl_s ? ttl_s : record.ttl_s;
		return true;
	}
	return !refers;
}

void dns_answer_parse(const uint8_t *reply, size_t len, const char *name, enum dns_type type,
		      struct dns_answer *ret)
{
	struct cursor cursor = { reply, len, 0, false };
	char owner[DNS_NAME_MAX];

	ret->state = DNS_BROKEN;
	ret->ttl_s = 0;
	ret->mx_n = 0;
	ret->ip_n = 0;
	ret->txt_n = 0;
	ret->txt_len = 0;
	if (reply == NULL || len < HEADER_LEN || strlen(name) >= sizeof(owner))
		return;
	skip(&cursor, 2);
	const uint32_t flags = read_number(&cursor, 2);
	const uint32_t rcode = flags & 0x0F;
	const size_t questions = read_number(&cursor, 2);
	size_t answers = read_number(&cursor, 2);
	size_t authorities = read_number(&cursor, 2);

	skip(&cursor, 2);
	if (!(flags & FLAG_RESPONSE) || (flags & FLAGS_OPCODE) != 0)
		return;
	if (rcode == RCODE_SERVFAIL) {
		ret->state = DNS_SERVFAIL;
		return;
	}
	if (rcode == RCODE_REFUSED) {
		ret->state = DNS_REFUSED;
		return;
	}
	/* What is cut off may be what was asked for: it comes here only where TCP did not bring the
	 * rest. */
	if ((rcode != 0 && rcode != RCODE_NXDOMAIN) || questions > 1 || (flags & FLAG_TRUNCATED))
		return;
	for (size_t i = 0; i < questions; i++) {
		char question[DNS_NAME_MAX];

		read_name(&cursor, question);
		skip(&cursor, 4);
	}
	if (cursor.broken)
		return;
	const bool all = answers <= RECORDS_MAX;

	if (!all)
		answers = RECORDS_MAX;
	if (authorities > RECORDS_MAX)
		authorities = RECORDS_MAX;

	memcpy(owner, name, strlen(name) + 1);
	bool any_ttl = false;
	bool leads_on = true;

	for (unsigned step = 0; step < CNAME_STEPS_MAX && leads_on; step++) {
		bool broken = false;

		leads_on = walk_answers(cursor, answers, owner, type, ret, &any_ttl, &broken);

		if (broken) {
			ret->mx_n = 0;
			ret->ip_n = 0;
			ret->txt_n = 0;
			ret->txt_len = 0;
			return;
		}
		if (ret->mx_n > 0 || ret->ip_n > 0 || ret->txt_n > 0) {
			ret->state = DNS_FOUND;
			return;
		}
	}
	uint32_t ttl_s = 0;

	/* Only a whole reply denies anything; a chain of CNAMEs without an end does not. */
	if (!all || leads_on || !read_denial(cursor, answers, authorities, &ttl_s)) {
		ret->ttl_s = 0;
		return;
	}
	ret->state = rcode == RCODE_NXDOMAIN ? DNS_NO_NAME : DNS_NO_DATA;
	ret->ttl_s = ttl_s;
}

uint64_t dns_answer_keep_ms(const struct dns_answer *answer)
{
	const uint64_t ttl_ms = (uint64_t)answer->ttl_s * 1000;

	if (answer->state == DNS_FOUND) {
		if (ttl_ms < TTL_MIN_MS)
			return TTL_MIN_MS;
		return ttl_ms > TTL_MAX_MS ? TTL_MAX_MS : ttl_ms;
	}
	if (answer->state != DNS_NO_DATA && answer->state != DNS_NO_NAME)
		return TTL_NEGATIVE_MIN_MS;
	if (ttl_ms < TTL_NEGATIVE_MIN_MS)
		return TTL_NEGATIVE_MIN_MS;
	return ttl_ms > TTL_NEGATIVE_MAX_MS ? TTL_NEGATIVE_MAX_MS : ttl_ms;
}

const char *dns_state_text(enum dns_state state)
{
	switch (state) {
	case DNS_FOUND:
		return "found";
	case DNS_NO_DATA:
		return "no such record";
	case DNS_NO_NAME:
		return "NXDOMAIN";
	case DNS_SERVFAIL:
		return "SERVFAIL";
	case DNS_REFUSED:
		return "REFUSED";
	case DNS_TIMEOUT:
		return "timeout";
	case DNS_BROKEN:
		return "malformed reply or no resolver";
	}
	return "unknown";
}

bool dns_name_valid(const char *name)
{
	const size_t len = strnlen(name, DNS_NAME_MAX);
	size_t label = 0;

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		const char c = name[i];

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_') ||
		    ++label > 63)
			return false;
	}
	return label > 0;
}

bool dns_name_is_address(const char *name)
{
	unsigned dots = 0;

	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '.')
			dots++;
		else if (*p < '0' || *p > '9')
			return false;
	}
	return dots == 3;
}
