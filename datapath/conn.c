/* See conn.h. In the order of a connection's life: accepted, reading heads, between requests, lingering, gone. */
#include "datapath/conn.h"

#include "datapath/conn_proxy.h"
#include "datapath/conn_tls.h"
#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/h2/h2.h"

#define LINGER_MS    5000 /* how long a client may go on sending after our last byte */
#define ANNOUNCED_MS 1000 /* ... when all that may come is what it sent before it read that the connection ends */
/* Thrown away of what such a client sends; what the queues of two kernels hold when it reads our answer is less. */
#define LINGER_BYTES (16u << 20)
#define SLOW_HEAD_MS 500 /* a head that has been coming for so long may make room; an honest one comes in one piece */
#define SHED_HEADS   8   /* connections closed in a turn when buffers run short */

/* Open client connections of the whole process, for limits.connections; touched once per connection. */
static uint32_t open_clients;

static void process(struct rg_worker *w, struct rg_conn *c);

static void publish_open(struct rg_worker *w)
{
    rg_metric_set(w->metrics, RG_M_CONNECTIONS_OPEN, w->n_clients);
    __atomic_store_n(&w->steer->open, w->n_clients, __ATOMIC_RELAXED);
}

static void become(struct rg_worker *w, struct rg_conn *c, enum rg_conn_state state)
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

static void close_conn(struct rg_worker *w, struct rg_conn *c, bool reset)
{
    become(w, c, RG_CONN_CLOSING);
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

static void wait_for_request(struct rg_worker *w, struct rg_conn *c)
{
    rg_socket_want(w, &c->sock, rg_conn_waiting_mode(c));
    rg_conn_check_within(w, c, idle_limit_ms(w, c));
}

/* Nobody is answered here: whether the peer speaks HTTP, and whose client it is, is not known yet. */
static RG_COLD void refuse_proxy(struct rg_worker *w, struct rg_conn *c, enum rg_reason reason)
{
    rg_metric_refused(w->metrics, reason);
    close_conn(w, c, false);
}

/* false: the connection has ended. */
static RG_COLD bool begin_proxy_stage(struct rg_worker *w, struct rg_conn *c, const struct in6_addr *peer)
{
    enum rg_reason reason = RG_REASON_NONE;
    c->proxy_stage = (uint8_t)rg_proxy_stage_begin(w, c, peer, &reason);
    if (reason != RG_REASON_NONE)
        refuse_proxy(w, c, reason);
    return reason == RG_REASON_NONE;
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

/* What has come already is the beginning of it. Only what is needed for now is received: nobody has shown that he has
 * anything to say. */
static RG_COLD void begin_tls(struct rg_worker *w, struct rg_conn *c)
{
    c->client.secure = true;
    become(w, c, RG_CONN_SHAKING);
    if (!rg_conn_tls_begin(w, c)) {
        close_conn(w, c, false);
        return;
    }
    rg_conn_check_within(w, c, w->settings->client_head_ms);
    rg_socket_want(w, &c->sock, RG_RECV_ONCE);
    rg_conn_event(w, c, rg_conn_tls_go_on(w, c));
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
    rg_sys_accepted(fd, &c->peer, &c->client.peer_port, &addr);
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
    become(w, c, RG_CONN_IDLE);
    const struct rg_listener_settings *s = &w->settings->listeners[l->index];
    c->wants_tls = s->tls.n_certificates > 0;
    c->redirect_status = s->redirect_status;
    c->redirect_port = s->redirect_port;
    if (s->proxy_mode != RG_PROXY_MODE_OFF && !begin_proxy_stage(w, c, &addr))
        return;
    if (c->wants_tls && c->proxy_stage == RG_PROXY_STAGE_OVER)
        begin_tls(w, c);
    else
        wait_for_request(w, c);
    return;

refused:
    turn_away(w, fd);
}

/* ---- reading a head ---- */

/* More of the head may lie in the next block. false: all there is has been parsed. */
static bool gather_more(struct rg_worker *w, struct rg_conn *c, bool *no_memory)
{
    struct rg_input *in = &c->sock.in;
    if (!in->head->next)
        return false;
    size_t before = rg_input_front(in).len;
    *no_memory = !rg_input_gather(in, &w->bufs);
    return !*no_memory && rg_input_front(in).len > before;
}

static void head_incomplete(struct rg_worker *w, struct rg_conn *c)
{
    rg_socket_want(w, &c->sock, rg_conn_waiting_mode(c));
    rg_conn_check_within(w, c, w->settings->client_head_ms);
}

static void refuse(struct rg_worker *w, struct rg_conn *c, enum rg_method method, enum rg_reason reason)
{
    if (rg_reason_info(reason)->status == 0) {
        rg_metric_refused(w->metrics, reason);
        close_conn(w, c, false);
        return;
    }
    become(w, c, RG_CONN_EXCHANGE);
    rg_exchange_refuse(w, &c->client, method, reason);
}

/* false: there is nothing yet that is the client's, or the connection has ended. */
static RG_COLD bool pass_proxy_stage(struct rg_worker *w, struct rg_conn *c)
{
    enum rg_reason reason = RG_REASON_NONE;
    switch (rg_proxy_stage_run(w, c, &reason)) {
    case RG_PROXY_STEP_MORE:
        head_incomplete(w, c);
        return false;
    case RG_PROXY_STEP_REFUSED:
        refuse_proxy(w, c, reason);
        return false;
    case RG_PROXY_STEP_OVER:
        break;
    }
    /* The first byte of a request is still to come, or it is here now: its time begins. */
    become(w, c, RG_CONN_IDLE);
    if (c->sock.in.bytes > 0 && !c->wants_tls)
        return true;
    if (c->sock.in.bytes == 0 && c->sock.eof)
        close_conn(w, c, false);
    else if (c->wants_tls)
        begin_tls(w, c);
    else
        wait_for_request(w, c);
    return false;
}

static RG_COLD void speak_h2(struct rg_worker *w, struct rg_conn *c)
{
    become(w, c, RG_CONN_H2);
    rg_list_append(&w->idle, &c->idle);
    rg_conn_check_within(w, c, w->settings->client_head_ms);
    if (!rg_h2_begin(w, c)) {
        rg_metric_refused(w->metrics, RG_REASON_OUT_OF_BUFFERS);
        close_conn(w, c, false);
    } else if (c->sock.eof) {
        rg_h2_event(w, c, RG_SOCKET_EOF);
    }
}

/*
 * A client that knows that HTTP/2 is spoken here begins with a preface that is no request of HTTP/1 (RFC 9113 3.4).
 * true: it was one, or it may become one.
 */
static bool begin_h2(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_input *in = &c->sock.in;
    int verdict = rg_h2_looks_like(rg_input_front(in));
    if (verdict == 0 && in->head->next && rg_input_gather(in, &w->bufs))
        verdict = rg_h2_looks_like(rg_input_front(in));
    if (verdict == 0 && !c->sock.eof) {
        head_incomplete(w, c);
        return true;
    }
    c->may_be_h2 = false;
    if (verdict <= 0)
        return false;
    speak_h2(w, c);
    return true;
}

/* One request at most: its exchange comes back here through rg_conn_exchange_ended. */
static void process(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_h1_request req;
    req.method_id = RG_METHOD_OTHER; /* unless the parser comes to it */
    enum rg_reason reason = RG_REASON_NONE;
    bool no_memory = false;
    int32_t n;
    if (c->sock.in.bytes == 0)
        return;
    if (c->state == RG_CONN_IDLE) {
        become(w, c, RG_CONN_HEAD);
        c->client.head_us = w->now_us;
    }
    if (RG_UNLIKELY(c->proxy_stage)) {
        if (!pass_proxy_stage(w, c))
            return;
        become(w, c, RG_CONN_HEAD);
    }
    if (RG_UNLIKELY(c->wants_tls && !c->sock.tls)) {
        refuse(w, c, RG_METHOD_OTHER, RG_REASON_CLEAR_ON_TLS);
        return;
    }
    if (RG_UNLIKELY(c->may_be_h2) && begin_h2(w, c))
        return;
    do {
        struct rg_str front = rg_input_front(&c->sock.in);
        n = rg_h1_parse_request(&c->resume, front.ptr, front.len, &w->limits, w->fields, &req, &reason);
    } while (n == 0 && gather_more(w, c, &no_memory));
    if (n > 0) {
        become(w, c, RG_CONN_EXCHANGE);
        rg_exchange_begin(w, &c->client, &req, (uint32_t)n);
    } else if (n < 0) {
        refuse(w, c, (enum rg_method)req.method_id, reason);
    } else if (no_memory) {
        refuse(w, c, (enum rg_method)req.method_id, RG_REASON_OUT_OF_BUFFERS);
    } else if (c->sock.in.head->next) { /* more than the largest block holds */
        refuse(w, c, (enum rg_method)req.method_id, RG_REASON_HEAD_TOO_LARGE);
    } else if (c->sock.eof) {
        close_conn(w, c, false);
    } else {
        head_incomplete(w, c);
    }
}

/* ---- after an exchange ---- */

static void linger(struct rg_worker *w, struct rg_conn *c, uint16_t ms)
{
    become(w, c, RG_CONN_LINGER);
    c->linger_ms = ms;
    c->linger_bytes = 0;
    rg_input_clear(&c->sock.in);
    rg_socket_shut_write(w, &c->sock);
    rg_socket_want(w, &c->sock, RG_RECV_MULTI);
    rg_conn_check_within(w, c, ms);
}

void rg_conn_exchange_ended(struct rg_worker *w, struct rg_conn *c, enum rg_conn_after after)
{
    c->client.exchange = NULL;
    c->resume = (struct rg_h1_resume){0};
    if (c->sock.broken || c->sock.unsendable)
        after = RG_AFTER_CLOSE;
    if (after == RG_AFTER_RESET || after == RG_AFTER_CLOSE) {
        close_conn(w, c, after == RG_AFTER_RESET);
    } else if (after == RG_AFTER_LINGER || after == RG_AFTER_ANNOUNCED) {
        if (c->sock.eof)
            close_conn(w, c, false);
        else
            linger(w, c, after == RG_AFTER_LINGER ? LINGER_MS : ANNOUNCED_MS);
    } else {
        become(w, c, RG_CONN_IDLE);
        if (c->sock.in.bytes > 0)
            process(w, c);
        else if (c->sock.eof)
            close_conn(w, c, false);
        else
            wait_for_request(w, c);
    }
}

/* ---- HTTP/2 ---- */

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

void rg_conn_h2_over(struct rg_worker *w, struct rg_conn *c, enum rg_conn_after after)
{
    become(w, c, RG_CONN_LINGER); /* what ends with the session must not take it for idle */
    rg_h2_end(w, c, RG_REASON_CLIENT_GONE);
    rg_conn_exchange_ended(w, c, after);
}

/* ---- events ---- */

static void discard(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event)
{
    bool over = event == RG_SOCKET_EOF || event == RG_SOCKET_ERROR || event == RG_SOCKET_UNSENDABLE;
    c->linger_bytes += c->sock.in.bytes;
    rg_input_clear(&c->sock.in);
    if (!over && c->linger_bytes > LINGER_BYTES) {
        rg_metric_add(w->metrics, RG_M_CONNECTIONS_LINGER_CUT, 1);
        over = true;
    }
    if (over)
        close_conn(w, c, false);
    else
        rg_socket_want(w, &c->sock, RG_RECV_MULTI);
}

/* The handshake is done, or turned out not to be wanted. */
static void begin_http(struct rg_worker *w, struct rg_conn *c)
{
    become(w, c, RG_CONN_IDLE);
    if (c->sock.in.bytes > 0)
        process(w, c);
    else if (c->sock.eof)
        close_conn(w, c, false);
    else
        wait_for_request(w, c);
}

static void shaking_event(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event)
{
    if (event == RG_SOCKET_SECURE) {
        rg_conn_tls_done(w, c);
        c->may_be_h2 = false; /* ALPN decides (RFC 9113 3.2) */
        if (rg_tls_agreed(c->sock.tls) == RG_TLS_H2)
            speak_h2(w, c);
        else
            begin_http(w, c);
    } else if (event == RG_SOCKET_DATA && !c->sock.tls) {
        rg_conn_tls_failed(w, RG_TLS_FAIL_NOT_TLS);
        begin_http(w, c);
    } else if (event == RG_SOCKET_EOF || event == RG_SOCKET_ERROR || event == RG_SOCKET_UNSENDABLE) {
        rg_conn_tls_failed(w, rg_conn_tls_failure(c));
        close_conn(w, c, false);
    }
}

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
    rg_upstream_serve_waiting(w);
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
        shaking_event(w, c, event);
        break;
    case RG_CONN_EXCHANGE:
        rg_exchange_client_event(w, c->client.exchange, event);
        break;
    case RG_CONN_IDLE:
    case RG_CONN_HEAD:
        if (event == RG_SOCKET_ERROR || (event == RG_SOCKET_EOF && c->sock.in.bytes == 0))
            close_conn(w, c, false);
        else if (c->sock.in.bytes > 0)
            process(w, c);
        else
            rg_socket_want(w, &c->sock, rg_conn_waiting_mode(c));
        break;
    case RG_CONN_H2:
        rg_h2_event(w, c, event);
        break;
    case RG_CONN_LINGER:
        discard(w, c, event);
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
        close_conn(w, c, false);
        break;
    }
    case RG_CONN_SHAKING:
        if (!is_due(w, c, c->since_ms, s->client_head_ms))
            break;
        rg_conn_tls_failed(w, RG_TLS_FAIL_TIMEOUT);
        close_conn(w, c, false);
        break;
    case RG_CONN_HEAD:
        if (is_due(w, c, c->since_ms, s->client_head_ms))
            refuse(w, c, RG_METHOD_OTHER, c->proxy_stage ? RG_REASON_PROXY_TIMEOUT : RG_REASON_HEAD_TIMEOUT);
        break;
    case RG_CONN_EXCHANGE:
        rg_exchange_check_time(w, c->client.exchange);
        break;
    case RG_CONN_H2:
        rg_h2_check_time(w, c);
        break;
    case RG_CONN_LINGER:
        if (is_due(w, c, c->since_ms, c->linger_ms))
            close_conn(w, c, false);
        break;
    case RG_CONN_CLOSING:
        break;
    }
}

/* ---- from outside ---- */

/* Those of this turn are spared: a last response has just left, a request may be there and nobody has looked. */
static struct rg_conn *least_missed(struct rg_worker *w)
{
    if (!rg_list_empty(&w->lingering)) {
        struct rg_conn *c = RG_CONTAINER(w->lingering.next, struct rg_conn, idle);
        if (c->since_ms != w->now_ms)
            return c;
    }
    if (!rg_list_empty(&w->idle)) {
        struct rg_conn *c = RG_CONTAINER(w->idle.next, struct rg_conn, idle);
        if (c->client.head_us != w->now_us)
            return c;
    }
    if (!rg_list_empty(&w->heads)) {
        struct rg_conn *c = RG_CONTAINER(w->heads.next, struct rg_conn, idle);
        if (w->now_ms - c->since_ms >= SLOW_HEAD_MS)
            return c;
    }
    return NULL;
}

bool rg_conn_shed(struct rg_worker *w)
{
    struct rg_conn *c = least_missed(w);
    if (!c)
        return false;
    rg_metric_add(w->metrics, RG_M_CONNECTIONS_SHED, 1);
    close_conn(w, c, false);
    return true;
}

void rg_conn_shed_heads(struct rg_worker *w)
{
    for (unsigned i = 0; i < SHED_HEADS && !rg_list_empty(&w->heads); i++) {
        rg_metric_refused(w->metrics, RG_REASON_OUT_OF_BUFFERS);
        close_conn(w, RG_CONTAINER(w->heads.next, struct rg_conn, idle), false);
    }
}

void rg_conn_drain(struct rg_worker *w)
{
    for (struct rg_list *i = w->clients.next; i != &w->clients; i = i->next) {
        struct rg_conn *c = RG_CONTAINER(i, struct rg_conn, all);
        if (c->state == RG_CONN_IDLE)
            rg_conn_check_within(w, c, w->settings->drain_idle_ms);
        else if (c->state == RG_CONN_H2)
            rg_h2_drain(w, c);
    }
}

void rg_conn_break_all(struct rg_worker *w, bool at_once)
{
    for (struct rg_list *i = w->clients.next, *next; i != &w->clients; i = next) {
        next = i->next;
        struct rg_conn *c = RG_CONTAINER(i, struct rg_conn, all);
        if (c->state == RG_CONN_EXCHANGE) {
            if (at_once || !rg_exchange_leave(w, c->client.exchange))
                rg_exchange_break(w, c->client.exchange, RG_REASON_DRAIN_DEADLINE);
        } else if (c->state != RG_CONN_CLOSING) {
            close_conn(w, c, false);
        }
    }
}
