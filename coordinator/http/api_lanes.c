/* Lanes: who may send, how they stand and why; draining and activating them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "coordinator/core/standing.h"
#include "coordinator/core/warmup.h"
#include "coordinator/http/api.h"
#include "coordinator/store/db.h"
#include "coordinator/store/lanes.h"

enum { REASON_MAX = 700 };

/* Of proto's LaneFitness. */
static const char *fitness_name(int64_t fitness)
{
	static const char *const names[] = { "unknown", "checking", "fit", "unfit", "overridden" };

	return names[fitness >= 0 && fitness < 5 ? fitness : 0];
}

static json_t *text(const struct db_result *r, int row, int column)
{
	return json_safe(db_get_text(r, row, column), db_get_len(r, row, column));
}

static json_t *text_or_null(const struct db_result *r, int row, int column)
{
	return db_get_len(r, row, column) > 0 ? text(r, row, column) : json_null();
}

static json_t *time_or_null(const struct db_result *r, int row, int column)
{
	return db_is_null(r, row, column) ? json_null() : json_time(db_get_int(r, row, column));
}

static json_t *list(const struct db_result *r, int row, int column)
{
	return json_stored(db_get_text(r, row, column), db_get_len(r, row, column));
}

static const char *str(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

/* The worst of its MX groups, with its reason. Greylisting is one, and no fault. */
static enum lane_health worst(const json_t *providers, char ret_reason[REASON_MAX])
{
	enum lane_health health = LANE_OK;
	size_t i;
	json_t *p;

	ret_reason[0] = '\0';
	json_array_foreach(providers, i, p)
	{
		for (int h = LANE_SLOW; h < LANE_HEALTHS; h++) {
			if (strcmp(lane_health_name((enum lane_health)h), str(p, "health")) != 0 ||
			    !lane_health_worse((enum lane_health)h, health))
				continue;
			health = (enum lane_health)h;
			snprintf(ret_reason, REASON_MAX, "%s at %.200s: %.400s", str(p, "health"),
				 str(p, "mx_group"), str(p, "reason"));
		}
	}
	return health == LANE_GREYLISTED ? LANE_OK : health;
}

/* The offer of its holder, else the newest. */
static const json_t *offer_of(const json_t *offers, const char *worker)
{
	size_t i;
	json_t *offer;

	json_array_foreach(offers, i, offer)
	{
		if (*worker && strcmp(str(offer, "worker"), worker) == 0)
			return offer;
	}
	return json_array_get(offers, 0);
}

static enum lane_state state_of(const struct db_result *r, int row, const json_t *offer,
				bool warming, char ret_reason[REASON_MAX])
{
	bool granted = db_get_bool(r, row, LANES_GRANTED);
	bool draining = !db_is_null(r, row, LANES_DRAINING);

	ret_reason[0] = '\0';
	if (!granted && offer && json_is_true(json_object_get(offer, "fresh")) &&
	    *str(offer, "refused")) {
		snprintf(ret_reason, REASON_MAX, "%s", str(offer, "refused"));
		return LANE_UNFIT;
	}
	if (!granted) {
		snprintf(ret_reason, REASON_MAX, "no worker holds it");
		return LANE_DEAD;
	}
	if (draining) {
		snprintf(ret_reason, REASON_MAX, "an admin said so: it takes nothing new");
		return LANE_DRAINING;
	}
	if (warming)
		snprintf(ret_reason, REASON_MAX, "it is new: see warming_up");
	return warming ? LANE_WARMING_UP : LANE_ACTIVE;
}

static json_t *lane_json(struct request *r, const struct db_result *result, int row)
{
	json_t *providers = list(result, row, LANES_HOLDS);
	json_t *offers = list(result, row, LANES_OFFERS);
	const json_t *offer = offer_of(offers, db_get_text(result, row, LANES_WORKER));
	char reason[REASON_MAX], health_reason[REASON_MAX];
	int64_t day = db_get_int(result, row, LANES_DAY);
	uint32_t most = 0;
	bool warming =
	    !db_is_null(result, row, LANES_DAY) && r->api->params.warmup &&
	    warmup_limit(r->api->params.warmup, (int)(day < 100000 ? day : 100000), &most);
	enum lane_state state = state_of(result, row, offer, warming, reason);
	enum lane_health health = worst(providers, health_reason);
	json_t *o = json_object();

	json_object_set_new(o, "lane",
			    db_is_null(result, row, LANES_NUMBER)
				? json_null()
				: json_integer(db_get_int(result, row, LANES_NUMBER)));
	json_object_set_new(o, "name", text(result, row, LANES_NAME));
	json_object_set_new(o, "state", json_string(lane_state_name(state)));
	json_object_set_new(o, "reason", *reason ? json_safe(reason, strlen(reason)) : json_null());
	json_object_set_new(o, "health", json_string(lane_health_name(health)));
	json_object_set_new(o, "health_reason",
			    *health_reason ? json_safe(health_reason, strlen(health_reason))
					   : json_null());
	json_object_set_new(o, "providers", providers);
	json_object_set_new(o, "public_address", text_or_null(result, row, LANES_PUBLIC));
	json_object_set_new(o, "bind_address", text_or_null(result, row, LANES_BIND));
	json_object_set_new(o, "helo", text_or_null(result, row, LANES_HELO));
	json_object_set_new(o, "mail_from", text_or_null(result, row, LANES_MAIL_FROM));
	json_object_set_new(o, "granted", json_boolean(db_get_bool(result, row, LANES_GRANTED)));
	json_object_set_new(o, "worker", text_or_null(result, row, LANES_WORKER));
	json_object_set_new(o, "epoch", json_integer(db_get_int(result, row, LANES_EPOCH)));
	json_object_set_new(o, "first_seen_at", time_or_null(result, row, LANES_FIRST_SEEN));
	json_object_set_new(o, "last_seen_at", time_or_null(result, row, LANES_LAST_SEEN));
	json_object_set_new(o, "draining_since", time_or_null(result, row, LANES_DRAINING));
	json_object_set_new(o, "warming_up",
			    warming ? json_pack("{s:I, s:I, s:I}", "day", (json_int_t)day + 1,
						"recipients_a_day", (json_int_t)most, "sent",
						(json_int_t)db_get_int(result, row, LANES_SENT))
				    : json_null());
	json_object_set_new(
	    o, "fitness",
	    json_string(
		fitness_name(offer ? json_integer_value(json_object_get(offer, "fitness")) : 0)));
	json_object_set_new(o, "checked_at",
			    offer && json_object_get(offer, "checked_at")
				? json_incref(json_object_get(offer, "checked_at"))
				: json_null());
	json_object_set_new(o, "findings",
			    offer && json_object_get(offer, "findings")
				? json_incref(json_object_get(offer, "findings"))
				: json_array());
	json_decref(offers);
	return o;
}

static json_t *lanes_json(struct request *r, const char *name, struct rc_error *err)
{
	struct db_result *result;
	json_t *lanes = json_array();

	if (lanes_read(r->db, name, &result, err) != RC_OK) {
		json_decref(lanes);
		return NULL;
	}
	for (int i = 0; i < db_rows(result); i++)
		json_array_append_new(lanes, lane_json(r, result, i));
	db_result_free(result);
	return lanes;
}

void call_lanes(struct request *r)
{
	struct db_result *result;
	struct rc_error err;
	json_t *lanes = lanes_json(r, NULL, &err), *pauses;

	if (!lanes || lanes_pauses(r->db, &result, &err) != RC_OK) {
		json_decref(lanes);
		reply_error(r, &err);
		return;
	}
	pauses = list(result, 0, 0);
	db_result_free(result);
	reply_json(r, MHD_HTTP_OK, json_pack("{s:o, s:o}", "lanes", lanes, "pauses", pauses));
}

void call_lane(struct request *r)
{
	struct db_result *result;
	struct rc_error err;
	json_t *lanes = lanes_json(r, r->id, &err), *lane;

	if (!lanes) {
		reply_error(r, &err);
		return;
	}
	if (json_array_size(lanes) == 0) {
		json_decref(lanes);
		reply_problem(r, MHD_HTTP_NOT_FOUND, "not-found", "there is no lane %.64s", r->id);
		return;
	}
	lane = json_incref(json_array_get(lanes, 0));
	json_decref(lanes);
	if (lanes_moves(r->db, r->id, r->key.tenant, r->key.client, &result, &err) != RC_OK) {
		json_decref(lane);
		reply_error(r, &err);
		return;
	}
	json_object_set_new(lane, "moves", list(result, 0, 0));
	db_result_free(result);
	reply_json(r, MHD_HTTP_OK, lane);
}

static void set_draining(struct request *r, bool draining)
{
	struct rc_error err;
	bool found;

	if (lanes_drain(r->db, r->id, draining, &found, &err) != RC_OK) {
		reply_error(r, &err);
		return;
	}
	if (!found) {
		reply_problem(r, MHD_HTTP_NOT_FOUND, "not-found", "there is no lane %.64s", r->id);
		return;
	}
	rc_log(RC_LOG_INFO, draining ? "lane_drain_asked" : "lane_activate_asked",
	       "lane=%s key=%lld", r->id, (long long)r->key.id);
	tell_changed(r);
	call_lane(r);
}

void call_lane_drain(struct request *r)
{
	set_draining(r, true);
}

void call_lane_activate(struct request *r)
{
	set_draining(r, false);
}
