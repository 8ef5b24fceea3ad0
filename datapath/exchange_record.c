/* What is recorded of an exchange: counters and the access record. See exchange_parts.h. */
#include "datapath/core.h"
#include "datapath/exchange_parts.h"

#define REFUSED_LINE_MAX 256 /* bytes of a malformed head that the log shows as its target */

static bool is_sampled(struct rg_worker *w)
{
    if (!w->settings->access_log)
        return false;
    if (w->access_skip > 0) {
        w->access_skip--;
        return false;
    }
    w->access_skip = w->settings->access_sample - 1;
    return true;
}

void rg_exchange_note_request(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request *req,
                              struct rg_str host)
{
    x->logged = is_sampled(w);
    if (!x->logged)
        return;
    x->request_buf = rg_buf_ref(x->client->in->head);
    x->log_method = req->method;
    x->log_target = req->target;
    x->log_host = host;
    for (unsigned i = 0; i < req->n_fields; i++) {
        if (req->fields[i].id == RG_FIELD_USER_AGENT)
            x->log_user_agent = rg_field_value(&req->fields[i]);
        else if (req->fields[i].id == RG_FIELD_REFERER)
            x->log_referer = rg_field_value(&req->fields[i]);
    }
}

/* Ended by the first CR or LF, whichever it is: the fields of a request are nobody's target. */
static struct rg_str first_line(struct rg_str s)
{
    while (s.len > 0 && (*s.ptr == '\r' || *s.ptr == '\n'))
        s = (struct rg_str){s.ptr + 1, s.len - 1};
    size_t n = 0;
    while (n < s.len && n < REFUSED_LINE_MAX && s.ptr[n] != '\r' && s.ptr[n] != '\n')
        n++;
    return (struct rg_str){s.ptr, n};
}

void rg_exchange_note_refused_head(struct rg_worker *w, struct rg_exchange *x)
{
    x->logged = is_sampled(w);
    x->request_id_len = rg_forward_new_id(x->request_id, &w->rand, (w->now_us + w->unix_us_offset) / 1000);
    memset(x->traceparent, 0, sizeof x->traceparent);
    struct rg_buf *b = x->client->in->head;
    if (!x->logged || !b)
        return;
    x->request_buf = rg_buf_ref(b);
    x->log_target = first_line(rg_input_front(x->client->in));
}

static void count(struct rg_worker *w, const struct rg_exchange *x, uint64_t duration_us)
{
    static const enum rg_metric by_class[] = {RG_M_REQUESTS_NONE, RG_M_REQUESTS_1XX, RG_M_REQUESTS_2XX,
                                              RG_M_REQUESTS_3XX,  RG_M_REQUESTS_4XX, RG_M_REQUESTS_5XX};
    unsigned class = x->status / 100u;
    rg_metric_add(w->metrics, by_class[class < 6 ? class : 5], 1);
    if (x->step == RG_STEP_TUNNEL || x->status == 101)
        rg_metric_sub(w->metrics, RG_M_TUNNELS_OPEN, 1);
    else
        rg_histogram_record(&w->metrics->histograms[RG_H_REQUEST_DURATION], duration_us);
}

static void note_tls(struct rg_access_record *r, const struct rg_tls *tls)
{
    r->tls = true;
    r->tls_version = rg_tls_version_name(tls);
    r->tls_cipher = rg_tls_cipher_name(tls);
    r->tls_name = rg_tls_server_name(tls);
}

void rg_exchange_record(struct rg_worker *w, struct rg_exchange *x)
{
    const struct rg_client *c = x->client;
    uint64_t duration_us = w->now_us - c->head_us;
    count(w, x, duration_us);
    if (!x->logged)
        return;
    struct rg_access_record r = {
        .unix_us = c->head_us + w->unix_us_offset,
        .duration_us = duration_us,
        .replica_us = x->first_byte_us ? x->first_byte_us - x->sent_us : 0,
        .connect_us = x->connected_us ? x->connected_us - x->connect_us : 0,
        .bytes_in = x->request.bytes,
        .bytes_out = x->response.bytes,
        .status = x->status,
        .worker = w->id,
        .peer_port = c->peer_port,
        .reason = x->reason,
        .minor = x->minor,
        .http2 = rg_client_is_h2(c),
        .reused = x->sent_us && !x->connected_us,
        .complete = x->responding && !x->broken_off,
        .retried = x->retried,
        .peer = c->peer->ip_len ? (struct rg_str){c->peer->ip, c->peer->ip_len} : RG_STR("unix"),
        .method = x->log_method,
        .target = x->log_target,
        .host = x->log_host,
        .user_agent = x->log_user_agent,
        .referer = x->log_referer,
        .request_id = {x->request_id, x->request_id_len},
        .traceparent = {x->traceparent, x->traceparent[0] ? RG_TRACEPARENT_LEN : 0},
        .unit = x->log_unit,
        .route = x->log_route,
        .policy = rg_str_of(x->policed ? rg_policy_run_answered(&x->policies) : ""),
        .upstream = x->upstream->endpoint ? x->upstream->endpoint->text : RG_STR_NONE,
    };
    const struct rg_tls *tls = rg_client_sock(x->client)->tls;
    if (RG_UNLIKELY(tls != NULL))
        note_tls(&r, tls);
    bool put = rg_access_ring_put(w->access, &r);
    rg_metric_add(w->metrics, put ? RG_M_ACCESS_RECORDS : RG_M_ACCESS_DROPPED, 1);
}
