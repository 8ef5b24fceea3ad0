/*
 * The client of an exchange, as the exchange sees it: where its body comes from, where its response goes to, who it is.
 * What is behind it is told by its kind: a connection that speaks HTTP/1 and carries one exchange at a time, or a
 * stream of HTTP/2.
 *
 * Lifetime: embedded in what is behind it, which outlives the exchange. Thread: the worker's.
 */
#ifndef RG_CLIENT_H
#define RG_CLIENT_H

#include "datapath/base/assert.h"
#include "datapath/h2/h2.h"

static inline bool rg_client_is_h2(const struct rg_client *c)
{
    return RG_UNLIKELY(c->kind == RG_CLIENT_H2);
}

static inline struct rg_h2_stream *rg_client_stream(const struct rg_client *c)
{
    return RG_CONTAINER(c, struct rg_h2_stream, client);
}

static inline struct rg_conn *rg_client_conn(const struct rg_client *c)
{
    return rg_client_is_h2(c) ? rg_h2_stream_conn(rg_client_stream(c)) : RG_CONTAINER(c, struct rg_conn, client);
}

/* Of HTTP/2: the one that it shares with others. */
static inline struct rg_socket *rg_client_sock(const struct rg_client *c)
{
    return &rg_client_conn(c)->sock;
}

/* It sends no more; what it sent before may still be in its input. */
static inline bool rg_client_has_ended(const struct rg_client *c)
{
    return rg_client_is_h2(c) ? rg_client_stream(c)->eof : rg_client_sock(c)->eof;
}

/* A response may still reach it. */
static inline bool rg_client_is_there(const struct rg_client *c)
{
    if (rg_client_is_h2(c))
        return !rg_client_stream(c)->gone && !rg_client_stream(c)->closed;
    const struct rg_socket *s = rg_client_sock(c);
    return s->state == RG_SOCKET_OPEN && !s->broken && !s->unsendable;
}

/* Something waits until it takes what it was sent before. */
static inline bool rg_client_has_output(const struct rg_client *c)
{
    return rg_client_is_h2(c) ? c->out->bytes > 0 : rg_socket_has_output(rg_client_sock(c));
}

/* Everything of a response that is complete was taken. */
static inline bool rg_client_is_flushed(const struct rg_client *c)
{
    return rg_client_is_h2(c) ? rg_client_stream(c)->end_sent : !rg_socket_has_output(rg_client_sock(c));
}

static inline bool rg_client_is_slow(const struct rg_client *c)
{
    return rg_client_is_h2(c) ? rg_h2_stream_is_slow(rg_client_stream(c)) : rg_client_sock(c)->slow;
}

/* When its output was last taken, or first queued. */
static inline uint64_t rg_client_sent_ms(const struct rg_client *c)
{
    return rg_client_is_h2(c) ? rg_client_stream(c)->sent_ms : rg_client_sock(c)->sent_ms;
}

static inline void rg_client_send_later(struct rg_worker *w, struct rg_client *c)
{
    if (rg_client_is_h2(c))
        rg_h2_stream_send_later(w, rg_client_stream(c));
    else
        rg_socket_send_later(w, rg_client_sock(c));
}

/* The time limits of its exchange are looked at no later than in `ms`. */
static inline void rg_client_check_within(struct rg_worker *w, struct rg_client *c, uint32_t ms)
{
    rg_conn_check_within(w, rg_client_conn(c), ms);
}

/* The exchange has ended and was freed. */
static inline void rg_client_exchange_ended(struct rg_worker *w, struct rg_client *c, enum rg_conn_after after)
{
    if (rg_client_is_h2(c))
        rg_h2_stream_ended(w, rg_client_stream(c), after);
    else
        rg_conn_exchange_ended(w, rg_client_conn(c), after);
}

#endif
