/* Where deployed routes lead to: the gateway's table of endpoints, and who resolves their names. See gateway.h. */
#include "control/agent/gateway.h"

int rg_gateway_init_endpoints(struct rg_gateway *g)
{
    int r = rg_endpoints_create(&g->endpoints, g->n_workers);
    const struct rg_settings *s = rg_gateway_settings(g);
    if (r == 0)
        r = rg_resolver_create(&g->resolver, &g->loop, g->endpoints, NULL);
    if (r == 0 && s->admin_enabled)
        rg_resolver_forbid(g->resolver, &s->admin);
    return r;
}

void rg_gateway_tick_endpoints(struct rg_gateway *g)
{
    rg_endpoints_tick(g->endpoints, rg_now_ms());
}

void rg_gateway_fini_endpoints(struct rg_gateway *g)
{
    rg_resolver_destroy(g->resolver);
    rg_endpoints_destroy(g->endpoints);
}
