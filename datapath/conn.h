/*
 * A client connection: between requests it waits (idle), reads a head, or runs an exchange; in the end it may linger so
 * that the client can read what was sent, and closes.
 *
 * Lifetime: made by the listener, freed in one function when its socket has gone. Thread: the worker's.
 */
#ifndef RG_CONN_H
#define RG_CONN_H

#include "datapath/base/timer.h"
#include "datapath/http/h1_write.h"
#include "datapath/socket.h"

struct rg_exchange;
struct rg_h2;
struct rg_listener;

enum rg_conn_state {
    RG_CONN_IDLE,     /* between requests */
    RG_CONN_SHAKING,  /* before the first one: the TLS handshake */
    RG_CONN_HEAD,     /* some bytes of a request head are there */
    RG_CONN_EXCHANGE, /* a request is being served */
    RG_CONN_H2,       /* it speaks HTTP/2: from here on h2/h2.h */
    RG_CONN_LINGER,   /* our side is ended, what the client still sends is thrown away */
    RG_CONN_CLOSING
};

enum rg_client_kind { RG_CLIENT_H1, RG_CLIENT_H2 };

/* What an exchange knows of its client: client.h. */
struct rg_client {
    struct rg_exchange *exchange;
    struct rg_input *in;   /* what comes of a request body */
    struct rg_output *out; /* what goes of a response */
    const struct rg_peer_text *peer;
    uint64_t head_us; /* first byte of the request; of a connection that is idle: since when, told turn from turn */
    uint16_t peer_port, listener_port; /* listener_port: that it connected to, perhaps of a proxy in front */
    bool secure;                       /* it uses TLS, with us or with a proxy in front */
    uint8_t kind;                      /* enum rg_client_kind: embedded in struct rg_conn, or in struct rg_h2_stream */
};

struct rg_conn {
    struct rg_socket sock;
    struct rg_client client;
    struct rg_timer timer;
    struct rg_list all;  /* worker->clients */
    struct rg_list idle; /* worker->idle, worker->heads (SHAKING too) or worker->lingering */
    struct rg_h1_resume resume;
    struct rg_h2 *h2;       /* NULL: it speaks HTTP/1 */
    uint64_t since_ms;      /* when the present state began */
    uint64_t idle_since_ms; /* ... and the last time without a request, before it became RG_CONN_HEAD */
    uint16_t linger_ms;     /* while RG_CONN_LINGER: for how long at most */
    uint32_t linger_bytes;  /* ... and what was thrown away so far */
    uint8_t state;
    uint8_t listener;                        /* index in settings and worker */
    uint8_t proxy_stage;                     /* enum rg_proxy_stage: something comes before the client's bytes */
    bool wants_tls;                          /* its listener speaks TLS */
    uint16_t redirect_status, redirect_port; /* of its listener; status 0: requests are served */
    bool over_tls;                           /* its handshake is done */
    bool may_be_h2;                          /* its first bytes have not been looked at */
    bool uploads;                            /* its last request had a large body: so will the next one, perhaps */
    struct rg_peer_text peer;
};

/*
 * How it waits for a request. A receive that goes on by itself would take a large body in small blocks, all that is
 * there, before it can be stopped.
 */
static inline enum rg_recv_mode rg_conn_waiting_mode(const struct rg_conn *c)
{
    return c->uploads ? RG_RECV_ONCE : RG_RECV_MULTI;
}

/*
 * More has to come before what has come can be answered. A client may hold it back until that is acknowledged (RFC
 * 896), which would otherwise wait for our answer. To be called for each piece.
 */
void rg_conn_wants_more(struct rg_conn *c);

/* Takes over fd in every case. */
void rg_conn_accept(struct rg_worker *w, int fd, const struct rg_listener *l);
void rg_conn_turn_away(struct rg_worker *w, int fd); /* closes one that can't be served, and counts it */
void rg_conn_complete(struct rg_worker *w, struct rg_conn *c, const struct rg_completion *done);
void rg_conn_event(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event);
void rg_conn_timer(struct rg_worker *w, struct rg_conn *c);

enum rg_conn_after {
    RG_AFTER_KEEP,
    RG_AFTER_LINGER,    /* end our side; the client may still be sending */
    RG_AFTER_ANNOUNCED, /* likewise, but the client was told that the connection ends: at most what it has pipelined */
    RG_AFTER_CLOSE,
    RG_AFTER_RESET /* the client must not take what it has for the whole */
};

/* The exchange has ended and was freed: go on with the next request, or end the connection. */
void rg_conn_exchange_ended(struct rg_worker *w, struct rg_conn *c, enum rg_conn_after after);
/* Of HTTP/2: has streams, or is idle; has ended, and its session with it. */
void rg_conn_h2_busy(struct rg_worker *w, struct rg_conn *c, bool busy);
void rg_conn_h2_over(struct rg_worker *w, struct rg_conn *c, enum rg_conn_after after);
/* Looks at its time limits no later than in `ms`. */
void rg_conn_check_within(struct rg_worker *w, struct rg_conn *c, uint32_t ms);

/* Ends the connection that is missed least: the one that has lingered longest, else been idle longest, else the slowest
 * head. false: none has since an earlier turn. */
bool rg_conn_shed(struct rg_worker *w);
/* Ends some connections whose heads have been coming longest: they hold buffers that others wait for. */
void rg_conn_shed_heads(struct rg_worker *w);
/* Nothing new is begun on connections; those without a request end soon. */
void rg_conn_drain(struct rg_worker *w);
/* at_once: nobody is told anything more. */
void rg_conn_break_all(struct rg_worker *w, bool at_once);

#endif
