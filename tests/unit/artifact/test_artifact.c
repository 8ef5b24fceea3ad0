/* control/agent/artifact, compile_lower: what is known of an artifact before it is compiled, and what its text can do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "control/artifact/compile_parts.h"
#include "control/common/address.h"

#define FRAME(kind, name)                                                                  \
    "apiVersion: gateway.api-platform.wso2.com/v1\nkind: " kind "\nmetadata: {name: " name \
    ", annotations: {gateway.api-platform.wso2.com/artifact-id: 0199c1d2-7a10}}\nspec:\n"

static const char proxy_text[] = FRAME("LlmProxy", "chat") "  displayName: Chat\n  version: v1.0\n  context: /chat\n"
                                                           "  provider: {id: main, auth: {header: a, value: '{{ secret "
                                                           "\"one\" }}{{ secret \"two\" }}{{ secret \"one\" }}'}}\n"
                                                           "  additionalProviders: [{id: second}]\n";

static const char api_text[] = FRAME("RestApi", "hello") "  displayName: Hello\n  version: v1.0\n  context: /hello\n  "
                                                         "upstream: {main: {url: 'http://127.0.0.1:9000'}}\n"
                                                         "  operations: [{method: GET, path: '/greet/{name}'}]\n";

static struct rg_artifact *decode(const char *text)
{
    struct rg_problems why;
    struct rg_artifact *a = NULL;
    rg_problems_init(&why);
    assert_int_equal(rg_artifact_decode(text, strlen(text), &a, &why), 0);
    assert_false(rg_problems_any(&why));
    rg_problems_fini(&why);
    return a;
}

static bool is(struct rg_str got, const char *wanted)
{
    return rg_str_eq(got, rg_str_of(wanted));
}

static void test_info(void **state)
{
    (void)state;
    struct rg_artifact *a = decode(api_text);
    const struct rg_artifact_info *info = rg_artifact_info(a);
    assert_int_equal(info->kind, RG_KIND_REST_API);
    assert_true(is(info->handle, "hello") && is(info->id, "0199c1d2-7a10"));
    assert_true(is(info->display_name, "Hello") && is(info->version, "v1.0"));
    assert_int_equal(info->n_secrets + info->n_providers, 0);
    rg_artifact_destroy(a);
    rg_artifact_destroy(NULL);
}

static void test_what_it_needs(void **state)
{
    (void)state;
    struct rg_artifact *a = decode(proxy_text);
    const struct rg_artifact_info *info = rg_artifact_info(a);
    assert_int_equal(info->kind, RG_KIND_LLM_PROXY);
    assert_true(is(info->display_name, "") && is(info->version, "")); /* not rendered yet */
    assert_int_equal(info->n_secrets, 2);
    assert_true(is(info->secrets[0].handle, "one") && is(info->secrets[1].handle, "two"));
    assert_int_equal(info->n_providers, 2);
    assert_true(is(info->providers[0], "main") && is(info->providers[1], "second"));
    assert_true(rg_artifact_depends(a, RG_KIND_LLM_PROVIDER, RG_STR("second")));
    assert_false(rg_artifact_depends(a, RG_KIND_LLM_PROVIDER, RG_STR("third")));
    assert_false(rg_artifact_depends(a, RG_KIND_REST_API, RG_STR("main")));
    rg_artifact_destroy(a);
}

/* An error or an artifact, wherever it ends; a sanitizer sees the first byte too far. */
static void test_texts_cut_anywhere(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof(proxy_text); cut++) {
        struct rg_problems why;
        struct rg_artifact *a = NULL;
        char *copy = malloc(cut > 0 ? cut : 1);
        memcpy(copy, proxy_text, cut);
        rg_problems_init(&why);
        int rc = rg_artifact_decode(copy, cut, &a, &why);
        assert_int_equal(rc < 0, rg_problems_any(&why));
        assert_int_equal(rc < 0, a == NULL);
        rg_artifact_destroy(a);
        rg_problems_fini(&why);
        free(copy);
    }
}

static char *many_operations(unsigned n, size_t padding)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fputs(FRAME("RestApi", "many") "  displayName: Many\n  version: v1.0\n  context: /many\n"
                                   "  upstream: {main: {url: 'http://h'}}\n  operations:\n",
          out);
    for (unsigned i = 0; i < n; i++)
        fprintf(out, "    - {method: GET, path: '/op/%u/{id}', about: '%*s'}\n", i, (int)padding, "x");
    fclose(out);
    return text;
}

static int lower(const struct rg_artifact *a, const struct rg_compile_context *context, size_t *ret_routes, char *said)
{
    struct rg_compile c;
    struct rg_problems why;
    struct rg_str path, text;
    rg_problems_init(&why);
    rg_compile_init(&c, context);
    int rc = rg_compile_lower(&c, a);
    *ret_routes = c.lower.n_routes;
    rg_compile_show(&c, &why);
    if (said && rg_problems_get(&why, 0, &path, &text))
        snprintf(said, 400, "%.*s: %.*s", (int)path.len, path.ptr, (int)text.len, text.ptr);
    rg_compile_fini(&c);
    rg_problems_fini(&why);
    return rc;
}

static void test_ten_thousand_operations(void **state)
{
    (void)state;
    const struct rg_compile_context context = {0};
    size_t routes;
    char *text = many_operations(10000, 0);
    struct rg_artifact *a = decode(text);
    assert_int_equal(lower(a, &context, &routes, NULL), 0);
    assert_int_equal(routes, 10000);
    rg_artifact_destroy(a);
    free(text);
}

static void test_ten_megabytes(void **state)
{
    (void)state;
    const struct rg_compile_context context = {0};
    size_t routes;
    char *text = many_operations(1000, 10000);
    assert_true(strlen(text) > 10000000);
    struct rg_artifact *a = decode(text);
    assert_int_equal(lower(a, &context, &routes, NULL), 0);
    assert_int_equal(routes, 1000);
    rg_artifact_destroy(a);
    free(text);
}

static void test_too_large_a_text(void **state)
{
    (void)state;
    struct rg_problems why;
    struct rg_artifact *a = NULL;
    char *text = malloc(RG_ARTIFACT_TEXT_MAX + 1);
    memset(text, ' ', RG_ARTIFACT_TEXT_MAX + 1);
    rg_problems_init(&why);
    assert_int_equal(rg_artifact_decode(text, RG_ARTIFACT_TEXT_MAX + 1, &a, &why), -EINVAL);
    assert_int_equal(why.errors.count, 1);
    rg_problems_fini(&why);
    free(text);
}

/* All are counted, the first hundred are told. */
static void test_problems_without_end(void **state)
{
    (void)state;
    struct rg_problems why;
    struct rg_artifact *a = NULL;
    char *text = many_operations(300, 0);
    for (char *p = text; (p = strstr(p, "{method: GET,"));)
        memcpy(p, "{method: [] ,", 13);
    rg_problems_init(&why);
    assert_int_equal(rg_artifact_decode(text, strlen(text), &a, &why), -EINVAL);
    assert_int_equal(why.errors.count, RG_CONF_ERRORS_MAX);
    assert_int_equal(why.errors.more, 200);
    rg_problems_fini(&why);
    free(text);
}

static void test_upstreams_that_are_the_gateway_itself(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool good;
    } cases[] = {
        {"http://127.0.0.1:9901", false},  {"http://localhost:9901/x", false}, {"http://127.1:9901", false},
        {"http://2130706433:9901", false}, {"http://127.0.0.1:9902", true},    {"http://example.com:9901", true},
    };
    struct rg_address admin;
    struct rg_address_error error;
    assert_true(rg_address_parse(RG_STR("127.0.0.1:9901"), RG_ADDRESS_LOCAL, &admin, &error));
    const struct rg_address *const forbidden[] = {&admin};
    const struct rg_compile_context context = {.forbidden = forbidden, .n_forbidden = 1};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[600], said[400] = "", wanted[300] = "";
        size_t routes;
        snprintf(text, sizeof(text),
                 FRAME("RestApi", "x") "  displayName: X\n  version: v1.0\n  context: /x\n"
                                       "  upstream: {main: {url: '%s'}}\n  operations: [{method: GET, path: /}]\n",
                 cases[i].url);
        struct rg_artifact *a = decode(text);
        assert_int_equal(lower(a, &context, &routes, said), cases[i].good ? 0 : -EINVAL);
        if (!cases[i].good)
            snprintf(wanted, sizeof(wanted),
                     "spec.upstream.main.url: got \"%s\", wanted an upstream that is not the gateway's own admin "
                     "endpoint",
                     cases[i].url);
        assert_string_equal(said, wanted);
        rg_artifact_destroy(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_what_it_needs),
        cmocka_unit_test(test_texts_cut_anywhere),
        cmocka_unit_test(test_ten_thousand_operations),
        cmocka_unit_test(test_ten_megabytes),
        cmocka_unit_test(test_too_large_a_text),
        cmocka_unit_test(test_problems_without_end),
        cmocka_unit_test(test_upstreams_that_are_the_gateway_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
