/* Why: what the lowering of all kinds has in common. See lower.h for owner and thread. */
#include "control/artifact/lower_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/base/ascii.h"
#include "datapath/policy/chain.h"

#define FOREVER_MS (24u * 3600 * 1000) /* what a time-out of 0 means in definitions: none */

void rg_lower_init(struct rg_lower *l, struct rg_arena *arena, struct rg_problems *why)
{
    *l = (struct rg_lower){.arena = arena, .why = why, .made = json_array()};
    l->no_memory = !l->made;
}

void rg_lower_fini(struct rg_lower *l)
{
    json_decref(l->made);
    l->made = NULL;
}

/* ---- Problems, memory ---- */

void rg_lower_refuse(struct rg_lower *l, const char *path, const char *got, const char *wanted, const char *remedy)
{
    l->failed = true;
    rg_problems_add(l->why, path, got, wanted, remedy);
}

void rg_lower_refuse_text(struct rg_lower *l, const char *path, struct rg_str got, const char *wanted,
                          const char *remedy)
{
    char quoted[320];
    rg_conf_quote(got, quoted, sizeof(quoted));
    rg_lower_refuse(l, path, quoted, wanted, remedy);
}

void *rg_lower_alloc(struct rg_lower *l, size_t n, size_t size)
{
    void *p = rg_arena_array(l->arena, n, size);
    l->no_memory |= !p;
    return p;
}

const char *rg_lower_text(struct rg_lower *l, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    struct rg_str copy = RG_STR("");
    if (n < 0 || !rg_arena_copy(l->arena, (struct rg_str){text, (size_t)n}, &copy)) {
        l->no_memory = true;
        copy = RG_STR("");
    }
    free(n < 0 ? NULL : text);
    return copy.ptr;
}

/* Room for one more in an array of the arena; the old one stays behind, which doubling bounds. */
static void *room_for_one(struct rg_lower *l, void *items, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return items;
    size_t wanted = *room ? *room * 2 : 16;
    void *bigger = rg_lower_alloc(l, wanted, size);
    if (!bigger)
        return NULL;
    if (n > 0)
        memcpy(bigger, items, n * size);
    *room = wanted;
    return bigger;
}

/* ---- Policies ---- */

void rg_lower_chain_add(struct rg_lower *l, struct rg_lower_chain *chain, const struct rg_lower_policy *policy)
{
    if (!policy || chain->n > RG_POLICY_CHAIN_MAX)
        return;
    if (chain->n == RG_POLICY_CHAIN_MAX && !l->failed)
        rg_lower_refuse(l, policy->path, "one more policy on a route", "at most 64", NULL);
    const struct rg_lower_policy **items =
        room_for_one(l, (void *)chain->items, chain->n, &chain->room, sizeof(*chain->items));
    if (!items)
        return;
    chain->items = items;
    chain->items[chain->n++] = policy;
}

void rg_lower_chain_add_all(struct rg_lower *l, struct rg_lower_chain *chain, const struct rg_lower_chain *more)
{
    for (size_t i = 0; i < more->n; i++)
        rg_lower_chain_add(l, chain, more->items[i]);
}

static struct rg_lower_policy *new_policy(struct rg_lower *l, const struct rg_lower_source *source, struct rg_str name,
                                          const json_t *params, const char *path, const char *params_path)
{
    struct rg_lower_policy *p = rg_lower_alloc(l, 1, sizeof(*p));
    if (!p)
        return NULL;
    *p = (struct rg_lower_policy){.source = source,
                                  .name = name,
                                  .version = RG_STR(""),
                                  .condition = RG_STR(""),
                                  .params = params,
                                  .path = path,
                                  .params_path = params_path,
                                  .index = l->n_policies++,
                                  .is_cors = rg_str_eq(name, RG_STR("cors"))};
    *(l->last_policy ? &l->last_policy->next : &l->policies) = p;
    l->last_policy = p;
    return p;
}

const struct rg_lower_policy *rg_lower_policy(struct rg_lower *l, const struct rg_lower_source *source,
                                              const struct rg_spec_policy *policy, const char *path,
                                              const char *params_path)
{
    struct rg_lower_policy *p = new_policy(l, source, policy->name, policy->params, path, params_path);
    if (!p)
        return NULL;
    p->version = policy->version;
    p->condition = policy->condition;
    return p;
}

void rg_lower_chain_add_list(struct rg_lower *l, struct rg_lower_chain *chain, const struct rg_lower_source *source,
                             const struct rg_param_list *policies, const char *path)
{
    const struct rg_spec_policy *items = policies->items;
    for (size_t i = 0; i < policies->n; i++) {
        const char *at = rg_lower_text(l, "%s[%zu]", path, i);
        rg_lower_chain_add(l, chain, rg_lower_policy(l, source, &items[i], at, rg_lower_text(l, "%s.params", at)));
    }
}

const struct rg_lower_policy *rg_lower_made_policy(struct rg_lower *l, const struct rg_lower_source *source,
                                                   const char *name, json_t *params, const char *path)
{
    if (!params || json_array_append_new(l->made, params) < 0) {
        l->no_memory = true;
        return NULL;
    }
    return new_policy(l, source, rg_str_of(name), params, path, path);
}

const struct rg_lower_policy *rg_lower_auth(struct rg_lower *l, const struct rg_lower_source *source,
                                            const struct rg_spec_auth *auth, const char *path)
{
    if (!auth->given || auth->type == RG_AUTH_NONE)
        return NULL;
    if (auth->header.len == 0 || auth->value.len == 0) {
        rg_lower_refuse(l, path, auth->header.len == 0 ? "no header" : "no value", "a header and its value",
                        "give both, or type: none");
        return NULL;
    }
    json_t *params = json_pack("{s:{s:[{s:s%,s:s%}]}}", "request", "headers", "name", auth->header.ptr,
                               auth->header.len, "value", auth->value.ptr, auth->value.len);
    return rg_lower_made_policy(l, source, "set-headers", params, path);
}

/* ---- Routes ---- */

static uint32_t milliseconds(uint64_t us)
{
    uint64_t ms = (us + 999) / 1000;
    return us == 0 || ms > FOREVER_MS ? FOREVER_MS : (uint32_t)ms;
}

struct rg_lower_times rg_lower_times(const struct rg_spec_resilience *inner, const struct rg_spec_resilience *outer)
{
    const struct rg_spec_resilience *head = inner && inner->has_timeout ? inner : outer;
    const struct rg_spec_resilience *idle = inner && inner->has_idle ? inner : outer;
    return (struct rg_lower_times){
        .response_head_ms = head->has_timeout ? milliseconds(head->timeout_us) : 0,
        .body_idle_ms = idle->has_idle ? milliseconds(idle->idle_us) : 0,
    };
}

static bool make_room_for_route(struct rg_lower *l, const char *path)
{
    size_t room = l->room_routes;
    if (l->n_routes == RG_LOWER_ROUTES_MAX) {
        if (!l->failed)
            rg_lower_refuse(l, path, "more than 50000 routes", "fewer operations, or fewer hosts", NULL);
        return false;
    }
    struct rg_route_spec *routes = room_for_one(l, l->routes, l->n_routes, &l->room_routes, sizeof(*routes));
    struct rg_lower_route *parts = room_for_one(l, l->route_parts, l->n_routes, &room, sizeof(*parts));
    if (!routes || !parts)
        return false;
    l->routes = routes;
    l->route_parts = parts;
    return true;
}

void rg_lower_route_add(struct rg_lower *l, const struct rg_route_spec *route, const struct rg_lower_chain *chain,
                        const struct rg_str *hosts, size_t n_hosts, const char *path)
{
    for (size_t i = 0; i < n_hosts; i++) {
        if (!make_room_for_route(l, path))
            return;
        l->routes[l->n_routes] = *route;
        l->routes[l->n_routes].host = hosts[i];
        l->route_parts[l->n_routes++] =
            (struct rg_lower_route){.policies = chain->items, .n_policies = chain->n, .path = path};
    }
}

/* ---- Preflights ---- */

static int compare_str(struct rg_str a, struct rg_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static bool is_same_place(const struct rg_route_spec *a, const struct rg_route_spec *b)
{
    return a->path_match == b->path_match && rg_str_eq(a->host, b->host) && rg_str_eq(a->path, b->path);
}

static int compare_places(const void *va, const void *vb, void *routes)
{
    const struct rg_route_spec *all = routes, *a = &all[*(const size_t *)va], *b = &all[*(const size_t *)vb];
    int order = compare_str(a->path, b->path);
    if (order == 0)
        order = compare_str(a->host, b->host);
    return order != 0 ? order : (int)a->path_match - (int)b->path_match;
}

static bool takes_options(const struct rg_route_spec *route)
{
    return route->method.len == 0 || rg_str_eq(route->method, RG_STR("OPTIONS"));
}

/* Where a cors policy passes preflights on, they have to get somewhere. */
static void preflight_chain(struct rg_lower *l, const struct rg_lower_route *part, struct rg_lower_chain *ret,
                            bool *forwards)
{
    for (size_t i = 0; i < part->n_policies; i++) {
        const struct rg_lower_policy *p = part->policies[i];
        if (!p->is_cors)
            continue;
        rg_lower_chain_add(l, ret, p);
        *forwards |= json_is_true(json_object_get(p->params, "forwardPreflight"));
    }
}

/* One place: the routes at[0..n) of it. */
static void add_preflight(struct rg_lower *l, const size_t *at, size_t n)
{
    struct rg_lower_chain chain = {0};
    bool forwards = false;
    size_t first = 0;
    for (size_t i = n; i-- > 0;) {
        struct rg_lower_chain mine = {0};
        if (takes_options(&l->routes[at[i]]))
            return;
        preflight_chain(l, &l->route_parts[at[i]], &mine, &forwards);
        if (mine.n > 0) {
            chain = mine;
            first = at[i];
        }
    }
    if (chain.n == 0)
        return;
    struct rg_route_spec route = l->routes[first];
    const char *path = l->route_parts[first].path;
    struct rg_str host = route.host;
    route.method = RG_STR("OPTIONS");
    route.name =
        rg_str_of(rg_lower_text(l, "OPTIONS%.*s", (int)route.name.len,
                                memchr(route.name.ptr, ' ', route.name.len) ? strchr(route.name.ptr, ' ') : ""));
    route.headers = NULL;
    route.n_headers = 0;
    if (!forwards)
        route.upstream = RG_UPSTREAM_NONE;
    rg_lower_route_add(l, &route, &chain, &host, 1, path);
}

static bool has_cors(const struct rg_lower *l)
{
    for (size_t i = 0; i < l->n_routes; i++)
        for (size_t j = 0; j < l->route_parts[i].n_policies; j++)
            if (l->route_parts[i].policies[j]->is_cors)
                return true;
    return false;
}

/* Browsers ask by OPTIONS, without credentials, before they send what cors guards: routes for those that have none. */
static void add_preflights(struct rg_lower *l)
{
    size_t n = l->n_routes;
    if (!has_cors(l))
        return;
    size_t *order = rg_lower_alloc(l, n, sizeof(*order));
    if (!order)
        return;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, n, sizeof(*order), compare_places, l->routes);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && is_same_place(&l->routes[order[from]], &l->routes[order[to]]); to++)
            ;
        add_preflight(l, order + from, to - from);
    }
}

/* ---- All of it ---- */

/* v1, 1.0, v1.2.3 */
static bool is_version(struct rg_str text)
{
    size_t dots = 0, digits = 0;
    for (size_t i = text.len > 0 && text.ptr[0] == 'v'; i < text.len; i++) {
        bool is_digit = rg_is_digit(text.ptr[i]);
        if (!is_digit && (text.ptr[i] != '.' || digits == 0 || ++dots > 2))
            return false;
        digits = is_digit ? digits + 1 : 0;
    }
    return digits > 0;
}

int rg_lower_artifact(struct rg_lower *l, const struct rg_lower_source *self, const struct rg_lower_source *provider)
{
    if (self->spec->state == RG_STATE_UNDEPLOYED)
        return l->no_memory ? -ENOMEM : 0;
    if (!is_version(self->spec->version))
        rg_lower_refuse_text(l, rg_lower_text(l, "%s.version", self->path), self->spec->version,
                             "a version such as v1.0", NULL);
    if (self->spec->kind == RG_KIND_REST_API)
        rg_lower_rest(l, self);
    else
        rg_lower_llm(l, self, provider);
    add_preflights(l);
    if (l->no_memory)
        return -ENOMEM;
    return l->failed ? -EINVAL : 0;
}

void rg_lower_unit(const struct rg_lower *l, const struct rg_spec *spec, struct rg_unit_spec *ret)
{
    *ret = (struct rg_unit_spec){.kind = rg_str_of(rg_kind_info(spec->kind)->name),
                                 .handle = spec->handle,
                                 .version = spec->version,
                                 .upstreams = l->upstreams,
                                 .n_upstreams = l->n_upstreams,
                                 .routes = l->routes,
                                 .n_routes = l->n_routes};
}
