/*
 * tls - the server's end of STARTTLS, over memory: octets in, octets out, no sockets.
 *
 * One set of contexts for the process, with a key and a self-signed certificate made at start;
 * one mw_tls for a connection, owned by its client. Memory that runs out aborts; whatever a client
 * sends only breaks its own connection.
 */
#ifndef MAILWORLD_TLS_H
#define MAILWORLD_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct mw_tls_contexts;
struct mw_tls;

struct mw_tls_contexts *mw_tls_contexts_new(void);
void mw_tls_contexts_free(struct mw_tls_contexts *contexts);

/* `keyless`: without a certificate, so that every handshake ends in an alert. */
struct mw_tls *mw_tls_new(struct mw_tls_contexts *contexts, bool keyless);
void mw_tls_free(struct mw_tls *tls);

/* Octets from the network; the handshake goes on. False: TLS is broken or over; what it has to
 * say of that may still be taken. */
bool mw_tls_feed(struct mw_tls *tls, const char *data, size_t len);
/* Whether the handshake is done. */
bool mw_tls_ready(const struct mw_tls *tls);
/* Plain octets, up to `room`; 0: no more for now. */
size_t mw_tls_read(struct mw_tls *tls, char *data, size_t room);
void mw_tls_write(struct mw_tls *tls, const char *data, size_t len);
/* What is to be sent; it stays until mw_tls_taken(). */
size_t mw_tls_take(struct mw_tls *tls, const char **ret_data);
void mw_tls_taken(struct mw_tls *tls);

#endif
