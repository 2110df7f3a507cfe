/*
 * lists - names that need no probe to be judged: role accounts, disposable and free domains, mail
 * servers of parked domains, domains that many people have, and whom nobody may probe.
 *
 * Loaded once from data/ (role, disposable, disposable-mx, free, parked-mx, popular, do-not-probe),
 * read only afterwards, from any number of threads. Loading fails with file, line and reason;
 * looking up cannot.
 */
#ifndef COORDINATOR_CORE_LISTS_H
#define COORDINATOR_CORE_LISTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/status.h"

struct lists;

/* Reads the files of the directory. */
enum rc_status lists_load(const char *dir, struct lists **ret_lists,
			  struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void lists_free(struct lists *lists);

/* "Sales", "sales+x": a local part that is a function, not a person. Need not end in NUL. */
bool lists_is_role(const struct lists *lists, const char *local, size_t len);
/* The domain (lower-case A-labels) or one above it is listed. */
bool lists_is_disposable(const struct lists *lists, const char *domain);
/* The domain itself. */
bool lists_is_free(const struct lists *lists, const char *domain);
/* Each may be NULL: the domain or one above it, the MX host likewise, or the address (text, v4 or
 * v6) within a listed CIDR. */
bool lists_do_not_probe(const struct lists *lists, const char *domain, const char *mx_host,
			const char *address);
/* A mail server that stands for domains nobody uses. */
bool lists_is_parked(const struct lists *lists, const char *mx_host);
/* A mail server of somebody who runs disposable domains, listed or not. */
bool lists_is_disposable_mx(const struct lists *lists, const char *mx_host);
/* Very many people have their mailboxes there. */
bool lists_is_popular(const struct lists *lists, const char *domain);
/* The popular domain that this one is probably a slip of; NULL: none, as for one that is popular or
 * free itself. Lives as long as the lists. */
const char *lists_did_you_mean(const struct lists *lists, const char *domain);

#endif
