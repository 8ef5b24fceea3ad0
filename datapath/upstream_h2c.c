/* See upstream_h2c.h. */
#include "datapath/upstream_h2c.h"

#include <errno.h>

#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/h2/h2c.h"

static struct rg_h2c *session_of(struct rg_list *i)
{
    return RG_CONTAINER(i, struct rg_h2c, all);
}

/* ---- acquire ---- */

/* What there is: where a stream has room, whether room may come by itself. */
struct view {
    struct rg_h2c *room; /* the first with room; NULL: none */
    bool connecting;     /* one is being made */
    bool useless;        /* one may carry nothing at all: another one would be no better */
};

static struct view look(const struct rg_worker *w, const struct rg_upstream *u)
{
    struct view v = {0};
    const struct rg_list *head = &u->sessions;
    for (struct rg_list *i = head->next; i != head && !v.room; i = i->next) {
        struct rg_h2c *h2c = session_of(i);
        if (rg_h2c_has_room(w, h2c))
            v.room = h2c;
        else if (!h2c->ready)
            v.connecting = true;
        else if (!h2c->going)
            v.useless |= h2c->n_streams == 0;
    }
    return v;
}

bool rg_upstream_is_connecting(const struct rg_upstream *u)
{
    for (const struct rg_list *i = u->sessions.next; i != &u->sessions; i = i->next)
        if (!RG_CONTAINER(i, const struct rg_h2c, all)->ready)
            return true;
    return false;
}

static enum rg_acquire open_session(struct rg_worker *w, struct rg_upstream *u)
{
    enum rg_acquire why = RG_ACQUIRE_FAILED;
    struct rg_upstream_conn *uc = rg_upstream_open(w, u, NULL, &why);
    if (!uc)
        return why;
    uc->idle_since_ms = w->now_ms;
    rg_list_append(&u->sessions, &uc->h2c->all);
    return RG_ACQUIRE_NEW;
}

static enum rg_acquire wait_in_line(struct rg_exchange *x)
{
    rg_list_append(&x->upstream->waiting, &x->waiting);
    return RG_ACQUIRE_WAIT;
}

enum rg_acquire rg_upstream_acquire_stream(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_upstream *u = x->upstream;
    struct view v = look(w, u);
    if (!v.room) {
        enum rg_acquire a = v.connecting || v.useless ? RG_ACQUIRE_WAIT : open_session(w, u);
        u->no_descriptor = a == RG_ACQUIRE_WAIT && u->no_descriptor;
        return a == RG_ACQUIRE_FAILED ? a : wait_in_line(x);
    }
    bool idle = v.room->n_streams == 0;
    struct rg_h2c_stream *s = rg_h2c_open(w, v.room, x);
    if (!s)
        return RG_ACQUIRE_FAILED;
    x->up = &s->server;
    if (s->kept)
        rg_metric_add(w->metrics, RG_M_REPLICA_REUSED, 1);
    if (idle) {
        u->idle_count--;
        rg_upstream_publish(w, u);
    }
    return RG_ACQUIRE_KEPT;
}

/* ---- the end of a session ---- */

/* No exchange knows it from here on. */
static void end(struct rg_worker *w, struct rg_h2c *h2c)
{
    if (h2c->over)
        return;
    struct rg_upstream *u = h2c->conn->upstream;
    h2c->over = true;
    if (h2c->ready && h2c->n_streams == 0)
        u->idle_count--;
    rg_list_remove(&h2c->all);
    rg_h2c_cut_all(w, h2c);
    rg_socket_close(w, &h2c->conn->sock, false);
    rg_upstream_publish(w, u);
}

static bool is_wanted(const struct rg_worker *w, const struct rg_h2c *h2c)
{
    const struct rg_upstream *u = h2c->conn->upstream;
    bool current = h2c->conn->generation == u->generation && !w->stopping;
    return current && !h2c->going && u->idle_count <= w->settings->replica_idle;
}

static void end_if_done(struct rg_worker *w, struct rg_h2c *h2c)
{
    if (h2c->ready && h2c->n_streams == 0 && !is_wanted(w, h2c))
        end(w, h2c);
}

void rg_upstream_release_stream(struct rg_worker *w, struct rg_server *server)
{
    struct rg_h2c_stream *s = RG_CONTAINER(server, struct rg_h2c_stream, server);
    struct rg_h2c *h2c = s->h2c;
    struct rg_upstream *u = h2c->conn->upstream;
    rg_h2c_close(w, s);
    if (h2c->over) {
        if (h2c->gone && h2c->n_streams == 0)
            rg_upstream_gone(w, h2c->conn);
        return;
    }
    if (h2c->n_streams == 0) {
        h2c->conn->idle_since_ms = w->now_ms;
        u->idle_count++;
        rg_upstream_publish(w, u);
        end_if_done(w, h2c);
    }
    rg_upstream_serve_waiting(w, u);
}

void rg_upstream_retire_sessions(struct rg_worker *w, struct rg_upstream *u)
{
    struct rg_list *i = u->sessions.next;
    while (i != &u->sessions) {
        struct rg_h2c *h2c = session_of(i);
        i = i->next;
        h2c->going = true;
        if (h2c->n_streams == 0)
            end(w, h2c);
    }
}

/* ---- told by the session ---- */

void rg_upstream_session_connected(struct rg_worker *w, struct rg_h2c *h2c)
{
    if (h2c->conn->upstream->address.sa.sa_family == AF_UNIX)
        rg_sys_connected(h2c->conn->sock.fd);
    rg_metric_add(w->metrics, RG_M_REPLICA_CONNECTS, 1);
    rg_histogram_record(&w->metrics->histograms[RG_H_REPLICA_CONNECT], w->now_us - h2c->conn->connect_us);
}

/* Those that were in line when it became known; what they bring about may get in line again. */
static void fail_waiting(struct rg_worker *w, struct rg_upstream *u, enum rg_reason reason)
{
    struct rg_list *line = &u->waiting;
    unsigned n = 0;
    for (struct rg_list *i = line->next; i != line; i = i->next)
        n++;
    for (; n > 0 && !rg_list_empty(line); n--) {
        struct rg_exchange *x = RG_CONTAINER(line->next, struct rg_exchange, waiting);
        rg_list_remove(&x->waiting);
        rg_exchange_break(w, x, reason);
    }
}

static enum rg_reason why_not_made(const struct rg_h2c *h2c, int error)
{
    if (rg_reach_is_own_shortage(error))
        return RG_REASON_OVERLOADED;
    if (error == ETIMEDOUT)
        return RG_REASON_REPLICA_CONNECT_TIMEOUT;
    if (h2c->faulty)
        return RG_REASON_REPLICA_NOT_HTTP2;
    return h2c->conn->sock.connected ? RG_REASON_REPLICA_CLOSED : RG_REASON_REPLICA_CONNECT;
}

/* It never carried a request: for those in line that is a connect that failed, unless they wait for others. */
static void connect_failed(struct rg_worker *w, struct rg_upstream *u, enum rg_reason reason, int error)
{
    rg_metric_add(w->metrics, RG_M_REPLICA_CONNECT_FAILURES, 1);
    if (reason != RG_REASON_OVERLOADED)
        rg_replica_connect_failed(w->replica, w->settings->health.fall, error ? error : EPROTO);
    if (rg_list_empty(&u->sessions))
        fail_waiting(w, u, reason);
}

void rg_upstream_session_changed(struct rg_worker *w, struct rg_h2c *h2c, bool ready)
{
    struct rg_upstream *u = h2c->conn->upstream;
    if (ready) {
        rg_replica_connected(w->replica);
        u->idle_count++;
        h2c->conn->idle_since_ms = w->now_ms;
        rg_upstream_publish(w, u);
    }
    bool never_used = h2c->going && !h2c->used && h2c->conn->generation == u->generation;
    if (h2c->going && h2c->n_streams == 0)
        end(w, h2c);
    /* A replica that says goodbye to whoever comes would be dialled again, and again. */
    if (never_used && rg_list_empty(&u->sessions) && !rg_list_empty(&u->waiting))
        connect_failed(w, u, RG_REASON_REPLICA_CLOSED, ECONNABORTED);
    else
        rg_upstream_serve_all_waiting(w, u); /* its limit may have grown, too */
}

void rg_upstream_session_lost(struct rg_worker *w, struct rg_h2c *h2c, int error)
{
    struct rg_upstream *u = h2c->conn->upstream;
    bool never_used = !h2c->used && h2c->conn->generation == u->generation;
    bool idle = h2c->ready && !h2c->going && !h2c->faulty; /* left by a replica to which nobody had anything to say */
    enum rg_reason reason = why_not_made(h2c, error);
    end(w, h2c);
    /* Had there been room for a stream, nobody would wait: one that allows none would be dialled again, and again. */
    bool useless = rg_list_empty(&u->sessions) && !rg_list_empty(&u->waiting);
    if (never_used && idle && useless)
        connect_failed(w, u, RG_REASON_REPLICA_CLOSED, ECONNABORTED);
    else if (never_used && !idle)
        connect_failed(w, u, reason, error);
    else
        rg_upstream_serve_all_waiting(w, u);
}

/* ---- time ---- */

static void tick_session(struct rg_worker *w, struct rg_h2c *h2c)
{
    const struct rg_settings *s = w->settings;
    uint64_t idle_ms = w->now_ms - h2c->conn->idle_since_ms;
    if (!h2c->ready && w->now_ms >= h2c->conn->connect_us / 1000 + s->connect_ms)
        rg_upstream_session_lost(w, h2c, ETIMEDOUT);
    else if (h2c->ready && h2c->n_streams == 0 && idle_ms >= s->replica_idle_ms)
        end(w, h2c);
    else if (!rg_h2c_is_alive(w, h2c))
        rg_upstream_session_lost(w, h2c, ETIMEDOUT);
}

/* Whatever ends one may end others: each is looked at once, as many as there were. */
void rg_upstream_tick_sessions(struct rg_worker *w, struct rg_upstream *u)
{
    struct rg_list *head = &u->sessions;
    unsigned n = 0;
    for (struct rg_list *i = head->next; i != head; i = i->next)
        n++;
    for (; n > 0 && !rg_list_empty(head); n--) {
        struct rg_h2c *h2c = session_of(head->next);
        rg_list_remove(&h2c->all); /* in a round, so that the order stays */
        rg_list_append(head, &h2c->all);
        tick_session(w, h2c);
    }
}
