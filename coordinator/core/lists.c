/* See lists.h. */
#include "coordinator/core/lists.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/reply/data_file.h"
#include "coordinator/core/name_set.h"
#include "coordinator/core/net.h"
#include "coordinator/core/typo.h"

enum { NETS_MAX = 65536, LOCAL_MAX = 64, POPULAR_MAX = 2000 };

struct lists {
	struct name_set role, disposable, free, do_not_probe, parked_mx, disposable_mx, popular;
	struct net *nets; /* of do-not-probe */
	size_t n_nets;
	struct typo_name in_order[POPULAR_MAX]; /* the names of `popular`, the most used first */
};

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
				struct name_set *set, struct rc_error *err)
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
		} else if (set == &lists->do_not_probe && net_parse(f.text, &net)) {
			status = add_net(lists, &f, &net, err);
		} else if (set == &lists->role ? !is_local(f.text) : !is_domain(f.text)) {
			status = rc_data_file_wrong(
			    &f, err, "\"%.80s\" is no %s", f.text,
			    set == &lists->role ? "local part in small letters"
			    : set == &lists->do_not_probe
				? "domain in lower-case A-labels, address or network"
				: "domain in lower-case A-labels");
		} else {
			added = name_set_add(set, f.text);
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

/* The strings belong to the set; here is in which order they came. */
static enum rc_status read_popular(const char *dir, struct lists *lists, struct rc_error *err)
{
	struct rc_data_file f;
	enum rc_status status = read_list(dir, "popular", lists, &lists->popular, err);
	size_t n = 0;

	if (status)
		return status;
	status = rc_data_file_open(&f, dir, "popular", err);
	if (status)
		return status;
	while (!status && rc_data_file_next(&f, err) > 0) {
		if (n == POPULAR_MAX) {
			status = rc_data_file_wrong(&f, err, "more than %d domains", POPULAR_MAX);
			break;
		}
		typo_name_init(&lists->in_order[n++], name_set_get(&lists->popular, f.text));
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
		status = read_list(dir, "disposable-mx", lists, &lists->disposable_mx, err);
	if (!status)
		status = read_list(dir, "free", lists, &lists->free, err);
	if (!status)
		status = read_list(dir, "parked-mx", lists, &lists->parked_mx, err);
	if (!status)
		status = read_list(dir, "do-not-probe", lists, &lists->do_not_probe, err);
	if (!status)
		status = read_popular(dir, lists, err);
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
	name_set_done(&lists->role);
	name_set_done(&lists->disposable);
	name_set_done(&lists->free);
	name_set_done(&lists->do_not_probe);
	name_set_done(&lists->parked_mx);
	name_set_done(&lists->disposable_mx);
	name_set_done(&lists->popular);
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
	return name_set_has(&lists->role, folded, n);
}

bool lists_is_disposable(const struct lists *lists, const char *domain)
{
	return name_set_has_domain(&lists->disposable, domain);
}

bool lists_is_free(const struct lists *lists, const char *domain)
{
	return name_set_has(&lists->free, domain, strlen(domain));
}

bool lists_do_not_probe(const struct lists *lists, const char *domain, const char *mx_host,
			const char *address)
{
	struct net ip;

	if (domain && name_set_has_domain(&lists->do_not_probe, domain))
		return true;
	if (mx_host && name_set_has_domain(&lists->do_not_probe, mx_host))
		return true;
	if (address && lists->n_nets && net_parse(address, &ip))
		for (size_t i = 0; i < lists->n_nets; i++)
			if (net_holds(&lists->nets[i], &ip))
				return true;
	return false;
}

bool lists_is_parked(const struct lists *lists, const char *mx_host)
{
	return name_set_has_domain(&lists->parked_mx, mx_host);
}

bool lists_is_disposable_mx(const struct lists *lists, const char *mx_host)
{
	return name_set_has_domain(&lists->disposable_mx, mx_host) ||
	       name_set_has_domain(&lists->disposable, mx_host);
}

bool lists_is_popular(const struct lists *lists, const char *domain)
{
	return name_set_has(&lists->popular, domain, strlen(domain));
}

/* Somebody has mailboxes there: no slip. */
static bool is_known(const struct lists *lists, const char *domain)
{
	return name_set_has(&lists->popular, domain, strlen(domain)) ||
	       lists_is_free(lists, domain);
}

const char *lists_did_you_mean(const struct lists *lists, const char *domain)
{
	unsigned best_cost = 0, cost;
	const char *best = NULL;
	struct typo_name typed;

	if (!*domain || is_known(lists, domain))
		return NULL;
	typo_name_init(&typed, domain);
	for (size_t i = 0; i < POPULAR_MAX && lists->in_order[i].name; i++)
		if (typo_of_domain(&typed, &lists->in_order[i], &cost) &&
		    (!best || cost < best_cost)) {
			best = lists->in_order[i].name;
			best_cost = cost;
		}
	return best;
}
