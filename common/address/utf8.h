/* utf8 - one step through UTF-8 text, private to this room. RFC 3629: no surrogates, no overlong
 * forms. */
#ifndef RC_ADDRESS_UTF8_H
#define RC_ADDRESS_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Octets of the character at `text` (1 to 4), 0 where there is none. */
size_t rc_utf8_next(const unsigned char *text, size_t len, uint32_t *ret_code);

#endif
