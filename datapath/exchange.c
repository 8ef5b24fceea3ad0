/*
 * See exchange.h. A request's life, in order:
 *
 *   begin     head parsed → framing → normal path → own answers (health, replica down) → head for the replica
 *   connect   a kept connection, a new one, or a place in line
 *   relay     request body → replica; interim and final response heads, response body → client
 *   tunnel    instead of relay after a 101
 *   flush     everything is in the client's output; the replica's connection is released
 *   finish    access record, counters, free; the connection goes on or ends
 *
 * A failure at any step sets one reason and leaves through fail(). Events only store and call run().
 * What times out is decided in exchange_time.c, what is recorded in exchange_record.c.
 */
#include "datapath/exchange.h"

#include <errno.h>

#include "datapath/core.h"
#include "datapath/exchange_parts.h"

#define PIPELINED_MAX 65536u /* bytes of later requests that are read while an exchange runs */
#define WRITE_SLACK   1024u  /* what rewriting adds to a head, usually */

static void run(struct rg_worker *w, struct rg_exchange *x);
static void connect_replica(struct rg_worker *w, struct rg_exchange *x);

/* ---- leaving ---- */

static void let_go_of_replica(struct rg_worker *w, struct rg_exchange *x, bool keep)
{
    rg_list_remove(&x->waiting);
    if (!x->up)
        return;
    struct rg_upstream_conn *up = x->up;
    x->up = NULL;
    rg_upstream_release(w, up, keep);
}

static enum rg_conn_after what_follows(const struct rg_worker *w, const struct rg_exchange *x)
{
    if (x->reason == RG_REASON_CLIENT_GONE)
        return RG_AFTER_CLOSE;
    if (x->reset)
        return RG_AFTER_RESET;
    if (x->broken_off)
        return RG_AFTER_CLOSE;
    if (x->keep && x->request.done && !w->stopping)
        return RG_AFTER_KEEP;
    return x->request.done && x->conn->sock.in.bytes == 0 ? RG_AFTER_CLOSE : RG_AFTER_LINGER;
}

static void finish(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_conn *c = x->conn;
    rg_exchange_record(w, x);
    enum rg_conn_after after = what_follows(w, x);
    let_go_of_replica(w, x, false);
    rg_pump_fini(&x->request);
    rg_pump_fini(&x->response);
    rg_buf_unref(x->head);
    rg_buf_unref(x->request_buf);
    rg_pool_put(&w->exchanges, x);
    rg_metric_sub(w->metrics, RG_M_EXCHANGES_OPEN, 1);
    rg_conn_exchange_ended(w, c, after);
}

static bool write_own_response(struct rg_worker *w, struct rg_exchange *x, const struct rg_own_response *r)
{
    uint32_t cap;
    char *out = rg_output_room(&x->conn->sock.out, &w->bufs, (uint32_t)r->body.len + WRITE_SLACK, &cap);
    if (!out)
        return false;
    int32_t n = rg_h1_write_own_response(out, cap, r, rg_worker_date(w));
    rg_output_commit(&x->conn->sock.out, n > 0 ? (uint32_t)n : 0);
    return n > 0;
}

static void answer(struct rg_worker *w, struct rg_exchange *x, uint16_t status, struct rg_str type, struct rg_str body)
{
    struct rg_own_response r = {.status = status,
                                .content_type = type,
                                .body = body,
                                .head_only = x->method == RG_METHOD_HEAD,
                                .keep_alive = x->keep,
                                .client_http10 = x->minor == 0,
                                .retry_after = status == 503 ? 1 : 0,
                                .request_id = {x->request_id, x->request_id_len}};
    x->step = RG_STEP_FLUSH;
    x->status = status;
    x->responding = true;
    if (!write_own_response(w, x, &r)) {
        x->broken_off = true;
        finish(w, x);
        return;
    }
    rg_socket_send_later(w, &x->conn->sock);
    x->client_out_ms = w->now_ms;
    rg_exchange_check_soon(w, x);
    run(w, x);
}

static void answer_refusal(struct rg_worker *w, struct rg_exchange *x, enum rg_reason reason)
{
    char body[512];
    uint16_t status = rg_reason_info(reason)->status;
    /* After a refused request nobody knows where the next one begins. A failure of the replica leaves the client's side
     * sound. */
    if (status < 500 || status == 501 || status == 505 || !x->request.done)
        x->keep = false;
    struct rg_str id = {x->request_id, x->request_id_len};
    int32_t n = rg_h1_write_refusal_body(body, sizeof body, reason, id);
    answer(w, x, status, RG_STR("application/json"), (struct rg_str){body, n > 0 ? (size_t)n : 0});
}

/* The one exit of everything that goes wrong. */
void rg_exchange_fail(struct rg_worker *w, struct rg_exchange *x, enum rg_reason reason)
{
    if (x->reason == RG_REASON_NONE) {
        x->reason = (uint8_t)reason;
        rg_metric_refused(w->metrics, reason);
    }
    let_go_of_replica(w, x, false);
    bool answerable = rg_reason_info(reason)->status != 0 && !x->responding && x->conn->sock.state == RG_SOCKET_OPEN &&
                      !x->conn->sock.broken && !x->conn->sock.unsendable;
    if (answerable) {
        answer_refusal(w, x, reason);
        return;
    }
    /* Where the length is told by the end of the connection, an orderly end would make the message look whole. */
    x->broken_off = true;
    x->reset = x->responding && !x->response.done && x->ends_with_connection;
    finish(w, x);
}

/* ---- begin ---- */

static struct rg_exchange *create(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_exchange *x = rg_pool_get(&w->exchanges);
    if (!x)
        return NULL;
    /* The strings at the end need no clearing. */
    memset(x, 0, offsetof(struct rg_exchange, request_id));
    x->conn = c;
    x->unsent = -1;
    x->client_in_ms = x->client_out_ms = x->up_ms = x->checked_ms = w->now_ms;
    rg_list_init(&x->waiting);
    c->exchange = x;
    rg_metric_add(w->metrics, RG_M_EXCHANGES_OPEN, 1);
    return x;
}

void rg_exchange_refuse(struct rg_worker *w, struct rg_conn *c, enum rg_reason reason)
{
    struct rg_exchange *x = create(w, c);
    if (!x) {
        rg_conn_exchange_ended(w, c, RG_AFTER_CLOSE);
        return;
    }
    x->minor = 1;
    rg_exchange_note_refused_head(w, x);
    rg_exchange_fail(w, x, reason);
}

static struct rg_str normal_path(const struct rg_h1_request *req, char *scratch, enum rg_reason *reason)
{
    if (req->path_is_plain || req->target_form == RG_TARGET_ASTERISK)
        return req->path;
    int32_t n = rg_h1_normalize_path(req->path, scratch);
    if (n < 0)
        *reason = RG_REASON_BAD_ESCAPE;
    return (struct rg_str){scratch, n < 0 ? 0 : (size_t)n};
}

/* What the replica will get. The body too when it has come with the head and fits: then one send carries both. */
static bool write_request(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request *req,
                          const struct rg_framing *framing, const struct rg_forward *f, uint32_t head_len)
{
    struct rg_str front = rg_input_front(&x->conn->sock.in);
    uint32_t room = head_len + WRITE_SLACK;
    for (;;) {
        x->head = room <= RG_BUF_SMALL_CAP ? rg_buf_get_small(&w->bufs) : rg_buf_get_bulk(&w->bufs);
        if (!x->head)
            return false;
        int32_t n = rg_h1_write_request(x->head->data, x->head->cap, req, framing, f);
        if (n > 0) {
            x->head->len = (uint32_t)n;
            break;
        }
        bool largest = x->head->cap == RG_BUF_BULK_CAP;
        rg_buf_unref(x->head);
        x->head = NULL;
        if (largest)
            return false;
        room = RG_BUF_BULK_CAP;
    }
    uint64_t body = framing->kind == RG_BODY_LENGTH ? framing->length : 0;
    if (body > 0 && body <= front.len - head_len && body <= x->head->cap - x->head->len) {
        memcpy(x->head->data + x->head->len, front.ptr + head_len, (size_t)body);
        x->head->len += (uint32_t)body;
        x->body_in_head = (uint32_t)body;
    }
    return true;
}

static bool is_own_health(const struct rg_worker *w, const struct rg_h1_request *req, struct rg_str path)
{
    const char *own = w->settings->health_path;
    return own[0] != '\0' && path.len > 1 && strlen(own) == path.len && memcmp(own, path.ptr, path.len) == 0 &&
           (req->method_id == RG_METHOD_GET || req->method_id == RG_METHOD_HEAD);
}

static void answer_health(struct rg_worker *w, struct rg_exchange *x)
{
    bool fit = !w->draining && !rg_replica_is_down(w->replica);
    x->reason = RG_REASON_HANDLED;
    answer(w, x, fit ? 204 : 503, fit ? RG_STR_NONE : RG_STR("application/json"),
           fit ? RG_STR_NONE : RG_STR("{\"status\":503,\"reason\":\"not-ready\"}\n"));
}

void rg_exchange_begin(struct rg_worker *w, struct rg_conn *c, const struct rg_h1_request *req, uint32_t head_len)
{
    static _Thread_local char path_scratch[RG_BUF_BULK];
    struct rg_exchange *x = create(w, c);
    if (!x) {
        rg_conn_exchange_ended(w, c, RG_AFTER_CLOSE);
        return;
    }
    x->method = req->method_id;
    x->minor = req->minor;
    struct rg_framing framing = {0};
    struct rg_framing_options opt = {.body_bytes = w->settings->body_bytes};
    enum rg_reason reason = rg_h1_frame_request(req, &opt, &framing);
    struct rg_forward f = {
        .peer = &c->peer, .scheme = RG_STR("http"), .listener_port = c->listener_port, .replica_host = w->replica_host};
    f.path = normal_path(req, path_scratch, &reason);
    rg_forward_ids(&f, req, &w->rand, (w->now_us + w->unix_us_offset) / 1000);
    memcpy(x->request_id, f.request_id, f.request_id_len);
    x->request_id_len = f.request_id_len;
    memcpy(x->traceparent, f.traceparent, RG_TRACEPARENT_LEN);
    rg_exchange_note_request(w, x, req, framing.host);
    x->keep = framing.persistent && !w->draining;
    x->expect_continue = framing.expect_continue;
    x->websocket = framing.websocket;
    rg_pump_init(&x->request, &framing, RG_CHUNKED_FORWARD);
    x->request.max_bytes = w->settings->body_bytes;
    if (reason != RG_REASON_NONE) {
        x->request.done = false; /* its end is not known */
        rg_exchange_fail(w, x, reason);
        return;
    }
    bool own = is_own_health(w, req, f.path);
    bool down = !own && rg_replica_is_down(w->replica);
    bool written = own || down || write_request(w, x, req, &framing, &f, head_len);
    rg_input_use(&c->sock.in, head_len); /* the views of req end here */
    if (x->body_in_head > 0) {
        rg_input_use(&c->sock.in, x->body_in_head);
        x->request.bytes = x->body_in_head;
        x->request.done = true;
    }
    x->whole_in_head = x->request.done;
    rg_exchange_check_soon(w, x);
    if (own)
        answer_health(w, x);
    else if (down)
        rg_exchange_fail(w, x, RG_REASON_REPLICA_DOWN);
    else if (!written)
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
    else
        connect_replica(w, x);
}

/* ---- connect ---- */

static bool may_repeat(const struct rg_exchange *x)
{
    return rg_method_is_safe((enum rg_method)x->method) && x->whole_in_head;
}

static void send_head(struct rg_worker *w, struct rg_exchange *x)
{
    rg_output_push(&x->up->sock.out, x->head, 0, x->head->len);
    rg_socket_send_later(w, &x->up->sock);
    x->step = RG_STEP_RELAY;
    x->sent_us = w->now_us;
    x->up_ms = w->now_ms;
    run(w, x);
}

static void connect_replica(struct rg_worker *w, struct rg_exchange *x)
{
    x->step = RG_STEP_CONNECT;
    if (x->connect_us == 0)
        x->connect_us = w->now_us;
    /* What can't be sent twice is not sent on a connection that the replica has already left. */
    switch (rg_upstream_acquire(w, x, x->retried, !may_repeat(x))) {
    case RG_ACQUIRE_KEPT:
        send_head(w, x);
        break;
    case RG_ACQUIRE_NEW:
    case RG_ACQUIRE_WAIT:
        run(w, x);
        break;
    case RG_ACQUIRE_FAILED:
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_DESCRIPTORS);
        break;
    }
}

void rg_exchange_try_connect(struct rg_worker *w, struct rg_exchange *x)
{
    connect_replica(w, x);
}

static void connected(struct rg_worker *w, struct rg_exchange *x)
{
    x->connected_us = w->now_us;
    rg_replica_connected(w->replica);
    rg_metric_add(w->metrics, RG_M_REPLICA_CONNECTS, 1);
    rg_histogram_record(&w->metrics->histograms[RG_H_REPLICA_CONNECT], w->now_us - x->up->connect_us);
    /* Whoever talks before being asked would have its words taken for the answer. */
    if (!rg_sys_is_quiet(x->up->sock.fd)) {
        rg_metric_add(w->metrics, RG_M_REPLICA_SURPLUS, 1);
        rg_exchange_fail(w, x, RG_REASON_REPLICA_FRAMING);
        return;
    }
    send_head(w, x);
}

static void connect_failed(struct rg_worker *w, struct rg_exchange *x)
{
    bool timed_out = x->up->sock.error == ETIMEDOUT;
    rg_metric_add(w->metrics, RG_M_REPLICA_CONNECT_FAILURES, 1);
    rg_replica_connect_failed(w->replica, w->settings->health.fall);
    rg_exchange_fail(w, x, timed_out ? RG_REASON_REPLICA_CONNECT_TIMEOUT : RG_REASON_REPLICA_CONNECT);
}

/* A kept connection that the replica had closed before it saw the request: nothing of it was served. */
static bool retry(struct rg_worker *w, struct rg_exchange *x)
{
    bool untouched = x->first_byte_us == 0 && x->up->sock.in.bytes == 0 && x->up->requests > 1;
    if (!untouched || x->retried || !may_repeat(x))
        return false;
    rg_metric_add(w->metrics, RG_M_REPLICA_RETRIES, 1);
    let_go_of_replica(w, x, false);
    x->retried = true;
    x->connect_us = 0;
    connect_replica(w, x);
    return true;
}

/* ---- relay: the response head ---- */

/* Room for a head in the client's output; the writer says whether it sufficed. */
static bool write_response(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_response *res,
                           const struct rg_framing *framing, const struct rg_response_options *opt, uint32_t head_len)
{
    struct rg_output *out = &x->conn->sock.out;
    uint32_t need = head_len + WRITE_SLACK;
    for (;;) {
        uint32_t cap;
        char *room = rg_output_room(out, &w->bufs, need, &cap);
        if (!room)
            return false;
        int32_t n = rg_h1_write_response(room, cap, res, framing, opt, rg_worker_date(w));
        rg_output_commit(out, n > 0 ? (uint32_t)n : 0);
        if (n > 0)
            return true;
        if (need == RG_BUF_BULK_CAP)
            return false;
        need = RG_BUF_BULK_CAP;
    }
}

/* false: the exchange has ended. */
static bool pass_interim(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_response *res,
                         const struct rg_framing *framing, uint32_t head_len)
{
    struct rg_response_options opt = {.keep_alive = true};
    if (++x->interims > w->settings->interim_responses) {
        rg_exchange_fail(w, x, RG_REASON_REPLICA_TOO_MANY_INTERIM);
        return false;
    }
    if (res->status == 100)
        x->expect_continue = false;
    if (x->minor > 0 && !write_response(w, x, res, framing, &opt, head_len)) {
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
        return false;
    }
    rg_socket_send_later(w, &x->conn->sock);
    return true;
}

static bool start_tunnel(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_response *res,
                         const struct rg_framing *framing, uint32_t head_len)
{
    struct rg_response_options opt = {.keep_alive = true};
    x->keep = false;
    x->status = 101;
    if (!write_response(w, x, res, framing, &opt, head_len)) {
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
        return false;
    }
    x->step = RG_STEP_TUNNEL;
    x->responding = true;
    x->request = (struct rg_pump){.raw = true};
    x->response = (struct rg_pump){.raw = true};
    rg_metric_add(w->metrics, RG_M_TUNNELS, 1);
    rg_metric_add(w->metrics, RG_M_TUNNELS_OPEN, 1);
    rg_socket_send_later(w, &x->conn->sock);
    return true;
}

static bool pass_final(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_response *res,
                       const struct rg_framing *framing, uint32_t head_len)
{
    bool http10 = x->minor == 0;
    bool until_end = framing->kind == RG_BODY_EOF;
    x->ends_with_connection = http10 && (until_end || framing->kind == RG_BODY_CHUNKED);
    /* A refusal in the middle of an upload: the client may stop sending, then the connection can't go on. */
    bool early = !x->request.done && res->status >= 400;
    if (x->ends_with_connection || early || w->draining)
        x->keep = false;
    struct rg_response_options opt = {.client_http10 = http10,
                                      .keep_alive = x->keep,
                                      .chunked = !http10 && framing->kind == RG_BODY_CHUNKED,
                                      .eof_to_chunked = !http10 && until_end,
                                      .request_id = {x->request_id, x->request_id_len}};
    x->status = res->status;
    x->up_persistent = framing->persistent;
    rg_pump_init(&x->response, framing, http10 ? RG_CHUNKED_DATA : RG_CHUNKED_FORWARD);
    x->response.add_chunks = opt.eof_to_chunked;
    if (!write_response(w, x, res, framing, &opt, head_len)) {
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
        return false;
    }
    x->responding = true;
    rg_socket_send_later(w, &x->conn->sock);
    return true;
}

/* Takes heads from the replica's input until the final one is passed on. false: the exchange has ended. */
static bool take_heads(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_input *in = &x->up->sock.in;
    while (!x->responding && in->bytes > 0) {
        struct rg_h1_response res;
        struct rg_framing framing = {0};
        enum rg_reason reason = RG_REASON_NONE;
        struct rg_str front = rg_input_front(in);
        int32_t n = rg_h1_parse_response(&x->resume, front.ptr, front.len, &w->limits, w->fields, &res, &reason);
        if (n == 0) {
            if (!in->head->next)
                return true;
            if (rg_input_gather(in, &w->bufs) && rg_input_front(in).len > front.len)
                continue;
            reason = RG_REASON_REPLICA_HEAD_TOO_LARGE;
        } else if (n > 0) {
            reason = rg_h1_frame_response(&res, (enum rg_method)x->method, x->websocket, &framing);
        }
        if (reason != RG_REASON_NONE) {
            rg_exchange_fail(w, x, reason);
            return false;
        }
        bool ok;
        if (res.status == 101)
            ok = start_tunnel(w, x, &res, &framing, (uint32_t)n);
        else if (res.status < 200)
            ok = pass_interim(w, x, &res, &framing, (uint32_t)n);
        else
            ok = pass_final(w, x, &res, &framing, (uint32_t)n);
        if (!ok)
            return false;
        x->resume = (struct rg_h1_resume){0};
        rg_input_use(in, (uint32_t)n);
    }
    return true;
}

/* ---- relay: bodies ---- */

/* false: the exchange has ended. */
static bool pump_request(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_socket *up = &x->up->sock;
    if (x->request.done || up->unsendable || up->broken)
        return true;
    enum rg_pump_result r = rg_pump_run(&x->request, &x->conn->sock.in, &up->out, &w->bufs);
    if (up->out.bytes > 0)
        rg_socket_send_later(w, up);
    bool ended = x->conn->sock.eof && !x->request.raw && !x->request.done;
    if (r == RG_PUMP_BAD)
        rg_exchange_fail(w, x, (enum rg_reason)x->request.reason);
    else if (r == RG_PUMP_NO_BUF)
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
    else if (r == RG_PUMP_OK && ended)
        rg_exchange_fail(w, x, RG_REASON_CLIENT_GONE);
    else
        return true;
    return false;
}

static bool pump_response(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_socket *client = &x->conn->sock;
    if (!x->responding || x->response.done)
        return true;
    enum rg_pump_result r = rg_pump_run(&x->response, &x->up->sock.in, &client->out, &w->bufs);
    /* The input was used up before the end came: nothing more will follow. */
    if (r == RG_PUMP_OK && !x->response.done && x->up->sock.broken)
        r = RG_PUMP_BAD;
    else if (r == RG_PUMP_OK && !x->response.done && x->up->sock.eof)
        r = rg_pump_eof(&x->response, &client->out, &w->bufs);
    if (client->out.bytes > 0)
        rg_socket_send_later(w, client);
    if (r == RG_PUMP_BAD)
        rg_exchange_fail(w, x,
                         x->up->sock.eof || x->up->sock.broken ? RG_REASON_REPLICA_CLOSED : RG_REASON_REPLICA_FRAMING);
    else if (r == RG_PUMP_NO_BUF)
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
    return r == RG_PUMP_OK || r == RG_PUMP_FULL;
}

static void response_received(struct rg_worker *w, struct rg_exchange *x)
{
    bool surplus = x->up->sock.in.bytes > 0;
    if (surplus)
        rg_metric_add(w->metrics, RG_M_REPLICA_SURPLUS, 1);
    let_go_of_replica(w, x, x->up_persistent && x->request.done && !surplus);
    rg_buf_unref(x->head);
    x->head = NULL;
    x->step = RG_STEP_FLUSH;
}

/* ---- what is received next ---- */

/* Bytes are read only when what was read before is sent: back-pressure, and one buffer per direction. */
static enum rg_recv_mode body_mode(const struct rg_pump *p, const struct rg_socket *from, const struct rg_socket *to)
{
    if (from->in.bytes > 0 || to->out.bytes > 0)
        return RG_RECV_NONE;
    bool more_than_small = p->kind == RG_BODY_LENGTH && p->left > RG_BUF_SMALL_CAP;
    return !to->slow && (from->fast || more_than_small) ? RG_RECV_BULK : RG_RECV_ONCE;
}

/* A receive that goes on by itself costs nothing to keep for a body that is nearly there and finds its way. */
static bool keep_multi(const struct rg_exchange *x)
{
    const struct rg_socket *client = &x->conn->sock;
    bool long_way = x->request.kind == RG_BODY_LENGTH && x->request.left > RG_BUF_BULK;
    return client->armed == RG_RECV_MULTI && !long_way && client->in.bytes + x->up->sock.out.bytes <= RG_PUMP_LOW;
}

static void receive_from_client(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_socket *client = &x->conn->sock;
    enum rg_recv_mode mode = RG_RECV_MULTI;
    if (x->step == RG_STEP_TUNNEL)
        mode = body_mode(&x->request, client, &x->up->sock);
    else if (x->request.done || x->step == RG_STEP_FLUSH)
        mode = client->in.bytes < PIPELINED_MAX ? RG_RECV_MULTI : RG_RECV_NONE;
    else if (x->step == RG_STEP_CONNECT)
        mode = client->in.bytes < RG_BUF_SMALL_CAP ? RG_RECV_MULTI : RG_RECV_NONE;
    else
        mode = keep_multi(x) ? RG_RECV_MULTI : body_mode(&x->request, client, &x->up->sock);
    rg_socket_want(w, client, mode);
}

static void receive_from_replica(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_socket *up = &x->up->sock;
    enum rg_recv_mode mode = RG_RECV_ONCE;
    if (x->responding)
        mode = body_mode(&x->response, up, &x->conn->sock);
    rg_socket_want(w, up, mode);
}

/* ---- tunnel ---- */

static bool tunnel_side_ended(struct rg_worker *w, struct rg_pump *p, struct rg_socket *from, struct rg_socket *to)
{
    if (!p->done && from->eof && from->in.bytes == 0) {
        p->done = true;
        p->kind = RG_BODY_NONE;
    }
    if (!p->done || to->out.bytes > 0)
        return false;
    rg_socket_shut_write(w, to);
    return true;
}

static void run_tunnel(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_socket *client = &x->conn->sock, *up = &x->up->sock;
    if (!pump_request(w, x) || !pump_response(w, x))
        return;
    bool up_told = tunnel_side_ended(w, &x->request, client, up);
    bool client_told = tunnel_side_ended(w, &x->response, up, client);
    if (up_told && client_told) {
        finish(w, x);
        return;
    }
    receive_from_client(w, x);
    receive_from_replica(w, x);
}

/* ---- the machine ---- */

static void run(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->step == RG_STEP_RELAY) {
        if (!pump_request(w, x) || !take_heads(w, x))
            return;
        if (x->step == RG_STEP_RELAY && !pump_response(w, x))
            return;
        if (x->responding && x->response.done)
            response_received(w, x);
    }
    if (x->step == RG_STEP_TUNNEL) {
        run_tunnel(w, x);
        return;
    }
    if (x->step == RG_STEP_FLUSH && x->conn->sock.out.bytes == 0) {
        finish(w, x);
        return;
    }
    receive_from_client(w, x);
    if (x->step == RG_STEP_RELAY)
        receive_from_replica(w, x);
}

/* The client ended its side. After a complete request that may be all it means; it gets a moment. */
static void client_ended(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->step == RG_STEP_TUNNEL) {
        run(w, x);
    } else if (!x->request.done && x->step != RG_STEP_FLUSH && x->conn->sock.in.bytes == 0) {
        rg_exchange_fail(w, x, RG_REASON_CLIENT_GONE);
    } else {
        x->keep = false;
        if (!x->half_closed_ms)
            x->half_closed_ms = w->now_ms;
        rg_conn_check_within(w, x->conn, RG_HALF_CLOSE_MS);
        run(w, x);
    }
}

void rg_exchange_client_event(struct rg_worker *w, struct rg_exchange *x, enum rg_socket_event event)
{
    switch (event) {
    case RG_SOCKET_DATA:
        x->client_in_ms = w->now_ms;
        run(w, x);
        break;
    case RG_SOCKET_SENT:
        x->client_out_ms = w->now_ms;
        run(w, x);
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
        run(w, x);
    else if (x->up->sock.in.bytes > 0 && x->responding)
        run(w, x); /* what came before the end is waiting for the client */
    else if (retry(w, x))
        return;
    else if (!x->responding)
        rg_exchange_fail(w, x, RG_REASON_REPLICA_CLOSED);
    else if (x->up->sock.broken)
        rg_exchange_fail(w, x, RG_REASON_REPLICA_CLOSED);
    else
        run(w, x);
}

void rg_exchange_up_event(struct rg_worker *w, struct rg_exchange *x, enum rg_socket_event event)
{
    x->up_ms = w->now_ms;
    switch (event) {
    case RG_SOCKET_CONNECTED:
        connected(w, x);
        break;
    case RG_SOCKET_DATA:
        if (x->first_byte_us == 0 && x->up->sock.in.bytes > 0) {
            x->first_byte_us = w->now_us;
            rg_histogram_record(&w->metrics->histograms[RG_H_REPLICA_FIRST_BYTE], w->now_us - x->sent_us);
        }
        run(w, x);
        break;
    case RG_SOCKET_SENT:
        run(w, x);
        break;
    case RG_SOCKET_UNSENDABLE:
        /* An answer may have been sent before the replica stopped reading; the receive tells. */
        if (x->step == RG_STEP_TUNNEL)
            rg_exchange_fail(w, x, RG_REASON_REPLICA_CLOSED);
        else
            run(w, x);
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
