/* See domains.h. */
#include "coordinator/store/domains.h"

#include "coordinator/store/db.h"

enum {
	AT_FIRST_SEEN,
	AT_RESOLUTION,
	AT_RESOLVED,
	AT_PROVIDER,
	AT_GROUP,
	AT_CONTROL,
	AT_CONTROL_AT,
	AT_LANE,
	AT_ACCEPTED
};

static const char *text_of(const struct db_result *r, int column)
{
	return db_is_null(r, 0, column) ? NULL : db_get_text(r, 0, column);
}

enum rc_status domains_get(struct db *db, const char *domain, struct domain_view *ret,
			   struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT (extract(epoch FROM k.first_seen) * 1000)::bigint, k.resolution, "
	    "(extract(epoch FROM k.resolved_at) * 1000)::bigint, k.provider, k.mx_group, "
	    "k.control, (extract(epoch FROM k.control_at) * 1000)::bigint, l.name, "
	    "(extract(epoch FROM k.accepted_at) * 1000)::bigint FROM domain_knowledge k"
	    " LEFT JOIN lane l ON l.number = k.control_lane WHERE k.domain = $1",
	    DB_PARAMS(db_text(domain)), &r, err);

	if (status != RC_OK)
		return status;
	if (db_rows(r) == 0) {
		db_result_free(r);
		return rc_error_set(err, RC_NOT_FOUND, "nothing is known of the domain %s", domain);
	}
	*ret = (struct domain_view){ .first_seen_ms = db_get_int(r, 0, AT_FIRST_SEEN),
				     .resolved_at_ms = db_get_int(r, 0, AT_RESOLVED),
				     .provider = text_of(r, AT_PROVIDER),
				     .mx_group = text_of(r, AT_GROUP),
				     .control = (int)db_get_int(r, 0, AT_CONTROL),
				     .control_at_ms = db_get_int(r, 0, AT_CONTROL_AT),
				     .control_lane = text_of(r, AT_LANE),
				     .accepted_at_ms = db_get_int(r, 0, AT_ACCEPTED),
				     .memory = r };
	ret->resolution = db_get_bytes(r, 0, AT_RESOLUTION, &ret->resolution_len);
	return RC_OK;
}

void domains_done(struct domain_view *view)
{
	db_result_free(view->memory);
	view->memory = NULL;
}
