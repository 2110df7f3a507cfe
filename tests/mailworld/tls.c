/* See tls.h. */
#include "tests/mailworld/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

enum { VALID_S = 10 * 86400, CHUNK_MAX = 1 << 20 };

struct mw_tls_contexts {
	SSL_CTX *honest, *keyless;
};

struct mw_tls {
	SSL *ssl; /* owns both */
	BIO *in, *out;
};

static void must(bool holds)
{
	if (holds)
		return;
	ERR_print_errors_fp(stderr);
	fprintf(stderr, "mailworld: OpenSSL fails\n");
	abort();
}

/* Nobody verifies it: SMTP between servers encrypts for whoever answers (RFC 3207, 4.1). */
static void add_certificate(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name;

	must(key && certificate);
	must(X509_set_version(certificate, X509_VERSION_3));
	must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1));
	must(X509_gmtime_adj(X509_getm_notBefore(certificate), -86400) &&
	     X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S));
	name = X509_get_subject_name(certificate);
	must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					(const unsigned char *)"mailworld.test", -1, -1, 0));
	must(X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key));
	must(X509_sign(certificate, key, EVP_sha256()) > 0);
	must(SSL_CTX_use_certificate(context, certificate) > 0 &&
	     SSL_CTX_use_PrivateKey(context, key) > 0);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

struct mw_tls_contexts *mw_tls_contexts_new(void)
{
	struct mw_tls_contexts *contexts = calloc(1, sizeof(*contexts));

	must(contexts != NULL);
	contexts->honest = SSL_CTX_new(TLS_server_method());
	contexts->keyless = SSL_CTX_new(TLS_server_method());
	must(contexts->honest && contexts->keyless);
	add_certificate(contexts->honest);
	return contexts;
}

void mw_tls_contexts_free(struct mw_tls_contexts *contexts)
{
	if (!contexts)
		return;
	SSL_CTX_free(contexts->honest);
	SSL_CTX_free(contexts->keyless);
	free(contexts);
}

struct mw_tls *mw_tls_new(struct mw_tls_contexts *contexts, bool keyless)
{
	struct mw_tls *tls = calloc(1, sizeof(*tls));

	must(tls != NULL);
	tls->ssl = SSL_new(keyless ? contexts->keyless : contexts->honest);
	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	must(tls->ssl && tls->in && tls->out);
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	SSL_set_accept_state(tls->ssl);
	return tls;
}

void mw_tls_free(struct mw_tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

bool mw_tls_feed(struct mw_tls *tls, const char *data, size_t len)
{
	int got;

	if (len > CHUNK_MAX || BIO_write(tls->in, data, (int)len) != (int)len)
		return false;
	if (mw_tls_ready(tls))
		return true;
	ERR_clear_error();
	got = SSL_do_handshake(tls->ssl);
	return got == 1 || SSL_get_error(tls->ssl, got) == SSL_ERROR_WANT_READ;
}

bool mw_tls_ready(const struct mw_tls *tls)
{
	return SSL_is_init_finished(tls->ssl);
}

size_t mw_tls_read(struct mw_tls *tls, char *data, size_t room)
{
	size_t got = 0;

	ERR_clear_error();
	return SSL_read_ex(tls->ssl, data, room, &got) == 1 ? got : 0;
}

void mw_tls_write(struct mw_tls *tls, const char *data, size_t len)
{
	size_t written;

	ERR_clear_error();
	if (len)
		(void)SSL_write_ex(tls->ssl, data, len, &written);
}

size_t mw_tls_take(struct mw_tls *tls, const char **ret_data)
{
	char *data = NULL;
	long len = BIO_get_mem_data(tls->out, &data);

	*ret_data = data;
	return len > 0 ? (size_t)len : 0;
}

void mw_tls_taken(struct mw_tls *tls)
{
	(void)BIO_reset(tls->out);
}
