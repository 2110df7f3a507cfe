/*
 * smtp_reply - takes the octets of an SMTP server apart into replies (RFC 5321, 4.2; RFC 3463).
 *
 * Pure. Embedded in its session; the text kept of a reply stands in one buffer of the shard's
 * arena, taken when the first reply arrives and used again for each. Caps: 2,048 octets of text
 * kept, 64 KiB and 100 lines a reply. Not thread-safe. What is no reply is an error that sticks
 * until smtp_reply_reset(); nothing that a server sends can do more than that.
 */
#ifndef WORKER_CORE_SMTP_REPLY_H
#define WORKER_CORE_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rc_arena;

enum {
	SMTP_REPLY_TEXT_MAX = 2048,    /* octets kept; more sets `cut` */
	SMTP_REPLY_OCTETS_MAX = 65536, /* of one reply, codes and line ends counted */
	SMTP_REPLY_LINES_MAX = 100,
	SMTP_ENHANCED_MAX = 12 /* "5.123.456" and NUL */
};

struct smtp_reply {
	uint16_t code;			  /* 200 to 599; valid once smtp_reply_parse() said 1 */
	bool cut;			  /* the server said more than was kept */
	char enhanced[SMTP_ENHANCED_MAX]; /* "" where none came, or one of another class than the
					     code */
	uint32_t text_len;
	char *text; /* word for word without the codes, lines joined by \n; no NUL behind it */

	/* private */
	struct rc_arena *arena;
	uint32_t room; /* of text */
	uint32_t octets;
	uint16_t lines;
	uint8_t at; /* where in a line: see the .c */
	bool last;  /* this line is the last of its reply */
	uint16_t line_code;
	uint8_t head_len;
	char head[SMTP_ENHANCED_MAX]; /* what may be an enhanced status, until that is known */
	bool no_memory;
};

void smtp_reply_init(struct smtp_reply *reply, struct rc_arena *arena);
/* Ready for another connection; the buffer is kept. */
void smtp_reply_reset(struct smtp_reply *reply);

/*
 * Takes up to `len` octets, at most to the end of one reply; `*ret_used` says how many.
 * 1: a reply is complete and stands until the next call. 0: all taken, more is needed. -1: this is
 * no reply, or one over its caps, or (reply->no_memory) there was no room to keep it.
 */
int smtp_reply_parse(struct smtp_reply *reply, const char *data, size_t len, size_t *ret_used);

/* The next line of the kept text from `*offset` on, which moves behind it. False: no more. */
bool smtp_reply_line(const struct smtp_reply *reply, size_t *offset, const char **ret_line,
		     size_t *ret_len);

#endif
