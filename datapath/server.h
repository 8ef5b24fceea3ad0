/*
 * The replica's side of an exchange, as the exchange sees it: where the request goes to, where the response comes from.
 * It is the mirror image of client.h. What is behind it is told by its kind: a connection that speaks HTTP/1 and
 * carries one exchange at a time, and only that yet.
 *
 * Lifetime: embedded in what is behind it; the exchange's from acquire to release. Thread: the worker's.
 */
#ifndef RG_SERVER_H
#define RG_SERVER_H

#include "datapath/base/assert.h"
#include "datapath/upstream.h"

static inline struct rg_upstream_conn *rg_server_conn(const struct rg_server *s)
{
    return RG_CONTAINER(s, struct rg_upstream_conn, server);
}

static inline struct rg_socket *rg_server_sock(const struct rg_server *s)
{
    return &rg_server_conn(s)->sock;
}

/* It sends no more; what it sent before may still be in its input. */
static inline bool rg_server_has_ended(const struct rg_server *s)
{
    return rg_server_sock(s)->eof;
}

/* What it sends can't be received any more. */
static inline bool rg_server_is_broken(const struct rg_server *s)
{
    return rg_server_sock(s)->broken;
}

/* Nothing of a request reaches it any more; it may still be answering. */
static inline bool rg_server_takes_nothing(const struct rg_server *s)
{
    return rg_server_sock(s)->unsendable || rg_server_sock(s)->broken;
}

/* Something waits until it takes what it was sent before. */
static inline bool rg_server_has_output(const struct rg_server *s)
{
    return rg_socket_has_output(rg_server_sock(s));
}

static inline bool rg_server_is_slow(const struct rg_server *s)
{
    return rg_server_sock(s)->slow;
}

/* When its output was last taken, or first queued. */
static inline uint64_t rg_server_sent_ms(const struct rg_server *s)
{
    return rg_server_sock(s)->sent_ms;
}

/* It had served others: it may have been left in the meantime. */
static inline bool rg_server_was_kept(const struct rg_server *s)
{
    return rg_server_conn(s)->requests > 1;
}

static inline void rg_server_send_later(struct rg_worker *w, struct rg_server *s)
{
    rg_socket_send_later(w, rg_server_sock(s));
}

#endif
