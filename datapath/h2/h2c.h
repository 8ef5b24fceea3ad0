/*
 * A connection to the replica that speaks HTTP/2 in the clear: one nghttp2 session beside its socket, and a stream for
 * each exchange that it carries. The mirror image of h2.h: a stream is the server of an exchange, its input is the head
 * (as text, h2_head.h) and the body of the response, its output what will go out in DATA.
 *
 * What is received goes through the session at once; the requests of one turn of the loop leave in one send. Calls of
 * the library come from two places only (feed and flush in h2c_session.c) and from the steps of an exchange; its
 * callbacks never run the machine of an exchange: they take notes, which are delivered afterwards.
 *
 * Lifetime: rg_h2c belongs to its upstream connection and is freed with it, when the socket has gone; a stream lives
 * from acquire to release of its exchange. Thread: the worker's.
 */
#ifndef RG_H2C_H
#define RG_H2C_H

#include "datapath/http/h2_head.h"
#include "datapath/pump.h"
#include "datapath/upstream.h"

#define RG_H2C_STREAMS 256u /* at once on a connection, if the replica allows as many */

struct rg_h2c {
    struct rg_worker *w;
    struct rg_upstream_conn *conn;
    struct nghttp2_session *session;
    struct rg_list all;   /* upstream->sessions */
    struct rg_list dirty; /* w->h2.replica_dirty while it may have something to send */
    struct rg_list streams, touched;
    struct rg_buf *head_buf; /* of the block of fields that is coming in, one at a time (RFC 9113 4.3) */
    struct rg_h2_head head;
    uint64_t received_ms; /* when anything came last */
    uint64_t ping_ms;     /* since when it owes an answer; 0: it does not */
    uint32_t n_streams;
    int32_t head_stream;
    uint8_t head_reason; /* enum rg_reason: why the message that is coming in won't be taken */
    bool head_is_trailer;
    bool ready;  /* connected, and its SETTINGS have come */
    bool used;   /* it has carried a stream */
    bool going;  /* no stream is begun any more */
    bool faulty; /* the replica broke the protocol */
    bool over;   /* ended; it waits for its socket, and for exchanges that still read what came */
    bool gone;   /* ... its socket has gone */
};

struct rg_h2c_stream {
    struct rg_server server;
    struct rg_h2c *h2c;
    struct rg_list all;     /* h2c->streams */
    struct rg_list touched; /* h2c->touched while notes wait to be delivered */
    struct rg_input in;
    struct rg_output out;
    struct rg_buf *trailers; /* lines of the response's trailer section */
    uint64_t sent_ms;        /* when its output was last taken into frames, or first queued */
    uint32_t owed;           /* bytes of DATA for which the replica was given no window yet */
    int32_t id;              /* 0: nothing was sent yet */
    uint16_t heads;
    uint8_t notes;    /* bits: what its exchange is to be told */
    uint8_t reason;   /* enum rg_reason: why it broke; NONE: nothing is known but that */
    bool kept;        /* its connection has carried others before */
    bool eof;         /* the response is complete */
    bool broken;      /* ... and will never be */
    bool closed;      /* nghttp2 knows it no longer */
    bool unprocessed; /* the replica has said that it did nothing with the request */
    bool end_sent;    /* the end of the request is on its way */
    bool deferred;    /* nghttp2 waits until it is told that there is output */
};

/* ---- a connection; called by upstream_h2c.c only ---- */

/* A session for a connection that is about to be made. false: no memory. */
bool rg_h2c_create(struct rg_worker *w, struct rg_upstream_conn *uc);
/* Its socket has gone. */
void rg_h2c_destroy(struct rg_worker *w, struct rg_h2c *h2c);
void rg_h2c_event(struct rg_worker *w, struct rg_h2c *h2c, enum rg_socket_event event);
/* A stream for the exchange. NULL: no memory. */
struct rg_h2c_stream *rg_h2c_open(struct rg_worker *w, struct rg_h2c *h2c, struct rg_exchange *x);
void rg_h2c_close(struct rg_worker *w, struct rg_h2c_stream *s);
bool rg_h2c_has_room(const struct rg_worker *w, const struct rg_h2c *h2c);
/* Each second: asks a silent replica whether it is there. false: it has not answered. */
bool rg_h2c_is_alive(struct rg_worker *w, struct rg_h2c *h2c);
/* The exchanges of its streams are told that they broke. */
void rg_h2c_cut_all(struct rg_worker *w, struct rg_h2c *h2c);
/* End of turn: the output of sessions becomes that of their sockets. */
void rg_h2c_flush_all(struct rg_worker *w);

/* ---- a stream as the server of its exchange; called by server.h only ---- */

struct rg_upstream_conn *rg_h2c_stream_conn(const struct rg_h2c_stream *s);
bool rg_h2c_stream_is_slow(const struct rg_h2c_stream *s);
void rg_h2c_stream_send_later(struct rg_worker *w, struct rg_h2c_stream *s);
/* So much was taken of the input that the replica may send on. */
void rg_h2c_stream_receive(struct rg_h2c_stream *s);
/* Sends the head of its exchange's request, and the body if it stands behind the head. NONE, or why it can't be. */
enum rg_reason rg_h2c_stream_begin(struct rg_worker *w, struct rg_h2c_stream *s);

#endif
