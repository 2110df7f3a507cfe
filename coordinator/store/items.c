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
