/* The two APIs as operators meet them: paths, bodies, lists, resources, and the document of it. Who may:
 * test_store_who.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/common/yaml_json.h"
#include "control/platform/routes.h"
#include "store_fixture.h"

/* ---- Paths and methods ---- */

static void test_paths(void **state)
{
    struct fixture *f = *state;
    static const char *const nothing[] = {"/",
                                          "/internal/gateway/.well-known",
                                          API "/nope",
                                          "/api/v0.90/gateways",
                                          API "/gateways/edge-1/nope",
                                          API "//gateways",
                                          API "/gateways/",
                                          API "/gateways/a/b/c/d/e/f"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        call(f, "GET", nothing[i], NULL);
        assert_refused(f, 404, "NOT_FOUND");
    }
    call(f, "DELETE", API "/gateways", NULL);
    assert_refused(f, 405, "METHOD_NOT_ALLOWED");
    assert_string_equal(f->allow, "GET, POST");
    call(f, "PATCH", API "/gateways/edge-1", NULL);
    assert_string_equal(f->allow, "GET, PUT, DELETE");
    call(f, "GET", API "/gateways/%zz", NULL);
    assert_refused(f, 400, "BAD_REQUEST");
    call(f, "GET", API "/gateways/%ff", NULL);
    assert_refused(f, 400, "BAD_REQUEST");
    call(f, "GET", API "/gateways/%00", NULL);
    assert_refused(f, 400, "BAD_REQUEST");
    call(f, "GET", API "/gateways/no%2Fsuch", NULL);
    assert_refused(f, 404, "GATEWAY_NOT_FOUND");
}

/* ---- Bodies ---- */

static void assert_field(struct fixture *f, const char *body, const char *field)
{
    char at[64];
    call(f, "POST", API "/gateways", body);
    assert_refused(f, 400, "VALIDATION_FAILED");
    size_t n = json_array_size(json_object_get(f->body, "errors"));
    for (size_t i = 0; i < n; i++) {
        snprintf(at, sizeof(at), "errors.%zu.field", i);
        if (strcmp(got(f, at), field) == 0)
            return;
    }
    fail_msg("no error names %s: %s", field, body_bytes(f));
}

static void test_bad_bodies(void **state)
{
    struct fixture *f = *state;
    static const char *const broken[] = {"{",
                                         "{\"a\":1,\"a\":2}",
                                         "{\"displayName\":\"\xff\"}",
                                         "{\"displayName\":\"\\ud800\"}",
                                         "{} {}",
                                         "{\"displayName\":\"a\\u0000b\"}",
                                         "\xef\xbb\xbf{}",
                                         "nul"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        call(f, "POST", API "/gateways", broken[i]);
        assert_refused(f, 400, "BAD_REQUEST");
    }
    char deep[512];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    deep[400] = '\0';
    call(f, "POST", API "/gateways", deep);
    assert_refused(f, 400, "BAD_REQUEST");
    call(f, "POST", API "/gateways", "[]");
    assert_refused(f, 400, "VALIDATION_FAILED");
    assert_field(f, "{}", "displayName");
    assert_field(f, "{\"displayName\":\"\"}", "displayName");
    assert_field(f, "{\"displayName\":7}", "displayName");
    assert_field(f, "{\"displayName\":\"x\",\"nope\":1}", "nope");
    assert_field(f, "{\"displayName\":\"x y\",\"endpoints\":[\"http://a\",5]}", "endpoints[1]");
    assert_field(f, "{\"displayName\":\"x y\",\"isCritical\":\"yes\"}", "isCritical");
    assert_field(f, "{\"displayName\":\"x y\",\"functionalityType\":\"magic\"}", "functionalityType");
    assert_field(f, "{\"displayName\":\"x y\",\"properties\":[]}", "properties");
    assert_field(f, "{\"id\":\"Edge 1\",\"displayName\":\"x\"}", "id");
    assert_field(f, "{\"id\":\"ab\",\"displayName\":\"x\"}", "id");
    assert_field(f, "{\"displayName\":\"\xe2\x82\xac\"}", "id"); /* nothing is left to make a handle of */
    assert_int_equal(call(f, "GET", API "/gateways", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 0); /* nothing was stored */
}

/* As a gateway would: of the name it says what the rows have said, too. */
static int check(const char *yaml, size_t len, struct rg_problems *problems, void *arg)
{
    (void)arg;
    if (!memmem(yaml, len, "resilience", 10))
        return 0;
    rg_problems_add(problems, "spec.displayName", "nothing", "a name", NULL);
    rg_problems_add(problems, "spec.operations[0].method", "a list", "a method", NULL);
    rg_problems_add(problems, "spec.resilience", "7", "an object", NULL);
    return -EINVAL;
}

/* Rows of the body, handle, project, what it refers to and the document: whatever is wrong with any is told at once. */
static void test_all_problems_at_once(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    f->config.check = check;
    fixture_open(f);
    make_api(f, "hello");
    assert_int_equal(
        call(f, "POST", API "/rest-apis",
             "{\"id\":\"X Y\",\"displayName\":\"\",\"version\":\"v1\",\"context\":\"/x\",\"frob\":1,\"resilience\":7,"
             "\"projectId\":\"nope\",\"upstream\":{\"main\":{\"url\":\"http://127.0.0.1:1\"}},"
             "\"operations\":[{\"method\":[],\"path\":\"/y\"}]}"),
        400);
    assert_string_equal(got(f, "code"), "VALIDATION_FAILED");
    static const char *const fields[] = {"displayName",    "frob", "id", "projectId", "spec.operations[0].method",
                                         "spec.resilience"};
    json_t *errors = json_object_get(f->body, "errors");
    char path[48];
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        snprintf(path, sizeof(path), "errors.%zu.field", i);
        assert_string_equal(got(f, path), fields[i]);
    }
    assert_int_equal(json_array_size(errors), sizeof(fields) / sizeof(fields[0]));
    assert_int_equal(call(f, "PUT", API "/rest-apis/hello", "{\"id\":\"other\",\"operations\":7,\"resilience\":7}"),
                     400);
    assert_string_equal(got(f, "errors.0.field"), "displayName");
    bool has_id = false;
    for (size_t i = 0; i < json_array_size(json_object_get(f->body, "errors")); i++) {
        snprintf(path, sizeof(path), "errors.%zu.field", i);
        has_id |= strcmp(got(f, path), "id") == 0;
        assert_string_not_equal(got(f, path), "spec.displayName"); /* was told */
    }
    assert_true(has_id);
    assert_int_equal(call(f, "POST", API "/llm-proxies",
                          "{\"id\":\"p\",\"displayName\":\"P\",\"version\":\"v1\",\"context\":\"/p\","
                          "\"provider\":\"nope\",\"additionalProviders\":[{\"id\":\"nah\"}]}"),
                     400);
    assert_string_equal(got(f, "errors.0.field"), "provider");
    assert_string_equal(got(f, "errors.1.field"), "additionalProviders[0]");
    assert_int_equal(call(f, "GET", API "/rest-apis", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 1);
}

static void test_huge_body(void **state)
{
    struct fixture *f = *state;
    size_t n = RG_API_BODY_MAX + 1;
    char *body = malloc(n + 1);
    assert_non_null(body);
    memset(body, ' ', n);
    body[n] = '\0';
    call(f, "POST", API "/rest-apis", body);
    assert_refused(f, 413, "CONTENT_TOO_LARGE");
    body[n - 2] = '\0';
    call(f, "POST", API "/rest-apis", body);
    assert_refused(f, 400, "BAD_REQUEST"); /* nothing but blanks, but not too much of them */
    body[128 * 1024 + 1] = '\0';
    call(f, "POST", API "/gateways", body);
    assert_refused(f, 413, "CONTENT_TOO_LARGE");
    call(f, "POST", API "/rest-apis/hello/deployments", body); /* small ones of an artifact, too */
    assert_refused(f, 413, "CONTENT_TOO_LARGE");
    f->token = NULL;
    call(f, "POST", API "/gateways", body); /* strangers learn nothing but that */
    assert_refused(f, 401, "UNAUTHORIZED");
    free(body);
}

static void test_content_type(void **state)
{
    struct fixture *f = *state;
    struct rg_api_answer answer = {0};
    struct rg_api_request request = {.method = RG_STR("POST"),
                                     .path = RG_STR(API "/gateways"),
                                     .query = RG_STR(""),
                                     .body = RG_STR("displayName: x"),
                                     .content_type = RG_STR("application/yaml"),
                                     .bearer = rg_str_of(f->token)};
    rg_api_handle(f->store, &request, &answer, &f->effects);
    assert_int_equal(answer.status, 415);
    rg_api_answer_fini(&answer);
}

/* What looks like SQL, HTML or control text is text. */
static void test_injection(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"Robert'); DROP TABLE gateways;--",
                                        "<script>alert(1)</script>",
                                        "\x01\x02\x1b[31m",
                                        "\xf0\x9f\x9a\x80 rocket",
                                        "a\" OR \"\"=\"",
                                        "%s%n%x",
                                        "../../etc/passwd"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char id[32];
        snprintf(id, sizeof(id), "edge-%zu", i);
        json_t *body = json_pack("{s:s, s:s, s:s}", "id", id, "displayName", names[i], "description", names[i]);
        char *text = json_dumps(body, 0);
        assert_int_equal(call(f, "POST", API "/gateways", text), 201);
        assert_string_equal(got(f, "displayName"), names[i]);
        free(text);
        json_decref(body);
    }
    call(f, "GET", API "/gateways/edge-1'%20OR%20'1'='1", NULL);
    assert_refused(f, 404, "GATEWAY_NOT_FOUND");
    assert_int_equal(call(f, "GET", API "/gateways", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), sizeof(names) / sizeof(names[0]));
}

/* ---- Lists ---- */

static void test_pages(void **state)
{
    struct fixture *f = *state;
    char body[128];
    for (int i = 0; i < 25; i++) {
        snprintf(body, sizeof(body), "{\"id\":\"edge-%02d\",\"displayName\":\"Edge\"}", i);
        assert_int_equal(call(f, "POST", API "/gateways", body), 201);
    }
    assert_int_equal(call(f, "GET", API "/gateways", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 20);
    assert_int_equal(json_integer_value(json_object_get(f->body, "count")), 20);
    const json_t *pagination = json_object_get(f->body, "pagination");
    assert_int_equal(json_integer_value(json_object_get(pagination, "total")), 25);
    assert_int_equal(json_integer_value(json_object_get(pagination, "limit")), 20);
    assert_int_equal(call(f, "GET", API "/gateways?offset=20&limit=10", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 5);
    assert_string_equal(got(f, "list.0.id"), "edge-20");
    static const char *const bad[] = {"limit=0", "limit=101", "limit=x", "offset=-1", "limit=1e1", "offset="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        callf(f, "GET", NULL, API "/gateways?%s", bad[i]);
        assert_refused(f, 400, "VALIDATION_FAILED");
    }
}

/* A filter that can't be read is not one that was left out: more would be shown, or done, than was asked for. */
static void test_bad_queries(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"projectId=%ff",     "projectId=a%00", "projectId=%zz", "limit=%ff",
                                      "x=1&projectId=%c3", "%ff=1",          "projectId=%"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        print_message("%s\n", bad[i]);
        callf(f, "GET", NULL, API "/rest-apis?%s", bad[i]);
        assert_refused(f, 400, "BAD_REQUEST");
    }
    assert_int_equal(call(f, "GET", API "/rest-apis?projectId=%c3%a9+%41", NULL), 200);
}

/* What an error repeats may be cut within a character; the rest of it is said all the same. */
static void test_long_texts_in_errors(void **state)
{
    struct fixture *f = *state;
    char text[701], body[800];
    for (size_t before = 0; before < 2; before++) {
        memset(text, 'a', before);
        for (size_t i = before; i + 2 < sizeof(text); i += 2)
            memcpy(text + i, "\xc3\xa9", 3);
        snprintf(body, sizeof(body), "{\"id\":\"%s\",\"displayName\":\"x\"}", text);
        call(f, "POST", API "/gateways", body);
        assert_refused(f, 400, "VALIDATION_FAILED");
        assert_string_equal(got(f, "errors.0.field"), "id");
        assert_non_null(strstr(got(f, "message"), "wanted 3 to 40 lower-case letters"));
        snprintf(body, sizeof(body), "{\"name\":\"x\",\"expiresAt\":\"%s\"}", text);
        call(f, "POST", API "/tokens", body);
        assert_refused(f, 400, "VALIDATION_FAILED");
        assert_non_null(strstr(got(f, "message"), "wanted a time of RFC 3339"));
        callf(f, "GET", NULL, API "/gateways/%s", text);
        assert_refused(f, 404, "GATEWAY_NOT_FOUND");
        assert_non_null(strstr(got(f, "message"), "There is no gateway \""));
        snprintf(body, sizeof(body), "{\"displayName\":\"x y\",\"%s\":1}", text);
        call(f, "POST", API "/gateways", body);
        assert_refused(f, 400, "VALIDATION_FAILED");
        assert_non_null(strstr(got(f, "errors.0.message"), "wanted one of"));
    }
}

/* ---- Resources ---- */

static void test_gateway_resource(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(call(f, "POST", API "/gateways",
                          "{\"id\":\"edge-1\",\"displayName\":\"Edge 1\",\"description\":\"lab\",\"endpoints\":"
                          "[\"https://edge1.example.com\"],\"functionalityType\":\"ai\",\"isCritical\":true,"
                          "\"version\":\"1.2\",\"properties\":{\"a\":[1]}}"),
                     201);
    assert_string_equal(f->location, API "/gateways/edge-1");
    assert_string_equal(got(f, "endpoints.0"), "https://edge1.example.com");
    assert_true(json_is_true(json_object_get(f->body, "isCritical")));
    char *text = strdup(body_bytes(f)); /* what was read can be sent back */
    assert_int_equal(call(f, "PUT", API "/gateways/edge-1", text), 200);
    assert_string_equal(got(f, "functionalityType"), "ai");
    assert_int_equal(call(f, "POST", API "/gateways", "{\"id\":\"edge-1\",\"displayName\":\"x\"}"), 409);
    assert_int_equal(call(f, "PUT", API "/gateways/edge-1", "{\"id\":\"edge-2\",\"displayName\":\"x\"}"), 400);
    assert_int_equal(call(f, "GET", API "/gateways/edge-1/manifest", NULL), 404);
    assert_int_equal(call(f, "POST", API "/gateways/edge-1/tokens", NULL), 201);
    char *token = strdup(got(f, "token"));
    assert_int_equal(call(f, "GET", API "/gateways/edge-1", NULL), 200);
    char *uuid = strdup(got(f, "uuid"));
    f->api_key = token;
    assert_int_equal(
        callf(f, "POST",
              "{\"version\":\"1.2.0\",\"functionalityType\":\"regular\",\"policies\":[{\"name\":\"cors\"}],"
              "\"news\":1}",
              INTERNAL "/gateways/%s/manifest", uuid),
        204);
    assert_int_equal(callf(f, "POST", "{}", INTERNAL "/gateways/%s/manifest", "0199c1d2-7a10-7c55-8f21-0d9d8f3c2b11"),
                     403);
    assert_int_equal(call(f, "GET", API "/gateways/edge-1/manifest", NULL), 200);
    assert_string_equal(got(f, "policies.0.name"), "cors");
    assert_int_equal(call(f, "GET", API "/gateways/edge-1", NULL), 200);
    assert_string_equal(got(f, "version"), "1.2.0");
    assert_int_equal(call(f, "DELETE", API "/gateways/edge-1", NULL), 204);
    assert_int_equal(count_effects(f, RG_EFFECT_CLOSE_GATEWAY), 1);
    free(text);
    free(token);
    free(uuid);
}

static void test_status_and_audit(void **state)
{
    struct fixture *f = *state;
    free(make_gateway(f, "edge-1"));
    make_api(f, "hello");
    free(deploy(f, "hello", "edge-1"));
    assert_int_equal(call(f, "GET", API "/status", NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(f->body, "deployments"), "DEPLOYING")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(f->body, "gateways"), "total")), 1);
    assert_int_equal(call(f, "GET", API "/audit", NULL), 200);
    assert_string_equal(got(f, "list.0.action"), "DEPLOY");
    assert_string_equal(got(f, "list.0.peer"), "192.0.2.7");
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 4);
    uint64_t next;
    f->now_ms += (int64_t)366 * 24 * 3600 * 1000;
    assert_int_equal(call(f, "POST", API "/projects", "{\"displayName\":\"Late\"}"), 201);
    assert_int_equal(rg_store_sweep(f->store, &f->effects, &next), 0);
    assert_int_equal(call(f, "GET", API "/audit", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 1);
    assert_string_equal(got(f, "list.0.resourceType"), "project");
}

/* ---- The document ---- */

/* Every route is in it, and it is YAML that others can read. */
static void test_openapi(void **state)
{
    struct fixture *f = *state;
    struct rg_yaml_json document;
    struct rg_problems problems;
    f->token = NULL;
    assert_int_equal(call(f, "GET", API "/openapi.yaml", NULL), 200);
    rg_problems_init(&problems);
    assert_int_equal(rg_yaml_json((struct rg_str){f->bytes, f->n_bytes}, 1 << 20, &document, &problems), 0);
    assert_string_equal(text_of(document.value, "openapi"), "3.0.3");
    const json_t *paths = json_object_get(document.value, "paths");
    size_t operations = 0;
    for (size_t i = 0; i < rg_public_routes.count; i++) {
        const struct rg_route *route = &rg_public_routes.routes[i];
        char method[8] = "";
        for (size_t c = 0; route->method[c]; c++)
            method[c] = rg_lower(route->method[c]);
        const json_t *operation = json_object_get(json_object_get(paths, route->pattern), method);
        assert_non_null(operation);
        assert_true(strlen(text_of(operation, "summary")) > 10);
        operations++;
    }
    assert_true(operations > 60);
    const json_t *post = json_object_get(json_object_get(paths, "/gateways"), "post");
    assert_string_equal(text_of(post, "requestBody.content.application/json.schema.required.0"), "displayName");
    rg_yaml_json_fini(&document);
    rg_problems_fini(&problems);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_paths),
        WITH_STORE(test_bad_bodies),
        WITH_STORE(test_all_problems_at_once),
        WITH_STORE(test_huge_body),
        WITH_STORE(test_content_type),
        WITH_STORE(test_injection),
        WITH_STORE(test_pages),
        WITH_STORE(test_bad_queries),
        WITH_STORE(test_long_texts_in_errors),
        WITH_STORE(test_gateway_resource),
        WITH_STORE(test_status_and_audit),
        WITH_STORE(test_openapi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
