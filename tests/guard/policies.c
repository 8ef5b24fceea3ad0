/*
 * guard_policies none|five: 10,000 requests and responses through the HTTP code, without policies or with five of them
 * (set-headers, remove-headers, cors, api-key-auth, basic-ratelimit), for callgrind to count (guard_policies.py). The
 * steps and their order are those of datapath/exchange_begin.c, exchange_policy.c and exchange_relay.c. Thread: main.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/common/json.h"
#include "control/common/params.h"
#include "datapath/http/h1_write.h"
#include "datapath/policy/digest.h"
#include "datapath/policy/keys.h"
#include "datapath/policy/run.h"

#define EXCHANGES  10000
#define FIELDS_MAX (RG_H1_FIELDS_MAX + RG_POLICY_FIELDS_MAX)

size_t rg_guard_policies(const struct rg_policy_chain *chain, size_t n);

static const char request_head[] =
    "GET /shop/v1/items/4711?lang=en HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux "
    "x86_64)\r\n"
    "Accept: application/json\r\nAccept-Language: en-GB,en;q=0.7\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "X-API-Key: k-0123456789abcdef0123456789abcdef\r\nOrigin: https://shop.example.com\r\nX-Debug: 1\r\n"
    "Referer: https://shop.example.com/items\r\nCookie: session=0a1b2c3d4e5f\r\n\r\n";
static const char response_head[] =
    "HTTP/1.1 200 OK\r\nServer: inner/1.0\r\nDate: Sat, 21 Nov 2026 05:00:00 GMT\r\nContent-Type: application/json\r\n"
    "Content-Length: 512\r\nCache-Control: private\r\nETag: \"4711-3\"\r\nX-Powered-By: something\r\n\r\n";

static const struct {
    const char *name, *params;
} policies[] = {
    {"cors", "{\"allowedOrigins\":[\"https://shop.example.com\"],\"allowCredentials\":true}"},
    {"api-key-auth", "{\"key\":\"X-API-Key\",\"in\":\"header\"}"},
    {"basic-ratelimit", "{\"limits\":[{\"requests\":1000000000,\"duration\":\"1s\"}]}"},
    {"set-headers", "{\"request\":{\"headers\":[{\"name\":\"X-Stage\",\"value\":\"prod\"}]},"
                    "\"response\":{\"headers\":[{\"name\":\"X-Front\",\"value\":\"here\"}]}}"},
    {"remove-headers", "{\"request\":{\"headers\":[{\"name\":\"X-Debug\"}]},"
                       "\"response\":{\"headers\":[{\"name\":\"X-Powered-By\"},{\"name\":\"Server\"}]}}"},
};

static struct rg_key_set *keys;

static void add(struct rg_policy_chain *chain, const char *name, const char *params)
{
    struct rg_policy_place place = {RG_STR("RestApi"), RG_STR("shop"), RG_STR("v1.0"), keys};
    struct rg_policy_problem problem;
    struct rg_problems problems;
    struct rg_arena arena;
    struct rg_policy *policy;
    char why[256];
    const struct rg_policy_kind *kind = rg_policy_find(rg_str_of(name), RG_STR(""), &problem);
    json_t *json = rg_json_parse(rg_str_of(params), why, sizeof why);
    RG_ASSERT(kind && json);
    rg_arena_init(&arena);
    rg_problems_init(&problems);
    void *values = rg_arena_alloc(&arena, kind->params_size);
    struct rg_params_source source = {.value = json};
    RG_ASSERT(rg_params_decode(kind->params, &source, &arena, values, &problems) == 0);
    RG_ASSERT(rg_policy_create(&policy, kind, values, RG_STR(""), &place, &problem) == 0);
    RG_ASSERT(rg_policy_chain_add(chain, policy, &problem) == 0);
    rg_policy_unref(policy);
    rg_problems_fini(&problems);
    rg_arena_fini(&arena);
    json_decref(json);
}

static struct rg_policy_chain *five(void)
{
    struct rg_policy_chain *chain = rg_policy_chain_create();
    struct rg_key key = {.name = RG_STR("k")};
    keys = rg_key_set_create();
    RG_ASSERT(chain && keys && rg_digest(RG_STR("k-0123456789abcdef0123456789abcdef"), key.hash));
    RG_ASSERT(rg_key_set_replace(keys, &key, 1) == 0);
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++)
        add(chain, policies[i].name, policies[i].params);
    return chain;
}

/* ---- what is counted ---- */

static const struct rg_h1_limits limits = {
    .head_bytes = 32768, .field_bytes = 16384, .target_bytes = 8192, .fields = 100};
static struct rg_field fields[FIELDS_MAX];
static struct rg_policy_run run;
static char scratch[65536], out[65536];
static size_t request_len, response_len; /* as written */

static uint64_t clock_us(void)
{
    return 1000000000;
}

static void police_request(const struct rg_policy_chain *chain, struct rg_h1_request *req)
{
    static struct rg_field answer[RG_POLICY_ANSWER_FIELDS];
    struct rg_policy_request q = {.method = req->method,
                                  .method_id = req->method_id,
                                  .path = req->path,
                                  .query = req->query,
                                  .host = RG_STR("api.example.com"),
                                  .head = rg_policy_head_of(fields, req->n_fields, FIELDS_MAX),
                                  .client = RG_STR("192.0.2.17"),
                                  .route = RG_STR("GET /shop/v1/items/{id}"),
                                  .clock = clock_us,
                                  .unix_ms = 1795237200000,
                                  .scratch = {scratch, scratch + sizeof scratch},
                                  .answer.head = rg_policy_head_of(answer, 0, RG_POLICY_ANSWER_FIELDS)};
    RG_ASSERT(rg_policy_run_request(&run, chain, &q) == RG_POLICY_NEXT);
    req->n_fields = q.head.n;
    req->n_added = (uint16_t)(q.head.n - q.head.n_received);
}

static void police_response(struct rg_h1_response *res)
{
    struct rg_policy_response r = {.status = res->status,
                                   .head = rg_policy_head_of(fields, res->n_fields, FIELDS_MAX),
                                   .scratch = {scratch, scratch + sizeof scratch}};
    rg_policy_run_response(&run, &r);
    res->n_fields = r.head.n;
    res->n_added = (uint16_t)(r.head.n - r.head.n_received);
}

static void pass_request(const struct rg_policy_chain *chain, struct rg_forward *f, struct rg_rand *rand)
{
    static const struct rg_framing_options options = {.body_bytes = 64 << 20};
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    struct rg_framing framing = {0};
    enum rg_reason reason;
    int32_t n = rg_h1_parse_request(&resume, request_head, sizeof request_head - 1, &limits, fields, &req, &reason);
    RG_ASSERT(n > 0 && rg_h1_frame_request(&req, &options, &framing) == RG_REASON_NONE);
    f->path = req.path;
    rg_forward_ids(f, &req, rand, 1795237200000);
    if (chain)
        police_request(chain, &req);
    n = rg_h1_write_request(out, sizeof out, &req, &framing, f);
    RG_ASSERT(n > 0);
    request_len = (size_t)n;
}

static void pass_response(const struct rg_policy_chain *chain, const struct rg_forward *f)
{
    struct rg_h1_resume resume = {0};
    struct rg_h1_response res;
    struct rg_framing framing = {0};
    enum rg_reason reason;
    struct rg_response_options options = {.keep_alive = true, .request_id = {f->request_id, f->request_id_len}};
    int32_t n = rg_h1_parse_response(&resume, response_head, sizeof response_head - 1, &limits, fields, &res, &reason);
    RG_ASSERT(n > 0 && rg_h1_frame_response(&res, RG_METHOD_GET, false, &framing) == RG_REASON_NONE);
    if (chain)
        police_response(&res);
    n = rg_h1_write_response(out, sizeof out, &res, &framing, &options, RG_STR("Sat, 21 Nov 2026 05:00:00 GMT"));
    RG_ASSERT(n > 0);
    response_len = (size_t)n;
}

__attribute__((noinline)) size_t rg_guard_policies(const struct rg_policy_chain *chain, size_t n)
{
    static const struct rg_peer_text peer = {.ip = "192.0.2.17", .ip_len = 10};
    struct rg_rand rand = {{1, 2, 3, 4}};
    for (size_t i = 0; i < n; i++) {
        struct rg_forward f = {
            .peer = &peer, .scheme = RG_STR("http"), .listener_port = 80, .replica_host = RG_STR("127.0.0.1:8080")};
        pass_request(chain, &f, &rand);
        pass_response(chain, &f);
    }
    return n;
}

int main(int argc, char **argv)
{
    if (argc != 2 || (strcmp(argv[1], "none") != 0 && strcmp(argv[1], "five") != 0)) {
        fprintf(stderr, "Usage: guard_policies none|five\n");
        return 2;
    }
    bool has_policies = strcmp(argv[1], "five") == 0;
    struct rg_policy_chain *chain = has_policies ? five() : NULL;
    rg_guard_policies(chain, 100); /* libraries make what they make once */
    size_t n = rg_guard_policies(chain, EXCHANGES);
    /* The policies did what they are there for. */
    bool has_left = memmem(out, response_len, "Server", 6) || memmem(out, response_len, "X-Powered-By", 12);
    bool has_added = memmem(out, response_len, "Access-Control-Allow-Origin: https://shop.example.com\r\n", 55) &&
                     memmem(out, response_len, "RateLimit-Remaining: 9", 22) && memmem(out, response_len, "X-Front", 7);
    if (has_left == has_policies || has_added != has_policies) {
        fprintf(stderr, "guard_policies: the response is not as the policies say:\n%.*s", (int)response_len, out);
        return 1;
    }
    printf("exchanges %zu request %zu response %zu\n", n, request_len, response_len);
    rg_policy_chain_destroy(chain);
    rg_key_set_unref(keys);
    return 0;
}
