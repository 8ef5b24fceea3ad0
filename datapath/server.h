/*
 * The replica's side of an exchange, as the exchange sees it: where the request goes to, where the response comes from.
 * It is the mirror image of client.h. What is behind it is told by its kind: a connection that speaks HTTP/1 and
 * carries one exchange at a time, or a stream of HTTP/2.
 *
 * Lifetime: embedded in what is behind it; the exchange's from acquire to release. Thread: the worker's.
 */
#ifndef RG_SERVER_H
#define RG_SERVER_H

#include "datapath/base/assert.h"
#include "datapath/h2/h2c.h"

static inline bool rg_server_is_h2(const struct rg_server *s)
{
    return RG_UNLIKELY(s->kind == RG_SERVER_H2);
}

static inline struct rg_h2c_stream *rg_server_stream(const struct rg_server *s)
{
    return RG_CONTAINER(s, struct rg_h2c_stream, server);
}

static inline struct rg_upstream_conn *rg_server_conn(const struct rg_server *s)
{
    return rg_server_is_h2(s) ? rg_h2c_stream_conn(rg_server_stream(s))
                              : RG_CONTAINER(s, struct rg_upstream_conn, server);
}

/* Of HTTP/2: the one that it shares with others. */
static inline struct rg_socket *rg_server_sock(const struct rg_server *s)
{
    return &rg_server_conn(s)->sock;
}

/* It sends no more; what it sent before may still be in its input. */
static inline bool rg_server_has_ended(const struct rg_server *s)
{
    return rg_server_is_h2(s) ? rg_server_stream(s)->eof : rg_server_sock(s)->eof;
}

/* Of TLS: it ended without saying that this is all, so that nobody knows whether it is. */
static inline bool rg_server_is_truncated(const struct rg_server *s)
{
    return !rg_server_is_h2(s) && rg_server_sock(s)->truncated;
}

/* What it sends can't be received any more. */
static inline bool rg_server_is_broken(const struct rg_server *s)
{
    return rg_server_is_h2(s) ? rg_server_stream(s)->broken : rg_server_sock(s)->broken;
}

/* Nothing of a request reaches it any more; it may still be answering. */
static inline bool rg_server_takes_nothing(const struct rg_server *s)
{
    if (rg_server_is_h2(s))
        return rg_server_stream(s)->closed || rg_server_stream(s)->broken;
    return rg_server_sock(s)->unsendable || rg_server_sock(s)->broken;
}

/* Something waits until it takes what it was sent before. */
static inline bool rg_server_has_output(const struct rg_server *s)
{
    return rg_server_is_h2(s) ? s->out->bytes > 0 : rg_socket_has_output(rg_server_sock(s));
}

static inline bool rg_server_is_slow(const struct rg_server *s)
{
    return rg_server_is_h2(s) ? rg_h2c_stream_is_slow(rg_server_stream(s)) : rg_server_sock(s)->slow;
}

/* When its output was last taken, or first queued. */
static inline uint64_t rg_server_sent_ms(const struct rg_server *s)
{
    return rg_server_is_h2(s) ? rg_server_stream(s)->sent_ms : rg_server_sock(s)->sent_ms;
}

/* It has said that it did nothing with the request: that may be sent again, whatever it asks for. */
static inline bool rg_server_is_untouched(const struct rg_server *s)
{
    return rg_server_is_h2(s) && rg_server_stream(s)->unprocessed;
}

/* What TLS has against it; NONE: nothing. */
static inline enum rg_reason rg_server_why_no_tls(const struct rg_server *s)
{
    const struct rg_tls *t = rg_server_is_h2(s) ? NULL : rg_server_sock(s)->tls;
    if (RG_LIKELY(!t) || t->failure == RG_TLS_FAIL_NONE)
        return RG_REASON_NONE;
    return t->failure == RG_TLS_FAIL_CERTIFICATE ? RG_REASON_UPSTREAM_CERTIFICATE : RG_REASON_UPSTREAM_TLS;
}

/* Why it is broken, before a response began. */
static inline enum rg_reason rg_server_why(const struct rg_server *s)
{
    bool told = rg_server_is_h2(s) && rg_server_stream(s)->reason != RG_REASON_NONE;
    if (told)
        return (enum rg_reason)rg_server_stream(s)->reason;
    enum rg_reason tls = rg_server_why_no_tls(s);
    return tls != RG_REASON_NONE ? tls : RG_REASON_REPLICA_CLOSED;
}

/* Nothing more belongs to a response whose body is complete. Of HTTP/2 a trailer section may, or the end alone. */
static inline bool rg_server_is_through(const struct rg_server *s)
{
    return !rg_server_is_h2(s) || rg_server_stream(s)->eof || rg_server_stream(s)->broken;
}

/* The trailer section of a response of HTTP/2, as lines without the empty one: the caller's. NULL: none. */
static inline struct rg_buf *rg_server_take_trailers(const struct rg_server *s)
{
    struct rg_buf *lines = rg_server_is_h2(s) ? rg_server_stream(s)->trailers : NULL;
    if (lines)
        rg_server_stream(s)->trailers = NULL;
    return lines;
}

/* It had served others: it may have been left in the meantime. */
static inline bool rg_server_was_kept(const struct rg_server *s)
{
    return rg_server_is_h2(s) ? rg_server_stream(s)->kept : rg_server_conn(s)->requests > 1;
}

static inline void rg_server_send_later(struct rg_worker *w, struct rg_server *s)
{
    if (rg_server_is_h2(s))
        rg_h2c_stream_send_later(w, rg_server_stream(s));
    else
        rg_socket_send_later(w, rg_server_sock(s));
}

#endif
