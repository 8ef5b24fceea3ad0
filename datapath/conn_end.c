/* See conn_parts.h. What follows an exchange (the next request, or the end in one of its ways), and connections that
 * are ended from outside: because others need their place, or by a drain. */
#include "datapath/conn_parts.h"
#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/h2/h2.h"

#define LINGER_MS    5000 /* how long a client may go on sending after our last byte */
#define ANNOUNCED_MS 1000 /* ... when all that may come is what it sent before it read that the connection ends */
/* Thrown away of what such a client sends; what the queues of two kernels hold when it reads our answer is less. */
#define LINGER_BYTES (16u << 20)
#define SLOW_HEAD_MS 500 /* a head that has been coming for so long may make room; an honest one comes in one piece */
#define SHED_HEADS   8   /* connections closed in a turn when buffers run short */

static void linger(struct rg_worker *w, struct rg_conn *c, uint16_t ms)
{
    rg_conn_become(w, c, RG_CONN_LINGER);
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
        rg_conn_close(w, c, after == RG_AFTER_RESET);
    } else if (after == RG_AFTER_LINGER || after == RG_AFTER_ANNOUNCED) {
        if (c->sock.eof)
            rg_conn_close(w, c, false);
        else
            linger(w, c, after == RG_AFTER_LINGER ? LINGER_MS : ANNOUNCED_MS);
    } else {
        rg_conn_next_request(w, c);
    }
}

void rg_conn_h2_over(struct rg_worker *w, struct rg_conn *c, enum rg_conn_after after)
{
    rg_conn_become(w, c, RG_CONN_LINGER); /* what ends with the session must not take it for idle */
    rg_h2_end(w, c, RG_REASON_CLIENT_GONE);
    rg_conn_exchange_ended(w, c, after);
}

void rg_conn_discard(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event)
{
    bool over = event == RG_SOCKET_EOF || event == RG_SOCKET_ERROR || event == RG_SOCKET_UNSENDABLE;
    c->linger_bytes += c->sock.in.bytes;
    rg_input_clear(&c->sock.in);
    if (!over && c->linger_bytes > LINGER_BYTES) {
        rg_metric_add(w->metrics, RG_M_CONNECTIONS_LINGER_CUT, 1);
        over = true;
    }
    if (over)
        rg_conn_close(w, c, false);
    else
        rg_socket_want(w, &c->sock, RG_RECV_MULTI);
}

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
    rg_conn_close(w, c, false);
    return true;
}

void rg_conn_shed_heads(struct rg_worker *w)
{
    for (unsigned i = 0; i < SHED_HEADS && !rg_list_empty(&w->heads); i++) {
        rg_metric_refused(w->metrics, RG_REASON_OUT_OF_BUFFERS);
        rg_conn_close(w, RG_CONTAINER(w->heads.next, struct rg_conn, idle), false);
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
        } else if (c->state == RG_CONN_H2 && !at_once && rg_h2_leave(w, c)) {
            continue; /* it ends with the last of its WebSockets */
        } else if (c->state != RG_CONN_CLOSING) {
            rg_conn_close(w, c, false);
        }
    }
}
