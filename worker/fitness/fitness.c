/* See fitness.h. */
#include "worker/fitness/fitness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address/domain.h"
#include "worker/core/ip.h"
#include "worker/fitness/spf.h"

struct asked {
	struct fitness_question question;
	bool handed_out;
	bool answered;
	struct dns_answer *answer; /* LOOK_UP; NULL: out of memory, read as broken */
	struct fitness_call call;
};

struct fitness {
	struct fitness_lane lane;
	struct fitness_settings settings;
	struct probe_ip public;
	const char *from_domain;
	size_t asked_n;
	struct asked asked[FITNESS_QUESTIONS_MAX];
	struct fitness_finding findings[FITNESS_CHECKS];
};

static const struct dns_answer broken = { .state = DNS_BROKEN };

bool fitness_decides(enum fitness_check check)
{
	return check <= FITNESS_MX;
}

const char *fitness_check_name(enum fitness_check check)
{
	static const char *const names[] = {
		[FITNESS_ADDRESS] = "address",
		[FITNESS_PORT] = "port25",
		[FITNESS_REVERSE] = "reverse",
		[FITNESS_MX] = "mx",
		[FITNESS_SPF] = "spf",
		[FITNESS_ABUSE] = "abuse",
		[FITNESS_POSTMASTER] = "postmaster",
		[FITNESS_DNSBL] = "dnsbl",
	};

	return names[check];
}

const char *fitness_result_name(enum fitness_result result)
{
	static const char *const names[] = { "waits", "ok", "warn", "unsure", "fail" };

	return names[result];
}

static void found(struct fitness *f, enum fitness_check check, enum fitness_result result,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

static void found(struct fitness *f, enum fitness_check check, enum fitness_result result,
		  const char *format, ...)
{
	struct fitness_finding *finding = &f->findings[check - 1];
	va_list args;

	finding->check = check;
	finding->result = result;
	va_start(args, format);
	vsnprintf(finding->text, sizeof(finding->text), format, args);
	va_end(args);
}

/* ------------------------------------------------------------------------------------------------
 * asking */

static bool same_question(const struct fitness_question *a, const struct fitness_question *b)
{
	return a->kind == b->kind && a->type == b->type && strcasecmp(a->name, b->name) == 0;
}

/* What a question beyond FITNESS_QUESTIONS_MAX gets. */
static const struct asked too_many = { .answered = true,
				       .call = { .greeting.text = "too many questions",
						 .abuse.text = "too many questions",
						 .postmaster.text = "too many questions" } };

/* NULL: not answered yet. */
static const struct asked *ask(struct fitness *f, const struct fitness_question *question)
{
	for (size_t i = 0; i < f->asked_n; i++)
		if (same_question(&f->asked[i].question, question))
			return f->asked[i].answered ? &f->asked[i] : NULL;
	if (f->asked_n == FITNESS_QUESTIONS_MAX)
		return &too_many;
	f->asked[f->asked_n++].question = *question;
	return NULL;
}

/* NULL: not known yet. */
static const struct dns_answer *look_up(void *context, const char *name, enum dns_type type)
{
	struct fitness *f = context;
	struct fitness_question question = { .kind = FITNESS_LOOK_UP, .type = type };
	const struct asked *asked;

	if (!dns_name_valid(name))
		return &broken;
	snprintf(question.name, sizeof(question.name), "%s", name);
	asked = ask(f, &question);
	if (asked == NULL)
		return NULL;
	return asked->answer != NULL ? asked->answer : &broken;
}

/* Neither a yes nor a no. */
static bool silent(const struct dns_answer *answer)
{
	return answer->state != DNS_FOUND && answer->state != DNS_NO_DATA &&
	       answer->state != DNS_NO_NAME;
}

static enum dns_type address_type(const struct fitness *f)
{
	return f->public.family == 6 ? DNS_AAAA : DNS_A;
}

static const char *address_word(const struct fitness *f)
{
	return f->public.family == 6 ? "AAAA" : "A";
}

/* "7.113.0.203.in-addr.arpa", or with another zone behind it. */
static void reversed_name(const struct probe_ip *ip, const char *zone, char ret_name[DNS_NAME_MAX])
{
	const uint8_t *o = ip->octets;
	size_t used = 0;

	if (ip->family == 4) {
		snprintf(ret_name, DNS_NAME_MAX, "%u.%u.%u.%u.%.200s", o[3], o[2], o[1], o[0],
			 zone);
		return;
	}
	for (size_t i = 16; i-- > 0;)
		used += (size_t)snprintf(ret_name + used, DNS_NAME_MAX - used, "%x.%x.", o[i] & 0xf,
					 o[i] >> 4);
	snprintf(ret_name + used, DNS_NAME_MAX - used, "%.180s", zone);
}

static const struct dns_mx *best_mx(const struct dns_answer *answer)
{
	const struct dns_mx *best = NULL;

	for (size_t i = 0; i < answer->mx_n; i++)
		if (best == NULL || answer->mx[i].preference < best->preference)
			best = &answer->mx[i];
	return best;
}

/* ------------------------------------------------------------------------------------------------
 * the checks that decide */

static void check_address(struct fitness *f)
{
	const struct fitness_lane *l = &f->lane;

	if (l->problem != NULL && *l->problem != '\0')
		found(f, FITNESS_ADDRESS, FITNESS_FAIL,
		      "%.200s: give it to an interface of this machine, or name in ROLLCALL_LANES "
		      "an address that it has (NAME=PUBLIC@BIND where a NAT stands between)",
		      l->problem);
	else
		found(f, FITNESS_ADDRESS, FITNESS_OK, "this machine has %s", l->bind_address);
}

/* The addresses of `host` that may be connected to. False: waits, or found() was called. */
static bool reachable(struct fitness *f, enum fitness_check check, const char *host,
		      struct fitness_question *question)
{
	const enum fitness_result cannot = fitness_decides(check) ? FITNESS_UNSURE : FITNESS_WARN;
	const struct dns_answer *answer;
	struct probe_ip literal;
	const char *why = "";

	question->ip_n = 0;
	if (ip_parse(host, &literal)) {
		question->ip[question->ip_n++] = literal;
	} else {
		answer = look_up(f, host, address_type(f));
		if (answer == NULL)
			return false;
		if (silent(answer)) {
			found(f, check, cannot,
			      "the address of %.100s could not be looked up (%s): is ROLLCALL_DNS "
			      "right?",
			      host, dns_state_text(answer->state));
			return false;
		}
		for (size_t i = 0; i < answer->ip_n && question->ip_n < FITNESS_IPS_MAX; i++)
			question->ip[question->ip_n++] = answer->ip[i];
	}
	if (question->ip_n == 0) {
		found(f, check, FITNESS_WARN,
		      "%.100s has no %s record, so nothing could be tried from %s: set "
		      "ROLLCALL_DOCTOR_TARGET to a mail server that has one",
		      host, address_word(f), f->lane.bind_address);
		return false;
	}
	for (size_t i = 0; i < question->ip_n; i++) {
		char text[IP_TEXT_MAX];

		if (f->settings.allowed == NULL ||
		    f->settings.allowed(f->settings.context, &question->ip[i], &why))
			continue;
		found(f, check, FITNESS_WARN,
		      "not tried: %.100s is at %s (%.60s), which may not be connected to; name it "
		      "in ROLLCALL_ALLOW_TARGETS if it is your own, or set ROLLCALL_DOCTOR_TARGET",
		      host, ip_format(&question->ip[i], text), why);
		return false;
	}
	return true;
}

/* "host:port", "[v6]:port", "host", "v6". */
static void parse_target(const char *text, uint16_t port, char ret_host[DNS_NAME_MAX],
			 uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	const char *bracket = strchr(text, ']');
	size_t len = strlen(text);

	*ret_port = port;
	if (colon != NULL && (bracket != NULL ? colon > bracket : strchr(text, ':') == colon)) {
		const long number = strtol(colon + 1, NULL, 10);

		if (number > 0 && number < 65536)
			*ret_port = (uint16_t)number;
		len = (size_t)(colon - text);
	}
	if (*text == '[' && bracket != NULL) {
		text++;
		len = (size_t)(bracket - text);
	}
	snprintf(ret_host, DNS_NAME_MAX, "%.*s", (int)(len < 250 ? len : 250), text);
}

static void judge_greeting(struct fitness *f, const struct fitness_question *q,
			   const struct fitness_call *call)
{
	char text[IP_TEXT_MAX];

	ip_format(&call->ip, text);
	if (call->greeting.code == 0)
		found(f, FITNESS_PORT, FITNESS_FAIL,
		      "port %u of %.100s (%s) cannot be reached from %s: %.100s. Many networks "
		      "block outgoing port 25: have it opened; if that server is down, set "
		      "ROLLCALL_DOCTOR_TARGET to another",
		      q->port, q->name, text, f->lane.bind_address, call->greeting.text);
	else if (call->greeting.code != 220)
		found(f, FITNESS_PORT, FITNESS_WARN,
		      "port %u is open, but %.100s (%s) greets %s with \"%u %.120s\"", q->port,
		      q->name, text, f->lane.public_address, call->greeting.code,
		      call->greeting.text);
	else
		found(f, FITNESS_PORT, FITNESS_OK, "port %u is open: %.100s (%s) greets", q->port,
		      q->name, text);
}

static void check_port(struct fitness *f)
{
	struct fitness_question question = { .kind = FITNESS_GREETING, .port = f->settings.port };
	const struct asked *asked;

	if (f->settings.target != NULL && *f->settings.target != '\0') {
		parse_target(f->settings.target, f->settings.port, question.name, &question.port);
	} else {
		const struct dns_answer *answer = look_up(f, f->from_domain, DNS_MX);
		const struct dns_mx *mx;

		if (answer == NULL)
			return;
		mx = best_mx(answer);
		if (silent(answer) || mx == NULL || mx->host[0] == '\0') {
			found(f, FITNESS_PORT, silent(answer) ? FITNESS_UNSURE : FITNESS_WARN,
			      "not tried: %.100s has no MX to try it with (%s); set "
			      "ROLLCALL_DOCTOR_TARGET to a mail server",
			      f->from_domain, dns_state_text(answer->state));
			return;
		}
		snprintf(question.name, sizeof(question.name), "%s", mx->host);
	}
	if (f->findings[FITNESS_ADDRESS - 1].result == FITNESS_FAIL) {
		found(f, FITNESS_PORT, FITNESS_UNSURE, "not tried: the address is not there");
		return;
	}
	if (!reachable(f, FITNESS_PORT, question.name, &question))
		return;
	asked = ask(f, &question);
	if (asked != NULL)
		judge_greeting(f, &asked->question, &asked->call);
}

static void check_reverse(struct fitness *f)
{
	const struct fitness_lane *l = &f->lane;
	char name[DNS_NAME_MAX];
	const struct dns_answer *answer;
	char first[DNS_NAME_MAX];
	bool same = false;

	reversed_name(&f->public, f->public.family == 4 ? "in-addr.arpa" : "ip6.arpa", name);
	answer = look_up(f, name, DNS_PTR);
	if (answer == NULL)
		return;
	if (silent(answer)) {
		found(f, FITNESS_REVERSE, FITNESS_UNSURE,
		      "the reverse DNS of %s could not be looked up (%s): is ROLLCALL_DNS right?",
		      l->public_address, dns_state_text(answer->state));
		return;
	}
	if (answer->mx_n == 0) {
		found(f, FITNESS_REVERSE, FITNESS_FAIL,
		      "%s has no reverse DNS: have whoever owns the address set its PTR record to "
		      "%.150s",
		      l->public_address, l->helo);
		return;
	}
	snprintf(first, sizeof(first), "%s", answer->mx[0].host);
	for (size_t i = 0; i < answer->mx_n; i++)
		same = same || strcasecmp(answer->mx[i].host, l->helo) == 0;
	if (!same) {
		found(f, FITNESS_REVERSE, FITNESS_FAIL,
		      "the reverse DNS of %s is %.120s and the HELO name %.120s: make them the "
		      "same, by the PTR record or by ROLLCALL_LANES",
		      l->public_address, first, l->helo);
		return;
	}
	answer = look_up(f, l->helo, address_type(f));
	if (answer == NULL)
		return;
	if (silent(answer)) {
		found(f, FITNESS_REVERSE, FITNESS_UNSURE,
		      "the address of %.150s could not be looked up (%s): is ROLLCALL_DNS right?",
		      l->helo, dns_state_text(answer->state));
		return;
	}
	for (size_t i = 0; i < answer->ip_n; i++)
		if (ip_same(&answer->ip[i], &f->public)) {
			found(f, FITNESS_REVERSE, FITNESS_OK, "%s is %.150s, both ways",
			      l->public_address, l->helo);
			return;
		}
	found(f, FITNESS_REVERSE, FITNESS_FAIL,
	      "the reverse DNS of %s is %.150s, but that name does not lead back to it: give it "
	      "the %s record %s",
	      l->public_address, l->helo, address_word(f), l->public_address);
}

static void check_mx(struct fitness *f)
{
	const struct dns_answer *answer = look_up(f, f->from_domain, DNS_MX);
	const struct dns_mx *mx;

	if (answer == NULL)
		return;
	mx = best_mx(answer);
	if (silent(answer))
		found(f, FITNESS_MX, FITNESS_UNSURE,
		      "the MX of %.150s could not be looked up (%s): is ROLLCALL_DNS right?",
		      f->from_domain, dns_state_text(answer->state));
	else if (mx == NULL)
		found(f, FITNESS_MX, FITNESS_FAIL,
		      "the MAIL FROM domain %.150s has no MX record, so its sender looks forged: "
		      "publish one, or set ROLLCALL_MAIL_FROM to an address that takes mail",
		      f->from_domain);
	else if (mx->host[0] == '\0')
		found(f, FITNESS_MX, FITNESS_FAIL,
		      "the MAIL FROM domain %.150s says that it takes no mail (null MX): set "
		      "ROLLCALL_MAIL_FROM to an address that does",
		      f->from_domain);
	else
		found(f, FITNESS_MX, FITNESS_OK, "%.150s has an MX: %.150s", f->from_domain,
		      mx->host);
}

/* ------------------------------------------------------------------------------------------------
 * the checks that warn */

static void check_spf(struct fitness *f)
{
	const char *address = f->lane.public_address;
	char why[SPF_WHY_MAX];

	switch (spf_check(f->from_domain, &f->public, look_up, f, why)) {
	case SPF_WAITS:
		return;
	case SPF_PASS:
		found(f, FITNESS_SPF, FITNESS_OK, "the SPF record of %.150s allows %s",
		      f->from_domain, address);
		return;
	case SPF_NONE:
		found(f, FITNESS_SPF, FITNESS_WARN,
		      "%.150s has no SPF record: publish the TXT record \"v=spf1 ip%d:%s -all\"",
		      f->from_domain, f->public.family, address);
		return;
	case SPF_NOT_ALLOWED:
		found(f, FITNESS_SPF, FITNESS_WARN,
		      "the SPF record of %.120s does not allow %s (%.100s): add ip%d:%s to it",
		      f->from_domain, address, why, f->public.family, address);
		return;
	case SPF_UNSURE:
		found(f, FITNESS_SPF, FITNESS_WARN,
		      "whether the SPF record of %.100s allows %s cannot be told: %.180s",
		      f->from_domain, address, why);
		return;
	}
}

static void judge_role(struct fitness *f, enum fitness_check check, const char *domain,
		       const struct fitness_question *q, const struct fitness_reply *reply)
{
	const char *role = fitness_check_name(check);

	if (reply->code / 100 == 2)
		found(f, check, FITNESS_OK, "%s@%.150s is accepted", role, domain);
	else if (reply->code == 0)
		found(f, check, FITNESS_WARN,
		      "whether %s@%.100s takes mail could not be asked at %.100s: %.120s", role,
		      domain, q->name, reply->text);
	else
		found(f, check, FITNESS_WARN,
		      "%s@%.100s is refused by %.80s (\"%u %.100s\"): whoever has a complaint "
		      "writes there, so make it take mail",
		      role, domain, q->name, reply->code, reply->text);
}

static void found_both(struct fitness *f, enum fitness_result result, const char *domain,
		       const char *why)
{
	found(f, FITNESS_ABUSE, result, "abuse@%.120s cannot be reached: %.220s", domain, why);
	found(f, FITNESS_POSTMASTER, result, "postmaster@%.120s cannot be reached: %.220s", domain,
	      why);
}

/* At the HELO name itself where it takes mail, else at the domain that it was registered under. */
static void check_roles(struct fitness *f)
{
	struct fitness_question question = { .kind = FITNESS_RECIPIENTS, .port = f->settings.port };
	const char *domain = f->lane.helo;
	const struct dns_answer *answer = look_up(f, domain, DNS_MX);
	const struct asked *asked;
	char host[DNS_NAME_MAX], why[300];

	if (answer == NULL)
		return;
	if (!silent(answer) && answer->mx_n == 0) {
		domain = rc_domain_registrable(domain);
		answer = look_up(f, domain, DNS_MX);
		if (answer == NULL)
			return;
	}
	if (silent(answer)) {
		snprintf(why, sizeof(why), "its MX could not be looked up (%s)",
			 dns_state_text(answer->state));
		found_both(f, FITNESS_WARN, domain, why);
		return;
	}
	if (answer->mx_n == 0 || best_mx(answer)->host[0] == '\0') {
		snprintf(why, sizeof(why),
			 "%.150s has no MX (%s); publish one, so that complaints find you", domain,
			 dns_state_text(answer->state));
		found_both(f, FITNESS_WARN, domain, why);
		return;
	}
	if (f->findings[FITNESS_ADDRESS - 1].result == FITNESS_FAIL) {
		found_both(f, FITNESS_WARN, domain, "the lane's address is not there to ask from");
		return;
	}
	snprintf(host, sizeof(host), "%s", best_mx(answer)->host);
	if (!reachable(f, FITNESS_ABUSE, host, &question)) {
		f->findings[FITNESS_POSTMASTER - 1] = f->findings[FITNESS_ABUSE - 1];
		f->findings[FITNESS_POSTMASTER - 1].check = FITNESS_POSTMASTER;
		return;
	}
	snprintf(question.name, sizeof(question.name), "%s", domain);
	asked = ask(f, &question);
	if (asked == NULL)
		return;
	snprintf(question.name, sizeof(question.name), "%s", host);
	judge_role(f, FITNESS_ABUSE, domain, &question, &asked->call.abuse);
	judge_role(f, FITNESS_POSTMASTER, domain, &question, &asked->call.postmaster);
}

static void check_dnsbls(struct fitness *f)
{
	char listed[200] = "", unsure[200] = "";
	bool waits = false;

	for (size_t i = 0; i < f->settings.dnsbl_n; i++) {
		const char *zone = f->settings.dnsbls[i];
		char name[DNS_NAME_MAX];
		const struct dns_answer *answer;
		char *to;

		reversed_name(&f->public, zone, name);
		answer = look_up(f, name, DNS_A);
		waits = waits || answer == NULL;
		if (answer == NULL || answer->state == DNS_NO_NAME || answer->state == DNS_NO_DATA)
			continue;
		/* 127.255.255.x: the list does not answer this resolver. */
		to = answer->state == DNS_FOUND && answer->ip[0].octets[0] == 127 &&
			     answer->ip[0].octets[1] != 255
			 ? listed
			 : unsure;
		snprintf(to + strlen(to), 200 - strlen(to), "%s%.60s", *to ? ", " : "", zone);
	}
	if (waits)
		return;
	if (*listed)
		found(f, FITNESS_DNSBL, FITNESS_WARN,
		      "%s is listed at %.180s: find out there why, and have it removed",
		      f->lane.public_address, listed);
	else if (*unsure)
		found(f, FITNESS_DNSBL, FITNESS_WARN,
		      "%.180s does not answer this resolver: ask through one of your own "
		      "(ROLLCALL_DNS)",
		      unsure);
	else if (f->settings.dnsbl_n == 0)
		found(f, FITNESS_DNSBL, FITNESS_OK, "no block list is named in ROLLCALL_DNSBLS");
	else
		found(f, FITNESS_DNSBL, FITNESS_OK, "%s is on none of %zu block lists",
		      f->lane.public_address, f->settings.dnsbl_n);
}

static void look(struct fitness *f)
{
	static void (*const checks[])(struct fitness * f) = {
		[FITNESS_ADDRESS] = check_address, [FITNESS_PORT] = check_port,
		[FITNESS_REVERSE] = check_reverse, [FITNESS_MX] = check_mx,
		[FITNESS_SPF] = check_spf,	   [FITNESS_ABUSE] = check_roles,
		[FITNESS_POSTMASTER] = NULL,	   [FITNESS_DNSBL] = check_dnsbls,
	};

	for (int i = 1; i <= FITNESS_CHECKS; i++)
		if (checks[i] != NULL && f->findings[i - 1].result == FITNESS_WAITS)
			checks[i](f);
}

/* ------------------------------------------------------------------------------------------------
 * public */

struct fitness *fitness_new(const struct fitness_lane *lane,
			    const struct fitness_settings *settings)
{
	struct fitness *f = calloc(1, sizeof(*f));
	const char *at = strrchr(lane->mail_from, '@');

	if (f == NULL)
		return NULL;
	f->lane = *lane;
	f->settings = *settings;
	f->from_domain = at != NULL ? at + 1 : lane->mail_from;
	if (!ip_parse(lane->public_address, &f->public)) {
		free(f);
		return NULL;
	}
	look(f);
	return f;
}

void fitness_free(struct fitness *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->asked_n; i++)
		free(f->asked[i].answer);
	free(f);
}

const struct fitness_question *fitness_ask(struct fitness *f)
{
	for (size_t i = 0; i < f->asked_n; i++)
		if (!f->asked[i].handed_out) {
			f->asked[i].handed_out = true;
			return &f->asked[i].question;
		}
	return NULL;
}

static struct asked *asked_of(struct fitness *f, const struct fitness_question *question)
{
	for (size_t i = 0; i < f->asked_n; i++)
		if (&f->asked[i].question == question)
			return &f->asked[i];
	return NULL;
}

void fitness_looked_up(struct fitness *f, const struct fitness_question *question,
		       const struct dns_answer *answer)
{
	struct asked *asked = asked_of(f, question);

	if (asked == NULL || asked->answered)
		return;
	asked->answered = true;
	asked->answer = malloc(sizeof(*asked->answer));
	if (asked->answer != NULL)
		*asked->answer = *answer;
	look(f);
}

void fitness_called(struct fitness *f, const struct fitness_question *question,
		    const struct fitness_call *call)
{
	struct asked *asked = asked_of(f, question);

	if (asked == NULL || asked->answered)
		return;
	asked->answered = true;
	asked->call = *call;
	look(f);
}

bool fitness_done(const struct fitness *f)
{
	for (int i = 0; i < FITNESS_CHECKS; i++)
		if (f->findings[i].result == FITNESS_WAITS)
			return false;
	return true;
}

const struct fitness_finding *fitness_finding(const struct fitness *f, enum fitness_check check)
{
	return &f->findings[check - 1];
}

enum fitness_result fitness_verdict(const struct fitness *f)
{
	enum fitness_result worst = FITNESS_OK;

	for (int i = 1; i <= FITNESS_CHECKS; i++) {
		const enum fitness_result result = f->findings[i - 1].result;

		if (fitness_decides((enum fitness_check)i) &&
		    (result == FITNESS_UNSURE || result == FITNESS_FAIL) && result > worst)
			worst = result;
	}
	return worst;
}
