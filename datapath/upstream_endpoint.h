/*
 * A worker's way to an endpoint: struct rg_upstream like that to the replica, but made on first use, and freed when the
 * endpoint is wanted by no unit any more and the last exchange and connection have ended. It is freed between turns
 * only (rg_upstream_sweep), so that no callback finds it gone. Thread: the worker's.
 */
#ifndef RG_UPSTREAM_ENDPOINT_H
#define RG_UPSTREAM_ENDPOINT_H

#include "datapath/endpoint.h"
#include "datapath/upstream.h"

/* NULL: no memory. */
struct rg_upstream *rg_upstream_to(struct rg_worker *w, struct rg_endpoint *e);

/* The address for the next connection of x. NULL: none is known. */
const union rg_ip *rg_upstream_address(struct rg_worker *w, const struct rg_exchange *x);
/* Whether a connect of x to another address of its endpoint may help. usable: to one that is not left alone. */
bool rg_upstream_has_untried(const struct rg_worker *w, const struct rg_exchange *x, bool usable);
/* Nothing can be sent to this one from here. false: there is no other one. */
bool rg_upstream_skip_address(struct rg_worker *w, struct rg_exchange *x, const union rg_ip *ip);

/* The mail: names have other addresses, or endpoints are wanted no longer. */
void rg_upstream_look_at_endpoints(struct rg_worker *w);
/* Frees those that have come to their end. */
void rg_upstream_sweep(struct rg_worker *w);
/* The worker ends; nothing is open. */
void rg_upstream_free_all(struct rg_worker *w);

/* upstream.c */
void rg_upstream_end(struct rg_worker *w, struct rg_upstream_conn *uc);
void rg_upstream_close_idle(struct rg_worker *w, struct rg_upstream *u);

/* It is connected to, over TCP; TLS begins where it is spoken. false: the event is for nobody. */
bool rg_upstream_begin_tls(struct rg_worker *w, struct rg_upstream_conn *uc);
/* A handshake is done, or has failed. */
void rg_upstream_tls_done(struct rg_worker *w, struct rg_upstream_conn *uc);
void rg_upstream_tls_failed(struct rg_worker *w, struct rg_upstream_conn *uc);

#endif
