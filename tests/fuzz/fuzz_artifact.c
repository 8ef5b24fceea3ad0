/*
 * Definitions of artifacts from somebody else: YAML, tables, template functions, lowering, policies, units. Whatever
 * the bytes are, it is either refused with a reason or becomes routes that hold together; and what a template function
 * gave never stands in a reason.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/artifact/compile_parts.h"
#include "datapath/base/assert.h"
#include "datapath/endpoint.h"
#include "datapath/route/unit.h"

#define HIDDEN "hidden-7f3a"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool input_has_it; /* the fuzzer learns what it is compared with */

/* Proxies find this one, by whatever name. */
static const char provider_text[] =
    "apiVersion: gateway.api-platform.wso2.com/v1\n"
    "kind: LlmProvider\n"
    "metadata: {name: main}\n"
    "spec:\n"
    "  displayName: Main\n"
    "  version: v1.0\n"
    "  template: openai\n"
    "  upstream: {url: 'http://h/v1', auth: {header: a, value: '{{ secret \"s\" }}'}}\n"
    "  accessControl: {mode: deny_all, exceptions: [{path: '/{m}/chat', methods: [POST]}]}\n"
    "  operationPolicies: [{name: x, paths: [{path: /gpt/*, methods: ['*']}]}]\n";

static const struct rg_artifact *find(void *owner, enum rg_kind kind, struct rg_str handle)
{
    (void)handle;
    return kind == RG_KIND_LLM_PROVIDER ? owner : NULL;
}

static bool outside(void *owner, struct rg_str name, struct rg_str *ret)
{
    (void)owner;
    *ret = RG_STR(HIDDEN);
    return name.len % 3 != 0;
}

static void check_problems(const struct rg_problems *why, int rc)
{
    char *text = NULL;
    size_t len;
    RG_ASSERT((rc == -EINVAL) == rg_problems_any(why));
    FILE *out = open_memstream(&text, &len);
    RG_ASSERT(out);
    rg_problems_write(why, "\n", out);
    fclose(out);
    RG_ASSERT(input_has_it || !strstr(text, HIDDEN));
    free(text);
}

static void check_upstream(const struct rg_upstream_spec *u)
{
    uint64_t weights = 0;
    RG_ASSERT(u->n_targets > 0);
    RG_ASSERT(u->base_path.len == 0 || (u->base_path.ptr[0] == '/' && u->base_path.ptr[u->base_path.len - 1] != '/'));
    for (size_t i = 0; i < u->n_targets; i++) {
        RG_ASSERT(u->targets[i].host.len > 0 && u->targets[i].port > 0);
        weights += u->targets[i].weight;
    }
    RG_ASSERT(weights > 0);
}

static void check_route(const struct rg_lower *l, const struct rg_route_spec *r, const struct rg_lower_route *part)
{
    RG_ASSERT(r->path.len > 0 && r->path.ptr[0] == '/');
    RG_ASSERT(r->context_bytes <= r->path.len);
    RG_ASSERT(r->upstream < l->n_upstreams || r->upstream == RG_UPSTREAM_NONE);
    RG_ASSERT(r->name.len > 0 && part->path);
    for (size_t i = 0; i < r->host.len; i++)
        RG_ASSERT(r->host.ptr[i] == rg_lower(r->host.ptr[i]));
    for (size_t i = 0; i < part->n_policies; i++)
        RG_ASSERT(part->policies[i]->name.len > 0 && part->policies[i]->index < l->n_policies);
}

static void lower(const struct rg_artifact *artifact, struct rg_artifact *provider)
{
    const struct rg_compile_context context = {.find = find, .secret = outside, .env = outside, .owner = provider};
    struct rg_compile c;
    struct rg_problems why;
    rg_problems_init(&why);
    rg_compile_init(&c, &context);
    int rc = rg_compile_lower(&c, artifact);
    rg_compile_show(&c, &why);
    check_problems(&why, rc);
    for (size_t i = 0; rc == 0 && i < c.lower.n_upstreams; i++)
        check_upstream(&c.lower.upstreams[i]);
    for (size_t i = 0; rc == 0 && i < c.lower.n_routes; i++)
        check_route(&c.lower, &c.lower.routes[i], &c.lower.route_parts[i]);
    rg_compile_fini(&c);
    rg_problems_fini(&why);
}

/* All the way, with the policies. */
static void compile(const struct rg_artifact *artifact, struct rg_artifact *provider)
{
    static struct rg_endpoints *endpoints;
    if (!endpoints)
        RG_ASSERT(rg_endpoints_create(&endpoints, 1) == 0);
    const struct rg_unit_place place = {.workers = 1, .endpoints = endpoints};
    const struct rg_compile_context context = {
        .find = find, .secret = outside, .env = outside, .owner = provider, .place = &place};
    struct rg_unit *unit = NULL;
    struct rg_problems why;
    rg_problems_init(&why);
    int rc = rg_compile(artifact, &context, &unit, &why);
    check_problems(&why, rc);
    RG_ASSERT((rc == 0) == (unit != NULL));
    rg_unit_unref(unit);
    rg_endpoints_tick(endpoints, 1);
    rg_problems_fini(&why);
}

static struct rg_artifact *decode(const char *text, size_t len)
{
    struct rg_artifact *artifact = NULL;
    struct rg_problems why;
    rg_problems_init(&why);
    int rc = rg_artifact_decode(text, len, &artifact, &why);
    check_problems(&why, rc);
    rg_problems_fini(&why);
    return artifact;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rg_artifact *provider;
    if (!provider)
        provider = decode(provider_text, sizeof(provider_text) - 1);
    RG_ASSERT(provider);
    input_has_it = memmem(data, size, HIDDEN, sizeof(HIDDEN) - 1) != NULL;
    struct rg_artifact *artifact = decode((const char *)data, size);
    if (artifact) {
        lower(artifact, provider);
        compile(artifact, provider);
    }
    rg_artifact_destroy(artifact);
    return 0;
}
