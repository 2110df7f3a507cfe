/* See traps.h. */
#include "coordinator/core/traps.h"

#include <stdlib.h>
#include <string.h>

#include "common/address/address.h"
#include "common/reply/data_file.h"

enum { TRAPS_MAX = 1000000, HASH_LEN = 64 };

struct traps {
	struct trap {
		char *text;
		enum trap_kind kind;
	} * traps;
	size_t n, room;
};

static enum rc_status add(struct traps *all, const struct rc_data_file *f, enum trap_kind kind,
			  const char *text, struct rc_error *err)
{
	char *copy;

	if (all->n == TRAPS_MAX)
		return rc_data_file_wrong(f, err, "more than %d traps", TRAPS_MAX);
	if (all->n == all->room) {
		size_t room = all->room ? 2 * all->room : 64;
		struct trap *more = realloc(all->traps, room * sizeof(*more));

		if (!more)
			return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
		all->traps = more;
		all->room = room;
	}
	copy = strdup(text);
	if (!copy)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	all->traps[all->n++] = (struct trap){ copy, kind };
	return RC_OK;
}

static enum rc_status take_line(struct traps *all, struct rc_data_file *f, struct rc_error *err)
{
	char key[RC_ADDRESS_SIZE], domain[RC_DOMAIN_SIZE];
	struct rc_address address;
	const char *reason = "", *text = f->text;

	if (strncmp(text, "sha256:", 7) == 0) {
		if (strlen(text + 7) != HASH_LEN ||
		    strspn(text + 7, "0123456789abcdef") != HASH_LEN)
			return rc_data_file_wrong(
			    f, err, "sha256: is followed by %d hexadecimal digits, small letters",
			    HASH_LEN);
		return add(all, f, TRAP_SHA256, text + 7, err);
	}
	if (strchr(text + 1, '@')) {
		if (rc_address_parse(text, strlen(text), &address) != RC_ADDRESS_OK)
			return rc_data_file_wrong(f, err, "\"%.80s\" is no address: %s", text,
						  address.reason ? address.reason : "");
		rc_address_key(&address, key);
		return add(all, f, TRAP_ADDRESS, key, err);
	}
	text += *text == '@';
	if (rc_domain_normalize(text, strlen(text), domain, NULL, &reason))
		return rc_data_file_wrong(f, err, "\"%.80s\" is no address, domain or sha256: %s",
					  text, reason);
	return add(all, f, TRAP_DOMAIN, domain, err);
}

enum rc_status traps_load(const char *path, struct traps **ret_traps, struct rc_error *err)
{
	struct traps *all = calloc(1, sizeof(*all));
	struct rc_data_file f;
	enum rc_status status;
	int more;

	if (!all)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory for the traps", path);
	status = rc_data_file_open(&f, path, "spam-traps", err);
	if (status) {
		free(all);
		return status;
	}
	while (!status && (more = rc_data_file_next(&f, err)) != 0)
		status = more < 0 ? RC_INVALID : take_line(all, &f, err);
	rc_data_file_done(&f);
	if (status) {
		traps_free(all);
		return status;
	}
	*ret_traps = all;
	return RC_OK;
}

void traps_free(struct traps *traps)
{
	if (!traps)
		return;
	for (size_t i = 0; i < traps->n; i++)
		free(traps->traps[i].text);
	free(traps->traps);
	free(traps);
}

size_t traps_count(const struct traps *traps)
{
	return traps->n;
}

const char *traps_at(const struct traps *traps, size_t i, enum trap_kind *ret_kind)
{
	*ret_kind = traps->traps[i].kind;
	return traps->traps[i].text;
}
