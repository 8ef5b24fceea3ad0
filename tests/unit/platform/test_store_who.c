/* The two APIs as strangers meet them: who may, and what is whose. */
#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"

static void test_tokens(void **state)
{
    struct fixture *f = *state;
    f->token = NULL;
    call(f, "GET", API "/gateways", NULL);
    assert_refused(f, 401, "UNAUTHORIZED");
    f->token = "0123456789012345678901234567890123456789012";
    call(f, "GET", API "/gateways", NULL);
    assert_refused(f, 401, "UNAUTHORIZED");
    f->token = "' OR '1'='1";
    call(f, "GET", API "/gateways", NULL);
    assert_refused(f, 401, "UNAUTHORIZED");
    f->token = rg_store_admin_token(f->store);
    assert_int_equal(call(f, "GET", API "/gateways", NULL), 200);

    assert_int_equal(call(f, "POST", API "/tokens", "{\"name\":\"ci\"}"), 201);
    char *ci = strdup(got(f, "token")), *id = strdup(got(f, "id"));
    assert_int_equal(call(f, "POST", API "/tokens", "{\"name\":\"ci\"}"), 409);
    assert_int_equal(
        call(f, "POST", API "/tokens", "{\"name\":\"eye\",\"role\":\"reader\",\"expiresAt\":\"2026-08-23T10:00:00Z\"}"),
        201);
    char *eye = strdup(got(f, "token"));
    assert_int_equal(call(f, "GET", API "/tokens", NULL), 200);
    assert_null(strstr(body_bytes(f), ci)); /* never shown again */
    f->token = ci;
    assert_int_equal(call(f, "POST", API "/gateways", "{\"displayName\":\"Edge 1\"}"), 201);
    assert_string_equal(got(f, "id"), "edge-1");
    assert_string_equal(got(f, "createdBy"), "ci");
    call(f, "GET", API "/tokens", NULL);
    assert_refused(f, 403, "FORBIDDEN");
    f->token = eye;
    assert_int_equal(call(f, "GET", API "/gateways", NULL), 200);
    call(f, "DELETE", API "/gateways/edge-1", NULL);
    assert_refused(f, 403, "FORBIDDEN");
    f->now_ms += 3600 * 1000;
    call(f, "GET", API "/gateways", NULL); /* expired */
    assert_refused(f, 401, "UNAUTHORIZED");
    f->token = rg_store_admin_token(f->store);
    assert_int_equal(callf(f, "DELETE", NULL, API "/tokens/%s", id), 204);
    f->token = ci;
    call(f, "GET", API "/gateways", NULL);
    assert_refused(f, 401, "UNAUTHORIZED");
    free(ci);
    free(eye);
    free(id);
}

static void test_gateway_tokens(void **state)
{
    struct fixture *f = *state;
    struct rg_session session;
    struct rg_api_answer answer = {0};
    char *one = make_gateway(f, "edge-1");
    char *id = strdup(got(f, "id"));
    assert_int_equal(strlen(one), 43);
    assert_int_equal(call(f, "POST", API "/gateways/edge-1/tokens", NULL), 201);
    call(f, "POST", API "/gateways/edge-1/tokens", NULL);
    assert_refused(f, 409, "GATEWAY_TOKEN_LIMIT_REACHED");
    f->api_key = NULL;
    assert_int_equal(call(f, "GET", INTERNAL "/deployments", NULL), 401);
    assert_int_equal(json_integer_value(json_object_get(f->body, "code")), 401);
    assert_string_equal(got(f, "message"), "Unauthorized");
    assert_string_equal(got(f, "description"), "API key is required. Provide 'api-key' header.");
    f->api_key = one;
    assert_int_equal(call(f, "GET", INTERNAL "/deployments", NULL), 200);
    assert_string_equal(body_bytes(f), "{\"deployments\":[]}");
    call(f, "GET", API "/status", NULL); /* a gateway's token is none of an operator's */
    f->token = one;
    call(f, "GET", API "/gateways", NULL);
    assert_refused(f, 401, "UNAUTHORIZED");
    f->token = rg_store_admin_token(f->store);

    connect_as(f, one, "node-a", &session);
    assert_int_equal(call(f, "GET", API "/gateways/edge-1", NULL), 200);
    assert_string_equal(got(f, "instances.0"), "node-a");
    json_t *greeting = json_loads(session.greeting, 0, NULL);
    assert_string_equal(text_of(greeting, "type"), "connection.ack");
    assert_string_equal(text_of(greeting, "gatewayId"), got(f, "uuid"));
    json_decref(greeting);
    fixture_forget(f);
    assert_int_equal(callf(f, "DELETE", NULL, API "/gateways/edge-1/tokens/%s", id), 204);
    assert_int_equal(count_effects(f, RG_EFFECT_CLOSE_TOKEN), 1);
    assert_string_equal(f->effects.first->target, session.token);
    assert_int_equal(rg_session_begin(f->store, rg_str_of(one), RG_STR(""), RG_STR(""), &session, &answer, &f->effects),
                     -13);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.body, "\"code\":\"UNAUTHORIZED\"")); /* as the public API says it */
    rg_api_answer_fini(&answer);
    free(one);
    free(id);
}

static void test_organizations_are_apart(void **state)
{
    struct fixture *f = *state;
    const char *admin = f->token;
    char *mine = make_gateway(f, "edge-1");
    make_api(f, "hello");
    char *d = deploy(f, "hello", "edge-1");
    assert_int_equal(call(f, "POST", API "/organizations", "{\"displayName\":\"Other People\"}"), 201);
    assert_string_equal(got(f, "id"), "other-people");
    assert_int_equal(call(f, "GET", API "/organizations", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 2);
    call(f, "POST", API "/tokens", "{\"name\":\"x\",\"organizationId\":\"nobody\"}");
    assert_refused(f, 404, "ORGANIZATION_NOT_FOUND");
    assert_int_equal(
        call(f, "POST", API "/tokens", "{\"name\":\"boss\",\"role\":\"admin\",\"organizationId\":\"other-people\"}"),
        201);
    char *boss = strdup(got(f, "token"));

    f->token = boss; /* nothing of it can be seen or touched */
    static const char *const hidden[] = {"/gateways/edge-1", "/rest-apis/hello", "/organizations/default"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(callf(f, "GET", NULL, API "%s", hidden[i]), 404);
    assert_int_equal(callf(f, "GET", NULL, API "/rest-apis/hello/deployments/%s", d), 404);
    assert_int_equal(callf(f, "POST", NULL, API "/rest-apis/hello/deployments/%s/undeploy", d), 404);
    assert_int_equal(call(f, "DELETE", API "/gateways/edge-1", NULL), 404);
    assert_int_equal(call(f, "POST", API "/organizations", "{\"displayName\":\"More\"}"), 403);
    assert_int_equal(call(f, "POST", API "/tokens", "{\"name\":\"y\",\"organizationId\":\"default\"}"), 404);
    assert_int_equal(call(f, "GET", API "/organizations", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 1);
    char *theirs = make_gateway(f, "edge-1"); /* names are theirs, too */
    make_api(f, "hello");
    f->api_key = theirs;
    assert_int_equal(call(f, "GET", INTERNAL "/deployments", NULL), 200);
    assert_string_equal(body_bytes(f), "{\"deployments\":[]}");
    f->token = admin;
    assert_string_equal(status_of(f, "hello", d), "DEPLOYING");
    free(d);
    free(boss);
    free(mine);
    free(theirs);
}

static void test_projects(void **state)
{
    struct fixture *f = *state;
    make_api(f, "hello");
    assert_int_equal(call(f, "GET", API "/projects/default", NULL), 200);
    assert_int_equal(call(f, "DELETE", API "/projects/default", NULL), 409);
    assert_int_equal(call(f, "POST", API "/projects", "{\"displayName\":\"Shop\"}"), 201);
    assert_int_equal(call(f, "POST", API "/rest-apis",
                          "{\"displayName\":\"Cart\",\"context\":\"/cart\",\"version\":\"v1.0\",\"projectId\":\"shop\","
                          "\"upstream\":{\"main\":{\"url\":\"http://a\"}},\"operations\":[]}"),
                     201);
    call(f, "DELETE", API "/projects/shop", NULL);
    assert_refused(f, 409, "PROJECT_IN_USE");
    assert_int_equal(call(f, "GET", API "/rest-apis?projectId=shop", NULL), 200);
    assert_string_equal(got(f, "list.0.id"), "cart");
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 1);
    assert_int_equal(call(f, "DELETE", API "/rest-apis/cart", NULL), 204);
    assert_int_equal(call(f, "DELETE", API "/projects/shop", NULL), 204);
}

/* What cannot be stored because it is not asked by anybody who may leaves no trace. */
static void test_refused_changes_nothing(void **state)
{
    struct fixture *f = *state;
    free(make_gateway(f, "edge-1"));
    make_api(f, "hello");
    fixture_forget(f);
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/deployments", "{\"gatewayId\":\"nowhere\"}"), 404);
    assert_string_equal(got(f, "code"), "GATEWAY_NOT_FOUND");
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/deployments",
                          "{\"gatewayId\":\"edge-1\",\"base\":\"0199c1d2-7a10-7c55-8f21-0d9d8f3c2b11\"}"),
                     404);
    assert_string_equal(got(f, "code"), "DEPLOYMENT_BASE_NOT_FOUND");
    assert_int_equal(call(f, "POST", API "/rest-apis/nope/deployments", "{\"gatewayId\":\"edge-1\"}"), 404);
    assert_string_equal(got(f, "code"), "REST_API_NOT_FOUND");
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/deployments", "{}"), 400);
    assert_string_equal(got(f, "errors.0.field"), "gatewayId");
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/deployments",
                          "{\"gatewayId\":\"edge-1\",\"metadata\":{\"endpointURL\":\"x\"}}"),
                     400);
    assert_string_equal(got(f, "errors.0.field"), "metadata.endpointURL");
    assert_int_equal(call(f, "GET", API "/rest-apis/hello/deployments?status=HAPPY", NULL), 400);
    assert_string_equal(got(f, "code"), "DEPLOYMENT_INVALID_STATUS");
    assert_int_equal(f->effects.count, 0);
    assert_int_equal(call(f, "GET", API "/rest-apis/hello/deployments", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 0);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_tokens),   WITH_STORE(test_gateway_tokens),          WITH_STORE(test_organizations_are_apart),
        WITH_STORE(test_projects), WITH_STORE(test_refused_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
