/*
 * The middle of an exchange: the request's body to the replica, the replica's heads and body to the client, and the
 * tunnel that may take their place. What is received next follows from what is still to be sent. See exchange_parts.h.
 */
#include "datapath/core.h"
#include "datapath/exchange_parts.h"

#define PIPELINED_MAX 16384u /* bytes of later requests that are read while an exchange runs */

/* ---- the response head ---- */

/* Room for a head in the client's output; the writer says whether it sufficed. HTTP/2: as fields, not as text. */
static bool write_response(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_response *res,
                           const struct rg_framing *framing, const struct rg_response_options *opt, uint32_t head_len)
{
    if (rg_client_is_h2(x->client))
        return rg_h2_stream_respond(w, rg_client_stream(x->client), res, framing, opt);
    struct rg_output *out = x->client->out;
    uint32_t need = head_len + RG_WRITE_SLACK;
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
    if (res->status == 100) {
        x->expect_continue = false;
        x->client_in_ms = w->now_ms; /* its body was not asked for before */
    }
    if (x->minor > 0 && !write_response(w, x, res, framing, &opt, head_len)) {
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
        return false;
    }
    rg_client_send_later(w, x->client);
    return true;
}

static bool start_tunnel(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_response *res,
                         const struct rg_framing *framing, uint32_t head_len)
{
    struct rg_response_options opt = {.keep_alive = true};
    bool is_h2 = rg_client_is_h2(x->client); /* it has no key that it could check itself */
    x->keep = false;
    if (is_h2 && !rg_ws_is_accepted(res, (struct rg_str){x->websocket_key, RG_WS_KEY_LEN})) {
        rg_exchange_fail(w, x, RG_REASON_REPLICA_UNASKED_UPGRADE);
        return false;
    }
    if (!write_response(w, x, res, framing, &opt, head_len)) {
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
        return false;
    }
    x->step = RG_STEP_TUNNEL;
    x->status = is_h2 ? 200 : 101;
    if (RG_UNLIKELY(x->snapshot != NULL))
        rg_exchange_outlive_route(w, x);
    x->responding = true;
    rg_pump_init_raw(&x->request);
    rg_pump_init_raw(&x->response);
    rg_metric_add(w->metrics, RG_M_TUNNELS, 1);
    rg_metric_add(w->metrics, RG_M_TUNNELS_OPEN, 1);
    rg_client_send_later(w, x->client);
    return true;
}

static bool pass_final(struct rg_worker *w, struct rg_exchange *x, struct rg_h1_response *res,
                       const struct rg_framing *framing, uint32_t head_len)
{
    bool http10 = x->minor == 0, is_h2 = rg_client_is_h2(x->client);
    bool until_end = framing->kind == RG_BODY_EOF;
    if (rg_exchange_would_mislead(x, res->status)) {
        rg_exchange_fail(w, x, RG_REASON_NO_WEBSOCKET);
        return false;
    }
    x->ends_with_connection = http10 && (until_end || framing->kind == RG_BODY_CHUNKED);
    /* In the middle of an upload: what the client goes on to send need not be the rest, so it is never the next
     * request. */
    bool early = !x->request.done;
    if (x->ends_with_connection || early || w->draining)
        x->keep = false;
    struct rg_response_options opt = {.client_http10 = http10,
                                      .keep_alive = x->keep,
                                      .chunked = !http10 && framing->kind == RG_BODY_CHUNKED,
                                      .eof_to_chunked = !http10 && until_end,
                                      .request_id = {x->request_id, x->request_id_len}};
    if (RG_UNLIKELY(x->policed))
        rg_exchange_police_response(w, x, res);
    x->status = res->status;
    x->up_persistent = framing->persistent && !x->binds_connection;
    rg_pump_init(&x->response, framing, http10 || is_h2 ? RG_CHUNKED_DATA : RG_CHUNKED_FORWARD);
    x->response.add_chunks = opt.eof_to_chunked && !is_h2;
    if (!write_response(w, x, res, framing, &opt, head_len)) {
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
        return false;
    }
    x->responding = true;
    x->responding_us = w->now_us;
    rg_buf_unref(x->head); /* nothing is sent again from here on */
    x->head = NULL;
    rg_client_send_later(w, x->client);
    return true;
}

/* Takes heads from the replica's input until the final one is passed on. false: the exchange has ended. */
bool rg_exchange_take_heads(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_input *in = x->up->in;
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
            if (rg_server_is_h2(x->up))
                res.minor = 2;
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

/* ---- bodies ---- */

/* The end of a stream of HTTP/2 is that of the body; its trailer section goes with it. */
static enum rg_pump_result end_request(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_h2_stream *s = rg_client_stream(x->client);
    if (s->trailers) {
        x->request.trailer = s->trailers;
        s->trailers = NULL;
    }
    enum rg_pump_result r = rg_pump_eof(&x->request, x->up->out, &w->bufs);
    rg_server_send_later(w, x->up);
    return r;
}

/* The client's last bytes were a piece of something: it may hold back the next one until they are acknowledged. */
static bool wants_more(const struct rg_exchange *x, uint32_t received)
{
    if (received == 0 || received >= RG_SOCKET_PIECE || x->client->in->bytes > 0)
        return false;
    return x->request.raw ? rg_ws_frames_are_cut(&x->request.frames) : !x->request.done;
}

/* false: the exchange has ended. */
bool rg_exchange_pump_request(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_output *out = x->up->out;
    if (x->request.done || rg_server_takes_nothing(x->up))
        return true;
    uint32_t received = x->client->in->bytes;
    enum rg_pump_result r = rg_pump_run(&x->request, x->client->in, out, &w->bufs);
    if (!rg_client_is_h2(x->client) && wants_more(x, received))
        rg_conn_wants_more(rg_client_conn(x->client));
    if (out->bytes > 0 || x->request.done)
        rg_server_send_later(w, x->up);
    bool ended = rg_client_has_ended(x->client) && !x->request.raw && !x->request.done;
    if (ended && r == RG_PUMP_OK && x->request.kind == RG_BODY_EOF) {
        r = end_request(w, x);
        ended = false;
    }
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

/* The trailer section of a stream of HTTP/2 goes with its end. */
static enum rg_pump_result end_response(struct rg_worker *w, struct rg_exchange *x)
{
    if (!x->response.trailer)
        x->response.trailer = rg_server_take_trailers(x->up);
    return rg_pump_eof(&x->response, x->client->out, &w->bufs);
}

bool rg_exchange_pump_response(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_output *out = x->client->out;
    if (!x->responding || x->response.done)
        return true;
    enum rg_pump_result r = rg_pump_run(&x->response, x->up->in, out, &w->bufs);
    /* The input was used up before the end came: nothing more will follow. */
    if (r == RG_PUMP_OK && !x->response.done && rg_server_is_broken(x->up))
        r = RG_PUMP_BAD;
    else if (r == RG_PUMP_OK && !x->response.done && rg_server_has_ended(x->up))
        r = rg_server_is_truncated(x->up) ? RG_PUMP_BAD : end_response(w, x);
    if (out->bytes > 0)
        rg_client_send_later(w, x->client);
    if (r == RG_PUMP_BAD)
        rg_exchange_fail(w, x,
                         rg_server_has_ended(x->up) || rg_server_is_broken(x->up) ? rg_server_why(x->up)
                                                                                  : RG_REASON_REPLICA_FRAMING);
    else if (r == RG_PUMP_NO_BUF)
        rg_exchange_fail(w, x, RG_REASON_OUT_OF_BUFFERS);
    return r == RG_PUMP_OK || r == RG_PUMP_FULL;
}

/*
 * The replica has said more than the response, which has not been received: it lies behind what filled its block, or
 * what went through a pipe. The next request may get the connection in this turn, surely if it waits for it.
 */
static bool has_unseen(const struct rg_exchange *x)
{
    if (rg_server_is_h2(x->up))
        return false;
    const struct rg_socket *s = rg_server_sock(x->up);
    bool may_have = s->fast || x->response.bytes > RG_BUF_BULK || !rg_list_empty(&x->upstream->waiting);
    return RG_UNLIKELY(may_have) && rg_sys_has_bytes(s->fd);
}

void rg_exchange_response_received(struct rg_worker *w, struct rg_exchange *x)
{
    bool surplus = x->up->in->bytes > 0;
    bool keep = x->up_persistent && x->request.done && !surplus;
    if (keep && has_unseen(x)) {
        keep = false;
        surplus = !rg_server_sock(x->up)->tls; /* else it need not be of HTTP: a server that leaves says so in TLS */
    }
    if (surplus)
        rg_metric_add(w->metrics, x->upstream->metrics->surplus, 1);
    if (!x->response.trailer)
        x->response.trailer = rg_server_take_trailers(x->up);
    if (!rg_server_is_h2(x->up))
        rg_server_conn(x->up)->small = x->response.bytes < RG_BUF_SMALL_CAP / 2;
    rg_exchange_let_go_of_replica(w, x, keep);
    x->step = RG_STEP_FLUSH;
    if (rg_client_is_h2(x->client)) /* the end has a frame of its own, or goes with the last one */
        rg_client_send_later(w, x->client);
}

/* ---- what is received next ---- */

/* Bytes are read only when what was read before is sent: back-pressure, and one buffer per direction. */
static enum rg_recv_mode body_mode(const struct rg_worker *w, const struct rg_pump *p, const struct rg_socket *from,
                                   bool has_output, bool is_slow)
{
    if (from->in.bytes > 0 || has_output)
        return RG_RECV_NONE;
    bool more_than_small = p->kind == RG_BODY_LENGTH && p->left > RG_BUF_SMALL_CAP;
    return !is_slow && (from->fast || more_than_small || rg_exchange_is_for_pipe(w, p)) ? RG_RECV_BULK : RG_RECV_ONCE;
}

static enum rg_recv_mode request_mode(const struct rg_worker *w, const struct rg_exchange *x)
{
    const struct rg_server *up = x->up;
    return body_mode(w, &x->request, rg_client_sock(x->client), rg_server_has_output(up), rg_server_is_slow(up));
}

static enum rg_recv_mode response_mode(const struct rg_worker *w, const struct rg_exchange *x)
{
    const struct rg_client *c = x->client;
    return body_mode(w, &x->response, rg_server_sock(x->up), rg_client_has_output(c), rg_client_is_slow(c));
}

/* A receive that goes on by itself costs nothing to keep for a body that is nearly there and finds its way. */
static bool keep_multi(const struct rg_worker *w, const struct rg_exchange *x)
{
    const struct rg_socket *client = rg_client_sock(x->client);
    bool long_way =
        (x->request.kind == RG_BODY_LENGTH && x->request.left > RG_BUF_BULK) || rg_exchange_is_for_pipe(w, &x->request);
    return client->armed == RG_RECV_MULTI && !long_way && client->in.bytes + x->up->out->bytes <= RG_PUMP_LOW;
}

/* HTTP/2: the connection goes on receiving for all its streams; each has a window of its own. */
static void receive_from_stream(struct rg_worker *w, struct rg_exchange *x)
{
    bool moves = x->step == RG_STEP_RELAY || x->step == RG_STEP_TUNNEL;
    bool taken = moves && x->up->out->bytes + x->client->in->bytes <= RG_PUMP_LOW;
    if (taken && !x->request.done)
        rg_h2_stream_receive(w, rg_client_stream(x->client));
}

void rg_exchange_receive_from_client(struct rg_worker *w, struct rg_exchange *x)
{
    if (rg_client_is_h2(x->client)) {
        receive_from_stream(w, x);
        return;
    }
    struct rg_socket *client = rg_client_sock(x->client);
    enum rg_recv_mode mode = RG_RECV_MULTI;
    if (x->splice.pump == &x->request)
        return;
    if (x->request.done)
        rg_client_conn(x->client)->uploads = x->request.bytes > RG_BUF_BULK;
    if (x->step == RG_STEP_TUNNEL)
        mode = request_mode(w, x);
    else if (x->request.done || x->step == RG_STEP_FLUSH)
        mode = client->in.bytes < PIPELINED_MAX ? rg_conn_waiting_mode(rg_client_conn(x->client)) : RG_RECV_NONE;
    else if (x->step == RG_STEP_CONNECT)
        mode = client->in.bytes < RG_BUF_SMALL_CAP ? rg_conn_waiting_mode(rg_client_conn(x->client)) : RG_RECV_NONE;
    else
        mode = keep_multi(w, x) ? RG_RECV_MULTI : request_mode(w, x);
    bool may_splice = mode == RG_RECV_BULK && !rg_server_is_h2(x->up);
    if (may_splice && rg_exchange_begin_splice(w, x, &x->request, client, rg_server_sock(x->up)))
        return;
    rg_socket_want(w, client, mode);
}

/* HTTP/2: as with clients, each stream has a window of its own. */
static void receive_from_replica_stream(const struct rg_exchange *x)
{
    if (x->client->out->bytes + x->up->in->bytes <= RG_PUMP_LOW)
        rg_h2c_stream_receive(rg_server_stream(x->up));
}

void rg_exchange_receive_from_replica(struct rg_worker *w, struct rg_exchange *x)
{
    if (rg_server_is_h2(x->up)) {
        receive_from_replica_stream(x);
        return;
    }
    struct rg_socket *up = rg_server_sock(x->up);
    enum rg_recv_mode mode = RG_RECV_ONCE;
    if (x->splice.pump == &x->response)
        return;
    if (x->responding)
        mode = response_mode(w, x);
    bool may_splice = mode == RG_RECV_BULK && !rg_client_is_h2(x->client);
    if (may_splice && rg_exchange_begin_splice(w, x, &x->response, up, rg_client_sock(x->client)))
        return;
    rg_socket_want(w, up, mode);
}

/* ---- tunnel ---- */

/* The client says no more, and the replica has been told. */
static bool request_side_ended(struct rg_worker *w, struct rg_exchange *x)
{
    if (rg_client_has_ended(x->client) && x->client->in->bytes == 0)
        x->request.done = true;
    if (!x->request.done || rg_server_has_output(x->up))
        return false;
    rg_socket_shut_write(w, rg_server_sock(x->up));
    return true;
}

/* The other way round. Of HTTP/2 the end goes with the last frame of DATA. */
static bool response_side_ended(struct rg_worker *w, struct rg_exchange *x)
{
    if (rg_server_has_ended(x->up) && x->up->in->bytes == 0)
        x->response.done = true;
    if (!x->response.done)
        return false;
    if (rg_client_is_h2(x->client)) {
        rg_client_send_later(w, x->client);
        return rg_client_is_flushed(x->client);
    }
    if (rg_client_has_output(x->client))
        return false;
    rg_socket_shut_write(w, rg_client_sock(x->client));
    return true;
}

void rg_exchange_run_tunnel(struct rg_worker *w, struct rg_exchange *x)
{
    if (!rg_exchange_pump_request(w, x) || !rg_exchange_pump_response(w, x))
        return;
    if (RG_UNLIKELY(x->leave_since_ms))
        rg_exchange_say_goodbye(w, x);
    bool up_told = request_side_ended(w, x);
    bool client_told = response_side_ended(w, x);
    if (up_told && client_told) {
        if (!rg_exchange_waits_for_replica(x)) {
            rg_exchange_finish(w, x);
            return;
        }
        rg_input_clear(x->up->in);
    }
    rg_exchange_receive_from_client(w, x);
    rg_exchange_receive_from_replica(w, x);
}
