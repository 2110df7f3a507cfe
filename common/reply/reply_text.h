/*
 * reply_text - a reply's words made comparable, and the waiting time they ask for. Private to this
 * room; pure.
 */
#ifndef RC_REPLY_REPLY_TEXT_H
#define RC_REPLY_REPLY_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Words as the rules compare them: small letters, Latin ones without accents (those of ISO 8859-1
 * octets too), apostrophes gone ("doesnt"); punctuation, line ends and control octets as one blank,
 * one blank before and behind. Of ASCII signs stay / and #, . within a word and : between digits. A
 * token with an @ reads "@" (an address must not be taken for the server's words), an IPv4 address
 * "#ip". `enhanced` (may be NULL) goes from the beginning of lines. `out` holds `max` octets, at
 * least 8. Returns how many were written.
 */
size_t rc_reply_fold(const char *text, size_t len, const char *enhanced, char *out, size_t max);

/* "try again in 5 minutes", "please come back in 00:04:58", "5 minuten": seconds, at most 172,800;
 * -1: it does not say. Takes a folded text. */
int32_t rc_reply_wait_s(const char *folded, size_t len);

#endif
