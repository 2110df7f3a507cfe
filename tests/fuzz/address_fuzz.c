/* A cell of a list: what is taken for an address can be written into a command without harm, and is stable. */
#include <stdlib.h>
#include <string.h>

#include "common/address/address.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rc_address address, again;
	char text[RC_ADDRESS_SIZE];

	if (rc_address_parse((const char *)data, size, &address) == RC_ADDRESS_OK) {
		size_t len = rc_address_format(&address, text);

		if (strpbrk(text, "\r\n") || strlen(text) != len || len > RC_ADDRESS_MAX)
			abort();
		if (rc_address_parse(text, len, &again) != RC_ADDRESS_OK || strcmp(address.local, again.local) ||
		    strcmp(address.domain, again.domain))
			abort();
	} else if (address.status == RC_ADDRESS_BAD && (!address.reason || address.local[0] || address.domain[0])) {
		abort();
	}
	return 0;
}
