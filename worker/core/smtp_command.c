/* See smtp_command.h. Grammar: RFC 5321, 4.1.1 and 4.1.2; RFC 6531, 3.3. */
#include "worker/core/smtp_command.h"

#include <string.h>

#include "common/base/arena.h"

#define TEXT(value) #value
#define DIGITS(value) TEXT(value)
#define LETTER DIGITS(SMTP_LETTER)

enum { ROOM_FIRST = 192 }; /* MAIL, a RCPT and the control of an ordinary shard */

void smtp_command_init(struct smtp_command *command, struct rc_arena *arena)
{
	*command = (struct smtp_command){ .arena = arena };
}

void smtp_command_clear(struct smtp_command *command)
{
	command->len = 0;
	command->failed = false;
}

static void put(struct smtp_command *command, const void *data, size_t len)
{
	if (command->failed || len == 0)
		return;
	if (len > command->room - command->len) {
		size_t room = command->room ? command->room : ROOM_FIRST;
		char *grown;

		while (room < command->len + len)
			room *= 2;
		grown = rc_arena_alloc(command->arena, room);
		if (!grown) {
			command->failed = true;
			return;
		}
		if (command->len)
			memcpy(grown, command->data, command->len);
		command->data = grown;
		command->room = (uint32_t)room;
	}
	memcpy(command->data + command->len, data, len);
	command->len += (uint32_t)len;
}

static void put_text(struct smtp_command *command, const char *text)
{
	put(command, text, strlen(text));
}

static bool is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 5322, 3.2.3: atext. */
static bool is_atext(unsigned char c)
{
	return is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* RFC 3629: every octet over 127 is part of a well-formed sequence. */
static bool is_utf8(const unsigned char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned more = s[i] < 0x80		       ? 0
				: s[i] >= 0xc2 && s[i] <= 0xdf ? 1
				: (s[i] & 0xf0) == 0xe0	       ? 2
							       : 3;

		if (more == 0)
			continue;
		if (s[i] < 0xc2 || s[i] > 0xf4 || more >= len - i)
			return false;
		if ((s[i] == 0xe0 && s[i + 1] < 0xa0) || (s[i] == 0xed && s[i + 1] > 0x9f) ||
		    (s[i] == 0xf0 && s[i + 1] < 0x90) || (s[i] == 0xf4 && s[i + 1] > 0x8f))
			return false;
		for (; more; more--)
			if ((s[++i] & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static bool is_quoted(const unsigned char *s, size_t len, bool smtputf8)
{
	if (len < 2 || s[0] != '"' || s[len - 1] != '"')
		return false;
	for (size_t i = 1; i < len - 1; i++) {
		if (s[i] == '\\') {
			/* What is escaped must stand before the closing quote. */
			if (++i >= len - 1 || s[i] < ' ' || s[i] > '~')
				return false;
		} else if (s[i] < ' ' || s[i] == '"' || s[i] == 0x7f || (s[i] > '~' && !smtputf8)) {
			return false;
		}
	}
	return true;
}

bool smtp_command_local_ok(const void *local, size_t len, bool smtputf8)
{
	const unsigned char *s = local;

	if (len < 1 || len > SMTP_LOCAL_MAX || (smtputf8 && !is_utf8(s, len)))
		return false;
	if (s[0] == '"')
		return is_quoted(s, len, smtputf8);
	for (size_t i = 0; i < len; i++)
		if (!is_atext(s[i]) && s[i] != '.' && !(s[i] >= 0x80 && smtputf8))
			return false;
	return true;
}

bool smtp_command_domain_ok(const char *domain, size_t len)
{
	bool literal = len > 2 && domain[0] == '[' && domain[len - 1] == ']';

	if (len < 1 || len > SMTP_DOMAIN_MAX)
		return false;
	for (size_t i = literal; i < len - literal; i++) {
		unsigned char c = (unsigned char)domain[i];

		if (!is_alnum(c) && c != '-' && c != '.' && c != '_' && !(literal && c == ':'))
			return false;
	}
	return true;
}

static void greet(struct smtp_command *command, const char *word, const char *helo)
{
	if (!smtp_command_domain_ok(helo, strlen(helo))) {
		command->failed = true;
		return;
	}
	put_text(command, word);
	put_text(command, helo);
	put(command, "\r\n", 2);
}

void smtp_command_ehlo(struct smtp_command *command, const char *helo)
{
	greet(command, "EHLO ", helo);
}

void smtp_command_helo(struct smtp_command *command, const char *helo)
{
	greet(command, "HELO ", helo);
}

void smtp_command_starttls(struct smtp_command *command)
{
	put_text(command, "STARTTLS\r\n");
}

void smtp_command_mail(struct smtp_command *command, const char *from, bool smtputf8, bool letter)
{
	size_t len = strlen(from);
	const char *at = strrchr(from, '@');

	if (len && (!at || !smtp_command_local_ok(from, (size_t)(at - from), false) ||
		    !smtp_command_domain_ok(at + 1, strlen(at + 1)))) {
		command->failed = true;
		return;
	}
	put_text(command, "MAIL FROM:<");
	put(command, from, len);
	put(command, ">", 1);
	if (letter)
		put_text(command, " SIZE=" LETTER);
	put_text(command, smtputf8 ? " SMTPUTF8\r\n" : "\r\n");
}

void smtp_command_rcpt(struct smtp_command *command, const void *local, size_t local_len,
		       const char *domain, bool smtputf8)
{
	size_t domain_len = strlen(domain);

	if (!smtp_command_local_ok(local, local_len, smtputf8) ||
	    !smtp_command_domain_ok(domain, domain_len)) {
		command->failed = true;
		return;
	}
	put_text(command, "RCPT TO:<");
	put(command, local, local_len);
	put(command, "@", 1);
	put(command, domain, domain_len);
	put_text(command, ">\r\n");
}

void smtp_command_rset(struct smtp_command *command)
{
	put_text(command, "RSET\r\n");
}

void smtp_command_quit(struct smtp_command *command)
{
	put_text(command, "QUIT\r\n");
}
