/* See measured.h. */
#include "coordinator/store/measured.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/store/batch.h"
#include "coordinator/store/db.h"

enum { JOBS = 1024, CONTROLS_MAX = 256 };

struct tenant {
	struct tenant *next;
	int id;
	int64_t looked_at_ms, read_at_ms; /* 0: not yet */
	int64_t imports, outcomes;	  /* then */
	struct posteriors *posteriors;
};

struct control {
	const struct rc_provider *provider; /* NULL: none */
	int64_t accepted, refused;
};

struct measured {
	struct {
		int64_t job;
		int tenant;
	} jobs[JOBS]; /* whose job it is never changes: the latest one of each slot */
	struct tenant *tenants;
	struct control controls[CONTROLS_MAX];
	size_t control_count;
};

struct measured *measured_new(void)
{
	return calloc(1, sizeof(struct measured));
}

void measured_free(struct measured *m)
{
	if (!m)
		return;
	while (m->tenants) {
		struct tenant *t = m->tenants;

		m->tenants = t->next;
		posteriors_free(t->posteriors);
		free(t);
	}
	free(m);
}

/* ------------------------------------------------------------------------------------------------
 * reading */

static enum rc_status tenant_of(struct measured *m, struct db *db, int64_t job, int *ret_tenant,
				struct rc_error *err)
{
	size_t slot = (uint64_t)job % JOBS;
	struct db_result *r;
	enum rc_status status;

	if (m->jobs[slot].job != job) {
		status = db_query_kept(db, "SELECT tenant FROM job WHERE id = $1::bigint",
				       DB_PARAMS(db_int(job)), &r, err);
		if (status != RC_OK)
			return status;
		m->jobs[slot].job = db_rows(r) ? job : 0;
		m->jobs[slot].tenant = db_rows(r) ? (int)db_get_int(r, 0, 0) : 0;
		db_result_free(r);
	}
	*ret_tenant = m->jobs[slot].tenant;
	return RC_OK;
}

static enum rc_status no_memory(struct rc_error *err)
{
	return rc_error_set(err, RC_NO_MEMORY, "no memory for measured scores");
}

enum rc_status measured_load(struct db *db, int tenant, struct posteriors *p, struct rc_error *err)
{
	struct db_result *r;
	bool fits = true;
	enum rc_status status = db_query_kept(
	    db,
	    "SELECT reason, provider, evidence, sum(delivered)::bigint, sum(bounced)::bigint FROM "
	    "outcome_bucket WHERE tenant = $1::int GROUP BY 1, 2, 3",
	    DB_PARAMS(db_int(tenant)), &r, err);

	if (status != RC_OK)
		return status;
	for (int i = 0; i < db_rows(r) && fits; i++)
		fits = posteriors_add(p, (enum rc_reason)db_get_int(r, i, 0), db_get_text(r, i, 1),
				      (enum score_evidence)db_get_int(r, i, 2), db_get_int(r, i, 3),
				      db_get_int(r, i, 4));
	db_result_free(r);
	if (fits)
		status = db_query_kept(
		    db,
		    "SELECT provider, sum(accepted)::bigint, sum(refused)::bigint FROM "
		    "control_count WHERE honesty = $1::smallint GROUP BY 1",
		    DB_PARAMS(db_int(RC_INCONSISTENT)), &r, err);
	if (!fits || status != RC_OK)
		return fits ? status : no_memory(err);
	for (int i = 0; i < db_rows(r) && fits; i++)
		fits = posteriors_add_controls(p, db_get_text(r, i, 0), db_get_int(r, i, 1),
					       db_get_int(r, i, 2));
	db_result_free(r);
	return fits ? RC_OK : no_memory(err);
}

static struct tenant *tenant_find(struct measured *m, int id)
{
	struct tenant *t = m->tenants;

	while (t && t->id != id)
		t = t->next;
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->id = id;
	t->posteriors = posteriors_new();
	if (!t->posteriors) {
		free(t);
		return NULL;
	}
	t->next = m->tenants;
	m->tenants = t;
	return t;
}

/* Once a batch: whether something was imported since. */
static enum rc_status look(struct tenant *t, struct db *db, int64_t now_ms, struct rc_error *err)
{
	struct db_result *r;
	int64_t imports, outcomes;
	enum rc_status status =
	    db_query_kept(db,
			  "SELECT count(*), coalesce(sum(delivered + bounced), 0)::bigint FROM "
			  "outcome_import WHERE tenant = $1::int",
			  DB_PARAMS(db_int(t->id)), &r, err);

	if (status != RC_OK)
		return status;
	imports = db_get_int(r, 0, 0);
	outcomes = db_get_int(r, 0, 1);
	db_result_free(r);
	/* Old also where the clock was set back. */
	if (t->read_at_ms == 0 || imports != t->imports || outcomes != t->outcomes ||
	    now_ms < t->read_at_ms || now_ms - t->read_at_ms > MEASURED_KEEP_MS) {
		t->read_at_ms = 0;
		posteriors_clear(t->posteriors);
		status = measured_load(db, t->id, t->posteriors, err);
		if (status != RC_OK)
			return status;
		t->read_at_ms = now_ms;
		t->imports = imports;
		t->outcomes = outcomes;
	}
	t->looked_at_ms = now_ms;
	return RC_OK;
}

enum rc_status measured_of_job(struct measured *m, struct db *db, int64_t job, int64_t now_ms,
			       const struct posteriors **ret_posteriors, struct rc_error *err)
{
	enum rc_status status;
	struct tenant *t;
	int tenant = 0;

	*ret_posteriors = NULL;
	if (!m)
		return RC_OK;
	status = tenant_of(m, db, job, &tenant, err);
	if (status != RC_OK || tenant == 0)
		return status;
	t = tenant_find(m, tenant);
	if (!t)
		return no_memory(err);
	if (t->looked_at_ms != now_ms)
		status = look(t, db, now_ms, err);
	if (status != RC_OK)
		return status;
	*ret_posteriors = t->posteriors;
	return RC_OK;
}

/* ------------------------------------------------------------------------------------------------
 * controls */

void measured_control(struct measured *m, const struct rc_provider *provider, bool accepted)
{
	struct control *c = m->controls;

	while (c < m->controls + m->control_count && c->provider != provider)
		c++;
	if (c == m->controls + CONTROLS_MAX)
		return; /* more providers than anybody has a profile for: these go uncounted */
	if (c == m->controls + m->control_count) {
		*c = (struct control){ .provider = provider };
		m->control_count++;
	}
	if (accepted)
		c->accepted++;
	else
		c->refused++;
}

void measured_clear(struct measured *m)
{
	m->control_count = 0;
}

enum rc_status measured_flush(struct measured *m, struct db *db, int counter, struct rc_error *err)
{
	struct batch batch;
	enum rc_status status;

	if (m->control_count == 0)
		return RC_OK;
	batch_init(&batch, 4);
	for (size_t i = 0; i < m->control_count; i++) {
		const struct control *c = &m->controls[i];

		batch_text(&batch, c->provider ? c->provider->name : "");
		batch_int(&batch, c->provider ? c->provider->honesty : RC_HONEST);
		batch_int(&batch, c->accepted);
		batch_int(&batch, c->refused);
	}
	status = batch_flush(
	    &batch, db,
	    "INSERT INTO control_count AS c (provider, honesty, sink, accepted, refused) SELECT "
	    "u.provider, u.honesty, $5::int, sum(u.accepted), sum(u.refused) FROM "
	    "unnest($1::text[], $2::smallint[], $3::bigint[], $4::bigint[]) AS u(provider, "
	    "honesty, accepted, refused) GROUP BY 1, 2 ORDER BY 1, 2 "
	    "ON CONFLICT (provider, honesty, sink) DO UPDATE SET accepted = c.accepted + "
	    "excluded.accepted, refused = c.refused + excluded.refused",
	    DB_PARAMS(db_int(counter)), NULL, err);
	batch_done(&batch);
	measured_clear(m);
	return status;
}
