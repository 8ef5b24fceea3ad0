/*
 * How an exchange begins: the head is framed, its path made normal, what the gateway answers itself is answered, and
 * what the replica will get is written. See exchange_parts.h.
 */
#include <stdio.h>

#include "datapath/core.h"
#include "datapath/exchange_parts.h"

static struct rg_exchange *create(struct rg_worker *w, struct rg_client *c)
{
    struct rg_exchange *x = rg_pool_get(&w->exchanges);
    if (!x)
        return NULL;
    /* The strings at the end need no clearing. */
    memset(x, 0, offsetof(struct rg_exchange, request_id));
    x->client = c;
    x->upstream = &w->replica_upstream;
    x->unsent = x->up_unsent = -1;
    x->client_in_ms = x->client_out_ms = x->up_ms = x->checked_ms = w->now_ms;
    rg_list_init(&x->waiting);
    c->exchange = x;
    rg_metric_add(w->metrics, RG_M_EXCHANGES_OPEN, 1);
    return x;
}

void rg_exchange_refuse(struct rg_worker *w, struct rg_client *c, enum rg_method method, enum rg_reason reason)
{
    struct rg_exchange *x = create(w, c);
    if (!x) {
        rg_client_exchange_ended(w, c, RG_AFTER_CLOSE);
        return;
    }
    x->minor = 1;
    x->method = (uint8_t)method;
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

/* The length of a body that has come whole, behind its head in one block; else 0. */
static uint32_t body_with_head(const struct rg_exchange *x, const struct rg_framing *framing, uint32_t head_len)
{
    struct rg_str front = rg_input_front(x->client->in);
    uint64_t body = framing->kind == RG_BODY_LENGTH ? framing->length : 0;
    return body <= front.len - head_len ? (uint32_t)body : 0;
}

/* What the replica will get. The body too when it has come with the head and fits: then one send carries both. */
static bool write_request(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request *req,
                          const struct rg_framing *framing, const struct rg_forward *f, uint32_t head_len)
{
    struct rg_str front = rg_input_front(x->client->in);
    RG_ASSERT(front.ptr && front.len >= head_len);
    uint32_t room = head_len + RG_WRITE_SLACK;
    for (;;) {
        x->head = room <= RG_BUF_SMALL_CAP ? rg_buf_get_small_for_new(&w->bufs) : rg_buf_get_bulk(&w->bufs);
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
    uint32_t body = body_with_head(x, framing, head_len);
    if (body > 0 && body <= x->head->cap - x->head->len) {
        memcpy(x->head->data + x->head->len, front.ptr + head_len, body);
        x->head->len += body;
        x->body_in_head = body;
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
    if (w->draining || rg_replica_is_down(w->replica)) {
        rg_exchange_fail(w, x, RG_REASON_NOT_READY);
        return;
    }
    if (rg_exchange_would_mislead(x, 204)) {
        rg_exchange_fail(w, x, RG_REASON_NO_WEBSOCKET);
        return;
    }
    x->reason = RG_REASON_HANDLED;
    rg_exchange_answer(w, x, 204, RG_STR_NONE, RG_STR_NONE);
}

/* RFC 9110 7.6.2. What TRACE would reflect (RFC 9110 9.3.8) may have passed proxies whose fields are not for the
 * client. */
static void answer_as_last_hop(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->method == RG_METHOD_TRACE) {
        rg_exchange_fail(w, x, RG_REASON_TRACE_REFUSED);
        return;
    }
    x->reason = RG_REASON_HANDLED;
    rg_exchange_answer(w, x, 200, RG_STR_NONE, RG_STR_NONE);
}

/* While the views of the request are good. NONE: it does not say where it wants to go. */
static RG_COLD struct rg_str secure_place(const struct rg_conn *c, const struct rg_h1_request *req, struct rg_str host,
                                          struct rg_str path)
{
    static _Thread_local char location[RG_BUF_BULK + 64];
    char port[8] = "";
    struct rg_str name = rg_host_without_port(host); /* only our own port counts there */
    if (name.len == 0)
        return RG_STR_NONE;
    if (c->redirect_port != 443)
        snprintf(port, sizeof port, ":%u", c->redirect_port);
    bool asterisk = req->target_form == RG_TARGET_ASTERISK;
    int n = snprintf(location, sizeof location, "https://%.*s%s%.*s%.*s", (int)name.len, name.ptr, port,
                     asterisk ? 1 : (int)path.len, asterisk ? "/" : path.ptr, (int)req->query.len,
                     req->query.ptr ? req->query.ptr : "");
    return n > 0 && (size_t)n < sizeof location ? (struct rg_str){location, (size_t)n} : RG_STR_NONE;
}

static bool is_redirected(const struct rg_client *c)
{
    return RG_UNLIKELY(rg_client_conn(c)->redirect_status != 0) && !c->secure;
}

/* ---- Whose is it? ---- */

enum way { WAY_ON, WAY_LAST_HOP, WAY_OWN_HEALTH, WAY_REDIRECT, WAY_NO_ROUTE, WAY_POLICY, WAY_REFUSE };

struct start {
    enum way way;
    enum rg_reason reason;   /* REFUSE */
    struct rg_str elsewhere; /* REDIRECT */
};

static struct start refuse(enum rg_reason reason)
{
    return (struct start){.way = WAY_REFUSE, .reason = reason};
}

/* By its route, or to the replica. While the views of the request are good; policies may make another one of it. */
static struct start lead_on(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request **req,
                            const struct rg_framing *framing, struct rg_forward *f)
{
    enum rg_reason reason = RG_REASON_NONE;
    enum rg_policy_verdict verdict = RG_POLICY_NEXT;
    if (RG_UNLIKELY(w->routes != NULL))
        rg_exchange_find_route(w, x, *req, framing->host, f->path);
    if (RG_UNLIKELY(x->route != NULL)) {
        if (x->route->policies)
            verdict = rg_exchange_police_request(w, x, req, framing->host, f);
        if (verdict == RG_POLICY_ANSWER)
            return (struct start){.way = WAY_POLICY};
        reason = verdict == RG_POLICY_FULL ? RG_REASON_HEAD_TOO_LARGE : rg_exchange_follow_route(w, x, f);
    }
    if (reason == RG_REASON_NO_ROUTE)
        return (struct start){.way = WAY_NO_ROUTE};
    if (reason == RG_REASON_NONE && x->upstream == &w->replica_upstream && rg_replica_is_down(w->replica))
        reason = RG_REASON_REPLICA_DOWN;
    return reason == RG_REASON_NONE ? (struct start){.way = WAY_ON} : refuse(reason);
}

static struct start decide(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request **req,
                           const struct rg_framing *framing, struct rg_forward *f)
{
    if (framing->ends_here)
        return (struct start){.way = WAY_LAST_HOP};
    if (is_own_health(w, *req, f->path))
        return (struct start){.way = WAY_OWN_HEALTH};
    if (!is_redirected(x->client))
        return lead_on(w, x, req, framing, f);
    struct rg_str elsewhere = secure_place(rg_client_conn(x->client), *req, framing->host, f->path);
    return elsewhere.len > 0 ? (struct start){.way = WAY_REDIRECT, .elsewhere = elsewhere} : refuse(RG_REASON_NO_HOST);
}

static void go(struct rg_worker *w, struct rg_exchange *x, const struct start *start)
{
    switch (start->way) {
    case WAY_ON:
        rg_exchange_connect(w, x);
        break;
    case WAY_LAST_HOP:
        answer_as_last_hop(w, x);
        break;
    case WAY_OWN_HEALTH:
        answer_health(w, x);
        break;
    case WAY_REDIRECT:
        rg_exchange_redirect(w, x, rg_client_conn(x->client)->redirect_status, start->elsewhere);
        break;
    case WAY_NO_ROUTE:
        rg_exchange_answer_no_route(w, x);
        break;
    case WAY_POLICY:
        rg_exchange_answer_by_policy(w, x);
        break;
    case WAY_REFUSE:
        rg_exchange_fail(w, x, start->reason);
        break;
    }
}

/* A key need not be a secret: it shows that the answer was made for this request (RFC 6455 1.3). */
static RG_COLD struct rg_str new_websocket_key(struct rg_worker *w, struct rg_exchange *x)
{
    uint8_t nonce[RG_WS_NONCE_LEN];
    for (unsigned i = 0; i < sizeof nonce; i += 8) {
        uint64_t r = rg_rand_next(&w->rand);
        memcpy(nonce + i, &r, 8);
    }
    rg_ws_key_of(nonce, x->websocket_key);
    return (struct rg_str){x->websocket_key, RG_WS_KEY_LEN};
}

/* ---- All of it ---- */

/* What the next hop is told of the request, and what tells it from others; views into the request and `scratch`. */
static void describe(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request *req, char *scratch,
                     struct rg_forward *f, enum rg_reason *reason)
{
    const struct rg_client *c = x->client;
    *f = (struct rg_forward){.peer = c->peer,
                             .scheme = c->secure ? RG_STR("https") : RG_STR("http"),
                             .listener_port = c->listener_port,
                             .replica_host = w->replica_host};
    if (RG_UNLIKELY(rg_client_sock(c)->tls != NULL))
        f->subject = rg_tls_client_subject(rg_client_sock(c)->tls);
    f->path = normal_path(req, scratch, reason);
    rg_forward_ids(f, req, &w->rand, (w->now_us + w->unix_us_offset) / 1000);
    memcpy(x->request_id, f->request_id, f->request_id_len);
    x->request_id_len = f->request_id_len;
    memcpy(x->traceparent, f->traceparent, RG_TRACEPARENT_LEN);
    if (RG_UNLIKELY(req->websocket))
        f->websocket_key = new_websocket_key(w, x);
}

static void take_framing(struct rg_worker *w, struct rg_exchange *x, const struct rg_framing *framing)
{
    x->client_persistent = framing->persistent;
    x->keep = framing->persistent && !w->draining;
    x->expect_continue = framing->expect_continue;
    x->websocket = framing->websocket;
    x->binds_connection = framing->binds_connection;
    rg_pump_init(&x->request, framing, RG_CHUNKED_FORWARD);
    x->request.add_chunks = framing->kind == RG_BODY_EOF;
    x->request.max_bytes = w->settings->body_bytes;
}

/* The head, and a body that is done with, leave the client's input: views of the request end here. */
static void use_input(struct rg_exchange *x, uint32_t head_len)
{
    rg_input_use(x->client->in, head_len);
    if (x->body_in_head > 0) {
        rg_input_use(x->client->in, x->body_in_head);
        x->request.bytes = x->body_in_head;
        x->request.done = true;
    }
    x->whole_in_head = x->request.done;
}

void rg_exchange_begin(struct rg_worker *w, struct rg_client *c, const struct rg_h1_request *req, uint32_t head_len)
{
    static _Thread_local char path_scratch[RG_BUF_BULK];
    struct rg_exchange *x = create(w, c);
    if (!x) {
        rg_client_exchange_ended(w, c, RG_AFTER_CLOSE);
        return;
    }
    struct rg_forward f;
    struct rg_framing framing = {0};
    struct rg_framing_options opt = {.body_bytes = w->settings->body_bytes};
    enum rg_reason reason = rg_h1_frame_request(req, &opt, &framing);
    x->method = req->method_id;
    x->minor = req->minor;
    describe(w, x, req, path_scratch, &f, &reason);
    rg_exchange_note_request(w, x, req, framing.host);
    take_framing(w, x, &framing);
    if (reason != RG_REASON_NONE) {
        x->request.done = false; /* its end is not known */
        rg_exchange_fail(w, x, reason);
        return;
    }
    struct start start = decide(w, x, &req, &framing, &f);
    if (start.way == WAY_POLICY || start.way == WAY_NO_ROUTE)
        x->body_in_head = body_with_head(x, &framing, head_len); /* nobody wants it, and the connection goes on */
    if (start.way == WAY_ON && !write_request(w, x, req, &framing, &f, head_len))
        start = refuse(RG_REASON_OUT_OF_BUFFERS);
    use_input(x, head_len);
    if (!x->request.done && !rg_client_is_h2(c))
        rg_conn_wants_more(rg_client_conn(c));
    rg_exchange_check_soon(w, x);
    go(w, x, &start);
}
