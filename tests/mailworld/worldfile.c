/* See worldfile.h. */
#include "tests/mailworld/worldfile.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_LEN = 1024, WORDS = 3 };

struct reader {
	struct mw_world *world;
	const char *path;
	unsigned line;
	struct rc_error *err;
	/* The section that is open. */
	char domain[MW_NAME_MAX + 1];
	int behaviour;
	uint8_t variant;
	uint32_t operator_;
	uint32_t index; /* of the domain once it was added, else MW_NONE */
};

static enum rc_status wrong(const struct reader *reader, const char *what, const char *which)
{
	return rc_error_set(reader->err, RC_INVALID, "%s line %u: %s \"%s\"", reader->path,
			    reader->line, what, which);
}

static char *trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

static void own_operator(struct reader *reader)
{
	if (reader->operator_ != MW_NONE)
		return;
	reader->operator_ = mw_world_add_operator(reader->world, reader->behaviour,
						  mw_behaviours[reader->behaviour].voice
						      ? mw_behaviours[reader->behaviour].voice
						      : MW_POSTFIX,
						  reader->variant);
}

/* "PREFERENCE HOST [ADDRESS|dead]"; at an IPv6 address nobody listens. */
static enum rc_status add_mx(struct reader *reader, char *value)
{
	char *rest = NULL, *end;
	const char *preference = strtok_r(value, " \t", &rest),
		   *name = strtok_r(NULL, " \t", &rest);
	const char *where = strtok_r(NULL, " \t", &rest);
	const struct mw_behaviour *behaviour = &mw_behaviours[reader->behaviour];
	bool dead = (behaviour->server & MW_DEAD) || (where && !strcmp(where, "dead"));
	struct in_addr address = { 0 };
	uint8_t address6[16];
	bool six = where && inet_pton(AF_INET6, where, address6) == 1;
	uint32_t host;

	if (!preference || !name || strtoul(preference, &end, 10) > UINT16_MAX || *end)
		return wrong(reader, "mx takes PREFERENCE HOST [ADDRESS|dead], not", value);
	if (reader->index != MW_NONE)
		return wrong(reader, "mx comes before the mailboxes:", name);
	if (where && !six && strcmp(where, "dead") != 0 && inet_pton(AF_INET, where, &address) != 1)
		return wrong(reader, "no IP address:", where);
	host = mw_world_find_host(reader->world, name, strlen(name));
	if (host != MW_NONE) {
		/* A host of an earlier section: the domain moves in with its operator. */
		if (reader->operator_ != MW_NONE &&
		    reader->operator_ != reader->world->hosts[host].operator_)
			return wrong(reader, "belongs to other servers:", name);
		reader->operator_ = reader->world->hosts[host].operator_;
		return RC_OK;
	}
	own_operator(reader);
	if (reader->operator_ != reader->world->operator_count - 1)
		return wrong(reader, "a new host cannot join servers of an earlier section:", name);
	dead = dead || six || behaviour->dns == MW_DNS_PRIVATE ||
	       (((behaviour->server & MW_DEAD_FIRST) || behaviour->dns == MW_DNS_PRIVATE_FIRST) &&
		!reader->world->operators[reader->operator_].hosts);
	host = mw_world_add_host(reader->world, name, strlen(name),
				 (uint16_t)strtoul(preference, NULL, 10), ntohl(address.s_addr),
				 !dead);
	if (host == MW_NONE)
		return wrong(reader, "no host name:", name);
	if (six)
		reader->world->hosts[host].ip6 = (const uint8_t *)mw_world_string(
		    reader->world, (const char *)address6, sizeof(address6));
	reader->world->hosts[host].greets_421 =
	    (behaviour->server & MW_FIRST_421) &&
	    reader->world->operators[reader->operator_].hosts == 1;
	return RC_OK;
}

/* Once its servers are known. */
static enum rc_status settle_domain(struct reader *reader)
{
	const struct mw_behaviour *behaviour = &mw_behaviours[reader->behaviour];
	char mx[MW_NAME_MAX + 32];
	enum rc_status status = RC_OK;

	if (!*reader->domain || reader->index != MW_NONE)
		return RC_OK;
	if (mw_behaviour_has_servers(behaviour) && reader->operator_ == MW_NONE) {
		uint32_t count = behaviour->server & (MW_DEAD_FIRST | MW_FIRST_421) ? 2 : 1;

		for (uint32_t i = 1; i <= count && status == RC_OK; i++) {
			snprintf(mx, sizeof(mx), "%u mx%u.%s%s", i * 10, i, reader->domain,
				 behaviour->dns == MW_DNS_PRIVATE ? " 10.0.0.1" : "");
			status = add_mx(reader, mx);
		}
		if (status != RC_OK)
			return status;
	}
	reader->index = mw_world_add_domain(reader->world, reader->domain, strlen(reader->domain),
					    reader->behaviour, reader->operator_);
	return reader->index == MW_NONE
		   ? wrong(reader, "a domain twice, or no name:", reader->domain)
		   : RC_OK;
}

/* "LOCAL [ANSWER]" */
static enum rc_status add_mailbox(struct reader *reader, char *value, enum mw_answer answer)
{
	char *rest = NULL;
	const char *local = strtok_r(value, " \t", &rest), *name = strtok_r(NULL, " \t", &rest);
	struct mw_row row = { 0 };
	int found = name ? mw_answer_find(name, strlen(name)) : (int)answer;
	enum rc_status status = settle_domain(reader);

	if (status != RC_OK)
		return status;
	if (!local || found < 0)
		return wrong(reader, "no such answer:", name ? name : "");
	row = (struct mw_row){ .local = mw_world_string(reader->world, local, strlen(local)),
			       .domain = reader->index,
			       .behaviour = (uint8_t)reader->behaviour,
			       .answer = (uint8_t)found };
	mw_world_add_row(reader->world, &row);
	mw_world_add_mailbox(reader->world, reader->index, local, strlen(local),
			     (enum mw_answer)found);
	return RC_OK;
}

static enum rc_status open_section(struct reader *reader, char *line)
{
	enum rc_status status = settle_domain(reader);
	char *name, *end = strchr(line, ']');

	if (status != RC_OK)
		return status;
	if (strncmp(line, "[domain ", 8) != 0 || !end)
		return wrong(reader, "a section is [domain NAME], not", line);
	*end = '\0';
	name = trim(line + 8);
	if (!*name || strlen(name) > MW_NAME_MAX)
		return wrong(reader, "no domain name:", name);
	snprintf(reader->domain, sizeof(reader->domain), "%s", name);
	reader->behaviour = MW_HONEST;
	reader->variant = 0;
	reader->operator_ = MW_NONE;
	reader->index = MW_NONE;
	return RC_OK;
}

static enum rc_status set_value(struct reader *reader, const char *name, char *value)
{
	if (!*reader->domain)
		return wrong(reader, "stands before the first [domain NAME]:", name);
	if (!strcmp(name, "mx"))
		return add_mx(reader, value);
	if (!strcmp(name, "mailbox"))
		return add_mailbox(reader, value, MW_ACCEPT);
	if (!strcmp(name, "absent"))
		return add_mailbox(reader, value, MW_ABSENT);
	if (reader->operator_ != MW_NONE || reader->index != MW_NONE)
		return wrong(reader, "comes before mx and mailboxes:", name);
	if (!strcmp(name, "variant")) {
		reader->variant = (uint8_t)(strtoul(value, NULL, 10) & 15);
		return RC_OK;
	}
	if (strcmp(name, "behaviour") != 0)
		return wrong(reader,
			     "unknown name (behaviour, variant, mx, mailbox, absent):", name);
	reader->behaviour = mw_behaviour_find(value, strlen(value));
	if (reader->behaviour < 0 || mw_behaviours[reader->behaviour].mailbox ||
	    !mw_behaviours[reader->behaviour].dns)
		return wrong(reader, "no behaviour of a domain (see --print-world):", value);
	return RC_OK;
}

static enum rc_status take_line(struct reader *reader, char *line)
{
	char *text = trim(line), *equals;

	if (!*text || *text == '#')
		return RC_OK;
	if (*text == '[')
		return open_section(reader, text);
	equals = strchr(text, '=');
	if (!equals)
		return wrong(reader, "neither [domain NAME] nor name = value:", text);
	*equals = '\0';
	return set_value(reader, trim(text), trim(equals + 1));
}

enum rc_status mw_worldfile_read(struct mw_world *world, const char *path, struct rc_error *err)
{
	struct reader reader = {
		.world = world, .path = path, .err = err, .operator_ = MW_NONE, .index = MW_NONE
	};
	FILE *file = fopen(path, "r");
	char line[LINE_MAX_LEN];
	enum rc_status status = RC_OK;

	if (!file)
		return rc_error_set(err, RC_NOT_FOUND, "cannot read the world file %s: %s", path,
				    strerror(errno));
	while (status == RC_OK && fgets(line, sizeof(line), file)) {
		reader.line++;
		if (!strchr(line, '\n') && !feof(file))
			status = wrong(&reader, "the line is longer than 1,023 octets:", "");
		else
			status = take_line(&reader, line);
	}
	if (status == RC_OK)
		status = settle_domain(&reader);
	fclose(file);
	return status;
}
