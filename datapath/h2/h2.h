/*
 * A client connection that speaks HTTP/2: one nghttp2 session beside its socket, and a stream for each request that is
 * being served. A stream is a client of an exchange, as a connection of HTTP/1 is: its input is what came in DATA, its
 * output is what will go out in DATA.
 *
 * What is received goes through the session at once; what is to be sent leaves the session at the end of the turn, all
 * streams together. Calls of the library come from two places only (feed and flush in h2_session.c), its callbacks
 * never run the machine of an exchange that exists already: they take notes, which are delivered afterwards.
 *
 * Lifetime: rg_h2 belongs to its connection and is freed before that closes; a stream lives as long as its exchange.
 * Thread: the worker's.
 */
#ifndef RG_H2_H
#define RG_H2_H

#include "datapath/conn.h"

struct rg_h2;

struct rg_h2_stream {
    struct rg_client client;
    struct rg_h2 *h2;
    struct rg_list all;     /* h2->streams */
    struct rg_list touched; /* h2->touched while notes wait to be delivered */
    struct rg_input in;
    struct rg_output out;
    struct rg_buf *trailers; /* lines of the request's trailer section */
    uint64_t sent_ms;        /* when its output was last taken into frames, or first queued */
    uint64_t checked_us;     /* the turn in which its time limits were last looked at */
    uint32_t owed;           /* bytes of DATA for which the client was given no window yet */
    int32_t id;
    uint8_t notes;      /* bits: what its exchange is to be told */
    uint8_t heads;      /* response heads that were handed over and have not left, the final one being the last */
    uint8_t void_heads; /* ... and such that were taken back, before them */
    bool eof;           /* the client's message is complete */
    bool gone;          /* reset, or its connection broke: nothing reaches the client any more */
    bool closed;        /* nghttp2 knows it no longer */
    bool responded;     /* a final response head was handed over */
    bool end_sent;      /* ... and the end of the response is on its way */
    bool deferred;      /* nghttp2 waits until it is told that there is output */
    bool tunnel;        /* a WebSocket (RFC 8441) */
};

/* Whether the bytes may begin a connection of HTTP/2: -1 no, 0 so far, 1 yes. */
int rg_h2_looks_like(struct rg_str bytes);
/* From here on the connection is the session's. false: no memory, nothing has changed. */
bool rg_h2_begin(struct rg_worker *w, struct rg_conn *c);
/* Something happened to the socket. */
void rg_h2_event(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event);
void rg_h2_check_time(struct rg_worker *w, struct rg_conn *c);
/* First step of the end: the client is asked to open no more streams. */
void rg_h2_drain(struct rg_worker *w, struct rg_conn *c);
/* A drain's deadline: WebSockets are told and end soon, all else is broken off. false: nothing is left open. */
bool rg_h2_leave(struct rg_worker *w, struct rg_conn *c);
/* Ends what is open, frees the session. The connection goes on without. */
void rg_h2_end(struct rg_worker *w, struct rg_conn *c, enum rg_reason reason);
/* End of turn: the output of sessions becomes that of their sockets. */
void rg_h2_flush_all(struct rg_worker *w);

/* ---- a stream as client of its exchange; called by client.h only ---- */

struct rg_conn *rg_h2_stream_conn(const struct rg_h2_stream *s);
bool rg_h2_stream_is_slow(const struct rg_h2_stream *s);
void rg_h2_stream_send_later(struct rg_worker *w, struct rg_h2_stream *s);
/* So much was taken of the input that the client may send on. */
void rg_h2_stream_receive(struct rg_worker *w, struct rg_h2_stream *s);
bool rg_h2_stream_respond(struct rg_worker *w, struct rg_h2_stream *s, const struct rg_h1_response *res,
                          const struct rg_framing *framing, const struct rg_response_options *opt);
/* Drops the responses that were handed over. false: something of the final one may have left. */
bool rg_h2_stream_take_back(struct rg_h2_stream *s);
bool rg_h2_stream_respond_own(struct rg_worker *w, struct rg_h2_stream *s, const struct rg_own_response *r);
void rg_h2_stream_ended(struct rg_worker *w, struct rg_h2_stream *s, enum rg_conn_after after);

#endif
