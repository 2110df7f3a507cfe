/* An uploaded file in pieces: the same rows, or the same refusal, whatever the pieces. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/http/list.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	uint64_t rows;
	unsigned hash;
	enum rc_status status;
};

static enum rc_status on_row(void *ctx, const struct list_row *row, struct list_fault *fault)
{
	struct seen *seen = ctx;

	(void)fault;
	if (row->n != ++seen->rows)
		abort();
	for (size_t i = 0; i < row->address_len; i++)
		seen->hash = seen->hash * 31 + (unsigned char)row->address[i];
	return RC_OK;
}

static struct seen read_list(const char *data, size_t size, size_t piece)
{
	struct seen seen = { 0, 0, RC_OK };
	struct list_params params;
	struct list_fault fault;

	memset(&params, 0, sizeof(params));
	struct list *list = list_new(&params, on_row, &seen);
	if (!list)
		abort();
	for (size_t at = 0; at < size && seen.status == RC_OK; at += piece)
		seen.status = list_feed(list, data + at, size - at < piece ? size - at : piece, &fault);
	if (seen.status == RC_OK)
		seen.status = list_finish(list, &fault);
	list_free(list);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = read_list((const char *)data, size, size ? size : 1);
	struct seen octets = read_list((const char *)data, size, 1);

	if (whole.status != octets.status || (whole.status == RC_OK && (whole.rows != octets.rows || whole.hash != octets.hash)))
		abort();
	return 0;
}
