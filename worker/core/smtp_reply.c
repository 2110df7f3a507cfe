/*
 * See smtp_reply.h. RFC 5321, 4.2:
 *
 *   Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *
 * A line feed alone also ends a line, because servers send it; a carriage return alone does not,
 * and is text.
 */
#include "worker/core/smtp_reply.h"

#include <assert.h>
#include <string.h>

#include "common/base/arena.h"

/* Where in a line we are. The first three count the digits of the code. */
enum { CODE = 0, SEPARATOR = 3, SEPARATOR_CR, HEAD, TEXT, TEXT_CR, COMPLETE, BROKEN };

enum { TEXT_FIRST = 256 }; /* most replies fit; the others get all the room at once */

void smtp_reply_init(struct smtp_reply *reply, struct rc_arena *arena)
{
	*reply = (struct smtp_reply){ .arena = arena };
}

void smtp_reply_reset(struct smtp_reply *reply)
{
	char *text = reply->text;
	uint32_t room = reply->room;

	*reply = (struct smtp_reply){ .arena = reply->arena, .text = text, .room = room };
}

static int broken(struct smtp_reply *reply)
{
	reply->at = BROKEN;
	return -1;
}

static bool make_room(struct smtp_reply *reply, size_t len)
{
	size_t room = reply->room || len > TEXT_FIRST ? SMTP_REPLY_TEXT_MAX : TEXT_FIRST;
	char *text = rc_arena_alloc(reply->arena, room);

	if (!text) {
		reply->no_memory = true;
		return false;
	}
	if (reply->text_len)
		memcpy(text, reply->text, reply->text_len);
	reply->text = text;
	reply->room = (uint32_t)room;
	return true;
}

static bool keep(struct smtp_reply *reply, const char *data, size_t len)
{
	size_t room = SMTP_REPLY_TEXT_MAX - reply->text_len;

	if (len > room) {
		reply->cut = true;
		len = room;
	}
	if (len == 0)
		return true;
	if (reply->text_len + len > reply->room && !make_room(reply, reply->text_len + len))
		return false;
	memcpy(reply->text + reply->text_len, data, len);
	reply->text_len += (uint32_t)len;
	return true;
}

/* RFC 3463: class "." subject "." detail, the latter two of 1 to 3 digits; the class is that of the
 * code. */
static bool is_enhanced(const char *head, size_t len, unsigned code)
{
	unsigned dots = 0, digits = 0;

	if (len < 5 || (unsigned)(head[0] - '0') != code / 100 ||
	    (head[0] != '2' && head[0] != '4' && head[0] != '5'))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (head[i] == '.') {
			if (i > 1 && digits == 0)
				return false;
			dots++;
			digits = 0;
		} else if (head[i] < '0' || head[i] > '9' || dots == 0 || ++digits > 3) {
			return false;
		}
	}
	return dots == 2 && digits > 0;
}

/* The first word of the line is over: `c` is what ended it. A status stands apart from the text,
 * all else is text. */
static bool take_head(struct smtp_reply *reply, char c)
{
	size_t len = reply->head_len;

	reply->head_len = 0;
	if ((c == ' ' || c == '\n') && is_enhanced(reply->head, len, reply->code)) {
		if (reply->enhanced[0] == '\0') {
			memcpy(reply->enhanced, reply->head, len);
			reply->enhanced[len] = '\0';
			return true;
		}
		if (strlen(reply->enhanced) == len &&
		    memcmp(reply->enhanced, reply->head, len) == 0)
			return true;
	}
	if (!keep(reply, reply->head, len))
		return false;
	return c != ' ' || keep(reply, " ", 1);
}

/* A line has ended. 1: and with it the reply. */
static int end_line(struct smtp_reply *reply)
{
	if (reply->last) {
		reply->at = COMPLETE;
		return 1;
	}
	if (reply->lines >= SMTP_REPLY_LINES_MAX)
		return broken(reply);
	reply->at = CODE;
	return 0;
}

static int start_line(struct smtp_reply *reply, bool last)
{
	if (reply->line_code < 200 || reply->line_code > 599)
		return broken(reply);
	if (reply->lines && reply->line_code != reply->code)
		return broken(reply);
	reply->code = reply->line_code;
	reply->last = last;
	reply->at = HEAD;
	if (reply->lines++ && !keep(reply, "\n", 1))
		return broken(reply);
	return 0;
}

static void begin(struct smtp_reply *reply)
{
	reply->code = 0;
	reply->cut = false;
	reply->enhanced[0] = '\0';
	reply->text_len = 0;
	reply->octets = 0;
	reply->lines = 0;
	reply->line_code = 0;
	reply->head_len = 0;
	reply->at = CODE;
}

/* One octet of a line before its text. */
static int take_octet(struct smtp_reply *reply, char c)
{
	switch (reply->at) {
	case SEPARATOR:
		if (c == ' ' || c == '-')
			return start_line(reply, c == ' ');
		if (c == '\r') {
			reply->at = SEPARATOR_CR;
			return 0;
		}
		/* fall through */
	case SEPARATOR_CR:
		if (c != '\n' || start_line(reply, true))
			return broken(reply);
		return end_line(reply);
	case HEAD:
		if ((c >= '0' && c <= '9') || c == '.') {
			if (reply->head_len < SMTP_ENHANCED_MAX - 1) {
				reply->head[reply->head_len++] = c;
				return 0;
			}
		} else if (c == '\r') {
			reply->at = TEXT_CR;
			return 0;
		}
		if (!take_head(reply, c))
			return broken(reply);
		if (c == '\n')
			return end_line(reply);
		reply->at = TEXT;
		return c == ' ' || keep(reply, &c, 1) ? 0 : broken(reply);
	case TEXT_CR:
		if (c == '\n')
			return take_head(reply, c) ? end_line(reply) : broken(reply);
		/* The carriage return was text. */
		if (!take_head(reply, '\r') || !keep(reply, "\r", 1))
			return broken(reply);
		if (c == '\r')
			return 0;
		reply->at = TEXT;
		return keep(reply, &c, 1) ? 0 : broken(reply);
	default:
		if (c < '0' || c > '9')
			return broken(reply);
		reply->line_code =
		    (uint16_t)((reply->at == CODE ? 0 : reply->line_code * 10) + (c - '0'));
		reply->at++;
		return 0;
	}
}

int smtp_reply_parse(struct smtp_reply *reply, const char *data, size_t len, size_t *ret_used)
{
	size_t used = 0;
	int result = 0;

	if (reply->at == COMPLETE)
		begin(reply);
	if (reply->at == BROKEN)
		result = -1;
	while (used < len && result == 0) {
		if (reply->at == TEXT) {
			const char *from = data + used;
			const char *end = memchr(from, '\n', len - used);
			size_t run = end ? (size_t)(end - from) : len - used;
			size_t text = run;

			/* The last octet may be half of CR LF. */
			if (text && from[text - 1] == '\r') {
				text--;
				reply->at = TEXT_CR;
			}
			if (!keep(reply, from, text)) {
				result = broken(reply);
				break;
			}
			used += run;
			reply->octets +=
			    (uint32_t)(run < SMTP_REPLY_OCTETS_MAX ? run : SMTP_REPLY_OCTETS_MAX);
			if (end && reply->octets < SMTP_REPLY_OCTETS_MAX) {
				used++;
				reply->octets++;
				reply->at = TEXT;
				result = end_line(reply);
			}
		} else {
			reply->octets++;
			result = take_octet(reply, data[used++]);
		}
		if (result == 0 && reply->octets >= SMTP_REPLY_OCTETS_MAX)
			result = broken(reply);
	}
	*ret_used = used;
	return result;
}

bool smtp_reply_line(const struct smtp_reply *reply, size_t *offset, const char **ret_line,
		     size_t *ret_len)
{
	const char *from, *end;

	if (*offset > reply->text_len || (*offset == reply->text_len && reply->text_len > 0) ||
	    !reply->text)
		return false;
	from = reply->text + *offset;
	end = memchr(from, '\n', reply->text_len - *offset);
	*ret_line = from;
	*ret_len = end ? (size_t)(end - from) : reply->text_len - *offset;
	*offset += *ret_len + 1;
	return true;
}
