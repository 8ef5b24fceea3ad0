/*
 * Heads for a peer of HTTP/2, responses for a client and requests for a replica: the same fields that a peer of HTTP/1
 * gets (h1_write.h), as a list that HPACK takes. Nothing is copied: names and values are views into the response, the
 * options and `scratch`; names may have upper case, which the library lowers as it copies them. Pure, thread: any.
 */
#ifndef RG_HTTP_H2_WRITE_H
#define RG_HTTP_H2_WRITE_H

#include <nghttp2/nghttp2.h>

#include "datapath/http/h1_write.h"

/* What is received, what policies may add (policy/run.h), and the gateway's own. */
#define RG_H2_FIELDS_MAX (RG_H1_FIELDS_MAX + 96 + 8)

struct rg_h2_fields {
    unsigned n;
    char status[3];
    char numbers[2][20]; /* Content-Length, Retry-After */
    nghttp2_nv nv[RG_H2_FIELDS_MAX];
};

/* The 101 of a WebSocket becomes 200 (RFC 8441 5). */
void rg_h2_write_response(struct rg_h2_fields *ret, const struct rg_h1_response *res, const struct rg_framing *framing,
                          const struct rg_response_options *opt, struct rg_str date);
/* Without its body. */
void rg_h2_write_own_response(struct rg_h2_fields *ret, const struct rg_own_response *r, struct rg_str date);
/*
 * A request that goes to a replica of HTTP/2: the head that a replica of HTTP/1 would get, which the gateway has
 * written itself, parsed.
 */
void rg_h2_write_request(struct rg_h2_fields *ret, const struct rg_h1_request *req);
/* Lines of a trailer section as rg_chunked leaves them, each with its CR LF, the empty one at the end. */
void rg_h2_write_trailers(struct rg_h2_fields *ret, struct rg_str lines);

#endif
