/*
 * rows - writes the list that is to be verified, and the truth about it.
 *
 * Both have one record for each row of the world, in its order. RC_UNAVAILABLE names the file that
 * could not be written.
 */
#ifndef MAILWORLD_ROWS_H
#define MAILWORLD_ROWS_H

#include "common/base/status.h"
#include "tests/mailworld/world.h"

/* email,name,company,note: with quoted cells, commas in cells, outer blanks, capitals, duplicates,
 * empty lines. */
enum rc_status mw_rows_write_list(const struct mw_world *world, const char *path,
				  struct rc_error *err) RC_MUST_CHECK;
/* row,email,status,reason,behaviour */
enum rc_status mw_rows_write_truth(const struct mw_world *world, const char *path,
				   struct rc_error *err) RC_MUST_CHECK;
/* For bench-prober: "ADDRESS HELO MAIL-FROM RECIPIENT..." of each domain behind a living MX, with
 * up to 100 accepted rows. */
enum rc_status mw_rows_write_targets(const struct mw_world *world, const char *path,
				     struct rc_error *err) RC_MUST_CHECK;

#endif
