/* GET /v1/jobs/{id}/results: rows in input order, a chunk at a time, as fast as the client reads
 * and never faster. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/core/verdict.h"
#include "coordinator/http/api.h"
#include "coordinator/http/pool.h"
#include "coordinator/http/render.h"

enum { BLOCK_SIZE = 128 * 1024, STALL_MAX_MS = 30000, STALL_STEP_MS = 200 };

struct filter {
	unsigned statuses; /* a bit for each; 0: all */
	unsigned grades;
	int review; /* -1: all */
};

struct download {
	struct api *api;
	struct results_job *job;
	struct render *render;
	struct filter filter;
	struct rc_buf out;
	size_t at; /* octets of `out` that are sent */
	int chunk_no;
	int64_t rows; /* of the input, read so far */
	bool end;
};

static void download_free(void *ctx)
{
	struct download *d = ctx;

	if (!d)
		return;
	results_close(d->job);
	render_free(d->render);
	rc_buf_done(&d->out);
	free(d);
}

static bool wanted(const struct filter *f, const struct result_row *row)
{
	if (f->statuses && !(f->statuses & (1U << rc_reason_status(row->reason))))
		return false;
	if (f->grades && !(f->grades & (1U << rc_reason_grade(row->reason))))
		return false;
	return f->review < 0 || f->review == ((row->flags & VERDICT_REVIEW) != 0);
}

static enum rc_status next_chunk(struct download *d, struct db *db, struct rc_error *err)
{
	struct results_chunk chunk = { .count = 0 };
	enum rc_status status = results_chunk_load(db, d->job, d->chunk_no, &chunk, err);

	if (status == RC_NOT_FOUND) {
		/* Half a list must not look like a whole one. */
		if (d->rows != d->job->rows)
			return rc_error_set(err, RC_BROKEN, "the job was deleted meanwhile");
		d->end = true;
		return RC_OK;
	}
	if (status != RC_OK)
		return status;
	d->chunk_no++;
	d->rows += (int64_t)chunk.count;
	for (size_t i = 0; i < chunk.count; i++)
		if (wanted(&d->filter, &chunk.record[i].row))
			render_row(d->render, chunk.record[i].raw, chunk.record[i].len,
				   &chunk.record[i].row, &d->out);
	results_chunk_done(&chunk);
	return d->out.failed ? rc_error_set(err, RC_NO_MEMORY, "out of memory") : RC_OK;
}

/* A database that restarts in the middle of a download makes it wait, not fail. */
static enum rc_status next_chunk_patient(struct download *d, struct rc_error *err)
{
	uint64_t until = rc_clock_mono_ms() + STALL_MAX_MS;

	for (;;) {
		struct db *db = NULL;
		enum rc_status status = pool_take(d->api->pool, STALL_MAX_MS, &db, err);
		const struct timespec step = { 0, STALL_STEP_MS * 1000000L };

		if (status == RC_OK) {
			status = next_chunk(d, db, err);
			pool_give(d->api->pool, db);
		}
		if (status != RC_UNAVAILABLE || rc_clock_mono_ms() >= until ||
		    atomic_load(&d->api->stopping))
			return status;
		nanosleep(&step, NULL);
	}
}

static ssize_t on_read(void *ctx, uint64_t position, char *buffer, size_t max)
{
	struct download *d = ctx;
	struct rc_error err;
	size_t n;

	(void)position;
	while (d->at == d->out.len) {
		if (d->end)
			return MHD_CONTENT_READER_END_OF_STREAM;
		rc_buf_clear(&d->out);
		d->at = 0;
		if (next_chunk_patient(d, &err) != RC_OK) {
			rc_log(RC_LOG_WARN, "download_broken", "job=%s error=%s", d->job->public_id,
			       err.text);
			return MHD_CONTENT_READER_END_WITH_ERROR;
		}
	}
	n = d->out.len - d->at < max ? d->out.len - d->at : max;
	memcpy(buffer, d->out.data + d->at, n);
	d->at += n;
	return (ssize_t)n;
}

/* "valid,catch_all" as bits. */
static bool set_of(struct request *r, const char *name, unsigned (*find)(const char *),
		   unsigned *ret_bits)
{
	const char *text = request_param(r, name);
	char word[32];

	while (text && *text) {
		size_t len = strcspn(text, ",");
		unsigned value = 0;

		if (len < sizeof(word)) {
			memcpy(word, text, len);
			word[len] = '\0';
			value = find(word);
		}
		if (!value) {
			reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
				      "there is no %s \"%.*s\"", name, (int)(len < 64 ? len : 64),
				      text);
			return false;
		}
		*ret_bits |= 1U << value;
		text += len + (text[len] == ',');
	}
	return true;
}

static unsigned find_status(const char *name)
{
	return (unsigned)rc_result_status_find(name);
}

static unsigned find_grade(const char *name)
{
	return (unsigned)rc_grade_find(name);
}

static bool filter_of(struct request *r, struct filter *ret)
{
	bool review = false;

	*ret = (struct filter){ .review = -1 };
	if (!set_of(r, "status", find_status, &ret->statuses) ||
	    !set_of(r, "grade", find_grade, &ret->grades) || !request_flag(r, "review", &review))
		return false;
	if (request_param(r, "review"))
		ret->review = review;
	return true;
}

static bool format_of(struct request *r, enum render_format *ret_format)
{
	const char *text = request_param(r, "format");
	const char *accept =
	    MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);

	*ret_format = RENDER_CSV;
	if (!text && accept && strcasestr(accept, "ndjson"))
		*ret_format = RENDER_NDJSON;
	else if (text && !strcasecmp(text, "ndjson"))
		*ret_format = RENDER_NDJSON;
	else if (text && strcasecmp(text, "csv") != 0) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "format is csv or ndjson, not \"%.64s\"", text);
		return false;
	}
	return true;
}

static void set_input(const struct results_job *job, struct render_params *ret)
{
	ret->columns = (const char *const *)job->columns;
	ret->column_count = job->column_count;
	ret->input = RECORDS_CSV;
	ret->delimiter = ',';
	if (!strcmp(job->format, "ndjson"))
		ret->input = RECORDS_NDJSON;
	else if (!strcmp(job->format, "txt"))
		ret->input = RECORDS_TXT;
	else if (!strcmp(job->format, "csv-semicolon"))
		ret->delimiter = ';';
	else if (!strcmp(job->format, "csv-tab"))
		ret->delimiter = '\t';
}

static void start(struct request *r, struct download *d, enum render_format format)
{
	struct MHD_Response *response = MHD_create_response_from_callback(
	    MHD_SIZE_UNKNOWN, BLOCK_SIZE, on_read, d, download_free);
	char disposition[120];

	if (!response) {
		download_free(d);
		reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no-memory",
			      "the server is out of memory");
		return;
	}
	snprintf(disposition, sizeof(disposition), "attachment; filename=\"rollcall-%s.%s\"",
		 d->job->public_id, format == RENDER_CSV ? "csv" : "ndjson");
	reply_response(r, MHD_HTTP_OK, response);
	reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
		     format == RENDER_CSV ? "text/csv; charset=utf-8" : "application/x-ndjson");
	reply_header(r, MHD_HTTP_HEADER_CONTENT_DISPOSITION, disposition);
}

void call_results(struct request *r)
{
	struct job_scope scope = request_scope(r);
	struct render_params params = { .raw = false };
	struct filter filter;
	struct download *d;
	struct rc_error err;

	if (!format_of(r, &params.format) || !filter_of(r, &filter) ||
	    !request_flag(r, "raw", &params.raw))
		return;
	d = calloc(1, sizeof(*d));
	if (!d) {
		reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no-memory",
			      "the server is out of memory");
		return;
	}
	d->api = r->api;
	d->filter = filter;
	rc_buf_init(&d->out, 0);
	if (results_open(r->db, &scope, r->id, &d->job, &err) != RC_OK) {
		reply_error(r, &err);
		download_free(d);
		return;
	}
	set_input(d->job, &params);
	d->render = render_new(&params);
	if (d->render)
		render_header(d->render, &d->out);
	/* The first chunk now: an error can still be told. */
	if (!d->render || d->out.failed) {
		rc_error_set(&err, RC_NO_MEMORY, "the server is out of memory");
	} else if (next_chunk(d, r->db, &err) == RC_OK) {
		start(r, d, params.format);
		return;
	}
	reply_error(r, &err);
	download_free(d);
}
