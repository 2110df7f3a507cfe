/*
 * data_file - a text file of data/, read whole and taken line by line.
 *
 * Owner: the loader that opened it. Lines lose their outer blanks and an ending CR; empty lines and
 * lines that begin with # are passed over. Errors come out as "FILE:LINE: reason".
 */
#ifndef RC_REPLY_DATA_FILE_H
#define RC_REPLY_DATA_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/status.h"

enum { RC_DATA_FILE_MAX = 16 << 20, RC_DATA_LINE_MAX = 4096 };

struct rc_data_file {
	const char *name; /* for errors */
	const char *at;	  /* what is not read yet */
	const char *end;
	char *own; /* to free; NULL: parsed from memory */
	char *own_name;
	unsigned line; /* of the last line given, from 1 */
	bool indented; /* it began with a blank: the line before goes on */
	char text[RC_DATA_LINE_MAX];
};

/* Opens `path`, or `path`/`leaf` where it is a directory. */
enum rc_status rc_data_file_open(struct rc_data_file *f, const char *path, const char *leaf,
				 struct rc_error *err) RC_MUST_CHECK;
/* The same over memory that outlives `f`. */
void rc_data_file_init(struct rc_data_file *f, const char *name, const char *data, size_t len);
void rc_data_file_done(struct rc_data_file *f);
/* 1: f->text holds the next line; 0: the end; -1: a line that cannot be taken (too long, NUL),
 * `err` says so. */
int rc_data_file_next(struct rc_data_file *f, struct rc_error *err);
/* RC_INVALID with "FILE:LINE: " before the sentence. */
enum rc_status rc_data_file_wrong(const struct rc_data_file *f, struct rc_error *err,
				  const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
