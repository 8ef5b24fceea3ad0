/*
 * The first stage of a client connection where listeners[].proxy_protocol is on: who may put a PROXY header before its
 * bytes, and what it changes. conn_begin.c runs it before anything else looks at the bytes, TLS included.
 * Thread: the worker's.
 */
#ifndef RG_CONN_PROXY_H
#define RG_CONN_PROXY_H

#include <netinet/in.h>

#include "datapath/base/reasons.h"
#include "datapath/conn.h"

/* rg_conn.proxy_stage */
enum rg_proxy_stage {
    RG_PROXY_STAGE_OVER, /* or never was */
    RG_PROXY_STAGE_MAY,  /* from a trusted peer, who may also be a client itself */
    RG_PROXY_STAGE_MUST,
    RG_PROXY_STAGE_MUST_NOT /* from somebody who isn't trusted to name clients */
};

/* The stage that a connection from `peer` begins in; NONE in *ret_reason: it may go on. */
enum rg_proxy_stage rg_proxy_stage_begin(const struct rg_worker *w, const struct rg_conn *c,
                                         const struct in6_addr *peer, enum rg_reason *ret_reason);

enum rg_proxy_step {
    RG_PROXY_STEP_MORE,   /* too few bytes to end it */
    RG_PROXY_STEP_OVER,   /* what is left of the input is the client's */
    RG_PROXY_STEP_REFUSED /* for the reason */
};

/* Looks at what has come, takes a header away and the client's address from it. */
enum rg_proxy_step rg_proxy_stage_run(struct rg_worker *w, struct rg_conn *c, enum rg_reason *ret_reason);

#endif
