/*
 * What a client connection has to do with TLS, and what is counted of it. See conn_begin.c for when.
 * Thread: the worker's.
 */
#ifndef RG_CONN_TLS_H
#define RG_CONN_TLS_H

#include "datapath/conn.h"
#include "datapath/tls/tls.h"

/* Its first bytes have to be TLS. false: no memory. */
bool rg_conn_tls_begin(struct rg_worker *w, struct rg_conn *c);
enum rg_socket_event rg_conn_tls_go_on(struct rg_worker *w, struct rg_conn *c); /* with what has come */
void rg_conn_tls_done(struct rg_worker *w, struct rg_conn *c);
enum rg_tls_failure rg_conn_tls_failure(const struct rg_conn *c);
void rg_conn_tls_failed(struct rg_worker *w, enum rg_tls_failure failure);
/* Sessions that have waited for their turn, as many as one turn may bear; budget for those of this turn. */
void rg_conn_tls_turn(struct rg_worker *w);

#endif
