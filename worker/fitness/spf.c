/* See spf.h. */
#include "worker/fitness/spf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "worker/core/ip.h"

enum { LOOKUPS_MAX = 10, DEPTH_MAX = 10, MX_MAX = 10, TERM_MAX = 300 };

struct check {
	const struct probe_ip *ip;
	spf_ask *ask;
	void *context;
	char *why;
	unsigned lookups;
	unsigned depth;
};

static enum spf_result check_host(struct check *check, const char *domain);

static enum spf_result unsure(struct check *check, const char *domain, const char *what)
{
	snprintf(check->why, SPF_WHY_MAX, "the record of %.100s %s", domain, what);
	return SPF_UNSURE;
}

/* FOUND, or a denial; anything else is no answer. */
static bool usable(const struct dns_answer *answer)
{
	return answer->state == DNS_FOUND || answer->state == DNS_NO_DATA ||
	       answer->state == DNS_NO_NAME;
}

static enum spf_result failed(struct check *check, const char *name,
			      const struct dns_answer *answer)
{
	snprintf(check->why, SPF_WHY_MAX, "looking up %.100s: %s", name,
		 dns_state_text(answer->state));
	return SPF_UNSURE;
}

static bool within(const struct probe_ip *ip, const struct probe_ip *net, unsigned bits)
{
	if (ip->family != net->family)
		return false;
	for (unsigned i = 0; i < bits; i++) {
		const unsigned mask = 0x80u >> (i % 8);

		if ((ip->octets[i / 8] & mask) != (net->octets[i / 8] & mask))
			return false;
	}
	return true;
}

static unsigned width(const struct probe_ip *ip)
{
	return ip->family == 4 ? 32 : 128;
}

/* "/24", "//64", "/24//64" or nothing. False: malformed. */
static bool parse_bits(const char *text, unsigned *ret_bits4, unsigned *ret_bits6)
{
	char *end;

	*ret_bits4 = 32;
	*ret_bits6 = 128;
	if (text[0] == '/' && text[1] != '/') {
		*ret_bits4 = (unsigned)strtoul(text + 1, &end, 10);
		if (end == text + 1 || *ret_bits4 > 32)
			return false;
		text = end;
	}
	if (text[0] == '/' && text[1] == '/') {
		*ret_bits6 = (unsigned)strtoul(text + 2, &end, 10);
		if (end == text + 2 || *ret_bits6 > 128)
			return false;
		text = end;
	}
	return *text == '\0';
}

/* Whether one of `host`'s addresses is ours. */
static enum spf_result match_host(struct check *check, const char *host, unsigned bits4,
				  unsigned bits6, bool *ret_match)
{
	const bool four = check->ip->family == 4;
	const struct dns_answer *answer;

	if (!dns_name_valid(host))
		return SPF_PASS;
	answer = check->ask(check->context, host, four ? DNS_A : DNS_AAAA);
	if (answer == NULL)
		return SPF_WAITS;
	if (!usable(answer))
		return failed(check, host, answer);
	for (size_t i = 0; i < answer->ip_n; i++)
		*ret_match = *ret_match || within(check->ip, &answer->ip[i], four ? bits4 : bits6);
	return SPF_PASS;
}

static enum spf_result match_mx(struct check *check, const char *domain, unsigned bits4,
				unsigned bits6, bool *ret_match)
{
	const struct dns_answer *answer = check->ask(check->context, domain, DNS_MX);
	enum spf_result result = SPF_PASS;

	if (answer == NULL)
		return SPF_WAITS;
	if (!usable(answer))
		return failed(check, domain, answer);
	if (answer->mx_n > MX_MAX)
		return unsure(check, domain, "leads to more than 10 MX hosts");
	/* What is asked may move what was answered: the hosts are few, so keep them. */
	struct dns_mx hosts[MX_MAX];
	const size_t n = answer->mx_n;

	memcpy(hosts, answer->mx, n * sizeof(hosts[0]));
	for (size_t i = 0; i < n; i++) {
		const enum spf_result one =
		    match_host(check, hosts[i].host, bits4, bits6, ret_match);

		/* The others are asked for too, so that all are looked up at once. */
		if (one != SPF_PASS && result != SPF_WAITS)
			result = one;
	}
	return *ret_match ? SPF_PASS : result;
}

static enum spf_result match_net(struct check *check, const char *domain, const char *text,
				 bool *ret_match)
{
	char address[64];
	const size_t len = strcspn(text, "/");
	struct probe_ip net;
	unsigned long bits;
	char *end;

	if (len >= sizeof(address))
		return unsure(check, domain, "names an address that is none");
	memcpy(address, text, len);
	address[len] = '\0';
	if (!ip_parse(address, &net))
		return unsure(check, domain, "names an address that is none");
	bits = width(&net);
	if (text[len] == '/') {
		bits = strtoul(text + len + 1, &end, 10);
		if (end == text + len + 1 || *end != '\0' || bits > width(&net))
			return unsure(check, domain, "names a network that is none");
	}
	*ret_match = within(check->ip, &net, (unsigned)bits);
	return SPF_PASS;
}

/* Of "a", "mx", "include", "exists": the domain behind the colon, and the bits behind it. */
static bool parse_target(const char *rest, const char *domain, char ret_name[TERM_MAX],
			 const char **ret_bits)
{
	const size_t len = *rest == ':' ? strcspn(rest + 1, "/") : 0;

	*ret_bits = *rest == ':' ? rest + 1 + len : rest;
	if (*rest == ':')
		snprintf(ret_name, TERM_MAX, "%.*s", (int)len, rest + 1);
	else
		snprintf(ret_name, TERM_MAX, "%s", domain);
	return dns_name_valid(ret_name);
}

/* SPF_PASS: *ret_match says whether the mechanism matches. Anything else ends the check. */
static enum spf_result match_term(struct check *check, const char *domain, const char *term,
				  bool *ret_match)
{
	const size_t word = strcspn(term, ":/");
	const char *rest = term + word;
	char name[TERM_MAX];
	const char *bits;
	unsigned bits4, bits6;
	enum spf_result result;

	*ret_match = false;
#define IS(text) (word == sizeof(text) - 1 && strncasecmp(term, text, word) == 0)
	if (IS("all")) {
		*ret_match = true;
		return SPF_PASS;
	}
	if (IS("ip4") || IS("ip6"))
		return *rest == ':' ? match_net(check, domain, rest + 1, ret_match)
				    : unsure(check, domain, "names no address");
	if (strchr(term, '%') != NULL)
		return unsure(check, domain, "uses macros, which are not evaluated here");
	if (IS("ptr"))
		return unsure(check, domain, "uses ptr, which is not evaluated here");
	if (!IS("a") && !IS("mx") && !IS("include") && !IS("exists"))
		return unsure(check, domain, "has a term that is none");
	if (++check->lookups > LOOKUPS_MAX)
		return unsure(check, domain, "needs more than 10 look-ups, which receivers refuse");
	if (!parse_target(rest, domain, name, &bits) || !parse_bits(bits, &bits4, &bits6))
		return unsure(check, domain, "has a term that is malformed");
	if (IS("a"))
		return match_host(check, name, bits4, bits6, ret_match);
	if (IS("mx"))
		return match_mx(check, name, bits4, bits6, ret_match);
	if (IS("exists")) {
		const struct dns_answer *answer = check->ask(check->context, name, DNS_A);

		if (answer == NULL)
			return SPF_WAITS;
		if (!usable(answer))
			return failed(check, name, answer);
		*ret_match = answer->state == DNS_FOUND;
		return SPF_PASS;
	}
	result = check_host(check, name);
	*ret_match = result == SPF_PASS;
	if (result == SPF_NONE)
		return unsure(check, domain, "includes a domain that has no SPF record");
	return result == SPF_NOT_ALLOWED ? SPF_PASS : result;
#undef IS
}

static bool is_spf(const char *text)
{
	return strncasecmp(text, "v=spf1", 6) == 0 && (text[6] == ' ' || text[6] == '\0');
}

/* The one record; NULL: none, or (*ret_n > 1) several. */
static const char *find_record(const struct dns_answer *answer, size_t *ret_n)
{
	const char *found = NULL, *at = answer->txt;

	*ret_n = 0;
	for (size_t i = 0; i < answer->txt_n; i++, at += strlen(at) + 1)
		if (is_spf(at)) {
			found = at;
			(*ret_n)++;
		}
	return *ret_n == 1 ? found : NULL;
}

static enum spf_result walk(struct check *check, const char *domain, const char *record)
{
	char redirect[TERM_MAX] = "";

	for (const char *at = record; *at != '\0';) {
		char term[TERM_MAX];
		const size_t len = strcspn(at, " ");
		const char *mechanism = term;
		char sign = '+';
		bool match;
		enum spf_result result;

		if (len >= sizeof(term))
			return unsure(check, domain, "has a term of more than 300 octets");
		memcpy(term, at, len);
		term[len] = '\0';
		at += len;
		at += strspn(at, " ");
		if (len == 0)
			continue;
		if (strchr("+-~?", term[0]) != NULL) {
			sign = term[0];
			mechanism++;
		}
		/* A modifier: name=value. */
		if (mechanism[strcspn(mechanism, ":/=")] == '=') {
			if (strncasecmp(term, "redirect=", 9) == 0)
				snprintf(redirect, sizeof(redirect), "%s", term + 9);
			continue;
		}
		result = match_term(check, domain, mechanism, &match);
		if (result != SPF_PASS)
			return result;
		if (!match)
			continue;
		if (sign == '+')
			return SPF_PASS;
		snprintf(check->why, SPF_WHY_MAX, "%.60s in the record of %.100s", term, domain);
		return SPF_NOT_ALLOWED;
	}
	if (redirect[0] == '\0') {
		snprintf(check->why, SPF_WHY_MAX, "nothing in the record of %.100s names it",
			 domain);
		return SPF_NOT_ALLOWED;
	}
	if (strchr(redirect, '%') != NULL || !dns_name_valid(redirect))
		return unsure(check, domain, "redirects to a name that is not evaluated here");
	if (++check->lookups > LOOKUPS_MAX)
		return unsure(check, domain, "needs more than 10 look-ups, which receivers refuse");
	const enum spf_result result = check_host(check, redirect);

	return result == SPF_NONE
		   ? unsure(check, domain, "redirects to a domain that has no SPF record")
		   : result;
}

static enum spf_result check_host(struct check *check, const char *domain)
{
	char record[DNS_TXT_MAX];
	const struct dns_answer *answer;
	const char *found;
	enum spf_result result;
	size_t n;

	if (check->depth == DEPTH_MAX)
		return unsure(check, domain, "includes others more than 10 deep");
	answer = check->ask(check->context, domain, DNS_TXT);
	if (answer == NULL)
		return SPF_WAITS;
	if (!usable(answer))
		return failed(check, domain, answer);
	found = find_record(answer, &n);
	if (n > 1)
		return unsure(check, domain, "is there more than once, which receivers refuse");
	if (found == NULL)
		return SPF_NONE;
	snprintf(record, sizeof(record), "%s", found + 6);
	check->depth++;
	result = walk(check, domain, record);
	check->depth--;
	return result;
}

enum spf_result spf_check(const char *domain, const struct probe_ip *ip, spf_ask *ask,
			  void *context, char ret_why[SPF_WHY_MAX])
{
	struct check check = { .ip = ip, .ask = ask, .context = context, .why = ret_why };

	ret_why[0] = '\0';
	return check_host(&check, domain);
}
