/*
 * The way to one place: connections of this worker, kept between requests (the most recently used first), and the
 * exchanges that wait for one. A connection of HTTP/1 carries one request at a time, one of HTTP/2 many
 * (upstream_h2c.h). The way to the replica is one of them.
 *
 * There may be two kinds (`replica.sockmap`). Small whole requests go over mapped connections, whose bytes bypass TCP;
 * bodies that stream, and tunnels, need what only TCP does (back-pressure, half-closed connections, splice), and go
 * over plain ones.
 *
 * Lifetime: an upstream connection belongs to the pool while idle, to its exchange while used; freed in one function
 * when its socket has gone. Thread: the worker's.
 */
#ifndef RG_UPSTREAM_H
#define RG_UPSTREAM_H

#include "datapath/base/metric.h"
#include "datapath/endpoint.h"
#include "datapath/socket.h"
#include "datapath/tls/tls.h"

struct rg_exchange;
struct rg_h2c;

enum rg_server_kind { RG_SERVER_H1, RG_SERVER_H2 };

/* What an exchange knows of the replica: server.h. */
struct rg_server {
    struct rg_exchange *exchange; /* NULL: idle or closing */
    struct rg_input *in;          /* what comes of heads and the response body */
    struct rg_output *out;        /* what goes of the request */
    uint8_t kind; /* enum rg_server_kind: embedded in struct rg_upstream_conn, or in struct rg_h2c_stream */
};

struct rg_upstream_conn {
    struct rg_socket sock;
    struct rg_upstream *upstream;
    struct rg_server server; /* of HTTP/1 */
    struct rg_h2c *h2c;      /* it speaks HTTP/2; NULL: HTTP/1 */
    union rg_ip peer;        /* of an endpoint; the connect reads it when it is submitted */
    struct rg_list idle;     /* upstream->idle, by kind */
    struct rg_list all;      /* upstream->all */
    uint64_t idle_since_ms;
    uint64_t connect_us; /* when the connect began */
    uint32_t requests;   /* sent on it, this one included */
    uint32_t generation; /* of the address it leads to */
    bool mapped;         /* its kind: marked for the sockmap */
    bool secure;         /* of TLS: the handshake is done */
    bool small;          /* its last response fitted into one block: the next one probably will */
};

struct rg_upstream {
    struct rg_list of_worker;     /* worker->upstreams */
    struct rg_list in_need;       /* worker->upstreams_in_need: the last that had to wait there found no descriptor */
    struct rg_endpoint *endpoint; /* NULL: the replica */
    uint32_t exchanges;           /* that go there; of endpoints */
    const struct rg_upstream_metrics *metrics;
    struct rg_address address; /* of an endpoint only where it is a UNIX socket */
    uint32_t generation;       /* counts changes of the address; connections of an older one are not kept */
    bool sockmap;              /* new connections may be mapped */
    uint32_t open, idle_count;
    uint32_t open_shown, idle_shown; /* in the metrics, which may be those of many */
    uint8_t protocol;                /* enum rg_replica_protocol */
    struct rg_list idle[2];          /* plain, mapped; the most recently used first */
    struct rg_list all;
    struct rg_list sessions; /* struct rg_h2c: those that are not over, the longest used first */
    struct rg_list waiting;  /* exchanges, the longest waiting first */
    uint32_t address_turn;   /* counts connections to addresses of a name */
    struct rg_tls_memory tls;
    bool no_descriptor; /* the last that had to wait did so for want of a descriptor, not for replica.connections */
};

/* Where what happens there is counted. */
struct rg_upstream_metrics {
    enum rg_metric received, sent, connects, connect_failures, reused, open, idle, retries, surplus;
    enum rg_histogram_id connect, first_byte;
};
extern const struct rg_upstream_metrics rg_upstream_metrics_of_replica, rg_upstream_metrics_of_endpoints;

void rg_upstream_init(struct rg_worker *w, struct rg_upstream *u);
void rg_upstream_init_replica(struct rg_worker *w, const struct rg_settings *settings);
/* The replica's. New settings: a changed address, protocol, or way to it, retires kept connections. */
void rg_upstream_configure(struct rg_worker *w, struct rg_upstream *u);

enum rg_acquire {
    RG_ACQUIRE_KEPT,      /* connected, ready to write */
    RG_ACQUIRE_NEW,       /* connecting; rg_exchange_connected tells the end */
    RG_ACQUIRE_WAIT,      /* none may be opened now; the exchange waits in line and is told */
    RG_ACQUIRE_FAILED,    /* for want of memory or of a slot */
    RG_ACQUIRE_UNRESOLVED /* its name has no address */
};

/* What it is called in Host. */
struct rg_str rg_upstream_authority(const struct rg_worker *w, const struct rg_upstream *u);

/* Of x->upstream. fresh: not a kept one. probe: a kept one is used only after a look whether its peer has closed it. */
enum rg_acquire rg_upstream_acquire(struct rg_worker *w, struct rg_exchange *x, bool fresh, bool probe);
/* The exchange is done with it. keep: it may carry another request. */
void rg_upstream_release(struct rg_worker *w, struct rg_server *s, bool keep);
/* What a connect has found out, for whoever chooses where requests go. x: whose it was, error: the errno. */
void rg_upstream_connected(struct rg_worker *w, struct rg_exchange *x);
void rg_upstream_connect_failed(struct rg_worker *w, struct rg_exchange *x, int error);
/* A connection came free: the exchange that has waited longest tries again. */
void rg_upstream_serve_waiting(struct rg_worker *w, struct rg_upstream *u);
/* A descriptor came free: likewise one of those that wait for a descriptor. */
void rg_upstream_serve_in_need(struct rg_worker *w);
/* The limit may have changed, descriptors may have come free: they try again, until one must wait. */
void rg_upstream_serve_all_waiting(struct rg_worker *w, struct rg_upstream *u);
/* Of TLS, at the end of the turn: more is there than could be told at once. */
void rg_upstream_go_on(struct rg_worker *w, struct rg_upstream_conn *uc);
void rg_upstream_complete(struct rg_worker *w, struct rg_upstream_conn *u, const struct rg_completion *c);

/* ---- all of the worker's ---- */

/* Each second: closes what was idle for too long. */
void rg_upstream_tick_all(struct rg_worker *w);
void rg_upstream_serve_everybody(struct rg_worker *w); /* as rg_upstream_serve_all_waiting */
void rg_upstream_close_all_idle(struct rg_worker *w);
bool rg_upstream_any_open(const struct rg_worker *w);

#endif
