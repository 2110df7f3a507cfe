/* See seal.h. */
#include "common/kafka/seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/random.h"

enum { PLAIN = 0x01, SEALED = 0x02, KEY_LEN = 32, NONCE_LEN = 12, TAG_LEN = 16 };

struct rc_seal {
	EVP_CIPHER_CTX *lock; /* keyed once, a nonce for each message; NULL: no key */
	EVP_CIPHER_CTX *open;
};

/* RFC 5869, with an empty salt. */
static bool derive(const char *message_key, unsigned char ret_key[KEY_LEN])
{
	static char digest[] = "SHA256", info[] = "rollcall payload 1";
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(
		    OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)message_key, strlen(message_key)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info) - 1),
		OSSL_PARAM_construct_end(),
	};
	bool good = ctx && EVP_KDF_derive(ctx, ret_key, KEY_LEN, params) > 0;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return good;
}

static bool set_key(struct rc_seal *seal, const char *message_key)
{
	unsigned char key[KEY_LEN];
	bool good;

	seal->lock = EVP_CIPHER_CTX_new();
	seal->open = EVP_CIPHER_CTX_new();
	good = seal->lock && seal->open && derive(message_key, key) &&
	       EVP_EncryptInit_ex(seal->lock, EVP_aes_256_gcm(), NULL, key, NULL) > 0 &&
	       EVP_DecryptInit_ex(seal->open, EVP_aes_256_gcm(), NULL, key, NULL) > 0;
	OPENSSL_cleanse(key, sizeof(key));
	return good;
}

enum rc_status rc_seal_new(const char *message_key, struct rc_seal **ret_seal, struct rc_error *err)
{
	bool keyed = message_key && *message_key;
	struct rc_seal *seal;

	if (keyed && strlen(message_key) < RC_MESSAGE_KEY_MIN)
		return rc_error_set(err, RC_INVALID,
				    "the message key has fewer than %d characters; `openssl rand "
				    "-hex 32` makes a good one",
				    RC_MESSAGE_KEY_MIN);
	seal = calloc(1, sizeof(*seal));
	if (!seal)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory");
	if (keyed && !set_key(seal, message_key)) {
		rc_seal_free(seal);
		return rc_error_set(err, RC_BROKEN, "OpenSSL offers no AES-256-GCM or no HKDF");
	}
	*ret_seal = seal;
	return RC_OK;
}

void rc_seal_free(struct rc_seal *seal)
{
	if (!seal)
		return;
	EVP_CIPHER_CTX_free(seal->lock);
	EVP_CIPHER_CTX_free(seal->open);
	free(seal);
}

bool rc_seal_has_key(const struct rc_seal *seal)
{
	return seal->lock != NULL;
}

/* Takes back what was appended. */
static void cut_back(struct rc_buf *out, size_t len)
{
	if (out->data && out->len > len) {
		OPENSSL_cleanse(out->data + len, out->len - len);
		out->len = len;
		out->data[len] = '\0';
	}
}

static bool encrypt(EVP_CIPHER_CTX *ctx, const char *topic, const unsigned char *nonce,
		    unsigned char *text, size_t len, unsigned char *ret_tag)
{
	unsigned char rest[16];
	int n;

	return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) > 0 &&
	       EVP_EncryptUpdate(ctx, NULL, &n, (const unsigned char *)topic, (int)strlen(topic)) >
		   0 &&
	       EVP_EncryptUpdate(ctx, text, &n, text, (int)len) > 0 && (size_t)n == len &&
	       EVP_EncryptFinal_ex(ctx, rest, &n) > 0 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, ret_tag) > 0;
}

static bool decrypt(EVP_CIPHER_CTX *ctx, const char *topic, const unsigned char *nonce,
		    unsigned char *text, size_t len, const unsigned char *tag)
{
	unsigned char rest[16], copy[TAG_LEN];
	int n;

	memcpy(copy, tag, sizeof(copy));
	return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) > 0 &&
	       EVP_DecryptUpdate(ctx, NULL, &n, (const unsigned char *)topic, (int)strlen(topic)) >
		   0 &&
	       EVP_DecryptUpdate(ctx, text, &n, text, (int)len) > 0 && (size_t)n == len &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, copy) > 0 &&
	       EVP_DecryptFinal_ex(ctx, rest, &n) > 0;
}

enum rc_status rc_seal_wrap(struct rc_seal *seal, const char *topic, const void *plain, size_t len,
			    struct rc_buf *out, struct rc_error *err)
{
	unsigned char head[1 + NONCE_LEN] = { seal->lock ? SEALED : PLAIN }, tag[TAG_LEN];
	size_t start = out->len, text;

	if (len > RC_SEAL_MAX - RC_SEAL_OVERHEAD)
		return rc_error_set(err, RC_LIMIT,
				    "a message of %zu octets is over the limit of %d", len,
				    RC_SEAL_MAX - RC_SEAL_OVERHEAD);
	if (seal->lock)
		rc_random_bytes(head + 1, NONCE_LEN);
	rc_buf_add(out, head, seal->lock ? sizeof(head) : 1);
	text = out->len;
	rc_buf_add(out, plain, len);
	if (seal->lock && !out->failed) {
		if (!encrypt(seal->lock, topic, head + 1, (unsigned char *)out->data + text, len,
			     tag)) {
			cut_back(out, start);
			return rc_error_set(err, RC_BROKEN, "OpenSSL could not seal a message");
		}
		rc_buf_add(out, tag, sizeof(tag));
	}
	if (out->failed) {
		cut_back(out, start);
		return rc_error_set(err, RC_NO_MEMORY, "no room for a message of %zu octets", len);
	}
	return RC_OK;
}

enum rc_status rc_seal_open(struct rc_seal *seal, const char *topic, const void *data, size_t len,
			    struct rc_buf *out, struct rc_error *err)
{
	const unsigned char *octets = data;
	size_t start = out->len, body;

	if (len == 0)
		return rc_error_set(err, RC_INVALID, "the message is empty");
	if (len > RC_SEAL_MAX)
		return rc_error_set(err, RC_INVALID,
				    "the message has %zu octets, over the limit of %d", len,
				    RC_SEAL_MAX);
	if (octets[0] != PLAIN && octets[0] != SEALED)
		return rc_error_set(err, RC_INVALID, "the message's framing 0x%02x is unknown",
				    octets[0]);
	if (octets[0] == PLAIN && seal->lock)
		return rc_error_set(err, RC_INVALID,
				    "the message is not sealed, and a message key is set here");
	if (octets[0] == SEALED && !seal->lock)
		return rc_error_set(err, RC_INVALID,
				    "the message is sealed, and no message key is set here");
	if (octets[0] == PLAIN) {
		rc_buf_add(out, octets + 1, len - 1);
		return out->failed ? rc_error_set(err, RC_NO_MEMORY,
						  "no room for a message of %zu octets", len)
				   : RC_OK;
	}
	if (len < RC_SEAL_OVERHEAD)
		return rc_error_set(err, RC_INVALID, "the sealed message is cut short");
	body = len - RC_SEAL_OVERHEAD;
	rc_buf_add(out, octets + 1 + NONCE_LEN, body);
	if (out->failed)
		return rc_error_set(err, RC_NO_MEMORY, "no room for a message of %zu octets", len);
	if (!decrypt(seal->open, topic, octets + 1, (unsigned char *)out->data + start, body,
		     octets + len - TAG_LEN)) {
		cut_back(out, start);
		return rc_error_set(
		    err, RC_INVALID,
		    "the message's seal does not hold: another key, another topic, or forged");
	}
	return RC_OK;
}
