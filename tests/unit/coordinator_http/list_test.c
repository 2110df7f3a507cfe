/* What an uploaded list may look like: taken or refused, and the same however the octets are cut.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "coordinator/http/list.h"

struct list_case {
	const char *name;
	const char *input;
	size_t len; /* 0: strlen */
	enum records_format format;
	char delimiter;
	const char *column;
	enum list_header header;
	const char *expect;  /* "columns|address column|address,address..." or NULL */
	const char *refused; /* part of the sentence */
	uint64_t record;
	size_t fault_column;
};

#define CSV .format = RECORDS_CSV, .delimiter = ','
#define TXT .format = RECORDS_TXT, .delimiter = ','
#define NDJSON .format = RECORDS_NDJSON, .delimiter = ','

static const struct list_case cases[] = {
	{ "header and rows", "name,email\nA,a@x.test\nB,b@x.test\n", CSV,
	  .expect = "name;email|2|a@x.test,b@x.test" },
	{ "no line end at the end", "email\na@x.test", CSV, .expect = "email|1|a@x.test" },
	{ "CRLF", "email,n\r\na@x.test,1\r\nb@x.test,2\r\n", CSV,
	  .expect = "email;n|1|a@x.test,b@x.test" },
	{ "lone CR", "email,n\ra@x.test,1\rb@x.test,2\r", CSV,
	  .expect = "email;n|1|a@x.test,b@x.test" },
	{ "mixed ends", "email\na@x.test\rb@x.test\r\nc@x.test", CSV,
	  .expect = "email|1|a@x.test,b@x.test,c@x.test" },
	{ "BOM",
	  "\xef\xbb\xbf"
	  "email\na@x.test\n",
	  CSV, .expect = "email|1|a@x.test" },
	{ "blank lines are rows", "email\n\na@x.test\n  \n\r\nb@x.test\n\n", CSV,
	  .expect = "email|1|,a@x.test,,,b@x.test," },
	{ "blank lines, lone CR", "email\r\ra@x.test\r\r", CSV, .expect = "email|1|,a@x.test," },
	{ "blank before the header", "\nemail\na@x.test\n", CSV, .expect = "email|1|,a@x.test" },
	{ "no header", "a@x.test,1\nb@x.test,2\n", CSV,
	  .expect = "email;column_2|1|a@x.test,b@x.test" },
	{ "header=no", "foo\na@x.test\n", CSV, .header = LIST_HEADER_NO,
	  .expect = "email|1|foo,a@x.test" },
	{ "header=yes", "a@x.test\nb@x.test\n", CSV, .header = LIST_HEADER_YES,
	  .expect = "a@x.test|1|b@x.test" },
	{ "outer blanks", "email\n  a@x.test \t\n\" b@x.test \"\n", CSV,
	  .expect = "email|1|a@x.test,b@x.test" },
	{ "by name", "mail,x\n1@x.test,a@x.test\n", CSV, .expect = "mail;x|1|1@x.test" },
	{ "names in order", "mail,E-Mail\n1@x.test,a@x.test\n", CSV,
	  .expect = "mail;E-Mail|2|a@x.test" },
	{ "by column name", "one,two\na@x.test,b@x.test\n", CSV, .column = "two",
	  .expect = "one;two|2|b@x.test" },
	{ "by column number", "one,two\na@x.test,b@x.test\n", CSV, .column = "1",
	  .expect = "one;two|1|a@x.test" },
	{ "by most @", "one,two\nx,a@x.test\ny@x.test,b@x.test\n", CSV,
	  .expect = "one;two|2|a@x.test,b@x.test" },
	{ "quotes",
	  "n,email\n\"a \"\"b\"\", c\",a@x.test\n\"two\nlines\",b@x.test\n\"cr\r\nlf\",c@x.test\n",
	  CSV, .expect = "n;email|2|a@x.test,b@x.test,c@x.test" },
	{ "short record", "n,email\n1\n2,a@x.test\n", CSV, .expect = "n;email|2|,a@x.test" },
	{ "long record", "email,n\na@x.test,1,2,3\n", CSV,
	  .expect = "email;n;column_3;column_4|1|a@x.test" },
	{ "empty cells at the end", "email,n\na@x.test,1,,\n", CSV,
	  .expect = "email;n|1|a@x.test" },
	{ "no address is a row", "email\nnobody\n", CSV, .expect = "email|1|nobody" },
	{ "UTF-8", "email\nj\xc3\xb6rg@x.test\n\xf0\x9f\x98\x80@x.test\n", CSV,
	  .expect = "email|1|j\xc3\xb6rg@x.test,\xf0\x9f\x98\x80@x.test" },
	{ "semicolon", "name;email\nA;a@x.test\n", .format = RECORDS_CSV, .delimiter = ';',
	  .expect = "name;email|2|a@x.test" },
	{ "tab", "name\temail\nA\ta@x.test\n\tb@x.test\n", .format = RECORDS_CSV, .delimiter = '\t',
	  .expect = "name;email|2|a@x.test,b@x.test" },
	{ "text", "a@x.test\n\n\"q u\"@x.test\r\n b@x.test ", TXT,
	  .expect = "email|1|a@x.test,,\"q u\"@x.test,b@x.test" },
	{ "text with a header", "email\na@x.test\n", TXT, .expect = "email|1|a@x.test" },
	{ "ndjson",
	  "{\"id\":1,\"email\":\"a@x.test\"}\n\n{\"email\":\" "
	  "b@x.test\",\"z\":2}\n{\"email\":null}\n{\"email\":7}\n",
	  NDJSON, .expect = "id;email;z|2|a@x.test,,b@x.test,,?" },
	{ "ndjson, most @", "{\"a\":\"x\",\"b\":\"a@x.test\"}\n", NDJSON,
	  .expect = "a;b|2|a@x.test" },
	{ "ndjson, a number that is too big",
	  "{\"n\":123456789012345678901234567890,\"email\":\"a@x.test\"}", NDJSON,
	  .expect = "n;email|2|a@x.test" },

	{ "empty file", "", CSV, .refused = "empty" },
	{ "only a BOM", "\xef\xbb\xbf", CSV, .refused = "empty" },
	{ "header only", "name,email\n", CSV, .refused = "header and no rows" },
	{ "missing column", "a,b\n1@x.test,2\n", CSV, .column = "c",
	  .refused = "no column \"c\" (the columns are: a, b)", .record = 1 },
	{ "no such number", "a,b\n1@x.test,2\n", CSV, .column = "3", .refused = "no column \"3\"",
	  .record = 1 },
	{ "no addresses", "a,b\n1,2\n", CSV, .refused = "no column holds addresses", .record = 1 },
	{ "tie", "a,b\n1@x.test,2@x.test\n", CSV, .refused = "more than one column", .record = 1 },
	{ "unclosed quote", "n,email\n1,a@x.test\n2,\"b@x.test\n3,c@x.test\n", CSV,
	  .refused = "never closed", .record = 3, .fault_column = 2 },
	{ "quote in a cell", "n,email\n1,a\"b@x.test\n", CSV,
	  .refused = "quote stands where none may", .record = 2, .fault_column = 2 },
	{ "quote that closes too early", "email\n\"a\"b@x.test\n", CSV, .refused = "quote stands",
	  .record = 2, .fault_column = 1 },
	{ "NUL", "n,email\n1,a@x\0.test\n", sizeof("n,email\n1,a@x\0.test\n") - 1, CSV,
	  .refused = "NUL", .record = 2, .fault_column = 2 },
	{ "Latin-1", "email,n\na@x.test,J\xf6rg\n", CSV, .refused = "(0xF6) is not UTF-8",
	  .record = 2, .fault_column = 2 },
	{ "overlong", "email\n\xc0\xaf@x.test\n", CSV, .refused = "not UTF-8", .record = 2,
	  .fault_column = 1 },
	{ "surrogate", "email\n\xed\xa0\x80@x.test\n", CSV, .refused = "not UTF-8", .record = 2,
	  .fault_column = 1 },
	{ "cut character", "email\nb@x.test\xc3", CSV, .refused = "not UTF-8", .record = 2,
	  .fault_column = 1 },
	{ "UTF-16",
	  "\xff\xfe"
	  "e\0m\0",
	  6, CSV, .refused = "UTF-16", .record = 1, .fault_column = 1 },
	{ "UTF-16 without a BOM", "e\0m\0a\0", 6, CSV, .refused = "UTF-16", .record = 1,
	  .fault_column = 1 },
	{ "xlsx", "PK\003\004\024\0\0\0", 8, CSV, .refused = "save the sheet as CSV", .record = 1,
	  .fault_column = 1 },
	{ "JSON array", "[ {\"email\": \"a@x.test\"}\n]\n", CSV, .refused = "JSON array",
	  .record = 1, .fault_column = 1 },
	{ "ndjson, broken", "{\"email\":\"a@x.test\"}\n{\"email\":\n", NDJSON,
	  .refused = "not JSON", .record = 2, .fault_column = 9 },
	{ "ndjson, no object", "{\"email\":\"a@x.test\"}\n[1]\n", NDJSON,
	  .refused = "not a JSON object", .record = 2, .fault_column = 1 },
};

static enum rc_status on_row(void *ctx, const struct list_row *row, struct list_fault *fault)
{
	struct rc_buf *seen = ctx;

	(void)fault;
	if (row->n > 1)
		rc_buf_addstr(seen, ",");
	rc_buf_add(seen, row->address, row->address_len);
	return RC_OK;
}

static void check(const struct list_case *c, size_t split, size_t window)
{
	struct list_params params = {
		.records = { .format = c->format, .delimiter = c->delimiter, .window = window },
		.header = c->header,
		.column = c->column
	};
	size_t len = c->len ? c->len : strlen(c->input);
	struct list_fault fault = { .record = 0 };
	struct rc_buf seen, got;
	struct list *list;
	enum rc_status status = RC_OK;

	rc_buf_init(&seen, 0);
	rc_buf_init(&got, 0);
	list = list_new(&params, on_row, &seen);
	assert_non_null(list);
	if (split == SIZE_MAX) {
		for (size_t i = 0; status == RC_OK && i < len; i++)
			status = list_feed(list, c->input + i, 1, &fault);
	} else {
		status = list_feed(list, c->input, split, &fault);
		if (status == RC_OK)
			status = list_feed(list, c->input + split, len - split, &fault);
	}
	if (status == RC_OK)
		status = list_finish(list, &fault);
	if (c->refused) {
		if (status != RC_INVALID || !strstr(fault.error.text, c->refused) ||
		    fault.record != c->record || fault.column != c->fault_column)
			fail_msg("%s, cut at %zu: status %d, record %llu, column %zu: %s", c->name,
				 split, (int)status, (unsigned long long)fault.record, fault.column,
				 fault.error.text);
	} else {
		const char *const *names;
		size_t count;

		if (status != RC_OK)
			fail_msg("%s, cut at %zu: %s", c->name, split, fault.error.text);
		names = list_columns(list, &count);
		for (size_t i = 0; i < count; i++)
			rc_buf_printf(&got, "%s%s", i ? ";" : "", names[i]);
		rc_buf_printf(&got, "|%zu|", list_address_column(list));
		rc_buf_add(&got, seen.data ? seen.data : "", seen.len);
		if (strcmp(got.data, c->expect) != 0)
			fail_msg("%s, cut at %zu: %s", c->name, split, got.data);
	}
	list_free(list);
	rc_buf_done(&seen);
	rc_buf_done(&got);
}

static void test_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = cases[i].len ? cases[i].len : strlen(cases[i].input);

		for (size_t split = 0; split <= len; split++) {
			check(&cases[i], split, 0);
			check(&cases[i], split, 4);
		}
		check(&cases[i], SIZE_MAX, 4);
	}
}

static void looks_like(const char *input, enum records_format format, char delimiter)
{
	struct list_params params = { .header = LIST_HEADER_LOOK };
	struct list_fault fault;
	struct rc_buf seen;
	struct list *list;

	rc_buf_init(&seen, 0);
	list = list_new(&params, on_row, &seen);
	assert_int_equal(list_feed(list, input, strlen(input), &fault), RC_OK);
	assert_int_equal(list_finish(list, &fault), RC_OK);
	assert_int_equal(list_format(list), format);
	if (delimiter)
		assert_int_equal(list_delimiter(list), delimiter);
	list_free(list);
	rc_buf_done(&seen);
}

static void test_format_is_seen(void **state)
{
	(void)state;
	looks_like("email\na@x.test\n", RECORDS_TXT, 0);
	looks_like("a@x.test\n\"q r\"@x.test\n", RECORDS_TXT, 0);
	looks_like("name,email\nA,a@x.test\n", RECORDS_CSV, ',');
	looks_like("name;email\n\"A, B\";a@x.test\n", RECORDS_CSV, ';');
	looks_like("name\temail\nA\ta@x.test\n", RECORDS_CSV, '\t');
	looks_like("\"email\"\n\"a@x.test\"\n", RECORDS_CSV, ',');
	looks_like("\n {\"email\":\"a@x.test\"}\n", RECORDS_NDJSON, 0);
}

/* Feeds "email\n", `count` times `text`, `tail`. */
static enum rc_status feed_long(const char *head, char fill, size_t count, const char *tail,
				struct list_fault *fault, uint64_t *ret_rows)
{
	struct list_params params = { .records = { .format = RECORDS_CSV, .delimiter = ',' } };
	char *block = malloc(count);
	struct rc_buf seen;
	struct list *list;
	enum rc_status status;

	rc_buf_init(&seen, 0);
	memset(block, fill, count);
	list = list_new(&params, on_row, &seen);
	status = list_feed(list, head, strlen(head), fault);
	for (size_t at = 0; status == RC_OK && at < count; at += 10000)
		status =
		    list_feed(list, block + at, count - at < 10000 ? count - at : 10000, fault);
	if (status == RC_OK)
		status = list_feed(list, tail, strlen(tail), fault);
	if (status == RC_OK)
		status = list_finish(list, fault);
	if (status == RC_OK)
		*ret_rows = list_rows(list);
	list_free(list);
	rc_buf_done(&seen);
	free(block);
	return status;
}

static void test_long_lines(void **state)
{
	struct list_fault fault;
	uint64_t rows = 0;

	(void)state;
	assert_int_equal(
	    feed_long("email\na@x.test\n", 'x', 1000000, "@x.test\nb@x.test\n", &fault, &rows),
	    RC_OK);
	assert_int_equal(rows, 3);
	assert_int_equal(feed_long("email\na@x.test\n", 'x', 2000000, "\n", &fault, &rows),
			 RC_INVALID);
	assert_int_equal(fault.record, 3);
	assert_int_equal(fault.row, 2);
	assert_non_null(strstr(fault.error.text, "longer than 1 MiB"));
	assert_int_equal(feed_long("n,email\n1,\"a@x.test\n", '\n', 2000000, "\n", &fault, &rows),
			 RC_INVALID);
	assert_int_equal(fault.record, 2);
	assert_int_equal(fault.column, 2);
	assert_non_null(strstr(fault.error.text, "not closed"));
	/* Half a million blank rows, of which the first thousand were kept back. */
	assert_int_equal(feed_long("email\na@x.test\n", '\n', 500000, "b@x.test\n", &fault, &rows),
			 RC_OK);
	assert_int_equal(rows, 500002);
	assert_int_equal(feed_long("email\na@x.test\n", '\r', 500000, "b@x.test\n", &fault, &rows),
			 RC_OK);
	assert_int_equal(rows, 500002);
}

static void test_fault_in_row(void **state)
{
	struct list_params params = { .records = { .format = RECORDS_CSV, .delimiter = ',' } };
	const char *input = "email\na@x.test\nb@x.test\n\xff\n";
	struct list_fault fault;
	struct rc_buf seen;
	struct list *list;

	(void)state;
	rc_buf_init(&seen, 0);
	list = list_new(&params, on_row, &seen);
	assert_int_equal(list_feed(list, input, strlen(input), &fault), RC_OK);
	assert_int_equal(list_finish(list, &fault), RC_INVALID);
	assert_int_equal(fault.record, 4);
	assert_int_equal(fault.row, 3);
	list_free(list);
	rc_buf_done(&seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_format_is_seen),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_fault_in_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
