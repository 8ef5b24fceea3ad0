/* control/agent/compile: artifacts become units with the policies that they name, or are refused with the path. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/artifact/compile.h"
#include "control/common/problems.h"
#include "datapath/endpoint.h"
#include "datapath/policy/chain.h"
#include "datapath/route/snapshot.h"

#define WORKERS 1

struct world {
    struct rg_endpoints *endpoints;
    struct rg_unit_place place;
    struct rg_artifact *provider; /* what proxies find; NULL: nothing */
    struct rg_artifact_policy *before;
};

static struct world world;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(rg_endpoints_create(&world.endpoints, WORKERS), 0);
    world.place = (struct rg_unit_place){.workers = WORKERS, .endpoints = world.endpoints};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_endpoints_destroy(world.endpoints);
    return 0;
}

/* ---- Compiling ---- */

static const struct rg_artifact *find(void *owner, enum rg_kind kind, struct rg_str handle)
{
    const struct world *w = owner;
    bool is_it =
        w->provider && kind == RG_KIND_LLM_PROVIDER && rg_str_eq(rg_artifact_info(w->provider)->handle, handle);
    return is_it ? w->provider : NULL;
}

/* The value of a secret is its handle, but for one that no header may have. */
static bool secret(void *owner, struct rg_str handle, struct rg_str *ret)
{
    (void)owner;
    *ret = rg_str_eq(handle, RG_STR("two-lines")) ? RG_STR("hunter2\nhunter3") : handle;
    return true;
}

static char *lines_of(struct rg_problems *why)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    rg_problems_write(why, "\n", out);
    fclose(out);
    rg_problems_fini(why);
    return text;
}

/* `spec`: what stands under it, each line with two blanks before it. NULL: refused, *ret_problems says why. */
static struct rg_artifact *decode(const char *kind, const char *spec, char **ret_problems)
{
    struct rg_problems why;
    struct rg_artifact *a = NULL;
    char *text = NULL;
    rg_problems_init(&why);
    assert_true(asprintf(&text,
                         "apiVersion: gateway.api-platform.wso2.com/v1\nkind: %s\nmetadata: {name: it}\nspec:\n%s",
                         kind, spec) > 0);
    rg_artifact_decode(text, strlen(text), &a, &why);
    free(text);
    *ret_problems = lines_of(&why);
    return a;
}

static struct rg_unit *compile_artifact(const struct rg_artifact *a, char **ret_problems)
{
    const struct rg_compile_context context = {
        .find = find, .secret = secret, .owner = &world, .before = world.before, .place = &world.place};
    struct rg_problems why;
    struct rg_unit *unit = NULL;
    rg_problems_init(&why);
    int rc = rg_compile(a, &context, &unit, &why);
    assert_true(rc == 0 || rc == -EINVAL);
    assert_int_equal(rc == 0, unit != NULL);
    assert_int_equal(rc == 0, !rg_problems_any(&why));
    *ret_problems = lines_of(&why);
    return unit;
}

static struct rg_unit *compile_good(const char *kind, const char *spec)
{
    char *problems;
    struct rg_artifact *a = decode(kind, spec, &problems);
    assert_string_equal(problems, "");
    free(problems);
    struct rg_unit *unit = compile_artifact(a, &problems);
    assert_string_equal(problems, "");
    free(problems);
    rg_artifact_destroy(a); /* a unit keeps nothing of it */
    return unit;
}

static void compile_bad(const char *kind, const char *spec, const char *wanted)
{
    char *problems;
    struct rg_artifact *a = decode(kind, spec, &problems);
    assert_string_equal(problems, "");
    free(problems);
    assert_null(compile_artifact(a, &problems));
    assert_string_equal(problems, wanted);
    free(problems);
    rg_artifact_destroy(a);
}

static const struct rg_route *route_of(const struct rg_unit *unit, size_t i)
{
    const struct rg_route *routes;
    assert_true(rg_unit_routes(unit, &routes) > i);
    return &routes[i];
}

/* ---- Good ones ---- */

#define API \
    "  displayName: It\n  version: v1.0\n  context: /it/$version\n  upstream: {main: {url: 'http://127.0.0.1:9/b'}}\n"

static void test_a_unit_that_routes(void **state)
{
    (void)state;
    struct rg_route_conflict conflict;
    struct rg_snapshot *snapshot = NULL;
    struct rg_unit *unit = compile_good("RestApi", API "  operations: [{method: GET, path: '/greet/{name}'}]\n");
    assert_true(rg_str_eq(rg_unit_kind(unit), RG_STR("RestApi")) && rg_str_eq(rg_unit_handle(unit), RG_STR("it")));
    assert_true(rg_str_eq(rg_unit_version(unit), RG_STR("v1.0")));
    assert_int_equal(rg_snapshot_create(&snapshot, &unit, 1, 1, WORKERS, &conflict), 0);
    const struct rg_route_query query = {
        .host = RG_STR("x"), .method = RG_STR("GET"), .method_id = RG_METHOD_GET, .path = RG_STR("/it/v1.0/greet/ada")};
    const struct rg_route *route = rg_snapshot_lookup(snapshot, &query);
    assert_non_null(route);
    assert_int_equal(route->context_bytes, strlen("/it/v1.0"));
    assert_true(rg_str_eq(route->upstream->base_path, RG_STR("/b")));
    assert_null(route->policies);
    rg_snapshot_destroy(snapshot);
    rg_unit_unref(unit);
}

static void assert_policy(const struct rg_route *route, unsigned i, const char *name)
{
    assert_non_null(route->policies);
    assert_string_equal(rg_policy_kind_of(rg_policy_chain_at(route->policies, i))->name, name);
}

static void test_policies_of_the_api_come_first_and_are_shared(void **state)
{
    (void)state;
    struct rg_unit *unit = compile_good(
        "RestApi",
        API "  policies: [{name: basic-ratelimit, version: v1, params: {limits: [{requests: 1, duration: 1m}]}}]\n"
            "  operations:\n"
            "    - {method: GET, path: /a, policies: [{name: respond, params: {statusCode: 418}}]}\n"
            "    - {method: GET, path: /b}\n");
    const struct rg_route *a = route_of(unit, 0), *b = route_of(unit, 1);
    assert_int_equal(rg_policy_chain_length(a->policies), 2);
    assert_policy(a, 0, "basic-ratelimit");
    assert_policy(a, 1, "respond");
    assert_int_equal(rg_policy_chain_length(b->policies), 1);
    assert_ptr_equal(rg_policy_chain_at(a->policies, 0), rg_policy_chain_at(b->policies, 0));
    rg_unit_unref(unit);
}

static void test_undeployed(void **state)
{
    (void)state;
    const struct rg_route *routes;
    struct rg_unit *unit =
        compile_good("RestApi", API "  deploymentState: undeployed\n  operations: [{method: GET, path: /}]\n");
    assert_int_equal(rg_unit_routes(unit, &routes), 0);
    rg_unit_unref(unit);
}

#define PROVIDER                                                                                              \
    "  displayName: It\n  version: v1.0\n  context: /p\n  template: openai\n"                                 \
    "  upstream: {url: 'http://127.0.0.1:9', auth: {header: authorization, value: '{{ secret \"key\" }}'}}\n" \
    "  accessControl: {mode: deny_all, exceptions: [{path: /chat, methods: [POST]}]}\n"                       \
    "  globalPolicies: [{name: basic-ratelimit, params: {limits: [{requests: 1, duration: 1m}]}}]\n"
#define PROXY                                                                       \
    "  displayName: It\n  version: v1.0\n  context: /x\n"                           \
    "  provider: {id: it, auth: {header: x-key, value: '{{ secret \"loop\" }}'}}\n" \
    "  globalPolicies: [{name: set-headers, params: {request: {headers: [{name: a, value: b}]}}}]\n"

static const struct rg_route *route_named(const struct rg_unit *unit, const char *name)
{
    const struct rg_route *routes;
    size_t n = rg_unit_routes(unit, &routes);
    for (size_t i = 0; i < n; i++)
        if (rg_str_eq(routes[i].name, rg_str_of(name)))
            return &routes[i];
    fail_msg("no route %s", name);
    return NULL;
}

/* The unit of another text of the artifact, where `before` is deployed. *artifact: what it was made of, to be
 * destroyed. */
static struct rg_unit *compile_after(const struct rg_artifact *before, const char *text, struct rg_artifact **artifact)
{
    char *problems;
    *artifact = decode("RestApi", text, &problems);
    free(problems);
    world.before = before ? rg_artifact_policies(before) : NULL;
    struct rg_unit *unit = compile_artifact(*artifact, &problems);
    world.before = NULL;
    assert_string_equal(problems, "");
    free(problems);
    return unit;
}

#define LIMIT(n)                    "{name: basic-ratelimit, version: v1, params: {limits: [{requests: " #n ", duration: 1m}]}}"
#define OPERATION_WITH(path, limit) "    - {method: GET, path: " path ", policies: [" limit "]}\n"

/* What a client has used up stays used up where a limit is deployed again, and only there. */
static void test_limits_that_stay_go_on(void **state)
{
    (void)state;
    struct rg_artifact *first, *second, *third;
    struct rg_unit *a = compile_after(NULL,
                                      API "  policies: [" LIMIT(1) "]\n  operations:\n" OPERATION_WITH("/a", LIMIT(2))
                                          OPERATION_WITH("/b", LIMIT(2)),
                                      &first);
    const char *moved =
        API "  policies: [{name: set-headers, params: {request: {headers: [{name: a, value: b}]}}}, " LIMIT(
            1) "]\n  operations:\n" OPERATION_WITH("/new", LIMIT(2)) OPERATION_WITH("/a", LIMIT(2))
            OPERATION_WITH("/b", LIMIT(3));
    struct rg_unit *b = compile_after(first, moved, &second);
    const struct rg_route *a1 = route_named(a, "GET /a"), *b1 = route_named(a, "GET /b"),
                          *new2 = route_named(b, "GET /new"), *a2 = route_named(b, "GET /a"),
                          *b2 = route_named(b, "GET /b");
    assert_ptr_equal(rg_policy_chain_at(a2->policies, 1), rg_policy_chain_at(a1->policies, 0)); /* that of the API */
    assert_ptr_equal(rg_policy_chain_at(a2->policies, 2), rg_policy_chain_at(a1->policies, 1));
    assert_ptr_not_equal(rg_policy_chain_at(b2->policies, 2), rg_policy_chain_at(b1->policies, 1)); /* changed */
    assert_ptr_not_equal(rg_policy_chain_at(new2->policies, 2), rg_policy_chain_at(a1->policies, 1));
    assert_ptr_not_equal(rg_policy_chain_at(new2->policies, 2), rg_policy_chain_at(b1->policies, 1));
    rg_unit_unref(a); /* the old one goes, the counts stay */
    rg_artifact_destroy(first);
    struct rg_unit *c = compile_after(second, moved, &third);
    assert_ptr_equal(rg_policy_chain_at(route_named(c, "GET /b")->policies, 2), rg_policy_chain_at(b2->policies, 2));
    rg_unit_unref(b);
    rg_unit_unref(c);
    rg_artifact_destroy(second);
    rg_artifact_destroy(third);
}

/* Two that are the same in one place are two: each goes over once. */
static void test_equal_limits_stay_two(void **state)
{
    (void)state;
    struct rg_artifact *first, *second;
    const char *twice = API "  policies: [" LIMIT(1) ", " LIMIT(1) "]\n  operations: [{method: GET, path: /a}]\n";
    struct rg_unit *a = compile_after(NULL, twice, &first), *b = compile_after(first, twice, &second);
    const struct rg_route *of_a = route_named(a, "GET /a"), *of_b = route_named(b, "GET /a");
    assert_ptr_equal(rg_policy_chain_at(of_a->policies, 0), rg_policy_chain_at(of_b->policies, 0));
    assert_ptr_equal(rg_policy_chain_at(of_a->policies, 1), rg_policy_chain_at(of_b->policies, 1));
    assert_ptr_not_equal(rg_policy_chain_at(of_b->policies, 0), rg_policy_chain_at(of_b->policies, 1));
    rg_unit_unref(a);
    rg_unit_unref(b);
    rg_artifact_destroy(first);
    rg_artifact_destroy(second);
}

/* Requests through a proxy count against the limits of its provider. */
static void test_a_proxy_has_the_policies_of_its_provider(void **state)
{
    (void)state;
    char *problems;
    world.provider = decode("LlmProvider", PROVIDER, &problems);
    free(problems);
    struct rg_unit *proxy_alone = compile_good("LlmProxy", PROXY);
    struct rg_unit *provider = compile_artifact(world.provider, &problems);
    free(problems);
    struct rg_unit *proxy = compile_good("LlmProxy", PROXY);
    const struct rg_route *direct = route_named(provider, "POST /chat"), *looped = route_named(proxy, "POST /chat");
    assert_int_equal(rg_policy_chain_length(direct->policies), 2);
    assert_int_equal(rg_policy_chain_length(looped->policies), 4);
    assert_policy(looped, 0, "set-headers");
    assert_policy(looped, 1, "set-headers");
    assert_policy(looped, 2, "basic-ratelimit");
    assert_policy(looped, 3, "set-headers");
    assert_ptr_equal(rg_policy_chain_at(looped->policies, 2), rg_policy_chain_at(direct->policies, 0));
    assert_ptr_not_equal(rg_policy_chain_at(looped->policies, 2),
                         rg_policy_chain_at(route_named(proxy_alone, "POST /chat")->policies, 2));
    rg_artifact_destroy(world.provider); /* units outlive what they were made of */
    world.provider = NULL;
    rg_unit_unref(provider);
    rg_unit_unref(proxy);
    rg_unit_unref(proxy_alone);
}

/* ---- Refused ---- */

#define OPERATION "  operations: [{method: GET, path: /a}]\n"
#define NAMES                                                                                                       \
    "advanced-ratelimit, api-key-auth, basic-auth, basic-ratelimit, cors, host-rewrite, redirect, remove-headers, " \
    "request-rewrite, respond, set-headers"

static void test_policies_that_are_not_supported(void **state)
{
    (void)state;
    compile_bad("RestApi", API "  policies: [{name: token-based-ratelimit, version: v1}, {name: llm-cost}]\n" OPERATION,
                "spec.policies[0].name: policy 'token-based-ratelimit' is not supported here: wanted one of " NAMES
                "\nspec.policies[1].name: policy 'llm-cost' is not supported here: wanted one of " NAMES);
    compile_bad("RestApi", API "  operations: [{method: GET, path: /a, policies: [{name: cors, version: v9}]}]\n",
                "spec.operations[0].policies[0].version: policy cors has no version v9 here: use v1");
    compile_bad("RestApi", API "  policies: [{name: cors, version: v1.0.2}]\n" OPERATION,
                "spec.policies[0].version: got 'v1.0.2', wanted the major version alone: v1");
}

static void test_parameters_that_are_wrong(void **state)
{
    (void)state;
    compile_bad(
        "RestApi",
        API "  policies:\n"
            "    - {name: basic-ratelimit, params: {limits: [{requests: 1, duration: 1m}, {requests: many}]}}\n"
            "    - {name: respond, params: {statuscode: 200}}\n" OPERATION,
        "spec.policies[0].params.limits[1].requests: got \"many\", wanted a whole number from 1 to 1000000000\n"
        "spec.policies[0].params.limits[1].duration: got nothing, wanted a duration from 1ms to 8784h, like 10s\n"
        "spec.policies[1].params.statuscode: got an unknown key, wanted one of statusCode, body, headers; did you "
        "mean statusCode?");
    compile_bad(
        "LlmProvider",
        "  displayName: It\n  version: v1.0\n  template: x\n  upstream: {url: 'http://h'}\n"
        "  accessControl: {mode: allow_all}\n"
        "  operationPolicies: [{name: respond, paths: [{path: /a, methods: [GET], params: {statusCode: 1}}]}]\n",
        "spec.operationPolicies[0].paths[0].params.statusCode: got 1, wanted a whole number from 200 to 599");
}

static void refused_at(const char *kind, const char *spec, const char *path)
{
    char *problems;
    struct rg_artifact *a = decode(kind, spec, &problems);
    assert_string_equal(problems, "");
    free(problems);
    assert_null(compile_artifact(a, &problems));
    if (strncmp(problems, path, strlen(path)) != 0 || strncmp(problems + strlen(path), ": ", 2) != 0)
        fail_msg("wanted %s, got %s", path, problems);
    assert_null(strstr(problems, "hunter"));
    free(problems);
    rg_artifact_destroy(a);
}

static void test_where_it_is_said(void **state)
{
    (void)state;
    refused_at("RestApi",
               API "  operations: [{method: GET, path: /a, policies: [{name: cors, executionCondition: 'x ='}]}]\n",
               "spec.operations[0].policies[0].executionCondition");
    refused_at("RestApi",
               API "  operations: [{match: {path: {value: /a}, headers: [{name: x, value: '(', type: "
                   "RegularExpression}]}}]\n",
               "spec.operations[0].match.headers[0].value");
    refused_at("RestApi", API "  operations: [{match: {path: {value: /a}, headers: [{name: 'x y', value: z}]}}]\n",
               "spec.operations[0].match.headers[0].name");
    refused_at(
        "RestApi",
        "  displayName: It\n  version: v1.0\n  context: /it\n  upstream: {main: {ref: d}}\n"
        "  upstreamDefinitions: [{name: d, upstreams: [{url: 'http://h'}, {url: 'http://224.0.0.1'}]}]\n" OPERATION,
        "spec.upstreamDefinitions[0].upstreams[1].url");
    refused_at("RestApi",
               "  displayName: It\n  version: v1.0\n  context: /it\n" OPERATION
               "  upstream: {main: {url: 'http://0.0.0.0'}}\n",
               "spec.upstream.main.url");
}

static void test_a_secret_that_does_not_fit_is_not_shown(void **state)
{
    (void)state;
    compile_bad("RestApi",
                API "  policies: [{name: set-headers, params: {request: {headers: [{name: a, value: '{{ secret "
                    "\"two-lines\" }}'}]}}}]\n" OPERATION,
                "spec.policies[0].params.request.headers[0].value: what stands here is not valid; it is not shown, "
                "because a template function made it");
    compile_bad("RestApi",
                "  displayName: It\n  version: v1.0\n  context: /it\n" OPERATION
                "  upstream: {main: {url: 'http://h', auth: {header: a, value: '{{ secret \"two-lines\" }}'}}}\n",
                "spec.upstream.main.auth: what stands here is not valid; it is not shown, because a template function "
                "made it");
}

static void test_too_many_policies(void **state)
{
    (void)state;
    char *spec = NULL;
    size_t len;
    FILE *out = open_memstream(&spec, &len);
    fputs(API OPERATION "  policies:\n", out);
    for (int i = 0; i <= RG_POLICY_CHAIN_MAX; i++)
        fputs("    - {name: remove-headers, params: {request: {headers: [{name: a}]}}}\n", out);
    fclose(out);
    refused_at("RestApi", spec, "spec.policies[64]");
    free(spec);
}

/* ---- The documentation ---- */

/* The first ```yaml block after a heading, without its line "spec:". */
static char *example_of(const char *doc, const char *heading)
{
    const char *at = strstr(doc, heading);
    assert_non_null(at);
    at = strstr(at, "```yaml\nspec:\n");
    assert_non_null(at);
    at += strlen("```yaml\nspec:\n");
    return strndup(at, (size_t)(strstr(at, "```") - at));
}

static void test_examples_of_the_documentation(void **state)
{
    (void)state;
    static char doc[64 * 1024];
    FILE *in = fopen(RG_DOCS "/ARTIFACTS.md", "r");
    assert_non_null(in);
    assert_true(fread(doc, 1, sizeof(doc) - 1, in) > 0);
    fclose(in);
    char *problems, *spec = example_of(doc, "## RestApi");
    rg_unit_unref(compile_good("RestApi", spec));
    free(spec);
    spec = example_of(doc, "## LlmProvider");
    rg_unit_unref(compile_good("LlmProvider", spec));
    world.provider = decode("LlmProvider", spec, &problems);
    free(problems);
    free(spec);
    spec = example_of(doc, "## LlmProxy");
    char *id = strstr(spec, "openai-main");
    assert_non_null(id);
    memcpy(id, "it         ", 11);
    rg_unit_unref(compile_good("LlmProxy", spec));
    free(spec);
    rg_artifact_destroy(world.provider);
    world.provider = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_unit_that_routes),
        cmocka_unit_test(test_policies_of_the_api_come_first_and_are_shared),
        cmocka_unit_test(test_undeployed),
        cmocka_unit_test(test_limits_that_stay_go_on),
        cmocka_unit_test(test_equal_limits_stay_two),
        cmocka_unit_test(test_a_proxy_has_the_policies_of_its_provider),
        cmocka_unit_test(test_policies_that_are_not_supported),
        cmocka_unit_test(test_parameters_that_are_wrong),
        cmocka_unit_test(test_where_it_is_said),
        cmocka_unit_test(test_a_secret_that_does_not_fit_is_not_shown),
        cmocka_unit_test(test_too_many_policies),
        cmocka_unit_test(test_examples_of_the_documentation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
