/* Why: the routes of a RestApi: one for each operation, host and upstream. See lower_parts.h. Thread: any one at a
 * time. */
#include "control/artifact/lower_parts.h"

/* One side of an API: its hosts and where they lead to. */
struct side {
    const struct rg_spec_upstream *upstream;
    const struct rg_str *hosts;
    size_t n_hosts;
    uint32_t index;
    const struct rg_lower_policy *auth; /* NULL: none */
};

struct rest {
    struct rg_lower *l;
    const struct rg_lower_source *source;
    const struct rg_spec_rest *spec;
    struct rg_str context;
    struct rg_lower_chain api; /* policies of the whole API */
    struct side sides[2];      /* main, sandbox */
    size_t n_sides;
};

/* What an operation matches, from either form. */
struct matched {
    struct rg_str method, path;
    enum rg_path_match how;
    struct rg_header_spec *headers;
    size_t n_headers;
};

static const char *at(struct rest *r, const char *tail)
{
    return rg_lower_text(r->l, "%s.%s", r->source->path, tail);
}

static bool add_side(struct rest *r, const struct rg_spec_upstream *upstream, struct rg_str hosts, const char *name)
{
    struct side *s = &r->sides[r->n_sides];
    const char *path = rg_lower_text(r->l, "%s.upstream.%s", r->source->path, name);
    s->upstream = upstream;
    s->hosts = rg_lower_hosts(r->l, hosts, rg_lower_text(r->l, "%s.vhosts.%s", r->source->path, name), &s->n_hosts);
    s->index = rg_lower_upstream(r->l, r->source, upstream, &r->spec->definitions, name, path);
    s->auth = rg_lower_auth(r->l, r->source, &upstream->auth, rg_lower_text(r->l, "%s.auth", path));
    if (!s->hosts)
        return false;
    r->n_sides++;
    return true;
}

static bool is_any_host(struct rg_str hosts)
{
    return hosts.len == 0 || rg_str_eq(hosts, RG_STR("_gateway_default_")) || rg_str_eq(hosts, RG_STR("*"));
}

static void check_hosts_differ(struct rest *r)
{
    const struct side *main = &r->sides[0], *sandbox = &r->sides[1];
    for (size_t i = 0; i < main->n_hosts; i++)
        for (size_t j = 0; j < sandbox->n_hosts; j++)
            if (rg_str_eq(main->hosts[i], sandbox->hosts[j]))
                rg_lower_refuse_text(r->l, at(r, "vhosts.sandbox"), sandbox->hosts[j], "a host that main does not have",
                                     NULL);
}

static void add_sides(struct rest *r)
{
    const struct rg_spec_rest *spec = r->spec;
    bool main = add_side(r, &spec->main, spec->vhosts_main, "main");
    if (!spec->sandbox.given) {
        if (!is_any_host(spec->vhosts_sandbox))
            rg_lower_refuse(r->l, at(r, "upstream.sandbox"), "nothing", "an upstream for vhosts.sandbox", NULL);
        return;
    }
    if (is_any_host(spec->vhosts_sandbox)) {
        rg_lower_refuse(r->l, at(r, "vhosts.sandbox"), "no host of its own", "the host of the sandbox upstream",
                        "without it, no request would get there");
        return;
    }
    if (add_side(r, &spec->sandbox, spec->vhosts_sandbox, "sandbox") && main)
        check_hosts_differ(r);
}

/* ---- Operations ---- */

static void copy_headers(struct rest *r, const struct rg_param_list *list, struct matched *ret)
{
    const struct rg_spec_header *from = list->items;
    ret->headers = rg_lower_alloc(r->l, list->n, sizeof(*ret->headers));
    if (!ret->headers)
        return;
    ret->n_headers = list->n;
    for (size_t i = 0; i < list->n; i++)
        ret->headers[i] = (struct rg_header_spec){
            .name = from[i].name,
            .value = from[i].value,
            .match = from[i].type == RG_SPEC_HEADER_REGEX ? RG_HEADER_REGEX : RG_HEADER_EXACT,
        };
}

static bool match_of(struct rest *r, const struct rg_spec_operation *op, const char *path, struct matched *ret)
{
    const struct rg_spec_match *m = &op->match;
    const char *where = m->given ? rg_lower_text(r->l, "%s.match", path) : path;
    const char *method_path = rg_lower_text(r->l, "%s.method", where);
    const char *path_path = rg_lower_text(r->l, m->given ? "%s.path.value" : "%s.path", where);
    struct rg_str method = m->given && m->method.len == 0 ? RG_STR("*") : m->given ? m->method : op->method;
    *ret = (struct matched){.path = m->given ? m->path : op->path};
    if (m->given && (op->method.len > 0 || op->path.len > 0)) {
        rg_lower_refuse(r->l, path, "both `match` and `method` or `path`", "one form of them", NULL);
        return false;
    }
    if (!m->given && (method.len == 0 || ret->path.len == 0)) {
        rg_lower_refuse(r->l, path, method.len == 0 ? "no method" : "no path", "`method` and `path`, or `match`", NULL);
        return false;
    }
    bool good = rg_lower_method(r->l, method, true, method_path, &ret->method);
    good &=
        rg_lower_operation_path(r->l, ret->path, m->given && m->path_type == RG_SPEC_PATH_PREFIX, path_path, &ret->how);
    if (m->given)
        copy_headers(r, &m->headers, ret);
    return good;
}

/* "/" is the context itself, with a slash and without. */
static void add_paths(struct rest *r, struct rg_route_spec *route, const struct rg_lower_chain *chain,
                      const struct side *s, const char *path)
{
    rg_lower_route_add(r->l, route, chain, s->hosts, s->n_hosts, path);
    bool is_root = route->path.len == r->context.len + 1 && route->path_match == RG_PATH_EXACT;
    if (!is_root || r->context.len == 0)
        return;
    route->path = r->context;
    rg_lower_route_add(r->l, route, chain, s->hosts, s->n_hosts, path);
}

static void add_operation(struct rest *r, const struct rg_spec_operation *op, const char *path)
{
    struct matched m;
    struct rg_lower_chain own = {0};
    rg_lower_chain_add_list(r->l, &own, r->source, &op->policies, rg_lower_text(r->l, "%s.policies", path));
    if (!match_of(r, op, path, &m))
        return;
    if (op->match.given)
        path = rg_lower_text(r->l, "%s.match", path);
    struct rg_lower_times times = rg_lower_times(&op->resilience, &r->spec->resilience);
    bool is_whole = m.how == RG_PATH_PREFIX && m.path.len == 1;
    struct rg_str full = rg_lower_join(r->l, r->context, is_whole && r->context.len > 0 ? RG_STR("") : m.path);
    for (size_t i = 0; i < r->n_sides; i++) {
        const struct side *s = &r->sides[i];
        struct rg_lower_chain chain = {0};
        rg_lower_chain_add_all(r->l, &chain, &r->api);
        rg_lower_chain_add_all(r->l, &chain, &own);
        if (s->auth)
            rg_lower_chain_add(r->l, &chain, s->auth);
        struct rg_route_spec route = {
            .name = rg_str_of(
                rg_lower_text(r->l, "%s %.*s", m.method.len > 0 ? m.method.ptr : "*", (int)m.path.len, m.path.ptr)),
            .method = m.method,
            .path = full,
            .path_match = m.how,
            .headers = m.headers,
            .n_headers = m.n_headers,
            .upstream = s->index,
            .context_bytes = (uint32_t)r->context.len,
            .keep_host = s->upstream->host_rewrite == RG_HOST_REWRITE_MANUAL,
            .response_head_ms = times.response_head_ms,
            .body_idle_ms = times.body_idle_ms,
        };
        add_paths(r, &route, &chain, s, path);
    }
}

void rg_lower_rest(struct rg_lower *l, const struct rg_lower_source *self)
{
    const struct rg_spec_rest *spec = &self->spec->rest;
    const struct rg_spec_operation *ops = spec->operations.items;
    struct rest r = {.l = l, .source = self, .spec = spec};
    r.context = rg_lower_context(l, spec->context, self->spec->version, at(&r, "context"));
    if (spec->subscription_plans.n > 0)
        rg_lower_refuse(l, at(&r, "subscriptionPlans"), "plans", "none: subscription plans are not supported",
                        "their limits would not hold; use a policy such as basic-ratelimit");
    add_sides(&r);
    rg_lower_chain_add_list(l, &r.api, self, &spec->policies, at(&r, "policies"));
    for (size_t i = 0; i < spec->operations.n; i++)
        add_operation(&r, &ops[i], rg_lower_text(l, "%s.operations[%zu]", self->path, i));
}
