/*
 * What stands in an artifact, as values: the `spec` of each kind, decoded by the tables of artifact_tables.c. Private
 * to artifact*.c, lower*.c and compile*.c.
 *
 * Owner: the arena that it was decoded into, and the JSON tree beside it: `params` point into that. Thread: any one at
 * a time.
 */
#ifndef RG_ARTIFACT_ARTIFACT_SPEC_H
#define RG_ARTIFACT_ARTIFACT_SPEC_H

#include <jansson.h>

#include "control/artifact/artifact.h"
#include "control/common/params.h"
#include "datapath/base/arena.h"

#define RG_SPEC_OPERATIONS_MAX 10000

/* ---- What several kinds have ---- */

struct rg_spec_policy {
    struct rg_str name, version, condition;
    const json_t *params; /* NULL: none given */
};

struct rg_spec_resilience {
    uint64_t timeout_us, idle_us;
    bool has_timeout, has_idle;
};

enum rg_spec_auth_type { RG_AUTH_API_KEY, RG_AUTH_OTHER, RG_AUTH_NONE };

struct rg_spec_auth {
    int32_t type; /* enum rg_spec_auth_type */
    struct rg_str header, value;
    bool given;
};

enum rg_spec_host_rewrite { RG_HOST_REWRITE_AUTO, RG_HOST_REWRITE_MANUAL };

struct rg_spec_upstream {
    struct rg_str url, ref; /* one of the two */
    int32_t host_rewrite;
    struct rg_spec_auth auth; /* LlmProvider */
    bool given;
};

struct rg_spec_target {
    struct rg_str url;
    int64_t weight;
};

struct rg_spec_definition {
    struct rg_str name, base_path;
    uint64_t connect_us;
    struct rg_param_list targets; /* struct rg_spec_target */
};

enum rg_spec_state { RG_STATE_DEPLOYED, RG_STATE_UNDEPLOYED };

/* ---- RestApi ---- */

enum rg_spec_header_type { RG_SPEC_HEADER_EXACT, RG_SPEC_HEADER_REGEX };
struct rg_spec_header {
    struct rg_str name, value;
    int32_t type;
};

enum rg_spec_path_type { RG_SPEC_PATH_EXACT, RG_SPEC_PATH_PREFIX };
struct rg_spec_match {
    struct rg_str method, path;
    int32_t path_type;
    struct rg_param_list headers; /* struct rg_spec_header */
    bool given;
};

struct rg_spec_operation {
    struct rg_str method, path; /* or `match` */
    struct rg_spec_match match;
    struct rg_spec_resilience resilience;
    struct rg_param_list policies; /* struct rg_spec_policy */
};

struct rg_spec_rest {
    struct rg_str context;
    struct rg_str vhosts_main, vhosts_sandbox;
    struct rg_param_list definitions; /* struct rg_spec_definition */
    struct rg_spec_upstream main, sandbox;
    struct rg_param_list subscription_plans; /* struct rg_str */
    struct rg_spec_resilience resilience;
    struct rg_param_list policies;   /* struct rg_spec_policy */
    struct rg_param_list operations; /* struct rg_spec_operation */
};

/* ---- LlmProvider, LlmProxy ---- */

enum rg_spec_access_mode { RG_ACCESS_ALLOW_ALL, RG_ACCESS_DENY_ALL };

struct rg_spec_exception {
    struct rg_str path;
    struct rg_param_list methods; /* struct rg_str */
};

struct rg_spec_scope { /* where a policy of operations applies */
    struct rg_str path;
    struct rg_param_list methods; /* struct rg_str; "*": all */
    const json_t *params;
};

struct rg_spec_scoped_policy {
    struct rg_str name, version, condition;
    struct rg_param_list scopes; /* struct rg_spec_scope */
};

struct rg_spec_provider_ref {
    struct rg_str id;
    struct rg_spec_auth auth;
    bool has_transformer;
};

/* What both have, and what one of them has. */
struct rg_spec_llm {
    struct rg_str context, vhost;
    struct rg_spec_resilience resilience;
    struct rg_param_list global_policies;     /* struct rg_spec_policy */
    struct rg_param_list operation_policies;  /* struct rg_spec_scoped_policy */
    struct rg_param_list deprecated_policies; /* struct rg_spec_scoped_policy, from `policies` */
    /* LlmProvider */
    struct rg_str template;
    struct rg_spec_upstream upstream;
    int32_t access_mode;
    struct rg_param_list exceptions; /* struct rg_spec_exception */
    /* LlmProxy */
    struct rg_spec_provider_ref provider;
    struct rg_param_list additional_providers; /* struct rg_spec_provider_ref */
};

struct rg_spec {
    enum rg_kind kind;
    struct rg_str handle;
    struct rg_str display_name, version;
    int32_t state; /* enum rg_spec_state */
    struct rg_spec_rest rest;
    struct rg_spec_llm llm;
};

/*
 * value: what stands under `spec`, which has to outlive the result; path: how messages name it. 0, -EINVAL (problems
 * say why) or -ENOMEM. Only what a table can tell is checked: types, words, what is missing.
 */
int rg_spec_decode(struct rg_spec *ret, enum rg_kind kind, const json_t *value, const json_t *written, const char *path,
                   struct rg_arena *arena, struct rg_problems *why);

/* The member of an object whose key is this one in any case of letters; null counts as absent. NULL: none. */
const json_t *rg_spec_member(const json_t *object, const char *key);

#endif
