/* See rows.h. */
#include "tests/mailworld/rows.h"

#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum { CELL_MAX = 400, TARGET_RECIPIENTS = 100 };

static const char *const companies[] = { "Meyer, Sons & Co",	 "Harbour Foods Ltd",
					 "Atelier Dubois, Lyon", "Novak s.r.o.",
					 "Tanaka Works",	 "",
					 "The \"Old\" Mill" };
static const char *const notes[] = {
	"", "", "", "met at the fair, 2024", "asked twice: \"call back\"", "newsletter"
};

static const char *shown(const struct mw_domain *domain)
{
	return domain->shown ? domain->shown : domain->name;
}

/* The cell as the list spells it. */
static size_t spell(const struct mw_world *world, size_t n, char *ret_cell)
{
	const struct mw_row *row = &world->rows[n];
	uint64_t bits = mw_hash_mix(n, world->seed);
	int len;

	if (row->domain == MW_NONE)
		len = snprintf(ret_cell, CELL_MAX, "%s", row->local);
	else
		len = snprintf(ret_cell, CELL_MAX, "%s%s@%s%s", row->padded ? "  " : "", row->local,
			       shown(&world->domains[row->domain]), row->padded ? " " : "");
	for (int i = 0; row->spelled && i < len; i++)
		if (ret_cell[i] >= 'a' && ret_cell[i] <= 'z' && (bits >> (i & 63) & 1))
			ret_cell[i] = (char)(ret_cell[i] & ~0x20);
	return (size_t)len;
}

static void write_cell(FILE *file, const char *cell, size_t len, bool quote)
{
	if (quote || memchr(cell, ',', len) || memchr(cell, '"', len))
		csv_fwrite(file, cell, len);
	else
		fwrite(cell, 1, len, file);
}

static void write_row(FILE *file, const struct mw_world *world, size_t n)
{
	const struct mw_row *row = &world->rows[n];
	uint64_t bits = mw_hash_mix(world->seed, n);
	const char *company = companies[bits % COUNT(companies)],
		   *note = notes[(bits >> 8) % COUNT(notes)];
	char cell[CELL_MAX];
	size_t len;

	if (row->behaviour != MW_BLANK) {
		len = spell(world, n, cell);
		write_cell(file, cell, len, row->padded || (bits >> 16) % 16 == 0);
		len = (size_t)snprintf(cell, sizeof(cell), "Person %zu", n + 1);
		putc(',', file);
		write_cell(file, cell, len, (bits >> 20) % 16 == 0);
		putc(',', file);
		write_cell(file, company, strlen(company), false);
		putc(',', file);
		write_cell(file, note, strlen(note), false);
	}
	putc('\n', file);
}

static void write_truth(FILE *file, const struct mw_world *world, size_t n)
{
	char cell[CELL_MAX];
	size_t len = spell(world, n, cell);

	fprintf(file, "%zu,", n + 1);
	write_cell(file, cell, len, false);
	fprintf(file, ",%s,%s,%s\n", mw_row_status(world, &world->rows[n]),
		mw_row_reason(world, &world->rows[n]),
		mw_behaviours[world->rows[n].behaviour].name);
}

static enum rc_status write_file(const struct mw_world *world, const char *path, const char *header,
				 void (*write_one)(FILE *, const struct mw_world *, size_t),
				 struct rc_error *err)
{
	FILE *file = fopen(path, "w");
	bool failed;

	if (!file)
		return rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", path,
				    strerror(errno));
	fputs(header, file);
	for (size_t i = 0; i < world->row_count; i++)
		write_one(file, world, i);
	failed = ferror(file);
	failed |= fclose(file) != 0;
	return failed
		   ? rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", path, strerror(errno))
		   : RC_OK;
}

enum rc_status mw_rows_write_list(const struct mw_world *world, const char *path,
				  struct rc_error *err)
{
	return write_file(world, path, "email,name,company,note\n", write_row, err);
}

enum rc_status mw_rows_write_truth(const struct mw_world *world, const char *path,
				   struct rc_error *err)
{
	return write_file(world, path, "row,email,status,reason,behaviour\n", write_truth, err);
}

static int by_domain(const void *a, const void *b)
{
	const struct mw_row *x = *(const struct mw_row *const *)a,
			    *y = *(const struct mw_row *const *)b;

	return x->domain != y->domain ? (x->domain > y->domain) - (x->domain < y->domain)
				      : (x > y) - (x < y);
}

static const struct mw_host *living_host(const struct mw_world *world,
					 const struct mw_domain *domain)
{
	const struct mw_operator *operator_ =
	    domain->operator_ == MW_NONE ? NULL : &world->operators[domain->operator_];

	for (uint32_t i = 0; operator_ && i < operator_->hosts; i++)
		if (world->hosts[operator_->first_host + i].listens)
			return &world->hosts[operator_->first_host + i];
	return NULL;
}

enum rc_status mw_rows_write_targets(const struct mw_world *world, const char *path,
				     struct rc_error *err)
{
	const struct mw_row **rows = mw_alloc(world->row_count, sizeof(struct mw_row *));
	FILE *file = fopen(path, "w");
	size_t count = 0, in_line = 0;
	bool failed;

	if (!file) {
		free(rows);
		return rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", path,
				    strerror(errno));
	}
	for (size_t i = 0; i < world->row_count; i++)
		if (world->rows[i].domain != MW_NONE && world->rows[i].answer == MW_ACCEPT &&
		    living_host(world, &world->domains[world->rows[i].domain]))
			rows[count++] = &world->rows[i];
	qsort(rows, count, sizeof(*rows), by_domain);
	for (size_t i = 0; i < count; i++) {
		const struct mw_domain *domain = &world->domains[rows[i]->domain];
		uint32_t ip = living_host(world, domain)->ip;

		if (i && rows[i - 1]->domain == rows[i]->domain) {
			in_line++;
		} else {
			fprintf(file, "%s%u.%u.%u.%u probe.test verify@probe.test", i ? "\n" : "",
				ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
			in_line = 0;
		}
		if (in_line < TARGET_RECIPIENTS)
			fprintf(file, " %s@%s", rows[i]->local, domain->name);
	}
	putc('\n', file);
	free(rows);
	failed = ferror(file);
	failed |= fclose(file) != 0;
	return failed
		   ? rc_error_set(err, RC_UNAVAILABLE, "cannot write %s: %s", path, strerror(errno))
		   : RC_OK;
}
