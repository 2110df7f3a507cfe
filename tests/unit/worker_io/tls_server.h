/*
 * tls_server - the other end of STARTTLS for the tests: OpenSSL's own server on an accepted socket,
 * with a certificate of its own making. Header only; fails the test that uses it.
 */
#ifndef TESTS_UNIT_WORKER_IO_TLS_SERVER_H
#define TESTS_UNIT_WORKER_IO_TLS_SERVER_H

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* `padding`: octets that the certificate is made larger by. */
static inline SSL_CTX *tls_server_new(size_t padding)
{
	SSL_CTX *server = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	assert_non_null(server);
	assert_non_null(key);
	assert_non_null(certificate);
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
				   (const unsigned char *)"mx.example.test", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	if (padding > 0) {
		char *comment = calloc(1, padding + 1);

		memset(comment, 'x', padding);
		X509_EXTENSION *extension =
		    X509V3_EXT_conf_nid(NULL, NULL, NID_netscape_comment, comment);

		assert_non_null(extension);
		X509_add_ext(certificate, extension, -1);
		X509_EXTENSION_free(extension);
		free(comment);
	}
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(server, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(server, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return server;
}

#endif
