/* host-rewrite: the upstream gets another Host. X-Forwarded-Host goes on saying what the client asked for. */
#include <errno.h>

#include "datapath/http/h1_authority.h"
#include "datapath/policy/kinds.h"
#include "datapath/policy/view.h"

struct params {
    struct rg_str host;
};

static const struct rg_param params_table[] = {{.name = "host",
                                                .type = RG_PARAM_STRING,
                                                .offset = offsetof(struct params, host),
                                                .required = true,
                                                .not_empty = true,
                                                .help = "Host for the upstream: a name or an address, with a port "
                                                        "or without."},
                                               {0}};

struct self {
    struct rg_str host;
};

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    const struct params *p = params;
    struct rg_authority authority;
    if (p->host.len > 255 || !rg_authority_parse(p->host, &authority))
        return rg_policy_refuse(m, "host", "'%.*s' is no host: wanted a name or an address, with :port or without",
                                (int)(p->host.len < 64 ? p->host.len : 64), p->host.ptr);
    return rg_arena_copy(m->arena, p->host, &((struct self *)self)->host) ? 0 : -ENOMEM;
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    (void)state;
    q->host = ((const struct self *)self)->host;
    q->host_is_set = true;
    return RG_POLICY_NEXT;
}

const struct rg_policy_kind rg_policy_host_rewrite = {
    .name = "host-rewrite",
    .version = "v1.0.1",
    .help = "Sets the Host that the upstream gets.",
    .params = params_table,
    .params_size = sizeof(struct params),
    .size = sizeof(struct self),
    .prepare = prepare,
    .request = request,
};
