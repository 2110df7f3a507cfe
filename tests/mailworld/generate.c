/* See generate.h. */
#include "tests/mailworld/generate.h"

#include "tests/mailworld/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum { ROLES = 10, EVERY_FIXED_MOST = 100 };

/* Who runs the mail of most people, each under the names that he really has; the rest small
 * domains. */
static const struct {
	uint8_t behaviour;
	uint16_t permille;
} providers[] = {
	{ MW_GMAIL_MAIL, 80 },	  { MW_WORKSPACE, 60 },	       { MW_WORKSPACE_CATCH_ALL, 30 },
	{ MW_OUTLOOK_MAIL, 40 },  { MW_HOTMAIL, 30 },	       { MW_LIVE, 20 },
	{ MW_M365, 80 },	  { MW_M365_CATCH_ALL, 40 },   { MW_YAHOO_MAIL, 60 },
	{ MW_YAHOO_252, 20 },	  { MW_YAHOO_REFUSING, 10 },   { MW_AOL, 40 },
	{ MW_ICLOUD, 60 },	  { MW_ICLOUD_CATCH_ALL, 20 }, { MW_PROOFPOINT, 50 },
	{ MW_MIMECAST_MAIL, 50 }, { MW_BARRACUDA_MAIL, 50 },   { MW_EXCHANGE_LIMITS, 5 },
	{ MW_WANTS_AUTH, 20 },	  { MW_CATCH_ALL, 50 },	       { MW_POSTGREY, 40 },
	{ MW_ROLE, 10 },
};

static const struct {
	const char *name;
	bool shares;	/* demo_permille of the behaviours */
	uint16_t every; /* permille of each behaviour */
	bool exact;
	uint16_t duplicates;
} mixes[] = {
	{ "demo", true, 0, false, 10 },	      { "every", false, 6, false, 10 },
	{ "bench", false, 0, true, 0 },	      { "honest", false, 0, false, 0 },
	{ "providers", false, 0, false, 10 },
};

enum rc_status mw_mix_named(const char *name, struct mw_mix *ret_mix, struct rc_error *err)
{
	for (size_t i = 0; i < COUNT(mixes); i++) {
		if (strcmp(mixes[i].name, name) != 0)
			continue;
		*ret_mix =
		    (struct mw_mix){ .exact = mixes[i].exact, .duplicates = mixes[i].duplicates };
		ret_mix->fixed_most = mixes[i].every ? EVERY_FIXED_MOST : 0;
		for (int b = MW_HONEST + 1; b < MW_BEHAVIOURS; b++)
			ret_mix->permille[b] =
			    mixes[i].shares ? mw_behaviours[b].demo_permille : mixes[i].every;
		for (size_t k = 0; !strcmp(name, "providers") && k < COUNT(providers); k++)
			ret_mix->permille[providers[k].behaviour] = providers[k].permille;
		return RC_OK;
	}
	return rc_error_set(
	    err, RC_NOT_FOUND,
	    "no mix is named %s: there are demo, every, providers, bench and honest", name);
}

enum rc_status mw_mix_share(struct mw_mix *mix, const char *shares, struct rc_error *err)
{
	for (const char *p = shares; *p;) {
		size_t len = strcspn(p, "=,");
		int behaviour = mw_behaviour_find(p, len);
		char *end;
		double percent;

		if (behaviour < 0 || behaviour == MW_HONEST || p[len] != '=')
			return rc_error_set(err, RC_INVALID,
					    "--share takes BEHAVIOUR=PERCENT,... (honest takes the "
					    "rest), not \"%s\"",
					    p);
		percent = strtod(p + len + 1, &end);
		if (end == p + len + 1 || !(percent >= 0 && percent <= 100) ||
		    (*end && *end != ','))
			return rc_error_set(err, RC_INVALID,
					    "--share: \"%s\" is no percentage from 0 to 100",
					    p + len + 1);
		mix->permille[behaviour] = (uint16_t)(percent * 10 + 0.5);
		p = *end ? end + 1 : end;
	}
	return RC_OK;
}

static uint32_t share_of(const struct mw_mix *mix, int behaviour, uint32_t rows)
{
	uint32_t share = (uint32_t)(((uint64_t)mix->permille[behaviour] * rows + 999) / 1000);

	/* A provider with one domain does not grow with the list: its limits do not. */
	return mix->fixed_most && mw_behaviours[behaviour].domains && share > mix->fixed_most
		   ? mix->fixed_most
		   : share;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* What is being made of one behaviour. */
struct part {
	uint32_t rows, domains, operators;
	uint32_t first_domain, first_operator;
};

struct maker {
	struct mw_world *world;
	const struct mw_mix *mix;
	struct mw_random random;
	struct part parts[MW_BEHAVIOURS];
	uint32_t wanted_domains, wanted_mx, rows;
	uint32_t names;	 /* made so far */
	uint32_t inside; /* IPv6 addresses of inside used so far */
	uint32_t *made;	 /* rows made for each domain */
	uint16_t *roles; /* role names in use, by domain */
};

static uint32_t below(struct maker *maker, size_t bound)
{
	return mw_random_below(&maker->random, (uint32_t)bound);
}

/* Whether its first host can be connected to. */
static bool listens(const struct mw_behaviour *behaviour)
{
	return behaviour->dns != MW_DNS_PRIVATE && behaviour->dns != MW_DNS_PRIVATE_FIRST &&
	       behaviour->dns != MW_DNS_AAAA_ONLY &&
	       !(behaviour->server & (MW_DEAD | MW_DEAD_FIRST));
}

/* Rows first, then as many domains as they want, then servers; honest takes what is left of each.
 */
static enum rc_status plan(struct maker *maker, struct rc_error *err)
{
	struct part *honest = &maker->parts[MW_HONEST];
	uint32_t taken = (uint32_t)((uint64_t)maker->mix->duplicates * maker->rows / 1000);
	uint32_t domains = 0, operators = 0, guests = 0;

	for (int b = 1; b < MW_BEHAVIOURS; b++) {
		const struct mw_behaviour *behaviour = &mw_behaviours[b];
		struct part *part = &maker->parts[b];

		part->rows = share_of(maker->mix, b, maker->rows);
		taken += part->rows;
		if (behaviour->mailbox)
			guests += part->rows;
		if (!part->rows || !behaviour->dns || behaviour->mailbox)
			continue;
		if (behaviour->domains) {
			part->domains = 1;
		} else {
			uint32_t fewest =
			    (part->rows + behaviour->most_rows - 1) / behaviour->most_rows;
			uint32_t fair =
			    (uint32_t)((uint64_t)maker->wanted_domains * part->rows / maker->rows);

			fewest = most(fewest, behaviour->variants);
			part->domains =
			    behaviour->dense ? fewest : least(most(fewest, fair), part->rows);
		}
		domains += part->domains;
		if (mw_behaviour_has_servers(behaviour)) {
			part->operators =
			    behaviour->own_servers
				? part->domains
				: most(1, (uint32_t)((uint64_t)maker->wanted_mx * part->domains /
						     most(1, maker->wanted_domains)));
			part->operators = most(part->operators, behaviour->variants);
			part->operators =
			    behaviour->hosts ? 1 : least(part->operators, part->domains);
			if (behaviour->guest_of)
				part->operators = 0;
			if (listens(behaviour))
				operators += part->operators;
		}
	}
	for (int b = 1; b < MW_BEHAVIOURS; b++)
		if (maker->parts[b].domains && mw_behaviours[b].guest_of &&
		    !maker->parts[mw_behaviours[b].guest_of].operators)
			return rc_error_set(
			    err, RC_INVALID, "%s lives on the servers of %s, which has no share",
			    mw_behaviours[b].name, mw_behaviours[mw_behaviours[b].guest_of].name);
	if (taken > maker->rows)
		return rc_error_set(
		    err, RC_INVALID,
		    "the mix wants %u of %u rows: take more rows, or lower a share with --share",
		    taken, maker->rows);
	honest->rows = maker->rows - taken;
	honest->domains = maker->wanted_domains > domains ? maker->wanted_domains - domains : 1;
	if (!maker->mix->exact)
		honest->domains = most(honest->domains, (honest->rows + guests + 23) / 24);
	honest->operators =
	    least(maker->wanted_mx > operators ? maker->wanted_mx - operators : 1, honest->domains);
	if (honest->operators + operators < maker->wanted_mx)
		return rc_error_set(
		    err, RC_INVALID,
		    "%u MX addresses need as many domains: take more --domains or fewer --mx",
		    maker->wanted_mx);
	return RC_OK;
}

static size_t make_name(struct maker *maker, char *ret_name, size_t room, const char *tail)
{
	const char *adjective = mw_adjectives[below(maker, MW_ADJECTIVES)];
	const char *noun = mw_nouns[below(maker, MW_NOUNS)];

	return (size_t)snprintf(ret_name, room, "%s-%s%u%s", adjective, noun, ++maker->names, tail);
}

/* An address that nobody may connect to, into `ret_ip` or `ret_ip6`. */
static void inside_address(struct maker *maker, enum mw_inside inside, uint32_t *ret_ip,
			   const uint8_t **ret_ip6)
{
	static const uint32_t nets[] = { 0x0a000001, 0xc0a80001, 0xac100001, 0xa9fe0101 };
	static const uint8_t six[][16] = {
		{ [15] = 1 },				      /* ::1 */
		{ 0 },					      /* :: */
		{ [10] = 255, 255, 127, 0, 0, 1 },	      /* ::ffff:127.0.0.1 */
		{ [10] = 255, 255, 10, 0, 0, 1 },	      /* ::ffff:10.0.0.1 */
		{ 0xfe, 0x80, [15] = 1 },		      /* fe80::1 */
		{ 0xfd, [15] = 1 },			      /* fd00::1 */
		{ 0, 0x64, 0xff, 0x9b, [12] = 127, 0, 0, 1 }, /* 64:ff9b::127.0.0.1 */
		{ 0x20, 0x02, 127, 0, 0, 1, [15] = 1 },	      /* 2002:7f00:1::1 */
	};

	switch (inside) {
	case MW_INSIDE_NETS:
		*ret_ip = nets[below(maker, COUNT(nets))] + 256 * below(maker, 200);
		break;
	case MW_INSIDE_MACHINE:
		*ret_ip = below(maker, 2) ? 0x7f000001 : 0;
		break;
	case MW_INSIDE_6:
		*ret_ip6 = six[maker->inside++ % COUNT(six)];
		break;
	}
}

static uint32_t host_count(struct maker *maker, const struct mw_behaviour *behaviour)
{
	if ((behaviour->server & (MW_DEAD_FIRST | MW_FIRST_421)) ||
	    behaviour->dns == MW_DNS_PRIVATE_FIRST)
		return 2;
	if (behaviour->server & MW_EIGHT_MX)
		return 8;
	if (behaviour->zone)
		return 1;
	return !maker->mix->exact && (behaviour->server & (MW_DEAD | MW_SPARE_MX)) &&
		       below(maker, 3) == 0
		   ? 2
		   : 1;
}

static void make_hosts(struct maker *maker, const struct mw_behaviour *behaviour, const char *zone)
{
	/* Of nobody: within 2000::/3, and allocated to no registry. */
	static const uint8_t public6[16] = { 0x2f, 0xff, 0xff, 0xff, [15] = 0x25 };
	uint32_t count = host_count(maker, behaviour);
	char name[MW_NAME_MAX + 1];

	for (uint32_t i = 0; i < count; i++) {
		size_t len = (size_t)(behaviour->zone
					  ? snprintf(name, sizeof(name), "%s", zone)
					  : snprintf(name, sizeof(name), "mx%u.%s", i + 1, zone));
		bool inside = behaviour->dns == MW_DNS_PRIVATE ||
			      (behaviour->dns == MW_DNS_PRIVATE_FIRST && i == 0);
		bool lives = !inside && !(behaviour->server & MW_DEAD) &&
			     behaviour->dns != MW_DNS_AAAA_ONLY &&
			     !(i == 0 && (behaviour->server & MW_DEAD_FIRST));
		const uint8_t *ip6 = behaviour->dns == MW_DNS_AAAA_ONLY ? public6 : NULL;
		uint32_t ip = 0, host;

		if (inside)
			inside_address(maker, behaviour->inside, &ip, &ip6);
		host =
		    mw_world_add_host(maker->world, name, len, (uint16_t)(10 * (i + 1)), ip, lives);
		maker->world->hosts[host].ip6 = ip6;
		if (inside)
			maker->world->hosts[host].ip = ip; /* 0.0.0.0 too */
		if (i == 0 && (behaviour->server & MW_FIRST_421))
			maker->world->hosts[host].greets_421 = true;
	}
}

static void make_operators(struct maker *maker, int b)
{
	static const enum mw_voice small[] = { MW_POSTFIX,  MW_POSTFIX,	 MW_EXIM,
					       MW_SENDMAIL, MW_EXCHANGE, MW_OPENSMTPD };
	const struct mw_behaviour *behaviour = &mw_behaviours[b];
	struct part *part = &maker->parts[b];
	char zone[128];

	part->first_operator = (uint32_t)maker->world->operator_count;
	for (uint32_t i = 0; i < part->operators; i++) {
		enum mw_voice voice =
		    behaviour->voice ? behaviour->voice : small[below(maker, COUNT(small))];

		mw_world_add_operator(
		    maker->world, b, voice,
		    (uint8_t)(i % (behaviour->variants ? behaviour->variants : 2)));
		for (const struct mw_fixed_host *host = behaviour->hosts; host && host->name;
		     host++)
			mw_world_add_host(maker->world, host->name, strlen(host->name),
					  host->preference, 0, true);
		if (!behaviour->hosts) {
			make_name(maker, zone, sizeof(zone),
				  behaviour->zone ? behaviour->zone : "-mail.test");
			make_hosts(maker, behaviour, zone);
		}
	}
}

/* A name under a label in its own script: `name` as the DNS has it, `shown` as the list does. */
static void make_idn(struct maker *maker, char *name, size_t room, char *shown, size_t shown_room)
{
	const struct mw_idn_label *label = &mw_idn_labels[below(maker, MW_IDN_LABELS)];
	char zone[64];

	snprintf(zone, sizeof(zone), "%s", name);
	snprintf(name, room, "%s.%.40s", label->name, zone);
	snprintf(shown, shown_room, "%s.%.40s", label->shown, zone);
}

static void make_domains(struct maker *maker, int b)
{
	const struct mw_behaviour *behaviour = &mw_behaviours[b];
	struct part *part = &maker->parts[b];
	const struct part *honest = &maker->parts[MW_HONEST];
	char name[64], shown[64];
	uint32_t domain;

	part->first_domain = (uint32_t)maker->world->domain_count;
	for (uint32_t i = 0; i < part->domains; i++) {
		uint32_t operator_ =
		    part->operators ? part->first_operator + i % part->operators : MW_NONE;

		if (behaviour->guest_of)
			operator_ = maker->parts[behaviour->guest_of].first_operator;
		/* A hoster has customers of both kinds. */
		if (b == MW_CATCH_ALL && (i & 1))
			operator_ = honest->first_operator + below(maker, honest->operators);
		if (behaviour->domains)
			snprintf(name, sizeof(name), "%s", behaviour->domains[i]);
		else
			make_name(maker, name, sizeof(name), ".test");
		if (behaviour->idn)
			make_idn(maker, name, sizeof(name), shown, sizeof(shown));
		domain = mw_world_add_domain(maker->world, name, strlen(name), b, operator_);
		if (behaviour->idn)
			maker->world->domains[domain].shown =
			    mw_world_string(maker->world, shown, strlen(shown));
	}
}

/* A local part that the domain does not have yet: pairs of names in an order of its own. */
static const char *make_local(struct maker *maker, uint32_t domain, bool plain)
{
	static const char *const joints[] = { ".", ".", "_", "-", "" };
	const uint32_t pairs = (uint32_t)(MW_FIRSTS * MW_LASTS);
	uint32_t n = maker->made[domain]++;
	uint32_t pair =
	    (uint32_t)((mw_hash_mix(maker->world->seed, domain) % pairs + (uint64_t)n * 1013) %
		       pairs);
	bool utf8 = mw_behaviours[maker->world->domains[domain].behaviour].utf8;
	const char *first =
	    utf8 ? mw_utf8_firsts[pair / MW_LASTS % MW_UTF8_FIRSTS] : mw_firsts[pair / MW_LASTS];
	const char *last = mw_lasts[pair % MW_LASTS];
	const char *joint = plain ? "." : joints[below(maker, COUNT(joints))];
	char local[64], number[16] = "";
	int len;

	if (n >= pairs || (plain && below(maker, 2)))
		snprintf(number, sizeof(number), "%u",
			 n >= pairs ? 100 + n / pairs : 10 + below(maker, 90));
	if (utf8)
		snprintf(number, sizeof(number), "%u", n);
	len = below(maker, 5)
		  ? snprintf(local, sizeof(local), "%s%s%s%s", first, joint, last, number)
		  : snprintf(local, sizeof(local), "%s%s%s%s", last, joint, first, number);
	return mw_world_string(maker->world, local, (size_t)len);
}

/* A role name that the domain has not got in the list yet, or NULL. */
static const char *make_role(struct maker *maker, uint32_t domain, uint32_t among)
{
	uint32_t role = below(maker, among);

	for (uint32_t i = 0; i < among; i++, role = (role + 1) % among) {
		if (maker->roles[domain] & (1u << role))
			continue;
		maker->roles[domain] = (uint16_t)(maker->roles[domain] | 1u << role);
		return mw_roles[role];
	}
	return NULL;
}

static void make_row(struct maker *maker, int label, uint32_t domain, const char *local,
		     enum mw_answer answer)
{
	const struct mw_behaviour *lives = &mw_behaviours[maker->world->domains[domain].behaviour];
	struct mw_row row = {
		.local = local,
		.domain = domain,
		.behaviour = (uint8_t)label,
		.answer = (uint8_t)answer,
		.spelled = below(maker, 20) == 0,
		.padded = below(maker, 50) == 0,
	};

	mw_world_add_row(maker->world, &row);
	if (!lives->everybody && !lives->status)
		mw_world_add_mailbox(maker->world, domain, local, strlen(local), answer);
}

/* One row of a domain's own behaviour; `n`: how many of them it already has. */
static void make_domain_row(struct maker *maker, int b, uint32_t domain, uint32_t n)
{
	const struct mw_behaviour *behaviour = &mw_behaviours[b];
	uint32_t exists = behaviour->exists
			      ? behaviour->exists
			      : 65 + (uint32_t)(mw_hash_mix(domain, maker->world->seed) % 26);
	enum mw_answer answer = behaviour->answer;
	const char *local = NULL;

	if (!behaviour->everybody)
		answer = below(maker, 100) < exists || (n > 0 && n < 3) ? MW_ACCEPT : MW_ABSENT;
	/* Role names that are missing, and ones where everybody is accepted: a flag only.
	 * postmaster is never missing. */
	if (below(maker, 30) == 0 && ((b == MW_HONEST && answer == MW_ABSENT) || b == MW_CATCH_ALL))
		local = make_role(maker, domain, ROLES - 1);
	if (!local)
		local = make_local(maker, domain, behaviour->domains);
	make_row(maker, b, domain, local, answer);
}

static void make_domain_rows(struct maker *maker, int b)
{
	const struct part *part = &maker->parts[b];
	uint32_t cap = mw_behaviours[b].most_rows;
	uint32_t *rows = mw_alloc(part->domains, sizeof(*rows));

	if ((uint64_t)cap * part->domains < part->rows || maker->mix->exact)
		cap = part->rows;
	for (uint32_t i = 0; i < part->rows; i++) {
		uint32_t d = i < part->domains ? i : below(maker, part->domains);

		while (rows[d] >= cap)
			d = d + 1 == part->domains ? 0 : d + 1;
		make_domain_row(maker, b, part->first_domain + d, rows[d]++);
	}
	free(rows);
}

/* Full, disabled and other single mailboxes live in honest domains. */
static void make_mailbox_rows(struct maker *maker, int b)
{
	const struct mw_behaviour *behaviour = &mw_behaviours[b];
	const struct part *honest = &maker->parts[MW_HONEST];

	for (uint32_t i = 0; i < maker->parts[b].rows; i++) {
		uint32_t d = below(maker, honest->domains);
		const char *local = NULL;
		enum mw_answer answer = behaviour->answer;

		while (maker->made[honest->first_domain + d] >= 24 && !maker->mix->exact)
			d = d + 1 == honest->domains ? 0 : d + 1;
		for (uint32_t tries = 0; behaviour->role && !local && tries < honest->domains;
		     tries++) {
			local = make_role(maker, honest->first_domain + d, ROLES);
			if (!local)
				d = d + 1 == honest->domains ? 0 : d + 1;
		}
		if (b == MW_MAILBOX_FULL && below(maker, 2))
			answer = MW_FULL_TEMPORARY;
		if (!local)
			local = make_local(maker, honest->first_domain + d, false);
		make_row(maker, b, honest->first_domain + d, local, answer);
	}
}

static void make_other_rows(struct maker *maker)
{
	for (uint32_t i = 0; i < maker->parts[MW_BAD_SYNTAX].rows; i++)
		mw_world_add_row(maker->world,
				 &(struct mw_row){ .local = mw_bad_cells[i % MW_BAD_CELLS],
						   .domain = MW_NONE,
						   .behaviour = MW_BAD_SYNTAX });
	for (uint32_t i = 0; i < maker->parts[MW_BLANK].rows; i++)
		mw_world_add_row(
		    maker->world,
		    &(struct mw_row){ .local = "", .domain = MW_NONE, .behaviour = MW_BLANK });
}

static void make_duplicates(struct maker *maker, size_t first_row)
{
	uint32_t wanted = (uint32_t)((uint64_t)maker->mix->duplicates * maker->rows / 1000);
	size_t originals = maker->world->row_count - first_row;

	for (uint32_t i = 0; i < wanted;) {
		struct mw_row row = maker->world->rows[first_row + below(maker, originals)];

		if (row.domain == MW_NONE)
			continue;
		row.spelled = true;
		mw_world_add_row(maker->world, &row);
		i++;
	}
}

static void shuffle(struct maker *maker, size_t first_row)
{
	struct mw_row *rows = maker->world->rows + first_row;

	for (size_t i = maker->world->row_count - first_row; i > 1; i--) {
		size_t other = below(maker, i);
		struct mw_row row = rows[i - 1];

		rows[i - 1] = rows[other];
		rows[other] = row;
	}
}

enum rc_status mw_generate(struct mw_world *world, const struct mw_mix *mix, uint32_t domains,
			   uint32_t mx, uint32_t rows, struct rc_error *err)
{
	struct maker maker = { .world = world,
			       .mix = mix,
			       .random = { world->seed },
			       .wanted_domains = domains,
			       .wanted_mx = mx,
			       .rows = rows };
	size_t first_row = world->row_count;
	enum rc_status status = plan(&maker, err);

	if (status != RC_OK)
		return status;
	for (int b = 0; b < MW_BEHAVIOURS; b++)
		make_operators(&maker, b);
	for (int b = 0; b < MW_BEHAVIOURS; b++)
		make_domains(&maker, b);
	maker.made = mw_alloc(world->domain_count, sizeof(*maker.made));
	maker.roles = mw_alloc(world->domain_count, sizeof(*maker.roles));
	for (int b = 0; b < MW_BEHAVIOURS; b++) {
		if (mw_behaviours[b].mailbox)
			make_mailbox_rows(&maker, b);
		else if (maker.parts[b].domains)
			make_domain_rows(&maker, b);
	}
	make_other_rows(&maker);
	make_duplicates(&maker, first_row);
	shuffle(&maker, first_row);
	free(maker.made);
	free(maker.roles);
	return RC_OK;
}

enum rc_status mw_check(const struct mw_world *world, const struct mw_mix *mix, uint32_t domains,
			uint32_t mx, uint32_t rows, struct rc_error *err)
{
	uint32_t rows_of[MW_BEHAVIOURS] = { 0 }, listening = 0;

	for (size_t i = 0; i < world->host_count; i++)
		listening += world->hosts[i].listens;
	if (listening < mx)
		return rc_error_set(err, RC_BROKEN, "the world has %u MX addresses, not %u",
				    listening, mx);
	if (world->domain_count < domains)
		return rc_error_set(err, RC_BROKEN, "the world has %zu domains, not %u",
				    world->domain_count, domains);
	if (world->row_count != rows)
		return rc_error_set(err, RC_BROKEN, "the list has %zu rows, not %u",
				    world->row_count, rows);
	for (size_t i = 0; i < world->row_count; i++) {
		const struct mw_row *row = &world->rows[i];
		const struct mw_behaviour *behaviour;

		rows_of[row->behaviour]++;
		if (row->domain == MW_NONE)
			continue;
		behaviour = &mw_behaviours[world->domains[row->domain].behaviour];
		if (!behaviour->status &&
		    mw_world_mailbox(world, row->domain, row->local, strlen(row->local)) !=
			(enum mw_answer)row->answer)
			return rc_error_set(
			    err, RC_BROKEN,
			    "row %zu (%s@%s) would not be answered as the truth says", i + 1,
			    row->local, world->domains[row->domain].name);
	}
	for (int b = 1; b < MW_BEHAVIOURS; b++)
		if (rows_of[b] < share_of(mix, b, rows))
			return rc_error_set(err, RC_BROKEN, "the list has %u rows of %s, not %u",
					    rows_of[b], mw_behaviours[b].name,
					    share_of(mix, b, rows));
	return RC_OK;
}
