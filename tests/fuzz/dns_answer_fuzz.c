/* A resolver's octets, read as the answer to each kind of question. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "worker/core/dns_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_A, DNS_MX, DNS_AAAA, DNS_PTR, DNS_TXT };
	static struct dns_answer answer;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		dns_answer_parse(data, size, "example.test", types[i], &answer);
		if (!answer.state || answer.mx_n > DNS_MX_MAX || answer.ip_n > DNS_IP_MAX)
			abort();
	}
	return 0;
}
