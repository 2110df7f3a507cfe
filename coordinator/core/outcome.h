/*
 * outcome - what a report of a sent message says of its recipient: delivered, bounced for a fault
 * of the recipient or the domain, or neither.
 *
 * Pure. The exporter's word gives a kind; where the receiving server's own words are given with it,
 * the rules of data/replies decide whose fault it was.
 */
#ifndef COORDINATOR_CORE_OUTCOME_H
#define COORDINATOR_CORE_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/reply/reply_rules.h"

/* Stored in the stage of an import only. */
enum outcome_kind {
	OUTCOME_UNSET = 0,
	OUTCOME_DELIVERED = 1,
	OUTCOME_BOUNCED = 2, /* decided: for a fault of the recipient or the domain */
	OUTCOME_HARD = 3,    /* the exporter calls it permanent: a bounce, unless the server's words
				speak of something else */
	OUTCOME_SOFT = 4,    /* blocked, soft, expired: none, unless they speak of the recipient */
	OUTCOME_IGNORED = 5  /* says nothing of recipient or domain, or nothing for good */
};

enum { OUTCOME_DIAGNOSTIC_MAX = 1000 }; /* octets that are kept of a server's words */

/* What an exporter's word means ("hard_bounce", "Delivered"; case and separators do not count).
 * UNSET: an unknown word. */
enum outcome_kind outcome_kind_find(const char *word, size_t len);

/* Takes the server's reply out of "smtp; 550 5.1.1 ...", "host mx.x said: 550 ...". False: there is
 * none in it. `ret_text` points into `diagnostic`, behind the codes. */
bool outcome_reply_find(const char *diagnostic, size_t len, unsigned *ret_code,
			char ret_enhanced[16], const char **ret_text, size_t *ret_len);

/* DELIVERED, BOUNCED or IGNORED. `provider` may be NULL; `diagnostic` may be empty. */
enum outcome_kind outcome_decide(const struct rc_rules *rules, const char *provider,
				 enum outcome_kind kind, const char *diagnostic, size_t len);

/*
 * A moment as exports write it: seconds, milliseconds or microseconds since 1970, ISO 8601 (without
 * a zone: UTC), RFC 5322, or DD-MM-YYYY hh:mm:ss; a day alone is its end. False: none of these.
 * Months of slashed dates are anybody's guess, and refused.
 */
bool outcome_time_parse(const char *text, size_t len, int64_t *ret_ms);

/* Lower-case letters and digits of a name: "Email Address" and "email_address" are one. Returns its
 * length; cut at size - 1. */
size_t outcome_name_fold(const char *name, size_t len, char *ret_name, size_t size);

#endif
