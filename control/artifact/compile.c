/*
 * Why: the last steps from an artifact to a unit: its policies are made, each once, and the routes get their chains.
 * See compile.h for owner and thread; compile_lower.c for the steps before.
 */
#include "control/artifact/compile_kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/policy/chain.h"
#include "datapath/route/unit.h"

/* Of all rate limits of an artifact: 1 GiB, where clients fill them. A limit by client has 65,536. */
#define COUNTERS_MAX (UINT64_C(1000) * 65536)

struct made {
    struct rg_policy **policies;       /* by the index of the attachment; one reference each */
    struct rg_artifact_policy_id *ids; /* beside them, of those that count */
    struct rg_kept kept;
    uint64_t counters;
    struct rg_policy_chain **chains; /* by route, until the unit has them */
};

/* ---- Policies ---- */

/* What is below "params" may stand elsewhere than the name; of a policy that no definition names, nothing stands. */
static void policy_problem(struct rg_compile *c, const struct rg_lower_policy *p,
                           const struct rg_policy_problem *problem)
{
    char path[RG_PROBLEM_PATH_MAX];
    if (p->path == p->params_path || !*problem->path)
        snprintf(path, sizeof(path), "%s", p->path);
    else if (strncmp(problem->path, "params", 6) == 0)
        snprintf(path, sizeof(path), "%s%s", p->params_path, problem->path + 6);
    else
        snprintf(path, sizeof(path), "%s.%s", p->path, problem->path);
    rg_problems_say(&c->problems, rg_str_of(path), rg_str_of(problem->text));
}

/* ".globalPolicies[0].params": the same for a provider and for its proxies. */
static const char *place_of(const struct rg_lower_policy *p)
{
    return p->params_path + strlen(p->source->path);
}

/* What a provider's own unit has. NULL: it has not been compiled, or has no such policy. */
static struct rg_policy *policy_of_provider(const struct rg_compile *c, const struct rg_lower_policy *p)
{
    if (p->source->index == 0)
        return NULL;
    for (const struct rg_artifact_policy *known = c->provider.artifact->policies; known; known = known->next)
        if (strcmp(known->place, place_of(p)) == 0)
            return rg_policy_ref(known->policy);
    return NULL;
}

/* 1: that of the deployment before. 0: there is none. */
static int take_kept(const struct rg_compile *c, struct made *m, const struct rg_lower_policy *p,
                     const struct rg_policy_kind *kind, const struct rg_route_spec *route, struct rg_policy **ret)
{
    if (p->source->index != 0 || !kind->counts)
        return 0;
    if (!rg_kept_identify(&c->self, p, kind, route, &m->ids[p->index]))
        return -ENOMEM;
    *ret = rg_kept_take(&m->kept, &m->ids[p->index]);
    return *ret != NULL;
}

/* Those that go on from the deployment before count, too. */
static int charge(struct rg_compile *c, struct made *m, const struct rg_lower_policy *p)
{
    struct rg_policy_problem problem = {0};
    m->counters += rg_policy_counters(m->policies[p->index]);
    if (m->counters <= COUNTERS_MAX)
        return 0;
    snprintf(problem.text, sizeof(problem.text),
             "with it the rate limits of this definition are too many: wanted 1000 by client at most; limit the whole "
             "API, or fewer operations");
    policy_problem(c, p, &problem);
    return -EINVAL;
}

/* route: the first that has it; NULL: no unit will be made, and nothing of the one before is kept. */
static int make_policy(struct rg_compile *c, struct made *m, const struct rg_lower_policy *p,
                       const struct rg_route_spec *route)
{
    struct rg_policy **ret = &m->policies[p->index];
    const struct rg_compile_rendered *of = p->source->index == 0 ? &c->self : &c->provider;
    const struct rg_compile_context *context = c->context;
    struct rg_policy_problem problem = {0};
    const struct rg_policy_place place = {
        .kind = rg_str_of(rg_kind_info(of->spec.kind)->name),
        .handle = of->spec.handle,
        .version = of->spec.version,
        .keys = context->keys ? context->keys(context->owner, of->artifact) : NULL,
    };
    if (m->counters > COUNTERS_MAX)
        return -EINVAL; /* that has been said: no more are made */
    *ret = policy_of_provider(c, p);
    if (*ret)
        return 0;
    const struct rg_policy_kind *kind = rg_policy_find(p->name, p->version, &problem);
    if (!kind) {
        policy_problem(c, p, &problem);
        return -EINVAL;
    }
    int rc = route ? take_kept(c, m, p, kind, route, ret) : 0;
    if (rc != 0)
        return rc < 0 ? rc : charge(c, m, p);
    void *params = rg_arena_alloc(&c->arena, kind->params_size);
    if (!params)
        return -ENOMEM;
    const struct rg_params_source source = {.value = p->params, .path = p->params_path, .written = p->source->written};
    rc = rg_params_decode(kind->params, &source, &c->arena, params, &c->problems);
    if (rc < 0)
        return rc;
    rc = rg_policy_create(ret, kind, params, p->condition, &place, &problem);
    if (rc == -EINVAL)
        policy_problem(c, p, &problem);
    return rc == 0 ? charge(c, m, p) : rc;
}

static bool make_room(struct rg_compile *c, struct made *m)
{
    size_t n = c->lower.n_policies;
    m->policies = calloc(n + 1, sizeof(struct rg_policy *));
    m->ids = rg_arena_array(&c->arena, n, sizeof(*m->ids));
    return m->policies && m->ids;
}

/* Where routes are wrong there are none, or not all: what is wrong with policies is told along with that. */
static int check_policies(struct rg_compile *c, struct made *m)
{
    int ret = make_room(c, m) ? 0 : -ENOMEM;
    for (const struct rg_lower_policy *p = c->lower.policies; p && ret != -ENOMEM; p = p->next)
        ret = make_policy(c, m, p, NULL);
    return ret;
}

/* Every policy that some route has, so that all problems are told. */
static int make_policies(struct rg_compile *c, struct made *m)
{
    const struct rg_lower *l = &c->lower;
    int ret = 0;
    bool *seen = rg_arena_array(&c->arena, l->n_policies, sizeof(*seen));
    if (!seen || !make_room(c, m))
        return -ENOMEM;
    for (size_t i = 0; i < l->n_routes; i++) {
        const struct rg_lower_route *part = &l->route_parts[i];
        for (size_t j = 0; j < part->n_policies; j++) {
            const struct rg_lower_policy *p = part->policies[j];
            if (seen[p->index])
                continue;
            seen[p->index] = true;
            int rc = make_policy(c, m, p, &l->routes[i]);
            if (rc == -ENOMEM)
                return rc;
            ret = rc < 0 ? rc : ret;
        }
    }
    return ret;
}

static int make_chain(struct rg_compile *c, const struct made *m, const struct rg_lower_route *part,
                      struct rg_policy_chain **ret)
{
    struct rg_policy_problem problem = {0};
    if (part->n_policies == 0)
        return 0;
    *ret = rg_policy_chain_create();
    if (!*ret)
        return -ENOMEM;
    for (size_t j = 0; j < part->n_policies; j++) {
        const struct rg_lower_policy *p = part->policies[j];
        int rc = rg_policy_chain_add(*ret, m->policies[p->index], &problem);
        if (rc == -EINVAL)
            policy_problem(c, p, &problem);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int make_chains(struct rg_compile *c, struct made *m)
{
    const struct rg_lower *l = &c->lower;
    m->chains = calloc(l->n_routes + 1, sizeof(struct rg_policy_chain *));
    if (!m->chains)
        return -ENOMEM;
    for (size_t i = 0; i < l->n_routes; i++) {
        int rc = make_chain(c, m, &l->route_parts[i], &m->chains[i]);
        if (rc < 0)
            return rc;
        l->routes[i].policies = m->chains[i];
    }
    return 0;
}

/* ---- The unit ---- */

/* "upstreams[1]...": 1 with `name` "upstreams[". false: the field is another one. */
static bool index_of(const char *field, const char *name, size_t limit, size_t *ret)
{
    size_t n = strlen(name);
    if (strncmp(field, name, n) != 0)
        return false;
    *ret = strtoul(field + n, NULL, 10);
    return *ret < limit;
}

/* What is wrong with a unit's upstream stands in a URL of the definition. false: it is about something else. */
static bool upstream_path(const struct rg_lower *l, const char *field, char *path, size_t size)
{
    size_t upstream, target;
    if (!index_of(field, "upstreams[", l->n_upstreams, &upstream))
        return false;
    const char *at = l->upstream_paths[upstream], *dot = strchr(field, '.');
    bool is_url = !strstr(at, ".upstreamDefinitions[");
    if (dot && !is_url && index_of(dot + 1, "targets[", l->upstreams[upstream].n_targets, &target))
        snprintf(path, size, "%s.upstreams[%zu].url", at, target);
    else
        snprintf(path, size, "%s", at);
    return true;
}

static void unit_problem(struct rg_compile *c, const struct rg_unit_fault *fault)
{
    const struct rg_lower *l = &c->lower;
    char path[RG_PROBLEM_PATH_MAX];
    const char *at = fault->route < l->n_routes ? l->route_parts[fault->route].path : c->self.source.path;
    if (!upstream_path(l, fault->field, path, sizeof(path)))
        snprintf(path, sizeof(path), "%s%s%s", at, *fault->field ? "." : "", fault->field);
    rg_problems_say(&c->problems, rg_str_of(path), rg_str_of(fault->text));
}

static int make_unit(struct rg_compile *c, const struct made *m, struct rg_unit **ret)
{
    struct rg_unit_spec spec;
    struct rg_unit_fault fault = {0};
    rg_lower_unit(&c->lower, &c->self.spec, &spec);
    int rc = rg_unit_create(ret, &spec, c->context->place, &fault);
    if (rc == -EINVAL)
        unit_problem(c, &fault);
    if (rc == 0)
        memset(m->chains, 0, c->lower.n_routes * sizeof(*m->chains)); /* the unit's now */
    return rc;
}

/* ---- For the next deployment, and for proxies of a provider ---- */

static bool remember_policy(const struct made *m, const struct rg_lower_policy *of, struct rg_artifact_policy ***end)
{
    struct rg_policy *policy = m->policies[of->index];
    size_t n = strlen(place_of(of)) + 1;
    struct rg_artifact_policy *p = malloc(sizeof(*p) + n);
    if (!p)
        return false;
    *p = (struct rg_artifact_policy){.policy = rg_policy_ref(policy),
                                     .counts = of->source->index == 0 && rg_policy_kind_of(policy)->counts};
    if (p->counts)
        p->id = m->ids[of->index];
    memcpy(p->place, place_of(of), n);
    **end = p;
    *end = &p->next;
    return true;
}

/* Kept beside the definition, which is otherwise immutable; who finds none makes its own. */
static void remember_policies(const struct rg_compile *c, const struct made *m)
{
    struct rg_artifact *a = (struct rg_artifact *)(uintptr_t)c->self.artifact;
    bool is_provider = a->info.kind == RG_KIND_LLM_PROVIDER;
    bool *seen = calloc(c->lower.n_policies + 1, sizeof(*seen));
    rg_artifact_policies_free(rg_artifact_take_policies(a));
    struct rg_artifact_policy **end = &a->policies;
    for (size_t i = 0; seen && i < c->lower.n_routes; i++) {
        const struct rg_lower_route *part = &c->lower.route_parts[i];
        for (size_t j = 0; j < part->n_policies; j++) {
            const struct rg_lower_policy *p = part->policies[j];
            bool is_own = p->source->index == 0;
            if (!seen[p->index] && is_own && (is_provider || rg_policy_kind_of(m->policies[p->index])->counts))
                seen[p->index] = remember_policy(m, p, &end);
        }
    }
    free(seen);
}

/* ---- All of it ---- */

static void made_fini(const struct rg_compile *c, struct made *m)
{
    for (size_t i = 0; m->chains && i < c->lower.n_routes; i++)
        rg_policy_chain_destroy(m->chains[i]);
    for (size_t i = 0; m->policies && i < c->lower.n_policies; i++)
        rg_policy_unref(m->policies[i]);
    free(m->chains);
    free(m->policies);
}

int rg_compile(const struct rg_artifact *artifact, const struct rg_compile_context *context, struct rg_unit **ret,
               struct rg_problems *why)
{
    struct rg_compile c;
    struct made m = {0};
    rg_compile_init(&c, context);
    rg_kept_init(&m.kept, context->before);
    int rc = rg_compile_lower(&c, artifact);
    if (rc == 0)
        rc = make_policies(&c, &m);
    else if (rc == -EINVAL && c.lower.failed && check_policies(&c, &m) == -ENOMEM)
        rc = -ENOMEM;
    if (rc == 0)
        rc = make_chains(&c, &m);
    if (rc == 0)
        rc = make_unit(&c, &m, ret);
    if (rc == 0)
        remember_policies(&c, &m);
    rg_compile_show(&c, why);
    made_fini(&c, &m);
    rg_compile_fini(&c);
    return rc;
}
