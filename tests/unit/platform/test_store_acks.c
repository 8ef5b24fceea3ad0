/* The life of deployments: who acknowledges them, when, how often, and what is no acknowledgement. */
#include <stdio.h>
#include <stdlib.h>

#include "store_fixture.h"

/* 5: the gateway is away between event and acknowledgement; what it asks for says what to do. */
static void test_reconnect(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    set_up(f, &s);
    char *d = deploy(f, "hello", "edge-1");
    disconnect(f, &s.session);
    assert_int_equal(call(f, "GET", "/api/v0.9/gateways/edge-1", NULL), 200);
    assert_true(json_is_false(json_object_get(f->body, "isActive")));
    f->now_ms += 5000;
    struct operation told, again;
    last_operation(f, &told);
    fixture_forget(f);
    connect_as(f, s.token, "node-a", &s.session); /* asks by itself */
    assert_int_equal(count_effects(f, RG_EFFECT_SEND), 0);
    disconnect(f, &s.session);
    connect_as(f, s.token, "", &s.session); /* may not, and is told again */
    assert_int_equal(count_effects(f, RG_EFFECT_SEND), 1);
    last_operation(f, &again);
    assert_memory_equal(&again, &told, sizeof(told));
    f->api_key = s.token;
    assert_int_equal(call(f, "GET", "/api/internal/v1/deployments", NULL), 200);
    struct operation op = {.type = "api.deployed"};
    snprintf(op.deployment, sizeof(op.deployment), "%s", got(f, "deployments.0.deploymentId"));
    snprintf(op.artifact, sizeof(op.artifact), "%s", got(f, "deployments.0.artifactId"));
    snprintf(op.performed_at, sizeof(op.performed_at), "%s", got(f, "deployments.0.deployedAt"));
    assert_string_equal(got(f, "deployments.0.state"), "DEPLOYED");
    assert_string_equal(op.deployment, d);
    ack(f, &s.session, &op, true);
    assert_status(f, d, "DEPLOYED");
    free(d);
    free(s.token);
}

/* 6 and 8: the older one's acknowledgement is dropped; so are duplicates and strangers', and all are counted. */
static void test_stale_acks(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation first, second, other;
    struct rg_session stranger;
    set_up(f, &s);
    char *token = make_gateway(f, "edge-2");
    connect_as(f, token, "", &stranger);
    char *d1 = deploy(f, "hello", "edge-1");
    last_operation(f, &first);
    char *d2 = deploy(f, "hello", "edge-1");
    last_operation(f, &second);
    ack(f, &s.session, &first, true);
    assert_status(f, d2, "DEPLOYING");
    assert_int_equal(rg_store_count(f->store, RG_STORE_ACKS_STALE), 1);
    ack(f, &stranger, &second, true); /* of another gateway */
    assert_status(f, d2, "DEPLOYING");
    assert_int_equal(rg_store_count(f->store, RG_STORE_ACKS_UNKNOWN), 1);
    other = second;
    snprintf(other.type, sizeof(other.type), "api.undeployed"); /* of another action */
    ack(f, &s.session, &other, true);
    assert_status(f, d2, "DEPLOYING");
    ack(f, &s.session, &second, true);
    ack(f, &s.session, &second, true);
    assert_status(f, d2, "DEPLOYED");
    assert_int_equal(rg_store_count(f->store, RG_STORE_ACKS_DUPLICATE), 1);
    assert_int_equal(rg_store_count(f->store, RG_STORE_ACKS_APPLIED), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(f->body, "acks"), 0), "times")),
                     2);
    free(d1);
    free(d2);
    free(token);
    free(s.token);
}

/* One that failed and succeeds later, as after a restart, has made up for it; another's failure stands. */
static void test_failure_that_is_made_up_for(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct rg_session one, two;
    struct operation op;
    set_up(f, &s);
    char *d = deploy(f, "hello", "edge-1");
    answer(f, &s, &op, false);
    ack(f, &s.session, &op, true); /* it has no name, so it may be another */
    assert_status(f, d, "FAILED");
    free(d);
    disconnect(f, &s.session);
    connect_as(f, s.token, "node-a", &one);
    connect_as(f, s.token, "node-b", &two);
    d = deploy(f, "hello", "edge-1");
    last_operation(f, &op);
    ack(f, &one, &op, false);
    ack(f, &two, &op, false);
    disconnect(f, &one);
    assert_status(f, d, "FAILED");
    connect_as(f, s.token, "node-a", &one);
    ack(f, &one, &op, true);
    assert_status(f, d, "FAILED");
    ack(f, &two, &op, true);
    assert_status(f, d, "DEPLOYED");
    assert_null(json_object_get(f->body, "statusReason"));
    ack(f, &two, &op, false);
    assert_status(f, d, "FAILED");
    free(d);
    disconnect(f, &one);
    disconnect(f, &two);
    free(s.token);
}

/* 7: of three instances one fails, in each place of the order. */
static void test_instances(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct rg_session one, two, three;
    struct operation op;
    set_up(f, &s);
    disconnect(f, &s.session);
    connect_as(f, s.token, "node-a", &one);
    connect_as(f, s.token, "node-b", &two);
    connect_as(f, s.token, "node-c", &three);
    const struct rg_session *all[] = {&one, &two, &three};
    for (size_t bad = 0; bad < 3; bad++) {
        char *d = deploy(f, "hello", "edge-1");
        last_operation(f, &op);
        for (size_t i = 0; i < 3; i++)
            ack(f, all[i], &op, i != bad);
        assert_status(f, d, "FAILED");
        assert_int_equal(json_array_size(json_object_get(f->body, "acks")), 3);
        free(d);
    }
    /* All of them have to say so; one that leaves is no longer waited for. */
    char *d = deploy(f, "hello", "edge-1");
    last_operation(f, &op);
    ack(f, &one, &op, true);
    ack(f, &two, &op, true);
    assert_status(f, d, "DEPLOYING");
    disconnect(f, &three);
    assert_status(f, d, "DEPLOYED");
    free(d);
    /* One that comes in the middle is waited for; one that comes back has answered already. */
    d = deploy(f, "hello", "edge-1");
    last_operation(f, &op);
    ack(f, &one, &op, true);
    connect_as(f, s.token, "node-d", &three);
    disconnect(f, &one);
    connect_as(f, s.token, "node-a", &one);
    ack(f, &two, &op, true);
    assert_status(f, d, "DEPLOYING");
    ack(f, &three, &op, true);
    assert_status(f, d, "DEPLOYED");
    free(d);
    free(s.token);
}

static void test_trimmed_zeros(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation op;
    set_up(f, &s);
    f->now_ms = 1787476504100;
    char *d = deploy(f, "hello", "edge-1");
    last_operation(f, &op);
    assert_string_equal(op.performed_at, "2026-08-23T09:15:04.1Z");
    snprintf(op.performed_at, sizeof(op.performed_at), "2026-08-23T09:15:04.100+00:00"); /* the same instant */
    ack(f, &s.session, &op, true);
    assert_status(f, d, "DEPLOYED");
    free(d);
    f->now_ms = 1787476505000;
    d = deploy(f, "hello", "edge-1");
    last_operation(f, &op);
    assert_string_equal(op.performed_at, "2026-08-23T09:15:05Z");
    free(d);
    free(s.token);
}

static void test_bad_frames(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"type\":7}",
        "{\"type\":\"deployment.ack\"}",
        "{\"type\":\"deployment.ack\",\"payload\":[]}",
        "{\"type\":\"deployment.ack\",\"payload\":{\"deploymentId\":\"\"}}",
        "{\"type\":\"deployment.ack\",\"type\":\"deployment.ack\"}",
        "{\"type\":\"deployment.ack\",\"payload\":{\"deploymentId\":\"x\",\"artifactId\":\"y\",\"resourceType\":"
        "\"api\","
        "\"action\":\"dance\",\"status\":\"success\",\"performedAt\":\"2026-08-23T09:15:04Z\"}}",
        "{\"type\":\"deployment.ack\",\"payload\":{\"deploymentId\":\"x\",\"artifactId\":\"y\",\"resourceType\":"
        "\"api\","
        "\"action\":\"deploy\",\"status\":\"success\",\"performedAt\":\"yesterday\"}}",
        "{\"type\":\"deployment.ack\",\"payload\":{\"deploymentId\":\"x\\u0000\",\"artifactId\":\"y\"}}",
        "{\"type\":\"\xff\"}",
    };
    set_up(f, &s);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(send_frame(f, &s.session, bad[i]), 0);
        assert_int_equal(rg_store_count(f->store, RG_STORE_ACKS_MALFORMED), i + 1);
    }
    assert_int_equal(send_frame(f, &s.session, "{\"type\":\"something.new\",\"payload\":{}}"), 0);
    assert_int_equal(rg_store_count(f->store, RG_STORE_ACKS_MALFORMED), sizeof(bad) / sizeof(bad[0]));
    assert_int_equal(send_frame(f, &s.session,
                                "{\"type\":\"deployment.ack\",\"payload\":{\"deploymentId\":\"x\",\"artifactId\":\"y\","
                                "\"resourceType\":\"submarine\",\"action\":\"deploy\",\"status\":\"success\","
                                "\"performedAt\":\"2026-08-23T09:15:04Z\"}}"),
                     0);
    assert_int_equal(rg_store_count(f->store, RG_STORE_ACKS_UNKNOWN), 1);
    free(s.token);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_reconnect), WITH_STORE(test_stale_acks),    WITH_STORE(test_failure_that_is_made_up_for),
        WITH_STORE(test_instances), WITH_STORE(test_trimmed_zeros), WITH_STORE(test_bad_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
