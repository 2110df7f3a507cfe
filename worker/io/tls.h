/*
 * tls - the client side of STARTTLS (RFC 3207) over OpenSSL memory BIOs: octets of the wire in,
 * plain text out, and back.
 *
 * Opportunistic, as between mail servers: we look at who answers at RCPT, and hand nothing over
 * that a stranger may not read. So no certificate stops us, and old versions and ciphers are spoken
 * with (TLS 1.0, security level 0): a server that knows no better is still one whose users exist.
 * What a certificate is worth is noted, for the evidence.
 *
 * Owner: the loop's thread; no socket is touched here. A peer's certificates are capped,
 * renegotiation is refused and OpenSSL gives its buffers back between records, so that a session
 * stays below 64 KB. Failures are told, never logged.
 */
#ifndef WORKER_IO_TLS_H
#define WORKER_IO_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/status.h"

struct tls_context; /* of the process */
struct tls;	    /* of a connection */

enum tls_said {
	TLS_MORE = 1, /* needs what comes next */
	TLS_DONE,     /* the handshake is done; or there is plain text */
	TLS_END,      /* the peer has said goodbye */
	TLS_BROKEN
};

enum rc_status tls_context_new(struct tls_context **ret_context,
			       struct rc_error *err) RC_MUST_CHECK;
/* Takes NULL. */
void tls_context_free(struct tls_context *context);

/* `host` is named to the server (SNI) unless it is an address. NULL: out of memory. */
struct tls *tls_new(struct tls_context *context, const char *host);
/* Takes NULL. */
void tls_free(struct tls *tls);

/* What came from the wire. False: out of memory. */
bool tls_feed(struct tls *tls, const char *data, size_t len);
/* Goes on with the handshake; the first call begins it. */
enum tls_said tls_shake(struct tls *tls);
bool tls_shaken(const struct tls *tls);
/* DONE: *ret_len octets of plain text stand in `plain`. */
enum tls_said tls_read(struct tls *tls, char *plain, size_t size, size_t *ret_len);
/* After the handshake. False: it cannot be sent. */
bool tls_write(struct tls *tls, const char *data, size_t len);
/* Says goodbye, once. */
void tls_close(struct tls *tls);
/* What must go to the wire; tls_sent() forgets it. */
const char *tls_wire(const struct tls *tls, size_t *ret_len);
void tls_sent(struct tls *tls);

/* "TLSv1.3", "TLS_AES_256_GCM_SHA384": static text. */
const char *tls_version(const struct tls *tls);
const char *tls_cipher(const struct tls *tls);
/* Why the certificate proves nothing, by the system's authorities and `host`; NULL: it does. Static
 * text. */
const char *tls_unverified(const struct tls *tls);

#endif
