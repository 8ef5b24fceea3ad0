/* See policy_fixture.h. */
#include "policy_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "control/common/json.h"
#include "control/common/params.h"

static struct rg_field fields[RG_H1_FIELDS_MAX + RG_POLICY_FIELDS_MAX], answer_fields[RG_POLICY_ANSWER_FIELDS];
static char head_bytes[16384], scratch_bytes[65536];

void play_init(struct play *p)
{
    *p = (struct play){.client = "192.0.2.7", .route = "GET /items", .now_us = 1000000000, .unix_ms = 1795237200000};
    p->chain = rg_policy_chain_create();
    p->keys = rg_key_set_create();
    RG_ASSERT(p->chain && p->keys);
}

void play_fini(struct play *p)
{
    rg_policy_chain_destroy(p->chain);
    rg_key_set_unref(p->keys);
}

static json_t *params_of(const char *text)
{
    char copy[4096], why[256];
    size_t n = strlen(text);
    RG_ASSERT(n < sizeof copy);
    for (size_t i = 0; i <= n; i++)
        copy[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    json_t *json = rg_json_parse((struct rg_str){copy, n}, why, sizeof why);
    RG_ASSERT(json);
    return json;
}

static bool decode(struct play *p, const struct rg_policy_kind *kind, const char *params, struct rg_arena *arena,
                   void *ret)
{
    struct rg_problems problems;
    json_t *json = params_of(params);
    struct rg_params_source source = {.value = json, .path = "params"};
    rg_problems_init(&problems);
    int rc = rg_params_decode(kind->params, &source, arena, ret, &problems);
    if (rc == -EINVAL) {
        FILE *out = fmemopen(p->decoded, sizeof p->decoded, "w");
        rg_problems_write(&problems, "; ", out);
        fclose(out);
    }
    rg_problems_fini(&problems);
    json_decref(json);
    return rc == 0;
}

bool play_add(struct play *p, const char *name, const char *params, const char *condition)
{
    struct rg_policy_place place = {RG_STR("RestApi"), RG_STR("shop"), RG_STR("v1.0"), p->keys};
    struct rg_arena arena;
    struct rg_policy *policy = NULL;
    bool ok = false;
    p->problem = (struct rg_policy_problem){0};
    p->decoded[0] = '\0';
    const struct rg_policy_kind *kind = rg_policy_find(rg_str_of(name), RG_STR(""), &p->problem);
    if (!kind)
        return false;
    rg_arena_init(&arena);
    void *values = rg_arena_alloc(&arena, kind->params_size);
    if (decode(p, kind, params, &arena, values))
        ok = rg_policy_create(&policy, kind, values, rg_str_of(condition), &place, &p->problem) == 0;
    /* What the policy keeps is its own. */
    rg_arena_fini(&arena);
    ok = ok && rg_policy_chain_add(p->chain, policy, &p->problem) == 0;
    rg_policy_unref(policy);
    return ok;
}

void play_with(struct play *p, const char *name, const char *params, const char *condition)
{
    if (play_add(p, name, params, condition))
        return;
    fprintf(stderr, "%s %s: %s: %s%s\n", name, params, p->problem.path, p->problem.text, p->decoded);
    abort();
}

static struct rg_str crlf(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            head_bytes[n++] = '\r';
        head_bytes[n++] = *text;
        RG_ASSERT(n < sizeof head_bytes - 4);
    }
    memcpy(head_bytes + n, "\r\n", 2);
    return (struct rg_str){head_bytes, n + 2};
}

static const struct rg_h1_limits limits = {16384, 16384, 8192, RG_H1_FIELDS_MAX, true};

static void write_fields(FILE *out, const struct rg_policy_head *head)
{
    for (unsigned i = 0; i < head->n; i++) {
        const struct rg_field *f = &head->fields[i];
        RG_ASSERT(memcmp(f->value + f->value_len, "\r\n", 2) == 0); /* the writer copies whole lines */
        RG_ASSERT(f->id == rg_field_lookup(f->name, f->name_len));
        fprintf(out, "%.*s: %.*s\n", (int)f->name_len, f->name, (int)f->value_len, f->value);
    }
}

static void respond(struct play *p, struct rg_policy_response *r)
{
    r->scratch =
        (struct rg_policy_scratch){scratch_bytes + sizeof scratch_bytes / 2, scratch_bytes + sizeof scratch_bytes};
    rg_policy_run_response(&p->run, r);
}

static void write_answer(struct play *p, FILE *out, const struct rg_policy_answer *answer)
{
    struct rg_policy_response r = {.status = answer->status, .head = answer->head, .is_own = true};
    respond(p, &r);
    fprintf(out, "%d %.*s\n", r.status, (int)answer->type.len, answer->type.ptr ? answer->type.ptr : "");
    write_fields(out, &r.head);
    fprintf(out, "%.*s", (int)answer->body.len, answer->body.ptr ? answer->body.ptr : "");
}

static struct rg_str host_of(const struct rg_h1_request *req)
{
    for (unsigned i = 0; i < req->n_fields; i++)
        if (req->fields[i].id == RG_FIELD_HOST)
            return rg_field_value(&req->fields[i]);
    return RG_STR_NONE;
}

static uint64_t playing_us;

static uint64_t clock_us(void)
{
    return playing_us;
}

const char *play_request(struct play *p, const char *head)
{
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    struct rg_str text = crlf(head);
    int32_t n = rg_h1_parse_request(&resume, text.ptr, text.len, &limits, fields, &req, &reason);
    RG_ASSERT(n > 0);
    playing_us = p->now_us;
    struct rg_policy_request q = {.method = req.method,
                                  .method_id = req.method_id,
                                  .path = req.path,
                                  .query = req.query,
                                  .host = host_of(&req),
                                  .head = rg_policy_head_of(fields, req.n_fields, sizeof fields / sizeof fields[0]),
                                  .client = rg_str_of(p->client),
                                  .scheme = RG_STR("http"),
                                  .request_id = RG_STR("0198c"),
                                  .route = rg_str_of(p->route),
                                  .context_bytes = p->context_bytes,
                                  .prefix_bytes = p->prefix_bytes > 0 ? p->prefix_bytes : (uint32_t)req.path.len,
                                  .clock = clock_us,
                                  .unix_ms = p->unix_ms,
                                  .scratch = {scratch_bytes, scratch_bytes + sizeof scratch_bytes / 2},
                                  .answer.head = rg_policy_head_of(answer_fields, 0, RG_POLICY_ANSWER_FIELDS)};
    p->verdict = rg_policy_run_request(&p->run, p->chain, &q);
    FILE *out = fmemopen(p->out, sizeof p->out, "w");
    if (p->verdict == RG_POLICY_ANSWER) {
        write_answer(p, out, &q.answer);
    } else {
        fprintf(out, "%.*s %.*s%.*s\n", (int)q.method.len, q.method.ptr, (int)q.path.len, q.path.ptr, (int)q.query.len,
                q.query.ptr ? q.query.ptr : "");
        if (q.host_is_set)
            fprintf(out, "(host) %.*s\n", (int)q.host.len, q.host.ptr);
        write_fields(out, &q.head);
    }
    fclose(out);
    return p->out;
}

const char *play_response(struct play *p, const char *head)
{
    static struct rg_field response_fields[RG_H1_FIELDS_MAX + RG_POLICY_FIELDS_MAX];
    static char bytes[16384];
    struct rg_h1_resume resume = {0};
    struct rg_h1_response res;
    enum rg_reason reason = RG_REASON_NONE;
    char kept[sizeof head_bytes];
    /* The request's head stays where it is, as in the gateway. */
    memcpy(kept, head_bytes, sizeof kept);
    struct rg_str text = crlf(head);
    RG_ASSERT(text.len <= sizeof bytes);
    memcpy(bytes, text.ptr, text.len);
    memcpy(head_bytes, kept, sizeof kept);
    RG_ASSERT(rg_h1_parse_response(&resume, bytes, text.len, &limits, response_fields, &res, &reason) > 0);
    struct rg_policy_response r = {
        .status = res.status,
        .head = rg_policy_head_of(response_fields, res.n_fields, RG_H1_FIELDS_MAX + RG_POLICY_FIELDS_MAX)};
    respond(p, &r);
    FILE *out = fmemopen(p->out, sizeof p->out, "w");
    fprintf(out, "%d\n", r.status);
    write_fields(out, &r.head);
    fclose(out);
    return p->out;
}
