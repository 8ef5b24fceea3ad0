/* See sim_routes.h. */
#include "tests/sim/sim_routes.h"

static struct sim_routes *playing; /* of the script that runs */

struct rg_snapshot *sim_routes_of(const char *handle, uint64_t generation, const struct rg_route_spec *route)
{
    const struct rg_unit_spec spec = {.handle = rg_str_of(handle), .routes = route, .n_routes = 1};
    const struct rg_unit_place place = {.workers = 1};
    struct rg_route_conflict conflict;
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    struct rg_snapshot *s = NULL;
    RG_ASSERT(rg_unit_create(&unit, &spec, &place, &fault) == 0);
    RG_ASSERT(rg_snapshot_create(&s, &unit, 1, generation, 1, &conflict) == 0);
    rg_unit_unref(unit);
    return s;
}

static void before_step(struct rg_worker *w, unsigned step)
{
    struct sim_routes *r = playing;
    if (step == r->publish_at)
        rg_worker_publish_routes(w, r->next);
    if (!r->old || rg_worker_routes_generation(w) < rg_snapshot_generation(r->next))
        return;
    if (!rg_snapshot_is_unused(r->old)) {
        r->was_held = true;
        return;
    }
    rg_snapshot_destroy(r->old);
    r->old = NULL;
    r->was_retired = true;
}

struct sim_result sim_routes_play(struct sim_routes *routes, const struct sim_script *script,
                                  struct sim_choices *choices)
{
    struct sim_script s = *script;
    routes->was_held = routes->was_retired = false;
    playing = routes;
    s.routes = routes->old;
    s.before_step = before_step;
    struct sim_result r = sim_play(&s, choices);
    RG_ASSERT(!routes->old || rg_snapshot_is_unused(routes->old));
    RG_ASSERT(rg_snapshot_is_unused(routes->next));
    rg_snapshot_destroy(routes->old);
    rg_snapshot_destroy(routes->next);
    return r;
}
