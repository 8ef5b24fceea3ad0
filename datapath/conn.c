/* See conn.h. The frame of a connection's life: accepted, what its socket and its timer tell in each state, freed. */
#include "datapath/conn_parts.h"
#include "datapath/conn_proxy.h"
#include "datapath/conn_tls.h"
#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/h2/h2.h"

/* Open client connections of the whole process, for limits.connections; touched once per connection. */
static uint32_t open_clients;

static void publish_open(struct rg_worker *w)
{
    rg_metric_set(w->metrics, RG_M_CONNECTIONS_OPEN, w->n_clients);
    __atomic_store_n(&w->steer->open, w->n_clients, __ATOMIC_RELAXED);
}

void rg_conn_become(struct rg_worker *w, struct rg_conn *c, enum rg_conn_state state)
{
    rg_list_remove(&c->idle);
    c->state = (uint8_t)state;
    c->since_ms = w->now_ms;
    if (state == RG_CONN_IDLE) {
        c->client.head_us = w->now_us;
        rg_list_append(&w->idle, &c->idle);
    } else if (state == RG_CONN_HEAD || state == RG_CONN_SHAKING) {
        rg_list_append(&w->heads, &c->idle);
    } else if (state == RG_CONN_LINGER) {
        rg_list_append(&w->lingering, &c->idle);
    }
}

void rg_conn_close(struct rg_worker *w, struct rg_conn *c, bool reset)
{
    rg_conn_become(w, c, RG_CONN_CLOSING);
    if (RG_UNLIKELY(c->h2))
        rg_h2_end(w, c, w->stopping ? RG_REASON_DRAIN_DEADLINE : RG_REASON_CLIENT_GONE);
    rg_timer_stop(&c->timer);
    rg_socket_close(w, &c->sock, reset);
}

void rg_conn_check_within(struct rg_worker *w, struct rg_conn *c, uint32_t ms)
{
    uint64_t due = w->now_ms + ms;
    if (!rg_timer_is_running(&c->timer) || c->timer.due_ms > due + RG_WHEEL_TICK_MS)
        rg_timer_start(&w->wheel, &c->timer, due);
}

static bool admit(struct rg_worker *w)
{
    uint32_t most = w->max_clients;
    if (__atomic_load_n(&open_clients, __ATOMIC_RELAXED) < most)
        return true;
    /* The place comes free when the shed connection has closed; this one may be over the limit for that moment. */
    return rg_conn_shed(w);
}

static uint32_t idle_limit_ms(const struct rg_worker *w, const struct rg_conn *c)
{
    const struct rg_settings *s = w->settings;
    if (w->draining)
        return s->drain_idle_ms;
    bool must_speak = c->proxy_stage == RG_PROXY_STAGE_MUST || (c->wants_tls && !c->sock.tls);
    return must_speak ? s->client_head_ms : s->client_idle_ms;
}

void rg_conn_wait(struct rg_worker *w, struct rg_conn *c)
{
    rg_socket_want(w, &c->sock, rg_conn_waiting_mode(c));
    rg_conn_check_within(w, c, idle_limit_ms(w, c));
}

static void count_accepted(struct rg_worker *w)
{
    rg_metric_add(w->metrics, RG_M_CONNECTIONS_ACCEPTED, 1);
    __atomic_store_n(&w->steer->accepted, w->steer->accepted + 1, __ATOMIC_RELAXED);
}

static void turn_away(struct rg_worker *w, int fd)
{
    rg_metric_add(w->metrics, RG_M_CONNECTIONS_REFUSED, 1);
    rg_sys_close(fd);
}

void rg_conn_turn_away(struct rg_worker *w, int fd)
{
    count_accepted(w);
    turn_away(w, fd);
}

void rg_conn_accept(struct rg_worker *w, int fd, const struct rg_listener *l)
{
    count_accepted(w);
    /* After a stop nobody would end it any more. */
    struct rg_conn *c = !w->stopping && admit(w) ? rg_pool_get(&w->conns) : NULL;
    if (!c)
        goto refused;
    *c = (struct rg_conn){.client = {.listener_port = l->port}, .listener = l->index};
    c->may_be_h2 = w->settings->listeners[l->index].http2;
    if (!rg_socket_init(w, &c->sock, fd, RG_SLOT_CLIENT, c)) {
        rg_pool_put(&w->conns, c);
        goto refused;
    }
    struct in6_addr addr;
    rg_sys_accepted(fd, l->paces, &c->peer, &c->client.peer_port, &addr);
    c->peer.trusted = rg_prefixes_hold(w->settings->trusted, w->settings->n_trusted, &addr);
    c->client.peer = &c->peer;
    c->client.in = &c->sock.in;
    c->client.out = &c->sock.out;
    c->sock.connected = true;
    rg_timer_init(&c->timer);
    rg_list_init(&c->idle);
    rg_list_append(&w->clients, &c->all);
    w->n_clients++;
    __atomic_add_fetch(&open_clients, 1, __ATOMIC_RELAXED);
    publish_open(w);
    rg_conn_become(w, c, RG_CONN_IDLE);
    const struct rg_listener_settings *s = &w->settings->listeners[l->index];
    c->wants_tls = s->tls.n_certificates > 0;
    c->redirect_status = s->redirect_status;
    c->redirect_port = s->redirect_port;
    if (s->proxy_mode != RG_PROXY_MODE_OFF && !rg_conn_begin_proxy(w, c, &addr))
        return;
    if (c->wants_tls && c->proxy_stage == RG_PROXY_STAGE_OVER)
        rg_conn_begin_tls(w, c);
    else
        rg_conn_wait(w, c);
    return;

refused:
    turn_away(w, fd);
}

void rg_conn_h2_busy(struct rg_worker *w, struct rg_conn *c, bool busy)
{
    if (c->state != RG_CONN_H2)
        return;
    rg_list_remove(&c->idle);
    c->since_ms = w->now_ms;
    if (busy) {
        rg_conn_check_within(w, c, w->exchange_check_ms);
    } else {
        c->client.head_us = w->now_us;
        rg_list_append(&w->idle, &c->idle);
    }
}

/* ---- events ---- */

static void free_conn(struct rg_worker *w, struct rg_conn *c)
{
    RG_ASSERT(c->state == RG_CONN_CLOSING && !c->client.exchange && !rg_timer_is_running(&c->timer));
    if (c->over_tls)
        rg_metric_sub(w->metrics, RG_M_TLS_OPEN, 1);
    rg_list_remove(&c->all);
    w->n_clients--;
    __atomic_sub_fetch(&open_clients, 1, __ATOMIC_RELAXED);
    publish_open(w);
    rg_pool_put(&w->conns, c);
    rg_upstream_serve_in_need(w);
}

void rg_conn_complete(struct rg_worker *w, struct rg_conn *c, const struct rg_completion *done)
{
    if (done->op == RG_OP_RECV && done->res > 0)
        rg_metric_add(w->metrics, RG_M_BYTES_FROM_CLIENTS, (uint64_t)done->res);
    else if (done->op == RG_OP_SEND && done->res > 0)
        rg_metric_add(w->metrics, RG_M_BYTES_TO_CLIENTS, (uint64_t)done->res);
    enum rg_socket_event event = rg_socket_complete(w, &c->sock, done);
    if (event == RG_SOCKET_GONE) {
        free_conn(w, c);
        return;
    }
    rg_conn_event(w, c, event);
}

void rg_conn_event(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event)
{
    if (event == RG_SOCKET_NOTHING)
        return;
    switch ((enum rg_conn_state)c->state) {
    case RG_CONN_SHAKING:
        rg_conn_shaking_event(w, c, event);
        break;
    case RG_CONN_EXCHANGE:
        rg_exchange_client_event(w, c->client.exchange, event);
        break;
    case RG_CONN_IDLE:
    case RG_CONN_HEAD:
        if (event == RG_SOCKET_ERROR || (event == RG_SOCKET_EOF && c->sock.in.bytes == 0))
            rg_conn_close(w, c, false);
        else if (c->sock.in.bytes > 0)
            rg_conn_read_head(w, c);
        else
            rg_socket_want(w, &c->sock, rg_conn_waiting_mode(c));
        break;
    case RG_CONN_H2:
        rg_h2_event(w, c, event);
        break;
    case RG_CONN_LINGER:
        rg_conn_discard(w, c, event);
        break;
    case RG_CONN_CLOSING:
        break;
    }
}

/* The timer fires at or before the true deadline: what is due is decided here. */
static bool is_due(struct rg_worker *w, struct rg_conn *c, uint64_t since_ms, uint32_t limit_ms)
{
    uint64_t deadline = since_ms + limit_ms;
    if (w->now_ms >= deadline)
        return true;
    rg_conn_check_within(w, c, (uint32_t)(deadline - w->now_ms));
    return false;
}

void rg_conn_timer(struct rg_worker *w, struct rg_conn *c)
{
    const struct rg_settings *s = w->settings;
    switch ((enum rg_conn_state)c->state) {
    case RG_CONN_IDLE: {
        uint64_t since = w->draining && w->drain_since_ms > c->since_ms ? w->drain_since_ms : c->since_ms;
        if (!is_due(w, c, since, idle_limit_ms(w, c)))
            break;
        if (c->proxy_stage == RG_PROXY_STAGE_MUST && !w->draining)
            rg_metric_refused(w->metrics, RG_REASON_PROXY_TIMEOUT);
        rg_conn_close(w, c, false);
        break;
    }
    case RG_CONN_SHAKING:
        if (!is_due(w, c, c->since_ms, s->client_head_ms))
            break;
        rg_conn_tls_failed(w, RG_TLS_FAIL_TIMEOUT);
        rg_conn_close(w, c, false);
        break;
    case RG_CONN_HEAD:
        if (is_due(w, c, c->since_ms, s->client_head_ms))
            rg_conn_refuse(w, c, RG_METHOD_OTHER, c->proxy_stage ? RG_REASON_PROXY_TIMEOUT : RG_REASON_HEAD_TIMEOUT);
        break;
    case RG_CONN_EXCHANGE:
        rg_exchange_check_time(w, c->client.exchange);
        break;
    case RG_CONN_H2:
        rg_h2_check_time(w, c);
        break;
    case RG_CONN_LINGER:
        if (is_due(w, c, c->since_ms, c->linger_ms))
            rg_conn_close(w, c, false);
        break;
    case RG_CONN_CLOSING:
        break;
    }
}
