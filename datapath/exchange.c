/*
 * See exchange.h. A request's life, in order:
 *
 *   begin     head framed, path made normal, own answers, head for the replica             exchange_begin.c
 *   connect   a kept connection, a new one, or a place in line                             here
 *   relay     request body to the replica; its heads and body to the client                exchange_relay.c
 *   splice    the way of a large body in the middle of relay                               exchange_splice.c
 *   tunnel    instead of relay after a 101                                                 exchange_relay.c
 *   flush     everything is in the client's output; the replica's connection is released   here
 *   finish    access record, counters, free; the connection goes on or ends                exchange_end.c
 *
 * A failure at any step sets one reason and leaves through rg_exchange_fail. Events only store and run the machine.
 * What times out is decided in exchange_time.c, what is recorded in exchange_record.c.
 */
#include "datapath/exchange.h"

#include <errno.h>

#include "datapath/core.h"
#include "datapath/exchange_parts.h"
#include "datapath/targets.h"
#include "datapath/upstream_endpoint.h"

/* ---- the machine ---- */

void rg_exchange_run(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->step == RG_STEP_RELAY) {
        if (!rg_exchange_run_splice(w, x) || !rg_exchange_pump_request(w, x) || !rg_exchange_take_heads(w, x))
            return;
        if (x->step == RG_STEP_RELAY && !rg_exchange_pump_response(w, x))
            return;
        if (x->responding && x->response.done && rg_server_is_through(x->up))
            rg_exchange_response_received(w, x);
    }
    if (x->step == RG_STEP_TUNNEL) {
        rg_exchange_run_tunnel(w, x);
        return;
    }
    if (x->step == RG_STEP_FLUSH && rg_client_is_flushed(x->client)) {
        rg_exchange_finish(w, x);
        return;
    }
    if (x->step == RG_STEP_FLUSH && rg_exchange_ends_connection(w, x)) {
        rg_socket_send_last(w, rg_client_sock(x->client));
        return;
    }
    rg_exchange_receive_from_client(w, x);
    if (x->step == RG_STEP_RELAY)
        rg_exchange_receive_from_replica(w, x);
}

/* ---- connect ---- */

static bool may_repeat(const struct rg_exchange *x)
{
    return rg_method_is_safe((enum rg_method)x->method) && x->whole_in_head;
}

static void send_head(struct rg_worker *w, struct rg_exchange *x)
{
    if (rg_server_is_h2(x->up)) {
        enum rg_reason reason = rg_h2c_stream_begin(w, rg_server_stream(x->up));
        if (reason != RG_REASON_NONE) {
            rg_exchange_fail(w, x, reason);
            return;
        }
    } else {
        rg_output_push(x->up->out, x->head, 0, x->head->len);
        rg_server_send_later(w, x->up);
    }
    x->step = RG_STEP_RELAY;
    x->sent_us = w->now_us;
    x->up_ms = w->now_ms;
    rg_exchange_run(w, x);
}

void rg_exchange_connect(struct rg_worker *w, struct rg_exchange *x)
{
    x->step = RG_STEP_CONNECT;
    if (x->connect_us == 0)
        x->connect_us = w->now_us;
    if (RG_UNLIKELY(x->websocket) && x->upstream->protocol == RG_REPLICA_H2C) {
        rg_exchange_fail(w, x, RG_REASON_WEBSOCKET_OVER_H2C);
        return;
    }
    /* What can't be sent twice is not sent on a connection that the replica has already left. */
    switch (rg_upstream_acquire(w, x, x->retried, !may_repeat(x))) {
    case RG_ACQUIRE_KEPT:
        send_head(w, x);
        break;
    case RG_ACQUIRE_NEW:
    case RG_ACQUIRE_WAIT:
        rg_exchange_run(w, x);
        break;
    case RG_ACQUIRE_FAILED: /* where another place has failed before, that is what there is to say */
        rg_exchange_fail(w, x, x->tries > 0 ? RG_REASON_REPLICA_CONNECT : RG_REASON_OVERLOADED);
        break;
    case RG_ACQUIRE_UNRESOLVED:
        if (!rg_exchange_goes_elsewhere(w, x))
            rg_exchange_fail(w, x, RG_REASON_UPSTREAM_UNRESOLVED);
        break;
    }
}

static void connected(struct rg_worker *w, struct rg_exchange *x)
{
    const struct rg_upstream_conn *uc = rg_server_conn(x->up);
    x->connected_us = w->now_us;
    if (x->upstream->address.sa.sa_family == AF_UNIX)
        rg_sys_connected(uc->sock.fd);
    const struct rg_upstream_metrics *m = x->upstream->metrics;
    rg_upstream_connected(w, x);
    rg_metric_add(w->metrics, m->connects, 1);
    rg_histogram_record(&w->metrics->histograms[m->connect], w->now_us - uc->connect_us);
    /* Whoever talks before being asked would have its words taken for the answer. One that has left is found out by
     * the receive. */
    if (uc->sock.tls ? uc->sock.in.bytes > 0 : rg_sys_has_bytes(uc->sock.fd)) {
        rg_metric_add(w->metrics, m->surplus, 1);
        rg_exchange_fail(w, x, RG_REASON_REPLICA_FRAMING);
        return;
    }
    send_head(w, x);
}

/* Without an IPv6 address of our own there is none to connect from, either: what no port is left for has no other. */
static bool may_be_the_address(struct rg_worker *w, struct rg_exchange *x, int err)
{
    return err == EADDRNOTAVAIL && (x->tries > 0 || rg_upstream_skip_address(w, x, &rg_server_conn(x->up)->peer));
}

static void connect_failed(struct rg_worker *w, struct rg_exchange *x)
{
    int err = rg_server_sock(x->up)->error;
    enum rg_reason tls = rg_server_why_no_tls(x->up);
    rg_metric_add(w->metrics, x->upstream->metrics->connect_failures, 1);
    if (rg_reach_is_own_shortage(err) && !may_be_the_address(w, x, err)) {
        rg_exchange_fail(w, x, RG_REASON_OVERLOADED);
        return;
    }
    rg_upstream_connect_failed(w, x, err);
    if (rg_exchange_goes_elsewhere(w, x))
        return;
    if (tls != RG_REASON_NONE)
        rg_exchange_fail(w, x, tls);
    else
        rg_exchange_fail(w, x, err == ETIMEDOUT ? RG_REASON_REPLICA_CONNECT_TIMEOUT : RG_REASON_REPLICA_CONNECT);
}

/* Nothing of the request has been sent: it is tried at another place, whatever it asks for. */
bool rg_exchange_goes_elsewhere(struct rg_worker *w, struct rg_exchange *x)
{
    if (RG_LIKELY(!x->targets) || !rg_targets_lead_elsewhere(w, x))
        return false;
    rg_metric_add(w->metrics, RG_M_UPSTREAM_ELSEWHERE, 1);
    rg_exchange_let_go_of_replica(w, x, false);
    x->connect_us = 0;
    rg_exchange_check_soon(w, x); /* it may be here because time was up */
    rg_exchange_connect(w, x);
    return true;
}

static void start_again(struct rg_worker *w, struct rg_exchange *x)
{
    rg_metric_add(w->metrics, x->upstream->metrics->retries, 1);
    rg_exchange_let_go_of_replica(w, x, false);
    x->retried = true;
    x->connect_us = 0;
    rg_exchange_connect(w, x);
}

/* A kept connection that the replica had closed before it saw the request: nothing of it was served. Of HTTP/2, the
 * replica may have said so. */
static bool retry(struct rg_worker *w, struct rg_exchange *x)
{
    bool untouched = x->first_byte_us == 0 && x->up->in->bytes == 0 && rg_server_was_kept(x->up) && may_repeat(x);
    if (x->retried || !(untouched || (rg_server_is_untouched(x->up) && x->whole_in_head)))
        return false;
    start_again(w, x);
    return true;
}

/*
 * On a kept connection: bytes that were there in the same turn as the request, which leaves only at the turn's end, are
 * no answer to it. The replica has not seen the request, so that it may be sent on another connection.
 */
static bool spoke_unasked(struct rg_worker *w, struct rg_exchange *x)
{
    return x->sent_us == w->now_us && !rg_server_is_h2(x->up) && rg_server_was_kept(x->up) &&
           !rg_list_empty(&rg_server_sock(x->up)->dirty);
}

static void drop_unasked(struct rg_worker *w, struct rg_exchange *x)
{
    rg_metric_add(w->metrics, x->upstream->metrics->surplus, 1);
    if (x->retried || !x->whole_in_head) {
        rg_exchange_fail(w, x, RG_REASON_REPLICA_FRAMING);
        return;
    }
    start_again(w, x);
}

/* ---- events ---- */

/* The client ended its side. After a complete request that may be all it means; it gets a moment. */
static void client_ended(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->step == RG_STEP_TUNNEL) {
        rg_exchange_run(w, x);
    } else if (!x->request.done && x->step != RG_STEP_FLUSH && x->client->in->bytes == 0) {
        rg_exchange_fail(w, x, RG_REASON_CLIENT_GONE);
    } else {
        x->keep = false;
        if (!x->half_closed_ms)
            x->half_closed_ms = w->now_ms;
        rg_exchange_check_soon(w, x);
        rg_exchange_run(w, x);
    }
}

void rg_exchange_client_event(struct rg_worker *w, struct rg_exchange *x, enum rg_socket_event event)
{
    switch (event) {
    case RG_SOCKET_DATA:
        x->client_in_ms = w->now_ms;
        rg_exchange_run(w, x);
        break;
    case RG_SOCKET_SENT:
        x->client_out_ms = w->now_ms;
        rg_exchange_run(w, x);
        break;
    case RG_SOCKET_EOF:
        client_ended(w, x);
        break;
    case RG_SOCKET_ERROR:
    case RG_SOCKET_UNSENDABLE:
        rg_exchange_fail(w, x, RG_REASON_CLIENT_GONE);
        break;
    default:
        break;
    }
}

static void replica_ended(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->step == RG_STEP_CONNECT)
        connect_failed(w, x);
    else if (x->step == RG_STEP_TUNNEL)
        rg_exchange_run(w, x);
    else if ((x->up->in->bytes > 0 || x->response.done) && x->responding)
        rg_exchange_run(w, x); /* what came before the end is waiting for the client */
    else if (retry(w, x))
        return;
    else if (!x->responding)
        rg_exchange_fail(w, x, rg_server_why(x->up));
    else if (rg_server_is_broken(x->up))
        rg_exchange_fail(w, x, rg_server_why(x->up));
    else
        rg_exchange_run(w, x);
}

void rg_exchange_up_event(struct rg_worker *w, struct rg_exchange *x, enum rg_socket_event event)
{
    x->up_ms = w->now_ms;
    switch (event) {
    case RG_SOCKET_CONNECTED:
        connected(w, x);
        break;
    case RG_SOCKET_DATA:
        if (x->first_byte_us == 0 && x->up->in->bytes > 0) {
            if (spoke_unasked(w, x)) {
                drop_unasked(w, x);
                return;
            }
            x->first_byte_us = w->now_us;
            rg_histogram_record(&w->metrics->histograms[x->upstream->metrics->first_byte], w->now_us - x->sent_us);
        }
        rg_exchange_run(w, x);
        break;
    case RG_SOCKET_SENT:
        rg_exchange_run(w, x);
        break;
    case RG_SOCKET_UNSENDABLE:
        /* An answer may have been sent before the replica stopped reading; the receive tells. */
        if (x->step == RG_STEP_TUNNEL)
            rg_exchange_fail(w, x, RG_REASON_REPLICA_CLOSED);
        else
            rg_exchange_run(w, x);
        break;
    case RG_SOCKET_EOF:
    case RG_SOCKET_ERROR:
        replica_ended(w, x);
        break;
    default:
        break;
    }
}

void rg_exchange_break(struct rg_worker *w, struct rg_exchange *x, enum rg_reason reason)
{
    x->keep = false;
    rg_exchange_fail(w, x, reason);
}
