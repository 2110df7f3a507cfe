/* See lease.h. */
#include "coordinator/store/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core/standing.h"
#include "coordinator/store/db.h"

/* "rcld" */
#define LEADER_LOCK "1919118436"

enum rc_status lease_lead(struct db *db, bool *ret_leader, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query(db, "SELECT pg_try_advisory_lock(" LEADER_LOCK ")", DB_NONE, &r, err);

	if (status != RC_OK)
		return status;
	*ret_leader = db_get_bool(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}

static void copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
}

enum rc_status lease_load(struct db *db, struct lease_lane **ret_lanes, size_t *ret_count,
			  struct rc_error *err)
{
	struct lease_lane *lanes;
	struct db_result *r;
	enum rc_status status = db_query(
	    db,
	    "SELECT l.number, l.name, l.public_address, l.bind_address, l.helo, "
	    "l.mail_from, " DB_MS("l.last_seen") ", g.worker, g.machine, g.epoch, " DB_MS(
		"g.granted_at") ", g.returned, g.confirmed, g.generation,"
				" g.from_offset, l.draining_at IS NOT NULL, " DB_MS(
				    "l.first_seen") " FROM lane l LEFT JOIN lane_lease g ON "
						    "g.lane = l.number ORDER BY l.number",
	    DB_NONE, &r, err);

	if (status != RC_OK)
		return status;
	lanes = calloc((size_t)db_rows(r) + 1, sizeof(*lanes));
	if (!lanes) {
		db_result_free(r);
		return rc_error_set(err, RC_NO_MEMORY, "no memory for the lanes");
	}
	for (int i = 0; i < db_rows(r); i++) {
		struct lease_lane *l = &lanes[i];

		l->number = (uint32_t)db_get_int(r, i, 0);
		copy(l->identity.name, sizeof(l->identity.name), db_get_text(r, i, 1));
		copy(l->identity.public_address, sizeof(l->identity.public_address),
		     db_get_text(r, i, 2));
		copy(l->identity.bind_address, sizeof(l->identity.bind_address),
		     db_get_text(r, i, 3));
		copy(l->identity.helo, sizeof(l->identity.helo), db_get_text(r, i, 4));
		copy(l->identity.mail_from, sizeof(l->identity.mail_from), db_get_text(r, i, 5));
		l->last_seen_ms = db_get_int(r, i, 6);
		l->lease.exists = !db_is_null(r, i, 7);
		copy(l->lease.worker, sizeof(l->lease.worker), db_get_text(r, i, 7));
		copy(l->lease.machine, sizeof(l->lease.machine), db_get_text(r, i, 8));
		l->lease.epoch = (uint64_t)db_get_int(r, i, 9);
		l->lease.granted_at_ms = db_get_int(r, i, 10);
		l->lease.returned = db_get_bool(r, i, 11);
		l->lease.confirmed = db_get_bool(r, i, 12);
		l->generation = (int)db_get_int(r, i, 13);
		l->from_offset = db_get_int(r, i, 14);
		l->draining = db_get_bool(r, i, 15);
		l->first_seen_ms = db_get_int(r, i, 16);
		l->day = -1;
	}
	*ret_count = (size_t)db_rows(r);
	*ret_lanes = lanes;
	db_result_free(r);
	return RC_OK;
}

enum rc_status lease_register(struct db *db, const struct lane_identity *identity,
			      uint32_t partitions, uint32_t *ret_number, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query(
	    db,
	    "INSERT INTO lane (number, name, public_address, bind_address, helo, mail_from)"
	    " SELECT n, $2, $3, $4, $5, $6 FROM generate_series(0, $1::int - 1) n"
	    " WHERE NOT EXISTS (SELECT FROM lane WHERE number = n) ORDER BY n LIMIT 1 RETURNING "
	    "number",
	    DB_PARAMS(db_int(partitions), db_text(identity->name),
		      db_text(identity->public_address), db_text(identity->bind_address),
		      db_text(identity->helo), db_text(identity->mail_from)),
	    &r, err);

	if (status != RC_OK)
		return status;
	if (db_rows(r) == 0)
		status = rc_error_set(err, RC_LIMIT,
				      "all %u partitions of rollcall.shards belong to other lanes: "
				      "give the topic more partitions",
				      partitions);
	else
		*ret_number = (uint32_t)db_get_int(r, 0, 0);
	db_result_free(r);
	return status;
}

enum rc_status lease_store(struct db *db, const struct lease_lane *l, struct rc_error *err)
{
	return db_query_kept(db,
			     "WITH seen AS (UPDATE lane SET last_seen = $5::timestamptz, "
			     "bind_address = $11 WHERE number = $1::int)"
			     " INSERT INTO lane_lease AS g (lane, worker, machine, epoch, "
			     "granted_at, expires_at, returned, confirmed, generation,"
			     " from_offset) VALUES ($1::int, $2, $3, $4::bigint, $5::timestamptz, "
			     "$5::timestamptz + $6::int * interval '1 ms',"
			     " $7::boolean, $8::boolean, $9::int, $10::bigint)"
			     " ON CONFLICT (lane) DO UPDATE SET worker = excluded.worker, machine "
			     "= excluded.machine, epoch = excluded.epoch,"
			     " granted_at = excluded.granted_at, expires_at = excluded.expires_at, "
			     "returned = excluded.returned,"
			     " confirmed = excluded.confirmed, generation = excluded.generation, "
			     "from_offset = excluded.from_offset",
			     DB_PARAMS(db_int(l->number), db_text(l->lease.worker),
				       db_text(l->lease.machine), db_int((int64_t)l->lease.epoch),
				       db_when(l->lease.granted_at_ms), db_int(LANES_LEASE_MS),
				       db_bool(l->lease.returned), db_bool(l->lease.confirmed),
				       db_int(l->generation), db_int(l->from_offset),
				       db_text(l->identity.bind_address)),
			     NULL, err);
}

enum rc_status lease_holds(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    /* A block that is over leaves the lane on probation where it was ever received; who is
	     * not heard of for a week is well. */
	    "WITH gone AS (DELETE FROM lane_hold WHERE health IN (1, 4) AND until <= now()"
	    " OR health = 2 AND strikes = 0 AND until <= now()"
	    " OR health = 3 AND until <= now() - interval '7 days'),"
	    " ended AS (UPDATE lane_hold SET health = 3 WHERE health = 2 AND strikes > 0 AND "
	    "until <= now() RETURNING lane, mx_group)"
	    " SELECT h.lane, h.mx_group, " DB_MS(
		"h.until") ", CASE WHEN h.strikes = 0 THEN 1 ELSE h.health END, e.lane IS NOT NULL FROM lane_hold h LEFT JOIN ended e ON "
			   "e.lane = h.lane AND e.mx_group = h.mx_group"
			   " WHERE h.until > now() OR h.health IN (2, 3)",
	    DB_NONE, ret_result, err);
}

enum rc_status lease_probation(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db, "SELECT lane, mx_group, strikes FROM lane_hold WHERE health = 3 OR "
			     "health = 2 AND strikes > 0 AND until <= now()",
			     DB_NONE, ret_result, err);
}

enum rc_status lease_pause(struct db *db, int64_t time_scale, struct db_result **ret_result,
			   struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT h.mx_group, count(*), (SELECT count(*) FROM lane_lease WHERE expires_at > "
	    "now() - interval '1 day'),"
	    " max(h.why) FROM lane_hold h WHERE h.health IN (2, 3) AND h.since > now() - $1 * "
	    "interval "
	    "'1 second' / $2"
	    " AND NOT EXISTS (SELECT FROM mx_group_pause p WHERE p.mx_group = h.mx_group AND "
	    "p.until > now())"
	    " GROUP BY 1 HAVING count(*) > 1",
	    DB_PARAMS(db_int(STANDING_PAUSE_WITHIN_S), db_int(time_scale)), ret_result, err);
}

enum rc_status lease_pause_store(struct db *db, const char *mx_group, int lanes, const char *why,
				 int64_t time_scale, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "INSERT INTO mx_group_pause AS p (mx_group, until, lanes, why)"
	    " VALUES ($1, now() + $2 * interval '1 second' / $3, $4, $5) ON CONFLICT (mx_group)"
	    " DO UPDATE SET since = now(), until = excluded.until, lanes = excluded.lanes, why = "
	    "excluded.why",
	    DB_PARAMS(db_text(mx_group), db_int(STANDING_PAUSE_S), db_int(time_scale),
		      db_int(lanes), db_text(why)),
	    NULL, err);
}

enum rc_status lease_pauses(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(
	    db,
	    "SELECT mx_group, " DB_MS("until") " FROM mx_group_pause WHERE until > "
					       "now()",
	    DB_NONE, ret_result, err);
}

enum rc_status lease_flags(struct db *db, struct db_result **ret_result, struct rc_error *err)
{
	return db_query_kept(db, "SELECT number, draining_at IS NOT NULL FROM lane", DB_NONE,
			     ret_result, err);
}

enum rc_status lease_day(struct db *db, uint32_t lane, int day, int64_t *ret_sent,
			 struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query_kept(db, "SELECT sent FROM lane_day WHERE lane = $1 AND day = $2",
			  DB_PARAMS(db_int(lane), db_int(day)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_sent = db_rows(r) > 0 ? db_get_int(r, 0, 0) : 0;
	db_result_free(r);
	return RC_OK;
}

enum rc_status lease_day_add(struct db *db, uint32_t lane, int day, int64_t sent,
			     struct rc_error *err)
{
	return db_query_kept(db,
			     "INSERT INTO lane_day AS d (lane, day, sent) VALUES ($1, $2, $3) ON "
			     "CONFLICT (lane, day) DO UPDATE SET sent = d.sent + excluded.sent",
			     DB_PARAMS(db_int(lane), db_int(day), db_int(sent)), NULL, err);
}

enum rc_status lease_generation(struct db *db, int *ret_id, char *ret_cluster, size_t size,
				struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query_kept(db, "SELECT id, cluster FROM broker_generation ORDER BY id DESC LIMIT 1",
			  DB_NONE, &r, err);

	if (status != RC_OK)
		return status;
	*ret_id = 0;
	ret_cluster[0] = '\0';
	if (db_rows(r) > 0) {
		*ret_id = (int)db_get_int(r, 0, 0);
		copy(ret_cluster, size, db_get_text(r, 0, 1));
	}
	db_result_free(r);
	return RC_OK;
}

enum rc_status lease_new_generation(struct db *db, const char *cluster, int *ret_id,
				    struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status =
	    db_query(db, "INSERT INTO broker_generation (cluster) VALUES ($1) RETURNING id",
		     DB_PARAMS(db_text(cluster)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_id = (int)db_get_int(r, 0, 0);
	db_result_free(r);
	return db_exec(db, "UPDATE shard SET state = 0 WHERE state = 1", err);
}

enum rc_status lease_sink_next(struct db *db, int generation, int32_t partition, int64_t *ret_next,
			       struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status = db_query_kept(
	    db, "SELECT next FROM sink_offset WHERE generation = $1 AND partition = $2",
	    DB_PARAMS(db_int(generation), db_int(partition)), &r, err);

	if (status != RC_OK)
		return status;
	*ret_next = db_rows(r) > 0 ? db_get_int(r, 0, 0) : 0;
	db_result_free(r);
	return RC_OK;
}

enum rc_status lease_sink_reached(struct db *db, int generation, const int64_t *ends, size_t n,
				  bool *ret_reached, struct rc_error *err)
{
	*ret_reached = false;
	for (size_t i = 0; i < n; i++) {
		int64_t next;
		enum rc_status status = lease_sink_next(db, generation, (int32_t)i, &next, err);

		if (status != RC_OK)
			return status;
		if (next < ends[i])
			return RC_OK;
	}
	*ret_reached = true;
	return RC_OK;
}
