/*
 * The policies of the route that an exchange takes: they see the request before it is written, and the response that
 * the client gets. What they work with is this thread's, for the time of one call; between the two, the exchange keeps
 * what policies say that they need (x->policies, x->policy_buf). See exchange_parts.h and policy/run.h.
 */
#include "datapath/core.h"
#include "datapath/exchange_parts.h"

#define FIELDS_MAX (RG_H1_FIELDS_MAX + RG_POLICY_FIELDS_MAX) /* rg_worker.fields */

struct workspace {
    struct rg_h1_request request;                    /* as the policies have made it */
    struct rg_policy_answer answer;                  /* of the one that answered */
    struct rg_policy_scratch rest;                   /* of the scratch, behind the lines of that answer */
    struct rg_field fields[RG_POLICY_ANSWER_FIELDS]; /* of an answer */
    bool answers;
    char scratch[RG_BUF_BULK];
};

static struct workspace *workspace(void)
{
    static _Thread_local struct workspace space;
    return &space;
}

static struct rg_policy_scratch whole_scratch(struct workspace *b)
{
    return (struct rg_policy_scratch){b->scratch, b->scratch + sizeof b->scratch};
}

/* Who asks: the peer, or who a trusted one says it was asked by. */
static struct rg_str client_of(const struct rg_h1_request *req, const struct rg_peer_text *peer)
{
    struct rg_str client = {peer->ip, peer->ip_len};
    for (unsigned i = 0; peer->trusted && i < req->n_fields; i++) {
        struct rg_str list = rg_field_value(&req->fields[i]);
        if (req->fields[i].id != RG_FIELD_X_FORWARDED_FOR || list.len == 0)
            continue;
        const char *comma = memrchr(list.ptr, ',', list.len);
        const char *from = comma ? comma + 1 : list.ptr, *end = list.ptr + list.len;
        while (from < end && *from == ' ')
            from++;
        client = (struct rg_str){from, (size_t)(end - from)};
    }
    return client;
}

static uint64_t clock_us(void)
{
    return rg_sys_now_ns() / 1000;
}

static struct rg_policy_request view_of(struct rg_worker *w, const struct rg_exchange *x,
                                        const struct rg_h1_request *req, struct rg_str host, const struct rg_forward *f)
{
    struct workspace *b = workspace();
    struct rg_policy_request q = {.method = req->method,
                                  .method_id = req->method_id,
                                  .path = f->path,
                                  .query = req->query,
                                  .host = host,
                                  .head = rg_policy_head_of(req->fields, req->n_fields, FIELDS_MAX),
                                  .client = client_of(req, f->peer),
                                  .scheme = f->scheme,
                                  .request_id = {f->request_id, f->request_id_len},
                                  .route = x->route->name,
                                  .context_bytes = x->route->context_bytes,
                                  .clock = clock_us,
                                  .unix_ms = (int64_t)((w->now_us + w->unix_us_offset) / 1000),
                                  .worker = w->id,
                                  .scratch = whole_scratch(b),
                                  .answer.head = rg_policy_head_of(b->fields, 0, RG_POLICY_ANSWER_FIELDS)};
    if (rg_policy_chain_asks_prefix(x->route->policies))
        q.prefix_bytes = (uint32_t)rg_route_prefix_bytes(x->route, f->path);
    return q;
}

/* What goes to the upstream: the policies' request, from here on. */
static void take_edits(struct rg_exchange *x, const struct rg_policy_request *q, const struct rg_h1_request **req,
                       struct rg_forward *f)
{
    struct rg_h1_request *edited = &workspace()->request;
    *edited = **req;
    edited->method = q->method;
    edited->method_id = q->method_id;
    edited->query = q->query;
    edited->n_fields = q->head.n;
    edited->n_added = (uint16_t)(q->head.n - q->head.n_received);
    f->path = q->path;
    if (q->host_is_set)
        f->host = q->host;
    x->method = q->method_id;
    *req = edited;
}

enum rg_policy_verdict rg_exchange_police_request(struct rg_worker *w, struct rg_exchange *x,
                                                  const struct rg_h1_request **req, struct rg_str host,
                                                  struct rg_forward *f)
{
    const struct rg_policy_chain *chain = x->route->policies;
    RG_ASSERT((*req)->fields == w->fields);
    struct rg_policy_request q = view_of(w, x, *req, host, f);
    enum rg_policy_verdict verdict = rg_policy_run_request(&x->policies, chain, &q);
    x->policed = true;
    if (rg_policy_chain_keeps_head(chain))
        x->policy_buf = rg_buf_ref(x->client->in->head);
    if (verdict == RG_POLICY_NEXT) {
        take_edits(x, &q, req, f);
    } else if (verdict == RG_POLICY_ANSWER) {
        workspace()->answer = q.answer;
        workspace()->rest = q.scratch;
    }
    return verdict;
}

/* ---- the response ---- */

void rg_exchange_police_response(struct rg_worker *w, struct rg_exchange *x, struct rg_h1_response *res)
{
    if (!rg_policy_chain_has_response(x->policies.chain))
        return;
    RG_ASSERT(res->fields == w->fields);
    struct rg_policy_response r = {.status = res->status,
                                   .head = rg_policy_head_of(res->fields, res->n_fields, FIELDS_MAX),
                                   .scratch = whole_scratch(workspace())};
    rg_policy_run_response(&x->policies, &r);
    res->n_fields = r.head.n;
    res->n_added = (uint16_t)(r.head.n - r.head.n_received);
}

void rg_exchange_police_own_response(struct rg_exchange *x, struct rg_own_response *own)
{
    struct workspace *b = workspace();
    struct rg_policy_response r = {.status = own->status,
                                   .head = rg_policy_head_of(b->fields, 0, RG_POLICY_ANSWER_FIELDS),
                                   .scratch = whole_scratch(b),
                                   .is_own = true};
    if (b->answers) {
        b->answers = false; /* before the next request of a pipeline begins */
        r.head = b->answer.head;
        r.scratch = b->rest;
        own->may_store = b->answer.may_store;
    }
    rg_policy_run_response(&x->policies, &r);
    own->fields = r.head.fields;
    own->n_fields = r.head.n;
}

void rg_exchange_answer_by_policy(struct rg_worker *w, struct rg_exchange *x)
{
    struct workspace *b = workspace();
    const struct rg_policy_answer *a = &b->answer;
    if (rg_exchange_would_mislead(x, a->status)) {
        rg_exchange_fail(w, x, RG_REASON_NO_WEBSOCKET);
        return;
    }
    x->reason = RG_REASON_POLICY;
    rg_metric_add(w->metrics, RG_M_POLICY_ANSWERS, 1);
    b->answers = true; /* what is written next */
    rg_exchange_answer(w, x, a->status, a->type, a->body);
}
