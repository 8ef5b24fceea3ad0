/* Between the gateway and its agent: routes go one way, the news that they are live the other. Thread: the control
 * thread. */
#include "control/gateway/gateway.h"

static int publish(void *owner, struct rg_unit *const *units, size_t n, uint64_t *generation,
                   struct rg_route_conflict *conflict)
{
    return rg_gateway_publish_routes(owner, units, n, generation, conflict);
}

static int32_t late_worker(void *owner, uint64_t generation)
{
    return rg_gateway_late_worker(owner, generation);
}

static void routes_live(void *arg, uint64_t generation)
{
    (void)generation;
    rg_agent_live(arg);
}

int rg_gateway_load_agent(struct rg_gateway *g)
{
    const struct rg_settings *s = rg_gateway_settings(g);
    struct rg_agent_init init = {
        .settings = &s->control,
        .loop = &g->loop,
        .metrics = &g->metrics.agent,
        .place = {.workers = g->n_workers, .endpoints = g->endpoints},
        .admin = s->admin_enabled ? &s->admin : NULL,
        .outlet = {publish, late_worker, g},
    };
    if (!s->control.url[0])
        return 0;
    int r = rg_agent_create(&g->agent, &init);
    if (r < 0)
        return r;
    g->routes.on_live = routes_live;
    g->routes.arg = g->agent;
    return 0;
}

void rg_gateway_start_agent(struct rg_gateway *g)
{
    if (g->agent)
        rg_agent_start(g->agent);
}
