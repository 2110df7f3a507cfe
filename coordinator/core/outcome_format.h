/*
 * outcome_format - the exports of mail providers: by which columns one knows them, and which say
 * what.
 *
 * One table for CSV and for JSON: a field is named as the export names it, JSON members with a dot
 * between ("delivery-status.message"); case and separators do not count. Static data, pure.
 */
#ifndef COORDINATOR_CORE_OUTCOME_FORMAT_H
#define COORDINATOR_CORE_OUTCOME_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "coordinator/core/outcome.h"

enum { OUTCOME_NAMES_MAX = 12 };

/* The fields of one outcome. */
enum outcome_field {
	OUTCOME_FIELD_ADDRESS,
	OUTCOME_FIELD_WORD,   /* delivered, bounce ... */
	OUTCOME_FIELD_DETAIL, /* what kind of bounce */
	OUTCOME_FIELD_TIME,
	OUTCOME_FIELD_CODE,	  /* of the server's reply, where it stands apart from its words */
	OUTCOME_FIELD_DIAGNOSTIC, /* the server's words */
	OUTCOME_FIELDS
};

struct outcome_format {
	const char
	    *name; /* "sendgrid"; several rows may share it: kinds of exports of one provider */
	const char *about;			  /* for people */
	const char *signature[OUTCOME_NAMES_MAX]; /* all of these there: it is this one */
	const char
	    *fields[OUTCOME_FIELDS][OUTCOME_NAMES_MAX]; /* the first of these that is there */
	enum outcome_kind every;			/* without a field WORD: each row is that */
};

/* Whether a field is there. */
typedef bool (*outcome_has)(void *ctx, const char *name);

/* The row that fits best, by the order of the table, the generic one last. `name`: only this
 * provider's; NULL: any. NULL: none fits. */
const struct outcome_format *outcome_format_match(const char *name, outcome_has has, void *ctx);
bool outcome_format_known(const char *name);
/* The i-th row, NULL after the last. */
const struct outcome_format *outcome_format_at(size_t i);
/* The address, word or detail of the export as a kind. UNSET: an unknown word. */
enum outcome_kind outcome_format_kind(const struct outcome_format *format, const char *word,
				      size_t word_len, const char *detail, size_t detail_len);

#endif
