/* See data_file.h. */
#include "common/reply/data_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum rc_status rc_data_file_open(struct rc_data_file *f, const char *path, const char *leaf,
				 struct rc_error *err)
{
	struct stat st;
	size_t room = strlen(path) + strlen(leaf) + 2;
	enum rc_status status = RC_OK;
	size_t len;
	FILE *in = NULL;

	*f = (struct rc_data_file){ 0 };
	f->own_name = malloc(room);
	if (!f->own_name)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", path);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		snprintf(f->own_name, room, "%s/%s", path, leaf);
	else
		snprintf(f->own_name, room, "%s", path);
	in = fopen(f->own_name, "re");
	if (!in || fstat(fileno(in), &st) != 0) {
		status = rc_error_set(err, errno == ENOENT ? RC_NOT_FOUND : RC_UNAVAILABLE,
				      "%s: cannot be read: %s", f->own_name, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > RC_DATA_FILE_MAX) {
		status = rc_error_set(err, RC_LIMIT, "%s: is not a file of at most %d MiB",
				      f->own_name, RC_DATA_FILE_MAX >> 20);
		goto out;
	}
	f->own = malloc((size_t)st.st_size + 1);
	if (!f->own) {
		status = rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->own_name);
		goto out;
	}
	len = fread(f->own, 1, (size_t)st.st_size, in);
	if (ferror(in)) {
		status = rc_error_set(err, RC_UNAVAILABLE, "%s: cannot be read: %s", f->own_name,
				      strerror(errno));
		goto out;
	}
	f->name = f->own_name;
	f->at = f->own;
	f->end = f->own + len;
out:
	if (in)
		fclose(in);
	if (status)
		rc_data_file_done(f);
	return status;
}

void rc_data_file_init(struct rc_data_file *f, const char *name, const char *data, size_t len)
{
	*f = (struct rc_data_file){ .name = name, .at = data, .end = data + len };
}

void rc_data_file_done(struct rc_data_file *f)
{
	free(f->own);
	free(f->own_name);
	f->own = f->own_name = NULL;
	f->at = f->end = NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

int rc_data_file_next(struct rc_data_file *f, struct rc_error *err)
{
	while (f->at && f->at < f->end) {
		const char *start = f->at;
		const char *stop = memchr(start, '\n', (size_t)(f->end - start));

		f->at = stop ? stop + 1 : f->end;
		if (!stop)
			stop = f->end;
		f->line++;
		f->indented = start < stop && is_blank(*start);
		while (start < stop && is_blank(*start))
			start++;
		while (start < stop && is_blank(stop[-1]))
			stop--;
		if (start == stop || *start == '#')
			continue;
		if ((size_t)(stop - start) >= sizeof(f->text)) {
			rc_data_file_wrong(f, err, "the line is longer than %d octets",
					   RC_DATA_LINE_MAX - 1);
			return -1;
		}
		if (memchr(start, '\0', (size_t)(stop - start))) {
			rc_data_file_wrong(f, err, "the line holds a NUL");
			return -1;
		}
		memcpy(f->text, start, (size_t)(stop - start));
		f->text[stop - start] = '\0';
		return 1;
	}
	return 0;
}

enum rc_status rc_data_file_wrong(const struct rc_data_file *f, struct rc_error *err,
				  const char *format, ...)
{
	char text[RC_ERROR_MAX / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return rc_error_set(err, RC_INVALID, "%s:%u: %s", f->name, f->line, text);
}
