/*
 * A socket that speaks TLS: the session stands between what the ring moves and the queues that the owner sees. For
 * socket.c and the worker; owners only see the socket. Thread: the worker's.
 */
#ifndef RG_SOCKET_TLS_H
#define RG_SOCKET_TLS_H

#include "datapath/socket.h"
#include "datapath/tls/client.h"

/* The client is to speak TLS of this listener. false: no memory. */
bool rg_socket_tls_accept(struct rg_worker *w, struct rg_socket *s, unsigned listener);
/* The server, to which it is connected, is to speak TLS: the handshake begins, and RG_SOCKET_SECURE or _ERROR ends it.
 * false: no memory. */
bool rg_socket_tls_connect(struct rg_worker *w, struct rg_socket *s, const struct rg_tls_client *c,
                           struct rg_tls_memory *memory);
/* A receive brought a block, or the end (NULL). */
enum rg_socket_event rg_socket_tls_received(struct rg_worker *w, struct rg_socket *s, struct rg_buf *b);
/* Goes on with what is there: one that waited in the line of the worker's environment. */
enum rg_socket_event rg_socket_tls_go_on(struct rg_worker *w, struct rg_socket *s);
/* It does not go on by itself any more. */
void rg_socket_tls_leave_line(struct rg_socket *s);
/* What is to be sent in the place of `out`, which is sealed into it. */
struct rg_output *rg_socket_tls_seal(struct rg_socket *s);
void rg_socket_tls_sent(struct rg_worker *w, struct rg_socket *s, uint32_t n);
/* The end of our side is told in order; the socket's own end follows when it has been sent. false: it can't be told. */
bool rg_socket_tls_shut(struct rg_worker *w, struct rg_socket *s);
/* The last words before the socket closes: an alert, or that nothing more comes. NULL: none. */
struct rg_output *rg_socket_tls_farewell(struct rg_socket *s);
/* The same, when a send of n bytes was still in flight then. */
struct rg_output *rg_socket_tls_last_words(struct rg_socket *s, uint32_t n);
void rg_socket_tls_fini(struct rg_socket *s);

#endif
