/*
 * outcome_reader - the octets of an export of bounces and deliveries, as outcomes.
 *
 * CSV with a header, or NDJSON; which provider's it is, is known by its columns or members
 * (coordinator/core/outcome_format.h). A record may hold several outcomes (Amazon SES) or none
 * (a blank line). A record that cannot be understood is told of with its column, and the rest goes
 * on; what breaks the file itself (an unclosed quote, no text, no known columns) ends it.
 *
 * Owner: whoever made it; one thread. No I/O. Memory: a window and one record. After an error it
 * takes no more.
 */
#ifndef ROLLCALL_COORDINATOR_HTTP_OUTCOME_READER_H
#define ROLLCALL_COORDINATOR_HTTP_OUTCOME_READER_H

#include <stdint.h>

#include "coordinator/core/outcome.h"
#include "coordinator/http/records.h"

struct outcome_row {
	uint64_t record;     /* from 1, a header counted */
	const char *address; /* local@domain, normalised: the domain an A-label, the local part in
				lower case; no NUL at its end */
	size_t local_len, domain_len;
	enum outcome_kind kind; /* DELIVERED, HARD, SOFT or IGNORED */
	int64_t at_ms;		/* 0: the export does not say */
	const char *diagnostic; /* the server's words; no NUL at its end */
	size_t diagnostic_len;	/* at most OUTCOME_DIAGNOSTIC_MAX */
};

/* A record that was not understood. */
struct outcome_bad {
	uint64_t record; /* from 1, a header counted */
	uint64_t row;	 /* from 1, a header not counted */
	size_t column;	 /* from 1; 0: no one column */
	const char *why; /* a sentence that names nobody */
};

struct outcome_calls {
	void *ctx;
	enum rc_status (*row)(void *ctx, const struct outcome_row *row, struct rc_error *err);
	enum rc_status (*bad)(void *ctx, const struct outcome_bad *bad, struct rc_error *err);
};

struct outcome_reader;

/* `format`: the export's name, NULL: look. `now_ms`: outcomes of the future are not believed. NULL
 * when out of memory. */
struct outcome_reader *outcome_reader_new(const char *format, int64_t now_ms,
					  const struct outcome_calls *calls);
/* Takes NULL. */
void outcome_reader_free(struct outcome_reader *reader);
enum rc_status outcome_reader_feed(struct outcome_reader *reader, const char *data, size_t len,
				   struct list_fault *fault) RC_MUST_CHECK;
/* An empty file is refused here. */
enum rc_status outcome_reader_finish(struct outcome_reader *reader,
				     struct list_fault *fault) RC_MUST_CHECK;
/* "sendgrid"; "" before anything was recognised. */
const char *outcome_reader_format(const struct outcome_reader *reader);

#endif
