/* See migrate.h. */
#include "coordinator/store/migrate.h"

#include <stddef.h>

#include "coordinator/store/db.h"

/* The lock's number: "rcmg". */
#define MIGRATE_LOCK "1919118695"

int migrate_known(void)
{
	int known = 0;

	for (const struct migration *m = migrations; m->version; m++)
		known = m->version;
	return known;
}

/* 0: there is no schema yet. */
static enum rc_status version_read(struct db *db, int *ret_version, struct rc_error *err)
{
	struct db_result *r;
	enum rc_status status;

	status = db_query(db, "SELECT to_regclass('rollcall.schema_version') IS NOT NULL", DB_NONE,
			  &r, err);
	if (status != RC_OK)
		return status;
	*ret_version = 0;
	if (!db_get_bool(r, 0, 0)) {
		db_result_free(r);
		return RC_OK;
	}
	db_result_free(r);
	status = db_query(db, "SELECT coalesce(max(version), 0) FROM rollcall.schema_version",
			  DB_NONE, &r, err);
	if (status != RC_OK)
		return status;
	*ret_version = (int)db_get_int(r, 0, 0);
	db_result_free(r);
	return RC_OK;
}

static enum rc_status too_new(int version, struct rc_error *err)
{
	return rc_error_set(err, RC_CONFLICT,
			    "the database has schema version %d, and this program knows up to %d: "
			    "start a newer rollcall-coordinator, "
			    "or restore a backup made before the upgrade",
			    version, migrate_known());
}

static enum rc_status step(struct db *db, const struct migration *m, struct rc_error *err)
{
	struct rc_error why;
	enum rc_status status = db_begin(db, err);

	if (status != RC_OK)
		return status;
	status = db_exec(db, m->sql, &why);
	if (status == RC_OK)
		status = db_query(
		    db, "INSERT INTO rollcall.schema_version (version, name) VALUES ($1, $2)",
		    DB_PARAMS(db_int(m->version), db_text(m->name)), NULL, &why);
	if (status == RC_OK)
		status = db_commit(db, &why);
	if (status != RC_OK) {
		db_rollback(db);
		return rc_error_set(err, status,
				    "migration %04d_%s failed and left nothing behind: %s",
				    m->version, m->name, why.text);
	}
	return RC_OK;
}

enum rc_status migrate_up(struct db *db, int *ret_applied, struct rc_error *err)
{
	enum rc_status status;
	int version, applied = 0;

	status = db_query(db, "SELECT pg_advisory_lock(" MIGRATE_LOCK ")", DB_NONE, NULL, err);
	if (status != RC_OK)
		return status;
	status = version_read(db, &version, err);
	if (status == RC_OK && version > migrate_known())
		status = too_new(version, err);
	if (status == RC_OK && version == 0)
		status = db_exec(db,
				 "CREATE SCHEMA IF NOT EXISTS rollcall;"
				 "CREATE TABLE IF NOT EXISTS rollcall.schema_version (version int "
				 "PRIMARY KEY, name text NOT NULL,"
				 " applied_at timestamptz NOT NULL DEFAULT now())",
				 err);
	for (const struct migration *m = migrations; status == RC_OK && m->version; m++) {
		if (m->version <= version)
			continue;
		status = step(db, m, err);
		applied++;
	}
	if (db_alive(db)) {
		struct rc_error ignored;

		if (db_query(db, "SELECT pg_advisory_unlock(" MIGRATE_LOCK ")", DB_NONE, NULL,
			     &ignored) != RC_OK &&
		    status == RC_OK)
			status = rc_error_set(err, ignored.status, "%s", ignored.text);
	}
	if (status == RC_OK && ret_applied)
		*ret_applied = applied;
	return status;
}

enum rc_status migrate_check(struct db *db, struct rc_error *err)
{
	int version;
	enum rc_status status = version_read(db, &version, err);

	if (status != RC_OK)
		return status;
	if (version > migrate_known())
		return too_new(version, err);
	if (version < migrate_known())
		return rc_error_set(err, RC_CONFLICT,
				    "the database has schema version %d and %d is needed: run "
				    "`rollcall-coordinator migrate`",
				    version, migrate_known());
	return RC_OK;
}
