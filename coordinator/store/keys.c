#include "coordinator/store/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/random.h"
#include "coordinator/store/db.h"

enum { SECRET_SIZE = 32, KEY_RANDOM = 40, MAC_SIZE = 32 };

static const char *const role_names[] = { "", "read", "submit", "admin" };

enum key_role key_role_find(const char *name)
{
	for (int i = KEY_READ; i <= KEY_ADMIN; i++)
		if (name && strcmp(name, role_names[i]) == 0)
			return (enum key_role)i;
	return 0;
}

const char *key_role_name(enum key_role role)
{
	return role_names[role];
}

/* The database's own secret; the first who asks makes it. */
static enum rc_status secret_load(struct db *db, unsigned char ret_secret[SECRET_SIZE],
				  struct rc_error *err)
{
	static const char read[] = "SELECT secret FROM server_secret WHERE name = 'api_key'";
	struct db_result *result = NULL;
	const uint8_t *octets;
	size_t len = 0;
	enum rc_status status = db_query_kept(db, read, DB_NONE, &result, err);

	if (status == RC_OK && db_rows(result) == 0) {
		unsigned char fresh[SECRET_SIZE];

		db_result_free(result);
		result = NULL;
		rc_random_bytes(fresh, sizeof(fresh));
		status = db_query(db,
				  "INSERT INTO server_secret(name, secret) VALUES ('api_key', $1) "
				  "ON CONFLICT DO NOTHING",
				  DB_PARAMS(db_bytes(fresh, sizeof(fresh))), NULL, err);
		if (status == RC_OK)
			status = db_query_kept(db, read, DB_NONE, &result, err);
	}
	if (status != RC_OK)
		return status;
	octets = db_rows(result) ? db_get_bytes(result, 0, 0, &len) : NULL;
	if (!octets || len != SECRET_SIZE)
		status = rc_error_set(
		    err, RC_BROKEN,
		    "the secret of the API keys is missing from the database, or damaged");
	else
		memcpy(ret_secret, octets, SECRET_SIZE);
	db_result_free(result);
	return status;
}

static enum rc_status key_mac(struct db *db, const char *key, size_t len,
			      unsigned char ret_mac[MAC_SIZE], struct rc_error *err)
{
	unsigned char secret[SECRET_SIZE], mac[EVP_MAX_MD_SIZE];
	unsigned int mac_len = 0;
	enum rc_status status = secret_load(db, secret, err);

	if (status != RC_OK)
		return status;
	if (!HMAC(EVP_sha256(), secret, SECRET_SIZE, (const unsigned char *)key, len, mac,
		  &mac_len) ||
	    mac_len != MAC_SIZE)
		return rc_error_set(err, RC_BROKEN, "OpenSSL refuses HMAC-SHA256");
	memcpy(ret_mac, mac, MAC_SIZE);
	return RC_OK;
}

enum rc_status keys_create(struct db *db, const char *tenant, const char *client,
			   enum key_role role, const char *name, long long expires_s,
			   char ret_key[KEY_TEXT_MAX], struct rc_error *err)
{
	static const char alphabet[] =
	    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char key[KEY_TEXT_MAX] = "rc_";
	unsigned char mac[MAC_SIZE];
	enum rc_status status;

	for (size_t i = 0; i < KEY_RANDOM; i++)
		key[3 + i] = alphabet[rc_random_below(sizeof(alphabet) - 1)];
	key[3 + KEY_RANDOM] = '\0';
	status = key_mac(db, key, strlen(key), mac, err);
	if (status == RC_OK)
		status = db_query(db, "INSERT INTO tenant(name) VALUES ($1) ON CONFLICT DO NOTHING",
				  DB_PARAMS(db_text(tenant)), NULL, err);
	if (status == RC_OK)
		status = db_query(
		    db,
		    "INSERT INTO api_key(tenant, client, role, name, hmac, expires_at) "
		    "SELECT id, $2, $3, $4, $5, now() + make_interval(secs => $6::float8) FROM "
		    "tenant WHERE name = $1",
		    DB_PARAMS(db_text(tenant), db_text(client), db_text(key_role_name(role)),
			      db_text(name ? name : ""), db_bytes(mac, MAC_SIZE),
			      expires_s > 0 ? db_int(expires_s) : db_null()),
		    NULL, err);
	if (status == RC_OK)
		memcpy(ret_key, key, sizeof(key));
	return status;
}

enum rc_status keys_check(struct db *db, const char *key, size_t len, struct key *ret_key,
			  struct rc_error *err)
{
	unsigned char mac[MAC_SIZE];
	struct db_result *result = NULL;
	enum rc_status status;

	if (len < 8 || len >= KEY_TEXT_MAX || memcmp(key, "rc_", 3) != 0)
		return rc_error_set(err, RC_DENIED, "this is not a Rollcall key");
	status = key_mac(db, key, len, mac, err);
	if (status == RC_OK)
		status = db_query_kept(
		    db,
		    "SELECT id, tenant, role, coalesce(client, '') FROM api_key WHERE hmac = $1 "
		    "AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
		    DB_PARAMS(db_bytes(mac, MAC_SIZE)), &result, err);
	if (status != RC_OK)
		return status;
	if (db_rows(result) == 0) {
		status = rc_error_set(err, RC_DENIED, "the key is unknown, revoked or expired");
	} else {
		ret_key->id = (int)db_get_int(result, 0, 0);
		ret_key->tenant = (int)db_get_int(result, 0, 1);
		ret_key->role = key_role_find(db_get_text(result, 0, 2));
		snprintf(ret_key->client, sizeof(ret_key->client), "%s", db_get_text(result, 0, 3));
	}
	db_result_free(result);
	return status;
}

/* What stands in the file, without its line end; "" when there is none. */
static void read_key_file(const char *path, char ret_key[KEY_TEXT_MAX])
{
	FILE *f = fopen(path, "re");

	ret_key[0] = '\0';
	if (!f)
		return;
	if (!fgets(ret_key, KEY_TEXT_MAX, f))
		ret_key[0] = '\0';
	ret_key[strcspn(ret_key, "\r\n")] = '\0';
	fclose(f);
}

static enum rc_status write_key_file(const char *path, const char *key, struct rc_error *err)
{
	char line[KEY_TEXT_MAX + 1];
	char *fresh = NULL;
	enum rc_status status = RC_OK;
	int len = snprintf(line, sizeof(line), "%s\n", key);
	int fd;

	if (asprintf(&fresh, "%s.new", path) < 0)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	(void)unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)len) != len || fsync(fd) != 0 ||
	    rename(fresh, path) != 0) {
		status = rc_error_set(err, RC_DENIED, "the key cannot be written to %s: %s", path,
				      strerror(errno));
		(void)unlink(fresh);
	}
	if (fd >= 0)
		close(fd);
	free(fresh);
	return status;
}

enum rc_status keys_first(struct db *db, const char *path, struct rc_error *err)
{
	char key[KEY_TEXT_MAX];
	struct key found = { .id = 0 };
	enum rc_status status = RC_DENIED;

	read_key_file(path, key);
	if (*key)
		status = keys_check(db, key, strlen(key), &found, err);
	if (status == RC_OK && found.role == KEY_ADMIN)
		return RC_OK;
	if (status != RC_OK && status != RC_DENIED)
		return status;
	status = keys_create(db, "default", NULL, KEY_ADMIN, "first", 0, key, err);
	if (status == RC_OK)
		status = write_key_file(path, key, err);
	return status;
}
