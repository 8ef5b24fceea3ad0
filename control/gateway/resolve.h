/*
 * The addresses of the names that upstreams have, by c-ares on the control thread's loop: asked for at once when an
 * endpoint appears, and again when the answer has aged. Workers never wait for a name, they read what was published
 * last (datapath/endpoint.h).
 *
 * Lifetime: between that of the endpoints' table and of the loop. What is asked for an endpoint that goes away
 * meanwhile comes back to nobody. Thread: the control thread.
 */
#ifndef RG_GATEWAY_RESOLVE_H
#define RG_GATEWAY_RESOLVE_H

#include "control/common/loop.h"
#include "datapath/endpoint.h"

struct rg_resolver;

/* servers: "127.0.0.1:53,[::1]:5353"; NULL: those of /etc/resolv.conf, which is read again when it has changed. */
int rg_resolver_create(struct rg_resolver **ret, struct rg_loop *loop, struct rg_endpoints *endpoints,
                       const char *servers);
/* No name may lead to what listens there. Copied. */
void rg_resolver_forbid(struct rg_resolver *r, const struct rg_address *listening);
void rg_resolver_destroy(struct rg_resolver *r); /* NULL is fine */

#endif
