/* See conn_parts.h. Request heads of HTTP/1: gathered, parsed, refused, or handed to an exchange. */
#include "datapath/conn_parts.h"
#include "datapath/core.h"
#include "datapath/exchange.h"

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

void rg_conn_wants_more(struct rg_conn *c)
{
    rg_socket_acknowledge(&c->sock);
}

void rg_conn_head_incomplete(struct rg_worker *w, struct rg_conn *c)
{
    rg_conn_wants_more(c);
    rg_socket_want(w, &c->sock, rg_conn_waiting_mode(c));
    rg_conn_check_within(w, c, w->settings->client_head_ms);
}

void rg_conn_refuse(struct rg_worker *w, struct rg_conn *c, enum rg_method method, enum rg_reason reason)
{
    if (rg_reason_info(reason)->status == 0) {
        rg_metric_refused(w->metrics, reason);
        rg_conn_close(w, c, false);
        return;
    }
    rg_conn_become(w, c, RG_CONN_EXCHANGE);
    rg_exchange_refuse(w, &c->client, method, reason);
}

/* As some clients send behind a body (RFC 9112 2.2). */
static bool is_empty_lines(struct rg_str front)
{
    return front.len % 2 == 0 && front.len <= 4 && memcmp(front.ptr, "\r\n\r\n", front.len) == 0;
}

/* No request has begun, and none is late if none follows: it is idle as it was before, and no longer than without them.
 */
static void pass_over_empty_lines(struct rg_worker *w, struct rg_conn *c)
{
    c->resume = (struct rg_h1_resume){0};
    rg_input_clear(&c->sock.in);
    rg_conn_become(w, c, RG_CONN_IDLE);
    c->since_ms = c->idle_since_ms;
    rg_socket_want(w, &c->sock, rg_conn_waiting_mode(c));
    rg_conn_timer(w, c); /* its time may have passed since the first byte */
}

/* One request at most: its exchange comes back here through rg_conn_exchange_ended and rg_conn_next_request. */
void rg_conn_read_head(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_h1_request req;
    req.method_id = RG_METHOD_OTHER; /* unless the parser comes to it */
    enum rg_reason reason = RG_REASON_NONE;
    bool no_memory = false;
    int32_t n;
    if (c->sock.in.bytes == 0)
        return;
    if (c->state == RG_CONN_IDLE) {
        c->idle_since_ms = c->since_ms;
        rg_conn_become(w, c, RG_CONN_HEAD);
        c->client.head_us = w->now_us;
    }
    if (RG_UNLIKELY(c->proxy_stage)) {
        if (!rg_conn_pass_proxy(w, c))
            return;
        rg_conn_become(w, c, RG_CONN_HEAD);
    }
    if (RG_UNLIKELY(c->wants_tls && !c->sock.tls)) {
        rg_conn_refuse(w, c, RG_METHOD_OTHER, RG_REASON_CLEAR_ON_TLS);
        return;
    }
    if (RG_UNLIKELY(c->may_be_h2) && rg_conn_begin_h2(w, c))
        return;
    do {
        struct rg_str front = rg_input_front(&c->sock.in);
        n = rg_h1_parse_request(&c->resume, front.ptr, front.len, &w->limits, w->fields, &req, &reason);
    } while (n == 0 && gather_more(w, c, &no_memory));
    if (n > 0) {
        rg_conn_become(w, c, RG_CONN_EXCHANGE);
        rg_exchange_begin(w, &c->client, &req, (uint32_t)n);
    } else if (n < 0) {
        rg_conn_refuse(w, c, (enum rg_method)req.method_id, reason);
    } else if (no_memory) {
        rg_conn_refuse(w, c, (enum rg_method)req.method_id, RG_REASON_OUT_OF_BUFFERS);
    } else if (c->sock.in.head->next) { /* more than the largest block holds */
        rg_conn_refuse(w, c, (enum rg_method)req.method_id, RG_REASON_HEAD_TOO_LARGE);
    } else if (c->sock.eof) {
        rg_conn_close(w, c, false);
    } else if (is_empty_lines(rg_input_front(&c->sock.in))) {
        pass_over_empty_lines(w, c);
    } else {
        rg_conn_head_incomplete(w, c);
    }
}

void rg_conn_next_request(struct rg_worker *w, struct rg_conn *c)
{
    rg_conn_become(w, c, RG_CONN_IDLE);
    if (c->sock.in.bytes > 0)
        rg_conn_read_head(w, c);
    else if (c->sock.eof)
        rg_conn_close(w, c, false);
    else
        rg_conn_wait(w, c);
}
