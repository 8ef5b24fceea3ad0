/*
 * basic-ratelimit: so many requests in a time. Of a whole API, the policy is one for all its routes, which share the
 * allowance; of an operation, it is that operation's own.
 */
#include <stdio.h>

#include "datapath/policy/kinds.h"
#include "datapath/policy/ratelimit.h"

struct limit {
    int64_t requests;
    uint64_t duration;
};
struct params {
    struct rg_param_list limits;
    int32_t algorithm;
};

static const struct rg_param limit_params[] = {
    RG_RATELIMIT_ROW_COUNT("requests", struct limit, requests, 1, true, "So many are allowed, also at once,"),
    RG_RATELIMIT_ROW_DURATION(struct limit),
    {0},
};

static const struct rg_param params_table[] = {
    RG_RATELIMIT_ROW_LIMITS(struct params, struct limit, limit_params),
    RG_RATELIMIT_ROW_ALGORITHM(struct params),
    {0},
};

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct rg_ratelimit *rl = self;
    const struct params *p = params;
    const struct limit *limits = p->limits.items;
    enum rg_limit_algorithm algorithm = (enum rg_limit_algorithm)p->algorithm;
    int rc = rg_ratelimit_init(rl, m, 1);
    for (size_t i = 0; rc == 0 && i < p->limits.n; i++) {
        char path[80];
        snprintf(path, sizeof path, "limits[%zu]", i);
        rc = rg_ratelimit_add_limit(&rl->quotas[0], m, path, algorithm, (uint64_t)limits[i].requests,
                                    limits[i].duration, 0);
    }
    return rc == 0 ? rg_ratelimit_make_tables(rl, m) : rc;
}

const struct rg_policy_kind rg_policy_basic_ratelimit = {
    .name = "basic-ratelimit",
    .version = "v1.1.1",
    .help = "Limits how many requests are served in a time, all clients together.",
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
