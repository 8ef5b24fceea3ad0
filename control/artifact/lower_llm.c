/*
 * Why: the routes of an LlmProvider, and of an LlmProxy, whose requests go on to its provider. A proxy's requests meet
 * what they would meet if they were sent to the provider's own address, without being sent: first all of the proxy,
 * then all of the provider. See lower_parts.h. Thread: any one at a time.
 *
 * What applies to a request depends on which patterns match its path. The set of patterns is closed under what they
 * have in common, so that the closest one of a request knows all that apply.
 */
#include "control/artifact/lower_parts.h"

static const struct rg_str methods[] = {{"GET", 3},    {"POST", 4},    {"PUT", 3}, {"PATCH", 5},
                                        {"DELETE", 6}, {"OPTIONS", 7}, {"HEAD", 4}};
#define N_METHODS (sizeof(methods) / sizeof(*methods)) /* the last only where a list names it: GET serves HEAD */
#define N_LAYERS  2

/* A policy with one of the places where it applies. */
struct scoped {
    const struct rg_lower_policy *policy;
    const struct rg_spec_scope *scope;
};

/* A proxy is two layers, a provider one. */
struct layer {
    const struct rg_lower_source *source;
    struct rg_lower_chain global;
    struct scoped *scoped;
    size_t n_scoped;
    const struct rg_lower_policy *auth; /* last in it; NULL: none */
};

enum access { ACCESS_GRANTED, ACCESS_DENIED, ACCESS_UNKNOWN };

struct llm {
    struct rg_lower *l;
    struct layer layers[N_LAYERS];
    size_t n_layers;
    const struct rg_spec_llm *self;
    const struct rg_spec_llm *provider; /* the same for a provider */
    const struct rg_lower_source *provider_source;
    struct rg_str context;
    const struct rg_str *hosts;
    size_t n_hosts;
    uint32_t upstream;
    const struct rg_lower_policy *not_found; /* what a denied path answers */
    struct rg_patterns patterns;
    bool names_head; /* one of the lists of methods */
};

/* ---- Reading ---- */

static bool read_pattern(struct rg_lower *l, struct rg_str pattern, const char *path)
{
    enum rg_path_match how;
    return rg_lower_operation_path(l, pattern, false, path, &how);
}

static bool check_methods(struct llm *m, const struct rg_param_list *list, bool star, const char *path)
{
    const struct rg_str *items = list->items;
    struct rg_str ignored;
    bool good = true;
    for (size_t i = 0; i < list->n; i++) {
        good &= rg_lower_method(m->l, items[i], star, rg_lower_text(m->l, "%s[%zu]", path, i), &ignored);
        m->names_head |= rg_str_eq(items[i], RG_STR("HEAD"));
    }
    return good;
}

static void add_pattern(struct llm *m, struct rg_str pattern, const char *path)
{
    if (!rg_patterns_add(&m->patterns, pattern))
        rg_lower_refuse(m->l, path, "too many different paths", "at most 256 of an artifact and its provider", NULL);
}

static size_t count_scopes(const struct rg_param_list *policies)
{
    const struct rg_spec_scoped_policy *p = policies->items;
    size_t n = 0;
    for (size_t i = 0; i < policies->n; i++)
        n += p[i].scopes.n;
    return n;
}

/* path: of the policy; scope_path: of one of its places. */
static void add_scope(struct llm *m, struct layer *layer, const struct rg_spec_scoped_policy *p,
                      const struct rg_spec_scope *scope, const char *path, const char *scope_path)
{
    struct rg_lower *l = m->l;
    const char *at = rg_lower_text(l, "%s.path", scope_path);
    const struct rg_spec_policy one = {p->name, p->version, p->condition, scope->params};
    const struct rg_lower_policy *policy =
        rg_lower_policy(l, layer->source, &one, path, rg_lower_text(l, "%s.params", scope_path));
    bool good = read_pattern(l, scope->path, at);
    good &= check_methods(m, &scope->methods, true, rg_lower_text(l, "%s.methods", scope_path));
    if (!good || !policy)
        return;
    add_pattern(m, scope->path, at);
    layer->scoped[layer->n_scoped++] = (struct scoped){policy, scope};
}

static void add_scoped_policies(struct llm *m, struct layer *layer, const struct rg_param_list *policies,
                                const char *name)
{
    const struct rg_spec_scoped_policy *p = policies->items;
    for (size_t i = 0; i < policies->n; i++) {
        const struct rg_spec_scope *scopes = p[i].scopes.items;
        const char *path = rg_lower_text(m->l, "%s.%s[%zu]", layer->source->path, name, i);
        for (size_t j = 0; j < p[i].scopes.n; j++)
            add_scope(m, layer, &p[i], &scopes[j], path, rg_lower_text(m->l, "%s.paths[%zu]", path, j));
    }
}

static void add_layer(struct llm *m, const struct rg_lower_source *source, const struct rg_spec_auth *auth,
                      const char *auth_path)
{
    const struct rg_spec_llm *spec = &source->spec->llm;
    struct layer *layer = &m->layers[m->n_layers++];
    size_t n = count_scopes(&spec->operation_policies) + count_scopes(&spec->deprecated_policies);
    layer->source = source;
    layer->scoped = rg_lower_alloc(m->l, n, sizeof(*layer->scoped));
    if (!layer->scoped)
        return;
    rg_lower_chain_add_list(m->l, &layer->global, source, &spec->global_policies,
                            rg_lower_text(m->l, "%s.globalPolicies", source->path));
    add_scoped_policies(m, layer, &spec->deprecated_policies, "policies");
    add_scoped_policies(m, layer, &spec->operation_policies, "operationPolicies");
    layer->auth = rg_lower_auth(m->l, source, auth, rg_lower_text(m->l, "%s.%s", source->path, auth_path));
}

static void add_exceptions(struct llm *m)
{
    const struct rg_spec_exception *e = m->provider->exceptions.items;
    for (size_t i = 0; i < m->provider->exceptions.n; i++) {
        const char *path = rg_lower_text(m->l, "%s.accessControl.exceptions[%zu]", m->provider_source->path, i);
        const char *at = rg_lower_text(m->l, "%s.path", path);
        bool good = read_pattern(m->l, e[i].path, at);
        good &= check_methods(m, &e[i].methods, false, rg_lower_text(m->l, "%s.methods", path));
        if (good)
            add_pattern(m, e[i].path, at);
    }
}

/* ---- What applies to a pattern and a method ---- */

/* What holds for GET holds for HEAD. */
static bool has_method(const struct rg_param_list *list, struct rg_str method)
{
    const struct rg_str *items = list->items;
    bool is_head = rg_str_eq(method, RG_STR("HEAD"));
    for (size_t i = 0; i < list->n; i++)
        if (rg_str_eq(items[i], method) || rg_str_eq(items[i], RG_STR("*")) ||
            (is_head && rg_str_eq(items[i], RG_STR("GET"))))
            return true;
    return false;
}

static enum access access_to(const struct llm *m, struct rg_str pattern, struct rg_str method)
{
    const struct rg_spec_exception *e = m->provider->exceptions.items;
    bool is_exception = false;
    for (size_t i = 0; i < m->provider->exceptions.n && !is_exception; i++)
        is_exception = has_method(&e[i].methods, method) && rg_pattern_covers(e[i].path, pattern);
    if (m->provider->access_mode == RG_ACCESS_ALLOW_ALL)
        return is_exception ? ACCESS_DENIED : ACCESS_GRANTED;
    return is_exception ? ACCESS_GRANTED : ACCESS_UNKNOWN;
}

static void add_scoped_of(struct llm *m, const struct layer *layer, struct rg_str pattern, struct rg_str method,
                          struct rg_lower_chain *chain)
{
    for (size_t i = 0; i < layer->n_scoped; i++) {
        const struct scoped *s = &layer->scoped[i];
        if (has_method(&s->scope->methods, method) && rg_pattern_covers(s->scope->path, pattern))
            rg_lower_chain_add(m->l, chain, s->policy);
    }
}

/* The last layer is the provider's: what it does not grant it answers itself, or knows nothing of. */
static void add_layers(struct llm *m, struct rg_str pattern, struct rg_str method, enum access access,
                       struct rg_lower_chain *chain)
{
    for (size_t i = 0; i < m->n_layers; i++) {
        const struct layer *layer = &m->layers[i];
        bool is_last = i + 1 == m->n_layers;
        if (is_last && access == ACCESS_UNKNOWN)
            return;
        rg_lower_chain_add_all(m->l, chain, &layer->global);
        if (is_last && access == ACCESS_DENIED) {
            rg_lower_chain_add(m->l, chain, m->not_found);
            return;
        }
        add_scoped_of(m, layer, pattern, method, chain);
        if (layer->auth)
            rg_lower_chain_add(m->l, chain, layer->auth);
    }
}

static void add_route(struct llm *m, struct rg_str pattern, struct rg_str method)
{
    enum access access = access_to(m, pattern, method);
    enum rg_path_match how;
    struct rg_lower_chain chain = {0};
    const struct rg_lower_source *self = m->layers[0].source;
    if (access == ACCESS_UNKNOWN && m->n_layers == 1)
        return; /* the catch-all has it */
    if (!rg_lower_operation_path(m->l, pattern, false, self->path, &how))
        return;
    add_layers(m, pattern, method, access, &chain);
    struct rg_lower_times times = rg_lower_times(&m->self->resilience, &m->provider->resilience);
    struct rg_route_spec route = {
        .name = rg_str_of(rg_lower_text(m->l, "%s %.*s", method.ptr, (int)pattern.len, pattern.ptr)),
        .method = method,
        .path = rg_lower_join(m->l, m->context, pattern),
        .path_match = how,
        .upstream = access == ACCESS_GRANTED ? m->upstream : RG_UPSTREAM_NONE,
        .context_bytes = (uint32_t)m->context.len,
        .keep_host = m->provider->upstream.host_rewrite == RG_HOST_REWRITE_MANUAL,
        .response_head_ms = times.response_head_ms,
        .body_idle_ms = times.body_idle_ms,
    };
    rg_lower_route_add(m->l, &route, &chain, m->hosts, m->n_hosts, self->path);
}

/*
 * What nothing else of the artifact matches is 404 below its context. Where that would be everything on every host, it
 * is left to the replica.
 */
static void add_catch_all(struct llm *m)
{
    const struct rg_lower_chain none = {0};
    struct rg_route_spec route = {.name = RG_STR("* /*"),
                                  .method = RG_STR(""),
                                  .path = rg_lower_join(m->l, m->context, RG_STR("/*")),
                                  .path_match = RG_PATH_TEMPLATE,
                                  .upstream = RG_UPSTREAM_NONE};
    for (size_t i = 0; i < m->n_hosts; i++)
        if (m->context.len > 0 || m->hosts[i].len > 0)
            rg_lower_route_add(m->l, &route, &none, &m->hosts[i], 1, m->layers[0].source->path);
}

static void add_routes(struct llm *m)
{
    if (!rg_patterns_close(&m->patterns, m->l->arena)) {
        rg_lower_refuse(m->l, m->layers[0].source->path, "paths with too many overlaps",
                        "at most 256 different paths, with what they have in common", NULL);
        return;
    }
    for (size_t i = 0; i < m->patterns.n; i++)
        for (size_t j = 0; j < N_METHODS - !m->names_head; j++)
            add_route(m, m->patterns.items[i], methods[j]);
    add_catch_all(m);
}

/* ---- The two kinds ---- */

static const char *at(const struct llm *m, const struct rg_lower_source *source, const char *tail)
{
    return rg_lower_text(m->l, "%s.%s", source->path, tail);
}

/* One provider answers a proxy's requests; choosing among several is a policy that we don't have. */
static void check_proxy(struct llm *m, const struct rg_lower_source *self)
{
    const struct rg_spec_llm *spec = &self->spec->llm;
    if (spec->additional_providers.n > 0)
        rg_lower_refuse(m->l, at(m, self, "additionalProviders"), "more providers",
                        "one, under `provider`: choosing among several (llm-header-router) is not supported",
                        "deploy an LlmProxy for each");
    if (spec->provider.has_transformer)
        rg_lower_refuse(m->l, at(m, self, "provider.transformer"), "a transformer",
                        "none: translating between the APIs of LLMs is not supported", NULL);
}

static void read_place(struct llm *m, const struct rg_lower_source *self, const struct rg_lower_source *provider)
{
    const struct rg_spec_llm *spec = &self->spec->llm;
    m->context = rg_lower_context(m->l, spec->context, self->spec->version, at(m, self, "context"));
    m->hosts = rg_lower_hosts(m->l, spec->vhost, at(m, self, "vhost"), &m->n_hosts);
    m->upstream = rg_lower_upstream(m->l, provider, &m->provider->upstream, NULL, "main", at(m, provider, "upstream"));
    m->not_found = rg_lower_made_policy(m->l, provider, "respond",
                                        json_pack("{s:i,s:s,s:[{s:s,s:s}]}", "statusCode", 404, "body",
                                                  "{\"message\":\"Resource not found.\"}", "headers", "name",
                                                  "Content-Type", "value", "application/json"),
                                        at(m, provider, "accessControl"));
}

void rg_lower_llm(struct rg_lower *l, const struct rg_lower_source *self, const struct rg_lower_source *provider)
{
    bool is_proxy = self->spec->kind == RG_KIND_LLM_PROXY;
    const struct rg_lower_source *last = is_proxy ? provider : self;
    struct llm *m = rg_lower_alloc(l, 1, sizeof(*m));
    if (!m)
        return;
    m->l = l;
    m->self = &self->spec->llm;
    m->provider_source = last;
    m->provider = &last->spec->llm;
    read_place(m, self, last);
    if (is_proxy) {
        check_proxy(m, self);
        add_layer(m, self, &m->self->provider.auth, "provider.auth");
    }
    add_layer(m, last, &m->provider->upstream.auth, "upstream.auth");
    add_exceptions(m);
    if (is_proxy || m->provider->access_mode == RG_ACCESS_ALLOW_ALL)
        add_pattern(m, RG_STR("/*"), self->path);
    if (m->hosts && !l->failed && !l->no_memory)
        add_routes(m);
}
