/*
 * keys - API keys: who may do what. Only an HMAC-SHA256 of each key is stored, under a secret made
 * once per database.
 *
 * A key is "rc_" and 40 random letters and digits. Errors are sentences of the database; a key that
 * does not fit is RC_DENIED.
 */
#ifndef ROLLCALL_COORDINATOR_STORE_KEYS_H
#define ROLLCALL_COORDINATOR_STORE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/status.h"

struct db;

enum { KEY_TEXT_MAX = 64, KEY_CLIENT_MAX = 128 };

enum key_role { KEY_READ = 1, KEY_SUBMIT, KEY_ADMIN }; /* each may what those before it may */

struct key {
	int id;
	int tenant;
	enum key_role role;
	char client[KEY_CLIENT_MAX]; /* "": the whole tenant */
};

/* "read" "submit" "admin"; 0 for anything else. */
enum key_role key_role_find(const char *name);
const char *key_role_name(enum key_role role);

/* `tenant`: its name, made when new. `client` NULL: none. `expires_s` 0: never. */
enum rc_status keys_create(struct db *db, const char *tenant, const char *client,
			   enum key_role role, const char *name, long long expires_s,
			   char ret_key[KEY_TEXT_MAX], struct rc_error *err) RC_MUST_CHECK;
/* RC_DENIED: unknown, revoked or expired. */
enum rc_status keys_check(struct db *db, const char *key, size_t len, struct key *ret_key,
			  struct rc_error *err) RC_MUST_CHECK;
/*
 * Single-node mode: `path` (0600, one line) holds an admin key of this database afterwards. A file
 * whose key fits is left as it is; otherwise a key is made and the file replaced at once, never
 * half written.
 */
enum rc_status keys_first(struct db *db, const char *path, struct rc_error *err) RC_MUST_CHECK;

#endif
