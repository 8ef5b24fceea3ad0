/*
 * See work.h. The steps and their order are those of datapath/exchange_begin.c and datapath/exchange_relay.c; the
 * choice of a route, which stands between framing and rewriting, is counted apart (routes.c).
 */
#include "tests/guard/work.h"

static const struct rg_h1_limits limits = {
    .head_bytes = 32768, .field_bytes = 16384, .target_bytes = 8192, .fields = 100};
static struct rg_field fields[RG_H1_FIELDS_MAX];
static char path_scratch[RG_WORK_ROOM];

/* What the response's head is written by. */
struct asked {
    enum rg_method method;
    bool websocket, persistent, http10;
    struct rg_str request_id;
};

void rg_work_init(struct rg_work *w)
{
    memset(w, 0, sizeof *w);
    w->rand = (struct rg_rand){{1, 2, 3, 4}};
    w->unix_ms = 1795237200000;
}

static bool fail(struct rg_work *w, const char *step, enum rg_reason reason)
{
    w->failed = step;
    w->reason = reason;
    return false;
}

static const struct rg_peer_text *peer_of(const struct rg_record *r)
{
    static const struct rg_peer_text peers[2][2] = {
        {{.ip = "192.0.2.17", .ip_len = 10}, {.ip = "192.0.2.17", .ip_len = 10, .trusted = true}},
        {{.ip = "2001:db8::17", .ip_len = 12, .is_ipv6 = true},
         {.ip = "2001:db8::17", .ip_len = 12, .is_ipv6 = true, .trusted = true}}};
    return &peers[r->is_ipv6][r->trusted];
}

/* Behind the head that stands at out[*len]; what follows the body is none of the message. */
static bool pass_chunked(struct rg_work *w, struct rg_str in, char *out, size_t *len, enum rg_chunked_mode mode)
{
    static char trailers[RG_TRAILER_MAX];
    struct rg_chunked c;
    enum rg_chunked_event event;
    rg_chunked_init(&c, mode);
    do {
        size_t used = 0;
        struct rg_str span = RG_STR_NONE;
        event = rg_chunked_step(&c, in.ptr, in.len, &used, &span);
        in = (struct rg_str){in.ptr + used, in.len - used};
        if (event == RG_CHUNKED_NEED_TRAILER)
            c.trailer_space = trailers;
        if (span.len > RG_WORK_ROOM - *len)
            return fail(w, "body: no room", RG_REASON_NONE);
        if (span.len > 0)
            memcpy(out + *len, span.ptr, span.len);
        *len += span.len;
    } while (event == RG_CHUNKED_SPAN || event == RG_CHUNKED_NEED_TRAILER);
    return event == RG_CHUNKED_END || fail(w, "body", (enum rg_reason)c.reason);
}

static bool pass_request(struct rg_work *w, const struct rg_record *r, struct rg_forward *f, struct asked *asked)
{
    static const struct rg_framing_options options = {.body_bytes = 64 << 20};
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    struct rg_framing framing = {0};
    enum rg_reason reason = RG_REASON_NONE;
    int32_t head = rg_h1_parse_request(&resume, r->request.ptr, r->request.len, &limits, fields, &req, &reason);
    if (head <= 0)
        return fail(w, "request: parse", reason);
    reason = rg_h1_frame_request(&req, &options, &framing);
    if (reason != RG_REASON_NONE)
        return fail(w, "request: framing", reason);
    f->path = req.path;
    if (!req.path_is_plain && req.target_form != RG_TARGET_ASTERISK)
        f->path = (struct rg_str){path_scratch, (size_t)rg_h1_normalize_path(req.path, path_scratch)};
    rg_forward_ids(f, &req, &w->rand, w->unix_ms++);
    int32_t n = rg_h1_write_request(w->request, sizeof w->request, &req, &framing, f);
    if (n <= 0)
        return fail(w, "request: write", RG_REASON_NONE);
    w->request_len = (size_t)n;
    *asked = (struct asked){.method = (enum rg_method)req.method_id,
                            .websocket = framing.websocket,
                            .persistent = framing.persistent,
                            .http10 = req.minor == 0,
                            .request_id = {f->request_id, f->request_id_len}};
    struct rg_str body = {r->request.ptr + head, r->request.len - (size_t)head};
    return framing.kind != RG_BODY_CHUNKED || pass_chunked(w, body, w->request, &w->request_len, RG_CHUNKED_FORWARD);
}

static bool pass_response(struct rg_work *w, const struct rg_record *r, const struct asked *asked)
{
    struct rg_h1_resume resume = {0};
    struct rg_h1_response res;
    struct rg_framing framing = {0};
    enum rg_reason reason = RG_REASON_NONE;
    int32_t head = rg_h1_parse_response(&resume, r->response.ptr, r->response.len, &limits, fields, &res, &reason);
    if (head <= 0)
        return fail(w, "response: parse", reason);
    reason = rg_h1_frame_response(&res, asked->method, asked->websocket, &framing);
    if (reason != RG_REASON_NONE)
        return fail(w, "response: framing", reason);
    bool chunked = framing.kind == RG_BODY_CHUNKED;
    struct rg_response_options opt = {.client_http10 = asked->http10,
                                      .keep_alive = asked->persistent,
                                      .chunked = !asked->http10 && chunked,
                                      .eof_to_chunked = !asked->http10 && framing.kind == RG_BODY_EOF,
                                      .request_id = asked->request_id};
    int32_t n = rg_h1_write_response(w->response, sizeof w->response, &res, &framing, &opt,
                                     RG_STR("Sat, 21 Nov 2026 05:00:00 GMT"));
    if (n <= 0)
        return fail(w, "response: write", RG_REASON_NONE);
    w->response_len = (size_t)n;
    struct rg_str body = {r->response.ptr + head, r->response.len - (size_t)head};
    return !chunked ||
           pass_chunked(w, body, w->response, &w->response_len, asked->http10 ? RG_CHUNKED_DATA : RG_CHUNKED_FORWARD);
}

bool rg_work_one(struct rg_work *w, const struct rg_record *r)
{
    struct rg_forward f = {
        .peer = peer_of(r), .scheme = RG_STR("http"), .listener_port = 80, .replica_host = RG_STR("127.0.0.1:8080")};
    struct asked asked;
    return pass_request(w, r, &f, &asked) && pass_response(w, r, &asked);
}

__attribute__((noinline)) size_t rg_guard_work(struct rg_work *w, const struct rg_record *records, size_t n)
{
    size_t done = 0;
    while (done < n && rg_work_one(w, &records[done]))
        done++;
    return done;
}
