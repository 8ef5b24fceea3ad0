/*
 * host [":" port] (RFC 9110 4.2, RFC 3986 3.2): what stands in Host and in absolute targets. Private to datapath/http
 * and to routes.
 *
 * Stricter than RFC 3986: a name holds unreserved bytes only (no escapes, no sub-delims, no empty labels), so that no
 * two programs on the way read it differently; user information is refused. Pure, thread: any.
 */
#ifndef RG_HTTP_H1_AUTHORITY_H
#define RG_HTTP_H1_AUTHORITY_H

#include "datapath/base/str.h"

struct rg_authority {
    struct rg_str host; /* with the brackets of an IPv6 address */
    int32_t port;       /* -1: none given */
};

/* false: malformed. An empty text is malformed too. */
bool rg_authority_parse(struct rg_str text, struct rg_authority *ret);

/* The same host (any case) and port, where a missing port means default_port. */
bool rg_authority_same(const struct rg_authority *a, const struct rg_authority *b, int32_t default_port);

#endif
