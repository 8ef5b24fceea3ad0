/* See upstream.h. */
#include "datapath/upstream.h"

#include <errno.h>
#include <unistd.h>

#include "bpf/sockmap.h"
#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/h2/h2c.h"
#include "datapath/socket_tls.h"
#include "datapath/upstream_endpoint.h"
#include "datapath/upstream_h2c.h"

const struct rg_upstream_metrics rg_upstream_metrics_of_replica = {.received = RG_M_BYTES_FROM_REPLICA,
                                                                   .sent = RG_M_BYTES_TO_REPLICA,
                                                                   .connects = RG_M_REPLICA_CONNECTS,
                                                                   .connect_failures = RG_M_REPLICA_CONNECT_FAILURES,
                                                                   .reused = RG_M_REPLICA_REUSED,
                                                                   .open = RG_M_REPLICA_OPEN,
                                                                   .idle = RG_M_REPLICA_IDLE,
                                                                   .retries = RG_M_REPLICA_RETRIES,
                                                                   .surplus = RG_M_REPLICA_SURPLUS,
                                                                   .connect = RG_H_REPLICA_CONNECT,
                                                                   .first_byte = RG_H_REPLICA_FIRST_BYTE};

const struct rg_upstream_metrics rg_upstream_metrics_of_endpoints = {.received = RG_M_UPSTREAM_RECEIVED,
                                                                     .sent = RG_M_UPSTREAM_SENT,
                                                                     .connects = RG_M_UPSTREAM_CONNECTS,
                                                                     .connect_failures = RG_M_UPSTREAM_CONNECT_FAILURES,
                                                                     .reused = RG_M_UPSTREAM_REUSED,
                                                                     .open = RG_M_UPSTREAM_OPEN,
                                                                     .idle = RG_M_UPSTREAM_IDLE,
                                                                     .retries = RG_M_UPSTREAM_RETRIES,
                                                                     .surplus = RG_M_UPSTREAM_SURPLUS,
                                                                     .connect = RG_H_UPSTREAM_CONNECT,
                                                                     .first_byte = RG_H_UPSTREAM_FIRST_BYTE};

void rg_upstream_init(struct rg_worker *w, struct rg_upstream *u)
{
    *u = (struct rg_upstream){.metrics = &rg_upstream_metrics_of_replica};
    rg_list_append(&w->upstreams, &u->of_worker);
    rg_list_init(&u->in_need);
    rg_list_init(&u->idle[false]);
    rg_list_init(&u->idle[true]);
    rg_list_init(&u->all);
    rg_list_init(&u->sessions);
    rg_list_init(&u->waiting);
}

void rg_upstream_init_replica(struct rg_worker *w, const struct rg_settings *settings)
{
    struct rg_upstream *u = &w->replica_upstream;
    rg_upstream_init(w, u);
    u->address = settings->replica;
    u->protocol = settings->replica_protocol;
    u->sockmap = settings->sockmap;
}

void rg_upstream_publish(struct rg_worker *w, struct rg_upstream *u)
{
    const struct rg_upstream_metrics *m = u->metrics;
    rg_metric_add(w->metrics, m->open, (uint64_t)u->open - u->open_shown);
    rg_metric_add(w->metrics, m->idle, (uint64_t)u->idle_count - u->idle_shown);
    u->open_shown = u->open;
    u->idle_shown = u->idle_count;
}

static void leave_idle(struct rg_upstream_conn *uc)
{
    if (rg_list_empty(&uc->idle))
        return;
    rg_list_remove(&uc->idle);
    uc->upstream->idle_count--;
}

void rg_upstream_end(struct rg_worker *w, struct rg_upstream_conn *uc)
{
    leave_idle(uc);
    uc->server.exchange = NULL;
    rg_socket_close(w, &uc->sock, false);
    rg_upstream_publish(w, uc->upstream);
}

void rg_upstream_close_idle(struct rg_worker *w, struct rg_upstream *u)
{
    for (unsigned kind = 0; kind < 2; kind++)
        while (!rg_list_empty(&u->idle[kind]))
            rg_upstream_end(w, RG_CONTAINER(u->idle[kind].next, struct rg_upstream_conn, idle));
    rg_upstream_retire_sessions(w, u);
}

/* Unused for the longest time, of both kinds. NULL: none is idle. */
static struct rg_upstream_conn *longest_idle(const struct rg_upstream *u)
{
    struct rg_upstream_conn *found = NULL;
    for (unsigned kind = 0; kind < 2; kind++) {
        if (rg_list_empty(&u->idle[kind]))
            continue;
        struct rg_upstream_conn *uc = RG_CONTAINER(u->idle[kind].prev, struct rg_upstream_conn, idle);
        if (!found || uc->idle_since_ms < found->idle_since_ms)
            found = uc;
    }
    return found;
}

void rg_upstream_configure(struct rg_worker *w, struct rg_upstream *u)
{
    const struct rg_address *next = &w->settings->replica;
    bool same_address = u->address.len == next->len && memcmp(&u->address.sa, &next->sa, next->len) == 0;
    if (same_address && u->sockmap == w->settings->sockmap && u->protocol == w->settings->replica_protocol)
        return;
    rg_ring_enter(w->ring, 0); /* connects that are queued read the address when they are submitted */
    u->address = *next;
    u->protocol = w->settings->replica_protocol;
    u->sockmap = w->settings->sockmap;
    u->generation++;
    rg_upstream_close_idle(w, u);
}

struct rg_str rg_upstream_authority(const struct rg_worker *w, const struct rg_upstream *u)
{
    return u->endpoint ? u->endpoint->authority : w->replica_host;
}

/* ---- acquire ---- */

/* See upstream.h. What does not fit into one message would leave the map in the middle. */
static bool is_for_map(const struct rg_exchange *x)
{
    return x->upstream->sockmap && x->whole_in_head && !x->websocket && x->head->len <= RG_SOCKMAP_MESSAGE_MAX;
}

static struct rg_upstream_conn *take_idle(struct rg_worker *w, struct rg_upstream *u, bool mapped, bool probe)
{
    struct rg_list *idle = &u->idle[mapped];
    while (!rg_list_empty(idle)) {
        struct rg_upstream_conn *uc = RG_CONTAINER(idle->next, struct rg_upstream_conn, idle);
        leave_idle(uc);
        if (!probe || rg_sys_is_quiet(uc->sock.fd))
            return uc;
        rg_upstream_end(w, uc);
    }
    return NULL;
}

/* A descriptor for one more connection, at the cost of an idle one when they run short. */
static int open_socket(struct rg_worker *w, const struct sockaddr *to)
{
    int fd = rg_sys_socket(to);
    if (fd >= 0 && !rg_worker_may_hold(w, fd)) {
        rg_sys_close(fd);
        fd = -EMFILE;
    }
    if (fd == -EMFILE || fd == -ENFILE) {
        rg_metric_add(w->metrics, RG_M_DESCRIPTORS_EXHAUSTED, 1);
        rg_conn_shed(w);
    }
    return fd;
}

/* The kind of connection that is spoken there; x: of HTTP/1, the exchange that it is for. */
static bool set_up(struct rg_worker *w, struct rg_upstream_conn *uc, struct rg_exchange *x)
{
    if (RG_UNLIKELY(uc->upstream->protocol == RG_REPLICA_H2C))
        return rg_h2c_create(w, uc);
    uc->server = (struct rg_server){.exchange = x, .in = &uc->sock.in, .out = &uc->sock.out};
    uc->mapped = is_for_map(x) && rg_sys_mark_for_sockmap(w->settings->sockmap_marks, uc->sock.fd);
    x->up = &uc->server;
    return true;
}

static void connect_to(struct rg_worker *w, struct rg_upstream_conn *uc, const union rg_ip *ip)
{
    const struct rg_address *a = &uc->upstream->address;
    if (RG_LIKELY(!ip)) {
        rg_socket_connect(w, &uc->sock, &a->sa, a->len);
        return;
    }
    uc->peer = *ip;
    rg_socket_connect(w, &uc->sock, &uc->peer.sa, ip->sa.sa_family == AF_INET ? sizeof ip->in : sizeof ip->in6);
}

/* Its descriptor, and *ip where it is for an address of a name; -ENXIO: none is known. This machine may have no IPv6.
 */
static int open_to_next(struct rg_worker *w, struct rg_upstream *u, struct rg_exchange *x, const union rg_ip **ip)
{
    *ip = NULL;
    if (RG_LIKELY(u->address.len > 0))
        return open_socket(w, &u->address.sa);
    int fd;
    do {
        *ip = rg_upstream_address(w, x);
        fd = *ip ? open_socket(w, &(*ip)->sa) : -ENXIO;
    } while (RG_UNLIKELY(fd == -EAFNOSUPPORT) && rg_upstream_skip_address(w, x, *ip));
    return fd;
}

/* That of a new connection, with *ip as above. Negative, and why: there is none now. */
static int descriptor_for(struct rg_worker *w, struct rg_upstream *u, struct rg_exchange *x, const union rg_ip **ip,
                          enum rg_acquire *why)
{
    int fd = open_to_next(w, u, x, ip);
    u->no_descriptor = fd == -EMFILE || fd == -ENFILE;
    if (u->no_descriptor) {
        *why = RG_ACQUIRE_WAIT;
        if (rg_list_empty(&u->in_need))
            rg_list_append(&w->upstreams_in_need, &u->in_need);
    } else if (fd == -ENXIO) {
        bool resolving = rg_endpoint_state(u->endpoint) == RG_ENDPOINT_RESOLVING;
        *why = resolving ? RG_ACQUIRE_WAIT : RG_ACQUIRE_UNRESOLVED;
    } else if (fd < 0) {
        *why = RG_ACQUIRE_FAILED;
    }
    return fd;
}

/* NULL: none may be opened now (WAIT), or can be. */
struct rg_upstream_conn *rg_upstream_open(struct rg_worker *w, struct rg_upstream *u, struct rg_exchange *x,
                                          enum rg_acquire *why)
{
    uint32_t most = w->settings->replica_connections;
    *why = RG_ACQUIRE_WAIT;
    u->no_descriptor = false;
    if (most > 0 && u->open >= most)
        return NULL;
    const union rg_ip *ip;
    int fd = descriptor_for(w, u, x, &ip, why);
    if (fd < 0)
        return NULL;
    *why = RG_ACQUIRE_FAILED;
    struct rg_upstream_conn *uc = rg_pool_get(&w->upstream_conns);
    if (!uc)
        goto no_conn;
    *uc = (struct rg_upstream_conn){.upstream = u, .generation = u->generation, .requests = 1, .connect_us = w->now_us};
    rg_list_init(&uc->idle);
    if (!rg_socket_init(w, &uc->sock, fd, RG_SLOT_UPSTREAM, uc))
        goto no_slot;
    if (!set_up(w, uc, x))
        goto no_session;
    uc->sock.urgent = true;
    rg_list_append(&u->all, &uc->all);
    u->open++;
    rg_upstream_publish(w, u);
    connect_to(w, uc, ip);
    *why = RG_ACQUIRE_NEW;
    return uc;

no_session:
    rg_ring_slot_put(w->ring, uc->sock.slot);
no_slot:
    rg_pool_put(&w->upstream_conns, uc);
no_conn:
    close(fd);
    return NULL;
}

/* A kept one that can't be used must not take the place of one that can. */
static enum rg_acquire wait_in_line(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_upstream_conn *unused = longest_idle(x->upstream);
    if (unused)
        rg_upstream_end(w, unused);
    rg_list_append(&x->upstream->waiting, &x->waiting);
    return RG_ACQUIRE_WAIT;
}

static enum rg_acquire open_new(struct rg_worker *w, struct rg_exchange *x)
{
    enum rg_acquire why;
    rg_upstream_open(w, x->upstream, x, &why);
    return why == RG_ACQUIRE_WAIT ? wait_in_line(w, x) : why;
}

enum rg_acquire rg_upstream_acquire(struct rg_worker *w, struct rg_exchange *x, bool fresh, bool probe)
{
    struct rg_upstream *u = x->upstream;
    if (RG_UNLIKELY(u->protocol == RG_REPLICA_H2C))
        return rg_upstream_acquire_stream(w, x);
    struct rg_upstream_conn *uc = fresh ? NULL : take_idle(w, u, is_for_map(x), probe);
    if (!uc)
        return open_new(w, x);
    uc->server.exchange = x;
    uc->requests++;
    uc->sock.urgent = true;
    rg_socket_leave_line(w, &uc->sock); /* asks again, by the reserve */
    x->up = &uc->server;
    rg_upstream_publish(w, u);
    rg_metric_add(w->metrics, u->metrics->reused, 1);
    return RG_ACQUIRE_KEPT;
}

/* ---- release ---- */

void rg_upstream_serve_waiting(struct rg_worker *w, struct rg_upstream *u)
{
    if (rg_list_empty(&u->waiting))
        return;
    struct rg_exchange *x = RG_CONTAINER(u->waiting.next, struct rg_exchange, waiting);
    rg_list_remove(&x->waiting);
    rg_exchange_connect(w, x);
}

/* The one that tries is at the end of the line again when it finds none. */
void rg_upstream_serve_in_need(struct rg_worker *w)
{
    while (!rg_list_empty(&w->upstreams_in_need)) {
        struct rg_upstream *u = RG_CONTAINER(w->upstreams_in_need.next, struct rg_upstream, in_need);
        bool somebody_waits = !rg_list_empty(&u->waiting);
        rg_list_remove(&u->in_need);
        if (!somebody_waits)
            continue;
        rg_upstream_serve_waiting(w, u);
        if (!rg_list_empty(&u->waiting) && rg_list_empty(&u->in_need))
            rg_list_append(&w->upstreams_in_need, &u->in_need);
        return;
    }
}

void rg_upstream_serve_all_waiting(struct rg_worker *w, struct rg_upstream *u)
{
    struct rg_list *line = &u->waiting, *first;
    do {
        first = line->next;
        rg_upstream_serve_waiting(w, u);
    } while (!rg_list_empty(line) && line->prev != first); /* the first that must wait again is at the end */
}

/*
 * Small responses save an operation each when the receive goes on by itself. A large one would pile up blocks before it
 * could be stopped, so a connection has to earn it.
 */
static enum rg_recv_mode idle_mode(const struct rg_upstream_conn *uc)
{
    return uc->small ? RG_RECV_MULTI : RG_RECV_ONCE;
}

void rg_upstream_release(struct rg_worker *w, struct rg_server *s, bool keep)
{
    if (rg_server_is_h2(s)) {
        rg_upstream_release_stream(w, s);
        return;
    }
    struct rg_upstream_conn *uc = rg_server_conn(s);
    struct rg_upstream *u = uc->upstream;
    uc->server.exchange = NULL;
    bool clean = uc->sock.connected && !uc->sock.eof && !uc->sock.broken && !uc->sock.unsendable &&
                 uc->sock.in.bytes == 0 && !rg_socket_has_output(&uc->sock);
    if (RG_UNLIKELY(uc->sock.tls != NULL))
        clean = clean && rg_tls_is_between(uc->sock.tls);
    if (!keep || !clean || uc->generation != u->generation || u->idle_count >= w->settings->replica_idle ||
        w->stopping) {
        rg_upstream_end(w, uc); /* those that wait are served when it has closed */
        return;
    }
    uc->idle_since_ms = w->now_ms;
    uc->sock.fast = false;
    uc->sock.urgent = false;
    rg_list_prepend(&u->idle[uc->mapped], &uc->idle);
    u->idle_count++;
    rg_socket_want(w, &uc->sock, idle_mode(uc));
    rg_upstream_publish(w, u);
    rg_upstream_serve_waiting(w, u);
}

static void tick(struct rg_worker *w, struct rg_upstream *u)
{
    struct rg_upstream_conn *uc;
    while ((uc = longest_idle(u)) != NULL && w->now_ms - uc->idle_since_ms >= w->settings->replica_idle_ms)
        rg_upstream_end(w, uc);
    rg_upstream_tick_sessions(w, u);
    rg_upstream_serve_all_waiting(w, u); /* descriptors may have come free elsewhere, and nobody else tells */
}

/* ---- all of the worker's ---- */

static struct rg_upstream *upstream_of(struct rg_list *i)
{
    return RG_CONTAINER(i, struct rg_upstream, of_worker);
}

void rg_upstream_tick_all(struct rg_worker *w)
{
    for (struct rg_list *i = w->upstreams.next; i != &w->upstreams; i = i->next)
        tick(w, upstream_of(i));
    rg_upstream_sweep(w);
}

void rg_upstream_serve_everybody(struct rg_worker *w)
{
    for (struct rg_list *i = w->upstreams.next; i != &w->upstreams; i = i->next)
        rg_upstream_serve_all_waiting(w, upstream_of(i));
}

void rg_upstream_close_all_idle(struct rg_worker *w)
{
    for (struct rg_list *i = w->upstreams.next; i != &w->upstreams; i = i->next)
        rg_upstream_close_idle(w, upstream_of(i));
}

bool rg_upstream_any_open(const struct rg_worker *w)
{
    for (struct rg_list *i = w->upstreams.next; i != &w->upstreams; i = i->next)
        if (upstream_of(i)->open > 0)
            return true;
    return false;
}

/* ---- events ---- */

void rg_upstream_gone(struct rg_worker *w, struct rg_upstream_conn *uc)
{
    struct rg_upstream *u = uc->upstream;
    if (RG_UNLIKELY(uc->h2c != NULL) && uc->h2c->n_streams > 0) {
        uc->h2c->gone = true;
        return;
    }
    RG_ASSERT(!uc->server.exchange && rg_list_empty(&uc->idle));
    rg_list_remove(&uc->all);
    u->open--;
    if (RG_UNLIKELY(uc->h2c != NULL))
        rg_h2c_destroy(w, uc->h2c);
    rg_pool_put(&w->upstream_conns, uc);
    rg_upstream_publish(w, u);
    if (rg_list_empty(&u->waiting))
        rg_upstream_serve_in_need(w);
    else
        rg_upstream_serve_waiting(w, u);
}

/* Nobody asked this connection anything: whatever comes ends it, and is never given to a later request. */
static void idle_event(struct rg_worker *w, struct rg_upstream_conn *uc, enum rg_socket_event event)
{
    if (uc->sock.state != RG_SOCKET_OPEN)
        return;
    if (uc->sock.in.bytes > 0)
        rg_metric_add(w->metrics, uc->upstream->metrics->surplus, 1);
    if (uc->sock.in.bytes > 0 || event == RG_SOCKET_EOF || event == RG_SOCKET_ERROR || event == RG_SOCKET_UNSENDABLE)
        rg_upstream_end(w, uc);
    else
        rg_socket_want(w, &uc->sock, idle_mode(uc));
}

/* A connection that speaks TLS is connected when its handshake is done; until then nobody else is told of it. */
static enum rg_socket_event through_tls(struct rg_worker *w, struct rg_upstream_conn *uc, enum rg_socket_event event)
{
    if (event == RG_SOCKET_CONNECTED)
        return rg_upstream_begin_tls(w, uc) ? RG_SOCKET_NOTHING : RG_SOCKET_ERROR;
    if (event == RG_SOCKET_SECURE) {
        rg_upstream_tls_done(w, uc);
        return RG_SOCKET_CONNECTED;
    }
    if (event == RG_SOCKET_ERROR)
        rg_upstream_tls_failed(w, uc);
    bool told = uc->secure || event == RG_SOCKET_ERROR || event == RG_SOCKET_EOF || event == RG_SOCKET_GONE;
    return told ? event : RG_SOCKET_NOTHING;
}

static void deliver(struct rg_worker *w, struct rg_upstream_conn *uc, enum rg_socket_event event)
{
    if (RG_UNLIKELY(uc->upstream->endpoint != NULL) && uc->upstream->endpoint->tls)
        event = through_tls(w, uc, event);
    if (event == RG_SOCKET_GONE)
        rg_upstream_gone(w, uc);
    else if (event == RG_SOCKET_NOTHING)
        return;
    else if (RG_UNLIKELY(uc->h2c != NULL))
        rg_h2c_event(w, uc->h2c, event);
    else if (uc->server.exchange)
        rg_exchange_up_event(w, uc->server.exchange, event);
    else
        idle_event(w, uc, event);
}

void rg_upstream_complete(struct rg_worker *w, struct rg_upstream_conn *uc, const struct rg_completion *c)
{
    const struct rg_upstream_metrics *m = uc->upstream->metrics;
    if (c->op == RG_OP_RECV && c->res > 0)
        rg_metric_add(w->metrics, m->received, (uint64_t)c->res);
    else if (c->op == RG_OP_SEND && c->res > 0)
        rg_metric_add(w->metrics, m->sent, (uint64_t)c->res);
    deliver(w, uc, rg_socket_complete(w, &uc->sock, c));
}

void rg_upstream_go_on(struct rg_worker *w, struct rg_upstream_conn *uc)
{
    deliver(w, uc, rg_socket_tls_go_on(w, &uc->sock));
}
