#include "coordinator/store/accuracy.h"

#include "coordinator/store/db.h"

enum rc_status accuracy_outcomes(struct db *db, int tenant, struct db_result **ret_result,
				 struct rc_error *err)
{
	return db_query_kept(db,
			     "SELECT reason, provider, evidence, measured, score, delivered, "
			     "bounced FROM outcome_bucket WHERE tenant = $1::int AND delivered + "
			     "bounced > 0 ORDER BY reason, provider, evidence, measured, score",
			     DB_PARAMS(db_int(tenant)), ret_result, err);
}

enum rc_status accuracy_controls(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db,
			     "SELECT provider, honesty, sum(accepted)::bigint, "
			     "sum(refused)::bigint FROM control_count GROUP BY 1, 2 ORDER BY 1, 2",
			     DB_NONE, ret_result, err);
}
