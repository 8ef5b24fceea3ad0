/*
 * Why: the last steps from an artifact to a unit: its policies are made, each once, and the routes get their chains.
 * See compile.h for owner and thread; compile_lower.c for the steps before.
 */
#include "control/agent/compile_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/policy/chain.h"
#include "datapath/route/unit.h"

struct made {
    struct rg_policy **policies;     /* by the index of the attachment; one reference each */
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

static int make_policy(struct rg_compile *c, const struct rg_lower_policy *p, struct rg_policy **ret)
{
    const struct rg_compile_rendered *of = p->source->index == 0 ? &c->self : &c->provider;
    const struct rg_compile_context *context = c->context;
    struct rg_policy_problem problem = {0};
    const struct rg_policy_place place = {
        .kind = rg_str_of(rg_artifact_kind_name(of->spec.kind)),
        .handle = of->spec.handle,
        .version = of->spec.version,
        .keys = context->keys ? context->keys(context->owner, of->artifact) : NULL,
    };
    const struct rg_policy_kind *kind = rg_policy_find(p->name, p->version, &problem);
    if (!kind) {
        policy_problem(c, p, &problem);
        return -EINVAL;
    }
    void *params = rg_arena_alloc(&c->arena, kind->params_size);
    if (!params)
        return -ENOMEM;
    const struct rg_params_source source = {.value = p->params, .path = p->params_path, .written = p->source->written};
    int rc = rg_params_decode(kind->params, &source, &c->arena, params, &c->problems);
    if (rc < 0)
        return rc;
    rc = rg_policy_create(ret, kind, params, p->condition, &place, &problem);
    if (rc == -EINVAL)
        policy_problem(c, p, &problem);
    return rc;
}

/* Every policy that some route has, so that all problems are told. */
static int make_policies(struct rg_compile *c, struct made *m)
{
    const struct rg_lower *l = &c->lower;
    int ret = 0;
    m->policies = calloc(l->n_policies + 1, sizeof(struct rg_policy *));
    bool *seen = rg_arena_array(&c->arena, l->n_policies, sizeof(*seen));
    if (!m->policies || !seen)
        return -ENOMEM;
    for (size_t i = 0; i < l->n_routes; i++) {
        const struct rg_lower_route *part = &l->route_parts[i];
        for (size_t j = 0; j < part->n_policies; j++) {
            const struct rg_lower_policy *p = part->policies[j];
            if (seen[p->index])
                continue;
            seen[p->index] = true;
            int rc = make_policy(c, p, &m->policies[p->index]);
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

static void unit_problem(struct rg_compile *c, const struct rg_unit_fault *fault)
{
    const struct rg_lower *l = &c->lower;
    char path[RG_PROBLEM_PATH_MAX];
    const char *at = fault->route < l->n_routes ? l->route_parts[fault->route].path : c->self.source.path;
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
    int rc = rg_compile_lower(&c, artifact);
    if (rc == 0)
        rc = make_policies(&c, &m);
    if (rc == 0)
        rc = make_chains(&c, &m);
    if (rc == 0)
        rc = make_unit(&c, &m, ret);
    rg_compile_show(&c, why);
    made_fini(&c, &m);
    rg_compile_fini(&c);
    return rc;
}
