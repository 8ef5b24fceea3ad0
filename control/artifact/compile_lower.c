/*
 * Why: from an artifact to routes: its templates are rendered, its provider is found, and both are lowered. And what of
 * the problems may be shown. See compile_parts.h for owner and thread.
 */
#include "control/artifact/compile_parts.h"

#include <errno.h>
#include <stdlib.h>

/* ---- Rendering ---- */

static bool env_of_process(void *owner, struct rg_str name, struct rg_str *ret)
{
    char z[256];
    (void)owner;
    if (name.len >= sizeof(z))
        return false;
    memcpy(z, name.ptr, name.len);
    z[name.len] = '\0';
    const char *value = getenv(z);
    if (value)
        *ret = rg_str_of(value);
    return value != NULL;
}

static int render(struct rg_compile *c, struct rg_compile_rendered *r, const struct rg_artifact *artifact,
                  const char *path)
{
    const struct rg_compile_context *context = c->context;
    const struct rg_template_source source = {
        .secret = context->secret, .env = context->env ? context->env : env_of_process, .owner = context->owner};
    r->artifact = artifact;
    r->source = (struct rg_lower_source){&r->spec, artifact->doc.written, path, r == &c->provider};
    if (!artifact->found.any) {
        r->spec = artifact->spec;
        return 0;
    }
    c->shown_from = c->problems.errors.count;
    int rc = rg_template_render(artifact->spec_json, path, &source, &r->arena, &r->json, &r->found, &c->problems);
    c->shown_to = c->problems.errors.count;
    if (rc < 0)
        return rc;
    r->spec.handle = artifact->info.handle;
    return rg_spec_decode(&r->spec, artifact->info.kind, r->json, artifact->doc.written, path, &r->arena, &c->problems);
}

static void rendered_fini(struct rg_compile_rendered *r)
{
    json_decref(r->json);
    rg_arena_fini(&r->arena);
}

static int find_provider(struct rg_compile *c)
{
    struct rg_str id = c->self.spec.llm.provider.id;
    const struct rg_artifact *provider = NULL;
    char got[300], path[320];
    if (c->context->find)
        provider = c->context->find(c->context->owner, RG_KIND_LLM_PROVIDER, id);
    if (!provider) {
        rg_conf_quote(id, got, sizeof(got));
        rg_problems_add(&c->problems, "spec.provider.id", got, "an LlmProvider that is deployed on this gateway",
                        "deploy it first");
        return -EINVAL;
    }
    snprintf(path, sizeof(path), "LlmProvider %.*s: spec", (int)id.len, id.ptr);
    struct rg_str copy;
    if (!rg_arena_copy(&c->arena, rg_str_of(path), &copy))
        return -ENOMEM;
    int rc = render(c, &c->provider, provider, copy.ptr);
    if (rc == 0 && c->provider.spec.state == RG_STATE_UNDEPLOYED) {
        rg_conf_quote(id, got, sizeof(got));
        rg_problems_add(&c->problems, "spec.provider.id", got, "an LlmProvider whose deploymentState is `deployed`",
                        NULL);
        return -EINVAL;
    }
    return rc;
}

/* ---- What may be shown ---- */

/* One stands at the other's place, or below it. */
static bool is_within(struct rg_str a, struct rg_str b)
{
    struct rg_str shorter = a.len < b.len ? a : b, longer = a.len < b.len ? b : a;
    if (shorter.len == 0 || memcmp(shorter.ptr, longer.ptr, shorter.len) != 0)
        return false;
    char next = longer.len > shorter.len ? longer.ptr[shorter.len] : '.';
    return next == '.' || next == '[';
}

static bool is_hidden(const struct rg_compile_rendered *r, struct rg_str path)
{
    for (const struct rg_template_name *n = r->found.hidden; n; n = n->next)
        if (is_within(path, n->text) && !rg_str_eq(path, rg_str_of(r->source.path)))
            return true;
    return false;
}

void rg_compile_show(const struct rg_compile *c, struct rg_problems *why)
{
    struct rg_str path, text;
    for (size_t i = 0; rg_problems_get(&c->problems, i, &path, &text); i++) {
        bool is_of_rendering = i >= c->shown_from && i < c->shown_to;
        if (!is_of_rendering && (is_hidden(&c->self, path) || is_hidden(&c->provider, path)))
            text = RG_STR("what stands here is not valid; it is not shown, because a template function made it");
        rg_problems_say(why, path, text);
    }
    why->errors.more += c->problems.errors.more;
}

/* ---- The parts of a compilation ---- */

void rg_compile_init(struct rg_compile *c, const struct rg_compile_context *context)
{
    *c = (struct rg_compile){.context = context};
    rg_problems_init(&c->problems);
    rg_lower_init(&c->lower, &c->arena, &c->problems);
    c->lower.forbidden = context->forbidden;
    c->lower.n_forbidden = context->n_forbidden;
}

int rg_compile_lower(struct rg_compile *c, const struct rg_artifact *artifact)
{
    int rc = render(c, &c->self, artifact, "spec");
    if (rc < 0)
        return rc;
    bool has_provider = c->self.spec.kind == RG_KIND_LLM_PROXY && c->self.spec.state == RG_STATE_DEPLOYED;
    rc = has_provider ? find_provider(c) : 0;
    if (rc < 0)
        return rc;
    return rg_lower_artifact(&c->lower, &c->self.source, has_provider ? &c->provider.source : NULL);
}

void rg_compile_fini(struct rg_compile *c)
{
    rg_lower_fini(&c->lower);
    rendered_fini(&c->self);
    rendered_fini(&c->provider);
    rg_arena_fini(&c->arena);
    rg_problems_fini(&c->problems);
}
