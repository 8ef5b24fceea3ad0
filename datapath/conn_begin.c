/* See conn_parts.h. What may come before the first request head: a PROXY header, the TLS handshake, and the choice of
 * HTTP/2. */
#include "datapath/conn_parts.h"
#include "datapath/conn_proxy.h"
#include "datapath/conn_tls.h"
#include "datapath/core.h"
#include "datapath/h2/h2.h"

/* Nobody is answered here: whether the peer speaks HTTP, and whose client it is, is not known yet. */
static RG_COLD void refuse_proxy(struct rg_worker *w, struct rg_conn *c, enum rg_reason reason)
{
    rg_metric_refused(w->metrics, reason);
    rg_conn_close(w, c, false);
}

/* false: the connection has ended. */
RG_COLD bool rg_conn_begin_proxy(struct rg_worker *w, struct rg_conn *c, const struct in6_addr *peer)
{
    enum rg_reason reason = RG_REASON_NONE;
    c->proxy_stage = (uint8_t)rg_proxy_stage_begin(w, c, peer, &reason);
    if (reason != RG_REASON_NONE)
        refuse_proxy(w, c, reason);
    return reason == RG_REASON_NONE;
}

/* What has come already is the beginning of it. Only what is needed for now is received: nobody has shown that he has
 * anything to say. */
RG_COLD void rg_conn_begin_tls(struct rg_worker *w, struct rg_conn *c)
{
    c->client.secure = true;
    rg_conn_become(w, c, RG_CONN_SHAKING);
    if (!rg_conn_tls_begin(w, c)) {
        rg_conn_close(w, c, false);
        return;
    }
    rg_conn_check_within(w, c, w->settings->client_head_ms);
    rg_socket_want(w, &c->sock, RG_RECV_ONCE);
    rg_conn_event(w, c, rg_conn_tls_go_on(w, c));
}

/* false: there is nothing yet that is the client's, or the connection has ended. */
RG_COLD bool rg_conn_pass_proxy(struct rg_worker *w, struct rg_conn *c)
{
    enum rg_reason reason = RG_REASON_NONE;
    switch (rg_proxy_stage_run(w, c, &reason)) {
    case RG_PROXY_STEP_MORE:
        rg_conn_head_incomplete(w, c);
        return false;
    case RG_PROXY_STEP_REFUSED:
        refuse_proxy(w, c, reason);
        return false;
    case RG_PROXY_STEP_OVER:
        break;
    }
    /* The first byte of a request is still to come, or it is here now: its time begins. */
    rg_conn_become(w, c, RG_CONN_IDLE);
    if (c->sock.in.bytes > 0 && !c->wants_tls)
        return true;
    if (c->sock.in.bytes == 0)
        rg_conn_wants_more(c);
    if (c->sock.in.bytes == 0 && c->sock.eof)
        rg_conn_close(w, c, false);
    else if (c->wants_tls)
        rg_conn_begin_tls(w, c);
    else
        rg_conn_wait(w, c);
    return false;
}

static RG_COLD void speak_h2(struct rg_worker *w, struct rg_conn *c)
{
    rg_conn_become(w, c, RG_CONN_H2);
    rg_list_append(&w->idle, &c->idle);
    rg_conn_check_within(w, c, w->settings->client_head_ms);
    if (!rg_h2_begin(w, c)) {
        rg_metric_refused(w->metrics, RG_REASON_OUT_OF_BUFFERS);
        rg_conn_close(w, c, false);
    } else if (c->sock.eof) {
        rg_h2_event(w, c, RG_SOCKET_EOF);
    }
}

/*
 * A client that knows that HTTP/2 is spoken here begins with a preface that is no request of HTTP/1 (RFC 9113 3.4).
 * true: it was one, or it may become one.
 */
bool rg_conn_begin_h2(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_input *in = &c->sock.in;
    int verdict = rg_h2_looks_like(rg_input_front(in));
    if (verdict == 0 && in->head->next && rg_input_gather(in, &w->bufs))
        verdict = rg_h2_looks_like(rg_input_front(in));
    if (verdict == 0 && !c->sock.eof) {
        rg_conn_head_incomplete(w, c);
        return true;
    }
    c->may_be_h2 = false;
    if (verdict <= 0)
        return false;
    speak_h2(w, c);
    return true;
}

/* The end of a handshake may be the client's, and its first request still to come. */
static void begin_requests(struct rg_worker *w, struct rg_conn *c)
{
    if (c->sock.in.bytes == 0)
        rg_conn_wants_more(c);
    rg_conn_next_request(w, c);
}

void rg_conn_shaking_event(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event)
{
    if (event == RG_SOCKET_SECURE) {
        rg_conn_tls_done(w, c);
        c->may_be_h2 = false; /* ALPN decides (RFC 9113 3.2) */
        if (rg_tls_agreed(c->sock.tls) == RG_TLS_H2)
            speak_h2(w, c);
        else
            begin_requests(w, c);
    } else if (event == RG_SOCKET_DATA && !c->sock.tls) {
        rg_conn_tls_failed(w, RG_TLS_FAIL_NOT_TLS);
        rg_conn_next_request(w, c);
    } else if (event == RG_SOCKET_EOF || event == RG_SOCKET_ERROR || event == RG_SOCKET_UNSENDABLE) {
        rg_conn_tls_failed(w, rg_conn_tls_failure(c));
        rg_conn_close(w, c, false);
    }
}
