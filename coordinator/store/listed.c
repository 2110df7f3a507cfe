/* See listed.h. */
#include "coordinator/store/listed.h"

#include <inttypes.h>
#include <stdio.h>

#include "coordinator/store/batch.h"
#include "coordinator/store/db.h"

enum { TRAPS_AT_ONCE = 10000 };

/* What of an address a list is asked for; "C": only ASCII has case here. */
#define KEY "lower(i.local COLLATE \"C\")"

enum rc_status listed_traps_bring(struct db *db, const struct traps *traps, uint64_t serial,
				  struct listed_traps *has, struct rc_error *err)
{
	static const char insert[] = "INSERT INTO plan_trap SELECT * FROM unnest($1::smallint[], "
				     "$2::text[]) ON CONFLICT DO NOTHING";
	enum rc_status status;
	struct batch batch;

	if (has->generation == db_generation(db) && has->serial == serial)
		return RC_OK;
	status = db_exec(db,
			 "CREATE TEMP TABLE IF NOT EXISTS plan_trap (kind smallint, value text, "
			 "PRIMARY KEY (kind, value));"
			 "TRUNCATE plan_trap;"
			 "CREATE TEMP TABLE IF NOT EXISTS plan_listed (uid bigint PRIMARY KEY, "
			 "domain_no int, suppressed boolean, trap boolean) ON COMMIT DELETE ROWS",
			 err);
	batch_init(&batch, 2);
	for (size_t i = 0; i < traps_count(traps) && status == RC_OK; i++) {
		enum trap_kind kind;
		const char *text = traps_at(traps, i, &kind);

		batch_int(&batch, kind);
		batch_text(&batch, text);
		if (batch.rows == TRAPS_AT_ONCE)
			status = batch_flush(&batch, db, insert, DB_NONE, NULL, err);
	}
	if (status == RC_OK)
		status = batch_flush(&batch, db, insert, DB_NONE, NULL, err);
	batch_done(&batch);
	if (status == RC_OK && traps_count(traps) > 0)
		status = db_exec(db, "ANALYZE plan_trap", err);
	if (status == RC_OK)
		*has = (struct listed_traps){ db_generation(db), serial };
	return status;
}

static bool any_hashed(const struct traps *traps)
{
	enum trap_kind kind;

	for (size_t i = 0; i < traps_count(traps); i++) {
		(void)traps_at(traps, i, &kind);
		if (kind == TRAP_SHA256)
			return true;
	}
	return false;
}

static enum rc_status find_suppressed(struct db *db, const struct plan_job *job,
				      struct rc_error *err)
{
	return db_execf(
	    db, err,
	    "INSERT INTO plan_listed SELECT DISTINCT i.uid, i.domain_no, true, false"
	    " FROM job j JOIN suppression s ON s.tenant = j.tenant AND (s.client = '' OR "
	    "s.client = j.client)"
	    " JOIN job_domain d ON d.job = j.id AND d.domain = s.domain"
	    " JOIN item%s i ON i.job = j.id AND i.domain_no = d.domain_no AND i.uid "
	    "BETWEEN d.first_uid AND d.first_uid + d.n - 1"
	    " AND (s.local = '' OR s.local = " KEY ") WHERE j.id = %" PRId64,
	    job->table_set, job->id);
}

static enum rc_status find_trapped(struct db *db, const struct plan_job *job, bool hashed,
				   struct rc_error *err)
{
	char by_hash[512] = "";

	if (hashed)
		snprintf(by_hash, sizeof(by_hash),
			 " OR EXISTS (SELECT FROM plan_trap t WHERE t.kind = %d AND t.value = "
			 "encode(sha256(convert_to(" KEY " || '@' || d.domain, 'UTF8')), 'hex'))",
			 TRAP_SHA256);
	return db_execf(
	    db, err,
	    "INSERT INTO plan_listed SELECT i.uid, i.domain_no, false, true FROM item%s i"
	    " JOIN job_domain d ON d.job = i.job AND d.domain_no = i.domain_no WHERE i.job = "
	    "%" PRId64 " AND (EXISTS (SELECT FROM plan_trap t WHERE t.kind = %d AND t.value = "
	    "d.domain)"
	    " OR EXISTS (SELECT FROM plan_trap t WHERE t.kind = %d AND t.value = " KEY
	    " || '@' || d.domain)%s)"
	    " ON CONFLICT (uid) DO UPDATE SET trap = true",
	    job->table_set, job->id, TRAP_DOMAIN, TRAP_ADDRESS, by_hash);
}

enum rc_status listed_find(struct db *db, const struct plan_job *job, const struct traps *traps,
			   int64_t *ret_count, struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status = find_suppressed(db, job, err);

	if (status == RC_OK && traps_count(traps) > 0)
		status = find_trapped(db, job, any_hashed(traps), err);
	if (status == RC_OK)
		status = db_query_kept(db, "SELECT count(*) FROM plan_listed", DB_NONE, &r, err);
	if (status != RC_OK)
		return status;
	*ret_count = db_get_int(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}

enum rc_status listed_page(struct db *db, const struct plan_job *job, int64_t after, int limit,
			   listed_row_fn *each, void *arg, int *ret_count, int64_t *ret_last,
			   struct rc_error *err)
{
	struct db_result *r = NULL;
	enum rc_status status;
	char sql[512];

	snprintf(sql, sizeof(sql),
		 "SELECT l.uid, i.local, d.domain, l.suppressed, l.trap FROM (SELECT * FROM "
		 "plan_listed WHERE uid > $2 ORDER BY uid LIMIT $3) l"
		 " JOIN item%s i ON i.job = $1 AND i.uid = l.uid JOIN job_domain d ON d.job = $1 "
		 "AND d.domain_no = l.domain_no ORDER BY l.uid",
		 job->table_set);
	status =
	    db_query(db, sql, DB_PARAMS(db_int(job->id), db_int(after), db_int(limit)), &r, err);
	if (status != RC_OK)
		return status;
	*ret_count = db_rows(r);
	for (int i = 0; i < *ret_count; i++) {
		const struct listed_row row = { .uid = db_get_int(r, i, 0),
						.local = db_get_text(r, i, 1),
						.local_len = db_get_len(r, i, 1),
						.domain = db_get_text(r, i, 2),
						.suppressed = db_get_bool(r, i, 3),
						.trap = db_get_bool(r, i, 4) };

		*ret_last = row.uid;
		each(arg, &row);
	}
	db_result_free(r);
	return RC_OK;
}

enum rc_status listed_close_domains(struct db *db, const struct plan_job *job, struct rc_error *err)
{
	return db_query(db,
			"UPDATE job_domain d SET state = 3 FROM (SELECT domain_no, count(*) AS n "
			"FROM plan_listed GROUP BY domain_no) l"
			" WHERE d.job = $1 AND d.domain_no = l.domain_no AND d.n = l.n",
			DB_PARAMS(db_int(job->id)), NULL, err);
}
