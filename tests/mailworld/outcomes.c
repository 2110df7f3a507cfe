/* See outcomes.h. */
#include "tests/mailworld/outcomes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { OTHERS_PERMILLE = 600, BLOCKED_PERMILLE = 40 };

/* Of 1,000 mailboxes that end so, how many take a message; and what a bounce says: "": the sender's
 * own server gave up. The shares are made up, and meant to differ from anybody's guess. */
static const struct {
	const char *behaviour, *reason; /* NULL: any */
	unsigned permille;
	const char *bounce;
} ends[] = {
	{ "yahoo", NULL, 850,
	  "554 delivery error: dd This user doesn't have a yahoo.com account [0]" },
	{ "aol", NULL, 560,
	  "554 delivery error: dd This user doesn't have an aol.com account [0]" },
	{ NULL, "mailbox_accepted", 970, "550 5.1.1 User unknown" },
	{ NULL, "mailbox_forwarded", 900, "550 5.1.1 User unknown" },
	{ NULL, "role_account", 985, "550 5.1.1 User unknown" },
	{ NULL, "domain_accepts_all", 420, "550 5.1.1 No such user here" },
	{ NULL, "provider_accepts_all", 700, "550 5.1.1 No such user here" },
	{ NULL, "cannot_verify", 480, "550 5.1.1 User unknown" },
	{ NULL, "mailbox_full", 110, "552 5.2.2 Mailbox full" },
	{ NULL, "mailbox_disabled", 15, "550 5.2.1 The mailbox is disabled" },
	{ NULL, "mailbox_not_found", 5, "550 5.1.1 User unknown" },
	{ NULL, "mailbox_not_local", 10, "551 5.1.6 User not local" },
	{ NULL, "mailbox_name_not_allowed", 10, "553 5.1.3 Mailbox name not allowed" },
	{ NULL, "mailbox_unverified", 300, "550 5.1.1 User unknown" },
	{ NULL, "policy_rejected", 820, "550 5.1.1 User unknown" },
	{ NULL, "ip_blocked", 860, "550 5.1.1 User unknown" },
	{ NULL, "auth_required", 350, "550 5.1.1 User unknown" },
	{ NULL, "rejects_all", 100, "550 5.1.1 User unknown" },
	{ NULL, "greylisted", 800, "550 5.1.1 User unknown" },
	{ NULL, "connection_failed", 0, "" },
	{ NULL, "dns_failure", 30, "" },
	{ NULL, "domain_not_found", 0, "" },
	{ NULL, "no_mail_server", 0, "" },
	{ NULL, "null_mx", 0, "" },
	{ NULL, "mx_unroutable", 0, "" },
	{ NULL, "mx_refuses_domain", 0, "" },
};

static void write_one(FILE *file, const struct mw_world *world, size_t n)
{
	const struct mw_row *row = &world->rows[n];
	const char *reason = mw_row_reason(world, row),
		   *behaviour = mw_behaviours[row->behaviour].name,
		   *bounce = "550 5.1.1 User unknown";
	unsigned permille = OTHERS_PERMILLE;
	uint64_t fate;
	bool delivered, blocked;

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		if ((ends[i].behaviour && strcmp(ends[i].behaviour, behaviour) != 0) ||
		    (ends[i].reason && strcmp(ends[i].reason, reason) != 0))
			continue;
		permille = ends[i].permille;
		bounce = ends[i].bounce;
		break;
	}
	fate = mw_hash_mix(mw_hash_fold(row->local, strlen(row->local), row->domain), world->seed);
	delivered = fate % 1000 < permille;
	blocked = (fate >> 32) % 1000 < BLOCKED_PERMILLE;
	fprintf(file, "%zu,\"", n + 1);
	for (const char *p = row->local; *p; p++) {
		if (*p == '"')
			putc('"', file);
		putc(*p, file);
	}
	fprintf(file, "@%s\",%s,%s,%s\n", world->domains[row->domain].name,
		blocked	    ? "blocked"
		: delivered ? "delivered"
			    : "hard_bounce",
		blocked	    ? "550 5.7.1 Message content rejected as spam"
		: delivered ? ""
			    : bounce,
		delivered ? "true" : "false");
}

enum rc_status mw_outcomes_write(const struct mw_world *world, const char *path,
				 struct rc_error *err)
{
	FILE *file = fopen(path, "w");
	bool failed;

	if (!file)
		return rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", path,
				    strerror(errno));
	fputs("row,address,outcome,diagnostic,deliverable\n", file);
	for (size_t i = 0; i < world->row_count; i++)
		if (world->rows[i].domain != MW_NONE)
			write_one(file, world, i);
	failed = ferror(file);
	failed |= fclose(file) != 0;
	return failed
		   ? rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", path, strerror(errno))
		   : RC_OK;
}
