/*
 * What the files of a client connection share, in the order of its life: conn.c (accepted; its events and time limits;
 * freed), conn_begin.c (what may come before HTTP), conn_head.c (request heads), conn_end.c (after an exchange, and
 * ended from outside).
 *
 * After each of these functions the connection may have begun to close; it is freed later, by conn.c alone.
 * Thread: the worker's.
 */
#ifndef RG_CONN_PARTS_H
#define RG_CONN_PARTS_H

#include "datapath/conn.h"

/* conn.c */
void rg_conn_become(struct rg_worker *w, struct rg_conn *c, enum rg_conn_state state);
void rg_conn_close(struct rg_worker *w, struct rg_conn *c, bool reset);
void rg_conn_wait(struct rg_worker *w, struct rg_conn *c); /* for the first byte of a request */

/* conn_begin.c. false: the connection has ended, or (pass) there is nothing yet that is the client's. */
bool rg_conn_begin_proxy(struct rg_worker *w, struct rg_conn *c, const struct in6_addr *peer);
bool rg_conn_pass_proxy(struct rg_worker *w, struct rg_conn *c);
void rg_conn_begin_tls(struct rg_worker *w, struct rg_conn *c);
void rg_conn_shaking_event(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event);
bool rg_conn_begin_h2(struct rg_worker *w, struct rg_conn *c); /* true: it is HTTP/2, or may become it */

/* conn_head.c */
void rg_conn_next_request(struct rg_worker *w, struct rg_conn *c); /* reads it when it is there, else waits */
void rg_conn_read_head(struct rg_worker *w, struct rg_conn *c);
void rg_conn_head_incomplete(struct rg_worker *w, struct rg_conn *c);
void rg_conn_refuse(struct rg_worker *w, struct rg_conn *c, enum rg_method method, enum rg_reason reason);

/* conn_end.c: while RG_CONN_LINGER. */
void rg_conn_discard(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event);

#endif
