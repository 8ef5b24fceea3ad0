/*
 * advanced-ratelimit: quotas, each with limits of its own and a key that says whose allowance a request is charged to:
 * a client's address, the value of a field, a route.
 */
#include <errno.h>
#include <stdio.h>

#include "datapath/policy/kinds.h"
#include "datapath/policy/ratelimit.h"

#define BODY_MAX 8192

struct limit {
    int64_t limit, burst;
    uint64_t duration;
};
struct key_part {
    int32_t type;
    struct rg_str key;
};
struct cost {
    bool enabled;
};
struct quota {
    struct rg_str name;
    struct rg_param_list limits, key;
    struct cost cost;
};
struct exceeded {
    int64_t status;
    struct rg_str body;
    int32_t format;
};
struct params {
    struct rg_param_list quotas, key;
    struct exceeded exceeded;
    int32_t algorithm, backend;
};

static const char *const backends[] = {"memory", NULL};
static const char *const formats[] = {"json", "plain", NULL};
/* In the order of enum rg_ratelimit_part. */
static const char *const parts[] = {"header", "ip", "apiname", "apiversion", "routename", "constant", NULL};

static const struct rg_param limit_params[] = {
    RG_RATELIMIT_ROW_COUNT("limit", struct limit, limit, 1, true, "So many requests are allowed"),
    RG_RATELIMIT_ROW_DURATION(struct limit),
    RG_RATELIMIT_ROW_COUNT("burst", struct limit, burst, 0, false,
                           "So many at once (of `gcra`); left out: as many as `limit`."),
    {0},
};

static const struct rg_param key_params[] = {{.name = "type",
                                              .type = RG_PARAM_ENUM,
                                              .offset = offsetof(struct key_part, type),
                                              .required = true,
                                              .words = parts,
                                              .help = "What the key is made of. `ip`: the client's address, as a "
                                                      "trusted proxy has seen it, without a port; of an IPv6 "
                                                      "address the first 64 bits."},
                                             {.name = "key",
                                              .type = RG_PARAM_STRING,
                                              .offset = offsetof(struct key_part, key),
                                              .help = "Name of the field of `header`, or the text of `constant`."},
                                             {0}};

static const struct rg_param cost_params[] = {{.name = "enabled",
                                               .type = RG_PARAM_BOOL,
                                               .offset = offsetof(struct cost, enabled),
                                               .help = "Only false: each request costs 1."},
                                              {0}};

static const struct rg_param quota_params[] = {
    {.name = "name", .type = RG_PARAM_STRING, .offset = offsetof(struct quota, name), .help = "For people."},
    RG_RATELIMIT_ROW_LIMITS(struct quota, struct limit, limit_params),
    {.name = "keyExtraction",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct quota, key),
     .max = RG_RATELIMIT_PARTS_MAX,
     .fields = key_params,
     .size = sizeof(struct key_part),
     .help = "Whose allowance it is; left out: as the policy's `keyExtraction` says."},
    {.name = "costExtraction",
     .type = RG_PARAM_OBJECT,
     .offset = offsetof(struct quota, cost),
     .fields = cost_params,
     .size = sizeof(struct cost),
     .help = "Costs other than 1 for each request are not supported."},
    {0}};

static const struct rg_param exceeded_params[] = {{.name = "statusCode",
                                                   .type = RG_PARAM_INT,
                                                   .offset = offsetof(struct exceeded, status),
                                                   .initial = "429",
                                                   .min = 400,
                                                   .max = 599,
                                                   .help = "Status of the answer."},
                                                  {.name = "body",
                                                   .type = RG_PARAM_STRING,
                                                   .offset = offsetof(struct exceeded, body),
                                                   .help = "Its body, up to 8 KiB; left out: JSON that says so."},
                                                  {.name = "bodyFormat",
                                                   .type = RG_PARAM_ENUM,
                                                   .offset = offsetof(struct exceeded, format),
                                                   .initial = "\"json\"",
                                                   .words = formats,
                                                   .help = "What the body is."},
                                                  {0}};

static const struct rg_param params_table[] = {
    {.name = "quotas",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct params, quotas),
     .required = true,
     .not_empty = true,
     .max = 10,
     .fields = quota_params,
     .size = sizeof(struct quota),
     .help = "A request has to keep all of them."},
    {.name = "keyExtraction",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct params, key),
     .max = RG_RATELIMIT_PARTS_MAX,
     .fields = key_params,
     .size = sizeof(struct key_part),
     .help = "Whose allowance it is, of quotas that don't say; left out: the route's."},
    {.name = "onRateLimitExceeded",
     .type = RG_PARAM_OBJECT,
     .offset = offsetof(struct params, exceeded),
     .initial = "{}",
     .fields = exceeded_params,
     .size = sizeof(struct exceeded),
     .help = "What a client gets that has used its allowance up."},
    RG_RATELIMIT_ROW_ALGORITHM(struct params),
    {.name = "backend",
     .type = RG_PARAM_ENUM,
     .offset = offsetof(struct params, backend),
     .initial = "\"memory\"",
     .words = backends,
     .help = "Where it is counted: in this gateway."},
    {0}};

/* ---- made by the control thread ---- */

static int take_part(struct rg_ratelimit_key_part *to, const struct key_part *from, struct rg_policy_making *m,
                     const char *path)
{
    char at[128];
    to->what = (enum rg_ratelimit_part)from->type;
    snprintf(at, sizeof at, "%s.key", path);
    switch (to->what) {
    case RG_RATELIMIT_HEADER: {
        struct rg_str copy;
        if (from->key.len == 0)
            return rg_policy_refuse(m, at, "is missing: wanted the name of the field");
        if (!rg_arena_copy(m->arena, from->key, &copy))
            return -ENOMEM;
        to->header = rg_policy_name_of(copy);
        return 0;
    }
    case RG_RATELIMIT_CONSTANT:
        if (from->key.len == 0)
            return rg_policy_refuse(m, at, "is missing: wanted a text");
        return rg_arena_copy(m->arena, from->key, &to->text) ? 0 : -ENOMEM;
    case RG_RATELIMIT_API_NAME:
        return rg_arena_copy(m->arena, m->place->handle, &to->text) ? 0 : -ENOMEM;
    case RG_RATELIMIT_API_VERSION:
        return rg_arena_copy(m->arena, m->place->version, &to->text) ? 0 : -ENOMEM;
    default:
        return 0;
    }
}

static int take_key(struct rg_ratelimit_quota *to, const struct rg_param_list *key, struct rg_policy_making *m,
                    const char *path)
{
    const struct key_part *items = key->items;
    for (size_t i = 0; i < key->n; i++) {
        char at[112];
        snprintf(at, sizeof at, "%s[%zu]", path, i);
        int rc = take_part(&to->parts[i], &items[i], m, at);
        if (rc < 0)
            return rc;
        bool of_clients = to->parts[i].what == RG_RATELIMIT_HEADER || to->parts[i].what == RG_RATELIMIT_IP;
        to->has_many_keys = to->has_many_keys || of_clients;
        to->n_parts++;
    }
    if (key->n == 0)
        to->parts[to->n_parts++].what = RG_RATELIMIT_ROUTE_NAME;
    return 0;
}

static int take_quota(struct rg_ratelimit_quota *to, const struct params *p, size_t i, struct rg_policy_making *m)
{
    const struct quota *from = &((const struct quota *)p->quotas.items)[i];
    const struct limit *limits = from->limits.items;
    enum rg_limit_algorithm algorithm = (enum rg_limit_algorithm)p->algorithm;
    char path[80];
    snprintf(path, sizeof path, "quotas[%zu].costExtraction.enabled", i);
    if (from->cost.enabled)
        return rg_policy_refuse(m, path, "is not supported: each request costs 1 here");
    bool own_key = from->key.n > 0;
    if (own_key)
        snprintf(path, sizeof path, "quotas[%zu].keyExtraction", i);
    else
        snprintf(path, sizeof path, "keyExtraction");
    int rc = take_key(to, own_key ? &from->key : &p->key, m, path);
    for (size_t k = 0; rc == 0 && k < from->limits.n; k++) {
        snprintf(path, sizeof path, "quotas[%zu].limits[%zu]", i, k);
        rc = rg_ratelimit_add_limit(to, m, path, algorithm, (uint64_t)limits[k].limit, limits[k].duration,
                                    (uint64_t)limits[k].burst);
    }
    return rc == 0 && !rg_arena_copy(m->arena, from->name, &to->name) ? -ENOMEM : rc;
}

static int take_answer(struct rg_ratelimit *rl, const struct exceeded *e, struct rg_policy_making *m)
{
    if (e->status != 0)
        rl->status = (uint16_t)e->status;
    if (e->body.len > BODY_MAX)
        return rg_policy_refuse(m, "onRateLimitExceeded.body", "has %zu bytes: wanted %d at most", e->body.len,
                                BODY_MAX);
    if (e->body.len > 0 && !rg_arena_copy(m->arena, e->body, &rl->body))
        return -ENOMEM;
    if (e->body.len > 0 && e->format == 1)
        rl->type = RG_STR("text/plain; charset=utf-8");
    return 0;
}

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct rg_ratelimit *rl = self;
    const struct params *p = params;
    int rc = rg_ratelimit_init(rl, m, (unsigned)p->quotas.n);
    for (size_t i = 0; rc == 0 && i < p->quotas.n; i++)
        rc = take_quota(&rl->quotas[i], p, i, m);
    if (rc == 0)
        rc = take_answer(rl, &p->exceeded, m);
    return rc == 0 ? rg_ratelimit_make_tables(rl, m) : rc;
}

const struct rg_policy_kind rg_policy_advanced_ratelimit = {
    .name = "advanced-ratelimit",
    .version = "v1.1.2",
    .help = "Limits how many requests are served in a time, for each client, value of a field or route.",
    .params = params_table,
    .params_size = sizeof(struct params),
    .size = sizeof(struct rg_ratelimit),
    .guards = true,
    .counts = true,
    .prepare = prepare,
    .request = rg_ratelimit_request,
    .response = rg_ratelimit_response,
    .drop = rg_ratelimit_drop,
};
