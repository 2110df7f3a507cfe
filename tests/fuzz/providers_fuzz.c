/* A provider file of somebody's own, up to a NUL; behind it a host that is looked up. */
#include <stdlib.h>
#include <string.h>

#include "common/reply/providers.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = memchr(text, '\0', size);
	size_t len = end ? (size_t)(end - text) : size;
	struct rc_providers *providers = NULL;
	struct rc_error err = { 0 };
	char host[256] = "mx.example.test";

	if (rc_providers_parse("providers", text, len, &providers, &err) != RC_OK) {
		if (!err.text[0] || providers)
			abort();
		return 0;
	}
	if (end && size - len - 1 < sizeof(host)) {
		memcpy(host, end + 1, size - len - 1);
		host[size - len - 1] = '\0';
	}
	(void)rc_providers_match(providers, host, "example.test");
	(void)rc_providers_match(providers, host, NULL);
	rc_providers_free(providers);
	return 0;
}
