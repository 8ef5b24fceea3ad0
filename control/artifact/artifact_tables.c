/*
 * Why: what may stand in the `spec` of an artifact, declared once. See artifact_spec.h for owner and thread.
 *
 * Keys are taken in any case, null counts as absent and what is not named here passes: control planes of other versions
 * write more than we know. What we know and don't support is refused in lower*.c, by name.
 */
#include "control/artifact/artifact_spec.h"

#include <errno.h>

#define AT(what, member)      .offset = offsetof(struct what, member)
#define GIVEN(what, member)   .present = 1 + offsetof(struct what, member)
#define OBJECT_OF(what, rows) .type = RG_PARAM_OBJECT, .fields = (rows), .size = sizeof(struct what)
#define LIST_OF(what, rows)   .type = RG_PARAM_LIST, .fields = (rows), .size = sizeof(struct what)
#define LIST_OF_TEXT          .type = RG_PARAM_LIST, .item = &text_item, .size = sizeof(struct rg_str), .max = 16
#define END          \
    {                \
        .name = NULL \
    }

#define DAY_US (INT64_C(24) * 3600 * 1000 * 1000)

static const char *const auth_types[] = {"api-key", "other", "none", NULL};
static const char *const host_rewrites[] = {"auto", "manual", NULL};
static const char *const states[] = {"deployed", "undeployed", NULL};
static const char *const header_types[] = {"Exact", "RegularExpression", NULL};
static const char *const path_types[] = {"Exact", "PathPrefix", NULL};
static const char *const access_modes[] = {"allow_all", "deny_all", NULL};

static const struct rg_param text_item = {.name = "", .type = RG_PARAM_STRING, .not_empty = true, .scalar = true};

/* ---- What several kinds have ---- */

static const struct rg_param policy_rows[] = {
    {.name = "name", .type = RG_PARAM_STRING, AT(rg_spec_policy, name), .required = true, .not_empty = true},
    {.name = "version", .type = RG_PARAM_STRING, AT(rg_spec_policy, version)},
    {.name = "executionCondition", .type = RG_PARAM_STRING, AT(rg_spec_policy, condition)},
    END,
};

static const struct rg_param resilience_rows[] = {
    {.name = "timeout",
     .type = RG_PARAM_DURATION,
     AT(rg_spec_resilience, timeout_us),
     .max = DAY_US,
     GIVEN(rg_spec_resilience, has_timeout)},
    {.name = "idleTimeout",
     .type = RG_PARAM_DURATION,
     AT(rg_spec_resilience, idle_us),
     .max = DAY_US,
     GIVEN(rg_spec_resilience, has_idle)},
    END,
};

static const struct rg_param auth_rows[] = {
    {.name = "type", .type = RG_PARAM_ENUM, AT(rg_spec_auth, type), .words = auth_types, .initial = "\"api-key\""},
    {.name = "header", .type = RG_PARAM_STRING, AT(rg_spec_auth, header)},
    {.name = "value", .type = RG_PARAM_STRING, AT(rg_spec_auth, value), .scalar = true},
    END,
};

static const struct rg_param upstream_rows[] = {
    {.name = "url", .type = RG_PARAM_STRING, AT(rg_spec_upstream, url)},
    {.name = "ref", .type = RG_PARAM_STRING, AT(rg_spec_upstream, ref)},
    {.name = "hostRewrite",
     .type = RG_PARAM_ENUM,
     AT(rg_spec_upstream, host_rewrite),
     .words = host_rewrites,
     .initial = "\"auto\""},
    {.name = "auth",
     AT(rg_spec_upstream, auth),
     OBJECT_OF(rg_spec_auth, auth_rows),
     GIVEN(rg_spec_upstream, auth.given)},
    END,
};

/* ---- RestApi ---- */

static const struct rg_param vhosts_rows[] = {
    {.name = "main", .type = RG_PARAM_STRING, AT(rg_spec_rest, vhosts_main)},
    {.name = "sandbox", .type = RG_PARAM_STRING, AT(rg_spec_rest, vhosts_sandbox)},
    END,
};

static const struct rg_param target_rows[] = {
    {.name = "url", .type = RG_PARAM_STRING, AT(rg_spec_target, url), .required = true, .not_empty = true},
    {.name = "weight", .type = RG_PARAM_INT, AT(rg_spec_target, weight), .initial = "100", .max = 1000000},
    END,
};

static const struct rg_param definition_timeout_rows[] = {
    {.name = "connect", .type = RG_PARAM_DURATION, AT(rg_spec_definition, connect_us), .min = 1000, .max = DAY_US},
    END,
};

static const struct rg_param definition_rows[] = {
    {.name = "name", .type = RG_PARAM_STRING, AT(rg_spec_definition, name), .required = true, .not_empty = true},
    {.name = "basePath", .type = RG_PARAM_STRING, AT(rg_spec_definition, base_path)},
    /* of the same struct: its row stands at the start */
    {.name = "timeout", .offset = 0, OBJECT_OF(rg_spec_definition, definition_timeout_rows)},
    {.name = "upstreams",
     AT(rg_spec_definition, targets),
     LIST_OF(rg_spec_target, target_rows),
     .required = true,
     .not_empty = true},
    END,
};

static const struct rg_param upstreams_rows[] = {
    {.name = "main",
     AT(rg_spec_rest, main),
     OBJECT_OF(rg_spec_upstream, upstream_rows),
     .required = true,
     GIVEN(rg_spec_rest, main.given)},
    {.name = "sandbox",
     AT(rg_spec_rest, sandbox),
     OBJECT_OF(rg_spec_upstream, upstream_rows),
     GIVEN(rg_spec_rest, sandbox.given)},
    END,
};

static const struct rg_param header_rows[] = {
    {.name = "name", .type = RG_PARAM_STRING, AT(rg_spec_header, name), .required = true, .not_empty = true},
    {.name = "value", .type = RG_PARAM_STRING, AT(rg_spec_header, value), .required = true, .scalar = true},
    {.name = "type", .type = RG_PARAM_ENUM, AT(rg_spec_header, type), .words = header_types, .initial = "\"Exact\""},
    END,
};

static const struct rg_param match_path_rows[] = {
    {.name = "value", .type = RG_PARAM_STRING, AT(rg_spec_match, path), .required = true, .not_empty = true},
    {.name = "type", .type = RG_PARAM_ENUM, AT(rg_spec_match, path_type), .words = path_types, .initial = "\"Exact\""},
    END,
};

static const struct rg_param match_rows[] = {
    {.name = "method", .type = RG_PARAM_STRING, AT(rg_spec_match, method)},
    {.name = "path", .offset = 0, OBJECT_OF(rg_spec_match, match_path_rows), .required = true},
    {.name = "headers", AT(rg_spec_match, headers), LIST_OF(rg_spec_header, header_rows), .max = 16},
    END,
};

static const struct rg_param operation_rows[] = {
    {.name = "method", .type = RG_PARAM_STRING, AT(rg_spec_operation, method)},
    {.name = "path", .type = RG_PARAM_STRING, AT(rg_spec_operation, path)},
    {.name = "match",
     AT(rg_spec_operation, match),
     OBJECT_OF(rg_spec_match, match_rows),
     GIVEN(rg_spec_operation, match.given)},
    {.name = "resilience", AT(rg_spec_operation, resilience), OBJECT_OF(rg_spec_resilience, resilience_rows)},
    {.name = "policies", AT(rg_spec_operation, policies), LIST_OF(rg_spec_policy, policy_rows)},
    END,
};

static const struct rg_param rest_rows[] = {
    {.name = "context", .type = RG_PARAM_STRING, AT(rg_spec_rest, context), .required = true, .not_empty = true},
    {.name = "vhosts", .offset = 0, OBJECT_OF(rg_spec_rest, vhosts_rows)},
    {.name = "upstreamDefinitions", AT(rg_spec_rest, definitions), LIST_OF(rg_spec_definition, definition_rows)},
    {.name = "upstream", .offset = 0, OBJECT_OF(rg_spec_rest, upstreams_rows), .required = true},
    {.name = "subscriptionPlans", AT(rg_spec_rest, subscription_plans), LIST_OF_TEXT},
    {.name = "resilience", AT(rg_spec_rest, resilience), OBJECT_OF(rg_spec_resilience, resilience_rows)},
    {.name = "policies", AT(rg_spec_rest, policies), LIST_OF(rg_spec_policy, policy_rows)},
    {.name = "operations",
     AT(rg_spec_rest, operations),
     LIST_OF(rg_spec_operation, operation_rows),
     .required = true,
     .not_empty = true,
     .max = RG_SPEC_OPERATIONS_MAX},
    END,
};

/* ---- LlmProvider, LlmProxy ---- */

static const struct rg_param scope_rows[] = {
    {.name = "path", .type = RG_PARAM_STRING, AT(rg_spec_scope, path), .required = true, .not_empty = true},
    {.name = "methods", AT(rg_spec_scope, methods), LIST_OF_TEXT, .required = true, .not_empty = true},
    END,
};

static const struct rg_param scoped_policy_rows[] = {
    {.name = "name", .type = RG_PARAM_STRING, AT(rg_spec_scoped_policy, name), .required = true, .not_empty = true},
    {.name = "version", .type = RG_PARAM_STRING, AT(rg_spec_scoped_policy, version)},
    {.name = "executionCondition", .type = RG_PARAM_STRING, AT(rg_spec_scoped_policy, condition)},
    {.name = "paths",
     AT(rg_spec_scoped_policy, scopes),
     LIST_OF(rg_spec_scope, scope_rows),
     .required = true,
     .not_empty = true},
    END,
};

static const struct rg_param exception_rows[] = {
    {.name = "path", .type = RG_PARAM_STRING, AT(rg_spec_exception, path), .required = true, .not_empty = true},
    {.name = "methods", AT(rg_spec_exception, methods), LIST_OF_TEXT, .required = true, .not_empty = true},
    END,
};

static const struct rg_param access_rows[] = {
    {.name = "mode", .type = RG_PARAM_ENUM, AT(rg_spec_llm, access_mode), .words = access_modes, .required = true},
    {.name = "exceptions", AT(rg_spec_llm, exceptions), LIST_OF(rg_spec_exception, exception_rows)},
    END,
};

static const struct rg_param transformer_rows[] = {
    END,
};

static const struct rg_param provider_ref_rows[] = {
    {.name = "id", .type = RG_PARAM_STRING, AT(rg_spec_provider_ref, id), .required = true, .not_empty = true},
    {.name = "auth",
     AT(rg_spec_provider_ref, auth),
     OBJECT_OF(rg_spec_auth, auth_rows),
     GIVEN(rg_spec_provider_ref, auth.given)},
    {.name = "transformer",
     .offset = 0,
     OBJECT_OF(rg_spec_provider_ref, transformer_rows),
     GIVEN(rg_spec_provider_ref, has_transformer)},
    END,
};

#define LLM_ROWS                                                                                                     \
    {.name = "vhost", .type = RG_PARAM_STRING, AT(rg_spec_llm, vhost)},                                              \
        {.name = "resilience", AT(rg_spec_llm, resilience), OBJECT_OF(rg_spec_resilience, resilience_rows)},         \
        {.name = "globalPolicies", AT(rg_spec_llm, global_policies), LIST_OF(rg_spec_policy, policy_rows)},          \
        {.name = "operationPolicies",                                                                                \
         AT(rg_spec_llm, operation_policies),                                                                        \
         LIST_OF(rg_spec_scoped_policy, scoped_policy_rows)},                                                        \
    {                                                                                                                \
        .name = "policies", AT(rg_spec_llm, deprecated_policies), LIST_OF(rg_spec_scoped_policy, scoped_policy_rows) \
    }

static const struct rg_param provider_rows[] = {
    {.name = "context", .type = RG_PARAM_STRING, AT(rg_spec_llm, context), .initial = "\"/\"", .not_empty = true},
    {.name = "template", .type = RG_PARAM_STRING, AT(rg_spec_llm, template), .required = true, .not_empty = true},
    {.name = "upstream",
     AT(rg_spec_llm, upstream),
     OBJECT_OF(rg_spec_upstream, upstream_rows),
     .required = true,
     GIVEN(rg_spec_llm, upstream.given)},
    {.name = "accessControl", .offset = 0, OBJECT_OF(rg_spec_llm, access_rows), .required = true},
    LLM_ROWS,
    END,
};

static const struct rg_param proxy_rows[] = {
    {.name = "context", .type = RG_PARAM_STRING, AT(rg_spec_llm, context), .required = true, .not_empty = true},
    {.name = "provider",
     AT(rg_spec_llm, provider),
     OBJECT_OF(rg_spec_provider_ref, provider_ref_rows),
     .required = true},
    {.name = "additionalProviders",
     AT(rg_spec_llm, additional_providers),
     LIST_OF(rg_spec_provider_ref, provider_ref_rows)},
    LLM_ROWS,
    END,
};

/* ---- All of them ---- */

static const struct rg_param head_rows[] = {
    {.name = "displayName",
     .type = RG_PARAM_STRING,
     AT(rg_spec, display_name),
     .required = true,
     .not_empty = true,
     .scalar = true},
    {.name = "version",
     .type = RG_PARAM_STRING,
     AT(rg_spec, version),
     .required = true,
     .not_empty = true,
     .scalar = true},
    {.name = "deploymentState", .type = RG_PARAM_ENUM, AT(rg_spec, state), .words = states, .initial = "\"deployed\""},
    END,
};

const json_t *rg_spec_member(const json_t *object, const char *key)
{
    const char *at;
    json_t *value;
    const json_t *exact = json_object_get(object, key);
    if (exact)
        return json_is_null(exact) ? NULL : exact;
    json_object_foreach((json_t *)(uintptr_t)object, at, value)
    {
        if (rg_str_eq_nocase(rg_str_of(at), rg_str_of(key)))
            return json_is_null(value) ? NULL : value;
    }
    return NULL;
}

/* `params` have tables of their own, one for each kind of policy; here is only kept where they stand. */
static void find_policy_params(const struct rg_param_list *policies, const json_t *list)
{
    struct rg_spec_policy *p = policies->items;
    for (size_t i = 0; i < policies->n && i < json_array_size(list); i++)
        p[i].params = rg_spec_member(json_array_get(list, i), "params");
}

static void find_scoped_params(const struct rg_param_list *policies, const json_t *list)
{
    struct rg_spec_scoped_policy *p = policies->items;
    for (size_t i = 0; i < policies->n && i < json_array_size(list); i++) {
        const json_t *paths = rg_spec_member(json_array_get(list, i), "paths");
        struct rg_spec_scope *scopes = p[i].scopes.items;
        for (size_t j = 0; j < p[i].scopes.n && j < json_array_size(paths); j++)
            scopes[j].params = rg_spec_member(json_array_get(paths, j), "params");
    }
}

static void find_params(struct rg_spec *spec, const json_t *value)
{
    if (spec->kind != RG_KIND_REST_API) {
        find_policy_params(&spec->llm.global_policies, rg_spec_member(value, "globalPolicies"));
        find_scoped_params(&spec->llm.operation_policies, rg_spec_member(value, "operationPolicies"));
        find_scoped_params(&spec->llm.deprecated_policies, rg_spec_member(value, "policies"));
        return;
    }
    const json_t *operations = rg_spec_member(value, "operations");
    struct rg_spec_operation *op = spec->rest.operations.items;
    find_policy_params(&spec->rest.policies, rg_spec_member(value, "policies"));
    for (size_t i = 0; i < spec->rest.operations.n && i < json_array_size(operations); i++)
        find_policy_params(&op[i].policies, rg_spec_member(json_array_get(operations, i), "policies"));
}

int rg_spec_decode(struct rg_spec *ret, enum rg_kind kind, const json_t *value, const json_t *written, const char *path,
                   struct rg_arena *arena, struct rg_problems *why)
{
    static const struct rg_param *const rows[RG_KINDS] = {
        [RG_KIND_REST_API] = rest_rows,
        [RG_KIND_LLM_PROVIDER] = provider_rows,
        [RG_KIND_LLM_PROXY] = proxy_rows,
    };
    const struct rg_params_source source = {.value = value, .path = path, .written = written, .tolerant = true};
    void *body = kind == RG_KIND_REST_API ? (void *)&ret->rest : (void *)&ret->llm;
    ret->kind = kind;
    int head = rg_params_decode(head_rows, &source, arena, ret, why);
    int rest = rg_params_decode(rows[kind], &source, arena, body, why);
    if (head < 0 || rest < 0)
        return head == -ENOMEM || rest == -ENOMEM ? -ENOMEM : -EINVAL;
    find_params(ret, value);
    return 0;
}
