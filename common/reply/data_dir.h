/*
 * data_dir - where the files of data/ are: what an operator may replace, found by every program in
 * the same way.
 *
 * Stateless. Looks at the file system only to see whether `replies` is there.
 */
#ifndef RC_REPLY_DATA_DIR_H
#define RC_REPLY_DATA_DIR_H

#include <limits.h>

/*
 * `configured` (ROLLCALL_RULES_DIR) as it stands; NULL or "": the folder that belongs to the
 * running program, PREFIX/share/rollcall/data for PREFIX/bin, data/ of the source tree for
 * build/PRESET/bin. The last of them where none has a file `replies`: the loader then names it.
 */
void rc_data_dir_find(const char *configured, char ret_dir[PATH_MAX]);

#endif
