/*
 * smtp_command - writes SMTP commands, and is the only thing here that does.
 *
 * These seven words are all that exists: nothing that carries a message can be written by any path.
 * An argument with CR, LF, NUL or any octet that is not legal in its place is refused, and the
 * whole group with it: `failed` sticks until smtp_command_clear(). The memory is the caller's
 * buffer in the shard's arena, which grows to what a group needs and is used again for the next.
 */
#ifndef WORKER_CORE_SMTP_COMMAND_H
#define WORKER_CORE_SMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rc_arena;

enum { SMTP_LOCAL_MAX = 64, SMTP_DOMAIN_MAX = 255 };
#define SMTP_LETTER 4096 /* octets of a short letter */

struct smtp_command {
	struct rc_arena *arena;
	char *data; /* the group written so far */
	uint32_t len;
	uint32_t room;
	bool failed; /* an argument that could not be sent safely, or no memory */
};

void smtp_command_init(struct smtp_command *command, struct rc_arena *arena);
void smtp_command_clear(struct smtp_command *command);

/* `helo`: a host name or an address literal. */
void smtp_command_ehlo(struct smtp_command *command, const char *helo);
void smtp_command_helo(struct smtp_command *command, const char *helo);
void smtp_command_starttls(struct smtp_command *command);
/* `from`: an address without angle brackets; empty: the null sender. `letter`: RFC 1870's SIZE is
 * given, as SMTP_LETTER. */
void smtp_command_mail(struct smtp_command *command, const char *from, bool smtputf8, bool letter);
/* The local part as octets, quoted where it is a quoted string. */
void smtp_command_rcpt(struct smtp_command *command, const void *local, size_t local_len,
		       const char *domain, bool smtputf8);
void smtp_command_rset(struct smtp_command *command);
void smtp_command_quit(struct smtp_command *command);

/* Whether such a local part can be sent: atoms and dots in any order, or one quoted string; octets
 * over 127 with SMTPUTF8. */
bool smtp_command_local_ok(const void *local, size_t len, bool smtputf8);
/* Letters, digits, hyphens, underscores and dots, or a literal in brackets. */
bool smtp_command_domain_ok(const char *domain, size_t len);

#endif
