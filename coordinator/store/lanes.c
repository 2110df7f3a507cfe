/* See lanes.h. */
#include "coordinator/store/lanes.h"

#include <string.h>

#include "coordinator/store/db.h"

static void add(struct rc_buf *array, const char *text)
{
	db_array_text(array, text, strlen(text));
}

enum rc_status lanes_offered(struct db *db, const struct lanes_offer *o, struct rc_error *err)
{
	struct rc_buf checks, results, texts;
	enum rc_status status;

	rc_buf_init(&checks, 0);
	rc_buf_init(&results, 0);
	rc_buf_init(&texts, 0);
	for (size_t i = 0; i < o->n && i < LANES_FINDINGS_MAX; i++) {
		add(&checks, o->check[i]);
		add(&results, o->result[i]);
		add(&texts, o->text[i]);
	}
	db_array_end(&checks);
	db_array_end(&results);
	db_array_end(&texts);
	status = db_query_kept(
	    db,
	    "INSERT INTO lane_offer AS o (name, worker, seen_at, since, refused, fitness, "
	    "checked_at, findings)"
	    " VALUES ($1, $2, now(), now(), $3, $4::smallint, $5::timestamptz,"
	    " (SELECT coalesce(jsonb_agg(jsonb_build_object('check', c, 'result', r, 'text', t)), "
	    "'[]')"
	    " FROM unnest($7::text[], $8::text[], $9::text[]) AS u(c, r, t)))"
	    " ON CONFLICT (name, worker) DO UPDATE SET seen_at = now(),"
	    " since = CASE WHEN o.refused = '' AND excluded.refused = '' OR o.refused <> '' AND "
	    "excluded.refused <> ''"
	    " THEN o.since ELSE now() END, refused = excluded.refused, fitness = "
	    "excluded.fitness,"
	    " checked_at = excluded.checked_at,"
	    " findings = CASE WHEN $6::boolean THEN excluded.findings ELSE o.findings END",
	    DB_PARAMS(db_text(o->name), db_text(o->worker), db_text(o->refused), db_int(o->fitness),
		      db_when(o->checked_at_ms), db_bool(o->findings_told), db_buf(&checks),
		      db_buf(&results), db_buf(&texts)),
	    NULL, err);
	rc_buf_done(&checks);
	rc_buf_done(&results);
	rc_buf_done(&texts);
	return status;
}

enum rc_status lanes_forget_offers(struct db *db, struct rc_error *err)
{
	return db_query_kept(db, "DELETE FROM lane_offer WHERE seen_at < now() - interval '1 hour'",
			     DB_NONE, NULL, err);
}
