/*
 * Connections to a replica that speaks HTTP/2 in the clear: few, each with many streams. An exchange gets a stream on
 * the first connection that has room; when none has, it waits in line and another connection is opened, within
 * replica.connections. A connection carries requests from when the replica's SETTINGS have come, so that its limit on
 * streams is known, and a replica that speaks something else has not seen a request.
 *
 * Lifetime: as in upstream.h; a session is a part of its connection. Thread: the worker's.
 */
#ifndef RG_UPSTREAM_H2C_H
#define RG_UPSTREAM_H2C_H

#include "datapath/upstream.h"

enum rg_acquire rg_upstream_acquire_stream(struct rg_worker *w, struct rg_exchange *x);
void rg_upstream_release_stream(struct rg_worker *w, struct rg_server *s);
/* They take no more requests, and end when they have served those that they have. */
void rg_upstream_retire_sessions(struct rg_worker *w, struct rg_upstream *u);
void rg_upstream_tick_sessions(struct rg_worker *w, struct rg_upstream *u);
/* One is being made: who waits in line waits for it. */
bool rg_upstream_is_connecting(const struct rg_upstream *u);

/* upstream.c */
struct rg_upstream_conn *rg_upstream_open(struct rg_worker *w, struct rg_upstream *u, struct rg_exchange *x,
                                          enum rg_acquire *why);
void rg_upstream_publish(struct rg_worker *w, struct rg_upstream *u);
/* Its socket has gone: it is freed, unless exchanges still read what came before. */
void rg_upstream_gone(struct rg_worker *w, struct rg_upstream_conn *uc);

/* ---- told by the session ---- */

/* Something came. ready: and with it, it can carry requests. */
void rg_upstream_session_changed(struct rg_worker *w, struct rg_h2c *h2c, bool ready);
/* It ended, or broke the protocol (error 0), or could not be made. */
void rg_upstream_session_lost(struct rg_worker *w, struct rg_h2c *h2c, int error);
/* The socket is connected. */
void rg_upstream_session_connected(struct rg_worker *w, struct rg_h2c *h2c);

#endif
