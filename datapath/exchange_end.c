/*
 * How an exchange ends: completely, with an answer of the gateway's own, or broken off. One function frees it, one is
 * the exit of everything that goes wrong. See exchange_parts.h.
 */
#include "datapath/core.h"
#include "datapath/exchange_parts.h"

void rg_exchange_let_go_of_replica(struct rg_worker *w, struct rg_exchange *x, bool keep)
{
    rg_list_remove(&x->waiting);
    rg_exchange_end_splice(w, x);
    if (!x->up)
        return;
    struct rg_server *up = x->up;
    x->up = NULL;
    rg_upstream_release(w, up, keep);
}

static enum rg_conn_after what_follows(const struct rg_worker *w, const struct rg_exchange *x)
{
    if (x->reset) /* of a client that ended its side, too: it may still be reading */
        return RG_AFTER_RESET;
    if (x->broken_off)
        return RG_AFTER_CLOSE;
    if (x->leave_since_ms) /* has to read what it was told */
        return RG_AFTER_ANNOUNCED;
    if (x->keep && x->request.done && !w->stopping)
        return RG_AFTER_KEEP;
    if (!x->request.done || x->client->in->bytes > 0)
        return RG_AFTER_LINGER;
    /* A client that wanted to go on may have sent its next request before it read that the connection ends. */
    return x->client_persistent && !w->stopping ? RG_AFTER_ANNOUNCED : RG_AFTER_CLOSE;
}

bool rg_exchange_ends_connection(const struct rg_worker *w, const struct rg_exchange *x)
{
    return !x->keep && !rg_client_is_h2(x->client) && what_follows(w, x) == RG_AFTER_CLOSE;
}

/*
 * Nothing is received while the last of a response is sent. With bytes that nobody has read (an empty line behind the
 * request, as some send it) the close would be a RST, and what the kernel still has for the client would be lost.
 */
static bool leaves_bytes_unread(const struct rg_exchange *x)
{
    if (rg_client_is_h2(x->client))
        return false;
    const struct rg_socket *s = rg_client_sock(x->client);
    return s->last && !s->broken && !s->unsendable && rg_sys_has_bytes(s->fd);
}

void rg_exchange_finish(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_client *c = x->client;
    rg_exchange_record(w, x);
    enum rg_conn_after after = what_follows(w, x);
    if (after == RG_AFTER_CLOSE && !x->broken_off && leaves_bytes_unread(x))
        after = RG_AFTER_LINGER;
    rg_exchange_let_go_of_replica(w, x, false);
    rg_exchange_leave_upstream(x);
    rg_pump_fini(&x->request);
    rg_pump_fini(&x->response);
    rg_buf_unref(x->head);
    rg_buf_unref(x->request_buf);
    rg_buf_unref(x->names_buf);
    if (RG_UNLIKELY(x->snapshot != NULL))
        rg_exchange_leave_route(w, x);
    rg_pool_put(&w->exchanges, x);
    rg_metric_sub(w->metrics, RG_M_EXCHANGES_OPEN, 1);
    rg_client_exchange_ended(w, c, after);
}

static bool write_own_response(struct rg_worker *w, struct rg_exchange *x, const struct rg_own_response *r)
{
    uint32_t cap, need = (uint32_t)(r->body.len + r->location.len) + RG_WRITE_SLACK;
    if (rg_client_is_h2(x->client))
        return rg_h2_stream_respond_own(w, rg_client_stream(x->client), r);
    for (unsigned i = 0; i < r->n_fields; i++)
        need += (uint32_t)r->fields[i].name_len + r->fields[i].value_len + 4;
    char *out = need <= RG_BUF_BULK_CAP ? rg_output_room(x->client->out, &w->bufs, need, &cap) : NULL;
    if (!out)
        return false;
    int32_t n = rg_h1_write_own_response(out, cap, r, rg_worker_date(w));
    rg_output_commit(x->client->out, n > 0 ? (uint32_t)n : 0);
    return n > 0;
}

static void answer(struct rg_worker *w, struct rg_exchange *x, uint16_t status, struct rg_str type, struct rg_str body,
                   struct rg_str location)
{
    x->keep = x->keep && x->request.done; /* nobody takes the rest of its body */
    struct rg_own_response r = {.status = status,
                                .content_type = type,
                                .body = body,
                                .location = location,
                                .head_only = x->method == RG_METHOD_HEAD,
                                .keep_alive = x->keep,
                                .client_http10 = x->minor == 0,
                                .retry_after = status == 503 ? 1 : 0,
                                .request_id = {x->request_id, x->request_id_len}};
    if (RG_UNLIKELY(x->policed))
        rg_exchange_police_own_response(x, &r);
    x->step = RG_STEP_FLUSH;
    x->status = status;
    x->responding = true;
    if (!write_own_response(w, x, &r)) {
        x->broken_off = true;
        rg_exchange_finish(w, x);
        return;
    }
    x->response.bytes = r.head_only ? 0 : body.len; /* for the record; no pump has run */
    rg_client_send_later(w, x->client);
    x->client_out_ms = w->now_ms;
    rg_exchange_check_soon(w, x);
    rg_exchange_run(w, x);
}

void rg_exchange_answer(struct rg_worker *w, struct rg_exchange *x, uint16_t status, struct rg_str type,
                        struct rg_str body)
{
    answer(w, x, status, type, body, RG_STR_NONE);
}

void rg_exchange_redirect(struct rg_worker *w, struct rg_exchange *x, uint16_t status, struct rg_str location)
{
    x->reason = RG_REASON_HANDLED;
    answer(w, x, status, RG_STR_NONE, RG_STR_NONE, location);
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
    rg_exchange_answer(w, x, status, RG_STR("application/json"), (struct rg_str){body, n > 0 ? (size_t)n : 0});
}

/* What was queued in this turn is sent at its end; all that is in the output belongs to this exchange. */
static bool drop_output(struct rg_worker *w, struct rg_exchange *x)
{
    if (rg_client_is_h2(x->client))
        return rg_h2_stream_take_back(rg_client_stream(x->client));
    const struct rg_socket *s = rg_client_sock(x->client);
    if (x->responding_us != w->now_us || rg_list_empty(&s->dirty) || rg_socket_in_flight(s, RG_OP_SEND))
        return false;
    rg_output_clear(x->client->out);
    return true;
}

/* Nothing of the response has left yet: it is dropped, so that the client gets an answer that says what went wrong. */
static bool take_back_response(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->step == RG_STEP_TUNNEL || !drop_output(w, x))
        return false;
    rg_pump_fini(&x->response);
    x->response = (struct rg_pump){0};
    x->responding = x->ends_with_connection = false;
    x->status = 0;
    return true;
}

/* What goes wrong with an upstream goes wrong in the same ways as with the replica; it is told by other names. */
static RG_COLD enum rg_reason upstream_reason(enum rg_reason reason)
{
    _Static_assert(RG_REASON_UPSTREAM_UNASKED_UPGRADE - RG_REASON_UPSTREAM_CONNECT ==
                       RG_REASON_REPLICA_UNASKED_UPGRADE - RG_REASON_REPLICA_CONNECT,
                   "reasons of upstreams stand in the order of those of the replica");
    if (reason < RG_REASON_REPLICA_CONNECT || reason > RG_REASON_REPLICA_UNASKED_UPGRADE)
        return reason;
    return (enum rg_reason)(reason - RG_REASON_REPLICA_CONNECT + RG_REASON_UPSTREAM_CONNECT);
}

/* The one exit of everything that goes wrong. */
void rg_exchange_fail(struct rg_worker *w, struct rg_exchange *x, enum rg_reason reason)
{
    if (x->upstream->endpoint)
        reason = upstream_reason(reason);
    if (x->reason == RG_REASON_NONE) {
        x->reason = (uint8_t)reason;
        rg_metric_refused(w->metrics, reason);
    }
    rg_exchange_let_go_of_replica(w, x, false);
    bool answerable = rg_reason_info(reason)->status != 0 && rg_client_is_there(x->client);
    if (answerable && (!x->responding || take_back_response(w, x))) {
        answer_refusal(w, x, reason);
        return;
    }
    /* Where the length is told by the end of the connection, an orderly end would make the message look whole. */
    x->broken_off = true;
    x->reset = x->responding && x->ends_with_connection && (!x->response.done || rg_client_has_output(x->client));
    rg_exchange_finish(w, x);
}
