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

/* Parts of lanes_read(), each about lane `l` of the name `n.name`. */
/* clang-format off */
#define DAY_OF_LANE \
	"floor(extract(epoch FROM now() - l.first_seen) / 86400)::int"
#define SENT_THAT_DAY \
	"(SELECT sent FROM lane_day d WHERE d.lane = l.number AND d.day = " DAY_OF_LANE ")"
#define ITS_OFFERS \
	"(SELECT coalesce(jsonb_agg(jsonb_build_object('worker', o.worker, 'refused', o.refused," \
	" 'since', " DB_RFC3339("o.since") ", 'fresh', o.seen_at > now() - interval '3 minutes'," \
	" 'fitness', o.fitness, 'checked_at', " DB_RFC3339("o.checked_at") "," \
	" 'findings', o.findings) ORDER BY o.seen_at DESC), '[]')" \
	" FROM lane_offer o WHERE o.name = n.name)"
/* A block whose time is over is probation before the leader has written so. */
#define ITS_HOLDS \
	"(SELECT coalesce(jsonb_agg(jsonb_build_object('mx_group', h.mx_group," \
	" 'health', (ARRAY['slow', 'blocked', 'probation', 'greylisted'])" \
	"[CASE WHEN h.health = 2 AND h.until <= now() THEN 3 ELSE h.health END]," \
	" 'since', " DB_RFC3339("h.since") "," \
	" 'until', CASE WHEN h.until > now() THEN " DB_RFC3339("h.until") " END," \
	" 'reason', h.why, 'strikes', h.strikes) ORDER BY h.health DESC, h.mx_group), '[]')" \
	" FROM (SELECT * FROM lane_hold WHERE lane = l.number" \
	" AND (until > now() OR health IN (2, 3)) LIMIT 200) h)"

static const char lanes_sql[] =
	"SELECT n.name, l.number, l.public_address, l.bind_address, l.helo, l.mail_from,"
	" coalesce(g.expires_at > now() AND NOT g.returned, false), coalesce(g.worker, ''), coalesce(g.epoch, 0),"
	" " DB_MS("l.last_seen") ", " DB_MS("l.first_seen") ", " DB_MS("l.draining_at") ","
	" " DAY_OF_LANE ", " SENT_THAT_DAY ", " ITS_OFFERS ", " ITS_HOLDS
	" FROM (SELECT name FROM lane UNION SELECT name FROM lane_offer) n"
	" LEFT JOIN lane l ON l.name = n.name LEFT JOIN lane_lease g ON g.lane = l.number"
	" WHERE $1::text IS NULL OR n.name = $1 ORDER BY l.number NULLS LAST, n.name LIMIT 1024";
/* clang-format on */

enum rc_status lanes_read(struct db *db, const char *name, struct db_result **ret_result,
			  struct rc_error *err)
{
	return db_query_kept(db, lanes_sql, DB_PARAMS(db_text(name)), ret_result, err);
}

enum rc_status lanes_pauses(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db,
			     "SELECT coalesce(jsonb_agg(jsonb_build_object('mx_group', mx_group, "
			     "'since', " DB_RFC3339("since") ", 'until', " DB_RFC3339(
				 "until") ", 'lanes', lanes, 'reason', why) ORDER BY "
					  "mx_group), '[]') FROM mx_group_pause WHERE "
					  "until > now()",
			     DB_NONE, ret_result, err);
}

enum rc_status lanes_moves(struct db *db, const char *name, int tenant, const char *client,
			   struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT coalesce(jsonb_agg(jsonb_build_object('at', " DB_RFC3339(
		"m.at") ", 'job', m.public_id, 'domain', m.domain, 'mx_group', CASE WHEN "
			"m.public_id IS NOT NULL THEN m.mx_group END, 'from', "
			"f.name, 'to', t.name,"
			" 'count', m.n, 'greylist_clock_restarted', m.restarted, 'reason', m.why) "
			"ORDER BY m.id DESC), '[]')"
			" FROM (SELECT v.*, j.public_id, d.domain FROM lane_move v LEFT JOIN job j "
			"ON j.id = v.job AND j.tenant = $2 AND ($3::text IS NULL OR j.client = $3)"
			" LEFT JOIN job_domain d ON d.job = j.id AND d.domain_no = "
			"v.domain_no"
			" WHERE (SELECT number FROM lane WHERE name = $1) IN (v.from_lane, "
			"v.to_lane) ORDER BY v.id DESC LIMIT 100) m"
			" JOIN lane f ON f.number = m.from_lane JOIN lane t ON t.number = "
			"m.to_lane",
	    DB_PARAMS(db_text(name), db_int(tenant), db_text(client && *client ? client : NULL)),
	    ret_result, err);
}

enum rc_status lanes_drain(struct db *db, const char *name, bool draining, bool *ret_found,
			   struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db,
	    "UPDATE lane SET draining_at = CASE WHEN $2::boolean THEN coalesce(draining_at, now()) "
	    "END WHERE name = $1",
	    DB_PARAMS(db_text(name), db_bool(draining)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_found = db_affected(r) > 0;
	db_result_free(r);
	return RC_OK;
}
