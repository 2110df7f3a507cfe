/*
 * ip - an address as text and back, without socket headers. Pure.
 */
#ifndef WORKER_CORE_IP_H
#define WORKER_CORE_IP_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/core/probe.h"

enum { IP_TEXT_MAX = 46 };

/* "192.0.2.1", "2001:db8::1" (RFC 5952). Returns `ret_text`. */
const char *ip_format(const struct probe_ip *ip, char ret_text[IP_TEXT_MAX]);
/* Either family, no brackets, no zone. False: no address. */
bool ip_parse(const char *text, struct probe_ip *ret_ip);
bool ip_same(const struct probe_ip *left, const struct probe_ip *right);

#endif
