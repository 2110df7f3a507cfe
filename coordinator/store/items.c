/* See items.h. */
#include "coordinator/store/items.h"

#include <stdio.h>

#include "coordinator/store/db.h"

enum rc_status items_open(struct db *db, const char *table_set, int64_t job, int64_t first_uid,
			  int64_t last_uid, bool undeferred, struct db_result **ret_result,
			  struct rc_error *err)
{
	char sql[800];

	snprintf(sql, sizeof(sql),
		 "SELECT i.uid, i.local, i.domain_no, d.reason, d.tries, d.smtp_code, d.enhanced, "
		 "d.mx_host, d.lane, d.evidence_shard,"
		 " d.evidence_part, d.evidence_sending, d.basis FROM item%s i LEFT JOIN deferred d "
		 "ON d.job = i.job AND d.uid = i.uid"
		 " WHERE i.job = $1 AND i.uid BETWEEN $2 AND $3"
		 " AND NOT EXISTS (SELECT FROM result%s r WHERE r.job = i.job AND r.uid = i.uid)%s"
		 " ORDER BY i.uid LIMIT %d",
		 table_set, table_set, undeferred ? " AND d.uid IS NULL" : "", ITEMS_PAGE);
	return db_query_kept(db, sql, DB_PARAMS(db_int(job), db_int(first_uid), db_int(last_uid)),
			     ret_result, err);
}

enum rc_status items_sample(struct db *db, const char *table_set, int64_t job, const int64_t *lo,
			    const int64_t *hi, size_t n, int64_t *ret_uids, size_t *ret_count,
			    struct rc_error *err)
{
	struct db_result *r = NULL;
	struct rc_buf from, to;
	enum rc_status status;
	char sql[600];

	snprintf(
	    sql, sizeof(sql),
	    "SELECT i.uid FROM unnest($2::bigint[], $3::bigint[]) AS s(lo, hi), LATERAL"
	    " (SELECT uid FROM item%s i WHERE i.job = $1 AND i.uid >= s.lo AND i.uid < s.hi AND"
	    " NOT EXISTS (SELECT FROM result%s r WHERE r.job = i.job AND r.uid = i.uid)"
	    " ORDER BY uid LIMIT 1) i ORDER BY 1",
	    table_set, table_set);
	rc_buf_init(&from, 0);
	rc_buf_init(&to, 0);
	for (size_t i = 0; i < n; i++) {
		db_array_int(&from, lo[i]);
		db_array_int(&to, hi[i]);
	}
	db_array_end(&from);
	db_array_end(&to);
	status =
	    db_query_kept(db, sql, DB_PARAMS(db_int(job), db_buf(&from), db_buf(&to)), &r, err);
	rc_buf_done(&from);
	rc_buf_done(&to);
	if (status != RC_OK)
		return status;
	*ret_count = (size_t)db_rows(r);
	for (size_t i = 0; i < *ret_count; i++)
		ret_uids[i] = db_get_int(r, (int)i, 0);
	db_result_free(r);
	return RC_OK;
}
