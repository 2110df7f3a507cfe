/* Networks that an operator allows: refused with the piece that is bad, or none that contains
 * nobody. */
#include <stdlib.h>
#include <string.h>

#include "common/address/target.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rc_target_list list;
	struct rc_error err = { 0 };
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (rc_target_list_parse(text, &list, &err) != RC_OK) {
		if (!err.text[0])
			abort();
	} else {
		for (size_t i = 0; i < list.count; i++)
			if (!rc_target_listed(&list, list.ranges[i].family,
					      list.ranges[i].octets) ||
			    list.ranges[i].bits > (list.ranges[i].family == 4 ? 32 : 128))
				abort();
	}
	free(text);
	return 0;
}
