/* An export of bounces in pieces: the same outcomes and the same bad rows, or the same refusal, whatever the pieces. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/http/outcome_reader.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	uint64_t rows, bad;
	unsigned hash;
	enum rc_status status;
};

static void add(struct seen *seen, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		seen->hash = seen->hash * 31 + (unsigned char)text[i];
}

static enum rc_status on_row(void *ctx, const struct outcome_row *row, struct rc_error *err)
{
	struct seen *seen = ctx;
	const char *text;
	char enhanced[16];
	unsigned code;
	size_t len;

	(void)err;
	if (row->diagnostic_len > OUTCOME_DIAGNOSTIC_MAX || row->kind == OUTCOME_UNSET || !row->local_len || !row->domain_len)
		abort();
	if (outcome_reply_find(row->diagnostic, row->diagnostic_len, &code, enhanced, &text, &len) &&
	    (code < 200 || code > 599 || text < row->diagnostic || text + len != row->diagnostic + row->diagnostic_len))
		abort();
	seen->rows++;
	seen->hash = seen->hash * 31 + (unsigned)row->kind + (unsigned)row->at_ms;
	add(seen, row->address, row->local_len + row->domain_len);
	add(seen, row->diagnostic, row->diagnostic_len);
	return RC_OK;
}

static enum rc_status on_bad(void *ctx, const struct outcome_bad *bad, struct rc_error *err)
{
	struct seen *seen = ctx;

	(void)err;
	if (bad->record == 0 || bad->row == 0)
		abort();
	seen->bad++;
	add(seen, bad->why, strlen(bad->why));
	return RC_OK;
}

static struct seen read_all(const char *data, size_t size, size_t piece)
{
	struct seen seen = { 0, 0, 0, RC_OK };
	const struct outcome_calls calls = { .ctx = &seen, .row = on_row, .bad = on_bad };
	struct outcome_reader *reader = outcome_reader_new(NULL, 1800000000000, &calls);
	struct list_fault fault;

	if (!reader)
		abort();
	for (size_t at = 0; at < size && seen.status == RC_OK; at += piece)
		seen.status = outcome_reader_feed(reader, data + at, size - at < piece ? size - at : piece, &fault);
	if (seen.status == RC_OK)
		seen.status = outcome_reader_finish(reader, &fault);
	outcome_reader_free(reader);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = read_all((const char *)data, size, size ? size : 1);
	struct seen octets = read_all((const char *)data, size, 1);

	if (whole.status != octets.status ||
	    (whole.status == RC_OK && (whole.rows != octets.rows || whole.bad != octets.bad || whole.hash != octets.hash)))
		abort();
	return 0;
}
