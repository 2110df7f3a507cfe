#include "worker/io/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>

/* OpenSSL holds them twice. Chains of real servers are below 8 KB. */
enum { CERTIFICATES_MAX = 20 * 1024 };

/* Both are one object of OpenSSL's: the names keep them apart. */
struct tls_context {
	SSL_CTX *ssl;
};

struct tls {
	SSL *ssl;
	BIO *in;
	BIO *out;
	bool shaken;
};

enum rc_status tls_context_new(struct tls_context **ret_context, struct rc_error *err)
{
	struct tls_context *context = calloc(1, sizeof(*context));

	if (context == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for TLS");
	context->ssl = SSL_CTX_new(TLS_client_method());
	/* The system's own policy may ask for more; it is meant for those who hand over secrets. */
	if (context->ssl == NULL ||
	    SSL_CTX_set_min_proto_version(context->ssl, TLS1_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(context->ssl, "DEFAULT:@SECLEVEL=0") != 1) {
		tls_context_free(context);
		return rc_error_set(err, RC_UNAVAILABLE, "TLS cannot be set up: %s",
				    ERR_reason_error_string(ERR_peek_last_error()));
	}
	SSL_CTX_set_security_level(context->ssl, 0);
	/* Looked at and noted, never a reason to stop. Authorities are read one by one as needed:
	 * all of them take 30 ms. */
	SSL_CTX_set_verify(context->ssl, SSL_VERIFY_NONE, NULL);
	(void)SSL_CTX_set_default_verify_dir(context->ssl);
	SSL_CTX_set_max_cert_list(context->ssl, CERTIFICATES_MAX);
	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS);
	/* LEGACY_SERVER_CONNECT: servers before RFC 5746. UNEXPECTED_EOF: many hang up without a
	 * word. */
	SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					      SSL_OP_NO_TICKET | SSL_OP_LEGACY_SERVER_CONNECT |
					      SSL_OP_IGNORE_UNEXPECTED_EOF);
	*ret_context = context;
	return RC_OK;
}

void tls_context_free(struct tls_context *context)
{
	if (context == NULL)
		return;
	SSL_CTX_free(context->ssl);
	free(context);
}

static bool is_address(const char *host)
{
	unsigned char octets[16];

	return inet_pton(AF_INET, host, octets) == 1 || inet_pton(AF_INET6, host, octets) == 1;
}

struct tls *tls_new(struct tls_context *context, const char *host)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (tls == NULL)
		return NULL;
	ERR_clear_error();
	tls->ssl = SSL_new(context->ssl);
	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL) {
		BIO_free(tls->in);
		BIO_free(tls->out);
		SSL_free(tls->ssl);
		free(tls);
		return NULL;
	}
	/* Empty means "not yet", never the end: the socket tells of that. */
	BIO_set_mem_eof_return(tls->in, -1);
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	SSL_set_connect_state(tls->ssl);
	if (host != NULL && host[0] != '\0' && !is_address(host) &&
	    (SSL_set_tlsext_host_name(tls->ssl, host) != 1 || SSL_set1_host(tls->ssl, host) != 1)) {
		tls_free(tls);
		return NULL;
	}
	return tls;
}

void tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl); /* and both BIOs */
	free(tls);
}

bool tls_feed(struct tls *tls, const char *data, size_t len)
{
	return len <= INT_MAX && BIO_write(tls->in, data, (int)len) == (int)len;
}

static enum tls_said said(const struct tls *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return TLS_MORE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_END;
	default:
		return TLS_BROKEN;
	}
}

/* A memory BIO keeps the room of the largest flight it ever held; what follows are single lines. */
static void give_back(struct tls *tls)
{
	BIO *in = BIO_pending(tls->in) == 0 ? BIO_new(BIO_s_mem()) : NULL;

	if (in == NULL)
		return;
	BIO_set_mem_eof_return(in, -1);
	SSL_set0_rbio(tls->ssl, in); /* frees the old one */
	tls->in = in;
}

enum tls_said tls_shake(struct tls *tls)
{
	ERR_clear_error();
	const int result = SSL_do_handshake(tls->ssl);

	if (result == 1) {
		tls->shaken = true;
		give_back(tls);
		return TLS_DONE;
	}
	const enum tls_said what = said(tls, result);

	return what == TLS_END ? TLS_BROKEN : what;
}

bool tls_shaken(const struct tls *tls)
{
	return tls->shaken;
}

enum tls_said tls_read(struct tls *tls, char *plain, size_t size, size_t *ret_len)
{
	ERR_clear_error();
	const int n = SSL_read(tls->ssl, plain, size < INT_MAX ? (int)size : INT_MAX);

	if (n <= 0)
		return said(tls, n);
	*ret_len = (size_t)n;
	return TLS_DONE;
}

bool tls_write(struct tls *tls, const char *data, size_t len)
{
	ERR_clear_error();
	return len > 0 && len <= INT_MAX && SSL_write(tls->ssl, data, (int)len) == (int)len;
}

void tls_close(struct tls *tls)
{
	ERR_clear_error();
	(void)SSL_shutdown(tls->ssl);
}

const char *tls_wire(const struct tls *tls, size_t *ret_len)
{
	char *data = NULL;
	const long len = BIO_get_mem_data(tls->out, &data);

	*ret_len = len > 0 ? (size_t)len : 0;
	return data;
}

void tls_sent(struct tls *tls)
{
	(void)BIO_reset(tls->out);
}

const char *tls_version(const struct tls *tls)
{
	return SSL_get_version(tls->ssl);
}

const char *tls_cipher(const struct tls *tls)
{
	return SSL_get_cipher_name(tls->ssl);
}

const char *tls_unverified(const struct tls *tls)
{
	const long result = SSL_get_verify_result(tls->ssl);

	return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}
