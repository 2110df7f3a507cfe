/*
 * worldfile - reads a world that a person wrote (README.md has the format) and adds it to a world.
 *
 * RC_INVALID names the file and line; the world is then not to be used.
 */
#ifndef MAILWORLD_WORLDFILE_H
#define MAILWORLD_WORLDFILE_H

#include "common/base/status.h"
#include "tests/mailworld/world.h"

enum rc_status mw_worldfile_read(struct mw_world *world, const char *path,
				 struct rc_error *err) RC_MUST_CHECK;

#endif
