/*
 * Lowering: a decoded artifact becomes plain routes, upstreams and policies (datapath/route/spec.h), with the place in
 * the definition where each comes from, so that whatever finds fault with them later can name it. The LLM kinds become
 * the same routes as a RestApi would; the datapath knows no kinds.
 *
 * Owner: everything is in the arena of `struct rg_lower` and in the definitions that it was made of. Thread: any one
 * at a time.
 */
#ifndef RG_ARTIFACT_LOWER_H
#define RG_ARTIFACT_LOWER_H

#include "control/artifact/artifact_spec.h"
#include "datapath/route/spec.h"

#define RG_LOWER_ROUTES_MAX   50000u
#define RG_LOWER_PATTERNS_MAX 256u /* different paths of an LLM artifact, with their intersections */

/* A definition, and how messages name what is in it. */
struct rg_lower_source {
    const struct rg_spec *spec;
    const json_t *written;
    const char *path; /* "spec", or "LlmProvider openai-main: spec" */
    unsigned index;   /* 0: the artifact itself, 1: the provider of a proxy */
};

/* One attachment; shared by all routes that it stands on, and made once. */
struct rg_lower_policy {
    const struct rg_lower_source *source;
    struct rg_str name, version, condition;
    const json_t *params; /* NULL: none */
    const char *path;     /* "spec.policies[0]" */
    const char *params_path;
    size_t index; /* in the order in which they were met */
    bool is_cors;
    const struct rg_lower_policy *next; /* in that order */
};

struct rg_lower_route {
    const struct rg_lower_policy *const *policies;
    size_t n_policies;
    const char *path; /* where what it matches is said: "spec.operations[3]", "spec.operations[4].match" */
};

struct rg_lower {
    struct rg_arena *arena;
    struct rg_problems *why;
    const struct rg_address *const *forbidden; /* addresses that no upstream may lead to */
    size_t n_forbidden;
    struct rg_upstream_spec *upstreams;
    const char **upstream_paths; /* beside upstreams */
    size_t n_upstreams, room_upstreams;
    struct rg_route_spec *routes;       /* `policies` is NULL in all of them */
    struct rg_lower_route *route_parts; /* beside routes */
    size_t n_routes, room_routes;
    size_t n_policies;
    const struct rg_lower_policy *policies; /* all, also those that no route has */
    struct rg_lower_policy *last_policy;
    json_t *made; /* parameters of policies that no definition names */
    bool failed, no_memory;
};

void rg_lower_init(struct rg_lower *l, struct rg_arena *arena, struct rg_problems *why);
void rg_lower_fini(struct rg_lower *l);

/* 0, -EINVAL (problems say why) or -ENOMEM. An artifact that is `undeployed` has no routes. provider: of an LlmProxy,
 * else NULL. */
int rg_lower_artifact(struct rg_lower *l, const struct rg_lower_source *self, const struct rg_lower_source *provider);

/* Views into `l`. */
void rg_lower_unit(const struct rg_lower *l, const struct rg_spec *spec, struct rg_unit_spec *ret);

#endif
